import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from support.ctc_worlds import DIVIDES, as_table, build, draw_gaps, draw_tables, make_fills, read_masks

from gnntrack.compression import compress
from gnntrack.errors import FormatError, FrameError, InputError, OutputError
from gnntrack.io.ctc import read_ctc, write_ctc
from gnntrack.io.ctc_table import read_track_table
from gnntrack.io.ctc_validate import validate_ctc
from gnntrack.types import Cells, Lineage, Runs, Tracks


def find_errors(folder):
    return [str(problem) for problem in validate_ctc(folder) if problem.severity == "error"]


# ---------------------------------------------------------------- the table


@pytest.mark.parametrize(
    "text",
    [
        "1 0 3 0\n2 4 7 1\n",
        "1\t0\t3\t0\n2\t4\t7\t1\n",
        "2 4 7 1\r\n1 0 3 0",
        "\n 1  0 3\t0 \n\n2 4 7 1\n\n",
    ],
    ids=["spaces", "tabs", "unsorted, Windows, no last line end", "blank lines"],
)
def test_table_is_read(tmp_path, text):
    file = tmp_path / "res_track.txt"
    file.write_bytes(text.encode())
    assert as_table(read_track_table(file)) == {1: (0, 3, 0), 2: (4, 7, 1)}


def test_table_of_one_line_and_of_none(tmp_path):
    file = tmp_path / "res_track.txt"
    file.write_text("7 2 2 0")
    assert as_table(read_track_table(file)) == {7: (2, 2, 0)}
    file.write_text("")
    assert len(read_track_table(file)) == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 4 7.5 1", "line 2: '7.5' is not an integer"),
        ("2 4 x 1", "line 2: 'x' is not an integer"),
        ("2,4,7,1", "line 2: '2,4,7,1' is not an integer"),
        ("2 4 7", "line 2: 3 numbers; expected four"),
        ("1 4 7 0", "line 2: label 1 is in line 1 as well"),
        ("0 4 7 0", "line 2: label 0; labels are positive"),
        ("2 -1 7 0", "line 2: label 2 has begin -1"),
        ("2 4 7 -1", "line 2: label 2 has begin 4 and parent -1"),
        ("2 7 4 0", "line 2: label 2 begins in frame 7 and ends before it"),
        ("2 4 7 9", "unknown parents"),
        ("2 3 7 1", "start before their parents end"),
    ],
)
def test_broken_table_names_file_and_line(tmp_path, line, message):
    file = tmp_path / "res_track.txt"
    file.write_text(f"1 0 3 0\n{line}\n")
    with pytest.raises(FormatError, match=message) as caught:
        read_track_table(file)
    assert str(caught.value).startswith(str(file))


def test_missing_table(tmp_path):
    with pytest.raises(FormatError, match="the table of tracks cannot be read"):
        read_track_table(tmp_path / "res_track.txt")


# ---------------------------------------------------------------- writing and reading


@settings(max_examples=40, deadline=None)
@given(drawn=draw_tables(), ndim=st.sampled_from([2, 3]), seed=st.integers(0, 99))
def test_write_then_read_is_the_identity(tmp_path_factory, drawn, ndim, seed):
    table, n_frames = drawn
    lineage, runs = build(table, n_frames=n_frames, ndim=ndim, seed=seed)
    out = tmp_path_factory.mktemp("ctc") / "01_RES"
    written = write_ctc(out, lineage, runs)
    again, runs_again = read_ctc(out)
    assert as_table(written) == as_table(again.tracks) == table
    assert find_errors(out) == []
    assert again.cells.n_frames == n_frames
    assert again.cells.shape == lineage.cells.shape
    key, key_again = (np.lexsort((part.track, part.cells.frame)) for part in (lineage, again))
    assert np.array_equal(lineage.track[key], again.track[key_again])
    assert np.allclose(lineage.cells.position[key], again.cells.position[key_again])
    assert set(_name_links(lineage)) == set(_name_links(again))
    assert np.array_equal(runs.start, runs_again.start)
    assert np.array_equal(runs.length, runs_again.length)
    assert np.array_equal(runs.offsets, runs_again.offsets)
    assert np.array_equal(lineage.track[runs.cell], again.track[runs_again.cell])


def _name_links(lineage):
    frame, track = lineage.cells.frame.tolist(), lineage.track.tolist()
    pairs = zip(lineage.source.tolist(), lineage.target.tolist(), strict=True)
    return [(frame[a], track[a], frame[b], track[b]) for a, b in pairs]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), drawn=draw_tables(max_frames=8))
