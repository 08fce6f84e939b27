"""Examples split into training and validation: by time in movies, else evenly over the names."""

from __future__ import annotations

from itertools import chain, groupby
from typing import TYPE_CHECKING

from gnntrack.errors import InputError
from gnntrack.training.examples.folders import get_natural_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gnntrack.training.examples.example import Example

__all__ = ["group_by_frame", "group_by_movie", "has_time", "split_examples"]


def split_examples(examples: Sequence[Example], *, held_out: float) -> tuple[list[Example], list[Example]]:
    """Return examples for training and examples for validation.

    The last frames of each movie are for validation. Of images that are not a movie, images at equal distances in the
    order of their names are. A movie of two or more examples gives at least one to each; the planes of a frame stay
    together unless it is the only frame.

    Parameters
    ----------
    examples : Examples
        In any order, which is kept.
    held_out : float
        Fraction of each movie that is for validation, from 0 (none) to below 1.

    Raises
    ------
    InputError
        If `held_out` is out of range.
    """
    if not 0 <= held_out < 1:
        msg = f"held_out is {held_out}; expected a fraction of the images, from 0 to below 1"
        raise InputError(msg)
    checks: set[Example] = set()
    for movie in group_by_movie(examples).values() if held_out else ():
        groups = group_by_frame(movie)
        groups = [[each] for each in movie] if len(groups) == 1 else groups
        if len(groups) > 1:
            count = min(max(round(held_out * len(groups)), 1), len(groups) - 1)
            chosen = groups[-count:] if has_time(movie) else _select_evenly(groups, count)
            checks.update(chain.from_iterable(chosen))
    return [each for each in examples if each not in checks], [each for each in examples if each in checks]


def group_by_movie(examples: Iterable[Example]) -> dict[str, list[Example]]:
    """Return the examples of each movie, in order of time, else of their names."""
    movies: dict[str, list[Example]] = {}
    for each in examples:
        movies.setdefault(each.movie, []).append(each)
    for movie in movies.values():
        if has_time(movie):
            movie.sort(key=lambda each: (each.frame or 0, -1 if each.plane is None else each.plane, each.name))
        else:
            movie.sort(key=lambda each: get_natural_key(each.name))
    return movies


def has_time(movie: Iterable[Example]) -> bool:
    """Return whether all examples have a frame number."""
    return all(each.frame is not None for each in movie)


def group_by_frame(movie: Sequence[Example]) -> list[list[Example]]:
    """Return the examples of each frame of a sorted movie; without frame numbers, each example on its own."""
    if not has_time(movie):
        return [[each] for each in movie]
    return [list(group) for _, group in groupby(movie, key=lambda each: each.frame)]


def _select_evenly(groups: Sequence[list[Example]], count: int) -> list[list[Example]]:
    return [groups[(2 * i + 1) * len(groups) // (2 * count)] for i in range(count)]
