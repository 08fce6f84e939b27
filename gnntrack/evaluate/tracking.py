"""How good a tracking result is: the metrics of the Cell Tracking Challenge (CTC), and divisions.

The definitions are those of py-ctcmetrics, which the organisers maintain, and so are the formulas. The
events they are made of are counted here, to the same numbers but in linear time.

======================  =====================================================================
DET, TRA, LNK           from the corrections that turn the result's graph into the truth's
SEG                     mean intersection over union with the truth's masks, where it has some
CT, TF                  complete tracks; fraction of a track that is followed
BC(i), CCA              divisions found within i frames; length of the cell cycles
BIO(i)                  mean of CT, TF, BC(i) and CCA, of those that are defined
OP_CSB, OP_CTB          (SEG + DET) / 2, (SEG + TRA) / 2
OP_CLB(i)               (LNK + BIO(i)) / 2
CHOTA                   detection and association over whole families of cells
division_f1(i)          with precision and recall, of divisions found within i frames
======================  =====================================================================

A division is found within i frames if a mother of the result covers that of the truth, both have as
many daughters, each daughter covers one of the other's, and no end or begin is more than i frames off. Its
F1 is BC(i). A metric that is not defined (no division in the truth, no masks for SEG) is None.
"""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from gnntrack.errors import FormatError, FrameError
from gnntrack.io.ctc_names import CtcFolder, find_ctc
from gnntrack.io.ctc_table import TrackRows, parse_track_table
from gnntrack.io.ctc_validate import check_labels, check_table
from gnntrack.io.frames import map_frames
from gnntrack.io.images import read_mask
from gnntrack.masks.overlaps import find_overlaps

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.table import Table

    from gnntrack.types import BoolArray, FloatArray, Image, IntArray

    Scores = dict[str, float | None]

__all__ = ["SUMMARY", "evaluate_sequence", "evaluate_sequences", "format_scores", "mean_scores", "score_table"]

SUMMARY = ("DET", "SEG", "TRA", "LNK", "CT", "TF", "BC(1)", "CCA", "BIO(1)", "OP_CLB(1)", "CHOTA", "division_f1(1)")
"""The metrics that tables show."""

_TOLERANCES = range(4)
_DIVISION_TOLERANCES = range(3)


class _Match(NamedTuple):
    """The cells of one frame: the result's against the truth's."""

    truth: IntArray  # (n,) labels, ascending
    result: IntArray  # (m,) labels, ascending
    matched_truth: IntArray  # (k,) ascending
    matched_result: IntArray  # (k,) the result's label that covers more than half of each
    iou: FloatArray  # (k,)


class _Vertices(NamedTuple):
    """All cells of one side, sorted by (label, frame), and the links between them."""

    label: IntArray  # (V,)
    frame: IntArray  # (V,)
    source: IntArray  # (E,) rows
    target: IntArray  # (E,) rows
    parental: BoolArray  # (E,) from a parent to its child, not within a track


class _Pairing(NamedTuple):
    """Which cells of the truth and of the result match."""

    truth: _Vertices
    result: _Vertices
    covered_by: IntArray  # (V of truth,) row of the result, -1 = none
    covers: IntArray  # (V of result,) number of cells of the truth


