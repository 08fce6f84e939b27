"""GEFF: round trips are the identity, the official checks agree, files of other tools are read."""

from __future__ import annotations

import dataclasses
import json
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gnntrack
from gnntrack.errors import FormatError, OutputError
from gnntrack.types import CellGraph, Cells, Lineage, Provenance, Tracks

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import geff
    from geff.core_io import write_arrays
    from geff.validate.data import ValidationConfig, validate_data
    from geff_spec import Axis, GeffMetadata, RelatedObject

    from gnntrack.io.geff import read_graph, read_lineage, write_graph, write_lineage

ALL_CHECKS = ValidationConfig(graph=True, lineage=True, tracklet=True)


def assert_same(one, other):
    assert type(one) is type(other)
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if dataclasses.is_dataclass(a):
            assert_same(a, b)
        elif isinstance(a, np.ndarray):
            assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()), field.name
        else:
            assert a == b, field.name
            assert repr(a) == repr(b), field.name


def make_cells(frame, label, *, spacing=(0.645, 0.31), n_frames=9, unit="um", names=("size", "mean"), seed=0):
    rng = np.random.default_rng(seed)
    n, d = len(frame), len(spacing)
    shape = (5, 443, 512)[-d:]
    return Cells(
        np.array(frame, int), np.array(label, int), rng.uniform(0, shape, (n, d)) * spacing,
        rng.normal(size=(n, len(names))).astype(np.float32), names, ("um2", "", "um")[: len(names)],
        spacing, n_frames, shape, unit,
    )  # fmt: skip


def make_small_graph(**options):
    """Two cells, then three, an empty frame, two; one cell (label 40) has no link.

    ::

        t=0   7   2000000000      t=1   3   9   40      t=3   1   2
              7 -> 3, 7 -> 9, 2e9 -> 9, 3 -> 1 (gap), 9 -> 2 (gap)
    """
    cells = make_cells([0, 0, 1, 1, 1, 3, 3], [7, 2_000_000_000, 3, 9, 40, 1, 2], **options)
    features = np.array([[0, 1], [np.nan, -0.0], [np.inf, 2], [1e-30, 3], [5, 6]], np.float32)
    notes = Provenance(gate=12.5, gate_radii=2.0, other={"drift": [[0.1, -0.2], None], "nested": {"text": "µm"}})
    return CellGraph(cells, [0, 0, 1, 2, 3], [2, 3, 3, 5, 6], features, ("distance", "iou"), notes)


def make_dividing_lineage(**options):
    """Track 5 divides into 2 and 8 and is alone in frame 1; 8 skips a frame; 2 goes on as 11; 3 is a single cell.

    ::

        t=0    1     2     3     4     5
        5 ---- 5 -+- 2 --- 2 --- 11
                  '- 8 --------- 8
        3
    """
    cells = make_cells([0, 0, 1, 2, 2, 3, 4, 4], [1, 2, 1, 1, 2, 1, 1, 2], **options)
    tracks = Tracks([2, 3, 5, 8, 11], [2, 0, 0, 2, 4], [3, 0, 1, 4, 4], [5, 0, 0, 5, 2])
    confidence = np.array([1, 0.5, 0.25, 0.125, 0, 0.75], np.float32)
    return Lineage(
        cells,
        [5, 3, 5, 2, 8, 2, 11, 8],
        tracks,
        [0, 2, 2, 4, 3, 5],
        [2, 3, 4, 7, 5, 6],
        confidence,
        Provenance(solver="x"),
    )


