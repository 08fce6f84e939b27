"""Edits of a lineage without solving: only the links and cells that an edit names change.

This is for lineages whose links have no scores, such as those of other programs. The same `Constraints` as for the
solvers say what is changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.lineage.constraints import Constraints, EditChecker
from gnntrack.lineage.edits import Edit, RefusedEditError, list_own_links, resolve_edit
from gnntrack.types import Lineage, MaskOrigins, Tracks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gnntrack.types import BoolArray, FeatureArray, IntArray

__all__ = ["EditedLineage", "change_links", "edit_lineage"]


class EditedLineage(NamedTuple):
    """A lineage that was changed by edits."""

    lineage: Lineage
    """The changed lineage; it may have gaps whose masks are not drawn."""
    kept: BoolArray
    """Which cells of the lineage before are in it, shape (N,)."""
    applied: tuple[Edit, ...] = ()
    """The edits that it keeps, as they were given."""
    refused: tuple[tuple[Edit, str], ...] = ()
    """The other edits, with the reason of each."""


class _Links(NamedTuple):
    """Links between rows of cells."""

    source: IntArray  # (L,)
    target: IntArray  # (L,)
    confidence: FeatureArray  # (L,)
    continues: BoolArray  # (L,) whether the second cell is in the track of the first one, rather than a daughter


def edit_lineage(lineage: Lineage, edits: Iterable[Edit]) -> EditedLineage:
    """Change what edits name, and nothing else.

    Edits are read from first to last; one that contradicts an earlier one is refused. To undo an edit, apply the others
    to the same lineage again.

    Parameters
    ----------
    lineage : Lineage
        A lineage, or a result that was read; masks that were drawn in a gap stay as long as the link over the gap does.
    edits : Edits
        With the labels of its cells.

    Returns
    -------
    EditedLineage
        A track keeps its id as far as its first cell; other tracks have new ids. Links that are joined, made by a
        division or confirmed have confidence 1.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((4, 40, 40), np.uint8)
    >>> masks[:, 5:11, 5:11], masks[:, 25:31, 20:26] = 1, 2
    >>> lineage = gnntrack.import_tracks(masks)
    >>> edited = edit_lineage(lineage, [Edit("cut", ((1, 1), (2, 1))), Edit("join", ((1, 1), (2, 2)))])
    >>> edited.lineage.track.tolist(), edited.refused
    ([1, 2, 1, 2, 3, 1, 3, 1], ())
    >>> edit_lineage(lineage, [Edit("spurious", ((2, 1),))]).lineage.track.tolist()
    [1, 2, 1, 2, 2, 3, 2]
    """
    checker = EditChecker(lineage.cells)
    applied, refused = [], []
    for number, edit in enumerate(edits, start=1):
        try:
            kind, rows = resolve_edit(edit, lineage)
            named = tuple((int(lineage.cells.frame[row]), int(lineage.cells.label[row])) for row in rows)
            checker.add(Edit(kind, named), f"edit {number}")
        except RefusedEditError as error:
            refused.append((edit, str(error)))
        else:
            applied.append(edit)
    edited = change_links(lineage, checker.make_constraints())
    return edited._replace(applied=tuple(applied), refused=tuple(refused))


def change_links(lineage: Lineage, fixed: Constraints) -> EditedLineage:
    """Change a lineage where it does not keep decisions, and only there.

    A fixed link replaces the links out of its first and into its second cell. Of the links out of a cell that does not
    divide, the most certain one is kept, among equals the shortest. A removed cell leaves the parts of its track before
    and after it.

    Parameters
    ----------
    lineage : Lineage
        The N cells and their links.
    fixed : Constraints
        Decisions about the rows of its cells; none of a mask that was drawn in a gap.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((3, 20, 20), np.uint8)
    >>> masks[:, 5:11, 5:11] = 1
    >>> edited = change_links(gnntrack.import_tracks(masks), Constraints(removed=np.array([1])))
    >>> edited.lineage.tracks.start.tolist(), edited.kept.tolist()
    ([0, 2], [True, False, True])
    """
    own = list_own_links(lineage)
    past = _change_past(lineage, own.past, fixed)
    # a drawn mask belongs to the link between the cells before and after it
    unbroken = past[own.later] == own.earlier
    kept = own.own | unbroken | ~own.own[own.later] | ~own.own[own.earlier]
    kept[fixed.removed] = False
    links = _list_links(lineage, past, kept, fixed)
    track = _number_tracks(lineage, links, kept)
    row = np.cumsum(kept) - 1
    first = ~links.continues
    parent = dict(zip(track[links.target[first]].tolist(), track[links.source[first]].tolist(), strict=True))
    frame = lineage.cells.frame
    tracks = Tracks.from_cells(
        track[kept], frame[kept], lambda ids: np.array([parent.get(each, 0) for each in ids.tolist()], np.int64)
    )
    gone = zip(frame[~kept].tolist(), lineage.cells.label[~kept].tolist(), strict=True)
    removed = (*(lineage.provenance.removed_by_edits or ()), *gone)
    changed = lineage.change_cells(
        np.where(kept, row, -1),
        cells=lineage.cells.select(kept),
        track=track[kept],
        tracks=tracks,
        source=row[links.source],
        target=row[links.target],
        confidence=links.confidence,
        provenance=lineage.provenance.replace(removed_by_edits=removed or None),
    )
    origins = lineage.origins
    chosen = None if origins is None else MaskOrigins(origins.input_label[kept], origins.kind[kept])
    return EditedLineage(changed.with_origins(chosen), kept)


def _change_past(lineage: Lineage, before: IntArray, fixed: Constraints) -> IntArray:
    """Return the row of the past of each cell after the decisions, -1 = none; drawn masks are skipped."""
    past = before.copy()
    past[np.isin(past, fixed.linked[:, 0]) & (past >= 0)] = -1
    past[fixed.linked[:, 1]] = fixed.linked[:, 0]
    wrong = past[fixed.cut[:, 1]] == fixed.cut[:, 0]
    past[fixed.cut[wrong, 1]] = -1
    past[np.isin(past, fixed.removed)] = -1
    past[fixed.removed] = -1
    confidence = np.zeros(len(past))
    confidence[lineage.target] = lineage.confidence
    position = lineage.cells.position
    for row in fixed.single.tolist():
        children = np.flatnonzero(past == row)
        if len(children) > 1:
            distance = np.linalg.norm(position[children] - position[row], axis=1)
            past[children[np.lexsort((distance, -confidence[children]))[1:]]] = -1
    return past


def _list_links(lineage: Lineage, past: IntArray, kept: BoolArray, fixed: Constraints) -> _Links:
    """Return the links of the lineage that are kept, and after them the new ones, in rows of the lineage."""
    own, n = list_own_links(lineage), len(past)
    earlier, later = own.earlier[lineage.source], own.later[lineage.target]
    stays = kept[lineage.source] & kept[lineage.target] & ((past[later] == earlier) | ~own.own[later])
    new = np.flatnonzero((past >= 0) & (past != own.past))
    source = np.concatenate([lineage.source[stays], past[new]])
    target = np.concatenate([lineage.target[stays], new])
    old_confidence = np.where(
        np.isin(earlier * n + later, fixed.linked[:, 0] * n + fixed.linked[:, 1]), np.float32(1), lineage.confidence
    )
    confidence = np.concatenate([old_confidence[stays], np.ones(len(new), np.float32)])
    counts = [np.bincount(each, minlength=n) for each in (lineage.source, source)]
    within = lineage.track[source] == lineage.track[target]
    given = np.isin(source, fixed.linked[:, 0])
    # the only daughter of a track of another program stays a daughter, unless an edit names her
    continues = (counts[1][source] == 1) & (within | given | (counts[0][source] != counts[1][source]))
    order = np.lexsort((target, source))
    return _Links(source[order], target[order], confidence[order], continues[order])


def _number_tracks(lineage: Lineage, links: _Links, kept: BoolArray) -> IntArray:
    """Return the track of each cell that is kept, shape (N,).

    A track has the id of the lineage's track to which its first cell belongs, if no earlier cell has it.
    """
    first = np.arange(len(lineage.track))
    first[links.target[links.continues]] = links.source[links.continues]
    while not np.array_equal(first[first], first):
        first = first[first]
    begins = np.unique(first[kept])
    old = lineage.track[begins]
    _, earliest = np.unique(old, return_index=True)
    name = np.zeros(len(begins), np.int64)
    name[earliest] = old[earliest]
    name[name == 0] = int(lineage.tracks.id.max(initial=0)) + 1 + np.arange(int((name == 0).sum()))
    number = np.zeros(len(first), np.int64)
    number[begins] = name
    return number[first]
