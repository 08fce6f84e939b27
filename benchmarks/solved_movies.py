"""Results of movies whose truth is known, for the benchmarks of confidences and of the review list.

Each version of a movie is tracked as `gnntrack.track` does. The results are kept in the folder ``solved`` of the work
folder, by the code and the network that made them; others are tracked again. They are pickles, written and read on the
same machine; do not read pickles of others.

The movies are the sequences of ``--data``, with ``--more`` also bacteria, an ascidian embryo and CHO nuclei, and
simulated movies. The network of `gnn` is the one that ``learned.py`` trained in the work folder without this kind of
movie (`kind_groups`), if there is one, else the shipped one, but not on data sets that it was trained on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from folds import NEVER, WORK
from kind_groups import KINDS, name_model
from kind_images import get_default_more
from perturbed import PerturbedMovie, write_frames, write_perturbed
from record import REPOSITORY, get_default_data, hash_code

from gnntrack.evaluate.matching import MatchedGraphs, match_graphs
from gnntrack.evaluate.mistakes import Mistake, list_mistakes
from gnntrack.evaluate.tracking import match_sequence
from gnntrack.io.ctc import prepare_ctc
from gnntrack.io.ctc_names import find_ctc
from gnntrack.io.ctc_table import parse_track_table
from gnntrack.lineage.repair import RepairedMovie, repair_movie
from gnntrack.masks.overlaps import is_covered
from gnntrack.masks.runs import draw_labels
from gnntrack.movie_candidates import choose_links, read_candidates
from gnntrack.pipeline import simulate
from gnntrack.plurals import count_noun
from gnntrack.result_files import RunRecord
from gnntrack.results import build_result
from gnntrack.scores.confidence import measure_evidence
from gnntrack.settings import Settings
from gnntrack.training.sequences import TrainingSequence, find_sequences
from gnntrack.types import Cells, Lineage, Runs

Numbers = npt.NDArray[Any]
Slots = frozenset[int]

METHODS = {"hungarian": "links", "gnn": "network"}
FRAMES = 100  # the first of each movie
MORE = ("Masks-EcoliAgarPad/01_GT", "Masks3D-Ascidian/07_GT", "Fluo-N3DH-CHO/02_GT")
SIMULATED = ("colony", "channels", "sheet", "epithelium", "sparse", "amoeboid", "cleavage")
SEEDS = (100, 101)
MISSED_CELL = "false negative"
KEPT = (
    *("lineage/confidence.py", "lineage/doubts.py", "lineage/gains.py", "lineage/open_tracks.py", "lineage/summary.py"),
    *("scores/confidence.py", "result_files.py"),
)
"""Code that is run after the results are made; other changes make them again."""
SHIPPED = REPOSITORY / "gnntrack" / "weights" / "model.json"


@dataclass(frozen=True)
class SolvedMovie:
    """The result for a version of a movie whose truth is known.

    Parameters
    ----------
    dataset, name : str
        Data set, and version of the movie.
    images : bool
        Whether it was tracked with its images.
    lineage : Lineage
        The result after events and repair.
    evidence : (L, E) float64
        Of its links; see `measure_evidence`.
    right : (L,) bool
        Whether the link is true.
    annotated : (L,) bool
        Whether one of its cells is in the ground truth.
    judged : (L,) bool
        Whether the ground truth says more: a future of its source, or a past of its target. Of the others it only says
        that a cell ends and that another one begins, often because an annotation is missing in between.
    """

    dataset: str
    name: str
    images: bool
    lineage: Lineage
    evidence: Numbers
    right: Numbers
    annotated: Numbers
    judged: Numbers


@dataclass(frozen=True)
class ReviewedMovie(SolvedMovie):
    """The same with the result as it is written, and its errors.

    Parameters
    ----------
    version : str
        Version of the movie.
    scorer : str
        The weights of the confidences, one of the values of `METHODS`.
    written : Lineage
        The lineage with the cells that are written, also those drawn in gaps.
    link : (M,) int64
        Of each link of `written` the one of `lineage` whose confidence it has; -1 = none.
    mistakes : list of (str, frozenset of int)
        Kind of each error, and its slots: where a decision must be changed to correct it. See `find_slots`.
    """

    version: str
    scorer: str
    written: Lineage
    link: Numbers
    mistakes: list[tuple[str, Slots]]

    def rate(self, confidence: Numbers) -> Lineage:
        """Return the written lineage with these confidences of the links of `lineage`."""
        own = np.append(confidence, 1.0)[self.link]
        return replace(self.written, confidence=own.astype(np.float32))


def add_movie_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose movies and methods."""
    parser.add_argument("--data", type=Path, default=get_default_data(), help="folder of DATASET/NN, NN_GT and masks")
    parser.add_argument("--more", type=Path, default=get_default_more(), help="folder of further real movies")
    parser.add_argument("--work", type=Path, default=WORK, help="the work folder of learned.py, with its networks")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--twins", default="plain,hard,skip2")
    parser.add_argument("--only", default="", help="sequences whose name contains this")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)), help="of the simulated movies of each kind")


