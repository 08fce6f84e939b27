"""Views of a lineage: one track, and one division."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from gnntrack.types.columns import FeatureArray, FloatArray, IntArray

__all__ = ["Division", "Track"]


class Division(NamedTuple):
    """A division of a lineage."""

    frame: int
    """Last frame of the parent."""
    parent: int
    """Track that divides."""
    daughters: tuple[int, ...]
    """Tracks of the daughters, ascending."""


@dataclass(frozen=True, eq=False)
class Track:
    """A track of a lineage: one cell in the frames from `start` to `end`.

    Parameters
    ----------
    id : int
        Track id, > 0.
    parent : int
        Track that divided into this one and its sisters; 0 = none.
    start, end : int
        First and last frame, both inclusive.
    daughters : tuple of int
        Tracks whose parent is this one, ascending.
    rows : (n,) int64
        Rows of ``lineage.cells``, in the order of time. A track with a gap has fewer cells than frames.
    frames : (n,) int64
        Frame of each cell.
    labels : (n,) int64
        Label of each cell in the masks that were tracked.
    positions : (n, D) float64
        Centroid of each cell along ``[z], y, x``, in the unit of ``lineage.cells``.
    confidence : float
        Probability that all links of the track are right, also the one from its parent, if the confidences of links are
        calibrated (methods ``hungarian``, ``gnn`` and ``auto``); NaN without links.
    division_confidence : float
        Probability that the division at its end is right; NaN without one.
    confidences : (n,) float32
        Confidence of the link that leads to each cell from the cell before or from the parent; NaN without a link.

    Examples
    --------
    >>> import numpy as np, gnntrack
    >>> masks = np.zeros((3, 20, 20), np.uint8)
    >>> masks[:, 5:11, 5:11] = 7
    >>> track = gnntrack.track(masks=masks)[1]
    >>> track, track.frames.tolist(), track.labels.tolist(), track.positions[0].tolist()
    (<Track 1: frames 0 to 2, 3 cells>, [0, 1, 2], [7, 7, 7], [7.5, 7.5])
    """

    id: int
    parent: int
    start: int
    end: int
    daughters: tuple[int, ...]
    rows: IntArray
    frames: IntArray
    labels: IntArray
    positions: FloatArray
    confidences: FeatureArray
    confidence: float
    division_confidence: float

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        words = [f"frames {self.start} to {self.end}", count_noun(len(self), "cell")]
        words += [f"parent {self.parent}"] if self.parent else []
        words += [f"daughters {' and '.join(map(str, self.daughters))}"] if self.daughters else []
        return f"<Track {self.id}: {', '.join(words)}>"