GRAPHS = {
    "2D": make_small_graph(),
    "3D, anisotropic": make_small_graph(spacing=(1.0, 0.202, 0.202)),
    "pixels": make_small_graph(spacing=(1.0, 1.0), unit="pixel"),
    "pixels, anisotropic": make_small_graph(spacing=(5.0, 1.0, 1.0), unit="pixel"),
    "no features": CellGraph(make_cells([0, 1], [1, 1], names=()), [0], [1], np.zeros((1, 0)), ()),
    "no links": CellGraph(make_cells([0, 1], [1, 1]), [], [], np.zeros((0, 2)), ("distance", "iou")),
    "no cells": CellGraph(
        make_cells([], []), [], [], np.zeros((0, 2)), ("distance", "iou"), Provenance(other={"empty": []})
    ),
    "no frames": CellGraph(make_cells([], [], n_frames=0), [], [], np.zeros((0, 0)), ()),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_graph_comes_back_bit_for_bit_and_is_valid(tmp_path, name):
    write_graph(GRAPHS[name], tmp_path / "g.geff")
    assert_same(read_graph(tmp_path / "g.geff"), GRAPHS[name])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        geff.validate_structure(str(tmp_path / "g.geff"))
    validate_data(read_with_geff(tmp_path / "g.geff"), ValidationConfig(graph=True))


def test_positions_that_are_no_pixels_times_spacing_come_back_too(tmp_path):
    cells = make_cells(np.zeros(500), np.arange(1, 501), spacing=(1.7, 0.202, 0.645))
    cells = dataclasses.replace(cells, position=np.random.default_rng(1).uniform(0, 100, (500, 3)))
    write_graph(CellGraph(cells, [], [], np.zeros((0, 0)), ()), tmp_path / "g.geff")
    assert_same(read_graph(tmp_path / "g.geff").cells, cells)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), seed=st.integers(0, 2**20), n=st.integers(0, 12), d=st.sampled_from([2, 3]))
def test_any_graph_comes_back(tmp_path, data, seed, n, d):
    rng = np.random.default_rng(seed)
    keys = np.unique(rng.integers(0, [5, 4], (n, 2)), axis=0)
    spacing = tuple(data.draw(st.lists(st.floats(1e-3, 50), min_size=d, max_size=d)))
    cells = make_cells(keys[:, 0], keys[:, 1] + 1, spacing=spacing, seed=seed)
    source, target = np.nonzero((cells.frame[:, None] < cells.frame) & (rng.random((len(cells), len(cells))) < 0.5))
    graph = CellGraph(cells, source, target, rng.normal(size=(len(source), 1)).astype(np.float32), ("distance",))
    write_graph(graph, tmp_path / "g.geff", overwrite=True)
    assert_same(read_graph(tmp_path / "g.geff"), graph)


def test_lineage_comes_back_bit_for_bit_and_is_valid(tmp_path):
    lineage = make_dividing_lineage()
    write_lineage(lineage, tmp_path / "l.geff")
    assert_same(read_lineage(tmp_path / "l.geff"), lineage)
    memory = read_with_geff(tmp_path / "l.geff")
    validate_data(memory, ALL_CHECKS)
    # The specification's tracklet goes on over a new id without a division; ours is kept beside it.
    assert memory["node_props"]["tracklet_id"]["values"].tolist() == [5, 3, 5, 2, 8, 2, 2, 8]
    assert memory["node_props"]["lineage_id"]["values"].tolist() == [5, 3, 5, 5, 5, 5, 5, 5]
    assert memory["metadata"].track_node_props == {"tracklet": "tracklet_id", "lineage": "lineage_id"}


@pytest.mark.parametrize("n_frames", [0, 4])
def test_lineage_without_cells_comes_back(tmp_path, n_frames):
    cells = make_cells([], [], n_frames=n_frames)
    lineage = Lineage(cells, [], Tracks([], [], [], []), [], [], [])
    write_lineage(lineage, tmp_path / "l.geff")
    assert_same(read_lineage(tmp_path / "l.geff"), lineage)


def test_lineage_whose_table_reaches_beyond_its_cells_comes_back(tmp_path):
    # A filled gap or a filled end of a track has no row among the cells, but belongs to the track.
    cells = make_cells([1, 2], [4, 4])
    lineage = Lineage(cells, [6, 6], Tracks([6], [0], [5], [0]), [0], [1], [0.5])
    write_lineage(lineage, tmp_path / "l.geff")
    assert_same(read_lineage(tmp_path / "l.geff"), lineage)


