"""Recipe of ``gnntrack import``: a lineage from tracks that another program made.

=========================  =========================================================================================
source                     tracks
=========================  =========================================================================================
masks                      one label per cell for the whole movie (Cell-ACDC, DeLTA, Trackastra, btrack, ...)
TrackMate ``.xml``         spots, or their outlines, and edges
TrackMate ``.csv``         its table of spots, with its table of edges or without it
table ``.csv`` and masks   columns frame, label, track, and parent if cells divide; links; points of other programs
result                     a folder of the Cell Tracking Challenge, or a GEFF: see `gnntrack.load`
=========================  =========================================================================================
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.components import count_within_frames
from gnntrack.errors import FormatError, InputError
from gnntrack.io.ctc_names import TRACK_TABLES
from gnntrack.io.delimited import read_delimited
from gnntrack.io.frames import open_frames
from gnntrack.io.limits import MAX_FRAMES
from gnntrack.io.mask_checks import check_images
from gnntrack.io.output import refuse_source, try_output
from gnntrack.io.point_tables import is_point_table, read_point_table
from gnntrack.io.spot_masks import draw_spots
from gnntrack.io.track_tables import is_cell_table, is_edge_table, link_cell_table, read_edges, read_parents
from gnntrack.io.trackmate import Spots, is_trackmate_table, read_trackmate_csv
from gnntrack.io.trackmate_xml import read_trackmate_xml
from gnntrack.io.writers import CellMasks
from gnntrack.lineage.build import number_tracks
from gnntrack.lineage.merges import split_merges
from gnntrack.lineage.repair import repair_movie
from gnntrack.loading import load
from gnntrack.mask_repairs import collect_repairs
from gnntrack.measure.cells import measure_cells
from gnntrack.movie import open_movie
from gnntrack.options import accept_options
from gnntrack.pixel_sizes import expand_spacing
from gnntrack.plurals import count_noun
from gnntrack.provenance import Provenance
from gnntrack.result_files import RunRecord, write_result
from gnntrack.results import find_point_result
from gnntrack.settings import Settings
from gnntrack.types import Fusions, Lineage
from gnntrack.user_warnings import record_warnings

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.io.point_tables import PointTable
    from gnntrack.types import BoolArray, Cells, FloatArray, FrameStack, IntArray

__all__ = ["TrackSource", "convert_points", "import_tracks", "place_spots"]

_log = logging.getLogger(__name__)
_MOST_JUMPS = 0.5  # fraction of links longer than two cell diameters, if labels follow cells
_MOST_PIXELS = 2**31
_MOST_GUESSED = 2**28  # pixels of a frame whose size is not known but by its spots
_FEWEST_LINKS = 8  # to judge labels by
_TABLES = {".csv", ".tsv", ".txt"}
_TWO_MASKS = "the source is masks, and masks are given too; omit masks (--masks), or give a table of tracks"
_SPREADSHEETS = {".xlsx", ".xls", ".ods"}


@accept_options("frames", "cells", "repair")
def import_tracks(
    source: object,
    *,
    masks: object = None,
    images: object = None,
    links: str | Path | None = None,
    out: str | Path | None = None,
    settings: Settings | None = None,
    overwrite: bool = False,
    progress: Any = None,
    **options: Any,  # noqa: ARG001  (they are in the settings)
) -> Lineage:
    """Read the tracks of another program, and write them as `gnntrack.track` writes its own.

    Parameters
    ----------
    source : path, array or FrameStack
        Masks whose labels are the same in every frame, a TrackMate file (``.xml``), its table of spots (``.csv``), a
        table with the columns frame, label, track, of links or of points (``.csv``, with `masks`; see
        `gnntrack.io.point_tables`), a CTC result, or a GEFF.
    masks : path, array or FrameStack, optional
        Masks of the spots of TrackMate: each spot is the mask at its centre. By default, its outline or a disc (in 3D
        a ball) is drawn. Needed for a table.
    images : path, array or FrameStack, optional
        Images, for intensities.
    links : path, optional
        CSV of links: beside TrackMate's table of spots its table of edges; beside masks whose cells divide a table with
        the columns track and parent.
    out : path, optional
        Folder of the result.
    settings, overwrite, progress, **options
        As in `gnntrack.track`, such as ``spacing`` or ``fill_gaps=False``.

    Returns
    -------
    Lineage
        All links have confidence 1. It holds its masks: see `gnntrack.Lineage.labels`.

    Raises
    ------
    InputError
        If the source cannot be read, its labels are not those of tracks, or masks are missing.
    OutputError
        If `out` exists or cannot be written.

    Examples
    --------
    >>> masks = np.zeros((4, 30, 30), np.uint8)
    >>> masks[:, 5:11, 5:11], masks[:, 20:26, 5:11] = 7, 3
    >>> import_tracks(masks).track.tolist()
    [1, 2, 1, 2, 1, 2, 1, 2]
    """
    settings = settings or Settings()
    run = RunRecord(images, source, settings)
    with record_warnings() as run.warnings:
        if out is not None:
            refuse_source(out, source)
            try_output(out, overwrite=overwrite)
        tracked = _open_tracked(source, masks, images, links, settings)
        # labels are identities: a cell in two pieces stays one cell
        checked = settings.replace(cells__fragments="keep")
        trusted = settings.frames.trust_masks
        movie = open_movie(
            images, tracked.masks, settings=checked.replace(frames__trust_masks=trusted or tracked.drawn)
        )
        if movie.images is not None:
            check_images(movie.images, trusted=trusted)
        cells, runs, _ = measure_cells(movie.masks, images=movie.images, settings=checked.cells, progress=progress)
        source_row, target_row, fusions = tracked.find_links(cells)
        track, tracks = number_tracks(cells.frame, source_row, target_row)
        confidence = tracked.find_confidence(cells, source_row, target_row)
        interval = settings.frames.interval or tracked.interval or movie.interval
        provenance = Provenance(method="imported", interval=interval)
        lineage = Lineage(cells, track, tracks, source_row, target_row, confidence, provenance, fusions)
        # a cell of one frame is a cell, if the user does not choose otherwise
        joined = settings if "join_pieces" in settings.repair.given else settings.replace(repair__join_pieces=False)
        repaired = repair_movie(lineage, runs, settings=joined.repair, images=movie.images)
        if out is not None:
            run.names, run.channel = movie.names, movie.channel
            write_result(out, repaired, images=movie.images, channels=movie.channels, run=run, overwrite=overwrite)
        own = repaired.lineage.with_masks(CellMasks(repaired.runs, repaired.fills, movie.names))
        return own.with_repairs(collect_repairs(repaired))


@dataclass(frozen=True)
class TrackSource:
    """Masks, and the links between their cells.

    Parameters
    ----------
    masks : object
        As for `gnntrack.track`.
    links : (L, 4) int64, optional
        Frame and label of both ends of each link; None: cells with the same label are linked.
    confidence : (L,) float32, optional
        Confidence of each link; by default 1.
    fused : (L,) bool, optional
        Links that are fusions; by default merges are recognised, see `gnntrack.lineage.merges.split_merges`.
    parents : mapping
        Label -> label of the parent, for labels that are tracks.
    interval : float, optional
        Seconds from a frame to the next.
    complete : bool
        Whether each end of a link is expected to be in the masks.
    drawn : bool
        Whether the masks were drawn here, so that they need no check.
    """

    masks: object
    links: IntArray | None = None
    confidence: npt.NDArray[np.float32] | None = None
    fused: BoolArray | None = None
    parents: Mapping[int, int] = field(default_factory=dict)
    interval: float | None = None
    complete: bool = False
    drawn: bool = False

    def find_links(self, cells: Cells) -> tuple[IntArray, IntArray, Fusions]:
        """Return the links as rows of cells, from earlier to later ones, at most one into a cell, and the fusions."""
        if self.links is None:
            _check_identities(cells, *_link_labels(cells, {}))  # before parents, which numbers by frame cannot fit
            return (*_link_labels(cells, self.parents), Fusions())
        highest = int(self.links[:, ::2].max(initial=0))
        if highest >= cells.n_frames:
            msg = (
                f"the tracks name frame {highest}, and the movie has the frames 0 to {cells.n_frames - 1}; "
                "count frames from 0, and give the masks of this movie"
            )
            raise FormatError(msg)
        rows = np.stack([cells.row_of(self.links[:, k], self.links[:, k + 1]) for k in (0, 2)], axis=1)
        lost = int((rows < 0).any(axis=1).sum())
        if lost and lost == len(rows) and self.complete:
            msg = (
                "no link of the table is between two cells of the masks; count frames from 0, and give the masks whose "
                "labels the column label names"
            )
            raise FormatError(msg)
        if lost and self.complete:
            _log.warning("%d of %s not used: a cell is named that is in no mask", lost, count_noun(len(rows), "link"))
        known = (rows >= 0).all(axis=1)
        return split_merges(cells, rows[known], None if self.fused is None else self.fused[known])

    def find_confidence(self, cells: Cells, source: IntArray, target: IntArray) -> npt.NDArray[np.float32]:
        """Return the confidence of links between rows of cells, which `find_links` returned; 1 if it is not known."""
        found = np.ones(len(source), np.float32)
        if self.links is None or self.confidence is None:
            return found
        ends = [cells.row_of(self.links[:, k], self.links[:, k + 1]) for k in (0, 2)]
        pairs = [tuple(sorted(pair)) for pair in zip(*(rows.tolist() for rows in ends), strict=True)]
        known = dict(zip(pairs, self.confidence.tolist(), strict=True))
        wanted = zip(source.tolist(), target.tolist(), strict=True)  # rows are by frame, so that the source is lower
        found[:] = [known.get(pair, 1.0) for pair in wanted]
        return found


def _open_tracked(
    source: object, masks: object, images: object, links: str | Path | None, settings: Settings
) -> TrackSource:
    """Open the tracks of any source."""
    if isinstance(source, TrackSource):
        return source
    if not isinstance(source, str | Path):
        return _open_labels(source, masks, links)
    path = Path(source).expanduser()
    suffix = path.suffix.lower()
    if suffix in _SPREADSHEETS:
        msg = f"{path}: a spreadsheet; save the table as CSV, and import that"
        raise InputError(msg)
    if suffix in _TABLES:
        return _open_table(path, masks, images, links, settings)
    if suffix == ".xml":
        _refuse_links(links, path, "a TrackMate file")
        if not path.is_file():
            msg = f"{path}: no such file; check the path"
            raise InputError(msg)
        return place_spots(read_trackmate_xml(path), masks, images, path, settings)
    if suffix == ".geff" or _has_track_table(path) or find_point_result(path) is not None:
        _refuse_links(links, path, "a result")
        return _open_result(load(path, spacing=settings.frames.spacing), masks, path)
    return _open_labels(source, masks, links)


def _open_table(path: Path, masks: object, images: object, links: str | Path | None, settings: Settings) -> TrackSource:
    """Open a table of cells, or TrackMate's table of spots."""
    table = read_delimited(path)
    if is_edge_table(path, table):
        _refuse_links(links, path, "a table of links")
        return TrackSource(_need_masks(masks, path), read_edges(path, table), complete=True)
    if is_cell_table(path, table):
        cell_links = link_cell_table(path, table, read_parents(links))
        return TrackSource(_need_masks(masks, path), cell_links, complete=True)
    if not is_trackmate_table(path, table) and is_point_table(path, table):
        _refuse_links(links, path, "a table of points")
        spots = convert_points(read_point_table(path, table), path, settings)
        return place_spots(spots, _need_masks(masks, path), images, path, settings)
    return place_spots(read_trackmate_csv(path, links), masks, images, path, settings)


