"""One measured task in a separate process, so that its time and memory do not depend on earlier tasks.

Prints a line of JSON: seconds without imports (in all, or by stage), the peak memory of the process, and counts.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from gnntrack.graph.candidates import build_candidates
from gnntrack.graph.motion import estimate_motion
from gnntrack.io import open_frames
from gnntrack.io.frames import open_masks
from gnntrack.lineage.build import build_lineage
from gnntrack.measure.cells import measure_cells
from gnntrack.pipeline import build_graph, solve, track
from gnntrack.scores import score_links
from gnntrack.settings import Settings, SimulateSettings
from gnntrack.simulate import simulate_cells, simulate_movie
from gnntrack.solvers import solve as choose_links
from gnntrack.types import Cells

Result = dict[str, Any]
_T = TypeVar("_T")


class Clock:
    """Seconds and peak memory by stage."""

    def __init__(self) -> None:
        self.stages: dict[str, float] = {}
        self.cpu = 0.0
        self.peaks: dict[str, float] = {}

    def time(self, stage: str, work: Callable[[], _T]) -> _T:
        """Do the work and measure its time."""
        start, cpu = time.perf_counter(), time.process_time()
        done = work()
        self.cpu += time.process_time() - cpu
        self.stages[stage] = round(time.perf_counter() - start, 4)
        self.peaks[stage] = measure_peak_mb()
        return done

    def summarise(self) -> Result:
        """Return the measured seconds and memory."""
        seconds = {"seconds": round(sum(self.stages.values()), 4), "cpu_seconds": round(self.cpu, 4)}
        return {**seconds, "stages": self.stages, "peak_mb_after": self.peaks}


def measure_peak_mb() -> float:
    """Return the peak memory of this process so far in MB."""
    try:
        # a process started by a large one inherits its ru_maxrss; this counts from its own start
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6, 1)
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def link(cells: Cells, clock: Clock) -> Result:
    """Compute the lineage of a table of cells."""
    settings = Settings()
    motion = clock.time("motion", lambda: estimate_motion(cells, settings=settings.motion))
    graph = clock.time("candidates", lambda: build_candidates(cells, None, motion, settings=settings.graph))
    scores = clock.time("scores", lambda: score_links(graph, settings=settings.scores))
    chosen = clock.time("solve", lambda: choose_links("hungarian", graph, scores, settings=settings.solver))
    lineage = clock.time("lineage", lambda: build_lineage(graph, chosen, scores))
    return {"cells": len(cells), "candidates": len(graph), "pairs": len(scores.pairs), "tracks": len(lineage.tracks)}


def run_table(args: argparse.Namespace) -> Result:
    """Simulate a table of cells, then link it."""
    imports = measure_peak_mb()
    cells = simulate_cells(cells=args.cells, frames=args.frames).cells
    made, clock = measure_peak_mb(), Clock()
    counts = link(cells, clock)
    return {
        **clock.summarise(),
        "peak_mb": measure_peak_mb(),
        "peak_mb_imports": imports,
        "peak_mb_simulated": made,
        **counts,
    }


def run_link(args: argparse.Namespace) -> Result:
    """Measure the cells of masks, then link them."""
    cells = measure_cells(open_masks(args.masks), settings=Settings().cells)[0]
    clock = Clock()
    counts = link(cells, clock)
    return {**clock.summarise(), **counts}


def run_track(args: argparse.Namespace) -> Result:
    """Track a movie: read images and masks, write the result."""
    settings = Settings().replace(gnn__model=args.model)
    imports, start = measure_peak_mb(), time.perf_counter()
    lineage = track(args.images, args.masks, out=args.out, method=args.method, settings=settings)
    seconds = time.perf_counter() - start
    told = {"seconds": round(seconds, 4), "peak_mb": measure_peak_mb(), "peak_mb_imports": imports}
    return {**told, "cells": len(lineage.cells), "tracks": len(lineage.tracks)}


def run_network(args: argparse.Namespace) -> Result:
    """Compute features and network outputs of the last frames of a movie."""
    from gnntrack.gnn.array_network import ArrayNetwork
    from gnntrack.gnn.weights import load_for_scoring, load_model

    settings, clock = Settings(), Clock()
    model = load_for_scoring(args.model).scoring_network
    masks, images = open_masks(args.masks), open_frames(args.images)
    build_graph(*(np.stack([stack[t] for t in range(2)]) for stack in (images, masks)))  # loads compiled code
    some = [np.stack([stack[t] for t in range(len(stack))[-args.frames :]]) for stack in (images, masks)]
    graph = clock.time("features", lambda: build_graph(*some, settings=settings))
    prior = clock.time("classical scores", lambda: score_links(graph, settings=settings.scores))
    inputs = clock.time("inputs", lambda: model.select_columns(model.inputs_of(graph, prior)))
    first = inputs.cut_window(0, 3)[0]

    def measure(work: Callable[[Any], object]) -> float:
        """Return the median seconds of five runs, after one on a few frames."""
        work(first)
        times = []
        for _ in range(5):
            start = time.perf_counter()
            work(inputs)
            times.append(time.perf_counter() - start)
        return round(sorted(times)[2], 4)

    others = {}
    if isinstance(model, ArrayNetwork):
        clock.stages["network"] = measure(lambda each: model.compute(each, threads=2))
        others["one thread"] = measure(lambda each: model.compute(each, threads=1))
    else:
        clock.stages["network"] = measure(model.compute)
    summary, peak = clock.summarise(), measure_peak_mb()
    others["torch, one thread"] = measure(load_model(args.model).link_network.compute)
    counts = {"cells": len(graph.cells), "candidates": len(graph), "through the network": len(inputs.source)}
    return {**summary, "peak_mb": peak, "alternatives": others, **counts, "frames": len(some[0])}


def run_stages(args: argparse.Namespace) -> Result:
    """Time the stages of a movie one by one."""
    settings, clock = Settings(), Clock()
    graph = build_graph(args.images, args.masks)  # also loads compiled code, whose time belongs to no stage
    for method in ("hungarian", "greedy", "iou"):
        solve(graph, method=method)
    masks, images = open_masks(args.masks), open_frames(args.images)
    clock.time("cells of masks", lambda: measure_cells(masks, settings=settings.cells))
    clock.time("cells of masks and images", lambda: measure_cells(masks, images=images, settings=settings.cells))
    graph = clock.time("build_graph", lambda: build_graph(images, masks))
    for method in ("hungarian", "greedy", "iou"):
        clock.time(f"solve --method {method}", lambda method=method: solve(graph, method=method))  # type: ignore[misc]
    clock.time("track", lambda: track(args.images, args.masks, out=args.out, overwrite=True))
    return {**clock.summarise(), "cells": len(graph.cells), "candidates": len(graph)}


def run_solve(args: argparse.Namespace) -> Result:
    """Find the candidate links of masks, and choose among them with a solver of the method hungarian."""
    few, clock = np.zeros((3, 20, 20), np.uint8), Clock()
    few[:, 5:11, 5:11] = 1
    solve(build_graph(masks=few), solver=args.solver)  # loads compiled code
    graph = clock.time("graph", lambda: build_graph(masks=args.masks))
    scores = score_links(graph, settings=Settings().scores)
    clock.time("links", lambda: choose_links(args.solver, graph, scores, settings=Settings().solver))
    before = clock.cpu
    lineage = clock.time("solve", lambda: solve(graph, solver=args.solver))
    counts = {"cells": len(graph.cells), "candidates": len(graph), "pairs": len(scores.pairs)}
    counts["solve_cpu_seconds"] = round(clock.cpu - before, 4)
    over_gaps = {"gaps": int((graph.gap > 1).sum()), "divisions": len(lineage.divisions)}
    return {
        **clock.summarise(),
        "peak_mb": measure_peak_mb(),
        **counts,
        **over_gaps,
        "gap": lineage.provenance.optimality_gap,
    }


def run_movie(args: argparse.Namespace) -> Result:
    """Write a simulated movie of a constant number of cells as two arrays."""
    life = SimulateSettings(frames=args.frames, shape=(512, 512), cells=100, divisions=False, death_rate=0)
    movie = simulate_movie(settings=life, seed=1)
    args.out.mkdir(parents=True)
    for name, stack, kind in (("masks", movie.masks, np.int32), ("images", movie.images, np.uint16)):
        if stack is not None:
            array = np.lib.format.open_memmap(args.out / f"{name}.npy", "w+", kind, (args.frames, *stack.shape))
            for t in range(args.frames):
                array[t] = stack[t]
    return {"cells": len(movie.lineage.cells)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(required=True)

    def command(name: str, work: Callable[[argparse.Namespace], Result], **arguments: Any) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=(work.__doc__ or "").rstrip("."))
        sub.set_defaults(work=work)
        for argument, kind in arguments.items():
            sub.add_argument(argument, type=kind)
        return sub

    command("table", run_table, cells=int, frames=int)
    command("link", run_link, masks=Path)
    command("track", run_track, masks=Path, images=Path, out=Path, method=str).add_argument("--model")
    command("network", run_network, masks=Path, images=Path, frames=int).add_argument("--model")
    command("solve", run_solve, masks=Path, solver=str)
    command("stages", run_stages, masks=Path, images=Path, out=Path)
    command("movie", run_movie, frames=int, out=Path)
    args = parser.parse_args()
    print(json.dumps(args.work(args)))


if __name__ == "__main__":
    main()
