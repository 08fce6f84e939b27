"""Values of a table of points, checked: an error gives the row, the column and the remedy."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from gnntrack.durations import convert_duration, format_duration, is_duration_unit
from gnntrack.errors import FormatError
from gnntrack.io.geff_axes import count_steps
from gnntrack.io.limits import MAX_FRAMES
from gnntrack.io.number_styles import convert_numbers, describe_number

if TYPE_CHECKING:
    import pandas as pd

    from gnntrack.io.point_columns import PointColumn, PointColumns
    from gnntrack.io.point_files import PointRows
    from gnntrack.types import BoolArray, FloatArray, IntArray

__all__ = ["RawPoints", "find_repeated", "read_values"]

_log = logging.getLogger(__name__)

_FARTHEST = 1e9
_BRIGHTEST = 1e30  # features are float32, and their ratios are computed
_LATEST = 1e15  # such as nanoseconds
_TIMES = {"position_t", "time"}  # names of columns that hold times rather than frames
_OPTIONAL = ("radius", "intensity", "score", "id", "time")
_CLOSE = 1e-3  # of a frame
_REGULAR = 0.05  # of a frame, by which times may differ from regular ones


class RawPoints(NamedTuple):
    """Points as they are in a table or file, checked one by one."""

    source: str
    """The table in messages."""
    locate: Callable[[int], str]
    """From a row to its place in messages."""
    frame: IntArray
    """(N,) from 0."""
    position: FloatArray
    """(N, D) along ``[z], y, x`` in `unit`."""
    axes: tuple[str, ...]
    """D names of the columns of positions."""
    unit: str
    """``"um"`` or ``"pixel"``."""
    named: bool
    """Whether the names of the columns, or the file, have the unit."""
    radius: FloatArray | None = None
    """(N,) in um if the size of a voxel is known, else in pixels; see `radius_in_pixels`."""
    radius_in_pixels: bool = False
    """Whether radii are in pixels in any case."""
    intensity: FloatArray | None = None
    score: FloatArray | None = None
    id: IntArray | None = None
    """(N,) different within a frame."""
    spacing: tuple[float, ...] | None = None
    """Size of a voxel in um in the file."""
    n_frames: int | None = None
    shape: tuple[int, ...] | None = None
    interval: float | None = None
    """Seconds from a frame to the next."""
    interpolated: BoolArray | None = None
    """(N,) points that were added in gaps; None if there are none, or they are left out."""


def read_values(rows: PointRows, *, unit: str | None = None, interval: float | None = None) -> RawPoints:
    """Return the points of a table.

    Parameters
    ----------
    rows : PointRows
        The table.
    unit : {"um", "pixel"}, optional
        Unit of the positions, in place of that in the names of the columns.
    interval : float, optional
        Seconds from a frame to the next; times are divided by it.

    Raises
    ------
    FormatError
        If there is no row, or a value cannot be used.

    Examples
    --------
    >>> from gnntrack.io.point_files import name_columns
    >>> points = read_values(name_columns([[0, 5, 6], [1, 5, 7]], "points"))
    >>> points.frame.tolist(), points.position.tolist(), points.unit
    ([0, 1], [[5.0, 6.0], [5.0, 7.0]], 'pixel')
    >>> read_values(name_columns([[0, 5, 6], [1, np.nan, 7]], "points"))
    Traceback (most recent call last):
    gnntrack.errors.FormatError: points: row 1 has no number in y (nan); delete the row, or correct it
    """
    if not len(rows.table):
        msg = f"{rows.source}: a table without rows; points need a row each: detect cells first, or check the export"
        raise FormatError(msg)
    rows = rows._replace(columns=_leave_out_empty(rows))
    columns, reader = rows.columns, _Reader(rows)
    frame, step = reader.read_frames(interval)
    position = np.empty((len(frame), len(columns.axes)))
    for k, axis in enumerate(columns.axes):
        np.multiply(reader.read_numbers(axis), _find_factor(axis, unit), out=position[:, k])
    found = _find_unit(rows)
    radius, in_pixels = reader.read_radii()
    return RawPoints(
        rows.source,
        rows.locate,
        frame,
        position,
        tuple(axis.name for axis in columns.axes),
        unit or found or "pixel",
        unit is not None or found is not None,
        radius,
        in_pixels,
        reader.read_intensities(),
        None if columns.score is None else reader.read_numbers(columns.score, missing=True, farthest=_BRIGHTEST),
        reader.read_ids(frame),
        interval=reader.find_interval(frame) if step is None else step,
    )


def _leave_out_empty(rows: PointRows) -> PointColumns:
    """Return the columns of a table without those that are not needed and have no value in any row."""
    columns = rows.columns

    def is_empty(column: PointColumn | None) -> bool:
        return column is not None and _is_empty(rows.table[column.name])

    empty: dict[str, Any] = {role: None for role in _OPTIONAL if is_empty(getattr(columns, role))}
    axes = columns.axes[1:] if len(columns.axes) == 3 and is_empty(columns.axes[0]) else columns.axes
    return columns._replace(axes=axes, **empty)


def _is_empty(values: pd.Series[Any]) -> bool:
    """Return whether a column has no value: nothing, or text without letters.

    >>> import pandas as pd
    >>> [_is_empty(pd.Series(values)) for values in ([None, None], ["", " "], [np.nan, 1])]
    [True, True, False]
    """
    present = values[values.notna()]
    return not len(present) or (present.dtype.kind not in "iufb" and not any(str(value).strip() for value in present))


def _find_factor(axis: PointColumn, unit: str | None) -> float:
    """Return the factor to micrometres, 1 for pixels."""
    return axis.micrometres or 1.0 if unit != "pixel" else 1.0


def _find_unit(rows: PointRows) -> str | None:
    """Return the unit of positions by the names of their columns, or by the row of units below; None if unknown."""
    axes = rows.columns.axes
    if rows.unit or rows.columns.of_trackmate:
        return "pixel" if rows.unit.lower().startswith(("pix", "px", "vox")) else "um"
    if axes[-1].micrometres is not None:
        return "um"
    return "pixel" if axes[-1].is_pixel else None


class _Reader:
    """Columns of a table as checked numbers."""

    def __init__(self, rows: PointRows) -> None:
        self.rows, self.table = rows, rows.table

    def read_numbers(self, column: PointColumn, *, missing: bool = False, farthest: float = _FARTHEST) -> FloatArray:
        """Return a column as float64; `missing`: empty fields are NaN; `farthest`: the largest number."""
        values = self.table[column.name]
        if values.dtype.kind not in "iufb":
            number = convert_numbers(values)
            wrong = number.isna() & ~values.isin(["", None]) if missing else number.isna()
            if wrong.any():
                row = int(np.argmax(wrong.to_numpy()))
                given = describe_number(str(values.iloc[row]))
                self._refuse(row, f"a value that is not a number in {column.name}: {given}; correct it")
            values = number
        numbers = values.to_numpy(np.float64, na_value=np.nan)
        good = (np.abs(numbers) <= farthest) | (np.isnan(numbers) & missing)
        if not good.all():
            row = int(np.argmin(good))
            if math.isnan(numbers[row]):
                self._refuse(row, f"no number in {column.name} (nan); delete the row, or correct it")
            expected = f"expected a number from {-farthest:g} to {farthest:g}"
            self._refuse(row, f"the {column.name} {numbers[row]:g}; {expected}")
        return numbers

    def read_frames(self, interval: float | None) -> tuple[IntArray, float | None]:
        """Return the frame of each point, and the seconds between frames if the column has a unit of time."""
        column = self.rows.columns.frame
        values, physical = self.read_numbers(column, farthest=_LATEST), is_duration_unit(column.unit)
        whole = bool((values == np.rint(values)).all())
        counted = not physical and whole and (column.stem not in _TIMES or _count_by_ones(values))
        if counted and not self._are_times(values, column, interval):
            return self._check_frames(values, column), None
        if interval is not None:
            seconds = convert_duration(1, column.unit) if physical else 1.0
            return self._check_frames(values * (seconds or 1.0) / interval, column, divided=True), None
        if not physical and column.stem not in _TIMES:
            return self._check_frames(values, column), None
        values, step = self._divide_by_step(values, column)
        return self._check_frames(values, column), step

    def find_interval(self, frame: IntArray) -> float | None:
        """Return the seconds between frames by a column of times beside that of frames; None if it does not fit."""
        column = self.rows.columns.time
        if column is None or frame.min() == frame.max():
            return None
        times = convert_numbers(self.table[column.name]).to_numpy(np.float64, na_value=np.nan)
        if not np.isfinite(times).all():
            return None
        step, start = np.polyfit(frame, times, 1)
        regular = bool((np.abs(times - start - step * frame) < _REGULAR * step).all())
        # images without an interval have one second in TrackMate
        unknown = self.rows.columns.of_trackmate and math.isclose(step, 1, rel_tol=1e-9)
        step = float(f"{step:.9g}")
        return convert_duration(step, column.unit or self.rows.time_unit) if regular and not unknown else None

    def _are_times(self, values: FloatArray, column: PointColumn, interval: float | None) -> bool:
        """Return whether whole numbers are times: their steps are the interval; with a warning."""
        found = interval is not None and "frame" not in column.stem and 1 < interval == _find_common_step(values)
        if found:
            text = "%s: %s holds times in steps of the interval, %s, which are read as frames; if not, call it frame"
            _log.warning(text, self.rows.source, column.name, format_duration(interval or 0))
        return found

    def _divide_by_step(self, times: FloatArray, column: PointColumn) -> tuple[FloatArray, float | None]:
        """Return times as multiples of their shortest step, and the step in seconds."""
        frames = count_steps(times)
        distinct = np.unique(times)
        if len(distinct) > 1 and (np.abs(frames - np.rint(frames)) < _CLOSE).all():
            step = float(np.diff(distinct).min())
            seconds = convert_duration(step, column.unit)
            text = f"{step:g}" if seconds is None else format_duration(seconds)
            _log.warning(
                "%s: %s holds times in steps of %s, which are read as frames; a column frame, or the time between two "
                "frames (--interval), decides it",
                self.rows.source,
                column.name,
                text,
            )
            return frames, seconds
        return frames, None

    def _check_frames(self, values: FloatArray, column: PointColumn, *, divided: bool = False) -> IntArray:
        frame = np.rint(values)
        near = np.abs(values - frame) <= (_CLOSE * 20 if divided else 0)
        if not near.all():
            row = int(np.argmin(near))
            given = float(self.table[column.name].iloc[row])
            remedy = "its frames are times / the interval that is given: correct --interval, or add a column frame"
            if not divided:
                remedy = "frames are whole numbers: give a column frame, or for times the time between two (--interval)"
            self._refuse(row, f"the {column.name} {given:g}, which is not a frame; {remedy}")
        good = (frame >= 0) & (frame < MAX_FRAMES)
        if not good.all():
            row = int(np.argmin(good))
            self._refuse(row, f"the {column.name} {values[row]:g}; frames are whole numbers from 0 to {MAX_FRAMES - 1}")
        return frame.astype(np.int64)

    def read_radii(self) -> tuple[FloatArray | None, bool]:
        """Return the radii, and whether they are in pixels."""
        column = self.rows.columns.radius
        if column is None:
            return None, False
        values = self.read_numbers(column, missing=True)
        if np.isnan(values).all():
            return None, False
        bad = ~(values > 0) | ~np.isfinite(values)
        if bad.any():
            row = int(np.argmax(bad))
            given = "no number" if math.isnan(values[row]) else f"{values[row]:g}"
            remedy = "a radius is above 0: correct it, or delete the column"
            self._refuse(row, f"{given} in {column.name}; {remedy}")
        half = 0.5 if "diameter" in column.stem else 1.0
        pixels = column.is_pixel or self.rows.unit.lower().startswith(("pix", "px", "vox"))
        return values * half * (column.micrometres or 1.0), pixels

    def read_intensities(self) -> FloatArray | None:
        """Return the intensities, None if some are missing or negative."""
        column = self.rows.columns.intensity
        if column is None:
            return None
        values = self.read_numbers(column, missing=True, farthest=_BRIGHTEST)
        unusable = ~(values >= 0)
        if unusable.any():
            row = int(np.argmax(unusable))
            _log.warning(
                "%s: %s is not used: %s has %s there",
                self.rows.source,
                column.name,
                self.rows.locate(row),
                "nothing" if math.isnan(values[row]) else f"{values[row]:g}",
            )
            return None
        return values

    def read_ids(self, frame: IntArray) -> IntArray | None:
        """Return the ids, whole numbers that are different within a frame."""
        column = self.rows.columns.id
        if column is None:
            return None
        values: Any = self.table[column.name]
        if values.dtype.kind not in "iu" or values.isna().any():
            if values.dtype.kind not in "iuf" and column.stem == "label":  # names of any kind, as those of Mastodon
                return None
            values = self._read_whole(column)
        ids = np.asarray(values)
        if ids.dtype.kind == "u" and (ids > np.iinfo(np.int64).max).any():
            row = int(np.argmax(ids))
            self._refuse(row, f"the {column.name} {ids[row]}; ids are below 2**63: rename the column")
        ids = ids.astype(np.int64)
        twice = find_repeated(frame, ids)
        if twice is not None:
            first, second = twice
            self._refuse(
                second,
                f"the {column.name} {ids[second]} for a second time in frame {frame[second]}, after "
                f"{self.rows.locate(first)}; each point of a frame has its own: correct it, or delete the column",
            )
        return ids

    def _read_whole(self, column: PointColumn) -> FloatArray:
        """Return ids that are not stored as integers, each a whole number."""
        values: Any = self.table[column.name]
        numeric = values.dtype.kind in "iuf"
        numbers = values.to_numpy(np.float64, na_value=np.nan) if numeric else np.full(len(values), np.nan)
        good = np.isfinite(numbers) & (numbers == np.rint(numbers)) & (np.abs(numbers) < 2**53)
        if not good.all():
            row = int(np.argmin(good))
            if values.isna().iloc[row]:
                self._refuse(
                    row, f"no number in {column.name}; ids are whole numbers: correct it, or delete the column"
                )
            given = f"{numbers[row]:g}" if numeric else repr(values.iloc[row])
            self._refuse(row, f"the {column.name} {given}; ids are whole numbers: correct it, or rename the column")
        return np.asarray(numbers)

    def _refuse(self, row: int, fault: str) -> NoReturn:
        msg = f"{self.rows.source}: {self.rows.locate(row)} has {fault}"
        raise FormatError(msg)


def _find_common_step(values: FloatArray) -> int:
    """Return the greatest common divisor of the steps of whole numbers, 0 if there are fewer than two steps."""
    steps = np.diff(np.unique(values)).astype(np.int64)
    return int(np.gcd.reduce(steps)) if len(steps) > 1 else 0


def _count_by_ones(values: FloatArray) -> bool:
    """Return whether times are frames: some are one apart."""
    steps = np.diff(np.unique(values))
    return not len(steps) or float(steps.min()) == 1


def find_repeated(*columns: FloatArray | IntArray) -> tuple[int, int] | None:
    """Return the first row whose values another row has too, and the first such row after it; None if none has.

    >>> find_repeated(np.array([0, 0, 1, 0]), np.array([5, 7, 5, 5])), find_repeated(np.array([1, 2]))
    ((0, 3), None)
    """
    order = np.lexsort(columns[::-1])
    same = np.ones(max(len(order) - 1, 0), bool)
    for column in columns:
        ordered = column[order]
        same &= ordered[1:] == ordered[:-1]
    if not same.any():
        return None
    pairs = np.column_stack([order[:-1][same], order[1:][same]])
    first, second = pairs[np.argmin(pairs[:, 1])].tolist()
    return min(first, second), max(first, second)
