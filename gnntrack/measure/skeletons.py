"""Skeletons of cells: lengths, branches, ends and junctions."""

from __future__ import annotations

import math
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.compiled import compile_function
from gnntrack.errors import explain_missing
from gnntrack.measure.thinning import thin_volume

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, FloatArray, IntArray

__all__ = [
    "SKELETON_COLUMNS",
    "import_optional",
    "measure_skeletons",
    "merge_junctions",
    "prune_skeleton",
    "thin_mask",
]

SKELETON_COLUMNS = ("skeleton_length", "branches", "endpoints", "junctions", "longest_branch")
"""Columns of `measure_skeletons`, see `gnntrack.measure.shapes`."""

_SHEET = 2**22  # voxels of a sheet of cells whose skeletons are computed at once: small compared with the movie
_DETOUR = 2  # a path in 3D within a junction may be longer than straight by this factor
_CROSSING = 1.5  # arms in 3D that cross at any angle meet within the ball enlarged by this factor
_CORNER = 1.2  # in 3D the corners of a flat end are farther from a junction than the middle of the end


def measure_skeletons(masks: list[BoolArray], spacing: tuple[float, ...]) -> FloatArray:
    """Measure the skeletons of cells.

    Parameters
    ----------
    masks : list of bool arrays
        Each cell in its bounding box, 2D or 3D.
    spacing : D floats
        Size of a pixel along ``[z], y, x``.

    Returns
    -------
    (n, 5) float64
        The columns of `SKELETON_COLUMNS`; lengths in the unit of `spacing`.

    Raises
    ------
    MissingDependencyError
        If skan is not installed.

    Notes
    -----
    Thinning in 2D by Lee, Kashyap and Chu (CVGIP 1994), in 3D by `gnntrack.measure.thinning.thin_volume`; the graph of
    the skeleton is built by skan (Nunez-Iglesias et al., PeerJ 2018). Cavities of a cell in 3D are filled
    before, because their walls have no medial lines. Cells are placed side by side on a sheet, because most of the time
    for a graph is overhead.

    Examples
    --------
    A cross of four arms, each 5 pixels long:

    >>> cross = np.zeros((11, 11), bool)
    >>> cross[5] = cross[:, 5] = True
    >>> dict(zip(SKELETON_COLUMNS, measure_skeletons([cross], (1.0, 1.0))[0].tolist()))["endpoints"]
    4.0
    """
    values = np.zeros((len(masks), len(SKELETON_COLUMNS)))
    sheet: list[int] = []
    for cell in sorted(range(len(masks)), key=lambda cell: masks[cell].size):
        if sheet and math.prod(_compute_sheet_shape([masks[k] for k in [*sheet, cell]])) > _SHEET:
            values[sheet] = _measure_sheet([masks[k] for k in sheet], spacing)
            sheet = []
        sheet.append(cell)
    if sheet:
        values[sheet] = _measure_sheet([masks[k] for k in sheet], spacing)
    return values


def _compute_sheet_shape(masks: list[BoolArray]) -> tuple[int, ...]:
    """Return the shape of a sheet with the masks side by side along x, one pixel apart."""
    sides = np.array([mask.shape for mask in masks])
    return (*(sides[:, :-1].max(0) + 2).tolist(), int((sides[:, -1] + 1).sum()) + 1)


