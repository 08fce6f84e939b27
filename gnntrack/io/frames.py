"""Movies and masks of any source, as frames that are read when they are needed.

==========================  ========================================================================
source                      axes
==========================  ========================================================================
folder of TIFF, PNG, JPEG,  a file per frame, in natural order or by time stamps; a file of several
BMP, ``.npy``, ``_seg.npy``  pages is one 3D frame
path with a pattern         as a folder; ``{z}`` in the pattern joins a file per slice
TIFF                        those of OME or ImageJ metadata; without these, pages are frames
``.npy``, ``.npz``, arrays  ``(t, y, x)`` or ``(t, z, y, x)``; ``(y, x)`` is one frame
zarr, xarray arrays         those that they name
OME-Zarr 0.4 and 0.5        those of its metadata; also label images (``image.zarr/labels/NAME``)
avi, mp4, mov               ``(t, y, x)``, grey values; not for masks
nd2, czi, lif               those that bioio reads (``pip install 'gnntrack[bioio]'``)
==========================  ========================================================================

JPEG files cannot be masks, since their compression changes labels.

Of images with several channels, one is chosen by ``channel=``, its number or its name; the others can be read from
``stack.channels``. Axes other than t, z, y, x and c must have length 1. ``axes="tyx"`` replaces the axes of a file that
names them wrongly, such as frames that were saved as slices.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack

import numpy as np

from gnntrack.errors import FrameError
from gnntrack.frame_slabs import can_read_planes, get_thickness, read_planes
from gnntrack.io.result_folders import ResultUnits, read_units
from gnntrack.io.sources import SourceOptions, open_source
from gnntrack.io.stack import Stack, get_interval, set_interval, set_spacing
from gnntrack.plurals import count_noun
from gnntrack.types import FrameStack

if TYPE_CHECKING:
    from gnntrack.types import Image

__all__ = ["FileOptions", "FrameOptions", "check_pair", "iterate", "map_frames", "open_frames", "open_masks"]

_T = TypeVar("_T")
_MOST_WORKERS = 4


class FileOptions(TypedDict, total=False):
    """Keywords of `open_frames` that choose files of a folder.

    Parameters
    ----------
    pattern : str or None
        Which files are read: a glob, or a name with brackets such as ``"pos1_t{t}_z{z}.tif"``; see
        `gnntrack.io.patterns`. A path may also end in a pattern.
    position : str or None
        The position to read where the pattern has ``{p}``.
    role : {"images", "masks"}
        Which files are read of a folder that holds both; default ``"images"``, of `open_masks` ``"masks"``.
    """

    pattern: str | None
    position: str | None
    role: Literal["images", "masks"]


class FrameOptions(FileOptions, total=False):
    """Keywords of `open_frames`."""

    spacing: float | Sequence[float] | None
    allow_missing: bool
    axes: str | None
    channel: int | str | None
    interval: float | str | None


def open_frames(
    source: Any,
    *,
    spacing: float | Sequence[float] | None = None,
    allow_missing: bool = False,
    axes: str | None = None,
    channel: int | str | None = None,
    interval: float | str | None = None,
    **files: Unpack[FileOptions],
) -> FrameStack:
    """Open the images of a movie.

    Parameters
    ----------
    source : path, array or FrameStack
        A folder of images, one file, or a path with a pattern (see the table above); a numpy, dask, zarr or xarray
        array; a list of arrays or of paths, one per frame; a ``FrameStack`` is returned as it is.
    spacing : float, D floats or None
        Size of a pixel in um along ``[z], y, x``. If None, it is that of the file, or that of the run if the masks are
        those of a result, or else 1 with the unit ``"pixel"``.
    allow_missing : bool
        Return an empty frame (zeros) for each number that is missing in the file names.
    axes : str or None
        A letter per axis (t, z, y, x, c), in place of the axes that the file names.
    channel : int, str or None
        Number, from 0, or name of the channel to read, if there are several. If None, the colour of RGB images with the
        best contrast is read; ``"grey"`` is the mean of their colours.
    interval : float, str or None
        Time from a frame to the next: seconds, or text such as ``"5min"``. If None, it is that of the file.
    **files
        ``pattern``, ``position`` and ``role``: which files of a folder are read; see `FileOptions`.

    Returns
    -------
    FrameStack
        ``stack[t]`` reads one frame, ``(Y, X)`` or ``(Z, Y, X)``; frames are not cached. ``stack.channels`` has the
        movie in each channel by name, ``stack.interval`` the seconds between frames or None.

    Raises
    ------
    FrameError
        If the source does not exist or cannot be read, if a frame is missing, if it has several channels
        and none is chosen, or if it is RGB and masks are wanted. Frames are checked when they are read.
    InputError
        If `spacing` does not fit, or `interval` is not a time.
    MissingDependencyError
        If the file needs bioio and it is not installed.

    Examples
    --------
    >>> movie = open_frames(np.zeros((3, 4, 5), np.uint16), spacing=0.5)
    >>> len(movie), movie.shape, movie.spacing, movie.unit
    (3, (4, 5), (0.5, 0.5), 'um')
    """
    stack = open_source(source, SourceOptions(axes, channel, allow_missing, **files))
    units = read_units(source) if isinstance(source, str | Path) else ResultUnits(None, None)
    if spacing is None and stack.unit == "pixel" and units.spacing and len(units.spacing) == len(stack.shape):
        spacing = units.spacing
    if interval is None and get_interval(stack) is None:
        interval = units.interval
    stack = stack if spacing is None else set_spacing(stack, spacing)
    return stack if interval is None else set_interval(stack, interval)


def open_masks(
    source: Any, *, background: int = 0, zeros_are_cells: bool = False, **options: Unpack[FrameOptions]
) -> FrameStack:
    """Open the masks of a movie: label images, 0 is background, every other value one cell.

    As `open_frames`, and each frame is checked when it is read: boolean masks become 0 and 1, floats that are whole
    numbers become integers, and any integer type and label value is taken.

    Parameters
    ----------
    source, **options
        As in `open_frames`.
    background : int
        Value of the background in the files; it is read as 0. If it is negative, all labels are raised by its amount.
    zeros_are_cells : bool
        With a `background` above 0: whether the value 0 is a cell, which is read with the label `background`.

    Raises
    ------
    FrameError
        As `open_frames`; when a frame is read, if a label is negative, not a whole number, or not a number.

    Examples
    --------
    >>> open_masks(np.array([[[0.0, 7.0]]]))[0]
    array([[0, 7]])
    >>> open_masks(np.array([[[0, -1]]]))[0]
    Traceback (most recent call last):
    gnntrack.errors.FrameError: array, frame 0: its lowest label is -1; expected 0 for background and labels > 0
    >>> open_masks(np.array([[[1, 1, 2]]]), background=1)[0]
    array([[0, 0, 2]])
    """
    options.setdefault("role", "masks")
    stack = open_frames(source, **options)
    if isinstance(stack, Stack) and getattr(stack.read, "func", None) is _read_labels and not background:
        return stack
    read = partial(_read_labels, stack, background, zeros_are_cells)
    opened = Stack(read, stack.names, stack.shape, stack.spacing, stack.unit, get_interval(stack))
    return replace(opened, read_part=read, thickness=get_thickness(stack)) if can_read_planes(stack) else opened


def check_pair(images: FrameStack, masks: FrameStack) -> None:
    """Raise if images and masks are not of the same movie.

    Raises
    ------
    FrameError
        If their numbers of frames, shapes, or known pixel sizes (by more than 1 %) differ.
    """
    names = f"images {images.names[0]}, masks {masks.names[0]}" if len(images) and len(masks) else "images, masks"
    if images.shape != masks.shape:
        hint = ""
        if len(images.shape) == 3 and images.shape[1:] == masks.shape:
            n = images.shape[0]
            hint = (
                f"; if the images have {count_noun(n, 'channel')} and not {count_noun(n, 'slice')}, choose "
                "one: --channel 0 (in Python channel=0)"
            )
        msg = (
            f"{names}: the images have shape {images.shape}, the masks {masks.shape}; expected masks of these "
            f"images{hint}"
        )
        raise FrameError(msg)
    if len(images) != len(masks):
        msg = (
            f"{names}: {count_noun(len(images), 'image')} and {count_noun(len(masks), 'mask')}; expected a "
            "mask per image, which "
            "is empty if the image shows no cell"
        )
        raise FrameError(msg)
    if images.unit == masks.unit == "um" and not np.allclose(images.spacing, masks.spacing, rtol=0.01):
        msg = f"{names}: the images' pixels are {images.spacing} um, the masks' {masks.spacing}; give the right spacing"
        raise FrameError(msg)


def iterate(stack: FrameStack, *, frames: Iterable[int] | None = None, ahead: int = 2) -> Iterator[Image]:
    """Yield the frames of a movie, while threads read the next ones.

    Decoders release the interpreter, so that reading hardly slows down other work.

    Parameters
    ----------
    stack : FrameStack
        The movie.
    frames : ints or None
        Which frames, in which order; None = all.
    ahead : int
        Frames read in advance; at most ``ahead + 1`` are in memory.

    Yields
    ------
    (Y, X) or (Z, Y, X) array
    """
    pending: deque[Future[Image]] = deque()
    pool = ThreadPoolExecutor(max(ahead, 1), thread_name_prefix="gnntrack-frames")
    try:
        for frame in range(len(stack)) if frames is None else frames:
            pending.append(pool.submit(stack.__getitem__, frame))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def map_frames(work: Callable[[int], _T], frames: Sequence[int], *, spare: int = 0) -> list[_T]:
    """Return the result of a function for each frame, computed in a few threads.

    Reading and compressing TIFFs, and compiled functions, run in parallel in threads. `spare` cores are left to other
    work.
    """
    with ThreadPoolExecutor(max(1, min(_MOST_WORKERS, (os.cpu_count() or 1) - spare))) as pool:
        return list(pool.map(work, frames))


def _read_labels(
    stack: FrameStack,
    background: int,
    zeros_are_cells: bool,  # noqa: FBT001
    frame: int,
    planes: slice | None = None,
) -> Image:
    labels = stack[frame] if planes is None else read_planes(stack, frame, planes)
    labels = labels.astype(np.uint8) if labels.dtype.kind == "b" else labels
    labels = labels.astype(np.float32) if labels.dtype == np.float16 else labels  # which cannot be compared with 2**63
    if background and labels.dtype.kind in "iuf":
        labels = _replace_background(labels, background, zeros_are_cells=zeros_are_cells)
    problem = _find_label_problem(labels)
    if problem:
        raise FrameError(problem, file=stack.names[frame], frame=frame)
    return labels.astype(np.int64) if labels.dtype.kind == "f" else labels


def _replace_background(labels: Image, background: int, *, zeros_are_cells: bool) -> Image:
    """Return labels with 0 in place of another value of the background."""
    if background < 0:
        raised = labels.astype(np.int64 if labels.dtype.kind != "f" else labels.dtype)
        return np.asarray(raised - background)
    least = np.min_scalar_type(background if labels.dtype.kind == "u" else -background)
    labels = labels.astype(np.promote_types(labels.dtype, least), copy=False)  # which can hold the background
    here = labels == background
    zeros = (labels == 0) if zeros_are_cells else None
    labels = np.where(here, labels.dtype.type(0), labels)
    if zeros is not None and zeros.any():
        labels[zeros] = background
    return labels


def _find_label_problem(labels: Image) -> str | None:
    """Return why an array is not a label image, or None if it is one."""
    kind = labels.dtype.kind
    if kind not in "iuf":
        return f"its values are of type {labels.dtype}; expected whole numbers, one per cell"
    if not labels.size or (kind == "u" and labels.dtype.itemsize < 8):
        return None
    broken = labels[~(np.isfinite(labels) & (labels == np.floor(labels)))] if kind == "f" else labels[:0]
    if broken.size:
        return (
            f"{broken.size} of its values are not whole numbers, such as {float(broken.flat[0]):g}; expected labels: "
            "is this the image, a probability map, or a mask resized with interpolation?"
        )
    low, high = labels.min(), labels.max()
    if low < 0:
        return f"its lowest label is {low}; expected 0 for background and labels > 0"
    if high >= 2**63:
        return f"its highest label is {high}; expected less than 2**63: number the cells from 1"
    return None
