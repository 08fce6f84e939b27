"""Networks that answer for every pixel: what they learn, how they are used, and the U-Net."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from support.tiny_models import NETWORKS, make_examples, make_tiny_settings, train_tiny

from gnntrack.cli import cli
from gnntrack.errors import FrameError, ModelError, SegmenterError, TrainingError
from gnntrack.evaluate.counts import Counts, compare_labels
from gnntrack.segmentation import load_segmenter, prepare_segmenter
from gnntrack.training.run import TrainingRun
from gnntrack.training.segmenter import learn, mask_metrics
from gnntrack.training.simulated import simulate_examples
from segmenters.common.pixels import normalise, resize
from segmenters.common.tiles import predict_in_tiles
from segmenters.common.training import remove_unknown
from segmenters.dense.augment import Augment
from segmenters.dense.inference import InferenceOptions, Preprocessing, choose_depth, predict_pixels, segment_pixels
from segmenters.dense.targets import compute_depth, compute_nearness, measure_mean_diameter
from segmenters.dense.task import TrainingImages, compute_loss
from segmenters.dense.training import choose_inputs
from segmenters.dense.unet import UNet, _pack, _unpack, fuse

torch.set_num_threads(1)


@dataclass(frozen=True)
class LabelledDisks:
    """An image with labels in memory."""

    image: np.ndarray
    labels: np.ndarray
    name: str = "drawn"
    movie: str = "drawn"

    def read(self):
        return self.image, self.labels


def discs(radius: int, n: int = 96, movie: str = "drawn") -> LabelledDisks:
    """Bright discs in a grid."""
    rows, columns = np.indices((n, n))
    labels = np.zeros((n, n), np.int32)
    for number, (y, x) in enumerate([(n // 4, n // 4), (n // 4, 3 * n // 4), (3 * n // 4, n // 2)], start=1):
        labels[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = number
    noise = np.random.default_rng(0).normal(0, 3, labels.shape)
    return LabelledDisks((20 + 100 * (labels > 0) + noise).astype(np.float32), labels, movie, movie)


# ---------------------------------------------------------------------------------- what is learnt


def test_depth_is_one_in_the_middle_and_low_where_cells_touch():
    labels = np.zeros((15, 30), np.int32)
    labels[2:13, 3:14], labels[2:13, 14:27] = 1, 2
    depth = compute_depth(labels)
    assert depth[labels == 0].max() == 0
    assert depth[7, 8] == depth[labels == 1].max() == 1
    assert depth[7, 13] < 0.25
    assert depth[7, 14] < 0.25


def test_the_border_of_the_image_is_no_outline():
    labels = np.zeros((20, 20), np.int32)
    labels[5:15, :8] = 1
    depth = compute_depth(labels)
    assert depth[10, 0] > depth[10, 6]


def test_depth_of_stacks_knows_the_spacing():
    labels = np.zeros((9, 11, 11), np.int32)
    labels[3:6, 2:9, 2:9] = 1
    cubes, flat = compute_depth(labels), compute_depth(labels, spacing=(3, 1, 1))
    assert cubes[3, 5, 5] < flat[3, 5, 5] == 0.75


def test_the_pixels_between_two_cells_count_and_no_others():
    labels = np.zeros((30, 60), np.int32)
    labels[5:25, 5:20], labels[5:25, 20:35], labels[5:25, 50:58] = 1, 2, 3
    near = compute_nearness(labels)
    assert near[15, 19] == near[15, 20] == near.max() == 1
    assert 0 < near[15, 23] < near[15, 21] < 1
    assert near[:, 35:].max() == 0
    assert compute_nearness(np.where(labels == 2, -1, labels)).max() == 0
    labels[5:25, 20] = 0
    assert compute_nearness(labels)[15, 20] > 0.9


def test_cells_of_a_stack_with_planes_between_them_are_not_near():
    stack = np.zeros((9, 30, 30), np.int32)
    stack[1:3, 5:25, 5:25], stack[4:6, 5:25, 5:25] = 1, 2
    assert compute_nearness(stack).max() == 0
    stack[3, 5:25, 5:25] = 2
    near = compute_nearness(stack)
    assert near[2, 15, 15] == near[3, 15, 15] == 1
    assert near[1, 15, 15] < 0.2


def test_a_cell_where_nobody_knows_is_no_error():
    found, truth = np.zeros((2, 20, 40), np.int32)
    found[5:15, 5:15], found[5:15, 15:25], truth[5:15, 5:15] = 1, 2, 7
    truth[:, 17:] = -1  # between the known cell and what is unknown is a rim of background
    assert mask_metrics([remove_unknown(found, truth)])["f1"] == 1
    assert mask_metrics([remove_unknown(found, np.maximum(truth, 0))])["f1"] < 1


def test_a_wrong_pixel_between_two_cells_costs_more():
    truth, depth = torch.tensor([[[0.0, 1.0]]]), torch.tensor([[[0.0, 0.5]]])
    answers, extra = torch.zeros(1, 3, 1, 2), torch.tensor([[[5.0, 0.0]]])
    for outputs in (2, 3):
        plain, dear = (compute_loss(answers[:, :outputs], truth, depth, more, kind="both") for more in (0.0, extra))
        assert dear > plain


def test_the_mean_diameter_of_discs_is_theirs():
    assert measure_mean_diameter(discs(9).labels) == pytest.approx(18, abs=1)
    assert measure_mean_diameter(np.zeros((4, 4), np.int32)) is None


@pytest.mark.parametrize("kind", ["cross_entropy", "dice", "both", "focal"])
@pytest.mark.parametrize("outputs", [2, 3])
def test_the_right_answers_have_the_least_loss(kind, outputs):
    truth = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    depth = truth * 0.7
    sure = torch.stack([10 * (1 - truth), 10 * truth, depth], dim=1)[:, :outputs]
    right = compute_loss(sure, truth, depth, kind=kind)
    wrong = compute_loss(torch.flip(sure, [-1]), truth, depth, kind=kind)
    unsure = compute_loss(0 * sure, truth, depth, kind=kind)
    assert right < 0.2 * wrong
    assert right < unsure < wrong


class TwoHills(torch.nn.Module):
    """A network that says cell everywhere, and as depth what the image holds."""

    outputs, dimensions = 3, 2

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, image):
        inside = 9 * (image > 0).float()
        return torch.cat([-inside, inside - 1, image], dim=1)


@pytest.mark.parametrize(("cells", "wanted"), [(1, 0.5), (2, 0.2)])
def test_the_depth_of_a_pass_is_chosen_by_what_the_cells_are(cells, wanted):
    """Two hills with a pass that is 0.4 deep between them are one cell or two; a depth well on its side is chosen."""
    rows, columns = np.indices((40, 80))
    hills = [np.clip(1.15 - np.hypot(rows - 20, columns - x) / 22, 0, 1) for x in (28, 52)]
    image = np.where(np.maximum(*hills) > 0.3, np.maximum(*hills), 0).astype(np.float32)
    labels = ((image > 0) * np.where(columns < 40, 1, cells)).astype(np.int32)
    inputs = Preprocessing("none", 20.0, 1.0)
    drawn = [LabelledDisks(image, labels), LabelledDisks(np.zeros((9, 9), np.float32), np.zeros((9, 9), np.int32))]
    depth = choose_depth(TwoHills(), drawn, inputs, InferenceOptions(), mask_metrics)
    assert depth == pytest.approx(wanted, abs=0.06)
    found = segment_pixels(TwoHills(), image, replace(inputs, depth=depth), InferenceOptions(), dtype=image.dtype)
    assert found.max() == cells
    assert choose_depth(TwoHills(), drawn[1:], inputs, InferenceOptions(), mask_metrics) is None
    left = (columns < 40) & (image > 0)
    only = [LabelledDisks(np.where(left, image, 0), left.astype(np.int32))]
    assert choose_depth(TwoHills(), only, inputs, InferenceOptions(), mask_metrics) is None  # all do as well


def test_a_trained_model_knows_the_depth_and_old_models_are_read(tmp_path):
    drawn = discs(12)
    learn("unet", [drawn], [], TrainingRun(tmp_path), settings=make_tiny_settings("unet", steps=30))
    told = json.loads((tmp_path / "model.json").read_text())
    assert "depth" in told["inputs"]
    del told["inputs"]["depth"]
    (tmp_path / "model.json").write_text(json.dumps(told))
    assert load_segmenter("unet", model=str(tmp_path)).inputs.depth is None


@pytest.mark.parametrize(("simulated", "share"), [(0, 0), (1, 1 / 3), (30, 1 / 2)])
def test_simulated_movies_are_drawn_as_often_as_real_ones_at_most(simulated, share):
    real = [discs(9, movie=name) for name in "aabbbbb"]
    made = simulate_examples(simulated)
    examples = TrainingImages([*real, *made], lambda _: None)
    drawn = np.array([examples.draw(random) for random in [np.random.default_rng(0)] for _ in range(3000)])
    assert np.mean(drawn >= 7) == pytest.approx(share, abs=0.04)
    assert np.mean(drawn < 2) == pytest.approx((1 - share) / 2, abs=0.04)


@pytest.mark.parametrize("kind", ["cross_entropy", "dice", "both", "focal"])
def test_nothing_is_learnt_where_nobody_knows(kind):
    truth = torch.tensor([[[0.0, 1.0], [1.0, -1.0]]])
    depth = torch.tensor([[[0.0, 0.7], [-1.0, -1.0]]])  # of one cell it is not known how deep it is
    answers = torch.randn(1, 3, 2, 2, generator=torch.manual_seed(0))
    loss = compute_loss(answers, truth, depth, kind=kind)
    other = answers.clone()
    other[0, :, 1, 1] = 9.0
    other[0, 2, 1, 0] = -5.0
    assert compute_loss(other, truth, depth, kind=kind) == loss
    nothing = compute_loss(answers, -torch.ones(1, 2, 2), -torch.ones(1, 2, 2), kind=kind)
    assert torch.isfinite(nothing)


def test_unknown_pixels_are_no_cells_and_hide_the_depth_of_those_they_touch():
    labels = np.zeros((20, 40), np.int32)
    labels[5:15, 3:13], labels[5:15, 23:33] = 1, 2
    known = compute_depth(labels)
    labels[5:15, 33:35] = -1
    depth = compute_depth(labels)
    assert np.array_equal(depth[:, :20], known[:, :20])
    assert (depth[labels == 2] == -1).all()
    assert (depth[labels < 0] == -1).all()
    assert (depth[labels == 0] == 0).all()
    assert measure_mean_diameter(labels) == pytest.approx(2 * np.sqrt(100 / np.pi))


def test_a_network_learns_from_images_of_which_a_part_is_known(tmp_path):
    drawn = discs(12)
    labels = drawn.labels.copy()
    labels[labels == 3] = -1
    labels[:4] = -1
    told = learn(
        "unet",
        [LabelledDisks(drawn.image, labels)],
        [LabelledDisks(drawn.image, labels)],
        TrainingRun(tmp_path),
        settings=make_tiny_settings("unet"),
    )
    assert np.isfinite(told["best"]["loss"])
    assert 0 <= told["best"]["validation_f1"] <= 1


def test_along_the_border_only_labelled_cells_are_known(tmp_path, monkeypatch):
    seen = []

    def train(learnt, *_, **__):
        seen.extend(learnt)
        raise KeyboardInterrupt

    monkeypatch.setattr("gnntrack.training.segmenter._find_trainable", lambda _: SimpleNamespace(train=train))
    drawn = discs(12)
    with pytest.raises(KeyboardInterrupt):
        learn(
            "unet", [drawn, *make_examples()], [], TrainingRun(tmp_path), settings=make_tiny_settings("unet", margin=20)
        )
    framed, simulated = seen[0].read()[1], seen[1].read()[1]
    assert (framed[20:-20, 20:-20] == drawn.labels[20:-20, 20:-20]).all()
    assert (framed[drawn.labels > 0] == drawn.labels[drawn.labels > 0]).all()
    assert (framed[:20][drawn.labels[:20] == 0] == -1).all()
    assert simulated.min() == 0


def test_movies_of_like_cells_are_seen_as_they_are_and_others_at_one_size():
    plan = make_tiny_settings("unet", zoom="auto")
    assert choose_inputs([discs(13), discs(14)], plan).factor == 1.0
    assert choose_inputs([discs(9, movie="a"), discs(20, movie="b")], plan).factor is None
    assert choose_inputs([discs(4)], plan).factor == pytest.approx(24 / 8, rel=0.1)


def test_images_without_cells_teach_nothing():
    empty = LabelledDisks(np.zeros((20, 20), np.float32), np.zeros((20, 20), np.int32))
    with pytest.raises(TrainingError, match="none of 1 image has a cell"):
        choose_inputs([empty], make_tiny_settings("unet"))


def test_augmentation_changes_image_and_truth_alike():
    drawn = discs(12)
    truth = (drawn.labels > 0, compute_depth(drawn.labels), compute_nearness(drawn.labels))
    patch = np.stack([drawn.image / 120, *truth]).astype(np.float32)
    change = Augment(2, grey=False)
    made = [change(patch, np.random.default_rng(seed)) for seed in range(6)]
    assert all(each.shape == patch.shape for each in made)
    assert any(np.abs(each - patch).max() > 0.5 for each in made)
    for image, foreground, depth, _ in made:
        assert np.array_equal(foreground, np.round(foreground))
        assert np.corrcoef(image.ravel(), foreground.ravel())[0, 1] > 0.9
        assert depth[foreground == 0].max() < 0.4
    again = change(patch, np.random.default_rng(0))
    assert np.array_equal(again, made[0])


# ------------------------------------------------------------------------------------ how it is used


@pytest.mark.parametrize(
    ("shape", "tile", "overlap"), [((70, 45), (32, 32), (8, 8)), ((5, 40, 33), (4, 16, 16), (2, 4, 4))]
)
def test_tiles_make_up_the_whole_image(shape, tile, overlap):
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    seen = []

    def answer(batch):
        seen.append(batch.shape)
        return np.stack([batch, 2 * batch], axis=1)

    found = predict_in_tiles(answer, image, channels=2, tile=tile, overlap=overlap, batch=3)
    assert np.array_equal(found, np.stack([image, 2 * image]))
    assert all(each[1:] == tile for each in seen)
    assert max(each[0] for each in seen) == 3


def test_what_lies_far_from_a_seam_does_not_see_the_tiles():
    torch.manual_seed(0)
    network = UNet(width=4, levels=2, outputs=3).eval()
    image = np.random.default_rng(0).normal(size=(96, 128)).astype(np.float32)
    whole, _ = predict_pixels(network, image, InferenceOptions())
    tiled, _ = predict_pixels(network, image, InferenceOptions(tile=64, overlap=32, batch=2))
    assert np.allclose(whole, tiled, atol=1e-5)
    narrow, _ = predict_pixels(network, image, InferenceOptions(tile=64, overlap=0))
    assert not np.allclose(whole, narrow, atol=1e-5)


def test_flips_make_answers_of_mirrored_images_mirrored():
    torch.manual_seed(0)
    network = UNet(width=4, levels=2, outputs=3).eval()
    image = np.random.default_rng(0).normal(size=(32, 48)).astype(np.float32)
    plain, flipped = InferenceOptions(), InferenceOptions(flips=True)
    mirrored = np.ascontiguousarray(image[:, ::-1])
    assert np.allclose(
        predict_pixels(network, mirrored, flipped)[0][:, ::-1], predict_pixels(network, image, flipped)[0], atol=1e-5
    )
    assert not np.allclose(
        predict_pixels(network, mirrored, plain)[0][:, ::-1], predict_pixels(network, image, plain)[0], atol=1e-5
    )


@pytest.mark.parametrize("how", ["percentile", "root", "standard"])
def test_normalised_images_do_not_know_scale_or_offset(how):
    image = np.random.default_rng(0).gamma(2, size=(50, 60)).astype(np.float32)
    dtype = np.dtype(np.float32)
    assert np.allclose(normalise(image, how, dtype=dtype), normalise(7 * image + 300, how, dtype=dtype), atol=1e-3)


def test_a_bright_speck_does_not_darken_the_rest():
    image = discs(10).image
    speck = image.copy()
    speck[0, 0] = 1e5
    dtype = np.dtype(np.float32)
    assert (
        np.abs(normalise(speck, "percentile", dtype=dtype) - normalise(image, "percentile", dtype=dtype))[1:].max()
        < 0.1
    )


def test_the_root_shows_dim_cells_and_turns_bright_backgrounds_dark():
    image = np.zeros((100, 100), np.float32)
    image[10:30, 10:30], image[50:60, 50:60] = 100, 2  # a dim cell beside bright ones
    image += np.random.default_rng(0).normal(0, 0.05, image.shape).astype(np.float32)
    plain, root = (normalise(image, how, dtype=image.dtype) for how in ("percentile", "root"))
    assert plain[50:60, 50:60].mean() < 0.03
    assert 0.1 < root[50:60, 50:60].mean() < 0.2
    dark = normalise(500 - image, "root", dtype=image.dtype)
    assert dark[10:30, 10:30].mean() > 0.9
    assert dark[80:, 80:].mean() < 0.1


def test_unnormalised_images_are_shares_of_what_their_type_holds():
    image = np.array([[0, 255]], np.float32)
    assert normalise(image, "none", dtype=np.dtype(np.uint8)).tolist() == [[0, 1]]
    assert normalise(image, "none", dtype=np.dtype(np.float32)).tolist() == [[0, 255]]


def test_an_image_resized_there_and_back_is_nearly_the_same():
    image = discs(12).image
    assert resize(image, (48, 48)).shape == (48, 48)
    assert np.abs(resize(resize(image, (192, 192)), (96, 96)) - image).mean() < 3


# ------------------------------------------------------------------------------------------- the U-Net


def test_the_u_net_of_2015_has_23_convolutions_and_channels_64_to_1024():
    network = UNet()
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d)]
    assert len(convolutions) == 23
    assert [pair[0].out_channels for pair in network.down] == [64, 128, 256, 512, 1024]
    assert sum(p.numel() for p in UNet(norm="none").parameters()) == 31_030_658  # as published, for one input channel


@pytest.mark.parametrize("stem", [1, 2])
@pytest.mark.parametrize("size", [(37, 50), (5, 21, 19), (1, 1, 1), (1, 1)])
def test_any_size_comes_back(size, stem):
    network = UNet(dimensions=len(size), width=2, levels=3, stem=stem, flat=1, outputs=3).eval()
    assert network(torch.zeros(1, 1, *size)).shape == (1, 3, *size)


@pytest.mark.parametrize("size", [(6, 8), (3, 6, 8)])
def test_unpacked_pixels_are_packed_again(size):
    x = torch.randn(2, 3, *size)
    assert torch.equal(_pack(_unpack(x, 2), 2), x)
    assert _unpack(x, 2).shape == (2, 12, *size[:-2], 3, 4)


def test_fused_networks_answer_the_same():
    torch.manual_seed(0)
    network = UNet(width=4, levels=2)
    network(torch.randn(4, 1, 32, 32))  # so that the normalisation has seen something
    network.eval()
    image = torch.randn(1, 1, 20, 30)
    before = network(image)
    assert torch.allclose(fuse(network)(image), before, atol=1e-5)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())


def test_a_network_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(SegmenterError, match="no option 'widht'; there are: width"):
        learn(
            "unet",
            make_examples(),
            [],
            TrainingRun(tmp_path),
            settings=make_tiny_settings("unet", options={"widht": 3}),
        )
    with pytest.raises(SegmenterError, match="cannot be made"):
        learn(
            "unet",
            make_examples(),
            [],
            TrainingRun(tmp_path),
            settings=make_tiny_settings("unet", options={"width": 0}),
        )


# ------------------------------------------------------------------------------------------- training


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A network that has seen one image long enough to know it."""
    folder = tmp_path_factory.mktemp("taught")
    changes = {"steps": 80, "validate_every": 40, "batch": 4, "learning_rate": 0.01, "average": 0.9}
    options = {"width": 8, "levels": 3}
    example = discs(14, 128)
    learn(
        "unet",
        [example],
        [example],
        TrainingRun(folder, device="cpu"),
        settings=make_tiny_settings("unet", **changes, options=options),
    )
    return folder, example


