"""Cells that touch, and quantities in the course of time, in cases whose numbers are known."""

from __future__ import annotations

import numpy as np
import pytest
from support.walks import make_lineage

import gnntrack
from gnntrack import report
from gnntrack.analysis import count_divisions, find_contacts, measure_courses
from gnntrack.analysis.growth import list_cell_growth
from gnntrack.types import Units


def tile(rows, columns, side, *, margin=2):
    """Return an image of squares that touch, with labels 1, 2, ... row by row, and background around them."""
    labels = np.arange(1, rows * columns + 1).reshape(rows, columns)
    return np.pad(np.kron(labels, np.ones((side, side), int)), margin)


def test_squares_of_a_grid_touch_their_eight_neighbours():
    contacts = find_contacts(tile(3, 3, 4))
    number = np.bincount(contacts.pairs.ravel(), minlength=10)[1:]
    assert number.tolist() == [3, 5, 3, 5, 8, 5, 3, 5, 3]
    assert contacts.fraction.tolist() == [0.5, 0.75, 0.5, 0.75, 1.0, 0.75, 0.5, 0.75, 0.5]


def test_the_border_of_the_image_is_not_part_of_the_outline():
    contacts = find_contacts(tile(3, 3, 4, margin=0))
    assert contacts.fraction.tolist() == [1.0] * 9
    alone = find_contacts(np.ones((5, 5), int))
    assert alone.pairs.shape == (0, 2)
    assert alone.fraction.tolist() == [0]


def test_a_line_of_background_separates_cells():
    labels = np.zeros((6, 9), int)
    labels[1:5, 1:4], labels[1:5, 5:8] = 7, 3
    contacts = find_contacts(labels)
    assert len(contacts.pairs) == 0
    assert contacts.label.tolist() == [3, 7]
    assert find_contacts(np.zeros((4, 4), int)).label.tolist() == []


def test_masks_grow_before_they_are_compared():
    labels = np.zeros((6, 16), int)
    labels[1:5, 1:4], labels[1:5, 5:8], labels[1:5, 10:13] = 1, 2, 3  # 1 and 2 pixels of background between them
    assert [find_contacts(labels, grow=n).pairs.tolist() for n in (0, 1)] == [[], [[1, 2], [2, 3]]]
    far = np.zeros((3, 9), int)
    far[1, 1], far[1, 5] = 1, 2  # 3 pixels
    assert [len(find_contacts(far, grow=n).pairs) for n in (0, 1, 2)] == [0, 0, 1]
    assert (labels > 0).sum() == 36  # as they were
    flat = find_contacts(np.full((2, 3), 4), grow=5)
    assert (flat.label.tolist(), flat.fraction.tolist()) == ([4], [0])


def test_faces_of_flat_voxels_have_their_size():
    labels = np.zeros((4, 6, 8), int)
    labels[1:3, 1:5, 1:4], labels[1:3, 1:5, 4:7] = 1, 2  # 2 x 4 x 3 voxels each, side by side along x
    equal = find_contacts(labels).fraction
    assert equal.tolist() == pytest.approx([8 / (2 * (12 + 6 + 8))] * 2)
    z, y, x = 3.0, 0.5, 0.5
    faces = 2 * (12 * y * x + 6 * z * x + 8 * z * y)
    assert find_contacts(labels, (z, y, x)).fraction.tolist() == pytest.approx([8 * z * y / faces] * 2)
    corner = np.zeros((4, 4, 4), int)
    corner[1, 1, 1], corner[2, 2, 2] = 1, 2
    assert find_contacts(corner).pairs.tolist() == [[1, 2]]


def test_labels_in_any_order_and_of_any_size_have_the_same_contacts():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 6, (20, 30))
    names = np.array([0, 40000, 7, 123, 9, 65535])
    one, other = find_contacts(labels), find_contacts(names[labels].astype(np.uint16))
    assert sorted(map(tuple, np.sort(names[one.pairs], axis=1).tolist())) == list(map(tuple, other.pairs.tolist()))
    order = np.argsort(names[one.label])
    assert other.fraction.tolist() == one.fraction[order].tolist()


def make_masks():
    """Return masks of three cells: 2 moves from the side of 1 to the side of 3, and 3 leaves."""
    masks = np.zeros((4, 12, 40), np.uint8)
    for frame, left in enumerate((8, 8, 16, 16)):
        masks[frame, 2:8, 2:8] = 1
        masks[frame, 2:8, left : left + 6] = 2
        if frame < 3:
            masks[frame, 2:8, 22:28] = 3
    return masks


def test_contacts_in_the_tables_of_an_analysis(tmp_path):
    lineage = gnntrack.track(masks=make_masks(), max_distance=12)
    assert len(lineage) == 3
    analysis = gnntrack.analyse(lineage, interval="30min", grow_masks=0, out=tmp_path / "analysis")
    cells = analysis.cells.pivot_table(index="track", columns="frame", values="contacts")
    of = {tuple(cells.loc[track].fillna(-1).tolist()): track for track in cells.index}
    assert set(of) == {(1, 1, 0, 0), (1, 1, 1, 0), (0, 0, 1, -1)}
    gained = analysis.cells.groupby("frame").contacts_gained.sum().tolist()
    lost = analysis.cells.groupby("frame").contacts_lost.sum().tolist()
    assert gained == [0, 0, 2, 0]
    assert lost == [0, 0, 2, 0]  # a cell that leaves is not a contact that is lost
    middle = analysis.tracks.set_index("track").loc[of[1, 1, 1, 0]]
    assert middle["contact_exchange_per_h"] == pytest.approx((1 + 1) / 2 / 3 / 0.5)  # 3 intervals of half an hour
    assert middle["mean_contact_fraction"] == pytest.approx(0.25 * 3 / 4)
    assert analysis["mean_contacts"] == pytest.approx(np.mean([0.5, 0.75, 1 / 3]))
    assert (tmp_path / "analysis" / "courses.png").is_file()


