"""A result that is served: edits are solved at once, and nobody else can make any."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from support.browser import unpack
from test_edits import movie  # noqa: F401  (a fixture)
from test_page import browser  # noqa: F401

import gnntrack
from gnntrack.corrections import apply_edits
from gnntrack.errors import FormatError, InputError, OutputError
from gnntrack.lineage.edits import Edit, EditList, read_edits
from gnntrack.reporting import write_report
from gnntrack.results import load_result
from gnntrack.serving.live import OutdatedPageError
from gnntrack.serving.opening import open_live_result
from gnntrack.serving.server import TOKEN_HEADER, make_server


@pytest.fixture(scope="module")
def tracked(movie):  # noqa: F811
    """Result of a movie with divisions, drawn masks and fragments."""
    out = movie / "served" / "01_RES"
    gnntrack.track(movie / "images.npy", movie / "masks.npy", out=out, pictures=False)
    return out


@pytest.fixture
def result(tracked, tmp_path):
    """Copy of the result, in a folder of its own."""
    return shutil.copytree(tracked, tmp_path / "01_RES")


def ask(live, **request):
    return live.edit({"revision": live.revision} | request)


def cell_of(lineage, frame, label):
    return [frame, int(lineage.cells.label[lineage.cells.row_of(frame, label)])]


def long_tracks(lineage):
    return [int(track.id) for track in lineage if track.start == 0 and track.end > 8]


def make_edits(live):
    """Make an edit of each kind, by the labels of the page; return the answers."""
    answers = []

    def shown():
        return live.lineage

    first, second, third, fourth = long_tracks(shown())[:4]
    answers.append(ask(live, add={"kind": "cut", "cells": [[2, first], [3, first]]}))
    answers.append(ask(live, add={"kind": "join", "cells": [[6, second], [7, third]]}))
    answers.append(ask(live, add={"kind": "confirm", "cells": [[1, fourth], [2, fourth]]}))
    answers.append(ask(live, add={"kind": "spurious", "cells": [[4, fourth]]}))
    frame, parent, _ = shown().divisions[-1]
    answers.append(ask(live, add={"kind": "undivide", "cells": [[frame, int(parent)]]}))
    frame, parent, daughters = shown().divisions[0]
    answers.append(
        ask(live, add={"kind": "divide", "cells": [[frame, int(parent)], *([frame + 1, int(d)] for d in daughters)]})
    )
    assert all("data" in answer for answer in answers), answers
    return answers


def read_page(live):
    text = live.make_page("token")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --------------------------------------------------------------------------- the result


def test_what_is_saved_is_what_apply_edits_writes(result, tmp_path):
    live, _ = open_live_result(result, out=tmp_path / "saved")
    make_edits(live)
    assert not live.is_saved
    live.save({"revision": live.revision})
    assert live.is_saved
    assert "The result with 6 edits is in" in live.describe_end()
    apply_edits(result, tmp_path / "01_RES-edits.json", out=tmp_path / "applied")
    saved, applied = files_of(tmp_path / "saved"), files_of(tmp_path / "applied")
    summaries = [json.loads(each.pop("gnntrack/summary.json")) for each in (saved, applied)]
    for summary in summaries:
        del summary["seconds"], summary["finished"], summary["stages"]
    assert summaries[0] == summaries[1]
    assert saved == applied
    assert json.loads(saved["gnntrack/edits.json"])["labels"] == "input"


def test_an_answer_brings_the_page_to_the_lineage(result):
    """A page that was changed by answers holds the same as one that is loaded now."""
    live, _ = open_live_result(result)
    data = read_page(live)
    answers = [*make_edits(live), ask(live, remove=2), ask(live, remove=1)]
    assert any(answer["outlines"] for answer in answers)
    assert all(len(answer["outlines"]) < 12 for answer in answers)  # only those of frames whose masks change
    for answer in answers:
        data |= answer["data"]
        for frame, found in answer["outlines"].items():
            data["views"][0]["outlines"][int(frame)] = found["z"]
    loaded = read_page(live)
    assert loaded.pop("live")["edits"] == answers[-1]["edits"]
    del data["live"]
    assert data == loaded


def test_a_stack(tmp_path):
    """The outlines of all views and planes are replaced."""
    made = gnntrack.simulate(frames=4, cells=5, shape=(8, 60, 60), seed=2)
    np.save(tmp_path / "masks.npy", np.stack([np.asarray(frame) for frame in made.masks]))
    gnntrack.track(masks=tmp_path / "masks.npy", out=tmp_path / "01_RES", pictures=False)
    live, _ = open_live_result(tmp_path / "01_RES")
    data = read_page(live)
    first = next(int(track.id) for track in live.lineage if track.start == 0 and track.end == 3)
    answers = [ask(live, add={"kind": "spurious", "cells": [[1, first]]})]
    answers.append(ask(live, add={"kind": "cut", "cells": [[2, first], [3, first]]}))
    for answer in answers:
        assert "data" in answer, answer
        data |= answer["data"]
        for frame, found in answer["outlines"].items():
            for view in data["views"]:
                view["outlines"][frame] = found[view["axis"]]
            data["planes"]["outlines"][frame] = found["planes"]
    loaded = read_page(live)
    del data["live"], loaded["live"]
    assert len(data["views"]) == 3
    assert data == loaded


def test_two_servers_of_a_result_do_not_overwrite_each_others_edits(result):
    one, other = (open_live_result(result)[0] for _ in range(2))
    first, second = long_tracks(one.lineage)[:2]
    assert "problem" not in ask(one, add={"kind": "cut", "cells": [[2, first], [3, first]]})
    kept = one.edits_file.read_bytes()
    answer = ask(other, add={"kind": "cut", "cells": [[2, second], [3, second]]})
    assert "perhaps a second 'gnntrack serve'" in answer["problem"]
    assert one.edits_file.read_bytes() == kept
    assert "does not hold the last ones" in other.describe_end()
    with pytest.raises(OutputError, match="second 'gnntrack serve'"):
        other.save({"revision": other.revision})
    assert "are kept in" in one.describe_end()
    one.edits_file.rename(one.edits_file.with_suffix(".old"))
    assert "problem" not in other.save({"revision": other.revision})
    assert read_edits(other.edits_file).edits == other.edits


def test_edits_that_cannot_be_kept_are_told(result, tmp_path):
    live, _ = open_live_result(result)
    first = long_tracks(live.lineage)[0]
    (tmp_path / ".partial-01_RES-edits.json").mkdir()  # in the place of the temporary file
    answer = ask(live, add={"kind": "cut", "cells": [[2, first], [3, first]]})
    assert "cannot be kept in" in answer["problem"]
    assert len(live.edits) == len(answer["edits"]) == 1


def test_undo_goes_back_to_the_result(result):
    live, _ = open_live_result(result)
    before = read_page(live)
    assert unpack(before["cells"]["label"], "<i4").tolist() == load_result(result).cells.label.tolist()
    count = len(make_edits(live))
    for number in range(count, 0, -1):
        answer = ask(live, remove=number)
    assert (answer["edits"], answer["allChanges"]) == ([], 0)
    after = read_page(live)
    del before["live"], after["live"]
    assert before == after


def test_the_page_lists_what_else_changed(result):
    live, _ = open_live_result(result)
    first, second = long_tracks(live.lineage)[:2]
    answer = ask(live, add={"kind": "join", "cells": [[3, first], [4, second]]})
    after = live._state.shown
    columns = after.lineage.cells.frame.tolist(), after.lineage.cells.label.tolist()
    own = {cell: row for row, cell in enumerate(zip(*columns, strict=True))}
    removed = [names for added, _, names in answer["changes"] if not added]
    assert [3, 4] in [[source[0], target[0]] for source, target in removed]  # the links that the edit replaces
    links = set(zip(after.lineage.source.tolist(), after.lineage.target.tolist(), strict=True))
    for added, row, (source, target) in answer["changes"]:
        assert row == own[tuple(target)]
        assert ((own[tuple(source)], row) in links) is added
    assert answer["changeCount"] == answer["allChanges"] == len(answer["changes"]) >= 2


def test_refused_edits_change_nothing(result):
    live, _ = open_live_result(result)
    lineage = live.lineage
    first, second = long_tracks(lineage)[:2]
    ask(live, add={"kind": "join", "cells": [[3, first], [4, second]]})
    revision = live.revision
    names = live._state.shown.labels
    (source, target) = live.edits[0].cells
    shown = [[source[0], names[source]], [target[0], names[target]]]
    for add, reason in (
        ({"kind": "cut", "cells": shown}, "edit 1 links cell"),
        ({"kind": "join", "cells": shown}, "edit 1 is the same"),
        ({"kind": "spurious", "cells": [shown[0]]}, "edit 1 links cell"),
        ({"kind": "spurious", "cells": [[0, 9999]]}, "there is no cell 9999 of frame 0"),
        ({"kind": "cut", "cells": [shown[0], [3, 9999]]}, "there is no cell"),
    ):
        answer = ask(live, add=add)
        assert reason in answer["refused"], answer
        assert str(shown[0][1]) in answer["refused"] or "no cell" in reason or "same" in reason  # by shown labels
        assert set(answer) == {"revision", "refused"}
    assert (live.revision, len(live.edits)) == (revision, 1)
    for request in ({"add": {"kind": "glue", "cells": []}}, {"add": 3}, {"remove": 2}, {"remove": True}, {}):
        with pytest.raises(InputError):
            ask(live, **request)
    with pytest.raises(OutdatedPageError, match="reload it"):
        live.edit({"revision": revision - 1, "remove": 1})
    with pytest.raises(OutdatedPageError):
        live.save({"revision": "1"})
    assert (live.revision, len(live.edits)) == (revision, 1)


def test_edits_are_resumed(result, tmp_path):
    live, _ = open_live_result(result)
    make_edits(live)
    assert "the edits are kept in" in live.describe_end()
    again, refused = open_live_result(result)
    assert (again.edits, refused, again.is_saved) == (live.edits, [], False)
    again.save({"revision": again.revision})
    saved = tmp_path / "corrected" / "01_RES"
    assert load_result(saved).cells.label.tolist() == again._state.shown.lineage.cells.label.tolist()
    third, _ = open_live_result(result)  # may replace what it has saved
    assert third.is_saved
    assert read_page(third)["live"]["saved"]
    ask(third, remove=1)
    assert not third.is_saved
    third.save({"revision": third.revision})
    assert len(json.loads((saved / "gnntrack" / "edits.json").read_text())["edits"]) == 5
    (tmp_path / "01_RES-edits.json").unlink()
    with pytest.raises(OutputError, match="exists already"):
        open_live_result(result)


def test_edits_of_the_page_of_report_are_a_start(result, tmp_path):
    """They have the labels of the result, and contradictions among them are told."""
    first, second = long_tracks(load_result(result))[:2]
    edits = (
        Edit("cut", ((2, first), (3, first))),
        Edit("join", ((2, first), (3, first))),
        Edit("confirm", ((4, second), (5, second))),
    )
    (tmp_path / "edits.json").write_text(json.dumps(EditList(edits).to_dict()))
    live, refused = open_live_result(result, edits=tmp_path / "edits.json")
    assert [edit.kind for edit in live.edits] == ["cut", "join"]
    assert "edit 1 cuts the link" in refused[0]
    ask(live, remove=1)
    assert json.loads((tmp_path / "edits.json").read_text())["labels"] == "input"


def test_files_of_edits_that_do_not_fit(result, tmp_path):
    file = tmp_path / "01_RES-edits.json"
    file.write_text(json.dumps(EditList(fingerprint="0123").to_dict()))
    with pytest.raises(InputError, match="edits of another result"):
        open_live_result(result)
    file.write_text("no json")
    with pytest.raises(FormatError, match="cannot be read as edits"):
        open_live_result(result)
    file.unlink()
    with pytest.raises(OutputError, match="choose another file"):
        open_live_result(result, edits=tmp_path / "missing" / "edits.json")
    with pytest.raises(FormatError, match="no such folder; give a folder"):
        open_live_result(tmp_path / "missing")
    for out in (result, result / "corrected"):  # a folder in the result would change it
        with pytest.raises(OutputError, match="it is the result that is corrected"):
            open_live_result(result, out=out, overwrite=True)


def test_earlier_edits_of_the_result_are_kept(result, tmp_path):
    first, second = long_tracks(load_result(result))[:2]
    apply_edits(result, EditList((Edit("cut", ((2, first), (3, first))),)), out=tmp_path / "02_RES")
    live, _ = open_live_result(tmp_path / "02_RES")
    ((source, target),) = (edit.cells for edit in live._state.solution.applied)
    names = live._state.shown.labels
    answer = ask(live, add={"kind": "join", "cells": [[2, names[source]], [3, names[target]]]})
    assert (answer["earlier"], len(answer["overruled"])) == (0, 1)
    assert "it was made earlier, and now edit 1 links" in answer["overruled"][0][2]
    assert second


def test_results_of_other_programs(result, tmp_path):
    """Only what an edit names changes; the same as with apply-edits."""
    shutil.rmtree(result / "gnntrack")
    write_report(result, tmp_path / "report.html")
    assert re.search(r'"fingerprint":"[0-9a-f]{32}"', (tmp_path / "report.html").read_text())
    live, _ = open_live_result(result, out=tmp_path / "saved")
    first, second = long_tracks(live.lineage)[:2]
    tracks = len(live.lineage)
    answer = ask(live, add={"kind": "cut", "cells": [[3, second], [4, second]]})
    assert (len(live.lineage), answer["allChanges"]) == (tracks + 1, 0)
    ask(live, add={"kind": "spurious", "cells": [[5, first]]})
    assert "no scores" in read_page(live)["notes"][-1]
    live.save({"revision": live.revision})
    apply_edits(result, tmp_path / "01_RES-edits.json", out=tmp_path / "applied")
    saved, applied = files_of(tmp_path / "saved"), files_of(tmp_path / "applied")
    for each in (saved, applied):
        del each["gnntrack/summary.json"]
    assert saved == applied
    solved, _ = open_live_result(result, out=tmp_path / "solved", method="greedy")
    assert len(solved.edits) == 2
    assert "no scores" not in " ".join(read_page(solved)["notes"])


# --------------------------------------------------------------------------- the server


@contextmanager
def serving(live):
    with make_server(live, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def server(tracked, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    shutil.copytree(tracked, folder / "01_RES")
    live, _ = open_live_result(folder / "01_RES")
    with serving(live) as running:
        yield running


def request(server, method, path, *, body=b"", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    sent = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
    connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
    for name, value in sent.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    answer.text = answer.read().decode()
    connection.close()
    return answer


def post(server, content=None, path="/edit", **headers):
    """Send a request as the page does, except for the headers that are given; None leaves one out."""
    body = json.dumps(content if content is not None else {}).encode() if not isinstance(content, bytes) else content
    usual = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Origin": f"http://127.0.0.1:{server.server_port}",
        TOKEN_HEADER: server.token,
    }
    return request(
        server, "POST", path, body=body, **{name.replace("-", "_"): value for name, value in usual.items()} | headers
    )


def test_only_loopback_is_listened_on(server):
    assert server.server_address[0] == "127.0.0.1"
    assert server.url.startswith(f"http://127.0.0.1:{server.server_port}/?token=")
    assert len(server.token) >= 40


def test_the_page_needs_the_token(server):
    answer = request(server, "GET", f"/?token={server.token}")
    assert answer.status == 200
    assert "connect-src 'self'" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    followed = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}  # a link in another page
    assert request(server, "GET", f"/?token={server.token}", **followed).status == 200
    assert request(server, "GET", f"/?token={server.token}", Sec_Fetch_Site="cross-site").status == 403
    for path in ("/", "/?token=", f"/?token={server.token}x", f"/?token={server.token[:-1]}", "/?token=%FF"):
        answer = request(server, "GET", path)
        assert (answer.status, "data" in answer.text) == (403, False)
    for path in (f"/edit?token={server.token}", f"/../../etc/passwd?token={server.token}"):
        assert request(server, "GET", path).status in (403, 404)


def test_requests_of_others_are_refused(server):
    before = server.live.revision
    content = {"revision": before, "remove": 1}
    port = server.server_port
    wrong = [
        ({TOKEN_HEADER.replace("-", "_"): None}, 403),
        ({TOKEN_HEADER.replace("-", "_"): "wrong"}, 403),
        ({TOKEN_HEADER.replace("-", "_"): "ä".encode().decode("latin-1")}, 403),
        ({"Host": f"evil.example:{port}"}, 421),
        ({"Host": "127.0.0.1"}, 421),
        ({"Host": f"127.0.0.1:{port + 1}"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": f"https://127.0.0.1:{port}"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Length": None}, 411),
        ({"Content_Length": "-1"}, 411),
        ({"Content_Length": str(10**9)}, 413),
        ({"Content_Length": "9" * 5000}, 413),
        ({"Content_Length": "0" * 30 + "9" * 15}, 413),
        ({"Transfer_Encoding": "chunked"}, 411),
    ]
    for headers, status in wrong:
        answer = post(server, content, **headers)
        assert answer.status == status, (headers, answer.text)
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    for body in (b"{", b"[]", b"3", b"[" * 60000, b"\xff", b'{"revision": NaN}'):
        assert post(server, body).status in (400, 409)
    assert post(server, content, path="/etc/passwd").status == 404
    assert request(server, "GET", f"/?token={server.token}", Host="evil.example").status == 421
    assert request(server, "GET", f"/?token={server.token}", Origin="https://evil.example").status == 403
    for method in ("OPTIONS", "PUT", "DELETE", "HEAD"):
        answer = request(server, method, f"/?token={server.token}", Origin="https://evil.example")
        assert answer.status == 501
        assert "access-control-allow-origin" not in {name.lower() for name in answer.headers}
    assert post(server, content | {"revision": before - 1}).status == 409
    assert post(server, content).status == 400  # there is no edit 1
    assert server.live.revision == before


def test_edits_by_requests(server, capfd):
    lineage = server.live.lineage
    first = long_tracks(lineage)[0]
    add = {"kind": "cut", "cells": [[2, first], [3, first]]}
    answer = post(server, {"revision": server.live.revision, "add": add}, Host=f"localhost:{server.server_port}")
    assert answer.status == 200
    content = json.loads(answer.text)
    assert content["data"]["facts"][2] == f"{len(lineage) + 1} tracks"
    answer = post(server, {"revision": content["revision"], "remove": 1}, Origin=None)  # a program with the token
    assert json.loads(answer.text)["data"]["facts"][2] == f"{len(lineage)} tracks"
    answer = post(server, {"revision": server.live.revision, "out": "/tmp/evil"}, path="/save")
    assert json.loads(answer.text)["saved"] == str(server.live.out)  # no path is taken from the page
    assert server.token not in capfd.readouterr().err  # no log of requests


def test_a_port_that_is_in_use(server):
    with pytest.raises(InputError, match="choose another one, or 0"):
        make_server(server.live, server.server_port)


def test_the_command(result, tmp_path):
    line = [sys.executable, "-u", "-m", "gnntrack", "serve", str(result), "--no-browser"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        shown = [process.stdout.readline() for _ in range(2)]
        url = shown[0].split()[1]
        port, token = re.match(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)$", url).groups()
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=20)
        first = long_tracks(load_result(result))[0]
        content = {"revision": 1, "add": {"kind": "cut", "cells": [[2, first], [3, first]]}}
        headers = {"Content-Type": "application/json", TOKEN_HEADER: token}
        connection.request("POST", "/edit", json.dumps(content), headers)
        assert connection.getresponse().status == 200
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "The result with 1 edit was not saved; the edits are kept in" in out
    assert (tmp_path / "01_RES-edits.json").exists()
