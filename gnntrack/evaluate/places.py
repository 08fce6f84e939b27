"""Places of cells in the masks of a result or a ground truth."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.io.frames import map_frames
from gnntrack.io.images import drop_plane, read_mask

if TYPE_CHECKING:
    from gnntrack.io.ctc_names import CtcFolder
    from gnntrack.types import FloatArray, IntArray

__all__ = ["locate_cells"]


def locate_cells(folder: CtcFolder, frame: IntArray, label: IntArray) -> FloatArray:
    """Return the centres of cells in pixels along ``[z], y, x``, shape (n, D); only their frames are read.

    Parameters
    ----------
    folder : CtcFolder
        The masks.
    frame, label : (n,) int64
        The cells.
    """
    frames = np.unique(frame).tolist()
    found = map_frames(partial(_locate_in_frame, folder, frame, label), frames)
    axes = max((centres.shape[1] for _, centres in found), default=2)
    place = np.zeros((len(frame), axes))
    for rows, centres in found:
        place[rows] = centres
    return place


def _locate_in_frame(folder: CtcFolder, frame: IntArray, label: IntArray, wanted: int) -> tuple[IntArray, FloatArray]:
    from scipy.ndimage import center_of_mass

    mask = drop_plane(read_mask(folder.masks[wanted], frame=wanted))
    rows = np.flatnonzero(frame == wanted)
    return rows, np.array(center_of_mass(mask > 0, mask, label[rows]), float).reshape(len(rows), -1)
