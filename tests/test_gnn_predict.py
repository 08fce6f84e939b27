"""Scores from a network's log odds, their calibration, and the mistakes of the solution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit
from support import worlds
from support.learning import draw_inputs, draw_truth, make_tiny_sample, simulate_small

from gnntrack.errors import InputError
from gnntrack.gnn.predict import LogOdds, make_link_scores
from gnntrack.models.devices import find_device
from gnntrack.training.calibration import (
    Mistakes,
    count_mistakes,
    find_true_links,
    fit_temperature,
    measure_reliability,
)
from gnntrack.training.samples import Sample
from gnntrack.training.truth import GroundTruth
from gnntrack.types import CellGraph, LinkScores


def make_random(seed=0, **options):
    """Return inputs that retain every second link of the graph, a prior, and random log odds."""
    inputs = draw_inputs(seed, **options)
    inputs = replace(inputs, rows=2 * np.arange(len(inputs.source)))
    random = np.random.default_rng(seed)
    prior = LinkScores(random.uniform(0.01, 0.99, 2 * len(inputs.source)).astype(np.float32))
    return inputs, prior, LogOdds(random.normal(0, 2, len(inputs.source)), random.normal(0, 2, len(inputs.pairs)))


def sample_from(inputs, truth, prior) -> Sample:
    """Return a sample whose graph has no columns."""
    cells = worlds.make_world(" ".join(f"c{i}" for i in range(1))).graph.cells
    n = len(inputs.frame)
    cells = replace(
        cells,
        frame=inputs.frame,
        label=np.arange(n) + 1,
        position=np.zeros((n, 2)),
        features=np.zeros((n, 0)),
        n_frames=inputs.n_frames,
    )
    graph = CellGraph(cells, inputs.source, inputs.target, np.zeros((len(inputs.source), 0)), ())
    return Sample("random", inputs, truth, graph, prior, np.ones(n, np.int64))


# --- scores ----------------------------------------------------------------------------------------------------------


def test_scores_are_probabilities_and_shares_add_up():
    inputs, prior, log_odds = make_random()
    scores = make_link_scores(inputs, prior, log_odds)
    for name in ("link", "division", "marginal"):
        value = getattr(scores, name)
        assert value.dtype == np.float32
        assert value.min() >= 0
        assert value.max() <= 1
    into = np.bincount(inputs.target, scores.marginal[inputs.rows], len(inputs.frame))
    total = 1 + np.bincount(inputs.target, np.exp(log_odds.link), len(into))
    total += np.bincount(inputs.target[inputs.pairs].ravel(), np.exp(log_odds.pair).repeat(2), len(into))
    np.testing.assert_allclose(into, 1 - 1 / total, atol=1e-6)


def test_a_cells_options_by_hand():
    """One parent with two links and a division of both; the second daughter has another link."""
    inputs = draw_inputs(frames=2, cells=3, chance=0)
    ends = [(0, 3), (0, 4), (1, 4)]
    source, target = np.array(ends).T
    inputs = replace(
        inputs, source=source, target=target, pairs=np.array([[0, 1]]), rows=np.arange(3), link=np.zeros((3, 1))
    )
    link, pair = np.log([2.0, 3.0, 4.0]), np.log([12.0])
    scores = make_link_scores(inputs, LinkScores(np.full(3, 0.5)), LogOdds(link, pair))
    np.testing.assert_allclose(scores.link, [2 / 3, 3 / 4, 4 / 5], rtol=1e-5)
    np.testing.assert_allclose(scores.division, [12 / 15], rtol=1e-5)  # against the better link alone, 3
    np.testing.assert_allclose(scores.marginal, [14 / 15, 15 / 20, 4 / 20], rtol=1e-5)
    np.testing.assert_array_equal(scores.pairs, [[0, 1]])


def test_links_that_are_not_retained_keep_their_score():
    inputs, prior, log_odds = make_random()
    scores = make_link_scores(inputs, prior, log_odds)
    np.testing.assert_allclose(scores.link[1::2], prior.link[1::2], atol=1e-6)
    np.testing.assert_allclose(scores.link[::2], expit(log_odds.link), atol=1e-6)
    np.testing.assert_allclose(scores.marginal[1::2], prior.link[1::2], atol=1e-6)
    np.testing.assert_array_equal(scores.pairs, 2 * inputs.pairs)


def test_high_log_odds_do_not_overflow():
    inputs, prior, log_odds = make_random()
    scores = make_link_scores(inputs, prior, LogOdds(*(400 * each for each in log_odds[:2])))
    assert np.isfinite(scores.marginal).all()


def test_temperature_divides_the_log_odds():
    inputs, prior, log_odds = make_random()
    warm = make_link_scores(inputs, prior, log_odds, temperature=2.0)
    half = make_link_scores(inputs, prior, LogOdds(*(each / 2 for each in log_odds[:2])))
    for name in ("link", "division", "marginal"):
        np.testing.assert_allclose(getattr(warm, name), getattr(half, name), atol=1e-6)


@pytest.mark.parametrize("options", [{"pairs": False}, {"chance": 0.0}, {"cells": 0}])
def test_without_pairs_links_or_cells(options):
    inputs, prior, log_odds = make_random(**options)
    scores = make_link_scores(inputs, prior, log_odds)
    assert len(scores.link) == 2 * len(inputs.source)
    assert len(scores.division) == 0
    assert len(scores.marginal) == len(scores.link)


# --- calibration -----------------------------------------------------------------------------------------------------


def drawn_by_their_odds(seed=0, n=60, temperature=1.0):
    """Return a sample whose pasts are drawn by the odds of their links, and these log odds times the temperature."""
    inputs = replace(draw_inputs(seed, frames=2, cells=n, chance=5 / n, pairs=False))
    random = np.random.default_rng(seed)
    gain = random.normal(0, 2, len(inputs.source))
    right = np.zeros(len(gain), bool)
    for cell in range(n, 2 * n):
        links = np.flatnonzero(inputs.target == cell)
        odds = np.append(np.exp(gain[links]), 1)
        drawn = random.choice(len(odds), p=odds / odds.sum())
        right[links[drawn : drawn + 1]] = True
    known = np.ones(2 * n, bool)
    truth = GroundTruth(right, np.zeros(0, bool), known, known, ~known)
    prior = LinkScores(np.full(len(gain), 0.5))
    return sample_from(inputs, truth, prior), LogOdds(gain * temperature, np.zeros(0))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_found(temperature):
    posed = [drawn_by_their_odds(seed, 300, temperature) for seed in range(6)]
    found = fit_temperature([sample for sample, _ in posed], [log_odds for _, log_odds in posed])
    assert found == pytest.approx(temperature, rel=0.08)


def test_the_temperature_of_nothing_is_one():
    inputs, _, log_odds = make_random(chance=0.0)
    sample = sample_from(inputs, draw_truth(inputs), LinkScores(np.zeros(0)))
    assert fit_temperature([sample], [log_odds]) == 1
    assert fit_temperature([], []) == 1


def test_scores_that_can_be_believed():
    posed = [drawn_by_their_odds(seed, 400) for seed in range(6)]
    samples = [sample for sample, _ in posed]

    def ece(temperature):
        scores = [make_link_scores(each.inputs, each.prior, told, temperature=temperature) for each, told in posed]
        return measure_reliability(samples, scores)

    right = ece(1.0)
    assert right["ece"] < 0.012
    assert ece(0.25)["ece"] > 0.05
    assert ece(4.0)["ece"] > 0.05
    assert sum(right["count"]) == sum(len(each.inputs.source) for each in samples)
    assert all(abs(said - found) < 0.08 for said, found in zip(right["said"], right["right"], strict=True))


def test_reliability_by_hand():
    inputs = replace(draw_inputs(frames=2, cells=4, chance=0), link=np.zeros((4, 1)), rows=np.arange(4))
    inputs = replace(inputs, source=np.arange(4), target=np.arange(4, 8))
    known = np.array([True] * 7 + [False])  # the past of the last cell is not known: its link does not count
    truth = GroundTruth(np.array([True, False, True, True]), np.zeros(0, bool), known, known, ~known)
    scores = LinkScores(np.full(4, 0.5), marginal=np.array([0.95, 0.65, 0.65, 1.0]))
    told = measure_reliability([sample_from(inputs, truth, scores)], [scores])
    assert told["count"] == [0, 0, 0, 0, 0, 0, 2, 0, 0, 1]
    assert told["said"][9] == pytest.approx(0.95)
    assert told["right"][6] == pytest.approx(0.5)
    assert told["ece"] == pytest.approx((2 * 0.15 + 0.05) / 3, abs=1e-4)


# --- mistakes --------------------------------------------------------------------------------------------------------


def make_division():
    """Return the world of a division as a sample, and a function from link names to chosen links."""
    world = worlds.one_divides()
    graph = world.graph
    row = {
        f"{world.names[a]}-{world.names[b]}": i for i, (a, b) in enumerate(zip(graph.source, graph.target, strict=True))
    }
    pairs = np.sort([[row["a1-b2"], row["a1-c2"]], [row["b2-b3"], row["b2-c3"]]], axis=1)
    pairs = pairs[np.argsort(pairs[:, 0])]
    empty = draw_inputs(frames=1, cells=1)
    n, e = len(graph.cells), len(graph)
    inputs = replace(
        empty,
        frame=graph.cells.frame,
        source=graph.source,
        target=graph.target,
        pairs=pairs,
        cell=np.zeros((n, 1)),
        link=np.zeros((e, 1)),
        pair=np.zeros((2, 1)),
        n_frames=4,
        rows=np.arange(e),
    )
    link = np.zeros(e, bool)
    link[[row["a0-a1"], row["b2-b3"], row["c2-c3"]]] = True
    known = np.ones(n, bool)
    truth = GroundTruth(link, np.isin(pairs, row["a1-b2"]).any(axis=1), known, known, ~known)
    sample = Sample("divided", inputs, truth, graph, world.scores, known.astype(int))

    def choose(names):
        out = np.zeros(e, bool)
        out[[row[name] for name in names.split()]] = True
        return out

    return sample, choose


def test_mistakes_by_hand():
    sample, choose = make_division()
    every = "a0-a1 a1-b2 a1-c2 b2-b3 c2-c3"
    np.testing.assert_array_equal(find_true_links(sample), choose(every))
    assert count_mistakes(sample, choose(every)) == Mistakes(0, 0, 5, 1, 1, 1)
    assert count_mistakes(sample, choose("a0-a1 a1-b2 b2-b3 c2-c3")) == Mistakes(0, 1, 5, 0, 0, 1)
    wrong = count_mistakes(sample, choose("a0-a1 a1-b2 b2-b3 b2-c3"))
    assert wrong == Mistakes(1, 2, 5, 0, 1, 1)
    assert wrong.link_error == pytest.approx((1 + 3) / 7.5)
    assert wrong.division_f1 == 0
    assert count_mistakes(sample, choose("a0-a1") & False) == Mistakes(0, 5, 5, 0, 0, 1)


def test_cells_whose_past_is_not_known_are_no_mistakes():
    sample, choose = make_division()
    known = sample.truth.parent_known.copy()
    known[sample.graph.target[np.flatnonzero(choose("c2-c3"))]] = False
    sample = replace(sample, truth=replace(sample.truth, parent_known=known))
    assert count_mistakes(sample, choose("a0-a1 a1-b2 a1-c2 b2-b3 b2-c3")) == Mistakes(0, 0, 4, 1, 1, 1)


def test_mistakes_add_up():
    together = Mistakes(1, 2, 5, 0, 1, 1) + Mistakes(0, 1, 3, 1, 1, 2)
    assert together == Mistakes(1, 3, 8, 1, 2, 3)
    assert together.division_f1 == pytest.approx(2 / 5)
    assert Mistakes(0, 0, 3).division_f1 is None
    assert Mistakes().link_error == 0


def test_the_truth_makes_no_mistake():
    sample = make_tiny_sample(simulate_small(frames=16))
    assert sample.truth.pair.any()
    found = count_mistakes(sample, find_true_links(sample))
    assert found.link_error == 0
    assert found.division_f1 == 1


# --- devices ---------------------------------------------------------------------------------------------------------


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert find_device("auto") == find_device("cpu") == "cpu"
    for name in ("cuda", "mps", "abacus"):
        with pytest.raises(InputError, match=f"this machine does not have the device '{name}'; it has: cpu"):
            find_device(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert find_device("auto") == find_device("cuda") == "cuda"
