"""Learned scores: a graph neural network that corrects the classical scores.

The network is computed without torch if it can be (`gnntrack.gnn.array_network`). Otherwise torch is imported when a
scorer is constructed, not with this module.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import ModelError
from gnntrack.scores.classical import ClassicalScorer

if TYPE_CHECKING:
    from gnntrack.gnn.appearance import Embedder
    from gnntrack.gnn.array_network import ArrayNetwork
    from gnntrack.gnn.inputs import Inputs
    from gnntrack.gnn.network import Network
    from gnntrack.gnn.predict import LogOdds
    from gnntrack.gnn.weights import Model
    from gnntrack.scores.registry import CellPixels
    from gnntrack.settings import Settings
    from gnntrack.types import CellGraph, FeatureArray, LinkScores, Progress

__all__ = [
    "AutoScorer",
    "NetworkScorer",
    "favour_classical",
    "load_network",
    "upstream_settings",
]

_log = logging.getLogger(__name__)


class NetworkScorer:
    """Scores links by the network of ``settings.gnn``, which starts from the classical scores.

    Parameters
    ----------
    settings : Settings
        ``gnn`` names the model, the device and the windows; ``scores`` and ``solver`` are for the classical scores.
    images : bool
        Whether `score` will be given the cells' pixels.

    Raises
    ------
    ModelError, InputError
        See `load_network`.
    """

    sections: tuple[str, ...] = ("scores", "gnn")
    level = logging.WARNING  # of messages about movies that a network does not suit

    def __init__(self, settings: Settings, *, images: bool = False) -> None:
        self.settings = settings
        self.decision: dict[str, str] = {}
        self.model, self.embedder = _load(settings, images=images)
        self._of_points: Model | None = None
        self._compared: set[str] = set()  # folders of the models whose settings have been compared
        # the calibration is that of networks that correct classical scores
        self.confidence = "network" if self.model.scoring_network.corrects else None
        self.cell_weights: str | None = None  # of `rate_cells`
        self._classical = ClassicalScorer(settings)

    def score(
        self, graph: CellGraph, *, pixels: CellPixels | None = None, progress: Progress | None = None
    ) -> LinkScores:
        """Return the scores of all candidate links; see `gnntrack.scores.registry.Scorer.score`."""
        prior = self._classical.score(graph)
        if not len(graph):
            return self._keep_classical(prior, "there are no candidate links")
        model = self._choose_model(graph)
        corrects = model.scoring_network.corrects
        strength, reason = _find_strength(model, prior, self.settings)
        if corrects and not strength:
            if self.settings.gnn.correction is None:
                advice = "its links get the classical scores; set gnn.correction to use the network all the same"
                _log.log(self.level, "%s; %s", reason, advice)
            return self._keep_classical(prior, reason)
        self.confidence = "network" if corrects else None
        self.cell_weights = self._choose_cell_weights(model)
        self.decision = _describe_decision("network", reason)
        if str(model.folder) not in self._compared:
            self._compared.add(str(model.folder))
            _tell_other_settings(model, self.settings, level=self.level)
        if not graph.cells.points and not graph.cells.has("intensity_mean"):
            lacking = "no images: the network scores by the masks alone; divisions and swaps are harder to recognise"
            _log.log(self.level, lacking)
        embedding = None
        if self.embedder is not None and pixels is not None:
            from gnntrack.gnn.appearance import crop_cells, embed

            images = crop_cells(graph.cells, pixels.runs, pixels.images, progress=progress)
            embedding = embed(self.embedder, images)
        return self._correct(model, graph, prior, strength=strength, embedding=embedding, progress=progress)

    def _correct(
        self,
        model: Model,
        graph: CellGraph,
        prior: LinkScores,
        *,
        strength: float,
        embedding: FeatureArray | None,
        progress: Progress | None,
    ) -> LinkScores:
        """Return the scores of a network, on its device; `strength` is the fraction of its correction that is added."""
        from gnntrack.gnn.predict import make_link_scores, predict_log_odds
        from gnntrack.gnn.strength import find_margin

        network, settings = model.scoring_network, self.settings
        inputs = network.select_columns(network.inputs_of(graph, prior, embedding=embedding))
        if not self._reads_brightness():
            inputs = _hide_brightness(network, inputs)
        log_odds = predict_log_odds(
            network, inputs, links_per_window=settings.gnn.window, correction=strength, progress=progress
        )
        margin = find_margin(settings.gnn.correction, model.training.get("correction"))
        log_odds = favour_classical(log_odds, inputs, graph, prior, margin, settings)
        log_odds = _keep_prior_of_longer_gaps(model, inputs, log_odds)
        scores = make_link_scores(inputs, prior, log_odds, temperature=model.temperature)
        return _keep_prior_of_other_pairs(scores, prior) if graph.cells.points else scores

    def _choose_cell_weights(self, model: Model) -> str | None:
        """Return the weights for spurious cells: the network that comes with gnntrack has some, others have none."""
        from gnntrack.gnn.weights import SHIPPED

        return "network" if model.name == SHIPPED[0] and not self._reads_brightness() else None

    def _reads_brightness(self) -> bool:
        brightness = self.settings.gnn.brightness
        return self.settings.gnn.model is not None if brightness is None else brightness

    def _keep_classical(self, prior: LinkScores, reason: str) -> LinkScores:
        """Return the classical scores, and record that they are used."""
        self.confidence, self.cell_weights = self._classical.confidence, self._classical.cell_weights
        self.decision = _describe_decision("classical", reason)
        return prior

    def _choose_model(self, graph: CellGraph) -> Model:
        """Return the model for a graph: of the two that come with gnntrack, that of points if it has no masks."""
        from gnntrack.gnn.weights import SHIPPED

        model = self.model
        if graph.cells.points and model.name == SHIPPED[0]:
            if self._of_points is None:
                self._of_points = _load_model(self.settings, points=True)
            model = self._of_points
        return model


class AutoScorer(NetworkScorer):
    """Scores links by the network of ``settings.gnn`` on movies that it suits, on others by the classical scores.

    The network scores the movies of masks that `NetworkScorer` would let it correct. It does not score points, unless a
    model of points is given, nor movies without the images that its model uses. `NetworkScorer` warns of such movies,
    and this class does not. After `score`, the attribute ``decision`` has what was chosen, with the reason.

    Parameters
    ----------
    settings, images
        As of `NetworkScorer`.

    Raises
    ------
    ModelError, InputError
        If the model does not exist or cannot be read, or this machine does not have the device.
    """

    level = logging.INFO

    def __init__(self, settings: Settings, *, images: bool = False) -> None:
        super().__init__(settings, images=True)  # a movie without images is no error here

    def score(
        self, graph: CellGraph, *, pixels: CellPixels | None = None, progress: Progress | None = None
    ) -> LinkScores:
        """Return the scores of all candidate links; see `gnntrack.scores.registry.Scorer.score`."""
        reason = ""
        if graph.cells.points and not self.model.scoring_network.of_points:
            reason = "the cells are points, and no model of points is given"
        elif self.embedder is not None and pixels is None:
            reason = f"the model '{self.model.name}' uses the cells' images, and there are none"
        if not reason:
            return super().score(graph, pixels=pixels, progress=progress)
        _log.log(self.level, "%s; its links get the classical scores", reason)
        return self._keep_classical(self._classical.score(graph), reason)


def _describe_decision(scored_by: str, reason: str) -> dict[str, str]:
    """Return the fields of `gnntrack.provenance.Provenance` for a decision."""
    return {"scored_by": scored_by, "scoring_reason": reason}


def load_network(settings: Settings, *, images: bool) -> tuple[Model, Embedder | None]:
    """Load the network and, if it uses appearance, its embedding network, both on the device of the settings.

    On the CPU, a network that can be computed without torch is loaded without it.

    Raises
    ------
    ModelError
        If the model does not exist or cannot be used, or if it uses the cells' images and there are none.
    InputError
        If this machine does not have the device.
    """
    model, embedder = _load(settings, images=images)
    _tell_other_settings(model, settings)
    return model, embedder


def _load(settings: Settings, *, images: bool) -> tuple[Model, Embedder | None]:
    model = _load_model(settings)
    if not model.scoring_network.uses_embedding:
        return model, None
    if not images:
        msg = (
            f"the model '{model.name}' uses the cells' images, and a graph does not hold any; give images and masks to "
            "'gnntrack track', or choose another model"
        )
        raise ModelError(msg)
    from gnntrack.gnn.appearance import APPEARANCE, load_embedder

    return model, load_embedder(model.folder / APPEARANCE, device=next(model.link_network.parameters()).device)


def _load_model(settings: Settings, *, points: bool = False) -> Model:
    """Load the model on the device of the settings; ``auto`` is the CPU for a network that needs no torch."""
    from gnntrack.gnn.array_network import ArrayNetwork
    from gnntrack.gnn.weights import load_for_scoring, load_model

    name, device = settings.gnn.model, settings.gnn.device
    if device in {"auto", "cpu"}:
        model = load_for_scoring(name, points=points)
        if device == "cpu" or isinstance(model.network, ArrayNetwork):
            return model
    from gnntrack.models.devices import find_device  # imports torch, which takes long

    return load_model(name, points=points, device=find_device(device))


def favour_classical(
    found: LogOdds, inputs: Inputs, graph: CellGraph, prior: LinkScores, margin: float, settings: Settings
) -> LogOdds:
    """Return the log odds of a network in favour of the solution of the classical scores.

    Parameters
    ----------
    found : LogOdds
        Of the network.
    inputs : Inputs
        Of the movie.
    graph : CellGraph
        Candidate links.
    prior : LinkScores
        Their classical scores.
    margin : float
        As of `gnntrack.gnn.predict.favour_links`; 0 = the log odds stay as they are.
    settings : Settings
        ``solver`` for the classical solution.
    """
    from gnntrack.gnn.predict import favour_links
    from gnntrack.solvers import solve

    if not margin:
        return found
    chosen = solve("hungarian", graph, prior, settings=settings.solver)
    return favour_links(found, inputs, chosen[inputs.rows], margin)


def _hide_brightness(network: Network | ArrayNetwork, inputs: Inputs) -> Inputs:
    """Return the inputs without the brightness of single cells, as those of masks without images.

    The default for the network that comes with gnntrack (`gnn.brightness`): the brightness of cells of one microscope
    tells little about those of another. That of two cells against each other remains, and is in the classical scores,
    too.
    """
    columns = [i for i, name in enumerate(network.columns["cell"]) if name.startswith("intensity")]
    cell = inputs.cell.copy()
    cell[:, columns] = np.nan
    return replace(inputs, cell=cell)


def _keep_prior_of_longer_gaps(model: Model, inputs: Inputs, log_odds: LogOdds) -> LogOdds:
    """Return the log odds with the classical ones for links over gaps that are longer than those of the training.

    Only for networks that correct classical scores; others have no other scores for such links.
    """
    trained = model.training.get("stages", {}).get("graph", {}).get("max_gap")
    if trained is None or not model.scoring_network.corrects:
        return log_odds
    longer = inputs.frame[inputs.target] - inputs.frame[inputs.source] > trained
    return log_odds._replace(link=np.where(longer, inputs.link[:, 0], log_odds.link))


def _keep_prior_of_other_pairs(scores: LinkScores, prior: LinkScores) -> LinkScores:
    """Return the scores with the classical ones of the pairs that the network does not read.

    They tell which of several points is the parent of a daughter: `gnntrack.events.point_divisions.compare_parents`.
    """
    division = prior.division.copy()
    division[prior.find_pairs(scores.pairs)] = scores.division
    return replace(scores, pairs=prior.pairs, division=division)


def _find_strength(model: Model, prior: LinkScores, settings: Settings) -> tuple[float, str]:
    """Return the fraction of the network's correction that is added to the classical scores of a movie, and why.

    It is 0 for a movie that is unlike the training data, unless the user has set it.
    """
    from gnntrack.gnn.strength import choose_strength, describe_weakness
    from gnntrack.gnn.training_range import describe_unlike, find_unlike

    given, rule = settings.gnn.correction, model.training.get("correction")
    if given is not None:
        return given, f"gnn.correction is {given:g}"
    unlike = find_unlike(prior.movie, model.training.get("movies", {}))
    if unlike:
        told = describe_unlike(unlike)
        return 0.0, f"this movie is unlike the training data of the model '{model.name}': {told}"
    strength = choose_strength(None, rule, prior.movie)
    if strength:
        return strength, f"the movie suits the model '{model.name}'; strength of its correction {strength:.2g}"
    told = describe_weakness(rule or {}, prior.movie or {})
    return 0.0, f"this movie would hardly be improved by the model '{model.name}': {told}"


def upstream_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings of the stages before the network, as they are stored with its weights."""
    return settings.to_dict(include={"cells", "motion", "graph", "scores"}, plain=True)


def _tell_other_settings(model: Model, settings: Settings, *, level: int = logging.WARNING) -> None:
    """Log which settings of the stages before the network differ from those of its training."""
    if model.scoring_network.of_points and "max_gap" not in settings.graph.given:
        longest = model.training.get("stages", {}).get("graph", {}).get("max_gap", settings.graph.max_gap)
        settings = settings.replace(graph__max_gap=longest)  # the default of points is another one
    now = upstream_settings(settings)
    trained = model.training.get("stages", now)
    differing = [
        f"{stage}.{key}"
        for stage, values in now.items()
        for key, value in values.items()
        if trained.get(stage, values).get(key, value) != value
    ]
    if differing:
        given = ", ".join(differing)
        _log.log(
            level,
            "the model '%s' was trained with other settings: %s; its links may be worse than with the defaults",
            model.name,
            given,
        )
