"""Divisions, decided again with several frames before and after them."""

from gnntrack.events.revision import revise_divisions

__all__ = ["revise_divisions"]
