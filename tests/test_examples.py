"""Images with labels are found in every layout, read as they are, and split without leaks."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from gnntrack.errors import FrameError, InputError
from gnntrack.training.examples import Example, find_examples, split_examples

SHAPE = (12, 16)


def make_two_cells() -> np.ndarray:
    """Labels 3 and 7, which do not touch."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[1:5, 2:6] = 3
    labels[7:11, 9:15] = 7
    return labels


def make_one_cell() -> np.ndarray:
    return np.where(make_two_cells() == 3, 3, 0).astype(np.uint16)


def make_grey(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, SHAPE).astype(np.uint8)


def save(file: Path, pixels: np.ndarray, **options) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".tif":
        coloured = pixels.ndim == 3 and pixels.shape[-1] == 3
        tifffile.imwrite(file, pixels, photometric="rgb" if coloured else "minisblack", **options)
    elif file.suffix == ".npy":
        np.save(file, pixels)
    else:
        Image.fromarray(pixels).save(file, **options)
    return file


def write_sequence(movie: Path, *, frames=range(4), gold=(), silver=(), markers=True, planes=(), images=True) -> Path:
    """Write DATASET/NN; gold and silver map frames to labels, planes are (frame, plane)."""
    deep = bool(planes)
    for frame in frames:
        stack = np.stack([make_grey(10 * frame + z) for z in range(3)])
        if images:
            save(movie / f"t{frame:03d}.tif", stack if deep else stack[0])
        if markers:
            marks = np.zeros(SHAPE, np.uint16)
            marks[2:4, 3:5], marks[8:10, 11:13] = 1, 2
            file = movie.parent / f"{movie.name}_GT" / "TRA" / f"man_track{frame:03d}.tif"
            # a cell ends above the last plane, so that the markers of one plane are not those of another
            save(file, np.stack([marks, marks, marks * (marks == 1)]) if deep else marks)
    for kind, given in (("GT", gold), ("ST", silver)):
        for frame, labels in dict(given).items():
            save(movie.parent / f"{movie.name}_{kind}" / "SEG" / f"man_seg{frame:03d}.tif", labels)
    for frame, plane in planes:
        save(movie.parent / f"{movie.name}_GT" / "SEG" / f"man_seg_{frame:03d}_{plane:03d}.tif", make_two_cells())
    return movie


def write_pairs(folder: Path, *, count: int = 3) -> Path:
    for number in range(1, count + 1):
        save(folder / f"train_{number}.bmp", make_grey(number))
        save(folder / f"train_{number}_anno.bmp", make_two_cells().astype(np.uint8))
    return folder


def find_only(folder: Path, **options) -> Example:
    (example,) = find_examples([folder], **options)
    return example


def make_example(frame: int | None, movie: str = "A/01", plane: int | None = None, name: str = "") -> Example:
    name = name or f"{movie} frame {frame} plane {plane}"
    return Example(name, movie, frame, True, Path(name), Path(name), plane)


def list_frames(examples) -> list[int | None]:
    return [each.frame for each in examples]


# ---------------------------------------------------------------- the Cell Tracking Challenge


@pytest.mark.parametrize(
    ("place", "names"),
    [
        (".", ["A/01 frame 1", "A/02 frame 0", "B/01 frame 3"]),
        ("A", ["A/01 frame 1", "A/02 frame 0"]),
        ("A/02", ["A/02 frame 0"]),
        ("A/02_GT", ["A/02 frame 0"]),
        ("A/02_GT/SEG", ["A/02 frame 0"]),
        ("B/01_ST", ["B/01 frame 3"]),
    ],
)
def test_sequences_are_found_from_a_folder_of_any_level(tmp_path, place, names, monkeypatch):
    write_sequence(tmp_path / "A" / "01", gold={1: make_two_cells()})
    write_sequence(tmp_path / "A" / "02", gold={0: make_two_cells()})
    write_sequence(tmp_path / "B" / "01", silver={3: make_two_cells()})
    found = find_examples([tmp_path / place])
    assert [each.name for each in found] == names
    last = found[-1]
    assert last.movie == names[-1].split(" ")[0]
    assert last.image_file == tmp_path / last.movie / f"t{last.frame:03d}.tif"
    monkeypatch.chdir(tmp_path / place)
    assert find_examples(".") == found


