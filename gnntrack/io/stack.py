"""Basis of all sources of frames: the class `Stack`, axes of files to frames, and units to micrometres."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.durations import parse_duration
from gnntrack.errors import FrameError, InputError
from gnntrack.io.channels import COLOURS, choose_channel, list_channels, name_channels
from gnntrack.settings import is_pixel_size

if TYPE_CHECKING:
    from gnntrack.types import FrameStack, Image

__all__ = [
    "UNREADABLE",
    "UNRECORDED",
    "Layout",
    "Recorded",
    "Stack",
    "convert_spacing",
    "get_interval",
    "guess_axes",
    "lay_out",
    "open_array",
    "open_channels",
    "resolve_frame",
    "select_channel",
    "set_interval",
    "set_spacing",
]

# Decoders of damaged files raise nearly every kind of exception (seen: SystemError, AssertionError, TokenError and
# MemoryError, as well as the expected ones), so each becomes a FrameError, with the cause chained.
UNREADABLE = (Exception,)
RGB_SIDE = 16  # an array (..., 3) is treated as RGB if its other sides are at least this long

_MICROMETRES = {
    "m": 1e6, "cm": 1e4, "mm": 1e3, "um": 1.0, "nm": 1e-3, "pm": 1e-6, "a": 1e-4, "inch": 25400.0,
    "meter": 1e6, "metre": 1e6, "centimeter": 1e4, "millimeter": 1e3, "micrometer": 1.0, "micrometre": 1.0,
    "micron": 1.0, "nanometer": 1e-3, "nanometre": 1e-3, "picometer": 1e-6, "angstrom": 1e-4,
}  # fmt: skip


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

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, frame: int, /) -> Image:
        number = resolve_frame(frame, len(self))
        image = np.asarray(self.read(number))
        if image.shape != self.shape:
            msg = (
                f"its shape is {image.shape}, the first frame's ({self.names[0]}) is {self.shape}; "
                "all frames of a movie have one shape"
            )
            raise FrameError(msg, file=self.names[number], frame=number)
        # numba and torch take neither foreign byte orders nor broken strides
        return np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("="))

    def __repr__(self) -> str:
        size = "" if self.unit == "pixel" else f" of {' x '.join(f'{s:g}' for s in self.spacing)} {self.unit}"
        frames = f"{len(self)} frame{'s' * (len(self) != 1)}"
        return f"<{frames} of {' x '.join(map(str, self.shape))} pixels{size}, {self.names[0]}>"


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
        msg = f"frame {frame} of a movie of {n_frames} frames"
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
    ndim = len(stack.shape)
    try:
        sizes = [float(size) for size in np.atleast_1d(np.asarray(spacing, dtype=float)).ravel()]
    except (TypeError, ValueError):
        msg = f"spacing {spacing!r}: expected {ndim} sizes in um along {'z, y, x'[-3 * ndim + 2 :]}"
        raise InputError(msg) from None
    sizes = sizes * ndim if len(sizes) == 1 else sizes
    if len(sizes) != ndim or not all(map(is_pixel_size, sizes)):
        msg = (
            f"spacing {spacing!r}: {stack.names[0] if len(stack) else 'the movie'} has frames of shape {stack.shape}; "
            f"expected {ndim} positive sizes in um along {'z, y, x'[-3 * ndim + 2 :]} (1e-9 to 1e9), or one for all"
        )
        raise InputError(msg)
    if not isinstance(stack, Stack):
        stack = Stack(stack.__getitem__, stack.names, stack.shape, tuple(sizes), unit)
    channels = {name: replace(channel, spacing=tuple(sizes), unit=unit) for name, channel in stack.channels.items()}
    return replace(stack, spacing=tuple(sizes), unit=unit, channels=channels)


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
    return replace(stack, interval=seconds)


def get_interval(stack: FrameStack | None) -> float | None:
    """Return the seconds between the frames of a movie, None if they are not known; a stack may lack the attribute."""
    return getattr(stack, "interval", None)


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
        size, factor = sizes.get(axis), _MICROMETRES.get(_normalise_unit(units.get(axis)))
        if size is None or factor is None or not is_pixel_size(size * factor):
            return ()
        found.append(float(f"{size * factor:.12g}"))  # .1 * 1e3 is not 100 in binary
    return tuple(found)


def _normalise_unit(unit: str | None) -> str:
    text = (unit or "").strip().lower().replace("\\u00b5", "u").replace("µ", "u").replace("μ", "u").replace("å", "a")
    return text if text in _MICROMETRES else text.removesuffix("s").removesuffix("(s)")


@dataclass(frozen=True)
class Layout:
    """How an array with named axes is divided into frames.

    Parameters
    ----------
    index : tuple of (int, slice or None)
        Index of a frame in the array, with None in place of the frame number.
    order : tuple of int
        The remaining axes in the order ``[z], y, x``.
    n_frames : int
        Number of frames.
    shape : D ints
        Shape of a frame.
    channel : int, optional
        Number of the channel, if the array has several.
    channels : mapping of str to Layout
        The layouts of all channels by name; empty if there is one channel, and in these layouts.
    """

    index: tuple[int | slice | None, ...]
    order: tuple[int, ...]
    n_frames: int
    shape: tuple[int, ...]
    channel: int | None = None
    channels: Mapping[str, Layout] = field(default_factory=dict)

    def take(self, array: Any, frame: int) -> Image:
        """Return one frame of an array, which may read it from a file."""
        part = np.asarray(array[tuple(frame if i is None else i for i in self.index)])
        return part.transpose(self.order)


@dataclass(frozen=True)
class Recorded:
    """What a file records beside its pixels and their size.

    Parameters
    ----------
    channels : strings
        Names of the channels; empty if they have none.
    interval : float, optional
        Seconds from a frame to the next.
    """

    channels: tuple[str, ...] = ()
    interval: float | None = None


UNRECORDED = Recorded()
"""Of a source that records neither channels nor time."""


def lay_out(
    axes: str,
    shape: Sequence[int],
    *,
    file: object = None,
    unnamed: str = "tz",
    channel: int | str | None = None,
    names: Sequence[str] = (),
) -> Layout:
    """Return how an array with named axes is divided into frames.

    Axes of length 1 other than y and x are dropped, also a channel.

    Parameters
    ----------
    axes : str
        A letter per axis: t, z, y, x, c (channel), s (sample of an RGB image).
    shape : ints
        Shape of the array.
    file : object
        The file, for messages.
    unnamed : str
        Axes to suggest, in this order, for an axis that the file calls c but that is too long for channels.
    channel : int or str, optional
        Number or name of the channel to take, also of an RGB image.
    names : strings
        Names of the channels.

    Raises
    ------
    FrameError
        If the letters do not fit the shape, y or x is missing, or there are several channels and none or one that does
        not exist is chosen.

    Examples
    --------
    >>> layout = lay_out("tczyx", (9, 1, 1, 40, 50))
    >>> layout.n_frames, layout.shape
    (9, (40, 50))
    >>> layout = lay_out("tcyx", (9, 2, 40, 50), channel="GFP", names=("DAPI", "GFP"))
    >>> layout.channel, list(layout.channels)
    (1, ['DAPI', 'GFP'])
    """
    axes, shape = axes.lower(), tuple(int(length) for length in shape)
    _check_axes(axes, shape, file)
    size = dict(zip(axes, shape, strict=True))
    several = next((axis for axis in "cs" if size.get(axis, 1) > 1), "")
    known = COLOURS[: size[several]] if several == "s" else name_channels(size.get("c", 1), names)
    _check_sizes(axes, shape, file)
    for axis in axes:
        if axis not in "tzyx" and size[axis] > 1 and (channel is None or axis != several):
            raise FrameError(_describe_channels(axis, axes, shape, unnamed, known), file=file)
    if channel is None:
        return _lay_out_channel(axes, size)
    number = choose_channel(channel, known, file=file)
    if not several:
        return _lay_out_channel(axes, size)
    channels = {name: _lay_out_channel(axes, size, several, each) for each, name in enumerate(known)}
    return replace(channels[known[number]], channels=channels)


def _lay_out_channel(axes: str, size: Mapping[str, int], several: str = "", number: int | None = None) -> Layout:
    """Return the layout of one channel; `several` is the letter of an axis with several channels."""
    kept = [axis for axis in axes if axis in "yx" or (axis == "z" and size["z"] > 1)]
    taken: Mapping[str, int | slice | None] = {"t": None, several: number or 0, **dict.fromkeys(kept, slice(None))}
    index = tuple(taken.get(axis, 0) for axis in axes)
    spatial = [axis for axis in "zyx" if axis in kept]
    order = tuple(kept.index(axis) for axis in spatial)
    return Layout(index, order, size.get("t", 1), tuple(size[axis] for axis in spatial), number)


def _check_axes(axes: str, shape: tuple[int, ...], file: object) -> None:
    """Raise unless the letters name each axis once, with y and x among them."""
    if len(axes) != len(shape):
        msg = f"axes '{axes}' name {len(axes)} axes, the array has {len(shape)}: {shape}; give a letter for each"
        raise FrameError(msg, file=file)
    if len(set(axes)) != len(axes) or not {"y", "x"} <= set(axes):
        msg = f"axes '{axes}' of shape {shape}: expected y and x, with z for planes and t for frames, each once"
        raise FrameError(msg, file=file)


def _check_sizes(axes: str, shape: tuple[int, ...], file: object) -> None:
    """Raise if there is no frame or no pixel."""
    for axis, length in zip(axes, shape, strict=True):
        if not length:
            msg = f"its shape is {shape}: it holds no {'frame' if axis == 't' else 'pixel'}; expected at least one"
            raise FrameError(msg, file=file)


def _describe_channels(
    axis: str, axes: str, shape: tuple[int, ...], unnamed: str = "tz", names: Sequence[str] = ()
) -> str:
    length = shape[axes.index(axis)]
    if axes.startswith("s") and len(axes) == 3:
        return (
            f"the file marks its {length} images, of shape {shape[1:]}, as the colours of an RGB image; if they are "
            "frames, use --axes tyx (in Python axes='tyx'); if they are slices of one frame, --axes zyx"
        )
    if axis == "s" or (axis == "c" and axes[-1] == "c" and length in (3, 4)):
        colours = list_channels(names or COLOURS[:length])
        return (
            f"it is an RGB image of shape {shape}; expected one grey value or label per pixel: "
            "save a single channel, or the labels instead of their colours, or choose one of the colours "
            f"{colours} with channel (--channel 0; for masks --masks-channel)"
        )
    if axis == "c":
        letter = next((letter for letter in unnamed if letter not in axes), None)
        named = axes.replace("c", letter or "")
        other = f"; if this axis is time or depth, --axes {named} (in Python axes='{named}')" if letter else ""
        return (
            f"it has {length} channels (axes '{axes}', shape {shape}): {list_channels(names)}; choose the one to track "
            f"by number or name, with channel (--channel 0; for masks --masks-channel){other}"
        )
    return (
        f"it has an axis '{axis}' of length {length} (axes '{axes}', shape {shape}); split it into movies of t, z, y, x"
    )


def guess_axes(shape: Sequence[int], *, file: object = None, channels: bool = False) -> str:
    """Return the axes of an array whose axes are not named.

    Two axes are ``yx`` (one frame), three ``tyx``, four ``tzyx``, five ``tczyx``, ``tzcyx`` or ``tzyxc`` with one
    channel. An array whose last axis has length 3 or 4, after two long ones, looks like RGB and is refused. If
    `channels` is true, one axis is that of channels: the last axis if it is the shortest, else four axes are ``tcyx``.

    Raises
    ------
    FrameError
        If the array looks like RGB or has another number of axes.

    Examples
    --------
    >>> guess_axes((92, 700, 1100)), guess_axes((75, 12, 44, 80)), guess_axes((9, 40, 50, 1))
    ('tyx', 'tzyx', 'tyxc')
    >>> guess_axes((9, 2, 40, 50), channels=True), guess_axes((9, 40, 50, 2), channels=True)
    ('tcyx', 'tyxc')
    """
    shape = tuple(int(length) for length in shape)
    if channels and len(shape) in (3, 4, 5):
        named = _guess_channel_axes(shape)
        if named:
            return named
    elif _is_like_rgb(shape):
        axes = "yxs" if len(shape) == 3 else "tyxs"
        raise FrameError(_describe_channels("s", axes, shape), file=file)
    if len(shape) == 4 and shape[-1] == 1 and shape[-2] > 1:
        return "tyxc"
    with_channel = next((axes for axes in ("tczyx", "tzcyx", "tzyxc") if shape[axes.index("c") :][:1] == (1,)), None)
    if len(shape) == 5 and with_channel:
        return with_channel
    if len(shape) not in (2, 3, 4):
        msg = f"its shape is {shape}; expected (t, y, x) or (t, z, y, x): name the axes with axes=, or take a channel"
        raise FrameError(msg, file=file)
    return {2: "yx", 3: "tyx", 4: "tzyx"}[len(shape)]


def _guess_channel_axes(shape: tuple[int, ...]) -> str | None:
    """Return the axes of an array with channels, or None if it has no channel axis or its place is not clear."""
    if shape[-1] < min(RGB_SIDE, *shape[-3:-1]):
        return {3: "yxc", 4: "tyxc", 5: "tzyxc"}[len(shape)]
    return "tcyx" if len(shape) == 4 else None


def _is_like_rgb(shape: tuple[int, ...]) -> bool:
    return len(shape) in (3, 4) and shape[-1] in (3, 4) and min(shape[-3:-1]) >= RGB_SIDE


def open_array(
    array: Any,
    axes: str | None,
    *,
    name: str,
    spacing: tuple[float, ...] = (),
    unit: str = "um",
    channel: int | str | None = None,
    recorded: Recorded = UNRECORDED,
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
    recorded : Recorded
        Names of the channels, and the frame interval.
    """
    named = axes or guess_axes(array.shape, file=name, channels=channel is not None)
    layout = lay_out(named, array.shape, file=name, channel=channel, names=recorded.channels)
    names, ndim = (name,) * layout.n_frames, len(layout.shape)
    known = len(spacing) == ndim

    def make(layout: Layout) -> Stack:
        size, measured = (spacing, unit) if known else ((1.0,) * ndim, "pixel")
        read = partial(_read_part, array, layout, name)
        return Stack(read, names, layout.shape, size, measured, recorded.interval)

    return open_channels(make, layout)


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


def _read_part(array: Any, layout: Layout, name: str, frame: int) -> Image:
    try:
        return layout.take(array, frame)
    except FrameError:
        raise
    except UNREADABLE as error:
        msg = f"it cannot be read: {error}; check that the file is complete"
        raise FrameError(msg, file=name, frame=frame) from error
