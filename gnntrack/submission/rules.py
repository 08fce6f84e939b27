"""Rules for the scripts of a submission."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from gnntrack.io.ctc_validate import Problem
from gnntrack.plurals import count_noun
from gnntrack.submission.datasets import parse_script_name
from gnntrack.submission.running import ScriptRun, can_block_network
from gnntrack.submission.traces import Changes

__all__ = ["RULES", "judge_run", "list_script_faults", "make_problem"]

RULES = {
    "no-input": "the input of the sequence is there",
    "exit-code": "the script ends with exit code 0",
    "time-limit": "the script ends within the time limit",
    "network": "the script does not need a network",
    "no-result": "the script writes the folder NN_RES",
    "extra-file": "NN_RES has masks and res_track.txt, and no other file",
    "input-changed": "the script does not change its input",
    "outside-result": "the script writes nothing outside NN_RES",
    "left-behind": "the script leaves no file in the home folder or the temporary folder (a warning)",
    "py-ctcmetrics": "the validation of py-ctcmetrics accepts the result",
    "not-executable": "a script can be executed",
    "line-ends": "a script has the line ends of Linux",
    "same-settings": "the scripts of both sequences of a data set differ in its number only (a warning)",
    "sequences": "a data set has a script for each of its two sequences (a warning)",
    "edited": "scripts and settings are as they were written (a warning)",
    "versions": "the scripts ran with the versions of requirements.txt (a warning)",
    "contact": "the README names the participants (a warning)",
    "no-scores": "a result can be scored if there is ground truth (a warning)",
}
"""The rules, by name; those of the results are `gnntrack.io.ctc_validate.RULES`."""

_WARNINGS = {"left-behind", "same-settings", "sequences", "edited", "versions", "contact", "no-scores"}
_OFFLINE = re.compile(
    r"name resolution|could ?n[o']t resolve|failed to resolve|network is unreachable|NameResolutionError|gaierror"
    r"|urlopen error|connection refused|no route to host|ConnectionError|unable to access 'http",
    re.IGNORECASE,
)
_TRACES = {
    "input-changed": "the script changes {0}",
    "outside-result": "the script writes or removes {0}; only {1} is for it",
    "left-behind": "the script leaves {0} (home: $HOME, tmp: $TMPDIR)",
}
_LISTED = 5  # paths in a message


def make_problem(rule: str, message: str, file: str | None = None) -> Problem:
    """Return a broken rule of this module."""
    return Problem(rule, "warning" if rule in _WARNINGS else "error", message, file)


def judge_run(
    script: str,
    run: ScriptRun,
    changes: Mapping[str, Changes],
    *,
    originals: Mapping[str, Changes],
    inputs: Sequence[str],
    result: str,
) -> list[Problem]:
    """Return the rules that a run breaks.

    Parameters
    ----------
    script : str
        File name of the script.
    run : ScriptRun
        Its end.
    changes : mapping of str to Changes
        Changes in the folder ``challenge``, which holds the submission and the data sets, in ``home`` and in ``tmp``.
    originals : mapping of str to Changes
        Changes in the folders that the copies were made of.
    inputs, result : str
        Folders that it reads and the one that it writes, relative to ``challenge``.
    """
    problems = list(_judge_end(script, run))
    for rule, names in _sort_traces(changes, originals, inputs, result).items():
        if names:
            problems.append(make_problem(rule, _TRACES[rule].format(_list_some(names), result), script))
    if run.exit_code == 0 and not any(_is_below(name, [result]) for name in changes["challenge"].made):
        problems.append(make_problem("no-result", f"the script ends without an error and writes no {result}", script))
    return problems


def _sort_traces(
    changes: Mapping[str, Changes], originals: Mapping[str, Changes], inputs: Sequence[str], result: str
) -> dict[str, list[str]]:
    """Return the paths that a script touched by the rule that it breaks."""
    touched = [name for name in _list_touched(changes["challenge"]) if not _is_below(name, [result])]
    spoilt = [name for name in touched if _is_below(name, inputs)]
    outside = [name for name in touched if name not in spoilt]
    outside += [f"{folder}/{name}" for folder, each in originals.items() for name in _list_touched(each)]
    left = [f"{place}/{name}" for place in ("home", "tmp") for name in _drop_children(changes[place].made)]
    return {"input-changed": spoilt, "outside-result": outside, "left-behind": left}


def _list_touched(changes: Changes) -> list[str]:
    return [*_drop_children(changes.made), *changes.changed, *changes.removed]


def _judge_end(script: str, run: ScriptRun) -> Iterator[Problem]:
    output = run.output or "it prints nothing"
    if run.timed_out:
        yield make_problem("time-limit", f"it was ended after {run.seconds:.0f} s; its last output: {output}", script)
    elif run.exit_code != 0 and can_block_network() and _OFFLINE.search(run.output):
        yield make_problem("network", f"it fails without a network (exit code {run.exit_code}): {output}", script)
    elif run.exit_code != 0:
        yield make_problem("exit-code", f"{_describe_end(run.exit_code)}: {output}", script)


def _describe_end(exit_code: int) -> str:
    """Return the end of a script in words.

    >>> _describe_end(3), _describe_end(-9)
    ('it ends with exit code 3', 'it is ended by the signal SIGKILL')
    """
    try:
        return f"it is ended by the signal {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"it ends with exit code {exit_code}"


def list_script_faults(scripts: Sequence[Path]) -> Iterator[Problem]:
    """Yield the rules that the files of scripts break.

    Parameters
    ----------
    scripts : sequence of Path
        The scripts of all sequences, sorted by name.
    """
    texts = {script: script.read_bytes() for script in scripts}
    for script, text in texts.items():
        if b"\r\n" in text:
            yield make_problem("line-ends", "it has line ends of Windows; save it with those of Linux", script.name)
        if not os.access(script, os.X_OK):
            yield make_problem("not-executable", f"it is not executable: chmod +x {script.name}", script.name)
    for one, other in pairwise(scripts):
        (dataset, number), (next_dataset, next_number) = (
            parse_script_name(each.name) or ("", "") for each in (one, other)
        )
        if dataset == next_dataset and _hide(texts[one], number) != _hide(texts[other], next_number):
            message = f"it differs from {one.name} in more than the number; use the same parameters for both"
            yield make_problem("same-settings", message, other.name)


def _hide(text: bytes, number: str) -> bytes:
    """Return a text without a number.

    >>> _hide(b"../A01/01_RES", "01")
    b'../A01/NN_RES'
    """
    return re.sub(rb"(?<![0-9A-Za-z])" + number.encode() + rb"(?![0-9])", b"NN", text)


def _is_below(name: str, folders: Sequence[str]) -> bool:
    return any(name == folder or name.startswith(f"{folder}/") for folder in folders)


def _drop_children(names: Sequence[str]) -> list[str]:
    """Return sorted paths without those that lie in a folder among them.

    >>> _drop_children(["a", "a/b", "ab"])
    ['a', 'ab']
    """
    known = set(names)
    return [name for name in names if not any(parent.as_posix() in known for parent in Path(name).parents)]


def _list_some(names: Sequence[str]) -> str:
    more = f" and {count_noun(len(names) - _LISTED, 'more file')}" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
