"""FCN, DeepLab and Mask R-CNN: networks, weights, tiles, overlaps, and trainings from end to end."""

from __future__ import annotations

import csv
import logging
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from scipy import ndimage  # noqa: E402
from torch.nn import functional  # noqa: E402
from torchvision import models  # noqa: E402

from gnntrack.errors import FrameError, SegmenterError  # noqa: E402
from gnntrack.settings import TrainSegmenterSettings  # noqa: E402
from gnntrack.training.run import TrainingRun  # noqa: E402
from segmenters.deeplab import DeepLabSegmenter  # noqa: E402
from segmenters.dense.torchvision_networks import DeepLab, Fcn  # noqa: E402
from segmenters.fcn import FcnSegmenter  # noqa: E402
from segmenters.mask_rcnn.inference import draw_cells, estimate_factor, find_in_tiles  # noqa: E402
from segmenters.mask_rcnn.network import Detections, build_mask_rcnn  # noqa: E402
from segmenters.mask_rcnn.task import make_targets  # noqa: E402
from segmenters.maskrcnn import MaskRcnn, MaskRcnnSegmenter  # noqa: E402

SEGMENTERS = {"fcn": FcnSegmenter, "deeplab": DeepLabSegmenter, "maskrcnn": MaskRcnnSegmenter}
TRAINED = [
    "fcn",
    pytest.param("deeplab", marks=pytest.mark.slow),
    "maskrcnn",
]  # FCN and DeepLab are trained by the same code
LIGHT = {"backbone": "mobilenet_v3_large", "weights": "none"}
RULES = {"score": 0.5, "threshold": 0.5, "covered": 0.5}


