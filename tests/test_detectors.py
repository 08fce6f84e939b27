"""Detectors: one contract for all, the classical one, the size of cells, the command and the recipe."""

from __future__ import annotations

import json
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from scipy.spatial import cKDTree
from test_segmenters import FIELD, IMAGES, STACK, draw

import gnntrack
from gnntrack.cli import cli
from gnntrack.errors import FrameError, InputError, MissingDependencyError, OutputError, SegmenterError, SettingsError
from gnntrack.io.omezarr_writer import write_omezarr
from gnntrack.io.point_graph import write_point_graph
from gnntrack.segmentation import DETECTORS, available_detectors, detect_frame, detect_movie, load_detector
from gnntrack.training import DetectorTraining, train_detector
from gnntrack.training.detector import find_point_frames
from gnntrack.training.run import TrainingRun
from gnntrack.training.simulated_points import SimulatedPoints
from gnntrack.types import PointGraph, Points
from segmenters.dog import DogDetector
from segmenters.heat.targets import draw_target
from segmenters.heat.task import compute_heat_loss
from segmenters.heatmap import HeatmapDetector
from segmenters.points.grid import Grid, choose_grid
from segmenters.points.peaks import find_peaks, merge_peaks, refine_peaks, thin_out
from segmenters.points.scale import estimate_diameter

# ------------------------------------------------------------------ the contract of every detector


@pytest.fixture(params=sorted(available_detectors()), scope="module")
def detector(request):
    """Every installed detector."""
    try:
        return load_detector(request.param)
    except MissingDependencyError as error:
        pytest.skip(str(error))


def ones(image):
    return (1.0,) * image.ndim


@pytest.mark.parametrize("name", IMAGES)
def test_returns_points_inside_the_image_and_leaves_it_alone(detector, name):
    image = IMAGES[name]
    before = image.copy()
    points = detect_frame(detector, image, ones(image))
    assert points.position.shape == (len(points), image.ndim)
    assert np.isfinite(points.position).all()
    assert (points.radius > 0).all()
    assert ((points.score >= 0) & (points.score <= 1)).all()
    assert np.array_equal(image, before)


@pytest.mark.parametrize("name", ["constant", "constant 3D", "no pixels"])
def test_an_image_of_one_value_has_no_points(detector, name):
    assert len(detector.detect(IMAGES[name], ones(IMAGES[name]))) == 0


SAME = [(centre, 8, bright) for centre, _, bright in FIELD]  # cells of one size


@pytest.mark.parametrize(("shape", "cells"), [((110, 100), SAME), ((18, 60, 70), STACK)])
def test_finds_each_cell_once(detector, shape, cells):
    image, _ = draw(shape, cells)
    detector.prepare([image], ones(image))
    found = detector.detect(image, ones(image))
    distance, _ = cKDTree(found.position).query([centre for centre, _, _ in cells])
    assert len(found) == len(cells)
    assert distance.max() < 2.5


def test_the_same_image_gives_the_same_points(detector):
    image = IMAGES["2D"]
    first = detector.detect(image, ones(image))
    assert np.array_equal(detector.detect(image, ones(image)).position, first.position)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_an_image_with_nan_or_infinity_is_refused(detector, wrong):
    image = IMAGES["float64"].copy()
    image[0, 4] = wrong
    with pytest.raises(FrameError, match="1 pixel is NaN or infinite"):
        detector.detect(image, ones(image))


@pytest.mark.parametrize("image", [np.zeros(5), np.zeros((2, 3, 4, 5)), np.zeros((4, 4), complex)])
def test_an_array_that_is_not_an_image_is_refused(detector, image):
    with pytest.raises(FrameError, match="shape"):
        detector.detect(image, ones(image))


# ------------------------------------------------------------------ the difference of Gaussians


