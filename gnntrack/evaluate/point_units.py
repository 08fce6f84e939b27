"""Units of points: a result and its ground truth are brought to one unit, and points that do not fit are explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from gnntrack.errors import InputError
from gnntrack.pixel_sizes import expand_spacing
from gnntrack.plurals import choose_form, count_noun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.types import FloatArray, PointGraph

__all__ = ["bring_to_unit", "describe_doubts", "explain_mismatch"]

_RARE = 0.2  # of the annotated cells: with fewer matches, the ground truth may be that of another movie
_FEW = 0.5  # of the annotated cells: with fewer matches, another unit is tried
_CLEAR = 0.6  # of the annotated cells that must match in the other unit
_TIMES = 1.5  # and so many times as many as in this one


def bring_to_unit(
    result: PointGraph, truth: PointGraph, spacing: float | Sequence[float] | None, name: str
) -> tuple[PointGraph, PointGraph]:
    """Return result and ground truth in um, or both in pixels if no voxel size is known.

    Parameters
    ----------
    result, truth : PointGraph
        Of one movie.
    spacing : float or D floats, optional
        Voxel size in um of positions in voxels; by default that of the other side.
    name : str
        The movie, for messages.

    Raises
    ------
    InputError
        If one is 2D and the other 3D, or positions are in voxels on one side only, and the voxel size is not known.
    """
    if result.ndim != truth.ndim:
        msg = f"{name}: the result is {result.ndim}D, the truth {truth.ndim}D; give the ground truth of this movie"
        raise InputError(msg)
    if spacing is not None:
        sizes = expand_spacing(spacing, truth.ndim, name)
        return tuple(_set_size(graph, sizes) for graph in (result, truth))  # type: ignore[return-value]
    if result.unit == truth.unit:
        return result, truth
    known = truth if truth.unit == "um" else result
    if set(known.spacing) == {1.0}:
        side, other = ("truth", "result") if known is truth else ("result", "truth")
        msg = (
            f"{name}: the {other} is in voxels, the {side} in um without a voxel size; give it (--spacing, such as "
            f"--spacing {'2,0.5,0.5' if truth.ndim == 3 else '0.5'})"
        )
        raise InputError(msg)
    return _set_size(result, known.spacing), _set_size(truth, known.spacing)


def _set_size(graph: PointGraph, sizes: tuple[float, ...]) -> PointGraph:
    """Return points in um; those that are in um already stay."""
    return graph if graph.unit == "um" else graph.set_spacing(sizes)


def explain_mismatch(result: PointGraph, truth: PointGraph, gate: float, matched: int) -> str:
    """Return why a result does not fit its ground truth, nothing if it does.

    Parameters
    ----------
    result, truth : PointGraph
        In one unit.
    gate : float
        Largest distance of two points that match.
    matched : int
        Number of true points with a partner.
    """
    if len(result) == 1:
        return ""  # the node that stands for a movie without cells in a submission
    if not len(np.intersect1d(result.frame, truth.frame)):
        return (
            f"no common frame: the result has frames {_describe_range(result)}, the truth {_describe_range(truth)}; "
            "give the ground truth of this movie"
        )
    annotated = int(np.isin(truth.frame, result.frame).sum())
    if matched >= _FEW * annotated:
        return ""
    sizes = next((graph.spacing for graph in (truth, result) if set(graph.spacing) != {1.0}), None)
    if sizes is not None:
        for factor, stored, wanted in ((np.array(sizes), "voxels", "um"), (1 / np.array(sizes), "um", "voxels")):
            near = _count_near(result.position * factor, result, truth, gate)
            if near >= max(_CLEAR * annotated, _TIMES * matched):
                return (
                    f"the positions of the result look like {stored} where {wanted} are expected: their spread is "
                    f"{_describe_spread(result)} and that of the truth {_describe_spread(truth)}, and {near} of "
                    f"{annotated} annotated cells have a point within {gate:g} um if they are converted, {matched} as "
                    f"they are; the voxel size is {' x '.join(f'{size:g}' for size in sizes)} um, correct the file or "
                    "its scale"
                )
    if matched:
        return ""
    return (
        f"no annotated cell has a point of the result within {gate:g} {truth.unit}: the points lie at "
        f"{_describe_box(result)}, the annotated cells at {_describe_box(truth)}; give the ground truth of this movie"
    )


def describe_doubts(result: PointGraph, truth: PointGraph, gate: float, matched: int) -> list[str]:
    """Return what is unusual about a result that can be scored; parameters as of `explain_mismatch`."""
    frames = np.unique(truth.frame)
    empty = int((~np.isin(frames, result.frame)).sum())
    doubts = []
    if empty:
        doubts.append(f"the result has no point in {empty} of {count_noun(len(frames), 'annotated frame')}")
    spanning = int((result.gap > 1).sum())
    if spanning and not (truth.gap > 1).any():
        doubts.append(
            f"{count_noun(spanning, 'link')} of the result {choose_form(spanning, 'spans', 'span')} more than one "
            "frame and cannot be right, since no link of the truth does: fill gaps with interpolated points"
        )
    if 0 < matched < _RARE * np.isin(truth.frame, result.frame).sum():
        doubts.append(
            f"only {matched} of {count_noun(len(truth), 'annotated cell')} {choose_form(matched, 'has', 'have')} a "
            f"point within {gate:g} {truth.unit}: is it the ground truth of this movie?"
        )
    return doubts


def _count_near(position: FloatArray, result: PointGraph, truth: PointGraph, gate: float) -> int:
    """Count the true points with a point of the result in the gate; frames are far apart along a further axis."""
    apart = 10 * gate
    tree = cKDTree(np.column_stack([position, result.frame * apart]))
    distance, _ = tree.query(np.column_stack([truth.position, truth.frame * apart]), distance_upper_bound=gate)
    return int(np.isfinite(distance).sum())


def _describe_range(graph: PointGraph) -> str:
    return f"{graph.frame.min()} to {graph.frame.max()}"


def _describe_spread(graph: PointGraph) -> str:
    return " x ".join(f"{size:.3g}" for size in np.ptp(graph.position, axis=0))


def _describe_box(graph: PointGraph) -> str:
    low, high = graph.position.min(axis=0), graph.position.max(axis=0)
    axes = "zyx"[-graph.ndim :]
    return ", ".join(f"{axis} {a:.4g} to {b:.4g}" for axis, a, b in zip(axes, low, high, strict=True))
