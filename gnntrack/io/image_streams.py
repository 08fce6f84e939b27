"""Sizes that images inside of a TIFF state themselves: JPEG, JPEG 2000, PNG, WebP, JPEG XL, JPEG XR and LERC.

A decoder of these takes memory for the size in the stream, and not for that in the tags of the page. Of other
compressions, such as LZW, deflate and zstd, tifffile decodes no more than the page has.
"""

from __future__ import annotations

import math
import struct
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

__all__ = ["check_streams", "read_stream_size"]

_SLACK = 1 << 20  # values that are decoded whatever the tags state
_JPEG, _JPEG_2000, _PNG, _WEBP, _JPEG_XL, _JPEG_XR, _LERC = range(7)
_KINDS = {
    **dict.fromkeys((6, 7, 33007, 34892), _JPEG),
    **dict.fromkeys((33003, 33004, 33005, 34712), _JPEG_2000),
    **dict.fromkeys((34927, 50001), _WEBP),
    **dict.fromkeys((50002, 52546), _JPEG_XL),
    **dict.fromkeys((22610, 34934), _JPEG_XR),
    34933: _PNG,
    34887: _LERC,
}
_MOST_PARTS = 1000  # markers or boxes before the size
_HEAD = 64  # bytes


def check_streams(page: Any, file: BinaryIO) -> None:
    """Raise if an image inside of a page states more pixels than its strip or tile has.

    Parameters
    ----------
    page : TiffPage
        A page of tifffile.
    file : file
        The file of the page, open.

    Raises
    ------
    ValueError
        If it does, or if its head is not that of its compression.
    """
    tags = page.keyframe  # of a page that tifffile reads in short, it is another one, with equal tags
    compression = int(tags.compression)
    if compression not in _KINDS:
        return
    rows, columns = (
        (tags.tilelength * tags.tiledepth, tags.tilewidth)
        if tags.is_tiled
        else (min(tags.rowsperstrip, tags.imagelength), tags.imagewidth)
    )
    most = max(rows * columns * tags.samplesperpixel, _SLACK)
    for number, (start, length) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=False)):
        if not length:
            continue
        size = read_stream_size(compression, partial(_read, file, start))
        if size is None and _KINDS[compression] != _JPEG:
            msg = f"the head of strip or tile {number} is damaged, or not of its compression ({compression})"
            raise ValueError(msg)
        if size is not None and math.prod(size) > most:
            msg = f"strip or tile {number} states {size[0]} x {size[1]} pixels, and the tags {rows} x {columns}"
            raise ValueError(msg)


def _read(file: BinaryIO, start: int, at: int, count: int) -> bytes:
    file.seek(start + at)
    return file.read(count)


def read_stream_size(compression: int, read: Callable[[int, int], bytes]) -> tuple[int, ...] | None:
    """Return height, width and number of channels that an image states, None if they cannot be found.

    Parameters
    ----------
    compression : int
        The number in the tags of the TIFF.
    read : callable
        Returns bytes of the image, given the first one and their number.

    Examples
    --------
    >>> import imagecodecs
    >>> import numpy as np
    >>> image = imagecodecs.png_encode(np.zeros((20, 30), np.uint8))
    >>> read_stream_size(34933, lambda at, count: image[at : at + count])
    (20, 30, 1)
    """
    try:
        return _READERS[_KINDS[compression]](read)
    except (struct.error, IndexError):  # the image is cut off
        return None


def _read_jpeg(read: Callable[[int, int], bytes]) -> tuple[int, ...] | None:
    if read(0, 2) != b"\xff\xd8":
        return None  # without a head: it is in the tags
    at = 2
    for _ in range(_MOST_PARTS):
        mark, code, length = struct.unpack(">BBH", read(at, 4))
        if mark != 0xFF:
            return None
        if code in {0xFF, 0x01, *range(0xD0, 0xD9)}:  # fill bytes, and markers without content
            at += 1 if code == 0xFF else 2
            continue
        if 0xC0 <= code <= 0xCF and code not in {0xC4, 0xC8, 0xCC}:
            height, width, channels = struct.unpack(">HHB", read(at + 5, 5))
            return height, width, channels
        at += 2 + length
    return None


