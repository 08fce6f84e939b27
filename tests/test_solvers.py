"""Solvers: one contract for all of them, and oracles that need no cleverness."""

from __future__ import annotations

import functools
import itertools
import sys
from itertools import combinations
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, linear_sum_assignment, milp
from scipy.sparse import csr_array
from support import worlds

from gnntrack.errors import FormatError, GnntrackError, InputError
from gnntrack.scores import score_by_overlap, score_links
from gnntrack.settings import ScoreSettings, SimulateSettings, SolverSettings
from gnntrack.simulate import simulate_movie
from gnntrack.solvers import SOLVERS, solve
from gnntrack.solvers.assignment import find_matching
from gnntrack.solvers.objective import compute_link_values
from gnntrack.solvers.packing import find_packing
from gnntrack.types import LinkScores

SEEDS = st.integers(0, 9999)
DEFAULTS = SolverSettings()
every_solver = pytest.mark.parametrize("solver", [name for name in SOLVERS if name != "exact"])


def random_world(seed, *, cells=3, frames=3, gaps=True, divisions=True, levels=None, fill=0.7):
    """Return up to ``cells`` cells a frame with random links, pairs and scores; few ``levels`` of scores make ties."""
    random = np.random.default_rng(seed)
    names = [f"{letter}{t}" for t in range(frames) for letter in "abcdefgh"[: random.integers(0, cells + 1)]]

    def score():
        return float(random.choice(levels) if levels else random.uniform(0.05, 0.99))

    links = {
        f"{a}-{b}": score()
        for a in names
        for b in names
        if 0 < int(b[1:]) - int(a[1:]) <= 1 + gaps and random.uniform() < fill
    }
    pairs = {}
    for first, second in combinations(links, 2):
        (parent, a), (other, b) = first.split("-"), second.split("-")
        siblings = parent == other and a[1:] == b[1:] and int(a[1:]) - int(parent[1:]) == 1
        if divisions and siblings and random.uniform() < fill:
            pairs[f"{parent}-{a}-{b}"] = score()
    return worlds.make_world(" ".join(names), links, pairs, n_frames=frames, seed=seed)


# --------------------------------------------------------------------------- the contract


def keeps_contract(world, chosen, *, divisions=True):
    graph, scores = world.graph, world.scores
    assert isinstance(chosen, np.ndarray)
    assert chosen.dtype == bool
    assert chosen.shape == (len(graph),)
    assert (np.bincount(graph.target[chosen], minlength=1) <= 1).all()
    pairs = {tuple(sorted(pair)) for pair in scores.pairs.tolist()}
    for cell in np.unique(graph.source[chosen]):
        out = np.flatnonzero(chosen & (graph.source == cell))
        assert len(out) == 1 or (divisions and tuple(out) in pairs)


@every_solver
@settings(max_examples=150, deadline=None)
@given(seed=SEEDS, divisions=st.booleans(), levels=st.sampled_from([None, [0.0, 1.0], [0.6], [0.5, 0.9], [1.0]]))
def test_contract(solver, seed, divisions, levels):
    world = random_world(seed, cells=5, frames=4, levels=levels)
    options = SolverSettings(divisions=divisions)
    chosen = solve(solver, world.graph, world.scores, settings=options)
    keeps_contract(world, chosen, divisions=divisions)
    again = solve(solver, world.graph, world.scores, settings=options)
    np.testing.assert_array_equal(chosen, again)


def rename_cells(world, seed):
    """Return the same world with other labels: another order of rows and of links."""
    ends = zip(world.graph.source, world.graph.target, strict=True)
    name = [f"{world.names[source]}-{world.names[target]}" for source, target in ends]
    links = dict(zip(name, world.scores.link.tolist(), strict=True))
    pairs = {
        f"{name[a]}-{name[b].split('-')[1]}": score
        for (a, b), score in zip(world.scores.pairs, world.scores.division.tolist(), strict=True)
    }
    return worlds.make_world(" ".join(world.names), links, pairs, n_frames=world.graph.cells.n_frames, seed=seed)


