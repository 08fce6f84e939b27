"""Video, lineage tree and kymograph of a result: places, colours, times, and files that other programs read."""

from __future__ import annotations

import re
import tracemalloc
import xml.etree.ElementTree as ET
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support.movies import dividing_masks, images_of, write_folder

import gnntrack
from gnntrack.cli import cli
from gnntrack.converting import convert
from gnntrack.errors import InputError, MissingDependencyError, OptionError, OutputError
from gnntrack.figures import write_kymograph, write_montage, write_tree, write_video
from gnntrack.report import choose_cell_colours, select_lineage, select_tracks
from gnntrack.report.annotations import choose_time_axis
from gnntrack.report.kymograph import resolve_path, sample_kymograph
from gnntrack.report.movie_frames import MovieFrames
from gnntrack.report.movie_scene import MovieScene, Window, find_window
from gnntrack.report.styles import KymographStyle
from gnntrack.report.video import make_palette, write_gif, write_mp4

pytestmark = pytest.mark.figures

MASKS = dividing_masks(shuffled=False)
IMAGES = images_of(MASKS)
H, W = MASKS.shape[1:]
ZOOM = 4
LARGE = MASKS.repeat(ZOOM, 1).repeat(ZOOM, 2)


@pytest.fixture(scope="module")
def lineage():
    """Track 1 moves right, track 2 divides after frame 2; half a micrometre a pixel, ten minutes a frame."""
    return gnntrack.track(IMAGES, MASKS, spacing=(0.5, 0.5), interval="10min")


@pytest.fixture(scope="module")
def points(lineage, tmp_path_factory):
    """The same without masks."""
    path = tmp_path_factory.mktemp("points") / "points.geff"
    lineage.to_geff(path)
    return path


def decode(path):
    """Return the frames of a video (red, green, blue) and its rate, read by OpenCV."""
    capture = cv2.VideoCapture(str(path))
    rate, frames = capture.get(cv2.CAP_PROP_FPS), []
    while True:
        ok, frame = capture.read()
        if not ok:
            return np.array(frames), rate
        frames.append(frame[..., ::-1])


def paint(lineage, frame, *, runs=True, images=IMAGES, shown=None, scale=float(ZOOM), **more):
    """Return a painted frame, enlarged four times."""
    own = gnntrack.shown_results.read_cells(lineage, None)[1] if runs else None
    stack = None if images is None else gnntrack.open_frames(images)
    shown = np.ones(len(lineage.cells), bool) if shown is None else shown
    options = {"window": Window(0, 0, H, W), "colours": choose_cell_colours(lineage)} | more
    scene = MovieScene(lineage=lineage, runs=own, images=stack, shown=shown, **options)
    return MovieFrames(scene=scene, scale=scale).paint(frame)


def find_pixel(lineage, row):
    """Return row and column of a cell in a painted frame."""
    return np.round((lineage.cells.position[row] / 0.5 + 0.5) * ZOOM - 0.5).astype(int)


def is_tinted(pixels, row, lineage):
    """Whether pixels have the colour of a cell, within the smoothing of lines."""
    colour = choose_cell_colours(lineage).cells[row] * 255
    return np.abs(pixels - colour).max(axis=-1) < 40


# ------------------------------------------------------------------------------------------------ video files


def test_an_mp4_is_h264_that_players_take_and_shows_the_colours_that_were_drawn(tmp_path):
    frames = np.zeros((5, 61, 83, 3), np.uint8)  # odd sides are padded
    frames[:, :30], frames[:, 30:] = (200, 40, 60), (20, 90, 220)
    write_mp4(tmp_path / "a.mp4", iter(frames), fps=12.5)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt, context.profile) == ("h264", "yuv420p", "High")
        assert (context.colorspace, context.color_range, stream.frames) == (1, 1, 5)
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # a browser can begin before the end has arrived
    found, rate = decode(tmp_path / "a.mp4")
    assert found.shape == (5, 62, 84, 3)
    assert rate == pytest.approx(12.5)
    assert np.abs(found[2, 10, 40].astype(int) - (200, 40, 60)).max() < 12
    assert np.abs(found[2, 50, 40].astype(int) - (20, 90, 220)).max() < 12


