"""Goals: what ``--goal identity`` changes, and how far every solver is from the best links.

``python benchmarks/goals.py`` writes ``results/goals.json``, and its tables as Markdown, from the movies of the
challenge with shuffled labels (`perturbed.py`). ``--development FOLDER`` adds the simulated movies on which the
settings of the goals were compared, and nothing else; it keeps the movies in the folder.

Each result is scored against the ground truth. The distance from the best links is the proven one of the summary: the
total value of the links is below the best one by at most this fraction.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from perturbed import write_perturbed
from record import RESULTS, describe_run, format_circumstances, format_table, get_default_data, write_record

from gnntrack.io.writers import CellMasks
from gnntrack.lineage.repair import repair_movie
from gnntrack.methods import resolve_method
from gnntrack.movie_candidates import MovieCandidates, choose_links, read_candidates
from gnntrack.pipeline import evaluate, simulate
from gnntrack.plurals import count_noun
from gnntrack.result_files import RunRecord
from gnntrack.settings import Settings
from gnntrack.training.sequences import TrainingSequence, find_sequences

OUT = RESULTS / "goals.json"
METRICS = ("LNK", "TRA", "BIO(1)", "CHOTA", "CT", "division_f1(1)")
GOALS: dict[str, dict[str, Any]] = {"ctc": {}, "identity": {"solver__goal": "identity"}}
SOLVERS = ("greedy", "hungarian", "exact")
KINDS = ("cells", "colony", "sheet", "epithelium", "amoeboid", "sparse")
SEEDS = (1000, 1001, 1002)
CHANGES: dict[str, dict[str, Any]] = {
    "default": {},
    "solver exact": {"solver": "exact"},
    "solver exact, link_threshold = 0.3": {"solver": "exact", "solver__link_threshold": 0.3},
    "solver exact, link_threshold = 0.2": {"solver": "exact", "solver__link_threshold": 0.2},
    "link_threshold = 0.3": {"solver__link_threshold": 0.3},
    "link_threshold = 0.5": {"solver__link_threshold": 0.5},
    "division_threshold = 0.3": {"solver__division_threshold": 0.3},
    "division_threshold = 0.6": {"solver__division_threshold": 0.6},
}
"""Settings that were compared for the goal identity."""
Row = dict[str, Any]


def main() -> None:
    args = _parse_arguments()
    record: Row = json.loads(OUT.read_text(encoding="utf-8")) if args.add and OUT.exists() else {}
    part = "development" if args.development else "rows"
    record |= {**describe_run(), "settings": Settings().to_dict(plain=True), part: record.get(part, [])}
    known = {(row["movie"], row["version"]) for row in record[part]}
    sequences = list_simulated(args.development) if args.development else find_sequences(args.data)
    for sequence in sequences:
        for version in args.versions.split(","):
            name = (name_movie(sequence), version)
            if args.only in name[0] and name not in known:
                record[part] += measure_version(sequence, version, CHANGES if args.development else GOALS)
                write_record(OUT, record, format_markdown(record))
                print(*name, flush=True)


def list_simulated(folder: Path) -> list[TrainingSequence]:
    """Return the simulated movies of a folder; they are made if they are missing."""
    found = []
    for seed in SEEDS:
        for kind in KINDS:
            place = folder / f"{kind}-{seed}"
            if not place.exists():
                simulate(place, kind=kind, seed=seed)
            found += find_sequences(place)
    return found


def name_movie(sequence: TrainingSequence) -> str:
    """Return the name of a movie; simulated ones have that of their folder."""
    return sequence.masks.parent.name if sequence.dataset.split("-")[0] in KINDS else sequence.name


def measure_version(sequence: TrainingSequence, version: str, choices: dict[str, dict[str, Any]]) -> list[Row]:
    """Return a row for each choice of settings; of the first one also the time and distance of each solver."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        twin = write_perturbed(sequence, Path(folder), version)
        candidates = read_candidates(RunRecord(twin.images, twin.masks), method="hungarian", solver=None)
        for name, changes in choices.items():
            settings = Settings().replace(**{key: value for key, value in changes.items() if key != "solver"})
            figures = score_choice(candidates, settings, changes.get("solver"), twin.truth)
            rows.append({"movie": name_movie(sequence), "version": version, "choice": name, "figures": figures})
        rows[0] |= {"cells": len(candidates.graph.cells), "solvers": dict(measure_solvers(candidates))}
    return rows


def score_choice(
    candidates: MovieCandidates, settings: Settings, solver: str | None, truth: Path
) -> dict[str, float | None]:
    """Return the metrics of the result with these settings and this solver, by default that of the goal."""
    solver = resolve_method("hungarian", solver, goal=settings.solver.goal).solver
    solved = choose_links(candidates.graph, candidates.score(), solver, settings=settings)
    repaired = repair_movie(solved.lineage, candidates.runs, settings=settings.repair)
    scores = evaluate(repaired.lineage.with_masks(CellMasks(repaired.runs, repaired.fills)), truth)
    return {name: scores.get(name) for name in METRICS}


