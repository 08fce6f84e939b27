"""Peers on perturbed movies: `peers.py` runs them in another interpreter, and their results are scored like ours.

KOFT writes its result itself, with its discs in gaps. Peers that link tables of cells return links; lineage, gap
filling and writing are ours.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from perturbed import PerturbedMovie
from record import RESULTS

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
PEER_SETTINGS = RESULTS / "peer_settings.json"

Row = dict[str, Any]


def run_baseline(twin: PerturbedMovie, out: Path, name: str, python: str, *, dataset: str = "") -> Row:
    """Run a peer on a version of a movie, and write its result.

    A linker has the settings that were chosen on the other data sets than ``dataset``, see `peer_settings.py`. KOFT
    needs images for its optical flow; if there are none, it gets the masks, bright cells on black.
    """
    if name in LINKERS:
        return _run_linker(twin, out, name, python, dataset)
    images = twin.images or _write_silhouettes(twin.masks, out.with_suffix(".images"))
    told = _run_peer(python, name, images, twin.masks, out)[0]
    return {"seconds": told["seconds"], "frames": twin.frames, "cells": told["cells"], "notes": told["versions"]}


def _write_silhouettes(masks: Path, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for file in masks.glob("*.tif"):
        silhouette = np.where(tifffile.imread(file) > 0, 255, 0).astype(np.uint8)
        tifffile.imwrite(folder / file.name, silhouette, compression="zlib")
    return folder


@cache
def find_interpreter(name: str, pythons: str) -> str | None:
    """Return the first of some interpreters, separated by commas, that has a peer; None if none has it."""
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({PACKAGES[name]!r}) is None)"
    found = (python for python in pythons.split(",") if subprocess.run([python, "-c", code]).returncode == 0)
    return next(found, None)


@dataclass(frozen=True)
class CellTable:
    """The cells of a movie on disk, as linkers read them, and the lengths that their settings are multiples of.

    Parameters
    ----------
    cells : Cells
        The cells, in pixels.
    file : path
        The table as npz.
    gate : float
        Three radii, or the median distance of nearest neighbours if that is larger: the gate of KOFT.
    radius : float
        Median radius of the cells.
    """

    cells: Cells
    file: Path
    gate: float
    radius: float

    @classmethod
    def write(cls, masks: Path, file: Path) -> CellTable:
        """Measure the cells of masks, and write their table."""
        cells = measure_cells(open_masks(masks), settings=Settings().cells)[0]
        names = ("size", "major_axis", "minor_axis", "elongation")
        shape: dict[str, Any] = {name: cells.feature(name) for name in names}
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, frame=cells.frame, position=cells.position, **shape)
        apart = cells.feature("neighbour_distance")
        apart = apart[np.isfinite(apart)]
        radius = float(np.median(cells.feature("diameter"))) / 2
        return cls(cells, file, max(3 * radius, float(np.median(apart)) if len(apart) else 0.0), radius)

    def scale_settings(self, name: str, settings: Row) -> Row:
        """Return the settings of a linker in pixels, from multiples of the gate and the radius of the movie."""
        if name == "laptrack":
            lengths = {key: settings[key] * self.gate for key in ("link", "gap", "split")}
            return {**lengths, "missing": settings["missing"]}
        scale = settings["cell_radius"] / self.radius if settings["cell_radius"] else 1.0
        return {**settings, "radius": settings["radius"] * self.gate, "scale": scale}


def run_linker_settings(
    table: CellTable, name: str, settings: Sequence[Row], python: str
) -> Iterator[tuple[Row, npt.NDArray[np.int64]]]:
    """Yield seconds and versions, and the links, rows of cells (L, 2), of a linker with each of some settings."""
    outs = [table.file.with_suffix(f".{name}{number}.npz") for number in range(len(settings))]
    scaled = json.dumps([table.scale_settings(name, each) for each in settings])
    for told, out in zip(_run_peer(python, name, table.file, scaled, *outs), outs, strict=True):
        with np.load(out) as arrays:
            yield told, np.stack([arrays["source"], arrays["target"]], axis=1)


def _run_linker(twin: PerturbedMovie, out: Path, name: str, python: str, dataset: str) -> Row:
    chosen = json.loads(PEER_SETTINGS.read_text(encoding="utf-8"))["chosen"][name]
    settings = chosen.get(dataset, chosen["all"])
    table = CellTable.write(twin.masks, out.with_suffix(".cells.npz"))
    [(told, links)] = run_linker_settings(table, name, [settings], python)
    source, target = links.T
    order = np.lexsort((target, source))
    columns = np.zeros((len(order), 0), np.float32)
    graph = CellGraph(table.cells, source[order], target[order], columns, ())
    every = np.ones(len(order), bool)
    lineage = build_lineage(graph, every, LinkScores(every.astype(np.float32)))
    export(lineage, out, masks=twin.masks)
    notes = {**told["versions"], **settings}
    return {"seconds": told["seconds"], "frames": twin.frames, "cells": len(table.cells), "notes": notes}


def _run_peer(pythons: str, name: str, *words: Any) -> list[Row]:
    python = find_interpreter(name, pythons)
    if python is None:
        sys.exit(f"{name} is not installed in {pythons}; give --peer-python")
    command = [python, str(Path(__file__).with_name("peers.py")), name, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS)
    if done.returncode:
        msg = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(msg)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
