"""Segmenters: one contract for all, the registry, movies, and the segmenter 'threshold'."""

from __future__ import annotations

import sys
import textwrap

import numpy as np
import pytest
import tifffile
from scipy import ndimage
from support.movies import compute_ious
from support.tiny_models import train_tiny

from gnntrack.errors import FrameError, MissingDependencyError, ModelError, OutputError, SegmenterError
from gnntrack.io.frames import open_frames
from gnntrack.io.stack import Stack
from gnntrack.segmentation import (
    available_segmenters,
    check_labels,
    load_segmenter,
    prepare_segmenter,
    segment_frame,
    segment_movie,
)
from segmenters.threshold import ThresholdSegmenter


def draw(shape, cells, *, level=100.0, noise=2.0, background=20.0, seed=0):
    """Round cells (centre, radius, brightness) on an even background, a little blurred, with noise."""
    grid = np.indices(shape)
    image = np.zeros(shape)
    truth = np.zeros(shape, np.int32)
    for label, (centre, radius, bright) in enumerate(cells, start=1):
        centre = np.array(centre).reshape(-1, *[1] * len(shape))
        inside = ((grid - centre) ** 2).sum(0) <= radius**2
        image[inside] = bright * level
        truth[inside] = label
    image = ndimage.gaussian_filter(image, 1) + background
    return (image + np.random.default_rng(seed).normal(0, noise, shape)).astype(np.float32), truth


FIELD = [((20, 20), 8, 1.0), ((20, 60), 9, 0.5), ((60, 25), 7, 2.0), ((70, 75), 10, 0.3), ((95, 40), 8, 1.0)]
STACK = [((8, 15, 20), 6, 1.0), ((10, 40, 22), 7, 0.5), ((7, 30, 50), 6, 2.0)]

# ------------------------------------------------------------------ the contract of every segmenter


@pytest.fixture(params=sorted(available_segmenters()), scope="module")
def segmenter(request, tmp_path_factory):
    """Every installed segmenter; one that needs a model is trained for a few steps."""
    if request.param in {"cellpose", "stardist"}:
        pytest.skip("their weights are downloaded; test_adapters.py has the contract for stand-ins")
    try:
        return load_segmenter(request.param)
    except MissingDependencyError as error:
        pytest.skip(str(error))
    except ModelError:
        return load_segmenter(request.param, model=train_tiny(request.param, tmp_path_factory.mktemp(request.param)))


def fits(segmenter, image):
    """Return whether a segmenter takes images with this number of axes; it must refuse others."""
    if image.ndim in getattr(segmenter, "dimensions", (2, 3)):
        return True
    with pytest.raises(FrameError, match=r"of shape .* expected"):
        segmenter.segment(image)
    return False


IMAGES = {
    "2D": draw((110, 100), FIELD)[0],
    "uint8": draw((110, 100), FIELD)[0].clip(0, 255).astype(np.uint8),
    "uint16": draw((110, 100), FIELD)[0].clip(0).astype(np.uint16),
    "int32, shifted below 0": draw((110, 100), FIELD)[0].astype(np.int32) - 500,
    "float64": draw((110, 100), FIELD)[0].astype(np.float64) / 255,
    "bool": draw((110, 100), FIELD)[1] > 0,
    "3D": draw((18, 60, 70), STACK)[0],
    "flat stack": draw((1, 60, 70), [((0, 30, 30), 8, 1.0)])[0],
    "noise": np.random.default_rng(0).normal(size=(90, 100)),
    "constant": np.full((40, 50), 7, np.uint16),
    "constant 3D": np.zeros((3, 40, 50)),
    "one bright pixel": np.pad(np.ones((1, 1)), 20),
    "narrow": draw((3, 200), [((1, 100), 8, 1.0)])[0],
    "checkerboard of 1 bit": np.indices((60, 70)).sum(0) % 2 == 0,
    "two values": np.repeat(np.array([0, 65535], np.uint16), 800).reshape(40, 40),
    "all values of 16 bits": np.arange(65536, dtype=np.uint16).reshape(256, 256),
    "huge values": np.pad(np.full((9, 9), 3e38, np.float32), 20, constant_values=-3e38),
    "values beyond float32": np.pad(np.full((9, 9), 1e300), 20),
    "tiny values": np.pad(np.full((9, 9), 1e-38, np.float32), 20),
    "two values, 3D": np.pad(np.ones((3, 9, 9), np.uint8), 4),
    "noise of 8 bits, 3D": np.random.default_rng(0).integers(0, 256, (4, 40, 50), np.uint8),
    "one pixel": np.ones((1, 1)),
    "no pixels": np.zeros((0, 30)),
    "read only": draw((110, 100), FIELD)[0],
    "transposed": draw((110, 100), FIELD)[0].T,
}
IMAGES["read only"].flags.writeable = False