def convert_points(points: PointTable, path: Path, settings: Settings) -> Spots:
    """Return the points of a table as spots; they are in pixels unless the names of the columns have the unit um."""
    unit, size = points.unit or "pixel", settings.frames.spacing
    if unit == "um" and size is None:
        msg = f"{path}: its positions are in um; give the size of a pixel with spacing (--spacing)"
        raise InputError(msg)
    return Spots(points.frame, points.position, np.ones(len(points.frame)), points.source, points.target, unit=unit)


def _refuse_links(links: object, path: Path, kind: str) -> None:
    if links is not None:
        msg = f"{path}: {kind} holds its links, and a table of links is given too; omit links (--links)"
        raise InputError(msg)


def _open_labels(source: object, masks: object, links: str | Path | None) -> TrackSource:
    if masks is not None:
        raise InputError(_TWO_MASKS)
    return TrackSource(source, parents=read_parents(links))


def _open_result(lineage: Lineage, masks: object, path: Path) -> TrackSource:
    """Return the masks of a result with its links; the labels of its masks are tracks."""
    if masks is None and getattr(lineage, "_masks", None) is None:
        msg = f"{path}: a lineage without masks beside it; give the masks that it was made from (--masks)"
        raise InputError(msg)
    cells, (*rows, _) = lineage.cells, lineage.list_edges()
    ends = [np.column_stack([cells.frame[row], lineage.track[row]]) for row in rows]
    fused = np.arange(len(rows[0])) >= len(lineage.source)
    return TrackSource(lineage.labels(masks), np.hstack(ends), fused=fused, interval=lineage.provenance.interval)


