"""Writers: layers of napari as a result of gnntrack, GEFF, a TrackMate file, or a table.

Layers that were made by gnntrack and not changed are written from their lineage, with measurements and confidences. Any
other layer *Tracks*, also a changed one, is read as a table of points; a layer *Labels* gives the cells their masks.
"""

from __future__ import annotations

import shutil
import tempfile
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.converting import convert
from gnntrack.errors import GnntrackError, InputError
from gnntrack.frame_array import FrameArray
from gnntrack.importing import import_tracks
from gnntrack.io.fingerprints import compute_fingerprint
from gnntrack.io.output import fresh_output
from gnntrack.io.tables import write_csv
from gnntrack.lineage.repair import RepairedMovie
from gnntrack.loading import load
from gnntrack.masks.runs import join_frames
from gnntrack.napari.layers import KEY, read_units
from gnntrack.pipeline import export
from gnntrack.result_files import RunRecord
from gnntrack.result_files import write_result as write_folder
from gnntrack.shown_results import read_summary
from gnntrack.user_warnings import warn_user
from gnntrack.views import find_masks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gnntrack.napari.layers import LayerData
    from gnntrack.types import Lineage

__all__ = ["UnwritableLayersError", "write_geff", "write_result", "write_table", "write_trackmate"]


class UnwritableLayersError(GnntrackError):
    """Layers that cannot be written.

    It is not a ValueError as an InputError is: napari hides those of a writer, and reports that there is no writer.
    """


def _explain_errors(write: Callable[..., list[str]]) -> Callable[..., list[str]]:
    @wraps(write)
    def run(path: str, layers: Sequence[LayerData]) -> list[str]:
        try:
            return write(path, layers)
        except ValueError as error:
            raise UnwritableLayersError(str(error)) from error

    return run


@_explain_errors
def write_result(path: str, layers: Sequence[LayerData]) -> list[str]:
    """Write the layers of labels and tracks as a result folder, with CTC masks, tables and GEFF; return its path.

    Raises
    ------
    UnwritableLayersError
        If labels and tracks do not fit each other, or are not a lineage.
    OutputError
        If the folder exists and is not a result, or cannot be written.
    """
    given = _Layers.find(layers)
    if given.lineage is not None and given.lineage.has_masks:
        source = given.find_result()
        if source is None:
            _write_lineage(given.lineage, path)
        elif Path(source).resolve() != Path(path).resolve():
            with fresh_output(path, overwrite=True) as folder:
                shutil.copytree(source, folder)
        return [path]
    with tempfile.TemporaryDirectory() as folder:
        table = given.write_points(Path(folder, "tracks.csv"))
        import_tracks(table, masks=given.read_masks(), out=path, overwrite=True, **given.describe_pixels())
    return [path]


@_explain_errors
def write_geff(path: str, layers: Sequence[LayerData]) -> list[str]:
    """Write the layer of tracks as a GEFF folder; return its path. Errors are those of `write_result`."""
    return _convert(path, layers, "geff")


@_explain_errors
def write_trackmate(path: str, layers: Sequence[LayerData]) -> list[str]:
    """Write the layer of tracks as a TrackMate file; return its path. Errors are those of `write_result`."""
    return _convert(path, layers, "trackmate")


@_explain_errors
def write_table(path: str, layers: Sequence[LayerData]) -> list[str]:
    """Write the layer of tracks as a table of points; return its path. Errors are those of `write_result`."""
    return _convert(path, layers, "napari")


def _convert(path: str, layers: Sequence[LayerData], to: str) -> list[str]:
    given = _Layers.find(layers)
    if given.lineage is not None:
        export(given.lineage, path, to=to, overwrite=True)
        return [path]
    with tempfile.TemporaryDirectory() as folder:
        table = given.write_points(Path(folder, "tracks.csv"))
        masks = None if given.labels is None else given.read_masks()
        convert(table, path, to=to, masks=masks, overwrite=True, **given.describe_pixels())
    return [path]


