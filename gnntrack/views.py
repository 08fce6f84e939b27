"""Views of a lineage: tracked labels, tables, layers of napari, a picture for notebooks.

The methods of `gnntrack.Lineage` call these functions.
"""

from __future__ import annotations

import base64
import io
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.errors import FormatError, InputError
from gnntrack.frame_array import FrameArray
from gnntrack.io.frames import map_frames, open_masks
from gnntrack.io.stack import Stack
from gnntrack.io.writers import CellMasks, CtcWriter
from gnntrack.lineage.confidence import rate_divisions, rate_tracks
from gnntrack.lineage.families import count_generations, find_roots
from gnntrack.lineage.repair import repair_movie
from gnntrack.masks.runs import decode_frame, encode_frame, join_frames
from gnntrack.movie import match_runs, open_masks_of
from gnntrack.plurals import choose_form, count_noun
from gnntrack.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    import pandas as pd

    from gnntrack.types import FloatArray, FrameStack, Image, IntArray, Lineage, Runs

__all__ = [
    "NapariTracks",
    "convert_to_napari",
    "describe_as_html",
    "draw_labels",
    "find_masks",
    "rate_divisions",
    "rate_tracks",
    "tabulate",
    "write_as_ctc",
]

_SHOWN = 150  # tracks in the tree of a notebook
_TABLES = ("cells", "tracks", "links", "repairs")


class NapariTracks(NamedTuple):
    """Arguments of ``viewer.add_tracks`` of napari."""

    data: FloatArray
    """(N, D + 2) columns track, frame, ``[z], y, x`` in pixels; sorted by track and frame.

    A track into which others fuse has a new id, above all others, from each fusion on, since napari joins the end of a
    track with the beginning of another.
    """
    properties: dict[str, npt.NDArray[Any]]
    """A column per cell, in the order of `data`: ``parent`` and ``root`` (tracks), ``generation`` (divisions since the
    root), ``label`` (in the masks that were tracked) and ``confidence`` of the link to the cell (1 without a link)."""
    graph: dict[int, list[int]]
    """Track -> its parent in a list, for tracks with a parent; after a fusion: the track before it, and those that end.
    """


def find_masks(lineage: Lineage, masks: object = None) -> tuple[Lineage, CellMasks]:
    """Return the lineage after repair, and the pixels of its cells.

    Raises
    ------
    InputError
        If the lineage has no masks and none are given, or they are not those of the lineage.
    """
    own = getattr(lineage, "_masks", None)
    if isinstance(own, CellMasks):
        return lineage, own
    masks = own if masks is None else masks
    if masks is None and lineage.cells.points:
        msg = (
            "points have no masks; gnntrack.export(lineage, out, to='ctc', radius=...) draws a ball for each, and "
            "gnntrack.load(out) has these masks"
        )
        raise InputError(msg)
    if masks is None:
        msg = (
            "this lineage does not hold its masks: they come with the result of track(), or with load() of a folder of "
            "masks; give the masks that it was made from, such as lineage.labels(masks)"
        )
        raise InputError(msg)
    if len(lineage.cells) and np.array_equal(lineage.cells.label, lineage.track):
        stack = open_masks(masks)
        return lineage, CellMasks(_match_tracked(lineage, stack), names=stack.names)
    settings = Settings()
    stack = open_masks_of(lineage, masks, settings)
    repaired = repair_movie(lineage, match_runs(lineage, stack), settings=settings.repair)
    return repaired.lineage, CellMasks(repaired.runs, repaired.fills, stack.names)


