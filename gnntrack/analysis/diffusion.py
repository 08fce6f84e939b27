"""Motion of single tracks: diffusion coefficient, exponent, persistence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.analysis.msd_fits import FEWEST_LAGS, fit_persistence
from gnntrack.analysis.quantities import average_groups

if TYPE_CHECKING:
    from gnntrack.analysis.displacements import MsdCurve
    from gnntrack.analysis.timelines import Timelines
    from gnntrack.types import FloatArray, IntArray

__all__ = ["estimate_diffusion", "estimate_exponents", "estimate_persistence"]

_FEWEST_STEPS = 4
_FEWEST_CELLS = 40  # of a track whose persistence is fitted


def estimate_diffusion(lines: Timelines) -> tuple[FloatArray, FloatArray]:
    r"""Return the diffusion coefficient of each track and its standard error.

    The covariance-based estimator of Vestergaard, Blainey and Flyvbjerg (2014, Phys Rev E 89:022726) from the
    displacements :math:`\Delta_n` of consecutive frames and their covariance: :math:`D = \langle\Delta_n^2\rangle / 2 +
    \langle\Delta_n \Delta_{n+1}\rangle`, in frames and for one axis; the axes are averaged. It is not biased by the
    localisation error, and may be negative. It holds for free diffusion. For persistent motion it is the slope of the
    MSD between the lags 1 and 2, which depends on the frame interval.

    Returns
    -------
    diffusion, error : (K,) float64
        In squared units of the positions per frame; NaN for tracks with fewer than four displacements, or fewer than
        three pairs of consecutive ones.

    Examples
    --------
    >>> from gnntrack.analysis.timelines import Timelines
    >>> rng = np.random.default_rng(0)
    >>> position = rng.normal(0, 1, (20_000, 2)).cumsum(0)  # D = 1/2
    >>> ones = np.zeros(20_000, int)
    >>> lines = Timelines(ones, np.arange(20_000), np.arange(20_000), position, ones[:1])
    >>> [round(float(value[0]), 2) for value in estimate_diffusion(lines)]
    [0.5, 0.01]
    """
    n_tracks, ndim = len(lines.first), lines.position.shape[1]
    start, _ = lines.pair(1)
    step = np.full(lines.position.shape, np.nan)
    step[start] = lines.position[start + 1] - lines.position[start]
    next_one, _ = lines.pair(2)
    both = next_one[lines.cell[next_one + 1] >= 0]
    steps = np.bincount(lines.track[start], minlength=n_tracks)
    pairs = np.bincount(lines.track[both], minlength=n_tracks)
    enough = (steps >= _FEWEST_STEPS) & (pairs >= _FEWEST_STEPS - 1)
    square = average_groups((step[start] ** 2).sum(1), lines.track[start], n_tracks) / ndim
    product = average_groups((step[both] * step[both + 1]).sum(1), lines.track[both], n_tracks) / ndim
    diffusion = np.where(enough, square / 2 + product, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        noise = -product / diffusion  # sigma^2 / D
        relative = (6 + 4 * noise + 2 * noise**2) / steps + 4 * (1 + noise) ** 2 / steps**2
        error = np.abs(diffusion) * np.sqrt(relative / ndim)
    return diffusion, np.where(enough & (diffusion > 0), error, np.nan)


def estimate_exponents(curve: MsdCurve, spans: IntArray) -> FloatArray:
    """Return the exponent of the mean squared displacement of each track.

    It is the slope of log MSD against log lag, by least squares over the lags up to a quarter of the track (Saxton
    1997, Biophys J 72:1744): 1 for free diffusion, 2 for straight motion. The localisation error makes it smaller.

    Parameters
    ----------
    curve : MsdCurve
        Of all tracks.
    spans : (K,) int64
        Frames of each track.

    Returns
    -------
    (K,) float64
        NaN for tracks of fewer than 16 frames, which have fewer than four such lags, and for those that do not move.
    """
    used = (curve.lag <= spans[:, None] // 4) & (curve.by_track > 0)
    x = np.where(used, np.log(curve.lag), 0.0)
    y = np.where(used, np.log(np.where(used, curve.by_track, 1.0)), 0.0)
    n = np.maximum(used.sum(1), 1)
    x_mean, y_mean = x.sum(1) / n, y.sum(1) / n
    dx, dy = np.where(used, x - x_mean[:, None], 0), np.where(used, y - y_mean[:, None], 0)
    enough = used.sum(1) >= FEWEST_LAGS
    slope = np.divide((dx * dy).sum(1), (dx**2).sum(1), out=np.full(len(spans), np.nan), where=enough)
    return np.asarray(slope)


def estimate_persistence(curve: MsdCurve, spans: IntArray) -> FloatArray:
    """Return the persistence time of each track in frames, fitted to its own mean squared displacement.

    Parameters
    ----------
    curve, spans
        As in `estimate_exponents`.

    Returns
    -------
    (K,) float64
        NaN for tracks of fewer than 40 frames, and where `fit_persistence` gives none. Values of single tracks scatter
        much; the fit to all tracks is more precise.
    """
    persistence = np.full(len(spans), np.nan)
    lag = curve.lag.astype(float)
    for row in np.flatnonzero(spans >= _FEWEST_CELLS):
        used = lag <= spans[row] // 4
        msd = curve.by_track[row, used]
        if np.isfinite(msd).all() and msd.any():
            persistence[row], _, _ = fit_persistence(lag[used], msd, spans[row] - lag[used])
    return persistence
