"""Estimates of ``gnntrack info``, compared with the processor time, memory and disk space that ``gnntrack track`` took.

``python benchmarks/estimates.py`` (``make estimates``) writes ``results/estimates.json``, and its table as Markdown.
The movies are of every simulated kind with masks, volumes of cells, points of embryos, and real movies of the Cell
Tracking Challenge. A short simulated movie is repeated side by side until it has the wanted number of cells, from a
thousand to three hundred thousand. Each movie is tracked in a fresh process, in four ways: masks alone, masks with
images by ``hungarian`` and by ``gnn``, and images that the segmenter ``threshold`` segments.

``--fit`` draws movies from seeds from 1000 on, and prints rates for ``gnntrack/estimates.py``; without it, seeds are
below 1000, and real movies are added. Seconds are those of the processor, divided by the speed that is measured before
each run.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from record import RESULTS, describe_run, format_circumstances, format_table, get_default_data, write_record
from scipy.optimize import linprog

from gnntrack.estimates import TERMS, Workload, count_links, estimate_tracking, measure_speed, survey_images
from gnntrack.io.frames import open_frames, open_masks
from gnntrack.measure.cells import measure_cells
from gnntrack.pipeline import simulate
from gnntrack.point_movie import open_points
from gnntrack.point_recipes import choose_point_settings
from gnntrack.settings import Settings
from gnntrack.simulation_settings import MOVIE_KINDS

HERE = Path(__file__).resolve().parent
KINDS = (*MOVIE_KINDS, "volumes", "points")
REAL = ("Fluo-N2DL-HeLa/01", "PhC-C2DL-PSC/01", "Fluo-N2DH-SIM+/02", "Fluo-N3DH-CHO/01", "Fluo-N2DH-GOWT1/01")
USED = {  # the terms on which a quantity depends
    "time": {"start", "frames", "pixels", "runs", "cells", "links"},
    "memory": {"start", "pixels at once", "runs", "cells", "links"},
    "disk": {"start", "frames", "planes", "pixels", "runs", "cells"},
}
QUANTITIES = {"time": "cpu_seconds", "memory": "memory", "disk": "disk"}
_MOST_SURVEYED = 3e8  # pixels of a movie that is segmented


class Case(NamedTuple):
    """A movie in files."""

    name: str
    masks: Path | None
    images: Path | None
    points: Path | None = None


def main() -> None:
    args = _parse_arguments()
    rows: list[dict[str, Any]] = []
    if args.rows is not None and args.rows.exists():
        rows = [json.loads(line) for line in args.rows.read_text(encoding="utf-8").splitlines()]
    done = {row["movie"] for row in rows}
    first, started = 1000 if args.fit else 0, describe_run()
    with tempfile.TemporaryDirectory(dir=args.work) as work:
        for case in _make_cases(Path(work), range(first, first + args.movies), args, done):
            for row in _measure_case(case, Path(work)):
                rows.append(row)
                print(row, flush=True)
                if args.rows is not None:
                    with args.rows.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(row) + "\n")
                if not args.fit:
                    record = {**started, "rows": rows, "within": summarise(rows)}
                    write_record(args.out, record, format_markdown(record))
    if args.fit:
        print(json.dumps(fit_rates(rows), indent=1))


def _make_cases(work: Path, seeds: range, args: argparse.Namespace, done: set[str]) -> Iterator[Case]:
    """Yield the movies one by one; each is removed before the next is made."""
    for seed in seeds:
        if f"{KINDS[seed % len(KINDS)]} {seed}" not in done:
            folder = work / "movie"
            yield make_case(folder, seed, args.most)
            shutil.rmtree(folder)
    for name in REAL if not args.fit else ():
        data, number = args.data / name.partition("/")[0], name.partition("/")[2]
        masks = next(
            (data / f"{number}_{kind}" for kind in ("ERR_SEG", "ST/SEG") if (data / f"{number}_{kind}").is_dir()), None
        )
        if masks is not None and name not in done:
            yield Case(name, masks, data / number)


def make_case(folder: Path, seed: int, most: float = 5.5) -> Case:
    """Write a simulated movie of a kind and size that follow from the seed."""
    random = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    wanted = 10 ** random.uniform(3, most)
    frames = int(random.integers(10, 50))
    name = f"{kind} {seed}"
    if kind == "points":
        return Case(name, None, None, _write_points(folder, frames, int(wanted / frames), seed))
    base = int(random.integers(15, 60))
    volume = kind in ("cleavage", "volumes")
    side = int(math.sqrt(base * 10 ** random.uniform(3.1, 3.5)))
    shape = (24, 110, 110) if volume else (side, side)
    one = simulate(kind="cells" if kind == "volumes" else kind, frames=frames, cells=base, shape=shape, seed=seed)
    times = max(1, round(math.sqrt(wanted / len(one.lineage.cells))))
    masks, images = folder / "masks", folder / "images"
    masks.mkdir(parents=True), images.mkdir()
    for t in range(frames):
        labels, grey = np.asarray(one.masks[t]), np.asarray(one.images[t])
        step = int(one.lineage.cells.label.max()) + 1
        parts = [[np.where(labels > 0, labels + step * (times * y + x), 0) for x in range(times)] for y in range(times)]
        tiled = np.concatenate([np.concatenate(row, axis=-1) for row in parts], axis=-2)
        tiled = tiled.astype(np.min_scalar_type(max(256, step * times**2)))
        tifffile.imwrite(masks / f"mask{t:03d}.tif", tiled, compression="zlib", compressionargs={"level": 1})
        grey = np.tile(grey, (*(1,) * (grey.ndim - 2), times, times))
        tifffile.imwrite(images / f"t{t:03d}.tif", grey, compression="zlib", compressionargs={"level": 1})
    return Case(name, masks, images)


def _write_points(folder: Path, frames: int, count: int, seed: int) -> Path:
    """Write points that move by random steps, some of which are missed, as a table."""
    random = np.random.default_rng(seed)
    size = (max(count, 8) * 600) ** (1 / 3)  # um: 600 um3 for each
    place = random.uniform(0, size, (count, 3))
    rows = []
    for t in range(frames):
        place = np.clip(place + random.normal(0, 0.6, place.shape), 0, size)
        seen = place[random.random(count) > 0.05]
        rows.append(np.column_stack([np.full(len(seen), t), seen]))
    folder.mkdir(parents=True)
    file = folder / "points.csv"
    np.savetxt(file, np.concatenate(rows), fmt="%.2f", delimiter=",", header="frame,z,y,x", comments="")
    return file


def list_runs(case: Case) -> Iterator[tuple[str, list[str], Workload, float]]:
    """Yield the name of each way to track a movie, its words, its workload, and the seconds of segmenting it."""
    settings = Settings()
    if case.points is not None:
        cells = open_points(str(case.points), settings=settings).cells
        links = count_links(cells, choose_point_settings(settings))
        yield "points", ["--points", str(case.points)], Workload.of(cells, links), 0.0
        return
    cells, runs, _ = measure_cells(open_masks(case.masks), settings=settings.cells)
    load = Workload.of(cells, count_links(cells, settings), len(runs))
    del runs
    both = [str(case.images), str(case.masks)]
    yield "hungarian", ["--masks", str(case.masks)], load, 0.0
    yield "hungarian with images", both, load, 0.0
    yield "gnn with images", [*both, "--method", "gnn"], load, 0.0
    if load.pixels * load.frames < _MOST_SURVEYED:
        images = open_frames(case.images)
        surveyed, seconds = survey_images(images)
        if surveyed.cells:
            yield "threshold", [str(case.images)], surveyed, seconds * measure_speed()


def _measure_case(case: Case, work: Path) -> Iterator[dict[str, Any]]:
    for way, words, load, segmenting in list_runs(case):
        speed = measure_speed()
        used = run_track(words, work / "run")
        if used is None:
            continue
        used["cpu_seconds"] *= speed
        row = {"movie": case.name, "way": way, "segmenting": segmenting, "speed": round(speed, 3)}
        row |= {**load._asdict(), **used}
        row["estimate"] = estimate_tracking(load, way, segmenting=segmenting)._asdict()
        yield row


def run_track(words: list[str], folder: Path) -> dict[str, float] | None:
    """Track in a fresh process; return processor seconds, bytes of memory and of the most files at any moment."""
    (folder / "tmp").mkdir(parents=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"TMPDIR": str(folder / "tmp"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "measured.py"), sys.executable, "-m", "gnntrack", "track", *words]
    most, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            most[0] = max(most[0], count_bytes(folder))

    watching = threading.Thread(target=watch)
    watching.start()
    done = subprocess.run([*command, "-o", str(folder / "out")], capture_output=True, text=True, env=environment)
    ended.set()
    watching.join()
    disk = count_bytes(folder)
    shutil.rmtree(folder)
    if done.returncode:
        print(" ".join(words), done.stderr[-500:], file=sys.stderr)
        return None
    used = json.loads(done.stdout)
    return {
        "seconds": used["seconds"],
        "cpu_seconds": used["cpu_seconds"],
        "memory": used["peak_mb"] * 1e6,
        "disk": disk,
        "temporary": max(most[0] - disk, 0),
    }


def count_bytes(folder: Path) -> int:
    """Return the bytes of all files below a folder, some of which may disappear meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(place, name).stat().st_size
            except OSError:
                continue
    return total


