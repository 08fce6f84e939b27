"""Lineages as tables: cells, tracks and links, with units in the names of the columns (``docs/columns.md``).

A table is a dict of columns until a user asks for a DataFrame: writing it as CSV then needs no pandas, whose import
takes as long as tracking a small movie.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import OutputError
from gnntrack.io.output import fresh_output
from gnntrack.io.time_columns import convert_speeds, list_track_times
from gnntrack.lineage.confidence import rate_divisions, rate_tracks
from gnntrack.lineage.families import count_generations, find_roots
from gnntrack.types.origins import MASK_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt
    import pandas as pd

    from gnntrack.types import Cells, FloatArray, IntArray, Lineage

    Columns = dict[str, npt.NDArray[Any]]

_BLOCK = 1 << 16  # rows of a table that are text at the same time
_FORMATS = ("%d", "%.7g", "%s")  # a part of a column in one of them can be written in the later ones

__all__ = [
    "CellTable",
    "TableInBlocks",
    "collect_cells",
    "collect_tracks",
    "tabulate_cells",
    "tabulate_links",
    "tabulate_tracks",
    "write_csv",
    "write_tables",
]


class TableInBlocks(ABC):
    """A table of which some rows can be had at a time."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of rows."""

    @abstractmethod
    def collect(self, rows: slice) -> Columns:
        """Return the columns of some rows."""


def tabulate_cells(lineage: Lineage) -> pd.DataFrame:
    """Return a row per cell.

    Returns
    -------
    DataFrame
        ``frame``, ``label``, ``track``, ``parent`` (track, 0 = none), ``root`` (the first track of the family),
        ``generation`` (divisions since the root), ``age`` (frames since the track began), ``confidence`` of the
        link to the cell before (NaN for the first), the centroid ``[z], y, x``, ``displacement`` from the cell
        before and ``speed`` per frame, and all features. A unit follows a name, as in ``x_um``, unless
        the column is a pure number. A result that was written also has ``input_label`` (in the masks that were tracked,
        0 = none) and ``mask`` (one of `gnntrack.types.MASK_KINDS`), see `gnntrack.Lineage.origins`. If the frame
        interval is known, also ``time_min`` and ``age_min``, and speeds per
        minute and per hour, such as ``speed_um_per_min``.
    """
    import pandas as pd

    return pd.DataFrame(collect_cells(lineage))


def collect_cells(lineage: Lineage) -> Columns:
    """Return the columns of `tabulate_cells`."""
    return CellTable(lineage).collect(slice(None))


class CellTable(TableInBlocks):
    """The columns of `tabulate_cells`, of some cells at a time: all of them take more memory than the lineage.

    Parameters
    ----------
    lineage : Lineage
        A solved movie.
    """

    def __init__(self, lineage: Lineage) -> None:
        self.lineage = lineage
        self.root, self.generation = find_roots(lineage.tracks), count_generations(lineage.tracks)
        self.before, self.confidence = _find_previous(lineage)

    def __len__(self) -> int:
        return len(self.lineage.cells)

    def collect(self, rows: slice) -> Columns:
        """Return the columns of some cells."""
        cells, tracks, interval = self.lineage.cells, self.lineage.tracks, self.lineage.provenance.interval
        frame, track = cells.frame[rows], self.lineage.track[rows]
        row = np.searchsorted(tracks.id, track)
        displacement, frames = _measure_steps(self.lineage, self.before[rows], rows)
        age = frame - tracks.start[row]
        columns: Columns = {
            "frame": frame,
            **_convert_to_minutes("time_min", frame, interval),
            "label": cells.label[rows],
            **({} if cells.ids is None else {"id": cells.ids[rows]}),
            "track": track,
            "parent": tracks.parent[row],
            "root": self.root[row],
            "generation": self.generation[row],
            "age": age,
            **_convert_to_minutes("age_min", age, interval),
            "confidence": self.confidence[rows],
            **_list_origins(self.lineage, rows),
        }
        columns |= {f"{axis}_{cells.unit}": cells.position[rows, k] for k, axis in enumerate("zyx"[-cells.ndim :])}
        columns |= {f"displacement_{cells.unit}": displacement, f"speed_{cells.unit}_per_frame": displacement / frames}
        columns |= convert_speeds("speed", cells.unit, displacement / frames, interval)
        for name, unit in zip(cells.feature_names, cells.feature_units, strict=True):
            columns[f"{name}_{unit.replace('1/', 'per_')}" if unit else name] = cells.feature(name)[rows]
        return columns


