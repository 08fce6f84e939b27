"""Masks to shapes: the surface, the form and the branches of every cell, and its mesh.

Columns, with ``u`` for the movie's unit (um or pixel); `docs/shape.md` tells what each means and where it comes from.

==================== ====== ==============================================================================
at_border                   1 where the cell touches the border of the frame, which cuts it; else 0
volume               u3     voxels times their size; in 2D ``area``, u2
surface              u2     area of the mesh; in 2D ``perimeter``, u, of the outline; holes count
sphericity                  pi^(1/3) (6 V)^(2/3) / A of the mesh, 1 = a ball; in 2D ``circularity``, 4 pi A / P^2
ramification                surface over that of a ball of the same volume, 1 = a ball; in 2D circle and perimeter
hull_volume          u3     of the convex hull of the mesh; in 2D ``hull_area``, u2
solidity                    volume of the mesh / that of its convex hull
longest_axis         u      axes of the ellipsoid (ellipse) with the same second moments
middle_axis          u      3D only
shortest_axis        u
skeleton_length      u      all branches of the skeleton together
branches                    branches of the skeleton, from end or junction to end or junction
endpoints                   where a branch ends; 2 for a rod, k for a star of k arms, 0 for a ball
junctions                   where three or more branches meet
longest_branch       u      0 where there is no branch
==================== ====== ==============================================================================

Every cell has every value, also one of a single pixel.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.errors import FormatError, FrameError, InputError, MissingDependencyError
from gnntrack.io.frames import open_masks
from gnntrack.io.output import check_output, fresh_output
from gnntrack.masks.runs import expand_runs
from gnntrack.measure.cells import measure_cells
from gnntrack.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from gnntrack.types import BoolArray, FeatureArray, FloatArray, IntArray, Progress, Runs

__all__ = ["MESH_FORMATS", "measure_shapes", "shape_columns", "write_shapes"]

MESH_FORMATS = ("ply", "obj")
"""What meshes are written as."""

_SKELETON_COLUMNS = ("skeleton_length", "branches", "endpoints", "junctions", "longest_branch")
_LEEWAY = 0.05  # a smoothed surface comes no nearer to a voxel's middle than a fifth of the way, so no thin arm is lost
_BLUR = 1.0  # voxels: steps of the mask are smoothed, cells of a few voxels keep their form
_ROUNDS = 8  # of moving a surface to the volume of its cell; two do but for cells of a few voxels
_VOLUME_ERROR = 1e-3  # by which a surface may miss the volume of its cell
_SHEET = 2**22  # voxels of a sheet of cells whose skeletons are made at once: small beside the movie

EachMesh = Callable[[int, int, "FloatArray", "IntArray"], None]


class _Crop(NamedTuple):
    """A cell in its bounding box."""

    mask: BoolArray  # (D sides of the box)
    origin: IntArray  # (D,) the box's first voxel in the frame


class _Outline(NamedTuple):
    """What a closed surface (3D) or outline (2D) encloses, and its corners."""

    content: float  # volume or area
    boundary: float  # surface or perimeter
    corners: FloatArray  # (M, D); x, y, z in 3D
    faces: IntArray | None = None  # (F, 3) rows of corners, in 3D


def shape_columns(*, ndim: int, unit: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names and units of the columns that `measure_shapes` adds.

    >>> names, units = shape_columns(ndim=2, unit="um")
    >>> dict(zip(names, units))["area"], dict(zip(names, units))["perimeter"], "middle_axis" in names
    ('um2', 'um', False)
    """
    if ndim == 2:
        columns = {"at_border": "", "area": f"{unit}2", "perimeter": unit, "circularity": "", "ramification": ""}
        columns |= {"hull_area": f"{unit}2", "solidity": "", "longest_axis": unit, "shortest_axis": unit}
    else:
        columns = {"at_border": "", "volume": f"{unit}3", "surface": f"{unit}2", "sphericity": "", "ramification": ""}
        columns |= {"hull_volume": f"{unit}3", "solidity": ""}
        columns |= {"longest_axis": unit, "middle_axis": unit, "shortest_axis": unit}
    columns |= {name: unit if name in {"skeleton_length", "longest_branch"} else "" for name in _SKELETON_COLUMNS}
    return tuple(columns), tuple(columns.values())


