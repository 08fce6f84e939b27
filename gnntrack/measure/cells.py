"""Masks (and images) to cells: one pass over the pixels of each frame.

A frame's mask becomes runs of equal labels. Sizes, centroids, second moments, boxes and contacts are
sums over the runs in closed form; only the intensities visit every pixel of a cell.

Feature columns, with ``u`` for the movie's unit (um or pixel). Lengths and areas are physical if the
voxel size is known. No value is NaN or infinite.

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
density              1/u2.. cells per area (volume) in the circle around the nearest ``neighbours`` cells
touching                    fraction of the outline (surface) that touches other cells
intensity_mean       grey   these four with images only; pixels that are not finite in float32 are ignored
intensity_std        grey
intensity_min        grey
intensity_max        grey
*_zscore                    robust z-score in its frame: (value - median) / (1.4826 MAD), within +-100
intensity_*_CHANNEL         the four intensities in each channel of images with several; grey values
==================== ====== ==============================================================================

Without images the intensity columns are absent: a value of zero would look like a dark cell.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.errors import FrameError
from gnntrack.frame_slabs import LargeFrame, list_slabs, open_frame, read_planes
from gnntrack.geometry import compute_radius
from gnntrack.masks.fragments import CleanFrame, clean_frame
from gnntrack.masks.runs import encode_frame, join_frames
from gnntrack.measure.channels import INTENSITY_FEATURES, list_channel_columns, measure_channels, read_slabs
from gnntrack.measure.kernels import FLOAT32_MAX, measure_contacts, measure_intensities, measure_moments
from gnntrack.measure.neighbourhood import measure_neighbourhood
from gnntrack.plurals import count_noun
from gnntrack.types import Cells, Runs

if TYPE_CHECKING:
    from gnntrack.settings import CellSettings
    from gnntrack.types import FeatureArray, FloatArray, FrameStack, Image, IntArray, Progress

__all__ = [
    "INTENSITY_FEATURES",
    "INTENSITY_ZSCORES",
    "SHAPE_FEATURES",
    "SHAPE_ZSCORES",
    "compute_zscores",
    "list_features",
    "measure_cells",
]

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
SHAPE_ZSCORES = ("size_zscore", "elongation_zscore", "ellipsoid_fill_zscore")
"""Robust z-scores of columns from the masks; they follow `SHAPE_FEATURES`."""
INTENSITY_ZSCORES = tuple(f"{name}_zscore" for name in INTENSITY_FEATURES)
"""Robust z-scores of the columns from the images; they come last."""

_LISTED = 50  # findings of a kind that are listed one by one; the others are only counted
_REMOVED = 10_000  # the same of findings that remove pixels
_AHEAD = 1 << 26  # bytes of the frames that are read before they are needed, if a pixel has 8
_MOST_AHEAD = 8  # frames
_ZSCORE_LIMIT = 100.0
_MAD_TO_STD = 1.4826  # of a normal distribution


class _ReadFrame(NamedTuple):
    """A frame that was read."""

    runs: tuple[IntArray, IntArray, IntArray]
    image: Image | LargeFrame | None
    others: list[Image | LargeFrame]  # the image in each channel


EachImage = Callable[[int, "Image | LargeFrame", "FloatArray", "FloatArray"], None]


def list_features(
    *, ndim: int, unit: str, images: bool, channels: Sequence[str] = ()
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names and units of the feature columns of `measure_cells`.

    Parameters
    ----------
    ndim : {2, 3}
        Number of spatial dimensions.
    unit : str
        ``"um"`` or ``"pixel"``.
    images : bool
        Whether there are images.
    channels : strings
        Names of the channels, if the images have several.

    Examples
    --------
    >>> names, units = list_features(ndim=2, unit="um", images=False)
    >>> dict(zip(names, units))["density"], "box_z" in names
    ('1/um2', False)
    """
    names = tuple(name for name in SHAPE_FEATURES if name != "box_z" or ndim == 3) + SHAPE_ZSCORES
    names += (*INTENSITY_FEATURES, *INTENSITY_ZSCORES) if images else ()
    own = list_channel_columns(channels)
    special = {"size": f"{unit}{ndim}", "density": f"1/{unit}{ndim}", "orientation": "rad"}
    pure = {"elongation", "eccentricity", "ellipsoid_fill", "touching"}

    def get_unit(name: str) -> str:
        if name in pure or name.endswith("_zscore"):
            return ""
        return "grey" if name in INTENSITY_FEATURES else special.get(name, unit)

    return names + own, tuple(map(get_unit, names)) + ("",) * len(own)


