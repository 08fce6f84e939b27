"""Checks of the XML of an OME-TIFF before tifffile makes a list of all pages that it states."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnntrack.errors import FrameError
from gnntrack.io.limits import MAX_PAGES
from gnntrack.io.tiff_pages import check_pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree import ElementTree

__all__ = ["check_ome", "check_other_files", "list_other_files"]


def check_ome(tif: Any) -> None:
    """Raise if the OME metadata of an open TIFF have a document type, or state more pages than a TIFF may have.

    Raises
    ------
    FrameError
        With the number of pages and its element.
    ParseError
        If the metadata are not XML.
    """
    if not tif.is_ome:
        return
    if "<!DOCTYPE" in tif.ome_metadata:  # in which entities may stand for any amount of text
        msg = "its OME metadata have a document type (<!DOCTYPE ...>), which OME does not use; save the file again"
        raise FrameError(msg)
    from xml.etree import ElementTree

    pages, pixels = len(tif.pages), max(tif.pages.first.size, 1)
    read = 0.0
    for element in ElementTree.fromstring(tif.ome_metadata).iter():
        name = element.tag.rpartition("}")[2]
        for stated in _list_counts(element, name, pages, pixels):
            read += stated if name == "TiffData" else 0
            if not max(stated, read) <= MAX_PAGES:  # also of NaN
                msg = f"its OME metadata state {max(stated, read):.0f} pages (<{name}>); expected at most {MAX_PAGES}"
                raise FrameError(msg)


def _list_counts(element: ElementTree.Element, name: str, pages: int, pixels: int) -> Iterator[float]:
    """Yield the numbers of pages for which tifffile takes memory."""
    known = element.attrib
    if name == "Pixels":
        sizes = [abs(int(known.get(f"Size{axis}", 1))) for axis in "XYZCT"]
        yield math.prod(sizes[2:])
        yield math.prod(sizes) // pixels
    elif name == "TiffData":
        yield int(known.get("PlaneCount", known.get("NumPlanes", 1 if "IFD" in known or len(element) else pages)))
    elif name.startswith("ModuloAlong") and "Start" in known:
        start, end, step = (float(known.get(key, 1)) for key in ("Start", "End", "Step"))
        yield (end - start) / step + 2


def list_other_files(tif: Any) -> set[str]:
    """Return the names of the files of an OME-TIFF in several files, its own included."""
    return set(re.findall(r'FileName="([^"]+)"', tif.ome_metadata)) if tif.is_ome else set()


def check_other_files(tif: Any, path: Path) -> None:
    """Check the files that a file names, which tifffile opens by itself.

    Raises
    ------
    FrameError
        If one of them lies in another folder, or its pages are damaged.
    """
    for name in sorted(list_other_files(tif) - {path.name}):
        other = path.parent / name
        if other.is_file() and (Path(name).is_absolute() or ".." in Path(name).parts):
            msg = f"its metadata name a file in another folder, {name}; expected files beside it"
            raise FrameError(msg)
        if other.is_file():
            check_pages(other)
