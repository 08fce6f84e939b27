"""Movies whose frames are files of their own: TIFF, PNG, JPEG, BMP, ``.npy``, ``.npz`` or cellpose's ``_seg.npy``.

A frame is one file, or a file per slice. A file with several pages is one 3D frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import ChannelError, FrameError
from gnntrack.io import numpy_files, tiff
from gnntrack.io.axes import is_like_rgb
from gnntrack.io.channels import GREY, choose_channel
from gnntrack.io.colours import open_best_colour
from gnntrack.io.folders import FRAME_SUFFIXES, LOSSY_SUFFIXES
from gnntrack.io.foreign import describe_format
from gnntrack.io.images import read_image
from gnntrack.io.patterns import FileSeries
from gnntrack.io.stack import Layout, Stack, lay_out, open_channels
from gnntrack.io.time_stamps import find_timing

if TYPE_CHECKING:
    from gnntrack.types import Image

__all__ = ["make_series", "open_series"]

_ALL = slice(None)


def open_series(
    series: FileSeries, *, axes: str | None = None, channel: int | str | None = None, role: str = "images"
) -> Stack:
    """Open a movie of a file, or a file per slice, for each frame. The pixel size is that of the first file.

    The frame interval is that of the first file, else that of the time stamps in the names.

    Parameters
    ----------
    series : FileSeries
        The files.
    axes : str or None
        A letter per axis of the movie, such as ``tzyx``, if the files name theirs wrongly.
    channel : int, str or None
        Number or name of the channel to read.
    role : {"images", "masks"}
        Whether the frames are images or masks.

    Raises
    ------
    FrameError
        If the first file cannot be read, or masks are in a format that changes labels.
    """
    if series.channels:
        return _open_channels(series, axes, channel, role)
    _check_suffix(series.first, role)
    frame_axes = None if axes is None else _drop_time(axes, series.first)
    depth = max(map(len, series.files))
    file_axes = frame_axes.replace("z", "") if frame_axes and depth > 1 else frame_axes
    found = _describe(_find_typical(series, role), file_axes, channel, role)
    _check_slices(found, depth, series.first)
    file_axes = file_axes or _name_colours(found, series.first)
    names, ndim = series.names, len(found.layout.shape) + (depth > 1)
    spacing = found.spacing if len(found.spacing) == ndim else ()
    size, unit = spacing or (1.0,) * ndim, "um" if spacing else "pixel"
    timing = find_timing(names) if found.interval is None else None
    interval = timing.interval if timing is not None else found.interval

    def make(each: Layout) -> Stack:
        shape = (depth, *each.shape) if depth > 1 else each.shape
        chosen = GREY if each.mean else None if channel is None else each.channel or 0
        read = partial(_read_frame, series, file_axes, chosen, role, np.zeros((0, *shape), found.dtype))
        made = Stack(read, names, shape, size, unit, interval, from_names=timing is not None and interval is not None)
        in_parts = len(shape) == 3 and tiff.is_tiff(series.first) and (depth > 1 or chosen is None)
        return replace(made, read_part=read) if in_parts else made

    return open_channels(make, found.layout)


def _check_slices(found: tiff.FrameFile, depth: int, file: Path) -> None:
    """Raise if each file of a frame of several slices holds more than a slice."""
    if depth > 1 and len(found.layout.shape) > 2:
        msg = f"its shape is {found.layout.shape}; expected (Y, X), since each file is one of {depth} slices"
        raise FrameError(msg, file=file)


def _drop_time(axes: str, file: Path) -> str:
    """Return the axes of a frame, of those of a movie."""
    frame_axes = axes.lower().replace("t", "")
    if not frame_axes:
        msg = f"axes '{axes}' name no axis of a frame; give a letter for each, as in --axes tyx (in Python axes='tyx')"
        raise FrameError(msg, file=file)
    return frame_axes


def _open_channels(series: FileSeries, axes: str | None, channel: int | str | None, role: str) -> Stack:
    """Open a movie with files of its own for each channel."""
    names = list(series.channels)
    if channel is None:
        option = "--masks-channel" if role == "masks" else "--channel"
        msg = (
            f"there are files of {len(names)} channels: {', '.join(names)}; choose the one to track with "
            f"{option} {names[0]}, or write its name in place of {{c}}"
        )
        raise ChannelError(msg, file=series.folder, channels=tuple(names))
    opened = {name: _open_alone(each, axes, role) for name, each in series.channels.items()}
    return replace(opened[_choose_name(channel, names, series.folder)], channels=opened)


def _open_alone(series: FileSeries, axes: str | None, role: str) -> Stack:
    """Open the files of one channel, which may have the colour in which it was displayed."""
    opened: Stack = open_best_colour(
        lambda named, channel: open_series(series, axes=named, channel=channel, role=role), axes, None, role=role
    )
    return replace(opened, channels={})


def _choose_name(channel: int | str, names: list[str], folder: Path) -> str:
    """Return the channel of a name in the files; if these are numbers, the channel of that number, also unpadded."""
    numbers = {int(name): name for name in names if name.isdecimal()}
    if len(numbers) < len(names):
        return names[choose_channel(channel, names, file=folder)]
    wanted = int(channel) if str(channel).isdecimal() else -1
    if wanted not in numbers:
        msg = f"channel '{channel}' does not exist; the channels of the files are {', '.join(names)}"
        raise FrameError(msg, file=folder)
    return numbers[wanted]


def _check_suffix(path: Path, role: str) -> None:
    suffix = path.suffix.lower()
    if suffix not in FRAME_SUFFIXES:
        raise FrameError(describe_format(path), file=path)
    if role == "masks" and suffix in LOSSY_SUFFIXES:
        msg = (
            f"masks in {suffix} files are not exact: this compression changes labels at the borders of cells; save the "
            "masks as TIFF or PNG"
        )
        raise FrameError(msg, file=path)
    if role == "masks" and tiff.is_tiff(path):
        tiff.refuse_lossy(path)
    if role == "images" and numpy_files.is_seg_file(path):
        msg = "cellpose's _seg.npy files hold masks; give the folder as masks, with --masks (masks= in Python)"
        raise FrameError(msg, file=path)


def _describe(path: Path, axes: str | None, channel: int | str | None, role: str) -> tiff.FrameFile:
    """Return layout, pixel size, type and interval of the first file."""
    if tiff.is_tiff(path):
        return tiff.describe_frame(path, axes, channel)
    pixels, named = _read_pixels(path, role, 0)
    return tiff.FrameFile(_lay_out(path, axes or named, pixels.shape, channel), (), pixels.dtype, None)


def _name_colours(found: tiff.FrameFile, file: Path) -> str | None:
    """Return the axes of the files of a coloured movie, in which a grey picture has three equal colours, else None."""
    return "yxs" if found.layout.channels and _is_picture(file) else None


def _is_picture(path: Path) -> bool:
    """Return whether a file is read by Pillow."""
    return not tiff.is_tiff(path) and path.suffix.lower() not in numpy_files.SUFFIXES


def _find_typical(series: FileSeries, role: str) -> Path:
    """Return the first file; if it is of one value, such as black, an early one of several values, which has colours.

    A black frame of RGB images is as grey as one of grey images.
    """
    first = series.first
    if role == "masks" or not _is_picture(first) or np.ptp(_read_pixels(first, role, 0)[0]) > 0:
        return first
    for frame in (1, 2, 4, 8, 16):
        if (
            frame < len(series.files)
            and series.files[frame]
            and np.ptp(_read_pixels(series.files[frame][0], role, frame)[0]) > 0
        ):
            return series.files[frame][0]
    return first


def _lay_out(path: Path, axes: str, shape: Sequence[int], channel: int | str | None) -> Layout:
    return lay_out(axes, shape, file=path, channel=channel)


def _read_frame(
    series: FileSeries,
    axes: str | None,
    channel: int | str | None,
    role: str,
    empty: Image,
    frame: int,
    planes: slice = _ALL,
) -> Image:
    """Return a frame, or some of its planes; `empty` has the shape and type of a frame whose file is missing."""
    if frame in series.absent:
        return np.zeros((len(range(empty.shape[1])[planes]), *empty.shape[2:]), empty.dtype)
    files = series.files[frame]
    if len(files) == 1 and planes != _ALL:
        return tiff.read_movie_planes(files[0], axes, frame, planes)
    slices = [_read_file(path, axes, channel, role, frame) for path in files[planes]]
    if len(files) == 1:
        return slices[0]
    odd = next((k for k, image in enumerate(slices) if image.shape != slices[0].shape), None)
    if odd is not None:
        msg = f"its shape is {slices[odd].shape}, the first slice's is {slices[0].shape}; all slices have one shape"
        raise FrameError(msg, file=series.files[frame][odd], frame=frame)
    return np.stack(slices)


def _read_file(path: Path, axes: str | None, channel: int | str | None, role: str, frame: int) -> Image:
    if tiff.is_tiff(path):
        return tiff.read_movie_frame(path, axes, channel, frame)
    pixels, named = _read_pixels(path, role, frame, coloured="s" in (axes or ""))
    return _lay_out(path, axes or named, pixels.shape, channel).take(pixels, 0)


def _read_pixels(path: Path, role: str, frame: int, *, coloured: bool = False) -> tuple[Image, str]:
    """Return the pixels of a file that is not a TIFF, and a letter per axis.

    Grey colours are one channel, unless the movie is `coloured`: then a grey picture has three equal colours.
    """
    if path.suffix.lower() in numpy_files.SUFFIXES:
        pixels = numpy_files.NumpyFile(path, masks=role == "masks")[...]
        return pixels, _name_axes(pixels, path, frame)
    pixels, sampled = read_image(path, frame=frame, palette_indices=role == "masks")
    if not sampled and not (coloured and pixels.ndim == 2):
        return pixels, _name_axes(pixels, path, frame)
    colours = pixels[..., :3] if sampled and pixels.shape[-1] > 2 else pixels[..., :1] if sampled else pixels[..., None]
    grey = colours[..., :1]
    if coloured:
        return np.broadcast_to(colours, (*colours.shape[:-1], 3)), "yxs"
    return (grey[..., 0], "yx") if np.array_equal(colours, np.broadcast_to(grey, colours.shape)) else (colours, "yxs")


def _name_axes(pixels: Image, path: Path, frame: int) -> str:
    named = "yxs" if is_like_rgb(pixels.shape) else {2: "yx", 3: "zyx"}.get(pixels.ndim)
    if named is None or len(named) != pixels.ndim:
        msg = f"its shape is {pixels.shape}; expected one frame, (Y, X) or (Z, Y, X)"
        raise FrameError(msg, file=path, frame=frame)
    return named


def make_series(paths: Sequence[Any]) -> FileSeries:
    """Return the files of a list of paths, in its order.

    Raises
    ------
    FrameError
        If a file does not exist.
    """
    files = [Path(path).expanduser() for path in paths]
    missing = next((path for path in files if not path.is_file()), None)
    if missing is not None:
        msg = "no such file; check the list of paths"
        raise FrameError(msg, file=missing)
    return FileSeries(files[0].parent, tuple((path,) for path in files))