def test_a_gif_repeats_and_holds_the_frames_that_were_drawn(tmp_path):
    frames = np.repeat(np.arange(0, 250, 10, dtype=np.uint8)[None, None, :, None], 3, axis=3)
    frames = np.broadcast_to(frames, (4, 20, 25, 3)).copy()
    for t in range(4):
        frames[t, 5:9, 4 * t : 4 * t + 6] = 250, 30, 40
    write_gif(tmp_path / "a.gif", iter(frames), fps=8, palette=make_palette(frames))
    with Image.open(tmp_path / "a.gif") as picture:
        assert (picture.n_frames, picture.size, picture.info["loop"]) == (4, (25, 20), 0)
        assert picture.info["duration"] == 120  # the nearest to 1/8 s
        for t in range(4):
            picture.seek(t)
            assert np.abs(np.asarray(picture.convert("RGB")).astype(int) - frames[t]).max() <= 4 + 8


@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_frames_are_written_one_by_one(tmp_path, kind):
    def make():
        for t in range(60):
            yield np.full((200, 200, 3), 4 * t, np.uint8)  # 120 kB each, 7 MB together

    palette = make_palette([np.zeros((2, 2, 3), np.uint8)])
    write_gif(tmp_path / "warm.gif", [np.zeros((8, 8, 3), np.uint8)], fps=5, palette=palette)
    tracemalloc.start()
    try:
        if kind == "mp4":
            write_mp4(tmp_path / "a.mp4", make(), fps=10)
        else:
            write_gif(tmp_path / "a.gif", make(), fps=10, palette=palette)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


def test_noise_takes_little_space_in_a_gif(tmp_path):
    noise = np.random.default_rng(0).integers(100, 105, (10, 80, 80, 1), np.uint8)
    palette = make_palette([np.zeros((2, 2, 3), np.uint8)])
    for name, frames in (("one", noise[:1]), ("ten", noise)):
        write_gif(tmp_path / f"{name}.gif", np.repeat(frames, 3, axis=3), fps=5, palette=palette)
    assert (tmp_path / "ten.gif").stat().st_size < 1.5 * (tmp_path / "one.gif").stat().st_size


# --------------------------------------------------------------------------------------------- painted frames


def test_outlines_have_the_colours_of_the_families_and_surround_the_cells(lineage):
    pixels = paint(lineage, 1, tails=0)
    cells = lineage.cells
    for row in range(len(cells))[cells.rows(1)]:
        mask = LARGE[1] == cells.label[row]
        inner = cv2.erode(mask.astype(np.uint8), np.ones((13, 13))) > 0
        tinted = is_tinted(pixels, row, lineage)
        assert not tinted[inner].any()
        assert 0.3 < tinted[mask & ~inner].mean() < 0.7  # a line of two pixels in a ring of four
        assert not is_tinted(pixels, row, lineage)[cv2.dilate(mask.astype(np.uint8), np.ones((3, 3))) == 0].any()
        assert np.ptp(pixels[inner], axis=-1).max() == 0  # grey


def test_tracks_that_are_not_selected_are_not_drawn(lineage):
    shown = select_tracks(lineage, families=[3])[np.searchsorted(lineage.tracks.id, lineage.track)]
    pixels = paint(lineage, 4, shown=shown)
    other = lineage.cells.row_of(4, 10)
    assert lineage.track[other] == 1
    assert np.ptp(pixels[LARGE[4] == 10], axis=-1).max() == 0
    assert np.ptp(pixels[LARGE[4] == 20], axis=-1).max() > 50


def test_a_path_leads_through_earlier_positions_into_the_parent(lineage):
    pixels = paint(lineage, 5, images=None, runs=False)
    cells = lineage.cells
    for frame in (1, 3):  # of track 1, which moves right
        y, x = find_pixel(lineage, cells.row_of(frame, 10))
        assert pixels[y - 1 : y + 2, x].max() > 60
    y, x = find_pixel(lineage, cells.row_of(1, 20))  # the parent, five frames ago
    assert pixels[y - 1 : y + 2, x - 1 : x + 2].max() > 60
    assert paint(lineage, 5, images=None, runs=False, tails=2)[y - 1 : y + 2, x - 1 : x + 2].max() == 0


def test_the_scale_bar_has_the_length_that_is_written_beside_it(lineage):
    pixels = paint(lineage, 0, pixel=0.5)  # 384 pixels of 0.125 um: 48 um; a fourth of it: 10 um
    rows = (pixels == 255).all(axis=-1)[-20:].sum(axis=1)
    assert rows.max() == pytest.approx(10 / 0.125, abs=1.5)
    assert (paint(lineage, 0) == 255).all(axis=-1)[-20:].sum() == 0


