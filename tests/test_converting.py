"""Tracks from one format to another and back, and tables of other programs."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path

import ctc_metrics
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from geff.core_io import read_to_memory, write_arrays
from geff.validate.data import ValidationConfig, validate_data
from geff_spec import Axis, GeffMetadata, RelatedObject
from scipy.spatial import cKDTree
from support.exchange import write_result
from support.movies import dividing_masks, images_of, write_folder

import gnntrack
from gnntrack import GnntrackWarning, InputError
from gnntrack.cli import cli
from gnntrack.converting import choose_format, convert
from gnntrack.io.losses import HELD
from gnntrack.io.writers import WRITERS
from gnntrack.pipeline import evaluate, simulate, track

POINTS = ["napari", "btrack", "laptrack", "mastodon", "csv"]
NAMES = {"geff": "a.geff", "trackmate": "a.xml", "csv": "a"}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A result folder with divisions, a gap that was filled, a cell of one frame, and units."""
    return write_result(tmp_path_factory.mktemp("result"))


@pytest.fixture(scope="module")
def lineage(result):
    loaded = gnntrack.load(result)
    assert loaded.divisions
    assert len(np.union1d(loaded.source, loaded.target)) < len(loaded.cells)
    return loaded


def check_same_links(one, other, *, within=1e-3):
    """Check that two lineages have the same cells, by their places in pixels, and the same links between them."""
    places = [
        np.column_stack([each.cells.frame * 1e5, each.cells.position / each.cells.spacing]) for each in (one, other)
    ]
    away, row = cKDTree(places[1]).query(places[0])
    assert len(places[0]) == len(places[1]) == len(np.unique(row))
    assert away.max() < within
    links = set(zip(row[one.source].tolist(), row[one.target].tolist(), strict=True))
    assert links == set(zip(other.source.tolist(), other.target.tolist(), strict=True))
    assert len(one.divisions) == len(other.divisions)


def check_same_result(one, other):
    """Check that two results have the same regions, links and divisions, under any numbers of tracks."""
    scores = evaluate(one, other)
    assert scores["TRA"] == scores["LNK"] == 1
    one, other = gnntrack.load(one), gnntrack.load(other)
    assert len(one.divisions) == len(other.divisions)
    for left, right in zip(one.labels(), other.labels(), strict=True):
        pairs = np.unique(np.stack([left.ravel(), right.ravel()]), axis=1)
        assert pairs.shape[1] == len(np.unique(left)) == len(np.unique(right))


def list_tracks(lineage):
    tracks = lineage.tracks
    return list(zip(*(getattr(tracks, name).tolist() for name in ("id", "start", "end", "parent")), strict=True))


@pytest.mark.parametrize("to", [*POINTS, "geff", "trackmate"])
def test_there_and_back_keeps_cells_links_and_divisions(result, lineage, to, tmp_path):
    there = tmp_path / NAMES.get(to, "a.csv")
    convert(result, there, to=to)
    spacing = None if to in {"geff", "trackmate"} else (0.5, 0.25)
    back = convert(there, tmp_path / "b.geff", spacing=spacing).lineage
    assert back.cells.unit == "um"
    check_same_links(back, lineage)
    if to in {"napari", "btrack", "csv", "geff"}:  # the others number tracks themselves
        assert list_tracks(back) == list_tracks(lineage)
    if to in {"geff", "trackmate"}:
        assert back.provenance.interval == 300
        assert lineage.confidence.min() < 1
        np.testing.assert_allclose(np.sort(back.confidence), np.sort(lineage.confidence), atol=1e-6)
        keys = [np.column_stack([each.cells.frame, each.cells.label]).tolist() for each in (back, lineage)]
        assert keys[0] == keys[1]


