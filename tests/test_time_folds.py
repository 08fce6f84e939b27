"""Folds of a cross-validation by time test each example once and train on none near it."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from gnntrack.errors import InputError
from gnntrack.training.examples import Example

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from time_folds import make_time_folds


def make_example(frame: int | None, movie: str = "A/01", plane: int | None = None, name: str = "") -> Example:
    name = name or f"{movie} frame {frame} plane {plane}"
    return Example(name, movie, frame, True, Path(name), Path(name), plane)


def list_frames(examples) -> list[int | None]:
    return [each.frame for each in examples]


@pytest.mark.parametrize("gap", [0, 1, 3])
def test_folds_test_each_example_once_and_train_on_none_near_it(gap):
    examples = [make_example(frame, movie) for movie in ("A/01", "A/02") for frame in (*range(20), 40, 41)]
    folds = make_time_folds(examples, 4, gap=gap)
    assert Counter(each for _, tested in folds for each in tested) == Counter(examples)
    for training, tested in folds:
        for movie in ("A/01", "A/02"):
            times = sorted(each.frame for each in tested if each.movie == movie)
            distant = {
                each.frame
                for each in examples
                if each.movie == movie and min(abs(each.frame - time) for time in times) > gap
            }
            assert {each.frame for each in training if each.movie == movie} == distant - set(times)
            own = sorted(each.frame for each in examples if each.movie == movie)
            first = own.index(times[0])
            assert own[first : first + len(times)] == times  # a block of time
            assert len(times) in {5, 6}


def test_the_gap_is_of_frames_not_of_examples():
    (training, tested), _ = make_time_folds([make_example(frame) for frame in (0, 10, 20, 22, 30, 33)], 2, gap=5)
    assert (list_frames(tested), list_frames(training)) == ([0, 10, 20], [30, 33])


def test_planes_of_a_tested_frame_are_not_used_for_training():
    for training, tested in make_time_folds(
        [make_example(frame, plane=z) for frame in range(6) for z in range(3)], 3, gap=0
    ):
        assert not set(list_frames(training)) & set(list_frames(tested))
        assert len(tested) == 6


def test_folds_without_time_are_interleaved_and_small_movies_fill_them_all():
    images = [make_example(None, "P", name=f"P {number}") for number in range(9)]
    folds = make_time_folds(images, 3)
    assert [each.name for each in folds[1][1]] == ["P 1", "P 4", "P 7"]
    assert all(len(training) == 6 for training, _ in folds)
    short = [make_example(frame, f"A/0{movie}") for movie in range(4) for frame in (0, 10)]
    assert [len(tested) for _, tested in make_time_folds(short, 4)] == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("count", "n", "gap", "told"),
    [
        (9, 1, 1, "expected at least 2 folds"),
        (9, 2, -1, "a gap of 0 or more"),
        (2, 3, 0, "fold 3 of 3 has 2 images for training and 0 for the test"),
        (2, 2, 1, "has 0 images for training"),
    ],
)
def test_folds_that_cannot_be_are_refused(count, n, gap, told):
    with pytest.raises(InputError, match=told):
        make_time_folds([make_example(frame) for frame in range(count)], n, gap=gap)
