"""Spots and links of TrackMate (Fiji): its XML file, and its CSV tables of spots and edges.

Lengths are converted to micrometres if the file has another unit of length. TrackMate's edges may run backwards in time
or join more than two spots; see `gnntrack.importing` for the rules of a lineage. Format:
https://imagej.net/plugins/trackmate.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.durations import convert_duration
from gnntrack.errors import FormatError
from gnntrack.io.delimited import find_columns, list_columns, read_delimited
from gnntrack.io.number_styles import describe_number, is_number
from gnntrack.lengths import find_micrometres
from gnntrack.plurals import choose_form, count_noun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gnntrack.types import FloatArray, IntArray

__all__ = ["Spots", "read_trackmate_csv", "read_trackmate_xml"]

_MOST_FRAMES = 1_000_000
_FARTHEST = 1e9  # um or pixels, far beyond any image
_DEFAULTS = {"FRAME": "", "POSITION_Z": "0", "POSITION_Y": "", "POSITION_X": "", "RADIUS": "1"}  # of empty fields
_NO_TRACK = {"", "none", "nan", "null"}


@dataclass(frozen=True)
class Spots:
    """Spots of a movie and the links between them.

    Parameters
    ----------
    frame : (N,) int64
        Frame of each spot, from 0.
    position : (N, 3) float64
        Centre along z, y, x, in `unit`.
    radius : (N,) float64
        Radius in `unit`.
    source, target : (L,) int64
        Rows of the spots of each link, in the order of the file.
    outlines : dict
        Row of a spot -> its outline (P, 2) as y, x around its centre, if the file has outlines.
    shape : (Z, Y, X) ints, optional
        Size of the images in pixels.
    spacing : (z, y, x) floats, optional
        Size of a pixel in `unit`.
    n_frames : int, optional
        Frames of the movie.
    unit : str
        ``"um"``, or ``"pixel"`` for anything else.
    interval : float, optional
        Seconds from a frame to the next.
    """

    frame: IntArray
    position: FloatArray
    radius: FloatArray
    source: IntArray
    target: IntArray
    outlines: dict[int, FloatArray] = field(default_factory=dict)
    shape: tuple[int, ...] | None = None
    spacing: tuple[float, ...] | None = None
    n_frames: int | None = None
    unit: str = "pixel"
    interval: float | None = None


def read_trackmate_xml(path: str | Path) -> Spots:
    """Read a TrackMate file: visible spots, and the tracks that pass its filters.

    Raises
    ------
    FormatError
        If it is not XML, or not a TrackMate file with spots.
    """
    file = Path(path)
    root = _parse_xml(file)
    model = root.find("Model")
    if root.tag != "TrackMate" or model is None:
        msg = f"{file}: an XML file with the root <{root.tag}>; expected a TrackMate file, with <TrackMate> and <Model>"
        raise FormatError(msg)
    edges = list(_list_edges(model))
    spots = _list_spots(model, edges)
    if not spots:
        msg = f"{file}: it holds no visible spot; detect spots in TrackMate and save again"
        raise FormatError(msg)
    table = [{name: spot.get(name, "") for name in (*_DEFAULTS, "ID")} for spot in spots]
    outlines = {row: outline for row, outline in enumerate(map(_read_outline, spots)) if outline is not None}
    image = root.find("Settings/ImageData")
    about = {} if image is None else image.attrib
    unit, time = model.get("spatialunits", ""), model.get("timeunits", "")
    return _make_spots(file, table, edges, outlines=outlines, unit=unit, about=about, time=time)


def read_trackmate_csv(path: str | Path, edges: str | Path | None = None) -> Spots:
    """Read TrackMate's table of spots, and its table of edges if it is given.

    Without edges, a spot is linked with the nearest spot of its track in the frame before it.

    Raises
    ------
    FormatError
        If a file has not the columns of TrackMate's tables.
    """
    file = Path(path)
    table = _read_table(file, (*_DEFAULTS, "ID", "TRACK_ID"), "ID")
    needed = ("ID", "FRAME", "POSITION_X", "POSITION_Y", "TRACK_ID")
    absent = [name for name in needed if name not in table.columns]
    if absent:
        msg = (
            f"{file}: no column {', '.join(absent)}; expected TrackMate's table of spots (in its last panel: 'Spots', "
            f"'Export to CSV'), or with --masks a table with the columns frame, label, track; {table.found}"
        )
        raise FormatError(msg)
    spots = _make_spots(file, table.rows, [] if edges is None else list(_read_edges(Path(edges))), unit=table.unit)
    if edges is not None:
        return spots
    source, target = _find_nearest_links(spots, [row["TRACK_ID"] for row in table.rows])
    return replace(spots, source=source, target=target)


def _parse_xml(file: Path) -> ET.Element:
    try:
        return ET.parse(file).getroot()  # expat loads no entities of other files
    except ET.ParseError as error:
        msg = f"{file}: it cannot be read as XML ({error}); save it again with TrackMate's 'Save' button"
        raise FormatError(msg) from error


def _list_spots(model: ET.Element, edges: list[tuple[str, str]]) -> list[ET.Element]:
    """Return the spots that are visible or in an edge."""
    linked = {name for edge in edges for name in edge}
    every = model.iterfind("AllSpots/SpotsInFrame/Spot")
    return [spot for spot in every if spot.get("VISIBILITY", "1") != "0" or spot.get("ID") in linked]


def _list_edges(model: ET.Element) -> Iterator[tuple[str, str]]:
    """Yield the spots of each edge of the tracks that pass the filters."""
    filtered = model.find("FilteredTracks")
    kept = None if filtered is None else {each.get("TRACK_ID") for each in filtered.iterfind("TrackID")}
    for track in model.iterfind("AllTracks/Track"):
        if kept is not None and track.get("TRACK_ID") not in kept:
            continue
        for edge in track.iterfind("Edge"):
            yield edge.get("SPOT_SOURCE_ID", ""), edge.get("SPOT_TARGET_ID", "")


def _read_outline(spot: ET.Element) -> FloatArray | None:
    """Return the outline of a spot as y, x around its centre, (P, 2), or None if the file has none."""
    numbers = (spot.text or "").split()
    if len(numbers) < 6 or len(numbers) % 2:
        return None
    try:
        return np.array(numbers, np.float64).reshape(-1, 2)[:, ::-1]
    except ValueError:
        return None


class _Table(NamedTuple):
    columns: list[str]
    rows: list[dict[str, str]]
    unit: str
    """Unit of lengths."""
    found: str
    """The columns in words."""


def _read_table(file: Path, names: tuple[str, ...], key: str) -> _Table:
    """Return a table of TrackMate, whose first rows may be further headings and the units."""
    table = read_delimited(file)
    known = find_columns(file, table, names)
    rows = [{name: row[column].strip() for name, column in known.items()} for row in table.rows]
    numbered = [is_number(row.get(key, "")) for row in rows]
    first = numbered.index(True) if any(numbered) else len(rows)
    units = [row["POSITION_X"].strip("() ") for row in rows[:first] if row.get("POSITION_X", "").startswith("(")]
    for line, row, good in zip(table.lines[first:], rows[first:], numbered[first:], strict=True):
        _check_key(file, line, row, key, good=good)
    kept = [row for row, good in zip(rows, numbered, strict=True) if good]
    return _Table(list(known), kept, (units or ["um"])[0], list_columns(table))


def _check_key(file: Path, line: int, row: dict[str, str], key: str, *, good: bool) -> None:
    """Refuse a row of numbers without a number as its ID; rows of text are headings again."""
    if good or not is_number(row.get("FRAME", row.get("SPOT_TARGET_ID", ""))):
        return
    given = describe_number(row[key])
    msg = f"{file}: line {line} has a value that is not a number in {key}: {given}; export the table again"
    raise FormatError(msg)


def _read_edges(file: Path) -> Iterator[tuple[str, str]]:
    table = _read_table(file, ("SPOT_SOURCE_ID", "SPOT_TARGET_ID"), "SPOT_SOURCE_ID")
    if len(table.columns) < 2:
        msg = (
            f"{file}: no columns SPOT_SOURCE_ID and SPOT_TARGET_ID; expected TrackMate's table of edges; {table.found}"
        )
        raise FormatError(msg)
    for row in table.rows:
        yield row["SPOT_SOURCE_ID"], row["SPOT_TARGET_ID"]


def _make_spots(
    file: Path,
    table: list[dict[str, str]],
    edges: list[tuple[str, str]],
    *,
    outlines: dict[int, FloatArray] | None = None,
    unit: str,
    about: dict[str, str] | None = None,
    time: str = "",
) -> Spots:
    """Return spots from rows of text, and from the description of the images in a TrackMate file."""
    frame, position, radius = _read_numbers(file, table)
    known = {row["ID"]: k for k, row in enumerate(table)}
    if len(known) < len(table) or "" in known:
        msg = (
            f"{file}: {count_noun(len(table), 'spot')} {choose_form(len(table), 'has', 'have')} "
            f"{count_noun(len(known), 'ID')}; each needs its own: save or export again with TrackMate"
        )
        raise FormatError(msg)
    unknown = [name for edge in edges for name in edge if name not in known]
    if unknown:
        msg = f"{file}: an edge names spot {unknown[0]}, and there is none; export spots and edges of the same tracking"
        raise FormatError(msg)
    ends = np.array([[known[name] for name in edge] for edge in edges], np.int64).reshape(-1, 2)
    size = _read_image(about, time)
    found = Spots(frame, position, radius, ends[:, 0], ends[:, 1], outlines or {}, **size)  # type: ignore[arg-type]
    return _convert(found, unit)


def _convert(spots: Spots, unit: str) -> Spots:
    """Return spots in micrometres, as they are if the unit is not a length."""
    micrometres = find_micrometres(unit)
    if micrometres is None:
        return spots
    return replace(
        spots,
        position=spots.position * micrometres,
        radius=spots.radius * micrometres,
        outlines={row: outline * micrometres for row, outline in spots.outlines.items()},
        spacing=None if spots.spacing is None else tuple(side * micrometres for side in spots.spacing),
        unit="um",
    )


def _read_numbers(file: Path, table: list[dict[str, str]]) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return frame (N,), position (N, 3) and radius (N,) of rows of text."""
    values = [_parse_row(file, row) for row in table]
    if not values:
        msg = f"{file}: it holds no spot; detect spots in TrackMate and export again"
        raise FormatError(msg)
    numbers = np.array(values, np.float64).reshape(-1, len(_DEFAULTS))
    if not np.isfinite(numbers).all():
        msg = f"{file}: a frame, position or radius is not finite; export the file again"
        raise FormatError(msg)
    frame = numbers[:, 0]
    if frame.min() < 0 or frame.max() >= _MOST_FRAMES or (frame != np.rint(frame)).any():
        wrong = frame[(frame < 0) | (frame >= _MOST_FRAMES) | (frame != np.rint(frame))][0]
        msg = f"{file}: frame {wrong:g}; expected whole numbers from 0 to {_MOST_FRAMES - 1}; correct the column FRAME"
        raise FormatError(msg)
    if np.abs(numbers[:, 1:]).max() > _FARTHEST or numbers[:, 4].min() < 0:
        msg = f"{file}: a position or radius is above {_FARTHEST:g}, or a radius below 0; export the file again"
        raise FormatError(msg)
    return frame.astype(np.int64), numbers[:, 1:4], numbers[:, 4]


