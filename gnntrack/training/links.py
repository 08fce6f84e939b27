"""From movies with a known lineage to what a network learns from: the recipe of training.

The graph is built by the same ``build_graph`` as in tracking, so that the two cannot drift apart.
"""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gnntrack.errors import InputError, ModelError
from gnntrack.gnn.appearance import APPEARANCE, Embedder, embed, load_embedder, train_embedder
from gnntrack.gnn.network import Network
from gnntrack.gnn.predict import make_link_scores, predict_log_odds
from gnntrack.gnn.weights import Model, load_model, save_model, scorer_class
from gnntrack.io.output import check_output
from gnntrack.models.devices import find_device
from gnntrack.models.files import CHECKPOINT_FILE
from gnntrack.scores.learned import upstream_settings
from gnntrack.settings import Settings, TrainSettings
from gnntrack.solvers import solve as choose_links
from gnntrack.training.calibration import Mistakes, count_mistakes, fit_temperature, measure_reliability
from gnntrack.training.checkpoint import read_checkpoint
from gnntrack.training.link_task import Validation
from gnntrack.training.movies import open_training_movies
from gnntrack.training.samples import Sample, fit_standards, make_samples, make_validation_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gnntrack.types import Progress

__all__ = ["learn", "plan_for", "train", "validate", "with_appearance"]

_log = logging.getLogger(__name__)

_LEAST_MATCHED = 0.5  # part of the cells that are a marker's, or something is wrong
_APPEARANCE_STEPS = 400
_GENTLE = 0.3  # of the learning rate, where training goes on from other weights


