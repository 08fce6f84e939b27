"""Base class of the dense segmenters, whose networks label every pixel."""

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
from segmenters.dense.inference import InferenceOptions, Preprocessing, estimate_factor, segment_pixels
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
    """Segments cells by a network that predicts the foreground, and the depth in the cell, of every pixel.

    Parameters
    ----------
    model : path, optional
        Folder written by ``gnntrack train-segmenter``; by default the shipped model, if there is one.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    diameter : float, optional
        Typical diameter of a cell in pixels along x; by default as in training, or estimated from the images.
    threshold : float
        Lowest probability of the foreground.
    depth : float, optional
        Two cells are separated if the network's depth between them falls by more than this; a lower value splits more.
        By default the best value on the validation images, or 0.25 if the model does not have one.
    min_size : float
        Cells smaller than this fraction of the typical cell are removed.
    max_hole : float
        Holes up to this fraction of the typical cell are filled.
    flips : bool
        Average the outputs over the mirrored images: slightly better, four times the work.
    tile : int, optional
        Side of the tiles along y and x, in pixels at the scale of the network; smaller tiles use less memory. By
        default 1024 (2D) or 192 (3D).
    overlap : int
        Overlap of neighbouring tiles in pixels.
    batch : int
        Number of tiles in a batch.
    precision : {"float32", "bfloat16", "auto"}
        Precision of multiplications; ``auto`` is bfloat16 if the processor supports it, which is faster.

    Raises
    ------
    SegmenterError
        If an option is out of range.
    ModelError
        If the model is missing, damaged, or of another segmenter.
    InputError
        If the device is not available.
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
        for option, fraction in (("threshold", threshold), ("depth", depth), ("min_size", min_size)):
            holds = fraction is None or 0 <= fraction <= 1
            expect_option(self.name, option, fraction, "between 0 and 1", holds=holds)
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
        self.inputs = Preprocessing(**about["inputs"])
        self.dimensions: tuple[int, ...] = (self.network.dimensions,)
        self.options = InferenceOptions(
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
        """Estimate the size of cells from some frames of a movie, so that all its frames have the same scale.

        Parameters
        ----------
        images : sequence of (Y, X) or (Z, Y, X) arrays
            Some of its frames; those with a single grey value are ignored.

        Raises
        ------
        FrameError
            If one of them cannot be segmented.
        """
        if self.inputs.factor is not None or self.options.diameter is not None:
            return
        found = []
        for image in images:
            pixels = self._check_image(image)
            if pixels.size and pixels.min() < pixels.max():
                ready = normalise(pixels, self.inputs.normalise, dtype=np.asarray(image).dtype)
                found.append(estimate_factor(self.network, ready, self.inputs, self.options))
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
            If the image has another number of axes than the images of the training, or has NaN or infinite pixels.
        """
        pixels = self._check_image(image)
        dtype = np.asarray(image).dtype
        return segment_pixels(self.network, pixels, self.inputs, self.options, dtype=dtype, factor=self._factor)

    def _check_image(self, image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
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
            In 3D: levels that keep the number of planes, for planes that are far apart.
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
