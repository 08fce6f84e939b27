"""Files of the networks of detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gnntrack.errors import ModelError
from gnntrack.models.files import Family
from gnntrack.plugins import Registry

if TYPE_CHECKING:
    from torch import nn

__all__ = ["FAMILY", "NETWORKS"]

NETWORKS: Registry[type[nn.Module]] = Registry(
    "network", {"heatmap": "segmenters.heat.network:HeatNetwork"}, group="gnntrack.detector_networks", error=ModelError
)
"""Classes of the detectors' networks by ``kind``; entry-point group ``gnntrack.detector_networks``."""

FAMILY = Family("gnntrack detector", 1, "gnntrack train-detector", NETWORKS.__getitem__, {"inputs": dict}, words=True)
