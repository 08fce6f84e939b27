"""Layers of napari for a lineage: labels, tracks with divisions, centroids, and the places to check.

Axes are ``t, [z], y, x``. The data of all layers are in frames and pixels. Their scale is the frame interval in seconds
and the size of a voxel in um, if these are known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.frame_array import FrameArray
from gnntrack.lineage.doubts import list_doubts
from gnntrack.result_files import collect_review

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from gnntrack.lineage.doubts import Doubt
    from gnntrack.types import FrameStack, IntArray, Lineage

__all__ = ["KEY", "LayerData", "make_cells", "make_image", "make_labels", "make_layers", "make_review", "make_tracks"]

KEY = "gnntrack"
"""Key of the metadata of a layer: a mapping with ``role``, and with ``lineage`` and ``result`` if these are known."""

LayerData = tuple[Any, dict[str, Any], str]
"""Data, keywords and type of a layer, as readers of napari return it."""

_LENGTHS = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3, "meter": 1e6, "angstrom": 1e-4, "centimeter": 1e4}
_TIMES = {"second": 1.0, "millisecond": 1e-3, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_UNITS = {"um": "micrometer", "pixel": "pixel"}
_AXES = "zyx"
_SMALLEST = 3.0  # pixels, of a point
_UNKNOWN = 10.0  # pixels, diameter of a cell whose size is not known


class Origin(NamedTuple):
    """Where the layers come from, for their names and metadata."""

    name: str
    """First part of the names of the layers."""
    result: str | None = None
    """Folder of the result."""


def make_layers(
    lineage: Lineage, *, name: str = "", result: str | None = None, images: FrameStack | None = None
) -> list[LayerData]:
    """Return the layers of a lineage: images if given, labels if the lineage has masks, tracks, cells, places to check.

    Parameters
    ----------
    lineage : Lineage
        As of `gnntrack.track` or `gnntrack.load`.
    name : str
        First part of the names of the layers.
    result : str, optional
        Folder of the result.
    images : FrameStack, optional
        Images of the microscope.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((2, 20, 20), np.uint8)
    >>> masks[:, 5:11, 5:11] = 7
    >>> layers = make_layers(gnntrack.track(masks=masks, spacing=0.5), name="01_RES")
    >>> [(kind, keywords["name"], keywords["scale"]) for _, keywords, kind in layers][:2]
    [('labels', '01_RES: labels', (1.0, 0.5, 0.5)), ('tracks', '01_RES: tracks', (1.0, 0.5, 0.5))]
    """
    origin = Origin(name, result)
    return [
        *([] if images is None else [make_image(images, lineage, origin)]),
        *([make_labels(lineage, origin)] if lineage.has_masks else []),
        make_tracks(lineage, origin),
        make_cells(lineage, origin),
        make_review(lineage, list_doubts(lineage), origin),
    ]


def make_image(images: FrameStack, lineage: Lineage, origin: Origin) -> LayerData:
    """Return the layer of the images; frames are read when they are shown."""
    first = np.asarray(images[0])
    low, high = (float(value) for value in np.percentile(first, (0.5, 99.9)))
    keywords = _describe(lineage, origin, "images") | {
        "contrast_limits": (low, high if high > low else low + 1),
        "colormap": "gray",
    }
    return FrameArray(images, first.dtype), keywords, "image"


def make_labels(lineage: Lineage, origin: Origin) -> LayerData:
    """Return the layer of the masks: labels are tracks, and features are those of ``tracks.csv``."""
    return lineage.labels(), _describe(lineage, origin, "labels") | {"features": tabulate_labels(lineage)}, "labels"


def tabulate_labels(lineage: Lineage) -> pd.DataFrame:
    """Return a row per track; the column ``index`` is the label, as napari wants it."""
    return lineage.to_pandas("tracks").rename(columns={"track": "index"})


def make_tracks(lineage: Lineage, origin: Origin) -> LayerData:
    """Return the layer of the tracks: `gnntrack.Lineage.to_napari` and the measurements of the cells."""
    data, features, graph = lineage.to_napari()
    keywords = _describe(lineage, origin, "tracks") | {
        "features": dict(features) | _list_measurements(lineage, lineage.cells.row_of(data[:, 1], features["label"])),
        "graph": graph,
        "color_by": "root",
        "colormap": "hsv",
        "tail_length": min(30, max(lineage.cells.n_frames, 1)),
    }
    return data, keywords, "tracks"


def _list_measurements(lineage: Lineage, order: IntArray) -> dict[str, Any]:
    """Return the numeric columns of ``cells.csv`` without missing values, in an order of the cells."""
    known = {"frame", "label", "track", "parent", "root", "generation", "confidence", *_AXES}
    table = lineage.to_pandas("cells").select_dtypes("number")
    columns = {name: table[name].to_numpy()[order] for name in table.columns if name not in known}
    return {name: column for name, column in columns.items() if np.isfinite(column).all()}


def make_cells(lineage: Lineage, origin: Origin) -> LayerData:
    """Return the layer of the centroids, with the columns of ``cells.csv``; hidden at first."""
    keywords = _describe(lineage, origin, "cells") | {
        "features": lineage.to_pandas("cells"),
        "size": max(_SMALLEST, find_diameter(lineage) / 4),
        "face_color": "white",
        "border_width": 0,
        "visible": False,
    }
    return locate_cells(lineage), keywords, "points"


def locate_cells(lineage: Lineage) -> np.ndarray:
    """Return the centroids as points, shape (N, D + 1): frame and ``[z], y, x`` in pixels."""
    cells = lineage.cells
    return np.column_stack([cells.frame, cells.position / np.array(cells.spacing)])


def make_review(lineage: Lineage, doubts: Sequence[Doubt], origin: Origin) -> LayerData:
    """Return the layer of the places to check, with the columns of ``review.csv``.

    Frames without cells have no place.
    """
    data, features = locate_doubts(lineage, doubts)
    keywords = _describe(lineage, origin, "to check") | {
        "features": features,
        "size": max(_SMALLEST, 1.5 * find_diameter(lineage)),
        "face_color": "transparent",
        "border_color": "yellow",
        "border_width": 0.06,
    }
    return data, keywords, "points"


def locate_doubts(lineage: Lineage, doubts: Sequence[Doubt]) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the places to check as points, and the columns of ``review.csv`` for them."""
    columns = collect_review(lineage, doubts)
    rows = np.array([doubt.row for doubt in doubts], np.int64)
    placed = rows >= 0
    features = {name: column[placed] for name, column in columns.items() if not name.endswith("_pixel")}
    for name in ("track", "label"):
        features[name] = features[name].astype(np.int64)
    return locate_cells(lineage)[rows[placed]], features


