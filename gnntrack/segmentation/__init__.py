"""Segmenters: their protocol, how they are found, and the segmentation of a movie."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