def test_labels_and_image_are_what_the_files_hold(tmp_path):
    example = find_only(write_sequence(tmp_path / "A" / "01", gold={2: make_two_cells()}))
    image, labels = example.read()
    np.testing.assert_array_equal(image, make_grey(20))
    np.testing.assert_array_equal(labels, make_two_cells())
    assert labels.dtype == np.int32
    assert (example.frame, example.gold, example.plane) == (2, True, None)


def test_a_single_gold_label_of_the_challenge_is_one_cell_even_in_two_parts(tmp_path):
    labels = np.where(make_two_cells() > 0, 5, 0).astype(np.uint16)
    _, found = find_only(write_sequence(tmp_path / "A" / "01", gold={0: labels})).read()
    np.testing.assert_array_equal(found, labels)


def test_best_is_complete_gold_then_silver_then_what_gold_there_is(tmp_path):
    gold = {0: make_two_cells(), 1: make_one_cell(), 2: make_one_cell()}
    write_sequence(
        tmp_path / "A" / "01", gold=gold, silver={0: make_two_cells(), 1: make_two_cells(), 3: make_two_cells()}
    )

    def kinds(**options) -> list[tuple[int | None, bool]]:
        return [(each.frame, each.gold) for each in find_examples([tmp_path / "A"], **options)]

    assert kinds() == [(0, True), (1, False), (2, True), (3, False)]
    assert kinds(truth="gold") == [(0, True), (1, True), (2, True)]
    assert kinds(truth="silver") == [(0, False), (1, False), (3, False)]
    assert [each.complete() for each in find_examples([tmp_path / "A"])] == [True, True, False, True]


def test_gold_and_silver_given_apart_are_one_movie(tmp_path):
    write_sequence(
        tmp_path / "A" / "01",
        gold={0: make_one_cell(), 1: make_two_cells()},
        silver={0: make_two_cells(), 1: make_two_cells()},
    )
    found = find_examples([tmp_path / "A" / "01_GT", tmp_path / "A" / "01_ST"])
    assert [each.gold for each in found] == [False, True]
    assert found == find_examples([tmp_path / "A"])
    assert all(each.gold for each in find_examples([tmp_path / "A" / "01_GT"]))


