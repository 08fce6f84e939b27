r"""gnntrack: masks of a microscopy movie go in, a verified lineage comes out, and a graph carries it all the way.

::

    images --segmenters--> masks --cells--> Cells --graph--> CellGraph --scores | gnn--> LinkScores
                                                                 |                          |
                                                                 +---------- solvers <------+
                                                                                | chosen links
                                                                             lineage --> Lineage --> io.ctc | io.geff
                                                                                            \--> evaluate | report

Importing this package loads none of its stages; each comes with its first use. Evaluation and simulation
are ``gnntrack.evaluate.evaluate_sequences`` and ``gnntrack.pipeline.simulate``: a function beside a module of the
same name would vanish with the module's first import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gnntrack.errors import GnntrackError, InputError
    from gnntrack.io import open_frames
    from gnntrack.pipeline import build_graph, export, segment, solve, track
    from gnntrack.settings import Settings
    from gnntrack.types import CellGraph, Cells, Lineage, LinkScores

__version__ = "0.1.0"

_HOME = {
    "CellGraph": "types",
    "Cells": "types",
    "GnntrackError": "errors",
    "InputError": "errors",
    "Lineage": "types",
    "LinkScores": "types",
    "Settings": "settings",
    "build_graph": "pipeline",
    "export": "pipeline",
    "open_frames": "io",
    "segment": "pipeline",
    "solve": "pipeline",
    "track": "pipeline",
}

__all__ = [
    "CellGraph",
    "Cells",
    "GnntrackError",
    "InputError",
    "Lineage",
    "LinkScores",
    "Settings",
    "__version__",
    "build_graph",
    "export",
    "open_frames",
    "segment",
    "solve",
    "track",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module 'gnntrack' has no attribute '{name}'"
        raise AttributeError(msg)
    return getattr(import_module(f"gnntrack.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
