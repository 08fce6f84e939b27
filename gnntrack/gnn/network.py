"""What every network is: it says how it reads a graph, what it answers, and what it is trained for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from gnntrack.gnn.batch import Batch, Outputs, Targets
    from gnntrack.gnn.inputs import Inputs
    from gnntrack.settings import TrainSettings
    from gnntrack.types import CellGraph, FeatureArray, LinkScores

__all__ = ["Network"]


class Network(nn.Module):
    """A network that scores links: `Batch` -> `Outputs`.

    Attributes
    ----------
    kind : str
        Its key in `gnntrack.gnn.weights.NETWORKS`.
    options : dict
        The constructor's keywords; they are stored with the weights.
    columns : dict of tuples
        Names of the columns it reads of cells, links and pairs.
    hops : int or None
        How many links on either side an answer depends on; None where a movie has to be read as a whole.
    frames : int or None
        Frames of the windows that it reads in tracking, where those have to be as long as in training.
    corrects : bool
        Its answers are the classical scores, the first column of links and pairs, and what it adds to them.
    """

    kind: str
    options: dict[str, Any]
    columns: Mapping[str, tuple[str, ...]]
    hops: int | None
    frames: int | None = None
    corrects: bool

    def __call__(self, batch: Batch) -> Outputs:
        """Return what the network says of a batch."""
        outputs: Outputs = super().__call__(batch)
        return outputs

    @staticmethod
    def inputs_of(graph: CellGraph, prior: LinkScores, *, embedding: FeatureArray | None = None) -> Inputs:
        """Return what the network reads of a graph."""
        raise NotImplementedError

    @staticmethod
    def loss(outputs: Outputs, batch: Batch, answers: Targets, settings: TrainSettings) -> Tensor:
        """Return the loss of a batch, shape ()."""
        raise NotImplementedError