@pytest.mark.parametrize(("covered", "complete"), [(2, True), (1, False), (0, False)])
def test_a_marker_counts_as_labelled_from_half_of_it_on(tmp_path, covered, complete):
    labels = make_two_cells()
    labels[8 + covered // 2 : 10, 11:13] = 0  # the marker is 2 x 2 pixels
    labels[8, 11 : 11 + covered] = 7
    labels[8, 11 + covered : 13] = 0
    example = find_only(write_sequence(tmp_path / "A" / "01", gold={0: labels}))
    assert example.complete() is complete


def test_markers_of_another_shape_are_refused(tmp_path):
    example = find_only(write_sequence(tmp_path / "A" / "01", gold={1: make_two_cells()}))
    save(example.markers_file, make_two_cells()[1:])
    with pytest.raises(FrameError, match=r"man_seg001\.tif, frame 1: .*\(12, 16\).*man_track001\.tif is \(11, 16\)"):
        example.complete()


def test_without_markers_labels_count_as_complete(tmp_path):
    assert find_only(write_sequence(tmp_path / "A" / "01", gold={0: make_one_cell()}, markers=False)).complete()
    assert find_only(write_pairs(tmp_path / "P", count=1)).complete()


def test_labels_of_planes_are_read_with_their_plane_of_the_stack(tmp_path):
    found = find_examples(write_sequence(tmp_path / "A" / "01", planes=[(1, 2), (1, 0), (3, 1)]))
    assert [each.name for each in found] == [f"A/01 frame {t} plane {z}" for t, z in ((1, 0), (1, 2), (3, 1))]
    assert [each.plane for each in found] == [0, 2, 1]
    image, labels = found[1].read()
    np.testing.assert_array_equal(image, make_grey(12))
    np.testing.assert_array_equal(labels, make_two_cells())
    assert all(each.complete() for each in found)
    save(found[1].labels_file, make_one_cell())
    assert [each.complete() for each in found] == [True, True, True]
    save(found[0].labels_file, make_one_cell())
    assert [each.complete() for each in found] == [False, True, True]


def test_gold_of_planes_yields_to_silver_of_stacks(tmp_path):
    stack = np.stack([make_two_cells()] * 3)
    movie = write_sequence(tmp_path / "A" / "01", planes=[(1, 2)], silver={0: stack, 1: stack})
    assert [(each.frame, each.plane, each.gold) for each in find_examples(movie)] == [
        (0, None, False),
        (1, None, False),
    ]
    assert [(each.frame, each.plane) for each in find_examples(movie, truth="gold")] == [(1, 2)]


def test_a_plane_that_the_stack_does_not_have_is_told(tmp_path):
    example = find_only(write_sequence(tmp_path / "A" / "01", planes=[(1, 5)]))
    with pytest.raises(FrameError, match=r"t001\.tif, frame 1: .*\(3, 12, 16\).*man_seg_001_005\.tif.*plane 5"):
        example.read()


def test_segmentations_that_are_no_truth_are_not_taken(tmp_path):
    write_sequence(tmp_path / "A" / "01", gold={0: make_two_cells()})
    for kind in ("01_ERR_SEG", "01_RES", "01_ST_HYBRID/SEG"):
        save(tmp_path / "A" / kind / "man_seg001.tif", make_two_cells())
    assert list_frames(find_examples(tmp_path / "A")) == [0]


@pytest.mark.parametrize(
    ("options", "truth", "told"),
    [
        ({"silver": {0: make_two_cells()}}, "gold", "silver only .* gold .* is asked for; take 'silver' or 'best'"),
        ({"gold": {0: make_two_cells()}}, "silver", "gold only, silver .* is asked for"),
        ({"gold": {0: make_two_cells()}}, "bronze", "'bronze'; expected 'best', 'gold' or 'silver'"),
        ({"gold": {0: make_two_cells()}, "images": False}, "best", "labels of A/01 but no images"),
        ({"gold": {9: make_two_cells()}}, "best", "no image of A/01 has labels"),
    ],
)
def test_sequences_without_what_is_asked_for_are_refused(tmp_path, options, truth, told):
    write_sequence(tmp_path / "A" / "01", **options)
    with pytest.raises(InputError, match=told):
        find_examples([tmp_path / "A"], truth=truth)


def test_images_without_labels_and_labels_without_images_are_counted(tmp_path, caplog):
    write_sequence(tmp_path / "A" / "01", gold={1: make_two_cells(), 9: make_two_cells()})
    with caplog.at_level(logging.WARNING):
        assert list_frames(find_examples([tmp_path / "A"])) == [1]
    assert "A/01: 1 label without an image" in caplog.text
    assert "A/01: 3 of 4 images without labels" in caplog.text


def test_names_are_unique_however_alike_the_folders_are(tmp_path):
    for place in ("lab/A/01", "clinic/A/01", "lab/B/01"):
        write_sequence(tmp_path / place, gold={0: make_two_cells()})
    write_pairs(tmp_path / "x" / "train", count=1)
    write_pairs(tmp_path / "y" / "train", count=1)
    given = [tmp_path / place for place in ("lab", "clinic", "x/train", "y/train", "lab/A", "lab/A/01_GT", "x/train")]
    assert [each.name for each in find_examples(given)] == [
        "B/01 frame 0",
        "clinic/A/01 frame 0",
        "lab/A/01 frame 0",
        "x/train train_1",
        "y/train train_1",
    ]


# ---------------------------------------------------------------- pairs


def test_pairs_side_by_side_come_in_natural_order(tmp_path, caplog):
    write_pairs(tmp_path / "Q", count=10)
    save(tmp_path / "Q" / "extra.bmp", make_grey())
    (tmp_path / "Q" / "Grade.csv").write_text("name, grade")
    with caplog.at_level(logging.WARNING):
        found = find_examples(str(tmp_path / "Q"))
    assert [each.name for each in found] == [f"Q train_{number}" for number in range(1, 11)]
    assert {(each.movie, each.frame, each.gold) for each in found} == {("Q", None, True)}
    assert "Q: 1 of 11 images without labels" in caplog.text
    image, labels = found[9].read()
    np.testing.assert_array_equal(image, make_grey(10))
    np.testing.assert_array_equal(labels, make_two_cells())


@pytest.mark.parametrize("ending", ["_anno", "_mask", "_masks", "_label", "_labels", "_seg", "_gt", "_Mask"])
@pytest.mark.parametrize("image", ["cell", "cell_img"])
def test_endings_of_labels_beside_their_image(tmp_path, ending, image):
    save(tmp_path / "P" / f"{image}.png", make_grey())
    save(tmp_path / "P" / f"cell{ending}.tif", make_two_cells())
    assert find_only(tmp_path / "P").labels_file.name == f"cell{ending}.tif"


@pytest.mark.parametrize("images", ["images", "image", "raw", "IMG"])
@pytest.mark.parametrize("labels", ["masks", "labels", "label", "Annotations", "gt", "mask"])
def test_images_and_labels_in_two_folders(tmp_path, images, labels):
    for stem in ("a", "b", "b_seg"):
        save(tmp_path / "P" / images / f"{stem}.png", make_grey())
    save(tmp_path / "P" / labels / "a_mask.png", make_two_cells())
    save(tmp_path / "P" / labels / "b.png", make_two_cells())
    save(tmp_path / "P" / labels / "b_seg.png", make_two_cells())
    found = find_examples([tmp_path / "P"])
    assert [each.name for each in found] == ["P a", "P b", "P b_seg"]
    assert [each.labels_file.name for each in found] == ["a_mask.png", "b.png", "b_seg.png"]


def test_folders_of_folders_of_pairs(tmp_path):
    write_pairs(tmp_path / "P" / "test", count=1)
    save(tmp_path / "P" / "train" / "images" / "a.png", make_grey())
    save(tmp_path / "P" / "train" / "masks" / "a.png", make_two_cells())
    assert [each.name for each in find_examples([tmp_path / "P"])] == ["test train_1", "train a"]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (["a.png", "a_mask.png", "a_gt.png"], r"a\.png: its labels may be .*a_mask\.png or .*a_gt\.png"),
        (["a.png", "a.bmp", "a_mask.png"], r"a_mask\.png: it may be the labels of .*a\.bmp or of .*a\.png"),
        (["images/a.png", "masks/a.png", "labels/a.png"], "several pairs of folders"),
    ],
)
def test_labels_that_may_be_either_are_refused(tmp_path, files, told):
    for file in files:
        save(tmp_path / file, make_one_cell().astype(np.uint8))
    with pytest.raises(InputError, match=told):
        find_examples([tmp_path])


