"""Scale of `gnntrack track`: time, memory and accuracy from 10,000 to 10,000,000 cells, on 1 to N workers; peers.

``python benchmarks/scale.py`` writes ``results/scale.json``, its tables as Markdown, and ``docs/pictures/scale.png``.
The movies are simulated (`scale_movies.py`): moving, dividing nuclei of which 3 % are missed, with 2 % of false ones,
in more and more frames of more and more cells. Each run is the command line in a process of its own, from the file to
the written result; the memory is that of the process and all that it starts, and the stages are those that
``summary.json`` records. Rows of earlier runs are kept unless they are measured again.

``--only points`` or another kind, ``--sizes 1e4,1e5``, ``--workers 1,2`` and ``--peers laptrack,trackpy`` measure some
rows. ``--dask`` measures workers of a local scheduler of Dask in place of processes. Movies that do not fit on the disk
are left out, with a message.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from record import REPOSITORY, RESULTS, describe_run, read_rows, replace_row, write_record
from scale_model import measure_disk
from scale_movies import find_shape, write_masks, write_points
from scale_peers import PEERS, choose_gate, find_interpreters, run_peer
from scale_run import measure_command
from scale_scores import read_links, score_links
from scale_table import DASK, draw_scale, format_markdown

Row = dict[str, Any]

KINDS: dict[str, tuple[bool, bool, tuple[str, ...]]] = {  # masks, images, options
    "points": (False, False, ()),
    "masks": (True, False, ()),
    "images": (True, True, ()),
    "gnn": (True, True, ("--method", "gnn")),
}
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
BYTES = {"points": 1000, "masks": 700, "images": 900, "gnn": 900}  # of disk per cell: movie, work folder and result
LARGEST = {"points": 10_000_000, "masks": 10_000_000, "images": 1_000_000, "gnn": 1_000_000}
SEED, SEED_OF_SETTINGS = 1, 1000
KEY = ("kind", "size", "workers", "method")


def main() -> None:
    args = _parse_arguments()
    record: Row = {**describe_run(), "seed": SEED, "limits": {"gb": args.most_gb, "minutes": args.most_minutes}}
    old = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {}
    record["rows"], record["disk"] = read_rows(args.out), old.get("disk")

    def keep(row: Row) -> None:
        row = {**row, "date": record["date"], "revision": record["revision"], "load": round(os.getloadavg()[0], 1)}
        record["rows"] = replace_row(record["rows"], KEY, row)
        print(json.dumps(row), flush=True)
        write_record(args.out, record, format_markdown(record))

    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        if args.disk:
            record["disk"] = measure_disk(Path(folder))
        for row in _run_all(args, Path(folder)):
            keep(row)
    write_record(args.out, record, format_markdown(record))
    if args.picture is not None:
        draw_scale(record, args.picture)
    print(format_markdown(record))


def _run_all(args: argparse.Namespace, work: Path) -> Iterator[Row]:
    for size in args.sizes:
        for kind in args.only:
            if size > LARGEST[kind]:
                continue
            with open_movie(kind, size, work) as (movie, about):
                large = size >= args.least_shared
                for workers in args.workers if large else args.workers[:1]:
                    if "skipped" in about:
                        print(f"{kind}, {size} cells: {about['skipped']}", file=sys.stderr)
                        break
                    row = run_gnntrack(kind, movie, work / "result", workers=workers, large=large, limits=args)
                    yield {**_name(kind, size, workers, DASK if args.dask else "gnntrack"), **about, **row}
    interpreters = find_interpreters(args.peer_python.split(","))
    for peer in args.peers:
        if peer not in interpreters:
            print(f"{peer} is not installed in any of --peer-python", file=sys.stderr)
            continue
        yield from _run_peer_sizes(peer, interpreters[peer], args, work)


def _run_peer_sizes(peer: str, python: str, args: argparse.Namespace, work: Path) -> Iterator[Row]:
    """Yield the rows of a peer, from the smallest movie to the first that is too large for it."""
    kind = "images" if peer == "koft" else "points"
    with open_movie(kind, SIZES[0], work, seed=SEED_OF_SETTINGS) as (movie, _):
        settings = choose_gate(peer, python, movie, work, most_seconds=args.peer_minutes * 60)
    for size in args.sizes:
        with open_movie(kind, size, work) as (movie, about):
            limits = {"most_seconds": args.peer_minutes * 60, "most_gb": args.peer_gb}
            row = run_peer(peer, python, movie, settings, work / "links", **limits)
        yield {**_name(kind, size, 1, peer), **about, **row}
        if "failed" in row:
            break


def _name(kind: str, size: int, workers: int, method: str) -> Row:
    return {"kind": kind, "size": size, "workers": workers, "method": method}


@contextmanager
def open_movie(kind: str, size: int, work: Path, *, seed: int = SEED) -> Iterator[tuple[Path, Row]]:
    """Yield the folder of a simulated movie and its numbers; the folder is removed at the end."""
    masks, images, _ = KINDS[kind]
    folder, free = work / "movie", shutil.disk_usage(work).free
    if size * BYTES[kind] > free * 0.8:
        yield folder, {"skipped": f"needs about {size * BYTES[kind] / 1e9:.0f} GB, and {free / 1e9:.0f} GB are free"}
        return
    nuclei = find_shape(size)
    try:
        yield (
            folder,
            write_masks(nuclei, seed, folder, images=images) if masks else write_points(nuclei, seed, folder),
        )
    finally:
        shutil.rmtree(folder)


def run_gnntrack(kind: str, movie: Path, out: Path, *, workers: int, large: bool, limits: argparse.Namespace) -> Row:
    """Track a movie from the command line, and score the result; large ones keep their shards, which are measured."""
    masks, images, options = KINDS[kind]
    sources = [*([movie / "images"] if images else []), *(["--masks"] if masks and not images else [])]
    sources += [movie / "masks"] if masks else ["--points", movie / "points.csv"]
    command = [sys.executable, "-m", "gnntrack", "track", *sources, *options, "-o", out]
    shards = out.with_name("shards")
    command += ["--scheduler", "local"] if limits.dask else []
    command += ["--workers", str(workers)] if limits.dask or workers > 1 else []
    command += [*limits.more.split(), *(["--work", shards] if large else [])]
    used = measure_command(command, most_seconds=limits.most_minutes * 60, most_gb=limits.most_gb, cwd=REPOSITORY)
    try:
        if "failed" in used:
            return used
        summary = json.loads((out / "gnntrack" / "summary.json").read_text(encoding="utf-8"))
        with np.load(movie / "truth.npz") as arrays:
            truth = dict(arrays)
        bytes_of = {"output_bytes": _measure_folder(out), "shard_bytes": _measure_folder(shards)}
        more = {"more": limits.more} if limits.more else {}
        return {**used, "stages": summary["stages"], **bytes_of, **more, **score_links(read_links(out, truth), truth)}
    finally:
        for folder in (out, shards):
            shutil.rmtree(folder, ignore_errors=True)


def _measure_folder(folder: Path) -> int:
    """Return the bytes of all files in a folder, 0 if there is none."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", type=_split, default=list(KINDS), help="kinds; 'none': peers alone")
    parser.add_argument("--sizes", type=lambda text: [round(float(each)) for each in text.split(",")], default=SIZES)
    parser.add_argument("--workers", type=lambda text: [int(each) for each in text.split(",")], default=[1, 2])
    parser.add_argument("--least-shared", type=float, default=1e6, help="cells from which on several workers are tried")
    parser.add_argument("--peers", type=_split, default=list(PEERS), help="'none': gnntrack alone")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreters with the peers")
    parser.add_argument("--more", default="", help="further options of 'gnntrack track', such as '--max-memory 2GB'")
    parser.add_argument("--most-minutes", type=float, default=60, help="of a run of gnntrack")
    parser.add_argument("--most-gb", type=float, default=4.0)
    parser.add_argument("--peer-minutes", type=float, default=10)
    parser.add_argument("--peer-gb", type=float, default=3.0)
    parser.add_argument("--dask", action="store_true", help="workers are those of a local scheduler of Dask")
    parser.add_argument("--disk", action="store_true", help="measure the rates of the disk, for the model of a cluster")
    parser.add_argument("--work", type=Path, help="folder for temporary files")
    parser.add_argument("--out", type=Path, default=RESULTS / "scale.json")
    parser.add_argument("--picture", type=Path, default=REPOSITORY / "docs" / "pictures" / "scale.png")
    return parser.parse_args()


def _split(text: str) -> list[str]:
    return [] if text == "none" else text.split(",")


if __name__ == "__main__":
    sys.exit(main())
