"""Short tracks, such as debris that a segmenter marks for a frame: removed if the user asks for it.

A real cell is short only where the movie cuts it: at its first and last frame, and at the border of the frame. Families
there are kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.components import label_components
from gnntrack.types import Tracks

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, IntArray, Lineage, Runs

__all__ = ["remove_short_tracks"]


def remove_short_tracks(
    lineage: Lineage, runs: Runs, fills: Runs, *, frames: int
) -> tuple[Lineage, Runs, Runs, IntArray]:
    """Remove families, tracks with their descendants, that last for fewer frames inside of the movie.

    Parameters
    ----------
    lineage : Lineage
        A solved movie.
    runs, fills : Runs
        Pixels of its cells, and of the masks drawn in gaps; the column ``cell`` of the latter holds track ids.
    frames : int
        Fewest frames from the first cell of a family to its last one.

    Returns
    -------
    lineage, runs, fills
        Of the families that are kept; tracks keep their numbers.
    removed : (M, 2) int64
        Frame and label of each removed cell.
    """
    keep = _find_kept(lineage, frames)
    cells, tracks = lineage.cells, lineage.tracks
    row = np.cumsum(keep) - 1
    links = keep[lineage.source]
    known = np.isin(tracks.id, lineage.track[keep])
    smaller = replace(
        lineage,
        cells=cells.select(keep),
        track=lineage.track[keep],
        tracks=Tracks(tracks.id[known], tracks.start[known], tracks.end[known], tracks.parent[known]),
        source=row[lineage.source[links]],
        target=row[lineage.target[links]],
        confidence=lineage.confidence[links],
    )
    removed = np.column_stack([cells.frame[~keep], cells.label[~keep]])
    drawn = fills.select(np.isin(fills.cell, tracks.id[known]), fills.cell)
    return smaller, runs.select(keep[runs.cell], row[runs.cell]), drawn, removed


def _find_kept(lineage: Lineage, frames: int) -> BoolArray:
    """Return which cells are of families that are long enough, or cut by the movie, shape (N,)."""
    cells = lineage.cells
    family, count = label_components(len(cells), lineage.source, lineage.target)
    first, last = np.full(count, cells.n_frames), np.full(count, -1)
    np.minimum.at(first, family, cells.frame)
    np.maximum.at(last, family, cells.frame)
    kept = (last - first + 1 >= frames) | (first == 0) | (last == cells.n_frames - 1)
    if cells.has("border_distance"):
        kept[family[cells.feature("border_distance") <= 0]] = True
    return np.asarray(kept[family])
