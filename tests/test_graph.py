"""Candidates: against numpy on the pixels, under every change that must not matter, and on the real movies."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from support import worlds

import gnntrack
from gnntrack.graph.candidates import OVERLAP_FEATURES, build_candidates
from gnntrack.graph.divisions import DivisionCandidates
from gnntrack.graph.motion import Motion, estimate_motion
from gnntrack.io.ctc_table import read_track_table
from gnntrack.masks.overlaps import count_shared_pixels
from gnntrack.settings import GraphSettings, MotionSettings
from gnntrack.types import CellGraph, Cells

SEEDS = st.integers(0, 999)


def move_mask(mask, label, by):
    """Return the pixels of a label moved by whole pixels, cut off at the frame's borders."""
    pixels = np.argwhere(mask == label) + by
    inside = ((pixels >= 0) & (pixels < mask.shape)).all(axis=1)
    out = np.zeros(mask.shape, bool)
    out[tuple(pixels[inside].T)] = True
    return out


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, ndim=st.integers(2, 3), far=st.integers(0, 12), gap=st.integers(1, 3))
def test_overlaps_are_those_of_the_pixels(seed, ndim, far, gap):
    masks = worlds.draw_blobs((4, 14, 17)[-ndim:], 6, frames=3, seed=seed)
    cells, runs = worlds.measure_masks(masks)
    shift = np.random.default_rng(seed).integers(-far, far + 1, (len(cells), ndim))
    expected = []
    for frame in range(len(masks) - gap):
        rows, others = cells.rows(frame), cells.rows(frame + gap)
        for row in range(rows.start, rows.stop):
            here = move_mask(masks[frame], cells.label[row], shift[row])
            for other in range(others.start, others.stop):
                shared = int((here & (masks[frame + gap] == cells.label[other])).sum())
                expected += [[row, other, shared]] if shared else []
    found = count_shared_pixels(runs, gap, shift)
    assert all(column.dtype == np.int64 for column in found)
    assert np.stack(found, axis=1).tolist() == expected


def test_overlaps_of_many_small_pieces():
    """Runs of one frame that each meet many of the other: a comb under a bar."""
    masks = np.zeros((2, 1, 400), np.int64)
    masks[0] = 7
    masks[1, 0, ::2] = np.arange(1, 201)
    _, runs = worlds.measure_masks(masks)
    source, target, pixels = count_shared_pixels(runs, 1)
    assert source.tolist() == [0] * 200
    assert target.tolist() == list(range(1, 201))
    assert (pixels == 1).all()


def test_overlaps_where_many_cells_are_moved_onto_the_same_place():
    """Ten bars, all moved onto one comb: more meetings than there are runs."""
    masks = np.zeros((2, 10, 400), np.int64)
    masks[0] = np.arange(1, 11)[:, None]
    masks[1, 0, ::2] = np.arange(1, 201)
    cells, runs = worlds.measure_masks(masks)
    shift = np.zeros((len(cells), 2), np.int64)
    shift[:10, 0] = -np.arange(10)
    source, target, pixels = count_shared_pixels(runs, 1, shift)
    assert source.tolist() == np.repeat(np.arange(10), 200).tolist()
    assert target.tolist() == list(range(10, 210)) * 10
    assert (pixels == 1).all()


