"""Maximum-weight set packing where almost every choice is plain: exact, by reductions first and programs for the rest.

A choice takes up to three places, and no place may be taken twice. A choice that gains at least as much as
all that could ever be put on its places instead is in some best packing: it is taken, and what it excludes
goes (for graphs: Lamm et al., Exactly solving the maximum weight independent set problem on large real-world
graphs, ALENEX 2019). On real movies that settles 94 to 100 of 100 choices; what is left falls into small
independent problems.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_array, csr_array, triu, vstack
from scipy.sparse.csgraph import connected_components

from gnntrack.compiled import compiled
from gnntrack.errors import GnntrackError
from gnntrack.solvers.assignment import best_matching

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, FloatArray, IntArray

__all__ = ["best_packing"]

_BATCH = 4000  # choices of one linear program; independent problems are put together up to here
_WHOLE = 1e-6  # how far the part of a choice may be from 0 or 1 to count as whole
_ROUNDS = 4  # times that broken rings are looked for; what they leave is left to the integer program
_SMALLER = 0.8  # part of a problem that may be left for it to be taken apart again, not solved as it is
_OPEN, _TAKEN, _GONE = 0, 1, 2


def best_packing(place: IntArray, value: FloatArray) -> BoolArray:
    """Choose so that the total value is greatest and no place is taken twice.

    Reductions (see `_settled`) come first. The problems that are left and have choices of two places only are
    assignments; the others are linear programs, solved many at once since they are independent. A problem
    whose linear program has a fractional optimum is made smaller by its bounds, and at last an integer program.

    Parameters
    ----------
    place : (C, 3) int64
        Places of each choice, >= 0, each once; the third is -1 where a choice has two. A place is the first of
        choices, or the second or third of choices, never both. No two choices of two places are the same.
    value : (C,) float64
        Gain of each choice, > 0.

    Returns
    -------
    (C,) bool

    Examples
    --------
    Three choices exclude each other in a ring, where a linear program would take half of each:

    >>> import numpy as np
    >>> best_packing(np.array([[0, 3, 4], [1, 4, 5], [2, 5, 3]]), np.array([2.0, 3.0, 2.5])).tolist()
    [False, True, False]
    """
    start, member = _choices_of(place)
    state = _settled(place, value, start, member)
    chosen = np.asarray(state == _TAKEN)
    rest = np.flatnonzero(state == _OPEN)
    if not len(rest):
        return chosen
    problem = _problems(place[rest])
    three = np.bincount(problem, place[rest, 2] >= 0)[problem] > 0
    flat, deep = rest[~three], rest[three]
    chosen[flat[best_matching(place[flat, 0], place[flat, 1], value[flat])]] = True
    if len(deep):
        chosen[deep[_programs(place[deep], value[deep], problem[three])]] = True
    return chosen


def _choices_of(place: IntArray) -> tuple[IntArray, IntArray]:
    """Return the choices of each place: those of place p are ``member[start[p]:start[p + 1]]``."""
    used = place >= 0
    choice = np.nonzero(used)[0]
    order = np.argsort(place[used], kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(place[used]))])
    return start, choice[order]


def _problems(place: IntArray) -> IntArray:
    """Return for each choice the number of its independent problem, from 0, shape (C,)."""
    used = place >= 0
    n = len(place)
    choice, size = np.nonzero(used)[0], n + int(place.max(initial=-1)) + 1
    graph = coo_array((np.ones(len(choice), np.int8), (choice, n + place[used])), shape=(size, size))
    label = connected_components(graph, directed=False)[1][:n]
    return np.asarray(np.unique(label, return_inverse=True)[1], dtype=np.int64)


@compiled
def _settled(place, value, start, member):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Take choices that gain at least as much as all that they exclude could together; return states.

    Of what a choice excludes, those that take the same of its places exclude each other. So the best of each set
    of its places is enough, and the best way to put such sets together on its places is the bound.
    """
    state = np.zeros(value.size, np.int8)
    waiting, queued = np.arange(value.size)[::-1].copy(), np.ones(value.size, np.bool_)
    n_waiting = value.size
    while n_waiting:
        n_waiting -= 1
        choice = waiting[n_waiting]
        queued[choice] = False
        if state[choice] != _OPEN or value[choice] < _rival(choice, place, value, start, member, state):
            continue
        state[choice] = _TAKEN
        for p in place[choice]:
            for other in member[start[p] : start[p + 1]] if p >= 0 else member[:0]:
                if state[other] != _OPEN:
                    continue
                state[other] = _GONE
                for q in place[other]:
                    for near in member[start[q] : start[q + 1]] if q >= 0 else member[:0]:
                        if state[near] == _OPEN and not queued[near]:
                            queued[near] = True
                            waiting[n_waiting] = near
                            n_waiting += 1
    return state


