"""Figures: layout of the tree, colours, places of lines and texts, and files of each format."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.image import imread
from scipy.ndimage import label

from gnntrack.errors import FrameError, OutputError
from gnntrack.report import choose_family_colours, draw_lineage_tree, draw_overlay, save_figure
from gnntrack.report.quick import paint_lineage_tree, paint_overlay
from gnntrack.report.tree_layout import choose_ticks
from gnntrack.types import Cells, Lineage, Tracks


def make_lineage(table, *, n_frames=10, skipped=(), unit="um", spacing=(0.5, 0.5)):
    """A lineage from rows (id, start, end, parent); track k moves along row 4 k, a pixel a frame."""
    keys = [(frame, track) for track, start, end, _ in table for frame in range(start, end + 1)]
    keys = sorted(set(keys) - {(frame, track) for track, frame in skipped})
    frame, track = np.array(keys, int).reshape(-1, 2).T
    position = np.stack([4.0 * track, 5.0 + frame], axis=1) * spacing
    shape = (60, 40)
    cells = Cells(frame, track, position, np.zeros((len(keys), 0)), (), (), spacing, n_frames, shape, unit)
    links = []
    for child, _, _, parent in table:
        rows = np.flatnonzero(track == child)
        links += pairwise(rows)
        if parent:
            links.append((np.flatnonzero(track == parent)[-1], rows[0]))
    source, target = np.array(sorted(links), int).reshape(-1, 2).T
    columns = np.array(table, int).reshape(-1, 4).T
    return Lineage(cells, track, Tracks(*columns), source, target, np.ones(len(source)))


# 1 divides into 2 and 3, 3 into 4 and 5; 6 is alone, and not seen in frame 4; 7 is one cell.
TABLE = [(1, 0, 2, 0), (2, 3, 9, 1), (3, 3, 5, 1), (4, 6, 9, 3), (5, 6, 7, 3), (6, 2, 8, 0), (7, 5, 5, 0)]


def texts(figure):
    found = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return [text for text in found if text]


def segments(ax, *, dashed=False):
    """Return the end points of the lines of an axes, solid or dashed."""
    result = []
    for collection in ax.collections:
        if isinstance(collection, LineCollection) and (collection.get_linestyle()[0][1] is not None) == dashed:
            result += [tuple(map(tuple, segment.tolist())) for segment in collection.get_segments()]
    return result


# ---------------------------------------------------------------------------------------- colours


def luminance(colours):
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_colours_are_seen_on_white_and_on_black():
    colours = choose_family_colours(np.arange(3000))
    assert colours.shape == (3000, 3)
    assert colours.min() >= 0
    assert colours.max() <= 1
    light = luminance(colours)
    assert (1.05 / (light + 0.05)).min() > 1.9
    assert ((light + 0.05) / 0.05).min() > 3


def test_neighbouring_families_differ_in_colour():
    colours = choose_family_colours(np.arange(1000))
    step = np.abs(np.diff(colours, axis=0)).max(axis=1)
    assert step.min() > 0.2


def test_a_familys_colour_does_not_depend_on_the_others():
    assert np.allclose(choose_family_colours([5, 7, 900])[1], choose_family_colours(7), rtol=0, atol=1e-9)


# ------------------------------------------------------------------------------------------- tree


def test_the_tree_shows_tracks_forks_and_gaps_at_their_frames():
    figure = draw_lineage_tree(make_lineage(TABLE, skipped={(6, 4)}))
    ax = figure.axes[0]
    # columns: 2 | 4 5 under 3 | gap | 6 | gap | 7; parents in the middle of their daughters
    assert {((0.0, 3.0), (0.0, 9.0)), ((0.75, 0.0), (0.75, 2.0)), ((1.5, 3.0), (1.5, 5.0))} <= set(segments(ax))
    assert {((4.0, 2.0), (4.0, 3.0)), ((4.0, 5.0), (4.0, 8.0)), ((6.0, 5.0), (6.0, 5.0))} <= set(segments(ax))
    assert segments(ax, dashed=True) == [((4.0, 3.0), (4.0, 5.0))]
    assert ((0.75, 2.0), (0.75, 2.5), (0.0, 2.5), (0.0, 3.0)) in segments(ax)
    assert texts(figure).count("7 tracks, 2 divisions, 3 families, 10 frames") == 1


def test_a_daughter_that_is_late_is_tied_by_a_dashed_line():
    figure = draw_lineage_tree(make_lineage([(1, 0, 2, 0), (2, 3, 9, 1), (3, 6, 9, 1)]))
    assert segments(figure.axes[0], dashed=True) == [((0.5, 2.0), (0.5, 2.5), (1.0, 2.5), (1.0, 6.0))]


def test_time_runs_down():
    figure = draw_lineage_tree(make_lineage(TABLE))
    bottom, top = figure.axes[0].get_ylim()
    assert bottom > 9
    assert top < 0


def test_tracks_that_appear_or_disappear_are_marked():
    figure = draw_lineage_tree(make_lineage(TABLE))
    dots, circles = (c.get_offsets().tolist() for c in figure.axes[0].collections if not isinstance(c, LineCollection))
    assert sorted(dots) == [[4, 2], [6, 5]]
    assert sorted(circles) == [[2, 7], [4, 8], [6, 5]]


def test_families_stand_by_size():
    figure = draw_lineage_tree(make_lineage([(1, 0, 9, 0), (2, 0, 1, 0), (3, 2, 9, 2), (4, 2, 9, 2)]))
    assert segments(figure.axes[0])[0][0][0] in {0.0, 0.5}
    named = {text.get_text(): text.xy[0] for text in figure.axes[0].texts}
    assert named["2"] < named["1"]


def test_a_family_has_the_colour_of_its_palette():
    figure = draw_lineage_tree(make_lineage([(3, 0, 1, 0), (8, 2, 9, 3), (9, 2, 9, 3)]))
    colours = np.vstack(
        [c.get_color() for c in figure.axes[0].collections if isinstance(c, LineCollection) and len(c.get_color())]
    )
    assert np.allclose(colours[:, :3], choose_family_colours(3))


def test_many_tracks_without_a_division_share_a_strip():
    figure = draw_lineage_tree(make_lineage([*TABLE, *((k, 0, 9, 0) for k in range(10, 30))]))
    forest, strip = figure.axes
    assert len(segments(strip)) == 22
    assert strip.get_title(loc="left") == "22 tracks without a division"
    assert max(x for line in segments(forest) for x, _ in line) == 2


def test_the_number_of_hidden_tracks_is_shown():
    table = [(4 * k + i, 5 * (i > 1), 4 + 5 * (i > 1), 4 * k + 1 if i > 1 else 0) for k in range(50) for i in (1, 2, 3)]
    table += [(k, k % 9, 9, 0) for k in range(1000, 1100)]
    figure = draw_lineage_tree(make_lineage(table), most=60)
    shown = " ".join(texts(figure))
    assert "90 tracks of the 30 smallest families are not shown" in shown
    assert "the 40 shortest tracks without a division are not shown" in shown
    assert len(segments(figure.axes[-1])) == 60


def test_many_families_fill_several_rows():
    table = [
        (4 * k + i, 5 * (i > 1), 4 + 5 * (i > 1), 4 * k + 1 if i > 1 else 0) for k in range(100) for i in (1, 2, 3)
    ]
    figure = draw_lineage_tree(make_lineage(table))
    counts = [len({text.get_text() for text in ax.texts}) for ax in figure.axes]
    assert len(counts) == 4
    assert sum(counts) == 100
    assert max(counts) - min(counts) <= 4


WORLDS = {
    "tree": TABLE,
    "no tracks": [],
    "one cell": [(1, 0, 0, 0)],
    "one frame": [(k, 0, 0, 0) for k in range(1, 30)],
    "a chain": [(1, 0, 0, 0), *((k, k - 1, k - 1, k - 1) for k in range(2, 11))],
    "three daughters": [(1, 0, 1, 0), (2, 2, 9, 1), (3, 2, 9, 1), (4, 2, 9, 1)],
}


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
@pytest.mark.parametrize("world", WORLDS)
def test_every_world_is_drawn_in_every_format(tmp_path, world, kind):
    lineage = make_lineage(WORLDS[world], n_frames=1 if world == "one frame" else 10)
    file = tmp_path / f"tree.{kind}"
    save_figure(draw_lineage_tree(lineage), file)
    assert file.read_bytes()[:8].startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind])
    again = tmp_path / f"again.{kind}"
    save_figure(draw_lineage_tree(lineage), again)
    assert again.read_bytes() == file.read_bytes()


def test_text_in_an_svg_is_text(tmp_path):
    save_figure(draw_lineage_tree(make_lineage(TABLE), title="A title"), tmp_path / "tree.svg")
    assert "A title" in "".join(ET.parse(tmp_path / "tree.svg").getroot().itertext())


@pytest.mark.parametrize("name", ["tree", "tree.jpg", "tree.PNGS"])
def test_an_unknown_format_is_refused(tmp_path, name):
    with pytest.raises(OutputError, match=r"end in \.png, \.svg or \.pdf"):
        save_figure(draw_lineage_tree(make_lineage(TABLE)), tmp_path / name)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        save_figure(draw_lineage_tree(make_lineage(TABLE)), tmp_path / "nowhere" / "tree.png")


# ---------------------------------------------------------------------------------------- overlay


def frame_of(tracks=(2, 3, 6), shape=(60, 40)):
    labels = np.zeros(shape, np.uint16)
    for track in tracks:
        labels[..., 4 * track - 1 : 4 * track + 2, 7:12] = track
    image = np.random.default_rng(0).normal(100, 5, shape) + 80 * (labels > 0)
    return image, labels


def lines_of(figure):
    outlines, *tails = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    return outlines, tails


def test_cells_are_outlined_in_the_colour_of_their_family():
    image, labels = frame_of()
    figure = draw_overlay(image, labels, lineage=make_lineage(TABLE), frame=4, tails=0)
    outlines, _ = lines_of(figure)
    assert np.allclose(outlines.get_color()[:, :3], choose_family_colours([1, 1, 6]))
    first = outlines.get_segments()[0]
    assert np.allclose([first.min(0), first.max(0)], [[6.5, 6.5], [11.5, 9.5]])


def test_without_a_lineage_each_track_has_its_own_colour():
    image, labels = frame_of()
    figure = draw_overlay(image, labels)
    assert np.allclose(lines_of(figure)[0].get_color()[:, :3], choose_family_colours([2, 3, 6]))


def test_a_label_that_touches_the_border_is_outlined():
    labels = np.zeros((20, 20), np.uint8)
    labels[:4, :5] = 9
    figure = draw_overlay(None, labels)
    outline = lines_of(figure)[0].get_segments()
    assert [*outline[0].min(0), *outline[0].max(0)] == [-0.5, -0.5, 4.5, 3.5]


def test_tails_reach_back_through_the_parent_and_fade():
    image, labels = frame_of()
    figure = draw_overlay(image, labels, lineage=make_lineage(TABLE), frame=5, tails=4)
    (tails,) = lines_of(figure)[1]
    lines = [line.tolist() for line in tails.get_segments()]
    assert lines[0] == [[10, 8], [9, 8]]  # track 2 (row 8) from frame 5 to 4, in pixels
    assert [[8, 8], [7, 4]] in lines  # and on into its parent, track 1
    assert min(x for line in lines for x, _ in line) == 6
    alpha = {tuple(map(tuple, line)): colour[3] for line, colour in zip(lines, tails.get_color(), strict=True)}
    assert alpha[(10, 8), (9, 8)] > alpha[(8, 8), (7, 4)] > 0.1


def test_ids_are_written_where_there_is_room():
    image, labels = frame_of(shape=(60, 400))
    labels[55, 35] = 777
    figure = draw_overlay(image, labels)
    assert sorted(text.get_text() for text in figure.axes[0].texts) == ["2", "3", "6"]
    figure = draw_overlay(image, labels, ids=False)
    assert not figure.axes[0].texts


@pytest.mark.parametrize(
    "side", [np.s_[:3, 20:44], np.s_[-3:, 20:44], np.s_[20:44, :3], np.s_[20:44, -3:], np.s_[:9, :2]]
)
def test_ids_at_the_border_are_in_the_figure(side):
    labels = np.zeros((60, 60), np.int64)
    labels[side] = 1234
    figure = draw_overlay(None, labels)
    (text,) = figure.axes[0].texts
    box, whole = text.get_window_extent(FigureCanvasAgg(figure).get_renderer()), figure.bbox
    assert whole.x0 <= box.x0 < box.x1 <= whole.x1
    assert whole.y0 <= box.y0 < box.y1 <= whole.y1


def test_the_scale_bar_is_a_round_number_of_micrometres():
    image, labels = frame_of()
    figure = draw_overlay(image, labels, lineage=make_lineage(TABLE, spacing=(0.5, 2.5)), frame=5, ids=False)
    assert [text.get_text() for text in figure.axes[0].texts] == ["10 µm"]
    (bar,) = figure.axes[0].lines
    assert np.isclose(np.ptp(bar.get_xdata()), 4)
    figure = draw_overlay(image, labels, lineage=make_lineage(TABLE, unit="pixel"), frame=5, ids=False)
    assert not figure.axes[0].lines


def test_a_stack_is_projected():
    image, labels = np.zeros((3, 60, 40)), np.zeros((3, 60, 40), np.uint16)
    image[2, 50, 30] = 9
    labels[1:, 10:20, 10:20] = 4
    labels[0, 15:25, 10:20] = 5
    figure = draw_overlay(image, labels)
    boxes = [np.concatenate([s.min(0), s.max(0)]).tolist() for s in lines_of(figure)[0].get_segments()]
    assert boxes == [[9.5, 9.5, 19.5, 14.5], [9.5, 14.5, 19.5, 24.5]]
    assert figure.axes[0].images[0].get_array()[50, 30] == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint32])
@pytest.mark.parametrize("given", [True, False])
def test_overlays_are_written(tmp_path, dtype, given):
    image, labels = frame_of()
    figure = draw_overlay(image if given else None, labels.astype(dtype), lineage=make_lineage(TABLE), frame=5)
    save_figure(figure, tmp_path / "o.png")
    assert imread(tmp_path / "o.png").shape[:2] == (2625, 1750)


@pytest.mark.parametrize("image", [np.full((60, 40), 3), np.full((60, 40), np.nan)])
def test_an_empty_frame_is_drawn(tmp_path, image):
    save_figure(draw_overlay(image, np.zeros((60, 40), int), lineage=make_lineage([]), frame=0), tmp_path / "o.png")
    assert imread(tmp_path / "o.png")[..., :3].max() <= 1


@pytest.mark.parametrize(
    ("image", "labels", "problem"),
    [
        (np.zeros((3, 4)), np.zeros((4, 3), int), r"frame 2: the image has shape \(3, 4\), its labels \(4, 3\)"),
        (None, np.zeros((4, 3)), "labels are float64"),
        (None, np.zeros(4, int), r"of shape \(4,\)"),
    ],
)
def test_an_image_that_does_not_fit_its_labels_is_refused(image, labels, problem):
    with pytest.raises(FrameError, match=problem):
        draw_overlay(image, labels, frame=2)


def test_no_global_figure_or_backend_is_touched(tmp_path):
    code = (
        "import sys, matplotlib, numpy as np; before = matplotlib.rcParams.copy()\n"
        "from gnntrack.report import draw_overlay, save_figure\n"
        "save_figure(draw_overlay(None, np.ones((4, 4), int)), sys.argv[1])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert matplotlib.rcParams.copy() == before\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "o.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("frames", [2, 4, 10, 75])
def test_the_tree_joins_mother_and_daughters(frames):
    middle = frames // 2
    table = [(1, 0, middle - 1, 0), (2, middle, frames - 1, 1), (3, middle, frames - 1, 1)]
    picture = np.asarray(paint_lineage_tree(make_lineage(table, n_frames=frames)).convert("RGB")).astype(int)
    coloured = np.ptp(picture, axis=2) > 60  # lines of families have a colour, texts and axes are grey
    assert label(coloured, np.ones((3, 3)))[1] == 1
    assert np.flatnonzero(coloured.any(axis=1))[0] > 34  # below the title


@pytest.mark.parametrize("last", [1, 6, 7, 23, 59, 91, 100, 999, 12345])
def test_the_ticks_of_the_tree_are_round_numbers(last):
    ticks = choose_ticks(last)
    step = ticks[1]
    assert ticks == list(range(0, last + 1, step))
    assert 2 <= len(ticks) <= 7
    assert str(step).rstrip("0") in {"1", "2", "5"}


@pytest.mark.parametrize("frames", [1, 2, 8, 31, 40, 41, 92, 1000])
def test_no_tick_is_beyond_the_last_frame(frames):
    lineage = make_lineage([(1, 0, frames - 1, 0)], n_frames=frames)
    ticks = draw_lineage_tree(lineage).axes[0].get_yticks().tolist()
    assert ticks == choose_ticks(frames - 1)
    assert 0 <= min(ticks) <= max(ticks) <= frames - 1
    assert ticks == [round(tick) for tick in ticks]


def count_white(row, column, side=12):
    """Return the white pixels of the id 12345 of a square cell in a frame of 100 x 100 pixels."""
    labels = np.zeros((100, 100), np.int64)
    labels[row : row + side, column : column + side] = 12345
    middle = [[row + (side - 1) / 2, column + (side - 1) / 2]]
    cells = Cells([0], [12345], middle, np.zeros((1, 0)), (), (), (1, 1), 1, (100, 100), "pixel")
    lineage = Lineage(cells, [12345], Tracks([12345], [0], [0], [0]), [], [], [])
    picture = np.asarray(paint_overlay(None, labels, lineage, 0))
    return int((picture == 255).all(axis=2).sum())


@pytest.mark.parametrize(("row", "column"), [(0, 40), (40, 0), (88, 40), (40, 88), (0, 0), (88, 88)])
def test_ids_at_the_border_are_not_cut(row, column):
    assert count_white(row, column, side=6) == count_white(40, 40, side=6) > 0


@pytest.mark.parametrize(("width", "lines"), [(300, 2), (1000, 3), (1100, 1), (1700, 2), (2500, 3)])
def test_outlines_of_large_cells_are_seen_in_large_pictures(width, lines):
    labels = np.zeros((60, width), np.int64)
    labels[10:50, 100:140] = 1
    cells = Cells([0], [1], [[29.5, 119.5]], np.zeros((1, 0)), (), (), (1, 1), 1, labels.shape, "pixel")
    lineage = Lineage(cells, [1], Tracks([1], [0], [0], [0]), [], [], [])
    picture = np.asarray(paint_overlay(None, labels, lineage, 0)).astype(int)
    zoom = picture.shape[1] // width
    across = np.ptp(picture[13 * zoom], axis=1) > 60  # above the id
    assert np.flatnonzero(np.diff(across.astype(int)))[:2].tolist() == [100 * zoom - 1, 100 * zoom - 1 + lines]


@pytest.mark.parametrize("n", [9, 15, 40, 100])
def test_names_of_single_tracks_are_written_where_there_is_room(n):
    table = [(track, 0, 9, 0) for track in range(1, n + 1)]
    picture = np.asarray(paint_lineage_tree(make_lineage(table))).astype(int)
    coloured = np.ptp(picture, axis=2) > 60
    first = np.flatnonzero(coloured.any(axis=1))[0]
    left = np.flatnonzero(coloured.any(axis=0))
    written = (picture[first - 12 : first - 1, left[0] - 5 : left[-1] + 5].max(axis=2) < 150).any()
    assert written == (n < 40)
    assert np.diff(left).max() <= 24