def _has_track_table(path: Path) -> bool:
    """Return whether a folder is a result or a ground truth of the Cell Tracking Challenge."""
    return any((path / part / name).is_file() for part in ("", "TRA") for name in TRACK_TABLES.values())


def _need_masks(masks: object, path: Path) -> object:
    if masks is None:
        msg = f"{path}: a table of tracks has no pixels; give the masks whose labels it names (--masks)"
        raise InputError(msg)
    return masks


def _link_labels(cells: Cells, parents: Mapping[int, int]) -> tuple[IntArray, IntArray]:
    """Return links from each cell to the next one with its label, and from parents to daughters."""
    order = np.lexsort((cells.frame, cells.label))
    same = cells.label[order[1:]] == cells.label[order[:-1]]
    source, target = order[:-1][same], order[1:][same]
    first = {int(cells.label[row]): int(row) for row in order[::-1]}
    last = {int(cells.label[row]): int(row) for row in order}
    born = []
    for label, parent in _select_known(parents, first.keys()):
        if cells.frame[last[parent]] >= cells.frame[first[label]]:
            msg = f"track {label} begins before its parent {parent} ends; correct the table of parents"
            raise FormatError(msg)
        born.append((last[parent], first[label]))
    extra = np.array(born, np.int64).reshape(-1, 2)
    return np.append(source, extra[:, 0]), np.append(target, extra[:, 1])


