"""Measurements of every cell: size, shape, intensity, surface and skeleton."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
