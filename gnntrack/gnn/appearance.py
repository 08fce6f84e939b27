"""What a cell looks like, as numbers that stay the same from frame to frame: an embedding learned from its crops.

Metric learning as in Ben-Haim and Riklin-Raviv, Graph Neural Network for Cell Tracking in Microscopy Videos, ECCV 2022:
a residual network is taught to put crops of one cell close together and those of others apart, with the loss of Wang et
al., Multi-Similarity Loss with General Pair Weighting for Deep Metric Learning, CVPR 2019.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from gnntrack.errors import FormatError, FrameError, MissingDependencyError, ModelError, SettingsError
from gnntrack.gnn.weights import load_model
from gnntrack.masks.runs import expand_runs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    from torch import Tensor

    from gnntrack.types import Cells, FeatureArray, FrameStack, Image, IntArray, Progress, Runs

    Crops = npt.NDArray[np.uint8]

__all__ = ["APPEARANCE", "Embedder", "crops", "embed", "load_embedder", "train_embedder"]

APPEARANCE = "appearance"
"""Folder, beside the weights of a network that looks at cells, of the embedder that it was trained with."""

_ALMOST_ALL = 0.95  # part of the cells of a movie that fit into a crop; larger ones lose their ends


# --- crops -----------------------------------------------------------------------------------------------------------


def crops(cells: Cells, runs: Runs, images: FrameStack, *, side: int = 32, progress: Progress | None = None) -> Crops:
    """Cut every cell out of its image, reading each frame once.

    All crops of a movie are zoomed alike, so that 95 % of its cells fit: size stays something to be seen, the size of a
    pixel does not. What is not the cell is 0; the cell is 1 to 255, from the darkest to the brightest pixel of all
    cells in the frame, so that neither bleaching nor the camera's grey levels matter. In 3D crops are maximum
    projections along z.

    Parameters
    ----------
    cells : Cells
        With the columns ``box_y`` and ``box_x``.
    runs : Runs
        Pixels of the cells.
    images : FrameStack
        The movie's images.
    side : int
        Pixels of a crop along y and x.
    progress : Progress, optional
        Told after each frame.

    Returns
    -------
    (N, side, side) uint8
        A crop per cell.

    Raises
    ------
    FrameError
        If the images are not those of the cells' movie, by number and shape.
    """
    if len(images) != cells.n_frames or tuple(images.shape) != tuple(cells.shape):
        msg = (
            f"images have {len(images)} frames of {tuple(images.shape)}, the cells' movie has {cells.n_frames} of "
            f"{tuple(cells.shape)}; give the images of the same movie"
        )
        raise FrameError(msg)
    out = np.zeros((len(cells), side, side), np.uint8)
    extent = [cells.feature(f"box_{axis}") / size for axis, size in zip("yx", cells.spacing[-2:], strict=True)]
    zoom = side / float(np.quantile(np.maximum(*extent), _ALMOST_ALL)) if len(cells) else 1.0
    for frame in range(cells.n_frames):
        here = runs.frame(frame)
        if here.stop > here.start:
            _cut(out, images[frame], runs, here, zoom)
        if progress is not None:
            progress("crops", frame + 1, cells.n_frames)
    return out


def _cut(out: Crops, image: Image, runs: Runs, here: slice, zoom: float) -> None:
    """Fill in the crops of one frame."""
    length = runs.length[here]
    pixel = expand_runs(runs.start[here], length)
    cell = np.repeat(runs.cell[here], length)
    height, width = runs.shape[-2:]
    level = _levels(np.asarray(image).reshape(-1)[pixel])
    y, x = pixel // width % height, pixel % width
    order = np.argsort(cell, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(cell[order])) + 1):
        top, left = int(y[rows].min()), int(x[rows].min())
        patch = np.zeros((int(y[rows].max()) - top + 1, int(x[rows].max()) - left + 1), np.float32)
        np.maximum.at(patch, (y[rows] - top, x[rows] - left), level[rows])
        out[cell[rows[0]]] = _fit(patch, out.shape[-1], zoom)


def _levels(grey: npt.NDArray[Any]) -> FeatureArray:
    """Return grey levels as 1 (the darkest) to 255; those that are not finite count as the darkest."""
    grey = grey.astype(np.float64)
    known = np.isfinite(grey)
    low, high = (float(grey[known].min()), float(grey[known].max())) if known.any() else (0.0, 0.0)
    grey = np.where(known, grey, low)
    return np.asarray(1 + 254 * (grey - low) / max(high - low, 1e-12), np.float32)


def _fit(patch: FeatureArray, side: int, zoom: float) -> Crops:
    """Zoom a patch and put its centre into that of a crop."""
    size = [max(1, round(extent * zoom)) for extent in patch.shape]
    method = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    zoomed = cv2.resize(patch, (size[1], size[0]), interpolation=method)
    crop = np.zeros((side, side), np.uint8)
    to, of = zip(*(_centred(side, extent) for extent in size), strict=True)
    crop[to] = np.rint(zoomed[of])
    return crop


def _centred(side: int, extent: int) -> tuple[slice, slice]:
    """Return where a row of pixels goes in the middle of one of another length, and which part of it.

    >>> _centred(6, 4), _centred(4, 6)
    ((slice(1, 5, None), slice(0, 4, None)), (slice(0, 4, None), slice(1, 5, None)))
    """
    common = min(side, extent)
    to, of = (side - common) // 2, (extent - common) // 2
    return slice(to, to + common), slice(of, of + common)


# --- network ---------------------------------------------------------------------------------------------------------


class _Block(nn.Module):
    r"""A basic block: :math:`\sigma(x' + c(\sigma(c(x))))` with 3 x 3 convolutions (He et al., CVPR 2016, figure 5).

    Shapes: (B, inputs, Y, X) -> (B, outputs, Y / stride, X / stride).
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.skip = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.skip(x) + self.body(x)
        return added.relu()


