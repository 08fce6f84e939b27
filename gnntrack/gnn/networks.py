"""Registry of the networks that score links. Nothing here imports torch: the command line reads the names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gnntrack.errors import ModelError
from gnntrack.plugins import Registry

if TYPE_CHECKING:
    from torch import nn

    from gnntrack.gnn.network import Network

__all__ = ["NETWORKS", "STORED"]

NETWORKS: Registry[type[Network]] = Registry(
    "network",
    {
        "linknet": "gnntrack.gnn.linknet:LinkNet",
        "points": "gnntrack.gnn.point_network:PointNetwork",
        "pdn": "gnntrack.gnn.pdn:PdnNet",
    },
    error=ModelError,
    required=("inputs_of", "settings_for", "new"),
)
"""Classes of the networks that score links, by ``kind``; entry-point group ``gnntrack.networks``."""

STORED: Registry[type[nn.Module]] = Registry(
    "network", {**NETWORKS.built_in, "appearance": "gnntrack.gnn.appearance:Embedder"}, error=ModelError
)
"""Classes of all networks that are stored as a ``gnntrack model``: those of `NETWORKS`, and the appearance of cells."""
