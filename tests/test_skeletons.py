"""Skeletons of bodies in 3D: every thickness, direction and spacing gives the same lines."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from scipy import ndimage

pytest.importorskip("skan")

from gnntrack.measure.skeletons import SKELETON_COLUMNS, measure_skeletons
from gnntrack.measure.thinning import thin_volume

CUBES = (1.0, 1.0, 1.0)
SPACINGS = [CUBES, (2.0, 1.0, 1.0), (0.5, 1.0, 1.0), (1.0, 1.0, 2.5), (3.0, 0.7, 0.7)]
THICKNESSES = range(1, 9)


def mark_slow(sizes, *, fast):
    """Return the sizes as parameters; those that are not fast are in the slow suite."""
    return [pytest.param(size, marks=() if size in fast else pytest.mark.slow) for size in sizes]


TOUCHING = np.ones((3, 3, 3))


def measure(*masks, spacing=CUBES):
    """The skeleton of a body, or those of several at once, by the names of the columns."""
    rows = measure_skeletons([np.asarray(mask) for mask in masks], spacing)
    tables = [dict(zip(SKELETON_COLUMNS, row.tolist(), strict=True)) for row in rows]
    return tables[0] if len(tables) == 1 else tables


def count(table):
    return tuple(int(table[name]) for name in ("branches", "endpoints", "junctions"))


def make_bars(thickness, arms, axes=(0, 1, 2)):
    """Bars (n x n voxels) from a common middle; arms are (axis, side), an arm has 10 + 2 n voxels."""
    arm = 10 + 2 * thickness
    mask = np.zeros((2 * arm + thickness,) * 3, bool)
    middle = slice(arm, arm + thickness)
    for axis, side in arms:
        place = [middle] * 3
        place[axes[axis]] = slice(arm, None) if side > 0 else slice(0, arm + thickness)
        mask[tuple(place)] = True
    return mask, arm


def make_tubes(lines, diameter, spacing=CUBES):
    """Cylinders with flat ends around lines (from, to), in the unit of the spacing."""
    ends = np.array(lines, float)
    low = np.floor((ends.min((0, 1)) - diameter) / spacing).astype(int)
    high = np.ceil((ends.max((0, 1)) + diameter) / spacing).astype(int) + 1
    sides = [np.arange(a, b) * size for a, b, size in zip(low, high, spacing, strict=True)]
    grid = np.stack(np.meshgrid(*sides, indexing="ij"), -1)
    mask = np.zeros(grid.shape[:-1], bool)
    for start, stop in ends:
        length = np.linalg.norm(stop - start)
        along = (grid - start) @ ((stop - start) / length)
        aside = ((grid - start) ** 2).sum(-1) - along**2
        mask |= (along >= 0) & (along <= length) & (aside <= (diameter / 2) ** 2)
    return mask


def make_torus(radius, diameter, axis, spacing=CUBES):
    reach = radius + diameter / 2
    sides = [np.arange(-int(reach / size) - 1, int(reach / size) + 2) * size for size in spacing]
    grid = list(np.meshgrid(*sides, indexing="ij"))
    height = grid.pop(axis)
    return np.hypot(np.hypot(*grid) - radius, height) <= diameter / 2


LINE = [(0, -1), (0, 1)]
TEE = [*LINE, (1, 1)]
CROSS = [*TEE, (1, -1)]
STAR = [*CROSS, (2, 1), (2, -1)]


@pytest.mark.parametrize("thickness", mark_slow(THICKNESSES, fast=(1, 2, 3, 6)))
@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
def test_a_bar_of_any_thickness_has_one_branch(spacing, thickness):
    masks, lengths = [], []
    for axis in range(3):
        sides = [thickness] * 3
        sides[axis] = int(20 + 3 * thickness * max(spacing) / spacing[axis])
        masks.append(np.ones(sides, bool))
        lengths.append((sides[axis] - 1) * spacing[axis])
    for table, length in zip(measure(*masks, spacing=spacing), lengths, strict=True):
        assert count(table) == (1, 2, 0)
        assert table["skeleton_length"] == pytest.approx(length, abs=thickness * max(spacing))


@pytest.mark.parametrize("thickness", THICKNESSES)
def test_bars_that_meet_have_one_junction(thickness):
    wanted, masks = [], []
    for arms, axes in itertools.product((TEE, CROSS, STAR), ((0, 1, 2), (2, 0, 1), (1, 2, 0))):
        mask, arm = make_bars(thickness, arms, axes)
        masks.append(mask)
        wanted.append((len(arms), len(arms) * (arm + thickness / 2)))
    for table, (arms, length) in zip(measure(*masks), wanted, strict=True):
        assert count(table) == (arms, arms, 1)
        assert table["skeleton_length"] == pytest.approx(length, abs=arms * (thickness / 2 + 1))


@pytest.mark.parametrize("thickness", THICKNESSES)
@pytest.mark.parametrize("spacing", SPACINGS[1:], ids=str)
def test_crosses_of_flat_bars_have_one_junction(spacing, thickness):
    for axes in itertools.combinations(range(3), 2):
        arm = int(10 + 2 * thickness * max(spacing) / min(spacing))
        sides = [thickness if axis not in axes else 2 * arm + thickness for axis in range(3)]
        mask = np.zeros(sides, bool)
        for axis in axes:
            place = [slice(None)] * 3
            place[axis] = slice(arm, arm + thickness)
            mask[tuple(place)] = True
        assert count(measure(mask, spacing=spacing)) == (4, 4, 1)


DIRECTIONS = [(1, 1, 0), (0, 1, -1), (1, 1, 1), (1, 2, 0), (1, -2, 3), (0.4, 0.9, -0.2), (-0.7, 0.1, 0.6)]


@pytest.mark.parametrize("diameter", mark_slow(range(2, 9), fast=(2, 3, 5)))
@pytest.mark.parametrize("spacing", [CUBES, (2.0, 1.0, 1.0), (4.0, 1.0, 1.0), (1.0, 0.5, 0.5)], ids=str)
def test_cylinders_in_any_direction(spacing, diameter):
    diameter *= max(spacing) if diameter < 4 else max(spacing) ** 0.5
    reach = 8 * max(spacing) + 1.2 * diameter
    for direction in DIRECTIONS[int(diameter) % 2 :: 2]:
        along = np.array(direction) / np.linalg.norm(direction)
        aside = np.cross(along, (0.3, -0.5, 0.8))
        aside /= np.linalg.norm(aside)
        line, other = (-reach * along, reach * along), (-reach * aside, reach * aside)
        tables = measure(
            make_tubes([line], diameter, spacing),
            make_tubes([line, (0 * aside, reach * aside)], diameter, spacing),
            make_tubes([line, other], diameter, spacing),
            spacing=spacing,
        )
        assert [count(table) for table in tables[:2]] == [(1, 2, 0), (3, 3, 1)]
        if diameter > 2:  # else four lines of voxels may meet in two places
            assert count(tables[2]) == (4, 4, 1)
        assert tables[0]["skeleton_length"] == pytest.approx(2 * reach, abs=1.1 * diameter + 2 * max(spacing))


@pytest.mark.parametrize("diameter", [2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("spacing", [CUBES, (2.0, 1.0, 1.0), (0.5, 1.0, 1.0)], ids=str)
def test_a_torus_keeps_its_loop(spacing, diameter):
    diameter *= max(spacing)
    radius = 8 + diameter
    tables = measure(*(make_torus(radius, diameter, axis, spacing) for axis in range(3)), spacing=spacing)
    for table in tables:
        assert count(table) == (1, 0, 0)
        assert table["skeleton_length"] == pytest.approx(2 * np.pi * radius, rel=0.15)


@pytest.mark.parametrize("seed", range(6))
def test_thinning_keeps_pieces_tunnels_and_cavities(seed):
    from skimage.measure import euler_number

    random = np.random.default_rng(seed)
    grey = ndimage.gaussian_filter(random.normal(size=random.integers(10, 28, 3)), random.uniform(0.6, 2.5))
    mask = np.pad(grey > np.quantile(grey, random.uniform(0.3, 0.8)), 1)
    spacing = SPACINGS[seed % len(SPACINGS)]
    lines = thin_volume(mask, ndimage.distance_transform_edt(mask, sampling=spacing), spacing)
    assert not (lines & ~mask).any()
    assert ndimage.label(lines, TOUCHING)[1] == ndimage.label(mask, TOUCHING)[1]
    assert ndimage.label(~lines)[1] == ndimage.label(~mask)[1]
    assert euler_number(lines, 3) == euler_number(mask, 3)


@pytest.mark.parametrize("thickness", [2, 4, 5, 6])
def test_mirrors_turns_and_shifts_change_little(thickness):
    mask, _ = make_bars(thickness, TEE)
    turned = [mask.transpose(axes) for axes in itertools.permutations(range(3))]
    mirrored = [np.flip(mask, axes) for axes in (0, 1, 2, (0, 1), (0, 1, 2))]
    shifted = [np.pad(mask, ((k, 0), (0, k), (1, 2))) for k in (1, 2)]
    tables = measure(*turned, *mirrored, *shifted)
    assert len({count(table) for table in tables}) == 1
    lengths = [table["skeleton_length"] for table in tables]
    assert max(lengths) - min(lengths) <= max(thickness, 3)


@pytest.mark.parametrize("hole", [1, 2, 4])
def test_a_cavity_makes_no_branches(hole):
    bar = np.ones((9, 9, 40), bool)
    bar[3 : 3 + hole, 4 : 4 + hole, 20 : 20 + hole] = False
    assert count(measure(bar)) == (1, 2, 0)


@pytest.mark.parametrize(
    "spacing", [(1e-6, 1.0, 1.0), (1e6, 1.0, 0.1), (1e-30, 1e-30, 1e-30), (np.pi, np.e, 0.1)], ids=str
)
def test_odd_spacings_end(spacing):
    mask, _ = make_bars(4, STAR)
    start = time.process_time()
    assert np.isfinite(list(measure(mask, spacing=spacing).values())).all()
    assert time.process_time() - start < 30
