"""Masks (and images) to cells: one pass over the pixels of each frame.

A frame's mask becomes runs of equal labels; sizes, centroids, second moments, boxes and contacts are
sums over the runs in closed form, and only the intensities visit every pixel of a cell.

Columns, with ``u`` for the movie's unit (um or pixel). Lengths and areas are physical wherever the
voxel size is known. No value is ever NaN or infinite.

==================== ====== ==============================================================================
size                 u2, u3 area, in 3D volume
diameter             u      of the circle, in 3D ball, of this size
major_axis           u      longest axis of the ellipse (ellipsoid) with the same second moments
minor_axis           u      its shortest axis
elongation                  1 - minor / major, in [0, 1)
eccentricity                sqrt(1 - (minor / major)^2), in [0, 1)
orientation          rad    2D: angle of the major axis to the y axis, in [-pi/2, pi/2]; 3D: 0
ellipsoid_fill              size / size of that ellipse (ellipsoid): a cheap proxy of solidity; 1 = an ellipse
box_z, box_y, box_x  u      extent of the bounding box (``box_z`` in 3D only)
border_distance      u      from the box to the nearest border of the frame along y and x; 0 = it touches
neighbour_distance   u      to the nearest other centroid; the frame's diagonal if the cell is alone
density              1/u2.. cells per area (volume) in the circle that holds the nearest ``neighbours`` cells
touching                    share of the outline (surface) that lies against other cells
intensity_mean       grey   these four with images only; pixels that are no finite float32 are left out
intensity_std        grey
intensity_min        grey
intensity_max        grey
*_z                         robust z-score in its frame: (value - median) / (1.4826 MAD), within +-100
==================== ====== ==============================================================================

The columns with images are absent without them: a made-up zero would look like a dark cell.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.compiled import compiled
from gnntrack.errors import FrameError
from gnntrack.geometry import UNIT_BALL, compute_radius
from gnntrack.masks.fragments import Settled, row_table, settle_fragments
from gnntrack.masks.runs import encode_frame, join_frames
from gnntrack.types import Cells, Runs

if TYPE_CHECKING:
    from gnntrack.settings import CellSettings
    from gnntrack.types import FeatureArray, FloatArray, FrameStack, Image, IntArray, Progress

__all__ = ["INTENSITY_FEATURES", "INTENSITY_Z", "SHAPE_FEATURES", "SHAPE_Z", "feature_columns", "measure_cells"]

SHAPE_FEATURES = (
    "size",
    "diameter",
    "major_axis",
    "minor_axis",
    "elongation",
    "eccentricity",
    "orientation",
    "ellipsoid_fill",
    "box_z",
    "box_y",
    "box_x",
    "border_distance",
    "neighbour_distance",
    "density",
    "touching",
)
"""Columns from the masks, in this order (``box_z`` in 3D only)."""
SHAPE_Z = ("size_z", "elongation_z", "ellipsoid_fill_z")
"""Robust z-scores of columns from the masks; they follow `SHAPE_FEATURES`."""
INTENSITY_FEATURES = ("intensity_mean", "intensity_std", "intensity_min", "intensity_max")
"""Columns from the images; they follow `SHAPE_Z`."""
INTENSITY_Z = ("intensity_mean_z", "intensity_std_z", "intensity_min_z", "intensity_max_z")
"""Robust z-scores of the columns from the images; they come last."""

_LISTED = 50  # cells named one by one in the notes; beyond that only their number is told
_Z_LIMIT = 100.0
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_MAD_TO_STD = 1.4826  # of a normal distribution

EachImage = Callable[[int, "Image", "FloatArray", "FloatArray"], None]


def feature_columns(*, ndim: int, unit: str, images: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names and units of the columns that `measure_cells` makes.

    >>> names, units = feature_columns(ndim=2, unit="um", images=False)
    >>> dict(zip(names, units))["density"], "box_z" in names
    ('1/um2', False)
    """
    names = tuple(name for name in SHAPE_FEATURES if name != "box_z" or ndim == 3) + SHAPE_Z
    names += (*INTENSITY_FEATURES, *INTENSITY_Z) if images else ()
    special = {"size": f"{unit}{ndim}", "density": f"1/{unit}{ndim}", "orientation": "rad"}
    pure = {"elongation", "eccentricity", "ellipsoid_fill", "touching"}

    def unit_of(name: str) -> str:
        if name in pure or (name.endswith("_z") and name != "box_z"):
            return ""
        return "grey" if name in INTENSITY_FEATURES else special.get(name, unit)

    return names, tuple(map(unit_of, names))


