"""Cellpose: whole cells and nuclei by the network of the package of this name, version 4.

Only what lies between the two is here: images as the network wants them, labels as gnntrack wants them, and
an error where Cellpose would go on without the weights that were asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from cellpose import models
from skimage.segmentation import relabel_sequential

from gnntrack.errors import SegmenterError
from gnntrack.models.devices import find_device
from segmenters.common.inputs import checked_image, expect_option, stretched

if TYPE_CHECKING:
    import numpy.typing as npt

    Labels = npt.NDArray[np.int32]

__all__ = ["CellposeSegmenter"]


class CellposeSegmenter:
    """Cellpose 4, trained by its authors on cells and nuclei of many kinds; 2D and 3D.

    Parameters
    ----------
    model : str
        The weights: a name that Cellpose knows (they are downloaded once, 1.2 GB) or a file, such as one of
        your own training. The names depend on the release of Cellpose; all know 'cpsam'.
    device : str
        Where the network computes: 'auto' is the first of 'cuda', 'mps' and 'cpu' that is there. A frame takes
        seconds to minutes without a graphics card.
    diameter : float, optional
        Typical diameter of a cell in pixels along x: the image is scaled until it is 30. Not scaled where
        left out, which does for cells of about 7 to 120 pixels.
    cellprob_threshold : float
        Lowest value (a logit) of a pixel of a cell; lower finds more and larger cells.
    flow_threshold : float
        Cells whose shape contradicts the flow by more than this are left out, in 2D and plane by plane;
        0 keeps all.
    min_size : int
        Cells of fewer pixels are left out.
    niter : int, optional
        Steps along the flow; long cells need more (2000, say). As many as the diameter asks for where left out.
    stitch_threshold : float
        How a stack is segmented: 0 is in 3D, by the flow along all three axes; above 0 is plane by plane,
        and cells of neighbouring planes are one if their overlap (intersection over union) is this high.
    spacing : sequence of float, optional
        Size of a voxel along ``z, y, x``, in any unit: only the ratio of z to x counts, and only in 3D by the
        flow. Cubes where left out.
    percentiles : two floats
        These percentiles of the grey values become 0 and 1.
    batch_size : int
        Tiles of 256 x 256 pixels at once; less needs less memory.

    Raises
    ------
    InputError
        If this machine has no such device.
    SegmenterError
        If an option is out of range, or the weights cannot be had.

    Notes
    -----
    The network is Cellpose-SAM (Pachitariu, Rariden and Stringer, 2025). Look at the licence of its weights
    before you use them: it is not that of the package.
    """

    name = "cellpose"
    dimensions = (2, 3)

    def __init__(
        self,
        *,
        model: str = "cpsam",
        device: str = "auto",
        diameter: float | None = None,
        cellprob_threshold: float = 0.0,
        flow_threshold: float = 0.4,
        min_size: int = 15,
        niter: int | None = None,
        stitch_threshold: float = 0.0,
        spacing: tuple[float, ...] | None = None,
        percentiles: tuple[float, float] = (1.0, 99.0),
        batch_size: int = 8,
    ) -> None:
        for option, value in (("diameter", diameter), ("niter", niter), ("batch_size", batch_size)):
            expect_option(self.name, option, value, "above 0", holds=value is None or value > 0)
        for option, value in (("flow_threshold", flow_threshold), ("min_size", min_size)):
            expect_option(self.name, option, value, "0 or above", holds=value >= 0)
        expect_option(
            self.name, "stitch_threshold", stitch_threshold, "between 0 and 1", holds=0 <= stitch_threshold <= 1
        )
        positive = spacing is None or (len(spacing) == 3 and min(spacing) > 0)
        expect_option(self.name, "spacing", spacing, "three numbers above 0, for z, y and x", holds=positive)
        ascending = len(percentiles) == 2 and 0 <= percentiles[0] < percentiles[1] <= 100
        expect_option(self.name, "percentiles", percentiles, "two ascending numbers from 0 to 100", holds=ascending)
        self.model, self.stitch_threshold, self.percentiles = model, stitch_threshold, percentiles
        self.anisotropy = None if spacing is None else spacing[0] / spacing[2]
        self._options: dict[str, Any] = {
            "diameter": diameter, "cellprob_threshold": cellprob_threshold, "flow_threshold": flow_threshold,
            "min_size": min_size, "niter": niter, "batch_size": batch_size,
        }  # fmt: skip
        self._network = _load(model, torch.device(find_device(device)))

    def segment(self, image: npt.NDArray[Any]) -> Labels:
        """Return the labels of the cells of one frame.

        Parameters
        ----------
        image : (Y, X) or (Z, Y, X) array of numbers
            Grey values.

        Returns
        -------
        labels : int32 array of the same shape
            1, 2, ... without gaps, 0 = background. An image of one grey value has no cells. A stack of a
            single plane is segmented as an image.

        Raises
        ------
        FrameError
            If the image has other dimensions, or is not a number everywhere.
        """
        pixels = checked_image(image, self.dimensions)
        if not pixels.size or pixels.min() == pixels.max():
            return np.zeros(pixels.shape, np.int32)
        grey = stretched(pixels, self.percentiles)
        if pixels.ndim == 2 or len(pixels) == 1:
            stack, scene = {}, grey.reshape(pixels.shape[-2:])
        else:
            stack, scene = self._stack_options(), grey
        # Cellpose's own stretch makes an image whose values span less than 0.001 black, and works in place.
        masks, _, _ = self._network.eval(scene, normalize={"normalize": False}, **self._options, **stack)
        # It squeezes what it returns: an axis of one pixel is lost.
        labels, _, _ = relabel_sequential(np.asarray(masks, np.int32).reshape(pixels.shape))  # type: ignore[no-untyped-call]
        return np.asarray(labels, np.int32)

    def _stack_options(self) -> dict[str, Any]:
        if self.stitch_threshold > 0:
            return {"z_axis": 0, "stitch_threshold": self.stitch_threshold}
        return {"z_axis": 0, "do_3D": True, "anisotropy": self.anisotropy}


def _load(model: str, device: torch.device) -> Any:
    """Return the network; of an unknown name Cellpose itself would take other weights, and only log it."""
    file = Path(model).expanduser()
    known = [*models.MODEL_NAMES, *models.get_user_models()]
    if not file.is_file() and model not in known:
        msg = f"option model is '{model}', which is no file; expected a file of weights or one of: {', '.join(known)}"
        raise _error(msg)
    try:
        return models.CellposeModel(device=device, pretrained_model=str(file) if file.is_file() else model)
    except Exception as error:  # by the network outside, by torch or by Cellpose, each with its own
        reason = f"({type(error).__name__}: {error})"
        if file.is_file() or Path(models.MODEL_DIR, model).is_file():
            msg = f"the weights '{model}' cannot be loaded {reason}; expected those of Cellpose 4"
        else:
            msg = (
                f"the weights '{model}' cannot be downloaded {reason}; get the file '{model}' of "
                f"'mouseland/cellpose-sam' from Hugging Face where there is a network, and put it into "
                f"{models.MODEL_DIR}, or tell where it is by option model"
            )
        raise _error(msg) from error


def _error(problem: str) -> SegmenterError:
    return SegmenterError(f"segmenter '{CellposeSegmenter.name}': {problem}")
