"""Graphs of points: what they refuse, and how they are stored."""

from __future__ import annotations

import json
import warnings
from dataclasses import fields, replace

import numpy as np
import pytest
from support import worlds

import gnntrack
from gnntrack.errors import FormatError, OutputError
from gnntrack.io.geff import write_graph
from gnntrack.io.point_graph import read_point_graph, write_point_graph
from gnntrack.types import PointGraph

SPACING = (1.625, 0.40625, 0.40625)
LARGE = [100_000_000_000, 10**18, 3, 12, 11]


def make_points(**changes):
    """A cell with three children, one of them two frames later; one link is there twice.

    ::

        t=0     1     2
        1e11 -- 1e18
            `-- 3
            `-------- 12        11 has no link
    """
    voxels = np.array([[1, 5, 8], [62, 246, 253], [1, 4, 8], [2, 5, 9], [0, 0, 0]])
    columns = {
        "id": LARGE, "frame": [0, 1, 1, 2, 2], "position": voxels * SPACING, "source": [0, 0, 0, 0],
        "target": [1, 2, 3, 1], "spacing": SPACING, "total": 6362.0,
    }  # fmt: skip
    return PointGraph(**(columns | changes))


def assert_same(one, other):
    for field in fields(PointGraph):
        assert np.array_equal(getattr(one, field.name), getattr(other, field.name)), field.name


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"id": [1, 2, 3, 4, 3]}, "the id 3 occurs twice"),
        ({"frame": [0, 1, 1, 2]}, "frame has shape"),
        ({"frame": [0, 1, 1, 2, -1]}, "a point in frame -1, outside"),
        ({"n_frames": 2}, "a point in frame 2, outside 0..1"),
        ({"position": np.zeros((5, 2))}, "position has shape"),
        ({"position": np.full((5, 3), np.nan)}, "the position of point 100000000000 is not finite"),
        ({"target": [1, 2, 3]}, "differ in length"),
        ({"target": [1, 2, 3, 5]}, "links name rows 0..5 of 5 points"),
        ({"source": [0, 0, 0, 2]}, "the link 3 -> 1000000000000000000 goes from frame 1 to frame 1; expected a later"),
        ({"unit": "mm"}, "unit 'mm'; expected 'um' or 'pixel'"),
        ({"spacing": (1, 0, 1)}, "expected sizes above 0"),
    ],
)
def test_points_refuse(changes, problem):
    with pytest.raises(FormatError, match=problem):
        make_points(**changes)


def test_what_points_promise():
    graph = make_points()
    assert graph.links.tolist() == [[0, 1], [0, 2], [0, 3]]
    assert (graph.children.tolist(), graph.parents.tolist()) == ([3, 0, 0, 0, 0], [0, 1, 1, 1, 0])
    assert (graph.n_frames, graph.ndim, graph.gap.tolist()) == (3, 3, [1, 1, 2, 1])
    assert graph.select(graph.id != LARGE[2]).links.tolist() == [[0, 1], [0, 2]]
    assert graph.set_spacing((2, 1, 1)).position[1].tolist() == [124, 246, 253]
    with pytest.raises(ValueError, match="read-only"):
        graph.position[0] = 1
    assert make_points(id=[], frame=[], position=np.zeros((0, 3)), source=[], target=[]).links.shape == (0, 2)


@pytest.mark.parametrize(
    "changes", [{}, {"total": None}, {"unit": "pixel"}, {"n_frames": 9}, {"source": [], "target": []}]
)
def test_points_come_back(tmp_path, changes):
    graph = make_points(**changes)
    write_point_graph(graph, tmp_path / "a.geff")
    assert_same(read_point_graph(tmp_path / "a.geff"), graph)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import geff

        geff.validate_structure(str(tmp_path / "a.geff"))


