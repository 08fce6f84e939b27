"""Basis of all sources of frames: the class `Stack`, arrays as movies, and units to micrometres."""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.durations import parse_duration
from gnntrack.errors import FrameError, InputError
from gnntrack.io.axes import Layout, guess_axes, lay_out
from gnntrack.io.channels import COLOURS, GREY, choose_channel, name_channels
from gnntrack.io.limits import MAX_FRAMES
from gnntrack.lengths import find_micrometres
from gnntrack.pixel_sizes import expand_spacing
from gnntrack.plurals import count_noun
from gnntrack.settings import is_pixel_size

if TYPE_CHECKING:
    from gnntrack.types import FrameStack, Image

__all__ = [
    "UNREADABLE",
    "UNRECORDED",
    "Acquisition",
    "Layout",
    "Stack",
    "convert_spacing",
    "find_channel",
    "get_interval",
    "guess_axes",
    "lay_out",
    "open_array",
    "open_channels",
    "resolve_frame",
    "select_channel",
    "select_frames",
    "set_interval",
    "set_spacing",
]

_log = logging.getLogger(__name__)

# Decoders of damaged files raise nearly every kind of exception (seen: SystemError, AssertionError, TokenError and
# MemoryError, as well as the expected ones), so each becomes a FrameError, with the cause chained.
UNREADABLE = (Exception,)


@dataclass(eq=False, repr=False)
class Stack:
    """A movie read frame by frame (a ``FrameStack``).

    Parameters
    ----------
    read : callable
        Returns the frame of a number, ``(Y, X)`` or ``(Z, Y, X)``.
    names : T strings
        The file of each frame, for messages; there are as many frames as names.
    shape : D ints
        Shape of a frame.
    spacing : D floats
        Size of a pixel in ``unit``.
    unit : str
        ``"um"`` or ``"pixel"``.
    interval : float, optional
        Seconds from a frame to the next; None if it is not known.
    channels : mapping of str to Stack
        The movie in each channel of its files, by name, that of this stack included; empty if there is one channel.
    from_names : bool
        Whether the interval is that of the time stamps in the names of the files.
    chosen : str
        How the channel was chosen, in words, if it was not asked for; else empty.
    read_part : callable, optional
        Returns some planes along z of a frame, from its number and a slice, without reading the others.
    thickness : int
        Planes that are stored together, so that to read one of them takes as long as to read all.

    Examples
    --------
    >>> movie = Stack(lambda frame: np.full((2, 3), frame), ["first", "second"], (2, 3), (1.0, 1.0))
    >>> len(movie), int(movie[-1].max()), movie
    (2, 1, <2 frames of 2 x 3 pixels, first>)
    """

    read: Callable[[int], Image]
    names: Sequence[str]
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    unit: str = "pixel"
    interval: float | None = None
    channels: Mapping[str, Stack] = field(default_factory=dict)
    from_names: bool = False
    chosen: str = ""
    read_part: Callable[[int, slice], Image] | None = None
    thickness: int = 1

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, frame: int, /) -> Image:
        number = resolve_frame(frame, len(self))
        return self._check(np.asarray(self.read(number)), number, self.shape)

    def read_planes(self, frame: int, planes: slice) -> Image:
        """Return some planes of a 3D frame; only these are read if the source allows it."""
        number = resolve_frame(frame, len(self))
        if self.read_part is None:
            return self[number][planes]
        shape = (len(range(self.shape[0])[planes]), *self.shape[1:])
        return self._check(np.asarray(self.read_part(number, planes)), number, shape)

    def _check(self, image: Image, number: int, shape: tuple[int, ...]) -> Image:
        if image.shape != shape:
            msg = (
                f"its shape is {image.shape}, the first frame's ({self.names[0]}) is {self.shape}; "
                "all frames of a movie have one shape"
            )
            raise FrameError(msg, file=self.names[number], frame=number)
        if image.dtype.kind not in "biuf":
            msg = f"its values are of type {image.dtype}; expected numbers"
            raise FrameError(msg, file=self.names[number], frame=number)
        # numba and torch take neither foreign byte orders nor broken strides
        return np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("="))

    def __repr__(self) -> str:
        size = "" if self.unit == "pixel" else f" of {' x '.join(f'{s:g}' for s in self.spacing)} {self.unit}"
        return f"<{count_noun(len(self), 'frame')} of {' x '.join(map(str, self.shape))} pixels{size}, {self.names[0]}>"


