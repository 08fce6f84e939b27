"""Training data of the networks in the tables, and their training.

Samples of the movies are made once and stored as pickles in a work folder beside the trained models. They depend on the
settings and the code only, and all folds and trainings read the same ones. The pickles are written and read on the same
machine; do not read pickles of others.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
import shutil
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import torch
from kind_groups import list_simulated_kinds, list_training_data, name_model
from record import describe_run, get_default_data, hash_code, read_rows

from gnntrack.gnn.networks import NETWORKS
from gnntrack.gnn.weights import load_model
from gnntrack.models.files import CHECKPOINT_FILE
from gnntrack.settings import Settings
from gnntrack.simulation_settings import MOVIE_KINDS
from gnntrack.training.links import learn, with_appearance
from gnntrack.training.movies import open_sequence, simulate_training_movie, split_movie
from gnntrack.training.run import TrainingRun
from gnntrack.training.samples import Sample, make_samples, make_validation_samples
from gnntrack.training.sequences import TrainingSequence, find_sequences
from gnntrack.types import FrameStack

TESTED = ("Fluo-C2DL-MSC", "Fluo-N2DH-GOWT1", "Fluo-N2DH-SIM+", "Fluo-N2DL-HeLa", "PhC-C2DL-PSC")
NEVER = "ctc-official-evaluation"  # results with official scores: a test of the metrics, not of trackers
BETWEEN = 3  # unused frames between the tested first half of a sequence and the training data
SEED = 0
SIMULATED = 8  # simulated movies in every training, if the settings do not tell
DONE = "done.json"
Adapt = Callable[[FrameStack, FrameStack | None, Settings], Settings]
"""Masks, images, settings of all movies -> settings of this movie."""
WORK = Path(gettempdir()) / "gnntrack-benchmarks"


@dataclass(frozen=True)
class Fold:
    """The training data of a network: sequences, each from a given frame on; simulated kinds may be left out."""

    name: str
    parts: tuple[tuple[TrainingSequence, int], ...]
    without: tuple[str, ...] = ()


def list_sequences(data: Path) -> list[TrainingSequence]:
    """Return the sequences for training and test."""
    return [each for each in find_sequences(data) if each.dataset != NEVER]


def count_frames(sequence: TrainingSequence) -> int:
    """Return the number of frames of a sequence."""
    return len(list(sequence.truth.glob("*.tif")))


def make_same_fold(sequences: Sequence[TrainingSequence]) -> Fold:
    """Return all sequences, without the first half of each tested one and a few frames after it."""
    first = [count_frames(each) // 2 + BETWEEN if each.dataset in TESTED else 0 for each in sequences]
    return Fold("same", tuple(zip(sequences, first, strict=True)))


def make_left_out_fold(sequences: Sequence[TrainingSequence], *datasets: str) -> Fold:
    """Return all sequences except those of some data sets."""
    return Fold(f"without {' '.join(datasets)}", tuple((each, 0) for each in sequences if each.dataset not in datasets))


def make_kind_fold(group: int, data: Path, more: Path) -> Fold:
    """Return everything but the kinds of a group, see `kind_groups`."""
    folders = list_training_data(group, data, more)
    sequences = [each for folder in folders for each in find_sequences(folder)]
    left_out = MOVIE_KINDS.keys() - list_simulated_kinds(group)
    return Fold(name_model(group), tuple((each, 0) for each in sequences), tuple(sorted(left_out)))


def load_samples(
    fold: Fold, *, network: str, settings: Settings, work: Path, adapt: Adapt | None = None
) -> tuple[list[Sample], list[Sample]]:
    """Return samples for training and for validation, which are the last frames of each part.

    They are made once, movie by movie, and later read from the work folder. The settings of each movie are those that
    ``adapt`` returns for it.
    """
    learnt, checks = [], []
    work = work / adapt.__name__ if adapt else work
    adapt = adapt or _keep_settings
    for sequence, first in fold.parts:
        name = f"{sequence.name} from {first}"
        some, others = _load_or_make(
            name, work, network, settings, lambda s=sequence, f=first: _make_samples(s, f, network, settings, adapt)
        )
        learnt += some
        checks += others
    kinds = settings.train.simulated_kinds
    for number in range(settings.train.simulated):
        kind = kinds[number % len(kinds)]
        if kind not in fold.without:
            name = f"simulated {kind} {number}"
            learnt += _load_or_make(
                name,
                work,
                network,
                settings,
                lambda n=number, k=kind: _make_simulated_samples(n, k, network, settings, adapt),
            )
    return learnt, checks


@dataclass
class Workshop:
    """Trains networks, each of them once.

    Parameters
    ----------
    work : path
        Folder of samples and models.
    reuse : bool
        Use models of an earlier run with the same settings, and continue interrupted trainings.
    device : str
        Device for the training.
    adapt : callable, optional
        Masks, images, settings -> settings of a movie; by default all movies have the same ones.
    appearance : int, optional
        Steps of the training of the appearance, if the settings switch it on; by default those of ``gnntrack train``.
    """

    work: Path
    reuse: bool = False
    device: str = "auto"
    adapt: Adapt | None = None
    appearance: int | None = None
    models: dict[Path, dict[str, Any]] = field(default_factory=dict)

    def get_model(self, fold: Fold, network: str, settings: Settings, *, name: str = "") -> tuple[Path, dict[str, Any]]:
        """Return the folder of a network trained on a fold, and the record of its training.

        ``name`` distinguishes it from other networks of its kind.
        """
        folder = self.work / "models" / fold.name / (name or network)
        if folder not in self.models:
            told = _read_finished(folder, settings) if self.reuse else None
            self.models[folder] = told or self._train(folder, fold, network, settings)
        return folder, self.models[folder]

    def train_all(self, trainings: Sequence[tuple[Fold, str, Settings]], *, jobs: int) -> None:
        """Train several networks, ``jobs`` at a time."""
        if jobs == 1 or not trainings:
            return  # trained when they are needed, so that the first results come early
        for fold, network, settings in trainings:
            load_samples(
                fold, network=network, settings=settings, work=self.work, adapt=self.adapt
            )  # so that no two processes make the same ones
        context = get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            works = [pool.submit(self.get_model, *training) for training in trainings]
        for work in works:
            if (error := work.exception()) is None:
                self.models.update([work.result()])
            else:
                print(f"a training failed and is repeated when it is needed: {error}", flush=True)

    def _train(self, folder: Path, fold: Fold, network: str, settings: Settings) -> dict[str, Any]:
        resume = self.reuse and (folder / CHECKPOINT_FILE).is_file()
        if not resume:
            shutil.rmtree(folder, ignore_errors=True)
        learnt, checks = load_samples(fold, network=network, settings=settings, work=self.work, adapt=self.adapt)
        run = TrainingRun(
            folder, seed=SEED, resume=resume, device=self.device, report=_make_reporter(f"{fold.name}, {folder.name}")
        )
        steps = {} if self.appearance is None else {"steps": self.appearance}
        learnt, checks = with_appearance(learnt, checks, run, settings=settings, **steps)
        run = run.with_provenance(data=sorted({each.name for each in learnt}))
        summary = learn(learnt, checks, run, network=network, settings=settings)
        told = {"code": hash_code(), "train": settings.train.to_dict(), "summary": summary}
        (folder / DONE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        return summary


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the programs that train networks and test them on held-out movies."""
    parser.add_argument("--data", type=Path, default=get_default_data(), help="folder of DATASET/NN, NN_GT and masks")
    parser.add_argument("--work", type=Path, default=WORK, help="folder for samples, models and versions of movies")
    parser.add_argument("--twins", default="plain,hard,skip2")
    parser.add_argument("--only", default="", help="tested sequences whose name contains this, such as 'HeLa 01'")
    parser.add_argument("--config", type=Path, help="settings as TOML; default: the default settings")
    parser.add_argument("--steps", type=int, help="train.steps, to try the program")
    parser.add_argument("--device", default="auto", help="device for the training")
    parser.add_argument("--resume", action="store_true", help="keep the rows of the output that this code made")
    parser.add_argument(
        "--reuse-models", action="store_true", help="keep the models, and continue the interrupted training"
    )


