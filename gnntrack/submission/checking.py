"""The check of a submission: its scripts are run as the organisers run them, and their results are validated."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from gnntrack.errors import InputError
from gnntrack.io.ctc_validate import Problem
from gnntrack.io.output import try_output
from gnntrack.json_files import read_json
from gnntrack.submission.datasets import BENCHMARKS, SEQUENCES, Benchmark, list_inputs, parse_script_name
from gnntrack.submission.packaging import find_site
from gnntrack.submission.results import check_result, compute_scores
from gnntrack.submission.rules import judge_run, list_script_faults, make_problem
from gnntrack.submission.running import ScriptRun, can_block_network, run_script
from gnntrack.submission.texts import CONTACT
from gnntrack.submission.traces import list_changes, take_snapshot

__all__ = ["RECORD", "SequenceReport", "SubmissionReport", "check_submission"]

RECORD = "submission.json"
"""File with the benchmark of a submission and the digests of its texts."""

_ENVIRONMENT = ".venv"
_NOT_COPIED = (_ENVIRONMENT, "wheels")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class SequenceReport:
    """The check of a script.

    Parameters
    ----------
    script : str
        Its file name.
    exit_code, seconds, peak_memory : optional
        Of its run; None if it was not run, or the memory is not known (bytes).
    problems : tuple of Problem
        Rules that are broken.
    scores : dict
        Metrics of its result, if there is ground truth.
    """

    script: str
    exit_code: int | None = None
    seconds: float | None = None
    peak_memory: int | None = None
    problems: tuple[Problem, ...] = ()
    scores: dict[str, float | None] | None = None

    @property
    def is_valid(self) -> bool:
        """Whether no problem is an error."""
        return not any(problem.severity == "error" for problem in self.problems)


@dataclass(frozen=True)
class SubmissionReport:
    """The check of a submission.

    Parameters
    ----------
    benchmark : str
        ``"linking"`` or ``"tracking"``.
    environment : str
        The Python that ran the scripts.
    network_blocked : bool
        Whether the scripts ran without a network.
    problems : tuple of Problem
        Of the folder as a whole.
    sequences : tuple of SequenceReport
        By name of the script.
    """

    benchmark: str
    environment: str
    network_blocked: bool
    problems: tuple[Problem, ...]
    sequences: tuple[SequenceReport, ...]

    @property
    def is_valid(self) -> bool:
        """Whether no problem is an error."""
        fine = all(problem.severity != "error" for problem in self.problems)
        return fine and all(sequence.is_valid for sequence in self.sequences)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        sequences = [asdict(each) | {"valid": each.is_valid} for each in self.sequences]
        return asdict(self) | {"valid": self.is_valid, "sequences": sequences}


class _Place(NamedTuple):
    """The temporary copy of a submission and its data."""

    top: Path
    environment: dict[str, str]

    @property
    def software(self) -> Path:
        return self.top / "challenge" / "SW"

    @property
    def data(self) -> Path:
        return self.top / "challenge"


def check_submission(
    folder: str | Path,
    *,
    data: str | Path | None = None,
    benchmark: Benchmark | None = None,
    time_limit: float | None = None,
    results: str | Path | None = None,
    report: Callable[[SequenceReport], None] | None = None,
) -> SubmissionReport:
    """Run the scripts of a submission on copies of their input, and validate the results.

    Each script runs from inside a copy of the folder in a temporary place, beside copies of the input of its sequence
    and of nothing else, with no environment variables of this shell and, where the system allows it, without a
    network. A sequence that fails does not stop the others.

    Parameters
    ----------
    folder : path
        The submission, ``SW``. Its scripts run with the Python in ``SW/.venv``, if ``install.sh`` has made it, else
        with the one that runs this function.
    data : path, optional
        Folder of the data sets; default: the folder that holds ``SW``.
    benchmark : "linking" or "tracking", optional
        By default as in ``submission.json``.
    time_limit : float, optional
        Seconds that a script may take.
    results : path, optional
        Folder to make for the valid results, ``DATASET/NN_RES``, which are sent with the submission.
    report : callable, optional
        Called with the report of each sequence.

    Raises
    ------
    InputError
        If the folder is not a submission, or cannot be copied to the temporary place.
    OutputError
        If `results` exists, or cannot be written.
    """
    folder = Path(folder).expanduser().resolve()
    record = _read_record(folder)
    scripts = sorted(path for path in folder.iterdir() if parse_script_name(path.name))
    if not scripts:
        msg = f"{folder}: no script in it; expected DATASET-01.sh and others, as 'gnntrack submit DATASET -o SW' writes"
        raise InputError(msg)
    chosen = benchmark or record.get("benchmark")
    if chosen not in BENCHMARKS:
        msg = f"{folder}: no {RECORD} with the benchmark; give it (--benchmark linking, or tracking)"
        raise InputError(msg)
    if results is not None:
        try_output(results, overwrite=False)
    source = _find_data(folder.parent if data is None else Path(data).expanduser(), scripts)
    done = []
    with _prepare_place(folder) as (place, environment, problems):
        for script in scripts:
            done.append(_check_sequence(script, source, place, chosen, time_limit))
            _keep_result(done[-1], place, results)
            if report is not None:
                report(done[-1])
    problems = [*_check_folder(folder, record, scripts), *problems]
    return SubmissionReport(chosen, environment, can_block_network(), tuple(problems), tuple(done))


def _read_record(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        msg = f"{folder}: no such folder; expected a submission, which 'gnntrack submit DATASET -o SW' writes"
        raise InputError(msg)
    try:
        record = read_json(folder / RECORD)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        msg = f"{folder / RECORD}: it cannot be read ({error}); write the submission again, or remove the file"
        raise InputError(msg) from error
    return record if isinstance(record, dict) else {}


def _find_data(data: Path, scripts: list[Path]) -> Path:
    """Return the folder that holds the data sets of some scripts, also if one of the data sets is given."""
    names = {name for script in scripts if (name := (parse_script_name(script.name) or ("",))[0])}
    if not data.is_dir():
        msg = f"{data}: no such folder; give the folder that holds the data sets, such as {min(names)} (--data)"
        raise InputError(msg)
    if not any((data / name).is_dir() for name in names):
        for place in (Path(os.path.abspath(data)), data.resolve()):  # noqa: PTH100  (a link has the name of a data set)
            if place.name in names:
                return place.parent
        msg = f"{data}: no data set of this submission in it; expected {', '.join(sorted(names))} (--data FOLDER)"
        raise InputError(msg)
    return data.resolve()


@contextmanager
def _prepare_place(folder: Path) -> Iterator[tuple[_Place, str, list[Problem]]]:
    """Copy a submission; yield its place, the name of its Python, and problems of the environment."""
    with tempfile.TemporaryDirectory(prefix="gnntrack-submit-", ignore_cleanup_errors=True) as name:
        top = Path(name).resolve()
        for part in ("home", "tmp", "challenge"):
            (top / part).mkdir()
        variables = {"PATH": _PATH, "HOME": str(top / "home"), "TMPDIR": str(top / "tmp"), "LANG": "C.UTF-8"}
        place = _Place(top, variables)

        def skip(where: str, names: list[str]) -> list[str]:
            return [each for each in names if Path(where) == folder and each in _NOT_COPIED]

        _copy(folder, place.software, skip)
        made = folder / _ENVIRONMENT
        if made.is_dir():
            (place.software / _ENVIRONMENT).symlink_to(made)
            yield place, str(made), []
            return
        _make_environment(place, folder)
        python = f"{sys.executable}, since {made} is not there (install.sh makes it)"
        yield place, python, _compare_versions(folder)


def _copy(source: Path, target: Path, skip: Callable[[str, list[str]], list[str]] | None = None) -> None:
    try:
        shutil.copytree(source, target, symlinks=False, ignore=skip)
    except (OSError, shutil.Error) as error:
        failed = error.args[0] if isinstance(error, shutil.Error) and not isinstance(error.args[0], str) else []
        broken = [(name, reason) for name, _, reason in failed if not Path(name).is_file()]  # links to nothing, pipes
        if broken:
            more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
            msg = f"{broken[0][0]}: it cannot be copied ({broken[0][1]}){more}; repair the file or link, or remove it"
        else:
            reason = failed[0][2] if failed else error
            advice = "free space there, or choose another place (TMPDIR=FOLDER)"
            msg = f"{source}: it cannot be copied to {target} ({reason}); {advice}"
        raise InputError(msg) from error


def _make_environment(place: _Place, folder: Path) -> None:
    """Make a ``.venv`` whose Python is this one, with the code of the wheel of the submission."""
    wheels = sorted(folder.glob("gnntrack-*.whl"))
    site = str(find_site(wheels[-1], place.top / "site")) if wheels else ""
    python = place.software / _ENVIRONMENT / "bin" / "python"
    python.parent.mkdir(parents=True)
    command = f'PYTHONPATH={shlex.quote(site)} exec {shlex.quote(sys.executable)} "$@"'
    python.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
    python.chmod(0o755)


def _compare_versions(folder: Path) -> list[Problem]:
    """Return a warning if this Python has other versions of packages than those of the submission."""
    other = []
    file = folder / "requirements.txt"
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else ():
        name, _, wanted = line.partition("==")
        try:
            here = version(name.strip()).partition("+")[0]
        except (PackageNotFoundError, ValueError):
            here = "nothing"
        if wanted and here != wanted.strip():
            other.append(f"{name} {here} for {wanted}")
    if not other:
        return []
    more = f" and {len(other) - 3} more" if len(other) > 3 else ""
    message = (
        f"the scripts ran with other versions than those listed: {', '.join(other[:3])}{more}; run install.sh first"
    )
    return [make_problem("versions", message, "requirements.txt")]


def _check_folder(folder: Path, record: dict[str, Any], scripts: list[Path]) -> Iterator[Problem]:
    """Yield the problems of the folder as a whole."""
    digests = record.get("sha256")
    for name, digest in digests.items() if isinstance(digests, dict) else ():
        path = folder / str(name)
        if not path.is_file():
            yield make_problem(
                "edited", "it was removed after gnntrack submit wrote it; write the submission again", name
            )
        elif name != "README.md" and hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            yield make_problem(
                "edited", "it was edited after gnntrack submit wrote it; check that this is intended", name
            )
    yield from list_script_faults(scripts)
    yield from _list_missing_scripts(scripts)
    readme = folder / "README.md"
    if not readme.is_file() or CONTACT in readme.read_text(encoding="utf-8", errors="replace"):
        yield make_problem("contact", "it does not name the participants; replace its line CONTACT", readme.name)


def _list_missing_scripts(scripts: list[Path]) -> Iterator[Problem]:
    found = {parse_script_name(script.name) for script in scripts}
    for dataset in sorted({each[0] for each in found if each is not None}):
        for sequence in SEQUENCES:
            if (dataset, sequence) not in found:
                message = f"no script for sequence {sequence}; a submission has one for each sequence of a data set"
                yield make_problem("sequences", message, f"{dataset}-{sequence}.sh")


def _check_sequence(
    script: Path, source: Path, place: _Place, benchmark: Benchmark, time_limit: float | None
) -> SequenceReport:
    """Run a script on a copy of its input, and check its traces and its result."""
    dataset, sequence = parse_script_name(script.name) or ("", "")
    inputs = list_inputs(sequence, benchmark)
    missing = [name for name in inputs if not (source / dataset / name).is_dir()]
    if missing:
        message = f"{source / dataset / missing[0]} is missing, which the {BENCHMARKS[benchmark]} gives"
        return SequenceReport(script.name, problems=(make_problem("no-input", message, script.name),))
    here = place.data / dataset
    for name in inputs:
        _copy(source / dataset / name, here / name)
    try:
        run, problems = _run(script, source, place, inputs, time_limit)
        result, scores = here / f"{sequence}_RES", None
        if result.is_dir() and run.exit_code == 0:
            problems += check_result(result, here / sequence)
            if all(problem.severity != "error" for problem in problems):
                scores, more = compute_scores(result, source / dataset / f"{sequence}_GT", benchmark)
                problems += more
        return SequenceReport(
            script.name,
            run.exit_code,
            run.seconds,
            run.peak_memory,
            tuple(_shorten(problem, place.data) for problem in problems),
            scores,
        )
    finally:
        for name in inputs:
            _remove(here / name)


def _keep_result(sequence: SequenceReport, place: _Place, results: str | Path | None) -> None:
    """Copy a valid result to the folder for results, and remove it from the temporary place."""
    dataset, number = parse_script_name(sequence.script) or ("", "")
    result = place.data / dataset / f"{number}_RES"
    if results is not None and sequence.is_valid:
        _copy(result, Path(results).expanduser() / dataset / result.name)
    _remove(place.data / dataset)


def _remove(path: Path) -> None:
    """Remove a folder of the temporary place; where a script has put a link instead, nothing behind the link."""
    if path.parent.resolve() != path.parent:
        return
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _run(
    script: Path, source: Path, place: _Place, inputs: list[str], time_limit: float | None
) -> tuple[ScriptRun, list[Problem]]:
    """Run a script; return its end, and the rules that its run and its traces break."""
    dataset, sequence = parse_script_name(script.name) or ("", "")
    originals = {folder: take_snapshot(folder, skip=_NOT_COPIED) for folder in (script.parent, source / dataset)}
    before = {name: take_snapshot(place.top / name) for name in ("challenge", "home", "tmp")}
    copy = place.software / script.name
    run = run_script(copy, log=place.top / "log.txt", environment=place.environment, time_limit=time_limit)
    changes = {name: list_changes(earlier, take_snapshot(place.top / name)) for name, earlier in before.items()}
    written = {
        str(folder): list_changes(earlier, take_snapshot(folder, skip=_NOT_COPIED))
        for folder, earlier in originals.items()
    }
    read = [f"{dataset}/{name}" for name in inputs]
    problems = judge_run(script.name, run, changes, originals=written, inputs=read, result=f"{dataset}/{sequence}_RES")
    return run, problems


def _shorten(problem: Problem, place: Path) -> Problem:
    """Return a problem with the paths in a temporary place relative to it."""
    prefix = f"{place}/"
    file = None if problem.file is None else problem.file.replace(prefix, "")
    return replace(problem, file=file, message=problem.message.replace(prefix, ""))
