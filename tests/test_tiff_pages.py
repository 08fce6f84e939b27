"""TIFFs that other programs write: page by page, in several files, as one plane; every reader returns the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from support.frame_sources import DEEP, FLAT, write_ome_set

from gnntrack.errors import FrameError
from gnntrack.evaluate.tracking import evaluate_sequence
from gnntrack.io import open_frames, open_masks, read_ctc, validate_ctc
from gnntrack.io.images import read_image, read_mask, read_tiff


def write_in_a_loop(path: Path, movie: np.ndarray, **options: object) -> None:
    with tifffile.TiffWriter(path) as writer:
        for image in movie:
            writer.write(image, photometric="minisblack", **options)


def write_mixed(path: Path, movie: np.ndarray) -> None:
    with tifffile.TiffWriter(path) as writer:
        for number, image in enumerate(movie):
            writer.write(image, photometric="minisblack", compression="zlib" if number % 2 else None, metadata=None)


def append_pages(path: Path, movie: np.ndarray) -> None:
    for image in movie:
        tifffile.imwrite(path, image, append=True, photometric="minisblack")


def write_with_pillow(path: Path, movie: np.ndarray) -> None:
    from PIL import Image

    first, *others = [Image.fromarray(image) for image in movie.reshape(-1, *movie.shape[-2:])]
    first.save(path, save_all=True, append_images=others)


def write_with_opencv(path: Path, movie: np.ndarray) -> None:
    import cv2

    cv2.imwritemulti(str(path), list(movie.reshape(-1, *movie.shape[-2:])))


WRITERS: dict[str, Callable[[Path, np.ndarray], None]] = {
    "loop": write_in_a_loop,
    "loop, zlib": lambda path, movie: write_in_a_loop(path, movie, compression="zlib"),
    "loop, tiles": lambda path, movie: write_in_a_loop(path, movie, compression="lzw", tile=(16, 16)),
    "loop, no metadata": lambda path, movie: write_in_a_loop(path, movie, metadata=None),
    "big": lambda path, movie: write_in_a_loop(path, movie, rowsperstrip=3),
    "two compressions": write_mixed,
    "append": append_pages,
    "Pillow": write_with_pillow,
    "OpenCV": write_with_opencv,
}
PLANES = [name for name in WRITERS if name in {"Pillow", "OpenCV"}]


@pytest.mark.parametrize("writer", list(WRITERS))
@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_pages_are_frames(tmp_path, writer, length):
    WRITERS[writer](tmp_path / "m.tif", FLAT[:length])
    for opened in (open_frames(tmp_path / "m.tif"), open_masks(tmp_path / "m.tif")):
        assert (len(opened), opened.shape) == (length, (20, 30))
        np.testing.assert_array_equal(np.stack(list(opened)), FLAT[:length])


@pytest.mark.parametrize("writer", list(WRITERS))
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_pages_of_a_frame_are_slices(tmp_path, writer, depth):
    for frame, volume in enumerate(DEEP):
        WRITERS[writer](tmp_path / f"mask{frame:03d}.tif", volume[:depth])
    opened = open_masks(tmp_path)
    assert opened.shape == (depth, 20, 30)
    for frame, volume in enumerate(DEEP[:, :depth]):
        file = tmp_path / f"mask{frame:03d}.tif"
        for read in (opened[frame], read_mask(file), read_tiff(file), read_image(file).pixels):
            np.testing.assert_array_equal(read, volume)


@pytest.mark.parametrize("writer", [name for name in WRITERS if name not in PLANES])
def test_volumes_in_a_loop_are_frames(tmp_path, writer):
    if writer == "loop, no metadata":
        pytest.skip("without metadata nothing separates the volumes")
    WRITERS[writer](tmp_path / "m.tif", DEEP)
    if writer == "two compressions":
        return
    np.testing.assert_array_equal(np.stack(list(open_frames(tmp_path / "m.tif"))), DEEP)


def test_plain_imwrite_of_three_slices_is_a_mask_of_three_slices(tmp_path):
    volume = DEEP[0, :3] % 97  # slices are alike in brightness
    with pytest.warns(Warning, match="photometric"):
        tifffile.imwrite(tmp_path / "m.tif", volume)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif"), volume)
    with pytest.raises(FrameError, match="--axes tyx"):
        open_frames(tmp_path / "m.tif")
    np.testing.assert_array_equal(np.stack(list(open_frames(tmp_path / "m.tif", axes="tyx"))), volume)


def test_pages_of_two_sizes_are_refused_by_every_reader(tmp_path):
    with tifffile.TiffWriter(tmp_path / "m.tif") as writer:
        writer.write(FLAT[0])
        writer.write(FLAT[0, 1:])
    for read in (open_frames, open_masks, read_mask, read_tiff, read_image):
        with pytest.raises(FrameError, match=r"m\.tif.*holds 2 series of images"):
            read(tmp_path / "m.tif")


def test_a_cut_file_is_refused_by_every_reader(tmp_path):
    write_in_a_loop(tmp_path / "m.tif", FLAT, compression="zlib")
    whole = (tmp_path / "m.tif").read_bytes()
    (tmp_path / "m.tif").write_bytes(whole[: len(whole) // 2])
    for read in (read_mask, read_tiff, read_image, lambda path: list(open_frames(path))):
        with pytest.raises(FrameError, match=r"m\.tif.*damaged"):
            read(tmp_path / "m.tif")


def draw_volume(first: int, last: int) -> np.ndarray:
    volume = np.zeros((4, 20, 30), np.uint16)
    volume[first:last, 2:7, 2:7] = 1
    return volume


def write_tracks(folder: Path, write: Callable[[Path, np.ndarray], object], volume: np.ndarray, *, kind: str) -> Path:
    folder.mkdir(parents=True)
    for frame in range(2):
        write(folder / f"{kind}{frame:03d}.tif", volume)
    (folder / ("res_track.txt" if kind == "mask" else "man_track.txt")).write_text("1 0 1 0\n")
    return folder


@pytest.mark.parametrize("writer", list(WRITERS))
def test_evaluate_compares_all_slices(tmp_path, writer):
    write = WRITERS[writer]
    flat = write_tracks(tmp_path / "01_RES", write, draw_volume(0, 1), kind="mask")
    deep = write_tracks(tmp_path / "02_RES", write, draw_volume(0, 4), kind="mask")
    truth = write_tracks(tmp_path / "01_GT" / "TRA", write, draw_volume(0, 4), kind="man_track")
    assert evaluate_sequence(flat, truth)["TRA"] == 0.0
    assert evaluate_sequence(deep, truth)["TRA"] == 1.0
    assert read_ctc(flat)[0].cells.shape == (4, 20, 30)
    assert validate_ctc(flat) == []


@pytest.mark.parametrize("axes", ["result", "truth", "both"])
def test_masks_of_one_plane_are_those_without_depth(tmp_path, axes):
    plane = draw_volume(0, 1)[:1]

    def write(path, mask):
        tifffile.imwrite(path, mask, photometric="minisblack")

    result = write_tracks(tmp_path / "01_RES", write, plane if axes != "truth" else plane[0], kind="mask")
    truth = write_tracks(tmp_path / "01_GT" / "TRA", write, plane if axes != "result" else plane[0], kind="man_track")
    assert evaluate_sequence(result, truth)["TRA"] == 1.0
    assert open_masks(result).shape == (20, 30)


def test_masks_that_name_each_other_as_one_movie_are_read_one_by_one(tmp_path):
    write_ome_set(tmp_path / "set", DEEP[0] % 2)
    for number in range(4):
        np.testing.assert_array_equal(read_mask(tmp_path / "set" / f"z{number}.ome.tif"), DEEP[0, number] % 2)


def test_validate_reports_masks_that_name_each_other(tmp_path):
    folder = write_ome_set(tmp_path / "01_RES", DEEP[0] % 2)
    for number in range(4):
        (folder / f"z{number}.ome.tif").rename(folder / f"mask{number:03d}.tif")
    (folder / "res_track.txt").write_text("1 0 3 0\n")
    problems = validate_ctc(folder)
    assert {problem.rule for problem in problems} == {"ome-set"}
    assert len(problems) == 4


def test_validate_takes_one_plane_as_no_depth(tmp_path):
    def write(path, mask):
        tifffile.imwrite(path, mask, photometric="minisblack")

    result = write_tracks(tmp_path / "01_RES", write, draw_volume(0, 1)[:1], kind="mask")
    assert validate_ctc(result, images=np.arange(2 * 20 * 30, dtype=np.uint16).reshape(2, 20, 30)) == []


ODD_PAGES = {
    "other size": (3, np.zeros((20, 40), np.uint16)),
    "first": (0, np.zeros((20, 40), np.uint16)),
    "8 bits": (2, np.zeros((40, 40), np.uint8)),
    "floats": (4, np.zeros((40, 40), np.float32)),
    "a thumbnail": (5, np.zeros((10, 10), np.uint16)),
    "colours": (5, np.zeros((40, 40, 3), np.uint8)),
}


@pytest.mark.parametrize("name", ODD_PAGES)
@pytest.mark.parametrize("metadata", [None, {}])
def test_a_page_that_differs_is_named(tmp_path: Path, name: str, metadata: dict[str, str] | None) -> None:
    number, odd = ODD_PAGES[name]
    pages = [np.ones((40, 40), np.uint16)] * 5
    pages.insert(number, odd)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in pages:
            writer.write(page, metadata=metadata, photometric="rgb" if page.ndim == 3 else "minisblack")
    told = (
        rf"page {number} \(from 0\) of 6 has shape \({odd.shape[0]}, .* and type {odd.dtype}, .*\(40, 40\) and uint16"
    )
    with pytest.raises(FrameError, match=told):
        open_frames(tmp_path / "a.tif")
    with pytest.raises(FrameError, match=told):
        open_masks(tmp_path / "a.tif")


@pytest.mark.parametrize("form", ["movie", "folder", "list", "pattern", "ome.tif"])
def test_masks_in_a_tiff_with_jpeg_compression_are_refused(tmp_path: Path, form: str) -> None:
    labels = np.zeros((3, 64, 64), np.uint8)
    labels[:, 8:30, 8:30], labels[:, 35:60, 33:50] = 3, 9
    names = [tmp_path / f"t{frame}.tif" for frame in range(3)]
    for file, mask in zip(names, labels, strict=True):
        tifffile.imwrite(file, mask, compression="jpeg", photometric="minisblack")
    source = {"folder": tmp_path, "list": names, "pattern": tmp_path / "t*.tif"}.get(form)
    if source is None:
        source = tmp_path / ("m.tif" if form == "movie" else "m.ome.tif")
        tifffile.imwrite(
            source, labels, compression="jpeg", photometric="minisblack", metadata={"axes": "TYX"}, ome=form != "movie"
        )
    with pytest.raises(FrameError, match="JPEG compression are not exact"):
        open_masks(source)
    open_frames(source)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "zstd", "packbits", "jpeg2000", "lerc"])
def test_masks_in_a_tiff_with_exact_compression_are_read(tmp_path: Path, compression: str | None) -> None:
    labels = np.zeros((3, 64, 64), np.uint8)
    labels[:, 8:30, 8:30], labels[:, 35:60, 33:50] = 3, 9
    tifffile.imwrite(tmp_path / "m.tif", labels, compression=compression, photometric="minisblack")
    assert np.array_equal(open_masks(tmp_path / "m.tif")[1], labels[1])
