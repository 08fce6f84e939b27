"""Images and masks in the forms that users hold: all give the same tracks."""

import numpy as np
import pytest
from support.movies import dividing_masks, images_of, write_folder

import gnntrack
from gnntrack.frame_array import FrameArray
from gnntrack.io.frames import open_frames

MASKS = dividing_masks()
IMAGES = images_of(MASKS)


def choose_name(folder):
    return str(len(list(folder.iterdir())))


def as_dask(array, _):
    return pytest.importorskip("dask.array").from_array(array, chunks=(1, -1, -1))


def as_xarray(array, _):
    return pytest.importorskip("xarray").DataArray(array, dims=("t", "y", "x"))


def as_zarr(array, folder):
    import zarr

    return zarr.create_array(folder / f"{choose_name(folder)}.zarr", data=array, chunks=(1, *array.shape[1:]))


def as_paths(array, folder):
    files = folder / choose_name(folder)
    write_folder(files, array)
    return sorted(files.iterdir())


def as_path_texts(array, folder):
    return [str(path) for path in as_paths(array, folder)]


def as_memory_map(array, folder):
    file = folder / f"{choose_name(folder)}.npy"
    np.save(file, array)
    return np.load(file, mmap_mode="r")


def as_frame_array(array, _):
    return FrameArray(open_frames(array), array.dtype)


def as_folder(array, folder):
    return as_paths(array, folder)[0].parent


FORMS = {
    "array": lambda array, _: array,
    "list of arrays": lambda array, _: list(array),
    "tuple of arrays": lambda array, _: tuple(array),
    "dask": as_dask,
    "xarray": as_xarray,
    "zarr": as_zarr,
    "list of paths": as_paths,
    "list of texts": as_path_texts,
    "memory map": as_memory_map,
    "frame array": as_frame_array,
    "folder": as_folder,
}


@pytest.fixture(scope="module")
def expected():
    return gnntrack.track(IMAGES, MASKS)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_movie_gives_the_same_tracks(form, expected, tmp_path):
    images, masks = (FORMS[form](array, tmp_path) for array in (IMAGES, MASKS))
    lineage = gnntrack.track(images, masks)
    np.testing.assert_array_equal(lineage.track, expected.track)
    np.testing.assert_array_equal(lineage.labels(), expected.labels())
    assert len(gnntrack.track(masks=masks)) == len(expected)
