"""The six tables that travel between the stages: frozen, validated arrays, and nothing else.

``Cells`` and ``Runs`` hold the cells and their pixels, ``CellGraph`` the candidate links, ``LinkScores`` their scores,
``Tracks`` and ``Lineage`` the result. `Provenance` records how a graph or lineage was made; `FrameStack` and `Progress`
are protocols.

Axis order is ``t, [z], y, x`` everywhere. Positions and distances are in ``unit`` (micrometres once
the voxel size is known, else pixels). A cell is identified by its key (frame, label), which also identifies its pixels
in the masks; inside a table cells are rows, and links refer to rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import FormatError
from gnntrack.protocols import FrameStack, Progress
from gnntrack.provenance import Provenance

if TYPE_CHECKING:
    from collections.abc import Callable

    import networkx as nx
    import numpy.typing as npt

    from gnntrack.graph.divisions import DivisionCandidates

    BoolArray = npt.NDArray[np.bool_]
    IntArray = npt.NDArray[np.int64]
    FloatArray = npt.NDArray[np.float64]
    FeatureArray = npt.NDArray[np.float32]
    Image = npt.NDArray[Any]

__all__ = ["CellGraph", "Cells", "FrameStack", "Lineage", "LinkScores", "Progress", "Provenance", "Runs", "Tracks"]


@dataclass(frozen=True, eq=False)
class Cells:
    """All cells of a movie, sorted by (frame, label).

    Parameters
    ----------
    frame : (N,) int64
        Frame of each cell, from 0.
    label : (N,) int64
        Label of the cell's pixels in the mask of its frame, > 0.
    position : (N, D) float64
        Centroid along ``[z], y, x`` in ``unit``.
    features : (N, F) float32
        Morphology and intensity, one named column each.
    feature_names, feature_units : F strings
        Name and unit of each column; the unit is ``""`` for a pure number.
    spacing : D floats
        Size of a pixel along ``[z], y, x`` in ``unit``.
    n_frames : int
        Frames of the movie; frames without cells count.
    shape : D ints
        Shape of a frame in pixels.
    unit : str
        ``"um"`` or ``"pixel"``.

    Raises
    ------
    FormatError
        If lengths disagree, a (frame, label) occurs twice, the rows are not sorted, a label is not
        positive, or a frame lies outside the movie.
    """

    frame: IntArray
    label: IntArray
    position: FloatArray
    features: FeatureArray
    feature_names: tuple[str, ...]
    feature_units: tuple[str, ...]
    spacing: tuple[float, ...]
    n_frames: int
    shape: tuple[int, ...]
    unit: str = "pixel"

    def __post_init__(self) -> None:
        n, d = len(self.frame), len(self.spacing)
        _freeze(self, frame=np.int64, label=np.int64, position=np.float64, features=np.float32)
        _expect(self.label.shape == (n,), f"label has shape {self.label.shape}, frame has {n} rows")
        _expect(self.position.shape == (n, d), f"position has shape {self.position.shape}, not {(n, d)}")
        _expect(
            self.features.shape == (n, len(self.feature_names)) and len(self.feature_units) == len(self.feature_names),
            f"features have shape {self.features.shape}, with {len(self.feature_names)} names "
            f"and {len(self.feature_units)} units",
        )
        _expect(len(self.shape) == d, f"shape {self.shape} and spacing {self.spacing} differ in length")
        if n:
            step = np.diff(self.frame)
            ascending = (step > 0) | ((step == 0) & (np.diff(self.label) > 0))
            _expect(bool(ascending.all()), "rows are not sorted by (frame, label), or a cell occurs twice")
            _expect(self.frame[0] >= 0 and self.frame[-1] < self.n_frames, f"frames outside 0..{self.n_frames - 1}")
            _expect(self.label.min() > 0, f"label {self.label.min()} is not positive")

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def ndim(self) -> int:
        """Number of spatial dimensions, 2 or 3."""
        return len(self.spacing)

    def feature(self, name: str) -> FeatureArray:
        """Return one column of the features, shape (N,).

        Raises
        ------
        FormatError
            If the column is missing.
        """
        return self.features[:, _column(self.feature_names, name, "cell feature")]

    def select(self, keep: BoolArray) -> Cells:
        """Return the cells for which `keep`, (N,) bool, is true."""
        rows = {name: getattr(self, name)[keep] for name in ("frame", "label", "position", "features")}
        return replace(self, **rows)

    def has(self, name: str) -> bool:
        """Return whether the features have a column of this name."""
        return name in self.feature_names

    def rows(self, frame: int) -> slice:
        """Return the rows of one frame.

        >>> cells = Cells([0, 0, 2], [3, 7, 3], [[0, 0]] * 3, [[]] * 3, (), (), (1, 1), 3, (9, 9))
        >>> cells.rows(0), cells.rows(1), cells.rows(2)
        (slice(0, 2, None), slice(2, 2, None), slice(2, 3, None))
        """
        start, stop = np.searchsorted(self.frame, [frame, frame + 1])
        return slice(int(start), int(stop))

    def row_of(self, frame: npt.ArrayLike, label: npt.ArrayLike) -> IntArray:
        """Return the row of each (frame, label), -1 if the cell is missing."""
        frame, label = np.broadcast_arrays(np.asarray(frame, np.int64), np.asarray(label, np.int64))
        if not len(self):
            return np.full(frame.shape, -1, np.int64)
        key = np.rec.fromarrays([self.frame, self.label])
        wanted = np.rec.fromarrays([frame.ravel(), label.ravel()])
        row = np.minimum(np.searchsorted(key, wanted), len(self) - 1)
        found = (self.frame[row] == frame.ravel()) & (self.label[row] == label.ravel())
        return np.where(found, row, -1).reshape(frame.shape).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Runs:
    """The pixels of cells as runs along the last axis, in about a hundredth of the memory of the masks.

    Parameters
    ----------
    cell : (R,) int64
        Row of ``Cells`` that the run belongs to.
    start : (R,) int64
        Index of the run's first pixel in its frame, flattened in C order.
    length : (R,) int64
        Pixels of the run; a run never crosses the end of an image row.
    offsets : (n_frames + 1,) int64
        Runs ``offsets[t]:offsets[t + 1]`` belong to frame t; within a frame they ascend by ``start``.
    shape : D ints
        Shape of a frame in pixels.
    """

    cell: IntArray
    start: IntArray
    length: IntArray
    offsets: IntArray
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        _freeze(self, cell=np.int64, start=np.int64, length=np.int64, offsets=np.int64)
        r = len(self.cell)
        _expect(len(self.start) == len(self.length) == r, "columns of runs differ in length")
        _expect(
            len(self.offsets) > 0 and self.offsets[0] == 0 and self.offsets[-1] == r, "offsets do not span the runs"
        )

    def __len__(self) -> int:
        return len(self.cell)

    def frame(self, frame: int) -> slice:
        """Return the runs of one frame."""
        return slice(int(self.offsets[frame]), int(self.offsets[frame + 1]))

    def frames(self) -> IntArray:
        """Return the frame of each run, shape (R,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def select(self, keep: BoolArray, cell: IntArray) -> Runs:
        """Return the runs for which `keep` is true.

        Parameters
        ----------
        keep : (R,) bool
            Which runs.
        cell : (R,) int64
            The new cell of each run; values of runs that are not kept are ignored.
        """
        count = np.concatenate([[0], np.cumsum(keep)])
        return Runs(cell[keep], self.start[keep], self.length[keep], count[self.offsets], self.shape)


@dataclass(frozen=True, eq=False)
class CellGraph:
    """Candidate links between the cells of a movie.

    Parameters
    ----------
    cells : Cells
        The nodes.
    source, target : (E,) int64
        Rows of ``cells``; ``frame[source] < frame[target]``. Sorted by (source, target).
    features : (E, K) float32
        One named column each.
    feature_names : K strings
        Names of the columns; scale-free except where the name has a unit.
    provenance : Provenance
        How the graph was made: estimates, and the settings by which the masks were read.

    Raises
    ------
    FormatError
        If lengths disagree, a link does not go forward in time, refers to a missing row, occurs
        twice, or the links are not sorted.
    """

    cells: Cells
    source: IntArray
    target: IntArray
    features: FeatureArray
    feature_names: tuple[str, ...]
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        _freeze(self, source=np.int64, target=np.int64, features=np.float32)
        e = len(self.source)
        _expect(self.target.shape == (e,), f"target has shape {self.target.shape}, source has {e} rows")
        _expect(
            self.features.shape == (e, len(self.feature_names)),
            f"features have shape {self.features.shape}, not {(e, len(self.feature_names))}",
        )
        if e:
            n = len(self.cells)
            low, high = min(self.source.min(), self.target.min()), max(self.source.max(), self.target.max())
            _expect(low >= 0 and high < n, f"links name rows {low}..{high} of {n} cells")
            _expect(bool((self.gap > 0).all()), "a link does not go forward in time")
            step = np.diff(self.source)
            ascending = (step > 0) | ((step == 0) & (np.diff(self.target) > 0))
            _expect(bool(ascending.all()), "links are not sorted by (source, target), or one occurs twice")

    def __len__(self) -> int:
        return len(self.source)

    @property
    def gap(self) -> IntArray:
        """Frames from source to target, shape (E,); 1 = consecutive frames."""
        return self.cells.frame[self.target] - self.cells.frame[self.source]

    @cached_property
    def cell_radii(self) -> FloatArray:
        """Radii of the cells, limited to half and twice the median radius, shape (N,), in the unit of positions."""
        diameter = self.cells.feature("diameter")
        typical = float(np.median(diameter)) / 2 if len(diameter) else 0.0
        radii = np.clip(diameter.astype(np.float64) / 2, typical / 2, typical * 2)
        radii.setflags(write=False)
        return radii

    def feature(self, name: str) -> FeatureArray:
        """Return one column of the link features, shape (E,).

        Raises
        ------
        FormatError
            If the column is missing.
        """
        return self.features[:, _column(self.feature_names, name, "link feature")]

    def has(self, name: str) -> bool:
        """Return whether the link features have a column of this name."""
        return name in self.feature_names


@dataclass(frozen=True, eq=False)
class LinkScores:
    """How likely each candidate link is, by any scorer.

    Parameters
    ----------
    link : (E,) float32 in [0, 1]
        Score per candidate link, in the order of the graph.
    pairs : (M, 2) int64
        Pairs of candidate links (first daughter, second daughter) that share their source and whose
        targets share their frame: the possible divisions.
    division : (M,) float32 in [0, 1]
        Score per pair.
    marginal : (E,) float32 in [0, 1], optional
        Probability of each link among all that compete with it: its confidence once chosen.
    candidates : division candidates, optional
        The measurements of the pairs, in their order, if the scorer made them; `gnntrack.gnn` reads them again.
    """

    link: FeatureArray
    pairs: IntArray = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    division: FeatureArray = field(default_factory=lambda: np.zeros(0, np.float32))
    marginal: FeatureArray | None = None
    candidates: DivisionCandidates | None = None

    def __post_init__(self) -> None:
        _freeze(self, link=np.float32, pairs=np.int64, division=np.float32)
        _expect(self.pairs.shape == (len(self.division), 2), f"pairs have shape {self.pairs.shape}")
        if self.marginal is not None:
            _freeze(self, marginal=np.float32)
        for name in ("link", "division", "marginal"):
            value = getattr(self, name)
            if value is not None and len(value):
                _expect(
                    bool(np.isfinite(value).all()) and value.min() >= 0 and value.max() <= 1,
                    f"{name} scores lie outside [0, 1]",
                )
        e = len(self.link)
        _expect(self.candidates is None or len(self.candidates) == len(self.pairs), "candidates are not those of pairs")
        _expect(self.marginal is None or len(self.marginal) == e, f"marginal has other rows than link, which has {e}")
        if len(self.pairs):
            low, high = int(self.pairs.min()), int(self.pairs.max())
            _expect(low >= 0 and high < e, f"pairs name links {low}..{high} of {e}")
            _expect(bool((self.pairs[:, 0] != self.pairs[:, 1]).all()), "a pair is one link twice")


def log_odds(probability: FeatureArray | FloatArray) -> FloatArray:
    """Return log(p / (1 - p)) of probabilities; those next to 0 and 1 count as 1e-12 and 1 - 1e-7.

    >>> log_odds(np.array([0.0, 0.5, 1.0])).round(1)
    array([-27.6,   0. ,  16.1])
    """
    p = np.clip(probability.astype(np.float64), 1e-12, 1 - 1e-7)
    return np.asarray(np.log(p) - np.log1p(-p))


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
        _freeze(self, id=np.int64, start=np.int64, end=np.int64, parent=np.int64)
        k = len(self.id)
        _expect(all(len(getattr(self, f.name)) == k for f in fields(self)), "columns differ in length")
        _expect(bool((np.diff(self.id) > 0).all()) and (not k or self.id[0] > 0), "track ids are not ascending from 1")
        _expect(bool((self.start <= self.end).all()), "a track ends before it starts")
        orphan = ~np.isin(self.parent, self.id) & (self.parent != 0)
        _expect(not orphan.any(), f"unknown parents {self.parent[orphan][:5].tolist()}")
        child = self.parent != 0
        row = np.searchsorted(self.id, self.parent[child])
        late = self.end[row] >= self.start[child]
        _expect(not late.any(), f"tracks {self.id[child][late][:5].tolist()} start before their parents end")

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
    """

    cells: Cells
    track: IntArray
    tracks: Tracks
    source: IntArray
    target: IntArray
    confidence: FeatureArray
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        _freeze(self, track=np.int64, source=np.int64, target=np.int64, confidence=np.float32)
        n = len(self.cells)
        _expect(self.track.shape == (n,), f"track has shape {self.track.shape}, there are {n} cells")
        _expect(len(self.source) == len(self.target) == len(self.confidence), "links differ in length")
        _expect(
            np.array_equal(np.unique(self.track), self.tracks.id), "the cells' tracks and the table of tracks differ"
        )
        row = np.searchsorted(self.tracks.id, self.track)
        inside = (self.cells.frame >= self.tracks.start[row]) & (self.cells.frame <= self.tracks.end[row])
        _expect(bool(inside.all()), "a cell lies outside its track's frames")

    def to_networkx(self) -> nx.DiGraph:
        """Return the lineage as a directed graph: a node per cell, an edge per chosen link.

        Nodes are rows of ``cells`` with ``frame``, ``label``, ``track`` and the axes ``z, y, x``;
        edges have ``confidence``. A division is a node with two successors.
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
        return graph

    def with_provenance(self, **changes: Any) -> Lineage:
        """Return the same lineage with some fields of its provenance changed."""
        return replace(self, provenance=self.provenance.replace(**changes))


def _freeze(table: Any, **columns: Any) -> None:
    """Convert columns to contiguous read-only arrays of their dtypes."""
    for name, dtype in columns.items():
        # a table of features is read column by column
        layout = np.asfortranarray if name == "features" else np.ascontiguousarray
        value = layout(getattr(table, name), dtype)
        if value is getattr(table, name) and value.flags.writeable:
            value = value.view()
        value.flags.writeable = False
        object.__setattr__(table, name, value)


def _rank(values: IntArray) -> tuple[IntArray, IntArray]:
    """Return the distinct values, ascending, and the index of each value among them."""
    if not len(values) or values.min() < 0 or values.max() > 8 * len(values):
        return np.unique(values, return_inverse=True)
    present = np.bincount(values) > 0  # small numbers, such as track ids: 20 times faster than sorting
    return np.flatnonzero(present), (np.cumsum(present) - 1)[values]


def _expect(condition: bool, problem: str) -> None:  # noqa: FBT001
    if not condition:
        raise FormatError(problem)


def _column(names: tuple[str, ...], name: str, kind: str) -> int:
    if name not in names:
        msg = f"unknown {kind} '{name}'; there are: {', '.join(names) or 'none'}"
        raise FormatError(msg)
    return names.index(name)
