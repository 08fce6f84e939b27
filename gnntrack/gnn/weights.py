"""Weights on disk: a model is a folder of safetensors and JSON. Nothing is ever unpickled, so no file can run code.

A model holds ``weights.safetensors``, and ``model.json``, which says what they are of: the network and its options, the
columns it reads, the checksum of the weights, and how they were trained. A checkpoint of a training is one file,
``checkpoint.safetensors``, which is replaced as a whole: there is a good one at any time.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import secrets
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from gnntrack import __version__
from gnntrack.errors import ModelError, OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

__all__ = [
    "CHECKPOINT",
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
]

NETWORKS = {
    "linknet": "gnntrack.gnn.model:LinkNet",
    "pdn": "gnntrack.gnn.pdn:PdnNet",
    "appearance": "gnntrack.gnn.appearance:Embedder",
}
"""Where the class of each kind of network is, for `network_class`."""

SHIPPED = ("shipped", "general")
"""Names of the model that comes with gnntrack, where a model is asked for."""

FORMAT, VERSION = "gnntrack model", 1
CHECKPOINT, CHECKPOINT_VERSION = "gnntrack checkpoint", 1
WEIGHTS_FILE, MODEL_FILE, CHECKPOINT_FILE = "weights.safetensors", "model.json", "checkpoint.safetensors"

_PICKLES = frozenset({".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".pyt", ".joblib"})
_LARGEST = 4096  # an option of a network beyond this is no network of ours, and would take the memory
_LISTED = 4  # names that a message lists


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
    """

    network: nn.Module
    kind: str
    temperature: float
    training: dict[str, Any]
    name: str


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
    tensors = _held(network)
    _refuse_broken(folder / WEIGHTS_FILE, tensors, "they are not saved")
    weights = safetensors.torch.save(tensors)
    about = {
        "format": FORMAT,
        "version": VERSION,
        **_identity(network),
        "temperature": float(temperature),
        "sha256": hashlib.sha256(weights).hexdigest(),
        "gnntrack": __version__,
        "training": dict(training),
    }
    text = json.dumps(about, indent=2, allow_nan=False).encode()
    _write_together(folder, {WEIGHTS_FILE: weights, MODEL_FILE: text})


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
    _refuse_other_tensors(place / WEIGHTS_FILE, tensors, network.state_dict())
    _refuse_broken(place / WEIGHTS_FILE, tensors, "train the model anew")
    network.load_state_dict(tensors, assign=True)
    return Model(network.to(device).eval(), about["kind"], float(about["temperature"]), about["training"], name)


def _identity(network: nn.Module) -> dict[str, Any]:
    """Return what tells which weights fit a network."""
    columns: Mapping[str, Sequence[str]] = getattr(network, "columns", {})
    return {
        "kind": network.kind,
        "options": _plain(network.options),
        "columns": {block: list(names) for block, names in columns.items()},
    }


def _plain(options: Any) -> dict[str, Any]:
    """Return options as JSON gives them back."""
    plain: dict[str, Any] = json.loads(json.dumps(options))
    return plain


