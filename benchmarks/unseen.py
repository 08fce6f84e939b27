"""The shipped network on kinds of movies that it was not trained on: how much of its correction to add, and when.

``python benchmarks/unseen.py --work FOLDER`` runs `hungarian`, `gnn` with a constant strength of 0.6, and `gnn` as it
is, on four versions of each movie (the given masks, every second and every fourth frame, and masks with faults), and
writes ``results/unseen.json`` and, beside it, the tables as Markdown. The kinds are bacteria, an ascidian embryo and
CHO nuclei (`GNNTRACK_MORE`), and simulated colonies, channels, sheets and epithelia. ``--resume`` continues an earlier
run.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from accuracy import format_number, run_ours, score_result
from kind_images import get_default_more
from perturbed import PerturbedMovie, write_perturbed
from record import (
    RESULTS,
    describe_run,
    format_circumstances,
    format_table,
    has_row,
    hash_code,
    read_rows,
    replace_row,
    write_record,
)

from gnntrack import build_graph, simulate
from gnntrack.scores import score_links
from gnntrack.settings import Settings
from gnntrack.training.sequences import TrainingSequence, find_sequences

REAL = {"rods": "Masks-EcoliAgarPad/01_GT", "ascidian": "Masks3D-Ascidian/07_GT", "CHO": "Fluo-N3DH-CHO/02_GT"}
SIMULATED = ("colony", "channels", "sheet", "epithelium")
SEED = 200
VERSIONS = ("plain", "skip2", "skip4", "hard")
METHODS = {"hungarian": ("hungarian", {}), "constant": ("gnn", {"gnn__correction": 0.6}), "gnn": ("gnn", {})}
KEY = ("movie", "version", "method")
F1 = "division_f1(1)"
LINKS, DIVISIONS = 0.0005, 0.01  # LNK and division F1 by which a movie counts as worse
FEWEST = 5  # true divisions of a version whose division F1 counts
RATES = ("miss_rate", "end_rate")

Row = dict[str, Any]


class Case(NamedTuple):
    """The figures of a version of a movie: with the classical scores, and with a network."""

    kind: str
    movie: str
    version: str
    statistics: Mapping[str, float]
    divisions: int
    error: dict[str, float]
    f1: dict[str, float]

    def is_worse(self, method: str) -> bool:
        """Return whether a method is worse than `hungarian`."""
        f1 = self.divisions >= FEWEST and self.f1[method] < self.f1["hungarian"] - DIVISIONS
        return f1 or self.error[method] > self.error["hungarian"] + LINKS


def main() -> None:
    args = _parse_arguments()
    record = {**describe_run(), "code": hash_code(), "rows": read_rows(args.out) if args.resume else []}
    args.work.mkdir(parents=True, exist_ok=True)
    for kind, sequence in _list_movies(args):
        for version in VERSIONS:
            _run_version(kind, sequence, version, args, record)
    print(format_markdown(record))


def _list_movies(args: argparse.Namespace) -> Iterator[tuple[str, TrainingSequence]]:
    for kind, place in REAL.items():
        if args.only in kind:
            yield kind, find_sequences(args.more / place)[0]
    for kind in SIMULATED:
        folder = args.work / f"{kind}-{SEED}"
        if args.only in kind:
            if not folder.exists():
                simulate(folder, kind=kind, seed=SEED)
            yield kind, find_sequences(folder)[0]


def _run_version(
    kind: str, sequence: TrainingSequence, version: str, args: argparse.Namespace, record: dict[str, Any]
) -> None:
    keys = {method: (sequence.name, version, method) for method in args.methods.split(",")}
    missing = [method for method, key in keys.items() if not has_row(record["rows"], KEY, key)]
    if not missing:
        return
    with tempfile.TemporaryDirectory(dir=args.work) as temporary:
        twin = write_perturbed(sequence, Path(temporary) / "movie", version)
        known = {"kind": kind, "statistics": measure_statistics(twin)}
        for method in missing:
            name, changes = METHODS[method]
            out = Path(temporary) / method / f"{sequence.number}_RES"
            row = {
                **dict(zip(KEY, keys[method], strict=True)),
                **known,
                "code": hash_code(),
                **run_ours(twin, out, name, Settings().replace(**changes)),
                **score_result(out, twin),
            }
            record["rows"] = replace_row(record["rows"], KEY, row)
            lnk, f1 = row["figures"]["LNK"], row["figures"][F1]
            print(f"{sequence.name:24s} {version:6s} {method:10s} LNK {lnk:.4f}, F1 {f1}", flush=True)
    write_record(args.out, record, format_markdown(record))


def measure_statistics(twin: PerturbedMovie) -> dict[str, float]:
    """Return the statistics of a movie."""
    graph = build_graph(twin.images, twin.masks)
    found = score_links(graph, settings=Settings().scores).movie or {}
    return {name: round(value, 6) for name, value in found.items()}


# --- tables ----------------------------------------------------------------------------------------------------------


def list_cases(rows: Sequence[Row]) -> list[Case]:
    """Return the versions of movies that all methods were run on."""
    grouped: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        grouped.setdefault((row["movie"], row["version"]), {})[row["method"]] = row
    cases = []
    for (movie, version), found in grouped.items():
        if METHODS.keys() <= found.keys():
            one = found["hungarian"]
            error = {method: 1 - row["figures"]["LNK"] for method, row in found.items()}
            f1 = {method: row["figures"][F1] or 0.0 for method, row in found.items()}
            divisions = int(one["figures"].get("divisions") or 0)
            cases.append(Case(one["kind"], movie, version, one["statistics"], divisions, error, f1))
    return cases


def _compute_ratio(case: Case, method: str) -> float:
    """Return the error of a method against that of `hungarian`; a thousandth is added to both, as some are 0."""
    return (case.error[method] + 0.001) / (case.error["hungarian"] + 0.001)


def format_markdown(record: dict[str, Any]) -> str:
    """Return the tables of a record."""
    cases = list_cases(record["rows"])
    if not cases:
        return "# Kinds of movies that the network has not seen"
    ways = {"gnn, constant strength 0.6": "constant", "gnn": "gnn"}
    parts = [
        "# Kinds of movies that the network has not seen",
        format_circumstances(record),
        "LNK error, 1 - LNK, as a fraction of that of `hungarian`, and the difference of the division F1 (versions "
        f"with at least {FEWEST} divisions). *Worse*: versions whose LNK is lower by more than {LINKS}, or whose "
        f"division F1 is lower by more than {DIVISIONS}.",
        format_table(
            ["method", *VERSIONS, "all", "worse", "largest increase of the LNK error", "lowest difference of F1"],
            [[way, *_summarise(cases, method)] for way, method in ways.items()],
        ),
        "The rule by which the strength of `gnn` depends on the movie was set with these results in view.",
        format_table(
            [
                "movie, version",
                "missing masks",
                "vanishing cells",
                "LNK error: hungarian",
                "constant",
                "gnn",
                "division F1",
            ],
            [_format_case(case) for case in cases],
        ),
    ]
    return "\n\n".join(parts)


def _summarise(cases: Sequence[Case], method: str) -> list[str]:
    found = [(case, method) for case in cases]
    columns = [[each for each in found if each[0].version == version] for version in VERSIONS]
    differences = [case.f1[method] - case.f1["hungarian"] for case, method in found if case.divisions >= FEWEST]
    return [
        *(_format_mean(each) for each in [*columns, found]),
        f"{sum(case.is_worse(method) for case, method in found)} of {len(found)}",
        f"{max(case.error[method] - case.error['hungarian'] for case, method in found):+.4f}",
        f"{min(differences, default=0):+.3f}",
    ]


def _format_mean(found: Sequence[tuple[Case, str]]) -> str:
    if not found:
        return "-"
    ratio = fmean(_compute_ratio(case, method) for case, method in found)
    f1 = [case.f1[method] - case.f1["hungarian"] for case, method in found if case.divisions >= FEWEST]
    return f"{format_number(ratio, 2)}, {fmean(f1):+.3f}" if f1 else format_number(ratio, 2)


def _format_case(case: Case) -> list[str]:
    f1 = " / ".join(format_number(case.f1[method], 3) for method in METHODS) if case.divisions else "-"
    errors = [format_number(case.error[method]) for method in METHODS]
    rates = [format_number(case.statistics[name], 4) for name in RATES]
    return [f"{case.movie}, {case.version}", *rates, *errors, f1]


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for simulated movies and versions")
    parser.add_argument("--more", type=Path, default=get_default_more(), help="folder of the real movies")
    parser.add_argument("--only", default="", help="kinds whose name contains this")
    parser.add_argument("--methods", default=",".join(METHODS), help="some of them, with commas")
    parser.add_argument("--resume", action="store_true", help="keep the rows of the output that this code made")
    parser.add_argument("--out", type=Path, default=RESULTS / "unseen.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