def list_movies(args: argparse.Namespace) -> list[TrainingSequence]:
    """Return all movies; the data set of a simulated one is its kind."""
    found = [each for each in find_sequences(args.data) if each.dataset != NEVER]
    for place in MORE:
        if (args.more / place).is_dir():
            found += find_sequences(args.more / place)
    for kind in SIMULATED:
        for seed in map(int, args.seeds.split(",")):
            folder = args.work / "simulated" / f"{kind}-{seed}"
            if not folder.exists():
                simulate(folder, kind=kind, seed=seed)
            found += [replace(each, dataset=f"simulated {kind}") for each in find_sequences(folder)]
    return found


def solve_all(args: argparse.Namespace) -> Iterator[tuple[str, ReviewedMovie]]:
    """Yield method and result for each version of each movie, with its images if there are any."""
    for sequence in list_movies(args):
        if args.only not in sequence.name and args.only not in sequence.dataset:
            continue
        for version, method in product(args.twins.split(","), args.methods.split(",")):
            settings, model = choose_network(sequence, args.work) if method == "gnn" else (Settings(), None)
            if model is not None and is_seen(model, sequence.dataset):
                continue
            file = args.work / "solved" / _name_file(sequence, version, method, model)
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryDirectory(dir=args.work) as temporary:
                    movie = solve_version(sequence, version, method, settings, Path(temporary))
                file.write_bytes(pickle.dumps(movie, protocol=pickle.HIGHEST_PROTOCOL))
                found = count_noun(len(movie.mistakes), "mistake")
                print(f"{method}, {movie.name}: {count_noun(len(movie.right), 'link')}, {found}", flush=True)
            yield method, pickle.loads(file.read_bytes())


def _name_file(sequence: TrainingSequence, version: str, method: str, model: Path | None) -> str:
    weights = "" if model is None else hashlib.sha256((model.parent / "weights.safetensors").read_bytes()).hexdigest()
    key = hashlib.sha256(
        f"{hash_code(KEPT)} {sequence.masks} {sequence.images} {FRAMES} {weights}".encode()
    ).hexdigest()[:12]
    return f"{name_movie(sequence)}, {version}, {method}, {key}.pickle"


def name_movie(sequence: TrainingSequence) -> str:
    """Return the name of a movie; simulated ones have the name of their kind and their seed."""
    return sequence.masks.parent.name if sequence.dataset.startswith("simulated") else sequence.name


def choose_network(sequence: TrainingSequence, work: Path) -> tuple[Settings, Path]:
    """Return settings for `gnn` on a movie, and the file that describes its network."""
    names = (sequence.dataset, sequence.dataset.removeprefix("simulated "))
    group = next((kind.group for kind in KINDS if {kind.dataset or kind.name} & set(names)), None)
    model = work / "models" / name_model(group) / "linknet" if group is not None else None
    if model is not None and (model / "model.json").exists():
        return Settings().replace(gnn__model=str(model)), model / "model.json"
    return Settings(), SHIPPED


