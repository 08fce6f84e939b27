"""Cells are matched to markers, and the true links and divisions among the candidates are found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support import worlds
from support.worlds import draw_world

from gnntrack.gnn.inputs import Inputs
from gnntrack.io.frames import open_masks
from gnntrack.scores import score_links
from gnntrack.settings import ScoreSettings
from gnntrack.training.truth import GroundTruth, match_cells
from gnntrack.types import Tracks

# --- cells against markers -------------------------------------------------------------------------------------------


def match(masks, markers):
    """Return {(frame, label): track} of masks against markers, both (T, Y, X)."""
    cells, runs = worlds.measure_masks(np.asarray(masks))
    track = match_cells(cells, runs, open_masks(np.asarray(markers)))
    return dict(zip(zip(cells.frame.tolist(), cells.label.tolist(), strict=True), track.tolist(), strict=True))


def test_a_mask_is_the_markers_it_covers_more_than_half_of():
    marker, mask = np.zeros((2, 1, 4, 8), np.int64)
    marker[0, 1, :] = 5
    mask[0, :2, :4] = 70  # 4 of 8
    assert match(mask, marker) == {(0, 70): 0}
    mask[0, 1, 4] = 70  # 5 of 8
    assert match(mask, marker) == {(0, 70): 5}


def test_half_a_marker_each_is_nobodys():
    marker, mask = np.zeros((2, 1, 4, 8), np.int64)
    marker[0, 1, :] = 5
    mask[0, :, :4], mask[0, :, 4:] = 1, 2
    assert match(mask, marker) == {(0, 1): 0, (0, 2): 0}
    mask[0, :, 4] = 1
    assert match(mask, marker) == {(0, 1): 5, (0, 2): 0}


@pytest.mark.parametrize(("first", "second"), [(5, 9), (9, 5)])
def test_a_mask_over_two_markers_is_the_one_it_covers_most_of(first, second):
    marker, mask = np.zeros((2, 1, 6, 8), np.int64)
    marker[0, 1, :4] = first
    marker[0, 3, :3] = second
    mask[0, :5, :] = 1
    assert match(mask, marker) == {(0, 1): first}


def test_each_frame_has_its_own_markers():
    marker, mask = np.zeros((2, 3, 4, 8), np.int64)
    marker[0, 1, :4], marker[2, 1, :4] = 5, 6
    mask[:, 1, :] = 3
    assert match(mask, marker) == {(0, 3): 5, (1, 3): 0, (2, 3): 6}


def test_cells_in_3d():
    masks = np.zeros((1, 3, 4, 5), np.int64)
    masks[0, 1, 1:3, 1:4] = 4
    masks[0, 2, 1:3, 1:4] = 2
    markers = np.where(masks == 4, 11, 0)
    assert match(masks, markers) == {(0, 4): 11, (0, 2): 0}


def test_an_empty_movie():
    assert match(np.zeros((2, 4, 4), np.int64), np.ones((2, 4, 4), np.int64)) == {}


def test_a_drawn_world_is_matched_to_itself():
    world = worlds.parent_divides()
    cells, runs = worlds.measure_masks(world.masks)
    lineage, _ = worlds.build_known_lineage(world)
    markers = np.zeros(world.masks.shape, np.int64)
    for row in range(len(cells)):
        frame = cells.frame[row]
        markers[frame][world.masks[frame] == cells.label[row]] = lineage.track[row]
    np.testing.assert_array_equal(match_cells(cells, runs, open_masks(markers)), lineage.track)


# --- links against the lineage ---------------------------------------------------------------------------------------


class TruthByName:
    """Ground truth of a world by names: cells are ``a2``, links ``a1-a2``, divisions ``a1-b2-c2``."""

    def __init__(self, disks, tracks, *, table=None, longest=2, **settings):
        world = draw_world(disks)
        graph = worlds.find_candidates(world.masks, max_gap=2, max_distance=60.0, **settings)
        names = world.names(graph.cells)
        number = {cell: i + 1 for i, track in enumerate(tracks) for cell in track.partition(" <")[0].split()}
        own = [track.partition(" <") for track in tracks]
        frames = [[int(cell[1:]) for cell in cells.split()] for cells, _, _ in own]
        parents = [number[parent] if parent else 0 for _, _, parent in own]
        known = Tracks(
            np.arange(1, len(tracks) + 1), [min(each) for each in frames], [max(each) for each in frames], parents
        )
        inputs = Inputs.from_graph(graph, score_links(graph, settings=ScoreSettings()))
        track = np.array([number.get(name, 0) for name in names])
        truth = GroundTruth.from_tracks(inputs, track, table or known, longest=longest)
        ends = [f"{names[a]}-{names[b]}" for a, b in zip(inputs.source, inputs.target, strict=True)]
        self.candidates = set(ends)
        self.links = {ends[i] for i in np.flatnonzero(truth.link)}
        self.pairs = {
            "-".join([names[inputs.source[a]], *sorted((names[inputs.target[a]], names[inputs.target[b]]))])
            for a, b in inputs.pairs[truth.pair]
        }
        self.past_unknown = {name for name, known in zip(names, truth.parent_known, strict=True) if not known}
        self.future_unknown = {name for name, known in zip(names, truth.child_known, strict=True) if not known}
        self.spurious = {name for name, found in zip(names, truth.spurious, strict=True) if found}

    def all_known(self):
        return not self.past_unknown and not self.future_unknown


MOTHER = {"a0": (64, 60, 9), "a1": (64, 61, 9)}
DAUGHTERS = {"b2": (64, 53, 6), "c2": (64, 69, 6), "b3": (64, 51, 6), "c3": (64, 71, 6)}
FAMILY = ["a0 a1", "b2 b3 <a1", "c2 c3 <a1"]


def test_a_division_is_a_pair_and_not_two_links():
    told = TruthByName(MOTHER | DAUGHTERS, FAMILY)
    assert told.pairs == {"a1-b2-c2"}
    assert told.links == {"a0-a1", "b2-b3", "c2-c3"}
    assert told.all_known()
    assert not told.spurious


def test_a_division_whose_sister_is_missing_is_a_link():
    daughters = {name: disk for name, disk in DAUGHTERS.items() if name[0] == "b"}
    told = TruthByName(MOTHER | daughters, FAMILY[:2])
    assert not told.pairs
    assert told.links == {"a0-a1", "a1-b2", "b2-b3"}
    assert told.all_known()


def test_a_division_whose_sister_comes_late_is_two_links():
    """A pair has two daughters in one frame, so none is expected here."""
    daughters = {name: disk for name, disk in DAUGHTERS.items() if name != "c2"}
    told = TruthByName(MOTHER | daughters, ["a0 a1", "b2 b3 <a1", "c3 <a1"])
    assert not told.pairs
    assert told.links == {"a0-a1", "a1-b2", "a1-c3", "b2-b3"}


def test_a_mother_that_ends_before_a_gap():
    daughters = {name: disk for name, disk in DAUGHTERS.items() if name[1] == "3"}
    told = TruthByName(MOTHER | daughters, ["a0 a1", "b3 <a1", "c3 <a1"])
    assert told.links == {"a0-a1", "a1-b3", "a1-c3"}
    assert told.all_known()


def test_a_mother_whose_last_mask_is_missing():
    told = TruthByName({"a0": MOTHER["a0"]} | DAUGHTERS, ["a0", "b2 b3 <a0", "c2 c3 <a0"])
    assert told.links == {"a0-b2", "a0-c2", "b2-b3", "c2-c3"}


def test_a_mother_without_any_mask():
    table = Tracks([1, 2, 3], [2, 2, 0], [3, 3, 1], [3, 3, 0])
    told = TruthByName(DAUGHTERS, ["b2 b3", "c2 c3"], table=table)
    assert told.links == {"b2-b3", "c2-c3"}
    assert told.all_known()  # that they have no past among the cells is known


def test_a_gap():
    told = TruthByName({f"a{t}": (64, 60 + t, 8) for t in (0, 2, 3)}, ["a0 a2 a3"])
    assert told.links == {"a0-a2", "a2-a3"}


def test_a_gap_that_is_longer_than_candidates_is_an_end_and_a_start():
    told = TruthByName({f"a{t}": (64, 60 + t, 8) for t in (0, 3, 4)}, ["a0 a3 a4"])
    assert told.links == {"a3-a4"}
    assert told.all_known()


def test_a_true_link_that_is_no_candidate_is_known_to_be_missing():
    """The cells at the ends of a movie do not count on that side of time."""
    crowd, tracks = worlds.draw_lattice()
    told = TruthByName(crowd | {"a0": (64, 50, 6), "a1": (64, 64, 6), "a2": (20, 126, 5)}, [*tracks, "a0 a1 a2"])
    assert "a1-a2" not in told.candidates
    assert "a0-a1" in told.links
    assert told.past_unknown == {"a2"}
    assert told.future_unknown == {"a1"}


def test_a_spurious_cell_has_neither_past_nor_future():
    told = TruthByName(MOTHER | {"x0": (40, 60, 7), "x1": (40, 60, 7)}, ["a0 a1"])
    assert told.spurious == {"x0", "x1"}
    assert "x0-x1" in told.candidates
    assert told.links == {"a0-a1"}
    assert told.all_known()


def test_no_cell_is_anyones():
    told = TruthByName(MOTHER, [], table=Tracks([], [], [], []))
    assert not told.links
    assert told.spurious == {"a0", "a1"}


def test_rows_of_the_truth_are_those_of_a_window():
    world = worlds.parent_divides()
    graph = worlds.find_candidates(world.masks)
    lineage, _ = worlds.build_known_lineage(world)
    inputs = Inputs.from_graph(graph, score_links(graph, settings=ScoreSettings()))
    truth = GroundTruth.from_tracks(inputs, lineage.track, lineage.tracks, longest=2)
    assert truth.pair.sum() == 1
    known = np.random.default_rng(0).random((3, len(lineage.track))) < 0.5
    truth = replace(truth, parent_known=known[0], child_known=known[1], spurious=known[2])
    for start, stop in ((0, 6), (1, 4), (2, 5), (3, 3), (-2, 9)):
        window, cells, links, pairs = inputs.cut_window(start, stop)
        part = truth.select(cells, links, pairs)
        np.testing.assert_array_equal(inputs.frame[cells], window.frame)
        np.testing.assert_array_equal(cells[window.source], inputs.source[links])
        np.testing.assert_array_equal(cells[window.target], inputs.target[links])
        np.testing.assert_array_equal(links[window.pairs], inputs.pairs[pairs])
        np.testing.assert_array_equal(inputs.link[links], window.link)
        np.testing.assert_array_equal(part.link, truth.link[links])
        for name in ("parent_known", "child_known", "spurious"):
            np.testing.assert_array_equal(getattr(part, name), getattr(truth, name)[cells])
        inside = (inputs.frame[inputs.source] >= start) & (inputs.frame[inputs.target] < stop)
        assert len(links) == inside.sum()
        assert len(pairs) == inside[inputs.pairs].all(axis=1).sum()
        assert part.pair.any() == (start <= 2 and stop >= 4)
