"""A script of a submission, run as the organisers do: in its folder, without the settings of this shell."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gnntrack.errors import InputError

__all__ = ["ScriptRun", "can_block_network", "run_script"]

_PAUSE = 0.05  # seconds between two looks at the processes
_ALONE = ("unshare", "--user", "--map-root-user", "--net")
_CONTROLS = re.compile(r"\x1b\[[0-9;]*[a-zA-Z]|[\x00-\x08\x0b-\x1f\x7f]")  # of a terminal
_LINES = 15  # of the output, for messages


@dataclass(frozen=True)
class ScriptRun:
    """The end of a script."""

    exit_code: int
    """Negative for a signal, as of `subprocess`."""
    seconds: float
    peak_memory: int | None
    """Most bytes that its processes held together; None where the system does not report it."""
    output: str
    """The last lines of stdout and stderr."""
    timed_out: bool = False


@cache
def can_block_network() -> bool:
    """Return whether a process can be run without a network: Linux with user namespaces."""
    if shutil.which(_ALONE[0]) is None:
        return False
    return subprocess.run([*_ALONE, "true"], capture_output=True, check=False).returncode == 0


def run_script(
    script: Path, *, log: Path, environment: Mapping[str, str], time_limit: float | None = None
) -> ScriptRun:
    """Run a script in its folder, without a network where the system allows it.

    Parameters
    ----------
    script : Path
        An executable file; one that is not executable is given to ``sh``.
    log : Path
        File for its output.
    environment : mapping
        All environment variables.
    time_limit : float, optional
        Seconds after which the script and its children are ended.

    Raises
    ------
    InputError
        On Windows.
    """
    if os.name != "posix":
        msg = "the scripts of a submission run on Linux; check them there, or in the Windows Subsystem for Linux"
        raise InputError(msg)
    command = [f"./{script.name}"] if os.access(script, os.X_OK) else ["sh", script.name]
    if can_block_network():
        command = [*_ALONE, *command]
    start = time.perf_counter()
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                command,
                cwd=script.parent,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:  # such as an interpreter that does not exist
            return ScriptRun(126, 0.0, None, f"{script.name}: {error.strerror}")
        peak, timed_out = _wait(process, None if time_limit is None else start + time_limit)
    seconds = time.perf_counter() - start
    return ScriptRun(process.returncode, seconds, peak or None, _read_end(log), timed_out)


def _wait(process: subprocess.Popen[bytes], deadline: float | None) -> tuple[int, bool]:
    """Wait for the end of a process; return the most memory that its session held, and whether it took too long."""
    peak = 0
    try:
        while process.poll() is None:
            peak = max(peak, _measure_session(process.pid))
            if deadline is not None and time.perf_counter() > deadline:
                return peak, True
            time.sleep(_PAUSE)
    finally:
        _stop_session(process)
    return peak, False


def _stop_session(process: subprocess.Popen[bytes]) -> None:
    """End the processes of a script that still run."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _measure_session(session: int) -> int:
    """Return the bytes that the processes of a session hold, at least the peak of each; 0 if that is not known."""
    held = peak = 0
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, LookupError):  # it has ended
            # the name of the program, in brackets, may hold spaces
            if int((place / "stat").read_text().rpartition(")")[2].split()[3]) != session:
                continue
            lines = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
            held += int(lines["VmRSS"].split()[0]) * 1024
            peak = max(peak, int(lines["VmHWM"].split()[0]) * 1024)
    return max(held, peak)


def _read_end(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    text = "\n".join(line.rpartition("\r")[2] for line in lines[-_LINES:])
    return _CONTROLS.sub("", text).strip()