@pytest.mark.parametrize("name", IMAGES)
def test_returns_labels_of_the_images_shape_and_leaves_the_image_alone(segmenter, name):
    image = IMAGES[name]
    if not fits(segmenter, image):
        return
    before = image.copy()
    labels = check_labels(segmenter.segment(image), image, "any")
    assert np.array_equal(np.unique(labels[labels > 0]), np.arange(1, labels.max(initial=0) + 1))
    assert np.array_equal(image, before)


@pytest.mark.parametrize("name", ["constant", "constant 3D", "no pixels"])
def test_an_image_of_one_value_has_no_cells(segmenter, name):
    assert not fits(segmenter, IMAGES[name]) or not segmenter.segment(IMAGES[name]).any()


@pytest.mark.parametrize("name", ["2D", "3D"])
def test_the_same_image_gives_the_same_labels(segmenter, name):
    if not fits(segmenter, IMAGES[name]):
        return
    first = segmenter.segment(IMAGES[name])
    between = IMAGES["uint8"] if fits(segmenter, IMAGES["uint8"]) else IMAGES["flat stack"]
    segmenter.segment(between)  # what it saw in between does not count
    assert np.array_equal(segmenter.segment(IMAGES[name]), first)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_an_image_with_nan_or_infinity_is_refused(segmenter, wrong):
    image = IMAGES["float64" if 2 in getattr(segmenter, "dimensions", (2, 3)) else "3D"].copy()
    image[0, 4, ...].flat[0] = wrong
    with pytest.raises(FrameError, match="1 pixel is NaN or infinite"):
        segmenter.segment(image)


@pytest.mark.parametrize(
    "image", [np.zeros(5), np.zeros((2, 3, 4, 5)), np.zeros((4, 4), complex), np.full((4, 4), "a")]
)
def test_an_array_that_is_not_an_image_is_refused(segmenter, image):
    with pytest.raises(FrameError, match="shape"):
        segmenter.segment(image)


# --------------------------------------------------------------------------------- the threshold


@pytest.mark.parametrize(("shape", "cells", "least"), [((110, 100), FIELD, 0.8), ((18, 60, 70), STACK, 0.6)])
def test_threshold_finds_dim_and_bright_cells(shape, cells, least):
    image, truth = draw(shape, cells)
    labels = ThresholdSegmenter().segment(image)
    assert labels.max() == len(cells)
    assert compute_ious(labels, truth).min() > least


def test_threshold_ignores_brightness_scale_and_offset():
    image, _ = draw((110, 100), FIELD)
    labels = ThresholdSegmenter().segment(image)
    assert np.array_equal(ThresholdSegmenter().segment(image * 8 + 1024), labels)


def test_threshold_finds_dark_cells():
    image, truth = draw((110, 100), FIELD)
    assert compute_ious(ThresholdSegmenter(foreground="dark").segment(-image), truth).min() > 0.8
    assert compute_ious(ThresholdSegmenter(foreground="bright").segment(-image), truth).max() < 0.5


def test_threshold_sees_cells_on_an_uneven_background():
    image, truth = draw((300, 320), [((y, x), 9, 0.3) for y in range(40, 300, 60) for x in range(40, 320, 70)])
    rows, columns = np.indices(image.shape)
    slope = 150 * np.exp(-(((rows - 60) / 200) ** 2 + ((columns - 300) / 250) ** 2))
    assert compute_ious(ThresholdSegmenter().segment(image + slope), truth).min() > 0.75
    assert compute_ious(ThresholdSegmenter(background=0).segment(image + slope), truth).min() < 0.5


