"""FCN of torchvision, for 2D images."""

from __future__ import annotations

from functools import partial

from segmenters.dense.segmenter import DenseSegmenter
from segmenters.dense.torchvision_networks import Fcn, build_dense

__all__ = ["FcnSegmenter"]


class FcnSegmenter(DenseSegmenter):
    """FCN of torchvision, 2D: a ResNet or MobileNet that classifies every pixel; must be trained first.

    In training, ``--option`` sets the network: ``backbone`` (``resnet50``; ``resnet101``, ``resnet18``,
    ``mobilenet_v3_large``), ``enlarge`` (1; use 2 or 4 for cells of few pixels, in 4 or 16 times the time) and
    ``weights`` (``pretrained`` on photographs, or ``none``).

    See `DenseSegmenter` for the other options.
    """

    name = "fcn"
    build_network = staticmethod(partial(build_dense, Fcn))
