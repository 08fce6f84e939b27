"""Weights on disk: a model is a folder of safetensors and JSON. Nothing is ever unpickled, so no file can run code.

A model holds ``weights.safetensors``, and ``model.json``, which says what they are of: the network and its options, the
columns it reads, the checksum of the weights, and how they were trained.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import warnings
from dataclasses import dataclass
from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from gnntrack import __version__
from gnntrack.errors import ModelError
from gnntrack.gnn.checkpoint import CHECKPOINT_FILE, load_checkpoint, save_checkpoint
from gnntrack.gnn.network import Network
from gnntrack.gnn.tensors import (
    PICKLES,
    header_length,
    held_tensors,
    identity,
    listed,
    refuse_broken,
    refuse_other_tensors,
    refuse_pickle,
    refuse_version,
    write_together,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CHECKPOINT_FILE",
    "MODEL_FILE",
    "NETWORKS",
    "SHIPPED",
    "WEIGHTS_FILE",
    "Model",
    "load_checkpoint",
    "load_model",
    "network_class",
    "save_checkpoint",
    "save_model",
    "scorer_class",
]

NETWORKS = {
    "linknet": "gnntrack.gnn.model:LinkNet",
    "pdn": "gnntrack.gnn.pdn:PdnNet",
    "appearance": "gnntrack.gnn.appearance:Embedder",
}
"""Where the class of each kind of network is, for `network_class`."""

_SCORERS = "linknet, pdn"

SHIPPED = ("shipped", "general")
"""Names of the model that comes with gnntrack, where a model is asked for."""

FORMAT, VERSION = "gnntrack model", 1
WEIGHTS_FILE, MODEL_FILE = "weights.safetensors", "model.json"

_LARGEST = 4096  # an option of a network beyond this is no network of ours, and would take the memory


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
    folder = Path(folder).expanduser()
    tensors = held_tensors(network)
    refuse_broken(folder / WEIGHTS_FILE, tensors, "they are not saved")
    weights = safetensors.torch.save(tensors)
    about = {
        "format": FORMAT,
        "version": VERSION,
        **identity(network),
        "temperature": float(temperature),
        "sha256": hashlib.sha256(weights).hexdigest(),
        "gnntrack": __version__,
        "training": dict(training),
    }
    text = json.dumps(about, indent=2, allow_nan=False).encode()
    write_together(folder, {WEIGHTS_FILE: weights, MODEL_FILE: text})


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
    about = _read_about(place / MODEL_FILE)
    network = _empty_network(place / MODEL_FILE, about)
    content = _read_weights(place / WEIGHTS_FILE)
    if hashlib.sha256(content).hexdigest() != about["sha256"]:
        msg = (
            f"{place / WEIGHTS_FILE}: its checksum (sha256) is not the one in {MODEL_FILE}: the file is damaged or "
            "belongs to another model; copy both files anew"
        )
        raise ModelError(msg)
    try:
        tensors = safetensors.torch.load(content)
    except (safetensors.SafetensorError, KeyError) as error:
        msg = f"{place / WEIGHTS_FILE}: no weights could be read ({error}); copy the model anew"
        raise ModelError(msg) from error
    refuse_other_tensors(place / WEIGHTS_FILE, tensors, network.state_dict())
    refuse_broken(place / WEIGHTS_FILE, tensors, "train the model anew")
    network.load_state_dict(tensors, assign=True)
    return Model(network.to(device).eval(), about["kind"], float(about["temperature"]), about["training"], name, place)


def _place(folder: str | Path | None) -> tuple[Path, str]:
    """Return the folder of a model and its name."""
    if folder is None or str(folder) in SHIPPED:
        place = Path(str(resources.files("gnntrack"))) / "weights"
        if not (place / MODEL_FILE).is_file():
            msg = f"{place}: the model that comes with gnntrack is missing; install gnntrack anew, or give a model"
            raise ModelError(msg)
        return place, SHIPPED[0]
    place = Path(folder).expanduser()
    if place.is_file():
        if place.name not in {WEIGHTS_FILE, MODEL_FILE}:
            _refuse_file(place)
        place = place.parent
    if not place.is_dir():
        msg = f"{folder}: there is no such model; give the folder that 'gnntrack train' wrote"
        raise ModelError(msg)
    missing = [name for name in (MODEL_FILE, WEIGHTS_FILE) if not (place / name).is_file()]
    if missing:
        _refuse_incomplete(place, missing)
    return place, place.resolve().name


def _refuse_file(path: Path) -> None:
    with path.open("rb") as file:
        refuse_pickle(path, file.read(8))
    msg = (
        f"{path}: a model is a folder with {MODEL_FILE} and {WEIGHTS_FILE}; give the folder that 'gnntrack train' wrote"
    )
    raise ModelError(msg)


def _refuse_incomplete(place: Path, missing: list[str]) -> None:
    pickles = sorted(file for file in place.iterdir() if file.suffix.lower() in PICKLES)
    if pickles:
        refuse_pickle(pickles[0], b"")
    hint = "give the folder that 'gnntrack train' wrote"
    if (place / CHECKPOINT_FILE).is_file():
        hint = "it holds a training that has no model yet; go on with 'gnntrack train --resume'"
    msg = f"{place}: it is no model, for it has no {' and no '.join(missing)}; {hint}"
    raise ModelError(msg)


def _read_about(path: Path) -> dict[str, Any]:
    """Read and check the JSON of a model."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{path}: it cannot be read as JSON ({error}); copy the model anew"
        raise ModelError(msg) from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        found = about.get("format") if isinstance(about, dict) else about
        msg = f"{path}: its format is {found!r:.60}, expected '{FORMAT}'; give the folder that 'gnntrack train' wrote"
        raise ModelError(msg)
    refuse_version(path, about.get("version"), VERSION, "model", "train it anew")
    kinds = {"kind": str, "options": dict, "columns": dict, "sha256": str, "temperature": float, "training": dict}
    for key, kind in kinds.items():
        value = about.get(key)
        if not isinstance(value, (int, float) if kind is float else kind) or isinstance(value, bool):
            msg = f"{path}: '{key}' is {value!r:.60}, expected a {_WORDS[kind]}; copy the model anew"
            raise ModelError(msg)
    if not (math.isfinite(about["temperature"]) and about["temperature"] > 0):
        msg = f"{path}: 'temperature' is {about['temperature']}, expected a positive number; copy the model anew"
        raise ModelError(msg)
    return about


