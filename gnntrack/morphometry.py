"""The recipe of ``gnntrack shape``: masks to a table of shapes, and to meshes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.errors import FormatError, FrameError, InputError
from gnntrack.io.frames import open_frames
from gnntrack.io.mask_checks import CheckOptions, check_masks
from gnntrack.io.output import fresh_output, try_output
from gnntrack.measure.cells import measure_cells
from gnntrack.measure.flatness import measure_flatness, warn_of_cubes
from gnntrack.measure.shapes import measure_shapes
from gnntrack.measure.skeletons import import_optional
from gnntrack.plurals import count_noun
from gnntrack.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from gnntrack.measure.shapes import EachMesh
    from gnntrack.types import FloatArray, FrameStack, IntArray, Progress

__all__ = ["MESH_FORMATS", "tabulate_shapes", "write_shapes"]

MESH_FORMATS = ("ply", "obj")
"""File formats of meshes."""

_TABLE_REMEDY = "give the masks of the table: for the table of a result, the folder of the result, such as 01_RES"


def tabulate_shapes(
    masks: object,
    *,
    settings: Settings | None = None,
    each_mesh: EachMesh | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Measure the shape of every cell of a movie.

    Parameters
    ----------
    masks : path, array or FrameStack
        Label images ``(T, [Z], Y, X)``, any source that ``open_masks`` reads. If it is a folder with
        ``res_track.txt`` or ``man_track.txt``, the table has a column ``track``. A result of gnntrack has its size of
        a voxel in ``summary.json``, which is used if `settings` has none.
    settings : Settings, optional
        ``frames`` and ``cells`` are used.
    each_mesh : callable, optional
        See `measure_shapes`.
    progress : Progress, optional
        Called after each frame.

    Returns
    -------
    DataFrame
        The table of `measure_shapes`, with ``track`` (0 if the label is not in the table of tracks) after ``label``.

    Raises
    ------
    FrameError
        If the masks cannot be read, or contain no cells.
    InputError
        If the spacing does not fit.
    MissingDependencyError
        If skan is not installed.

    Examples
    --------
    >>> masks = np.zeros((2, 8, 8), np.uint8)
    >>> masks[1, 2:6, 2:7] = 3
    >>> table = tabulate_shapes(masks)
    >>> table[["frame", "label", "area_pixel2"]].to_numpy().tolist()
    [[1.0, 3.0, 20.0]]
    """
    settings = settings or Settings()
    stack = _open_masks(masks, settings)
    import_optional("skan")  # raises before the work starts
    cells, runs, _ = measure_cells(stack, settings=settings.cells, progress=progress)
    if not len(cells):
        msg = f"the masks of {count_noun(cells.n_frames, 'frame')} contain no cells; expected labels > 0"
        raise FrameError(msg, file=stack.names[0])
    warn_of_cubes(stack, measure_flatness(cells), result="lengths and surfaces")
    table = measure_shapes(cells, runs, each_mesh=each_mesh, progress=progress)
    track = _find_tracks(masks, cells.label)
    if track is not None:
        table.insert(2, "track", track)
    return table


