"""Truth of whole frames: gold cells, and for those that the gold truth leaves out the masks trackers are given.

The gold truth of some movies is of a few cells a frame, which a network would take for all there is. The masks in
``NN_ST_HYBRID`` (silver polygons, else grown markers) fill it up for training; results are scored on gold cells only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gnntrack.io.ctc import read_mask, read_tiff
from gnntrack.io.examples import find_examples

_BESIDE = 0.2  # part of a mask that may lie under gold cells, or it is one of them


@dataclass(frozen=True)
class Filled:
    """A frame with masks of all its cells."""

    name: str
    movie: str
    frame: int
    image_file: Path
    gold_file: Path | None
    masks_file: Path

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the image and its labels, of one shape."""
        masks = read_mask(self.masks_file).astype(np.int32)
        gold = np.zeros_like(masks) if self.gold_file is None else read_mask(self.gold_file).astype(np.int32)
        size = np.bincount(masks.ravel())
        beside = np.bincount(masks[gold > 0], minlength=len(size)) <= _BESIDE * size
        beside[0] = False
        return read_tiff(self.image_file), np.where((gold == 0) & beside[masks], masks + gold.max(), gold)


def filled_examples(dataset: Path, number: str = "01") -> list[Filled]:
    """Return all frames of a sequence of a data set that has ``NN_ST_HYBRID``."""
    gold = {each.frame: each.labels_file for each in find_examples([dataset / number], truth="gold")}
    found = []
    for masks in sorted((dataset / f"{number}_ST_HYBRID").glob("man_seg*.tif")):
        frame = int(masks.stem.removeprefix("man_seg"))
        image = dataset / number / f"t{masks.stem.removeprefix('man_seg')}.tif"
        name = f"{dataset.name}/{number}"
        found.append(Filled(f"{name} frame {frame}", name, frame, image, gold.get(frame), masks))
    return found