def test_a_narrow_movie_gets_a_margin_so_that_time_and_scale_fit(lineage):
    assert paint(lineage, 0, scale=1.0).shape == (240, 240, 3)
    assert paint(lineage, 0, scale=3.0).shape == (3 * H, 3 * W, 3)


def test_the_contrast_is_the_same_in_all_frames(lineage):
    images = IMAGES.astype(np.int32)
    images[5] = 200 + (images[5] - 200) // 4
    shown = np.zeros(len(lineage.cells), bool)
    assert paint(lineage, 5, images=images, shown=shown)[LARGE[5] == 10].mean() < 150
    assert paint(lineage, 4, images=images, shown=shown)[LARGE[4] == 10].mean() > 200


def test_a_window_holds_the_selected_cells(lineage):
    shown = lineage.track == 1
    top, left, bottom, right = find_window(lineage, shown)
    inside = np.zeros((H, W), bool)
    inside[top:bottom, left:right] = True
    assert inside[(MASKS == 10).any(0)].all()
    assert inside.mean() < 0.8
    assert find_window(lineage, ~np.ones_like(shown)) == (0, 0, H, W)


def test_a_stack_is_projected(tmp_path):
    masks = np.zeros((3, 4, 40, 50), np.uint16)
    masks[:, 1:3, 10:20, 10:22], masks[:, 2:4, 25:34, 30:40] = 1, 2
    images = images_of(masks)
    lineage = gnntrack.track(images, masks, spacing=(2, 0.5, 0.5))
    write_video(lineage, tmp_path / "a.mp4", images=images, size=400)
    found, _ = decode(tmp_path / "a.mp4")
    assert found.shape == (3, 320, 400, 3)
    assert found[0, 120, 128].min() > 200  # the middle of the first cell, in two of four planes


# ------------------------------------------------------------------------------------------------ write_video


def test_a_video_shows_the_frames_that_are_asked_for(lineage, tmp_path):
    out = write_video(lineage, tmp_path / "a.mp4", images=IMAGES, frames=(2, 4), fps=5, size=300)
    found, rate = decode(out)
    assert found.shape == (3, 300, 300, 3)
    assert rate == 5
    assert out.stat().st_size < 100_000


def test_points_without_images_are_dots_on_black(points, tmp_path):
    with pytest.warns(gnntrack.GnntrackWarning, match="images are not shown"):
        write_video(points, tmp_path / "a.gif", tails=0, size=96 * 5)
    lineage = gnntrack.load(points)
    with Image.open(tmp_path / "a.gif") as picture:
        picture.seek(3)
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert (pixels.max(-1) == 0).mean() > 0.9
    for row in range(len(lineage.cells))[lineage.cells.rows(3)]:
        y, x = np.round(lineage.cells.position[row] / 0.5 * 5 + 2).astype(int)
        assert is_tinted(pixels, row, lineage)[y, x]


def test_points_of_another_program_are_drawn_on_their_images(lineage, tmp_path):
    rows = np.column_stack([lineage.track, lineage.cells.frame, lineage.cells.position / 0.5])
    np.savetxt(tmp_path / "a.csv", rows, "%g", delimiter=",", header="track_id,t,y,x", comments="")
    convert(tmp_path / "a.csv", tmp_path / "a.geff")
    with pytest.warns(gnntrack.GnntrackWarning, match="The frames are those of the images"):
        write_montage(tmp_path / "a.geff", tmp_path / "a.png", images=IMAGES, panels=2)
    write_kymograph(tmp_path / "a.geff", tmp_path / "k.png", images=IMAGES)
    assert (tmp_path / "a.png").stat().st_size > 2000


