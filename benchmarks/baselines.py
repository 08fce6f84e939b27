"""Peers on perturbed movies: `peers.py` runs them in another interpreter, and their results are scored like ours.

KOFT writes its result itself, with its discs in gaps. Peers that link tables of cells return links; lineage, gap
filling and writing are ours.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from perturbed import PerturbedMovie

from gnntrack.io.frames import open_masks
from gnntrack.lineage.build import build_lineage
from gnntrack.measure.cells import measure_cells
from gnntrack.pipeline import export
from gnntrack.settings import Settings
from gnntrack.types import CellGraph, Cells, LinkScores

WRITERS = {"koft": "byotrack"}
LINKERS = {"laptrack": "laptrack", "btrack": "btrack"}
PACKAGES = {**WRITERS, **LINKERS}
MOST_SECONDS = 1800

Row = dict[str, Any]


def run_baseline(twin: PerturbedMovie, out: Path, name: str, python: str) -> Row:
    """Run a peer on a version of a movie, and write its result."""
    if name in LINKERS:
        return _run_linker(twin, out, name, python)
    if twin.images is None:
        msg = f"{name} needs images"
        raise ValueError(msg)
    told = _run_peer(python, name, twin.images, twin.masks, out)
    return {"seconds": told["seconds"], "frames": twin.frames, "cells": told["cells"], "notes": told["versions"]}


def is_missing(name: str, python: str) -> bool:
    """Return whether an interpreter lacks a peer."""
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({PACKAGES[name]!r}) is None)"
    return subprocess.run([python, "-c", code]).returncode != 0


def _run_linker(twin: PerturbedMovie, out: Path, name: str, python: str) -> Row:
    settings = Settings()
    cells = measure_cells(open_masks(twin.masks), settings=settings.cells)[0]
    out.parent.mkdir(parents=True, exist_ok=True)
    file, links = out.with_suffix(".cells.npz"), out.with_suffix(".links.npz")
    np.savez(file, frame=cells.frame, position=cells.position)
    told = _run_peer(python, name, file, _compute_gate(cells), "--links", links)
    with np.load(links) as arrays:
        source, target = arrays["source"], arrays["target"]
    order = np.lexsort((target, source))
    columns = np.zeros((len(order), 0), np.float32)
    graph = CellGraph(cells, source[order], target[order], columns, ())
    every = np.ones(len(order), bool)
    lineage = build_lineage(graph, every, LinkScores(every.astype(np.float32)))
    export(lineage, out, masks=twin.masks, settings=settings)
    return {"seconds": told["seconds"], "frames": twin.frames, "cells": len(cells), "notes": told["versions"]}


def _compute_gate(cells: Cells) -> float:
    """Return the largest distance of a link: three radii, or the median distance of neighbours, as in KOFT."""
    apart = cells.feature("neighbour_distance")
    apart = apart[np.isfinite(apart)]
    radius = float(np.median(cells.feature("diameter"))) / 2
    return max(3 * radius, float(np.median(apart)) if len(apart) else 0.0)


def _run_peer(python: str, *words: Any) -> Row:
    command = [python, str(Path(__file__).with_name("peers.py")), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS)
    if done.returncode:
        msg = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(msg)
    told: Row = json.loads(done.stdout.splitlines()[-1])
    return told
