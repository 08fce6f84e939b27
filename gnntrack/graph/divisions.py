"""Division candidates: pairs of candidate links from one parent to two cells of the next frame."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.geometry import measure_lengths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gnntrack.types import BoolArray, CellGraph, Cells, FeatureArray, FloatArray, IntArray

__all__ = ["DivisionCandidates", "predict_positions"]

_CHUNK = 1 << 19  # links that are paired at once, to bound the memory
_FARTHEST = 5.0  # radii from a parent to each of its daughters, exclusive
_MAX_MIDDLE = 2.5  # radii from the predicted position of the parent to the middle of its daughters, exclusive
_MAX_SPREAD = 5.0  # radii between two daughters, exclusive
_MOST_LINKS = 32  # of a parent that are paired; more only where very many cells lie at one place


def predict_positions(cells: Cells, rows: IntArray) -> FloatArray:
    """Return where cells are expected in the next frame, from the motion of the cells around them.

    Parameters
    ----------
    cells : Cells
        Cells of a graph, with the features ``shift_[z], shift_y, shift_x``.
    rows : int64 array of any shape
        Which cells.

    Returns
    -------
    (..., D) float64
        For each of the rows, positions along ``[z], y, x`` in the unit of the cells.

    Examples
    --------
    >>> from gnntrack.types import Cells
    >>> cells = Cells([0], [1], [[3.0, 4.0]], [[0.5, -1.0]], ("shift_y", "shift_x"), ("", ""), (1, 1), 2, (9, 9))
    >>> predict_positions(cells, np.array([0])).tolist()
    [[3.5, 3.0]]
    """
    shift = np.stack([cells.feature(f"shift_{axis}")[rows] for axis in "zyx"[-cells.ndim :]], axis=-1)
    predicted: FloatArray = cells.position[rows] + shift
    return predicted


@dataclass(frozen=True)
class DivisionCandidates:
    """Possible divisions, sorted by their links.

    Parameters
    ----------
    links : (M, 2) int64
        Rows of the candidate links to both daughters in the graph.
    middle : (M,) float32
        Distance from the predicted position of the parent to the middle of the daughters, in radii of the parent, as
        all distances here.
    centre : (M,) float32
        Distance from the predicted position of the parent to the common centroid of the daughters.
    spread : (M,) float32
        Distance between the daughters.
    together : (M,) float32
        Logarithm of the size of both daughters together over the size of the parent; 0 for points without a size.
    unequal : (M,) float32
        Absolute logarithm of the ratio of the daughters' sizes; 0 for points without a size.
    """

    links: IntArray
    middle: FeatureArray
    centre: FeatureArray
    spread: FeatureArray
    together: FeatureArray
    unequal: FeatureArray

    @classmethod
    def empty(cls) -> DivisionCandidates:
        """Return a table without candidates.

        >>> len(DivisionCandidates.empty())
        0
        """
        zero = np.zeros(0, np.float32)
        return cls(np.zeros((0, 2), np.int64), zero, zero, zero, zero, zero)

    @classmethod
    def find(cls, graph: CellGraph) -> DivisionCandidates:
        """Find all pairs of links to the next frame that share their source and may be a division.

        Parameters
        ----------
        graph : CellGraph
            Candidate links, as returned by `build_candidates`.

        Returns
        -------
        DivisionCandidates
            Pairs of links shorter than 5 radii of the two cells, with ``middle`` below 2.5 and ``spread`` below 5.
        """
        parts = [
            cls._sort([cls._measure(graph, links, graph.cell_radii) for links in steps]) for steps in _pair_links(graph)
        ]
        columns = ([getattr(part, f.name) for part in (*parts, cls.empty())] for f in fields(cls))
        return cls(*map(np.concatenate, columns))

    @classmethod
    def _sort(cls, parts: list[DivisionCandidates]) -> DivisionCandidates:
        """Return parts as one table, sorted by their links."""
        joined = [np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)]
        order = np.lexsort((joined[0][:, 1], joined[0][:, 0]))
        return cls(*(column[order] for column in joined))

    @classmethod
    def _measure(cls, graph: CellGraph, links: IntArray, radii: FloatArray) -> DivisionCandidates:
        """Measure pairs of links (m, 2), without those whose daughters are too far from the parent or each other."""
        cells = graph.cells
        parent, first, second = graph.source[links[:, 0]], graph.target[links[:, 0]], graph.target[links[:, 1]]
        radius = radii[parent]
        expected = predict_positions(cells, parent)
        a, b = cells.position[first], cells.position[second]
        middle = measure_lengths((a + b) / 2 - expected) / radius
        spread = np.maximum(measure_lengths(a - b) / radius, 1e-3)
        near = (middle < _MAX_MIDDLE) & (spread < _MAX_SPREAD)
        if not near.all():
            return cls._measure(graph, links[near], radii)
        if not cells.has("size"):  # points: daughters of unknown size count as equal
            unknown = np.zeros(len(links))
            return cls(links, *(column.astype(np.float32) for column in (middle, middle, spread, unknown, unknown)))
        size = cells.feature("size")
        volume = [np.log(np.maximum(size[row].astype(np.float64), 1e-12)) for row in (parent, first, second)]
        fraction = (1 / (1 + np.exp(volume[2] - volume[1])))[:, None]
        centre = measure_lengths(a * fraction + b * (1 - fraction) - expected) / radius
        together, unequal = np.logaddexp(volume[1], volume[2]) - volume[0], np.abs(volume[1] - volume[2])
        return cls(links, *(column.astype(np.float32) for column in (middle, centre, spread, together, unequal)))

    def select(self, rows: slice | BoolArray) -> DivisionCandidates:
        """Return some of the candidates, by a slice or a mask (M,) bool."""
        return DivisionCandidates(*(getattr(self, f.name)[rows] for f in fields(self)))

    def __len__(self) -> int:
        return len(self.links)


def _pair_links(graph: CellGraph) -> Iterator[list[IntArray]]:
    """Yield all pairs (m, 2) of links to the next frame that share their source and are shorter than 5 radii.

    Each list has the pairs of some sources, not sorted; the sources ascend from list to list.
    """
    near = _bound_links(
        graph, np.flatnonzero((graph.feature("gap") == 1) & (graph.feature("distance_radii") < _FARTHEST))
    )
    for start in range(0, len(near), _CHUNK):
        stop = start + _CHUNK
        while stop < len(near) and graph.source[near[stop]] == graph.source[near[stop - 1]]:
            stop += 1  # the links of a source stay in one chunk; the next chunk skips them
        part = near[start:stop]
        if start and graph.source[near[start]] == graph.source[near[start - 1]]:
            part = part[graph.source[part] != graph.source[near[start - 1]]]
        steps: list[IntArray] = []
        for step in range(1, len(part)):
            same = np.flatnonzero(graph.source[part[:-step]] == graph.source[part[step:]])
            if not len(same):
                break
            steps.append(np.stack([part[same], part[same + step]], axis=1))
        if steps:
            yield steps


def _bound_links(graph: CellGraph, links: IntArray) -> IntArray:
    """Return links that ascend by source, of each source at most `_MOST_LINKS`: those with the smallest residuals."""
    source = graph.source[links]
    begin = np.flatnonzero(np.diff(source, prepend=-1))
    count = np.diff(np.append(begin, len(links)))
    if not len(links) or count.max() <= _MOST_LINKS:
        return links
    order = np.lexsort((graph.feature("residual")[links], source))
    kept = np.arange(len(links)) - np.repeat(begin, count) < _MOST_LINKS
    return np.sort(links[order[kept]])
