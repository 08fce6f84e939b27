"""The layers of a lineage in a viewer: found, updated after an edit, and the place that is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.lineage.doubts import list_doubts
from gnntrack.napari.layers import (
    KEY,
    Origin,
    describe_axes,
    find_diameter,
    find_role,
    locate_cells,
    make_cells,
    make_labels,
    make_review,
    make_tracks,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.types import Lineage

__all__ = ["find_cell", "find_group", "list_groups", "look_at", "mark_cell", "update_group"]

_MARKER = "selected cell"


def list_groups(viewer: Any) -> list[Any]:
    """Return the layers of tracks of the lineages in a viewer, one for each, the newest first."""
    return [layer for layer in reversed(viewer.layers) if find_role(layer.metadata) == "tracks"]


def find_group(viewer: Any, tracks: Any) -> dict[str, Any]:
    """Return a layer of tracks and the other layers of its lineage, by role; of several of one role, the first."""
    found = {"tracks": tracks}
    for layer in viewer.layers:
        role = find_role(layer.metadata)
        if role is not None and layer.metadata[KEY].get("lineage") is tracks.metadata[KEY]["lineage"]:
            found.setdefault(role, layer)
    return found


def update_group(group: dict[str, Any], lineage: Lineage) -> None:
    """Show another lineage of the same movie in the layers of one; colours, visibility and order stay."""
    origin = Origin("")
    made = {
        "labels": make_labels(lineage, origin) if "labels" in group else None,
        "tracks": make_tracks(lineage, origin),
        "cells": make_cells(lineage, origin),
        "to check": make_review(lineage, list_doubts(lineage), origin),
    }
    for role, layer in group.items():
        layer.metadata = {**layer.metadata, KEY: {**layer.metadata[KEY], "lineage": lineage}}
        new = made.get(role)
        if new is None:
            continue
        if role == "tracks":
            _update_tracks(layer, new[0], new[1])
        else:
            layer.data = new[0]
            layer.features = new[1]["features"]
        if role in ("cells", "to check"):
            layer.size = new[1]["size"]
            layer.selected_data = set()


def _update_tracks(layer: Any, data: np.ndarray, keywords: dict[str, Any]) -> None:
    """Set data, features and graph in this order: napari drops features and graph when the data are set."""
    colour = layer.color_by
    layer.color_by = "track_id"
    layer.data = data
    layer.features = keywords["features"]
    layer.graph = keywords["graph"]
    if colour in layer.features.columns:
        layer.color_by = colour


def find_cell(group: dict[str, Any], lineage: Lineage, position: Sequence[float], **view: Any) -> int:
    """Return the row of the cell at a place of the world, -1 if there is none.

    Parameters
    ----------
    group, lineage
        The layers, and their lineage.
    position : sequence of float
        As of an event of the mouse.
    **view
        ``view_direction`` and ``dims_displayed`` of the event.
    """
    cells = lineage.cells
    tracks = group["tracks"]
    place = np.asarray(tracks.world_to_data(position))
    frame = int(np.rint(place[0]))
    labels = group.get("labels")
    if labels is not None:
        label = labels.get_value(position, world=True, **view) or 0
        return int(cells.row_of(frame, int(label))) if label else -1
    rows = np.flatnonzero(cells.frame == frame)
    if not len(rows):
        return -1
    distance = np.linalg.norm(locate_cells(lineage)[rows, 1:] - place[1:], axis=1)
    nearest = int(np.argmin(distance))
    return int(rows[nearest]) if distance[nearest] <= find_diameter(lineage) else -1


def look_at(viewer: Any, group: dict[str, Any], lineage: Lineage, row: int) -> None:
    """Go to a cell: its frame, its plane, and the centre of the view."""
    world = group["tracks"].data_to_world(locate_cells(lineage)[row])
    first = viewer.dims.ndim - len(world)
    for axis, value in enumerate(world, start=first):
        if axis not in viewer.dims.displayed:
            viewer.dims.set_point(axis, float(value))
    camera = getattr(viewer, "scene", viewer).camera  # napari before 0.9 has it at the viewer
    camera.center = tuple(float(value) for value in world[-3:]) if len(world) > 3 else (0.0, *world[-2:])


def mark_cell(viewer: Any, lineage: Lineage, rows: Sequence[int]) -> None:
    """Draw a ring around cells, and around no others."""
    data = locate_cells(lineage)[list(rows)]
    size = 1.8 * find_diameter(lineage)
    if _MARKER in viewer.layers:
        layer = viewer.layers[_MARKER]
        layer.data = data
        layer.size = size
        layer.selected_data = set()
        return
    active = viewer.layers.selection.active
    viewer.add_points(
        data,
        name=_MARKER,
        size=size,
        face_color="transparent",
        border_color="cyan",
        border_width=0.08,
        metadata={KEY: {"role": _MARKER}},
        **describe_axes(lineage),
    )
    if active is not None:
        viewer.layers.selection.active = active
