"""Repair: places of the masks drawn in gaps, split and merged masks; a repaired lineage is always sound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import worlds

from gnntrack.lineage import missing_masks
from gnntrack.lineage.merged_fragments import merge_fragments
from gnntrack.lineage.repair import fill_gaps
from gnntrack.masks.runs import decode_frame
from gnntrack.settings import RepairSettings

DEFAULTS = RepairSettings()


def repair(world, spacing=None, **options):
    """Return (world's lineage, its runs, the repaired one); the repaired one is checked to be sound."""
    lineage, runs = worlds.build_known_lineage(world, spacing)
    result = fill_gaps(lineage, runs, settings=RepairSettings(**options))
    check_sound(result)
    return lineage, runs, result


def draw(runs, frame, value=None):
    """Return a frame's pixels by their cells' rows + 1 (track ids for fills), 0 = background."""
    part = runs.frame(frame)
    value = runs.cell[part] + 1 if value is None else value[part]
    return decode_frame(runs.shape, runs.start[part], runs.length[part], value, np.int64)


def check_sound(result):
    """A track has one mask in each of its frames, of a cell or drawn in a gap, and no pixel has two."""
    lineage, tracks = result.lineage, result.lineage.tracks
    masks = {(int(k), int(t)) for k, t in zip(lineage.track, lineage.cells.frame, strict=True)}
    for frame in range(lineage.cells.n_frames):
        cells, fills = draw(result.runs, frame), draw(result.fills, frame, result.fills.cell)
        assert not ((cells > 0) & (fills > 0)).any()
        part = result.fills.frame(frame)
        assert result.fills.length[part].sum() == (fills > 0).sum()
        assert set(np.unique(cells[cells > 0]) - 1) == set(range(*lineage.cells.rows(frame).indices(10**9)))
        new = {(int(track), frame) for track in np.unique(fills[fills > 0])}
        assert not new & masks
        masks |= new
    expected = {(int(k), t) for row, k in enumerate(tracks.id) for t in tracks.frames(row)}
    assert masks == expected
    assert len(result.runs.offsets) == len(result.fills.offsets) == lineage.cells.n_frames + 1


def by_first_cell(lineage, names):
    """Return {first cell: (first frame, last frame, first cell of the parent)}."""
    first = {int(k): names[np.flatnonzero(lineage.track == k)[0]] for k in lineage.tracks.id}
    columns = (lineage.tracks.id, lineage.tracks.start, lineage.tracks.end, lineage.tracks.parent)
    return {first[k]: (s, e, first.get(p)) for k, s, e, p in zip(*(c.tolist() for c in columns), strict=True)}


def lane(letter, frames, *, y=20.0, x=15.0, step=5.0, radius=6.0):
    """Return the disks of a cell that moves to the right."""
    return {f"{letter}{t}": (y, x + step * t, radius) for t in frames}


def centre_of(pixels):
    return np.argwhere(pixels).mean(axis=0)


# --------------------------------------------------------------------------- gaps


def test_a_missing_mask_is_drawn_where_the_cell_must_have_been():
    """::

    frame 1  (a)          frame 2       ( )       frame 3           (a)
    """
    world = worlds.draw_world(lane("a", (0, 1, 3)), ["a0 a1 a3"], shape=(40, 60), n_frames=4)
    lineage, runs, result = repair(world)
    fill = draw(result.fills, 2, result.fills.cell)
    assert result.filled_masks.tolist() == [[1, 2]]
    assert result.split_masks.tolist() == []
    np.testing.assert_allclose(centre_of(fill == 1), (20, 25), atol=0.75)
    sizes = lineage.cells.feature("size")
    assert (fill == 1).sum() == pytest.approx(sizes.mean(), rel=0.15)
    assert result.runs is runs
    assert result.lineage is lineage


def test_two_missing_masks_lie_at_a_third_and_two_thirds_of_the_way():
    """The shape is that of the nearer neighbour: small before the gap, large behind it."""
    disks = {"a0": (20, 20, 4.0), "a3": (20, 50, 8.0)}
    world = worlds.draw_world(disks, ["a0 a3"], shape=(40, 70), n_frames=4)
    lineage, _, result = repair(world)
    assert result.filled_masks.tolist() == [[1, 1], [1, 2]]
    small, large = lineage.cells.feature("size")
    for frame, x, size in ((1, 30, small), (2, 40, large)):
        fill = draw(result.fills, frame, result.fills.cell) == 1
        np.testing.assert_allclose(centre_of(fill), (20, x), atol=0.75)
        assert fill.sum() == pytest.approx(size, rel=0.15)


def test_in_3d_too():
    disks = {f"a{t}": (4.0, 12.0, 10.0 + 4 * t, 4.0) for t in (0, 2)} | {
        f"b{t}": (4.0, 25.0, 15.0, 4.0) for t in range(3)
    }
    world = worlds.draw_world(disks, ["a0 a2", "b0 b1 b2"], shape=(9, 32, 32), n_frames=3)
    _, _, result = repair(world, (2.0, 0.5, 0.5))
    fill = draw(result.fills, 1, result.fills.cell)
    np.testing.assert_allclose(centre_of(fill > 0), (4, 12, 14), atol=0.75)
    size = (world.masks[0] == world.label["a0"]).sum()
    assert (fill > 0).sum() == pytest.approx(size, rel=0.15)


@pytest.mark.parametrize("offset", [0, 2, 4, 6, 8])
def test_where_two_missing_masks_meet_the_labels_do_not_choose(offset):
    """::

    frame 0  (a)          frame 1     ( )         frame 2         (a)
                 (b)                  ( )                 (b)
    """
    disks = {"a0": (16, 16, 6), "b0": (16 + offset, 32, 6), "a2": (16, 32, 6), "b2": (16 + offset, 16, 6)}
    drawn = []
    for seed in range(8):
        world = worlds.draw_world(disks, ["a0 a2", "b0 b2"], shape=(48, 48), n_frames=3, seed=seed)
        lineage, _, result = repair(world)
        track = lineage.track[lineage.cells.row_of(0, world.label["a0"])]
        fills = draw(result.fills, 1, result.fills.cell)
        drawn.append((fills == track).astype(int) + 2 * ((fills > 0) & (fills != track)))
    assert drawn[0].any()
    assert all(np.array_equal(each, drawn[0]) for each in drawn)


def test_only_background_is_drawn_on():
    """Cell b has moved onto a part of the place; a keeps the rest::

    frame 0  (a)   (b)     frame 1  ( ((b)       frame 2  (a)   (b)
    """
    disks = lane("a", (0, 2), step=0, x=20) | {"b0": (20, 50, 6), "b1": (20, 28, 6), "b2": (20, 50, 6)}
    world = worlds.draw_world(disks, ["a0 a2", "b0 b1 b2"], shape=(40, 64), n_frames=3)
    _, runs, result = repair(world)
    assert result.runs is runs
    fill = draw(result.fills, 1, result.fills.cell) > 0
    assert fill.any()
    where_a_was = world.masks[0] == world.label["a0"]
    np.testing.assert_array_equal(fill, where_a_was & (world.masks[1] == 0))


def test_a_drawn_mask_is_not_changed_by_the_next(monkeypatch):
    """Both cells are missing in frame 1, and their places meet: each pixel has one of them, the first is whole::

    frame 0  (a)(b)        frame 1  ( ( )        frame 2  (a)(b)
    """
    disks = {"a0": (20, 14, 6), "b0": (20, 28, 6), "a2": (20, 28, 6), "b2": (20, 14, 6)}
    world = worlds.draw_world(disks, ["a0 a2", "b0 b2"], shape=(40, 48), n_frames=3)
    with monkeypatch.context() as changed:
        changed.setattr(missing_masks, "_MIN_VISIBLE", 0.0)
        _, _, result = repair(world)
    assert len(result.filled_masks) == 1  # they pass each other at the very same place, and the second finds none of it
    disks |= {"b0": (20, 32, 6), "b2": (20, 18, 6)}
    world = worlds.draw_world(disks, ["a0 a2", "b0 b2"], shape=(40, 48), n_frames=3)
    _, _, result = repair(world)
    fill = draw(result.fills, 1, result.fills.cell)
    sizes = [(fill == track).sum() for track in result.filled_masks[:, 0]]
    assert sizes[0] == 113  # a disk of radius 6
    assert 0 < sizes[1] < 0.7 * sizes[0]


def test_a_place_taken_by_another_cell_stays_empty():
    """Cell b covers the place, and is not larger than before: the track is split::

    frame 0  (a)  (b)      frame 1  (b)          frame 2  (a)  (b)
    """
    disks = lane("a", (0, 2), step=0, x=20) | {"b0": (20, 50, 7), "b1": (20, 20, 7), "b2": (20, 50, 7)}
    world = worlds.draw_world(disks, ["a0 a2", "b0 b1 b2"], shape=(40, 64), n_frames=3)
    lineage, _, result = repair(world)
    assert result.filled_masks.tolist() == []
    assert len(result.fills) == 0
    assert by_first_cell(result.lineage, world.names(lineage.cells)) == {
        "a0": (0, 0, None),
        "b0": (0, 2, None),
        "a2": (2, 2, "a0"),
    }
    np.testing.assert_array_equal(result.lineage.source, lineage.source)  # the links stay, now to a daughter


@pytest.mark.parametrize(("share", "drawn"), [(0.0, False), (0.2, True), (0.6, False)])
def test_a_mask_is_drawn_only_if_enough_of_it_is_visible(share, drawn, monkeypatch):
    """About two fifths of the place are free, or nothing of it."""
    x = 20 if share == 0.0 else 24
    disks = lane("a", (0, 2), step=0, x=20) | {"b0": (20, 50, 7), "b1": (20, x, 7), "b2": (20, 50, 7)}
    world = worlds.draw_world(disks, ["a0 a2", "b0 b1 b2"], shape=(40, 64), n_frames=3)
    monkeypatch.setattr(missing_masks, "_MIN_VISIBLE", share)
    assert (len(repair(world)[2].filled_masks) == 1) == drawn


def test_without_fill_gaps_every_gap_splits_its_track():
    world = worlds.frame_dropped()
    lineage, runs, result = repair(world, fill_gaps=False)
    assert len(result.fills) == 0
    assert result.runs is runs
    names = world.names(lineage.cells)
    expected = {f"{k}0": (0, 1, None) for k in "ABCDEFGH"} | {f"{k}3": (3, 5, f"{k}0") for k in "ABCDEFGH"}
    assert by_first_cell(result.lineage, names) == expected


def test_a_whole_missing_frame_is_filled():
    world = worlds.frame_dropped()
    _, _, result = repair(world)
    assert sorted(result.filled_masks[:, 0].tolist()) == list(range(1, 9))
    assert (result.filled_masks[:, 1] == 2).all()


GAPS_THEN_DIVISION = [  # a track with gaps in frames 1 and 3, then its daughters, of which one has a gap as well
    "a0 a2 a4",
    "b5 b7 <a4",
    "c5 c6 c7 <a4",
]


def gaps_then_division(*, blocked=()):
    """A cell with two gaps, that divides; in blocked frames another cell of the usual size lies on the place."""
    disks = {f"a{t}": (20.0, 20.0, 6.0) for t in (0, 2, 4)}
    disks |= {f"b{t}": (20.0, 12.0, 5.0) for t in (5, 7)} | {f"c{t}": (20.0, 28.0, 5.0) for t in (5, 6, 7)}
    disks |= {f"d{t}": (20.0, (12.0 if t > 4 else 20.0) if t in blocked else 60.0, 7.0) for t in range(8)}
    return worlds.draw_world(
        disks, [*GAPS_THEN_DIVISION, " ".join(f"d{t}" for t in range(8))], shape=(40, 80), n_frames=8
    )


@pytest.mark.parametrize(
    ("blocked", "pieces"),
    [
        ((), {"a0": (0, 4, None), "b5": (5, 7, "a0"), "c5": (5, 7, "a0")}),
        ((1,), {"a0": (0, 0, None), "a2": (2, 4, "a0"), "b5": (5, 7, "a2"), "c5": (5, 7, "a2")}),
        ((3,), {"a0": (0, 2, None), "a4": (4, 4, "a0"), "b5": (5, 7, "a4"), "c5": (5, 7, "a4")}),
        (
            (1, 3, 6),
            {
                "a0": (0, 0, None),
                "a2": (2, 2, "a0"),
                "a4": (4, 4, "a2"),
                "b5": (5, 5, "a4"),
                "b7": (7, 7, "b5"),
                "c5": (5, 7, "a4"),
            },
        ),
    ],
)
def test_daughters_come_from_the_last_piece_of_a_split_track(blocked, pieces):
    world = gaps_then_division(blocked=blocked)
    lineage, _, result = repair(world)
    assert by_first_cell(result.lineage, world.names(lineage.cells)) == {**pieces, "d0": (0, 7, None)}
    assert len(result.filled_masks) == 3 - len(blocked)


@pytest.mark.parametrize("blocked", [(1,), (2,), (3,), (1, 2), (1, 3), (2, 3), (1, 2, 3)])
def test_a_long_gap_that_is_blocked_in_part_is_sound(blocked):
    """Of three missing masks some cannot be drawn; no track has a mask before its start or after its end."""
    disks = lane("a", (0, 4), step=0, x=20)
    disks |= {f"d{t}": (20.0, 20.0 if t in blocked else 60.0, 7.0) for t in range(5)}
    world = worlds.draw_world(disks, ["a0 a4", "d0 d1 d2 d3 d4"], shape=(40, 80), n_frames=5)
    lineage, _, result = repair(world)
    assert result.lineage.tracks.parent[-1] == result.lineage.track[world.names(lineage.cells).index("a0")]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 9999), fill=st.booleans())