def _measure_sheet(masks: list[BoolArray], spacing: tuple[float, ...]) -> FloatArray:
    """Return the columns (n, 5) of cells that share a sheet."""
    from scipy import ndimage

    sheet = np.zeros(_compute_sheet_shape(masks), bool)
    start = np.cumsum([1, *(mask.shape[-1] + 1 for mask in masks[:-1])])
    for mask, left in zip(masks, start.tolist(), strict=True):
        sheet[(*(slice(1, side + 1) for side in mask.shape[:-1]), slice(left, left + mask.shape[-1]))] = mask
    if sheet.ndim == 3:
        sheet = ndimage.label(~sheet)[0] != 1  # piece 1 is the margin, others are cavities
    depth = ndimage.distance_transform_edt(sheet, sampling=spacing)
    values = np.zeros((len(masks), len(SKELETON_COLUMNS)))
    graph = prune_skeleton(thin_mask(sheet, depth, spacing), depth, spacing)
    if graph is None:
        return values
    n, length, ends = len(masks), _measure_lengths(graph, depth), _get_path_ends(graph)
    owner = np.searchsorted(start, graph.coordinates[:, -1], side="right") - 1  # of each voxel of the skeleton
    within, junctions = merge_junctions(graph, depth)
    path_owner = owner[ends[:, 0]]
    values[:, 0] = np.bincount(path_owner, length, minlength=n)
    values[:, 1] = np.bincount(path_owner[~within], minlength=n)
    values[:, 2] = np.bincount(owner[graph.degrees == 1], minlength=n)
    values[:, 3] = np.bincount(owner[junctions], minlength=n)
    np.maximum.at(values[:, 4], path_owner[~within], length[~within])
    return values


def thin_mask(mask: BoolArray, depth: FloatArray, spacing: tuple[float, ...]) -> BoolArray:
    """Return the skeleton of a mask.

    In 2D by Lee's method, because other methods leave corners that count as loops. In 3D scikit-image's version of it
    removes bars of even thickness, see `gnntrack.measure.thinning`.

    Parameters
    ----------
    mask : bool array
        Bodies with a margin.
    depth : array of the same shape
        Distance of each pixel to the outside of its cell, in the unit of `spacing`.
    spacing : D floats
        Size of a pixel.
    """
    from skimage.morphology import skeletonize

    if mask.ndim == 3:
        return thin_volume(mask, depth, spacing)
    skeleton: BoolArray = skeletonize(mask, method="lee").astype(np.bool_)  # type: ignore[no-untyped-call]
    return skeleton


def merge_junctions(graph: Any, depth: FloatArray) -> tuple[BoolArray, IntArray]:
    """Return which paths (P,) lie within a junction, and one node (J,) of each junction.

    The arms of a thick body do not meet in one voxel. Two junctions are merged if one lies in the largest ball
    around the other that fits into the cell. In 3D the ball is that of the deepest voxel between them, enlarged.

    Parameters
    ----------
    graph : skan.Skeleton
        The skeleton.
    depth : array
        Distance of each pixel of the sheet to the outside of its cell, in the unit of the spacing.
    """
    from scipy import sparse

    ends, length = _get_path_ends(graph), graph.path_lengths()
    reach = depth[tuple(graph.coordinates[ends].transpose(2, 0, 1))].max(1)
    near = (length < reach) | (np.diff(graph.paths.indptr) == 2)
    if depth.ndim == 3:
        voxel = max(graph.spacing)
        deepest = np.maximum.reduceat(depth[tuple(graph.coordinates[graph.paths.indices].T)], graph.paths.indptr[:-1])
        reach = 2 * voxel + _CROSSING * np.maximum(deepest - voxel, 0)
        near |= (_measure_straight(graph) < reach) & (length < _DETOUR * reach)
    within = (graph.degrees[ends] > 2).all(1) & (ends[:, 0] != ends[:, 1]) & near
    n = len(graph.degrees)
    joined = sparse.coo_array((np.ones(within.sum()), tuple(ends[within].T)), shape=(n, n))
    group = sparse.csgraph.connected_components(joined, directed=False)[1]
    forks = np.flatnonzero(graph.degrees > 2)
    return within, forks[np.unique(group[forks], return_index=True)[1]]


