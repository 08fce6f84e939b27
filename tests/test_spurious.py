"""Cells that are probably debris are dropped before the links are chosen, and each of them is listed."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from test_cli import run

import gnntrack
from gnntrack import movie_candidates
from gnntrack.corrections import apply_edits
from gnntrack.lineage.confidence import read_weights
from gnntrack.lineage.edits import Edit, EditList
from gnntrack.scores.spurious import CELL_EVIDENCE, measure_cell_evidence, rate_cells
from gnntrack.types import LinkScores

DEBRIS = 2, 2  # frame and label
pytestmark = pytest.mark.filterwarnings("ignore:the masks look poor")


@pytest.fixture
def movie(tmp_path, monkeypatch):
    """Path of masks: a cell, and debris where it would go next, which is said to be spurious."""
    masks = np.zeros((5, 60, 60), np.uint8)
    for t in range(5):
        masks[t, 10:18, 5 + 6 * t : 13 + 6 * t] = 1
    masks[2, 24:30, 20:26] = 2

    def rate(graph, *_, **__):
        cells = graph.cells
        return np.where((cells.frame == DEBRIS[0]) & (cells.label == DEBRIS[1]), 0.96, 0.1)

    monkeypatch.setattr(movie_candidates, "rate_cells", rate)
    monkeypatch.setitem(movie_candidates.HIGHEST_SPURIOUS, "links", 0.95)
    np.save(tmp_path / "masks.npy", masks)
    return tmp_path / "masks.npy"


def count_labels(folder):
    return [len(np.unique(tifffile.imread(file))) - 1 for file in sorted(folder.glob("mask*.tif"))]


def list_kinds(lineage):
    return lineage.to_pandas("repairs")[["frame", "kind", "track", "input_label"]].to_numpy().tolist()


def test_a_spurious_cell_is_dropped_and_listed(movie, tmp_path):
    out = tmp_path / "01_RES"
    lineage = gnntrack.track(masks=movie, out=out)
    assert (len(lineage.cells), len(lineage)) == (5, 1)
    assert list_kinds(lineage) == list_kinds(gnntrack.load(out)) == [[2, "spurious", 0, 2]]
    [reason] = pd.read_csv(out / "gnntrack" / "repairs.csv").reason
    assert reason == "is no cell with a probability of 96 %"
    assert count_labels(out) == [1] * 5
    counts = json.loads((out / "gnntrack" / "summary.json").read_text())["counts"]
    assert (counts["cells_in_input"], counts["cells"], counts["cells_spurious"]) == (6, 5, 1)


def test_the_screen_names_the_number_of_spurious_cells(movie, tmp_path):
    result = run("track", "--masks", movie, "-o", tmp_path / "01_RES")
    assert "5 = 6 in the masks - 1 spurious" in " ".join(result.output.split())


def test_a_limit_that_would_drop_more_than_a_tenth_drops_none_with_a_warning(movie, monkeypatch, caplog):
    monkeypatch.setattr(movie_candidates, "rate_cells", lambda graph, *_, **__: np.full(len(graph.cells), 0.7))
    assert len(gnntrack.track(masks=movie).cells) == 6
    assert not caplog.messages
    assert len(gnntrack.track(masks=movie, drop_spurious=0.6).cells) == 6
    assert caplog.messages[0].startswith("none is dropped as spurious: 6 of 6 cells would be")


@pytest.mark.parametrize("options", [{"keep_masks": True}, {"drop_spurious": 1}, {"drop_spurious": 0.97}])
def test_no_cell_is_dropped_if_the_user_wants_none_to_be(movie, options):
    lineage = gnntrack.track(masks=movie, **options)
    assert len(lineage.cells) == 6
    assert "spurious" not in set(lineage.to_pandas("repairs").kind)


def test_no_cell_is_dropped_if_a_movie_has_too_many(movie, monkeypatch):
    monkeypatch.setattr(movie_candidates, "rate_cells", lambda graph, *_, **__: np.full(len(graph.cells), 0.96))
    assert len(gnntrack.track(masks=movie).cells) == 6


def test_solve_tells_how_many_cells_are_dropped(movie, tmp_path):
    run("build-graph", "--masks", movie, "-o", tmp_path / "graph.geff")
    told = run("solve", tmp_path / "graph.geff", "-o", tmp_path / "lineage.geff").output
    assert "1 cell probably spurious" in told
    told = run("solve", tmp_path / "graph.geff", "-o", tmp_path / "all.geff", "--drop-spurious", "1").output
    assert "spurious" not in told


def test_a_lineage_without_spurious_cells_can_be_exported_with_the_masks_that_hold_them(movie, tmp_path):
    lineage = gnntrack.solve(gnntrack.build_graph(masks=movie))
    gnntrack.export(lineage, tmp_path / "lineage.geff", to="geff")
    gnntrack.export(gnntrack.load(tmp_path / "lineage.geff"), tmp_path / "01_RES", masks=movie)
    assert count_labels(tmp_path / "01_RES") == [1] * 5
    gnntrack.track(masks=movie, out=tmp_path / "02_RES")
    gnntrack.export(gnntrack.load(tmp_path / "02_RES"), tmp_path / "03_RES", masks=tmp_path / "02_RES")
    assert count_labels(tmp_path / "03_RES") == [1] * 5


def test_a_cell_that_an_edit_names_is_kept(movie, tmp_path):
    gnntrack.track(masks=movie, out=tmp_path / "01_RES")
    join = EditList((Edit("join", ((1, 1), DEBRIS)),), labels="input")
    apply_edits(tmp_path / "01_RES", join, out=tmp_path / "02_RES")
    assert count_labels(tmp_path / "02_RES")[2] == 2


@pytest.mark.parametrize("scorer", ["links", "network"])
def test_a_cell_without_good_links_is_more_likely_spurious(movie, scorer):
    graph = gnntrack.build_graph(masks=movie)
    said = np.full(len(graph.cells), 0.3)
    good, bad = (LinkScores(np.full(len(graph), p), spurious=said) for p in (0.99, 0.01))
    middle = (graph.cells.frame > 0) & (graph.cells.frame < 4)
    low, high = (rate_cells(graph, scores, scorer=scorer) for scores in (good, bad))
    assert (low < high)[middle].all()
    assert measure_cell_evidence(graph, good, scorer=scorer).shape == (len(graph.cells), len(CELL_EVIDENCE[scorer]))


def test_a_surer_network_makes_a_cell_more_likely_spurious(movie):
    graph = gnntrack.build_graph(masks=movie)
    low, high = (
        rate_cells(graph, LinkScores(np.full(len(graph), 0.2), spurious=np.full(len(graph.cells), p)), scorer="network")
        for p in (0.1, 0.5)
    )
    assert (low < high).all()


@pytest.mark.parametrize("scorer", ["links", "network"])
def test_weights_have_the_signs_of_the_evidence(scorer):
    weights = read_weights("gnntrack.scores")[f"cell_{scorer}"]["weights"]
    assert list(weights) == list(CELL_EVIDENCE[scorer])
    assert all(weights[name] * sign >= 0 for name, sign in CELL_EVIDENCE[scorer].items())
