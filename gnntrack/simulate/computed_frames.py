"""Frames that are computed when they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gnntrack.types import Image

__all__ = ["ComputedFrames"]


@dataclass
class ComputedFrames:
    """Frames that are computed when they are read (a ``FrameStack``).

    Parameters
    ----------
    make : function
        Returns the frame of a number from 0.
    names : strings
        A name per frame, for messages.
    shape : tuple of int
        Shape of a frame.
    spacing : tuple of float
        Size of a pixel along [z], y, x.
    unit : str
        Of the spacing.
    """

    make: Callable[[int], Image]
    names: Sequence[str]
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    unit: str = "um"

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, frame: int, /) -> Image:
        return self.make(range(len(self.names))[frame])
