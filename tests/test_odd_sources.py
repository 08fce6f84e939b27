"""Odd files as sources of tracks: units, names, encodings, labels, and outputs that are the source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from geff.core_io import write_arrays
from geff_spec import Axis, GeffMetadata
from support.movies import dividing_masks

import gnntrack
from gnntrack.cli import cli
from gnntrack.converting import convert
from gnntrack.errors import FormatError, GnntrackWarning, InputError, OutputError
from gnntrack.importing import import_tracks
from gnntrack.io.trackmate_xml import read_trackmate_xml

MASKS = dividing_masks()


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A result without units, whose links have confidences."""
    out = tmp_path_factory.mktemp("odd") / "01_RES"
    gnntrack.track(masks=MASKS, out=out, output__pictures=False)
    return out


@pytest.fixture(scope="module")
def trackmate(result):
    file = result.parent / "tracks.xml"
    convert(result, file, spacing=0.5)
    return file.read_text(encoding="utf-8")


def write_points(path, **more):
    """Write a GEFF of points in um, three cells of one track, with further properties."""
    columns = {"t": np.arange(3), "y": np.array([5.0, 6, 7]), "x": np.array([5.0, 5, 9])} | more
    axes = [Axis(name="t", type="time"), *(Axis(name=name, type="space", unit="micrometer") for name in "yx")]
    metadata = GeffMetadata(directed=True, axes=axes, node_props_metadata={}, edge_props_metadata={})
    properties = {name: {"values": values, "missing": None} for name, values in columns.items()}
    ids, edges = np.arange(3, dtype=np.uint64), np.array([[0, 1], [1, 2]], np.uint64)
    write_arrays(path, ids, properties, edges, {}, metadata, zarr_format=2)
    return path


@pytest.mark.parametrize("place", [".", "gnntrack/lineage.geff"])
def test_a_size_of_a_pixel_and_an_interval_are_used_for_any_source(result, tmp_path, place):
    plain = gnntrack.load(result)
    (written, _, _) = convert(result / place, tmp_path / "a.xml", spacing=0.5, interval="5min")
    assert (written.cells.unit, written.cells.spacing, written.provenance.interval) == ("um", (0.5, 0.5), 300)
    assert np.allclose(written.cells.position, plain.cells.position / 2)
    assert np.allclose(written.cells.feature("density"), plain.cells.feature("density") * 4, rtol=1e-4)
    assert np.array_equal(written.confidence, plain.confidence)
    assert "<Model" in (text := (tmp_path / "a.xml").read_text())
    assert 'timeinterval="300"' in text


def test_export_uses_the_interval(result, tmp_path):
    command = ["export", str(result), "--to", "trackmate", "-o", str(tmp_path / "a.xml"), "--interval", "5min"]
    assert CliRunner().invoke(cli, command).exit_code == 0
    assert 'timeinterval="300"' in (tmp_path / "a.xml").read_text()


def test_a_given_interval_prevails_over_that_of_the_file(trackmate, tmp_path):
    (tmp_path / "a.xml").write_text(trackmate.replace('timeunits="frame"', 'timeunits="sec"'))
    assert import_tracks(tmp_path / "a.xml").provenance.interval == 1
    assert import_tracks(tmp_path / "a.xml", interval="7min").provenance.interval == 420


def test_measurements_follow_the_size_of_a_pixel(result):
    plain, half = gnntrack.load(result), gnntrack.load(result, spacing=0.5)
    with pytest.warns(GnntrackWarning, match="14 measurements of each cell omitted"):
        flat = gnntrack.load(result, spacing=(0.5, 1))
    for name in plain.cells.feature_names:
        one, other = (np.nanmax(each.cells.feature(name)) for each in (plain, half))
        unit = half.cells.feature_units[half.cells.feature_names.index(name)]
        factor = {"um": 0.5, "um2": 0.25, "1/um2": 4, "": 1, "rad": 1}[unit]
        assert other == pytest.approx(one * factor, rel=1e-4), name
    assert "diameter" not in flat.cells.feature_names
    assert np.allclose(flat.cells.feature("size"), plain.cells.feature("size") / 2)
    assert np.array_equal(half.labels()[3], plain.labels()[3])


def test_positions_in_um_stay_as_they_are(tmp_path):
    file = write_points(tmp_path / "points.geff")
    with pytest.warns(GnntrackWarning, match="positions are in um already"):
        analysis = gnntrack.analyse(file, spacing=0.5)
    assert analysis.cells["y_um"].tolist() == [5, 6, 7]
    assert analysis.lineage.cells.spacing == (0.5, 0.5)


