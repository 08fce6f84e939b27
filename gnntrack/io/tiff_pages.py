"""Checks of the pages of a TIFF before any other library reads the file: their order, number and size."""

from __future__ import annotations

import math
import struct
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gnntrack.errors import FrameError
from gnntrack.io.limits import FREE_BYTES, MAX_EXPANSION, MAX_PAGES, MAX_TAGS
from gnntrack.io.special_files import describe_special_file
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

__all__ = ["CUT_SHORT", "check_pages"]

CUT_SHORT = "was its copy or download cut short? Get the file again"
_ORDERS = {b"II": "<", b"MM": ">"}
_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # codes of unsigned types
_WIDTH, _LENGTH, _BITS, _COMPRESSION, _SAMPLES, _SUB_PAGES, _DEPTH = 256, 257, 258, 259, 277, 330, 32997
_TILE_WIDTH, _TILE_LENGTH, _TILE_DEPTH = 322, 323, 32998
_TABLES = {273, 279, 324, 325}  # offsets and byte counts of strips and tiles
_CHECKED = {_WIDTH, _LENGTH, _BITS, _COMPRESSION, _SAMPLES, _SUB_PAGES, _DEPTH, _TILE_WIDTH, _TILE_LENGTH, _TILE_DEPTH}
_CHECKED |= _TABLES
_PLAIN = {0, 1}  # without compression


class _Layout(NamedTuple):
    """Formats of `struct` for the numbers of a TIFF."""

    order: str
    number: str
    """Number of tags of a page."""
    tag: str
    """Code, type, number of values, and the values or their offset."""
    offset: str

    def unpack(self, form: str, data: bytes) -> int:
        value: int = struct.unpack_from(self.order + form, data)[0]
        return value


_CLASSIC = ("H", "HHI4s", "I")
_BIG = ("Q", "HHQ8s", "Q")


class _Page(NamedTuple):
    tags: dict[int, tuple[int, int, bytes]]
    """Type, number of values, and the values or their offset, by code; of the tags that are checked."""
    following: int
    """Offset of the next page, 0 after the last one."""


