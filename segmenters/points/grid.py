"""The grid of a detector: blocks of voxels that are about cubes, few of them across a cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from segmenters.common.arrays import Floats, Heights

__all__ = ["Grid", "choose_grid"]


@dataclass(frozen=True)
class Grid:
    """Blocks of voxels, whose means are the values of the grid.

    Parameters
    ----------
    factors : D ints
        Voxels of a block along ``[z], y, x``.
    spacing : D floats
        Size of a voxel of the image.

    Examples
    --------
    >>> grid = Grid((1, 2), (2.0, 1.0))
    >>> grid.shrink(np.array([[0.0, 2.0, 4.0]])).tolist(), grid.step
    ([[1.0, 4.0]], (2.0, 2.0))
    >>> grid.restore(np.array([[0.0, 1.0]])).tolist()
    [[0.0, 2.5]]
    """

    factors: tuple[int, ...]
    spacing: tuple[float, ...]

    @property
    def step(self) -> tuple[float, ...]:
        """Size of a block."""
        return tuple(n * side for n, side in zip(self.factors, self.spacing, strict=True))

    def shrink(self, image: npt.NDArray[Any]) -> Heights:
        """Return the means of the blocks; the last block of an axis repeats the last voxel if it is not full."""
        pixels = np.asarray(image)
        for axis in range(pixels.ndim - 1, -1, -1):
            n = self.factors[axis]
            if n == 1:
                continue
            missing = -pixels.shape[axis] % n
            if missing:
                last = pixels.take([-1], axis)
                pixels = np.concatenate([pixels, np.repeat(last, missing, axis)], axis)
            shape = pixels.shape
            blocks = pixels.reshape(*shape[:axis], shape[axis] // n, n, *shape[axis + 1 :])
            total = np.zeros((*blocks.shape[: axis + 1], *blocks.shape[axis + 2 :]), np.float32)
            for k in range(n):  # quicker than a mean along an axis of few values
                total += blocks.take(k, axis + 1)
            pixels = total / np.float32(n)
        return np.ascontiguousarray(pixels, np.float32)

    def shrink_slabs(self, slabs: Iterable[npt.NDArray[Any]]) -> Heights:
        """Return the means of the blocks of a volume that is read in slabs of planes, as `shrink` does of the whole."""
        n, parts, rest = self.factors[0], [], None
        for slab in slabs:
            planes = slab if rest is None else np.concatenate([rest, slab])
            whole = len(planes) - len(planes) % n
            if whole:
                parts.append(self.shrink(planes[:whole]))
            rest = planes[whole:]
        if rest is not None and len(rest):
            parts.append(self.shrink(rest))
        return np.concatenate(parts)

    def restore(self, position: Floats) -> Floats:
        """Return positions in voxels of the image from those in blocks; the middle of the first voxel is 0."""
        factors = np.array(self.factors)
        return np.asarray((position + 0.5) * factors - 0.5)

    def convert(self, position: Floats) -> Floats:
        """Return positions in blocks from those in voxels of the image."""
        return np.asarray((position + 0.5) / np.array(self.factors) - 0.5)


def choose_grid(spacing: Sequence[float], diameter: float, across: float) -> Grid:
    """Return the grid on which a cell has about `across` blocks along each axis, or fewer if voxels are larger.

    Parameters
    ----------
    spacing : D floats
        Size of a voxel along ``[z], y, x``.
    diameter : float
        Diameter of a typical cell, in the unit of `spacing`.
    across : float
        Blocks in a diameter.

    Examples
    --------
    >>> choose_grid((1.625, 0.40625, 0.40625), 8.0, 5).factors
    (1, 4, 4)
    """
    side = diameter / across
    return Grid(tuple(max(1, round(side / s)) for s in spacing), tuple(float(s) for s in spacing))
