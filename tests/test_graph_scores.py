"""Scores of points and links: the rules of the embryo competition, its traps, and the command."""

from __future__ import annotations

import importlib.util
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from support.point_graphs import VOXEL, draw_points, make_pair

import gnntrack
from gnntrack.cli import cli
from gnntrack.errors import InputError
from gnntrack.evaluate import count_graph, evaluate_graphs, point_matching
from gnntrack.io.point_graph import read_point_graph, write_point_graph
from gnntrack.types import PointGraph

# a divides at frame 1 into c and d, which have the children e and f
TREE = "a0:0 b1:0 c2:-20 d2:20 e3:-20 f3:20"
LINKS = "ab bc bd ce df"
LINE = "a0:0 b1:0 c2:0"

CASES = {
    "the truth itself": (TREE, LINKS, TREE, LINKS, (5, 0, 0), (1, 0, 0)),
    "a link over a gap is false": (LINE, "ab bc", LINE, "ac", (0, 1, 2), (0, 0, 0)),
    "a link that is there twice counts once": (LINE, "ab bc", LINE, "ab ab ab", (1, 0, 1), (0, 0, 0)),
    "links beside the annotated cells do not count": (
        LINE, "ab bc", f"{LINE} x0:50 y1:50", "ab bc xy", (2, 0, 0), (0, 0, 0),
    ),
    "going on after the end of the annotation is no mistake": (
        LINE, "ab", "a0:0 b1:0 x2:50", "ab bx", (1, 0, 0), (0, 0, 0),
    ),
    "coming from elsewhere to the first annotated cell is none": (
        "b1:0 c2:0", "bc", "x0:50 b1:0 c2:0", "xb bc", (1, 0, 0), (0, 0, 0),
    ),
    "leaving an annotated cell is one": (LINE, "ab bc", "a0:0 b1:0 x2:50", "ab bx", (1, 1, 1), (0, 0, 0)),
    "entering an annotated cell is one": (LINE, "ab bc", "x0:50 b1:0 c2:0", "xb bc", (1, 1, 1), (0, 0, 0)),
    "a false fork": (LINE, "ab bc", f"{LINE} x2:3", "ab bc bx", (2, 1, 0), (0, 1, 0)),
    "three children are no division, but can be a false one": (
        TREE, LINKS, f"{TREE} x2:3", f"{LINKS} bx", (5, 1, 0), (0, 1, 1),
    ),
    "a fork anywhere in the component finds the division": (
        TREE, LINKS, f"{TREE} g4:20 h4:30", "ab bc ce ad df fg fh", (4, 1, 1), (1, 0, 0),
    ),
    "daughters without the cell before them are none": (
        "a0:0 b1:0 c2:-20 d2:20", "ab bc bd", "x1:9 c2:-20 d2:20", "xc xd", (0, 2, 3), (0, 0, 1),
    ),
    "a frame in which only one grandchild is annotated is a stage with one cell": (
        "b1:0 c2:-20 d2:20 e3:-20", "bc bd ce", "x1:9 c2:-20 d2:20 e3:-20", "xc xd ce", (1, 2, 2), (1, 0, 0),
    ),
    "one fork finds one of two divisions": (
        "a0:0 b1:-20 c1:20 f2:10 g2:30", "ab ac cf cg", "a0:0 b1:-20 c1:20 f2:10 g2:30", "ab ac cf bg",
        (3, 1, 1), (1, 0, 1),
    ),
    "a merge is a mistake": (
        "a0:-4 b0:4 c1:-4 d1:4", "ac bd", "a0:-4 b0:4 c1:-4 d1:4", "ac bc", (1, 1, 1), (0, 0, 0),
    ),
    "no links": (LINE, "ab bc", LINE, "", (0, 0, 2), (0, 0, 0)),
    "nothing": (TREE, LINKS, "", "", (0, 0, 5), (0, 0, 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_counts_of_small_cases(name):
    nodes, links, own_nodes, own_links, edges, divisions = CASES[name]
    counts = count_graph(draw_points(own_nodes, own_links), draw_points(nodes, links), gate=7.0)
    assert (counts.edge_tp, counts.edge_fp, counts.edge_fn) == edges
    assert (counts.division_tp, counts.division_fp, counts.division_fn) == divisions


def find_partners(own, true, gate=7.0):
    """Return the partners of points on a line, in one frame."""
    graphs = [draw_points(" ".join(f"{chr(97 + k)}0:{x}" for k, x in enumerate(places))) for places in (own, true)]
    rows, partners = point_matching.match_points(point_matching.find_neighbours(*graphs, gate))
    return dict(zip(rows.tolist(), partners.tolist(), strict=True))


@pytest.mark.parametrize(
    ("own", "true", "partners"),
    [
        ([1], [0], {0: 0}),
        ([7], [0], {0: 0}),
        ([7.001], [0], {}),
        ([4, 11], [0, 5], {0: 0, 1: 1}),  # 5 takes the farther one, so that 0 has a partner
        ([6, 12, 18], [0, 6, 12], {0: 0, 1: 1, 2: 2}),  # so that all have one, even where two points coincide
        ([50, 6, 12, 18], [0, 6, 12], {0: 1, 1: 2, 2: 3}),
        ([0, 6, 100.4, 5], [-6, 0, 100, 101], {0: 0, 1: 3, 2: 2}),  # one of 100 and 101 has none; two pairs, not one
        ([1, 3], [0, 20], {0: 0}),  # 20 has no partner beyond the gate, though a point is left
        ([3, 1], [0, 20], {0: 1}),
        ([], [0], {}),
        ([0.5], [], {}),
        ([2, -1, 30], [0], {0: 1}),
    ],
)
def test_partners(own, true, partners):
    assert find_partners(own, true) == partners


def test_metrics_of_counts():
    truth = draw_points(TREE, LINKS, total=12)
    scores = evaluate_graphs(draw_points(f"{TREE} x2:3", f"{LINKS} bx"), truth).total.scores()
    jaccard = 5 / 6
    adjusted = jaccard * (1 - 0.1 * (7 - 12) / 12)
    expected = {
        "edge_jaccard": jaccard, "adjusted_edge_jaccard": adjusted, "division_jaccard": 0.0, "score": adjusted,
        "edge_precision": 5 / 6, "edge_recall": 1.0, "edge_f1": 10 / 11, "division_precision": 0.0,
        "division_recall": 0.0, "node_recall": 1.0, "track_purity": 1.0, "complete_tracks": 2 / 3, "nodes": 7,
        "annotated_nodes": 6, "estimated_nodes": 12, "tracks": 3,
    }  # fmt: skip
    assert {name: scores[name] for name in expected} == pytest.approx(expected)
    assert scores["LNK"] == pytest.approx(1 - 0 / 7.5)


def test_purity_and_complete_tracks():
    """Two tracks that change places: each result has two cells of one and one of the other."""
    truth = draw_points("a0:0 b1:0 c2:0 d0:20 e1:20 f2:20", "ab bc de ef")
    counts = count_graph(draw_points("a0:0 b1:0 c2:0 d0:20 e1:20 f2:20", "ab bf de ec"), truth, gate=7.0)
    assert (counts.pure, counts.in_tracks, counts.complete, counts.tracks) == (4, 6, 0, 2)
    assert counts.lnk == pytest.approx(1 - (2 * 1.5 + 2 * 1) / (4 * 1.5))


def test_few_points_are_rewarded_and_many_cost():
    truth = draw_points(LINE, "ab bc", total=30)
    lonely = " ".join(f"{chr(100 + k)}0:{100 + 20 * k}" for k in range(20))
    few, many = (evaluate_graphs(draw_points(nodes, "ab bc"), truth).total for nodes in (LINE, f"{LINE} {lonely}"))
    assert few.adjusted_edge_jaccard == pytest.approx(1.09)
    assert many.adjusted_edge_jaccard == pytest.approx(1 - 0.1 * (23 - 30) / 30)
    assert count_graph(draw_points(LINE, "ab bc"), replace(truth, total=0.1), gate=7.0).adjusted_edge_jaccard == 0


@pytest.fixture(scope="session")
def oracle(more_data):
    """The metric of the competition, written by another person from its description."""
    file = more_data.parent / "tools" / "graph_metric.py"
    if not file.is_file():
        pytest.skip(f"no {file}")
    spec = importlib.util.spec_from_file_location("graph_metric", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def convert_to_oracle(oracle, graph):
    places = np.column_stack([graph.frame, graph.voxels]).tolist()
    nodes = dict(enumerate(map(tuple, places)))
    return oracle.Graph(nodes, np.column_stack([graph.source, graph.target]).tolist(), graph.total)


@pytest.mark.parametrize("whole", [False, True])
def test_random_graphs_are_counted_as_by_the_oracle(oracle, whole):
    found = np.zeros(3, int)
    for seed in range(80):
        result, truth = make_pair(seed, whole=whole, duplicates=bool(seed % 3 == 0))
        wanted = oracle.score_movie(*(convert_to_oracle(oracle, graph) for graph in (result, truth)))
        counts = count_graph(result, truth, gate=7.0)
        assert (counts.edge_tp, counts.edge_fp, counts.edge_fn) == tuple(wanted["edges"]), seed
        assert (counts.division_tp, counts.division_fp, counts.division_fn) == tuple(wanted["divisions"]), seed
        if not math.isnan(wanted["jaccard"]):
            assert counts.adjusted_edge_jaccard == pytest.approx(wanted["adjusted"], abs=1e-9)
        found += wanted["divisions"]
    assert (found > 15).all()


def test_large_frames_are_matched_as_small_ones(monkeypatch):
    pairs = [make_pair(seed) for seed in range(60)]
    small = [count_graph(*pair, gate=7.0) for pair in pairs]
    monkeypatch.setattr(point_matching, "_DENSE", 0)
    assert [count_graph(*pair, gate=7.0) for pair in pairs] == small


def test_the_order_of_points_and_links_makes_no_difference_to_scores():
    result, truth = make_pair(17)
    order = np.random.default_rng(1).permutation(len(result))
    back = np.argsort(order)
    mixed = PointGraph(
        result.id[order], result.frame[order], result.position[order], back[result.source][::-1],
        back[result.target][::-1], result.spacing,
    )  # fmt: skip
    assert count_graph(mixed, truth, gate=7.0) == count_graph(result, truth, gate=7.0)


def test_files_of_the_competition(more_data, oracle, tmp_path):
    folder = more_data / "embryo-points"
    report = evaluate_graphs(folder, folder)
    one = report.movies["6bba_05b6850b"]
    assert (one.edge_tp, one.edge_fp, one.edge_fn, one.edge_jaccard) == (845, 0, 0, 1.0)
    assert one.adjusted_edge_jaccard == pytest.approx(1.0864665)
    truth = read_point_graph(folder / "6bba_05b6850b.geff")
    rng = np.random.default_rng(3)
    noisy = replace(truth, position=truth.position + rng.normal(0, 3, truth.position.shape))
    for whole in (True, False):  # a prediction in whole voxels and one in floats differ
        write_point_graph(noisy, tmp_path / "a.geff", whole_voxels=whole, overwrite=True)
        mine = evaluate_graphs(tmp_path / "a.geff", folder / "6bba_05b6850b.geff").total
        wanted = oracle.score_movie(
            oracle.read_geff(tmp_path / "a.geff"), oracle.read_geff(folder / "6bba_05b6850b.geff")
        )
        assert (mine.edge_tp, mine.edge_fp, mine.edge_fn) == tuple(wanted["edges"])
        assert mine.adjusted_edge_jaccard == pytest.approx(wanted["adjusted"], abs=1e-12)


# ---------------------------------------------------------------- several movies, files and the command

FIRST = 10**17
THIRD = f"2,a,node,{FIRST + 2}"
HEADER = "id,dataset,row_type,node_id,t,z,y,x,source_id,target_id"


def make_movie(seed=0, *, total=100.0, frames=4, cells=6):
    """Cells that stay where they are."""
    rng = np.random.default_rng(seed)
    place = np.rint(np.tile(rng.uniform(0, 60, (cells, 3)) / VOXEL, (frames, 1)))
    frame = np.repeat(np.arange(frames), cells)
    source = np.arange((frames - 1) * cells)
    return PointGraph(np.arange(len(frame)) + FIRST, frame, place * VOXEL, source, source + cells, VOXEL, total=total)


def write_submission(path, graphs, *, change=lambda text: text):
    lines = [HEADER]
    for name, graph in graphs.items():
        for node, t, place in zip(graph.id.tolist(), graph.frame.tolist(), graph.voxels.tolist(), strict=True):
            voxels = ",".join(f"{x:.0f}" for x in place)
            lines.append(f"{len(lines) - 1},{name},node,{node},{t},{voxels},-1,-1")
        for one, other in zip(graph.id[graph.source].tolist(), graph.id[graph.target].tolist(), strict=True):
            lines.append(f"{len(lines) - 1},{name},edge,-1,-1,-1,-1,-1,{one},{other}")
    path.write_text(change("\n".join(lines)) + "\n")
    return path


@pytest.fixture
def truths(tmp_path):
    folder = tmp_path / "truths"
    folder.mkdir()
    for k, name in enumerate(("a_1", "b_2", "c_3")):
        write_point_graph(make_movie(k, total=100.0 + k), folder / f"{name}.geff")
    return folder


def run(*words):
    return CliRunner().invoke(cli, ["evaluate", *map(str, words)])


def test_a_submission_is_scored_against_a_folder(truths, tmp_path, oracle):
    graphs = {"b_2": make_movie(1), "a_1": make_movie(0), "other": make_movie(5)}
    file = write_submission(tmp_path / "s.csv", graphs)
    report = evaluate_graphs(file, truths)
    wanted = oracle.summarise([
        oracle.score_movie(oracle.read(file).get(name, oracle.Graph({}, [])), oracle.read_geff(truths / f"{name}.geff"))
        for name in ("a_1", "b_2", "c_3")
    ])  # fmt: skip
    assert report.total.edge_fn == 18  # c_3 is missing
    assert report.total.score == pytest.approx(wanted["score"], abs=1e-12)
    assert report.notes[:2] == ("c_3 has no result and counts as empty", "other is not in the truth and is not scored")
    result = run(file, "--truth", truths, "--json")
    assert json.loads(result.output)["all"]["edge_jaccard"] == pytest.approx(2 / 3)
    one = evaluate_graphs(file, truths / "a_1.geff").total
    assert (one.edge_tp, one.edge_fn, one.division_jaccard) == (18, 0, None)


def test_the_table(truths, tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    write_point_graph(make_movie(0), results / "a_1.geff")
    write_point_graph(replace(make_movie(1), source=[], target=[]), results / "b_2.geff")
    shown = run(results, "--truth", truths, "--require", "edge_jaccard=0.5")
    assert shown.exit_code == 1
    assert shown.output.splitlines() == [
        "     points  annotated   found  edge J  adj. J  TP/FP/FN      F1  div. J  TP/FP/FN  purity  complete",
        "a_1      24  24 of 100  1.0000  1.0000  1.0760    18/0/0  1.0000       -     0/0/0  1.0000       6/6",
        "b_2      24  24 of 101  1.0000  0.0000  0.0000    0/0/18  0.0000       -     0/0/0  1.0000       0/6",
        "c_3       0  24 of 102  0.0000  0.0000  0.0000    0/0/18  0.0000       -     0/0/0       -       0/6",
        "all      48  72 of 303  0.6667  0.3333  0.3587   18/0/36  0.5000       -     0/0/0  1.0000      6/18",
        "score 0.3587 = 0.3587 (adjusted edge Jaccard)",
        "- points match within 7 um",
        "- c_3 has no result and counts as empty",
        "- sparse truth: 72 of about 303 cells are annotated (23.8%); links that touch none of them are ignored",
        "all: edge_jaccard is 0.333333, 0.5 is required",
    ]


def test_one_movie_needs_no_name(truths, tmp_path):
    write_point_graph(make_movie(0), tmp_path / "mine.geff")
    assert "score 1.0760" in run(tmp_path / "mine.geff", truths / "a_1.geff").output
    scores = gnntrack.evaluate(tmp_path / "mine.geff", make_movie(0, total=None), total=50)
    assert scores["adjusted_edge_jaccard"] == pytest.approx(1.052)
    assert (
        gnntrack.evaluate({"a": make_movie(0), "b": make_movie(1)}, {"a": make_movie(0), "b": make_movie(2)}, gate=3)[
            "movies"
        ]["a"]["edge_jaccard"]
        == 1
    )


def test_masks_are_compared_by_their_centroids(tmp_path):
    masks = np.zeros((3, 40, 60), np.uint16)
    masks[:, 5:12, 5:12], masks[:, 25:33, 20:28] = 1, 2
    lineage = gnntrack.track(masks=masks)
    lineage.to_ctc(tmp_path / "01_RES")
    lineage.to_geff(tmp_path / "lineage.geff")
    scores = gnntrack.evaluate(tmp_path / "lineage.geff", tmp_path / "01_RES")
    assert scores["edge_jaccard"] == 1.0
    assert scores == gnntrack.evaluate(tmp_path / "01_RES", lineage, gate=7)
    assert gnntrack.evaluate(tmp_path / "01_RES", lineage)["TRA"] == 1.0
    (tmp_path / "01_RES").rename(tmp_path / "01_GT")
    assert "edge J" in run(tmp_path / "lineage.geff", "--truth", tmp_path / "01_GT").output


def change_movie(**changes):
    movie = make_movie(0, total=None)
    return replace(movie, **{name: change(movie) for name, change in changes.items()})


@pytest.mark.parametrize(
    ("result", "truth", "problem"),
    [
        (change_movie(position=lambda m: m.voxels), make_movie(0), "look like voxels where um are expected: their"),
        (change_movie(position=lambda m: m.position * VOXEL), make_movie(0), "look like um where voxels are expected"),
        (
            change_movie(frame=lambda m: m.frame + 9, n_frames=lambda _: 13), make_movie(0),
            "no common frame: the result has frames 9 to 12, the truth 0 to 3",
        ),
        (
            change_movie(position=lambda m: m.position + 500), make_movie(0),
            "no annotated cell has a point of the result within 7 um: the points lie at z",
        ),
        (make_movie(0).select(np.zeros(24, bool)), make_movie(0), "the result: the result has no point"),
        (make_movie(0), make_movie(0).select(np.zeros(24, bool)), "the truth: the ground truth has no point"),
        (draw_points(LINE), make_movie(0), "the result is 2D, the truth 3D"),
        (
            {"a": make_movie(0)}, {"b": make_movie(0), "c": make_movie(0)},
            "no movie is in both: the result has a, the truth has b, c",
        ),
        (make_movie(0), 5, "the truth is of type int; expected a path"),
        (
            change_movie(spacing=lambda _: (1, 1, 1), unit=lambda _: "pixel"),
            change_movie(spacing=lambda _: (1, 1, 1)),
            "the result is in voxels, the truth in um without a voxel size; give it",
        ),
    ],
)  # fmt: skip
def test_results_that_do_not_fit_are_explained(result, truth, problem):
    with pytest.raises(InputError, match=problem):
        evaluate_graphs(result, truth)


def test_doubts_are_noted():
    truth = make_movie(0, cells=30)
    beside = replace(truth, position=truth.position + np.where(np.arange(120)[:, None] % 30 > 1, 500, 0))
    assert "only 8 of 120 annotated cells have a point within 7 um: is it" in evaluate_graphs(beside, truth).notes[0]
    gap = evaluate_graphs(draw_points(LINE, "ac"), draw_points(LINE, "ab bc", total=3)).notes[0]
    assert gap.startswith("movie: 1 link of the result spans more than one frame and cannot be right")
    short = evaluate_graphs(truth.select(truth.frame < 3), truth)
    assert short.notes[0] == "movie: the result has no point in 1 of 4 annotated frames"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["x.geff", "y.geff", "--truth", "t.geff"], "--truth is the ground truth of one RES; received 2 paths"),
        (["x.csv", "t.geff", "y.csv", "u.geff"], "scored at once as a folder or a submission"),
        (["none.geff", "--truth", "none.csv", "--spacing", "1,b"], "--spacing '1,b' is not a list of numbers"),
        (["none.geff", "--truth", "none.csv"], "none.csv: no such file; check the path"),
        (["none", "--gate", "5", "--truth", "none"], "none: no such file or folder; expected a GEFF"),
        (["none", "gone", "--spacing", "1"], "--spacing is for points"),
        (["a", "b", "--gate", "0"], "Invalid value for '--gate'"),
    ],
)
def test_lines_that_cannot_be_run(words, problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*words)
    assert result.exit_code == 2
    assert problem in result.output


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (",edge,", ",link,", "line 26 has the row_type 'link'; expected 'node' or 'edge'"),
        ("row_type", "kind", "no column row_type; expected a submission with the columns"),
        (f"{THIRD},0,", f"{THIRD},x,", "line 4 has 'x' in the column t; expected a whole number"),
        (f"{THIRD},0,22,", f"{THIRD},0,nan,", "line 4 has a position that is not finite"),
        (f"{THIRD},0,22,", f"{THIRD},0,one,", "line 4 has 'one' in the column z; expected a number"),
        (THIRD, f"2,a,node,{FIRST}", f"line 4 has the node {FIRST} of movie 'a' again"),
        (f",-1,{FIRST},", ",-1,77,", "line 26 has an edge of the node 77, which movie 'a' lacks"),
        (
            f"{FIRST},{FIRST + 6}",
            f"{FIRST + 6},{FIRST}",
            f"the link {FIRST + 6} -> {FIRST} goes from frame 1 to frame 0",
        ),
    ],
)
def test_broken_submissions_are_refused_with_the_line(tmp_path, old, new, problem):
    file = write_submission(tmp_path / "s.csv", {"a": make_movie(0)}, change=lambda text: text.replace(old, new, 1))
    with pytest.raises(InputError, match=problem):
        evaluate_graphs(file, make_movie(0))


def test_an_empty_submission_is_refused(tmp_path):
    (tmp_path / "s.csv").write_text(HEADER)
    with pytest.raises(InputError, match="a table without rows"):
        evaluate_graphs(tmp_path / "s.csv", make_movie(0))


def test_a_submission_with_empty_fields_and_floats_is_read(tmp_path):
    file = write_submission(tmp_path / "s.csv", {"a": make_movie(0)}, change=lambda text: text.replace(",-1", ","))
    assert evaluate_graphs(file, make_movie(0)).total.edge_jaccard == 1


def test_a_table_of_tracks_is_scored(tmp_path):
    movie = make_movie(0)
    lines = ["track,frame,z,y,x"]
    for row, (t, place) in enumerate(zip(movie.frame.tolist(), movie.voxels.tolist(), strict=True)):
        lines.append(f"{row % 6 + 1},{t},{place[0]},{place[1]},{place[2]}")
    (tmp_path / "tracks.csv").write_text("\n".join(lines))
    assert evaluate_graphs(tmp_path / "tracks.csv", movie).total.edge_jaccard == 1