@compiled
def _rival(choice, place, value, start, member, state):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Return the most that other open choices could gain on the places of this one."""
    best = np.zeros(8)  # by the set of places, as bits
    for p in place[choice]:
        for other in member[start[p] : start[p + 1]] if p >= 0 else member[:0]:
            if other == choice or state[other] != _OPEN:
                continue
            places = 0
            for bit in range(3):
                for q in place[other]:
                    if q >= 0 and place[choice, bit] == q:
                        places |= 1 << bit
            best[places] = max(best[places], value[other])
    for places in range(1, 8):
        part = (places - 1) & places
        while part:
            best[places] = max(best[places], best[part] + best[places ^ part])
            part = (part - 1) & places
    return best[7]


def _programs(place: IntArray, value: FloatArray, problem: IntArray) -> BoolArray:
    """Solve independent problems as linear programs, and further those that leave fractions."""
    chosen = np.zeros(len(value), bool)
    order = np.argsort(problem, kind="stable")
    bounds = [0]
    for first in np.flatnonzero(np.diff(problem[order], prepend=-1))[1:]:
        if first - bounds[-1] > _BATCH:
            bounds.append(int(first))
    for first, last in zip(bounds, [*bounds[1:], len(order)], strict=True):
        batch = order[first:last]
        part, loss = _linear_program(place[batch], value[batch])
        chosen[batch] = part > 0.5
        for hard in np.unique(problem[batch[np.minimum(part, 1 - part) > _WHOLE]]):
            at = problem[batch] == hard
            chosen[batch[at]] = _whole(place[batch[at]], value[batch[at]], part[at], loss[at])
    return chosen


def _whole(place: IntArray, value: FloatArray, part: FloatArray, loss: FloatArray) -> BoolArray:
    """Solve one problem whose linear program has a fractional optimum.

    Rings of three forbid most fractions. If some are left, the best around the whole choices is a lower bound. A
    choice that costs more than its distance to the linear program's value is in no best packing (reduced cost
    fixing); without those, the problem falls into smaller ones.
    """
    rings = csr_array((0, len(value)))
    for _ in range(_ROUNDS):
        more = _rings(place, part)
        if not more.shape[0]:
            break
        rings = csr_array(vstack([rings, more]))
        part, loss = _linear_program(place, value, rings)
    chosen = part > 1 - _WHOLE
    if (chosen | (part < _WHOLE)).all():
        return chosen
    free = np.flatnonzero(~np.isin(place, place[chosen][place[chosen] >= 0]).any(axis=1))
    if len(free):  # none if what is left of the fractions is rounding
        chosen[free] = _integer_program(place[free], value[free])
    gap = float(value @ part - value[chosen].sum())
    keep = np.flatnonzero(loss <= gap + _WHOLE * max(1.0, float(value.max())))
    solve = best_packing if len(keep) < _SMALLER * len(value) else _integer_program
    chosen[:] = False
    chosen[keep] = solve(place[keep], value[keep])
    return chosen


def _rings(place: IntArray, part: FloatArray) -> csr_array:
    """Return what a fractional packing breaks: of all choices with two places of the same three, one fits.

    One row per broken ring, shape (K, C), with 1 where the choice is in it (Edmonds 1965, odd sets of three).
    """
    takes = _takes(place)
    fraction = np.flatnonzero((part > _WHOLE) & (part < 1 - _WHOLE))
    touching = coo_array(triu(takes[:, fraction].T @ takes[:, fraction], 1))
    one, two = place[fraction[touching.row]], place[fraction[touching.col]]
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
    return member[member @ part > 1 + 1e-4]


def _linear_program(
    place: IntArray, value: FloatArray, rings: csr_array | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return the part of each choice in the best fractional packing, and what it costs to take it, shapes (C,)."""
    from scipy.optimize import linprog  # slow to import, and not every movie comes here

    takes = _takes(place)
    rows = takes if rings is None else csr_array(vstack([takes, rings]))
    solution: Any = linprog(-value, A_ub=rows, b_ub=np.ones(rows.shape[0]), method="highs-ds")
    _expect_found(solution, value)
    return np.asarray(solution.x), np.maximum(-(solution.ineqlin.marginals @ rows) - value, 0)


def _integer_program(place: IntArray, value: FloatArray) -> BoolArray:
    """Return the best packing of a few choices, shape (C,)."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    solution: Any = milp(
        -value,
        constraints=LinearConstraint(_takes(place), -np.inf, 1),
        integrality=np.ones(len(value)),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 0.0},
    )
    _expect_found(solution, value)
    return np.asarray(solution.x > 0.5)


def _takes(place: IntArray) -> csr_array:
    """Return which places (rows) each choice takes."""
    used = place >= 0
    places, row = np.unique(place[used], return_inverse=True)
    return csr_array((np.ones(len(row)), (row, np.nonzero(used)[0])), shape=(len(places), len(place)))


def _expect_found(solution: Any, value: FloatArray) -> None:
    if not solution.success:
        msg = f"the best of {len(value)} links and divisions was not found: {solution.message}"
        raise GnntrackError(msg)
