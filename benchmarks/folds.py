"""What a network of the tables is trained on, and its training.

Versions of the movies are made once and kept as pickles in a work folder beside the trained models: they depend on the
settings and the code alone, and every fold and every training reads the same ones. Pickles are our own here, written
and read by the same run; they are never handed on.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import torch
from record import code

from gnntrack.gnn.networks import NETWORKS
from gnntrack.models.files import CHECKPOINT_FILE
from gnntrack.settings import Settings
from gnntrack.training.links import learn, with_appearance
from gnntrack.training.movies import open_sequence, simulate_training_movie, split_movie
from gnntrack.training.run import TrainingRun
from gnntrack.training.samples import Sample, make_samples, make_validation_samples
from gnntrack.training.sequences import TrainingSequence, find_sequences

TESTED = ("Fluo-C2DL-MSC", "Fluo-N2DH-GOWT1", "Fluo-N2DH-SIM+", "Fluo-N2DL-HeLa", "PhC-C2DL-PSC")
NEVER = "ctc-official-evaluation"  # results with official scores: they judge the metrics, not the trackers
BETWEEN = 3  # frames between the tested first half of a sequence and what is learnt from
SEED = 0
SIMULATED = 8  # movies in every training
DONE = "done.json"
WORK = Path(gettempdir()) / "gnntrack-benchmarks"


@dataclass(frozen=True)
class Fold:
    """What one network is trained on: sequences, each from a frame on."""

    name: str
    parts: tuple[tuple[TrainingSequence, int], ...]


def sequences_of(data: Path) -> list[TrainingSequence]:
    """Return the sequences that are trained or tested on."""
    return [each for each in find_sequences(data) if each.dataset != NEVER]


def frames_of(sequence: TrainingSequence) -> int:
    """Return the number of frames of a sequence."""
    return len(list(sequence.truth.glob("*.tif")))


def same(sequences: Sequence[TrainingSequence]) -> Fold:
    """Return all sequences, less the first half of every tested one and a few frames after it."""
    first = [frames_of(each) // 2 + BETWEEN if each.dataset in TESTED else 0 for each in sequences]
    return Fold("same", tuple(zip(sequences, first, strict=True)))


def left_out(sequences: Sequence[TrainingSequence], *datasets: str) -> Fold:
    """Return all sequences but those of some data sets."""
    return Fold(f"without {' '.join(datasets)}", tuple((each, 0) for each in sequences if each.dataset not in datasets))


def samples_of(fold: Fold, *, network: str, settings: Settings, work: Path) -> tuple[list[Sample], list[Sample]]:
    """Return what a fold learns from, and what it validates on: the last frames of each part.

    They are made once, movie by movie, and read from the work folder after that.
    """
    learnt, checks = [], []
    for sequence, first in fold.parts:
        name = f"{sequence.name} from {first}"
        some, others = _kept(name, work, network, settings, lambda s=sequence, f=first: _made(s, f, network, settings))
        learnt += some
        checks += others
    for number in range(settings.train.simulated):
        name = f"simulated {number}"
        learnt += _kept(name, work, network, settings, lambda n=number: _simulated(n, network, settings))
    return learnt, checks


@dataclass
class Workshop:
    """Where networks are trained, each once.

    Parameters
    ----------
    work : path
        Folder of samples and models.
    reuse : bool
        Take models of an earlier run with the same settings as they are, and go on with interrupted trainings.
    device : str
        Where the networks are trained.
    """

    work: Path
    reuse: bool = False
    device: str = "auto"
    models: dict[Path, dict[str, Any]] = field(default_factory=dict)

    def model(self, fold: Fold, network: str, settings: Settings, *, name: str = "") -> tuple[Path, dict[str, Any]]:
        """Return the folder of a network trained on a fold, and what there is to tell of the training.

        ``name`` tells it from others of its kind.
        """
        folder = self.work / "models" / fold.name / (name or network)
        if folder not in self.models:
            told = _finished(folder, settings) if self.reuse else None
            self.models[folder] = told or self._train(folder, fold, network, settings)
        return folder, self.models[folder]

    def train_all(self, trainings: Sequence[tuple[Fold, str, Settings]], *, jobs: int) -> None:
        """Train several networks, ``jobs`` at a time."""
        if jobs == 1 or not trainings:
            return  # each when it is asked for, so that the first results come early
        for fold, network, settings in trainings:
            samples_of(fold, network=network, settings=settings, work=self.work)  # so that no two make the same ones
        context = get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            works = [pool.submit(self.model, *training) for training in trainings]
        for work in works:
            if (error := work.exception()) is None:
                self.models.update([work.result()])
            else:
                print(f"a training failed, it is tried again when it is asked for: {error}", flush=True)

    def _train(self, folder: Path, fold: Fold, network: str, settings: Settings) -> dict[str, Any]:
        resume = self.reuse and (folder / CHECKPOINT_FILE).is_file()
        if not resume:
            shutil.rmtree(folder, ignore_errors=True)
        learnt, checks = samples_of(fold, network=network, settings=settings, work=self.work)
        run = TrainingRun(
            folder, seed=SEED, resume=resume, device=self.device, report=_tell(f"{fold.name}, {folder.name}")
        )
        learnt, checks = with_appearance(learnt, checks, run, settings=settings)
        run = run.with_provenance(data=sorted({each.name for each in learnt}))
        summary = learn(learnt, checks, run, network=network, settings=settings)
        told = {"code": code(), "train": settings.train.model_dump(), "summary": summary}
        (folder / DONE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        return summary


def plan_of(network: str, settings: Settings) -> Settings:
    """Return the settings that a network is trained with."""
    return NETWORKS[network].settings_for(settings.replace(train__simulated=SIMULATED))


def _made(
    sequence: TrainingSequence, first: int, network: str, settings: Settings
) -> tuple[list[Sample], list[Sample]]:
    movie = open_sequence(sequence, settings=settings)
    if first:
        movie = movie.select(first, len(movie.masks))
    learnt, check = split_movie(movie, settings.train.held_out)
    seed = zlib.crc32(sequence.name.encode())  # of the movie, so that it is the same in every fold
    return (
        make_samples([learnt], seed=seed, network=network, settings=settings),
        make_validation_samples([check] if check else [], network=network, settings=settings),
    )


def _simulated(number: int, network: str, settings: Settings) -> list[Sample]:
    return make_samples([simulate_training_movie(number)], seed=number, network=network, settings=settings)


def _kept(name: str, work: Path, network: str, settings: Settings, make: Callable[[], Any]) -> Any:
    """Return what was kept under this name, settings and code, or make and keep it."""
    plan = settings.train
    shaping = [plan.variants, plan.corruption, plan.held_out, plan.appearance]
    stages = settings.model_dump_json(exclude={"train", "gnn", "solver", "repair", "simulate"})
    key = hashlib.sha256(f"{code()} {stages} {shaping}".encode()).hexdigest()[:10]
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


def _finished(folder: Path, settings: Settings) -> dict[str, Any] | None:
    """Return what is told of a finished training with the same settings."""
    try:
        told: dict[str, Any] = json.loads((folder / DONE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return told["summary"] if told["train"] == json.loads(settings.train.model_dump_json()) else None


def _tell(name: str) -> Callable[[dict[str, Any]], None]:
    def report(row: dict[str, Any]) -> None:
        f1 = row["validation_division_f1"]
        found = f"link error {row['validation_link_error']:.5f}, division F1 {'-' if f1 is None else f'{f1:.3f}'}"
        print(f"{name}: step {row['step']}, {row['seconds']:.0f} s, loss {row['loss']:.4f}, {found}", flush=True)

    return report