def test_a_foreground_is_numbered_part_by_part(tmp_path):
    mask = np.where(make_two_cells() > 0, 255, 0).astype(np.uint8)
    mask[5, 6] = 255  # touches the first cell by its corner
    save(tmp_path / "a.png", make_grey())
    save(tmp_path / "a_mask.png", mask)
    _, labels = find_only(tmp_path).read()
    assert labels.dtype == np.int32
    assert len(np.unique(labels)) == 3
    assert labels[5, 6] == labels[2, 3] != labels[8, 10]
    np.testing.assert_array_equal(labels > 0, mask > 0)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".npy", ".pgm"])
def test_formats_of_image_and_labels(tmp_path, suffix):
    save(tmp_path / f"a{suffix}", make_grey())
    save(tmp_path / f"a_labels{suffix}", make_two_cells().astype(np.uint8))
    image, labels = find_only(tmp_path).read()
    np.testing.assert_array_equal(image, make_grey())
    np.testing.assert_array_equal(labels, make_two_cells())


def test_a_gif_keeps_its_cells_though_it_numbers_them_anew(tmp_path):
    save(tmp_path / "a.gif", make_grey())
    save(tmp_path / "a_mask.gif", make_two_cells().astype(np.uint8))
    image, labels = find_only(tmp_path).read()
    np.testing.assert_allclose(image, make_grey(), rtol=1e-5)
    np.testing.assert_array_equal(labels, np.select([make_two_cells() == 3, make_two_cells() == 7], [1, 2]))