def test_whatever_is_missing_the_result_is_sound(seed, fill):
    """Crowded lanes of cells of which a third have no mask: gaps of all lengths, some blocked by neighbours."""
    random = np.random.default_rng(seed)
    disks, tracks = {}, []
    for letter in "abcde":
        y, x = random.uniform(8, 24, 2)
        frames = [t for t in range(6) if random.uniform() < 0.65] or [0]
        for t in frames:
            disks[f"{letter}{t}"] = (y + random.normal(0, 3), x + random.normal(0, 3), random.uniform(4, 7))
        tracks.append(" ".join(f"{letter}{t}" for t in frames))
    world = worlds.draw_world(disks, tracks, shape=(32, 32), seed=seed)
    hidden = {name for name, label in world.label.items() if not (world.masks[int(name[1:])] == label).any()}
    tracks = [" ".join(cell for cell in track.split() if cell not in hidden) for track in tracks]
    world = replace(world, tracks=frozenset(track for track in tracks if track))
    lineage, _, result = repair(world, fill_gaps=fill)
    done = {tuple(pair) for pair in result.filled_masks.tolist()}
    assert (not done) or fill
    np.testing.assert_array_equal(result.lineage.target, lineage.target)


# --------------------------------------------------------------------------- cells that share a mask


def merge_two(missing="b", *, shape=(44, 60)):
    """Two cells, 12 pixels apart, that share a mask in frame 1, under the label of the one that is not missing."""
    z = (3.0,) if len(shape) == 3 else ()
    disks = {f"a{t}": (*z, 20.0, 20.0, 6.5) for t in range(3)} | {f"b{t}": (*z, 24.0, 32.0, 6.5) for t in range(3)}
    world = worlds.draw_world(disks, shape=shape, n_frames=3)
    kept = "a" if missing == "b" else "b"
    world.masks[1][world.masks[1] == world.label[f"{missing}1"]] = world.label[f"{kept}1"]
    label = {name: label for name, label in world.label.items() if name != f"{missing}1"}
    tracks = {f"{kept}0 {kept}1 {kept}2", f"{missing}0 {missing}2"}
    return worlds.DrawnWorld(world.masks, label, frozenset(tracks)), kept


