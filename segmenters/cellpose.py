"""Adapter to the package Cellpose, version 4: whole cells and nuclei.

The adapter converts images and labels, and raises an error where Cellpose would silently use other weights than the
requested ones.
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
from segmenters.common.inputs import (
    check_image,
    expect_fractions,
    expect_least,
    expect_percentiles,
    expect_positive,
    expect_spacing,
    rescale,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from segmenters.common.arrays import Labels


__all__ = ["CellposeSegmenter"]


class CellposeSegmenter:
    """Cellpose 4, trained by its authors on cells and nuclei of many kinds; 2D and 3D.

    Parameters
    ----------
    model : str
        The weights: a name from Cellpose (downloaded once, 1.2 GB) or a file, for example of your own training. The
        names depend on the release of Cellpose; all have 'cpsam'.
    device : str
        Device of the network: 'auto' is the first available of 'cuda', 'mps' and 'cpu'. Without a GPU, a frame takes
        seconds to minutes.
    diameter : float, optional
        Typical diameter of a cell in pixels along x; the image is scaled so that it is 30. By default the image is not
        scaled, which works for cells of about 7 to 120 pixels.
    cellprob_threshold : float
        Lowest value (a logit) of a pixel of a cell; a lower value finds more and larger cells.
    flow_threshold : float
        Cells whose shape differs from the flow by more than this are removed, in 2D and plane by plane; 0 keeps all
        cells.
    min_size : int
        Cells with fewer pixels are removed.
    niter : int, optional
        Steps along the flow; long cells need more, for example 2000. By default computed from the diameter.
    stitch_threshold : float
        How a stack is segmented. 0: in 3D, with the flow along all three axes. Above 0: plane by plane; cells of
        neighbouring planes are joined if their intersection over union is at least this value.
    spacing : sequence of float, optional
        Size of a voxel along ``z, y, x``, in any unit: only the ratio of z to x matters, and only in 3D by the flow. By
        default voxels are cubes.
    percentiles : two floats
        These percentiles of the grey values become 0 and 1.
    batch_size : int
        Number of tiles of 256 x 256 pixels at once; fewer need less memory.

    Raises
    ------
    InputError
        If the device is not available.
    SegmenterError
        If an option is out of range, or the weights cannot be loaded.

    Notes
    -----
    The network is Cellpose-SAM (Pachitariu, Rariden and Stringer, 2025). Its weights have another licence than the
    package; read it before you use them.
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
        expect_positive(self.name, diameter=diameter, niter=niter, batch_size=batch_size)
        expect_least(self.name, 0, flow_threshold=flow_threshold, min_size=min_size)
        expect_fractions(self.name, stitch_threshold=stitch_threshold)
        expect_spacing(self.name, spacing, {3})
        expect_percentiles(self.name, percentiles)
        self.model, self.stitch_threshold, self.percentiles = model, stitch_threshold, percentiles
        self.anisotropy = None if spacing is None else spacing[0] / spacing[2]
        self._options: dict[str, Any] = {
            "diameter": diameter, "cellprob_threshold": cellprob_threshold, "flow_threshold": flow_threshold,
            "min_size": min_size, "niter": niter, "batch_size": batch_size,
        }  # fmt: skip
        self._network = _load(model, torch.device(find_device(device)))

    def segment(self, image: npt.NDArray[Any]) -> Labels:
        """Return the labels of an image or a stack; see `gnntrack.segmentation.protocol.Segmenter.segment`.

        A stack of a single plane is segmented as an image.
        """
        pixels = check_image(image, self.dimensions)
        if not pixels.size or pixels.min() == pixels.max():
            return np.zeros(pixels.shape, np.int32)
        grey = rescale(pixels, self.percentiles)
        if pixels.ndim == 2 or len(pixels) == 1:
            stack, scene = {}, grey.reshape(pixels.shape[-2:])
        else:
            stack, scene = self._stack_options(), grey
        # Cellpose's own normalisation sets images with a range below 0.001 to 0, and modifies its input.
        masks, _, _ = self._network.eval(scene, normalize={"normalize": False}, **self._options, **stack)
        # Cellpose squeezes its result, which removes axes of length 1.
        labels, _, _ = relabel_sequential(np.asarray(masks, np.int32).reshape(pixels.shape))  # type: ignore[no-untyped-call]
        return np.asarray(labels, np.int32)

    def _stack_options(self) -> dict[str, Any]:
        if self.stitch_threshold > 0:
            return {"z_axis": 0, "stitch_threshold": self.stitch_threshold}
        return {"z_axis": 0, "do_3D": True, "anisotropy": self.anisotropy}


def _load(model: str, device: torch.device) -> Any:
    """Return the network. For an unknown name, Cellpose itself would load other weights and only log this."""
    file = Path(model).expanduser()
    known = [*models.MODEL_NAMES, *models.get_user_models()]
    if not file.is_file() and model not in known:
        msg = f"option model is '{model}', which is not a file; give a file of weights or one of: {', '.join(known)}"
        raise _make_error(msg)
    try:
        return models.CellposeModel(device=device, pretrained_model=str(file) if file.is_file() else model)
    except Exception as error:  # the network, torch and Cellpose raise exceptions of many types
        reason = f"({type(error).__name__}: {error})"
        if file.is_file() or Path(models.MODEL_DIR, model).is_file():
            msg = f"the weights '{model}' cannot be loaded {reason}; give weights of Cellpose 4"
        else:
            msg = (
                f"the weights '{model}' cannot be downloaded {reason}; get the file '{model}' of "
                f"'mouseland/cellpose-sam' from Hugging Face on a computer with internet access, and put it into "
                f"{models.MODEL_DIR}, or give its path as option model"
            )
        raise _make_error(msg) from error


def _make_error(problem: str) -> SegmenterError:
    return SegmenterError(f"segmenter '{CellposeSegmenter.name}': {problem}")