def _match_tracked(lineage: Lineage, masks: FrameStack) -> Runs:
    """Return the pixels of the cells, from masks whose labels are tracks."""
    cells = lineage.cells
    _check_frames(lineage, masks)
    encoded = map_frames(lambda t: encode_frame(masks[t]), range(len(masks)))
    frames = []
    for t, (start, length, label) in enumerate(encoded):
        row = cells.row_of(t, label)
        frames.append((start[row >= 0], length[row >= 0], row[row >= 0]))
    runs = join_frames(frames, tuple(cells.shape))
    lost = np.setdiff1d(np.arange(len(cells)), runs.cell)
    if len(lost):
        msg = (
            f"{masks.names[cells.frame[lost[0]]]}: {count_noun(len(lost), 'cell')} of the lineage "
            f"{choose_form(len(lost), 'has', 'have')} no pixels in the masks, such "
            f"as label {cells.label[lost[0]]} in frame {cells.frame[lost[0]]}; give the masks of this lineage"
        )
        raise FormatError(msg)
    return runs


def _check_frames(lineage: Lineage, masks: FrameStack) -> None:
    """Raise unless masks have as many frames as the lineage, of its shape."""
    cells = lineage.cells
    if len(masks) != cells.n_frames or tuple(masks.shape) != tuple(cells.shape):
        msg = (
            f"the masks ({masks.names[0] if masks.names else 'none'}, ...) have {count_noun(len(masks), 'frame')} of "
            f"{tuple(masks.shape)}, the lineage has {cells.n_frames} of {tuple(cells.shape)}; give the masks of this "
            "lineage"
        )
        raise FormatError(msg)


def draw_labels(lineage: Lineage, masks: object = None) -> FrameArray:
    """Return the masks of a lineage with track ids for labels; see `gnntrack.Lineage.labels`."""
    own = getattr(lineage, "_masks", None)
    read: Callable[[int], Image]
    if masks is None and isinstance(own, Path) and lineage.origins is not None:  # the masks of a result: its tracks
        read = _open_tracked(lineage, own)
    else:
        lineage, found = find_masks(lineage, masks)
        read = partial(_draw_frame, lineage, found)
    cells, highest = lineage.cells, int(lineage.tracks.id.max(initial=0))
    dtype = np.uint16 if highest <= np.iinfo(np.uint16).max else np.uint32
    names = [f"labels, frame {t}" for t in range(cells.n_frames)]
    return FrameArray(
        Stack(lambda t: read(t).astype(dtype, copy=False), names, tuple(cells.shape), tuple(cells.spacing), cells.unit),
        dtype,
    )


def _open_tracked(lineage: Lineage, path: Path) -> Callable[[int], Image]:
    """Return a function that reads a mask whose labels are tracks, and checks them."""
    masks, cells = open_masks(path), lineage.cells
    _check_frames(lineage, masks)

    def read(frame: int) -> Image:
        mask = masks[frame]
        expected = np.sort(cells.label[cells.frame == frame])
        found = np.unique(mask)
        if not np.array_equal(found[found > 0], expected):
            msg = f"{masks.names[frame]}: its labels are not those of the lineage any more; load the result again"
            raise FormatError(msg)
        return mask

    return read


def _draw_frame(lineage: Lineage, masks: CellMasks, frame: int) -> Image:
    runs, fills = masks.runs, masks.fills
    above = runs.frame(frame)
    start, length, value = runs.start[above], runs.length[above], lineage.track[runs.cell[above]]
    if fills is not None:
        below = fills.frame(frame)  # first, so that cells cover them
        start, length = np.append(fills.start[below], start), np.append(fills.length[below], length)
        value = np.append(fills.cell[below], value)
    return decode_frame(runs.shape, start, length, value, np.uint32)


def write_as_ctc(lineage: Lineage, path: str | Path, *, masks: object = None, overwrite: bool = False) -> Path:
    """Write a CTC result and return its path; see `gnntrack.Lineage.to_ctc`."""
    from gnntrack.io.output import try_output

    try_output(path, overwrite=overwrite)
    lineage, found = find_masks(lineage, masks)
    CtcWriter().write(lineage, path, masks=found, overwrite=overwrite)
    return Path(path)


def tabulate(lineage: Lineage, table: str) -> pd.DataFrame:
    """Return a table of cells, tracks or links; see `gnntrack.io.tables`."""
    from gnntrack.io import tables

    if table not in _TABLES:
        msg = f"no table {table!r}; expected one of {', '.join(map(repr, _TABLES))}"
        raise InputError(msg)
    if table == "repairs":
        return _tabulate_repairs(lineage)
    made: pd.DataFrame = getattr(tables, f"tabulate_{table}")(lineage)
    return made


