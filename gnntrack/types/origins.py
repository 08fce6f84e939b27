"""Origins of the cells of a result: the masks of the input that they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gnntrack.types.columns import IntArray

__all__ = ["MASK_KINDS", "MaskOrigins"]

MASK_KINDS = ("given", "filled", "merged", "split")
"""Kinds of masks: as in the input; drawn in a gap; a cell and its fragments; one mask divided between two cells."""


class MaskOrigins(NamedTuple):
    """Origin of the mask of each cell of a result."""

    input_label: IntArray
    """Label in the masks that were tracked, shape (N,); 0 for a mask drawn in a gap."""
    kind: IntArray
    """Index into `MASK_KINDS`, shape (N,)."""
