"""What Mask R-CNN learns: boxes and masks of the cells in patches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np
import torch
from scipy import ndimage
from skimage import measure

from segmenters.common.inputs import check_image
from segmenters.common.pixels import normalised, resized
from segmenters.common.training import multiplying
from segmenters.dense.task import DenseCourse, Examples, Ready

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from torch import Tensor

    from segmenters.common.training import Pair

__all__ = ["LabelledExamples", "MaskCourse", "targets_of"]

_SMALLEST = 12  # pixels of a cell; what is left of one at the border of a patch may be less, and is no cell


class LabelledExamples(Examples):
    """As `Examples`, but with the labels in the place of the foreground, and nothing else."""

    def _prepared(self, pair: Pair) -> Any:
        image, labels = pair.read()
        pixels = normalised(check_image(image, {2}), self._normalise, dtype=image.dtype)
        factor = self._factor(labels)
        size = (max(1, round(labels.shape[0] * factor)), max(1, round(labels.shape[1] * factor)))
        # float32 holds 2**24 labels exactly, and is what patches are made of
        seen = cv2.resize(labels.astype(np.float32), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        _, first = np.unique(seen, return_index=True)
        places = np.stack(np.unravel_index(first, seen.shape), axis=1)
        cells = places[seen.ravel()[first] > 0].astype(np.int32)
        nothing = np.zeros(seen.shape, np.float16)
        return Ready(resized(pixels, size), cast("Any", seen), nothing, nothing, cells)


class MaskCourse(DenseCourse):
    """Patches for Mask R-CNN; drawn, changed at random and validated as those of dense networks."""

    def loss(self, network: Any, random: np.random.Generator) -> tuple[Tensor, Sequence[str]]:
        """Return the loss of a batch, and the names of its images."""
        numbers = [self._examples.drawn(random) for _ in range(self._settings.batch)]
        patches = np.stack([self._cut(self._examples[number], random) for number in numbers])
        images = torch.from_numpy(patches[:, :1]).to(self._device)
        targets = [
            {key: value.to(self._device) for key, value in targets_of(labels).items()} for labels in patches[:, 1]
        ]
        with multiplying(self._device, bfloat16=self._bfloat16):
            loss = network(images, targets)
        return loss, [self._examples.pairs[number].name for number in numbers]


def targets_of(labels: npt.NDArray[Any]) -> dict[str, Tensor]:
    """Return what is right for a patch, as torchvision's detectors want it.

    Parameters
    ----------
    labels : (Y, X) array
        The cells, 0 = background; what is unknown (below 0) counts as background. Pieces of a cell that do not touch
        count as cells: a patch whose border was mirrored holds a cell twice.

    Returns
    -------
    dict
        ``boxes`` (N, 4), the outer edges ``x0, y0, x1, y1`` where the middle of the first pixel is at 0; ``labels``
        (N,), all 1; ``masks`` (N, Y, X).
    """
    label: Any = measure.label  # it tells cells that touch apart, as scipy's does not
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