def test_deep_pixels_and_stacks_keep_their_values(tmp_path):
    save(tmp_path / "a.png", make_grey().astype(np.uint16) * 200)
    save(tmp_path / "a_mask.png", make_two_cells() * 1000)
    save(tmp_path / "b.tif", np.stack([make_grey(1)] * 5))
    save(tmp_path / "b_mask.tif", np.stack([make_two_cells()] * 5))
    (image, labels), (stack, stacked) = (each.read() for each in find_examples(tmp_path))
    np.testing.assert_array_equal(image, make_grey().astype(np.uint16) * 200)
    np.testing.assert_array_equal(labels, make_two_cells().astype(int) * 1000)
    assert stack.shape == stacked.shape == (5, *SHAPE)


def test_images_of_a_foreign_byte_order_are_turned(tmp_path):
    save(tmp_path / "a.npy", make_grey().astype(">u2"))
    save(tmp_path / "a_mask.npy", make_two_cells())
    image, _ = find_only(tmp_path).read()
    assert image.dtype == np.dtype("=u2")
    np.testing.assert_array_equal(image, make_grey())


def test_images_of_four_axes_are_refused(tmp_path):
    for name in ("a", "a_mask"):
        save(tmp_path / f"{name}.npy", np.ones((2, 3, 4, 5), np.uint8))
    with pytest.raises(FrameError, match=r"\(2, 3, 4, 5\); expected \(Y, X\) or \(Z, Y, X\)"):
        find_only(tmp_path).read()


def test_opacity_palettes_and_jpeg_give_grey_values_too(tmp_path):
    same = np.stack([make_grey()] * 3 + [np.full(SHAPE, 255, np.uint8)], axis=-1)
    save(tmp_path / "a.png", same)
    save(tmp_path / "b.jpg", np.full((*SHAPE, 3), 90, np.uint8))
    paletted = Image.fromarray(make_one_cell().astype(np.uint8), mode=None).convert("P")
    paletted.putpalette([10, 10, 10] + [0, 0, 0] * 2 + [200, 200, 200])
    paletted.save(tmp_path / "c.png", transparency=b"\x10\x80\x20\x40")
    for stem in "abc":
        save(tmp_path / f"{stem}_mask.png", make_two_cells().astype(np.uint8))
    a, b, c = (each.read()[0] for each in find_examples(tmp_path))
    np.testing.assert_allclose(a, make_grey(), rtol=1e-5)
    np.testing.assert_allclose(b, 90, atol=2)
    np.testing.assert_allclose(c, np.where(make_one_cell(), 200, 10), rtol=1e-5)


def test_labels_in_grey_colours_are_taken_and_others_refused(tmp_path):
    labels = make_two_cells().astype(np.uint8)
    save(tmp_path / "a.png", make_grey())
    file = save(tmp_path / "a_mask.png", np.stack([labels] * 3 + [np.full(SHAPE, 255, np.uint8)], axis=-1))
    np.testing.assert_array_equal(find_only(tmp_path).read()[1], labels)
    save(file, np.stack([labels, labels, 0 * labels], axis=-1))
    with pytest.raises(FrameError, match=r"a_mask\.png: its labels are colours"):
        find_only(tmp_path).read()


