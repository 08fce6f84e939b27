"""The published network of Ben-Haim and Riklin-Raviv (ECCV 2022), trained and used as in its publication.

``python benchmarks/published.py --work FOLDER`` trains it on the training data of protocol *same* of ``learned.py``,
which are all sequences without the first half of each tested one, and tests it on those halves. Candidates are all
cells of the next frame around a cell, within the side of the movie's largest box, so that the region has twice its
size; cells have the learned appearance. Two methods use its scores. ``pdn``: the published rules, see
`choose_active_links` and `find_nearest_parents`. ``pdn+triplets``: our solver, with classical scores of divisions,
which the network does not score, and our repair of masks. Both tables and rows are written beside
``results/published.json``; ``learned.py --merge`` joins the rows with those of other methods.

An interrupted training continues with ``--reuse-models``. A training with more steps is started by ``--steps``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from accuracy import format_line, run_ours, score_result
from folds import (
    TESTED,
    Workshop,
    add_training_arguments,
    choose_settings,
    count_frames,
    describe_failure,
    list_sequences,
    make_same_fold,
    read_settings,
    start_record,
)
from learned import KEY, SCORING, format_markdown
from perturbed import PerturbedMovie, write_first_frames, write_perturbed
from record import RESULTS, has_row, hash_code, replace_row, write_record

from gnntrack.gnn.weights import load_model
from gnntrack.io.ctc_names import find_ctc
from gnntrack.io.ctc_table import read_track_table
from gnntrack.lineage.build import build_lineage
from gnntrack.movie import Movie, build_with_runs, open_movie
from gnntrack.pipeline import export
from gnntrack.scores.learned import NetworkScorer
from gnntrack.scores.registry import CellPixels
from gnntrack.settings import Settings
from gnntrack.training.sequences import TrainingSequence
from gnntrack.types import CellGraph, FrameStack, Lineage

METHODS = ("pdn", "pdn+triplets")
APPEARANCE = 1500  # steps of the training of the appearance
ALL = 1000  # neighbours: as many as lie within the distance
ACTIVE = 0.5  # least probability of an active link

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


def track_as_published(twin: PerturbedMovie, out: Path, settings: Settings) -> dict[str, Any]:
    """Track a version of a movie with the network of the settings and the published rules; return facts of the run."""
    start = time.perf_counter()
    movie = open_movie(twin.images, twin.masks, settings=settings)
    graph, runs = build_with_runs(movie, settings)
    pixels = None if movie.images is None else CellPixels(runs, movie.images)
    scores = NetworkScorer(settings, images=pixels is not None).score(graph, pixels=pixels)
    lineage = build_lineage(graph, choose_active_links(graph, scores.link), scores)
    export(lineage, out, masks=twin.masks, settings=settings.replace(repair__fill_gaps=False))
    _write_parents(out, lineage)
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
    settings = choose_settings("pdn", read_settings(args).replace(train__appearance=True))
    record = {"absent": [], **start_record(settings, args)}
    sequences = list_sequences(args.data)
    workshop = Workshop(args.work, args.reuse_models, args.device, adapt=choose_neighbourhood, appearance=APPEARANCE)
    if args.model:
        folder, told = args.model, describe_model(args.model)
    else:
        folder, told = workshop.get_model(make_same_fold(sequences), "pdn", settings, name="published")
    settings = settings.replace(gnn__model=str(folder), **SCORING["same"])
    for sequence in sequences:
        if sequence.dataset in TESTED and args.only.lower() in sequence.name.lower():
            run_sequence(sequence, settings, told, args, workshop, record)


def describe_model(folder: Path) -> dict[str, Any]:
    """Return the record of the training of a model, also of one whose training is not finished."""
    model = load_model(folder)
    kept = {name: model.training[name] for name in ("versions", "cells", "links", "divisions", "best")}
    best = kept["best"]
    return {**kept, "steps": best["step"], "temperature": model.temperature, "seconds": best["seconds"]}


def run_sequence(
    sequence: TrainingSequence,
    settings: Settings,
    told: dict[str, Any],
    args: argparse.Namespace,
    workshop: Workshop,
    record: dict[str, Any],
) -> None:
    """Test the first half of a sequence in all versions; each row is written as soon as it is complete."""
    with tempfile.TemporaryDirectory(dir=args.work) as temporary:
        home = Path(temporary)
        half = write_first_frames(sequence, home / "start", count_frames(sequence) // 2)
        for kind in args.twins.split(","):
            keys = {method: ("same", sequence.name, kind, method) for method in args.methods.split(",")}
            methods = [method for method, key in keys.items() if not has_row(record["rows"], KEY, key)]
            twin = write_perturbed(half, home / kind, kind) if methods else None
            for method in methods if twin else ():
                out = home / f"{kind} {method}" / f"{sequence.number}_RES"
                name = dict(zip(KEY, keys[method], strict=True))
                row = {**name, "code": hash_code(), "model": told, **_run_method(method, twin, out, settings, workshop)}
                record["rows"] = replace_row(record["rows"], KEY, row)
                print(format_line(row), flush=True)
                write_record(args.out, record, format_markdown(record))


def _run_method(method: str, twin: PerturbedMovie, out: Path, settings: Settings, workshop: Workshop) -> dict[str, Any]:
    try:
        movie = open_movie(twin.images, twin.masks, settings=settings)
        settings = choose_neighbourhood(movie.masks, movie.images, settings)
        facts = track_as_published(twin, out, settings) if method == "pdn" else run_ours(twin, out, "gnn", settings)
        return {**facts, **score_result(out, twin)}
    except Exception as error:  # noqa: BLE001 - a method that fails has a row too
        return describe_failure(error, workshop)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_training_arguments(parser)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--model", type=Path, help="test this model, also of an unfinished training; none is trained")
    parser.add_argument("--out", type=Path, default=RESULTS / "published.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
