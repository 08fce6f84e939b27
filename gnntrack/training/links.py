"""Recipe of ``gnntrack train``: from movies with a known lineage to a network that scores links.

The graph is built by the same ``build_graph`` as in tracking, so that the two cannot drift apart.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gnntrack.errors import InputError, ModelError
from gnntrack.gnn.appearance import APPEARANCE, Embedder, embed, load_embedder
from gnntrack.gnn.network import Network
from gnntrack.gnn.networks import NETWORKS
from gnntrack.gnn.predict import make_link_scores, predict_log_odds
from gnntrack.gnn.strength import choose_strength, find_margin, make_rule
from gnntrack.gnn.training_range import measure_ranges
from gnntrack.gnn.weights import FAMILY, Model, load_model, save_model
from gnntrack.scores.learned import favour_classical, upstream_settings
from gnntrack.settings import Settings
from gnntrack.solvers import solve as choose_links
from gnntrack.training.appearance import EmbedderPlan, TrackedCrops, train_embedder
from gnntrack.training.calibration import Mistakes, count_mistakes, fit_temperature, measure_reliability
from gnntrack.training.link_task import LinkTask, Validation, make_plan
from gnntrack.training.loop import LOG, run_training
from gnntrack.training.movies import open_training_movies
from gnntrack.training.point_folders import find_point_sources, open_tracked_movies
from gnntrack.training.point_samples import make_point_samples, make_point_validation_samples
from gnntrack.training.run import TrainingRun
from gnntrack.training.samples import Sample, make_samples, make_validation_samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.training.loop import Plan

__all__ = ["choose_network", "learn", "train", "validate", "with_appearance"]

_log = logging.getLogger(__name__)

_LEAST_MATCHED = 0.5  # fraction of the cells that match a marker; less means that masks and truth differ
_APPEARANCE_STEPS = 400


def train(
    data: Sequence[str | Path],
    run: TrainingRun | str | Path,
    *,
    network: str | None = None,
    start: str | Path | None = None,
    validation: Sequence[str | Path] | None = None,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Train a network on movies whose lineage is known.

    Parameters
    ----------
    data : paths
        Folders in the layout of the Cell Tracking Challenge, see `gnntrack.training.sequences.find_sequences`, or
        folders of points with ground truth, see `gnntrack.training.point_folders`.
    run : TrainingRun or path
        Folder of the model, seed, device, progress; a path is the folder of a run with the defaults.
    network : str
        Kind of the network, one of `gnntrack.gnn.networks.NETWORKS`: ``linknet``, the published ``pdn``, or ``points``
        for points without masks. By default ``points`` if `data` has points, else ``linknet``.
    start : path, optional
        Weights to start from: the folder of a model, or ``"shipped"``; by default random weights.
    validation : paths, optional
        Movies to validate on; by default the last frames of every movie of `data`, which are then not trained on.
    settings : Settings, optional
        Of all stages; ``train`` holds those of the training, such as the number of simulated movies to add.

    Returns
    -------
    dict
        Numbers of movies, cells, links and divisions to train on, steps, the best row of the log, the temperature.

    Raises
    ------
    InputError
        If the truth is missing, or masks and truth do not fit each other.
    OutputError
        If the folder exists.
    TrainingError
        If the loss is NaN or infinite.
    KeyboardInterrupt
        Passed on; the run can be resumed.

    Examples
    --------
    >>> from gnntrack.training import TrainingRun, train
    >>> summary = train(["Fluo-N2DH-SIM+"], TrainingRun("model", seed=1))  # doctest: +SKIP
    """
    run = TrainingRun.from_folder(run)
    network = choose_network(data, network)
    settings = NETWORKS[network].settings_for(settings or Settings())
    run.check()
    if start is not None:
        _load_start(start, network, settings)
    open_and_sample = _prepare_points if NETWORKS[network].of_points else _prepare_masks
    names, samples, checks = open_and_sample(data, validation, run, network, settings)
    _check_samples(samples, checks)
    with run.replace_folder():
        samples, checks = with_appearance(samples, checks, run, settings=settings, start=start)
        run = run.with_provenance(data=sorted(set(names)))
        summary = learn(samples, checks, run, network=network, start=start, settings=settings)
    return {"movies": len(names), **summary}


def choose_network(data: Sequence[str | Path], network: str | None = None) -> str:
    """Return the given kind of network; by default ``points`` for graphs of points, else ``linknet``.

    >>> choose_network(["no folder"])
    'linknet'
    """
    return network or ("points" if any(find_point_sources(folder) for folder in data) else "linknet")


