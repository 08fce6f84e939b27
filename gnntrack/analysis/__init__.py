"""Quantities of a lineage: motion, cell cycle and surroundings, per cell and frame, track, family and movie."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
