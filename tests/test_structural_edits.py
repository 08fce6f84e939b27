"""Edits of lineages without scores: the named links and cells change, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnntrack.lineage.constraints import Constraints
from gnntrack.lineage.edits import EDIT_KINDS, Edit
from gnntrack.lineage.structural_edits import change_links, edit_lineage
from gnntrack.types import Cells, Lineage, MaskOrigins, Tracks

FRAMES, WIDE = 5, 4


def make_lineage(seed, *, drawn=False):
    """Random lineage of another program: single daughters, gaps before daughters, three daughters.

    With `drawn`, some masks inside tracks were drawn in gaps.
    """
    random = np.random.default_rng(seed)
    cells = [(t, label + 1) for t in range(FRAMES) for label in range(WIDE) if random.uniform() < 0.85]
    frame = np.array([t for t, _ in cells])
    n = len(cells)
    past, joins = np.full(n, -1), np.zeros(n, bool)
    for row in range(n):
        earlier = np.flatnonzero((frame < frame[row]) & (frame >= frame[row] - 2))
        if len(earlier) and random.uniform() < 0.8:
            past[row] = random.choice(earlier)
            joins[row] = random.uniform() < 0.8 and frame[row] - frame[past[row]] == 1
    children = np.bincount(past[past >= 0], minlength=n)
    joins &= children[past] == 1
    track = np.zeros(n, int)
    for row in range(n):
        track[row] = track[past[row]] if joins[row] else track.max() + 1
    parent = {int(track[row]): int(track[past[row]]) for row in range(n) if past[row] >= 0 and not joins[row]}
    ids = lambda each: np.array([parent.get(name, 0) for name in each.tolist()], int)  # noqa: E731
    target = np.flatnonzero(past >= 0)
    target = target[np.lexsort((target, past[target]))]
    label, position = [each for _, each in cells], random.uniform(0, 9, (n, 2))
    table = Cells(frame, label, position, np.zeros((n, 0)), (), (), (1, 1), FRAMES, (9, 9))
    confidence = random.uniform(0.2, 0.9, len(target))
    lineage = Lineage(table, track, Tracks.from_cells(track, frame, ids), past[target], target, confidence)
    if not drawn:
        return lineage
    inner = np.isin(np.arange(n), past[joins]) & joins
    kind = (inner & (random.uniform(size=n) < 0.4)).astype(int)
    return lineage.with_origins(MaskOrigins(np.where(kind, 0, table.label), kind))


def make_edits(lineage, seed, count=6):
    random = np.random.default_rng(seed)
    names = list(zip(lineage.cells.frame.tolist(), lineage.cells.label.tolist(), strict=True))
    edits = []
    for _ in range(count):
        kind = str(random.choice([*EDIT_KINDS]))
        if kind in ("cut", "confirm") and len(lineage.source) and random.uniform() < 0.8:
            link = random.integers(len(lineage.source))
            rows = [lineage.source[link], lineage.target[link]]
        else:
            number = {"divide": 3, "undivide": 1, "spurious": 1}.get(kind, 2)
            rows = sorted(random.permutation(len(names))[:number].tolist())
        edits.append(Edit(kind, tuple(names[row] for row in rows)))
    return edits


def links_of(lineage):
    """Return links as (frame, label) pairs, with the kind: inside a track, or to a daughter."""
    names = list(zip(lineage.cells.frame.tolist(), lineage.cells.label.tolist(), strict=True))
    inside = (lineage.track[lineage.source] == lineage.track[lineage.target]).tolist()
    rows = zip(lineage.source.tolist(), lineage.target.tolist(), inside, strict=True)
    return {(names[source], names[target]): within for source, target, within in rows}


def assert_same(one, other):
    for name in ("track", "source", "target", "confidence"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("id", "start", "end", "parent"):
        np.testing.assert_array_equal(getattr(one.tracks, name), getattr(other.tracks, name))
    np.testing.assert_array_equal(one.cells.label, other.cells.label)


def assert_valid(lineage):
    """Check what the constructors do not: links agree with tracks and parents, each cell has one past."""
    assert (np.bincount(lineage.target, minlength=1) <= 1).all()
    track, frame = lineage.track, lineage.cells.frame
    keys = set(zip(track.tolist(), frame.tolist(), strict=True))
    assert len(keys) == len(track)  # one cell of a track in a frame
    across = track[lineage.source] != track[lineage.target]
    parent = dict(zip(lineage.tracks.id.tolist(), lineage.tracks.parent.tolist(), strict=True))
    made = dict(zip(track[lineage.target[across]].tolist(), track[lineage.source[across]].tolist(), strict=True))
    assert made == {child: own for child, own in parent.items() if own}
    order = np.lexsort((frame, track))  # inside a track, each cell follows from the one before it
    same = np.flatnonzero(np.diff(track[order]) == 0)
    inside = set(zip(lineage.source[~across].tolist(), lineage.target[~across].tolist(), strict=True))
    assert inside == {(int(order[k]), int(order[k + 1])) for k in same.tolist()}


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 9999), drawn=st.booleans())
def test_without_decisions_nothing_changes(seed, drawn):
    lineage = make_lineage(seed, drawn=drawn)
    edited = change_links(lineage, Constraints())
    assert_same(edited.lineage, lineage)
    assert edited.kept.all()


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 9999), drawn=st.booleans())
def test_edits_hold_and_only_named_cells_change(seed, drawn):
    lineage = make_lineage(seed, drawn=drawn)
    edited = edit_lineage(lineage, make_edits(lineage, seed))
    assert len(edited.applied) + len(edited.refused) == 6
    assert_valid(edited.lineage)
    before, after = links_of(lineage), links_of(edited.lineage)
    named = {cell for edit in edited.applied for cell in edit.cells}
    if not drawn:
        for edit in edited.applied:
            following = {target for source, target in after if source == edit.cells[0]}
            if edit.kind == "cut":
                assert edit.cells[1] not in following
            elif edit.kind in ("join", "divide", "confirm"):
                assert set(edit.cells[1:]) <= following
            elif edit.kind == "undivide":
                assert len(following) <= 1
            else:
                assert all(edit.cells[0] not in link for link in after)
        # every link that differs has an end that an edit names
        for source, target in before.keys() ^ after.keys():
            assert source in named or target in named
        for link in before.keys() & after.keys():
            if link[0] not in named and link[1] not in named and before[link]:
                assert after[link]


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 9999), count=st.integers(1, 4))
def test_undoing_an_edit_gives_the_former_lineage(seed, count):
    """A lineage depends on the edits that are left, not on those that were made and undone in between."""
    lineage = make_lineage(seed)
    edits = list(edit_lineage(lineage, make_edits(lineage, seed)).applied)
    former = edit_lineage(lineage, edits[:count]).lineage
    edit_lineage(lineage, edits)
    assert_same(edit_lineage(lineage, edits[:count]).lineage, former)
    assert_same(edit_lineage(lineage, []).lineage, lineage)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 9999))
def test_a_cut_and_a_join_of_the_same_cells_give_the_former_tracks(seed):
    lineage = make_lineage(seed)
    inside = np.flatnonzero(lineage.track[lineage.source] == lineage.track[lineage.target])
    if not len(inside):
        return
    link = inside[seed % len(inside)]
    rows = (lineage.source[link], lineage.target[link])
    cells = tuple((int(lineage.cells.frame[row]), int(lineage.cells.label[row])) for row in rows)
    cut = edit_lineage(lineage, [Edit("cut", cells)]).lineage
    assert len(cut.source) == len(lineage.source) - 1
    again = edit_lineage(cut, [Edit("join", cells)]).lineage
    np.testing.assert_array_equal(again.track, lineage.track)
    np.testing.assert_array_equal(again.tracks.parent, lineage.tracks.parent)
    assert links_of(again) == links_of(lineage)


def in_a_row(n=5, kinds=None):
    """One track of a cell in each of n frames."""
    cells = Cells(np.arange(n), np.ones(n), np.zeros((n, 2)), np.zeros((n, 0)), (), (), (1, 1), n, (9, 9))
    lineage = Lineage(
        cells, np.ones(n), Tracks([1], [0], [n - 1], [0]), np.arange(n - 1), np.arange(1, n), np.full(n - 1, 0.5)
    )
    return lineage if kinds is None else lineage.with_origins(MaskOrigins(1 - np.array(kinds), np.array(kinds)))


def test_masks_drawn_in_a_gap_go_with_the_link_over_it():
    lineage = in_a_row(kinds=[0, 0, 1, 1, 0])
    edited = edit_lineage(lineage, [Edit("cut", ((1, 1), (2, 1)))])
    assert edited.kept.tolist() == [True, True, False, False, True]
    assert edited.lineage.tracks.start.tolist() == [0, 4]
    assert edited.lineage.origins.input_label.tolist() == [1, 1, 1]
    confirmed = edit_lineage(lineage, [Edit("confirm", ((2, 1), (3, 1)))])
    assert confirmed.kept.all()
    assert confirmed.lineage.confidence.tolist() == [0.5, 1, 1, 1]
    refused = edit_lineage(lineage, [Edit("spurious", ((2, 1),))]).refused
    assert "was drawn in a gap" in refused[0][1]


def test_the_only_daughter_of_a_track_stays_a_daughter():
    cells = in_a_row(4).cells
    lineage = Lineage(cells, [1, 1, 2, 2], Tracks([1, 2], [0, 2], [1, 3], [0, 1]), [0, 1, 2], [1, 2, 3], [1, 1, 1])
    edited = edit_lineage(lineage, [Edit("cut", ((2, 1), (3, 1)))]).lineage
    assert edited.tracks.parent.tolist() == [0, 1, 0]
    joined = edit_lineage(lineage, [Edit("join", ((1, 1), (2, 1)))]).lineage
    assert joined.track.tolist() == [1, 1, 1, 1]


def test_a_cell_that_does_not_divide_goes_on_as_the_more_certain_daughter():
    cells = Cells([0, 1, 1], [1, 1, 2], [[0, 0], [0, 1], [0, 5]], np.zeros((3, 0)), (), (), (1, 1), 2, (9, 9))
    tracks = Tracks([1, 2, 3], [0, 1, 1], [0, 1, 1], [0, 1, 1])
    for confidence, expected in (([0.9, 0.9], [1, 1, 3]), ([0.4, 0.9], [1, 2, 1])):
        lineage = Lineage(cells, [1, 2, 3], tracks, [0, 0], [1, 2], confidence)
        edited = edit_lineage(lineage, [Edit("undivide", ((0, 1),))]).lineage
        assert edited.track.tolist() == expected
        assert edited.tracks.parent.tolist() == [0, 0]


def test_the_reason_of_a_refusal_names_cells_as_they_are_given():
    edits = [Edit("cut", ((1, 1), (2, 1))), Edit("join", ((1, 1), (2, 1))), Edit("confirm", ((0, 1), (3, 1)))]
    edited = edit_lineage(in_a_row(), edits)
    assert [edit.kind for edit in edited.applied] == ["cut"]
    assert "edit 1 cuts the link from cell 1 of frame 1 to cell 1 of frame 2" in edited.refused[0][1]
    with pytest.raises(AssertionError):
        assert_same(edited.lineage, in_a_row())
