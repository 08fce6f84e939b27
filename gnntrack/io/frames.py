"""Movies and masks of any source, as frames that are read when they are needed.

========================  ==========================================================================
source                    axes
========================  ==========================================================================
folder of TIFFs           a file per frame, in natural order; a file of several pages is one 3D frame
TIFF                      those of OME or ImageJ metadata; without these, pages are frames
``.npy``, arrays          ``(t, y, x)`` or ``(t, z, y, x)``; ``(y, x)`` is one frame
OME-Zarr 0.4 and 0.5      those of its metadata; also label images (``image.zarr/labels/NAME``)
nd2, czi, lif             those that bioio reads (``pip install 'gnntrack[bioio]'``)
========================  ==========================================================================

Of images with several channels, one is chosen by ``channel=``, its number or its name; the others can be read from
``stack.channels``. Axes other than t, z, y, x and c must have length 1. ``axes="tyx"`` replaces the axes of a file that
names them wrongly, such as frames that were saved as slices.
"""

from __future__ import annotations

import difflib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from gnntrack.errors import FrameError, InputError
from gnntrack.frame_array import FrameArray
from gnntrack.io.stack import (
    UNREADABLE,
    Layout,
    Stack,
    get_interval,
    guess_axes,
    lay_out,
    open_array,
    open_channels,
    select_channel,
    set_interval,
    set_spacing,
)
from gnntrack.types import FrameStack

if TYPE_CHECKING:
    from gnntrack.types import Image

__all__ = ["check_pair", "iterate", "map_frames", "open_frames", "open_masks"]

_T = TypeVar("_T")
_WORKERS = min(4, os.cpu_count() or 1)


def open_frames(
    source: Any,
    *,
    spacing: float | Sequence[float] | None = None,
    allow_missing: bool = False,
    axes: str | None = None,
    channel: int | str | None = None,
    interval: float | str | None = None,
) -> FrameStack:
    """Open the images of a movie.

    Parameters
    ----------
    source : path, array or FrameStack
        A folder of TIFFs, a TIFF, ``.npy``, OME-Zarr, nd2, czi or lif; a numpy or dask array, or a list of arrays;
        a ``FrameStack`` is returned as it is.
    spacing : float, D floats or None
        Size of a pixel in um along ``[z], y, x``. If None, it is that of the file, or else 1 with the unit
        ``"pixel"``.
    allow_missing : bool
        Return an empty frame (zeros) for each number that is missing in a folder of TIFFs.
    axes : str or None
        A letter per axis (t, z, y, x, c), in place of the axes that the file names.
    channel : int, str or None
        Number, from 0, or name of the channel to read, if there are several.
    interval : float, str or None
        Time from a frame to the next: seconds, or text such as ``"5min"``. If None, it is that of the file.

    Returns
    -------
    FrameStack
        ``stack[t]`` reads one frame, ``(Y, X)`` or ``(Z, Y, X)``; frames are not cached. ``stack.channels`` has the
        movie in each channel by name, ``stack.interval`` the seconds between frames or None.

    Raises
    ------
    FrameError
        If the source does not exist or cannot be read, if a frame is missing, or if it is RGB or has several
        channels and none is chosen. Frames are checked when they are read.
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
    stack = _open(source, axes, channel, allow_missing=allow_missing)
    stack = stack if spacing is None else set_spacing(stack, spacing)
    return stack if interval is None else set_interval(stack, interval)


def open_masks(
    source: Any,
    *,
    spacing: float | Sequence[float] | None = None,
    allow_missing: bool = False,
    axes: str | None = None,
    channel: int | str | None = None,
    interval: float | str | None = None,
    background: int = 0,
    zeros_are_cells: bool = False,
) -> FrameStack:
    """Open the masks of a movie: label images, 0 is background, every other value one cell.

    As `open_frames`, and each frame is checked when it is read: boolean masks become 0 and 1, floats that are whole
    numbers become integers, and any integer type and label value is taken.

    Parameters
    ----------
    source, spacing, allow_missing, axes
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
    stack = open_frames(
        source, spacing=spacing, allow_missing=allow_missing, axes=axes, channel=channel, interval=interval
    )
    if isinstance(stack, Stack) and getattr(stack.read, "func", None) is _read_labels and not background:
        return stack
    read = partial(_read_labels, stack, background, zeros_are_cells)
    return Stack(read, stack.names, stack.shape, stack.spacing, stack.unit, get_interval(stack))


