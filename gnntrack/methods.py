"""Methods: a scorer with its usual solver."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gnntrack.errors import FormatError, InputError, ModelError
from gnntrack.scores import score_links, score_overlap
from gnntrack.solvers import SOLVERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gnntrack.gnn.appearance import Embedder
    from gnntrack.gnn.weights import Model
    from gnntrack.settings import Settings
    from gnntrack.types import CellGraph, FeatureArray, FrameStack, LinkScores, Progress, Runs

__all__ = ["METHODS", "load_network", "plan", "score", "score_learned", "stages_before"]

_log = logging.getLogger(__name__)

METHODS = {
    "iou": ("overlap", "iou"),
    "greedy": ("links", "greedy"),
    "hungarian": ("links", "hungarian"),
    "gnn": ("network", "triplets"),
}


def plan(method: str, solver: str | None) -> tuple[str, str]:
    """Return the scorer and the solver of a method.

    Raises
    ------
    InputError
        If there is no such method or solver; the message names those there are.
    """
    if method not in METHODS:
        msg = f"unknown method '{method}'; there are: {', '.join(METHODS)}"
        raise InputError(msg)
    scorer, usual = METHODS[method]
    if solver is not None and solver not in SOLVERS:
        msg = f"unknown solver '{solver}'; there are: {', '.join(sorted(SOLVERS))}"
        raise InputError(msg)
    return scorer, solver or usual


def load_network(settings: Settings, *, images: bool) -> tuple[Model, Embedder | None]:
    """Return the model of the settings, on their device, and what looks at the cells' images if the model wants that.

    It takes a moment, where a graph takes minutes: a model that cannot be used is told before the long work.

    Raises
    ------
    ModelError
        If there is no such model, it cannot be used, or it looks at images and there are none.
    InputError
        If this machine has no such device.
    """
    from gnntrack.gnn.weights import load_model
    from gnntrack.models.devices import find_device

    device = find_device(settings.gnn.device)
    model = load_model(settings.gnn.model, device=device)
    _tell_other_settings(model, settings)
    if not model.scorer.options.get("embedding"):
        return model, None
    if not images:
        msg = (
            f"the model '{model.name}' looks at the cells' images, and a graph holds none; give masks and images to "
            "'gnntrack track', or take another model"
        )
        raise ModelError(msg)
    from gnntrack.gnn.appearance import APPEARANCE, load_embedder

    return model, load_embedder(model.folder / APPEARANCE, device=device)


def stages_before(settings: Settings) -> dict[str, Any]:
    """Return the settings of the stages before the network, as they travel with its weights."""
    return settings.model_dump(include={"cells", "motion", "graph", "scores"}, mode="json")


def _tell_other_settings(model: Model, settings: Settings) -> None:
    """Warn of settings of the stages before the network that differ from those it was trained with."""
    now = stages_before(settings)
    learnt = model.training.get("stages", now)
    differing = [
        f"{stage}.{key}"
        for stage, values in now.items()
        for key, value in values.items()
        if learnt.get(stage, values).get(key, value) != value
    ]
    if differing:
        _log.warning("the model '%s' was trained with other settings: %s", model.name, ", ".join(differing))


def score(
    scorer: str,
    graph: CellGraph,
    settings: Settings,
    *,
    runs: Runs | None = None,
    images: FrameStack | None = None,
    network: tuple[Model, Embedder | None] | None = None,
    progress: Progress | None = None,
) -> LinkScores:
    """Score a graph by ``overlap``, ``links`` (the classical scores) or ``network``.

    The cells' pixels and images are looked at by a network that was trained with their appearance, if it is asked for.
    The network is loaded here unless it was before, to be told early of one that cannot be used.

    Raises
    ------
    ModelError
        If the network cannot be used; see `load_network`.
    InputError
        If this machine has no such device.
    FormatError
        If the graph lacks a feature.
    """
    if scorer == "overlap":
        with _with_cure():
            return score_overlap(graph)
    if scorer == "network" and network is None:
        network = load_network(settings, images=runs is not None and images is not None)
    # where the solver may not choose divisions, their scores are not worth the time
    divisions = settings.scores.divisions and settings.solver.divisions
    with _with_cure():
        prior = score_links(graph, settings=settings.scores.model_copy(update={"divisions": divisions}))
    if network is None:
        return prior
    model, embedder = network
    embedding = None
    if embedder is not None and runs is not None and images is not None:
        from gnntrack.gnn.appearance import crops, embed

        embedding = embed(embedder, crops(graph.cells, runs, images, progress=progress))
    with _with_cure():
        return score_learned(model, graph, prior, settings, embedding=embedding, progress=progress)


@contextmanager
def _with_cure() -> Iterator[None]:
    """Tell what to do about a graph that lacks a feature."""
    try:
        yield
    except FormatError as error:
        msg = f"{error}; build the graph anew with 'gnntrack build-graph'"
        raise FormatError(msg) from error


def score_learned(
    model: Model,
    graph: CellGraph,
    prior: LinkScores,
    settings: Settings,
    *,
    embedding: FeatureArray | None = None,
    progress: Progress | None = None,
) -> LinkScores:
    """Score a graph by a network, which starts from the classical scores, on the device where the network is.

    Raises
    ------
    FormatError
        If the graph lacks a feature.
    """
    from gnntrack.gnn.predict import gains, link_scores

    network = model.scorer
    if not graph.cells.has("intensity_mean"):
        _log.warning("no images: brightness is not used, which tells divisions and mix-ups apart; the masks still are")
    inputs = network.inputs_of(graph, prior, embedding=embedding)
    gained = gains(
        network,
        inputs,
        links_per_window=settings.gnn.window,
        correction=settings.gnn.correction,
        device=next(network.parameters()).device,
        progress=progress,
    )
    return link_scores(inputs, prior, gained, temperature=model.temperature)
