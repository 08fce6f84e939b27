"""DiffusionNet (Sharp et al. 2022): learned diffusion, gradients and a pointwise perceptron, block after block."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from segmenters.diffusion.operators import Operators
    from segmenters.diffusion.points import Cloud

__all__ = ["Answers", "DiffusionNet", "Shape", "describe_shape"]

_TIMES = (1e-3, 0.2)  # diffusion times at the start: from a third of a point's distance to half a cell
_TIED = 6.0  # slopes are per distance between points


class Shape(NamedTuple):
    """A cloud and its operators as tensors.

    Parameters
    ----------
    features : (N, F)
        Features of each point.
    vectors : (N, V, 3)
        Vectors z, y, x at each point.
    mass : (N,)
        Volume or area.
    eigenvalues : (K,)
        Of the Laplacian.
    eigenvectors : (N, K)
        Orthonormal by mass.
    slopes : (3, N, K)
        Of the eigenvectors, along z, y, x.
    normals : (N, 3)
        Of a surface; 0 in a volume.
    """

    features: Tensor
    vectors: Tensor
    mass: Tensor
    eigenvalues: Tensor
    eigenvectors: Tensor
    slopes: Tensor
    normals: Tensor

    def to(self, device: torch.device | str) -> Shape:
        """Return the shape on a device."""
        return Shape(*(part.to(device) for part in self))


class Answers(NamedTuple):
    """Predictions of the network for each point.

    Parameters
    ----------
    foreground : (N,)
        Log odds that it lies in a cell.
    offset : (N, 3)
        From the point to the centre of its cell along z, y, x, in diameters.
    """

    foreground: Tensor
    offset: Tensor


def describe_shape(cloud: Cloud, operators: Operators) -> Shape:
    """Return a cloud and its operators as float32 tensors."""
    parts = (
        *(cloud.features, cloud.vectors, operators.mass, operators.eigenvalues),
        *(operators.eigenvectors, operators.compute_slopes() / _TIED, operators.normals),
    )
    return Shape(*(torch.from_numpy(np.ascontiguousarray(part, np.float32)) for part in parts))


class Diffusion(nn.Module):
    """Heat that spreads for a learned time, one per channel.

    ``h_t(u) = Phi exp(-lambda t) Phi^T M u`` (Sharp et al. 2022, equation 3), as its coefficients in the basis.

    Shapes: (N, C) -> (K, C).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        low, high = (math.log(time) for time in _TIMES)
        self.log_time = nn.Parameter(torch.linspace(low, high, channels))

    def forward(self, values: Tensor, shape: Shape) -> Tensor:
        """Return the coefficients of the values after diffusion."""
        coefficients = shape.eigenvectors.T @ (shape.mass[:, None] * values)  # (K, C)
        return coefficients * torch.exp(-shape.eigenvalues[:, None] * self.log_time.exp())


class Gradients(nn.Module):
    """Rotation-invariant products of the slopes of channels.

    ``g = tanh(<grad u, A grad u + B (n x grad u)>)`` per point and channel. On a surface with normals n this is
    the product with the complex matrix A + iB in the tangent plane (equation 5); in a volume without
    tangent plane, n = 0 and A remains.

    Shapes: (3, N, C), (N, 3) -> (N, C).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.straight = nn.Linear(channels, channels, bias=False)
        self.turned = nn.Linear(channels, channels, bias=False)

    def forward(self, slopes: Tensor, normals: Tensor) -> Tensor:
        """Return the products."""
        across = torch.linalg.cross(normals.T[:, :, None].expand_as(slopes), slopes, dim=0)  # (3, N, C)
        return torch.tanh((slopes * (self.straight(slopes) + self.turned(across))).sum(0))


class Block(nn.Module):
    """Diffusion, gradients, and a perceptron of two layers at each point, added to the input.

    Shapes: (N, C) -> (N, C).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.diffusion = Diffusion(width)
        self.gradients = Gradients(width)
        self.mlp = nn.Sequential(nn.Linear(3 * width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, values: Tensor, shape: Shape) -> Tensor:
        """Return the values of the next block."""
        coefficients = self.diffusion(values, shape)
        diffused = shape.eigenvectors @ coefficients  # (N, C)
        slopes = shape.slopes @ coefficients  # (3, N, C)
        features = torch.cat([values, diffused, self.gradients(slopes, shape.normals)], dim=1)  # (N, 3 C)
        changed: Tensor = self.mlp(features)
        return values + changed


class DiffusionNet(nn.Module):
    """Foreground and offset to the centre of each point of a cloud.

    Turning the cloud leaves the foreground as it is and turns the offset: that one is a sum of vectors at the
    point (its own, the slopes of learned channels, the normal), each times a number that the blocks make.

    Parameters
    ----------
    features, vectors : int
        Of each point.
    width : int
        Channels.
    blocks : int
        Blocks.

    Shapes: `Shape` of N points -> `Answers` of N points.
    """

    kind = "diffusionnet"

    def __init__(self, *, features: int, vectors: int, width: int = 64, blocks: int = 4) -> None:
        super().__init__()
        self.options: dict[str, Any] = {"features": features, "vectors": vectors, "width": width, "blocks": blocks}
        self.first = nn.Linear(features, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.foreground = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1))
        self.channels = nn.Linear(width, width // 2)
        self.diffusion = Diffusion(width // 2)
        self.gates = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width // 2 + vectors + 1))

    def forward(self, shape: Shape) -> Answers:
        """Return the predictions for each point."""
        values = self.first(shape.features)
        for block in self.blocks:
            values = block(values, shape)
        slopes = shape.slopes @ self.diffusion(self.channels(values), shape)  # (3, N, C / 2)
        vectors = torch.cat([slopes.permute(1, 2, 0), shape.vectors, shape.normals[:, None]], dim=1)
        offset = (self.gates(values)[:, :, None] * vectors).sum(1)
        return Answers(self.foreground(values)[:, 0], offset)
