"""TrainingResult networks on disk: a folder of safetensors and JSON, and the device that a network runs on."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
