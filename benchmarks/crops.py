"""Images around cells that may divide: the surroundings of a cell in the frame before, its own frame, and the next one.

The scale of the crops is that of the cells, not of the pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gnntrack.types import CellGraph, FrameStack

SIDE = 24  # pixels of a crop
RADII = 4.0  # half of its side, in median radii of the cells
AROUND = (-1, 0, 1)  # frames of a crop, from that of the cell
RANGE = (5, 99)  # percentiles of the grey values of a frame that become DARK and BRIGHT
DARK, BRIGHT = 41, 112  # some cells in mitosis are brighter than all others, so much room is left above
SAMPLED = 20_000  # pixels of a frame from which these are computed
Crops = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating[Any]]


def cut_crops(graph: CellGraph, rows: npt.NDArray[np.int64], images: FrameStack) -> Crops:
    """Cut the surroundings of some cells (C,) out of three frames, (C, 3, SIDE, SIDE); each frame is read once.

    Frames before the first one and after the last one are DARK. In 3D, crops are maximum projections of the planes
    within a radius of the cell. Beyond its border, the image is mirrored.
    """
    cells = graph.cells
    out = np.full((len(rows), len(AROUND), SIDE, SIDE), DARK, np.uint8)
    radius = float(np.median(graph.cell_radii)) if len(cells) else 1.0
    frame = cells.frame[rows][:, None] + np.array(AROUND)
    for t in range(cells.n_frames):
        crop, channel = np.nonzero(frame == t)
        if len(crop):
            planes, zoom, limits = _reduce(np.asarray(images[t]), cells.spacing, radius)
            grey = _cut(planes, zoom, cells.position[rows[crop]] / np.asarray(cells.spacing), cells.spacing, radius)
            low, high = limits
            out[crop, channel] = np.clip(
                np.rint(DARK + (grey - low) * ((BRIGHT - DARK) / max(high - low, 1e-6))), 1, 255
            )
    return out


def _reduce(image: npt.NDArray[Any], spacing: Sequence[float], radius: float) -> tuple[Floats, Floats, Floats]:
    """Return the planes (Z, Y, X) of a frame in the resolution of the crops, the zoom along y and x, and the limits."""
    planes = np.nan_to_num(image.astype(np.float32)).reshape(-1, *image.shape[-2:])
    shape, pixel = planes.shape[1:], RADII * radius / SIDE
    size = [max(1, round(n * min(each / pixel, 1))) for n, each in zip(shape, spacing[-2:], strict=True)]
    if tuple(size) != shape:
        area = cv2.INTER_AREA
        planes = np.stack([cv2.resize(each, (size[1], size[0]), interpolation=area) for each in planes])
    seen = planes.reshape(-1)
    return planes, np.array(size) / shape, np.percentile(seen[:: max(1, len(seen) // SAMPLED)], RANGE)


def _cut(planes: Floats, zoom: Floats, centre: Floats, spacing: Sequence[float], radius: float) -> Floats:
    """Return the surroundings of cells, whose centres (C, D) are in pixels of the frame, shape (C, SIDE, SIDE)."""
    offset = (np.arange(SIDE) - (SIDE - 1) / 2) * 2 * RADII * radius / SIDE
    shifts = [each.ravel() for each in np.meshgrid(offset, offset, indexing="ij")]
    y, x = (
        ((centre[:, axis, None] + shift / spacing[axis] + 0.5) * zoom[axis] - 0.5).astype(np.float32)
        for axis, shift in zip((-2, -1), shifts, strict=True)
    )
    plane, slab = np.zeros(len(centre), int), 0
    if centre.shape[1] == 3:
        plane = np.rint(centre[:, 0]).astype(int).clip(0, len(planes) - 1)
        slab = round(radius / spacing[0])
    out = np.empty((len(centre), SIDE * SIDE), np.float32)
    for z in np.unique(plane):
        flat, of = planes[max(0, z - slab) : z + slab + 1].max(axis=0), plane == z
        out[of] = cv2.remap(flat, x[of], y[of], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return out.reshape(-1, SIDE, SIDE)