@lru_cache
def draw_embryo(*, seed=0, light=200.0, spacing=(2.0, 0.5, 0.5), count=24):
    """Nuclei of 7 um at known places in a stack whose planes are four times as far apart as its pixels."""
    rng = np.random.default_rng(seed)
    shape = (24, 120, 120)
    cells = []
    while len(cells) < count:
        place = rng.uniform(4, np.array(shape) * spacing - 4)
        if all(np.linalg.norm(place - other) > 8 for other in cells):
            cells.append(place)
    grid = np.stack(np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij"), -1)
    image = np.full(shape, 100.0)
    for place, bright in zip(cells, rng.uniform(0.3, 1, count), strict=True):
        image += light * bright * np.exp(-((grid - place) ** 2).sum(-1) / (2 * 1.9**2))
    return rng.poisson(image).astype(np.uint16), np.array(cells), spacing


def test_cells_of_a_stack_with_long_voxels_are_found_between_the_voxels():
    image, cells, spacing = draw_embryo()
    found = DogDetector().detect(image, spacing)
    distance, _ = cKDTree(cells).query(found.position * spacing)
    assert len(found) == len(cells)
    assert np.median(distance) < 0.25  # um; a plane is 2 um
    assert distance.max() < 1


def test_brightness_scale_and_offset_change_nothing():
    image, _, spacing = draw_embryo()
    found = DogDetector().detect(image, spacing)
    other = DogDetector().detect(image * 4.0 + 1000, spacing)
    assert np.allclose(found.position, other.position, atol=1e-2)


def test_pure_noise_has_hardly_a_point():
    noise = np.random.default_rng(0).poisson(100, (16, 128, 128))
    assert len(DogDetector(diameter=16).detect(noise, (2.0, 0.5, 0.5))) <= 1


def test_a_dim_cell_beside_bright_ones_is_found_until_the_contrast_forbids_it():
    image, _ = draw((100, 100), [((25, 25), 8, 1.0), ((25, 75), 8, 1.0), ((75, 25), 8, 1.0), ((75, 75), 8, 0.2)])
    assert len(DogDetector().detect(image, (1.0, 1.0))) == 4
    assert len(DogDetector(contrast=0.4).detect(image, (1.0, 1.0))) == 3


def test_the_radius_follows_the_size_of_each_cell():
    image, _ = draw((100, 100), [((25, 25), 6, 1.0), ((25, 75), 8, 1.0), ((75, 50), 10, 1.0)])
    found = DogDetector(diameter=16).detect(image, (0.5, 0.5))
    order = np.argsort(found.radius)
    assert np.allclose(found.position[order], [[25, 25], [25, 75], [75, 50]], atol=1)
    assert np.allclose(found.radius[order], [3, 4, 5], rtol=0.25)  # um


@pytest.mark.parametrize("diameter", [6, 14, 40])
def test_the_diameter_is_estimated_over_many_scales(diameter):
    rows, columns = np.mgrid[1 : 5 * diameter : 2 * diameter, 1 : 7 * diameter : 2 * diameter] + diameter
    cells = [(place, diameter / 2, 1.0) for place in zip(rows.ravel(), columns.ravel(), strict=True)]
    image, _ = draw((7 * diameter, 9 * diameter), cells)
    found = estimate_diameter([image], (0.5, 0.5))
    assert found == pytest.approx(diameter / 2, rel=0.25)  # um


def test_the_noise_of_bright_cells_is_not_taken_for_cells():
    image, _ = draw((300, 300), [((y, x), 30, 1.0) for y in (60, 200) for x in (60, 200)], noise=0, background=0)
    grainy = np.random.default_rng(0).poisson(image).astype(np.uint8)  # dark where no cell is
    assert estimate_diameter([grainy], (1.0, 1.0)) == pytest.approx(60, rel=0.25)


@pytest.mark.parametrize("option", [{"threshold": -1}, {"contrast": 2}, {"closest": "0.5"}, {"diameter": 0}])
def test_an_option_out_of_range_is_refused(option):
    with pytest.raises(
        SegmenterError, match=f"detector 'dog': option {next(iter(option))} is .*, but must be a number"
    ):
        DogDetector(**option)


# ------------------------------------------------------------------ grid and peaks


def test_the_grid_and_its_way_back_agree():
    grid = Grid((2, 3), (1.0, 1.0))
    image = np.arange(35.0).reshape(5, 7)
    values = grid.shrink(image)
    assert values.shape == (3, 3)
    assert values[0, 0] == image[:2, :3].mean()
    assert values[2, 2] == image[4, 6]  # the last blocks repeat the last voxels
    position = np.array([[0.3, 1.7]])
    assert np.allclose(grid.convert(grid.restore(position)), position)


def test_a_peak_is_found_between_voxels():
    place = np.array([10.3, 6.8, 12.45])
    field = np.exp(-((np.indices((20, 15, 25)) - place[:, None, None, None]) ** 2).sum(0) / 8).astype(np.float32)
    peaks = find_peaks(field, 0.1)
    assert len(peaks) == 1
    assert np.allclose(refine_peaks(np.log(field), peaks)[0], place, atol=1e-3)


def test_two_maxima_of_a_flat_cell_are_one_and_those_of_two_cells_are_two():
    rows, columns = np.indices((40, 60))
    flat = np.exp(-((((rows - 20) ** 2 + (columns - 30) ** 2) / 64) ** 3)).astype(np.float32)
    flat[20, 26] = flat[20, 34] = 1.01
    apart = (np.exp(-((columns - 22) ** 2) / 20) + np.exp(-((columns - 38) ** 2) / 20)).astype(np.float32)
    places = np.array([[20.0, 26], [20, 34]])
    assert merge_peaks(flat, places, (1, 1), 20, dip=0.1, noise=0).tolist() == [0]
    assert merge_peaks(apart, places + np.array([[0, -4], [0, 4]]), (1, 1), 20, dip=0.1, noise=0).tolist() == [0, 1]


def test_of_two_near_peaks_the_higher_one_stays_whatever_the_number_of_the_others():
    rng = np.random.default_rng(0)
    position = rng.uniform(0, 30, (400, 3))
    step = (2.0, 1.0, 1.0)
    kept = thin_out(position, step, 4.0)
    expected: list[int] = []
    for row, place in enumerate(position):
        if all(np.linalg.norm((place - position[other]) * step) > 4 for other in expected):
            expected.append(row)
    assert kept.tolist() == expected


# ------------------------------------------------------------------ plug-ins


class Wrong:
    def __init__(self, result):
        self.result = result

    def detect(self, _image, _spacing):
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (np.zeros((2, 2)), r"frame 7: it returned ndarray; expected gnntrack\.types\.Points"),
        (Points.empty(3), "frame 7: it returned positions with 3 axes for an image with 2 axes"),
        (Points([[1, 40]], [1], [1]), "frame 7: it returned a point outside the image"),
        (RuntimeError("no"), "frame 7: it failed with RuntimeError: no"),
    ],
)
def test_a_wrong_result_of_a_plug_in_names_the_frame(result, message):
    with pytest.raises(SegmenterError, match=message):
        detect_frame(Wrong(result), np.zeros((30, 30)), (1.0, 1.0), frame=7)