def tabulate_tracks(lineage: Lineage) -> pd.DataFrame:
    """Return a row per track.

    Returns
    -------
    DataFrame
        ``track``, ``start`` and ``end`` (frames, inclusive), ``frames`` spanned, ``cells`` in them, ``parent``,
        ``root``, ``generation``, ``daughters`` (their number), ``fused_into`` (the track whose cell it becomes part of
        after its end, 0 = none), ``confidence`` of the track and of the division at its
        end (`gnntrack.lineage.confidence`), mean and lowest ``confidence`` of the links within the track and to its
        parent (NaN without one), ``path`` length, ``net_displacement``, and
        ``mean_speed`` per frame, within the track. If the frame interval is known, also the times of
        `gnntrack.io.time_columns.list_track_times`, and the mean speed per minute and per hour.
    """
    import pandas as pd

    return pd.DataFrame(collect_tracks(lineage))


def collect_tracks(lineage: Lineage) -> Columns:
    """Return the columns of `tabulate_tracks`."""
    cells, tracks = lineage.cells, lineage.tracks
    row = np.searchsorted(tracks.id, lineage.track)
    root, generation = find_roots(tracks), count_generations(tracks)
    before, confidence = _find_previous(lineage)
    within = before >= 0
    within[within] = lineage.track[before[within]] == lineage.track[within]
    displacement, frames = _measure_steps(lineage, np.where(within, before, -1))
    path = np.bincount(row[within], weights=displacement[within], minlength=len(tracks))
    moved = np.bincount(row[within], weights=frames[within], minlength=len(tracks))
    mean, lowest = _summarise_confidence(confidence, row, len(tracks))
    parents = np.searchsorted(tracks.id, tracks.parent[tracks.parent > 0])
    return {
        "track": tracks.id,
        "start": tracks.start,
        "end": tracks.end,
        "frames": tracks.end - tracks.start + 1,
        **list_track_times(tracks, lineage.provenance.interval),
        "cells": np.bincount(row, minlength=len(tracks)),
        "parent": tracks.parent,
        "root": root,
        "generation": generation,
        "daughters": np.bincount(parents, minlength=len(tracks)),
        "fused_into": _list_fusions(lineage),
        "confidence": rate_tracks(lineage),
        "division_confidence": rate_divisions(lineage),
        "confidence_mean": mean,
        "confidence_lowest": lowest,
        f"path_{cells.unit}": path,
        f"net_displacement_{cells.unit}": _measure_net_displacement(lineage.cells, row, len(tracks)),
        f"mean_speed_{cells.unit}_per_frame": _divide(path, moved),
        **convert_speeds("mean_speed", cells.unit, _divide(path, moved), lineage.provenance.interval),
    }


def _list_fusions(lineage: Lineage) -> IntArray:
    """Return the track into which each track fuses at its end, (K,), 0 = none."""
    into = np.zeros(len(lineage.tracks), np.int64)
    source, target = (lineage.track[rows] for rows in (lineage.fusions.source, lineage.fusions.target))
    into[np.searchsorted(lineage.tracks.id, source)] = target
    return into


def _list_origins(lineage: Lineage, rows: slice) -> Columns:
    if lineage.origins is None:
        return {}
    kinds = np.array(MASK_KINDS)[lineage.origins.kind[rows]]
    return {"input_label": lineage.origins.input_label[rows], "mask": kinds}


def _convert_to_minutes(name: str, frames: IntArray, interval: float | None) -> Columns:
    return {} if interval is None else {name: frames * (interval / 60)}


