"""Scores: how they behave, whatever their numbers; worlds tracked from end to end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import worlds

import gnntrack
from gnntrack.errors import FormatError
from gnntrack.lineage.build import build_lineage
from gnntrack.scores import model, score_by_overlap, score_links
from gnntrack.settings import ScoreSettings, SolverSettings
from gnntrack.solvers import solve

SEEDS = st.integers(0, 999)


def score(graph, **options):
    return score_links(graph, settings=ScoreSettings(**options))


def name_scores(world, graph, scores):
    """Return ({"a0-a1": score of the link}, {"a0-b1-c1": score of the division})."""
    names = world.names(graph.cells)
    name = [f"{names[s]}-{names[t]}" for s, t in zip(graph.source, graph.target, strict=True)]
    pairs = {}
    for (a, b), score in zip(scores.pairs.tolist(), scores.division.tolist(), strict=True):
        parent, *daughters = name[a].split("-")[0], *sorted(name[i].split("-")[1] for i in (a, b))
        pairs["-".join([parent, *daughters])] = score
    return dict(zip(name, scores.link.tolist(), strict=True)), pairs


def track_world(world, images=None, **options):
    """Return the tracks of a world by its names, from its masks alone."""
    graph = worlds.find_candidates(world.masks) if images is None else gnntrack.build_graph(images, world.masks)
    scores = score(graph, **options)
    chosen = solve("hungarian", graph, scores, settings=SolverSettings())
    return worlds.list_tracks(build_lineage(graph, chosen, scores), world.names(graph.cells))


# --------------------------------------------------------------------------- worlds


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("world", worlds.DRAWN)
def test_the_drawn_worlds_are_tracked(world, seed):
    world = world(seed)
    assert track_world(world) == world.tracks


@pytest.mark.parametrize("rounds", [0, 2])
def test_a_clean_division_is_likely_and_no_other_is(rounds):
    world = worlds.parent_divides()
    graph = worlds.find_candidates(world.masks)
    _, pairs = name_scores(world, graph, score(graph, rounds=rounds))
    assert pairs.pop("a2-b3-c3") > 0.5
    assert max(pairs.values()) < 0.444


@pytest.mark.parametrize("seed", [1, 2])
def test_a_torn_cell_does_not_divide(seed):
    world = worlds.split_for_a_frame(seed)
    graph = worlds.find_candidates(world.masks)
    scores = score(graph)
    _, pairs = name_scores(world, graph, scores)
    assert pairs["a2-a3-b3"] < 0.444
    tracks = track_world(world)
    assert not [track for track in tracks if "<" in track]
    assert len([track for track in tracks if "a0" in track and "a5" in track]) <= 1


def test_a_dropped_mask_is_bridged_and_not_where_the_cell_is_seen():
    world = worlds.mask_dropped()
    graph = worlds.find_candidates(world.masks)
    links, _ = name_scores(world, graph, score(graph))
    assert links["a1-a3"] > 0.4
    names = {f"{letter}{t}-{letter}{t + 2}" for letter in "ABCDEFGH" for t in range(4)}
    assert max(links[name] for name in names & set(links)) < min(
        links[name] for name in worlds.list_links(world.tracks)
    )


def test_a_link_over_a_frame_in_which_the_cell_is_seen_is_less_likely_than_those_to_it():
    """Its mask is split in frame 3: the cell is seen in every frame."""
    world = worlds.split_for_a_frame()
    graph = worlds.find_candidates(world.masks)
    links, _ = name_scores(world, graph, score(graph))
    assert links["a2-a4"] < min(links[name] for name in ("a2-a3", "a2-b3", "a3-a4", "b3-a4"))


def test_true_links_are_likelier_than_all_others():
    """Of links to the next frame, in a field where cells pass each other."""
    world = worlds.two_pass()
    graph = worlds.find_candidates(world.masks)
    links, _ = name_scores(world, graph, score(graph))
    true = worlds.list_links(world.tracks)
    near = {name: score for name, score in links.items() if int(name.split("-")[1][1:]) - int(name[1]) == 1}
    assert min(near[name] for name in true) > 0.5
    for name in true:
        source, target = name.split("-")
        rivals = [n for n in near if n != name and (n.startswith(f"{source}-") or n.endswith(f"-{target}"))]
        assert all(near[rival] < near[name] for rival in rivals)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("spread", [0.1, 0.2])
def test_a_speck_does_not_take_the_link_of_a_cell(seed, spread):
    """A speck of 9 pixels, seen in one frame 13 pixels away from a resting cell of about 110 pixels."""
    rng = np.random.default_rng(seed)
    places = [(y, x) for y in range(25, 200, 30) for x in range(25, 200, 30)]
    cells = [(*place, 6 * np.exp(rng.normal(0, spread / 2))) for place in places]
    letters = [chr(code) for code in (*range(ord("A"), ord("Z")), *range(ord("a"), ord("k")))]
    disks = {}
    for letter, (y, x, r) in zip(letters, cells, strict=False):
        disks |= {f"{letter}{t}": (y + rng.normal(0, 0.6), x + rng.normal(0, 0.6), r) for t in range(6)}
    disks["z3"] = (cells[7][0] + 12, cells[7][1] + 6, 1.7)
    tracks = [" ".join(f"{letter}{t}" for t in range(6)) for letter in letters[: len(cells)]]
    world = worlds.draw_world(disks, [*tracks, "z3"], shape=(200, 200))
    assert track_world(world) == world.tracks


def test_of_two_places_the_one_with_the_same_brightness_is_likelier():
    """Cell a is bright. In the next frame, cells at equal distances are bright and dark::

    frame 2   (a)        frame 3   (b)   (c)      at equal distances; b is as bright as a
    """
    crowd, tracks = worlds.draw_lattice()
    crowd |= {f"a{t}": (64.0, 64.0, 6.0) for t in range(3)}
    crowd |= {f"b{t}": (64.0, 52.0, 6.0) for t in range(3, 6)} | {f"c{t}": (64.0, 76.0, 6.0) for t in range(3, 6)}
    world = worlds.draw_world(crowd, tracks)
    grey = {"a": 900, "b": 900, "c": 300}
    images = np.zeros(world.masks.shape, np.uint16)
    random = np.random.default_rng(0)
    usual = dict(zip("ABCDEFGH", random.integers(300, 1200, 8).tolist(), strict=True))
    for name, label in world.label.items():
        frame = int(name[1:])
        images[frame][world.masks[frame] == label] = (usual | grey)[name[0]]
    images += random.integers(0, 9, images.shape, np.uint16)
    graph = gnntrack.build_graph(images, world.masks, settings=gnntrack.Settings().replace(motion__flow="cells"))
    links, _ = name_scores(world, graph, score(graph))
    assert links["a2-b3"] > links["a2-c3"]
    plain = worlds.find_candidates(world.masks)
    links, _ = name_scores(world, plain, score(plain))
    assert links["a2-b3"] == pytest.approx(links["a2-c3"], abs=0.15)


# --------------------------------------------------------------------------- properties of every score


def make_bright_graph(seed, **columns):
    """Return the graph of a movie with images whose first link over one frame has the given features."""
    masks = worlds.draw_blobs((60, 80), 15, seed=seed)
    graph = gnntrack.build_graph(1000.0 * (masks > 0) + np.random.default_rng(seed).uniform(0, 50, masks.shape), masks)
    features = graph.features.copy()
    for name, value in columns.items():
        features[graph.gap == 1, graph.feature_names.index(name)] = value
    return replace(graph, features=features)


@pytest.mark.parametrize("seed", range(5))
def test_a_cell_that_has_left_the_optical_flow_moves_as_its_neighbours(seed):
    """Images may be wrong about a cell: then its link is one of `ODD` odd ones, but not a jump as well."""
    plain = make_bright_graph(seed)
    movie = model.MovieModel.from_graph(plain)
    lost = make_bright_graph(seed, residual=2.0, neighbour_residual=0.01, iou_moved=0.0)
    found = make_bright_graph(seed, residual=0.01, neighbour_residual=0.01)
    penalty = movie.compute_same_cell_density(found) - movie.compute_same_cell_density(lost)
    by_field = 2 * np.log(movie.neighbour_residual / movie.residual)
    assert penalty[plain.gap == 1].max() < -np.log(model.ODD) + by_field + 0.1


@pytest.mark.parametrize("seed", range(5))
def test_a_part_of_a_cell_at_the_edge_may_be_darker(seed):
    plain = make_bright_graph(seed)
    movie = replace(model.MovieModel.from_graph(plain), intensity=0.02, intensity_population=0.2)
    same, darker = (
        movie.compute_same_cell_density(make_bright_graph(seed, size_ratio=-1.5, intensity_ratio=light))
        for light in (0.0, -0.15)
    )
    penalty = (same - darker)[plain.gap == 1]
    touches = plain.cells.feature("border_distance") == 0
    cut = (touches[plain.source] | touches[plain.target])[plain.gap == 1]
    assert cut.any()
    assert not cut.all()
    assert penalty[cut].max() < 3 < 4 < penalty[~cut].min()


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, cells=st.integers(1, 14), frames=st.integers(1, 4), step=st.floats(0, 15), rounds=st.integers(0, 2))
def test_scores_are_probabilities_of_links_and_of_pairs_that_may_be(seed, cells, frames, step, rounds):
    graph = worlds.find_candidates(worlds.draw_blobs((40, 40), cells, frames=frames, seed=seed, step=step))
    scores = score(graph, rounds=rounds)
    assert scores.link.shape == (len(graph),)
    assert scores.division.shape == (len(scores.pairs),)
    first, second = scores.pairs.T
    assert (first < second).all()
    np.testing.assert_array_equal(graph.source[first], graph.source[second])
    assert (graph.gap[scores.pairs] == 1).all()
    assert len(np.unique(scores.pairs, axis=0)) == len(scores.pairs)
    again = score(graph, rounds=rounds)
    np.testing.assert_array_equal(scores.link, again.link)
    np.testing.assert_array_equal(scores.division, again.division)


@pytest.mark.parametrize("world", [worlds.empty_masks, worlds.lone_cell, worlds.starts_late])
def test_few_cells_can_be_scored(world):
    graph = worlds.find_candidates(world().masks)
    assert len(score(graph).link) == len(graph)
    assert len(score_by_overlap(graph).link) == len(graph)


@pytest.mark.parametrize("shape", [(40, 40), (8, 30, 30)])
@pytest.mark.parametrize("kind", ["same place", "one pixel", "no cell in the last frame"])
def test_degenerate_movies_can_be_scored(shape, kind):
    """All spreads are zero: nothing moves, or every cell is one pixel."""
    masks = np.repeat(worlds.draw_blobs(shape, 6, frames=1), 3, axis=0)
    if kind == "one pixel":
        _, first = np.unique(masks[0], return_index=True)
        keep = np.zeros(masks[0].size, bool)
        keep[first] = True
        masks = masks * keep.reshape(shape)
    if kind == "no cell in the last frame":
        masks[-1] = 0
    graph = worlds.find_candidates(masks)
    scores = score(graph)
    chosen = solve("hungarian", graph, scores, settings=SolverSettings())
    cells = graph.cells
    assert chosen.sum() == len(cells) - (cells.frame == 0).sum()
    np.testing.assert_array_equal(cells.label[graph.source[chosen]], cells.label[graph.target[chosen]])


def test_divisions_need_not_be_scored():
    graph = worlds.find_candidates(worlds.parent_divides().masks)
    scores = score_links(graph, settings=ScoreSettings(), divisions=False)
    assert scores.pairs.shape == (0, 2)
    assert scores.division.shape == (0,)


def test_overlap_scores_are_those_of_the_masks_as_they_lie():
    graph = worlds.find_candidates(worlds.parent_divides().masks)
    np.testing.assert_array_equal(score_by_overlap(graph).link, graph.feature("iou"))
    with pytest.raises(FormatError, match="unknown link feature 'iou'"):
        score_by_overlap(worlds.find_candidates(worlds.parent_divides().masks, runs=False))


def test_links_can_be_scored_without_masks():
    graph = worlds.find_candidates(worlds.parent_divides().masks, runs=False)
    _, pairs = name_scores(worlds.parent_divides(), graph, score(graph))
    assert pairs["a2-b3-c3"] == max(pairs.values())


# --------------------------------------------------------------------------- invariance


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_labels_do_not_matter(seed):
    masks = worlds.draw_blobs((50, 50), 12, seed=seed, frames=4)
    tables = []
    for movie in (masks, worlds.relabel_masks(masks, seed + 1)):
        graph = worlds.find_candidates(movie)
        scores, place = score(graph), np.round(graph.cells.position, 6)
        ends = np.hstack([place[graph.source], place[graph.target], graph.gap[:, None], scores.link[:, None]])
        parents, daughters = place[graph.source[scores.pairs[:, 0]]], place[graph.target[scores.pairs]]
        # which daughter comes first depends on the labels; their middle and their distance do not
        both = np.hstack([daughters.mean(axis=1), np.abs(daughters[:, 0] - daughters[:, 1])])
        pairs = np.hstack([np.round(both, 4), parents, scores.division[:, None]])
        tables.append([table[np.lexsort(table[:, :-1].T)] for table in (ends, pairs)])
    for plain, other in zip(*tables, strict=True):
        np.testing.assert_allclose(plain, other, atol=2e-3)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, factor=st.sampled_from([0.125, 0.5, 4.0, 32.0]))
def test_the_size_of_a_pixel_does_not_matter(seed, factor):
    masks = worlds.draw_blobs((50, 50), 12, seed=seed)
    plain, scaled = (score(worlds.find_candidates(masks, (s, s))) for s in (1.0, factor))
    np.testing.assert_array_equal(plain.pairs, scaled.pairs)
    np.testing.assert_allclose(plain.link, scaled.link, atol=2e-3)
    np.testing.assert_allclose(plain.division, scaled.division, atol=2e-3)


def test_chunked_equals_whole(monkeypatch):
    """Memory is bounded by chunks of links and of pairs, also where one cell has more links than a chunk."""
    masks = worlds.draw_blobs((60, 60), 18, seed=4)
    whole = worlds.find_candidates(masks)
    expected = score(whole)
    assert len(expected.pairs) > 100
    for chunk in (1, 7):
        for name in ("graph.candidates._CHUNK", "scores.densities.CHUNK", "graph.divisions._CHUNK"):
            monkeypatch.setattr(f"gnntrack.{name}", chunk)
        graph = worlds.find_candidates(masks)
        np.testing.assert_array_equal(graph.features, whole.features)
        scores = score(graph)
        np.testing.assert_array_equal(scores.pairs, expected.pairs)
        np.testing.assert_array_equal(scores.link, expected.link)
        np.testing.assert_array_equal(scores.division, expected.division)


# --------------------------------------------------------------------------- settings


def test_rates_move_the_scores(monkeypatch):
    """Without rounds, so that the movie does not correct them."""
    world = worlds.mask_dropped()
    graph = worlds.find_candidates(world.masks)

    def link(**rates):
        monkeypatch.setattr(model, "PRIOR", model.PriorRates(**rates))
        return name_scores(world, graph, score(graph, rounds=0))[0]

    assert link(miss_rate=0.1)["a1-a3"] > link(miss_rate=0.001)["a1-a3"]
    assert link(miss_rate=0.1)["a0-a1"] == link(miss_rate=0.001)["a0-a1"]
    assert link(start_rate=0.001)["a0-a1"] > link(start_rate=0.2)["a0-a1"]
    assert link(end_rate=0.001)["a0-a1"] > link(end_rate=0.2)["a0-a1"]
    assert link(border_rate=0.001)["a0-a1"] >= link(border_rate=0.2)["a0-a1"]
    world = worlds.parent_divides()
    graph = worlds.find_candidates(world.masks)

    def division(**rates):
        monkeypatch.setattr(model, "PRIOR", model.PriorRates(**rates))
        return name_scores(world, graph, score(graph, rounds=0))[1]["a2-b3-c3"]

    assert division(division_rate=0.05) > division(division_rate=0.0005)
    assert division(start_rate=0.001) > division(start_rate=0.2)  # else a daughter came from nowhere


def test_a_movie_full_of_divisions_teaches_their_rate(monkeypatch):
    """Nine cells divide at once, though the prior calls divisions rare."""
    world = draw_divisions()
    assert track_world(world) == world.tracks
    graph = worlds.find_candidates(world.masks)
    true = {"-".join([m, *sorted(d)]) for m, d in list_daughters(world.tracks).items()}
    assert len(true) == 9
    found = []
    monkeypatch.setattr(model, "PRIOR", model.PriorRates(division_rate=0.0005))
    monkeypatch.setattr(model, "_estimate_increase", lambda _: 0.0)  # which tells the rate, too
    for rounds in (0, 2):
        _, pairs = name_scores(world, graph, score(graph, rounds=rounds))
        found.append(np.mean([pairs[name] for name in true]))
    assert found[1] > found[0]


def test_the_rate_at_which_cells_enter_is_that_of_the_movie():
    """Cells stay at the edges, of which none enters."""
    lattice, tracks = worlds.draw_lattice()
    graph = worlds.find_candidates(worlds.draw_world(lattice, tracks).masks[:, 20:, 20:])
    first = model.MovieModel.from_graph(graph)
    same = first.compute_same_cell_density(graph)
    fitted = first.refit(graph, model.DivisionCandidates.empty(), same=same, same_in_field=same)
    assert fitted.enter_rate < first.enter_rate == model.PRIOR.border_rate


def list_daughters(tracks):
    """Return {last cell of a parent: first cells of its daughters}."""
    daughters = {}
    for track in tracks:
        own, _, parent = track.partition(" <")
        if parent:
            daughters.setdefault(parent, []).append(own.split()[0])
    return daughters


def draw_divisions():
    """Nine cells, of which each divides between frames 2 and 3, in a direction of its own."""
    disks, tracks = {}, []
    parents, first, second = "aADGJMPSV", "bBEHKNQTW", "cCFILORUX"
    places = [(64, 64)] + [(y, x) for y in (22, 64, 106) for x in (24, 64, 104) if (y, x) != (64, 64)]
    angles = np.random.default_rng(0).uniform(0, np.pi, 9)
    for m, d, e, place, angle in zip(parents, first, second, places, angles, strict=True):
        axis = np.array([np.sin(angle), np.cos(angle)])
        disks |= {f"{m}{t}": (*map(float, place), 8.0) for t in range(3)}
        for t in range(3, 6):
            disks |= {f"{d}{t}": (*(place - (4.5 + t) * axis), 5.8), f"{e}{t}": (*(place + (4.5 + t) * axis), 5.8)}
        tracks += [f"{m}0 {m}1 {m}2", f"{d}3 {d}4 {d}5 <{m}2", f"{e}3 {e}4 {e}5 <{m}2"]
    return worlds.draw_world(disks, tracks)


def test_scores_do_not_depend_on_far_links_that_are_left_out():
    """The scores of links to the next frame are the same in a graph without links over gaps, before any refit."""
    graph = worlds.find_candidates(worlds.parent_divides().masks)
    near = graph.gap == 1
    part = replace(graph, source=graph.source[near], target=graph.target[near], features=graph.features[near])
    whole = score(graph, rounds=0)
    np.testing.assert_allclose(score(part, rounds=0).link, whole.link[near], atol=1e-6)
