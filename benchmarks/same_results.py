"""Same results: the commands of two revisions, run on the same inputs, and their outputs compared byte for byte.

``python benchmarks/same_results.py --base REVISION`` shows whether the working tree changes a result. Each case is one
command, ``python -m gnntrack ...``, run once with the code of the base revision and once with the working tree, in
folders of the same shape and with relative paths, so that outputs that contain paths are equal too. Outputs of the base
revision stay in the work folder: give ``--work FOLDER``, and the next run repeats the side of the working tree only.

Differences that are intended are listed in `same_outputs.ON_PURPOSE`, which is printed and written with the result.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from record import REPOSITORY, RESULTS, describe_run, get_default_data
from same_cases import INPUTS, Case, all_cases, choose_cases, make_inputs, split_chains
from same_outputs import ON_PURPOSE, compare_folders, compare_json


@dataclass(frozen=True)
class Side:
    """One of the two revisions: where its code lies, and where its outputs go."""

    name: str
    tree: Path
    folder: Path
    environment: Mapping[str, str]
    fresh: bool
    """Outputs of an earlier run are not used."""


class Run(NamedTuple):
    """Exit code and time of a command."""

    code: int
    seconds: float
    cpu_seconds: float


@dataclass
class Verdict:
    """The comparison of one case."""

    case: Case
    base: Run
    new: Run
    differences: list[str] = field(default_factory=list)
    on_purpose: list[str] = field(default_factory=list)

    @property
    def result(self) -> str:
        """``same``, ``differs``, or ``failed`` if both revisions refuse the command: such a case proves nothing."""
        if self.differences:
            return "differs"
        allowed = (0, 1) if self.case.may_be_bad else (0,)
        return "same" if self.base.code in allowed else "failed"


def main() -> None:
    args = _arguments()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(args.work or temporary).resolve()
        work.mkdir(parents=True, exist_ok=True)
        revision = _git("rev-parse", "--short=10", f"{args.base}^{{commit}}")
        make_inputs(work / "inputs", args.data)
        sides = [base_side(work, revision, args)]
        if not args.base_only:
            sides.append(new_side(work, args))
        cases = choose_cases(all_cases(args.data), args.only)
        record = {
            **describe_run(),
            "base": revision,
            "threads": args.threads,
            "on_purpose": [c._asdict() for c in ON_PURPOSE],
        }
        verdicts = run_cases(cases, sides, args.jobs)
    if args.base_only:
        return
    record |= summary(verdicts)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for change in ON_PURPOSE:
        print(f"on purpose: {change.kind} '{change.old}' -> '{change.new}': {change.reason}")
    counts = {name: record[name] for name in ("same", "differs", "failed")}
    print(", ".join(f"{count} {name}" for name, count in counts.items()), f"of {len(verdicts)} cases")
    print(f"CPU seconds: base {record['cpu_seconds']['base']}, working tree {record['cpu_seconds']['new']}")
    sys.exit(1 if record["differs"] or record["failed"] else 0)


def summary(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Return the counts, the seconds of both sides, and a row per case."""
    results = [verdict.result for verdict in verdicts]
    rows = [
        {
            "case": verdict.case.title,
            "command": " ".join(verdict.case.words),
            "result": verdict.result,
            "differences": verdict.differences,
            "on_purpose": verdict.on_purpose,
            "seconds": {"base": verdict.base.seconds, "new": verdict.new.seconds},
        }
        for verdict in verdicts
    ]
    cpu = {
        "base": round(sum(verdict.base.cpu_seconds for verdict in verdicts), 1),
        "new": round(sum(verdict.new.cpu_seconds for verdict in verdicts), 1),
    }
    return {name: results.count(name) for name in ("same", "differs", "failed")} | {"cpu_seconds": cpu, "cases": rows}


# ------------------------------------------------------------------------------------------- sides


def base_side(work: Path, revision: str, args: argparse.Namespace) -> Side:
    """Return the side of the base revision, with its code extracted into the work folder."""
    tree = work / f"tree-{revision}"
    if not (tree / "pyproject.toml").is_file():
        archive = subprocess.run(
            ["git", "-C", str(REPOSITORY), "archive", "--format=tar", revision], check=True, capture_output=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            packed.extractall(tree, filter="data")
    return _side("base", tree, work / f"base-{revision}", work, args, fresh=False)


def new_side(work: Path, args: argparse.Namespace) -> Side:
    """Return the side of the working tree."""
    return _side("new", REPOSITORY, work / "new", work, args, fresh=True)


def _side(name: str, tree: Path, folder: Path, work: Path, args: argparse.Namespace, *, fresh: bool) -> Side:
    folder.mkdir(parents=True, exist_ok=True)
    links = {"data": args.data, "more": args.data.parent / "more", "inputs": work / "inputs", "tree": tree}
    for link, target in links.items():
        (folder / link).unlink(missing_ok=True)
        (folder / link).symlink_to(target.resolve())
    entry_points = _write_entry_points(tree, work / f"metadata-{name}")
    threads = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"),
        str(args.threads),
    )
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        **threads,
        # without bytecode on disk, imports take longer than most of the commands
        "PYTHONPYCACHEPREFIX": str(work / "bytecode"),
        "PYTHONPATH": os.pathsep.join([str(entry_points), str(tree)]),
        # machine code compiled from one state of the code is not used with another
        "NUMBA_CACHE_DIR": str(work / f"numba-{code_digest(tree)}"),
    }
    side = Side(name, tree, folder, environment, fresh)
    _check_imports(side)
    return side