def fit_rates(rows: list[dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Return rates above 0 for which the relative errors are smallest, by way of tracking and by quantity."""
    fitted: dict[str, dict[str, list[float]]] = {}
    for way in dict.fromkeys(row["way"] for row in rows):
        own = [row for row in rows if row["way"] == way]
        terms = np.stack([_get_load(row).count_terms() for row in own])
        for quantity, column in QUANTITIES.items():
            taken = np.array([row[column] for row in own]) - (
                np.array([row["segmenting"] * row["frames"] for row in own]) if quantity == "time" else 0
            )
            without = {"pixels", "pixels at once"} if way == "points" else set()
            used = np.array([name in USED[quantity] - without for name in TERMS]) & (terms > 0).any(axis=0)
            least = 0.2 * np.array([row[column] for row in own])
            relative = terms / np.maximum(taken, least)[:, None] * used
            size = np.where(used, relative.max(axis=0), 1)
            rates = _fit(relative / size) / size
            fitted.setdefault(way, {})[quantity] = [float(f"{rate:.2g}") for rate in rates]
    return fitted


def _fit(relative: np.ndarray) -> np.ndarray:
    """Return rates for which the largest factor between estimate and measurement is nearly as small as it can be.

    Among them, those with the smallest sum of relative errors. `relative` (runs, terms) are counts / measurement.
    """
    runs, terms = relative.shape
    low, high = 1.0, 64.0
    while high / low > 1.01:
        middle = math.sqrt(low * high)
        found = linprog(
            np.zeros(terms), np.vstack([relative, -relative]), np.repeat([middle, -1 / middle], runs), method="highs"
        )
        low, high = (low, middle) if found.status == 0 else (middle, high)
    wide = 1.1 * high
    own, error = np.eye(runs), np.zeros((runs, runs))
    bounds = np.vstack(
        [
            np.hstack([part, rest])
            for part, rest in ((relative, error), (-relative, error), (relative, -own), (-relative, -own))
        ]
    )
    limits = np.repeat([wide, -1 / wide, 1, -1], runs)
    rates: np.ndarray = linprog(np.repeat([0, 1], [terms, runs]), bounds, limits, method="highs").x[:terms]
    return rates


def _get_load(row: dict[str, Any]) -> Workload:
    return Workload(row["frames"], tuple(row["shape"]), row["cells"], row["links"], row["runs"])


def summarise(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return of each way and quantity the number of runs, the fraction within a factor of two, and the extremes."""
    found: dict[str, dict[str, float]] = {}
    for way in dict.fromkeys(row["way"] for row in rows):
        for quantity, column in QUANTITIES.items():
            ratio = np.array([row["estimate"][quantity] / row[column] for row in rows if row["way"] == way])
            within = float(((ratio <= 2) & (ratio >= 0.5)).mean())
            found[f"{way}, {quantity}"] = {
                "runs": len(ratio),
                "within": round(within, 3),
                "lowest": round(float(ratio.min()), 2),
                "median": round(float(np.median(ratio)), 2),
                "highest": round(float(ratio.max()), 2),
            }
    return found


def format_markdown(record: dict[str, Any]) -> str:
    """Return the table of a record with its circumstances."""
    rows = [
        (name, str(each["runs"]), f"{100 * each['within']:.0f} %", *(f"{each[key]:.2f}" for key in _SHOWN))
        for name, each in record["within"].items()
    ]
    head = ("estimate / measured", "runs", "within a factor of 2", *_SHOWN)
    return "\n\n".join(["# Estimates of gnntrack info", format_circumstances(record), format_table(head, rows)])


_SHOWN = ("lowest", "median", "highest")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=get_default_data(), help="folder with the real movies")
    parser.add_argument("--movies", type=int, default=30, help="number of simulated movies")
    parser.add_argument("--most", type=float, default=5.5, help="logarithm of the largest number of cells")
    parser.add_argument("--fit", action="store_true", help="print rates, from movies for development")
    parser.add_argument("--rows", type=Path, help="file to which each run is added, and whose movies are not repeated")
    parser.add_argument("--work", type=Path, help="folder for the movies; default: that of temporary files")
    parser.add_argument("--out", type=Path, default=RESULTS / "estimates.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
