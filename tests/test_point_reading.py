"""Points are read from the tables and files of many programs; what cannot be used is refused with row and column."""

import importlib.util
import sys

import numpy as np
import pandas as pd
import pytest
import zarr
from support.required import is_required

import gnntrack
from gnntrack.errors import FormatError, GnntrackError, GnntrackWarning, InputError, MissingDependencyError
from gnntrack.io import point_files
from gnntrack.io.detected_points import write_detected_points
from gnntrack.io.points import read_points
from gnntrack.settings import FrameSettings

SPACING = (2.0, 0.5, 0.5)

needs_pyarrow = pytest.mark.skipif(
    importlib.util.find_spec("pyarrow") is None and not is_required(), reason="pyarrow is not installed"
)


def read(points, spacing=None, interval=None, **options):
    return read_points(points, settings=FrameSettings().with_given(spacing=spacing, interval=interval), **options)


def write(folder, text, name="points.csv"):
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


TRACKMATE = """LABEL,ID,TRACK_ID,QUALITY,POSITION_X,POSITION_Y,POSITION_Z,POSITION_T,FRAME,RADIUS
Label,Spot ID,Track ID,Quality,X,Y,Z,T,Frame,Radius
Label,Spot ID,Track ID,Quality,X,Y,Z,T,Frame,R
,,,(quality),({0}),({0}),({0}),(sec),,({0})
ID3,3,0,5,2.5,3.5,4,0,0,2
ID4,4,0,5,2.5,3.6,6,1.5,1,2
"""


@pytest.mark.parametrize(
    ("text", "position", "unit"),
    [
        ("t,z,y,x\n0,4,3.5,2.5\n1,6,3.6,2.5\n", [8, 1.75, 1.25], "um"),
        ("Frame;X;Y;Z\n0;2,5;3,5;4\n1;2,5;3,6;6\n", [8, 1.75, 1.25], "um"),
        ("index,axis-0,axis-1,axis-2,axis-3\n0,0,4,3.5,2.5\n1,1,6,3.6,2.5\n", [8, 1.75, 1.25], "um"),
        ("frame,label,centroid-0,centroid-1,centroid-2\n0,1,4,3.5,2.5\n1,1,6,3.6,2.5\n", [8, 1.75, 1.25], "um"),
        ("track_id,t,z,y,x,id,parent_id\n1,0,4,3.5,2.5,11,-1\n1,1,6,3.6,2.5,12,11\n", [8, 1.75, 1.25], "um"),
        ("frame,z_um,y_um,x_um\n0,4,3.5,2.5\n1,6,3.6,2.5\n", [4, 3.5, 2.5], "um"),
        ("frame,z_nm,y_nm,x_nm\n0,4000,3500,2500\n1,6000,3600,2500\n", [4, 3.5, 2.5], "um"),
        (
            "ID,Label,Spot frame,Spot position X (µm),Spot position Y (µm),Spot position Z (µm),Spot radius (µm)\n"
            "0,a,0,2.5,3.5,4,5\n1,b,1,2.5,3.6,6,5\n",
            [4, 3.5, 2.5],
            "um",
        ),
        (TRACKMATE.format("micron"), [4, 3.5, 2.5], "um"),
        (TRACKMATE.format("pixel"), [8, 1.75, 1.25], "um"),
    ],
)
def test_columns_are_found_by_name(tmp_path, text, position, unit):
    points = read(write(tmp_path, text), SPACING)
    assert points.frame.tolist() == [0, 1]
    assert points.unit == unit
    np.testing.assert_allclose(points.position[0], position)


def test_the_names_decide_unless_a_unit_is_given(tmp_path):
    file = write(tmp_path, "t,y,x,radius,intensity\n0,3,2,1.5,70\n1,3,2,1.5,80\n")
    assert read(file).unit == "pixel"
    points = read(file, 0.5, unit="um")
    assert points.position.tolist() == [[3, 2], [3, 2]]
    assert points.radius.tolist() == [1.5, 1.5]  # in um if the size of a pixel is known
    assert points.intensity.tolist() == [70, 80]
    assert read(file, 0.5, radius=4.0).radius.tolist() == [4, 4]
    in_pixels = write(tmp_path, "t,y,x,radius_px\n0,3,2,3\n", "pixels.csv")
    assert read(in_pixels, 0.5).radius.tolist() == [1.5]


