"""Models that score links, and those of the cells' appearance: a family of `gnntrack.models.files`."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from gnntrack.errors import ModelError
from gnntrack.gnn.network import Network
from gnntrack.models.files import MODEL_FILE, Family, model_folder, read_model, write_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

__all__ = [
    "NETWORKS",
    "SHIPPED",
    "Model",
    "load_model",
    "network_class",
    "save_model",
    "scorer_class",
]

NETWORKS = {
    "linknet": "gnntrack.gnn.linknet:LinkNet",
    "pdn": "gnntrack.gnn.pdn:PdnNet",
    "appearance": "gnntrack.gnn.appearance:Embedder",
}
"""Where the class of each kind of network is, for `network_class`."""

_SCORERS = "linknet, pdn"

SHIPPED = ("shipped", "general")
"""Names of the model that comes with gnntrack, where a model is asked for."""


@dataclass(frozen=True)
class Model:
    """A trained network, ready for use.

    Parameters
    ----------
    network : nn.Module
        In eval mode.
    kind : str
        Its key in `NETWORKS`.
    temperature : float
        By which log odds are divided, so that probabilities are calibrated.
    training : dict
        What it was trained on and how well: data, settings, scores.
    name : str
        The name of its folder, or ``shipped``.
    folder : Path
        Where it is; its ``appearance``, if it has one, is a folder there.
    """

    network: nn.Module
    kind: str
    temperature: float
    training: dict[str, Any]
    name: str
    folder: Path

    @property
    def scorer(self) -> Network:
        """The network, if it is one that scores links.

        Raises
        ------
        ModelError
            If it is of another kind.
        """
        if not isinstance(self.network, Network):
            msg = f"the model '{self.name}' is of kind '{self.kind}', which scores no links; there are: {_SCORERS}"
            raise ModelError(msg)
        return self.network


def scorer_class(kind: str) -> type[Network]:
    """Return the class of a kind of network that scores links, imported only now.

    Raises
    ------
    ModelError
        If there is no such kind.
    """
    found = network_class(kind)
    if not issubclass(found, Network):
        msg = f"a network of kind '{kind}' scores no links; there are: {_SCORERS}"
        raise ModelError(msg)
    return found


def network_class(kind: str) -> type[nn.Module]:
    """Return the class of a kind of network, imported only now.

    Raises
    ------
    ModelError
        If there is no such kind; it names the nearest.
    """
    if kind not in NETWORKS:
        near = difflib.get_close_matches(str(kind), NETWORKS, 1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(NETWORKS)}"
        msg = f"there is no network '{kind}'; {hint}"
        raise ModelError(msg)
    module, _, name = NETWORKS[kind].partition(":")
    found: type[nn.Module] = getattr(import_module(module), name)
    return found


# --- models ----------------------------------------------------------------------------------------------------------


FAMILY = Family("gnntrack model", 1, "gnntrack train", network_class, {"temperature": float})


def save_model(
    folder: str | Path, network: nn.Module, *, temperature: float = 1.0, training: Mapping[str, Any]
) -> None:
    """Write a model to a folder, over the model that may be there; other files in the folder stay.

    Parameters
    ----------
    folder : path
        It is made where there is none.
    network : nn.Module
        Of one of the `NETWORKS`, on any device.
    temperature : float
        By which its log odds are divided.
    training : dict
        What it was trained on and how well, as plain JSON values.

    Raises
    ------
    ModelError
        If a number among the weights is not finite.
    OutputError
        If the folder cannot be written.
    """
    write_model(folder, network, FAMILY, training=training, temperature=float(temperature))


def load_model(folder: str | Path | None = None, *, device: torch.device | str = "cpu") -> Model:
    """Read a model. Whatever the files hold, they are only read: nothing in them is executed.

    Parameters
    ----------
    folder : path, optional
        A model's folder, or a file in it; ``None``, ``"shipped"`` or ``"general"`` is the model that comes with
        gnntrack.
    device : torch.device or str
        Where the network shall be.

    Raises
    ------
    ModelError
        If there is no model, it is damaged or a pickle, or it is not of this gnntrack: another version, another
        network, other columns.
    """
    place, name = _place(folder)
    network, about = read_model(place, FAMILY, device=device)
    temperature = float(about["temperature"])
    if not (math.isfinite(temperature) and temperature > 0):
        msg = f"{place / MODEL_FILE}: 'temperature' is {temperature}, expected a positive number; copy the model anew"
        raise ModelError(msg)
    return Model(network, about["kind"], temperature, about["training"], name, place)


def _place(folder: str | Path | None) -> tuple[Path, str]:
    """Return the folder of a model and its name."""
    if folder is None or str(folder) in SHIPPED:
        place = Path(str(resources.files("gnntrack"))) / "weights"
        if not (place / MODEL_FILE).is_file():
            msg = f"{place}: the model that comes with gnntrack is missing; install gnntrack anew, or give a model"
            raise ModelError(msg)
        return place, SHIPPED[0]
    place = model_folder(folder, FAMILY)
    return place, place.resolve().name
