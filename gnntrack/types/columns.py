"""Columns of the tables: types of arrays, and how columns are checked and made read-only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import FormatError

if TYPE_CHECKING:
    import numpy.typing as npt

    BoolArray = npt.NDArray[np.bool_]
    IntArray = npt.NDArray[np.int64]
    FloatArray = npt.NDArray[np.float64]
    FeatureArray = npt.NDArray[np.float32]
    Image = npt.NDArray[Any]

__all__ = ["expect", "find_column", "freeze_columns"]


def freeze_columns(table: Any, **columns: Any) -> None:
    """Convert columns to contiguous read-only arrays of their dtypes."""
    for name, dtype in columns.items():
        # a table of features is read column by column
        layout = np.asfortranarray if name == "features" else np.ascontiguousarray
        value = layout(getattr(table, name), dtype)
        if value is getattr(table, name) and value.flags.writeable:
            value = value.view()
        value.flags.writeable = False
        object.__setattr__(table, name, value)


def expect(condition: bool, problem: str) -> None:  # noqa: FBT001
    """Raise a `FormatError` with the problem unless the condition holds."""
    if not condition:
        raise FormatError(problem)


def find_column(names: tuple[str, ...], name: str, kind: str) -> int:
    """Return the index of a column; a missing one is a `FormatError` that lists the others."""
    if name not in names:
        msg = f"unknown {kind} '{name}'; there are: {', '.join(names) or 'none'}"
        raise FormatError(msg)
    return names.index(name)
