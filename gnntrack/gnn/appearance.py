"""Learned appearance: a network embeds the image of each cell, so that images of one cell get similar embeddings.

Metric learning as in Ben-Haim and Riklin-Raviv, Graph Neural Network for Cell Tracking in Microscopy Videos, ECCV 2022.
`gnntrack.training.appearance` trains the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from gnntrack.errors import FrameError, ModelError
from gnntrack.gnn.weights import load_model
from gnntrack.masks.runs import expand_runs
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    from torch import Tensor

    from gnntrack.types import Cells, FeatureArray, FrameStack, Image, Progress, Runs

    Crops = npt.NDArray[np.uint8]

__all__ = ["APPEARANCE", "Embedder", "crop_cells", "embed", "load_embedder"]

APPEARANCE = "appearance"
"""Name of the folder, beside the weights of a network that uses appearance, with the embedder of its training."""

_FITTING = 0.95  # fraction of the cells of a movie that fit into a crop; larger ones are cut off


# --- crops -----------------------------------------------------------------------------------------------------------


def crop_cells(
    cells: Cells, runs: Runs, images: FrameStack, *, side: int = 32, progress: Progress | None = None
) -> Crops:
    """Cut every cell out of its image; each frame is read once.

    All crops of a movie have the same zoom, such that 95 % of its cells fit: crops show the sizes of the cells, but do
    not depend on the size of a pixel. Background and other cells are 0. The cell is 1 to 255, from the darkest to the
    brightest pixel of all cells in the frame, so that crops depend neither on bleaching nor on the grey levels of the
    camera. In 3D, crops are maximum projections along z.

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
        Called after each frame.

    Returns
    -------
    (N, side, side) uint8
        A crop per cell.

    Raises
    ------
    FrameError
        If number or shape of the images differ from those of the cells' movie.
    """
    if len(images) != cells.n_frames or tuple(images.shape) != tuple(cells.shape):
        msg = (
            f"images have {count_noun(len(images), 'frame')} of {tuple(images.shape)}, the cells' movie has "
            f"{cells.n_frames} of "
            f"{tuple(cells.shape)}; give the images of the same movie"
        )
        raise FrameError(msg)
    out = np.zeros((len(cells), side, side), np.uint8)
    extent = [cells.feature(f"box_{axis}") / size for axis, size in zip("yx", cells.spacing[-2:], strict=True)]
    zoom = side / float(np.quantile(np.maximum(*extent), _FITTING)) if len(cells) else 1.0
    for frame in range(cells.n_frames):
        here = runs.frame(frame)
        if here.stop > here.start:
            _fill_crops(out, images[frame], runs, here, zoom)
        if progress is not None:
            progress("crops", frame + 1, cells.n_frames)
    return out


def _fill_crops(crops: Crops, image: Image, runs: Runs, here: slice, zoom: float) -> None:
    """Fill the crops of the cells of one frame, whose runs are `here`."""
    length = runs.length[here]
    pixel = expand_runs(runs.start[here], length)
    cell = np.repeat(runs.cell[here], length)
    height, width = runs.shape[-2:]
    level = _scale_intensities(np.asarray(image).reshape(-1)[pixel])
    y, x = pixel // width % height, pixel % width
    order = np.argsort(cell, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(cell[order])) + 1):
        top, left = int(y[rows].min()), int(x[rows].min())
        patch = np.zeros((int(y[rows].max()) - top + 1, int(x[rows].max()) - left + 1), np.float32)
        np.maximum.at(patch, (y[rows] - top, x[rows] - left), level[rows])
        crops[cell[rows[0]]] = _fit_patch(patch, crops.shape[-1], zoom)


def _scale_intensities(grey: npt.NDArray[Any]) -> FeatureArray:
    """Return intensities scaled to 1 (the darkest) to 255; those that are not finite count as the darkest."""
    grey = grey.astype(np.float64)
    known = np.isfinite(grey)
    low, high = (float(grey[known].min()), float(grey[known].max())) if known.any() else (0.0, 0.0)
    grey = np.where(known, grey, low)
    return np.asarray(1 + 254 * (grey - low) / max(high - low, 1e-12), np.float32)


def _fit_patch(patch: FeatureArray, side: int, zoom: float) -> Crops:
    """Zoom a patch (Y, X) and return it in the centre of a crop (side, side)."""
    size = [max(1, round(extent * zoom)) for extent in patch.shape]
    method = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    zoomed = cv2.resize(patch, (size[1], size[0]), interpolation=method)
    crop = np.zeros((side, side), np.uint8)
    to, of = zip(*(_align_centres(side, extent) for extent in size), strict=True)
    crop[to] = np.rint(zoomed[of])
    return crop


def _align_centres(side: int, extent: int) -> tuple[slice, slice]:
    """Return the slices of a row of `side` pixels, and of a row of `extent` pixels, that coincide if centred.

    >>> _align_centres(6, 4), _align_centres(4, 6)
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
    r"""A residual network of 18 layers for one channel, and a linear layer to a point on the unit sphere.

    .. math:: a = W r / \lVert W r \rVert

    where :math:`r` is the mean over the pixels of the last of four stages of two basic blocks each (He et al., Deep
    Residual Learning for Image Recognition, CVPR 2016, table 1).

    Shapes: crops (B, S, S), uint8, or float in [0, 1] -> (B, embedding).

    Parameters
    ----------
    width : int
        Channels of the first stage; each later stage has twice as many. 64 is the published size (11 million
        parameters); 16 can be trained in minutes without a GPU.
    embedding : int
        Length of the embedding of a cell.
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
            *(_make_stage(a, b, 1 + (i > 0)) for i, (a, b) in enumerate(zip([width, *widths], widths, strict=False))),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(widths[-1], embedding)

    def forward(self, crops: Tensor) -> Tensor:  # noqa: D102
        x = crops.float() / 255 if crops.dtype == torch.uint8 else crops
        return normalize(self.head(self.trunk(x[:, None])))


def _make_stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_Block(inputs, outputs, stride), _Block(outputs, outputs, 1))


def embed(embedder: Embedder, crops: Crops, *, batch: int = 1024) -> FeatureArray:
    """Return the embedding of each crop, of length 1.

    Parameters
    ----------
    embedder : Embedder
        On any device.
    crops : (N, S, S) uint8
        See `crop_cells`.
    batch : int
        Crops at a time; it bounds the memory and does not change the result.

    Returns
    -------
    (N, embedding) float32
    """
    out = np.zeros((len(crops), embedder.embedding), np.float32)
    device, was_training = embedder.head.weight.device, embedder.training
    embedder.eval()  # batch normalisation by the statistics of the training, not of these crops
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
        If the model does not exist, cannot be read (see `load_model`), or is of another kind.
    """
    model = load_model(folder, device=device)
    if not isinstance(model.network, Embedder):
        msg = f"{folder}: the model is of kind '{model.kind}', expected '{Embedder.kind}', a network for crops of cells"
        raise ModelError(msg)
    return model.network
