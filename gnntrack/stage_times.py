"""Time and memory of the stages of a run, such as reading and solving; they are recorded in ``summary.json``."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

StageTimes = dict[str, dict[str, float | None]]
"""Stages by name, each with ``seconds``, ``cpu_seconds`` and ``peak_mb``."""

__all__ = ["StageTimes", "add_stages", "measure_peak_memory", "record_stages", "time_stage"]


@dataclass
class _Used:
    """Time of the stages within another one."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0


_CURRENT: ContextVar[StageTimes | None] = ContextVar("stage_times", default=None)
_INNER: ContextVar[_Used | None] = ContextVar("inner_stages", default=None)


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
    tokens = _CURRENT.set(stages), _INNER.set(None)
    try:
        yield stages
    finally:
        _CURRENT.reset(tokens[0])
        _INNER.reset(tokens[1])


@contextmanager
def time_stage(name: str) -> Iterator[None]:
    """Time a stage of the run, without the stages that are timed within it; one that comes several times is added up.

    Nothing is recorded outside of a run.
    """
    if _CURRENT.get() is None:
        yield
        return
    add_stages({name: {"seconds": 0.0, "cpu_seconds": 0.0, "peak_mb": None}})  # in the order of the starts
    around, inner = _INNER.get(), _Used()
    token = _INNER.set(inner)
    start, processor = time.perf_counter(), _measure_processor()
    try:
        yield
    finally:
        _INNER.reset(token)
        seconds, cpu_seconds, peak = (
            time.perf_counter() - start,
            _measure_processor() - processor,
            measure_peak_memory(),
        )
        own = {"seconds": seconds - inner.seconds, "cpu_seconds": cpu_seconds - inner.cpu_seconds}
        add_stages({name: {**own, "peak_mb": None if peak is None else round(peak / 1e6, 1)}})
        if around is not None:
            around.seconds += seconds
            around.cpu_seconds += cpu_seconds


def add_stages(more: Mapping[str, Mapping[str, float | None]]) -> None:
    """Add stages, such as those of another process, to those of the run: times are added, the larger memory is kept.

    Nothing is recorded outside of a run.

    Examples
    --------
    >>> with record_stages() as stages:
    ...     for peak in (7.5, 6.0):
    ...         add_stages({"solving": {"seconds": 1.5, "cpu_seconds": 1.0, "peak_mb": peak}})
    >>> stages
    {'solving': {'seconds': 3.0, 'cpu_seconds': 2.0, 'peak_mb': 7.5}}
    """
    stages = _CURRENT.get()
    if stages is None:
        return
    for name, used in more.items():
        before = stages.get(name, {})
        peaks = [peak for peak in (before.get("peak_mb"), used["peak_mb"]) if peak is not None]
        times = {unit: round((before.get(unit) or 0.0) + (used[unit] or 0.0), 3) for unit in ("seconds", "cpu_seconds")}
        stages[name] = {**times, "peak_mb": max(peaks, default=None)}


def _measure_processor() -> float:
    """Return the seconds that the processors have worked for this process and those that it has started and awaited."""
    return sum(os.times()[:4])
