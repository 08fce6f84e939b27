"""The base of the segmenters that answer for every pixel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from gnntrack.models.devices import find_device
from segmenters.common.inputs import check_image, expect_option
from segmenters.common.models import load_network
from segmenters.common.pixels import normalise
from segmenters.common.training import choose_bfloat16
from segmenters.dense.inference import Inputs, Use, estimate_factor, segment_pixels
from segmenters.dense.training import train_dense
from segmenters.dense.unet import fuse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from gnntrack.settings import TrainSegmenterSettings
    from gnntrack.training.run import TrainingRun
    from gnntrack.training.segmenter import LabelledImage
    from segmenters.common.training import Metrics

    Labels = npt.NDArray[np.int32]

__all__ = ["DenseSegmenter"]


class DenseSegmenter:
    """Cells from a network's answers for every pixel: foreground, and depth in the cell.

    Parameters
    ----------
    model : path, optional
        Folder that ``gnntrack train-segmenter`` wrote; the model that comes with gnntrack where left out, if there
        is one.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    diameter : float, optional
        Typical diameter of a cell in pixels along x; as in training, or found from the images, where left out.
    threshold : float
        Lowest probability of the foreground.
    depth : float, optional
        Two cells are told apart if the network's depth between them falls by more than this; lower splits more. What
        was best after training where left out; 0.25 where the model does not tell.
    min_size : float
        Cells smaller than this share of the typical cell are left out.
    max_hole : float
        Holes up to this share of the typical cell are filled.
    flips : bool
        Average the answers over the mirrored images: a little better, four times the work.
    tile : int, optional
        Side of the tiles along y and x in the network's pixels: less is less memory. 1024 (2D) and 192 (3D) where
        left out.
    overlap : int
        Pixels that neighbouring tiles share.
    batch : int
        Tiles that are answered at once.
    precision : {"float32", "bfloat16", "auto"}
        Of the multiplications; ``auto`` is bfloat16 where the processor is made for it: faster, hardly different.

    Raises
    ------
    SegmenterError
        If an option is out of range.
    ModelError
        If there is no model, it is damaged, or of another segmenter.
    InputError
        If there is no such device.
    """

    name: ClassVar[str]

    def __init__(
        self,
        *,
        model: str | Path | None = None,
        device: str = "auto",
        diameter: float | None = None,
        threshold: float = 0.5,
        depth: float | None = None,
        min_size: float = 0.1,
        max_hole: float = 0.03,
        flips: bool = False,
        tile: int | None = None,
        overlap: int = 64,
        batch: int = 1,
        precision: str = "float32",
    ) -> None:
        for option, share in (("threshold", threshold), ("depth", depth), ("min_size", min_size)):
            expect_option(self.name, option, share, "between 0 and 1", holds=share is None or 0 <= share <= 1)
        for option, value, least in (("tile", tile, 32), ("overlap", overlap, 0), ("batch", batch, 1)):
            expect_option(self.name, option, value, f"{least} or more", holds=value is None or value >= least)
        for option, size in (("diameter", diameter), ("max_hole", max_hole)):
            expect_option(self.name, option, size, "above 0", holds=size is None or size > 0)
        words = ("float32", "bfloat16", "auto")
        expect_option(self.name, "precision", precision, " or ".join(words), holds=precision in words)
        place = find_device(device)
        network, about = load_network(self.name, model, device=place)
        self.network = fuse(network)
        if network.dimensions == 2:
            self.network = self.network.to(memory_format=torch.channels_last)  # a quarter faster on a CPU
        self.inputs = Inputs(**about["inputs"])
        self.dimensions: tuple[int, ...] = (self.network.dimensions,)
        self.use = Use(
            diameter=diameter,
            threshold=threshold,
            depth=depth,
            min_size=min_size,
            max_hole=max_hole,
            flips=flips,
            tile=tile,
            overlap=overlap,
            batch=batch,
            bfloat16=choose_bfloat16(precision, place),
        )
        self._factor: float | None = None

    def prepare(self, images: Sequence[npt.NDArray[Any]]) -> None:
        """Look at some images of a movie, so that all its frames are seen at one scale.

        Parameters
        ----------
        images : sequence of (Y, X) or (Z, Y, X) arrays
            Some of its frames; those without anything to see do not count.

        Raises
        ------
        FrameError
            If one is no such image.
        """
        if self.inputs.factor is not None or self.use.diameter is not None:
            return
        found = []
        for image in images:
            pixels = self._checked(image)
            if pixels.size and pixels.min() < pixels.max():
                ready = normalise(pixels, self.inputs.normalise, dtype=np.asarray(image).dtype)
                found.append(estimate_factor(self.network, ready, self.inputs, self.use))
        self._factor = float(np.median(found)) if found else None

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
            If the image has another number of axes than those that the model was trained on, or is not a number
            everywhere.
        """
        pixels = self._checked(image)
        dtype = np.asarray(image).dtype
        return segment_pixels(self.network, pixels, self.inputs, self.use, dtype=dtype, factor=self._factor)

    def _checked(self, image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        hint = f"; lift it to 3D with --segmenter slices --option segmenter={self.name}"
        return check_image(image, self.dimensions, hint=hint if self.dimensions == (2,) else "")

    # ---------------------------------------------------------------------------------------------- training

    @classmethod
    def new_network(cls, *, dimensions: int, outputs: int, flat: int, options: Mapping[str, Any]) -> Any:
        """Return a network with random weights.

        Parameters
        ----------
        dimensions : {2, 3}
            Axes of the images.
        outputs : {2, 3}
            2 for the two classes, 3 with the depth.
        flat : int
            In 3D: levels that keep their planes, for planes that are far apart.
        options : dict
            Options of the network, from ``--option``.

        Raises
        ------
        SegmenterError
            If an option is unknown, or the network cannot take such images.
        """
        raise NotImplementedError

    @classmethod
    def train(
        cls,
        examples: Sequence[LabelledImage],
        checks: Sequence[LabelledImage],
        run: TrainingRun,
        *,
        settings: TrainSegmenterSettings,
        metrics: Metrics,
    ) -> dict[str, Any]:
        """Train a network, see `gnntrack.training.segmenter.TrainableSegmenter.train`."""
        return train_dense(cls.new_network, examples, checks, run, settings=settings, metrics=metrics)
