"""Short tracks, such as debris that a segmenter marks for a frame: removed if the user asks for it.

A real cell is short only where the movie cuts it: at its first and last frame, and at the border of the frame. Families
there are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.lineage.families import measure_families, select_families

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
    cells, smaller = lineage.cells, select_families(lineage, keep)
    row = np.cumsum(keep) - 1
    removed = np.column_stack([cells.frame[~keep], cells.label[~keep]])
    drawn = fills.select(np.isin(fills.cell, smaller.tracks.id), fills.cell)
    return smaller, runs.select(keep[runs.cell], row[runs.cell]), drawn, removed


def _find_kept(lineage: Lineage, frames: int) -> BoolArray:
    """Return which cells are of families that are long enough, or cut by the movie, shape (N,)."""
    cells = lineage.cells
    family, first, last = measure_families(lineage)
    kept = (last - first + 1 >= frames) | (first == 0) | (last == cells.n_frames - 1)
    if cells.has("border_distance"):
        kept[family[cells.feature("border_distance") <= 0]] = True
    return np.asarray(kept[family])
