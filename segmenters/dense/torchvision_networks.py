"""FCN and DeepLab of torchvision as networks that predict every pixel, and their backbones."""

from __future__ import annotations

import logging
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.segmentation.deeplabv3 import DeepLabHead
from torchvision.models.segmentation.fcn import FCNHead

from gnntrack.errors import SegmenterError
from segmenters.dense.unet import describe_channels

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BACKBONES",
    "DeepLab",
    "Fcn",
    "build_backbone",
    "build_dense",
    "check_network_options",
    "load_pretrained",
    "normalise_as_photograph",
    "refuse_stacks",
]

_log = logging.getLogger(__name__)

BACKBONES = ("resnet50", "resnet101", "resnet18", "mobilenet_v3_large")
"""Names of backbones: the default, a deeper one, and two light ones."""

_OPTIONS: dict[str, Any] = {"backbone": "resnet50", "enlarge": 1, "weights": "pretrained"}
_MEAN, _SPREAD = 0.449, 0.226  # of the grey values of the photographs of ImageNet, on which backbones were trained
_MULTIPLE = 32  # sides are padded to multiples of it, so that maps of a sixteenth have at least 2 x 2 values
_ENLARGE = (1, 2, 4)  # they divide _MULTIPLE


class _Torchvision(nn.Module):
    """A backbone of torchvision, dilated, with a head on its last map.

    Parameters
    ----------
    backbone : str
        One of `BACKBONES`.
    enlarge : {1, 2, 4}
        Factor by which images are enlarged for the backbone. Its last map has one value per 8 x 8 enlarged pixels
        (MobileNet: 16 x 16), which is coarse for small cells.
    dimensions : {2}
        Axes of the images.
    outputs : int
        Channels of the output.
    channels : {1, 3}
        Channels of the images; grey values are repeated for the backbone.

    Raises
    ------
    ValueError
        If the backbone is unknown, or a number is out of range.
    """

    kind: ClassVar[str]

    def __init__(
        self,
        *,
        backbone: str = "resnet50",
        enlarge: int = 1,
        dimensions: int = 2,
        outputs: int = 2,
        channels: int = 1,
    ) -> None:
        super().__init__()
        if dimensions != 2 or outputs < 1 or enlarge not in _ENLARGE or channels not in (1, 3):
            msg = (
                f"{self.kind}: dimensions is {dimensions}, enlarge is {enlarge}, outputs is {outputs}, channels is "
                f"{channels}; but dimensions must be 2, enlarge one of {_ENLARGE}, outputs 1 or above, channels 1 or 3"
            )
            raise ValueError(msg)
        self.options: dict[str, Any] = {
            "backbone": backbone,
            "enlarge": enlarge,
            "dimensions": dimensions,
            "outputs": outputs,
            **describe_channels(channels),
        }
        self.dimensions, self.outputs, self.enlarge, self.channels = dimensions, outputs, enlarge, channels
        self.backbone, channels = _replace_stride(backbone)
        self.head = self._build_head(channels, outputs)

    @staticmethod
    def _build_head(channels: int, outputs: int) -> nn.Module:
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """Return the outputs, (B, outputs, Y, X), for images (B, channels, Y, X) of any size."""
        height, width = images.shape[2:]
        x = normalise_as_photograph(images)
        if self.enlarge > 1:
            x = functional.interpolate(x, scale_factor=self.enlarge, mode="bilinear")
        x = functional.pad(x, (0, -x.shape[3] % _MULTIPLE, 0, -x.shape[2] % _MULTIPLE), mode="replicate")
        answers = self.head(self.backbone(x)["out"]).float()  # (B, outputs, Y / 8, X / 8)
        size = (x.shape[2] // self.enlarge, x.shape[3] // self.enlarge)
        return functional.interpolate(answers, size, mode="bilinear")[..., :height, :width]


_Network = TypeVar("_Network", bound=_Torchvision)


class Fcn(_Torchvision):
    """FCN of Long, Shelhamer and Darrell (CVPR 2015), on a dilated backbone as in torchvision."""

    kind = "fcn"

    @staticmethod
    def _build_head(channels: int, outputs: int) -> nn.Module:
        head: nn.Module = FCNHead(channels, outputs)
        return head


class DeepLab(_Torchvision):
    """DeepLab v3 of Chen, Papandreou, Schroff and Adam (2017), as in torchvision, except for one normalisation."""

    kind = "deeplab"

    @staticmethod
    def _build_head(channels: int, outputs: int) -> nn.Module:
        head: nn.Module = DeepLabHead(channels, outputs)
        for module in head.modules():
            if isinstance(module, nn.Sequential) and len(module) and isinstance(module[0], nn.AdaptiveAvgPool2d):
                # one value per image and channel: batch normalisation over few images is noise, over one image an error
                norm: Any = module[2]
                module[2] = nn.GroupNorm(32, norm.num_features)
        return head


def normalise_as_photograph(images: Tensor) -> Tensor:
    """Return images, (B, 1 or 3, Y, X), as the photos that backbones were trained on, (B, 3, Y, X)."""
    return ((images - _MEAN) / _SPREAD).expand(-1, 3, -1, -1)


def _replace_stride(name: str) -> tuple[nn.Module, int]:
    """Return a backbone whose last map is not much smaller than the image, and the channels of that map."""
    _expect_backbone(name)
    if name.startswith("mobilenet"):
        features: Any = build_backbone(name, dilated=True).features
        last = str(len(features) - 1)
        return IntermediateLayerGetter(features, {last: "out"}), int(features[-1].out_channels)
    resnet: Any = build_backbone(name)
    channels = int(resnet.fc.in_features)
    for layer, dilation in ((resnet.layer3, 2), (resnet.layer4, 4)):
        _dilate(layer, dilation)
    return IntermediateLayerGetter(resnet, {"layer4": "out"}), channels


def _dilate(layer: nn.Module, dilation: int) -> None:
    """Dilate a stage of a ResNet: its map keeps the size of its input, and the field of view stays the same.

    It has the effect of torchvision's ``replace_stride_with_dilation``, which does not support a ResNet-18.
    """
    first = True
    for module in layer.modules():
        if not isinstance(module, nn.Conv2d):
            continue
        if module.kernel_size == (3, 3):
            # the input of the first convolution is the map of the stage before
            step = dilation // 2 if first else dilation
            module.dilation = module.padding = (step, step)
            first = False
        module.stride = (1, 1)


def build_backbone(name: str, **options: Any) -> Any:
    """Return a network of torchvision with random weights, with a momentum of normalisation for short trainings.

    In a MobileNet, the running averages of mean and variance extend over 100 steps; here over 10, as in a ResNet.
    """
    network: nn.Module = models.get_model(name, weights=None, **options)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1
    return network


def _expect_backbone(name: str) -> None:
    if name not in BACKBONES:
        msg = f"unknown backbone '{name}'; there are: {', '.join(BACKBONES)}"
        raise ValueError(msg)


# ------------------------------------------------------------------------------------------- new networks


def build_dense(
    network: type[_Network],
    *,
    dimensions: int,
    outputs: int,
    flat: int = 0,  # noqa: ARG001  # for networks of stacks
    options: Mapping[str, Any],
    channels: int = 1,
) -> _Network:
    """Return a network to train; its backbone has weights trained on photographs if they are available.

    Parameters
    ----------
    network : type
        `Fcn` or `DeepLab`.
    dimensions : int
        Axes of the images.
    outputs : int
        Channels of the output.
    flat : int
        Not used, see `segmenters.dense.training.NetworkBuilder`.
    options : dict
        ``backbone``, ``enlarge``, and ``weights``: ``pretrained`` or ``none``.
    channels : {1, 3}
        Channels of the images.

    Raises
    ------
    SegmenterError
        If an option is unknown or out of range, or images have three axes.
    """
    refuse_stacks(network.kind, dimensions)
    chosen = check_network_options(network.kind, options, _OPTIONS)
    weights = chosen.pop("weights")
    try:
        made = network(dimensions=dimensions, outputs=outputs, channels=channels, **chosen)
    except (TypeError, ValueError) as error:
        msg = f"a new network of '{network.kind}' cannot be made: {error}"
        raise SegmenterError(msg) from error
    if weights == "pretrained":
        load_pretrained(made.backbone, chosen["backbone"])
    return made


def refuse_stacks(kind: str, dimensions: int) -> None:
    """Refuse to train a network on stacks.

    Raises
    ------
    SegmenterError
        If the number of axes of the images is not 2.
    """
    if dimensions != 2:
        msg = (
            f"a network of '{kind}' is trained on images (Y, X), but these have {dimensions} axes; train 'unet' on "
            f"stacks, or '{kind}' on single planes and segment with --segmenter slices --option segmenter={kind}"
        )
        raise SegmenterError(msg)


def check_network_options(kind: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a new network; defaults are used for those that are not given.

    Raises
    ------
    SegmenterError
        If an option is unknown, or ``weights`` has an unknown value.
    """
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        msg = f"a new network of '{kind}' has no option '{unknown[0]}'; there are: {', '.join(known)}"
        raise SegmenterError(msg)
    chosen = {**known, **given}
    if chosen["weights"] not in {"pretrained", "none"}:
        msg = f"a new network of '{kind}': option weights is {chosen['weights']!r}, but must be pretrained or none"
        raise SegmenterError(msg)
    return chosen


def load_pretrained(backbone: nn.Module, name: str) -> bool:
    """Load weights trained on photographs (ImageNet) into a backbone; torchvision downloads them if necessary.

    Parameters
    ----------
    backbone : nn.Module
        Network of torchvision of this name, without its last layers.
    name : str
        One of `BACKBONES`.

    Returns
    -------
    bool
        False if the weights are not available; then the backbone keeps its weights, and a warning is logged.
    """
    try:
        weights = models.get_model_weights(name).DEFAULT.get_state_dict(progress=False, check_hash=True)
    except (OSError, HTTPException, RuntimeError) as error:  # no connection, an interrupted one, a damaged file
        _log.warning(
            "the pretrained weights of %s are not available (%s): training starts from random weights, which takes "
            "longer; --option weights=none skips the download",
            name,
            error,
        )
        return False
    with torch.no_grad():
        own = backbone.state_dict()
        found = {key.removeprefix("features."): value for key, value in weights.items()}
        counts = "num_batches_tracked"  # older files have none, and nothing depends on it
        backbone.load_state_dict({key: found[key] for key in own if not key.endswith(counts)}, strict=False)
    return True
