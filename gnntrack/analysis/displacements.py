"""Mean squared displacements of tracks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gnntrack.analysis.timelines import Timelines
    from gnntrack.types import FloatArray, IntArray

__all__ = ["MsdCurve", "measure_displacements"]

_MOST_GROUPS = 40  # groups of tracks for errors


@dataclass(frozen=True)
class MsdCurve:
    """Mean squared displacement (MSD) against the time lag.

    Parameters
    ----------
    lag : (L,) int64
        Frames between two cells of a track: 1, 2, ...
    pairs : (L,) int64
        Pairs of cells of a track at this lag; they overlap.
    tracks : (L,) int64
        Tracks with such a pair.
    msd : (L,) float64
        Time-averaged MSD: the mean over all pairs of all tracks, in squared units of the positions.
    error : (L,) float64
        Its standard error, by the jackknife over groups of tracks; NaN for one track.
    from_start, starts : (L,) float64 and int64
        Ensemble MSD: the mean over tracks of the squared distance from the first cell, and the number of tracks.
    left_out : (G, L) float64
        Time-averaged MSD without each group of tracks, for the errors of quantities that are computed from it; a
        single group is never omitted, so that G is 0 or at least 2.
    by_track : (K, L) float64
        Time-averaged MSD of each track; NaN without pairs.
    """

    lag: IntArray
    pairs: IntArray
    tracks: IntArray
    msd: FloatArray
    error: FloatArray
    from_start: FloatArray
    starts: IntArray
    left_out: FloatArray
    by_track: FloatArray


def measure_displacements(lines: Timelines, *, longest: int) -> MsdCurve:
    r"""Return the mean squared displacement of the tracks at each time lag.

    The time-averaged MSD of a track with positions :math:`r(t)` at lag :math:`n` is the mean of :math:`|r(t + n) -
    r(t)|^2` over all :math:`t` (Qian, Sheetz and Elson 1991, Biophys J 60:910). In a gap of a track, the pairs
    with a missing cell are omitted. The curve is the mean over all pairs, so that long tracks count more.

    The standard error is that of the jackknife (Efron and Stein 1981): tracks, which are regarded as independent, are
    dealt into at most 40 groups, and each group is omitted once. The pairs of a track overlap and are not independent,
    so that the scatter of pairs does not give an error.

    Parameters
    ----------
    lines : Timelines
        Tracks.
    longest : int
        Largest lag in frames.

    Returns
    -------
    MsdCurve
        Up to the largest lag that a track has.

    Examples
    --------
    >>> from gnntrack.types import Cells, Lineage, Tracks
    >>> from gnntrack.analysis.timelines import arrange_timelines
    >>> cells = Cells([0, 1, 2], [1] * 3, [[0, 0], [0, 2], [0, 4]], [[]] * 3, (), (), (1, 1), 3, (9, 9))
    >>> lineage = Lineage(cells, [1] * 3, Tracks([1], [0], [2], [0]), [0, 1], [1, 2], [1, 1])
    >>> curve = measure_displacements(arrange_timelines(lineage), longest=5)
    >>> curve.lag.tolist(), curve.msd.tolist(), curve.pairs.tolist()
    ([1, 2], [4.0, 16.0], [2, 1])
    """
    n_tracks = len(lines.first)
    sums, counts = [], []
    from_start, starts = [], []
    for lag in range(1, longest + 1):
        start, begins = lines.pair(lag)
        if not len(start):
            break
        squared = ((lines.position[start + lag] - lines.position[start]) ** 2).sum(1)
        sums.append(np.bincount(lines.track[start], weights=squared, minlength=n_tracks))
        counts.append(np.bincount(lines.track[start], minlength=n_tracks))
        from_start.append(squared[begins].mean() if begins.any() else np.nan)
        starts.append(int(begins.sum()))
    total = np.array(sums).reshape(-1, n_tracks)
    count = np.array(counts, np.int64).reshape(-1, n_tracks)
    pairs = count.sum(1)
    left_out = _leave_groups_out(np.asarray(total, float), count)
    spread = ((left_out - left_out.mean(0)) ** 2).sum(0) if len(left_out) else np.full(len(pairs), np.nan)
    return MsdCurve(
        lag=np.arange(1, len(pairs) + 1),
        pairs=pairs,
        tracks=(count > 0).sum(1),
        msd=total.sum(1) / pairs,
        error=np.sqrt(spread * (len(left_out) - 1) / max(len(left_out), 1)),
        from_start=np.array(from_start, float),
        starts=np.array(starts, np.int64),
        left_out=left_out,
        by_track=np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0).T,
    )


def _leave_groups_out(total: FloatArray, count: IntArray) -> FloatArray:
    """Return the means (G, L) without each group, of sums and counts (L, K) per track; NaN if no pair remains."""
    moving = np.flatnonzero(count.sum(0))
    groups = min(len(moving), _MOST_GROUPS)
    if groups < 2:
        return np.zeros((0, len(total)))
    without = []
    for group in range(groups):
        kept = np.delete(moving, slice(group, None, groups))
        below = count[:, kept].sum(1)
        means = np.full(len(total), np.nan)
        without.append(np.divide(total[:, kept].sum(1), below, out=means, where=below > 0))
    return np.array(without)
