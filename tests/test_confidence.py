"""Confidence of links, divisions and tracks: probabilities, lower where alternatives are near."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from support import events
from support.events import Look
from support.learning import simulate_small

import gnntrack
from gnntrack import Settings, build_graph, solve
from gnntrack.io.frames import open_masks
from gnntrack.io.geff import read_lineage
from gnntrack.lineage.build import build_lineage
from gnntrack.lineage.confidence import list_divisions, rate_divisions, rate_tracks
from gnntrack.lineage.doubts import list_doubts
from gnntrack.lineage.repair import repair_movie
from gnntrack.measure.cells import measure_cells
from gnntrack.results import build_result
from gnntrack.scores.classical import ClassicalScorer
from gnntrack.scores.confidence import EVIDENCE, POINT_EVIDENCE, compute_confidence, measure_evidence
from gnntrack.settings import EmbryoSettings
from gnntrack.simulate.embryo import simulate_embryo
from gnntrack.types import LinkScores


def make_graph(offset=0):
    """Return the graph of two cells; in the last frame the second one lies `offset` pixels nearer to the first."""
    masks = np.zeros((4, 60, 60), np.uint8)
    masks[:, 10:18, 10:18] = 1
    masks[:3, 10:18, 40:48] = 2
    masks[3, 10:18, 40 - offset : 48 - offset] = 2
    return build_graph(masks=masks)


def rate(graph, chosen, scores, scorer="links"):
    """Return the confidence of chosen links, in their order."""
    return compute_confidence(build_lineage(graph, chosen, scores), graph, chosen, scores, scorer=scorer)


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
    low, high = (rate(graph, chosen, LinkScores(np.asarray(each, np.float32))).mean() for each in (contested, alone))
    assert low < high


def test_a_link_with_open_ends_is_less_certain():
    graph = make_graph()
    scores = ClassicalScorer(Settings()).score(graph)
    same = (graph.cells.label[graph.source] == graph.cells.label[graph.target]) & (graph.gap == 1)
    whole = rate(graph, same, scores)
    middle = same & (graph.cells.frame[graph.source] == 1)
    assert (rate(graph, middle, scores) < whole[graph.cells.frame[graph.source][same] == 1]).all()


@pytest.mark.parametrize("links", [0, 1, 5])
def test_evidence_has_a_row_per_link(links):
    graph = make_graph()
    chosen = np.zeros(len(graph), bool)
    chosen[np.flatnonzero(graph.gap == 1)[:: len(graph)][:links]] = True
    scores = ClassicalScorer(Settings()).score(graph)
    evidence = measure_evidence(build_lineage(graph, chosen, scores), graph, chosen, scores)
    assert evidence.shape == (chosen.sum(), len(EVIDENCE))
    assert np.isfinite(evidence).all()


@pytest.mark.parametrize("scorer", ["links", "network", "point_links", "point_network"])
def test_weights_have_the_signs_that_make_the_confidence_monotone(scorer):
    weights = json.loads(files("gnntrack.scores").joinpath("confidence.json").read_text())[scorer]["weights"]
    signs = POINT_EVIDENCE if scorer.startswith("point_") else EVIDENCE
    assert list(weights) == list(signs)
    assert all(weights[name] * sign >= 0 for name, sign in signs.items())


def find_past(embryo):
    """Return the detection before each detection of a nucleus, that of its parent at its start; -1 = none."""
    truth = embryo.truth
    before = dict(zip(truth.id[truth.target].tolist(), truth.id[truth.source].tolist(), strict=True))
    row = {point: k for k, point in enumerate(embryo.point_truth.tolist()) if point}
    past = []
    for point in embryo.point_truth.tolist():
        earlier = before.get(point)
        while earlier is not None and earlier not in row:
            earlier = before.get(earlier)
        past.append(row.get(earlier, -1))
    return np.array(past)


@pytest.mark.filterwarnings("ignore:found:gnntrack.errors.GnntrackWarning")
def test_wrong_links_between_points_are_the_least_certain_and_at_the_top_of_the_review():
    embryo = simulate_embryo(settings=EmbryoSettings(frames=20, cells=120, shape=(32, 128, 128)), seed=900)
    lineage = gnntrack.track(points=embryo.points, spacing=embryo.spacing, interpolate=False)
    right = find_past(embryo)[lineage.target] == lineage.source
    known = (embryo.point_truth[lineage.source] > 0) | (embryo.point_truth[lineage.target] > 0)
    assert 20 < (known & ~right).sum() < 0.05 * known.sum()
    confidence = lineage.confidence[known]
    assert confidence.mean() == pytest.approx(right[known].mean(), abs=0.01)
    assert confidence[~right[known]].mean() < 0.6 < 0.98 < confidence[right[known]].mean()
    wrong = set(lineage.target[~right].tolist()) | set(lineage.source[~right].tolist())
    assert sum(doubt.row in wrong for doubt in list_doubts(lineage)[:50]) >= 30


def test_links_of_points_have_the_evidence_of_their_kind():
    points = [[t, 5, 5] for t in (0, 1, 3, 4)] + [[t, 5, 40] for t in range(5)]
    graph = build_graph(points=points)
    chosen = (graph.features[:, graph.feature_names.index("distance")] < 5) & (graph.gap <= 2)
    chosen &= ~((graph.gap == 2) & (graph.cells.position[graph.source, 1] > 20))
    chosen &= ~((graph.gap == 2) & (graph.cells.frame[graph.source] != 1))
    scores = ClassicalScorer(Settings()).score(graph)
    evidence = measure_evidence(build_lineage(graph, chosen, scores), graph, chosen, scores)
    over_gap = evidence[:, -1] > 0
    assert (evidence.shape, over_gap.sum()) == ((7, len(POINT_EVIDENCE)), 1)
    of_gaps = np.array([name.startswith("gap_") and name != "gap_rate" for name in POINT_EVIDENCE])
    assert not evidence[~over_gap][:, of_gaps].any()
    assert not evidence[over_gap][:, ~of_gaps][:, :-1].any()
    assert evidence[over_gap][:, of_gaps].any()


@pytest.mark.parametrize("scorer", ["links", "network"])
@pytest.mark.parametrize("seed", range(5))
def test_higher_scores_raise_the_confidence_and_lower_that_of_others(seed, scorer):
    graph = build_graph(masks=simulate_small(seed).masks)
    scores = ClassicalScorer(Settings()).score(graph)
    lineage = solve(graph)
    n = len(graph.cells)
    chosen = np.isin(graph.source * n + graph.target, lineage.source * n + lineage.target)
    before = compute_confidence(lineage, graph, chosen, scores, scorer=scorer)
    assert before.min() >= 0
    assert before.max() < 1
    raised = replace(scores, link=np.where(chosen, (1 + scores.link) / 2, scores.link))
    others = replace(scores, link=np.where(chosen, scores.link, (1 + scores.link) / 2))
    assert (compute_confidence(lineage, graph, chosen, raised, scorer=scorer) >= before).all()
    assert (compute_confidence(lineage, graph, chosen, others, scorer=scorer) <= before).all()


@pytest.mark.filterwarnings("ignore:no images")
@pytest.mark.parametrize(("method", "seed"), [("hungarian", seed) for seed in range(5)] + [("gnn", 0)])
def test_links_that_are_decided_again_have_a_confidence_of_their_own(method, seed):
    look = Look(radius=6 + seed, jitter=0.5, neighbours=6 + 2 * seed)
    movie, _ = events.draw_division(np.random.default_rng(seed), late=1, look=look, unequal=0.5 - 0.02 * seed)
    lineage = solve(build_graph(masks=movie.masks), method=method)
    (links,) = list_divisions(lineage)[1]
    assert lineage.cells.frame[lineage.target[links]].tolist() == [look.at, look.at + 1]
    confidence = lineage.confidence[links]
    assert ((confidence > 0) & (confidence < 1) & (confidence != np.float32(0.75))).all()


@pytest.fixture(scope="module")
def lineage():
    return gnntrack.track(masks=simulate_small(4).masks)


def test_tracks_and_divisions_have_probabilities(lineage):
    tracks, divisions = lineage.track_confidence, lineage.division_confidence
    linked = np.isin(lineage.tracks.id, lineage.track[lineage.target])
    assert len(lineage.divisions) > 0
    assert np.isfinite(tracks).tolist() == linked.tolist()
    assert np.flatnonzero(np.isfinite(divisions)).tolist() == [
        np.searchsorted(lineage.tracks.id, each.parent) for each in lineage.divisions
    ]
    for values in (tracks, divisions):
        known = values[np.isfinite(values)]
        assert ((known > 0) & (known < 1)).all()


@pytest.mark.parametrize("factor", [0.99, 0.9, 0.7, 0.5, 0.1])
def test_less_certain_links_make_less_certain_tracks_and_divisions(lineage, factor):
    less = replace(lineage, confidence=lineage.confidence * factor)
    for function in (rate_tracks, rate_divisions):
        before, after = function(lineage), function(less)
        assert (after[np.isfinite(after)] < before[np.isfinite(before)]).all()


def test_a_track_is_less_certain_than_its_least_certain_link_only_by_its_other_links(lineage):
    for track in lineage:
        known = track.confidences[np.isfinite(track.confidences)]
        if len(known):
            assert track.confidence >= np.prod(known) - 1e-6


@pytest.mark.parametrize("factor", [1, 0.99, 0.9, 0.5, 0.1])
def test_a_track_is_not_more_certain_than_its_least_certain_link(lineage, factor):
    less = replace(lineage, confidence=lineage.confidence * factor)
    rows = np.searchsorted(less.tracks.id, less.track[less.target])
    assert (rate_tracks(less)[rows] <= less.confidence + 1e-6).all()


def test_given_links_make_certain_tracks_and_divisions(lineage):
    given = replace(lineage, confidence=np.ones(len(lineage.source)))
    for values in (rate_tracks(given), rate_divisions(given)):
        assert (values[np.isfinite(values)] == 1).all()


@pytest.mark.parametrize("below_one", [2e-7, 5e-7, 1e-6, 1e-5, 1e-3])
def test_estimated_links_make_no_division_certain(lineage, below_one):
    sure = replace(lineage, confidence=np.full(len(lineage.source), 1 - below_one))
    assert sure.confidence.max() < 1
    assert np.nanmax(rate_divisions(sure)) < 1


@pytest.mark.parametrize("unsure", [0, 1])
def test_a_division_is_given_only_if_both_links_are(lineage, unsure):
    confidence = np.ones(len(lineage.source))
    confidence[list_divisions(lineage)[1][0][unsure]] = 0.7
    assert np.nanmin(rate_divisions(replace(lineage, confidence=confidence))) < 1


def test_a_division_whose_daughters_vanish_is_less_certain(lineage):
    parent = next(each.parent for each in lineage.divisions if each.frame < lineage.cells.n_frames - 4)
    daughters = lineage[parent].daughters
    cut = lineage.cells.n_frames - 1 - lineage[parent].end
    assert cut > 2
    last = np.isin(lineage.tracks.id, daughters)
    tracks = replace(lineage.tracks, end=np.where(last, lineage.tracks.start, lineage.tracks.end))
    other = object.__new__(type(lineage))  # only these columns are read
    for name, value in {**vars(lineage), "tracks": tracks}.items():
        object.__setattr__(other, name, value)
    row = np.searchsorted(lineage.tracks.id, parent)
    ends = ~np.isin(daughters, lineage.tracks.parent)
    if ends.any():
        assert rate_divisions(other)[row] < rate_divisions(lineage)[row]


@pytest.mark.parametrize(("gap", "confidence"), [(2, 0.7), (3, 0.7), (4, 0.2), (2, 0.95), (3, 0.99)])
def test_a_gap_counts_once_in_the_result(gap, confidence):
    masks = np.zeros((12, 40, 40), np.uint8)
    masks[:, 14:24, 14:24] = 1
    masks[5 : 4 + gap] = 0
    lineage = solve(build_graph(masks=masks, max_gap=gap))
    over = np.diff(lineage.cells.frame)[lineage.source] > 1
    lineage = replace(lineage, confidence=np.where(over, confidence, 0.999 - 0.0001 * lineage.source))
    runs = measure_cells(open_masks(masks), settings=Settings().cells)[1]
    result = build_result(repair_movie(lineage, runs, settings=Settings().repair)).lineage
    assert len(result.source) == len(lineage.source) + gap - 1
    assert result.track_confidence == pytest.approx(lineage.track_confidence)


def test_the_result_has_the_confidences(tmp_path, lineage):
    masks = simulate_small(4).masks
    gnntrack.track(masks=masks, out=tmp_path / "r", pictures=False)
    folder = tmp_path / "r" / "gnntrack"
    stored, table = read_lineage(folder / "lineage.geff"), pd.read_csv(folder / "tracks.csv", index_col="track")
    np.testing.assert_allclose(stored.track_confidence, table["confidence"], atol=1e-5)
    np.testing.assert_allclose(stored.division_confidence, table["division_confidence"], atol=1e-5)
    review = pd.read_csv(folder / "review.csv")
    for row in review[review.kind == "division"].itertuples():
        assert table.loc[row.track, "division_confidence"] == pytest.approx(row.confidence, abs=1e-5)
        assert row.doubt == pytest.approx(1 - row.confidence, abs=1e-5)


def test_names_of_earlier_versions_work_with_a_warning():
    with pytest.warns(DeprecationWarning, match="use Settings.replace"):
        assert Settings().replaced(graph__max_gap=4).graph.max_gap == 4
    with pytest.warns(DeprecationWarning, match=r"use Lineage\.provenance"):
        assert "flow" in solve(make_graph()).notes
