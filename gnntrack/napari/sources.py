"""The movie in a layer of napari, with the size of a pixel and the frame interval."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.errors import GnntrackError, InputError
from gnntrack.frame_array import FrameArray
from gnntrack.io.frames import open_frames
from gnntrack.napari.layers import read_units
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LayerMovie", "read_layer"]


class LayerMovie(NamedTuple):
    """A movie in a layer."""

    source: Any
    """The file of the layer if it holds the same movie, so that a result names it; else the data."""
    options: Mapping[str, Any]
    """``spacing`` in um and ``interval`` in seconds, if the layer has these units."""


def read_layer(layer: Any) -> LayerMovie:
    """Return the movie of a layer of images or labels.

    Raises
    ------
    InputError
        If it is not a movie of one channel.
    """
    if getattr(layer, "rgb", False):
        msg = f"layer '{layer.name}': colour images; split them into channels (right click), and choose one"
        raise InputError(msg)
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    if data.ndim not in (3, 4):
        msg = (
            f"layer '{layer.name}' has {count_noun(data.ndim, 'axis', 'axes')} {tuple(data.shape)}; expected a movie: "
            "3 (time, y, x) or 4 (time, z, y, x)"
        )
        raise InputError(msg)
    options = read_units(layer.scale, layer.units)
    if not np.allclose(np.asarray(layer.translate), 0):
        msg = f"layer '{layer.name}' is shifted by {list(layer.translate)}; set its translation to 0"
        raise InputError(msg)
    source = _find_file(layer, data)
    return LayerMovie(data if source is None else source, options)


def _find_file(layer: Any, data: Any) -> str | None:
    """Return the path of the layer's file if gnntrack reads the same first and last frame from it, else None."""
    path = getattr(layer.source, "path", None)
    if path is None or not Path(path).exists() or isinstance(data, FrameArray):
        return None
    try:
        frames = open_frames(path)
        if (len(frames), *frames.shape) != tuple(data.shape) or getattr(frames, "channels", None):
            return None
        same = all(np.array_equal(np.asarray(frames[t]), np.asarray(data[t])) for t in (0, len(frames) - 1))
    except (GnntrackError, OSError):
        return None
    return str(path) if same else None
