"""Motion of cells that grow and push each other apart: colonies, rows of bacteria in channels, expanding tissues.

A cell there moves the farther, the farther it is from the place that stands still. From some distance on, the nearest
cell of the next frame is another one, and a whole row of cells fits almost as well after a shift by one cell. So the
motion is searched for from several starts: expansions by several factors, in all directions or along one axis from one
side of the cells, and the affine map that the spread of the cells tells. From each start, a map is fitted to
mutual nearest pairs (iterative closest points, Besl and McKay 1992; the nearest pairs only, Chetverikov et al. 2005).
The start that brings most cells close to cells of the next frame is that of the whole movie, if it is clearly better
than the motion that is known already.
"""

from __future__ import annotations

from functools import partial
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from gnntrack.geometry import find_mutual_nearest, find_nearest
from gnntrack.graph.closeness import CLEARLY, CLOSE, count_cells, measure_closeness, measure_spacing
from gnntrack.movie_scales import estimate_of_movie

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gnntrack.types import Cells, FloatArray

__all__ = ["add_local_motion", "find_growth"]

# Chosen on 21 simulated movies, each with every frame, every 2nd and every 4th one. In those that gain at least _GAIN,
# more cells are nearest to themselves (up to all in place of two in five), or as many.
_GAIN = 0.04  # of the mean closeness, from which a motion is clearly better
_CLEAR = 0.8  # mean closeness from which the known motion is not questioned
_FACTORS = (1.12, 1.25, 1.4, 1.6)  # of expansion from frame to frame
_LEAST = 12  # cells, or pairs, to which a map is fitted
_TRIED = 6  # pairs of frames by which a start is chosen
_FITTED = 4  # starts that are fitted; the others are worse without it
_KEPT = 0.7  # fraction of the pairs, the nearest ones, that each step fits


class _Fit(NamedTuple):
    """How a map is fitted: the degree of its polynomial, steps, and the least number of pairs."""

    degree: int
    steps: int
    least: int


_FITS = (_Fit(1, 8, _LEAST), _Fit(2, 2, 100), _Fit(3, 6, 250))  # the middle of a colony grows slower than its edge


class _Start(Protocol):
    """A first guess of the displacement (n, D) of the cells of a frame."""

    def __call__(self, cells: Cells, frame: int) -> FloatArray: ...


def find_growth(cells: Cells, drift: FloatArray, known: FloatArray, *, neighbours: int) -> FloatArray | None:
    """Return the displacement of every cell to the next frame where cells push each other apart.

    Parameters
    ----------
    cells : Cells
        All cells of the movie.
    drift : (n_frames, D) float64
        Global displacement of each frame to the next.
    known : (N, D) float64
        The displacement by another predictor, such as the motion of neighbours.
    neighbours : int
        As of `add_local_motion`.

    Returns
    -------
    (N, D) float64 or None
        None if no expansion is clearly better than the known displacement; in single frames it is the known one.

    Examples
    --------
    A row of cells that becomes longer by a third, and is one cell longer:

    >>> from gnntrack.types import Cells
    >>> place = [[5.0, 9.0 * i] for i in range(16)] + [[5.0, 12.0 * i] for i in range(16)]
    >>> frame, label = [0] * 16 + [1] * 16, [*range(1, 17), *range(1, 17)]
    >>> cells = Cells(frame, label, place, [[7.0]] * 32, ("diameter",), ("",), (1, 1), 2, (10, 200))
    >>> grown = find_growth(cells, np.zeros((2, 2)), np.zeros((32, 2)), neighbours=8)
    >>> bool(np.allclose(cells.position[:16] + grown[:16], cells.position[16:]))
    True
    """
    near = CLOSE * estimate_of_movie("motion.spacing", lambda: measure_spacing(cells))
    starts = _list_starts(cells, drift)
    grown: dict[str, FloatArray] = {}

    def choose() -> str | None:  # text, since windows take the most frequent one, and no mean
        start = _choose_start(cells, starts, known, near, neighbours)
        if start is None:
            return None
        grown[str(start)], gain = _grow(cells, starts[start], known, near, neighbours)
        return str(start) if _is_clear_gain(gain) else None

    best = estimate_of_movie("growth.start", choose)
    if best is None:
        return None
    return grown[best] if best in grown else _grow(cells, starts[int(best)], known, near, neighbours)[0]


