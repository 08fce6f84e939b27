"""Figures of the HTML page: speeds, growth, cell cycles, and mistakes against a ground truth."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.analysis.cycles import find_cycles, measure_survival
from gnntrack.analysis.growth import list_track_growth
from gnntrack.analysis.motion import list_cell_motion
from gnntrack.analysis.msd_fits import measure_motion
from gnntrack.analysis.timelines import arrange_timelines
from gnntrack.evaluate.error_places import list_error_places
from gnntrack.evaluate.tracking import match_sequence, score_matches
from gnntrack.io.ctc_names import find_ctc
from gnntrack.io.writers import CellMasks
from gnntrack.plurals import count_noun
from gnntrack.report.page_data import Curve, Measures, Place
from gnntrack.results import find_result
from gnntrack.types import Units

if TYPE_CHECKING:
    from gnntrack.analysis.survival import Survival
    from gnntrack.analysis.timelines import Timelines
    from gnntrack.evaluate.tracking import MatchedSequence
    from gnntrack.types import FloatArray, IntArray, Lineage, Runs

    Scores = dict[str, float | None]

__all__ = ["compare_with_truth", "measure_lineage"]

_NO_MISTAKES = (
    "The ground truth is not used: cells are compared with it by their masks, which were not given. Write the report "
    "again with --masks."
)


def measure_lineage(lineage: Lineage) -> Measures:
    """Return speeds, growth rates and cell cycles in the units of the lineage.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((3, 20, 30), np.uint8)
    >>> for frame in range(3):
    ...     masks[frame, 5:11, 5 + 3 * frame : 11 + 3 * frame] = 1
    >>> measures = measure_lineage(gnntrack.track(masks=masks))
    >>> measures.speed.tolist(), measures.speed_unit
    ([nan, 3.0, 3.0], 'pixels/frame')
    """
    units = Units.read(lineage)
    n, k = len(lineage.cells), len(lineage.tracks)
    length = "µm" if units.length == "um" else "pixels"
    long_time = "h" if units.long_time == "h" else "frames"
    cycle, notes, survival = _measure_cycles(lineage, units) if k else (np.zeros(0), (), ())
    lines = arrange_timelines(lineage) if n else None
    motion = list_cell_motion(lineage, lines) if lines else {}
    growth = list_track_growth(lineage) if n else {}
    return Measures(
        speed=np.asarray(motion.get(f"speed_{units.speed}", np.full(n, np.nan))),
        speed_unit=f"{length}/{units.time}",
        growth=np.asarray(growth.get(f"growth_rate_{units.rate}", np.full(k, np.nan))),
        growth_unit=f"1/{units.long_time}",
        cycle=cycle,
        cycle_unit=long_time,
        notes=notes,
        curves=(*(_trace_motion(lineage, lines, units) if lines else ()), *survival),
    )


def _trace_motion(lineage: Lineage, lines: Timelines, units: Units) -> tuple[Curve, ...]:
    """Return the mean squared displacement against the time lag, if there are tracks of two cells."""
    curve, fit = measure_motion(lineage, lines)
    if len(curve.lag) < 2:
        return ()
    exponent, note = fit.exponent, ""
    if np.isfinite(exponent.value) and np.isfinite(exponent.error):
        note = f"exponent {exponent.value:.2f} ± {1.96 * exponent.error:.2f}; 1 is a random walk, 2 a straight path"
    margin = 1.96 * curve.error
    length, time = units.shown.replace("pixel", "pixels"), "min" if units.time == "min" else "frames"
    low, high = curve.msd - margin, curve.msd + margin
    lag: FloatArray = np.asarray(curve.lag * units.minutes, np.float64)
    name, squared = "Mean squared displacement", f"{length}²"
    return (Curve(name, lag, time, curve.msd, squared, low, high, stepped=False, note=note),)


def _trace_survival(survival: Survival, unit: str) -> Curve:
    """Return the fraction of cells that have not divided against their age, from 1 at birth."""
    age = np.append(0.0, survival.time)
    fraction, low, high = (np.append(1.0, column) for column in (survival.fraction, survival.low, survival.high))
    note = f"median {survival.median:.3g} {unit}" if np.isfinite(survival.median) else "the median is not reached"
    return Curve("Cells that have not divided, by age", age, unit, fraction, "", low, high, stepped=True, note=note)


def _measure_cycles(lineage: Lineage, units: Units) -> tuple[FloatArray, tuple[str, ...], tuple[Curve, ...]]:
    """Return the length of the cycle that ends with each track, a sentence about the movie, and the survival curve."""
    cycles = find_cycles(lineage.tracks)
    complete = np.flatnonzero(cycles.complete)
    length = np.full(len(lineage.tracks), np.nan)
    last = np.arange(len(lineage.tracks))
    for row in np.argsort(lineage.tracks.start, kind="stable").tolist():
        last[cycles.head[row]] = row  # the latest track of a cell stays
    length[last[complete]] = cycles.frames[complete] * units.hours
    survival = measure_survival(cycles, units)
    unit = "h" if units.long_time == "h" else "frames"
    curves = (_trace_survival(survival, unit),) if survival.events.any() else ()
    if not len(complete) or not np.isfinite(survival.median):
        return length, (), curves
    seen = count_noun(int(survival.events.sum() + survival.censored.sum()), "cell")
    return length, (f"median {survival.median:.3g} {unit} (Kaplan-Meier, {seen})",), curves


def compare_with_truth(
    result: str | Path, lineage: Lineage, runs: Runs | None, truth: str | Path | None
) -> tuple[Scores, list[Place] | None, list[str]]:
    """Return the metrics of a result, its mistakes, and a note if they are not known.

    Parameters
    ----------
    result : path
        The result.
    lineage, runs
        Its cells and their pixels, as the page shows them.
    truth : path, optional
        Ground truth of the Cell Tracking Challenge.

    Raises
    ------
    FormatError, FrameError
        As `gnntrack.evaluate.tracking.evaluate_sequence`.
    """
    if truth is None:
        return {}, None, []
    find_ctc(truth)  # an error if it is not there
    folder = find_result(Path(result).expanduser())
    if folder is not None and find_ctc(folder).table is not None:
        matched = match_sequence(folder, truth)
    elif runs is None:
        return {}, None, [_NO_MISTAKES]
    else:
        with TemporaryDirectory() as place:
            written = lineage.with_masks(CellMasks(runs)).to_ctc(Path(place, "01_RES"))
            matched = match_sequence(written, truth)
    return score_matches(matched), _list_places(matched, lineage), []


def _list_places(matched: MatchedSequence, lineage: Lineage) -> list[Place]:
    found = []
    for error in list_error_places(matched):
        every = _find_rows(lineage, error.cells).tolist()
        rows = tuple(row for row in every if row >= 0)
        links = error.links if len(rows) == len(every) else ()
        row = next((row for row in rows if lineage.cells.frame[row] == error.frame), -1)
        found.append(Place(error.kind, row, error.frame, error.why, rows, error.places, links))
    return found


def _find_rows(lineage: Lineage, cells: tuple[tuple[int, int], ...]) -> IntArray:
    frames, labels = np.array(cells, np.int64).reshape(-1, 2).T
    rows: Any = lineage.cells.row_of(frames, labels)
    return np.asarray(rows, np.int64)
