"""Time and memory of the stages of a run, such as reading and solving; they are recorded in ``summary.json``."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    StageTimes = dict[str, dict[str, float | None]]

__all__ = ["measure_peak_memory", "record_stages", "time_stage"]

_CURRENT: ContextVar[StageTimes | None] = ContextVar("stage_times", default=None)


def measure_peak_memory() -> int | None:
    """Return the most memory that this process, or one that it started, has held, in bytes.

    Processes count when they have ended. On Windows, which does not report it, None.
    """
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return peak if sys.platform == "darwin" else peak * 1024


@contextmanager
def record_stages() -> Iterator[StageTimes]:
    """Yield the stages that are timed within the context, in the order of their starts.

    Each has ``seconds``, ``cpu_seconds`` (of all threads, and of processes that have ended) and ``peak_mb``: the most
    memory that this process, or one that it started, has held until the end of the stage.

    Examples
    --------
    >>> with record_stages() as stages:
    ...     with time_stage("reading"):
    ...         pass
    >>> list(stages), list(stages["reading"])
    (['reading'], ['seconds', 'cpu_seconds', 'peak_mb'])
    """
    stages: StageTimes = {}
    token = _CURRENT.set(stages)
    try:
        yield stages
    finally:
        _CURRENT.reset(token)


@contextmanager
def time_stage(name: str) -> Iterator[None]:
    """Time a stage of the run; a stage that comes several times is added up. Nothing is recorded outside of a run."""
    stages = _CURRENT.get()
    if stages is None:
        yield
        return
    before = stages.setdefault(name, {"seconds": 0.0, "cpu_seconds": 0.0, "peak_mb": None})
    start, processor = time.perf_counter(), _measure_processor()
    try:
        yield
    finally:
        peak = measure_peak_memory()
        stages[name] = {
            "seconds": round((before["seconds"] or 0) + time.perf_counter() - start, 3),
            "cpu_seconds": round((before["cpu_seconds"] or 0) + _measure_processor() - processor, 3),
            "peak_mb": None if peak is None else round(peak / 1e6, 1),
        }


def _measure_processor() -> float:
    """Return the seconds that the processors have worked for this process and those that it has started and awaited."""
    return sum(os.times()[:4])
