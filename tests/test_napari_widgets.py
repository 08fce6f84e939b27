"""The widgets of the plug-in for napari: real Qt widgets on napari as released."""

from __future__ import annotations

import json
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from support.viewers import open_display, skip_without_napari

skip_without_napari()

import napari  # noqa: E402
from napari.components import ViewerModel  # noqa: E402
from napari.layers import Image, Labels  # noqa: E402
from napari.utils.interactions import (  # noqa: E402
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)
from qtpy.QtCore import QEvent  # noqa: E402
from qtpy.QtWidgets import QApplication  # noqa: E402

import gnntrack  # noqa: E402
from gnntrack.errors import GnntrackError  # noqa: E402
from gnntrack.lineage.edits import read_edits  # noqa: E402
from gnntrack.napari.layers import KEY  # noqa: E402
from gnntrack.napari.review_widget import ReviewWidget  # noqa: E402
from gnntrack.napari.sources import read_layer  # noqa: E402
from gnntrack.napari.tracking_widget import TrackingWidget  # noqa: E402


@pytest.fixture(scope="module")
def application():
    yield QApplication.instance() or QApplication([])
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture(autouse=True)
def _no_errors_in_qt(monkeypatch):
    """Fail if an exception is raised in a function that Qt calls: it only prints it."""
    errors = []
    monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _trace: errors.append(error))
    yield
    assert errors == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A simulated movie as files, and its result."""
    place = tmp_path_factory.mktemp("widgets")
    made = gnntrack.simulate(frames=8, cells=10, shape=(120, 150), seed=4)
    tifffile.imwrite(place / "images.tif", np.asarray(made.images), imagej=True, metadata={"axes": "TYX"})
    masks = np.asarray(made.masks).astype(np.uint16)
    inner = masks[3, 40:80, 50:100]
    masks[3:5][masks[3:5] == inner.max()] = 0  # a place to check
    tifffile.imwrite(place / "masks.tif", masks, imagej=True, metadata={"axes": "TYX"})
    options = {"spacing": 0.5, "pictures": False}
    gnntrack.track(place / "images.tif", place / "masks.tif", out=place / "01_RES", **options)
    return place


def wait(widget):
    """Let Qt work until the job of a widget has ended."""
    end = time.monotonic() + 60
    while widget.job is not None:
        assert time.monotonic() < end, widget.message.text()
        QApplication.processEvents()
        time.sleep(0.002)


@pytest.fixture
def review(application, folder):
    viewer = ViewerModel()
    viewer.open(str(folder / "01_RES"), plugin="gnntrack")
    widget = ReviewWidget(viewer)
    yield widget
    widget.close()
    widget.deleteLater()


def get_tracks(widget):
    return next(layer for layer in widget.viewer.layers if layer.metadata[KEY]["role"] == "tracks")


def press(widget, name):
    button = widget.find_button(name)
    assert button.isEnabled(), (name, widget.message.text())
    button.click()
    wait(widget)


def click(widget, row, *, moved=False):
    """Click a cell in the canvas."""
    tracks = get_tracks(widget)
    cells = widget.lineage.cells
    place = [cells.frame[row], *(cells.position[row] / np.array(cells.spacing))]
    event = SimpleNamespace(
        position=tuple(tracks.data_to_world(place)), view_direction=None, dims_displayed=[1, 2], type="mouse_press"
    )
    event.handled, event.modifiers, event.button, event.pos, event.is_dragging = False, (), 1, (0, 0), moved
    mouse_press_callbacks(widget.viewer, event)
    if moved:
        event.type = "mouse_move"
        mouse_move_callbacks(widget.viewer, event)
    event.type = "mouse_release"
    mouse_release_callbacks(widget.viewer, event)


def find_middle(lineage):
    """Return the row of a cell in the middle of the longest track."""
    track = lineage.tracks.id[np.argmax(lineage.tracks.end - lineage.tracks.start)]
    rows = np.flatnonzero(lineage.track == track)
    return int(rows[len(rows) // 2])


def find_at(lineage, frame, place):
    """Return the row of the cell at a place."""
    distance = np.linalg.norm(lineage.cells.position - place, axis=1) + 1e6 * (lineage.cells.frame != frame)
    return int(np.argmin(distance))


def count(lineage):
    return len(lineage), len(lineage.divisions), len(lineage.cells)


# --------------------------------------------------------------------------- review and correct


def test_the_review_list_is_stepped_through(review, folder):
    rows = (folder / "01_RES" / "gnntrack" / "review.csv").read_text().splitlines()[1:]
    assert review.table.rowCount() == len(rows)
    press(review, "next")
    doubt = review.doubts[0]
    assert review.viewer.dims.current_step[0] == doubt.frame
    assert doubt.why in review.message.text()
    centre = review.lineage.cells.position[doubt.row]
    np.testing.assert_allclose(review.viewer.scene.camera.center[-2:], centre)
    marker = review.viewer.layers["selected cell"]
    np.testing.assert_allclose(marker.data[0], [doubt.frame, *centre / 0.5])
    assert marker.scale.tolist() == get_tracks(review).scale.tolist()
    press(review, "previous")
    assert review.table.currentRow() == len(rows) - 1


def test_a_click_selects_a_cell_and_a_drag_does_not(review):
    row = find_middle(review.lineage)
    click(review, row, moved=True)
    assert review.selected == -1
    click(review, row)
    assert review.selected == row
    assert f"track {review.lineage.track[row]}" in review.about.text()


def test_an_edit_is_solved_undone_and_made_again(review):
    before, row = review.lineage, find_middle(review.lineage)
    tracks = get_tracks(review)
    names, colour = set(tracks.features), tracks.color_by
    review.select(row)
    press(review, "cut")
    assert review.lineage is not before
    assert review.list.count() == 1
    past = set(zip(before.source.tolist(), before.target.tolist(), strict=True))
    assert len(review.lineage.source) < len(past)
    # the layers show it, with their features
    labels = next(layer for layer in review.viewer.layers if layer.metadata[KEY]["role"] == "labels")
    assert set(tracks.features) == names
    assert tracks.color_by == colour
    assert len(tracks.features) == len(tracks.data) == len(review.lineage.cells)
    assert tracks.graph == review.lineage.to_napari().graph
    np.testing.assert_array_equal(labels.data, review.lineage.labels())
    assert labels.features["index"].tolist() == review.lineage.tracks.id.tolist()
    press(review, "undo")
    assert count(review.lineage) == count(before)
    np.testing.assert_array_equal(review.lineage.track, before.track)
    assert review.list.count() == 0
    press(review, "redo")
    assert len(review.lineage.source) < len(past)
    assert not review.find_button("redo").isEnabled()


def test_an_edit_that_contradicts_another_is_refused(review):
    row = find_middle(review.lineage)
    review.select(row)
    past = int(review.lineage.source[review.lineage.target == row][0])
    places = [review.lineage.cells.position[k] for k in (past, row)]
    frames = [int(review.lineage.cells.frame[k]) for k in (past, row)]
    press(review, "cut")
    shown = review.lineage
    ends = [find_at(shown, frame, place) for frame, place in zip(frames, places, strict=True)]
    review.select(ends[1])
    review.begin("join")
    click(review, ends[0])
    wait(review)
    assert "edit 1 cuts the link" in review.message.text()
    assert review.lineage is shown
    assert review.list.count() == 1


def test_a_division_of_three_cells_and_a_mask_that_is_not_a_cell(review):
    division = review.lineage.divisions[0]
    last = int(np.flatnonzero(review.lineage.track == division.parent)[-1])
    review.select(last)
    press(review, "undivide")
    assert division not in review.lineage.divisions
    assert review.selected >= 0
    cells = len(review.lineage.cells)
    lonely = find_middle(review.lineage)
    review.select(lonely)
    press(review, "spurious")
    assert len(review.lineage.cells) in (cells - 1, cells)  # a mask may be drawn in the gap
    press(review, "undo")
    press(review, "undo")
    first = review.lineage.divisions[0]
    of_track = {track: np.flatnonzero(review.lineage.track == track) for track in (first.parent, *first.daughters)}
    rows = [int(of_track[first.parent][-1]), *(int(of_track[daughter][0]) for daughter in first.daughters)]
    review.select(rows[0])
    review.begin("divide")
    assert review.viewer.dims.current_step[0] == review.lineage.cells.frame[rows[0]] + 1
    click(review, rows[1])
    assert "daughter 2" in review.message.text()
    click(review, rows[2])
    wait(review)
    assert review.list.item(0).text().startswith("1. divide")


def test_a_copy_of_corrected_tracks_is_not_corrected(review):
    review.select(find_middle(review.lineage))
    press(review, "cut")
    before, tracks = review.lineage, get_tracks(review)
    copy = type(tracks)(
        tracks.data, features=tracks.features, graph=tracks.graph, name="copy", metadata=tracks.metadata
    )
    review.viewer.add_layer(copy)
    press(review, "undo")
    assert review.lineage is not before
    review.choice.setCurrentText("copy")
    assert review.lineage is before
    review.select(find_middle(before))
    review.begin("cut")
    assert "is a copy" in review.message.text()


def test_edits_and_result_are_saved(review, tmp_path):
    review.select(find_middle(review.lineage))
    press(review, "cut")
    review.save_edits(tmp_path / "edits.json")
    edits = read_edits(tmp_path / "edits.json")
    assert len(edits.edits) == 1
    again = gnntrack.apply_edits(review.choice.currentData().metadata[KEY]["result"], edits)
    assert again.refused == ()
    assert len(again.lineage) == len(review.lineage)
    review.save_result(tmp_path / "02_RES")
    wait(review)
    written = gnntrack.load(tmp_path / "02_RES")
    np.testing.assert_array_equal(written.labels(), review.lineage.labels())
    assert json.loads((tmp_path / "02_RES" / "gnntrack" / "edits.json").read_text())["edits"]


def test_stopping_changes_nothing(review):
    before = review.lineage
    review.select(find_middle(before))
    review.begin("cut")
    review.stop()
    wait(review)
    assert review.lineage is before
    assert review.list.count() == 0
    assert "Stopped" in review.message.text()


def test_tracks_without_a_record_cannot_be_corrected(application, folder):
    viewer = ViewerModel()
    widget = ReviewWidget(viewer)
    assert widget.table.rowCount() == 0
    assert not widget.find_button("next").isEnabled()
    viewer.open_sample("gnntrack", "simulated")
    assert widget.lineage is not None
    widget.select(find_middle(widget.lineage))
    widget.begin("cut")
    assert "not opened from a result" in widget.message.text()
    widget.close()
    widget.deleteLater()
    viewer.layers.clear()  # nothing of the closed widget is called


# --------------------------------------------------------------------------- segment and track


@pytest.fixture
def tracking(application):
    widget = TrackingWidget(ViewerModel())
    yield widget
    widget.close()
    widget.deleteLater()


def test_images_are_segmented_tracked_and_corrected(tracking, folder):
    tracking.viewer.open(str(folder / "images.tif"), plugin="napari")
    assert tracking.images.currentText() == "images"
    tracking.run()
    assert not tracking.run_button.isEnabled()
    wait(tracking)
    roles = [layer.metadata[KEY]["role"] for layer in tracking.viewer.layers if KEY in layer.metadata]
    assert roles == ["labels", "tracks", "cells", "to check"], tracking.message.text()
    assert "tracks" in tracking.message.text()
    widget = ReviewWidget(tracking.viewer)
    widget.select(find_middle(widget.lineage))
    press(widget, "cut")
    assert widget.list.count() == 1, widget.message.text()
    widget.close()
    widget.deleteLater()


def test_labels_are_tracked_with_images_into_a_folder(tracking, folder, tmp_path):
    scale = {"scale": (5, 0.5, 0.5), "units": ("minute", "micrometer", "micrometer")}
    tracking.viewer.add_image(tifffile.imread(folder / "images.tif"), name="movie", **scale)
    tracking.viewer.add_labels(tifffile.imread(folder / "masks.tif"), name="cells", **scale)
    tracking.labels.setCurrentIndex(1)
    assert not tracking.segmenter.isEnabled()
    tracking.out.setText(str(tmp_path / "01_RES"))
    tracking.run()
    wait(tracking)
    written = gnntrack.load(tmp_path / "01_RES")
    assert written.cells.spacing == (0.5, 0.5)
    assert written.provenance.interval == 300
    own = gnntrack.load(folder / "01_RES")
    np.testing.assert_array_equal(written.tracks.parent, own.tracks.parent)
    tracks = next(layer for layer in tracking.viewer.layers if layer.name == "01_RES: tracks")
    assert tracks.scale.tolist() == [300, 0.5, 0.5]


def test_a_file_that_a_layer_shows_is_named_in_the_result(tracking, folder, tmp_path):
    tracking.viewer.open(str(folder / "images.tif"), plugin="napari")
    layer = tracking.viewer.layers[0]
    assert read_layer(layer).source == str(folder / "images.tif")
    layer.data = layer.data[:, ::-1]
    assert read_layer(layer).source is layer.data


def test_stopped_work_leaves_nothing(tracking, folder, tmp_path):
    tracking.viewer.add_image(tifffile.imread(folder / "images.tif"))
    tracking.out.setText(str(tmp_path / "deep" / "01_RES"))
    tracking.run()
    while tracking.bar.maximum() <= 0 and tracking.job is not None:  # until the first step
        QApplication.processEvents()
    tracking.stop()
    wait(tracking)
    assert "Stopped" in tracking.message.text()
    assert list(tmp_path.iterdir()) == []
    assert len(tracking.viewer.layers) == 1
    tracking.run()  # and it can be started again
    wait(tracking)
    assert (tmp_path / "deep" / "01_RES" / "res_track.txt").exists()


def test_what_cannot_be_tracked_is_told(tracking, folder, tmp_path):
    tracking.run()
    assert "choose a layer" in tracking.message.text()
    tracking.viewer.add_image(np.zeros((20, 20)))
    tracking.run()
    assert "2 axes" in tracking.message.text()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").touch()
    tracking.viewer.add_image(tifffile.imread(folder / "images.tif"))
    tracking.images.setCurrentIndex(2)
    tracking.out.setText(str(tmp_path / "notes"))
    tracking.run()
    assert "a.txt" in tracking.message.text()
    tracking.out.setText("")
    tracking.diameter.setText("wide")
    tracking.run()
    wait(tracking)
    assert "Not possible" in tracking.message.text()
    with pytest.raises(GnntrackError, match="colour"):
        read_layer(Image(np.zeros((4, 20, 20, 3), np.uint8), rgb=True))
    with pytest.raises(GnntrackError, match="shifted"):
        read_layer(Labels(np.zeros((4, 20, 20), np.uint8), translate=(0, 3, 0)))


# --------------------------------------------------------------------------- the whole program


def test_the_widgets_are_found_by_napari(folder):
    with open_display():
        viewer = napari.Viewer(show=False)
        try:
            dock, tracking = viewer.window.add_plugin_dock_widget("gnntrack", "Segment and track")
            other, review = viewer.window.add_plugin_dock_widget("gnntrack", "Review and correct")
            docks = [dock, other]
            viewer.open(str(folder / "01_RES"), plugin="gnntrack")
            assert viewer.layers[1]._slice.image.raw.max() > 0  # labels are drawn
            assert tracking.images.currentText() == "01_RES: images"
            review.step(1)
            press(review, "cut")
            assert review.list.count() == 1
            clicks = len(viewer.mouse_drag_callbacks)
            for dock in docks:
                dock.destroyOnClose()  # as its button does
            for widget in (tracking, review):
                widget.deleteLater()
            assert len(viewer.mouse_drag_callbacks) == clicks - 1
            viewer.layers.pop()  # the widgets that are gone are not called
            _, again = viewer.window.add_plugin_dock_widget("gnntrack", "Review and correct")
            again.select(0)
            assert again.list.count() == 1  # edits stay with the layers
            press(again, "undo")
            assert again.list.count() == 0
        finally:
            viewer.close()
            QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
