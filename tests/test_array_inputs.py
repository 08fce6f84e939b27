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


TIMES = {
    "datetime": (np.datetime64("2024-01-31T23:50") + np.arange(len(MASKS)) * np.timedelta64(5, "m"), {}, 300),
    "timedelta": (np.arange(len(MASKS)) * np.timedelta64(30, "s"), {}, 30),
    "minutes": (np.arange(len(MASKS)) * 2.5, {"units": "min"}, 150),
    "hours from 3": (3 + np.arange(len(MASKS)), {"units": "h"}, 3600),
    "no unit": (np.arange(len(MASKS)), {}, None),
    "irregular": (np.arange(len(MASKS)) ** 2, {"units": "s"}, None),
}


@pytest.mark.parametrize("kind", TIMES)
def test_times_of_xarray(kind):
    xr = pytest.importorskip("xarray")
    values, attrs, seconds = TIMES[kind]
    movie = xr.DataArray(IMAGES, dims=("time", "y", "x"), coords={"time": ("time", values, attrs)})
    assert open_frames(movie).interval == seconds
    assert open_frames(movie, interval=7).interval == 7


@pytest.mark.parametrize(
    ("unit", "step", "size"),
    [("um", 0.5, 0.5), ("nm", 250, 0.25), ("micrometer", 2, 2), (None, 0.5, None), ("px", 1, None)],
)
def test_pixel_sizes_of_xarray(unit, step, size):
    xr = pytest.importorskip("xarray")
    attrs = {} if unit is None else {"units": unit}
    coords = {
        axis: (axis, np.arange(length) * step, attrs) for axis, length in zip("yx", IMAGES.shape[1:], strict=True)
    }
    movie = open_frames(xr.DataArray(IMAGES, dims=("t", "y", "x"), coords=coords))
    assert (movie.spacing, movie.unit) == (((size, size), "um") if size else ((1, 1), "pixel"))


@pytest.mark.parametrize("dims", [("t", "c", "y", "x"), ("t", "channel", "row", "col"), ("C", "T", "Y", "X")])
def test_channels_of_xarray_have_names(dims):
    xr = pytest.importorskip("xarray")
    both = np.stack(
        [IMAGES, IMAGES // 2], axis=[d.lower() for d in dims].index("channel" if "channel" in dims else "c")
    )
    channel = next(d for d in dims if d.lower().startswith("c") and d != "col")
    movie = xr.DataArray(both, dims=dims, coords={channel: ["DAPI", "GFP"]})
    np.testing.assert_array_equal(open_frames(movie, channel="gfp")[3], IMAGES[3] // 2)
    with pytest.raises(gnntrack.InputError, match="0 'DAPI', 1 'GFP'"):
        open_frames(movie)


def as_frame_of_pandas(array):
    return pytest.importorskip("pandas").DataFrame({"frame": range(len(array)), "label": 1})


def as_dask_of_unknown_length(array):
    dask = pytest.importorskip("dask.array")
    return dask.from_array(array)[dask.from_array(np.ones(len(array), bool))]


@pytest.mark.parametrize(
    ("form", "remedy"),
    [
        (lambda array: np.ma.masked_array(array, array == 1), r"filled\(0\)"),
        (lambda array: [np.ma.masked_array(frame, frame == 1) for frame in array], r"filled\(0\)"),
        (as_frame_of_pandas, "import_tracks"),
        (as_dask_of_unknown_length, "compute_chunk_sizes"),
        (lambda array: [array[0], None, *array[2:]], "one per frame"),
        (lambda array: [array[0], 5, *array[2:]], "one per frame"),
    ],
)
def test_objects_that_are_not_frames_are_refused_with_a_remedy(form, remedy):
    with pytest.raises(gnntrack.InputError, match=remedy):
        gnntrack.track(masks=form(np.asarray(MASKS)))
    with pytest.raises(gnntrack.InputError, match=remedy):
        gnntrack.track(form(np.asarray(IMAGES)), MASKS)


def test_a_broken_link_is_not_left_out(tmp_path):
    folder = write_folder(tmp_path / "masks", MASKS)
    last = max(folder.iterdir())
    last.unlink()
    last.symlink_to("gone.tif")
    with pytest.raises(gnntrack.InputError, match=last.name):
        gnntrack.track(masks=folder)
