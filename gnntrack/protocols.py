"""Protocols of the objects that callers pass in: movies, and the display of progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

__all__ = ["FrameStack", "Progress"]


class Progress(Protocol):
    """A function that is called after each step of long work: name of the stage, steps done, number of steps."""

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        """Receive the state of the work."""


@runtime_checkable
class FrameStack(Protocol):
    """A movie that is read frame by frame.

    ``stack[t]`` is a ``(Y, X)`` or ``(Z, Y, X)`` array; frames are not kept in memory.
    """

    spacing: tuple[float, ...]
    """Size of a pixel along ``[z], y, x``, in ``unit``."""
    unit: str
    """``"um"`` or ``"pixel"``."""
    names: Sequence[str]
    """A name per frame for messages, such as the file it is read from."""
    shape: tuple[int, ...]
    """Shape of one frame, ``(Y, X)`` or ``(Z, Y, X)``."""

    def __len__(self) -> int: ...

    def __getitem__(self, frame: int, /) -> npt.NDArray[Any]: ...
