"""Submissions to the embryo competition of 2026 (Biohub): a CSV file with the points and links of several movies.

Each row is a node or an edge. Nodes have ``t, z, y, x`` in voxels and -1 for ``source_id, target_id``, edges the other
way round; ``dataset`` is the name of the movie. The voxel size is not stored.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.errors import FormatError, InputError
from gnntrack.io.biohub import COLUMNS
from gnntrack.io.geff_store import add_file_name
from gnntrack.types import PointGraph

if TYPE_CHECKING:
    import pandas as pd

    from gnntrack.types import FloatArray, IntArray

__all__ = ["OTHER_READER", "is_submission", "read_submission"]

OTHER_READER = "a submission of the embryo competition, with rows for links; 'gnntrack evaluate' reads it"
"""Message of readers of other tables."""

_OPTIONAL = ("id", "dataset", "z")
_IDS = ("node_id", "source_id", "target_id")
_ONLY = "movie"
_TYPES: dict[str, type] = dict.fromkeys(("dataset", "row_type"), str) | dict.fromkeys(("t", *_IDS), np.int64)
_TYPES |= dict.fromkeys(("z", "y", "x"), np.float64)


def is_submission(path: Path) -> bool:
    """Return whether a file is a CSV file with the columns of a submission.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "points.csv")
    >>> _ = file.write_text("frame,y,x")
    >>> is_submission(file)
    False
    """
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return {"dataset", "row_type", "node_id"} <= {name.strip() for name in file.readline(1 << 16).split(",")}


def read_submission(path: str | Path) -> dict[str, PointGraph]:
    r"""Read the graphs of a submission.

    Parameters
    ----------
    path : path
        A CSV file with the columns ``COLUMNS`` of `gnntrack.io.biohub`, in any order; ``id`` is not used, without
        ``dataset`` there is one movie, and without ``z`` it is 2D. Positions may be whole numbers or not.

    Returns
    -------
    dict of PointGraph
        By movie, in alphabetical order; positions are in voxels, with the unit ``"pixel"``.

    Raises
    ------
    InputError
        If there is no such file.
    FormatError
        If a column is missing, a value is not a number, an id occurs twice in a movie, or an edge names a node that is
        missing or not in a later frame. The message gives the line.

    Examples
    --------
    >>> import tempfile
    >>> from gnntrack.io.biohub import COLUMNS
    >>> file = Path(tempfile.mkdtemp(), "submission.csv")
    >>> rows = ["0,m,node,5,0,1,2,3,-1,-1", "1,m,node,6,1,1,2,4,-1,-1", "2,m,edge,-1,-1,-1,-1,-1,5,6"]
    >>> _ = file.write_text("\n".join([",".join(COLUMNS), *rows]))
    >>> read_submission(file)
    {'m': <PointGraph: 2 points, 1 link, 2 frames, 3D, pixel>}
    """
    table = _read_table(Path(path))
    _check_kinds(path, table)
    names = table["dataset"].to_numpy(str) if "dataset" in table else np.full(len(table), _ONLY)
    known, movie = np.unique(names, return_inverse=True)
    order = np.argsort(movie, kind="stable")
    bounds = np.searchsorted(movie[order], np.arange(len(known) + 1))
    numbers = _convert_numbers(path, table)
    node = (table["row_type"] == "node").to_numpy()
    graphs = {}
    for k, name in enumerate(known.tolist()):
        rows = order[bounds[k] : bounds[k + 1]]
        graphs[name] = _build_graph(path, name, numbers, rows[node[rows]], rows[~node[rows]])
    return graphs


def _read_table(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        try:
            table = pd.read_csv(path, dtype=_TYPES, keep_default_na=False, skipinitialspace=True)
        except (ValueError, OverflowError):  # some field is not what it should be: which one is found below
            table = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except FileNotFoundError as error:
        msg = f"{path}: no such file; check the path"
        raise InputError(msg) from error
    except (ValueError, OverflowError) as error:
        msg = f"{path}: it cannot be read as CSV ({error}); write the file again"
        raise FormatError(msg) from error
    missing = [name for name in COLUMNS if name not in table.columns and name not in _OPTIONAL]
    if missing:
        msg = (
            f"{path}: no column {', '.join(missing)}; expected a submission with the columns {', '.join(COLUMNS)}; its "
            f"columns are {', '.join(map(str, table.columns[:12]))}"
        )
        raise FormatError(msg)
    if not len(table):
        msg = f"{path}: a table without rows; expected a row per node and per edge"
        raise FormatError(msg)
    return table


def _check_kinds(path: str | Path, table: pd.DataFrame) -> None:
    wrong = ~table["row_type"].isin(["node", "edge"]).to_numpy()
    if wrong.any():
        row = int(np.argmax(wrong))
        msg = f"{path}: line {row + 2} has the row_type '{table['row_type'].iloc[row]}'; expected 'node' or 'edge'"
        raise FormatError(msg)


def _convert_numbers(path: str | Path, table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the columns of numbers: ids and frames as int64, positions as float64."""
    node = (table["row_type"] == "node").to_numpy()
    numbers: dict[str, np.ndarray] = {}
    for name in ("node_id", "t", "z", "y", "x", "source_id", "target_id"):
        if name in table:
            needed = ~node if name in {"source_id", "target_id"} else node
            values = table[name].to_numpy()[needed]
            column = np.full(len(table), -1, np.int64 if name in {*_IDS, "t"} else np.float64)
            column[needed] = _convert_column(path, name, values, np.flatnonzero(needed))
            numbers[name] = column
    return numbers