def _measure_net_displacement(cells: Cells, row: IntArray, n_tracks: int) -> FloatArray:
    """Return the distance from first to last cell of each track; `row` is each cell's track."""
    order = np.lexsort((cells.frame, row))
    ends = np.searchsorted(row[order], np.arange(n_tracks + 1))
    net = cells.position[order[ends[1:] - 1]] - cells.position[order[ends[:-1]]]
    return np.asarray(np.sqrt((net**2).sum(1)))


def _summarise_confidence(confidence: FloatArray, row: IntArray, n_tracks: int) -> tuple[FloatArray, FloatArray]:
    """Return mean and lowest confidence of the links of each track, NaN without one; `row` is each cell's track."""
    known = ~np.isnan(confidence)
    links = np.bincount(row[known], minlength=n_tracks)
    total = np.bincount(row[known], weights=confidence[known], minlength=n_tracks)
    lowest = np.full(n_tracks, np.inf)
    np.minimum.at(lowest, row[known], confidence[known])
    return _divide(total, links), np.where(links > 0, lowest, np.nan)


def tabulate_links(lineage: Lineage) -> pd.DataFrame:
    """Return a row per link, as Trackastra writes and TrackMate reads them.

    Returns
    -------
    DataFrame
        ``source_frame, source_label, target_frame, target_label, weight``: frames from 0, labels of the
        masks that were tracked, confidence.
    """
    import pandas as pd

    cells = lineage.cells
    return pd.DataFrame(
        {
            "source_frame": cells.frame[lineage.source],
            "source_label": cells.label[lineage.source],
            "target_frame": cells.frame[lineage.target],
            "target_label": cells.label[lineage.target],
            "weight": lineage.confidence,
        }
    )


def write_csv(
    table: pd.DataFrame | Mapping[str, npt.NDArray[Any]] | TableInBlocks,
    path: str | Path,
    *,
    delimiter: str = ",",
    overwrite: bool = False,
) -> None:
    """Write a table as CSV; the file appears as a whole or not at all.

    Parameters
    ----------
    table : DataFrame, dict of (N,) arrays, or TableInBlocks
        Numbers have seven digits; NaN is an empty field.
    path : path
        The file.
    delimiter : str, optional
        Character between the fields, default a comma; text is quoted where it has a comma or ends a line.
    overwrite : bool
        Replace it if it exists.

    Raises
    ------
    OutputError
        If the file exists or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "a.csv")
    >>> write_csv({"cell": np.array([1, 2]), "why": np.array(["new, odd", ""]), "x_um": np.array([0.5, np.nan])}, file)
    >>> file.read_text().splitlines()
    ['cell,why,x_um', '1,"new, odd",0.5', '2,,']
    """
    blocks = table if isinstance(table, TableInBlocks) else _WholeTable(table)
    with fresh_output(Path(path), overwrite=overwrite) as file:
        try:
            with file.open("w", encoding="utf-8", newline="\n") as opened:
                opened.writelines(_format_blocks(blocks, delimiter))
        except OSError as error:
            msg = f"{path}: cannot be written ({error}); check permissions and free space"
            raise OutputError(msg) from error


class _WholeTable(TableInBlocks):
    """A table whose columns are known."""

    def __init__(self, table: pd.DataFrame | Mapping[str, npt.NDArray[Any]]) -> None:
        self.columns = {str(name): np.asarray(column) for name, column in table.items()}

    def __len__(self) -> int:
        return max(map(len, self.columns.values()), default=0)

    def collect(self, rows: slice) -> Columns:
        """Return some rows."""
        return {name: column[rows] for name, column in self.columns.items()}


def _format_blocks(table: TableInBlocks, delimiter: str) -> Iterator[str]:
    """Yield the text of a CSV file, some lines at a time: as objects, numbers take ten times their memory."""
    blocks = [slice(start, start + _BLOCK) for start in range(0, max(len(table), 1), _BLOCK)]
    columns = table.collect(blocks[0])
    yield delimiter.join(map(_quote, columns)) + "\n"
    formats = list(map(_choose_format, columns.values()))
    for block in blocks[1:]:  # a column has one format: -0 is 0 in a column of whole numbers
        formats = list(map(_join_formats, formats, map(_choose_format, table.collect(block).values())))
    row = delimiter.join(formats) + "\n"
    for block in blocks:
        columns = columns if len(blocks) == 1 else table.collect(block)
        values = [_list_values(column, form) for column, form in zip(columns.values(), formats, strict=True)]
        yield "".join([row % each for each in zip(*values, strict=True)])