def _write_entry_points(tree: Path, folder: Path) -> Path:
    """Write the segmenters that the tree registers: the installed package may be of another revision."""
    project = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = project["name"], project.get("version", "0")  # the version may stand in the code instead
    shutil.rmtree(folder, ignore_errors=True)
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (info / "METADATA").write_text(head, encoding="utf-8")
    lines = [
        line
        for group, entries in project.get("entry-points", {}).items()
        for line in (f"[{group}]", *(f"{entry} = {value}" for entry, value in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _check_imports(side: Side) -> None:
    code = "import gnntrack, segmenters; print(gnntrack.__file__, segmenters.__file__, sep='\\n')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=side.folder, env=dict(side.environment), check=True, capture_output=True, text=True
    )
    for file in done.stdout.split("\n")[:2]:
        if not Path(file).resolve().is_relative_to(side.tree.resolve()):
            sys.exit(f"{side.name}: expected the code of {side.tree}, but Python imports {file}")


def code_digest(tree: Path) -> str:
    """Return a digest of the code of a tree."""
    files = sorted(path for package in ("gnntrack", "segmenters") for path in (tree / package).rglob("*.py"))
    content = b"".join(str(path.relative_to(tree)).encode() + path.read_bytes() for path in files)
    return hashlib.sha256(content).hexdigest()[:10]


def run_cases(cases: Sequence[Case], sides: Sequence[Side], jobs: int) -> list[Verdict]:
    """Run all cases with all sides, so many at a time, and print a line for each case."""
    with ThreadPoolExecutor(jobs) as pool:
        done = pool.map(lambda chain: [run_case(case, sides) for case in chain], split_chains(cases))
        return [verdict for chain in done for verdict in chain if verdict is not None]


def run_case(case: Case, sides: Sequence[Side]) -> Verdict | None:
    """Run one case with all sides, and compare their outputs."""
    runs = [run_command(case, side) for side in sides]
    if len(sides) == 1:
        print(f"base     {case.title}: exit code {runs[0].code}, {runs[0].seconds} s", flush=True)
        return None
    verdict = compare_case(case, sides[0], sides[1], runs[0], runs[1])
    print("  ".join([f"{verdict.result:7}", case.title, *verdict.differences[:3]]), flush=True)
    return verdict


def run_command(case: Case, side: Side) -> Run:
    """Run the command of a case, or take the exit code and the time of an earlier run whose outputs are still there."""
    folder = side.folder / case.folder
    words = [*map(_renamed_option, case.words)] if side.name == "new" else [*case.words]
    identity = {"words": words, "threads": side.environment["OMP_NUM_THREADS"], "inputs": INPUTS}
    known = folder / "run.json"
    if not side.fresh and known.is_file():
        before = json.loads(known.read_text(encoding="utf-8"))
        if before["identity"] == identity:
            return Run(**before["run"])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run = _measure(["-m", "gnntrack", *words], side, folder)
    known.write_text(json.dumps({"identity": identity, "run": run._asdict()}), encoding="utf-8")
    return run


def _measure(words: Sequence[str], side: Side, folder: Path) -> Run:
    start = time.perf_counter()
    with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=side.folder,
            env=dict(side.environment),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    return Run(process.returncode, round(seconds, 2), round(usage.ru_utime + usage.ru_stime, 2))


def _renamed_option(word: str) -> str:
    return next((change.new for change in ON_PURPOSE if change.kind == "option" and change.old == word), word)


# -------------------------------------------------------------------------------------- comparison


def compare_case(case: Case, base: Side, new: Side, base_run: Run, new_run: Run) -> Verdict:
    """Compare exit codes, output files, and JSON that is printed."""
    verdict = Verdict(case, base_run, new_run)
    found = [("exit code", f"{base_run.code}, {new_run.code}")] if base_run.code != new_run.code else []
    found += compare_folders(base.folder / case.folder, new.folder / case.folder)
    if "--json" in case.words and base_run.code == new_run.code:
        printed = [side.folder / case.folder / "stdout" for side in (base, new)]
        if difference := compare_json(*printed):
            found.append(("stdout", difference))
    for file, difference in found:
        accepted = any(
            change.kind == "result" and fnmatch.fnmatch(f"{case.title}: {file}", change.old) for change in ON_PURPOSE
        )
        (verdict.on_purpose if accepted else verdict.differences).append(f"{file}: {difference}")
    return verdict


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(REPOSITORY), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--base", required=True, help="the revision to compare with")
    parser.add_argument("--data", type=Path, default=get_default_data(), help="folder of the movies")
    parser.add_argument("--only", default="", metavar="NAME", help="cases with this in their title")
    parser.add_argument("--work", help="folder to keep: outputs of the base revision are used again")
    parser.add_argument("--out", type=Path, default=RESULTS / "same_results.json")
    parser.add_argument("--threads", type=int, default=1, help="threads of each command; default 1")
    parser.add_argument("--jobs", type=int, default=1, help="groups of cases that run side by side; default 1")
    parser.add_argument("--base-only", action="store_true", help="make the outputs of the base revision, and stop")
    return parser.parse_args()


if __name__ == "__main__":
    main()
