"""Simulated movies with random settings for training, and their frames as examples."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import InputError
from gnntrack.settings import SimulateSettings
from gnntrack.simulate import SimulatedMovie, simulate_movie
from gnntrack.simulate.kinds import draw_kind_settings, list_dimensions, simulate_kind
from gnntrack.simulate.ranges import Range, draw_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gnntrack.types import Image

__all__ = ["SimulatedExample", "simulate_examples", "simulate_link_movie"]

_FRAMES = 13  # frames of a movie of examples
_EVERY = 4  # every fourth frame of such a movie is an example
_CACHED = 8  # movies of examples in memory
# first numbers of random streams: the settings of a movie and the movie itself are drawn independently
_LINK_STREAM, _EXAMPLE_STREAM = 41, 53
_PLANAR = 0.7  # fraction of the movies for link networks that is 2D


def _list_link_ranges(dimensions: int) -> dict[str, Any]:
    """Return the settings of movies for link networks: cells of many speeds, crowds and cycles, in long movies."""
    return {
        "frames": Range("integer", 30, 70),
        "shape": (384, 384) if dimensions == 2 else (24, 128, 128),
        "cells": Range("integer", 15, 70) if dimensions == 2 else Range("integer", 15, 40),
        "diameter": Range("uniform", 9, 18),
        "clustering": Range("uniform", 0, 0.9),
        "speed": Range("log-uniform", 0.3, 3),
        "persistence": Range("uniform", 0.2, 0.9),
        "drift": Range("exponential", 0.3),
        "cycle": Range("log-uniform", 12, 50),
        "death_rate": Range("exponential", 0.002),
        "photons": Range("log-uniform", 40, 300),
        "texture": Range("uniform", 0, 0.6),
        "bleaching": Range("uniform", 0, 0.6),
    }


def _list_example_ranges(dimensions: int) -> dict[str, Any]:
    """Return the settings of movies for segmenters: cells and images of many kinds, in short movies."""
    return {
        "frames": _FRAMES,
        "shape": (320, 320) if dimensions == 2 else (20, 112, 112),
        "cells": Range("integer", 4, 90) if dimensions == 2 else Range("integer", 6, 40),
        "diameter": Range("uniform", 8, 20),
        "clustering": Range("uniform", 0, 1),
        "cycle": 12.0,
        "photons": Range("log-uniform", 20, 400),
        "background": Range("log-uniform", 3, 60),
        "blur": Range("uniform", 0.3, 1.4),
        "texture": Range("uniform", 0, 0.8),
        "shading": Range("uniform", 0, 0.6),
    }


def _simulate_random(ranges: Mapping[str, Any], rng: np.random.Generator, seed: int) -> SimulatedMovie:
    """Draw the settings of a movie, in the order of the table, and simulate it."""
    return simulate_movie(settings=SimulateSettings(**draw_values(ranges, rng)), seed=seed)


def simulate_link_movie(seed: int, kind: str = "cells") -> SimulatedMovie:
    """Simulate a movie of random size, crowd, speed, cycle and light, in two or three dimensions.

    Parameters
    ----------
    seed : int
        The same seed gives the same movie.
    kind : str
        One of `gnntrack.simulation_settings.MOVIE_KINDS`.

    Raises
    ------
    InputError
        If the kind is unknown.
    """
    rng = np.random.default_rng([seed, _LINK_STREAM])
    if kind != "cells":
        dimensions = 3 if rng.random() >= _PLANAR else 2
        known = list_dimensions(kind)
        settings = draw_kind_settings(kind, seed, dimensions=dimensions if dimensions in known else known[0])
        return simulate_kind(kind, settings=settings, seed=seed)
    return _simulate_random(_list_link_ranges(2 if rng.random() < _PLANAR else 3), rng, seed)


class SimulatedExample:
    """A frame of a simulated movie, as an image with labels.

    Parameters
    ----------
    seed : int
        Seed of the movie and of its settings.
    frame : int
        Number of the frame.
    dimensions : {2, 3}
        Dimensions of the image.
    """

    gold = True
    simulated = True

    def __init__(self, seed: int, frame: int, dimensions: int) -> None:
        self.seed, self.frame, self.dimensions = seed, frame, dimensions
        self.spacing = (1.0, 0.5, 0.5)[-dimensions:]

    @cached_property
    def movie(self) -> str:
        """The name of its movie."""
        return f"simulated {self.dimensions}D {self.seed}"

    @cached_property
    def name(self) -> str:
        """Movie and frame."""
        return f"{self.movie} frame {self.frame}"

    def read(self) -> tuple[Image, Image]:
        """Return the image and its labels."""
        movie = _simulate_example_movie(self.seed, self.dimensions)
        images = movie.images
        if images is None:
            msg = f"{self.name}: the simulation made no images"
            raise InputError(msg)
        return np.asarray(images[self.frame]), np.asarray(movie.masks[self.frame]).astype(np.int32)


def simulate_examples(count: int, *, seed: int = 0, dimensions: int = 2) -> list[SimulatedExample]:
    """Return frames of simulated movies, each movie with random settings.

    Parameters
    ----------
    count : int
        Number of movies.
    seed : int
        The same seed gives the same movies.
    dimensions : {2, 3}
        Dimensions of the images.
    """
    frames = range(0, _FRAMES, _EVERY)
    return [SimulatedExample(1000 * seed + i, frame, dimensions) for i in range(count) for frame in frames]


@lru_cache(_CACHED)
def _simulate_example_movie(seed: int, dimensions: int) -> SimulatedMovie:
    rng = np.random.default_rng([seed, _EXAMPLE_STREAM])
    return _simulate_random(_list_example_ranges(dimensions), rng, seed)
