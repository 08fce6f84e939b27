"""Sequences with ground truth are found from any folder above them, with their masks."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from support.movies import dividing_masks, images_of, write_folder, write_truth

from gnntrack.errors import InputError
from gnntrack.training.sequences import find_sequences

MASKS = dividing_masks()


def write_sequence(dataset: Path, number: str = "01", *, masks: tuple[str, ...] = ("ERR_SEG",), images: bool = True):
    write_truth(dataset / f"{number}_GT")
    for kind in masks:
        write_folder(dataset / f"{number}_{kind}", MASKS, prefix="mask")
    if images:
        write_folder(dataset / number, images_of(MASKS))
    return dataset


@pytest.fixture
def data(tmp_path):
    """Two data sets, one of two sequences."""
    for dataset, number in (("A", "01"), ("A", "02"), ("B", "01")):
        write_sequence(tmp_path / dataset, number)
    return tmp_path


@pytest.mark.parametrize(
    ("place", "names"),
    [
        (".", ["A 01", "A 02", "B 01"]),
        ("A", ["A 01", "A 02"]),
        ("A/02_GT", ["A 02"]),
        ("A/02_GT/TRA", ["A 02"]),
    ],
)
def test_a_folder_of_any_level(data, place, names, monkeypatch):
    found = find_sequences(data / place)
    assert [each.name for each in found] == names
    last = found[-1]
    home = data / last.dataset
    assert last.masks == home / f"{last.number}_ERR_SEG"
    assert last.images == home / last.number
    assert last.truth == home / f"{last.number}_GT" / "TRA"
    # the same from inside, and from a folder beside
    monkeypatch.chdir(data / place)
    assert find_sequences(".") == found
    monkeypatch.chdir(data / "B")
    assert find_sequences(Path("..") / place) == found


@pytest.mark.parametrize(
    ("kinds", "first"),
    [
        (("ST/SEG", "ERR_SEG"), "ERR_SEG"),
        (("ST/SEG", "ST_HYBRID"), "ST_HYBRID"),
        (("ST/SEG", "GT/SEG"), "ST/SEG"),
        (("GT/SEG",), "GT/SEG"),
        ((), "GT/TRA"),
    ],
)
def test_which_masks_are_taken(tmp_path, kinds, first):
    (sequence,) = find_sequences(write_sequence(tmp_path / "A", masks=kinds))
    assert sequence.masks == tmp_path / "A" / f"01_{first}"


def test_masks_that_are_not_complete_are_passed_over(tmp_path):
    dataset = write_sequence(tmp_path / "A", masks=("ERR_SEG", "ST/SEG"))
    (dataset / "01_ERR_SEG" / "mask003.tif").unlink()
    (sequence,) = find_sequences(dataset)
    assert sequence.masks == dataset / "01_ST" / "SEG"


def test_images_may_be_missing(tmp_path):
    dataset = write_sequence(tmp_path / "A", images=False)
    assert find_sequences(dataset)[0].images is None


def collect_warnings(data: Path, caplog) -> list[str]:
    with caplog.at_level(logging.WARNING, "gnntrack"):
        find_sequences(data)
    return caplog.messages


def test_images_that_are_not_complete_are_left_out_aloud(tmp_path, caplog):
    dataset = write_sequence(tmp_path / "A")
    (dataset / "01" / "t003.tif").unlink()
    assert find_sequences(dataset)[0].images is None
    caplog.clear()
    (told,) = collect_warnings(dataset, caplog)
    told_of = "5 images for the 6 frames of the truth, not used; give one for every frame"
    assert told.startswith(f"{dataset / '01'}: {told_of}")


def test_markers_in_place_of_masks_are_told(tmp_path, caplog):
    dataset = write_sequence(tmp_path / "A", masks=())
    (told,) = collect_warnings(dataset, caplog)
    assert told.startswith(
        f"{dataset / '01_GT' / 'TRA'}: no folder has masks of all 6 frames, so the markers of the truth are used"
    )
    assert "sizes and overlaps are those of markers, not of cells" in told


@pytest.mark.parametrize("images", [True, False])
def test_a_complete_sequence_is_taken_without_a_word(tmp_path, caplog, images):
    assert not collect_warnings(write_sequence(tmp_path / "A", images=images), caplog)


def test_a_folder_without_truth(tmp_path):
    write_folder(tmp_path / "A" / "01", np.zeros((2, 8, 8), np.uint16))
    with pytest.raises(InputError, match=r"A: no truth found; expected DATASET/NN_GT/TRA/man_track.txt with masks in"):
        find_sequences(tmp_path / "A")
    with pytest.raises(InputError, match="the folder does not exist"):
        find_sequences(tmp_path / "Z")


def test_a_truth_without_markers(tmp_path):
    dataset = write_sequence(tmp_path / "A")
    for marker in (dataset / "01_GT" / "TRA").glob("*.tif"):
        marker.unlink()
    with pytest.raises(InputError, match=r"TRA: a table of tracks but no markers; expected man_track000.tif"):
        find_sequences(dataset)


def test_a_truth_that_stands_alone(tmp_path):
    """Outside the layout of the challenge the place of the masks is unknown; the message lists the folders searched."""
    write_truth(tmp_path / "truth")
    write_folder(tmp_path / "truth_ERR_SEG", MASKS[:4], prefix="mask")
    with pytest.raises(
        InputError, match=r"TRA: no masks for its 6 frames; looked in .* for truth_ERR_SEG \(4\), .*TIFFs"
    ):
        find_sequences(tmp_path / "truth")