def evaluate_sequence(result: str | Path, truth: str | Path, *, seg: bool | None = None) -> Scores:
    """Score a CTC result against its truth.

    Parameters
    ----------
    result : path
        ``01_RES``.
    truth : path
        ``01_GT``, or ``01_GT/TRA`` without SEG.
    seg : bool, optional
        Compute SEG (an error without ``01_GT/SEG``), or do not; where it is left out, if there are masks.

    Returns
    -------
    dict
        Metric to value, plain numbers that go into JSON: those in the head of this module, with i = 0 to 3
        (divisions 0 to 2), the AOGM with its counts (``AOGM_NS``, ``_FN``, ``_FP``, ``_ED``, ``_EA``,
        ``_EC``), and the number of ``divisions`` in truth. None where a metric is not defined.

    Raises
    ------
    FormatError
        If result or truth breaks the format, or they differ in length.
    FrameError
        If a mask cannot be read, or differs in shape from the truth's.
    """
    found, reference = find_ctc(result), find_ctc(truth)
    table, reference_table = _table(found), _table(reference)
    if found.n_frames != reference.n_frames:
        msg = f"{found.path}: {found.n_frames} frames; the truth {reference.path} has {reference.n_frames}"
        raise FormatError(msg)
    gold = _seg_files(reference, seg)
    frames = map_frames(partial(_match_frame, found, reference, gold), range(found.n_frames))
    matches = [match for match, _ in frames]
    _refuse_broken(found, table, {t: m.result for t, m in enumerate(matches)})
    _refuse_broken(reference, reference_table, {t: m.truth for t, m in enumerate(matches)})
    if not any(len(match.truth) for match in matches):
        msg = f"{reference.path}: the truth has no cell, so nothing can be scored"
        raise FormatError(msg)
    scores = _tracking_scores(table.rows, reference_table.rows, matches)
    return _with_seg(scores, [pair for _, pairs in frames for pair in pairs])


def evaluate_sequences(pairs: Iterable[tuple[str | Path, str | Path]], *, seg: bool | None = None) -> dict[str, Scores]:
    """Score several sequences, each a (result, truth).

    Returns
    -------
    dict of dict
        Scores by the name of the sequence, ``DATASET/01_RES``, or the whole path where two have one name.
    """
    sequences = [(Path(result), Path(truth)) for result, truth in pairs]
    names = ["/".join(result.resolve().parts[-2:]) for result, _ in sequences]
    if len(set(names)) < len(names):
        names = [str(result) for result, _ in sequences]
    return {name: evaluate_sequence(*each, seg=seg) for name, each in zip(names, sequences, strict=True)}


def mean_scores(scores: Mapping[str, Scores]) -> Scores:
    """Return the mean of each metric over the sequences for which it is defined."""
    metrics = dict.fromkeys(metric for each in scores.values() for metric in each)
    defined = {m: [v for each in scores.values() if (v := each.get(m)) is not None] for m in metrics}
    return {metric: sum(values) / len(values) if values else None for metric, values in defined.items()}


# ---------------------------------------------------------------- reading and matching


def _table(found: CtcFolder) -> TrackRows:
    if found.table is None:
        name = "man_track.txt" if found.prefix == "man_track" else "res_track.txt"
        msg = f"{found.path}: no {name}; expected a table of tracks and a mask per frame"
        raise FormatError(msg)
    if found.missing:
        msg = f"no mask for it, though there is one for frame {found.n_frames - 1}"
        raise FrameError(msg, file=found.path, frame=found.missing[0])
    if not found.masks:
        msg = f"{found.path}: no mask in it; expected {found.prefix}000.tif, {found.prefix}001.tif, ..."
        raise FormatError(msg)
    return parse_track_table(found.table)


def _refuse_broken(found: CtcFolder, table: TrackRows, labels: dict[int, IntArray]) -> None:
    file = found.table or found.path
    problems = check_table(table, file, n_frames=found.n_frames) + check_labels(table, labels, found)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        listed = "\n  ".join(str(error) for error in errors[:5])
        more = f"\n  and {len(errors) - 5} more; 'gnntrack validate' lists all" if len(errors) > 5 else ""
        msg = f"{found.path}: not valid, so it cannot be scored:\n  {listed}{more}"
        raise FormatError(msg)


