"""Learned methods on held-out data, compared with classical methods and peers on the same versions of the movies.

Two protocols. ``same``: one network for all, trained on every sequence without the first half of each tested one, and
tested on those halves. ``left-out``: a network for each tested data set, trained on all others, and tested on the whole
sequence. ``python benchmarks/learned.py --work FOLDER`` writes ``results/learned.json`` and, beside it, the tables as
Markdown. The work folder stores samples and models; ``--resume`` and ``--reuse-models`` continue an earlier run.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from accuracy import SHOWN, format_cell, format_line, format_number, is_at_least, run_ours, score_result
from baselines import PACKAGES, find_interpreter, run_baseline
from folds import (
    TESTED,
    Fold,
    Workshop,
    add_training_arguments,
    choose_settings,
    count_frames,
    describe_failure,
    list_sequences,
    make_left_out_fold,
    make_same_fold,
    read_settings,
    start_record,
)
from perturbed import PerturbedMovie, write_first_frames, write_perturbed
from record import (
    RESULTS,
    format_circumstances,
    format_table,
    has_row,
    hash_code,
    read_rows,
    replace_row,
    sort_methods,
    write_record,
)

from gnntrack.settings import Settings
from gnntrack.training.sequences import TrainingSequence

NETWORKS = {"gnn": "linknet"}
METHODS = (*NETWORKS, "hungarian", "hungarian+triplets", "iou")
PROTOCOLS = {
    "same": "One network, trained on all sequences less the first half of each tested one; tested on those halves.",
    "left-out": "A network for each data set, trained on all others; tested on the whole sequence.",
}
KEY = ("protocol", "sequence", "twin", "method")
F1 = "division_f1(1)"
ABOVE = {"BIO(1) at least KOFT's": "BIO(1)", "OP_CLB(1) at least KOFT's": "OP_CLB(1)"}
WORSE = 0.001  # LNK error by which a learned method may be worse than `hungarian`
SCORING = {  # settings for movies like the training data, and for others, as for the network that comes with gnntrack
    "same": {"gnn__correction": 1.0, "gnn__brightness": True},
    "left-out": {"gnn__correction": 0.6, "gnn__brightness": False},
}
GOALS = {"same": 0.5, "left-out": 0.8}  # largest LNK error, as a fraction of KOFT's
DIVISIONS = {
    "Fluo-N2DL-HeLa 01": 0.90,
    "Fluo-N2DH-SIM+ 01": 0.90,
    "PhC-C2DL-PSC 01": 0.92,
}

Row = dict[str, Any]
Rows = Mapping[tuple[str, str, str], Row]


@dataclass(frozen=True)
class Plan:
    """The methods, versions of movies and settings of a run, and its folders."""

    protocols: tuple[str, ...]
    methods: tuple[str, ...]
    kinds: tuple[str, ...]
    only: str
    peer_python: str
    workshop: Workshop
    out: Path
    settings: Settings

    def includes(self, sequence: TrainingSequence) -> bool:
        """Return whether a sequence is tested."""
        return sequence.dataset in TESTED and self.only.lower() in sequence.name.lower()


def main() -> None:
    args = _parse_arguments()
    if args.merge:
        merge(args.merge, args.out)
        return
    args.work.mkdir(parents=True, exist_ok=True)
    absent = [peer for peer in _join_words(args.peers) if find_interpreter(peer, args.peer_python) is None]
    plan = Plan(
        _join_words(args.protocol),
        (*_join_words(args.methods), *(peer for peer in _join_words(args.peers) if peer not in absent)),
        _join_words(args.twins),
        args.only,
        args.peer_python,
        Workshop(args.work, reuse=args.reuse_models, device=args.device),
        args.out,
        read_settings(args),
    )
    record = {"absent": absent, **start_record(plan.settings, args)}
    sequences = list_sequences(args.data)
    plan.workshop.train_all(_list_trainings(plan, sequences), jobs=args.jobs)
    for protocol in plan.protocols:
        for sequence in filter(plan.includes, sequences):
            run_sequence(protocol, sequence, sequences, plan, record)
    write_record(plan.out, record, format_markdown(record))
    print(format_markdown(record))


def merge(files: Sequence[Path], out: Path) -> None:
    """Write the rows of several runs as one record, with date, machine and versions of the first."""
    record = json.loads(files[0].read_text(encoding="utf-8"))
    for row in (row for file in files[1:] for row in read_rows(file)):
        record["rows"] = replace_row(record["rows"], KEY, row)
    write_record(out, record, format_markdown(record))


def _list_trainings(plan: Plan, sequences: list[TrainingSequence]) -> list[tuple[Fold, str, Settings]]:
    """Return the trainings that a plan needs."""
    networks = [NETWORKS[method] for method in plan.methods if method in NETWORKS]
    folds = {
        fold.name: fold
        for protocol in plan.protocols
        for fold in (_make_fold(protocol, each, sequences) for each in sequences if plan.includes(each))
    }
    return [(fold, network, choose_settings(network, plan.settings)) for fold in folds.values() for network in networks]


def _make_fold(protocol: str, tested: TrainingSequence, sequences: list[TrainingSequence]) -> Fold:
    return make_same_fold(sequences) if protocol == "same" else make_left_out_fold(sequences, tested.dataset)


def run_sequence(
    protocol: str, sequence: TrainingSequence, sequences: list[TrainingSequence], plan: Plan, record: dict[str, Any]
) -> None:
    """Run all methods on the versions of one sequence; each row is written as soon as it is complete."""
    fold = _make_fold(protocol, sequence, sequences)
    with tempfile.TemporaryDirectory(dir=plan.workshop.work) as temporary:
        home, tested = Path(temporary), sequence
        if protocol == "same":
            tested = write_first_frames(sequence, home / "start", count_frames(sequence) // 2)
        for kind in plan.kinds:
            keys = {method: (protocol, sequence.name, kind, method) for method in plan.methods}
            methods = [method for method, key in keys.items() if not has_row(record["rows"], KEY, key)]
            twin = write_perturbed(tested, home / kind, kind) if methods else None
            for method in methods if twin else ():
                name = dict(zip(KEY, keys[method], strict=True))
                out = home / f"{kind} {method}" / f"{sequence.number}_RES"
                row = {
                    **name,
                    "code": hash_code(),
                    **_run_method(protocol, twin, out, method, fold, plan, sequence.dataset),
                }
                record["rows"] = replace_row(record["rows"], KEY, row)
                print(f"{protocol:8s} {format_line(row)}", flush=True)
                write_record(plan.out, record, format_markdown(record))


def _run_method(
    protocol: str, twin: PerturbedMovie, out: Path, method: str, fold: Fold, plan: Plan, dataset: str
) -> Row:
    """Run a method on a version of a movie; a method that fails has a row too."""
    try:
        if method in PACKAGES:
            return {**run_baseline(twin, out, method, plan.peer_python, dataset=dataset), **score_result(out, twin)}
        if method not in NETWORKS:
            return {**run_ours(twin, out, method, plan.settings), **score_result(out, twin)}
        settings = choose_settings(NETWORKS[method], plan.settings)
        folder, told = plan.workshop.get_model(fold, NETWORKS[method], settings)
        return {
            **run_ours(twin, out, "gnn", settings.replace(gnn__model=str(folder), **SCORING[protocol])),
            "model": told,
            **score_result(out, twin),
        }
    except Exception as error:  # noqa: BLE001
        return describe_failure(error, plan.workshop)


def format_markdown(record: dict[str, Any]) -> str:
    """Return the tables of a record."""
    parts = [
        "# Learned methods",
        format_circumstances(record),
        "On held-out frames, versions as in `accuracy.md`. `gnn`: ours; `pdn` and `pdn+triplets`: the published "
        "network of Ben-Haim and Riklin-Raviv with its own rules and with our solver, from `published.py`; "
        "`koft`, `laptrack`, `btrack`: run here. "
        "KOFT fills gaps with its own discs; our gap filling is applied to the links of the others.",
        *(f"Not installed: {peer}." for peer in record["absent"]),
    ]
    for protocol, about_it in PROTOCOLS.items():
        of_it = {tuple(row[name] for name in KEY[1:]): row for row in record["rows"] if row["protocol"] == protocol}
        if of_it:
            parts += [f"## {protocol}", about_it, *_format_protocol(protocol, of_it)]
    parts += [_format_trainings(record["rows"]), _describe_faults(record["rows"])]
    return "\n\n".join(part for part in parts if part)


def _format_protocol(protocol: str, rows: Rows) -> Iterator[str]:
    methods = sort_methods({method for *_, method in rows})
    yield "Each cell: LNK / BIO(1) / division F1 within 1 frame / CHOTA / TRA. **Bold**: at least as good as KOFT here."
    yield format_table(["sequence, twin", *methods], list(_format_figures(rows, methods)))
    yield "Means over the twins that both have; LNK error is 1 - LNK."
    yield format_table(
        [
            "method",
            "twins",
            "LNK error",
            "/ KOFT's",
            f"LNK worse than hungarian by > {format_number(WORSE, 3)}",
            *ABOVE,
        ],
        [_summarise_method(rows, method) for method in methods],
    )
    yield "Division F1, plain / hard / skip2:"
    yield format_table(["sequence", *methods], list(_format_divisions(rows, methods)))
    if "gnn" in methods and "koft" in methods:
        yield format_table(["asked of gnn", "measured", "limit", "reached"], list(_check_goals(protocol, rows)))


def _format_figures(rows: Rows, methods: Sequence[str]) -> Iterator[list[str]]:
    for sequence, kind in dict.fromkeys((sequence, kind) for sequence, kind, _ in rows):
        koft = rows.get((sequence, kind, "koft"), {}).get("figures")
        bounds = [None if koft[name] is None else round(koft[name], 4) for name in SHOWN] if koft else None
        found = {method: rows.get((sequence, kind, method)) for method in methods}
        yield [
            f"{sequence}, {kind}",
            *(format_cell(row, None if name == "koft" else bounds) for name, row in found.items()),
        ]


def _summarise_method(rows: Rows, method: str) -> list[str]:
    """Return a method's mean error, its ratio to KOFT's, and numbers of movies on which it is better or worse."""
    mine = _collect_errors(rows, method)
    koft, classical = _collect_errors(rows, "koft"), _collect_errors(rows, "hungarian")
    both = mine.keys() & koft.keys()
    theirs = fmean(koft[twin] for twin in both) if both else 0.0
    ratio = fmean(mine[twin] for twin in both) / theirs if theirs else None  # an error of 0 has no ratio
    worse = sum(mine[twin] > classical[twin] + WORSE for twin in mine.keys() & classical.keys())
    above = [_count_above(rows, method, name) for name in ABOVE.values()]
    error = format_number(fmean(mine.values())) if mine else "-"
    return [
        method,
        str(len(mine)),
        error,
        format_number(ratio, 2),
        str(worse),
        *(f"{good} of {n}" for good, n in above),
    ]


def _format_divisions(rows: Rows, methods: Sequence[str]) -> Iterator[list[str]]:
    for sequence in dict.fromkeys(sequence for sequence, *_ in rows):
        kinds = list(dict.fromkeys(kind for other, kind, _ in rows if other == sequence))
        f1 = [
            [format_number(_get_figure(rows, (sequence, kind, method), F1), 3) for kind in kinds] for method in methods
        ]
        yield [sequence, *(" / ".join(each) for each in f1)]


def _check_goals(protocol: str, rows: Rows) -> Iterator[list[str]]:
    """Yield the goals of the learned method, the measured figures, and whether they are reached."""
    ratio, worse = _summarise_method(rows, "gnn")[3:5]
    limit = GOALS[protocol]
    yield ["LNK error / KOFT's, mean", ratio, f"<= {limit}", _format_answer(ratio != "-" and float(ratio) <= limit)]
    wanted = [*ABOVE.items()]
    if protocol == "left-out":
        yield [
            f"twins whose LNK is worse than hungarian's by > {format_number(WORSE, 3)}",
            worse,
            "0",
            _format_answer(worse == "0"),
        ]
        wanted.append(("division F1 at least KOFT's", F1))
    else:
        for sequence, least in DIVISIONS.items():
            f1 = _get_figure(rows, (sequence, "plain", "gnn"), F1)
            if f1 is not None:
                yield [
                    f"division F1, {sequence}, plain",
                    format_number(f1, 3),
                    f">= {format_number(least, 2)}",
                    _format_answer(f1 >= least),
                ]
    for title, name in wanted:
        good, n = _count_above(rows, "gnn", name)
        yield [title, f"{good} of {n}", "all", _format_answer(0 < good == n)]


def _count_above(rows: Rows, method: str, name: str) -> tuple[int, int]:
    """Return on how many movies a figure is at least KOFT's, and on how many both have it."""
    held = []
    for sequence, kind, other in rows:
        mine, koft = (_get_figure(rows, (sequence, kind, each), name) for each in (method, "koft"))
        if other == method and mine is not None and koft is not None:
            held.append(is_at_least(mine, round(koft, 4)))
    return sum(held), len(held)


