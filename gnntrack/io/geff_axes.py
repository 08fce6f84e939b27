"""Axes of a GEFF: the order of the axes of space, the factors to micrometres, and times as frames.

Axes of space are ordered by their names (``x``, ``Y``, ``POSITION_X``, ``centroid-0``, ``row``); other names
are ordered by the display hints of the file, and without these in the order of the file, which is ``[z], y, x``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.durations import is_duration_unit
from gnntrack.lengths import find_micrometres

if TYPE_CHECKING:
    from geff_spec import Axis, DisplayHint

    from gnntrack.types import FloatArray

__all__ = [
    "convert_times",
    "count_steps",
    "find_frame_property",
    "find_letters",
    "find_space_names",
    "find_time_name",
    "read_scales",
    "sort_space_axes",
]

_ORDER = "zyx"
_WORDS = {
    "x": "x", "y": "y", "z": "z", "row": "y", "rows": "y", "col": "x", "cols": "x", "column": "x", "columns": "x",
    "plane": "z", "slice": "z", "depth": "z", "horizontal": "x", "vertical": "y",
}  # fmt: skip
_SPACE_NAMES = ("{}", "position_{}", "pos_{}", "centroid_{}", "center_{}", "{}_um", "{}_px", "cell_{}")
_TIME_NAMES = ("t", "frame", "time", "timepoint", "position_t", "frames", "time_point", "frame_id")
_FRAME_NAMES = ("frame", "frames", "timepoint", "time_point", "frame_id", "frame_index", "t_index")
_PIXELS = {"pixel", "pixels", "px", "voxel", "voxels"}
_FRAME_UNITS = {"frame", "timepoint", "time point", "index", "pixel"}
_NOISE = 1e-6  # of the largest time; shorter steps are errors of rounding


def find_letters(names: Sequence[str]) -> list[str | None]:
    """Return the axis ``"z"``, ``"y"`` or ``"x"`` of each name, None for a name that names no axis.

    Parameters
    ----------
    names : strings
        Names of the axes of space of one file; they are compared, so that ``cellX_um, cellY_um`` are x and y.

    Examples
    --------
    >>> find_letters(["POSITION_X", "POSITION_Y", "POSITION_Z"]), find_letters(["px", "py"])
    (['x', 'y', 'z'], ['x', 'y'])
    >>> find_letters(["centroid-0", "centroid-1"]), find_letters(["first", "second"])
    (['y', 'x'], [None, None])
    """
    letters = [_find_letter(name) for name in names]
    if None in letters or len(set(letters)) < len(letters):
        letters = _compare_names(names) or letters
    letters = [letter if letters.count(letter) == 1 else None for letter in letters]
    left = [letter for letter in _ORDER[-len(names) :] if letter not in letters]
    if letters.count(None) == len(left) == 1 < len(names):
        letters[letters.index(None)] = left[0]
    return letters


def _compare_names(names: Sequence[str]) -> list[str | None] | None:
    """Return the axis of each name from the part in which the names differ, or None."""
    plain = [name.strip().casefold() for name in names]
    start = _count_common(plain)
    end = _count_common([name[start:][::-1] for name in plain])
    middle = [name[start : len(name) - end] for name in plain]
    if len(names) > 1 and sorted(middle) in (["0", "1"], ["0", "1", "2"]):  # axes of an array
        return [_ORDER[-len(names) :][int(digit)] for digit in middle]
    return [_WORDS[part] for part in middle] if set(middle) <= _WORDS.keys() else None


def _count_common(names: Sequence[str]) -> int:
    """Return the number of characters at the start that all names share."""
    columns = enumerate(zip(*names, strict=False))
    return next((k for k, letters in columns if len(set(letters)) > 1), min(map(len, names)))


def _find_letter(name: str) -> str | None:
    """Return the axis of a name by one of its words: ``POSITION_X``, ``x [um]``, ``positionX``."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.strip())
    found = {_WORDS[word] for word in re.split(r"[^a-z]+", apart.casefold()) if word in _WORDS}
    return found.pop() if len(found) == 1 else None


def find_space_names(names: Iterable[str]) -> list[str]:
    """Return the properties that are positions, for a file without axes: ``x`` and ``y``, ``POSITION_X`` and so on.

    >>> find_space_names(["area", "POSITION_X", "POSITION_Y"]), find_space_names(["x", "area"])
    (['POSITION_Y', 'POSITION_X'], [])
    """
    plain = {name.casefold(): name for name in names}
    for template in _SPACE_NAMES:
        found = [plain[template.format(letter)] for letter in _ORDER if template.format(letter) in plain]
        if len(found) > 1:
            return found
    return []


def sort_space_axes(axes: Sequence[Axis], hints: DisplayHint | None) -> tuple[list[Axis], bool]:
    """Return axes of space in the order ``[z], y, x``, and whether it is known.

    The order is that of the names, else that of the display hints, else that of the file.
    """
    letters = find_letters([axis.name for axis in axes])
    if None in letters and hints is not None:
        shown = {hints.display_depth: "z", hints.display_vertical: "y", hints.display_horizontal: "x"}
        letters = [shown.get(axis.name) for axis in axes]
    if None in letters or len(set(letters)) < len(letters):
        return list(axes), False
    ranks = [_ORDER.index(letter) for letter in letters if letter]
    return [axes[k] for k in np.argsort(ranks)], True


