"""Points as input: detections of any program, as a table, an array or a file.

A table has a row per point, and columns for the frame and the position (`gnntrack.io.point_columns`). Positions are in
voxels, unless the names of the columns or the file have a unit; the size of a voxel makes them micrometres.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gnntrack.errors import FormatError, InputError
from gnntrack.io.geff_store import GeffStore, is_geff
from gnntrack.io.point_checks import check_points, flatten_positions, warn_of_units
from gnntrack.io.point_columns import find_point_columns
from gnntrack.io.point_files import PointRows, name_columns, read_rows, take_index
from gnntrack.io.point_marks import drop_interpolated_points, drop_interpolated_rows
from gnntrack.io.point_values import RawPoints, read_values
from gnntrack.io.result_folders import EXTRAS
from gnntrack.io.submission_table import OTHER_READER, is_submission
from gnntrack.io.trackmate_xml import read_trackmate_xml
from gnntrack.pixel_sizes import expand_spacing
from gnntrack.plurals import count_noun
from gnntrack.types import PointSet

if TYPE_CHECKING:
    from gnntrack.settings import FrameSettings
    from gnntrack.types import BoolArray, Cells, FloatArray, FrameStack, IntArray

__all__ = ["LINKED_AGAIN", "check_reading", "read_points"]

_log = logging.getLogger(__name__)

LINKED_AGAIN = ": the points are linked again; 'gnntrack solve' and 'gnntrack export' use edges"
"""End of the warning about the edges of a GEFF."""
_UNITS = ("um", "pixel")
_TITLE = "points"


def read_points(
    points: object,
    *,
    settings: FrameSettings,
    unit: Literal["um", "pixel"] | None = None,
    radius: float | None = None,
    images: FrameStack | None = None,
    keep_interpolated: bool = False,
) -> PointSet:
    """Return the points of an array, a table or a file.

    Parameters
    ----------
    points : array (N, 1 + D), pandas.DataFrame or path
        Columns t, [z], y, x; a table may have more. A path is a CSV or parquet table, ``.npy``, a GEFF, or a TrackMate
        ``.xml``.
    settings : FrameSettings
        ``spacing`` is the size of a voxel in um, ``interval`` the time between two frames.
    unit : {"um", "pixel"}, optional
        Unit of the positions; by default that in the names of the columns or in the file, else voxels.
    radius : float, optional
        Radius of all points, in um if the size of a voxel is known, else in pixels, in place of that in the table.
    images : FrameStack, optional
        Images in which all points must lie; they give the size of a voxel, if `settings` does not.
    keep_interpolated : bool
        Whether points that are marked as interpolated, which no detector has found, are kept.

    Raises
    ------
    InputError
        If the points cannot be read, or (`FormatError`) a value is not usable: the message has its row and column.

    Examples
    --------
    >>> from gnntrack.settings import FrameSettings
    >>> found = read_points(np.array([[0, 5.0, 6.0], [1, 5.0, 7.0]]), settings=FrameSettings(spacing=(0.5, 0.5)))
    >>> found.frame.tolist(), found.position.tolist(), found.unit
    ([0, 1], [[2.5, 3.0], [2.5, 3.5]], 'um')
    """
    check_reading(unit, radius)
    raw = _read_raw(points, unit, settings.interval, keep_interpolated=keep_interpolated)
    raw = flatten_positions(raw, settings.spacing, images)
    spacing = _find_spacing(raw, settings, images)
    warn_of_units(raw, spacing)
    placed = _place(raw, spacing, radius)
    if images is not None:
        placed = placed._replace(n_frames=len(images), shape=tuple(images.shape))
    check_points(placed, raw, fixed=images is not None)
    return placed


def check_reading(unit: object, radius: object) -> None:
    """Raise if the unit of positions or the radius of points, as of `read_points`, cannot be.

    Raises
    ------
    InputError
        If so.
    """
    if unit not in (None, *_UNITS):
        msg = f"points_unit={unit!r}: expected 'um' or 'pixel'"
        raise InputError(msg)
    if radius is not None and not (isinstance(radius, int | float | np.number) and 0 < radius < 1e9):
        msg = f"radius={radius!r}: expected a radius above 0, in um if the size of a voxel is known, else in pixels"
        raise InputError(msg)


def _read_raw(points: object, unit: str | None, interval: float | None, *, keep_interpolated: bool) -> RawPoints:
    """Return the points of any source."""
    stored = _read_stored(points, unit)
    if stored is not None:
        return stored if keep_interpolated else drop_interpolated_points(stored)
    rows = _read_table(points, unit)
    try:
        return read_values(rows if keep_interpolated else drop_interpolated_rows(rows), unit=unit, interval=interval)
    except FormatError as error:
        if isinstance(points, str | Path) and is_submission(Path(points).expanduser()):
            msg = f"{points}: {OTHER_READER}"
            raise FormatError(msg) from error
        raise


def _read_stored(points: object, unit: str | None) -> RawPoints | None:
    """Return the points of a GEFF or a TrackMate file, None for anything else."""
    if not isinstance(points, str | Path):
        return None
    path = Path(points).expanduser()
    if path.is_dir():
        return _read_geff(_find_geff(path), unit)
    return _read_trackmate(path, unit) if path.suffix.lower() == ".xml" else None


def _read_table(points: object, unit: str | None) -> PointRows:
    """Return the table in a file, a data frame, an array or a layer of napari."""
    if isinstance(points, str | Path):
        return read_rows(Path(points).expanduser(), unit=unit)
    rows = _take_table(points, unit)
    if rows is not None:
        return rows
    layer = getattr(points, "data", None)  # napari's layer of points
    is_layer = type(points).__module__.partition(".")[0] == "napari" and layer is not None
    return name_columns(layer if is_layer else points, _TITLE)


def _take_table(points: object, unit: str | None) -> PointRows | None:
    """Return a data frame as a table, None for anything else."""
    if not hasattr(points, "columns"):
        return None
    import pandas as pd

    if not isinstance(points, pd.DataFrame):
        msg = f"{type(points).__name__} in place of points; give a pandas.DataFrame, such as points.to_pandas()"
        raise InputError(msg)
    table = take_index(points)
    columns = find_point_columns(list(table.columns), _TITLE, unit=unit)
    table.columns = [str(name) for name in table.columns]
    return PointRows(_TITLE, table, columns, "row {}".format)


def _find_geff(folder: Path) -> Path:
    """Return the GEFF that a folder is, or that a result of points holds."""
    for each in (folder, folder / EXTRAS / "lineage.geff"):
        if is_geff(each):
            return each
    msg = (
        f"{folder}: a folder without a GEFF; points are a table (.csv, .parquet, .npy), a .geff or a TrackMate .xml; "
        "images and masks are given as IMAGES and MASKS"
    )
    raise InputError(msg)


def _read_geff(path: Path, unit: str | None) -> RawPoints:
    """Return the nodes of a GEFF; its edges are not used."""
    store = GeffStore(path)
    cells, row = store.read_cells(points=True)
    if not len(cells):
        msg = f"{path}: a GEFF without nodes; points need a node each"
        raise InputError(msg)
    if len(store.edges):
        _log.warning(
            "%s: %s not used%s",
            path,
            count_noun(len(store.edges), "edge"),
            LINKED_AGAIN,
        )
    spacing, position, known = cells.spacing, cells.position, cells.unit == "um"
    if not known and spacing != (1.0,) * cells.ndim:  # a scale without a unit
        _log.warning("%s: its axes have a scale without a unit; it is taken as the size of a voxel in um", path)
        known = True
    ids = np.empty(len(row), np.int64)
    ids[row] = store.ids.astype(np.int64)
    labels = cells.label if cells.ids is None else cells.ids
    own = store.own
    return RawPoints(
        str(path),
        lambda k: f"node {ids[k]}",
        cells.frame,
        position,
        tuple("zyx"[-cells.ndim :]),
        "um" if known else (unit or "pixel"),
        named=True,
        radius=_find_feature(cells, ("radius", "diameter")),
        intensity=_find_feature(cells, ("intensity", "intensity_mean", "mean_intensity"), lowest=0),
        score=_find_feature(cells, ("score",), lowest=-np.inf),
        id=labels if own else ids,
        spacing=spacing if known else None,
        n_frames=cells.n_frames if own else None,
        shape=tuple(cells.shape) if own else None,
        interval=store.provenance.interval,
        interpolated=_find_marks(cells),
    )


def _find_marks(cells: Cells) -> BoolArray | None:
    """Return which points are marked as interpolated, None if they are not known."""
    return cells.feature("interpolated") > 0 if cells.has("interpolated") else None


def _find_feature(cells: Cells, names: tuple[str, ...], *, lowest: float = 1e-12) -> FloatArray | None:
    """Return the first of some features that there is, None if a value is missing or below the lowest."""
    name = next((name for name in names if cells.has(name)), None)
    if name is None:
        return None
    values = cells.feature(name).astype(np.float64) * (0.5 if name == "diameter" else 1)
    return values if bool((values >= lowest).all()) else None


def _read_trackmate(path: Path, unit: str | None) -> RawPoints:
    """Return the spots of a TrackMate file; its links are not used."""
    spots = read_trackmate_xml(path)
    flat = spots.shape is not None and spots.shape[0] == 1
    ndim = 2 if flat or not spots.position[:, 0].any() else 3
    ids = spots.ids
    return RawPoints(
        str(path),
        lambda k: f"spot {k if ids is None else ids[k]}",
        spots.frame,
        spots.position[:, -ndim:],
        tuple(f"POSITION_{axis}" for axis in "ZYX"[-ndim:]),
        unit or spots.unit,
        named=True,
        radius=spots.radius if bool((spots.radius > 0).all()) else None,
        radius_in_pixels=spots.unit == "pixel",
        id=ids if spots.label is None else spots.label,
        spacing=spots.spacing[-ndim:] if spots.spacing is not None and spots.unit == "um" else None,
        n_frames=spots.n_frames,
        shape=None if spots.shape is None else tuple(spots.shape[-ndim:]),
        interval=spots.interval,
        interpolated=spots.interpolated,
    )


def _find_spacing(raw: RawPoints, settings: FrameSettings, images: FrameStack | None) -> tuple[float, ...] | None:
    """Return the size of a voxel in um, None if it is not known."""
    ndim = int(raw.position.shape[1])
    if settings.spacing is not None:
        given = settings.spacing[-ndim:] if len(settings.spacing) == 3 and ndim == 2 else settings.spacing
        sizes: tuple[float, ...] = expand_spacing(given, ndim, raw.source)
        return sizes
    if images is not None and images.unit == "um":
        return tuple(float(size) for size in images.spacing)
    if raw.spacing is not None:
        return raw.spacing
    if raw.unit == "um":
        remedy = "give --spacing" if images is None else "give --spacing: images and points differ in unit"
        if images is not None:
            msg = f"{raw.source}: positions in um, and the size of a voxel of the images is not known; {remedy}"
            raise InputError(msg)
        _log.warning(
            "%s: positions in um, and the size of a voxel is not in the table: 1 um is taken; %s", raw.source, remedy
        )
        return (1.0,) * ndim
    return None


def _place(raw: RawPoints, spacing: tuple[float, ...] | None, radius: float | None) -> PointSet:
    """Return the points in um if the size of a voxel is known, else in pixels."""
    ndim = raw.position.shape[1]
    sizes = spacing or (1.0,) * ndim
    position, shape = raw.position, raw.shape
    if spacing is not None and raw.unit == "pixel":
        position = position * np.asarray(sizes)
    elif raw.spacing is not None and spacing is not None and not np.allclose(raw.spacing, sizes):
        position = position * (np.asarray(sizes) / np.asarray(raw.spacing))  # the file's voxels were of another size
    more: dict[str, Any] = {} if raw.id is None else _choose_labels(raw.id)
    return PointSet(
        raw.frame,
        position,
        sizes,
        "um" if spacing is not None else "pixel",
        radius=_choose_radii(raw, sizes[-1], radius),
        intensity=raw.intensity,
        score=raw.score,
        interval=raw.interval,
        n_frames=raw.n_frames,
        shape=shape,
        **more,
    )


def _choose_radii(raw: RawPoints, pixel: float, radius: float | None) -> FloatArray | None:
    """Return the given radius for all points, else those of the points in the unit of the positions."""
    if radius is not None:
        return np.full(len(raw.frame), float(radius))
    return raw.radius * pixel if raw.radius is not None and raw.radius_in_pixels else raw.radius


def _choose_labels(ids: IntArray) -> dict[str, IntArray]:
    """Return ids as labels if they can be that, else as ids beside numbers in each frame."""
    return {"label": ids} if ids.min(initial=1) > 0 and ids.max(initial=0) < 2**31 else {"ids": ids}
