"""From a stack to its cells by a trained network: cloud, blocks, answers, votes, voxels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from segmenters.diffusion.blocks import cut_blocks, extract_part
from segmenters.diffusion.grouping import draw_voxels, group_points
from segmenters.diffusion.network import describe_shape
from segmenters.diffusion.operators import build_operators
from segmenters.diffusion.points import build_volume_cloud, measure_levels
from segmenters.diffusion.surface import build_surface_cloud

if TYPE_CHECKING:
    from segmenters.common.arrays import AnyFloats, Labels, Spacing, Stack
    from segmenters.diffusion.network import DiffusionNet
    from segmenters.diffusion.points import Cloud


__all__ = ["CellOptions", "find_cells", "predict_points"]


@dataclass(frozen=True)
class CellOptions:
    """Options of `find_cells`.

    Parameters
    ----------
    surface : bool
        Use points on the surface of the bright volume instead of points in it.
    threshold, diameter : float, optional
        See `measure_levels`.
    foreground : float
        Lowest probability of a point in a cell.
    neck, min_size : float
        See `group_points`.
    """

    surface: bool = False
    threshold: float | None = None
    diameter: float | None = None
    foreground: float = 0.5
    neck: float = 0.6
    min_size: float = 0.08


_DEFAULT = CellOptions()


def find_cells(
    network: DiffusionNet,
    stack: Stack,
    *,
    spacing: Spacing,
    modes: int = 96,
    options: CellOptions = _DEFAULT,
) -> Labels:
    """Return the cells of a stack.

    Parameters
    ----------
    network : DiffusionNet
        On any device.
    stack : (Z, Y, X) float32 array
        Grey values.
    spacing : three floats
        Size of a voxel along z, y, x.
    modes : int
        Number of eigenvectors of a block.
    options : CellOptions
        Kind of the cloud, thresholds and sizes.

    Returns
    -------
    labels : (Z, Y, X) int32 array
        1, 2, ... without gaps; 0 = background. A stack of one grey value has no cells.
    """
    nothing = np.zeros(stack.shape, np.int32)
    if not stack.size or stack.min() == stack.max():
        return nothing
    levels = measure_levels(stack, spacing=spacing, threshold=options.threshold, diameter=options.diameter)
    cloud = (build_surface_cloud if options.surface else build_volume_cloud)(stack, levels, spacing=spacing)
    if not len(cloud):
        return nothing
    probability, offset = predict_points(network, cloud, modes=modes)
    inside = probability > options.foreground
    labels = np.zeros(len(cloud), np.int32)
    weight = np.ones(int(inside.sum())) if options.surface else cloud.mass[inside]
    labels[inside] = group_points(
        cloud.points[inside], offset[inside], weight, neck=options.neck, min_size=options.min_size
    )
    scale = np.asarray(spacing, np.float64) / levels.diameter
    # where the probability reaches the threshold, the mean of the points around a voxel is one half
    even = np.clip(probability * 0.5 / max(options.foreground, 1e-6), 0, 1)
    return draw_voxels(cloud, labels, even, shape=stack.shape, scale=scale)


def predict_points(network: Any, cloud: Cloud, *, modes: int = 96) -> tuple[AnyFloats, AnyFloats]:
    """Return the probability that each point lies in a cell, (N,), and its offset to the centre, (N, 3)."""
    device = next(network.parameters()).device
    probability, offset = np.zeros(len(cloud)), np.zeros((len(cloud), 3))
    for whole in cut_blocks(cloud.points):
        part, block = extract_part(cloud, whole)
        with torch.inference_mode():
            answers = network(describe_shape(part, build_operators(part, modes=modes)).to(device))
        rows = block.rows[block.core]
        probability[rows] = torch.sigmoid(answers.foreground).cpu().numpy()[block.core]
        offset[rows] = answers.offset.cpu().numpy()[block.core]
    return probability, offset
