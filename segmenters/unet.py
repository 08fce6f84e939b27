"""U-Net in two and three dimensions: the published layout, and a light one for computers without a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gnntrack.errors import SegmenterError
from segmenters.dense.segmenter import DenseSegmenter
from segmenters.dense.unet import UNet

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["UNetSegmenter", "build_unet"]

_LIGHT = {"width": 24, "levels": 4, "stem": 2, "norm": "batch"}


def build_unet(*, dimensions: int, outputs: int, flat: int, options: Mapping[str, Any], channels: int = 1) -> UNet:
    """Return a U-Net with random weights; see `segmenters.dense.training.NetworkBuilder`.

    Raises
    ------
    SegmenterError
        If an option is unknown or out of range.
    """
    unknown = sorted(options.keys() - _LIGHT.keys())
    if unknown:
        msg = f"a new network of 'unet' has no option '{unknown[0]}'; there are: {', '.join(_LIGHT)}"
        raise SegmenterError(msg)
    try:
        return UNet(dimensions=dimensions, outputs=outputs, flat=flat, channels=channels, **{**_LIGHT, **options})
    except (TypeError, ValueError, RuntimeError) as error:
        msg = f"a new network of 'unet' cannot be made: {error}"
        raise SegmenterError(msg) from error


class UNetSegmenter(DenseSegmenter):
    """U-Net: foreground and depth in the cell, which separates touching cells; with models of nuclei and of cells.

    In training, ``--option`` sets the network: ``width`` (24), ``levels`` (4), ``stem`` (2; 1 computes at full
    resolution) and ``norm`` (``batch`` or ``none``); ``width=64 levels=5 stem=1`` is the layout of 2015.

    See `DenseSegmenter` for the other options.
    """

    name = "unet"
    build_network = staticmethod(build_unet)
