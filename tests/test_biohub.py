"""The submission of the embryo competition: several movies in one file."""

import csv

import numpy as np
import pytest
from click.testing import CliRunner

import gnntrack
from gnntrack.cli import cli
from gnntrack.errors import InputError
from gnntrack.io.biohub import COLUMNS
from gnntrack.io.geff import write_lineage
from gnntrack.types import PointGraph


def make_lineage(*, missing: tuple[int, ...] = (2,)) -> gnntrack.Lineage:
    """Return two cells of which one is missing in some frames; voxels of 2 x 0.5 x 0.5 um."""
    points = [[t, 5, 60, 60 + t] for t in range(6)] + [[t, 6, 20 + 2 * t, 20] for t in range(6) if t not in missing]
    return gnntrack.track(points=np.array(sorted(points)), spacing=(2, 0.5, 0.5))


def read_rows(path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_rows_of_nodes_and_edges_of_all_movies(tmp_path):
    lineages = {"44b6_1": make_lineage(), "6bba_2": make_lineage(missing=())}
    gnntrack.export_movies(lineages, tmp_path / "submission.csv")
    rows = read_rows(tmp_path / "submission.csv")
    assert tuple(rows[0]) == COLUMNS
    assert [int(row["id"]) for row in rows] == list(range(len(rows)))
    for name in lineages:
        nodes = {row["node_id"]: row for row in rows if row["dataset"] == name and row["row_type"] == "node"}
        edges = [row for row in rows if row["dataset"] == name and row["row_type"] == "edge"]
        assert len(nodes) == 12  # the gap is filled
        assert len(edges) == 10
        steps = [int(nodes[e["target_id"]]["t"]) - int(nodes[e["source_id"]]["t"]) for e in edges]
        assert set(steps) == {1}
        assert {(n["t"], n["z"], n["y"], n["x"]) for n in nodes.values()} >= {("2", "6", "24", "20")}
        assert {n["source_id"] for n in nodes.values()} | {e["t"] for e in edges} == {"-1"}


def test_results_by_path_and_a_batch(tmp_path):
    write_lineage(make_lineage(), tmp_path / "one.geff")
    out = tmp_path / "submission.csv"
    run = CliRunner().invoke(cli, ["export", str(tmp_path / "one.geff"), "--to", "biohub", "-o", str(out)])
    assert run.exit_code == 0, run.output
    assert {row["dataset"] for row in read_rows(out)} == {"one"}
    run = CliRunner().invoke(
        cli, ["export", str(tmp_path / "no.geff"), "--to", "biohub", "-o", str(tmp_path / "b.csv")]
    )
    assert "no such file" in run.output
    run = CliRunner().invoke(cli, ["export", *[str(tmp_path / "one.geff")] * 2, "--to", "csv", "-o", str(out)])
    assert "writes one lineage" in run.output


def test_a_movie_in_2d_has_z_0_and_other_formats_hold_one_movie(tmp_path):
    flat = gnntrack.track(points=[[0, 5, 5], [1, 5, 6]])
    gnntrack.export(flat, tmp_path / "flat.csv", to="biohub")
    rows = read_rows(tmp_path / "flat.csv")
    assert [(row["dataset"], row["z"], row["y"]) for row in rows[:2]] == [("flat", "0", "5")] * 2
    with pytest.raises(InputError, match="holds one movie"):
        gnntrack.export_movies({"flat": flat}, tmp_path / "a.csv", to="geff")


def test_a_longer_link_is_filled_on_a_straight_line():
    graph = PointGraph([3, 9, 4], [0, 4, 1], [[0.0, 0.0], [8.0, 4.0], [1.0, 1.0]], [0, 0], [1, 2], (1.0, 1.0))
    filled = graph.fill_gaps()
    assert (filled.gap == 1).all()
    assert len(filled) == 6
    assert filled.position[3:].tolist() == [[2.0, 1.0], [4.0, 2.0], [6.0, 3.0]]
    assert filled.children[0] == 2
