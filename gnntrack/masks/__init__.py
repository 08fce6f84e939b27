"""Label images as run lengths: encoding, decoding and removal of fragments."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