def measure_cells(
    masks: FrameStack,
    *,
    images: FrameStack | None = None,
    settings: CellSettings,
    progress: Progress | None = None,
    each_image: EachImage | None = None,
    channels: Mapping[str, FrameStack] | None = None,
) -> tuple[Cells, Runs, dict[str, Any]]:
    """Measure every cell of a movie, reading each frame once.

    Parameters
    ----------
    masks : FrameStack of (Y, X) or (Z, Y, X) integer arrays
        0 is background; any label values, in any order.
    images : FrameStack, optional
        Same length and shape as `masks`.
    settings : CellSettings
        Rules for fragments and small cells, and number of `neighbours` for the density.
    progress : Progress, optional
        Called after each frame.
    each_image : callable, optional
        Called with (frame, image, centroids (n, D) in pixels, equivalent radii (n,) in pixels) for every image in
        order, so that each image is read only once.
    channels : mapping of str to FrameStack, optional
        All channels of the images by name, each of the length and shape of `masks`; the channel that is `images`
        itself is read once.

    Returns
    -------
    cells : Cells
        One row per cell; `position` is the centroid in the movie's unit.
    runs : Runs
        The cells' pixels after `settings.fragments` and `settings.min_size`.
    report : dict
        Labels in several pieces, new labels of pieces, removed cells, and the number of pixels that are not finite,
        as plain JSON values.

    Raises
    ------
    FrameError
        If the movie has no frames, images and masks differ in length or shape, or a mask has values that are not
        labels.

    Examples
    --------
    A movie of one frame of 3 x 4 pixels with two cells:

    >>> from gnntrack.io.frames import open_masks
    >>> from gnntrack.settings import CellSettings
    >>> masks = open_masks(np.array([[[7, 7, 0, 0], [7, 7, 0, 0], [0, 0, 0, 5]]]))
    >>> cells, runs, report = measure_cells(masks, settings=CellSettings())
    >>> cells.label.tolist(), cells.position.tolist(), cells.feature("size").tolist()
    ([5, 7], [[2.0, 3.0], [0.5, 0.5]], [1.0, 4.0])
    """
    channels = channels or {}
    for stack in (images, *channels.values()):
        _check_movie(masks, stack)
    findings = _Findings(settings.fragments)
    layout = _get_layout(masks.shape)
    kept, sums = [], []
    for frame, (encoded, image, others) in _read_ahead(masks, images, tuple(channels.values())):
        clean = clean_frame(*encoded, layout=layout, settings=settings)
        for kind in ("disconnected", "split", "dropped"):
            findings.add(kind, frame, getattr(clean, kind))
        kept.append(replace(clean, touching={}))  # they are not needed any more
        sums.append(_measure_frame(clean, image, others, masks, findings))
        if each_image is not None and image is not None:
            ndim = len(masks.shape)
            each_image(frame, image, sums[-1].centre[:, -ndim:], compute_radius(sums[-1].pixels, ndim))
        if progress is not None:
            progress("cells", frame + 1, len(masks))
    movie = _Measurements._make(
        np.concatenate([getattr(part, name) for part in sums]) for name in _Measurements._fields
    )
    cells = _make_cells(kept, movie, masks, settings, tuple(channels))
    return cells, _make_runs(kept, cells), findings.as_dict(len(cells))


@dataclass
class _Findings:
    """Irregularities of the masks and images, counted, the first of each kind listed."""

    fragments: str
    disconnected: list[list[int]] = field(default_factory=list)
    n_disconnected: int = 0
    split: list[list[int]] = field(default_factory=list)
    n_split: int = 0
    dropped: list[list[int]] = field(default_factory=list)
    n_dropped: int = 0
    not_finite: int = 0

    def add(self, kind: str, frame: int, found: IntArray) -> None:
        """Count the findings (2, k) of one kind in a frame, and list the first of them."""
        listed = getattr(self, kind)
        removes = kind == "dropped" or (kind == "disconnected" and self.fragments == "largest")
        most = _REMOVED if removes else _LISTED
        setattr(self, f"n_{kind}", getattr(self, f"n_{kind}") + found.shape[1])
        listed += [[frame, *pair] for pair in found[:, : most - len(listed)].T.tolist()]

    def as_dict(self, cells: int) -> dict[str, Any]:
        """Return plain values; list items are [frame, label, pieces | label before | pixels]."""
        return {
            "cells": cells,
            "fragments": self.fragments,
            "disconnected": {"count": self.n_disconnected, "listed": self.disconnected},
            "split": {"count": self.n_split, "listed": self.split},
            "dropped": {"count": self.n_dropped, "listed": self.dropped},
            "pixels_not_finite": self.not_finite,
        }


