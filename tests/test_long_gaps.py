"""Gaps of many frames: a cell that is not seen for k frames is bridged by a ``max_gap`` of k + 1, and no other cell."""

from __future__ import annotations

import numpy as np
import pytest
from support import worlds

import gnntrack
from gnntrack.graph.gaps import LongGaps
from gnntrack.graph.motion import estimate_motion
from gnntrack.scores import model as movie_model
from gnntrack.settings import MotionSettings, Settings

SIZE, FRAMES, LOST = 160, 15, 4  # the cells are not seen from frame LOST + 1 on


def scatter(rng, n, least, size=SIZE, ndim=2, margin=14):
    places = []
    while len(places) < n:
        place = rng.uniform(margin, size - margin, ndim)
        if all(np.linalg.norm(place - other) > least for other in places):
            places.append(place)
    return places


def draw_walkers(places, *, hidden, unseen, velocity=None, shape=(SIZE, SIZE), radius=7.0, seed=0):
    """Cells 1, 2, ... that walk; the first `hidden` of them have no mask in `unseen` frames after frame LOST."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((FRAMES, *shape), np.uint16)
    for label, start in enumerate(places, 1):
        place, step = np.array(start), np.zeros(len(shape)) if velocity is None else np.array(velocity[label - 1])
        for frame in range(FRAMES):
            place = place + step + rng.normal(0, 0.5, len(shape))
            seen = label > hidden or not LOST < frame <= LOST + unseen
            offsets = np.ix_(*(np.arange(n) - centre for n, centre in zip(shape, place, strict=True)))
            inside = sum(offset**2 for offset in offsets) <= radius**2
            masks[frame][inside & (masks[frame] == 0) & seen] = label
    return masks


def resting(rng):
    return {"places": scatter(rng, 8, 34), "hidden": 3}


def alone(rng):
    return {"places": [rng.uniform(50, 110, 2)], "hidden": 1}


def moving(rng):
    angle = rng.uniform(0, 2 * np.pi, 6)
    places = [np.array([y, x]) for y in (50.0, 110.0) for x in (40.0, 80.0, 120.0)]
    return {"places": places, "hidden": 2, "velocity": 1.2 * np.stack([np.sin(angle), np.cos(angle)], axis=1)}


def drifting(rng):
    places = [place * [0.7, 0.7] for place in scatter(rng, 8, 40)]
    return {"places": places, "hidden": 3, "velocity": [(2.0, 1.5)] * 8}


def dense(rng):
    return {
        "places": [np.array([y, x]) + rng.normal(0, 1, 2) for y in range(16, 150, 18) for x in range(16, 150, 18)],
        "hidden": 4,
    }


def at_the_border(rng):
    return {"places": [np.array([3.0, 80.0]), np.array([80.0, 3.0]), *scatter(rng, 5, 34, margin=40)], "hidden": 2}


def in_3d(rng):
    return {"places": scatter(rng, 6, 13, size=40, ndim=3, margin=6), "hidden": 2, "shape": (40, 40, 40), "radius": 4.0}


KINDS = [resting, alone, moving, drifting, dense, at_the_border, in_3d]


def bridge(masks, unseen, *, max_gap=None, method="hungarian"):
    """Return whether each label keeps its track over the gap, and the number of tracks with two labels."""
    settings = Settings().replace(graph__max_gap=max_gap or unseen + 1, gnn__device="cpu")
    lineage = gnntrack.track(masks=masks, method=method, settings=settings)
    track = dict(
        zip(
            zip(lineage.cells.frame.tolist(), lineage.cells.label.tolist(), strict=True),
            lineage.track.tolist(),
            strict=True,
        )
    )
    labels = {}
    for (_, label), each in track.items():
        labels.setdefault(each, set()).add(label)
    return (lambda label: track[LOST, label] == track[LOST + unseen + 1, label]), sum(
        len(s) > 1 for s in labels.values()
    )


@pytest.mark.parametrize("unseen", [1, 4, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_that_is_not_seen_for_some_frames_is_bridged(kind, unseen):
    world = kind(np.random.default_rng(unseen))
    keeps, mixed = bridge(draw_walkers(unseen=unseen, **world), unseen)
    assert [keeps(label) for label in range(1, world["hidden"] + 1)] == [True] * world["hidden"]
    assert mixed == 0


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [resting, moving, in_3d])
def test_the_network_bridges_long_gaps_too(kind):
    world = kind(np.random.default_rng(3))
    keeps, mixed = bridge(draw_walkers(unseen=6, **world), 6, method="gnn")
    assert all(keeps(label) for label in range(1, world["hidden"] + 1))
    assert mixed == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_gap_that_is_too_long_is_not_bridged(kind):
    world = kind(np.random.default_rng(5))
    keeps, _ = bridge(draw_walkers(unseen=5, **world), 5, max_gap=4)
    assert not any(keeps(label) for label in range(1, world["hidden"] + 1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_max_gap_changes_nothing_if_no_cell_is_missing(kind):
    world = kind(np.random.default_rng(6)) | {"hidden": 0}
    masks = draw_walkers(unseen=0, **world)
    graphs = [gnntrack.build_graph(masks=masks, settings=Settings().replace(graph__max_gap=gap)) for gap in (2, 9)]
    tracks = [gnntrack.solve(graph).track.tolist() for graph in graphs]
    assert tracks[0] == tracks[1]


def test_the_rates_of_misses_are_those_of_the_movie():
    """Cells that are missed often, in one frame each, and cells that are missed once, in five frames."""
    graphs = []
    for unseen, times in ((1, (3, 6, 9, 12)), (5, (4,))):
        masks = draw_walkers(scatter(np.random.default_rng(0), 9, 34), hidden=0, unseen=0)
        for label in range(1, 10):
            for start in times:
                lost = masks[start + label % 2 : start + label % 2 + unseen]
                lost[lost == label] = 0
        graphs.append(gnntrack.build_graph(masks=masks, settings=Settings().replace(graph__max_gap=6)))
    found = []
    for graph in graphs:
        model = movie_model.MovieModel.from_graph(graph)
        same = model.compute_same_cell_density(graph)
        for _ in range(2):
            model = model.refit(graph, movie_model.DivisionCandidates.empty(), same=same, same_in_field=same)
        found.append((model.miss_rate, model.stay_rate))
    (often, short), (once, long) = found
    assert often > 2 * once
    assert short < 0.5 < 0.7 < long


@pytest.mark.parametrize(
    ("missed", "given", "longest"), [(0.0, {}, 2), (0.01, {}, 2), (0.08, {}, 3), (0.08, {"max_gap": 2}, 2)]
)
def test_links_span_as_many_frames_as_masks_are_missing_in_a_row(missed, given, longest):
    rng = np.random.default_rng(0)
    masks = draw_walkers(**dense(rng) | {"hidden": 0}, unseen=0)
    for frame in masks[1:-1]:
        frame[np.isin(frame, np.flatnonzero(rng.random(frame.max() + 1) < missed))] = 0
    assert gnntrack.build_graph(masks=masks, **given).gap.max() == longest


def test_ends_of_long_gaps_have_no_clear_partner():
    masks = draw_walkers(scatter(np.random.default_rng(1), 6, 34), hidden=2, unseen=4)
    cells, _ = worlds.measure_masks(masks)
    gaps = LongGaps.find(
        cells, estimate_motion(cells, settings=MotionSettings()), cells.feature("diameter").astype(np.float64) / 2
    )
    inner = cells.frame < FRAMES - 1
    assert sorted(cells.label[gaps.ends & inner].tolist()) == [1, 2]
    assert sorted(cells.label[gaps.starts & (cells.frame > 0)].tolist()) == [1, 2]
