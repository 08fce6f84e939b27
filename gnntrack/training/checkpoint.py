"""Checkpoints of a training: one file, replaced as a whole, so that a good one exists at any time.

The format is safetensors with JSON in its header; nothing is ever unpickled.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
import safetensors.torch
import torch

from gnntrack import __version__
from gnntrack.errors import ModelError
from gnntrack.json_files import parse_json
from gnntrack.models.files import CHECKPOINT_FILE
from gnntrack.models.tensors import (
    copy_tensors,
    describe_network,
    read_header_length,
    refuse_other_tensors,
    refuse_pickle,
    refuse_version,
    write_together,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

__all__ = ["load_checkpoint", "save_checkpoint"]

FORMAT, VERSION = "gnntrack checkpoint", 1


def save_checkpoint(
    folder: str | Path,
    *,
    network: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: Mapping[str, Any],
) -> None:
    """Write everything that a training needs to continue as if it had never stopped, and replace an older checkpoint.

    The state of torch's random numbers is included; that of numpy's generators is plain JSON
    (``generator.bit_generator.state``) and belongs to `state`.

    Parameters
    ----------
    folder : path
        Folder of ``checkpoint.safetensors``; made if it does not exist.
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
    tensors = {f"network.{name}": tensor for name, tensor in copy_tensors(network).items()}
    tensors |= {f"average.{name}": tensor for name, tensor in copy_tensors(average).items()}
    moments, numbers = _split_moments(optimizer)
    tensors |= moments
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors |= {f"random.cuda.{i}": value for i, value in enumerate(torch.cuda.get_rng_state_all())}
    about = {
        "format": FORMAT,
        "version": VERSION,
        **describe_network(network),
        "gnntrack": __version__,
        "optimizer": {"groups": optimizer.state_dict()["param_groups"], "numbers": numbers},
        "state": dict(state),
    }
    # JSON in the header: two files would not match for a moment
    content = safetensors.torch.save(tensors, metadata={"checkpoint": json.dumps(about)})
    write_together(Path(folder).expanduser(), {CHECKPOINT_FILE: content})


def _split_moments(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, dict[str, Any]]]:
    """Return the state of an optimizer as tensors by name, and as plain numbers by row."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, dict[str, Any]] = {}
    for row, values in optimizer.state_dict()["state"].items():
        for key, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimizer.{row}.{key}"] = value.detach().to("cpu", copy=True).contiguous()
            else:
                numbers.setdefault(str(row), {})[key] = value
    return tensors, numbers


def load_checkpoint(
    folder: str | Path, *, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """Restore a training from its checkpoint, including torch's random numbers.

    Nothing is changed if the checkpoint does not fit.

    Parameters
    ----------
    folder : path
        Folder of ``checkpoint.safetensors``, or that file.
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
        If the checkpoint is missing, damaged, or of another network.
    """
    path, content = _read_checkpoint(folder)
    about, tensors = _parse_checkpoint(path, content)
    _refuse_other_training(path, about, describe_network(network))
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimizer": {}, "random": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    for part, module in (("network", network), ("average", average)):
        refuse_other_tensors(path, parts[part], module.state_dict())
    moments = _read_moments(path, about, parts["optimizer"])
    numbers = parts["random"].get("cpu")
    if numbers is None or numbers.dtype != torch.uint8 or numbers.shape != torch.get_rng_state().shape:
        msg = f"{path}: it lacks the state of the random numbers; start again without resuming"
        raise ModelError(msg)
    try:
        optimizer.load_state_dict(moments)
    except (ValueError, KeyError) as error:
        msg = f"{path}: a training with another optimizer ({error}); start again without resuming"
        raise ModelError(msg) from error
    network.load_state_dict(parts["network"])
    average.load_state_dict(parts["average"])
    _restore_random(parts["random"])
    state: dict[str, Any] = about["state"]
    return state


def read_checkpoint(folder: str | Path) -> dict[str, Any]:
    """Return ``kind`` and ``options`` of the network, and ``state``, from a checkpoint.

    Raises
    ------
    ModelError
        If the checkpoint is missing or damaged.
    """
    return _parse_checkpoint(*_read_checkpoint(folder))[0]


def _read_checkpoint(folder: str | Path) -> tuple[Path, bytes]:
    path = Path(folder).expanduser()
    path = path if path.name == CHECKPOINT_FILE else path / CHECKPOINT_FILE
    try:
        return path, path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        msg = f"{path}: no checkpoint to resume from; start without resuming"
        raise ModelError(msg) from error


def _parse_checkpoint(path: Path, content: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the JSON and the tensors of a checkpoint."""
    refuse_pickle(path, content[:8])
    try:
        tensors = safetensors.torch.load(content)
        header = parse_json(content[8 : 8 + read_header_length(content)])
        about = parse_json(header["__metadata__"]["checkpoint"])
    except (safetensors.SafetensorError, ValueError, LookupError, TypeError) as error:
        msg = f"{path}: no checkpoint could be read ({error}); start without resuming"
        raise ModelError(msg) from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        msg = f"{path}: not a checkpoint of gnntrack; start without resuming"
        raise ModelError(msg)
    refuse_version(path, about.get("version"), VERSION, "checkpoint", "start without resuming")
    kinds = {"kind": str, "options": dict, "columns": dict, "state": dict, "optimizer": dict}
    if not all(isinstance(about.get(key), kind) for key, kind in kinds.items()):
        msg = f"{path}: it lacks the state of the training; start without resuming"
        raise ModelError(msg)
    notes = about["state"].get("notes")
    if notes is not None and not (isinstance(notes, dict) and isinstance(notes.get("start", {}), dict)):
        msg = f"{path}: its notes are {notes!r:.60}; start without resuming"
        raise ModelError(msg)
    return about, tensors


def _refuse_other_training(path: Path, about: dict[str, Any], wanted: dict[str, Any]) -> None:
    for key, value in wanted.items():
        if about.get(key) != value:
            msg = (
                f"{path}: a training with other {key}: {about.get(key)!r:.200}, now {value!r:.200}; "
                "resume with the settings of its start, or start again without resuming"
            )
            raise ModelError(msg)


def _read_moments(path: Path, about: dict[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the optimizer's state in the format of its ``load_state_dict``."""
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


def _restore_random(states: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for i in range(devices):
        if f"cuda.{i}" in states:
            torch.cuda.set_rng_state(states[f"cuda.{i}"], i)
