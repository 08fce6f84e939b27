"""Run a command; print a line of JSON with its seconds, its seconds of processor time, and its peak memory.

``python benchmarks/measured.py COMMAND ...``. A small program of its own, because a process that a large one starts
counts the memory of that one as its own peak. Not for Windows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the command with its arguments")
    command = parser.parse_args().command
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    told = process.stderr.read() if process.stderr else ""
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f"{' '.join(command)} failed:\n{told}")
    unit = 1 if sys.platform == "darwin" else 1024
    print(
        json.dumps(
            {
                "seconds": round(seconds, 4),
                "cpu_seconds": round(used.ru_utime + used.ru_stime, 4),
                "peak_mb": round(used.ru_maxrss * unit / 1e6, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
