"""The result of points without masks: a folder with tables, lineage, review list and pictures, or one file.

::

    OUT/gnntrack/lineage.geff   every point with its track, and the links    OUT/gnntrack/review.csv    places to check
                /points.csv     frame, id, track, parent, position in pixels             /summary.json  the run
                /cells.csv      all columns of the points                                /overlay.png
                /tracks.csv     a row per track                                          /lineage.png

They are the files beside the masks of a result from masks, so that the commands for such a folder take this one, too.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.errors import InputError, OutputError
from gnntrack.frame_slabs import project_frame
from gnntrack.io.exchange_tables import PointTable
from gnntrack.io.geff import write_lineage
from gnntrack.io.output import fresh_output
from gnntrack.io.result_folders import EXTRAS
from gnntrack.io.tables import CellTable, collect_tracks, write_csv
from gnntrack.io.writers import WRITERS
from gnntrack.lineage.doubts import list_doubts
from gnntrack.lineage.repair import repair_movie
from gnntrack.result_files import RunRecord, collect_review, describe_run
from gnntrack.stage_times import time_stage

if TYPE_CHECKING:
    from gnntrack.lineage.repair import RepairedMovie
    from gnntrack.settings import RepairSettings
    from gnntrack.types import FrameStack, Lineage

__all__ = ["draw_points", "find_file_format", "write_point_result"]

_FORMATS = {".geff": "geff", ".csv": "points", ".xml": "trackmate"}
_TABLES = ("napari", "edges", "laptrack", "btrack", "mastodon", "points")
_MOST_PIXELS = 50_000_000  # of an overlay


def find_file_format(out: str | Path) -> str | None:
    """Return the format of one file that a path stands for, None for the folder of a result.

    Raises
    ------
    OutputError
        If the suffix is that of another kind of file.

    Examples
    --------
    >>> [find_file_format(name) for name in ("a.geff", "a.csv", "a.btrack.csv", "a.xml", "01_RES")]
    ['geff', 'points', 'btrack', 'trackmate', None]
    """
    path = Path(out)
    suffix, named = path.suffix.lower(), Path(path.stem).suffix.lower().removeprefix(".")
    if suffix == ".csv" and named in _TABLES:
        return named
    if suffix in _FORMATS:
        return _FORMATS[suffix]
    if suffix in (".parquet", ".zarr", ".json", ".tif", ".tsv", ".txt", ".npy"):
        msg = f"{out}: tracks of points are written as {', '.join(_FORMATS)}, or as a folder; choose another name"
        raise OutputError(msg)
    return None


def write_point_result(
    out: str | Path,
    lineage: Lineage,
    *,
    images: FrameStack | None = None,
    run: RunRecord | None = None,
    overwrite: bool = False,
) -> None:
    """Write the lineage of points as a folder, or as the file that the suffix of `out` names; all or nothing.

    Parameters
    ----------
    out : path
        A folder, or a ``.geff``, ``.csv`` or ``.xml``.
    lineage : Lineage
        Of points.
    images : FrameStack, optional
        One is drawn.
    run : RunRecord, optional
        Recorded in ``summary.json``.
    overwrite : bool
        Replace an older result.

    Raises
    ------
    OutputError
        If `out` exists, cannot be written, or has the suffix of another format.
    """
    form = find_file_format(out)
    if form is not None:
        WRITERS[form]().write(lineage, out, overwrite=overwrite)
        return
    run = run or RunRecord()
    with fresh_output(out, overwrite=overwrite) as place:
        folder = place / EXTRAS
        folder.mkdir(parents=True)
        with time_stage("writing"), ThreadPoolExecutor(1) as other:
            waiting = other.submit(write_lineage, lineage, folder / "lineage.geff")
            _write_tables(folder, lineage)
            if run.settings.output.pictures:
                _draw_pictures(folder, lineage, images)
            waiting.result()
        summary = describe_run(lineage, lineage, run, counts=_count_points(lineage))
        (folder / "summary.json").write_text(json.dumps(summary, indent=2), encoding="utf-8")


def draw_points(lineage: Lineage, radius: float | None, *, settings: RepairSettings) -> RepairedMovie:
    """Return a lineage of points with a ball for each, as masks without gaps.

    Parameters
    ----------
    lineage : Lineage
        Of points.
    radius : float, optional
        Of the balls, in the unit of the positions; by default those of the points.
    settings : RepairSettings
        Whether gaps are filled.

    Raises
    ------
    InputError
        If the radius is not known, or not above 0.

    Examples
    --------
    >>> import gnntrack
    >>> from gnntrack.settings import RepairSettings
    >>> lineage = gnntrack.track(points=np.array([[0, 5.0, 5.0], [0, 20.0, 20.0], [1, 5.0, 6.0], [1, 20.0, 20.0]]))
    >>> drawn = draw_points(lineage, 2.0, settings=RepairSettings())
    >>> int(drawn.runs.length[drawn.runs.cell == 0].sum()), drawn.lineage.cells.shape
    (13, (21, 21))
    """
    from gnntrack.masks.balls import draw_ball_runs  # loads numba

    cells = lineage.cells
    if radius is None and not cells.has("size"):
        unit = "um" if cells.unit == "um" else "pixels"
        msg = (
            f"the format draws a ball for each point, and their radius is not known; give radius (--radius), in {unit}"
        )
        raise InputError(msg)
    if radius is not None and not 0 < radius < 1e9:
        msg = f"radius={radius!r}: expected a radius above 0, in the unit of the positions"
        raise InputError(msg)
    radii = cells.feature("diameter").astype(np.float64) / 2 if radius is None else np.full(len(cells), float(radius))
    runs = draw_ball_runs(cells, radii)
    return repair_movie(lineage, runs, settings=settings.replace(join_pieces=False))


def _write_tables(folder: Path, lineage: Lineage) -> None:
    write_csv(collect_review(lineage, list_doubts(lineage)), folder / "review.csv")
    write_csv(PointTable(lineage), folder / "points.csv")
    write_csv(CellTable(lineage), folder / "cells.csv")
    write_csv(collect_tracks(lineage), folder / "tracks.csv")


def _count_points(lineage: Lineage) -> dict[str, int]:
    """Return how the points of the result follow from those of the input."""
    cells = lineage.cells
    added = int(cells.feature("interpolated").sum()) if cells.has("interpolated") else 0
    return {"points_in_input": len(cells) - added, "points_interpolated": added}


def _draw_pictures(folder: Path, lineage: Lineage, images: FrameStack | None) -> None:
    """Draw ``lineage.png``, and ``overlay.png`` of one of the fullest frames."""
    from gnntrack.masks.balls import draw_balls
    from gnntrack.report.quick import find_full_frame, paint_lineage_tree, paint_overlay, save_picture

    cells = lineage.cells
    height, width = cells.shape[-2:]
    if len(cells) and height * width <= _MOST_PIXELS:
        frame = find_full_frame(cells)
        rows = cells.rows(frame)
        sizes = np.asarray(cells.spacing)[-2:]
        radius = cells.feature("diameter")[rows, None].astype(np.float64) / 2
        numbers = draw_balls(cells.position[rows][:, -2:] / sizes, radius / sizes, (height, width))
        labels = np.append(0, lineage.track[rows])[numbers]
        flat = None if images is None else project_frame(images, frame)
        save_picture(paint_overlay(flat, labels, lineage, frame), folder / "overlay.png")
    save_picture(paint_lineage_tree(lineage), folder / "lineage.png")