def same_when_renamed(solver, world, seed):
    found = [w.links(solve(solver, w.graph, w.scores, settings=DEFAULTS)) for w in (world, rename_cells(world, seed))]
    return found[0] == found[1]


@every_solver
@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, divisions=st.booleans())
def test_how_cells_are_labelled_does_not_matter(solver, seed, divisions):
    """No two scores are equal, so that there is one best answer."""
    world = random_world(seed, cells=5, frames=4, divisions=divisions and solver != "hungarian")
    assert same_when_renamed(solver, world, seed + 1)


def test_how_cells_are_labelled_hardly_matters_to_divisions_of_hungarian():
    """Prices of random pairs are corrected in an order of their own; real ones hardly ever are."""
    other = [seed for seed in range(500) if not same_when_renamed("hungarian", random_world(seed, cells=5), seed + 1)]
    assert len(other) <= 5


@every_solver
def test_the_order_of_pairs_does_not_matter(solver):
    for seed in range(20):
        world = random_world(seed, cells=5)
        expected = solve(solver, world.graph, world.scores, settings=DEFAULTS)
        order = np.random.default_rng(seed).permutation(len(world.scores.pairs))
        turned = LinkScores(world.scores.link, world.scores.pairs[order, ::-1], world.scores.division[order])
        np.testing.assert_array_equal(solve(solver, world.graph, turned, settings=DEFAULTS), expected)


def test_hungarian_keeps_the_contract_where_its_rounds_run_out(monkeypatch):
    """Divisions whose value is still wrong are removed."""
    monkeypatch.setattr("gnntrack.solvers.hungarian._ROUNDS", 0)
    for seed in range(60):
        world = random_world(seed, cells=5)
        keeps_contract(world, solve("hungarian", world.graph, world.scores, settings=DEFAULTS))


@every_solver
@pytest.mark.parametrize("world", [worlds.no_cell, worlds.one_cell])
def test_no_candidates_no_links(solver, world):
    world = world()
    assert solve(solver, world.graph, world.scores, settings=DEFAULTS).shape == (0,)


@every_solver
@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("made", worlds.SCORED)
def test_the_contract_on_worlds(solver, made, seed):
    world = made(seed)
    keeps_contract(world, solve(solver, world.graph, world.scores, settings=DEFAULTS))


# --------------------------------------------------------------------------- what the built-in solvers find


@pytest.mark.parametrize("solver", ["iou", "greedy", "hungarian", "triplets"])
@pytest.mark.parametrize("score", [0.0, 1.0])
def test_scores_that_are_all_the_same(solver, score):
    """No link for a score of 0; for 1 as many as fit, divisions first."""
    links = {f"{a}0-{b}1": score for a in "ab" for b in "abcd"}
    pairs = {f"{m}0-{a}1-{b}1": score for m in "ab" for a, b in combinations("abcd", 2)}
    world = worlds.make_world("a0 b0 a1 b1 c1 d1", links, pairs)
    chosen = solve(solver, world.graph, world.scores, settings=DEFAULTS)
    assert chosen.sum() == (0 if not score else 2 if solver == "iou" else 4)


@pytest.mark.parametrize("solver", ["iou", "greedy", "hungarian", "triplets"])
@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("made", worlds.SCORED)
def test_worlds(solver, made, seed):
    world = made(seed)
    found = world.links(solve(solver, world.graph, world.scores, settings=DEFAULTS))
    expected = worlds.list_links(world.tracks)
    if solver == "iou":  # without gaps, divisions and a threshold
        assert all(int(b[1:]) - int(a[1:]) == 1 for a, b in (link.split("-") for link in found))
    elif (solver, made) == ("greedy", worlds.the_best_leaves_less):
        assert found == {"a0-b1"}  # the best link, whatever it leaves
    else:
        assert found == expected