def _read_jpeg_2000(read: Callable[[int, int], bytes]) -> tuple[int, ...] | None:
    at = 0
    if read(4, 4) == b"jP  ":
        for _ in range(_MOST_PARTS):
            length, kind = struct.unpack(">I4s", read(at, 8))
            if kind == b"jp2c":
                at += 16 if length == 1 else 8
                break
            at += struct.unpack(">Q", read(at + 8, 8))[0] if length == 1 else max(length, 8)
    if read(at, 4) != b"\xff\x4f\xff\x51":
        return None
    width, height, left, top = struct.unpack(">4I", read(at + 8, 16))
    (channels,) = struct.unpack(">H", read(at + 40, 2))
    return max(height - top, 0), max(width - left, 0), channels


def _read_png(read: Callable[[int, int], bytes]) -> tuple[int, ...] | None:
    if read(0, 8) != b"\x89PNG\r\n\x1a\n" or read(12, 4) != b"IHDR":
        return None
    width, height, _, kind = struct.unpack(">IIBB", read(16, 10))
    return height, width, {2: 3, 3: 3, 4: 2, 6: 4}.get(kind, 1)


def _read_webp(read: Callable[[int, int], bytes]) -> tuple[int, ...] | None:
    head = read(0, _HEAD)
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return None
    if head[12:16] == b"VP8X":
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
    elif head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    return height, width, 4


def _read_jpeg_xl(read: Callable[[int, int], bytes]) -> tuple[int, ...] | None:
    at = 0
    if read(4, 4) == b"JXL ":
        for _ in range(_MOST_PARTS):
            length, kind = struct.unpack(">I4s", read(at, 8))
            long_ = length == 1
            if kind in {b"jxlc", b"jxlp"}:
                at += 8 + 8 * long_ + 4 * (kind == b"jxlp")
                break
            at += struct.unpack(">Q", read(at + 8, 8))[0] if long_ else max(length, 8)
    head = read(at, 18)
    if head[:2] != b"\xff\x0a" or len(head) < 4:
        return None
    bits = int.from_bytes(head[2:], "little")

    def take(count: int) -> int:
        nonlocal bits
        value = bits & ((1 << count) - 1)
        bits >>= count
        return value

    def take_size() -> int:
        return (take(5) + 1) * 8 if small else take((9, 13, 18, 30)[take(2)]) + 1

    small = take(1)
    height = take_size()
    ratio = take(3)
    ratios = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
    width = height * ratios[ratio][0] // ratios[ratio][1] if ratio else take_size()
    return height, width, 1


def _read_jpeg_xr(read: Callable[[int, int], bytes]) -> tuple[int, ...] | None:
    if read(0, 3) != b"II\xbc":
        return None
    (at,) = struct.unpack("<I", read(4, 4))
    (count,) = struct.unpack("<H", read(at, 2))
    sizes = {}
    for number in range(min(count, _MOST_PARTS)):
        code, kind, _, value = struct.unpack("<HHII", read(at + 2 + 12 * number, 12))
        sizes[code] = value & 0xFFFF if kind == 3 else value
    return (sizes[0xBC81], sizes[0xBC80], 1) if {0xBC80, 0xBC81} <= sizes.keys() else None


def _read_lerc(read: Callable[[int, int], bytes]) -> tuple[int, ...] | None:
    if read(0, 6) != b"Lerc2 ":
        return None
    (version,) = struct.unpack("<i", read(6, 4))
    rows, columns, depth = struct.unpack("<iii", read(10 + 4 * (version >= 3), 12))
    return max(rows, 0), max(columns, 0), max(depth, 1) if version >= 4 else 1


_READERS = (_read_jpeg, _read_jpeg_2000, _read_png, _read_webp, _read_jpeg_xl, _read_jpeg_xr, _read_lerc)
