"""What a command shows: progress while it works, a summary and tables when it is done."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from gnntrack.types import Progress

__all__ = ["peak_memory", "show_rows", "show_table", "shown_progress", "stopwatch"]


@contextmanager
def shown_progress() -> Iterator[Progress | None]:
    """Give a progress bar per stage on stderr, or None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bars:
        task_of: dict[str, Any] = {}

        def show(stage: str, done: int, total: int, /) -> None:
            if stage not in task_of:
                task_of[stage] = bars.add_task(stage, total=total)
            bars.update(task_of[stage], completed=done, total=total)

        yield show


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self._start


def stopwatch() -> Stopwatch:
    """Return a running stopwatch."""
    return Stopwatch()


def peak_memory() -> int | None:
    """Return the most memory this process has held, in bytes; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def shown_bytes(count: float | None) -> str:
    """Return a number of bytes for people.

    >>> shown_bytes(1_234_567), shown_bytes(5_600_000_000)
    ('1.23 MB', '5.6 GB')
    """
    if count is None:
        return "unknown"
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def show_rows(rows: Iterable[tuple[str, object]]) -> None:
    """Print names and values in two columns, on stdout."""
    rows = [(name, str(value)) for name, value in rows]
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {value}".rstrip())


def show_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table with its first column left and the others right, on stdout."""
    text = [list(map(str, row)) for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*text, strict=True)]
    for row in text:
        cells = [f"{row[0]:<{widths[0]}}", *(f"{cell:>{w}}" for cell, w in zip(row[1:], widths[1:], strict=True))]
        click.echo("  ".join(cells).rstrip())
