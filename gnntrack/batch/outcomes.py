"""The outcomes of a batch: a row for each position."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from gnntrack.io.tables import write_csv
from gnntrack.plurals import count_noun

__all__ = ["Outcome", "describe_fallbacks", "write_outcomes"]

_MOST_NAMES = 3  # of positions that a line lists


@dataclass(frozen=True)
class Outcome:
    """One row of the table of a batch."""

    position: str
    status: str
    """``done``, ``kept`` (finished by an earlier run), ``empty`` (a result without cells, since all ways failed or no
    time was left) or ``failed`` (no result)."""
    frames: int | None = None
    cells: int | None = None
    tracks: int | None = None
    divisions: int | None = None
    seconds: float | None = None
    fallback: str = ""
    """How it was tracked, ``""`` if as asked."""
    warnings: str = ""
    error: str = ""
    """Why it failed, or why there is a fall-back."""
    images: str = ""
    masks: str = ""
    points: str = ""
    result: str = ""


def write_outcomes(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write the table of a batch, a row per position."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {each.name: np.array([getattr(row, each.name) for row in outcomes], object) for each in fields(Outcome)}
    write_csv(columns, path, overwrite=True)


def describe_fallbacks(outcomes: Sequence[Outcome]) -> str:
    """Return one line about the positions that were not tracked as asked, "" if there are none.

    Examples
    --------
    >>> rows = [Outcome("a", "done", fallback="hungarian in place of gnn"), Outcome("b", "empty", fallback="empty")]
    >>> describe_fallbacks(rows)
    '2 positions: 1 hungarian in place of gnn (a), 1 empty (b)'
    >>> describe_fallbacks([Outcome("a", "done")])
    ''
    """
    kinds = Counter(row.fallback for row in outcomes if row.fallback)
    if not kinds:
        return ""
    listed = []
    for kind, number in kinds.most_common():
        names = [row.position for row in outcomes if row.fallback == kind]
        more = [f"{number - _MOST_NAMES} more"] if number > _MOST_NAMES else []
        listed.append(f"{number} {kind} ({', '.join([*names[:_MOST_NAMES], *more])})")
    return f"{count_noun(sum(kinds.values()), 'position')}: {', '.join(listed)}"
