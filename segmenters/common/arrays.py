"""Names of array types, for annotations."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["AnyFloats", "Floats", "Heights", "Integers", "Labels", "Mask", "Spacing", "Stack", "Step"]

Heights = npt.NDArray[np.float32]
"""Grey values, depths and probabilities of an image."""
Stack = npt.NDArray[np.float32]
"""Grey values of a stack, shape (Z, Y, X)."""
Labels = npt.NDArray[np.int32]
"""0 is background, every other value a cell."""
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
AnyFloats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]
Spacing = tuple[float, float, float]
"""Size of a voxel along z, y, x."""
Step = tuple[float, ...]
"""Sides of a voxel along ``[z], y, x`` in units of the side along x."""
