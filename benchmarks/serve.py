"""Time of an edit in the page of ``gnntrack serve``: until the movie is solved again, and until the page shows it.

``python benchmarks/serve.py`` tracks a movie, serves the result, and makes 20 edits at the first places of its review
list as a browser does: a request over HTTP, and the answer read as JSON. Then it undoes them one by one. It writes
``results/serve.json`` and ``.md``: median and longest time of a request, processor time of the server, and bytes of the
answer. If Chromium and Selenium are installed, the first edits are made in the page as well, and the time from the key
to the drawn lineage is measured there.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from record import RESULTS, describe_run, format_circumstances, format_table, get_default_data, write_record

import gnntrack
from gnntrack.lineage.doubts import Doubt, list_doubts
from gnntrack.results import load_result
from gnntrack.serving.live import LiveResult
from gnntrack.serving.opening import open_live_result
from gnntrack.serving.server import TOKEN_HEADER, PageServer, make_server
from gnntrack.types import Lineage

MOVIE = "Fluo-N2DL-HeLa/01"
METHODS = ("hungarian", "gnn")
EDITS = 20
KEYS = {"cut": "x", "undivide": "u", "spurious": "s", "confirm": "c"}
PRESS = """
const [key, done] = arguments;
const start = performance.now();
document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const isSending = () => document.body.classList.contains("sending");
const wait = () => (isSending() ? setTimeout(wait, 1) : done(performance.now() - start));
wait();
"""


def choose_edit(lineage: Lineage, doubt: Doubt) -> dict[str, Any] | None:
    """Return the edit that a person could make at a place of the review list, with labels of the result."""
    if doubt.row < 0:
        return None

    def name(row: int) -> list[int]:
        return [int(lineage.cells.frame[row]), int(lineage.cells.label[row])]

    past = lineage.source[lineage.target == doubt.row].tolist()
    if doubt.kind == "division":
        return {"kind": "undivide", "cells": [name(doubt.row)]}
    if doubt.kind == "short track":
        return {"kind": "spurious", "cells": [name(doubt.row)]}
    if past:
        kind = "cut" if doubt.kind == "link" else "confirm"
        return {"kind": kind, "cells": [name(past[0]), name(doubt.row)]}
    return None


@contextmanager
def serve(live: LiveResult) -> Iterator[PageServer]:
    with make_server(live, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Client:
    """Sends requests as the page does, and measures them."""

    def __init__(self, server: PageServer) -> None:
        self.server, self.revision = server, server.live.revision
        self.rows: list[dict[str, float]] = []

    def ask(self, request: dict[str, Any]) -> bool:
        """Return whether an edit was made."""
        body = json.dumps({"revision": self.revision} | request)
        headers = {"Content-Type": "application/json", TOKEN_HEADER: self.server.token}
        wall, cpu = time.perf_counter(), time.process_time()
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port)
        connection.request("POST", "/edit", body, headers)
        text = connection.getresponse().read()
        answer = json.loads(text)
        row = {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "bytes": len(text)}
        connection.close()
        if "data" not in answer:
            return False
        self.revision = answer["revision"]
        self.rows.append(row)
        return True


def make_edits(live: LiveResult, act: Callable[[dict[str, Any]], bool]) -> list[str]:
    """Make edits at the first places of the review list; return their kinds."""
    made: list[str] = []
    tried = set()
    while len(made) < EDITS:
        lineage = live.lineage
        for doubt in list_doubts(lineage):
            edit = choose_edit(lineage, doubt)
            if edit is not None and str(edit) not in tried:
                break
        else:
            return made
        tried.add(str(edit))
        if act(edit):
            made.append(edit["kind"])
    return made


def summarise(rows: list[dict[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {"count": len(rows)}
    for name in ("seconds", "cpu"):
        values = [row[name] for row in rows]
        found |= {f"{name}_median": round(statistics.median(values), 4), f"{name}_max": round(max(values), 4)}
    return found | {"bytes_max": int(max(row["bytes"] for row in rows))}


def measure_method(method: str, movie: Path, folder: Path) -> dict[str, Any]:
    images, masks = movie, movie.with_name(f"{movie.name}_ERR_SEG")
    gnntrack.track(images, masks, out=folder / "01_RES", method=method, pictures=False)
    start = time.perf_counter()
    live, _ = open_live_result(folder / "01_RES")
    row: dict[str, Any] = {"method": method, "opening_seconds": round(time.perf_counter() - start, 2)}
    with serve(live) as server:
        client = Client(server)
        row["kinds"] = make_edits(live, lambda edit: client.ask({"add": edit}))
        row["edit"] = summarise(client.rows)
        client.rows = []
        while live.edits:
            client.ask({"remove": len(live.edits)})
        row["undo"] = summarise(client.rows)
        row["in_browser"] = measure_browser(server)
    assert load_result(folder / "01_RES").track.tolist() == live.lineage.track.tolist()
    return row


def measure_browser(server: PageServer) -> dict[str, Any] | None:
    """Return the milliseconds from the key to the drawn lineage; None without a browser."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        return None
    try:
        from selenium import webdriver
    except ImportError:
        return None
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--window-size=1440,1000")
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        browser.get(server.url)
        times: dict[str, list[float]] = {"edit": [], "undo": []}
        for _ in range(3 * EDITS):
            browser.execute_async_script(PRESS, "n")
            for key in KEYS.values():
                before = len(server.live.edits)
                took = _press(browser, key)
                if len(server.live.edits) > before:
                    times["edit"].append(took)
                    break
            if len(times["edit"]) == EDITS:
                break
        while server.live.edits:
            times["undo"].append(_press(browser, "z"))
    finally:
        browser.quit()
    return {
        name: {"count": len(each), "ms_median": round(statistics.median(each), 1), "ms_max": round(max(each), 1)}
        for name, each in times.items()
    }


def _press(browser: Any, key: str) -> float:
    return float(browser.execute_async_script(PRESS, key))


def make_markdown(record: dict[str, Any]) -> str:
    rows = []
    for row in record["rows"]:
        for action in ("edit", "undo"):
            own, seen = row[action], (row["in_browser"] or {}).get(action)
            shown = f"{seen['ms_median']:.0f} / {seen['ms_max']:.0f}" if seen else "-"
            rows.append(
                [
                    f"{row['method']}, {action}",
                    str(own["count"]),
                    f"{own['seconds_median']:.3f} / {own['seconds_max']:.3f}",
                    f"{own['cpu_median']:.3f} / {own['cpu_max']:.3f}",
                    shown,
                ]
            )
    head = ["median / maximum", "number", "request, s", "processor time, s", "in the browser, ms"]
    about = f"Edits of {record['movie']} in the page of `gnntrack serve`."
    return f"# Edits in serve\n\n{about} {format_circumstances(record)}\n\n{format_table(head, rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=get_default_data())
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--out", type=Path, default=RESULTS / "serve.json")
    options = parser.parse_args()
    record = {"movie": MOVIE, **describe_run(), "rows": []}
    for method in options.methods:
        with tempfile.TemporaryDirectory() as folder:
            record["rows"].append(measure_method(method, options.data / MOVIE, Path(folder)))
    markdown = make_markdown(record)
    write_record(options.out, record, markdown)
    print(markdown)


if __name__ == "__main__":
    main()
