"""The errors of a result: kinds, costs, shares, files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

import gnntrack
from gnntrack.cli import cli
from gnntrack.errors import InputError
from gnntrack.evaluate.corrected_graphs import correct_errors
from gnntrack.evaluate.differences import compare_graphs
from gnntrack.evaluate.error_kinds import ERROR_KINDS, find_owners
from gnntrack.evaluate.error_report import find_errors
from gnntrack.evaluate.error_shares import CORRECTIONS, SHARED, count_costs
from gnntrack.evaluate.matching import FrameMatch, match_graphs
from gnntrack.evaluate.metrics import count_corrections
from gnntrack.evaluate.tracking import score_identities
from tests.support.ctc_worlds import write_columns

TWO = [[1, 2]] * 5
TWO_ROWS = [(1, 0, 4, 0), (2, 0, 4, 0)]
DIVIDED = [[3, 0], [3, 0], [4, 5], [4, 5], [4, 5]]
DIVIDED_ROWS = [(3, 0, 1, 0), (4, 2, 4, 3), (5, 2, 4, 3)]
# per kind: columns of the ground truth by frame, its tracks, those of the result; (a, b) is a cell in two pieces
WORLDS = {
    "missed cell": (
        TWO,
        TWO_ROWS,
        [[1, 2], [0, 2], [3, 2], [3, 2], [3, 2]],
        [(1, 0, 0, 0), (3, 2, 4, 1), (2, 0, 4, 0)],
    ),
    "broken at a missed cell": (
        *(TWO, TWO_ROWS),
        *([[1, 2], [0, 2], [3, 2], [3, 2], [3, 2]], [(1, 0, 0, 0), (3, 2, 4, 0), (2, 0, 4, 0)]),
    ),
    "split cell": (TWO, TWO_ROWS, [[1, 2], [(1, 9), 2], *TWO[2:]], [*TWO_ROWS, (9, 1, 1, 0)]),
    "broken at a split cell": (
        *(TWO, TWO_ROWS),
        *([[1, 2], [(1, 9), 2], [9, 2], [9, 2], [9, 2]], [(1, 0, 1, 0), (9, 1, 4, 0), (2, 0, 4, 0)]),
    ),
    "merged cells": (TWO, TWO_ROWS, [*TWO[1:], [1, 1]], [(1, 0, 4, 0), (2, 0, 3, 0)]),
    "broken at merged cells": (
        *(TWO, TWO_ROWS),
        *([[1, 2], [1, 1], [1, 3], [1, 3], [1, 3]], [(1, 0, 4, 0), (2, 0, 0, 0), (3, 2, 4, 0)]),
    ),
    "spurious cell": (
        *([[1, 0]] * 5, [(1, 0, 4, 0)]),
        *([[1, 0], [1, 7], [1, 7], [1, 0], [1, 0]], [(1, 0, 4, 0), (7, 1, 2, 0)]),
    ),
    "missed division": (DIVIDED, DIVIDED_ROWS, [*DIVIDED[:2], [3, 5], [3, 5], [3, 5]], [(3, 0, 4, 0), (5, 2, 4, 0)]),
    "false division": (
        *([[1, 0], [1, 0], [1, 2], [1, 2], [1, 2]], [(1, 0, 4, 0), (2, 2, 4, 0)]),
        *(DIVIDED, DIVIDED_ROWS),
    ),
    "swap": (TWO, TWO_ROWS, [*TWO[:2], [2, 1], [2, 1], [2, 1]], TWO_ROWS),
    "false end": (
        *([[1, 2], [1, 2], [1, 0], [1, 0], [1, 0]], [(1, 0, 4, 0), (2, 0, 1, 0)]),
        *([[1, 2], [1, 2], [2, 0], [2, 0], [2, 0]], [(1, 0, 1, 0), (2, 0, 4, 0)]),
    ),
    "false start": (
        *([[1, 0], [1, 0], [1, 2], [1, 2], [1, 2]], [(1, 0, 4, 0), (2, 2, 4, 0)]),
        *([[1, 0], [1, 0], [3, 1], [3, 1], [3, 1]], [(1, 0, 4, 0), (3, 2, 4, 0)]),
    ),
    "missed link": (TWO, TWO_ROWS, [*TWO[:2], [3, 2], [3, 2], [3, 2]], [(1, 0, 1, 0), (3, 2, 4, 0), (2, 0, 4, 0)]),
    "wrong link": (
        *([[1, 0], [1, 0], [0, 2], [0, 2], [0, 2]], [(1, 0, 1, 0), (2, 2, 4, 0)]),
        *([[1, 0], [1, 0], [0, 1], [0, 1], [0, 1]], [(1, 0, 4, 0)]),
    ),
    "changed label": (TWO, TWO_ROWS, [*TWO[:2], [3, 2], [3, 2], [3, 2]], [(1, 0, 1, 0), (3, 2, 4, 1), (2, 0, 4, 0)]),
}


def write_world(folder, kind):
    """Write a ground truth and a result with one error."""
    truth, truth_rows, result, rows = WORLDS[kind]
    return write_columns(folder / "01_RES", result, rows), write_columns(folder / "01_GT" / "TRA", truth, truth_rows)


def test_there_is_a_world_for_each_kind():
    assert list(WORLDS) == list(ERROR_KINDS)


@pytest.mark.parametrize("kind", WORLDS)
def test_an_error_has_its_kind_and_costs_all_that_the_metrics_lack(tmp_path, kind):
    report = find_errors(*write_world(tmp_path, kind))
    assert report.columns["kind"].tolist() == [kind]
    first = {"merged cells": 4, "broken at merged cells": 1}.get(kind, 1 if "cell" in kind else 2)
    assert report.columns["frame"].tolist() == [first]
    share = report.kinds[kind]
    for metric in SHARED:
        assert share.lost[metric] == pytest.approx(1 - report.scores[metric]), metric


def test_cells_tracks_and_place_are_listed(tmp_path):
    row = find_errors(*write_world(tmp_path, "broken at merged cells")).to_pandas().iloc[0]
    assert (row.result_tracks, row.truth_tracks, row.frame, row.last_frame) == ("1 2 3", "1 2", 1, 2)
    assert (row.y, row.x) == (3.5, 3.5)
    assert (row.merged_cells, row.missed_links) == (1, 4)


def draw_forest(rng, n_frames):
    """Return a table of tracks; some have a parent that ends before them."""
    rows = []
    for label in range(1, int(rng.integers(3, 9))):
        begin = int(rng.integers(n_frames))
        parents = [row for row in rows if row[2] in (begin - 1, begin - 2)]
        parent = parents[rng.integers(len(parents))][0] if parents and rng.random() < 0.7 else 0
        rows.append((label, begin, int(rng.integers(begin, n_frames)), parent))
    return np.array(rows)


def draw_matches(rng, rows, truth_rows, n_frames):
    """Return random matches: equal labels, mostly; a cell may cover several, and others be pieces."""
    matches = []
    for t in range(n_frames):
        labels, truth = (side[(side[:, 1] <= t) & (t <= side[:, 2]), 0] for side in (rows, truth_rows))
        other = rng.choice(labels, len(truth)) if len(labels) else truth
        covering = np.where(np.isin(truth, labels) & (rng.random(len(truth)) < 0.7), truth, other)
        matched = (rng.random(len(truth)) < 0.8) & (len(labels) > 0)
        pieces = np.setdiff1d(labels, covering[matched])[: int(rng.integers(3)) if len(truth) else 0]
        hosts = rng.choice(truth, len(pieces)) if len(truth) else pieces
        some = truth[matched], covering[matched]
        matches.append(FrameMatch(truth, labels, *some, np.ones(int(matched.sum())), pieces, hosts))
    return matches


@pytest.mark.parametrize("seed", range(40))
def test_the_errors_are_all_corrections_and_nothing_else(seed):
    rng = np.random.default_rng(seed)
    truth_rows, rows = draw_forest(rng, 6), draw_forest(rng, 6)
    if seed % 2:
        rows = truth_rows
    matches = draw_matches(rng, rows, truth_rows, 6)
    known = compare_graphs(match_graphs(rows, truth_rows, matches))
    owners = find_owners(known)
    counts = count_corrections(known.graphs)
    total = dict(zip(CORRECTIONS, count_costs(known, owners).sum(axis=0).tolist(), strict=True))
    assert list(total.values()) == [counts[name] for name in ("FN", "FP", "NS", "EA", "ED", "EC")]

    none, every = np.zeros(len(owners.kind), bool), np.ones(len(owners.kind), bool)
    corrected, their = correct_errors(known, owners, every, 6)
    graphs = match_graphs(corrected, truth_rows, their)
    assert {count_corrections(graphs)[name] for name in ("FN", "FP", "NS", "EA", "ED", "EC")} == {0}
    assert set(score_identities(graphs, corrected, truth_rows, their).values()) == {1.0}
    same, their = correct_errors(known, owners, none, 6)
    again = count_corrections(match_graphs(same, truth_rows, their))
    assert again == counts


def test_the_command_writes_a_list_and_shows_the_shares(tmp_path):
    result, truth = map(str, write_world(tmp_path, "swap"))
    out = tmp_path / "errors"
    run = CliRunner().invoke(cli, ["evaluate", result, truth, "--errors", str(out)])
    assert run.exit_code == 0, run.output
    assert "swap             1  -0.4167  100" in run.output
    assert (out / "errors.csv").read_text().splitlines()[1].startswith("swap,2,2,1 2,1 2,3.5,3.5,")
    swap = json.loads((out / "errors.json").read_text())["kinds"]["swap"]
    assert swap["corrections"]["wrong_links"] == 2
    assert "successors of each other" in swap["definition"]
    again = CliRunner().invoke(cli, ["evaluate", result, truth, "--errors", str(out)])
    assert again.exit_code
    assert "exists already" in again.output
    table = tmp_path / "list.csv"
    run = CliRunner().invoke(cli, ["evaluate", result, truth, "--errors", str(table), "--json"])
    assert json.loads(run.stdout)["test_the_command_writes_a_list0/01_RES"]["errors"]["errors"] == 1
    assert table.read_text().startswith("kind,frame")


@pytest.mark.parametrize(
    ("extra", "message"), [(["01_RES", "01_GT"], "errors of one RES"), (["--gate", "3"], "--errors is for masks")]
)
def test_several_results_and_points_are_refused(tmp_path, extra, message):
    result, truth = map(str, write_world(tmp_path, "swap"))
    run = CliRunner().invoke(cli, ["evaluate", result, truth, *extra, "--errors", str(tmp_path / "out")])
    assert run.exit_code == 2
    assert message in run.output
    assert not (tmp_path / "out").exists()


def test_graphs_have_no_list_of_errors():
    points = {"movie": gnntrack.PointGraph([1, 2], [0, 1], [[0, 0], [0, 1]], [0], [1], (1, 1))}
    with pytest.raises(InputError, match="errors are listed for masks with tracks"):
        find_errors(points, points)
