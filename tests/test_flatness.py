"""A 3D movie without the size of its voxels is a warning where the slices are probably farther apart than pixels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from scipy import ndimage

from gnntrack.cli import cli
from gnntrack.measure.flatness import measure_label_flatness

WORDS = "the size of a voxel is not known"


def make_masks(shape, sides=(5, 5, 5), gap=3, frames=2):
    """Boxes (labels 1, 2, ...) in a grid, with `gap` voxels between them and to the border."""
    masks = np.zeros((frames, *shape), np.uint16)
    starts = [
        range(min(gap, (side - size) // 2), side - size, size + gap) for side, size in zip(shape, sides, strict=True)
    ]
    for label, place in enumerate(itertools.product(*starts), start=1):
        box = (slice(at, at + size) for at, size in zip(place, sides, strict=True))
        masks[(slice(None), *box)] = label
    return masks


def run(*words):
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.stderr


def track(tmp_path, masks, *words):
    np.save(tmp_path / "m.npy", masks)
    return run("track", "--masks", tmp_path / "m.npy", "-o", tmp_path / "out", "--no-pictures", *words)


DEEP = [((20, 20, 20), (5, 5, 5)), ((24, 48, 48), (6, 7, 7)), ((30, 24, 60), (7, 5, 9)), ((16, 40, 40), (5, 7, 7))]
DEEP += [((40, 20, 20), (9, 6, 6)), ((20, 50, 60), (5, 6, 8))]
FLAT = [((20, 20, 20), (3, 6, 6), "2"), ((24, 48, 48), (3, 9, 9), "3"), ((12, 30, 30), (2, 8, 8), "4")]
FLAT += [((8, 60, 60), (4, 10, 10), "2.5"), ((9, 50, 50), (3, 11, 7), "3"), ((30, 30, 30), (2, 9, 12), "5.2")]
THIN = [(2, 30, 30), (3, 40, 60), (4, 20, 30), (5, 64, 64), (6, 30, 30), (9, 30, 80)]


@pytest.mark.parametrize(("shape", "sides"), DEEP)
def test_a_deep_stack_of_round_cells_is_not_a_warning(tmp_path, shape, sides):
    assert WORDS not in track(tmp_path, make_masks(shape, sides))


@pytest.mark.parametrize(("shape", "sides", "guess"), FLAT)
def test_flat_cells_are_a_warning_with_a_guess(tmp_path, shape, sides, guess):
    told = track(tmp_path, make_masks(shape, sides))
    assert told.count(WORDS) == 1
    assert f"about {guess} times as wide as high" in told
    assert f"--spacing {guess},1,1 has the right proportions" in told
    assert WORDS not in track(tmp_path, make_masks(shape, sides), "--overwrite", "--spacing", f"{guess},1,1")


@pytest.mark.parametrize("shape", THIN)
def test_a_thin_stack_without_whole_cells_is_a_warning_without_a_guess(tmp_path, shape):
    masks = np.zeros((2, *shape), np.uint16)
    masks[..., 4:12, 4:12], masks[..., 14:19, 4:12] = 1, 2
    told = track(tmp_path, masks)
    assert told.count(WORDS) == 1
    assert f"a frame is {shape[0]} slices of {shape[1]} x {shape[2]} pixels" in told
    assert "proportions" not in told


@pytest.mark.parametrize("spacing", ["2,0.5,0.5", "1,1,1", "0.5", "5,1,1", "0.3,0.2,0.2"])
def test_a_spacing_that_is_given_is_no_warning(tmp_path, spacing):
    assert WORDS not in track(tmp_path, make_masks((8, 60, 60), (3, 9, 9)), "--spacing", spacing)


SIZES = [(2.0, 0.5, 0.5), (1.0, 1.0, 1.0), (0.3, 0.1, 0.1), (5.0, 0.65, 0.65), (0.5, 0.5, 0.5)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["ome", "imagej", "shape"])
def test_a_size_in_the_file_is_no_warning(tmp_path, kind, size):
    masks, file = make_masks((8, 60, 60), (3, 9, 9)), tmp_path / "m.tif"
    if kind == "ome":
        sizes = {f"PhysicalSize{axis}": each for axis, each in zip("ZYX", size, strict=True)}
        units = {f"PhysicalSize{axis}Unit": "µm" for axis in "ZYX"}
        tifffile.imwrite(file, masks, ome=True, metadata={"axes": "TZYX", **sizes, **units})
    elif kind == "imagej":
        about = {"axes": "TZYX", "spacing": size[0], "unit": "um"}
        tifffile.imwrite(file, masks, imagej=True, resolution=(1 / size[2], 1 / size[1]), metadata=about)
    else:
        tifffile.imwrite(file, masks, metadata={"axes": "TZYX"})
    told = run("build-graph", "--masks", file, "-o", tmp_path / "g.geff")
    assert told.count(WORDS) == (kind == "shape")


@pytest.mark.parametrize("shape", [(20, 30), (64, 64), (30, 90), (12, 12), (100, 20)])
def test_a_movie_in_2d_is_no_warning(tmp_path, shape):
    masks = np.zeros((3, *shape), np.uint16)
    masks[:, 3:8, 3:8] = 1
    assert WORDS not in track(tmp_path, masks)


@pytest.mark.parametrize(
    ("sides", "guess"), [((3, 6, 6), "2"), ((3, 9, 9), "3"), ((2, 8, 8), "4"), ((4, 10, 10), "2.5"), ((3, 8, 7), "2.5")]
)
def test_shapes_and_segmentation_warn_once_as_well(tmp_path, sides, guess):
    pytest.importorskip("skan")
    masks = make_masks((12, 40, 40), sides, gap=5, frames=3)
    np.save(tmp_path / "m.npy", masks)
    told = run("shape", tmp_path / "m.npy", "-o", tmp_path / "shapes", "--meshes", "none")
    assert told.count(WORDS) == 1
    assert "lengths and surfaces are worse: give --spacing Z,Y,X" in told
    assert f"--spacing {guess},1,1" in told
    light = ndimage.gaussian_filter(1000.0 * (masks > 0), (0, 0.3, 0.3, 0.3)) + 100
    np.save(tmp_path / "i.npy", light.astype(np.uint16))
    assert run("segment", tmp_path / "i.npy", "-o", tmp_path / "masks", "--option", "diameter=6").count(WORDS) == 1
    more = ("--spacing", f"{guess},1,1")
    assert WORDS not in run("shape", tmp_path / "m.npy", "-o", tmp_path / "known", "--meshes", "none", *more)
    assert WORDS not in run("segment", tmp_path / "i.npy", "-o", tmp_path / "known_masks", *more)
    made = tmp_path / "known_masks"  # the size that was given to segment is that of its masks
    assert WORDS not in run("shape", made, "-o", tmp_path / "shapes_of_made", "--meshes", "none")
    assert "volume_um3" in (tmp_path / "shapes_of_made" / "cells.csv").read_text().partition("\n")[0]
    assert WORDS not in run("track", "--masks", made, "-o", tmp_path / "tracks_of_made", "--no-pictures")


def test_cells_that_the_stack_cuts_and_labels_of_another_numbering():
    masks = make_masks((20, 40, 40), (3, 9, 9), frames=1)[0].astype(np.int64)
    masks[:2, :2, :5] = 999  # its height is not known
    large = np.where(masks > 0, masks + 2**40, 0)
    assert (
        measure_label_flatness(masks).tolist() == measure_label_flatness(large).tolist() == [3.0] * int(masks[3:].max())
    )
