"""Reader of TrackMate files (``.xml``): visible spots with their outlines, and the tracks that pass the filters.

A file is read in pieces, so that memory is needed for the numbers only. It is checked while it is read, and an error
gives the line. Document types, and with them entities, are refused: TrackMate writes none, and a few of them can make a
small file huge or read another file.

https://imagej.net/plugins/trackmate
"""

from __future__ import annotations

import math
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from xml.parsers import expat

import numpy as np

from gnntrack.durations import convert_duration
from gnntrack.errors import FormatError
from gnntrack.io.limits import MAX_FRAMES
from gnntrack.io.number_styles import describe_number, is_number
from gnntrack.io.trackmate import FARTHEST, Spots, convert_to_micrometres
from gnntrack.lengths import find_micrometres
from gnntrack.setting_kinds import is_pixel_size

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.types import BoolArray, FloatArray, IntArray

__all__ = ["read_trackmate_xml"]

_CHUNK = 1 << 20
_LONGEST_TAG = 1 << 24  # bytes
_LONGEST_OUTLINE = 1 << 24  # characters
_DEEPEST = 100
_HIGHEST_LABEL = 1_000_000
_LIMITS = {"FRAME": (0, MAX_FRAMES - 1), "RADIUS": (0, FARTHEST)}
_DEFAULTS = {"FRAME": "", "POSITION_Z": "0", "POSITION_Y": "", "POSITION_X": "", "RADIUS": "1"}  # of missing attributes


def read_trackmate_xml(path: str | Path) -> Spots:
    """Read a TrackMate file: visible spots, and the tracks that pass its filters.

    Raises
    ------
    InputError
        If there is no such file, or (`FormatError`) it is not XML, not a TrackMate file with spots, or breaks a rule of
        the format. The message gives the line.
    """
    file = Path(path)
    content = _Content(file)
    content.parse()
    return content.make_spots()