@pytest.mark.parametrize("missing", ["a", "b"])
@pytest.mark.parametrize("shape", [(44, 60), (7, 44, 60)])
def test_a_mask_of_two_cells_is_split(missing, shape):
    world, kept = merge_two(missing, shape=shape)
    lineage, _, result = repair(world)
    names = world.names(lineage.cells)
    assert result.split_masks.tolist() == [[1, world.label[f"{kept}1"]]]
    assert result.filled_masks.tolist() == [[lineage.track[names.index(f"{missing}0")], 1]]
    fill = draw(result.fills, 1, result.fills.cell) > 0
    rest = draw(result.runs, 1) == 1 + names.index(f"{kept}1")
    for mask, cell in ((fill, missing), (rest, kept)):
        before = world.masks[0] == world.label[f"{cell}0"]
        assert (mask & before).sum() / (mask | before).sum() > 0.9
    assert not ((world.masks[1] > 0) & ~fill & ~rest).any()


def test_a_large_cell_is_not_split():
    """It is as large before and after; a small one passed over it and was not seen there."""
    disks = {f"a{t}": (20.0, 24.0, 12.0) for t in range(3)} | {"b0": (38.0, 45.0, 5.0), "b2": (8.0, 7.0, 5.0)}
    world = worlds.draw_world(disks, ["a0 a1 a2", "b0 b2"], shape=(44, 60), n_frames=3)
    _, runs, result = repair(world)
    assert len(result.split_masks) == 0
    assert result.runs is runs


