"""Columns of tables of points, found by their names in the spelling of many programs.

TrackMate, Mastodon, trackpy, napari's points, StarDist and scikit-image centroids, DaXi, laptrack, and the tables of
gnntrack: ``t, z, y, x``, ``POSITION_X``, ``axis-0``, ``centroid-1``, ``Spot position X (um)``, ``y_pixel`` and so on.
Capitals, spaces and underscores make no difference.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from gnntrack.durations import is_duration_unit
from gnntrack.errors import FormatError
from gnntrack.io.delimited import TextTable, list_columns
from gnntrack.lengths import find_micrometres

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PointColumn", "PointColumns", "find_point_columns"]

_FRAME = (
    *("frame", "t", "timepoint", "time_point", "frame_index", "frame_id", "frame_number", "time_index", "timestep"),
    *("time_step", "spot_frame", "position_t", "time"),
)
_PLACES = (
    *("{}", "position_{}", "pos_{}", "spot_position_{}", "centroid_{}", "{}_centroid", "weighted_centroid_{}"),
    *("center_{}", "centre_{}", "{}_center", "{}_position", "{}_coordinate", "coord_{}", "{}m"),
)
_RADIUS = ("radius", "spot_radius", "r")
_DIAMETER = ("diameter", "estimated_diameter", "equivalent_diameter", "equivalent_diameter_area")
_INTENSITY = (
    *("intensity", "intensity_mean", "mean_intensity", "mean_intensity_ch1", "intensity_mean_ch1", "brightness"),
    *("signal", "mass"),
)
_SCORE = ("score", "quality", "probability", "prob")
_ID = ("id", "point_id", "spot_id", "node_id", "cell_id", "label", "index")
_INTERPOLATED = ("interpolated", "dummy")
_PIXELS = {"px", "pixel", "pixels", "vx", "voxel", "voxels"}
_LENGTHS = {"um", "micron", "microns", "micrometer", "micrometers", "micrometre", "micrometres", "nm", "mm"}
_ARRAY_AXES = re.compile(r"axis_(\d)")
_CENTROIDS = re.compile(r"(?:weighted_)?centroid_([012])")


class PointColumn(NamedTuple):
    """A column of a table."""

    name: str
    """As in the table."""
    stem: str
    """Its name in lower case, without its unit."""
    unit: str = ""
    """The unit in its name, such as ``um``, ``px`` or ``s``; nothing if it has none."""

    @property
    def is_pixel(self) -> bool:
        """Whether its unit is a pixel."""
        return self.unit in _PIXELS

    @property
    def micrometres(self) -> float | None:
        """Micrometres in its unit; None if the unit is not a length."""
        return find_micrometres(self.unit) if self.unit in _LENGTHS else None


class PointColumns(NamedTuple):
    """The columns of a table of points by their role; None if a table lacks it."""

    frame: PointColumn
    axes: tuple[PointColumn, ...]
    """Positions along ``[z], y, x``."""
    radius: PointColumn | None
    """A radius, or a diameter: then its stem contains ``diameter``."""
    intensity: PointColumn | None
    score: PointColumn | None
    id: PointColumn | None
    time: PointColumn | None = None
    """Times beside a column of frames."""
    interpolated: PointColumn | None = None
    """Marks of points that were added in gaps."""

    @property
    def names(self) -> list[str]:
        """The names of all of them."""
        found = [self.frame, *self.axes, self.radius, self.intensity, self.score, self.id, self.time]
        found.append(self.interpolated)
        return list(dict.fromkeys(column.name for column in found if column is not None))

    @property
    def of_trackmate(self) -> bool:
        """Whether positions have TrackMate's names, whose unit is that of the images: um, unless they have none."""
        return self.axes[-1].stem == "position_x"


def find_point_columns(names: Sequence[object], source: str, *, unit: str | None = None) -> PointColumns:
    """Return the columns of a table of points.

    Parameters
    ----------
    names : sequence
        Names of the columns.
    source : str
        The table in messages.
    unit : {"um", "pixel"}, optional
        Which positions are taken if the table has both; by default those in um.

    Raises
    ------
    FormatError
        If there are no columns for the frame, y and x, or two of a name.

    Examples
    --------
    >>> found = find_point_columns(["ID", "POSITION_X", "POSITION_Y", "FRAME", "RADIUS"], "spots.csv")
    >>> [column.name for column in found.axes], found.frame.name, found.id.name
    (['POSITION_Y', 'POSITION_X'], 'FRAME', 'ID')
    >>> [column.name for column in find_point_columns(["index", "axis-0", "axis-1", "axis-2"], "points.csv").axes]
    ['axis-1', 'axis-2']
    >>> find_point_columns(["frame", "y"], "points.csv")
    Traceback (most recent call last):
    gnntrack.errors.FormatError: points.csv: no column for x; points need frame (or t), y and x, in 3D z too; ...
    """
    columns = [_parse_name(str(name)) for name in names]
    frame = _find(columns, _FRAME, source)
    axes = _find_axes(columns, source, unit)
    if frame is None or len(axes) < 2:
        arrays = sorted((column for column in columns if _ARRAY_AXES.fullmatch(column.stem)), key=_get_stem)
        if len(arrays) in (3, 4) and len(axes) < 2:  # napari's points: the first axis is the time
            frame, axes = (arrays[0], arrays[1:]) if frame is None else (frame, arrays)
    if frame is None or len(axes) < 2:
        raise FormatError(_describe_absent(columns, frame, axes, source))
    others = {role: _find(columns, known, source) for role, known in _OTHERS.items()}
    return PointColumns(frame, tuple(axes), **others, time=_find_times(columns, frame))


