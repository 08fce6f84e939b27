"""Movies of volumes as OME-Zarr 0.5 (zarr v3), one array, in the layout of the embryo competition of 2026 (Biohub)."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import OutputError
from gnntrack.frame_slabs import list_slabs, read_planes

if TYPE_CHECKING:
    from gnntrack.types import FloatArray, FrameStack, IntArray, Progress

__all__ = ["write_omezarr"]

_QUANTILES = (0.0, 0.001, 0.01, 0.1, 0.9, 0.99, 0.999, 1.0)
_GREYS = 1 << 16
_CHUNK = 1 << 24  # voxels of a chunk
_UNIT = {"um": "micrometer", "pixel": "pixel"}


def write_omezarr(movie: FrameStack, path: str | Path, *, progress: Progress | None = None) -> None:
    """Write a movie as a zarr group with the array ``0``.

    The array is (T, [Z], Y, X) uint16 with a chunk per frame, or several of some planes of a large volume, compressed
    by blosc (zstd, level 1, bits shuffled). The
    attributes of the group are those of OME-Zarr 0.5, and ``image_statistics.quantiles`` with some quantiles of all
    grey values, which readers of the competition use to scale them.

    Parameters
    ----------
    movie : FrameStack
        Frames of uint16, read one by one.
    path : path
        A folder that does not exist yet.
    progress : Progress, optional
        Called after each frame.

    Raises
    ------
    OutputError
        If a frame is not uint16.

    Examples
    --------
    >>> import tempfile
    >>> from gnntrack import open_frames
    >>> movie = open_frames(np.arange(24, dtype=np.uint16).reshape(2, 3, 2, 2), spacing=(2, 0.5, 0.5))
    >>> folder = Path(tempfile.mkdtemp(), "a.zarr")
    >>> write_omezarr(movie, folder)
    >>> again = open_frames(folder)
    >>> again.spacing, again[1].max()
    ((2.0, 0.5, 0.5), np.uint16(23))
    """
    import zarr
    from zarr.codecs import BloscCodec

    counts = np.zeros(_GREYS, np.int64)
    names = ("t", *"zyx"[-len(movie.shape) :])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr warns of what its specification does not have yet
        group = zarr.open_group(Path(path), mode="w-", zarr_format=3)
        array: Any = group.create_array(
            "0",
            shape=(len(movie), *movie.shape),
            chunks=_choose_chunks(movie.shape),
            dtype="uint16",
            compressors=BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=2),
            dimension_names=names,
        )
        for t in range(len(movie)):
            for planes in list_slabs(movie):
                part = read_planes(movie, t, planes)
                if part.dtype != np.uint16:
                    msg = f"{path}: frame {t} is {part.dtype}; expected uint16"
                    raise OutputError(msg)
                array[t, planes] = part
                counts += np.bincount(part.ravel(), minlength=_GREYS)
            if progress is not None:
                progress("write volumes", t + 1, len(movie))
        group.attrs.update(_describe_movie(movie, names, Path(path).stem) | _describe_greys(counts))


def _choose_chunks(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the chunks of a movie: a frame, or some planes of a large volume.

    >>> _choose_chunks((64, 256, 256)), _choose_chunks((512, 1024, 1024))
    ((1, 64, 256, 256), (1, 16, 1024, 1024))
    """
    planes = shape[0] if len(shape) < 3 else max(1, _CHUNK // math.prod(shape[1:]))
    return (1, min(shape[0], planes), *shape[1:])


def _describe_movie(movie: FrameStack, names: tuple[str, ...], name: str) -> dict[str, Any]:
    """Return the metadata of OME-Zarr."""
    axes = [{"name": "t", "type": "time"}]
    axes += [{"name": axis, "type": "space", "unit": _UNIT[movie.unit]} for axis in names[1:]]
    scale = {"type": "scale", "scale": [1.0, *map(float, movie.spacing)]}
    level = {"path": "0", "coordinateTransformations": [scale]}
    return {"ome": {"version": "0.5", "multiscales": [{"name": name, "axes": axes, "datasets": [level]}]}}


def _describe_greys(counts: IntArray) -> dict[str, Any]:
    """Return quantiles of the grey values, from the number of voxels of each."""
    quantiles = _find_quantiles(counts)
    named = {str(fraction): float(grey) for fraction, grey in zip(_QUANTILES, quantiles, strict=True)}
    return {"image_statistics": {"quantiles": named}}


def _find_quantiles(counts: IntArray) -> FloatArray:
    """Return the grey values below which some fractions of the voxels lie.

    >>> _find_quantiles(np.array([0, 999, 1])).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0]
    """
    up_to = np.cumsum(counts)
    wanted = np.rint(np.array(_QUANTILES) * (up_to[-1] - 1)) + 1
    return np.asarray(np.searchsorted(up_to, wanted), np.float64)
