"""Tables of an analysis: columns that identify cells, tracks and frames, and the sums over families."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.analysis.cycles import list_divisions
from gnntrack.analysis.quantities import average_groups
from gnntrack.lineage.families import count_generations, find_roots
from gnntrack.types import Units

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.types import FloatArray, Lineage

    Columns = dict[str, npt.NDArray[Any]]

__all__ = ["list_cells", "list_families", "list_frames", "list_tracks"]


def list_cells(lineage: Lineage) -> Columns:
    """Return the columns that identify cells: frame, time, label, track, family, age and position."""
    cells, tracks, units = lineage.cells, lineage.tracks, Units.read(lineage)
    row = np.searchsorted(tracks.id, lineage.track)
    axes = {f"{axis}_{units.length}": cells.position[:, k] for k, axis in enumerate("zyx"[-cells.ndim :])}
    age = cells.frame - tracks.start[row]
    return {
        "frame": cells.frame,
        **_list_times("time", cells.frame, units),
        "label": cells.label,
        "track": lineage.track,
        "root": find_roots(tracks)[row],
        "generation": count_generations(tracks)[row],
        "age": age,
        **_list_times("age", age, units),
        **axes,
    }


def list_tracks(lineage: Lineage) -> Columns:
    """Return the columns that identify tracks: family, first and last frame, number of cells and of missing frames."""
    tracks, units = lineage.tracks, Units.read(lineage)
    cells = np.bincount(np.searchsorted(tracks.id, lineage.track), minlength=len(tracks))
    return {
        "track": tracks.id,
        "parent": tracks.parent,
        "root": find_roots(tracks),
        "generation": count_generations(tracks),
        "start": tracks.start,
        "end": tracks.end,
        **_list_times("start", tracks.start, units),
        **_list_times("end", tracks.end, units),
        f"duration_{units.time}": (tracks.end - tracks.start) * units.minutes,
        "cells": cells,
        "missing": tracks.end - tracks.start + 1 - cells,
    }


def list_families(tracks: Columns, means: tuple[str, ...]) -> Columns:
    """Return a row per family: a track without parent, and all its descendants.

    Parameters
    ----------
    tracks : dict
        Columns of the table of tracks.
    means : strings
        Columns of it whose means over the tracks of a family are columns, too.

    Examples
    --------
    >>> tracks = {"track": [1, 2, 3], "parent": [0, 1, 1], "root": [1, 1, 1], "generation": [0, 1, 1]}
    >>> tracks |= {"start": [0, 2, 2], "end": [1, 5, 6], "cells": [2, 4, 5], "speed": [1.0, 2.0, 3.0]}
    >>> families = list_families({name: np.array(column) for name, column in tracks.items()}, ("speed",))
    >>> {name: column.tolist() for name, column in families.items() if name in ("tracks", "divisions", "speed")}
    {'tracks': [3], 'divisions': [1], 'speed': [2.0]}
    """
    roots, family = np.unique(tracks["root"], return_inverse=True)
    n = len(roots)
    parents, daughters = np.unique(tracks["parent"][tracks["parent"] > 0], return_counts=True)
    dividing = np.isin(tracks["track"], parents[daughters > 1])
    start, end = np.full(n, np.iinfo(np.int64).max), np.full(n, -1)
    generations = np.zeros(n, np.int64)
    np.minimum.at(start, family, tracks["start"])
    np.maximum.at(end, family, tracks["end"])
    np.maximum.at(generations, family, tracks["generation"])
    last = np.bincount(family[tracks["end"] == end[family]], minlength=n)
    return {
        "root": roots,
        "tracks": np.bincount(family, minlength=n),
        "divisions": np.bincount(family[dividing], minlength=n),
        "generations": generations,
        "start": start,
        "end": end,
        "cells": np.bincount(family, weights=tracks["cells"], minlength=n).astype(np.int64),
        "cells_at_end": last,
        **{name: average_groups(tracks[name].astype(float), family, n) for name in means if name in tracks},
    }


def list_frames(lineage: Lineage, drift: FloatArray, cells: Columns, means: tuple[str, ...]) -> Columns:
    """Return a row per frame: numbers of cells and divisions, drift of the field of view, means over the cells.

    Parameters
    ----------
    lineage : Lineage
        The lineage.
    drift : (T, D) float64
        Drift since frame 0, in the unit of the positions.
    cells : dict
        Columns of the table of cells.
    means : strings
        Columns of it whose means over the cells of a frame are columns, too.
    """
    units, n = Units.read(lineage), lineage.cells.n_frames
    frame = np.arange(n)
    axes = {f"drift_{axis}_{units.length}": drift[:, k] for k, axis in enumerate("zyx"[-drift.shape[1] :])}
    return {
        "frame": frame,
        **_list_times("time", frame, units),
        "cells": np.bincount(lineage.cells.frame, minlength=n),
        "divisions": np.bincount(list_divisions(lineage.tracks), minlength=n),
        **axes,
        **{f"mean_{name}": average_groups(cells[name], lineage.cells.frame, n) for name in means if name in cells},
    }


def _list_times(name: str, frames: npt.NDArray[Any], units: Units) -> Columns:
    return {} if units.interval is None else {f"{name}_min": frames * units.minutes}