@pytest.mark.parametrize("to", [*POINTS, "geff", "trackmate", "edges"])
def test_there_and_back_to_a_ctc_result_with_the_masks(result, lineage, to, tmp_path):
    there = tmp_path / NAMES.get(to, "a.csv")
    convert(result, there, to=to)
    spacing = None if to in {"geff", "trackmate", "edges"} else (0.5, 0.25)
    convert(there, tmp_path / "02_RES", masks=result, spacing=spacing)
    check_same_result(tmp_path / "02_RES", result)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert ctc_metrics.validate_sequence(str(tmp_path / "02_RES"))["Valid"] == 1


def test_outlines_of_trackmate_are_masks_again(result, tmp_path):
    convert(result, tmp_path / "a.xml")
    convert(tmp_path / "a.xml", tmp_path / "02_RES")
    check_same_result(tmp_path / "02_RES", result)


def test_a_geff_of_a_table_passes_the_validators_of_geff(result, tmp_path):
    convert(result, tmp_path / "a.csv", to="napari")
    convert(tmp_path / "a.csv", tmp_path / "a.geff")
    validate_data(read_to_memory(tmp_path / "a.geff"), ValidationConfig(graph=True, tracklet=True, lineage=True))


def test_a_napari_table_has_the_arrays_of_the_layer(result, lineage, tmp_path):
    convert(result, tmp_path / "a.csv", to="napari")
    table = pd.read_csv(tmp_path / "a.csv")
    data, properties, graph = lineage.to_napari()
    np.testing.assert_allclose(table[["track_id", "t", "y", "x"]], data, rtol=1e-6)
    parents = table.groupby("track_id").parent.first()
    assert {track: [parent] for track, parent in parents.items() if parent} == graph
    np.testing.assert_array_equal(table.label, properties["label"])


def test_gaps_stay_gaps(tmp_path):
    masks = np.zeros((5, 40, 50), np.uint8)
    for t in (0, 1, 3, 4):
        masks[t, 8:14, 5 + 2 * t : 12 + 2 * t] = 3
    gap = gnntrack.solve(gnntrack.build_graph(masks=masks, max_gap=2))
    gap.to_geff(tmp_path / "a.geff")
    for to in [*POINTS, "trackmate"]:
        there = tmp_path / f"{to}{Path(NAMES.get(to, 'a.csv')).suffix}"
        assert len(convert(tmp_path / "a.geff", there, to=to).lineage.source) == 3
        back = convert(there, tmp_path / f"{to}.geff").lineage
        assert np.diff(back.cells.frame).tolist() == [1, 2, 1]
        assert len(back) == 1
    for to in ("napari", "trackmate"):
        there = tmp_path / f"{to}{Path(NAMES.get(to, 'a.csv')).suffix}"
        convert(there, tmp_path / f"{to}_RES", masks=masks)  # a mask is drawn in the gap
        assert (tmp_path / f"{to}_RES" / "res_track.txt").read_text().split() == ["1", "0", "4", "0"]


def test_3d(tmp_path):
    movie = simulate(frames=4, cells=4, shape=(12, 50, 60), seed=2)
    track(masks=movie.masks, out=tmp_path / "01_RES", spacing=(2, 0.5, 0.5), output__pictures=False)
    whole = gnntrack.load(tmp_path / "01_RES")
    for to in [*POINTS, "trackmate"]:
        there = tmp_path / f"{to}{Path(NAMES.get(to, 'a.csv')).suffix}"
        done = convert(tmp_path / "01_RES", there, to=to)
        assert any(each.startswith("masks") for each in done.lost)
        back = convert(there, tmp_path / f"{to}.geff", spacing=(2, 0.5, 0.5)).lineage
        check_same_links(back, whole)