def _grow(
    cells: Cells, start: _Start, known: FloatArray, near: float, neighbours: int
) -> tuple[FloatArray, FloatArray]:
    """Return the displacement (N, D) from a start where it is better than the known one, and what each cell gains."""
    frames = range(cells.n_frames - 1)
    grown = _move(cells, start, frames, _FITS, neighbours)
    gains = [np.zeros(0)]
    for frame in frames:
        gain = measure_closeness(cells, grown, [frame], near) - measure_closeness(cells, known, [frame], near)
        if gain.sum() < 0:
            here = cells.rows(frame)
            grown[here], gain = known[here], np.zeros_like(gain)
        gains.append(gain)
    return grown, np.concatenate(gains)


def _is_clear_gain(gain: FloatArray) -> bool:
    return bool(gain.sum() > CLEARLY * np.sqrt((gain**2).sum()) and gain.mean() > _GAIN)


def _choose_start(
    cells: Cells, starts: Sequence[_Start], known: FloatArray, near: float, neighbours: int
) -> int | None:
    """Return the number of the start that brings cells nearest to others, None if the known motion is as good."""
    pairs = [t for t in range(cells.n_frames - 1) if min(count_cells(cells, t), count_cells(cells, t + 1)) >= _LEAST]
    if not pairs or not near:
        return None
    tried = [pairs[i] for i in sorted(set(np.linspace(0, len(pairs) - 1, _TRIED).round().astype(int).tolist()))]
    if float(measure_closeness(cells, known, tried, near).mean()) > _CLEAR:
        return None

    def try_start(start: int, fits: Sequence[_Fit]) -> float:
        moved = _move(cells, starts[start], tried, fits, neighbours)
        return float(measure_closeness(cells, moved, tried, near).mean())

    likely = sorted(range(len(starts)), key=lambda start: -try_start(start, ()))[:_FITTED]
    return max(likely, key=lambda start: try_start(start, _FITS))


def add_local_motion(source: FloatArray, target: FloatArray, shift: FloatArray, neighbours: int) -> FloatArray:
    """Return a shift plus the median residual displacement of the nearest mutual pairs, shape (n, D).

    Parameters
    ----------
    source, target : (n, D) and (m, D) float64
        Positions of the cells of a frame and of the next one.
    shift : (n, D) float64
        Displacement of the cells that is known already.
    neighbours : int
        Number of mutual pairs around a cell.
    """
    if min(len(source), len(target)) < 3:
        return shift
    moved = source + shift
    _, nearest, mutual = find_mutual_nearest(moved, target)
    if mutual.sum() < 3:
        return shift
    residual = (target[nearest] - moved)[mutual]
    k = min(neighbours, len(residual))
    around = find_nearest(moved, moved[mutual], k)[1].reshape(len(source), k)
    return np.asarray(shift + np.median(residual[around], axis=1))


# --- starts ----------------------------------------------------------------------------------------------------------


def _list_starts(cells: Cells, drift: FloatArray) -> list[_Start]:
    """Return the starts: the spread of the cells, the drift, and expansions."""
    starts: list[_Start] = [_start_by_spread]
    starts.append(lambda cells, frame: np.repeat(drift[frame][None], count_cells(cells, frame), axis=0))
    sides = [(None, 0), *((axis, side) for axis in range(cells.ndim) for side in (0, -1))]
    return starts + [
        partial(_start_by_factor, factor=factor, axis=axis, side=side) for factor in _FACTORS for axis, side in sides
    ]


