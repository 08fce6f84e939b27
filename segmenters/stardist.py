"""StarDist: nuclei and other round cells by the network of the package of this name.

Only what lies between the two is here: the model that fits the image, images as the network wants them, labels
as gnntrack wants them, and an error where StarDist would go on without weights.
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
from segmenters.common.inputs import checked_image, expect_option, stretched

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Labels = npt.NDArray[np.int32]

__all__ = ["StarDistSegmenter"]

# The models of grey values that StarDist's authors offer, and the axes of their images.
_SHIPPED = {"2D_versatile_fluo": 2, "2D_paper_dsb2018": 2, "2D_demo": 2, "3D_demo": 3}
_USUAL = {2: "2D_versatile_fluo", 3: "3D_demo"}


class StarDistSegmenter:
    """StarDist: star-convex shapes, for round nuclei and cells; 2D and 3D.

    Parameters
    ----------
    model : str, optional
        '2D_versatile_fluo' (fluorescent nuclei), '2D_paper_dsb2018', '2D_demo' or '3D_demo' (downloaded once),
        or the folder of a model of your own, with its ``config.json`` and weights. Where left out,
        '2D_versatile_fluo' for images and '3D_demo' for stacks; the latter has seen simulated nuclei only:
        train one of your own.
    prob_thresh : float, optional
        Lowest probability of a cell's pixel to vote for its shape; lower finds more cells. The model's own
        where left out.
    nms_thresh : float, optional
        Shapes that overlap by more than this share are one cell. The model's own where left out.
    scale : float or sequence of float, optional
        The image is scaled by this, one number or one along each of ``[z], y, x``, to the size of cells that
        the model has seen, and the labels are scaled back.
    n_tiles : sequence of int, optional
        Tiles along ``[z], y, x``, for images too large for the memory; one tile where left out.
    percentiles : two floats
        These percentiles of the grey values become 0 and 1.

    Raises
    ------
    SegmenterError
        If an option is out of range, or the model cannot be had.

    Notes
    -----
    Schmidt, Weigert, Broaddus and Myers, MICCAI 2018; Weigert, Schmidt, Haase, Sugawara and Myers, WACV 2020.
    A model is loaded with the first image that needs it, unless it is given.
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
        for option, value in (("prob_thresh", prob_thresh), ("nms_thresh", nms_thresh)):
            expect_option(self.name, option, value, "between 0 and 1", holds=value is None or 0 <= value <= 1)
        for option, numbers in (("scale", scale), ("n_tiles", n_tiles)):
            positive = numbers is None or bool(np.all(np.asarray(numbers) > 0))
            expect_option(self.name, option, numbers, "above 0", holds=positive)
        ascending = len(percentiles) == 2 and 0 <= percentiles[0] < percentiles[1] <= 100
        expect_option(self.name, "percentiles", percentiles, "two ascending numbers from 0 to 100", holds=ascending)
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
        """Return the labels of the cells of one frame.

        Parameters
        ----------
        image : (Y, X) or (Z, Y, X) array of numbers
            Grey values.

        Returns
        -------
        labels : int32 array of the same shape
            1, 2, ... without gaps, 0 = background. An image of one grey value has no cells.

        Raises
        ------
        FrameError
            If the image has other dimensions than the model's or those of `scale` and `n_tiles`, or is not a
            number everywhere.
        SegmenterError
            If the model of such images cannot be had.
        """
        pixels = checked_image(image, self.dimensions, hint=self._hint())
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
            stretched(pixels, self.percentiles), show_tile_progress=False, **self._options
        )
        # A shape that others cover wholly leaves a gap in the numbers.
        labels, _, _ = relabel_sequential(np.asarray(found, np.int32))  # type: ignore[no-untyped-call]
        return np.asarray(labels, np.int32)

    def _hint(self) -> str:
        if self.dimensions == (2,):
            return f"; '{self.model}' is a model of images: give option model one of stacks, or segment plane by plane"
        return f"; '{self.model}' is a model of stacks: give option model one of images" if self.model else ""


def _load(model: str) -> tuple[int, Any]:
    """Return the axes of a model's images, 2 or 3, and the model."""
    folder = Path(model).expanduser()
    if model not in _SHIPPED and not folder.is_dir():
        names = ", ".join(_SHIPPED)
        msg = f"option model is '{model}', which is no folder; expected one with a model, or one of: {names}"
        raise _error(msg)
    with redirect_stdout(sys.stderr):  # StarDist tells what it loads; what gnntrack prints may be read by programs
        return (_SHIPPED[model], _download(model)) if model in _SHIPPED else _read(folder.resolve())


def _download(model: str) -> Any:
    """Return a model of StarDist's authors, from its own cache if it was downloaded before."""
    remedy = (
        f"get 'python_{model}.zip' from the releases of 'stardist/stardist-models' on GitHub where there is a network, "
        f"unpack it into a folder, and tell that by option model"
    )
    try:
        network = (StarDist2D if _SHIPPED[model] == 2 else StarDist3D).from_pretrained(model)
    except Exception as error:  # Keras raises plain exceptions
        reason = f"({type(error).__name__}: {error})"
        msg = f"the model '{model}' cannot be downloaded {reason}; {remedy}"
        raise _error(msg) from error
    if network is None:  # what StarDist makes of a download whose checksum is wrong
        msg = f"the model '{model}' was downloaded incompletely; try again, or {remedy}"
        raise _error(msg)
    return network


def _read(folder: Path) -> tuple[int, Any]:
    config, weights = folder / "config.json", [*folder.glob("*.h5"), *folder.glob("*.hdf5")]
    if not config.is_file() or not weights:  # without weights StarDist would go on with random ones
        lacking = "weights (*.h5)" if config.is_file() else "config.json"
        msg = f"the folder {folder} has no {lacking}; expected a model as StarDist's training saves it"
        raise _error(msg)
    try:
        about = json.loads(config.read_text(encoding="utf-8"))
        ndim, channels = about["n_dim"], about["n_channel_in"]
        network = (StarDist3D if ndim == 3 else StarDist2D)(None, name=folder.name, basedir=str(folder.parent))
    except Exception as error:  # by json, h5py, Keras or StarDist, each with its own
        reason = f"({type(error).__name__}: {error})"
        msg = f"the model in {folder} cannot be loaded {reason}; expected one that StarDist saved"
        raise _error(msg) from error
    if channels != 1:
        msg = f"the model in {folder} takes images of {channels} channels; expected one of grey values"
        raise _error(msg)
    return ndim, network


def _error(problem: str) -> SegmenterError:
    return SegmenterError(f"segmenter '{StarDistSegmenter.name}': {problem}")
