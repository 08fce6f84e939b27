"""Tracks of real movies in every format of ``gnntrack convert`` and back: what is kept, and what is lost.

    python benchmarks/round_trips.py [--data FOLDER --data FOLDER] [--only TEXT]

Every ground truth and result of the Cell Tracking Challenge, and every GEFF, of the folders is converted into each
format, and this into a GEFF, which is compared with the source. A cell is kept if there is a cell in the same frame at
its place, less than a pixel away, and no other cell has it. A cell that is elsewhere counts as kept and moved: outlines
of TrackMate do not have holes and small pieces. Links and divisions are kept if their cells are.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from record import RESULTS, describe_run, format_circumstances, format_table, get_default_data, write_record
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

import gnntrack
from gnntrack.converting import convert
from gnntrack.errors import FormatError, GnntrackError, GnntrackWarning
from gnntrack.types import Lineage

FORMATS = {
    "geff": "a.geff",
    "trackmate": "a.xml",
    "csv": "tables",
    "napari": "a.csv",
    "btrack": "a.btrack.csv",
    "laptrack": "a.laptrack.csv",
    "mastodon": "a.mastodon.csv",
    "edges": "a.edges.csv",
    "ctc": "02_RES",
}
OF_MASKS = ("edges", "ctc")  # formats that points do not have


def find_sources(folders: list[Path], only: str) -> Iterator[tuple[str, Path]]:
    """Yield the name and path of each source."""
    for folder in folders:
        found = [*folder.glob("*/*_GT"), *folder.glob("*/*_RES"), *folder.glob("*/*.geff")]
        for path in sorted(found):
            name = f"{path.parent.name}/{path.name}"
            if only in name and (path.suffix or any(path.rglob("*_track.txt"))):
                yield name, path


def match_cells(one: Lineage, other: Lineage) -> tuple[np.ndarray, np.ndarray]:
    """Return the row of `other` of each cell of `one`, -1 for none and none twice, and how many pixels it is away."""
    ndim = min(one.cells.ndim, other.cells.ndim)  # a table in which every z is 0 is read as 2D
    places = [(each.cells.position / each.cells.spacing)[:, -ndim:] for each in (one, other)]
    row, distance = np.full(len(one.cells), -1), np.full(len(one.cells), np.inf)
    for frame in range(min(one.cells.n_frames, other.cells.n_frames)):
        here, there = (np.arange(len(each.cells))[each.cells.rows(frame)] for each in (one, other))
        if not len(here) or not len(there):
            continue
        away, near = cKDTree(places[1][there]).query(places[0][here])
        if len(np.unique(near)) < len(near):  # several cells are nearest to one: the best assignment
            cost = np.linalg.norm(places[0][here][:, None] - places[1][there], axis=2)
            mine, near = linear_sum_assignment(cost)
            here, away = here[mine], cost[mine, near]
        row[here], distance[here] = there[near], away
    return row, distance


def list_links(lineage: Lineage, row: np.ndarray) -> set[tuple[int, int]]:
    """Return the links by the rows that their cells have elsewhere."""
    ends = np.column_stack([row[lineage.source], row[lineage.target]])
    return set(map(tuple, ends[(ends >= 0).all(axis=1)].tolist()))


def list_divisions(links: set[tuple[int, int]]) -> set[tuple[int, ...]]:
    """Return the parent and the daughters of each division."""
    daughters: dict[int, list[int]] = {}
    for source, target in links:
        daughters.setdefault(source, []).append(target)
    return {(source, *sorted(each)) for source, each in daughters.items() if len(each) > 1}


def list_lost_attributes(one: Lineage, other: Lineage) -> list[str]:
    """Return what `one` has beside cells and links, and `other` does not."""
    measured = len(set(one.cells.feature_names) - set(other.cells.feature_names))
    lost = [f"{measured} of {len(one.cells.feature_names)} measurements"] if measured else []
    for name, mine, its in (
        ("axis z, on which all are at 0", one.cells.ndim, other.cells.ndim),
        ("unit", one.cells.unit, other.cells.unit),
        ("size of a pixel", one.cells.spacing, other.cells.spacing),
        ("interval", one.provenance.interval, other.provenance.interval),
        ("labels of cells", np.sort(one.cells.label).tolist(), np.sort(other.cells.label).tolist()),
        ("numbers of frames", one.cells.n_frames, other.cells.n_frames),
        ("size of the frames", one.cells.shape, other.cells.shape),
        ("confidences", np.sort(one.confidence).tolist(), np.sort(other.confidence).tolist()),
    ):
        if mine != its:
            lost.append(name)
    return lost


def compare(whole: Lineage, back: Lineage) -> dict[str, Any]:
    """Return numbers of cells, links and divisions, and how many of them are kept."""
    row, distance = match_cells(whole, back)
    moved = (row >= 0) & (distance >= 1)
    identity = np.arange(len(back.cells))
    links, now = list_links(whole, row), list_links(back, identity)
    all_links = set(zip(whole.source.tolist(), whole.target.tolist(), strict=True))
    kept = links & now
    divisions = list_divisions(all_links)
    mapped = {(row[one], *sorted(int(row[each]) for each in more)) for one, *more in divisions}
    return {
        "cells": len(whole.cells),
        "cells_kept": int((row >= 0).sum()),
        "cells_moved": int(moved.sum()),
        "farthest_pixels": round(float(distance[row >= 0].max(initial=0)), 3),
        "cells_added": len(back.cells) - int((row >= 0).sum()),
        "links": len(all_links),
        "links_kept": len(kept),
        "links_added": len(now - links),
        "divisions": len(divisions),
        "divisions_kept": len(mapped & list_divisions(now)),
        "attributes_lost": list_lost_attributes(whole, back),
    }


def go_there_and_back(source: Path, to: str, folder: Path) -> tuple[Lineage, Any]:
    """Return the lineage that comes back, and the conversion."""
    there = folder / FORMATS[to]
    done = convert(source, there, to=to)
    spacing = None
    if done.lineage.cells.unit == "um" and to not in {"geff", "trackmate", "edges", "ctc"}:
        spacing = done.lineage.cells.spacing
    masks = source / "TRA" if (source / "TRA").is_dir() else source
    return convert(there, folder / "back.geff", masks=masks if to == "edges" else None, spacing=spacing).lineage, done


def measure(name: str, source: Path) -> Iterator[dict[str, Any]]:
    """Yield a row per format, none for a source that is not a lineage, such as markers without masks."""
    try:
        whole = gnntrack.load(source, points=True)
    except FormatError as error:
        print(f"not read: {error}")
        return
    for to in FORMATS:
        if to in OF_MASKS and not whole.has_masks:
            continue
        begin = time.process_time()
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", GnntrackWarning)
            try:
                back, done = go_there_and_back(source, to, Path(folder))
            except GnntrackError as error:
                yield {"source": name, "format": to, "failed": str(error)}
                continue
            row = {"source": name, "format": to, "ndim": whole.cells.ndim, **compare(whole, back)}
        row["told"] = done.lost
        row["warnings"] = sorted({str(each.message).replace(str(source), name).replace(folder, "") for each in told})
        row["processor_seconds"] = round(time.process_time() - begin, 1)
        yield row


def format_results(rows: list[dict[str, Any]]) -> str:
    """Return a table of the formats, with sums over the sources."""
    lines = []
    for to in FORMATS:
        some = [row for row in rows if row["format"] == to and "failed" not in row]
        counts = [
            f"{sum(row[f'{what}_kept'] for row in some)} of {sum(row[what] for row in some)}"
            for what in ("cells", "links", "divisions")
        ]
        whole = sum(row["cells"] == row["cells_kept"] and row["links"] == row["links_kept"] for row in some)
        added = sum(row["links_added"] for row in some)
        moved = sum(row["cells_moved"] for row in some)
        lines.append([to, str(len(some)), str(whole), *counts, str(moved), str(added)])
    head = ["format", "sources", "kept whole", "cells", "links", "divisions", "cells moved", "links added"]
    return format_table(head, lines)


def main() -> None:
    """Measure all sources and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", help="folder of data sets; repeatable")
    parser.add_argument("--only", default="", help="text in the names of the sources")
    parser.add_argument("--out", type=Path, default=RESULTS / "round_trips.json")
    chosen = parser.parse_args()
    record: dict[str, Any] = {**describe_run(), "rows": []}
    for name, source in find_sources(chosen.data or [get_default_data()], chosen.only):
        for row in measure(name, source):
            record["rows"].append(row)
            print(*(f"{key}={value}" for key, value in row.items() if key not in {"told", "warnings"}), flush=True)
        text = f"# Round trips\n\n{format_circumstances(record)}\n\n{format_results(record['rows'])}"
        write_record(chosen.out, record, text)
    print(format_results(record["rows"]))


if __name__ == "__main__":
    main()
