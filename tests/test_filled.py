"""The truth that benchmarks learn from where the gold truth is of some cells only."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from filled import find_filled_frames, measure_errors


def write_movie(folder, *, shrunk=2, lost=False):
    """Write a data set of two frames with two cells; the first frame has gold truth of both, the second of one.

    The masks that trackers are given are smaller than the gold ones by some pixels all around, or lack a cell.
    """
    home = folder / "Fluo-Made"
    places = {"01": home / "01", "SEG": home / "01_GT" / "SEG", "TRA": home / "01_GT" / "TRA"}
    places |= {"HYBRID": home / "01_ST_HYBRID"}
    for place in places.values():
        place.mkdir(parents=True)
    cells, masks = np.zeros((2, 60, 120), np.uint16)
    cells[10:40, 10:40], cells[20:50, 80:110] = 1, 2
    masks[10 + shrunk : 40 - shrunk, 10 + shrunk : 40 - shrunk] = 7
    if not lost:
        masks[20 + shrunk : 50 - shrunk, 80 + shrunk : 110 - shrunk] = 8
    markers = np.zeros_like(cells)
    markers[25, 25], markers[35, 95] = 1, 2
    for frame in range(2):
        tifffile.imwrite(places["01"] / f"t{frame:03d}.tif", (100 * (cells > 0)).astype(np.uint8))
        tifffile.imwrite(places["TRA"] / f"man_track{frame:03d}.tif", markers)
        tifffile.imwrite(places["SEG"] / f"man_seg{frame:03d}.tif", cells if frame == 0 else cells * (cells == 1))
        tifffile.imwrite(places["HYBRID"] / f"man_seg{frame:03d}.tif", masks)
    (places["TRA"] / "man_track.txt").write_text("1 0 1 0\n2 0 1 0\n")
    return home, cells


def test_complete_gold_truth_is_taken_as_it_is(tmp_path):
    home, cells = write_movie(tmp_path)
    first, _ = measure_errors(find_filled_frames(home))
    assert np.array_equal(first.read()[1], cells)


def test_of_a_cell_without_gold_truth_the_core_is_known_and_its_outline_is_not(tmp_path):
    home, cells = write_movie(tmp_path)
    _, second = measure_errors(find_filled_frames(home))
    _, labels = second.read()
    assert np.array_equal(labels == 1, cells == 1)
    other = cells == 2
    assert labels[35, 95] > 1
    assert (labels[22:48, 82:108] == labels[35, 95]).all()
    assert np.mean(labels[other] == 0) < 0.01  # but for the corners
    assert (labels[20, 85:105] == -1).all()
    assert second.outer == pytest.approx(2, abs=0.9)  # as far as masks are too small
    assert (labels[:, 55:70] == 0).all()
    rim = labels[:, :60][(cells[:, :60] == 0)]
    assert (rim == 0).all()  # where a gold cell ends is known


def test_masks_that_miss_cells_tell_nothing_of_frames_without_gold_truth(tmp_path):
    home, _ = write_movie(tmp_path, lost=True)
    frames = measure_errors(find_filled_frames(home))
    assert [each.frame for each in frames] == [0, 1]
    assert all(np.isinf(each.outer) for each in frames)
    (home / "01_GT" / "SEG" / "man_seg001.tif").unlink()
    assert [each.frame for each in measure_errors(find_filled_frames(home))] == [0]