def _match_frame(
    found: CtcFolder, reference: CtcFolder, gold: Mapping[int, list[tuple[Path, int | None]]], frame: int
) -> tuple[_Match, list[tuple[int, float]]]:
    """Match one frame, and for SEG each gold mask of it: cells in the truth, sum of their IoU."""
    result = read_mask(found.masks[frame], frame=frame)
    match = _match(result, read_mask(reference.masks[frame], frame=frame), found.masks[frame], frame)
    segmented = []
    for file, plane in gold.get(frame, []):
        part = result if plane is None else result[plane]
        against = _match(part, read_mask(file, frame=frame), found.masks[frame], frame)
        segmented.append((len(against.truth), float(against.iou.sum())))
    return match, segmented


def _match(result: Image, truth: Image, file: Path, frame: int) -> _Match:
    if result.shape != truth.shape:
        msg = f"has shape {result.shape}, the truth {truth.shape}; result and truth must have one shape"
        raise FrameError(msg, file=file, frame=frame)
    if max(result.max(initial=0), truth.max(initial=0)) >= 2**31:
        msg = f"holds label {max(result.max(), truth.max())}; CTC labels have 16 bits"
        raise FrameError(msg, file=file, frame=frame)
    pairs = find_overlaps(result, truth)
    truth_label, result_label = (np.unique(side[side > 0]) for side in (pairs.truth, pairs.result))
    covers = pairs.covers
    return _Match(truth_label, result_label, pairs.truth[covers], pairs.result[covers], pairs.iou[covers])


def _seg_files(reference: CtcFolder, wanted: bool | None) -> dict[int, list[tuple[Path, int | None]]]:  # noqa: FBT001
    """List the gold masks by frame; a 3D one may be a single plane, man_seg_007_012.tif."""
    folder = reference.path.parent / "SEG" if reference.path.name == "TRA" else reference.path / "SEG"
    files: dict[int, list[tuple[Path, int | None]]] = {}
    if wanted is False:
        return files
    for file in sorted(folder.glob("man_seg*.tif")):
        match = re.fullmatch(r"man_seg_?([0-9]+)(?:_([0-9]+))?\.tif", file.name)
        if match and int(match[1]) < reference.n_frames:
            files.setdefault(int(match[1]), []).append((file, None if match[2] is None else int(match[2])))
    if wanted and not files:
        msg = f"{folder}: no masks for SEG, such as man_seg000.tif; leave SEG out, or pass the folder of SEG and TRA"
        raise FormatError(msg)
    return files


# ---------------------------------------------------------------- metrics


def _tracking_scores(rows: IntArray, truth_rows: IntArray, matches: list[_Match]) -> Scores:
    from ctc_metrics.metrics import bc, bio, cca, det, lnk, op_clb, tra

    pairing = _pair(rows, truth_rows, matches)
    counts = _count_corrections(pairing)
    tra_score, aogm, aogm_0 = tra(**counts)
    scores: Scores = {"DET": det(**counts), "TRA": tra_score, "LNK": lnk(**counts) if counts["num_edges"] else None}
    scores |= {"CT": _ct(pairing, rows, truth_rows), "TF": _tf(pairing), "CCA": cca(rows, truth_rows)}
    for i in _TOLERANCES:
        found, false, missed = _count_divisions(pairing, rows, truth_rows, i)
        scores[f"BC({i})"] = bc(found, false, missed)
        scores[f"BIO({i})"] = bio(scores["CT"], scores["TF"], scores[f"BC({i})"], scores["CCA"])
        scores[f"OP_CLB({i})"] = None if scores["LNK"] is None else op_clb(scores["LNK"], scores[f"BIO({i})"])
        if i in _DIVISION_TOLERANCES:
            scores[f"division_precision({i})"] = found / (found + false) if found + false else None
            scores[f"division_recall({i})"] = found / (found + missed) if found + missed else None
            scores[f"division_f1({i})"] = scores[f"BC({i})"]
    scores["divisions"] = found + missed
    scores["CHOTA"] = _chota(rows, truth_rows, matches)
    scores |= {"AOGM": aogm, "AOGM_0": aogm_0}
    scores |= {f"AOGM_{event}": counts[event] for event in ("NS", "FN", "FP", "ED", "EA", "EC")}
    return {metric: _plain(value) for metric, value in scores.items()}