def train(
    data: Sequence[str | Path],
    out: str | Path,
    *,
    network: str = "linknet",
    start: str | Path | None = None,
    simulated: int | None = None,
    validation: Sequence[str | Path] | None = None,
    settings: Settings | None = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
    report: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Train a network on movies whose lineage is known.

    Parameters
    ----------
    data : paths
        Folders in the layout of the Cell Tracking Challenge, see `find_sequences`.
    out : path
        Folder of the model: weights, ``log.csv``, learning curve, reliability, checkpoint.
    network : {"linknet", "pdn"}
        Ours, or the published baseline.
    start : path, optional
        Weights to go on from: a model's folder, or ``"shipped"``.
    simulated : int, optional
        Simulated movies to learn from besides; ``train.simulated`` where it is left out.
    validation : paths, optional
        Movies to validate on. Where they are left out, the last frames of every movie of `data` are kept for it.
    settings : Settings, optional
        Of all stages; ``train`` holds those of the training.
    seed : int
        The same seed on the same machine gives the same weights.
    resume : bool
        Go on with the interrupted training in `out`.
    overwrite : bool
        Replace `out` if it exists.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    progress, report : callable, optional
        Told after each step; told each row of the log.

    Returns
    -------
    dict
        Numbers of movies, cells, links and divisions learnt from, steps, the best row of the log, the temperature.

    Raises
    ------
    InputError
        If there is no truth, or masks and truth do not fit each other.
    OutputError
        If `out` exists.
    TrainingError
        If the loss is no number.
    KeyboardInterrupt
        Handed on; `out` can be resumed.
    """
    settings = plan_for(network, settings or Settings())
    folder = Path(out)
    _refuse_early(folder, network, start, device, settings, resume=resume, overwrite=overwrite)
    number = settings.train.simulated if simulated is None else simulated
    learnt, held_out = open_training_movies(data, validation, simulated=number, seed=seed, settings=settings)
    samples = make_samples(learnt, seed=seed, network=network, settings=settings, progress=progress)
    checks = make_validation_samples(held_out, network=network, settings=settings)
    _look_at(samples, checks)
    if not resume:
        _clear(folder)
    samples, checks = with_appearance(
        samples, checks, folder, settings, seed, resume=resume, progress=progress, start=start
    )
    summary = learn(
        samples,
        checks,
        folder,
        network=network,
        start=start,
        settings=settings,
        seed=seed,
        resume=resume,
        device=device,
        notes={"data": sorted({movie.name for movie in learnt})},
        progress=progress,
        report=report,
    )
    return {"movies": len(learnt), **summary}


def plan_for(network: str, settings: Settings) -> Settings:
    """Return the settings that a kind of network is trained with.

    The published network is trained as it was published, on movies as they are (and at half the rate); it knows no
    missing columns, and its loss is flat for hundreds of steps, so that it is trained to the end. What was set
    otherwise than by default stays.
    """
    if network != "pdn":
        return settings
    usual, plan = TrainSettings(), settings.train
    published = {"variants": 2, "feature_dropout": 0.0, "learning_rate": 0.001, "patience": plan.steps}
    changes = {name: value for name, value in published.items() if getattr(plan, name) == getattr(usual, name)}
    return settings.replace(**{f"train__{name}": value for name, value in changes.items()})


def learn(
    samples: Sequence[Sample],
    checks: Sequence[Sample],
    folder: Path,
    *,
    network: str = "linknet",
    start: str | Path | None = None,
    settings: Settings,
    seed: int = 0,
    resume: bool = False,
    device: str = "auto",
    notes: dict[str, Any],
    progress: Progress | None = None,
    report: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Train a network on samples that stand, calibrate it, and draw its learning curve and its reliability.

    Parameters
    ----------
    samples, checks : Samples
        What it learns from, and what it is validated and calibrated on; see `make_samples`, `make_validation_samples`.
    folder : path
        Where the model goes; it is there already.
    notes : dict
        What the model shall tell of its training, besides settings and counts.
    network, start, settings, seed, resume, device, progress, report
        As in `train`.

    Returns
    -------
    dict
        As of `train`, without the number of movies.
    """
    from gnntrack.report import draw_learning_curve, draw_reliability, save_figure
    from gnntrack.training.link_task import LOG, train_network

    where = find_device(device)
    begun = read_checkpoint(folder) if resume else None
    source: dict[str, Any] | None = None
    if begun is not None:
        net, source = _same_network(begun), begun["state"].get("notes", {}).get("from")
    elif start is not None:
        origin = _model_to_go_on_from(start, network, settings)
        net, source = origin.scorer, {"model": origin.name, "temperature": origin.temperature}
    else:
        net = _new_network(network, samples, settings, seed)
    plan = settings.train
    if source:
        plan = plan.model_copy(update={"learning_rate": _GENTLE * plan.learning_rate})
    started = time.monotonic()
    stages = upstream_settings(settings)
    notes = {**notes, "settings": plan.model_dump(), "stages": stages, "seed": seed, **_counted(samples)}
    if source:
        notes["from"] = source
    best = train_network(
        net,
        samples,
        partial(validate, samples=checks, settings=settings, device=where),
        folder,
        settings=plan,
        seed=seed,
        notes=notes,
        resume=resume,
        fine_tuning=bool(source),
        device=where,
        progress=progress,
        report=report,
    )
    model = load_model(folder)
    log_odds = [
        predict_log_odds(
            model.scorer, each.inputs, links_per_window=settings.gnn.window, correction=settings.gnn.correction
        )
        for each in checks
    ]
    known = float(source["temperature"]) if source else 1.0  # a few frames of one's own are too few to fit it
    temperature = fit_temperature(checks, log_odds) if checks else known
    scores = [
        make_link_scores(each.inputs, each.prior, told, temperature=temperature)
        for each, told in zip(checks, log_odds, strict=True)
    ]
    calibration = measure_reliability(checks, scores)
    told = {**notes, "best": best, "calibration": calibration}
    save_model(folder, model.network, temperature=temperature, training=told)
    save_figure(draw_learning_curve(folder / LOG), folder / "learning_curve.png")
    if calibration["ece"] is not None:
        save_figure(draw_reliability(calibration), folder / "reliability.png")
    seconds = round(time.monotonic() - started, 1)
    return {**_counted(samples), "steps": best["step"], "best": best, "temperature": temperature, "seconds": seconds}


def validate(network: Network, *, samples: Sequence[Sample], settings: Settings, device: str = "cpu") -> Validation:
    """Solve movies with a network's scores, and count its mistakes: links movie by movie, divisions over all."""
    found = []
    for sample in samples:
        log_odds = predict_log_odds(
            network,
            sample.inputs,
            links_per_window=settings.gnn.window,
            correction=settings.gnn.correction,
            device=device,
        )
        scores = make_link_scores(sample.inputs, sample.prior, log_odds)
        found.append(count_mistakes(sample, choose_links("triplets", sample.graph, scores, settings=settings.solver)))
    if not found:
        return Validation(None, None)
    together = sum(found, Mistakes())
    return Validation(float(np.mean([each.link_error for each in found])), together.division_f1)


def _model_to_go_on_from(start: str | Path, kind: str, settings: Settings) -> Model:
    """Return other weights, if they are such that can go on."""
    model = load_model(start)
    if model.kind != kind:
        msg = f"{start} is a model of kind '{model.kind}', not '{kind}'; choose --model {model.kind}"
        raise ModelError(msg)
    if (knows := bool(model.scorer.options["embedding"])) != settings.train.appearance:
        knowing = "was" if knows else "was not"
        msg = (
            f"{start} {knowing} trained with the cells' appearance; set train.appearance to {str(knows).lower()}, "
            "or start from other weights"
        )
        raise ModelError(msg)
    return model


def _same_network(begun: Mapping[str, Any]) -> Network:
    """Return a network of the options of an interrupted training."""
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in begun["options"].items()}
    return scorer_class(begun["kind"])(**options)


