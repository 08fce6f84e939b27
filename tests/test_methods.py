"""Method gnn in the pipeline: from movies and from graphs, with images and without."""

from __future__ import annotations

import logging
from dataclasses import replace
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from support import worlds
from support.learning import simulate_small

import gnntrack
from gnntrack.errors import FormatError, InputError, ModelError
from gnntrack.methods import METHODS, Method, resolve_method, score_graph
from gnntrack.movie import Movie, build_with_runs
from gnntrack.scores import SCORERS, CellPixels
from gnntrack.scores.confidence import compute_confidence
from gnntrack.scores.learned import NetworkScorer, load_network
from gnntrack.settings import Settings
from gnntrack.solvers import SOLVERS, solve
from gnntrack.types import LinkScores


@pytest.fixture
def settings(tiny_model):
    return Settings().replace(gnn__model=str(tiny_model), gnn__device="cpu")


def test_other_settings_than_in_training_are_told(caplog):
    load_network(Settings().replace(gnn__device="cpu"), images=False)
    assert not caplog.records
    load_network(Settings().replace(gnn__device="cpu", graph__max_gap=3), images=False)
    assert "trained with other settings: graph.max_gap" in caplog.text


def test_a_movie_and_its_graph_give_the_same(settings, tmp_path):
    movie = simulate_small(4)
    unfilled = settings.replace(repair__fill_gaps=False, repair__join_pieces=False)
    graph = gnntrack.build_graph(movie.images, movie.masks)
    solved = gnntrack.solve(graph, method="gnn", settings=unfilled)
    tracked = gnntrack.track(movie.images, movie.masks, out=tmp_path / "out", method="gnn", settings=settings)
    assert (solved.provenance.method, solved.provenance.solver) == ("gnn", "hungarian")
    links = set(zip(solved.source.tolist(), solved.target.tolist(), strict=True))
    known = set(zip(tracked.source.tolist(), tracked.target.tolist(), strict=True))
    assert len(links & known) > 0.97 * len(links)
    assert (tmp_path / "out" / "res_track.txt").is_file()


@pytest.mark.filterwarnings("ignore:no images")
def test_links_of_the_network_have_a_calibrated_confidence(settings):
    graph = gnntrack.build_graph(masks=simulate_small(4).masks)
    plan = resolve_method("gnn")
    scores = score_graph(plan.make_scorer(settings, images=False), graph)
    chosen = solve(plan.solver, graph, scores, settings=settings.solver)
    lineage = gnntrack.solve(graph, method="gnn", settings=settings)
    expected = compute_confidence(lineage, graph, chosen, scores, scorer="network")
    np.testing.assert_allclose(lineage.confidence, expected, atol=1e-6)
    assert 0 < lineage.confidence.min() < lineage.confidence.max() < 1


def test_windows_change_nothing(settings):
    graph = gnntrack.build_graph(masks=simulate_small(4).masks)
    one, other = (NetworkScorer(settings.replace(gnn__window=size)).score(graph) for size in (10**6, 30))
    for name in ("link", "division", "marginal"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-4)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("chosen", [None, False, True])
def test_only_networks_of_own_training_read_the_brightness_of_single_cells(own, chosen, settings):
    settings = settings if own else Settings().replace(gnn__device="cpu")
    settings = settings.replace(gnn__brightness=chosen, gnn__correction=1)
    movie = simulate_small()
    graph = gnntrack.build_graph(movie.images, movie.masks)
    features, column = graph.cells.features.copy(), graph.cells.feature_names.index("intensity_max")
    features[:, column] *= np.random.default_rng(0).uniform(1, 9, len(features))
    other = replace(graph, cells=replace(graph.cells, features=features))
    first, second = (score_graph(NetworkScorer(settings), each).link for each in (graph, other))
    assert np.array_equal(first, second) == (not (own if chosen is None else chosen))


def test_what_is_lost_without_images_is_told(settings, caplog):
    masks = worlds.parent_divides().masks
    with caplog.at_level(logging.WARNING):
        gnntrack.solve(gnntrack.build_graph(masks=masks), method="gnn", settings=settings)
    assert [
        record.message
        for record in caplog.records
        if "no images: the network scores by the masks alone" in record.message
    ]


@pytest.mark.parametrize("world", worlds.DRAWN)
def test_drawn_worlds(world, settings):
    drawn = world()
    lineage = gnntrack.track(masks=drawn.masks, method="gnn", settings=settings)
    assert len(lineage.track) >= len(drawn.label)


@pytest.mark.parametrize(
    ("method", "feature"), [("gnn", "rank_source"), ("hungarian", "mutual_nearest"), ("iou", "iou")]
)
def test_a_graph_without_the_features_says_which_and_what_to_do(settings, method, feature):
    graph = gnntrack.build_graph(masks=worlds.parent_divides().masks)
    kept = [i for i, name in enumerate(graph.feature_names) if name != feature]
    names = tuple(graph.feature_names[i] for i in kept)
    lacking = replace(graph, features=graph.features[:, kept], feature_names=names)
    told = f"unknown link feature '{feature}'; there are: .*; build the graph again with 'gnntrack build-graph'"
    with pytest.raises(FormatError, match=told):
        gnntrack.solve(lacking, method=method, settings=settings)


def test_a_model_that_is_not_there(tmp_path):
    graph = gnntrack.build_graph(masks=worlds.lone_cell().masks)
    with pytest.raises(ModelError, match="no such model"):
        gnntrack.solve(graph, method="gnn", settings=Settings().replace(gnn__model=str(tmp_path / "none")))


