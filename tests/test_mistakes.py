"""The mistakes of a result one by one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import tifffile

import gnntrack
from gnntrack.evaluate.error_places import list_error_places
from gnntrack.evaluate.error_report import find_errors
from gnntrack.evaluate.mistakes import MISTAKE_KINDS, list_mistakes
from gnntrack.evaluate.tracking import match_sequence, score_matches
from gnntrack.report_measures import compare_with_truth, measure_lineage
from tests.support.ctc_worlds import write_columns

pytestmark = pytest.mark.filterwarnings("ignore:list_mistakes is deprecated:DeprecationWarning")


@pytest.fixture(scope="module")
def swapped(tmp_path_factory):
    """Tracks 1 and 2 of the ground truth change places in the result; 3 divides, which the result lacks.

    ::

        ground truth   0 1 2 3     result   0 1 2 3
        column 0       1 1 1 1              1 1 2 2
               1       2 2 2 2              2 2 1 1
               2       3 3 4 4              3 3 3 3
               3       . . 5 5              . . . 7    frame 2: false negative
               4       . . . .              9 . . .    false positive
    """
    folder = tmp_path_factory.mktemp("swapped")
    truth = [[1, 2, 3, 0, 0], [1, 2, 3, 0, 0], [1, 2, 4, 5, 0], [1, 2, 4, 5, 0]]
    result = [[1, 2, 3, 0, 9], [1, 2, 3, 0, 0], [2, 1, 3, 0, 0], [2, 1, 3, 7, 0]]
    rows = [(1, 0, 3, 0), (2, 0, 3, 0), (3, 0, 1, 0), (4, 2, 3, 3), (5, 2, 3, 3)]
    write_columns(folder / "01_GT" / "TRA", truth, rows)
    write_columns(folder / "01_RES", result, [(1, 0, 3, 0), (2, 0, 3, 0), (3, 0, 3, 0), (7, 3, 3, 0), (9, 0, 0, 0)])
    return folder


def test_each_kind_is_found_where_it_is(swapped):
    found = list_mistakes(match_sequence(swapped / "01_RES", swapped / "01_GT"))
    described = [(mistake.kind, mistake.frame, mistake.cells) for mistake in found]
    assert described == [
        ("false positive", 0, ((0, 9),)),
        ("false negative", 2, ()),
        ("wrong link", 2, ((1, 1), (2, 1))),
        ("wrong link", 2, ((1, 2), (2, 2))),
        ("missed link", 2, ((1, 1), (2, 2))),
        ("missed link", 2, ((1, 2), (2, 1))),
        ("missed division", 1, ((1, 3), (2, 3))),
    ]
    assert found[1].places == ((2, (3.5, 21.5)),)
    assert found[-1].places == ((2, (3.5, 21.5)),)
    assert "cells 1 and 2 of the ground truth" in found[2].why


def test_the_numbers_are_those_of_the_metrics(swapped):
    matched = match_sequence(swapped / "01_RES", swapped / "01_GT")
    scores, kinds = score_matches(matched), Counter(mistake.kind for mistake in list_mistakes(matched))
    assert set(kinds) <= set(MISTAKE_KINDS)
    assert (kinds["false positive"], kinds["false negative"]) == (scores["AOGM_FP"], scores["AOGM_FN"])
    assert kinds["wrong link"] == scores["AOGM_ED"]
    assert kinds["missed link"] == scores["AOGM_EA"] - 2  # those to and from the cell that is missed


def test_merged_cells_and_a_false_division(tmp_path):
    truth = [[1, 2], [1, 2]]
    write_columns(tmp_path / "01_GT" / "TRA", truth, [(1, 0, 1, 0), (2, 0, 1, 0)])
    write_columns(tmp_path / "01_RES", [[1, 0], [2, 3]], [(1, 0, 0, 0), (2, 1, 1, 1), (3, 1, 1, 1)])
    mask = np.zeros((8, 16), np.uint16)
    mask[2:6, 2:12] = 1
    tifffile.imwrite(tmp_path / "01_RES" / "mask000.tif", mask)
    found = list_mistakes(match_sequence(tmp_path / "01_RES", tmp_path / "01_GT"))
    assert [(mistake.kind, mistake.cells) for mistake in found] == [
        ("merged cells", ((0, 1),)),
        ("false division", ((0, 1), (1, 2), (1, 3))),
    ]


def test_the_places_of_errors_are_those_of_the_list(swapped):
    found = list_error_places(match_sequence(swapped / "01_RES", swapped / "01_GT"))
    table = find_errors(swapped / "01_RES", swapped / "01_GT").to_pandas()
    assert [(each.kind, each.frame) for each in found] == list(zip(table["kind"], table["frame"], strict=True))
    kinds = {each.kind: each for each in found}
    swap = kinds["swap"]
    assert sorted(swap.cells) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    ends = {(swap.cells[one], swap.cells[other], lacks) for one, other, lacks in swap.links}
    assert ends == {
        ((1, 1), (2, 1), False),
        ((1, 2), (2, 2), False),
        ((1, 1), (2, 2), True),
        ((1, 2), (2, 1), True),
    }
    assert kinds["spurious cell"].cells == ((0, 9),)
    assert "ground truth: tracks 3, 4, 5" in next(each for each in found if each.places).why


def test_the_links_of_every_error_are_between_its_cells(swapped):
    for each in list_error_places(match_sequence(swapped / "01_RES", swapped / "01_GT")):
        assert all(max(one, other) < len(each.cells) + len(each.places) for one, other, _ in each.links)
        frames = [frame for frame, _ in (*each.cells, *each.places)]
        assert all(frames[one] < frames[other] for one, other, _ in each.links)


def test_mistakes_on_a_page_are_rows_of_the_lineage(swapped):
    lineage = gnntrack.load(swapped / "01_RES")
    _, places, notes = compare_with_truth(swapped / "01_RES", lineage, None, swapped / "01_GT")
    assert notes == []
    swap = next(place for place in places if place.kind == "swap")
    assert sorted(lineage.cells.label[list(swap.rows)].tolist()) == [1, 1, 2, 2]
    assert (swap.frame, lineage.cells.frame[swap.row], len(swap.links)) == (2, 2, 4)
    lacking = next(place for place in places if place.places)
    assert lacking.places == ((2, (3.5, 21.5)),)


def test_the_former_list_is_deprecated(swapped):
    with pytest.deprecated_call(match="use gnntrack.evaluate.error_places"):
        list_mistakes(match_sequence(swapped / "01_RES", swapped / "01_GT"))


def test_measures_have_the_units_of_the_lineage():
    masks = np.zeros((8, 30, 60), np.uint8)
    for frame in range(8):
        masks[frame, 5 : 11 + frame, 5 + 3 * frame : 11 + 3 * frame] = 1
    measures = measure_lineage(gnntrack.track(masks=masks, spacing=(0.5, 0.5), interval="5min"))
    assert (measures.speed_unit, measures.growth_unit, measures.cycle_unit) == ("µm/min", "1/h", "h")
    assert measures.speed[1:].tolist() == pytest.approx([np.hypot(1.5, 0.25) / 5] * 7)
    assert measures.growth[0] == pytest.approx(np.polyfit(np.arange(8) / 12, np.log(np.arange(6, 14)), 1)[0])
    assert np.isnan(measures.cycle).all()
