"""The adapters of Cellpose and StarDist, on stand-ins for these packages and, where installed, on themselves."""

# ruff: noqa: ARG003, N803 - the stand-ins have the signatures of the packages

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType, SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
from scipy import ndimage
from test_segmenters import IMAGES

from gnntrack import segmentation
from gnntrack.errors import FrameError, InputError, MissingDependencyError, SegmenterError

CLASSES = {"cellpose": "CellposeSegmenter", "stardist": "StarDistSegmenter"}


def blobs(image):
    """Labels with gaps of what is bright in an image that runs from 0 to 1: what a stand-in's network finds."""
    return 3 * ndimage.label(image > 0.5)[0].astype(np.uint16)


# ------------------------------------------------------- stand-ins, with the signatures of the packages


class CellposeModel:
    asked = None

    def __init__(
        self, gpu=False, pretrained_model="cpsam_v2", model_type=None, diam_mean=None, device=None, nchan=None,
        use_bfloat16=True,
    ):  # fmt: skip
        name = Path(pretrained_model)
        if name.is_file() and name.read_bytes() != b"weights":
            raise ValueError("This model does not appear to be a CP4 model.")
        if not name.is_file():
            raise URLError("no route to host")
        self.device, self.loaded = device, pretrained_model

    def eval(
        self, x, batch_size=8, resample=True, channels=None, channel_axis=None, z_axis=None, normalize=True,
        rescale=None, diameter=None, flow_threshold=0.4, cellprob_threshold=0.0, do_3D=False, anisotropy=None,
        flow3D_smooth=0, stitch_threshold=0.0, min_size=15, max_size_fraction=0.4, niter=None, augment=False,
        tile_overlap=0.1, bsize=None, compute_masks=True, progress=None,
    ):  # fmt: skip
        CellposeModel.asked = dict(locals())
        if z_axis is None and x.ndim == 3:
            raise ValueError("a stack without z_axis is an image of channels")
        if x.ndim == 2 and (z_axis is not None or do_3D):
            raise ValueError("2D image processing selected")
        labels = blobs(x)
        x -= 1  # as its stretch does
        return labels.squeeze(), [], np.zeros(256)


class StarDist2D:
    asked = None
    ndim = 2

    def __init__(self, config, name=None, basedir="."):
        sys.stdout.write("Loading network weights from 'weights_best.h5'.\n")
        if Path(basedir, name, "weights_best.h5").read_bytes() != b"weights":
            raise OSError("no HDF5")
        self.name = name

    @classmethod
    def from_pretrained(cls, name_or_alias=None):
        raise Exception("URL fetch failure on https://...: None -- no route to host")

    def predict_instances(
        self, img, axes=None, normalizer=None, sparse=True, prob_thresh=None, nms_thresh=None, scale=None,
        n_tiles=None, show_tile_progress=True, verbose=False, return_labels=True, predict_kwargs=None,
        nms_kwargs=None, overlap_label=None, return_predict=False,
    ):  # fmt: skip
        StarDist2D.asked = dict(locals())
        assert img.ndim == self.ndim
        return blobs(img), {}


class StarDist3D(StarDist2D):
    ndim = 3


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """Return a function that gives an adapter's class, bound to a stand-in of its package."""

    def adapter(name, **contents):
        package, models = ModuleType(name), ModuleType(f"{name}.models")
        vars(models).update(contents)
        package.models = models
        monkeypatch.setitem(sys.modules, name, package)
        monkeypatch.setitem(sys.modules, f"{name}.models", models)
        kept.setdefault(name, sys.modules.pop(f"segmenters.{name}", None))
        return getattr(importlib.import_module(f"segmenters.{name}"), CLASSES[name])

    kept = {}
    yield adapter
    for name, module in kept.items():
        sys.modules.pop(f"segmenters.{name}", None)
        if module is not None:
            sys.modules[f"segmenters.{name}"] = module


@pytest.fixture
def cellpose(stand_in, tmp_path):
    """The class of the adapter; the weights 'cpsam' are not there, those in the file 'mine' are."""
    (tmp_path / "mine").write_bytes(b"weights")
    return stand_in(
        "cellpose", CellposeModel=CellposeModel, MODEL_NAMES=["cpsam_v2", "cpsam"], MODEL_DIR=tmp_path / "cache",
        get_user_models=lambda: ["livecell"],
    )  # fmt: skip


@pytest.fixture
def stardist(stand_in, monkeypatch):
    return stand_in("stardist", StarDist2D=StarDist2D, StarDist3D=StarDist3D)


