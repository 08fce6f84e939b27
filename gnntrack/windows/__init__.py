"""Large movies: tracked in windows of frames with scales that are estimated once, and joined."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
