"""The points of a large movie on disk, sorted by frame, so that those of some frames are read quickly.

::

    FOLDER/movie.json        spacing, unit, shape of a frame, points per frame, lowest and highest position
    FOLDER/position.npy      (N, D) float64; and label.npy, radius.npy, intensity.npy, score.npy, ids.npy if known
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.components import count_within_frames
from gnntrack.json_files import read_json
from gnntrack.measure.points import find_shape
from gnntrack.types import PointSet

if TYPE_CHECKING:
    from gnntrack.types import IntArray

__all__ = ["PointStore", "is_store", "write_points"]

_ABOUT = "movie.json"
_COLUMNS = ("label", "radius", "intensity", "score", "ids")


def write_points(points: PointSet, folder: Path, *, interval: float | None) -> None:
    """Write the points of a movie to a new folder.

    Parameters
    ----------
    points : PointSet
        As they are read.
    folder : Path
        Of the store.
    interval : float, optional
        Seconds from a frame to the next.
    """
    folder.mkdir(parents=True)
    label = count_within_frames(points.frame) if points.label is None else points.label
    order = np.lexsort((label, points.frame))
    n_frames = int(points.frame.max(initial=-1)) + 1 if points.n_frames is None else points.n_frames
    position = points.position[order].astype(np.float64)
    np.save(folder / "position.npy", position)
    for name in _COLUMNS:
        column = label if name == "label" else getattr(points, name)
        if column is not None:
            np.save(folder / f"{name}.npy", column[order])
    extent = [position.min(axis=0).tolist(), position.max(axis=0).tolist()] if len(position) else []
    about = {
        "spacing": list(points.spacing),
        "unit": points.unit,
        "shape": list(points.shape or find_shape(position, points.spacing)),
        "interval": interval,
        "extent": extent,
        "counts": np.bincount(points.frame, minlength=n_frames).tolist(),
    }
    (folder / _ABOUT).write_text(json.dumps(about), encoding="utf-8")


def is_store(folder: str | Path) -> bool:
    """Return whether a folder is one that `write_points` has written."""
    return Path(folder, _ABOUT).is_file() and Path(folder, "position.npy").is_file()


class PointStore:
    """Points on disk; see `write_points`.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp(), "store")
    >>> points = PointSet(np.array([1, 0, 1]), np.array([[5.0, 6.0], [1.0, 2.0], [3.0, 4.0]]), (1.0, 1.0), "pixel")
    >>> write_points(points, folder, interval=None)
    >>> store = PointStore(folder)
    >>> store.counts.tolist(), store.read(slice(1, 2)).position.tolist()
    ([1, 2], [[5.0, 6.0], [3.0, 4.0]])
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def about(self) -> dict[str, Any]:
        """Facts about the movie."""
        return dict(read_json(self.folder / _ABOUT))

    @property
    def counts(self) -> IntArray:
        """Number of points in each frame, (T,)."""
        return np.array(self.about["counts"], np.int64)

    @cached_property
    def offsets(self) -> IntArray:
        """Number of points before each frame, and of all, (T + 1,)."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    def read(self, frames: slice) -> PointSet:
        """Return the points of some frames, the first of which becomes 0, sorted by frame and label."""
        rows = slice(int(self.offsets[frames.start]), int(self.offsets[frames.stop]))
        columns = {name: self._read_column(name, rows) for name in _COLUMNS}
        return PointSet(
            np.repeat(np.arange(frames.stop - frames.start), self.counts[frames]),
            np.array(self._open("position")[rows]),
            tuple(self.about["spacing"]),
            self.about["unit"],
            interval=self.about["interval"],
            n_frames=frames.stop - frames.start,
            shape=tuple(self.about["shape"]),
            **columns,
        )

    def _read_column(self, name: str, rows: slice) -> Any:
        return np.array(self._open(name)[rows]) if (self.folder / f"{name}.npy").exists() else None

    def _open(self, name: str) -> Any:
        return np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
