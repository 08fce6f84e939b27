"""The views of a movie on the page: the frame, or a stack seen along each axis and plane by plane."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.masks.runs import decode_frame
from gnntrack.report.outlines import encode_outlines, encode_plane, flatten_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.report.pictures import MoviePictures
    from gnntrack.types import IntArray, Lineage, Progress, Runs

__all__ = ["choose_planes", "collect_views", "trace_frames"]

_MOST_PLANES = 40
_MOST_PICTURES = 6000  # planes of all frames
_BUDGET = 5_000_000  # bytes of the outlines of all planes
_SAMPLED = 3  # frames that the size of the outlines is estimated from


def choose_planes(lineage: Lineage, runs: Runs | None) -> list[int]:
    """Return the planes of a stack that the page shows: all, or evenly spaced ones if they would make the page large.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((2, 90, 12, 12), np.uint8)
    >>> masks[:, 10:60, 3:8, 3:8] = 1
    >>> planes = choose_planes(gnntrack.track(masks=masks), None)
    >>> len(planes), planes[:3]
    (30, [1, 4, 7])
    """
    cells = lineage.cells
    if cells.ndim == 2:
        return []
    depth, step = cells.shape[0], 1
    planes = np.arange(depth)
    most = max(1, min(_MOST_PLANES, _MOST_PICTURES // max(cells.n_frames, 1)))
    each = 0.0 if runs is None else _estimate_outlines(lineage, runs)
    while len(planes) > 1 and (len(planes) > most or len(planes) * each > _BUDGET):
        step += 1
        planes = np.arange((depth - 1) % step // 2, depth, step)
    return [int(z) for z in planes]


def _estimate_outlines(lineage: Lineage, runs: Runs) -> float:
    """Return the bytes of the outlines of one plane, summed over all frames."""
    n = lineage.cells.n_frames
    sampled = np.unique(np.linspace(0, n - 1, min(n, _SAMPLED)).astype(int)).tolist()
    sizes = []
    for t in sampled:
        rows, first, count = _draw_rows(lineage, runs, t)
        sizes += [len(encode_plane(plane, first, count)) for plane in rows]
    return float(np.mean(sizes)) * n if sizes else 0.0


def collect_views(
    lineage: Lineage,
    runs: Runs | None,
    pictures: MoviePictures | None,
    planes: Sequence[int],
    progress: Progress | None,
) -> dict[str, Any]:
    """Return the views as data of the page.

    Parameters
    ----------
    lineage : Lineage
        The lineage.
    runs : Runs, optional
        Pixels of its cells; None: no outlines.
    pictures : MoviePictures, optional
        The images.
    planes : sequence of int
        As of `choose_planes`.
    progress : Progress, optional
        Called after each frame.

    Returns
    -------
    dict
        ``views``: for each, the axis that it is seen along, width and height of a pixel in pixels of x, and pictures
        and outlines per frame; ``planes``: their numbers, and pictures and outlines per frame and plane.
    """
    outlines = None if runs is None else _trace_views(lineage, runs, planes, progress)
    stretch = lineage.cells.spacing[0] / lineage.cells.spacing[-1] if lineage.cells.ndim == 3 else 1.0
    shapes = {"z": (1.0, 1.0), "y": (1.0, stretch), "x": (stretch, 1.0)}
    views = []
    for axis in shapes if lineage.cells.ndim == 3 else ("z",):
        shown = None if pictures is None else pictures.frames if axis == "z" else pictures.sides[axis]
        own = None if outlines is None else outlines[axis]
        views.append({"axis": axis, "pixel": list(shapes[axis]), "pictures": _encode(shown), "outlines": _encode(own)})
    look = {} if pictures is None else {"grey": [float(value) for value in pictures.grey]}
    return look | {"views": views, "planes": _collect_planes(planes, pictures, outlines) if planes else None}


def _collect_planes(
    planes: Sequence[int], pictures: MoviePictures | None, outlines: dict[str, Any] | None
) -> dict[str, Any]:
    seen = None if pictures is None else [_encode(frame) for frame in pictures.planes]
    drawn = None if outlines is None else [_encode(frame) for frame in outlines["planes"]]
    return {"z": list(planes), "pictures": seen, "outlines": drawn}


def _encode(parts: Sequence[bytes] | None) -> list[str] | None:
    return None if parts is None else [base64.b64encode(part).decode() for part in parts]


def _draw_rows(lineage: Lineage, runs: Runs, frame: int) -> tuple[IntArray, int, int]:
    """Return the row + 1 of the cell of each pixel, the first row of the frame, and the number of its cells."""
    here, own = runs.frame(frame), lineage.cells.rows(frame)
    drawn = decode_frame(runs.shape, runs.start[here], runs.length[here], runs.cell[here] + 1, np.int64)
    return drawn, own.start, own.stop - own.start


def trace_frames(
    lineage: Lineage, runs: Runs, planes: Sequence[int], frames: Sequence[int]
) -> dict[int, dict[str, str | list[str]]]:
    """Return the outlines of some frames in each view, and in the planes, as the page replaces them.

    Parameters
    ----------
    lineage, runs, planes
        As of `collect_views`.
    frames : sequence of int
        The frames.
    """
    found: dict[int, dict[str, str | list[str]]] = {}
    for t in frames:
        traced = _trace_frame(lineage, runs, planes, t)
        found[t] = {axis: base64.b64encode(traced[axis]).decode() for axis in "zyx" if axis in traced}
        found[t]["planes"] = _encode(traced["planes"]) or []
    return found


def _trace_frame(lineage: Lineage, runs: Runs, planes: Sequence[int], frame: int) -> dict[str, Any]:
    rows, first, count = _draw_rows(lineage, runs, frame)
    found: dict[str, Any] = {"z": encode_outlines(flatten_rows(rows), first, count), "planes": []}
    if rows.ndim == 3:
        found["y"] = encode_outlines(flatten_rows(rows, 1), first, count)
        found["x"] = encode_outlines(flatten_rows(rows, 2).T, first, count)
        found["planes"] = [encode_plane(rows[z], first, count) for z in planes]
    return found


def _trace_views(lineage: Lineage, runs: Runs, planes: Sequence[int], progress: Progress | None) -> dict[str, Any]:
    found: dict[str, Any] = {"z": [], "y": [], "x": [], "planes": []}
    n = lineage.cells.n_frames
    for t in range(n):
        for name, traced in _trace_frame(lineage, runs, planes, t).items():
            found[name].append(traced)
        if progress is not None:
            progress("tracing outlines", t + 1, n)
    return found
