"""Spots and links of TrackMate (Fiji), and its CSV tables of spots and edges; `trackmate_xml` reads its files.

Lengths are converted to micrometres if the file has another unit of length. TrackMate's edges may run backwards in time
or join more than two spots; see `gnntrack.importing` for the rules of a lineage. Format:
https://imagej.net/plugins/trackmate.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.errors import FormatError
from gnntrack.io.delimited import find_columns, list_columns, read_delimited
from gnntrack.io.limits import MAX_FRAMES
from gnntrack.io.number_styles import describe_number, is_number
from gnntrack.lengths import find_micrometres
from gnntrack.plurals import choose_form, count_noun

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from gnntrack.io.delimited import TextTable
    from gnntrack.types import BoolArray, FloatArray, IntArray

__all__ = ["FARTHEST", "Spots", "convert_to_micrometres", "is_trackmate_table", "read_trackmate_csv"]

FARTHEST = 1e9  # um or pixels, far beyond any image
_DEFAULTS = {"FRAME": "", "POSITION_Z": "0", "POSITION_Y": "", "POSITION_X": "", "RADIUS": "1"}  # of empty fields
_NEEDED = ("ID", "FRAME", "POSITION_X", "POSITION_Y", "TRACK_ID")
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
    label : (N,) int64, optional
        Label of each spot, different from those of its frame, in a file of gnntrack.
    confidence : (L,) float32, optional
        Confidence of each link, in a file of gnntrack; 1 for links that were added since.
    fused : (L,) bool, optional
        Links that are fusions, in a file of gnntrack.
    ids : (N,) int64, optional
        ID of each spot, if all are whole numbers.
    interpolated : (N,) bool, optional
        Spots that gnntrack has added in gaps, in a file of gnntrack.
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
    label: IntArray | None = None
    confidence: npt.NDArray[np.float32] | None = None
    fused: BoolArray | None = None
    ids: IntArray | None = None
    interpolated: BoolArray | None = None


def is_trackmate_table(path: Path, table: TextTable) -> bool:
    """Return whether a table has the columns of TrackMate's table of spots.

    Raises
    ------
    FormatError
        If it has one of them twice.
    """
    return len(find_columns(path, table, _NEEDED)) == len(_NEEDED)


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
    absent = [name for name in _NEEDED if name not in table.columns]
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


def _make_spots(file: Path, table: list[dict[str, str]], edges: list[tuple[str, str]], *, unit: str) -> Spots:
    """Return spots from rows of text."""
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
    return convert_to_micrometres(Spots(frame, position, radius, ends[:, 0], ends[:, 1]), unit)


def convert_to_micrometres(spots: Spots, unit: str) -> Spots:
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
    if frame.min() < 0 or frame.max() >= MAX_FRAMES or (frame != np.rint(frame)).any():
        wrong = frame[(frame < 0) | (frame >= MAX_FRAMES) | (frame != np.rint(frame))][0]
        msg = f"{file}: frame {wrong:g}; expected whole numbers from 0 to {MAX_FRAMES - 1}; correct the column FRAME"
        raise FormatError(msg)
    if np.abs(numbers[:, 1:]).max() > FARTHEST or numbers[:, 4].min() < 0:
        msg = f"{file}: a position or radius is above {FARTHEST:g}, or a radius below 0; export the file again"
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