def check_pair(images: FrameStack, masks: FrameStack) -> None:
    """Raise if images and masks are not of the same movie.

    Raises
    ------
    FrameError
        If their numbers of frames, shapes, or known pixel sizes (by more than 1 %) differ.
    """
    names = f"images {images.names[0]}, masks {masks.names[0]}" if len(images) and len(masks) else "images, masks"
    if images.shape != masks.shape:
        msg = f"{names}: the images have shape {images.shape}, the masks {masks.shape}; expected masks of these images"
        raise FrameError(msg)
    if len(images) != len(masks):
        msg = (
            f"{names}: {len(images)} images and {len(masks)} masks; expected a mask per image, which "
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


def map_frames(work: Callable[[int], _T], frames: Sequence[int]) -> list[_T]:
    """Return the result of a function for each frame, computed in a few threads.

    Reading and compressing TIFFs, and compiled functions, run in parallel in threads.
    """
    with ThreadPoolExecutor(_WORKERS) as pool:
        return list(pool.map(work, frames))


def _open(source: Any, axes: str | None, channel: int | str | None, *, allow_missing: bool) -> FrameStack:
    if isinstance(source, FrameArray):
        source = source.frames
    if isinstance(source, FrameStack):
        return source if channel is None else select_channel(source, channel)
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        try:
            return _open_path(path, axes, channel, allow_missing=allow_missing)
        except PermissionError as error:
            msg = "no permission to read it; change its permissions"
            raise FrameError(msg, file=path) from error
    if isinstance(source, list | tuple):
        return _open_list(source, channel)
    if not (hasattr(source, "shape") and hasattr(source, "__getitem__")):
        msg = f"frames from {type(source).__name__}: expected a path, an array (t, [z], y, x) or a FrameStack"
        raise InputError(msg)
    return open_array(source, axes, name="array", channel=channel)


def _open_path(path: Path, axes: str | None, channel: int | str | None, *, allow_missing: bool) -> FrameStack:
    # each reader is imported when it is first used, since its libraries are slow to import
    if not path.exists():
        raise FrameError(_describe_missing(path), file=path)
    if path.is_dir():
        from gnntrack.io.omezarr import is_zarr, open_zarr

        if is_zarr(path):
            return open_zarr(path, axes=axes, channel=channel)
        from gnntrack.io.tiff import open_tiff_folder

        return open_tiff_folder(path, axes=axes, channel=channel, allow_missing=allow_missing)
    return _open_file(path, axes, channel)


def _open_file(path: Path, axes: str | None, channel: int | str | None) -> FrameStack:
    from gnntrack.io import bio, tiff

    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _open_npy(path, axes, channel)
    if suffix in tiff.SUFFIXES:
        return tiff.open_tiff(path, axes=axes, channel=channel)
    if suffix in bio.SUFFIXES:
        return bio.open_bio(path, axes=axes, channel=channel)
    msg = (
        f"gnntrack cannot read '{suffix or path.name}' files; expected a folder of TIFFs, a TIFF, .npy, OME-Zarr, nd2, "
        "czi or lif: save the movie as one of these"
    )
    raise FrameError(msg, file=path)


def _describe_missing(path: Path) -> str:
    siblings = [sibling.name for sibling in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, siblings, 1)
    return f"no such file or folder; {f'did you mean {path.parent / near[0]}?' if near else 'check the path'}"


def _open_npy(path: Path, axes: str | None, channel: int | str | None) -> Stack:
    array = _map_npy(path)
    named = axes or guess_axes(array.shape, file=path, channels=channel is not None)
    layout = lay_out(named, array.shape, file=path, channel=channel)
    names, spacing = (str(path),) * layout.n_frames, (1.0,) * len(layout.shape)
    return open_channels(lambda each: Stack(partial(_read_npy, path, each), names, each.shape, spacing), layout)


def _read_npy(path: Path, layout: Layout, frame: int) -> Image:
    # mapped again for each frame, so that no file stays open and the movie can be sent to another process
    return np.array(layout.take(_map_npy(path, frame), frame))


def _map_npy(path: Path, frame: int | None = None) -> Any:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except PermissionError:
        raise
    except UNREADABLE as error:
        msg = f"it cannot be read as .npy ({error}); expected one array of numbers saved by numpy.save, complete"
        raise FrameError(msg, file=path, frame=frame) from error


def _open_list(arrays: Sequence[Any], channel: int | str | None) -> Stack:
    frames = [np.asarray(array) for array in arrays if not isinstance(array, str | Path)]
    if not frames or len(frames) < len(arrays):
        msg = f"a list of {len(arrays)} frames: expected arrays, one per frame; give files as a folder"
        raise InputError(msg)
    shape = (1, *frames[0].shape)
    named = guess_axes(shape, file="list", channels=channel is not None)
    layout = lay_out(named, shape, file="list", channel=channel)
    names, spacing = ("list",) * len(frames), (1.0,) * len(layout.shape)
    return open_channels(lambda each: Stack(partial(_take, frames, each), names, each.shape, spacing), layout)


def _take(frames: Sequence[Image], layout: Layout, frame: int) -> Image:
    return layout.take(frames[frame][None], 0)


def _read_labels(stack: FrameStack, background: int, zeros_are_cells: bool, frame: int) -> Image:  # noqa: FBT001
    labels = stack[frame]
    labels = labels.astype(np.uint8) if labels.dtype.kind == "b" else labels
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
