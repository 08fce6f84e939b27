"""From an image to cells with Mask R-CNN: tiles, the cells of each tile, and one label per pixel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from scipy import ndimage

from segmenters.common.scale import CellsAtScale, search_scale
from segmenters.common.tiles import split_into_tiles
from segmenters.common.training import set_precision
from segmenters.dense.targets import measure_mean_diameter
from segmenters.mask_rcnn.network import Detections

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from segmenters.common.arrays import Heights, Labels


__all__ = ["draw_cells", "estimate_factor", "find_in_tiles"]

_SURE = 0.05  # detections below this score are ignored
_MARGIN = 4.0  # largest distance in pixels between the centres of one cell in two tiles


def find_in_tiles(network: Any, image: Heights, *, tile: int, overlap: int, bfloat16: bool = False) -> Detections:
    """Return the cells of an image, tile by tile.

    A cell is kept from the tile whose centre is nearest to it, where it is not cut. Two tiles may both keep a cell
    between them; `draw_cells` removes the duplicate.

    Parameters
    ----------
    network : MaskRcnn
        In eval mode.
    image : (Y, X) or (3, Y, X) float32 array
        Normalised grey values or colours, cells of the size of the training data.
    tile, overlap : int
        Pixels along y and x; tiles share at least `overlap`, which must be larger than a cell.
    bfloat16 : bool
        Multiply in bfloat16.
    """
    device = next(network.parameters()).device
    parts = []
    for window in split_into_tiles(image.shape[-2:], (tile, tile), (overlap, overlap)):
        seen = np.ascontiguousarray(image[(slice(None),) * (image.ndim - 2) + window.read])
        batch = torch.from_numpy(seen.reshape(1, -1, *seen.shape[-2:])).to(device)
        with torch.inference_mode(), set_precision(device, bfloat16=bfloat16):
            found = network.find(batch)[0]
        start = np.array([each.start for each in window.read], np.float32)
        box = found.box + np.tile(start, 2)
        middle = (box[:, :2] + box[:, 2:]) / 2
        low = np.array([each.start for each in window.write]) - _MARGIN
        high = np.array([each.stop for each in window.write]) + _MARGIN
        kept = ((low <= middle) & (middle < high)).all(axis=1) & (found.score >= _SURE)
        parts.append(Detections(found.score[kept], box[kept], found.mask[kept]))
    return Detections(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def draw_cells(
    found: Detections, shape: tuple[int, int], *, seen: tuple[int, int], score: float, threshold: float, covered: float
) -> Labels:
    """Return the labels of cells; overlapping pixels go to the cell with the higher score.

    Parameters
    ----------
    found : Detections
        N cells, in pixels of the network.
    shape : (int, int)
        Pixels of the image along y and x.
    seen : (int, int)
        Size of the image in pixels of the network.
    score : float
        Lowest score of a cell.
    threshold : float
        Lowest probability that a pixel belongs to the cell.
    covered : float
        A cell is removed if a larger fraction of it is covered by cells with higher scores.

    Returns
    -------
    labels : (Y, X) int32 array
        1, 2, ... by descending score, each connected; 0 = background.
    """
    labels = np.zeros(shape, np.int32)
    last = 0
    for row in np.argsort(-found.score, kind="stable"):
        if found.score[row] < score:
            break
        place, mask = _locate_mask(found.box[row], found.mask[row], shape, seen=seen, threshold=threshold)
        free = mask & (labels[place] == 0)
        count = np.count_nonzero(free)
        if count == 0 or count < (1 - covered) * np.count_nonzero(mask):
            continue
        last += 1
        labels[place][_keep_largest(free)] = last
    return labels


def _locate_mask(
    box: Heights, mask: Heights, shape: tuple[int, int], *, seen: tuple[int, int], threshold: float
) -> tuple[tuple[slice, slice], npt.NDArray[np.bool_]]:
    """Return the position of the box of a cell in the image, and the mask of the cell in it."""
    places, maps = [], []
    for axis in (0, 1):
        factor = seen[axis] / shape[axis]
        low, high = float(box[axis]), float(box[axis + 2])
        # the centre of pixel i of the image is at (i + .5) factor - .5 in pixels of the network
        first = max(0, math.ceil((low + 0.5) / factor - 0.5))
        stop = min(shape[axis], math.floor((high + 0.5) / factor - 0.5) + 1)
        places.append(slice(first, max(first, stop)))
        at = (np.arange(first, max(first, stop)) + 0.5) * factor - 0.5
        maps.append((at - low) / max(high - low, 1e-6) * mask.shape[axis] - 0.5)
    if not all(len(each) for each in maps):
        return (places[0], places[1]), np.zeros([len(each) for each in maps], bool)
    rows, columns = (grid.astype(np.float32) for grid in np.meshgrid(*maps, indexing="ij"))
    there = cv2.remap(mask, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return (places[0], places[1]), there > threshold


def _keep_largest(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the largest connected part of a mask that is not empty."""
    pieces, count = ndimage.label(mask)
    if count == 1:
        return mask
    return np.asarray(pieces == np.bincount(pieces.ravel())[1:].argmax() + 1)


def estimate_factor(ready: Heights, diameter: float, *, segment: Callable[[Heights, float], Labels]) -> float:
    """Return the factor that scales cells to the size of the training data; see `search_scale`.

    Parameters
    ----------
    ready : (Y, X) or (3, Y, X) float32 array
        A normalised image.
    diameter : float
        Typical diameter of the training data, in pixels of the network.
    segment : callable
        From an image and a factor to labels, with the network.
    """

    def measure(factor: float) -> CellsAtScale | None:
        labels = segment(ready, factor)
        found = measure_mean_diameter(labels)  # in pixels of the image
        return None if found is None else CellsAtScale(found * factor, 1.0, int(labels.max()))

    return search_scale(ready.shape, diameter, measure).factor
