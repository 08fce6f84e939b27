"""The candidate links of a movie, kept with their scores, so that the movie can be solved several times."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.durations import format_duration
from gnntrack.events import revise_divisions
from gnntrack.events.point_divisions import PointDivisions
from gnntrack.lineage.constraints import Constraints
from gnntrack.lineage.families import find_gaps
from gnntrack.lineage.field_of_interest import check_margin
from gnntrack.lineage.fusions import find_fusions
from gnntrack.lineage.point_tracks import finish_points, refuse_for_points
from gnntrack.lineage.repair import repair_movie
from gnntrack.lineage.short_tracks import drop_debris
from gnntrack.methods import rate_links, resolve_method, score_graph
from gnntrack.movie import build_with_runs, open_movie
from gnntrack.movie_scales import estimate_of_movie
from gnntrack.plurals import count_noun
from gnntrack.scores.registry import CellPixels
from gnntrack.scores.spurious import HIGHEST_SPURIOUS, rate_cells
from gnntrack.solvers.constrained import select_free, select_kept, set_certain, solve_free
from gnntrack.stage_times import time_stage

if TYPE_CHECKING:
    from gnntrack.lineage.repair import RepairedMovie
    from gnntrack.movie import Movie
    from gnntrack.result_files import RunRecord
    from gnntrack.scores.registry import Scorer
    from gnntrack.settings import Settings
    from gnntrack.solvers.constrained import FreeCandidates
    from gnntrack.types import BoolArray, CellGraph, Cells, FloatArray, Lineage, LinkScores, Progress, Runs

__all__ = [
    "MovieCandidates",
    "OpenedRun",
    "SolvedLinks",
    "choose_lineage",
    "choose_links",
    "find_candidates",
    "find_spurious",
    "open_run",
    "read_candidates",
    "solve_movie",
]

_log = logging.getLogger(__name__)

_MOST_SPURIOUS = 0.1  # fraction of the cells that is dropped at most: in other movies the probabilities do not hold


@dataclass
class MovieCandidates:
    """A movie that was read: its candidate links and everything that is needed to solve it.

    Parameters
    ----------
    movie : Movie
        Images and masks.
    graph : CellGraph
        The candidate links.
    runs : Runs
        Pixels of the cells.
    scorer : Scorer
        Of the method.
    method, solver : str
        Their names.
    settings : Settings
        Of the run.
    """

    movie: Movie
    graph: CellGraph
    runs: Runs
    scorer: Scorer
    method: str
    solver: str
    settings: Settings
    _scores: LinkScores | None = field(default=None, repr=False)

    def score(self, *, progress: Progress | None = None) -> LinkScores:
        """Return the scores of the candidates; they are computed at the first call."""
        if self._scores is None:
            images = self.movie.images
            pixels = None if images is None else CellPixels(self.runs, images)
            with time_stage("scores"):
                self._scores = score_graph(self.scorer, self.graph, pixels=pixels, progress=progress)
        return self._scores


def read_candidates(
    run: RunRecord, *, method: str, solver: str | None, progress: Progress | None = None, **options: Any
) -> MovieCandidates:
    """Read the movie of a run and find its candidate links.

    Parameters
    ----------
    run : RunRecord
        Images, masks and settings. What was found about the input is recorded in it.
    method, solver, progress, **options
        As in `gnntrack.track`.

    Raises
    ------
    InputError
        As of `gnntrack.track`.

    Examples
    --------
    >>> from gnntrack.result_files import RunRecord
    >>> masks = np.zeros((3, 20, 20), np.uint8)
    >>> masks[:, 5:11, 5:11] = 7
    >>> candidates = read_candidates(RunRecord(masks=masks), method="hungarian", solver=None)
    >>> len(candidates.graph), len(solve_movie(candidates).lineage)
    (3, 1)
    """
    return find_candidates(open_run(run, method=method, solver=solver, **options), run, progress=progress)


class OpenedRun(NamedTuple):
    """A run whose movie is open, and whose method is ready."""

    movie: Movie
    scorer: Scorer
    method: str
    solver: str


def open_run(run: RunRecord, *, method: str, solver: str | None, **options: Any) -> OpenedRun:
    """Open the movie of a run; arguments and errors as of `read_candidates`."""
    settings = run.settings
    plan = resolve_method(
        method, solver, goal=settings.solver.goal
    )  # errors in method, model or device are raised before the long work
    scorer = plan.make_scorer(settings, images=run.images is not None)
    movie = open_movie(run.images, run.masks, settings=settings, **options)
    check_margin(settings.repair.margin, movie.masks.shape)
    run.names, run.segmenter, run.channel = movie.names, movie.segmenter, movie.channel
    run.segmenter_options = options.get("segmenter_options") or {}
    return OpenedRun(movie, scorer, method, plan.solver)


def find_candidates(opened: OpenedRun, run: RunRecord, *, progress: Progress | None = None) -> MovieCandidates:
    """Read the movie of a run that was opened and find its candidate links; see `read_candidates`."""
    movie = opened.movie
    graph, runs = build_with_runs(movie, run.settings, progress)
    if movie.statistics is not None:
        run.diameter, run.model = movie.statistics.estimated_diameter, movie.statistics.guessed_model
    return MovieCandidates(movie, graph, runs, opened.scorer, opened.method, opened.solver, run.settings)


def solve_movie(
    candidates: MovieCandidates, *, fixed: Constraints | None = None, progress: Progress | None = None
) -> RepairedMovie:
    """Choose among the candidates of a movie, and repair the masks.

    Parameters
    ----------
    candidates : MovieCandidates
        They stay as they are.
    fixed : Constraints, optional
        Decisions about the cells of the graph, which the solution keeps.
    progress : Progress, optional
        As in `gnntrack.track`.
    """
    graph, settings = candidates.graph, candidates.settings
    scores = candidates.score(progress=progress)
    fixed = find_spurious(graph, scores, candidates.scorer, settings=settings, fixed=fixed)
    with time_stage("solving"):
        lineage = choose_lineage(
            graph,
            scores,
            candidates.scorer,
            plan=(candidates.method, candidates.solver),
            settings=settings,
            progress=progress,
            fixed=fixed,
        )
    dropped = graph.cells.row_of(*np.array(lineage.provenance.debris_dropped or (), np.int64).reshape(-1, 2).T)
    fixed = replace(fixed, removed=np.append(fixed.removed, dropped))
    runs, fixed = _remove_runs(graph.cells, candidates.runs, fixed)
    images = candidates.movie.images
    with time_stage("repair"):
        repaired = repair_movie(lineage, runs, settings=settings.repair, fixed=fixed, images=images)
        fusions = find_fusions(repaired.lineage, repaired.runs)
    return replace(repaired, lineage=repaired.lineage.with_fusions(fusions), candidates=graph.cells)


def _remove_runs(cells: Cells, runs: Runs, fixed: Constraints) -> tuple[Runs, Constraints]:
    """Return the pixels of the cells that are kept, and the decisions about these."""
    if not len(fixed.list_removed()):
        return runs, fixed
    keep, fixed = fixed.remove_cells(len(cells))
    return runs.select(keep[runs.cell], (np.cumsum(keep) - 1)[runs.cell]), fixed


def choose_lineage(
    graph: CellGraph,
    scores: LinkScores,
    scorer: Scorer,
    *,
    plan: tuple[str, str],
    settings: Settings,
    progress: Progress | None = None,
    fixed: Constraints | None = None,
    moments: FloatArray | None = None,
) -> Lineage:
    """Choose among the candidate links of a graph.

    Parameters
    ----------
    graph, scores
        The candidates.
    scorer : Scorer
        The one that made the scores; it calibrates the confidences.
    plan : tuple of str
        Names of the method and of the solver.
    settings, progress
        As in `gnntrack.solve`.
    fixed : Constraints, optional
        Decisions that the lineage keeps.
    moments : (N, D, D) float64, optional
        Shapes of points in the images; see `gnntrack.measure.point_shapes.PointShapes`.
    """
    fixed, (method, solver) = fixed or Constraints(), plan
    if graph.cells.points:
        refuse_for_points(settings)
    if len(fixed.list_removed()):
        named = np.column_stack([graph.cells.frame, graph.cells.label])
        by_score = np.column_stack([named[fixed.spurious[:, 0]], fixed.spurious[:, 1]])
        removed, dropped = (tuple(map(tuple, each.tolist())) or None for each in (named[fixed.removed], by_score))
        keep, fixed = fixed.remove_cells(len(graph.cells))
        graph, scores = select_kept(graph, scores, keep)
        provenance = graph.provenance.replace(removed_by_edits=removed, spurious_dropped=dropped)
        graph = replace(graph, provenance=provenance)
    solved = choose_links(graph, scores, solver, settings=settings, progress=progress, fixed=fixed, moments=moments)
    lineage = rate_links(scorer, *solved)
    if fixed:
        lineage = set_certain(lineage, fixed)
    bridged = kept = len(find_gaps(lineage)[0])
    if graph.cells.points:
        lineage = finish_points(lineage, settings=settings.points)
        kept = lineage.provenance.gaps_bridged or 0
    elif settings.repair.debris_size and not settings.repair.keep_masks:
        lineage = drop_debris(lineage, settings.repair.debris_size, named=fixed.find_named(len(lineage.cells)))
        kept = len(find_gaps(lineage)[0])
    _log.info(
        "links: %d of %s chosen by %s, %d over gaps",
        solved.chosen.sum(),
        count_noun(len(graph), "candidate"),
        solver,
        bridged,
    )
    decision = getattr(scorer, "decision", {})
    return lineage.with_provenance(method=method, solver=solver, gaps_bridged=kept, **decision)


def find_spurious(
    graph: CellGraph,
    scores: LinkScores,
    scorer: Scorer,
    *,
    settings: Settings,
    fixed: Constraints | None = None,
) -> Constraints:
    """Return the decisions about a movie with the cells that are dropped because they are probably spurious.

    Cells that an edit names stay, and cells that were cut off a mask, so that no part of a mask is lost.

    Parameters
    ----------
    graph, scores, scorer, settings, fixed
        As of `choose_lineage`.
    """
    fixed = fixed or Constraints()
    weights, given = getattr(scorer, "cell_weights", None), settings.repair.drop_spurious
    if weights is None or settings.repair.keep_masks or graph.cells.points:
        return fixed
    highest = HIGHEST_SPURIOUS[weights] if given is None else given
    if highest == 1:
        return fixed
    probability = rate_cells(graph, scores, scorer=weights)
    wrong = probability > highest
    wrong[fixed.find_named(len(graph.cells))] = wrong[fixed.removed] = False
    cut = np.array(graph.provenance.masks_cut or (), np.int64).reshape(-1, 3)
    for label in (cut[:, 1], cut[:, 2]):
        rows = graph.cells.row_of(cut[:, 0], label)
        wrong[rows[rows >= 0]] = False
    rows = np.flatnonzero(wrong)
    if estimate_of_movie("spurious.too_many", lambda: bool(len(rows) > 1 + _MOST_SPURIOUS * len(wrong))):
        level = logging.INFO if given is None else logging.WARNING
        text = (
            "none is dropped as spurious: %d of %s would be, more than a tenth, and the probabilities do not hold then"
        )
        _log.log(level, text, len(rows), count_noun(len(wrong), "cell"))
        return fixed
    if len(rows):
        _log.info("%s dropped as spurious, with a probability above %g", count_noun(len(rows), "cell"), highest)
    return replace(fixed, spurious=np.column_stack([rows, np.floor(100 * probability[rows]).astype(np.int64)]))


class SolvedLinks(NamedTuple):
    """A solution whose links are not rated yet: the arguments of `gnntrack.methods.rate_links`."""

    lineage: Lineage
    graph: CellGraph
    """The candidates, without those that constraints exclude."""
    chosen: BoolArray
    scores: LinkScores


def choose_links(
    graph: CellGraph,
    scores: LinkScores,
    solver: str,
    *,
    settings: Settings,
    progress: Progress | None = None,
    fixed: Constraints | None = None,
    moments: FloatArray | None = None,
) -> SolvedLinks:
    """Choose among the candidate links of a graph, and decide divisions again; arguments as of `choose_lineage`."""
    fixed = fixed or Constraints()
    report = progress or (lambda *_: None)
    report("solving", 1, 2)
    free = select_free(graph, scores, fixed)
    free, rated = _add_point_divisions(solver, free, fixed, settings, moments)
    chosen, lineage = solve_free(solver, free, fixed, settings=settings.solver)
    report("solving", 2, 2)
    if lineage.provenance.time_limit_reached:
        limit = format_duration(settings.solver.time_limit or 0)
        _log.warning("the time limit of %s ended the search of '%s'; the best links so far are kept", limit, solver)
    # the scorer can score divisions; the events that revise them are those of masks
    if settings.solver.divisions and len(scores.pairs) and not graph.cells.points:
        longer = "max_gap" not in settings.graph.given
        gap = settings.graph.max_gap
        lineage = revise_divisions(lineage, graph, longest_gap=gap, longer_gaps=longer, fixed=fixed)
    return SolvedLinks(lineage, free.graph, chosen, rated)


def _add_point_divisions(
    solver: str, free: FreeCandidates, fixed: Constraints, settings: Settings, moments: FloatArray | None
) -> tuple[FreeCandidates, LinkScores]:
    """Return candidates with the divisions of points that are found in a solution without any, and their probabilities.

    Candidates of cells with masks stay as they are.
    """
    if not (free.graph.cells.points and settings.solver.divisions):
        return free, free.scores
    without = settings.replace(solver__divisions=False).solver
    _, first = solve_free(solver, free, fixed, settings=without, rate=False)
    known: dict[str, Any] = {"threshold": settings.solver.choose_link_threshold(), "moments": moments}
    divisions = PointDivisions.find(free.graph, free.scores, first.source, first.target, **known)
    added = divisions.add_to(free.scores, threshold=settings.solver.division_threshold)
    return free._replace(scores=added), divisions.rate(free.scores)
