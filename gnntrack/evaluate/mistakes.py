"""The mistakes of a tracking result one by one, by comparison with the ground truth; deprecated.

`gnntrack.evaluate.error_places` lists the errors of a result by the kinds of ``gnntrack evaluate --errors``.

They are those that the metrics of the Cell Tracking Challenge count (Matula et al., 2015), with two differences that
keep the list short: a link of the ground truth to a cell that the result lacks is not listed beside the missed cell,
and a link that is right except that one side calls it a division is listed as the false or missed division.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.evaluate.differences import compare_graphs
from gnntrack.evaluate.matching import match_graphs
from gnntrack.evaluate.metrics import list_divisions, match_divisions
from gnntrack.evaluate.places import locate_cells
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.evaluate.matching import MatchedGraphs
    from gnntrack.evaluate.tracking import MatchedSequence
    from gnntrack.types import IntArray

__all__ = ["MISTAKE_KINDS", "Mistake", "list_mistakes"]

MISTAKE_KINDS = (
    *("false positive", "false negative", "merged cells", "wrong link", "missed link"),
    *("false division", "missed division"),
)
_TOLERANCE = 1  # frames by which a division may be early or late, as in BIO(1)


class Mistake(NamedTuple):
    """A difference between a result and its ground truth."""

    kind: str
    """One of `MISTAKE_KINDS`."""
    frame: int
    """Frame to look at."""
    cells: tuple[tuple[int, int], ...]
    """Cells of the result as (frame, label): both ends of a link; a parent; a cell."""
    places: tuple[tuple[int, tuple[float, ...]], ...]
    """Cells of the ground truth that the result lacks, as (frame, centre in pixels along ``[z], y, x``)."""
    why: str
    """In words."""


def list_mistakes(matched: MatchedSequence) -> list[Mistake]:
    """Return the mistakes of a result by kind, in the order of `MISTAKE_KINDS`, and by frame; deprecated.

    Use `gnntrack.evaluate.error_places.list_error_places`.

    Parameters
    ----------
    matched : MatchedSequence
        Of `gnntrack.evaluate.tracking.match_sequence`.

    Returns
    -------
    list of Mistake
        False positives and false negatives, cells of the result that cover several cells of the ground truth, links of
        the result between matched cells that the ground truth lacks and vice versa, and divisions that are false or
        missed, if one frame early or late is right.
    """
    msg = "list_mistakes is deprecated; use gnntrack.evaluate.error_places.list_error_places"
    warnings.warn(msg, DeprecationWarning, stacklevel=2)
    graphs = match_graphs(matched.rows, matched.truth_rows, matched.matches)
    found = [
        *_list_false_cells(graphs),
        *_list_missed_cells(graphs, matched),
        *_list_links(graphs),
        *_list_division_mistakes(graphs, matched),
    ]
    return sorted(found, key=lambda mistake: (MISTAKE_KINDS.index(mistake.kind), mistake.frame, mistake.cells))


def _list_false_cells(graphs: MatchedGraphs) -> Iterator[Mistake]:
    result = graphs.result
    for row in np.flatnonzero(graphs.covers != 1).tolist():
        n, cell = int(graphs.covers[row]), (int(result.frame[row]), int(result.label[row]))
        kind = "merged cells" if n else "false positive"
        covered = count_noun(n, "cell") if n else "no cell"
        why = f"it covers {covered} of the ground truth"
        yield Mistake(kind, cell[0], (cell,), (), why)


def _list_missed_cells(graphs: MatchedGraphs, matched: MatchedSequence) -> Iterator[Mistake]:
    truth = graphs.truth
    rows = np.flatnonzero(graphs.covered_by < 0)
    centres = _locate_cells(matched, truth.frame[rows], truth.label[rows])
    for row, centre in zip(rows.tolist(), centres, strict=True):
        frame = int(truth.frame[row])
        why = f"no cell covers cell {truth.label[row]} of the ground truth"
        yield Mistake("false negative", frame, (), ((frame, centre),), why)


def _locate_cells(matched: MatchedSequence, frame: IntArray, label: IntArray) -> list[tuple[float, ...]]:
    """Return the centres of cells of the ground truth in pixels."""
    return [tuple(each) for each in np.round(locate_cells(matched.reference, frame, label), 1).tolist()]


def _list_links(graphs: MatchedGraphs) -> Iterator[Mistake]:
    truth, result = graphs.truth, graphs.result
    known = compare_graphs(graphs)
    for edge in np.flatnonzero(known.wrong).tolist():
        source, target = int(result.source[edge]), int(result.target[edge])
        was, now = (int(truth.label[known.row_in_truth[row]]) for row in (source, target))
        why = f"it joins cells {was} and {now} of the ground truth"
        yield _make_link("wrong link", graphs, source, target, why)
    for edge in np.flatnonzero(known.missing & known.comparable).tolist():
        source, target = int(known.alone[truth.source[edge]]), int(known.alone[truth.target[edge]])
        why = f"cell {truth.label[truth.target[edge]]} of the ground truth is not linked to the cell that it was before"
        yield _make_link("missed link", graphs, source, target, why)


def _make_link(kind: str, graphs: MatchedGraphs, source: int, target: int, why: str) -> Mistake:
    cells = tuple((int(graphs.result.frame[row]), int(graphs.result.label[row])) for row in (source, target))
    return Mistake(kind, cells[1][0], cells, (), why)


def _list_division_mistakes(graphs: MatchedGraphs, matched: MatchedSequence) -> Iterator[Mistake]:
    found = match_divisions(graphs, matched.rows, matched.truth_rows, _TOLERANCE)
    right, right_in_truth = {result for _, result in found}, {truth for truth, _ in found}
    for parent, (end, daughters) in list_divisions(matched.rows).items():
        if parent not in right:
            own = ((end, parent), *((begin, label) for label, begin in daughters))
            yield Mistake("false division", end, own, (), "the ground truth has no such division")
    every = list_divisions(matched.truth_rows).items()
    missed = [(parent, each) for parent, each in every if parent not in right_in_truth]
    yield from _list_missed_divisions(graphs, matched, missed)


def _list_missed_divisions(
    graphs: MatchedGraphs, matched: MatchedSequence, missed: Sequence[tuple[int, tuple[int, list[tuple[int, int]]]]]
) -> Iterator[Mistake]:
    truth, result = graphs.truth, graphs.result
    row_of = {cell: row for row, cell in enumerate(zip(truth.frame.tolist(), truth.label.tolist(), strict=True))}
    for parent, (end, daughters) in missed:
        wanted = [(end, parent), *((begin, label) for label, begin in daughters)]
        rows = [row_of[cell] for cell in wanted]
        covering = [int(graphs.covered_by[row]) for row in rows]
        cells = tuple((int(result.frame[row]), int(result.label[row])) for row in covering if row >= 0)
        lacking = [row for row, cover in zip(rows, covering, strict=True) if cover < 0]
        centres = _locate_cells(matched, truth.frame[lacking], truth.label[lacking])
        places = tuple((int(truth.frame[row]), centre) for row, centre in zip(lacking, centres, strict=True))
        names = " and ".join(str(label) for label, _ in daughters)
        why = f"cell {parent} of the ground truth divides into {names}"
        yield Mistake("missed division", end, tuple(dict.fromkeys(cells)), places, why)