def _with_seg(scores: Scores, pairs: list[tuple[int, float]]) -> Scores:
    cells = sum(n for n, _ in pairs)
    seg = sum(iou for _, iou in pairs) / cells if cells else None

    def with_seg(metric: str) -> float | None:
        other = scores[metric]
        return None if seg is None or other is None else (seg + other) / 2

    return {"SEG": seg, "OP_CSB": with_seg("DET"), "OP_CTB": with_seg("TRA"), **scores}


def _pair(rows: IntArray, truth_rows: IntArray, matches: list[_Match]) -> _Pairing:
    truth = _vertices([match.truth for match in matches], truth_rows)
    result = _vertices([match.result for match in matches], rows)
    frame = np.repeat(np.arange(len(matches)), [len(match.matched_truth) for match in matches])
    covered = _row_of(truth, np.concatenate([match.matched_truth for match in matches]), frame)
    covering = _row_of(result, np.concatenate([match.matched_result for match in matches]), frame)
    covered_by = np.full(len(truth.label), -1)
    covered_by[covered] = covering
    return _Pairing(truth, result, covered_by, np.bincount(covering, minlength=len(result.label)))


def _vertices(labels: list[IntArray], rows: IntArray) -> _Vertices:
    label, frame = np.concatenate(labels), np.repeat(np.arange(len(labels)), [len(part) for part in labels])
    order = np.lexsort((frame, label))
    none = np.zeros(0, np.int64)
    side = _Vertices(label[order], frame[order], none, none, none.astype(bool))
    within = np.flatnonzero((np.diff(side.label) == 0) & (np.diff(side.frame) == 1))
    child = rows[rows[:, 3] > 0]
    end = dict(zip(rows[:, 0].tolist(), rows[:, 2].tolist(), strict=True))
    parent_end = np.array([end[parent] for parent in child[:, 3].tolist()], np.int64)
    source = np.concatenate([within, _row_of(side, child[:, 3], parent_end)])
    target = np.concatenate([within + 1, _row_of(side, child[:, 0], child[:, 1])])
    return side._replace(source=source, target=target, parental=np.arange(len(source)) >= len(within))


def _row_of(side: _Vertices, label: IntArray, frame: IntArray) -> IntArray:
    """Return the row of each (label, frame); both are known to be there."""
    names = np.unique(side.label)
    stride = int(side.frame.max(initial=0)) + 1
    key = np.searchsorted(names, side.label) * stride + side.frame
    return np.searchsorted(key, np.searchsorted(names, label) * stride + frame)


def _count_corrections(pairing: _Pairing) -> dict[str, int]:
    """Count what turns the result's graph into the truth's (Matula et al., 2015, "AOGM").

    Vertices to split (NS), add (FN) and delete (FP); then, between vertices that match one to one, edges to
    delete (ED), add (EA), and give the other meaning (EC).
    """
    truth, result, covered_by, covers = pairing
    matched = int(np.count_nonzero(covered_by >= 0))
    row_in_truth = np.full(len(result.label), -1)
    once = np.flatnonzero((covered_by >= 0) & (covers[covered_by] == 1)) if len(covers) else covered_by[:0]
    row_in_truth[covered_by[once]] = once
    source, target = row_in_truth[result.source], row_in_truth[result.target]
    both = (source >= 0) & (target >= 0)
    key = source[both] * len(truth.label) + target[both]
    truth_key = truth.source * len(truth.label) + truth.target
    _, mine, theirs = np.intersect1d(key, truth_key, return_indices=True)
    return {
        "num_vertices": len(truth.label),
        "num_edges": len(truth_key),
        "NS": matched - int(np.count_nonzero(covers)),
        "FN": len(truth.label) - matched,
        "FP": int(np.count_nonzero(covers == 0)),
        "ED": len(key) - len(mine),
        "EA": len(truth_key) - len(theirs),
        "EC": int(np.count_nonzero(result.parental[both][mine] != truth.parental[theirs])),
    }