def check_pages(path: Path) -> None:
    """Raise if the pages of a TIFF cannot be read one after the other, or state sizes that the file cannot hold.

    Files that do not begin as a TIFF are not checked.

    Parameters
    ----------
    path : path
        A classic TIFF or a BigTIFF, of either byte order.

    Raises
    ------
    FrameError
        If a page lies outside of the file or is referred to twice, if there are too many pages or tags, or if a page
        is larger than `gnntrack.io.limits` allows for the size of the file.
    """
    special = describe_special_file(path)
    if special is not None:
        raise FrameError(special)
    state = path.stat()
    _check_file(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _check_file(path: Path, size: int, _changed: int) -> None:
    """Check a file; a movie is opened several times, and its pages are checked once."""
    with path.open("rb", buffering=0) as file:
        layout, first = _read_header(file.read(16))
        if layout is None:
            return
        seen: set[int] = set()
        waiting = [(first, "")]
        checked: dict[int, tuple[int, int, bytes]] = {}
        while waiting:
            offset, kind = waiting.pop()
            for number, page in enumerate(_follow(file, layout, offset, size, seen, kind)):
                alike = {code: value for code, value in page.tags.items() if code not in _TABLES}
                if alike != checked or _SUB_PAGES in alike:
                    _check_size(file, layout, page, size, f"{kind}page {number}")
                    waiting += [(each, "sub-") for each in _list_sub_pages(file, layout, page, size)]
                    checked = alike


def _read_header(start: bytes) -> tuple[_Layout | None, int]:
    """Return the layout of a TIFF and the offset of its first page; None of other files."""
    order, forms = _ORDERS.get(start[:2]), {8: {42: _CLASSIC}, 16: {42: _CLASSIC, 43: _BIG}}
    if order is None or len(start) < 8:
        return None, 0
    version: int = struct.unpack_from(order + "H", start, 2)[0]
    form = forms[16 if len(start) == 16 else 8].get(version)
    if form is None:
        return None, 0
    layout = _Layout(order, *form)
    return layout, layout.unpack(layout.offset, start[4:] if form is _CLASSIC else start[8:])


def _follow(file: BinaryIO, layout: _Layout, offset: int, size: int, seen: set[int], kind: str) -> Iterator[_Page]:
    """Yield the pages of a chain; `seen` has the offsets of all pages before, and is extended."""
    number = 0
    while offset:
        if offset in seen:
            msg = f"{kind}page {number} (from 0) is one of the pages before it, at byte {offset}"
            raise FrameError(_describe_damage(msg))
        if len(seen) >= MAX_PAGES:
            msg = f"it has more than {count_noun(MAX_PAGES, 'page')}; divide it into several files"
            raise FrameError(msg)
        seen.add(offset)
        page = _read_page(file, layout, offset, size, f"{kind}page {number}")
        yield page
        offset, number = page.following, number + 1


def _read_page(file: BinaryIO, layout: _Layout, offset: int, size: int, name: str) -> _Page:
    wide, tag_size, jump = (struct.calcsize(layout.order + form) for form in (layout.number, layout.tag, layout.offset))
    if offset + wide > size:
        msg = f"{name} (from 0) should be at byte {offset}, the file has {size}"
        raise FrameError(_describe_damage(msg))
    file.seek(offset)
    data = file.read(wide + 24 * tag_size)
    count = layout.unpack(layout.number, data)
    if not 0 < count <= MAX_TAGS:
        msg = f"{name} (from 0) has {count_noun(count, 'tag')}; expected 1 to {MAX_TAGS}"
        raise FrameError(_describe_damage(msg))
    end = wide + count * tag_size
    if offset + end + jump > size:
        msg = f"{name} (from 0) should end at byte {offset + end + jump}, the file has {size}"
        raise FrameError(_describe_damage(msg))
    while len(data) < end + jump:
        data += file.read(end + jump - len(data))
    entries = struct.iter_unpack(layout.order + layout.tag, data[wide:end])
    tags: dict[int, tuple[int, int, bytes]] = {}
    for code, kind, length, value in entries:
        if code in _CHECKED:
            _check_tag(code, kind, name, again=code in tags)
            tags[code] = kind, length, value
    parts = max((tags[code][1] for code in _TABLES & tags.keys()), default=0)
    if parts > size:
        msg = f"{name} (from 0) has {parts} strips or tiles, the file has {size} bytes"
        raise FrameError(_describe_damage(msg))
    return _Page(tags, layout.unpack(layout.offset, data[end:]))


def _check_tag(code: int, kind: int, name: str, *, again: bool) -> None:
    """Raise if a tag is there again, or has a type that readers take in different ways."""
    if again or kind not in _NUMBERS:
        fault = "twice" if again else f"of type {kind}, expected an unsigned number"
        msg = f"{name} (from 0) has the tag {code} {fault}"
        raise FrameError(_describe_damage(msg))


def _check_size(file: BinaryIO, layout: _Layout, page: _Page, size: int, name: str) -> None:
    """Raise if a page has no pixels, or these need far more memory than its file can hold."""
    if not {_WIDTH, _LENGTH} <= page.tags.keys():
        msg = f"{name} (from 0) has no width and height"
        raise FrameError(_describe_damage(msg))
    shape = [_read_number(file, layout, page, code, default=1) for code in (_DEPTH, _LENGTH, _WIDTH, _SAMPLES)]
    bits = _read_number(file, layout, page, _BITS, default=1)
    tile = [_read_number(file, layout, page, code, default=0) for code in (_TILE_DEPTH, _TILE_LENGTH, _TILE_WIDTH)]
    taken = max(math.prod(shape), max(tile[0], 1) * tile[1] * tile[2] * shape[3]) * max(bits // 8, 1)
    plain = _read_number(file, layout, page, _COMPRESSION, default=1) in _PLAIN
    if taken > FREE_BYTES + size * (8 if plain else MAX_EXPANSION):
        pixels = " x ".join(map(str, [each for each in shape[:3] if each != 1] or [1]))
        msg = (
            f"{name} (from 0) states {pixels} pixels, which need {taken} bytes, and the file has {size}; it is "
            "damaged, or too strongly compressed: save it with several pages or files, see docs/limits.md"
        )
        raise FrameError(msg)


def _list_sub_pages(file: BinaryIO, layout: _Layout, page: _Page, size: int) -> list[int]:
    """Return the offsets of the smaller copies of a page."""
    kind, count, value = page.tags.get(_SUB_PAGES, (0, 0, b""))
    if kind not in _NUMBERS or not count:
        return []
    form = layout.order + _NUMBERS[kind]
    wide = struct.calcsize(form)
    if count * wide > len(value):
        place = layout.unpack(layout.offset, value)
        if count > MAX_TAGS or place + count * wide > size:
            msg = f"{count_noun(count, 'sub-page')} at byte {place}, the file has {size} bytes"
            raise FrameError(_describe_damage(msg))
        file.seek(place)
        value = file.read(count * wide)
    return [each for (each,) in struct.iter_unpack(form, value[: count * wide]) if each]


def _read_number(file: BinaryIO, layout: _Layout, page: _Page, code: int, *, default: int) -> int:
    """Return the first value of a tag."""
    if code not in page.tags:
        return default
    kind, count, value = page.tags[code]
    form = _NUMBERS.get(kind)
    if form is None:
        return default
    if count * struct.calcsize(layout.order + form) > len(value):
        file.seek(layout.unpack(layout.offset, value))
        value = file.read(8).ljust(8, b"\0")
    return layout.unpack(form, value)


def _describe_damage(fault: str) -> str:
    return f"the TIFF is damaged: {fault}; {CUT_SHORT}"
