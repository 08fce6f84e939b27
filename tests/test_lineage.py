"""Lineages: tracks of chosen links, as drawn, and against networkx."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import worlds

from gnntrack.errors import FormatError
from gnntrack.lineage.build import build_lineage
from gnntrack.lineage.doubts import list_doubts
from gnntrack.lineage.families import (
    count_divisions,
    count_generations,
    find_divisions,
    find_gaps,
    find_missing_frames,
    find_neighbours,
    find_roots,
)
from gnntrack.lineage.repair import fill_gaps, repair_movie
from gnntrack.lineage.summary import review, summarise
from gnntrack.settings import RepairSettings
from gnntrack.types import Tracks


def chosen_by_name(world):
    """Return which candidates are links of the drawing."""
    return np.array([bool(world.links([i]) & worlds.list_links(world.tracks)) for i in range(len(world.graph))], bool)


def lineage_of(world):
    return build_lineage(world.graph, chosen_by_name(world), world.scores)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("world", worlds.SCORED)
def test_tracks_are_those_of_the_drawing(world, seed):
    world = world(seed)
    lineage = lineage_of(world)
    assert worlds.list_tracks(lineage, world.names) == world.tracks
    assert len(lineage.tracks) == len(world.tracks)
    assert lineage.tracks.id.tolist() == list(range(1, len(world.tracks) + 1))
    first = [int(np.flatnonzero(lineage.track == track)[0]) for track in lineage.tracks.id]
    assert first == sorted(first)  # numbered by their first cells


def test_confidence_of_a_daughter_is_that_of_the_division():
    world = worlds.one_divides()
    lineage = lineage_of(world)
    ends = zip(lineage.source, lineage.target, lineage.confidence.tolist(), strict=True)
    found = {f"{world.names[s]}-{world.names[t]}": round(c, 6) for s, t, c in ends}
    assert found == {"a0-a1": 0.9, "a1-b2": 0.9, "a1-c2": 0.9, "b2-b3": 0.9, "c2-c3": 0.9}
    twice = lineage_of(worlds.divides_twice())
    assert sorted(twice.confidence.tolist()) == pytest.approx([0.8, 0.8, 0.9, 0.9, 0.9])


def test_of_many_pairs_the_chosen_one_counts():
    links = {"a0-b1": 0.5, "a0-c1": 0.5, "a0-d1": 0.5}
    pairs = {"a0-b1-c1": 0.1, "a0-b1-d1": 0.9, "a0-c1-d1": 0.2}
    for seed in range(4):
        world = worlds.make_world("a0 b1 c1 d1", links, pairs, ["a0", "b1 <a0", "d1 <a0", "c1"], seed=seed)
        assert lineage_of(world).confidence.tolist() == pytest.approx([0.9, 0.9])


def test_one_link_of_a_pair_keeps_its_own_score():
    world = worlds.one_divides()
    chosen = np.array([world.links([i]) == {"a1-b2"} for i in range(len(world.graph))])
    assert build_lineage(world.graph, chosen, world.scores).confidence.tolist() == pytest.approx([0.7])


@pytest.mark.parametrize(
    ("links", "problem"),
    [
        ({"a0-a1", "b0-a1"}, r"frame 1, label 3: 2 links into the cell and 0 out of it"),
        ({"a0-a1", "a0-b1", "a0-c1"}, r"frame 0, label 1: 0 links into the cell and 3 out of it"),
    ],
)
def test_a_cell_has_one_parent_and_two_children_at_most(links, problem):
    candidates = dict.fromkeys(["a0-a1", "b0-a1", "a0-b1", "a0-c1"], 0.9)
    world = worlds.make_world("a0 b0 a1 b1 c1", candidates)
    # without a seed labels are in the order of the names: a0, a1, b0, b1, c1
    label = {name: int(label) for name, label in zip(world.names, world.graph.cells.label, strict=True)}
    problem = problem.replace("label 3", f"label {label['a1']}")
    chosen = np.array([bool(world.links([i]) & links) for i in range(len(world.graph))])
    with pytest.raises(FormatError, match=problem):
        build_lineage(world.graph, chosen, world.scores)


def test_divisions_are_parents_with_both_daughters():
    world = worlds.divides_twice()
    lineage = lineage_of(world)
    track = {name: int(lineage.track[row]) for row, name in enumerate(world.names)}
    expected = [
        [track["a0"], *sorted((track["b1"], track["c1"]))],
        [track["b1"], *sorted((track["d2"], track["e2"]))],
    ]
    assert find_divisions(lineage).tolist() == sorted(expected)
    split = fill_gaps(*worlds.build_known_lineage(worlds.mask_dropped()), settings=RepairSettings(fill_gaps=False))
    assert (split.lineage.tracks.parent > 0).sum() == 1  # an only child is not a division
    assert find_divisions(split.lineage).shape == (0, 3)
    assert find_divisions(lineage_of(worlds.one_cell())).shape == (0, 3)
    assert find_divisions(lineage_of(worlds.no_cell())).shape == (0, 3)


def test_gaps_are_inside_tracks_only():
    """A daughter that appears two frames after the end of her parent makes no gap: her track starts with her."""
    world = worlds.one_frame_gap()
    before, after = find_gaps(lineage_of(world))
    assert [(world.names[a], world.names[b]) for a, b in zip(before, after, strict=True)] == [("a0", "a2")]
    late = worlds.make_world("a0 b2 c2", {"a0-b2": 0.9, "a0-c2": 0.9}, {"a0-b2-c2": 0.9}, ["a0", "b2 <a0", "c2 <a0"])
    assert worlds.list_tracks(lineage_of(late), late.names) == late.tracks
    assert [len(part) for part in find_gaps(lineage_of(late))] == [0, 0]


def test_a_missing_frame_is_listed_with_the_cells_around_it():
    world = worlds.make_world("a0 b0 b1 a3 b3", {"a0-a3": 0.9, "b0-b1": 0.9, "b1-b3": 0.9}, {}, ["a0 a3", "b0 b1 b3"])
    frame, before, after = find_missing_frames(lineage_of(world))
    found = [(t, world.names[a], world.names[b]) for t, a, b in zip(frame.tolist(), before, after, strict=True)]
    assert sorted(found) == [(1, "a0", "a3"), (2, "a0", "a3"), (2, "b1", "b3")]
    assert [len(column) for column in find_missing_frames(lineage_of(worlds.no_cell()))] == [0, 0, 0]


def test_neighbours_stay_in_the_track():
    world = worlds.one_divides()
    previous, following = find_neighbours(lineage_of(world))
    names = [*world.names, None]  # -1 = none
    links = {(names[a], name, names[b]) for a, name, b in zip(previous, world.names, following, strict=True)}
    assert links >= {(None, "a0", "a1"), ("a0", "a1", None), (None, "b2", "b3"), ("b2", "b3", None)}


# 1 divides into 2 and 3, 3 into 4 and 5; 8 continues 5; 6 and 7 are alone
FAMILY = [
    (1, 0, 2, 0),
    (2, 3, 9, 1),
    (3, 3, 5, 1),
    (4, 6, 9, 3),
    (5, 6, 7, 3),
    (6, 2, 8, 0),
    (7, 5, 5, 0),
    (8, 9, 9, 5),
]


def test_a_family_is_a_track_and_all_its_descendants():
    tracks = Tracks(*np.array(FAMILY).T)
    assert find_roots(tracks).tolist() == [1, 1, 1, 1, 1, 6, 7, 1]
    assert count_generations(tracks).tolist() == [0, 1, 1, 2, 2, 0, 0, 2]
    assert count_divisions(tracks) == 2


def test_a_long_chain_of_tracks_is_one_family():
    chain = Tracks(np.arange(1, 2001), np.arange(2000), np.arange(2000), np.arange(2000))
    assert (find_roots(chain) == 1).all()
    assert (count_generations(chain) == 0).all()


def test_no_track_has_no_family():
    none = Tracks(*np.zeros((4, 0)))
    assert (len(find_roots(none)), len(count_generations(none)), count_divisions(none)) == (0, 0, 0)


def test_review_is_deprecated_and_lists_the_least_confident_doubts():
    lineage = lineage_of(worlds.one_divides())
    with pytest.warns(DeprecationWarning, match="list_doubts"):
        assert review(lineage) == []
    doubts = [doubt for doubt in list_doubts(lineage, below=0.95) if doubt.kind in ("link", "division")]
    with pytest.warns(DeprecationWarning, match="list_doubts"):
        items = review(lineage, links=2, below=0.95)
    assert [item.text for item in items] == [doubt.why for doubt in doubts[:2]]
    assert len(items) > 0
    assert [item.label for item in items] == [int(lineage.cells.label[doubt.row]) for doubt in doubts[:2]]


def test_a_frame_is_empty_until_its_gap_is_filled():
    lineage, runs = worlds.build_known_lineage(worlds.frame_dropped())
    assert [(doubt.frame, doubt.row) for doubt in list_doubts(lineage) if doubt.kind == "empty frame"] == [(2, -1)]
    with pytest.warns(DeprecationWarning, match="list_doubts"):
        (item,) = review(lineage)
    assert (item.kind, item.frame, item.label) == ("empty frames", 2, None)
    assert summarise(lineage).gaps_filled is None
    filled = repair_movie(lineage, runs, settings=RepairSettings()).lineage
    assert not [doubt for doubt in list_doubts(filled) if doubt.kind == "empty frame"]
    assert summarise(filled).gaps_filled == 8


@pytest.mark.parametrize("factor", [1, 10**12])
def test_small_and_large_track_ids_give_the_same_table(factor):
    track, frame = np.array([7, 2, 7, 2, 5]), np.array([1, 1, 4, 2, 3])
    tracks = Tracks.from_cells(track * factor, frame, lambda ids: np.where(ids == 5 * factor, 2 * factor, 0))
    assert (tracks.id // factor).tolist() == [2, 5, 7]
    assert (tracks.start.tolist(), tracks.end.tolist()) == ([1, 3, 1], [2, 3, 4])
    assert (tracks.parent // factor).tolist() == [0, 2, 0]


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 9999))
def test_families_are_as_walked(seed):
    """Against walking up from each track, in tables whose ids have gaps."""
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 12))
    ids = np.sort(random.choice(np.arange(1, 40), n, replace=False))
    start = random.integers(0, 20, n)
    end = start + random.integers(0, 4, n)
    parent = np.array([random.choice([0, *ids[end < start[k]]]) for k in range(n)])
    row = {track: k for k, track in enumerate(ids.tolist())}
    daughters = {track: int((parent == track).sum()) for track in ids.tolist()}
    roots, generations = [], []
    for track in ids.tolist():
        here, count = track, 0
        while parent[row[here]]:
            here = int(parent[row[here]])
            count += daughters[here] > 1
        roots.append(here)
        generations.append(count)
    tracks = Tracks(ids, start, end, parent)
    assert find_roots(tracks).tolist() == roots
    assert count_generations(tracks).tolist() == generations
    assert count_divisions(tracks) == sum(count > 1 for count in daughters.values())


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 9999))
def test_tracks_are_the_pieces_between_divisions(seed):
    """Of a random forest, cut where cells divide."""
    random = np.random.default_rng(seed)
    names = [f"{letter}{t}" for t in range(5) for letter in "abcd"[: random.integers(0, 5)]]
    links, children = {}, dict.fromkeys(names, 0)
    for name in names:
        before = [m for m in names if 0 < int(name[1:]) - int(m[1:]) <= 2 and children[m] < 2]
        if before and random.uniform() < 0.8:
            parent = before[random.integers(len(before))]
            children[parent] += 1
            links[f"{parent}-{name}"] = 0.9
    world = worlds.make_world(" ".join(names), links, n_frames=5, seed=seed)
    lineage = build_lineage(world.graph, np.ones(len(links), bool), world.scores)
    forest = nx.DiGraph(link.split("-") for link in links)
    forest.add_nodes_from(names)
    parents = {m: list(forest.successors(m)) for m in names if forest.out_degree(m) == 2}
    forest.remove_edges_from([(m, d) for m, both in parents.items() for d in both])
    expected = set()
    for piece in nx.weakly_connected_components(forest):
        cells = sorted(piece, key=lambda name: int(name[1:]))
        parent = [m for m, both in parents.items() if cells[0] in both]
        expected.add(" ".join(cells) + "".join(f" <{m}" for m in parent))
    assert worlds.list_tracks(lineage, world.names) == expected
    tracks = lineage.tracks
    for row, track in enumerate(tracks.id):
        frames = lineage.cells.frame[lineage.track == track]
        assert (tracks.start[row], tracks.end[row]) == (frames.min(), frames.max())