@pytest.mark.parametrize("labels", [[0, 1, 1], [1, -3, 1]])
def test_labels_that_are_not_labels_of_masks(tmp_path, labels):
    file = write_points(tmp_path / "points.geff", seg_id=np.array(labels))
    with pytest.warns(GnntrackWarning, match="cells are numbered in each frame instead"):
        assert convert(file, tmp_path / "a.csv").lineage.track.tolist() == [1, 1, 1]
    with pytest.raises(FormatError, match=r"the property 'seg_id' has the label (0|-3) in frame \d; expected a label"):
        gnntrack.load(file)


def test_a_folder_with_several_lineages(tmp_path):
    for name in ("a.geff", "b.geff"):
        write_points(tmp_path / name)
    with pytest.raises(InputError, match=r"it holds 2 GEFF, such as a.geff, b.geff; give one of them"):
        gnntrack.load(tmp_path, points=True)


@pytest.mark.parametrize("encoding", ["GBK", "no-such-encoding"])
def test_encodings_that_cannot_be_read(trackmate, tmp_path, encoding):
    (tmp_path / "a.xml").write_text(trackmate.replace("UTF-8", encoding))
    with pytest.raises(FormatError, match=r"a.xml: it cannot be read as XML \(.*encoding"):
        read_trackmate_xml(tmp_path / "a.xml")


@pytest.mark.parametrize("size", ["1e300", "1e-300"])
def test_pixels_of_no_size_of_this_world(trackmate, tmp_path, size):
    (tmp_path / "a.xml").write_text(trackmate.replace('pixelwidth="0.5"', f'pixelwidth="{size}"'))
    with pytest.raises(FormatError, match=r"a.xml: pixels of 1e[+-]300 micron; expected 1e-9 to 1e9 um"):
        read_trackmate_xml(tmp_path / "a.xml")


def test_a_source_is_not_overwritten(result, tmp_path):
    table = tmp_path / "tracks.csv"
    table.write_text("track_id,t,y,x,mine\n1,0,1,2,7\n1,1,1,3,7\n")
    with pytest.raises(OutputError, match="it is the source or holds it"):
        convert(table, Path(tmp_path, ".", "tracks.csv"), overwrite=True)
    assert "mine" in table.read_text()
    for source in (result, result / "gnntrack" / "lineage.geff"):
        with pytest.raises(OutputError, match="it is the source or holds it"):
            import_tracks(source, out=result, overwrite=True)


@pytest.mark.parametrize(
    "words",
    [
        ("analyse", "{geff}", "-o", "{geff}"),
        ("apply-edits", "{result}", "{edits}", "-o", "{result}"),
        ("export", "{geff}", "--to", "geff", "-o", "{geff}"),
        ("track", "--masks", "{result}", "-o", "{result}"),
        ("shape", "{result}", "-o", "{result}"),
        ("solve", "{geff}", "-o", "{geff}"),
        ("train", "{result}", "-o", "{result}"),
    ],
    ids=lambda words: words[0],
)
def test_no_command_overwrites_its_source(result, tmp_path, words):
    edits = tmp_path / "edits.json"
    edits.write_text('{"edits": []}')
    values = {"result": result, "geff": result / "gnntrack" / "lineage.geff", "edits": edits}
    before = sorted(path.relative_to(result) for path in result.rglob("*"))
    run = CliRunner().invoke(cli, [word.format(**values) for word in words] + ["--overwrite"])
    assert "it is the source or holds it" in run.output
    assert run.exit_code == 2
    assert sorted(path.relative_to(result) for path in result.rglob("*")) == before


def test_the_recipe_of_the_analysis_keeps_its_source(result):
    geff = result / "gnntrack" / "lineage.geff"
    with pytest.raises(OutputError, match="it is the source or holds it"):
        gnntrack.analyse(geff, out=geff, overwrite=True)


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("-1,1,1,0\n0,1,1,0", "a cell is in frame -1; count frames from 0"),
        ("0,1,1,2\n1,1,1,2\n0,2,2,1\n1,2,2,1", "track 1 begins in frame 0, and its parent 2 ends in frame 1"),
    ],
)
def test_frames_and_parents_of_a_table_of_cells(tmp_path, rows, fault):
    (tmp_path / "cells.csv").write_text(f"frame,label,track,parent\n{rows}\n")
    with pytest.raises(FormatError, match=f"cells.csv: {fault}"):
        import_tracks(tmp_path / "cells.csv", masks=MASKS)


def test_a_frame_as_large_as_a_wrong_position_is_not_drawn(tmp_path):
    rows = "ID,TRACK_ID,POSITION_X,POSITION_Y,FRAME\n1,0,1e8,10,0\n2,0,11,10,1\n"
    (tmp_path / "spots.csv").write_text(rows)
    with (
        pytest.warns(GnntrackWarning, match="as large as the spots need"),
        pytest.raises(InputError, match=r"it needs 2 frames of \(\d+, 10000000\d\) pixels; correct its frames"),
    ):
        import_tracks(tmp_path / "spots.csv")
