import contextlib
import io
import warnings

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from support.ctc_worlds import DIVIDES, build, draw_tables, read_masks

from gnntrack import track
from gnntrack.errors import FormatError
from gnntrack.io.ctc import write_ctc
from gnntrack.io.ctc_names import choose_digits
from gnntrack.io.ctc_validate import RULES, validate_ctc


def add_line(text):
    """Return a fault: the table with one more line."""
    return lambda folder: write_table((folder / "res_track.txt").read_text() + text + "\n")(folder)


def write_table(text):
    return lambda folder: (folder / "res_track.txt").write_text(text)


def change_mask(frame, change):
    def fault(folder):
        file = folder / f"mask{frame:03d}.tif"
        tifffile.imwrite(file, change(tifffile.imread(file)))

    return fault


def remove_file(label):
    return lambda pixels: np.where(pixels == label, 0, pixels).astype(pixels.dtype)


def with_label(label, dtype=np.uint16):
    def change(pixels):
        changed = pixels.astype(dtype)
        changed[..., -1, -1] = label
        return changed

    return change


def rename(old, new):
    return lambda folder: (folder / old).rename(folder / new)


def rename_all(pattern):
    def fault(folder):
        for t, file in enumerate(sorted(folder.glob("mask*.tif"))):
            file.rename(folder / pattern.format(t=t))

    return fault


def remove_masks(folder):
    for file in folder.glob("mask*.tif"):
        file.unlink()


def change_table(change):
    return lambda folder: write_table(change((folder / "res_track.txt").read_text()))(folder)


ENDLESS = ("beyond-movie", add_line(f"5 7 {10**17} 0"), None)
# DIVIDES has lines: 1 0 3 0 | 2 4 7 1 | 3 4 7 1 | 4 0 7 0
FAULTS = [
    ("no-track-table", lambda folder: (folder / "res_track.txt").unlink(), None),
    ("not-integer", add_line("5 0 1.5 0"), None),
    ("not-integer", add_line("5 0 1"), None),
    ("separator", change_table(lambda text: text + "\n"), None),
    ("separator", change_table(lambda text: "\n" + text), None),
    ("separator", change_table(lambda text: text.replace("\n", "\n\n", 1)), None),
    ("separator", change_table(lambda text: text + "  \t\n"), None),
    ("separator", change_table(lambda text: text + "\n \n\n"), None),
    ("separator", write_table("\n"), None),
    ("separator", change_table(lambda text: text.replace(" ", "\t", 3)), None),  # tabs in line 1, spaces below
    ("separator", write_table("1 0 3 0\n2\t4\t7\t1\n3 4 7 1\n4 0 7 0\n"), None),
    ("separator", write_table("1 0\t3 0\n2 4 7 1\n3 4 7 1\n4 0 7 0\n"), None),
    ("separator", write_table("1\t0\t3\t0 \n2\t4\t7\t1\n3\t4\t7\t1\n4\t0\t7\t0\n"), None),
    ("separator", write_table("1 0 3 0\n2 4 7 1\n3 4\N{NO-BREAK SPACE}7 1\n4 0 7 0\n"), None),
    ("id-range", add_line("70000 0 0 0"), None),
    ("id-range", add_line("0 0 0 0"), None),
    ("id-range", change_mask(5, with_label(70000, np.uint32)), 5),
    ("negative", add_line("5 -1 0 0"), None),
    ("negative", add_line("5 0 0 -1"), None),
    ("duplicate-id", add_line("4 0 7 0"), None),
    ("begin-after-end", add_line("5 6 2 0"), None),
    ("beyond-movie", add_line("5 7 8 0"), None),
    ENDLESS,
    ("unknown-parent", add_line("5 4 4 9"), None),
    ("self-parent", add_line("5 4 4 5"), None),
    ("parent-end", add_line("5 3 3 1"), None),
    ("single-child", write_table("1 0 3 0\n2 4 7 1\n3 4 7 0\n4 0 7 0\n"), None),
    ("empty-table", write_table(""), None),
    ("no-masks", remove_masks, None),
    ("stray-file", rename("mask007.tif", "t007.tif"), None),
    ("stray-file", rename("mask007.tif", "mask007.tiff"), None),
    ("stray-file", rename("mask007.tif", "mask0006.tif"), None),
    ("missing-frame", rename("mask000.tif", "mask008.tif"), 0),
    ("missing-frame", lambda folder: (folder / "mask003.tif").unlink(), 3),
    ("digits", rename_all("mask{t}.tif"), None),
    ("digits", rename_all("mask{t:06d}.tif"), None),
    ("digits", rename("mask003.tif", "mask0003.tif"), None),
    ("unreadable", lambda folder: (folder / "mask002.tif").write_bytes(b"II*\0"), 2),
    ("dtype", change_mask(1, lambda pixels: pixels.astype(np.uint8)), 1),
    ("dtype", change_mask(1, lambda pixels: pixels.astype(np.int16)), 1),
    ("dtype", change_mask(1, lambda pixels: pixels.astype(np.float32)), 1),
    ("shape", change_mask(6, lambda pixels: pixels[:, :-1]), 6),
    ("label-missing", change_mask(0, remove_file(1)), 0),
    ("label-missing", change_mask(2, remove_file(1)), 2),
    ("label-missing", change_mask(3, remove_file(1)), 3),
    ("label-missing", change_mask(7, remove_file(4)), 7),
    ("label-unknown", change_mask(0, with_label(9)), 0),
    ("label-unknown", change_mask(3, with_label(9)), 3),
    ("label-unknown", change_mask(7, with_label(9)), 7),
    ("label-outside", change_mask(0, with_label(2)), 0),
    ("label-outside", change_mask(4, with_label(1)), 4),
    ("label-outside", change_mask(7, with_label(1)), 7),
    ("empty-frame", change_mask(5, np.zeros_like), 5),
]
WARNINGS = {"single-child", "empty-table", "empty-frame"}


