"""Time and memory: stages, whole movies, sizes up to a million cells, start-up; and peers in the same run.

``python benchmarks/speed.py --peer-python PATH`` writes ``results/speed.json`` and, beside it, the tables as Markdown.
Compared programs run alternately (A B A B ...), and only ratios within one run are checked. Each run of a whole movie,
and each size, is a separate process. Seconds are without imports, except in the sections start and track.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from inspect import cleandoc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from record import (
    RESULTS,
    compute_medians,
    describe_run,
    format_circumstances,
    format_table,
    get_default_data,
    run_alternately,
    write_record,
)
from skimage.measure import regionprops_table

from gnntrack.io import open_frames
from gnntrack.io.frames import open_masks
from gnntrack.measure.cells import measure_cells
from gnntrack.pipeline import build_graph
from gnntrack.settings import Settings

HERE = Path(__file__).resolve().parent
BASIC = ("label", "area", "centroid", "inertia_tensor", "intensity_mean")
TRACKASTRA = {"seconds": 81 + 2.5, "frames": 30, "cells": 30 * 275}  # 0.5.6, 2 cores: network and features
FULL = (
    *("label", "area", "equivalent_diameter_area", "centroid", "bbox", "axis_major_length", "axis_minor_length"),
    *("eccentricity", "orientation", "intensity_mean", "intensity_std", "intensity_min", "intensity_max"),
)
Result = dict[str, Any]
Array = npt.NDArray[Any]


class Run:
    """The options of a run, and the figures measured so far."""

    def __init__(self, args: argparse.Namespace, work: Path) -> None:
        self.args, self.work = args, work
        self.record: Result = {
            **describe_run(),
            "rounds": args.rounds,
            "quick": args.quick,
            "checks": [],
            "sections": {},
        }
        if args.add:
            now = {name: self.record[name] for name in ("date", "revision")}
            self.record = json.loads(args.out.read_text(encoding="utf-8"))
            self.record.setdefault("added", {}).update(dict.fromkeys(args.only.split(","), now))
        self._outputs = 0

    def check(self, what: str, measured: float, limit: float, *, least: bool, unit: str) -> None:
        """Compare a figure with its limit, and record both."""
        passed = measured >= limit if least else measured <= limit
        bound = f"{'>=' if least else '<='} {limit:g} {unit}"
        result = {"what": what, "measured": round(measured, 3), "unit": unit, "limit": bound, "passed": bool(passed)}
        self.record["checks"] = [*(each for each in self.record["checks"] if each["what"] != what), result]

    def out(self) -> Path:
        """Return the name of a new folder."""
        self._outputs += 1
        return self.work / f"out{self._outputs}"

    def movie(self) -> tuple[str, Path, Path]:
        """Return the name, the masks and the images of the movie for whole runs."""
        home = self.args.data / "Fluo-N2DL-HeLa"
        if (home / "01_ERR_SEG").is_dir() and not self.args.quick:
            return "Fluo-N2DL-HeLa 01", home / "01_ERR_SEG", home / "01"
        folder = self.work / "simulated"
        if not folder.exists():
            run_alone("movie", 20, folder)
        return "simulated, 20 frames of 512 x 512", folder / "masks.npy", folder / "images.npy"


def run_alone(*words: Any, python: str = sys.executable, program: str = "work.py") -> Result:
    """Run a program of this folder in a separate process, and return the JSON that it prints."""
    done = subprocess.run([python, str(HERE / program), *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{program} {' '.join(map(str, words))} failed:\n{done.stderr}")
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def measure_process(*words: Any) -> Result:
    """Return the figures of a process, see `measured.py`; modules are read as bytecode, as when installed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, str(HERE / "measured.py"), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(done.stderr)
    result: Result = json.loads(done.stdout)
    return result


def run_cells(run: Run) -> Result:
    """Measure 5 000 cells of one frame, compared with scikit-image."""
    labels, side = (500, 640) if run.args.quick else (5000, 2048)
    mask, image = _make_frame(labels, side)
    masks, images, settings = open_masks(mask[None]), open_frames(image[None]), Settings().cells
    seconds = run_alternately(
        {
            "gnntrack": _time_runs(lambda: measure_cells(masks, images=images, settings=settings)),
            "regionprops_table, 5 basic properties": _time_runs(lambda: _measure_properties(mask, image, BASIC)),
            "regionprops_table, what gnntrack measures": _time_runs(lambda: _measure_properties(mask, image, FULL)),
        },
        run.args.rounds,
    )
    middle = compute_medians(seconds)
    ours, basic, full = middle.values()
    run.check("cells against regionprops_table (basic properties)", basic / ours, 25, least=True, unit="x")
    run.check("cells against regionprops_table (the same properties)", full / ours, 25, least=True, unit="x")
    return {"labels": labels, "shape": [side, side], "seconds": seconds, "median": middle}