@pytest.mark.parametrize("by", ["track", "generation", "confidence"])
def test_other_colours_have_a_key_if_they_need_one(lineage, by):
    colours = choose_cell_colours(lineage, by)
    assert colours.cells.shape == (len(lineage.cells), 3)
    if by == "track":
        assert not colours.key
        return
    place = {tuple(np.round(np.array(colour) * 255)) for _, colour in colours.key}
    assert {tuple(np.round(each * 255)) for each in colours.cells} <= place
    plain = paint(lineage, 0, colours=colours._replace(key=[]), images=None)
    keyed = paint(lineage, 0, colours=colours, images=None)
    assert (plain != keyed).any(-1).sum() > 200


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"frames": (2, 6)}, InputError, "6 frames 0 to 5"),
        ({"frames": 3}, InputError, r"frames=3: expected first and last"),
        ({"tracks": 99}, InputError, "no track 99; the ids are 1 to 4"),
        ({"families": []}, InputError, "no track is selected"),
        ({"tracks": [99]}, InputError, "no track 99; the ids are 1 to 4"),
        ({"colour_by": "size"}, InputError, "expected one of family, track"),
        ({"fps": 0}, InputError, "fps=0"),
        ({"frame": (1, 2)}, OptionError, "did you mean 'frames'"),
        ({"images": IMAGES[:3]}, InputError, "the images have 3 frames"),
        ({"images": "nowhere"}, InputError, "nowhere"),
    ],
)
def test_a_wrong_option_of_a_video_is_explained(lineage, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        write_video(lineage, tmp_path / "a.mp4", **({"images": IMAGES} | options))
    assert not list(tmp_path.iterdir())


def test_a_video_needs_a_suffix_that_is_known_and_pyav(lineage, tmp_path, monkeypatch):
    with pytest.raises(OutputError, match=r"videos end in .mp4 or .gif, not in '.avi'"):
        write_video(lineage, tmp_path / "a.avi")
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingDependencyError, match="pip install av"):
        write_video(lineage, tmp_path / "a.mp4")


def test_only_a_video_of_gnntrack_is_overwritten(lineage, tmp_path):
    out = tmp_path / "a.mp4"
    write_video(lineage, out, images=IMAGES, frames=(0, 0), size=96)
    with pytest.raises(OutputError, match="exists already"):
        write_video(lineage, out, images=IMAGES)
    write_video(lineage, out, images=IMAGES, frames=(0, 1), size=96, overwrite=True)
    assert len(decode(out)[0]) == 2
    write_mp4(out, np.zeros((2, 96, 96, 3), np.uint8), fps=5)  # of a microscope
    with pytest.raises(OutputError, match="gnntrack did not write it"):
        write_video(lineage, out, images=IMAGES, overwrite=True)


# ---------------------------------------------------------------------------------------------------- montage


def test_a_montage_has_a_panel_per_frame_with_its_time_and_one_scale_bar(lineage, tmp_path):
    out = write_montage(lineage, tmp_path / "a.svg", images=IMAGES, panels=3, colour_by="generation")
    texts = find_texts(out)
    assert {"0 min", "20 min", "50 min", "10 µm", "generation", "0", "1"} == set(texts)  # 48 um wide
    assert texts.count("10 µm") == 1
    assert out.read_text("utf-8").count("<image ") == 3
    assert len(find_texts(write_montage(lineage, tmp_path / "b.svg", images=IMAGES, frames=(2, 3)))) == 3