def read_scales(axes: Sequence[Axis]) -> tuple[list[float], list[float], str, list[str]]:
    """Return the factors from stored positions to micrometres and the offsets to add, the unit, and unknown units.

    Parameters
    ----------
    axes : list of Axis
        Axes of space.

    Returns
    -------
    scale, offset : list of float
        A position is ``stored * scale + offset``.
    unit : str
        ``"um"``, or ``"pixel"`` if the unit of an axis is a pixel, or is missing or unknown.
    unknown : list of str
        Units that are neither a length nor a pixel.
    """
    units = list(map(_find_unit, axes))
    lengths = [find_micrometres(unit) for unit in units]
    known = [length for length in lengths if length is not None]
    physical = len(known) == len(units)
    factors = known if physical else [1.0] * len(units)
    scale = [_multiply(axis.scale or 1, factor) for axis, factor in zip(axes, factors, strict=True)]
    offset = [_multiply(axis.offset or 0, factor) for axis, factor in zip(axes, factors, strict=True)]
    return scale, offset, "um" if physical else "pixel", list(filter(_is_unknown, units))


def _find_unit(axis: Axis) -> str:
    return str(axis.scaled_unit or axis.unit or "pixel")


def _is_unknown(unit: str) -> bool:
    return find_micrometres(unit) is None and unit.strip().casefold() not in _PIXELS


def _multiply(number: float, factor: float) -> float:
    """Return a product with a power of ten without its error of rounding: .325e-6 x 1e6 is .325."""
    return float(number) if factor == 1 else float(f"{number * factor:.14g}")


def find_time_name(names: Iterable[str]) -> str | None:
    """Return the property that is the time, by its name in upper or lower case, or None."""
    plain = {name.casefold(): name for name in names}
    return next((plain[name] for name in _TIME_NAMES if name in plain), None)


def find_frame_property(
    names: Collection[str], read: Callable[[str], FloatArray | None], time: FloatArray
) -> FloatArray | None:
    """Return the frame of each node from a property such as ``FRAME``, beside a time axis in seconds.

    Parameters
    ----------
    names : strings
        Names of the properties.
    read : callable
        Returns the values of a property, or None if it does not hold numbers.
    time : (N,) float64
        Time of each node.

    Returns
    -------
    (N,) float64 or None
        None if such a property is missing, or does not hold a whole number for each time, in the same order.
    """
    plain = {name.casefold(): name for name in names}
    for name in _FRAME_NAMES:
        values = read(plain[name]) if name in plain else None
        if values is None or not np.isfinite(values).all() or (values != np.rint(values)).any() or (values < 0).any():
            continue
        order = np.lexsort((time, values))
        least = _NOISE * max(1e-300, float(np.abs(time).max(initial=0)))
        steps, jumps = np.diff(time[order]), np.diff(values[order])
        if (steps[jumps > 0] > least).all() and (np.abs(steps[jumps == 0]) <= least).all():
            return values
    return None


def convert_times(time: FloatArray, axis: Axis | None) -> FloatArray:
    """Return the frame of each time; times that do not count frames come back as numbers that are not whole.

    Parameters
    ----------
    time : (N,) float64
        Times as they are stored.
    axis : Axis or None
        The axis of time. Frames stay as they are, whatever the spelling of their unit. Times in a unit of duration
        are multiples of the shortest step between two times.

    Examples
    --------
    >>> from geff_spec import Axis
    >>> convert_times(np.array([0.0, 33.333, 66.667, 133.333]), Axis(name="t", type="time", unit="millisecond"))
    array([0., 1., 2., 4.])
    >>> convert_times(np.array([0.0, 2.0, 4.0]), Axis(name="t", type="time", unit="frame"))
    array([0., 2., 4.])
    """
    if axis is None or not axis.unit or not len(time) or not np.isfinite(time).all():
        return time
    unit = str(axis.unit)
    if is_duration_unit(unit):
        if axis.scale and not is_duration_unit(str(axis.scaled_unit or "s")):  # the scale gives frames
            return np.asarray(time * axis.scale + (axis.offset or 0))
        return count_steps(time)
    whole = (np.abs(time - np.rint(time)) <= 1e-3).all()
    known = unit.strip().casefold().removesuffix("s") in _FRAME_UNITS
    return time if whole or known else count_steps(time)


def count_steps(time: FloatArray) -> FloatArray:
    """Return times as multiples of the shortest step between two of them."""
    times, row = np.unique(time, return_inverse=True)
    steps = np.diff(times)
    real = steps > _NOISE * float(np.abs(times).max())
    if not real.any():
        return np.zeros(len(time))
    count = np.where(real, steps / steps[real].min(), 0.0)
    if (np.abs(count - np.rint(count)) > 0.1).any():
        return np.asarray(time / steps[real].min())
    frame = np.concatenate([[0.0], np.cumsum(np.rint(count))])
    first = times[0] * frame[-1] / (times[-1] - times[0])  # in steps of the mean length
    return np.asarray(frame[row] + (max(0.0, np.rint(first)) if abs(first - np.rint(first)) < 0.05 else 0.0))
