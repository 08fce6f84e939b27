"""Training of Mask R-CNN: boxes and masks of the cells in patches, and their loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from scipy import ndimage
from skimage import measure

from segmenters.common.training import set_precision
from segmenters.dense.task import TARGETS, Ready, ScaledPixels, find_cell_pixels

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

    from gnntrack.training.segmenter import LabelledImage

__all__ = ["RegionLoss", "make_targets", "prepare_labels"]

_SMALLEST = 12  # pixels of a cell; fewer are the rest of one at the border of a patch, and are ignored


def prepare_labels(example: LabelledImage, pixels: ScaledPixels) -> Ready:
    """Return an image with its labels as the first target; the other targets are 0.

    The labels are float32, which holds integers up to 2**24 exactly, because patches are made of it.
    """
    image, labels, size = pixels.read(example)
    seen = cv2.resize(labels.astype(np.float32), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    nothing = np.zeros(seen.shape, np.float16)
    return Ready(image, (seen, nothing, nothing), find_cell_pixels(seen))


@dataclass(frozen=True)
class RegionLoss:
    """Loss of Mask R-CNN on patches made by `prepare_labels`.

    Parameters
    ----------
    device : device
        Device of the network.
    bfloat16 : bool
        Multiply in bfloat16.
    """

    device: Any = "cpu"
    bfloat16: bool = False

    def __call__(self, network: Any, patches: npt.NDArray[np.float32]) -> Tensor:
        """Return the loss, shape (), of patches (B, 4, Y, X), or (B, 6, Y, X) of RGB images."""
        images = torch.from_numpy(patches[:, :-TARGETS]).to(self.device)
        targets = [
            {key: value.to(self.device) for key, value in make_targets(labels).items()}
            for labels in patches[:, -TARGETS]
        ]
        with set_precision(self.device, bfloat16=self.bfloat16):
            loss: Tensor = network(images, targets)
        return loss


def make_targets(labels: npt.NDArray[Any]) -> dict[str, Tensor]:
    """Return the targets of a patch in the format of torchvision's detectors.

    Parameters
    ----------
    labels : (Y, X) array
        The cells, 0 = background; unknown pixels (below 0) count as background. Parts of a cell that do not touch
        count as separate cells, because a patch with a mirrored border holds a cell twice.

    Returns
    -------
    dict
        ``boxes`` (N, 4), the outer edges ``x0, y0, x1, y1`` with the centre of the first pixel at 0; ``labels``
        (N,), all 1; ``masks`` (N, Y, X).
    """
    label: Any = measure.label  # it separates touching labels, scipy's does not
    pieces = label(np.maximum(labels.round(), 0).astype(np.int32), connectivity=1)
    boxes, masks = [], []
    for piece, box in enumerate(ndimage.find_objects(pieces), start=1):
        if box is None:
            continue
        mask = pieces == piece
        if np.count_nonzero(mask[box]) >= _SMALLEST:
            rows, columns = box
            boxes.append([columns.start - 0.5, rows.start - 0.5, columns.stop - 0.5, rows.stop - 0.5])
            masks.append(mask)
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.ones(len(boxes), dtype=torch.int64),
        "masks": torch.from_numpy(np.array(masks, np.uint8).reshape(-1, *pieces.shape)),
    }
