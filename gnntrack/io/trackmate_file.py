"""A lineage as a TrackMate file (``.xml``), which TrackMate 7 and later open with *Load a TrackMate file*.

A cell is a spot: with its outline if it is 2D and has a mask, else a disc or ball of its size. A link is an edge,
forward in time; a gap is an edge over several frames. TrackMate's track is a family: all cells that links connect,
with their divisions. Every value of a spot, edge or track is a number, since TrackMate's reader takes nothing else.
Values that TrackMate does not have by itself (track, label, confidence, measurements) are declared as further features.

https://imagej.net/plugins/trackmate
"""

from __future__ import annotations

import math
import re
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.errors import OutputError
from gnntrack.io.output import fresh_output
from gnntrack.io.spot_sizes import find_radius
from gnntrack.io.trackmate_layout import SPOT_FEATURES, Feature, declare_features, list_settings
from gnntrack.io.trackmate_tracks import find_places, measure_tracks
from gnntrack.masks.outlines import Outlines, trace_outlines
from gnntrack.masks.runs import decode_frame
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from gnntrack.types import Cells, FloatArray, Lineage, Runs

__all__ = ["Simplification", "write_trackmate"]

_VERSION = "7.11.1"  # of TrackMate, whose layout of the file this is
_MOST_SPOTS = 2**31 - 1  # IDs are 32-bit integers
_RADIUS = 5.0  # pixels, of cells whose size is not known
_DIMENSIONS = {"um": "LENGTH", "pixel": "LENGTH", "um2": "AREA", "pixel2": "AREA", "rad": "ANGLE", "grey": "INTENSITY"}
_TAKEN = {feature.key for feature in SPOT_FEATURES} | {"ID", "NAME", "ROI_N_POINTS", "TRACK_ID"}


class Simplification(NamedTuple):
    """Numbers of cells whose mask is not wholly in the file."""

    several_pieces: int = 0
    """Cells in several pieces; the outline is that of the largest one."""
    holes: int = 0
    """Cells with a hole; the outline encloses it."""


def write_trackmate(
    lineage: Lineage, path: str | Path, *, runs: Runs | None = None, overwrite: bool = False
) -> Simplification:
    """Write a lineage as a TrackMate file, frame by frame.

    Parameters
    ----------
    lineage : Lineage
        Any lineage. Lengths are in um if its unit is um, else in pixels; times are in seconds if the frame interval is
        known, else in frames.
    path : path
        The file; TrackMate expects the suffix ``.xml``.
    runs : Runs, optional
        Pixels of the cells, for outlines of 2D cells; runs of other rows are not used.
    overwrite : bool
        Replace an older file.

    Returns
    -------
    Simplification
        Numbers of cells whose mask is simplified.

    Raises
    ------
    OutputError
        If the file exists, cannot be written, or there are more cells than TrackMate can number.

    Examples
    --------
    >>> import tempfile, gnntrack, pathlib
    >>> masks = np.zeros((3, 20, 20), np.uint8)
    >>> masks[:, 5:11, 5:11] = 7
    >>> file = pathlib.Path(tempfile.mkdtemp(), "tracks.xml")
    >>> write_trackmate(gnntrack.track(masks=masks), file)
    Simplification(several_pieces=0, holes=0)
    >>> file.read_text().count("<Spot "), file.read_text().count("<Edge ")
    (3, 2)
    """
    if len(lineage.cells) > _MOST_SPOTS:
        cells = count_noun(len(lineage.cells), "cell")
        msg = f"{path}: {cells}; TrackMate numbers at most {_MOST_SPOTS} spots, so write a GEFF"
        raise OutputError(msg)
    spots = _SpotLines(lineage, runs if lineage.cells.ndim == 2 else None)
    with fresh_output(path, overwrite=overwrite) as place, place.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in _list_lines(lineage, spots))
    return spots.simplified


def _list_lines(lineage: Lineage, spots: _SpotLines) -> Iterator[str]:
    """Yield the file line by line."""
    interval = lineage.provenance.interval
    space, time = "micron" if lineage.cells.unit == "um" else "pixel", "frame" if interval is None else "sec"
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield f'<TrackMate version="{_VERSION}">'
    yield "  <Log>Written by gnntrack. A track is a family: all cells that links connect.</Log>"
    yield f'  <Model spatialunits="{space}" timeunits="{time}">'
    yield from declare_features((*SPOT_FEATURES, *spots.features.values()))
    yield from spots.list_lines()
    yield from _list_tracks(lineage)
    yield "  </Model>"
    yield from list_settings(lineage.cells, interval)
    yield "</TrackMate>"