def run_stages(run: Run) -> Result:
    """Time the stages of one movie, one by one."""
    name, masks, images = run.movie()
    return {"movie": name, **run_alone("stages", masks, images, run.out())}


def run_track(run: Run) -> Result:
    """Track a movie from the command line, compared with KOFT and with masks alone.

    Whole processes, from start to exit: imports, reading, and all files of the result with tables and pictures.
    Bytecode is written and read, also if PYTHONDONTWRITEBYTECODE is set: an installed package has it. The processor
    time counts all threads, and other processes change it little; the memory is the highest of the process.
    """
    name, masks, images = run.movie()
    ours = sys.executable, "-m", "gnntrack", "track", "--method", "hungarian"
    model = ("--model", run.args.model) if run.args.model else ()
    used: dict[str, list[Result]] = {}

    def measure(name: str, *words: Any) -> float:
        used.setdefault(name, []).append(measure_process(*words))
        return float(used[name][-1]["seconds"])

    works: dict[str, Callable[[], float]] = {
        "hungarian": lambda: measure("hungarian", *ours, images, masks, "-o", run.out()),
        "hungarian, masks alone": lambda: measure("masks", *ours, "--masks", masks, "-o", run.out()),
        "gnn": lambda: measure("gnn", *ours[:4], "--method", "gnn", *model, images, masks, "-o", run.out()),
    }
    if _has_package(run.args.peer_python, "byotrack") and images.is_dir():
        peer = run.args.peer_python, HERE / "peers.py", "koft"
        works["KOFT"] = lambda: measure("KOFT", *peer, images, masks, run.out())
    seconds = run_alternately(works, run.args.rounds)
    middle = compute_medians(seconds)
    resources = {
        name: {what: float(np.median([each[what] for each in rounds[1:]])) for what in ("cpu_seconds", "peak_mb")}
        for name, rounds in used.items()
    }
    both = f"gnntrack track --method gnn against --method hungarian, {name}"
    run.check(f"{both}, time", middle["gnn"] / middle["hungarian"], 1.3, least=False, unit="x")
    for what, words in (("cpu_seconds", "processor time"), ("peak_mb", "peak memory")):
        ratio = resources["gnn"][what] / resources["hungarian"][what]
        run.check(f"{both}, {words}", ratio, 1.3, least=False, unit="x")
    if "KOFT" in middle:
        for method, limit in (("hungarian", 5), ("gnn", 3)):
            what = f"gnntrack track --method {method} against KOFT, {name}, processes"
            run.check(what, middle["KOFT"] / middle[method], limit, least=True, unit="x")
    ratio = middle["hungarian"] / middle["hungarian, masks alone"]
    run.check(f"gnntrack track, images and masks against masks alone, {name}", ratio, 2.5, least=False, unit="x")
    return {"movie": name, "seconds": seconds, "median": middle, "resources": resources}


def run_gnn(run: Run) -> Result:
    """Score a movie with the network, also with one thread and with torch; score 30 frames, compared with Trackastra.

    Trackastra's figure (its published size; features and network, per cell) was measured once on the same machine and
    is not measured again.
    """
    name, masks, images = run.movie()
    model = ("--model", run.args.model) if run.args.model else ()
    whole, some = (
        _get_median([run_alone("network", masks, images, frames, *model) for _ in range(run.args.rounds)])
        for frames in (10**6, TRACKASTRA["frames"])
    )
    for what in ("candidates", "through the network"):
        whole[f"{what}, per second"] = round(whole[what] / whole["stages"]["network"])
    rate = whole["through the network, per second"]
    run.check("links through the network", rate, 1_000_000, least=True, unit="1/s")
    faster = whole["alternatives"]["torch, one thread"] / whole["stages"]["network"]
    run.check("links through the network, against torch", faster, 2, least=True, unit="x")
    theirs = TRACKASTRA["seconds"] / TRACKASTRA["cells"]
    run.check(
        "30 frames scored, against Trackastra, per cell",
        theirs / some["seconds"] * some["cells"],
        20,
        least=True,
        unit="x",
    )
    return {"movie": name, "network": {"whole": whole, "30 frames": some}}


def run_link(run: Run) -> Result:
    """Link the cells of a movie, from their table on, compared with laptrack."""
    name, masks, _ = run.movie()
    graph = build_graph(masks=masks)
    file = run.work / "cells.npz"
    np.savez(file, frame=graph.cells.frame, position=graph.cells.position)
    works: dict[str, Callable[[], float]] = {"gnntrack": lambda: run_alone("link", masks)["seconds"]}
    if _has_package(run.args.peer_python, "laptrack"):
        gate = dict.fromkeys(("link", "gap", "split"), graph.provenance.gate)
        words = "laptrack", file, json.dumps([{**gate, "missing": 1}]), run.work / "links.npz"
        works["laptrack"] = lambda: _run_peer(run, *words)
    seconds = run_alternately(works, run.args.rounds)
    return {"movie": name, "cells": len(graph.cells), "seconds": seconds, "median": compute_medians(seconds)}


