"""Tracks of other programs: labels, TrackMate's files, tables, results."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile
from click.testing import CliRunner

from gnntrack import GnntrackWarning, InputError, import_tracks, track
from gnntrack.cli import cli
from gnntrack.io.ctc_validate import validate_ctc
from gnntrack.pipeline import evaluate, simulate

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<TrackMate version="7.11.1"><Model spatialunits="{unit}" timeunits="min">'
)
IMAGE = '<Settings><ImageData width="60" height="50" nslices="{z}" nframes="4" pixelwidth="0.5" pixelheight="0.5" '
TAIL = 'voxeldepth="2" timeinterval="5"/></Settings></TrackMate>'


def write_xml(path, spots, edges, *, unit="micron", z=1, kept=("0",), image=True):
    """Write spots (id, frame, x, y, z, extra text) and edges (track, source, target) as TrackMate does."""
    lines = [HEAD.format(unit=unit), "<AllSpots>"]
    for name, frame, x, y, depth, extra, *text in spots:
        lines += [
            f'<SpotsInFrame frame="{frame}"><Spot ID="{name}" FRAME="{frame}" POSITION_X="{x}" POSITION_Y="{y}" '
            f'POSITION_Z="{depth}" RADIUS="2" {extra}>{"".join(text)}</Spot></SpotsInFrame>'
        ]
    lines += ["</AllSpots><AllTracks>"]
    for name in dict.fromkeys(edge[0] for edge in edges):
        mine = [f'<Edge SPOT_SOURCE_ID="{s}" SPOT_TARGET_ID="{t}"/>' for other, s, t in edges if other == name]
        lines += [f'<Track TRACK_ID="{name}">', *mine, "</Track>"]
    lines += ["</AllTracks><FilteredTracks>", *(f'<TrackID TRACK_ID="{name}"/>' for name in kept)]
    lines += ["</FilteredTracks></Model>", IMAGE.format(z=z) + TAIL if image else "</TrackMate>"]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


DIVIDING = [("1", 0, 10, 5, 0, ""), ("2", 1, 10, 6, 0, ""), ("3", 2, 7, 6, 0, ""), ("4", 2, 13, 6, 0, "")]
EDGES = [("0", "1", "2"), ("0", "2", "3"), ("0", "2", "4")]


def make_tracked(frames=6):
    """Return masks whose labels are tracks: 3 moves down, 9 rests."""
    masks = np.zeros((frames, 60, 60), np.uint8)
    for t in range(frames):
        masks[t, 5 + t : 12 + t, 5:12] = 3
        masks[t, 40:48, 40:48] = 9
    return masks


def test_labels_are_tracks(tmp_path):
    masks = make_tracked()
    lineage = import_tracks(masks, out=tmp_path / "01_RES")
    assert [each.start for each in lineage] == [0, 0]
    assert [len(each) for each in lineage] == [6, 6]
    assert validate_ctc(tmp_path / "01_RES") == []
    assert ((np.asarray(lineage.labels()) > 0) == (masks > 0)).all()


def test_a_gap_of_a_label_is_filled(tmp_path):
    masks = make_tracked()
    masks[2:4, 40:48, 40:48] = 0
    lineage = import_tracks(masks, out=tmp_path / "01_RES")
    assert len(lineage) == 2
    assert lineage.labels()[2][44, 44] > 0
    assert len(import_tracks(masks, fill_gaps=False)) == 3


def test_a_cell_of_one_frame_is_no_fragment_of_its_neighbour():
    masks = np.zeros((5, 40, 40), np.uint8)
    masks[:, 10:22, 10:30] = 1
    masks[2, 10:22, 22:30] = 2
    assert len(import_tracks(masks)) == 2
    assert len(import_tracks(masks).cells) == 6
    assert len(import_tracks(masks, join_pieces=True)) == 1


def test_a_table_of_parents_makes_divisions(tmp_path):
    masks = make_tracked()
    masks[3:][masks[3:] == 9] = 0
    masks[3:, 36:42, 40:48], masks[3:, 46:52, 40:48] = 10, 11
    table = tmp_path / "parents.csv"
    table.write_text("track,parent\n3,0\n10,9\n11,9\n")
    assert len(import_tracks(masks, links=table).divisions) == 1
    assert len(import_tracks(masks).divisions) == 0


def write_parents(path):
    path.write_text("track,parent\n" + "".join(f"{track},{track - 1}\n" for track in range(2, 20)))
    return path


def test_labels_that_are_numbered_in_each_frame_are_refused(tmp_path):
    movie = simulate(frames=6, cells=20, seed=2)
    rng = np.random.default_rng(0)
    masks = np.array([np.concatenate([[0], rng.permutation(int(m.max())) + 1])[m] for m in np.asarray(movie.masks)])
    with pytest.raises(InputError, match="do not follow cells"):
        import_tracks(masks, links=write_parents(tmp_path / "parents.csv"))  # not that a parent ends too late
    with pytest.raises(InputError, match="do not follow cells"):
        import_tracks(masks)


def test_trackmate_xml_divisions_units_and_interval(tmp_path):
    file = write_xml(tmp_path / "model.xml", DIVIDING, EDGES)
    lineage = import_tracks(file, out=tmp_path / "01_RES")
    assert len(lineage.divisions) == 1
    assert lineage.cells.n_frames == 4
    assert lineage.cells.unit == "um"
    assert lineage.cells.spacing == (0.5, 0.5)
    assert lineage.provenance.interval == 300
    np.testing.assert_allclose(lineage.cells.position[0], [5, 10], atol=0.3)
    assert lineage.labels()[0].shape == (50, 60)


def test_trackmate_edges_that_run_backward_are_turned(tmp_path):
    edges = [(name, target, source) for name, source, target in EDGES]
    assert len(import_tracks(write_xml(tmp_path / "m.xml", DIVIDING, edges)).divisions) == 1


def test_trackmate_tracks_and_spots_that_are_filtered_out_are_not_read(tmp_path):
    spots = [*DIVIDING, ("5", 0, 25, 20, 0, 'VISIBILITY="0"'), ("6", 0, 5, 20, 0, ""), ("7", 1, 5, 20, 0, "")]
    file = write_xml(tmp_path / "m.xml", spots, [*EDGES, ("1", "6", "7")], kept=("0",))
    lineage = import_tracks(file)
    assert len(lineage.cells) == 6
    assert len(lineage) == 5
    both = write_xml(tmp_path / "m.xml", spots, [*EDGES, ("1", "6", "7")], kept=("0", "1"))
    assert len(import_tracks(both)) == 4


def test_a_merge_keeps_the_shorter_link_and_the_other_one_as_a_fusion(tmp_path):
    spots = [("1", 0, 10, 5, 0, ""), ("2", 0, 20, 5, 0, ""), ("3", 1, 11, 5, 0, "")]
    file = write_xml(tmp_path / "m.xml", spots, [("0", "1", "3"), ("0", "2", "3")])
    lineage = import_tracks(file)
    assert lineage.source.tolist() == [0]
    assert list(lineage.fusions) == [(1, 2)]


def test_a_merge_of_a_cell_that_goes_on_keeps_the_shorter_link_with_a_warning(tmp_path):
    spots = [("1", 0, 10, 5, 0, ""), ("2", 0, 20, 5, 0, ""), ("3", 1, 11, 5, 0, ""), ("4", 1, 20, 5, 0, "")]
    file = write_xml(tmp_path / "m.xml", spots, [("0", "1", "3"), ("0", "2", "3"), ("0", "2", "4")])
    with pytest.warns(GnntrackWarning, match="merges"):
        lineage = import_tracks(file)
    assert lineage.source.tolist() == [0, 1]
    assert not len(lineage.fusions)


def test_outlines_of_trackmate_are_drawn(tmp_path):
    square = "-2 -2 2 -2 2 2 -2 2"
    spots = [("1", 0, 10, 10, 0, 'ROI_N_POINTS="4"', square), ("2", 1, 10, 10, 0, 'ROI_N_POINTS="4"', square)]
    lineage = import_tracks(write_xml(tmp_path / "m.xml", spots, [("0", "1", "2")]))
    drawn = lineage.labels()[0] > 0
    assert drawn[17:24, 17:24].all()
    assert drawn.sum() <= 81


def test_trackmate_in_3d(tmp_path):
    spots = [("1", 0, 10, 10, 8, ""), ("2", 1, 10, 10, 10, "")]
    lineage = import_tracks(write_xml(tmp_path / "m.xml", spots, [("0", "1", "2")], z=12))
    assert lineage.labels()[0].shape == (12, 50, 60)
    assert len(lineage) == 1
    np.testing.assert_allclose(lineage.cells.position[:, 0], [8, 10], atol=0.1)


SPOTS = (
    "LABEL,ID,TRACK_ID,QUALITY,POSITION_X,POSITION_Y,POSITION_Z,POSITION_T,FRAME,RADIUS\n"
    "Label,Spot ID,Track ID,Quality,X,Y,Z,T,Frame,Radius\nLabel,Spot ID,Track ID,Quality,X,Y,Z,T,Frame,R\n"
    ",,,(quality),(micron),(micron),(micron),(sec),,(micron)\n"
    "ID1,1,0,1,10,5,0,0,0,3\nID2,2,0,1,10,6,0,1,1,3\nID3,3,0,1,7,6,0,2,2,2\nID4,4,0,1,14,6,0,2,2,2\nID5,5,,1,40,30,0,0,0,3\n"
)


@pytest.mark.parametrize("with_edges", [False, True])
def test_trackmate_tables(tmp_path, with_edges):
    spots, edges = tmp_path / "spots.csv", tmp_path / "edges.csv"
    spots.write_text(SPOTS)
    edges.write_text("LABEL,TRACK_ID,SPOT_SOURCE_ID,SPOT_TARGET_ID\nLabel,Track,S,T\nx,0,1,2\nx,0,2,3\nx,0,4,2\n")
    with pytest.warns(GnntrackWarning, match="size of the images"):
        lineage = import_tracks(spots, links=edges if with_edges else None)
    assert len(lineage.cells) == 5
    assert len(lineage.divisions) == 1
    assert len(lineage) == 4


def test_spots_on_masks(tmp_path):
    spots = tmp_path / "spots.csv"
    spots.write_text("ID,FRAME,POSITION_X,POSITION_Y,TRACK_ID\n1,0,8,8,0\n2,1,8,9,0\n3,1,44,44,\n4,2,30,5,\n")
    with pytest.warns(GnntrackWarning, match="1 of 4 spots without a mask below"):
        lineage = import_tracks(spots, masks=make_tracked(3))
    assert len(lineage.source) == 1
    with pytest.raises(InputError, match="no spot lies on a mask"):
        import_tracks(spots, masks=np.roll(make_tracked(3), 20, 2) * 0 + np.eye(60, k=50, dtype=np.uint8))


def test_a_table_of_tracks_with_masks(tmp_path):
    movie = simulate(tmp_path / "movie", frames=8, cells=8, seed=3)
    done = track(masks=movie.masks, out=tmp_path / "01_RES")
    frame, label = done.cells.frame, done.cells.label
    parent = dict(zip(done.tracks.id.tolist(), done.tracks.parent.tolist(), strict=True))
    rows = [
        f"{f},{v},{t},{parent[t]}" for f, v, t in zip(frame.tolist(), label.tolist(), done.track.tolist(), strict=True)
    ]
    table = tmp_path / "tracks.csv"
    table.write_text("\n".join(["frame,label,track,parent", *rows]))
    again = import_tracks(table, masks=movie.masks, fill_gaps=False)
    assert len(again.divisions) == len(done.divisions)
    with pytest.raises(InputError, match="no pixels"):
        import_tracks(table)


def test_a_result_and_its_import_are_the_same_tracks(tmp_path):
    simulate(tmp_path / "movie", frames=8, cells=8, seed=3)
    import_tracks(tmp_path / "movie" / "01_GT", out=tmp_path / "01_RES")
    scores = evaluate(tmp_path / "01_RES", tmp_path / "movie" / "01_GT")
    assert scores["LNK"] == scores["TRA"] == 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.xml", "no xml", "cannot be read as XML"),
        ("a.xml", "<svg/>", "root <svg>"),
        ("a.xml", HEAD.format(unit="px") + "</Model></TrackMate>", "no visible spot"),
        ("a.csv", "x,y\n1,2\n", "no column"),
        ("a.csv", "ID,FRAME,POSITION_X,POSITION_Y,TRACK_ID\n1,zero,1,1,0\n", "not a number"),
    ],
)
def test_files_that_are_not_those_of_trackmate(tmp_path, name, text, message):
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        import_tracks(file)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        import_tracks(tmp_path / "absent.xml")
    with pytest.raises(InputError, match="no such file"):
        import_tracks(make_tracked(), links=tmp_path / "absent.csv")


@pytest.mark.parametrize("command", ["import", "export"])
def test_the_channel_of_the_images_is_chosen(tmp_path, command):
    masks = make_tracked()
    track(masks=masks, out=tmp_path / "01_RES", output__pictures=False)
    shutil.rmtree(tmp_path / "01_RES" / "gnntrack")  # as a tracker without images would leave it
    tifffile.imwrite(tmp_path / "masks.tif", masks, photometric="minisblack")
    images = np.stack([masks.astype(np.uint16), 100 + 7 * masks.astype(np.uint16)], axis=1)
    images[:, :, 0, :9] = np.arange(9)
    tifffile.imwrite(tmp_path / "images.tif", images, imagej=True, metadata={"axes": "TCYX"})
    source, end = ("masks.tif", []) if command == "import" else ("01_RES", ["--to", "csv"])
    out = tmp_path / "out"
    arguments = [command, str(tmp_path / source), "--images", str(tmp_path / "images.tif"), "-o", str(out), *end]
    assert CliRunner().invoke(cli, arguments).exit_code == 2
    result = CliRunner().invoke(cli, [*arguments, "--channel", "1"])
    assert result.exit_code == 0, result.stderr
    assert ("overlay.png and lineage.png" in result.stdout) is (arguments[0] == "import")
    table = pd.read_csv(next(out.rglob("cells.csv")))
    assert set(table.intensity_max_grey) == {100 + 7 * 3, 100 + 7 * 9}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["1,3,1,0", "6,3,1,0"], "count frames from 0"),
        (["0,3,0,0", "1,3,0,0"], "a track has the id 0"),
        (["0,3,1,0", "0,9,1,0"], "track 1 has two cells in frame 0"),
        (["0,3,1,7", "1,3,1,7"], "parent 7 is not a track"),
        (["0.5,3,1,0", "1,3,1,0"], "line 2 has a value that is not a number"),
        ([], "a table without rows"),
    ],
)
def test_tables_of_tracks_that_cannot_be_right_are_refused(tmp_path, rows, message):
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["frame,label,track,parent", *rows]))
    with pytest.raises(InputError, match=message):
        import_tracks(table, masks=make_tracked())


def test_rows_without_a_mask_give_a_warning(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("frame,label,track\n0,3,1\n1,3,1\n2,5,1\n")
    with pytest.warns(GnntrackWarning, match="1 of 2 links not used: a cell is named that is in no mask"):
        import_tracks(table, masks=make_tracked())


@pytest.mark.parametrize("as_path", [False, True])
def test_masks_beside_masks_are_refused(tmp_path, as_path):
    masks = np.zeros((3, 20, 20), np.uint8)
    masks[:, 5:11, 5:11] = 7
    np.save(tmp_path / "masks.npy", masks)
    with pytest.raises(InputError, match="omit masks"):
        import_tracks(tmp_path / "masks.npy" if as_path else masks, masks=masks)
