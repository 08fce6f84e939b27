"""Checks of the metadata of a GEFF: what gnntrack stores beside the columns, and the scales of the axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gnntrack.errors import FormatError
from gnntrack.io.limits import MAX_FRAMES

if TYPE_CHECKING:
    from geff_spec import Axis

__all__ = ["check_axes", "check_extras", "check_n_frames"]

_LONGEST = 1 << 31  # pixels along an axis


def check_extras(extra: Mapping[str, Any]) -> None:
    """Raise if the metadata that gnntrack has written are not valid; without metadata nothing is checked.

    Parameters
    ----------
    extra : mapping
        The object ``gnntrack`` in ``extra``.

    Raises
    ------
    FormatError
        With the key and its value.

    Examples
    --------
    >>> check_extras({"n_frames": 2**40, "shape": [5, 5], "cell_features": [], "link_features": []})
    Traceback (most recent call last):
    gnntrack.errors.FormatError: 'n_frames' is 1099511627776; expected a whole number from 0 to 1000000
    """
    if not extra:
        return
    check_n_frames(extra["n_frames"])
    shape = extra["shape"]
    if not isinstance(shape, Sequence) or len(shape) not in (2, 3) or not all(_is_whole(n, _LONGEST) for n in shape):
        _refuse("shape", shape, "2 or 3 whole numbers from 0")
    for key in ("cell_features", "link_features"):
        names = extra[key]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            _refuse(key, names, "a list of names")
    if not isinstance(extra.get("notes") or {}, Mapping):
        _refuse("notes", extra["notes"], "an object")


def check_n_frames(value: Any) -> None:
    """Raise if a value is not a number of frames."""
    if not _is_whole(value, MAX_FRAMES):
        _refuse("n_frames", value, f"a whole number from 0 to {MAX_FRAMES}")


def check_axes(axes: Sequence[Axis]) -> None:
    """Raise if the scale of an axis is not above 0, or an offset is not finite.

    Raises
    ------
    FormatError
        With the name of the axis.
    """
    for axis in axes:
        scale, offset = axis.scale, axis.offset
        if scale is not None and not (math.isfinite(scale) and scale > 0):
            _refuse(f"scale of axis {axis.name}", scale, "a number above 0")
        if offset is not None and not math.isfinite(offset):
            _refuse(f"offset of axis {axis.name}", offset, "a finite number")


def _is_whole(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _refuse(key: str, value: Any, expected: str) -> None:
    msg = f"'{key}' is {str(value)[:60]}; expected {expected}"
    raise FormatError(msg)
