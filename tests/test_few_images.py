"""Training from few images: starting from a trained model, and what an interruption leaves."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from support.tiny_models import make_examples, make_tiny_settings, train_tiny

from gnntrack.cli import cli
from gnntrack.errors import FrameError, ModelError, SegmenterError, TrainingError
from gnntrack.segmentation import load_segmenter
from gnntrack.settings import DEFAULTS_OF_A_START, Settings, TrainSegmenterSettings
from gnntrack.training.examples.sparse import hide_unlabelled
from gnntrack.training.run import TrainingRun
from gnntrack.training.segmenter import _find_examples, _warn_if_sparse, learn, mask_metrics
from segmenters.common.training import remove_unknown
from segmenters.dense.inference import Preprocessing
from segmenters.dense.start import read_start
from segmenters.dense.targets import measure_whole_cells
from segmenters.dense.task import MaskValidation
from segmenters.dense.training import choose_inputs

torch.set_num_threads(1)

ABOUT = {"inputs": {"normalise": "root", "diameter": 20.0, "factor": None}, "sha256": ""}
CONFIGS = Path(__file__).parents[1] / "configs"
TINY = ["--batch", "1", "--patch", "64", "--no-augment", "--steps", "4"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A small model, trained for two steps."""
    return train_tiny("unet", tmp_path_factory.mktemp("start"), zoom="each")


@pytest.fixture(scope="module")
def whole() -> dict[bool, Path]:
    """Folders of trainings without an interruption, from a model or not."""
    return {}


@pytest.fixture
def images(tmp_path) -> Path:
    """A folder with images and masks."""
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind).mkdir(parents=True)
    for number, example in enumerate([*make_examples(), *make_examples()]):
        image, labels = example.read()
        tifffile.imwrite(tmp_path / "data" / "images" / f"{number}.tif", image)
        tifffile.imwrite(tmp_path / "data" / "masks" / f"{number}.tif", labels.astype(np.uint16))
    return tmp_path / "data"


def run(*arguments: object):
    return CliRunner().invoke(cli, [str(each) for each in arguments])


def make_run(folder: Path, **more) -> TrainingRun:
    folder.mkdir(exist_ok=True)
    return TrainingRun(folder, device="cpu", **more)


def stop_at(step: int):
    """Return a progress function that interrupts after a step."""

    def progress(stage, done, _total):
        if stage == "training" and done == step:
            raise KeyboardInterrupt

    return progress


def read_about(folder: Path) -> dict:
    return json.loads((folder / "model.json").read_text())


# ------------------------------------------------------------------------------------------ the start


def test_a_training_starts_from_the_weights_layout_and_scale_of_a_model(model, tmp_path):
    settings = make_tiny_settings("unet", options={}, steps=1, learning_rate=1e-9, average=0, zoom="auto")
    learn("unet", make_examples(), make_examples(), make_run(tmp_path / "m"), settings=settings, start=model)
    about, begun = read_about(tmp_path / "m"), read_about(model)
    assert about["options"] == begun["options"]
    assert about["inputs"]["diameter"] == begun["inputs"]["diameter"]
    assert about["training"]["start"] == {"model": str(model), "sha256": begun["sha256"]}
    one, other = load_file(model / "weights.safetensors"), load_file(tmp_path / "m" / "weights.safetensors")
    assert all(torch.allclose(one[name], other[name]) for name in one if "running" not in name)
    first = (tmp_path / "m" / "log.csv").read_text().splitlines()[1]
    assert first.startswith("0,")  # validated before the first step


def test_the_shipped_model_is_a_start_from_the_command_line(images, tmp_path):
    made = run("train-segmenter", "unet", images, "-o", tmp_path / "m", "--from", "shipped", *TINY)
    assert made.exit_code == 0, made.output
    training = read_about(tmp_path / "m")["training"]
    assert training["start"]["model"] == "shipped nuclei"
    assert training["settings"]["learning_rate"] == 0.005  # chosen for a network that is trained already
    assert training["settings"]["steps"] == 4  # given
    assert " 4 to train on, 0 to validate on" in made.stdout
    assert " shipped nuclei (a guess from the images; --kind sets it)" in made.stdout


