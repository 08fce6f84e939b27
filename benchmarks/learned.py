"""Learned methods on movies that they have not seen, beside classical ones and peers, all on the same twins.

Two protocols. ``same``: one network for all, trained on every sequence less the first half of each tested one, and
tested on those halves. ``left-out``: a network for each tested data set, trained on all others, and tested on the whole
sequence. ``python benchmarks/learned.py --work FOLDER`` writes ``results/learned.json`` and, next to it, the tables as
Markdown. The work folder keeps what is learnt from and the models; ``--resume`` and ``--reuse-models`` go on with it.
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

from accuracy import SHOWN, at_least, cell, line, ours, scored, text
from folds import TESTED, WORK, Fold, Workshop, frames_of, left_out, plan_of, same, sequences_of
from record import (
    RESULTS,
    about,
    circumstances,
    code,
    default_data,
    in_order,
    placed,
    rows_before,
    stands,
    table,
    write,
)
from rivals import PACKAGES, missing, rival
from twins import Twin, write_start, write_twin

from gnntrack.settings import Settings
from gnntrack.training.sequences import TrainingSequence

NETWORKS = {"gnn": "linknet", "pdn": "pdn"}
METHODS = (*NETWORKS, "hungarian", "hungarian+triplets", "iou")
PROTOCOLS = {
    "same": "One network, trained on all sequences less the first half of each tested one; tested on those halves.",
    "left-out": "A network for each data set, trained on all others; tested on the whole sequence.",
}
KEY = ("protocol", "sequence", "twin", "method")
F1 = "division_f1(1)"
ABOVE = {"BIO(1) at least KOFT's": "BIO(1)", "OP_CLB(1) at least KOFT's": "OP_CLB(1)"}
WORSE = 0.001  # LNK error by which a learned method may be worse than `hungarian`
BELIEVED = {"same": 1.0, "left-out": 0.6}  # of the correction: all for the kind of movie it learnt, else the default
ASKED = {"same": 0.5, "left-out": 0.8}  # LNK error as a share of KOFT's, at most
DIVISIONS = {"Fluo-N2DL-HeLa 01": 0.90, "Fluo-N2DH-SIM+ 01": 0.90, "PhC-C2DL-PSC 01": 0.92}  # F1 of plain twins, `same`

Row = dict[str, Any]
Rows = Mapping[tuple[str, str, str], Row]


@dataclass(frozen=True)
class Plan:
    """What is to be run, and where."""

    protocols: tuple[str, ...]
    methods: tuple[str, ...]
    kinds: tuple[str, ...]
    only: str
    peer_python: str
    workshop: Workshop
    out: Path
    settings: Settings

    def wants(self, sequence: TrainingSequence) -> bool:
        """Tell whether a sequence is to be tested."""
        return sequence.dataset in TESTED and self.only.lower() in sequence.name.lower()


def main() -> None:
    args = _arguments()
    if args.merge:
        merge(args.merge, args.out)
        return
    args.work.mkdir(parents=True, exist_ok=True)
    absent = [peer for peer in _listed(args.peers) if missing(peer, args.peer_python)]
    plan = Plan(
        _listed(args.protocol),
        (*_listed(args.methods), *(peer for peer in _listed(args.peers) if peer not in absent)),
        _listed(args.twins),
        args.only,
        args.peer_python,
        Workshop(args.work, reuse=args.reuse_models, device=args.device),
        args.out,
        _settings(args),
    )
    rows = rows_before(args.out) if args.resume else []
    record = {
        **about(),
        "code": code(),
        "settings": plan.settings.model_dump(mode="json"),
        "absent": absent,
        "rows": rows,
    }
    sequences = sequences_of(args.data)
    plan.workshop.train_all(_trainings_of(plan, sequences), jobs=args.jobs)
    for protocol in plan.protocols:
        for sequence in filter(plan.wants, sequences):
            run_sequence(protocol, sequence, sequences, plan, record)
    write(plan.out, record, markdown(record))
    print(markdown(record))


def merge(files: Sequence[Path], out: Path) -> None:
    """Put the rows of several runs into one record, whose circumstances are those of the first."""
    record = json.loads(files[0].read_text(encoding="utf-8"))
    for row in (row for file in files[1:] for row in rows_before(file)):
        record["rows"] = placed(record["rows"], KEY, row)
    write(out, record, markdown(record))


def _trainings_of(plan: Plan, sequences: list[TrainingSequence]) -> list[tuple[Fold, str, Settings]]:
    """Return what has to be trained for a plan."""
    networks = [NETWORKS[method] for method in plan.methods if method in NETWORKS]
    folds = {
        fold.name: fold
        for protocol in plan.protocols
        for fold in (_fold(protocol, each, sequences) for each in sequences if plan.wants(each))
    }
    return [(fold, network, plan_of(network, plan.settings)) for fold in folds.values() for network in networks]


def _fold(protocol: str, tested: TrainingSequence, sequences: list[TrainingSequence]) -> Fold:
    return same(sequences) if protocol == "same" else left_out(sequences, tested.dataset)


def run_sequence(
    protocol: str, sequence: TrainingSequence, sequences: list[TrainingSequence], plan: Plan, record: dict[str, Any]
) -> None:
    """Run all methods on the twins of one sequence; each row is written as soon as it stands."""
    fold = _fold(protocol, sequence, sequences)
    with tempfile.TemporaryDirectory(dir=plan.workshop.work) as temporary:
        home, tested = Path(temporary), sequence
        if protocol == "same":
            tested = write_start(sequence, home / "start", frames_of(sequence) // 2)
        for kind in plan.kinds:
            keys = {method: (protocol, sequence.name, kind, method) for method in plan.methods}
            methods = [method for method, key in keys.items() if not stands(record["rows"], KEY, key)]
            twin = write_twin(tested, home / kind, kind) if methods else None
            for method in methods if twin else ():
                name = dict(zip(KEY, keys[method], strict=True))
                out = home / f"{kind} {method}" / f"{sequence.number}_RES"
                row = {**name, "code": code(), **_measured(protocol, twin, out, method, fold, plan)}
                record["rows"] = placed(record["rows"], KEY, row)
                print(f"{protocol:8s} {line(row)}", flush=True)
                write(plan.out, record, markdown(record))


def _measured(protocol: str, twin: Twin, out: Path, method: str, fold: Fold, plan: Plan) -> Row:
    """Run a method on a twin; one that fails is a row of the table too."""
    try:
        if method in PACKAGES:
            return {**rival(twin, out, method, plan.peer_python), **scored(out, twin)}
        if method not in NETWORKS:
            return {**ours(twin, out, method, plan.settings), **scored(out, twin)}
        settings = plan_of(NETWORKS[method], plan.settings)
        folder, told = plan.workshop.model(fold, NETWORKS[method], settings)
        return {
            **ours(twin, out, "gnn", settings.replace(gnn__model=str(folder), gnn__correction=BELIEVED[protocol])),
            "model": told,
            **scored(out, twin),
        }
    except Exception as error:  # noqa: BLE001
        return {"failed": f"{type(error).__name__}: {error}".replace(str(plan.workshop.work), "WORK")}


def markdown(record: dict[str, Any]) -> str:
    """Return the tables of a record."""
    parts = [
        "# Learned methods",
        circumstances(record),
        "On frames that no network has seen, twins as in `accuracy.md`. `gnn`: ours; `pdn`: the published network of "
        "Ben-Haim and Riklin-Raviv, trained on the same and solved and filled alike; `koft`, `laptrack`, `btrack`: run "
        "here. KOFT fills gaps with its own discs; after the links of the others comes our gap filling.",
        *(f"Not installed: {peer}." for peer in record["absent"]),
    ]
    for protocol, about_it in PROTOCOLS.items():
        of_it = {tuple(row[name] for name in KEY[1:]): row for row in record["rows"] if row["protocol"] == protocol}
        if of_it:
            parts += [f"## {protocol}", about_it, *_protocol(protocol, of_it)]
    parts += [_trainings(record["rows"]), _faults(record["rows"])]
    return "\n\n".join(part for part in parts if part)


def _protocol(protocol: str, rows: Rows) -> Iterator[str]:
    methods = in_order({method for *_, method in rows})
    yield "Each cell: LNK / BIO(1) / division F1 within 1 frame / CHOTA / TRA. **Bold**: at least as good as KOFT here."
    yield table(["sequence, twin", *methods], list(_figures(rows, methods)))
    yield "Means over the twins that both have; LNK error is 1 - LNK."
    yield table(
        ["method", "twins", "LNK error", "/ KOFT's", f"LNK worse than hungarian by > {text(WORSE, 3)}", *ABOVE],
        [_summary(rows, method) for method in methods],
    )
    yield "Division F1, plain / hard / skip2:"
    yield table(["sequence", *methods], list(_divisions(rows, methods)))
    if "gnn" in methods and "koft" in methods:
        yield table(["asked of gnn", "measured", "limit", "reached"], list(_asked(protocol, rows)))


def _figures(rows: Rows, methods: Sequence[str]) -> Iterator[list[str]]:
    for sequence, kind in dict.fromkeys((sequence, kind) for sequence, kind, _ in rows):
        koft = rows.get((sequence, kind, "koft"), {}).get("figures")
        bounds = [None if koft[name] is None else round(koft[name], 4) for name in SHOWN] if koft else None
        found = {method: rows.get((sequence, kind, method)) for method in methods}
        yield [f"{sequence}, {kind}", *(cell(row, None if name == "koft" else bounds) for name, row in found.items())]


def _summary(rows: Rows, method: str) -> list[str]:
    """Return a method's mean error, against KOFT's on the same twins, and how often it stands above or below others."""
    mine = _errors(rows, method)
    koft, classical = _errors(rows, "koft"), _errors(rows, "hungarian")
    both = mine.keys() & koft.keys()
    theirs = fmean(koft[twin] for twin in both) if both else 0.0
    ratio = fmean(mine[twin] for twin in both) / theirs if theirs else None  # a perfect one cannot be compared with
    worse = sum(mine[twin] > classical[twin] + WORSE for twin in mine.keys() & classical.keys())
    above = [_above(rows, method, name) for name in ABOVE.values()]
    error = text(fmean(mine.values())) if mine else "-"
    return [method, str(len(mine)), error, text(ratio, 2), str(worse), *(f"{good} of {n}" for good, n in above)]


def _divisions(rows: Rows, methods: Sequence[str]) -> Iterator[list[str]]:
    for sequence in dict.fromkeys(sequence for sequence, *_ in rows):
        kinds = list(dict.fromkeys(kind for other, kind, _ in rows if other == sequence))
        f1 = [[text(_figure(rows, (sequence, kind, method), F1), 3) for kind in kinds] for method in methods]
        yield [sequence, *(" / ".join(each) for each in f1)]


def _asked(protocol: str, rows: Rows) -> Iterator[list[str]]:
    """Yield what the issue of this method asks of it, and what was measured."""
    ratio, worse = _summary(rows, "gnn")[3:5]
    limit = ASKED[protocol]
    yield ["LNK error / KOFT's, mean", ratio, f"<= {limit}", _yes(ratio != "-" and float(ratio) <= limit)]
    wanted = [*ABOVE.items()]
    if protocol == "left-out":
        yield [f"twins whose LNK is worse than hungarian's by > {text(WORSE, 3)}", worse, "0", _yes(worse == "0")]
        wanted.append(("division F1 at least KOFT's", F1))
    else:
        for sequence, least in DIVISIONS.items():
            f1 = _figure(rows, (sequence, "plain", "gnn"), F1)
            if f1 is not None:
                yield [f"division F1, {sequence}, plain", text(f1, 3), f">= {text(least, 2)}", _yes(f1 >= least)]
    for title, name in wanted:
        good, n = _above(rows, "gnn", name)
        yield [title, f"{good} of {n}", "all", _yes(0 < good == n)]


def _above(rows: Rows, method: str, name: str) -> tuple[int, int]:
    """Return on how many twins a figure is at least KOFT's, and on how many both have it."""
    held = []
    for sequence, kind, other in rows:
        mine, koft = (_figure(rows, (sequence, kind, each), name) for each in (method, "koft"))
        if other == method and mine is not None and koft is not None:
            held.append(at_least(mine, round(koft, 4)))
    return sum(held), len(held)


