"""Parts of a submission to the Cell Tracking Challenge: its files, and the run of its scripts."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