def save_model(folder, ndim, *, channels=1, weights=b"weights"):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"n_dim": ndim, "n_channel_in": channels}))
    (folder / "weights_best.h5").write_bytes(weights)
    return str(folder)


@pytest.fixture(params=CLASSES)
def segmenter(request, tmp_path, monkeypatch):
    kind = request.getfixturevalue(request.param)
    if request.param == "cellpose":
        return kind(model=str(tmp_path / "mine"), device="cpu")
    for cls in (StarDist2D, StarDist3D):
        folder = save_model(tmp_path / cls.__name__, cls.ndim)
        monkeypatch.setattr(cls, "from_pretrained", lambda _name, at=folder, of=cls: of(None, Path(at).name, tmp_path))
    return kind()


# ------------------------------------------------------------------------------ the contract, for both


@pytest.mark.parametrize("name", IMAGES)
def test_returns_labels_without_gaps_and_leaves_the_image_alone(segmenter, name):
    image = IMAGES[name]
    before = image.copy()
    labels = segmenter.segment(image)
    assert labels.dtype == np.int32
    assert labels.shape == image.shape
    assert np.array_equal(np.unique(labels[labels > 0]), np.arange(1, labels.max(initial=0) + 1))
    assert np.array_equal(image, before)


@pytest.mark.parametrize("name", ["2D", "3D", "uint8", "float64", "flat stack", "narrow", "one bright pixel"])
def test_what_the_network_finds_arrives_where_it_is(segmenter, name):
    image = IMAGES[name].astype(np.float64)
    peak = np.unravel_index(image.argmax(), image.shape)
    labels = segmenter.segment(image)
    assert labels[peak] > 0
    assert np.array_equal(segmenter.segment(image / 2**20), labels)  # whatever the unit of the grey values


@pytest.mark.parametrize("name", ["constant", "constant 3D", "no pixels", "one pixel"])
def test_no_network_is_asked_about_an_image_of_one_value(segmenter, name, monkeypatch):
    monkeypatch.delattr(CellposeModel, "eval")
    monkeypatch.delattr(StarDist2D, "predict_instances")
    labels = segmenter.segment(IMAGES[name])
    assert labels.dtype == np.int32
    assert labels.shape == IMAGES[name].shape
    assert not labels.any()


def test_an_image_that_is_no_number_everywhere_is_refused(segmenter):
    with pytest.raises(FrameError, match="1 pixel is NaN or infinite"):
        segmenter.segment(np.array([[0, 1], [np.nan, 2]]))


@pytest.mark.parametrize("image", [np.zeros(5), np.zeros((2, 3, 4, 5)), np.zeros((4, 4), complex)])
def test_what_is_no_image_is_refused(segmenter, image):
    with pytest.raises(FrameError, match=r"expected \(Y, X\) or \(Z, Y, X\)"):
        segmenter.segment(image)


@pytest.mark.parametrize("name", CLASSES)
def test_where_the_package_is_missing_the_pip_line_names_the_extra(name, monkeypatch):
    value = f"segmenters.{name}:{CLASSES[name]} [{name}]"
    entry = EntryPoint(name=name, value=value, group="gnntrack.segmenters")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [entry])
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"segmenters.{name}", raising=False)
    with pytest.raises(MissingDependencyError, match=rf"needs '{name}.*pip install '.*\[{name}\]'"):
        segmentation.load_segmenter(name)


# -------------------------------------------------------------------------------------------- Cellpose


def test_cellpose_gets_its_options_under_its_own_names(cellpose, tmp_path):
    options = {
        "diameter": 17.0, "cellprob_threshold": -1.0, "flow_threshold": 0.6, "min_size": 3, "niter": 50, "batch_size": 2
    }  # fmt: skip
    cellpose(model=str(tmp_path / "mine"), device="cpu", **options).segment(IMAGES["2D"])
    assert {option: CellposeModel.asked[option] for option in options} == options
    network = CellposeModel.asked["self"]
    assert (network.device.type, network.loaded) == ("cpu", str(tmp_path / "mine"))
    assert CellposeModel.asked["normalize"] == {"normalize": False}


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({}, (True, 0.0, None)),
        ({"spacing": (3.0, 0.5, 0.5)}, (True, 0.0, 6.0)),
        ({"stitch_threshold": 0.25}, (False, 0.25, None)),
    ],
)
def test_cellpose_segments_stacks_by_flow_or_plane_by_plane(cellpose, tmp_path, options, asked):
    cellpose(model=str(tmp_path / "mine"), device="cpu", **options).segment(IMAGES["3D"])
    assert tuple(CellposeModel.asked[name] for name in ("do_3D", "stitch_threshold", "anisotropy")) == asked