def test_the_indices_of_a_palette_are_labels(tmp_path):
    save(tmp_path / "a.png", make_grey())
    picture = Image.fromarray(make_two_cells().astype(np.uint8)).convert("P")
    picture.putpalette([0, 0, 0] + [9, 99, 199] * 2 + [200, 0, 0] + [7, 8, 9] * 4)
    picture.save(tmp_path / "a_mask.png")
    np.testing.assert_array_equal(find_only(tmp_path).read()[1], make_two_cells())


def test_a_lossy_mask_is_a_foreground_or_refused(tmp_path):
    big = np.kron(make_two_cells() > 0, np.ones((8, 8))).astype(np.uint8)
    save(tmp_path / "a.png", np.zeros_like(big))
    save(tmp_path / "a_mask.jpg", big * 255, quality=90)
    _, labels = find_only(tmp_path).read()
    assert labels.max() == 2
    assert np.mean((labels > 0) != big) < 0.02
    save(tmp_path / "a_mask.jpg", big * 3)
    with pytest.raises(FrameError, match=r"a_mask\.jpg: lossy .* PNG or TIFF"):
        find_only(tmp_path).read()
    save(tmp_path / "a_mask.jpg", np.kron(make_grey(), np.ones((8, 8))).astype(np.uint8))
    with pytest.raises(FrameError, match="lossy"):
        find_only(tmp_path).read()


def test_shapes_that_differ_name_both_files(tmp_path):
    save(tmp_path / "a.png", make_grey())
    save(tmp_path / "a_mask.png", make_two_cells()[:-1])
    with pytest.raises(FrameError, match=r"a\.png: its shape is \(12, 16\), that of .*a_mask\.png is \(11, 16\)"):
        find_only(tmp_path).read()


@pytest.mark.parametrize(
    ("name", "pixels", "told"),
    [
        ("a_mask.npy", np.full(SHAPE, 0.5), "not whole numbers"),
        ("a_mask.npy", np.full(SHAPE, -1), "lowest label is -1"),
        ("a_mask.npy", np.full(SHAPE, -(2**40)), "lowest label is -1099511627776"),
    ],
)
def test_labels_that_are_none_are_refused(tmp_path, name, pixels, told):
    save(tmp_path / "a.png", make_grey())
    save(tmp_path / name, pixels)
    with pytest.raises(FrameError, match=rf"a_mask\.npy.*{told}"):
        find_only(tmp_path).read()


@pytest.mark.parametrize(
    ("suffix", "options"),
    [(".png", {}), (".tif", {}), (".tif", {"compression": "jpeg"}), (".npy", {})],
)
def test_a_damaged_file_is_named(tmp_path, suffix, options):
    colours = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    file = save(tmp_path / f"a{suffix}", colours, **options)
    save(tmp_path / "a_mask.png", np.eye(64, dtype=np.uint8))
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(FrameError, match=rf"a\{suffix}: .*(cannot be read|is damaged)"):
        find_only(tmp_path).read()


def test_an_animation_is_refused(tmp_path):
    first, second = (Image.fromarray(make_grey(seed)) for seed in (0, 1))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    save(tmp_path / "a_mask.png", make_two_cells())
    with pytest.raises(FrameError, match=r"a\.gif: it holds 2 images"):
        find_only(tmp_path).read()


# ---------------------------------------------------------------- a mask per cell


def write_nuclei(folder: Path, names: str = "abc") -> Path:
    for name in names:
        save(folder / name / "images" / f"{name}.png", np.stack([make_grey()] * 4, axis=-1))
        for number, label in enumerate((3, 7)):
            save(folder / name / "masks" / f"m{number}.png", (make_two_cells() == label).astype(np.uint8) * 255)
    return folder


