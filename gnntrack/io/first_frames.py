"""The first frames of a movie, read in another thread while the movie is checked."""

from __future__ import annotations

import math
from collections import deque
from concurrent.futures import Future
from dataclasses import replace
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gnntrack.io.stack import Stack
    from gnntrack.types import Image

__all__ = ["start_reading"]

_BYTES = 1 << 27  # of the frames that are read, if a pixel has 8
_MOST = 24  # frames


def start_reading(stack: Stack) -> Stack:
    """Return a stack whose first frames are being read; each of these is kept until it is asked for.

    Parameters
    ----------
    stack : Stack
        A movie with a file per frame: its frames can be read in any order, and several at once.

    Examples
    --------
    >>> import numpy as np
    >>> from gnntrack.io.stack import Stack
    >>> movie = start_reading(Stack(lambda frame: np.full((2, 3), frame), ["a", "b"], (2, 3), (1.0, 1.0)))
    >>> int(movie[1].max()), int(movie[1].max())
    (1, 1)
    """
    n = min(_BYTES // (8 * math.prod(stack.shape)), _MOST, len(stack))
    ahead: dict[int, Future[Image]] = {frame: Future() for frame in range(n)}
    waiting = deque(ahead.items())

    def read_all() -> None:
        while waiting:
            frame, started = waiting.popleft()
            try:
                started.set_result(stack.read(frame))
            except BaseException as error:  # noqa: BLE001  (it is raised where the frame is used, which waits for it)
                started.set_exception(error)

    Thread(target=read_all, daemon=True).start()  # the end of the program, by Ctrl-C too, does not wait for it

    def read(frame: int) -> Image:
        started = ahead.pop(frame, None)
        return stack.read(frame) if started is None else started.result()

    return replace(stack, read=read)