def test_cellpose_segments_a_stack_of_one_plane_as_an_image(cellpose, tmp_path):
    cellpose(model=str(tmp_path / "mine"), device="cpu").segment(IMAGES["flat stack"])
    assert (CellposeModel.asked["x"].ndim, CellposeModel.asked["do_3D"]) == (2, False)


def test_cellpose_without_weights_says_where_to_get_them(cellpose, tmp_path):
    with pytest.raises(SegmenterError, match=r"'cpsam' cannot be downloaded \(URLError: .*Hugging Face.*cache"):
        cellpose(device="cpu")
    with pytest.raises(SegmenterError, match="'livecell' cannot be downloaded"):
        cellpose(model="livecell", device="cpu")


def test_cellpose_refuses_unknown_names_and_files_that_are_no_weights(cellpose, tmp_path):
    with pytest.raises(SegmenterError, match=r"'cyto3', which is not a file; .* one of: cpsam_v2, cpsam, livecell"):
        cellpose(model="cyto3", device="cpu")
    (tmp_path / "other").write_bytes(b"text")
    with pytest.raises(SegmenterError, match=r"other' cannot be loaded \(ValueError: .*CP4 model.*of Cellpose 4"):
        cellpose(model=str(tmp_path / "other"), device="cpu")


def test_cellpose_refuses_a_device_that_is_not_there(cellpose, tmp_path):
    with pytest.raises(InputError, match="does not have the device 'abacus'"):
        cellpose(model=str(tmp_path / "mine"), device="abacus")


@pytest.mark.parametrize(
    "options",
    [
        {"diameter": 0}, {"niter": 0}, {"batch_size": 0}, {"flow_threshold": -1}, {"min_size": -1},
        {"stitch_threshold": 1.1}, {"spacing": (1, 1)}, {"spacing": (1, 0, 1)}, {"percentiles": (99, 1)},
    ],
)  # fmt: skip
def test_cellpose_refuses_options_out_of_range(cellpose, options):
    with pytest.raises(SegmenterError, match=f"option {next(iter(options))} is"):
        cellpose(**options)


# -------------------------------------------------------------------------------------------- StarDist


def test_stardist_gets_its_options_under_its_own_names(stardist, tmp_path):
    options = {"prob_thresh": 0.3, "nms_thresh": 0.2, "scale": (1, 2.0), "n_tiles": (1, 2)}
    stardist(model=save_model(tmp_path / "mine", 2), **options).segment(IMAGES["2D"])
    assert {option: StarDist2D.asked[option] for option in options} == options
    assert StarDist2D.asked["self"].name == "mine"


def test_stardist_reads_off_a_model_which_images_it_takes(stardist, tmp_path):
    flat, deep = (stardist(model=save_model(tmp_path / f"model{n}", n)) for n in (2, 3))
    assert (flat.dimensions, deep.dimensions, stardist.dimensions) == ((2,), (3,), (2, 3))
    assert flat.segment(IMAGES["2D"]).max() > 0
    assert deep.segment(IMAGES["3D"]).max() > 0
    with pytest.raises(FrameError, match=r"expected \(Y, X\).*model2' is a 2D model: .*plane by plane"):
        flat.segment(IMAGES["3D"])
    with pytest.raises(FrameError, match=r"expected \(Z, Y, X\).*model3' is a 3D model"):
        deep.segment(IMAGES["2D"])


def test_stardist_prints_nothing_where_programs_read(stardist, tmp_path, capsys):
    stardist(model=save_model(tmp_path / "mine", 2))
    told = capsys.readouterr()
    assert told.out == ""
    assert "Loading network weights" in told.err


def test_stardist_without_a_model_says_where_to_get_it(stardist, monkeypatch):
    message = r"'2D_versatile_fluo' cannot be downloaded \(.*python_2D_versatile_fluo.zip.*GitHub.*option model"
    with pytest.raises(SegmenterError, match=message):
        stardist(model="2D_versatile_fluo")
    with pytest.raises(SegmenterError, match=message):
        stardist().segment(IMAGES["2D"])
    with pytest.raises(SegmenterError, match="'3D_demo' cannot be downloaded"):
        stardist().segment(IMAGES["3D"])
    monkeypatch.setattr(StarDist2D, "from_pretrained", lambda _name: None)
    with pytest.raises(SegmenterError, match="downloaded incompletely"):
        stardist(model="2D_demo")


