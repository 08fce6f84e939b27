"""DiffusionNet: cells in 3D stacks, segmented on point clouds and surfaces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gnntrack.models.devices import find_device
from segmenters.common.inputs import check_image, expect_choice, expect_fractions, expect_positive, expect_spacing
from segmenters.common.models import load_network
from segmenters.diffusion.cells import CellOptions, find_cells
from segmenters.diffusion.training import train_diffusionnet

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.settings import TrainSegmenterSettings
    from gnntrack.training.run import TrainingRun
    from gnntrack.training.segmenter import Images
    from segmenters.common.arrays import Labels
    from segmenters.common.training import Metrics


__all__ = ["DiffusionNetSegmenter"]

_CLOUDS = ("volume", "surface")


class DiffusionNetSegmenter:
    """DiffusionNet on point clouds of stacks: each point predicts the centre of its cell; 3D only.

    Bright voxels are sampled as a cloud of some hundred points per cell. A network with learned diffusion (Sharp et al.
    2022) predicts for each point whether it lies in a cell, and the centre of that cell. Points that agree form a cell,
    which is drawn into the voxels. The shipped model is for fluorescent nuclei.

    Parameters
    ----------
    model : path, optional
        Folder written by ``gnntrack train-segmenter``; by default the shipped model.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    spacing : sequence of float, optional
        Size of a voxel along ``z, y, x``, in any unit: only the ratios matter. By default voxels are cubes.
    cloud : {"volume", "surface"}
        Points in the whole bright volume, or only on its surface. A surface has fewer points if cells are large, but
        cells that are enclosed by others are missed.
    diameter : float, optional
        Typical diameter of a cell in pixels along x; by default estimated.
    grey : float, optional
        Grey value above which a voxel can become a point; by default estimated, with a low value.
    threshold : float
        Lowest probability of the foreground.
    neck : float
        Two peaks of the density of predicted centres are one cell if the saddle between them reaches this fraction of
        the lower peak; a higher value splits more.
    min_size : float
        Cells smaller than this fraction of the typical cell are removed.

    Raises
    ------
    SegmenterError
        If an option is out of range.
    ModelError
        If the model is missing, damaged, or of another segmenter.
    InputError
        If the device is not available.
    """

    name: ClassVar[str] = "diffusionnet"
    dimensions: ClassVar[tuple[int, ...]] = (3,)

    def __init__(
        self,
        *,
        model: str | Path | None = None,
        device: str = "auto",
        spacing: tuple[float, ...] | None = None,
        cloud: str = "volume",
        diameter: float | None = None,
        grey: float | None = None,
        threshold: float = 0.5,
        neck: float = 0.6,
        min_size: float = 0.08,
    ) -> None:
        expect_fractions(self.name, threshold=threshold, neck=neck, min_size=min_size)
        expect_spacing(self.name, spacing, {3})
        expect_positive(self.name, diameter=diameter)
        expect_choice(self.name, "cloud", cloud, _CLOUDS)
        self.network, about = load_network(self.name, model, device=find_device(device))
        self._modes = int(about["inputs"].get("modes", 96))
        sides = spacing or (1.0, 1.0, 1.0)
        self._spacing = (sides[0] / sides[2], sides[1] / sides[2], 1.0)
        self._options = CellOptions(
            surface=cloud == "surface",
            threshold=grey,
            diameter=diameter,
            foreground=threshold,
            neck=neck,
            min_size=min_size,
        )

    def segment(self, image: npt.NDArray[Any]) -> Labels:
        """Return the labels of a stack with bright cells; see `gnntrack.segmentation.protocol.Segmenter.segment`."""
        return find_cells(
            self.network,
            check_image(image, self.dimensions, hint="; 'diffusionnet' segments stacks, choose another segmenter"),
            spacing=self._spacing,
            modes=self._modes,
            options=self._options,
        )

    @classmethod
    def train(
        cls, examples: Images, checks: Images, run: TrainingRun, *, settings: TrainSegmenterSettings, metrics: Metrics
    ) -> dict[str, Any]:
        """Train a network on stacks, see `gnntrack.training.segmenter.TrainableSegmenter.train`.

        Examples that have a ``spacing`` (z, y, x) are used with it. A step takes a block of about ten cells for each
        four of ``settings.batch``; ``augment`` varies grids, sizes and levels; the settings of patches and heads are
        ignored. ``settings.options`` are ``width`` (64) and ``blocks`` (4) of the network, ``modes`` (96) of a block,
        ``surfaces`` (0.25), the fraction of the clouds that are surfaces, and ``depth`` (1), the distance of planes in
        pixels for examples without a spacing.
        """
        return train_diffusionnet(examples, checks, run, settings=settings, metrics=metrics)