def measure_solvers(candidates: MovieCandidates) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield the proven distance of each solver from the best links, and the seconds for links and proof."""
    from gnntrack.lineage.constraints import Constraints
    from gnntrack.solvers.constrained import FreeCandidates, solve_free

    free = FreeCandidates(candidates.graph, candidates.score())
    for solver in SOLVERS:
        start = time.perf_counter()
        _, lineage = solve_free(solver, free, Constraints(), settings=Settings().solver)
        seconds = round(time.perf_counter() - start, 3)
        yield solver, {"gap": lineage.provenance.optimality_gap or 0.0, "seconds": seconds}


def format_markdown(record: Row) -> str:
    """Return the tables of a record."""
    parts = ["# Goals", format_circumstances(record)]
    if record.get("rows"):
        parts += [
            "Method `hungarian`. Each cell: goal `ctc` / goal `identity`.",
            format_means(record["rows"]),
            format_goals(record["rows"]),
            "## Distance from the best links",
            "At most this fraction of the total value, proven; 0 = the best links. Seconds for links and proof.",
            format_solvers(record["rows"]),
        ]
    if record.get("development"):
        parts += ["## Simulated movies for development", format_development(record["development"])]
    return "\n\n".join(parts)


def format_goals(rows: list[Row]) -> str:
    """Return a table of the metrics by movie."""
    lines = []
    for movie, version in dict.fromkeys((row["movie"], row["version"]) for row in rows):
        both = {row["choice"]: row["figures"] for row in rows if (row["movie"], row["version"]) == (movie, version)}
        lines.append([f"{movie}, {version}", *(_format_pair([both[goal][name] for goal in GOALS]) for name in METRICS)])
    return format_table(["movie", *METRICS], lines)


def format_means(rows: list[Row]) -> str:
    """Return a table of the means of the metrics by version, and the number of movies in which a goal is better."""
    lines = []
    for version in dict.fromkeys(row["version"] for row in rows):
        own = {
            goal: [row["figures"] for row in rows if (row["version"], row["choice"]) == (version, goal)]
            for goal in GOALS
        }
        cells = []
        for name in METRICS:
            pairs = [(one[name], two[name]) for one, two in zip(*own.values(), strict=True)]
            known = [pair for pair in pairs if None not in pair]
            better = (
                sum(round(two - one, 4) > 0 for one, two in known),
                sum(round(one - two, 4) > 0 for one, two in known),
            )
            means = _format_pair([fmean(column) for column in zip(*known, strict=True)])
            cells.append(f"{means} ({better[0]} better, {better[1]} worse)")
        lines.append([f"{version}, {count_noun(len(own['ctc']), 'movie')}", *cells])
    return format_table(["version", *METRICS], lines)


def _format_pair(values: list[float | None]) -> str:
    return " / ".join("-" if value is None else f"{value:.4f}" for value in values)


def format_solvers(rows: list[Row]) -> str:
    """Return a table of the proven distance and the time of each solver."""
    lines = [
        [
            f"{row['movie']}, {row['version']}",
            str(row["cells"]),
            *(f"{each['gap']:.1e}, {each['seconds']:.2f} s" for each in row["solvers"].values()),
        ]
        for row in rows
        if "solvers" in row
    ]
    return format_table(["movie", "cells", *(f"`{solver}`" for solver in SOLVERS)], lines)


def format_development(rows: list[Row]) -> str:
    """Return a table of the mean change of each metric by each setting."""
    figures = {(row["movie"], row["version"], row["choice"]): row["figures"] for row in rows}
    places = list(dict.fromkeys((row["movie"], row["version"]) for row in rows))
    lines = []
    for choice in dict.fromkeys(row["choice"] for row in rows):
        cells = []
        for name in METRICS:
            both = [(figures[*place, choice][name], figures[*place, "default"][name]) for place in places]
            changes = [one - other for one, other in both if one is not None and other is not None]
            cells.append(
                f"{fmean(changes):+.4f}"
                if choice != "default"
                else f"{fmean(one for one, _ in both if one is not None):.4f}"
            )
        lines.append([f"`{choice}`" if choice != "default" else choice, *cells])
    told = f"Means over {len(places)} versions; in all rows but the first one the difference from it."
    return f"{told}\n\n{format_table(['setting', *METRICS], lines)}"


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=get_default_data(), help="folder of DATASET/NN, NN_GT and masks")
    parser.add_argument("--versions", default="plain,hard,skip2")
    parser.add_argument("--only", default="", help="movies whose name contains this")
    parser.add_argument(
        "--development", type=Path, metavar="FOLDER", help="simulated movies instead, made in this folder"
    )
    parser.add_argument("--add", action="store_true", help="keep the rows of the results, and measure what is missing")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