def test_stardist_refuses_what_is_no_model_of_grey_values(stardist, tmp_path):
    with pytest.raises(SegmenterError, match=r"'2D_versatile', which is not a folder; .*2D_versatile_fluo"):
        stardist(model="2D_versatile")
    with pytest.raises(SegmenterError, match=r"has no config\.json"):
        stardist(model=str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(SegmenterError, match="has no weights"):
        stardist(model=str(tmp_path))
    with pytest.raises(SegmenterError, match=r"damaged cannot be loaded \(OSError: no HDF5\)"):
        stardist(model=save_model(tmp_path / "damaged", 2, weights=b"text"))
    with pytest.raises(SegmenterError, match="images with 3 channels"):
        stardist(model=save_model(tmp_path / "colours", 2, channels=3))


def test_stardist_refuses_options_that_do_not_fit_the_image(stardist, tmp_path):
    model = save_model(tmp_path / "mine", 2)
    for options in ({"scale": (1, 1, 2)}, {"n_tiles": (2,)}):
        with pytest.raises(FrameError, match=f"2 axes, but option {next(iter(options))} is"):
            stardist(model=model, **options).segment(IMAGES["2D"])


@pytest.mark.parametrize(
    "options",
    [{"prob_thresh": -0.1}, {"nms_thresh": 2}, {"scale": 0}, {"scale": (1, -1)}, {"n_tiles": (0, 1)},
     {"percentiles": (1, 101)}],
)  # fmt: skip
def test_stardist_refuses_options_out_of_range(stardist, options):
    with pytest.raises(SegmenterError, match=f"option {next(iter(options))} is"):
        stardist(**options)


# ------------------------------------------------------------- the packages themselves, where installed

needs_cellpose = pytest.mark.skipif(not importlib.util.find_spec("cellpose"), reason="cellpose is not installed")
needs_stardist = pytest.mark.skipif(not importlib.util.find_spec("stardist"), reason="stardist is not installed")


@needs_cellpose
def test_the_stand_in_of_cellpose_has_the_signatures_of_cellpose():
    models = importlib.import_module("cellpose.models")
    assert {"cpsam"} <= set(models.MODEL_NAMES)
    assert isinstance(models.get_user_models(), list)
    assert Path(models.MODEL_DIR)
    for method in ("__init__", "eval"):
        ours, theirs = (inspect.signature(getattr(cls, method)) for cls in (CellposeModel, models.CellposeModel))
        assert ours == theirs


@needs_stardist
@pytest.mark.filterwarnings("ignore")  # by the import of TensorFlow
def test_the_stand_ins_of_stardist_have_the_signatures_of_stardist():
    models = importlib.import_module("stardist.models")
    for ours, theirs in ((StarDist2D, models.StarDist2D), (StarDist3D, models.StarDist3D)):
        for method in ("from_pretrained", "predict_instances"):
            assert inspect.signature(getattr(ours, method)) == inspect.signature(getattr(theirs, method))
        assert {"config", "name", "basedir"} <= set(inspect.signature(theirs).parameters)


@needs_stardist
@pytest.mark.filterwarnings("ignore")  # by TensorFlow
@pytest.mark.parametrize(("ndim", "name"), [(2, "2D"), (3, "3D"), (2, "narrow"), (2, "one bright pixel")])
def test_stardist_itself_runs_on_a_network_that_has_learned_nothing(ndim, name, tmp_path):
    models = importlib.import_module("stardist.models")
    small = {"unet_n_depth": 1, "unet_n_filter_base": 4, "net_conv_after_unet": 4}
    rays = {"n_rays": 8} if ndim == 2 else {"rays": 8}
    kinds = SimpleNamespace(config=getattr(models, f"Config{ndim}D"), model=getattr(models, f"StarDist{ndim}D"))
    network = kinds.model(kinds.config(grid=(2,) * ndim, **rays, **small), name="random", basedir=str(tmp_path))
    network.keras_model.save_weights(str(network.logdir / "weights_best.h5"))
    kind = importlib.import_module("segmenters.stardist").StarDistSegmenter
    segmenter = kind(model=str(tmp_path / "random"), prob_thresh=0.4)
    labels = segmenter.segment(IMAGES[name])
    assert (labels.dtype, labels.shape) == (np.int32, IMAGES[name].shape)
    assert np.array_equal(np.unique(labels[labels > 0]), np.arange(1, labels.max(initial=0) + 1))