_OTHERS = {
    "radius": (*_RADIUS, *_DIAMETER),
    "intensity": _INTENSITY,
    "score": _SCORE,
    "id": _ID,
    "interpolated": _INTERPOLATED,
}


def _find_times(columns: Sequence[PointColumn], frame: PointColumn) -> PointColumn | None:
    """Return the column of times beside one of frames."""
    times = (column for column in columns if column.stem == "position_t" or is_duration_unit(column.unit))
    return next(times, None) if "frame" in frame.stem else None


def _parse_name(name: str) -> PointColumn:
    """Return a column with the parts of its name.

    >>> _parse_name("Spot position X (µm)"), _parse_name("y_px").unit
    (PointColumn(name='Spot position X (µm)', stem='spot_position_x', unit='um'), 'px')
    """
    plain = name.strip().lower().replace("µ", "u").replace("μ", "u")
    words = [word for word in re.split(r"[^a-z0-9]+", plain) if word]
    if len(words) > 1 and (words[-1] in _PIXELS or words[-1] in _LENGTHS):
        return PointColumn(name, "_".join(words[:-1]), words[-1])
    if len(words) == 2 and words[0] in {"t", "time"} and is_duration_unit(words[1]):
        return PointColumn(name, words[0], words[1])
    return PointColumn(name, "_".join(words))


def _get_stem(column: PointColumn) -> str:
    return column.stem


def _find(columns: Sequence[PointColumn], stems: Sequence[str], source: str) -> PointColumn | None:
    """Return the column with the first of these stems that there is."""
    for stem in stems:
        found = [column for column in columns if column.stem == stem]
        if len(found) > 1 and len({column.unit for column in found}) < len(found):
            names = "' and '".join(column.name for column in found)
            msg = f"{source}: the columns '{names}' have one name; delete or rename all but one"
            raise FormatError(msg)
        if found:
            return next((column for column in found if column.micrometres is not None), found[0])
    return None


def _find_axes(columns: Sequence[PointColumn], source: str, unit: str | None) -> list[PointColumn]:
    """Return the columns of positions along ``[z], y, x``; fewer than two if there are none."""
    best: list[PointColumn] = []
    for group in _group_by_unit(columns, unit):
        for place in _PLACES:
            found = [_find(group, [place.format(axis)], source) for axis in "zyx"]
            known = [column for column in found if column is not None]
            if found[1] is not None and found[2] is not None:
                _refuse_other_unit(columns, known, place.format("z"), source)
                return known
            best = max(best, known, key=len)
        numbered = sorted((column for column in group if _CENTROIDS.fullmatch(column.stem)), key=_get_stem)
        if len(numbered) in (2, 3):
            return numbered
    return best if len(best) < 2 else best[1:]  # of z and y, or z and x


def _refuse_other_unit(columns: Sequence[PointColumn], axes: Sequence[PointColumn], stem: str, source: str) -> None:
    """Raise if y and x are found, and a z in another unit."""
    other = next((column for column in columns if column.stem == stem), None)
    if len(axes) == 2 and other is not None:
        msg = (
            f"{source}: the columns '{other.name}' and '{axes[-1].name}' are in different units; convert and rename one"
            " of them"
        )
        raise FormatError(msg)


def _group_by_unit(columns: Sequence[PointColumn], unit: str | None) -> list[list[PointColumn]]:
    """Return the columns with a length in their names, those without, and those in pixels; the wanted unit first."""
    groups = {
        "um": [column for column in columns if column.micrometres is not None],
        "none": [column for column in columns if not column.unit],
        "pixel": [column for column in columns if column.is_pixel],
    }
    order = {"pixel": ("pixel", "none", "um")}.get(unit or "", ("um", "none", "pixel"))
    return [groups[name] for name in order]


def _describe_absent(
    columns: Sequence[PointColumn], frame: PointColumn | None, axes: Sequence[PointColumn], source: str
) -> str:
    """Return the message for a table without frame or positions."""
    given = {column.stem[-1:] for column in axes}
    absent = ["frame"] * (frame is None) + [axis for axis in "yx" if axis not in given]
    return (
        f"{source}: no column for {', '.join(absent)}; points need frame (or t), y and x, in 3D z too; "
        f"{list_columns(TextTable([column.name for column in columns], [], []))}"
    )
