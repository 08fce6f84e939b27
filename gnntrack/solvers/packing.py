"""Maximum-weight set packing in which nearly all choices are easy: exact, by reductions, then by assignments.

A choice takes up to three places, and no place may be taken twice. A choice is in some best packing if its value is at
least the highest total value of all choices that could take its places instead. It is then taken, and the choices that
it excludes are removed (for graphs: Lamm et al., Exactly solving the maximum weight independent set problem on large
real-world graphs, ALENEX 2019). In real movies this decides 94 to 100 % of the choices; the others form small
independent problems. Most of those are one or a few assignments.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.components import label_components
from gnntrack.solvers.assignment import find_matching
from gnntrack.solvers.solution import is_late

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, FloatArray, IntArray

__all__ = ["Packing", "find_packing", "pack_choices"]

_FEW = 5000  # choices that are solved in less time by assignments than SciPy is imported
_CASES = 1000  # assignments by which problems are solved; those that need more are solved by programs
_PROOF = 100_000  # choices in all assignments by which a bound is found that only tells how good a solution is
_RARE = 2000  # rounds end if fewer than one in so many choices is taken
_MOST_RIVALS = 8192  # of a choice that may be easy; with more, all cells of a frame lie on one of the next
_PAIRS = 1 << 22  # pairs of rivals that are compared at once
_OPEN, _TAKEN, _GONE = 0, 1, 2


class Packing(NamedTuple):
    """Choices that exclude each other nowhere."""

    chosen: BoolArray
    """Shape (C,)."""
    bound: float
    """A total value that no packing exceeds; that of the choices if they are the best."""
    stopped: bool
    """Whether the deadline ended the search."""


def find_packing(place: IntArray, value: FloatArray) -> BoolArray:
    """Choose such that the total value is highest and no place is taken twice.

    Parameters
    ----------
    place : (C, 3) int64
        Places of each choice, >= 0 and different; the third is -1 for a choice of two places. The first places and
        the other places have different numbers. No two choices of two places are the same.
    value : (C,) float64
        Value of each choice, > 0.

    Returns
    -------
    (C,) bool

    Examples
    --------
    Three choices exclude each other in a ring; a linear program would take half of each:

    >>> import numpy as np
    >>> find_packing(np.array([[0, 3, 4], [1, 4, 5], [2, 5, 3]]), np.array([2.0, 3.0, 2.5])).tolist()
    [False, True, False]
    """
    return pack_choices(place, value).chosen


def pack_choices(place: IntArray, value: FloatArray, *, deadline: float = math.inf, programs: bool = True) -> Packing:
    """Choose such that the total value is highest and no place is taken twice, as far as time allows.

    Reductions (see `_decide`) come first. Of the remaining problems, those whose choices have two places are
    assignments. The others are assignments, too, if third places are left out, which gives an upper bound; a problem in
    which a place is then taken twice is solved by branch and bound. The few that need many cases are solved by programs
    (`gnntrack.solvers.programs`). A problem that is not solved gets its choices by descending value.

    Parameters
    ----------
    place, value
        As of `find_packing`.
    deadline : float
        Instant of `time.monotonic` at which the search ends.
    programs : bool
        Whether programs are used. Without them, the result is the best one, too, if no problem needs many cases.

    Examples
    --------
    After the deadline, choices are taken by descending value, and the bound is an easy one:

    >>> import numpy as np
    >>> place, value = np.array([[0, 3, 4], [1, 4, 5], [2, 5, 3]]), np.array([2.0, 3.0, 2.5])
    >>> late = pack_choices(place, value, deadline=0.0)
    >>> late.chosen.tolist(), late.bound, late.stopped
    ([False, True, False], 4.25, True)
    """
    state = _decide(place, value, deadline)
    chosen = np.asarray(state == _TAKEN)
    rest = np.flatnonzero(state == _OPEN)
    if not len(rest):
        return Packing(chosen, float(value[chosen].sum()), stopped=False)
    if is_late(deadline):
        return _take_rest(place, value, chosen, rest, math.inf, stopped=True)
    problem = _label_problems(place[rest])
    three = np.bincount(problem, place[rest, 2] >= 0)[problem] > 0
    flat, deep = rest[~three], rest[three]
    chosen[flat[find_matching(place[flat, 0], place[flat, 1], value[flat])]] = True
    if not len(deep):
        return Packing(chosen, float(value[chosen].sum()), stopped=False)
    found, left, bound = _solve_problems(place[deep], value[deep], problem[three], deadline, programs=programs)
    chosen[deep[found]] = True
    return _take_rest(place, value, chosen, deep[left], bound, stopped=programs and bool(left.any()))


def _take_rest(
    place: IntArray, value: FloatArray, chosen: BoolArray, rest: IntArray, bound: float, *, stopped: bool
) -> Packing:
    """Return the packing with choices of problems that are not solved, by descending value.

    Parameters
    ----------
    place, value
        As of `find_packing`.
    chosen : (C,) bool
        Choices in the best packing.
    rest : (R,) int64
        The choices of the problems that are not solved.
    bound : float
        An upper bound of their total value, infinite if none is known.
    stopped : bool
        As of `Packing`.
    """
    known = float(value[chosen].sum())
    if not len(rest):
        return Packing(chosen, known, stopped)
    from gnntrack.solvers.greedy import take_in_order  # slow to import

    order = rest[np.argsort(-value[rest], kind="stable")]
    chosen = chosen.copy()
    chosen[order[take_in_order(place[order])]] = True
    return Packing(chosen, known + min(bound, _bound_value(place[rest], value[rest])), stopped)


def _bound_value(place: IntArray, value: FloatArray) -> float:
    """Return an upper bound of the total value: the highest value at each first place, or the highest shares elsewhere.

    A choice of three places has half of its value at the second and half at the third place.
    """
    highest = np.zeros(int(place.max(initial=-1)) + 2)  # the last one stands for no place
    share = np.where(place[:, 2] >= 0, value / 2, value)
    np.maximum.at(highest, place[:, 0], value)
    for column in (1, 2):
        np.maximum.at(highest, place[:, column], share)
    first = np.zeros(len(highest), bool)
    first[place[:, 0]] = True
    highest[-1] = 0
    return float(min(highest[first].sum(), highest[~first].sum()))


def _label_problems(place: IntArray) -> IntArray:
    """Return the number of the independent problem of each choice, from 0, shape (C,)."""
    used = place >= 0
    n = len(place)
    places, number = np.unique(place[used], return_inverse=True)
    label = label_components(n + len(places), np.nonzero(used)[0], n + number)[0][:n]
    return np.asarray(np.unique(label, return_inverse=True)[1], dtype=np.int64)


# --- choices that are easy -------------------------------------------------------------------------------------------


def _decide(place: IntArray, value: FloatArray, deadline: float) -> IntArray:
    """Take choices whose value is at least the highest total value of the choices that they exclude; return states.

    Each round takes all such choices, of choices of equal value that exclude each other those that come first. Rounds
    end when there are none or, where many choices compete, hardly any.
    """
    state = np.full(len(value), _OPEN)
    n_places = int(place.max(initial=-1)) + 2  # the last one, -1, stands for none
    left, changed = np.arange(len(value)), np.ones(n_places, bool)
    while len(left) and not is_late(deadline):
        changed[-1] = False
        sure = _find_sure(place, value, left, changed)
        if len(sure) * _RARE <= len(left):
            break
        first = np.full(n_places, len(value))
        for column in place[sure].T:
            np.minimum.at(first, column, sure)
        sure = sure[((first[place[sure]] == sure[:, None]) | (place[sure] < 0)).all(axis=1)]
        state[sure] = _TAKEN
        taken = _mark(place[sure], n_places)
        rivals = _take_any(place[left], taken)
        gone = left[rivals & (state[left] == _OPEN)]
        state[gone] = _GONE
        left, changed = left[~rivals], _mark(place[gone], n_places)
    return state


def _mark(place: IntArray, n_places: int) -> BoolArray:
    """Return which places are among some, but for the last one, which stands for none, shape (n_places,)."""
    marked = np.zeros(n_places, bool)
    marked[place] = True
    marked[-1] = False
    return marked


def _take_any(place: IntArray, marked: BoolArray) -> BoolArray:
    """Return which choices take a marked place, shape (C,)."""
    return np.asarray(marked[place[:, 0]] | marked[place[:, 1]] | marked[place[:, 2]])


def _find_sure(place: IntArray, value: FloatArray, left: IntArray, changed: BoolArray) -> IntArray:
    """Return the choices whose value is at least an upper bound of the total value of all others on their places.

    Of the choices that a choice excludes, those that take the same of its places exclude each other. So the best one of
    each set of its places is enough, and the best combination of disjoint sets is an upper bound.

    Parameters
    ----------
    place, value
        As in `find_packing`.
    left : (L,) int64
        The choices that are still open.
    changed : (P,) bool
        Places at which choices were removed since the last time; only choices that take one of them are looked at.
    """
    n_places, place, value = len(changed), place[left], value[left]
    near = _take_any(place, changed)
    around = _take_any(place, _mark(place[near], n_places))
    left, near, place, value = left[around], near[around], place[around], value[around]
    highest = np.zeros(n_places)
    for column in place.T:
        np.maximum.at(highest, column, value)
    highest[-1] = 0
    for column in place.T:
        near &= value >= highest[column]
    own = np.flatnonzero(near)
    count = np.bincount(place.ravel() + 1, minlength=n_places)[place[own] + 1]
    count = np.where(place[own] >= 0, count, 0).sum(axis=1)
    own, count = own[count <= _MOST_RIVALS], count[count <= _MOST_RIVALS]
    blocks = np.split(own, np.flatnonzero(np.diff(np.cumsum(count) // _PAIRS)) + 1)
    sure = [block[value[block] >= _bound_rivals(place, value, block, n_places)] for block in blocks]
    return np.asarray(left[np.concatenate(sure)])


def _bound_rivals(place: IntArray, value: FloatArray, own: IntArray, n_places: int) -> FloatArray:
    """Return an upper bound of the total value of the choices that each of some others excludes, shape (len(own),)."""
    choice, rival = _list_rivals(place, own, n_places)
    shared = np.zeros(len(choice), np.int64)
    for bit in range(3):
        mine = place[own[choice], bit]
        shared |= ((place[rival] == mine[:, None]).any(axis=1) & (mine >= 0)).astype(np.int64) << bit
    best = np.zeros((len(own), 8))  # by the set of places, as bits
    np.maximum.at(best, (choice, shared), value[rival])
    for places in range(1, 8):
        subset = (places - 1) & places
        while subset:
            np.maximum(best[:, places], best[:, subset] + best[:, places ^ subset], out=best[:, places])
            subset = (subset - 1) & places
    return np.asarray(best[:, 7])


def _list_rivals(place: IntArray, own: IntArray, n_places: int) -> tuple[IntArray, IntArray]:
    """Return which choices take a place of some others: rows of `own`, and their rivals; a pair may occur twice."""
    member, used = np.nonzero(place >= 0)
    taken = place[member, used]
    order = np.argsort(taken, kind="stable")
    member, start = member[order], np.cumsum(np.bincount(taken + 1, minlength=n_places + 1))
    row, column = np.nonzero(place[own] >= 0)
    at = place[own[row], column]
    count = start[at + 1] - start[at]
    choice = np.repeat(row, count)
    offset = np.arange(len(choice)) - np.repeat(np.cumsum(count) - count, count)
    rival = member[np.repeat(start[at], count) + offset]
    other = rival != own[choice]
    return choice[other], rival[other]


# --- the others ------------------------------------------------------------------------------------------------------


def _solve_problems(
    place: IntArray, value: FloatArray, problem: IntArray, deadline: float, *, programs: bool
) -> tuple[BoolArray, BoolArray, float]:
    """Solve independent problems: by assignments, and those that need too many of them by programs.

    Parameters
    ----------
    place, value
        As of `find_packing`.
    problem : (C,) int64
        Number of the problem of each choice.
    deadline, programs
        As of `pack_choices`.

    Returns
    -------
    (C,) bool, (C,) bool, float
        The choices in the best packing of problems that are solved; choices of the others, and an upper bound of the
        total value of these.
    """
    chosen, left, bound = np.zeros(len(problem), bool), np.ones(len(problem), bool), math.inf
    if len(problem) <= _FEW or not programs:
        assigned = _assign(place, value)
        chosen = assigned.copy()
        left = np.isin(problem, problem[_find_clashes(place, chosen)])
        cases, work = _CASES, _PROOF
        for at in _split_problems(problem, left):
            most = cases if programs else min(cases, max(work, 0) // len(at))
            found, spare = _branch(place[at], value[at], most, deadline)
            cases, work = cases - most + spare, work - (most - spare) * len(at)
            if found is not None:
                chosen[at], left[at] = found, False
        chosen[left], bound = False, float(value[assigned & left].sum())
    if programs and left.any() and not is_late(deadline):
        from gnntrack.solvers.programs import solve_programs  # slow to import, and few movies need it

        rest = np.flatnonzero(left)
        found, solved = solve_programs(place[rest], value[rest], problem[rest], pack_choices, deadline)
        chosen[rest[found]], left[rest[solved]] = True, False
        bound = math.inf if left.any() else 0.0  # the bound above is that of all of them
    return chosen, left, bound


def _split_problems(problem: IntArray, use: BoolArray) -> list[IntArray]:
    """Return the choices of each problem among those in use."""
    rows = np.flatnonzero(use)
    order = rows[np.argsort(problem[rows], kind="stable")]
    return np.split(order, np.flatnonzero(np.diff(problem[order])) + 1) if len(order) else []


def _assign(place: IntArray, value: FloatArray) -> BoolArray:
    """Return the best choices if third places may be taken twice; their total value is an upper bound, shape (C,)."""
    order = np.lexsort((-value, place[:, 1], place[:, 0]))
    best = order[np.diff(place[order, :2], axis=0, prepend=-1).any(axis=1)]  # of those with the same first places
    chosen = np.zeros(len(value), bool)
    chosen[best[find_matching(place[best, 0], place[best, 1], value[best])]] = True
    return chosen


def _find_clashes(place: IntArray, chosen: BoolArray) -> IntArray:
    """Return the chosen choices whose third place another chosen one takes, too."""
    count = np.bincount(place[chosen][place[chosen] >= 0], minlength=int(place.max(initial=-1)) + 1)
    return np.flatnonzero(chosen & (place[:, 2] >= 0) & (count[place[:, 2]] > 1))


def _branch(place: IntArray, value: FloatArray, cases: int, deadline: float) -> tuple[BoolArray | None, int]:
    """Solve a problem by assignments: a choice whose third place is taken twice is once forced and once excluded.

    Parameters
    ----------
    place, value
        As in `find_packing`.
    cases : int
        Largest number of assignments.
    deadline : float
        As of `pack_choices`.

    Returns
    -------
    (C,) bool or None
        None if there are too many cases, or the deadline passes.
    int
        The number of cases that are left.
    """
    place = np.unique(place, return_inverse=True)[1].reshape(place.shape) - (place.min() < 0)
    best, highest = None, -np.inf
    open_ = [(np.ones(len(value), bool), np.zeros(len(value), bool))]  # which are allowed, which are forced
    while open_ and cases and not is_late(deadline):
        cases -= 1
        allowed, forced = open_.pop()
        rows, chosen = np.flatnonzero(allowed), forced.copy()
        chosen[rows[_assign(place[rows], value[rows])]] = True
        total = float(value[chosen].sum())
        if total <= highest:
            continue
        clashes = _find_clashes(place, chosen)
        if not len(clashes):
            best, highest = chosen, total
            continue
        one = clashes[np.argmax(value[clashes])]
        without, with_it = allowed.copy(), forced.copy()
        without[one], with_it[one] = False, True
        rivals = np.isin(place, place[one][place[one] >= 0]).any(axis=1)
        open_ += [(without, forced), (allowed & ~rivals, with_it)]
    return (None if open_ else best), cases
