"""CHOTA (Kaiser et al., 2024): HOTA with families of cells, ancestors and descendants, in place of tracks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.evaluate.matching import FrameMatch
    from gnntrack.types import FloatArray, IntArray

__all__ = ["compute_chota"]


def compute_chota(rows: IntArray, truth_rows: IntArray, matches: list[FrameMatch]) -> float:
    """Return CHOTA, in [0, 1].

    Parameters
    ----------
    rows, truth_rows, matches
        The tables of tracks and the matches of all frames, as of `gnntrack.evaluate.matching.match_graphs`.
    """
    if not len(rows):
        return 0.0
    from ctc_metrics.utils.representations import merge_tracks

    truth_tracks, truth_labels, truth_mapped = merge_tracks(
        truth_rows, [match.truth for match in matches], [match.matched_truth for match in matches]
    )
    tracks, labels, mapped = merge_tracks(
        rows, [match.result for match in matches], [match.matched_result for match in matches]
    )
    n, m = int(truth_tracks[:, 0].max()) + 1, int(tracks[:, 0].max()) + 1
    i, j = np.concatenate(truth_mapped).astype(np.int64), np.concatenate(mapped).astype(np.int64)
    shared = csr_array((np.ones(len(i)), (i, j)), shape=(n, m))
    shared.sum_duplicates()
    missed = _count_unmatched(truth_labels, truth_mapped, n)
    spurious = _count_unmatched(labels, mapped, m)
    relatives, truth_relatives = _mark_relatives(tracks, m), _mark_relatives(truth_tracks, n)
    of_truth = truth_relatives @ (shared.sum(axis=1) + missed)
    of_result = relatives @ (shared.sum(axis=0) + spurious)
    common = truth_relatives @ shared @ relatives.T
    pairs = shared.tocoo()
    both = np.asarray(common[pairs.row, pairs.col]).ravel()
    association = both / (of_truth[pairs.row] + of_result[pairs.col] - both)
    total = shared.sum() + missed.sum() + spurious.sum()
    return math.sqrt(float((pairs.data * association).sum() / total))


def _count_unmatched(labels: Sequence[Any], mapped: Sequence[Any], n: int) -> FloatArray:
    """Count, for each of `n` merged tracks, the cells without a match."""
    count = np.zeros(n)
    for here, matched in zip(labels, mapped, strict=True):
        count[np.setdiff1d(here, matched).astype(np.int64)] += 1
    return count


def _mark_relatives(tracks: IntArray, n: int) -> csr_array:
    """Return the (n, n) matrix that is 1 where one track is the other, its ancestor, or its descendant."""
    parent = np.zeros(n, np.int64)
    parent[tracks[:, 0]] = tracks[:, 3]
    below, above = [np.arange(n)], [np.arange(n)]
    track, ancestor = np.arange(n), parent.copy()
    ancestor[ancestor == track] = 0
    while (alive := ancestor > 0).any():
        track, ancestor = track[alive], ancestor[alive]
        below.append(track)
        above.append(ancestor)
        ancestor = np.where(parent[ancestor] == ancestor, 0, parent[ancestor])
    row, column = np.concatenate([*below, *above]), np.concatenate([*above, *below])
    relatives = csr_array((np.ones(len(row)), (row, column)), shape=(n, n))
    relatives.sum_duplicates()
    relatives.data[:] = 1
    return relatives