def measure_shapes(
    masks: object,
    *,
    settings: Settings | None = None,
    allow_missing: bool = False,
    each_mesh: EachMesh | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Measure the shape of every cell of a movie.

    Parameters
    ----------
    masks : path, array or FrameStack
        Label images ``(T, [Z], Y, X)``, anything that ``open_masks`` reads. Where it is a folder with
        ``res_track.txt`` or ``man_track.txt``, the table has a column ``track``.
    settings : Settings, optional
        Of ``frames`` and ``cells``.
    allow_missing : bool
        Take frames that are missing in the numbering for empty ones.
    each_mesh : callable, optional
        Called with (frame, label, vertices (M, 3), faces (F, 3)) for every cell of a 3D movie. Vertices are ``x, y, z``
        in the movie's unit, with 0 in the middle of the frame's first voxel; the mesh is closed, and its faces go
        round anticlockwise, seen from outside.
    progress : Progress, optional
        Told after each frame.

    Returns
    -------
    DataFrame
        A row per cell, by frame and label: ``frame``, ``label``, ``track`` (0 where the table of tracks lacks it), the
        centroid, and the columns of `shape_columns` with their units, as in ``surface_um2``.

    Raises
    ------
    FrameError
        If the masks cannot be read, or hold no cell.
    InputError
        If the spacing does not fit.
    MissingDependencyError
        If skan is not installed.
    """
    settings = settings or Settings()
    stack = open_masks(masks, spacing=settings.frames.spacing, axes=settings.frames.axes, allow_missing=allow_missing)
    _optional("skan")  # before the work, not after it
    cells, runs, _ = measure_cells(stack, settings=settings.cells, progress=progress)
    if not len(cells):
        msg = f"there is no cell in its {cells.n_frames} frames; expected masks with labels > 0"
        raise FrameError(msg, file=stack.names[0])
    parts = []
    for frame in range(cells.n_frames):
        rows = cells.rows(frame)
        crops = list(_crops(runs, frame, range(rows.start, rows.stop)))
        outlines = [_outline(crop, cells.spacing) for crop in crops]
        parts.append(_frame_columns(crops, outlines, cells.spacing, cells.shape))
        if each_mesh is not None:
            for label, outline in zip(cells.label[rows].tolist(), outlines, strict=True):
                if outline.faces is not None:
                    each_mesh(frame, label, outline.corners, outline.faces)
        if progress is not None:
            progress("shapes", frame + 1, cells.n_frames)
    values = np.concatenate(parts)

    import pandas as pd

    columns: dict[str, Any] = {"frame": cells.frame, "label": cells.label, **_tracks(masks, cells.label)}
    columns |= {f"{axis}_{cells.unit}": cells.position[:, k] for k, axis in enumerate("zyx"[-cells.ndim :])}
    for k, (name, unit) in enumerate(zip(*shape_columns(ndim=cells.ndim, unit=cells.unit), strict=True)):
        counted = name in {"at_border", "branches", "endpoints", "junctions"}
        columns[f"{name}_{unit}" if unit else name] = values[:, k].astype(np.int64) if counted else values[:, k]
    return pd.DataFrame(columns)


def write_shapes(
    masks: object,
    out: str | Path,
    *,
    cell_table: str | Path | None = None,
    meshes: str | None = None,
    settings: Settings | None = None,
    allow_missing: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Write the shapes of a movie's cells as a table, and their meshes.

    Parameters
    ----------
    masks, settings, allow_missing, progress
        As in `measure_shapes`.
    out : path
        Folder: ``cells.csv``, and ``meshes/TTT_LLLL.ply`` (frame, label) for every cell.
    cell_table : path, optional
        A CSV with columns ``frame`` and ``label``, such as ``cells.csv`` of ``gnntrack export --to csv``, or the
        folder that holds it. Its rows are kept, and the shapes appended as columns, empty where there is no mask.
    meshes : {"none", "ply", "obj"}, optional
        Format of the meshes; ``ply`` in 3D and ``none`` in 2D where it is left out.
    overwrite : bool
        Replace an earlier result.

    Returns
    -------
    DataFrame
        What was written.

    Raises
    ------
    InputError
        If there is no such format, or meshes of a 2D movie are asked for.
    FormatError
        If the cell table cannot be read, lacks a column, or does not fit the masks.
    FrameError, MissingDependencyError, OutputError
        As in `measure_shapes` and ``fresh_output``.
    """
    check_output(out, overwrite=overwrite)
    settings = settings or Settings()
    frames = settings.frames
    stack = open_masks(masks, spacing=frames.spacing, axes=frames.axes, allow_missing=allow_missing)
    kind = _mesh_format(meshes, ndim=len(stack.shape))
    beside = None if cell_table is None else _read_cell_table(Path(cell_table))

    from gnntrack.io.tables import write_csv

    with fresh_output(out, overwrite=overwrite) as place:
        place.mkdir()
        writer = None if kind == "none" else _mesh_writer(place / "meshes", kind, n_frames=len(stack))
        table = measure_shapes(
            masks, settings=settings, allow_missing=allow_missing, each_mesh=writer, progress=progress
        )
        if beside is not None:
            table = _appended(beside, table, str(cell_table))
        write_csv(table, place / "cells.csv")
    return table


def _mesh_writer(folder: Path, kind: str, *, n_frames: int) -> EachMesh:
    """Return what writes the mesh of a cell into a new folder."""
    trimesh = _optional("trimesh")
    folder.mkdir()
    digits = max(3, len(str(n_frames - 1)))

    def write(frame: int, label: int, vertices: FloatArray, faces: IntArray) -> None:
        # process=False: merging vertices that are near would open thin arms
        mesh = trimesh.Trimesh(vertices, faces, process=False)
        mesh.export(folder / f"{frame:0{digits}}_{label:04}.{kind}")

    return write


def _mesh_format(meshes: str | None, *, ndim: int) -> str:
    if meshes is None:
        return "ply" if ndim == 3 else "none"
    if meshes not in {"none", *MESH_FORMATS}:
        msg = f"meshes as '{meshes}': expected none, {' or '.join(MESH_FORMATS)}"
        raise InputError(msg)
    if ndim == 2 and meshes != "none":
        msg = f"meshes as {meshes} of a 2D movie: a flat cell has no surface; leave --meshes out, or give 3D masks"
        raise InputError(msg)
    return meshes


def _tracks(masks: object, label: IntArray) -> dict[str, IntArray]:
    """Return the column of tracks of a CTC result, whose labels are its tracks."""
    if not isinstance(masks, str | Path):
        return {}
    from gnntrack.io.ctc_table import read_track_table

    for name in ("res_track.txt", "man_track.txt"):
        path = Path(masks).expanduser() / name
        if path.is_file():
            # a piece of a torn cell (--fragments split) has a label that is no track
            return {"track": np.where(np.isin(label, read_track_table(path).id), label, 0)}
    return {}


# --- the cell table --------------------------------------------------------------------------------------------------


def _read_cell_table(path: Path) -> pd.DataFrame:
    import pandas as pd

    file = path / "cells.csv" if path.is_dir() else path
    try:
        table = pd.read_csv(file)
    except (OSError, ValueError) as error:  # what is no CSV is told as a ValueError
        msg = f"{file}: it cannot be read as a table of cells ({error}); give a cells.csv of 'gnntrack export --to csv'"
        raise FormatError(msg) from error
    for name in ("frame", "label"):
        if name not in table or table[name].dtype.kind not in "iu":
            fault = "has no column" if name not in table else "holds what is no whole number in its column"
            msg = f"{file}: it {fault} '{name}'; expected a row per cell, with the frame and the label in the masks"
            raise FormatError(msg)
    return table


def _appended(cells: pd.DataFrame, shapes: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the cell table with the columns of the shapes; empty where there is no mask."""
    added = shapes.drop(columns=[c for c in ("track", *_positions(shapes)) if c in shapes])
    twice = [column for column in added if column in cells and column not in {"frame", "label"}]
    if twice:
        msg = f"{name}: it has the column {twice[0]} already; give the table without the shapes of an earlier run"
        raise FormatError(msg)
    table = cells.merge(added, how="left", on=["frame", "label"])
    if not table["solidity"].notna().any():
        msg = (
            f"{name}: none of its {len(cells)} cells (frame, label) is in the masks; give the masks that it was made of"
        )
        raise FormatError(msg)
    return table


def _positions(table: pd.DataFrame) -> list[str]:
    return [f"{axis}_{unit}" for axis in "zyx" for unit in ("um", "pixel") if f"{axis}_{unit}" in table]


# --- one frame -------------------------------------------------------------------------------------------------------


def _crops(runs: Runs, frame: int, rows: range) -> Iterator[_Crop]:
    """Yield the cells of a frame in their boxes, in the order of the rows."""
    part = runs.frame(frame)
    order = np.argsort(runs.cell[part], kind="stable")
    start, length = runs.start[part][order], runs.length[part][order]
    bounds = np.searchsorted(runs.cell[part][order], [*rows, rows.stop])
    for first, stop in itertools.pairwise(bounds):
        lengths = length[first:stop]
        voxels = np.stack(np.unravel_index(expand_runs(start[first:stop], lengths), runs.shape))
        origin = voxels.min(1)
        mask = np.zeros(voxels.max(1) - origin + 1, bool)
        mask[tuple(voxels - origin[:, None])] = True
        yield _Crop(mask, origin)


def _frame_columns(
    crops: list[_Crop], outlines: list[_Outline], spacing: tuple[float, ...], shape: tuple[int, ...]
) -> FloatArray:
    """Return the values (n, columns) of the cells of a frame."""
    ndim = len(spacing)
    skeletons = _skeletons([crop.mask for crop in crops], spacing)
    values = []
    for crop, outline, skeleton in zip(crops, outlines, skeletons, strict=True):
        cut = (crop.origin == 0).any() or (crop.origin + crop.mask.shape == shape).any()
        content = np.count_nonzero(crop.mask) * math.prod(spacing)
        hull = _hull(outline.corners)
        # a ball (circle) has the least boundary of all that holds as much
        if ndim == 3:
            ramification = outline.boundary / (math.pi ** (1 / 3) * (6 * outline.content) ** (2 / 3))
            roundness = 1 / ramification
        else:
            ramification = outline.boundary / math.sqrt(4 * math.pi * outline.content)
            roundness = 1 / ramification**2
        form = [cut, content, outline.boundary, roundness, ramification, hull, outline.content / hull]
        values.append([*form, *_axes(crop.mask, spacing), *skeleton])
    return np.array(values, float).reshape(len(crops), len(shape_columns(ndim=ndim, unit="")[0]))


def _axes(mask: BoolArray, spacing: tuple[float, ...]) -> FloatArray:
    """Return the full axes (D,) of the ellipsoid with the same second moments, longest first.

    Along a semiaxis a, the variance is a^2 / 5 in an ellipsoid and a^2 / 4 in an ellipse; a voxel is an extended body.
    """
    ndim = len(spacing)
    places = np.argwhere(mask) * spacing
    off = places - places.mean(0)
    moments = off.T @ off / len(off) + np.diag(np.square(spacing) / 12)
    axes: FloatArray = 2 * np.sqrt((ndim + 2) * np.linalg.eigvalsh(moments)[::-1])
    return axes


def _hull(corners: FloatArray) -> float:
    from scipy.spatial import ConvexHull

    return float(ConvexHull(corners).volume)


# --- surfaces and outlines -------------------------------------------------------------------------------------------


def _outline(crop: _Crop, spacing: tuple[float, ...]) -> _Outline:
    """Return the closed boundary of a cell, smooth, and around as much as the cell's voxels hold."""
    field = _smoothed(crop.mask)
    content = np.count_nonzero(crop.mask) * math.prod(spacing)
    if len(spacing) == 2:
        return _outline_2d(field, content, spacing)
    return _surface(field, content, spacing, crop.origin)


def _smoothed(mask: BoolArray) -> FeatureArray:
    """Return the mask with a margin, blurred, but above 0.5 within the cell and below it beside the cell.

    The 0.5 surface keeps the form of the mask voxel by voxel and rounds its steps, as surface nets do
    (Gibson, MICCAI 1998). The margin closes it where the frame cuts the cell.
    """
    from scipy import ndimage

    mask = np.pad(mask, 1)
    blurred = ndimage.gaussian_filter(mask.astype(np.float32), _BLUR, mode="constant", truncate=2)
    inside, outside = np.maximum(blurred, 0.5 + _LEEWAY), np.minimum(blurred, 0.5 - _LEEWAY)
    field: FeatureArray = np.where(mask, inside, outside).astype(np.float32)
    return field


def _surface(field: FeatureArray, content: float, spacing: tuple[float, ...], origin: IntArray) -> _Outline:
    from skimage.measure import marching_cubes

    places, faces, _, _ = marching_cubes(field, 0.5, spacing=spacing)  # type: ignore[no-untyped-call]
    places = places[:, ::-1].astype(float)  # x, y, z; the mirror image turns the faces outwards
    volume, area, normals = _measured_surface(places, faces)
    for _ in range(_ROUNDS):
        step = _step(content, volume, area, spacing)
        if not step:
            break
        places = places + step * normals
        volume, area, normals = _measured_surface(places, faces)
    shift = ((origin - 1) * spacing)[::-1]  # the margin is one voxel
    return _Outline(volume, area, places + shift, faces)


def _measured_surface(places: FloatArray, faces: IntArray) -> tuple[float, float, FloatArray]:
    """Return the volume and the area of a closed mesh, and the unit normal (M, 3) of each vertex.

    The volume is that of the tetrahedra from the origin to the faces; a vertex's normal is the mean of its
    faces', weighted by their area.
    """
    a, b, c = places[faces.T]
    cross = np.cross(b - a, c - a)  # (F, 3), twice the area long
    normals = np.zeros_like(places)
    for corner in faces.T:
        for axis in range(3):
            normals[:, axis] += np.bincount(corner, cross[:, axis], minlength=len(places))
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return float((a * cross).sum() / 6), float(np.linalg.norm(cross, axis=1).sum() / 2), normals


def _outline_2d(field: FeatureArray, content: float, spacing: tuple[float, ...]) -> _Outline:
    from skimage.measure import find_contours

    # each ring is closed, its last point is its first; outer rings and holes go round in opposite ways
    rings = [ring[:-1] * spacing for ring in find_contours(field, 0.5)]  # type: ignore[no-untyped-call]
    sign = math.copysign(1, sum(map(_ring_area, rings)))
    area, length = sign * sum(map(_ring_area, rings)), sum(map(_ring_length, rings))
    for _ in range(_ROUNDS):
        step = _step(content, area, length, spacing)
        if not step:
            break
        rings = [ring + sign * step * _ring_normals(ring) for ring in rings]
        area, length = sign * sum(map(_ring_area, rings)), sum(map(_ring_length, rings))
    return _Outline(area, length, np.concatenate(rings))


def _step(wanted: float, content: float, boundary: float, spacing: tuple[float, ...]) -> float:
    """Return how far to move a boundary along its normals; 0 if it is there, a quarter of a voxel at most."""
    if abs(content - wanted) < _VOLUME_ERROR * wanted:
        return 0.0
    limit = min(spacing) / 4
    return float(np.clip((wanted - content) / boundary, -limit, limit))


def _ring_area(ring: FloatArray) -> float:
    """Return the signed area of a polygon (M, 2)."""
    after = np.roll(ring, -1, axis=0)
    return float((ring[:, 0] * after[:, 1] - ring[:, 1] * after[:, 0]).sum() / 2)


def _ring_length(ring: FloatArray) -> float:
    return float(np.linalg.norm(np.roll(ring, -1, axis=0) - ring, axis=1).sum())


def _ring_normals(ring: FloatArray) -> FloatArray:
    """Return a unit vector per point, outwards where the signed area is positive."""
    along = np.roll(ring, -1, axis=0) - np.roll(ring, 1, axis=0)
    normal = np.stack([along[:, 1], -along[:, 0]], axis=1)
    unit: FloatArray = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    return unit


# --- skeletons -------------------------------------------------------------------------------------------------------


def _skeletons(masks: list[BoolArray], spacing: tuple[float, ...]) -> FloatArray:
    """Return the columns (n, 5) of `_SKELETON_COLUMNS`.

    Cells are laid side by side on a sheet, for what a graph of a skeleton costs is mostly its start.
    """
    values = np.zeros((len(masks), len(_SKELETON_COLUMNS)))
    sheet: list[int] = []
    for cell in sorted(range(len(masks)), key=lambda cell: masks[cell].size):
        if sheet and math.prod(_sheet_shape([masks[k] for k in [*sheet, cell]])) > _SHEET:
            values[sheet] = _sheet_columns([masks[k] for k in sheet], spacing)
            sheet = []
        sheet.append(cell)
    if sheet:
        values[sheet] = _sheet_columns([masks[k] for k in sheet], spacing)
    return values


def _sheet_shape(masks: list[BoolArray]) -> tuple[int, ...]:
    sides = np.array([mask.shape for mask in masks])
    return (*(sides[:, :-1].max(0) + 2).tolist(), int((sides[:, -1] + 1).sum()) + 1)


def _sheet_columns(masks: list[BoolArray], spacing: tuple[float, ...]) -> FloatArray:
    from scipy import ndimage

    sheet = np.zeros(_sheet_shape(masks), bool)
    start = np.cumsum([1, *(mask.shape[-1] + 1 for mask in masks[:-1])])
    for mask, left in zip(masks, start.tolist(), strict=True):
        sheet[(*(slice(1, side + 1) for side in mask.shape[:-1]), slice(left, left + mask.shape[-1]))] = mask
    depth = ndimage.distance_transform_edt(sheet, sampling=spacing)
    values = np.zeros((len(masks), len(_SKELETON_COLUMNS)))
    graph = _pruned(_thinned(sheet), depth, spacing)
    if graph is None:
        return values
    n, length, ends = len(masks), graph.path_lengths(), _path_ends(graph)
    owner = np.searchsorted(start, graph.coordinates[:, -1], side="right") - 1  # of each voxel of the skeleton
    within, junctions = _junctions(graph, depth)
    path_owner = owner[ends[:, 0]]
    values[:, 0] = np.bincount(path_owner, length, minlength=n)
    values[:, 1] = np.bincount(path_owner[~within], minlength=n)
    values[:, 2] = np.bincount(owner[graph.degrees == 1], minlength=n)
    values[:, 3] = np.bincount(owner[junctions], minlength=n)
    np.maximum.at(values[:, 4], path_owner[~within], length[~within])
    return values


def _thinned(mask: BoolArray) -> BoolArray:
    """Return the skeleton by Lee's method, in 2D too: others leave corners there that would count as loops."""
    from skimage.morphology import skeletonize

    skeleton: BoolArray = skeletonize(mask, method="lee").astype(np.bool_)  # type: ignore[no-untyped-call]
    return skeleton


def _junctions(graph: Any, depth: FloatArray) -> tuple[BoolArray, IntArray]:
    """Return which paths (P,) lie within a junction, and a node (J,) of each junction.

    The arms of a thick body do not meet in one voxel: junctions of which one lies in the ball that fits into the
    cell around the other are one.
    """
    from scipy import sparse

    ends = _path_ends(graph)
    reach = depth[tuple(graph.coordinates[ends].transpose(2, 0, 1))].max(1)
    near = (graph.path_lengths() < reach) | (np.diff(graph.paths.indptr) == 2)
    within = (graph.degrees[ends] > 2).all(1) & (ends[:, 0] != ends[:, 1]) & near
    n = len(graph.degrees)
    joined = sparse.coo_array((np.ones(within.sum()), tuple(ends[within].T)), shape=(n, n))
    group = sparse.csgraph.connected_components(joined, directed=False)[1]
    forks = np.flatnonzero(graph.degrees > 2)
    return within, forks[np.unique(group[forks], return_index=True)[1]]


def _pruned(skeleton: BoolArray, depth: FloatArray, spacing: tuple[float, ...]) -> Any:
    """Return the graph (``skan.Skeleton``) of a skeleton without its twigs, None where no two voxels touch.

    A twig is a branch from a junction to an end that is shorter than the cell is deep at the junction: it does not
    leave the ball around the junction that fits into the cell, so it tells of the roughness of the outline, not of
    an arm. A branch without a junction is one if it is shorter than that ball is wide: the cell is round.
    """
    from scipy import ndimage

    skan = _optional("skan")
    box = np.ones((3,) * skeleton.ndim, np.uint8)
    while True:
        # a voxel on its own is no branch, and a skeleton of such alone has no graph
        skeleton = skeleton & (ndimage.convolve(skeleton.astype(np.uint8), box, mode="constant") > 1)
        if not skeleton.any():
            return None
        graph = skan.Skeleton(skeleton, spacing=spacing)
        ends, length = _path_ends(graph), graph.path_lengths()
        degree = graph.degrees[ends]
        room = np.where(degree.min(1) == 1, depth[tuple(graph.coordinates[ends].transpose(2, 0, 1))].max(1), 0)
        alone = np.flatnonzero((degree == 1).all(1))
        room[alone] = [2 * depth[tuple(graph.path_coordinates(path).T)].max() for path in alone]
        twigs = np.flatnonzero(length < room)
        if not len(twigs):
            return graph
        voxels = np.concatenate([graph.path(twig) for twig in twigs])
        skeleton[tuple(graph.coordinates[voxels[graph.degrees[voxels] <= 2]].T)] = False
        skeleton = _thinned(skeleton)  # the stump of a twig is a corner too many


def _path_ends(graph: Any) -> IntArray:
    """Return the first and the last node (P, 2) of each path."""
    first, last = graph.paths.indptr[:-1], graph.paths.indptr[1:] - 1
    return np.stack([graph.paths.indices[first], graph.paths.indices[last]], axis=1)


def _optional(name: str) -> Any:
    """Return an optional library; it is slow to import, and not everybody has it."""
    try:
        return import_module(name)
    except ImportError as error:
        msg = f"shapes need '{error.name}', which is not installed: pip install 'gnntrack[shape]'"
        raise MissingDependencyError(msg) from error
