"""Changes of the masks against those of the input, one by one: the rows of ``repairs.csv``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.lineage.missing_masks import MissingMask
    from gnntrack.types import Cells, IntArray, Lineage, Runs

__all__ = [
    "MaskChange",
    "keep_fills",
    "list_copies",
    "list_fills",
    "list_joined",
    "list_outside",
    "list_short",
    "measure_mask",
]


class MaskChange(NamedTuple):
    """A change of a mask.

    Parameters
    ----------
    kind : str
        ``filled``, ``split``, ``joined``, ``copied``, ``in margin``, ``short track``, ``debris``, ``spurious``,
        ``too small``,
        ``one piece`` or ``marked``.
    frame : int
        Its frame.
    input_label : int
        Label of the mask in the input; 0 for a mask that was drawn.
    owner : (int, int)
        Frame and label, in the lineage, of a cell of the track that the mask belongs to in the result.
    position : tuple of float
        Centroid of its pixels in pixels, ``[z], y, x``; empty if it is not known. Of a mask that was split: before.
    pixels : int or None
        Number of its pixels; None if it is not known.
    reason : str
        Why it was changed, in words.
    """

    kind: str
    frame: int
    input_label: int
    owner: tuple[int, int]
    position: tuple[float, ...]
    pixels: int | None
    reason: str


def list_fills(masks: Sequence[MissingMask], lineage: Lineage) -> list[MaskChange]:
    """Return the masks that were drawn in gaps, and those that were split for them.

    Parameters
    ----------
    masks : sequence of MissingMask
        The masks.
    lineage : Lineage
        The lineage whose rows they name.
    """
    cells, found = lineage.cells, []
    frames = _list_gap_frames(masks)
    for mask in masks:
        before, after = (int(cells.frame[row]) for row in (mask.before, mask.after))
        missing = frames[mask.before]
        gap = f"frame {missing[0]}" if len(missing) == 1 else f"frames {missing[0]} to {missing[-1]}"
        around = f"its masks in frames {before} and {after}"
        reason = f"no mask in {gap}; the shape is a vote of {around}"
        if mask.split_cell >= 0:
            label = int(cells.label[mask.split_cell])
            reason = f"no mask in {gap}; cut out of the mask with label {label}, which covered two cells"
            second = f"the cell with label {cells.label[mask.before]} in frame {before}"
            split = f"covered {second}, too, and has the size of both; divided between the two"
            found.append(_describe_cell("split", lineage, mask.split_cell, split))
        elif mask.in_image:
            reason = f"no mask in {gap}; found in the image, where it agrees with {around}"
        place = tuple(float(axis.mean()) for axis in mask.pixels)
        owner = (before, int(cells.label[mask.before]))
        found.append(MaskChange("filled", mask.frame, 0, owner, place, len(mask.pixels[0]), reason))
    return found


def _list_gap_frames(masks: Sequence[MissingMask]) -> dict[int, list[int]]:
    """Return the frames of the masks in each gap, by the row of the cell before it, ascending."""
    frames: dict[int, list[int]] = {}
    for mask in masks:
        frames.setdefault(mask.before, []).append(mask.frame)
    return {row: sorted(own) for row, own in frames.items()}


def list_joined(lineage: Lineage, merged: IntArray) -> list[MaskChange]:
    """Return the fragments that were joined with their cells: frame, label, label of the cell, shape (J, 3)."""
    cells, found = lineage.cells, []
    for frame, label, owner in merged.tolist():
        row = int(cells.row_of(frame, label))
        reason = f"a piece of the cell with label {owner}, which is smaller here than in the frames around"
        found.append(_describe_cell("joined", lineage, row, reason)._replace(owner=(frame, owner)))
    return found


def list_outside(lineage: Lineage, removed: IntArray, *, margin: int) -> list[MaskChange]:
    """Return the cells that lie in the margin: frame and label, shape (M, 2)."""
    return _list_removed("in margin", lineage, removed, f"lies entirely in the margin of {count_noun(margin, 'pixel')}")


def list_short(lineage: Lineage, removed: IntArray, *, frames: int) -> list[MaskChange]:
    """Return the cells whose track with its descendants is too short: frame and label, shape (M, 2)."""
    reason = f"its track, with its descendants, lasts for fewer than {count_noun(frames, 'frame')}"
    return _list_removed("short track", lineage, removed, reason)


def _list_removed(kind: str, lineage: Lineage, removed: IntArray, reason: str) -> list[MaskChange]:
    rows = lineage.cells.row_of(*removed.T)
    return [_describe_cell(kind, lineage, int(row), reason) for row in rows.tolist()]


def list_copies(lineage: Lineage, fills: Runs, added: IntArray) -> list[MaskChange]:
    """Return the masks that were drawn in frames without a cell.

    Parameters
    ----------
    lineage : Lineage
        The repaired lineage.
    fills : Runs
        Pixels of all masks that were drawn; the column ``cell`` holds track ids.
    added : (G, 2) int64
        Track and frame of each mask.
    """
    cells, found = lineage.cells, []
    for track, frame in added.tolist():
        here = fills.frame(frame)
        own = fills.cell[here] == track
        rows = np.flatnonzero(lineage.track == track)
        if not len(rows):
            continue
        nearest = int(rows[np.abs(cells.frame[rows] - frame).argmin()])
        owner = (int(cells.frame[nearest]), int(cells.label[nearest]))
        place = tuple((cells.position[nearest] / np.asarray(cells.spacing)).tolist())
        reason = f"the frame has no cell; the mask of frame {owner[0]}"
        found.append(MaskChange("copied", frame, 0, owner, place, int(fills.length[here][own].sum()), reason))
    return found


def keep_fills(changes: Sequence[MaskChange], lineage: Lineage, filled: IntArray) -> list[MaskChange]:
    """Return the changes without drawn masks that are no longer there: track and frame of the others, shape (G, 2)."""
    drawn = set(map(tuple, filled.tolist()))
    rows = lineage.cells.row_of(*np.array([change.owner for change in changes], np.int64).reshape(-1, 2).T).tolist()
    return [
        change
        for change, row in zip(changes, rows, strict=True)
        if change.kind != "filled" or (row >= 0 and (int(lineage.track[row]), change.frame) in drawn)
    ]


def _describe_cell(kind: str, lineage: Lineage, row: int, reason: str) -> MaskChange:
    """Return the change of a mask of the input."""
    cells = lineage.cells
    cell = int(cells.frame[row]), int(cells.label[row])
    return MaskChange(kind, *cell, cell, *measure_mask(cells, row), reason)


def measure_mask(cells: Cells, row: int) -> tuple[tuple[float, ...], int]:
    """Return the centroid of the mask of a cell in pixels, and the number of its pixels."""
    place = tuple((cells.position[row] / np.asarray(cells.spacing)).tolist())
    return place, round(float(cells.feature("size")[row] / np.prod(cells.spacing)))