def test_threshold_splits_touching_cells_at_the_neck():
    image, truth = draw((60, 80), [((30, 25), 12, 1.0), ((30, 47), 12, 1.0)])
    labels = ThresholdSegmenter().segment(image)
    assert labels.max() == 2
    assert compute_ious(labels, truth).min() > 0.85
    assert ThresholdSegmenter(neck=0.1).segment(image).max() == 1


def test_threshold_keeps_a_long_cell_in_one_piece():
    image = np.zeros((60, 140), np.float32)
    image[22:38, 15:125] = 100
    image = ndimage.gaussian_filter(image, 3) + np.random.default_rng(0).normal(0, 1, image.shape)
    assert ThresholdSegmenter().segment(image).max() == 1


def test_threshold_fills_holes():
    image, truth = draw((60, 60), [((30, 30), 14, 1.0)])
    hole = np.hypot(*(np.indices(image.shape) - 30)) < 4
    image[hole] = 20
    assert ThresholdSegmenter().segment(image)[hole].all()
    assert compute_ious(ThresholdSegmenter().segment(image), truth).min() > 0.85


def test_threshold_removes_objects_much_smaller_than_the_typical_cell():
    specks = [((y, x), 1.0, 1.0) for y, x in [(10, 45), (45, 45), (85, 10), (100, 80), (45, 95)]]
    image, _ = draw((110, 100), FIELD + specks)
    assert ThresholdSegmenter().segment(image).max() == len(FIELD)


def test_threshold_finds_next_to_nothing_in_noise():
    assert ThresholdSegmenter().segment(IMAGES["noise"]).max() == 0


def test_threshold_uses_the_distance_between_planes():
    # Two balls above each other, five planes apart in depth: planes are four times as thick as pixels are wide.
    shape = (14, 60, 60)
    z, y, x = np.indices(shape) * np.array([4, 1, 1]).reshape(3, 1, 1, 1)
    image = np.zeros(shape, np.float32)
    for centre in (16, 38):
        image[(z - centre) ** 2 + (y - 30) ** 2 + (x - 30) ** 2 <= 13**2] = 100
    image += np.random.default_rng(0).normal(0, 2, shape)
    labels = ThresholdSegmenter(spacing=(4, 1, 1)).segment(image)
    assert labels.max() == 2
    assert labels[4, 30, 30] != labels[9, 30, 30]
    scaled = ThresholdSegmenter(spacing=(2.0, 0.5, 0.5)).segment(image)
    assert np.array_equal(scaled, labels)


@pytest.mark.parametrize(
    "options",
    [
        {"foreground": "light"}, {"diameter": 0}, {"smoothing": -1}, {"outline": 1.5}, {"neck": -0.1},
        {"min_size": 2}, {"noise": -1}, {"spacing": (1,)}, {"spacing": (1, 0)},
    ],
)  # fmt: skip
def test_threshold_refuses_options_out_of_range(options):
    with pytest.raises(SegmenterError, match=f"option {next(iter(options))} is"):
        ThresholdSegmenter(**options)


def test_threshold_refuses_spacing_that_does_not_fit():
    with pytest.raises(FrameError, match="option spacing has 3 values; give one value per axis"):
        ThresholdSegmenter(spacing=(1, 1, 1)).segment(IMAGES["2D"])


def test_given_values_replace_estimates():
    image, _ = draw((110, 100), FIELD)
    assert ThresholdSegmenter(threshold=70).segment(image).max() == 3  # the cells of brightness 1 and 2
    assert ThresholdSegmenter(smoothing=0, diameter=16).segment(image).max() == len(FIELD)


@pytest.mark.data
@pytest.mark.parametrize(
    ("dataset", "frame", "least"),
    [("Fluo-N2DH-GOWT1", "021", 0.83), ("Fluo-N2DH-SIM+", "032", 0.80), ("Fluo-N2DL-HeLa", "050", 0.55)],
)
def test_threshold_on_real_images(ctc_data, dataset, frame, least):
    # Floors well below what is measured, so that only a real loss trips them.
    files = sorted((ctc_data / dataset / "01_GT" / "SEG").glob("man_seg*.tif"))
    truth_file = min(files, key=lambda file: abs(int(file.stem[7:]) - int(frame)))
    truth = tifffile.imread(truth_file)
    truth = np.unique(truth, return_inverse=True)[1].reshape(truth.shape)
    image = tifffile.imread(ctc_data / dataset / "01" / f"t{truth_file.stem[7:]}.tif")
    assert compute_ious(ThresholdSegmenter().segment(image), truth).mean() > least


