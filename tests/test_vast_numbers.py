"""Numbers in names and tables that are far larger than the movie: gaps are ranges, not lists of numbers."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile

from gnntrack.errors import FrameError
from gnntrack.io.ctc import read_ctc
from gnntrack.io.ctc_names import find_ctc
from gnntrack.io.ctc_validate import validate_ctc
from gnntrack.io.time_stamps import fill_stamps

LAST = 999_999_999


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for frame in (0, 1, 4, LAST):
        tifffile.imwrite(tmp_path / f"mask{frame:09d}.tif", np.ones((4, 5), np.uint16))
    (tmp_path / "res_track.txt").write_text(f"1 0 {LAST} 0\n", encoding="ascii")
    return tmp_path


def test_gaps_between_masks_are_ranges(folder: Path) -> None:
    assert find_ctc(folder).gaps == [range(2, 4), range(5, LAST)]


def test_validate_reports_a_gap_once(folder: Path) -> None:
    tracemalloc.start()
    problems = validate_ctc(folder)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert [(problem.frame, problem.message) for problem in problems if problem.rule == "missing-frame"] == [
        (2, f"the masks of frames 2 to 3 are missing; the last one is frame {LAST}"),
        (5, f"the masks of frames 5 to {LAST - 1} are missing; the last one is frame {LAST}"),
    ]
    assert {problem.rule for problem in problems} == {"missing-frame"}
    with pytest.raises(FrameError, match="frame 2: its mask is missing"):
        read_ctc(folder)


def test_lines_of_any_length_are_compared_with_the_masks_that_exist(folder: Path) -> None:
    (folder / "res_track.txt").write_text(f"1 0 3 0\n2 0 {LAST} 0\n", encoding="ascii")
    found = [(problem.rule, problem.frame) for problem in validate_ctc(folder) if problem.rule.startswith("label")]
    assert found == [
        *[("label-missing", frame) for frame in (0, 1, 4, LAST)],
        ("label-outside", 4),
        ("label-outside", LAST),
    ]


def test_time_stamps_that_are_years_apart_are_not_filled() -> None:
    with pytest.raises(FrameError, match=r"899999999 times are missing between its files"):
        fill_stamps([0, 1, 2, 900_000_002], Path("movie"), allow_missing=True)
