"""Results of points: what the commands write and read, and the balls of formats of masks."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from support.doc_world import expect_success, run_line

import gnntrack
from gnntrack.errors import InputError, ModelError, OutputError
from gnntrack.io import WRITERS, read_lineage
from gnntrack.io.ctc_validate import validate_ctc
from gnntrack.io.delimited import read_delimited
from gnntrack.io.point_graph import write_point_graph
from gnntrack.io.point_tables import read_point_table
from gnntrack.masks.balls import draw_balls
from gnntrack.measure.points import add_features
from gnntrack.types import PointGraph

SPACING = (2.0, 0.5, 0.5)


def make_table(*, frames=4, radius=None):
    """Return points of three cells that move along x; the second one is missing in frame 2."""
    rows = [
        {"t": t, "z": 4.0 + k, "y": 10.0 + 20 * k, "x": 10.0 + t, "radius": radius}
        for t in range(frames)
        for k in range(3)
        if (t, k) != (2, 1)
    ]
    table = pd.DataFrame(rows)
    return table if radius else table.drop(columns="radius")


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("points")
    make_table(radius=3.0).to_csv(folder / "points.csv", index=False)
    images = np.random.default_rng(0).integers(90, 110, (4, 10, 60, 30)).astype(np.uint16)
    np.save(folder / "images.npy", images)
    spacing = ",".join(map(str, SPACING))
    line = f"gnntrack track {folder}/images.npy --points {folder}/points.csv --spacing {spacing} --interval 5min"
    done = expect_success(f"{line} -o {folder}/01_POINTS")
    assert "points" in done.output
    assert "--to ctc --radius RADIUS" in done.output
    return folder


def test_a_result_has_the_files_of_a_result_of_masks_but_no_masks(result):
    folder = result / "01_POINTS" / "gnntrack"
    names = "cells.csv lineage.geff lineage.png overlay.png points.csv review.csv summary.json tracks.csv"
    assert [path.name for path in sorted(folder.iterdir())] == names.split()
    assert [path.name for path in folder.parent.iterdir()] == ["gnntrack"]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["input"]["points"] == str(result / "points.csv")
    assert summary["counts"]["points_in_input"] == 11
    assert summary["movie"]["interval_s"] == 300
    points = pd.read_csv(folder / "points.csv")
    assert list(points.columns)[:7] == ["frame", "label", "track", "parent", "z_pixel", "y_pixel", "x_pixel"]
    cells = pd.read_csv(folder / "cells.csv")
    assert (cells.track == points.track).all()
    np.testing.assert_allclose(cells.y_um, points.y_pixel * 0.5)
    assert (cells.intensity_mean_grey.between(97, 103)).all()
    assert (cells.intensity_contrast_grey.abs() < 4).all()


def test_every_command_takes_a_result_of_points_or_says_why_not(result, tmp_path):
    folder = result / "01_POINTS"
    lineage = gnntrack.load(folder)
    assert lineage.cells.points
    with pytest.raises(InputError, match="points have no masks"):
        lineage.labels()
    assert lineage.cells.shape == (10, 60, 30)
    expect_success(f"gnntrack report {folder} -o {tmp_path}/report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "the masks were not given" not in page
    assert "The images are not shown" not in page
    expect_success(f"gnntrack convert {folder} {tmp_path}/tracks.geff")
    assert np.array_equal(read_lineage(tmp_path / "tracks.geff").track, lineage.track)
    expect_success(f"gnntrack analyse {folder} -o {tmp_path}/analysis")
    assert "points" in expect_success(f"gnntrack info {folder}").output
    assert "11; 2 to 3 a frame" in expect_success(f"gnntrack info {result}/points.csv").output
    expect_success(f"gnntrack track --points {folder} -o {tmp_path}/again.csv")
    for line in (f"serve {folder}", f"apply-edits {folder} edits.json -o {tmp_path}/c"):
        done = run_line(f"gnntrack {line}")
        assert done.exit_code == 2
        assert "a result of points, and corrections need masks" in done.output


@pytest.mark.parametrize("name", list(WRITERS))
def test_every_format_holds_points_or_draws_them(result, tmp_path, name):
    lineage = gnntrack.load(result / "01_POINTS")
    out = tmp_path / "out"
    gnntrack.export(lineage, out, to=name)
    assert out.exists()
    bare = gnntrack.track(points=make_table())
    if not WRITERS[name].needs_masks:
        gnntrack.export(bare, out, to=name, overwrite=True)
        return
    with pytest.raises(InputError, match="give radius"):
        gnntrack.export(bare, out, to=name, overwrite=True)
    gnntrack.export(bare, out, to=name, radius=3, overwrite=True)


@pytest.mark.parametrize("name", ["napari", "laptrack", "btrack", "mastodon", "points", "csv", "geff", "trackmate"])
def test_interpolated_points_are_marked_in_every_format(tmp_path, name):
    lineage = gnntrack.track(points=make_table())
    flags = np.arange(len(lineage.cells)) == 4
    cells = dataclasses.replace(lineage.cells)
    if not cells.has("interpolated"):
        cells = add_features(cells, {"interpolated": (flags.astype(float), "")})
    lineage = dataclasses.replace(lineage, cells=cells)
    count = int(cells.feature("interpolated").sum())
    out = tmp_path / "out"
    gnntrack.export(lineage, out, to=name)
    if name == "geff":
        assert read_lineage(out).cells.feature("interpolated").sum() == count
    elif name == "trackmate":
        assert out.read_text().count('INTERPOLATED="1"') == count
    else:
        table = pd.read_csv(out / "cells.csv" if name == "csv" else out, sep=" " if name == "btrack" else ",")
        assert table["dummy" if name == "btrack" else "interpolated"].sum() == count


def test_one_file_is_written_for_its_suffix(tmp_path):
    table = make_table()
    lineage = gnntrack.track(points=table, out=tmp_path / "a.geff")
    assert np.array_equal(read_lineage(tmp_path / "a.geff").track, lineage.track)
    gnntrack.track(points=table, out=tmp_path / "a.csv")
    points = read_point_table(tmp_path / "a.csv", read_delimited(tmp_path / "a.csv"))
    assert np.array_equal(points.track, lineage.track)
    gnntrack.track(points=table, out=tmp_path / "a.xml")
    assert "<TrackMate" in (tmp_path / "a.xml").read_text()
    with pytest.raises(OutputError, match="as a folder"):
        gnntrack.track(points=table, out=tmp_path / "a.parquet")
    with pytest.raises(OutputError, match="exists already"):
        gnntrack.track(points=table, out=tmp_path / "a.csv")


def test_a_graph_of_points_is_solved_as_track_does(result, tmp_path):
    table = make_table(radius=3.0)
    table.to_csv(tmp_path / "points.csv", index=False)
    expect_success(f"gnntrack build-graph --points {tmp_path}/points.csv --spacing 2,0.5,0.5 -o {tmp_path}/graph.geff")
    expect_success(f"gnntrack solve {tmp_path}/graph.geff -o {tmp_path}/lineage.geff")
    solved = read_lineage(tmp_path / "lineage.geff")
    assert solved.cells.points
    tracked = gnntrack.track(points=table, spacing=SPACING)
    own = np.ones(len(tracked.cells), bool)
    if tracked.cells.has("interpolated"):
        own = tracked.cells.feature("interpolated") == 0
    assert len(np.unique(tracked.track)) == len(np.unique(solved.track)) == 3
    assert own.sum() == 11


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--points points.csv IMAGES MASKS", "masks are given too"),
        ("IMAGES MASKS --radius 3", "--radius belongs to points"),
        ("--points points.csv --segmenter threshold", "points are given; omit them"),
        ("points.csv", "points are given with --points"),
    ],
)
def test_wrong_words_are_refused(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    make_table().to_csv("points.csv", index=False)
    done = run_line(f"gnntrack track {words} -o out")
    assert done.exit_code == 2
    assert message in done.output


def test_a_graph_of_points_of_another_program_is_exported(tmp_path):
    graph = PointGraph(
        np.array([3, 7]), np.array([0, 1]), np.array([[1.0, 2, 3], [1, 2, 4]]), np.array([0]), np.array([1]),
        (1.0, 0.5, 0.5), "um",
    )  # fmt: skip
    write_point_graph(graph, tmp_path / "one.geff")
    expect_success(f"gnntrack export {tmp_path}/one.geff --to csv -o {tmp_path}/csv")
    expect_success(f"gnntrack export {tmp_path}/one.geff --to biohub -o {tmp_path}/one.csv")
    assert len(pd.read_csv(tmp_path / "csv" / "cells.csv")) == 2
    assert pd.read_csv(tmp_path / "one.csv")["x"].tolist() == [6, 8, -1]
    refused = run_line(f"gnntrack convert {tmp_path}/one.csv {tmp_path}/back.geff")
    assert "a submission of the embryo competition" in refused.output


def test_a_frame_alone_and_a_point_alone_are_tracked(tmp_path):
    assert len(gnntrack.track(points=[[0, 5, 5], [0, 20, 20]], out=tmp_path / "a")) == 2
    assert len(gnntrack.track(points=[[3, 5, 5]], out=tmp_path / "b")) == 1


def test_balls_do_not_overlap_and_keep_their_centres():
    rng = np.random.default_rng(0)
    shape = (6, 40, 40)
    pixel = rng.uniform(0, np.array(shape) - 1, (60, 3))
    pixel[1] = pixel[0]  # two points at one place have a voxel each
    radius = rng.uniform(1, 8, 60)
    reach = radius[:, None] / np.array(SPACING)
    image = draw_balls(pixel, reach, shape)
    assert set(np.unique(image)) >= set(range(1, 61))
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 1, 3)
    away = (((grid - pixel) / reach) ** 2).sum(axis=2)  # in radii
    nearest = np.where(away.min(axis=1) <= 1, away.argmin(axis=1) + 1, 0).reshape(shape)
    centres = np.rint(pixel).astype(int)
    own = np.zeros(shape, bool)
    own[tuple(centres.T)] = True
    differ = (image != nearest) & ~own
    assert differ.sum() <= 2  # ties, and the voxel of the doubled point
    assert (image[tuple(centres[2:].T)] > 0).all()


def test_drawn_points_are_a_valid_result_without_gaps(tmp_path):
    lineage = gnntrack.track(points=make_table(), spacing=SPACING)
    gnntrack.export(lineage, tmp_path / "01_RES", to="ctc", radius=3)
    assert not validate_ctc(tmp_path / "01_RES")
    again = gnntrack.load(tmp_path / "01_RES")
    assert len(again.cells) == 12
    assert len(again.tracks) == 3


def test_info_counts_the_tracks_of_a_result_of_points(result, tmp_path):
    text = expect_success(f"gnntrack info {result}/01_POINTS").output
    assert "tracks     3 in 3 families; median 4 frames" in text
    assert "divisions  0" in text
    assert "gaps       1 bridged, 1 point interpolated in them" in text
    assert "method     hungarian, mean confidence of links " in text
    found = json.loads(expect_success(f"gnntrack info {result}/01_POINTS/gnntrack/lineage.geff --json").stdout)
    assert (found["points"], found["tracks"], found["interpolated"], found["gaps_bridged"]) == (12, 3, 1, 1)
    expect_success(f"gnntrack build-graph --points {result}/points.csv -o {tmp_path}/candidates.geff")
    text = expect_success(f"gnntrack info {tmp_path}/candidates.geff").output
    assert f"candidates; gnntrack solve {tmp_path}/candidates.geff" in text
    assert "tracks" not in text.partition("candidates;")[0]
    with pytest.raises(
        InputError, match=r"candidates\.geff: it holds candidate links; solve the graph first: gnntrack solve"
    ):
        gnntrack.evaluate(tmp_path / "candidates.geff", result / "01_POINTS")


def test_info_gives_no_distance_where_every_point_is_alone_in_its_frame(tmp_path):
    (tmp_path / "points.csv").write_text("frame,y,x\n0,1,5\n1,1,9\n2,1,2\n")
    text = expect_success(f"gnntrack info {tmp_path}/points.csv").output
    assert "3; 1 to 1 a frame" in text
    assert "nearest point" not in text
    (tmp_path / "points.csv").write_text("frame,y,x\n0,1,5\n1,1,9\n2,1,2\n2,1,5\n")
    found = json.loads(expect_success(f"gnntrack info {tmp_path}/points.csv --json").stdout)
    assert found["neighbour_distance"] == 3


def test_what_points_are_mistaken_for_is_named(result, tmp_path):
    nodes = gnntrack.load(result / "01_POINTS")
    gnntrack.export(nodes, tmp_path / "submission.csv", to="biohub")
    gnntrack.export(nodes, tmp_path / "tracks.xml", to="trackmate")
    with pytest.raises(InputError, match=r"a submission of the embryo competition, .*'gnntrack evaluate' reads it"):
        gnntrack.track(points=tmp_path / "submission.csv")
    with pytest.raises(InputError, match=r"convert it first: gnntrack convert .*tracks\.xml tracks\.geff"):
        gnntrack.evaluate(tmp_path / "tracks.xml", result / "01_POINTS")
    with pytest.raises(ModelError, match=r"omit it \(--model\) for the model of points that comes with gnntrack"):
        gnntrack.track(points=make_table(), method="gnn", model="points")
    for name in "ab":
        (tmp_path / "MOVIES").mkdir(exist_ok=True)
        (tmp_path / "MOVIES" / f"{name}_points.csv").write_text("frame,y,x\n0,1,5\n")
    with pytest.raises(
        InputError, match=r"holds 2 tables of points, such as .*a_points\.csv; .* 'gnntrack batch' for all"
    ):
        gnntrack.open_frames(tmp_path / "MOVIES")


def test_info_counts_the_tracks_beside_the_masks_of_a_result(tmp_path):
    masks = np.zeros((4, 20, 20), np.uint8)
    masks[:2, 5:13, 5:13], masks[2:, 3:8, 5:13], masks[2:, 10:15, 5:13] = 1, 2, 3
    gnntrack.track(masks=masks, out=tmp_path / "01_RES")
    found = json.loads(expect_success(f"gnntrack info {tmp_path}/01_RES --json").stdout)
    assert (found["tracks"], found["divisions"]) == (3, 1)


def test_balls_have_the_size_of_a_voxel_and_the_interval(result, tmp_path):
    expect_success(f"gnntrack export {result}/01_POINTS --to ctc -o {tmp_path}/01_RES")
    frames = gnntrack.open_frames(tmp_path / "01_RES")
    assert (frames.spacing, frames.unit, frames.interval, frames.shape) == (SPACING, "um", 300, (10, 60, 30))
    drawn, points = gnntrack.load(tmp_path / "01_RES"), gnntrack.load(result / "01_POINTS")
    assert (drawn.cells.spacing, drawn.cells.unit, drawn.provenance.interval) == (SPACING, "um", 300)
    places = [cells.position[np.lexsort((cells.position[:, 1], cells.frame))] for cells in (drawn.cells, points.cells)]
    np.testing.assert_allclose(*places, atol=1)
    for name in ("flat", "unknown"):  # in 2D, and without the size of a voxel
        spacing = {"spacing": (0.5, 0.25)} if name == "flat" else {}
        lineage = gnntrack.track(points=[[t, 5, 5 + t] for t in range(3)], **spacing)
        gnntrack.export(lineage, tmp_path / name, radius=1)
        assert gnntrack.load(tmp_path / name).cells.spacing == (spacing.get("spacing") or (1, 1))


def test_gaps_are_those_of_the_result(result, tmp_path):
    dropped = expect_success(f"gnntrack track --points {result}/points.csv -o {tmp_path}/none --min-length 9").output
    assert "tracks     0" in dropped
    assert "gaps       0 bridged\n" in dropped
    assert json.loads((tmp_path / "none/gnntrack/summary.json").read_text())["counts"]["gaps_bridged"] == 0
    drawn = expect_success(f"gnntrack export {result}/01_POINTS --to ctc --radius 3 -o {tmp_path}/01_RES").output
    assert "gaps       1 bridged, 1 mask drawn in them\n" in drawn
    listed = expect_success(f"gnntrack export {result}/01_POINTS --to points -o {tmp_path}/points.csv").output
    assert "gaps       1 bridged, 1 point interpolated in them\n" in listed
