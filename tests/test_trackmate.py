"""TrackMate files: what TrackMate's reader needs, round trips, other readers, and files that are refused."""

from __future__ import annotations

import json
import shutil
import warnings
import xml.etree.ElementTree as ET
from dataclasses import replace

import geff
import numpy as np
import pytest
from geff.convert import from_trackmate_xml_to_geff
from support.readers import import_reader

import gnntrack
from gnntrack import GnntrackWarning, InputError, import_tracks
from gnntrack.converting import convert
from gnntrack.io.trackmate_file import write_trackmate
from gnntrack.io.trackmate_xml import read_trackmate_xml
from gnntrack.pipeline import export, simulate, track

DIMENSIONS = {
    "NONE", "QUALITY", "COST", "INTENSITY", "INTENSITY_SQUARED", "POSITION", "VELOCITY", "LENGTH", "AREA", "TIME",
    "ANGLE", "RATE", "ANGLE_RATE", "STRING",
}  # fmt: skip


@pytest.fixture(scope="module")
def movie():
    """A movie with divisions, in um and seconds."""
    made = simulate(frames=14, cells=10, shape=(120, 140), seed=4)
    lineage = track(made.images, made.masks, spacing=0.5, interval="5min")
    assert lineage.divisions
    return lineage


def make_gap():
    """Return masks with a cell that is missing in frame 2, and one that is there in frame 1 only."""
    masks = np.zeros((5, 40, 50), np.uint8)
    for t in (0, 1, 3, 4):
        masks[t, 8:14, 5 + 2 * t : 12 + 2 * t] = 3
    masks[1, 30:35, 40:45] = 5
    return masks


def open_model(path):
    root = ET.parse(path).getroot()
    return root, root.find("Model")


def check_rules(path):
    """Check what TrackMate's reader needs: it stops, or reports an error, where one of these rules is broken."""
    root, model = open_model(path)
    assert root.tag == "TrackMate"
    assert tuple(int(part) for part in root.get("version").split(".")) >= (2, 1, 0)
    declared = {}
    for kind in ("Spot", "Edge", "Track"):
        features = model.findall(f"FeatureDeclarations/{kind}Features/Feature")
        declared[kind] = {each.get("feature") for each in features}
        assert len(declared[kind]) == len(features)
        for each in features:
            assert each.get("name")
            assert each.get("shortname")
            assert each.get("dimension") in DIMENSIONS
            assert each.get("isint") in {"true", "false"}
    spots = check_spots(model, declared["Spot"])
    check_tracks(model, declared, spots)
    for name in ("InitialSpotFilter", "SpotFilterCollection", "TrackFilterCollection", "AnalyzerCollection"):
        assert root.find(f"Settings/{name}") is not None
    assert root.find("Settings/DetectorSettings").get("DETECTOR_NAME")
    assert root.find("Settings/TrackerSettings").get("TRACKER_NAME")
    for name in ("width", "height", "nslices", "nframes", "pixelwidth", "pixelheight", "voxeldepth", "timeinterval"):
        assert float(root.find("Settings/ImageData").get(name)) > 0
    for name in ("xstart", "xend", "ystart", "yend", "zstart", "zend", "tstart", "tend"):
        assert int(root.find("Settings/BasicSettings").get(name)) >= 0
    assert float(root.find("Settings/DetectorSettings").get("RADIUS")) > 0
    assert [each.tag for each in root.find("Settings/AnalyzerCollection")] == [
        f"{kind}Analyzers" for kind in ("Spot", "Edge", "Track")
    ]
    assert json.loads(root.find("DisplaySettings").text)["name"]
    assert root.find("GUIState").get("state") == "ConfigureViews"


