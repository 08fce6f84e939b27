"""Scorers: from a graph to scores of its links. The protocol of all scorers, and their registry.

A scorer of another package is registered by an entry point of the group ``gnntrack.scorers``:

.. code-block:: toml

    [project.entry-points."gnntrack.scorers"]
    nearest = "my_package.nearest:NearestScorer"

It is then also a method of its own name: ``gnntrack track --method nearest``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gnntrack.plugins import Registry

if TYPE_CHECKING:
    from gnntrack.settings import Settings
    from gnntrack.types import CellGraph, FrameStack, LinkScores, Progress, Runs

__all__ = ["SCORERS", "CellPixels", "Scorer"]


@dataclass(frozen=True)
class CellPixels:
    """The images of a movie and the pixels of its cells, for scorers that use the appearance of cells.

    Parameters
    ----------
    runs : Runs
        Pixels of each cell of the graph.
    images : FrameStack
        The microscope's images, frame by frame.
    """

    runs: Runs
    images: FrameStack


class Scorer(Protocol):
    """Scores the candidate links of a graph.

    Four attributes are optional, the first two of the class:

    ``solver`` : str
        Name of the solver that the method of this scorer uses by default; ``"hungarian"`` if absent.
    ``sections`` : tuple of str
        Sections of the settings that the scorer reads, such as ``("scores", "gnn")``. The command line refuses options
        of a section that a scorer declares not to read; without this attribute it refuses none.
    ``confidence`` : str
        Name of the weights in `gnntrack.scores.confidence` by which the confidence of chosen links is computed; if
        absent or None, it is the score.
    ``decision`` : dict
        After `score`: ``scored_by`` and ``scoring_reason`` of the lineage's `gnntrack.provenance.Provenance`.

    Parameters
    ----------
    settings : Settings
        Settings of all stages.
    images : bool
        Whether `score` will be given the cells' pixels.

    Raises
    ------
    InputError
        If the scorer cannot be used, for example without its model (`ModelError`). Everything that can be checked is
        checked here: the constructor runs before the graph is built, which may take minutes.

    Examples
    --------
    >>> from gnntrack.scores import SCORERS
    >>> sorted(SCORERS.built_in)
    ['auto', 'links', 'network', 'overlap']
    """

    def __init__(self, settings: Settings, *, images: bool) -> None: ...

    def score(
        self, graph: CellGraph, *, pixels: CellPixels | None = None, progress: Progress | None = None
    ) -> LinkScores:
        """Return the scores of all candidate links and of the division candidates.

        Parameters
        ----------
        graph : CellGraph
            Candidate links.
        pixels : CellPixels, optional
            Given if the scorer was constructed with ``images=True``; a graph from a file has none.
        progress : Progress, optional
            Called after each step of long work.

        Returns
        -------
        LinkScores
            Higher is better; with link scores of 0.4 and more, the default solvers choose a link.

        Raises
        ------
        FormatError
            If the graph lacks a feature that the scorer reads.
        """
        ...


SCORERS: Registry[type[Scorer]] = Registry(
    "scorer",
    {
        "overlap": "gnntrack.scores.overlap:OverlapScorer",
        "links": "gnntrack.scores.classical:ClassicalScorer",
        "network": "gnntrack.scores.learned:NetworkScorer",
        "auto": "gnntrack.scores.learned:AutoScorer",
    },
    required=("score",),
)
"""Classes of scorers by name; they are imported when first used."""
