"""Short tracks, which are removed if the user asks for it, and debris: tracks of masks much smaller than a cell.

A real cell is short or small only where the movie cuts it: at its first and last frame, and at the border of the frame.
Families there are kept.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.lineage.families import measure_families, select_families

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, IntArray, Lineage, Runs

__all__ = ["drop_debris", "find_kept", "remove_short_tracks"]

_log = logging.getLogger(__name__)

# in movies with correct masks, up to 0.2 % of the masks are in families of small masks; in real masks, 4 % to 10 %
_ENOUGH = 50  # cells from which the usual size is known
_LEAST = 0.005  # fraction of the cells that are debris, below which they may be cells
_MOST = 0.15  # fraction above which they may be a second kind of cells


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
    keep = find_kept(lineage, frames)
    cells, smaller = lineage.cells, select_families(lineage, keep)
    row = np.cumsum(keep) - 1
    removed = np.column_stack([cells.frame[~keep], cells.label[~keep]])
    drawn = fills.select(np.isin(fills.cell, smaller.tracks.id), fills.cell)
    return smaller, runs.select(keep[runs.cell], row[runs.cell]), drawn, removed


def drop_debris(lineage: Lineage, share: float, *, named: BoolArray | None = None) -> Lineage:
    """Return a lineage without the families whose masks are, in the mean, much smaller than the median mask.

    If there are few of them, they may be cells, and stay; many may be cells of another kind, and stay, with a warning.

    Parameters
    ----------
    lineage : Lineage
        A solved movie of cells with masks.
    share : float
        Fraction of the median size below which masks are small.
    named : (N,) bool, optional
        Cells whose families stay.

    Returns
    -------
    Lineage
        Its provenance lists the cells that were dropped.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((8, 90, 90), np.uint8)
    >>> for k in range(8):
    ...     masks[:, 8 + 10 * k : 16 + 10 * k, 8:16] = 1 + k
    >>> masks[2:5, 50:53, 60:63] = 9
    >>> lineage = gnntrack.track(masks=masks)
    >>> len(lineage), lineage.provenance.debris_dropped
    (8, ((2, 9), (3, 9), (4, 9)))
    """
    cells = lineage.cells
    if len(cells) < _ENOUGH:
        return lineage
    family, first, last = measure_families(lineage)
    size = cells.feature("size")
    mean = np.bincount(family, size) / np.bincount(family)
    kept = (mean >= share * np.median(size)) | _find_cut(lineage, family, first, last)
    if named is not None:
        kept[family[named]] = True
    keep = kept[family]
    small = np.count_nonzero(~keep)
    if small <= _LEAST * len(cells):
        return lineage
    if small > _MOST * len(cells):
        _log.warning(
            "%.0f %% of the masks are in tracks of masks below %g of the median size; they may be cells of another "
            "kind, and are kept; the setting cells.min_size leaves them out",
            100 * small / len(cells),
            share,
        )
        return lineage
    dropped = np.column_stack([cells.frame[~keep], cells.label[~keep]])
    return select_families(lineage, keep).with_provenance(debris_dropped=tuple(map(tuple, dropped.tolist())))


def find_kept(lineage: Lineage, frames: int) -> BoolArray:
    """Return which cells are of families that are long enough, or cut by the movie, shape (N,)."""
    family, first, last = measure_families(lineage)
    kept = (last - first + 1 >= frames) | _find_cut(lineage, family, first, last)
    return np.asarray(kept[family])


def _find_cut(lineage: Lineage, family: IntArray, first: IntArray, last: IntArray) -> BoolArray:
    """Return which families the movie cuts, in time or at the border of the frame; arguments of `measure_families`."""
    cells = lineage.cells
    cut = (first == 0) | (last == cells.n_frames - 1)
    if cells.has("border_distance"):
        cut[family[cells.feature("border_distance") <= 0]] = True
    return np.asarray(cut)
