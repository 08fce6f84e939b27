"""Over-segmented fragments, merged with the cells that they are a part of.

A fragment is a cell in one frame only, without any link, next to a cell that is smaller in this frame than in the
frames before and after. With the fragment, that cell has the size and the place that are expected.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from gnntrack.lineage.families import find_neighbours
from gnntrack.types import Lineage, Runs, Tracks

if TYPE_CHECKING:
    from gnntrack.settings import RepairSettings
    from gnntrack.types import BoolArray, IntArray

__all__ = ["merge_fragments"]

_NEAREST = 3  # cells that a fragment may be a part of


def merge_fragments(lineage: Lineage, runs: Runs, *, settings: RepairSettings) -> tuple[Lineage, Runs, IntArray]:
    """Merge over-segmented fragments with their cells.

    Parameters
    ----------
    lineage : Lineage
        Tracks.
    runs : Runs
        The pixels of the lineage's cells.
    settings : RepairSettings
        ``join_pieces``: whether to merge at all.

    Returns
    -------
    lineage : Lineage
        Without the fragments. The features of their cells do not change.
    runs : Runs
        The pixels of the fragments belong to their cells.
    merged : (J, 3) int64
        Frame, label of the fragment, label of its cell.
    """
    fragment, owner = _find_fragments(lineage) if settings.join_pieces else (np.zeros(0, np.int64),) * 2
    if not len(fragment):
        return lineage, runs, np.zeros((0, 3), np.int64)
    cells = lineage.cells
    merged = np.column_stack([cells.frame[fragment], cells.label[fragment], cells.label[owner]])
    keep = np.ones(len(cells), bool)
    keep[fragment] = False
    row = np.cumsum(keep) - 1
    row[fragment] = row[owner]
    present = np.isin(lineage.tracks.id, lineage.track[keep])
    tracks = Tracks(*(getattr(lineage.tracks, name)[present] for name in ("id", "start", "end", "parent")))
    smaller = replace(
        lineage,
        cells=cells.select(keep),
        track=lineage.track[keep],
        tracks=tracks,
        source=row[lineage.source],
        target=row[lineage.target],
    )
    return smaller, replace(runs, cell=row[runs.cell]), merged


def _find_fragments(lineage: Lineage) -> tuple[IntArray, IntArray]:
    """Return the fragments and their cells, as rows, shapes (J,); of several possible cells the nearest."""
    cells = lineage.cells
    previous, following = find_neighbours(lineage)
    alone = np.ones(len(cells), bool)
    alone[lineage.source] = alone[lineage.target] = False
    fragments, owners = [], []
    for frame in np.unique(cells.frame[alone]).tolist():
        here = cells.rows(frame)
        rows = np.arange(here.start, here.stop)
        single, inner = rows[alone[rows]], rows[(previous[rows] >= 0) & (following[rows] >= 0)]
        if not len(single) or not len(inner):
            continue
        k = min(_NEAREST, len(inner))
        near = inner[cKDTree(cells.position[inner]).query(cells.position[single], k)[1].reshape(len(single), k)]
        for column in range(k):
            fits = _is_completed_by(lineage, near[:, column], single, previous, following)
            fragments.append(single[fits])
            owners.append(near[fits, column])
    if not fragments:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    fragment, first = np.unique(np.concatenate(fragments), return_index=True)
    return fragment, np.concatenate(owners)[first]


def _is_completed_by(
    lineage: Lineage, cell: IntArray, fragment: IntArray, previous: IntArray, following: IntArray
) -> BoolArray:
    """Return, for n pairs, whether size and place of the cell are as expected with the fragment and not without it.

    Parameters
    ----------
    lineage : Lineage
        Tracks.
    cell, fragment : (n,) int64
        Rows.
    previous, following : (N,) int64
        From `find_neighbours`.
    """
    cells = lineage.cells
    place = cells.position
    own, part, before, after = (
        cells.feature("size")[rows].astype(np.float64) for rows in (cell, fragment, previous[cell], following[cell])
    )
    expected_size = (before + after) / 2
    expected_place = (place[previous[cell]] + place[following[cell]]) / 2
    both = own + part
    middle = (place[cell] * own[:, None] + place[fragment] * part[:, None]) / both[:, None]
    nearer = np.linalg.norm(middle - expected_place, axis=1) < np.linalg.norm(place[cell] - expected_place, axis=1)
    alone, together = np.abs(np.log(own / expected_size)), np.abs(np.log(both / expected_size))
    steady = np.abs(np.log(before / after)) < 0.4  # else the size in between cannot be predicted
    return np.asarray(nearer & steady & (together < 0.5 * alone) & (together < 0.3))
