"""Clouds in overlapping blocks, so that memory and time per point stay the same however many points there are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from segmenters.common.arrays import Floats, Integers
    from segmenters.diffusion.points import Cloud


__all__ = ["Block", "cut_blocks", "extract_part", "find_block_rows"]

CORE = 2000
"""Points of a block at most, those around it not counted."""

_MARGIN = 0.4  # how far around it a block sees, in diameters
_LARGEST = 4  # points of a block with those around it, in cores: the farthest points are removed


class Block(NamedTuple):
    """A part of a cloud.

    Parameters
    ----------
    rows : (N,) int array
        The points, in the order of the cloud: those of the core and those around it.
    core : (N,) bool array
        Which of them the block is there for; each point is in one core.
    """

    rows: Integers
    core: npt.NDArray[np.bool_]


def cut_blocks(points: Floats, *, core: int = CORE) -> list[Block]:
    """Return the blocks of a cloud: halved along its longest side until no core has more than `core` points.

    Parameters
    ----------
    points : (N, 3) float array
        In diameters.
    core : int
        Points of a core at most.
    """
    return [_with_surroundings(points, rows, core) for rows in find_block_rows(points, core=core)]


def find_block_rows(points: Floats, *, core: int = CORE) -> list[Integers]:
    """Return the rows of each core, ascending."""
    waiting, found = [np.arange(len(points))], []
    while waiting:
        rows = waiting.pop()
        if len(rows) <= core:
            found += [rows] if len(rows) else []
            continue
        here = points[rows]
        axis = int(np.argmax(np.ptp(here, axis=0)))
        order = np.argsort(here[:, axis], kind="stable")
        half = len(rows) // 2
        waiting += [np.sort(rows[order[half:]]), np.sort(rows[order[:half]])]
    return found


def _with_surroundings(points: Floats, rows: Integers, core: int) -> Block:
    low, high = points[rows].min(0), points[rows].max(0)
    away = np.maximum(np.maximum(low - points, points - high), 0).max(1)
    away[rows] = -1
    near = np.flatnonzero(away <= _MARGIN)
    near = np.sort(near[np.argsort(away[near], kind="stable")[: _LARGEST * core]])
    return Block(near, away[near] < 0)


def extract_part(cloud: Cloud, block: Block) -> tuple[Cloud, Block]:
    """Return a block as a cloud of its own, without voxels.

    On a surface, points around the core that are in no triangle of the block are removed; the second value is
    the block as it is then.
    """
    faces = cloud.faces
    if faces is not None:
        place = np.full(len(cloud), -1, np.int64)
        place[block.rows] = np.arange(len(block.rows))
        faces = place[faces]
        faces = faces[(faces >= 0).all(1)]
        kept = block.core.copy()
        kept[faces.ravel()] = True
        faces = (np.cumsum(kept) - 1)[faces]
        block = Block(block.rows[kept], block.core[kept])
    rows = block.rows
    part = replace(
        cloud,
        points=cloud.points[rows],
        mass=cloud.mass[rows],
        features=cloud.features[rows],
        vectors=cloud.vectors[rows],
        voxels=cloud.voxels[:0],
        owner=cloud.owner[:0],
        brightness=cloud.brightness[:0],
        box=None if cloud.box is None else cloud.box[rows],
        faces=faces,
    )
    return part, block
