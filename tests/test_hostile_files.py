"""Files that state more than they hold, and what is no file, are refused before memory is taken."""

from __future__ import annotations

import bz2
import json
import lzma
import os
import pickle
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import zarr
from numpy.lib import format as npy_format

import gnntrack
from gnntrack.batch.results import list_results
from gnntrack.errors import FrameError, InputError, ModelError
from gnntrack.gnn.training_range import is_number
from gnntrack.gnn.weights import load_model
from gnntrack.io import limits
from gnntrack.io.frames import open_frames
from gnntrack.io.omezarr import open_zarr


def write_archive(path: Path, content: bytes, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("arr_0.npy", content)
    return path


def describe_array(shape: tuple[int, ...]) -> bytes:
    """Return the head of an array of 16 bits in a file of numpy."""
    head = BytesIO()
    npy_format.write_array_header_1_0(head, {"descr": "<u2", "fortran_order": False, "shape": shape})
    return head.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (describe_array((10, 60_000, 60_000)), r"shape \(10, 60000, 60000\) needs 72000000\d\d\d bytes"),
        (describe_array((2, 4, 4)) + bytes(100), "needs 192 bytes, and there are 228"),
        (b"\x93NUMPY\x02\x00\x00\x00\x00\xf0" + bytes(100), "a head of 4026531840 bytes"),
    ],
)
def test_arrays_fill_their_place_in_an_archive(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        open_frames(write_archive(tmp_path / "movie.npz", content))


def test_an_archive_holds_no_more_than_its_size_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnntrack.io.numpy_files.FREE_BYTES", 1000)
    content = describe_array((4, 1000, 1000)) + bytes(8_000_000)
    with pytest.raises(FrameError, match=r"\d+ bytes hold 8000128, see docs/limits.md"):
        open_frames(write_archive(tmp_path / "movie.npz", content, zipfile.ZIP_BZIP2))
    assert len(open_frames(write_archive(tmp_path / "usual.npz", content, zipfile.ZIP_DEFLATED))) == 4


@pytest.mark.parametrize("name", ["t1.tif", "t1.npy", "t1.png"])
def test_named_pipes_are_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    os.mkfifo(tmp_path / name.replace("1", "2"))
    with pytest.raises(FrameError, match="it is a named pipe; expected a file"):
        _ = open_frames(tmp_path)[0]


def test_named_pipes_are_found_when_a_frame_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "t1.npy", np.zeros((4, 4), np.uint8))
    os.mkfifo(tmp_path / "t2.npy")
    movie = open_frames(tmp_path)
    with pytest.raises(FrameError, match="it is a named pipe"):
        _ = movie[1]


ENCODERS: dict[int, Callable[[np.ndarray], bytes]] = {
    7: imagecodecs.jpeg_encode,
    34712: lambda image: imagecodecs.jpeg2k_encode(image, codecformat="J2K"),
    33003: lambda image: imagecodecs.jpeg2k_encode(image, codecformat="JP2"),
    34933: imagecodecs.png_encode,
    50001: lambda image: imagecodecs.webp_encode(np.stack([image] * 3, 2), lossless=True),
    50002: lambda image: imagecodecs.jpegxl_encode(image, usecontainer=True),
    34934: imagecodecs.jpegxr_encode,
    34887: imagecodecs.lerc_encode,
}


def write_strip(path: Path, compression: int, strip: bytes) -> Path:
    """Write a TIFF of 64 x 64 pixels in one strip, whatever that holds."""
    tags = {256: 64, 257: 64, 258: 8, 259: compression, 262: 1, 273: 8, 277: 1, 278: 64, 279: len(strip)}
    entries = b"".join(struct.pack("<HHII", code, 4, 1, value) for code, value in tags.items())
    start = struct.pack("<2sHI", b"II", 42, 8 + len(strip))
    path.write_bytes(start + strip + struct.pack("<H", len(tags)) + entries + bytes(4))
    return path