def run_sizes(run: Run) -> Result:
    """Link increasing numbers of simulated cells, from their table to the lineage."""
    tenth = 10_000 if run.args.quick else 100_000
    sizes = {"few frames": (tenth, 50), "few cells": (tenth, 500), "large": (10 * tenth, 500)}
    runs = [{name: run_alone("table", *size) for name, size in sizes.items()} for _ in range(run.args.rounds)]
    result = {name: _get_median([each[name] for each in runs]) for name in sizes}
    large = result["large"]
    if not run.args.quick:
        run.check("1 000 000 cells in 500 frames, time", large["seconds"], 180, least=False, unit="s")
        run.check("1 000 000 cells in 500 frames, memory", large["peak_mb"] / 1000, 3, least=False, unit="GB")
    for name, what in (("few cells", "10 x the cells"), ("few frames", "10 x the frames")):
        # simulated numbers of cells differ by a few per cent; the ratio is per cell
        share = large["cells"] / result[name]["cells"] / 10
        own = [each["peak_mb"] - each["peak_mb_imports"] for each in (large, result[name])]
        run.check(f"{what}, time", large["seconds"] / result[name]["seconds"] / share, 11, least=False, unit="x")
        run.check(f"{what}, memory over that of the imports", own[0] / own[1] / share, 11, least=False, unit="x")
    return result


def run_length(run: Run) -> Result:
    """Track a simulated movie and one ten times as long, from files to the written result."""
    result: Result = {}
    for name, frames in (("short", 4), ("long", 40)) if run.args.quick else (("short", 30), ("long", 300)):
        folder = run.work / name
        run_alone("movie", frames, folder)
        files = folder / "masks.npy", folder / "images.npy"
        works = [run_alone("track", *files, run.out(), "hungarian") for _ in range(run.args.rounds)]
        result[name] = {"frames": frames, **_get_median(works)}
    short, long = result["short"], result["long"]
    run.check("10 x the movie with its masks, time", long["seconds"] / short["seconds"], 11, least=False, unit="x")
    ratio = long["peak_mb"] / short["peak_mb"]
    run.check("10 x the movie with its masks, memory", ratio, 11, least=False, unit="x")
    return result


def run_start(run: Run) -> Result:
    """Time the start: the import, and the command line's help from process to exit."""
    code = "import time; t = time.perf_counter(); import gnntrack; print(time.perf_counter() - t)"

    def time_import() -> float:
        return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)

    def make_timer(*words: str) -> Callable[[], float]:
        return _time_runs(lambda: subprocess.run([sys.executable, *words], check=True, capture_output=True))

    program = Path(sys.executable).with_name("gnntrack")
    show_help = make_timer(str(program), "--help") if program.exists() else make_timer("-m", "gnntrack", "--help")
    seconds = run_alternately(
        {"import gnntrack": time_import, "gnntrack --help": show_help, "python": make_timer("-c", "pass")}, 5
    )
    middle = compute_medians(seconds)
    run.check("import gnntrack", middle["import gnntrack"], 0.25, least=False, unit="s")
    run.check("gnntrack --help", middle["gnntrack --help"], 0.4, least=False, unit="s")
    return {"seconds": seconds, "median": middle}


SECTIONS = {
    "start": run_start,
    "cells": run_cells,
    "stages": run_stages,
    "track": run_track,
    "gnn": run_gnn,
    "link": run_link,
    "sizes": run_sizes,
    "length": run_length,
}


def format_markdown(record: Result) -> str:
    """Return the tables of a record."""
    checks = [
        [each["what"], f"{each['measured']:g} {each['unit']}", each["limit"], "yes" if each["passed"] else "**no**"]
        for each in record["checks"]
    ]
    parts = [
        "# Speed",
        format_circumstances(record),
        *(
            f"Section {name}: {now['date']}, revision {now['revision']}."
            for name, now in record.get("added", {}).items()
        ),
        "Compared programs ran alternately in this run; medians. Seconds are without imports, except in start, track.",
        format_table(["asked for", "measured", "limit", "reached"], checks),
    ]
    for name, result in record["sections"].items():
        parts += [f"## {name}", cleandoc(SECTIONS[name].__doc__ or ""), _format_section(result)]
    return "\n\n".join(parts)


