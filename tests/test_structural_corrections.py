"""Edits of results without scores, such as those of other programs: on disk, and with the command."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile
from test_cli import run
from test_edits import links_of

import gnntrack
from gnntrack.correction_session import RecordedRun
from gnntrack.corrections import apply_edits
from gnntrack.errors import FormatError, InputError
from gnntrack.lineage.edits import Edit, EditList
from gnntrack.results import load_result
from gnntrack.structural_session import StructuralSession, choose_session

FRAMES = 6


def make_masks():
    """Three cells, in the result tracks 1 to 3; 7 lacks its mask in frame 3; 3 and 5 exchange their labels after it."""
    masks = np.zeros((FRAMES, 60, 60), np.uint8)
    for t in range(FRAMES):
        masks[t, 5:12, 5 + t : 12 + t] = 7 if t != 3 else 0
        masks[t, 30:37, 5 + t : 12 + t] = 3 if t < 4 else 5
        masks[t, 30:37, 40 - t : 47 - t] = 5 if t < 4 else 3
    return masks


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported") / "01_RES"
    gnntrack.import_tracks(make_masks(), out=folder)
    return folder


SWAP = (Edit("join", ((3, 1), (4, 2))), Edit("join", ((3, 2), (4, 1))))
SWAP_OF_INPUT = (Edit("join", ((3, 3), (4, 5))), Edit("join", ((3, 5), (4, 3))))


def read_masks(folder):
    return np.stack([tifffile.imread(folder / f"mask{t:03d}.tif") for t in range(FRAMES)])


def test_edits_change_only_what_they_name(imported, tmp_path):
    corrected = apply_edits(imported, EditList(SWAP), out=tmp_path / "01_RES")
    assert not corrected.solved
    assert corrected.refused == ()
    displaced = {((3, 3), (4, 3)), ((3, 5), (4, 5))}
    assert {(change.source, change.target) for change in corrected.changes if not change.added} == displaced
    assert len(corrected.changes) == 2
    assert corrected.applied == SWAP_OF_INPUT
    before, after = read_masks(imported), read_masks(tmp_path / "01_RES")
    np.testing.assert_array_equal(after > 0, before > 0)
    np.testing.assert_array_equal(after[:4], before[:4])  # also the mask that was drawn in the gap of track 7
    np.testing.assert_array_equal(
        after[4:], np.select([before[4:] == 1, before[4:] == 2], [before[4:] + 1, before[4:] - 1], before[4:])
    )
    assert not run("validate", tmp_path / "01_RES").exception
    summary = json.loads((tmp_path / "01_RES" / "gnntrack" / "summary.json").read_text())
    assert summary["method"] == "imported"
    assert (summary["counts"]["masks_filled"], summary["counts"]["cells_in_input"]) == (1, 17)
    cells = pd.read_csv(tmp_path / "01_RES" / "gnntrack" / "cells.csv")
    old = pd.read_csv(imported / "gnntrack" / "cells.csv")
    pd.testing.assert_frame_equal(
        cells.sort_values(["frame", "y_pixel", "x_pixel"], ignore_index=True)[["frame", "input_label"]],
        old.sort_values(["frame", "y_pixel", "x_pixel"], ignore_index=True)[["frame", "input_label"]],
    )


def test_the_edits_are_kept_and_a_newer_one_prevails(imported, tmp_path):
    spurious = Edit("spurious", ((0, 3),))
    apply_edits(imported, EditList((*SWAP, spurious)), out=tmp_path / "02_RES")
    cut = Edit("cut", ((3, 1), (4, 1)))  # the labels of the new result
    corrected = apply_edits(tmp_path / "02_RES", EditList((cut,)), out=tmp_path / "03_RES")
    assert [edit.kind for edit in corrected.applied] == ["join", "spurious", "cut"]
    assert "it was made earlier, and now edit 1 cuts the link" in corrected.refused[0][1]
    kept = json.loads((tmp_path / "03_RES" / "gnntrack" / "edits.json").read_text())
    assert kept["labels"] == "input"
    assert ((3, 3), (4, 5)) not in links_of(tmp_path / "03_RES")
    summary = json.loads((tmp_path / "03_RES" / "gnntrack" / "summary.json").read_text())
    assert summary["counts"]["cells_removed"] == 1
    assert summary["counts"]["cells_in_input"] == 17


def test_a_new_gap_is_filled(imported, tmp_path):
    cut = EditList((Edit("spurious", ((2, 1),)), Edit("join", ((1, 1), (3, 1)))))
    apply_edits(imported, cut, out=tmp_path / "01_RES")
    lineage = load_result(tmp_path / "01_RES")
    row = int(lineage.cells.row_of(2, 1))
    assert row >= 0
    assert lineage.origins.kind[row] == 1
    assert not run("validate", tmp_path / "01_RES").exception


def test_with_a_method_the_masks_are_tracked_around_the_edits(imported, tmp_path):
    """The tracker joins the cells that come near each other as they move; the edit does not let it."""
    solved = apply_edits(imported, EditList(), method="hungarian")
    assert solved.solved
    named = {edit.cells for edit in SWAP}
    added = {(change.source, change.target) for change in solved.changes if change.added}
    assert added == named  # labels of the result are those of the masks
    kept = EditList((Edit("confirm", ((3, 1), (4, 1))),))
    corrected = apply_edits(imported, kept, method="greedy", out=tmp_path / "01_RES")
    assert corrected.applied == (Edit("join", ((3, 1), (4, 1))),)
    assert ((3, 1), (4, 1)) in links_of(tmp_path / "01_RES")
    assert json.loads((tmp_path / "01_RES" / "gnntrack" / "summary.json").read_text())["method"] == "greedy"


def test_earlier_edits_are_kept_when_a_method_is_given(imported, tmp_path):
    apply_edits(imported, EditList((SWAP[0],)), out=tmp_path / "01_RES")
    corrected = apply_edits(tmp_path / "01_RES", EditList(), method="iou")
    assert corrected.applied == (Edit("join", ((3, 1), (4, 1))),)  # in the labels of the result


def test_a_result_of_another_program_without_a_record(imported, tmp_path):
    folder = tmp_path / "01_RES"
    shutil.copytree(imported, folder, ignore=shutil.ignore_patterns("gnntrack"))
    corrected = apply_edits(folder, EditList(SWAP), out=tmp_path / "02_RES")
    assert not corrected.solved
    np.testing.assert_array_equal(read_masks(tmp_path / "02_RES")[:4], read_masks(folder)[:4])
    again = apply_edits(tmp_path / "02_RES", EditList((Edit("cut", ((0, 3), (1, 3))),)))
    assert len(again.applied) == 3
    (folder / "gnntrack").mkdir()
    with pytest.raises(FormatError, match="no record of the run"):
        apply_edits(folder, EditList(SWAP))


def test_the_session_can_be_solved_again_and_undone(imported):
    session = choose_session(RecordedRun.read(imported))
    assert isinstance(session, StructuralSession)
    first = session.build(session.solve(session.plan(EditList()))).lineage
    session.solve(session.plan(EditList(SWAP)))
    undone = session.build(session.solve(session.plan(EditList()))).lineage
    before = load_result(imported)
    for lineage in (first, undone):
        np.testing.assert_array_equal(lineage.track, before.track)
        np.testing.assert_array_equal(lineage.cells.position, before.cells.position)
        np.testing.assert_array_equal(lineage.origins.kind, before.origins.kind)


def test_masks_alone_need_a_method(imported):
    with pytest.raises(InputError, match=r"its method is 'imported'.*give a method"):
        apply_edits(imported, EditList(), masks=make_masks())
    corrected = apply_edits(imported, EditList((SWAP[0],)), masks=make_masks(), method="hungarian")
    assert corrected.applied == (SWAP_OF_INPUT[0],)


def test_the_command_says_that_nothing_was_solved(imported, tmp_path):
    (tmp_path / "edits.json").write_text(json.dumps(EditList(SWAP).to_dict()))
    printed = run("apply-edits", imported, tmp_path / "edits.json", "-o", tmp_path / "02_RES").stdout
    assert "solved again no; the links have no scores" in " ".join(printed.split())
    assert "2 kept, 0 refused" in printed
    assert "removed: frame 3, label 1 -> frame 4, label 1" in printed
    more = ("--method", "hungarian", "-o", tmp_path / "03_RES")
    assert "have no scores" not in run("apply-edits", imported, tmp_path / "edits.json", *more).stdout
