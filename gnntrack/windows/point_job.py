"""Points of a large movie, tracked in windows of frames: a job of independent tasks, and the join of their results.

======== ================================ ===================================================================
stage    tasks                            result
======== ================================ ===================================================================
read     1                                the points, sorted by frame (`gnntrack.windows.point_store`)
scales   a block of frames of the sample  the scales that were recorded while it was tracked
stack    the core of a window             how the whole stack moves from frame to frame
windows  a window                         the features of its cells and the links out of them
======== ================================ ===================================================================
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.cluster import task_path
from gnntrack.graph.point_links import build_point_links
from gnntrack.graph.stack import StackSteps, find_stack, measure_steps
from gnntrack.io.manifests import describe_run
from gnntrack.io.points import read_points
from gnntrack.json_files import read_json
from gnntrack.measure.points import make_point_cells
from gnntrack.methods import rate_links, resolve_method, score_graph
from gnntrack.movie_candidates import choose_links
from gnntrack.movie_scales import MovieScales, use_scales
from gnntrack.point_movie import choose_point_settings
from gnntrack.stage_times import time_stage
from gnntrack.windows.plan import MOST_SAMPLED, choose_sample, find_inner_frames, plan_windows
from gnntrack.windows.point_store import PointStore, is_store, write_points
from gnntrack.windows.sample_scales import combine_scales

if TYPE_CHECKING:
    from gnntrack.settings import Settings
    from gnntrack.types import Lineage, PointSet, StackMotion
    from gnntrack.windows.plan import Window

__all__ = ["HALO", "MOST_CELLS", "PointJob", "SolvedWindow"]

HALO = 12
"""Frames before and after a window that are tracked with it: with as many, hardly a link differs from the whole."""
MOST_CELLS = 600_000
"""Cells of a window, with its halo."""

_MEASURED = ("features", "source", "target", "confidence")
_FEWEST = 4  # points of a frame from which the motion of the stack is estimated
_STACK, _EXTENT = "points.stack", "points.extent"  # scales that are known from all frames


@dataclass(frozen=True)
class SolvedWindow:
    """The result of a window.

    Parameters
    ----------
    folder : Path
        Where it lies.
    """

    folder: Path

    @cached_property
    def about(self) -> dict[str, Any]:
        """Names and units of the features, the provenance, and the decision of the scorer."""
        return dict(read_json(self.folder / "window.json"))

    def read(self, name: str) -> Any:
        """Return one of the arrays: ``features`` of the cells of the core; ``source``, ``target`` and ``confidence``.

        Sources and targets are rows of the cells of the movie.
        """
        return np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)

    @classmethod
    def write(cls, lineage: Lineage, window: Window, first: int, decision: dict[str, Any], folder: Path) -> None:
        """Write the part of the tracked frames that is in the core.

        Parameters
        ----------
        lineage : Lineage
            Of the frames of the window with its halo, before short families are dropped and gaps are filled.
        window : Window
            Its frames.
        first : int
            Row, among the cells of the movie, of the first cell of the lineage.
        decision : dict
            Of the scorer.
        folder : Path
            A new folder.
        """
        folder.mkdir(parents=True)
        cells = lineage.cells
        low, high = np.searchsorted(
            cells.frame, [window.core.start - window.span.start, window.core.stop - window.span.start]
        )
        links = (lineage.source >= low) & (lineage.source < high)
        arrays = (
            np.ascontiguousarray(cells.features[low:high]),
            lineage.source[links] + first,
            lineage.target[links] + first,
            lineage.confidence[links],
        )
        for name, values in zip(_MEASURED, arrays, strict=True):
            np.save(folder / f"{name}.npy", values)
        names = {"names": cells.feature_names, "units": cells.feature_units}
        provenance = lineage.provenance.replace(stack={}).as_dict()
        about = {**names, "provenance": provenance, "decision": decision}
        (folder / "window.json").write_text(json.dumps(about), encoding="utf-8")


@dataclass(frozen=True)
class PointJob:
    """A movie of points that is tracked in windows; see `gnntrack.cluster.Job`.

    Parameters
    ----------
    points : path
        As of `gnntrack.io.points.read_points`, or a folder that `gnntrack.windows.point_store.write_points` wrote.
    settings : Settings
        Of the run.
    method, solver : str
        Their names.
    reading : dict
        ``points_unit`` and ``radius``, as of `gnntrack.point_movie.open_points`, if they are given.
    halo, most_cells : int
        Of the windows.
    most_sampled : int
        Cells of the sample.
    """

    points: str | Path
    settings: Settings
    method: str = "hungarian"
    solver: str | None = None
    reading: dict[str, Any] | None = None
    halo: int = HALO
    most_cells: int = MOST_CELLS
    most_sampled: int = MOST_SAMPLED

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages."""
        return ("scales", "stack", "windows") if is_store(self.points) else ("read", "scales", "stack", "windows")

    def describe(self) -> dict[str, Any]:
        """Return what the result depends on, as plain JSON."""
        own = {name: getattr(self, name) for name in ("method", "solver", "halo", "most_cells", "most_sampled")}
        settings = json.loads(self.settings.to_json()) | {"tracking": own | {"reading": self.reading or {}}}
        return describe_run("track", {"points": str(self.points)}, settings)

    def count_tasks(self, stage: str, work: Path) -> int:
        """Return the number of tasks of a stage."""
        if stage == "read":
            return 1
        return len(self.list_sample(work)) if stage == "scales" else len(self.list_windows(work))

    def run_task(self, stage: str, index: int, work: Path, out: Path) -> None:
        """Write the result of a task."""
        if stage == "read":
            self._read(out)
        elif stage == "scales":
            self._estimate_scales(self.list_sample(work)[index], work, out)
        elif stage == "stack":
            self._measure_stack(self.list_windows(work)[index], work, out)
        else:
            self._track_window(self.list_windows(work)[index], work, out)

    def open_store(self, work: Path) -> PointStore:
        """Return the points that were read."""
        return PointStore(Path(self.points) if is_store(self.points) else task_path(work, "read", 0))

    def list_sample(self, work: Path) -> list[slice]:
        """Return the blocks of frames of the sample."""
        counts = self.open_store(work).counts
        return choose_sample(len(counts), counts, most_cells=self.most_sampled)

    def list_windows(self, work: Path) -> list[Window]:
        """Return the windows."""
        counts = self.open_store(work).counts
        return plan_windows(len(counts), counts, self.halo, self.most_cells)

    def read_stack(self, work: Path) -> StackMotion:
        """Return the motion of the stack in all frames."""
        store = self.open_store(work)
        names = ("same", "shift", "error")
        parts = [np.load(task_path(work, "stack", k), allow_pickle=False) for k in range(len(self.list_windows(work)))]
        same, shift, error = (np.concatenate([part[name] for part in parts]) for name in names)
        steps = StackSteps(same, shift, error, float(parts[0]["apart"]))
        return find_stack(steps, tuple(store.about["spacing"]))

    def read_scales(self, work: Path) -> dict[str, Any]:
        """Return the scales of the movie."""
        found = [read_json(task_path(work, "scales", k)) for k in range(len(self.list_sample(work)))]
        scales = combine_scales([each["scales"] for each in found], [each["cells"] for each in found])
        return scales | {_EXTENT: self.open_store(work).about["extent"]}

    def _read(self, out: Path) -> None:
        given = self.reading or {}
        reading: dict[str, Any] = {"unit": given.get("points_unit"), "radius": given.get("radius")}
        found = read_points(self.points, settings=self.settings.frames, **reading)
        write_points(found, out, interval=self.settings.frames.interval or found.interval)

    def _estimate_scales(self, block: slice, work: Path, out: Path) -> None:
        store = self.open_store(work)
        scales = MovieScales(inner=find_inner_frames(block, len(store.counts)))
        with use_scales(scales):
            self._solve(store.read(block))
        values = {name: value for name, value in scales.values.items() if name != _STACK}
        cells = int(store.counts[block].sum())
        out.write_text(json.dumps({"scales": values, "cells": cells}), encoding="utf-8")

    def _measure_stack(self, window: Window, work: Path, out: Path) -> None:
        store, core = self.open_store(work), window.core
        full = np.flatnonzero(store.counts[: core.start] >= _FEWEST)
        first = int(full[-1]) if len(full) else 0
        with use_scales(MovieScales(self.read_scales(work))), time_stage("stack"):
            cells, _ = make_point_cells(store.read(slice(first, core.stop)))
            steps = measure_steps(cells, drift=self.settings.motion.drift)
        own = slice(core.start - first, None)
        with out.open("wb") as file:
            np.savez(file, same=steps.same[own], shift=steps.shift[own], error=steps.error[own], apart=steps.apart)

    def _track_window(self, window: Window, work: Path, out: Path) -> None:
        store, stack = self.open_store(work), self.read_stack(work)
        frames = range(window.span.start, window.span.stop)
        copies, jumps = ([k - frames.start for k in each if k in frames] for each in (stack.frozen, stack.jumps))
        place = stack.place[window.span].tolist()
        scales = self.read_scales(work) | {_STACK: {"place": place, "copies": copies, "jumps": jumps}}
        with use_scales(MovieScales(scales)):
            lineage, decision = self._solve(store.read(window.span))
        SolvedWindow.write(lineage, window, int(store.offsets[frames.start]), decision, out)

    def _solve(self, points: PointSet) -> tuple[Lineage, dict[str, Any]]:
        """Return the lineage of points, before short families are dropped and gaps are filled."""
        settings, plan = choose_point_settings(self.settings), resolve_method(self.method, self.solver)
        scorer = plan.make_scorer(self.settings, images=False)
        with time_stage("graph"):
            cells, _ = make_point_cells(points, neighbours=settings.cells.neighbours)
            graph = build_point_links(cells, motion=settings.motion, settings=settings.graph)
            graph = replace(graph, provenance=graph.provenance.replace(interval=points.interval))
        with time_stage("scores"):
            scores = score_graph(scorer, graph)
        with time_stage("solving"):
            lineage = rate_links(scorer, *choose_links(graph, scores, plan.solver, settings=settings))
        return lineage, dict(getattr(scorer, "decision", {}))
