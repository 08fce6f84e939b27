"""Kinds of simulated movies: what is physically possible, the same by the same seed, and usable for training."""

from __future__ import annotations

import numpy as np
import pytest

import gnntrack
from gnntrack.errors import InputError, SettingsError
from gnntrack.lineage.families import find_divisions
from gnntrack.settings import Settings, SimulateSettings
from gnntrack.simulate.kinds import KINDS, draw_kind_settings, list_dimensions, simulate_kind
from gnntrack.simulation_settings import MOVIE_KINDS
from gnntrack.training.movies import open_training_movies

SHORT = {2: {"shape": (200, 220), "cells": 16}, 3: {"shape": (12, 50, 56), "cells": 12}}
CASES = [(name, d) for name in KINDS for d in list_dimensions(name)]


def simulate_short(name, dimensions, seed=3, **changes):
    return simulate_kind(
        name, settings=SimulateSettings(**{**SHORT[dimensions], "frames": 8, "cycle": 8, **changes}), seed=seed
    )


@pytest.mark.parametrize(("name", "dimensions"), CASES)
def test_cells_move_and_grow_continuously(name, dimensions):
    movie = simulate_short(name, dimensions, drift=0.0, jumps=0.0)
    lineage, shape = movie.lineage, SHORT[dimensions]["shape"]
    again = simulate_short(name, dimensions, drift=0.0, jumps=0.0)
    np.testing.assert_array_equal(movie.masks[7], again.masks[7])
    np.testing.assert_array_equal(movie.images[7], again.images[7])
    assert movie.masks[0].shape == shape

    per_frame = np.bincount(lineage.cells.frame, minlength=8)
    assert per_frame.min() >= 4
    assert len(find_divisions(lineage)) > 0

    cells, spacing = lineage.cells, np.array(lineage.cells.spacing)
    inner = np.ones(len(cells), bool)  # cells that are not cut by the border of the field
    for frame in range(8):
        mask = movie.masks[frame]
        faces = [np.unique(np.take(mask, at, axis)) for axis in range(-2, 0) for at in (0, -1)]
        rows = np.arange(len(cells))[cells.rows(frame)]
        inner[rows] = ~np.isin(cells.label[rows], np.concatenate(faces))
    same = lineage.track[lineage.source] == lineage.track[lineage.target]
    known = inner[lineage.source] & inner[lineage.target]
    source, target = lineage.source[same & known], lineage.target[same & known]
    step = np.linalg.norm(cells.position[target] - cells.position[source], axis=1)
    field = float(np.min(np.multiply(shape, spacing)[-2:]))
    assert np.quantile(step, 0.9) < 0.3 * field
    growth = cells.feature("size")[target] / cells.feature("size")[source]
    assert 0.85 < np.median(growth) < 1.25
    assert np.quantile(np.abs(np.log(growth)), 0.9) < np.log(1.8)


@pytest.mark.parametrize("name", ["colony", "channels", "epithelium"])
def test_daughters_share_the_parents_area(name):
    movie = simulate_short(name, 2, frames=10)
    lineage = movie.lineage
    parents = {}
    for source, target in zip(lineage.source.tolist(), lineage.target.tolist(), strict=True):
        if lineage.track[source] != lineage.track[target]:
            parents.setdefault(source, []).append(target)
    size = lineage.cells.feature("size")
    whole = [size[two].sum() / size[parent] for parent, two in parents.items() if len(two) == 2]
    assert len(whole) > 3
    assert 0.9 < np.median(whole) < 1.25


def test_given_settings_are_used_and_others_are_drawn():
    drawn = [draw_kind_settings("sheet", seed, frames=7, shape=(90, 80)) for seed in (1, 2)]
    assert all((each.frames, each.shape) == (7, (90, 80)) for each in drawn)
    assert drawn[0].cells != drawn[1].cells
    assert draw_kind_settings("epithelium", 1, dimensions=3).spacing is None
    fixed = draw_kind_settings("epithelium", 1, shape=(200, 200), diameter=8.0)
    assert fixed.cells > 200  # as many as fill the field


def test_settings_that_are_drawn_are_those_that_a_movie_may_have():
    """Of bacteria, a sixth of the seeds drew a cycle shorter than the shortest one."""
    assert draw_kind_settings("colony", 110).cycle == 4
    for name in KINDS:
        for seed in range(30):
            assert draw_kind_settings(name, seed).cycle >= 4


def test_wrong_kinds_are_refused():
    with pytest.raises(InputError, match="no kind of simulated movies 'rods'; choose one of colony, channels"):
        gnntrack.simulate(kind="rods")
    with pytest.raises(InputError, match="movies of kind 'colony' are 2D, not 3D"):
        gnntrack.simulate(kind="colony", shape=(8, 40, 40))
    with pytest.raises(SettingsError, match=r"simulated_kinds.*expected all, or some of cells, colony"):
        Settings().replace(train__simulated_kinds="cells,rods")


def test_trainings_use_kinds_in_turn():
    assert set(MOVIE_KINDS) == {"cells", *KINDS}
    settings = Settings().replace(train__simulated_kinds="colony,sheet", train__held_out=0.0)
    movies, _ = open_training_movies([], None, simulated=3, seed=0, settings=settings)
    assert [movie.name for movie in movies] == ["simulated colony 0", "simulated sheet 1", "simulated colony 2"]
    movie = movies[0]
    tracks = np.unique(movie.markers[0])
    assert len(np.unique(movie.masks[0])) == len(tracks)
