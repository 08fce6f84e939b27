"""Set packing by linear and integer programs, for the few problems that `gnntrack.solvers.packing` leaves."""

from __future__ import annotations

import math
import time
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import coo_array, csr_array, triu, vstack

from gnntrack.errors import GnntrackError
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from collections.abc import Callable

    from gnntrack.solvers.packing import Packing
    from gnntrack.types import BoolArray, FloatArray, IntArray

    Solver = Callable[..., Packing]

__all__ = ["solve_programs"]

_BATCH = 4000  # choices of one linear program; independent problems are joined up to this number
_WHOLE = 1e-6  # a fraction this near to 0 or 1 counts as 0 or 1
_ROUNDS = 4  # rounds of cuts by violated rings, before the integer program
_SMALLER = 0.8  # a problem is divided again if its reduction leaves at most this fraction of it
_TIME_IS_UP = 1  # status of a program, of SciPy


class _TimeUpError(Exception):
    """The deadline passed before a problem was solved."""


def solve_programs(
    place: IntArray, value: FloatArray, problem: IntArray, pack: Solver, deadline: float = math.inf
) -> tuple[BoolArray, BoolArray]:
    """Solve independent problems as linear programs, and those with fractions in their optimum exactly.

    Parameters
    ----------
    place, value
        As of `gnntrack.solvers.packing.find_packing`.
    problem : (C,) int64
        Number of the problem of each choice.
    pack : callable
        `gnntrack.solvers.packing.pack_choices`, for problems that become smaller.
    deadline : float
        Instant of `time.monotonic` at which the search ends.

    Returns
    -------
    (C,) bool, (C,) bool
        Choices in the best packing of problems that were solved; choices of these problems: all, without a deadline.

    Raises
    ------
    GnntrackError
        If a program is not solved.
    """
    chosen, solved = np.zeros(len(value), bool), np.zeros(len(value), bool)
    order = np.argsort(problem, kind="stable")
    bounds = [0]
    for first in np.flatnonzero(np.diff(problem[order], prepend=-1))[1:]:
        if first - bounds[-1] > _BATCH:
            bounds.append(int(first))
    try:
        for first, last in zip(bounds, [*bounds[1:], len(order)], strict=True):
            batch = order[first:last]
            fraction, loss = _solve_linear_program(place[batch], value[batch], deadline)
            chosen[batch] = fraction > 0.5
            hard = np.unique(problem[batch[np.minimum(fraction, 1 - fraction) > _WHOLE]])
            solved[batch] = ~np.isin(problem[batch], hard)
            for each in hard:
                own = problem[batch] == each
                at = batch[own]
                chosen[at] = _round_fractions(place[at], value[at], (fraction[own], loss[own]), pack, deadline)
                solved[at] = True
    except _TimeUpError:
        pass
    return chosen & solved, solved


def _round_fractions(
    place: IntArray, value: FloatArray, relaxed: tuple[FloatArray, FloatArray], pack: Solver, deadline: float
) -> BoolArray:
    """Solve one problem exactly whose linear program has a fractional optimum.

    Most fractions are excluded by the inequalities of rings of three choices. If some remain, the best packing that
    contains the whole choices is a lower bound. A choice that costs more than the difference between this bound and the
    value of the linear program is in no best packing (reduced cost fixing). Without such choices, the problem is
    smaller and often falls apart.

    Parameters
    ----------
    place, value
        As in `solve_programs`.
    relaxed : (C,) float64, (C,) float64
        Solution of the linear program, see `_solve_linear_program`.
    pack, deadline
        As in `solve_programs`.

    Returns
    -------
    (C,) bool

    Raises
    ------
    _TimeUpError
        If the deadline passes.
    """
    fraction, loss = relaxed
    rings = csr_array((0, len(value)))
    for _ in range(_ROUNDS):
        more = _find_violated_rings(place, fraction)
        if not more.shape[0]:
            break
        rings = csr_array(vstack([rings, more]))
        fraction, loss = _solve_linear_program(place, value, deadline, rings)
    chosen = fraction > 1 - _WHOLE
    if (chosen | (fraction < _WHOLE)).all():
        return chosen
    free = np.flatnonzero(~np.isin(place, place[chosen][place[chosen] >= 0]).any(axis=1))
    if len(free):  # none if the remaining fractions are rounding errors
        chosen[free] = _solve_integer_program(place[free], value[free], deadline)
    gap = float(value @ fraction - value[chosen].sum())
    keep = np.flatnonzero(loss <= gap + _WHOLE * max(1.0, float(value.max())))
    chosen[:] = False
    if len(keep) >= _SMALLER * len(value):
        chosen[keep] = _solve_integer_program(place[keep], value[keep], deadline)
        return chosen
    packing = pack(place[keep], value[keep], deadline=deadline)
    if packing.stopped:
        raise _TimeUpError
    chosen[keep] = packing.chosen
    return chosen