_Prepared = tuple[list[str], list[Sample], list[Sample]]
"""Names of the movies to train on, samples of those, and samples to validate on."""


def _prepare_masks(
    data: Sequence[str | Path],
    validation: Sequence[str | Path] | None,
    run: TrainingRun,
    network: str,
    settings: Settings,
) -> _Prepared:
    points = [str(folder) for folder in data if find_point_sources(folder)]
    if points:
        msg = f"{points[0]}: ground truth of points without masks; choose --model points, or omit --model"
        raise InputError(msg)
    learnt, held_out = open_training_movies(
        data, validation, simulated=settings.train.simulated, seed=run.seed, settings=settings
    )
    samples = make_samples(learnt, seed=run.seed, network=network, settings=settings, progress=run.progress)
    checks = make_validation_samples(held_out, network=network, settings=settings)
    return [movie.name for movie in learnt], samples, checks


def _prepare_points(
    data: Sequence[str | Path],
    validation: Sequence[str | Path] | None,
    run: TrainingRun,
    network: str,
    settings: Settings,
) -> _Prepared:
    learnt, held_out = open_tracked_movies(
        data, validation, simulated=settings.train.simulated, seed=run.seed, settings=settings
    )
    samples = make_point_samples(learnt, seed=run.seed, network=network, settings=settings, progress=run.progress)
    checks = make_point_validation_samples(held_out, network=network, settings=settings)
    return [movie.name for movie in learnt], samples, checks


def learn(
    samples: Sequence[Sample],
    checks: Sequence[Sample],
    run: TrainingRun,
    *,
    network: str = "linknet",
    start: str | Path | None = None,
    settings: Settings,
) -> dict[str, Any]:
    """Train a network on samples, calibrate it, and draw its learning curve and its reliability.

    Parameters
    ----------
    samples, checks : Samples
        Movies to train on, and movies to validate and calibrate on; see `make_samples`, `make_validation_samples`.
    run : TrainingRun
        Its folder exists. Settings and counts are added to its provenance.
    network, start, settings
        As of `train`.

    Returns
    -------
    dict
        As of `train`, without the number of movies.
    """
    started = time.monotonic()
    origin = _find_origin(run, network, start, samples, settings)
    samples, checks = (
        [replace(each, inputs=origin.network.select_columns(each.inputs)) for each in some]
        for some in (samples, checks)
    )
    plan = make_plan(settings.train, fine_tuning=origin.source is not None)
    run = run.with_provenance(**_describe_training(samples, run.seed, plan, settings, origin.source))
    device = run.find_device()
    task = LinkTask(samples, partial(validate, samples=checks, settings=settings), settings.train, device)
    trained = run_training(origin.network, task, run, plan, family=FAMILY, fields={"temperature": 1.0})
    model = trained.network.to("cpu")
    temperature, calibration = _calibrate(model, checks, settings, known=origin.temperature)
    training = {**run.provenance, "best": trained.best, "calibration": calibration}
    save_model(run.folder, model, temperature=temperature, training=training)
    _draw_results(run.folder, calibration)
    result = {"steps": trained.best["step"], "best": trained.best, "temperature": temperature}
    return {**_count(samples), **result, "seconds": round(time.monotonic() - started, 1)}


def validate(network: Network, *, samples: Sequence[Sample], settings: Settings) -> Validation:
    """Solve movies with a network's scores and measure the errors: links per movie, divisions over all movies."""
    found = []
    for sample in samples:
        log_odds = _predict(network, sample, settings)
        scores = make_link_scores(sample.inputs, sample.prior, log_odds)
        found.append(count_mistakes(sample, choose_links("triplets", sample.graph, scores, settings=settings.solver)))
    if not found:
        return Validation(None, None)
    together = sum(found, Mistakes())
    return Validation(float(np.mean([each.link_error for each in found])), together.division_f1)


def with_appearance(
    samples: list[Sample],
    checks: list[Sample],
    run: TrainingRun,
    *,
    settings: Settings,
    start: str | Path | None = None,
    steps: int = _APPEARANCE_STEPS,
) -> tuple[list[Sample], list[Sample]]:
    """Train an embedding of the cells' images and add it to the inputs; zeros for samples without images.

    If the run starts from a model, its embedding is used. Without ``train.appearance`` the samples stay as they are.

    Parameters
    ----------
    samples, checks : Samples
        Movies to train on, and movies to validate on; the embedding is trained on the former.
    run : TrainingRun
        The embedding is written to the folder ``appearance`` in the run's folder.
    settings : Settings
        ``train.appearance`` switches this on.
    start : path, optional
        As of `train`.
    steps : int
        Steps of the training of the embedding.
    """
    if not settings.train.appearance:
        return samples, checks
    embedder = _find_embedder(samples, run, start, steps)
    return [_add_embedding(each, embedder) for each in samples], [_add_embedding(each, embedder) for each in checks]


