"""Volumes that are read in slabs give the same results as whole ones."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from gnntrack.frame_slabs import LargeFrame, limit_slabs, list_slabs, read_planes
from gnntrack.io.frames import open_frames, open_masks
from gnntrack.io.mask_checks import CheckOptions, check_masks
from gnntrack.measure.cells import measure_cells
from gnntrack.movie_recipes import detect
from gnntrack.pipeline import simulate, track
from gnntrack.point_movie import open_points
from gnntrack.settings import CellSettings, EmbryoSettings, Settings
from gnntrack.simulate.embryo import simulate_embryo

SHAPE = (9, 20, 24)
TWO_PLANES = 8 * 2 * SHAPE[1] * SHAPE[2]


@pytest.fixture(scope="module")
def volumes():
    """Three frames of labels in many pieces, and images of floats some of which are not finite."""
    random = np.random.default_rng(5)
    masks = random.integers(0, 4, (3, 5, 5, 6)).repeat(2, 1).repeat(4, 2).repeat(4, 3)[:, :9].astype(np.uint16)
    masks[1] *= 700
    images = random.normal(50, 20, masks.shape).astype(np.float32)
    images[1, 4, 3, 3:9] = np.nan
    return images, masks


def open_in_parts(array, *, masks=False, thickness=1):
    """Open an array as a movie, without its whole frames."""
    opened = replace(open_frames(array), read=None, thickness=thickness)
    return open_masks(opened) if masks else opened


def expect_equal(one, other):
    assert one[0].feature_names == other[0].feature_names
    for name in ("frame", "label", "position", "features"):
        np.testing.assert_array_equal(getattr(one[0], name), getattr(other[0], name))
    for name in ("cell", "start", "length", "offsets"):
        np.testing.assert_array_equal(getattr(one[1], name), getattr(other[1], name))
    assert one[2] == other[2]


@pytest.mark.parametrize("fragments", ["keep", "largest", "split"])
@pytest.mark.parametrize("thickness", [1, 4])
def test_cells_are_measured_in_slabs_as_in_whole_frames(volumes, fragments, thickness):
    images, masks = volumes
    settings, seen, other = CellSettings(fragments=fragments, min_size=3), [], []
    whole = measure_cells(
        open_masks(masks), images=open_frames(images), settings=settings, channels={"a": open_frames(masks)},
        each_image=lambda _, image, *__: seen.append(image.max(axis=0)),
    )  # fmt: skip
    with limit_slabs(TWO_PLANES):
        parts = measure_cells(
            open_in_parts(masks, masks=True, thickness=thickness), images=open_in_parts(images), settings=settings,
            channels={"a": open_in_parts(masks, thickness=thickness)},
            each_image=lambda _, image, *__: other.append(image.max(axis=0)),
        )  # fmt: skip
    assert len(whole[0]) > 3
    expect_equal(parts, whole)
    np.testing.assert_array_equal(other, seen)


def test_slabs_do_not_divide_chunks_and_small_volumes_are_read_whole(volumes):
    stack = open_frames(volumes[1])
    assert len(list_slabs(stack)) == 1
    with limit_slabs(TWO_PLANES):
        assert [each.start for each in list_slabs(stack)] == [0, 2, 4, 6, 8]
        assert [each.start for each in list_slabs(replace(stack, thickness=4))] == [0, 4, 8]
        assert [first for first, _ in LargeFrame(stack, 0).read_slabs()] == [0, 960, 1920, 2880, 3840]
        assert read_planes(stack, -1, slice(7, 9)).shape == (2, 20, 24)


def make_source(kind, masks, folder):
    """Write volumes as a source of a kind, and return its path."""
    if kind == "zarr":
        zarr.create_array(str(folder / "m.zarr"), data=masks[:, None], chunks=(1, 1, 4, 20, 24))
        return folder / "m.zarr"
    if kind in ("npy", "movie"):
        file = folder / f"m.{'npy' if kind == 'npy' else 'tif'}"
        np.save(file, masks) if kind == "npy" else tifffile.imwrite(file, masks, metadata={"axes": "TZYX"})
        return file
    for t, volume in enumerate(masks):
        for z, plane in enumerate(volume) if kind == "slices" else [(0, volume)]:
            name = f"m_t{t}_z{z}.tif" if kind == "slices" else f"m{t}.tif"
            plain = kind == "plain"
            tifffile.imwrite(folder / name, plane, compression=None if plain else "zlib", photometric="minisblack")
    return folder / "m_t{t}_z{z}.tif" if kind == "slices" else folder


@pytest.mark.parametrize("kind", ["zarr", "npy", "movie", "plain", "pages", "slices"])
def test_planes_of_every_source_are_read_without_the_others(volumes, tmp_path, kind):
    masks = volumes[1]
    source = make_source(kind, masks, tmp_path)
    stack = open_masks(str(source), axes="tczyx" if kind == "zarr" else None)
    assert (stack.shape, stack.thickness) == (SHAPE, 4 if kind == "zarr" else 1)
    broken = replace(stack, read=None)
    for frame in range(3):
        np.testing.assert_array_equal(broken.read_planes(frame, slice(3, 6)), masks[frame, 3:6])
    with limit_slabs(TWO_PLANES):
        parts = measure_cells(check_masks(broken, CheckOptions(split=True)), settings=CellSettings())
    expect_equal(parts, measure_cells(open_masks(masks), settings=CellSettings()))


def list_files(folder):
    """Return the content of the files of a result by name; JSON files have times."""
    files = sorted(each for each in folder.rglob("*") if each.is_file() and each.suffix != ".json")
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.mark.parametrize("method", ["hungarian", "gnn"])
def test_a_movie_is_tracked_in_slabs_as_in_whole_frames(tmp_path, method):
    """With a missing mask, a merged one, an empty frame, and cells across slabs, whose frames are never whole."""
    movie = simulate(frames=7, cells=8, shape=(12, 64, 64), diameter=9, seed=8)
    masks, images = np.asarray(movie.masks).astype(np.uint16), np.asarray(movie.images)
    kept = sorted(set.intersection(*(set(np.unique(mask).tolist()) for mask in masks)) - {0})
    masks[2][masks[2] == kept[0]] = 0
    masks[4][masks[4] == kept[1]] = kept[2]
    masks[6] = 0
    size: dict[str, Any] = {"spacing": (2.4, 1.0, 1.0), "method": method}
    track(open_frames(images), open_masks(masks), out=tmp_path / "whole", **size)
    with limit_slabs(8 * 2 * 64 * 64):
        track(open_in_parts(images), open_in_parts(masks, masks=True), out=tmp_path / "parts", **size)
    whole, parts = list_files(tmp_path / "whole"), list_files(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert [name for name in whole if whole[name] != parts[name]] == []
    assert {"mask002.tif", "gnntrack/overlay.png"} <= whole.keys()
    assert json.loads((tmp_path / "parts" / "gnntrack" / "summary.json").read_text())["counts"]["masks_filled"] > 0


@pytest.mark.parametrize("detector", ["dog", "heatmap"])
def test_cells_are_detected_in_slabs_as_in_whole_volumes(detector):
    """With cells across slabs and a depth that is not a multiple of the blocks of the grid."""
    embryo = simulate_embryo(settings=EmbryoSettings(frames=2, shape=(19, 80, 80), cells=30, spacing=(1.0, 0.4, 0.4)))
    images = np.stack([np.asarray(embryo.images[t]) for t in range(2)])
    whole = detect(open_frames(images, spacing=(1.0, 0.4, 0.4)), detector=detector)
    parts = replace(open_in_parts(images), spacing=(1.0, 0.4, 0.4), unit="um")
    with limit_slabs(8 * 3 * 80 * 80):
        found = detect(parts, detector=detector)
        again = open_points(found, images=parts, settings=Settings())
    assert len(whole) > 20
    np.testing.assert_array_equal(found.to_numpy(), whole.to_numpy())
    known = open_points(found, images=open_frames(images, spacing=(1.0, 0.4, 0.4)), settings=Settings())
    np.testing.assert_array_equal(again.cells.features, known.cells.features)
    np.testing.assert_array_equal(again.moments, known.moments)
