"""Training from points, and from ground truth in which only some cells are annotated."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from support.learning import TINY

import gnntrack
from gnntrack.cli import cli
from gnntrack.errors import InputError
from gnntrack.gnn.batch import Batch, Targets
from gnntrack.gnn.linknet import LinkNet
from gnntrack.gnn.point_inputs import GROUPS, POINT_LINK_INPUTS
from gnntrack.gnn.point_network import PointNetwork
from gnntrack.gnn.weights import load_model
from gnntrack.io.point_graph import write_point_graph
from gnntrack.settings import EmbryoSettings, Settings
from gnntrack.simulate import simulate_embryo
from gnntrack.training import TrainingRun, train
from gnntrack.training.link_task import _drop_groups
from gnntrack.training.point_folders import find_point_sources, open_tracked_movies, open_tracked_points
from gnntrack.training.point_samples import make_point_sample
from gnntrack.training.tracked_points import TrackedPoints, number_true_tracks, simulate_tracked_points, vary_points
from gnntrack.types import PointGraph, PointSet, Tracks

SMALL = EmbryoSettings(frames=16, cells=40, shape=(24, 128, 128), division_rate=0.01)
TRAINING = TINY.replace(train__steps=6, train__validate_every=3, graph__max_gap=4)


def write_embryo(folder, name="a", *, sparse=None, detections=True, seed=1005):
    embryo = simulate_embryo(settings=SMALL, seed=seed)
    write_point_graph(embryo.truth if sparse is None else embryo.sparse_truth(sparse), folder / f"{name}.geff")
    if detections:
        embryo.points.to_csv(folder / f"{name}_points.csv", index=False)
    return embryo


def follow(*, sparse):
    """Return a sample of three cells in a row, of which the first is followed: it divides at the end.

    Places along x, one cell a row::

        frame     0   1   2   3
        followed  a0  a1  a2  b3 and c3     b and c are followed too
        other     x0  x1  x2  x3
        other     y0  y1  y2  y3
    """
    place = {"a0": 0, "a1": 0, "a2": 0, "b3": -2, "c3": 2}
    place |= {f"{name}{t}": x for name, x in (("x", 11), ("y", -11)) for t in range(4)}
    names = sorted(place, key=lambda name: (int(name[1:]), name))
    frame = np.array([int(name[1:]) for name in names])
    position = np.array([[20.0, 20.0 + place[name]] for name in names])
    track = np.array([{"a": 1, "b": 2, "c": 3}.get(name[0], 0) for name in names])
    points = PointSet(frame, position, (1.0, 1.0), "um", n_frames=4, shape=(40, 40))
    tracks = Tracks([1, 2, 3], [0, 3, 3], [2, 3, 3], [0, 1, 1])
    settings = Settings().replace(graph__max_gap=2, graph__max_distance=30.0)
    movie = TrackedPoints("world", points, track, tracks, sparse=sparse)
    return make_point_sample(movie, network="linknet", settings=settings), names  # it scores clear links, too


def list_known(sample, names):
    truth = sample.truth
    return [{names[row] for row in np.flatnonzero(known)} for known in (truth.parent_known, truth.child_known)]


# --- which links have a loss -----------------------------------------------------------------------------------------


def test_a_followed_cell_is_known_between_its_first_and_its_last_point():
    sample, names = follow(sparse=True)
    past, future = list_known(sample, names)
    assert past == {"a1", "a2", "b3", "c3"}  # a0: the person may have begun there
    assert future == {"a0", "a1", "a2"}  # b3 and c3: the person may have stopped there
    inputs, truth = sample.inputs, sample.truth
    ends = [f"{names[a]}-{names[b]}" for a, b in zip(inputs.source, inputs.target, strict=True)]
    assert {ends[row] for row in np.flatnonzero(truth.link)} == {"a0-a1", "a1-a2"}
    assert [{ends[link] for link in pair} for pair in inputs.pairs[truth.pair]] == [{"a2-b3", "a2-c3"}]


def test_all_is_known_if_all_cells_are_annotated():
    sample, names = follow(sparse=False)
    past, future = list_known(sample, names)
    assert past == future == set(names)
    assert {names[row] for row in np.flatnonzero(sample.truth.spurious)} == {n for n in names if n[0] in "xy"}


def test_the_loss_compares_followed_cells_with_their_rivals_and_ignores_the_others():
    """The gradient of the loss at each link: none between two cells that nobody followed."""
    sample, names = follow(sparse=True)
    inputs = sample.inputs
    batch = Batch.from_windows([inputs])
    targets = Targets.from_windows([inputs], [sample.truth], [(0, 4)])
    network = LinkNet(dropout=0.0).eval()
    outputs = network(batch)
    leaves = {name: getattr(outputs, name).detach().requires_grad_() for name in ("link", "pair", "spurious")}
    settings = Settings().replace(train__penalty=0.0).train
    network.loss(replace(outputs, **leaves), batch, targets, settings).backward()
    slope = leaves["link"].grad.numpy()
    seen = set()
    for row, (a, b) in enumerate(zip(inputs.source, inputs.target, strict=True)):
        followed = names[a] in {"a0", "a1", "a2"} or names[b] in {"a1", "a2", "b3", "c3"}
        if not followed:
            assert slope[row] == 0
        elif sample.truth.link[row]:
            assert slope[row] < 0
        else:
            assert slope[row] > 0
        seen.add((followed, bool(sample.truth.link[row])))
    assert seen == {(False, False), (True, False), (True, True)}
    spurious = leaves["spurious"].grad.numpy()
    assert {names[row] for row in np.flatnonzero(spurious)} == {"a0", "a1", "a2", "b3", "c3"}
    true = sample.truth.pair
    assert (leaves["pair"].grad.numpy()[true] < 0).all()


def test_cells_at_a_gap_count_by_its_length():
    place = [[20.0, 20.0]] * 3
    points = PointSet(np.array([0, 1, 4]), np.array(place), (1.0, 1.0), "um", n_frames=5, shape=(40, 40))
    movie = TrackedPoints("gap", points, np.ones(3, np.int64), Tracks([1], [0], [4], [0]))
    truth = make_point_sample(movie, settings=Settings().replace(graph__max_gap=4)).truth
    assert truth.past_weight.tolist() == [1, 1, 3]
    assert truth.future_weight.tolist() == [1, 3, 1]


# --- tracks of a graph -----------------------------------------------------------------------------------------------


def test_odd_graphs_have_tracks():
    """A cell with three daughters, a link over a gap, and a cell with two parents, of which the later one counts."""
    frame = [0, 1, 1, 1, 3, 2]
    source, target = [0, 0, 0, 1, 2, 5], [1, 2, 3, 4, 5, 4]
    graph = PointGraph(np.arange(6) + 7, frame, np.arange(12).reshape(6, 2), source, target, (1, 1))
    track, tracks = number_true_tracks(graph)
    assert track.tolist() == [1, 2, 3, 4, 3, 3]
    assert tracks.parent.tolist() == [0, 1, 1, 1]
    assert tracks.end.tolist() == [0, 1, 3, 1]


def test_a_graph_without_points_has_no_tracks():
    track, tracks = number_true_tracks(PointGraph([], [], np.zeros((0, 2)), [], [], (1, 1)))
    assert not len(track)
    assert not len(tracks.id)


# --- folders ---------------------------------------------------------------------------------------------------------


def test_detections_are_matched_with_the_truth(tmp_path):
    embryo = write_embryo(tmp_path)
    (source,) = find_point_sources(tmp_path)
    movie = open_tracked_points(source, settings=Settings())
    assert not movie.sparse
    assert movie.points.spacing == embryo.spacing
    assert movie.points.radius is not None
    assert movie.points.intensity is not None
    matched = (movie.track > 0).mean()
    assert matched == pytest.approx((embryo.point_truth > 0).mean(), abs=0.03)


def test_a_truth_of_some_cells_is_sparse(tmp_path):
    write_embryo(tmp_path, sparse=0.2)
    (source,) = find_point_sources(tmp_path / "a.geff")
    assert open_tracked_points(source, settings=Settings()).sparse
    with pytest.raises(InputError, match=r"a: .* annotates \d+ of \d+ points, .* omit it, or give --truth sparse"):
        open_tracked_points(source, settings=Settings().replace(train__truth="dense"))


def test_without_detections_the_points_of_the_truth_are_used(tmp_path):
    embryo = write_embryo(tmp_path, detections=False)
    (source,) = find_point_sources(tmp_path)
    movie = open_tracked_points(source, settings=Settings())
    assert len(movie.track) == len(embryo.truth)
    assert not movie.detected
    varied = vary_points(movie, np.random.default_rng(0))
    assert 0 < (varied.track == 0).sum() < len(varied.track) / 2


def test_detections_of_another_movie_are_refused(tmp_path):
    write_embryo(tmp_path)
    write_embryo(tmp_path, "b", seed=1006)
    (tmp_path / "b_points.csv").replace(tmp_path / "a_points.csv")
    with pytest.raises(InputError, match=r"a_points.csv.*they are of different movies, or in different units"):
        open_tracked_movies([tmp_path / "a.geff"], None, simulated=0, seed=0, settings=Settings())


def test_a_graph_without_links_is_refused(tmp_path):
    embryo = write_embryo(tmp_path)
    write_point_graph(replace(embryo.truth, source=[], target=[]), tmp_path / "b.geff")
    with pytest.raises(InputError, match="no links to learn from"):
        train([tmp_path], tmp_path / "model", settings=TRAINING)


# --- variants --------------------------------------------------------------------------------------------------------


def test_a_variant_has_tracks_of_the_frames_that_it_keeps():
    movie = simulate_tracked_points(7)
    assert movie.points.position.shape[1] == 2
    kept = movie.keep_frames(range(1, 40, 4))
    assert kept.n_frames == 10
    first = movie.points.frame == 5
    second = kept.points.frame == 1
    assert np.array_equal(movie.points.position[first], kept.points.position[second])
    assert np.array_equal(movie.track[first], kept.track[second])
    for seed in range(4):
        varied = vary_points(kept, np.random.default_rng(seed))
        inside = varied.points.position <= (np.array(varied.points.shape) - 1) * varied.points.spacing
        assert inside.all()
        assert set(varied.track.tolist()) <= {0, *varied.tracks.id.tolist()}


# --- training --------------------------------------------------------------------------------------------------------


def test_a_network_is_trained_from_the_layout_of_the_competition(tmp_path):
    write_embryo(tmp_path, sparse=0.3)
    result = CliRunner().invoke(cli, ["train", str(tmp_path), "-o", str(tmp_path / "m"), "--steps", "4"])
    assert result.exit_code == 0, result.output
    assert "of the cells are annotated; the others count only as their rivals" in result.output
    assert "gnntrack track --points POINTS --method gnn" in result.output
    about = json.loads((tmp_path / "m" / "model.json").read_text())
    assert about["kind"] == "points"
    assert about["training"]["stages"]["graph"]["max_gap"] == 4
    settings = Settings().replace(gnn__model=str(tmp_path / "m"))
    lineage = gnntrack.track(points=tmp_path / "a_points.csv", method="gnn", settings=settings)
    assert len(lineage.source)


def test_points_are_refused_by_a_network_of_masks(tmp_path):
    write_embryo(tmp_path)
    with pytest.raises(InputError, match="choose --model points, or omit --model"):
        train([tmp_path], tmp_path / "m", network="linknet", settings=TRAINING)


def test_training_starts_from_the_shipped_network_of_points(tmp_path):
    write_embryo(tmp_path)
    settings = Settings().replace(train__steps=1, train__variants=1)
    summary = train([tmp_path], TrainingRun(tmp_path / "m"), start="shipped", settings=settings)
    assert summary["steps"] in (0, 1)
    assert load_model(tmp_path / "m").kind == "points"


def test_groups_of_columns_are_missing_together():
    movie = simulate_tracked_points(5).select(0, 8)
    inputs = make_point_sample(movie, settings=Settings()).inputs
    batch = Batch.from_windows([inputs])
    network = PointNetwork()
    seen = set()
    for seed in range(12):
        dropped = _drop_groups(batch, network, 0.5, np.random.default_rng(seed))
        lacks = {}
        for block, columns in GROUPS.items():
            for name, group in columns.items():
                values = getattr(dropped, block)[:, network.columns[block].index(name)]
                lacks.setdefault(group, set()).add(bool(values.isnan().all()))
        assert all(len(each) == 1 for each in lacks.values())
        seen.add(tuple(sorted(group for group, each in lacks.items() if each == {True})))
        kept = POINT_LINK_INPUTS.index("prior")
        assert not dropped.link[:, kept].isnan().any()
    assert len(seen) == 4
    masks = Batch.from_windows([inputs])
    assert _drop_groups(masks, LinkNet(), 0.5, np.random.default_rng(0)) is masks


# --- the shipped network ---------------------------------------------------------------------------------------------


def test_the_shipped_network_of_points_is_better_than_the_classical_scores():
    settings = EmbryoSettings(frames=16, cells=450, shape=(48, 192, 192), frozen=0, noise=0.6)
    embryo = simulate_embryo(settings=settings, seed=1077)
    table = embryo.points[["t", "z", "y", "x"]]
    classical, learned = (
        gnntrack.evaluate(
            PointGraph.from_lineage(gnntrack.track(points=table, spacing=embryo.spacing, method=method)), embryo.truth
        )
        for method in ("hungarian", "gnn")
    )
    assert learned["edge_jaccard"] > classical["edge_jaccard"] + 0.001
    assert learned["edge_fp"] <= 1.05 * classical["edge_fp"]
