"""Masks drawn in napari or cellpose, beside their images in one folder, as training data."""

from __future__ import annotations

import logging
import pickle

import numpy as np
import pytest
import tifffile
from PIL import Image

from gnntrack.errors import FrameError, InputError
from gnntrack.training.examples import find_examples

LABELS = np.zeros((12, 16), np.int32)
LABELS[2:5, 3:6], LABELS[8:11, 9:14] = 3, 7
GREY = np.arange(192, dtype=np.uint8).reshape(12, 16)


def save(file, pixels):
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.name.endswith("_seg.npy"):
        outlines = np.zeros_like(pixels)
        np.save(file, {"masks": pixels.astype(np.uint16), "outlines": outlines, "filename": "a.tif", "flows": [None]})
    elif file.suffix == ".npy":
        np.save(file, pixels)
    elif file.suffix == ".png":
        Image.fromarray(pixels.astype(np.uint8)).save(file)
    else:
        tifffile.imwrite(file, pixels)
    return file


def count_cells(example):
    return len(np.unique(example.read()[1])) - 1


@pytest.mark.parametrize(
    "name",
    [
        "a_labels.tif", "a_Labels.tif", "a-labels.tif", "a labels.tif", "a.labels.tif", "a Labels.tif",
        "Labels.tif", "labels.tif", "Labels [1].tif", "Labels1.tif", "mask.tif", "masks.png", "Annotation.tif",
        "a_cp_masks.png", "a_cp_masks.tif", "a_seg.npy",
    ],
)  # fmt: skip
def test_labels_under_the_names_of_napari_and_cellpose_are_found(tmp_path, name):
    save(tmp_path / "a.tif", GREY)
    save(tmp_path / name, LABELS)
    (found,) = find_examples([tmp_path])
    np.testing.assert_array_equal(found.read()[0], GREY)
    assert count_cells(found) == 2


def test_what_cellpose_writes_beside_its_masks_is_no_image(tmp_path, caplog):
    for stem in ("a", "b"):
        save(tmp_path / f"{stem}.tif", GREY)
        save(tmp_path / f"{stem}_seg.npy", LABELS)
        save(tmp_path / f"{stem}_cp_masks.png", LABELS == 3)  # an export before the last change
        save(tmp_path / f"{stem}_cp_output.png", GREY)
        save(tmp_path / f"{stem}_flows.tif", GREY)
        (tmp_path / f"{stem}_cp_outlines.txt").write_text("1,2")
    with caplog.at_level(logging.WARNING):
        found = find_examples([tmp_path])
    assert [each.labels_file.name for each in found] == ["a_seg.npy", "b_seg.npy"]
    assert [count_cells(each) for each in found] == [2, 2]
    assert not caplog.records


def test_a_folder_for_each_image_is_one_set_of_images(tmp_path):
    for number in range(3):
        save(tmp_path / f"cell{number}" / f"image{number}.tif", GREY)
        save(tmp_path / f"cell{number}" / "Labels.tif", LABELS)
    found = find_examples([tmp_path])
    assert len({each.name for each in found}) == 3
    assert {each.movie for each in found} == {tmp_path.name}


def test_images_without_masks_and_masks_without_images_are_named(tmp_path, caplog):
    for stem in ("a", "b", "c"):
        save(tmp_path / f"{stem}.tif", GREY)
    for stem in ("a", "d", "e"):
        save(tmp_path / f"{stem}_labels.tif", LABELS)
    with caplog.at_level(logging.WARNING):
        assert len(find_examples([tmp_path])) == 1
    assert "2 of 3 images without labels of the kind asked for, not used: b.tif, c.tif" in caplog.text
    assert "2 files of labels without an image of this name, not used: d_labels.tif, e_labels.tif" in caplog.text


def test_labels_that_may_belong_to_several_images_are_refused_with_the_name_to_give(tmp_path):
    for name in ("a.tif", "b.tif"):
        save(tmp_path / name, GREY)
    save(tmp_path / "Labels.tif", LABELS)
    with pytest.raises(InputError, match=r"Labels\.tif: it is not clear.*a_labels\.tif"):
        find_examples([tmp_path])


@pytest.mark.parametrize(
    ("content", "words"),
    [({"outlines": LABELS}, "no array 'masks'"), ({"masks": [1, 2]}, "no array 'masks'"), ([1], "no array 'masks'")],
)
def test_a_file_of_cellpose_without_masks_is_named(tmp_path, content, words):
    save(tmp_path / "a.tif", GREY)
    held = np.empty((), object)
    held[()] = content
    np.save(tmp_path / "a_seg.npy", held)
    (found,) = find_examples([tmp_path])
    with pytest.raises(FrameError, match=words):
        found.read()


class _Evil:
    def __reduce__(self):
        return (pickle.loads, (b"",))


def test_a_file_of_cellpose_with_code_is_refused(tmp_path):
    save(tmp_path / "a.tif", GREY)
    np.save(tmp_path / "a_seg.npy", {"masks": LABELS, "evil": _Evil()})
    (found,) = find_examples([tmp_path])
    with pytest.raises(FrameError, match="could execute code"):
        found.read()
