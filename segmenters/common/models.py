"""Files of segmenters' networks, and the registry of the networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnntrack.errors import ModelError, explain_missing
from gnntrack.models.files import Family, model_folder, read_model
from gnntrack.plugins import Registry

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["FAMILY", "NETWORKS", "WEIGHTS", "find_network_class", "list_shipped", "load_network"]

WEIGHTS = Path(__file__).parents[1] / "weights"
"""Folder of the models that come with gnntrack."""

NETWORKS: Registry[type[nn.Module]] = Registry(
    "network",
    {
        "unet": "segmenters.dense.unet:UNet",
        "fcn": "segmenters.dense.torchvision_networks:Fcn",
        "deeplab": "segmenters.dense.torchvision_networks:DeepLab",
        "maskrcnn": "segmenters.maskrcnn:MaskRcnn",
        "diffusionnet": "segmenters.diffusion.network:DiffusionNet",
    },
    group="gnntrack.segmenter_networks",
    error=ModelError,
)
"""Classes of the segmenters' networks by ``kind``; entry-point group ``gnntrack.segmenter_networks``."""


def find_network_class(kind: str) -> type[nn.Module]:
    """Return the class of a kind of network; its module is imported now.

    Raises
    ------
    ModelError
        If the kind is unknown.
    MissingDependencyError
        If a library that it needs is not installed.
    """
    extra = "diffusionnet" if kind == "diffusionnet" else "segmenters"
    with explain_missing(f"a network of kind '{kind}' needs", None, f"pip install 'gnntrack[{extra}]'"):
        return NETWORKS[kind]


FAMILY = Family("gnntrack segmenter", 1, "gnntrack train-segmenter", find_network_class, {"inputs": dict}, words=True)


def list_shipped(segmenter: str, folder: Path = WEIGHTS) -> list[str]:
    """Return the names of the models that come with gnntrack for a segmenter that has several, such as ``nuclei``.

    Parameters
    ----------
    segmenter : str
        Its name.
    folder : Path, optional
        Folder of the models.

    Examples
    --------
    >>> "nuclei" in list_shipped("unet"), list_shipped("fcn")
    (True, [])
    """
    return sorted(place.name.removeprefix(f"{segmenter}_") for place in folder.glob(f"{segmenter}_*") if place.is_dir())


def load_network(
    segmenter: str, model: str | Path | None, *, device: torch.device | str = "cpu", shipped: Path | None = None
) -> tuple[Any, dict[str, Any]]:
    """Return the network of a segmenter, and the contents of its ``model.json``.

    Parameters
    ----------
    segmenter : str
        Its name, which is the kind of its network.
    model : path or None
        The folder that ``gnntrack train-segmenter`` wrote; None is the model that comes with gnntrack.
    device : device
        Device of the network.
    shipped : Path, optional
        Folder of the model that comes with gnntrack; by default that of the name of the segmenter.

    Raises
    ------
    ModelError
        If the model is missing, damaged, or of another segmenter.
    """
    if model is None:
        place = shipped or WEIGHTS / segmenter
        if not place.is_dir():
            which = f" of {place.name.removeprefix(f'{segmenter}_')}" if list_shipped(segmenter, place.parent) else ""
            msg = (
                f"gnntrack comes without a model{which} for segmenter '{segmenter}'; train one with "
                f"'gnntrack train-segmenter {segmenter} DATA -o MODEL' and give it with --model MODEL "
                "('track' and 'batch': --option model=MODEL)"
            )
            raise ModelError(msg)
    else:
        place = model_folder(model, FAMILY)
    network, about = read_model(place, FAMILY, device=device)
    if about["kind"] != segmenter:
        msg = f"{place}: a model of '{about['kind']}', not of '{segmenter}'; choose --segmenter {about['kind']}"
        raise ModelError(msg)
    return network, about
