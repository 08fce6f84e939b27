"""The field of interest: cells in the margin are removed, and the rest of the lineage is sound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import worlds
from test_repair import check_sound, draw, lane

from gnntrack import pipeline
from gnntrack.errors import FormatError, InputError
from gnntrack.io.ctc_table import read_track_table
from gnntrack.io.images import read_mask
from gnntrack.lineage.families import find_divisions
from gnntrack.lineage.field_of_interest import crop_to_field
from gnntrack.lineage.repair import RepairedMovie, fill_gaps
from gnntrack.settings import RepairSettings, Settings


def crop(world, margin):
    """Return (movie before, movie after, removed cells) and check that the movie after is sound."""
    lineage, runs = worlds.build_known_lineage(world)
    whole = fill_gaps(lineage, runs, settings=RepairSettings())
    smaller, few, fills, removed = crop_to_field(whole.lineage, whole.runs, whole.fills, margin=margin)
    result = RepairedMovie(smaller, few, fills, whole.filled_masks, whole.split_masks)
    check_sound(result)
    return whole, result, {tuple(each) for each in removed.tolist()}


def test_a_cell_that_reaches_into_the_field_stays_whole():
    world = worlds.draw_world({"a0": (20, 10, 6), "b0": (20, 4, 4)}, ["a0", "b0"], shape=(40, 60), n_frames=1)
    whole, result, removed = crop(world, 10)
    assert removed == {(0, world.label["b0"])}
    assert (draw(result.runs, 0) > 0).sum() == (world.masks[0] == world.label["a0"]).sum()
    assert result.lineage.cells.label.tolist() == [world.label["a0"]]
    assert crop(world, 3)[1].lineage is not whole.lineage


@pytest.mark.parametrize("place", [(20, 4, 4), (20, 55, 4), (4, 30, 4), (35, 30, 4)])
def test_the_margin_is_on_all_sides(place):
    world = worlds.draw_world({"a0": place, "b0": (20, 30, 5)}, ["a0", "b0"], shape=(40, 60), n_frames=1)
    assert crop(world, 9)[2] == {(0, world.label["a0"])}
    assert crop(world, 2)[2] == set()


def test_planes_have_no_margin():
    world = worlds.draw_world({"a0": (1, 15, 15, 3), "b0": (4, 15, 2, 2)}, ["a0", "b0"], shape=(9, 30, 30), n_frames=1)
    assert crop(world, 5)[2] == {(0, world.label["b0"])}


def test_a_track_that_leaves_the_field_and_comes_back_is_two():
    disks = lane("a", (0, 1), x=30) | {"a2": (4, 40, 3)} | lane("a", (3, 4), x=30)
    world = worlds.draw_world(disks, ["a0 a1 a2 a3 a4"], shape=(40, 80), n_frames=5)
    _, result, removed = crop(world, 8)
    assert removed == {(2, world.label["a2"])}
    tracks = result.lineage.tracks
    assert list(zip(tracks.id.tolist(), tracks.start.tolist(), tracks.end.tolist(), strict=True)) == [
        (1, 0, 1),
        (2, 3, 4),
    ]
    assert tracks.parent.tolist() == [0, 0]
    assert len(result.lineage.source) == 2


@pytest.mark.parametrize("crowd", [{}, {f"z{t}": (3, 75, 2) for t in range(4)}])
def test_a_drawn_mask_outside_the_field_is_removed(crowd):
    """The cell is lost while it is outside; the masks drawn in two frames bring it there::

    frame 0  (a)   frame 1  ( ) above the field   frame 2  ( ) above the field   frame 3   (a)
    """
    disks = {"a0": (12, 30, 5), "a3": (12, 36, 5)} | crowd
    tracks = ["a0 a3", *([" ".join(crowd)] if crowd else [])]
    world = worlds.draw_world(disks, tracks, shape=(40, 80), n_frames=4)
    lineage, runs = worlds.build_known_lineage(world)
    whole = fill_gaps(lineage, runs, settings=RepairSettings())
    up = 5 * 80
    high = replace(whole.fills, start=np.where(whole.fills.frames() == 1, whole.fills.start - up, whole.fills.start))
    smaller, few, fills, _ = crop_to_field(whole.lineage, whole.runs, high, margin=14)
    check_sound(RepairedMovie(smaller, few, fills, whole.filled_masks, whole.split_masks))
    assert len(smaller.tracks) == 2
    assert len(fills) == 0


def test_a_margin_of_half_the_image_leaves_nothing():
    world = worlds.draw_world({"a0": (20, 30, 30)}, ["a0"], shape=(40, 60), n_frames=1)
    assert not crop(world, 19)[2]
    for margin in (20, 25, 31, 99):
        assert len(crop(world, margin)[1].lineage.cells) == 0
    with pytest.raises(InputError, match=r"a margin of 20 pixels leaves nothing of frames of 40 x 60; .* less than 20"):
        pipeline.track(masks=world.masks, settings=Settings().replace(repair__margin=20))


def test_a_daughter_keeps_a_parent_that_divided_in_the_field():
    disks = lane("a", (0, 1), x=30) | lane("b", (2, 3), x=20, y=12) | lane("c", (2, 3), x=20, y=28)
    world = worlds.draw_world(disks, ["a0 a1", "b2 b3 <a1", "c2 c3 <a1"], shape=(40, 60), n_frames=4)
    assert len(find_divisions(crop(world, 3)[1].lineage)) == 1
    disks |= {"a1": (3, 30, 2)}
    world = worlds.draw_world(disks, ["a0 a1", "b2 b3 <a1", "c2 c3 <a1"], shape=(40, 60), n_frames=4)
    lineage = crop(world, 6)[1].lineage
    assert lineage.tracks.parent.tolist() == [0, 0, 0]
    assert len(lineage.source) == 2


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 9999), margin=st.integers(0, 20))
def test_whatever_lies_outside_the_result_is_sound(seed, margin):
    """Cells that move in and out, with gaps: the result has all masks that reach into the field, and no other."""
    random = np.random.default_rng(seed)
    disks, tracks = {}, []
    for letter in "abcd":
        frames = [t for t in range(6) if random.uniform() < 0.75] or [0]
        for t in frames:
            disks[f"{letter}{t}"] = (*random.uniform(0, 39, 2), random.uniform(2, 5))
        tracks.append(" ".join(f"{letter}{t}" for t in frames))
    world = worlds.draw_world(disks, tracks, shape=(40, 40), seed=seed)
    hidden = {name for name, label in world.label.items() if not (world.masks[int(name[1:])] == label).any()}
    tracks = [" ".join(cell for cell in track.split() if cell not in hidden) for track in tracks]
    world = worlds.DrawnWorld(world.masks, world.label, frozenset(track for track in tracks if track))
    whole, result, removed = crop(world, margin)
    field = np.zeros((40, 40), bool)
    field[margin : 40 - margin, margin : 40 - margin] = True
    for frame in range(6):
        before, after = draw(whole.runs, frame), draw(result.runs, frame)
        filled = draw(result.fills, frame, result.fills.cell)
        assert all((field & (filled == track)).any() for track in np.unique(filled[filled > 0]))
        for row in range(*whole.lineage.cells.rows(frame).indices(10**9)):
            pixels, label = before == row + 1, int(whole.lineage.cells.label[row])
            assert ((frame, label) in removed) == (not (pixels & field).any())
            assert ((after > 0) == pixels)[pixels].all() == ((frame, label) not in removed)


def test_tables_do_not_know_the_margin_and_say_so(tmp_path, caplog):
    world = worlds.draw_world(lane("a", range(4)), shape=(40, 60), n_frames=4)
    lineage = pipeline.track(masks=world.masks)
    pipeline.export(lineage, tmp_path / "tables", to="csv", settings=Settings().replace(repair__margin=8))
    assert "the margin of 8 pixels is not applied in format 'csv'" in caplog.text


def test_masks_of_another_movie_are_refused_after_the_margin_too():
    disks = lane("a", range(4)) | lane("b", range(4), x=4, step=0, radius=3.0)
    world = worlds.draw_world(disks, shape=(40, 60), n_frames=4)
    lineage = pipeline.track(masks=world.masks, settings=Settings().replace(repair__margin=8))
    with pytest.raises(FormatError, match="these masks are not those"):
        pipeline.export(lineage, "nowhere", masks=0 * world.masks)


def test_a_result_without_its_margin_is_written_and_can_be_exported_again(tmp_path):
    disks = lane("a", range(4)) | lane("b", range(4), x=4, step=0, radius=3.0)
    world = worlds.draw_world(disks, shape=(40, 60), n_frames=4)
    settings = Settings().replace(repair__margin=8)
    lineage = pipeline.track(masks=world.masks, out=tmp_path / "RES", settings=settings)
    assert len(lineage.cells) == 4
    assert [len(np.unique(read_mask(tmp_path / "RES" / f"mask{t:03d}.tif"))) for t in range(4)] == [2] * 4
    assert len(read_track_table(tmp_path / "RES" / "res_track.txt")) == 1
    pipeline.export(lineage, tmp_path / "AGAIN", masks=world.masks)
    for t in range(4):
        one, two = (read_mask(tmp_path / name / f"mask{t:03d}.tif") for name in ("RES", "AGAIN"))
        assert np.array_equal(one, two)