def test_ids_that_cannot_be_labels_are_kept(tmp_path):
    table = pd.DataFrame([(t, 5 + k, 5 + 9 * k, (t + 11) * 10**9 + k) for t in range(4) for k in range(3)])
    table.columns = ["t", "y", "x", "id"]
    gapped = table[(table.t != 2) | (table.index % 3 > 0)].sample(frac=1, random_state=1)
    lineage = gnntrack.track(points=gapped, out=tmp_path / "out")
    cells = lineage.cells
    own = cells.ids >= 0  # of points that were not added
    assert sorted(cells.ids[own].tolist()) == sorted(gapped.id)
    place = {each.id: each.x for each in gapped.itertuples()}
    assert [place[each] for each in cells.ids[own].tolist()] == cells.position[own, 1].tolist()
    written = pd.read_csv(tmp_path / "out" / "gnntrack" / "points.csv")
    assert written.id.tolist() == cells.ids.tolist()
    again = gnntrack.load(tmp_path / "out")
    assert np.array_equal(again.cells.ids, cells.ids)
    graph = gnntrack.build_graph(points=tmp_path / "out")
    assert set(gapped.id) <= set(graph.cells.ids.tolist())
    assert read(table.assign(id=table.index + 1)).label.tolist() == list(range(1, 13))


def test_nodes_of_a_geff_in_the_layout_of_the_competition_are_points(tmp_path):
    from gnntrack.io.point_graph import write_point_graph
    from gnntrack.types import PointGraph

    frame, voxel = np.array([0, 0, 1]), np.array([[3, 10, 20], [4, 40, 50], [3, 11, 21]])
    ids = np.array([11_000_000_000, 11_000_000_001, 12_000_000_000])
    spacing = (1.625, 0.40625, 0.40625)
    graph = PointGraph(ids, frame, voxel * spacing, np.array([0]), np.array([2]), spacing, "um", 40.0, 2)
    write_point_graph(graph, tmp_path / "nodes.geff")
    with pytest.warns(GnntrackWarning, match="1 edge not used"):
        points = read(tmp_path / "nodes.geff")
    np.testing.assert_allclose(points.position / points.spacing, voxel)
    assert (points.unit, points.ids.tolist()) == ("um", ids.tolist())
    assert points.spacing == spacing


def test_spots_of_trackmate_are_points(tmp_path):
    rows = [(t, 5.0 + k, 5.0 + 20 * k, 2.0) for t in range(3) for k in range(2)]
    table = pd.DataFrame(rows, columns=["t", "y", "x", "radius"])
    gnntrack.track(points=table, spacing=0.5, out=tmp_path / "spots.xml")
    points = read(tmp_path / "spots.xml")
    assert points.unit == "um"
    np.testing.assert_allclose(np.sort(points.position, axis=0), np.sort(table[["y", "x"]] * 0.5, axis=0))
    assert points.radius.tolist() == [2.0] * 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t,y,x\n0,1,2\n\n1,,3\n", "line 4 has no number in y"),
        ("t,y,x\n0,1,2\n1,inf,3\n", "line 3 has the y inf"),
        ("t,y,x\n0,1,2\n1,abc,3\n", "line 3 has a value that is not a number in y: 'abc'"),
        ("t,y,x\n0,1,5,2\n", "line 2 has 4 fields for 3 columns"),
        ("t,y,x,id\n0,1,2,7\n0,2,3,7\n", "line 3 has the id 7 for a second time in frame 0, after line 2"),
        ("t,y,x,id\n0,1,2,7\n0,2,3,7.5\n", "line 3 has the id 7.5; ids are whole numbers"),
        ("t,y,x,id\n0,1,2,c1\n", "line 2 has the id 'c1'"),
        ("t,y,x\n0,1,2\n0.5,2,3\n", "line 3 has the t 0.5, which is not a frame"),
        ("t,y,x\n-1,1,2\n", "line 2 has the t -1; frames are whole numbers from 0"),
        ("t,y,x,radius\n0,1,2,3\n1,1,2,0\n", "line 3 has 0 in radius"),
        ("t,y,x\n", "a table without rows"),
        ("", "no column for frame, y, x"),
        ("frame,y\n0,1\n", "no column for x"),
        ("t,y,x,X\n0,0,1,2\n", "the columns 'x' and 'X' have one name"),
        ("t,z_um,y,x\n0,1,2,2\n", "in different units"),
        ("t,z,y,x_um\n0,1,2,2\n", "no column for x"),
        ("t,y,x\n0,1,2\n1,3,5,2\n", "line 3 has 4 fields for 3 columns"),
        ("t;y;x\n0;1;2\n1;3;5;2\n", "line 3 has 4 fields for 3 columns; correct the row"),
        ("t\ty\tx\n0\t1\t5\t2\n", "line 2 has 4 fields for 3 columns; correct the row"),
        ("t,y,x,intensity\n0,1,2,1e200\n", "line 2 has the intensity 1e+200"),
        ("t,y,x\n200000,1,2\n200001,1,2\n", "200000 of 200002 frames have no points"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_line_and_column(tmp_path, text, message):
    with pytest.raises(FormatError) as caught:
        read(write(tmp_path, text))
    assert message in str(caught.value)
    assert "points.csv: " in str(caught.value)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((3, 20, 20), np.uint8), "an array of shape (3, 20, 20) in place of points"),
        ([[0, 1, 2], [1, 2]], "rows of different lengths in place of points"),
        (np.zeros((3, 5)), "give (N, 3) with the columns t, y, x"),
        (np.array([["a", "b", "c"]]), "give numbers"),
        (pd.DataFrame({"t": [0, 1], "y": [1, np.nan], "x": [2, 3]}), "row 1 has no number in y"),
    ],
)
def test_arrays_and_data_frames_are_checked_too(points, message):
    with pytest.raises(InputError) as caught:
        read(points)
    assert message in str(caught.value)


