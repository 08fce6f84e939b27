"""Many movies in one run: the positions of an experiment, found in a folder and tracked."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
