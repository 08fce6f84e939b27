"""Kinds of simulated movies: bacteria, sheets, epithelia, crawling cells, embryos; each movie with random settings.

To add a kind, write a function from settings, a random generator and the size of the field to snapshots, and add a row
to `KINDS`, and its name to `MOVIE_KINDS` in `gnntrack/simulation_settings.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.errors import InputError
from gnntrack.geometry import UNIT_BALL, compute_radius
from gnntrack.settings import SimulateSettings
from gnntrack.simulate.cleavage import watch_cleavage
from gnntrack.simulate.crowd import Manner, watch_crowd
from gnntrack.simulate.movie import SimulatedMovie, film_snapshots, get_spacing
from gnntrack.simulate.population import TYPICAL_SIZE
from gnntrack.simulate.ranges import Range, draw_values
from gnntrack.simulate.rods import grow_channels, grow_rod_colony

if TYPE_CHECKING:
    from gnntrack.simulate.colony import Snapshot
    from gnntrack.types import FloatArray

__all__ = ["KINDS", "Kind", "draw_kind_settings", "list_dimensions", "simulate_kind"]

_SETTINGS_STREAM, _LIFE_STREAM = 71, 73  # first numbers of random streams

_SHORTEST_CYCLE = 4.0  # that `SimulateSettings` accepts
_FEWEST_FOUNDERS, _MOST_FOUNDERS = 2, 120
_SMALL = 0.1  # fraction of the cells that are small

Grow = Callable[[SimulateSettings, np.random.Generator, "FloatArray"], "list[Snapshot]"]
"""Settings, source of random numbers and size of the field -> the cells in each frame."""


class Kind(NamedTuple):
    """A kind of simulated movies.

    Parameters
    ----------
    grow : function
        Makes the cells.
    flat, deep : mapping or None
        Distributions of the settings of 2D and of 3D movies, and fixed settings; None if there are no such movies.
        `drift` and `blur` are in diameters, `speed` in mean distances between cells, of rods in diameters; `packing` is
        the fraction of the field that cells fill, from which the diameter follows; `final` is the number of cells in
        the last frame, from which that in the first follows.
    """

    grow: Grow
    flat: Mapping[str, Any] | None = None
    deep: Mapping[str, Any] | None = None


def list_dimensions(name: str) -> tuple[int, ...]:
    """Return which of 2 and 3 dimensions the movies of a kind may have.

    Raises
    ------
    InputError
        If the kind is unknown.

    Examples
    --------
    >>> list_dimensions("colony"), list_dimensions("epithelium")
    ((2,), (2, 3))
    """
    if name not in KINDS:
        msg = f"there is no kind of simulated movies '{name}'; choose one of {', '.join(KINDS)}"
        raise InputError(msg)
    return tuple(d for d, ranges in ((2, KINDS[name].flat), (3, KINDS[name].deep)) if ranges is not None)


def simulate_kind(name: str, *, settings: SimulateSettings | None = None, seed: int = 0) -> SimulatedMovie:
    """Simulate a movie of a kind.

    Parameters
    ----------
    name : str
        One of `KINDS`.
    settings : SimulateSettings, optional
        Values that were given are used; all others, and the traits of the kind, are drawn, see `draw_kind_settings`.
    seed : int
        The same seed gives the same movie.

    Raises
    ------
    InputError
        If the kind is unknown, or has no 3D movies and the shape is 3D.

    Examples
    --------
    >>> movie = simulate_kind("colony", settings=SimulateSettings(frames=3, cells=8, shape=(96, 96)), seed=1)
    >>> len(movie.masks), movie.masks[0].shape, movie.masks.spacing
    (3, (96, 96), (0.1, 0.1))
    """
    given = {} if settings is None else {key: getattr(settings, key) for key in settings.given}
    settings = draw_kind_settings(name, seed, **given)
    extent = np.multiply(settings.shape, get_spacing(settings))
    snapshots = KINDS[name].grow(settings, np.random.default_rng([seed, _LIFE_STREAM]), extent)
    widths = [2 * np.prod(each.axes, axis=1) ** (1 / len(extent)) for each in snapshots]
    smallest = float(np.quantile(np.concatenate(widths), _SMALL)) if any(map(len, widths)) else None
    return film_snapshots(snapshots, settings=settings, seed=seed, smallest=smallest)


def draw_kind_settings(name: str, seed: int, *, dimensions: int | None = None, **changes: Any) -> SimulateSettings:
    """Draw the settings of a movie of a kind at random: few or many cells, slow or fast, bright or dim.

    Parameters
    ----------
    name : str
        One of `KINDS`.
    seed : int
        The same seed gives the same settings.
    dimensions : {2, 3}, optional
        Axes of the frames; by default as many as a given `shape` has, else 2 if there are 2D movies of this kind.
    **changes
        Settings that are given and not drawn, such as ``frames=30``.

    Raises
    ------
    InputError
        As of `simulate_kind`.

    Examples
    --------
    >>> draw_kind_settings("sheet", 3, frames=20).frames
    20
    """
    known = list_dimensions(name)
    ndim = dimensions or (len(changes["shape"]) if changes.get("shape") else known[0])
    if ndim not in known:
        axes = " or ".join(f"{d}D" for d in known)
        msg = f"movies of kind '{name}' are {axes}, not {ndim}D; give another shape"
        raise InputError(msg)
    kind, rng = KINDS[name], np.random.default_rng([seed, _SETTINGS_STREAM])
    drawn = draw_values({**_COMMON, **_SIZES[ndim], **((kind.flat if ndim == 2 else kind.deep) or {})}, rng)
    return SimulateSettings(**_fit_scale(drawn, changes, ndim))


def _fit_scale(drawn: dict[str, Any], changes: Mapping[str, Any], ndim: int) -> dict[str, Any]:
    """Return settings in um from those in diameters of a cell."""
    packing = drawn.pop("packing", None)
    final = drawn.pop("final", None)
    side = [drawn.pop(name) for name in ("height", "width")]
    drawn["shape"] = (*((drawn.pop("planes"),) if ndim == 3 else ()), *side)
    relative = {name: drawn[name] for name in _RELATIVE}
    drawn["cycle"] = max(drawn["cycle"], _SHORTEST_CYCLE)
    drawn |= changes
    if final is not None and "cells" not in changes:
        founders = final / 2 ** (drawn["frames"] / drawn["cycle"])
        drawn["cells"] = min(max(round(founders), _FEWEST_FOUNDERS), _MOST_FOUNDERS)
    spacing = drawn.get("spacing") or (1.0, 0.5, 0.5)[-ndim:]
    room = float(np.prod(np.multiply(drawn["shape"], spacing)))
    if packing is not None:
        _fill_field(drawn, changes, packing * room, ndim)
    apart = drawn["diameter"] if packing is None else (room / max(drawn["cells"], 1)) ** (1 / ndim)
    units = dict.fromkeys(_RELATIVE, drawn["diameter"]) | {"speed": apart}
    return drawn | {name: value * units[name] for name, value in relative.items() if name not in changes}


def _fill_field(drawn: dict[str, Any], changes: Mapping[str, Any], filled: float, ndim: int) -> None:
    """Choose the diameter with which cells fill a room in um^D, or their number if the diameter is given."""
    if "diameter" not in changes:
        share = filled / max(drawn["cells"], 1)
        drawn["diameter"] = 2 * float(compute_radius(share / TYPICAL_SIZE, ndim))
    elif "cells" not in changes:
        share = TYPICAL_SIZE * UNIT_BALL[ndim] * (drawn["diameter"] / 2) ** ndim
        drawn["cells"] = max(1, round(filled / share))


# --- the kinds -------------------------------------------------------------------------------------------------------


def _watch(draw: Callable[[np.random.Generator], Manner]) -> Grow:
    """Return a function that makes cells of a random manner."""

    def grow(settings: SimulateSettings, rng: np.random.Generator, extent: FloatArray) -> list[Snapshot]:
        return watch_crowd(settings, draw(rng), rng, extent)

    return grow


def _draw_sheet(rng: np.random.Generator) -> Manner:
    """Return the manner of a migrating sheet: its nuclei, or its cells, with or without a wound."""
    nuclei = rng.random() < 0.6
    return Manner(
        cover=float(rng.uniform(0.55, 0.8) if nuclei else rng.uniform(0.95, 1.3)),
        condensed=float(rng.uniform(0.1, 0.25)) if nuclei else 0.0,
        align=float(rng.uniform(0.2, 0.9)),
        stream=float(rng.exponential(1.0)),
        gap=float(rng.choice([0.0, rng.uniform(0.15, 0.5)])),
        seek=float(rng.uniform(0.3, 1.2)),
        varied=float(rng.uniform(0.1, 0.5)),
        aspect=float(rng.uniform(1.15, 1.7)),
        follow=float(rng.uniform(0, 0.3)),
        rough=float(rng.uniform(0.02, 0.06)),
        mitosis=float(rng.uniform(0.03, 0.1)),
    )


def _draw_epithelium(rng: np.random.Generator) -> Manner:
    """Return the manner of an epithelium: cells without gaps between them, in 3D in some layers."""
    return Manner(
        cover=float(rng.uniform(1.3, 1.6)),
        align=float(rng.uniform(0, 0.5)),
        stream=float(rng.uniform(0, 2)),
        varied=float(rng.uniform(0.1, 0.5)),
        aspect=float(rng.uniform(1.05, 1.35)),
        rough=float(rng.uniform(0.01, 0.05)),
        outlined=float(rng.choice([0.0, rng.uniform(0.5, 4)], p=[0.3, 0.7])),
        wave=float(rng.choice([0.0, rng.uniform(0, 0.6)])),
        mitosis=float(rng.uniform(0.03, 0.1)),
    )


def _draw_fast(rng: np.random.Generator) -> Manner:
    """Return the manner of single cells that crawl far, rest, and meet at times, such as immune cells."""
    return Manner(
        cover=float(rng.uniform(0.9, 1.05)),
        varied=float(rng.uniform(0.3, 0.8)),
        pauses=float(rng.choice([0.0, rng.uniform(0.02, 0.2)])),
        stream=float(rng.choice([0.0, rng.uniform(0, 1)])),
        aspect=float(rng.uniform(1.1, 2.2)),
        follow=float(rng.uniform(0.2, 0.9)),
        rough=float(rng.uniform(0.03, 0.1)),
        lobes=float(rng.choice([0.0, rng.uniform(0, 0.2)])),
    )


def _draw_amoeboid(rng: np.random.Generator) -> Manner:
    """Return the manner of cells whose shape changes all the time: with lobes, long or round, alone or in streams."""
    return Manner(
        cover=float(rng.uniform(1.0, 1.2)),
        varied=float(rng.uniform(0.2, 0.6)),
        align=float(rng.choice([0.0, rng.uniform(0, 0.6)])),
        stream=float(rng.choice([0.0, rng.uniform(0, 0.8)])),
        aspect=float(np.exp(rng.uniform(np.log(1.2), np.log(4)))),
        follow=float(rng.uniform(0.1, 0.7)),
        rough=float(rng.uniform(0.04, 0.12)),
        lobes=float(rng.uniform(0.15, 0.45)),
        mitosis=float(rng.uniform(0.03, 0.08)),
    )


_RELATIVE = ("speed", "drift", "blur")  # settings that are drawn in diameters or in distances between cells
_COMMON: Mapping[str, Any] = {
    "frames": Range("integer", 30, 61),
    "persistence": Range("uniform", 0.3, 0.9),
    "drift": Range("exponential", 0.03),
    "jumps": Range("choice", 0.5, 0.03),
    "death_rate": Range("exponential", 0.001),
    "photons": Range("log-uniform", 30, 300),
    "background": Range("log-uniform", 4, 40),
    "blur": Range("uniform", 0.02, 0.06),
    "texture": Range("uniform", 0, 0.6),
    "bleaching": Range("uniform", 0, 0.6),
    "shading": Range("uniform", 0, 0.6),
}
_EGG: Mapping[str, Any] = {
    "spacing": (2.0, 0.5, 0.5),
    "planes": Range("integer", 20, 33),
    "height": Range("integer", 100, 151),
    "width": Range("integer", 100, 151),
    "cycle": Range("log-uniform", 8, 40),
    "final": Range("log-uniform", 40, 300),
    "packing": 0.4,
    "speed": Range("log-uniform", 0.01, 0.15),
    "drift": Range("exponential", 0.05),
    "death_rate": 0.0,
}
_SIZES: Mapping[int, Mapping[str, Any]] = {
    2: {"height": Range("integer", 256, 449), "width": Range("integer", 256, 449)},
    3: {"planes": Range("integer", 16, 29), "height": Range("integer", 100, 161), "width": Range("integer", 100, 161)},
}
_RODS: Mapping[str, Any] = {
    "spacing": (0.1, 0.1),
    "diameter": Range("uniform", 0.6, 1.2),
    "cycle": Range("log-uniform", 3, 20),
    "speed": Range("log-uniform", 0.02, 0.3),
    "death_rate": 0.0,
}
_TISSUE: Mapping[str, Any] = {"cells": Range("log-uniform integer", 30, 250), "cycle": Range("log-uniform", 20, 150)}
_EPITHELIUM: Mapping[str, Any] = {
    **_TISSUE,
    "packing": 0.95,
    "speed": Range("log-uniform", 0.02, 0.2),
    "texture": Range("uniform", 0, 0.2),
}
_SPARSE: Mapping[str, Any] = {
    "cells": Range("log-uniform integer", 8, 70),
    "packing": Range("uniform", 0.03, 0.25),
    "cycle": Range("log-uniform", 60, 400),
    "speed": Range("log-uniform", 0.06, 0.45),
    "persistence": Range("uniform", 0.2, 0.95),
}
_AMOEBOID: Mapping[str, Any] = {
    "cells": Range("log-uniform integer", 8, 120),
    "packing": Range("uniform", 0.1, 0.55),
    "cycle": Range("log-uniform", 25, 200),
    "speed": Range("log-uniform", 0.03, 0.3),
}

KINDS: Mapping[str, Kind] = {
    "colony": Kind(
        grow_rod_colony,
        {
            **_RODS,
            "height": Range("integer", 300, 641),
            "width": Range("integer", 300, 641),
            "final": Range("log-uniform", 40, 350),
            "clustering": Range("uniform", 0, 1),
        },
    ),
    "channels": Kind(
        grow_channels,
        {**_RODS, "cells": Range("integer", 20, 120), "speed": Range("log-uniform", 0.01, 0.3)},
    ),
    "sheet": Kind(
        _watch(_draw_sheet),
        {**_TISSUE, "packing": Range("uniform", 0.7, 0.95), "speed": Range("log-uniform", 0.03, 0.3)},
    ),
    "epithelium": Kind(_watch(_draw_epithelium), _EPITHELIUM, _EPITHELIUM),
    "sparse": Kind(_watch(_draw_fast), _SPARSE, _SPARSE),
    "amoeboid": Kind(_watch(_draw_amoeboid), _AMOEBOID, _AMOEBOID),
    "cleavage": Kind(watch_cleavage, None, _EGG),
}
"""Kinds of simulated movies by name."""