@pytest.fixture
def folder(tmp_path):
    write_ctc(tmp_path / "01_RES", *build(DIVIDES))
    return tmp_path / "01_RES"


def list_rules(problems):
    return {problem.rule for problem in problems}


def test_good_result_has_no_problem(folder):
    assert validate_ctc(folder) == []


@pytest.mark.parametrize(("rule", "fault", "frame"), FAULTS, ids=[f"{k}-{f[0]}" for k, f in enumerate(FAULTS)])
def test_each_fault_is_told(folder, rule, fault, frame):
    fault(folder)
    told = [problem for problem in validate_ctc(folder) if problem.rule == rule]
    assert told
    assert frame in {problem.frame for problem in told}
    assert all(problem.file.startswith(str(folder)) for problem in told)
    severe = {"error"} if rule not in WARNINGS else {"warning"}
    assert {problem.severity for problem in told} == severe or rule == "digits"


def test_every_rule_is_tested():
    assert {rule for rule, _, _ in FAULTS} | {"frame-count"} == set(RULES)


def test_faults_are_told_all_at_once(folder):
    add_line("5 0 1.5 0")(folder)
    add_line("70000 6 2 9")(folder)
    change_mask(0, remove_file(1))(folder)
    change_mask(3, with_label(9))(folder)
    change_mask(4, lambda pixels: pixels.astype(np.int32))(folder)
    change_mask(5, np.zeros_like)(folder)
    change_mask(6, lambda pixels: pixels[:-1])(folder)
    (folder / "mask007.tif").write_bytes(b"")
    assert list_rules(validate_ctc(folder)) == {
        "not-integer",
        "id-range",
        "begin-after-end",
        "unknown-parent",
        "label-missing",
        "label-unknown",
        "dtype",
        "empty-frame",
        "shape",
        "unreadable",
    }


def test_message_says_where_and_what(folder):
    change_mask(2, remove_file(1))(folder)
    (problem,) = validate_ctc(folder)
    expected = (
        f"error [label-missing] {folder / 'mask002.tif'}, frame 2: in the table for this frame, not in the mask: 1"
    )
    assert str(problem) == expected


def test_many_labels_are_counted_not_listed(folder):
    change_mask(0, lambda pixels: np.arange(100, 100 + pixels.size, dtype=np.uint16).reshape(pixels.shape))(folder)
    (unknown,) = [problem for problem in validate_ctc(folder) if problem.rule == "label-unknown"]
    assert unknown.message.endswith("100, 101, 102, 103, 104 and 203 more")