def _followers(pairing: _Pairing) -> IntArray:
    """Return the label that follows each cell of the truth; 0 = none, or one that covers two cells."""
    _, result, covered_by, covers = pairing
    follower = np.zeros(len(covered_by), np.int64)
    alone = covered_by >= 0
    alone[alone] = covers[covered_by[alone]] == 1
    follower[alone] = result.label[covered_by[alone]]
    return follower


def _ct(pairing: _Pairing, rows: IntArray, truth_rows: IntArray) -> float:
    """Complete tracks: followed by one label throughout, which begins and ends with them."""
    follower = _followers(pairing)
    label, first = np.unique(pairing.truth.label, return_index=True)
    lowest, highest = np.minimum.reduceat(follower, first), np.maximum.reduceat(follower, first)
    followed = (lowest == highest) & (lowest > 0)
    span = {row[0]: (row[1], row[2]) for row in rows.tolist()}
    truth_span = {row[0]: (row[1], row[2]) for row in truth_rows.tolist()}
    pairs = zip(label[followed].tolist(), lowest[followed].tolist(), strict=True)
    complete = sum(truth_span[truth] == span[result] for truth, result in pairs)
    return 2 * complete / (len(rows) + len(truth_rows))


def _tf(pairing: _Pairing) -> float:
    """Track fractions: the longest stretch of each track that one label follows; undetected tracks do not count."""
    label, result = pairing.truth.label, _followers(pairing)
    opens = np.ones(len(label), bool)
    opens[1:] = (np.diff(label) != 0) | (np.diff(result) != 0)
    at = np.flatnonzero(opens)
    stretch = np.diff(np.append(at, len(label)))
    length = dict(zip(*(column.tolist() for column in np.unique(label, return_counts=True)), strict=True))
    fractions: dict[int, dict[int, float]] = {}
    for truth, follower, n in zip(label[at].tolist(), result[at].tolist(), stretch.tolist(), strict=True):
        if follower:
            mine = fractions.setdefault(follower, {})
            mine[truth] = max(mine.get(truth, 0.0), n / length[truth])
    best: dict[int, float] = {}
    for _, followed in sorted(fractions.items()):
        for truth, fraction in sorted(followed.items()):
            if best.get(truth, 0.0) == 1:
                continue
            best[truth] = max(best.get(truth, 0.0), fraction)
            if fraction == 1:  # as in the challenge's software: who follows a track wholly counts for no later one
                break
    return sum(best.values()) / len(best) if best else 0.0


def _count_divisions(pairing: _Pairing, rows: IntArray, truth_rows: IntArray, tolerance: int) -> tuple[int, int, int]:
    """Count the divisions that are found within so many frames, false, and missed."""
    truth = pairing.truth
    seen = zip(truth.label.tolist(), truth.frame.tolist(), strict=True)
    follower = dict(zip(seen, _followers(pairing).tolist(), strict=True))
    divisions, truth_divisions = _divisions(rows), _divisions(truth_rows)
    found = 0
    for mother, (end, daughters) in truth_divisions.items():
        candidates = {follower.get((mother, t), 0) for t in range(end - tolerance, end + 1)} & divisions.keys()
        for candidate in candidates:
            its_end, its_daughters = divisions[candidate]
            same = len(daughters) == len(its_daughters) and abs(end - its_end) <= tolerance
            if same and follower.get((mother, min(end, its_end))) == candidate:
                found += _same_daughters(follower, daughters, its_daughters, tolerance)
    return found, len(divisions) - found, len(truth_divisions) - found