def test_metadata_speaks_the_words_of_the_specification(tmp_path):
    write_graph(make_small_graph(spacing=(2.0, 0.5, 0.25)), tmp_path / "g.geff", masks_path=tmp_path / "01_ST" / "SEG")
    meta = json.loads((tmp_path / "g.geff" / ".zattrs").read_text())["geff"]
    assert meta["geff_version"].startswith("1.")
    assert meta["directed"] is True
    assert [(a["name"], a["type"], a["unit"], a["scale"], a["scaled_unit"]) for a in meta["axes"]] == [
        ("t", "time", "frame", None, None),
        ("z", "space", "pixel", 2.0, "micrometer"),
        ("y", "space", "pixel", 0.5, "micrometer"),
        ("x", "space", "pixel", 0.25, "micrometer"),
    ]
    assert meta["display_hints"] == {
        "display_horizontal": "x", "display_vertical": "y", "display_depth": "z", "display_time": "t"
    }  # fmt: skip
    assert [(o["type"], o["path"], o["node_prop"]) for o in meta["related_objects"]] == [
        ("labels", "../01_ST/SEG", "seg_id")
    ]
    assert meta["node_props_metadata"]["size"]["unit"] == "um2"
    assert list(meta["extra"]) == ["gnntrack"]


def test_command_line_of_geff_accepts_the_file(tmp_path):
    from geff._cli import app
    from typer.testing import CliRunner

    write_lineage(make_dividing_lineage(), tmp_path / "l.geff")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcome = CliRunner().invoke(app, ["validate", str(tmp_path / "l.geff")])
    assert outcome.exit_code == 0, outcome.output


def test_lineage_is_read_as_a_graph_too(tmp_path):
    write_lineage(make_dividing_lineage(), tmp_path / "l.geff")
    graph = read_graph(tmp_path / "l.geff")
    assert graph.feature_names == ("confidence",)
    assert list(zip(graph.source.tolist(), graph.target.tolist(), strict=True)) == [
        (0, 2), (2, 3), (2, 4), (3, 5), (4, 7), (5, 6)
    ]  # fmt: skip
    assert graph.feature("confidence").tolist() == [1, 0.5, 0.25, 0, 0.125, 0.75]


def test_notes_lose_their_numpy_types_and_nothing_else(tmp_path):
    graph = make_small_graph()
    notes = Provenance(other={"a": np.float32(0.5), "b": np.arange(2), "c": (1, 2), 4: float("nan")})
    write_graph(dataclasses.replace(graph, provenance=notes), tmp_path / "g.geff")
    assert read_graph(tmp_path / "g.geff").provenance.other == {"a": 0.5, "b": [0, 1], "c": [1, 2], "4": None}
    with pytest.raises(FormatError, match=r"notes\.x\[1\] is a object"):
        write_graph(dataclasses.replace(graph, provenance=Provenance(other={"x": [1, object()]})), tmp_path / "h.geff")
    assert not (tmp_path / "h.geff").exists()


@pytest.mark.parametrize(("name", "problem"), [("y", "another property"), ("a/b", "cannot be"), ("", "cannot be")])
def test_feature_names_that_cannot_be_stored_are_named(tmp_path, name, problem):
    graph = make_small_graph(names=("size", name))
    with pytest.raises(FormatError, match=problem):
        write_graph(graph, tmp_path / "g.geff")
    assert not (tmp_path / "g.geff").exists()


def test_existing_output_is_refused_unless_overwrite(tmp_path):
    write_graph(GRAPHS["2D"], tmp_path / "g.geff")
    with pytest.raises(OutputError):
        write_graph(GRAPHS["no links"], tmp_path / "g.geff")
    assert_same(read_graph(tmp_path / "g.geff"), GRAPHS["2D"])
    write_graph(GRAPHS["no links"], tmp_path / "g.geff", overwrite=True)
    assert_same(read_graph(tmp_path / "g.geff"), GRAPHS["no links"])


# --------------------------------------------------------------------------------- other tools' files