def check_spots(model, declared):
    spots = {}
    assert int(model.find("AllSpots").get("nspots")) == len(model.findall("AllSpots/SpotsInFrame/Spot"))
    for group in model.findall("AllSpots/SpotsInFrame"):
        for spot in group.findall("Spot"):
            assert spot.get("ID") not in spots
            assert 0 <= int(spot.get("ID")) < 2**31
            spots[spot.get("ID")] = int(spot.get("FRAME"))
            assert spot.get("FRAME") == group.get("frame")
            for name in ("QUALITY", "POSITION_X", "POSITION_Y", "POSITION_Z", "POSITION_T", "RADIUS", "VISIBILITY"):
                assert np.isfinite(float(spot.get(name)))
            values = set(spot.attrib) - {"ID", "name", "ROI_N_POINTS"}
            assert values <= declared
            assert all(np.isfinite(float(spot.get(name))) for name in values)
            if "ROI_N_POINTS" in spot.attrib:
                assert not spot.text[0].isspace()  # TrackMate splits at spaces: a first one makes an empty number
                assert len(spot.text.split()) == 2 * int(spot.get("ROI_N_POINTS")) > 4
    return spots


def check_tracks(model, declared, spots):
    seen, ids = set(), []
    for each in model.findall("AllTracks/Track"):
        ids.append(int(each.get("TRACK_ID")))
        assert set(each.attrib) - {"name"} == declared["Track"]
        edges = each.findall("Edge")
        assert edges
        members = set()
        for edge in edges:
            assert set(edge.attrib) <= declared["Edge"]
            assert all(
                edge.get(name).isdigit() for name in ("SPOT_SOURCE_ID", "SPOT_TARGET_ID")
            )  # declared as integers
            ends = edge.get("SPOT_SOURCE_ID"), edge.get("SPOT_TARGET_ID")
            assert spots[ends[0]] < spots[ends[1]]
            assert ends not in seen
            seen.add(ends)
            members |= set(ends)
        assert int(each.get("NUMBER_SPOTS")) == len(members) == len(edges) + 1  # a tree
    assert len(set(ids)) == len(ids)
    assert [int(each.get("TRACK_ID")) for each in model.findall("FilteredTracks/TrackID")] == ids


def list_links(lineage):
    """Return the links as frames and rounded positions, which do not depend on labels."""
    cells = lineage.cells
    key = [(int(t), *np.round(place, 2).tolist()) for t, place in zip(cells.frame, cells.position, strict=True)]
    return {(key[s], key[t]) for s, t in zip(lineage.source.tolist(), lineage.target.tolist(), strict=True)}


def test_a_written_file_has_what_trackmate_needs(movie, tmp_path):
    export(movie, tmp_path / "tracks.xml", to="trackmate")
    check_rules(tmp_path / "tracks.xml")
    root, model = open_model(tmp_path / "tracks.xml")
    assert (model.get("spatialunits"), model.get("timeunits")) == ("micron", "sec")
    image = root.find("Settings/ImageData")
    assert [image.get(name) for name in ("width", "height", "pixelwidth", "timeinterval", "nframes")] == [
        "140", "120", "0.5", "300", "14",
    ]  # fmt: skip
    assert all("ROI_N_POINTS" in spot.attrib for spot in model.iter("Spot"))


def test_a_round_trip_keeps_cells_pixels_links_and_units(movie, tmp_path):
    export(movie, tmp_path / "tracks.xml", to="trackmate")
    again = import_tracks(tmp_path / "tracks.xml", fill_gaps=False)
    assert len(again.cells) == len(movie.cells)
    assert (again.cells.unit, again.cells.spacing) == ("um", (0.5, 0.5))
    assert again.provenance.interval == 300
    assert list_links(again) == list_links(movie)
    assert len(again.divisions) == len(movie.divisions)
    for one, other in zip(movie.labels(), again.labels(), strict=True):
        pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
        assert pairs.shape[1] == len(np.unique(one)) == len(np.unique(other))  # the same regions, under other ids


