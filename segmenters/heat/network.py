"""The network of the detector ``heatmap``."""

from __future__ import annotations

from segmenters.dense.unet import UNet

__all__ = ["HeatNetwork"]


class HeatNetwork(UNet):
    """U-Net whose outputs are the log-odds of the heat map and the logarithm of the radius in voxels along x.

    See `UNet` for the options.
    """

    kind = "heatmap"
