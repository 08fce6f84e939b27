"""The time budget of a batch: how the time that is left is shared among the movies that are left.

A movie can be tracked in several *ways*, numbered from the best (0) to the fastest. Which one fits is decided from the
seconds that each way has taken so far in this batch; a way that was not used yet is tried.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

__all__ = ["TimeBudget"]

_LATEST = 5  # movies from which the cost of a way is estimated
_SLACK = 2.0  # shares that a movie may take before it is ended
_MOST = 0.7  # fraction of the time that is left that one movie may take
_RESERVE = (0.02, 30.0)  # fraction of the budget, and most seconds, that are kept for the last files
_LEAST = 0.1  # seconds with which a movie is started
_SAFETY = 0.8  # fraction of a share that is filled with frames


class TimeBudget:
    """The time of a batch.

    Parameters
    ----------
    seconds : float
        All the time, from now on.
    jobs : int
        Movies that are tracked at the same time.
    clock : callable
        Returns the time in seconds; for tests.

    Examples
    --------
    Of 100 s for two movies, the first may take 70 s; the second has the rest, and the way that took 60 s does not fit.

    >>> now = [0.0]
    >>> budget = TimeBudget(100, clock=lambda: now[0])
    >>> budget.choose_way(2, movies=2), budget.find_limit(movies=2)
    (0, 68.6)
    >>> now[0] = 60.0
    >>> budget.record(0, 60.0, frames=10)
    >>> budget.choose_way(2, movies=1), budget.left
    (1, 38.0)
    """

    def __init__(self, seconds: float, *, jobs: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds - min(_RESERVE[0] * seconds, _RESERVE[1])
        self._kept = 0.0
        self._jobs = jobs
        self._seconds: dict[int, list[float]] = {}
        self._per_frame: dict[int, list[float]] = {}

    @property
    def left(self) -> float:
        """Seconds that are left, without those that are kept for the last files; 0 at the end."""
        return max(0.0, self._end - self._kept - self._clock())

    def keep(self, seconds: float) -> None:
        """Keep this time for results without cells of all movies that are left, in place of an earlier estimate.

        >>> budget = TimeBudget(100, clock=lambda: 0.0)
        >>> budget.keep(20 * 0.5)
        >>> budget.left
        88.0
        """
        self._kept = seconds

    @property
    def has_time(self) -> bool:
        """Whether there is time to start a movie."""
        return self.left >= _LEAST

    def find_share(self, *, movies: int) -> float:
        """Return the seconds for one of the movies that are left, itself included."""
        return min(self.left * self._jobs / max(movies, 1), _MOST * self.left)

    def find_limit(self, *, movies: int) -> float:
        """Return the seconds after which a movie that starts now is ended, so that the others have their time."""
        return round(min(_SLACK * self.left * self._jobs / max(movies, 1), _MOST * self.left), 6)

    def record(self, way: int, seconds: float, *, frames: int | None = None) -> None:
        """Add the time of a movie: of a finished one with its frames, or that after which it was ended."""
        self._seconds.setdefault(way, []).append(seconds)
        if frames:
            self._per_frame.setdefault(way, []).append(seconds / frames)

    def expect(self, way: int) -> float | None:
        """Return the seconds that a way takes for a movie: the median of the latest ones, None before the first."""
        latest = self._seconds.get(way, [])[-_LATEST:]
        return median(latest) if latest else None

    def choose_way(self, ways: int, *, movies: int, first: int = 0) -> int | None:
        """Return the best way that fits the share of a movie, None if none does.

        Parameters
        ----------
        ways : int
            Number of ways of this movie.
        movies : int
            Movies that are left, this one included.
        first : int
            The best way that may be chosen; better ones failed.
        """
        share = self.find_share(movies=movies)
        if not self.has_time:
            return None
        costs = [(way, self.expect(way)) for way in range(first, ways)]
        return next((way for way, cost in costs if cost is None or cost <= share), None)

    def count_frames(self, way: int, *, movies: int) -> int | None:
        """Return how many frames of a movie fit its share, from the time per frame of a way; None before the first.

        >>> budget = TimeBudget(100, clock=lambda: 0.0)
        >>> budget.record(1, 40.0, frames=100)
        >>> budget.count_frames(1, movies=10)
        19
        """
        latest = self._per_frame.get(way, [])[-_LATEST:]
        if not latest:
            return None
        return int(_SAFETY * self.find_share(movies=movies) / median(latest))
