"""Hand-made headers of TIFFs that are refused before another library reads them."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from gnntrack.errors import ChannelError, FrameError
from gnntrack.inspection import inspect_movie
from gnntrack.io.frames import open_frames
from gnntrack.io.limits import MAX_FRAMES, MAX_INSPECTED_PIXELS
from gnntrack.io.stack import Stack
from gnntrack.io.tiff_pages import check_pages

MOVIE = np.arange(4 * 20 * 30, dtype=np.uint16).reshape(4, 20, 30)
LAYOUTS = [("<", False), (">", False), ("<", True), (">", True)]


def write_header(path: Path, following: list[int], *, order: str, big: bool, **tags: int) -> list[int]:
    """Write pages of one pixel without pixels, and return their offsets; `following` has the page after each, or -1."""
    codes = {"width": 256, "length": 257, "bits": 258, "compression": 259, "samples": 277}
    entries = {256: 1, 257: 1, **{codes[name]: value for name, value in tags.items()}}
    count, tag, offset, first = ("Q", "HHQQ", "Q", 16) if big else ("H", "HHII", "I", 8)
    long_ = 16 if big else 4
    size = (
        struct.calcsize(order + count) + len(entries) * struct.calcsize(order + tag) + struct.calcsize(order + offset)
    )
    places = [first + number * size for number in range(len(following))]
    data = {"<": b"II", ">": b"MM"}[order] + (
        struct.pack(order + "HHHQ", 43, 8, 0, first) if big else struct.pack(order + "HI", 42, first)
    )
    for number in following:
        data += struct.pack(order + count, len(entries))
        for code, value in sorted(entries.items()):
            data += struct.pack(order + tag, code, long_, 1, value)
        data += struct.pack(order + offset, number if number > len(places) else 0 if number < 0 else places[number])
    path.write_bytes(data)
    return places


@pytest.mark.parametrize(("order", "big"), LAYOUTS)
def test_real_files_pass(tmp_path: Path, order: str, big: bool) -> None:
    for number, options in enumerate(
        [{}, {"ome": True}, {"metadata": None}, {"compression": "zlib", "tile": (16, 16)}]
    ):
        file = tmp_path / f"{number}.tif"
        tifffile.imwrite(file, MOVIE, bigtiff=big, byteorder=order, photometric="minisblack", **options)
        check_pages(file)


@pytest.mark.parametrize(("order", "big"), LAYOUTS)
@pytest.mark.parametrize("following", [[0], [1, 0], [1, 2, 1]], ids=str)
def test_a_page_that_is_referred_to_twice_is_refused(
    tmp_path: Path, following: list[int], order: str, big: bool
) -> None:
    file = tmp_path / "loop.tif"
    write_header(file, following, order=order, big=big)
    with pytest.raises(FrameError, match=rf"page {len(following)} \(from 0\) is one of the pages before it") as error:
        open_frames(file)
    assert str(file) in str(error.value)


@pytest.mark.parametrize(("order", "big"), LAYOUTS)
def test_a_page_outside_of_the_file_is_refused(tmp_path: Path, order: str, big: bool) -> None:
    file = tmp_path / "far.tif"
    write_header(file, [1, 100_000], order=order, big=big)
    with pytest.raises(FrameError, match="should be at byte 100000, the file has"):
        open_frames(file)


def test_a_chain_into_pixels_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pixels.tif"
    tifffile.imwrite(file, np.full((4, 20, 30), 0xFFFF, np.uint16), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(file) as tif:
        last, place = tif.pages[2].offset, tif.pages[1].dataoffsets[0]
    data = bytearray(file.read_bytes())
    tags = struct.unpack_from("<H", data, last)[0]
    struct.pack_into("<I", data, last + 2 + 12 * tags, place)
    file.write_bytes(data)
    with pytest.raises(FrameError, match=r"page 3 \(from 0\) has 65535 tags; expected 1 to 4096"):
        open_frames(file)


@pytest.mark.parametrize(
    "tags",
    [
        {"width": 2**31, "length": 2**31},
        {"width": 2**16, "length": 2**16, "compression": 8},
        {"width": 2**29, "bits": 64},
    ],
    ids=str,
)
def test_sizes_that_the_file_cannot_hold_are_refused(tmp_path: Path, tags: dict[str, int]) -> None:
    file = tmp_path / "vast.tif"
    write_header(file, [-1], order="<", big=False, **tags)
    with pytest.raises(FrameError, match=r"page 0 \(from 0\) states .* pixels, which need \d+ bytes, and the file has"):
        open_frames(file)


def test_missing_pages_are_noticed_by_the_metadata(tmp_path: Path) -> None:
    file = tmp_path / "fewer.tif"
    tifffile.imwrite(file, MOVIE, photometric="minisblack", compression="zlib")
    with tifffile.TiffFile(file) as tif:
        last = tif.pages[1].offset
    data = bytearray(file.read_bytes())
    struct.pack_into("<I", data, last + 2 + 12 * struct.unpack_from("<H", data, last)[0], 0)
    file.write_bytes(data)
    with pytest.raises(FrameError, match="its metadata state 4 pages, 2 pages are present"):
        open_frames(file)


def test_info_reads_no_values_of_vast_frames(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    side = int(MAX_INSPECTED_PIXELS**0.5) + 1

    def fail(frame: int) -> np.ndarray:
        raise AssertionError(frame)

    movie = Stack(fail, ["vast.tif"], (side, side), (1.0, 1.0))
    monkeypatch.setattr("gnntrack.inspection.open_frames", lambda *_, **__: movie)
    found = inspect_movie(tmp_path)
    assert found["kind"] == "unknown"
    assert found["shape"] == [side, side]
    assert "values of frames of more than" in found["problems"][0]


def test_files_that_an_ome_tiff_names_are_checked_and_lie_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "movie"
    folder.mkdir()
    loop, file = folder / "loop.tif", folder / "first.ome.tif"
    write_header(loop, [0], order="<", big=False)
    write_header(tmp_path / "loop.tif", [0], order="<", big=False)
    for name, message in (("loop.tif", "is one of the pages before it"), ("../loop.tif", "a file in another folder")):
        tiff_data = f'<TiffData IFD="0" FirstT="1"><UUID FileName="{name}">urn:uuid:1</UUID></TiffData>'
        sizes = 'SizeX="30" SizeY="20" SizeZ="1" SizeC="1" SizeT="2" Type="uint16" DimensionOrder="XYZCT"'
        text = f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image><Pixels {sizes}>'
        text += f'<TiffData IFD="0"/>{tiff_data}</Pixels></Image></OME>'
        tifffile.imwrite(file, MOVIE[0], description=text, metadata=None, photometric="minisblack")
        with pytest.raises(FrameError, match=message):
            open_frames(file)


def test_ome_metadata_without_entities(tmp_path: Path) -> None:
    text = '<!DOCTYPE OME [<!ENTITY a "b">]><OME><Image><Pixels SizeX="30"/></Image></OME>'
    tifffile.imwrite(tmp_path / "a.ome.tif", MOVIE[0], description=text, metadata=None, photometric="minisblack")
    with pytest.raises(FrameError, match="its OME metadata have a document type"):
        open_frames(tmp_path / "a.ome.tif")


@pytest.mark.parametrize(
    ("size", "inside"),
    [
        ("2147483648", '<TiffData IFD="0" PlaneCount="4"/>'),
        ("20", '<TiffData IFD="0" PlaneCount="2147483648"/>'),
        ("20", '<TiffData IFD="0" PlaneCount="600000"/><TiffData IFD="0" PlaneCount="600000"/>'),
        ("20", '<TiffData/></Pixels></Image><Image><ModuloAlongT Start="0" End="1e10" Step="1"/><Pixels>'),
        ("20", '<TiffData/></Pixels></Image><Image><ModuloAlongT Start="0" End="5" Step="1e-9"/><Pixels>'),
    ],
)
def test_ome_metadata_state_no_more_pages_than_a_tiff_may_have(tmp_path: Path, size: str, inside: str) -> None:
    sizes = f'SizeX="30" SizeY="{size}" SizeZ="1" SizeC="1" SizeT="4" Type="uint16" DimensionOrder="XYZCT"'
    text = f"<OME><Image><Pixels {sizes}>{inside}</Pixels></Image></OME>"
    tifffile.imwrite(tmp_path / "a.ome.tif", MOVIE, description=text, metadata=None, photometric="minisblack")
    with pytest.raises(FrameError, match=r"its OME metadata state \d+ pages .* expected at most 1000000"):
        open_frames(tmp_path / "a.ome.tif")


def test_a_unit_of_imagej_may_be_a_number(tmp_path: Path) -> None:
    notes = "ImageJ=1.11a\nimages=4\nframes=4\nhyperstack=true\nunit=5\n"
    tifffile.imwrite(tmp_path / "a.tif", MOVIE, description=notes, metadata=None, photometric="minisblack")
    assert open_frames(tmp_path / "a.tif").unit == "pixel"


def test_movies_have_a_largest_number_of_frames(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((MAX_FRAMES + 1, 1, 1), np.uint8))
    with pytest.raises(FrameError, match="has 1000001 frames; expected at most 1000000"):
        open_frames(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([(256, 4, 20), (257, 4, 50_000_000), (257, 0, 16)], "has the tag 257 twice"),
        ([(256, 4, 20), (257, 4, 16), (257, 4, 50_000_000)], "has the tag 257 twice"),
        ([(256, 4, 20), (257, 9, 50_000_000)], "has the tag 257 of type 9, expected an unsigned number"),
        ([(256, 4, 16), (257, 4, 16), (259, 3, 8), (322, 4, 65_536), (323, 4, 65_536)], "need 4294967296 bytes"),
    ],
)
def test_tags_of_sizes_are_read_as_other_readers_do(tmp_path: Path, entries: list, message: str) -> None:
    data = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    data += b"".join(struct.pack("<HHII", code, kind, 1, value) for code, kind, value in entries) + bytes(4)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(FrameError, match=message):
        check_pages(tmp_path / "a.tif")


def test_many_channels_take_no_quadratic_time(tmp_path: Path) -> None:
    start = time.process_time()
    with pytest.raises(ChannelError, match="it has 60000 channels"):
        open_frames(np.zeros((1, 60_000, 1, 1), np.uint8), axes="tcyx")
    assert time.process_time() - start < 3
    vast = np.broadcast_to(np.uint8(0), (1, MAX_FRAMES + 1, 1, 1))
    with pytest.raises(FrameError, match="it has 1000001 channels; expected at most 1000000"):
        open_frames(vast, axes="tcyx")