def _find_embedder(samples: Sequence[Sample], run: TrainingRun, start: str | Path | None, steps: int) -> Embedder:
    """Return the embedding network of the interrupted run, of the model to start from, or a newly trained one."""
    place = run.folder / APPEARANCE
    if run.resume and place.is_dir():
        return load_embedder(place)
    if start is not None:
        embedder = load_embedder(load_model(start).folder / APPEARANCE)
        save_model(place, embedder, training={"from": str(start)})
        return embedder
    movies = [TrackedCrops(each.crops, each.track, each.inputs.frame) for each in samples if each.crops is not None]
    embedder = train_embedder(
        movies,
        plan=EmbedderPlan(steps=steps, rate=1e-3, head_rate=1e-3),
        seed=run.seed,
        progress=run.progress,
    )
    save_model(place, embedder, training={"data": sorted({each.name for each in samples if each.crops is not None})})
    return embedder


# --- the network to start from ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Origin:
    """The network that a training starts from.

    Parameters
    ----------
    network : Network
        With its weights.
    source : dict or None
        Name and temperature of the model that the weights are of; None for random weights.
    """

    network: Network
    source: dict[str, Any] | None = None

    @property
    def temperature(self) -> float:
        """Temperature of the model that the weights are of, 1 for random weights."""
        return float(self.source["temperature"]) if self.source else 1.0


def _find_origin(
    run: TrainingRun, kind: str, start: str | Path | None, samples: Sequence[Sample], settings: Settings
) -> _Origin:
    """Return the network of the interrupted run, of another model, or a new one."""
    checkpoint = run.read_checkpoint()
    if checkpoint is not None:  # its weights are read by the training loop
        return _read_origin(checkpoint, run.folder)
    if start is not None:
        model = _load_start(start, kind, settings)
        return _Origin(model.link_network, {"model": model.name, "temperature": model.temperature})
    torch.manual_seed(run.seed)
    return _Origin(NETWORKS[kind].new([each.inputs for each in samples], settings.train))


