"""The table of detected points as a file: CSV, or Parquet."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.errors import OutputError, make_missing_error
from gnntrack.io.output import fresh_output
from gnntrack.io.tables import write_csv

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_table_path", "write_detected_points"]


def check_table_path(path: str | Path) -> None:
    """Raise before the long work if a table cannot be written in the format that its name asks for.

    Raises
    ------
    OutputError
        If the name does not end in ``.csv`` or ``.parquet``.
    MissingDependencyError
        If Parquet is asked for and no library for it is installed.

    Examples
    --------
    >>> check_table_path("points.xlsx")
    Traceback (most recent call last):
    gnntrack.errors.OutputError: points.xlsx: points are written as a table; give a name that ends in .csv or .parquet
    """
    suffix = Path(path).suffix.lower()
    if suffix not in {".csv", ".parquet"}:
        msg = f"{path}: points are written as a table; give a name that ends in .csv or .parquet"
        raise OutputError(msg)
    if suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        need, install = f"{path}: Parquet needs", "pip install 'gnntrack[parquet]'"
        raise make_missing_error(need, "pyarrow", install, otherwise="write .csv")


def write_detected_points(points: pd.DataFrame, path: str | Path, *, overwrite: bool = False) -> None:
    """Write the table of `gnntrack.detect`.

    Parameters
    ----------
    points : pandas.DataFrame
        Positions in voxels are rounded to a hundredth, so that the file is small.
    path : path
        The file.
    overwrite : bool
        Replace it if it exists.

    Raises
    ------
    OutputError, MissingDependencyError
        As `check_table_path`; also if the file exists or cannot be written.
    """
    check_table_path(path)
    digits = {**dict.fromkeys("zyx", 2), "radius": 3, "intensity": 2, "score": 3}
    table = points.round({name: n for name, n in digits.items() if name in points})
    if Path(path).suffix.lower() == ".csv":
        write_csv({str(name): np.asarray(column) for name, column in table.items()}, path, overwrite=overwrite)
        return
    with fresh_output(path, overwrite=overwrite) as file:
        table.to_parquet(file, index=False)
