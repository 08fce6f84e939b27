"""Kills: each command is killed at random moments, and run again; the result must be that of a run without a kill.

``python benchmarks/kills.py`` (``make kills``) runs each command once, then kills it 20 times by SIGKILL at moments
that are drawn evenly from its running time (the shortest one so far). Every second run replaces an older version of
the output by ``--overwrite``. After each kill there must be, at the path of the output, nothing, the older version or
the new one as a whole. The command is then run again. Its output must equal that of the run without a kill byte for
byte, except for times in JSON files, and no other file may be left.

With ``--resume`` every command but those that have no such option is run with ``--resume`` both times, and with
``--overwrite`` as well where an older version is there. What is finished is then kept (``kept``), and a run that was
interrupted is continued.

The commands are those of `kill_cases.py`: all that write an output. ``join`` is the last of three runs: two of
``track`` with ``--shard``, which may be killed as well. ``info``, ``segmenters``, ``evaluate-segmentation``,
``validate`` and ``completion`` print only, and ``serve`` writes when its page asks for it.

A process that has loaded all libraries is forked for each run, so that the kills hit the work and not the imports.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kill_cases import BOTH, COMMANDS, MOVIE, Command
from record import RESULTS, describe_run, format_page, read_rows, write_record
from same_cases import SEGMENTER, TRAIN

KILLS = 20
_TIMES = {"seconds", "stages", "finished"}  # names of values that differ from run to run
_ABOUT_KEPT = " *Kept*: the killed run had finished its output, or a position of a batch, and the second one kept it."


def main() -> None:
    """Kill the commands, and write the record."""
    args = _parse_arguments()
    known = [each for each in COMMANDS if each.can_resume or not args.resume]
    chosen = [each for each in known if not args.only or each.name in args.only]
    unknown = {*(args.only or ())} - {each.name for each in chosen}
    if unknown:
        sys.exit(f"no such commands: {', '.join(sorted(unknown))}; there are {', '.join(each.name for each in known)}")
    # not a TemporaryDirectory, which each forked process would remove at its end
    work = Path(args.work or tempfile.mkdtemp(prefix="kills-")).resolve()
    _load_libraries(trainings=any(each.words[0].startswith("train") for each in chosen))
    _make_inputs(work / "in")
    rows = _read_other_rows(args.out, known, chosen) if args.only else []
    for command in chosen:
        rows.append(kill_command(command, args.kills, work, resume=args.resume))
        order = [each.name for each in COMMANDS]
        record = {**describe_run(), "rows": sorted(rows, key=lambda row: order.index(row["command"]))}
        write_record(args.out, record, format_rows(record))
    failed = [row["command"] for row in rows if row["problems"]]
    if failed:
        sys.exit(f"not equal after a kill: {', '.join(failed)}; see {work}")
    if not args.work:
        shutil.rmtree(work)


def _read_other_rows(out: Path, known: Sequence[Command], chosen: Sequence[Command]) -> list[dict[str, Any]]:
    """Return the rows of commands that are not measured again."""
    kept = {each.name for each in known} - {each.name for each in chosen}
    return [row for row in read_rows(out) if row["command"] in kept]


def kill_command(command: Command, kills: int, work: Path, *, resume: bool = False) -> dict[str, Any]:
    """Return the numbers of kills, of equal results after them, and what was wrong."""
    expected = work / command.folder / "expected"
    expected.mkdir(parents=True)
    _, code = run_command(command, expected)
    if code:
        sys.exit(f"{command.name}: exit code {code}; see {expected}/stderr")
    for name in command.kept:
        shutil.rmtree(expected / name)
    seconds, _ = run_command(command, expected, overwrite=True)  # nothing is compiled or cached any more
    moments = random.Random(command.name)
    row: dict[str, Any] = {
        "command": command.name,
        "revision": describe_run()["revision"],
        "seconds": 0.0,
        "runs": kills,
        "killed": 0,
        "equal": 0,
        **({"kept": 0} if resume else {}),
    }
    problems: list[str] = []
    for number in range(kills):
        place = work / command.folder / f"{number:02d}"
        place.mkdir()
        if number % 2:
            _copy(expected / command.out, place / command.out)
        again = {"overwrite": bool(number % 2), "resume": resume}
        took, code = run_command(command, place, kill_after=moments.uniform(0, seconds), **again)
        seconds = seconds if code else min(seconds, took)  # other programs may have slowed the first run
        row["killed"] += code == -signal.SIGKILL
        found = _find_half(command, expected, place)
        _, code = run_command(command, place, again=True, **again)
        if resume:
            row["kept"] += "kept" in (place / "stdout").read_text(encoding="utf-8")
        found += [f"exit code {code}, see {place}/stderr"] * (code != 0) or _compare(command, expected, place)
        row["equal"] += not found
        problems += [f"run {number}: {each}" for each in found]
        if not found:
            shutil.rmtree(place)
    row["seconds"] = round(seconds, 2)
    print(f"{command.name:27s} {seconds:5.1f} s, {row['killed']} of {kills} killed, {row['equal']} equal", flush=True)
    return {**row, "problems": problems}


def run_command(
    command: Command,
    place: Path,
    *,
    kill_after: float | None = None,
    overwrite: bool = False,
    again: bool = False,
    resume: bool = False,
) -> tuple[float, int]:
    """Run a command in a folder, in a process of its own; return its seconds and its exit code.

    Parameters
    ----------
    kill_after : float, optional
        Seconds after which it is killed.
    overwrite : bool
        An older version of the output is there.
    again : bool
        Another run has been killed: the words that continue it, or replace what there is, are added.
    resume : bool
        It is run with ``--resume``.
    """
    more: list[str] = []
    if resume:
        more = _list_resume_words(command, overwrite=overwrite, again=again)
    elif again and command.in_steps and _can_resume(command, place):
        more = ["--resume"]
    elif (overwrite or again) and command.name != "demo":  # which always replaces
        more = ["--overwrite"]
    started, code = time.monotonic(), 0
    for words in command.list_runs(more):
        code = _run_once(words, place, None if kill_after is None else started + kill_after)
        if code:
            break
    return time.monotonic() - started, code


def _run_once(words: Sequence[str], place: Path, end: float | None) -> int:
    """Run a command in a process of its own, which is killed at a time; return its exit code."""
    child = os.fork()
    if not child:
        _run_here(words, place)
    if end is not None:
        descriptor = os.pidfd_open(child)
        select.select([descriptor], [], [], max(0.0, end - time.monotonic()))  # readable when it has ended
        os.close(descriptor)
        if time.monotonic() >= end:
            os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _run_here(words: Sequence[str], place: Path) -> None:
    """Run a command in this process, and end it."""
    from gnntrack.cli import main as run

    os.chdir(place)
    for name, stream in (("stdout", 1), ("stderr", 2)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    sys.argv = ["gnntrack", *words]
    code = 1
    try:
        run()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        os._exit(code)


def _list_resume_words(command: Command, *, overwrite: bool, again: bool) -> list[str]:
    """Return the options of a run with ``--resume``; a training takes one of the two."""
    if command.words[0].startswith("train"):
        return ["--overwrite"] if overwrite and not again else ["--resume"]
    return ["--resume", "--overwrite"] if overwrite else ["--resume"]


def _can_resume(command: Command, place: Path) -> bool:
    """Return whether a killed training has a checkpoint; a batch needs none."""
    return command.words[0] == "batch" or (place / command.out / "checkpoint.safetensors").is_file()


def _find_half(command: Command, expected: Path, place: Path) -> list[str]:
    """Return what is wrong with the output after a kill: it is there, and not as a whole."""
    if command.in_steps or not (place / command.out).exists():
        return []
    return [f"after the kill: {each}" for each in _compare_outputs(command, expected, place)]


def _compare(command: Command, expected: Path, place: Path) -> list[str]:
    """Return the differences of the outputs, and the files that were left."""
    own = {command.out, "stdout", "stderr", ".gnntrack", *command.kept}
    left = [path.name for path in place.iterdir() if path.name not in own]
    left += [
        str(path.relative_to(place)) for path in place.rglob(".*") if path.name.startswith((".partial", ".lock", ".re"))
    ]
    return _compare_outputs(command, expected, place) + [f"left: {name}" for name in sorted({*left})]


def _compare_outputs(command: Command, expected: Path, place: Path) -> list[str]:
    one, other = _read_files(expected / command.out), _read_files(place / command.out)
    return sorted(name or command.out for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _read_files(path: Path) -> dict[str, object]:
    """Return the content of all files by name, without times; the name of a single file is empty."""
    if path.is_file():
        return {"": _read_file(path, path.parent)}
    files = [each for each in path.rglob("*") if each.is_file() and each.parent.name != ".gnntrack"]
    return {str(each.relative_to(path)): _read_file(each, path.parent) for each in files}


def _read_file(path: Path, place: Path) -> object:
    """Return the content of a file without times and, in scripts, without the folder of the run and ``--overwrite``."""
    if path.suffix == ".json":
        return _drop_times(json.loads(path.read_text(encoding="utf-8")))
    if path.name == "summary.csv":
        with path.open(newline="", encoding="utf-8") as file:
            return [{**_drop_times(row), "status": ""} for row in csv.DictReader(file)]  # done, or kept by --resume
    content = path.read_bytes()
    run = re.escape(os.fsencode(place.parent)) + rb"/\w+"  # of this run or of the one whose output was copied
    return re.sub(run, b"FOLDER", content).replace(b" --overwrite", b"") if path.suffix == ".sh" else content


def _drop_times(value: Any) -> Any:
    """Return plain values without those that differ from run to run."""
    if isinstance(value, dict):
        return {name: _drop_times(each) for name, each in value.items() if name not in _TIMES}
    return [_drop_times(each) for each in value] if isinstance(value, list) else value


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


def _load_libraries(*, trainings: bool) -> None:
    """Import what the commands use, so that the processes that are forked have it."""
    import gnntrack.pipeline
    import gnntrack.reporting

    if trainings:
        import gnntrack.training.detector
        import gnntrack.training.links
        import gnntrack.training.segmenter  # noqa: F401


def _make_inputs(folder: Path) -> None:
    """Make the inputs of all commands by the commands themselves."""
    if (folder / "edits.json").exists():
        return
    folder.mkdir(parents=True)
    (folder / "train.toml").write_text(TRAIN, encoding="utf-8")
    (folder / "segmenter.toml").write_text(SEGMENTER, encoding="utf-8")
    both = tuple(word.removeprefix("../../in/") for word in BOTH)
    for command in (
        Command(("simulate", *MOVIE), "movie"),
        Command(("track", *both), "01_RES"),
        Command(("build-graph", *both), "graph.geff"),
        Command(("detect", both[0], "--diameter", "12"), "points.csv"),
    ):
        _, code = run_command(command, folder)
        if code:
            sys.exit(f"{command.name}: exit code {code}; see {folder}/stderr")
    for position in ("a", "b"):
        shutil.copytree(folder / "movie" / "01", folder / "experiment" / position)
    summary = json.loads((folder / "01_RES" / "gnntrack" / "summary.json").read_text(encoding="utf-8"))
    edits = {"format": "gnntrack edits", "version": 1, "fingerprint": summary["fingerprint"], "edits": []}
    (folder / "edits.json").write_text(json.dumps(edits), encoding="utf-8")


def format_rows(record: dict[str, Any]) -> str:
    """Return the record as a page."""
    rows: list[dict[str, Any]] = record["rows"]
    names = [name for name in ("command", "seconds", "runs", "killed", "equal", "kept") if name in rows[0]]
    resumed = "kept" in names
    total = {"command": "all"} | {name: sum(row[name] for row in rows) for name in names[2:]}
    about = (
        "Each command is killed by SIGKILL at random moments, and run again"
        f"{' with --resume' if resumed else ''}. *Equal*: after the kill the output is "
        "missing, the older version or the new one as a whole; after the second run it is that of a run without a "
        f"kill, and nothing is left beside it.{_ABOUT_KEPT if resumed else ''} "
        f"Rows: revision {', '.join(dict.fromkeys(row['revision'] for row in rows))}."
    )
    cells = [[str(row.get(name, "")) for name in names] for row in [*rows, total]]
    return format_page("Kills and --resume" if resumed else "Kills", record, about, names, cells)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=KILLS, help="of each command")
    parser.add_argument("--only", nargs="+", help="names of commands; the rows of the others are kept")
    parser.add_argument("--work", type=Path, help="folder for inputs and outputs; by default a temporary one")
    parser.add_argument("--resume", action="store_true", help="run with --resume; see above")
    parser.add_argument("--out", type=Path, help="default: results/kills.json, with --resume results/kills_resume.json")
    args = parser.parse_args()
    args.out = args.out or RESULTS / ("kills_resume.json" if args.resume else "kills.json")
    return args


if __name__ == "__main__":
    main()