def _read_origin(checkpoint: Mapping[str, Any], folder: Path) -> _Origin:
    """Return the network that a checkpoint describes, with random weights."""
    options = {key: tuple(v) if isinstance(v, list) else v for key, v in checkpoint["options"].items()}
    source = checkpoint["state"].get("notes", {}).get("from")
    try:
        network = NETWORKS[checkpoint["kind"]].from_columns(checkpoint["columns"], options)
        origin = _Origin(network, source)
        _ = origin.temperature
    except (LookupError, TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        msg = f"{folder}: the network in its checkpoint is not valid ({error}); start without resuming"
        raise ModelError(msg) from error
    return origin


def _load_start(start: str | Path, kind: str, settings: Settings) -> Model:
    """Return the model to start from.

    Raises
    ------
    ModelError
        If it is of another kind, or differs from the settings in the use of appearance.
    """
    model = load_model(start, points=NETWORKS[kind].of_points)
    if model.kind != kind:
        msg = f"{start} is a model of kind '{model.kind}', not '{kind}'; choose --model {model.kind}"
        raise ModelError(msg)
    uses = model.link_network.uses_embedding
    if uses != settings.train.appearance:
        msg = (
            f"{start} {'was' if uses else 'was not'} trained with the cells' appearance; set train.appearance to "
            f"{str(uses).lower()}, or start from other weights"
        )
        raise ModelError(msg)
    return model


# --- details ---------------------------------------------------------------------------------------------------------


def _predict(network: Network, sample: Sample, settings: Settings) -> Any:
    """Return the log-odds of a movie as in tracking, see `gnntrack.scores.learned.NetworkScorer`."""
    given, rule = settings.gnn.correction, make_rule(unclear=settings.train.unclear)
    strength, margin = choose_strength(given, rule, sample.prior.movie), find_margin(given, rule)
    window, inputs = settings.gnn.window, sample.inputs
    found = predict_log_odds(network, inputs, links_per_window=window, correction=strength)
    return favour_classical(found, inputs, sample.graph, sample.prior, margin, settings)


def _calibrate(
    network: Any, checks: Sequence[Sample], settings: Settings, *, known: float
) -> tuple[float, dict[str, Any]]:
    """Return the temperature, fitted to the validation movies, and the reliability; `known` if there are none."""
    log_odds = [_predict(network, each, settings) for each in checks]
    temperature = fit_temperature(checks, log_odds) if checks else known
    scores = [
        make_link_scores(each.inputs, each.prior, found, temperature=temperature)
        for each, found in zip(checks, log_odds, strict=True)
    ]
    return temperature, measure_reliability(checks, scores)


def _add_embedding(sample: Sample, embedder: Embedder) -> Sample:
    """Append the embedding to the columns of the cells, (N, F) -> (N, F + D)."""
    embedding = (
        np.zeros((len(sample.inputs.frame), embedder.embedding), np.float32)
        if sample.crops is None
        else embed(embedder, sample.crops)
    )
    inputs = replace(sample.inputs, cell=np.hstack([sample.inputs.cell, embedding]))
    return replace(sample, inputs=inputs, crops=None)


def _check_samples(samples: Sequence[Sample], checks: Sequence[Sample]) -> None:
    """Raise or warn before the first step if something is wrong with the data."""
    if not samples:
        msg = "the movies have no candidate link to learn from; give movies with at least two frames with cells"
        raise InputError(msg)
    for name, found in _find_sparse((*samples, *checks)).items():
        _log.warning("%s: %.0f %% of the cells are annotated; the others count only as their rivals", name, 100 * found)
    has_divisions = samples[0].inputs.pair.shape[1] > 0  # the published network does not score divisions
    if has_divisions and not any(sample.truth.pair.any() for sample in samples):
        _log.warning("the training data have no division: the network will hardly change their scores")
    if not checks:
        _log.warning("no frames are held out for validation: the last weights are kept, not the best ones")


def _find_sparse(samples: Sequence[Sample]) -> dict[str, float]:
    """Return the fraction of annotated cells of each movie of which only some cells are annotated.

    Raises
    ------
    InputError
        If all cells should be annotated, and most are not.
    """
    sparse: dict[str, float] = {}
    for sample in samples:
        found, unmatched = float((sample.track > 0).mean()), sample.track == 0
        known = sample.truth.parent_known | sample.truth.child_known
        if unmatched.any() and not known[unmatched].any():
            sparse.setdefault(sample.name, found)
        elif found < _LEAST_MATCHED:
            raise InputError(_explain_few(sample, found))
    return sparse


def _explain_few(sample: Sample, found: float) -> str:
    """Return the error of a movie in which few cells are annotated, though all should be."""
    remedy = "if only some cells are annotated, give --truth sparse (the setting train.truth)"
    if sample.graph.cells.points:
        return (
            f"{sample.name}: {found:.0%} of the points are annotated, expected at least {_LEAST_MATCHED:.0%}: the "
            f"others would count as false detections; {remedy}"
        )
    return (
        f"{sample.name}: {found:.0%} of the cells match a marker, expected at least {_LEAST_MATCHED:.0%}; masks and "
        f"truth do not belong together; give the masks of this sequence, or, {remedy}"
    )


def _describe_training(
    samples: Sequence[Sample], seed: int, plan: Plan, settings: Settings, source: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the provenance of a training except its data; a training is resumed only if it is the same."""
    rule = make_rule(unclear=settings.train.unclear)
    return {
        "settings": {**settings.train.to_dict(), "learning_rate": plan.learning_rate},
        "stages": upstream_settings(settings),
        "seed": seed,
        "movies": measure_ranges(sample.prior.movie for sample in samples),
        **_count(samples),
        **({"from": source} if source else {}),
        **({"correction": rule} if rule else {}),
    }


def _draw_results(folder: Path, calibration: dict[str, Any]) -> None:
    """Draw the learning curve, and the reliability if it was measured."""
    from gnntrack.report import draw_learning_curve, draw_reliability, save_figure

    save_figure(draw_learning_curve(folder / LOG), folder / "learning_curve.png")
    if calibration["ece"] is not None:
        save_figure(draw_reliability(calibration), folder / "reliability.png")


def _count(samples: Sequence[Sample]) -> dict[str, int]:
    return {
        "versions": len(samples),
        "cells": sum(len(each.inputs.frame) for each in samples),
        "links": sum(len(each.inputs.source) for each in samples),
        "divisions": sum(int(each.truth.pair.sum()) for each in samples),
    }