class _Content:
    """What is read of a file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._add_text
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype
        self.depth = 0
        self.rows: dict[str, int] = {}  # of spots, by their ID
        self.numbers = array("d")  # five of each spot, in the order of _DEFAULTS
        self.visible = bytearray()
        self.labels = array("q")  # 0 = none
        self.added = bytearray()  # 1 for spots that gnntrack has interpolated
        self.confidences = array("f")  # of the edges
        self.fused = bytearray()  # 1 for edges that are fusions
        self.outlines: dict[int, FloatArray] = {}
        self.edges: list[tuple[str, str, str, int]] = []  # track, source, target, line
        self.track = ""
        self.frame = ""  # of the spots that are being read, if they do not have it themselves
        self.kept: set[str] | None = None  # tracks that pass the filters
        self.about: dict[str, dict[str, str]] = {}  # attributes of Model and ImageData
        self.text: list[str] | None = None  # of the spot that is being read
        self.text_length = 0
        self.points = 0  # of its outline

    def parse(self) -> None:
        """Read the file."""
        try:
            with self.file.open("rb") as stream:
                read = 0
                while chunk := stream.read(_CHUNK):
                    read += len(chunk)
                    self.parser.Parse(chunk)
                    if read - self.parser.CurrentByteIndex > _LONGEST_TAG:
                        self._refuse(f"has a tag of more than {_LONGEST_TAG} bytes; save the file again with TrackMate")
                self.parser.Parse(b"", True)  # noqa: FBT003
        except FormatError:
            raise
        except (expat.ExpatError, ValueError, LookupError) as error:  # the latter two: encodings that expat lacks
            msg = f"{self.file}: it cannot be read as XML ({error}); save it again with TrackMate's 'Save' button"
            raise FormatError(msg) from error
        except OSError as error:
            msg = f"{self.file}: it cannot be read ({error.strerror}); check the path"
            raise FormatError(msg) from error

    def make_spots(self) -> Spots:
        """Return the spots that are visible or in an edge, and the edges."""
        if "Model" not in self.about:
            msg = f"{self.file}: an XML file without <Model>; expected a TrackMate file, with <TrackMate> and <Model>"
            raise FormatError(msg)
        links, confidence, fused = self._find_links()
        chosen = np.frombuffer(bytes(self.visible), np.uint8).astype(bool)
        chosen[links] = True
        if not chosen.any():
            msg = f"{self.file}: it holds no visible spot; detect spots in TrackMate and save again"
            raise FormatError(msg)
        numbers = np.array(self.numbers).reshape(-1, len(_DEFAULTS))[chosen]
        place = np.cumsum(chosen) - 1
        source, target = place[links].T
        outlines = {int(place[row]): outline for row, outline in self.outlines.items() if chosen[row]}
        model = self.about["Model"]
        size: dict[str, Any] = _read_image(self.about.get("ImageData", {}), model.get("timeunits", ""))
        self._check_pixels(size.get("spacing", ()), model.get("spatialunits", ""))
        frame = numbers[:, 0].astype(np.int64)
        size["ids"] = _read_ids([name for name, row in self.rows.items() if chosen[row]])
        size["label"] = _select_labels(frame, np.array(self.labels, np.int64)[chosen])
        if any(self.added):
            size["interpolated"] = np.frombuffer(bytes(self.added), np.uint8).astype(bool)[chosen]
        size["fused"] = fused if fused.any() else None
        spots = Spots(frame, numbers[:, 1:4], numbers[:, 4], source, target, outlines, confidence=confidence, **size)
        return convert_to_micrometres(spots, model.get("spatialunits", ""))

    def _check_pixels(self, spacing: tuple[float, ...], unit: str) -> None:
        """Refuse pixels of a size with which areas cannot be computed."""
        micrometres = find_micrometres(unit) or 1.0
        wrong = [each for each in spacing if not is_pixel_size(each * micrometres)]
        if wrong:
            msg = (
                f"{self.file}: pixels of {wrong[0]:g} {unit or 'pixel'}; expected 1e-9 to 1e9 um: correct pixelwidth, "
                "pixelheight and voxeldepth in <ImageData>, and spatialunits in <Model>"
            )
            raise FormatError(msg)

    def _find_links(self) -> tuple[IntArray, npt.NDArray[np.float32], BoolArray]:
        """Return the rows of both ends of each edge of the tracks that pass the filters, (L, 2), and its values.

        These are the confidence, and whether it is a fusion.
        """
        links, confidences, fused = [], [], []
        for (track, *ends, line), confidence, fusion in zip(self.edges, self.confidences, self.fused, strict=True):
            if self.kept is not None and track not in self.kept:
                continue
            unknown = [name for name in ends if name not in self.rows]
            if unknown:
                fault = f"has an edge with the spot {unknown[0]!r}, and there is none"
                self._refuse(f"{fault}; save the file again with TrackMate", line)
            links.append([self.rows[name] for name in ends])
            confidences.append(confidence)
            fused.append(fusion)
        return np.array(links, np.int64).reshape(-1, 2), np.array(confidences, np.float32), np.array(fused, bool)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self.depth == 0 and name != "TrackMate":
            fault = f"an XML file with the root <{name}>; expected a TrackMate file, with <TrackMate> and <Model>"
            msg = f"{self.file}: {fault}"
            raise FormatError(msg)
        self.depth += 1
        if self.depth > _DEEPEST:
            self._refuse(f"has elements within {_DEEPEST} others; TrackMate writes no such file")
        if name == "Spot":
            self._start_spot(attributes)
        elif name == "SpotsInFrame":
            self.frame = attributes.get("frame", "")
        elif name in {"Model", "ImageData"}:
            self.about.setdefault(name, attributes)
        else:
            self._start_track(name, attributes)

    def _start_track(self, name: str, attributes: dict[str, str]) -> None:
        """Read tracks, their edges, and the list of those that pass the filters."""
        if name == "Track":
            self.track = attributes.get("TRACK_ID", "")
        elif name == "Edge":
            ends = [attributes.get(f"SPOT_{end}_ID", "") for end in ("SOURCE", "TARGET")]
            self.edges.append((self.track, ends[0], ends[1], self.parser.CurrentLineNumber))
            self.confidences.append(_read_within(attributes.get("GNNTRACK_CONFIDENCE"), 0, 1, 1))
            self.fused.append(_read_within(attributes.get("GNNTRACK_FUSION"), 0, 1, 0) == 1)
        elif name == "FilteredTracks":
            self.kept = set()
        elif name == "TrackID" and self.kept is not None:
            self.kept.add(attributes.get("TRACK_ID", ""))

    def _start_spot(self, attributes: dict[str, str]) -> None:
        name = attributes.get("ID", "")
        if name == "" or name in self.rows:
            fault = "a spot without an ID" if name == "" else f"a second spot with the ID {name}"
            self._refuse(f"has {fault}; each spot needs its own: save the file again with TrackMate")
        self.rows[name] = len(self.rows)
        self.visible.append(attributes.get("VISIBILITY", "1") != "0")
        self.added.append(_read_within(attributes.get("INTERPOLATED"), 0, 1, 0) != 0)
        self.labels.append(int(_read_within(attributes.get("GNNTRACK_LABEL"), 0, _HIGHEST_LABEL, 0)))
        for key, default in (_DEFAULTS | {"FRAME": self.frame}).items():
            self.numbers.append(self._read_number(key, attributes.get(key) or default, name))
        points = attributes.get("ROI_N_POINTS", "0")
        self.points = int(points) if points.isascii() and points.isdigit() else 0
        self.text, self.text_length = [], 0

    def _read_number(self, key: str, text: str, spot: str) -> float:
        """Return a number of a spot within the limits of its attribute."""
        value = float(text) if is_number(text) else np.nan
        lowest, highest = _LIMITS.get(key, (-FARTHEST, FARTHEST))
        whole = key == "FRAME"
        if not lowest <= value <= highest or (whole and value != int(value)):
            given = text if is_number(text) else f"not a number ({describe_number(text)})"
            wanted = f"a {'whole number' if whole else 'number'} from {lowest:.9g} to {highest:.9g}"
            self._refuse(f"has a spot, {spot}, whose {key} is {given}; expected {wanted}: save the file again")
        return value

    def _add_text(self, text: str) -> None:
        if self.text is None:
            return
        self.text.append(text)
        self.text_length += len(text)
        if self.text_length > _LONGEST_OUTLINE:
            self._refuse(f"has an outline of more than {_LONGEST_OUTLINE} characters; save the file again")

    def _end(self, name: str) -> None:
        self.depth -= 1
        if name == "Spot" and self.text is not None:
            text, self.text = "".join(self.text).split(), None
            if text or self.points:
                self._read_outline(text)

    def _read_outline(self, text: list[str]) -> None:
        """Store an outline as y, x around the centre of its spot."""
        row = len(self.rows) - 1
        wrong = [each for each in text if not is_number(each) or not np.isfinite(float(each))]
        points = self.points or len(text) // 2
        if wrong or len(text) != 2 * points:
            fault = f"the coordinate {wrong[0]!r}" if wrong else f"{len(text)} coordinates for {points} points"
            self._refuse(f"has an outline with {fault}; expected ROI_N_POINTS pairs of x and y: save the file again")
        if points > 2:
            self.outlines[row] = np.array(text, np.float64).reshape(-1, 2)[:, ::-1]

    def _refuse_doctype(self, *_: object) -> None:
        self._refuse("has a document type (<!DOCTYPE ...>), which TrackMate does not write; remove it")

    def _refuse(self, fault: str, line: int | None = None) -> NoReturn:
        number = self.parser.CurrentLineNumber if line is None else line
        msg = f"{self.file}: line {number} {fault}"
        raise FormatError(msg)


def _read_within(text: str | None, lowest: float, highest: float, default: float) -> float:
    """Return a number of our own that TrackMate has kept; the default if it is missing or out of its limits."""
    value = float(text) if text is not None and is_number(text) else math.nan
    return value if lowest <= value <= highest else default


def _read_ids(names: list[str]) -> IntArray | None:
    """Return IDs as numbers, None if some are not."""
    plain = [name.strip() for name in names]
    whole = all(name.isdecimal() and len(name) < 19 for name in plain)
    return np.array([int(name) for name in plain], np.int64) if whole else None


def _select_labels(frame: IntArray, label: IntArray) -> IntArray | None:
    """Return the labels if each spot has one that differs from those of its frame."""
    if not (label > 0).all() or len(np.unique(np.column_stack([frame, label]), axis=0)) < len(label):
        return None
    return label


def _read_image(about: dict[str, str], time: str) -> dict[str, object]:
    """Return size, pixel size and interval of the images, without those that are missing or 0."""
    numbers = {name: float(text) for name, text in about.items() if is_number(text) and np.isfinite(float(text))}
    shape = [int(numbers.get(name, 0)) for name in ("nslices", "height", "width")]
    spacing = [numbers.get(name, 0.0) for name in ("voxeldepth", "pixelheight", "pixelwidth")]
    found: dict[str, object] = {}
    if all(each > 0 for each in shape):
        found["shape"] = tuple(shape)
    if all(each > 0 for each in spacing):
        found["spacing"] = tuple(spacing)
    if numbers.get("nframes", 0) > 0:
        found["n_frames"] = int(numbers["nframes"])
    interval = convert_duration(numbers.get("timeinterval"), time)
    if interval is not None:
        found["interval"] = interval
    return found
