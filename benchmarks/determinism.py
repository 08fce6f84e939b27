"""Determinism: the same movie gives the same bytes, whatever the machine and the files are like.

``python benchmarks/determinism.py`` tracks movies again and again: with other numbers of threads and cores, another
seed of Python's hashes, files that are listed in another order, other types and layouts of the same pixels, and other
labels of the same cells. The masks, the tables and the graph are compared byte for byte with those of the first run
(JSON files, which hold paths and seconds, are not). Segmentation, detection and training, which use networks, are
repeated with other numbers of threads, with and without ``--deterministic``.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
import zarr
from record import REPOSITORY, RESULTS, describe_run, format_circumstances, get_default_data
from same_cases import SEGMENTER, TRAIN, add_faults

import gnntrack
from gnntrack.errors import GnntrackWarning

Stack = npt.NDArray[Any]
Outputs = Mapping[str, bytes]

_MOVIES = {  # images, masks, frames
    "Fluo-N2DL-HeLa 01": ("Fluo-N2DL-HeLa/01", "Fluo-N2DL-HeLa/01_ERR_SEG", 15),
    "Fluo-N2DH-SIM+ 01, faults": ("Fluo-N2DH-SIM+/01", "Fluo-N2DH-SIM+/01_GT/SEG", 20),
    "Fluo-N3DH-CHO 02": ("Fluo-N3DH-CHO/02", "Fluo-N3DH-CHO/02_ERR_SEG", 8),
}
METHODS = {
    "hungarian": {"method": "hungarian"},
    "gnn": {"method": "gnn"},
    "auto": {"method": "auto"},
    "exact": {"goal": "identity"},
}
_RUN = """
import os, sys
sys.path.append({benchmarks!r})
from shuffled_listings import shuffle_listings
if {cores}:
    os.cpu_count = lambda: {cores}
if {order}:
    shuffle_listings({order})