def is_seen(model: Path, dataset: str) -> bool:
    """Return whether a network was trained on a data set; simulated movies are new, whatever their kind."""
    names = json.loads(model.read_text(encoding="utf-8"))["training"]["data"]
    return any(str(name).startswith(dataset) for name in names) and not dataset.startswith("simulated")


def solve_version(
    sequence: TrainingSequence, version: str, method: str, settings: Settings, work: Path
) -> ReviewedMovie:
    """Return the result of a method for a version of a movie."""
    short = write_frames(sequence, work / "start", range(FRAMES))
    twin = write_perturbed(short, work / version, version)
    run = RunRecord(twin.images, twin.masks, settings)
    candidates = read_candidates(run, method=method, solver=None)
    scores = candidates.score()
    solved = choose_links(candidates.graph, scores, candidates.solver, settings=settings)
    # the result has the confidences of the links: here their numbers, since the repair drops some
    numbered = replace(solved.lineage, confidence=np.arange(len(solved.lineage.source), dtype=np.float32) + 2)
    repaired = repair_movie(numbered, candidates.runs, settings=settings.repair)
    written = build_result(repaired, candidates.movie.images).lineage
    right, annotated, judged = judge_links(repaired.lineage, repaired.runs, twin.truth)
    number = _read_numbers(repaired.lineage)
    position = np.full(len(solved.lineage.source) + 1, -1)  # the last one is of links without a number, which is -1
    position[number] = np.arange(len(number))
    position[-1] = -1
    return ReviewedMovie(
        dataset=sequence.dataset,
        name=", ".join([name_movie(sequence), version, *([] if sequence.images else ["masks only"])]),
        images=twin.images is not None,
        lineage=repaired.lineage,
        evidence=measure_evidence(*solved)[number],
        right=right,
        annotated=annotated,
        judged=judged & (number >= 0),
        version=version,
        scorer=getattr(candidates.scorer, "confidence", None) or METHODS[method],
        written=written,
        link=position[_read_numbers(written)],
        mistakes=find_mistakes(repaired, written, twin, work / "written"),
    )


def _read_numbers(lineage: Lineage) -> Numbers:
    """Return the number of each link that is stored as its confidence; -1 = none."""
    return np.asarray(np.rint(lineage.confidence).astype(np.int64) - 2)


# --- errors ----------------------------------------------------------------------------------------------------------


def find_mistakes(
    repaired: RepairedMovie, written: Lineage, twin: PerturbedMovie, folder: Path
) -> list[tuple[str, Slots]]:
    """Return the errors of a result with their slots; see `find_slots`."""
    folder.mkdir()
    prepare_ctc(repaired.lineage, repaired.runs, fills=repaired.fills)(folder)
    matched = match_sequence(folder, twin.truth, seg=False)
    graphs = match_graphs(matched.rows, matched.truth_rows, matched.matches)
    found = [
        (each.kind, find_slots(each, written.cells)) for each in list_mistakes(matched) if each.kind != MISSED_CELL
    ]
    return found + [(MISSED_CELL, slots) for slots in _find_missed_cells(graphs, written.cells)]


def find_slots(mistake: Mistake, cells: Cells) -> Slots:
    """Return the slots of an error: the past (2 row) and the future (2 row + 1) of cells that are not as in the truth.

    A cell that is not one, or that is two, has both. A link has the future of its first cell and the past of its
    second, and a division the future of the parent and the past of the daughters.
    """
    frame, label = np.array(mistake.cells, np.int64).reshape(-1, 2).T
    rows = cells.row_of(frame, label).tolist()
    if mistake.kind in ("false positive", "merged cells"):
        return frozenset(slot for row in rows for slot in (2 * row, 2 * row + 1))
    if mistake.kind in ("wrong link", "missed link"):
        return frozenset([2 * rows[0] + 1, 2 * rows[1]])
    of_parent = (frame <= mistake.frame).tolist()
    return frozenset(2 * row + parent for row, parent in zip(rows, of_parent, strict=True))


