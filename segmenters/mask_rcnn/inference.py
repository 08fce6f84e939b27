"""From an image to cells with Mask R-CNN: tiles, the cells of each, and one label for every pixel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from scipy import ndimage
from skimage.filters import threshold_otsu

from segmenters.common.tiles import tile_windows
from segmenters.common.training import set_precision
from segmenters.dense.targets import mean_diameter
from segmenters.mask_rcnn.network import Found
from segmenters.postprocess import measure_diameter, smooth

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Heights = npt.NDArray[np.float32]
    Labels = npt.NDArray[np.int32]

__all__ = ["fitting_factor", "found_in_tiles", "painted"]

_SURE = 0.05  # detections below this score are none
_MARGIN = 4.0  # pixels by which two tiles may tell the middle of one cell differently
_GUESSES = (1.0, 2.0, 0.5)  # factors to look for cells at, of a first guess
_CLOSE = 1.2  # an estimate this near is not made better
_LARGEST_FACTOR = 8.0


def found_in_tiles(network: Any, image: Heights, *, tile: int, overlap: int, bfloat16: bool = False) -> Found:
    """Return the cells of an image, tile by tile.

    A cell is kept from the tile whose middle is nearest to it, where it is not cut. Two tiles may both keep one whose
    middle is between them: `painted` tells them apart.

    Parameters
    ----------
    network : MaskRcnn
        In eval mode.
    image : (Y, X) float32 array
        Normalised grey values, cells of the size that the network knows.
    tile, overlap : int
        Pixels along y and x; tiles share at least `overlap`, which has to be more than a cell.
    bfloat16 : bool
        Multiply in bfloat16.
    """
    device = next(network.parameters()).device
    parts = []
    for window in tile_windows(image.shape, (tile, tile), (overlap, overlap)):
        batch = torch.from_numpy(np.ascontiguousarray(image[window.read]))[None, None].to(device)
        with torch.inference_mode(), set_precision(device, bfloat16=bfloat16):
            found = network.find(batch)[0]
        start = np.array([each.start for each in window.read], np.float32)
        box = found.box + np.tile(start, 2)
        middle = (box[:, :2] + box[:, 2:]) / 2
        low = np.array([each.start for each in window.write]) - _MARGIN
        high = np.array([each.stop for each in window.write]) + _MARGIN
        kept = ((low <= middle) & (middle < high)).all(axis=1) & (found.score >= _SURE)
        parts.append(Found(found.score[kept], box[kept], found.mask[kept]))
    return Found(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def painted(
    found: Found, shape: tuple[int, int], *, seen: tuple[int, int], score: float, threshold: float, covered: float
) -> Labels:
    """Return the labels of cells; where they overlap, the one with the higher score comes first.

    Parameters
    ----------
    found : Found
        N cells, in pixels as the network saw them.
    shape : (int, int)
        Pixels of the image along y and x.
    seen : (int, int)
        Pixels that the network saw of it.
    score : float
        Lowest score of a cell.
    threshold : float
        Lowest probability that a pixel is of the cell.
    covered : float
        A cell of which more than this part is taken by others already is none.

    Returns
    -------
    labels : (Y, X) int32 array
        1, 2, ... in order of falling scores, each in one piece; 0 = background.
    """
    labels = np.zeros(shape, np.int32)
    last = 0
    for row in np.argsort(-found.score, kind="stable"):
        if found.score[row] < score:
            break
        place, mask = _placed(found.box[row], found.mask[row], shape, seen=seen, threshold=threshold)
        free = mask & (labels[place] == 0)
        count = np.count_nonzero(free)
        if count == 0 or count < (1 - covered) * np.count_nonzero(mask):
            continue
        last += 1
        labels[place][_largest(free)] = last
    return labels


def _placed(
    box: Heights, mask: Heights, shape: tuple[int, int], *, seen: tuple[int, int], threshold: float
) -> tuple[tuple[slice, slice], npt.NDArray[np.bool_]]:
    """Return where in the image the box of a cell is, and which of the pixels there are of the cell."""
    places, maps = [], []
    for axis in (0, 1):
        factor = seen[axis] / shape[axis]
        low, high = float(box[axis]), float(box[axis + 2])
        # the middle of pixel i of the image is at (i + .5) factor - .5 for the network
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


def _largest(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the largest piece of a mask that is not empty."""
    pieces, count = ndimage.label(mask)
    if count == 1:
        return mask
    return np.asarray(pieces == np.bincount(pieces.ravel())[1:].argmax() + 1)


def fitting_factor(ready: Heights, diameter: float, *, segment: Callable[[Heights, float], Labels]) -> float:
    """Return the factor at which cells are as large as those that the network learnt on.

    The first guess is of the thickness of what is bright; then the network's own cells tell a better one.

    Parameters
    ----------
    ready : (Y, X) float32 array
        A normalised image.
    diameter : float
        What the network learnt on.
    segment : callable
        From an image and a factor to labels, with the network.
    """
    first = diameter / _bright_diameter(ready)
    for guess in _GUESSES:
        factor = _bounded(guess * first, ready.shape)
        found = mean_diameter(segment(ready, factor))
        if found is None:
            continue
        better = _bounded(diameter / found, ready.shape)
        if max(better / factor, factor / better) > _CLOSE:
            found = mean_diameter(segment(ready, better))
            better = better if found is None else _bounded(diameter / found, ready.shape)
        return better
    return _bounded(first, ready.shape)


def _bounded(factor: float, shape: tuple[int, ...]) -> float:
    return float(np.clip(factor, min(1.0, 32 / max(shape)), _LARGEST_FACTOR))


def _bright_diameter(ready: Heights) -> float:
    blurred = smooth(np.ascontiguousarray(ready), 1.0, (1.0, 1.0))
    if blurred.min() == blurred.max():
        return 10.0
    return measure_diameter(blurred > threshold_otsu(blurred), (1.0, 1.0))  # type: ignore[no-untyped-call]