def _list_values(column: npt.NDArray[Any], form: str) -> list[Any]:
    """Return the values of a column for a format."""
    values: list[Any] = _format_column(column) if form == "%s" else column.tolist()
    return values


def _choose_format(column: npt.NDArray[Any]) -> str:
    """Return the format of the values of a column, %s if they become text first."""
    if column.dtype.kind in "iub" or _is_whole(column):
        return "%d"  # in a third of the time of %.7g
    return "%.7g" if column.dtype.kind == "f" and not np.isnan(column).any() else "%s"


def _join_formats(one: str, other: str) -> str:
    """Return the format of a column from those of two parts of it."""
    return one if _FORMATS.index(one) > _FORMATS.index(other) else other


def _is_whole(column: npt.NDArray[Any]) -> bool:
    """Return whether a column has whole numbers only that %.7g writes like integers."""
    return column.dtype.kind == "f" and bool(((column == np.floor(column)) & (np.abs(column) < 1e7)).all())


def _format_column(column: npt.NDArray[Any]) -> list[str]:
    """Return the fields of a column of text, of numbers that may be NaN, or of both."""
    listed = column.tolist()
    if column.dtype.kind == "f":
        return ["" if value != value else f"{value:.7g}" for value in listed]  # noqa: PLR0124  (NaN, quickly)
    if column.dtype.kind == "U":  # mostly a few different texts
        quoted = {text: _quote(text) for text in set(listed)}
        return [quoted[text] for text in listed]
    return [_quote(_format_value(value)) for value in listed]


def _format_value(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.7g}"
    return "" if value is None else str(value)


def _quote(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"' if any(character in text for character in ',"\n\r') else text


def write_tables(lineage: Lineage, out: str | Path, *, overwrite: bool = False) -> None:
    """Write ``cells.csv`` (`tabulate_cells`) and ``tracks.csv`` (`tabulate_tracks`) to a folder.

    Parameters
    ----------
    lineage : Lineage
        A solved movie.
    out : path
        The folder.
    overwrite : bool
        Replace an older output.

    Raises
    ------
    OutputError
        If the folder exists or cannot be written.
    """
    with fresh_output(out, overwrite=overwrite) as folder:
        folder.mkdir()
        write_csv(CellTable(lineage), folder / "cells.csv")
        write_csv(collect_tracks(lineage), folder / "tracks.csv")


def _find_previous(lineage: Lineage) -> tuple[IntArray, FloatArray]:
    """Return, for each cell, the row of the cell that it is linked to in the past (-1 = none), and the confidence."""
    before = np.full(len(lineage.cells), -1)
    confidence = np.full(len(lineage.cells), np.nan)
    before[lineage.target] = lineage.source
    confidence[lineage.target] = lineage.confidence
    return before, confidence


def _measure_steps(lineage: Lineage, before: IntArray, rows: slice = slice(None)) -> tuple[FloatArray, FloatArray]:
    """Return distance and frames of some cells from the cell before, NaN without one; `before` is that of these."""
    frame, position = lineage.cells.frame[rows], lineage.cells.position[rows]
    distance, frames = np.full((2, len(before)), np.nan)
    for start in range(0, len(before), _BLOCK):
        linked = start + np.flatnonzero(before[start : start + _BLOCK] >= 0)
        step = position[linked] - lineage.cells.position[before[linked]]
        distance[linked] = np.sqrt((step**2).sum(1))
        frames[linked] = frame[linked] - lineage.cells.frame[before[linked]]
    return distance, frames


def _divide(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> FloatArray:
    out: FloatArray = np.full(len(above), np.nan)
    np.divide(above, below, out=out, where=np.asarray(below) > 0)
    return out