def test_gaps_are_split_or_filled_and_always_valid(tmp_path_factory, data, drawn):
    table, n_frames = drawn
    gaps = data.draw(draw_gaps(table))
    filled = data.draw(st.sets(st.sampled_from(sorted(gaps)))) if gaps else set()
    lineage, runs = build(table, n_frames=n_frames, gaps=gaps)
    out = tmp_path_factory.mktemp("ctc") / "01_RES"
    tracks = write_ctc(out, lineage, runs, fills=make_fills(lineage, filled) if filled else None)
    assert find_errors(out) == []
    open_gaps = gaps - filled
    painted = sum(end - start + 1 for start, end, _ in as_table(tracks).values())
    assert painted == sum(end - start + 1 for start, end, _ in table.values()) - len(open_gaps)
    cuts = sum((k, t - 1) not in open_gaps for k, t in open_gaps)  # a run of missing frames cuts once
    assert len(tracks) == len(table) + cuts
    daughters = {}
    for k, (start, _, parent) in table.items():
        if parent:
            daughters.setdefault(parent, []).append((k, start))
            last_part = as_table(tracks)[k][2]
            assert as_table(tracks)[last_part][1] == table[parent][1]


def test_split_track_hands_its_daughters_to_its_last_part(tmp_path):
    lineage, runs = build(DIVIDES, gaps={(1, 1), (4, 3), (4, 4), (4, 6)})
    tracks = write_ctc(tmp_path / "01_RES", lineage, runs)
    assert as_table(tracks) == {
        1: (0, 0, 0),
        2: (4, 7, 5),
        3: (4, 7, 5),
        4: (0, 2, 0),
        5: (2, 3, 1),
        6: (5, 5, 4),
        7: (7, 7, 6),
    }
    assert (tmp_path / "01_RES" / "res_track.txt").read_text().startswith("1 0 0 0\n2 4 7 5\n")


def test_fills_never_cover_cells(tmp_path):
    lineage, runs = build({1: (0, 2, 0), 2: (0, 2, 0)}, gaps={(1, 1)})
    fill = make_fills(lineage, {(1, 1)})
    lane, below = fill.start[0], 4 * lineage.cells.shape[-1]
    both = Runs(
        [1, 1], [lane, lane + below], [3, 3], [0, 0, 2, 2], fill.shape
    )  # the second lies on the cell of track 2
    plain = write_ctc(tmp_path / "plain", lineage, runs)
    filled = write_ctc(tmp_path / "filled", lineage, runs, fills=both)
    assert len(plain) == 3
    assert as_table(filled) == {1: (0, 2, 0), 2: (0, 2, 0)}
    before, after = read_masks(tmp_path / "plain")["mask001.tif"], read_masks(tmp_path / "filled")["mask001.tif"]
    assert np.array_equal(before == 2, after == 2)
    assert np.count_nonzero(after == 1) == 3


def test_fill_that_is_wholly_covered_is_a_gap(tmp_path):
    lineage, runs = build({1: (0, 2, 0), 2: (0, 2, 0)}, gaps={(1, 1)})
    hidden = runs.start[runs.frame(1)][:1]
    tracks = write_ctc(tmp_path / "01_RES", lineage, runs, fills=Runs([1], hidden, [2], [0, 0, 1, 1], runs.shape))
    assert as_table(tracks) == {1: (0, 0, 0), 2: (0, 2, 0), 3: (2, 2, 1)}
    assert find_errors(tmp_path / "01_RES") == []


def test_masks_are_what_the_challenge_wants(tmp_path):
    lineage, runs = build(DIVIDES)
    write_ctc(tmp_path / "01_RES", lineage, runs)
    masks = read_masks(tmp_path / "01_RES")
    assert list(masks) == [f"mask{t:03d}.tif" for t in range(8)]
    assert {mask.dtype for mask in masks.values()} == {np.dtype(np.uint16)}
    with tifffile.TiffFile(tmp_path / "01_RES" / "mask000.tif") as tiff:
        assert tiff.pages[0].compression == tifffile.COMPRESSION.ADOBE_DEFLATE
    assert {file.name for file in tmp_path.iterdir()} == {"01_RES"}


def test_more_than_999_frames_have_four_digits(tmp_path):
    lineage, runs = build({1: (0, 1000, 0)})
    write_ctc(tmp_path / "long", lineage, runs)
    names = list(read_masks(tmp_path / "long"))
    assert (names[0], names[-1], len(names)) == ("mask0000.tif", "mask1000.tif", 1001)
    assert find_errors(tmp_path / "long") == []
    with pytest.raises(OutputError, match="3 digits are too few for 1001 frames"):
        write_ctc(tmp_path / "short", lineage, runs, digits=3)
    assert not (tmp_path / "short").exists()


