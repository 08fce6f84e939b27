"""Linking of points: gnntrack, two baselines and other packages, on real, ascidian and simulated embryos.

``python benchmarks/points.py --peer-python PATH,PATH`` writes ``results/points.json`` and, beside it, its tables as
Markdown. ``--cases sim,ascidian`` runs the cases whose names contain one of these words, ``--methods gnn,laptrack``
some methods. A row that the same code has made from the same data is kept, so that a run that was interrupted
continues; so are the settings that were chosen for other methods (`point_settings.py`). ``--again`` makes all again.

Every method runs in a process of its own, from its start to the written result; its time and peak memory are those of
the whole process. Links over gaps are filled in the same way for all methods, and scored in the same way.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from point_linkers import BASELINES, LINKERS, find_drift, run
from point_scores import score_result
from point_settings import GRIDS, Settings, choose_settings, take_first_frames
from points_data import Case, find_first, get_default_folder, list_cases, read_real, simulate_points
from points_table import draw_errors, format_markdown
from record import REPOSITORY, RESULTS, describe_run, hash_code, write_record

from gnntrack.io.point_graph import read_point_graph
from gnntrack.types import PointGraph

OURS = ("hungarian", "gnn")
PACKAGES = tuple(name for name in LINKERS if name not in BASELINES)
METHODS = (*BASELINES, *PACKAGES, *OURS)
MOST_SECONDS = 600
SPEED = {"speed 45 000": (730, 1, 60), "speed 1 000 000": (250, 2, 500)}  # cells a cube, cubes along an axis, frames
ROUNDS = 3
SLOW = {"tracksdata": 20_000}  # points of a case from which only the first case of each group is run
SHARED = (  # files that the results of the other methods depend on
    *(f"benchmarks/point_{name}.py" for name in ("linkers", "scores", "settings")),
    "benchmarks/peers.py",
    "gnntrack/types/point_graph.py",
    *(f"gnntrack/evaluate/{name}.py" for name in ("graph_counts", "point_matching", "division_counts")),
)
_MEASURE = """
import json, os, sys, time
start = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(child, 0)
seconds = {"seconds": round(time.perf_counter() - start, 2), "cpu_seconds": round(used.ru_utime + used.ru_stime, 2)}
unit = 1 if sys.platform == "darwin" else 1024
print("\\n" + json.dumps({**seconds, "peak_mb": round(used.ru_maxrss * unit / 1e6, 1)}))
sys.exit(os.waitstatus_to_exitcode(status))
"""

Row = dict[str, Any]


class Bench:
    """The record of all runs, and how methods are run."""

    def __init__(self, args: argparse.Namespace, work: Path) -> None:
        self.args, self.work = args, work
        known: Row = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {}
        self.rows: list[Row] = known.get("rows", [])
        self.chosen: dict[str, dict[str, Row]] = known.get("chosen", {})
        self.ready: set[str] = set()

    def forget(self, words: Sequence[str], methods: Sequence[str]) -> None:
        """Remove rows and settings of methods, of the cases whose names contain one of the words."""
        self.rows = [
            row for row in self.rows if row["method"] not in methods or not any(word in row["case"] for word in words)
        ]
        for method in set(methods) & set(self.chosen):
            some = self.chosen[method].items()
            self.chosen[method] = {name: each for name, each in some if not any(word in name for word in words)}

    def run_case(self, case: Case, methods: Sequence[str], first: Callable[[], Case]) -> None:
        """Run methods on a case; other packages have the settings that are best on the first case of its group."""
        for method in methods:
            slow = len(case.points) >= SLOW.get(method, math.inf) and case.name != find_first(case.name)
            if not slow and not self.has_row(case, method):
                self.add_row(case, method, first)

    def add_row(self, case: Case, method: str, first: Callable[[], Case]) -> None:
        """Run a method on a case; a method that fails has a row too."""
        row = _describe(case, method)
        try:
            row |= self.measure(case, method, first)
        except (OSError, RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
            row["failed"] = f"{type(error).__name__}: {error}"[:300]
        self.store(row)

    def measure(self, case: Case, method: str, first: Callable[[], Case]) -> Row:
        """Return time, memory, settings and scores of a method on a case."""
        if method in OURS:
            out = self.work / "result.geff"
            told = self.run_ours(case, method, out)
            return {**told, **score_result(read_point_graph(out).fill_gaps(), case.truth, case.gate)}
        settings = self.find_settings(case, method, first)
        [(told, links)] = self.run_linker(case, method, [settings])
        if links is None:
            raise RuntimeError(told["failed"])
        return {**told, "settings": settings, **score_links(case, links, settings)}

    def run_ours(self, case: Case, method: str, out: Path) -> Row:
        """Run ``gnntrack track --points`` with its default settings."""
        if method not in self.ready:  # loads and compiles code
            self.ready.add(method)
            self.run_ours(read_real(self.args.data), method, out)
        table = self.work / "points.csv"
        case.write_table(table)
        spacing = [] if set(case.spacing) == {1.0} else ["--spacing", ",".join(map(str, case.spacing))]
        command = [sys.executable, "-m", "gnntrack", "track", "--points", table, "-o", out, "--overwrite", *spacing]
        return _run_measured([*command, "--method", method])[0]

    def find_settings(self, case: Case, method: str, first: Callable[[], Case]) -> Settings:
        """Return the best settings of a method on a case, or on the first case of its group."""
        subject = case if method in BASELINES else first()
        place = self.chosen.setdefault(method, {})
        name = case.name if method in BASELINES else case.group
        code = {"code": hash_method(method), "data": subject.hash_content()}
        if not code.items() <= place.get(name, {}).items():
            few = subject if method in BASELINES else take_first_frames(subject)
            settings, tried = choose_settings(method, few, lambda one, some: self.score(one, method, some))
            place[name] = {"settings": settings, "tried": tried, **code}
        found: Settings = place[name]["settings"]
        return found

    def score(self, case: Case, method: str, settings: Sequence[Settings]) -> list[float]:
        """Return the Jaccard index of links of a method with each of some settings, -1 if it fails."""
        if method in BASELINES:
            linked = ((run(method, case.frame, case.position, each), each) for each in settings)
            return [score_links(case, links, each)["J"] for links, each in linked]
        try:
            found = self.run_linker(case, method, settings)
        except (RuntimeError, subprocess.TimeoutExpired):
            return [-1.0] * len(settings)
        pairs = zip(found, settings, strict=True)
        return [-1.0 if links is None else score_links(case, links, each)["J"] for (_, links), each in pairs]

    def run_linker(self, case: Case, method: str, settings: Sequence[Settings]) -> list[tuple[Row, Any]]:
        """Return measurements and links (L, 2), None if it fails, of another method with each of some settings."""
        table = self.work / "points.npz"
        np.savez(table, frame=case.frame, position=case.position)
        outs = [self.work / f"links{number}.npz" for number in range(len(settings))]
        program = Path(__file__).with_name("point_linkers.py")
        python = find_python(method, self.args.peer_python)
        told, lines = _run_measured([python, program, method, table, json.dumps(settings), *outs])
        return [({**told, **line}, _read_links(out)) for line, out in zip(lines, outs, strict=True)]

    def run_speed(self, name: str, methods: Sequence[str]) -> None:
        """Measure whole processes of ours on many points, alternately."""
        count, cubes, frames = SPEED[name]
        case = replace(simulate_points(count, 0, cubes=cubes, frames=frames), name=name, group=name)
        wanted = [each for each in methods if each in OURS and not self.has_row(case, each)]
        if not wanted:
            return
        rounds = ROUNDS if cubes == 1 else 1
        told: dict[str, list[Row]] = {method: [] for method in wanted}
        for _ in range(rounds):
            for method in wanted:
                told[method].append(self.run_ours(case, method, self.work / "result"))
        for method, some in told.items():
            middle = {key: statistics.median(each[key] for each in some) for key in some[0]}
            self.store({**_describe(case, method), "rounds": rounds, **middle})

    def has_row(self, case: Case, method: str) -> bool:
        """Return whether the same code has made this row from the same data."""
        key = (case.name, method, hash_method(method), case.hash_content())
        return any(
            (row["case"], row["method"], row["code"], row["data"]) == key and "failed" not in row for row in self.rows
        )

    def store(self, row: Row) -> None:
        """Put a row into the record, and write it."""
        about, key = describe_run(), (row["case"], row["method"])
        row |= {name: about[name] for name in ("date", "revision")}
        self.rows = [each for each in self.rows if (each["case"], each["method"]) != key] + [row]
        self.rows.sort(key=_find_place)
        record = {**about, "grids": GRIDS, "chosen": self.chosen, "rows": self.rows}
        write_record(self.args.out, record, format_markdown(record))
        print(_format_line(row), flush=True)


def score_links(case: Case, links: Any, settings: Settings) -> Row:
    """Return the scores of links (L, 2) between the points of a case."""
    position, frame = case.position, case.frame
    drift = find_drift(frame, position, settings["drift"]) if settings["drift"] else None
    graph = PointGraph(np.arange(len(frame)), frame, position, *links.T, case.spacing, n_frames=case.truth.n_frames)
    if drift is not None:
        drift = np.concatenate([drift, np.repeat(drift[-1:], graph.n_frames - len(drift), axis=0)])
    return score_result(graph.fill_gaps(drift), case.truth, case.gate)


@cache
def hash_method(method: str) -> str:
    """Return a digest of the code that the results of a method depend on."""
    if method in OURS:
        return hash_code()
    return hashlib.sha256(b"".join((REPOSITORY / name).read_bytes() for name in SHARED)).hexdigest()[:10]


@cache
def find_python(method: str, pythons: str) -> str:
    """Return the first of some interpreters, separated by commas, in which a method can run."""
    if method in BASELINES:
        return sys.executable
    code = f"import {method}" + ("; from btrack.libwrapper import get_library; get_library()" * (method == "btrack"))
    for python in pythons.split(","):
        if subprocess.run([python, "-c", code], capture_output=True).returncode == 0:
            return python
    msg = f"{method} is not installed in {pythons}; give --peer-python"
    raise RuntimeError(msg)


def _describe(case: Case, method: str) -> Row:
    """Return what a row is about."""
    row = {"case": case.name, "group": case.group, "method": method, "points": len(case.points)}
    state = {"code": hash_method(method), "data": case.hash_content(), "load": round(os.getloadavg()[0], 1)}
    return {**row, **state}


def _read_links(path: Path) -> Any:
    if not path.exists():
        return None
    with np.load(path) as arrays:
        links = np.stack([arrays["source"], arrays["target"]], axis=1)
    path.unlink()
    return links


def _run_measured(command: Sequence[object]) -> tuple[Row, list[Row]]:
    """Run a command; return its seconds and peak memory in MB, and the lines of JSON that it prints."""
    words = [sys.executable, "-S", "-c", _MEASURE, *map(str, command)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = str(REPOSITORY)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, env=environment, start_new_session=True, **pipes) as process:
        try:
            out, err = process.communicate(timeout=MOST_SECONDS)
        except BaseException:  # too long, or interrupted
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        msg = (err.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(msg)
    *lines, told = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return told, lines


def _find_place(row: Row) -> tuple[int, int]:
    names = [*list_cases(Path()), *SPEED]
    place = names.index(row["case"]) if row["case"] in names else len(names)
    return place, METHODS.index(row["method"]) if row["method"] in METHODS else len(METHODS)


def _format_line(row: Row) -> str:
    name = f"{row['case']:34s} {row['method']:10s}"
    if "failed" in row:
        return f"{name} failed: {row['failed']}"
    figures = f"{row['seconds']:7.2f} s {row['peak_mb']:6.0f} MB"
    if "J" not in row:
        return f"{name} {figures}"
    edges, divisions = ("/".join(map(str, row[key])) for key in ("edges", "divisions"))
    return f"{name} J {row['J']:.4f} edges {edges} divisions {divisions} {figures}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=get_default_folder(), help="folder of the real points")
    parser.add_argument("--cases", default="", help="words, separated by commas; cases with one of them in their name")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--peer-python", default=sys.executable, help="interpreters with other packages, by commas")
    parser.add_argument("--again", action="store_true", help="make rows and choose settings again")
    parser.add_argument("--out", type=Path, default=RESULTS / "points.json")
    args = parser.parse_args()
    words, methods = args.cases.split(","), args.methods.split(",")
    if unknown := set(methods) - set(METHODS):
        parser.error(f"no method '{min(unknown)}'; there are {', '.join(METHODS)}")
    cases = list_cases(args.data)
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench(args, Path(temporary))
        if args.again:
            bench.forget(words, methods)
        for name, make in cases.items():
            if any(word in name for word in words):
                bench.run_case(make(), methods, cases[find_first(name)])
        for name in SPEED:
            if any(word in name for word in words):
                bench.run_speed(name, methods)
        draw_errors(bench.rows, args.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
