"""Which images decide at which depth touching cells are split."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from segmenters.dense.training import spread_examples


@dataclass(frozen=True)
class Named:
    movie: str
    frame: int
    simulated: bool = False


def list_frames(movie: str, count: int, *, simulated: bool = False) -> list[Named]:
    return [Named(movie, frame, simulated) for frame in range(count)]


@pytest.mark.parametrize("most", [1, 3, 4, 10, 50])
def test_every_movie_has_its_turn(most):
    chosen = spread_examples([*list_frames("long", 90), *list_frames("short", 2), *list_frames("single", 1)], most)
    assert len(chosen) <= most
    movies = [each.movie for each in chosen]
    assert movies[:3] == ["long", "short", "single"][:most]
    assert len(set(chosen)) == len(chosen)


def test_frames_are_spread_over_a_movie():
    frames = [each.frame for each in spread_examples(list_frames("long", 90), 6)]
    assert frames == [0, 15, 30, 45, 60, 75]


def test_simulated_movies_count_only_without_others():
    made = list_frames("made", 20, simulated=True)
    assert not any(each.simulated for each in spread_examples([*made, *list_frames("real", 2)], 8))
    assert spread_examples(made, 8)
    assert not spread_examples([], 8)