@pytest.mark.parametrize("ndim", [2, 3])
def test_overlap_features_are_those_of_the_pixels(ndim):
    spacing = (2.0, 0.5, 0.5)[-ndim:]
    masks = worlds.draw_blobs((6, 30, 40)[-ndim:], 9, seed=2)
    cells, runs = worlds.measure_masks(masks, spacing)
    motion = estimate_motion(cells, settings=MotionSettings())
    graph = build_candidates(cells, runs, motion, settings=GraphSettings())
    shift = {gap: np.rint(motion.extrapolate(cells, gap) / spacing).astype(int) for gap in (1, 2)}
    for row in range(0, len(graph), 5):
        a, b = graph.source[row], graph.target[row]
        there = masks[cells.frame[b]] == cells.label[b]
        here = masks[cells.frame[a]] == cells.label[a]
        moved = move_mask(masks[cells.frame[a]], cells.label[a], shift[graph.gap[row]][a])
        expected = []
        for mask in (here, moved):
            shared = (mask & there).sum()
            expected += [shared / (here.sum() + there.sum() - shared), shared / here.sum(), shared / there.sum()]
        found = [graph.feature(name)[row] for name in OVERLAP_FEATURES]
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_plain_features_match_their_definitions():
    masks = worlds.draw_blobs((50, 60), 10, seed=4)
    cells, runs = worlds.measure_masks(masks, (0.5, 0.5))
    motion = estimate_motion(cells, settings=MotionSettings())
    graph = build_candidates(cells, runs, motion, settings=GraphSettings())
    step = cells.position[graph.target] - cells.position[graph.source]
    distance = np.linalg.norm(step, axis=1)
    radius = cells.feature("diameter") / 2
    radius = np.clip(radius, np.median(radius) / 2, np.median(radius) * 2)
    mean = (radius[graph.source] + radius[graph.target]) / 2
    size = cells.feature("size").astype(float)
    shift = np.where(
        (graph.gap == 1)[:, None],
        motion.extrapolate(cells, 1)[graph.source],
        motion.extrapolate(cells, 2)[graph.source],
    )
    field = motion.neighbours[graph.source] * graph.gap[:, None]
    expected = {
        "gap": cells.frame[graph.target] - cells.frame[graph.source],
        "distance": distance,
        "distance_radii": distance / mean,
        "residual": np.linalg.norm(step - shift, axis=1) / mean,
        "neighbour_residual": np.linalg.norm(step - field, axis=1) / mean,
        "size_ratio": np.log(size[graph.target] / size[graph.source]),
    }
    for name, column in expected.items():
        np.testing.assert_allclose(graph.feature(name), column, rtol=1e-4, atol=1e-5, err_msg=name)


def test_ranks_and_margins_are_those_among_the_links_of_a_cell():
    graph = worlds.find_candidates(worlds.draw_blobs((60, 60), 14, seed=1, step=9.0))
    residual = graph.feature("residual")
    for name, node in (("source", graph.source), ("target", graph.target)):
        for row in range(len(graph)):
            rivals = (node == node[row]) & (graph.gap == graph.gap[row])
            others = residual[rivals & (np.arange(len(graph)) != row)]
            assert graph.feature(f"rank_{name}")[row] == (others < residual[row]).sum()
            margin = np.clip(others.min(initial=np.inf) - residual[row], -10, 10)
            np.testing.assert_allclose(graph.feature(f"margin_{name}")[row], margin, atol=1e-6)
    best = (graph.feature("rank_source") == 0) & (graph.feature("rank_target") == 0)
    np.testing.assert_array_equal(graph.feature("mutual_nearest"), best)
    assert best.sum() < (graph.feature("rank_source") == 0).sum()


def test_masks_that_overlap_are_candidates_at_any_distance():
    """A long cell swings around: its centre is beyond the gate, its mask still touches the old place::

    frame 0  ==========o..........     frame 1  .........o==========
    """
    masks = np.zeros((2, 20, 100), np.int64)
    masks[0, 5, 2:52], masks[1, 5, 50:98] = 1, 2
    masks[:, 15, 2:5] = 3
    graph = worlds.find_candidates(masks, max_distance=3.0, flow="none", drift=False)
    ends = np.stack([graph.cells.label[graph.source], graph.cells.label[graph.target]], axis=1)
    assert [1, 2] in ends.tolist()
    assert (
        worlds.find_candidates(masks, max_distance=3.0, flow="none", drift=False, runs=False).feature("gap").size == 1
    )


@pytest.mark.parametrize("gate", [5.0, 12.0, 40.0])
def test_the_gate_and_the_number_of_neighbours_bound_the_candidates(gate):
    masks = worlds.draw_blobs((80, 80), 40, frames=4, seed=3)
    graph = worlds.find_candidates(masks, max_distance=gate, max_neighbours=3, max_gap=3, runs=False)
    cells = graph.cells
    assert graph.provenance.gate == gate
    motion = estimate_motion(cells, settings=MotionSettings())
    for gap in (1, 2):  # longer gaps: test_long_gaps.py
        here = graph.gap == gap
        step = (cells.position[graph.target] - cells.position[graph.source])[here]
        still = np.linalg.norm(step, axis=1)
        moved = np.linalg.norm(step - motion.extrapolate(cells, gap)[graph.source[here]], axis=1)
        assert (np.minimum(still, moved) <= gate).all()
        assert here.any()
    assert {1, 2} <= set(graph.gap) <= {1, 2, 3}
    for gap, neighbours in ((1, 3), (2, 1)):  # over gaps half as many
        out = np.bincount(graph.source[graph.gap == gap], minlength=len(cells))[cells.frame + gap < 4]
        assert out.mean() <= neighbours + 1 + 1  # to that frame, back from it, and from where the cell is
        assert gate < 40 or out.min() >= neighbours


