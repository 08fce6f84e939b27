"""Movies with a known lineage: cells move, grow, divide, die, touch, enter and leave; images, masks and truth.

`simulate_kind` makes movies of other kinds of cells, such as bacteria and epithelia, and `simulate_embryo` nuclei of an
embryo, as points and volumes.

The package is also the recipe of the same name: ``gnntrack.simulate(frames=6)``.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from gnntrack.simulate.embryo import SimulatedEmbryo, draw_embryo_settings, simulate_embryo
from gnntrack.simulate.kinds import draw_kind_settings, simulate_kind
from gnntrack.simulate.movie import SimulatedCells, SimulatedMovie, simulate_cells, simulate_movie, write_movie

__all__ = [
    "SimulatedCells",
    "SimulatedEmbryo",
    "SimulatedMovie",
    "draw_embryo_settings",
    "draw_kind_settings",
    "simulate_cells",
    "simulate_embryo",
    "simulate_kind",
    "simulate_movie",
    "write_movie",
]


class _Package(ModuleType):
    """The package as a function, since as an attribute of `gnntrack` it hides a function of its name."""

    def __call__(self, *arguments: Any, **options: Any) -> SimulatedMovie:
        """Make a movie with a known lineage; see `gnntrack.pipeline.simulate`."""
        from gnntrack.movie_recipes import simulate

        return simulate(*arguments, **options)


sys.modules[__name__].__class__ = _Package
