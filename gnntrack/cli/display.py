"""What a command shows: progress while it works, a summary and tables when it is done."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from gnntrack.types import Progress

__all__ = [
    "ShownTraining",
    "peak_memory",
    "show_rows",
    "show_table",
    "shown_bytes",
    "shown_figures",
    "shown_progress",
    "shown_training",
    "stopwatch",
]

_FIGURES = {
    "loss": ("loss", ".4f"),
    "validation_link_error": ("link error", ".5f"),
    "validation_division_f1": ("division F1", ".3f"),
    "validation_dice": ("Dice", ".4f"),
    "validation_seg": ("SEG", ".4f"),
    "validation_f1": ("F1", ".4f"),
    "validation_score": ("score", ".4f"),
}


@contextmanager
def shown_progress() -> Iterator[Progress | None]:
    """Give a progress bar per stage on stderr, or None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with _bars() as bars:
        yield _shower(bars)


def _bars() -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Bars(
        *columns,
        TimeRemainingColumn(),
        TextColumn("{task.fields[beside]}"),
        console=Console(stderr=True),
        transient=True,
    )


def _shower(bars: Bars) -> Progress:
    """Return what shows a stage as a bar; its text beside the bar may be updated."""
    task_of: dict[str, TaskID] = {}

    def show(stage: str, done: int, total: int, /) -> None:
        if stage not in task_of:
            task_of[stage] = bars.add_task(stage, total=total, beside="")
        bars.update(task_of[stage], completed=done, total=total)

    return show


class ShownTraining:
    """A training as it goes on: a bar with the loss on a terminal, and a line per validation, on stderr.

    ``step`` is the last step that was told, 0 before the first.
    """

    def __init__(self, bars: Bars | None) -> None:
        self.step = 0
        self._bars = bars
        self._show = None if bars is None else _shower(bars)

    def progress(self, stage: str, done: int, total: int, /) -> None:
        """Show how far a stage is."""
        if stage == "training":
            self.step = done
        if self._show is not None:
            self._show(stage, done, total)

    def report(self, row: Mapping[str, Any]) -> None:
        """Show a row of the log."""
        text = shown_figures(row)
        if self._bars is not None:
            for task in self._bars.tasks:
                if task.description == "training":
                    self._bars.update(task.id, beside=text.partition(",")[0])
        if "score" in text:
            line = f"step {int(row['step'])}: {text}"
            if self._bars is None:
                click.echo(line, err=True)
            else:
                self._bars.console.print(line, highlight=False)


@contextmanager
def shown_training() -> Iterator[ShownTraining]:
    """Give what shows a training while it goes on."""
    if not sys.stderr.isatty():
        yield ShownTraining(None)
        return
    with _bars() as bars:
        yield ShownTraining(bars)


def shown_figures(row: Mapping[str, Any]) -> str:
    """Return the figures of a row of the log for people; those that were not taken are left out.

    >>> shown_figures({"step": 400, "loss": 0.2514, "validation_link_error": 0.00412, "best": 1})
    'loss 0.2514, link error 0.00412, the best so far'
    >>> shown_figures({"step": 50, "loss": 0.31, "validation_link_error": None, "best": 0})
    'loss 0.3100'
    """
    shown = [
        f"{name} {float(row[column]):{form}}"
        for column, (name, form) in _FIGURES.items()
        if row.get(column) not in {None, ""} and math.isfinite(float(row[column]))
    ]
    return ", ".join([*shown, "the best so far"] if row.get("best") in {1, "1"} else shown)


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
