"""Solvers: from scores to links. A solver is chosen by name from `SOLVERS`; `Solver` is their protocol."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
