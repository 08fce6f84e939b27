"""Whether images to train on are RGB: optional methods of a `gnntrack.training.segmenter.LabelledImage`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gnntrack.training.segmenter import LabelledImage

__all__ = ["has_colours", "keep_colours"]


def has_colours(example: LabelledImage) -> bool:
    """Return whether an image to train on is RGB; it is read for that.

    Images without a method ``has_colours`` are grey.
    """
    return bool(getattr(example, "has_colours", lambda: False)())


def keep_colours(example: LabelledImage) -> LabelledImage:
    """Return an image to train on, read in all three colours if it is RGB.

    Images without a method ``keep_colours`` are returned as they are.
    """
    kept: LabelledImage = getattr(example, "keep_colours", lambda: example)()
    return kept
