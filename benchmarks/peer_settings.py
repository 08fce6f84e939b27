"""Settings of the peers that link tables of cells, chosen on other data than they are tested on.

laptrack's authors search for its parameters on movies with ground truth, and btrack's advise to adapt its published
ones; so each peer gets the settings of a grid with the smallest error of links. For each tested data set they are
chosen on all other data sets. ``python benchmarks/peer_settings.py --peer-python PATH`` writes
``results/peer_settings.json``. Lengths are multiples of the gate of KOFT (`baselines.CellTable`), so that they fit
movies of any magnification.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from baselines import LINKERS, CellTable, run_linker_settings
from folds import NEVER, TESTED
from perturbed import write_frames, write_perturbed
from recall import find_true_links
from record import RESULTS, describe_run, format_circumstances, format_table, get_default_data, write_record

from gnntrack.training.sequences import find_sequences

FRAMES = 50  # the first of each movie
MISSED = 1.5  # weight of a missed link, 1 for a wrong one, as in the measure of the challenge
START: dict[str, dict[str, Any]] = {
    "laptrack": {"link": 1.0, "gap": 1.0, "split": 1.0, "missing": 1},
    "btrack": {"radius": 1.0, "cell_radius": 0.0, "prob_not_assign": 0.1, "visual": False},
}
GRIDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "laptrack": {
        "link": (0.35, 0.5, 0.75, 1.0, 1.5),
        "split": (0.0, 0.35, 0.5, 0.75, 1.0),
        "gap": (0.35, 0.5, 0.75, 1.0, 1.5),
        "missing": (0, 1, 2),
    },
    "btrack": {
        "radius": (0.5, 1.0, 2.0, 4.0),
        "cell_radius": (0.0, 5.0, 10.0, 20.0),  # pixels; 0: the positions are not scaled
        "prob_not_assign": (0.001, 0.1),
        "visual": (False, True),
    },
}

Settings = dict[str, Any]


class Search:
    """Errors of a linker on each version of each movie, each measured once."""

    def __init__(self, name: str, movies: list[Movie], python: str) -> None:
        self.name, self.movies, self.python = name, movies, python
        self.errors: dict[str, dict[str, float]] = {}

    def choose(self, left_out: str) -> Settings:
        """Return the best settings on all data sets but one: the best value of one setting after another."""
        best = dict(START[self.name])
        for key, values in GRIDS[self.name].items():
            options = [{**best, key: value} for value in values]
            self._measure(options)
            best = min(options, key=lambda each: self.get_error(each, left_out))
        return best

    def get_error(self, settings: Settings, left_out: str) -> float:
        """Return the mean over data sets of the error of links."""
        found = self.errors[json.dumps(settings)]
        datasets = {movie.dataset for movie in self.movies if movie.dataset != left_out}
        return fmean(
            fmean(found[movie.name] for movie in self.movies if movie.dataset == dataset) for dataset in datasets
        )

    def _measure(self, options: list[Settings]) -> None:
        new = [each for each in options if json.dumps(each) not in self.errors]
        for each in new:
            self.errors[json.dumps(each)] = {}
        for movie in self.movies if new else ():
            found = run_linker_settings(movie.table, self.name, new, self.python)
            for each, (_, links) in zip(new, found, strict=True):
                self.errors[json.dumps(each)][movie.name] = movie.compute_error(links)
            print(
                self.name, movie.name, [round(self.errors[json.dumps(each)][movie.name], 4) for each in new], flush=True
            )


class Movie:
    """The cells of a version of a movie, and their true links."""

    def __init__(self, dataset: str, name: str, table: CellTable, masks: Path, truth: Path) -> None:
        self.dataset, self.name, self.table = dataset, name, table
        links = find_true_links(table.cells, masks, truth)[0]
        self.true = self._number(links)
        self.known = np.unique(links)

    def compute_error(self, links: Any) -> float:
        """Return the error of links: missed and wrong ones, as a fraction of the true ones.

        Links between cells that belong to no true link are not counted.
        """
        found = self._number(links[np.isin(links, self.known).any(axis=1)])
        right = np.intersect1d(found, self.true).size
        return float((MISSED * (self.true.size - right) + found.size - right) / (MISSED * self.true.size))

    def _number(self, links: Any) -> Any:
        return np.unique(links[:, 0] * len(self.table.cells) + links[:, 1])


def main() -> None:
    args = _parse_arguments()
    record: dict[str, Any] = {**describe_run(), "frames": FRAMES, "start": START, "grids": GRIDS, **_read_others(args)}
    with tempfile.TemporaryDirectory() as temporary:
        movies = list(_read_movies(args.data, Path(temporary), args.twins.split(",")))
        for name in args.linkers.split(","):
            search = Search(name, movies, args.peer_python)
            chosen = {left_out or "all": search.choose(left_out) for left_out in (*TESTED, "")}
            record["chosen"][name] = chosen
            record["errors"][name] = [
                {"settings": json.loads(key), "error": round(fmean(found.values()), 5)}
                for key, found in search.errors.items()
            ]
            write_record(args.out, record, format_markdown(record))


def format_markdown(record: dict[str, Any]) -> str:
    """Return the table of a record."""
    lines = [
        [name, left_out, ", ".join(f"{key} {value}" for key, value in settings.items())]
        for name, chosen in record["chosen"].items()
        for left_out, settings in chosen.items()
    ]
    about = "Settings chosen on all data sets but one; `all`: on all. Lengths are multiples of the gate of KOFT."
    table = format_table(["linker", "left out", "settings"], lines)
    return "\n\n".join(["# Settings of the peers", format_circumstances(record), about, table])


def _read_others(args: argparse.Namespace) -> dict[str, Any]:
    """Return what an earlier run chose for other linkers."""
    known = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {}
    again = args.linkers.split(",")
    return {
        key: {name: value for name, value in known.get(key, {}).items() if name not in again}
        for key in ("chosen", "errors")
    }


def _read_movies(data: Path, work: Path, kinds: list[str]) -> Iterator[Movie]:
    for sequence in find_sequences(data):
        if sequence.dataset == NEVER:
            continue
        short = write_frames(sequence, work / sequence.name / "start", range(FRAMES))
        for kind in kinds:
            twin = write_perturbed(short, work / sequence.name / kind, kind)
            table = CellTable.write(twin.masks, work / sequence.name / f"{kind}.npz")
            yield Movie(sequence.dataset, f"{sequence.name}, {kind}", table, twin.masks, twin.truth)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=get_default_data(), help="folder of DATASET/NN, NN_GT and masks")
    parser.add_argument("--peer-python", required=True, help="Python interpreters with the peers, separated by commas")
    parser.add_argument("--linkers", default=",".join(LINKERS))
    parser.add_argument("--twins", default="plain,hard,skip2")
    parser.add_argument("--out", type=Path, default=RESULTS / "peer_settings.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