def select_frames(stack: FrameStack, frames: Sequence[int]) -> Stack:
    """Return some frames of a movie, in this order.

    >>> movie = Stack(lambda frame: np.full((2, 3), frame), ["first", "second"], (2, 3), (1.0, 1.0))
    >>> int(select_frames(movie, [1])[0].max())
    1
    """
    return Stack(
        lambda number: stack[frames[number]],
        names=[stack.names[frame] for frame in frames],
        shape=tuple(stack.shape),
        spacing=stack.spacing,
        unit=stack.unit,
    )


def resolve_frame(frame: int, n_frames: int) -> int:
    """Return the number of a frame from 0, for a number that may count from the end, as -1 for the last.

    Raises
    ------
    IndexError
        If the movie does not have this frame.
    """
    number = operator.index(frame)
    number += n_frames if number < 0 else 0
    if not 0 <= number < n_frames:
        msg = f"frame {frame} of a movie of {count_noun(n_frames, 'frame')}"
        raise IndexError(msg)
    return number


def set_spacing(stack: FrameStack, spacing: float | Sequence[float], unit: str = "um") -> Stack:
    """Return the same movie with another pixel size.

    Parameters
    ----------
    stack : FrameStack
        The movie.
    spacing : float or D floats
        Size of a pixel along ``[z], y, x``, or one number for all axes.
    unit : str
        ``"um"`` or ``"pixel"``.

    Raises
    ------
    InputError
        If a size is not positive or out of range, or their number is not that of the axes.
    """
    sizes = expand_spacing(spacing, len(stack.shape), stack.names[0] if len(stack) else "the movie")
    _warn_of_decimal_comma(sizes)
    if not isinstance(stack, Stack):
        stack = Stack(stack.__getitem__, stack.names, stack.shape, sizes, unit)
    channels = {name: replace(channel, spacing=sizes, unit=unit) for name, channel in stack.channels.items()}
    return replace(stack, spacing=sizes, unit=unit, channels=channels)


def _warn_of_decimal_comma(sizes: Sequence[float]) -> None:
    """Warn of pixels such as 1 x 5 um, which may be a size of 1,5 um."""
    if len(sizes) == 2 and sizes[0] != sizes[1] and all(size == int(size) for size in sizes):
        y, x = (f"{size:g}" for size in sizes)
        message = "pixels are %s um high and %s um wide; if their size is %s.%s um, write it with a point"
        _log.warning(message, y, x, y, x)


def set_interval(stack: FrameStack, interval: float | str) -> Stack:
    """Return the same movie with another frame interval: seconds, or text such as ``"5min"``.

    Raises
    ------
    InputError
        If it is not a time.
    """
    try:
        seconds = parse_duration(interval)
    except ValueError as error:
        msg = f"interval {interval!r}: {error}"
        raise InputError(msg) from None
    if not isinstance(stack, Stack):
        stack = Stack(stack.__getitem__, stack.names, stack.shape, stack.spacing, stack.unit)
    return replace(stack, interval=seconds, from_names=False)


def get_interval(stack: FrameStack | None) -> float | None:
    """Return the seconds between the frames of a movie, None if they are not known; a stack may lack the attribute."""
    return getattr(stack, "interval", None)


def find_channel(stack: FrameStack) -> str | None:
    """Return the name of the channel that a movie shows; None if it has one channel."""
    channels: Mapping[str, Stack] = getattr(stack, "channels", {})
    mean = GREY if set(COLOURS[:3]) <= set(channels) else None
    return next((name for name, each in channels.items() if each.read is getattr(stack, "read", None)), mean)


def select_channel(stack: FrameStack, channel: int | str) -> FrameStack:
    """Return another channel of an open movie.

    Raises
    ------
    FrameError
        If the movie does not have this channel.
    """
    channels: Mapping[str, Stack] = getattr(stack, "channels", {})
    name = stack.names[0] if len(stack) else None
    names = list(channels) or name_channels(1)
    number = choose_channel(channel, names, file=name)
    return replace(channels[names[number]], channels=channels) if channels else stack


