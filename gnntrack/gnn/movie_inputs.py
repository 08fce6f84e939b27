"""Columns of a movie: the scales and rates that the classical model fitted to it, the same for each of its cells.

With them a network can learn when the classical scores are to be corrected: what is right in a crowd of fast cells is
wrong in a clear movie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gnntrack.types import LinkScores

__all__ = ["MOVIE_INPUTS", "make_movie_columns"]

_LOGARITHMS = (
    *("residual", "neighbour_residual", "size_change", "start_rate", "end_rate", "division_rate", "miss_rate"),
    *("crowding", "unclear", "unlinked"),
)
_LEAST = 1e-3  # smaller statistics count as this one

MOVIE_INPUTS = ("movie_images", *(f"movie_{name}" for name in _LOGARITHMS))
"""Columns per movie: statistics of `gnntrack.scores.movie_statistics`, as logarithms but for ``images``."""


def make_movie_columns(prior: LinkScores) -> dict[str, float]:
    """Return the columns of a movie by name; those without a statistic are missing or NaN.

    Parameters
    ----------
    prior : LinkScores
        Classical scores with the statistics of the movie.

    Examples
    --------
    >>> from gnntrack.types import LinkScores
    >>> make_movie_columns(LinkScores([0.5], movie={"images": 1.0, "start_rate": 1.0, "end_rate": 0.0}))
    {'movie_images': 1.0, 'movie_start_rate': 0.0, 'movie_end_rate': -6.907755278982137}
    """
    known = prior.movie or {}
    rates = {f"movie_{name}": float(np.log(np.maximum(known[name], _LEAST))) for name in _LOGARITHMS if name in known}
    return ({"movie_images": known["images"]} if "images" in known else {}) | rates
