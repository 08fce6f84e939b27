"""The points that a detector finds in an image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.types.columns import expect, freeze_columns

if TYPE_CHECKING:
    from gnntrack.types.columns import FloatArray

__all__ = ["Points"]


@dataclass(frozen=True, eq=False)
class Points:
    """Centres of cells in one image.

    Parameters
    ----------
    position : (N, D) float array
        Centre of each cell along ``[z], y, x`` in voxels; the middle of the first voxel is 0.
    radius : (N,) float array
        Radius in the unit of the voxel size: um, or pixels along x if the size is not known. NaN if it is not known.
    intensity : (N,) float array
        Grey value at the centre.
    score : (N,) float array, optional
        Certainty of each point, from 0 to 1; by default 1.

    Raises
    ------
    FormatError
        If the columns do not have one length.

    Examples
    --------
    >>> points = Points([[3.5, 7.25]], [4.0], [210.0])
    >>> len(points), points.score.tolist()
    (1, [1.0])
    """

    position: FloatArray
    radius: FloatArray
    intensity: FloatArray
    score: FloatArray = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        if not len(self.score):
            object.__setattr__(self, "score", np.ones(len(self.position)))
        freeze_columns(self, position=float, radius=float, intensity=float, score=float)
        expect(self.position.ndim == 2, f"the positions have shape {self.position.shape}, expected (N, 2) or (N, 3)")
        for name in ("radius", "intensity", "score"):
            shape = getattr(self, name).shape
            expect(shape == (len(self),), f"{name} has shape {shape}, expected ({len(self)},), one number per point")

    def __len__(self) -> int:
        return len(self.position)

    @classmethod
    def empty(cls, ndim: int) -> Points:
        """Return no points in an image of 2 or 3 dimensions.

        >>> Points.empty(3).position.shape
        (0, 3)
        """
        return cls(np.empty((0, ndim)), np.empty(0), np.empty(0))

    def take(self, rows: object) -> Points:
        """Return some of the points, by a mask or by row numbers.

        >>> Points([[1, 2], [3, 4]], [1, 1], [5, 6]).take([1]).intensity.tolist()
        [6.0]
        """
        columns = (getattr(self, name)[rows] for name in ("position", "radius", "intensity", "score"))
        return Points(*columns)
