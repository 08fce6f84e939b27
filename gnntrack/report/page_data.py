"""The data of the page: the columns of cells and tracks, the views of the movie, and the lists of places."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.lineage.families import find_roots
from gnntrack.plurals import choose_form, count_noun
from gnntrack.report.page_views import collect_views
from gnntrack.report.palette import choose_family_colours
from gnntrack.report.tree_layout import build_families
from gnntrack.types.origins import MASK_KINDS

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.report.web import PageContent
    from gnntrack.types import FloatArray, Lineage, Progress

__all__ = ["Curve", "Measures", "Place", "collect_data", "pack_column", "write_colours"]

_LISTED = 20  # fusions


class Curve(NamedTuple):
    """A quantity of the whole movie against a time lag or an age."""

    name: str
    x: FloatArray
    """(P,) ascending."""
    x_unit: str
    y: FloatArray
    """(P,)."""
    y_unit: str
    low: FloatArray
    """(P,) lower end of the 95 % confidence interval; NaN where it is not known."""
    high: FloatArray
    """(P,) upper end."""
    stepped: bool
    """Whether a value holds until the next one."""
    note: str
    """A sentence about it."""


class Measures(NamedTuple):
    """Figures of the plots; units are written as a reader expects them, such as ``"µm/min"``."""

    speed: FloatArray
    """(N,) of each cell from the one before it; NaN without one."""
    speed_unit: str
    growth: FloatArray
    """(K,) rate of exponential growth of each track; NaN if it is not known."""
    growth_unit: str
    cycle: FloatArray
    """(K,) length of the cell cycle that ends with each track; NaN unless it is complete."""
    cycle_unit: str
    notes: tuple[str, ...] = ()
    """Sentences about the figures of the whole movie."""
    curves: tuple[Curve, ...] = ()
    """Figures of the whole movie."""


class Place(NamedTuple):
    """An entry of the list of mistakes."""

    kind: str
    row: int
    """Row of the cell to look at; -1 = none."""
    frame: int
    why: str
    rows: tuple[int, ...]
    """Rows of all cells that it is about: both ends of a link, a parent and its daughters."""
    places: tuple[tuple[int, tuple[float, ...]], ...]
    """Frame and centre, in pixels along ``[z], y, x``, of cells that the result lacks."""
    links: tuple[tuple[int, int, bool], ...] = ()
    """Links between two of `rows` and, behind these, `places`, by their numbers; True if the result lacks the link."""


def collect_data(content: PageContent, progress: Progress | None = None) -> dict[str, Any]:
    """Return the data of a page as JSON has them."""
    lineage = content.lineage
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
        "notes": [*content.notes, *_describe_fusions(lineage)],
        "fingerprint": content.fingerprint,
        "cells": _collect_cells(lineage, content.measures),
        "tracks": _collect_tracks(lineage, content.measures),
        "units": _collect_units(content.measures),
        "curves": [_collect_curve(curve) for curve in (content.measures.curves if content.measures else ())],
        "review": [[doubt.kind, doubt.row, doubt.frame, round(doubt.doubt, 4), doubt.why] for doubt in content.doubts],
        "mistakes": None if content.mistakes is None else [list(place) for place in content.mistakes],
        **collect_views(lineage, content.runs, content.pictures, content.planes, progress),
    }


def _describe_fusions(lineage: Lineage) -> list[str]:
    """Return a sentence that lists the tracks that end by fusion, none without them."""
    track, fusions, frame = lineage.track, lineage.fusions, lineage.cells.frame
    listed = [f"track {track[row]} into {track[into]} in frame {frame[into]}" for row, into in fusions][:_LISTED]
    listed += [f"and {len(fusions) - _LISTED} more (column fused_into of tracks.csv)"] * (len(fusions) > _LISTED)
    verb = choose_form(len(fusions), "ends", "end")
    found = count_noun(len(fusions), "track")
    return [f"{found} {verb} by fusion into another cell: {', '.join(listed)}."] if listed else []


def _collect_units(measures: Measures | None) -> dict[str, Any] | None:
    if measures is None:
        return None
    units = {"speed": measures.speed_unit, "growth": measures.growth_unit, "cycle": measures.cycle_unit}
    return units | {"notes": list(measures.notes)}


def _collect_curve(curve: Curve) -> dict[str, Any]:
    columns = {"x": curve.x, "y": curve.y, "low": curve.low, "high": curve.high}
    return curve._asdict() | {name: _round(np.asarray(values, float)) for name, values in columns.items()}


def pack_column(values: npt.ArrayLike, kind: str) -> str:
    """Return a column as base64 of little-endian numbers."""
    return base64.b64encode(np.asarray(values).astype(np.dtype(kind).newbyteorder("<")).tobytes()).decode()


def _collect_cells(lineage: Lineage, measures: Measures | None) -> dict[str, Any]:
    """Return the columns of the cells; positions are in pixels."""
    cells, n = lineage.cells, len(lineage.cells)
    place = cells.position / np.array(cells.spacing)
    past, confidence = np.full(n, -1), np.full(n, np.nan, np.float32)
    past[lineage.target], confidence[lineage.target] = lineage.source, lineage.confidence
    columns = {
        "first": pack_column(np.searchsorted(cells.frame, np.arange(cells.n_frames + 1)), "i4"),
        "label": pack_column(cells.label, "i4"),
        "track": pack_column(np.searchsorted(lineage.tracks.id, lineage.track), "i4"),
        "past": pack_column(past, "i4"),
        "x": pack_column(place[:, -1], "f4"),
        "y": pack_column(place[:, -2], "f4"),
        "confidence": pack_column(confidence, "f4"),
    }
    if cells.ndim == 3:
        columns["z"] = pack_column(place[:, 0], "f4")
    if cells.has("size"):
        columns["size"] = pack_column(cells.feature("size"), "f4")
    if cells.has("neighbour_distance"):
        columns["neighbour"] = pack_column(cells.feature("neighbour_distance"), "f4")
    if measures is not None:
        columns["speed"] = pack_column(measures.speed, "f4")
    if lineage.origins is not None:
        columns["kind"] = pack_column(lineage.origins.kind, "u1")
    return columns | {"kinds": list(MASK_KINDS)}


def _collect_tracks(lineage: Lineage, measures: Measures | None) -> dict[str, Any]:
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
    measured = {} if measures is None else {"growth": _round(measures.growth), "cycle": _round(measures.cycle)}
    return measured | {
        "id": tracks.id.tolist(),
        "start": tracks.start.tolist(),
        "end": tracks.end.tolist(),
        "parent": parent.tolist(),
        "root": root.tolist(),
        "lane": lane.tolist(),
        "lanes": offset,
        "roots": roots,
        "familyColour": write_colours(root),
        "trackColour": write_colours(tracks.id),
        "confidence": _round(lineage.track_confidence),
        "division": _round(lineage.division_confidence),
    }


def write_colours(numbers: npt.ArrayLike) -> list[str]:
    """Return the colours of families or tracks, as ``#rrggbb``."""
    values = (choose_family_colours(numbers) * 255).round().astype(int)
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in values.reshape(-1, 3).tolist()]


def _round(values: npt.NDArray[np.float64]) -> list[float | None]:
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values.tolist()]