@pytest.mark.parametrize("compression", ENCODERS)
def test_an_image_in_a_tiff_is_no_larger_than_its_strip(
    tmp_path: Path, compression: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gnntrack.io.image_streams._SLACK", 5000)
    small, large = (
        write_strip(tmp_path / f"{side}.tif", compression, bytes(ENCODERS[compression](np.zeros((side, 90), np.uint8))))
        for side in (10, 300)
    )
    with pytest.raises(FrameError, match="strip or tile 0 states 300 x 90 pixels, and the tags 64 x 64"):
        _ = open_frames(large)[0]
    with pytest.raises(FrameError) as other:  # an image of another shape is an error of the decoder
        _ = open_frames(small)[0]
    assert "states" not in str(other.value)


def test_images_in_a_tiff_of_the_right_size_are_read(tmp_path: Path) -> None:
    image = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    for compression in (34712, 33003, 34933, 50002, 34934, 34887):
        path = write_strip(tmp_path / f"{compression}.tif", compression, bytes(ENCODERS[compression](image)))
        assert open_frames(path)[0].shape == (64, 64)


def test_a_damaged_head_of_an_image_in_a_tiff_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        FrameError, match=r"the head of strip or tile 0 is damaged, or not of its compression \(34933\)"
    ):
        _ = open_frames(write_strip(tmp_path / "a.tif", 34933, b"\x89PNG" + bytes(80)))[0]


