"""Channels of images: their names, and the choice of the one that is tracked."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Sequence
from typing import Any

from gnntrack.errors import FrameError

__all__ = ["COLOURS", "GREY", "choose_channel", "is_colour", "is_grey", "list_channels", "name_channels"]

COLOURS = ("red", "green", "blue", "alpha")
"""Names of the samples of an RGB image."""
GREY = "grey"
"""Name of the mean of red, green and blue."""
_MOST_LISTED = 9


def name_channels(count: int, names: Sequence[str | None] = ()) -> tuple[str, ...]:
    """Return a different name for each channel: that of the file, else its number.

    Parameters
    ----------
    count : int
        Number of channels.
    names : sequence of str or None
        Names in the file, which may be fewer or empty; names of another number of channels are not used.

    Examples
    --------
    >>> name_channels(3, ["DAPI", "", "DAPI"]), name_channels(2)
    (('DAPI', 'channel1', 'DAPI_2'), ('channel0', 'channel1'))
    """
    known = [str(name or "").strip() for name in names] if len(names) == count else [""] * count
    found: list[str] = []
    taken: set[str] = set()
    for number, name in enumerate(known):
        named = name or f"channel{number}"
        found.append(f"{named}_{number}" if named in taken else named)
        taken.add(found[-1])
    return tuple(found)


def is_colour(wanted: int | str | None) -> bool:
    """Return whether a channel is that of an RGB image by its name, or the mean of its colours.

    >>> is_colour("Red"), is_colour("gray"), is_colour("DAPI"), is_colour(0), is_colour(None)
    (True, True, False, False, False)
    """
    return is_grey(wanted) or (isinstance(wanted, str) and wanted.strip().casefold() in COLOURS)


def is_grey(wanted: int | str | None) -> bool:
    """Return whether a channel is the mean of the colours, ``"grey"`` or ``"gray"``."""
    return isinstance(wanted, str) and wanted.strip().casefold() in {GREY, "gray"}


def choose_channel(wanted: int | str, names: Sequence[str], *, file: object = None) -> int:
    """Return the number of a channel.

    Parameters
    ----------
    wanted : int or str
        Number from 0, or name; text that is a number of a channel is its number. Upper and lower case are the same,
        unless two names differ only by that.
    names : sequence of str
        Names of all channels.
    file : object
        The file, for messages.

    Raises
    ------
    FrameError
        If the channel does not exist; the message lists the channels.

    Examples
    --------
    >>> [choose_channel(wanted, ["DAPI", "GFP", "488"]) for wanted in (1, "1", "gfp", "488")]
    [1, 1, 1, 2]
    """
    number = _find_number(wanted, len(names))
    if number is None and isinstance(wanted, str):
        number = _find_name(wanted.strip(), names)
    if number is not None:
        return number
    near = difflib.get_close_matches(str(wanted), names, 1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    if len(names) == 1:
        msg = (
            f"channel {wanted!r} does not exist: it has one channel, 0 '{names[0]}'; omit the channel, or name "
            "the axis of the channels, such as --axes tcyx"
        )
    else:
        msg = f"channel {wanted!r} does not exist; {hint}its channels are {list_channels(names)}"
    raise FrameError(msg, file=file)


def list_channels(names: Sequence[str]) -> str:
    """Return the numbers and names of channels in words; of many, the first ones and the last one.

    >>> list_channels(["DAPI", "GFP"])
    "0 'DAPI', 1 'GFP'"
    >>> list_channels(name_channels(200))
    "0 'channel0', 1 'channel1', 2 'channel2', ..., 199 'channel199'"
    """
    named = [f"{number} '{name}'" for number, name in enumerate(names)]
    return ", ".join(named if len(named) <= _MOST_LISTED else [*named[:3], "...", named[-1]])


def _find_number(wanted: Any, count: int) -> int | None:
    if isinstance(wanted, str):
        wanted = int(wanted) if wanted.strip().isdecimal() else None
    try:
        number = operator.index(wanted)
    except TypeError:
        return None
    return number if 0 <= number < count else None


def _find_name(wanted: str, names: Sequence[str]) -> int | None:
    if wanted in names:
        return list(names).index(wanted)
    same = [number for number, name in enumerate(names) if name.casefold() == wanted.casefold()]
    return same[0] if len(same) == 1 else None
