"""Jumps of the whole field between two frames: a stage that was moved, or a plate that was put back.

In such a frame few cells come close to cells of the next one. Each pair of cells of similar size then votes for a
displacement, as in a generalised Hough transform (Ballard, Pattern Recognition 1981): those of the same cells agree,
those of others do not. Phase correlation, by which the drift is found, fails where cells are everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.graph.closeness import CLEARLY, CLOSE, count_cells, measure_closeness, measure_spacing
from gnntrack.graph.growth import add_local_motion
from gnntrack.movie_scales import estimate_of_movie

if TYPE_CHECKING:
    from gnntrack.types import Cells, FloatArray

__all__ = ["find_jumps"]

_LOW = 0.6  # closeness of a frame, as a fraction of the movie's median, below which a jump is looked for
_GAIN = 0.1  # of the mean closeness, by which a jump has to be better
_LEAST = 12  # cells of either frame
_MOST = 1000  # cells whose pairs vote, to bound the time
_SIMILAR = 0.15  # largest log ratio of the diameters of a pair, times the number of axes
_FARTHEST = 0.4  # of the side of the field
_BIN = 2.0  # side of a bin of votes, in distances that are near
_TRIED = 5  # displacements with the most votes


def find_jumps(cells: Cells, known: FloatArray, *, neighbours: int) -> dict[int, FloatArray]:
    """Return the displacement (D,) of the field in each frame in which it jumps.

    Parameters
    ----------
    cells : Cells
        All cells of the movie.
    known : (N, D) float64
        Displacement of the cells by the drift and their neighbours.
    neighbours : int
        As of `gnntrack.graph.growth.add_local_motion`.

    Examples
    --------
    >>> from gnntrack.types import Cells
    >>> place = np.random.default_rng(1).uniform(60, 200, (20, 2))
    >>> frames = [place, place + 1, place + 2, place + (45, -30)]
    >>> cells = Cells(np.repeat(range(4), 20), [*range(1, 21)] * 4, np.concatenate(frames), [[8.0]] * 80,
    ...               ("diameter",), ("",), (1, 1), 4, (260, 260))
    >>> known = np.ones((80, 2))
    >>> {frame: jump.round(6).tolist() for frame, jump in find_jumps(cells, known, neighbours=8).items()}
    {2: [43.0, -32.0]}
    """
    near = CLOSE * estimate_of_movie("motion.spacing", lambda: measure_spacing(cells))
    frames = _find_odd_frames(cells, known, near) if near else []
    jumps = {frame: _find_jump(cells, known, frame, neighbours, near) for frame in frames}
    return {frame: jump for frame, jump in jumps.items() if jump is not None}


def _find_odd_frames(cells: Cells, known: FloatArray, near: float) -> list[int]:
    """Return the frames in which the known displacement brings fewer cells close to others than usually."""
    frames = [t for t in range(cells.n_frames - 1) if min(count_cells(cells, t), count_cells(cells, t + 1)) >= _LEAST]
    close = [float(measure_closeness(cells, known, [frame], near).mean()) for frame in frames]
    usual = estimate_of_movie("motion.closeness", lambda: float(np.median(close)) if len(frames) > 2 else -1.0)
    return [t for t, each in zip(frames, close, strict=True) if each < _LOW * usual]


def _find_jump(cells: Cells, known: FloatArray, frame: int, neighbours: int, near: float) -> FloatArray | None:
    """Return the jump (D,) of a frame that is clearly better than the known displacement, or None."""
    best, before = None, measure_closeness(cells, known, [frame], near)
    highest = before.mean()
    for jump in _vote(cells, frame, near):
        after = _try_jump(cells, known, frame, jump, neighbours, near)
        gain = after - before
        clear = gain.sum() > CLEARLY * np.sqrt((gain**2).sum()) and gain.mean() > _GAIN
        if clear and after.mean() > highest:
            best, highest = jump, after.mean()
    return best


def _try_jump(
    cells: Cells, known: FloatArray, frame: int, jump: FloatArray, neighbours: int, near: float
) -> FloatArray:
    """Return the closeness of the cells of a frame after a jump (D,) and the motion of neighbours, shape (n,)."""
    here = cells.rows(frame)
    source, target = cells.position[here], cells.position[cells.rows(frame + 1)]
    shift = known.copy()
    shift[here] = add_local_motion(source, target, np.repeat(jump[None], len(source), axis=0), neighbours)
    return measure_closeness(cells, shift, [frame], near)


def _vote(cells: Cells, frame: int, near: float) -> list[FloatArray]:
    """Return the displacements (D,) to the next frame with the most votes."""
    side = _BIN * near
    here, there = (slice(rows.start, rows.stop) for rows in (cells.rows(frame), cells.rows(frame + 1)))
    size = cells.ndim * np.log(np.maximum(cells.feature("diameter").astype(np.float64), 1e-12))
    chosen = np.arange(here.start, here.stop)[:: max(1, count_cells(cells, frame) // _MOST)]
    one, other = np.nonzero(np.abs(size[chosen][:, None] - size[there][None]) < _SIMILAR)
    step = cells.position[there][other] - cells.position[chosen][one]
    field = np.asarray(cells.shape) * np.asarray(cells.spacing)
    step = step[(np.abs(step) < _FARTHEST * field).all(axis=1)]
    if not len(step):
        return []
    place, of, votes = np.unique(np.floor(step / side), axis=0, return_inverse=True, return_counts=True)
    most = np.argsort(-votes, kind="stable")[: min(_TRIED, len(place))]
    return [np.median(step[of.ravel() == number], axis=0) for number in most]
