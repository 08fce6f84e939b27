"""Movies with a known lineage: cells move, grow, divide, die, touch, enter and leave; images, masks and truth."""

from __future__ import annotations

from gnntrack.simulate.movie import SimulatedCells, SimulatedMovie, simulate_cells, simulate_movie, write_movie

__all__ = ["SimulatedCells", "SimulatedMovie", "simulate_cells", "simulate_movie", "write_movie"]