@pytest.mark.parametrize("solver", ["greedy", "hungarian", "triplets"])
def test_thresholds_and_divisions_are_settings(solver):
    world = worlds.one_divides()

    def links(**options):
        return world.links(solve(solver, world.graph, world.scores, settings=SolverSettings(**options)))

    assert links(divisions=False) == {"a0-a1", "a1-b2", "b2-b3", "c2-c3"}
    assert links(division_threshold=0.95) == {"a0-a1", "a1-b2", "b2-b3", "c2-c3"}
    assert links(link_threshold=0.8) == {"a0-a1", "a1-b2", "a1-c2", "b2-b3", "c2-c3"}  # .9 for the division stays
    assert links(link_threshold=0.95, division_threshold=0.95) == set()


def test_the_sum_of_log_odds_is_optimised():
    world = worlds.the_best_leaves_less()
    link = np.array([0.999] + [0.8] * (len(world.graph) - 1), np.float32)
    chosen = solve("triplets", world.graph, LinkScores(link), settings=SolverSettings())
    gain = np.log(link / (1 - link)) - np.log(0.4 / 0.6)
    assert gain[chosen].sum() == pytest.approx(most(world.graph, gain))


def most(graph, gain):
    """Return the greatest total gain of any links that share no cell, by trying all."""
    best = 0.0
    for size in range(1, len(graph) + 1):
        for rows in itertools.combinations(range(len(graph)), size):
            rows = list(rows)
            if len({*graph.source[rows]}) == len({*graph.target[rows]}) == size:
                best = max(best, float(gain[rows].sum()))
    return best


def test_exact_is_another_name_of_triplets():
    assert SOLVERS["exact"] is SOLVERS["triplets"]


def test_an_unknown_solver_is_named_with_the_nearest():
    world = worlds.one_cell()
    with pytest.raises(InputError, match="unknown solver 'hungarain'; did you mean 'hungarian'"):
        solve("hungarain", world.graph, world.scores, settings=DEFAULTS)


@pytest.mark.parametrize(
    ("links", "problem"),
    [
        (lambda graph: np.arange(len(graph)), r"'wrong' returned int64 values of shape \(5,\), expected one bool"),
        (lambda _: np.ones(2, bool), r"returned bool values of shape \(2,\), .* shape \(5,\)"),
        (lambda graph: graph.target == 2, "chose 2 links into and 0 out of frame 1, label"),
        (lambda graph: graph.source == 0, "chose 0 links into and 2 out of frame 0, label"),
    ],
)
def test_a_solver_that_breaks_the_contract_is_named(monkeypatch, links, problem):
    """The two links out of a0 have the score of no pair."""
    world = worlds.make_world("a0 b0 a1 b1 c1", {"a0-a1": 0.9, "a0-b1": 0.9, "b0-a1": 0.8, "b0-b1": 0.8, "b0-c1": 0.7})
    monkeypatch.setitem(SOLVERS.built_in, "wrong", "wrong_solver:solve")
    module = ModuleType("wrong_solver")
    module.solve = lambda graph, scores, *, settings: links(graph)  # noqa: ARG005
    monkeypatch.setitem(sys.modules, "wrong_solver", module)
    with pytest.raises(FormatError, match=problem):
        solve("wrong", world.graph, world.scores, settings=DEFAULTS)


# --------------------------------------------------------------------------- oracles


def odds(score, threshold):
    """Return the value of a score: its log odds minus those of the threshold; finite for scores of 0 and 1."""
    score = np.clip(np.float64(score), 1e-12, 1 - 1e-7)
    return float(np.log(score / (1 - score)) - np.log(threshold / (1 - threshold)))


def parts(world):
    """Return every link and pair that may gain: (links, gain)."""
    link = [odds(score, DEFAULTS.link_threshold) for score in world.scores.link]
    single = [((i,), gain) for i, gain in enumerate(link) if gain > 0]
    double = []
    for pair, score in zip(world.scores.pairs.tolist(), world.scores.division, strict=True):
        extra = odds(score, DEFAULTS.division_threshold)
        if extra > 0:
            double.append((tuple(pair), extra + max(0.0, *(link[i] for i in pair))))
    return single + double