def test_data_frames_of_many_kinds_and_layers_of_napari_are_points():
    table = pd.DataFrame({"frame": [0, 1], "x": [4, 5], "y": [1, 2]})
    plain = read(table)
    nullable = table.astype({"frame": "Int64", "x": "Float64"}).set_index("frame")
    assert np.array_equal(read(nullable).position, plain.position)
    layer = type("Points", (), {"__module__": "napari.layers", "data": table[["frame", "y", "x"]].to_numpy()})()
    assert np.array_equal(read(layer).position, plain.position)
    with pytest.raises(FormatError, match="row 1 has no number in x"):
        read(table.astype({"x": "Int64"}).assign(x=pd.array([4, None], dtype="Int64")))
    with pytest.raises(InputError, match="to_pandas"):
        read(type("Frame", (), {"columns": ["t", "y", "x"]})())


@pytest.mark.parametrize("name", ["masks.tif", "page.html", "nothere.csv"])
def test_other_files_are_refused(tmp_path, name):
    if name != "nothere.csv":
        (tmp_path / name).write_bytes(b"II*\0")
    with pytest.raises(InputError, match=r"points are a table|no such file"):
        read(tmp_path / name)
    zarr.create_array(tmp_path / "movie.zarr", shape=(2, 4), dtype="u1")
    with pytest.raises(InputError):
        read(tmp_path / "movie.zarr")


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("t,y,x\n0,1,2\n2,3,4\n3,3,4\n", "1 frame of 4 has no points: 1"),
        ("t,y,x\n1,1,2\n2,3,4\n3,3,4\n", "no points: 0; if its frames are counted from 1, subtract 1"),
        ("t,y,x\n0,1,2\n30,3,4\n60,3,4\n", "in steps of 30"),
        ("t,y,x\n0,1,2\n0,1,2\n", "line 3 has the same place and frame as line 2"),
        ("t,z,y,x\n0,4,1,2\n1,4,3,4\n", "all points have the z 4"),
        ("t,y,x,intensity\n0,1,2,3\n1,1,2,-5\n", "intensity is not used: line 3 has -5 there"),
        ("t,y_um,x_um\n0,1,2\n1,1,2\n", "give --spacing"),
        ("t (s),y,x\n0,1,2\n30,3,4\n90,3,4\n", "in steps of 30 s"),
    ],
)
def test_odd_tables_are_read_with_a_warning(tmp_path, text, warning):
    with pytest.warns(GnntrackWarning, match=warning.replace("(", r"\(")):
        read(write(tmp_path, text))


