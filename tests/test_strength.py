"""How much of a network's correction a movie gets: by its statistics, and none if it is unlike the training data."""

import json
import logging
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import gnntrack
from gnntrack.errors import ModelError
from gnntrack.gnn.strength import choose_strength, make_rule
from gnntrack.gnn.training_range import describe_unlike, find_unlike, measure_ranges
from gnntrack.scores import score_links
from gnntrack.scores.learned import NetworkScorer
from gnntrack.settings import Settings
from gnntrack.solvers import solve
from gnntrack.types import log_odds
from tests.support.learning import simulate_small

pytestmark = pytest.mark.filterwarnings("ignore:no images")
RULE = {"highest": 0.8, "width": 0.1, "thresholds": {"miss_rate": 0.02, "end_rate": 0.02}}


@pytest.fixture(scope="module")
def graph():
    return gnntrack.build_graph(masks=simulate_small().masks)


def write_model(folder: Path, **training) -> str:
    """Write the shipped model with other values of its training, and return its folder."""
    shutil.copytree(str(resources.files("gnntrack") / "weights"), folder)
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    about["training"] = {key: value for key, value in {**about["training"], **training}.items() if value is not None}
    (folder / "model.json").write_text(json.dumps(about), encoding="utf-8")
    return str(folder)


def make_scorer(tmp_path, **training):
    return NetworkScorer(Settings().replace(gnn__model=write_model(tmp_path / "model", **training), gnn__device="cpu"))


def test_the_strength_rises_with_the_rates_of_faults():
    rates = (0.001, 0.01, 0.02, 0.04, 0.2)
    strengths = [choose_strength(None, RULE, {"miss_rate": rate, "end_rate": 0.1}) for rate in rates]
    assert strengths == sorted(strengths)
    assert (strengths[0], round(strengths[2], 2), round(strengths[-1], 3)) == (0, 0.4, 0.8)


def test_both_rates_have_to_be_high():
    assert choose_strength(None, RULE, {"miss_rate": 0.2, "end_rate": 0.001}) == 0


def test_movies_with_many_unclear_cells_get_the_classical_scores(graph, tmp_path, caplog):
    unclear = score_links(graph, settings=Settings().scores).movie["unclear"]
    prior = score_links(graph, settings=Settings().scores)
    for limit, same in ((0.5 * unclear, True), (min(2 * unclear, 0.99), False)):
        scorer = make_scorer(tmp_path / str(limit), correction=make_rule(unclear=limit), movies=None)
        with caplog.at_level(logging.WARNING):
            assert np.array_equal(scorer.score(graph).link, prior.link) is same
    assert "would hardly be improved by the model 'model': fraction of the cells without a clear link" in caplog.text
    assert choose_strength(None, make_rule(unclear=0.1), {"unclear": float("nan")}) == 0


def test_the_margin_favours_the_classical_solution(graph, tmp_path):
    prior = score_links(graph, settings=Settings().scores)
    chosen = solve("hungarian", graph, prior, settings=Settings().solver)
    odds = []
    for margin in (0.0, 0.5):
        rule = {"highest": 1.0, "width": 0.1, "margin": margin}
        scores = make_scorer(tmp_path / str(margin), correction=rule, movies=None).score(graph)
        odds.append(log_odds(scores.link))
    temperature = json.loads((tmp_path / "0.5" / "model" / "model.json").read_text(encoding="utf-8"))["temperature"]
    added = (odds[1] - odds[0]) * temperature
    np.testing.assert_allclose(added[chosen & (np.abs(odds[1]) < 8)], 0.5, atol=0.01)
    np.testing.assert_allclose(added[~chosen], 0, atol=0.01)


def test_movies_have_statistics(graph):
    found = score_links(graph, settings=Settings().scores).movie
    assert all(np.isfinite(value) for value in found.values())
    assert 0 < found["crowding"] < 1
    assert gnntrack.build_graph(points=np.column_stack([graph.cells.frame, graph.cells.position])).cells.points


def test_a_range_has_room_above_it():
    ranges = measure_ranges([{"residual": 0.01}, {"residual": 1.0}])
    assert [bool(find_unlike({"residual": value}, ranges)) for value in (0.0001, 9, 11)] == [False, False, True]
    assert "distance of cells from their predicted positions, in cell radii 11, in the training data 0.01 to 1" in (
        describe_unlike(find_unlike({"residual": 11.0}, ranges))
    )


def test_good_masks_get_the_classical_scores(graph, tmp_path):
    scorer = make_scorer(tmp_path, correction=RULE)
    prior, scores = score_links(graph, settings=Settings().scores), scorer.score(graph)
    np.testing.assert_array_equal(scores.link, prior.link)
    np.testing.assert_array_equal(scores.division, prior.division)
    assert scorer.confidence == "links"


def test_models_without_a_rule_are_used_as_before(graph, tmp_path):
    """Those that gnntrack 0.1 wrote, and those of `gnntrack train`."""
    old = make_scorer(tmp_path, correction=None, movies=None)
    same = NetworkScorer(old.settings.replace(gnn__correction=0.6))
    np.testing.assert_array_equal(old.score(graph).link, same.score(graph).link)
    assert old.confidence == "network"


def test_a_movie_unlike_the_training_data_is_told(graph, tmp_path, caplog):
    scorer = make_scorer(tmp_path, correction=None, movies={"residual": [90, 99]})
    with caplog.at_level(logging.WARNING):
        scores = scorer.score(graph)
    assert "this movie is unlike the training data of the model 'model': distance of cells from" in caplog.text
    np.testing.assert_array_equal(scores.link, score_links(graph, settings=Settings().scores).link)
    scorer = NetworkScorer(scorer.settings.replace(gnn__correction=1))
    assert (scorer.score(graph).link != scores.link).any()
    assert scorer.confidence == "network"


@pytest.mark.parametrize(
    "training",
    [
        *({"correction": rule} for rule in ("strong", 3, {}, {"highest": 1}, {"highest": 1, "width": 0})),
        *({"correction": RULE | part} for part in ({"highest": 5}, {"width": "x"}, {"margin": -1}, {"mood": 1})),
        *({"correction": RULE | {"limits": each}} for each in ({"mood": 0.1}, {"unclear": 0}, {"unclear": "x"}, [1])),
        *({"movies": each} for each in ([1], {"residual": [1]}, {"residual": ["a", "b"]}, {"residual": [2, 1]})),
        *({"stages": each} for each in ([], {"graph": 3}, {"graph": {"max_gap": "x"}})),
    ],
    ids=repr,
)
def test_odd_values_of_the_training_are_refused(tmp_path, training):
    """They gave tracebacks when the first movie was scored, or strengths above 1."""
    (key,) = training
    with pytest.raises(ModelError, match=rf"model\.json: 'training\.{key}' is .*, expected .*; copy the model again"):
        make_scorer(tmp_path, **training)