def test_digits_as_asked(tmp_path):
    lineage, runs = build({1: (0, 1, 0)})
    write_ctc(tmp_path / "01_RES", lineage, runs, digits=6)
    assert list(read_masks(tmp_path / "01_RES")) == ["mask000000.tif", "mask000001.tif"]


def make_single_cells(n, ids=None):
    """One frame with n cells of a pixel, each a track."""
    side = int(np.ceil(np.sqrt(n)))
    ids = np.arange(1, n + 1) if ids is None else ids
    cells = Cells(np.zeros(n), np.arange(1, n + 1), np.zeros((n, 2)), np.zeros((n, 0)), (), (), (1, 1), 1, (side, side))
    tracks = Tracks(ids, np.zeros(n), np.zeros(n), np.zeros(n))
    return Lineage(cells, ids, tracks, [], [], []), Runs(np.arange(n), np.arange(n), np.ones(n), [0, n], (side, side))


def test_tracks_beyond_16_bits(tmp_path):
    write_ctc(tmp_path / "most", *make_single_cells(65535))
    assert find_errors(tmp_path / "most") == []
    with pytest.raises(OutputError, match=r"65536 tracks do not fit .* GEFF"):
        write_ctc(tmp_path / "more", *make_single_cells(65536))
    assert not (tmp_path / "more").exists()


def test_ids_beyond_16_bits_are_renumbered(tmp_path):
    tracks = write_ctc(tmp_path / "01_RES", *make_single_cells(3, ids=np.array([5, 70000, 2_000_000_000])))
    assert tracks.id.tolist() == [1, 2, 3]
    assert read_masks(tmp_path / "01_RES")["mask000.tif"].tolist() == [[1, 2], [3, 0]]


def test_ids_that_a_split_pushes_beyond_16_bits_are_renumbered(tmp_path):
    lineage, runs = build({7: (0, 2, 0), 65535: (0, 2, 0)}, gaps={(7, 1)})
    assert as_table(write_ctc(tmp_path / "01_RES", lineage, runs)) == {1: (0, 0, 0), 2: (2, 2, 1), 3: (0, 2, 0)}
    assert find_errors(tmp_path / "01_RES") == []


@pytest.mark.parametrize(
    ("table", "n_frames"),
    [({}, 3), ({}, 1), ({1: (2, 2, 0)}, 4), ({1: (0, 0, 0)}, 1)],
    ids=["no cell", "no cell in one frame", "first and last frames empty", "one cell"],
)
@pytest.mark.parametrize("ndim", [2, 3])
def test_awkward_movies(tmp_path, table, n_frames, ndim):
    lineage, runs = build(table, n_frames=n_frames, ndim=ndim)
    write_ctc(tmp_path / "01_RES", lineage, runs)
    again, _ = read_ctc(tmp_path / "01_RES")
    assert as_table(again.tracks) == table
    assert again.cells.n_frames == n_frames
    assert find_errors(tmp_path / "01_RES") == []
    assert len(read_masks(tmp_path / "01_RES")) == n_frames


def test_one_plane_stays_3d(tmp_path):
    n = 1
    cells = Cells([0], [1], [[0, 1, 1]], np.zeros((n, 0)), (), (), (1, 1, 1), 1, (1, 4, 5))
    lineage = Lineage(cells, [1], Tracks([1], [0], [0], [0]), [], [], [])
    write_ctc(tmp_path / "01_RES", lineage, Runs([0], [6], [2], [0, 1], (1, 4, 5)))
    assert read_ctc(tmp_path / "01_RES")[0].cells.shape == (1, 4, 5)


def test_existing_output_is_refused(tmp_path):
    lineage, runs = build(DIVIDES)
    write_ctc(tmp_path / "01_RES", lineage, runs)
    with pytest.raises(OutputError, match="overwrite"):
        write_ctc(tmp_path / "01_RES", lineage, runs)
    shorter = build({1: (0, 1, 0)})
    write_ctc(tmp_path / "01_RES", *shorter, overwrite=True)
    assert len(read_masks(tmp_path / "01_RES")) == 2


def test_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def raise_full_disk(file, *args, **options):
        if file.name == "mask002.tif":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", raise_full_disk)
    with pytest.raises(OutputError, match="No space left"):
        write_ctc(tmp_path / "01_RES", *build(DIVIDES))
    assert list(tmp_path.iterdir()) == []


def test_parts_of_different_movies_are_refused(tmp_path):
    lineage, runs = build(DIVIDES)
    _, other = build({1: (0, 7, 0)})
    with pytest.raises(FormatError, match="same movie"):
        write_ctc(tmp_path / "01_RES", lineage, other)
    with pytest.raises(FormatError, match="fills name tracks"):
        write_ctc(tmp_path / "01_RES", lineage, runs, fills=Runs([9], [0], [1], [0, *[1] * 8], runs.shape))


