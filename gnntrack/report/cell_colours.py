"""Colours of the cells and tracks of a lineage: by family, track, generation or confidence, with their key."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.errors import InputError
from gnntrack.lineage.families import count_generations, find_roots
from gnntrack.report.palette import choose_family_colours
from gnntrack.types import Lineage, Tracks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.types import BoolArray, FloatArray

__all__ = ["COLOURINGS", "CellColours", "choose_cell_colours", "select_lineage", "select_tracks"]

COLOURINGS = ("family", "track", "generation", "confidence")

# Okabe and Ito (2008): colours that colour-blind readers distinguish
_SKY, _ORANGE, _GREEN, _PINK, _YELLOW, _BLUE, _RED = (
    (0.34, 0.71, 0.91), (0.90, 0.62, 0.0), (0.0, 0.62, 0.45), (0.80, 0.47, 0.65), (0.85, 0.78, 0.15),
    (0.10, 0.50, 0.80), (0.84, 0.37, 0.0),
)  # fmt: skip
_GREY = (0.65, 0.65, 0.65)
_GENERATIONS = np.array([_SKY, _ORANGE, _GREEN, _PINK, _YELLOW, _BLUE, _RED])
_CLASSES = np.array([_RED, _ORANGE, _GREEN, _SKY])
_LIMITS = (0.5, 0.9, 0.99)
_CLASS_NAMES = ("below 0.5", "0.5 to 0.9", "0.9 to 0.99", "0.99 or more")


class CellColours(NamedTuple):
    """Colours, red, green and blue in [0, 1]."""

    cells: FloatArray
    """(N, 3), of each cell."""
    tracks: FloatArray
    """(K, 3), of each row of the table of tracks."""
    title: str
    """Of the key; empty if there is no key."""
    key: list[tuple[str, tuple[float, float, float]]]
    """Texts and their colours."""


def choose_cell_colours(lineage: Lineage, by: str = "family") -> CellColours:
    """Return the colours of the cells and tracks of a lineage.

    Parameters
    ----------
    lineage : Lineage
        A solved movie.
    by : {"family", "track", "generation", "confidence"}
        ``"family"``: a track and all its descendants have the same colour; ``"track"``: each has its own;
        ``"generation"``: by the number of divisions since the first ancestor; ``"confidence"``: of the link into a
        cell, and of a track.

    Raises
    ------
    InputError
        If `by` is another text.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((2, 20, 20), np.uint8)
    >>> masks[:, 5:11, 5:11] = 1
    >>> lineage = gnntrack.track(masks=masks)
    >>> colours = choose_cell_colours(lineage, "generation")
    >>> colours.title, [text for text, _ in colours.key]
    ('generation', ['0'])
    """
    tracks = lineage.tracks
    row = np.searchsorted(tracks.id, lineage.track)
    if by in ("family", "track"):
        colours = choose_family_colours(find_roots(tracks) if by == "family" else tracks.id).reshape(-1, 3)
        return CellColours(colours[row], colours, "", [])
    if by == "generation":
        generation = count_generations(tracks)
        last = min(int(generation.max(initial=0)), len(_GENERATIONS) - 1)
        texts = [f"{k} or more" if 0 < k == last < generation.max() else str(k) for k in range(last + 1)]
        colours = _GENERATIONS[np.minimum(generation, last)]
        return CellColours(colours[row], colours, by, list(zip(texts, map(tuple, _GENERATIONS.tolist()), strict=False)))
    if by != "confidence":
        msg = f"colours by {by!r}: expected one of {', '.join(COLOURINGS)}"
        raise InputError(msg)
    into = np.full(len(lineage.cells), np.nan)
    into[lineage.target] = lineage.confidence
    classes = list(zip(_CLASS_NAMES, map(tuple, _CLASSES.tolist()), strict=True))
    return CellColours(_classify(into), _classify(lineage.track_confidence), by, [*classes[::-1], ("no link", _GREY)])


def _classify(confidence: FloatArray) -> FloatArray:
    """Return the colours of confidences, grey for NaN."""
    colours = _CLASSES[np.searchsorted(_LIMITS, np.nan_to_num(confidence), side="right")]
    return np.where(np.isnan(confidence)[:, None], _GREY, colours)


def select_tracks(
    lineage: Lineage, *, tracks: Sequence[int] | None = None, families: Sequence[int] | None = None
) -> BoolArray:
    """Return which rows of the table of tracks are shown, (K,) bool: all, unless some are named.

    Parameters
    ----------
    lineage : Lineage
        A solved movie.
    tracks : sequence of int, optional
        Ids of tracks that are shown.
    families : sequence of int, optional
        Ids of tracks whose families are shown: each with its ancestors, descendants and relatives.

    Raises
    ------
    InputError
        If the lineage lacks a track.
    """
    table = lineage.tracks
    if tracks is None and families is None:
        return np.ones(len(table), bool)
    single, kin = (np.array([] if ids is None else ids, np.int64).ravel() for ids in (tracks, families))
    named = np.concatenate([single, kin])
    missing = named[~np.isin(named, table.id)]
    if len(missing) or not len(named):
        known = f"the ids are {table.id[0]} to {table.id[-1]}" if len(table) else "the lineage is empty"
        msg = f"no track {missing[0]}; {known}" if len(missing) else f"no track is selected; {known}"
        raise InputError(msg)
    roots = find_roots(table)
    return np.asarray(np.isin(table.id, single) | np.isin(roots, roots[np.isin(table.id, kin)]))


def select_lineage(lineage: Lineage, shown: BoolArray) -> Lineage:
    """Return the lineage of some of its tracks; those whose parent is not among them have no parent.

    Parameters
    ----------
    lineage : Lineage
        A solved movie.
    shown : (K,) bool
        Rows of the table of tracks, such as those of `select_tracks`.
    """
    table = lineage.tracks
    cells = shown[np.searchsorted(table.id, lineage.track)]
    links = cells[lineage.source] & cells[lineage.target]
    row = np.cumsum(cells) - 1
    parent = np.where(np.isin(table.parent, table.id[shown]), table.parent, 0)
    return lineage.change_cells(
        np.where(cells, row, -1),
        cells=lineage.cells.select(cells),
        track=lineage.track[cells],
        tracks=Tracks(table.id[shown], table.start[shown], table.end[shown], parent[shown]),
        source=row[lineage.source[links]],
        target=row[lineage.target[links]],
        confidence=lineage.confidence[links],
    )
