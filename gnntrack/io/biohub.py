"""The submission file of the embryo competition of 2026 (Biohub): one CSV file with the nodes and edges of all movies.

Columns ``id, dataset, row_type, node_id, t, z, y, x, source_id, target_id``: a row per node, in whole voxels, with -1
as its source and target, and a row per edge with -1 in the other columns. ``id`` counts all rows from 0. Only edges to
the next frame count there, so that gaps are filled with nodes on a straight line. Every movie must have a row, so that
one node stands for a movie without cells.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.errors import OutputError
from gnntrack.io.output import fresh_output
from gnntrack.plurals import count_noun
from gnntrack.types import PointGraph

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from gnntrack.types import Lineage

__all__ = ["COLUMNS", "write_submission"]

_log = logging.getLogger(__name__)

COLUMNS = ("id", "dataset", "row_type", "node_id", "t", "z", "y", "x", "source_id", "target_id")
"""Columns of a submission, in its order."""
_NONE = -1  # what a column holds that a row has no value for


def write_submission(lineages: Mapping[str, Lineage | None], out: str | Path, *, overwrite: bool = False) -> None:
    """Write the lineages of some movies as one submission.

    Parameters
    ----------
    lineages : mapping of str to Lineage
        Name of the movie, such as ``44b6_0113de3b``, -> its lineage, None without a result; z is 0 in 2D.
    out : path
        The CSV file.
    overwrite : bool
        Replace an older file.

    Raises
    ------
    OutputError
        If `out` exists or cannot be written, or a position is below 0.

    Examples
    --------
    A cell that is missing in frame 1, whose place is filled in:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import gnntrack
    >>> points = np.array([[t, 4, 20, 20 + t] for t in (0, 2, 3)] + [[t, 6, 5, 5] for t in range(4)])
    >>> lineage = gnntrack.track(points=points)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_submission({"movie": lineage}, Path(folder, "submission.csv"))
    ...     print(*Path(folder, "submission.csv").read_text().splitlines()[:3], sep=chr(10))
    id,dataset,row_type,node_id,t,z,y,x,source_id,target_id
    0,movie,node,1,0,4,20,20,-1,-1
    1,movie,node,2,0,6,5,5,-1,-1
    """
    import pandas as pd

    tables = [table for name, lineage in lineages.items() for table in _list_rows(name, lineage)]
    rows = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS[1:]))
    rows.insert(0, "id", np.arange(len(rows)))
    with fresh_output(out, overwrite=overwrite) as file:
        rows.to_csv(file, index=False, columns=list(COLUMNS))


def _list_rows(name: str, lineage: Lineage | None) -> list[pd.DataFrame]:
    """Return the nodes and the edges of a movie."""
    import pandas as pd

    if lineage is None or not len(lineage.cells):
        _log.warning(
            "%s has no cells; one node, in the corner of its first frame, stands for it: a submission needs a row of "
            "every movie",
            name,
        )
        return [_complete(pd.DataFrame({"row_type": ["node"], "node_id": 1, "t": 0, "z": 0, "y": 0, "x": 0}), name)]
    graph = PointGraph.from_lineage(lineage).fill_gaps()
    forks = int((graph.children > 2).sum())
    if forks:
        _log.warning(
            "%s: %s with three or more daughters; these are never true divisions", name, count_noun(forks, "cell")
        )
    voxel = np.rint(graph.voxels).astype(np.int64)
    if voxel.min(initial=0) < 0:
        msg = (
            f"{name}: a position is {voxel.min()} voxels, and a submission counts from 0; add a constant to the points"
        )
        raise OutputError(msg)
    voxel = np.minimum(voxel, np.asarray(lineage.cells.shape) - 1)
    number = np.arange(1, len(graph) + 1)
    z, y, x = (voxel if voxel.shape[1] == 3 else np.insert(voxel, 0, 0, axis=1)).T
    nodes = {"row_type": "node", "node_id": number, "t": graph.frame, "z": z, "y": y, "x": x}
    source, target = number[graph.links].T
    edges = {"row_type": "edge", "source_id": source, "target_id": target}
    tables = [pd.DataFrame(each) for each in (nodes, edges)]
    return [_complete(table, name) for table in tables if len(table)]


def _complete(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a table with all columns but the number of the row."""
    table.insert(0, "dataset", name)
    return table.reindex(columns=list(COLUMNS[1:]), fill_value=_NONE)