def test_times_are_divided_by_the_interval(tmp_path):
    file = write(tmp_path, "t,y,x\n0,1,2\n0.5,2,3\n1.0,2,3\n")
    assert read(file, interval=0.5).frame.tolist() == [0, 1, 2]
    with pytest.raises(FormatError, match="correct --interval"):
        read(file, interval=0.4)


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        (TRACKMATE, 1.5),
        (TRACKMATE.replace("(sec)", "(min)"), 90),
        (TRACKMATE.replace("(sec)", "(frame)"), None),
        (TRACKMATE.replace("6,1.5,1,2", "6,1.0,1,2"), None),  # as of images without an interval
        (TRACKMATE.replace("6,1.5,1,2", "6,,1,2"), None),
        ("frame,t_min,y,x\n0,0,1,2\n1,10,1,2\n3,30,1,2\n", 600),
        ("frame,t_min,y,x\n0,0,1,2\n1,10,1,2\n3,45,1,2\n", None),  # not regular
        ("frame,y,x\n0,1,2\n1,1,2\n", None),
    ],
)
def test_times_beside_frames_are_the_interval(tmp_path, text, interval):
    assert read(write(tmp_path, text)).interval == interval
    assert read(write(tmp_path, text)).frame.max() in (1, 3)


def test_whole_times_are_divided_by_the_interval_that_is_their_step(tmp_path):
    file = write(tmp_path, "t,y,x\n0,1,2\n30,2,3\n90,2,3\n")
    with pytest.warns(GnntrackWarning, match="times in steps of the interval, 30 s"):
        assert read(file, interval=30).frame.tolist() == [0, 1, 3]


@pytest.mark.parametrize("content", [b"no array", b"", b"\x93NUMPY\x01\x00"])
def test_a_broken_array_is_refused(tmp_path, content):
    (tmp_path / "points.npy").write_bytes(content)
    with pytest.raises(FormatError, match=r"cannot be read as \.npy"):
        read(tmp_path / "points.npy")


def test_a_radius_of_numpy_is_a_number():
    assert read([[0, 1, 2]], radius=np.float32(2)).radius.tolist() == [2]


def test_methods_that_compare_masks_are_refused():
    with pytest.raises(InputError, match="'iou' compares masks, and points have none"):
        gnntrack.track(points=[[0, 1, 2], [1, 1, 2]], method="iou")


def test_positions_in_the_other_unit_are_told():
    rng = np.random.default_rng(0)
    voxel = np.column_stack([np.repeat(np.arange(4), 10), rng.integers(0, 20, 40), rng.integers(0, 200, (40, 2))])
    voxel[0, 1:] = 19, 199, 199
    spacing = (1.625, 0.40625, 0.40625)
    physical = voxel * np.array([1, *spacing])
    with pytest.warns(GnntrackWarning, match="give --points-unit um"):
        read(physical, spacing)
    with pytest.warns(GnntrackWarning, match="give --points-unit pixel"):
        read(voxel, spacing, unit="um")
    np.testing.assert_allclose(read(physical, spacing, unit="um").position, read(voxel, spacing).position)
    cube = np.column_stack([physical[:, 0], rng.uniform(0, 90, (40, 3))])  # between voxels
    with pytest.warns(GnntrackWarning, match="spread over 14. um along z and 3. um along y and x; if they are in um"):
        read(cube, spacing)
    read(cube, spacing, unit="um")


def test_points_must_lie_in_their_images():
    images = np.random.default_rng(0).integers(0, 90, (3, 8, 20, 20)).astype(np.uint16)
    points = [[t, 2, 3 + k, 12] for t in range(3) for k in range(4)]
    for wrong, message in (
        ([*points, [3, 2, 3, 12]], "row 12 is in frame 3, and the images have 3 frames"),
        ([[row[0] + 1, *row[1:]] for row in points], "the points begin in frame 1: subtract 1 from all frames"),
        ([*points, [2, 2, 20, 12]], "row 12 has the y 20, outside; the images have"),
        ([*points, [2, 2, -8, 12]], "row 12 has the y -8, outside; the images begin with the voxel 0"),
        ([row[:1] + row[2:] for row in points], "no column for z"),
        (
            [[*row[:1], 4 * row[1], 2 * row[2], 2 * row[3]] for row in points],
            "if they were in um: give --points-unit um",
        ),
    ):
        with pytest.raises(InputError) as caught:
            gnntrack.build_graph(images, points=wrong, spacing=(4, 2, 2))
        assert message in str(caught.value)
    with pytest.raises(InputError, match="the images are 2D"):
        gnntrack.build_graph(images[:, 0], points=[[0, 1, 2, 3], [1, 2, 2, 3]])
    with pytest.raises(InputError, match="masks too"):
        gnntrack.build_graph(images, images, points=points)


