"""Base class of the networks that score links.

A new kind of network is a subclass with a line in `gnntrack.gnn.networks.NETWORKS`, or an entry point of the group
``gnntrack.networks``. Training, tracking and the command line use the hooks below and compare no names.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from gnntrack.gnn.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from gnntrack.gnn.batch import Outputs, Targets
    from gnntrack.gnn.inputs import Inputs
    from gnntrack.settings import Settings, TrainSettings
    from gnntrack.types import CellGraph, FeatureArray, LinkScores

__all__ = ["Network"]


class Network(nn.Module):
    """A network that scores links: `Batch` -> `Outputs`.

    Attributes
    ----------
    kind : str
        Its key in `gnntrack.gnn.networks.NETWORKS`.
    options : dict
        The constructor's keywords; they are stored with the weights. ``embedding`` is one of them: the length of the
        learned appearance of a cell, 0 = without.
    columns : dict of tuples
        Names of the columns of cells, links and pairs that it reads.
    hops : int or None
        Number of links in each direction of time that an output depends on; None if a movie has to be read whole.
    frames : int or None
        Length of the windows in tracking if it must be the same as in training, else None.
    links_factor : int
        How many links take the memory that one link takes with torch.
    corrects : bool
        The outputs are the classical scores, the first column of links and pairs, plus a correction.
    of_points : bool
        It is trained on points without masks.
    groups : dict of dicts
        For the columns of each block (``cell``, ``link``, ``pair``) that a movie has or lacks together with others, the
        name of their group.
    """

    kind: str
    options: dict[str, Any]
    columns: Mapping[str, tuple[str, ...]]
    hops: int | None
    frames: int | None = None
    links_factor: int = 1
    corrects: bool
    of_points: bool = False
    groups: Mapping[str, Mapping[str, str]] = MappingProxyType({})

    def __call__(self, batch: Batch) -> Outputs:
        """Return the log-odds of links, pairs and spurious cells of a batch."""
        outputs: Outputs = super().__call__(batch)
        return outputs

    # --- hooks of scoring ---------------------------------------------------------------------------------------------

    @staticmethod
    def inputs_of(graph: CellGraph, prior: LinkScores, *, embedding: FeatureArray | None = None) -> Inputs:
        """Return the arrays of a graph that the network reads.

        Parameters
        ----------
        graph : CellGraph
            The candidate links.
        prior : LinkScores
            Their classical scores.
        embedding : (N, D) float32, optional
            Learned appearance of each cell.
        """
        raise NotImplementedError

    @classmethod
    def from_columns(
        cls,
        columns: Mapping[str, Any],  # noqa: ARG003 - read by networks that can do with fewer columns
        options: Mapping[str, Any],
    ) -> Self:
        """Return a network for stored weights; one that always reads the same columns needs the options only.

        Parameters
        ----------
        columns : dict
            Names of the columns of cells, links and pairs that the weights are for, as they are stored.
        options : dict
            The constructor's keywords.
        """
        return cls(**options)

    def select_columns(self, inputs: Inputs) -> Inputs:
        """Return the columns that the network reads, of those that `inputs_of` returns; by default all."""
        return inputs

    def compute(self, inputs: Inputs) -> tuple[FeatureArray, FeatureArray, FeatureArray]:
        """Return the log odds of links (E,), division candidates (M,) and spurious cells (N,), computed in eval mode.

        Parameters
        ----------
        inputs : Inputs
            Of a movie or of a window.
        """
        device = next(self.parameters()).device
        with torch.inference_mode(), _use_one_thread(device):
            outputs = self.eval()(Batch.from_windows([inputs]).to(device)).to("cpu")
        return outputs.link.numpy(), outputs.pair.numpy(), outputs.spurious.numpy()

    @property
    def uses_embedding(self) -> bool:
        """Whether the network reads the learned appearance of cells, for which it needs their images."""
        return bool(self.options.get("embedding"))

    # --- hooks of training --------------------------------------------------------------------------------------------

    @staticmethod
    def loss(outputs: Outputs, batch: Batch, targets: Targets, settings: TrainSettings) -> Tensor:
        """Return the loss of a batch, shape ()."""
        raise NotImplementedError

    @classmethod
    def settings_for(cls, settings: Settings) -> Settings:
        """Return the settings that this kind of network is trained with; by default as they are."""
        return settings

    @classmethod
    def options_for(cls, settings: TrainSettings) -> dict[str, Any]:
        """Return the constructor's keywords from the settings, all but ``embedding``; by default ``dropout``."""
        return {"dropout": settings.dropout}

    @classmethod
    def new(cls, inputs: Sequence[Inputs], settings: TrainSettings) -> Self:
        """Return a network with random weights for movies to train on.

        Parameters
        ----------
        inputs : sequence of Inputs
            The movies; columns of cells beyond the network's own are the learned appearance.
        settings : TrainSettings
            Options of the network.
        """
        plain = cls()  # its columns are those without an appearance
        embedding = inputs[0].cell.shape[1] - len(plain.columns["cell"])
        network = cls(embedding=embedding, **cls.options_for(settings))
        network.fit([network.select_columns(each) for each in inputs])
        return network

    def fit(self, inputs: Sequence[Inputs]) -> None:
        """Set the statistics of the columns from the movies to train on; by default there are none to set."""


@contextmanager
def _use_one_thread(device: torch.device) -> Iterator[None]:
    """Use one CPU thread: fast enough (200 000 links a second), reproducible, and not slowed by other processes.

    With more threads than free cores, the threads wait for each other, and torch took twenty times as long.
    """
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
