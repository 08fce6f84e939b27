"""Which candidate links are right: cells against the markers of a known lineage, by the challenge's rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.masks.overlaps import is_covered
from gnntrack.masks.runs import expand_runs

if TYPE_CHECKING:
    from gnntrack.gnn.inputs import Inputs
    from gnntrack.types import BoolArray, Cells, FrameStack, IntArray, Runs, Tracks

__all__ = ["Truth", "match_cells"]


def match_cells(cells: Cells, runs: Runs, markers: FrameStack) -> IntArray:
    """Return the track of each cell, 0 = none, shape (N,).

    A cell is a marker's if it covers more than half of the marker (Matula et al. 2015). Where it covers several, as two
    cells under one mask do, it is the one's it covers most of, in pixels; the other one is missing in that frame.
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


@dataclass(frozen=True)
class Truth:
    """What is right among the candidates of a movie.

    Parameters
    ----------
    link : (E,) bool
        From a cell to its next appearance, or to a daughter whose sister is no candidate.
    pair : (M,) bool
        A mother and her two daughters.
    parent_known, child_known : (N,) bool
        The cell's past, or future, is among the candidates, or it is known that it has none.
    spurious : (N,) bool
        The cell is no marker's.
    """

    link: BoolArray
    pair: BoolArray
    parent_known: BoolArray
    child_known: BoolArray
    spurious: BoolArray

    @classmethod
    def of(cls, inputs: Inputs, track: IntArray, tracks: Tracks, *, longest: int) -> Truth:
        """Return the truth of candidates whose cells' tracks are known.

        Parameters
        ----------
        inputs : Inputs
            The candidates.
        track : (N,) int64
            Track of each cell, 0 = none.
        tracks : Tracks
            The truth's table.
        longest : int
            Frames that a candidate spans at most; a cell that reappears later than that is taken for a new one.
        """
        past = _past(inputs.frame, track, tracks, longest)
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

    def rows(self, cells: IntArray, links: IntArray, pairs: IntArray) -> Truth:
        """Return the truth of some of the cells, links and pairs."""
        return Truth(
            self.link[links], self.pair[pairs], self.parent_known[cells], self.child_known[cells], self.spurious[cells]
        )


def _past(frame: IntArray, track: IntArray, tracks: Tracks, longest: int) -> IntArray:
    """Return the row of each cell's past: the track's cell before, or the parent's last; -1 = none, shape (N,)."""
    past = np.full(len(track), -1)
    order = np.lexsort((frame, track))
    order = order[track[order] > 0]
    if not len(order):
        return past
    # of two cells on one marker's track in one frame there is one only: the rule asks for more than half of it
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