@pytest.mark.parametrize(("excess", "split"), [(0.5, 1), (1.5, 0)])
def test_a_mask_is_split_if_it_is_large_enough(excess, split, monkeypatch):
    world, _ = merge_two()
    monkeypatch.setattr(missing_masks, "_MERGED_EXCESS", excess)
    assert len(repair(world)[2].split_masks) == split


# --------------------------------------------------------------------------- fragments


def test_a_fragment_is_merged_with_its_cell():
    world = worlds.split_for_a_frame()
    lineage, runs = worlds.build_known_lineage(world)
    names = world.names(lineage.cells)
    whole, pixels, merged = merge_fragments(lineage, runs, settings=DEFAULTS)
    assert merged.tolist() == [[3, world.label["b3"], world.label["a3"]]]
    rest = tuple(name for name in names if name != "b3")
    assert worlds.list_tracks(whole, rest) == world.tracks - {"b3"}
    for frame in range(6):
        cells = draw(pixels, frame)
        np.testing.assert_array_equal(cells > 0, world.masks[frame] > 0)
        for row in range(*whole.cells.rows(frame).indices(10**9)):
            own = np.isin(world.masks[frame], [world.label[rest[row]], *([world.label["b3"]] * (rest[row] == "a3"))])
            np.testing.assert_array_equal(cells == row + 1, own)
    untouched = merge_fragments(lineage, runs, settings=RepairSettings(join_pieces=False))
    assert untouched[0] is lineage
    assert untouched[1] is runs
    assert untouched[2].shape == (0, 3)


