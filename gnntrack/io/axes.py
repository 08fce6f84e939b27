"""Axes of arrays and files: which part of an array is a frame, and of which channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import ChannelError, FrameError
from gnntrack.io.channels import COLOURS, choose_channel, is_colour, is_grey, list_channels, name_channels
from gnntrack.io.limits import MAX_FRAMES
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from gnntrack.types import Image

__all__ = ["Layout", "average_colours", "guess_axes", "is_like_rgb", "lay_out"]

RGB_SIDE = 16  # an array (..., 3) is treated as RGB if its other sides are at least this long


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
    mean: bool = False
    """Whether the last axis of `order` is that of red, green and blue, whose mean is taken."""

    def take(self, array: Any, frame: int, planes: slice = slice(None)) -> Image:
        """Return one frame of an array, which may read it from a file; or some of its planes along z (rows in 2D)."""
        index: list[int | slice] = [frame if i is None else i for i in self.index]
        index[self.find_first_axis()] = planes
        part = np.asarray(array[tuple(index)]).transpose(self.order)
        return average_colours(part) if self.mean else part

    def find_first_axis(self) -> int:
        """Return which axis of the array is the first one of a frame."""
        kept = [number for number, each in enumerate(self.index) if isinstance(each, slice)]
        return kept[self.order[0]]


def average_colours(colours: Image) -> Image:
    """Return the mean of the last axis, in the type of the array."""
    mean = colours.mean(-1)
    return np.asarray(np.rint(mean) if colours.dtype.kind in "iu" else mean).astype(colours.dtype)


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
        Number or name of the channel to take, also of an RGB image; ``"grey"`` is the mean of its red, green and blue.
    names : strings
        Names of the channels.

    Raises
    ------
    FrameError
        If the letters do not fit the shape, y or x is missing, or the channel does not exist.
    ChannelError
        If there are several channels and none is chosen; its `colours` are the axes of an RGB image.

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
    _check_sizes(axes, shape, file)
    excess, several = _find_excess(axes, size)
    known = name_channels(size.get(several, 1), COLOURS[: size["s"]] if several == "s" else names)
    if channel is None:
        if excess:
            message = _describe_channels(excess[0], axes, shape, unnamed, known)
            raise ChannelError(message, file=file, channels=known, colours=_find_colours(axes, size, names))
        return _lay_out_channel(axes, size)
    mean = several == "s" and is_grey(channel)
    number = 0 if mean else choose_channel(channel, known, file=file)
    if excess != several:
        raise FrameError(_describe_channels(excess.replace(several, "")[0], axes, shape), file=file)
    if not several:
        return _lay_out_channel(axes, size)
    channels = {name: _lay_out_channel(axes, size, several, each) for each, name in enumerate(known)}
    return replace(_lay_out_mean(axes, size) if mean else channels[known[number]], channels=channels)


def _find_colours(axes: str, size: Mapping[str, int], names: Sequence[str]) -> str | None:
    """Return the axes of RGB images, one of which is that of colours, ``s``; None for other channels."""
    letter = "s" if "s" in axes else "c" if axes[-1] == "c" and not names else ""
    alone = all(size[axis] == 1 for axis in axes if axis not in f"tzyx{letter}")
    return axes.replace(letter, "s") if letter and alone and size[letter] in (3, 4) else None


def _find_excess(axes: str, size: Mapping[str, int]) -> tuple[str, str]:
    """Return the letters of axes that are longer than 1 but neither time nor space, and the one of the channels."""
    excess = "".join(axis for axis in axes if axis not in "tzyx" and size[axis] > 1)
    return excess, next((axis for axis in "cs" if axis in excess), "")


def _lay_out_channel(axes: str, size: Mapping[str, int], several: str = "", number: int | None = None) -> Layout:
    """Return the layout of one channel; `several` is the letter of an axis with several channels."""
    kept = [axis for axis in axes if axis in "yx" or (axis == "z" and size["z"] > 1)]
    taken: Mapping[str, int | slice | None] = {"t": None, several: number or 0, **dict.fromkeys(kept, slice(None))}
    index = tuple(taken.get(axis, 0) for axis in axes)
    spatial = [axis for axis in "zyx" if axis in kept]
    order = tuple(kept.index(axis) for axis in spatial)
    return Layout(index, order, size.get("t", 1), tuple(size[axis] for axis in spatial), number)


def _lay_out_mean(axes: str, size: Mapping[str, int]) -> Layout:
    """Return the layout of the mean of red, green and blue."""
    one = _lay_out_channel(axes, size)
    place = axes.index("s")
    index = tuple(slice(0, 3) if number == place else each for number, each in enumerate(one.index))
    sliced = [number for number, each in enumerate(index) if isinstance(each, slice)]
    order = [number for number, each in enumerate(sliced) if each != place]
    spatial = [order[each] for each in one.order]
    return replace(one, index=index, order=(*spatial, sliced.index(place)), mean=True)


def _check_axes(axes: str, shape: tuple[int, ...], file: object) -> None:
    """Raise unless the letters name each axis once, with y and x among them."""
    if len(axes) != len(shape):
        msg = (
            f"axes '{axes}' name {count_noun(len(axes), 'axis', 'axes')}, the array has {len(shape)}: "
            f"{shape}; give a letter for each"
        )
        raise FrameError(msg, file=file)
    if len(set(axes)) != len(axes) or not {"y", "x"} <= set(axes):
        msg = f"axes '{axes}' of shape {shape}: expected y and x, with z for planes and t for frames, each once"
        raise FrameError(msg, file=file)


def _check_sizes(axes: str, shape: tuple[int, ...], file: object) -> None:
    """Raise if there is no frame or no pixel, or a vast number of channels."""
    for axis, length in zip(axes, shape, strict=True):
        if not length:
            msg = f"its shape is {shape}: it holds no {'frame' if axis == 't' else 'pixel'}; expected at least one"
            raise FrameError(msg, file=file)
        if axis in "cs" and length > MAX_FRAMES:
            msg = f"its shape is {shape}: it has {count_noun(length, 'channel')}; expected at most {MAX_FRAMES}"
            raise FrameError(msg, file=file)


def _describe_channels(
    axis: str, axes: str, shape: tuple[int, ...], unnamed: str = "tz", names: Sequence[str] = ()
) -> str:
    length = shape[axes.index(axis)]
    if axis == "s" or (axis == "c" and axes[-1] == "c" and length in (3, 4)):
        return _describe_colours(axes, shape, names or COLOURS[:length])
    if axis == "c":
        letter = next((letter for letter in unnamed if letter not in axes), None)
        named = axes.replace("c", letter or "")
        other = f"; if these are frames or slices: --axes {named}" if letter else ""
        return (
            f"it has {length} channels: {list_channels(names)}; choose one, such as --channel 0 (in Python channel=0; "
            f"of masks --masks-channel){other}"
        )
    return (
        f"it has an axis '{axis}' of length {length} (axes '{axes}', shape {shape}); split it into movies of t, z, y, x"
    )


def _describe_colours(axes: str, shape: tuple[int, ...], names: Sequence[str]) -> str:
    if axes.startswith("s") and len(axes) == 3:
        return (
            f"the file marks its {shape[0]} images, of shape {shape[1:]}, as the colours of an RGB image; if they are "
            "frames, use --axes tyx (in Python axes='tyx'); if they are slices of one frame, --axes zyx; if they are "
            f"colours, choose one: --channel NUMBER (in Python channel=; for masks --masks-channel): "
            f"{list_channels(names)}"
        )
    return (
        f"it is an RGB image of shape {shape}; expected one grey value or label per pixel: save a single channel, "
        "or the labels instead of their colours, or take one colour with --channel NUMBER (in Python channel=; for "
        f"masks --masks-channel): {list_channels(names)}"
    )


def guess_axes(shape: Sequence[int], *, file: object = None, channel: int | str | None = None) -> str:
    """Return the axes of an array whose axes are not named.

    Two axes are ``yx`` (one frame), three ``tyx``, four ``tzyx``, five ``tczyx``, ``tzcyx`` or ``tzyxc`` with one
    channel. An array whose last axis has length 3 or 4, after two long ones, looks like RGB and is refused; with a
    `channel` such as ``"red"`` it is ``yxs`` or ``tyxs``. With another `channel`, one axis is that of channels: the
    last axis if it is the shortest, else four axes are ``tcyx``.

    Raises
    ------
    ChannelError
        If the array looks like RGB; its `colours` are the axes.
    FrameError
        If it has another number of axes.

    Examples
    --------
    >>> guess_axes((92, 700, 1100)), guess_axes((75, 12, 44, 80)), guess_axes((9, 40, 50, 1))
    ('tyx', 'tzyx', 'tyxc')
    >>> guess_axes((9, 2, 40, 50), channel=1), guess_axes((9, 40, 50, 2), channel=1)
    ('tcyx', 'tyxc')
    """
    shape = tuple(int(length) for length in shape)
    named = _guess_channel_axes(shape, channel, file)
    if named:
        return named
    with_channel = _find_single_channel(shape)
    if with_channel:
        return with_channel
    if len(shape) in (3, 4) and shape[-1] < RGB_SIDE <= min(shape[-3:-1]):
        raise FrameError(_describe_short_axis(shape), file=file)
    if len(shape) not in (2, 3, 4):
        msg = f"its shape is {shape}; expected (t, y, x) or (t, z, y, x): name the axes with axes=, or take a channel"
        raise FrameError(msg, file=file)
    return {2: "yx", 3: "tyx", 4: "tzyx"}[len(shape)]


def _describe_short_axis(shape: tuple[int, ...]) -> str:
    """Return the message for an array whose last axis is too short for the width of a frame."""
    usual, last = ("tyx", "yxt") if len(shape) == 3 else ("tzyx", "tyxz")
    what = "time" if len(shape) == 3 else "slices"
    channels = "" if len(shape) == 3 else ", or choose a channel: --channel 0 (in Python channel=0)"
    return (
        f"its shape is {shape}: is the last axis, of length {shape[-1]}, that of {what}? Name the axes: --axes {last} "
        f"(in Python axes='{last}') if it is, --axes {usual} if its frames are "
        f"{count_noun(shape[-1], 'pixel')} wide{channels}"
    )


def _find_single_channel(shape: tuple[int, ...]) -> str | None:
    """Return the axes of an array with an axis for its only channel, else None."""
    if len(shape) == 4 and shape[-1] == 1 and shape[-2] > 1:
        return "tyxc"
    named = ("tczyx", "tzcyx", "tzyxc") if len(shape) == 5 else ()
    return next((axes for axes in named if shape[axes.index("c")] == 1), None)


def _guess_channel_axes(shape: tuple[int, ...], channel: int | str | None, file: object) -> str | None:
    """Return the axes of an array with channels, or None if it has no channel axis or its place is not clear."""
    colours = ("yxs" if len(shape) == 3 else "tyxs") if is_like_rgb(shape) else None
    if channel is None:
        if colours:
            known = COLOURS[: shape[-1]]
            raise ChannelError(_describe_channels("s", colours, shape), file=file, channels=known, colours=colours)
        return None
    if colours and is_colour(channel):
        return colours
    if 3 <= len(shape) <= 5 and shape[-1] < min(RGB_SIDE, *shape[-3:-1]):
        return {3: "yxc", 4: "tyxc", 5: "tzyxc"}[len(shape)]
    return "tcyx" if len(shape) == 4 else None


def is_like_rgb(shape: tuple[int, ...]) -> bool:
    """Return whether an array is like an RGB image, or several, by its shape."""
    return len(shape) in (3, 4) and shape[-1] in (3, 4) and min(shape[-3:-1]) >= RGB_SIDE
