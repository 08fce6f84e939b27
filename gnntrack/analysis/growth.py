"""Growth of cells: exponential fits to their area or volume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.analysis.quantities import Quantity, average_groups, average_values
from gnntrack.lineage.families import find_neighbours
from gnntrack.types import Units

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.types import FloatArray, IntArray, Lineage

    Columns = dict[str, npt.NDArray[Any]]

__all__ = ["describe_growth", "fit_growth", "list_cell_growth", "list_track_growth"]

_FEWEST_CELLS = 5


def fit_growth(
    time: FloatArray, size: FloatArray, group: IntArray, n: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    r"""Return the rates of exponential growth, :math:`\log s = \log s_0 + k t`, by least squares.

    Parameters
    ----------
    time, size : (N,) float64
        Time, and area or volume. Sizes that are not positive are omitted.
    group : (N,) int64
        Number of the cell, from 0 to n - 1.
    n : int
        Number of cells.

    Returns
    -------
    rate, error, r2 : (n,) float64
        The rate k, its standard error, and the coefficient of determination of the fit to log s; NaN with fewer than
        five sizes, and r2 also if they are equal.

    Examples
    --------
    >>> time = np.arange(6.0)
    >>> rate, error, r2 = fit_growth(time, 3 * np.exp(0.1 * time), np.zeros(6, int), 1)
    >>> round(float(rate[0]), 3), round(float(r2[0]), 3)
    (0.1, 1.0)
    """
    used = np.isfinite(size) & (size > 0)
    x, y, group = time[used], np.log(size[used]), group[used]
    count = np.bincount(group, minlength=n)
    dx, dy = x - average_groups(x, group, n)[group], y - average_groups(y, group, n)[group]
    xx, xy, yy = (np.bincount(group, weights=each, minlength=n) for each in (dx * dx, dx * dy, dy * dy))
    enough = (count >= _FEWEST_CELLS) & (xx > 0)
    rate = np.divide(xy, xx, out=np.full(n, np.nan), where=enough)
    rest = np.maximum(yy - np.nan_to_num(rate) * xy, 0)
    error = np.sqrt(np.divide(rest, (count - 2) * xx, out=np.full(n, np.nan), where=enough))
    differ = enough & (yy > 1e-12 * count)
    return rate, error, 1 - np.divide(rest, yy, out=np.full(n, np.nan), where=differ)


def list_cell_growth(lineage: Lineage) -> Columns:
    r"""Return size and growth as columns of the table of cells; none if the cells have no size.

    Returns
    -------
    dict of (N,) float64
        ``size``, and ``growth_rate``: :math:`\log(s_t / s_{t'}) / (t - t')` from the cell before in the track, at
        :math:`t'`; NaN for the first cell of a track and for sizes of 0.
    """
    cells, units = lineage.cells, Units.read(lineage)
    if not cells.has("size"):
        return {}
    size = cells.feature("size").astype(float)
    before, _ = find_neighbours(lineage)
    row = np.flatnonzero((before >= 0) & (size > 0))
    row = row[size[before[row]] > 0]
    rate = np.full(len(cells), np.nan)
    frames = cells.frame[row] - cells.frame[before[row]]
    rate[row] = np.log(size[row] / size[before[row]]) / (frames * units.hours)
    return {f"size_{units.size}": size, f"growth_rate_{units.rate}": rate}


def describe_growth(tracks: Columns, units: Units) -> list[Quantity]:
    """Return the quantities of growth of a movie; none if the cells have no size.

    Parameters
    ----------
    tracks : dict
        Columns of `list_track_growth`.
    units : Units
        Units of the tables.
    """
    if "growth_r2" not in tracks:
        return []
    return [
        average_values("mean_size", tracks[f"mean_size_{units.size}"], units.size, of="tracks"),
        average_values("growth_rate", tracks[f"growth_rate_{units.rate}"], units.rate, of="tracks"),
        average_values("growth_r2", tracks["growth_r2"], "", of="tracks"),
    ]


def list_track_growth(lineage: Lineage) -> Columns:
    """Return the columns of size and growth of the table of tracks; none if the cells have no size.

    Returns
    -------
    dict of (K,) float64
        ``mean_size``, ``first_size`` and ``last_size``, and ``growth_rate`` with its error and r2.
    """
    cells, tracks, units = lineage.cells, lineage.tracks, Units.read(lineage)
    if not cells.has("size"):
        return {}
    size, n = cells.feature("size").astype(float), len(tracks)
    row = np.searchsorted(tracks.id, lineage.track)
    order = np.argsort(cells.frame, kind="stable")
    first, last = np.zeros(n, np.int64), np.zeros(n, np.int64)
    last[row[order]] = order
    first[row[order[::-1]]] = order[::-1]
    rate, error, r2 = fit_growth(np.asarray(cells.frame * units.hours, float), size, row, n)
    return {
        f"mean_size_{units.size}": average_groups(size, row, n),
        f"first_size_{units.size}": size[first],
        f"last_size_{units.size}": size[last],
        f"growth_rate_{units.rate}": rate,
        f"growth_rate_error_{units.rate}": error,
        "growth_r2": r2,
    }