def brute_force(world, options=None):
    """Return the greatest total gain of parts that share no cell's past and no cell's future."""
    graph, options = world.graph, parts(world) if options is None else options

    def best(rest, has_next, has_past):
        if not rest:
            return 0.0
        (links, gain), *rest = rest
        without = best(rest, has_next, has_past)
        source, targets = int(graph.source[links[0]]), {int(graph.target[i]) for i in links}
        if source in has_next or targets & has_past:
            return without
        return max(without, gain + best(rest, has_next | {source}, has_past | targets))

    return best(options, frozenset(), frozenset())


def total(world, chosen):
    """Return the total value of the chosen links."""
    gains = dict(parts(world))
    groups = [np.flatnonzero(chosen & (world.graph.source == s)) for s in np.unique(world.graph.source[chosen])]
    return sum(gains[tuple(sorted(group.tolist()))] for group in groups)


@settings(max_examples=200, deadline=None)
@given(seed=SEEDS, levels=st.sampled_from([None, [0.3, 0.6, 0.9]]))
def test_hungarian_without_pairs_and_gaps_is_the_optimum(seed, levels):
    world = random_world(seed, gaps=False, divisions=False, levels=levels)
    chosen = solve("hungarian", world.graph, world.scores, settings=DEFAULTS)
    assert total(world, chosen) == pytest.approx(brute_force(world))


@pytest.mark.parametrize(("frames", "gaps", "share"), [(2, False, 0.92), (3, True, 0.85)])
def test_hungarian_with_pairs_and_gaps_is_the_optimum_mostly(frames, gaps, share):
    """Random scores are the worst case: all pairs compete. Prices are corrected and gaps come last."""
    ratio = []
    for seed in range(400):
        world = random_world(seed, cells=4 if frames == 2 else 3, frames=frames, gaps=gaps)
        found = total(world, solve("hungarian", world.graph, world.scores, settings=DEFAULTS))
        best = brute_force(world)
        assert found <= best + 1e-6
        ratio.append(found / best if best else 1.0)
    assert np.mean(np.array(ratio) > 1 - 1e-9) >= share
    assert np.mean(ratio) >= 0.985


def pack_by_program(place, value):
    """Return the best packing by one integer program."""
    used = place >= 0
    takes = csr_array((np.ones(used.sum()), (place[used], np.nonzero(used)[0])), (place.max() + 1, len(place)))
    solution = milp(
        -value,
        constraints=LinearConstraint(takes, -np.inf, 1),
        integrality=np.ones(len(value)),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 0},
    )
    return -solution.fun


def optimum(world):
    """Return the greatest total gain by an integer program: a part is in or out, a cell has one past and one future."""
    graph, gains = world.graph, parts(world)
    place = np.full((len(gains), 3), -1)
    for row, (links, _) in zip(place, gains, strict=True):
        row[: 1 + len(links)] = graph.source[links[0]], *(len(graph.cells) + graph.target[list(links)])
    return pack_by_program(place, np.array([gain for _, gain in gains]))


def colony(seed):
    """Return a movie of a colony of which one cell in 30 has no mask."""
    life = SimulateSettings(frames=24, shape=(160, 160), cells=20, cycle=10, images=False)
    masks = np.stack(list(simulate_movie(settings=life, seed=seed).masks))
    random = np.random.default_rng(seed)
    for mask in masks:
        mask[np.isin(mask, random.permutation(np.unique(mask[mask > 0]))[::30])] = 0
    graph = worlds.find_candidates(masks)
    return worlds.ScoredWorld(graph, score_links(graph, settings=ScoreSettings()), (), frozenset())


@pytest.mark.parametrize("seed", range(3))
def test_hungarian_is_next_to_the_optimum_of_a_movie_and_triplets_is_there(seed):
    world = colony(seed)
    best = optimum(world)
    for solver, share in (("hungarian", 0.998), ("triplets", 1 - 1e-9)):
        chosen = solve(solver, world.graph, world.scores, settings=DEFAULTS)
        keeps_contract(world, chosen)
        assert total(world, chosen) >= share * best