@pytest.mark.figures
def test_a_small_network_learns_an_image(taught):
    folder, example = taught
    image, truth = example.read()
    found = compare_labels(load_segmenter("unet", model=str(folder)).segment(image), truth)
    assert found.dice > 0.9
    assert found.f1 > 0.8
    assert {"weights.safetensors", "model.json", "log.csv", "learning_curve.png"} <= {f.name for f in folder.iterdir()}


def test_the_model_tells_what_it_learnt(taught):
    about = json.loads((taught[0] / "model.json").read_text())
    assert about["format"] == "gnntrack segmenter"
    assert about["inputs"]["normalise"] == "percentile"
    assert about["training"]["data"] == ["drawn"]
    assert about["training"]["best"]["validation_dice"] > 0.9


def test_small_tiles_and_bfloat16_find_the_same_cells(taught):
    folder, example = taught
    image, _ = example.read()
    whole = load_segmenter("unet", model=str(folder)).segment(image)
    for options in ({"tile": 64, "overlap": 32, "batch": 2}, {"flips": True}, {"precision": "bfloat16"}):
        other = load_segmenter("unet", model=str(folder), **options).segment(image)
        assert compare_labels(other, whole).dice > 0.97


def test_an_interrupted_training_that_is_resumed_gives_the_same_weights(tmp_path):
    plan = make_tiny_settings("unet", steps=6, validate_every=3, augment=True)

    def stop(stage, done, total):
        if done == 4:
            raise KeyboardInterrupt

    for place in ("whole", "halted"):
        (tmp_path / place).mkdir()
    learn("unet", make_examples(), [], TrainingRun(tmp_path / "whole", device="cpu"), settings=plan)
    with pytest.raises(KeyboardInterrupt):
        learn("unet", make_examples(), [], TrainingRun(tmp_path / "halted", device="cpu", progress=stop), settings=plan)
    learn("unet", make_examples(), [], TrainingRun(tmp_path / "halted", device="cpu", resume=True), settings=plan)
    one, other = (load_file(tmp_path / place / "weights.safetensors") for place in ("whole", "halted"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_stacks_are_learnt_and_segmented(tmp_path):
    labels = np.zeros((10, 40, 40), np.int32)
    labels[2:8, 6:18, 6:18], labels[3:7, 20:34, 22:36] = 1, 2
    image = (20 + 100 * (labels > 0)).astype(np.float32)
    settings = make_tiny_settings("unet", patch=32)
    learn("unet", [LabelledDisks(image, labels)], [], TrainingRun(tmp_path, device="cpu"), settings=settings)
    model = load_segmenter("unet", model=str(tmp_path))
    assert model.dimensions == (3,)
    assert model.segment(image).shape == image.shape
    with pytest.raises(FrameError, match=r"expected \(Z, Y, X\)"):
        model.segment(image[0])


def test_a_model_of_planes_refuses_a_stack_and_says_what_to_do(taught):
    with pytest.raises(FrameError, match="--segmenter slices --option segmenter=unet"):
        load_segmenter("unet", model=str(taught[0])).segment(np.zeros((3, 20, 20)))


def test_images_and_stacks_are_not_learnt_from_together(tmp_path):
    with pytest.raises(TrainingError, match="not on both"):
        learn(
            "unet",
            [*make_examples(2), *make_examples(3)],
            [],
            TrainingRun(tmp_path),
            settings=make_tiny_settings("unet"),
        )


def test_a_model_of_another_segmenter_is_refused(taught, tmp_path):
    pytest.importorskip("torchvision")
    with pytest.raises(ModelError, match="model of 'unet', not of 'fcn'; choose --segmenter unet"):
        load_segmenter("fcn", model=str(taught[0]))
    with pytest.raises(ModelError, match="no such model"):
        load_segmenter("unet", model=str(tmp_path / "none"))


def test_foreground_alone_is_learnt_with_the_settings_of_the_report(tmp_path):
    changes = {
        "head": "foreground",
        "optimizer": "sgd",
        "learning_rate": 0.005,
        "loss": "cross_entropy",
        "average": 0.0,
    }
    model = train_tiny("unet", tmp_path / "m", **changes, epochs=3, schedule="constant")
    about = json.loads((model / "model.json").read_text())
    assert about["options"]["outputs"] == 2
    assert about["training"]["best"]["step"] == 3  # two images in a batch of two
    image, _ = make_examples()[0].read()
    assert load_segmenter("unet", model=str(model)).segment(image).shape == image.shape


def test_a_movie_is_seen_at_one_scale(taught, tmp_path):
    folder, example = taught
    place = tmp_path / "m"
    place.mkdir()
    for file in ("weights.safetensors", "model.json"):
        (place / file).write_bytes((folder / file).read_bytes())
    about = json.loads((place / "model.json").read_text())
    about["inputs"]["factor"] = None
    (place / "model.json").write_text(json.dumps(about))
    model = load_segmenter("unet", model=str(place))
    image, truth = example.read()
    large = np.kron(image, np.ones((2, 2), image.dtype))
    assert compare_labels(model.segment(large), np.kron(truth, np.ones((2, 2), truth.dtype))).dice > 0.9
    from gnntrack.io import open_frames

    factors = []
    for movie in (np.stack([image, image]), np.stack([large, large])):
        prepare_segmenter(model, open_frames(movie))
        factors.append(model._factor)
    assert factors[1] / factors[0] == pytest.approx(0.5, rel=0.2)


def test_judged_results_count_cells_of_all_images():
    truth = discs(9).labels
    found = mask_metrics([(truth, truth), (0 * truth, truth)])
    both = compare_labels(truth, truth) + compare_labels(0 * truth, truth)
    assert found == {"dice": both.dice, "seg": 0.5, "f1": both.f1}
    assert sum([both], Counts()) == both


# ----------------------------------------------------------------------------------------- commands


def run(*arguments: object):
    return CliRunner().invoke(cli, [str(each) for each in arguments])


def test_a_network_is_trained_and_used_from_the_command_line(tmp_path):
    import tifffile

    folder = tmp_path / "data"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number, example in enumerate([*make_examples(), *make_examples()]):
        image, labels = example.read()
        tifffile.imwrite(folder / "images" / f"{number}.tif", image)
        tifffile.imwrite(folder / "masks" / f"{number}.tif", labels.astype(np.uint16))
    (tmp_path / "plan.toml").write_text(
        "[train_segmenter]\nsteps = 2\nbatch = 1\npatch = 64\naugment = false\noptions = {width = 4, levels = 2}\n"
    )
    trained = run("train-segmenter", "unet", folder, "-o", tmp_path / "model", "--config", tmp_path / "plan.toml")
    assert trained.exit_code == 0, trained.output
    assert "learning_curve.png" in trained.output
    assert f"gnntrack segment IMAGES -o MASKS --segmenter unet --model {tmp_path / 'model'}" in trained.output
    made = run(
        "segment", folder / "images", "-o", tmp_path / "out", "--segmenter", "unet", "--model", tmp_path / "model"
    )
    assert made.exit_code == 0, made.output
    assert len(list((tmp_path / "out").glob("mask*.tif"))) == 4
    again = run("train-segmenter", "unet", folder, "-o", tmp_path / "model")
    assert again.exit_code != 0
    assert "exists already" in again.output


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("threshold", "cannot be trained; there are: deeplab"),
        ("unte", "did you mean 'unet'"),
        ("unet", "--simulated N"),
    ],
)
def test_what_cannot_be_trained_is_told(tmp_path, name, words):
    made = run("train-segmenter", name, "-o", tmp_path / "m")
    assert made.exit_code != 0
    assert words in made.output
    assert not (tmp_path / "m").exists()


def test_simulated_movies_alone_are_enough(tmp_path):
    settings = [
        "--steps",
        1,
        "--batch",
        1,
        "--patch",
        32,
        "--no-augment",
        "--option",
        "width=4",
        "--option",
        "levels=2",
    ]
    made = run("train-segmenter", "unet", "-o", tmp_path / "m", "--simulated", 1, *settings)
    assert made.exit_code == 0, made.output
    assert "SEG" in made.output


def test_the_networks_of_the_tests_are_of_every_trainable_segmenter():
    from gnntrack.segmentation import available_segmenters

    assert set(NETWORKS) <= set(available_segmenters())
