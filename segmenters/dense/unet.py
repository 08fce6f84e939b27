"""The U-Net of Ronneberger, Fischer and Brox (MICCAI 2015), in two and three dimensions, and a light one.

With the defaults it has the layout of the paper: two convolutions per level on each side, 64 to 1024 channels, four
transposed convolutions, and a last convolution of size 1; 23 in total. Unlike in the paper, convolutions are padded, so
that the output is as large as the image.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import fusion

__all__ = ["UNet", "describe_channels", "fuse"]


class UNet(nn.Module):
    """U-Net.

    Parameters
    ----------
    dimensions : {2, 3}
        Axes of the images.
    width : int
        Channels of the first level; each further level has twice as many.
    levels : int
        Number of levels.
    stem : {1, 2}
        2: blocks of 2 x 2 pixels (y, x) become channels at the input, and channels become pixels at the output. This
        needs a quarter of the computation; the output has the resolution of the image.
    flat : int
        In 3D: number of first levels that keep their planes, for stacks whose planes are far apart.
    norm : {"batch", "none"}
        Batch normalisation after each convolution, or none as in 2015.
    outputs : int
        Channels of the output.
    channels : int
        Channels of the images: 1, or 3 for RGB.
    """

    kind = "unet"

    def __init__(
        self,
        *,
        dimensions: int = 2,
        width: int = 64,
        levels: int = 5,
        stem: int = 1,
        flat: int = 0,
        norm: str = "batch",
        outputs: int = 2,
        channels: int = 1,
    ) -> None:
        super().__init__()
        _expect_layout(dimensions=dimensions, width=width, levels=levels, stem=stem, norm=norm)
        self.options: dict[str, Any] = {
            "dimensions": dimensions, "width": width, "levels": levels, "stem": stem, "flat": flat, "norm": norm,
            "outputs": outputs, **describe_channels(channels),
        }  # fmt: skip
        self.dimensions, self.stem, self.outputs, self.channels = dimensions, stem, outputs, channels
        up: Any = nn.ConvTranspose2d if dimensions == 2 else nn.ConvTranspose3d
        widths = [width * 2**level for level in range(levels)]
        self.steps = [self._step(level, flat) for level in range(levels - 1)]
        self.down = nn.ModuleList(
            _build_pair(before, after, dimensions, norm)
            for before, after in zip([channels * stem**2, *widths[:-1]], widths, strict=True)
        )
        self.up = nn.ModuleList(
            up(2 * n, n, kernel_size=step, stride=step) for n, step in zip(widths[:-1], self.steps, strict=True)
        )
        self.merge = nn.ModuleList(_build_pair(2 * n, n, dimensions, norm) for n in widths[:-1])
        self.last = (nn.Conv2d if dimensions == 2 else nn.Conv3d)(width, outputs * stem**2, 1)

    def _step(self, level: int, flat: int) -> tuple[int, ...]:
        """Return by how much a level is coarser than the one above, per axis."""
        return (2, 2) if self.dimensions == 2 else ((1 if level < flat else 2), 2, 2)

    def forward(self, images: Tensor) -> Tensor:
        """Return the outputs, (B, outputs, [Z], Y, X), for images (B, channels, [Z], Y, X) of any size."""
        size = images.shape[2:]
        x = _unpack(functional.pad(images, self._compute_padding(size), mode="replicate"), self.stem)
        kept = []
        for level, convolutions in enumerate(self.down):
            if level:
                pool = functional.max_pool2d if self.dimensions == 2 else functional.max_pool3d
                x = pool(x, self.steps[level - 1])
            x = convolutions(x)
            kept.append(x)
        for level in range(len(self.up) - 1, -1, -1):
            x = self.merge[level](torch.cat([kept[level], self.up[level](x)], dim=1))
        answers = _pack(self.last(x), self.stem)
        for axis, n in enumerate(size, start=2):
            answers = answers.narrow(axis, 0, n)
        return answers

    def _compute_padding(self, size: torch.Size) -> list[int]:
        """Return the padding to the next size divisible by all levels, for ``torch.nn.functional.pad``."""
        padding: list[int] = []
        for axis in range(len(size) - 1, -1, -1):
            multiple = self.stem if len(size) - axis <= 2 else 1
            for step in self.steps:
                multiple *= step[axis]
            padding += [0, -size[axis] % multiple]
        return padding


def describe_channels(channels: int) -> dict[str, int]:
    """Return the entry of a network's options for the channels of its images: none for one, as in older models.

    >>> describe_channels(1), describe_channels(3)
    ({}, {'channels': 3})
    """
    return {} if channels == 1 else {"channels": channels}


def _expect_layout(*, dimensions: int, width: int, levels: int, stem: int, norm: str) -> None:
    if dimensions not in (2, 3) or norm not in {"batch", "none"} or stem not in (1, 2) or min(width, levels) < 1:
        msg = (
            f"U-Net: dimensions is {dimensions}, levels is {levels}, width is {width}, stem is {stem}, norm is "
            f"'{norm}'; but dimensions must be 2 or 3, levels and width 1 or above, stem 1 or 2, norm 'batch' or 'none'"
        )
        raise ValueError(msg)


def _build_pair(before: int, after: int, dimensions: int, norm: str) -> nn.Sequential:
    """Return two convolutions of size 3, each with its normalisation and activation."""
    conv: Any = nn.Conv2d if dimensions == 2 else nn.Conv3d
    batch: Any = nn.BatchNorm2d if dimensions == 2 else nn.BatchNorm3d
    layers: list[nn.Module] = []
    for n in (before, after):
        layers.append(conv(n, after, 3, padding=1, bias=norm == "none"))
        layers += [batch(after)] if norm == "batch" else []
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def _unpack(x: Tensor, block: int) -> Tensor:
    """Turn blocks of pixels (y, x) into channels."""
    if block == 1:
        return x
    b, c, *z, height, width = x.shape
    x = x.reshape(b, c, *z, height // block, block, width // block, block)
    n = x.ndim
    x = x.permute(0, 1, n - 3, n - 1, *range(2, n - 4), n - 4, n - 2)
    return x.reshape(b, c * block**2, *z, height // block, width // block)


def _pack(x: Tensor, block: int) -> Tensor:
    """Turn channels into blocks of pixels (y, x): the opposite of `_unpack`."""
    if block == 1:
        return x
    b, c, *z, height, width = x.shape
    x = x.reshape(b, c // block**2, block, block, *z, height, width)
    n = x.ndim
    x = x.permute(0, 1, *range(4, n - 2), n - 2, 2, n - 1, 3)
    return x.reshape(b, c // block**2, *z, height * block, width * block)


def fuse(network: Any) -> Any:
    """Merge each batch normalisation into the convolution before it: the same outputs up to rounding, but faster."""
    for module in network.modules():
        if not isinstance(module, nn.Sequential):
            continue
        layers = list(module)
        for i, (conv, norm) in enumerate(pairwise(layers)):
            if isinstance(conv, nn.Conv2d | nn.Conv3d) and isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d):
                module[i] = fusion.fuse_conv_bn_eval(cast("Any", conv), norm)
                module[i + 1] = nn.Identity()
    return network
