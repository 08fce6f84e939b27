"""Run a command with limits of time and memory, and measure it with all processes that it starts; Linux only.

The memory is the largest sum over these processes of their proportional set sizes (pages that several share count
once), seen ten times a second, and at least the peak of the first process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_PAUSE = 0.1  # seconds between two looks


def measure_command(
    command: Sequence[str | os.PathLike[str]], *, most_seconds: float, most_gb: float, cwd: Path | None = None
) -> dict[str, Any]:
    """Return seconds, processor time and peak memory of a command, and why it failed, if it did.

    Examples
    --------
    >>> measure_command(["sleep", "9"], most_seconds=0.2, most_gb=1)["failed"]
    'time limit'
    """
    start, peak, failed = time.perf_counter(), 0, None
    words = [os.fspath(word) for word in command]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(words, stdout=said, stderr=said, start_new_session=True, cwd=cwd)
        while True:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            peak = max(peak, _measure_session(process.pid))
            over_time = time.perf_counter() - start > most_seconds
            if failed is None and (over_time or peak > most_gb * 1e9):
                failed = "time limit" if over_time else "memory limit"
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(_PAUSE)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        told = said.read().decode(errors="replace")
    if failed is None and process.returncode:
        failed = f"exit code {process.returncode}: {told[-1500:]}"
    result = {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_mb": round(max(peak, used.ru_maxrss * 1024) / 1e6, 1),
    }
    return {**result, "failed": failed} if failed else result


def _measure_session(leader: int) -> int:
    """Return the bytes that all processes of a session hold."""
    total = 0
    for place in Path("/proc").iterdir():
        if not place.name.isdigit():
            continue
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) != leader:
                continue
            lines = (place / "smaps_rollup").read_text().splitlines()
        except OSError:  # it has ended
            continue
        total += next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
    return total