@pytest.mark.parametrize(
    ("cell", "spot"),
    [
        ((64.0, 64.0, 8.0), (64.0, 84.0, 5.0)),  # beside a cell that is as large as ever
        ((64.0, 61.0, 8.0), (64.0, 75.0, 5.0)),  # the same, and that cell has stepped to the other side
        ((64.0, 64.0, 6.2), (64.0, 84.0, 5.0)),  # as large as the missing part, but in another place
        ((64.0, 64.0, 8.0), (40.0, 40.0, 5.0)),  # far from all
    ],
)
def test_a_cell_in_one_frame_is_not_a_fragment_of_a_complete_cell(cell, spot):
    crowd, tracks = worlds.draw_lattice()
    crowd |= {f"a{t}": (64.0, 64.0, 8.0) for t in range(6)} | {"a3": cell, "b3": spot}
    world = worlds.draw_world(crowd, [*tracks, "a0 a1 a2 a3 a4 a5", "b3"])
    lineage, runs = worlds.build_known_lineage(world)
    assert merge_fragments(lineage, runs, settings=DEFAULTS)[0] is lineage


def test_a_cell_that_continues_is_not_a_fragment():
    """The fragment continues as a cell of its own."""
    split = worlds.split_for_a_frame()
    label = {**split.label, "b4": 1}
    split.masks[4][60:68, 82:88] = label["b4"]
    world = worlds.DrawnWorld(split.masks, label, split.tracks - {"b3"} | {"b3 b4"})
    lineage, runs = worlds.build_known_lineage(world)
    assert merge_fragments(lineage, runs, settings=DEFAULTS)[0] is lineage


