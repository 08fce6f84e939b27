"""Method auto: the scores of gnn on movies that the network suits, those of hungarian on others, without warnings."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from test_strength import write_model

import gnntrack
from gnntrack.batch import Position
from gnntrack.batch.ways import list_ways
from gnntrack.cli import cli
from gnntrack.errors import InputError, ModelError
from gnntrack.gnn.appearance import Embedder
from gnntrack.gnn.strength import make_rule
from gnntrack.gnn.weights import load_model, save_model
from gnntrack.methods import METHODS, Method, resolve_method
from gnntrack.settings import Settings
from gnntrack.submission.tracker import Tracker
from gnntrack.user_warnings import record_warnings
from tests.support.learning import make_random_network, simulate_small


@pytest.fixture(scope="module")
def masks():
    masks = simulate_small().masks
    return np.stack([masks[t] for t in range(len(masks))])


@pytest.fixture(scope="module")
def graph(masks):
    return gnntrack.build_graph(masks=masks)


@pytest.fixture(scope="module")
def points(graph):
    return gnntrack.build_graph(points=np.column_stack([graph.cells.frame, graph.cells.position]))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of models: one corrects most movies, the other one almost none."""
    folder = tmp_path_factory.mktemp("models")
    return {
        name: write_model(folder / name, correction=make_rule(unclear=unclear), movies=None)
        for name, unclear in (("bold", 0.9), ("shy", 0.001))
    }


def solve_quietly(graph, method="auto", **options):
    with record_warnings() as warnings:
        lineage = gnntrack.solve(graph, method=method, **options)
    assert method != "auto" or not warnings
    return lineage


def expect_equal(lineage, other):
    for name in ("source", "target", "track", "confidence"):
        np.testing.assert_array_equal(getattr(lineage, name), getattr(other, name))


@pytest.mark.filterwarnings("ignore:no images")
def test_it_is_gnn_where_the_network_corrects(graph, models):
    lineage = solve_quietly(graph, model=models["bold"])
    expect_equal(lineage, solve_quietly(graph, "gnn", model=models["bold"]))
    assert not np.array_equal(lineage.confidence, solve_quietly(graph, "hungarian").confidence)
    assert (lineage.provenance.method, lineage.provenance.scored_by) == ("auto", "network")
    assert lineage.provenance.scoring_reason.startswith("the movie suits the model 'bold'; strength")


def test_it_is_hungarian_where_the_network_does_not_correct(graph, models, caplog):
    with caplog.at_level(logging.INFO):
        lineage = solve_quietly(graph, model=models["shy"])
    expect_equal(lineage, solve_quietly(graph, "hungarian"))
    assert lineage.provenance.scored_by == "classical"
    assert "fraction of the cells without a clear link" in lineage.provenance.scoring_reason
    assert "its links get the classical scores" in caplog.text


def test_it_is_hungarian_with_points_and_gnn_with_a_model_of_points(points):
    lineage = solve_quietly(points)
    expect_equal(lineage, solve_quietly(points, "hungarian"))
    assert lineage.provenance.scored_by == "classical"
    assert lineage.provenance.scoring_reason == "the cells are points, and no model of points is given"
    model = load_model(points=True).folder
    lineage = solve_quietly(points, model=model, correction=1)
    expect_equal(lineage, solve_quietly(points, "gnn", model=model, correction=1))
    assert (lineage.provenance.scored_by, lineage.provenance.scoring_reason) == ("network", "gnn.correction is 1")


def test_other_settings_than_in_training_are_no_warning(masks, models):
    with record_warnings() as warnings:
        lineage = gnntrack.track(masks=masks, method="auto", model=models["bold"], max_gap=3)
    assert lineage.provenance.scored_by == "network"
    assert warnings == []


def test_a_model_of_appearance_needs_no_images(graph, tmp_path):
    save_model(tmp_path / "m", make_random_network(embedding=4), training={})
    save_model(tmp_path / "m" / "appearance", Embedder(width=2, embedding=4), training={})
    lineage = solve_quietly(graph, model=tmp_path / "m", device="cpu")
    expect_equal(lineage, solve_quietly(graph, "hungarian"))
    assert lineage.provenance.scoring_reason == "the model 'm' uses the cells' images, and there are none"
    movie = simulate_small()
    with record_warnings():
        lineage = gnntrack.track(movie.images, movie.masks, method="auto", model=tmp_path / "m", device="cpu")
    assert lineage.provenance.scored_by == "network"


def test_a_missing_model_is_an_error(graph, tmp_path):
    with pytest.raises(ModelError, match="no such model"):
        gnntrack.solve(graph, method="auto", model=tmp_path / "none")


def test_the_summary_has_the_decision(masks, models, tmp_path):
    np.save(tmp_path / "masks.npy", masks)
    words = ["track", "--masks", f"{tmp_path}/masks.npy", "-o", f"{tmp_path}/out", "--method", "auto", "--no-pictures"]
    done = CliRunner().invoke(cli, [*words, "--model", models["shy"]])
    assert done.exit_code == 0
    assert "classical scores" not in done.stderr
    assert "scores     classical: this movie would hardly be improved by the model 'shy'" in done.stdout
    summary = json.loads((tmp_path / "out" / "gnntrack" / "summary.json").read_text())
    assert (summary["method"], summary["solver"], summary["scored_by"]) == ("auto", "hungarian", "classical")
    assert summary["scoring_reason"].startswith("this movie would hardly be improved")
    stored = gnntrack.load(tmp_path / "out").provenance
    assert (stored.method, stored.scored_by) == ("auto", "classical")


def test_it_is_a_method_with_the_options_of_the_network():
    assert resolve_method("auto") == Method("auto", "hungarian")
    assert METHODS["auto"].reads("gnn")
    with pytest.raises(InputError, match=r"unknown method 'outo'; did you mean 'auto'\? There are: .*auto"):
        resolve_method("outo")


def test_a_batch_without_time_replaces_it():
    ways = list_ways({"method": "auto", "solver": "triplets"}, Position("a", masks=Path("a_masks.tif")))
    assert [(way.choices["method"], way.describe()) for way in ways] == [
        ("auto", ""),
        ("hungarian", "hungarian in place of auto"),
    ]


def test_a_submission_holds_its_model(tmp_path, models):
    tracker = Tracker(method="auto", model=models["shy"])
    tracker.check("linking")
    method, changes = tracker.write_models(tmp_path, [Settings()], "linking")
    assert changes["gnn__model"] == "models/links"
    assert (tmp_path / "models" / "links" / "model.json").is_file()
    assert method.models == {"models/links": "the network of the method `auto`"}


@pytest.mark.parametrize("method", ["gnn", "auto"])
@pytest.mark.parametrize("frames", [1, 3])
def test_a_movie_without_links_does_not_suit_a_network(method, frames):
    """It was said to suit the network, with a strength of 0.6."""
    masks = np.zeros((frames, 20, 20), np.uint16)
    masks[0, 5:9, 5:9] = 1
    found = gnntrack.track(masks=masks, method=method).provenance
    assert (found.scored_by, found.scoring_reason) == ("classical", "there are no candidate links")
