"""The published network: learns a tiny movie, and says the same of it in any order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from support import worlds

from gnntrack.errors import FormatError
from gnntrack.gnn.batch import Batch, Targets
from gnntrack.gnn.pdn import PDN_CELLS, PdnNet, scale_columns, scale_frames
from gnntrack.gnn.predict import LogOdds, make_link_scores
from gnntrack.pipeline import build_graph
from gnntrack.scores import score_links
from gnntrack.settings import ScoreSettings, Settings, SimulateSettings
from gnntrack.simulate import simulate_movie
from gnntrack.training.truth import GroundTruth
from gnntrack.types import Tracks

FRAMES = 8


def simulate_graph(seed=1, shape=(128, 128), **options):
    """Return a graph of a simulated movie and the track of each cell, with the table of tracks."""
    life = SimulateSettings(frames=FRAMES, shape=shape, cells=8, **options)
    movie = simulate_movie(settings=life, seed=seed)
    graph = build_graph(movie.images, movie.masks)
    rows = movie.lineage.cells.row_of(graph.cells.frame, graph.cells.label)
    return graph, movie.lineage.track[rows], movie.lineage.tracks


def make_batch(graph, track, tracks, embedding=None):
    """Return a movie as one batch, and what is right in it."""
    inputs = PdnNet.inputs_of(graph, embedding=embedding)
    truth = GroundTruth.from_tracks(inputs, track, tracks, longest=3)
    return Batch.from_windows([inputs]), Targets.from_windows([inputs], [truth], [(0, graph.cells.n_frames)])


def taught(batch, answers, *, steps, fit=(), **sizes):
    torch.manual_seed(0)
    net = PdnNet(**sizes)
    net.fit(fit)
    adam = torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(steps):
        loss = net.loss(net(batch), batch, answers)
        adam.zero_grad()
        loss.backward()
        adam.step()
    return net.eval()


@pytest.fixture(scope="module")
def movie():
    return make_batch(*simulate_graph())


@pytest.fixture(scope="module")
def net(movie):
    return taught(*movie, steps=40, fit=[PdnNet.inputs_of(simulate_graph()[0])])


def says(net, batch):
    with torch.no_grad():
        return net(batch)


def test_learns_a_movie(movie, net):
    batch, answers = movie
    counts = (batch.gap == 1) & answers.past[batch.target]
    truth = answers.link[counts]
    chosen = says(net, batch).link[counts] > 0
    assert 0.2 < truth.float().mean() < 0.7  # so that the same answer to all is no way to pass
    assert (chosen == truth).float().mean() > 0.95


def measure_loss(net, batch, answers):
    return float(net.loss(says(net, batch), batch, answers))


def test_standardised_columns_are_learned_sooner(movie, net):
    assert measure_loss(net, *movie) < 0.3 * measure_loss(taught(*movie, steps=40), *movie)


def test_the_frame_is_scaled_alike_in_shorter_movies(net):
    """Else links of movies with fewer frames than a window look unlike any of the training."""
    frame, window = torch.tensor([[3.0], [4.0], [12.0], [5.0], [6.0]]), torch.tensor([0, 0, 0, 1, 1])
    assert scale_frames(frame, window, 10)[:, 0].tolist() == pytest.approx([0, 1 / 9, 1, 0, 1 / 9])
    assert scale_frames(frame[:0], window[:0], 10).shape == (0, 1)
    inputs = PdnNet.inputs_of(simulate_graph()[0])
    whole, part = (Batch.from_windows([each]) for each in (inputs, inputs.cut_window(0, 4)[0]))
    longer, shorter = says(net, whole).link, says(net, part).link
    rows = inputs.cut_window(0, 4)[2]
    scored = part.gap == 1
    same = (longer[rows] > 0) == (shorter > 0)
    assert same[scored].float().mean() > 0.95


def test_statistics_leave_constant_columns_alone():
    graph = simulate_graph()[0]
    net = PdnNet()
    net.fit([PdnNet.inputs_of(graph)])
    assert net.link_standard.deviation[0] == 1  # a link is to the next frame, whatever the cells
    assert net.cell_standard.deviation[PDN_CELLS.index("z")] == 1
    assert (net.link_standard.deviation[list(map(PDN_CELLS.index, "yx"))] < 0.3).all()
    before = [each.clone() for each in net.buffers()]
    net.fit([])
    assert all(torch.equal(a, b) for a, b in zip(before, net.buffers(), strict=True))


def test_divisions_keep_their_classical_scores():
    graph = worlds.find_candidates(worlds.parent_divides().masks)
    prior = score_links(graph, settings=ScoreSettings())
    assert len(prior.pairs)
    inputs = PdnNet.inputs_of(graph, prior)
    scores = make_link_scores(inputs, prior, LogOdds(np.full(len(graph), -3.0), np.zeros(0)))
    assert np.array_equal(scores.pairs, prior.pairs)
    assert np.array_equal(scores.division, prior.division)
    assert scores.link == pytest.approx(1 / (1 + np.exp(3)))


def test_settings_of_the_publication_give_way_to_chosen_ones():
    plan = PdnNet.settings_for(Settings()).train
    assert (plan.steps, plan.patience, plan.dropout, plan.variants, plan.learning_rate) == (2000, 2000, 0.2, 2, 0.001)
    plan = PdnNet.settings_for(Settings().replace(train__steps=3000, train__dropout=0.3)).train
    assert (plan.steps, plan.patience, plan.dropout) == (3000, 3000, 0.3)


def test_order_of_cells_and_links_does_not_matter(movie, net):
    batch, _ = movie
    random = torch.Generator().manual_seed(0)
    cells, links = (torch.randperm(n, generator=random) for n in (len(batch.cell), len(batch.gap)))
    place = torch.argsort(cells)
    mixed = replace(
        batch,
        cell=batch.cell[cells],
        link=batch.link[links],
        source=place[batch.source[links]],
        target=place[batch.target[links]],
        gap=batch.gap[links],
    )
    before, after = says(net, batch).link[links].sigmoid(), says(net, mixed).link.sigmoid()
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)


def test_windows_in_a_batch_know_nothing_of_each_other(net):
    """Each is scaled to its own range."""
    inputs = [PdnNet.inputs_of(simulate_graph(seed)[0]) for seed in (2, 3)]
    windows = [inputs[0].cut_window(0, 5)[0], inputs[1].cut_window(2, 6)[0]]
    together = says(net, Batch.from_windows(windows)).link.sigmoid()
    apart = torch.cat([says(net, Batch.from_windows([each])).link.sigmoid() for each in windows])
    assert len(apart) > 100
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=0)


def test_knows_links_to_the_next_frame_only(movie, net):
    batch, _ = movie
    link = says(net, batch).link
    far = batch.gap > 1
    assert far.any()
    assert (link[far] == -12).all()
    assert (link[~far] != -12).all()
    assert (says(net, batch).spurious == -12).all()
    assert len(says(net, batch).pair) == 0
    two = replace(batch, pairs=torch.tensor([[0, 1], [0, 2]]), pair=torch.zeros(2, 0))
    assert says(net, two).pair.tolist() == [-12, -12]


def test_columns_that_are_constant_or_missing_say_nothing():
    nan = float("nan")
    columns = torch.tensor([[1.0, 7.0, nan, nan], [3.0, 7.0, nan, 2.0], [2.0, 7.0, nan, 4.0], [9.0, 7.0, 5.0, 3.0]])
    scaled = scale_columns(columns, torch.tensor([0, 0, 0, 1]))
    assert scaled.tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [0.5, 0, 0, 1], [0, 0, 0, 0]]
    assert scale_columns(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)).shape == (0, 3)


def test_learns_without_images():
    graph, track, tracks = simulate_graph(images=False)
    inputs = PdnNet.inputs_of(graph)
    assert np.isnan(inputs.cell[:, -3:]).all()
    batch, answers = make_batch(graph, track, tracks)
    net = taught(batch, answers, steps=2)
    assert all(torch.isfinite(each).all() for each in net.parameters())
    assert torch.isfinite(says(net, batch).link).all()


def test_columns_in_2d_and_3d():
    along_z = [name.split("_")[-1] == "z" for name in PDN_CELLS]
    flat = PdnNet.inputs_of(simulate_graph()[0]).cell
    assert np.isnan(flat).all(axis=0).tolist() == along_z
    graph, track, tracks = simulate_graph(shape=(16, 64, 64), diameter=10.0)
    solid = PdnNet.inputs_of(graph).cell
    assert np.isfinite(solid).all()
    column = dict(zip(PDN_CELLS, solid.T, strict=True))
    np.testing.assert_allclose(column["high_z"] - column["low_z"], graph.cells.feature("box_z"), rtol=1e-4)
    np.testing.assert_allclose(column["y"], graph.cells.position[:, 1], rtol=1e-5)
    np.testing.assert_array_equal(column["frame"], graph.cells.frame)
    batch, answers = make_batch(graph, track, tracks)
    assert torch.isfinite(says(taught(batch, answers, steps=1), batch).link).all()


@pytest.mark.parametrize("world", [worlds.lone_cell, worlds.empty_masks, worlds.frame_dropped])
def test_movies_with_little_in_them(world):
    graph = worlds.find_candidates(world().masks)
    inputs = PdnNet.inputs_of(graph)
    batch = Batch.from_windows([inputs])
    nothing = torch.zeros(len(graph.cells), dtype=torch.bool)
    ones = torch.ones(len(nothing))
    answers = Targets(torch.zeros(len(graph), dtype=torch.bool), nothing[:0], nothing, nothing, nothing, ones, ones)
    net = taught(batch, answers, steps=2, fit=[inputs])
    assert len(says(net, batch).link) == len(graph)
    assert torch.isfinite(says(net, batch).link).all()


def find_trends(graph, answers, batch):
    """Return the links that training raises, and those that it lowers, as pairs of rows."""
    outputs = replace(PdnNet().eval()(batch), link=torch.zeros(len(graph), requires_grad=True))
    PdnNet.loss(outputs, batch, answers).backward()
    slope = outputs.link.grad.numpy()
    ends = list(zip(graph.source.tolist(), graph.target.tolist(), strict=True))
    return [{ends[i] for i in np.flatnonzero(mask)} for mask in (slope < 0, slope > 0)]


def test_links_to_daughters_are_trained_as_wrong_ones():
    world = worlds.parent_divides()
    graph = worlds.find_candidates(world.masks)
    names = world.names(graph.cells)
    letters = sorted({name[0] for name in names})
    track = np.array([1 + letters.index(name[0]) for name in names])
    start, end = ([pick(graph.cells.frame[track == i + 1]) for i in range(len(letters))] for pick in (np.min, np.max))
    parent_track = 1 + letters.index("a")
    parent = [parent_track if letter in "bc" else 0 for letter in letters]
    tracks = Tracks(np.arange(len(letters)) + 1, start, end, parent)
    batch, answers = make_batch(graph, track, tracks)
    raised, lowered = find_trends(graph, answers, batch)
    row = {name: i for i, name in enumerate(names)}
    assert {(row["a2"], row["b3"]), (row["a2"], row["c3"])} <= lowered
    assert (row["a1"], row["a2"]) in raised
    assert (row["b3"], row["b4"]) in raised
    assert len(raised) == 8 * 5 + 2 + 2 * 2
    # links to cells whose past is not known are left alone
    answers.past[row["b4"]] = False
    raised, lowered = find_trends(graph, answers, batch)
    assert not any(target == row["b4"] for _, target in raised | lowered)


def test_appearance_is_heard():
    """Where every track has a look of its own, links are learnt sooner than where looks are mixed up."""
    graph, track, tracks = simulate_graph()
    names = np.random.default_rng(0).normal(size=(int(track.max()) + 1, 128)).astype(np.float32)
    looks = names[track] / np.linalg.norm(names[track], axis=1, keepdims=True)
    loss = []
    for each in (looks, np.random.default_rng(1).permutation(looks)):
        batch, answers = make_batch(graph, track, tracks, embedding=each)
        net = taught(batch, answers, steps=40, embedding=128)
        loss.append(float(net.loss(says(net, batch), batch, answers)))
    assert net.columns["cell"][: len(PDN_CELLS)] == PDN_CELLS
    assert len(net.columns["cell"]) == len(PDN_CELLS) + 128
    assert loss[0] < 0.3 * loss[1]


def test_every_part_of_the_network_is_trained():
    graph, track, tracks = simulate_graph()
    looks = np.random.default_rng(0).normal(size=(len(graph.cells), 128)).astype(np.float32)
    batch, answers = make_batch(graph, track, tracks, embedding=looks)
    torch.manual_seed(0)
    net = PdnNet(embedding=128)
    net.loss(net(batch), batch, answers).backward()
    assert [name for name, each in net.named_parameters() if not each.grad.any()] == []


def test_what_does_not_fit_is_refused(movie):
    batch, _ = movie
    with pytest.raises(FormatError, match="16 columns, the network reads 144"):
        PdnNet(embedding=128)(batch)
    graph = worlds.find_candidates(worlds.lone_cell().masks)
    with pytest.raises(FormatError, match=r"2 rows for 3 cells"):
        PdnNet.inputs_of(graph, embedding=np.zeros((2, 128), np.float32))
