"""Detectors on simulated embryos: how many nuclei they find, how many points are false, how far off, in what time.

``python benchmarks/detectors.py`` writes ``results/detectors.json`` and its table. Each case is a volume of 64 x 256 x
256 voxels of every seed. The seeds differ from those on which constants were chosen (1000 and above). The clutter of
the simulation, which looks like nuclei and is not in the ground truth, counts as false, and so do nuclei whose centre
is just outside the volume.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from record import RESULTS, describe_run, format_circumstances, format_table, write_record
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from gnntrack.segmentation import load_detector
from gnntrack.settings import EmbryoSettings
from gnntrack.simulate.embryo import simulate_embryo

CASES: dict[str, dict[str, Any]] = {
    "60 nuclei": {"cells": 60},
    "250 nuclei": {"cells": 250},
    "600 nuclei": {"cells": 600},
    "250, dim and hazy": {"cells": 250, "photons": 15, "background": 20, "haze": 0.5},
    "250, very dim": {"cells": 250, "photons": 8, "haze": 0.6, "read_noise": 3},
    "250, textured": {"cells": 250, "photons": 200, "texture": 0.8},
}
NAMES = ("dog", "heatmap")
REACHES = (3.0, 7.0)  # um


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path, default=RESULTS / "detectors.json")
    chosen = parser.parse_args()
    rows = []
    for case, settings in CASES.items():
        for seed in chosen.seeds:
            embryo = simulate_embryo(settings=EmbryoSettings(frames=3, frozen=0, **settings), seed=seed)
            images = [np.asarray(embryo.images[frame]) for frame in range(3)]
            truth = embryo.truth.position[embryo.truth.frame == 1]
            for name in NAMES:
                row = measure(name, images, truth, embryo.spacing)
                rows.append({"detector": name, "case": case, "seed": seed, **row})
                print(rows[-1], flush=True)
    record = {**describe_run(), "seeds": chosen.seeds, "cases": CASES, "rows": rows}
    write_record(
        chosen.out,
        record,
        f"# Detectors on simulated embryos\n\n{format_circumstances(record)}\n\n{format_detectors(record)}",
    )


def measure(name: str, images: list[Any], truth: Any, spacing: tuple[float, ...]) -> dict[str, Any]:
    """Return the figures of a detector on the middle one of three volumes; `truth` is in um."""
    detector: Any = load_detector(name)
    started = time.process_time()
    detector.prepare(images, spacing)
    prepared = time.process_time()
    found = detector.detect(images[1], spacing)
    seconds = []
    for _ in range(3):
        before = time.process_time()
        detector.detect(images[1], spacing)
        seconds.append(time.process_time() - before)
    figures: dict[str, Any] = {"true": len(truth), "found": len(found)}
    distance = cdist(found.position * np.asarray(spacing), truth)
    for reach in REACHES:
        gain = np.where(distance <= reach, 1 / (1 + distance), 0)
        pairs = linear_sum_assignment(-gain)
        matched = distance[pairs] <= reach
        figures[f"matched_{reach:g}"] = int(matched.sum())
        figures[f"error_{reach:g}"] = round(float(np.median(distance[pairs][matched])), 3)
    cost = {"seconds": round(statistics.median(seconds), 3), "seconds_prepare": round(prepared - started, 3)}
    return {**figures, "diameter_um": round(detector.estimated_diameter * spacing[-1], 2), **cost}


def format_detectors(record: Mapping[str, Any]) -> str:
    """Return the table of a record: recall and precision within 3 um, error and time, over all seeds."""
    head = ["simulated embryo", *(f"{name}: {what}" for name in NAMES for what in ("recall", "precision", "um", "s"))]
    lines = []
    for case in record["cases"]:
        line = [case]
        for name in NAMES:
            rows = [row for row in record["rows"] if (row["case"], row["detector"]) == (case, name)]
            matched = sum(row["matched_3"] for row in rows)
            line += [f"{matched / sum(row[total] for row in rows):.3f}" for total in ("true", "found")]
            line += [f"{statistics.fmean(row['error_3'] for row in rows):.2f}"]
            line += [f"{statistics.median(row['seconds'] for row in rows):.2f}"]
        lines.append(line)
    return format_table(head, lines)


if __name__ == "__main__":
    main()