class Embedder(nn.Module):
    r"""A residual network of 18 layers on one channel, and a linear layer to a point on the unit sphere.

    .. math:: a = W r / \lVert W r \rVert

    with the mean :math:`r` over the pixels of the last of four stages of two basic blocks (He et al., Deep Residual
    Learning for Image Recognition, CVPR 2016, table 1).

    Shapes: crops (B, S, S), uint8, or float in [0, 1] -> (B, embedding).

    Parameters
    ----------
    width : int
        Channels of the first stage; each later one has twice as many. 64 is the published size (11 million numbers),
        16 learns in minutes without a GPU.
    embedding : int
        Numbers per cell.
    """

    kind = "appearance"

    def __init__(self, *, width: int = 16, embedding: int = 128) -> None:
        super().__init__()
        self.options = {"width": width, "embedding": embedding}
        self.embedding = embedding
        widths = [width * 2**stage for stage in range(4)]
        self.trunk = nn.Sequential(
            nn.Conv2d(1, width, 7, 2, 3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            *(_stage(a, b, 1 + (i > 0)) for i, (a, b) in enumerate(zip([width, *widths], widths, strict=False))),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(widths[-1], embedding)

    def forward(self, crops: Tensor) -> Tensor:  # noqa: D102
        x = crops.float() / 255 if crops.dtype == torch.uint8 else crops
        return normalize(self.head(self.trunk(x[:, None])))


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_Block(inputs, outputs, stride), _Block(outputs, outputs, 1))


def embed(embedder: Embedder, crops: Crops, *, batch: int = 1024) -> FeatureArray:
    """Return the embedding of each crop, of length 1.

    Parameters
    ----------
    embedder : Embedder
        On any device.
    crops : (N, S, S) uint8
        As cut by `crops`.
    batch : int
        Crops at a time; it bounds the memory and changes nothing else.

    Returns
    -------
    (N, embedding) float32
    """
    out = np.zeros((len(crops), embedder.embedding), np.float32)
    device, was_training = embedder.head.weight.device, embedder.training
    embedder.eval()  # statistics of the training, not of these crops
    with torch.no_grad():
        for first in range(0, len(crops), batch):
            part = torch.from_numpy(np.ascontiguousarray(crops[first : first + batch])).to(device)
            out[first : first + batch] = embedder(part).cpu().numpy()
    embedder.train(was_training)
    return out


def load_embedder(folder: str | Path, *, device: torch.device | str = "cpu") -> Embedder:
    """Read an embedder from its folder.

    Raises
    ------
    ModelError
        If there is none, or it cannot be read (see `load_model`).
    """
    model = load_model(folder, device=device)
    if not isinstance(model.network, Embedder):
        msg = f"{folder}: the model is of kind '{model.kind}', expected '{Embedder.kind}', which embeds crops of cells"
        raise ModelError(msg)
    return model.network


# --- training --------------------------------------------------------------------------------------------------------


def train_embedder(
    crops: Sequence[Crops],
    track: Sequence[IntArray],
    frame: Sequence[IntArray],
    *,
    steps: int = 1000,
    seed: int = 0,
    width: int = 16,
    embedding: int = 128,
    batch: int = 32,
    per_cell: int = 4,
    rate: float = 1e-5,
    head_rate: float = 1e-4,
    weight_decay: float = 1e-4,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Embedder:
    """Teach a network to tell the cells of movies apart.

    The cells of a step are seen at one time: those are the ones that a link may confuse. Each is shown in a few
    neighbouring frames. The defaults are the paper's but for `width`; a narrow network that starts from nothing learns
    faster with rates of 1e-3.

    Parameters
    ----------
    crops : (N, S, S) uint8 per movie
        As cut by `crops`.
    track, frame : (N,) int64 per movie
        The cell's track, 0 = none, and its frame.
    steps : int
        Batches to learn from.
    seed : int
        The same seed gives the same network on the same machine.
    width, embedding : int
        Size of the network, see `Embedder`.
    batch, per_cell : int
        Crops in a step, and crops of each cell among them; fewer where a movie has no more.
    rate, head_rate, weight_decay : float
        Of Adam, for the residual network and for the last layer.
    device : torch.device or str
        Where to compute.
    progress : Progress, optional
        Told after each step.

    Returns
    -------
    Embedder
        Ready for use.

    Raises
    ------
    MissingDependencyError
        If pytorch-metric-learning is not installed.
    FormatError
        If no movie has two tracks at one time, each seen in two frames.
    SettingsError
        If the network diverges.
    """
    losses, miners = _metric_learning()
    loss_of, mine = losses.MultiSimilarityLoss(), miners.MultiSimilarityMiner(epsilon=0.1)
    random = np.random.default_rng(seed)
    movies = [_Tracks(*movie, max(2, per_cell)) for movie in zip(track, frame, strict=True)]
    share = np.array([len(movie.anchors) for movie in movies], float)
    if not share.sum():
        msg = (
            f"none of {len(movies)} movies has two tracks at one time that are seen twice; give movies with their truth"
        )
        raise FormatError(msg)
    embedder = _fresh(seed, width, embedding).to(device).train()
    groups = [
        {"params": embedder.trunk.parameters(), "lr": rate},
        {"params": embedder.head.parameters(), "lr": head_rate},
    ]
    adam = torch.optim.Adam(groups, weight_decay=weight_decay)
    for step in range(steps):
        which = int(random.choice(len(movies), p=share / share.sum()))
        rows, who = movies[which].draw(random, max(2, batch // max(2, per_cell)))
        points = embedder(torch.from_numpy(crops[which][rows]).to(device))  # (batch, embedding)
        labels = torch.from_numpy(who).to(device)
        loss = loss_of(points, labels, mine(points, labels))
        if not math.isfinite(loss.item()):
            msg = f"the loss is {loss.item()} in step {step}; lower the rates, {rate:g} and {head_rate:g}"
            raise SettingsError(msg)
        adam.zero_grad()
        loss.backward()
        adam.step()
        if progress is not None:
            progress("appearance", step + 1, steps)
    return embedder.eval()


def _metric_learning() -> tuple[Any, Any]:
    try:
        from pytorch_metric_learning import losses, miners
    except ImportError as error:
        msg = 'pytorch-metric-learning is needed to learn the appearance of cells: pip install "gnntrack[appearance]"'
        raise MissingDependencyError(msg) from error
    return losses, miners


def _fresh(seed: int, width: int, embedding: int) -> Embedder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Embedder(width=width, embedding=embedding)


class _Tracks:
    """The tracks of a movie, to draw cells from that are seen at one time."""

    def __init__(self, track: IntArray, frame: IntArray, per_cell: int) -> None:
        self.track, self.frame, self.per_cell = track, frame, per_cell
        order = np.lexsort((frame, track))
        self.order = order[track[order] > 0]
        name, self.first, count = np.unique(track[self.order], return_index=True, return_counts=True)
        self.stop = self.first + count
        long = track > 0
        long[long] = count[np.searchsorted(name, track[long])] > 1
        self.row_of_track = np.searchsorted(name, track)  # of rows without a track this means nothing
        self.place = np.zeros(len(track), np.int64)
        self.place[self.order] = np.arange(len(self.order))
        together = np.bincount(frame[long], minlength=int(frame.max(initial=0)) + 1)
        self.anchors = np.flatnonzero(long & (together[frame] > 1))

    def draw(self, random: np.random.Generator, cells: int) -> tuple[IntArray, IntArray]:
        """Return rows of some cells of one time in neighbouring frames, and the track of each."""
        time = self.frame[random.choice(self.anchors)]
        at_time = self.anchors[self.frame[self.anchors] == time]
        rows = []
        for row in random.choice(at_time, min(cells, len(at_time)), replace=False):
            first, stop = self.first[self.row_of_track[row]], self.stop[self.row_of_track[row]]
            # the window around this frame, moved inside the track
            start = max(first, min(self.place[row] - self.per_cell // 2, stop - self.per_cell))
            rows.append(self.order[start : min(start + self.per_cell, stop)])
        found = np.concatenate(rows)
        return found, self.track[found]
