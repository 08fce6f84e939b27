"""Results: the cells of the masks that are written, and the files that are written beside them.

The labels of a result are those of its tracks, and its masks contain cells that the input did not have (filled gaps)
and cells of other pixels (merged fragments, split masks). `build_result` makes the table of exactly these cells.

::

    OUT/mask000.tif ..., OUT/res_track.txt   the result in the format of the Cell Tracking Challenge
    OUT/gnntrack/lineage.geff                cells, links, tracks and confidences; refers to the masks
    OUT/gnntrack/cells.csv, tracks.csv       measurements; docs/columns.md describes each column
    OUT/gnntrack/review.csv                  places to check, those with most errors to be expected first
    OUT/gnntrack/repairs.csv                 masks that are not as in the input, each with the reason
    OUT/gnntrack/summary.json                counts, rates, settings, versions, times and warnings
    OUT/gnntrack/edits.json                  the edits that it was solved around, if there are any
    OUT/gnntrack/overlay.png, lineage.png    a frame with its tracks; the lineage tree

Programs for the format read the masks and ``res_track.txt`` by their names, and ignore the folder ``gnntrack``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.errors import FormatError, InputError
from gnntrack.io.ctc import link_tracks, number_masks, read_ctc
from gnntrack.io.ctc_names import find_ctc
from gnntrack.io.ctc_table import read_track_table
from gnntrack.io.drawn_masks import draw_frames, select_frames_in_parts
from gnntrack.io.fingerprints import compute_fingerprint
from gnntrack.io.result_folders import EXTRAS
from gnntrack.io.writers import CellMasks
from gnntrack.json_files import read_json
from gnntrack.masks.runs import flatten_runs, join_frames
from gnntrack.measure.cells import measure_cells
from gnntrack.settings import CellSettings, Settings
from gnntrack.types import MASK_KINDS, Cells, Lineage, MaskOrigins, Runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gnntrack.io.ctc_names import CtcFolder
    from gnntrack.lineage.repair import RepairedMovie
    from gnntrack.types import FeatureArray, FrameStack, IntArray, Tracks

__all__ = [
    "MASK_KINDS",
    "Result",
    "build_result",
    "expect_extras",
    "find_point_result",
    "find_result",
    "load_result",
    "make_written_lineage",
    "read_result",
]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """The cells of a written result.

    Parameters
    ----------
    lineage : Lineage
        The label of each cell is that in the written masks, which is the id of its track. No track has a gap.
    runs : Runs
        The pixels of the cells, as written.
    input_label : (N,) int64
        Label of each cell in the masks that were tracked; 0 for a mask drawn in a gap.
    mask_kind : (N,) int64
        Index into `MASK_KINDS`.
    written_label : (M,) int64
        Label in the written masks of each cell of the lineage that was repaired.
    """

    lineage: Lineage
    runs: Runs
    input_label: IntArray
    mask_kind: IntArray
    written_label: IntArray


def build_result(
    repaired: RepairedMovie, images: FrameStack | None = None, channels: Mapping[str, FrameStack] | None = None
) -> Result:
    """Return the cells of the masks that `gnntrack.io.write_ctc` writes.

    Cells whose masks were changed are measured again, with all cells of their frames.

    Parameters
    ----------
    repaired : RepairedMovie
        Lineage and masks after repair.
    images : FrameStack, optional
        The images, if the cells were measured with them.
    channels : mapping of str to FrameStack, optional
        The images in each channel, if there are several.

    Raises
    ------
    OutputError
        If there are more tracks than 16-bit masks can have labels.

    Examples
    --------
    A cell without a mask in frame 1:

    >>> from gnntrack.io.frames import open_masks
    >>> from gnntrack.lineage.repair import repair_movie
    >>> from gnntrack.settings import RepairSettings
    >>> from gnntrack.types import Tracks
    >>> masks = np.zeros((3, 20, 20), np.uint8)
    >>> masks[[0, 2], 5:11, 5:11] = 7
    >>> cells, runs, _ = measure_cells(open_masks(masks), settings=CellSettings())
    >>> lineage = Lineage(cells, [1, 1], Tracks([1], [0], [2], [0]), [0], [1], [0.9])
    >>> result = build_result(repair_movie(lineage, runs, settings=RepairSettings()))
    >>> result.lineage.cells.frame.tolist(), result.input_label.tolist(), result.mask_kind.tolist()
    ([0, 1, 2], [7, 0, 7], [0, 1, 0])
    """
    old, runs, fills = repaired.lineage, repaired.runs, repaired.fills
    numbering = number_masks(old, runs, fills)
    drawn = numbering.fill_value > 0
    filled = np.unique(np.column_stack([fills.frames()[drawn], numbering.fill_value[drawn]]), axis=0)
    frame = np.concatenate([old.cells.frame, filled[:, 0]])
    label = np.concatenate([numbering.cell_value, filled[:, 1]])
    order = np.lexsort((label, frame))
    row = np.empty(len(order), np.int64)
    row[order] = np.arange(len(order))
    fill_row = np.full(len(fills), -1)
    n = len(old.cells)
    fill_key = fills.frames()[drawn] * (label.max(initial=0) + 1) + numbering.fill_value[drawn]
    fill_row[drawn] = row[n + np.searchsorted(filled[:, 0] * (label.max(initial=0) + 1) + filled[:, 1], fill_key)]
    all_runs = _join_fills(runs, fills, row, fill_row)
    before = old.origins or MaskOrigins(old.cells.label, np.zeros(n, np.int64))  # known if it was a result already
    kind = _find_kinds(repaired)
    kind = np.append(np.where(kind > 0, kind, before.kind), np.full(len(filled), MASK_KINDS.index("filled")))[order]
    cells = _extend_cells(old.cells, frame, label, order)
    cells = _measure_changed(cells, all_runs, np.unique(cells.frame[kind > 0]), images, channels or {})
    kind[row[_find_cut_cells(old)]] = MASK_KINDS.index("split")  # they were measured after they were cut
    input_label = np.append(before.input_label, np.zeros(len(filled), np.int64))[order]
    written = make_written_lineage(old, cells, numbering.tracks, row[:n], MaskOrigins(input_label, kind))
    return Result(written, all_runs, input_label, kind, numbering.cell_value)


def make_written_lineage(old: Lineage, cells: Cells, tracks: Tracks, row: IntArray, origins: MaskOrigins) -> Lineage:
    """Return the lineage of masks that are written.

    Parameters
    ----------
    old : Lineage
        As it was repaired.
    cells : Cells
        The written cells; their labels are the ids of `tracks`, which have no gaps.
    tracks : Tracks
        The table of tracks.
    row : (N,) int64
        Row in `cells` of each cell of `old`; the others were drawn in gaps.
    origins : MaskOrigins
        Of `cells`.
    """
    source, target = link_tracks(cells, tracks)
    confidence = _find_confidence(old, cells, row)[target]
    lineage = Lineage(cells, cells.label, tracks, source, target, confidence, old.provenance)
    # the written masks are read as they are
    gone = dict.fromkeys(
        (
            *("masks_cut", "pieces_joined", "outside_field", "short_removed"),
            *("debris_dropped", "spurious_dropped", "removed_by_edits"),
        )
    )
    provenance = old.provenance.replace(cell_settings={}, **gone)
    fusions = old.fusions.move(row, lineage)
    return replace(lineage, provenance=provenance, fusions=fusions).with_origins(origins)


def _join_fills(runs: Runs, fills: Runs, row: IntArray, fill_row: IntArray) -> Runs:
    """Return the runs of cells and fills with their rows in the table of both; cells cover fills."""
    if not len(fills):
        return replace_rows(runs, row)
    frames = []
    for t in range(len(runs.offsets) - 1):
        above, below = runs.frame(t), fills.frame(t)
        start, length, cell = runs.start[above], runs.length[above], row[runs.cell[above]]
        if below.start != below.stop:
            start, length = np.append(fills.start[below], start), np.append(fills.length[below], length)
            start, length, cell = flatten_runs(runs.shape, start, length, np.append(fill_row[below], cell) + 1)
            cell = cell - 1
        frames.append((start, length, cell))
    return join_frames(frames, runs.shape)


def replace_rows(runs: Runs, row: IntArray) -> Runs:
    """Return the runs with ``row[cell]`` as the row of each."""
    return replace(runs, cell=row[runs.cell])


def _find_kinds(repaired: RepairedMovie) -> IntArray:
    """Return the kind of mask of each cell of the repaired lineage, shape (N,)."""
    cells = repaired.lineage.cells
    kind = np.zeros(len(cells), np.int64)
    merged = np.array(repaired.lineage.provenance.pieces_joined or (), np.int64).reshape(-1, 3)
    for name, frame, label in (("merged", merged[:, 0], merged[:, 2]), ("split", *repaired.split_masks.T)):
        rows = cells.row_of(frame, label)
        kind[rows[rows >= 0]] = MASK_KINDS.index(name)
    return kind


def _find_cut_cells(lineage: Lineage) -> IntArray:
    """Return the rows of the cells of masks that were cut."""
    cut = np.array(lineage.provenance.masks_cut or (), np.int64).reshape(-1, 3)
    rows = lineage.cells.row_of(np.repeat(cut[:, :1], 2, axis=1), cut[:, 1:])
    return np.unique(rows[rows >= 0])


def _extend_cells(cells: Cells, frame: IntArray, label: IntArray, order: IntArray) -> Cells:
    """Return the cells and new ones in a new order; positions and features of the new ones are NaN."""
    more = len(frame) - len(cells)
    position = np.concatenate([cells.position, np.full((more, cells.ndim), np.nan)])[order]
    features = np.concatenate([cells.features, np.full((more, cells.features.shape[1]), np.nan, np.float32)])[order]
    return replace(cells, frame=frame[order], label=label[order], position=position, features=features)


def _measure_changed(
    cells: Cells, runs: Runs, frames: IntArray, images: FrameStack | None, channels: Mapping[str, FrameStack]
) -> Cells:
    """Return the cells with those of some frames measured again."""
    if not len(frames):
        return cells
    masks, numbers = draw_frames(cells, runs, frames.tolist()), frames.tolist()
    seen = None if images is None else select_frames_in_parts(images, numbers, cells)
    others = {name: select_frames_in_parts(stack, numbers, cells) for name, stack in channels.items()}
    again, _, _ = measure_cells(masks, images=seen, settings=CellSettings(), channels=others)
    rows = np.flatnonzero(np.isin(cells.frame, frames))  # both are sorted by frame and label
    position, features = cells.position.copy(), cells.features.copy()
    position[rows] = again.position
    for k, name in enumerate(cells.feature_names):
        if again.has(name):  # others, such as the motion, are not measured on a single frame
            features[rows, k] = again.feature(name)
    return replace(cells, position=position, features=features)


def _find_confidence(old: Lineage, cells: Cells, row: IntArray) -> FeatureArray:
    """Return the confidence of the link into each cell of the result, shape (N,); 1 if there is none.

    Links to masks drawn in a gap have the confidence of the link across the gap.
    """
    confidence = np.full(len(cells), np.nan, np.float32)
    confidence[row[old.target]] = old.confidence
    given = np.zeros(len(cells), bool)
    given[row] = True
    order = np.lexsort((cells.frame, cells.label))
    following = np.minimum.accumulate(np.where(given[order], np.arange(len(order)), len(order))[::-1])[::-1]
    inside = following < len(order)
    inside[inside] = cells.label[order[following[inside]]] == cells.label[order[inside]]  # not of another track
    confidence[order[inside]] = confidence[order[following[inside]]]
    return np.nan_to_num(confidence, nan=1.0)


def expect_extras(settings: Settings, user: str) -> None:
    """Raise an error if settings leave away the folder with the tables, which a recipe reads.

    Raises
    ------
    InputError
        If ``output.extras`` is False.
    """
    if not settings.output.extras:
        msg = f"{user} reads the tables of its results, and the setting output.extras = false omits them; remove it"
        raise InputError(msg)


def find_result(path: str | Path) -> Path | None:
    """Return the folder of the CTC result or ground truth that a path stands for, None if there is none.

    Parameters
    ----------
    path : path
        ``01_RES``, ``01_GT``, ``01_GT/TRA``, or a file in the folder ``gnntrack`` of a result.
    """
    path = Path(path)
    for folder in (path, *path.absolute().parents[:2]):
        if folder.is_dir() and (folder == path or EXTRAS in path.absolute().relative_to(folder).parts):
            found = find_ctc(folder)
            if found.table is not None:
                return found.path
    return None


def find_point_result(path: str | Path) -> Path | None:
    """Return the folder that `gnntrack.track` wrote for points, which has no masks; None if the path is none.

    Parameters
    ----------
    path : path
        The folder, or a file in its folder ``gnntrack``.
    """
    path = Path(path)
    for folder in (path, *path.absolute().parents[:2]):
        extras = folder / EXTRAS
        own = (extras / "summary.json").is_file() and (extras / "lineage.geff").is_dir()
        if own and find_result(folder) is None and not any(folder.glob("mask*.tif")):
            inside = folder == path or EXTRAS in path.absolute().relative_to(folder.absolute()).parts
            return folder if inside else None
    return None


def read_result(
    folder: str | Path, *, images: FrameStack | None = None, spacing: Sequence[float] | None = None
) -> tuple[Lineage, Runs]:
    """Read a result or a ground truth with the measurements of its cells.

    Parameters
    ----------
    folder : path
        A result of `gnntrack.track`, or masks and a table of tracks of another program.
    images : FrameStack, optional
        The images; the cells are measured again with them.
    spacing : D floats, optional
        Size of a pixel along ``[z], y, x`` in um; if None, that of the images, or of the result, else unknown.

    Returns
    -------
    lineage : Lineage
        That of ``gnntrack/lineage.geff`` if the masks and ``res_track.txt`` still are those that it was written with.
        Otherwise the cells are measured, and links have confidence 1.
    runs : Runs
        The pixels of its cells.

    Raises
    ------
    FrameError, FormatError
        As of `gnntrack.io.read_ctc`.

    Examples
    --------
    >>> import tempfile
    >>> import gnntrack
    >>> masks = np.zeros((3, 20, 20), np.uint8)
    >>> masks[:, 5:11, 5:11] = 7
    >>> folder = Path(tempfile.mkdtemp(), "01_RES")
    >>> lineage = gnntrack.track(masks=masks, out=folder)
    >>> read_result(folder)[0].cells.label.tolist()
    [1, 1, 1]
    """
    if spacing is None and images is not None and images.unit == "um":
        spacing = images.spacing
    plain, runs = read_ctc(folder, spacing=spacing)
    spacing = plain.cells.spacing if plain.cells.unit == "um" else None
    file = Path(find_ctc(folder).path) / EXTRAS / "lineage.geff"
    stored = _read_stored(file, plain) if file.is_dir() else None
    if stored is not None and spacing is not None and not np.allclose(stored.cells.spacing, spacing):
        stored = None
    if stored is not None and images is None:
        return stored, runs
    cells = plain.cells
    masks = draw_frames(cells, runs, range(cells.n_frames))
    measured, _, _ = measure_cells(masks, images=images, settings=CellSettings())
    if stored is None:
        return replace(plain, cells=measured), runs
    return replace(stored, cells=_add_features(measured, stored.cells)).with_origins(stored.origins), runs


def _add_features(cells: Cells, other: Cells) -> Cells:
    """Return cells with those features of the same cells in another table that they lack."""
    more = [k for k, name in enumerate(other.feature_names) if not cells.has(name)]
    return replace(
        cells,
        features=np.hstack([cells.features, other.features[:, more]]),
        feature_names=(*cells.feature_names, *(other.feature_names[k] for k in more)),
        feature_units=(*cells.feature_units, *(other.feature_units[k] for k in more)),
    )


def load_result(
    folder: str | Path, *, images: FrameStack | None = None, spacing: Sequence[float] | None = None
) -> Lineage:
    """Return the lineage of a result with its masks, as `read_result` does.

    The masks of a result of gnntrack that was not changed are read when they are needed.

    Parameters
    ----------
    folder, images, spacing
        As of `read_result`.

    Raises
    ------
    FrameError, FormatError
        As of `read_result`.
    """
    found = find_ctc(folder)
    if images is None:
        stored = _read_unchanged(found, spacing)
        if stored is not None:
            return stored.with_masks(found.path).with_repairs(_find_repairs(found))
    lineage, runs = read_result(folder, images=images, spacing=spacing)
    lineage = lineage.with_masks(CellMasks(runs, names=[str(path) for path in found.masks.values()]))
    return lineage if lineage.origins is None else lineage.with_repairs(_find_repairs(found))


def _find_repairs(found: CtcFolder) -> Path | None:
    """Return the list of repairs of a result; those of earlier versions have none."""
    file = found.path / EXTRAS / "repairs.csv"
    return file if file.is_file() else None


def _read_unchanged(found: CtcFolder, spacing: Sequence[float] | None) -> Lineage | None:
    """Return the lineage in a result whose masks and table are those that were written with it, else None."""
    from gnntrack.io.geff import read_lineage

    try:
        summary = read_json(found.path / EXTRAS / "summary.json")
        known = found.table is not None and summary["fingerprint"] == compute_fingerprint(found.path)
        stored = read_lineage(found.path / EXTRAS / "lineage.geff") if known else None
    except (OSError, ValueError, LookupError, TypeError, FormatError):
        return None
    if stored is None or found.table is None or not _are_same_tracks(stored.tracks, read_track_table(found.table)):
        return None
    given = stored.cells.spacing if spacing is None else tuple(spacing)
    same = len(given) == len(stored.cells.spacing) and np.allclose(given, stored.cells.spacing)
    return stored if same else None


def _read_stored(file: Path, plain: Lineage) -> Lineage | None:
    """Return the lineage of a file, None if it is not that of the masks and the table beside it."""
    from gnntrack.io.geff import read_lineage

    problem = ""
    try:
        stored = read_lineage(file)
    except FormatError as error:
        problem = str(error)
    else:
        if _are_same_cells(stored, plain):
            return stored
        problem = f"{file}: its cells are not those of the masks and res_track.txt beside it, which have been changed"
    _log.warning("%s; the masks and the table are read, without confidences", problem)
    return None


def _are_same_cells(stored: Lineage, plain: Lineage) -> bool:
    pairs = [(stored.cells.frame, plain.cells.frame), (stored.cells.label, plain.cells.label)]
    if not all(np.array_equal(one, other) for one, other in pairs) or not _are_same_tracks(stored.tracks, plain.tracks):
        return False
    one, other = (table.feature("size") / np.prod(table.spacing) for table in (stored.cells, plain.cells))
    return bool(np.allclose(one, other, rtol=1e-3))


def _are_same_tracks(one: Tracks, other: Tracks) -> bool:
    names = ("id", "start", "end", "parent")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)