def test_a_plug_in_without_the_method_is_refused(monkeypatch):
    monkeypatch.setitem(DETECTORS.built_in, "mine", "builtins:dict")
    monkeypatch.setattr(DETECTORS, "find_entries", lambda: {"mine": [type("E", (), {"dist": None, "value": "b:dict"})]})
    with pytest.raises(SegmenterError, match=r"makes a dict, which has no method detect\(image, spacing\)"):
        load_detector("mine")


# ------------------------------------------------------------------ recipe and command


@pytest.fixture(scope="module")
def movie():
    """Cells that move to the right; the last frame is empty."""
    frames = [
        draw((80, 100), [((20 + y, 20 + x + 3 * t), 7, 1.0) for y in (0, 40) for x in (0, 40)])[0] for t in range(3)
    ]
    frames.append(np.full((80, 100), 20, np.float32))
    return np.stack(frames)


def test_a_movie_becomes_a_table(movie, tmp_path):
    points = gnntrack.detect(movie, tmp_path / "points.csv", detector=DogDetector(), spacing=0.5)
    assert list(points.columns) == ["t", "y", "x", "radius", "intensity", "score"]
    assert points.t.value_counts().to_dict() == {0: 4, 1: 4, 2: 4}
    assert points.radius.median() == pytest.approx(3.5, rel=0.25)  # um
    assert points.intensity.median() == pytest.approx(120, rel=0.1)
    again = pd.read_csv(tmp_path / "points.csv")
    assert np.allclose(again[["t", "y", "x"]], points[["t", "y", "x"]], atol=0.006)


def test_found_points_are_tracked(movie):
    lineage = gnntrack.track(points=gnntrack.detect(movie, detector=DogDetector()))
    assert len(lineage) == 4


def test_images_are_tracked_by_their_points(movie, tmp_path):
    detector = DogDetector(diameter=14)
    lineage = gnntrack.track(movie, detector=detector, out=tmp_path / "out")
    assert len(lineage) == 4
    assert lineage.cells.points
    summary = json.loads((tmp_path / "out" / "gnntrack" / "summary.json").read_text())
    assert summary["input"]["points"] == "found by detector DogDetector"
    assert len(gnntrack.build_graph(movie, detector=detector).cells) == 12


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"images": None}, "a detector finds points in images, and none are given"),
        ({"points": [[0, 1, 1]]}, "points are given, and a detector too"),
        ({"masks": np.ones((4, 80, 100), np.uint8)}, "masks too; points are tracked without masks"),
        ({"detector": None, "detector_options": {"diameter": 3}}, "detector_options are given without a detector"),
    ],
)
def test_a_detector_beside_other_sources_is_refused(movie, given, message):
    with pytest.raises(InputError, match=message):
        gnntrack.track(**({"images": movie, "detector": DogDetector()} | given))