def discs(shape, cells, *, noise=0.02, seed=0):
    """Bright discs (y, x, radius) on a dark ground, and who is where."""
    rows, columns = np.indices(shape)
    labels = np.zeros(shape, np.int32)
    for label, (y, x, radius) in enumerate(cells, start=1):
        labels[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = label
    image = np.where(labels > 0, 1.0, 0.1) + np.random.default_rng(seed).normal(0, noise, shape)
    return image.astype(np.float32), labels


class Example:
    """An image with its labels."""

    def __init__(self, image, labels, name="a frame"):
        self.image, self.labels, self.name, self.movie = image, labels, name, "a movie"

    def read(self):
        return self.image, self.labels


EXAMPLE = Example(*discs((64, 64), [(16, 18, 10), (44, 40, 12)]))


def settings(**changes):
    """Return settings of a training that takes a second."""
    plan = {"batch": 2, "patch": 64, "augment": False, "zoom": "none", "precision": "float32", "options": LIGHT}
    return TrainSegmenterSettings(
        **{**plan, "steps": 8, "validate_every": 4, "average": 0.5, "learning_rate": 0.003, **changes}
    )


def dice_of(results):
    """Figures of a validation, simple ones."""
    shared = sum(((found > 0) & (truth > 0)).sum() for found, truth in results)
    dice = 2 * shared / max(sum((found > 0).sum() + (truth > 0).sum() for found, truth in results), 1)
    return {"dice": dice, "seg": dice, "f1": dice}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """By name: the folder of a model, the best row of its log, and what its validations found."""
    made = {}

    def get(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            judged = []

            def judge(results):
                judged.append(results[0][0])
                return dice_of(results)

            plan = settings()
            if name == "maskrcnn":
                plan = settings(options={**LIGHT, "width": 32})
            best = SEGMENTERS[name].train(
                [EXAMPLE], [EXAMPLE], TrainingRun(folder, device="cpu"), settings=plan, metrics=judge
            )
            made[name] = folder, best, judged
        return made[name]

    return get


# ------------------------------------------------------------------------------- trainings from end to end


@pytest.mark.parametrize("name", TRAINED)
def test_a_training_lowers_the_loss(trained, name):
    with (trained(name)[0] / "log.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("name", TRAINED)
def test_a_saved_model_finds_what_the_validation_found(trained, name):
    folder, best, judged = trained(name)
    labels = SEGMENTERS[name](model=folder, device="cpu").segment(EXAMPLE.image)
    assert np.mean(labels == judged[best["step"] // 4 - 1]) > 0.999  # fused normalisation rounds differently


@pytest.mark.parametrize("name", TRAINED)
def test_a_saved_model_is_loaded_without_asking_for_weights(trained, name, monkeypatch):
    folder = trained(name)[0]
    monkeypatch.setattr(models, "get_model_weights", lambda _: pytest.fail("it asked"))
    assert SEGMENTERS[name](model=folder, device="cpu").segment(EXAMPLE.image).shape == (64, 64)


@pytest.mark.parametrize("name", TRAINED)
def test_a_stack_is_refused_with_a_word_on_slices(trained, name):
    segmenter = SEGMENTERS[name](model=trained(name)[0], device="cpu")
    with pytest.raises(FrameError, match=f"--segmenter slices --option segmenter={name}"):
        segmenter.segment(np.zeros((4, 30, 30), np.float32))


@pytest.mark.parametrize("name", TRAINED)
def test_odd_images_have_labels_of_their_shape(trained, name):
    segmenter = SEGMENTERS[name](model=trained(name)[0], device="cpu")
    assert not segmenter.segment(np.full((20, 30), 7, np.uint16)).any()
    assert segmenter.segment(np.zeros((0, 30))).shape == (0, 30)
    assert segmenter.segment(np.eye(3, 50)).shape == (3, 50)
    with pytest.raises(FrameError, match="1 pixel is NaN"):
        segmenter.segment(np.pad([[np.nan]], 9))


@pytest.mark.parametrize("name", TRAINED)
def test_the_same_image_gives_the_same_labels(trained, name):
    segmenter = SEGMENTERS[name](model=trained(name)[0], device="cpu")
    image = EXAMPLE.image.copy()
    first = segmenter.segment(image)
    segmenter.segment(image.T[:40])
    assert np.array_equal(segmenter.segment(image), first)
    assert np.array_equal(image, EXAMPLE.image)


@pytest.mark.parametrize("name", SEGMENTERS)
def test_no_network_learns_on_stacks(name, tmp_path):
    stack = Example(np.zeros((2, 32, 32)), np.pad(np.ones((2, 9, 9), np.int32), ((0, 0), (9, 14), (9, 14))))
    with pytest.raises(SegmenterError, match=f"'{name}' is trained on images .* 3 axes; train 'unet'"):
        SEGMENTERS[name].train([stack], [], TrainingRun(tmp_path), settings=settings(), metrics=dice_of)


# ------------------------------------------------------------------------------------------ new networks


def new(name, **options):
    """Return a new network."""
    if name == "maskrcnn":
        return build_mask_rcnn(dimensions=2, options=options)
    return SEGMENTERS[name].build_network(dimensions=2, outputs=3, flat=0, options=options)


@pytest.mark.parametrize("name", SEGMENTERS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 3}, "no option 'depth'; there are: backbone, .*weights"),
        ({"backbone": "vgg"}, "resnet50, resnet101, resnet18, mobilenet_v3_large"),
        ({"weights": "mine"}, "option weights is 'mine', but must be pretrained or none"),
    ],
)
def test_wrong_options_are_refused(name, options, message):
    with pytest.raises(SegmenterError, match=message):
        new(name, **{"weights": "none", **options})


def test_images_are_enlarged_by_one_two_or_four():
    with pytest.raises(SegmenterError, match="enlarge is 3"):
        new("fcn", weights="none", enlarge=3)


@pytest.mark.parametrize("kind", [Fcn, DeepLab])
@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v3_large"])
def test_a_single_small_patch_can_be_learnt_from(kind, backbone):
    network = kind(backbone=backbone, outputs=3).train()
    assert network(torch.rand(1, 1, 16, 16)).shape == (1, 3, 16, 16)


def test_mask_r_cnn_learns_from_a_single_small_patch_and_from_an_empty_one():
    network = new("maskrcnn", width=32, **LIGHT).train()
    labels = np.zeros((16, 16))
    empty = network(torch.rand(1, 1, 16, 16), [make_targets(labels)])
    labels[3:12, 4:14] = 1
    assert torch.isfinite(network(torch.rand(1, 1, 16, 16), [make_targets(labels)]))
    assert torch.isfinite(empty)


class Averages(torch.nn.Module):
    """A backbone whose map is the image at an eighth of its size."""

    def forward(self, images):
        return {"out": functional.avg_pool2d(images, 8)}


@pytest.mark.parametrize("enlarge", [1, 2, 4])
@pytest.mark.parametrize("size", [(1, 1), (33, 50), (64, 96)])
def test_answers_are_as_large_as_images_and_not_shifted(enlarge, size):
    network = Fcn(backbone="mobilenet_v3_large", enlarge=enlarge, outputs=3).eval()
    assert network(torch.rand(1, 1, *size)).shape == (1, 3, *size)
    network.backbone, network.head = Averages(), torch.nn.Identity()
    rows, columns = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    ramp = (rows + 3 * columns)[None, None].float()
    off = network(ramp)[:, :1] - (ramp - 0.449) / 0.226
    assert off[..., 8:-16, 8:-16].abs().max() < 1e-2 if min(size) > 20 else off.abs().max() < 1e-2


@pytest.mark.parametrize("name", SEGMENTERS)
@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v3_large"])
def test_a_new_network_has_the_weights_for_photos(name, backbone, monkeypatch):
    photos = models.get_model(backbone, weights=None).state_dict()
    held = SimpleNamespace(get_state_dict=lambda **_: photos)
    monkeypatch.setattr(models, "get_model_weights", lambda _: SimpleNamespace(DEFAULT=held))
    network = new(name, backbone=backbone)
    body = network.detector.backbone.body if name == "maskrcnn" else network.backbone
    own = body.state_dict()
    for key, value in own.items():
        wanted = photos.get(key, photos.get(f"features.{key}"))
        assert torch.equal(value, wanted), key
    assert len(own) > 50


@pytest.mark.parametrize("name", SEGMENTERS)
@pytest.mark.parametrize("error", [URLError("no network"), ConnectionResetError(), RuntimeError("invalid hash value")])
def test_training_starts_from_scratch_where_no_weights_can_be_had(name, error, monkeypatch, caplog):
    def fails(**_):
        raise type(error)(*error.args)  # an error that outlives the test would keep the network in its traceback

    held = SimpleNamespace(get_state_dict=fails)
    monkeypatch.setattr(models, "get_model_weights", lambda _: SimpleNamespace(DEFAULT=held))
    with caplog.at_level(logging.WARNING):
        new(name, backbone="resnet18")
    assert "pretrained weights of resnet18 are not available" in caplog.text


@pytest.mark.parametrize("name", SEGMENTERS)
def test_no_weights_are_asked_for_where_none_are_wanted(name, monkeypatch):
    monkeypatch.setattr(models, "get_model_weights", lambda _: pytest.fail("it asked"))
    new(name, **LIGHT)


def test_the_width_of_mask_r_cnn_is_one_that_there_is():
    with pytest.raises(SegmenterError, match=r"width 40 .* widths \(32, 64, 128, 256\)"):
        new("maskrcnn", width=40, **LIGHT)


# ------------------------------------------------------------------------------------------- Mask R-CNN


def whole(*cells):
    """Return cells (score, box) that fill their boxes."""
    score, box = zip(*cells, strict=True)
    return Detections(np.array(score, np.float32), np.array(box, np.float32), np.ones((len(cells), 28, 28), np.float32))


def test_overlapping_cells_share_pixels_by_score():
    left, right = (9.5, 9.5, 19.5, 19.5), (9.5, 15.5, 19.5, 25.5)
    for scores in ((0.9, 0.8), (0.8, 0.9)):
        found = whole((scores[0], left), (scores[1], right))
        labels = draw_cells(found, (30, 40), seen=(30, 40), **RULES)
        first, second = (1, 2) if scores[0] > scores[1] else (2, 1)
        assert (labels[10:20, 10:16] == first).all()
        assert (labels[10:20, 20:26] == second).all()
        assert (labels[10:20, 16:20] == 1).all()
        assert (labels > 0).sum() == 160


def test_a_cell_that_is_mostly_covered_or_hardly_sure_is_left_out():
    found = whole((0.9, (9.5, 9.5, 19.5, 19.5)), (0.8, (9.5, 12.5, 19.5, 20.5)), (0.4, (19.5, 29.5, 25.5, 35.5)))
    assert draw_cells(found, (30, 40), seen=(30, 40), **RULES).max() == 1
    assert draw_cells(found, (30, 40), seen=(30, 40), **{**RULES, "covered": 0.9}).max() == 2
    assert draw_cells(found, (30, 40), seen=(30, 40), **{**RULES, "score": 0.3}).max() == 2


def test_a_cell_that_another_cuts_in_two_keeps_the_larger_piece():
    found = whole((0.9, (-0.5, 9.5, 29.5, 14.5)), (0.8, (9.5, 4.5, 19.5, 29.5)))
    labels = draw_cells(found, (30, 40), seen=(30, 40), **RULES)
    assert (labels == 2).sum() == 150
    assert ndimage.label(labels == 2)[1] == 1


@pytest.mark.parametrize("factor", [0.5, 2])
def test_cells_are_painted_at_the_scale_of_the_image(factor):
    # pixels 4 to 9 and 0 to 11 of the image, outer edges -.5 apart, as seen by the network
    edges = (np.array([4, 0, 10, 12]) * factor - 0.5).astype(np.float32)
    labels = draw_cells(whole((0.9, edges)), (20, 16), seen=(int(20 * factor), int(16 * factor)), **RULES)
    expected = np.zeros((20, 16), bool)
    expected[4:10, :12] = True
    assert np.array_equal(labels > 0, expected)


class Blobs:
    """A network that finds what is bright and in one piece."""

    def parameters(self):
        return iter([torch.zeros(1)])

    def find(self, images):
        pieces, count = ndimage.label(images[0, 0].numpy() > 0.5)
        places = ndimage.find_objects(pieces)
        boxes = [[r.start - 0.5, c.start - 0.5, r.stop - 0.5, c.stop - 0.5] for r, c in places]
        grid = (np.arange(28) + 0.5) / 28
        masks = []
        for label, (rows, columns) in enumerate(places, start=1):
            y, x = (((s.stop - s.start) * grid).astype(int) + s.start for s in (rows, columns))
            masks.append(pieces[np.ix_(y, x)] == label)
        size = np.array([np.count_nonzero(pieces == label) for label in range(1, count + 1)])
        scores = 0.6 + 0.3 * (size % 7) / 7  # cells that are cut may well have the higher score
        parts = [scores, np.reshape(boxes, (-1, 4)), np.reshape(masks, (-1, 28, 28))]
        return [Detections(*(np.asarray(part, np.float32) for part in parts))]


@pytest.mark.parametrize("tile", [64, 96, 400])
def test_tiles_find_each_cell_once_and_whole(tile):
    centres = [(y, x, 9) for y in range(15, 200, 23) for x in range(12, 230, 24)]
    image, truth = discs((204, 240), centres, noise=0)
    found = find_in_tiles(Blobs(), image, tile=tile, overlap=40)
    labels = draw_cells(found, truth.shape, seen=truth.shape, **RULES)
    assert labels.max() == len(centres)
    for cell in range(1, truth.max() + 1):
        mask = truth == cell
        mine = labels == np.bincount(labels[mask]).argmax()
        assert (mask & mine).sum() / (mask | mine).sum() > 0.9


def test_an_image_without_cells_in_some_tiles_is_no_trouble():
    image, _ = discs((150, 150), [(20, 20, 9)], noise=0)
    assert len(find_in_tiles(Blobs(), image, tile=64, overlap=32).score) == 1
    assert len(find_in_tiles(Blobs(), 0 * image, tile=64, overlap=32).score) == 0


def test_targets_are_pieces_with_outer_edges():
    labels = np.zeros((30, 40), np.float32)
    labels[2:8, 3:13] = 7
    labels[8:15, 3:13] = 9  # touches it
    labels[20:26, 30:40] = 7  # its mirror image
    labels[28:30, 0:2] = 4  # what is left of one
    targets = make_targets(labels)
    expected = [[2.5, 1.5, 12.5, 7.5], [2.5, 7.5, 12.5, 14.5], [29.5, 19.5, 39.5, 25.5]]
    assert targets["boxes"].tolist() == expected
    assert targets["masks"].sum(dim=(1, 2)).tolist() == [60, 70, 60]
    assert targets["labels"].tolist() == [1, 1, 1]
    assert make_targets(0 * labels)["masks"].shape == (0, 30, 40)
    assert make_targets(np.where(labels == 0, -1, 0))["masks"].shape == (0, 30, 40)  # unknown is no cell


@pytest.mark.parametrize(("radius", "diameter"), [(6, 30), (20, 20)])
def test_the_scale_is_found_from_the_cells(radius, diameter):
    image, truth = discs((160, 160), [(40, 40, radius), (110, 100, radius)])

    def segment(ready, factor):
        return truth if 0.3 < factor * 2 * radius / diameter < 3 else 0 * truth

    assert estimate_factor(image, diameter, segment=segment) * 2 * radius == pytest.approx(diameter, rel=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": 2}, "score is 2, but must be between 0 and 1"),
        ({"tile": 9}, "tile is 9, but must be 64 or above"),
        ({"overlap": 512}, "overlap is 512, but must be 0 or above, and less than tile"),
        ({"diameter": 0}, "diameter is 0, but must be above 0"),
        ({"precision": "half"}, "precision is 'half'"),
    ],
)
def test_options_of_use_out_of_range_are_refused(options, message):
    with pytest.raises(SegmenterError, match=message):
        MaskRcnnSegmenter(**options)


def test_mask_r_cnn_boxes_start_at_the_border_of_the_image(trained):
    network = MaskRcnnSegmenter(model=trained("maskrcnn")[0], device="cpu").network
    assert isinstance(network, MaskRcnn)
    with torch.inference_mode():
        found = network.find(torch.from_numpy(EXAMPLE.image)[None, None])[0]
    assert not ((found.box >= 0) & (found.box < 1e-6)).any()
