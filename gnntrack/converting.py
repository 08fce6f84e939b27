"""Recipe of ``gnntrack convert``: the tracks of one format in another one.

Each format is read by `gnntrack.loading`, `gnntrack.importing` or `gnntrack.io.point_tables`, and written by a writer
of `gnntrack.io.writers`. Points without masks (tables, TrackMate's spots without outlines) become cells at these
points, as long as the other format needs no masks.
"""

from __future__ import annotations

import logging
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from gnntrack.components import count_within_frames
from gnntrack.errors import InputError
from gnntrack.importing import TrackSource, convert_points, import_tracks, place_spots
from gnntrack.io.delimited import read_delimited
from gnntrack.io.losses import list_losses
from gnntrack.io.output import refuse_source, try_output
from gnntrack.io.point_tables import PointTable, is_point_table, read_point_table
from gnntrack.io.source_formats import POINTS_OF_TRACKS, SOURCES
from gnntrack.io.track_tables import is_cell_table, is_edge_table, link_cell_table, read_edges
from gnntrack.io.trackmate import Spots, is_trackmate_table, read_trackmate_csv
from gnntrack.io.trackmate_xml import read_trackmate_xml
from gnntrack.io.writers import WRITERS
from gnntrack.lineage.build import number_tracks
from gnntrack.lineage.merges import split_merges
from gnntrack.loading import load
from gnntrack.options import accept_options
from gnntrack.pipeline import export
from gnntrack.pixel_sizes import expand_spacing
from gnntrack.provenance import Provenance
from gnntrack.results import find_point_result, find_result
from gnntrack.settings import Settings
from gnntrack.types import Cells, Lineage, Tracks

if TYPE_CHECKING:
    from gnntrack.io.delimited import TextTable
    from gnntrack.types import FloatArray, IntArray

__all__ = ["Conversion", "choose_format", "convert"]

_log = logging.getLogger(__name__)

_SUFFIXES = {".geff": "geff", ".xml": "trackmate", ".csv": "napari"}
_TABLES = (".csv", ".tsv", ".txt")
_OF_TABLES = ("napari", "edges", "laptrack", "btrack", "points", "mastodon")


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
    source_format: str | None = None,
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
        Name of a format in `gnntrack.io.writers.WRITERS`. By default that of the name of `out`, see `choose_format`.
    source_format : str, optional
        Format of the source, a name of `gnntrack.io.source_formats.SOURCES`, if its content does not show it. By
        default it is found by the content.
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
    refuse_source(out, source)
    try_output(out, overwrite=overwrite)
    path, kind = _locate(Path(source).expanduser(), source_format)
    lineage, drawn = _read(_Source(path, kind, masks, needed, settings, progress))
    given = None if drawn else masks
    if needed and given is None and not lineage.has_masks:
        msg = f"{source}: it has no masks, and the format {to} is made of masks; give them with masks (--masks)"
        if lineage.cells.points:
            drawing = f"gnntrack export {shlex.quote(str(source))} --to {to} --radius R -o {shlex.quote(str(out))}"
            msg = f"{source}: points without masks, and format {to} is made of masks; {drawing} draws balls of radius R"
        raise InputError(msg)
    lost = list_losses(lineage, to)
    written = export(lineage, out, masks=given, to=to, settings=settings, overwrite=overwrite, progress=progress)
    return Conversion(written, to, lost)


def choose_format(out: str | Path) -> str:
    """Return the format that a path stands for.

    ``.geff`` is GEFF, ``.xml`` TrackMate, ``.csv`` the table for napari, and a name that ends in RES a CTC result. A
    table has the format that stands before its suffix, such as ``tracks.btrack.csv``.

    Raises
    ------
    InputError
        If it stands for none, or for several.

    Examples
    --------
    >>> [choose_format(name) for name in ("a.geff", "tracks.xml", "movie/01_RES", "a.csv", "a.edges.csv")]
    ['geff', 'trackmate', 'ctc', 'napari', 'edges']
    """
    path = Path(out)
    suffix = path.suffix.lower()
    named = Path(path.stem).suffix.lower().removeprefix(".")
    if suffix in _TABLES and named in _OF_TABLES:
        return named
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if not suffix and path.name.upper().endswith("RES"):
        return "ctc"
    choices = f"--to {', '.join(_OF_TABLES[:-1])} or {_OF_TABLES[-1]}"
    if suffix not in _TABLES:
        choices = "--to ctc for masks, --to csv for a folder of tables"
    msg = f"{out}: the format of this name is not clear; choose it with to ({choices})"
    raise InputError(msg)


@dataclass(frozen=True)
class _Source:
    """A file or folder of tracks, and the choices for reading it."""

    path: Path
    kind: str
    """Its format: a name of `SOURCES`, or ``table`` or ``points`` for a table of any program."""
    masks: object
    needs_masks: bool
    """Whether the other format consists of masks."""
    settings: Settings
    progress: Any

    @property
    def only_points(self) -> bool:
        """Whether points without masks are enough."""
        return self.masks is None and not self.needs_masks


