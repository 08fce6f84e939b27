"""Sparse annotations: images in which only some cells are labelled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy import ndimage

from gnntrack.training.examples.channels import has_colours, keep_colours

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.training.segmenter import LabelledImage
    from gnntrack.types import Image

__all__ = ["RelabelledImage", "SparseImage", "count_unlabelled", "hide_unlabelled"]

_RING = 0.2  # width of the known background around a cell, in diameters of the median cell
_WIDEST, _NARROWEST = 12, 2  # pixels
_CLEAR = 3.0  # contrast of labelled cells, in noise of the other pixels, from which unlabelled cells are counted
_ALIKE = (0.4, 3.0)  # areas of regions that count as cells, in areas of the median cell


@dataclass(frozen=True)
class RelabelledImage:
    """An image whose labels are changed when they are read, by the ``read`` of a subclass."""

    example: LabelledImage

    @property
    def name(self) -> str:
        """As of the image."""
        return self.example.name

    @property
    def movie(self) -> str:
        """As of the image."""
        return self.example.movie

    @property
    def frame(self) -> int | None:
        """As of the image."""
        return getattr(self.example, "frame", 0)

    def has_colours(self) -> bool:
        """As of the image."""
        return has_colours(self.example)

    def keep_colours(self) -> Self:
        """Return this image, read in all three colours if it is RGB."""
        return replace(self, example=keep_colours(self.example))


@dataclass(frozen=True)
class SparseImage(RelabelledImage):
    """An image of which some cells are labelled: see `hide_unlabelled`."""

    background: int

    def read(self) -> tuple[Image, Image]:
        """Return the image and its labels; -1 is unknown."""
        image, labels = self.example.read()
        return image, hide_unlabelled(labels, background=self.background)


def hide_unlabelled(labels: npt.NDArray[Any], *, background: int = 0) -> npt.NDArray[np.int32]:
    """Mark pixels without a label as unknown, except a ring around each cell.

    Parameters
    ----------
    labels : ([Z], Y, X) integer array
        0 = without a label, unless it is close to a cell.
    background : int
        Label of the pixels that are drawn as background; 0 if there are none.

    Returns
    -------
    labels : int32 array of the same shape
        0 = background, -1 = unknown. The ring is 0.2 diameters of the median cell wide, 2 to 12 pixels.

    Examples
    --------
    >>> hide_unlabelled(np.array([[0, 0, 0, 5, 0, 0, 0, 0, 9]]), background=9)
    array([[-1,  0,  0,  5,  0,  0, -1, -1,  0]], dtype=int32)
    """
    drawn = (labels == background) & (labels > 0)
    cells = np.where(drawn, 0, labels).astype(np.int32)
    inside = cells > 0
    if not inside.any():
        return np.where(drawn, 0, -1).astype(np.int32)
    sizes = np.bincount(cells[inside])
    diameter = 2 * np.sqrt(np.median(sizes[sizes > 0]) / np.pi)
    width = float(np.clip(_RING * diameter, _NARROWEST, _WIDEST))
    near = np.zeros(inside.shape, bool)
    for plane, known in zip(inside.reshape(-1, *inside.shape[-2:]), near.reshape(-1, *inside.shape[-2:]), strict=True):
        if plane.any():
            known[...] = ndimage.distance_transform_edt(~plane) <= width
    return np.where(inside | near | drawn, cells, -1).astype(np.int32)


def count_unlabelled(image: Image, labels: Image) -> tuple[int, int]:
    """Return the number of labelled cells, and about how many regions without a label look like them.

    Regions look like cells if they are as far from the background as half of the labelled cells' contrast, and of their
    size. If the labelled cells have little contrast, there are none.

    Examples
    --------
    >>> image = np.zeros((20, 60)); labels = np.zeros((20, 60), int)
    >>> for x in (5, 25, 45):
    ...     image[5:15, x:x + 10] = 9
    >>> labels[5:15, 5:15] = 1
    >>> count_unlabelled(image, labels)
    (1, 2)
    """
    sizes = np.bincount(labels[labels > 0]) if np.any(labels > 0) else np.zeros(0, int)
    cells = sizes[sizes > 0]
    other = image[labels == 0]
    if not len(cells) or not other.size:
        return len(cells), 0
    ground = float(np.median(other))
    noise = 1.4826 * float(np.median(np.abs(other - ground)))
    contrast = float(np.mean(image[labels > 0])) - ground
    if abs(contrast) <= _CLEAR * noise:
        return len(cells), 0
    like = (np.sign(contrast) * (image - ground) > abs(contrast) / 2) & (labels == 0)
    regions, count = ndimage.label(ndimage.binary_opening(like))
    area = np.bincount(regions.ravel(), minlength=count + 1)[1:] / np.median(cells)
    return len(cells), int(np.count_nonzero((area > _ALIKE[0]) & (area < _ALIKE[1])))
