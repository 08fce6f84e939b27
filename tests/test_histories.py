"""Columns from the frames before and after a division, and from rivals: the same as by following cells one by one."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

import numpy as np
import pytest
from support.learning import simulate_small

from gnntrack.gnn.histories import (
    LINK_RIVALS,
    PAIR_HISTORIES,
    compare_with_rivals,
    find_likely_links,
    measure_histories,
)
from gnntrack.gnn.inputs import clip_log_odds, get_candidates
from gnntrack.pipeline import build_graph
from gnntrack.scores import score_links
from gnntrack.settings import ScoreSettings


@pytest.fixture(scope="module")
def movie():
    """Return a graph, the log odds of its links, and its division candidates."""
    small = simulate_small(frames=14)
    masks, images = (np.stack([stack[t] for t in range(14)]) for stack in (small.masks, small.images))
    masks[7][masks[7] == np.unique(masks[7])[1]] = 0  # a mask is missing
    graph = build_graph(images, masks)
    prior = score_links(graph, settings=ScoreSettings())
    return graph, clip_log_odds(prior.link), get_candidates(prior)


def rank_links(graph, odds, node, cell, *, without=-1):
    """Return the rows of the likely links of a cell, the best first, without one of them."""
    rows = [row for row in np.flatnonzero(node == cell) if odds[row] > 0 and row != without]
    return sorted(rows, key=lambda row: (-odds[row], row))


def walk(graph, odds, cell, *, forward):
    """Return up to three cells after a cell, or before it, along links that are the best of both cells."""
    (near, far) = (graph.source, graph.target) if forward else (graph.target, graph.source)
    rows = []
    while len(rows) < 3:
        own = rank_links(graph, odds, near, cell)[:1]
        if not own or rank_links(graph, odds, far, far[own[0]])[0] != own[0]:
            break
        cell = far[own[0]]
        rows.append(cell)
    return rows


def test_histories_are_those_of_cells_followed_one_by_one(movie):
    graph, odds, pairs = movie
    cells, found = graph.cells, measure_histories(find_likely_links(graph, odds), pairs)
    assert set(found) == set(PAIR_HISTORIES)
    size, light = (np.log(cells.feature(name).astype(np.float64)) for name in ("size", "intensity_mean"))
    longest = 0
    for row, (one, other) in enumerate(pairs.links):
        parent, daughters = graph.source[one], (graph.target[one], graph.target[other])
        before = walk(graph, odds, parent, forward=False)
        unknown = len(before) < 3 and cells.frame[[parent, *before]].min() == 0
        assert found["age"][row] == pytest.approx(np.nan if unknown else len(before), nan_ok=True)
        for name, value in (("size_before", size), ("intensity_before", light)):
            change = value[parent] - median(value[before]) if before else np.nan
            assert found[name][row] == pytest.approx(change, nan_ok=True)
        after = [walk(graph, odds, cell, forward=True) for cell in daughters]
        grown = [
            median(size[rest]) - size[cell] if rest else np.nan for cell, rest in zip(daughters, after, strict=True)
        ]
        assert found["growth"][row] == pytest.approx(np.mean(grown), nan_ok=True)
        if all(after):
            a, b = (cells.position[list(both)] for both in (daughters, (after[0][0], after[1][0])))
            small = 0.05 * graph.cell_radii[daughters[0]]
            ratio = (np.linalg.norm(b[0] - b[1]) + small) / (np.linalg.norm(a[0] - a[1]) + small)
            assert found["parting"][row] == pytest.approx(np.log(ratio))
        longest = max(longest, len(before))
    assert longest == 3
    assert len(pairs) > 30


def test_rivals_are_those_of_all_links_one_by_one(movie):
    graph, odds, pairs = movie
    links = np.arange(len(graph))
    found = compare_with_rivals(find_likely_links(graph, odds), links, odds)
    assert set(found) == set(LINK_RIVALS)

    def lead(row, node):
        rivals = rank_links(graph, odds, node, node[row], without=row)
        return np.clip(odds[row] - (odds[rivals[0]] if rivals else 0), -10, 10)

    some = np.random.default_rng(0).choice(links, 200, replace=False)
    for row in some:
        for end, node, far in (("source", graph.source, graph.target), ("target", graph.target, graph.source)):
            rivals = rank_links(graph, odds, node, node[row], without=row)
            assert found[f"lead_{end}"][row] == pytest.approx(lead(row, node))
            assert found[f"rival_lead_{end}"][row] == pytest.approx(lead(rivals[0], far) if rivals else 0)
    assert (found["rival_lead_target"][some] < 0).any()
    told = measure_histories(find_likely_links(graph, odds), pairs)
    for row, both in enumerate(pairs.links):
        best = [rank_links(graph, odds, graph.target, graph.target[each], without=each) for each in both]
        value = [odds[rivals[0]] if rivals else 0 for rivals in best]
        assert (told["rival_least"][row], told["rival_most"][row]) == pytest.approx((min(value), max(value)))


def test_where_the_movie_begins_or_ends_nothing_is_known(movie):
    graph, odds, pairs = movie
    found = measure_histories(find_likely_links(graph, odds), pairs)
    frame = graph.cells.frame[graph.source[pairs.links[:, 0]]]
    assert np.isnan(found["age"][frame == 0]).all()
    assert np.isnan(found["size_before"][frame == 0]).all()
    for name in ("remaining_least", "growth", "parting", "rejoined"):
        assert np.isnan(found[name][frame == graph.cells.n_frames - 2]).all(), name


def test_a_movie_without_images_and_one_without_gaps_lack_some(movie):
    graph, odds, pairs = movie
    near = np.flatnonzero(graph.gap == 1)
    place = np.full(len(graph), -1)
    place[near] = np.arange(len(near))
    close = replace(graph, source=graph.source[near], target=graph.target[near], features=graph.features[near])
    found = measure_histories(find_likely_links(close, odds[near]), replace(pairs, links=place[pairs.links]))
    assert set(PAIR_HISTORIES) - set(found) == {"apart_before"}
    small = simulate_small(frames=6)
    bare = build_graph(masks=np.stack([small.masks[t] for t in range(6)]))
    prior = score_links(bare, settings=ScoreSettings())
    found = measure_histories(find_likely_links(bare, clip_log_odds(prior.link)), get_candidates(prior))
    assert {name for name in PAIR_HISTORIES if "intensity" in name} == set(PAIR_HISTORIES) - set(found)


def test_pieces_that_are_one_again_are_told():
    """A mask falls into two for one frame: afterwards both pieces have the same best link, and no division has that."""
    small = simulate_small(frames=8)
    masks = np.stack([small.masks[t] for t in range(8)])
    label = int(np.bincount(masks[4].ravel())[1:].argmax()) + 1
    half = masks[4] == label
    middle = int(np.median(np.nonzero(half)[0]))
    half[:middle] = False
    masks[4][half] = masks.max() + 1
    graph = build_graph(masks=masks)
    prior = score_links(graph, settings=ScoreSettings())
    pairs = get_candidates(prior)
    found = measure_histories(find_likely_links(graph, clip_log_odds(prior.link)), pairs)
    daughters = graph.cells.label[graph.target[pairs.links]]
    pieces = (daughters == masks.max()).any(axis=1) & (daughters == label).any(axis=1)
    assert found["rejoined"][pieces].tolist() == [1] * pieces.sum()
    assert pieces.any()
