"""Recipe of ``gnntrack analyse``: motion, cell cycle and surroundings of the cells of a lineage, as tables.

::

    FOLDER/cells.csv      a row per cell and frame     FOLDER/movie.csv   a row per quantity of the movie
          /tracks.csv     a row per track                    /msd.csv     mean squared displacement by time lag
          /families.csv   a row per family                   /survival.csv   fraction undivided by age
          /frames.csv     a row per frame                    /summary.json   units, options and notes
          /motion.png, cycles.png, surroundings.png, courses.png, and the same as .svg

``docs/analysis.md`` defines every column.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import gnntrack
from gnntrack.analysis.contacts import describe_contacts, list_cell_contacts, list_track_contacts
from gnntrack.analysis.courses import count_divisions, summarise_frames
from gnntrack.analysis.cycles import (
    describe_cycles,
    find_cycles,
    list_survival,
    list_track_cycles,
    measure_survival,
)
from gnntrack.analysis.drift import estimate_drift, remove_drift
from gnntrack.analysis.growth import describe_growth, list_cell_growth, list_track_growth
from gnntrack.analysis.motion import describe_motion, list_cell_motion, list_msd, list_track_motion
from gnntrack.analysis.msd_fits import measure_motion
from gnntrack.analysis.quantities import Quantity
from gnntrack.analysis.sisters import correlate_sisters
from gnntrack.analysis.surroundings import (
    describe_surroundings,
    list_cell_surroundings,
    list_track_surroundings,
)
from gnntrack.analysis.tables import list_cells, list_families, list_frames, list_tracks
from gnntrack.analysis.timelines import arrange_timelines
from gnntrack.errors import InputError
from gnntrack.io.ctc_names import TRACK_TABLES
from gnntrack.io.output import fresh_output, refuse_source, try_output
from gnntrack.io.tables import write_csv
from gnntrack.loading import load, set_pixel_size
from gnntrack.options import resolve_options
from gnntrack.plurals import choose_form, count_noun
from gnntrack.results import find_result
from gnntrack.setting_errors import check_bools
from gnntrack.setting_kinds import is_number
from gnntrack.types import Lineage, Units

if TYPE_CHECKING:
    from datetime import timedelta

    import pandas as pd

    from gnntrack.analysis.cycles import Cycles
    from gnntrack.analysis.survival import Survival
    from gnntrack.types import FloatArray

    Columns = dict[str, np.ndarray[Any, Any]]

__all__ = ["Analysis", "analyse"]

_log = logging.getLogger(__name__)

_MOST_GROWTH = 50  # pixels
TABLES = ("cells", "tracks", "families", "frames", "movie", "msd", "survival")


@dataclass(frozen=True)
class Analysis:
    """Tables of a lineage, with the units in the names of the columns; ``docs/analysis.md`` defines them.

    Parameters
    ----------
    cells, tracks, families, frames : DataFrame
        A row per cell and frame, per track, per family (a track with its descendants), and per frame.
    movie : DataFrame
        A row per quantity of the movie: ``quantity, value, unit, low, high, n, of``; low and high are the ends of the
        95 % confidence interval.
    msd : DataFrame
        Mean squared displacement, a row per time lag.
    survival : DataFrame
        Fraction of cells that have not divided (Kaplan and Meier), a row per age.
    notes : tuple of str
        Sentences about quantities that are missing or uncertain.
    lineage : Lineage
        The lineage as it was analysed: with the given size of a voxel and interval, and without drift if it was
        removed.
    """

    cells: pd.DataFrame
    tracks: pd.DataFrame
    families: pd.DataFrame
    frames: pd.DataFrame
    movie: pd.DataFrame
    msd: pd.DataFrame
    survival: pd.DataFrame
    notes: tuple[str, ...]
    lineage: Lineage

    def __getitem__(self, quantity: str) -> float:
        """Return the value of a quantity of the movie, such as ``analysis["mean_speed"]``.

        Raises
        ------
        KeyError
            If there is no such quantity.
        """
        found = self.movie["value"][self.movie["quantity"] == quantity]
        if found.empty:
            msg = f"no quantity {quantity!r}; there are: {', '.join(self.movie['quantity'])}"
            raise KeyError(msg)
        return float(found.iloc[0])


def analyse(
    source: str | Path | Lineage,
    *,
    out: str | Path | None = None,
    spacing: Sequence[float] | None = None,
    interval: float | str | timedelta | None = None,
    without_drift: bool = False,
    grow_masks: int = 1,
    overwrite: bool = False,
) -> Analysis:
    """Measure the motion, growth, cell cycles and surroundings of the cells of a lineage.

    Parameters
    ----------
    source : path or Lineage
        A result of `gnntrack.track`, another result or ground truth of the Cell Tracking Challenge, a GEFF, or the
        lineage itself.
    out : path, optional
        Folder for the tables and figures.
    spacing : D floats, optional
        Size of a voxel in um along ``[z], y, x``; by default that in the result, else lengths are in pixels.
    interval : float, str or timedelta, optional
        Time between two frames: seconds, or text such as ``"10min"``; by default that in the result, else times are in
        frames.
    without_drift : bool
        Subtract the motion that all cells have in common (`gnntrack.analysis.estimate_drift`).
    grow_masks : int
        Pixels by which masks grow before those that touch are counted: with 1, at most 2 pixels of background may be
        between them.
    overwrite : bool
        Replace an earlier result.

    Returns
    -------
    Analysis
        The tables.

    Raises
    ------
    InputError
        If the source cannot be read, contains no cells, or does not fit the size of a voxel; if the drift is to be
        removed and there are too few cells to estimate it; if `grow_masks` is not a whole number from 0 to 50.
    OutputError
        If `out` exists or cannot be written.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((4, 20, 30), np.uint8)
    >>> for frame in range(4):
    ...     masks[frame, 5:11, 5 + 3 * frame : 11 + 3 * frame] = 1
    >>> analysis = analyse(gnntrack.track(masks=masks), spacing=(0.5, 0.5), interval="5min")
    >>> analysis.tracks[["path_um", "directionality", "mean_speed_um_per_min"]].to_numpy().tolist()
    [[4.5, 1.0, 0.3]]
    >>> analysis["mean_speed"]
    0.3
    """
    check_bools(without_drift=without_drift, overwrite=overwrite)
    if not (is_number(grow_masks) and grow_masks in range(_MOST_GROWTH + 1)):
        msg = f"grow_masks is {grow_masks!r}; expected a whole number of pixels from 0 to {_MOST_GROWTH} (--grow-masks)"
        raise InputError(msg)
    if out is not None:
        refuse_source(out, source)
        try_output(out, overwrite=overwrite)
    lineage, own = _open_lineage(source, spacing, interval)
    drift = estimate_drift(lineage)
    if without_drift:
        lineage = remove_drift(lineage)
    touching, problem = _measure_contacts(own, lineage.cells.spacing, int(grow_masks))
    analysis = _measure(lineage, touching, drift)
    if problem:
        analysis = replace(analysis, notes=(*analysis.notes, problem))
    if out is not None:
        with fresh_output(out, overwrite=overwrite) as folder:
            folder.mkdir()
            for name in TABLES:
                write_csv(getattr(analysis, name), folder / f"{name}.csv")
            _draw_figures(analysis, folder)
            summary = _summarise(analysis, source, without_drift=without_drift, grow_masks=int(grow_masks))
            (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return analysis


def _draw_figures(analysis: Analysis, folder: Path) -> None:
    """Write each figure as a picture and as a drawing."""
    from gnntrack import report

    tables = {name: _list_columns(getattr(analysis, name)) for name in TABLES}
    units = Units.read(analysis.lineage)
    figures = {name: getattr(report, f"draw_{name}")(tables, units) for name in ("motion", "cycles", "surroundings")}
    courses = summarise_frames(tables["cells"], units)
    figures["courses"] = report.draw_courses(courses, count_divisions(analysis.lineage), units)
    for name, figure in figures.items():
        for suffix in ("png", "svg"):
            report.save_figure(figure, folder / f"{name}.{suffix}")


def _list_columns(table: pd.DataFrame) -> dict[str, Any]:
    return {str(name): column.to_numpy() for name, column in table.items()}


def _summarise(analysis: Analysis, source: object, **chosen: bool | int) -> dict[str, Any]:
    """Return the content of ``summary.json``."""
    units = Units.read(analysis.lineage)
    return {
        "source": None if isinstance(source, Lineage) else str(source),
        "version": gnntrack.__version__,
        "spacing": list(analysis.lineage.cells.spacing),
        "interval_s": units.interval,
        "units": {"length": units.length, "time": units.time, "long_time": units.long_time},
        **chosen,
        "notes": list(analysis.notes),
    }


def _measure_contacts(lineage: Lineage, spacing: tuple[float, ...], grow: int) -> tuple[Columns, str]:
    """Return the columns of contacts, none without masks, and a note if the masks cannot be read."""
    if not lineage.has_masks:
        return {}, ""
    try:
        return list_cell_contacts(lineage, lineage.labels(), spacing=spacing, grow=grow), ""
    except InputError as error:  # a GEFF refers to masks, which may have changed since
        return {}, f"the masks of the lineage cannot be read, so that contacts are missing: {error}"


def _open_lineage(source: object, spacing: object, interval: object) -> tuple[Lineage, Lineage]:
    """Return the lineage with the size of a voxel and the interval, and as it was read, with its masks."""
    homes = {"spacing": "frames", "interval": "frames"}
    frames = resolve_options(None, {"spacing": spacing, "interval": interval}, homes, recipe="analyse").frames
    if not isinstance(source, Lineage | str | PathLike):
        msg = f"analyse() of {type(source).__name__}: expected the path of a result or of a GEFF, or a Lineage"
        raise InputError(msg)
    lineage = source if isinstance(source, Lineage) else load(Path(source), interval=frames.interval, points=True)
    if not len(lineage.cells):
        msg = f"{_name(source)}: the lineage contains no cells; there is nothing to analyse"
        raise InputError(msg)
    _warn_of_markers(source)
    lineage = lineage.with_provenance(interval=frames.interval or lineage.provenance.interval)
    if frames.spacing is None:
        return lineage, lineage
    return set_pixel_size(lineage, frames.spacing, "the lineage"), lineage


def _warn_of_markers(source: object) -> None:
    """Warn if the masks are those of a ground truth of tracking, in which cells may be markers."""
    found = None if isinstance(source, Lineage) else find_result(Path(str(source)).expanduser())
    if found is not None and (found / TRACK_TABLES["man_track"]).is_file():
        _log.warning(
            "%s: the masks of a ground truth may be markers in the cells; sizes and growth rates are then not those of "
            "the cells",
            source,
        )


def _name(source: object) -> str:
    return "lineage" if isinstance(source, Lineage) else str(source)


def _measure(lineage: Lineage, touching: Columns, drift: FloatArray) -> Analysis:
    """Return the tables of a lineage; `touching` are columns of cells whose masks touch."""
    import pandas as pd

    units, tracks = Units.read(lineage), lineage.tracks
    lines = arrange_timelines(lineage)
    curve, fit = measure_motion(lineage, lines)
    cycles = find_cycles(tracks)
    survival = measure_survival(cycles, units)

    cell_motion = list_cell_motion(lineage, lines)
    cell_table = list_cells(lineage) | cell_motion | list_cell_growth(lineage)
    track_motion = list_track_motion(lineage, lines, cell_motion, curve)
    track_cycles = list_track_cycles(lineage, cycles)
    track_table = list_tracks(lineage) | track_cycles | track_motion | list_track_growth(lineage)
    around = list_cell_surroundings(lineage)
    cell_table |= around | touching
    track_table |= list_track_surroundings(lineage, around) | list_track_contacts(lineage, touching)
    movie = [
        *describe_motion(track_motion, fit, drift, units),
        *describe_cycles(lineage, cycles, survival, track_cycles),
        *describe_growth(track_table, units),
        *describe_surroundings(track_table, units),
        *describe_contacts(track_table, units),
        *correlate_sisters(tracks, {name: track_table[column] for name, column in _list_properties(track_table)}),
    ]
    frame_means = (
        *(f"speed_{units.speed}", f"size_{units.size}"),
        *("neighbours", f"neighbour_distance_{units.length}", f"density_{units.density}"),
        *("contacts", "contact_fraction", f"growth_rate_{units.rate}"),
    )
    shared = tuple(column for _, column in _list_properties(track_table))
    return Analysis(
        cells=pd.DataFrame(cell_table),
        tracks=pd.DataFrame(track_table),
        families=pd.DataFrame(list_families(track_table, (*shared, "directionality"))),
        frames=pd.DataFrame(list_frames(lineage, drift, cell_table, frame_means)),
        movie=pd.DataFrame(movie, columns=list(Quantity._fields)),
        msd=pd.DataFrame(list_msd(curve, units, fit.lags)),
        survival=pd.DataFrame(list_survival(survival, units)),
        notes=tuple(_list_notes(lineage, cycles, survival)),
        lineage=lineage,
    )


def _list_properties(tracks: Columns) -> list[tuple[str, str]]:
    """Return names and columns of the properties of tracks that are compared between sisters."""
    names = ("cycle", "mean_speed", "mean_size", "growth_rate")
    columns = [column for column in tracks if "error" not in column]
    return [(name, column) for name in names for column in columns if column.startswith(f"{name}_")]


def _list_notes(lineage: Lineage, cycles: Cycles, survival: Survival) -> Iterator[str]:
    """Yield sentences about quantities that are missing or uncertain."""
    if not lineage.cells.has("size"):
        yield "the lineage has points without sizes: areas, volumes and growth rates are missing"
    seen = int(survival.events.sum() + survival.censored.sum())
    complete = int(survival.events.sum())
    if not seen:
        yield "no cell begins with a division: there are no cell cycles to measure"
        return
    last = lineage.cells.n_frames - 1
    if 0 < complete < seen / 2:
        cells = count_noun(seen, "cell that begins with a division", "cells that begin with a division")
        yield (
            f"{complete} of {cells} {choose_form(complete, 'divides', 'divide')} before the track or the movie ends: "
            f"complete cycles are the short ones, and their mean is too small; use cycle_median"
        )
    if not np.isfinite(survival.median):
        yield (
            f"cycle_median is not determined: {100 * survival.fraction[-1]:.0f} % of the cells are undivided at the "
            "longest age that is seen; a longer movie is needed"
        )
    lost = cycles.right_censored & (lineage.tracks.end < last)
    if lost.sum() > seen / 4:
        yield (
            f"{lost.sum()} of {count_noun(seen, 'cell')} that begin with a division end before the last frame without "
            "one; if these are missed divisions, the cycles are too long"
        )
