"""Files of segmenters' networks, and which networks there are."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnntrack.errors import MissingDependencyError, ModelError
from gnntrack.models.files import Family, model_folder, read_model

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["FAMILY", "NETWORKS", "load_network", "network_class"]

NETWORKS = {
    "unet": "segmenters.dense.unet:UNet",
    "fcn": "segmenters.dense.torchvision_networks:Fcn",
    "deeplab": "segmenters.dense.torchvision_networks:DeepLab",
    "maskrcnn": "segmenters.maskrcnn:MaskRcnn",
    "diffusionnet": "segmenters.diffusion.network:DiffusionNet",
}
"""Where the class of each kind of network is, for `network_class`."""


def network_class(kind: str) -> type[nn.Module]:
    """Return the class of a kind of network, imported only now.

    Raises
    ------
    ModelError
        If there is no such kind.
    MissingDependencyError
        If a library that it needs is not installed.
    """
    if kind not in NETWORKS:
        msg = f"there is no network '{kind}'; there are: {', '.join(NETWORKS)}"
        raise ModelError(msg)
    module, _, name = NETWORKS[kind].partition(":")
    try:
        found: type[nn.Module] = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("segmenters"):
            raise
        extra = "diffusionnet" if kind == "diffusionnet" else "segmenters"
        msg = (
            f"a network of kind '{kind}' needs '{error.name}', which is not installed: pip install 'gnntrack[{extra}]'"
        )
        raise MissingDependencyError(msg) from error
    return found


FAMILY = Family("gnntrack segmenter", 1, "gnntrack train-segmenter", network_class, {"inputs": dict}, words=True)


def load_network(
    segmenter: str, model: str | Path | None, *, device: torch.device | str = "cpu"
) -> tuple[Any, dict[str, Any]]:
    """Return the network of a segmenter, and what its ``model.json`` tells.

    Parameters
    ----------
    segmenter : str
        Its name, which is the kind of its network.
    model : path or None
        The folder that ``gnntrack train-segmenter`` wrote; None is the one that comes with gnntrack.
    device : device
        Where to compute.

    Raises
    ------
    ModelError
        If there is no model, or it is damaged, or of another segmenter.
    """
    if model is None:
        place = Path(__file__).parents[1] / "weights" / segmenter
        if not place.is_dir():
            msg = (
                f"segmenter '{segmenter}' has no model of its own; train one with "
                f"'gnntrack train-segmenter {segmenter} DATA -o MODEL' and give it with --model MODEL"
            )
            raise ModelError(msg)
    else:
        place = model_folder(model, FAMILY)
    network, about = read_model(place, FAMILY, device=device)
    if about["kind"] != segmenter:
        msg = f"{place}: it is a model of '{about['kind']}', not of '{segmenter}'; choose --segmenter {about['kind']}"
        raise ModelError(msg)
    return network, about
