"""Motion of cells: columns of the tables of cells and of tracks, and quantities of the movie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.analysis.diffusion import estimate_diffusion, estimate_exponents, estimate_persistence
from gnntrack.analysis.quantities import Quantity, average_groups, average_values
from gnntrack.geometry import measure_lengths
from gnntrack.lineage.families import find_neighbours
from gnntrack.types import Units

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.analysis.displacements import MsdCurve
    from gnntrack.analysis.msd_fits import Estimate, MotionFit
    from gnntrack.analysis.timelines import Timelines
    from gnntrack.types import FloatArray, IntArray, Lineage

    Columns = dict[str, npt.NDArray[Any]]

__all__ = ["describe_motion", "list_cell_motion", "list_msd", "list_track_motion"]

_FEWEST_CELLS = 3  # of a track with a directionality, which is 1 for two cells


def list_cell_motion(lineage: Lineage, lines: Timelines) -> Columns:
    r"""Return the columns of motion of the table of cells.

    Returns
    -------
    dict of (N,) float64
        ``displacement`` from the cell before in the track, ``speed``, ``path`` (length since the first cell of the
        track), ``net_displacement`` (distance from it), and ``turning_rad``: the angle in :math:`[0, \pi]` between the
        displacement to the cell and that from it, if the track has cells in the frames before and after. NaN where
        there is none.
    """
    units, cells = Units.read(lineage), lineage.cells
    before, _ = find_neighbours(lineage)
    linked = np.flatnonzero(before >= 0)
    step, frames = np.full(len(cells), np.nan), np.ones(len(cells))
    step[linked] = measure_lengths(cells.position[linked] - cells.position[before[linked]])
    frames[linked] = cells.frame[linked] - cells.frame[before[linked]]
    turning = np.full(len(cells), np.nan)
    at, angle = _measure_turning(lines)
    turning[at] = angle
    path, net = _follow_paths(lineage, step)
    return {
        f"displacement_{units.length}": step,
        f"speed_{units.speed}": step / (frames * units.minutes),
        f"path_{units.length}": path,
        f"net_displacement_{units.length}": net,
        "turning_rad": turning,
    }


def _follow_paths(lineage: Lineage, step: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the length of the path since the first cell of the track, and the distance from it, (N,)."""
    cells = lineage.cells
    order = np.lexsort((cells.frame, lineage.track))
    along = np.cumsum(np.nan_to_num(step[order]))
    track = lineage.track[order]
    first = np.searchsorted(track, track)
    path, net = np.empty(len(cells)), np.empty(len(cells))
    path[order] = along - along[first]
    net[order] = measure_lengths(cells.position[order] - cells.position[order[first]])
    return path, net


def _measure_turning(lines: Timelines) -> tuple[IntArray, FloatArray]:
    """Return the cells with a cell in the frames before and after, and the angle between the displacements."""
    start, _ = lines.pair(2)
    start = start[lines.cell[start + 1] >= 0]
    first = lines.position[start + 1] - lines.position[start]
    second = lines.position[start + 2] - lines.position[start + 1]
    lengths = measure_lengths(first) * measure_lengths(second)
    moved = lengths > 0
    cosine = (first * second).sum(1)[moved] / lengths[moved]
    return lines.cell[start[moved] + 1], np.arccos(np.clip(cosine, -1, 1))


