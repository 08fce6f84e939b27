"""Masks against masks: counts of two label images, folders of them, and the command."""

from __future__ import annotations

import itertools
import json
import warnings

import imagecodecs
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from support.ctc_worlds import build, write_truth

from gnntrack.cli import cli
from gnntrack.errors import FormatError, FrameError, GnntrackWarning, InputError
from gnntrack.evaluate.counts import METRICS, THRESHOLDS, Counts, compare_labels
from gnntrack.evaluate.segmentation import evaluate_segmentation
from gnntrack.evaluate.tracking import evaluate_sequence
from gnntrack.io.ctc import write_ctc

PERFECT = dict.fromkeys(METRICS, 1.0)


def row(*cells, width=20):
    """A label image of one row: (label, first pixel, pixels) each."""
    image = np.zeros((1, width), np.uint16)
    for label, start, length in cells:
        image[0, start : start + length] = label
    return image


CELL = row((1, 0, 10))


def write(folder, **images):
    """Write label images; a name with two underscores, such as a__png, gives the suffix."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        stem, _, suffix = name.partition("__")
        if suffix == "png":
            (folder / f"{stem}.png").write_bytes(imagecodecs.png_encode(image))
        else:
            tifffile.imwrite(folder / f"{stem}.tif", image, photometric="minisblack")
    return folder


# ---------------------------------------------------------------- two label images


def by_hand(result, truth):
    """The metrics by their definitions, pixel by pixel; the matches by trying all."""
    found = [result == label for label in np.unique(result[result > 0])]
    cells = [truth == label for label in np.unique(truth[truth > 0])]
    a, b = result > 0, truth > 0
    iou = np.array([[(c & f).sum() / (c | f).sum() for f in found] for c in cells]).reshape(len(cells), len(found))
    covered = np.array([[2 * (c & f).sum() > c.sum() for f in found] for c in cells]).reshape(iou.shape)
    ap = []
    for threshold in THRESHOLDS:
        match = most_pairs(iou > threshold - 1e-9)
        ap.append(match / (len(cells) + len(found) - match) if cells or found else 1.0)
    best = most_pairs(iou > 0.5 - 1e-9)
    either, both = a.sum() + b.sum(), (a & b).sum()
    return {
        "Dice": 2 * both / either if either else 1.0,
        "IoU": both / (either - both) if either else 1.0,
        "SEG": (iou * covered).sum() / len(cells) if cells else None if found else 1.0,
        "AP(0.5)": ap[0],
        "AP(0.75)": ap[5],
        "AP(0.9)": ap[8],
        "AP(mean)": np.mean(ap),
        "F1(0.5)": 2 * best / (len(cells) + len(found)) if cells or found else 1.0,
    }


def most_pairs(allowed):
    """The most entries that share neither row nor column."""
    if allowed.shape[0] > allowed.shape[1]:
        allowed = allowed.T
    n, m = allowed.shape
    return max(
        (sum(allowed[i, j] for i, j in enumerate(order)) for order in itertools.permutations(range(m), n)), default=0
    )


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_metrics_are_those_of_their_definitions(data):
    shape = data.draw(st.sampled_from([(1, 8), (3, 4), (2, 2, 3)]))
    labels = st.sampled_from([0, 1, 2, 3, 9])
    result, truth = (data.draw(arrays.arrays(np.uint16, shape, elements=labels)) for _ in range(2))
    assert compare_labels(result, truth).scores() == pytest.approx(by_hand(result, truth))


@pytest.mark.parametrize("pixels", range(5, 11))
def test_a_cell_matches_from_the_threshold_on(pixels):
    counts = compare_labels(row((7, 0, pixels)), CELL)
    assert [counts.ap(t) for t in THRESHOLDS] == [float(10 * t <= pixels + 1e-9) for t in THRESHOLDS]


@pytest.mark.parametrize("flip", [False, True])
def test_of_two_halves_one_matches_whichever_side_they_are_on(flip):
    pair = row((1, 0, 5), (2, 5, 5)), CELL
    counts = compare_labels(*(pair[::-1] if flip else pair))
    assert counts.matched == (1,) + (0,) * 8
    assert counts.ap(0.5) == 0.5
    assert counts.f1 == pytest.approx(2 / 3)


def test_two_merged_cells_are_right_foreground_and_wrong_cells():
    counts = compare_labels(row((4, 0, 10)), row((1, 0, 6), (2, 6, 4)))
    assert counts.dice == counts.iou == 1
    assert counts.seg == pytest.approx((6 / 10 + 4 / 10) / 2)  # it covers both
    assert counts.ap(0.5) == 0.5


def test_an_image_without_cells_is_right_if_there_are_none():
    empty = np.zeros((4, 5), np.uint8)
    assert compare_labels(empty, empty).scores() == PERFECT
    assert compare_labels(np.zeros((0, 5), int), np.zeros((0, 5), int)).scores() == PERFECT
    cell = np.ones((4, 5), np.uint8)
    assert set(compare_labels(empty, cell).scores().values()) == {0.0}
    false = compare_labels(cell, empty).scores()
    assert false.pop("SEG") is None
    assert set(false.values()) == {0.0}


def test_cells_outside_the_field_of_interest_are_left_out_of_both():
    result, truth = np.zeros((2, 20, 30), int)
    result[8:12, 8:12] = truth[8:12, 8:12] = 3
    result[0:4, 10:14], truth[10:14, 26:30] = 4, 5  # within four pixels of the border
    result[15:20, 15:20] = truth[15:20, 15:20] = 6  # reaches into the field by a pixel
    counts = compare_labels(result, truth, margin=4)
    assert (counts.result_cells, counts.truth_cells, counts.dice, counts.seg) == (2, 2, 1, 1)
    assert compare_labels(result, truth).f1 < 1
    assert compare_labels(result, truth, margin=3) == compare_labels(result, truth)
    with pytest.raises(FrameError, match="a margin of 10 pixels leaves nothing of its shape"):
        compare_labels(result, truth, margin=10)


def test_the_margin_applies_to_files_and_is_reported(tmp_path):
    far = np.zeros((20, 30), np.uint8)
    far[8:12, 8:12] = 1
    near = far.copy()
    near[:3, :3] = 2
    result, truth = write(tmp_path / "result", a=near), write(tmp_path / "truth", a=far)
    printed = json.loads(run(result, truth, "--json", "--margin", "4").output)
    assert (printed["margin"], printed["total"]["Dice"]) == (4, 1)
    assert json.loads(run(result, truth, "--json").output)["total"]["Dice"] < 1


def test_a_partial_truth_leaves_out_cells_that_touch_none_of_its_own():
    truth = row((1, 0, 4))
    result = row((1, 0, 3), (2, 3, 3), (3, 10, 5))  # 2 touches by a pixel, 3 does not
    whole, part = compare_labels(result, truth), compare_labels(result, truth, partial=True)
    assert (whole.result_cells, part.result_cells) == (3, 2)
    assert whole.lone_cells == part.lone_cells == 1
    assert (whole.ap(0.75), part.ap(0.75)) == (1 / 3, 1 / 2)
    assert (whole.dice, part.dice) == (8 / 15, 8 / 10)
    assert whole.seg == part.seg == 0.75
    assert compare_labels(result, 0 * truth, partial=True).scores() == PERFECT


def test_labels_may_be_any_whole_numbers():
    result, truth = row((1, 0, 4), (2, 6, 3), (3, 12, 5)), row((1, 0, 5), (2, 5, 4), (3, 12, 5))
    expected = compare_labels(result, truth)
    names = np.array([0, 2**40, 5, 2**32 + 5])
    for other in (names[result], names[result].astype(np.uint64), result.astype(float), result.astype(">i4")):
        assert compare_labels(other, truth) == expected
        assert compare_labels(truth, other) == compare_labels(truth, result)
    full = np.array([[2**40, 7, 7]])  # no background: nothing may become it
    assert compare_labels(full, full).truth_cells == 2
    assert compare_labels(result > 0, truth > 0).result_cells == 1


def test_counts_of_images_add_up():
    good, bad = compare_labels(CELL, CELL), compare_labels(row((1, 0, 4), (2, 15, 2)), CELL)
    beside = compare_labels(np.hstack([CELL, row((3, 0, 4), (2, 15, 2))]), np.hstack([CELL, 2 * CELL]))
    assert good + bad == beside
    assert sum([good, bad], Counts()) == beside


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((1, 19), int), r"result has shape \(1, 19\), the truth \(1, 20\)"),
        (-CELL.astype(int), "lowest label is -1"),
        (CELL / 2, "not whole numbers"),
        (np.zeros(20), r"shape is \(20,\)"),
    ],
)
def test_what_cannot_be_compared_is_refused(wrong, message):
    with pytest.raises(FrameError, match=message):
        compare_labels(wrong, CELL)


def test_a_threshold_that_is_not_counted_is_refused():
    with pytest.raises(InputError, match=r"threshold 0\.95; .*0\.9"):
        compare_labels(CELL, CELL).ap(0.95)


# ---------------------------------------------------------------- folders


def test_total_counts_cells_together_and_the_mean_gives_each_image_a_vote(tmp_path):
    one, many = CELL, row((1, 0, 3), (2, 4, 3), (3, 8, 3))
    truth = write(tmp_path / "truth", a=one, b=many, c=0 * one)
    report = evaluate_segmentation(write(tmp_path / "result", a=0 * one, b=many, c=0 * one), truth)
    assert [image.truth.name for image in report.images] == ["a.tif", "b.tif", "c.tif"]
    assert [image.result.name for image in report.images] == ["a.tif", "b.tif", "c.tif"]
    assert (report.total.seg, report.mean["SEG"]) == (3 / 4, 2 / 3)
    assert (report.total.ap(0.5), report.mean["AP(0.5)"]) == (3 / 4, 2 / 3)
    assert report.total.iou == 9 / 19


def test_the_mean_leaves_out_images_without_the_metric(tmp_path):
    truth = write(tmp_path / "truth", a=CELL, b=0 * CELL)
    report = evaluate_segmentation(write(tmp_path / "result", a=CELL, b=CELL), truth)
    assert (report.mean["SEG"], report.mean["Dice"]) == (1, 0.5)
    only = evaluate_segmentation(tmp_path / "result" / "b.tif", truth)
    assert only.mean["SEG"] is None


@pytest.mark.parametrize("ndim", [2, 3])
def test_seg_is_that_of_evaluate(tmp_path, ndim):
    table = {1: (0, 2, 0), 2: (0, 2, 0), 3: (1, 2, 0)}
    lineage, runs = build(table, ndim=ndim)
    truth = write_truth(lineage, runs, tmp_path / "01_GT")
    write_ctc(tmp_path / "01_RES", lineage, runs)
    rng = np.random.default_rng(0)
    for file in sorted((truth / "SEG").glob("*.tif")):
        mask = tifffile.imread(file)
        tifffile.imwrite(file, mask * (rng.random(mask.shape) < 0.7).astype(mask.dtype))
    (truth / "SEG" / "man_seg001.tif").unlink()  # not all frames have gold masks
    if ndim == 3:
        stack = tifffile.imread(truth / "SEG" / "man_seg002.tif")
        (truth / "SEG" / "man_seg002.tif").unlink()
        for plane in (0, 1):
            tifffile.imwrite(truth / "SEG" / f"man_seg_002_{plane:03d}.tif", stack[plane])
    report = evaluate_segmentation(tmp_path / "01_RES", truth)
    assert len(report.images) == ndim
    seg = evaluate_sequence(tmp_path / "01_RES", truth)["SEG"]
    assert 0 < seg < 1
    assert report.total.seg == pytest.approx(seg, abs=1e-12)
    assert evaluate_segmentation(tmp_path / "01_RES", truth / "SEG") == report


def test_a_plane_of_truth_is_compared_with_that_plane(tmp_path):
    stack = np.stack([row((1, 0, 5)), row((1, 3, 9)), row((2, 9, 4))])
    result = write(tmp_path / "01_RES", mask004=stack)
    truth = write(tmp_path / "01_GT" / "SEG", man_seg_004_001=stack[1], man_seg_004_002=stack[2])
    assert evaluate_segmentation(result, truth.parent).total.scores() == PERFECT
    assert evaluate_segmentation(result, truth / "man_seg_004_002.tif").total.truth_cells == 1
    write(truth, man_seg_004_003=stack[2])
    with pytest.raises(FrameError, match=r"mask004.tif, frame 4: has shape \(3, 1, 20\); the truth .* is plane 3"):
        evaluate_segmentation(result, truth)


def test_frames_go_by_number_whatever_their_digits(tmp_path):
    images = [row((1, 0, n)) for n in (3, 5, 7)]
    result = write(tmp_path / "01_RES", mask0009=images[0], mask0010=images[1], mask1000=images[2])
    truth = write(tmp_path / "01_ST" / "SEG", man_seg009=images[0], man_seg010=images[1], man_seg1000=images[2])
    report = evaluate_segmentation(result, truth.parent)
    assert report.total.scores() == PERFECT
    assert [image.counts.truth_pixels for image in report.images] == [3, 5, 7]


def test_files_of_other_names_go_together_by_name(tmp_path):
    result = write(tmp_path / "result", cell_1=CELL, cell_2__png=CELL, unused=0 * CELL)
    truth = write(tmp_path / "truth", cell_1__png=CELL.astype(np.uint8), cell_2=CELL > 0)
    report = evaluate_segmentation(result, truth)
    assert report.total.scores() == PERFECT
    assert len(report.images) == 2


def test_single_files_whatever_their_names(tmp_path):
    result = write(tmp_path / "result", mask007__png=CELL, mask008=0 * CELL)
    truth = write(tmp_path / "truth", other=CELL, man_seg008=CELL)
    assert evaluate_segmentation(result / "mask007.png", truth / "other.tif").total.dice == 1
    assert evaluate_segmentation(result / "mask007.png", truth / "man_seg008.tif").total.dice == 1
    assert evaluate_segmentation(result / "mask008.tif", truth).total.dice == 0
    with pytest.raises(FormatError, match=r"no truth for mask007\.png"):
        evaluate_segmentation(result / "mask007.png", truth)


def test_a_frame_of_the_truth_without_mask_is_named(tmp_path):
    result, truth = write(tmp_path / "01_RES", mask003=CELL), write(tmp_path / "SEG", man_seg003=CELL, man_seg012=CELL)
    with pytest.raises(
        FrameError, match=r"01_RES, frame 12: no mask .*man_seg012\.tif; expected mask012\.tif.*segment all frames"
    ) as error:
        evaluate_segmentation(result, truth)
    assert error.value.frame == 12
    with pytest.raises(FrameError, match=r"01_RES: no mask for the truth .*; expected a\.tif"):
        evaluate_segmentation(result, write(tmp_path / "named", a=CELL))


def test_shapes_that_differ_are_refused_with_the_files(tmp_path):
    truth = write(tmp_path / "SEG", man_seg003=CELL.T)
    with pytest.raises(
        FrameError,
        match=r"mask003.tif, frame 3: has shape \(1, 20\), the truth .*SEG.man_seg003.tif \(20, 1\); .*one shape",
    ):
        evaluate_segmentation(write(tmp_path / "01_RES", mask003=CELL), truth)


def test_what_is_no_folder_of_label_images_is_refused(tmp_path):
    result = write(tmp_path / "01_RES", mask000=CELL)
    write(tmp_path / "01_GT" / "TRA", man_track000=CELL)
    (tmp_path / "empty").mkdir()
    for truth, message in {
        "nothing": "no such file or folder",
        "empty": "no label images",
        "01_GT": r"no folder SEG .* give .*TRA",
    }.items():
        with pytest.raises(FormatError, match=message):
            evaluate_segmentation(result, tmp_path / truth)
    assert evaluate_segmentation(result, tmp_path / "01_GT" / "TRA").total.dice == 1
    write(result, mask0=CELL)
    with pytest.raises(FormatError, match=r"both mask0\.tif and mask000\.tif"):
        evaluate_segmentation(result, tmp_path / "01_GT" / "TRA")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (imagecodecs.png_encode(np.zeros((4, 5, 3), np.uint8)), r"a\.png: holds 3 colours a pixel"),
        (b"no image", r"a\.png: it cannot be read"),
    ],
)
def test_a_png_without_labels_is_refused(tmp_path, broken, message):
    (tmp_path / "a.png").write_bytes(broken)
    with pytest.raises(FrameError, match=message):
        evaluate_segmentation(tmp_path / "a.png", write(tmp_path / "truth", a=CELL))


def test_progress_is_called_for_each_frame(tmp_path):
    folder = write(tmp_path / "masks", a=CELL, b=CELL, c=CELL)
    printed = []
    evaluate_segmentation(folder, folder, progress=lambda *news: printed.append(news))
    assert printed == [("compare", 1, 3), ("compare", 2, 3), ("compare", 3, 3)]


# ---------------------------------------------------------------- the command


def run(*arguments):
    return CliRunner().invoke(cli, ["evaluate-segmentation", *map(str, arguments)])


def test_the_command_shows_numbers_and_metrics(tmp_path):
    truth = write(tmp_path / "truth", a=CELL, b=0 * CELL)
    result = write(tmp_path / "result", a=row((5, 0, 8)), b=row((5, 15, 2)))
    shown = run(result, truth)
    assert shown.exit_code == 0, shown.output
    lines = {line.split()[0]: line.split()[1:] for line in shown.output.splitlines()}
    assert lines["images"] == ["2"]
    assert lines["cells"] == ["1", "in", "the", "truth,", "2", "in", "the", "result"]
    assert "1 of the result touch none of the truth, counted as false" in shown.output
    assert lines["SEG"] == ["0.800000", "0.800000"]
    assert lines["AP(0.5)"] == ["0.500000", "0.500000"]
    assert lines["Dice"] == ["0.800000", f"{8 / 18:.6f}"]
    partial = run(result, truth, "--partial").output
    assert "touch none of the truth, ignored" in partial
    assert f"AP(0.5)   {1:.6f}" in partial


def test_the_command_prints_json(tmp_path):
    truth = write(tmp_path / "truth", a=CELL, b=0 * CELL)
    printed = json.loads(run(write(tmp_path / "result", a=CELL, b=CELL), truth, "--json", "--partial").output)
    counts = {"truth_cells": 1, "result_cells": 1, "lone_cells": 1}
    assert printed["partial"] is True
    assert printed["total"] == {**counts, **PERFECT}
    assert printed["mean"] == PERFECT
    files = {"truth": str(truth / "a.tif"), "result": str(tmp_path / "result" / "a.tif")}
    assert printed["images"][0] == {**files, **counts, "lone_cells": 0, **PERFECT}
    assert printed["images"][1]["lone_cells"] == 1


def test_the_command_refuses_with_a_sentence_and_code_2(tmp_path):
    refused = run(write(tmp_path / "01_RES", mask000=CELL), tmp_path / "01_GT")
    assert refused.exit_code == 2
    assert "01_GT: no such file or folder" in refused.output


# ---------------------------------------------------------------- real movies


@pytest.mark.data
def test_seg_of_a_real_result_is_the_official_one(ctc_data):
    folder = ctc_data / "PhC-C2DL-PSC"
    report = evaluate_segmentation(folder / "01_RES", folder / "01_ST")
    assert round(report.total.seg, 6) == 0.502177


@pytest.mark.data
def test_seg_of_gold_masks_is_that_of_evaluate(ctc_data):
    folder = ctc_data / "ctc-official-evaluation"
    report = evaluate_segmentation(folder / "03_RES", folder / "03_GT")
    assert report.total.seg == pytest.approx(evaluate_sequence(folder / "03_RES", folder / "03_GT")["SEG"], abs=1e-12)


@pytest.mark.data
def test_gold_masks_of_some_cells_need_partial(ctc_data):
    pair = ctc_data / "Fluo-N2DL-HeLa" / "01_ERR_SEG", ctc_data / "Fluo-N2DL-HeLa" / "01_GT"
    whole, part = evaluate_segmentation(*pair).total, evaluate_segmentation(*pair, partial=True).total
    assert whole.truth_cells == part.truth_cells == 491
    assert whole.seg == part.seg
    assert whole.ap(0.5) < 0.2 < 0.9 < part.ap(0.5)


# ---------------------------------------------------------------- images in the place of masks


def make_grey_images():
    rng = np.random.default_rng(0)
    smooth = (np.add.outer(np.arange(64), np.arange(64)) + rng.integers(0, 6, (64, 64))).astype(np.uint8)
    return {
        "noise": rng.integers(0, 200, (64, 64)).astype(np.uint8),
        "dark": rng.poisson(3, (64, 64)).astype(np.uint16),
        "smooth": smooth,
        "bright": rng.normal(900, 40, (64, 64)).astype(np.uint16),
        "volume": rng.integers(0, 99, (2, 32, 32)).astype(np.uint16),
    }


@pytest.mark.parametrize("name", make_grey_images())
@pytest.mark.parametrize("suffix", ["", "__png"])
def test_images_in_the_place_of_masks_are_refused(tmp_path, name, suffix):
    image = make_grey_images()[name]
    masks = np.zeros(image.shape, np.uint8)
    masks[..., 4:12, 4:12], masks[..., 20:28, 3:9] = 1, 2
    if image.ndim == 3 and suffix:
        pytest.skip("a PNG holds no stack")
    label_images = write(tmp_path / "masks", **{f"a{suffix}": masks, f"b{suffix}": masks})
    images = write(tmp_path / "images", **{f"a{suffix}": image, f"b{suffix}": image})
    mixed = write(tmp_path / "mixed", **{f"a{suffix}": masks, f"b{suffix}": image})
    for pair in ((images, label_images), (label_images, images), (images, images), (label_images, mixed)):
        with pytest.raises(FrameError, match=r"an image of grey values .* RESULT TRUTH"):
            evaluate_segmentation(*pair)
    assert evaluate_segmentation(label_images, label_images).total.seg == 1


# ---------------------------------------------------------------- binary masks


def make_labels():
    """Twelve square cells."""
    labels = np.zeros((64, 64), np.uint16)
    for number in range(12):
        y, x = 4 + 16 * (number // 4), 3 + 16 * (number % 4)
        labels[y : y + 8, x : x + 9] = number + 1
    return labels


BINARY = {
    "of 1": lambda labels: (labels > 0).astype(np.uint8),
    "of 255": lambda labels: (255 * (labels > 0)).astype(np.uint8),
    "inverted": lambda labels: np.where(labels > 0, 2, 1).astype(np.uint8),
    "of 16 bits": lambda labels: (700 * (labels > 0)).astype(np.uint16),
    "two pieces": lambda labels: np.isin(labels, [1, 2]).astype(np.uint8),
    "in 3D": lambda labels: np.stack([labels > 0] * 2).astype(np.uint8),
}


@pytest.mark.parametrize("kind", BINARY)
@pytest.mark.parametrize("swap", [False, True])
def test_binary_masks_are_reported_and_split(tmp_path, kind, swap):
    labels, binary = make_labels(), BINARY[kind](make_labels())
    if binary.ndim == 3:
        labels = np.stack([labels] * 2)
    if kind == "two pieces":
        labels = np.where(labels > 2, 0, labels)
    pair = write(tmp_path / "labels", a=labels), write(tmp_path / "binary", a=binary)
    result, truth = pair if swap else pair[::-1]
    role = "ground truth" if swap else "result"
    with pytest.warns(GnntrackWarning, match=rf"binary.a.tif: the {role} is a binary mask, .*--fragments split"):
        report = evaluate_segmentation(result, truth)
    assert report.total.mean_ap < 0.5
    split = evaluate_segmentation(result, truth, fragments="split")
    assert split.total.scores() == PERFECT
    assert "Dice" in run(result, truth, "--fragments", "split").output


def test_two_binary_masks_are_both_reported(tmp_path):
    pair = write(tmp_path / "a", a=make_labels() > 0), write(tmp_path / "b", a=BINARY["of 255"](make_labels()))
    shown = run(*pair)
    assert "a/a.tif: the result is a binary mask, one value in 12 pieces" in shown.stderr
    assert "b/a.tif: the ground truth is a binary mask, one value in 12 pieces" in shown.stderr
    assert "(1 of 1 image)" in shown.stderr


@pytest.mark.parametrize("cells", [[], [1], [1, 5]])
def test_images_of_few_cells_are_not_binary(tmp_path, cells):
    one = np.where(np.isin(make_labels(), cells), make_labels(), 0)
    pieces = one.copy()
    pieces[pieces == 1] *= (np.indices(one.shape)[1][pieces == 1] != 7).astype(np.uint16)  # a cell in two pieces
    pair = write(tmp_path / "a", a=one), write(tmp_path / "b", a=pieces)
    with warnings.catch_warnings(action="error"):
        evaluate_segmentation(*pair)


@pytest.mark.parametrize("value", ["largest", "", None, True, 1])
def test_an_unknown_treatment_of_fragments_is_refused(tmp_path, value):
    folder = write(tmp_path / "a", a=CELL)
    with pytest.raises(InputError, match="expected 'keep' or 'split'"):
        evaluate_segmentation(folder, folder, fragments=value)


def test_a_truth_without_cells_is_why_seg_is_not_defined(tmp_path):
    shown = run(write(tmp_path / "a", a=CELL), write(tmp_path / "b", a=0 * CELL))
    assert "- SEG is not defined: the truth has no cell" in shown.stdout