def _convert_column(path: str | Path, name: str, texts: np.ndarray, rows: IntArray) -> np.ndarray:
    """Return the fields of a column as numbers; whole ones, which may have more than 53 bits, exactly."""
    whole = name in {*_IDS, "t"}
    try:
        return texts.astype(np.int64 if whole else np.float64)
    except (ValueError, OverflowError):
        pass
    values = np.full(len(texts), np.nan)
    for k, text in enumerate(texts.tolist()):
        try:
            values[k] = float(text)
        except ValueError:
            break
    good = np.isfinite(values) & ((values == np.rint(values)) & (np.abs(values) < 2**53) if whole else True)
    if not good.all():
        k = int(np.argmin(good))
        kind = "a whole number" if whole else "a number"
        msg = f"{path}: line {rows[k] + 2} has '{texts[k]}' in the column {name}; expected {kind}"
        raise FormatError(msg)
    return values.astype(np.int64) if whole else values


def _build_graph(
    path: str | Path, name: str, numbers: dict[str, np.ndarray], nodes: IntArray, edges: IntArray
) -> PointGraph:
    """Return the graph of one movie from the rows of its nodes and edges."""
    ids = numbers["node_id"][nodes]
    order = np.argsort(ids, kind="stable")
    again = np.flatnonzero(ids[order][1:] == ids[order][:-1])
    if len(again):
        row = int(order[again[0] + 1])
        msg = f"{path}: line {nodes[row] + 2} has the node {ids[row]} of movie '{name}' again; its id is in use before"
        raise FormatError(msg)
    ends = np.column_stack([numbers["source_id"][edges], numbers["target_id"][edges]])
    place = np.minimum(np.searchsorted(ids[order], ends), max(0, len(ids) - 1))
    rows = order[place] if len(ids) else np.full(ends.shape, -1)
    lost = np.ones(ends.shape, bool) if not len(ids) else ids[rows] != ends
    if lost.any():
        at, side = np.argwhere(lost)[0].tolist()
        msg = (
            f"{path}: line {edges[at] + 2} has an edge of the node {ends[at, side]}, which movie '{name}' lacks; add "
            "the node or remove the edge"
        )
        raise FormatError(msg)
    position: FloatArray = np.column_stack([numbers[axis][nodes] for axis in "zyx" if axis in numbers])
    _check_positions(path, position, nodes)
    spacing = (1.0,) * position.shape[1]
    with add_file_name(f"{path}, movie '{name}'"):
        return PointGraph(ids, numbers["t"][nodes], position, rows[:, 0], rows[:, 1], spacing, "pixel")


def _check_positions(path: str | Path, position: FloatArray, nodes: IntArray) -> None:
    lost = ~np.isfinite(position).all(axis=1)
    if lost.any():
        msg = f"{path}: line {nodes[int(np.argmax(lost))] + 2} has a position that is not finite; expected numbers"
        raise FormatError(msg)
