"""Scores of a tracking result against ground truth: the metrics of the Cell Tracking Challenge (CTC), and divisions.

Definitions and formulas are those of py-ctcmetrics, which the organisers of the challenge maintain. The events are
counted in `gnntrack.evaluate.metrics`.

======================  =====================================================================
DET, TRA, LNK           from the corrections that turn the result's graph into that of the ground truth
SEG                     mean intersection over union with the masks of the ground truth, if it has some
CT, TF                  complete tracks; fraction of a track that is followed
BC(i), CCA              branching correctness: divisions found within i frames; cell cycle accuracy
BIO(i)                  mean of CT, TF, BC(i) and CCA, of those that are defined
OP_CSB, OP_CTB          (SEG + DET) / 2, (SEG + TRA) / 2
OP_CLB(i)               (LNK + BIO(i)) / 2
CHOTA                   detection and association over whole families of cells (Kaiser et al., 2024)
division_f1(i)          with precision and recall, of divisions found within i frames; F1 is BC(i)
======================  =====================================================================

A metric that is not defined (no division in the ground truth, no masks for SEG) is None.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.errors import FormatError, FrameError
from gnntrack.evaluate.chota import compute_chota
from gnntrack.evaluate.matching import FrameMatch, match_frame, match_graphs
from gnntrack.evaluate.metrics import (
    compute_complete_tracks,
    compute_track_fractions,
    count_corrections,
    count_divisions,
)
from gnntrack.io.ctc_names import CtcFolder, find_ctc, parse_name, suggest_conversion
from gnntrack.io.ctc_table import TrackRows, parse_track_table
from gnntrack.io.ctc_validate import check_labels, check_table
from gnntrack.io.frames import map_frames
from gnntrack.io.images import drop_plane, read_mask
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gnntrack.evaluate.matching import MatchedGraphs
    from gnntrack.types import IntArray

    Scores = dict[str, float | None]
    PlaneFiles = dict[int, list[tuple[Path, int | None]]]

__all__ = [
    "SUMMARY",
    "MatchedSequence",
    "average_scores",
    "evaluate_sequence",
    "evaluate_sequences",
    "explain_undefined",
    "match_sequence",
    "name_sequences",
    "score_identities",
    "score_matches",
]

SUMMARY = ("DET", "SEG", "TRA", "LNK", "CT", "TF", "BC(1)", "CCA", "BIO(1)", "OP_CLB(1)", "CHOTA", "division_f1(1)")
"""The metrics that tables show."""

_TOLERANCES = range(4)
_DIVISION_TOLERANCES = range(3)
_LISTED = 5  # problems of a broken result that the message lists


def evaluate_sequence(result: str | Path, truth: str | Path, *, seg: bool | None = None) -> Scores:
    """Score a CTC result against its ground truth.

    Parameters
    ----------
    result : path
        ``01_RES``.
    truth : path
        ``01_GT``, or ``01_GT/TRA`` without SEG.
    seg : bool, optional
        Whether to compute SEG; True is an error without ``01_GT/SEG``. If None (the default), SEG is computed if there
        are masks for it.

    Returns
    -------
    dict
        Metric to value, plain numbers that go into JSON: the metrics in the head of this module, with i = 0 to 3
        (divisions 0 to 2), the AOGM (acyclic oriented graph matching, Matula et al., 2015) with its counts
        (``AOGM_NS``, ``_FN``, ``_FP``, ``_ED``, ``_EA``, ``_EC``), and the number of ``divisions`` in the ground
        truth. None if a metric is not defined.

    Raises
    ------
    FormatError
        If result or ground truth breaks the format, or they differ in length.
    FrameError
        If a mask cannot be read, or differs in shape from that of the ground truth.

    Examples
    --------
    >>> import tempfile
    >>> import tifffile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name, mask, table in (("01_GT/TRA", "man_track", "man_track"), ("01_RES", "mask", "res_track")):
    ...     (folder / name).mkdir(parents=True)
    ...     _ = (folder / name / f"{table}.txt").write_text("1 0 1 0")
    ...     for t in range(2):
    ...         tifffile.imwrite(folder / name / f"{mask}{t:03d}.tif", np.ones((5, 5), np.uint16))
    >>> scores = evaluate_sequence(folder / "01_RES", folder / "01_GT")
    >>> scores["TRA"], scores["SEG"]
    (1.0, None)
    """
    return score_matches(match_sequence(result, truth, seg=seg))


class MatchedSequence(NamedTuple):
    """A result and its ground truth, and the matches of their cells."""

    rows: IntArray
    """(K, 4) tracks of the result: label, first frame, last frame, parent (0 = none)."""
    truth_rows: IntArray
    """(K, 4) those of the ground truth."""
    matches: list[FrameMatch]
    """One per frame."""
    segmented: list[tuple[int, float]]
    """For each gold mask: number of cells in it, sum of their IoU."""
    found: CtcFolder
    """Files of the result."""
    reference: CtcFolder
    """Files of the ground truth."""


def match_sequence(result: str | Path, truth: str | Path, *, seg: bool | None = None) -> MatchedSequence:
    """Return the matches of the cells of a result and of its ground truth; parameters as of `evaluate_sequence`.

    Raises
    ------
    FormatError, FrameError
        As `evaluate_sequence`.
    """
    found, reference = find_ctc(result), find_ctc(truth)
    if (found.prefix, reference.prefix) == ("man_track", "mask") and reference.table is not None:
        msg = (
            f"{result} is a ground truth ({found.table_name}) and {truth} is a result ({reference.table_name}): are "
            "the two swapped? give the result first and the ground truth second: RES GT"
        )
        raise FormatError(msg)
    table, truth_table = _read_table(found), _read_table(reference)
    if found.n_frames != reference.n_frames:
        msg = (
            f"{found.path}: {count_noun(found.n_frames, 'frame')}; the truth {reference.path} has "
            f"{reference.n_frames}; give the ground truth of this movie"
        )
        raise FormatError(msg)
    gold = _list_seg_files(reference, seg)
    frames = map_frames(partial(_match_files, found, reference, gold), range(found.n_frames))
    matches = [match for match, _ in frames]
    _refuse_broken(found, table, {t: match.result for t, match in enumerate(matches)})
    _refuse_broken(reference, truth_table, {t: match.truth for t, match in enumerate(matches)})
    if not any(len(match.truth) for match in matches):
        msg = f"{reference.path}: the truth has no cell, so nothing can be scored"
        raise FormatError(msg)
    segmented = [pair for _, pairs in frames for pair in pairs]
    return MatchedSequence(table.rows, truth_table.rows, matches, segmented, found, reference)


def score_matches(matched: MatchedSequence) -> Scores:
    """Return the metrics of a result, as of `evaluate_sequence`."""
    scores = _score_tracks(matched.rows, matched.truth_rows, matched.matches)
    return _add_seg(scores, matched.segmented)


def evaluate_sequences(pairs: Iterable[tuple[str | Path, str | Path]], *, seg: bool | None = None) -> dict[str, Scores]:
    """Score several sequences.

    Parameters
    ----------
    pairs : iterable of (result, truth)
        Folders, as in `evaluate_sequence`.
    seg : bool, optional
        As in `evaluate_sequence`.

    Returns
    -------
    dict of dict
        Scores by the name of the sequence, ``DATASET/01_RES``, or by its path if two sequences have one name.
        ``pandas.DataFrame(scores)`` is a table with a row per metric.
    """
    sequences = [(Path(result), Path(truth)) for result, truth in pairs]
    names = name_sequences([result for result, _ in sequences])
    return {name: evaluate_sequence(*each, seg=seg) for name, each in zip(names, sequences, strict=True)}


def name_sequences(results: Sequence[Path]) -> list[str]:
    """Return the names of sequences, as of `evaluate_sequences`."""
    names = ["/".join(result.resolve().parts[-2:]) for result in results]
    return names if len(set(names)) == len(names) else [str(result) for result in results]


def average_scores(scores: Mapping[str, Scores]) -> Scores:
    """Return the mean of each metric over the sequences for which it is defined.

    >>> average_scores({"01": {"TRA": 0.5, "SEG": None}, "02": {"TRA": 1.0, "SEG": 0.25}})
    {'TRA': 0.75, 'SEG': 0.25}
    """
    metrics = dict.fromkeys(metric for each in scores.values() for metric in each)
    defined = {m: [v for each in scores.values() if (v := each.get(m)) is not None] for m in metrics}
    return {metric: sum(values) / len(values) if values else None for metric, values in defined.items()}


_REASONS = {
    "SEG": "the ground truth has no masks of whole cells (man_seg files in a folder SEG beside TRA)",
    "LNK": "the ground truth has no link, since no track is longer than a frame",
    "OP_CLB(1)": "it needs LNK",
    "BC(1)": "the ground truth has no division",
    "division_f1(1)": "the ground truth has no division",
    "CCA": "the ground truth has no complete cell cycle, a track that begins and ends with a division",
}


def explain_undefined(scores: Mapping[str, Scores]) -> list[str]:
    """Return a sentence for each reason why metrics of `SUMMARY` are not defined.

    Parameters
    ----------
    scores : mapping of dict
        As of `evaluate_sequences`.

    Examples
    --------
    >>> explain_undefined({"01_RES": {"TRA": 1.0, "BC(1)": None, "division_f1(1)": None}})
    ['- BC(1), division_f1(1) are not defined: the ground truth has no division']
    """
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for metric in SUMMARY:
        lacking = tuple(name for name, each in scores.items() if metric in each and each[metric] is None)
        if lacking:
            found.setdefault((_REASONS.get(metric, "there is nothing to count"), lacking), []).append(metric)
    notes = []
    for (reason, names), metrics in found.items():
        verb = "is" if len(metrics) == 1 else "are"
        where = "" if len(names) == len(scores) else f" for {', '.join(names)}"
        notes.append(f"- {', '.join(metrics)} {verb} not defined{where}: {reason}")
    return notes


# ---------------------------------------------------------------- files


def _read_table(found: CtcFolder) -> TrackRows:
    """Return the table of tracks, after a check that it and all masks exist."""
    if found.table is None:
        hint = suggest_conversion(found.path)
        msg = f"{found.path}: no {found.table_name}; expected a table of tracks and a mask per frame{hint}"
        raise FormatError(msg)
    if found.gaps:
        msg = f"no mask for it, though there is one for frame {found.n_frames - 1}"
        raise FrameError(msg, file=found.path, frame=found.gaps[0].start)
    if not found.masks:
        msg = f"{found.path}: no mask in it; expected {found.prefix}000.tif, {found.prefix}001.tif, ..."
        raise FormatError(msg)
    return parse_track_table(found.table)


def _refuse_broken(found: CtcFolder, table: TrackRows, labels: dict[int, IntArray]) -> None:
    file = found.table or found.path
    problems = check_table(table, file, n_frames=found.n_frames) + check_labels(table, labels, found)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        listed = "\n  ".join(str(error) for error in errors[:_LISTED])
        hidden = len(errors) - _LISTED
        more = f"\n  and {hidden} more; 'gnntrack validate' lists all" if hidden > 0 else ""
        msg = f"{found.path}: not valid, so it cannot be scored:\n  {listed}{more}"
        raise FormatError(msg)


def _match_files(
    found: CtcFolder, reference: CtcFolder, gold: PlaneFiles, frame: int
) -> tuple[FrameMatch, list[tuple[int, float]]]:
    """Match one frame, and for SEG each gold mask of it: number of cells in the ground truth, sum of their IoU."""
    result, truth = read_mask(found.masks[frame], frame=frame), read_mask(reference.masks[frame], frame=frame)
    match = match_frame(drop_plane(result), drop_plane(truth), found.masks[frame], frame)
    segmented = []
    for file, plane in gold.get(frame, []):
        labels = result if plane is None else result[plane]
        gold_labels = drop_plane(read_mask(file, frame=frame))
        against = match_frame(drop_plane(labels), gold_labels, found.masks[frame], frame)
        segmented.append((len(against.truth), float(against.iou.sum())))
    return match, segmented


def _list_seg_files(reference: CtcFolder, wanted: bool | None) -> PlaneFiles:  # noqa: FBT001
    """List the gold masks of each frame with their planes; the plane is None if the mask is a whole frame."""
    folder = reference.path.parent / "SEG" if reference.path.name == "TRA" else reference.path / "SEG"
    files: PlaneFiles = {}
    if wanted is False:
        return files
    for file in sorted(folder.glob("man_seg*.tif")):
        name = parse_name(file.name)
        if name is not None and name.frame < reference.n_frames:
            files.setdefault(name.frame, []).append((file, name.plane))
    if wanted and not files:
        msg = f"{folder}: no masks for SEG, such as man_seg000.tif; set seg=False, or pass the folder of SEG and TRA"
        raise FormatError(msg)
    return files


# ---------------------------------------------------------------- scores


def _score_tracks(rows: IntArray, truth_rows: IntArray, matches: list[FrameMatch]) -> Scores:
    """Return all metrics that need no masks for SEG."""
    from ctc_metrics.metrics import bc, bio, cca, det, lnk, op_clb, tra

    graphs = match_graphs(rows, truth_rows, matches)
    counts = count_corrections(graphs)
    tra_score, aogm, aogm_0 = tra(**counts)
    scores: Scores = {"DET": det(**counts), "TRA": tra_score, "LNK": lnk(**counts) if counts["num_edges"] else None}
    scores |= {"CT": compute_complete_tracks(graphs, rows, truth_rows), "TF": compute_track_fractions(graphs)}
    scores["CCA"] = cca(rows, truth_rows)
    for i in _TOLERANCES:
        found, false, missed = count_divisions(graphs, rows, truth_rows, i)
        scores[f"BC({i})"] = bc(found, false, missed)
        scores[f"BIO({i})"] = bio(scores["CT"], scores["TF"], scores[f"BC({i})"], scores["CCA"])
        scores[f"OP_CLB({i})"] = None if scores["LNK"] is None else op_clb(scores["LNK"], scores[f"BIO({i})"])
        if i in _DIVISION_TOLERANCES:
            scores[f"division_precision({i})"] = found / (found + false) if found + false else None
            scores[f"division_recall({i})"] = found / (found + missed) if found + missed else None
            scores[f"division_f1({i})"] = scores[f"BC({i})"]
    scores["divisions"] = found + missed
    scores["CHOTA"] = compute_chota(rows, truth_rows, matches)
    scores |= {"AOGM": aogm, "AOGM_0": aogm_0}
    scores |= {f"AOGM_{event}": counts[event] for event in ("NS", "FN", "FP", "ED", "EA", "EC")}
    return {metric: _convert_number(value) for metric, value in scores.items()}


def score_identities(
    graphs: MatchedGraphs, rows: IntArray, truth_rows: IntArray, matches: list[FrameMatch]
) -> dict[str, float]:
    """Return CHOTA and BIO(1); the parameters are as of `gnntrack.evaluate.metrics.match_divisions`."""
    from ctc_metrics.metrics import bc, bio, cca

    complete, fraction = compute_complete_tracks(graphs, rows, truth_rows), compute_track_fractions(graphs)
    branches = bc(*count_divisions(graphs, rows, truth_rows, 1))
    chota = compute_chota(rows, truth_rows, matches)
    return {"CHOTA": chota, "BIO(1)": float(bio(complete, fraction, branches, cca(rows, truth_rows)))}


def _add_seg(scores: Scores, pairs: list[tuple[int, float]]) -> Scores:
    """Add SEG and the metrics that need it; `pairs` are the numbers of cells and the sums of their IoU."""
    cells = sum(n for n, _ in pairs)
    seg = sum(iou for _, iou in pairs) / cells if cells else None

    def average(metric: str) -> float | None:
        other = scores[metric]
        return None if seg is None or other is None else (seg + other) / 2

    return {"SEG": seg, "OP_CSB": average("DET"), "OP_CTB": average("TRA"), **scores}


def _convert_number(value: Any) -> float | None:
    """Return a plain number for JSON; None for NaN and infinity."""
    if value is None or not math.isfinite(value):
        return None
    return int(value) if isinstance(value, (int, np.integer)) else float(value)
