"""The result: the table of tracks, and the lineage with the views and files that are made of it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.plurals import count_noun
from gnntrack.provenance import Provenance
from gnntrack.types.columns import expect, freeze_columns
from gnntrack.types.fusions import Fusions
from gnntrack.types.track import Division, Track

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import networkx as nx
    import pandas as pd

    from gnntrack.frame_array import FrameArray
    from gnntrack.types.columns import FeatureArray, FloatArray, IntArray
    from gnntrack.types.origins import MaskOrigins
    from gnntrack.types.tables import Cells
    from gnntrack.views import NapariTracks

__all__ = ["Lineage", "Tracks"]

_ATTACHED = ("_masks", "_origins", "_repairs")


@dataclass(frozen=True, eq=False)
class Tracks:
    """The table of tracks, sorted by id.

    Parameters
    ----------
    id : (K,) int64
        Track ids, > 0 and ascending.
    start, end : (K,) int64
        First and last frame, both inclusive.
    parent : (K,) int64
        Id of the parent track, 0 = none.
    """

    id: IntArray
    start: IntArray
    end: IntArray
    parent: IntArray

    def __post_init__(self) -> None:
        freeze_columns(self, id=np.int64, start=np.int64, end=np.int64, parent=np.int64)
        k = len(self.id)
        expect(all(len(getattr(self, f.name)) == k for f in fields(self)), "columns differ in length")
        expect(bool((np.diff(self.id) > 0).all()) and (not k or self.id[0] > 0), "track ids are not ascending from 1")
        expect(bool((self.start <= self.end).all()), "a track ends before it starts")
        orphan = ~np.isin(self.parent, self.id) & (self.parent != 0)
        expect(not orphan.any(), f"unknown parents {self.parent[orphan][:5].tolist()}")
        child = self.parent != 0
        row = np.searchsorted(self.id, self.parent[child])
        late = self.end[row] >= self.start[child]
        expect(not late.any(), f"tracks {self.id[child][late][:5].tolist()} start before their parents end")

    @classmethod
    def from_cells(cls, track: IntArray, frame: IntArray, parent: Callable[[IntArray], IntArray]) -> Tracks:
        """Return the table of the tracks of some cells.

        Parameters
        ----------
        track, frame : (N,) int64
            Of each cell.
        parent : callable
            From the ids of the tracks, ascending, to their parents.
        """
        ids, row = _rank(track)
        start, end = np.full(len(ids), np.iinfo(np.int64).max), np.full(len(ids), -1)
        np.minimum.at(start, row, frame)
        np.maximum.at(end, row, frame)
        return cls(ids, start, end, parent(ids))

    def __len__(self) -> int:
        return len(self.id)

    def frames(self, row: int) -> range:
        """Return the frames of one row, both ends included."""
        return range(int(self.start[row]), int(self.end[row]) + 1)


@dataclass(frozen=True, eq=False)
class Lineage:
    """A solved movie: every cell is in exactly one track.

    ``len(lineage)`` is the number of tracks, iteration yields each as a `Track`, and ``lineage[5]`` is track 5.

    Parameters
    ----------
    cells : Cells
        The cells.
    track : (N,) int64
        Track of each cell, > 0. A track may skip frames (a gap); it has at most one cell a frame.
    tracks : Tracks
        The table of tracks.
    source, target : (L,) int64
        The chosen links: rows of ``cells``, within tracks and from parents to daughters.
    confidence : (L,) float32 in [0, 1]
        Confidence of each chosen link.
    provenance : Provenance
        How the lineage was made: method, solver, estimates, and repairs.
    fusions : Fusions
        Tracks that end because their cell becomes one with another cell; none by default. They are not links.

    Examples
    --------
    A cell that divides after frame 2:

    >>> import gnntrack
    >>> masks = np.zeros((6, 40, 40), np.uint8)
    >>> masks[:3, 14:24, 14:24] = 1
    >>> masks[3:, 12:18, 14:22], masks[3:, 21:27, 14:22] = 1, 2
    >>> lineage = gnntrack.track(masks=masks)
    >>> lineage
    <Lineage: 3 tracks, 1 division, 9 cells in 6 frames of 40 x 40 pixels, by hungarian>
    >>> [track.id for track in lineage], lineage[2].parent, lineage.divisions
    ([1, 2, 3], 1, [Division(frame=2, parent=1, daughters=(2, 3))])
    >>> lineage.labels()[:, 15, 15].tolist()
    [1, 1, 1, 2, 2, 2]
    """

    cells: Cells
    track: IntArray
    tracks: Tracks
    source: IntArray
    target: IntArray
    confidence: FeatureArray
    provenance: Provenance = field(default_factory=Provenance)
    fusions: Fusions = field(default_factory=Fusions)

    def __post_init__(self) -> None:
        freeze_columns(self, track=np.int64, source=np.int64, target=np.int64, confidence=np.float32)
        n = len(self.cells)
        expect(self.track.shape == (n,), f"track has shape {self.track.shape}, for {count_noun(n, 'cell')}")
        expect(len(self.source) == len(self.target) == len(self.confidence), "links differ in length")
        ids, row = _rank(self.track)
        expect(np.array_equal(ids, self.tracks.id), "the cells' tracks and the table of tracks differ")
        inside = (self.cells.frame >= self.tracks.start[row]) & (self.cells.frame <= self.tracks.end[row])
        expect(bool(inside.all()), "a cell lies outside its track's frames")
        expect(bool(self.fusions.find_valid(self).all()), "a fusion is not from the end of a track into a later cell")

    def __len__(self) -> int:
        return len(self.tracks)

    def __bool__(self) -> bool:
        return True  # also a lineage without tracks is a result

    def __iter__(self) -> Iterator[Track]:
        return map(self._make_track, range(len(self.tracks)))

    def __contains__(self, track: object) -> bool:
        return isinstance(track, int | np.integer) and bool(np.isin(int(track), self.tracks.id))

    def __getitem__(self, track: int, /) -> Track:
        """Return a track by its id.

        Raises
        ------
        KeyError
            If the lineage lacks a track of this id.
        TypeError
            For a slice of ids.
        """
        _refuse_slice(track)
        if track not in self:
            ids = self.tracks.id
            known = f"the ids are {ids[0]} to {ids[-1]}" if len(ids) else "the lineage is empty"
            msg = f"no track {track!r}; {known}, see lineage.tracks.id"
            raise KeyError(msg)
        return self._make_track(int(np.searchsorted(self.tracks.id, track)))

    def __repr__(self) -> str:
        cells, divisions = self.cells, len(self.divisions)
        size = " x ".join(map(str, cells.shape))
        method = f", by {self.provenance.method}" if self.provenance.method else ""
        return (
            f"<Lineage: {count_noun(len(self), 'track')}, {count_noun(divisions, 'division')}, "
            f"{count_noun(len(cells), 'cell')} in "
            f"{count_noun(cells.n_frames, 'frame')} of {size} pixels{method}>"
        )

    def _repr_html_(self) -> str:
        from gnntrack import views

        return views.describe_as_html(self)

    @property
    def divisions(self) -> list[Division]:
        """The divisions, by parent: tracks with two or more daughters."""
        tracks, daughters = self.tracks, self._index.daughters
        return [
            Division(int(tracks.end[row]), parent, daughters[parent])
            for row, parent in enumerate(tracks.id.tolist())
            if len(daughters.get(parent, ())) > 1
        ]

    @cached_property
    def track_confidence(self) -> FloatArray:
        """Probability that all links of each track are right, (K,), NaN without links.

        It is calibrated if the confidences of the links are: see `gnntrack.lineage.confidence`.
        """
        from gnntrack import views

        return views.rate_tracks(self)

    @cached_property
    def division_confidence(self) -> FloatArray:
        """Probability that the division at the end of each track is right, (K,), NaN without one."""
        from gnntrack import views

        return views.rate_divisions(self)

    @cached_property
    def _index(self) -> _Index:
        order = np.lexsort((self.cells.frame, self.track))
        bounds = np.searchsorted(self.track[order], np.append(self.tracks.id, np.iinfo(np.int64).max))
        confidence = np.full(len(self.cells), np.nan, np.float32)
        confidence[self.target] = self.confidence
        daughters: dict[int, tuple[int, ...]] = {}
        for track, parent in zip(self.tracks.id.tolist(), self.tracks.parent.tolist(), strict=True):
            if parent:
                daughters[parent] = (*daughters.get(parent, ()), track)
        return _Index(order, bounds, confidence, daughters)

    def _make_track(self, row: int) -> Track:
        tracks, index = self.tracks, self._index
        rows = index.order[index.bounds[row] : index.bounds[row + 1]]
        track = int(tracks.id[row])
        return Track(
            id=track,
            parent=int(tracks.parent[row]),
            start=int(tracks.start[row]),
            end=int(tracks.end[row]),
            daughters=index.daughters.get(track, ()),
            rows=rows,
            frames=self.cells.frame[rows],
            labels=self.cells.label[rows],
            positions=self.cells.position[rows],
            confidences=index.confidence[rows],
            confidence=float(self.track_confidence[row]),
            division_confidence=float(self.division_confidence[row]),
        )

    @property
    def has_masks(self) -> bool:
        """Whether `labels` and `to_ctc` need no masks."""
        return getattr(self, "_masks", None) is not None

    def labels(self, masks: object = None) -> FrameArray:
        """Return the masks with track ids for labels, shape (T, [Z], Y, X); each frame is drawn when it is read.

        They are the masks of the result: merged fragments, filled gaps and split masks are as in the output of `track`.

        Parameters
        ----------
        masks : path, array or FrameStack, optional
            The masks that the lineage was made from. A lineage from `track` or `load` does not need them.

        Raises
        ------
        InputError
            If the lineage has no masks and none are given, or they are not those of the lineage.
        """
        from gnntrack import views

        return views.draw_labels(self, masks)

    def to_ctc(self, path: str | Path, *, masks: object = None, overwrite: bool = False) -> Path:
        """Write a result of the Cell Tracking Challenge: ``res_track.txt`` and a mask per frame; return its path.

        Parameters
        ----------
        path : path
            The folder to make, such as ``01_RES``.
        masks : path, array or FrameStack, optional
            As in `labels`.
        overwrite : bool
            Replace an older result.

        Raises
        ------
        InputError, OutputError
            As `labels`; if the folder exists or cannot be written.
        """
        from gnntrack import views

        return views.write_as_ctc(self, path, masks=masks, overwrite=overwrite)

    def to_geff(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write a GEFF folder, such as ``lineage.geff``, with a node per cell and an edge per link; return its path.

        Raises
        ------
        OutputError
            If it exists or cannot be written.
        """
        from gnntrack.io.geff import write_lineage

        write_lineage(self, path, overwrite=overwrite)
        return Path(path)

    def to_pandas(self, table: str = "cells") -> pd.DataFrame:
        """Return a table.

        Parameters
        ----------
        table : {"cells", "tracks", "links", "repairs"}
            A row per cell, per track or per link; see `gnntrack.io.tables`. Units are in the names of the columns. Or a
            row per mask that is not as in the input (``repairs.csv``), of a lineage from `track` or `load`.

        Raises
        ------
        InputError
            If the name is unknown, or the repairs are not known.
        """
        from gnntrack import views

        return views.tabulate(self, table)

    def to_napari(self) -> NapariTracks:
        """Return ``(data, properties, graph)`` for the layer *Tracks* of napari.

        ``viewer.add_tracks(data, properties=properties, graph=graph)`` draws them; positions are in pixels, so that
        they fit ``viewer.add_labels(lineage.labels())``. See `gnntrack.views.NapariTracks`.
        """
        from gnntrack import views

        return views.convert_to_napari(self)

    def to_networkx(self) -> nx.DiGraph:
        """Return the lineage as a directed graph: a node per cell, an edge per chosen link.

        Nodes are rows of ``cells`` with ``frame``, ``label``, ``track`` and the axes ``z, y, x``;
        edges have ``confidence``. A division is a node with two successors. A fusion is an edge with ``fusion=True``
        and the confidence NaN, into a node that has an edge from its own track as well.
        """
        import networkx as nx

        graph = nx.DiGraph()
        axes = "zyx"[-self.cells.ndim :]
        for row, (frame, label, track) in enumerate(
            zip(self.cells.frame.tolist(), self.cells.label.tolist(), self.track.tolist(), strict=True)
        ):
            place = dict(zip(axes, self.cells.position[row].tolist(), strict=True))
            graph.add_node(row, frame=frame, label=label, track=track, **place)
        links = zip(self.source.tolist(), self.target.tolist(), self.confidence.tolist(), strict=True)
        graph.add_edges_from((s, t, {"confidence": c}) for s, t, c in links)
        graph.add_edges_from((s, t, {"confidence": float("nan"), "fusion": True}) for s, t in self.fusions)
        return graph

    def list_edges(self) -> tuple[IntArray, IntArray, FeatureArray]:
        """Return source, target and confidence of the links and, after them, of the fusions, whose confidence is NaN.

        The three arrays have the shape (L + F,); without fusions they are those of the links.
        """
        fusions = self.fusions
        if not len(fusions):
            return self.source, self.target, self.confidence
        unknown = np.full(len(fusions), np.nan, np.float32)
        return (
            np.concatenate([self.source, fusions.source]),
            np.concatenate([self.target, fusions.target]),
            np.concatenate([self.confidence, unknown]),
        )

    def with_masks(self, masks: object) -> Lineage:
        """Return the same lineage with the masks that `labels` and `to_ctc` use if none are given to them.

        ``dataclasses.replace`` does not keep them, since cells and tracks may then be others.

        Parameters
        ----------
        masks : CellMasks, path, array or FrameStack
            The pixels of the cells after repair, or the masks that the lineage was made from.
        """
        return self._attach(_masks=masks)

    @property
    def origins(self) -> MaskOrigins | None:
        """The masks of the input that the cells come from, if this is a result that was written; else None."""
        return getattr(self, "_origins", None)

    def with_origins(self, origins: MaskOrigins | None) -> Lineage:
        """Return the same lineage with the origins of its cells; ``dataclasses.replace`` does not keep them."""
        return self._attach(_origins=origins)

    def change_cells(self, row: IntArray, **changes: Any) -> Lineage:
        """Return the lineage with other cells and what belongs to them; of the fusions those that it still has.

        Parameters
        ----------
        row : (N,) int64
            New row of each cell, -1 = removed.
        **changes
            Other fields, as of ``dataclasses.replace``.
        """
        changed = replace(self, **changes, fusions=Fusions())
        return replace(changed, fusions=self.fusions.move(row, changed))

    def with_fusions(self, fusions: Fusions) -> Lineage:
        """Return the same lineage with these fusions."""
        lineage = replace(self, fusions=fusions)
        return lineage._attach(**{name: getattr(self, name, None) for name in _ATTACHED})

    def with_repairs(self, repairs: object) -> Lineage:
        """Return the same lineage with the table of its repairs, a file or columns, for `to_pandas`."""
        return self._attach(_repairs=repairs)

    def _attach(self, **values: object) -> Lineage:
        """Return the same lineage with masks, origins or repairs, and those that it has already."""
        lineage = replace(self)
        for name, value in ({name: getattr(self, name, None) for name in _ATTACHED} | values).items():
            object.__setattr__(lineage, name, value)
        return lineage

    @property
    def notes(self) -> dict[str, Any]:
        """The provenance as a dict; this name is deprecated."""
        warnings.warn("Lineage.notes is deprecated; use Lineage.provenance", DeprecationWarning, stacklevel=2)
        return self.provenance.as_dict()

    def with_provenance(self, **changes: Any) -> Lineage:
        """Return the same lineage with some fields of its provenance changed."""
        lineage = replace(self, provenance=self.provenance.replace(**changes))
        return lineage._attach(**{name: getattr(self, name, None) for name in _ATTACHED})


class _Index(NamedTuple):
    """Cells by track."""

    order: IntArray  # (N,) rows of cells, by track and frame
    bounds: IntArray  # (K + 1,) where each track begins in `order`
    confidence: FeatureArray  # (N,) of the link to each cell
    daughters: dict[int, tuple[int, ...]]


def _refuse_slice(part: object) -> None:
    if not isinstance(part, slice):
        return
    ends = [part.start, part.stop, *([] if part.step is None else [part.step])]
    written = ":".join("" if each is None else str(each) for each in ends)
    msg = (
        f"lineage[{written}]: a track is chosen by its id, as in lineage[2]; several tracks in the order of their ids "
        f"are list(lineage)[{written}]"
    )
    raise TypeError(msg)


def _rank(values: IntArray) -> tuple[IntArray, IntArray]:
    """Return the distinct values, ascending, and the index of each value among them."""
    if not len(values) or values.min() < 0 or values.max() > 8 * len(values):
        return np.unique(values, return_inverse=True)
    present = np.bincount(values) > 0  # small numbers, such as track ids: 20 times faster than sorting
    return np.flatnonzero(present), (np.cumsum(present) - 1)[values]
