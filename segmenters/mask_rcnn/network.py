"""Mask R-CNN of torchvision, for images in which all cells have about the same size."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNN, MaskRCNNHeads, MaskRCNNPredictor

from gnntrack.errors import SegmenterError
from segmenters.dense.torchvision_networks import (
    BACKBONES,
    build_backbone,
    check_network_options,
    load_pretrained,
    normalise_as_photograph,
    refuse_stacks,
)
from segmenters.dense.unet import describe_channels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

__all__ = ["Detections", "MaskRcnn", "build_mask_rcnn"]

_OPTIONS: dict[str, Any] = {"backbone": "resnet50", "width": 256, "weights": "pretrained"}
_WIDTHS = (32, 64, 128, 256)
_ANCHORS = ((12,), (24,), (48,), (96,), (192,))  # sides in pixels; cells are scaled to diameters of 14 to 44
_SHAPES = (0.5, 1.0, 2.0)
_STRIDED = ["3", "6", "12", "16"]  # last layers of a MobileNet whose maps are a 4th, 8th, 16th, 32nd
_CELLS = 400  # largest number of cells in a tile
_LEAST = 100  # pixels of a small cell, which limits the number of cells of a small tile
_GRID = 7  # the score of a box is computed from 7 x 7 values
_MULTIPLE = 64  # sides are padded to multiples of it, so that the last map has at least 2 x 2 values


class Detections(NamedTuple):
    """Cells that were found in an image.

    Parameters
    ----------
    score : (N,) float32 array
        Probability that it is a cell, 0 to 1.
    box : (N, 4) float32 array
        Lowest and highest y and x: ``y0, x0, y1, x1``; the middle of the first pixel is at 0.
    mask : (N, M, M) float32 array
        Probability that the cell is there, on an even grid in its box.
    """

    score: npt.NDArray[np.float32]
    box: npt.NDArray[np.float32]
    mask: npt.NDArray[np.float32]


class MaskRcnn(nn.Module):
    """Mask R-CNN (He et al., ICCV 2017) with feature pyramids, with a single class: cells.

    Parameters
    ----------
    backbone : str
        One of `segmenters.dense.torchvision_networks.BACKBONES`.
    width : {256, 128, 64, 32}
        Channels of the pyramid and of the heads; with 64, the heads need a sixteenth of the computation.
    dimensions : {2}
        Axes of the images.
    channels : {1, 3}
        Channels of the images.

    Raises
    ------
    ValueError
        If the backbone, the number of dimensions or that of channels is unknown.
    """

    kind = "maskrcnn"

    def __init__(self, *, backbone: str = "resnet50", width: int = 256, dimensions: int = 2, channels: int = 1) -> None:
        super().__init__()
        if dimensions != 2 or backbone not in BACKBONES or width not in _WIDTHS or channels not in (1, 3):
            msg = (
                f"a Mask R-CNN cannot have {dimensions} dimensions, {channels} channels and width {width} on "
                f"'{backbone}'; there are: {', '.join(BACKBONES)}, 1 or 3 channels, and widths {_WIDTHS}"
            )
            raise ValueError(msg)
        self.options: dict[str, Any] = {"backbone": backbone, "width": width, "dimensions": dimensions}
        self.options |= describe_channels(channels)
        self.dimensions, self.channels = dimensions, channels
        self.detector: Any = MaskRCNN(
            _build_pyramid(backbone, width),
            box_head=TwoMLPHead(width * _GRID**2, 4 * width),
            box_predictor=FastRCNNPredictor(4 * width, 2),
            mask_head=MaskRCNNHeads(width, (width,) * 4, 1),
            mask_predictor=MaskRCNNPredictor(width, width, 2),
            rpn_anchor_generator=AnchorGenerator(_ANCHORS, (_SHAPES,) * len(_ANCHORS)),
            image_mean=[0.0] * 3,  # they are normalised already
            image_std=[1.0] * 3,
            rpn_pre_nms_top_n_train=1000,
            rpn_post_nms_top_n_train=600,
            rpn_post_nms_top_n_test=_CELLS * 2,
            box_batch_size_per_image=128,
            box_score_thresh=0.05,
            _skip_resize=True,  # in training
        )

    def forward(self, images: Tensor, targets: Sequence[Mapping[str, Tensor]]) -> Tensor:
        """Return the loss, in train mode.

        Parameters
        ----------
        images : (B, channels, Y, X) tensor
            Normalised grey values or colours.
        targets : sequence of dict
            Of each image ``boxes``, (N, 4), as ``x0, y0, x1, y1``, ``labels``, (N,), all 1, and ``masks``, (N, Y, X).

        Returns
        -------
        tensor
            Sum of the losses of proposals, boxes, kinds and masks.
        """
        # masks are not padded, because boxes lie within the image
        losses = self.detector(list(_pad(images)), [dict(target) for target in targets])
        return torch.stack([each.float() for each in losses.values()]).sum()

    def find(self, images: Tensor) -> list[Detections]:
        """Return the cells of images, (B, channels, Y, X), in eval mode; masks have the resolution of the network."""
        seen = _pad(images)
        height, width = seen.shape[2:]
        listed = ImageList(seen, [(height, width)] * len(seen))  # torchvision itself would resize them
        features = self.detector.backbone(listed.tensors)
        proposals, _ = self.detector.rpn(listed, features)
        self.detector.roi_heads.detections_per_img = min(_CELLS, max(10, images[0, 0].numel() // _LEAST))
        cells, _ = self.detector.roi_heads(features, proposals, listed.image_sizes)
        return [
            Detections(
                _to_array(each["scores"]),
                _find_outer(_to_array(each["boxes"])[:, [1, 0, 3, 2]]),
                _to_array(each["masks"])[:, 0],
            )
            for each in cells
        ]


def _build_pyramid(name: str, width: int) -> BackboneWithFPN:
    """Return a backbone with maps of a 4th, 8th, 16th and 32nd of the image, each of `width` channels, and a last one.

    The batch normalisation of the backbone is trained, not frozen as in torchvision, and the pyramid is normalised too:
    otherwise, training without pretrained weights would hardly start.
    """
    if name.startswith("mobilenet"):
        body: Any = build_backbone(name).features
        stages = _STRIDED
        channels = [int(body[int(stage)].out_channels) for stage in stages]
    else:
        body = build_backbone(name)
        stages = [f"layer{level}" for level in (1, 2, 3, 4)]
        channels = [int(body.fc.in_features) // 2**level for level in (3, 2, 1, 0)]
    layers = {stage: str(level) for level, stage in enumerate(stages)}
    return BackboneWithFPN(body, layers, channels, width, norm_layer=partial(nn.GroupNorm, 32))


def _pad(images: Tensor) -> Tensor:
    """Return images normalised as photographs, padded by replication; torchvision would pad with a constant grey."""
    beyond = (0, -images.shape[3] % _MULTIPLE, 0, -images.shape[2] % _MULTIPLE)
    return normalise_as_photograph(functional.pad(images, beyond, mode="replicate"))


def _find_outer(boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return boxes extended by half a pixel where torchvision clips them at the centre of the first pixel."""
    return np.where(boxes <= 0, np.float32(-0.5), boxes)


def _to_array(values: Tensor) -> npt.NDArray[np.float32]:
    return np.asarray(values.detach().float().cpu().numpy(), np.float32)


def build_mask_rcnn(*, dimensions: int, options: Mapping[str, Any], channels: int = 1) -> MaskRcnn:
    """Return a network to train; its backbone has weights trained on photographs if they are available.

    Parameters
    ----------
    dimensions : int
        Axes of the images.
    options : dict
        ``backbone``, ``width``, and ``weights``: ``pretrained`` or ``none``.
    channels : {1, 3}
        Channels of the images.

    Raises
    ------
    SegmenterError
        If an option is unknown or out of range, or images have three axes.
    """
    refuse_stacks(MaskRcnn.kind, dimensions)
    chosen = check_network_options(MaskRcnn.kind, options, _OPTIONS)
    try:
        made = MaskRcnn(backbone=chosen["backbone"], width=chosen["width"], dimensions=dimensions, channels=channels)
    except (TypeError, ValueError) as error:
        msg = f"a new network of 'maskrcnn' cannot be made: {error}"
        raise SegmenterError(msg) from error
    if chosen["weights"] == "pretrained":
        load_pretrained(made.detector.backbone.body, chosen["backbone"])
    return made
