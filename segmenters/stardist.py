"""Adapter to the package StarDist: nuclei and other round cells.

The adapter chooses a model for the image, converts images and labels, and raises an error where StarDist would continue
with random weights.
"""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.segmentation import relabel_sequential
from stardist.models import StarDist2D, StarDist3D

from gnntrack.errors import FrameError, SegmenterError
from segmenters.common.inputs import check_image, expect_fractions, expect_option, expect_percentiles, rescale

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from segmenters.common.arrays import Labels


__all__ = ["StarDistSegmenter"]

# The published models for grey images, with the number of axes of their images.
_SHIPPED = {"2D_versatile_fluo": 2, "2D_paper_dsb2018": 2, "2D_demo": 2, "3D_demo": 3}
_USUAL = {2: "2D_versatile_fluo", 3: "3D_demo"}


class StarDistSegmenter:
    """StarDist: star-convex shapes, for round nuclei and cells; 2D and 3D.

    Parameters
    ----------
    model : str, optional
        '2D_versatile_fluo' (fluorescent nuclei), '2D_paper_dsb2018', '2D_demo' or '3D_demo' (downloaded once),
        or the folder of your own model, with its ``config.json`` and weights. By default '2D_versatile_fluo' for
        images and '3D_demo' for stacks; the latter was trained on simulated nuclei only, so train your own model for
        real stacks.
    prob_thresh : float, optional
        Lowest probability of a pixel that proposes a shape; a lower value finds more cells. By default the value stored
        in the model.
    nms_thresh : float, optional
        Shapes that overlap by more than this fraction are one cell. By default the value stored in the model.
    scale : float or sequence of float, optional
        Factor, or one factor for each of ``[z], y, x``, that scales the image to the cell size of the training data;
        the labels are scaled back.
    n_tiles : sequence of int, optional
        Tiles along ``[z], y, x``, for images too large for the memory; by default one tile.
    percentiles : two floats
        These percentiles of the grey values become 0 and 1.

    Raises
    ------
    SegmenterError
        If an option is out of range, or the model cannot be loaded.

    Notes
    -----
    Schmidt, Weigert, Broaddus and Myers, MICCAI 2018; Weigert, Schmidt, Haase, Sugawara and Myers, WACV 2020.
    A default model is loaded with the first image that needs it.
    """

    name = "stardist"
    dimensions: tuple[int, ...] = (2, 3)

    def __init__(
        self,
        *,
        model: str | None = None,
        prob_thresh: float | None = None,
        nms_thresh: float | None = None,
        scale: float | Sequence[float] | None = None,
        n_tiles: Sequence[int] | None = None,
        percentiles: tuple[float, float] = (1.0, 99.8),
    ) -> None:
        expect_fractions(self.name, prob_thresh=prob_thresh, nms_thresh=nms_thresh)
        for option, numbers in (("scale", scale), ("n_tiles", n_tiles)):
            positive = numbers is None or bool(np.all(np.asarray(numbers) > 0))
            expect_option(self.name, option, numbers, "above 0", holds=positive)
        expect_percentiles(self.name, percentiles)
        self.model, self.percentiles = model, percentiles
        self._options: dict[str, Any] = {
            "prob_thresh": prob_thresh,
            "nms_thresh": nms_thresh,
            "scale": scale,
            "n_tiles": n_tiles,
        }
        self._networks: dict[int, Any] = {}
        if model is not None:
            ndim, network = _load(model)
            self.dimensions, self._networks = (ndim,), {ndim: network}

    def segment(self, image: npt.NDArray[Any]) -> Labels:
        """Return the labels of an image or a stack; see `gnntrack.segmentation.protocol.Segmenter.segment`.

        Raises
        ------
        FrameError
            If the number of axes does not fit the model, `scale` or `n_tiles`, or pixels are NaN or infinite.
        SegmenterError
            If the default model cannot be loaded.
        """
        pixels = check_image(image, self.dimensions, hint=self._describe_remedy())
        for option in ("scale", "n_tiles"):
            numbers = self._options[option]
            if np.ndim(numbers) and np.size(numbers) != pixels.ndim:
                msg = f"an image with {pixels.ndim} axes, but option {option} is {numbers}; give a number for each axis"
                raise FrameError(msg)
        if not pixels.size or pixels.min() == pixels.max():
            return np.zeros(pixels.shape, np.int32)
        if pixels.ndim not in self._networks:
            self._networks[pixels.ndim] = _load(_USUAL[pixels.ndim])[1]
        found, _ = self._networks[pixels.ndim].predict_instances(
            rescale(pixels, self.percentiles), show_tile_progress=False, **self._options
        )
        # A shape that is completely covered by others leaves a gap in the labels.
        labels, _, _ = relabel_sequential(np.asarray(found, np.int32))  # type: ignore[no-untyped-call]
        return np.asarray(labels, np.int32)

    def _describe_remedy(self) -> str:
        if self.dimensions == (2,):
            return f"; '{self.model}' is a 2D model: give a 3D model as option model, or segment plane by plane"
        return f"; '{self.model}' is a 3D model: give a 2D model as option model" if self.model else ""