def _select_known(parents: Mapping[int, int], tracks: Collection[int]) -> list[tuple[int, int]]:
    """Return the tracks and their parents that are in the masks; a warning names others."""
    known = [pair for pair in parents.items() if set(pair) <= set(tracks)]
    if len(known) < len(parents):
        lost = next(label for pair in parents.items() for label in pair if label not in tracks)
        _log.warning(
            "%d of %s of the table of parents not used: a track is named that is in no mask, such as %d",
            len(parents) - len(known),
            count_noun(len(parents), "row"),
            lost,
        )
    return known


def _check_identities(cells: Cells, source: IntArray, target: IntArray) -> None:
    """Raise if labels jump about, as they do if each frame is numbered for itself."""
    near = cells.frame[target] - cells.frame[source] == 1
    if near.sum() < _FEWEST_LINKS:
        return
    shift = np.linalg.norm(cells.position[target] - cells.position[source], axis=1)[near]
    far = float((shift > 2 * cells.feature("diameter")[source][near]).mean())
    if far > _MOST_JUMPS:
        msg = (
            f"{100 * far:.0f} % of the labels are farther away in the next frame than two cell diameters: these labels "
            "do not follow cells, each frame is numbered for itself; track the masks with 'gnntrack track'"
        )
        raise FormatError(msg)


def place_spots(spots: Spots, masks: object, images: object, path: Path, settings: Settings) -> TrackSource:
    """Return the masks of spots: those at their centres, or drawn ones, and the links between them.

    Raises
    ------
    InputError
        If no spot lies on a mask, or the spots do not fit the size of the images.
    """
    stack = None
    if masks is not None:
        stack = open_movie(None, masks, settings=settings).masks
    elif images is not None:
        stack = open_frames(images, **settings.frames.select_for_images())
    ndim = _count_dimensions(spots, stack)
    spacing = _find_spacing(spots, stack, ndim, path, settings)
    pixel = spots.position[:, -ndim:] / np.array(spacing[-ndim:])
    if masks is not None and stack is not None:
        label = _read_labels(spots, pixel, stack, path)
        placed: object = stack
    else:
        shape = tuple(stack.shape) if stack is not None else _find_shape(spots, pixel, spacing, ndim, path)
        n_frames = len(stack) if stack is not None else spots.n_frames or int(spots.frame.max()) + 1
        _check_extent(spots, pixel, shape, n_frames, path, known=stack is not None)
        label = count_within_frames(spots.frame) if spots.label is None else spots.label
        placed = draw_spots(spots, pixel, label, shape, spacing[-ndim:], n_frames)
    _report_shared_places(spots, label, pixel, path, drawn=masks is None)
    ends = np.hstack([np.column_stack([spots.frame[rows], label[rows]]) for rows in (spots.source, spots.target)])
    different = (ends[:, :2] != ends[:, 2:]).any(axis=1)
    links, first = np.unique(ends[different], axis=0, return_index=True)  # spots that share a mask share its links
    confidence, fused = (
        None if values is None else values[different][first] for values in (spots.confidence, spots.fused)
    )
    return TrackSource(placed, links, confidence, fused, interval=spots.interval, drawn=masks is None)