def test_positions_below_0_are_tracked_without_images(tmp_path):
    points = np.array([[t, 5 * k - 30, t - 12] for t in range(4) for k in range(5)])
    with pytest.warns(GnntrackWarning, match="positions are below 0, such as the y -30 of row 0"):
        lineage = gnntrack.track(points=points)
    assert lineage.track.tolist() == [1, 2, 3, 4, 5] * 4
    assert lineage.cells.position.min() == -30
    for to, more in (("ctc", {"radius": 2}), ("biohub", {})):
        with pytest.raises(GnntrackError, match="add a constant"):
            gnntrack.export(lineage, tmp_path / to, to=to, **more)


def test_a_plain_table_is_read_by_pandas(tmp_path, monkeypatch):
    text = "t,y,x,name\n0,1,2,a\n1,1,2,b\n"
    monkeypatch.setattr(point_files, "read_delimited", None)  # reads any dialect, 70 times as slowly
    assert len(point_files.read_rows(write(tmp_path, text)).table) == 2


@pytest.mark.parametrize(
    "rows",
    [
        ["0,1,5,6", "1,2,5,7", "2,3,5,8"],
        ["0,1,5,6", "1,2,,7", "2,3,5.5,8"],
        ["0,1,5,6", "1,2,0.1,7", "2,9007199254740993,5,8"],
        ["0,9007199254740993,5,6", "1,,5,7", "2,0.5,5,8"],
        ["0,1,5,6", "1,one,5,7", "2,3,5,8"],
        ["Frame,Id,Y,X", "0,1,5,6", "1,2,5,7"],
        ["0,1,5,6", "1,True,5,7", "2,3,5,8"],
        ["0,1,5,6", "1,18446744073709551615,5,7", "2,-1,5,8"],
    ],
)
def test_a_table_in_parts_is_read_as_the_whole(tmp_path, rows, monkeypatch):
    file = write(tmp_path, "\n".join(["frame,id,y,x", *rows]))
    whole = point_files.read_rows(file)
    monkeypatch.setattr(point_files, "_ROWS", 1)
    parts = point_files.read_rows(file)
    pd.testing.assert_frame_equal(parts.table, whole.table)
    assert [parts.locate(k) for k in range(len(rows) - 1)] == [whole.locate(k) for k in range(len(rows) - 1)]


def test_a_surplus_field_in_a_later_part_is_refused_with_its_line(tmp_path, monkeypatch):
    monkeypatch.setattr(point_files, "_ROWS", 1)
    with pytest.raises(FormatError, match="line 3 has 5 fields for 4 columns"):
        read(write(tmp_path, "frame,id,y,x\n0,1,5,6\n1,2,5,7,8\n"))


PARQUET_TABLE = pd.DataFrame({"frame": [0, 1], "y": [1.0, 2.0], "x": [3.0, 4.0], "id": [7, 9]})


@needs_pyarrow
@pytest.mark.parametrize(
    "table",
    [PARQUET_TABLE, PARQUET_TABLE.set_index("frame"), PARQUET_TABLE.set_index(["frame", "id"])],
    ids=["columns", "frames as index", "two columns as index"],
)
def test_a_parquet_file_is_tracked(tmp_path, table):
    table.to_parquet(tmp_path / "points.parquet")
    found = read(tmp_path / "points.parquet")
    assert found.position.tolist() == [[1, 3], [2, 4]]
    assert (found.frame.tolist(), found.label.tolist()) == ([0, 1], [7, 9])


@needs_pyarrow
def test_detected_points_are_written_as_parquet_and_read_again(tmp_path):
    table = pd.DataFrame({"t": [0, 1], "z": [1.234, 2], "y": [3.0, 4], "x": [5.0, 6], "radius": 2.0, "score": 0.5})
    write_detected_points(table, tmp_path / "points.parquet")
    found = read(tmp_path / "points.parquet")
    assert found.position.tolist() == [[1.23, 3, 5], [2, 4, 6]]
    assert found.radius.tolist() == [2, 2]


@needs_pyarrow
def test_a_parquet_file_with_a_fault_is_named(tmp_path):
    file = tmp_path / "points.parquet"
    PARQUET_TABLE.assign(y=[1.0, np.nan]).to_parquet(file)
    with pytest.raises(InputError, match=r"points\.parquet: row 1 has no number in y"):
        read(file)
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(FormatError, match=r"cannot be read as Parquet .*; save the table again, or as CSV"):
        read(file)


