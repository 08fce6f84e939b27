"""Models on disk: a folder of safetensors and JSON. Nothing is ever unpickled, so no file can run code.

A model holds ``weights.safetensors``, and ``model.json`` with the network and its options, the columns that it reads,
the checksum of the weights, and their training. Each family of models has its own name in ``model.json``, so that
models of different families are not confused.

torch takes long to import, so only the functions that make or write a network import it.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnntrack import __version__
from gnntrack.errors import ModelError
from gnntrack.json_files import read_json
from gnntrack.models.tensors import (
    PICKLES,
    copy_tensors,
    describe_network,
    quote_names,
    read_header_length,
    refuse_broken,
    refuse_other_tensors,
    refuse_pickle,
    refuse_version,
    write_together,
)
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch
    from torch import nn

    from gnntrack.types import FeatureArray

__all__ = [
    "CHECKPOINT_FILE",
    "MODEL_FILE",
    "WEIGHTS_FILE",
    "Family",
    "model_folder",
    "read_arrays",
    "read_model",
    "write_model",
]

WEIGHTS_FILE, MODEL_FILE, CHECKPOINT_FILE = "weights.safetensors", "model.json", "checkpoint.safetensors"

_LARGEST = 4096  # largest number as option of a network; a larger one could exhaust the memory
_LONGEST = 64  # largest length of an option that is a word
_WORDS = {str: "text", dict: "table", float: "number"}


@dataclass(frozen=True)
class Family:
    """Format of the models of one family.

    Parameters
    ----------
    format : str
        Name of the format in ``model.json``.
    version : int
        Version of the format that is written and read.
    command : str
        Command that writes such models, for messages: ``gnntrack train``.
    network_class : callable
        From the kind of a network to its class; raises `ModelError` for an unknown one.
    fields : dict
        Further keys of ``model.json`` with their types: `str`, `dict` or `float`.
    words : bool
        Options of its networks may be words, not only numbers.
    """

    format: str
    version: int
    command: str
    network_class: Callable[[str], type[nn.Module]]
    fields: Mapping[str, type] = field(default_factory=dict)
    words: bool = False


def write_model(
    folder: str | Path, network: nn.Module, family: Family, *, training: Mapping[str, Any], **fields: Any
) -> None:
    """Write a model to a folder, and replace the model that may be there; other files in the folder stay.

    Parameters
    ----------
    folder : path
        Made if it does not exist.
    network : nn.Module
        With ``kind`` and ``options``, on any device.
    family : Family
        Format of the model.
    training : dict
        Data, settings and scores of its training, as plain JSON values.
    **fields
        The family's further keys.

    Raises
    ------
    ModelError
        If a number among the weights is not finite.
    OutputError
        If the folder cannot be written.
    """
    import safetensors.torch

    folder = Path(folder).expanduser()
    tensors = copy_tensors(network)
    refuse_broken(folder / WEIGHTS_FILE, tensors, "they are not saved")
    weights = safetensors.torch.save(tensors)
    about = {
        "format": family.format,
        "version": family.version,
        **describe_network(network),
        **fields,
        "sha256": hashlib.sha256(weights).hexdigest(),
        "gnntrack": __version__,
        "training": dict(training),
    }
    text = json.dumps(about, indent=2, allow_nan=False).encode()
    write_together(folder, {WEIGHTS_FILE: weights, MODEL_FILE: text})


def read_model(place: Path, family: Family, *, device: torch.device | str = "cpu") -> tuple[nn.Module, dict[str, Any]]:
    """Read a model. Nothing in its files is executed.

    Parameters
    ----------
    place : Path
        A model's folder, see `model_folder`.
    family : Family
        Format that the model must have.
    device : torch.device or str
        Device of the network.

    Returns
    -------
    network : nn.Module
        In eval mode.
    about : dict
        Contents of ``model.json``.

    Raises
    ------
    ModelError
        If the model is damaged or a pickle, or does not fit this gnntrack: another version, another network, other
        columns.
    """
    import safetensors.torch

    about = _read_about(place / MODEL_FILE, family)
    network = _make_empty_network(place / MODEL_FILE, about, family)
    content = _read_weights(place / WEIGHTS_FILE, about["sha256"])
    try:
        tensors = safetensors.torch.load(content)
    except (safetensors.SafetensorError, KeyError) as error:
        msg = f"{place / WEIGHTS_FILE}: no weights could be read ({error}); copy the model again"
        raise ModelError(msg) from error
    refuse_other_tensors(place / WEIGHTS_FILE, tensors, network.state_dict())
    refuse_broken(place / WEIGHTS_FILE, tensors, "train the model again")
    network.load_state_dict(tensors, assign=True)
    return network.to(device).eval(), about


def read_arrays(place: Path, family: Family) -> tuple[dict[str, FeatureArray], dict[str, Any]] | None:
    """Read the weights of a model as arrays, without torch.

    Parameters
    ----------
    place, family
        As of `read_model`.

    Returns
    -------
    tensors : dict of arrays
        By their names.
    about : dict
        Contents of ``model.json``. Instead of both None, if the weights are not arrays of NumPy; `read_model` has the
        reason.

    Raises
    ------
    ModelError
        If a file is damaged or a pickle, or of another version.
    """
    import safetensors.numpy

    about = _read_about(place / MODEL_FILE, family)
    content = _read_weights(place / WEIGHTS_FILE, about["sha256"])
    try:
        return safetensors.numpy.load(content), about
    except (safetensors.SafetensorError, KeyError):
        return None


def model_folder(folder: str | Path, family: Family) -> Path:
    """Return the folder of a model, given the folder or a file in it.

    Raises
    ------
    ModelError
        If the folder is not a model.
    """
    place = Path(folder).expanduser()
    if place.is_file():
        if place.name not in {WEIGHTS_FILE, MODEL_FILE}:
            _refuse_file(place, family)
        place = place.parent
    if not place.is_dir():
        msg = f"{folder}: no such model; give the folder that '{family.command}' wrote"
        raise ModelError(msg)
    missing = [name for name in (MODEL_FILE, WEIGHTS_FILE) if not (place / name).is_file()]
    if missing:
        _refuse_incomplete(place, missing, family)
    return place


def _refuse_file(path: Path, family: Family) -> None:
    with path.open("rb") as file:
        refuse_pickle(path, file.read(8))
    msg = (
        f"{path}: a model is a folder with {MODEL_FILE} and {WEIGHTS_FILE}; "
        f"give the folder that '{family.command}' wrote"
    )
    raise ModelError(msg)


def _refuse_incomplete(place: Path, missing: list[str], family: Family) -> None:
    pickles = sorted(file for file in place.iterdir() if file.suffix.lower() in PICKLES)
    if pickles:
        refuse_pickle(pickles[0], b"")
    hint = f"give the folder that '{family.command}' wrote"
    if (place / CHECKPOINT_FILE).is_file():
        hint = f"it holds a training without a model yet; continue with '{family.command} --resume'"
    msg = f"{place}: not a model, because it lacks {' and '.join(missing)}; {hint}"
    raise ModelError(msg)


def _read_about(path: Path, family: Family) -> dict[str, Any]:
    """Read and check the JSON of a model."""
    try:
        about = read_json(path)
    except (OSError, ValueError) as error:
        msg = f"{path}: it cannot be read as JSON ({error}); copy the model again"
        raise ModelError(msg) from error
    if not isinstance(about, dict) or about.get("format") != family.format:
        found = about.get("format") if isinstance(about, dict) else about
        msg = (
            f"{path}: its format is {found!r:.60}, expected '{family.format}'; "
            f"give the folder that '{family.command}' wrote"
        )
        raise ModelError(msg)
    refuse_version(path, about.get("version"), family.version, "model", "train it again")
    kinds = {"kind": str, "options": dict, "columns": dict, "sha256": str, **family.fields, "training": dict}
    for key, kind in kinds.items():
        value = about.get(key)
        if not isinstance(value, (int, float) if kind is float else kind) or isinstance(value, bool):
            msg = f"{path}: '{key}' is {value!r:.60}, expected a {_WORDS[kind]}; copy the model again"
            raise ModelError(msg)
    return about


def _make_empty_network(path: Path, about: dict[str, Any], family: Family) -> nn.Module:
    """Return a network without memory for its weights, so that large options cannot exhaust the memory."""
    try:
        kind = family.network_class(about["kind"])
    except ModelError as error:
        msg = f"{path}: {error}"
        raise ModelError(msg) from None
    import torch

    options = {key: tuple(v) if isinstance(v, list) else v for key, v in about["options"].items()}
    for key, value in options.items():
        for part in value if isinstance(value, tuple) else (value,):
            _refuse_odd_option(path, key, part, words=family.words)
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd options; the tensors will not fit
            make = getattr(kind, "from_columns", None)  # of networks that can read fewer columns than there are now
            network = kind(**options) if make is None else make(about["columns"], options)
    except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError) as error:
        msg = f"{path}: its options do not fit '{about['kind']}' in this gnntrack: {error}"
        raise ModelError(msg) from error
    _refuse_other_columns(path, about["columns"], describe_network(network)["columns"])
    return network


def _refuse_odd_option(path: Path, key: str, value: Any, *, words: bool) -> None:
    if isinstance(value, (int, float)) and 0 <= value <= _LARGEST:
        return
    if words and isinstance(value, str) and len(value) <= _LONGEST:
        return
    msg = f"{path}: option '{key}' is {value!r:.60}, expected numbers from 0 to {_LARGEST}{' or a word' * words}"
    raise ModelError(msg)


def _refuse_other_columns(path: Path, wanted: dict[str, Any], known: dict[str, list[str]]) -> None:
    if wanted == known:
        return
    reasons = [each for block in {**known, **wanted} for each in _compare_columns(block, wanted, known)]
    msg = (
        f"{path}: the model was trained on other columns: {'; '.join(reasons)}. Use the gnntrack that trained it, or "
        "train it again"
    )
    raise ModelError(msg)


def _compare_columns(block: str, wanted: dict[str, Any], known: dict[str, list[str]]) -> list[str]:
    """Return how the columns that a model reads differ from those of this gnntrack, as parts of a message."""
    asked, here = wanted.get(block, []), known.get(block, [])
    if asked == here:
        return []
    if not isinstance(asked, list) or not all(isinstance(name, str) for name in asked):
        return [f"the columns of each {block} are not a list of names"]
    missing = [name for name in asked if name not in here]
    unknown = [name for name in here if name not in asked]
    reasons = []
    if missing:
        reasons.append(f"it reads {quote_names(missing)} of each {block}, which this gnntrack does not compute")
    if unknown:
        reasons.append(f"it does not read {quote_names(unknown)} of each {block}")
    return reasons or [f"it reads the columns of each {block} in another order"]


def _read_weights(path: Path, sha256: str) -> bytes:
    """Read the whole file once, so that the bytes that are checked are those that are used.

    Raises
    ------
    ModelError
        If it is a pickle, cut off, or has another checksum.
    """
    content = path.read_bytes()
    refuse_pickle(path, content[:8])
    if len(content) < 8 or read_header_length(content) > len(content) - 8:
        msg = f"{path}: cut off after {count_noun(len(content), 'byte')}, before the weights; copy the model again"
        raise ModelError(msg)
    if hashlib.sha256(content).hexdigest() != sha256:
        msg = (
            f"{path}: its checksum (sha256) is not the one in {MODEL_FILE}: the file is damaged or belongs to another "
            "model; copy both files again"
        )
        raise ModelError(msg)
    return content