from gnntrack.cli import main
sys.argv[0] = "gnntrack"
main()
"""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Surroundings:
    """What a run finds: none of it may change the result.

    Parameters
    ----------
    threads : int
        Threads of numerical libraries.
    hashes : int
        Seed of the hashes of Python.
    cores : int
        Number of cores that Python reports; 0 keeps that of the machine.
    order : int
        Seed of the order in which files are listed; 0 keeps that of the file system.
    """

    threads: int = 1
    hashes: int = 0
    cores: int = 0
    order: int = 0

    def run(self, words: Sequence[str], place: Path) -> None:
        """Run a command of gnntrack in a folder.

        Raises
        ------
        RuntimeError
            If it fails.
        """
        code = _RUN.format(benchmarks=str(Path(__file__).parent), cores=self.cores, order=self.order)
        path = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, **dict.fromkeys(_THREADS, str(self.threads)), "PYTHONPATH": path}
        environment |= {"PYTHONHASHSEED": str(self.hashes)}
        command = [sys.executable, "-c", code, *words]
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            msg = f"{' '.join(words)}: exit code {done.returncode}\n{done.stderr}"
            raise RuntimeError(msg)


@dataclass(frozen=True)
class Layout:
    """How a movie is stored; none of it may change the result.

    Parameters
    ----------
    kind : str
        ``tif`` (a file per frame), ``pages`` (one TIFF), ``zarr`` or ``npy``.
    options : dict
        Of the writer.
    labels : dtype, optional
        Type of the masks; by default their own.
    permuted : bool
        The cells of each frame have other labels.
    """

    kind: str = "tif"
    options: Mapping[str, Any] = field(default_factory=dict)
    labels: str | None = None
    permuted: bool = False

    def write(self, images: Stack, masks: Stack, folder: Path) -> tuple[str, str]:
        """Write images and masks into a folder, and return their names."""
        masks = permute_labels(masks) if self.permuted else masks
        masks = masks if self.labels is None else masks.astype(self.labels)
        folder.mkdir(parents=True)
        return self._write_stack(images, folder / "01", "t"), self._write_stack(masks, folder / "01_ERR_SEG", "mask")

    def _write_stack(self, stack: Stack, path: Path, prefix: str) -> str:
        if self.kind == "tif":
            path.mkdir()
            for frame, each in enumerate(stack):
                tifffile.imwrite(path / f"{prefix}{frame:03d}.tif", each, photometric="minisblack", **self.options)
            return path.name
        path = path.with_suffix({"pages": ".tif"}.get(self.kind, f".{self.kind}"))
        if self.kind == "pages":
            axes = "TZYX"[-stack.ndim :] if stack.ndim == 4 else "TYX"
            tifffile.imwrite(path, stack, imagej=False, ome=False, metadata={"axes": axes}, **self.options)
        elif self.kind == "npy":
            np.save(path, stack)
        else:
            chunks = tuple(map(min, zip(stack.shape, (*self.options["chunks"],) + (10**6,) * stack.ndim, strict=False)))
            array = zarr.create_array(path, shape=stack.shape, dtype=stack.dtype, chunks=chunks)
            array[...] = stack
        return path.name


SURROUNDINGS = {
    "another process": Surroundings(),
    "2 threads": Surroundings(threads=2),
    "4 threads": Surroundings(threads=4),
    "hash seed 1": Surroundings(hashes=1),
    "1 core": Surroundings(cores=1),
    "32 cores": Surroundings(cores=32),
    "files in another order": Surroundings(order=7),
}
LAYOUTS = {
    "zlib": Layout(options={"compression": "zlib"}),
    "LZW, 5 rows a strip": Layout(options={"compression": "lzw", "rowsperstrip": 5}),
    "tiles": Layout(options={"tile": (64, 64)}),
    "one TIFF": Layout("pages"),
    "one array": Layout("npy"),
    "zarr, a chunk a frame": Layout("zarr", {"chunks": (1,)}),
    "zarr, chunks over frames": Layout("zarr", {"chunks": (4, 50, 70, 90)}),
    "labels of 8 bits": Layout(labels="uint8"),
    "labels of 32 bits": Layout(labels="uint32"),
    "signed labels": Layout(labels="int64"),
    "other labels": Layout(permuted=True),
}
_NETWORKS = {
    "segment unet": ("segment", "in/01", "--segmenter", "unet", "-o", "out/masks"),
    "detect heatmap": ("detect", "in/01", "--detector", "heatmap", "-o", "out/points.csv"),
    "track gnn": ("track", "in/01", "in/01_ERR_SEG", "--method", "gnn", "--device", "cpu", "-o", "out/01_RES"),
    "train": ("train", "in", "--config", "train.toml", "-o", "out/model"),
    "train-segmenter unet": ("train-segmenter", "unet", "in", "--config", "segmenter.toml", "-o", "out/model"),
    "train-detector": ("train-detector", "--simulated", "2", "--steps", "4", "--batch", "2", "-o", "out/model"),
}


def number_labels(masks: Stack) -> Stack:
    """Return masks whose labels are 1, 2, 3, ... in each frame, in the order of those before."""
    out = np.zeros(masks.shape, np.uint16)
    for before, after in zip(masks, out, strict=True):
        after[...] = np.unique(np.append(before, 0), return_inverse=True)[1].reshape(-1)[:-1].reshape(before.shape)
    return out


def permute_labels(masks: Stack) -> Stack:
    """Return masks with other labels of the same cells, others in each frame."""
    random = np.random.default_rng(0)
    out = np.zeros_like(masks)
    for before, after in zip(masks, out, strict=True):
        labels = np.unique(before[before > 0])
        lookup = np.zeros(int(before.max()) + 1, masks.dtype)
        lookup[labels] = random.permutation(len(labels)) + 1 + int(random.integers(9))
        after[...] = lookup[before]
    return out


def read_outputs(folder: Path) -> Outputs:
    """Return the files of a result by name, without those that hold paths or seconds, and without pictures."""
    files = {str(each.relative_to(folder)): each for each in sorted(folder.rglob("*")) if each.is_file()}
    skipped = (".json", ".zattrs", ".png", ".toml")
    return {name: file.read_bytes() for name, file in files.items() if not name.endswith(skipped)}


def number_by_place(outputs: Outputs) -> Outputs:
    """Return masks and ``res_track.txt`` with tracks numbered by frame and first pixel, not by labels of the input."""
    masks = {name: tifffile.imread(io.BytesIO(each)) for name, each in outputs.items() if name.endswith(".tif")}
    found = np.concatenate([each.ravel()[np.sort(np.unique(each, return_index=True)[1])] for each in masks.values()])
    ids = list(dict.fromkeys([0, *found.tolist()]))  # in the order in which they are first seen
    lookup = np.zeros(max(ids) + 1, np.int64)
    lookup[ids] = np.arange(len(ids))
    rows = np.loadtxt(io.BytesIO(outputs["res_track.txt"]), np.int64, ndmin=2)
    rows[:, [0, 3]] = lookup[rows[:, [0, 3]]]
    rows = rows[np.argsort(rows[:, 0])]
    return {name: lookup[each].tobytes() for name, each in masks.items()} | {"res_track.txt": rows.tobytes()}


def list_differences(expected: Outputs, found: Outputs) -> list[str]:
    """Return the names of the files that differ."""
    return sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))


def track(
    layout: Layout, movie: tuple[Stack, Stack], options: Mapping[str, str], surroundings: Surroundings | None = None
) -> Outputs:
    """Track a movie in a new folder, in this process or in another one, and return the files of the result."""
    with tempfile.TemporaryDirectory(prefix="determinism-") as place:
        names = layout.write(*movie, Path(place, "in"))
        if surroundings is None:
            images, masks = (Path(place, "in", name) for name in names)
            gnntrack.track(images, masks, out=Path(place, "01_RES"), pictures=False, **options)
        else:
            words = [f"--{name}={value}" for name, value in options.items()]
            inputs = [f"in/{name}" for name in names]
            surroundings.run(["track", *inputs, "-o", "01_RES", "--no-pictures", *words], Path(place))
        return read_outputs(Path(place, "01_RES"))


def compare_tracking(movie: tuple[Stack, Stack], method: str) -> Iterator[dict[str, Any]]:
    """Yield a row for each variant of a movie that is tracked by a method."""
    options = METHODS[method]
    expected = track(Layout(), movie, options)
    for name, surroundings in SURROUNDINGS.items():
        found = track(Layout(), movie, options, surroundings)
        yield {"variant": name, "files": len(expected), "differing": list_differences(expected, found)}
    for name, layout in LAYOUTS.items():
        if layout.labels == "uint8" and movie[1].max() > 255:
            continue
        both = expected, track(layout, movie, options)
        if layout.permuted:  # tracks that begin in one frame are numbered in the order of the labels of the input
            both = number_by_place(both[0]), number_by_place(both[1])
        yield {"variant": name, "files": len(both[0]), "differing": list_differences(*both)}


def compare_networks(place: Path, name: str) -> Iterator[dict[str, Any]]:
    """Yield a row for each number of threads of a command that uses a network of torch."""
    for words in ((), ("--deterministic",)):
        outputs = []
        for threads in (1, 1, 2, 4):
            shutil.rmtree(place / "out", ignore_errors=True)
            (place / "out").mkdir()
            start = time.monotonic()
            Surroundings(threads=threads).run([*_NETWORKS[name], *words], place)
            outputs.append((threads, time.monotonic() - start, read_outputs(place / "out")))
        for threads, seconds, found in outputs[1:]:
            yield {
                "command": " ".join([name, *words]),
                "variant": f"{threads} threads" if threads > 1 else "again",
                "seconds": round(seconds, 1),
                "files": len(found),
                "differing": list_differences(outputs[0][2], found),
            }


def read_movie(data: Path, name: str, work: Path) -> tuple[Stack, Stack]:
    """Return the first images and masks of a movie; labels are numbered from 1 in each frame."""
    home, masks, frames = _MOVIES[name]
    if "faults" in name:
        add_faults(data / masks, work / "faults")
        source = work / "faults"
    else:
        source = data / masks
    both = (sorted(folder.glob("*.tif"))[:frames] for folder in (data / home, source))
    images, labels = (np.stack([tifffile.imread(file) for file in files]) for files in both)
    return images, number_labels(labels)


def main() -> None:
    """Compare the runs, and write the record after each movie and each command."""
    args = _parse_arguments()
    warnings.simplefilter("ignore", GnntrackWarning)  # of sizes that are not known
    record: dict[str, Any] = {**describe_run(), "tracking": [], "networks": []}
    if args.out.is_file() and (args.only or args.methods != list(METHODS)):
        before = json.loads(args.out.read_text(encoding="utf-8"))
        record |= {name: before[name] for name in ("tracking", "networks")}
    with tempfile.TemporaryDirectory(prefix="determinism-") as temporary:
        work = Path(temporary)
        for name in filter(lambda name: args.only in name, _MOVIES):
            movie = read_movie(args.data, name, work)
            for method in args.methods:
                found = [
                    {"movie": name, "method": method, **row, "revision": record["revision"]}
                    for row in compare_tracking(movie, method)
                ]
                _replace_rows(record["tracking"], found, ("movie", "method"))
                write_record(args.out, record)
        make_place(work)
        for name in filter(lambda name: args.only in name, _NETWORKS):
            found = [{**row, "revision": record["revision"]} for row in compare_networks(work, name)]
            _replace_rows(record["networks"], found, ("command",))
            write_record(args.out, record)
    different = [row for row in record["tracking"] if row["differing"]]
    sys.exit(f"{len(different)} results differ" if different else 0)


def _replace_rows(rows: list[dict[str, Any]], found: list[dict[str, Any]], names: Sequence[str]) -> None:
    """Put rows in the place of earlier ones of the same movie, method or command, and print them."""
    for row in found:
        values = (
            str(value) for name, value in row.items() if name not in {"differing", "files", "seconds", "revision"}
        )
        print(*values, *row["differing"][:3] or ["equal"], sep="  ", flush=True)
    keys = {tuple(row[name] for name in names) for row in found}
    rows[:] = [row for row in rows if tuple(row[name] for name in names) not in keys] + found


def write_record(out: Path, record: Mapping[str, Any]) -> None:
    """Write the record and its tables."""
    out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    out.with_suffix(".md").write_text(format_tables(record), encoding="utf-8")


def make_place(place: Path) -> None:
    """Write a simulated movie with masks and truth, and the settings of trainings."""
    simulated = ("--frames", "10", "--shape", "96,96", "--cells", "6", "--cycle", "8", "--seed", "3")
    Surroundings().run(["simulate", *simulated, "-o", "in"], place)
    (place / "train.toml").write_text(TRAIN, encoding="utf-8")
    (place / "segmenter.toml").write_text(SEGMENTER, encoding="utf-8")


def format_tables(record: Mapping[str, Any]) -> str:
    """Return the record as a page."""
    tracking: list[dict[str, Any]] = record["tracking"]
    lines = ["# Determinism", "", format_circumstances(record), "", "## Tracking", ""]
    methods = list(dict.fromkeys(row["method"] for row in tracking))
    lines += [
        f"Movies: {', '.join(dict.fromkeys(row['movie'] for row in tracking))}. Each is tracked again with every "
        "variant. A cell counts the movies whose masks, tables and graph are equal byte for byte to those of the first "
        "run. With other labels, masks and `res_track.txt` are compared, with tracks numbered by their place. "
        f"{_list_revisions(tracking)}",
        "",
        f"| variant | {' | '.join(methods)} |",
        "|---|" + "---|" * len(methods),
    ]
    for variant in dict.fromkeys(row["variant"] for row in tracking):
        cells = []
        for method in methods:
            rows = [row for row in tracking if (row["variant"], row["method"]) == (variant, method)]
            cells.append(f"{sum(not row['differing'] for row in rows)} of {len(rows)}")
        lines.append(f"| {variant} | {' | '.join(cells)} |")
    lines += [
        "",
        "## Networks",
        "",
        "Commands on a simulated movie that use a network with torch on the CPU; compared with a run with one thread. "
        f"{_list_revisions(record['networks'])}",
        "",
        "| command | variant | files | differing |",
        "|---|---|---|---|",
    ]
    for row in record["networks"]:
        differing = ", ".join(row["differing"][:3]) or "none"
        lines.append(f"| {row['command']} | {row['variant']} | {row['files']} | {differing} |")
    return "\n".join(lines) + "\n"


def _list_revisions(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the revisions that rows were measured with."""
    return f"Revision: {', '.join(dict.fromkeys(row['revision'] for row in rows))}."


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=get_default_data(), help="folder of the movies")
    parser.add_argument(
        "--only", default="", help="movies and commands whose names contain this text; other rows are kept"
    )
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--out", type=Path, default=RESULTS / "determinism.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