def test_the_nearest_cell_before_is_a_candidate_too():
    """With one neighbour, a0 has b1; and c1, a cell that is farther, has a0::

    frame 0    (a)              frame 1     (b)   (c)
    """
    disks = {"a0": (20.0, 20.0, 5.0), "b1": (20.0, 22.0, 5.0), "c1": (20.0, 36.0, 5.0)}
    world = worlds.draw_world(disks, shape=(40, 60), n_frames=2)
    graph = worlds.find_candidates(
        world.masks, max_neighbours=1, max_distance=20.0, flow="none", drift=False, runs=False
    )
    names = world.names(graph.cells)
    assert {f"{names[s]}-{names[t]}" for s, t in zip(graph.source, graph.target, strict=True)} == {"a0-b1", "a0-c1"}


def test_cells_near_where_a_cell_is_are_candidates_whatever_its_motion():
    """A prediction that is wrong by far does not lose the cell that stays."""
    world = worlds.draw_world({"a0": (20.0, 20.0, 5.0), "a1": (20.0, 21.0, 5.0)}, shape=(40, 90), n_frames=2)
    cells, _ = worlds.measure_masks(world.masks)
    shift = np.array([[0.0, 50.0], [0.0, 0.0]])
    motion = Motion(shift, np.zeros((2, 2)), shift, "cells")
    graph = build_candidates(cells, None, motion, settings=GraphSettings(max_distance=10.0))
    assert len(graph) == 1
    assert graph.feature("residual")[0] == pytest.approx(49 / graph.cells.feature("diameter").mean() * 2, rel=0.01)


@pytest.mark.parametrize("max_gap", [1, 2])
def test_all_cells_nearby_are_candidates(max_gap):
    """With neighbours without end, the candidates are the pairs within the gate."""
    masks = worlds.draw_blobs((60, 60), 12, frames=5, seed=8)
    gate = 15.0
    graph = worlds.find_candidates(
        masks, max_distance=gate, max_neighbours=99, max_gap=max_gap, flow="none", drift=False, runs=False
    )
    cells = graph.cells
    gap = cells.frame[None] - cells.frame[:, None]
    distance = np.linalg.norm(cells.position[None] - cells.position[:, None], axis=-1)
    expected = np.argwhere((gap > 0) & (gap <= max_gap) & (distance <= gate))
    np.testing.assert_array_equal(np.stack([graph.source, graph.target], axis=1), expected)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("frames", [1, 6])
def test_a_gap_longer_than_the_movie_is_cut_to_it(frames):
    masks = worlds.parent_divides().masks[:frames]
    longest = worlds.find_candidates(masks, max_gap=max(frames - 1, 1))
    graph = worlds.find_candidates(masks, max_gap=10**12)
    np.testing.assert_array_equal(graph.source, longest.source)
    np.testing.assert_array_equal(graph.features, longest.features)


def test_the_estimated_gate_lies_well_beyond_the_steps_of_cells():
    calm = worlds.find_candidates(worlds.parent_divides().masks)
    assert calm.provenance.gate_radii == pytest.approx(5, rel=0.05)
    assert calm.provenance.flow in ("cells", "none")
    names = worlds.parent_divides().names(calm.cells)
    links = {f"{names[s]}-{names[t]}" for s, t in zip(calm.source, calm.target, strict=True)}
    assert worlds.list_links(worlds.parent_divides().tracks) <= links


@pytest.mark.parametrize("world", [*worlds.DRAWN, worlds.split_for_a_frame])
def test_the_links_of_the_drawing_are_candidates(world):
    world = world()
    graph = worlds.find_candidates(world.masks)
    names = world.names(graph.cells)
    links = {f"{names[s]}-{names[t]}" for s, t in zip(graph.source, graph.target, strict=True)}
    assert worlds.list_links(world.tracks) <= links
    assert np.isfinite(graph.features).all()


def test_pairs_are_bounded_where_all_cells_lie_at_one_place():
    """The nearest cells before are the same for all, so that their links are as many as the cells."""
    n = 300
    frame = np.repeat([0, 1], n)
    names = ("size", "diameter", "eccentricity", "ellipsoid_fill")
    features = np.tile([12.0, 4.0, 0.0, 1.0], (2 * n, 1))
    label = np.tile(np.arange(1, n + 1), 2)
    cells = Cells(frame, label, np.full((2 * n, 2), 9.0), features, names, ("",) * 4, (1, 1), 2, (20, 20))
    motion = estimate_motion(cells, settings=MotionSettings())
    graph = build_candidates(cells, None, motion, settings=GraphSettings())
    assert np.bincount(graph.source).max() >= n
    pairs = DivisionCandidates.find(graph)
    assert np.bincount(graph.source[pairs.links[:, 0]]).max() == 32 * 31 // 2