def _held(network: nn.Module) -> dict[str, Tensor]:
    """Return a network's tensors on the CPU, as copies of their own: none shares memory with another."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in network.state_dict().items()}


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
        _refuse_pickle(path, file.read(8))
    msg = (
        f"{path}: a model is a folder with {MODEL_FILE} and {WEIGHTS_FILE}; give the folder that 'gnntrack train' wrote"
    )
    raise ModelError(msg)


def _refuse_incomplete(place: Path, missing: list[str]) -> None:
    pickles = sorted(file for file in place.iterdir() if file.suffix.lower() in _PICKLES)
    if pickles:
        _refuse_pickle(pickles[0], b"")
    hint = "give the folder that 'gnntrack train' wrote"
    if (place / CHECKPOINT_FILE).is_file():
        hint = "it holds a training that has no model yet; go on with 'gnntrack train --resume'"
    msg = f"{place}: it is no model, for it has no {' and no '.join(missing)}; {hint}"
    raise ModelError(msg)


def _refuse_pickle(path: Path, start: bytes) -> None:
    """Refuse what torch.save, pickle and joblib write, by its name or its first bytes."""
    # a ZIP archive, and protocols 2 to 5 of pickle, none of which safetensors begins with: it begins with a length
    written = start.startswith(b"PK\x03\x04") or (
        start[:1] == b"\x80" and start[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}
    )
    if path.suffix.lower() in _PICKLES or (written and _header_length(start) > path.stat().st_size):
        msg = (
            f"{path}: it is a pickle or an archive of one, which could run any code, so it was not opened; "
            f"give a model of safetensors, the folder that 'gnntrack train' wrote"
        )
        raise ModelError(msg)


def _header_length(start: bytes) -> int:
    return int.from_bytes(start[:8], "little")


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
    _refuse_version(path, about.get("version"), VERSION, "model", "train it anew")
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


def _refuse_version(path: Path, found: object, known: int, what: str, older: str) -> None:
    if found == known and not isinstance(found, bool):
        return
    newer = isinstance(found, int) and found > known
    hint = "update gnntrack" if newer else older
    msg = f"{path}: it is a {what} of version {found!r:.20}, this gnntrack {__version__} reads version {known}; {hint}"
    raise ModelError(msg)


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
        with torch.device("meta"):
            network = kind(**options)
    except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError) as error:
        msg = f"{path}: its options are none of '{about['kind']}' in this gnntrack: {error}"
        raise ModelError(msg) from error
    _refuse_other_columns(path, about["columns"], _identity(network)["columns"])
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
        reasons += (
            [f"it wants of each {block} {_listed(missing)}, which this gnntrack does not make"] if missing else []
        )
        reasons += [f"it does not know of each {block} {_listed(unknown)}"] if unknown else []
        reasons += [f"it wants the columns of each {block} in another order"] if not missing and not unknown else []
    msg = (
        f"{path}: the model was trained on other columns: {'; '.join(reasons)}. Use the gnntrack that trained it, or "
        "train it anew"
    )
    raise ModelError(msg)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_LISTED])
    return shown + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _read_weights(path: Path) -> bytes:
    """Read the file whole, once: what is checked is what is used."""
    content = path.read_bytes()
    _refuse_pickle(path, content[:8])
    if len(content) < 8 or _header_length(content) > len(content) - 8:
        msg = f"{path}: it ends after {len(content)} bytes, before the weights: it is cut off; copy the model anew"
        raise ModelError(msg)
    return content


def _refuse_other_tensors(path: Path, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Refuse tensors that are not those of the network: by name, by shape, by type."""
    missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    reasons = [f"it lacks {_listed(missing)}"] if missing else []
    reasons += [f"it has {_listed(extra)}, which the network does not"] if extra else []
    for name in sorted(wanted.keys() & found.keys()):
        here, there = found[name], wanted[name]
        if here.shape != there.shape:
            reasons.append(f"'{name}' has shape {tuple(here.shape)}, expected {tuple(there.shape)}")
        elif here.dtype != there.dtype:
            reasons.append(f"'{name}' is {here.dtype}, expected {there.dtype}")
    if reasons:
        more = f"; and {len(reasons) - _LISTED} more" if len(reasons) > _LISTED else ""
        msg = f"{path}: it does not fit the network: {'; '.join(reasons[:_LISTED])}{more}; copy the model anew"
        raise ModelError(msg)


def _refuse_broken(path: Path, tensors: Mapping[str, Tensor], hint: str) -> None:
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        msg = f"{path}: weights that are no finite numbers, in {_listed(broken)}; {hint}"
        raise ModelError(msg)


# --- checkpoints -----------------------------------------------------------------------------------------------------


