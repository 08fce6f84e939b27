"""Long work beside the window of napari: in a thread, with progress, and stopped at the next step on request."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QThread, Signal

from gnntrack.user_warnings import record_warnings

if TYPE_CHECKING:
    from collections.abc import Callable

    from gnntrack.types import Progress

__all__ = ["Job", "StopRequest"]

_PAUSE = 0.05  # seconds between two signals of progress


class StopRequest(BaseException):
    """The user has stopped the work; like KeyboardInterrupt it is not an Exception, so that only `Job` catches it."""


class Job(QThread):  # type: ignore[misc]
    """A function that runs in a thread.

    Parameters
    ----------
    work : callable
        Takes a function that is called after each step (`gnntrack.protocols.Progress`), and returns the result.
    parent : QObject
        The widget that waits for it.
    """

    progressed = Signal(str, int, int)
    """Stage, steps done, and their number."""
    done = Signal(object, object)
    """The result, and a list of warnings."""
    failed = Signal(object)
    """The exception."""
    stopped = Signal()

    def __init__(self, work: Callable[[Progress], Any], parent: QObject) -> None:
        super().__init__(parent)
        self._work = work
        self._stop = threading.Event()
        self._shown = 0.0

    def stop(self) -> None:
        """Ask the work to end; it does at its next step."""
        self._stop.set()

    def run(self) -> None:
        """Do the work; Qt calls this in the thread."""
        try:
            with record_warnings() as warnings:
                result = self._work(self._report)
        except StopRequest:
            self.stopped.emit()
        except Exception as error:  # noqa: BLE001  (the window shows it)
            self.failed.emit(error)
        else:
            self.done.emit(result, list(warnings))

    def _report(self, stage: str, done: int, total: int, /) -> None:
        if self._stop.is_set():
            raise StopRequest
        now = time.monotonic()
        if now - self._shown > _PAUSE or done == total:
            self._shown = now
            self.progressed.emit(stage, done, total)
