"""Training data of a link network: columns without units, windows with their ground truth, statistics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.learning import TINY, draw_inputs, make_tiny_sample, simulate_small

from gnntrack.gnn.best_links import sort_by_odds
from gnntrack.gnn.inputs import (
    CELL_INPUTS,
    COLUMN_GROUPS,
    LINK_INPUTS,
    PAIR_INPUTS,
    Inputs,
    clip_log_odds,
    retain_links,
)
from gnntrack.gnn.linknet import LinkNet
from gnntrack.pipeline import build_graph
from gnntrack.scores import score_links
from gnntrack.training.samples import make_samples
from gnntrack.training.windows import Windows


@pytest.fixture(scope="module")
def sample():
    return make_tiny_sample(simulate_small(frames=24))


# --- columns ---------------------------------------------------------------------------------------------------------


def make_inputs(masks, images=None, spacing=None):
    graph = build_graph(images, masks, spacing=spacing)
    return Inputs.from_graph(graph, score_links(graph, settings=TINY.scores))


def test_the_size_of_a_pixel_and_the_grey_levels_do_not_matter():
    movie = simulate_small(frames=6)
    masks = np.stack([movie.masks[i] for i in range(6)])
    images = np.stack([movie.images[i] for i in range(6)]).astype(np.float32)
    one, other = make_inputs(masks, images, (1, 1)), make_inputs(masks, 8 * images, (0.25, 0.25))
    np.testing.assert_array_equal(one.source, other.source)
    for block in ("cell", "link", "pair"):
        np.testing.assert_allclose(getattr(one, block), getattr(other, block), atol=2e-3)


def test_columns_stay_small():
    for shape in ((128, 128), (16, 64, 64)):
        movie = simulate_small(shape=shape, diameter=10.0)
        inputs = make_inputs(movie.masks, movie.images)
        for block in ("cell", "link", "pair"):
            assert np.nanmax(np.abs(getattr(inputs, block))) <= 20


def test_links_that_could_win(sample):
    """The three best out of a cell and into it, the likely ones, and those of pairs; the true ones are among them."""
    graph, prior = sample.graph, clip_log_odds(sample.prior.link)
    kept = set(retain_links(graph, prior, np.array([[0, 1]])).tolist())
    for row in range(len(graph)):
        rivals = [prior[node == node[row]] for node in (graph.source, graph.target)]
        best = any((each > prior[row]).sum() < 3 for each in rivals)
        assert (row in kept) == (best or prior[row] > 0 or row in (0, 1))
    assert len(kept) < 0.9 * len(graph)
    np.testing.assert_array_equal(sample.inputs.source, graph.source[sample.inputs.rows])
    assert sample.truth.parent_known.mean() > 0.99


def test_links_of_equal_odds_stay_in_their_order():
    random = np.random.default_rng(0)
    group, odds = random.integers(0, 30, 3000), random.integers(-2, 3, 3000).astype(np.float64)
    np.testing.assert_array_equal(sort_by_odds(group, odds), np.lexsort((-odds, group)))
    assert len(sort_by_odds(group[:0], odds[:0])) == 0


def test_log_odds_are_within_what_a_score_can_tell():
    np.testing.assert_allclose(
        clip_log_odds(np.array([0.5, 0.9, 0.0, 1.0], np.float32)), [0, np.log(9), -10, 10], rtol=1e-4
    )


# --- windows ---------------------------------------------------------------------------------------------------------


def draw_batches(samples, *, n=40, length=8, links=1, division_share=0.0, seed=0):
    windows = Windows(samples, length=length, links=links, division_share=division_share)
    random = np.random.default_rng(seed)
    return [windows.draw(random) for _ in range(n)]


def parse_frames(name):
    first, last = name.partition(" frames ")[2].split(" to ")
    return int(first), int(last)


def test_the_truth_goes_with_the_links(sample):
    column = LINK_INPUTS.index("prior")
    true = {(a, b) for a, b in sample.inputs.link[sample.truth.link][:, [column, 2]].tolist()}
    some = 0
    for batch, answers, names in draw_batches([sample], links=400):
        assert int(batch.window.max()) + 1 == len(names)
        assert len(batch.link) >= 400
        seen = [tuple(row) for row in batch.link[:, [column, 2]].tolist()]
        right = answers.link.tolist()
        assert all((key in true) == good for key, good in zip(seen, right, strict=True))
        some += sum(right)
        gap = batch.window[batch.source] == batch.window[batch.target]
        assert gap.all()
    assert some > 1000


def test_the_ends_of_a_window_count_only_where_they_are_those_of_the_movie(sample):
    inputs = sample.inputs
    for batch, answers, (name,) in draw_batches([sample]):
        start, last = parse_frames(name)
        assert last - start == 7
        frame = np.sort(inputs.frame[(inputs.frame >= start) & (inputs.frame <= last)])
        assert len(frame) == len(batch.cell)
        low = start + 2 if start else 1  # the cells of the first frame have no past
        high = last - 2 if last < 23 else 22
        assert set(frame[answers.past.numpy()]) <= set(range(low, last + 1 if last == 23 else high + 1))
        assert set(frame[answers.future.numpy()]) <= set(range(start + 2 if start else 0, high + 1))
        assert answers.past.any()
        assert answers.future.any()


def test_windows_are_as_long_as_gaps_demand():
    """A cell whose true link may lie outside the window does not count."""
    far = make_tiny_sample(simulate_small(frames=24), settings=TINY.replace(graph__max_gap=4))
    inputs = far.inputs
    assert (inputs.frame[inputs.target] - inputs.frame[inputs.source]).max() == 4
    for _, answers, (name,) in draw_batches([far], length=3):
        start, last = parse_frames(name)
        assert last - start == 9
        frame = inputs.frame[(inputs.frame >= start) & (inputs.frame <= last)]
        assert answers.past.any()
        assert frame[answers.past.numpy()].min() >= (start + 4 if start else 1)
        assert frame[answers.future.numpy()].max() <= (last - 4 if last < 23 else 22)


def test_all_frames_are_drawn(sample):
    starts = {parse_frames(names[0])[0] for _, _, names in draw_batches([sample], n=200)}
    assert starts == set(range(24 - 8 + 1))


def test_a_movie_shorter_than_a_window_is_drawn_whole():
    short = make_tiny_sample(simulate_small(frames=4))
    assert {parse_frames(names[0]) for _, _, names in draw_batches([short], n=5)} == {(0, 3)}


def test_divisions_are_drawn_more_often(sample):
    parents = sample.inputs.frame[sample.inputs.source[sample.inputs.pairs[sample.truth.pair, 0]]]
    assert len(parents)
    rare = replace(sample, truth=replace(sample.truth, pair=sample.truth.pair.copy()))
    rare.truth.pair[np.flatnonzero(sample.truth.pair)[1:]] = False  # only one is left
    share = [
        np.mean([answers.pair.any().item() for _, answers, _ in draw_batches([rare], n=100, division_share=wanted)])
        for wanted in (0.0, 1.0)
    ]
    assert share[1] == 1
    assert share[0] < 0.7


def test_movies_are_drawn_by_the_root_of_their_links(sample):
    few, none = (
        make_tiny_sample(simulate_small(2, name="few", frames=4)),
        make_tiny_sample(simulate_small(3, name="none", frames=1)),
    )
    assert not len(none.inputs.source)
    names = [names[0].partition(" ")[0] for _, _, names in draw_batches([sample, few, none], n=400)]
    odds = np.sqrt(len(few.inputs.source) / len(sample.inputs.source))
    assert names.count("few") / names.count("simulated") == pytest.approx(odds, rel=0.4)
    assert "none" not in names


# --- statistics ------------------------------------------------------------------------------------------------------


def test_standards():
    inputs = [draw_inputs(seed) for seed in range(2)]
    cell = [each.cell.copy() for each in inputs]
    for each in cell:
        each[:, 1] = np.nan  # a column that no movie has
        each[:, 2] = 4.0  # one that is the same for all
    cell[0][:, 3] = np.nan  # one that some movies have not
    cell[1][0, 3] = np.inf
    samples = [
        replace(make_tiny_sample(), inputs=replace(each, cell=own)) for each, own in zip(inputs, cell, strict=True)
    ]
    net = LinkNet()
    net.fit([each.inputs for each in samples])
    mean, deviation = net.cell_standard.mean.numpy(), net.cell_standard.deviation.numpy()
    both = np.concatenate([each[:, 0] for each in cell])
    assert (mean[0], deviation[0]) == pytest.approx((both.mean(), both.std()), rel=1e-5)
    assert (mean[1], deviation[1]) == (0, 1)
    assert mean[2] == 4
    assert 0 < deviation[2] <= 1e-2
    assert (mean[3], deviation[3]) == pytest.approx((cell[1][1:, 3].mean(), cell[1][1:, 3].std()), rel=1e-5)
    links = np.concatenate([each.link for each in inputs])
    np.testing.assert_allclose(net.link_standard.mean, links.mean(axis=0), atol=1e-5)


def test_standards_leave_the_appearance_alone():
    sample = make_tiny_sample()
    looks = np.ones((len(sample.inputs.frame), 4), np.float32)
    seen = replace(sample, inputs=replace(sample.inputs, cell=np.hstack([sample.inputs.cell, looks])))
    net = LinkNet(embedding=4)
    net.fit([seen.inputs])
    assert len(net.cell_standard.mean) == len(CELL_INPUTS)


# --- versions of a movie ---------------------------------------------------------------------------------------------


def test_versions_of_a_movie():
    movie = simulate_small(frames=12)
    settings = TINY.replace(train__variants=4)
    plain, thin, spoilt, blind = make_samples([movie], settings=settings)
    assert plain.graph.cells.n_frames == spoilt.graph.cells.n_frames == 12
    assert thin.graph.cells.n_frames == 6
    light = CELL_INPUTS.index("intensity")
    assert np.isnan(blind.inputs.cell[:, light]).all()
    assert np.isfinite(plain.inputs.cell[:, light]).all()
    assert (plain.track > 0).all()
    again = make_samples([movie], settings=settings)
    for one, other in zip((plain, thin, spoilt, blind), again, strict=True):
        np.testing.assert_array_equal(one.inputs.cell, other.inputs.cell)
        np.testing.assert_array_equal(one.truth.link, other.truth.link)


def test_versions_without_a_link_are_left_out():
    assert not make_samples([simulate_small(frames=1)], settings=TINY.replace(train__variants=3))


@pytest.mark.parametrize("group", ["movie", "histories", "rivals"])
def test_a_network_can_be_trained_without_a_group_of_columns(group):
    settings = TINY.replace(train__variants=1, train__without=[group])
    [sample] = make_samples([simulate_small()], settings=settings)
    network = LinkNet.new([sample.inputs], settings.train)
    read = {name for names in network.columns.values() for name in names}
    assert not read & set(COLUMN_GROUPS[group])
    assert read | set(COLUMN_GROUPS[group]) == {*CELL_INPUTS, *LINK_INPUTS, *PAIR_INPUTS}
    link, pair, spurious = network.compute(network.select_columns(sample.inputs))
    np.testing.assert_allclose(link, sample.inputs.link[:, 0], atol=1e-5)  # untrained: the classical scores
    assert (len(pair), len(spurious)) == (len(sample.inputs.pairs), len(sample.inputs.frame))