def _find_missed_cells(graphs: MatchedGraphs, cells: Cells) -> Iterator[Slots]:
    """Yield the slots of each cell that the result lacks: the future of the cell before, the past of those after."""
    truth, result = graphs.truth, graphs.result
    row = cells.row_of(result.frame, result.label)
    own = np.where(graphs.covered_by >= 0, row[graphs.covered_by], -1)
    past = np.full(len(own), -1)
    past[truth.target] = truth.source
    following: dict[int, list[int]] = {}
    for source, target in zip(truth.source.tolist(), truth.target.tolist(), strict=True):
        following.setdefault(source, []).append(target)
    for missed in np.flatnonzero(own < 0).tolist():
        before, after = int(past[missed]), following.get(missed, [])
        while before >= 0 and own[before] < 0:
            before = int(past[before])
        while any(own[each] < 0 for each in after):
            after = [other for each in after for other in ([each] if own[each] >= 0 else following.get(each, []))]
        slots = {2 * int(own[before]) + 1} if before >= 0 else set()
        yield frozenset(slots | {2 * int(own[each]) for each in after})


# --- links -----------------------------------------------------------------------------------------------------------


def judge_links(lineage: Lineage, runs: Runs, truth: Path) -> tuple[Numbers, Numbers, Numbers]:
    """Return whether each link is right, annotated, and judged, (L,) each; see `SolvedMovie`."""
    true, seen = _list_true_links(lineage.cells, runs, truth)
    n, source, target = len(lineage.cells), lineage.source, lineage.target
    right = np.isin(source * n + target, true[:, 0] * n + true[:, 1])
    annotated = np.isin(source, seen) | np.isin(target, seen)
    return right, annotated, annotated & (np.isin(source, true[:, 0]) | np.isin(target, true[:, 1]))


def _list_true_links(cells: Cells, runs: Runs, truth: Path) -> tuple[Numbers, Numbers]:
    """Return the true links as rows of cells, (L, 2), and the cells that are in the ground truth.

    A link may pass over masks that cover several cells of the ground truth: such a mask need not belong to the track.
    """
    seen = _match_cells(len(cells), runs, truth)
    shared = np.bincount(np.concatenate(list(seen.values())), minlength=len(cells)) > 1

    def reach(rows: list[int]) -> list[int]:
        alone = [k for k, row in enumerate(rows) if not shared[row]]
        return rows[: alone[0] + 1] if alone else rows

    links: set[tuple[int, int]] = set()
    for label, _, _, parent in parse_track_table(find_ctc(truth).table or truth).rows.tolist():
        mine = seen.get(label, [])
        for k, row in enumerate(mine):
            links |= {(row, other) for other in reach(mine[k + 1 :])}
        links |= {(row, other) for row in reach(seen.get(parent, [])[::-1]) for other in reach(mine)}
    return np.array(sorted(links), np.int64).reshape(-1, 2), np.unique(np.concatenate(list(seen.values())))


def _match_cells(n: int, runs: Runs, truth: Path) -> dict[int, list[int]]:
    """Return the cells that cover each track of the ground truth by more than half, as rows in order of time."""
    seen: dict[int, list[int]] = {}
    for frame, file in find_ctc(truth).masks.items():
        marker = tifffile.imread(file)
        inside = marker > 0
        drawn = draw_labels(runs, frame, np.arange(1, n + 1), np.int64)[inside]
        key, shared = np.unique(marker[inside].astype(np.int64) * (n + 1) + drawn, return_counts=True)
        label, row = np.divmod(key, n + 1)
        covering = (row > 0) & is_covered(shared, np.bincount(marker[inside])[label])
        for each, cell in zip(label[covering].tolist(), (row[covering] - 1).tolist(), strict=True):
            seen.setdefault(each, []).append(cell)
    return seen
