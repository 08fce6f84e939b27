"""Scores of a result against ground truth: tracking (Cell Tracking Challenge metrics) and segmentation."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
