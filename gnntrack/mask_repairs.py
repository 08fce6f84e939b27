"""The list of repairs: every mask of a result that is not as in the input, and every mask of the input that is gone.

They are the rows of ``repairs.csv`` (``docs/columns.md``), and of ``lineage.to_pandas("repairs")``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.lineage.mask_changes import MaskChange, measure_mask
from gnntrack.plurals import count_noun
from gnntrack.types import MASK_KINDS

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.lineage.repair import RepairedMovie
    from gnntrack.provenance import Provenance
    from gnntrack.results import Result
    from gnntrack.types import Cells, IntArray, Lineage

__all__ = ["collect_repairs"]

_EARLIER = {  # kind of mask -> kind and reason in the list
    "filled": ("filled", "drawn when the result was made"),
    "merged": ("joined", "joined with a piece when the result was made"),
    "split": ("split", "divided between two cells when the result was made"),
}


def collect_repairs(repaired: RepairedMovie, result: Result | None = None) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of ``repairs.csv``, a row per change, by frame.

    Parameters
    ----------
    repaired : RepairedMovie
        Lineage and masks after repair.
    result : Result, optional
        The masks that are written, whose labels are the tracks; by default those of the lineage.

    Examples
    --------
    A cell without a mask in frame 1:

    >>> import gnntrack
    >>> masks = np.zeros((3, 20, 20), np.uint8)
    >>> masks[[0, 2], 5:11, 5:11] = 7
    >>> table = gnntrack.track(masks=masks).to_pandas("repairs")
    >>> table[["frame", "track", "input_label", "kind", "pixels"]].values.tolist()
    [[1, 1, 0, 'filled', 36]]
    """
    lineage = repaired.lineage
    dropped = _list_dropped(lineage.provenance, repaired.candidates)
    changes = [*_list_readings(lineage), *dropped, *repaired.changes]
    label = lineage.track if result is None else result.written_label
    rows = _find_owners(lineage, changes)
    listed = [_make_row(lineage, change, row, label) for change, row in zip(changes, rows, strict=True)]
    if result is not None:
        listed += _list_earlier(result, {(row[0], row[2]) for row in listed})
    listed.sort(key=lambda row: row[:4])
    names = ["frame", "kind", "track", "input_label", *_name_axes(lineage), "pixels", "reason"]
    columns = list(zip(*listed, strict=True)) or [()] * len(names)
    return {
        name: np.array(values, object if None in values else None) for name, values in zip(names, columns, strict=True)
    }


def _name_axes(lineage: Lineage) -> list[str]:
    return [f"{axis}_pixel" for axis in "zyx"[-lineage.cells.ndim :]]


def _make_row(lineage: Lineage, change: MaskChange, row: int, label: IntArray) -> tuple[Any, ...]:
    """Return the fields of a change; `row` is a cell of its track, -1 if it was removed."""
    track = int(label[row]) if row >= 0 else 0
    place: list[float | None] = [round(x, 1) for x in change.position] or [None] * lineage.cells.ndim
    source = _find_input(lineage, change, row)
    return (change.frame, change.kind, track, source, *place, change.pixels, change.reason)


def _find_owners(lineage: Lineage, changes: list[MaskChange]) -> list[int]:
    """Return the row of a cell in the track of each change, -1 if it is not in the result."""
    owners = np.array([change.owner for change in changes], np.int64).reshape(-1, 2)
    found: list[int] = lineage.cells.row_of(*owners.T).tolist()
    return found


def _find_input(lineage: Lineage, change: MaskChange, row: int) -> int:
    """Return the label of a mask in the input, also if the lineage is that of an earlier result."""
    if change.input_label and row >= 0 and lineage.origins is not None and change.owner[1] == change.input_label:
        return int(lineage.origins.input_label[row])
    return change.input_label


def _list_readings(lineage: Lineage) -> list[MaskChange]:
    """Return the masks that were changed by the rules of reading."""
    masks = lineage.provenance.masks
    found = [
        _make_removed(
            "too small", frame, label, f"has {count_noun(pixels, 'pixel')}, fewer than cells.min_size", pixels
        )
        for frame, label, pixels in masks.get("dropped", {}).get("listed", ())
    ]
    if masks.get("fragments") == "largest":
        found += [
            MaskChange(
                "one piece", frame, label, (frame, label), (), None, f"the largest of its {pieces} pieces is kept"
            )
            for frame, label, pieces in masks.get("disconnected", {}).get("listed", ())
        ]
    return found + _list_cuts(lineage)


def _list_dropped(provenance: Provenance, cells: Cells | None) -> list[MaskChange]:
    """Return the masks that were removed because they are no cells, with their places if all cells are known."""
    small, marked = "the masks of its track are much smaller than the median", "an edit states that it is not a cell"
    found = [_make_removed("debris", *row, small, None) for row in provenance.debris_dropped or ()]
    for frame, label, percent in provenance.spurious_dropped or ():
        found.append(_make_removed("spurious", frame, label, f"is no cell with a probability of {percent} %", None))
    found += [_make_removed("marked", *row, marked, None) for row in provenance.removed_by_edits or ()]
    return found if cells is None else [_add_place(change, cells) for change in found]


def _add_place(change: MaskChange, cells: Cells) -> MaskChange:
    """Return a change of a mask with the place and the size of its cell."""
    row = int(cells.row_of(change.frame, change.input_label))
    if row < 0:
        return change
    place, pixels = measure_mask(cells, row)
    return change._replace(position=place, pixels=pixels)


def _list_cuts(lineage: Lineage) -> list[MaskChange]:
    """Return the masks that held several cells, and the cells that were cut off them."""
    cells, cut = lineage.cells, np.array(lineage.provenance.masks_cut or (), np.int64).reshape(-1, 3)
    found = []
    for frame, label, new in np.unique(np.concatenate([cut, cut[:, [0, 1, 1]]]), axis=0).tolist():
        row = int(cells.row_of(frame, new))
        place, pixels = measure_mask(cells, row) if row >= 0 else ((), None)
        reason = f"one of the cells of the mask with label {label}, which are apart in the frames around"
        found.append(MaskChange("split", frame, label, (frame, new), place, pixels, reason))
    return found


def _make_removed(kind: str, frame: int, label: int, reason: str, pixels: int | None) -> MaskChange:
    return MaskChange(kind, frame, label, (frame, -1), (), pixels, reason)


def _list_earlier(result: Result, known: set[tuple[int, int]]) -> list[tuple[Any, ...]]:
    """Return the masks that an earlier run has changed: those of a result that was corrected without solving again.

    Parameters
    ----------
    result : Result
        The masks that are written.
    known : set of (frame, track)
        Masks that are listed already.
    """
    cells, found = result.lineage.cells, []
    place = (cells.position / np.asarray(cells.spacing)).round(1)
    pixels = np.rint(cells.feature("size") / np.prod(cells.spacing)).astype(np.int64)
    for row in np.flatnonzero(result.mask_kind).tolist():
        cell = int(cells.frame[row]), int(cells.label[row])
        if cell not in known:
            kind = MASK_KINDS[result.mask_kind[row]]
            name, reason = _EARLIER[kind]
            source = int(result.input_label[row])
            found.append((cell[0], name, cell[1], source, *place[row].tolist(), int(pixels[row]), reason))
    return found