def test_the_outlines_of_a_montage_are_lines_around_the_cells(lineage, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(gnntrack.report, "save_figure", lambda figure, path, **_: (drawn.append(figure), path.touch()))
    write_montage(lineage, tmp_path / "a.png", images=IMAGES, frames=(4, 4), tracks=[1], tails=2, crop=True)
    (ax,) = drawn[0].axes
    outlines, paths = ax.collections
    (points,) = outlines.get_segments()
    rows, columns = np.nonzero(MASKS[4] == 10)
    size = np.ptp(points, axis=0)
    assert size.tolist() == [np.ptp(columns), np.ptp(rows)]
    assert len(paths.get_segments()) == 2
    assert ax.images[0].get_array().shape < (H, W)
    assert drawn[0].get_figwidth() == pytest.approx(17 / 2.54)


# ------------------------------------------------------------------------------------------------------- tree


def find_texts(path):
    return [text.text for text in ET.parse(path).getroot().iter("{http://www.w3.org/2000/svg}text")]


def test_a_tree_has_an_axis_of_time_and_text_that_can_be_edited(lineage, tmp_path):
    texts = find_texts(write_tree(lineage, tmp_path / "a.svg", colour_by="generation"))
    assert {"time (min)", "0", "50", "generation", "4 tracks, 1 division, 2 families, 6 frames"} <= set(texts)
    assert "frame" in find_texts(write_tree(lineage.with_provenance(interval=None), tmp_path / "b.svg"))
    content = write_tree(lineage, tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in content  # TrueType
    assert b"/Type3" not in content


def test_a_tree_shows_selected_tracks_in_the_colours_that_they_have_among_all(lineage, tmp_path):
    texts = find_texts(write_tree(lineage, tmp_path / "a.svg", families=[4]))
    assert "3 tracks, 1 division, 1 family, 6 frames" in texts
    assert "2" in texts
    some = select_lineage(lineage, select_tracks(lineage, tracks=[1, 4]))
    assert some.tracks.parent.tolist() == [0, 0]
    assert (some.cells.label == lineage.cells.label[np.isin(lineage.track, [1, 4])]).all()
    assert all(some.track[some.source] == some.track[some.target])
    colour = "#" + "".join(f"{round(255 * c):02x}" for c in choose_cell_colours(lineage).tracks[3])
    assert colour in write_tree(lineage, tmp_path / "b.svg", tracks=[4]).read_text("utf-8")


def test_a_tree_says_how_many_tracks_it_leaves_out(lineage, tmp_path):
    texts = find_texts(write_tree(lineage, tmp_path / "a.svg", most=1))
    assert any("1 track of the 1 smallest family is not shown" in text for text in texts if text)


def test_a_figure_that_cannot_be_written_is_named_in_the_message(lineage, tmp_path, monkeypatch):
    def fail(figure, path, **_):
        message = f"{path}: the figure cannot be written: No space left on device"
        raise OutputError(message)

    monkeypatch.setattr(gnntrack.report, "save_figure", fail)
    with pytest.raises(OutputError, match=r"^[^ ]*/a\.png: the figure cannot be written"):
        write_tree(lineage, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_a_figure_has_the_size_that_is_asked_for(lineage, tmp_path):
    with Image.open(write_tree(lineage, tmp_path / "a.png", size=(12.7, 10.16), dpi=100)) as picture:
        assert picture.size == (500, 400)
    with pytest.raises(OutputError, match=r"end in .png, .svg or .pdf"):
        write_tree(lineage, tmp_path / "a.jpg")
    with pytest.raises(InputError, match=r"size=0.5"):
        write_tree(lineage, tmp_path / "b.png", size=(0.5, 10))


# ------------------------------------------------------------------------------------------------- kymograph


def trace(lineage, images, **style):
    path = resolve_path(KymographStyle(**style), lineage.cells)
    return path, sample_kymograph(gnntrack.open_frames(images), path, range(len(images)))


def test_a_kymograph_along_an_axis_is_the_maximum_or_mean_across_it(lineage):
    assert np.array_equal(trace(lineage, IMAGES)[1], IMAGES.max(axis=1))
    assert np.array_equal(trace(lineage, IMAGES, along="y", projection="mean")[1], IMAGES.mean(axis=2))


def test_a_kymograph_along_a_line_has_a_sample_per_pixel_and_a_width(lineage):
    images = np.zeros((2, H, W), np.float32)
    images[:, 40, 30], images[:, 43, 36], images[:, 70, 33] = 5, 9, 7
    along = (20, 40, 50, 40)  # to the right, through the first bright pixel
    path, values = trace(lineage, images, along=along, width=7)
    assert values.shape == (2, 31)
    assert np.flatnonzero(values[0]).tolist() == [10, 16]
    assert values[0, [10, 16]].tolist() == [5, 9]
    assert trace(lineage, images, along=along, width=5)[1][0, 16] == 0
    back = trace(lineage, images, along=(50, 40, 20, 40), width=7)[1]
    assert np.allclose(back[0], values[0, ::-1])
    position, inside = path.measure(lineage.cells)
    track = np.flatnonzero(lineage.track == 1)
    assert not inside[track].any()  # 20 pixels above
    assert np.allclose(position[track], lineage.cells.position[track, 1] / 0.5 - 20)


def test_tracks_lie_on_their_cells_in_a_kymograph(lineage, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(gnntrack.report, "save_figure", lambda figure, path, **_: (drawn.append(figure), path.touch()))
    write_kymograph(lineage, tmp_path / "a.png", images=IMAGES, tracks=[1], frames=(1, 5))
    (ax,) = drawn[0].axes
    halo, lines = ax.collections[:2]
    found = np.array(lines.get_segments())
    assert len(found) == 5
    rows = np.flatnonzero(lineage.track == 1)
    assert np.allclose(sorted(found[:, 1, 0]), lineage.cells.position[rows[1:], 1])  # um, as the spacing is known
    assert sorted(found[:, 1, 1]) == [1, 2, 3, 4, 5]
    assert np.allclose(np.array(halo.get_segments()), found)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x position (µm)", "time (min)")
    left, right, bottom, top = ax.images[0].get_extent()
    assert (left, right, bottom, top) == (-0.25, (W - 0.5) * 0.5, 5.5, 0.5)


def test_a_kymograph_needs_images_and_a_line_in_the_frame(lineage, points, tmp_path):
    with pytest.raises(InputError, match="a kymograph shows the intensity of the images; give them"):
        write_kymograph(points, tmp_path / "a.png")
    for along, message in (
        ("z", "expected one of x, y, or a line"),
        ((0, 0, 200, 9), "leaves the frame of 96 x 96"),
        ((5, 5, 5, 5), "shorter than a pixel"),
        ((1, 2, 3), "four numbers"),
    ):
        with pytest.raises(InputError, match=message):
            write_kymograph(lineage, tmp_path / "a.png", images=IMAGES, along=along)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("last", "interval", "name", "texts"),
    [
        (91, None, "frame", ["0", "20", "40", "60", "80"]),
        (91, 1800.0, "time (h)", ["0", "10", "20", "30", "40"]),
        (5, 600.0, "time (min)", ["0", "10", "20", "30", "40", "50"]),
        (20, 0.1, "time (s)", ["0", "0.3", "0.6", "0.9", "1.2", "1.5", "1.8"]),
        (0, 60.0, "time (s)", ["0"]),
    ],
)
def test_an_axis_of_time_has_a_few_round_numbers(last, interval, name, texts):
    axis = choose_time_axis(0, last, interval)
    assert (axis.name, axis.texts) == (name, texts)
    if interval is not None:
        unit = {"(h)": 3600, "(min)": 60, "(s)": 1}[name.split()[1]]
        assert np.allclose(np.array(axis.places) * interval / unit, np.array(texts, float))


# ------------------------------------------------------------------------------------------------- command line


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    """Folder with a result of `gnntrack track` and its movie."""
    folder = tmp_path_factory.mktemp("movie")
    images, masks = write_folder(folder / "images", IMAGES), write_folder(folder / "masks", MASKS)
    gnntrack.track(images, masks, out=folder / "01_RES", spacing=(0.5, 0.5), interval="10min")
    return folder


def test_report_writes_figures_with_the_page_or_without_it(movie, tmp_path):
    names = {"-o": "a.html", "--video": "a.gif", "--tree": "a.svg", "--kymograph": "a.png", "--montage": "b.svg"}
    line = [part for option, name in names.items() for part in (option, str(tmp_path / name))]
    ran = CliRunner().invoke(cli, ["report", str(movie / "01_RES"), *line, "--frames", "1:3", "--dpi", "60"])
    assert ran.exit_code == 0, ran.output
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names.values())
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.n_frames == 3  # the images were found by the record of the run
    assert ran.output.count("written") == 5
    page = CliRunner().invoke(cli, ["report", str(movie / "01_RES"), "--tree", str(tmp_path / "b.pdf")])
    assert page.exit_code == 0, page.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "nothing to write; give a page (-o report.html), --video, --montage, --tree or --kymograph"),
        (["--tree", "a.svg", "--fps", "3"], "--fps needs --video"),
        (["--video", "a.mp4", "--frames", "5"], "'5': expected the first and the last frame: 20:60"),
        (["--kymograph", "a.png", "--along", "1,2"], "or the ends of a line x0,y0,x1,y1"),
        (["--tree", "a.png", "--tracks", "one"], "ids with commas between them"),
        (["--tree", "a.tif"], "figures end in .png, .svg or .pdf, not in '.tif'"),
        (["--tree", "a.png", "--families", "77"], "no track 77"),
        (["--tree", "a.png", "--montage", "./a.png"], "a.png: two figures have this path"),
    ],
)
def test_report_explains_wrong_options(movie, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(cli, ["report", str(movie / "01_RES"), *options])
    assert ran.exit_code == 2
    assert message in " ".join(ran.output.split())
    assert not list(tmp_path.iterdir())


def test_report_checks_all_outputs_before_it_writes_one(movie, tmp_path):
    (tmp_path / "a.pdf").touch()
    line = ["--tree", str(tmp_path / "a.svg"), "--kymograph", str(tmp_path / "a.pdf")]
    ran = CliRunner().invoke(cli, ["report", str(movie / "01_RES"), *line])
    assert ran.exit_code == 2
    assert "exists already" in ran.output
    assert not (tmp_path / "a.svg").exists()


def test_the_code_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).resolve().parents[1] / "docs" / "figures.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    exec(compile(code, "docs/figures.md", "exec"), {})
    assert {path.name for path in tmp_path.iterdir()} == {"movie.mp4", "frames.pdf", "tree.svg", "line.png"}
    assert len(decode(tmp_path / "movie.mp4")[0]) == 8