def prune_skeleton(skeleton: BoolArray, depth: FloatArray, spacing: tuple[float, ...]) -> Any:
    """Return the graph (``skan.Skeleton``) of a skeleton without its twigs, None if no two voxels touch.

    A twig is a branch from a junction to an end that is shorter than the depth of the cell at the junction: it stays
    in the largest ball around the junction that fits into the cell, so its cause is a rough outline and not an arm. In
    3D the length is that of the straight line, less one voxel, and the corners of a flat end are twigs, too.
    A branch without a junction is a twig if it is shorter than the diameter of that ball: the cell is round.

    Parameters
    ----------
    skeleton : bool array
        As returned by `thin_mask`.
    depth : array of the same shape
        Distance of each pixel to the outside of its cell, in the unit of `spacing`.
    spacing : D floats
        Size of a pixel.
    """
    from scipy import ndimage

    skan = import_optional("skan")
    box = np.ones((3,) * skeleton.ndim, np.uint8)
    while True:
        # a single voxel is not a branch, and skan needs at least one branch
        skeleton = skeleton & (ndimage.convolve(skeleton.astype(np.uint8), box, mode="constant") > 1)
        if not skeleton.any():
            return None
        graph = skan.Skeleton(skeleton, spacing=spacing)
        ends, length = _get_path_ends(graph), graph.path_lengths()
        degree = graph.degrees[ends]
        room = np.where(degree.min(1) == 1, depth[tuple(graph.coordinates[ends].transpose(2, 0, 1))].max(1), 0)
        alone = np.flatnonzero((degree == 1).all(1))
        if skeleton.ndim == 3:  # chains of voxels zigzag, and ends are rounded to voxels
            straight = (_measure_straight(graph) - max(spacing)) / _CORNER
            length = np.where((degree.min(1) == 1) & (degree.max(1) > 1), straight, length)
        room[alone] = [2 * depth[tuple(graph.path_coordinates(path).T)].max() for path in alone]
        twigs = np.flatnonzero(length < room)
        if not len(twigs):
            return graph
        voxels = np.concatenate([graph.path(twig) for twig in twigs])
        skeleton[tuple(graph.coordinates[voxels[graph.degrees[voxels] <= 2]].T)] = False
        skeleton = thin_mask(skeleton, depth, spacing)  # removes the corner that is left of a twig


def _get_path_ends(graph: Any) -> IntArray:
    """Return the first and the last node (P, 2) of each path."""
    first, last = graph.paths.indptr[:-1], graph.paths.indptr[1:] - 1
    return np.stack([graph.paths.indices[first], graph.paths.indices[last]], axis=1)


def _measure_straight(graph: Any) -> FloatArray:
    """Return the distance (P,) of the two ends of each path."""
    places = graph.coordinates[_get_path_ends(graph)] * graph.spacing
    distance: FloatArray = np.linalg.norm(places[:, 0] - places[:, 1], axis=1)
    return distance


def _measure_lengths(graph: Any, depth: FloatArray) -> FloatArray:
    """Return the length (P,) of each path; in 3D by a ruler as long as the part is wide: chains of voxels zigzag."""
    lengths: FloatArray
    if depth.ndim < 3:
        lengths = graph.path_lengths()
        return lengths
    nodes = graph.paths.indices
    ruler = 2 * np.maximum(depth[tuple(graph.coordinates[nodes].T)], max(graph.spacing))
    lengths = _step_along(graph.coordinates[nodes] * np.array(graph.spacing, float), ruler, graph.paths.indptr)
    return lengths


@compile_function
def _step_along(places: FloatArray, ruler: FloatArray, start: IntArray) -> FloatArray:
    """Return the length (P,) of each path as the sum of steps that are about as long as the ruler at their start."""
    lengths = np.zeros(len(start) - 1)
    for path in range(len(lengths)):
        last = start[path]
        for place in range(start[path] + 1, start[path + 1]):
            step = np.sqrt(((places[place] - places[last]) ** 2).sum())
            if step >= ruler[last] or place == start[path + 1] - 1:
                lengths[path] += step
                last = place
    return lengths


def import_optional(name: str) -> Any:
    """Import an optional library.

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    with explain_missing("shapes need", None, "pip install 'gnntrack[shape]'"):
        return import_module(name)