def _errors(rows: Rows, method: str) -> dict[tuple[str, str], float]:
    """Return the LNK error of a method on each twin."""
    lnk = {key[:2]: _figure(rows, key, "LNK") for key in rows if key[2] == method}
    return {twin: 1 - value for twin, value in lnk.items() if value is not None}


def _figure(rows: Rows, key: tuple[str, str, str], name: str) -> float | None:
    value: float | None = rows.get(key, {}).get("figures", {}).get(name)
    return value


def _trainings(rows: list[Row]) -> str:
    lines = []
    for row in rows:
        told = row.get("model")
        if told is None:
            continue
        best = told["best"]
        f1 = text(best["validation_division_f1"], 3)
        fold = "all" if row["protocol"] == "same" else f"without {row['sequence']}"
        facts = [str(told["versions"]), str(told["links"]), str(told["divisions"]), str(told["steps"])]
        found = [text(best["validation_link_error"], 5), f1, f"{told['temperature']:.2f}", f"{told['seconds']:.0f}"]
        lines.append([f"{row['protocol']}, {fold}, {row['method']}", *facts, *found])
    if not lines:
        return ""
    head = ["training", "versions", "links", "divisions", "best step", "its link error", "division F1", "temperature"]
    lines = [list(each) for each in dict.fromkeys(map(tuple, lines))]
    return "## Trainings\n\n" + table([*head, "s"], lines)