def _load(model: str) -> tuple[int, Any]:
    """Return the axes of a model's images, 2 or 3, and the model."""
    folder = Path(model).expanduser()
    if model not in _SHIPPED and not folder.is_dir():
        names = ", ".join(_SHIPPED)
        msg = f"option model is '{model}', which is not a folder; give a folder with a model, or one of: {names}"
        raise _make_error(msg)
    with redirect_stdout(sys.stderr):  # StarDist prints messages, but the output of gnntrack may be read by programs
        return (_SHIPPED[model], _download(model)) if model in _SHIPPED else _read(folder.resolve())


def _download(model: str) -> Any:
    """Return a published model, from the cache of StarDist if it was downloaded before."""
    remedy = (
        f"get 'python_{model}.zip' from the releases of 'stardist/stardist-models' on GitHub on a computer with "
        f"internet access, unpack it into a folder, and give this folder as option model"
    )
    try:
        network = (StarDist2D if _SHIPPED[model] == 2 else StarDist3D).from_pretrained(model)
    except Exception as error:  # Keras raises plain exceptions
        reason = f"({type(error).__name__}: {error})"
        msg = f"the model '{model}' cannot be downloaded {reason}; {remedy}"
        raise _make_error(msg) from error
    if network is None:  # StarDist returns None for a download with a wrong checksum
        msg = f"the model '{model}' was downloaded incompletely; try again, or {remedy}"
        raise _make_error(msg)
    return network


def _read(folder: Path) -> tuple[int, Any]:
    config, weights = folder / "config.json", [*folder.glob("*.h5"), *folder.glob("*.hdf5")]
    if not config.is_file() or not weights:  # without weights StarDist would continue with random ones
        lacking = "weights (*.h5)" if config.is_file() else "config.json"
        msg = f"the folder {folder} has no {lacking}; give a folder that was saved by the training of StarDist"
        raise _make_error(msg)
    try:
        about = json.loads(config.read_text(encoding="utf-8"))
        ndim, channels = about["n_dim"], about["n_channel_in"]
        network = (StarDist3D if ndim == 3 else StarDist2D)(None, name=folder.name, basedir=str(folder.parent))
    except Exception as error:  # json, h5py, Keras and StarDist raise exceptions of many types
        reason = f"({type(error).__name__}: {error})"
        msg = f"the model in {folder} cannot be loaded {reason}; give a model that StarDist saved"
        raise _make_error(msg) from error
    if channels != 1:
        msg = f"the model in {folder} needs images with {channels} channels; give a model for grey images"
        raise _make_error(msg)
    return ndim, network


def _make_error(problem: str) -> SegmenterError:
    return SegmenterError(f"segmenter '{StarDistSegmenter.name}': {problem}")
