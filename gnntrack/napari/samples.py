"""Sample data: simulated movies of dividing cells with their true tracks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gnntrack.movie_recipes import simulate
from gnntrack.napari.layers import make_layers

if TYPE_CHECKING:
    from gnntrack.napari.layers import LayerData

__all__ = ["make_movie", "make_movie_3d"]


def make_movie() -> list[LayerData]:
    """Return images, labels, tracks and cells of a movie of 30 frames."""
    return _make(frames=30, cells=12, shape=(256, 256), seed=3)


def make_movie_3d() -> list[LayerData]:
    """Return images, labels, tracks and cells of a movie of 12 frames of 24 planes."""
    return _make(frames=12, cells=10, shape=(24, 160, 160), seed=1)


def _make(*, seed: int, **options: Any) -> list[LayerData]:
    movie = simulate(seed=seed, **options)
    images = None if movie.images is None else movie.images.frames
    return make_layers(movie.lineage, name="simulated", images=images)[:-1]  # the truth leaves nothing to check
