"""Kinds of errors on degraded masks: what lowers LNK, CHOTA and BIO(1), on simulated movies of several kinds.

``python benchmarks/error_kinds.py --peer-python PATH`` writes ``results/error_kinds.json``, and its tables as Markdown.
The masks are those of the version ``hard`` (`perturbed.py`): 3 % of the cells dropped, 2 % merged with a neighbour, 2 %
split. ``--picture`` draws typical errors of the movie ``colony`` instead, in ``docs/pictures/errors.png``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from accuracy import run_ours
from baselines import PACKAGES, run_baseline
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from perturbed import PerturbedMovie, write_perturbed
from pictures import render, stretch
from record import (
    REPOSITORY,
    RESULTS,
    describe_run,
    format_circumstances,
    format_table,
    sort_methods,
    write_record,
)
from scipy import ndimage

from gnntrack import find_errors
from gnntrack.evaluate.error_kinds import ERROR_KINDS
from gnntrack.evaluate.error_shares import CORRECTIONS, SHARED
from gnntrack.io.ctc_table import parse_track_table
from gnntrack.pipeline import simulate
from gnntrack.report.palette import choose_family_colours
from gnntrack.settings import Settings
from gnntrack.training.sequences import find_sequences

SMALLEST = 60  # pixels of a cell in a crop that has its label
KINDS = ("cells", "colony", "sheet", "epithelium")
SEED, FRAMES = 7, 30
SHOWN = ("broken at merged cells", "broken at a missed cell", "split cell", "missed division")
HALF, SCALE = 32, 6  # of a crop: pixels from its middle to its border; size of a pixel

Row = dict[str, Any]


def main() -> None:
    args = _parse_arguments()
    settings = Settings()
    if args.picture:
        draw_errors(REPOSITORY / "docs" / "pictures" / "errors.png", settings)
        return
    record: dict[str, Any] = {**describe_run(), "settings": settings.to_dict(plain=True), "rows": []}
    for kind in args.kinds.split(","):
        with tempfile.TemporaryDirectory() as folder:
            twin = write_movie(kind, Path(folder))
            for method in args.methods.split(","):
                out = Path(folder) / method / "01_RES"
                if method in PACKAGES:
                    run_baseline(twin, out, method, args.peer_python)
                else:
                    run_ours(twin, out, method, settings)
                row = {"movie": kind, "method": method, **find_errors(out, twin.truth).summarise()}
                record["rows"].append(row)
                print(kind, method, row["errors"], row["metrics"], flush=True)
                write_record(args.out, record, format_markdown(record))


def write_movie(kind: str, folder: Path) -> PerturbedMovie:
    """Simulate a movie, and write its degraded version."""
    simulate(folder / kind, kind=kind, seed=SEED, frames=FRAMES)
    (sequence,) = find_sequences(folder / kind)
    return write_perturbed(sequence, folder / "hard", "hard")


def format_markdown(record: dict[str, Any]) -> str:
    """Return the tables of a record: a table for each metric, the movies in columns."""
    rows = {(row["movie"], row["method"]): row for row in record["rows"]}
    parts = ["# Kinds of errors on degraded masks", format_circumstances(record)]
    parts.append(
        f"Simulated movies with seed {SEED} and {FRAMES} frames, 3 % of the cells dropped, 2 % merged, 2 % split. Each "
        "cell: how much a kind of error lowers the metric, and the number of errors."
    )
    for method in sort_methods(dict.fromkeys(method for _, method in rows)):
        movies = [movie for movie, other in rows if other == method]
        for metric in SHARED:
            lines = [
                [name, *(_format_share(rows[movie, method], name, metric) for movie in movies)]
                for name in ERROR_KINDS
                if any(name in rows[movie, method]["kinds"] for movie in movies)
            ]
            lines.append(["in all", *(_format_total(rows[movie, method], metric) for movie in movies)])
            parts += [f"## `{method}`: {metric}", format_table(["kind", *movies], lines)]
    return "\n\n".join(parts)


def _format_share(row: Row, name: str, metric: str) -> str:
    share = row["kinds"].get(name)
    return f"{share['lost'][metric]:.4f} ({share['number']})" if share else ""


def _format_total(row: Row, metric: str) -> str:
    return f"{1 - row['metrics'][metric]:.4f} ({row['errors']})"


def draw_errors(path: Path, settings: Settings) -> None:
    """Draw the errors of a colony of bacteria."""
    with tempfile.TemporaryDirectory() as folder:
        twin, result = write_movie("colony", Path(folder)), Path(folder) / "hungarian" / "01_RES"
        run_ours(twin, result, "hungarian", settings)
        figure = draw_result(twin, result)
    render(figure).save(path, optimize=True)


def draw_result(twin: PerturbedMovie, result: Path) -> Figure:
    """Draw an error of each kind of `SHOWN` before, at and after it, with outlines of both sides."""
    table = find_errors(result, twin.truth).to_pandas()
    shape = tifffile.imread(next(iter(sorted(result.glob("*.tif"))))).shape
    sides = {"ground truth": twin.truth / "TRA", "result": result}
    figure = Figure(figsize=(9.2, 6.4), layout="constrained")
    axes = figure.subplots(len(SHOWN), 6)
    for line, kind in zip(axes, SHOWN, strict=True):
        error = choose_error(table[table["kind"] == kind], shape)
        frames = error.frame - 1, error.frame, max(error.last_frame, error.frame + 1)
        labels = [[read_crop(folder, t, error) for t in frames] for folder in sides.values()]
        colours = match_colours(labels)
        for side, (name, folder) in enumerate(sides.items()):
            born = find_births(folder)
            for k, t in enumerate(frames):
                ax, crop = line[3 * side + k], labels[side][k]
                draw_crop(ax, read_crop(twin.images, t, error), crop, colours[side])
                write_labels(ax, crop, {label: text for (label, frame), text in born.items() if frame == t})
                ax.set_title(f"{name}, frame {t}", fontsize=7)
        line[0].set_ylabel(kind, fontsize=8)
    return figure


def choose_error(table: Any, shape: tuple[int, ...]) -> Any:
    """Return the error with the fewest corrections of those that are short and far from the border."""
    inside = (table[["y", "x"]] >= HALF).all(axis=1)
    inside &= (table["y"] < shape[0] - HALF) & (table["x"] < shape[1] - HALF)
    short = (table["last_frame"] <= table["frame"] + 2) & (table["frame"] > 0) & (table["last_frame"] < FRAMES - 1)
    found = table[inside & short]
    if found.empty:
        sys.exit("an error of a kind is missing in this movie; choose another seed")
    corrections = found[list(CORRECTIONS)].sum(axis=1)
    return next(found.loc[corrections.sort_values(kind="stable").index].itertuples())


def read_crop(folder: Path, frame: int, error: Any) -> np.ndarray:
    """Return the pixels of a frame around an error."""
    image = tifffile.imread(sorted(folder.glob("*.tif"))[frame])
    y, x = round(error.y), round(error.x)
    return image[y - HALF : y + HALF, x - HALF : x + HALF]


def match_colours(labels: list[list[np.ndarray]]) -> list[dict[int, int]]:
    """Return a number for each track of the ground truth and of the result; tracks that match first share it."""
    truth, result = labels
    numbers: list[dict[int, int]] = [{}, {}]
    for t in range(len(truth)):
        for label in np.unique(truth[t][truth[t] > 0]).tolist():
            numbers[0].setdefault(label, label)
        for label in np.unique(result[t][result[t] > 0]).tolist():
            under = truth[t][(result[t] == label) & (truth[t] > 0)]
            same = int(np.bincount(under).argmax()) if len(under) else 0
            fresh = same and same not in numbers[1].values()
            numbers[1].setdefault(label, same if fresh else 1000 + label)
    return numbers


def find_births(folder: Path) -> dict[tuple[int, int], str]:
    """Return the text at a cell whose track has a parent, by label and first frame."""
    rows = parse_track_table(next(folder.glob("*_track.txt"))).rows.tolist()
    return {(label, begin): f"{label} of {parent}" for label, begin, _, parent in rows if parent}


def write_labels(ax: Any, labels: np.ndarray, births: dict[int, str]) -> None:
    """Write the label of each cell, with that of its parent in its first frame, at its centre."""
    for label in np.unique(labels[labels > 0]).tolist():
        y, x = np.argwhere(labels == label).mean(axis=0) * SCALE
        text = births.get(label, str(label))
        if np.count_nonzero(labels == label) > SMALLEST:
            written = ax.text(x, y, text, color="white", fontsize=7, ha="center", va="center", clip_on=True)
            written.set_path_effects([withStroke(linewidth=2, foreground="black")])


def draw_crop(ax: Any, image: np.ndarray, labels: np.ndarray, numbers: dict[int, int]) -> None:
    """Draw grey values with an outline in the colour of its track around each cell."""
    large, cells = (np.kron(each, np.ones((SCALE, SCALE), each.dtype)) for each in (stretch(image), labels))
    edge = (ndimage.minimum_filter(cells, 5) != ndimage.maximum_filter(cells, 5)) & (cells > 0)
    picture = np.repeat(0.7 * (large // 16)[..., None] / 15, 3, axis=2)  # few grey values, for a small file
    number = np.zeros(int(cells.max()) + 1, np.int64)
    for label, value in numbers.items():
        if label < len(number):
            number[label] = value
    picture[edge] = choose_family_colours(number[cells[edge]])
    ax.imshow(picture)
    ax.set_xticks([])
    ax.set_yticks([])


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--methods", default="hungarian,laptrack")
    parser.add_argument("--peer-python", default=sys.executable, help="Python interpreters with laptrack and ByoTrack")
    parser.add_argument("--picture", action="store_true", help="draw typical errors instead")
    parser.add_argument("--out", type=Path, default=RESULTS / "error_kinds.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
