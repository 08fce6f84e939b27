"""Confidence of chosen links: a probability, lower where alternatives are near."""

from __future__ import annotations

import numpy as np
import pytest

from gnntrack import Settings, build_graph, solve
from gnntrack.scores.classical import ClassicalScorer
from gnntrack.scores.confidence import EVIDENCE, compute_confidence, measure_evidence
from gnntrack.types import LinkScores


def make_graph(offset=0):
    """Return the graph of two cells; in the last frame the second one lies `offset` pixels nearer to the first."""
    masks = np.zeros((4, 60, 60), np.uint8)
    masks[:, 10:18, 10:18] = 1
    masks[:3, 10:18, 40:48] = 2
    masks[3, 10:18, 40 - offset : 48 - offset] = 2
    return build_graph(masks=masks)


def test_links_between_distinct_cells_are_certain_and_lonely_ones_are_not():
    sure = solve(make_graph()).confidence
    doubtful = solve(make_graph(offset=16)).confidence
    assert sure.min() > 0.9
    assert doubtful.min() < sure.min()


def test_a_competing_link_lowers_the_confidence():
    graph = make_graph()
    chosen = (graph.cells.label[graph.source] == graph.cells.label[graph.target]) & (graph.gap == 1)
    alone = np.where(chosen, 0.95, 0.01)
    contested = np.where(chosen, 0.95, 0.9)
    low, high = (
        compute_confidence(graph, chosen, LinkScores(np.asarray(each, np.float32)), scorer="links").mean()
        for each in (contested, alone)
    )
    assert low < high


def test_a_link_with_open_ends_is_less_certain():
    graph = make_graph()
    scores = ClassicalScorer(Settings()).score(graph)
    same = (graph.cells.label[graph.source] == graph.cells.label[graph.target]) & (graph.gap == 1)
    whole = compute_confidence(graph, same, scores, scorer="links")
    middle = same & (graph.cells.frame[graph.source] == 1)
    lone = compute_confidence(graph, middle, scores, scorer="links")
    assert (lone < whole[graph.cells.frame[graph.source][same] == 1]).all()


@pytest.mark.parametrize("links", [0, 1, 5])
def test_evidence_has_a_row_per_chosen_link(links):
    graph = make_graph()
    chosen = np.zeros(len(graph), bool)
    chosen[:links] = True
    evidence = measure_evidence(graph, chosen, ClassicalScorer(Settings()).score(graph))
    assert evidence.shape == (links, len(EVIDENCE))
    assert np.isfinite(evidence).all()


def test_names_of_earlier_versions_work_with_a_warning():
    with pytest.warns(DeprecationWarning, match="use Settings.replace"):
        assert Settings().replaced(graph__max_gap=4).graph.max_gap == 4
    with pytest.warns(DeprecationWarning, match=r"use Lineage\.provenance"):
        assert "flow" in solve(make_graph()).notes
