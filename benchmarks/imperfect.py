"""Imperfect masks: methods with and without repairs of masks, for both goals, and other programs, on the same masks.

``python benchmarks/imperfect.py`` writes ``results/imperfect.json`` and, beside it, the tables as Markdown. The masks
of each movie, with shuffled labels (`perturbed.py`), are those of these versions:

* ``clean``: ground truth, or the masks of the challenge's linking benchmark;
* ``hard``: the same with 3 % of the cells dropped, 2 % merged with a near neighbour, 2 % split in two;
* ``real``: a result of another program, ``NN_RES``. The row ``given`` is the score of that result itself.

Rows of other programs are measured if ``--peers`` names them, else kept; those of clean and hard masks are the rows of
the same masks in ``learned.json``. ``--methods gnn`` measures the network only, about half of the time of all.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from accuracy import run_ours, score_result
from baselines import run_baseline
from perturbed import PerturbedMovie, write_frames, write_perturbed
from record import (
    RESULTS,
    describe_run,
    format_circumstances,
    format_table,
    get_default_data,
    read_rows,
    replace_row,
    write_record,
)
from version_runs import describe_failure

from gnntrack.errors import GnntrackWarning
from gnntrack.plurals import count_noun
from gnntrack.settings import Settings
from gnntrack.training.sequences import TrainingSequence, find_sequences

OUT = RESULTS / "imperfect.json"
MOVIES = {  # versions of each movie
    "Fluo-N2DH-SIM+ 01": ("clean", "hard"),
    "Fluo-N2DL-HeLa 01": ("clean", "hard"),
    "PhC-C2DL-PSC 01": ("clean", "hard", "real"),
    "iPSC-02 01": ("real",),
    "iPSC-02 02": ("real",),
    "iPSC-02 03": ("real",),
}
VERSIONS = {"clean": "plain", "hard": "hard", "real": "plain"}  # names in perturbed.py
GIVEN, PEERS, METHODS = "given", ("koft", "laptrack"), ("hungarian", "gnn")
REPAIRS: dict[str, dict[str, Any]] = {"repaired": {}, "kept": {"repair__keep_masks": True}}
GOALS: dict[str, dict[str, Any]] = {"ctc": {}, "identity": {"solver__goal": "identity"}}
METRICS = ("LNK", "TRA", "CHOTA", "BIO(1)", "division_f1(1)")
TITLES = {
    GIVEN: "the given result",
    "koft": "KOFT",
    "laptrack": "laptrack",
    **{f"{method}, repaired": f"`{method}`" for method in METHODS},
    **{f"{method}, kept": f"`{method}`, masks kept" for method in METHODS},
}
KEY = ("movie", "version", "method", "masks", "goal")

Row = dict[str, Any]


def main() -> None:
    args = _parse_arguments()
    warnings.simplefilter("ignore", GnntrackWarning)
    record = {**describe_run(), "settings": Settings().to_dict(plain=True), "rows": read_rows(args.out)}
    for row in read_peers():
        record["rows"] = replace_row(record["rows"], KEY, row)
    for sequence in find_sequences(args.data):
        for version in MOVIES.get(sequence.name, ()):
            name = {"movie": sequence.name, "version": version}
            if args.only.lower() not in ", ".join(name.values()).lower():
                continue
            with tempfile.TemporaryDirectory() as folder:
                for row in run_version(sequence, version, Path(folder), args):
                    made = {**name, **row, "revision": record["revision"]}
                    record["rows"] = replace_row(record["rows"], KEY, made)
                    print(*name.values(), describe_row(row), flush=True)
                    write_record(args.out, record, format_markdown(record))


def read_peers() -> Iterator[Row]:
    """Yield the rows of other programs on clean and hard masks, which `learned.py` measured on the same masks."""
    known = {VERSIONS[version]: version for version in ("clean", "hard")}
    for row in json.loads((RESULTS / "learned.json").read_text(encoding="utf-8"))["rows"]:
        version = known.get(row["twin"])
        wanted = row["protocol"] == "left-out" and row["method"] in PEERS and "figures" in row
        if wanted and version in MOVIES.get(row["sequence"], ()):
            name = {"movie": row["sequence"], "version": version, "method": row["method"], "masks": "", "goal": ""}
            kept = ("seconds", "frames", "cells", "notes", "tracks", "figures")
            yield {**name, **{each: row[each] for each in kept if each in row}, "source": "learned.json"}


def run_version(sequence: TrainingSequence, version: str, home: Path, args: argparse.Namespace) -> Iterator[Row]:
    """Yield the row of each method on a version of a movie, without the name of the movie."""
    given = sequence.truth.parent.with_name(f"{sequence.number}_RES") if version == "real" else None
    tested = replace(sequence, masks=given) if given else sequence
    if args.frames:
        tested = write_frames(tested, home / "start", range(args.frames))
    movie = write_perturbed(tested, home / version, VERSIONS[version])
    if given and not args.frames:
        yield {"method": GIVEN, "masks": "", "goal": "", **score_result(given, movie)}
    for peer in filter(None, args.peers.split(",")):
        out = home / peer / "01_RES"
        row: Row = {"method": peer, "masks": "", "goal": ""}
        try:
            row |= run_baseline(movie, out, peer, args.peer_python, dataset=sequence.dataset)
            row |= score_result(out, movie)
        except Exception as error:  # noqa: BLE001
            row |= describe_failure(error, home)
        yield row
    for method in filter(None, args.methods.split(",")):
        for masks in REPAIRS:
            for goal in GOALS:
                yield run_choice(movie, home, method, masks, goal)


def run_choice(movie: PerturbedMovie, home: Path, method: str, masks: str, goal: str) -> Row:
    """Return the row of a method of ours."""
    settings = Settings().replace(**REPAIRS[masks], **GOALS[goal])
    out = home / f"{method} {masks} {goal}" / "01_RES"
    start = time.process_time()
    row = run_ours(movie, out, method, settings)
    row["processor_seconds"] = round(time.process_time() - start, 2)
    return {"method": method, "masks": masks, "goal": goal, **row, **score_result(out, movie)}


def describe_row(row: Row) -> str:
    """Return a row in words."""
    figures = row.get("failed") or " / ".join(_format_number(row["figures"][name]) for name in METRICS)
    return f"{name_row(row)} {row['goal']}: {figures}"


def name_row(row: Row) -> str:
    """Return the name of the line of a table that a row belongs to."""
    return f"{row['method']}, {row['masks']}" if row["masks"] else str(row["method"])


def format_markdown(record: Row) -> str:
    """Return the tables of a record."""
    rows = record["rows"]
    parts = [
        "# Imperfect masks",
        f"{format_circumstances(record)} Each row of the JSON has the revision of its own run.",
        "Where a cell has two figures: goal `ctc` / goal `identity`. *Real*: the masks of a result of another program.",
        "## Means",
        format_means(rows),
        "## Against other programs",
        "Repaired masks, goal `ctc`: our mean minus theirs, over the movies that both were measured on.",
        format_differences(rows),
        "## Movies",
        "Seconds: processor time of our methods, goal `ctc`, from files to the written result.",
        format_movies(rows),
    ]
    return "\n\n".join(parts)


def describe_imperfect() -> str:
    """Return the tables of the committed results for the pages."""
    rows = read_rows(OUT)
    about = "Our mean minus theirs, masks repaired, goal `ctc`, over the movies that both were measured on:"
    return f"{format_means(rows)}\n\n{about}\n\n{format_differences(rows)}"


def format_means(rows: list[Row]) -> str:
    """Return a table of the means of each method over the movies of a version."""
    lines = []
    for version in VERSIONS:
        own = [row for row in rows if row["version"] == version]
        number = len({row["movie"] for row in own})
        for name in TITLES:
            these = [row for row in own if name_row(row) == name]
            if these:
                few = count_noun(len({row["movie"] for row in these}), "movie")
                about = TITLES[name] if few == count_noun(number, "movie") else f"{TITLES[name]} ({few} of {number})"
                lines.append([f"{version}, {about}", *(_format_pair(these, metric) for metric in METRICS)])
    return format_table(["masks, method", *METRICS], lines)


def format_movies(rows: list[Row]) -> str:
    """Return a table of all movies."""
    lines = []
    for movie, versions in MOVIES.items():
        for version in versions:
            for name in TITLES:
                these = [row for row in rows if (row["movie"], row["version"], name_row(row)) == (movie, version, name)]
                if these:
                    cells = [_format_pair(these, metric) for metric in METRICS]
                    lines.append([f"{movie}, {version}, {TITLES[name]}", *cells, _format_seconds(these)])
    return format_table(["movie, masks, method", *METRICS, "seconds"], lines)


def format_differences(rows: list[Row]) -> str:
    """Return a table of our means minus those of the given results and of the other programs."""
    lines = []
    for version in ("hard", "real"):
        for method in METHODS:
            for other in (GIVEN, *PEERS):
                pairs = list(_pair_rows(rows, version, method, other))
                if pairs:
                    cells = [_format_difference(pairs, metric) for metric in METRICS]
                    title = f"{version}, `{method}` - {TITLES[other]} ({count_noun(len(pairs), 'movie')})"
                    lines.append([title, *cells])
    return format_table(["masks", *METRICS], lines)


def _pair_rows(rows: list[Row], version: str, method: str, other: str) -> Iterator[tuple[Row, Row]]:
    """Yield our row of each movie and that of another program."""
    figures = {(row["movie"], name_row(row), row["goal"]): row["figures"] for row in rows if _is_done(row, version)}
    for movie in MOVIES:
        mine, theirs = figures.get((movie, f"{method}, repaired", "ctc")), figures.get((movie, other, ""))
        if mine and theirs:
            yield mine, theirs


def _is_done(row: Row, version: str) -> bool:
    return row["version"] == version and "figures" in row


def _format_difference(pairs: list[tuple[Row, Row]], metric: str) -> str:
    known = [one[metric] - other[metric] for one, other in pairs if None not in (one[metric], other[metric])]
    return f"{fmean(known):+.4f}" if known else "-"


def _format_pair(rows: list[Row], metric: str) -> str:
    """Return the mean of a metric; for our methods, that of each goal."""
    means = []
    for goal in dict.fromkeys(row["goal"] for row in rows):
        values = [row["figures"][metric] for row in rows if row["goal"] == goal and "figures" in row]
        known = [value for value in values if value is not None]
        means.append(fmean(known) if known else None)
    return " / ".join(map(_format_number, means))


def _format_seconds(rows: list[Row]) -> str:
    used = [row["processor_seconds"] for row in rows if row["goal"] == "ctc" and "processor_seconds" in row]
    return f"{used[0]:.1f}" if used else ""


def _format_number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=get_default_data(), help="folder of DATASET/NN, NN_GT and masks")
    parser.add_argument("--only", default="", help="versions whose name contains this: 'iPSC', 'PSC 01, hard', 'real'")
    parser.add_argument("--methods", default=",".join(METHODS), help="of gnntrack; '' = none")
    parser.add_argument("--peers", default="", help="of koft, laptrack: measured again; else their rows are kept")
    parser.add_argument(
        "--peer-python", default=sys.executable, help="Python interpreters with the peers, separated by commas"
    )
    parser.add_argument("--frames", type=int, help="the first frames only, for a trial with --out")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args()


if __name__ == "__main__":
    main()
