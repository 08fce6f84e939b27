"""Corrections: what edits fix holds with every solver, and nothing else changes without a reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cli import run
from test_solvers import every_solver, random_world

import gnntrack
from gnntrack.corrections import apply_edits
from gnntrack.errors import FormatError, InputError
from gnntrack.lineage.constraints import Constraints, EditChecker
from gnntrack.lineage.edits import Edit, EditList, RefusedEditError, list_own_links, read_edits, translate_edit
from gnntrack.results import load_result
from gnntrack.settings import SolverSettings
from gnntrack.solvers.constrained import select_free, select_kept, solve_free

METHODS = [("iou", None), ("greedy", None), ("hungarian", None), ("hungarian", "triplets")]
every_method = pytest.mark.parametrize(("method", "solver"), METHODS)


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    """Simulated movie on disk: cells divide, some masks are missing and some cells are in pieces."""
    folder = tmp_path_factory.mktemp("movie")
    made = gnntrack.simulate(folder / "movie", frames=12, cells=14, shape=(200, 200), seed=4)
    masks = np.stack([np.asarray(frame) for frame in made.masks]).astype(np.uint16)
    labels = np.unique(masks[5])[1:]
    masks[5][masks[5] == labels[0]] = 0  # a gap
    masks[8][masks[8] == np.unique(masks[8])[2]] = 0
    images = np.stack([np.asarray(frame) for frame in made.images])
    np.save(folder / "images.npy", images)
    np.save(folder / "masks.npy", masks)
    return folder


def track(movie, out, **options):
    gnntrack.track(movie / "images.npy", movie / "masks.npy", out=out, pictures=False, **options)
    return out


def links_of(folder):
    """Return the links of a result in labels of the input, without drawn masks, and its divisions as sets."""
    lineage = load_result(folder)
    past = list_own_links(lineage).past
    label = lineage.origins.input_label
    cell = list(zip(lineage.cells.frame.tolist(), label.tolist(), strict=True))
    return {(cell[p], cell[t]) for t, p in enumerate(past.tolist()) if p >= 0}


def own_cells(folder):
    """Return cells of a result as (frame, label) of the result -> (frame, label) of the input."""
    lineage = load_result(folder)
    frame, own = lineage.cells.frame.tolist(), lineage.origins.input_label.tolist()
    label = lineage.cells.label.tolist()
    return {(t, mine): (t, given) for t, mine, given in zip(frame, label, own, strict=True) if given}


def pick_edits(folder):
    """Return an edit of each kind, far from each other, in labels of the result."""
    lineage = load_result(folder)
    tracks = [track for track in lineage if len(track.frames) > 9 and track.start == 0]
    first, second, third, fourth, fifth = tracks[:5]

    def cell(track, frame):
        return (frame, int(track.labels[track.frames.tolist().index(frame)]))

    edits = [
        Edit("cut", (cell(first, 2), cell(first, 3))),
        Edit("join", (cell(second, 6), cell(third, 7))),
        Edit("confirm", (cell(fourth, 1), cell(fourth, 2))),
        Edit("spurious", (cell(fifth, 4),)),
    ]
    if lineage.divisions:
        frame, parent, _ = lineage.divisions[0]
        edits.append(Edit("undivide", ((frame, int(lineage[parent].labels[-1])),)))
    return edits


def holds(edit, links, cells):
    """Return whether links of a result keep an edit in labels of the input."""
    after = {target for source, target in links if source == edit.cells[0]}
    if edit.kind == "cut":
        return edit.cells[1] not in after
    if edit.kind in ("join", "divide"):
        return after == set(edit.cells[1:])
    return len(after) <= 1 if edit.kind == "undivide" else edit.cells[0] not in cells


# --------------------------------------------------------------------------- constraints and solvers


def random_constraints(graph, seed):
    """Return decisions that do not contradict each other, also on links that are no candidates."""
    random = np.random.default_rng(seed)
    checker = EditChecker(graph.cells)
    n, frame, label = len(graph.cells), graph.cells.frame, graph.cells.label
    for _ in range(5 if n > 2 else 0):
        kind = str(random.choice(["cut", "join", "divide", "undivide", "spurious"]))
        rows = random.permutation(n)[: {"divide": 3, "cut": 2, "join": 2}.get(kind, 1)]
        rows = rows[np.argsort(frame[rows], kind="stable")]
        try:
            checker.add(Edit(kind, tuple((int(frame[row]), int(label[row])) for row in rows)), "edit")
        except RefusedEditError:
            continue
    return checker.make_constraints()


@every_solver
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 9999))
def test_every_solver_keeps_the_decisions(solver, seed):
    world = random_world(seed, cells=5, frames=4)
    fixed = random_constraints(world.graph, seed)
    keep, reduced = fixed.remove_cells(len(world.graph.cells))
    graph, scores = select_kept(world.graph, world.scores, keep)
    free = select_free(graph, scores, reduced)
    _, lineage = solve_free(solver, free, reduced, settings=SolverSettings())
    links = set(zip(lineage.source.tolist(), lineage.target.tolist(), strict=True))
    assert set(map(tuple, reduced.linked.tolist())) <= links
    assert not set(map(tuple, reduced.cut.tolist())) & links
    for row in reduced.single.tolist():
        assert sum(source == row for source, _ in links) <= 1
    for row in reduced.linked[:, 0].tolist():  # what follows is decided completely
        assert sum(source == row for source, _ in links) == (reduced.linked[:, 0] == row).sum()
    assert len(lineage.cells) == len(world.graph.cells) - len(fixed.removed)
    assert (np.bincount(lineage.target, minlength=1) <= 1).all()


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 9999))
def test_changes_of_a_solution_keep_the_decisions(seed):
    """Whatever changes are proposed, no cell gets more children than before, or than all changes together give it."""
    world = random_world(seed, cells=5, frames=4)
    fixed = random_constraints(world.graph, seed)
    _, fixed = fixed.remove_cells(len(world.graph.cells))
    n, frame = len(world.graph.cells), world.graph.cells.frame
    random = np.random.default_rng(seed)
    past, wanted = np.full((2, n), -1)
    for each in (past, wanted):
        for row in range(n):
            earlier = np.flatnonzero(frame < frame[row])
            if len(earlier) and random.uniform() < 0.7:
                each[row] = random.choice(earlier)
    past[fixed.linked[:, 1]] = fixed.linked[:, 0]
    changes = {row: int(wanted[row]) for row in range(n) if wanted[row] != past[row] and random.uniform() < 0.5}
    kept = fixed.select_changes(past, changes)
    assert kept.items() <= changes.items()
    for row, new in kept.items():
        assert row not in fixed.linked[:, 1]
        assert new not in fixed.linked[:, 0]
        assert [new, row] not in fixed.cut.tolist()
    everything, some = past.copy(), past.copy()
    everything[list(changes)] = list(changes.values())
    some[list(kept)] = list(kept.values())
    counts = [np.bincount(each[each >= 0], minlength=n) for each in (past, everything, some)]
    assert ((counts[2] == counts[0]) | (counts[2] == counts[1])).all()


@pytest.mark.parametrize(
    ("edits", "reason"),
    [
        ([Edit("cut", ((0, 1), (1, 1))), Edit("join", ((0, 1), (1, 1)))], "edit 1 cuts the link"),
        ([Edit("join", ((0, 1), (1, 1))), Edit("cut", ((0, 1), (1, 1)))], "edit 1 links cell 1 of frame 0"),
        ([Edit("join", ((0, 1), (1, 1))), Edit("join", ((0, 1), (1, 2)))], "edit 1 links cell 1 of frame 0 to cell 1"),
        ([Edit("join", ((0, 1), (1, 1))), Edit("join", ((0, 2), (1, 1)))], "edit 1 links cell 1 of frame 0 to cell 1"),
        ([Edit("divide", ((0, 1), (1, 1), (1, 2))), Edit("undivide", ((0, 1),))], "edit 1 divides cell 1 of frame 0"),
        ([Edit("undivide", ((0, 1),)), Edit("divide", ((0, 1), (1, 1), (1, 2)))], "does not divide"),
        ([Edit("spurious", ((1, 1),)), Edit("join", ((0, 1), (1, 1)))], "marks cell 1 of frame 1 as spurious"),
        ([Edit("join", ((0, 1), (1, 1))), Edit("spurious", ((1, 1),))], "edit 1 links cell 1 of frame 1"),
        ([Edit("cut", ((0, 1), (0, 2)))], "cell 2 of frame 0 is not later than cell 1 of frame 0"),
        ([Edit("cut", ((0, 1), (1, 9)))], "there is no cell 9 of frame 1"),
    ],
)
def test_contradictions_are_refused_with_the_reason(edits, reason):
    masks = np.zeros((2, 40, 40), np.uint8)
    masks[:, 5:11, 5:11], masks[:, 25:31, 20:26] = 1, 2
    checker = EditChecker(gnntrack.build_graph(masks=masks).cells)
    for number, edit in enumerate(edits[:-1], start=1):
        checker.add(edit, f"edit {number}")
    before = checker.make_constraints()
    with pytest.raises(RefusedEditError, match=reason):
        checker.add(edits[-1], "the last edit")
    after = checker.make_constraints()  # unchanged
    for name in ("linked", "cut", "single", "removed"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))


def test_a_division_may_include_an_earlier_link():
    masks = np.zeros((2, 40, 40), np.uint8)
    masks[:, 5:11, 5:11], masks[:, 25:31, 20:26] = 1, 2
    checker = EditChecker(gnntrack.build_graph(masks=masks).cells)
    checker.add(Edit("join", ((0, 1), (1, 1))), "edit 1")
    checker.add(Edit("divide", ((0, 1), (1, 1), (1, 2))), "edit 2")
    assert checker.make_constraints().linked.tolist() == [[0, 2], [0, 3]]
    assert not Constraints()


# --------------------------------------------------------------------------- the file


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "cannot be read as edits"),
        ("[]", "no list of edits"),
        ('{"version": 2, "edits": []}', "version 2"),
        ('{"version": 1, "edits": [], "labels": "mine"}', "expected 'result' or 'input'"),
        ('{"version": 1, "edits": [{"kind": "glue", "cells": []}]}', "unknown kind 'glue'; there are: cut, join"),
        ('{"version": 1, "edits": [{"kind": "cut", "cells": [[1, 2]]}]}', "a cut has 2 cells, and 1 cell is given"),
        ('{"version": 1, "edits": [{"kind": "spurious", "cells": [[1, 2.5]]}]}', "expected .*whole numbers"),
        ('{"version": 1, "edits": [3]}', "edit 1: unknown kind None"),
        ('{"version": 1, "edits": [{"kind": ["cut"], "cells": []}]}', r"edit 1: unknown kind \['cut'\]"),
        (
            '{"version": 1, "edits": [{"kind": "spurious", "cells": [[1, 1' + "0" * 30 + "]]}]}",
            "expected .*whole numbers",
        ),
        (
            '{"version": 1, "edits": [{"kind": "divide", "cells": [[1, 2], [2, 3], [2, 3]]}]}',
            "edit 1: a daughter is named twice",
        ),
        ("[" * 100_000, "cannot be read as edits"),
    ],
)
def test_files_that_are_not_edits(tmp_path, content, message):
    (tmp_path / "edits.json").write_text(content)
    with pytest.raises(FormatError, match=message):
        read_edits(tmp_path / "edits.json")


def test_cells_of_a_link_are_put_in_the_order_of_time():
    edits = EditList.from_dict({"version": 1, "edits": [{"kind": "cut", "cells": [[5, 1], [4, 2]], "note": "x"}]})
    assert edits.edits == (Edit("cut", ((4, 2), (5, 1))),)


# --------------------------------------------------------------------------- the recipe


@every_method
def test_without_edits_the_result_is_the_same(movie, tmp_path, method, solver):
    first = track(movie, tmp_path / "01_RES", method=method, solver=solver)
    corrected = apply_edits(first, EditList(), out=tmp_path / "02_RES")
    assert corrected.changes == ()
    for name in ("res_track.txt", "mask005.tif", "gnntrack/cells.csv", "gnntrack/review.csv"):
        assert (first / name).read_bytes() == (tmp_path / "02_RES" / name).read_bytes()


@every_method
def test_edits_hold_in_the_result(movie, tmp_path, method, solver):
    first = track(movie, tmp_path / "01_RES", method=method, solver=solver)
    edits = pick_edits(first)
    content = EditList(tuple(edits)).to_dict()
    corrected = apply_edits(first, content, out=tmp_path / "02_RES")
    assert corrected.refused == ()
    links, cells = links_of(tmp_path / "02_RES"), set(own_cells(tmp_path / "02_RES").values())
    before = load_result(first)
    for edit in edits:
        assert holds(translate_edit(edit, before), links, cells), edit
    # all other links are as before, or named as changed
    changed = {(change.source, change.target) for change in corrected.changes}
    named = {(edit.cells[0], cell) for edit in corrected.applied for cell in edit.cells[1:]}
    gone = {edit.cells[0] for edit in corrected.applied if edit.kind == "spurious"}
    rest = {link for link in links_of(first) ^ links if gone.isdisjoint(link)} - named
    assert rest == changed
    assert not run("validate", tmp_path / "02_RES").exception


def test_a_fixed_link_is_certain_and_no_longer_in_the_review_list(movie, tmp_path):
    first = track(movie, tmp_path / "01_RES")
    edits = pick_edits(first)
    corrected = apply_edits(first, EditList(tuple(edits)))
    lineage = corrected.lineage
    joined = next(edit for edit in corrected.applied if edit.kind == "join")
    rows = [int(lineage.cells.row_of(*cell)) for cell in joined.cells]
    link = np.flatnonzero((lineage.source == rows[0]) & (lineage.target == rows[1]))
    assert lineage.confidence[link].tolist() == [1.0]


def test_a_division_is_made(movie, tmp_path):
    first = track(movie, tmp_path / "01_RES", method="iou")  # without divisions
    lineage = load_result(first)
    parent = next(track for track in lineage if track.start == 0 and track.end > 6 and not track.daughters)
    others = [track for track in lineage if track.start <= 4 <= track.end and track.id != parent.id]
    near = min(others, key=lambda track: np.linalg.norm(track.positions[4 - track.start] - parent.positions[4]))
    cells = ((3, parent.id), (4, parent.id), (4, near.id))
    corrected = apply_edits(first, EditList((Edit("divide", cells),)), out=tmp_path / "02_RES")
    assert len(corrected.lineage.divisions) == 1
    links = links_of(tmp_path / "02_RES")
    assert all(holds(edit, links, set()) for edit in corrected.applied)


def test_earlier_edits_are_kept_and_newer_ones_prevail(movie, tmp_path):
    first = track(movie, tmp_path / "01_RES")
    cut, _, confirm, spurious, *_ = pick_edits(first)
    apply_edits(first, EditList((cut, confirm, spurious)), out=tmp_path / "02_RES")
    label = {given: mine for mine, given in own_cells(tmp_path / "02_RES").items()}
    before = load_result(first)
    opposed = Edit("cut", tuple(label[cell] for cell in translate_edit(confirm, before).cells))
    corrected = apply_edits(tmp_path / "02_RES", EditList((opposed,)), out=tmp_path / "03_RES")
    assert [edit.kind for edit in corrected.applied] == ["cut", "spurious", "cut"]
    assert "it was made earlier, and now edit 1 cuts the link" in corrected.refused[0][1]
    links, cells = links_of(tmp_path / "03_RES"), set(own_cells(tmp_path / "03_RES").values())
    for edit in (cut, spurious):
        assert holds(translate_edit(edit, before), links, cells)
    assert json.loads((tmp_path / "03_RES" / "gnntrack" / "edits.json").read_text())["labels"] == "input"


def test_an_edit_of_a_drawn_mask_is_one_of_the_gap(movie, tmp_path):
    first = track(movie, tmp_path / "01_RES")
    lineage = load_result(first)
    filled = np.flatnonzero(lineage.origins.kind == 1)
    assert len(filled)
    frame, label = int(lineage.cells.frame[filled[0]]), int(lineage.cells.label[filled[0]])
    with pytest.raises(RefusedEditError, match="was drawn in a gap; cut the link over the gap"):
        translate_edit(Edit("spurious", ((frame, label),)), lineage)
    corrected = apply_edits(first, EditList((Edit("cut", ((frame - 1, label), (frame, label))),)))
    source, target = corrected.applied[0].cells
    assert (source[0], target[0]) == (frame - 1, frame + 1)
    rows = [int(corrected.lineage.cells.row_of(*cell)) for cell in (source, target)]
    assert rows not in np.stack([corrected.lineage.source, corrected.lineage.target], axis=1).tolist()


def test_a_spurious_cell_is_counted(movie, tmp_path):
    first = track(movie, tmp_path / "01_RES")
    spurious = next(edit for edit in pick_edits(first) if edit.kind == "spurious")
    corrected = apply_edits(first, EditList((spurious,)), out=tmp_path / "02_RES")
    counts = json.loads((tmp_path / "02_RES" / "gnntrack" / "summary.json").read_text())["counts"]
    masks = np.load(movie / "masks.npy")
    assert counts["cells_removed"] == 1
    assert counts["cells_in_input"] == sum(len(np.unique(mask)) - 1 for mask in masks)
    again = gnntrack.export(corrected.lineage, tmp_path / "03_RES", masks=masks)  # the masks still hold the cell
    assert len(again.cells) == len(corrected.lineage.cells)


def test_edits_may_name_labels_of_the_input(movie, tmp_path):
    """Messages name cells by the labels of the edits."""
    first = track(movie, tmp_path / "01_RES")
    before = load_result(first)
    confirm = next(edit for edit in pick_edits(first) if edit.kind == "confirm")
    own = own_cells(first)
    cut = Edit("cut", confirm.cells)
    as_input = [edit._replace(cells=tuple(own[cell] for cell in edit.cells)) for edit in (confirm, cut)]
    assert as_input[0].cells != confirm.cells
    for edits, labels in (([confirm, cut], "result"), (as_input, "input")):
        corrected = apply_edits(first, EditList(tuple(edits), labels=labels))
        assert corrected.applied == (translate_edit(confirm, before),)
        (frame, label), _ = edits[0].cells
        assert f"edit 1 links cell {label} of frame {frame}" in corrected.refused[0][1]


def test_settings_of_the_result_are_used(movie, tmp_path):
    first = track(movie, tmp_path / "01_RES", max_gap=1, divisions=False)
    summary = json.loads((first / "gnntrack" / "summary.json").read_text())
    assert summary["settings_given"] == {"graph": ["max_gap"], "output": ["pictures"], "solver": ["divisions"]}
    apply_edits(first, EditList(), out=tmp_path / "02_RES")
    again = json.loads((tmp_path / "02_RES" / "gnntrack" / "summary.json").read_text())
    assert again["settings"] == summary["settings"]
    assert again["settings_given"] == summary["settings_given"]


def test_images_that_were_segmented_are_segmented_again(movie, tmp_path):
    out = tmp_path / "01_RES"
    gnntrack.track(movie / "images.npy", out=out, segmenter="threshold", segmenter_options={"diameter": 15})
    assert apply_edits(out, EditList()).changes == ()


def test_what_is_not_a_result(movie, tmp_path):
    with pytest.raises(FormatError, match="no record of the run in it; give a folder that 'gnntrack track'"):
        apply_edits(tmp_path, EditList())


def test_moved_changed_and_other_input(movie, tmp_path):
    shutil.copy(movie / "masks.npy", tmp_path / "masks.npy")
    out = tmp_path / "01_RES"
    gnntrack.track(masks=tmp_path / "masks.npy", out=out)
    (tmp_path / "masks.npy").rename(tmp_path / "moved.npy")
    with pytest.raises(InputError, match="which is not there; give masks"):
        apply_edits(out, EditList())
    assert apply_edits(out, EditList(), masks=tmp_path / "moved.npy").changes == ()
    other = np.load(movie / "masks.npy")
    other[3] = 0
    with pytest.raises(InputError, match="not those that the result was made from"):
        apply_edits(out, EditList(), masks=other)
    with pytest.raises(InputError, match="made for another result"):
        apply_edits(out, EditList(fingerprint="0123"), masks=tmp_path / "moved.npy")
    with pytest.raises(InputError, match="no edit can be applied; edit 1: there is no cell 9999"):
        apply_edits(out, EditList((Edit("spurious", ((0, 9999),)),)), masks=tmp_path / "moved.npy")
    table = out / "res_track.txt"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]))
    with pytest.raises(InputError):
        apply_edits(out, EditList(), masks=tmp_path / "moved.npy")


def test_relative_paths_are_found_from_the_result(movie, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    shutil.copy(movie / "masks.npy", tmp_path / "data" / "masks.npy")
    monkeypatch.chdir(tmp_path)
    gnntrack.track(masks="data/masks.npy", out="data/01_RES", pictures=False)
    monkeypatch.chdir("/")
    assert apply_edits(tmp_path / "data" / "01_RES", EditList()).changes == ()


def test_the_command(movie, tmp_path):
    first = track(movie, tmp_path / "01_RES")
    wrong = tuple(Edit("spurious", ((0, label),)) for label in range(9000, 9030))
    edits = (*pick_edits(first), *wrong)
    (tmp_path / "edits.json").write_text(json.dumps(EditList(edits).to_dict()))
    printed = run("apply-edits", first, tmp_path / "edits.json", "-o", tmp_path / "02_RES").stdout
    assert f"{len(edits) - 30} kept, 30 refused" in printed
    assert "spurious (0, 9009): there is no cell 9009 of frame 0" in printed
    assert "20 more edits refused" in printed
    (tmp_path / "wrong.json").write_text(json.dumps(EditList(wrong).to_dict()))
    with pytest.raises(InputError, match=r"wrong\.json: no edit can be applied; edit 1: there is no cell 9000"):
        apply_edits(first, tmp_path / "wrong.json")
    assert "changed" in printed
    run("apply-edits", first, tmp_path / "edits.json", "-o", tmp_path / "02_RES", code=2)
    run("apply-edits", first, tmp_path / "edits.json", "-o", tmp_path / "02_RES", "--overwrite")
    assert Path(tmp_path, "02_RES", "gnntrack", "edits.json").exists()
