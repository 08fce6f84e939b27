"""The plug-in for napari: what its readers show, what its writers write, in napari as released."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import numpy as np
import pandas
import pytest
from support.viewers import skip_without_napari

skip_without_napari()

with warnings.catch_warnings(action="ignore"):
    from geff.core_io import write_arrays
import napari  # noqa: E402
from geff_spec import Axis, GeffMetadata  # noqa: E402
from napari.components import ViewerModel  # noqa: E402
from napari.layers import Labels, Tracks  # noqa: E402
from npe2 import PluginManager, PluginManifest  # noqa: E402

import gnntrack  # noqa: E402
from gnntrack.errors import GnntrackError  # noqa: E402
from gnntrack.napari.layers import KEY, make_layers  # noqa: E402
from gnntrack.napari.readers import choose_reader, read_layers  # noqa: E402
from gnntrack.types import Lineage  # noqa: E402

ROLES = ["images", "labels", "tracks", "cells", "to check"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A simulated movie, 0.5 um a pixel and 5 minutes a frame, and its result."""
    place = tmp_path_factory.mktemp("napari")
    made = gnntrack.simulate(place / "movie", frames=8, cells=10, shape=(120, 150), seed=4)
    np.save(place / "images.npy", np.asarray(made.images))
    masks = np.asarray(made.masks)
    masks[3][masks[3] == masks[3].max()] = 0  # a gap, which is filled
    np.save(place / "masks.npy", masks)
    options = {"spacing": 0.5, "interval": 300, "pictures": False}
    gnntrack.track(place / "images.npy", place / "masks.npy", out=place / "01_RES", **options)
    return place


@pytest.fixture(scope="module")
def opened(folder):
    """The layers of the result by role, and their viewer; tests do not change them."""
    return open_path(folder / "01_RES")


def open_path(path):
    viewer = ViewerModel()
    layers = viewer.open(str(path), plugin="gnntrack")
    return {layer.metadata[KEY]["role"]: layer for layer in layers}, viewer


def save(layers, path):
    return napari.plugins.io.save_layers(str(path), list(layers), plugin="gnntrack")


def describe(lineage):
    """Return the tracks by frame and place of their cells, whatever their numbers."""
    cells = lineage.cells
    place = np.round(cells.position / np.array(cells.spacing), 3).tolist()
    key = [(frame, *each) for frame, each in zip(cells.frame.tolist(), place, strict=True)]
    return {(key[s], key[t]) for s, t in zip(lineage.source.tolist(), lineage.target.tolist(), strict=True)}, set(key)


# --------------------------------------------------------------------------- the manifest


def test_manifest_is_found_and_its_commands_exist():
    manifest = PluginManifest.from_distribution("gnntrack")
    manifest.validate_imports()
    assert {reader.command for reader in manifest.contributions.readers} == {"gnntrack.read"}
    assert "gnntrack" in PluginManager.instance()


