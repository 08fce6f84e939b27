"""The record of a benchmark: its rows, and the machine, versions, revision and date of the run."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results"
ORDER = ("gnn", "koft", "pdn", "hungarian", "hungarian+triplets", "iou", "laptrack", "btrack")  # of methods
PACKAGES = (
    *("gnntrack", "numpy", "scipy", "numba", "lap", "opencv-python-headless", "scikit-image", "py-ctcmetrics"),
    *("torch", "torch-geometric"),
)


def get_default_data() -> Path:
    """Return the folder of real movies: GNNTRACK_DATA, else ../shared/ctc beside the repository."""
    return Path(os.environ.get("GNNTRACK_DATA") or REPOSITORY.parent / "shared" / "ctc")


def describe_run() -> dict[str, Any]:
    """Return date, revision, machine and versions of a run, as plain JSON values."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "revision": _get_revision(),
        "machine": {
            "processor": _get_processor(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "memory_gb": _get_memory_gb(),
            "system": f"{platform.system()} {platform.machine()}",
            "load_at_start": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        },
        "versions": {"python": platform.python_version(), **{name: _get_version(name) for name in PACKAGES}},
    }


def format_circumstances(record: Mapping[str, Any]) -> str:
    """Return a line about the run and its machine for the head of a table."""
    machine, versions = record["machine"], record["versions"]
    return (
        f"{record['date']}, revision {record['revision']}, {machine['processor']}, {machine['cores']} cores, "
        f"Python {versions['python']}, numpy {versions['numpy']}."
    )


@cache
def hash_code(without: tuple[str, ...] = ()) -> str:
    """Return a digest of the code that results depend on: gnntrack without command line, reports and these files."""
    package = REPOSITORY / "gnntrack"
    files = sorted(
        each
        for each in package.rglob("*.py")
        if each.relative_to(package).parts[0] not in {"cli", "report"}
        and each.relative_to(package).as_posix() not in without
    )
    return hashlib.sha256(b"".join(each.read_bytes() for each in files)).hexdigest()[:10]


def read_rows(out: Path) -> list[dict[str, Any]]:
    """Return the rows of an earlier run."""
    rows: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))["rows"] if out.exists() else []
    return rows


def has_row(rows: Iterable[Mapping[str, Any]], names: Sequence[str], key: Sequence[str]) -> bool:
    """Return whether there is a successful row with these values of the named columns, made by this code."""
    return any(
        row["code"] == hash_code() and "failed" not in row and [row[name] for name in names] == list(key)
        for row in rows
    )


def replace_row(rows: Iterable[dict[str, Any]], names: Sequence[str], row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows with a new one, in place of older ones with the same values of the named columns."""
    return [*(each for each in rows if any(each[name] != row[name] for name in names)), row]


def sort_methods(methods: Iterable[str]) -> list[str]:
    """Return methods in the order of the tables: ours, the leader of the challenge, the others by name.

    >>> sort_methods({"zzz", "koft", "aaa"})
    ['koft', 'aaa', 'zzz']
    """
    return sorted(methods, key=lambda method: (ORDER.index(method) if method in ORDER else len(ORDER), method))


def write_record(out: Path, record: Mapping[str, Any], markdown: str) -> None:
    """Write the record as JSON, and its tables as Markdown beside it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    out.with_suffix(".md").write_text(markdown + "\n", encoding="utf-8")


def format_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are aligned to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def format_page(
    title: str, record: Mapping[str, Any], about: str, head: Sequence[str], rows: Iterable[Sequence[str]]
) -> str:
    """Return a page with one table: its title, the circumstances of the run, what it shows, and the rows."""
    return "\n".join([f"# {title}", "", format_circumstances(record), "", about, "", format_table(head, rows)])


def run_alternately(works: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run A B A B ..., so that a slow phase of the machine affects all programs equally; return the seconds of each.

    The first round is not counted: it fills the caches of compiled code and of files.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for each in range(rounds + 1):
        for name, work in works.items():
            took = work()
            if each:
                seconds[name].append(round(took, 4))
    return seconds


def compute_medians(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the median of each."""
    return {name: round(statistics.median(each), 4) for name, each in seconds.items()}


def _get_revision() -> str:
    try:
        revision = _run_git("rev-parse", "--short=10", "HEAD")
        changed = _run_git("status", "--porcelain", "--untracked-files=no", "--", "gnntrack", "segmenters")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return revision + (" with changes" if changed else "")


def _run_git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(REPOSITORY), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _get_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _get_processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _get_memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    except (ValueError, OSError, AttributeError):
        return None
