"""Defaults of the evaluation of graphs; this module loads nothing, so that the command line can show them."""

from __future__ import annotations

__all__ = ["GATE"]

GATE = 7.0
"""Largest distance of two points that match, in um: that of the embryo competition of 2026."""