def _locate(path: Path, kind: str | None) -> tuple[Path, str]:
    """Return the file or folder that is read, and its format."""
    if kind is not None and kind not in SOURCES:
        msg = f"source_format {kind!r}: expected one of {', '.join(SOURCES)}"
        raise InputError(msg)
    if not path.exists():
        msg = f"{path}: no such file or folder; check the path"
        raise InputError(msg)
    if (path / "cells.csv").is_file() and (kind in POINTS_OF_TRACKS or not (kind or _holds_lineage(path))):
        path = path / "cells.csv"
    return path, kind or _guess_format(path)


def _guess_format(path: Path) -> str:
    """Return the format of a file or folder by its suffix and its content."""
    suffix = path.suffix.lower()
    if suffix in _TABLES:
        return "table"
    if suffix == ".xml":
        return "trackmate"
    return "geff" if _holds_lineage(path) else "masks"


def _holds_lineage(path: Path) -> bool:
    """Return whether `gnntrack.load` reads a path; the masks of others are tracks if labels are."""
    if not path.is_dir():
        return False
    stored = [path, path / "lineage.geff", *path.glob("*.geff")]
    names = (".zattrs", ".zgroup", "zarr.json")
    if find_result(path) is not None or find_point_result(path) is not None:
        return True
    return any((each / name).is_file() for each in stored for name in names)


def _read(source: _Source) -> tuple[Lineage, bool]:
    """Return the lineage of a file or folder, and whether it holds the masks that are given."""
    path, settings = source.path, source.settings
    if source.kind in {"ctc", "geff"}:
        frames = settings.frames
        return load(path, spacing=frames.spacing, interval=frames.interval, points=source.only_points), False
    if source.kind == "masks":
        if source.masks is not None:
            msg = f"{path}: masks, and masks are given too; omit masks (--masks), or give a table of tracks"
            raise InputError(msg)
        return _import(source, TrackSource(path)), True
    if source.kind == "trackmate" and path.suffix.lower() not in _TABLES:
        spots = read_trackmate_xml(path)
        if source.only_points and not spots.outlines:
            return _place_spots(spots, path, settings), False
        return _import(source, place_spots(spots, source.masks, None, path, settings)), True
    return _read_table(source, read_delimited(path))


def _read_table(source: _Source, table: TextTable) -> tuple[Lineage, bool]:
    """Return the lineage of a table: of the masks if they are given, else of its points."""
    path, settings = source.path, source.settings
    kind = source.kind
    if kind == "table":
        kind = _guess_table(path, table, with_masks=source.masks is not None)
    if kind in {"edges", "cells"}:
        links = read_edges(path, table) if kind == "edges" else link_cell_table(path, table)
        return _import(source, TrackSource(_take_masks(source), links, complete=True)), True
    if kind == "trackmate":
        spots = read_trackmate_csv(path)
        if source.only_points:
            return _place_spots(spots, path, settings), False
        return _import(source, place_spots(spots, source.masks, None, path, settings)), True
    points = read_point_table(path, table, parents=_name_parents(kind))
    if source.only_points:
        return _place_points(points, path, settings), False
    spots = convert_points(points, path, settings)
    return _import(source, place_spots(spots, _take_masks(source), None, path, settings)), True


def _take_masks(source: _Source) -> object:
    if source.masks is None:
        msg = f"{source.path}: a table has no pixels; give the masks of its cells with masks (--masks)"
        raise InputError(msg)
    return source.masks


def _import(source: _Source, tracks: TrackSource) -> Lineage:
    return import_tracks(tracks, settings=source.settings, progress=source.progress)


def _guess_table(path: Path, table: TextTable, *, with_masks: bool) -> str:
    """Return the format of a table by its columns; ``points`` is that of any program."""
    if is_trackmate_table(path, table):
        return "trackmate"
    if is_edge_table(path, table):
        return "edges"
    labels = is_cell_table(path, table)
    return "cells" if labels and (with_masks or not is_point_table(path, table)) else "points"


def _name_parents(kind: str) -> Literal["tracks", "cells"] | None:
    if kind == "points":
        return None
    return "cells" if kind == "mastodon" else "tracks"


def _place_points(points: PointTable, path: Path, settings: Settings) -> Lineage:
    """Return points as cells, in um if the table or the settings give the size of a pixel."""
    ndim = points.ndim
    given = settings.frames.spacing
    spacing = None if given is None else expand_spacing(given, ndim, str(path))
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


def _place_spots(spots: Spots, path: Path, settings: Settings) -> Lineage:
    """Return the spots of TrackMate as cells of their diameter."""
    flat = not spots.position[:, 0].any() and (spots.shape is None or spots.shape[0] == 1)
    ndim = 2 if flat else 3
    spacing, given = (spots.spacing or (1.0,) * 3)[-ndim:], settings.frames.spacing
    if given is not None and spots.unit == "um":
        spacing = expand_spacing(given, ndim, str(path))
    label = count_within_frames(spots.frame) if spots.label is None else spots.label
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
    links = np.column_stack([row[spots.source], row[spots.target]])
    source, target, fusions = split_merges(cells, links, spots.fused)
    track, tracks = number_tracks(cells.frame, source, target)
    provenance = Provenance(method="imported", interval=settings.frames.interval or spots.interval)
    ends = [np.column_stack([spots.frame[rows], label[rows]]) for rows in (spots.source, spots.target)]
    known = TrackSource(None, np.hstack(ends), spots.confidence)
    confidence = known.find_confidence(cells, source, target)
    return Lineage(cells, track, tracks, source, target, confidence, provenance, fusions)


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
