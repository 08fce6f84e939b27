"""Ground truth of candidate links: cells are matched to the markers of a known lineage by the rule of the CTC.

CTC is the Cell Tracking Challenge, https://celltrackingchallenge.net.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.masks.overlaps import is_covered
from gnntrack.masks.runs import expand_runs

if TYPE_CHECKING:
    from gnntrack.gnn.inputs import Inputs
    from gnntrack.types import BoolArray, Cells, FeatureArray, FrameStack, IntArray, Runs, Tracks

__all__ = ["GroundTruth", "is_sparse", "match_cells"]

_MOST = 0.5  # fraction of the markers that have a cell if masks and ground truth belong together
_COMPLETE = 2 / 3  # fraction of the cells that have a marker at least if all cells are annotated


def match_cells(cells: Cells, runs: Runs, markers: FrameStack) -> IntArray:
    """Return the track of each cell, 0 = none, shape (N,).

    A cell is matched to a marker if it covers more than half of the marker (Matula et al., PLOS ONE 2015,
    doi:10.1371/journal.pone.0144959). If it covers several markers, because one mask covers two cells, it is matched to
    the one that it shares most pixels with; the other one is missing in that frame.

    Parameters
    ----------
    cells, runs : Cells, Runs
        The cells and their pixels.
    markers : FrameStack
        Label images of the ground truth; labels are tracks.
    """
    track = np.zeros(len(cells), np.int64)
    for frame in range(cells.n_frames):
        marker = np.asarray(markers[frame]).ravel()
        here = runs.frame(frame)
        length = runs.length[here]
        if not len(length):
            continue
        pixel = expand_runs(runs.start[here], length)
        cell, value = np.repeat(runs.cell[here], length), marker[pixel].astype(np.int64)
        cell, value = cell[value > 0], value[value > 0]
        width = int(marker.max()) + 1
        key, shared = np.unique(cell * width + value, return_counts=True)
        cell, value = key // width, key % width
        whole = np.bincount(marker[marker > 0].astype(np.int64), minlength=width)
        good = is_covered(shared, whole[value])
        order = np.argsort(shared[good], kind="stable")  # the largest comes last and stays
        track[cell[good][order]] = value[good][order]
    return track


def is_sparse(track: IntArray, tracks: Tracks) -> bool:
    """Return whether only some cells are annotated: most markers have a cell, but many cells have no marker.

    Parameters
    ----------
    track : (N,) int64
        Track of each cell, 0 = none, from `match_cells`.
    tracks : Tracks
        Table of the tracks of the ground truth.

    Examples
    --------
    Five cells in a frame, of which two are annotated:

    >>> from gnntrack.types import Tracks
    >>> is_sparse(np.array([1, 2, 0, 0, 0]), Tracks([1, 2], [0, 0], [0, 0], [0, 0]))
    True
    """
    markers = int((tracks.end - tracks.start + 1).sum())
    matched = int((track > 0).sum())
    return matched < _COMPLETE * len(track) and matched >= _MOST * markers > 0


@dataclass(frozen=True)
class GroundTruth:
    """The true links, divisions and spurious cells among the candidates of a movie.

    Parameters
    ----------
    link : (E,) bool
        Whether the link is from a cell to its next appearance, or to a daughter whose sister is not a candidate.
    pair : (M,) bool
        Whether the pair of links is from a parent to its two daughters.
    parent_known, child_known : (N,) bool
        Whether the true past (future) of the cell is among the candidates, or the cell is known to have none.
    spurious : (N,) bool
        Whether the cell is not matched to a marker.
    past_weight, future_weight : (N,) float32, optional
        Weight of the past and of the future of the cell in the loss; None = 1 for all cells.
    """

    link: BoolArray
    pair: BoolArray
    parent_known: BoolArray
    child_known: BoolArray
    spurious: BoolArray
    past_weight: FeatureArray | None = None
    future_weight: FeatureArray | None = None

    @classmethod
    def from_tracks(cls, inputs: Inputs, track: IntArray, tracks: Tracks, *, longest: int) -> GroundTruth:
        """Return the ground truth of candidates from the tracks of their cells.

        Parameters
        ----------
        inputs : Inputs
            The candidates.
        track : (N,) int64
            Track of each cell, 0 = none.
        tracks : Tracks
            Table of the tracks of the ground truth.
        longest : int
            Most frames that a candidate spans; a cell that reappears later than that counts as a new one.
        """
        past = _find_past(inputs.frame, track, tracks, longest)
        has_past = past >= 0
        right = has_past[inputs.target] & (past[inputs.target] == inputs.source)
        found = np.zeros(len(track), bool)
        found[inputs.target[right]] = True
        pair = right[inputs.pairs].all(axis=1)
        link = right.copy()
        link[inputs.pairs[pair]] = False
        lost = has_past & ~found
        child_known = np.ones(len(track), bool)
        child_known[past[lost]] = False
        return cls(link, pair, ~lost, child_known, track == 0)

    def leave_unannotated(self, inputs: Inputs, track: IntArray, tracks: Tracks) -> GroundTruth:
        """Return the ground truth of a person who followed some of the cells.

        The past of a followed cell is its true one, against all others, and so is its future. Nothing is known of the
        past, the future and the kind of the other cells, so that links between two of them do not count. Where a track
        begins without a parent, or ends without children, is unknown: the person may have begun or stopped there.

        Parameters
        ----------
        inputs : Inputs
            The candidates.
        track : (N,) int64
            Track of each cell, 0 = not followed.
        tracks : Tracks
            Table of the tracks of the ground truth.
        """
        first, last = _find_ends(inputs.frame, track)
        has_parent = np.isin(track, tracks.id[np.isin(tracks.parent, tracks.id)])
        has_children = np.isin(track, tracks.parent[tracks.parent > 0])
        followed = track > 0
        return replace(
            self,
            parent_known=self.parent_known & followed & (has_parent | ~first),
            child_known=self.child_known & followed & (has_children | ~last),
        )

    def select(self, cells: IntArray, links: IntArray, pairs: IntArray) -> GroundTruth:
        """Return the ground truth of some of the cells, links and pairs, given by their rows."""
        weights = [None if each is None else each[cells] for each in (self.past_weight, self.future_weight)]
        known = self.parent_known[cells], self.child_known[cells], self.spurious[cells]
        return GroundTruth(self.link[links], self.pair[pairs], *known, *weights)


def _find_ends(frame: IntArray, track: IntArray) -> tuple[BoolArray, BoolArray]:
    """Return whether each cell is the first cell of its track that is seen, and whether it is the last one."""
    order = np.lexsort((frame, track))
    same = np.diff(track[order]) == 0
    first, last = np.zeros(len(track), bool), np.zeros(len(track), bool)
    first[order[np.concatenate([[True], ~same])[: len(order)]]] = True
    last[order[np.concatenate([~same, [True]])[-len(order) :]]] = True
    return first & (track > 0), last & (track > 0)


def _find_past(frame: IntArray, track: IntArray, tracks: Tracks, longest: int) -> IntArray:
    """Return the row of each cell's past: the cell before it in its track, or the last of the parent's; -1 = none."""
    past = np.full(len(track), -1)
    order = np.lexsort((frame, track))
    order = order[track[order] > 0]
    if not len(order):
        return past
    # a track has at most one cell a frame, because two cells cannot both cover more than half of a marker
    same = track[order[1:]] == track[order[:-1]]
    past[order[1:][same]] = order[:-1][same]
    first = order[np.concatenate([[True], ~same])]
    last = {int(track[row]): int(row) for row in order}
    parent = dict(zip(tracks.id.tolist(), tracks.parent.tolist(), strict=True))
    for row in first.tolist():
        past[row] = last.get(parent.get(int(track[row]), 0), -1)
    known = past >= 0
    gap = np.where(known, frame - frame[past], 0)
    return np.where(known & (gap > 0) & (gap <= longest), past, -1)