def _find_violated_rings(place: IntArray, fraction: FloatArray) -> csr_array:
    """Return the inequalities that a fractional packing violates.

    Of all choices that take two of the same three places, only one fits (Edmonds 1965, odd sets of three).

    Returns
    -------
    (K, C) sparse float64
        One row per violated ring; 1 for the choices in it.
    """
    takes = _make_incidence(place)
    between = np.flatnonzero((fraction > _WHOLE) & (fraction < 1 - _WHOLE))
    touching = coo_array(triu(takes[:, between].T @ takes[:, between], 1))
    one, two = place[between[touching.row]], place[between[touching.col]]
    sets = []
    for shared, left, right in product(range(3), repeat=3):
        ring = np.stack([one[:, shared], one[:, left], two[:, right]], axis=1)
        fits = (ring >= 0).all(axis=1) & (left != shared) & (two == ring[:, :1]).any(axis=1)
        sets.append(ring[fits & ~(one == ring[:, 2:]).any(axis=1)])
    ring = np.unique(np.sort(np.concatenate(sets), axis=1), axis=0)
    row = np.searchsorted(np.unique(place[place >= 0]), ring)
    inside = csr_array(
        (np.ones(ring.size), (np.repeat(np.arange(len(ring)), 3), row.ravel())), (len(ring), takes.shape[0])
    )
    member = csr_array((inside @ takes) > 1.5, dtype=np.float64)
    return member[member @ fraction > 1 + 1e-4]


def _solve_linear_program(
    place: IntArray, value: FloatArray, deadline: float, rings: csr_array | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return the best fractional packing.

    Parameters
    ----------
    place, value, deadline
        As in `solve_programs`.
    rings : (K, C) sparse, optional
        Further inequalities: the fractions of each row sum up to at most 1.

    Returns
    -------
    (C,) float64, (C,) float64
        Fraction of each choice; loss of total value if the choice is taken (its reduced cost).
    """
    takes = _make_incidence(place)
    rows = takes if rings is None else csr_array(vstack([takes, rings]))
    solution: Any = linprog(
        -value, A_ub=rows, b_ub=np.ones(rows.shape[0]), method="highs-ds", options=_limit_time(deadline)
    )
    _check_success(solution, value)
    return np.asarray(solution.x), np.maximum(-(solution.ineqlin.marginals @ rows) - value, 0)


def _solve_integer_program(place: IntArray, value: FloatArray, deadline: float) -> BoolArray:
    """Return the best packing of a few choices, shape (C,)."""
    solution: Any = milp(
        -value,
        constraints=LinearConstraint(_make_incidence(place), -np.inf, 1),
        integrality=np.ones(len(value)),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 0.0, **_limit_time(deadline)},
    )
    _check_success(solution, value)
    return np.asarray(solution.x > 0.5)


def _limit_time(deadline: float) -> dict[str, float]:
    """Return the options of a program that ends at a deadline.

    Raises
    ------
    _TimeUpError
        If it has passed.
    """
    if deadline == math.inf:
        return {}
    left = deadline - time.monotonic()
    if left <= 0:
        raise _TimeUpError
    return {"time_limit": left}


def _make_incidence(place: IntArray) -> csr_array:
    """Return a matrix of places (rows) and choices (columns), 1 where the choice takes the place."""
    used = place >= 0
    places, row = np.unique(place[used], return_inverse=True)
    return csr_array((np.ones(len(row)), (row, np.nonzero(used)[0])), shape=(len(places), len(place)))


def _check_success(solution: Any, value: FloatArray) -> None:
    if solution.get("status") == _TIME_IS_UP:
        raise _TimeUpError
    if not solution.success:
        msg = (
            f"no solution was found for {count_noun(len(value), 'link or division', 'links and divisions')}: "
            f"{solution.message}; try --solver hungarian"
        )
        raise GnntrackError(msg)
