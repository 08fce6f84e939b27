"""The tables: what they refuse, what they promise, and that nobody can change them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import worlds

from gnntrack.errors import FormatError
from gnntrack.types import CellGraph, Cells, Lineage, LinkScores, Provenance, Runs, Tracks


def cells(frame=(0, 0, 2), label=(3, 7, 3), **changes):
    n = len(frame)
    columns = {
        "frame": np.asarray(frame),
        "label": list(label),
        "position": np.zeros((n, 2)),
        "features": np.zeros((n, 1)),
        "feature_names": ("size",),
        "feature_units": ("pixel2",),
        "spacing": (1.0, 1.0),
        "n_frames": 3,
        "shape": (9, 9),
    }
    return Cells(**(columns | changes))


def graph(source=(0, 1), target=(2, 2), **changes):
    columns = {"cells": cells(), "source": list(source), "target": list(target), "features": np.zeros((len(source), 0))}
    return CellGraph(**(columns | {"feature_names": ()} | changes))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"frame": (2, 0, 0)}, "not sorted"),
        ({"label": (7, 3, 3)}, "not sorted"),
        ({"label": (3, 3, 3)}, "occurs twice"),
        ({"label": (0, 7, 3)}, "label 0 is not positive"),
        ({"frame": (-1, 0, 2)}, "frames outside 0..2"),
        ({"n_frames": 2}, "frames outside 0..1"),
        ({"label": (3, 7)}, "label has shape"),
        ({"position": np.zeros((3, 3))}, "position has shape"),
        ({"features": np.zeros((3, 2))}, "1 name "),
        ({"feature_units": ()}, "0 units"),
        ({"shape": (9, 9, 9)}, "differ in length"),
    ],
)
def test_cells_refuse(changes, problem):
    with pytest.raises(FormatError, match=problem):
        cells(**changes)


def test_rows_of_a_frame_and_cells_of_a_key():
    table = cells()
    assert [table.rows(frame) for frame in range(3)] == [slice(0, 2), slice(2, 2), slice(2, 3)]
    assert (table.rows(-1), table.rows(3)) == (slice(0, 0), slice(3, 3))
    assert table.row_of([0, 0, 1, 2, 2, 9], [7, 4, 3, 3, 7, 9]).tolist() == [1, -1, -1, 2, -1, -1]
    assert table.row_of(0, [[3], [7]]).tolist() == [[0], [1]]
    assert cells((), ()).row_of([0, 1], [1, 1]).tolist() == [-1, -1]
    assert table.ndim == 2
    assert len(table) == 3


@settings(deadline=None)
@given(
    keys=st.sets(st.tuples(st.integers(0, 4), st.integers(1, 2**31)), max_size=20),
    others=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 2**31)), max_size=5),
)
def test_row_of_finds_every_cell_and_no_other(keys, others):
    order = sorted(keys)
    table = cells([k[0] for k in order], [k[1] for k in order], n_frames=5)
    wanted = np.array(order + others, np.int64).reshape(-1, 2)
    found = [order.index(key) if key in keys else -1 for key in map(tuple, wanted.tolist())]
    assert table.row_of(*wanted.T).tolist() == found


def test_a_missing_column_is_named_with_those_there_are():
    assert cells().feature("size").shape == (3,)
    with pytest.raises(FormatError, match="unknown cell feature 'sise'; there are: size"):
        cells().feature("sise")
    with pytest.raises(FormatError, match="unknown link feature 'iou'; there are: none"):
        graph().feature("iou")
    assert cells().has("size")
    assert not graph().has("iou")


def test_tables_are_read_only_and_leave_the_callers_arrays_alone():
    frame = np.array([0, 0, 2])
    table = cells(frame)
    with pytest.raises(ValueError, match="read-only"):
        table.frame[0] = 1
    with pytest.raises(FrozenInstanceError):
        table.frame = frame
    frame[0] = 0  # still the caller's own
    assert table.position.dtype == np.float64
    assert table.features.dtype == np.float32
    assert table.label.dtype == np.int64


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"source": (2, 1), "target": (0, 2)}, "forward in time"),
        ({"source": (0, 1), "target": (1, 2)}, "forward in time"),
        ({"source": (1, 0)}, "not sorted"),
        ({"source": (0, 0)}, "occurs twice"),
        ({"target": (2, 3)}, "rows 0..3 of 3 cells"),
        ({"source": (-1, 1)}, "rows -1..2 of 3 cells"),
        ({"target": (2,)}, "target has shape"),
        ({"features": np.zeros((2, 1))}, "features have shape"),
    ],
)
def test_graphs_refuse(changes, problem):
    with pytest.raises(FormatError, match=problem):
        graph(**changes)


def test_gap_is_counted_in_frames():
    assert graph().gap.tolist() == [2, 2]
    assert len(graph()) == 2
    assert graph((), ()).gap.tolist() == []


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan, np.inf])
@pytest.mark.parametrize("name", ["link", "division", "marginal"])
def test_scores_lie_between_0_and_1(name, value):
    columns = {"link": [0.5, 0.5], "pairs": [[0, 1]], "division": [0.5]}
    LinkScores(**columns, marginal=np.array([0.0, 1.0]))
    with pytest.raises(FormatError, match=rf"{name} scores lie outside"):
        LinkScores(**(columns | {name: np.full(len(columns.get(name, [0, 0])), value)}))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"marginal": [0.5]}, "marginal has other rows than link, which has 2"),
        ({"pairs": [[0, 2]], "division": [0.5]}, r"pairs name links 0..2 of 2"),
        ({"pairs": [[1, 1]], "division": [0.5]}, "a pair is one link twice"),
    ],
)
def test_scores_fit_each_other(changes, problem):
    with pytest.raises(FormatError, match=problem):
        LinkScores(np.array([0.5, 0.5]), **{name: np.array(value) for name, value in changes.items()})


def test_scores_are_single_and_read_only():
    scores = LinkScores(np.array([0.5]), marginal=np.array([0.1]))
    for value in (scores.link, scores.marginal):
        assert value.dtype == np.float32
        assert not value.flags.writeable


def test_every_pair_has_a_score():
    with pytest.raises(FormatError, match="pairs have shape"):
        LinkScores([0.5, 0.5], pairs=[[0, 1]])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"cell": [0]}, "differ in length"),
        ({"offsets": [0, 1]}, "span"),
        ({"offsets": [1, 2]}, "span"),
        ({"offsets": []}, "span"),
    ],
)
def test_runs_refuse(changes, problem):
    columns = {"cell": [0, 1], "start": [1, 5], "length": [2, 2], "offsets": [0, 1, 2], "shape": (3, 3)}
    assert Runs(**columns).frame(1) == slice(1, 2)
    with pytest.raises(FormatError, match=problem):
        Runs(**(columns | changes))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"id": [2, 1, 3]}, "ascending"),
        ({"id": [0, 2, 3]}, "ascending from 1"),
        ({"id": [1, 1, 3]}, "ascending"),
        ({"end": [1, 1, 4]}, "ends before it starts"),
        ({"parent": [0, 9, 1]}, r"unknown parents \[9\]"),
        ({"parent": [0, 1, 2]}, r"tracks \[3\] start before their parents end"),
        ({"start": [0, 1, 2]}, r"tracks \[2\] start before their parents end"),  # in the parent's last frame
        ({"start": [0, 2]}, "differ in length"),
    ],
)
def test_tracks_refuse(changes, problem):
    columns = {"id": [1, 2, 3], "start": [0, 2, 2], "end": [1, 4, 2], "parent": [0, 1, 1]}
    assert list(Tracks(**columns).frames(1)) == [2, 3, 4]
    with pytest.raises(FormatError, match=problem):
        Tracks(**(columns | ({"end": [1, 1, 2]} if problem.startswith("ends") else {}) | changes))


def test_a_lineage_has_all_its_cells_in_its_tracks():
    tracks = Tracks([1, 2], [0, 0], [2, 0], [0, 0])
    columns = {"cells": cells(), "track": [1, 2, 1], "tracks": tracks, "source": [0], "target": [2], "confidence": [1]}
    lineage = Lineage(**columns)
    with pytest.raises(FormatError, match="track has shape"):
        replace(lineage, track=[1, 2])
    with pytest.raises(FormatError, match="differ"):
        replace(lineage, track=[1, 1, 1])
    with pytest.raises(FormatError, match="links differ in length"):
        replace(lineage, confidence=[])
    with pytest.raises(FormatError, match="outside its track"):
        replace(lineage, tracks=Tracks([1, 2], [0, 0], [1, 0], [0, 0]))
    noted = lineage.with_provenance(solver="greedy").with_provenance(gaps_bridged=2)
    assert noted.provenance == Provenance(solver="greedy", gaps_bridged=2)


def test_provenance_goes_to_the_stored_keys_and_back():
    every = Provenance(
        gate=0.0, flow="none", masks={"cells": 3}, cell_settings={"fragments": "keep"}, method="iou", solver="iou",
        gaps_bridged=1, pieces_joined=((0, 1, 2),), outside_field=(), gaps_filled=1, masks_split=0, other={"mine": [1]},
    )  # fmt: skip
    stored = every.as_dict()
    assert stored == {
        "gate": 0.0, "gate_radii": None, "flow": "none", "masks": {"cells": 3},
        "settings": {"cells": {"fragments": "keep"}}, "method": "iou", "solver": "iou", "gaps_bridged": 1,
        "pieces_joined": [[0, 1, 2]], "outside_field": [], "gaps_filled": 1, "masks_parted": 0, "mine": [1],
    }  # fmt: skip
    assert Provenance.from_dict(stored) == every
    assert Provenance().as_dict() == {}
    assert not Provenance().repaired


def test_the_networkx_view_holds_every_cell_and_link():
    world = worlds.parent_divides()
    lineage, _ = worlds.build_known_lineage(world)
    view = lineage.to_networkx()
    assert view.number_of_nodes() == len(lineage.cells)
    assert set(view.edges) == set(zip(lineage.source.tolist(), lineage.target.tolist(), strict=True))
    assert [view.nodes[n]["frame"] for n in view if view.out_degree(n) == 2] == [2]
    assert set(view.nodes[0]) == {"frame", "label", "track", "y", "x"}
    assert nx.is_forest(view)
