"""Solutions of solvers: the chosen links, an upper bound of their total value, and whether time ran out."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gnntrack.settings import SolverSettings
    from gnntrack.types import BoolArray

__all__ = ["Solution", "find_deadline", "is_late"]


class Solution(NamedTuple):
    """Links that a solver chose for their total value, the sum that `gnntrack.solvers.objective` describes."""

    chosen: BoolArray
    """Shape (E,)."""
    bound: float | None = None
    """A total value that no choice of links exceeds; None if the solver does not prove one."""
    stopped: bool = False
    """Whether the time limit ended the search."""


def find_deadline(settings: SolverSettings) -> float:
    """Return the instant of `time.monotonic` at which a solver that starts now has to stop, infinite without limit."""
    return math.inf if settings.time_limit is None else time.monotonic() + settings.time_limit


def is_late(deadline: float) -> bool:
    """Return whether a deadline has passed."""
    return time.monotonic() >= deadline