@pytest.mark.parametrize(
    ("given", "model"),
    [
        ("fluorescence", "nuclei"),
        ("stained", "nuclei"),
        ("phase", "cells"),
        ("brightfield", "cells"),
        ("auto", "nuclei"),
    ],
)
def test_the_kind_of_microscopy_chooses_the_shipped_model(given, model, monkeypatch):
    used = []
    monkeypatch.setattr("segmenters.dense.start._load_shipped", lambda _, name: used.append(name) or (None, ABOUT))
    assert read_start("unet", "shipped", make_examples(), kind=given).name == f"shipped {model}"
    assert used == [model]


def test_most_images_decide_the_guess_of_the_kind_not_the_first_one(monkeypatch):
    monkeypatch.setattr("segmenters.dense.start._load_shipped", lambda *_: (None, ABOUT))
    grey = np.random.default_rng(0).normal(size=(64, 64))
    unclear = [SimpleNamespace(read=lambda: (grey, np.ones((64, 64), int)))] * 4
    assert read_start("unet", "shipped", [make_examples()[0], *unclear]).name == "shipped cells"


def test_images_to_validate_on_that_do_not_fit_are_named():
    def refuse(*_):
        raise FrameError("the image has 3 axes")

    with pytest.raises(FrameError, match=r": the image has 3 axes; images to validate on must have the axes of"):
        MaskValidation(make_examples()[:1], refuse, mask_metrics).measure(None)


def test_stacks_to_validate_on_are_refused_before_a_training_on_images(tmp_path):
    stack = SimpleNamespace(
        name="stack", movie="z", read=lambda: (np.eye(64) * np.ones((3, 1, 1)), np.ones((3, 64, 64)))
    )
    with pytest.raises(TrainingError, match="stack has 3 axes"):
        learn("unet", make_examples(), [stack], make_run(tmp_path / "m"), settings=TrainSegmenterSettings())


@pytest.mark.parametrize(("axes", "told"), [("TYX", 1), ("ZYX", 0)])
def test_a_movie_in_one_file_is_a_warning_since_it_is_read_as_a_stack(tmp_path, caplog, axes, told):
    image, labels = make_examples(3)[0].read()
    for name, pixels in (("a", image.astype(np.float32)), ("a_labels", labels.astype(np.uint16))):
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels, imagej=True, metadata={"axes": axes})
    _find_examples([tmp_path], None, Settings(), 0, started=True)
    assert sum("by its metadata it is a movie" in record.getMessage() for record in caplog.records) == told


@pytest.mark.parametrize("count", [2, 11])
def test_images_without_cells_do_not_count_in_the_guess_of_the_kind(count, monkeypatch):
    monkeypatch.setattr("segmenters.dense.start._load_shipped", lambda *_: (None, ABOUT))
    grey = np.random.default_rng(0).normal(size=(64, 64))
    empty = [SimpleNamespace(read=lambda: (grey, np.zeros((64, 64), int)))] * count
    assert read_start("unet", "shipped", [*empty, make_examples()[0]]).name == "shipped nuclei"


def test_the_command_line_has_the_kind_of_the_shipped_model(images, tmp_path):
    made = run("train-segmenter", "unet", images, "-o", tmp_path / "m", "--from", "shipped", "--kind", "phase", *TINY)
    assert made.exit_code == 0, made.output
    assert read_about(tmp_path / "m")["training"]["start"]["model"] == "shipped cells"
    assert "a guess" not in made.stdout
    again = run("train-segmenter", "unet", images, "-o", tmp_path / "m", "--resume", "--kind", "phase", *TINY)
    assert again.exit_code == 0, again.output  # the shipped model is in the checkpoint


