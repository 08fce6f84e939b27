"""Points without masks: they become cells, are linked, and are stored."""

import numpy as np
import pandas as pd

import gnntrack
from gnntrack.io.geff import read_graph, read_lineage, write_graph, write_lineage


def make_points(*, cells: int = 12, frames: int = 8, seed: int = 0) -> pd.DataFrame:
    """Return points that walk at random, in pixels; the column ``cell`` is their identity."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(20, 180, (cells, 2))
    rows = []
    for t in range(frames):
        start = start + rng.normal(0, 1, start.shape)
        rows += [{"t": t, "y": y, "x": x, "cell": k} for k, (y, x) in enumerate(start)]
    return pd.DataFrame(rows)


def test_points_are_linked_without_sizes_or_masks():
    table = make_points()
    lineage = gnntrack.track(points=table[["t", "y", "x"]], spacing=(0.5, 0.5))
    cells = lineage.cells
    assert cells.points
    assert cells.unit == "um"
    assert cells.has("diameter")
    assert not cells.has("size")
    cell = table.cell.to_numpy()  # the rows keep their order within a frame
    assert (cell[lineage.source] == cell[lineage.target]).all()
    assert len(lineage.source) == 12 * 7


def test_an_array_is_a_table():
    table = make_points()
    values = table[["t", "y", "x"]].to_numpy()
    by_array = gnntrack.track(points=values)
    assert np.array_equal(by_array.track, gnntrack.track(points=table).track)


def test_a_file_of_points_reads_back_the_same(tmp_path):
    graph = gnntrack.build_graph(points=make_points())
    write_graph(graph, tmp_path / "graph.geff")
    again = read_graph(tmp_path / "graph.geff")
    assert again.cells.points
    assert np.array_equal(again.features, graph.features)
    lineage = gnntrack.solve(again)
    write_lineage(lineage, tmp_path / "lineage.geff")
    assert read_lineage(tmp_path / "lineage.geff").cells.points