def test_a_model_that_scores_no_links(tmp_path):
    from gnntrack.gnn.appearance import Embedder
    from gnntrack.gnn.networks import NETWORKS
    from gnntrack.gnn.weights import load_model, save_model

    save_model(tmp_path / "look", Embedder(width=2, embedding=4), training={})
    graph = gnntrack.build_graph(masks=worlds.lone_cell().masks)
    with pytest.raises(
        ModelError,
        match=r"the model 'look' is of kind 'appearance', which does not score links; .* linknet, points, pdn",
    ):
        gnntrack.solve(graph, method="gnn", settings=Settings().replace(gnn__model=str(tmp_path / "look")))
    assert load_model(tmp_path / "look").kind == "appearance"
    with pytest.raises(ModelError, match="unknown network 'appearance'; there are: linknet, points, pdn"):
        NETWORKS["appearance"]


def test_an_embedder_is_expected(tiny_model):
    from gnntrack.gnn.appearance import load_embedder

    with pytest.raises(ModelError, match="the model is of kind 'linknet', expected 'appearance'"):
        load_embedder(tiny_model)


# --- the contract of all scorers and methods -------------------------------------------------------------------------

every_scorer = pytest.mark.parametrize("name", SCORERS)


@every_scorer
@pytest.mark.parametrize("world", [worlds.parent_divides, worlds.mask_dropped, worlds.lone_cell, worlds.empty_masks])
def test_scores_are_those_of_the_graph(name, world, settings):
    """A score per link, a score per pair of links to two cells of the next frame, and the same ones again."""
    graph = worlds.find_candidates(world().masks)
    scorer = SCORERS[name](settings, images=False)
    scores, again = (scorer.score(graph) for _ in range(2))
    assert scores.link.shape == (len(graph),)
    first, second = scores.pairs.T
    assert (first < second).all()
    assert (graph.source[first] == graph.source[second]).all()
    assert (graph.gap[scores.pairs] == 1).all()
    assert len(np.unique(scores.pairs, axis=0)) == len(scores.pairs)
    np.testing.assert_array_equal(scores.link, again.link)
    np.testing.assert_array_equal(scores.division, again.division)


@every_scorer
def test_scorers_use_the_images_if_they_are_given(name, settings):
    movie = simulate_small(4)
    graph, runs = build_with_runs(Movie(images=movie.images, masks=movie.masks), settings)
    scores = SCORERS[name](settings, images=True).score(graph, pixels=CellPixels(runs, movie.images))
    assert len(scores.link) == len(graph)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_scorer_and_a_solver(method):
    scorer, solver = METHODS[method]
    assert scorer in SCORERS
    assert solver in SOLVERS


def test_methods_are_a_scorer_and_a_solver():
    assert resolve_method("gnn") == Method("network", "hungarian")
    assert resolve_method("gnn", "greedy") == Method("network", "greedy")
    assert resolve_method("hungarian", "exact") == Method("links", "exact")
    with pytest.raises(InputError, match=r"unknown method 'cnn'; did you mean 'gnn'\? There are: .*gnn"):
        resolve_method("cnn")
    with pytest.raises(InputError, match="'triplets' is a solver, not a method; give it as solver"):
        resolve_method("triplets")
    with pytest.raises(InputError, match=r"unknown solver 'gready'; did you mean 'greedy'\? There are: greedy"):
        resolve_method("gnn", "gready")


@pytest.mark.parametrize(("method", "reads"), [("iou", False), ("greedy", False), ("hungarian", False), ("gnn", True)])
def test_only_the_network_reads_the_settings_of_the_network(method, reads):
    assert METHODS[method].reads("gnn") == reads


class NearestScorer:
    """A scorer of another package: the nearer, the likelier."""

    def __init__(self, settings, *, images):
        self.images = images

    def score(self, graph, *, pixels=None, progress=None):
        assert (pixels is not None) == self.images
        return LinkScores(np.exp(-graph.feature("distance_radii") / 4) * (graph.gap == 1))


class GreedyScorer(NearestScorer):
    """The same with another default solver."""

    solver = "greedy"
    sections = ()


def solve_nothing(graph, scores, *, settings):
    """Choose no link."""
    return np.zeros(len(graph), bool)


@pytest.fixture
def other_package(monkeypatch):
    """Entry points of another package: two scorers and a solver."""
    names = {
        "gnntrack.scorers": {"nearest": "NearestScorer", "nearest-greedy": "GreedyScorer"},
        "gnntrack.solvers": {"none": "solve_nothing"},
    }

    def entry_points(*, group):
        return [EntryPoint(name, f"{__name__}:{value}", group) for name, value in names.get(group, {}).items()]

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)


@pytest.mark.usefixtures("other_package")
def test_a_scorer_of_another_package_is_a_method_of_its_own_name():
    assert list(METHODS) == ["iou", "greedy", "hungarian", "gnn", "auto", "nearest", "nearest-greedy"]
    assert METHODS["nearest"] == Method("nearest", "hungarian")
    assert METHODS["nearest-greedy"] == Method("nearest-greedy", "greedy")
    assert METHODS["nearest"].reads("gnn")
    assert not METHODS["nearest-greedy"].reads("gnn")
    movie = simulate_small(4)
    lineage = gnntrack.track(movie.images, movie.masks, method="nearest")
    assert len(lineage.source) > 0.8 * (len(lineage.cells) - (lineage.cells.frame == 0).sum())
    assert len(gnntrack.track(masks=movie.masks, method="nearest", solver="none").source) == 0


def test_a_graph_is_scored_by_any_scorer():
    graph = gnntrack.build_graph(masks=worlds.lone_cell().masks)
    scorer = METHODS["iou"].make_scorer(Settings(), images=False)
    np.testing.assert_array_equal(score_graph(scorer, graph).link, graph.feature("iou"))