class _Measurements(NamedTuple):
    """Measurements per cell of a frame or of the movie, in pixels along z, y, x."""

    pixels: IntArray  # (N,)
    centre: FloatArray  # (N, 3)
    moments: FloatArray  # (N, 6) covariances zz, yy, xx, zy, zx, yx
    box: IntArray  # (N, 6) lower corner, upper corner (exclusive)
    touching: FloatArray  # (N,)
    intensity: FloatArray  # (N, 4) mean, std, min, max, or (N, 0)
    channels: FloatArray  # (N, 4 C) the same in each channel, or (N, 0)


def _check_movie(masks: FrameStack, images: FrameStack | None) -> None:
    if not len(masks):
        msg = "the movie has no frames; give at least one"
        raise FrameError(msg)
    if images is not None and (len(images) != len(masks) or tuple(images.shape) != tuple(masks.shape)):
        msg = (
            f"images have {count_noun(len(images), 'frame')} of {tuple(images.shape)}, masks {len(masks)} of "
            f"{tuple(masks.shape)}; "
            "give images and masks of the same movie"
        )
        raise FrameError(msg)


def _read_ahead(
    masks: FrameStack, images: FrameStack | None, channels: Sequence[FrameStack]
) -> Iterator[tuple[int, _ReadFrame]]:
    """Yield (frame, what was read of it), and read and encode the next frames in a second thread."""

    def read(frame: int) -> _ReadFrame:
        runs = _encode(masks, frame)
        image = None if images is None else _read_image(images, frame, masks.shape)
        others = [
            image if stack is images and image is not None else _read_image(stack, frame, masks.shape)
            for stack in channels
        ]
        return _ReadFrame(runs, image, others)

    waiting = int(np.clip(_AHEAD // (8 * math.prod(masks.shape) * (1 + len(channels))), 1, _MOST_AHEAD))
    reader = ThreadPoolExecutor(1)
    try:
        ahead = deque(reader.submit(read, frame) for frame in range(min(waiting, len(masks))))
        for frame in range(len(masks)):
            read_frame = ahead.popleft().result()
            if frame + waiting < len(masks):
                ahead.append(reader.submit(read, frame + waiting))
            yield frame, read_frame
    finally:  # after an error, or Ctrl-C, the frames that wait are not read
        reader.shutdown(cancel_futures=True)


def _encode(masks: FrameStack, frame: int) -> tuple[IntArray, IntArray, IntArray]:
    """Return the runs of a mask, which is read in slabs if it is large."""
    slabs = list_slabs(masks)
    if len(slabs) == 1:
        return _encode_part(masks, frame, np.asarray(masks[frame]), tuple(masks.shape))
    parts, plane = [], math.prod(masks.shape[1:])
    for planes in slabs:
        shape = (planes.stop - planes.start, *masks.shape[1:])
        start, length, label = _encode_part(masks, frame, read_planes(masks, frame, planes), shape)
        parts.append((start + planes.start * plane, length, label))
    start, length, label = map(np.concatenate, zip(*parts, strict=True))
    return start, length, label


def _encode_part(
    masks: FrameStack, frame: int, mask: Image, shape: tuple[int, ...]
) -> tuple[IntArray, IntArray, IntArray]:
    """Return the runs of a mask or of a slab of it; raise if it is not a label image."""
    if mask.shape != shape or mask.dtype.kind not in "biu":
        msg = f"mask of shape {mask.shape} and type {mask.dtype}, expected integer labels of shape {shape}"
        raise FrameError(msg, file=masks.names[frame], frame=frame)
    start, length, label = encode_frame(mask.astype(mask.dtype.newbyteorder("="), copy=False))
    if len(label) and label.min() < 0:
        msg = f"label {label.min()}; labels are positive and fit in 63 bits, 0 is background"
        raise FrameError(msg, file=masks.names[frame], frame=frame)
    return start, length, label


def _read_image(images: FrameStack, frame: int, shape: tuple[int, ...]) -> Image | LargeFrame:
    image = open_frame(images, frame)
    if isinstance(image, LargeFrame):
        return image
    if image.shape != tuple(shape) or image.dtype.kind not in "biuf":
        msg = f"image of shape {image.shape} and type {image.dtype}, expected numbers of shape {tuple(shape)}"
        raise FrameError(msg, file=images.names[frame], frame=frame)
    return image


# --- one frame -------------------------------------------------------------------------------------------------------


def _get_layout(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return depth, height, width; depth 1 in 2D."""
    depth, height, width = (1, *shape)[-3:]
    return int(depth), int(height), int(width)


def _measure_frame(
    clean: CleanFrame,
    image: Image | LargeFrame | None,
    others: Sequence[Image | LargeFrame],
    masks: FrameStack,
    findings: _Findings,
) -> _Measurements:
    layout, n = _get_layout(masks.shape), len(clean.label)
    runs = (clean.start, clean.length, clean.cell)
    # the area of a face is the product of the pixel sizes along the other two axes
    face = math.prod(masks.spacing) / np.array((np.inf, *masks.spacing)[-3:])
    touching = measure_contacts(runs, n, layout, face, clean.touching)
    intensity = np.zeros((n, 0))
    if image is not None:
        intensity, not_finite = measure_intensities(read_slabs(image), runs, n)
        findings.not_finite += int(not_finite)
    channels = measure_channels(others, runs, n)
    return _Measurements._make((*measure_moments(runs, n, layout), touching, intensity, channels))


# --- the whole movie -------------------------------------------------------------------------------------------------


def _make_cells(
    kept: list[CleanFrame], sums: _Measurements, masks: FrameStack, settings: CellSettings, channels: tuple[str, ...]
) -> Cells:
    spacing, shape = tuple(map(float, masks.spacing)), tuple(map(int, masks.shape))
    per_frame = [len(clean.label) for clean in kept]
    offsets = np.cumsum([0, *per_frame])
    position = sums.centre[:, -len(shape) :] * spacing
    columns = _compute_shape_columns(sums, spacing, shape)
    columns |= measure_neighbourhood(position, offsets, spacing, shape, settings.neighbours)
    columns |= dict(zip(INTENSITY_FEATURES, sums.intensity.T, strict=False))
    zscores = SHAPE_ZSCORES + (INTENSITY_ZSCORES if sums.intensity.shape[1] else ())
    values = np.stack([columns[name.removesuffix("_zscore")] for name in zscores], axis=1)
    columns |= dict(zip(zscores, compute_zscores(values, offsets).T, strict=True))
    columns |= dict(zip(list_channel_columns(channels), sums.channels.T, strict=True))
    images = bool(sums.intensity.shape[1])
    names, units = list_features(ndim=len(shape), unit=masks.unit, images=images, channels=channels)
    return Cells(
        frame=np.repeat(np.arange(len(kept)), per_frame),
        label=np.concatenate([clean.label for clean in kept]),
        position=position,
        features=_as_float32(np.stack([columns[name] for name in names], axis=1)),
        feature_names=names,
        feature_units=units,
        spacing=spacing,
        n_frames=len(kept),
        shape=shape,
        unit=masks.unit,
    )


def _make_runs(kept: list[CleanFrame], cells: Cells) -> Runs:
    first = np.cumsum([0, *(len(clean.label) for clean in kept)])
    parts = [(one.start, one.length, one.cell + row) for one, row in zip(kept, first, strict=False)]
    return join_frames(parts, cells.shape)


def _as_float32(values: FloatArray) -> FeatureArray:
    return np.clip(values, -FLOAT32_MAX, FLOAT32_MAX).astype(np.float32)


def _compute_shape_columns(
    sums: _Measurements, spacing: tuple[float, ...], shape: tuple[int, ...]
) -> dict[str, FloatArray]:
    ndim = len(spacing)
    size = sums.pixels * math.prod(spacing)
    axes, orientation = _fit_ellipse(sums.moments, spacing)
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


def _fit_ellipse(moments: FloatArray, spacing: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    """Return the axes, longest first (N, D), and the orientation (N,) of the ellipse with these moments.

    A pixel counts as a box with a variance of spacing^2 / 12, not as a point, so that a cell of one pixel or one
    row of pixels has axes too.
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


def compute_zscores(values: FloatArray, offsets: IntArray) -> FloatArray:
    """Return (value - median) / (1.4826 MAD) per frame and column; 0 where the MAD is 0."""
    zscores = np.zeros_like(values)
    for low, high in itertools.pairwise(offsets):
        if high - low < 2:
            continue
        off = values[low:high] - np.asarray(np.median(values[low:high], axis=0))
        mad = np.median(np.abs(off), axis=0)
        # equal values may differ by rounding errors, which are not a spread
        spread = mad > 1e-9 * np.abs(values[low:high]).max(axis=0)
        zscores[low:high] = np.where(spread, off / np.where(spread, _MAD_TO_STD * mad, 1), 0)
    return np.clip(zscores, -_ZSCORE_LIMIT, _ZSCORE_LIMIT)