@pytest.mark.parametrize("start", [None, "a model"])
def test_a_kind_without_the_shipped_model_is_refused(start, tmp_path):
    settings = make_tiny_settings("unet", kind="phase")
    with pytest.raises(SegmenterError, match=r"kind is phase.*give --from shipped.*or omit --kind"):
        learn("unet", make_examples(), [], make_run(tmp_path / "m"), settings=settings, start=start)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"options": {"width": 64}}, "width 4, but --option width=64 was given"),
        ({"options": {"levels": 5}}, "levels 2, but --option levels=5"),
        ({"options": {"backbone": "resnet50"}}, "no option 'backbone'"),
        ({"head": "foreground"}, "head instances, but train_segmenter.head is foreground"),
        ({"normalise": "standard"}, "normalise percentile, but train_segmenter.normalise is standard"),
    ],
)
def test_another_layout_than_that_of_the_start_is_refused(model, tmp_path, changes, words):
    settings = make_tiny_settings("unet", **{"options": {}, **changes})
    with pytest.raises(ModelError) as told:
        learn("unet", make_examples(), [], make_run(tmp_path / "m"), settings=settings, start=model)
    assert words in str(told.value)
    assert "omit --from" in str(told.value)


def test_a_start_of_another_kind_is_refused_with_what_to_do(model, tmp_path):
    settings, out = make_tiny_settings("unet", options={}), make_run(tmp_path / "m")
    with pytest.raises(ModelError, match=r"images of 2 axes, and the images to train on have 3.*omit --from"):
        learn("unet", make_examples(3), [], out, settings=settings, start=model)
    with pytest.raises(ModelError, match="a model of 'unet', not of 'fcn'; train 'unet'"):
        learn("fcn", make_examples(), [], out, settings=settings, start=model)
    with pytest.raises(ModelError, match="comes without a model for segmenter 'fcn'"):
        learn("fcn", make_examples(), [], out, settings=settings, start="shipped")
    with pytest.raises(ModelError, match="no such model"):
        learn("unet", make_examples(), [], out, settings=settings, start=tmp_path / "nowhere")
    with pytest.raises(SegmenterError, match="'maskrcnn' cannot start from a trained model"):
        learn("maskrcnn", make_examples(), [], out, settings=settings, start=model)


# ----------------------------------------------------------------------------------- interruptions