def test_a_movie_without_cells_is_an_empty_table():
    points = detect_movie(gnntrack.open_frames(np.zeros((2, 3, 9, 9))), DogDetector())
    assert list(points.columns) == ["t", "z", "y", "x", "radius", "intensity", "score"]
    assert len(points) == 0


@pytest.mark.skipif("dog" not in available_detectors(), reason="gnntrack was installed before it had detectors")
def test_images_without_cells_are_told(tmp_path):
    np.save(tmp_path / "dark.npy", np.zeros((2, 9, 9)))
    table = tmp_path / "my points.csv"
    found = CliRunner().invoke(cli, ["detect", str(tmp_path / "dark.npy"), "-o", str(table)])
    assert (found.exit_code, len(pd.read_csv(table))) == (0, 0)
    assert "nothing is found: check the images" in found.output
    with pytest.raises(InputError, match="no points are found by detector dog in the images; check them"):
        gnntrack.track(tmp_path / "dark.npy", detector="dog")


def test_a_table_of_another_format_is_refused_before_the_work(movie, tmp_path):
    with pytest.raises(OutputError, match=r"give a name that ends in \.csv or \.parquet"):
        gnntrack.detect(movie, tmp_path / "points.xlsx", detector=DogDetector())


def test_a_broken_frame_is_named(movie):
    broken = movie.copy()
    broken[2, 5, 5] = np.nan
    with pytest.raises(FrameError, match=r"frame 2.*1 pixel is NaN"):
        gnntrack.detect(broken, detector=DogDetector())


@pytest.mark.skipif("dog" not in available_detectors(), reason="gnntrack was installed before it had detectors")
def test_the_command_says_how_many_points_there_are(movie, tmp_path):
    np.save(tmp_path / "movie.npy", movie)
    args = ["detect", str(tmp_path / "movie.npy"), "-o", str(tmp_path / "the points.csv"), "--spacing", "0.5"]
    done = CliRunner().invoke(cli, args)
    assert done.exit_code == 0, done.output
    for words in ("12 in 4 frames", "0 to 4, median 4", "1 frame without a point, first frame 3"):
        assert words in done.output
    assert f"track --points '{args[3]}'" in done.output
    again = CliRunner().invoke(cli, args)
    assert again.exit_code == 2
    assert "it exists already" in again.output
    tracked = CliRunner().invoke(cli, ["track", args[1], "--detector", "dog", "-o", str(tmp_path / "tracks.geff")])
    assert "tracks     4" in tracked.output
    both = CliRunner().invoke(cli, ["track", args[1], "--detector", "dog", "--points", args[3], "-o", "out"])
    assert "--points is given too; omit one of the two" in both.output
    wrong = CliRunner().invoke(cli, [*args, "--overwrite", "--threshold", "3", "--option", "threshold=4"])
    assert "the threshold is given twice" in wrong.output


# ------------------------------------------------------------------ training


class Annotated:
    """A stack with nuclei, some of which are annotated."""

    movie = name = "annotated"

    def __init__(self, *, complete=False, seed=0):
        self.image, self.cells, self.spacing = draw_embryo(seed=seed)
        self.complete = complete
        self.known = self.cells if complete else self.cells[::4]

    def read(self):
        position = self.known / self.spacing
        return self.image, Points(position, np.full(len(position), np.nan), np.ones(len(position))), self.spacing


def draw_annotated(*, complete):
    example = Annotated(complete=complete)
    grid = choose_grid(example.spacing, 7.0, 5)
    position = grid.convert(example.read()[1].position)
    values = grid.shrink(example.image)
    radius = np.full(len(position), np.nan)
    return example, grid, draw_target(values, grid.step, position, radius, diameter=7.0, complete=complete)


def test_cells_without_an_annotation_are_unknown_and_the_dark_is_background():
    example, grid, target = draw_annotated(complete=False)
    rows = [tuple(np.rint(place).astype(int)) for place in grid.convert(example.cells / example.spacing)]
    annotated, others = rows[::4], [row for i, row in enumerate(rows) if i % 4]
    assert all(target.known[row] and target.heat[row] > 0.5 for row in annotated)
    alone = [row for row in others if min(np.linalg.norm((np.array(row) - a) * grid.step) for a in annotated) > 7]
    assert alone
    assert not any(target.known[row] for row in alone)
    assert 0.3 < target.known.mean() < 1
    assert draw_annotated(complete=True)[2].known.all()


