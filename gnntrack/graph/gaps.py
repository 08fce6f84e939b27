"""Candidate links over long gaps, of two or more missing frames.

They lead from cells without a clear future to cells without a clear past. A cell that has a clear partner in the next
frame is not missing there, so that links over long gaps have few cells to choose from. The place of a cell after the
gap is predicted twice: from the motion of its neighbours, and from its own motion before and after the gap.

The same cells tell how often masks are missing in a movie, and so how long its gaps are.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.geometry import find_mutual_nearest, find_nearest

if TYPE_CHECKING:
    from gnntrack.graph.motion import Motion
    from gnntrack.types import BoolArray, Cells, FloatArray, IntArray

__all__ = ["SHORT", "LongGaps", "expect_longest_gap"]

logger = logging.getLogger(__name__)

SHORT = 2  # frames from source to target up to which all cells are candidates
_CLEAR = 1.0  # distance from the predicted place in radii, up to which mutual nearest cells are clear partners
_HISTORY = 4  # steps over which a cell's own velocity is averaged
_MOST = 3  # longest gap that is chosen from the movie; `gnntrack.events.lost` joins tracks over longer ones
_PRIOR = 50  # cells, of which one is missed, that the movie's are added to
_LIKELY = 0.5  # highest rate of missed masks: above it, most of them are something else


@dataclass(frozen=True, eq=False)
class LongGaps:
    """Cells that may be the ends of a long gap, and their own velocities.

    Parameters
    ----------
    ends, starts : (N,) bool
        Whether a cell has no clear partner in the next frame, or in the frame before.
    before, after : (N, D) float64
        Mean displacement per frame of the cell itself in the frames before and after, by its nearest cells; NaN if it
        has none.
    motion : Motion
        The motion of the field.
    """

    ends: BoolArray
    starts: BoolArray
    before: FloatArray
    after: FloatArray
    motion: Motion

    @classmethod
    def find(cls, cells: Cells, motion: Motion, radius: FloatArray) -> LongGaps:
        """Find the ends of long gaps.

        Parameters
        ----------
        cells : Cells
            All cells.
        motion : Motion
            The motion of the field.
        radius : (N,) float64
            Radius of each cell.
        """
        following, clear = np.full(len(cells), -1), np.zeros(len(cells), bool)
        for frame in range(cells.n_frames - 1):
            here, there = cells.rows(frame), cells.rows(frame + 1)
            if here.start == here.stop or there.start == there.stop:
                continue
            expected = cells.position[here] + motion.shift[here]
            distance, nearest, mutual = find_mutual_nearest(expected, cells.position[there])
            following[here][mutual] = nearest[mutual] + there.start
            clear[here] = mutual & (distance <= _CLEAR * radius[here])
        linked = np.flatnonzero(following >= 0)
        previous = np.full(len(cells), -1)
        previous[following[linked]] = linked
        has_past = np.zeros(len(cells), bool)
        has_past[following[clear]] = True
        velocity = [_average_steps(cells.position, rows) for rows in (previous, following)]
        return cls(~clear, ~has_past, -velocity[0], velocity[1], motion)

    def choose_longest(self, cells: Cells, shift: FloatArray, radius: FloatArray) -> int:
        """Return the number of frames that links of a movie may span, from the rate of masks that are missing.

        A mask is missing where a cell without a clear partner in the next frame has one in the frame after it, and
        this one has none in the frame before.

        Parameters
        ----------
        cells : Cells
            All cells.
        shift : (N, D) float64
            Their displacements over two frames.
        radius : (N,) float64
            Radius of each cell.
        """
        missed = 0
        for frame in range(cells.n_frames - 2):
            here, there = cells.rows(frame), cells.rows(frame + 2)
            source = np.flatnonzero(self.ends[here]) + here.start
            target = np.flatnonzero(self.starts[there]) + there.start
            if len(source) and len(target):
                expected = cells.position[source] + shift[source]
                distance, _, mutual = find_mutual_nearest(expected, cells.position[target])
                missed += int((mutual & (distance <= _CLEAR * radius[source])).sum())
        longest = min(max(expect_longest_gap(missed, len(cells)), SHORT), _MOST)
        logger.info(
            "about %d masks are missing next to %d cells; links span up to %d frames", missed, len(cells), longest
        )
        return longest

    def extrapolate(self, cells: Cells, shift: FloatArray, gap: int) -> FloatArray:
        """Return the displacement with the field over `gap` frames, given that over one less, shapes (N, D)."""
        total = shift.copy()
        for frame in range(cells.n_frames - gap):
            here, there = cells.rows(frame), cells.rows(frame + gap - 1)
            rows = np.flatnonzero(self.ends[here]) + here.start
            if not len(rows):
                continue
            if there.start == there.stop:
                total[rows] += self.motion.drift[frame + gap - 1]
                continue
            near = find_nearest(cells.position[rows] + total[rows], cells.position[there])[1]
            total[rows] += self.motion.shift[there][near]
        return total

    def find_candidates(
        self, cells: Cells, shift: FloatArray, frame: int, gap: int, *, gate: float, k: int
    ) -> tuple[IntArray, IntArray]:
        """Return the source and the target of the candidate links over `gap` frames from a frame, shapes (P,).

        Parameters
        ----------
        cells : Cells
            All cells.
        shift : (N, D) float64
            Displacements over `gap` frames, from `extrapolate`.
        frame, gap : int
            Frame of the sources, and number of frames to the targets.
        gate : float
            Largest distance from the predicted place after two frames; it grows with the square root of time.
        k : int
            Nearest cells.
        """
        here, there = cells.rows(frame), cells.rows(frame + gap)
        source = np.flatnonzero(self.ends[here]) + here.start
        target = np.flatnonzero(self.starts[there]) + there.start
        none = np.zeros(0, np.int64)
        if not len(source) or not len(target):
            return none, none
        reach = gate * np.sqrt(gap - 1)
        place, goal = cells.position[source], cells.position[target]
        own = np.where(np.isfinite(self.before[source]), gap * self.before[source], shift[source])
        back = np.where(np.isfinite(self.after[target]), gap * self.after[target], 0.0)
        keys = []
        for expected in (place + shift[source], place + own):
            keys.append(_find_nearest(expected, goal, k, reach))
            keys.append(_find_nearest(goal, expected, k, reach)[::-1])
        keys.append(_find_nearest(goal - back, place, k, reach)[::-1])
        pair = np.unique(np.concatenate([i * len(target) + j for i, j in keys]))
        return source[pair // len(target)], target[pair % len(target)]

    def measure_residual(self, step: FloatArray, source: IntArray, target: IntArray, gap: FloatArray) -> FloatArray:
        """Return the distance of each target from the place that the two cells' own velocities predict, shape (P,).

        The velocity is the mean of that before the gap and that after it; infinite if neither exists.
        """
        both = np.stack([self.before[source], self.after[target]])
        known = np.isfinite(both)
        mean = np.where(known, both, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        return np.where(known.any(axis=(0, 2)), np.linalg.norm(step - mean * gap[:, None], axis=1), np.inf)


def expect_longest_gap(missed: int, cells: int) -> int:
    """Return the most frames between the masks of a cell that are expected at least once in a movie.

    Parameters
    ----------
    missed, cells : int
        Number of missing masks that were found, and of masks.

    Examples
    --------
    Of 10,000 masks 2 % are missing, so that in about four places two in a row are:

    >>> expect_longest_gap(200, 10_000), expect_longest_gap(20, 10_000)
    (3, 2)
    """
    rate = min((missed + 1) / (cells + _PRIOR), _LIKELY)
    return 1 + int(np.log(max(cells, 1)) / -np.log(rate))


def _find_nearest(points: FloatArray, others: FloatArray, k: int, gate: float) -> tuple[IntArray, IntArray]:
    """Return (point, other), the k nearest others of each point within the gate."""
    k = min(k, len(others))
    distance, other = find_nearest(points, others, k, limit=gate)
    inside = np.isfinite(distance).reshape(len(points), k)
    point = np.broadcast_to(np.arange(len(points))[:, None], inside.shape)[inside]
    return point, other.reshape(len(points), k)[inside]


def _average_steps(position: FloatArray, partner: IntArray) -> FloatArray:
    """Return the mean displacement to the next partners of each cell, over up to `_HISTORY` steps; NaN without any."""
    total = np.full_like(position, np.nan)
    at = np.arange(len(position))
    for step in range(1, _HISTORY + 1):
        at = np.where(at >= 0, partner[at], -1)
        found = at >= 0
        total[found] = (position[at[found]] - position[found]) / step
    return total