def read_settings(args: argparse.Namespace) -> Settings:
    """Return the settings that the options of `add_training_arguments` choose."""
    settings = Settings.from_toml(args.config) if args.config else Settings()
    return settings.replace(train__steps=args.steps) if args.steps else settings


def start_record(settings: Settings, args: argparse.Namespace) -> dict[str, Any]:
    """Return the record of a run, with the rows of an earlier run if it is resumed."""
    rows = read_rows(args.out) if args.resume else []
    return {**describe_run(), "code": hash_code(), "settings": settings.to_dict(plain=True), "rows": rows}


def describe_model(folder: Path) -> dict[str, Any]:
    """Return the record of the training of a model, also of one whose training is not finished."""
    model = load_model(folder)
    kept = {name: model.training[name] for name in ("versions", "cells", "links", "divisions", "best")}
    best = kept["best"]
    return {**kept, "steps": best["step"], "temperature": model.temperature}


def choose_settings(network: str, settings: Settings) -> Settings:
    """Return the settings for the training of a network."""
    return NETWORKS[network].settings_for(settings.replace(train__simulated=settings.train.simulated or SIMULATED))


def _keep_settings(masks: FrameStack, images: FrameStack | None, settings: Settings) -> Settings:  # noqa: ARG001
    return settings


def _make_samples(
    sequence: TrainingSequence, first: int, network: str, settings: Settings, adapt: Adapt
) -> tuple[list[Sample], list[Sample]]:
    movie = open_sequence(sequence, settings=settings)
    if first:
        movie = movie.select(first, len(movie.masks))
    learnt, check = split_movie(movie, settings.train.held_out)
    settings = adapt(learnt.masks, learnt.images, settings)
    seed = zlib.crc32(sequence.name.encode())  # of the movie, so that it is the same in every fold
    return (
        make_samples([learnt], seed=seed, network=network, settings=settings),
        make_validation_samples([check] if check else [], network=network, settings=settings),
    )


