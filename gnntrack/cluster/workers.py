"""Child processes that do one task after the other, and that can be ended without an effect on the others."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any

from gnntrack.user_warnings import show_warnings

__all__ = ["Worker"]

_PATIENCE = 1.0  # seconds in which a process must end


class Worker:
    """A child process.

    It starts without the memory of this process, and ends with it. Functions, arguments and results are
    sent, so that these must be known by their names in an installed module or be plain. The script that runs is not
    imported again in the child, so that it needs no ``if __name__ == "__main__":``.

    Parameters
    ----------
    environment : mapping, optional
        Variables of the environment that the process has beside those of this process.

    Examples
    --------
    >>> worker = Worker()
    >>> worker.send(divmod, 7, 2)
    >>> worker.receive()
    (3, 1)
    >>> worker.end()
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        context = get_context("spawn")
        self.pipe, other = context.Pipe()
        """Becomes readable when a result is there, or when the process has ended."""
        self._process = context.Process(target=_serve, args=(other,), daemon=True)
        with _hide_script(), _set_variables(environment or {}):
            self._process.start()
        other.close()

    def send(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Start a task."""
        self.pipe.send((function, arguments))

    def receive(self) -> Any:
        """Return the result of the task; wait for it if necessary.

        Raises
        ------
        EOFError
            If the process ended before.
        """
        return self.pipe.recv()

    def terminate(self) -> None:
        """Ask the process to end; it can remove its unfinished files."""
        self._process.terminate()

    def end(self) -> None:
        """End the process, whatever it does."""
        self.terminate()
        self._process.join(_PATIENCE)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        self.pipe.close()

    def find_end(self) -> int | None:
        """Return the exit code of a process that has ended by itself."""
        self._process.join(1)
        code = self._process.exitcode
        self.end()
        return code


@contextmanager
def _hide_script() -> Iterator[None]:
    """Replace the main module by an empty one, since a child process would run a script again that has no guard."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


@contextmanager
def _set_variables(environment: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment, which a process has from its start on."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(pipe: Connection) -> None:
    """Do tasks until the other end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the main process, and this one with it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    show_warnings()
    with suppress(EOFError, OSError):
        while True:
            function, arguments = pipe.recv()
            pipe.send(function(*arguments))


def _end_with_parent() -> None:
    """End this process when the one that started it has ended, even by SIGKILL: in the middle of a task.

    Otherwise the process would hold the lock of its output, and write into a folder that the next run uses.
    """
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