@pytest.mark.parametrize("spread", [1.0, 3.0])
def test_triplets_is_the_optimum_where_everything_competes(spread):
    """Scores with little information: one large problem, whose linear program has a fractional optimum."""
    world = colony(0)
    random = np.random.default_rng(0)

    def blur(score):
        score = score.astype(np.float64).clip(1e-6, 1 - 1e-6)
        return 1 / (1 + np.exp(-np.log(score / (1 - score)) / 6 - random.normal(0, spread, len(score))))

    scores = LinkScores(blur(world.scores.link), world.scores.pairs, blur(world.scores.division))
    world = worlds.ScoredWorld(world.graph, scores, (), frozenset())
    chosen = solve("triplets", world.graph, scores, settings=DEFAULTS)
    keeps_contract(world, chosen)
    assert total(world, chosen) == pytest.approx(optimum(world), rel=1e-9)


@settings(max_examples=200, deadline=None)
@given(seed=SEEDS, frames=st.sampled_from([2, 3]), levels=st.sampled_from([None, [0.3, 0.6, 0.9]]))
def test_triplets_is_the_optimum(seed, frames, levels):
    """With pairs and gaps, where hungarian is not always."""
    world = random_world(seed, cells=4 if frames == 2 else 3, frames=frames, levels=levels)
    found = total(world, solve("triplets", world.graph, world.scores, settings=DEFAULTS))
    assert found == pytest.approx(brute_force(world))
    assert found >= total(world, solve("hungarian", world.graph, world.scores, settings=DEFAULTS)) - 1e-9


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_triplets_without_pairs_is_the_assignment_of_a_whole_movie(seed):
    world = random_world(seed, cells=6, frames=4, divisions=False)
    chosen = solve("triplets", world.graph, world.scores, settings=DEFAULTS)
    weight = compute_link_values(world.scores, DEFAULTS)
    np.testing.assert_array_equal(chosen, find_matching(world.graph.source, world.graph.target, weight))


@settings(max_examples=100, deadline=None)
@given(seed=SEEDS)
def test_links_over_gaps_are_the_optimum_given_the_rest(seed):
    world = random_world(seed, cells=4, frames=4)
    graph = world.graph
    chosen = solve("hungarian", world.graph, world.scores, settings=DEFAULTS)
    has_next, has_past = set(graph.source[chosen & (graph.gap == 1)]), set(graph.target[chosen & (graph.gap == 1)])
    gains = {links[0]: gain for links, gain in parts(world) if len(links) == 1}
    rest = [
        ((i,), gain)
        for i, gain in gains.items()
        if graph.source[i] not in has_next and graph.target[i] not in has_past and graph.gap[i] > 1
    ]
    over = np.flatnonzero(chosen & (graph.gap > 1))
    assert sum(gains[i] for i in over) == pytest.approx(brute_force(world, rest))
    # and no link is left that could be added
    used = set(graph.source[chosen]), set(graph.target[chosen])
    assert not [i for i in gains if graph.source[i] not in used[0] and graph.target[i] not in used[1]]


def greedy_twin(world):
    """Return the links that greedy chooses, by the book."""
    source, target = world.graph.source, world.graph.target
    has_next, has_past, chosen = set(), set(), np.zeros(len(source), bool)
    for links, _ in sorted(parts(world), key=lambda part: -part[1]):
        ends = {target[i] for i in links}
        if source[links[0]] not in has_next and not ends & has_past:
            has_next.add(source[links[0]])
            has_past |= ends
            chosen[list(links)] = True
    return chosen


@settings(max_examples=150, deadline=None)
@given(seed=SEEDS, levels=st.sampled_from([None, [0.3, 0.6, 0.9]]))
def test_greedy_is_its_twin(seed, levels):
    world = random_world(seed, cells=5, frames=4, levels=levels)
    chosen = solve("greedy", world.graph, world.scores, settings=DEFAULTS)
    np.testing.assert_array_equal(chosen, greedy_twin(world))


# --------------------------------------------------------------------------- the assignment under them


