"""From an image to points with the network of ``heatmap``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from segmenters.common.tiles import predict_in_tiles
from segmenters.heat.inputs import prepare_inputs
from segmenters.points.peaks import find_peaks, refine_peaks, thin_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segmenters.common.arrays import Floats, Heights, Integers

__all__ = ["find_centres", "predict_heat"]

_TILES = {2: (512, 512), 3: (64, 96, 96)}
_OVERLAP = 12  # voxels that neighbouring tiles share; the outputs of a voxel depend on about as many around it


def predict_heat(network: Any, inputs: Heights) -> Heights:
    """Return the probability of a centre, and the logarithm of the radius in voxels along x: (2, [Z], Y, X)."""
    tile = _TILES[inputs.ndim - 1]
    overlap = [min(_OVERLAP, n // 2) for n in tile]
    return predict_in_tiles(
        lambda batch: _predict_batch(network, batch), inputs, channels=2, tile=tile, overlap=overlap
    )


def _predict_batch(network: Any, batch: Heights) -> Heights:
    device = next(network.parameters()).device
    with torch.inference_mode():
        answers = network(torch.from_numpy(batch).to(device)).float()
        answers[:, 0] = torch.sigmoid(answers[:, 0])
    return np.asarray(answers.cpu().numpy(), np.float32)


def find_centres(
    network: Any, values: Heights, step: Sequence[float], *, threshold: float, closest: float
) -> tuple[Floats, Floats, Integers, Floats]:
    """Return the cells of an image on the grid.

    Parameters
    ----------
    network : nn.Module
        In eval mode.
    values : ([Z], Y, X) float32 array
        Means of the blocks of the grid.
    step : D floats
        Size of a block.
    threshold : float
        Lowest probability at a peak.
    closest : float
        Smallest distance of two cells, in the unit of `step`.

    Returns
    -------
    position : (N, D) float array
        Centres, in blocks.
    radius : (N,) float array
        In the unit of `step`.
    peaks : (N, D) int array
        The block of each centre.
    score : (N,) float array
        Probability at the peak.
    """
    heat, size = predict_heat(network, prepare_inputs(values, step))
    peaks = find_peaks(heat, threshold)
    position = refine_peaks(np.log(np.maximum(heat, 1e-6)), peaks)  # of a Gaussian, a parabola
    kept = thin_out(position, step, closest)
    peaks = peaks[kept]
    radius = np.exp(np.clip(size[tuple(peaks.T)], -2, 4).astype(np.float64)) * step[-1]
    return position[kept], radius, peaks, heat[tuple(peaks.T)].astype(np.float64)
