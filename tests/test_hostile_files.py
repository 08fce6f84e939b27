"""Files that state more than they hold, and what is no file, are refused before memory is taken."""

from __future__ import annotations

import os
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy_format

from gnntrack.errors import FrameError
from gnntrack.io.frames import open_frames


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
