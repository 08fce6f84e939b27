"""The list of repairs is complete, and with keep_masks nothing is changed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from support import worlds
from test_cli import run

import gnntrack
from gnntrack.corrections import apply_edits
from gnntrack.errors import InputError, SettingsError
from gnntrack.io.ctc_validate import validate_ctc
from gnntrack.lineage.edits import Edit, EditList

pytestmark = pytest.mark.filterwarnings("ignore:the masks look poor")


def corrupt(masks, seed=3):
    """Return masks in which some cells are missing, some in two pieces, some merged with the next label."""
    rng, masks = np.random.default_rng(seed), masks.astype(np.int64)
    for t, mask in enumerate(masks):
        labels = np.unique(mask[mask > 0])
        for label, fate in zip(labels.tolist(), rng.random(len(labels)), strict=True):
            own = mask == label
            if fate < 0.05 and 0 < t < len(masks) - 1:
                mask[own] = 0
            elif fate < 0.10:
                right = np.argwhere(own)[:, 1].mean()
                mask[own & (np.arange(mask.shape[1]) > right)] = label + 1000
            elif fate < 0.15:
                mask[own] = label + 1
    return masks


@pytest.fixture(scope="module")
def movie():
    return corrupt(np.asarray(gnntrack.simulate(frames=8, cells=18, shape=(160, 160), seed=1003).masks))


def read_masks(folder):
    return [tifffile.imread(file) for file in sorted(Path(folder).glob("mask*.tif"))]


def list_pixels(mask):
    """Return {label: its pixels}."""
    flat = mask.ravel()
    return {int(label): frozenset(np.flatnonzero(flat == label).tolist()) for label in np.unique(flat[flat > 0])}


def test_every_change_of_a_mask_is_listed_and_nothing_else(movie, tmp_path):
    out = tmp_path / "01_RES"
    lineage = gnntrack.track(masks=movie, out=out, margin=20, min_size=25)
    table = pd.read_csv(out / "gnntrack" / "repairs.csv")
    assert set(table.kind) >= {"filled", "joined", "in margin", "too small", "split"}
    given, written = set(), set()
    for t, (before, after) in enumerate(zip(map(list_pixels, movie), map(list_pixels, read_masks(out)), strict=True)):
        given |= {(t, label) for label, pixels in before.items() if pixels not in after.values()}
        written |= {(t, label) for label, pixels in after.items() if pixels not in before.values()}
    listed_tracks = set(table[table.track > 0][["frame", "track"]].itertuples(index=False, name=None))
    listed_labels = set(table[table.input_label > 0][["frame", "input_label"]].itertuples(index=False, name=None))
    owners = {(t, label) for t, _, label in lineage.provenance.pieces_joined}
    assert written == listed_tracks
    assert given == listed_labels | owners
    assert json.loads((out / "gnntrack" / "summary.json").read_text())["counts"]["repairs"] == len(table)


def test_the_table_is_that_of_the_lineage_and_of_the_result_that_is_loaded(movie, tmp_path):
    lineage = gnntrack.track(masks=movie, out=tmp_path / "01_RES", margin=20)
    loaded = gnntrack.load(tmp_path / "01_RES")
    pd.testing.assert_frame_equal(lineage.to_pandas("repairs"), loaded.to_pandas("repairs"), check_dtype=False)
    filled = lineage.to_pandas("repairs").query("kind == 'filled'")
    assert len(filled) == lineage.provenance.gaps_filled
    with pytest.raises(InputError, match="come with the result of track"):
        gnntrack.solve(gnntrack.build_graph(masks=movie)).to_pandas("repairs")


def test_kept_masks_are_those_of_the_input(movie, tmp_path):
    out = tmp_path / "01_RES"
    lineage = gnntrack.track(masks=movie, out=out, keep_masks=True)
    for before, after in zip(map(list_pixels, movie), map(list_pixels, read_masks(out)), strict=True):
        assert set(before.values()) == set(after.values())
    assert not len(lineage.to_pandas("repairs"))
    assert not len(pd.read_csv(out / "gnntrack" / "repairs.csv"))
    assert not validate_ctc(out)
    split = gnntrack.track(masks=worlds.mask_dropped().masks, keep_masks=True)
    assert [(track.start, track.parent > 0) for track in split if track.start] == [(3, True)]
    with pytest.raises(SettingsError, match="omit one of the two"):
        gnntrack.track(masks=movie, keep_masks=True, fill_empty_frames=True)


def test_masks_of_a_solved_lineage_are_exported_as_they_are(movie, tmp_path):
    all_masks = gnntrack.Settings().replace(repair__debris_size=0.0)
    lineage = gnntrack.solve(gnntrack.build_graph(masks=movie, max_merge=0), settings=all_masks)
    gnntrack.export(lineage, tmp_path / "01_RES", masks=movie, keep_masks=True)
    for before, after in zip(map(list_pixels, movie), map(list_pixels, read_masks(tmp_path / "01_RES")), strict=True):
        assert set(before.values()) == set(after.values())


def test_copied_and_marked_masks_are_listed(tmp_path):
    masks = np.zeros((4, 30, 30), np.uint8)
    masks[1:, 5:11, 5:11], masks[1:, 20:26, 20:26] = 1, 2
    gnntrack.track(masks=masks, out=tmp_path / "01_RES", fill_empty_frames=True)
    listed = gnntrack.load(tmp_path / "01_RES").to_pandas("repairs")
    assert listed[["frame", "kind", "pixels"]].to_numpy().tolist() == [[0, "copied", 36], [0, "copied", 36]]
    spurious = EditList((Edit("spurious", ((2, 2),)),), labels="input")
    np.save(tmp_path / "masks.npy", masks)
    gnntrack.track(masks=tmp_path / "masks.npy", out=tmp_path / "02_RES")
    apply_edits(tmp_path / "02_RES", spurious, out=tmp_path / "03_RES")
    listed = gnntrack.load(tmp_path / "03_RES").to_pandas("repairs")
    assert {(row.frame, row.kind, row.input_label) for row in listed.itertuples()} == {
        (2, "marked", 2),
        (2, "filled", 0),
    }


def test_an_edited_result_of_another_program_keeps_its_list(tmp_path):
    masks = worlds.mask_dropped().masks
    tracked = np.asarray(gnntrack.track(masks=masks).labels()) * (np.arange(6) != 2)[:, None, None]
    gnntrack.import_tracks(tracked.astype(np.uint8), out=tmp_path / "01_RES")
    first = gnntrack.load(tmp_path / "01_RES").to_pandas("repairs")
    assert set(first.kind) == {"filled"}
    apply_edits(tmp_path / "01_RES", EditList((Edit("cut", ((4, 1), (5, 1))),)), out=tmp_path / "02_RES")
    second = gnntrack.load(tmp_path / "02_RES").to_pandas("repairs")
    assert second[["frame", "track", "pixels"]].equals(first[["frame", "track", "pixels"]])


def test_the_screen_names_the_number_of_repairs_and_their_list(movie, tmp_path):
    np.save(tmp_path / "masks.npy", movie)
    result = run("track", "--masks", tmp_path / "masks.npy", "-o", tmp_path / "01_RES")
    count = len(pd.read_csv(tmp_path / "01_RES" / "gnntrack" / "repairs.csv"))
    assert f"{count} masks are not as in the input: {tmp_path / '01_RES' / 'gnntrack' / 'repairs.csv'}" in result.output
    result = run("track", "--masks", tmp_path / "masks.npy", "-o", tmp_path / "02_RES", "--keep-masks")
    assert "as in the input" not in result.output


def test_short_tracks_are_removed_and_listed_but_for_those_that_the_movie_cuts(tmp_path):
    masks = np.zeros((6, 60, 60), np.uint8)
    masks[:, 5:12, 5:12] = 1
    masks[3, 30:35, 30:35] = 2  # debris
    masks[5, 50:55, 40:45], masks[1, 40:45, 0:5] = 3, 4  # in the last frame, and at the border
    np.save(tmp_path / "masks.npy", masks)
    lineage = gnntrack.track(masks=masks, out=tmp_path / "01_RES", min_track_length=2, max_gap=1)
    listed = lineage.to_pandas("repairs")
    assert listed[["frame", "kind", "track", "input_label", "pixels"]].to_numpy().tolist() == [
        [3, "short track", 0, 2, 25]
    ]
    assert len(lineage) == 3
    counts = json.loads((tmp_path / "01_RES" / "gnntrack" / "summary.json").read_text())["counts"]
    assert (counts["cells_in_input"], counts["cells"], counts["cells_in_short_tracks"]) == (9, 8, 1)
    gnntrack.export(lineage, tmp_path / "02_RES", masks=masks)  # the masks still hold it
    assert [len(list_pixels(mask)) for mask in read_masks(tmp_path / "02_RES")] == [1, 2, 1, 1, 1, 2]


def test_debris_is_dropped_and_listed_but_for_what_the_movie_cuts_and_where_masks_are_kept(tmp_path):
    masks = np.zeros((8, 90, 90), np.uint8)
    for k in range(8):
        masks[:, 8 + 10 * k : 16 + 10 * k, 8:16] = 1 + k
    for label, frames, y, x in ((11, [2, 4], 50, 50), (12, [0, 1], 80, 80), (13, [3], 70, 0), (14, [5], 20, 50)):
        masks[frames, y : y + 3, x : x + 3] = label  # one that flickers, one in the first frame, one at the border
    masks[4, 50:54, 50:55] = 11  # 0.31 of a cell, and 0.14 in the other frame
    masks[5, 20:26, 50:56] = 14  # not so small
    lineage = gnntrack.track(masks=masks, out=tmp_path / "01_RES")
    listed = lineage.to_pandas("repairs")
    names = ["frame", "kind", "track", "input_label", "y_pixel", "x_pixel", "pixels"]
    assert listed[names].to_numpy().tolist() == [[2, "debris", 0, 11, 51, 51, 9], [4, "debris", 0, 11, 51.5, 52, 20]]
    counts = json.loads((tmp_path / "01_RES" / "gnntrack" / "summary.json").read_text())["counts"]
    assert (counts["cells_in_input"], counts["cells"], counts["cells_in_debris"]) == (70, 68, 2)
    exported = gnntrack.export(gnntrack.solve(gnntrack.build_graph(masks=masks)), tmp_path / "02_RES", masks=masks)
    assert len(exported) == len(lineage) == 11
    for kept in ({"keep_masks": True}, {"debris_size": 0}):
        assert not len(gnntrack.track(masks=masks, max_gap=1, **kept).to_pandas("repairs")), kept
    changed = apply_edits(tmp_path / "01_RES", EditList([Edit("cut", ((0, 1), (1, 1)))]), masks=masks)
    assert len(changed.lineage.cells) == 68


def test_small_cells_that_are_a_fifth_are_no_debris():
    masks = np.zeros((8, 90, 90), np.uint8)
    for k in range(8):
        masks[:, 8 + 10 * k : 16 + 10 * k, 8:16] = 1 + k
    for k in range(4):
        masks[2:6, 20 + 10 * k : 23 + 10 * k, 60:63] = 9 + k
    with pytest.warns(
        gnntrack.GnntrackWarning, match="20 % of the masks are in tracks of masks below 0.3 of the median size"
    ):
        lineage = gnntrack.track(masks=masks)
    assert len(lineage) == 12
    assert not len(lineage.to_pandas("repairs"))
