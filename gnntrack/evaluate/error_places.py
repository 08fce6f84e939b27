"""The errors of a tracking result as places to look at: the cells that take part, and the links between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.evaluate.differences import compare_graphs
from gnntrack.evaluate.error_kinds import ERROR_KINDS, find_owners
from gnntrack.evaluate.matching import match_graphs
from gnntrack.evaluate.places import locate_cells
from gnntrack.plurals import choose_form

if TYPE_CHECKING:
    from gnntrack.evaluate.differences import Differences
    from gnntrack.evaluate.error_kinds import ErrorOwners
    from gnntrack.evaluate.tracking import MatchedSequence
    from gnntrack.types import IntArray

__all__ = ["ErrorPlace", "list_error_places"]


class ErrorPlace(NamedTuple):
    """An error of a result, as of `gnntrack.evaluate.error_report.find_errors`, with all its cells."""

    kind: str
    """One of `gnntrack.evaluate.error_kinds.ERROR_KINDS`."""
    frame: int
    """First frame in which the result differs."""
    cells: tuple[tuple[int, int], ...]
    """Cells of the result as (frame, label)."""
    places: tuple[tuple[int, tuple[float, ...]], ...]
    """Cells of the ground truth that the result lacks, as (frame, centre in pixels along ``[z], y, x``)."""
    links: tuple[tuple[int, int, bool], ...]
    """Links between two of `cells` and, behind these, `places`, by their numbers; True if the result lacks the link."""
    why: str
    """In words."""


class _Cells:
    """The cells of an error: rows of the result, and rows of the ground truth that the result lacks."""

    def __init__(self) -> None:
        self.rows: dict[int, None] = {}
        self.lacking: dict[int, None] = {}
        self.truth: set[int] = set()
        self.links: list[tuple[int, int, bool]] = []
        self.first: list[int] = []

    def add(self, row: int, true_row: int) -> int:
        """Add a cell of the result, or if `row` is -1 one of the ground truth; return its key in links."""
        if true_row >= 0:
            self.truth.add(true_row)
        if row >= 0:
            self.rows[row] = None
            return row
        self.lacking[true_row] = None
        return -1 - true_row

    def number_links(self) -> tuple[tuple[int, int, bool], ...]:
        """Return the links with the numbers of their cells."""
        number = {row: k for k, row in enumerate(self.rows)}
        number |= {-1 - row: len(self.rows) + k for k, row in enumerate(self.lacking)}
        return tuple((number[one], number[other], lacks) for one, other, lacks in self.links)


def list_error_places(matched: MatchedSequence) -> list[ErrorPlace]:
    """Return the errors of a result by kind, in the order of `ERROR_KINDS`, and by frame.

    Parameters
    ----------
    matched : MatchedSequence
        Of `gnntrack.evaluate.tracking.match_sequence`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import gnntrack
    >>> from gnntrack.evaluate.tracking import match_sequence
    >>> masks = np.zeros((2, 20, 30), np.uint8)
    >>> masks[:, 5:11, 5:11] = 1
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = gnntrack.track(masks=masks).to_ctc(folder / "01_RES")
    >>> masks[1, 15:18, 20:26] = 2
    >>> _ = gnntrack.track(masks=masks).to_ctc(folder / "01_GT")
    >>> place, = list_error_places(match_sequence(folder / "01_RES", folder / "01_GT"))
    >>> place.kind, place.places, place.why
    ('missed cell', ((1, (16.0, 22.5)),), 'the result lacks the cell, ...; ground truth: track 2')
    """
    known = compare_graphs(match_graphs(matched.rows, matched.truth_rows, matched.matches))
    owners = find_owners(known)
    errors = _collect_cells(known, owners)
    truth, result = known.graphs.truth, known.graphs.result
    lacking = np.array([row for error in errors for row in error.lacking], np.int64)
    centres = iter(np.round(locate_cells(matched.reference, truth.frame[lacking], truth.label[lacking]), 1).tolist())
    found = []
    for kind, error in zip(owners.kind, errors, strict=True):
        cells = tuple((int(result.frame[row]), int(result.label[row])) for row in error.rows)
        places = tuple((int(truth.frame[row]), tuple(next(centres))) for row in error.lacking)
        labels = sorted({int(truth.label[row]) for row in error.truth})
        words = choose_form(len(labels), "track", "tracks")
        tracks = f"; ground truth: {words} {', '.join(map(str, labels))}" if labels else ""
        why = f"{ERROR_KINDS[kind]}{tracks}"
        found.append(ErrorPlace(kind, min(error.first), cells, places, error.number_links(), why))
    rank = {name: number for number, name in enumerate(ERROR_KINDS)}
    return sorted(found, key=lambda place: (rank[place.kind], place.frame, place.cells))


def _collect_cells(known: Differences, owners: ErrorOwners) -> list[_Cells]:
    """Return the cells and links of each error."""
    truth, result, covered_by = known.graphs.truth, known.graphs.result, known.graphs.covered_by
    in_truth = known.row_in_truth
    errors = [_Cells() for _ in owners.kind]
    for row, owner in _list_owned(owners.truth_cell):
        error = errors[owner]
        error.add(int(covered_by[row]), row)
        error.first.append(int(truth.frame[row]))
    for row, owner in _list_owned(owners.cell):
        errors[owner].add(row, int(in_truth[row]))
        errors[owner].first.append(int(result.frame[row]))
    for edges, lacks in ((owners.wrong, False), (owners.changed, False), (owners.missing, True)):
        graph = truth if lacks else result
        for edge, owner in _list_owned(edges):
            error, ends = errors[owner], (int(graph.source[edge]), int(graph.target[edge]))
            pairs = [(int(covered_by[end]), end) if lacks else (end, int(in_truth[end])) for end in ends]
            error.links.append((error.add(*pairs[0]), error.add(*pairs[1]), lacks))
            error.first.append(int(graph.frame[ends[1]]))
    return errors


def _list_owned(owner: IntArray) -> list[tuple[int, int]]:
    """Return the rows that belong to an error, with this error."""
    rows = np.flatnonzero(owner >= 0)
    return list(zip(rows.tolist(), owner[rows].tolist(), strict=True))
