"""Tensors on disk, checked before use; shared by models and checkpoints."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnntrack import __version__
from gnntrack.errors import ModelError, OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

__all__ = [
    "PARTIAL",
    "PICKLES",
    "copy_tensors",
    "describe_network",
    "quote_names",
    "read_header_length",
    "refuse_broken",
    "refuse_other_tensors",
    "refuse_pickle",
    "refuse_version",
    "write_together",
]

PARTIAL = ".partial-"
"""Start of the names of files that are being written; a killed process leaves them."""

PICKLES = frozenset({".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".pyt", ".joblib"})
"""Suffixes of pickles, which are refused."""
_LISTED = 4  # largest number of names in a message


# --- networks --------------------------------------------------------------------------------------------------------


def describe_network(network: nn.Module) -> dict[str, Any]:
    """Return kind, options and columns of a network, which its stored weights must match."""
    columns: Mapping[str, Sequence[str]] = getattr(network, "columns", {})
    return {
        "kind": network.kind,
        "options": _to_json_values(network.options),
        "columns": {block: list(names) for block, names in columns.items()},
    }


def _to_json_values(options: Any) -> dict[str, Any]:
    """Return options as they are after writing and reading JSON: tuples become lists."""
    plain: dict[str, Any] = json.loads(json.dumps(options))
    return plain


def copy_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Return copies of a network's tensors on the CPU; none shares memory with another."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in network.state_dict().items()}


# --- refusals --------------------------------------------------------------------------------------------------------


def refuse_pickle(path: Path, start: bytes) -> None:
    """Refuse files of torch.save, pickle and joblib, by their suffix or their first bytes."""
    # a ZIP archive, or protocols 2 to 5 of pickle; safetensors begins with a length instead
    written = start.startswith(b"PK\x03\x04") or (
        start[:1] == b"\x80" and start[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}
    )
    if path.suffix.lower() in PICKLES or (written and read_header_length(start) > path.stat().st_size):
        msg = (
            f"{path}: it is a pickle or an archive of one, which could run any code, so it was not opened; "
            f"give a model in safetensors, which is the folder that gnntrack wrote when it trained"
        )
        raise ModelError(msg)


def read_header_length(start: bytes) -> int:
    """Return the length of the JSON that follows the first eight bytes of a safetensors file."""
    return int.from_bytes(start[:8], "little")


def refuse_version(path: Path, found: object, known: int, what: str, older: str) -> None:
    """Refuse another version than the known one, with advice for a newer and for an older one."""
    if found == known and not isinstance(found, bool):
        return
    newer = isinstance(found, int) and found > known
    hint = "update gnntrack" if newer else older
    msg = f"{path}: a {what} of version {found!r:.20}, this gnntrack {__version__} reads version {known}; {hint}"
    raise ModelError(msg)


def refuse_other_tensors(path: Path, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Refuse tensors that differ from those of the network in names, shapes or types."""
    missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    reasons = [f"it lacks {quote_names(missing)}"] if missing else []
    reasons += [f"it has {quote_names(extra)}, which the network does not"] if extra else []
    for name in sorted(wanted.keys() & found.keys()):
        here, there = found[name], wanted[name]
        if here.shape != there.shape:
            reasons.append(f"'{name}' has shape {tuple(here.shape)}, expected {tuple(there.shape)}")
        elif here.dtype != there.dtype:
            reasons.append(f"'{name}' is {here.dtype}, expected {there.dtype}")
    if reasons:
        more = f"; and {len(reasons) - _LISTED} more" if len(reasons) > _LISTED else ""
        msg = (
            f"{path}: it does not fit the network: {'; '.join(reasons[:_LISTED])}{more}. "
            "Use the gnntrack that wrote it, or train again"
        )
        raise ModelError(msg)


def refuse_broken(path: Path, tensors: Mapping[str, Tensor], hint: str) -> None:
    """Refuse tensors with a number that is not finite."""
    import torch  # slow to import; a model of links is read without it

    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        msg = f"{path}: weights are NaN or infinite, in {quote_names(broken)}; {hint}"
        raise ModelError(msg)


def quote_names(names: Sequence[str]) -> str:
    """Return the first names, quoted, and the number of the others."""
    shown = ", ".join(f"'{name}'" for name in names[:_LISTED])
    return shown + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


# --- files -----------------------------------------------------------------------------------------------------------


def write_together(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files under temporary names, then rename all of them, one right after the other."""
    mark = secrets.token_hex(4)
    aside = {name: folder / f"{PARTIAL}{mark}-{name}" for name in contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            with aside[name].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # a power failure must not leave an empty file in the place of a good one
        _move_all(folder, list(aside.items()))
    except OSError as error:
        msg = f"{folder}: it cannot be written ({error.strerror or error}); its former files are unchanged"
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
        # also if Ctrl-C comes just after the first file was moved: the others belong to it
        if rest and not place.exists():
            _move_all(folder, rest)
