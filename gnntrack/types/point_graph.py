"""A lineage of points: cells without masks, and links between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.plurals import count_noun
from gnntrack.types.columns import expect, freeze_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.types.columns import BoolArray, FloatArray, IntArray
    from gnntrack.types.lineage import Lineage

__all__ = ["PointGraph"]


@dataclass(frozen=True, eq=False)
class PointGraph:
    """Points and links of a lineage, as other programs and ground truths have them, in any order.

    Unlike a `Lineage` it may hold every graph that goes forward in time: cells with three children or two parents,
    links over several frames, and links that occur twice.

    Parameters
    ----------
    id : (N,) int64
        Id of each point, all different; of any size.
    frame : (N,) int64
        Frame of each point, from 0.
    position : (N, D) float64
        Position along ``[z], y, x`` in ``unit``.
    source, target : (E,) int64
        Rows of the points that each link joins; ``frame[source] < frame[target]``.
    spacing : D floats
        Size of a voxel along ``[z], y, x`` in ``unit``.
    unit : str
        ``"um"`` or ``"pixel"``.
    total : float or None
        Estimated number of cells of the movie, summed over its frames, if only some of them are annotated.
    n_frames : int
        Frames of the movie; 0: up to the last point.

    Raises
    ------
    FormatError
        If lengths disagree, an id occurs twice, a position is not finite, a frame lies outside the movie, or a link
        names a row that is missing or does not go forward in time.

    Examples
    --------
    >>> graph = PointGraph([7, 9, 8], [0, 1, 1], [[0, 0], [0, 3], [0, 8]], [0, 0], [1, 2], (1.0, 1.0))
    >>> len(graph), graph.n_frames, graph.children.tolist(), graph.parents.tolist()
    (3, 2, [2, 0, 0], [0, 1, 1])
    """

    id: IntArray
    frame: IntArray
    position: FloatArray
    source: IntArray
    target: IntArray
    spacing: tuple[float, ...]
    unit: str = "um"
    total: float | None = None
    n_frames: int = 0

    def __post_init__(self) -> None:
        freeze_columns(self, id=np.int64, frame=np.int64, position=np.float64, source=np.int64, target=np.int64)
        n, d = len(self.id), len(self.spacing)
        object.__setattr__(self, "spacing", tuple(map(float, self.spacing)))
        if not self.n_frames:
            object.__setattr__(self, "n_frames", int(self.frame.max(initial=-1)) + 1)
        expect(self.frame.shape == (n,), f"frame has shape {self.frame.shape}, id has {count_noun(n, 'row')}")
        expect(self.position.shape == (n, d), f"position has shape {self.position.shape}, not {(n, d)}")
        expect(len(self.source) == len(self.target), "source and target of the links differ in length")
        expect(self.unit in {"um", "pixel"}, f"unit '{self.unit}'; expected 'um' or 'pixel'")
        expect(min(self.spacing, default=1.0) > 0, f"spacing {self.spacing}; expected sizes above 0")
        self._check_points()
        self._check_links()

    def _check_points(self) -> None:
        ids, count = np.unique(self.id, return_counts=True)
        double = ids[count > 1]
        expect(not len(double), f"the id {double[:1].sum()} occurs twice; expected a different id for each point")
        outside = self.frame[(self.frame < 0) | (self.frame >= self.n_frames)]
        expect(not len(outside), f"a point in frame {outside[:1].sum()}, outside 0..{self.n_frames - 1}")
        lost = self.id[~np.isfinite(self.position).all(axis=1)]
        expect(not len(lost), f"the position of point {lost[:1].sum()} is not finite")

    def _check_links(self) -> None:
        if not len(self.source):
            return
        n, ends = len(self), np.concatenate([self.source, self.target])
        expect(
            ends.min() >= 0 and ends.max() < n,
            f"links name rows {ends.min()}..{ends.max()} of {count_noun(n, 'point')}",
        )
        wrong = np.flatnonzero(self.gap <= 0)[:1]
        for row in wrong.tolist():
            one, other = self.source[row], self.target[row]
            expect(
                condition=False,
                problem=f"the link {self.id[one]} -> {self.id[other]} goes from frame {self.frame[one]} to frame "
                f"{self.frame[other]}; expected a later frame",
            )

    def __len__(self) -> int:
        return len(self.id)

    def __repr__(self) -> str:
        return (
            f"<PointGraph: {count_noun(len(self), 'point')}, {count_noun(len(self.source), 'link')}, "
            f"{count_noun(self.n_frames, 'frame')}, {self.ndim}D, {self.unit}>"
        )

    @property
    def ndim(self) -> int:
        """Number of spatial dimensions, 2 or 3."""
        return len(self.spacing)

    @property
    def voxels(self) -> FloatArray:
        """Positions in voxels, (N, D)."""
        return np.divide(self.position, self.spacing)

    @cached_property
    def gap(self) -> IntArray:
        """Frames from source to target of each link, (E,)."""
        return self.frame[self.target] - self.frame[self.source]

    @cached_property
    def links(self) -> IntArray:
        """The links without repetitions, (L, 2) rows of source and target, sorted."""
        pairs = np.unique(self.source * max(1, len(self)) + self.target)
        return np.column_stack(np.divmod(pairs, max(1, len(self))))

    @cached_property
    def children(self) -> IntArray:
        """Number of different points to which links of each point go, (N,)."""
        return np.bincount(self.links[:, 0], minlength=len(self))

    @cached_property
    def parents(self) -> IntArray:
        """Number of different points from which links come to each point, (N,)."""
        return np.bincount(self.links[:, 1], minlength=len(self))

    @classmethod
    def from_lineage(cls, lineage: Lineage) -> PointGraph:
        """Return the centroids and links of a lineage; ids are rows of its cells, as in its GEFF.

        Parameters
        ----------
        lineage : Lineage
            Of masks or of points.

        Examples
        --------
        >>> import gnntrack
        >>> movie = gnntrack.simulate(frames=6, cells=6, shape=(100, 100), seed=1)
        >>> PointGraph.from_lineage(gnntrack.track(masks=movie.masks))
        <PointGraph: 52 points, 42 links, 6 frames, 2D, um>
        """
        cells, n = lineage.cells, len(lineage.cells)
        links = lineage.source, lineage.target
        return cls(
            np.arange(n), cells.frame, cells.position, *links, cells.spacing, cells.unit, n_frames=cells.n_frames
        )

    def fill_gaps(self, drift: FloatArray | None = None) -> PointGraph:
        """Return a graph whose links all lead to the next frame: points on straight lines fill the longer ones.

        Parameters
        ----------
        drift : (n_frames, D) float64, optional
            Place of the whole stack in each frame, in ``unit``; the lines are straight without it.

        Returns
        -------
        PointGraph
            Its first points are those of this graph, in their order.

        Examples
        --------
        >>> filled = PointGraph([5, 6], [0, 2], [[0.0, 0.0], [4.0, 2.0]], [0], [1], (1.0, 1.0)).fill_gaps()
        >>> filled.id.tolist(), filled.frame.tolist(), filled.position[2].tolist(), filled.links.tolist()
        ([5, 6, 7], [0, 2, 1], [2.0, 1.0], [[0, 2], [2, 1]])
        """
        drift = np.zeros((self.n_frames, self.ndim)) if drift is None else drift
        source, target = self.links.T
        steps = self.frame[target] - self.frame[source]
        link = np.repeat(np.arange(len(steps)), steps - 1)
        after = np.arange(len(link)) - np.repeat(np.cumsum(steps - 1) - (steps - 1), steps - 1) + 1
        frame = self.frame[source[link]] + after
        still = self.position - drift[self.frame]
        part = (after / steps[link])[:, None]
        place = still[source[link]] * (1 - part) + still[target[link]] * part + drift[frame]
        row = len(self) + np.arange(len(link))
        first, last = after == 1, after == steps[link] - 1
        return replace(
            self,
            id=np.append(self.id, int(self.id.max(initial=0)) + 1 + np.arange(len(link))),
            frame=np.append(self.frame, frame),
            position=np.concatenate([self.position, place]),
            source=np.concatenate([source[steps == 1], source[link[first]], row[~last], row[last]]),
            target=np.concatenate([target[steps == 1], row[first], row[~last] + 1, target[link[last]]]),
        )

    def select(self, keep: BoolArray) -> PointGraph:
        """Return the points for which `keep`, (N,) bool, is true, and the links between them."""
        keep = np.asarray(keep, bool)
        row = np.cumsum(keep) - 1
        inside = keep[self.source] & keep[self.target]
        source, target = row[self.source[inside]], row[self.target[inside]]
        kept = {name: getattr(self, name)[keep] for name in ("id", "frame", "position")}
        return replace(self, source=source, target=target, **kept)

    def set_spacing(self, spacing: Sequence[float], unit: str = "um") -> PointGraph:
        """Return the same points with another voxel size: their voxels stay, their positions are new.

        Parameters
        ----------
        spacing : D floats
            Size of a voxel along ``[z], y, x``.
        unit : str
            ``"um"`` or ``"pixel"``.
        """
        return replace(self, position=self.voxels * np.array(spacing, float), spacing=tuple(spacing), unit=unit)
