"""Data sets of the Cell Tracking Challenge as a submission reads them: their sequences and the input of each."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gnntrack.errors import InputError

__all__ = ["BENCHMARKS", "SEQUENCES", "Benchmark", "DataSet", "find_dataset", "list_inputs", "parse_script_name"]

Benchmark = Literal["linking", "tracking"]

BENCHMARKS: dict[str, str] = {"linking": "Cell Linking Benchmark", "tracking": "Cell Tracking Benchmark"}
"""Names of the benchmarks of the challenge that have tracks."""

SEQUENCES = ("01", "02")
"""Sequences of every data set of the challenge."""

_NAME = re.compile(r"[A-Za-z0-9][\w+.-]*", re.ASCII)
_SCRIPT = re.compile(rf"({_NAME.pattern})-(\d\d+)\.sh", re.ASCII)


@dataclass(frozen=True)
class DataSet:
    """A data set.

    Parameters
    ----------
    name : str
        Such as ``Fluo-N2DL-HeLa``.
    sequences : strings
        Numbers of its sequences, such as ``01``.
    """

    name: str
    sequences: tuple[str, ...]


def list_inputs(sequence: str, benchmark: Benchmark) -> list[str]:
    """Return the folders that the script of a sequence reads, relative to the data set.

    >>> list_inputs("01", "linking"), list_inputs("02", "tracking")
    (['01', '01_ERR_SEG'], ['02'])
    """
    return [sequence, f"{sequence}_ERR_SEG"] if benchmark == "linking" else [sequence]


def parse_script_name(name: str) -> tuple[str, str] | None:
    """Return data set and sequence of a script, None for any other file.

    >>> parse_script_name("Fluo-N2DH-SIM+-01.sh"), parse_script_name("install.sh")
    (('Fluo-N2DH-SIM+', '01'), None)
    """
    match = _SCRIPT.fullmatch(name)
    return None if match is None else (match[1], match[2])


def find_dataset(place: str | Path, benchmark: Benchmark, *, known: Collection[str] = ()) -> DataSet:
    """Return a data set, given as its folder or by its name.

    Parameters
    ----------
    place : path or str
        A folder with images in ``01``, ``02``; or one of the names `known`, whose files are not needed.
    benchmark : "linking" or "tracking"
        The linking benchmark also needs masks in ``01_ERR_SEG``, ``02_ERR_SEG``.
    known : strings
        Names of the data sets of the challenge.

    Raises
    ------
    InputError
        If it is neither a folder nor a known name, has no sequence, or lacks the masks.

    Examples
    --------
    >>> find_dataset("PhC-C2DL-PSC", "tracking", known=["PhC-C2DL-PSC"])
    DataSet(name='PhC-C2DL-PSC', sequences=('01', '02'))
    """
    path = Path(place).expanduser()
    if not path.is_dir():
        return _find_by_name(str(place), known)
    name = Path(os.path.abspath(path)).name  # noqa: PTH100  (of a link, not of the folder that it leads to)
    if not _NAME.fullmatch(name):
        msg = f"{place}: the name of a data set has letters, digits and + . - _ only, such as Fluo-N2DH-SIM+; rename it"
        raise InputError(msg)
    sequences = [folder.name for folder in sorted(path.iterdir()) if re.fullmatch(r"\d\d+", folder.name)]
    found = tuple(each for each in sequences if _has_images(path / each))
    if not found:
        msg = f"{place}: no sequence in it; expected folders 01, 02 with images t000.tif, t001.tif, ..."
        raise InputError(msg)
    _refuse_missing(path, found, benchmark)
    return DataSet(name, found)


def _find_by_name(name: str, known: Collection[str]) -> DataSet:
    if name in known:
        return DataSet(name, SEQUENCES)
    near = difflib.get_close_matches(Path(name).name, known, 1)
    hint = f"did you mean {near[0]}? Or give" if near else "give"
    msg = f"{name}: no such folder, and no data set of the challenge has this name; {hint} the folder with 01, 02"
    raise InputError(msg)


def _refuse_missing(folder: Path, sequences: Collection[str], benchmark: Benchmark) -> None:
    """Raise if a sequence lacks an input."""
    wanted = [name for sequence in sequences for name in list_inputs(sequence, benchmark)]
    missing = [name for name in wanted if not _has_images(folder / name)]
    if missing:
        msg = (
            f"{folder}: no masks in {missing[0]}, which are the input of the linking benchmark; add them, or choose "
            "the tracking benchmark (--benchmark tracking), which starts from the images"
        )
        raise InputError(msg)


def _has_images(folder: Path) -> bool:
    return folder.is_dir() and any(file.suffix.lower() in {".tif", ".tiff"} for file in folder.iterdir())