def convert_spacing(sizes: Mapping[str, float | None], units: Mapping[str, str | None], ndim: int) -> tuple[float, ...]:
    """Return the pixel size along ``[z], y, x`` in micrometres, or () if it is not known along every axis.

    Parameters
    ----------
    sizes, units : dicts by axis
        Sizes and units in a file; units in any spelling that microscopes use.
    ndim : int
        2 or 3.

    Examples
    --------
    >>> convert_spacing({"y": 250.0, "x": 0.25}, {"y": "nanometer", "x": "µm"}, 2)
    (0.25, 0.25)
    >>> convert_spacing({"y": 1.0, "x": 1.0}, {"y": "pixel", "x": "pixel"}, 2)
    ()
    """
    found = []
    for axis in "zyx"[-ndim:]:
        size, factor = sizes.get(axis), find_micrometres(units.get(axis))
        if size is None or factor is None or not is_pixel_size(size * factor):
            return ()
        found.append(float(f"{size * factor:.12g}"))  # .1 * 1e3 is not 100 in binary
    return tuple(found)


@dataclass(frozen=True)
class Acquisition:
    """Facts that a file records beside its pixels and their size.

    Parameters
    ----------
    channels : strings
        Names of the channels; empty if they have none.
    interval : float, optional
        Seconds from a frame to the next.
    """

    channels: tuple[str, ...] = ()
    interval: float | None = None


UNRECORDED = Acquisition()
"""Of a source that records neither channels nor time."""


def open_array(
    array: Any,
    axes: str | None,
    *,
    name: str,
    spacing: tuple[float, ...] = (),
    unit: str = "um",
    channel: int | str | None = None,
    acquisition: Acquisition = UNRECORDED,
) -> Stack:
    """Return an array-like as a movie, whose frames are read when they are needed if the array is lazy.

    Parameters
    ----------
    array : array-like
        With ``shape`` and ``array[...]``, such as numpy, dask and zarr arrays.
    axes : str or None
        A letter per axis; None guesses from the shape.
    name : str
        The file, for messages.
    spacing : D floats
        Size of a pixel in ``unit``; () if it is not known.
    unit : str
        ``"um"`` or ``"pixel"``.
    channel : int or str, optional
        Number or name of the channel to take.
    acquisition : Acquisition
        Names of the channels, and the frame interval.
    """
    named = axes or guess_axes(array.shape, file=name, channel=channel)
    if axes is None:
        _warn_of_last_axis(tuple(array.shape), name)
    layout = lay_out(named, array.shape, file=name, channel=channel, names=acquisition.channels)
    if layout.n_frames > MAX_FRAMES:
        frames = count_noun(layout.n_frames, "frame")
        msg = f"its shape {tuple(array.shape)} has {frames}; expected at most {MAX_FRAMES}"
        raise FrameError(msg, file=name)
    names, ndim = (name,) * layout.n_frames, len(layout.shape)
    known = len(spacing) == ndim

    def make(layout: Layout) -> Stack:
        size, measured = (spacing, unit) if known else ((1.0,) * ndim, "pixel")
        read = partial(_read_part, array, layout, name)
        made = Stack(read, names, layout.shape, size, measured, acquisition.interval)
        return replace(made, read_part=read, thickness=_get_thickness(array, layout)) if ndim == 3 else made

    return open_channels(make, layout)


def _warn_of_last_axis(shape: tuple[int, ...], name: str) -> None:
    """Warn of an array of square planes one behind the other: ``(y, x, t)``, as Matlab has them."""
    if len(shape) == 3 and shape[0] == shape[1] >= 64 and 2 * shape[2] <= shape[0]:
        _log.warning(
            "%s: its shape is %s and is read as %d frames of %d x %d pixels; if the last axis is time, use --axes yxt "
            "(in Python axes='yxt')",
            name, shape, *shape,
        )  # fmt: skip


def open_channels(make: Callable[[Layout], Stack], layout: Layout) -> Stack:
    """Return the stack of the channel of a layout, with the stacks of all channels.

    Parameters
    ----------
    make : callable
        Returns the stack of a layout.
    layout : Layout
        The layout of the channel that is tracked.
    """
    channels = {name: make(each) for name, each in layout.channels.items()}
    chosen = list(channels.values())[layout.channel] if layout.channel is not None and channels else make(layout)
    return replace(chosen, channels=channels)


def _get_thickness(array: Any, layout: Layout) -> int:
    """Return the length of the chunks of an array along the first axis of a frame."""
    chunks = getattr(array, "chunks", None)
    size = chunks[layout.find_first_axis()] if chunks else 1
    return max(size) if isinstance(size, tuple) else int(size)


def _read_part(array: Any, layout: Layout, name: str, frame: int, planes: slice = slice(None)) -> Image:
    try:
        return layout.take(array, frame, planes)
    except FrameError:
        raise
    except UNREADABLE as error:
        msg = f"it cannot be read: {error}; check that the file is complete"
        raise FrameError(msg, file=name, frame=frame) from error