@pytest.mark.parametrize(
    ("start", "step"), [(False, 1), (False, 3), (True, 1), pytest.param(True, 3, marks=pytest.mark.slow), (True, 5)]
)
def test_an_interrupted_training_leaves_a_usable_model_and_goes_on_as_if_never_stopped(
    model, whole, tmp_path, start, step
):
    changes = {"options": {}} if start else {}
    settings = make_tiny_settings("unet", steps=6, validate_every=4, **changes)
    chosen = {"settings": settings, "start": model if start else None}
    halted = make_run(tmp_path / "halted", progress=stop_at(step))
    with pytest.raises(KeyboardInterrupt):
        learn("unet", make_examples(), make_examples(), halted, **chosen)
    image = make_examples()[0].read()[0]
    assert load_segmenter("unet", model=tmp_path / "halted", device="cpu").segment(image).shape == image.shape
    if start not in whole:
        whole[start] = tmp_path / "whole"
        learn("unet", make_examples(), make_examples(), make_run(whole[start]), **chosen)
    resumed = make_run(tmp_path / "halted", resume=True)
    learn("unet", make_examples(), make_examples(), resumed, settings=settings)  # the start is in the checkpoint
    one, other = (load_file(place / "weights.safetensors") for place in (whole[start], tmp_path / "halted"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_start_that_is_interrupted_in_its_first_validation_is_kept(model, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("segmenters.dense.task.MaskValidation.measure", interrupt)
    settings = make_tiny_settings("unet", options={})
    with pytest.raises(KeyboardInterrupt):
        learn("unet", make_examples(), make_examples(), make_run(tmp_path / "m"), settings=settings, start=model)
    one, other = load_file(model / "weights.safetensors"), load_file(tmp_path / "m" / "weights.safetensors")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_killed_training_can_be_resumed_from_its_first_step_on(tmp_path):
    seen = []

    def look(stage, done, _total):
        if stage == "training" and done == 1:
            seen.extend(path.name for path in (tmp_path / "m").iterdir())

    learn("unet", make_examples(), [], make_run(tmp_path / "m", progress=look), settings=make_tiny_settings("unet"))
    assert "checkpoint.safetensors" in seen


@pytest.mark.parametrize(
    ("start", "step", "words"),
    [
        (True, 1, "a usable model with the best weights so far, those of step 0 (Dice"),
        (True, 3, "those of step "),
        (False, 1, "a usable model with the weights of step 1, not validated; continue with --resume"),
        (False, 3, "a usable model with the best weights so far, those of step 2"),
    ],
)
def test_the_message_of_an_interruption_says_what_is_kept(images, model, tmp_path, monkeypatch, start, step, words):
    shown = "gnntrack.cli.display.TrainingDisplay.progress"
    from gnntrack.cli.display import TrainingDisplay

    show = TrainingDisplay.progress

    def stop(self, stage, done, total, /):
        show(self, stage, done, total)
        if stage == "training" and done == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(shown, stop)
    (tmp_path / "plan.toml").write_text("[train_segmenter]\nvalidate_every = 2\nheld_out = 0.25\n")
    begin = ["--from", model] if start else ["--option", "width=4", "--option", "levels=2"]
    command = ["train-segmenter", "unet", images, "-o", tmp_path / "m", "--config", tmp_path / "plan.toml", *begin]
    made = run(*command, *TINY)
    assert made.exit_code == 130, made.output
    assert f"stopped at step {step}; {tmp_path / 'm'} is " in made.output
    assert words in made.output
    assert (tmp_path / "m" / "learning_curve.png").is_file() == (step > 2)
    monkeypatch.setattr(shown, show)
    assert run(*command, *TINY, "--resume").exit_code == 0


@pytest.mark.parametrize(("copies", "plan", "checks"), [(4, "", 0), (12, "", 2), (4, "held_out = 0.25", 1)])
def test_a_start_learns_from_all_of_a_few_images(images, model, tmp_path, copies, plan, checks):
    for number in range(4, copies):
        for kind in ("images", "masks"):
            shutil.copy(images / kind / "0.tif", images / kind / f"{number}.tif")
    (tmp_path / "plan.toml").write_text(f"[train_segmenter]\n{plan}\n")
    more = ["--from", model, "--config", tmp_path / "plan.toml"]
    made = run("train-segmenter", "unet", images, "-o", tmp_path / "m", *more, *TINY)
    assert f" {copies - checks} to train on, {checks} to validate on" in made.stdout
    assert "Warning: no images are kept" not in made.output


# ------------------------------------------------------------------------------------------ the scale


@dataclass(frozen=True)
class Drawn:
    """An image with discs of one radius, not of a movie."""

    radius: int
    count: int = 9
    name: str = "drawn"
    movie: str = "folder"
    frame: int | None = None

    def read(self):
        labels = np.zeros((120, 120), np.int32)
        rows, columns = np.indices(labels.shape)
        for number in range(self.count):
            y, x = 20 + 40 * (number // 3), 20 + 40 * (number % 3)
            labels[(rows - y) ** 2 + (columns - x) ** 2 <= self.radius**2] = number + 1
        return np.where(labels > 0, 100.0, 10.0).astype(np.float32), labels


@pytest.mark.parametrize(
    ("radii", "each"),
    [
        ([6, 6, 6, 18, 18, 18, 6, 6], True),
        ([6, 18], True),
        ([12, 14, 13, 12], False),
        ([12] * 19 + [4], False),  # one of many
        ([6, 12, 18, 9], True),
    ],
)
def test_images_of_a_folder_with_cells_of_several_sizes_are_scaled_one_by_one(radii, each):
    inputs = choose_inputs([Drawn(radius) for radius in radii], make_tiny_settings("unet", zoom="auto"))
    assert (inputs.factor is None) == each


def test_a_start_for_images_of_several_sizes_expects_these_sizes():
    start = Preprocessing("root", 20.0, None)
    several = [Drawn(radius) for radius in (6, 6, 6, 18, 18, 18, 6, 6)]
    inputs = choose_inputs(several, make_tiny_settings("unet", zoom="auto"), start=start)
    assert inputs.factor is None
    assert inputs.sizes == pytest.approx((12, 36), rel=0.1)


def test_an_image_with_few_cells_does_not_decide_that_images_differ():
    plan = make_tiny_settings("unet", zoom="auto")
    assert choose_inputs([*[Drawn(14)] * 4, Drawn(5, count=1)], plan).factor is not None
    assert choose_inputs([Drawn(14, count=1), Drawn(5, count=1)], plan).factor is None


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 6])
def test_cells_that_the_border_cuts_do_not_count_for_the_size(cut):
    labels = np.pad(Drawn(12, count=3).read()[1], ((10, 0), (0, 0)))[:60]
    for number in range(cut):
        labels[0:3, 18 * number : 18 * number + 4] = 100 + number
    diameter, cells = measure_whole_cells(labels)
    assert diameter == pytest.approx(24, abs=1)
    assert cells == 3


# ------------------------------------------------------------------------------- sparse annotations


@pytest.mark.parametrize("background", [0, 9])
def test_without_a_label_only_a_ring_around_each_cell_is_background(background):
    labels = Drawn(12, count=2).read()[1]
    labels[100:110, 100:110] = 9
    known = hide_unlabelled(labels, background=background)
    assert (known[100:110, 100:110] == (0 if background else 9)).all()
    assert known[20, 20] == 1
    assert known[20, 20 + 12 + 4] == 0
    assert known[60, 60] == -1
    assert (known == -1).mean() > 0.7


def test_in_validation_only_annotated_cells_count():
    found = Drawn(12).read()[1]
    few = hide_unlabelled(np.where(found <= 2, found, 0))
    assert mask_metrics([remove_unknown(found, few)])["f1"] == 1
    assert mask_metrics([(found, np.maximum(few, 0))])["f1"] < 0.5


@pytest.mark.parametrize(
    ("labelled", "contrast", "noise", "warned"),
    [(2, 90, 1, True), (1, -90, 1, True), (9, 90, 1, False), (5, 90, 1, False), (2, 90, 60, False)],
)
def test_images_with_few_labelled_cells_are_told_with_the_option(labelled, contrast, noise, warned, caplog):
    @dataclass(frozen=True)
    class Few(Drawn):
        def read(self):
            labels = super().read()[1]
            image = contrast * (labels > 0) + np.random.default_rng(0).normal(100, noise, labels.shape)
            return image, np.where(labels <= labelled, labels, 0)

    with caplog.at_level(logging.WARNING):
        _warn_if_sparse([Few(12), Few(10)])
    assert ("give --sparse" in caplog.text) == warned


def test_a_network_learns_from_sparse_annotations(tmp_path):
    settings = make_tiny_settings("unet", sparse=True, steps=1)
    learn("unet", [Drawn(12, count=2)], [Drawn(12, count=2)], make_run(tmp_path / "m"), settings=settings)
    assert read_about(tmp_path / "m")["training"]["settings"]["sparse"]
    with pytest.raises(SegmenterError, match="cannot be trained with --sparse; train 'unet'"):
        learn(
            "maskrcnn", [Drawn(12)], [], make_run(tmp_path / "n"), settings=make_tiny_settings("maskrcnn", sparse=True)
        )


@pytest.mark.parametrize("name", DEFAULTS_OF_A_START)
def test_a_file_of_all_defaults_tells_those_of_a_start_and_leaves_them(name):
    rest = (CONFIGS / "default.toml").read_text(encoding="utf-8").partition("[train_segmenter]")[2]
    comment = next(a for a, b in pairwise(rest.splitlines()) if b.startswith(f"# {name} ="))
    assert f"; {DEFAULTS_OF_A_START[name]} if the training starts from a model" in comment
