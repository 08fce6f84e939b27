"""Training of the appearance network.

The network learns to put crops of one cell close together and crops of other cells apart, with the loss of Wang et al.,
Multi-Similarity Loss with General Pair Weighting for Deep Metric Learning, CVPR 2019, as in Ben-Haim and Riklin-Raviv,
Graph Neural Network for Cell Tracking in Microscopy Videos, ECCV 2022.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from gnntrack.errors import FormatError, SettingsError, explain_missing
from gnntrack.gnn.appearance import Embedder
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.gnn.appearance import Crops
    from gnntrack.types import FloatArray, IntArray, Progress

__all__ = ["EmbedderPlan", "TrackedCrops", "train_embedder"]


class TrackedCrops(NamedTuple):
    """The images of the cells of a movie, and which of them show the same cell."""

    crops: Crops
    """(N, S, S) uint8, see `gnntrack.gnn.appearance.crop_cells`."""
    track: IntArray
    """(N,) int64: the cell's track, 0 = none."""
    frame: IntArray
    """(N,) int64"""


@dataclass(frozen=True, kw_only=True)
class EmbedderPlan:
    """Size of an appearance network and its training.

    The defaults are those of the paper, except `width`; a narrow network that is trained from scratch learns faster
    with learning rates of 1e-3.

    Parameters
    ----------
    steps : int
        Number of batches.
    width, embedding : int
        Size of the network, see `Embedder`.
    batch, per_cell : int
        Crops in a batch, and crops of each cell among them; fewer if a movie has fewer.
    rate, head_rate, weight_decay : float
        Of Adam: learning rates of the residual network and of the last layer, and weight decay.
    """

    steps: int = 1000
    width: int = 16
    embedding: int = 128
    batch: int = 32
    per_cell: int = 4
    rate: float = 1e-5
    head_rate: float = 1e-4
    weight_decay: float = 1e-4

    @property
    def crops_per_cell(self) -> int:
        """Crops of each cell in a batch, at least 2."""
        return max(2, self.per_cell)

    @property
    def cells_per_batch(self) -> int:
        """Cells in a batch, at least 2."""
        return max(2, self.batch // self.crops_per_cell)


def train_embedder(
    movies: Sequence[TrackedCrops],
    *,
    plan: EmbedderPlan | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Embedder:
    """Train a network to distinguish the cells of movies by their images.

    The cells of a batch are from one time, since these are the cells that a link may confuse. Each cell is shown in a
    few neighbouring frames.

    Parameters
    ----------
    movies : sequence of TrackedCrops
        Movies with known tracks.
    plan : EmbedderPlan, optional
        Size of the network and of the training; default: `EmbedderPlan()`.
    seed : int
        The same seed gives the same network on the same machine.
    device : torch.device or str
        Where to compute.
    progress : Progress, optional
        Called after each step.

    Returns
    -------
    Embedder
        In eval mode.

    Raises
    ------
    MissingDependencyError
        If pytorch-metric-learning is not installed.
    FormatError
        If no movie has two tracks at one time, each seen in two frames.
    SettingsError
        If the loss becomes infinite or NaN.
    """
    plan = plan or EmbedderPlan()
    losses, miners = _import_metric_learning()
    measure, mine = losses.MultiSimilarityLoss(), miners.MultiSimilarityMiner(epsilon=0.1)
    random = np.random.default_rng(seed)
    tracks = [_Tracks(movie.track, movie.frame, plan.crops_per_cell) for movie in movies]
    probability = _weigh_movies(tracks)
    embedder = _make_embedder(seed, plan).to(device).train()
    adam = _make_optimizer(embedder, plan)
    for step in range(plan.steps):
        which = int(random.choice(len(movies), p=probability))
        rows, track = tracks[which].draw(random, plan.cells_per_batch)
        points = embedder(torch.from_numpy(movies[which].crops[rows]).to(device))  # (batch, embedding)
        labels = torch.from_numpy(track).to(device)
        loss = measure(points, labels, mine(points, labels))
        if not math.isfinite(loss.item()):
            msg = f"the loss is {loss.item()} in step {step}; lower the rates, {plan.rate:g} and {plan.head_rate:g}"
            raise SettingsError(msg)
        adam.zero_grad()
        loss.backward()
        adam.step()
        if progress is not None:
            progress("appearance", step + 1, plan.steps)
    return embedder.eval()


def _weigh_movies(movies: Sequence[_Tracks]) -> FloatArray:
    """Return the probability of each movie in a batch: its fraction of the cells from which a batch can be drawn."""
    anchors = np.array([len(movie.anchors) for movie in movies], float)
    if not anchors.sum():
        msg = (
            f"none of {count_noun(len(movies), 'movie')} has two tracks at one time that are seen twice; give "
            "movies with ground "
            "truth tracks"
        )
        raise FormatError(msg)
    return np.asarray(anchors / anchors.sum())


def _import_metric_learning() -> tuple[Any, Any]:
    need = "learning the appearance of cells needs"
    with explain_missing(need, "pytorch-metric-learning", "pip install 'gnntrack[appearance]'"):
        from pytorch_metric_learning import losses, miners
    return losses, miners


def _make_embedder(seed: int, plan: EmbedderPlan) -> Embedder:
    """Return a network with random weights; the random state of torch is restored."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Embedder(width=plan.width, embedding=plan.embedding)


def _make_optimizer(embedder: Embedder, plan: EmbedderPlan) -> torch.optim.Optimizer:
    groups = [
        {"params": embedder.trunk.parameters(), "lr": plan.rate},
        {"params": embedder.head.parameters(), "lr": plan.head_rate},
    ]
    return torch.optim.Adam(groups, weight_decay=plan.weight_decay)


class _Tracks:
    """The tracks of a movie, from which cells of one time are drawn.

    Parameters
    ----------
    track, frame : (N,) int64
        The track of each cell, 0 = none, and its frame.
    per_cell : int
        Crops to draw of each cell.
    """

    def __init__(self, track: IntArray, frame: IntArray, per_cell: int) -> None:
        self.track, self.frame, self.per_cell = track, frame, per_cell
        order = np.lexsort((frame, track))
        self.order = order[track[order] > 0]
        name, self.first, count = np.unique(track[self.order], return_index=True, return_counts=True)
        self.stop = self.first + count
        long = track > 0
        long[long] = count[np.searchsorted(name, track[long])] > 1
        self.row_of_track = np.searchsorted(name, track)  # arbitrary for cells without a track
        self.place = np.zeros(len(track), np.int64)
        self.place[self.order] = np.arange(len(self.order))
        together = np.bincount(frame[long], minlength=int(frame.max(initial=0)) + 1)
        self.anchors = np.flatnonzero(long & (together[frame] > 1))

    def draw(self, random: np.random.Generator, cells: int) -> tuple[IntArray, IntArray]:
        """Return the rows of some cells of a random frame and its neighbouring frames, and the track of each row."""
        time = self.frame[random.choice(self.anchors)]
        at_time = self.anchors[self.frame[self.anchors] == time]
        rows = []
        for row in random.choice(at_time, min(cells, len(at_time)), replace=False):
            first, stop = self.first[self.row_of_track[row]], self.stop[self.row_of_track[row]]
            # frames around this one, shifted to lie within the track
            start = max(first, min(self.place[row] - self.per_cell // 2, stop - self.per_cell))
            rows.append(self.order[start : min(start + self.per_cell, stop)])
        found = np.concatenate(rows)
        return found, self.track[found]
