"""The published network of Ben-Haim and Riklin-Raviv (ECCV 2022), trained and used as in its publication.

``python benchmarks/published.py --work FOLDER`` trains it in two protocols and tests it on the first halves of the
sequences. ``same``: on the data of protocol *same* of ``learned.py``, which are all sequences without the first half of
each tested one. ``own``: a network for each data set, as published, on the second half of its sequence. Candidates are
all cells of the next frame around a cell, within the side of the movie's largest box, so that the region has twice its
size; cells have the learned appearance. Two methods use its scores. ``pdn``: the published rules, see
`choose_active_links` and `find_nearest_parents`. ``pdn+triplets``: our solver, with classical scores of divisions,
which the network does not score, and our repair of masks. A third, ``true links``, is the published rules with perfect
scores, which is the best that they can reach. Both tables and rows are written beside
``results/published.json``; ``learned.py --merge`` joins the rows with those of other methods.

A third protocol, ``seen``, compares this implementation with the published weights, which were trained with the movies
that others tested them on: a network for each of two sequences, trained and tested on the whole of it.

An interrupted training continues with ``--reuse-models``. A training with more steps is started by ``--steps``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from accuracy import format_cell, run_ours, score_result
from folds import (
    TESTED,
    Fold,
    Workshop,
    add_training_arguments,
    choose_settings,
    count_frames,
    describe_model,
    list_sequences,
    make_same_fold,
    read_settings,
    start_record,
)
from perturbed import PerturbedMovie
from record import RESULTS, format_circumstances, format_table
from version_runs import KEY, VersionRuns

from gnntrack.io.ctc_names import find_ctc
from gnntrack.io.ctc_table import read_track_table
from gnntrack.io.frames import open_masks
from gnntrack.lineage.build import build_lineage
from gnntrack.movie import Movie, build_with_runs, open_movie
from gnntrack.pipeline import export
from gnntrack.scores.learned import NetworkScorer
from gnntrack.scores.registry import CellPixels
from gnntrack.settings import Settings
from gnntrack.training.sequences import TrainingSequence
from gnntrack.training.truth import match_cells
from gnntrack.types import CellGraph, FrameStack, Lineage, LinkScores, Runs

PERFECT = "true links"  # the published rules with perfect scores
METHODS = ("pdn", "pdn+triplets", PERFECT)
SEEN = "seen"  # the protocol
PROTOCOLS = {
    "same": "One network, trained on all sequences less the first half of each tested one.",
    "own": "A network for each data set, as published, trained on the second half of its sequence.",
    SEEN: "A network for each of two data sets that **has seen the movie**: trained on the whole sequence that it is "
    "tested on, as the published weights were.",
}
SEEN_DATASETS = ("Fluo-N2DL-HeLa", "Fluo-N2DH-SIM+")
SEEN_VERSIONS = ("plain", "complete")  # with the masks of others, every cell of the ground truth had one
APPEARANCE = 1500  # steps of the training of the appearance
ALL = 1000  # neighbours: as many as lie within the distance
ACTIVE = 0.5  # least probability of an active link
SCORING = {"gnn__correction": 1.0, "gnn__brightness": True}  # as for movies like the training data

Rows = npt.NDArray[Any]


# ------------------------------------------------------------------------------------- the published rules


def choose_neighbourhood(masks: FrameStack, images: FrameStack | None, settings: Settings) -> Settings:
    """Return settings with the published candidates: all cells of the next frame within the side of the largest box."""
    graph, _ = build_with_runs(Movie(masks=masks, images=images), settings)
    boxes = [graph.cells.feature(f"box_{axis}") for axis in "zyx"[-graph.cells.ndim :]]
    far = float(np.max(boxes)) if len(graph.cells) else 1.0
    return settings.replace(graph__max_gap=1, graph__max_neighbours=ALL, graph__max_distance=far)


def choose_active_links(graph: CellGraph, probability: Rows) -> Rows:
    """Return the active links, (E,) bool: those with a probability above one half.

    Of several from one cell the one to the nearest cell is kept. The publication does not say which of several links
    into one cell is kept; here it is again the shortest.
    """
    active = probability > ACTIVE
    length = np.linalg.norm(graph.cells.position[graph.source] - graph.cells.position[graph.target], axis=1)
    for end in (graph.source, graph.target):
        rows = np.flatnonzero(active)
        rows = rows[np.lexsort((length[rows], end[rows]))]
        _, first = np.unique(end[rows], return_index=True)
        active = np.zeros(len(graph), bool)
        active[rows[first]] = True
    return active


def find_nearest_parents(lineage: Lineage) -> dict[int, int]:
    """Return the parent of each track that begins after the first frame: the nearest of those that ended just before.

    Tracks of a single cell take no part; the publication erases them.
    """
    tracks, position = lineage.tracks, lineage.cells.position
    cells = zip(lineage.track.tolist(), lineage.cells.frame.tolist(), strict=True)
    place = {cell: row for row, cell in enumerate(cells)}
    long = tracks.end > tracks.start
    parents = {}
    for track, start in zip(tracks.id[long].tolist(), tracks.start[long].tolist(), strict=True):
        ended = tracks.id[long & (tracks.end == start - 1)].tolist()
        if ended:
            here = position[place[track, start]]
            apart = [np.linalg.norm(position[place[each, start - 1]] - here) for each in ended]
            parents[track] = ended[int(np.argmin(apart))]
    return parents


def score_perfectly(graph: CellGraph, runs: Runs, truth: Path) -> LinkScores:
    """Return probability 1 for the links of one cell in consecutive frames, which the network learns, and 0 for others.

    Links to daughters are among the others.
    """
    track = match_cells(graph.cells, runs, open_masks(truth))
    right = (track[graph.source] > 0) & (track[graph.source] == track[graph.target])
    return LinkScores(right.astype(np.float32))


def track_as_published(twin: PerturbedMovie, out: Path, settings: Settings, *, perfect: bool = False) -> dict[str, Any]:
    """Track a version of a movie with the published rules; return facts of the run.

    The scores are those of the network of the settings, or perfect ones.
    """
    start = time.perf_counter()
    movie = open_movie(twin.images, twin.masks, settings=settings)
    graph, runs = build_with_runs(movie, settings)
    pixels = None if movie.images is None else CellPixels(runs, movie.images)
    if perfect:
        scores = score_perfectly(graph, runs, twin.truth / "TRA")
    else:
        scores = NetworkScorer(settings, images=pixels is not None).score(graph, pixels=pixels)
    lineage = build_lineage(graph, choose_active_links(graph, scores.link), scores)
    written = export(lineage, out, masks=twin.masks, settings=settings.replace(repair__fill_gaps=False))
    _write_parents(out, written)
    seconds = time.perf_counter() - start
    return {"seconds": round(seconds, 2), "frames": twin.frames, "cells": len(lineage.cells), "notes": {}}


def _write_parents(out: Path, lineage: Lineage) -> None:
    """Set the parents in the table of a result, and erase tracks of a single cell."""
    parents, table = find_nearest_parents(lineage), find_ctc(out).table
    tracks = read_track_table(table)
    rows = list(zip(*(each.tolist() for each in (tracks.id, tracks.start, tracks.end)), strict=True))
    lines = [f"{label} {first} {last} {parents.get(label, 0)}\n" for label, first, last in rows if last > first]
    table.write_text("".join(lines), encoding="ascii")
    alone: dict[int, list[int]] = {}
    for label, first, last in rows:
        if last == first:
            alone.setdefault(first, []).append(label)
    files = sorted(out.glob("mask*.tif"))
    for frame, labels in alone.items():
        mask = tifffile.imread(files[frame])
        mask[np.isin(mask, labels)] = 0
        tifffile.imwrite(files[frame], mask, compression="zlib")


# ------------------------------------------------------------------------------------------ the benchmark


def main() -> None:
    args = _parse_arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    given = read_settings(args).replace(train__appearance=True, train__held_out=0.0)  # the last step is kept
    settings = choose_settings("pdn", given)
    record = start_record(settings, args)
    sequences = list_sequences(args.data)
    workshop = Workshop(
        args.work, args.reuse_models, args.device, adapt=choose_neighbourhood, appearance=args.appearance
    )
    for protocol in args.protocol.split(","):
        seen = protocol == SEEN
        versions = SEEN_VERSIONS if seen else tuple(args.twins.split(","))
        runs = VersionRuns(record, args.out, args.work, versions, format_markdown)
        for sequence in sequences:
            tested = sequence.dataset in (SEEN_DATASETS if seen else TESTED)
            if tested and args.only.lower() in sequence.name.lower():
                methods = args.methods.split(",")
                untrained = methods == [PERFECT]
                model = None if untrained else find_model(protocol, sequence, sequences, settings, args, workshop)
                run_sequence(protocol, sequence, model, settings, methods, runs)


def find_model(
    protocol: str,
    tested: TrainingSequence,
    sequences: list[TrainingSequence],
    settings: Settings,
    args: argparse.Namespace,
    workshop: Workshop,
) -> tuple[Path, dict[str, Any]]:
    """Return the folder of the network for a sequence, trained if necessary, and the record of its training."""
    if args.model:
        return args.model, describe_model(args.model)
    fold = make_same_fold(sequences)
    if protocol == SEEN:
        fold = Fold(f"{SEEN} {tested.dataset}", ((tested, 0),))
        settings = settings.replace(train__simulated=0, train__variants=1)
    if protocol == "own":
        own = tuple(part for part in fold.parts if part[0].dataset == tested.dataset)
        fold, settings = Fold(f"own {tested.dataset}", own), settings.replace(train__simulated=0)
    return workshop.get_model(fold, "pdn", settings, name="published")


def run_sequence(
    protocol: str,
    sequence: TrainingSequence,
    model: tuple[Path, dict[str, Any]] | None,
    settings: Settings,
    methods: list[str],
    runs: VersionRuns,
) -> None:
    """Test the first half of a sequence in all versions, in protocol *seen* all of it."""
    if model is not None:
        settings = settings.replace(gnn__model=str(model[0]), **SCORING)

    def run(method: str, twin: PerturbedMovie, out: Path) -> dict[str, Any]:
        movie = open_movie(twin.images, twin.masks, settings=settings)
        adapted = choose_neighbourhood(movie.masks, movie.images, settings)
        if model is None or method == PERFECT:
            return {**track_as_published(twin, out, adapted, perfect=True), **score_result(out, twin)}
        facts = track_as_published(twin, out, adapted) if method == "pdn" else run_ours(twin, out, "gnn", adapted)
        return {"model": model[1], **facts, **score_result(out, twin)}

    frames = None if protocol == SEEN else range(count_frames(sequence) // 2)
    runs.run_movie(protocol, sequence.name, sequence, methods, run, frames=frames)


def format_markdown(record: dict[str, Any]) -> str:
    """Return the tables of a record: the figures of each version, and the trainings."""
    rows = record["rows"]
    parts = [
        "# The published network",
        format_circumstances(record),
        "First halves of the sequences, versions as in `accuracy.md`. `pdn`: with the published rules; `pdn+triplets`: "
        "with our solver, classical scores of divisions and our repair of masks. `true links`: the published rules "
        "with perfect scores. *complete*: the markers of cells without a mask are added to the masks.",
        "Each cell: LNK / BIO(1) / division F1 within 1 frame / CHOTA / TRA.",
    ]
    for protocol, about_it in PROTOCOLS.items():
        found = {(row["sequence"], row["twin"], row["method"]): row for row in rows if row["protocol"] == protocol}
        movies = dict.fromkeys(key[:2] for key in found)
        methods = [method for method in METHODS if any(key[2] == method for key in found)]
        lines = [
            [", ".join(movie), *(format_cell(found.get((*movie, method)), None) for method in methods)]
            for movie in movies
        ]
        if lines:
            parts += [f"## {protocol}", about_it, format_table(["sequence, version", *methods], lines)]
    trainings = {row["protocol"] + ", " + _name_training(row): row["model"] for row in rows if "model" in row}
    lines = [
        [
            name,
            *(str(told[key]) for key in ("versions", "links", "steps")),
            f"{told['best']['loss']:.4f}",
            f"{told['seconds']:.0f}",
        ]
        for name, told in trainings.items()
    ]
    parts += ["## Trainings", format_table(["training", "versions", "links", "step", "loss", "s"], lines)]
    failed = [" ".join(row[name] for name in (*KEY, "failed")) for row in rows if "failed" in row]
    return "\n\n".join([*parts, *(f"Failed: {each}." for each in failed)])


def _name_training(row: dict[str, Any]) -> str:
    return "all" if row["protocol"] == "same" else str(row["sequence"])


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_training_arguments(parser)
    parser.add_argument("--protocol", default=",".join(PROTOCOLS))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--appearance", type=int, default=APPEARANCE, help="steps of the training of the appearance")
    parser.add_argument("--model", type=Path, help="test this model, also of an unfinished training; none is trained")
    parser.add_argument("--out", type=Path, default=RESULTS / "published.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
