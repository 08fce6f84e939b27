"""Coordinates of xarray: names of the channels, size of a pixel, and time between frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.durations import convert_duration
from gnntrack.io.stack import Acquisition, convert_spacing

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["read_acquisition", "read_spacing"]


def read_acquisition(array: Any, axes: str) -> Acquisition:
    """Return names of the channels, and the frame interval, of an array with coordinates.

    Times are datetime64, timedelta64, or numbers whose attribute ``units`` is a unit of time.

    Parameters
    ----------
    array : array-like
        An ``xarray.DataArray``; any other array has no coordinates.
    axes : str
        A letter per dimension.
    """
    found = _list_coordinates(array, axes)
    channels = tuple(map(str, np.asarray(found["c"].values).tolist())) if "c" in found else ()
    return Acquisition(channels, _read_interval(found["t"]) if "t" in found else None)


def read_spacing(array: Any, axes: str) -> tuple[float, ...]:
    """Return the size of a pixel along ``[z], y, x`` in um, () if a coordinate has no unit or is not regular."""
    found = _list_coordinates(array, axes)
    spatial = [axis for axis in "zyx" if axis in axes]
    sizes = {axis: _find_step(found[axis].values) for axis in spatial if axis in found}
    units = {axis: _get_unit(found[axis]) for axis in spatial if axis in found}
    return convert_spacing(sizes, units, len(spatial))


def _list_coordinates(array: Any, axes: str) -> Mapping[str, Any]:
    """Return letter -> coordinate of the dimensions that have one."""
    coords, dims = getattr(array, "coords", None), getattr(array, "dims", ())
    if coords is None or len(dims) != len(axes):
        return {}
    return {letter: coords[dim] for letter, dim in zip(axes, dims, strict=True) if dim in coords}


def _read_interval(times: Any) -> float | None:
    values = np.asarray(times.values)
    if values.dtype.kind in "mM":
        seconds = (values - values[:1]) / np.timedelta64(1, "s") if len(values) else values[:0].astype(float)
        return convert_duration(_find_step(seconds), "s")
    return convert_duration(_find_step(values), _get_unit(times))


def _find_step(values: Any) -> float | None:
    """Return the step of a regular series of numbers, else None."""
    numbers = np.asarray(values)
    if numbers.dtype.kind not in "iuf" or len(numbers) < 2:
        return None
    steps = np.diff(numbers.astype(float))
    step = float(np.median(steps))
    return abs(step) if step and np.allclose(steps, step, rtol=0.01) else None


def _get_unit(coordinate: Any) -> str | None:
    unit = coordinate.attrs.get("units", coordinate.attrs.get("unit"))
    return None if unit is None else str(unit)