def test_points_are_stored_in_whole_voxels_or_as_they_are(tmp_path):
    graph = make_points(position=np.array([[1.2, 2.7, -0.2]] * 5) * SPACING)
    write_point_graph(graph, tmp_path / "a.geff")
    assert read_point_graph(tmp_path / "a.geff").voxels[0].tolist() == [1, 3, 0]
    write_point_graph(graph, tmp_path / "a.geff", whole_voxels=False, overwrite=True)
    assert np.allclose(read_point_graph(tmp_path / "a.geff").position, graph.position)
    with pytest.raises(OutputError, match="exists already"):
        write_point_graph(graph, tmp_path / "a.geff")
    with pytest.raises(FormatError, match="the id -1 is negative"):
        write_point_graph(replace(graph, id=[-1, 2, 3, 4, 5]), tmp_path / "b.geff")


def test_files_of_the_competition_are_written_byte_for_byte(more_data, tmp_path):
    for name, points, total in (("6bba_05b6850b", 861, 6362), ("44b6_0113de3b", 52, 25755)):
        stored = more_data / "embryo-points" / f"{name}.geff"
        graph = read_point_graph(stored)
        assert (len(graph), graph.total, graph.spacing, graph.unit) == (points, total, SPACING, "um")
        write_point_graph(graph, tmp_path / f"{name}.geff")
        files = [file.relative_to(stored) for file in stored.rglob("*") if file.is_file()]
        assert len(files) > 15
        for file in files:
            assert (tmp_path / f"{name}.geff" / file).read_bytes() == (stored / file).read_bytes()


def test_graphs_of_gnntrack_are_read_as_points(tmp_path):
    graph = worlds.find_candidates(worlds.draw_blobs((64, 64), 5, frames=3), spacing=(0.5, 0.5))
    write_graph(graph, tmp_path / "g.geff")
    points = read_point_graph(tmp_path / "g.geff")
    assert np.array_equal(points.position, graph.cells.position)
    assert (points.links.tolist(), points.n_frames) == (np.column_stack([graph.source, graph.target]).tolist(), 3)


def test_a_lineage_converts_to_points():
    world = worlds.parent_divides()
    lineage = gnntrack.track(masks=world.masks)
    points = PointGraph.from_lineage(lineage)
    assert (len(points), points.n_frames, points.children.max()) == (len(lineage.cells), 6, 2)


@pytest.mark.parametrize(
    ("total", "ids", "problem"),
    [
        ("many", LARGE, "estimated_number_of_nodes is 'many'"),
        (0, LARGE, "is 0; expected"),
    ],
)
def test_broken_files_are_refused(tmp_path, total, ids, problem):
    write_point_graph(make_points(source=[], target=[]), tmp_path / "a.geff")
    file = tmp_path / "a.geff" / "zarr.json"
    about = json.loads(file.read_text())
    about["attributes"]["geff"]["extra"]["estimated_number_of_nodes"] = total
    file.write_text(json.dumps(about))
    from gnntrack.io.zarr3_arrays import write_array

    (tmp_path / "a.geff" / "nodes" / "ids").rename(tmp_path / "old")
    write_array(tmp_path / "a.geff" / "nodes" / "ids", np.array(ids, np.uint64))
    with pytest.raises(FormatError, match=problem):
        read_point_graph(tmp_path / "a.geff")


def test_ids_from_2_to_the_63rd_are_numbered(tmp_path):
    from gnntrack.io.zarr3_arrays import write_array

    def replace_array(part, values):
        (tmp_path / "a.geff" / part / "ids").rename(tmp_path / f"old {part} {len(list(tmp_path.iterdir()))}")
        write_array(tmp_path / "a.geff" / part / "ids", np.array(values, np.uint64))

    points = make_points(source=[0, 0], target=[1, 2])
    write_point_graph(points, tmp_path / "a.geff")
    ids = [2**64 - 1, 2**63, 3, 12, 2**63 + 1]
    replace_array("nodes", ids)
    replace_array("edges", [[ids[0], ids[1]], [ids[0], ids[2]]])
    found = read_point_graph(tmp_path / "a.geff")
    assert found.id.tolist() == [1, 2, 3, 4, 5]
    assert np.array_equal(found.links, points.links)
    replace_array("nodes", [*ids[:4], ids[1]])
    with pytest.raises(FormatError, match="twice"):
        read_point_graph(tmp_path / "a.geff")
