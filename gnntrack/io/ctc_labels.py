"""How many tracks a result of the Cell Tracking Challenge (CTC) may have: its masks have labels of 16 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.errors import OutputError
from gnntrack.io.ctc_names import MAX_LABEL
from gnntrack.lineage.short_tracks import find_kept
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from gnntrack.settings import RepairSettings
    from gnntrack.types import IntArray, Lineage

__all__ = ["refuse_many_cells", "refuse_many_labels", "refuse_many_tracks"]

_MOST_REMOVED = 0.2
"""Fraction of the cells or tracks that repairs may remove: pieces, debris and spurious masks; they remove less."""


def refuse_many_labels(count: int, what: str = "") -> None:
    """Raise if there are more tracks than 16-bit masks can have labels.

    Parameters
    ----------
    count : int
        Number of tracks as they are written.
    what : str
        Start of the message; by default their number.

    Raises
    ------
    OutputError
        If there are.

    Examples
    --------
    >>> refuse_many_labels(65535)
    >>> refuse_many_labels(65536)
    Traceback (most recent call last):
    gnntrack.errors.OutputError: 65536 tracks do not fit into the 16-bit labels of a CTC result; expected at most ...
    """
    if count > MAX_LABEL:
        msg = (
            f"{what or count_noun(count, 'track')} do not fit into the 16-bit labels of a CTC result; expected at most "
            f"{MAX_LABEL}: write the lineage as GEFF ('gnntrack build-graph' and 'gnntrack solve'), or its links as a "
            "table ('gnntrack track' with --output-edge-table and without -o), or cut the movie in time or space"
        )
        raise OutputError(msg)


def refuse_many_cells(frame: IntArray, settings: RepairSettings, *, first: int = 0) -> None:
    """Raise if a frame has so many cells that their tracks do not fit, before anything is tracked.

    Parameters
    ----------
    frame : (N,) int64
        Frame of each cell, before spurious masks are dropped and pieces are joined.
    settings : RepairSettings
        If masks are kept as they are, the limit is exact; else a fifth of the cells may be above it, since some of
        them may not be written. Nothing is refused if short tracks or a margin are removed.
    first : int
        Number of the first frame.

    Raises
    ------
    OutputError
        If a frame has too many.

    Examples
    --------
    >>> from gnntrack.settings import RepairSettings
    >>> refuse_many_cells(np.repeat([0, 1], [60_000, 90_000]), RepairSettings())
    Traceback (most recent call last):
    gnntrack.errors.OutputError: frame 1: 90000 cells, each with its own track, do not fit into ...
    """
    cells_per_frame = np.bincount(frame, minlength=1)
    fullest = int(np.argmax(cells_per_frame))
    count = int(cells_per_frame[fullest])
    if settings.min_track_length == 1 and count * _find_kept_fraction(settings) > MAX_LABEL:
        refuse_many_labels(count, f"frame {first + fullest}: {count_noun(count, 'cell')}, each with its own track,")


def refuse_many_tracks(lineage: Lineage, settings: RepairSettings) -> None:
    """Raise if the tracks of a movie do not fit, before it is repaired and written; arguments as `refuse_many_cells`.

    Raises
    ------
    OutputError
        If there are too many.
    """
    count = len(lineage.tracks)
    if count > MAX_LABEL and settings.min_track_length > 1:
        count = len(np.unique(lineage.track[find_kept(lineage, settings.min_track_length)]))
    if count * _find_kept_fraction(settings) > MAX_LABEL:
        refuse_many_labels(count)


def _find_kept_fraction(settings: RepairSettings) -> float:
    """Return the fraction of tracks that are written at least."""
    if settings.margin:
        return 0.0
    return 1.0 if settings.keep_masks else 1 - _MOST_REMOVED
