"""Training of link networks and segmenters: movies, examples, corruption, the loop and checkpoints."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