def write_shapes(
    masks: object,
    out: str | Path,
    *,
    cell_table: str | Path | None = None,
    meshes: str | None = None,
    settings: Settings | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Write the shapes of a movie's cells as a table, and in 3D their meshes.

    Parameters
    ----------
    masks, settings, progress
        As in `tabulate_shapes`.
    out : path
        Folder for ``cells.csv``, and ``meshes/TTT_LLLL.ply`` (frame, label) for every cell.
    cell_table : path, optional
        A CSV with columns ``frame`` and ``label``, such as ``cells.csv`` of ``gnntrack export --to csv``, or the
        folder with this file. Its rows are kept, and the shapes are appended as columns, empty for cells without
        mask.
    meshes : {"none", "ply", "obj"}, optional
        Format of the meshes, default ``ply`` in 3D and ``none`` in 2D.
    overwrite : bool
        Replace an earlier result.

    Returns
    -------
    DataFrame
        The table in ``cells.csv``.

    Raises
    ------
    InputError
        If the format is unknown, or meshes of a 2D movie are requested.
    FormatError
        If the cell table cannot be read, lacks a column, or does not fit the masks.
    FrameError, MissingDependencyError, OutputError
        As in `tabulate_shapes` and ``fresh_output``.

    Examples
    --------
    >>> import tempfile
    >>> masks = np.zeros((1, 8, 8), np.uint8)
    >>> masks[0, 2:6, 2:6] = 3
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = write_shapes(masks, Path(folder) / "shapes")
    >>> table["area_pixel2"].tolist()
    [16.0]
    """
    try_output(out, overwrite=overwrite)
    settings = settings or Settings()
    stack = open_frames(masks, **settings.frames.select_for_masks())
    kind = _choose_mesh_format(meshes, ndim=len(stack.shape))
    known = None if cell_table is None else _read_cell_table(Path(cell_table))

    from gnntrack.io.tables import write_csv

    with fresh_output(out, overwrite=overwrite) as place:
        place.mkdir()
        writer = None if kind == "none" else _make_mesh_writer(place / "meshes", kind, n_frames=len(stack))
        table = tabulate_shapes(masks, settings=settings, each_mesh=writer, progress=progress)
        if known is not None:
            table = _append_shapes(known, table, str(cell_table))
        write_csv(table, place / "cells.csv")
    return table


def _open_masks(masks: object, settings: Settings) -> FrameStack:
    """Open masks, and check that they are label images."""
    frames = settings.frames
    checks = CheckOptions(frames.background, frames.trust_masks, settings.cells.fragments != "keep")
    return check_masks(open_frames(masks, **frames.select_for_masks()), checks)


def _make_mesh_writer(folder: Path, kind: str, *, n_frames: int) -> EachMesh:
    """Return a function that writes the mesh of a cell into a new folder."""
    trimesh = import_optional("trimesh")
    folder.mkdir()
    digits = max(3, len(str(n_frames - 1)))

    def write(frame: int, label: int, vertices: FloatArray, faces: IntArray) -> None:
        # process=False: merging close vertices would open thin arms
        mesh = trimesh.Trimesh(vertices, faces, process=False)
        mesh.export(folder / f"{frame:0{digits}}_{label:04}.{kind}")

    return write


def _choose_mesh_format(meshes: str | None, *, ndim: int) -> str:
    """Return the format of the meshes, or "none"; raise if it is unknown or the movie is 2D."""
    if meshes is None:
        return "ply" if ndim == 3 else "none"
    if meshes not in {"none", *MESH_FORMATS}:
        msg = f"meshes as '{meshes}': expected none, {' or '.join(MESH_FORMATS)}"
        raise InputError(msg)
    if ndim == 2 and meshes != "none":
        msg = f"meshes as {meshes} of a 2D movie: cells in 2D have no surface; omit --meshes, or give 3D masks"
        raise InputError(msg)
    return meshes


def _find_tracks(masks: object, label: IntArray) -> IntArray | None:
    """Return the track of each cell if the masks are a CTC result, whose labels are tracks; else None."""
    if not isinstance(masks, str | Path):
        return None
    from gnntrack.io.ctc_table import read_track_table

    for name in ("res_track.txt", "man_track.txt"):
        path = Path(masks).expanduser() / name
        if path.is_file():
            # a fragment with a label of its own (--fragments split) is not a track
            return np.where(np.isin(label, read_track_table(path).id), label, 0)
    return None


# --- the cell table --------------------------------------------------------------------------------------------------


def _read_cell_table(path: Path) -> pd.DataFrame:
    """Read a table of cells with whole numbers in the columns ``frame`` and ``label``."""
    import pandas as pd

    file = path / "cells.csv" if path.is_dir() else path
    try:
        table = pd.read_csv(file)
    except (OSError, ValueError) as error:  # pandas raises ValueError for files that are not CSV
        msg = f"{file}: it cannot be read as a table of cells ({error}); give a cells.csv of 'gnntrack export --to csv'"
        raise FormatError(msg) from error
    for name in ("frame", "label"):
        if name not in table or table[name].dtype.kind not in "iu":
            fault = "has no column" if name not in table else "has values that are not whole numbers in column"
            msg = f"{file}: it {fault} '{name}'; expected a row per cell, with the frame and the label in the masks"
            raise FormatError(msg)
    return table


def _append_shapes(cells: pd.DataFrame, shapes: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the cell table with the columns of the shapes, which are empty for cells without a mask."""
    added = shapes.drop(columns=[c for c in ("track", *_list_positions(shapes)) if c in shapes])
    twice = [column for column in added if column in cells and column not in {"frame", "label"}]
    if twice:
        msg = f"{name}: it has the column {twice[0]} already; give the table without the shapes of an earlier run"
        raise FormatError(msg)
    table = cells.merge(added, how="left", on=["frame", "label"])
    if not table["solidity"].notna().any():
        number = count_noun(len(cells), "cell")
        msg = f"{name}: none of its {number} has its frame and label in the masks; {_TABLE_REMEDY}"
        raise FormatError(msg)
    _check_positions(cells, shapes, name)
    return table


def _check_positions(cells: pd.DataFrame, shapes: pd.DataFrame, name: str) -> None:
    """Raise if most cells of the table lie outside the cell that has their frame and label in the masks."""
    axes = [axis for axis in _list_positions(shapes) if axis in cells and cells[axis].dtype.kind in "fiu"]
    both = cells[["frame", "label", *axes]].merge(shapes, on=["frame", "label"], suffixes=("", "_masks"))
    if not axes or both.empty:
        return
    reach = both[next(each for each in map(str, both) if each.startswith("longest_axis_"))].to_numpy() / 2
    moves = both[axes].to_numpy() - both[[f"{axis}_masks" for axis in axes]].to_numpy()
    away = np.linalg.norm(moves, axis=1) > np.maximum(reach, 1e-3)
    if 2 * away.sum() <= len(both):
        return
    cell = both[away].iloc[0]
    msg = (
        f"{name}: the masks are not those of the table: {away.sum()} of {count_noun(len(both), 'cell')} are elsewhere, "
        f"such as label {cell['label']:.0f} in frame {cell['frame']:.0f}; {_TABLE_REMEDY}"
    )
    raise FormatError(msg)


def _list_positions(table: pd.DataFrame) -> list[str]:
    """Return the columns of centroids in a table."""
    return [f"{axis}_{unit}" for axis in "zyx" for unit in ("um", "pixel") if f"{axis}_{unit}" in table]
