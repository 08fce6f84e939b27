"""How long a movie of any size takes on a cluster: a model with measured times per cell and assumed rates of storage.

Windows are tracked by all workers; the scales of the movie, the join of the windows and the tables are made by one. A
worker reads its input and writes its shard to a file system that all share; the join reads the shards and writes the
result. The times per cell are those of the largest measured movie (for the parts of one process, that of its serial
stages), and the bytes per cell are those of its files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

SERIAL = ("reading", "read", "joining", "join", "writing")
"""Stages that one process does, of which each takes time in proportion to the cells."""
CONSTANT = ("scales",)
"""Stages that take the same time for any movie that is larger than their sample."""
CLUSTERS = (  # workers, GB/s of the shared file system, GB/s of one worker's network
    {"name": "workstation", "workers": 16, "shared_gb_s": 0.5, "worker_gb_s": 0.5},
    {"name": "cluster, 128 workers", "workers": 128, "shared_gb_s": 2.0, "worker_gb_s": 0.2},
    {"name": "cluster, 1,024 workers", "workers": 1024, "shared_gb_s": 10.0, "worker_gb_s": 0.2},
)


class Costs(NamedTuple):
    """Measured on this machine; all but the first per cell."""

    constant: float  # seconds of the scales
    parallel: float  # seconds of processor of the windows
    serial: float  # seconds of the process that reads, joins and writes
    input: float  # bytes
    shard: float
    output: float


def collect_costs(row: Mapping[str, Any]) -> Costs:
    """Return the costs of a measured movie, whose stages are those of a run in windows or of one at once."""
    cells, stages = row["cells"], row["stages"]
    seconds = {name: stage["cpu_seconds"] for name, stage in stages.items()}
    serial = sum(took for name, took in seconds.items() if name in SERIAL)
    constant = sum(took for name, took in seconds.items() if name in CONSTANT)
    parallel = sum(seconds.values()) - serial - constant
    sizes = (row["bytes"], row.get("shard_bytes") or 0, row["output_bytes"])
    return Costs(constant, parallel / cells, serial / cells, *(size / cells for size in sizes))


def predict(costs: Costs, cells: float, cluster: Mapping[str, Any]) -> dict[str, float]:
    """Return the seconds of each part of the work on a cluster.

    Examples
    --------
    >>> costs = Costs(60, 1e-4, 1e-5, 20, 100, 200)
    >>> cluster = {"workers": 100, "shared_gb_s": 1, "worker_gb_s": 0.1}
    >>> {name: round(value) for name, value in predict(costs, 1e9, cluster).items()}
    {'scales': 60, 'windows': 1000, 'transfer': 120, 'join': 10000, 'disk': 300, 'total': 11480}
    """
    workers = cluster["workers"]
    rate = min(cluster["shared_gb_s"], workers * cluster["worker_gb_s"]) * 1e9
    parts = {
        "scales": costs.constant,
        "windows": costs.parallel * cells / workers,
        "transfer": (costs.input + costs.shard) * cells / rate,
        "join": costs.serial * cells,
        "disk": (costs.shard + costs.output) * cells / (min(cluster["shared_gb_s"], 1e9) * 1e9),
    }
    return {**parts, "total": sum(parts.values())}


def measure_disk(folder: Path, *, gigabytes: float = 1.0) -> dict[str, float]:
    """Return the rates in GB/s at which this machine writes a file until it is on the disk, and reads it again."""
    block = os.urandom(1 << 24)
    blocks = max(round(gigabytes * 1e9 / len(block)), 1)
    path = folder / "rate.bin"
    start = time.perf_counter()
    with path.open("wb") as file:
        for _ in range(blocks):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    written = time.perf_counter() - start
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        start = time.perf_counter()
        while file.read(len(block)):
            pass
        read = time.perf_counter() - start
    path.unlink()
    size = blocks * len(block) / 1e9
    return {"write_gb_s": round(size / written, 3), "read_gb_s": round(size / read, 3)}


def find_largest(rows: Sequence[Mapping[str, Any]], kind: str) -> Mapping[str, Any] | None:
    """Return the row of the largest movie of a kind that was tracked by one worker."""
    ours = [row for row in rows if row["method"] == "gnntrack" and row["kind"] == kind]
    done = [row for row in ours if row["workers"] == 1 and "stages" in row]
    return max(done, key=lambda row: int(row["cells"]), default=None)