# ------------------------------------------------------------------------------- finding segmenters


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a distribution with one module and its entry points."""
    modules = []

    def run(distribution, module, source, *, extras="", **entries):
        site = tmp_path / distribution
        info = site / f"{distribution}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = "".join(f"{name} = {module}:{attr}{extras}\n" for name, attr in entries.items())
        (info / "entry_points.txt").write_text(f"[gnntrack.segmenters]\n{lines}")
        (site / f"{module}.py").write_text(textwrap.dedent(source))
        monkeypatch.syspath_prepend(str(site))
        modules.append(module)

    yield run
    for module in modules:
        sys.modules.pop(module, None)


GOOD = '''
    """A plug-in."""
    import numpy
    from os import path

    class Zeros:
        """All background.

        More.
        """

        def __init__(self, *, size, colour="red"):
            if size < 0:
                raise ValueError("no negative sizes")

        def segment(self, image):
            return numpy.zeros(image.shape, int)
'''


def test_a_segmenter_of_another_package_is_found_and_made(install):
    install("cell-zeros", "cell_zeros", GOOD, zeros="Zeros")
    info = available_segmenters()["zeros"]
    assert (info.distribution, info.description, info.needs, info.missing) == (
        "cell-zeros", "All background.", ("numpy",), ()
    )  # fmt: skip
    assert "cell_zeros" not in sys.modules
    assert not load_segmenter("zeros", size=3).segment(np.ones((3, 3))).any()


def test_an_unknown_name_names_the_nearest(install):
    install("cell-zeros", "cell_zeros", GOOD, zeros="Zeros")
    with pytest.raises(SegmenterError, match=r"segmenter 'zero'; did you mean 'zeros'\? .*threshold, unet, zeros"):
        load_segmenter("zero")


def test_a_missing_library_is_reported_with_the_pip_line(install):
    source = "import cellfinder3000\nclass Finder:\n    '''Finds.'''\n"
    install("finder", "finder_plugin", source, finder="Finder")
    assert available_segmenters()["finder"].missing == ("cellfinder3000",)
    with pytest.raises(MissingDependencyError, match=r"needs 'cellfinder3000'.*: pip install cellfinder3000"):
        load_segmenter("finder")


def test_the_pip_line_names_the_extra_that_the_entry_point_asks_for(install):
    install("finder", "finder_plugin", "import cellfinder3000", extras=" [gpu]", finder="Finder")
    with pytest.raises(MissingDependencyError, match=r"pip install 'finder\[gpu\]'"):
        load_segmenter("finder")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("class Thing:\n    pass", "makes a Thing, which has no method segment"),
        ("Thing = 3", "is of type int and cannot be called; its author must register a class"),
        ("def Thing():\n    return dict", "makes a type, which has no method segment"),
    ],
)
def test_an_object_that_is_not_a_segmenter_is_reported(install, source, problem):
    install("thing", "thing_plugin", source, thing="Thing")
    with pytest.raises(SegmenterError, match=problem):
        load_segmenter("thing")


def test_a_name_that_two_packages_claim_is_reported_when_it_is_used(install):
    install("one", "plugin_one", GOOD, zeros="Zeros")
    install("two", "plugin_two", GOOD, zeros="Zeros")
    assert available_segmenters()["zeros"].distribution in {"one and two", "two and one"}
    with pytest.raises(SegmenterError, match=r"registered more than once, by (one|two) .* and (one|two) "):
        load_segmenter("zeros", size=1)
    load_segmenter("threshold")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("def broken(:", "SyntaxError"),
        ("raise RuntimeError('no driver')", "RuntimeError: no driver"),
        ("from broken_plugin.missing import x", "broken_plugin.missing"),
        ("x = 1", "has no attribute 'Broken'"),
    ],
)
def test_a_broken_plug_in_is_reported_when_it_is_used_and_not_before(install, source, problem):
    install("broken", "broken_plugin", source, broken="Broken")
    assert available_segmenters()["broken"].description == ""
    load_segmenter("threshold")
    with pytest.raises(SegmenterError, match=f"segmenter 'broken' of broken: .*{problem}"):
        load_segmenter("broken")


def test_options_are_checked_against_the_class(install):
    install("cell-zeros", "cell_zeros", GOOD, zeros="Zeros")
    with pytest.raises(SegmenterError, match="no option 'color'; did you mean 'colour'"):
        load_segmenter("zeros", size=1, color="blue")
    with pytest.raises(SegmenterError, match="needs the option size"):
        load_segmenter("zeros")
    with pytest.raises(SegmenterError, match="cannot be made with size=-1: ValueError: no negative"):
        load_segmenter("zeros", size=-1)


# ------------------------------------------------------------------------------------------ movies


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (np.zeros((4, 5), np.float32), "float32"),
        (np.zeros((4, 5), bool), "bool.*number the cells"),
        (np.zeros((5, 4), int), r"shape \(5, 4\) for an image of shape \(4, 5\)"),
        (np.full((4, 5), -2), "the label -2"),
        ([[0]], "returned list"),
        (None, "returned NoneType"),
    ],
)
def test_labels_are_checked_and_the_message_names_segmenter_and_frame(labels, problem):
    with pytest.raises(SegmenterError, match=f"segmenter 'mine', frame 3: .*{problem}"):
        check_labels(labels, np.zeros((4, 5)), "mine", 3)


class Movie:
    spacing, unit, shape = (1.0, 1.0), "pixel", (110, 100)

    def __init__(self, frames):
        self.frames = frames
        self.names = [f"t{k:03d}.tif" for k in range(len(frames))]

    def __len__(self):
        return len(self.frames)

    def __getitem__(self, frame):
        return self.frames[frame]


class Returns:
    def __init__(self, result):
        self.result = result

    def segment(self, image):
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def test_a_movie_becomes_a_folder_of_masks(tmp_path):
    reported = []
    movie = Movie([IMAGES["2D"], np.zeros((110, 100)), IMAGES["uint8"]])
    cells = segment_movie(movie, ThresholdSegmenter(), tmp_path / "masks", progress=lambda *step: reported.append(step))
    assert cells == 2 * len(FIELD)
    assert reported == [("segment", 1, 3), ("segment", 2, 3), ("segment", 3, 3)]
    masks = [tifffile.imread(tmp_path / "masks" / f"mask{k:03d}.tif") for k in range(3)]
    assert [mask.dtype for mask in masks] == [np.uint16] * 3
    assert np.array_equal(masks[0], ThresholdSegmenter().segment(IMAGES["2D"]))
    assert not masks[1].any()


def test_large_labels_are_kept(tmp_path):
    labels = np.zeros((110, 100), np.int64)
    labels[3, 4] = 2_000_000_000
    assert segment_movie(Movie([labels]), Returns(labels), tmp_path / "masks") == 1
    assert tifffile.imread(tmp_path / "masks" / "mask000.tif").max() == 2_000_000_000


def test_masks_of_many_frames_sort_by_name(tmp_path):
    segment_movie(Movie([np.zeros((2, 2))] * 1001), Returns(np.zeros((2, 2), int)), tmp_path / "masks")
    names = sorted(file.name for file in (tmp_path / "masks").glob("*.tif"))
    assert (names[0], names[-1]) == ("mask0000.tif", "mask1000.tif")


def test_a_failure_in_the_middle_leaves_nothing_and_names_the_frame(tmp_path):
    movie = Movie([IMAGES["2D"], np.full((110, 100), np.nan)])
    with pytest.raises(FrameError, match=r"t001\.tif, frame 1: 11000 pixels are NaN"):
        segment_movie(movie, ThresholdSegmenter(), tmp_path / "masks")
    assert not list(tmp_path.iterdir())


def test_existing_masks_are_refused_unless_overwrite(tmp_path):
    movie = Movie([IMAGES["2D"]])
    segment_movie(movie, ThresholdSegmenter(), tmp_path / "masks")
    with pytest.raises(OutputError):
        segment_movie(movie, ThresholdSegmenter(), tmp_path / "masks")
    segment_movie(movie, ThresholdSegmenter(), tmp_path / "masks", overwrite=True)


def test_whatever_a_segmenter_raises_names_it_and_the_frame():
    with pytest.raises(SegmenterError, match="segmenter 'Returns', frame 5: it failed with KeyError: 'lost'"):
        segment_frame(Returns(KeyError("lost")), np.zeros((2, 2)), frame=5)
    with pytest.raises(FrameError, match=r"^a\.tif, frame 5: too dark$"):
        segment_frame(Returns(FrameError("too dark")), np.zeros((2, 2)), frame=5, file="a.tif")


# -------------------------------------------------------------------------- runs that are continued


class Counting:
    """A segmenter that counts its calls, and stops at a frame."""

    name = "counting"

    def __init__(self, stop=None, option=1):
        self._stop, self._asked, self.option = stop, [], option

    def segment(self, image):
        if len(self._asked) == self._stop:
            raise KeyboardInterrupt
        self._asked.append(1)
        return (image > 50).astype(np.int32)


MOVIE = [draw((30, 40), [((15, 20), 6, 1.0)], seed=seed)[0] for seed in range(4)]


def test_an_interrupted_run_is_continued(tmp_path):
    movie = open_frames(np.stack(MOVIE))
    segment_movie(movie, Counting(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        segment_movie(movie, Counting(stop=2), tmp_path / "out", resume=True)
    assert not (tmp_path / "out").exists()
    rest = Counting()
    assert segment_movie(movie, rest, tmp_path / "out", resume=True) == 4
    assert len(rest._asked) == 2
    files = sorted(file.name for file in (tmp_path / "out").glob("mask*"))
    assert files == [f"mask00{frame}.tif" for frame in range(4)]
    for name in files:
        assert np.array_equal(tifffile.imread(tmp_path / "out" / name), tifffile.imread(tmp_path / "whole" / name))
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_a_run_that_is_interrupted_while_the_summary_is_written_keeps_its_masks(tmp_path):
    def stop(*_):
        raise KeyboardInterrupt

    movie, rest = open_frames(np.stack(MOVIE)), Counting()
    with pytest.raises(KeyboardInterrupt):
        segment_movie(movie, Counting(), tmp_path / "out", resume=True, write_extras=stop)
    with pytest.raises(OutputError, match="another movie, segmenter or options"):  # the masks still have a fingerprint
        segment_movie(movie, Counting(option=2), tmp_path / "out", resume=True)
    assert segment_movie(movie, rest, tmp_path / "out", resume=True) == 4
    assert len(rest._asked) == 0
    assert len(list((tmp_path / "out").glob("mask*.tif"))) == 4
    assert not (tmp_path / "out" / "run.json").exists()


def test_a_run_with_other_options_is_not_continued(tmp_path):
    movie = open_frames(np.stack(MOVIE))
    with pytest.raises(KeyboardInterrupt):
        segment_movie(movie, Counting(stop=2), tmp_path / "out", resume=True)
    with pytest.raises(OutputError, match="another movie, segmenter or options"):
        segment_movie(movie, Counting(option=2), tmp_path / "out", resume=True)


def test_without_resume_nothing_is_left_of_an_interrupted_run(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        segment_movie(open_frames(np.stack(MOVIE)), Counting(stop=2), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_segmenter_is_shown_a_few_frames_that_can_be_read():
    shown = []

    class Looking(Counting):
        def prepare(self, images):
            shown.extend(images)

    def read(frame):
        if frame == 3:
            raise FrameError("broken", frame=frame)
        return MOVIE[frame]

    names, shape = tuple("abcd"), MOVIE[0].shape
    prepare_segmenter(Looking(), Stack(read, names, shape, (1.0, 1.0)))
    assert [np.array_equal(a, b) for a, b in zip(shown, [MOVIE[0], MOVIE[2]], strict=True)] == [True, True]
    prepare_segmenter(Counting(), open_frames(np.stack(MOVIE)))  # one without the method is left alone


def test_a_missing_package_of_an_extra_is_reported_with_the_pip_line(monkeypatch):
    from gnntrack.segmentation import description as segmentation

    real = segmentation.distribution

    def without(name):
        if name == "torchvision":
            raise segmentation.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(segmentation, "distribution", without)
    known = available_segmenters()
    assert known["fcn"].missing == ("torchvision",)
    assert known["fcn"].install == "pip install 'gnntrack[segmenters]'"
    assert known["threshold"].install == ""