@pytest.mark.parametrize("place", [".", "stage1"])
def test_masks_of_single_cells_become_labels(tmp_path, place, caplog):
    write_nuclei(tmp_path / "stage1")
    save(tmp_path / "stage1" / "d" / "images" / "d.png", make_grey())
    with caplog.at_level(logging.WARNING):
        found = find_examples([tmp_path / place])
    assert [each.name for each in found] == ["stage1 a", "stage1 b", "stage1 c"]
    assert {each.movie for each in found} == {"stage1"}
    assert "stage1: 1 of 4 images without labels" in caplog.text
    image, labels = found[0].read()
    np.testing.assert_allclose(image, make_grey(), rtol=1e-5)
    np.testing.assert_array_equal(labels, np.select([make_two_cells() == 3, make_two_cells() == 7], [1, 2]))


def test_single_images_of_the_science_bowl_belong_to_their_folder(tmp_path):
    write_nuclei(tmp_path / "stage1")
    one, other = tmp_path / "stage1" / "b", tmp_path / "stage1" / "a"
    assert [(each.name, each.movie) for each in find_examples([one, other])] == [
        ("stage1 b", "stage1"),
        ("stage1 a", "stage1"),
    ]
    assert len(find_examples([tmp_path / "stage1", one])) == 3


def test_one_file_of_labels_in_masks_is_not_the_mask_of_one_cell(tmp_path):
    save(tmp_path / "images" / "img0.png", make_grey())
    file = save(tmp_path / "masks" / "mask0.png", make_two_cells().astype(np.uint8))
    assert set(np.unique(find_only(tmp_path).read()[1])) == {0, 3, 7}
    save(file, (make_two_cells() > 0).astype(np.uint8) * 255)
    assert find_only(tmp_path).read()[1].max() == 2


def test_labels_of_several_cells_among_masks_of_one_cell_each_are_refused(tmp_path):
    home = write_nuclei(tmp_path / "train") / "a"
    save(home / "masks" / "all.png", make_two_cells().astype(np.uint8))
    with pytest.raises(FrameError, match=r"all\.png: it has 2 labels, .* keep one file of labels for an image"):
        find_only(home).read()
    soft = np.zeros(SHAPE, np.uint8)
    soft[2:6, 2:6], soft[3:5, 3:5] = 90, 255
    save(home / "masks" / "all.png", soft)
    assert (find_only(home).read()[1] > 0)[2:6, 2:6].all()


def test_masks_of_cells_that_differ_in_shape_are_refused(tmp_path):
    write_nuclei(tmp_path, "a")
    save(tmp_path / "a" / "masks" / "m9.png", np.ones((3, 3), np.uint8))
    with pytest.raises(FrameError, match=r"m9\.png: its shape is \(3, 3\), that of m0\.png is \(12, 16\)"):
        find_only(tmp_path).read()


# ---------------------------------------------------------------- nothing there


def test_folders_of_one_image_each_have_names_of_their_own_and_those_without_labels_are_named(tmp_path, caplog):
    for name in "xy":
        save(tmp_path / "data" / name / "a.tif", make_grey())
        save(tmp_path / "data" / name / "Labels.tif", make_two_cells())
    save(tmp_path / "data" / "z" / "a.tif", make_grey())
    with caplog.at_level(logging.WARNING):
        names = [example.name for example in find_examples(tmp_path / "data")]
    assert names == ["data x/a", "data y/a"]
    assert "data: 1 of 3 images without labels of the kind asked for, not used: z" in caplog.text


def test_files_of_cellpose_in_two_folders_are_neither_images_nor_labels(tmp_path, caplog):
    save(tmp_path / "images" / "a.tif", make_grey())
    save(tmp_path / "images" / "a_seg.npy", make_two_cells())
    save(tmp_path / "masks" / "a.tif", make_two_cells())
    save(tmp_path / "masks" / "a_cp_outlines.png", make_two_cells().astype(np.uint8))
    with caplog.at_level(logging.WARNING):
        assert find_only(tmp_path).labels_file.name == "a.tif"
    assert not caplog.records


