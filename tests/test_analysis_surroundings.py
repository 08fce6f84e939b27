"""Neighbours, density, and the figures of an analysis."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.spatial import cKDTree
from support.walks import list_rows, make_lineage, walk_persistently

import gnntrack
from gnntrack import report
from gnntrack.analysis.surroundings import find_frame_neighbours
from gnntrack.types import Units


def make_hexagons(rows=9, columns=9):
    """Return the points of a hexagonal grid with distance 1."""
    y, x = np.mgrid[:rows, :columns].astype(float)
    x += 0.5 * (np.arange(rows) % 2)[:, None]
    return np.column_stack([(y * np.sqrt(3) / 2).ravel(), x.ravel()])


def test_a_cell_inside_a_hexagonal_grid_has_six_neighbours():
    points = make_hexagons()
    pairs = find_frame_neighbours(points)
    count = np.bincount(pairs.ravel(), minlength=len(points)).reshape(9, 9)
    assert (count[1:-1, 1:-1] == 6).all()
    inner = np.isclose(np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1), 1)
    assert inner.mean() > 0.95  # the others run along the jagged border


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 5, 30])
def test_neighbours_of_any_number_of_points(ndim, number):
    points = np.random.default_rng(0).normal(size=(number, ndim))
    pairs = find_frame_neighbours(points)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    if number > 1:
        nearest = cKDTree(points).query(points, 2)[1][:, 1]
        closest = np.sort(np.column_stack([np.arange(number), nearest]), axis=1)
        reach = np.linalg.norm(points[closest[:, 0]] - points[closest[:, 1]], axis=1)
        edges = {tuple(pair) for pair in pairs.tolist()}
        short = reach <= np.median([np.linalg.norm(points[a] - points[b]) for a, b in edges])
        assert {tuple(pair) for pair in closest[short].tolist()} <= edges  # a graph of nearest points is part of it


def test_points_on_a_line_have_their_neighbours_on_it():
    line = np.column_stack([np.arange(8.0), 2 * np.arange(8.0)])[[3, 0, 7, 1, 5, 2, 6, 4]]
    step = np.abs(np.diff(line[find_frame_neighbours(line), 0], axis=1))
    assert len(step) == 7
    assert (step == 1).all()


def test_points_in_one_slice_have_the_neighbours_of_the_plane():
    flat = np.random.default_rng(1).normal(size=(40, 2))
    solid = np.column_stack([np.full(40, 3.0), flat])
    assert np.array_equal(find_frame_neighbours(solid), find_frame_neighbours(flat))


def test_equal_points_do_not_fail():
    assert find_frame_neighbours(np.zeros((7, 2))).shape[1] == 2


def test_order_of_points_changes_nothing():
    rng = np.random.default_rng(2)
    points, order = rng.normal(size=(50, 2)), rng.permutation(50)
    place = np.argsort(order)
    moved = np.sort(place[find_frame_neighbours(points)], axis=1)
    assert {tuple(p) for p in moved.tolist()} == {tuple(p) for p in find_frame_neighbours(points[order]).tolist()}


def test_a_pair_that_swaps_its_neighbours():
    """Four cells as a rhombus: the short diagonal joins two; then the other diagonal is the short one."""
    upright = np.array([[0.0, 1.0], [0.0, -1.0], [3.0, 0.0], [-3.0, 0.0]]) * 1.0
    wide = np.array([[0.0, 3.0], [0.0, -3.0], [1.0, 0.0], [-1.0, 0.0]])
    rows = [(k + 1, t, *frame[k]) for t, frame in enumerate((upright, wide, wide)) for k in range(4)]
    analysis = gnntrack.analyse(make_lineage(rows, interval=3600.0))
    cells = analysis.cells.set_index(["frame", "track"]).sort_index()
    assert cells.loc[0, "neighbours"].tolist() == [3, 3, 2, 2]
    assert cells.loc[1, "neighbours"].tolist() == [2, 2, 3, 3]
    assert cells.loc[1, "neighbours_gained"].tolist() == [0, 0, 1, 1]
    assert cells.loc[1, "neighbours_lost"].tolist() == [1, 1, 0, 0]
    assert cells.loc[0, "neighbours_gained"].isna().all()
    assert (cells.loc[2, ["neighbours_gained", "neighbours_lost"]] == 0).all(axis=None)
    assert analysis.tracks["neighbour_exchange_per_h"].tolist() == [0.25] * 4
    assert analysis["neighbour_exchange"] == 0.25


def test_a_cell_that_appears_exchanges_no_neighbours():
    points = make_hexagons(5, 5)
    rows = [(k + 1, t, *point) for t in range(2) for k, point in enumerate(points) if t or k != 12]
    cells = gnntrack.analyse(make_lineage(rows)).cells.set_index(["frame", "track"])
    assert np.isnan(cells.loc[(1, 13), "neighbours_gained"])
    assert cells.loc[(1, 1), "neighbours_gained"] == 0


def test_density_of_a_grid_and_a_single_cell():
    points = make_hexagons(15, 15)
    analysis = gnntrack.analyse(make_lineage([(k + 1, 0, *point) for k, point in enumerate(points)]))
    inner = (analysis.cells["neighbour_distance_um"] > 0.99) & (analysis.cells["density_per_um2"] > 1.5)
    assert inner.sum() > 100
    assert np.allclose(analysis.cells["density_per_um2"][inner], 6 / np.pi)
    alone = gnntrack.analyse(make_lineage([(1, 0, 5, 5)])).cells
    assert alone["neighbours"].tolist() == [0]
    assert alone["neighbour_distance_um"].isna().all()


def test_densities_are_those_of_the_cells_of_a_result():
    movie = gnntrack.simulate(frames=3, cells=20, seed=1)
    lineage = gnntrack.track(masks=movie.masks)
    cells, unit = gnntrack.analyse(lineage).cells, lineage.cells.unit
    assert np.allclose(cells[f"density_per_{unit}2"], lineage.cells.feature("density"), rtol=1e-5)
    assert np.allclose(cells[f"neighbour_distance_{unit}"], lineage.cells.feature("neighbour_distance"), rtol=1e-5)


@pytest.mark.figures
@pytest.mark.parametrize("ndim", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_the_figures_are_written(ndim, tmp_path):
    paths = walk_persistently(np.random.default_rng(0), tracks=8, frames=40, speed=1.0, persistence=4.0, ndim=ndim)
    gnntrack.analyse(make_lineage(list_rows(paths)), out=tmp_path / "a")
    for name in ("motion", "cycles", "surroundings"):
        with Image.open(tmp_path / "a" / f"{name}.png") as picture:
            assert picture.size[0] == 1400
        assert "<svg" in (tmp_path / "a" / f"{name}.svg").read_text(encoding="utf-8")


def test_figures_of_stacks_are_written(tmp_path):
    paths = walk_persistently(np.random.default_rng(0), tracks=8, frames=40, speed=1.0, persistence=4.0, ndim=3)
    gnntrack.analyse(make_lineage(list_rows(paths)), out=tmp_path / "a")
    for name in ("motion", "cycles", "surroundings"):
        assert (tmp_path / "a" / f"{name}.png").is_file()


@pytest.mark.parametrize("rows", [[(1, 0, 5, 5)], [(1, 0, 5, 5), (1, 1, 5, 5)], [(1, 3, 0, 0), (2, 3, 1, 1)]])
def test_figures_of_nearly_nothing_are_drawn(rows, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(report, "save_figure", lambda figure, path: drawn.append(figure) or path.write_text("x"))
    gnntrack.analyse(make_lineage(rows, interval=None), out=tmp_path / "a")
    assert len(drawn) == 8
    for figure in drawn[::2]:
        figure.canvas.draw()


def test_the_figure_of_the_fit_is_the_fit():
    paths = walk_persistently(np.random.default_rng(0), tracks=80, frames=60, speed=2.0, persistence=5.0)
    paths += np.random.default_rng(1).normal(0, 1.0, paths.shape)
    analysis = gnntrack.analyse(make_lineage(list_rows(paths)))
    tables = {name: {n: c.to_numpy() for n, c in getattr(analysis, name).items()} for name in ("cells", "tracks")}
    tables |= {name: {n: c.to_numpy() for n, c in getattr(analysis, name).items()} for name in ("msd", "movie")}
    figure = report.draw_motion(tables, Units("um", 2, 60.0))
    (curve,) = [line for line in figure.axes[1].lines if "persistent" in line.get_label()]
    fitted = analysis.msd[analysis.msd["fitted"] == 1]
    assert np.allclose(curve.get_ydata(), fitted["msd_um2"], rtol=0.1)
    for axis in (figure.axes[1].xaxis, figure.axes[1].yaxis):
        labels = [label for label in (*axis.get_majorticklabels(), *axis.get_minorticklabels()) if label.get_text()]
        assert labels
        assert all(label.get_size() == 7 and "$" not in label.get_text() for label in labels)