def _tabulate_repairs(lineage: Lineage) -> pd.DataFrame:
    """Return the table of repairs that a lineage came with."""
    import pandas as pd

    own = getattr(lineage, "_repairs", None)
    if own is None:
        msg = (
            "the repairs of this lineage are not known: they come with the result of track() from masks, and with "
            "load() of a folder that it has written"
        )
        raise InputError(msg)
    return pd.read_csv(own) if isinstance(own, Path) else pd.DataFrame(own)


def convert_to_napari(lineage: Lineage) -> NapariTracks:
    """Return a lineage as napari's layer *Tracks* takes it.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((2, 20, 20), np.uint8)
    >>> masks[:, 5:11, 5:11] = 7
    >>> data, properties, graph = convert_to_napari(gnntrack.track(masks=masks))
    >>> data.tolist(), properties["label"].tolist(), graph
    ([[1.0, 0.0, 7.5, 7.5], [1.0, 1.0, 7.5, 7.5]], [7, 7], {})
    """
    cells, tracks = lineage.cells, lineage.tracks
    shown, graph = _cut_at_fusions(lineage)
    order = np.lexsort((cells.frame, shown))
    row = np.searchsorted(tracks.id, lineage.track[order])
    confidence = np.ones(len(cells), np.float32)
    confidence[lineage.target] = lineage.confidence
    data = np.column_stack([shown, cells.frame, cells.position / np.array(cells.spacing)])[order]
    properties: dict[str, npt.NDArray[Any]] = {
        "parent": tracks.parent[row],
        "root": find_roots(tracks)[row],
        "generation": count_generations(tracks)[row],
        "label": cells.label[order],
        "confidence": confidence[order],
    }
    return NapariTracks(data, properties, graph)


def _cut_at_fusions(lineage: Lineage) -> tuple[IntArray, dict[int, list[int]]]:
    """Return the track of each cell as napari needs it, (N,), and the parents of each of these tracks."""
    tracks, fusions, frame = lineage.tracks, lineage.fusions, lineage.cells.frame
    shown = lineage.track.copy()
    pieces: dict[int, list[int]] = {}  # of a new id: the id before it, and those of the tracks that end
    for into in np.unique(fusions.target).tolist():
        track = lineage.track[into]
        before = int(shown[into])
        if frame[into] > tracks.start[np.searchsorted(tracks.id, track)]:
            shown[(lineage.track == track) & (frame >= frame[into])] = int(tracks.id[-1]) + 1 + len(pieces)
            pieces[int(shown[into])] = [before]
        pieces.setdefault(int(shown[into]), []).extend(shown[fusions.source[fusions.target == into]].tolist())
    last = dict(zip(lineage.track.tolist(), shown.tolist(), strict=True)) if pieces else {}
    pairs = zip(tracks.id.tolist(), tracks.parent.tolist(), strict=True)
    graph = {track: [last.get(parent, parent)] for track, parent in pairs if parent}
    return shown, graph | {track: graph.get(track, []) + parents for track, parents in pieces.items()}


def describe_as_html(lineage: Lineage) -> str:
    """Return a summary of a lineage and its tree as a picture, for notebooks."""
    import html

    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from gnntrack.report.tree import draw_lineage_tree

    text = html.escape(repr(lineage).strip("<>"))
    figure = draw_lineage_tree(lineage, most=_SHOWN, title=" ")
    picture = io.BytesIO()
    FigureCanvasAgg(figure).print_png(picture)  # type: ignore[no-untyped-call]
    code = base64.b64encode(picture.getvalue()).decode("ascii")
    return (
        f'<div><p>{text}</p><img alt="lineage tree" style="max-width: 100%; background: white" '
        f'src="data:image/png;base64,{code}"></div>'
    )