TABLES = {
    "laptrack": "frame,index,y,x,tree_id,track_id\n0,0,1,2,0,0\n1,0,1,3,0,0\n1,1,9,9,1,1\n",
    "trackpy": ",y,x,mass,frame,particle\n0,1,2,7,0,0\n3,1,3,7,1,0\n4,9,9,7,1,1\n",
    "btrack": (
        "ID t x y z parent root state generation dummy\n1.0 0.0 2.0 1.0 0.0 1.0 1.0 5.0 0.0 0.0\n"
        "1.0 1.0 3.0 1.0 0.0 1.0 1.0 5.0 0.0 0.0\n2.0 1.0 9.0 9.0 0.0 2.0 2.0 5.0 0.0 0.0\n"
    ),
    "napari": "track_id;t;y;x\n0;0;1,0;2,0\n0;1;1,0;3,0\n4;1;9,0;9,5\n",
    "mastodon": "ID,POSITION_X,POSITION_Y,POSITION_Z,FRAME,PARENT_ID\n7,2,1,0,0,-1\n9,3,1,0,1,7\n8,9,9,0,1,-1\n",
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_of_other_programs(kind, tmp_path):
    (tmp_path / "a.csv").write_text(TABLES[kind])
    found = convert(tmp_path / "a.csv", tmp_path / "a.geff").lineage
    assert found.cells.frame.tolist() == [0, 1, 1]
    assert sorted(map(tuple, found.cells.position.astype(int).tolist())) == [(1, 2), (1, 3), (9, 9)]
    assert len(found.source) == 1
    assert len(found) == 2
    assert found.cells.ndim == 2


# as Mastodon's plugin 'Export graph as CSV' writes it: names as labels, ids from 0, spaces, nothing for no parent
MASTODON = (
    'id, label, timepoint, x, y, z, parent_id, Tags\n0, "A.1", 0, 2.5, 1.5, 0.0, , #FF0000\n'
    '1, "A.2", 1, 2.5, 1.5, 0.0, 0, \n2, "B", 1, 9.5, 1.5, 0.0, , \n'
)


@pytest.mark.parametrize("source_format", [None, "mastodon"])
def test_a_table_that_mastodon_exports(source_format, tmp_path):
    (tmp_path / "a.csv").write_text(MASTODON)
    found = convert(tmp_path / "a.csv", tmp_path / "a.geff", source_format=source_format).lineage
    assert found.cells.position.tolist() == [[1.5, 2.5], [1.5, 2.5], [1.5, 9.5]]
    assert [found.source.tolist(), found.target.tolist()] == [[0], [1]]


BOTH = "id,track_id,t,y,x,parent_id\n1,1,0,5,5,-1\n2,2,1,5,5,1\n3,2,2,5,5,2\n4,1,1,9,9,1\n"


@pytest.mark.parametrize(("source_format", "links"), [(None, 3), ("napari", 3), ("mastodon", 3)])
def test_from_tells_whether_parents_are_tracks_or_cells(source_format, links, tmp_path):
    # track 1 has a cell beside the first of track 2: its parent by tracks begins too late, by cells not
    (tmp_path / "a.csv").write_text(BOTH)
    if source_format != "mastodon":
        with pytest.raises(InputError, match=r"which has the parent 1 before|begins before its parent ends"):
            convert(tmp_path / "a.csv", tmp_path / "a.geff", source_format=source_format)
        return
    found = convert(tmp_path / "a.csv", tmp_path / "a.geff", source_format=source_format).lineage
    assert len(found.source) == links
    assert len(found.divisions) == 1


def test_from_reads_a_file_of_any_suffix_and_masks_of_a_result(result, lineage, tmp_path):
    convert(result, tmp_path / "a.dat", to="btrack")
    found = convert(tmp_path / "a.dat", tmp_path / "a.geff", source_format="btrack", spacing=(0.5, 0.25)).lineage
    check_same_links(found, lineage)
    convert(result, tmp_path / "b.dat", to="trackmate")
    found = convert(tmp_path / "b.dat", tmp_path / "b.geff", source_format="trackmate").lineage
    check_same_links(found, lineage)
    masks = convert(result, tmp_path / "c.geff", source_format="masks").lineage  # no table of parents
    assert len(masks.cells) == len(lineage.cells)
    assert not masks.divisions
    with pytest.raises(InputError, match="expected one of ctc, geff"):
        convert(result, tmp_path / "d.geff", source_format="nothing")
    done = CliRunner().invoke(cli, ["convert", str(result), str(tmp_path / "d.geff"), "--from", "mastodn"])
    assert "did you mean 'mastodon'" in done.stderr


@pytest.mark.parametrize("labels", [None, ["a", "b", "c"]])
def test_a_geff_of_points_without_labels(labels, tmp_path):
    columns = {"t": [0, 1, 1], "y": [1.5, 2.5, 3.5], "x": [5.0, 6.0, 9.0]} | (
        {} if labels is None else {"seg_id": labels}
    )
    axes = [Axis(name="t", type="time"), *(Axis(name=name, type="space") for name in "yx")]
    metadata = GeffMetadata(directed=True, axes=axes, node_props_metadata={}, edge_props_metadata={})
    nodes = {name: {"values": np.array(values), "missing": None} for name, values in columns.items()}
    edges = np.array([[10, 12]], np.uint64)
    write_arrays(tmp_path / "a.geff", np.array([10, 11, 12], np.uint64), nodes, edges, {}, metadata)
    found = convert(tmp_path / "a.geff", tmp_path / "a.csv").lineage
    assert found.cells.position.tolist() == [[1.5, 5], [2.5, 6], [3.5, 9]]
    assert [found.source.tolist(), found.target.tolist()] == [[0], [2]]
    assert not found.has_masks
    check_same_links(convert(tmp_path / "a.csv", tmp_path / "b.geff").lineage, found)
    assert len(gnntrack.analyse(tmp_path / "a.geff").cells) == 3
    points = gnntrack.load(tmp_path / "a.geff")
    assert points.cells.points
    assert [points.source.tolist(), points.target.tolist()] == [[0], [2]]
    with pytest.raises(InputError, match=r"points without masks.*gnntrack export .* --to ctc --radius R -o .*02_RES"):
        convert(tmp_path / "a.geff", tmp_path / "02_RES")
    with pytest.raises(InputError, match="points, which have no labels in masks; omit masks"):
        convert(tmp_path / "a.geff", tmp_path / "02_RES", masks=np.zeros((2, 9, 9), int))
    command = ["export", str(tmp_path / "a.geff"), "--to", "ctc", "--radius", "1", "-o", str(tmp_path / "03_RES")]
    done = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert gnntrack.load(tmp_path / "03_RES").labels()[1][3, 5:10].tolist() == [0, 2, 0, 0, 1]


def test_a_geff_that_names_masks_without_labels_is_not_read_as_points(tmp_path):
    columns = {name: {"values": np.array([0, 1]), "missing": None} for name in "tyx"}
    axes = [Axis(name="t", type="time"), *(Axis(name=name, type="space") for name in "yx")]
    related = [RelatedObject(type="labels", path="../masks", node_prop="number")]
    metadata = GeffMetadata(
        directed=True, axes=axes, related_objects=related, node_props_metadata={}, edge_props_metadata={}
    )
    write_arrays(tmp_path / "a.geff", np.array([1, 2], np.uint64), columns, np.array([[1, 2]], np.uint64), {}, metadata)
    with pytest.raises(InputError, match="labels in the masks are missing"):
        gnntrack.load(tmp_path / "a.geff")


def test_a_repeated_id_of_a_cell_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("id,t,y,x,parent_id\n1,0,1,1,\n2,1,1,1,1\n2,1,3,1,1\n")
    with pytest.raises(InputError, match="line 4 has a second cell with the id 2"):
        convert(tmp_path / "a.csv", tmp_path / "a.geff")


def test_a_byte_order_mark_and_decimal_commas(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbftrack_id;t;y;x\r\n1;0;1,5;2,5\r\n1;1;1,5;3\r\n")
    assert convert(tmp_path / "a.csv", tmp_path / "a.geff").lineage.cells.position.tolist() == [[1.5, 2.5], [1.5, 3]]


def test_points_that_btrack_put_into_gaps_are_not_cells(tmp_path):
    text = TABLES["btrack"] + "1.0 2.0 4.0 1.0 0.0 1.0 1.0 5.0 0.0 1.0\n"
    (tmp_path / "a.csv").write_text(text)
    with pytest.warns(GnntrackWarning, match="1 row not used"):
        assert len(convert(tmp_path / "a.csv", tmp_path / "a.geff").lineage.cells) == 3


HEAD = "track_id,t,y,x,parent\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "1,0,1,1,\n1,0,2,2,\n", "line 3 has a second cell of track 1 in frame 0"),
        (HEAD + "1,0,1,1,\n1,1.5,2,2,\n", "line 3 has the t 1.5; expected a whole number from 0 to 999999"),
        (HEAD + "1,0,1,1,\n1,-1,2,2,\n", "line 3 has the t -1"),
        (HEAD + "1,0,1,1,\n1,1,nan,2,\n", "line 3 has the y nan; expected a number"),
        (HEAD + "1,0,1,1,\n1,1,b,2,\n", "line 3 has a value that is not a number in y: 'b'"),
        (HEAD + "1,0,1,1,\n2,1,1,1,5\n", "line 3 has the parent 5, which is not a track"),
        (HEAD + "1,0,1,1,\n2,0,1,1,1\n", "line 3 has the first cell of track 2, which begins before its parent ends"),
        (
            HEAD + "1,0,1,1,\n3,0,1,1,\n2,1,1,1,1\n2,2,1,1,3\n",
            "line 5 has the parent 3 for track 2, which has the parent 1",
        ),
        (HEAD, "a table without rows"),
        ("track_id,t,x\n1,0,1\n", "no column"),
        ("id,t,y,x\n1,0,1,1\n2,1,1,1\n", "each row has an id of its own"),
        ("id,t,y,x,parent_id\n1,0,1,1,-1\n2,1,1,1,7\n", "line 3 has the parent 7, and there is no cell with this id"),
        ("id,t,y,x,parent_id\n1,1,1,1,-1\n2,1,1,1,1\n", "line 3 has a parent, 1, that is not in an earlier frame"),
    ],
)
def test_tables_that_cannot_be_right_are_refused_with_the_line(text, message, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        convert(tmp_path / "a.csv", tmp_path / "a.geff")
    assert not (tmp_path / "a.geff").exists()


def test_positions_in_um_need_the_size_of_a_pixel(tmp_path):
    (tmp_path / "a.csv").write_text("track,frame,y_um,x_um\n1,0,10,20\n1,1,10,21\n")
    with pytest.warns(GnntrackWarning, match="1 um is taken"):
        convert(tmp_path / "a.csv", tmp_path / "a.geff")
    found = convert(tmp_path / "a.csv", tmp_path / "b.geff", spacing=0.5).lineage
    assert found.cells.position.tolist() == [[10, 20], [10, 21]]
    convert(tmp_path / "b.geff", tmp_path / "c.csv", to="napari")
    assert pd.read_csv(tmp_path / "c.csv").x.tolist() == [40, 42]
    with pytest.raises(InputError, match=r"a\.csv has 2 axes; expected 2 positive sizes"):
        convert(tmp_path / "a.csv", tmp_path / "d.geff", spacing=(1, 2, 3))


def test_merges_of_trackmate_are_fusions(tmp_path):
    spot = '<Spot ID="{}" FRAME="{}" POSITION_X="{}" POSITION_Y="5"/>'
    spots = "".join(spot.format(*each) for each in ((1, 0, 5), (2, 0, 9), (3, 1, 6)))
    edge = '<Edge SPOT_SOURCE_ID="{}" SPOT_TARGET_ID="3"/>'
    tracks = f'<AllTracks><Track TRACK_ID="0">{edge.format(1)}{edge.format(2)}</Track></AllTracks>'
    (tmp_path / "a.xml").write_text(f"<TrackMate><Model><AllSpots>{spots}</AllSpots>{tracks}</Model></TrackMate>")
    found = convert(tmp_path / "a.xml", tmp_path / "a.geff").lineage
    assert found.cells.position[[row for row, _ in found.fusions]].tolist() == [[5, 9]]
    assert found.cells.position[found.source].tolist() == [[5, 5]]
    assert found.cells.position[:, 1].tolist() == [5, 9, 6]  # as in the file, not those of drawn discs


def test_a_table_of_spots_of_trackmate_has_discs_if_masks_are_needed(tmp_path):
    rows = "1,0,8,9,0,3\n2,1,8,10,0,3\n"
    (tmp_path / "a.csv").write_text("ID,FRAME,POSITION_X,POSITION_Y,TRACK_ID,RADIUS\n" + rows)
    found = convert(tmp_path / "a.csv", tmp_path / "a.geff").lineage
    assert found.cells.position.tolist() == [[9, 8], [10, 8]]
    assert found.cells.feature("diameter").tolist() == [6, 6]
    with pytest.warns(GnntrackWarning, match="the size of the images"):
        convert(tmp_path / "a.csv", tmp_path / "01_RES")
    assert (np.asarray(gnntrack.load(tmp_path / "01_RES").labels()[0]) > 0).sum() == 29


@pytest.mark.parametrize(
    ("name", "to"),
    [("a.geff", "geff"), ("A.XML", "trackmate"), ("a.csv", "napari"), ("a.btrack.csv", "btrack"),
     ("a.edges.tsv", "edges"), ("a.napari.txt", "napari"), ("x/01_RES", "ctc"), ("a.b.csv", "napari")],
)  # fmt: skip
def test_a_name_has_a_format(name, to):
    assert choose_format(name) == to


@pytest.mark.parametrize("name", ["a.tsv", "folder", "a.json"])
def test_a_name_that_does_not_tell_the_format(name):
    with pytest.raises(InputError, match="choose it with to"):
        choose_format(name)


def test_masks_that_are_missing_are_asked_for(result, tmp_path):
    convert(result, tmp_path / "edges.csv", to="edges")
    convert(result, tmp_path / "napari.csv", to="napari")
    convert(tmp_path / "napari.csv", tmp_path / "a.geff")
    for source in ("edges.csv", "napari.csv", "a.geff"):
        with pytest.raises(InputError, match=r"give .*masks"):
            convert(tmp_path / source, tmp_path / "02_RES")
    with pytest.raises(InputError, match="no such file"):
        convert(tmp_path / "absent.csv", tmp_path / "b.geff")


def test_what_a_format_does_not_hold_is_listed(result, lineage, tmp_path):
    wanted = {
        "ctc": ["measurements of each cell", "the unit um", "the size of a pixel", "the frame interval"],
        "geff": ["masks"],
        "trackmate": [],
        "edges": ["masks", "positions", "without a link", "measurements", "the unit um", "pixel", "interval"],
    }
    for to, words in wanted.items():
        lost = convert(result, tmp_path / (NAMES.get(to) or f"{to}_RES"), to=to, overwrite=True).lost
        lost = [each for each in lost if not each.startswith("confidences")]
        assert len(lost) == len(words)
        assert all(word in each for word, each in zip(words, lost, strict=True))
    assert set(HELD) == set(WRITERS)


def test_the_command_lists_what_is_not_kept(result, tmp_path):
    done = CliRunner().invoke(cli, ["convert", str(result), str(tmp_path / "a.csv"), "--to", "napari"])
    assert done.exit_code == 0, done.stderr
    assert "not kept" in done.stdout
    assert "a.csv (napari)" in done.stdout
    again = CliRunner().invoke(cli, ["convert", str(result), str(tmp_path / "a.csv"), "--to", "napari"])
    assert again.exit_code == 2
    assert "it exists already" in again.stderr


def test_import_reads_the_tables_that_are_written(result, lineage, tmp_path):
    convert(result, tmp_path / "a.csv", to="napari")
    again = gnntrack.import_tracks(tmp_path / "a.csv", masks=result)
    assert list_tracks(again) == list_tracks(lineage)
    with pytest.raises(InputError, match="no pixels"):
        gnntrack.import_tracks(tmp_path / "a.csv")


def test_track_takes_the_options_of_trackastra(tmp_path):
    masks = dividing_masks()
    write_folder(tmp_path / "masks", masks)
    write_folder(tmp_path / "images", images_of(masks))
    line = [
        "track",
        "--imgs",
        "images",
        "--masks",
        "masks",
        "--output-ctc",
        "01_RES",
        "--output-edge-table",
        "links.csv",
    ]
    done = CliRunner().invoke(
        cli, [each if each[0] == "-" or k == 0 else str(tmp_path / each) for k, each in enumerate(line)]
    )
    assert done.exit_code == 0, done.stderr
    assert "links.csv" in done.stdout
    table = pd.read_csv(tmp_path / "links.csv")
    assert list(table) == ["source_frame", "source_label", "target_frame", "target_label", "weight"]
    for end in ("source", "target"):  # labels of the masks that were given, which are in any order
        pairs = zip(table[f"{end}_frame"], table[f"{end}_label"], strict=True)
        assert all((masks[frame] == label).any() for frame, label in pairs)
    again = gnntrack.import_tracks(tmp_path / "links.csv", masks=masks)
    check_same_links(again, gnntrack.load(tmp_path / "01_RES"))
    (tmp_path / "links.csv").rename(tmp_path / "first.csv")
    line = ["track", "--masks", str(tmp_path / "masks"), "--output-edge-table", str(tmp_path / "links.csv")]
    alone = CliRunner().invoke(cli, line)  # as TrackMate-Trackastra asks for it: without a folder of the result
    assert alone.exit_code == 0, alone.stderr
    assert len(pd.read_csv(tmp_path / "links.csv")) == len(table)
    assert "-o" in CliRunner().invoke(cli, line[:3]).stderr
    refused = CliRunner().invoke(
        cli,
        [
            "track",
            str(tmp_path / "images"),
            str(tmp_path / "masks"),
            "-o",
            str(tmp_path / "02_RES"),
            "--output-edge-table",
            str(tmp_path / "links.csv"),
        ],
    )
    assert refused.exit_code == 2
    assert "links.csv: it exists already" in refused.stderr
    assert not (tmp_path / "02_RES").exists()


REAL = [
    *(f"{name}/01_GT" for name in ("Fluo-C2DL-MSC", "Fluo-N2DH-GOWT1", "Fluo-N2DH-SIM+", "BBBC050-mouse-embryo-3D")),
    *(f"{name}/01_{kind}" for name in ("Fluo-N2DL-HeLa", "PhC-C2DL-PSC") for kind in ("GT", "RES")),
    *(f"iPSC-02/{number}_{kind}" for number in ("01", "02", "03") for kind in ("GT", "RES")),
    *(f"ctc-official-evaluation/{number}_{kind}" for number in ("03", "04") for kind in ("GT", "RES")),
]


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", REAL)
def test_real_tracks_there_and_back(name, ctc_data, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1] / "benchmarks")
    rows = list(importlib.import_module("round_trips").measure(name, ctc_data / name))
    assert len(rows) == len(set(WRITERS) - {"biohub", "points"})
    for row in rows:
        assert "failed" not in row
        for what in ("cells", "links", "divisions"):
            assert row[f"{what}_kept"] == row[what]
        assert row["cells_added"] == row["links_added"] == 0
        if row["format"] != "trackmate":  # a cell of TrackMate is its outline, without small pieces
            assert row["cells_moved"] == 0