def _divisions(rows: IntArray) -> dict[int, tuple[int, list[tuple[int, int]]]]:
    """Return the last frame and the daughters (label, first frame) of each track that has several."""
    end = {label: last for label, _, last, _ in rows.tolist()}
    daughters: dict[int, list[tuple[int, int]]] = {}
    for label, begin, _, parent in rows.tolist():
        if parent:
            daughters.setdefault(parent, []).append((label, begin))
    return {mother: (end[mother], theirs) for mother, theirs in daughters.items() if len(theirs) > 1}


def _same_daughters(
    follower: dict[tuple[int, int], int],
    daughters: list[tuple[int, int]],
    its_daughters: list[tuple[int, int]],
    tolerance: int,
) -> bool:
    matched = set()
    for label, begin in daughters:
        close = [(its, max(begin, other)) for its, other in its_daughters if abs(begin - other) <= tolerance]
        # one each: with a tolerance, a daughter may be followed by both labels, one after the other
        matched.add(next((its for its, t in close if follower.get((label, t)) == its), 0))
    matched.discard(0)
    return len(matched) == len(daughters)


def _chota(rows: IntArray, truth_rows: IntArray, matches: list[_Match]) -> float:
    """CHOTA (Kaiser et al., 2024): HOTA with whole families, ancestors and descendants, in the place of tracks."""
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
    missed = _unmatched(truth_labels, truth_mapped, n)
    spurious = _unmatched(labels, mapped, m)
    family, truth_family = _families(tracks, m), _families(truth_tracks, n)
    of_truth = truth_family @ (shared.sum(axis=1) + missed)
    of_result = family @ (shared.sum(axis=0) + spurious)
    common = truth_family @ shared @ family.T
    pairs = shared.tocoo()
    both = np.asarray(common[pairs.row, pairs.col]).ravel()
    association = both / (of_truth[pairs.row] + of_result[pairs.col] - both)
    total = shared.sum() + missed.sum() + spurious.sum()
    return math.sqrt(float((pairs.data * association).sum() / total))


def _unmatched(labels: Sequence[Any], mapped: Sequence[Any], n: int) -> FloatArray:
    """Count, for each merged track, the cells without a match."""
    count = np.zeros(n)
    for here, matched in zip(labels, mapped, strict=True):
        count[np.setdiff1d(here, matched).astype(np.int64)] += 1
    return count


def _families(tracks: IntArray, n: int) -> csr_array:
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
    family = csr_array((np.ones(len(row)), (row, column)), shape=(n, n))
    family.sum_duplicates()
    family.data[:] = 1
    return family


def _plain(value: Any) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return int(value) if isinstance(value, (int, np.integer)) else float(value)


# ---------------------------------------------------------------- showing


def format_scores(scores: Mapping[str, Scores], *, metrics: Sequence[str] = SUMMARY) -> str:
    """Return a plain text table, a line per sequence and one for their mean; '-' where a metric is not defined.

    >>> print(format_scores({"a/01_RES": {"TRA": 1.0, "SEG": None}}, metrics=("TRA", "SEG")))
    sequence     TRA  SEG
    a/01_RES  1.0000    -
    """
    lines = [("sequence", *metrics), *_cells_of_table(scores, metrics)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    padded = [
        [line[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True))]
        for line in lines
    ]
    return "\n".join("  ".join(line).rstrip() for line in padded)


def score_table(scores: Mapping[str, Scores], *, metrics: Sequence[str] = SUMMARY) -> Table:
    """Return the same as a rich table."""
    from rich.table import Table

    table = Table("sequence", *metrics)
    for column in table.columns[1:]:
        column.justify = "right"
    for line in _cells_of_table(scores, metrics):
        table.add_row(*line)
    return table


def _cells_of_table(scores: Mapping[str, Scores], metrics: Sequence[str]) -> list[tuple[str, ...]]:
    shown = dict(scores)
    if len(shown) > 1:
        shown["mean"] = mean_scores(scores)
    return [(name, *(_text(each.get(metric)) for metric in metrics)) for name, each in shown.items()]


def _text(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4f}"