def _collect_errors(rows: Rows, method: str) -> dict[tuple[str, str], float]:
    """Return the LNK error of a method on each version of a movie."""
    lnk = {key[:2]: _get_figure(rows, key, "LNK") for key in rows if key[2] == method}
    return {twin: 1 - value for twin, value in lnk.items() if value is not None}


def _get_figure(rows: Rows, key: tuple[str, str, str], name: str) -> float | None:
    value: float | None = rows.get(key, {}).get("figures", {}).get(name)
    return value


def _format_trainings(rows: list[Row]) -> str:
    lines = []
    for row in rows:
        told = row.get("model")
        if told is None:
            continue
        best = told["best"]
        f1 = format_number(best["validation_division_f1"], 3)
        fold = "all" if row["protocol"] == "same" else f"without {row['sequence']}"
        facts = [str(told["versions"]), str(told["links"]), str(told["divisions"]), str(told["steps"])]
        found = [
            format_number(best["validation_link_error"], 5),
            f1,
            f"{told['temperature']:.2f}",
            f"{told['seconds']:.0f}",
        ]
        lines.append([f"{row['protocol']}, {fold}, {row['method']}", *facts, *found])
    if not lines:
        return ""
    head = ["training", "versions", "links", "divisions", "best step", "its link error", "division F1", "temperature"]
    lines = [list(each) for each in dict.fromkeys(map(tuple, lines))]
    return "## Trainings\n\n" + format_table([*head, "s"], lines)


def _describe_faults(rows: list[Row]) -> str:
    failed = [" ".join(row[name] for name in (*KEY, "failed")) for row in rows if "failed" in row]
    errors = sum(row.get("errors", 0) for row in rows)
    codes = len({row["code"] for row in rows})
    told = f"{len(rows) - len(failed)} results, {errors} errors of the format, made by {codes} version(s) of the code."
    return told + (f" Failed: {'; '.join(failed)}." if failed else "")


def _format_answer(reached: bool) -> str:  # noqa: FBT001
    return "yes" if reached else "**no**"


def _join_words(words: str) -> tuple[str, ...]:
    return tuple(filter(None, words.split(",")))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_training_arguments(parser)
    parser.add_argument("--protocol", default=",".join(PROTOCOLS))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument(
        "--peers", default=",".join(PACKAGES), help="of koft, laptrack, btrack; a message names those that are missing"
    )
    parser.add_argument(
        "--peer-python", default=sys.executable, help="Python interpreters with the peers, separated by commas"
    )
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, each on one core")
    parser.add_argument("--merge", type=Path, nargs="+", help="outputs whose rows are joined; no method is run")
    parser.add_argument("--out", type=Path, default=RESULTS / "learned.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
