"""Tracks that a split mask breaks: the link into the cell ends at one piece, the link out of it starts at the other."""

from __future__ import annotations

import numpy as np
import pytest
from support import worlds

from gnntrack.lineage.merged_fragments import merge_fragments
from gnntrack.settings import RepairSettings

DEFAULTS = RepairSettings()
DISC = {f"a{t}": (64.0, 64.0, 8.0) for t in range(6)}
MOVING = {f"a{t}": (40.0 + 7 * t, 64.0, 8.0) for t in range(6)}
BALL = {f"a{t}": (12.0, 20.0, 20.0, 6.0) for t in range(6)}


def break_cell(disks, tracks, *, frame=3, axis=1, offset=0.0, shape=(128, 128)):
    """Cut a{frame} at its centre plus the offset; ``b{frame}`` is the piece behind the cut."""
    world = worlds.draw_world(disks, tracks, shape=shape)
    name = f"a{frame}"
    centre = disks[name][axis] + offset
    behind = world.masks[frame] == world.label[name]
    behind &= np.indices(shape)[axis] > centre
    label = {**world.label, f"b{frame}": 1}
    world.masks[frame][behind] = 1
    return worlds.DrawnWorld(world.masks, label, world.tracks)


def merge(world):
    lineage, runs = worlds.build_known_lineage(world)
    names = world.names(lineage.cells)
    whole, pixels, merged = merge_fragments(lineage, runs, settings=DEFAULTS)
    gone = {(int(frame), int(label)) for frame, label, _ in merged}
    rest = tuple(name for name in names if (int(name[1:]), world.label[name]) not in gone)
    return worlds.list_tracks(whole, rest), whole, pixels, merged


@pytest.mark.parametrize(
    ("disks", "options"),
    [
        (DISC, {}),
        (DISC, {"axis": 0}),
        (DISC, {"offset": 4.0}),  # a small piece that starts
        (DISC, {"offset": -4.0}),  # a small piece that ends
        (DISC, {"frame": 1}),
        (DISC, {"frame": 4}),
        (MOVING, {}),
        ({f"a{t}": (64.0, 64.0, 6.0 + (t > 3) * 3.0 + (t == 3) * 1.6) for t in range(6)}, {}),  # it grows
        (BALL, {"axis": 2, "shape": (24, 40, 40)}),
    ],
)
def test_a_broken_track_is_joined(disks, options):
    frame = options.get("frame", 3)
    first = " ".join(f"a{t}" for t in range(frame + 1))
    second = " ".join([f"b{frame}", *(f"a{t}" for t in range(frame + 1, 6))])
    tracks, whole, pixels, merged = merge(break_cell(disks, [first, second], **options))
    assert len(tracks) == 1, tracks
    assert whole.tracks.start.tolist() == [0]
    assert whole.tracks.end.tolist() == [5]
    assert len(merged) == 1
    assert len(np.unique(pixels.cell[pixels.frame(frame)])) == 1  # all pixels of the frame belong to one cell


def test_a_daughter_that_is_split_at_birth_keeps_her_mother():
    disks = {f"m{t}": (64.0, 64.0, 10.0) for t in range(3)}
    disks |= {f"a{t}": (64.0, 52.0, 7.0) for t in (3, 4, 5)} | {f"d{t}": (64.0, 78.0, 7.0) for t in (3, 4, 5)}
    tracks = ["m0 m1 m2", "a3 <m2", "d3 d4 d5 <m2", "b3 a4 a5"]
    joined, *_ = merge(break_cell(disks, tracks))
    assert {track.partition(" <")[2] for track in joined} == {"", "m2"}
    assert len(joined) == 3


def test_a_mother_that_is_split_before_she_divides_keeps_her_daughters():
    disks = {f"a{t}": (64.0, 64.0, 10.0) for t in range(4)}
    disks |= {f"c{t}": (64.0, 52.0, 7.0) for t in (4, 5)} | {f"d{t}": (64.0, 78.0, 7.0) for t in (4, 5)}
    joined, *_ = merge(break_cell(disks, ["a0 a1 a2 a3", "b3", "c4 c5 <b3", "d4 d5 <b3"]))
    assert len(joined) == 3


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((64.0, 64.0, 8.0), (64.0, 82.0, 8.0)),  # one dies where another one appears: each has its usual size
        ((64.0, 64.0, 8.0), (64.0, 82.0, 4.0)),  # the sizes before and after differ
        ((30.0, 64.0, 5.6), (98.0, 64.0, 5.6)),  # far from each other
        ((64.0, 58.0, 5.6), (64.0, 74.0, 5.6)),  # the sizes fit, but a wide cleft lies between them
    ],
)
def test_two_cells_are_not_pieces_of_one(before, after):
    disks = {f"a{t}": before for t in range(4)} | {f"b{t}": after for t in range(3, 6)}
    if before[2] == after[2] == 5.6:  # alone, each has half of the size before and after
        disks |= {f"a{t}": (*before[:2], 8.0) for t in range(3)} | {f"b{t}": (*after[:2], 8.0) for t in (4, 5)}
    world = worlds.draw_world(disks, ["a0 a1 a2 a3", "b3 b4 b5"])
    lineage, runs = worlds.build_known_lineage(world)
    assert merge_fragments(lineage, runs, settings=DEFAULTS)[0] is lineage