def _faults(rows: list[Row]) -> str:
    failed = [" ".join(row[name] for name in (*KEY, "failed")) for row in rows if "failed" in row]
    errors = sum(row.get("errors", 0) for row in rows)
    codes = len({row["code"] for row in rows})
    told = f"{len(rows) - len(failed)} results, {errors} errors of the format, made by {codes} version(s) of the code."
    return told + (f" Failed: {'; '.join(failed)}." if failed else "")


def _yes(reached: bool) -> str:  # noqa: FBT001
    return "yes" if reached else "**no**"


def _listed(words: str) -> tuple[str, ...]:
    return tuple(filter(None, words.split(",")))


def _settings(args: argparse.Namespace) -> Settings:
    settings = Settings.from_toml(args.config) if args.config else Settings()
    return settings.replace(train__steps=args.steps) if args.steps else settings


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=default_data(), help="folder of DATASET/NN, NN_GT and masks")
    parser.add_argument("--work", type=Path, default=WORK, help="folder for what is learnt from, models and twins")
    parser.add_argument("--protocol", default=",".join(PROTOCOLS))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--twins", default="plain,hard,skip2")
    parser.add_argument("--only", default="", help="tested sequences whose name holds this, such as 'HeLa 01'")
    parser.add_argument(
        "--peers", default=",".join(PACKAGES), help="of koft, laptrack, btrack; those that are missing are told"
    )
    parser.add_argument("--peer-python", default=sys.executable, help="the interpreter that has the peers")
    parser.add_argument("--config", type=Path, help="settings as TOML; the defaults where it is left out")
    parser.add_argument("--steps", type=int, help="train.steps, to try the program")
    parser.add_argument("--device", default="auto", help="where the networks are trained")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, each on one core")
    parser.add_argument("--resume", action="store_true", help="keep the rows of the output that this code has made")
    parser.add_argument(
        "--reuse-models", action="store_true", help="keep the models, and go on with the interrupted one"
    )
    parser.add_argument("--merge", type=Path, nargs="+", help="outputs whose rows are put together; nothing is run")
    parser.add_argument("--out", type=Path, default=RESULTS / "learned.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