def measure_cells(
    masks: FrameStack,
    images: FrameStack | None = None,
    *,
    settings: CellSettings,
    progress: Progress | None = None,
    each_image: EachImage | None = None,
) -> tuple[Cells, Runs, dict[str, Any]]:
    """Measure every cell of a movie, reading each frame once.

    Parameters
    ----------
    masks : FrameStack of (Y, X) or (Z, Y, X) integer arrays
        0 is background; any label values, in any order.
    images : FrameStack, optional
        Same length and shape as `masks`.
    settings : CellSettings
        What becomes of fragments and of small cells.
    progress : Progress, optional
        Told after each frame.
    each_image : callable, optional
        Called with (frame, image, centroids (n, D) in pixels, equivalent radii (n,) in pixels) for every image in
        order, so that other stages need not read it again.

    Returns
    -------
    cells : Cells
        One row per cell; `position` is the centroid in the movie's unit.
    runs : Runs
        The cells' pixels after `settings.fragments` and `settings.min_size`.
    notes : dict
        Labels in several pieces, new labels of pieces, cells left out, and pixels that are not finite, as
        plain JSON values.

    Raises
    ------
    FrameError
        If images and masks differ in length or shape, or a mask holds something other than labels.
    """
    _check_movie(masks, images)
    notes = _Notes(settings.fragments)
    layout = _layout(masks.shape)
    kept, sums = [], []
    for frame, encoded, image in _read_ahead(masks, images):
        settled = settle_fragments(*encoded, layout=layout, settings=settings)
        for kind in ("disconnected", "split", "dropped"):
            notes.add(kind, frame, getattr(settled, kind))
        kept.append(settled)
        sums.append(_measure_frame(settled, image, masks, notes))
        if each_image is not None and image is not None:
            ndim = len(masks.shape)
            each_image(frame, image, sums[-1].centre[:, -ndim:], compute_radius(sums[-1].pixels, ndim))
        if progress is not None:
            progress("cells", frame + 1, len(masks))
    movie = _Sums._make(np.concatenate([getattr(part, name) for part in sums]) for name in _Sums._fields)
    cells = _cells(kept, movie, masks, settings)
    return cells, _runs(kept, cells), notes.plain(len(cells))


@dataclass
class _Notes:
    """What was found on the way, as plain values."""

    fragments: str
    disconnected: list[list[int]] = field(default_factory=list)
    n_disconnected: int = 0
    split: list[list[int]] = field(default_factory=list)
    n_split: int = 0
    dropped: list[list[int]] = field(default_factory=list)
    n_dropped: int = 0
    not_finite: int = 0

    def add(self, kind: str, frame: int, found: IntArray) -> None:
        """Count the findings (2, .) of one kind in a frame, and list the first of them."""
        listed = getattr(self, kind)
        setattr(self, f"n_{kind}", getattr(self, f"n_{kind}") + found.shape[1])
        listed += [[frame, *pair] for pair in found[:, : _LISTED - len(listed)].T.tolist()]

    def plain(self, cells: int) -> dict[str, Any]:
        """Return the notes; lists hold [frame, label, pieces | label it was part of | pixels]."""
        return {
            "cells": cells,
            "fragments": self.fragments,
            "disconnected": {"count": self.n_disconnected, "listed": self.disconnected},
            "split": {"count": self.n_split, "listed": self.split},
            "dropped": {"count": self.n_dropped, "listed": self.dropped},
            "pixels_not_finite": self.not_finite,
        }