def save_checkpoint(
    folder: str | Path,
    *,
    network: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: Mapping[str, Any],
) -> None:
    """Write all that a training needs to go on as if it had never stopped, over the checkpoint that may be there.

    The state of torch's random numbers goes with it; that of numpy's generators is plain JSON already
    (``generator.bit_generator.state``) and belongs to `state`.

    Parameters
    ----------
    folder : path
        Where ``checkpoint.safetensors`` shall be; it is made where there is none.
    network, average : nn.Module
        The network in training, and the running average of its weights.
    optimizer : torch.optim.Optimizer
        Of the network's parameters.
    state : dict
        Step, best score and so on: plain JSON values.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    moments = optimizer.state_dict()
    tensors = {f"network.{name}": tensor for name, tensor in _held(network).items()}
    tensors |= {f"average.{name}": tensor for name, tensor in _held(average).items()}
    numbers: dict[str, dict[str, Any]] = {}
    for row, values in moments["state"].items():
        for key, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimizer.{row}.{key}"] = value.detach().to("cpu", copy=True).contiguous()
            else:
                numbers.setdefault(str(row), {})[key] = value
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors |= {f"random.cuda.{i}": value for i, value in enumerate(torch.cuda.get_rng_state_all())}
    about = {
        "format": CHECKPOINT,
        "version": CHECKPOINT_VERSION,
        **_identity(network),
        "gnntrack": __version__,
        "optimizer": {"groups": moments["param_groups"], "numbers": numbers},
        "state": dict(state),
    }
    # JSON in the header: with one file there is no moment at which two do not fit each other
    content = safetensors.torch.save(tensors, metadata={"checkpoint": json.dumps(about)})
    _write_together(Path(folder).expanduser(), {CHECKPOINT_FILE: content})


def load_checkpoint(
    folder: str | Path, *, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """Put a training back to where its checkpoint was saved, torch's random numbers too.

    Nothing is changed unless the checkpoint fits.

    Parameters
    ----------
    folder : path
        Where ``checkpoint.safetensors`` is, or that file.
    network, average : nn.Module
        Networks made with the options of the saved ones, on any device.
    optimizer : torch.optim.Optimizer
        Of the network's parameters, in the same groups.

    Returns
    -------
    dict
        The state that was saved.

    Raises
    ------
    ModelError
        If there is no checkpoint, it is damaged, or it is of another network.
    """
    path, content = _read_checkpoint(folder)
    about, tensors = _parse_checkpoint(path, content)
    _refuse_other_training(path, about, _identity(network))
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimizer": {}, "random": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    for part, module in (("network", network), ("average", average)):
        _refuse_other_tensors(path, parts[part], module.state_dict())
    moments = _moments(path, about, parts["optimizer"])
    try:
        optimizer.load_state_dict(moments)
    except (ValueError, KeyError) as error:
        msg = f"{path}: it is of a training with another optimizer ({error}); start anew, without resuming"
        raise ModelError(msg) from error
    network.load_state_dict(parts["network"])
    average.load_state_dict(parts["average"])
    _restore_random(path, parts["random"])
    state: dict[str, Any] = about["state"]
    return state


def _read_checkpoint(folder: str | Path) -> tuple[Path, bytes]:
    path = Path(folder).expanduser()
    path = path if path.name == CHECKPOINT_FILE else path / CHECKPOINT_FILE
    try:
        return path, path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        msg = f"{path}: there is no checkpoint to go on from; start without resuming"
        raise ModelError(msg) from error


def _parse_checkpoint(path: Path, content: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the JSON and the tensors of a checkpoint."""
    _refuse_pickle(path, content[:8])
    try:
        tensors = safetensors.torch.load(content)
        header = json.loads(content[8 : 8 + _header_length(content)])
        about = json.loads(header["__metadata__"]["checkpoint"])
    except (safetensors.SafetensorError, ValueError, LookupError, TypeError, RecursionError) as error:
        msg = f"{path}: no checkpoint could be read ({error}); start without resuming"
        raise ModelError(msg) from error
    if not isinstance(about, dict) or about.get("format") != CHECKPOINT:
        msg = f"{path}: it is no checkpoint of gnntrack; start without resuming"
        raise ModelError(msg)
    _refuse_version(path, about.get("version"), CHECKPOINT_VERSION, "checkpoint", "start without resuming")
    if not isinstance(about.get("state"), dict) or not isinstance(about.get("optimizer"), dict):
        msg = f"{path}: it lacks the state of the training; start without resuming"
        raise ModelError(msg)
    return about, tensors


def _refuse_other_training(path: Path, about: dict[str, Any], wanted: dict[str, Any]) -> None:
    for key, value in wanted.items():
        if about.get(key) != value:
            msg = (
                f"{path}: it is of a training with other {key}: {about.get(key)!r:.200}, now {value!r:.200}; "
                "resume with the settings it was begun with, or start anew"
            )
            raise ModelError(msg)


def _moments(path: Path, about: dict[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the optimizer's state as its ``load_state_dict`` takes it."""
    state: dict[int, dict[str, Any]] = {}
    try:
        for name, tensor in tensors.items():
            row, _, key = name.partition(".")
            state.setdefault(int(row), {})[key] = tensor
        for row, values in about["optimizer"]["numbers"].items():
            state.setdefault(int(row), {}).update(values)
        groups = [
            {
                key: tuple(value) if isinstance(value, list) and key != "params" else value
                for key, value in group.items()
            }
            for group in about["optimizer"]["groups"]
        ]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        msg = f"{path}: the optimizer's state cannot be read ({error}); start without resuming"
        raise ModelError(msg) from error
    return {"state": state, "param_groups": groups}


def _restore_random(path: Path, states: Mapping[str, Tensor]) -> None:
    if "cpu" not in states:
        msg = f"{path}: it lacks the state of the random numbers; start without resuming"
        raise ModelError(msg)
    torch.set_rng_state(states["cpu"])
    devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for i in range(devices):
        if f"cuda.{i}" in states:
            torch.cuda.set_rng_state(states[f"cuda.{i}"], i)


# --- files -----------------------------------------------------------------------------------------------------------


def _write_together(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files aside, then put all of them in their places, one right after the other."""
    mark = secrets.token_hex(4)
    aside = {name: folder / f".partial-{mark}-{name}" for name in contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            aside[name].write_bytes(content)
        _move_all(folder, list(aside.items()))
    except OSError as error:
        msg = f"{folder}: it cannot be written ({error.strerror or error}); what was there stays"
        raise OutputError(msg) from error
    finally:
        for place in aside.values():
            with suppress(NotADirectoryError):
                place.unlink(missing_ok=True)


def _move_all(folder: Path, files: list[tuple[str, Path]]) -> None:
    (name, place), *rest = files
    try:
        place.replace(folder / name)
    finally:
        # also where Ctrl-C came just after the first file was moved: the others belong to it
        if rest and not place.exists():
            _move_all(folder, rest)
