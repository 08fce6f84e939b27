"""Cross-validation of images of movies: folds are blocks of time, with a gap between training and test frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gnntrack.errors import InputError
from gnntrack.training.examples import Example
from gnntrack.training.examples.split import group_by_frame, group_by_movie, has_time

__all__ = ["make_time_folds"]


def make_time_folds(examples: Sequence[Example], n: int, *, gap: int = 1) -> list[tuple[list[Example], list[Example]]]:
    """Return the folds of an n-fold cross-validation: examples for training, and examples for the test.

    Each movie is cut into `n` blocks of time with about equally many labelled frames. Of images that are not a movie,
    every n-th one by name is in the same fold. Each example is tested once.

    Parameters
    ----------
    examples : Examples
        In any order, which is kept.
    n : int
        Number of folds.
    gap : int
        Examples of the same movie whose frame number differs from that of a tested one by at most `gap` are not used
        for training in that fold: they look nearly the same.

    Raises
    ------
    InputError
        If there are fewer than two folds, a negative gap, or a fold without training or test examples.
    """
    if n < 2 or gap < 0:
        msg = f"{n} folds with a gap of {gap} frames; expected at least 2 folds and a gap of 0 or more"
        raise InputError(msg)
    fold = _assign_folds(examples, n)
    parts = [_select_fold(examples, fold, number, gap) for number in range(n)]
    for number, (training, tested) in enumerate(parts):
        if not training or not tested:
            msg = (
                f"fold {number + 1} of {n} has {len(training)} images for training and {len(tested)} for the test, of "
                f"{len(examples)} with a gap of {gap} frames; give more images, fewer folds or a smaller gap"
            )
            raise InputError(msg)
    return parts


def _assign_folds(examples: Sequence[Example], n: int) -> dict[Example, int]:
    """Return the fold in which each example is tested."""
    fold: dict[Example, int] = {}
    first = 0  # the folds of a short movie follow those of the one before it, so that no fold is empty
    for movie in group_by_movie(examples).values():
        groups, timed = group_by_frame(movie), has_time(movie)
        for i, group in enumerate(groups):
            block = i * n // max(len(groups), n) if timed else i
            fold |= dict.fromkeys(group, (first + block) % n)
        first += len(groups)
    return fold


def _select_fold(
    examples: Sequence[Example], fold: Mapping[Example, int], number: int, gap: int
) -> tuple[list[Example], list[Example]]:
    tested = [each for each in examples if fold[each] == number]
    near = {
        (each.movie, each.frame + step) for each in tested if each.frame is not None for step in range(-gap, gap + 1)
    }
    training = [each for each in examples if fold[each] != number and (each.movie, each.frame) not in near]
    return training, tested
