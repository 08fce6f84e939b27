"""Ground truth of whole frames: gold cells, completed by the masks that trackers are given.

The gold truth of some movies has a few cells a frame only; the others would count as background in training. The masks
in ``NN_ST_HYBRID`` (silver polygons, else grown markers) show the other cells, but their outlines are not exact, and in
some movies they miss whole cells. Their errors are measured on frames with complete gold truth. Pixels within these
errors are unknown (-1) and not used for training. Results are scored on gold cells only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt
from skimage.segmentation import find_boundaries

from gnntrack.io.images import read_mask, read_tiff
from gnntrack.training.examples import Example, find_examples

_BESIDE = 0.2  # largest fraction of a mask under gold cells; above it the mask is one of these cells
_MOST = 95  # percentile of the distances of wrong pixels to the outline of the masks
_TRUSTED = 20.0  # pixels; masks that miss cell pixels farther from their outline miss whole cells


@dataclass(frozen=True)
class FilledFrame:
    """A frame with its gold labels, if any, and the masks that complete them."""

    name: str
    movie: str
    frame: int
    image_file: Path
    gold: Example | None
    masks_file: Path
    inner: float = 0.0
    """Pixels inside the outline of a mask that may be background."""
    outer: float = 0.0
    """Pixels outside it that may be cell; infinite if whole cells may be missing."""

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the image and its labels, of one shape; -1 is unknown."""
        image = read_tiff(self.image_file)
        gold = np.zeros(image.shape, np.int32) if self.gold is None else self.gold.read()[1]
        if self.gold is not None and self.gold.complete():
            return image, gold
        masks = read_mask(self.masks_file).astype(np.int32)
        size = np.bincount(masks.ravel())
        beside = np.bincount(masks[gold > 0], minlength=len(size)) <= _BESIDE * size
        beside[0] = False
        cells = np.where(beside[masks], masks, 0)
        labels = np.where((cells > 0) & (_measure_depth(cells) > self.inner), cells + gold.max(), 0)
        far = np.isfinite(self.outer) & (distance_transform_edt(cells == 0) > self.outer)
        labels[(labels == 0) & ~far] = -1
        return image, np.where(gold > 0, gold, _add_rim(labels, gold))


def find_filled_frames(dataset: Path, number: str = "01") -> list[FilledFrame]:
    """Return all frames of a sequence of a data set that has ``NN_ST_HYBRID``."""
    gold = {each.frame: each for each in find_examples([dataset / number], truth="gold")}
    found = []
    for masks in sorted((dataset / f"{number}_ST_HYBRID").glob("man_seg*.tif")):
        frame = int(masks.stem.removeprefix("man_seg"))
        image = dataset / number / f"t{masks.stem.removeprefix('man_seg')}.tif"
        kind = " gold" if frame in gold else ""  # gold frames count as another movie: half of the training images
        movie = f"{dataset.name}/{number}"
        found.append(FilledFrame(f"{movie} frame {frame}", movie + kind, frame, image, gold.get(frame), masks))
    return found


def measure_errors(frames: Sequence[FilledFrame]) -> list[FilledFrame]:
    """Return the frames to use for training, with the errors of their masks measured on complete gold frames."""
    missing, extra = [], []
    for each in frames:
        if each.gold is not None and each.gold.complete():
            cells, masks = each.gold.read()[1] > 0, read_mask(each.masks_file) > 0
            missing.append(distance_transform_edt(~masks)[cells & ~masks])
            extra.append(distance_transform_edt(masks)[masks & ~cells])
    outer, inner = _compute_extent(missing), _compute_extent(extra)
    if outer <= _TRUSTED:
        return [replace(each, inner=inner, outer=outer) for each in frames]
    return [replace(each, inner=inner, outer=np.inf) for each in frames if each.gold is not None]


def _compute_extent(distances: Sequence[np.ndarray]) -> float:
    """Return the distance below which most wrong pixels are; infinite if no frame was measured."""
    if not distances:
        return float("inf")
    found = np.concatenate(distances)
    return float(np.percentile(found, _MOST)) if found.size else 0.0


def _measure_depth(cells: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel to the outline of its cell, also where cells touch."""
    edge = find_boundaries(cells, mode="thick")
    return np.where(cells > 0, distance_transform_edt(~edge) + 1, 0)


def _add_rim(labels: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Return labels with background around gold cells, whose outline is known."""
    rim = (gold == 0) & (distance_transform_edt(gold == 0) <= 2)
    return np.where(rim & (labels < 0), 0, labels) if gold.any() else labels