def test_images_tell_frames_shape_and_digits(folder, tmp_path):
    images = tmp_path / "01"
    images.mkdir()
    for name, pixels in read_masks(folder).items():
        tifffile.imwrite(images / name.replace("mask", "t"), pixels)
    assert validate_ctc(folder, images=images) == []
    tifffile.imwrite(images / "t008.tif", pixels)
    assert list_rules(validate_ctc(folder, images=images)) == {"frame-count"}
    (images / "t008.tif").unlink()
    for file in sorted(images.iterdir()):
        tifffile.imwrite(images / file.name.replace("t0", "t00"), np.zeros((5, 5), np.uint8))
        file.unlink()
    problems = validate_ctc(folder, images=images)
    assert list_rules(problems) == {"shape", "digits"}
    assert [problem.frame for problem in problems if problem.rule == "shape"] == list(range(8))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", " \n"),
        lambda text: text.replace(" ", "  "),
        lambda text: "  " + text.replace("\n", "\n "),
        lambda text: text.replace(" ", "\t"),
        lambda text: text.removesuffix("\n"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace(" ", " \t"),
    ],
)
def test_separators_that_every_program_reads_are_valid(folder, change):
    table = folder / "res_track.txt"
    table.write_bytes(change(table.read_text()).rstrip(" ").encode())
    assert validate_ctc(folder) == []
    assert run_py_ctcmetrics(folder) is True


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("t{:03d}.tif", "mask000.tif"),
        ("t{:04d}.tif", "mask0000.tif"),
        ("t{:02d}.tif", "mask000.tif"),
        ("t{:05d}_ch1.tif", "mask000.tif"),
        ("img_{:06d}.tif", "mask000.tif"),
        ("t{}.tif", "mask000.tif"),
        ("mask{:04d}.tif", "mask0000.tif"),
        ("t{:04d}_z.tiff", "mask000.tif"),
    ],
)
def test_tracked_masks_are_valid_whatever_the_names_of_the_images(tmp_path, images, masks):
    cell = np.zeros((24, 24), np.uint8)
    cell[5:12, 5:12] = 1
    for name, pixels in (("images", cell * 90 + 9), ("masks", cell)):
        (tmp_path / name).mkdir()
        for t in range(3):
            tifffile.imwrite(tmp_path / name / images.format(t), pixels)
    track(tmp_path / "images", tmp_path / "masks", out=tmp_path / "01_RES", pictures=False)
    assert (tmp_path / "01_RES" / masks).exists()
    assert validate_ctc(tmp_path / "01_RES", images=tmp_path / "images") == []


def test_a_thousand_images_have_the_digits_of_their_names():
    three = [f"01/t{frame:03d}.tif" for frame in range(1000)]
    assert choose_digits(three, 1000) == 3
    assert choose_digits([*three, "01/t1000.tif"], 1001) == 4
    assert choose_digits(["movie.tif"] * 1000, 1000) == 4
    assert choose_digits([f"img{frame:05d}.tif" for frame in range(1001)], 1001) == 4
    assert choose_digits(["t000.tif"] * 2000, 2000) == 4


def test_truth_and_movie_without_cells(folder, tmp_path):
    write_ctc(tmp_path / "02_RES", *build({}, n_frames=2))
    problems = validate_ctc(tmp_path / "02_RES")
    assert [(p.rule, p.severity, p.frame) for p in problems] == [
        ("empty-table", "warning", None),
        ("empty-frame", "warning", 0),
        ("empty-frame", "warning", 1),
    ]
    with pytest.raises(FormatError, match="no such folder"):
        validate_ctc(tmp_path / "03_RES")


def run_py_ctcmetrics(folder):
    """Return the result of py-ctcmetrics: valid, invalid, or None if it crashes."""
    from ctc_metrics.scripts.validate import validate_sequence

    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return bool(validate_sequence(str(folder), threads=1)["Valid"])
        except Exception:  # noqa: BLE001  it is its crashes that are caught
            return None


# a table of 10**17 frames makes py-ctcmetrics ask for that much memory
@pytest.mark.parametrize(("rule", "fault", "frame"), [f for f in FAULTS if f is not ENDLESS])
def test_what_py_ctcmetrics_refuses_is_an_error(folder, rule, fault, frame):
    assert run_py_ctcmetrics(folder) is True
    fault(folder)
    errors = [problem for problem in validate_ctc(folder) if problem.severity == "error"]
    if run_py_ctcmetrics(folder) is False or (run_py_ctcmetrics(folder) is None and rule != "empty-table"):
        assert errors
    if not errors and rule != "empty-table":
        assert run_py_ctcmetrics(folder) is True


@settings(max_examples=60, deadline=None)
@given(drawn=draw_tables(min_tracks=1), data=st.data())
def test_random_faults_are_judged_as_by_py_ctcmetrics(tmp_path_factory, drawn, data):
    rows, n_frames = drawn
    folder = tmp_path_factory.mktemp("ctc") / "01_RES"
    write_ctc(folder, *build(rows, n_frames=n_frames))
    changed = [[k, *rows[k]] for k in rows]
    for _ in range(data.draw(st.integers(0, 2))):
        row = data.draw(st.sampled_from(changed))
        column = data.draw(st.sampled_from([1, 2, 3]))
        row[column] = data.draw(st.sampled_from([*range(n_frames), *(rows if column == 3 else [])]))
    (folder / "res_track.txt").write_text("".join(" ".join(map(str, row)) + "\n" for row in changed))
    frame = data.draw(st.sampled_from([None, 0, n_frames // 2, n_frames - 1]))
    if frame is not None:
        change_mask(frame, remove_file(data.draw(st.sampled_from(sorted(rows)))))(folder)
    ours = not any(problem.severity == "error" for problem in validate_ctc(folder))
    theirs = run_py_ctcmetrics(folder)
    assert ours == (theirs is True)