def test_unknown_voxels_have_no_loss():
    outputs = torch.zeros(1, 2, 4, 4, requires_grad=True)
    heat, radius, known = torch.zeros(1, 4, 4), torch.full((1, 4, 4), torch.nan), torch.zeros(1, 4, 4, dtype=torch.bool)
    known[0, 1, 2] = True
    compute_heat_loss(outputs, heat, radius, known).backward()
    assert torch.nonzero(outputs.grad).tolist() == [[0, 0, 1, 2]]


@pytest.fixture(scope="module")
def sparse_movie(tmp_path_factory):
    """Two frames in the layout of the embryo competition, with a quarter of the nuclei annotated."""
    folder = tmp_path_factory.mktemp("movies")
    frames = [Annotated(seed=seed) for seed in range(2)]
    spacing = frames[0].spacing
    images = np.stack([each.image for each in frames])
    write_omezarr(gnntrack.open_frames(images, spacing=spacing), folder / "a.zarr")
    position = np.concatenate([each.known for each in frames])
    frame = np.repeat([0, 1], [len(each.known) for each in frames])
    graph = PointGraph(np.arange(len(frame)) + 1, frame, position, [], [], spacing, "um", total=48.0, n_frames=2)
    write_point_graph(graph, folder / "a.geff")
    return folder


def test_a_detector_learns_from_a_few_annotated_cells(sparse_movie, tmp_path):
    frames = find_point_frames(sparse_movie)
    assert [(each.frame, each.complete) for each in frames] == [(0, False), (1, False)]
    assert np.allclose(frames[0].read()[1].position * frames[0].read()[2], Annotated(seed=0).known, atol=1.1)
    training = DetectorTraining(steps=2, batch=1, validate_every=1)
    summary = train_detector([sparse_movie], tmp_path / "model", start="shipped", training=training)
    assert (summary["movies"], summary["images"], summary["points"]) == (1, 2, 12)
    resumed = {"run": TrainingRun(tmp_path / "model", resume=True), "start": "shipped", "training": training}
    assert train_detector([sparse_movie], **resumed) == summary
    example = Annotated(seed=5)
    found = HeatmapDetector(model=tmp_path / "model", diameter=14).detect(example.image, example.spacing)
    distance, _ = cKDTree(found.position * example.spacing).query(example.cells)
    assert (distance < 2).mean() > 0.9


def test_points_of_other_images_are_refused(tmp_path):
    write_omezarr(gnntrack.open_frames(np.zeros((1, 4, 9, 9), np.uint16), spacing=(2, 1, 1)), tmp_path / "a.zarr")
    place = np.array([[2.0, 3, 4], [2, 30, 4]])
    graph = PointGraph(np.array([1, 2]), np.array([0, 0]), place, [], [], (2.0, 1.0, 1.0), "um", n_frames=1)
    write_point_graph(graph, tmp_path / "a.geff")
    message = r"1 of 2 points is outside of the \(4, 9, 9\) voxels of .*a\.zarr, such as that at 1, 30, 4; give its own"
    with pytest.raises(InputError, match=message):
        find_point_frames(tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "there is nothing to learn from"),
        (["nowhere"], "nowhere: it does not exist"),
        (["."], "no ground truth; expected NAME.geff"),
    ],
)
def test_a_training_without_data_is_refused(data, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        train_detector(data, tmp_path / "model")


def test_a_detector_that_cannot_learn_is_refused(tmp_path):
    with pytest.raises(SegmenterError, match="detector 'dog' cannot be trained; train 'heatmap'"):
        train_detector([tmp_path], tmp_path / "model", detector="dog")


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"held_out": 1}, {"simulated_axes": 4}, {"diameter": 0}])
def test_a_setting_of_the_training_out_of_range_is_refused(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(SettingsError, match=f"'{name}' = {value}"):
        DetectorTraining(**wrong)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_simulated_images_have_their_nuclei_where_they_say(dimensions):
    found = []
    for seed in range(6):
        image, points, spacing = SimulatedPoints(seed, dimensions).read()
        bright = points.position[(points.intensity > 0.8) & (points.radius > spacing[-1])]
        place = np.rint(bright).astype(int)
        found.append((image[tuple(place.T)] > np.median(image)).mean() if len(place) else 1)
        again = SimulatedPoints(seed, dimensions).read()
        assert np.array_equal(image, again[0])
    assert np.mean(found) > 0.9