def write_zarr(folder: Path, *, compressor: dict | None, content: bytes = b"", **about: object) -> Path:
    """Write an array of format 2, of 16 bits, with one chunk."""
    folder.mkdir()
    description = {"zarr_format": 2, "shape": [4, 16, 16], "chunks": [1, 16, 16], "dtype": "<u2", "fill_value": 0}
    description |= {"order": "C", "filters": None, "compressor": compressor, **about}
    (folder / ".zarray").write_text(json.dumps(description), encoding="utf-8")
    if content:
        (folder / "0.0.0").write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("about", "message"),
    [
        (
            {"shape": [4, 100_000, 100_000], "chunks": [1, 512, 512]},
            "a plane needs 20000000000 bytes, and its chunks have 0",
        ),
        ({"shape": [2, 20_000, 20_000], "chunks": [1, 1, 1]}, "a frame has 400000000 chunks; expected at most 100000"),
    ],
)
def test_frames_of_zarr_that_no_file_holds_are_refused(tmp_path: Path, about: dict, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        _ = open_frames(write_zarr(tmp_path / "m.zarr", compressor=None, **about))[0]


@pytest.mark.parametrize(
    ("codec", "encode", "message"),
    [
        (None, lambda values: values, "has 20000 bytes for 512 bytes of values"),
        ("zlib", zlib.compress, "holds more than 512 bytes"),
        ("bz2", bz2.compress, "holds more than 512 bytes"),
        ("lzma", lzma.compress, "holds more than 512 bytes"),
        ("zstd", imagecodecs.zstd_encode, "holds 20000 bytes; its description states 512"),
        ("blosc", lambda values: imagecodecs.blosc_encode(values), "holds 20000 bytes; its description states 512"),
    ],
)
def test_chunks_of_zarr_that_hold_more_than_they_should_are_not_decoded(
    tmp_path: Path, codec: str | None, encode: Callable, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gnntrack.io.zarr_checks.FREE_BYTES", 1000)
    compressor = None if codec is None else {"id": codec}
    with pytest.raises(FrameError, match=f"frame 0: it cannot be read: the chunk 0.0.0 {message}"):
        _ = open_frames(write_zarr(tmp_path / "a.zarr", compressor=compressor, content=bytes(encode(bytes(20_000)))))[0]
    values = np.arange(256, dtype="<u2")
    right = write_zarr(tmp_path / "b.zarr", compressor=compressor, content=bytes(encode(values.tobytes())))
    assert open_frames(right)[0].max() == 255


def test_chunks_of_zarr_are_checked_after_pickling_and_for_parts(tmp_path: Path) -> None:
    array = zarr.open_array(tmp_path / "m.zarr", mode="w", shape=(2, 9, 9), chunks=(1, 4, 4), dtype="u2", zarr_format=2)
    array[:] = np.arange(162).reshape(2, 9, 9)
    movie = pickle.loads(pickle.dumps(open_frames(tmp_path / "m.zarr")))
    assert movie[1].max() == 161
    (tmp_path / "m.zarr" / "1.2.2").write_bytes(b"damaged")
    assert movie[0].max() == 80
    with pytest.raises(FrameError, match=r"frame 1: it cannot be read: the chunk 1\.2\.2 "):
        _ = movie[1]


@pytest.mark.parametrize("name", ["../other", "/other", "a/../../other"])
def test_the_table_of_a_batch_names_results_in_its_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "summary.csv").write_text(f"position\n{name}\n", encoding="utf-8")
    with pytest.raises(InputError, match=f"the position '{name}' is not in this folder"):
        list_results([tmp_path])


def test_the_page_of_limits_has_the_numbers_of_the_code() -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "limits.md").read_text(encoding="utf-8")
    rows = dict(line.strip("| \n").split(" | ") for line in page.splitlines() if line.startswith("| "))
    stated = {
        "pages of a TIFF": f"{limits.MAX_PAGES:,}",
        "tags of a page": f"{limits.MAX_TAGS:,}",
        "pixels of a page": f"{limits.FREE_BYTES >> 20} MiB, and {limits.MAX_EXPANSION:,} times",
        "a plane of a frame of OME-Zarr": f"{limits.FREE_BYTES >> 20} MiB, and {limits.MAX_EXPANSION:,} times",
        "an array or a chunk of a GEFF": f"{limits.FREE_BYTES >> 20} MiB, and {limits.MAX_EXPANSION:,} times",
        "pixels of a frame whose values": f"2^{limits.MAX_INSPECTED_PIXELS.bit_length() - 1}",
        "frames of a movie": f"{limits.MAX_FRAMES:,}",
        "frames without points": f"{limits.MAX_EMPTY_FRAMES:,}",
        "files of frames": f"{limits.MAX_MISSING_FILES:,}",
        "chunks of a frame": f"{limits.MAX_CHUNKS:,}",
        "a description in a GEFF": f"{limits.MAX_DESCRIPTION >> 20} MiB",
    }
    for start, number in stated.items():
        assert any(name.startswith(start) and number in row for name, row in rows.items()), start


def test_numbers_in_a_model_that_no_float_holds_are_refused(tmp_path: Path) -> None:
    shipped = Path(gnntrack.__file__).parent / "weights"
    shutil.copy(shipped / "weights.safetensors", tmp_path)
    about = json.loads((shipped / "model.json").read_text(encoding="utf-8"))
    (tmp_path / "model.json").write_text(json.dumps(about | {"temperature": 10**400}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"'temperature' is 1000.*, expected a positive number"):
        load_model(tmp_path)
    assert not is_number(10**400)
    assert not is_number(-(10**400))


@pytest.mark.parametrize("name", [".zattrs", ".zgroup", "0/.zarray", "0/.zattrs", "zarr.json"])
@pytest.mark.parametrize("kind", ["a named pipe", "a device"])
def test_pipes_and_devices_among_descriptions_of_zarr_are_not_read(tmp_path: Path, name: str, kind: str) -> None:
    write_zarr(tmp_path / "0", compressor=None)
    file = tmp_path / name
    file.unlink(missing_ok=True)
    os.mkfifo(file) if kind == "a named pipe" else file.symlink_to("/dev/zero")
    with pytest.raises(FrameError, match=f"cannot be read as zarr \\({name}: it is {kind}"):
        open_zarr(tmp_path)