def test_daughters_are_not_fragments():
    lineage, runs = worlds.build_known_lineage(worlds.parent_divides())
    assert merge_fragments(lineage, runs, settings=DEFAULTS)[0] is lineage


def split_cells(disks, tracks, cuts, shape=(128, 128)):
    """Return a world in which a part of some masks is a cell of its own: {name: (name of the part, row, column)}.

    The part is the pixels beyond the row or the column; one of them is None.
    """
    crowd, known = worlds.draw_lattice()
    world = worlds.draw_world(crowd | disks, known, shape=shape)
    label, masks = dict(world.label), world.masks
    for name, (part, y, x) in cuts.items():
        frame = int(name[1:])
        pixels = masks[frame] == label[name]
        pixels[: y or 0] = False
        pixels[:, : x or 0] = False
        label[part] = 1 + max(label.values())
        masks[frame][pixels] = label[part]
    return worlds.DrawnWorld(masks, label, world.tracks | set(tracks) | {part for part, _, _ in cuts.values()})


def stay(letter, frames, y=64.0, x=64.0, radius=8.0):
    return {f"{letter}{t}": (y, x, radius) for t in frames}


@pytest.mark.parametrize(
    ("disks", "tracks", "cuts"),
    [
        (stay("a", range(6)), ["a0 a1 a2 a3 a4 a5"], {"a5": ("q5", None, 65)}),
        (stay("a", range(6)), ["a0 a1 a2 a3 a4 a5"], {"a5": ("q5", 60, None)}),
        (stay("a", range(6)), ["a0 a1 a2 a3 a4 a5"], {"a0": ("q0", None, 63)}),
        (stay("a", range(4)), ["a0 a1 a2 a3"], {"a3": ("q3", None, 64)}),
        (stay("a", range(2, 6)), ["a2 a3 a4 a5"], {"a2": ("q2", 66, None)}),
        (
            stay("a", range(3)) | stay("b", range(3, 6), 55.0, radius=6) | stay("c", range(3, 6), 75.0, radius=6),
            ["a0 a1 a2", "b3 b4 b5 <a2", "c3 c4 c5 <a2"],
            {"b3": ("q3", None, 64)},
        ),
        (
            stay("a", range(3)) | stay("b", range(3, 6), 55.0, radius=6) | stay("c", range(3, 6), 75.0, radius=6),
            ["a0 a1 a2", "b3 b4 b5 <a2", "c3 c4 c5 <a2"],
            {"a2": ("q2", 63, None)},
        ),
        (stay("a", range(3), radius=5.5) | stay("a", range(3, 6)), ["a0 a1 a2 a3 a4 a5"], {"a3": ("q3", None, 64)}),
        (stay("a", range(4)) | stay("a", range(4, 6), radius=5.5), ["a0 a1 a2 a3 a4 a5"], {"a3": ("q3", 63, None)}),
    ],
    ids=["last", "last, other way", "first", "lost", "late", "born", "divides", "grows", "shrinks"],
)
def test_a_fragment_is_merged_where_one_other_frame_is_known(disks, tracks, cuts):
    world = split_cells(disks, tracks, cuts)
    lineage, runs = worlds.build_known_lineage(world)
    whole, _, merged = merge_fragments(lineage, runs, settings=DEFAULTS)
    ((cell, (part, _, _)),) = cuts.items()
    assert merged.tolist() == [[int(cell[1:]), world.label[part], world.label[cell]]]
    assert worlds.list_tracks(whole, [name for name in world.names(lineage.cells) if name != part]) == (
        world.tracks - {part}
    )