def _parse_row(file: Path, row: dict[str, str]) -> list[float]:
    texts = {name: row.get(name) or default for name, default in _DEFAULTS.items()}
    wrong = [name for name, text in texts.items() if not is_number(text)]
    if wrong:
        given = f"{wrong[0]} of spot {row['ID']} is {describe_number(texts[wrong[0]])}"
        msg = f"{file}: a frame, position or radius is not a number ({given}); export the file again"
        raise FormatError(msg)
    return [float(text) for text in texts.values()]


def _read_image(about: dict[str, str] | None, time: str) -> dict[str, object]:
    """Return size, pixel size and interval of the images in a TrackMate file, without those that are missing or 0."""
    numbers = _parse_numbers(about or {})
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


def _parse_numbers(attributes: dict[str, str]) -> dict[str, float]:
    """Return the attributes that are finite numbers."""
    numbers = {name: float(text) for name, text in attributes.items() if is_number(text)}
    return {name: value for name, value in numbers.items() if np.isfinite(value)}


def _find_nearest_links(spots: Spots, track: list[str]) -> tuple[IntArray, IntArray]:
    """Return links from each spot of a track to the nearest one of its track in the last frame before it."""
    groups: dict[str, list[int]] = {}
    for row, name in enumerate(track):
        if name.strip().lower() not in _NO_TRACK:
            groups.setdefault(name, []).append(row)
    links = []
    for rows in groups.values():
        frames = sorted({int(spots.frame[row]) for row in rows})
        before: list[int] = []
        for frame in frames:
            now = [row for row in rows if spots.frame[row] == frame]
            for row in now if before else ():
                away = np.linalg.norm(spots.position[before] - spots.position[row], axis=1)
                links.append((before[int(np.argmin(away))], row))
            before = now
    ends = np.array(links, np.int64).reshape(-1, 2)
    return ends[:, 0], ends[:, 1]