class _Sums(NamedTuple):
    """Raw sums per cell, of a frame or of the movie; lengths in pixels along z, y, x."""

    pixels: IntArray  # (N,)
    centre: FloatArray  # (N, 3)
    moments: FloatArray  # (N, 6) covariances zz, yy, xx, zy, zx, yx
    box: IntArray  # (N, 6) lower corner, upper corner (exclusive)
    touching: FloatArray  # (N,)
    grey: FloatArray  # (N, 4) mean, std, min, max, or (N, 0)


def _check_movie(masks: FrameStack, images: FrameStack | None) -> None:
    if not len(masks):
        msg = "a movie without frames; give at least one"
        raise FrameError(msg)
    if images is not None and (len(images) != len(masks) or tuple(images.shape) != tuple(masks.shape)):
        msg = (
            f"images have {len(images)} frames of {tuple(images.shape)}, masks {len(masks)} of {tuple(masks.shape)}; "
            "give images and masks of the same movie"
        )
        raise FrameError(msg)


def _read_ahead(
    masks: FrameStack, images: FrameStack | None
) -> Iterator[tuple[int, tuple[IntArray, IntArray, IntArray], Image | None]]:
    """Yield frame by frame, reading and decoding the next one meanwhile in a second thread."""

    def read(frame: int) -> tuple[tuple[IntArray, IntArray, IntArray], Image | None]:
        runs = _encode(masks, frame)
        return runs, None if images is None else _image(images, frame, masks.shape)

    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(read, 0) if len(masks) else None
        for frame in range(len(masks)):
            runs, image = ahead.result()  # type: ignore[union-attr]
            ahead = reader.submit(read, frame + 1) if frame + 1 < len(masks) else None
            yield frame, runs, image


def _encode(masks: FrameStack, frame: int) -> tuple[IntArray, IntArray, IntArray]:
    mask = np.asarray(masks[frame])
    if mask.shape != tuple(masks.shape) or mask.dtype.kind not in "biu":
        msg = f"mask of shape {mask.shape} and type {mask.dtype}, expected integer labels of shape {tuple(masks.shape)}"
        raise FrameError(msg, file=masks.names[frame], frame=frame)
    start, length, label = encode_frame(mask.astype(mask.dtype.newbyteorder("="), copy=False))
    if len(label) and label.min() < 0:
        msg = f"label {label.min()}; labels are positive and fit in 63 bits, 0 is background"
        raise FrameError(msg, file=masks.names[frame], frame=frame)
    return start, length, label


def _image(images: FrameStack, frame: int, shape: tuple[int, ...]) -> Image:
    image = np.asarray(images[frame])
    if image.shape != tuple(shape) or image.dtype.kind not in "biuf":
        msg = f"image of shape {image.shape} and type {image.dtype}, expected numbers of shape {tuple(shape)}"
        raise FrameError(msg, file=images.names[frame], frame=frame)
    return image


# --- one frame -------------------------------------------------------------------------------------------------------


