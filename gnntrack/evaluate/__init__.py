"""Scores of a result against ground truth: tracking (Cell Tracking Challenge metrics), points, and segmentation.

The package is also the recipe of the same name: ``gnntrack.evaluate(result, truth)``.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import lazy_loader

if TYPE_CHECKING:
    from gnntrack.evaluate.graphs import Source

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


class _Package(ModuleType):
    """The package as a function, since as an attribute of `gnntrack` it hides a function of its name."""

    def __call__(self, result: "Source", truth: "Source", **options: Any) -> dict[str, Any]:
        """Score a result against its ground truth; see `gnntrack.pipeline.evaluate`."""
        from gnntrack.evaluate.lineages import evaluate_result

        return evaluate_result(result, truth, **options)


sys.modules[__name__].__class__ = _Package
