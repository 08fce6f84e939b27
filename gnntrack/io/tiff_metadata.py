"""Metadata of TIFFs by OME, ImageJ and Micro-Manager: pixel size, frame interval and channels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.durations import convert_duration
from gnntrack.io.stack import Acquisition

if TYPE_CHECKING:
    from xml.etree import ElementTree

__all__ = ["count_planes", "names_depth", "read_acquisition", "read_voxel"]

_PLACE = re.compile(r"\b[czt]:\d+/\d+\b", re.IGNORECASE)  # in labels of slices: c:1/2 z:1/5 t:1/12


def read_voxel(tif: Any) -> tuple[dict[str, float | None], dict[str, str | None]]:
    """Return the sizes and units of a voxel in OME or ImageJ metadata, by axis.

    The resolution of other TIFFs is that of a printer or a screen and is not used.
    """
    if tif.is_ome:
        known = _find_ome_pixels(tif).attrib
        sizes = {axis: _parse_number(known.get(f"PhysicalSize{axis.upper()}")) for axis in "zyx"}
        return sizes, {axis: known.get(f"PhysicalSize{axis.upper()}Unit", "um") for axis in "zyx"}
    if tif.is_imagej:
        notes, tags = tif.imagej_metadata or {}, tif.pages[0].tags
        sizes = {axis: _read_pixel_size(tags.get(f"{axis.upper()}Resolution")) for axis in "yx"}
        return {**sizes, "z": _parse_number(notes.get("spacing", 1.0))}, dict.fromkeys(
            "zyx", str(notes.get("unit") or "")
        )
    return {}, {}


def names_depth(tif: Any) -> bool:
    """Return whether OME or ImageJ metadata have the distance between slices."""
    if tif.is_ome:
        return "PhysicalSizeZ" in _find_ome_pixels(tif).attrib
    return bool(tif.is_imagej) and "spacing" in (tif.imagej_metadata or {})


def count_planes(tif: Any) -> tuple[int, int]:
    """Return the numbers of slices and channels in the OME metadata of a file; 1 and 1 without such metadata."""
    known = _find_ome_pixels(tif).attrib if tif.is_ome else {}
    slices, channels = (int(_parse_number(known.get(size)) or 1) for size in ("SizeZ", "SizeC"))
    return slices, channels


def read_acquisition(tif: Any) -> Acquisition:
    """Return the names of the channels and the frame interval of an open TIFF, as far as they are known.

    The interval is that of OME's ``TimeIncrement``, else the median step of the planes' ``DeltaT``, or ImageJ's
    ``finterval``. Names of channels are those of OME, of Micro-Manager, or ImageJ's labels of the slices.
    """
    if tif.is_ome:
        pixels = _find_ome_pixels(tif)
        return Acquisition(_read_ome_channels(pixels), _read_ome_interval(pixels))
    if tif.is_micromanager:
        summary = (tif.micromanager_metadata or {}).get("Summary") or {}
        names = summary.get("ChNames") or ()
        interval = convert_duration(summary.get("Interval_ms"), "ms")
        if names or interval:
            return Acquisition(tuple(map(str, names)), interval)
    if tif.is_imagej:
        notes = tif.imagej_metadata or {}
        interval = convert_duration(notes.get("finterval"), str(notes.get("tunit") or "sec"))
        return Acquisition(_read_slice_labels(notes), interval)
    return Acquisition()


def _find_ome_pixels(tif: Any) -> ElementTree.Element:
    """Return the pixels of the first image of OME metadata: its sizes, channels and planes."""
    from xml.etree import ElementTree

    elements = ElementTree.fromstring(tif.ome_metadata).iter()
    return next(_select(elements, "Pixels"), ElementTree.Element("Pixels"))


def _select(elements: Iterable[ElementTree.Element], name: str) -> Any:
    """Yield the elements of a name, in any namespace."""
    return (element for element in elements if element.tag.rpartition("}")[2] == name)


def _read_ome_channels(pixels: ElementTree.Element) -> tuple[str, ...]:
    """Return the name of each channel, else its dye or wavelength; one that has none of them is empty."""
    found = []
    for channel in _select(pixels, "Channel"):
        known: Mapping[str, str] = channel.attrib
        found.append(known.get("Name") or known.get("Fluor") or known.get("EmissionWavelength") or "")
    return tuple(found)


def _read_ome_interval(pixels: ElementTree.Element) -> float | None:
    interval = convert_duration(pixels.get("TimeIncrement"), pixels.get("TimeIncrementUnit", "s"))
    if interval is not None:
        return interval
    first: dict[int, float] = {}  # time of each frame: that of its first plane
    for plane in _select(pixels, "Plane"):
        frame, time = _parse_number(plane.get("TheT")), _parse_number(plane.get("DeltaT"))
        if frame is not None and time is not None:
            first[int(frame)] = min(time, first.get(int(frame), time))
    frames = np.array(sorted(first))
    if len(frames) < 2:
        return None
    unit = next((plane.get("DeltaTUnit", "s") for plane in _select(pixels, "Plane")), "s")
    steps = np.diff([first[frame] for frame in frames]) / np.diff(frames)
    return convert_duration(float(np.median(steps)), unit)


def _read_slice_labels(notes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the labels of the first frame's channels in ImageJ metadata; () unless they name the channels."""
    labels: str | Sequence[str] = notes.get("Labels") or ()
    labels = [labels] if isinstance(labels, str) else list(labels)
    count = int(notes.get("channels") or 1)
    names = [_PLACE.sub("", label.splitlines()[0] if label else "").strip(" -;,") for label in labels[:count]]
    return tuple(names) if len(names) == len(set(names)) == count and all(names) else ()


def _read_pixel_size(tag: Any) -> float | None:
    """Return the size of a pixel from ImageJ's pixels per unit, a fraction."""
    if tag is None or not all(tag.value):
        return None
    pixels, units = tag.value
    return float(units / pixels)


def _parse_number(text: Any) -> float | None:
    try:
        return None if text is None else float(text)
    except (TypeError, ValueError):
        return None
