"""Our network: what it says depends on the movie alone, and at first it says what the classical scores say."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

import numpy as np
import pytest
import torch
from support import worlds
from support.learning import compute_outputs, draw_inputs, make_random_network, simulate_small, with_links
from torch.utils._python_dispatch import TorchDispatchMode

from gnntrack.errors import FormatError
from gnntrack.gnn.batch import Batch
from gnntrack.gnn.inputs import CELL_INPUTS, LINK_INPUTS, Inputs
from gnntrack.gnn.linknet import LinkNet
from gnntrack.gnn.predict import predict_log_odds
from gnntrack.pipeline import build_graph
from gnntrack.scores import score_links
from gnntrack.settings import ScoreSettings
from gnntrack.types import CellGraph

CLOSE = {"atol": 1e-5, "rtol": 0}


def odds(outputs):
    return [each.sigmoid() for each in (outputs.link, outputs.pair, outputs.spurious)]


def inputs_of(graph: CellGraph) -> Inputs:
    return Inputs.from_graph(graph, score_links(graph, settings=ScoreSettings()))


# --- order -----------------------------------------------------------------------------------------------------------


def test_order_of_cells_links_and_pairs_does_not_matter():
    inputs, net = draw_inputs(cells=10, frames=6), make_random_network()
    batch = Batch.from_windows([inputs])
    random = torch.Generator().manual_seed(0)
    cells, links, pairs = (torch.randperm(len(each), generator=random) for each in (batch.cell, batch.gap, batch.pair))
    place, at = torch.argsort(cells), torch.argsort(links)
    mixed = replace(
        batch,
        cell=batch.cell[cells],
        link=batch.link[links],
        pair=batch.pair[pairs],
        source=place[batch.source[links]],
        target=place[batch.target[links]],
        pairs=at[batch.pairs[pairs]].flip(1),
        gap=batch.gap[links],
    )
    before, after = compute_outputs(net, batch), compute_outputs(net, mixed)
    assert before.link.std() > 0.5  # it says something
    assert before.pair.std() > 0.5
    for old, new, order in zip(odds(before), odds(after), (links, pairs, cells), strict=True):
        torch.testing.assert_close(new, old[order], **CLOSE)


def test_windows_in_a_batch_know_nothing_of_each_other():
    windows, net = [draw_inputs(seed, cells=5 + seed) for seed in range(3)], make_random_network()
    apart = [compute_outputs(net, Batch.from_windows([each])) for each in windows]
    for order in ([0, 1, 2], [2, 0, 1]):
        together = odds(compute_outputs(net, Batch.from_windows([windows[i] for i in order])))
        for block, whole in enumerate(together):
            torch.testing.assert_close(whole, torch.cat([odds(apart[i])[block] for i in order]), **CLOSE)


# --- classical scores ------------------------------------------------------------------------------------------------


def test_a_fresh_network_says_what_the_classical_scores_say():
    inputs = inputs_of(build_graph(masks=simulate_small().masks))
    batch = Batch.from_windows([inputs])
    outputs = compute_outputs(LinkNet().eval(), batch)
    prior = torch.from_numpy(inputs.link[:, 0])
    assert torch.equal(outputs.link, prior)
    better = prior[batch.pairs].amax(1).clamp(min=0)
    assert len(better) > 20
    assert torch.equal(outputs.pair, better + batch.pair[:, 0])
    assert not outputs.spurious.any()


def test_a_part_of_what_the_network_says_is_believed():
    inputs, net = draw_inputs(), make_random_network()
    none, half, whole = (
        predict_log_odds(net, inputs, links_per_window=10**9, correction=part) for part in (0.0, 0.5, 1.0)
    )
    fresh = predict_log_odds(LinkNet(), inputs, links_per_window=10**9)
    for block in range(2):
        np.testing.assert_allclose(none[block], fresh[block], atol=1e-5)
        np.testing.assert_allclose(half[block], (fresh[block] + whole[block]) / 2, atol=1e-5)
        assert np.abs(whole[block] - fresh[block]).max() > 0.5


# --- windows of a movie ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("links_per_window", [1, 40, 300])
@pytest.mark.parametrize("rounds", [0, 1, 2])
def test_windows_do_not_show(links_per_window, rounds):
    inputs, net = draw_inputs(frames=24, cells=6), make_random_network(rounds=rounds)
    assert (np.diff(inputs.frame[np.stack([inputs.source, inputs.target])], axis=0) == 2).any()
    whole = predict_log_odds(net, inputs, links_per_window=10**9)
    parts = predict_log_odds(net, inputs, links_per_window=links_per_window)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4, rtol=0)


def test_an_answer_depends_on_as_many_links_as_the_network_says():
    """So that windows overlap by what is needed, and no more."""
    inputs, net = draw_inputs(frames=16, cells=4, chance=1.0), make_random_network(rounds=2)
    changed = replace(inputs, cell=inputs.cell.copy())
    changed.cell[inputs.frame == 15] += 3
    moved = np.abs(
        predict_log_odds(net, inputs, links_per_window=10**9)[0]
        - predict_log_odds(net, changed, links_per_window=10**9)[0]
    )
    first = inputs.frame[inputs.source][moved > 0].min()
    assert 15 - net.hops * 2 == first


def test_progress_is_told():
    told = []
    predict_log_odds(make_random_network(), draw_inputs(), links_per_window=1, progress=lambda *each: told.append(each))
    assert told[-1] == ("scoring", 5, 5)
    assert len(told) == 5


# --- size ------------------------------------------------------------------------------------------------------------


class _Largest(TorchDispatchMode):
    """Remembers the number of elements of the largest tensor that is made."""

    most = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for each in made if isinstance(made, tuple | list) else [made]:
            self.most = max(self.most, each.numel() if isinstance(each, torch.Tensor) else 0)
        return made


def many_links(n: int) -> Inputs:
    """Return n links between cells of ten frames, ten a cell."""
    random = np.random.default_rng(0)
    cells = n // 100
    frame = np.repeat(np.arange(11), cells)
    source = np.sort(random.integers(0, 10 * cells, n))
    target = (frame[source] + 1) * cells + random.integers(0, cells, n)
    link = random.normal(size=(n, len(LINK_INPUTS))).astype(np.float32)
    cell = random.normal(size=(len(frame), len(CELL_INPUTS))).astype(np.float32)
    few = draw_inputs()
    return Inputs(frame, source, target, few.pairs[:0], cell, link, few.pair[:0], 11, np.arange(n))


def test_memory_grows_with_the_links_and_no_faster():
    net, most = LinkNet().eval(), []
    for n in (5_000, 10_000):
        with _Largest() as largest:
            compute_outputs(net, Batch.from_windows([many_links(n)]))
        most.append(largest.most)
    assert most[0] <= 5_000 * 4 * 32
    assert most[1] == 2 * most[0]


def test_a_hundred_thousand_links():
    inputs = many_links(100_000)
    began = perf_counter()
    link = predict_log_odds(LinkNet(), inputs, links_per_window=60_000).link
    assert perf_counter() - began < 30
    assert np.isfinite(link).all()


def test_less_than_a_million_numbers():
    assert sum(each.numel() for each in LinkNet(width=64, rounds=4, embedding=128).parameters()) < 1_000_000


# --- any movie -------------------------------------------------------------------------------------------------------


def test_the_same_weights_in_2d_and_3d():
    net = make_random_network()
    for shape in ((128, 128), (16, 64, 64)):
        movie = simulate_small(shape=shape, diameter=10.0, frames=6)
        inputs = inputs_of(build_graph(movie.images, movie.masks))
        assert np.isfinite(inputs.cell).all()
        assert np.isfinite(inputs.link).all()
        assert all(np.isfinite(each).all() for each in predict_log_odds(net, inputs, links_per_window=10**9))


def test_columns_that_a_movie_does_not_have():
    masks = worlds.parent_divides().masks
    net = make_random_network()
    bare = inputs_of(build_graph(masks=masks))
    light = [i for i, name in enumerate(CELL_INPUTS) if "intensity" in name]
    assert len(light) == 8
    assert np.isnan(bare.cell[:, light]).all()
    assert np.isfinite(np.delete(bare.cell, light, 1)).all()
    apart = inputs_of(worlds.find_candidates(masks, runs=False))
    overlap = [i for i, name in enumerate(LINK_INPUTS) if "iou" in name or "containment" in name]
    assert len(overlap) == 6
    assert np.isnan(apart.link[:, overlap]).all()
    for inputs in (bare, apart):
        assert all(np.isfinite(each).all() for each in predict_log_odds(net, inputs, links_per_window=10**9))


def test_a_column_that_is_missing_counts_as_usual():
    inputs, net = draw_inputs(), make_random_network()
    net.cell_standard.mean[2] = 0.7
    usual, missing = (replace(inputs, cell=inputs.cell.copy()) for _ in range(2))
    usual.cell[:, 2], missing.cell[:, 2] = 0.7, np.nan
    torch.testing.assert_close(
        compute_outputs(net, Batch.from_windows([usual])).link,
        compute_outputs(net, Batch.from_windows([missing])).link,
        **CLOSE,
    )


@pytest.mark.parametrize("world", [worlds.empty_masks, worlds.lone_cell, worlds.frame_dropped, worlds.starts_late])
def test_movies_with_little_in_them(world):
    masks = world().masks
    for part in (masks, masks[:1]):
        inputs = inputs_of(build_graph(masks=part))
        answers = predict_log_odds(make_random_network(), inputs, links_per_window=50)
        assert [len(each) for each in answers] == [len(inputs.source), len(inputs.pairs), len(inputs.frame)]
        assert all(np.isfinite(each).all() for each in answers)


@pytest.mark.parametrize("links", [0, 7])
def test_no_links_or_no_pairs(links):
    inputs = with_links(draw_inputs(), np.arange(links))
    outputs = compute_outputs(make_random_network(), Batch.from_windows([inputs]))
    assert (len(outputs.link), len(outputs.pair), len(outputs.spurious)) == (links, 0, len(inputs.frame))
    assert torch.isfinite(outputs.spurious).all()


def test_a_graph_without_the_columns_says_which():
    with pytest.raises(FormatError, match="unknown link feature 'gap'; there are: none"):
        inputs_of(worlds.one_divides().graph)
    whole = build_graph(masks=worlds.parent_divides().masks)
    kept = [i for i, name in enumerate(whole.feature_names) if name != "residual"]
    names = tuple(whole.feature_names[i] for i in kept)
    with pytest.raises(FormatError, match="unknown link feature 'residual'"):
        inputs_of(replace(whole, features=whole.features[:, kept], feature_names=names))


# --- appearance ------------------------------------------------------------------------------------------------------


def test_appearance_is_heard():
    inputs, net = draw_inputs(), make_random_network(embedding=3)
    looks = np.random.default_rng(0).normal(size=(len(inputs.frame), 3)).astype(np.float32)
    with_looks, without = (replace(inputs, cell=np.hstack([inputs.cell, look])) for look in (looks, looks * 0))
    one, other = (compute_outputs(net, Batch.from_windows([each])).link for each in (with_looks, without))
    assert (one - other).abs().max() > 0.1
