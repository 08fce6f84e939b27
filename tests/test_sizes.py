"""The size of cells, the kind of microscopy, and what a general network is trained on."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import tifffile
import torch
from click.testing import CliRunner
from scipy import ndimage
from support.tiny_models import make_tiny_settings

from gnntrack.cli import cli
from gnntrack.errors import ModelError, SegmenterError
from gnntrack.segmentation import load_segmenter
from gnntrack.training.contrasts import render_contrast, simulate_unstained, warp_labels
from segmenters.common.kinds import KINDS, MODELS, guess_kind
from segmenters.common.models import WEIGHTS
from segmenters.common.scale import CellsAtScale, Scale, search_scale
from segmenters.dense.augment import Augment
from segmenters.dense.inference import InferenceOptions, Preprocessing, find_scale
from segmenters.dense.task import MaskValidation, PatchTask, Ready, TrainingImages, find_cell_pixels
from segmenters.unet import UNetSegmenter

torch.set_num_threads(1)


def draw_discs(radius: float, n: int = 160) -> np.ndarray:
    """Labels of discs in a grid, none of which touches the border."""
    rows, columns = np.indices((n, n))
    labels = np.zeros((n, n), np.int32)
    step = int(3 * radius)
    for number, (y, x) in enumerate(np.ndindex(n // step, n // step), start=1):
        middle = (y + 0.5) * step, (x + 0.5) * step
        labels[(rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 <= radius**2] = number
    return labels


def make_task(*, varied: bool, **settings) -> tuple[PatchTask, Ready]:
    """A task of patches of one image of discs of 20 pixels."""
    labels = draw_discs(10)
    foreground = (labels > 0).astype(np.int8)
    ready = Ready(
        foreground.astype(np.float32),
        (foreground, foreground.astype(np.float16), np.zeros(labels.shape, np.float16)),
        find_cell_pixels(labels),
    )
    plan = make_tiny_settings("unet", augment=True, **settings)
    return PatchTask(TrainingImages([], lambda _: ready), MaskValidation([], None, None), plan, loss=None,
                     patch=(96, 96), varied=varied), ready  # fmt: skip


def measure_widths(foreground: np.ndarray) -> float:
    """Median over the cells of a patch of their equivalent diameter."""
    parts, _ = ndimage.label(foreground > 0.5)
    return float(np.median(2 * np.sqrt(np.bincount(parts.ravel())[1:] / np.pi)))


@pytest.mark.parametrize(("varied", "least", "most"), [(True, 1.8, 8), (False, 1, 1.8)])
def test_patches_show_cells_of_other_sizes_on_request(varied, least, most):
    task, ready = make_task(varied=varied)
    seen = []
    for seed in range(24):
        patch = task._draw_patch(ready, np.random.default_rng(seed))
        assert patch.shape == (4, 96, 96)
        assert set(np.unique(patch[1])) <= {0, 1}
        if patch[1].any():
            seen.append(measure_widths(patch[1]))
    assert least < max(seen) / min(seen) < most


def test_unknown_pixels_stay_unknown_at_other_sizes():
    task, ready = make_task(varied=True)
    unknown = ready.targets[0].copy()
    unknown[:, :80] = -1
    hidden = ready._replace(targets=(unknown, np.where(unknown < 0, -1, ready.targets[1]), ready.targets[2]))
    for seed in range(8):
        _, foreground, depth, _ = task._draw_patch(hidden, np.random.default_rng(seed))
        assert set(np.unique(foreground)) <= {-1, 0, 1}
        assert np.mean((depth < 0) == (foreground < 0)) > 0.97


def test_half_of_the_patches_are_inverted_on_request():
    labels = draw_discs(10, 64)
    inside = (labels > 0).astype(np.float32)
    patch = np.stack([inside, inside, inside, 0 * inside])
    shown = {True: 0, False: 0}
    for invert in shown:
        change = Augment(2, grey=True, invert=invert)
        for seed in range(30):
            image, foreground, *_ = change(patch, np.random.default_rng(seed))
            inside_is_dark = foreground.any() and image[foreground > 0.5].mean() < image[foreground < 0.5].mean()
            shown[invert] += bool(inside_is_dark)
    assert shown[False] == 0
    assert 8 <= shown[True] <= 22


class FindsItsSize(torch.nn.Module):
    """A network for which bright pixels are cells, as far as their thickness is about what it was trained on."""

    dimensions, outputs = 2, 3

    def __init__(self, diameter: float) -> None:
        super().__init__()
        self.diameter = diameter
        self.zero = torch.nn.Parameter(torch.zeros(1))

    def forward(self, images):
        bright = (images[:, 0] > 0.5).float()
        certain = []
        for image in bright.numpy():
            parts, _ = ndimage.label(image)
            widths = 2 * np.sqrt(np.bincount(parts.ravel())[1:] / np.pi)
            octaves = np.log2(np.median(widths) / self.diameter) if len(widths) else 9
            certain.append(np.exp(-0.5 * octaves**2))
        sure = torch.tensor(np.array(certain, np.float32))[:, None, None]
        odds = 6 * (2 * bright - 1) * torch.where(bright > 0, sure, 1)
        return torch.stack([-odds, odds, bright * sure], dim=1)


@pytest.mark.parametrize("radius", [4, 7, 10, 18, 30, 50])
def test_the_scale_is_found_from_the_cells_at_several_scales(radius):
    labels = draw_discs(radius, 320)
    inputs = Preprocessing("percentile", 20.0, None)
    scale = find_scale(FindsItsSize(20.0), (labels > 0).astype(np.float32), inputs, InferenceOptions())
    assert 20 / scale.factor == pytest.approx(2 * radius, rel=0.15)
    assert scale.certainty > 0.5


def test_an_image_without_cells_has_a_scale_without_certainty():
    inputs = Preprocessing("percentile", 20.0, None)
    scale = find_scale(FindsItsSize(20.0), np.zeros((80, 90), np.float32), inputs, InferenceOptions())
    assert scale == (1.0, 0.0)


def test_cells_of_the_right_size_convince_more_than_others():
    asked = []

    def measure(factor: float) -> CellsAtScale:
        asked.append(factor)
        return CellsAtScale(20.0 if factor > 1 else 5.0, 0.8, 10)  # grains at every fine scale, cells at no coarse one

    scale = search_scale((200, 200), 20.0, measure)
    assert scale.factor > 1
    assert len(asked) <= 11


@pytest.mark.parametrize("true", [9, 16, 30, 60, 110])
def test_the_size_that_does_not_change_with_the_scale_is_that_of_the_cells(true):
    """A network that is equally certain of grains, cells and groups: only true cells keep their size."""

    def measure(factor: float) -> CellsAtScale:
        size = 20.0 / factor
        near = np.clip(np.log2(size / true), -0.6, 0.6)
        return CellsAtScale(float(factor * size * 2 ** (-0.8 * near)), 0.5, 40)

    scale = search_scale((1000, 1000), 20.0, measure)
    assert 20 / scale.factor == pytest.approx(true, rel=0.25)


@pytest.mark.parametrize(("likely", "size"), [(None, 12), ((40.0, 60.0), 50), ((10.0, 14.0), 12), ((1.0, 1.5), 12)])
def test_an_expected_size_decides_between_two_that_are_both_convincing(likely, size):
    """A network that finds cells of 12 pixels and, a little less certain, groups of 50 pixels."""

    def measure(factor: float) -> CellsAtScale:
        tried = 20.0 / factor
        return CellsAtScale(factor * (12.0 if tried < 25 else 50.0), 0.8 if tried < 25 else 0.7, 40)

    scale = search_scale((1000, 1000), 20.0, measure, likely=likely)
    assert 20 / scale.factor == pytest.approx(size, rel=0.1)


def test_few_cells_convince_less():
    scales = [search_scale((99, 99), 20.0, lambda _, n=n: CellsAtScale(20.0, 0.8, n)).certainty for n in (1, 3, 30)]
    assert scales == sorted(scales)
    assert scales[0] < 0.4 < 0.7 < scales[2]


# ------------------------------------------------------------------------------------------- kinds


def make_nuclei(level: float) -> np.ndarray:
    """Bright nuclei on a background of some level, with noise."""
    noise = np.random.default_rng(0).normal(0, 0.02, (160, 160))
    return (level + (draw_discs(8) > 0) + noise).astype(np.float32)


@pytest.mark.parametrize("scale", [1, 255, 65535, 1e-3])
@pytest.mark.parametrize("offset", [0, 100])
def test_the_kind_does_not_depend_on_the_unit(scale, offset):
    image = make_nuclei(0)
    assert guess_kind(image * scale + offset * scale).kind == "fluorescence"
    assert guess_kind(-image * scale + offset * scale).kind == "stained"


def test_a_grey_background_leaves_the_kind_open():
    for example in simulate_unstained(6, seed=4)[::4]:
        assert guess_kind(example.read()[0].astype(np.float32)).kind != "fluorescence"
    relief = np.gradient(make_nuclei(0))[1].astype(np.float32)
    assert guess_kind(relief).kind is None
    assert guess_kind(np.stack([relief] * 3)).kind is None


@pytest.mark.parametrize("image", [np.zeros((5, 5)), np.ones((1, 1)), np.eye(40)])
def test_any_image_has_a_guess(image):
    assert guess_kind(image.astype(np.float32)).kind in {None, *MODELS}
    assert set(KINDS) == {"auto", *MODELS}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", [160, 1120])
@pytest.mark.parametrize("lost", [0.02, 0.6])
def test_pixels_that_are_not_finite_do_not_count_for_the_kind(value, side, lost):
    image = np.kron(make_nuclei(0), np.ones((side // 160, side // 160), np.float32))
    gone = np.random.default_rng(1).random(image.shape) < 0.02 if lost < 0.1 else np.arange(side) < lost * side
    for sign, kind in ((1, "fluorescence"), (-1, "stained")):
        assert guess_kind(np.where(gone, np.float32(value), sign * image)).kind == kind


@pytest.mark.parametrize(
    "options", [{"kind": "phase"}, {"device": "cpu"}, {"kind": "stained", "device": "cpu"}, {"options": {"tile": 64}}]
)
def test_slices_pass_options_of_the_network_on(options):
    inner = load_segmenter("slices", segmenter="unet", **options).options
    assert inner == {**options.get("options", {}), **{k: v for k, v in options.items() if k != "options"}}
    both = load_segmenter("slices", segmenter="unet", **{"options": {"tile": 64}, "kind": "phase"} | options).options
    assert {"tile", *inner} <= both.keys()


@pytest.mark.parametrize("options", [{"device": "cpu"}, {"kind": "phase"}, {"model": "none"}])
def test_options_that_the_segmenter_of_the_planes_lacks_are_refused(options):
    with pytest.raises(SegmenterError, match="segmenter 'threshold' has no"):
        load_segmenter("slices", segmenter="threshold", **options)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "auto"])
def test_a_kind_beside_a_model_is_refused(kind):
    with pytest.raises(SegmenterError, match=f"kind {kind} chooses a shipped model, but the model mine is given"):
        load_segmenter("unet", model="mine", kind=kind)


@pytest.mark.parametrize("image", [np.full((9, 9), np.nan), np.zeros((0, 4)), np.full((3, 8, 8), np.inf)])
def test_the_kind_of_an_image_without_a_finite_pixel_is_unknown(image):
    assert guess_kind(image.astype(np.float32)) == (None, 0)


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    """Two frames of bright nuclei."""
    folder = tmp_path_factory.mktemp("nuclei")
    for frame in range(2):
        tifffile.imwrite(folder / f"t{frame}.tif", (1000 * np.roll(make_nuclei(0.1), frame, axis=1)).astype(np.uint16))
    return folder


def run(*arguments: object):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def one_model(tmp_path_factory):
    """The segmenter unet with the model of nuclei alone."""
    folder = tmp_path_factory.mktemp("weights")
    shutil.copytree(WEIGHTS / "unet_nuclei", folder / "unet_nuclei")

    class OneModel(UNetSegmenter):
        """One model."""

        weights = folder

    return OneModel


def read_diameter(model: str) -> float:
    return json.loads((WEIGHTS / f"unet_{model}" / "model.json").read_text())["inputs"]["diameter"]


@pytest.mark.parametrize(
    ("kind", "model"), [("auto", "nuclei"), ("stained", "nuclei"), ("phase", "cells"), ("brightfield", "cells")]
)
def test_the_kind_chooses_the_shipped_model(kind, model, movie):
    segmenter = UNetSegmenter(kind=kind)
    segmenter.prepare([tifffile.imread(file) for file in sorted(movie.iterdir())])
    assert segmenter.inputs.diameter == read_diameter(model)


def test_a_grey_background_asks_both_models(caplog):
    relief = np.gradient(make_nuclei(0))[1].astype(np.float32)
    segmenter = UNetSegmenter()
    with caplog.at_level("INFO"):
        segmenter.prepare([relief])
    assert "certainty of the models: cells 0." in caplog.text
    assert len(segmenter._models) == 2


@pytest.mark.parametrize(
    ("nuclei", "cells", "chosen"), [(0.65, 0.54, "cells"), (0.8, 0.6, "nuclei"), (0.1, 0.6, "cells"), (0, 0, "cells")]
)
def test_a_grey_background_is_that_of_unstained_cells_unless_nuclei_are_far_more_certain(
    nuclei, cells, chosen, monkeypatch
):
    segmenter = UNetSegmenter()
    found = {read_diameter("nuclei"): Scale(1.0, nuclei), read_diameter("cells"): Scale(1.0, cells)}
    monkeypatch.setattr(UNetSegmenter, "_find_scale", lambda self, _images: found[self.inputs.diameter])
    segmenter.prepare([np.gradient(make_nuclei(0))[1].astype(np.float32)])
    assert segmenter.guessed_model == chosen


@pytest.mark.parametrize("certainty", [0.0, 0.2, 0.39, 0.41, 0.9])
def test_a_choice_of_which_no_model_is_certain_is_a_warning(certainty, caplog, monkeypatch):
    monkeypatch.setattr(UNetSegmenter, "_find_scale", lambda *_: Scale(1.0, certainty))
    segmenter = UNetSegmenter()
    segmenter.prepare([np.gradient(make_nuclei(0))[1].astype(np.float32)])
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == (certainty < 0.4)
    assert all("give --kind fluorescence, stained, phase or brightfield" in each for each in told)
    assert segmenter.guessed_model in MODELS.values()


@pytest.mark.parametrize("empty", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_frames_without_cells_decide_neither_the_model_nor_the_size(empty):
    alone, among = UNetSegmenter(), UNetSegmenter()
    alone.prepare([make_nuclei(0)])
    noise = [np.random.default_rng(seed).normal(0, 0.02, (160, 160)).astype(np.float32) for seed in range(empty)]
    among.prepare([*noise, make_nuclei(0)])
    assert among.guessed_model == alone.guessed_model == "nuclei"
    assert among.estimated_diameter == pytest.approx(alone.estimated_diameter)


def test_a_grey_background_uses_the_only_model(caplog, one_model):
    relief = np.gradient(make_nuclei(0))[1].astype(np.float32)
    segmenter = one_model()
    with caplog.at_level("INFO"):
        segmenter.segment(relief)
    assert "model for nuclei: kind of microscopy unknown" in caplog.text


def test_a_kind_without_a_model_says_so(one_model):
    with pytest.raises(ModelError, match="comes without a model of cells for segmenter 'unet'; train one with"):
        one_model(kind="phase")


def test_the_guess_is_told(movie, tmp_path):
    told = run("segment", movie, "-o", tmp_path / "masks", "--segmenter", "unet", "-v")
    assert told.exit_code == 0, told.output
    assert "model for nuclei: kind of microscopy 'fluorescence'" in " ".join(told.output.split())
    assert "the background is at" in told.output


def test_a_kind_given_twice_or_to_another_segmenter_is_refused(movie, tmp_path):
    out = "-o", tmp_path / "masks"
    twice = run("segment", movie, *out, "--segmenter", "unet", "--kind", "phase", "--option", "kind=stained")
    assert twice.exit_code == 2
    assert "the kind is given twice" in twice.output
    other = run("segment", movie, *out, "--segmenter", "threshold", "--kind", "phase")
    assert other.exit_code == 2
    assert "choose segmenter 'unet'" in other.output
    with pytest.raises(SegmenterError, match="option kind is 'xray'"):
        load_segmenter("unet", kind="xray")


def test_a_model_of_ones_own_has_no_kind_to_guess(movie):
    segmenter = load_segmenter("unet", model=WEIGHTS / "unet_nuclei")
    segmenter.prepare([1 - tifffile.imread(file).astype(np.float32) for file in sorted(movie.iterdir())])
    assert segmenter.inputs.diameter == read_diameter("nuclei")
    assert not segmenter._guesses


# --------------------------------------------------------------------------------------- contrasts


@pytest.mark.parametrize("contrast", ["phase", "dic", "brightfield"])
def test_unstained_cells_differ_from_a_grey_background(contrast):
    labels = draw_discs(10)
    far = ndimage.distance_transform_edt(labels == 0) > 5
    ratios = []
    for seed in range(5):
        image = render_contrast(labels, contrast, np.random.default_rng(seed)).astype(float)
        assert image.shape == labels.shape
        assert 90 < np.median(image[far]) < 170
        local = image - ndimage.gaussian_filter(image, 20)
        ratios.append(local[labels > 0].std() / local[far].std())
    assert np.median(ratios) > 1.3


def test_the_relief_of_interference_contrast_has_a_bright_and_a_dark_side():
    labels = draw_discs(20, 60)
    image = render_contrast(labels, "dic", np.random.default_rng(0)).astype(float) - 128
    inside = labels == 1
    assert np.percentile(image[inside], 5) < -15
    assert np.percentile(image[inside], 95) > 15


def test_warped_cells_are_the_same_cells():
    labels = draw_discs(10)
    warped = warp_labels(labels, np.random.default_rng(1))
    assert set(np.unique(warped)) <= set(np.unique(labels))
    assert 0.05 < np.mean(warped != labels) < 0.6
    assert not warp_labels(np.zeros((20, 20), np.int32), np.random.default_rng(1)).any()


def test_unstained_examples_are_reproducible_and_of_all_contrasts():
    examples = simulate_unstained(3)
    assert {each.contrast for each in examples} == {"phase", "dic", "brightfield"}
    one, other = examples[0].read(), simulate_unstained(3)[0].read()
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert one[1].max() > 2
