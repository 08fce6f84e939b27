"""Scale of the solvers: time, memory and proven distance from the best links, for 100 000 cells with faulty masks.

``python benchmarks/solver_scale.py`` writes ``results/solver_scale.json``, and its table as Markdown. The movies are
simulated, 50 frames with divisions; 3 % of the cells are dropped, 2 % merged with a neighbour and 2 % split
(`perturbed.py`, version ``hard``), so that links over gaps, divisions, merges and pieces compete. Each run is a
separate process, which reads the masks, finds the candidate links and solves them; *solve* is the time of the second
part, with scores, links, proof and the revision of events. The largest memory is that of the whole process.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from perturbed import SEED, corrupt_mask, shuffle_labels
from record import RESULTS, describe_run, format_circumstances, format_table, write_record
from speed import run_alone

from gnntrack.settings import SimulateSettings
from gnntrack.simulate import simulate_movie

SIZES = {1_000: (10, 170), 10_000: (120, 560), 100_000: (1300, 1800)}  # cells in the first frame, pixels of a side
SOLVERS = ("hungarian", "exact")
FRAMES = 50
LIMITS = {"seconds": 30.0, "memory_gb": 1.0}  # of the largest movie


def main() -> None:
    args = _parse_arguments()
    record: dict[str, Any] = {**describe_run(), "rows": []}
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        for size, (cells, side) in SIZES.items():
            if size > args.most:
                continue
            masks = Path(folder) / f"{size}.npy"
            write_movie(masks, cells, side)
            for solver in SOLVERS:
                row = {"size": size, "solver": solver, **run_alone("solve", masks, solver)}
                record["rows"].append(row)
                print(row, flush=True)
                write_record(args.out, record, format_markdown(record))
    print(format_markdown(record))


def write_movie(out: Path, cells: int, side: int) -> None:
    """Write the faulty masks of a simulated movie as an array."""
    life = SimulateSettings(frames=FRAMES, shape=(side, side), cells=cells, diameter=7, speed=0.4, images=False)
    movie, rng = simulate_movie(settings=life, seed=1), np.random.default_rng(SEED)
    array = np.lib.format.open_memmap(out, "w+", np.uint16, (FRAMES, side, side))
    for t in range(FRAMES):
        array[t] = shuffle_labels(corrupt_mask(np.asarray(movie.masks[t]), rng), rng)
    array.flush()


def format_markdown(record: dict[str, Any]) -> str:
    """Return the table of a record with its circumstances."""
    return "\n\n".join(["# Scale of the solvers", format_circumstances(record), format_scale(record)])


def format_scale(record: dict[str, Any]) -> str:
    """Return the table of a record, and the time per cell of the largest movie against that of a tenth of it."""
    lines = [
        [
            f"{row['cells']} cells, `{row['solver']}`",
            str(row["candidates"]),
            str(row["pairs"]),
            str(row["gaps"]),
            f"{row['stages']['solve']:.2f}",
            f"{row['solve_cpu_seconds']:.2f}",
            f"{row['stages']['links']:.2f}",
            f"{row['peak_mb'] / 1000:.2f}",
            f"{row['gap']:.1e}",
        ]
        for row in record["rows"]
    ]
    head = ["movie", "links", "pairs", "links over gaps", "solve, s", "processor, s", "links alone, s", "memory, GB"]
    parts = [format_table([*head, "distance"], lines)]
    parts += [_describe_growth(record["rows"], solver) for solver in SOLVERS]
    return "\n\n".join(part for part in parts if part)


def _describe_growth(rows: list[dict[str, Any]], solver: str) -> str:
    own = [row for row in rows if row["solver"] == solver]
    if len(own) < len(SIZES):
        return ""
    small, large = own[-2:]
    growth = large["solve_cpu_seconds"] / small["solve_cpu_seconds"] * small["cells"] / large["cells"]
    reached = large["stages"]["solve"] <= LIMITS["seconds"] and large["peak_mb"] / 1000 <= LIMITS["memory_gb"]
    return (
        f"`{solver}`: {growth:.2f} times the processor time per cell for {large['cells'] / small['cells']:.1f} times "
        f"the cells; {LIMITS['seconds']:g} s and {LIMITS['memory_gb']:g} GB are {'' if reached else 'not '}enough."
    )


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--most", type=int, default=max(SIZES), help="largest movie, in cells")
    parser.add_argument("--work", type=Path, help="folder for temporary files")
    parser.add_argument("--out", type=Path, default=RESULTS / "solver_scale.json")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