def _report_shared_places(spots: Spots, label: IntArray, pixel: FloatArray, path: Path, *, drawn: bool) -> None:
    """Warn of spots that are in one mask, or so near to each other that their drawn masks cover each other."""
    place = np.rint(pixel).astype(np.int64) if drawn else label[:, None]
    alone = np.ones(len(label), bool)
    alone[list(spots.outlines) if drawn else []] = False  # two outlines may have one centre, such as a cell in a hole
    frames = spots.frame[alone]
    _, first, count = np.unique(np.column_stack([frames, place[alone]]), axis=0, return_index=True, return_counts=True)
    shared = (count > 1) & (drawn | (label[alone][first] > 0))
    if not shared.any():
        return
    n, frame = int(count[shared].sum()), int(frames[first[shared][0]])
    if drawn:
        text = "have the same place as another spot; the masks of some of them are a pixel: give the masks (--masks)"
    else:
        text = "share their mask with another spot: the mask covers several cells, which become one"
    _log.warning("%s: %d of %s, such as in frame %d, %s", path, n, count_noun(len(label), "spot"), frame, text)


def _check_extent(
    spots: Spots, pixel: FloatArray, shape: tuple[int, ...], n_frames: int, path: Path, *, known: bool
) -> None:
    """Refuse spots that cannot be drawn: a movie too large for memory, or spots that are all outside of it."""
    most = _MOST_GUESSED if spots.shape is None and not known else _MOST_PIXELS
    if min(shape) < 1 or math.prod(shape) > most or n_frames > MAX_FRAMES:
        size = f"{count_noun(n_frames, 'frame')} of {shape} pixels"
        msg = f"{path}: it needs {size}; correct its frames and positions, or give --images, --masks or --spacing"
        raise InputError(msg)
    outside = ((pixel < -0.5) | (pixel > np.array(shape) - 0.5)).any(axis=1) | (spots.frame >= n_frames)
    if outside.all():
        size = f"{count_noun(n_frames, 'frame')} of {shape} pixels"
        msg = f"{path}: every spot is outside of {size}; give --spacing, or the right images"
        raise InputError(msg)
    if outside.any():
        spots_outside = f"{outside.sum()} of {count_noun(len(outside), 'spot')}"
        _log.warning("%s: outside of the images: %s; check --spacing", path, spots_outside)


def _count_dimensions(spots: Spots, stack: FrameStack | None) -> int:
    if stack is not None:
        return len(stack.shape)
    deep = spots.shape is not None and spots.shape[0] > 1
    return 3 if deep or (spots.shape is None and np.ptp(spots.position[:, 0]) > 0) else 2


def _find_spacing(
    spots: Spots, stack: FrameStack | None, ndim: int, path: Path, settings: Settings
) -> tuple[float, ...]:
    """Return the size of a pixel along z, y, x in the unit of the spots."""
    if spots.unit == "pixel":
        return spots.spacing or (1.0, 1.0, 1.0)
    if settings.frames.spacing is not None:
        return (1.0,) * (3 - ndim) + expand_spacing(settings.frames.spacing, ndim, str(path))
    if spots.spacing is not None:
        return spots.spacing
    if stack is not None and stack.unit == "um":
        return (1.0,) * (3 - len(stack.spacing)) + tuple(stack.spacing)
    return (1.0, 1.0, 1.0)


def _find_shape(spots: Spots, pixel: FloatArray, spacing: tuple[float, ...], ndim: int, path: Path) -> tuple[int, ...]:
    """Return the size of the frames, from the file or from the spots."""
    if spots.shape is not None:
        return spots.shape[-ndim:]
    reach = pixel + spots.radius[:, None] / np.array(spacing[-ndim:])
    shape = tuple(int(side) for side in np.ceil(reach.max(axis=0)) + 1)
    message = (
        f"{path}: the size of the images and of their pixels is not in a table; masks of {shape} pixels are drawn, as "
        "large as the spots need: give --images or --masks, and --spacing if the positions are not in pixels"
    )
    _log.warning(message)
    return shape


def _read_labels(spots: Spots, pixel: FloatArray, stack: FrameStack, path: Path) -> IntArray:
    """Return the label of the mask at the centre of each spot, 0 = none, shape (N,)."""
    label = np.zeros(len(spots.frame), np.int64)
    place = np.rint(pixel).astype(np.int64)
    inside = ((place >= 0) & (place < np.array(stack.shape))).all(axis=1) & (spots.frame < len(stack))
    for frame in np.unique(spots.frame[inside]).tolist():
        rows = np.flatnonzero(inside & (spots.frame == frame))
        label[rows] = stack[frame][tuple(place[rows].T)]
    lost = int((label == 0).sum())
    if lost == len(label):
        msg = f"{path}: no spot lies on a mask; the masks are of another movie, or --spacing is missing or wrong"
        raise InputError(msg)
    if lost:
        all_spots = count_noun(len(label), "spot")
        _log.warning("%s: %d of %s without a mask below; links of such spots are not used", path, lost, all_spots)
    return label