@settings(max_examples=150, deadline=None)
@given(seed=SEEDS, rows=st.integers(1, 12), columns=st.integers(1, 12), fill=st.floats(0.05, 1), ties=st.booleans())
def test_best_matching_is_that_of_scipy(seed, rows, columns, fill, ties):
    random = np.random.default_rng(seed)
    row, column = np.nonzero(random.uniform(size=(rows, columns)) < fill)
    weight = random.integers(-3, 6, len(row)).astype(float) if ties else random.normal(1, 3, len(row))
    order = random.permutation(len(row))
    row, column, weight = row[order] * 1000, column[order] * 1000, weight[order]
    chosen = find_matching(row, column, weight)
    assert (weight[chosen] > 0).all()
    assert len(set(row[chosen])) == len(set(column[chosen])) == chosen.sum()
    dense = np.zeros((rows, columns))
    dense[row // 1000, column // 1000] = np.maximum(weight, 0)
    best = dense[linear_sum_assignment(dense, maximize=True)].sum()
    assert weight[chosen].sum() == pytest.approx(best)


@pytest.mark.parametrize(("rows", "n_edges"), [(300, 700), (3000, 4500), (200, 6000), (300, 25_000)])
def test_best_matching_of_many_components_and_of_a_large_one(rows, n_edges):
    """Many components are put together in batches; one may be larger, also than `lap.lapmod` solves quickly."""
    random = np.random.default_rng(0)
    row, column = np.divmod(np.sort(random.choice(rows * rows, n_edges, replace=False)), rows)
    weight = random.exponential(3, n_edges)
    chosen = find_matching(row, column, weight)
    dense = np.zeros((rows, rows))
    dense[row, column] = weight
    assert weight[chosen].sum() == pytest.approx(dense[linear_sum_assignment(dense, maximize=True)].sum())
    assert len(set(row[chosen])) == len(set(column[chosen])) == chosen.sum()


def test_best_matching_keeps_to_weights_of_any_size():
    for scale in (1e-6, 1.0, 1e5):
        assert find_matching(np.array([0, 0, 1]), np.array([0, 1, 0]), scale * np.array([3.0, 2.0, 2.0])).tolist() == [
            False,
            True,
            True,
        ]
    none = np.zeros(0, np.int64)
    assert find_matching(none, none, np.zeros(0)).tolist() == []
    assert find_matching(np.array([0]), np.array([0]), np.array([0.0])).tolist() == [False]


# --------------------------------------------------------------------------- the packing under triplets


@pytest.mark.parametrize("n", range(3, 10))
def test_best_packing_of_a_ring(n):
    """Every parent has two neighbouring daughters of a ring as an option; an odd ring allows only halves::

    a0: a1 b1    b0: b1 c1    c0: c1 a1
    """
    parent = np.arange(n)
    place = np.stack([parent, n + parent, n + (parent + 1) % n], axis=1)
    for seed in range(5):
        value = 1 + np.random.default_rng(seed).uniform(0, 0.1, n)
        chosen = find_packing(place, value)
        assert np.bincount(place[chosen].ravel()).max() == 1
        assert value[chosen].sum() == pytest.approx(pack_by_program(place, value))
        assert chosen.sum() == n // 2


def test_rings_of_three_need_no_integer_program(monkeypatch):
    """Integer programs are slow if many links compete."""

    def refuse(place, value):
        pytest.fail(f"an integer program of {len(value)} choices")

    monkeypatch.setattr("gnntrack.solvers.packing._CASES", 0)
    monkeypatch.setattr("gnntrack.solvers.programs._solve_integer_program", refuse)
    rings = np.arange(0, 60, 6)[:, None, None] + np.array([[0, 3, 4], [1, 4, 5], [2, 5, 3]])
    chosen = find_packing(rings.reshape(-1, 3), np.tile([2.0, 3.0, 2.5], len(rings)))
    assert chosen.tolist() == [False, True, False] * len(rings)


def test_a_program_that_fails_is_an_error_not_an_answer(monkeypatch):
    failed = OptimizeResult(success=False, message="Numerical difficulties", x=np.zeros(3))
    monkeypatch.setattr("gnntrack.solvers.packing._CASES", 0)
    monkeypatch.setattr("gnntrack.solvers.programs.linprog", lambda *_, **__: failed)
    with pytest.raises(GnntrackError, match="no solution was found for 3 links and divisions: Numerical difficulties"):
        find_packing(np.array([[0, 3, 4], [1, 4, 5], [2, 5, 3]]), np.array([2.0, 3.0, 2.5]))


@pytest.mark.parametrize("rounds", [0, 4])
@pytest.mark.parametrize("smaller", [0.0, 0.999])
@pytest.mark.parametrize(  # with 1000 cases few programs are left to be put together
    ("cases", "batch"),
    [(0, 1), (0, 4000), (30, 1), (30, 4000), (1000, 4000), pytest.param(1000, 1, marks=pytest.mark.slow)],
)
def test_best_packing_of_random_choices(monkeypatch, batch, rounds, smaller, cases):
    """Many problems of many sizes, with ties, by assignments, by rings, and by integer programs in batches."""
    monkeypatch.setattr("gnntrack.solvers.packing._CASES", cases)
    monkeypatch.setattr("gnntrack.solvers.programs._BATCH", batch)
    monkeypatch.setattr("gnntrack.solvers.programs._ROUNDS", rounds)
    monkeypatch.setattr("gnntrack.solvers.programs._SMALLER", smaller)
    for seed in range(4):
        place, value, best = draw_packing(seed)
        chosen = find_packing(place, value)
        taken = place[chosen]
        assert np.bincount(taken[taken >= 0]).max() == 1
        assert value[chosen].sum() == pytest.approx(best)


@functools.cache
def draw_packing(seed):
    """Return places and values of random choices, and the total value of the best ones by one integer program."""
    random = np.random.default_rng(seed)
    n, fill = 60, random.choice([1.5, 3.0, 5.0])
    first = random.integers(0, n, int(fill * n))
    daughters = n + (first[:, None] + random.choice([[0, 1], [1, 2], [2, 0], [3, 1]], len(first))) % n
    place = np.unique(np.concatenate([first[:, None], daughters], axis=1), axis=0)
    place[random.uniform(size=len(place)) < 0.2, 2] = -1
    place = np.unique(place, axis=0)
    value = random.integers(1, 6, len(place)) + random.choice([0, 0.1]) * random.uniform(size=len(place))
    return place, value, pack_by_program(place, value)


# --------------------------------------------------------------------------- the report's algorithms


def track_cells(previous, current):
    """Algorithm 1: assign the cells of two masks at the least sum of 1 - IoU; return pairs of labels."""
    labels = [np.unique(mask[mask > 0]) for mask in (previous, current)]
    cost = np.ones([len(each) for each in labels])
    for i, p in enumerate(labels[0]):
        for j, c in enumerate(labels[1]):
            a, b = previous == p, current == c
            cost[i, j] = 1 - (a & b).sum() / (a | b).sum()
    assigned = zip(*linear_sum_assignment(cost), strict=True)
    # "add new labels to the cells not assigned": a pair that shares no pixel is none
    return [(int(labels[0][i]), int(labels[1][j])) for i, j in assigned if cost[i, j] < 1], cost


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, step=st.floats(0, 6))
def test_iou_is_the_reports_algorithms(seed, step):
    masks = worlds.draw_blobs((40, 40), 9, frames=3, seed=seed, step=step)
    graph = worlds.find_candidates(masks, flow="none", drift=False)
    chosen = solve("iou", graph, score_by_overlap(graph), settings=DEFAULTS)
    cells = graph.cells
    for frame in range(2):
        here = chosen & (cells.frame[graph.source] == frame)
        found = set(
            zip(cells.label[graph.source[here]].tolist(), cells.label[graph.target[here]].tolist(), strict=True)
        )
        expected, cost = track_cells(masks[frame], masks[frame + 1])
        iou = graph.feature("iou")[here].sum()
        best = 1 - cost[linear_sum_assignment(cost)]
        assert iou == pytest.approx(best.sum(), abs=1e-5)
        if len(np.unique(cost[cost < 1])) == (cost < 1).sum():  # no ties, one answer
            assert found == set(expected)
