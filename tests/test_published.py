"""The rules of the published method: candidates, active links, parents, and what its result looks like."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from support import worlds

from gnntrack.io.frames import open_masks
from gnntrack.lineage.build import build_lineage
from gnntrack.movie import Movie, build_with_runs
from gnntrack.settings import Settings
from gnntrack.types import LinkScores

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def published(monkeypatch):
    """The program of the benchmark."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("published")


@pytest.fixture(scope="module")
def world():
    return worlds.parent_divides()


@pytest.fixture(scope="module")
def graph(world):
    return worlds.find_candidates(world.masks, max_gap=1, max_neighbours=1000, max_distance=40.0)


def choose(published, graph, names, probability):
    """Return the names of the active links; `probability` by name, 0 for the others."""
    ends = [f"{names[a]}-{names[b]}" for a, b in zip(graph.source.tolist(), graph.target.tolist(), strict=True)]
    active = published.choose_active_links(graph, np.array([probability.get(each, 0.0) for each in ends]))
    return {ends[row] for row in np.flatnonzero(active)}


def test_the_shortest_of_several_active_links_is_kept(published, world, graph):
    names = world.names(graph.cells)
    both = {"a2-b3": 0.9, "a2-c3": 0.6}
    kept = choose(published, graph, names, both)
    assert len(kept) == 1
    assert choose(published, graph, names, {each: 1 - p for each, p in both.items()}) == set()
    away = {"b3-b4": 0.6, "c3-b4": 0.99}
    assert choose(published, graph, names, away) == {"b3-b4"}


def test_a_track_that_begins_is_a_child_of_the_nearest_that_ended(published, world, graph):
    names = world.names(graph.cells)
    row = {name: i for i, name in enumerate(names)}
    ends = list(zip(graph.source.tolist(), graph.target.tolist(), strict=True))
    chosen = np.array([names[a][0] == names[b][0] for a, b in ends])
    lineage = build_lineage(graph, chosen, LinkScores(np.full(len(graph), 0.5, np.float32)))
    track = {letter: int(lineage.track[row[f"{letter}3" if letter in "bc" else f"{letter}2"]]) for letter in "abc"}
    assert published.find_nearest_parents(lineage) == {track["b"]: track["a"], track["c"]: track["a"]}
    # a cell without links is erased, and has neither parent nor children
    alone = chosen & np.array([names[a] != "c3" for a, _ in ends])
    lineage = build_lineage(graph, alone, LinkScores(np.full(len(graph), 0.5, np.float32)))
    assert int(lineage.track[row["c3"]]) not in published.find_nearest_parents(lineage)


def test_candidates_lie_within_the_side_of_the_largest_box(published, world):
    masks = world.masks
    settings = published.choose_neighbourhood(open_masks(masks), None, Settings())
    sides = [np.ptp(np.argwhere(mask == label), axis=0).max() + 1 for mask in masks for label in np.unique(mask)[1:]]
    assert settings.graph.max_distance == max(sides)
    assert (settings.graph.max_gap, settings.graph.max_neighbours) == (1, 1000)


def test_perfect_scores_leave_out_the_links_to_daughters(published, world, tmp_path):
    masks = open_masks(world.masks)
    settings = published.choose_neighbourhood(masks, None, Settings())
    graph, runs = build_with_runs(Movie(masks=masks), settings)
    letters = sorted({cell[0] for cell in world.label})
    for frame, mask in enumerate(world.masks):
        marker = np.zeros(mask.shape, np.uint16)
        for cell, label in world.label.items():
            if int(cell[1:]) == frame:
                marker[mask == label] = 1 + letters.index(cell[0])
        tifffile.imwrite(tmp_path / f"man_track{frame:03d}.tif", marker)
    right = published.score_perfectly(graph, runs, tmp_path).link == 1
    names = world.names(graph.cells)
    ends = zip(graph.source[right].tolist(), graph.target[right].tolist(), strict=True)
    daughters = {f"{a}-{b}" for a in ("a2",) for b in ("b3", "c3")}
    assert {f"{names[a]}-{names[b]}" for a, b in ends} == worlds.list_links(world.tracks) - daughters


def test_cells_without_a_mask_of_their_own_get_their_marker(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    add_missing_cells = importlib.import_module("perturbed").add_missing_cells
    marker = np.array([[1, 1, 0, 2, 2, 2, 0, 3, 0, 4, 4]])
    mask = np.array([[7, 7, 7, 7, 7, 7, 0, 0, 0, 9, 0]], np.uint16)  # 7 covers cells 1 and 2, 9 not enough of cell 4
    assert add_missing_cells(mask, marker).tolist() == [[10, 10, 7, 7, 7, 7, 0, 11, 0, 12, 12]]
