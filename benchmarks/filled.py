"""Truth of whole frames: gold cells, and what the masks that trackers are given tell of the others.

The gold truth of some movies is of a few cells a frame; a network would take the others for background. The masks in
``NN_ST_HYBRID`` (silver polygons, else grown markers) tell where the others are, but not exactly where they end, and
in some movies they miss whole cells. How wrong they are is measured where the gold truth is complete; what they leave
open is unknown (-1), and nothing is learnt there. Results are scored on gold cells only.
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

_BESIDE = 0.2  # part of a mask that may lie under gold cells, or it is one of them
_MOST = 95  # percentile of the distances of wrong pixels to the outline of the masks
_TRUSTED = 20.0  # pixels: masks that miss pixels further off their outline miss whole cells


@dataclass(frozen=True)
class Filled:
    """A frame with all that is known of its cells."""

    name: str
    movie: str
    frame: int
    image_file: Path
    gold: Example | None
    masks_file: Path
    inner: float = 0.0
    """Pixels inside the outline of a mask that may be background."""
    outer: float = 0.0
    """Pixels outside it that may be cell; infinite where whole cells may be missing."""

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
        labels = np.where((cells > 0) & (_inside(cells) > self.inner), cells + gold.max(), 0)
        far = np.isfinite(self.outer) & (distance_transform_edt(cells == 0) > self.outer)
        labels[(labels == 0) & ~far] = -1
        return image, np.where(gold > 0, gold, _with_rim(labels, gold))


def filled_examples(dataset: Path, number: str = "01") -> list[Filled]:
    """Return all frames of a sequence of a data set that has ``NN_ST_HYBRID``."""
    gold = {each.frame: each for each in find_examples([dataset / number], truth="gold")}
    found = []
    for masks in sorted((dataset / f"{number}_ST_HYBRID").glob("man_seg*.tif")):
        frame = int(masks.stem.removeprefix("man_seg"))
        image = dataset / number / f"t{masks.stem.removeprefix('man_seg')}.tif"
        kind = " gold" if frame in gold else ""  # gold frames are a movie of their own: half of what is learnt
        movie = f"{dataset.name}/{number}"
        found.append(Filled(f"{movie} frame {frame}", movie + kind, frame, image, gold.get(frame), masks))
    return found


def measured(frames: Sequence[Filled]) -> list[Filled]:
    """Return the frames that can be learnt from, with how wrong the masks are, as their complete gold frames tell."""
    missing, extra = [], []
    for each in frames:
        if each.gold is not None and each.gold.complete():
            cells, masks = each.gold.read()[1] > 0, read_mask(each.masks_file) > 0
            missing.append(distance_transform_edt(~masks)[cells & ~masks])
            extra.append(distance_transform_edt(masks)[masks & ~cells])
    outer, inner = _mostly(missing), _mostly(extra)
    if outer <= _TRUSTED:
        return [replace(each, inner=inner, outer=outer) for each in frames]
    return [replace(each, inner=inner, outer=np.inf) for each in frames if each.gold is not None]


def _mostly(distances: Sequence[np.ndarray]) -> float:
    """Return how far most of the wrong pixels are off; infinitely far where no frame tells."""
    if not distances:
        return float("inf")
    found = np.concatenate(distances)
    return float(np.percentile(found, _MOST)) if found.size else 0.0


def _inside(cells: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel to the outline of its cell, also where cells touch."""
    edge = find_boundaries(cells, mode="thick")
    return np.where(cells > 0, distance_transform_edt(~edge) + 1, 0)


def _with_rim(labels: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Return labels with background around gold cells, whose outline is known."""
    rim = (gold == 0) & (distance_transform_edt(gold == 0) <= 2)
    return np.where(rim & (labels < 0), 0, labels) if gold.any() else labels
