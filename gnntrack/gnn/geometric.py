"""Candidate graphs as data of torch-geometric, for networks of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch_geometric.data import Data

if TYPE_CHECKING:
    from gnntrack.types import CellGraph

__all__ = ["convert_to_data"]


def convert_to_data(graph: CellGraph) -> Data:
    """Return a candidate graph as data of torch-geometric; see `gnntrack.CellGraph.to_torch_geometric`."""
    cells = graph.cells
    return Data(
        x=torch.from_numpy(cells.features.copy()),
        pos=torch.from_numpy(cells.position.astype(np.float32)),
        edge_index=torch.from_numpy(np.stack([graph.source, graph.target])),
        edge_attr=torch.from_numpy(graph.features.copy()),
        frame=torch.from_numpy(cells.frame.copy()),
        label=torch.from_numpy(cells.label.copy()),
        node_names=list(cells.feature_names),
        edge_names=list(graph.feature_names),
    )
