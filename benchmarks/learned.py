"""Learned methods on data that they have not seen, compared with classical methods and peers on the same movies.

Three protocols. ``kinds``: a network for each group of kinds of movies (``kind_groups.py``), trained on all others by
``gnntrack train``, or read from ``--models``. ``left-out``: a network for each of five data sets, trained on all
others. ``same``: one network, trained on every sequence without the first half of each tested one, and tested on those
halves. ``python benchmarks/learned.py --protocol kinds --work FOLDER`` writes ``results/unseen.json`` and, beside it,
the tables as Markdown; the other protocols write ``results/learned.json``. The work folder stores samples and models;
``--resume`` and ``--reuse-models`` continue an earlier run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accuracy import run_ours, score_result
from baselines import PACKAGES, find_interpreter, run_baseline
from folds import (
    TESTED,
    Fold,
    Workshop,
    add_training_arguments,
    choose_settings,
    count_frames,
    describe_model,
    list_sequences,
    make_kind_fold,
    make_left_out_fold,
    make_same_fold,
    read_settings,
    start_record,
)
from kind_groups import KINDS, Kind, find_movie, name_model
from kind_images import get_default_more
from learned_table import PROTOCOLS, format_markdown
from perturbed import PerturbedMovie
from record import RESULTS, read_rows, replace_row, write_record
from version_runs import KEY, VersionRuns

from gnntrack.settings import Settings
from gnntrack.training.sequences import TrainingSequence

DEFAULTS = {  # of the options
    "kinds": {"twins": "plain,skip2,skip4,hard", "methods": "gnn,hungarian", "out": RESULTS / "unseen.json"},
    "left-out": {
        "twins": "plain,hard,skip2",
        "methods": "gnn,hungarian,hungarian+triplets,iou",
        "out": RESULTS / "learned.json",
    },
}
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "without histories": {"train__without": ("histories",)},
    "without rivals": {"train__without": ("rivals",)},
    "without the movie": {"train__without": ("movie",)},
    "without rule and margin": {"gnn__correction": 1.0},
}
"""Ablations: settings; those of the training need networks of their own."""
BRIGHTNESS = {"same": True}  # whether networks read that of single cells; else not, as the one that comes with gnntrack

Row = dict[str, Any]
Trained = tuple[Path, Row]
"""The folder of a network, and the record of its training."""


@dataclass(frozen=True)
class Movie:
    """A movie that methods are tested on.

    Parameters
    ----------
    protocol, name, dataset : str
        Name in the tables; data set, for the settings of peers.
    sequence : TrainingSequence
        Its files.
    frames : range or None
        The frames that are used; None: all.
    find_network : callable
        Returns the network that has not seen it, which is trained if necessary.
    about : dict
        Columns of the rows of networks.
    """

    protocol: str
    name: str
    dataset: str
    sequence: TrainingSequence
    frames: range | None
    find_network: Callable[[], Trained]
    about: Row


def main() -> None:
    args = _parse_arguments()
    if args.merge:
        merge(args.merge, args.out)
        return
    args.work.mkdir(parents=True, exist_ok=True)
    absent = [peer for peer in _join_words(args.peers) if find_interpreter(peer, args.peer_python) is None]
    methods = (*_join_words(args.methods), *(peer for peer in _join_words(args.peers) if peer not in absent))
    settings = read_settings(args).replace(**VARIANTS.get(args.variant, {}))
    record = {"absent": absent, **start_record(settings, args)}
    runs = VersionRuns(record, args.out, args.work, _join_words(args.twins), format_markdown)
    workshop = Workshop(args.work, reuse=args.reuse_models, device=args.device)
    list_movies = list_kinds if args.protocol == "kinds" else list_folds
    for movie in list_movies(args, workshop, settings):
        test(movie, methods, args, settings, runs)
    print(format_markdown(record))


def merge(files: Sequence[Path], out: Path) -> None:
    """Write the rows of several runs as one record, with date, machine and versions of the first."""
    record = json.loads(files[0].read_text(encoding="utf-8"))
    for row in (row for file in files[1:] for row in read_rows(file)):
        record["rows"] = replace_row(record["rows"], KEY, row)
    write_record(out, record, format_markdown(record))


def list_folds(args: argparse.Namespace, workshop: Workshop, settings: Settings) -> Iterator[Movie]:
    """Yield the movies of protocols ``same`` and ``left-out``; their networks are trained before."""
    sequences = list_sequences(args.data)
    settings = choose_settings("linknet", settings)
    tested = [each for each in sequences if each.dataset in TESTED and args.only.lower() in each.name.lower()]
    folds = {each: _make_fold(args.protocol, each, sequences) for each in tested}
    if "gnn" in _join_words(args.methods):
        once = {fold.name: fold for fold in folds.values()}
        workshop.train_all([(fold, "linknet", settings) for fold in once.values()], jobs=args.jobs)
    for sequence, fold in folds.items():
        half = range(count_frames(sequence) // 2) if args.protocol == "same" else None

        def find_network(fold: Fold = fold) -> Trained:
            return workshop.get_model(fold, "linknet", settings)

        yield Movie(args.protocol, sequence.name, sequence.dataset, sequence, half, find_network, {})


def _make_fold(protocol: str, tested: TrainingSequence, sequences: list[TrainingSequence]) -> Fold:
    return make_same_fold(sequences) if protocol == "same" else make_left_out_fold(sequences, tested.dataset)


def list_kinds(args: argparse.Namespace, workshop: Workshop, settings: Settings) -> Iterator[Movie]:
    """Yield the movies of protocol ``kinds``."""
    for kind in KINDS:
        if args.only.lower() in kind.name.lower():
            sequence = find_movie(kind, args.data, args.more, args.work)

            def find_network(kind: Kind = kind) -> Trained:
                if args.models:
                    folder = args.models / name_model(kind.group)
                    return folder, describe_model(folder)
                fold = make_kind_fold(kind.group, args.data, args.more)
                return workshop.get_model(fold, "linknet", settings, name=_name_network(args.variant))

            left_out = ", ".join(each.name for each in KINDS if each.group == kind.group)
            yield Movie(
                "kinds",
                kind.name,
                kind.dataset,
                sequence,
                range(kind.first, kind.last),
                find_network,
                {"left_out": left_out},
            )


def _name_network(variant: str | None) -> str:
    """Return the folder of a variant that has networks of its own."""
    changes = VARIANTS.get(variant or "", {})
    return (variant or "") if any(name.startswith("train__") for name in changes) else ""


def test(movie: Movie, methods: Sequence[str], args: argparse.Namespace, settings: Settings, runs: VersionRuns) -> None:
    """Run methods on all versions of a movie."""

    def run(method: str, twin: PerturbedMovie, out: Path) -> Row:
        if method in PACKAGES:
            told = run_baseline(twin, out, method, args.peer_python, dataset=movie.dataset)
        elif method.startswith("gnn"):
            folder, training = movie.find_network()
            brightness = BRIGHTNESS.get(movie.protocol, False)
            used = settings.replace(gnn__model=str(folder), gnn__brightness=brightness)
            told = {**run_ours(twin, out, "gnn", used), "model": training, **movie.about}
        else:
            told = run_ours(twin, out, method, settings)
        return {**told, **score_result(out, twin)}

    named = [f"gnn {args.variant}" if method == "gnn" and args.variant else method for method in methods]
    runs.run_movie(movie.protocol, movie.name, movie.sequence, named, run, frames=movie.frames)


def _join_words(words: str) -> tuple[str, ...]:
    return tuple(filter(None, words.split(",")))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_training_arguments(parser)
    parser.add_argument("--protocol", choices=[*PROTOCOLS], default="left-out")
    parser.add_argument("--more", type=Path, default=get_default_more(), help="folder of the other movies of kinds")
    parser.add_argument("--models", type=Path, help="of kinds: folder of trained networks; none is trained")
    parser.add_argument("--variant", choices=[*VARIANTS], help="an ablation: what gnn is without, in the tables")
    parser.add_argument("--methods")
    parser.add_argument(
        "--peers", default=",".join(PACKAGES), help="of koft, laptrack, btrack; a message names those that are missing"
    )
    parser.add_argument(
        "--peer-python", default=sys.executable, help="Python interpreters with the peers, separated by commas"
    )
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, each on one core")
    parser.add_argument("--merge", type=Path, nargs="+", help="outputs whose rows are joined; no method is run")
    parser.add_argument("--out", type=Path, help="default: results/learned.json, of kinds results/unseen.json")
    parser.set_defaults(twins=None)
    args = parser.parse_args()
    for name, value in DEFAULTS.get(args.protocol, DEFAULTS["left-out"]).items():
        setattr(args, name, getattr(args, name) or value)
    return args


if __name__ == "__main__":
    main()