def test_spacing_gives_micrometres(tmp_path):
    write_ctc(tmp_path / "01_RES", *build({1: (0, 1, 0)}))
    cells = read_ctc(tmp_path / "01_RES", spacing=(0.5, 2.0))[0].cells
    assert cells.unit == "um"
    assert cells.position.tolist() == [[0.5, 4.0], [0.5, 6.0]]
    assert cells.feature("size").tolist() == [9.0, 9.0]
    with pytest.raises(InputError, match="expected 2 positive sizes"):
        read_ctc(tmp_path / "01_RES", spacing=(1, 1, 1))


# ---------------------------------------------------------------- reading broken folders


@pytest.fixture
def folder(tmp_path):
    write_ctc(tmp_path / "01_RES", *build(DIVIDES))
    return tmp_path / "01_RES"


def test_reading_a_truth(folder, tmp_path):
    truth = tmp_path / "01_GT" / "TRA"
    truth.mkdir(parents=True)
    for name, mask in read_masks(folder).items():
        tifffile.imwrite(truth / name.replace("mask", "man_track"), mask)
    (truth / "man_track.txt").write_text((folder / "res_track.txt").read_text())
    assert as_table(read_ctc(tmp_path / "01_GT")[0].tracks) == DIVIDES
    assert as_table(read_ctc(truth)[0].tracks) == DIVIDES


def test_reading_refuses_what_is_broken(folder):
    (folder / "mask003.tif").unlink()
    with pytest.raises(FrameError, match="frame 3: its mask is missing"):
        read_ctc(folder)
    (folder / "mask003.tif").write_bytes(b"no TIFF at all")
    with pytest.raises(FrameError, match=r"mask003.tif, frame 3: it is not a TIFF"):
        read_ctc(folder)
    tifffile.imwrite(folder / "mask003.tif", np.zeros((4, 4), np.uint16))
    with pytest.raises(FrameError, match=r"frame 3: has shape \(4, 4\)"):
        read_ctc(folder)
    tifffile.imwrite(folder / "mask003.tif", np.zeros((16, 13), np.float32))
    with pytest.raises(FrameError, match="frame 3: holds float32"):
        read_ctc(folder)
    tifffile.imwrite(folder / "mask003.tif", np.full((16, 13), -1, np.int16))
    with pytest.raises(FrameError, match="frame 3: holds label -1"):
        read_ctc(folder)
    tifffile.imwrite(folder / "mask003.tif", np.zeros((16, 20, 3), np.uint8), photometric="rgb")
    with pytest.raises(FrameError, match="frame 3: holds 3 colours"):
        read_ctc(folder)


def test_truncated_mask(folder):
    whole = (folder / "mask003.tif").read_bytes()
    for size in (3, 100, len(whole) - 3):
        (folder / "mask003.tif").write_bytes(whole[:size])
        with pytest.raises(FrameError, match="frame 3"):
            read_ctc(folder)


def test_mask_that_lost_its_last_rows(folder):
    """The decoder takes zeros for rows that are packed on their own and lie beyond the end of the file."""
    file = folder / "mask003.tif"
    tifffile.imwrite(file, tifffile.imread(file), compression="zlib", rowsperstrip=4)
    with tifffile.TiffFile(file) as tiff:
        last = tiff.pages[0].dataoffsets[-1]
    file.write_bytes(file.read_bytes()[:last])
    with pytest.raises(FrameError, match=f"frame 3: .*the file has {last}"):
        read_ctc(folder)


@pytest.mark.parametrize("label", [0, 9])
def test_table_and_masks_must_agree(folder, label):
    mask = tifffile.imread(folder / "mask005.tif")
    tifffile.imwrite(folder / "mask005.tif", np.where(mask == 4, label, mask).astype(np.uint16))
    with pytest.raises(FormatError, match="gnntrack validate"):
        read_ctc(folder)


def test_missing_parts(tmp_path, folder):
    with pytest.raises(FormatError, match="no such folder"):
        read_ctc(tmp_path / "nowhere")
    (folder / "res_track.txt").unlink()
    with pytest.raises(FormatError, match=r"no res_track\.txt"):
        read_ctc(folder)


@pytest.mark.parametrize("available", [True, False])
@pytest.mark.parametrize(
    "values", [b"", b"cells" * 100, np.zeros((3, 4), np.uint16), np.array(1.5), np.arange(9)[::-1]]
)
def test_compressed_values_are_a_zlib_stream(values, available, monkeypatch):
    monkeypatch.setattr(imagecodecs.ZLIBNG, "available", available)
    values = values if isinstance(values, bytes) else np.ascontiguousarray(values)
    assert zlib.decompress(compress(values)) == bytes(values)
