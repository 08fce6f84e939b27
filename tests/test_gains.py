"""The expected gain of a look at a place: what makes it higher, and what it does to the review list."""

from __future__ import annotations

import numpy as np
import pytest

from gnntrack.io.ctc import link_tracks
from gnntrack.lineage.doubts import list_doubts, list_with_evidence
from gnntrack.lineage.gains import GAIN_EVIDENCE, GAIN_KINDS
from gnntrack.types import Cells, Lineage, Tracks

FRAMES = 12


def make_lineage(tracks, *, points=False, confidence=0.99):
    """Lineage from tracks along x: number -> (first frame, places along x, y)."""
    rows = sorted((start + k, name, y, x) for name, (start, places, y) in tracks.items() for k, x in enumerate(places))
    frame, label, y, x = (np.array(column) for column in zip(*rows, strict=True))
    position = np.stack([y, x], axis=1).astype(float)
    cells = Cells(frame, label, position, np.zeros((len(x), 0)), (), (), (1, 1), FRAMES, (400, 400), points=points)
    table = Tracks.from_cells(label, frame, lambda ids: np.zeros(len(ids), np.int64))
    source, target = link_tracks(cells, table)
    return Lineage(cells, label, table, source, target, np.full(len(source), confidence))


def move(start, y, places=FRAMES):
    return (0, [start + 2 * k + (k % 2) for k in range(places)], y)


CROWDED = {1: move(100, 100), 2: move(101, 102), 3: move(102, 104, 6)}  # track 3 ends beside the two others
ALONE = {4: move(100, 300)}


def find_gains(lineage):
    """Return the gain of the link to frame 6 of each track."""
    places = list_doubts(lineage, below=2, least=0)
    return {int(lineage.track[each.row]): each.gain for each in places if each.kind == "link" and each.frame == 6}


def test_a_link_beside_a_track_that_ends_has_a_higher_gain_than_one_far_from_others():
    gains = find_gains(make_lineage(CROWDED | ALONE))
    assert gains[1] > 3 * gains[4] < gains[2]
    assert gains[4] < 0.1


def test_a_gain_grows_with_the_doubt_and_is_zero_without_any():
    doubtful, sure, given = (find_gains(make_lineage(CROWDED | ALONE, confidence=each)) for each in (0.7, 0.99, 1))
    for track in (1, 4):
        assert doubtful[track] > sure[track] > given[track] == 0


def test_a_confident_link_is_listed_if_its_gain_is_high():
    """Before, links with a confidence of 0.9 and more were never listed."""
    lineage = make_lineage(CROWDED | ALONE)
    gains = find_gains(lineage)
    least = (gains[1] + gains[4]) / 2
    places = list_doubts(lineage, least=least)
    listed = {int(lineage.track[each.row]) for each in places if each.kind == "link" and each.frame == 6}
    assert {1, 2} == listed
    assert not [each for each in list_doubts(lineage, least=5) if each.kind == "link"]


def test_tracks_that_start_at_the_border_are_listed_if_their_gain_is_high():
    late = (6, [3, 5, 7, 9, 11, 13], 200)
    lineage = make_lineage(ALONE | {5: late})
    (place,) = (each for each in list_doubts(lineage, least=0) if each.kind == "start")
    assert lineage.track[place.row] == 5
    assert 0 < place.gain == pytest.approx(max(each.gain for each in list_doubts(lineage, least=0)))
    assert "start" not in {each.kind for each in list_doubts(lineage, least=5)}


def test_the_gain_of_points_is_their_doubt():
    places = list_doubts(make_lineage(CROWDED | ALONE, points=True, confidence=0.8))
    assert len(places) > 3
    assert [each.gain for each in places] == [each.doubt for each in places]


def test_each_place_has_its_evidence():
    lineage = make_lineage(CROWDED | ALONE)
    places, evidence = list_with_evidence(lineage, below=2, least=0)
    assert evidence.shape == (len(places), len(GAIN_EVIDENCE))
    column = dict(zip(GAIN_EVIDENCE, evidence.T, strict=True))
    np.testing.assert_allclose(np.exp(column["doubt"]), [each.doubt for each in places], rtol=1e-6)
    own = {int(lineage.track[each.row]): k for k, each in enumerate(places) if each.kind == "link" and each.frame == 6}
    assert column["ends"][own[1]] == column["ends"][own[2]] == 1 > column["ends"][own[4]] == 0
    assert column["space"][own[1]] < 1 < column["space"][own[4]]
    assert {each.kind for each in places} <= set(GAIN_KINDS)


def test_cells_at_one_place_are_neighbours_of_each_other():
    same = {1: move(100, 100), 2: move(100, 100), 3: move(100, 100)}
    _, evidence = list_with_evidence(make_lineage(same), below=2, least=0)
    assert (evidence[:, GAIN_EVIDENCE.index("space")] == 0).all()
    assert np.isfinite(evidence).all()