def test_a_folder_without_any_pair_is_told_with_what_it_has(tmp_path):
    save(tmp_path / "P" / "a.png", make_grey())
    save(tmp_path / "P" / "b.png", make_grey())
    (tmp_path / "P" / "deep").mkdir()
    with pytest.raises(
        InputError, match=r"no images with labels .* 2 \.png files, folder deep; expected a CTC .*masks"
    ):
        find_examples([tmp_path / "P"])
    with pytest.raises(InputError, match="the folder does not exist"):
        find_examples([tmp_path / "Q"])


def test_pairs_are_gold(tmp_path):
    write_pairs(tmp_path / "P")
    assert len(find_examples([tmp_path / "P"], truth="gold")) == 3
    with pytest.raises(InputError, match="gold only"):
        find_examples([tmp_path / "P"], truth="silver")


# ---------------------------------------------------------------- splits


def test_the_last_frames_of_each_movie_are_for_validation():
    examples = [make_example(frame, movie) for frame in (9, 2, 5, 7, 0, 1, 3, 4, 6, 8) for movie in ("A/01", "A/02")]
    learnt, checks = split_examples(examples, held_out=0.2)
    assert Counter((each.movie, each.frame) for each in checks) == Counter(
        (movie, frame) for movie in ("A/01", "A/02") for frame in (8, 9)
    )
    assert learnt == [each for each in examples if each not in checks]


def test_every_movie_of_two_gives_one_to_each_and_one_of_one_is_learnt_from():
    examples = [
        make_example(3),
        make_example(4),
        make_example(0, "B/01"),
        make_example(None, "P", name="P b"),
        make_example(None, "P", name="P a"),
    ]
    for held_out in (0.01, 0.4, 0.99):
        learnt, checks = split_examples(examples, held_out=held_out)
        assert [each.movie for each in learnt] == ["A/01", "B/01", "P"]
        assert [each.movie for each in checks] == ["A/01", "P"]
        assert list_frames(checks)[0] == 4


def test_nothing_is_held_out_where_nothing_is_asked_for():
    examples = [make_example(0), make_example(1)]
    assert split_examples(examples, held_out=0) == (examples, [])
    for wrong in (-0.1, 1):
        with pytest.raises(InputError, match="held_out"):
            split_examples(examples, held_out=wrong)


def test_images_without_time_are_held_out_evenly_over_their_names():
    examples = [make_example(None, "P", name=f"P train_{number}") for number in (*range(10, 20), *range(10))]
    _, checks = split_examples(examples, held_out=0.2)
    numbers = sorted(int(each.name.split("_")[1]) for each in checks)
    assert len(numbers) == 4
    assert set(np.diff(numbers)) == {5}
    shuffled = [examples[i] for i in np.random.default_rng(0).permutation(20)]
    assert set(split_examples(shuffled, held_out=0.2)[1]) == set(checks)


def test_planes_of_a_frame_stay_together_unless_there_is_no_other_frame():
    examples = [make_example(frame, plane=plane) for frame in range(3) for plane in range(4)]
    learnt, checks = split_examples(examples, held_out=0.1)
    assert (set(list_frames(learnt)), list_frames(checks)) == ({0, 1}, [2] * 4)
    learnt, checks = split_examples(examples[:4], held_out=0.25)
    assert [each.plane for each in checks] == [3]


# ---------------------------------------------------------------- real movies


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "gold", "silver", "incomplete"),
    [
        ("Fluo-N2DH-GOWT1", 30, 0, 26),
        ("Fluo-C2DL-MSC", 18, 0, 8),
        ("BBBC050-mouse-embryo-3D", 75, 0, 0),
        ("Fluo-N2DL-HeLa", 0, 92, 31),
    ],
)
def test_real_movies(ctc_data, name, gold, silver, incomplete):
    found = find_examples([ctc_data / name])
    assert Counter(each.gold for each in found) == Counter({True: gold, False: silver})
    assert sum(not each.complete() for each in found) == incomplete
    image, labels = found[-1].read()
    assert image.shape == labels.shape
    assert labels.max() > 0
