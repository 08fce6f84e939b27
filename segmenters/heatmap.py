"""Centres of cells by a network that predicts a heat map."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gnntrack.errors import ModelError
from gnntrack.models.devices import find_device
from gnntrack.models.files import model_folder, read_model
from segmenters.dense.unet import fuse
from segmenters.heat.files import FAMILY
from segmenters.heat.inference import find_centres
from segmenters.heat.training import find_shipped, train_heatmap
from segmenters.points.detector import PointDetector, expect_range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.training.detector import PointImage
    from gnntrack.training.detector_settings import DetectorTraining
    from gnntrack.training.run import TrainingRun
    from segmenters.common.arrays import Floats, Heights, Integers
    from segmenters.points.grid import Grid

__all__ = ["HeatmapDetector"]


class HeatmapDetector(PointDetector):
    """U-Net that predicts a heat map of centres, in 2D and 3D; learns from a few annotated cells.

    Parameters
    ----------
    model : path, optional
        Folder written by ``gnntrack train-detector``; by default the shipped models, one for planes and one for stacks.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    diameter : float, optional
        Typical diameter of a cell in pixels along x; by default estimated from the images.
    threshold : float
        Lowest probability of a cell.
    closest : float
        Smallest distance of two cells, as a fraction of the diameter.

    Raises
    ------
    SegmenterError
        If an option is out of range.
    ModelError
        If the model is missing, damaged, or of another kind.
    InputError
        If the device is not available.
    """

    name = "heatmap"
    across = 5.0

    def __init__(
        self,
        *,
        model: str | Path | None = None,
        device: str = "auto",
        diameter: float | None = None,
        threshold: float = 0.55,
        closest: float = 0.4,
    ) -> None:
        super().__init__(diameter=diameter, closest=closest)
        expect_range(self.name, 0, 1, threshold=threshold)
        self.threshold, self.model, self.device = threshold, model, find_device(device)
        self._networks: dict[int, Any] = {}
        if model is not None:
            network = _load(model_folder(model, FAMILY), self.device)
            self._networks[network.dimensions] = network
            self.dimensions = (network.dimensions,)  # type: ignore[misc]

    @classmethod
    def train(
        cls,
        examples: Sequence[PointImage],
        checks: Sequence[PointImage],
        run: TrainingRun,
        *,
        training: DetectorTraining,
        start: str | Path | None,
    ) -> dict[str, Any]:
        """Train a network; see `gnntrack.training.detector.TrainableDetector.train`."""
        return train_heatmap(examples, checks, run, training=training, start=start, across=cls.across)

    def find(self, values: Heights, grid: Grid, diameter: float) -> tuple[Floats, Floats, Integers, Floats]:
        """Return position in blocks, radius, block and score of the cells; see `PointDetector.find`."""
        if values.ndim not in self._networks:
            self._networks[values.ndim] = _load(find_shipped(values.ndim), self.device)
        rules = {"threshold": self.threshold, "closest": self.closest * diameter}
        return find_centres(self._networks[values.ndim], values, grid.step, **rules)


def _load(folder: Path, device: str) -> Any:
    network, about = read_model(folder, FAMILY, device=device)
    if about["kind"] != HeatmapDetector.name:
        msg = f"{folder}: a model of '{about['kind']}', not of 'heatmap'; choose --detector {about['kind']}"
        raise ModelError(msg)
    layout = torch.channels_last if network.dimensions == 2 else torch.channels_last_3d
    return fuse(network).to(memory_format=layout)