def test_gnntrack_does_not_import_napari():
    code = (
        "import sys, gnntrack, gnntrack.cli, gnntrack.pipeline, gnntrack.views, gnntrack.napari.readers;"
        "import gnntrack.napari.writers, gnntrack.napari.samples;"
        "print([name for name in ('napari', 'qtpy', 'PySide6') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# --------------------------------------------------------------------------- readers


def test_a_result_has_its_layers_in_place(folder, opened):
    layers, viewer = opened
    assert [layer.metadata[KEY]["role"] for layer in viewer.layers] == ROLES
    for layer in layers.values():
        assert layer.scale.tolist() == [300, 0.5, 0.5]
        assert [str(unit) for unit in layer.units] == ["second", "micrometer", "micrometer"]
        assert layer.axis_labels == ("t", "y", "x")
    assert viewer.dims.nsteps[0] == 8
    np.testing.assert_array_equal(layers["images"].data[2], np.load(folder / "images.npy")[2])
    np.testing.assert_array_equal(layers["labels"].data, gnntrack.load(folder / "01_RES").labels())


def test_tracks_lie_on_their_labels(folder, opened):
    layers, _ = opened
    labels, tracks = np.asarray(layers["labels"].data), layers["tracks"].data
    place = tracks[:, 1:].round().astype(int)
    np.testing.assert_array_equal(labels[tuple(place.T)], tracks[:, 0])
    # in the world, as napari draws them
    at = layers["tracks"].data_to_world(tracks[7, 1:])
    assert layers["labels"].get_value(at, world=True) == tracks[7, 0]


def test_graph_leads_from_daughters_to_their_parent(folder, opened):
    lineage = gnntrack.load(folder / "01_RES")
    layers, _ = opened
    assert lineage.divisions
    expected = {child: [division.parent] for division in lineage.divisions for child in division.daughters}
    assert layers["tracks"].graph == expected
    for child, (parent,) in layers["tracks"].graph.items():
        data = layers["tracks"].data
        assert data[data[:, 0] == parent, 1].max() < data[data[:, 0] == child, 1].min()


def test_features_of_each_layer(folder, opened):
    lineage = gnntrack.load(folder / "01_RES")
    layers, _ = opened
    tracks = layers["tracks"]
    assert {"parent", "root", "generation", "label", "confidence", "size_um2", "track_id"} <= set(tracks.features)
    assert tracks.color_by == "root"
    row = lineage.cells.row_of(tracks.data[:, 1].astype(int), tracks.data[:, 0].astype(int))
    np.testing.assert_allclose(tracks.features["size_um2"], lineage.cells.feature("size")[row], rtol=1e-6)
    cells = layers["cells"].features
    np.testing.assert_array_equal(cells["track"], lineage.track)
    assert "filled" in set(cells["mask"])
    assert layers["labels"].features["index"].tolist() == lineage.tracks.id.tolist()
    review = pandas.read_csv(folder / "01_RES" / "gnntrack" / "review.csv")
    assert layers["to check"].features["why"].tolist() == review["why"].tolist()


@pytest.mark.parametrize("part", ["movie/01_GT", "movie/01_GT/TRA", "movie/01_GT/TRA/man_track.txt"])
def test_a_ground_truth_is_opened(folder, part):
    layers, _ = open_path(folder / part)
    truth = gnntrack.load(folder / "movie" / "01_GT")
    assert list(layers) == ROLES[1:]
    assert len(layers["tracks"].graph) == np.count_nonzero(truth.tracks.parent)
    assert len(layers["cells"].data) == len(truth.cells)


def test_a_geff_is_opened_with_the_masks_beside_it_or_without(folder, tmp_path):
    layers, _ = open_path(folder / "01_RES" / "gnntrack" / "lineage.geff")
    assert list(layers) == ROLES
    lineage = gnntrack.load(folder / "01_RES")
    lineage.to_geff(tmp_path / "alone.geff")
    alone, _ = open_path(tmp_path / "alone.geff")
    assert list(alone) == ROLES[2:]
    np.testing.assert_allclose(alone["tracks"].data, layers["tracks"].data)
    assert alone["tracks"].scale.tolist() == [300, 0.5, 0.5]


def test_a_geff_of_points_without_labels_is_opened(tmp_path):
    axes = [Axis(name="t", type="time"), *(Axis(name=name, type="space") for name in "yx")]
    columns = {"t": [0, 0, 1, 1], "y": [5.0, 20, 6, 22], "x": [5.0, 30, 5, 30]}
    with warnings.catch_warnings(action="ignore"):
        write_arrays(
            str(tmp_path / "points.geff"),
            np.arange(4, dtype=np.uint64),
            {name: {"values": np.array(values), "missing": None} for name, values in columns.items()},
            np.array([[0, 2], [1, 3]], np.uint64),
            {},
            GeffMetadata(directed=True, axes=axes, node_props_metadata={}, edge_props_metadata={}),
        )
    layers, _ = open_path(tmp_path / "points.geff")
    assert layers["tracks"].data.tolist() == [[1, 0, 5, 5], [1, 1, 6, 5], [2, 0, 20, 30], [2, 1, 22, 30]]
    assert len(layers["cells"].data) == 4


def test_a_gap_stays_one_track_or_is_filled(tmp_path):
    masks = np.zeros((5, 40, 40), np.uint8)
    masks[[0, 1, 3, 4], 10:18, 10:18] = 1
    graph = gnntrack.build_graph(masks=masks)
    open_gap = gnntrack.solve(graph)
    open_gap.to_geff(tmp_path / "gap.geff")
    layers, _ = open_path(tmp_path / "gap.geff")
    assert layers["tracks"].data[:, :2].tolist() == [[1, 0], [1, 1], [1, 3], [1, 4]]
    assert layers["tracks"].graph == {}
    labels, _, tracks, *_ = [make_layers(gnntrack.track(masks=masks))[k] for k in (0, 0, 1)]
    assert np.asarray(labels[0])[:, 13, 13].tolist() == [1, 1, 1, 1, 1]
    assert len(tracks[0]) == 4  # the cell that was drawn has no measurement before the result is written


def test_3d(tmp_path):
    movie = gnntrack.simulate(frames=3, cells=4, shape=(10, 60, 60), seed=1)
    gnntrack.track(masks=movie.masks, out=tmp_path / "01_RES", spacing=(2, 0.5, 0.5), pictures=False)
    layers, viewer = open_path(tmp_path / "01_RES")
    assert viewer.dims.ndim == 4
    assert layers["tracks"].data.shape[1] == 5
    assert layers["tracks"].scale.tolist() == [1, 2, 0.5, 0.5]
    assert layers["cells"].axis_labels == ("t", "z", "y", "x")


def test_no_cell_at_all(tmp_path):
    masks = np.zeros((3, 20, 20), np.uint8)
    masks[1, 5:9, 5:9] = 1
    gnntrack.track(masks=masks, out=tmp_path / "one_RES", pictures=False)
    layers, _ = open_path(tmp_path / "one_RES")
    assert len(layers["tracks"].data) == 1
    assert len(layers["to check"].data) == 1  # frames without cells have no place


def test_other_folders_are_left_to_other_readers(folder, tmp_path):
    (tmp_path / "t000.tif").touch()
    assert choose_reader(str(tmp_path)) is None
    assert choose_reader([str(folder / "01_RES"), str(tmp_path)]) is None
    assert choose_reader(str(folder / "movie" / "01")) is None
    assert choose_reader(str(tmp_path / "none")) is None
    assert choose_reader([str(folder / "01_RES")]) is read_layers


def test_a_broken_result_is_refused_in_a_sentence(folder, tmp_path):
    (tmp_path / "01_RES").mkdir()
    (tmp_path / "01_RES" / "res_track.txt").write_text("1 0 2 0\n")
    with pytest.raises(GnntrackError, match="no mask in it"):
        ViewerModel().open(str(tmp_path / "01_RES"), plugin="gnntrack")


def test_images_that_do_not_fit_any_more_are_left_out(folder, tmp_path):
    images = np.load(folder / "images.npy")
    np.save(tmp_path / "images.npy", images)
    gnntrack.track(tmp_path / "images.npy", folder / "masks.npy", out=tmp_path / "01_RES", pictures=False)
    np.save(tmp_path / "images.npy", images[:-1])
    with pytest.warns(gnntrack.GnntrackWarning, match="7 frames"):
        layers, _ = open_path(tmp_path / "01_RES")
    assert list(layers) == ROLES[1:]


def test_sample_data():
    viewer = ViewerModel()
    viewer.open_sample("gnntrack", "simulated")
    assert [layer.metadata[KEY]["role"] for layer in viewer.layers] == ROLES[:-1]
    assert viewer.layers[2].graph


# --------------------------------------------------------------------------- writers


def test_unchanged_layers_are_written_as_they_were(folder, opened, tmp_path):
    layers, _ = opened
    own = gnntrack.load(folder / "01_RES")
    assert save(layers.values(), tmp_path / "02_RES") == [str(tmp_path / "02_RES")]
    summary = json.loads((tmp_path / "02_RES" / "gnntrack" / "summary.json").read_text())
    assert summary["input"]["masks"] == str(folder / "masks.npy")  # so that it can be corrected
    assert save([layers["tracks"]], tmp_path / "a.geff") == [str(tmp_path / "a.geff")]
    for path in ("02_RES", "a.geff"):
        again = gnntrack.load(tmp_path / path)
        assert describe(again) == describe(own)
        np.testing.assert_allclose(again.confidence, own.confidence)
    save([layers["tracks"], layers["labels"]], tmp_path / "a.xml")
    save([layers["tracks"]], tmp_path / "a.csv")
    for path in ("a.xml", "a.csv"):
        read = gnntrack.import_tracks(tmp_path / path, masks=folder / "01_RES", spacing=0.5)
        assert len(read.divisions) == len(own.divisions)


def test_a_tracked_movie_is_written(folder, tmp_path):
    lineage = gnntrack.track(masks=folder / "masks.npy")
    layers = [viewer_layer(*each) for each in make_layers(lineage)]
    save(layers, tmp_path / "01_RES")
    written = gnntrack.load(tmp_path / "01_RES")
    np.testing.assert_array_equal(written.labels(), lineage.labels())
    np.testing.assert_array_equal(written.tracks.parent, lineage.tracks.parent)


def viewer_layer(data, keywords, kind):
    return getattr(ViewerModel(), f"add_{kind}")(data, **keywords)


def test_a_changed_graph_is_written_as_changed(folder, tmp_path):
    layers, _ = open_path(folder / "01_RES")
    own = gnntrack.load(folder / "01_RES")
    division = own.divisions[0]
    layers["tracks"].graph = {k: v for k, v in layers["tracks"].graph.items() if v != [division.parent]}
    for name in ("02_RES", "a.geff"):
        save(layers.values(), tmp_path / name)
        again = gnntrack.load(tmp_path / name)
        assert len(again.divisions) == len(own.divisions) - 1
        assert len(again.cells) == len(own.cells)
        assert again.cells.spacing == (0.5, 0.5)
        assert again.provenance.interval == 300


def test_layers_of_other_programs_are_written(tmp_path):
    masks = np.zeros((4, 40, 40), np.uint16)
    masks[:2, 10:18, 10:18] = 5
    masks[2:, 8:13, 10:18], masks[2:, 15:20, 10:18] = 8, 9
    data = [[1, 0, 13, 13], [1, 1, 13, 13], [2, 2, 10, 13], [2, 3, 10, 13], [3, 2, 17, 13], [3, 3, 17, 13]]
    tracks = Tracks(data, graph={2: [1], 3: [1]})
    save([Labels(masks), tracks], tmp_path / "01_RES")
    save([tracks], tmp_path / "a.geff")
    for name in ("01_RES", "a.geff"):
        lineage: Lineage = gnntrack.load(tmp_path / name)
        assert lineage.divisions == [(1, 1, (2, 3))]


def test_of_a_merge_the_first_parent_is_written(tmp_path):
    merged = Tracks([[1, 0, 3, 3], [2, 0, 9, 9], [3, 1, 6, 6]], graph={3: [1, 2]})
    with pytest.warns(gnntrack.GnntrackWarning, match=r"track 3 has the parents \[1, 2\]: a merge"):
        save([merged], tmp_path / "a.geff")
    lineage = gnntrack.load(tmp_path / "a.geff")
    assert lineage.cells.position[lineage.source].tolist() == [[3, 3]]
    assert lineage.cells.position[lineage.target].tolist() == [[6, 6]]


def test_layers_that_cannot_be_a_lineage_are_refused(tmp_path):
    data = [[1, 0, 3, 3], [2, 0, 9, 9], [3, 1, 6, 6]]
    masks = np.zeros((2, 20, 20), np.uint8)
    masks[:, 2:5, 2:5] = 1
    with pytest.raises(GnntrackError, match="one scale"):
        save([Labels(masks), Tracks(data, scale=(1, 2, 2))], tmp_path / "01_RES")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_another_program_is_not_overwritten(folder, opened, tmp_path):
    layers, _ = opened
    (tmp_path / "mine_RES").mkdir()
    (tmp_path / "mine_RES" / "notes.txt").write_text("mine")
    with pytest.raises(GnntrackError, match=r"notes\.txt"):
        save(layers.values(), tmp_path / "mine_RES")
    assert (tmp_path / "mine_RES" / "notes.txt").read_text() == "mine"
