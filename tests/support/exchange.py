"""A result for tests of other formats."""

from __future__ import annotations

import numpy as np

from gnntrack.pipeline import simulate, track


def write_result(folder):
    """Write a result with divisions, a gap that was filled, a cell of one frame, and units; return its folder."""
    movie = simulate(frames=12, cells=9, shape=(100, 130), seed=4)
    masks = np.asarray(movie.masks).copy()
    masks[5, 76:90, 94:108] = masks.max() + 1
    track(masks=masks, out=folder / "01_RES", spacing=(0.5, 0.25), interval="5min", output__pictures=False)
    return folder / "01_RES"