def _layout(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return depth, height, width; depth 1 in 2D."""
    depth, height, width = (1, *shape)[-3:]
    return int(depth), int(height), int(width)


def _measure_frame(settled: Settled, image: Image | None, masks: FrameStack, notes: _Notes) -> _Sums:
    layout, n = _layout(masks.shape), len(settled.label)
    runs = (settled.start, settled.length, settled.cell)
    # a face across an axis has the size of the pixel along the other axes
    face = math.prod(masks.spacing) / np.array((np.inf, *masks.spacing)[-3:])
    touching = _contacts(runs, n, layout, face)
    grey = np.zeros((n, 0))
    if image is not None:
        grey, not_finite = _greys(_flat(image), runs, n)
        notes.not_finite += int(not_finite)
    return _Sums._make((*_shapes(runs, n, layout), touching, grey))


def _flat(image: Image) -> Image:
    """Return the pixels in a type that compiled code knows."""
    dtype = image.dtype.newbyteorder("=")
    if dtype.kind == "b":
        dtype = np.dtype(np.uint8)
    elif dtype.kind == "f" and dtype.itemsize not in {4, 8}:
        dtype = np.dtype(np.float32 if dtype.itemsize < 4 else np.float64)
    return np.ascontiguousarray(image, dtype).reshape(-1)


@compiled
def _shapes(runs, n, layout):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Return pixels, centroid, central second moments and box of each cell, in pixels.

    The centroid comes from exact integer sums, and the moments are summed about it, so that a cell far
    from the origin is measured as well as one near it. Over a run of n pixels with its middle at m,
    sum (x - c)^2 = n ((m - c)^2 + (n^2 - 1) / 12).
    """
    start, length, cell = runs
    depth, height, width = layout
    pixels = np.zeros(n, np.int64)
    sums = np.zeros((n, 3), np.int64)
    box = np.empty((n, 6), np.int64)
    box[:, 0], box[:, 1], box[:, 2] = depth, height, width
    box[:, 3:] = 0
    for i in range(start.size):
        row, x = start[i] // width, start[i] % width
        z, y = row // height, row % height
        c, k = cell[i], length[i]
        pixels[c] += k
        sums[c, 0] += k * z
        sums[c, 1] += k * y
        sums[c, 2] += k * x + k * (k - 1) // 2
        box[c, 0], box[c, 3] = min(box[c, 0], z), max(box[c, 3], z + 1)
        box[c, 1], box[c, 4] = min(box[c, 1], y), max(box[c, 4], y + 1)
        box[c, 2], box[c, 5] = min(box[c, 2], x), max(box[c, 5], x + k)
    centre = np.empty((n, 3))
    for c in range(n):
        for axis in range(3):
            centre[c, axis] = sums[c, axis] / pixels[c]
    moments = np.zeros((n, 6))
    for i in range(start.size):
        row, x = start[i] // width, start[i] % width
        c, k = cell[i], float(length[i])
        dz, dy = row // height - centre[c, 0], row % height - centre[c, 1]
        dx = x + 0.5 * (k - 1) - centre[c, 2]
        moments[c, 0] += k * dz * dz
        moments[c, 1] += k * dy * dy
        moments[c, 2] += k * (dx * dx + (k * k - 1) / 12)
        moments[c, 3] += k * dz * dy
        moments[c, 4] += k * dz * dx
        moments[c, 5] += k * dy * dx
    for c in range(n):
        moments[c] /= pixels[c]
    return pixels, centre, moments, box


@compiled
def _meet(runs, own, others, shift, face, outer, contact):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Book the faces between the runs of one image row and those of another one."""
    start, length, cell = runs
    base, end = others
    for i in range(own[0], own[1]):
        low = start[i] - shift
        high = low + length[i]
        while base < end and start[base] + length[base] <= low:
            base += 1
        j = base
        while j < end and start[j] < high:
            common = (min(high, start[j] + length[j]) - max(low, start[j])) * face
            if cell[i] == cell[j]:
                outer[cell[i]] -= 2 * common
            else:
                contact[cell[i]] += common
                contact[cell[j]] += common
            j += 1


@compiled
def _contacts(runs, n, layout, face):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Return the share of each cell's faces that lie against other cells."""
    start, length, cell = runs
    depth, height, width = layout
    first = row_table(start, width, depth * height)
    outer, contact = np.zeros(n), np.zeros(n)
    for row in range(depth * height):
        own = (first[row], first[row + 1])
        for i in range(own[0], own[1]):
            outer[cell[i]] += 2 * (face[2] + length[i] * (face[0] + face[1]))
            if i + 1 < own[1] and start[i + 1] == start[i] + length[i]:
                contact[cell[i]] += face[2]
                contact[cell[i + 1]] += face[2]
        if row % height:
            _meet(runs, own, (first[row - 1], first[row]), width, face[1], outer, contact)
        if row >= height:
            below = (first[row - height], first[row - height + 1])
            _meet(runs, own, below, width * height, face[0], outer, contact)
    for c in range(n):
        contact[c] = min(contact[c] / outer[c], 1.0)
    return contact


@compiled
def _greys(flat, runs, n):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Return mean, standard deviation, min and max of the finite pixels of each cell; 0 where there are none."""
    start, length, cell = runs
    grey, count, skipped = np.zeros((n, 4)), np.zeros(n, np.int64), 0
    grey[:, 2], grey[:, 3] = np.inf, -np.inf
    for i in range(start.size):
        c = cell[i]
        for p in range(start[i], start[i] + length[i]):
            value = float(flat[p])
            if not abs(value) <= _FLOAT32_MAX:
                skipped += 1
                continue
            count[c] += 1
            grey[c, 0] += value
            grey[c, 2] = min(grey[c, 2], value)
            grey[c, 3] = max(grey[c, 3], value)
    for c in range(n):
        if count[c]:
            grey[c, 0] /= count[c]
        else:
            grey[c] = 0
    for i in range(start.size):
        c = cell[i]
        for p in range(start[i], start[i] + length[i]):
            value = float(flat[p])
            if abs(value) <= _FLOAT32_MAX:
                grey[c, 1] += (value - grey[c, 0]) ** 2
    for c in range(n):
        grey[c, 1] = np.sqrt(grey[c, 1] / max(count[c], 1))
    return grey, skipped


# --- the whole movie -------------------------------------------------------------------------------------------------


def _cells(kept: list[Settled], sums: _Sums, masks: FrameStack, settings: CellSettings) -> Cells:
    spacing, shape = tuple(map(float, masks.spacing)), tuple(map(int, masks.shape))
    per_frame = [len(settled.label) for settled in kept]
    offsets = np.cumsum([0, *per_frame])
    position = sums.centre[:, -len(shape) :] * spacing
    columns = _shape_columns(sums, spacing, shape)
    columns |= _neighbourhood(position, offsets, spacing, shape, settings.neighbours)
    columns |= dict(zip(INTENSITY_FEATURES, sums.grey.T, strict=False))
    z_names = SHAPE_Z + (INTENSITY_Z if sums.grey.shape[1] else ())
    z = _robust_z(np.stack([columns[name.removesuffix("_z")] for name in z_names], axis=1), offsets)
    columns |= dict(zip(z_names, z.T, strict=True))
    names, units = feature_columns(ndim=len(shape), unit=masks.unit, images=bool(sums.grey.shape[1]))
    return Cells(
        frame=np.repeat(np.arange(len(kept)), per_frame),
        label=np.concatenate([settled.label for settled in kept]),
        position=position,
        features=_float32(np.stack([columns[name] for name in names], axis=1)),
        feature_names=names,
        feature_units=units,
        spacing=spacing,
        n_frames=len(kept),
        shape=shape,
        unit=masks.unit,
    )


def _runs(kept: list[Settled], cells: Cells) -> Runs:
    first = np.cumsum([0, *(len(settled.label) for settled in kept)])
    parts = [(one.start, one.length, one.cell + row) for one, row in zip(kept, first, strict=False)]
    return join_frames(parts, cells.shape)


def _float32(values: FloatArray) -> FeatureArray:
    return np.clip(values, -_FLOAT32_MAX, _FLOAT32_MAX).astype(np.float32)


def _shape_columns(sums: _Sums, spacing: tuple[float, ...], shape: tuple[int, ...]) -> dict[str, FloatArray]:
    ndim = len(spacing)
    size = sums.pixels * math.prod(spacing)
    axes, orientation = _ellipse(sums.moments, spacing)
    ratio = axes[:, -1] / axes[:, 0]
    lower, upper = sums.box[:, 3 - ndim : 3], sums.box[:, 6 - ndim :]
    margin = np.minimum(lower, np.array(shape) - upper)[:, -2:] * spacing[-2:]
    ball = math.pi / (4 if ndim == 2 else 6)  # size of the circle (ball) of diameter 1
    extent = (upper - lower) * spacing
    return {
        "size": size,
        "diameter": (size / ball) ** (1 / ndim),
        "major_axis": axes[:, 0],
        "minor_axis": axes[:, -1],
        "elongation": 1 - ratio,
        "eccentricity": np.sqrt(1 - ratio**2),
        "orientation": orientation,
        "ellipsoid_fill": size / (ball * axes.prod(axis=1)),
        **{f"box_{axis}": extent[:, k] for k, axis in enumerate("zyx"[-ndim:])},
        "border_distance": margin.min(axis=1),
        "touching": sums.touching,
    }


def _ellipse(moments: FloatArray, spacing: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    """Return the axes, longest first (N, D), and the orientation (N,) of the ellipse with these moments.

    A pixel counts as a little box, with the variance spacing^2 / 12 of its own, not as a point: a cell of
    one pixel, or of one row of pixels, has axes too.
    """
    sz, sy, sx = (1.0, *spacing)[-3:]
    zz, yy, xx = (moments[:, k] * s * s + s * s / 12 for k, s in enumerate((sz, sy, sx)))
    zy, zx, yx = moments[:, 3] * sz * sy, moments[:, 4] * sz * sx, moments[:, 5] * sy * sx
    if len(spacing) == 2:
        spread = np.hypot(yy - xx, 2 * yx)
        variance = np.stack([yy + xx + spread, yy + xx - spread], axis=1) / 2
        scale, orientation = 4.0, np.arctan2(2 * yx, yy - xx) / 2
    else:
        tensor = np.stack([zz, zy, zx, zy, yy, yx, zx, yx, xx], axis=1).reshape(-1, 3, 3)
        variance = np.asarray(np.linalg.eigvalsh(tensor)[:, ::-1], np.float64)
        scale, orientation = math.sqrt(20), np.zeros(len(moments))  # a solid ellipsoid's variance is axis^2 / 20
    return scale * np.sqrt(np.maximum(variance, min(spacing) ** 2 / 12)), orientation


def _neighbourhood(
    position: FloatArray, offsets: IntArray, spacing: tuple[float, ...], shape: tuple[int, ...], neighbours: int
) -> dict[str, FloatArray]:
    from scipy.spatial import cKDTree

    nearest = np.full(len(position), math.dist([0] * len(shape), np.multiply(shape, spacing)))
    density = np.zeros(len(position))
    for low, high in itertools.pairwise(offsets):
        k = min(neighbours, int(high - low) - 1)
        if k < 1:
            continue
        place = position[low:high]
        distance = cKDTree(place).query(place, k=[2, k + 1])[0]
        nearest[low:high] = distance[:, 0]
        # cells may share a centroid (rings around others); half a pixel keeps the density finite
        density[low:high] = k / (UNIT_BALL[len(shape)] * np.maximum(distance[:, 1], min(spacing) / 2) ** len(shape))
    return {"neighbour_distance": nearest, "density": density}


def _robust_z(values: FloatArray, offsets: IntArray) -> FloatArray:
    """Return (value - median) / (1.4826 MAD) per frame and column; 0 where the MAD is 0."""
    z = np.zeros_like(values)
    for low, high in itertools.pairwise(offsets):
        if high - low < 2:
            continue
        off = values[low:high] - np.asarray(np.median(values[low:high], axis=0))
        mad = np.median(np.abs(off), axis=0)
        # equal values differ by rounding, and a spread of rounding errors is none
        spread = mad > 1e-9 * np.abs(values[low:high]).max(axis=0)
        z[low:high] = np.where(spread, off / np.where(spread, _MAD_TO_STD * mad, 1), 0)
    return np.clip(z, -_Z_LIMIT, _Z_LIMIT)
