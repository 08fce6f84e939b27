"""Recipe of ``gnntrack convert``: the tracks of one format in another one.

Each format is read by `gnntrack.loading`, `gnntrack.importing` or `gnntrack.io.point_tables`, and written by a writer
of `gnntrack.io.writers`. Points without masks (tables, TrackMate's spots without outlines) become cells at these
points, as long as the other format needs no masks.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.errors import InputError
from gnntrack.importing import drop_merges, import_tracks
from gnntrack.io.delimited import read_delimited
from gnntrack.io.losses import list_losses
from gnntrack.io.output import try_output
from gnntrack.io.point_tables import PointTable, is_point_table, read_point_table
from gnntrack.io.spot_masks import count_within_frames
from gnntrack.io.track_tables import is_cell_table, is_edge_table
from gnntrack.io.trackmate import Spots, is_trackmate_table, read_trackmate_csv
from gnntrack.io.trackmate_xml import read_trackmate_xml
from gnntrack.io.writers import WRITERS
from gnntrack.lineage.build import number_tracks
from gnntrack.loading import load
from gnntrack.options import accept_options
from gnntrack.pipeline import export
from gnntrack.plurals import count_noun
from gnntrack.provenance import Provenance
from gnntrack.results import find_result
from gnntrack.settings import Settings
from gnntrack.types import Cells, Lineage, Tracks

if TYPE_CHECKING:
    from gnntrack.types import FloatArray, IntArray

__all__ = ["Conversion", "choose_format", "convert"]

_log = logging.getLogger(__name__)

_SUFFIXES = {".geff": "geff", ".xml": "trackmate"}
_TABLES = (".csv", ".tsv", ".txt")
_OF_TABLES = "napari, edges, laptrack, btrack or mastodon"


class Conversion(NamedTuple):
    """Tracks that were converted."""

    lineage: Lineage
    """As it was written."""
    to: str
    """The format, a name of `gnntrack.io.writers.WRITERS`."""
    lost: list[str]
    """What the source has and the format does not hold."""


@accept_options("frames")
def convert(
    source: str | Path,
    out: str | Path,
    *,
    to: str | None = None,
    masks: object = None,
    settings: Settings | None = None,
    overwrite: bool = False,
    progress: Any = None,
    **options: Any,  # noqa: ARG001  (they are in the settings)
) -> Conversion:
    """Write the tracks of a file or folder in another format.

    Parameters
    ----------
    source : path
        A result or ground truth of the Cell Tracking Challenge (CTC), a GEFF, a TrackMate file (``.xml``), the folder
        or ``cells.csv`` of ``export --to csv``, a table of points of napari, btrack, LapTrack, trackpy or Mastodon, or
        with `masks` a table of links, or of frame, label and track.
    out : path
        The file or folder to make.
    to : str, optional
        Name of a format in `gnntrack.io.writers.WRITERS`. By default ``geff`` for the suffix ``.geff``, ``trackmate``
        for ``.xml``, and ``ctc`` for a name that ends in RES.
    masks : path, array or FrameStack, optional
        Masks of the cells, if the source does not hold them.
    settings, overwrite, progress, **options
        As in `gnntrack.track`, such as ``spacing`` and ``interval``, for tables that do not hold them.

    Returns
    -------
    Conversion
        The lineage, and what is lost.

    Raises
    ------
    InputError
        If the source cannot be read, the format is not clear, or masks are missing.
    OutputError
        If `out` exists or cannot be written.

    Examples
    --------
    >>> import tempfile, gnntrack
    >>> masks = np.zeros((3, 20, 20), np.uint8)
    >>> masks[:, 5:11, 5:11] = 7
    >>> folder = Path(tempfile.mkdtemp())
    >>> lineage = gnntrack.track(masks=masks, out=folder / "01_RES", spacing=0.5)
    >>> convert(folder / "01_RES", folder / "tracks.csv", to="napari").lost[0]
    'masks'
    >>> convert(folder / "tracks.csv", folder / "tracks.geff", spacing=0.5).lineage
    <Lineage: 1 track, 0 divisions, 3 cells in 3 frames of 9 x 9 pixels, by imported>
    """
    settings = (settings or Settings()).replace(repair__join_pieces=False)
    to = to or choose_format(out)
    needed = WRITERS[to].needs_masks
    try_output(out, overwrite=overwrite)
    lineage, drawn = _read(Path(source).expanduser(), masks, settings, progress, needed=needed)
    given = None if drawn else masks
    if needed and given is None and not lineage.has_masks:
        msg = f"{source}: it has no masks, and the format {to} is made of masks; give them with masks (--masks)"
        raise InputError(msg)
    lost = list_losses(lineage, to)
    written = export(lineage, out, masks=given, to=to, settings=settings, overwrite=overwrite, progress=progress)
    return Conversion(written, to, lost)


def choose_format(out: str | Path) -> str:
    """Return the format that a path stands for.

    Raises
    ------
    InputError
        If it stands for none, or for several.

    Examples
    --------
    >>> [choose_format(name) for name in ("a.geff", "tracks.xml", "movie/01_RES")]
    ['geff', 'trackmate', 'ctc']
    """
    path = Path(out)
    suffix = path.suffix.lower()
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if not suffix and path.name.upper().endswith("RES"):
        return "ctc"
    choices = f"--to {_OF_TABLES}" if suffix in _TABLES else "--to ctc for masks, --to csv for a folder of tables"
    msg = f"{out}: the format of this name is not clear; choose it with to ({choices})"
    raise InputError(msg)


def _read(path: Path, masks: object, settings: Settings, progress: Any, *, needed: bool) -> tuple[Lineage, bool]:
    """Return the lineage of a file or folder, and whether it holds the masks that are given."""
    if not path.exists():
        msg = f"{path}: no such file or folder; check the path"
        raise InputError(msg)
    if (path / "cells.csv").is_file() and not _holds_lineage(path):
        path = path / "cells.csv"
    suffix = path.suffix.lower()
    if suffix in _TABLES:
        return _read_table(path, masks, settings, progress, needed=needed)
    if suffix == ".xml" and masks is None and not needed:
        spots = read_trackmate_xml(path)
        if not spots.outlines:
            return _place_spots(spots, settings), False
    if suffix == ".xml" or not _holds_lineage(path):
        return import_tracks(path, masks=masks, settings=settings, progress=progress), True
    return load(path, spacing=settings.frames.spacing), False


def _holds_lineage(path: Path) -> bool:
    """Return whether `gnntrack.load` reads a path; the masks of others are tracks if labels are."""
    if not path.is_dir():
        return False
    stored = [path, path / "lineage.geff", *path.glob("*.geff")]
    names = (".zattrs", ".zgroup", "zarr.json")
    return find_result(path) is not None or any((each / name).is_file() for each in stored for name in names)


def _read_table(path: Path, masks: object, settings: Settings, progress: Any, *, needed: bool) -> tuple[Lineage, bool]:
    """Return the lineage of a table: of its own masks if they are given, else of its points."""
    table = read_delimited(path)
    spots = is_trackmate_table(path, table)
    points = not spots and is_point_table(path, table)
    if masks is not None or needed or not (spots or points):
        if masks is None and (points or is_edge_table(path, table) or is_cell_table(path, table)):
            msg = f"{path}: a table has no pixels; give the masks of its cells with masks (--masks)"
            raise InputError(msg)
        return import_tracks(path, masks=masks, settings=settings, progress=progress), True
    if spots:
        return _place_spots(read_trackmate_csv(path), settings), False
    return _place_points(read_point_table(path, table), path, settings), False


def _place_points(points: PointTable, path: Path, settings: Settings) -> Lineage:
    """Return points as cells, in um if the table or the settings give the size of a pixel."""
    ndim = points.ndim
    spacing = _expand(settings.frames.spacing, ndim)
    unit = "um" if points.unit == "um" or spacing is not None else "pixel"
    position = points.position[:, -ndim:]
    if points.unit == "um" and spacing is None:
        message = "%s: positions in um, and the size of a pixel is not in the table: 1 um is taken; give --spacing"
        _log.warning(message, path)
    elif points.unit != "um" and spacing is not None:
        position = position * np.array(spacing)
    cells, order = _make_cells(points.frame, position, _choose_labels(points), spacing or (1.0,) * ndim, unit)
    row = np.argsort(order)
    source, target = row[points.source], row[points.target]
    if points.track is None:
        track, tracks = number_tracks(cells.frame, source, target)
    else:
        track = points.track[order]
        tracks = Tracks.from_cells(
            track, cells.frame, lambda ids: np.array([points.parent.get(each, 0) for each in ids.tolist()], np.int64)
        )
    sure = np.ones(len(source), np.float32)
    provenance = Provenance(method="imported", interval=settings.frames.interval)
    return Lineage(cells, track, tracks, source, target, sure, provenance)


def _place_spots(spots: Spots, settings: Settings) -> Lineage:
    """Return the spots of TrackMate as cells of their diameter."""
    flat = not spots.position[:, 0].any() and (spots.shape is None or spots.shape[0] == 1)
    ndim = 2 if flat else 3
    given = _expand(settings.frames.spacing, ndim) if spots.unit == "um" else None
    spacing = given or (spots.spacing or (1.0,) * 3)[-ndim:]
    label = count_within_frames(spots.frame)
    bare, order = _make_cells(spots.frame, spots.position[:, -ndim:], label, spacing, spots.unit)
    cells = replace(
        bare,
        features=(2 * spots.radius[order, None]).astype(np.float32),
        feature_names=("diameter",),
        feature_units=(spots.unit,),
        n_frames=max(bare.n_frames, spots.n_frames or 0),
        shape=bare.shape if spots.shape is None else spots.shape[-ndim:],
    )
    row = np.argsort(order)
    links = np.sort(np.column_stack([row[spots.source], row[spots.target]]), axis=1)  # forward: rows are by frame
    later = cells.frame[links[:, 0]] < cells.frame[links[:, 1]]
    source, target = drop_merges(cells, np.unique(links[later], axis=0), len(links))
    track, tracks = number_tracks(cells.frame, source, target)
    provenance = Provenance(method="imported", interval=settings.frames.interval or spots.interval)
    return Lineage(cells, track, tracks, source, target, np.ones(len(source), np.float32), provenance)


def _expand(spacing: Any, ndim: int) -> tuple[float, ...] | None:
    """Return the size of a pixel along each axis."""
    if spacing is None:
        return None
    sides = tuple(np.atleast_1d(spacing).astype(float).tolist())
    if len(sides) not in {1, ndim}:
        msg = f"spacing has {count_noun(len(sides), 'number')}, and the points have {ndim} axes; give {ndim}, or one"
        raise InputError(msg)
    return sides * ndim if len(sides) == 1 else sides


def _make_cells(
    frame: IntArray, position: FloatArray, label: IntArray, spacing: tuple[float, ...], unit: str
) -> tuple[Cells, IntArray]:
    """Return points as cells without measurements, and the point of each cell; the frames reach the farthest point."""
    order = np.lexsort((label, frame))
    reach = np.ceil(np.maximum(position.max(axis=0) / np.array(spacing), 0)).astype(int) + 1
    none = np.zeros((len(order), 0), np.float32)
    n_frames = int(frame.max()) + 1
    shape = tuple(reach.tolist())
    return Cells(frame[order], label[order], position[order], none, (), (), spacing, n_frames, shape, unit), order


def _choose_labels(points: PointTable) -> IntArray:
    """Return a label for each point that differs from those of its frame: as given, else the tracks."""
    for values in (points.label, points.track):
        if values is not None and len(np.unique(np.column_stack([points.frame, values]), axis=0)) == len(values):
            return values
    return count_within_frames(points.frame)