def test_gaps_and_cells_without_links_stay(tmp_path):
    lineage = gnntrack.solve(gnntrack.build_graph(masks=make_gap(), max_gap=2))
    assert len(lineage.source) == 3
    export(lineage, tmp_path / "tracks.xml", to="trackmate", masks=make_gap())
    check_rules(tmp_path / "tracks.xml")
    model = open_model(tmp_path / "tracks.xml")[1]
    found = model.find("AllTracks/Track").attrib
    wanted = {"NUMBER_SPOTS": "4", "NUMBER_GAPS": "1", "LONGEST_GAP": "1", "NUMBER_SPLITS": "0", "TRACK_STOP": "4"}
    assert {name: found[name] for name in wanted} == wanted
    assert (model.get("spatialunits"), model.get("timeunits")) == ("pixel", "frame")
    spots = read_trackmate_xml(tmp_path / "tracks.xml")
    assert len(spots.frame) == 5
    assert (spots.frame[spots.target] - spots.frame[spots.source]).tolist() == [1, 2, 1]


def test_divisions_are_counted(movie, tmp_path):
    export(movie, tmp_path / "tracks.xml", to="trackmate")
    tracks = open_model(tmp_path / "tracks.xml")[1].findall("AllTracks/Track")
    assert sum(int(each.get("NUMBER_SPLITS")) for each in tracks) == len(movie.divisions)


def test_a_hole_and_pieces_are_named_and_a_cell_in_a_hole_stays(tmp_path):
    masks = np.zeros((2, 40, 40), np.uint8)
    masks[:, 5:25, 5:25] = 1
    masks[:, 10:20, 10:20] = 0
    masks[:, 12:17, 12:17] = 2
    masks[:, 30:36, 5:11], masks[:, 30:34, 14:17] = 3, 3
    with pytest.warns(GnntrackWarning) as caught:
        export(track(masks=masks), tmp_path / "tracks.xml", to="trackmate")
    text = " ".join(str(each.message) for each in caught)
    assert "largest piece of a mask: 2 cells" in text
    assert "encloses the holes of a mask: 2 cells" in text
    again = import_tracks(tmp_path / "tracks.xml")  # without a warning that two spots have the same place
    assert np.bincount(np.asarray(again.labels()[0]).ravel())[1:].tolist() == [20 * 20 - 25, 25, 36]


def test_3d_cells_are_balls_of_their_size(tmp_path):
    masks = np.zeros((2, 20, 40, 40), np.uint8)
    z, y, x = np.indices(masks.shape[1:])
    masks[:, ((z - 10) / 0.5) ** 2 / 4 + (y - 20) ** 2 + (x - 20) ** 2 <= 64] = 1
    lineage = track(masks=masks, spacing=(1, 0.5, 0.5))
    export(lineage, tmp_path / "tracks.xml", to="trackmate")
    check_rules(tmp_path / "tracks.xml")
    spots = read_trackmate_xml(tmp_path / "tracks.xml")
    np.testing.assert_allclose(spots.position, lineage.cells.position, rtol=1e-6)
    np.testing.assert_allclose(spots.radius, lineage.cells.feature("diameter") / 2, rtol=1e-5)
    assert spots.shape == (20, 40, 40)
    assert spots.spacing == (1, 0.5, 0.5)
    assert not spots.outlines


def test_a_result_without_measurements_has_balls_of_its_sizes(tmp_path):
    masks = np.zeros((2, 12, 20, 20), np.uint8)
    masks[:, 3:9, 5:11, 5:11] = 1
    track(masks=masks, out=tmp_path / "01_RES", output__pictures=False)
    shutil.rmtree(tmp_path / "01_RES" / "gnntrack")
    convert(tmp_path / "01_RES", tmp_path / "a.xml")
    spot = open_model(tmp_path / "a.xml")[1].find("AllSpots/SpotsInFrame/Spot")
    assert float(spot.get("RADIUS")) == pytest.approx((6**3 * 3 / 4 / np.pi) ** (1 / 3), abs=1e-4)


