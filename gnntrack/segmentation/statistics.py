"""Statistics of the masks of a movie, collected while a segmenter makes them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from gnntrack.segmentation.protocol import Segmenter
    from gnntrack.types import Image

__all__ = ["MovieStatistics", "get_estimated_diameter"]

_log = logging.getLogger(__name__)


def get_estimated_diameter(segmenter: Segmenter) -> float | None:
    """Return the attribute ``estimated_diameter`` of a segmenter, None if it has none."""
    value = getattr(segmenter, "estimated_diameter", None)
    return None if value is None else float(value)


class MovieStatistics:
    """Statistics of the masks of a movie.

    Parameters
    ----------
    segmenter : Segmenter
        It has seen some frames of the movie already, if it has a method ``prepare``.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self._prepared = get_estimated_diameter(segmenter)
        self._diameters: dict[int, float] = {}
        self._counts: dict[int, int] = {}

    def add_frame(self, frame: int, labels: Image, image: Image | None = None) -> None:
        """Record a frame once.

        Parameters
        ----------
        frame : int
            Number of the frame.
        labels : integer array (Y, X) or (Z, Y, X)
            Its labels, 0 = background.
        image : array of the same shape, optional
            Its image, from which the segmenter has just made the labels; None if an earlier run made them.
        """
        if frame in self._counts:
            return
        self._counts[frame] = int(np.count_nonzero(np.unique(labels)))
        found = None if image is None else get_estimated_diameter(self._segmenter)
        if found is not None and self._prepared is None:
            self._diameters[frame] = found

    @property
    def cells(self) -> int:
        """Number of cells in all frames so far."""
        return sum(self._counts.values())

    @property
    def estimated_diameter(self) -> float | None:
        """Typical diameter of a cell in pixels along x, as the segmenter estimated it; None if it did not."""
        if self._prepared is not None:
            return self._prepared
        return float(np.median(list(self._diameters.values()))) if self._diameters else None

    def log_estimate(self) -> None:
        """Log the diameter of a segmenter that estimates it for each frame, after the last frame."""
        if self._prepared is None and self._diameters:
            _log.info(
                "cell diameter %.1f pixels, the median of %s, each estimated by itself (--diameter sets it)",
                self.estimated_diameter,
                count_noun(len(self._diameters), "frame"),
            )
