"""Methods: a scorer with its usual solver."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gnntrack.errors import InputError, ModelError
from gnntrack.scores import score_links, score_overlap
from gnntrack.solvers import SOLVERS

if TYPE_CHECKING:
    from gnntrack.gnn.weights import Model
    from gnntrack.settings import Settings
    from gnntrack.types import CellGraph, FeatureArray, FrameStack, LinkScores, Progress, Runs

__all__ = ["METHODS", "plan", "score", "score_learned"]

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


def score(
    scorer: str,
    graph: CellGraph,
    settings: Settings,
    *,
    runs: Runs | None = None,
    images: FrameStack | None = None,
    progress: Progress | None = None,
) -> LinkScores:
    """Score a graph by ``overlap``, ``links`` (the classical scores) or ``network``.

    The cells' pixels and images are looked at by a network that was trained with their appearance, if it is asked for.
    """
    if scorer == "overlap":
        return score_overlap(graph)
    # where the solver may not choose divisions, their scores are not worth the time
    divisions = settings.scores.divisions and settings.solver.divisions
    prior = score_links(graph, settings=settings.scores.model_copy(update={"divisions": divisions}))
    if scorer == "links":
        return prior
    from gnntrack.gnn.predict import find_device
    from gnntrack.gnn.weights import load_model

    device = find_device(settings.gnn.device)
    model = load_model(settings.gnn.model, device=device)
    embedding = None
    if model.scorer.options.get("embedding") and runs is not None and images is not None:
        from gnntrack.gnn.appearance import APPEARANCE, crops, embed, load_embedder

        embedder = load_embedder(model.folder / APPEARANCE, device=device)
        embedding = embed(embedder, crops(graph.cells, runs, images, progress=progress))
    return score_learned(model, graph, prior, settings, embedding=embedding, progress=progress)


def score_learned(
    model: Model,
    graph: CellGraph,
    prior: LinkScores,
    settings: Settings,
    *,
    embedding: FeatureArray | None = None,
    progress: Progress | None = None,
) -> LinkScores:
    """Score a graph by a network, which starts from the classical scores.

    Raises
    ------
    ModelError
        If the network wants the cells' appearance and there is none.
    """
    from gnntrack.gnn.predict import find_device, gains, link_scores

    network = model.scorer
    if network.options.get("embedding") and embedding is None:
        msg = (
            f"the model '{model.name}' looks at the cells' images, and a graph holds none; give masks and images to "
            "'gnntrack track', or take another model"
        )
        raise ModelError(msg)
    if not graph.cells.has("intensity_mean"):
        _log.warning("no images: brightness is not used, which tells divisions and mix-ups apart; the masks still are")
    inputs = network.inputs_of(graph, prior, embedding=embedding)
    gained = gains(
        network,
        inputs,
        links_per_window=settings.gnn.window,
        correction=settings.gnn.correction,
        device=find_device(settings.gnn.device),
        progress=progress,
    )
    return link_scores(inputs, prior, gained, temperature=model.temperature)
