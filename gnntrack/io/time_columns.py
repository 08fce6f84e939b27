"""Columns of tables in minutes and hours, for movies whose frame interval is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gnntrack.types import FloatArray, IntArray, Tracks

__all__ = ["convert_speeds", "list_track_times", "measure_cycles"]


def convert_speeds(name: str, unit: str, per_frame: FloatArray, interval: float | None) -> dict[str, FloatArray]:
    """Return columns of a speed per minute and per hour; none if the interval is not known.

    Parameters
    ----------
    name, unit : str
        Name of the column, and the unit of the distance.
    per_frame : (N,) float64
        Speeds per frame.
    interval : float or None
        Seconds from a frame to the next.

    Examples
    --------
    >>> convert_speeds("speed", "um", np.array([2.0]), 300.0)
    {'speed_um_per_min': array([0.4]), 'speed_um_per_h': array([24.])}
    """
    if interval is None:
        return {}
    return {f"{name}_{unit}_per_{word}": per_frame * (length / interval) for word, length in _UNITS.items()}


def list_track_times(tracks: Tracks, interval: float | None) -> dict[str, FloatArray]:
    """Return columns of the times of tracks; none if the interval is not known.

    Returns
    -------
    dict of (K,) float64
        ``start_min`` and ``end_min``, the times of first and last frame; ``duration_min`` and ``duration_h`` between
        these; ``division_min``, the first frame with a daughter, and ``cycle_h``, from the first frame of a daughter
        to the first frame of its own daughters; NaN without a division.
    """
    if interval is None:
        return {}
    minutes = interval / 60
    start, end = tracks.start * minutes, tracks.end * minutes
    division, cycle = measure_cycles(tracks)
    return {
        "start_min": start,
        "end_min": end,
        "duration_min": end - start,
        "duration_h": (end - start) / 60,
        "division_min": division * minutes,
        "cycle_h": cycle * minutes / 60,
    }


def measure_cycles(tracks: Tracks) -> tuple[FloatArray, FloatArray]:
    """Return the frame of the division of each track, and the length of its cell cycle in frames.

    Returns
    -------
    division : (K,) float64
        First frame of the first daughter; NaN for a track with fewer than two daughters.
    cycle : (K,) float64
        Frames from the first frame of the track to its division; NaN unless the track divides and begins with a
        division.

    Examples
    --------
    >>> from gnntrack.types import Tracks
    >>> tracks = Tracks([1, 2, 3, 4, 5], [0, 2, 2, 6, 6], [1, 5, 8, 8, 8], [0, 1, 1, 2, 2])
    >>> [column.tolist() for column in measure_cycles(tracks)]
    [[2.0, 6.0, nan, nan, nan], [nan, 4.0, nan, nan, nan]]
    """
    child = np.flatnonzero(tracks.parent > 0)
    parent: IntArray = np.searchsorted(tracks.id, tracks.parent[child])
    divides = np.bincount(parent, minlength=len(tracks)) >= 2
    division = np.full(len(tracks), np.inf)
    np.minimum.at(division, parent, tracks.start[child])
    division = np.where(divides, division, np.nan)
    born = np.zeros(len(tracks), bool)
    born[child] = divides[parent]
    return division, np.where(born, division - tracks.start, np.nan)


_UNITS = {"min": 60.0, "h": 3600.0}
