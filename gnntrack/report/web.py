"""A lineage as one HTML page without network access: movie, tree, plots, review list and corrections.

The page is ``page/page.html`` with the styles, the scripts and the data in it. A Content-Security-Policy allows exactly
these scripts and styles, by their hashes, and no connection. Data are JSON, in which ``<`` is escaped; the scripts
write texts as text, never as HTML.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.lineage.families import find_roots
from gnntrack.masks.runs import decode_frame
from gnntrack.report.outlines import encode_outlines, flatten_rows
from gnntrack.report.palette import choose_family_colours
from gnntrack.report.tree_layout import build_families
from gnntrack.types.origins import MASK_KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from gnntrack.lineage.doubts import Doubt
    from gnntrack.report.pictures import MoviePictures
    from gnntrack.types import Lineage, Progress, Runs

__all__ = ["PageContent", "make_page"]

_SCRIPTS = ("data.js", "movie.js", "tree.js", "plots.js", "edits.js", "side.js", "main.js")


@dataclass(frozen=True)
class PageContent:
    """Everything that the page shows.

    Parameters
    ----------
    title : str
        Name of the result.
    lineage : Lineage
        The lineage.
    doubts : sequence of Doubt
        Places to check, the most doubtful first.
    runs : Runs, optional
        Pixels of the cells; None: cells are dots.
    pictures : MoviePictures, optional
        The images.
    scores : mapping
        Metrics by name, if the ground truth is known.
    facts : sequence of str
        What the result has, such as ``"92 frames"``.
    notes : sequence of str
        What the page lacks, in words.
    fingerprint : str, optional
        That of the result, which the edits name; None: the result cannot be corrected.
    """

    title: str
    lineage: Lineage
    doubts: Sequence[Doubt]
    runs: Runs | None = None
    pictures: MoviePictures | None = None
    scores: Mapping[str, float | None] = field(default_factory=dict)
    facts: Sequence[str] = ()
    notes: Sequence[str] = ()
    fingerprint: str | None = None


def make_page(content: PageContent, *, progress: Progress | None = None) -> str:
    """Return the page as HTML.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((3, 40, 40), np.uint8)
    >>> masks[:, 5:11, 5:11] = 1
    >>> page = make_page(PageContent("<b>mine</b>", gnntrack.track(masks=masks), []))
    >>> "<title>&lt;b&gt;mine&lt;/b&gt;" in page, "<b>mine" in page, "http://" in page or "https://" in page
    (True, False, False)
    """
    folder = files("gnntrack.report").joinpath("page")
    style = folder.joinpath("page.css").read_text(encoding="utf-8")
    script = "\n".join(folder.joinpath(name).read_text(encoding="utf-8") for name in _SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}\n}})();'
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data: blob:; "
        f"style-src 'sha256-{_hash(style)}'; script-src 'sha256-{_hash(script)}'"
    )
    parts = {
        "TITLE": html.escape(content.title),
        "POLICY": policy,
        "STYLE": style,
        "DATA": json.dumps(_collect(content, progress), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
        "SCRIPT": script,
    }
    page = folder.joinpath("page.html").read_text(encoding="utf-8")
    head, *rest = page.split("{{")
    made = [head]
    for each in rest:  # in one pass, so that data cannot contain a name that is replaced
        name, _, text = each.partition("}}")
        made += [parts[name], text]
    return "".join(made)


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _collect(content: PageContent, progress: Progress | None) -> dict[str, Any]:
    lineage, pictures = content.lineage, content.pictures
    cells = lineage.cells
    return {
        "title": content.title,
        "shape": list(cells.shape),
        "frames": cells.n_frames,
        "spacing": list(cells.spacing),
        "unit": cells.unit,
        "interval": lineage.provenance.interval,
        "facts": list(content.facts),
        "scores": {name: value for name, value in content.scores.items() if value is not None},
        "notes": list(content.notes),
        "fingerprint": content.fingerprint,
        "cells": _collect_cells(lineage),
        "tracks": _collect_tracks(lineage),
        "outlines": None if content.runs is None else _collect_outlines(lineage, content.runs, progress),
        "pictures": None
        if pictures is None
        else {"kind": pictures.kind, "frames": [base64.b64encode(frame).decode() for frame in pictures.frames]},
        "review": [[doubt.kind, doubt.row, doubt.frame, round(doubt.doubt, 4), doubt.why] for doubt in content.doubts],
    }


def _pack(values: npt.ArrayLike, kind: str) -> str:
    """Return a column as base64 of little-endian numbers."""
    return base64.b64encode(np.asarray(values).astype(np.dtype(kind).newbyteorder("<")).tobytes()).decode()


def _collect_cells(lineage: Lineage) -> dict[str, Any]:
    """Return the columns of the cells; positions are in pixels."""
    cells, n = lineage.cells, len(lineage.cells)
    place = cells.position / np.array(cells.spacing)
    past, confidence = np.full(n, -1), np.full(n, np.nan, np.float32)
    past[lineage.target], confidence[lineage.target] = lineage.source, lineage.confidence
    columns = {
        "first": _pack(np.searchsorted(cells.frame, np.arange(cells.n_frames + 1)), "i4"),
        "label": _pack(cells.label, "i4"),
        "track": _pack(np.searchsorted(lineage.tracks.id, lineage.track), "i4"),
        "past": _pack(past, "i4"),
        "x": _pack(place[:, -1], "f4"),
        "y": _pack(place[:, -2], "f4"),
        "confidence": _pack(confidence, "f4"),
    }
    if cells.ndim == 3:
        columns["z"] = _pack(place[:, 0], "f4")
    if cells.has("size"):
        columns["size"] = _pack(cells.feature("size"), "f4")
    if lineage.origins is not None:
        columns["kind"] = _pack(lineage.origins.kind, "u1")
    return columns | {"kinds": list(MASK_KINDS)}


def _collect_tracks(lineage: Lineage) -> dict[str, Any]:
    """Return the columns of the tracks: families from the largest to the smallest, with a lane per track."""
    tracks = lineage.tracks
    parent = np.where(tracks.parent > 0, np.searchsorted(tracks.id, tracks.parent), -1)
    lane, offset = np.zeros(len(tracks)), 0.0
    roots = []
    for family in build_families(tracks):
        for row in family.rows:
            lane[row] = offset + family.column[row]
        roots.append(next(row for row in family.rows if not tracks.parent[row]))
        offset += family.width + 0.5
    root = find_roots(tracks)
    return {
        "id": tracks.id.tolist(),
        "start": tracks.start.tolist(),
        "end": tracks.end.tolist(),
        "parent": parent.tolist(),
        "root": root.tolist(),
        "lane": lane.tolist(),
        "lanes": offset,
        "roots": roots,
        "familyColour": _write_colours(root),
        "trackColour": _write_colours(tracks.id),
        "confidence": _round(lineage.track_confidence),
        "division": _round(lineage.division_confidence),
    }


def _write_colours(numbers: npt.ArrayLike) -> list[str]:
    values = (choose_family_colours(numbers) * 255).round().astype(int)
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in values.reshape(-1, 3).tolist()]


def _round(values: npt.NDArray[np.float64]) -> list[float | None]:
    return [round(value, 4) if np.isfinite(value) else None for value in values.tolist()]


def _collect_outlines(lineage: Lineage, runs: Runs, progress: Progress | None) -> list[str]:
    """Return the outlines of each frame as base64."""
    n, cells = lineage.cells.n_frames, lineage.cells
    found = []
    for t in range(n):
        here, own = runs.frame(t), cells.rows(t)
        drawn = decode_frame(runs.shape, runs.start[here], runs.length[here], runs.cell[here] + 1, np.int64)
        encoded = encode_outlines(flatten_rows(drawn), own.start, own.stop - own.start)
        found.append(base64.b64encode(encoded).decode())
        if progress is not None:
            progress("tracing outlines", t + 1, n)
    return found
