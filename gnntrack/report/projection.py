"""A frame as a flat picture, and the colours of its tracks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import FrameError
from gnntrack.lineage.families import find_roots
from gnntrack.report.palette import choose_family_colours

if TYPE_CHECKING:
    from gnntrack.types import FeatureArray, Image, IntArray, Lineage

__all__ = ["choose_track_colours", "project_frame"]

_MANY = 1 << 18  # pixels of a frame whose range of grey values is found from one in four of them
_SPARSE = (slice(None, None, 2), slice(None, None, 2))


def project_frame(image: Image | None, labels: Image, frame: int | None) -> tuple[FeatureArray, IntArray]:
    """Return the image in [0, 1] and the track ids, both of shape (Y, X)."""
    if labels.ndim not in (2, 3) or labels.dtype.kind not in "iu":
        msg = f"labels are {labels.dtype} of shape {labels.shape}; expected integers, (Y, X) or (Z, Y, X)"
        raise FrameError(msg, frame=frame)
    if image is not None and image.shape != labels.shape:
        msg = f"the image has shape {image.shape}, its labels {labels.shape}"
        raise FrameError(msg, frame=frame)
    if labels.ndim == 3:
        upper = np.argmax(labels > 0, axis=0)
        labels = np.take_along_axis(labels, upper[None], 0)[0]
        image = None if image is None else image.max(0)
    if image is None:
        return np.zeros(labels.shape, np.float32), labels.astype(np.int64)
    labels = labels.astype(np.int64, copy=False)
    sample = image[_SPARSE] if image.size > _MANY else image
    if image.dtype in (np.uint8, np.uint16):  # each grey value is scaled once
        table = _scale_values(np.arange(np.iinfo(image.dtype).max + 1, dtype=np.float32), sample)
        return table[image], labels
    return _scale_values(np.nan_to_num(image.astype(np.float32)), np.nan_to_num(sample.astype(np.float32))), labels


def _scale_values(values: FeatureArray, sample: Image) -> FeatureArray:
    """Return values in [0, 1], brightened, so that nearly all values of a sample are within 0 and 1."""
    low, high = np.percentile(sample, (0.5, 99.8))
    scaled = (values - np.float32(low)) / np.float32(high - low if high > low else 1)
    return np.asarray(np.clip(scaled, 0, 1) ** np.float32(0.8))


def choose_track_colours(present: IntArray, lineage: Lineage | None) -> dict[int, Any]:
    """Return the colour of each track, that of its family; without a lineage each track has a colour of its own."""
    family = present
    if lineage is not None and len(lineage.tracks):
        ids = lineage.tracks.id
        row = np.minimum(np.searchsorted(ids, present), len(ids) - 1)
        family = np.where(ids[row] == present, find_roots(lineage.tracks)[row], present)
    return dict(zip(present.tolist(), choose_family_colours(family), strict=True))