def describe_axes(lineage: Lineage) -> dict[str, Any]:
    """Return the keywords that place a layer: scale, units and names of the axes."""
    cells, interval = lineage.cells, lineage.provenance.interval
    unit = _UNITS[cells.unit]
    return {
        "scale": (1.0 if interval is None else float(interval), *map(float, cells.spacing)),
        "units": ("pixel" if interval is None else "second", *[unit] * cells.ndim),
        "axis_labels": ("t", *_AXES[-cells.ndim :]),
    }


def read_units(scale: Iterable[float], units: Iterable[object]) -> dict[str, Any]:
    """Return ``spacing`` in um and ``interval`` in seconds of a layer, those of them that its units tell.

    Examples
    --------
    >>> read_units((5, 0.5, 0.5), ("minute", "micrometer", "micrometer"))
    {'spacing': (0.5, 0.5), 'interval': 300.0}
    >>> read_units((1, 1, 1), ("pixel", "pixel", "pixel"))
    {}
    """
    sizes, names = [float(each) for each in scale], [str(unit) for unit in units]
    found: dict[str, Any] = {}
    if len(sizes) != len(names) or not sizes:
        return found
    if all(name in _LENGTHS for name in names[1:]):
        found["spacing"] = tuple(size * _LENGTHS[name] for size, name in zip(sizes[1:], names[1:], strict=True))
    if names[0] in _TIMES:
        found["interval"] = sizes[0] * _TIMES[names[0]]
    return found


def _describe(lineage: Lineage, origin: Origin, role: str) -> dict[str, Any]:
    metadata = {"role": role, "lineage": lineage, "result": origin.result}
    name = f"{origin.name}: {role}" if origin.name else role
    return {"name": name, "metadata": {KEY: metadata}, **describe_axes(lineage)}


def find_diameter(lineage: Lineage) -> float:
    """Return the median diameter of the cells in pixels along x."""
    cells = lineage.cells
    if not len(cells) or not cells.has("diameter"):
        return _UNKNOWN
    return float(np.median(cells.feature("diameter"))) / cells.spacing[-1]


def find_role(metadata: Mapping[str, Any]) -> str | None:
    """Return the role of a layer that gnntrack has made, by its metadata; None for others."""
    own = metadata.get(KEY)
    return own.get("role") if isinstance(own, dict) else None