def test_points_have_no_contacts():
    rows = [(track, frame, 10.0 * track, frame) for track in (1, 2) for frame in range(3)]
    analysis = gnntrack.analyse(make_lineage(rows))
    assert "contacts" not in analysis.cells
    with pytest.raises(KeyError):
        analysis["mean_contacts"]


def test_a_result_on_disk_has_the_contacts_of_its_masks(tmp_path):
    lineage = gnntrack.track(masks=make_masks(), max_distance=12, out=tmp_path / "01_RES", output__pictures=False)
    columns = ["track", "frame", "contacts", "contact_fraction"]
    one, other = (gnntrack.analyse(each).cells[columns] for each in (lineage, tmp_path / "01_RES"))
    assert one.equals(other)
    scaled = gnntrack.analyse(tmp_path / "01_RES", spacing=(0.5, 0.5)).cells[columns]
    assert scaled.equals(other)
    apart = gnntrack.analyse(tmp_path / "01_RES", grow_masks=9)
    assert apart["mean_contacts"] > gnntrack.analyse(tmp_path / "01_RES", grow_masks=0)["mean_contacts"]
    for wrong in (-1, 51, 1.5, "x", None):
        with pytest.raises(gnntrack.InputError, match="expected a whole number of pixels from 0 to 50"):
            gnntrack.analyse(tmp_path / "01_RES", grow_masks=wrong)


def test_masks_that_are_gone_are_a_note(tmp_path):
    masks = make_masks()
    gnntrack.track(masks=masks, out=tmp_path / "01_RES", max_distance=12, output__pictures=False)
    lineage = gnntrack.load(tmp_path / "01_RES")
    (tmp_path / "01_RES" / "mask002.tif").unlink()
    analysis = gnntrack.analyse(lineage)
    assert "contacts" not in analysis.cells
    assert any("masks of the lineage cannot be read" in note for note in analysis.notes)


def test_growth_between_frames_is_that_of_the_exponential():
    frames = np.array([0, 1, 2, 4])  # with a gap
    lineage = make_lineage([(1, t, 5, 5) for t in frames], size=3 * np.exp(0.2 * frames), interval=1800.0)
    rate = list_cell_growth(lineage)["growth_rate_per_h"]
    assert np.isnan(rate[0])
    np.testing.assert_allclose(rate[1:], 0.4, rtol=1e-5)


def test_courses_are_the_quartiles_of_the_cells_of_each_frame():
    speeds = (1.0, 2.0, 4.0, 8.0)
    rows = [(k + 1, t, 30.0 * k, speed * t) for k, speed in enumerate(speeds) for t in range(3)]
    (speed, *others) = measure_courses(make_lineage(rows, interval=120.0))
    assert (speed.quantity, speed.unit, speed.time_unit) == ("speed", "um_per_min", "h")
    assert speed.frame.tolist() == [1, 2]
    assert speed.time.tolist() == pytest.approx([1 / 30, 2 / 30])
    np.testing.assert_allclose(speed.median, np.median(speeds) / 2)
    np.testing.assert_allclose(speed.low, np.percentile(speeds, 25) / 2)
    np.testing.assert_allclose(speed.high, np.percentile(speeds, 75) / 2)
    np.testing.assert_allclose(speed.mean, np.mean(speeds) / 2)
    assert speed.cells.tolist() == [4, 4]
    assert {each.quantity for each in others} == {"neighbours", "density"}


def test_divisions_in_windows_and_their_rate():
    lines = {1: (0, 4, 0), 2: (5, 9, 1), 3: (5, 9, 1), 4: (0, 9, 0)}
    rows = [(track, t, 9.0 * track, 0.0) for track, (start, end, _) in lines.items() for t in range(start, end + 1)]
    lineage = make_lineage(rows, parent={2: 1, 3: 1}, interval=3600.0)
    course = count_divisions(lineage, windows=2)
    assert course.start.tolist() == [0, 5]
    assert course.end.tolist() == [5, 10]
    assert course.divisions.tolist() == [0, 1]
    assert course.rate.tolist() == pytest.approx([0, 1 / 15])  # 3 cells in 5 frames of an hour
    for windows in (1, 3, 7, 100):
        each = count_divisions(lineage, windows=windows)
        assert each.divisions.sum() == 1
        assert len(each.divisions) <= max(windows, 10)


@pytest.mark.figures
@pytest.mark.parametrize("rows", [[(1, 0, 5, 5)], [(1, 0, 5, 5), (1, 1, 5, 6)]])
def test_courses_of_nearly_nothing_are_drawn(rows, tmp_path):
    lineage = make_lineage(rows)
    figure = report.draw_courses(measure_courses(lineage), count_divisions(lineage), Units.read(lineage))
    report.save_figure(figure, tmp_path / "a.png")
    assert len(figure.axes) == 6