def test_without_pyarrow_a_parquet_file_names_it(tmp_path, monkeypatch):
    file = write(tmp_path, "", "points.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "fastparquet", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'gnntrack\[parquet\]'"):
        read(file)


GAPPED = np.array([[t, 20, 20] for t in range(6) if t != 2] + [[t, 60, 60] for t in range(6) if t != 3], float)


@pytest.mark.parametrize("source", ["", "gnntrack/points.csv", "gnntrack/cells.csv", "a.xml", "a.btrack.csv", "frame"])
def test_interpolated_points_are_not_detections(tmp_path, source):
    table = pd.DataFrame(GAPPED, columns=["t", "y", "x"]).assign(id=[*range(2**31, 2**31 + 5), *range(5)])
    lineage = gnntrack.track(points=table, out=tmp_path / "out")
    assert lineage.cells.feature("interpolated").sum() == 2
    if source.startswith("a."):
        gnntrack.export(lineage, tmp_path / "out" / source, to="trackmate" if source == "a.xml" else "btrack")
    with pytest.warns(GnntrackWarning, match="2 interpolated points left out"):
        again = gnntrack.track(points=lineage.to_pandas() if source == "frame" else tmp_path / "out" / source)
    assert again.cells.frame[again.cells.feature("interpolated") == 1].tolist() == [2, 3]
    assert len(again.cells) == len(lineage.cells)


@pytest.mark.parametrize(
    ("marks", "message"),
    [("11", "all points are marked as interpolated"), (["0", "linear"], "line 3 has a value that is neither 0 nor 1")],
)
def test_marks_that_leave_no_point_or_are_none_are_refused(tmp_path, marks, message):
    text = "t,y,x,interpolated\n" + "".join(f"{t},5,5,{mark}\n" for t, mark in enumerate(marks))
    with pytest.raises(GnntrackError, match=message):
        read(write(tmp_path, text))


def test_marks_may_be_words_and_places_stay_those_of_the_file(tmp_path):
    file = write(tmp_path, "t,y,x,interpolated\n0,5,5,False\n1,5,5,TRUE\n\n2,5,5,\n3,,5,False\n")
    with (
        pytest.warns(GnntrackWarning, match="1 interpolated point left out"),
        pytest.raises(FormatError, match="line 6"),
    ):
        read(file)


@pytest.mark.parametrize("name", ["z", "radius", "intensity", "score", "id"])
@pytest.mark.parametrize("empty", ["csv", "null", "text"])
def test_a_column_that_is_empty_throughout_is_absent(tmp_path, name, empty, recwarn):
    file = write(tmp_path, f"t,{name},y,x\n0,,1,2\n1,,1,3\n")
    table = pd.read_csv(file)
    table[name] = pd.Series([None, None] if empty == "null" else ["", " "], dtype=object)
    found = read(file if empty == "csv" else table)
    assert (found.position.shape, found.radius, found.intensity, found.score) == ((2, 2), None, None, None)
    assert found.ids is None
    assert not recwarn


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("radius", "line 3 has no number in radius"),
        ("id", "line 3 has no number in id"),
        ("z", "line 3 has no number in z"),
    ],
)
def test_a_row_without_one_of_its_values_is_refused(tmp_path, name, message):
    with pytest.raises(FormatError, match=message):
        read(write(tmp_path, f"t,{name},y,x\n0,1,1,2\n1,,1,3\n"))


def test_a_row_without_an_intensity_or_a_score_is_read(tmp_path):
    file = write(tmp_path, "t,y,x,intensity,score\n0,1,2,5,1\n1,1,3,,\n")
    with pytest.warns(GnntrackWarning, match="intensity is not used: line 3 has nothing there"):
        found = read(file)
    assert found.intensity is None
    assert np.isnan(found.score).tolist() == [False, True]


@pytest.mark.parametrize("row", [",,", " , ,"])
def test_rows_of_empty_fields_are_left_out(tmp_path, row):
    found = read(write(tmp_path, f"t,y,x\n0,1,2\n{row}\n1,1,3\n{row}\n"))
    assert found.frame.tolist() == [0, 1]
    with pytest.raises(FormatError, match="line 5 has"):
        read(write(tmp_path, f"t,y,x\n0,1,2\n{row}\n1,1,3\n2,,3\n{row}\n"))