class _SpotLines:
    """The lines of the spots, with outlines if there are runs."""

    def __init__(self, lineage: Lineage, runs: Runs | None) -> None:
        self.lineage, self.runs = lineage, runs
        self.features = _name_features(lineage.cells)
        self.simplified = Simplification()
        self._places = find_places(lineage.cells)
        self._radius = _choose_radius(lineage.cells)

    def list_lines(self) -> Iterator[str]:
        """Yield the lines, frame by frame."""
        cells = self.lineage.cells
        yield f'    <AllSpots nspots="{len(cells)}">'
        for frame in range(cells.n_frames):
            rows = cells.rows(frame)
            if rows.stop > rows.start:
                yield f'      <SpotsInFrame frame="{frame}">'
                yield from self._list_spots(frame, rows)
                yield "      </SpotsInFrame>"
        yield "    </AllSpots>"

    def _list_spots(self, frame: int, rows: slice) -> Iterator[str]:
        lineage, cells = self.lineage, self.lineage.cells
        time = frame * (lineage.provenance.interval or 1)
        outlines = {} if self.runs is None else self._trace(self.runs, frame, rows)
        keys = [feature.key for feature in self.features.values()]  # in the order of the columns
        columns = dict(zip(keys, cells.features[rows].T, strict=True))
        measured = _list_attributes(columns) if columns else repeat("")
        for row, attributes in zip(range(rows.start, rows.stop), measured, strict=bool(columns)):
            z, y, x = self._places[row].tolist()
            start = (
                f'        <Spot ID="{row}" name="{lineage.track[row]}" QUALITY="1.0" POSITION_X="{x:.9g}" '
                f'POSITION_Y="{y:.9g}" POSITION_Z="{z:.9g}" POSITION_T="{time:.9g}" FRAME="{frame}" '
                f'RADIUS="{self._radius[row]:.6g}" VISIBILITY="1" GNNTRACK_TRACK="{lineage.track[row]}" '
                f'GNNTRACK_LABEL="{cells.label[row]}"{attributes}'
            )
            outline = outlines.get(row)
            yield f"{start} />" if outline is None else f"{start}{self._format_outline(row, outline)}"

    def _trace(self, runs: Runs, frame: int, rows: slice) -> dict[int, FloatArray]:
        """Return the outline of each cell of a frame in pixels, (P, 2), by its row."""
        here = runs.frame(frame)
        value = runs.cell[here] - rows.start + 1
        found = trace_outlines(decode_frame(runs.shape, runs.start[here], runs.length[here], value, np.int32))
        self._count(found)
        bounds = zip((found.label + rows.start - 1).tolist(), found.offsets[:-1], found.offsets[1:], strict=True)
        return {row: found.points[start:end] for row, start, end in bounds}

    def _count(self, found: Outlines) -> None:
        pieces, holes = self.simplified
        self.simplified = Simplification(pieces + int((found.pieces > 1).sum()), holes + int(found.holes.sum()))

    def _format_outline(self, row: int, outline: FloatArray) -> str:
        """Return the end of a spot with its outline: x and y of the corners, from the centre of the spot."""
        cells = self.lineage.cells
        corners = (outline * np.array(cells.spacing) - cells.position[row])[:, ::-1].ravel()
        text = " ".join(f"{value:.6g}" for value in corners.tolist())  # without a space in front: TrackMate fails on it
        return f' ROI_N_POINTS="{len(outline)}">{text}</Spot>'


def _list_tracks(lineage: Lineage) -> Iterator[str]:
    """Yield the lines of tracks with their edges, and the list of tracks that are shown: all."""
    edges, tracks, offsets = measure_tracks(lineage)
    ids = tracks["TRACK_ID"].tolist()
    starts, lines = _list_attributes(tracks), _list_attributes(edges)
    yield "    <AllTracks>"
    for k, (name, start) in enumerate(zip(ids, starts, strict=True)):
        yield f'      <Track name="Track_{name}"{start}>'
        yield from (f"        <Edge{next(lines)} />" for _ in range(offsets[k], offsets[k + 1]))
        yield "      </Track>"
    yield "    </AllTracks>"
    yield "    <FilteredTracks>"
    yield from (f'      <TrackID TRACK_ID="{name}" />' for name in ids)
    yield "    </FilteredTracks>"


def _list_attributes(columns: Mapping[str, npt.NDArray[np.generic]]) -> Iterator[str]:
    """Yield the attributes of each row of some columns; numbers that are not finite are omitted.

    >>> list(_list_attributes({"A": np.array([1, 2]), "B": np.array([0.25, np.nan])}))
    [' A="1" B="0.25"', ' A="2"']
    """
    parts = [f' {key}="%{"d" if column.dtype.kind in "iu" else ".7g"}"' for key, column in columns.items()]
    whole = "".join(parts)
    finite = np.all([np.isfinite(column) for column in columns.values()], axis=0).tolist()
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    for good, row in zip(finite, rows, strict=True):
        if good:
            yield whole % row
        else:
            yield "".join(part % value for part, value in zip(parts, row, strict=True) if math.isfinite(value))


def _choose_radius(cells: Cells) -> FloatArray:
    """Return the radius of each cell, (N,); that of a usual spot where it is not known."""
    radius = find_radius(cells)
    return np.where(np.isnan(radius), _RADIUS * float(cells.spacing[-1]), radius)


def _name_features(cells: Cells) -> dict[str, Feature]:
    """Return how the features of the cells are declared: upper case, without the names that TrackMate uses itself.

    >>> from gnntrack.types import Cells
    >>> cells = Cells([0], [1], [[0, 0]], [[1, 2]], ("size", "mean GFP"), ("um2", "grey"), (1, 1), 1, (9, 9))
    >>> [feature.key for feature in _name_features(cells).values()]
    ['AREA', 'MEAN_GFP']
    """
    named: dict[str, Feature] = {}
    taken = set(_TAKEN)
    for name, unit in zip(cells.feature_names, cells.feature_units, strict=True):
        plain = "AREA" if name == "size" and cells.ndim == 2 else re.sub(r"[^A-Z0-9_]", "_", name.upper())
        key = plain if plain[:1].isalpha() else f"F_{plain}"
        while key in taken:
            key += "_"
        taken.add(key)
        named[name] = Feature(key, name.replace("_", " "), _DIMENSIONS.get(unit, "NONE"))
    return named
