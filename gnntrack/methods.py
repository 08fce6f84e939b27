"""Methods: a scorer and a solver under one name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from gnntrack.errors import FormatError, InputError
from gnntrack.plugins import describe_unknown_name
from gnntrack.scores.confidence import compute_confidence
from gnntrack.scores.registry import SCORERS
from gnntrack.solvers.registry import SOLVERS

if TYPE_CHECKING:
    from gnntrack.scores.registry import CellPixels, Scorer
    from gnntrack.settings import Settings
    from gnntrack.types import BoolArray, CellGraph, Lineage, LinkScores, Progress

__all__ = ["METHODS", "Method", "rate_links", "resolve_method", "score_graph"]

_DEFAULT_SOLVER = "hungarian"  # of scorers of other packages that do not name one


class Method(NamedTuple):
    """Names of a scorer and of a solver."""

    scorer: str
    solver: str

    def make_scorer(self, settings: Settings, *, images: bool) -> Scorer:
        """Return the scorer, ready for use.

        Parameters
        ----------
        settings : Settings
            Of all stages.
        images : bool
            Whether the images of the cells will be given.

        Raises
        ------
        InputError
            If the scorer cannot be used, for example without its model (`ModelError`).
        """
        return SCORERS[self.scorer](settings, images=images)

    def reads(self, section: str) -> bool:
        """Return whether the scorer may read this section of the settings."""
        sections: tuple[str, ...] | None = getattr(SCORERS[self.scorer], "sections", None)
        return sections is None or section in sections


class Methods(Mapping[str, Method]):
    """Methods by name: the built-in ones, and each scorer of another package under its own name.

    Examples
    --------
    >>> METHODS["gnn"]
    Method(scorer='network', solver='hungarian')
    >>> METHODS["cnn"]
    Traceback (most recent call last):
    gnntrack.errors.InputError: unknown method 'cnn'; did you mean 'gnn'? There are: iou, greedy, hungarian, gnn, auto
    """

    def __init__(self, built_in: Mapping[str, Method]) -> None:
        self.built_in = dict(built_in)

    def __getitem__(self, name: str) -> Method:
        """Return a method.

        Raises
        ------
        InputError
            If the name is unknown; the message proposes the nearest name.
        """
        if name in self.built_in:
            return self.built_in[name]
        if name not in self:
            if name in SOLVERS:
                msg = f"'{name}' is a solver, not a method; give it as solver (--solver {name})"
                raise InputError(msg)
            raise InputError(describe_unknown_name("method", name, self))
        return Method(name, getattr(SCORERS[name], "solver", _DEFAULT_SOLVER))

    def __contains__(self, name: object) -> bool:
        return name in self.built_in or any(
            name == other for other in self
        )  # others are searched for, which takes time

    def __iter__(self) -> Iterator[str]:
        yield from self.built_in
        yield from (name for name in SCORERS if name not in SCORERS.built_in and name not in self.built_in)

    def __len__(self) -> int:
        return sum(1 for _ in self)


METHODS = Methods(
    {
        "iou": Method("overlap", "iou"),
        "greedy": Method("links", "greedy"),
        "hungarian": Method("links", "hungarian"),
        "gnn": Method("network", "hungarian"),
        "auto": Method("auto", "hungarian"),
    }
)
"""All methods."""


def resolve_method(method: str, solver: str | None = None, *, goal: str = "ctc") -> Method:
    """Return the scorer of a method, and its solver or the one given instead.

    For the goal ``identity``, links over gaps are chosen together with all others: ``exact`` in place of ``hungarian``.

    >>> [resolve_method("gnn", goal=goal).solver for goal in ("ctc", "identity")]
    ['hungarian', 'exact']

    Raises
    ------
    InputError
        If the method or the solver is unknown; the message proposes the nearest name.
    """
    found = METHODS[method]
    own = "exact" if (goal, found.solver) == ("identity", "hungarian") else found.solver
    return Method(found.scorer, SOLVERS.check(own if solver is None else solver))


def score_graph(
    scorer: Scorer, graph: CellGraph, *, pixels: CellPixels | None = None, progress: Progress | None = None
) -> LinkScores:
    """Score a graph; an error because of a missing feature advises to build the graph again.

    Raises
    ------
    FormatError
        If the graph lacks a feature that the scorer reads.
    """
    try:
        return scorer.score(graph, pixels=pixels, progress=progress)
    except FormatError as error:
        msg = f"{error}; build the graph again with 'gnntrack build-graph'"
        raise FormatError(msg) from error


def rate_links(scorer: Scorer, lineage: Lineage, graph: CellGraph, chosen: BoolArray, scores: LinkScores) -> Lineage:
    """Return the lineage with the calibrated confidence of each link, or as it is if the scorer has no calibration.

    Parameters
    ----------
    scorer : Scorer
        Its attribute ``confidence`` names the weights.
    lineage, graph, chosen, scores
        As of `gnntrack.scores.confidence.compute_confidence`.
    """
    weights = getattr(scorer, "confidence", None)
    if weights is None:
        return lineage
    return replace(lineage, confidence=compute_confidence(lineage, graph, chosen, scores, scorer=weights))