def read_with_geff(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return geff.core_io.read_to_memory(str(path))


def write_foreign(path, *, node_ids, node_props, edge_ids, edge_props=None, axes=None, related=None, **metadata):
    def columns(props):
        return {k: v if isinstance(v, dict) else {"values": np.array(v), "missing": None} for k, v in props.items()}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        meta = GeffMetadata(
            directed=metadata.pop("directed", True), axes=axes, related_objects=related,
            node_props_metadata={}, edge_props_metadata={}, **metadata,
        )  # fmt: skip
        write_arrays(
            str(path), np.array(node_ids, np.uint32), columns(node_props), np.array(edge_ids, np.uint32).reshape(-1, 2),
            columns(edge_props or {}), meta,
        )  # fmt: skip
    return path


FOREIGN = {
    "node_ids": [50, 10, 30, 20],
    "node_props": {
        "time": [2, 0, 1, 2], "py": [4.0, 1.0, 2.0, 3.0], "px": [40.0, 10.0, 20.0, 30.0], "mask": [8, 6, 7, 5],
        "area": [4, 1, 2, 3], "name": ["d", "a", "b", "c"],
        "speed": {"values": np.array([0.5, 0, 0, 1.5]), "missing": np.array([False, True, False, False])},
    },
    "edge_ids": [[10, 30], [30, 20], [30, 50]],
    "edge_props": {"weight": [0.5, 0.25, 1.0]},
    "axes": [
        Axis(name="time", type="time", unit="frame"),
        Axis(name="py", type="space", unit="micrometer"), Axis(name="px", type="space", unit="micrometer"),
    ],
    "related": [RelatedObject(type="labels", path="../seg", node_prop="mask")],
}  # fmt: skip


def test_graph_of_another_tool_is_read(tmp_path):
    graph = read_graph(write_foreign(tmp_path / "g.geff", **FOREIGN))
    cells = graph.cells
    assert cells.frame.tolist() == [0, 1, 2, 2]
    assert cells.label.tolist() == [6, 7, 5, 8]
    assert cells.position.tolist() == [[1, 10], [2, 20], [3, 30], [4, 40]]
    assert (cells.unit, cells.n_frames, cells.shape) == ("um", 3, (5, 41))
    assert cells.feature_names == ("area", "speed")
    assert cells.feature("area").tolist() == [1, 2, 3, 4]
    assert np.isnan(cells.feature("speed")[0])
    assert cells.feature("speed")[2] == 1.5
    assert [graph.source.tolist(), graph.target.tolist()] == [[0, 1, 1], [1, 2, 3]]
    assert graph.feature("weight").tolist() == [0.5, 0.25, 1.0]


def test_lineage_of_another_tool_is_read(tmp_path):
    lineage = read_lineage(write_foreign(tmp_path / "g.geff", **FOREIGN))
    assert lineage.track.tolist() == [1, 1, 2, 3]
    table = zip(*(getattr(lineage.tracks, name).tolist() for name in ("id", "start", "end", "parent")), strict=True)
    assert list(table) == [(1, 0, 1, 0), (2, 2, 2, 1), (3, 2, 2, 1)]
    assert lineage.confidence.tolist() == [1, 1, 1]


def test_tracklets_of_another_tool_keep_their_ids(tmp_path):
    props = FOREIGN["node_props"] | {"tid": [9, 4, 4, 12]}
    path = write_foreign(tmp_path / "g.geff", **{**FOREIGN, "node_props": props}, track_node_props={"tracklet": "tid"})
    assert read_lineage(path).track.tolist() == [4, 4, 12, 9]


def test_scale_and_units_of_another_tool_are_respected(tmp_path):
    axes = [
        Axis(name="time", type="time", unit="minute"),
        Axis(name="py", type="space", unit="pixel", scale=2.0, scaled_unit="micrometer"),
        Axis(name="px", type="space", unit="pixel", scale=500.0, scaled_unit="nanometer"),
    ]
    props = FOREIGN["node_props"] | {"time": [20, 0, 10, 20]}
    cells = read_graph(write_foreign(tmp_path / "g.geff", **{**FOREIGN, "axes": axes, "node_props": props})).cells
    assert (cells.spacing, cells.unit, cells.shape) == ((2.0, 0.5), "um", (5, 41))
    assert cells.position.tolist() == [[2, 5], [4, 10], [6, 15], [8, 20]]
    assert cells.frame.tolist() == [0, 1, 2, 2]


def test_edges_that_point_back_in_time_are_turned(tmp_path):
    path = write_foreign(tmp_path / "g.geff", **{**FOREIGN, "edge_ids": [[30, 10], [20, 30], [30, 50]]})
    assert read_graph(path).source.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"axes": None}, "0 axes of space"),
        (
            {"node_props": FOREIGN["node_props"] | {"time": ["c", "a", "b", "c"]}, "axes": FOREIGN["axes"][1:]},
            "must hold one number",
        ),
        ({"axes": FOREIGN["axes"][:2]}, "1 axis of space"),
        ({"related": None}, "no property 'seg_id'"),
        ({"node_props": FOREIGN["node_props"] | {"mask": [1, 1, 1, 1]}}, "label 1 twice in frame 2"),
        ({"node_props": FOREIGN["node_props"] | {"mask": [1, 2, 3, 0]}}, "label 0 in frame 2"),
        ({"node_props": FOREIGN["node_props"] | {"mask": [1, 2, 3, 0.5]}}, "must hold an integer"),
        ({"node_props": FOREIGN["node_props"] | {"time": [0.5, 0, 1, 2]}}, "does not count frames"),
        ({"node_props": FOREIGN["node_props"] | {"time": [-1, 0, 1, 2]}}, "does not count frames"),
        ({"node_props": FOREIGN["node_props"] | {"px": [np.nan, 0, 1, 2]}}, "not finite"),
        ({"node_ids": [50, 10, 10, 20]}, "node ids occur twice"),
        ({"edge_ids": [[10, 30], [30, 20], [30, 60]]}, r"not there: \[\[30, 60\]\]"),
        ({"edge_ids": [[10, 30], [30, 20], [20, 50]]}, "links two cells of frame 2"),
        ({"edge_ids": [[10, 30], [30, 10], [30, 50]]}, "occurs twice"),
    ],
)
def test_what_another_tool_left_out_is_named(tmp_path, change, problem):
    path = write_foreign(tmp_path / "g.geff", **{**FOREIGN, **change})
    with pytest.raises(FormatError, match=problem) as caught:
        read_graph(path)
    assert str(path) in str(caught.value)


