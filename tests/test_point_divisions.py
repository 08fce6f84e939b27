"""Divisions among points: what is one, and what only looks like one."""

import numpy as np
import pandas as pd
import pytest

import gnntrack
from gnntrack.events.point_divisions import BirthOdds, PointDivisions, estimate_rate
from gnntrack.types import LinkScores

FRAMES, BIRTH = 16, 7  # the parent is last seen in the frame before the birth
APART = (3.0, 4.2, 5.2, 6.0)  # half the distance of the daughters, from the birth on


def walk(start, frames=FRAMES, *, seed):
    """Return positions (frames, 2) of a cell that moves at random around its place."""
    return start + np.random.default_rng(seed).normal(0, 0.4, (frames, 2)).cumsum(axis=0) * 0.5


def make_world(*free):
    """Return the tracks of cells on a grid, as frame -> place; (60, 80) and other places are free.

    ```
    o o o o o o
    o o o   o o
    o o o o o o
    ```
    """
    grid = [(20 + 20 * i, 20 + 20 * j) for i in range(6) for j in range(6)]
    grid = [place for place in grid if place not in {(60, 80), *free}]
    return [dict(enumerate(walk(place, seed=k))) for k, place in enumerate(grid)]


def find_divisions(tracks, **options):
    """Return frame of the parent and frames of both daughters of the divisions that are found."""
    rows = [(t, *place) for track in tracks for t, place in track.items()]
    table = pd.DataFrame(rows, columns=["t", "y", "x"]).sort_values("t", kind="stable")
    lineage = gnntrack.track(points=table, **options)
    children = np.bincount(lineage.source, minlength=len(lineage.cells))
    assert children.max(initial=0) <= 2
    frame = lineage.cells.frame
    return [
        (int(frame[row]), *sorted(frame[lineage.target[lineage.source == row]].tolist()))
        for row in np.flatnonzero(children == 2)
    ]


def make_family(place=(60, 80), *, missing=0, daughters=2):
    """Return the tracks of a parent and its daughters; the second daughter is not detected in the first frames."""
    path = walk(place, seed=99)
    tracks = [dict(enumerate(path[:BIRTH]))]
    for k in range(daughters):
        angle = 0.6 + 2 * np.pi * k / daughters
        direction = np.array([np.sin(angle), np.cos(angle)])
        first = BIRTH + (missing if k == 1 else 0)
        tracks.append({t: path[t] + direction * APART[min(t - BIRTH, 3)] for t in range(first, FRAMES)})
    return tracks


@pytest.mark.parametrize("method", ["hungarian", "gnn"])
def test_a_division(method):
    assert find_divisions(make_world() + make_family(), method=method) == [(BIRTH - 1, BIRTH, BIRTH)]


def test_a_daughter_that_is_detected_two_frames_late():
    others = (20, 20), (100, 40), (20, 100), (100, 100), (60, 20)
    tracks = make_world(*others) + make_family(missing=2) + [track for place in others for track in make_family(place)]
    divisions = find_divisions(tracks, interpolate=False, max_gap=4)  # in 16 frames, longer gaps explain it as well
    assert sorted(divisions) == [*5 * [(BIRTH - 1, BIRTH, BIRTH)], (BIRTH - 1, BIRTH, BIRTH + 2)]


def test_three_daughters_are_at_most_one_division():
    assert len(find_divisions(make_world() + make_family(daughters=3))) <= 1


def test_a_world_without_divisions():
    assert find_divisions(make_world()) == []


@pytest.mark.parametrize("frames", [2, 4])
def test_a_neighbour_that_is_not_detected_for_some_frames(frames):
    path, near = walk((60, 80), seed=99), walk((60, 86), seed=98)
    blinking = {t: place for t, place in enumerate(near) if not BIRTH - frames <= t < BIRTH}
    assert find_divisions([*make_world(), dict(enumerate(path)), blinking]) == []


@pytest.mark.parametrize("frames", [1, 2])
def test_clutter_near_a_cell(frames):
    path = walk((60, 80), seed=99)
    clutter = {t: path[t] + (3.0, 3.0) for t in range(BIRTH, BIRTH + frames)}
    assert find_divisions([*make_world(), dict(enumerate(path)), clutter]) == []


def test_two_cells_that_pass_each_other_where_one_is_missed():
    y = np.linspace(-8, 8, FRAMES)[:, None] * (1, 0)
    one, other = walk((60, 78), seed=99) + y, walk((60, 82), seed=98) - y
    hidden = {t: place for t, place in enumerate(other) if t not in (BIRTH, BIRTH + 1)}
    assert find_divisions([*make_world(), dict(enumerate(one)), hidden]) == []


def test_no_divisions_on_request():
    assert find_divisions(make_world() + make_family(), divisions=False) == []


def draw_odds(rng, *, right, wrong):
    """Return log ratios of two normal distributions, of daughters and of others."""
    truth = np.repeat([True, False], [right, wrong])
    ratio = rng.normal(np.where(truth, 8, -8), 4) - np.log(2)  # two possible births per cell and frame
    return BirthOdds(ratio, np.arange(right + wrong), np.zeros(right + wrong, bool))


@pytest.mark.parametrize("right", [100, 1000])
def test_the_rate_of_divisions_is_that_of_the_movie(right):
    births = draw_odds(np.random.default_rng(0), right=right, wrong=20_000)
    none = BirthOdds(np.zeros(0), np.zeros(0, int), np.zeros(0, bool))
    assert estimate_rate(births, none, 10_000) == pytest.approx(right / 10_000, rel=0.2)


def test_births_that_are_as_common_backwards_in_time_are_none():
    births, decoys = (draw_odds(np.random.default_rng(k), right=300, wrong=20_000) for k in (0, 1))
    assert estimate_rate(births, decoys, 10_000) < 0.002


def test_births_of_one_daughter_exclude_each_other():
    odds = BirthOdds(np.log([100.0, 100.0, 100.0]), np.array([4, 4, 7]), np.zeros(3, bool))
    assert odds.compute_probabilities(1.0).round(3).tolist() == [0.498, 0.498, 0.99]


def test_starts_are_births_where_tracks_do_not_end():
    starts = BirthOdds(np.full(40, -5.0), np.repeat(np.arange(20), 2), np.ones(40, bool))
    none, ends = starts._replace(log_ratio=np.zeros(0), late=np.zeros(0, int), lone=np.zeros(0, bool)), starts
    assert starts.explain_lone_starts(none).round(2).tolist() == [0.45] * 40  # two possible births of each cell
    assert starts.explain_lone_starts(ends).max() == 0


def test_an_unlikely_division_is_no_choice_whatever_it_would_set_free():
    found = PointDivisions(np.array([[0, 1], [2, 3]]), np.array([-0.5, 0.5]), np.array([9.0, 0.0]))
    scores = LinkScores(np.full(4, 0.9), np.zeros((0, 2), np.int64), np.zeros(0))
    assert found.add_to(scores, threshold=0.5).pairs.tolist() == [[2, 3]]
    assert found.rate(scores).pairs.tolist() == [[0, 1], [2, 3]]