def _start_by_factor(cells: Cells, frame: int, *, factor: float, axis: int | None, side: int) -> FloatArray:
    """Expand around the centre (axis None), or along an axis from the first (0) or the last (-1) cell."""
    position = cells.position[cells.rows(frame)]
    if axis is None:
        return np.asarray((factor - 1) * (position - position.mean(axis=0)))
    shift = np.zeros_like(position)
    still = np.sort(position[:, axis])[side]
    shift[:, axis] = (factor - 1) * (position[:, axis] - still)
    return shift


def _start_by_spread(cells: Cells, frame: int) -> FloatArray:
    """Map mean and covariance of the cells to those of the next frame: optimal transport of normal densities."""
    here, there = cells.rows(frame), cells.rows(frame + 1)
    if min(count_cells(cells, frame), count_cells(cells, frame + 1)) < _LEAST:
        return np.zeros_like(cells.position[here])
    (centre, spread), (later, wider) = (_describe_spread(cells, rows) for rows in (here, there))
    root = _take_root(spread)
    back = np.linalg.pinv(root, rcond=1e-6)
    matrix = back @ _take_root(root @ wider @ root) @ back
    position = cells.position[here]
    return np.asarray((position - centre) @ matrix.T + later - position)


def _describe_spread(cells: Cells, rows: slice) -> tuple[FloatArray, FloatArray]:
    """Return the mean (D,) and the covariance (D, D) of positions, weighted by the sizes of the cells."""
    weight = cells.feature("diameter")[rows].astype(np.float64) ** cells.ndim
    weight /= weight.sum()
    centre = weight @ cells.position[rows]
    offset = cells.position[rows] - centre
    return centre, (offset * weight[:, None]).T @ offset


def _take_root(matrix: FloatArray) -> FloatArray:
    """Return the symmetric square root of a positive matrix (D, D)."""
    value, vector = np.linalg.eigh(matrix)
    return np.asarray(vector * np.sqrt(np.maximum(value, 0)) @ vector.T)


# --- fit and closeness -----------------------------------------------------------------------------------------------


def _move(cells: Cells, start: _Start, frames: Iterable[int], fits: Sequence[_Fit], neighbours: int) -> FloatArray:
    """Return the displacement (N, D) from a start: maps are fitted one after the other, then local motion is added."""
    shift = np.zeros_like(cells.position)
    for frame in frames:
        here = cells.rows(frame)
        source, target = cells.position[here], cells.position[cells.rows(frame + 1)]
        if not len(source) or not len(target):
            continue
        moved = start(cells, frame)
        for fit in fits:
            moved = _fit_map(source, target, moved, fit)
        shift[here] = add_local_motion(source, target, moved, neighbours)
    return shift


def _fit_map(source: FloatArray, target: FloatArray, shift: FloatArray, fit: _Fit) -> FloatArray:
    """Return the displacement (n, D) by a polynomial, which is fitted to the nearest mutual pairs again and again."""
    columns = _compute_powers(source, fit.degree)
    for _ in range(fit.steps):
        _, nearest, mutual = find_mutual_nearest(source + shift, target)
        pairs = np.flatnonzero(mutual)
        if len(pairs) < fit.least:
            break
        wanted = (target[nearest] - source)[pairs]
        error = np.linalg.norm(wanted - shift[pairs], axis=1)
        kept = error <= np.quantile(error, _KEPT)
        matrix = np.linalg.lstsq(columns[pairs][kept], wanted[kept], rcond=1e-6)[0]
        shift = columns @ matrix
    return shift


def _compute_powers(position: FloatArray, degree: int) -> FloatArray:
    """Return all products of up to `degree` centred and scaled coordinates, shape (n, K)."""
    centred = position - position.mean(axis=0)
    centred /= max(float(np.abs(centred).max()), 1e-12)
    axes = range(position.shape[1])
    products = [axes_ for power in range(1, degree + 1) for axes_ in combinations_with_replacement(axes, power)]
    return np.column_stack([np.ones(len(position)), *(centred[:, list(each)].prod(axis=1) for each in products)])
