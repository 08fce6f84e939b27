"""Graphs of points from everything that holds tracks: files and folders, of one movie or of several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.errors import InputError
from gnntrack.io.ctc import read_ctc
from gnntrack.io.ctc_names import find_ctc
from gnntrack.io.delimited import read_delimited
from gnntrack.io.geff_store import is_geff
from gnntrack.io.point_graph import read_point_graph
from gnntrack.io.point_tables import read_point_table
from gnntrack.io.result_folders import EXTRAS
from gnntrack.io.submission_table import read_submission
from gnntrack.types import PointGraph

if TYPE_CHECKING:
    from gnntrack.io.point_tables import PointTable

__all__ = ["holds_point_graphs", "read_point_graphs"]

_TABLES = (".csv", ".tsv")
_RESULT = "_RES"
_EXPECTED = (
    "expected a GEFF, a folder of them (NAME.geff), a submission or a table of tracks (.csv), or a folder of masks "
    "with their tracks (01_RES, 01_GT)"
)


def holds_point_graphs(path: str | Path) -> bool:
    """Return whether a path is a table, a GEFF or a folder of GEFF, and not a folder of masks with their tracks."""
    source = Path(path)
    return (
        source.suffix.lower() in _TABLES or is_geff(source) or (not _has_masks(source) and bool(_list_movies(source)))
    )


def read_point_graphs(path: str | Path, *, spacing: Sequence[float] | None = None) -> dict[str, PointGraph]:
    """Read the graphs of points in a file or a folder.

    Parameters
    ----------
    path : path
        A GEFF; a submission of the embryo competition (`gnntrack.io.submission_table`); a table of tracks (see
        `gnntrack.io.point_tables`); a result of gnntrack or a ground truth in the format of the Cell Tracking
        Challenge, of which the centroids are used; or a folder of several of these: ``NAME.geff`` or ``NAME_RES``.
    spacing : D floats, optional
        Size of a pixel in um, for masks whose result does not hold it.

    Returns
    -------
    dict of PointGraph
        By the name of the movie.

    Raises
    ------
    InputError
        If there is nothing to read, or a file is not valid or holds candidate links (`FormatError`).
    """
    source = Path(path).expanduser()
    if source.suffix.lower() in _TABLES and not source.is_dir():
        return _read_table(source)
    if not source.exists():
        msg = f"{path}: no such file or folder; {_EXPECTED}"
        raise InputError(msg)
    if not source.is_dir():
        msg = f"{path}: a '{source.suffix}' file is not read here; {_EXPECTED}"
        if source.suffix.lower() == ".xml":
            name = f"{source.stem}.geff"
            msg = f"{path}: a TrackMate file is not read here; convert it first: gnntrack convert {path} {name}"
        raise InputError(msg)
    stored = _find_geff(source)
    if stored is None and _has_masks(source):
        return {source.name: PointGraph.from_lineage(read_ctc(source, spacing=spacing)[0])}
    movies = {source.stem: stored} if stored is not None else _list_movies(source)
    if not movies:
        msg = f"{path}: it holds no graph of points; {_EXPECTED}"
        raise InputError(msg)
    return {name: _read_folder(movie, spacing) for name, movie in movies.items()}


def _read_folder(folder: Path, spacing: Sequence[float] | None) -> PointGraph:
    if is_geff(folder):
        return read_point_graph(folder, candidates=False)
    return PointGraph.from_lineage(read_ctc(folder, spacing=spacing)[0])


def _find_geff(folder: Path) -> Path | None:
    """Return the GEFF that a folder is, or that a result without masks holds."""
    places = [folder]
    if not _has_masks(folder):
        places += [folder / "lineage.geff", folder / EXTRAS / "lineage.geff"]
    return next(filter(is_geff, places), None)


def _has_masks(folder: Path) -> bool:
    """Return whether a folder holds masks with a table of tracks."""
    if not folder.is_dir():
        return False
    found = find_ctc(folder)
    return found.table is not None and bool(found.masks)


def _list_movies(folder: Path) -> dict[str, Path]:
    """Return the graphs in a folder by the names of their movies."""
    if not folder.is_dir():
        return {}
    movies = {path.stem: path for path in sorted(folder.glob("*.geff")) if is_geff(path)}
    for path in sorted(folder.iterdir()) if not movies else []:
        if path.is_dir() and not path.name.startswith("."):
            stored = _find_geff(path) or (path if _has_masks(path) else None)
            if stored is not None:
                movies[path.name.removesuffix(_RESULT)] = stored
    return movies


def _read_table(path: Path) -> dict[str, PointGraph]:
    """Return the graphs of a CSV file: a submission, or the tracks of one movie."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            header = file.readline()
    except FileNotFoundError as error:
        msg = f"{path}: no such file; check the path"
        raise InputError(msg) from error
    if "row_type" in header or "source_id" in header:
        return read_submission(path)
    return {path.stem: _convert_table(read_point_table(path, read_delimited(path)))}


def _convert_table(points: PointTable) -> PointGraph:
    ndim = points.ndim
    position = points.position[:, -ndim:]
    ids = np.arange(len(points.frame))
    return PointGraph(ids, points.frame, position, points.source, points.target, (1.0,) * ndim, points.unit or "pixel")