def list_track_motion(lineage: Lineage, lines: Timelines, cells: Columns, curve: MsdCurve) -> Columns:
    """Return the columns of motion of the table of tracks.

    Parameters
    ----------
    lineage, lines
        The lineage and its timelines.
    cells : dict
        Columns of `list_cell_motion`.
    curve : MsdCurve
        Of all tracks.

    Returns
    -------
    dict of (K,) float64
        ``path``, ``net_displacement``, ``reach`` (largest distance from the first cell), ``directionality`` (net
        displacement / path, of tracks with three cells), ``mean_speed`` (path / time), ``turning_cosine`` (mean cosine
        of the turning angles), ``diffusion`` and its standard error, ``msd_exponent`` and ``persistence``. NaN where a
        track is too short.
    """
    units, n = Units.read(lineage), len(lineage.tracks)
    row = np.searchsorted(lineage.tracks.id, lineage.track)
    path, net = cells[f"path_{units.length}"], cells[f"net_displacement_{units.length}"]
    last = np.zeros(n, np.int64)
    order = np.argsort(lineage.cells.frame, kind="stable")
    last[row[order]] = order  # the last one of a track stays
    count = np.bincount(row, minlength=n)
    reach = np.zeros(n)
    np.maximum.at(reach, row, net)
    span = lineage.tracks.end - lineage.tracks.start
    whole = np.where(count >= _FEWEST_CELLS, path[last], 0)
    diffusion, error = estimate_diffusion(lines)
    return {
        f"path_{units.length}": path[last],
        f"net_displacement_{units.length}": net[last],
        f"reach_{units.length}": reach,
        "directionality": np.divide(net[last], whole, out=np.full(n, np.nan), where=whole > 0),
        f"mean_speed_{units.speed}": np.divide(
            path[last], span * units.minutes, out=np.full(n, np.nan), where=span > 0
        ),
        "turning_cosine": average_groups(np.cos(cells["turning_rad"]), row, n),
        f"diffusion_{units.diffusion}": diffusion / units.minutes,
        f"diffusion_error_{units.diffusion}": error / units.minutes,
        "msd_exponent": estimate_exponents(curve, span + 1),
        f"persistence_{units.time}": estimate_persistence(curve, span + 1) * units.minutes,
    }


def list_msd(curve: MsdCurve, units: Units, fitted: int) -> Columns:
    """Return the columns of the table of mean squared displacements, a row per lag."""
    square = f"{units.length}2"
    times = {} if units.interval is None else {"lag_min": curve.lag * units.minutes}
    return {
        "lag_frame": curve.lag,
        **times,
        f"msd_{square}": curve.msd,
        f"msd_error_{square}": curve.error,
        "pairs": curve.pairs,
        "tracks": curve.tracks,
        f"msd_from_start_{square}": curve.from_start,
        "tracks_from_start": curve.starts,
        "fitted": (curve.lag <= fitted).astype(np.int64),
    }


def describe_motion(tracks: Columns, fit: MotionFit, drift: FloatArray, units: Units) -> list[Quantity]:
    """Return the quantities of motion of a movie.

    Parameters
    ----------
    tracks : dict
        Columns of `list_track_motion`.
    fit : MotionFit
        Of all tracks.
    drift : (T, D) float64
        Drift since frame 0, in the unit of the positions.
    units : Units
        Units of the tables.
    """
    moved = int(np.isfinite(tracks[f"mean_speed_{units.speed}"]).sum())

    def convert(name: str, estimate: Estimate, unit: str, factor: float = 1.0) -> Quantity:
        return Quantity.with_error(name, estimate.value * factor, estimate.error * factor, unit, n=moved, of="tracks")

    time = units.minutes
    unit = units.diffusion if not np.isfinite(fit.exponent.value) else f"{units.length}2_per_{units.time}^a"
    factor = time**-fit.exponent.value
    total = float(np.linalg.norm(drift[-1])) / (max(len(drift) - 1, 1) * time)
    return [
        average_values("mean_speed", tracks[f"mean_speed_{units.speed}"], units.speed, of="tracks"),
        average_values("directionality", tracks["directionality"], "", of="tracks"),
        average_values("turning_cosine", tracks["turning_cosine"], "", of="tracks"),
        convert("diffusion", fit.diffusion, units.diffusion, 1 / time),
        convert("localisation_error", fit.noise, units.length),
        convert("msd_exponent", fit.exponent, ""),
        convert("transport_coefficient", fit.transport, unit, factor),
        convert("persistence", fit.persistence, units.time, time),
        convert("persistent_speed", fit.speed, units.speed, 1 / time),
        convert("persistent_diffusion", fit.persistent_diffusion, units.diffusion, 1 / time),
        convert("persistent_localisation_error", fit.persistent_noise, units.length),
        Quantity("drift_speed", total, units.speed, n=len(drift), of="frames"),
    ]