def test_without_masks_and_sizes_a_spot_has_the_usual_radius(tmp_path):
    lineage = gnntrack.solve(gnntrack.build_graph(masks=make_gap()))
    bare = replace(lineage.cells, features=np.zeros((len(lineage.cells), 0)), feature_names=(), feature_units=())
    write_trackmate(replace(lineage, cells=bare), tmp_path / "tracks.xml")
    check_rules(tmp_path / "tracks.xml")
    assert set(read_trackmate_xml(tmp_path / "tracks.xml").radius) == {5.0}


def test_values_that_are_not_finite_are_left_out_and_odd_names_become_attributes(tmp_path):
    lineage = gnntrack.solve(gnntrack.build_graph(masks=make_gap()))
    values = np.array([[np.nan, 1, 2, 3]] + [[1, np.inf, 2, 3]] * (len(lineage.cells) - 1))
    names = ("Mean, 488 nm", "radius", "RADIUS", "2nd")
    cells = replace(lineage.cells, features=values, feature_names=names, feature_units=("grey", "", "", "1/um2"))
    write_trackmate(replace(lineage, cells=cells), tmp_path / "tracks.xml")
    check_rules(tmp_path / "tracks.xml")
    spot = next(open_model(tmp_path / "tracks.xml")[1].iter("Spot"))
    assert "MEAN__488_NM" not in spot.attrib
    assert [spot.get(name) for name in ("RADIUS_", "RADIUS__", "F_2ND")] == ["1", "2", "3"]


def test_no_cells_at_all(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GnntrackWarning)
        lineage = gnntrack.solve(gnntrack.build_graph(masks=np.zeros((3, 20, 20), np.uint8)))
    write_trackmate(lineage, tmp_path / "tracks.xml")
    root, model = open_model(tmp_path / "tracks.xml")
    assert model.find("AllSpots").get("nspots") == "0"
    assert root.find("Settings/ImageData").get("nframes") == "3"
    with pytest.raises(InputError, match="no visible spot"):
        read_trackmate_xml(tmp_path / "tracks.xml")


@pytest.mark.filterwarnings("ignore::UserWarning")  # of geff: the file names no image, and TrackMate's units
def test_geff_reads_the_file(movie, tmp_path):
    export(movie, tmp_path / "tracks.xml", to="trackmate")
    from_trackmate_xml_to_geff(tmp_path / "tracks.xml", tmp_path / "tracks.geff")
    graph, metadata = geff.read(tmp_path / "tracks.geff")
    assert set(graph.edges) == set(zip(movie.source.tolist(), movie.target.tolist(), strict=True))
    assert {axis.name for axis in metadata.axes} == {f"POSITION_{axis}" for axis in "XYZT"}
    place = np.array([[graph.nodes[row][f"POSITION_{axis}"] for axis in "YX"] for row in range(len(graph))])
    np.testing.assert_allclose(place, movie.cells.position, rtol=1e-6)
    area = [graph.nodes[row]["AREA"] for row in range(len(graph))]
    np.testing.assert_allclose(area, movie.cells.feature("size"), rtol=1e-5)


@pytest.mark.filterwarnings("ignore")  # of pycellin and what it imports
def test_pycellin_reads_the_file(movie, tmp_path):
    pycellin = import_reader("pycellin")
    export(movie, tmp_path / "tracks.xml", to="trackmate")
    model = pycellin.load_TrackMate_XML(tmp_path / "tracks.xml", keep_all_spots=True, keep_all_tracks=True)
    lineages = model.data.cell_data.values()
    edges = {edge for each in lineages for edge in each.edges}
    assert edges == set(zip(movie.source.tolist(), movie.target.tolist(), strict=True))
    assert sum(len(each) for each in lineages) == len(movie.cells)
    assert sum(len(each.get_divisions()) for each in lineages) == len(movie.divisions)
    node = next(iter(lineages)).nodes[0]
    assert node["cell_x"] == pytest.approx(movie.cells.position[0, 1])
    assert len(node["ROI_coords"]) > 3


