"""Models of links and of the cells' appearance on disk: a family of `gnntrack.models.files`.

`load_model` reads a model for torch, `load_for_scoring` without torch where that is possible: importing torch takes
longer than scoring most movies.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnntrack.errors import ModelError
from gnntrack.gnn.array_files import make_array_network
from gnntrack.gnn.array_network import ArrayNetwork
from gnntrack.gnn.networks import NETWORKS, STORED
from gnntrack.gnn.strength import is_rule
from gnntrack.gnn.training_range import are_ranges, is_number
from gnntrack.models.files import MODEL_FILE, Family, model_folder, read_arrays, read_model, write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch
    from torch import nn

    from gnntrack.gnn.network import Network

__all__ = ["FAMILY", "SHIPPED", "Model", "load_for_scoring", "load_model", "save_model"]

SHIPPED = ("shipped", "general")
"""Names of the models that come with gnntrack, one for masks and one for points, for ``--model``."""

_OF_POINTS = "points"  # folder of the shipped model of points, in that of the shipped model of masks


@dataclass(frozen=True)
class Model:
    """A trained network, ready for use.

    Parameters
    ----------
    network : nn.Module or ArrayNetwork
        In eval mode; without torch, an `ArrayNetwork`.
    kind : str
        Its key in `gnntrack.gnn.networks.STORED`.
    temperature : float
        Divisor of the log-odds that makes the probabilities calibrated.
    training : dict
        Data, settings and scores of its training.
    name : str
        The name of its folder, or ``shipped``.
    folder : Path
        Its folder, which holds the folder ``appearance`` if the network uses one.
    """

    network: nn.Module | ArrayNetwork
    kind: str
    temperature: float
    training: dict[str, Any]
    name: str
    folder: Path

    @property
    def scoring_network(self) -> Network | ArrayNetwork:
        """The network, if it is one that scores links.

        Raises
        ------
        ModelError
            If it is of another kind.
        """
        return self.network if isinstance(self.network, ArrayNetwork) else self.link_network

    @property
    def link_network(self) -> Network:
        """The network as a module of torch, if it is one that scores links.

        Raises
        ------
        ModelError
            If it is of another kind.
        """
        from gnntrack.gnn.network import Network

        if not isinstance(self.network, Network):
            msg = (
                f"the model '{self.name}' is of kind '{self.kind}', which does not score links; "
                f"there are: {', '.join(NETWORKS)}"
            )
            raise ModelError(msg)
        return self.network


# --- models ----------------------------------------------------------------------------------------------------------


FAMILY = Family("gnntrack model", 1, "gnntrack train", STORED.__getitem__, {"temperature": float})
"""Format of the models of links and of the cells' appearance."""


def save_model(
    folder: str | Path, network: nn.Module, *, temperature: float = 1.0, training: Mapping[str, Any]
) -> None:
    """Write a model of links or of the cells' appearance, see `gnntrack.models.files.write_model`.

    Parameters
    ----------
    folder, training
        As of `write_model`.
    network : nn.Module
        One of `gnntrack.gnn.networks.STORED`, on any device.
    temperature : float
        Divisor of its log-odds.

    Raises
    ------
    ModelError, OutputError
        As of `write_model`.
    """
    write_model(folder, network, FAMILY, training=training, temperature=float(temperature))


def load_model(folder: str | Path | None = None, *, points: bool = False, device: torch.device | str = "cpu") -> Model:
    """Read a model of links or of the cells' appearance. Nothing in its files is executed.

    Parameters
    ----------
    folder : path, optional
        A model's folder, or a file in it; ``None``, ``"shipped"`` or ``"general"`` is the model that comes with
        gnntrack.
    points : bool
        Of the models that come with gnntrack, the one for points without masks.
    device : torch.device or str
        Device of the network.

    Raises
    ------
    ModelError
        If the model is missing, damaged or a pickle, or does not fit this gnntrack: another version, another
        network, other columns.
    """
    place, name = _place(folder, points=points)
    return _make_model(place, name, *read_model(place, FAMILY, device=device))


def load_for_scoring(folder: str | Path | None = None, *, points: bool = False) -> Model:
    """Read a model to score links on the CPU: without torch if its network is one that is computed without torch.

    Parameters
    ----------
    folder, points
        As of `load_model`.

    Raises
    ------
    ModelError
        As of `load_model`.

    Examples
    --------
    >>> model = load_for_scoring()
    >>> type(model.network).__name__, model.kind, model.scoring_network.hops
    ('ArrayNetwork', 'linknet', 3)
    """
    place, name = _place(folder, points=points)
    found = read_arrays(place, FAMILY)
    network = None if found is None else make_array_network(found[1], found[0])
    if found is None or network is None:
        return load_model(folder, points=points)
    return _make_model(place, name, network, found[1])


def _make_model(place: Path, name: str, network: nn.Module | ArrayNetwork, about: Mapping[str, Any]) -> Model:
    temperature = about["temperature"]
    if not (is_number(temperature) and temperature > 0):
        given = f"{temperature!s:.60}"
        msg = f"{place / MODEL_FILE}: 'temperature' is {given}, expected a positive number; copy the model again"
        raise ModelError(msg)
    _refuse_odd_training(place / MODEL_FILE, about["training"])
    return Model(network, about["kind"], float(temperature), about["training"], name, place)


def _refuse_odd_training(path: Path, training: Mapping[str, Any]) -> None:
    """Refuse a model if what scoring reads of its training is not what `gnntrack.training.links` writes."""
    known: dict[str, tuple[Callable[[Any], bool], str]] = {
        "correction": (is_rule, "a rule for the strength of its correction"),
        "movies": (are_ranges, "the ranges of the statistics of its movies"),
        "stages": (_are_stages, "the settings of the stages before the network"),
    }
    for key, (fits, expected) in known.items():
        if key in training and not fits(training[key]):
            msg = f"{path}: 'training.{key}' is {training[key]!r:.120}, expected {expected}; copy the model again"
            raise ModelError(msg)


def _are_stages(given: Any) -> bool:
    return (
        isinstance(given, dict)
        and all(isinstance(values, dict) for values in given.values())
        and is_number(given.get("graph", {}).get("max_gap", 1), least=1)
    )


def _place(folder: str | Path | None, *, points: bool) -> tuple[Path, str]:
    """Return the folder of a model and its name."""
    if folder is None or str(folder) in SHIPPED:
        place = Path(str(resources.files("gnntrack"))) / "weights"
        place = place / _OF_POINTS if points else place
        if not (place / MODEL_FILE).is_file():
            msg = f"{place}: the model that comes with gnntrack is missing; install gnntrack again, or give a model"
            raise ModelError(msg)
        return place, SHIPPED[0]
    if str(folder) == _OF_POINTS and not Path(_OF_POINTS).exists():
        msg = f"{folder}: no such model; omit it (--model) for the model of points that comes with gnntrack"
        raise ModelError(msg)
    place = model_folder(folder, FAMILY)
    return place, place.resolve().name
