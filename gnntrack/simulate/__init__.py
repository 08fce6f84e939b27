"""Movies with a known lineage: cells that move, grow, divide, die, touch, enter and leave, with images, masks, truth."""

from __future__ import annotations

from gnntrack.simulate.movie import SimulatedCells, SimulatedMovie, simulate_cells, simulate_movie, write_movie

__all__ = ["SimulatedCells", "SimulatedMovie", "simulate_cells", "simulate_movie", "write_movie"]
