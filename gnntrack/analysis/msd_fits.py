r"""Fits of mean squared displacements (MSD): free diffusion, anomalous diffusion, persistent random walk.

Each model is :math:`a\,f(\tau; \theta) + c` with one parameter :math:`\theta` that is not linear. For each value of a
grid, :math:`a \ge 0` and :math:`c \ge 0` are those of weighted least squares; the grid is then refined around the best
value. The result needs no start values and has no local minimum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.analysis.displacements import measure_displacements

if TYPE_CHECKING:
    from gnntrack.analysis.displacements import MsdCurve
    from gnntrack.analysis.timelines import Timelines
    from gnntrack.types import FloatArray, Lineage

__all__ = ["Estimate", "MotionFit", "fit_motion", "fit_persistence", "measure_motion"]

FEWEST_LAGS = 4
_GRID = 48
_ZOOMS = 4
_REWEIGHTINGS = 3

Shape = Callable[["FloatArray", "FloatArray"], "FloatArray"]


class Estimate(NamedTuple):
    """A value with its standard error; NaN if it is not known."""

    value: float
    error: float = math.nan


@dataclass(frozen=True)
class MotionFit:
    """Parameters of the motion, in the unit of the positions and in frames.

    Parameters
    ----------
    lags : int
        Lags 1 to this one are fitted.
    diffusion : Estimate
        Diffusion coefficient D of MSD = 2 d D t + 2 d s^2, in d dimensions.
    noise : Estimate
        Localisation error s of that fit along one axis; 0 without an error if the data do not show any.
    exponent, transport : Estimate
        Exponent a and coefficient K of MSD = 2 d K t^a + c; the unit of K is that of D if a = 1.
    persistence, speed : Estimate
        Persistence time P and root mean square speed S of the persistent random walk, see `shape_persistent_walk`; NaN
        if P is shorter than a frame or longer than the fitted lags, where the data do not determine it.
    persistent_diffusion : Estimate
        S^2 P / d, the diffusion coefficient of the persistent random walk after a long time.
    persistent_noise : Estimate
        Localisation error along one axis, of the fit of the persistent random walk.
    """

    lags: int
    diffusion: Estimate
    noise: Estimate
    exponent: Estimate
    transport: Estimate
    persistence: Estimate
    speed: Estimate
    persistent_diffusion: Estimate
    persistent_noise: Estimate


class _Fit(NamedTuple):
    """Amplitude, offset and the parameter that is not linear."""

    amplitude: float
    offset: float
    parameter: float


def shape_line(lag: FloatArray, _parameter: FloatArray) -> FloatArray:
    """Return t: free diffusion, shape (1, L)."""
    return np.asarray(lag[None])


def shape_power(lag: FloatArray, exponent: FloatArray) -> FloatArray:
    """Return t^a: anomalous diffusion, shape (P, L) for P exponents."""
    return np.asarray(lag[None] ** exponent[:, None])


def shape_persistent_walk(lag: FloatArray, persistence: FloatArray) -> FloatArray:
    r"""Return the MSD of a persistent random walk of speed 1, shape (P, L).

    The formula of Fürth (1920, Z Physik 2:244), for root mean square speed :math:`S` and persistence time :math:`P`, in
    any number of dimensions: :math:`2 S^2 P (t - P (1 - e^{-t/P}))`.
    """
    ratio = lag[None] / persistence[:, None]
    # of order t^2 if t is much smaller than P: expm1 keeps its digits
    return np.asarray(2 * persistence[:, None] ** 2 * (ratio + np.expm1(-ratio)))


def fit_motion(curve: MsdCurve, *, ndim: int, lags: int) -> MotionFit:
    """Fit the models of motion to the time-averaged MSD of all tracks.

    The variance of the MSD at lag n is about proportional to MSD^2 n / pairs for overlapping pairs (Qian, Sheetz and
    Elson 1991, Biophys J 60:910), which gives the weights; the MSD in them is that of the fit before. Standard errors
    are those of the jackknife over groups of tracks.

    Parameters
    ----------
    curve : MsdCurve
        With lags in frames.
    ndim : {2, 3}
        Number of dimensions.
    lags : int
        The largest lag to fit.

    Returns
    -------
    MotionFit
        Each value is NaN if fewer than four lags are known, or if nothing moves.

    Examples
    --------
    A straight motion of 2 um per frame:

    >>> lag = np.arange(1, 11)
    >>> from gnntrack.analysis.displacements import MsdCurve
    >>> curve = MsdCurve(lag, 100 - lag, lag, 4.0 * lag**2, lag, lag, lag, np.zeros((0, 10)), np.zeros((1, 10)))
    >>> fit = fit_motion(curve, ndim=2, lags=10)
    >>> round(fit.exponent.value, 3), round(fit.transport.value, 3), fit.persistence.value
    (2.0, 1.0, nan)
    """
    used = min(lags, len(curve.lag))
    lag, pairs = curve.lag[:used].astype(float), curve.pairs[:used].astype(float)
    whole = _fit_models(lag, curve.msd[:used], pairs, ndim)
    samples = [_fit_models(lag, msd[:used], pairs, ndim) for msd in curve.left_out]
    errors = _jackknife(np.array(samples))
    for noise in (1, 7):
        if whole[noise] == 0:  # at the bound, where an error has no meaning
            errors[noise] = math.nan
    return MotionFit(used, *map(Estimate, whole, errors))


def measure_motion(lineage: Lineage, lines: Timelines) -> tuple[MsdCurve, MotionFit]:
    """Return the mean squared displacement up to half the track of the median cell, fitted up to a quarter of it.

    Parameters
    ----------
    lineage : Lineage
        A lineage with at least one cell.
    lines : Timelines
        Its tracks.

    Returns
    -------
    MsdCurve, MotionFit
        At least the first 8 lags, where tracks are that long, and at least 4 of them fitted.
    """
    tracks = lineage.tracks
    row = np.searchsorted(tracks.id, lineage.track)
    typical = int(np.median((tracks.end - tracks.start + 1)[row]))
    curve = measure_displacements(lines, longest=max(typical // 2, 2 * FEWEST_LAGS))
    return curve, fit_motion(curve, ndim=lineage.cells.ndim, lags=max(typical // 4, FEWEST_LAGS))


def _jackknife(samples: FloatArray) -> FloatArray:
    """Return the standard errors of values of which each row omits one group; NaN without rows."""
    if not len(samples):
        return np.full(8, np.nan)
    spread = ((samples - samples.mean(0)) ** 2).mean(0)
    return np.asarray(np.sqrt(spread * (len(samples) - 1)))


def _fit_models(lag: FloatArray, msd: FloatArray, pairs: FloatArray, ndim: int) -> tuple[float, ...]:
    """Return the eight values of a `MotionFit`."""
    if len(lag) < FEWEST_LAGS or not np.isfinite(msd).all() or not msd.any():
        return (math.nan,) * 8
    line = fit_shape(lag, msd, pairs, shape_line, np.ones(1))
    power = fit_shape(lag, msd, pairs, shape_power, np.linspace(0.05, 2.5, _GRID))
    persistence, speed, offset = fit_persistence(lag, msd, pairs)
    return (
        line.amplitude / (2 * ndim),
        math.sqrt(line.offset / (2 * ndim)),
        power.parameter,
        power.amplitude / (2 * ndim),
        persistence,
        speed,
        speed**2 * persistence / ndim,
        math.sqrt(offset / (2 * ndim)),
    )


def fit_persistence(lag: FloatArray, msd: FloatArray, pairs: FloatArray) -> tuple[float, float, float]:
    """Return persistence time in frames, root mean square speed per frame, and offset of a persistent random walk.

    Parameters
    ----------
    lag, msd, pairs : (L,) float64
        Of at least four lags.

    Returns
    -------
    float, float, float
        NaN if the persistence time is shorter than a frame or longer than the lags.

    Examples
    --------
    >>> lag = np.arange(1.0, 30.0)
    >>> msd = shape_persistent_walk(lag, np.array([5.0]))[0] * 4 + 0.5
    >>> [round(value, 3) for value in fit_persistence(lag, msd, 100 - lag)]
    [5.0, 2.0, 0.5]
    """
    fit = fit_shape(lag, msd, pairs, shape_persistent_walk, np.geomspace(0.05, 10 * lag[-1], _GRID))
    if not 1.0 <= fit.parameter <= lag[-1]:
        return math.nan, math.nan, math.nan
    return fit.parameter, math.sqrt(fit.amplitude), fit.offset


def fit_shape(lag: FloatArray, msd: FloatArray, pairs: FloatArray, shape: Shape, grid: FloatArray) -> _Fit:
    """Fit amplitude, offset and parameter of a model to a mean squared displacement.

    Parameters
    ----------
    lag, msd, pairs : (L,) float64
        The curve.
    shape : callable
        From lags (L,) and parameters (P,) to the model with amplitude 1 and without offset, (P, L).
    grid : (P,) float64
        Values of the parameter to try first, ascending.
    """
    model = lag * (msd / lag).mean()  # for the first weights
    fit = _Fit(math.nan, math.nan, math.nan)
    for _ in range(_REWEIGHTINGS):
        weight = pairs / (lag * np.maximum(model, 1e-9 * msd.max()) ** 2)
        fit = _search(lag, msd, weight / weight.sum(), shape, grid)
        model = fit.amplitude * shape(lag, np.array([fit.parameter]))[0] + fit.offset
    return fit


def _search(lag: FloatArray, msd: FloatArray, weight: FloatArray, shape: Shape, grid: FloatArray) -> _Fit:
    """Return the best fit on a grid that is refined around its best value."""
    for zoom in range(_ZOOMS):
        amplitude, offset, misfit = _solve_linear(shape(lag, grid), msd, weight)
        best = int(np.argmin(misfit))
        if zoom == _ZOOMS - 1 or len(grid) == 1:
            break
        grid = np.linspace(grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)], len(grid))
    return _Fit(float(amplitude[best]), float(offset[best]), float(grid[best]))


def _solve_linear(model: FloatArray, msd: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return amplitude >= 0, offset >= 0 and weighted squared misfit for each row of models (P, L)."""
    m, mm, y, my = model @ weight, model**2 @ weight, msd @ weight, (model * msd) @ weight  # the weights sum to 1
    spread = np.maximum(mm - m**2, 1e-12 * mm)
    amplitude = (my - m * y) / spread
    offset = y - amplitude * m
    below = offset < 0
    amplitude = np.where(below, my / mm, amplitude)
    offset = np.where(below, 0.0, offset)
    flat = amplitude < 0
    amplitude, offset = np.where(flat, 0.0, amplitude), np.where(flat, y, offset)
    misfit = ((msd - amplitude[:, None] * model - offset[:, None]) ** 2) @ weight
    return amplitude, offset, misfit
