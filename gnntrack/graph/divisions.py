"""Possible divisions: pairs of candidate links from one mother to two cells of the next frame."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gnntrack.types import BoolArray, CellGraph, FeatureArray, FloatArray, IntArray

__all__ = ["Pairs"]

_CHUNK = 1 << 19  # links of which pairs are made at once, to bound the memory
_FARTHEST = 2.5  # radii from where the mother is expected to the middle of her daughters at most
_WIDEST = 5.0  # radii between daughters at most


@dataclass(frozen=True)
class Pairs:
    """Possible divisions; lengths in radii of the mother, sizes as log ratios."""

    links: IntArray  # (M, 2)
    middle: FeatureArray  # from where the mother is expected to the middle of the daughters
    centre: FeatureArray  # the same to the daughters' common centroid
    spread: FeatureArray  # between the daughters
    together: FeatureArray  # both daughters' size against the mother's
    unequal: FeatureArray  # one daughter's size against the other's

    @classmethod
    def none(cls) -> Pairs:
        """Return no pairs."""
        zero = np.zeros(0, np.float32)
        return cls(np.zeros((0, 2), np.int64), zero, zero, zero, zero, zero)

    @classmethod
    def of(cls, graph: CellGraph) -> Pairs:
        """Return the pairs of links to the next frame that share their source and may be daughters at all."""
        radii = graph.cell_radii
        parts = [cls._joined([cls._measured(graph, links, radii) for links in steps]) for steps in _link_pairs(graph)]
        columns = ([getattr(part, f.name) for part in (*parts, cls.none())] for f in fields(cls))
        return cls(*map(np.concatenate, columns))

    @classmethod
    def _joined(cls, parts: list[Pairs]) -> Pairs:
        """Return pairs as one table, sorted by their links."""
        joined = [np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)]
        order = np.lexsort((joined[0][:, 1], joined[0][:, 0]))
        return cls(*(column[order] for column in joined))

    @classmethod
    def _measured(cls, graph: CellGraph, links: IntArray, radii: FloatArray) -> Pairs:
        """Measure pairs; those whose middle is far from the mother are left out."""
        cells = graph.cells
        mother, first, second = graph.source[links[:, 0]], graph.target[links[:, 0]], graph.target[links[:, 1]]
        radius = radii[mother]
        shift = np.stack([cells.feature(f"shift_{axis}")[mother] for axis in "zyx"[-cells.ndim :]], axis=1)
        expected = cells.position[mother] + shift
        a, b = cells.position[first], cells.position[second]
        middle = np.linalg.norm((a + b) / 2 - expected, axis=1) / radius
        spread = np.maximum(np.linalg.norm(a - b, axis=1) / radius, 1e-3)
        near = (middle < _FARTHEST) & (spread < _WIDEST)
        if not near.all():
            return cls._measured(graph, links[near], radii)
        size = cells.feature("size")
        volume = [np.log(np.maximum(size[row].astype(np.float64), 1e-12)) for row in (mother, first, second)]
        share = (1 / (1 + np.exp(volume[2] - volume[1])))[:, None]
        centre = np.linalg.norm(a * share + b * (1 - share) - expected, axis=1) / radius
        together, unequal = np.logaddexp(volume[1], volume[2]) - volume[0], np.abs(volume[1] - volume[2])
        return cls(links, *(column.astype(np.float32) for column in (middle, centre, spread, together, unequal)))

    def rows(self, rows: slice | BoolArray) -> Pairs:
        """Return some of the pairs."""
        return Pairs(*(getattr(self, f.name)[rows] for f in fields(self)))

    def __len__(self) -> int:
        return len(self.links)


def _link_pairs(graph: CellGraph) -> Iterator[list[IntArray]]:
    """Yield all pairs of links to the next frame that share their source, at most 5 radii long, shapes (m, 2).

    Each list holds those of some sources, in an order of its own; the sources ascend from list to list.
    """
    near = np.flatnonzero((graph.feature("gap") == 1) & (graph.feature("distance_radii") < 5))
    for start in range(0, len(near), _CHUNK):
        stop = start + _CHUNK
        while stop < len(near) and graph.source[near[stop]] == graph.source[near[stop - 1]]:
            stop += 1  # a source's links stay together; the next chunk skips them
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