def _new_network(kind: str, samples: Sequence[Sample], settings: Settings, seed: int) -> Network:
    """Return a network with the statistics of the samples."""
    plan = settings.train
    torch.manual_seed(seed)
    embedding = samples[0].inputs.cell.shape[1] - len(scorer_class(kind)().columns["cell"])
    options: dict[str, Any] = {"embedding": embedding, "dropout": plan.dropout}
    if kind == "linknet":
        options |= {"width": plan.width, "rounds": plan.rounds, "heads": plan.heads}
    net = scorer_class(kind)(**options)
    if kind == "linknet":
        fit_standards(net, samples)
    return net


def with_appearance(
    samples: list[Sample],
    checks: list[Sample],
    folder: Path,
    settings: Settings,
    seed: int,
    *,
    resume: bool,
    progress: Progress | None,
    start: str | Path | None = None,
) -> tuple[list[Sample], list[Sample]]:
    """Learn the cells' appearance from the samples with images, and add it to all inputs; zeros without images.

    Where the training goes on from a model, the appearance is the one that the model knows.
    """
    if not settings.train.appearance:
        return samples, checks
    place = folder / APPEARANCE
    if resume and place.is_dir():
        embedder = load_embedder(place)
    elif start is not None:
        embedder = load_embedder(load_model(start).folder / APPEARANCE)
        save_model(place, embedder, training={"from": str(start)})
    else:
        seen = [each for each in samples if each.crops is not None]
        embedder = train_embedder(
            [each.crops for each in seen if each.crops is not None],
            [each.track for each in seen],
            [each.inputs.frame for each in seen],
            steps=_APPEARANCE_STEPS,
            seed=seed,
            rate=1e-3,
            head_rate=1e-3,
            progress=progress,
        )
        save_model(place, embedder, training={"data": sorted({each.name for each in seen})})
    return [_embedded(each, embedder) for each in samples], [_embedded(each, embedder) for each in checks]


def _embedded(sample: Sample, embedder: Embedder) -> Sample:
    width = embedder.embedding
    look = (
        np.zeros((len(sample.inputs.frame), width), np.float32)
        if sample.crops is None
        else embed(embedder, sample.crops)
    )
    inputs = replace(sample.inputs, cell=np.hstack([sample.inputs.cell, look]))
    return replace(sample, inputs=inputs, crops=None)


def _look_at(samples: Sequence[Sample], checks: Sequence[Sample]) -> None:
    """Say what is wrong with the data before the first epoch."""
    if not samples:
        msg = "the movies have no candidate link to learn from; give movies with at least two frames with cells"
        raise InputError(msg)
    for sample in (*samples, *checks):
        found = float((sample.track > 0).mean())
        if found < _LEAST_MATCHED:
            msg = (
                f"{sample.name}: {found:.0%} of the cells are a marker's; masks and truth do not belong together "
                f"(expected at least {_LEAST_MATCHED:.0%}); give the masks of this sequence"
            )
            raise InputError(msg)
    knows_divisions = samples[0].inputs.pair.shape[1] > 0  # the published network does not
    if knows_divisions and not any(sample.truth.pair.any() for sample in samples):
        _log.warning("no division in the training data: the network will hardly change their scores")
    if not checks:
        _log.warning("the movies are too short to hold frames out: the last weights are kept, not the best ones")


def _counted(samples: Sequence[Sample]) -> dict[str, int]:
    return {
        "versions": len(samples),
        "cells": sum(len(each.inputs.frame) for each in samples),
        "links": sum(len(each.inputs.source) for each in samples),
        "divisions": sum(int(each.truth.pair.sum()) for each in samples),
    }


def _refuse_early(
    out: Path,
    network: str,
    start: str | Path | None,
    device: str,
    settings: Settings,
    *,
    resume: bool,
    overwrite: bool,
) -> None:
    """Refuse what cannot work before the movies are read."""
    find_device(device)
    if start is not None:
        _model_to_go_on_from(start, network, settings)
    if not resume:
        check_output(out, overwrite=overwrite)
    elif not (out / CHECKPOINT_FILE).is_file():
        msg = f"{out}: there is no checkpoint to go on from; start without --resume"
        raise ModelError(msg)


def _clear(out: Path) -> None:
    """Make the folder of a training, in place of the one that may be there."""
    if out.is_dir():
        shutil.rmtree(out)
    out.unlink(missing_ok=True)
    out.mkdir(parents=True)
