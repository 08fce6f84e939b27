"""Blocks of consecutive frames on disk: cells with masks, their pixels, and other columns of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.types import Cells, Runs

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CellBlock", "join_blocks", "load_block", "load_notes", "save_block"]

_HEADER = "header"
_CELLS = ("frame", "label", "position", "features")
_NAMED = ("feature_names", "feature_units", "spacing", "n_frames", "shape", "unit")


@dataclass(frozen=True, eq=False)
class CellBlock:
    """The cells of some consecutive frames of a movie.

    Parameters
    ----------
    first : int
        Number of the first frame in the movie.
    cells : Cells
        Their frames are counted from `first`.
    runs : Runs
        Their pixels.
    columns : mapping of str to array (N, ...)
        More about each cell.
    tables : mapping of str to array
        Other arrays; they are not cut when frames are chosen.
    notes : mapping
        Plain JSON values.
    """

    first: int
    cells: Cells
    runs: Runs
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    tables: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def frames(self) -> slice:
        """Frames in the movie."""
        return slice(self.first, self.first + self.cells.n_frames)

    def select(self, frames: slice) -> CellBlock:
        """Return the part in some frames of the movie, which may lie outside of the block."""
        low = min(max(frames.start - self.first, 0), self.cells.n_frames)
        high = max(min(frames.stop - self.first, self.cells.n_frames), low)
        cells, runs = self.cells, self.runs
        begin, end = np.searchsorted(cells.frame, (low, high)).tolist()
        offsets = runs.offsets[low : high + 1]
        here = slice(int(offsets[0]), int(offsets[-1]))
        return CellBlock(
            self.first + low,
            _take_rows(cells, slice(begin, end), first=low, n_frames=high - low),
            Runs(runs.cell[here] - begin, runs.start[here], runs.length[here], offsets - offsets[0], runs.shape),
            {name: column[begin:end] for name, column in self.columns.items()},
            self.tables,
            self.notes,
        )

    def count_from(self, first: int, n_frames: int) -> CellBlock:
        """Return the block with frames counted from another one, in a movie of `n_frames`; the others are empty."""
        before = self.first - first
        after = n_frames - before - self.cells.n_frames
        offsets = np.concatenate(
            [np.zeros(before, np.int64), self.runs.offsets, np.full(after, self.runs.offsets[-1], np.int64)]
        )
        cells = replace(self.cells, frame=self.cells.frame + before, n_frames=n_frames)
        return replace(self, first=first, cells=cells, runs=replace(self.runs, offsets=offsets))


def _take_rows(cells: Cells, rows: slice, *, first: int, n_frames: int) -> Cells:
    """Return some rows of cells, with frames counted from `first`."""
    taken = {name: getattr(cells, name)[rows] for name in _CELLS}
    return replace(cells, **taken | {"frame": taken["frame"] - first}, n_frames=n_frames)


def join_blocks(blocks: Sequence[CellBlock]) -> CellBlock:
    """Return blocks whose frames follow each other as one; tables and notes are those of the first."""
    if len(blocks) == 1:
        return blocks[0]
    cells = [block.cells for block in blocks]
    first, rows, runs = blocks[0].first, 0, 0
    number, offsets = [], [np.zeros(1, np.int64)]
    for block in blocks:
        number.append(block.runs.cell + rows)
        offsets.append(block.runs.offsets[1:] + runs)
        rows, runs = rows + len(block.cells), runs + len(block.runs)
    joined: dict[str, Any] = {name: np.concatenate([getattr(each, name) for each in cells]) for name in _CELLS}
    joined["frame"] = np.concatenate([block.cells.frame + block.first - first for block in blocks])
    return CellBlock(
        first,
        replace(cells[0], **joined, n_frames=sum(each.n_frames for each in cells)),
        Runs(
            np.concatenate(number),
            np.concatenate([block.runs.start for block in blocks]),
            np.concatenate([block.runs.length for block in blocks]),
            np.concatenate(offsets),
            blocks[0].runs.shape,
        ),
        {name: np.concatenate([block.columns[name] for block in blocks]) for name in blocks[0].columns},
        blocks[0].tables,
        blocks[0].notes,
    )


def save_block(path: Path, block: CellBlock) -> None:
    """Write a block as an archive of arrays (npz); numbers of pixels and cells are stored in 32 bits if they fit."""
    cells = block.cells
    header = {name: getattr(cells, name) for name in _NAMED} | {"first": block.first, "notes": dict(block.notes)}
    arrays = {name: getattr(cells, name) for name in _CELLS}
    arrays |= {f"runs.{name}": getattr(block.runs, name) for name in ("cell", "start", "length", "offsets")}
    arrays |= {f"columns.{name}": column for name, column in block.columns.items()}
    arrays |= {f"tables.{name}": table for name, table in block.tables.items()}
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **{_HEADER: text}, **{name: _shrink(a) for name, a in arrays.items()})


def _shrink(array: NDArray[Any]) -> NDArray[Any]:
    fits = array.dtype == np.int64 and (not array.size or (array.min() >= -(2**31) and array.max() < 2**31))
    return array.astype(np.int32) if fits else array


def load_block(path: Path, *, features: Sequence[str] | None = None, runs: bool = True) -> CellBlock:
    """Read a block.

    Parameters
    ----------
    path : path
        File of `save_block`.
    features : strings, optional
        The features that are read, by default all. Those that the cells do not have are left out.
    runs : bool
        Read the pixels; else the block has none.
    """
    with np.load(path, allow_pickle=False) as file:
        header = json.loads(bytes(file[_HEADER]))
        cells = _read_cells(file.__getitem__, header, features)
        columns, tables = (
            {name.removeprefix(kind): file[name] for name in file.files if name.startswith(kind)}
            for kind in ("columns.", "tables.")
        )
        pixels = _read_runs(file.__getitem__, cells) if runs else _make_empty_runs(cells)
    return CellBlock(int(header["first"]), cells, pixels, columns, tables, header["notes"])


def _read_cells(
    read: Callable[[str], NDArray[Any]], header: Mapping[str, Any], features: Sequence[str] | None
) -> Cells:
    names = list(header["feature_names"])
    kept = [names.index(each) for each in (names if features is None else features) if each in names]
    about: dict[str, Any] = {name: header[name] for name in _NAMED}
    about |= {name: tuple(header[name][k] for k in kept) for name in ("feature_names", "feature_units")}
    about |= {name: tuple(header[name]) for name in ("spacing", "shape")}
    values: dict[str, Any] = {name: read(name) for name in _CELLS}
    values["features"] = values["features"][:, kept]
    return Cells(**values, **about)


def load_notes(path: Path) -> dict[str, Any]:
    """Return the notes of a block, and the numbers of its cells per frame as ``cells_per_frame``."""
    with np.load(path, allow_pickle=False) as file:
        header = json.loads(bytes(file[_HEADER]))
        count = np.bincount(file["frame"], minlength=int(header["n_frames"]))
    return {**header["notes"], "cells_per_frame": count.tolist()}


def _read_runs(read: Callable[[str], NDArray[Any]], cells: Cells) -> Runs:
    cell, start, length, offsets = (read(f"runs.{name}") for name in ("cell", "start", "length", "offsets"))
    return Runs(cell, start, length, offsets, cells.shape)


def _make_empty_runs(cells: Cells) -> Runs:
    none = np.zeros(0, np.int64)
    return Runs(none, none, none, np.zeros(cells.n_frames + 1, np.int64), cells.shape)
