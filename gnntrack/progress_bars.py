"""Progress bars on stderr, or in a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from gnntrack.protocols import Progress

__all__ = ["connect_bars", "make_bars", "open_progress"]


@contextmanager
def open_progress(progress: object) -> Iterator[Progress | None]:
    """Yield the function that a recipe reports its progress to.

    Parameters
    ----------
    progress : Progress, bool or None
        True shows a bar per stage; a function is yielded as it is; None and False show nothing.

    Raises
    ------
    TypeError
        If it is something else.

    Examples
    --------
    >>> with open_progress(False) as report:
    ...     print(report)
    None
    """
    if progress is None or progress is False:
        yield None
    elif progress is True:
        with make_bars() as bars:
            yield connect_bars(bars)
    elif callable(progress):
        yield cast("Progress", progress)
    else:
        msg = f"progress={progress!r}: expected True, or a function that takes a stage, steps done and their number"
        raise TypeError(msg)


def make_bars() -> Bars:
    """Return progress bars that vanish when they are done; they are shown inside a ``with`` block."""
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


def connect_bars(bars: Bars) -> Progress:
    """Return a `Progress` that shows each stage as a bar, with an empty text beside it."""
    task_of: dict[str, TaskID] = {}

    def show(stage: str, done: int, total: int, /) -> None:
        if stage not in task_of:
            task_of[stage] = bars.add_task(stage, total=total, beside="")
        bars.update(task_of[stage], completed=done, total=total)

    return show