_WORDS = {str: "text", dict: "table", float: "number"}


def _empty_network(path: Path, about: dict[str, Any]) -> nn.Module:
    """Return a network without memory for its weights, so that no option can ask for too much of it."""
    try:
        kind = network_class(about["kind"])
    except ModelError as error:
        msg = f"{path}: {error}"
        raise ModelError(msg) from None
    options = {key: tuple(v) if isinstance(v, list) else v for key, v in about["options"].items()}
    for key, value in options.items():
        for number in value if isinstance(value, tuple) else (value,):
            if not isinstance(number, (int, float)) or not 0 <= number <= _LARGEST:
                msg = f"{path}: option '{key}' is {value!r:.60}, expected numbers from 0 to {_LARGEST}"
                raise ModelError(msg)
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch makes of odd options does not matter: the tensors will not fit
            network = kind(**options)
    except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError) as error:
        msg = f"{path}: its options are none of '{about['kind']}' in this gnntrack: {error}"
        raise ModelError(msg) from error
    _refuse_other_columns(path, about["columns"], identity(network)["columns"])
    return network


def _refuse_other_columns(path: Path, wanted: dict[str, Any], known: dict[str, list[str]]) -> None:
    if wanted == known:
        return
    reasons = []
    for block in {**known, **wanted}:
        asked, here = wanted.get(block, []), known.get(block, [])
        if asked == here:
            continue
        if not isinstance(asked, list) or not all(isinstance(name, str) for name in asked):
            reasons.append(f"the columns of each {block} are no list of names")
            continue
        missing = [name for name in asked if name not in here]
        unknown = [name for name in here if name not in asked]
        reasons += [f"it wants of each {block} {listed(missing)}, which this gnntrack does not make"] if missing else []
        reasons += [f"it does not know of each {block} {listed(unknown)}"] if unknown else []
        reasons += [f"it wants the columns of each {block} in another order"] if not missing and not unknown else []
    msg = (
        f"{path}: the model was trained on other columns: {'; '.join(reasons)}. Use the gnntrack that trained it, or "
        "train it anew"
    )
    raise ModelError(msg)


def _read_weights(path: Path) -> bytes:
    """Read the file whole, once: what is checked is what is used."""
    content = path.read_bytes()
    refuse_pickle(path, content[:8])
    if len(content) < 8 or header_length(content) > len(content) - 8:
        msg = f"{path}: it ends after {len(content)} bytes, before the weights: it is cut off; copy the model anew"
        raise ModelError(msg)
    return content