@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize("shape", [(1, 9, 9), (3, 9, 9), (1, 2, 9, 9), (3, 2, 9, 9)])
def test_a_movie_without_cells_has_no_candidates(shape, runs):
    graph = worlds.find_candidates(np.zeros(shape, np.uint16), runs=runs)
    assert len(graph) == 0
    assert graph.provenance.gate == 0
    assert graph.has("iou") == runs


@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize("frames", [[0], [0, 1, 2], [1, 2, 4, 5]])
def test_the_columns_do_not_depend_on_the_cells(frames, runs):
    """A movie of one frame, empty frames or empty pairs of frames has the columns of any other."""
    masks = worlds.parent_divides().masks
    full = worlds.find_candidates(masks, runs=runs)
    emptied = np.where(np.isin(np.arange(len(masks)), frames)[:, None, None], 0, masks)
    for other in (emptied, masks[:1], emptied[:1]):
        graph = worlds.find_candidates(other, runs=runs)
        assert graph.feature_names == full.feature_names
        assert graph.cells.feature_names == full.cells.feature_names
    assert (set(full.feature_names) >= set(OVERLAP_FEATURES)) == runs


def test_progress_is_reported_for_each_gap():
    reports = []
    cells, runs = worlds.measure_masks(worlds.parent_divides().masks)
    motion = estimate_motion(cells, settings=MotionSettings())
    build_candidates(cells, runs, motion, settings=GraphSettings(), progress=lambda *news: reports.append(news))
    assert reports == [("linking", 1, 2), ("linking", 2, 2)]


# --------------------------------------------------------------------------- invariances


def sort_by_position(graph: CellGraph, position=None):
    """Return (ends, features) of the links in an order that depends on positions only."""
    cells = graph.cells
    place = np.round(cells.position if position is None else position, 6)
    order = np.lexsort((*place.T, cells.frame))
    rank = np.empty(len(cells), int)
    rank[order] = np.arange(len(cells))
    ends = np.stack([rank[graph.source], rank[graph.target]], axis=1)
    by = np.lexsort(ends.T[::-1])
    return ends[by], graph.features[by]


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_labels_change_no_candidate(seed):
    masks = worlds.draw_blobs((50, 70), 15, seed=seed)
    plain, other = (sort_by_position(worlds.find_candidates(m)) for m in (masks, worlds.relabel_masks(masks, seed + 1)))
    np.testing.assert_array_equal(plain[0], other[0])
    ranks = [worlds.find_candidates(masks).feature_names.index(f"rank_{end}") for end in ("source", "target")]
    np.testing.assert_allclose(np.delete(plain[1], ranks, 1), np.delete(other[1], ranks, 1), atol=1e-4)
    tied = (plain[1] != other[1])[:, ranks]  # of equals, the rows decide who comes first
    assert tied.mean() < 0.01


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, axes=st.sets(st.integers(1, 3), min_size=1))
def test_a_mirrored_movie_has_the_mirrored_candidates(seed, axes):
    masks = worlds.draw_blobs((5, 30, 40), 12, seed=seed)
    mirrored = worlds.find_candidates(np.flip(masks, sorted(axes)), drift=False)
    place = mirrored.cells.position.copy()
    for axis in axes:
        place[:, axis - 1] = masks.shape[axis] - 1 - place[:, axis - 1]
    plain, other = sort_by_position(worlds.find_candidates(masks, drift=False)), sort_by_position(mirrored, place)
    np.testing.assert_array_equal(plain[0], other[0])
    names = mirrored.feature_names
    for name, a, b in zip(names, plain[1].T, other[1].T, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4, err_msg=name)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, factor=st.sampled_from([0.125, 0.5, 4.0, 32.0]), anisotropy=st.sampled_from([1.0, 2.0]))
def test_the_size_of_a_pixel_changes_distances_only(seed, factor, anisotropy):
    """Whatever the microscope's scale, the scores see the same numbers."""
    masks = worlds.draw_blobs((4, 30, 40), 10, seed=seed)
    spacing = np.array([anisotropy, 1.0, 1.0])
    plain, scaled = (worlds.find_candidates(masks, tuple(s)) for s in (spacing, spacing * factor))
    np.testing.assert_array_equal(plain.source, scaled.source)
    np.testing.assert_array_equal(plain.target, scaled.target)
    for name, a, b in zip(plain.feature_names, plain.features.T, scaled.features.T, strict=True):
        np.testing.assert_allclose(b, a * (factor if name == "distance" else 1), rtol=1e-4, atol=1e-5, err_msg=name)
    assert scaled.provenance.gate == pytest.approx(plain.provenance.gate * factor)