def _format_section(result: Result) -> str:
    if "network" in result:
        return _format_head(result) + _format_network(result["network"])
    if "median" in result:
        first = next(iter(result["median"].values()))
        rows = [[name, f"{took:.3f}", f"{took / first:.1f}"] for name, took in result["median"].items()]
        head = _format_head(result) + format_table(["", "s", "x"], rows)
        used = [
            f"{name} {each['cpu_seconds']:.2f} s, {each['peak_mb']:.0f} MB"
            for name, each in result.get("resources", {}).items()
        ]
        return head + (f"\n\nProcessor time and peak memory: {'; '.join(used)}." if used else "")
    if "stages" in result:
        return _format_head(result) + format_table(
            ["", "s"], [[name, f"{took:.3f}"] for name, took in result["stages"].items()]
        )
    rows = []
    for each in result.values():
        stages = ", ".join(f"{stage} {took:.1f}" for stage, took in each.get("stages", {}).items())
        rows.append([str(each["cells"]), f"{each['seconds']:.2f}", f"{each['peak_mb']:.0f}", stages])
    return format_table(["cells", "s", "peak memory, MB", "stages, s"], rows)


def _format_network(result: Result) -> str:
    """Return a table of the input of the network and the time of each stage."""
    counts = ("frames", "cells", "candidates", "through the network")
    stages = list(result["whole"]["stages"])
    rows = [
        [name, *(str(each[count]) for count in counts), *(f"{each['stages'][stage]:.3f}" for stage in stages)]
        for name, each in result.items()
    ]
    rates = [f"{rate} {what}" for what, rate in result["whole"].items() if what.endswith("per second")]
    table = format_table(["", *counts, *(f"{stage}, s" for stage in stages)], rows)
    others = [f"{took:.3f} s with {how}" for how, took in result["whole"].get("alternatives", {}).items()]
    also = f" The network takes {', '.join(others)}." if others else ""  # records before there were others
    return f"{table}\n\nLinks: {'; '.join(rates)}.{also}"


def _format_head(result: Result) -> str:
    result = {"cells": result.get("labels"), **result}
    named = [str(result[name]) + suffix for name, suffix in (("movie", ""), ("cells", " cells")) if result.get(name)]
    return f"{', '.join(named)}:\n\n" if named else ""


def _get_median(runs: list[Result]) -> Result:
    """Return the run of the median time."""
    return sorted(runs, key=lambda each: each["seconds"])[len(runs) // 2]


def _time_runs(work: Callable[[], object]) -> Callable[[], float]:
    def run() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return run


def _make_frame(labels: int, side: int) -> tuple[Array, Array]:
    """Return a mask of round cells on a jittered grid, with its image."""
    rng = np.random.default_rng(0)
    columns = int(np.ceil(np.sqrt(labels)))
    pitch = side / columns
    y, x = np.indices((side, side))
    row, column = (y / pitch).astype(np.int64), (x / pitch).astype(np.int64)
    label = row * columns + column
    centre = (np.stack(np.divmod(np.arange(columns**2), columns)) + 0.5) * pitch
    centre += rng.uniform(-0.08, 0.08, centre.shape) * pitch
    radius = rng.uniform(0.3, 0.42, columns**2) * pitch
    inside = (y - centre[0][label]) ** 2 + (x - centre[1][label]) ** 2 < radius[label] ** 2
    names = np.zeros(columns**2, np.uint16)
    names[rng.permutation(columns**2)[:labels]] = rng.permutation(labels) + 1
    mask = np.where(inside, names[label], 0).astype(np.uint16)
    image = rng.poisson(np.where(mask > 0, 120, 12)).astype(np.uint16)
    return mask, image


def _measure_properties(mask: Array, image: Array, names: tuple[str, ...]) -> object:
    return regionprops_table(mask, image, properties=names)  # type: ignore[no-untyped-call]


def _run_peer(run: Run, *words: Any) -> float:
    result = run_alone(*words, python=run.args.peer_python, program="peers.py")
    run.record.setdefault("peers", {}).update(result["versions"])
    return float(result["seconds"])


def _has_package(python: str, package: str) -> bool:
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    return subprocess.run([python, "-c", code]).returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=get_default_data(), help="folder with Fluo-N2DL-HeLa")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections; default: all")
    parser.add_argument("--peer-python", default=sys.executable, help="Python interpreter with byotrack and laptrack")
    parser.add_argument("--model", help="folder of the network of section gnn; default: the shipped one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--add", action="store_true", help="keep the other sections of the output as they are")
    parser.add_argument("--quick", action="store_true", help="small inputs, to try the program only")
    parser.add_argument("--out", type=Path, default=RESULTS / "speed.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        run = Run(args, Path(work))
        for name in args.only.split(","):
            print(f"{name} ...", file=sys.stderr, flush=True)
            run.record["sections"][name] = SECTIONS[name](run)
            write_record(args.out, run.record, format_markdown(run.record))
    print(format_markdown(run.record))


if __name__ == "__main__":
    main()