def test_ids_that_occur_twice_are_named_wherever_points_are_read(tmp_path):
    path = write_foreign(tmp_path / "g.geff", **{**FOREIGN, "node_ids": [50, 10, 10, 20]})
    for read in (gnntrack.load, lambda path: gnntrack.track(points=path)):
        with pytest.raises(FormatError, match=r"g\.geff: node ids occur twice; expected a different id for each node"):
            read(path)


def test_candidates_are_no_lineage(tmp_path):
    write_graph(make_small_graph(), tmp_path / "g.geff")
    with pytest.raises(FormatError, match="cell 9 of frame 1 has 2 links into it"):
        read_lineage(tmp_path / "g.geff")


def test_no_geff_says_so(tmp_path):
    with pytest.raises(FormatError, match="no such folder"):
        read_graph(tmp_path / "nothing.geff")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FormatError, match="not a GEFF"):
        read_graph(tmp_path / "folder")
    (tmp_path / "file").write_text("x")
    with pytest.raises(FormatError, match="no such folder"):
        read_lineage(tmp_path / "file")


@pytest.mark.parametrize(
    "victim", ["nodes/ids/0", "edges/props/iou/values/0", "nodes/props/y/values/.zarray", ".zattrs"]
)
def test_broken_file_says_so(tmp_path, victim):
    write_graph(make_small_graph(), tmp_path / "g.geff")
    (tmp_path / "g.geff" / victim).write_bytes(b"\x02 no longer what it was")
    with pytest.raises(FormatError, match=r"g\.geff: the GEFF is damaged or not valid"):
        read_graph(tmp_path / "g.geff")


def test_features_of_an_older_version_get_their_new_names(tmp_path):
    cells = make_cells([0, 1], [1, 1], names=("size_z", "box_z"))
    graph = CellGraph(cells, [0], [1], np.zeros((1, 1)), ("intensity_mean_z_difference",))
    write_graph(graph, tmp_path / "old.geff")
    read = read_graph(tmp_path / "old.geff")
    assert read.cells.feature_names == ("size_zscore", "box_z")
    assert read.feature_names == ("intensity_mean_zscore_difference",)