@pytest.mark.parametrize("last", [3, 4])
def test_a_fragment_of_some_frames_is_merged_with_its_cell(last):
    cuts = {f"a{t}": (f"q{t}", None, 65) for t in range(2, last + 1)}
    world = split_cells(stay("a", range(6)), ["a0 a1 a2 a3 a4 a5"], cuts)
    parts = [part for part, _, _ in cuts.values()]
    lineage, runs = worlds.build_known_lineage(replace(world, tracks=world.tracks - set(parts) | {" ".join(parts)}))
    whole, _, merged = merge_fragments(lineage, runs, settings=DEFAULTS)
    assert merged.tolist() == [
        [int(name[1:]), world.label[part], world.label[name]] for name, (part, _, _) in cuts.items()
    ]
    assert worlds.list_tracks(whole, [name for name in world.names(lineage.cells) if name not in parts]) == (
        world.tracks - set(parts)
    )


def test_a_daughter_of_one_frame_is_merged_with_her_sister_if_the_cell_is_as_large_before_and_after():
    world = split_cells(stay("a", range(6)), ["a0 a1 a2", "a3 a4 a5 <a2"], {"a3": ("q3", None, 65)})
    world = replace(world, tracks=world.tracks - {"q3"} | {"q3 <a2"})
    lineage, runs = worlds.build_known_lineage(world)
    whole, _, merged = merge_fragments(lineage, runs, settings=DEFAULTS)
    assert merged.tolist() == [[3, world.label["q3"], world.label["a3"]]]
    assert not whole.divisions
    assert len(whole.source) == len(lineage.source) - 1


def test_a_fragment_that_touches_its_cell_may_be_elsewhere():
    disks = stay("a", range(6)) | {"a3": (64.0, 70.0, 8.0)}
    world = split_cells(disks, ["a0 a1 a2 a3 a4 a5"], {"a3": ("q3", None, 70)})
    lineage, runs = worlds.build_known_lineage(world)
    assert merge_fragments(lineage, runs, settings=DEFAULTS)[2].tolist() == [[3, world.label["q3"], world.label["a3"]]]


@pytest.mark.parametrize(
    ("cell", "other"),
    [
        ((64.0, 58.0, 5.7), (64.0, 69.4, 5.7)),  # two daughters that touch
        ((60.0, 60.0, 5.7), (68.1, 68.0, 5.7)),
        ((64.0, 60.0, 6.2), (64.0, 71.2, 5.0)),  # unequal ones
        ((64.0, 62.0, 7.0), (64.0, 73.0, 3.9)),
        ((64.0, 60.0, 6.0), (64.0, 70.0, 5.8)),  # not touching
    ],
)
@pytest.mark.parametrize("frame", [0, 5])
def test_two_round_cells_of_the_first_or_last_frame_are_not_fragments(frame, cell, other):
    crowd, known = worlds.draw_lattice()
    tracks = [*known, "a0 a1 a2 a3 a4 a5", f"q{frame}"]
    world = worlds.draw_world(crowd | stay("a", range(6)) | {f"a{frame}": cell, f"q{frame}": other}, tracks)
    lineage, runs = worlds.build_known_lineage(world)
    assert merge_fragments(lineage, runs, settings=DEFAULTS)[0] is lineage


@pytest.mark.parametrize("world", [worlds.lone_cell, worlds.empty_masks, worlds.starts_late])
def test_nothing_to_repair(world):
    lineage, runs, result = repair(world())
    assert result.lineage is lineage
    assert len(result.fills) == 0
    assert result.filled_masks.shape == result.split_masks.shape == (0, 2)
    assert merge_fragments(lineage, runs, settings=DEFAULTS)[0] is lineage
