"""Points that are marked as interpolated: an earlier run added them in gaps, and no detector found them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.errors import FormatError, InputError
from gnntrack.io.number_styles import describe_number, is_number
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from collections.abc import Callable

    from gnntrack.io.point_files import PointRows
    from gnntrack.io.point_values import RawPoints
    from gnntrack.types import BoolArray

__all__ = ["drop_interpolated_points", "drop_interpolated_rows"]

_log = logging.getLogger(__name__)

_TEXTS = {"true": 1.0, "false": 0.0, "": 0.0, "none": 0.0, "nan": 0.0, "<na>": 0.0}
_COLUMNS = ("frame", "position", "radius", "intensity", "score", "id")


def drop_interpolated_rows(rows: PointRows) -> PointRows:
    """Return a table without the rows that are marked as interpolated, with a warning that counts them.

    Parameters
    ----------
    rows : PointRows
        In its column ``interpolated`` (in that of btrack ``dummy``) anything but 0, false and nothing is a mark.

    Raises
    ------
    FormatError
        If a value of the column is something else.
    InputError
        If all rows are marked.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnntrack.io.point_columns import find_point_columns
    >>> from gnntrack.io.point_files import PointRows
    >>> table = pd.DataFrame({"t": [0, 1, 2], "y": 5.0, "x": 5.0, "interpolated": [0, 1, 0]})
    >>> rows = PointRows("points", table, find_point_columns(list(table), "points"), "row {}".format)
    >>> rows = drop_interpolated_rows(rows)
    >>> rows.table["t"].tolist(), rows.locate(1)
    ([0, 2], 'row 2')
    """
    if rows.columns.interpolated is None:
        return rows
    mark = _read_marks(rows, rows.columns.interpolated.name)
    if not mark.any():
        return rows
    table = rows.table[~mark].reset_index(drop=True)
    return rows._replace(table=table, locate=_leave_out(mark, rows.source, rows.locate))


def drop_interpolated_points(raw: RawPoints) -> RawPoints:
    """Return points without those that are marked as interpolated, with a warning that counts them.

    Raises
    ------
    InputError
        If all points are marked.
    """
    mark = raw.interpolated
    if mark is None or not mark.any():
        return raw
    columns = {name: getattr(raw, name) for name in _COLUMNS}
    kept = {name: values[~mark] for name, values in columns.items() if values is not None}
    return raw._replace(**kept, interpolated=None, locate=_leave_out(mark, raw.source, raw.locate))


def _leave_out(mark: BoolArray, source: str, locate: Callable[[int], str]) -> Callable[[int], str]:
    """Warn of the points that are left out; return the function that gives the places of the others."""
    kept = np.flatnonzero(~mark)
    if not len(kept):
        msg = f"{source}: all points are marked as interpolated, and none was detected; give the detected points"
        raise InputError(msg)
    _log.warning("%s: %s left out", source, count_noun(int(mark.sum()), "interpolated point"))
    return lambda row: locate(int(kept[row]))


def _read_marks(rows: PointRows, name: str) -> BoolArray:
    """Return which rows are marked; nothing is not a mark."""
    values = rows.table[name]
    if values.dtype.kind not in "iufb":
        texts = [str(value).strip().lower() for value in values]
        wrong = next((k for k, text in enumerate(texts) if text not in _TEXTS and not is_number(text)), None)
        if wrong is not None:
            given = describe_number(texts[wrong])
            msg = (
                f"{rows.source}: {rows.locate(wrong)} has a value that is neither 0 nor 1 in {name}: {given}; correct "
                "it, or rename the column"
            )
            raise FormatError(msg)
        known = np.array([_TEXTS[text] if text in _TEXTS else float(text) for text in texts])
        return np.asarray(known != 0)
    numbers = values.to_numpy(np.float64, na_value=0.0)
    return np.asarray((numbers != 0) & ~np.isnan(numbers))
