"""Output of commands: progress bars while they work, a summary and tables at the end."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

import click

from gnntrack.durations import format_duration
from gnntrack.progress_bars import connect_bars, make_bars, open_progress
from gnntrack.stage_times import measure_peak_memory

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from gnntrack.types import Progress

__all__ = [
    "Stopwatch",
    "TrainingDisplay",
    "describe_cost",
    "describe_units",
    "format_bytes",
    "format_figures",
    "show_progress",
    "show_rows",
    "show_table",
    "show_training",
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


def _has_terminal() -> bool:
    """Return whether stderr is a terminal; a program that is started without stderr has None."""
    stderr: TextIO | None = sys.stderr
    return stderr is not None and stderr.isatty()


@contextmanager
def show_progress() -> Iterator[Progress | None]:
    """Show a progress bar per stage on stderr; yield None if stderr is not a terminal."""
    with open_progress(_has_terminal()) as progress:
        yield progress


class TrainingDisplay:
    """Output of a training on stderr: a bar with the loss if it is a terminal, and a line per validation.

    ``step`` is the latest step, 0 before the first.
    """

    def __init__(self, bars: Bars | None) -> None:
        self.step = 0
        self._bars = bars
        self._show = None if bars is None else connect_bars(bars)

    def progress(self, stage: str, done: int, total: int, /) -> None:
        """Show the steps done of a stage."""
        if stage == "training":
            self.step = done
        if self._show is not None:
            self._show(stage, done, total)

    def report(self, row: Mapping[str, Any]) -> None:
        """Show a row of the log."""
        text = format_figures(row)
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
def show_training() -> Iterator[TrainingDisplay]:
    """Show a training while it runs; without bars if stderr is not a terminal."""
    if not _has_terminal():
        yield TrainingDisplay(None)
        return
    with make_bars() as bars:
        yield TrainingDisplay(bars)


def format_figures(row: Mapping[str, Any]) -> str:
    """Return the figures of a row of the log in words; figures without a value are skipped.

    >>> format_figures({"step": 400, "loss": 0.2514, "validation_link_error": 0.00412, "best": 1})
    'loss 0.2514, link error 0.00412, the best so far'
    >>> format_figures({"step": 50, "loss": 0.31, "validation_link_error": None, "best": 0})
    'loss 0.3100'
    """
    figures = [
        f"{name} {float(row[column]):{form}}"
        for column, (name, form) in _FIGURES.items()
        if row.get(column) not in {None, ""} and math.isfinite(float(row[column]))
    ]
    return ", ".join([*figures, "the best so far"] if row.get("best") in {1, "1"} else figures)


class Stopwatch:
    """Measures the time since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self._start


def format_bytes(count: float | None) -> str:
    """Return a number of bytes with a unit, or "unknown" for None.

    >>> format_bytes(1_234_567), format_bytes(5_600_000_000)
    ('1.2 MB', '5.6 GB')
    """
    from rich.filesize import decimal

    return "unknown" if count is None else decimal(int(count))


def describe_cost(watch: Stopwatch) -> list[tuple[str, object]]:
    """Return the rows of a summary for the time since `watch` was made, and for the memory of the process."""
    return [("time", f"{watch.seconds:.1f} s"), ("memory", f"{format_bytes(measure_peak_memory())} at most")]


def describe_units(
    spacing: Sequence[float], unit: str, interval: float | None, *, from_names: bool = False
) -> list[tuple[str, object]]:
    """Return the rows of a summary for the pixel size and the frame interval, or the options that give them.

    >>> describe_units((0.5, 0.5), "um", 300.0)
    [('pixel', '0.5 x 0.5 um (y, x)'), ('interval', '5 min')]
    """
    axes = "y, x" if len(spacing) == 2 else "z, y, x"
    cubes = "; voxels are taken as cubes" if len(spacing) == 3 and len(set(spacing)) == 1 else ""
    size = f"size unknown{cubes}; give --spacing {axes.upper().replace(', ', ',')} for results in um"
    if unit == "um":
        size = f"{' x '.join(f'{each:g}' for each in spacing)} um ({axes})"
    time = "unknown; give --interval, such as 5min, for times and speeds"
    if interval is not None:
        time = format_duration(interval) + (", from the time stamps in the file names" if from_names else "")
    return [("pixel", size), ("interval", time)]


def show_rows(rows: Iterable[tuple[str, object]]) -> None:
    """Print names and values in two columns on stdout."""
    rows = [(name, str(value)) for name, value in rows]
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {value}".rstrip())


def show_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on stdout; its first column is aligned left, the others right.

    >>> show_table(["", "TRA", "SEG"], [["01_RES", 1.0, "-"]])
            TRA  SEG
    01_RES  1.0    -
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="")
    for k, name in enumerate(header):
        table.add_column(name, justify="right" if k else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(str, row))
    console = Console(
        width=10_000, color_system=None, markup=False, emoji=False, highlight=False
    )  # a line is never broken
    with console.capture() as capture:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))
