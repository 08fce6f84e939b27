"""OME-Zarr 0.4 (zarr v2) and 0.5 (zarr v3): the full-resolution level of one image or one label image."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

from gnntrack.durations import convert_duration
from gnntrack.errors import FrameError
from gnntrack.io.foreign import describe_format
from gnntrack.io.stack import UNREADABLE, Acquisition, Stack, convert_spacing, open_array
from gnntrack.io.zarr_checks import refuse_special_files
from gnntrack.io.zarr_images import guard_image

__all__ = ["is_zarr", "open_node", "open_zarr"]

_MARKS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")


def is_zarr(path: Path) -> bool:
    """Return whether a folder is a zarr group or array."""
    return path.suffix == ".zarr" or any((path / mark).is_file() for mark in _MARKS)


def open_zarr(path: Path, *, axes: str | None = None, channel: int | str | None = None) -> Stack:
    """Open an OME-Zarr image, one of its label images (``image.zarr/labels/NAME``), or a plain zarr array.

    Axes and voxel size are those of the ``multiscales`` metadata. Scales without a unit are divided by that of x, so
    that the unit is a pixel along x. The axes of a plain array are guessed from its shape.

    Parameters
    ----------
    path : Path
        The folder of the store, or of a group or array inside it.
    axes : str or None
        A letter per axis, in place of the metadata.
    channel : int, str or None
        Number or name of the channel to read.

    Raises
    ------
    FrameError
        If it cannot be read, is a plate or a collection, or holds several channels and none is chosen.
    """
    import zarr  # slow to import, and `is_zarr` is called for every folder

    try:
        refuse_special_files(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zarr warns of codecs that its specification does not have yet
            return open_node(zarr.open(str(path), mode="r"), path, axes=axes, channel=channel)
    except FrameError:
        raise
    except UNREADABLE as error:
        msg = f"it cannot be read as zarr ({_get_first_line(error)}); check that the folder was copied completely"
        raise FrameError(msg, file=path) from error


def open_node(
    node: Any, path: Path = Path("zarr"), *, axes: str | None = None, channel: int | str | None = None
) -> Stack:
    """Open a zarr array or group that is open already; `path` is its name in messages.

    Raises
    ------
    FrameError
        As `open_zarr`.
    """
    if hasattr(node, "shape"):
        return open_array(guard_image(node), axes or _read_dimension_names(node), name=str(path), channel=channel)
    return _open_group(node, path, axes, channel)


def _open_group(group: Any, path: Path, axes: str | None, channel: int | str | None) -> Stack:
    attributes = dict(group.attrs)
    attributes = {**attributes, **attributes.get("ome", {})}
    if not attributes.get("multiscales"):
        labels = attributes.get("labels") or []
        if len(labels) == 1:
            return open_node(group[labels[0]], path / labels[0], axes=axes, channel=channel)
        raise FrameError(_describe_missing_image(group, path, labels), file=path)
    image = attributes["multiscales"][0]
    level = image["datasets"][0]
    array = guard_image(group[level["path"]])
    named = image.get("axes") or list("tczyx"[-array.ndim :])
    letters = [axis if isinstance(axis, str) else axis["name"] for axis in named]
    units = {axis["name"]: axis.get("unit") for axis in named if not isinstance(axis, str)}
    scale = [math.prod(pair) for pair in zip(_read_scale(level, letters), _read_scale(image, letters), strict=True)]
    size_of = dict(zip(letters, scale, strict=True))
    spacing, unit = _read_spacing(size_of, units, array.shape, letters)
    acquisition = Acquisition(_read_channel_names(attributes), convert_duration(size_of.get("t"), units.get("t")))
    named = axes or "".join(letters)
    return open_array(
        array, named, name=str(path), spacing=spacing, unit=unit, channel=channel, acquisition=acquisition
    )


def _read_channel_names(attributes: dict[str, Any]) -> tuple[str, ...]:
    channels = (attributes.get("omero") or {}).get("channels") or []
    return tuple(str(channel.get("label") or "") for channel in channels)


def _read_scale(described: dict[str, Any], letters: list[str]) -> list[float]:
    for transform in described.get("coordinateTransformations") or []:
        if transform.get("type") == "scale" and len(transform.get("scale", [])) == len(letters):
            return [float(size) for size in transform["scale"]]
    return [1.0] * len(letters)


def _read_spacing(
    scale: dict[str, float], units: dict[str, str | None], shape: tuple[int, ...], letters: list[str]
) -> tuple[tuple[float, ...], str]:
    depth = dict(zip(letters, shape, strict=True)).get("z", 1)
    ndim = 3 if depth > 1 else 2
    spacing = convert_spacing(scale, units, ndim)
    if spacing or any(units.get(axis) for axis in "zyx"[-ndim:]):
        return spacing, "um"
    sizes = [scale.get(axis, 1.0) for axis in "zyx"[-ndim:]]
    return tuple(size / sizes[-1] for size in sizes) if min(sizes) > 0 else (), "pixel"


def _read_dimension_names(array: Any) -> str | None:
    """Return the axes that a zarr v3 array names, or None if they are not single letters."""
    names = [str(name).lower() for name in getattr(array.metadata, "dimension_names", None) or ()]
    return "".join(names) if names and all(len(name) == 1 for name in names) else None


def _describe_missing_image(group: Any, path: Path, labels: list[str]) -> str:
    attributes = {**dict(group.attrs), **dict(group.attrs).get("ome", {})}
    if "geff" in attributes:
        return describe_format(path.with_suffix(".geff"))
    if "plate" in attributes or "well" in attributes:
        return "it is a plate of many images, expected one image; give one of them, such as PLATE.zarr/A/1/0"
    inside = [f"{path}/{name}" for name in labels or sorted(key for key, _ in group.members())]
    if not inside:
        return "the zarr group is empty; expected an OME-Zarr image"
    return f"the zarr group is not an image itself (no 'multiscales'); did you mean {' or '.join(inside[:4])}?"


def _get_first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