class _Layers(NamedTuple):
    """The layers that are written."""

    tracks: LayerData
    labels: LayerData | None
    lineage: Lineage | None
    """That of which the layers were made, if they were not changed since."""

    @classmethod
    def find(cls, layers: Sequence[LayerData]) -> _Layers:
        """Return the layer of tracks and that of labels."""
        tracks, labels = (next((each for each in layers if each[2] == kind), None) for kind in ("tracks", "labels"))
        if tracks is None or not len(tracks[0]):
            msg = "there are no tracks to write; select a layer of tracks with at least one point"
            raise InputError(msg)
        return cls(tracks, labels, _find_lineage(tracks, labels))

    def find_result(self) -> str | None:
        """Return the folder of the result whose lineage this is, None if it is not there as it was."""
        folder = self.tracks[1]["metadata"][KEY].get("result")
        summary = None if folder is None else read_summary(folder)
        if summary is None or summary.get("fingerprint") != compute_fingerprint(folder):
            return None
        one, other = load(folder), self.lineage
        same = other is not None and all(
            np.array_equal(first, second)
            for first, second in (
                (one.cells.frame, other.cells.frame),
                (one.track, other.track),
                (one.tracks.parent, other.tracks.parent),
            )
        )
        return folder if same else None

    def write_points(self, path: Path) -> Path:
        """Write the tracks as a table of points in pixels."""
        data, keywords, _ = self.tracks
        axes = ("z", "y", "x")[-(data.shape[1] - 2) :]
        parent = _find_parents(data[:, 0], keywords.get("graph") or {})
        columns = {"track_id": data[:, 0].astype(np.int64), "t": data[:, 1].round().astype(np.int64)}
        columns |= {axis: data[:, 2 + k] + self._find_shift()[k] for k, axis in enumerate(axes)}
        write_csv(columns | {"parent": parent}, path)
        return path

    def read_masks(self) -> Any:
        """Return the masks of the layer of labels."""
        if self.labels is None:
            msg = "a result is made of masks; select a layer of labels too"
            raise InputError(msg)
        return self.labels[0] if isinstance(self.labels[0], FrameArray) else np.asarray(self.labels[0])

    def describe_pixels(self) -> dict[str, Any]:
        """Return the size of a pixel in um and the frame interval in seconds, as options, if the layer has units."""
        return read_units(self.tracks[1].get("scale", ()), self.tracks[1].get("units") or ())

    def _find_shift(self) -> list[float]:
        """Return the offset in pixels between the layer of tracks and that of labels."""
        data, keywords, _ = self.tracks
        ndim = data.shape[1] - 2
        if self.labels is None:
            return [0.0] * ndim
        places = []
        for each in (keywords, self.labels[1]):
            scale = np.asarray(each.get("scale", [1.0] * (ndim + 1)), float)[-ndim:]
            places.append((scale, np.asarray(each.get("translate", [0.0] * (ndim + 1)), float)[-ndim:]))
        (own, begin), (other, start) = places
        if not np.allclose(own, other):
            msg = f"the tracks have the scale {own.tolist()}, the labels {other.tolist()}; give both layers one scale"
            raise InputError(msg)
        return ((begin - start) / own).tolist()  # type: ignore[no-any-return]


def _write_lineage(lineage: Lineage, path: str) -> None:
    """Write a lineage with its masks as `gnntrack.track` writes its own."""
    kept, masks = find_masks(lineage)
    runs = masks.runs
    none = np.zeros((0, 2), np.int64)
    fills = masks.fills
    if fills is None:
        empty = np.zeros(0, np.int64)
        fills = join_frames([(empty, empty, empty)] * kept.cells.n_frames, runs.shape)
    write_folder(path, RepairedMovie(kept, runs, fills, none, none), run=RunRecord(names=masks.names), overwrite=True)


def _find_lineage(tracks: LayerData, labels: LayerData | None) -> Lineage | None:
    """Return the lineage of layers that were not changed."""
    own = tracks[1].get("metadata", {}).get(KEY, {})
    lineage: Lineage | None = own.get("lineage")
    if lineage is None:
        return None
    data, _, graph = lineage.to_napari()
    parents = {child: list(np.atleast_1d(parent)) for child, parent in (tracks[1].get("graph") or {}).items()}
    if not np.array_equal(np.asarray(tracks[0]), data) or parents != graph:
        return None
    if labels is None:
        return lineage
    beside = labels[1].get("metadata", {}).get(KEY, {})
    return lineage if beside.get("lineage") is lineage and isinstance(labels[0], FrameArray) else None


def _find_parents(track: np.ndarray, graph: dict[int, Any]) -> np.ndarray:
    """Return the parent of the track of each point, -1 for none; napari's graph is child -> parents."""
    parents: dict[int, int] = {}
    for child, given in graph.items():
        known = np.atleast_1d(given).tolist()
        if len(known) > 1:
            warn_user(
                f"track {child} has the parents {known}: a merge, which only layers that were not changed keep; "
                "the first parent is written"
            )
        parents[int(child)] = int(known[0])
    return np.array([parents.get(int(each), -1) for each in track.tolist()], np.int64)
