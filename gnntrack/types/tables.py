"""The tables of the stages before the lineage: cells, their pixels, candidate links, and the scores of these."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.movie_scales import estimate_of_movie
from gnntrack.plurals import count_noun
from gnntrack.provenance import Provenance
from gnntrack.types.columns import expect, find_column, freeze_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    from torch_geometric.data import Data

    from gnntrack.graph.divisions import DivisionCandidates
    from gnntrack.types.columns import BoolArray, FeatureArray, FloatArray, IntArray

__all__ = ["CellGraph", "Cells", "LinkScores", "Runs", "invert_log_odds", "log_odds"]


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
    points : bool
        Whether the cells are points without masks: then `label` numbers them within a frame, and the features of
        masks are missing, also ``size`` if no radius is known.
    ids : (N,) int64, optional
        Ids of points in the input, if they cannot be their labels; -1 for points that were added. None if the labels
        are the ids, or the input has none.

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
    points: bool = False
    ids: IntArray | None = None

    def __post_init__(self) -> None:
        n, d = len(self.frame), len(self.spacing)
        freeze_columns(self, frame=np.int64, label=np.int64, position=np.float64, features=np.float32)
        if self.ids is not None:
            freeze_columns(self, ids=np.int64)
            expect(self.ids.shape == (n,), f"ids have shape {self.ids.shape}, frame has {count_noun(n, 'row')}")
        expect(self.label.shape == (n,), f"label has shape {self.label.shape}, frame has {count_noun(n, 'row')}")
        expect(self.position.shape == (n, d), f"position has shape {self.position.shape}, not {(n, d)}")
        expect(
            self.features.shape == (n, len(self.feature_names)) and len(self.feature_units) == len(self.feature_names),
            f"features have shape {self.features.shape}, with {count_noun(len(self.feature_names), 'name')} "
            f"and {count_noun(len(self.feature_units), 'unit')}",
        )
        expect(len(self.shape) == d, f"shape {self.shape} and spacing {self.spacing} differ in length")
        if n:
            step = np.diff(self.frame)
            ascending = (step > 0) | ((step == 0) & (np.diff(self.label) > 0))
            expect(bool(ascending.all()), "rows are not sorted by (frame, label), or a cell occurs twice")
            expect(self.frame[0] >= 0 and self.frame[-1] < self.n_frames, f"frames outside 0..{self.n_frames - 1}")
            expect(self.label.min() > 0, f"label {self.label.min()} is not positive")

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
        return self.features[:, find_column(self.feature_names, name, "cell feature")]

    def select(self, keep: BoolArray) -> Cells:
        """Return the cells for which `keep`, (N,) bool, is true."""
        rows = {name: getattr(self, name)[keep] for name in ("frame", "label", "position", "features")}
        return replace(self, **rows, ids=None if self.ids is None else self.ids[keep])

    def has(self, name: str) -> bool:
        """Return whether the features have a column of this name."""
        return name in self.feature_names

    def rows(self, frame: int) -> slice:
        """Return the rows of one frame.

        >>> cells = Cells([0, 0, 2], [3, 7, 3], [[0, 0]] * 3, [[]] * 3, (), (), (1, 1), 3, (9, 9))
        >>> cells.rows(0), cells.rows(1), cells.rows(2)
        (slice(0, 2, None), slice(2, 2, None), slice(2, 3, None))
        """
        if 0 <= frame < self.n_frames:
            return slice(*self._bounds[frame : frame + 2])
        end = 0 if frame < 0 else len(self)
        return slice(end, end)

    @cached_property
    def _bounds(self) -> list[int]:
        """First row of each frame, and the number of rows."""
        bounds: list[int] = np.searchsorted(self.frame, np.arange(self.n_frames + 1)).tolist()
        return bounds

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
        freeze_columns(self, cell=np.int64, start=np.int64, length=np.int64, offsets=np.int64)
        r = len(self.cell)
        expect(len(self.start) == len(self.length) == r, "columns of runs differ in length")
        expect(len(self.offsets) > 0 and self.offsets[0] == 0 and self.offsets[-1] == r, "offsets do not span the runs")

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
        freeze_columns(self, source=np.int64, target=np.int64, features=np.float32)
        e = len(self.source)
        expect(self.target.shape == (e,), f"target has shape {self.target.shape}, source has {count_noun(e, 'row')}")
        expect(
            self.features.shape == (e, len(self.feature_names)),
            f"features have shape {self.features.shape}, not {(e, len(self.feature_names))}",
        )
        if e:
            n = len(self.cells)
            low, high = min(self.source.min(), self.target.min()), max(self.source.max(), self.target.max())
            expect(low >= 0 and high < n, f"links name rows {low}..{high} of {count_noun(n, 'cell')}")
            expect(bool((self.gap > 0).all()), "a link does not go forward in time")
            step = np.diff(self.source)
            ascending = (step > 0) | ((step == 0) & (np.diff(self.target) > 0))
            expect(bool(ascending.all()), "links are not sorted by (source, target), or one occurs twice")

    def __len__(self) -> int:
        return len(self.source)

    @cached_property
    def gap(self) -> IntArray:
        """Frames from source to target, shape (E,); 1 = consecutive frames."""
        gap = self.cells.frame[self.target] - self.cells.frame[self.source]
        gap.setflags(write=False)
        return gap

    @cached_property
    def cell_radii(self) -> FloatArray:
        """Radii of the cells, limited to half and twice the median radius, shape (N,), in the unit of positions."""
        diameter = self.cells.feature("diameter")
        typical = estimate_of_movie(
            "graph.cell_radius", lambda: float(np.median(diameter)) / 2 if len(diameter) else 0.0
        )
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
        return self.features[:, find_column(self.feature_names, name, "link feature")]

    def has(self, name: str) -> bool:
        """Return whether the link features have a column of this name."""
        return name in self.feature_names

    def to_torch_geometric(self) -> Data:
        """Return the graph as `torch_geometric.data.Data`, for networks of one's own.

        Returns
        -------
        Data
            ``x`` (N, F) and ``edge_attr`` (E, K): the features, whose names are ``node_names`` and ``edge_names``;
            ``edge_index`` (2, E): cells, earlier one first; ``pos`` (N, D): centroids along ``[z], y, x``; ``frame``
            and ``label`` (N,).

        Examples
        --------
        >>> import gnntrack
        >>> graph = gnntrack.build_graph(masks=gnntrack.simulate(frames=3, cells=4, seed=1).masks)
        >>> data = graph.to_torch_geometric()
        >>> data.num_nodes == len(graph.cells), data.num_edges == len(graph), data.edge_names[:2]
        (True, True, ['gap', 'distance'])
        """
        from gnntrack.gnn.geometric import convert_to_data

        return convert_to_data(self)


@dataclass(frozen=True, eq=False)
class LinkScores:
    """How likely each candidate link is, by any scorer.

    Parameters
    ----------
    link : (E,) float32 in [0, 1]
        Score per candidate link, in the order of the graph.
    pairs : (M, 2) int64
        Pairs of candidate links (first daughter, second daughter) that share their source and whose
        targets share their frame: the possible divisions. Of points, one daughter may be detected some frames late.
    division : (M,) float32 in [0, 1]
        Score per pair.
    marginal : (E,) float32 in [0, 1], optional
        Probability of each link among all that compete with it: its confidence once chosen.
    spurious : (N,) float32 in [0, 1], optional
        How likely it is that each cell of the graph is none; `gnntrack.scores.spurious` calibrates it.
    candidates : division candidates, optional
        The measurements of the pairs, in their order, if the scorer made them; `gnntrack.gnn` reads them again.
    movie : dict of float, optional
        Statistics of the movie by name, if the scorer measured them; `gnntrack.gnn` reads them.
    """

    link: FeatureArray
    pairs: IntArray = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    division: FeatureArray = field(default_factory=lambda: np.zeros(0, np.float32))
    marginal: FeatureArray | None = None
    spurious: FeatureArray | None = None
    candidates: DivisionCandidates | None = None
    movie: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        freeze_columns(self, link=np.float32, pairs=np.int64, division=np.float32)
        expect(self.pairs.shape == (len(self.division), 2), f"pairs have shape {self.pairs.shape}")
        for name in ("marginal", "spurious"):
            if getattr(self, name) is not None:
                freeze_columns(self, **{name: np.float32})
        for name in ("link", "division", "marginal", "spurious"):
            value = getattr(self, name)
            if value is not None and len(value):
                expect(
                    bool(np.isfinite(value).all()) and value.min() >= 0 and value.max() <= 1,
                    f"{name} scores lie outside [0, 1]",
                )
        e = len(self.link)
        expect(self.candidates is None or len(self.candidates) == len(self.pairs), "candidates are not those of pairs")
        expect(self.marginal is None or len(self.marginal) == e, f"marginal has other rows than link, which has {e}")
        if len(self.pairs):
            low, high = int(self.pairs.min()), int(self.pairs.max())
            expect(low >= 0 and high < e, f"pairs name links {low}..{high} of {e}")
            expect(bool((self.pairs[:, 0] != self.pairs[:, 1]).all()), "a pair is one link twice")

    def find_pairs(self, pairs: IntArray) -> IntArray:
        """Return the rows of pairs of links (M, 2), in any order, among `pairs`; -1 = not there.

        >>> LinkScores(np.full(4, 0.5), [[0, 1], [2, 3]], [0.9, 0.2]).find_pairs(np.array([[3, 2], [0, 3]])).tolist()
        [1, -1]
        """
        n = len(self.link)
        wanted, known = (np.sort(each, axis=1) @ (n, 1) for each in (pairs, self.pairs))
        order = np.append(np.argsort(known, kind="stable"), -1)
        known = np.append(known, -1)
        at = np.searchsorted(known[order[:-1]], wanted)
        return np.asarray(np.where(known[order[at]] == wanted, order[at], -1), np.int64)


def log_odds(probability: FeatureArray | FloatArray) -> FloatArray:
    """Return log(p / (1 - p)) of probabilities; those next to 0 and 1 count as 1e-12 and 1 - 1e-7.

    >>> log_odds(np.array([0.0, 0.5, 1.0])).round(1)
    array([-27.6,   0. ,  16.1])
    """
    p = np.clip(probability.astype(np.float64), 1e-12, 1 - 1e-7)
    return np.asarray(np.log(p) - np.log1p(-p))


def invert_log_odds(log_odds: FeatureArray | FloatArray) -> FloatArray:
    """Return 1 / (1 + exp(-x)), the probabilities of log-odds x.

    >>> invert_log_odds(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-np.asarray(log_odds, np.float64))))