# --------------------------------------------------------------------------- the real movies


def find_marker(mask, truth):
    """Return {label of the mask: marker} by the rule of the challenge: a mask covers more than half of the marker."""
    pixels = np.bincount(truth[truth > 0])
    both = (truth > 0) & (mask > 0)
    pair, shared = np.unique(np.stack([truth[both], mask[both]]), axis=1, return_counts=True)
    covers = 2 * shared > pixels[pair[0]]
    return dict(zip(pair[1, covers].tolist(), pair[0, covers].tolist(), strict=True))


def find_true_links(graph, masks, truth, tracks):
    """Return the links of the truth as pairs of rows, over gaps of one frame as well."""
    row = {}
    for t, (mask, markers) in enumerate(zip(masks, truth, strict=True)):
        for label, marker in find_marker(mask, markers).items():
            row[marker, t] = int(graph.cells.row_of(t, label))
    links = []
    for track, start, end, parent in zip(tracks.id, tracks.start, tracks.end, tracks.parent, strict=True):
        seen = [t for t in range(start, end + 1) if (track, t) in row]
        links += [(row[track, a], row[track, b]) for a, b in pairwise(seen) if b - a <= 2]
        if parent:
            last = tracks.end[np.searchsorted(tracks.id, parent)]
            if (parent, last) in row and (track, start) in row and start - last <= 2:
                links.append((row[parent, last], row[track, start]))
    return links


MOVIES = [  # data set, masks, truth, frames
    ("Fluo-C2DL-MSC", "01_ST_HYBRID", "01_GT", slice(0, 24)),
    ("Fluo-N2DH-GOWT1", "01_ST_HYBRID", "01_GT", slice(60, 75)),
    ("Fluo-N2DH-SIM+", "01_GT/SEG", "01_GT", slice(35, 65)),
    ("BBBC050-mouse-embryo-3D", "01_GT/SEG", "01_GT", slice(0, 75)),
    ("iPSC-02", "02_RES", "02_GT", slice(0, 20)),
]


@pytest.mark.data
@pytest.mark.parametrize(("name", "masks", "truth", "frames"), MOVIES, ids=[movie[0] for movie in MOVIES])
def test_true_links_of_real_movies_are_among_few_candidates(ctc_data, name, masks, truth, frames):
    folder = ctc_data / name
    files = [sorted((folder / part).glob("*.tif"))[frames] for part in (masks, f"{truth}/TRA")]
    masks, markers = (np.stack([tifffile.imread(file) for file in part]) for part in files)
    masks = worlds.relabel_masks(masks)  # labels that agree over time must not help
    table = read_track_table(folder / truth / "TRA" / "man_track.txt")
    graph = worlds.find_candidates(masks)
    links = find_true_links(graph, masks, markers, shift_table(table, frames.start))
    found = set(zip(graph.source.tolist(), graph.target.tolist(), strict=True))
    assert len(links) > 50
    missed = [link for link in links if link not in found]
    assert len(missed) <= 0.001 * len(links)
    assert len(graph) <= 10 * len(graph.cells)


def shift_table(tracks, start):
    """Return the track table as seen from a movie that begins at frame start."""

    class Table:
        id, parent = tracks.id, tracks.parent

    Table.start, Table.end = np.maximum(tracks.start - start, 0), tracks.end - start
    return Table


def test_candidates_as_data_of_torch_geometric_are_those_of_the_graph():
    graph = gnntrack.build_graph(masks=gnntrack.simulate(frames=4, cells=5, seed=2).masks)
    data = graph.to_torch_geometric()
    assert data.validate()
    assert data.num_nodes == len(graph.cells)
    assert data.edge_index.tolist() == [graph.source.tolist(), graph.target.tolist()]
    for column, name in enumerate(data.edge_names):
        np.testing.assert_array_equal(data.edge_attr[:, column], graph.feature(name))
    for column, name in enumerate(data.node_names):
        np.testing.assert_array_equal(data.x[:, column], graph.cells.feature(name))
    np.testing.assert_allclose(data.pos, graph.cells.position, rtol=1e-6)
    assert data.frame.tolist() == graph.cells.frame.tolist()
    data.x[:] = 0  # a copy
    assert graph.cells.features.any()