def _make_simulated_samples(number: int, kind: str, network: str, settings: Settings, adapt: Adapt) -> list[Sample]:
    movie = simulate_training_movie(number, kind)
    settings = adapt(movie.masks, movie.images, settings)
    return make_samples([movie], seed=number, network=network, settings=settings)


def _load_or_make(name: str, work: Path, network: str, settings: Settings, make: Callable[[], Any]) -> Any:
    """Return the samples stored for this name, settings and code; make and store them if there are none."""
    plan = settings.train
    shaping = [plan.variants, plan.corruption, plan.held_out, plan.appearance]
    stages = settings.to_json(exclude={"train", "gnn", "solver", "repair", "simulate"})
    key = hashlib.sha256(f"{hash_code()} {stages} {shaping}".encode()).hexdigest()[:10]
    file = work / "samples" / key / f"{name}, {network}.pickle"
    if file.exists():
        return pickle.loads(file.read_bytes())
    print(f"making versions of {name} for {network}", flush=True)
    made = make()
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_bytes(pickle.dumps(made, protocol=pickle.HIGHEST_PROTOCOL))
    part.replace(file)
    return made


def _read_finished(folder: Path, settings: Settings) -> dict[str, Any] | None:
    """Return the record of a finished training with the same settings, if there is one."""
    try:
        told: dict[str, Any] = json.loads((folder / DONE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return told["summary"] if told["train"] == json.loads(settings.train.to_json()) else None


def _make_reporter(name: str) -> Callable[[dict[str, Any]], None]:
    started = time.monotonic()

    def report(row: dict[str, Any]) -> None:
        error, f1 = row["validation_link_error"], row["validation_division_f1"]
        found = f"link error {_format(error, 5)}, division F1 {_format(f1, 3)}"
        seconds = time.monotonic() - started
        print(f"{name}: step {row['step']}, {seconds:.0f} s, loss {row['loss']:.4f}, {found}", flush=True)

    return report


def _format(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
