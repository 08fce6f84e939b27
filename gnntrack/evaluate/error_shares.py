"""The share that each kind of error has in what a result lacks of the metrics LNK, CHOTA and BIO(1).

LNK is 1 minus a sum of costs, and every cost belongs to one error: so its shares are exact. CHOTA and BIO(1) are no
sums. Each kind is corrected alone, and all other kinds are: the mean of the gain of the first and of the loss that the
second leaves is the weight of the kind. The weights are scaled so that their sum is 1 minus the metric.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.evaluate.corrected_graphs import correct_errors
from gnntrack.evaluate.error_kinds import ERROR_KINDS
from gnntrack.evaluate.matching import match_graphs
from gnntrack.evaluate.tracking import score_identities

if TYPE_CHECKING:
    from gnntrack.evaluate.differences import Differences
    from gnntrack.evaluate.error_kinds import ErrorOwners
    from gnntrack.evaluate.tracking import MatchedSequence
    from gnntrack.types import BoolArray, IntArray

__all__ = ["CORRECTIONS", "SHARED", "KindShare", "compute_shares", "count_costs"]

CORRECTIONS = ("missed_cells", "extra_cells", "merged_cells", "missed_links", "wrong_links", "changed_links")
"""Corrections of the graph of a result: the counts FN, FP, NS, EA, ED and EC of AOGM."""

SHARED = ("LNK", "CHOTA", "BIO(1)")
"""The metrics whose shares are computed."""

_LINK_COSTS = np.array([0, 0, 0, 1.5, 1, 1])  # of the corrections in LNK


class KindShare(NamedTuple):
    """What the errors of a kind cost."""

    number: int
    """Number of errors."""
    corrections: dict[str, int]
    """Number of each of `CORRECTIONS`."""
    lost: dict[str, float]
    """For each metric of `SHARED` that is defined, the part of 1 minus the metric."""
    alone: dict[str, float]
    """CHOTA and BIO(1): what the result gains if only this kind is corrected."""
    last: dict[str, float]
    """CHOTA and BIO(1): what is lost if all other kinds are corrected."""


def count_costs(known: Differences, owners: ErrorOwners) -> IntArray:
    """Return the number of each of `CORRECTIONS` of each error, shape (n, 6)."""
    graphs, n = known.graphs, len(owners.kind)
    missed = np.where(graphs.covered_by < 0, owners.truth_cell, -1)
    extra = np.where(graphs.covers == 0, owners.cell, -1)
    merged = np.repeat(owners.cell, np.maximum(graphs.covers - 1, 0))
    wrong = np.where(known.wrong, owners.wrong, -1)
    columns = (missed, extra, merged, owners.missing, wrong, owners.changed)
    return np.stack([np.bincount(each[each >= 0], minlength=n) for each in columns], axis=1)


def compute_shares(
    matched: MatchedSequence, known: Differences, owners: ErrorOwners, scores: dict[str, float | None]
) -> dict[str, KindShare]:
    """Return what each kind of error costs, of the kinds that occur, in the order of `ERROR_KINDS`.

    Parameters
    ----------
    matched : MatchedSequence
        Result and ground truth.
    known, owners
        Their differences and the errors.
    scores : dict
        The metrics of the result.
    """
    costs, kind = count_costs(known, owners), np.array(owners.kind, object)
    present = [name for name in ERROR_KINDS if name in owners.kind]
    members = {name: kind == name for name in present}
    rescored = _rescore(matched, known, owners, members)
    weights = {metric: _weigh(scores[metric], metric, rescored) for metric in SHARED[1:]}
    links = 1.5 * len(known.graphs.truth.source)
    shares = {}
    for name in present:
        counts = costs[members[name]].sum(axis=0)
        lost = {"LNK": float(counts @ _LINK_COSTS) / links} if links else {}
        lost |= {metric: lost_parts[name] for metric, lost_parts in weights.items()}
        alone, last = rescored[name]
        shares[name] = KindShare(
            int(members[name].sum()),
            dict(zip(CORRECTIONS, counts.tolist(), strict=True)),
            lost,
            {metric: alone[metric] - float(scores[metric] or 0) for metric in alone},
            {metric: 1 - last[metric] for metric in last},
        )
    return shares


def _rescore(
    matched: MatchedSequence, known: Differences, owners: ErrorOwners, members: dict[str, BoolArray]
) -> dict[str, tuple[dict[str, float], dict[str, float]]]:
    """Return the metrics after each kind alone, and after all kinds but one are corrected."""

    def score(fixed: BoolArray) -> dict[str, float]:
        rows, matches = correct_errors(known, owners, fixed, len(matched.matches))
        return score_identities(match_graphs(rows, matched.truth_rows, matches), rows, matched.truth_rows, matches)

    return {name: (score(own), score(~own)) for name, own in members.items()}


def _weigh(
    score: float | None, metric: str, rescored: dict[str, tuple[dict[str, float], dict[str, float]]]
) -> dict[str, float]:
    """Return the part of each kind in what a metric lacks of 1."""
    value = float(score or 0)
    weight = {
        name: max(0.0, (alone[metric] - value + 1 - last[metric]) / 2) for name, (alone, last) in rescored.items()
    }
    total = sum(weight.values())
    return {name: each * (1 - value) / total if total else 0.0 for name, each in weight.items()}