START = (
    '<?xml version="1.0"?>\n{doctype}<TrackMate version="7"><Model spatialunits="pixel" timeunits="sec">\n<AllSpots>\n'
)
SPOT = '<Spot ID="{id}" FRAME="{frame}" POSITION_X="{x}" POSITION_Y="5" RADIUS="{radius}" {more}>{text}</Spot>\n'
END = "</AllSpots>\n<AllTracks>{tracks}</AllTracks>\n</Model></TrackMate>"
GOOD = {"id": "1", "frame": "0", "x": "5", "radius": "2", "more": "", "text": ""}


def write_file(path, *, doctype="", tracks="", **spot):
    path.write_text(START.replace("{doctype}", doctype) + SPOT.format(**(GOOD | spot)) + END.format(tracks=tracks))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame": "0.5"}, "line 4 has a spot, 1, whose FRAME is 0.5; expected a whole number from 0 to 999999"),
        ({"frame": "-1"}, "line 4 has a spot, 1, whose FRAME is -1"),
        ({"frame": "1e9"}, "line 4 has a spot, 1, whose FRAME is 1e9"),
        ({"x": "NaN"}, "line 4 has a spot, 1, whose POSITION_X is NaN"),
        ({"x": "1,5"}, r"line 4 has a spot, 1, whose POSITION_X is not a number \('1,5'\)"),
        ({"radius": "-2"}, "line 4 has a spot, 1, whose RADIUS is -2; expected a number from 0 to 1e"),
        ({"id": ""}, "line 4 has a spot without an ID"),
        ({"more": 'ROI_N_POINTS="4"', "text": "0 0 1 0 1 1"}, "line 4 has an outline with 6 coordinates for 4 points"),
        ({"more": 'ROI_N_POINTS="3"', "text": "0 0 1 x 1 1"}, "line 4 has an outline with the coordinate 'x'"),
        ({"more": 'ROI_N_POINTS="3"', "text": "0 0 1 inf 1 1"}, "line 4 has an outline with the coordinate 'inf'"),
        (
            {"tracks": '\n<Track TRACK_ID="0"><Edge SPOT_SOURCE_ID="1" SPOT_TARGET_ID="9"/></Track>'},
            "line 7 has an edge",
        ),
        ({"doctype": '<!DOCTYPE x [<!ENTITY a "b">]>\n'}, "line 2 has a document type"),
        ({"text": "<a>" * 200 + "</a>" * 200}, "line 4 has elements within 100 others"),
        ({"more": f'name="{"x" * (1 << 25)}"'}, "line 4 has a tag of more than 16777216 bytes"),
        ({"more": 'ROI_N_POINTS="3"', "text": "1 " * (1 << 23) + "1"}, "line 4 has an outline of more than"),
        ({"text": "<"}, "cannot be read as XML .*line 4"),
    ],
)
def test_files_that_break_a_rule_are_refused_with_the_line(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        read_trackmate_xml(write_file(tmp_path / "tracks.xml", **change))


def test_entities_are_never_expanded(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    doctype = f'<!DOCTYPE TrackMate [<!ENTITY a SYSTEM "file://{tmp_path}/secret.txt">]>'
    with pytest.raises(InputError, match="document type"):
        read_trackmate_xml(write_file(tmp_path / "tracks.xml", doctype=doctype, text="&a;"))


def test_an_edge_of_a_track_that_is_filtered_out_needs_no_spot(tmp_path):
    tracks = '<Track TRACK_ID="0"><Edge SPOT_SOURCE_ID="1" SPOT_TARGET_ID="9"/></Track>'
    file = write_file(tmp_path / "tracks.xml", tracks=f"{tracks}</AllTracks><FilteredTracks/><AllTracks>")
    assert len(read_trackmate_xml(file).source) == 0


def test_a_spot_without_frame_has_that_of_its_group(tmp_path):
    file = write_file(tmp_path / "tracks.xml")
    text = file.read_text().replace('FRAME="0" ', "").replace("<AllSpots>", '<AllSpots><SpotsInFrame frame="3">')
    file.write_text(text.replace("</AllSpots>", "</SpotsInFrame></AllSpots>"))
    assert read_trackmate_xml(file).frame.tolist() == [3]


def test_a_folder_in_place_of_a_file(tmp_path):
    with pytest.raises(InputError, match="it cannot be read"):
        read_trackmate_xml(tmp_path)


V6 = """<?xml version="1.0" encoding="UTF-8"?>
<TrackMate version="6.0.3">
  <Log>TrackMate v6.0.3</Log>
  <Model spatialunits="µm" timeunits="s">
    <FeatureDeclarations>
      <SpotFeatures>
        <Feature feature="QUALITY" name="Quality" shortname="Quality" dimension="QUALITY" isint="false" />
      </SpotFeatures>
      <EdgeFeatures /><TrackFeatures />
    </FeatureDeclarations>
    <AllSpots nspots="5">
      <SpotsInFrame frame="0">
        <Spot ID="11" name="ID11" VISIBILITY="1" RADIUS="2.5" QUALITY="3.1" POSITION_T="0.0" POSITION_X="10.0"
          POSITION_Y="20.0" FRAME="0" POSITION_Z="0.0" SNR="NaN" />
        <Spot ID="12" name="&lt;b&gt; &amp; more" VISIBILITY="0" RADIUS="2.5" QUALITY="0.1" POSITION_T="0.0"
          POSITION_X="90.0" POSITION_Y="90.0" FRAME="0" POSITION_Z="0.0" />
      </SpotsInFrame>
      <SpotsInFrame frame="1">
        <Spot ID="13" VISIBILITY="1" RADIUS="2.5" POSITION_X="11.0" POSITION_Y="21.0" FRAME="1" POSITION_Z="0.0" />
        <Spot ID="14" VISIBILITY="1" RADIUS="2.5" POSITION_X="50.0" POSITION_Y="51.0" FRAME="1" POSITION_Z="0.0" />
      </SpotsInFrame>
      <SpotsInFrame frame="2">
        <Spot ID="15" VISIBILITY="1" RADIUS="2.5" POSITION_X="52.0" POSITION_Y="51.0" FRAME="2" POSITION_Z="0.0" />
      </SpotsInFrame>
    </AllSpots>
    <AllTracks>
      <Track name="Track_0" TRACK_ID="0"><Edge SPOT_SOURCE_ID="13" SPOT_TARGET_ID="11" LINK_COST="-1.0" /></Track>
      <Track name="Track_1" TRACK_ID="1"><Edge SPOT_SOURCE_ID="14" SPOT_TARGET_ID="15" LINK_COST="2.0" /></Track>
    </AllTracks>
    <FilteredTracks><TrackID TRACK_ID="0" /></FilteredTracks>
  </Model>
  <Settings>
    <ImageData filename="a.tif" folder="/data/" width="200" height="100" nslices="1" nframes="3" pixelwidth="0.5"
      pixelheight="0.5" voxeldepth="1.0" timeinterval="60.0" />
  </Settings>
  <GUIState state="ConfigureViews"><View key="HYPERSTACKDISPLAYER" /></GUIState>
</TrackMate>
"""


def test_a_file_of_trackmate_6(tmp_path):
    """A file without outlines, with an edge backward in time, a hidden spot, and a track that a filter excludes."""
    (tmp_path / "a.xml").write_text(V6, encoding="utf-8")
    found = convert(tmp_path / "a.xml", tmp_path / "a.geff").lineage
    assert found.cells.position.tolist() == [[20, 10], [21, 11], [51, 50], [51, 52]]
    assert [found.source.tolist(), found.target.tolist()] == [[0], [1]]
    assert (found.cells.unit, found.cells.spacing, found.cells.shape) == ("um", (0.5, 0.5), (100, 200))
    assert (found.provenance.interval, found.cells.n_frames) == (60, 3)
    assert found.cells.feature("diameter").tolist() == [5] * 4
