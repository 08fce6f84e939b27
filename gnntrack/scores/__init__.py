"""Scores of candidate links and of division candidates. A scorer is chosen by name from `SCORERS`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
