"""Windows: a movie that is tracked in windows of frames has the result of the whole movie.

``python benchmarks/windows.py`` tracks simulated movies of all kinds and real ones twice, as a whole and in windows
whose cores have about a quarter of the frames, and compares the masks and ``res_track.txt`` byte for byte, and the
links. The simulated movies have faults (`perturbed.py`, version ``hard``). Writes ``results/windows.json``, and its
table as Markdown.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from perturbed import SEED, corrupt_mask, shuffle_labels
from record import RESULTS, describe_run, format_circumstances, format_table, get_default_data, write_record

import gnntrack
from gnntrack.cluster.jobs import run_job
from gnntrack.errors import GnntrackWarning
from gnntrack.settings import Settings
from gnntrack.simulation_settings import MOVIE_KINDS
from gnntrack.windows.masks_job import HALO, NETWORK_HALO, read_windows
from gnntrack.windows.tracking import collect_result, plan_tracking

Source = tuple[str, object, object]

METHODS = ("hungarian", "gnn")
REAL = {  # images, masks
    "Fluo-N2DH-SIM+ 01": ("Fluo-N2DH-SIM+/01", "Fluo-N2DH-SIM+/01_GT/TRA"),
    "Fluo-N2DL-HeLa 01": ("Fluo-N2DL-HeLa/01", "Fluo-N2DL-HeLa/01_ERR_SEG"),
    "Fluo-N3DH-CHO 02": ("Fluo-N3DH-CHO/02", "Fluo-N3DH-CHO/02_ERR_SEG"),
    "iPSC-02 01": ("iPSC-02/01", "iPSC-02/01_GT/TRA"),
}
FRAMES, SIMULATED_SEED = 60, 7


def main() -> None:
    args = _parse_arguments()
    record: dict[str, Any] = {**describe_run(), "rows": []}
    warnings.simplefilter("ignore", GnntrackWarning)
    for name, images, masks in [*_simulate(), *_find_real(args.data)]:
        for method in METHODS:
            row = {"movie": name, "method": method, **compare(images, masks, method, args.work)}
            record["rows"].append(row)
            print(row, flush=True)
            write_record(args.out, record, format_markdown(record))
    print(format_markdown(record))


def _simulate() -> Iterator[Source]:
    """Yield a movie with faults of each simulated kind."""
    for kind in MOVIE_KINDS:
        movie = gnntrack.simulate(kind=kind, frames=FRAMES, seed=SIMULATED_SEED)
        rng = np.random.default_rng(SEED)
        masks = np.stack([shuffle_labels(corrupt_mask(np.asarray(mask), rng), rng) for mask in movie.masks])
        yield kind, None if movie.images is None else np.array(movie.images), masks


def _find_real(data: Path) -> Iterator[Source]:
    for name, (images, masks) in REAL.items():
        if (data / masks).is_dir():
            yield name, data / images if (data / images).is_dir() else None, data / masks


def compare(images: object, masks: object, method: str, work: Path | None) -> dict[str, Any]:
    """Track a movie as a whole and in windows, and count what differs."""
    settings = Settings().replace(output__pictures=False)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        whole, other = Path(folder, "whole"), Path(folder, "windows")
        gnntrack.track(images, masks, out=whole, method=method, settings=settings)
        lineage = gnntrack.load(whole)
        n, halo = lineage.cells.n_frames, NETWORK_HALO if method == "gnn" else HALO
        most = round(len(lineage.cells) / n * (n / 4 + 2 * halo))
        job = plan_tracking(images, masks, method=method, solver=None, settings=settings, options={}, most_cells=most)
        run_job(job, Path(folder, "work"))
        collect_result(Path(folder, "work"), other)
        tables = [set((each / "res_track.txt").read_text(encoding="ascii").splitlines()) for each in (whole, other)]
        masks_differ = sum(
            path.read_bytes() != (other / path.name).read_bytes() for path in sorted(whole.glob("mask*.tif"))
        )
        links = [_list_links(each) for each in (lineage, gnntrack.load(other))]
        summary = json.loads((other / "gnntrack" / "summary.json").read_bytes())
        return {
            "frames": n,
            "cells": len(lineage.cells),
            "windows": len(read_windows(Path(folder, "work"))),
            "links": len(links[0]),
            "links_differ": len(links[0] ^ links[1]),
            "tracks_differ": len(tables[0] ^ tables[1]),
            "masks_differ": masks_differ,
            "conflicts": summary["windows"]["conflicts_at_seams"],
        }


def _list_links(lineage: gnntrack.Lineage) -> set[tuple[float, ...]]:
    """Return the links by frame and place of their cells."""
    cells = lineage.cells
    place = np.column_stack([cells.frame, cells.position])
    return set(map(tuple, np.hstack([place[lineage.source], place[lineage.target]]).tolist()))


def format_markdown(record: dict[str, Any]) -> str:
    """Return the table of a record with its circumstances."""
    names = ("frames", "cells", "windows", "links", "links_differ", "tracks_differ", "masks_differ")
    lines = [[row["movie"], f"`{row['method']}`", *(str(row[name]) for name in names)] for row in record["rows"]]
    head = ["movie", "method", "frames", "cells", "windows", "links", "other links", "other tracks", "other masks"]
    return "\n\n".join(["# Windows and the whole movie", format_circumstances(record), format_table(head, lines)])


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=get_default_data(), help="folder of the real movies")
    parser.add_argument("--work", type=Path, help="folder for temporary files")
    parser.add_argument("--out", type=Path, default=RESULTS / "windows.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
