"""Recall of the candidate links: the fraction of true links among them. No solver can choose a missing candidate."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from gnntrack.io.ctc_names import find_ctc
from gnntrack.io.ctc_table import parse_track_table
from gnntrack.masks.overlaps import is_covered
from gnntrack.pipeline import build_graph
from gnntrack.settings import Settings

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, Cells, IntArray


def measure_recall(images: Path | None, masks: Path, truth: Path, *, settings: Settings) -> dict[str, Any]:
    """Return the recall of the candidate links of a movie.

    A mask belongs to a cell of the ground truth if it covers more than half of the cell's marker, as in the challenge.
    A true link leads to the next frame in which the cell, or its daughter, has a mask.
    """
    graph = build_graph(images, masks, settings=settings)
    links, divided = find_true_links(graph.cells, masks, truth)
    cells, n = graph.cells, len(graph.cells)
    gap = cells.frame[links[:, 1]] - cells.frame[links[:, 0]]
    found = np.isin(links[:, 0] * n + links[:, 1], graph.source * n + graph.target)
    near, far = gap == 1, (gap > 1) & (gap <= settings.graph.max_gap)
    return {
        "cells": n,
        "links": int(near.sum()),
        "recall": _compute_fraction(found[near]),
        "links_of_divisions": int((near & divided).sum()),
        "recall_of_divisions": _compute_fraction(found[near & divided]),
        "links_over_gaps": int(far.sum()),
        "recall_over_gaps": _compute_fraction(found[far]),
        "candidates": len(graph),
        "candidates_per_cell": len(graph) / n if n else None,
        "candidates_per_cell_to_the_next_frame": int((graph.gap == 1).sum()) / n if n else None,
    }


def find_true_links(cells: Cells, masks: Path, truth: Path) -> tuple[IntArray, BoolArray]:
    """Return the true links as rows of cells, (L, 2), and which of them lead to a daughter of a division, (L,)."""
    seen = _match_cells(cells, sorted(masks.glob("*.tif")), truth)
    rows = parse_track_table(find_ctc(truth).table or truth).rows.tolist()
    parents, counts = np.unique([row[3] for row in rows if row[3]], return_counts=True)
    dividing = set(parents[counts > 1].tolist())
    links, divided = [], []
    for label, _, _, parent in rows:
        mine = seen.get(label, [])
        links += list(itertools.pairwise(mine))
        divided += [False] * max(len(mine) - 1, 0)
        if parent in seen and mine:
            links.append((seen[parent][-1], mine[0]))
            divided.append(parent in dividing)
    return np.array(links, np.int64).reshape(-1, 2), np.array(divided, bool)


def _match_cells(cells: Cells, masks: list[Path], truth: Path) -> dict[int, list[int]]:
    """Return the cells that cover each track of the ground truth, as rows in order of time."""
    seen: dict[int, list[int]] = {}
    for frame, file in find_ctc(truth).masks.items():
        marker, mask = tifffile.imread(file).ravel(), tifffile.imread(masks[frame]).ravel()
        inside = marker > 0
        pair, shared = np.unique(np.stack([marker[inside], mask[inside]]), axis=1, return_counts=True)
        area = np.bincount(marker[inside])
        covering = (pair[1] > 0) & is_covered(shared, area[pair[0]])
        found = cells.row_of(frame, pair[1][covering])
        for label, row in zip(pair[0][covering].tolist(), found.tolist(), strict=True):
            seen.setdefault(label, []).append(row)
    return seen


def _compute_fraction(found: BoolArray) -> float | None:
    return float(found.mean()) if len(found) else None
