"""The columns of the list of errors: kind, frames, tracks, place and corrections of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.evaluate.error_kinds import ERROR_KINDS
from gnntrack.evaluate.error_shares import CORRECTIONS, count_costs
from gnntrack.evaluate.places import locate_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from gnntrack.evaluate.differences import Differences
    from gnntrack.evaluate.error_kinds import ErrorOwners
    from gnntrack.evaluate.tracking import MatchedSequence
    from gnntrack.types import FloatArray, IntArray

__all__ = ["list_columns"]


def list_columns(matched: MatchedSequence, known: Differences, owners: ErrorOwners) -> dict[str, npt.NDArray[Any]]:
    """Return a row per error by kind and frame, as of `gnntrack.evaluate.error_report.ErrorReport`."""
    truth, result, n = known.graphs.truth, known.graphs.result, len(owners.kind)
    lacking, wrong = np.flatnonzero(owners.missing >= 0), np.flatnonzero(owners.wrong >= 0)
    # errors and the cells in which the result differs: faulty ones, and those behind a link
    of_truth = _stack((owners.truth_cell, None), (owners.missing[lacking], truth.target[lacking]))
    of_result = _stack(
        (owners.cell, None), (owners.wrong[wrong], result.target[wrong]), (owners.changed, result.target)
    )
    before_truth = _stack((owners.missing[lacking], truth.source[lacking]))
    ends = known.alone[np.concatenate([of_truth[1], before_truth[1]])]
    beside = _stack((np.concatenate([of_truth[0], before_truth[0]]), ends))
    before = _stack((owners.wrong[wrong], result.source[wrong]), (owners.changed, result.source))

    error = np.concatenate([of_truth[0], of_result[0]])
    frame = np.concatenate([truth.frame[of_truth[1]], result.frame[of_result[1]]])
    # the first cell of each error; in one frame, a cell of the ground truth is before one of the result
    order = np.lexsort((np.arange(len(error)), frame, error))
    first = order[np.searchsorted(error[order], np.arange(n))]
    last = np.zeros(n, np.int64)
    np.maximum.at(last, error, frame)
    place = _locate(matched, known, np.concatenate([of_truth[1], of_result[1]])[first], first < len(of_truth[0]))
    columns: dict[str, Any] = {"kind": np.array(owners.kind, object), "frame": frame[first], "last_frame": last}
    columns["result_tracks"] = _join_labels(result.label, n, of_result, before, beside)
    columns["truth_tracks"] = _join_labels(truth.label, n, of_truth, before_truth, *_find_partners(known, of_result))
    columns |= dict(zip("zyx"[-place.shape[1] :], place.T, strict=True))
    of_divisions = owners.missing[known.true_fork]
    columns["division_links"] = np.bincount(of_divisions[of_divisions >= 0], minlength=n)
    columns |= dict(zip(CORRECTIONS, count_costs(known, owners).T, strict=True))
    rank = {name: number for number, name in enumerate(ERROR_KINDS)}
    rows = np.lexsort((columns["frame"], [rank[name] for name in owners.kind]))
    return {name: column[rows] for name, column in columns.items()}


def _stack(*parts: tuple[IntArray, IntArray | None]) -> tuple[IntArray, IntArray]:
    """Return errors and their cells as two columns; in a part without cells these are numbered."""
    full = [(owner, np.arange(len(owner)) if cell is None else cell) for owner, cell in parts]
    owner, cell = (np.concatenate(column) for column in zip(*full, strict=True))
    kept = (owner >= 0) & (cell >= 0)
    return owner[kept], cell[kept]


def _find_partners(known: Differences, of_result: tuple[IntArray, IntArray]) -> Sequence[tuple[IntArray, IntArray]]:
    """Return the errors and cells of the ground truth that match cells of the result."""
    return [_stack((of_result[0], known.row_in_truth[of_result[1]]))]


def _join_labels(label: IntArray, n: int, *parts: tuple[IntArray, IntArray]) -> npt.NDArray[Any]:
    """Return the labels of the tracks of each error, ascending, as text."""
    error, cell = (np.concatenate(column) for column in zip(*parts, strict=True))
    pairs = np.unique(np.stack([error, label[cell]], axis=1), axis=0)
    bounds = np.searchsorted(pairs[:, 0], np.arange(n + 1)).tolist()
    names = pairs[:, 1].astype(str).tolist()
    return np.array([" ".join(names[bounds[k] : bounds[k + 1]]) for k in range(n)], object)


def _locate(matched: MatchedSequence, known: Differences, row: IntArray, in_truth: npt.NDArray[np.bool_]) -> FloatArray:
    """Return the centres of cells of the ground truth and of the result in pixels, shape (n, D)."""
    place: list[tuple[IntArray, FloatArray]] = []
    sides = ((matched.reference, known.graphs.truth, in_truth), (matched.found, known.graphs.result, ~in_truth))
    for folder, graph, here in sides:
        rows = np.flatnonzero(here)
        if len(rows):
            place.append((rows, locate_cells(folder, graph.frame[row[rows]], graph.label[row[rows]])))
    centres = np.zeros((len(row), place[0][1].shape[1] if place else 2))
    for rows, found in place:
        centres[rows] = np.round(found, 1)
    return centres
