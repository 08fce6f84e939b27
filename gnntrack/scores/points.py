"""Classical scores of links between points, by a model of their motion that is estimated from the movie itself.

The score of a link is the log-likelihood ratio of its displacement under "the same cell" and under "another cell, or a
false detection, that is there by chance". A first solution predicts displacements from the motion of the neighbours.
Its tracks then show how the cells of this movie move: for each number of frames, displacements are regressed on the
mean motion of the neighbours and on the cell's own steps before and after the link, as far as these exist. In a movie
of cells that keep their direction the own steps get a high weight, in one with imprecise positions a negative one, and
in a tissue that moves as a whole the neighbours do. The residuals of the regression are the scale of the next solution.

A link over a gap costs the logarithm of the rate of missed cells, and for each further missing frame that of the rate
at which missed cells are missed again: a dim cell is missed for several frames. Frames without a single point are not
counted: nothing was looked for there. It costs more if the cell is not missing at all, since a point lies in its
place: two cells cannot take turns in one place. A cell that begins or ends is compared with others whose tracks are as
long and as near to the border: false detections are short-lived, so that a long track has to come from somewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.graph.point_links import measure_rounding
from gnntrack.movie_scales import estimate_of_movie, find_inner, name_scales
from gnntrack.scores.densities import CHUNK, log_normal, log_t
from gnntrack.scores.point_tracks import STEPS, PointField, PointTracks
from gnntrack.sparse_assignment import match_sparse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gnntrack.scores.point_tracks import Velocities
    from gnntrack.types import BoolArray, CellGraph, Cells, FloatArray, IntArray

    _Predictor = Callable[[IntArray], "_Prediction"]

__all__ = ["score_point_links"]

_TAIL = 8.0  # degrees of freedom of the t-densities
_JUMP, _WIDE = 0.02, 3.0  # fraction of the displacements that are far from usual, and their scale in usual ones
_ONE_SIGMA = 0.6827  # quantile
_THINNEST = 0.2  # smallest scale along an axis, relative to the largest one
_USUAL, _WEIGHT = 0.1, 5.0  # prior scale in distances of neighbours, and the displacements that it counts for
_COPY = 30.0  # log odds of a link from a point to its copy
_FEWEST = 50  # displacements from which a regression is estimated
_OUTLIER = 3.5  # residuals in scales beyond which displacements do not count in the regression
_ROUNDS = 3  # regressions without the outliers of the one before
_TRAINING = 60_000  # points whose displacements are used in a regression, from whole frames
_LENGTHS = (1, 2, 4, 8)  # bounds of the classes of tracks by their lengths
_START = 0.1  # prior rate of beginnings and of ends
_PRIOR = 20.0  # points that the prior rates count for
_MISSED, _AGAIN = 0.05, 0.2  # prior rates of cells that are missed, and of missed cells that are missed again
_NEAR_BORDER = 1.5  # typical displacements within which a cell is at the border
_SEEN = 6.0  # log odds against a gap in which a point is in the place of the cell
_SAME_PLACE = 0.25  # distance up to which it is, in distances of neighbours
_ODD, _MOST = 0.05, 2.0  # bounds of the evidence of radius and brightness: probability of odd ones, log odds


def score_point_links(graph: CellGraph, *, rounds: int) -> FloatArray:
    """Return the log odds of the candidate links between points, against an end and a new start, shape (E,).

    Parameters
    ----------
    graph : CellGraph
        Candidate links, as of `gnntrack.graph.point_links.build_point_links`.
    rounds : int
        How often the movie is solved again to estimate its motion and its rates.

    Examples
    --------
    >>> import gnntrack
    >>> points = np.array([[0, 5, 5], [0, 5, 90], [1, 6, 5], [1, 6, 90]])
    >>> graph = gnntrack.build_graph(points=points)
    >>> list(zip(graph.source.tolist(), graph.target.tolist())), (score_point_links(graph, rounds=1) > 0).tolist()
    ([(0, 2), (0, 3), (1, 2), (1, 3)], [True, False, False, True])
    """
    if not len(graph):
        return np.zeros(0)
    model = _PointModel(graph)
    log_odds = model.score_first()
    for number in range(rounds):
        tracks = PointTracks.from_links(model.field, match_sparse(graph.source, graph.target, log_odds))
        with name_scales(f"points.round{number}"):
            model.estimate_rates(tracks)
            log_odds = model.score(tracks)
    return log_odds


class _Prediction(NamedTuple):
    """Predicted displacements of some links, and their scales."""

    mean: FloatArray  # (M, D)
    scale: FloatArray  # (M, D)


@dataclass(frozen=True)
class _Regression:
    """A linear model of displacements along each axis.

    Parameters
    ----------
    weight : (F, D) float64
        Of each input, along each axis.
    scale : (D,) float64
        Of the residuals per square root of time.
    """

    weight: FloatArray
    scale: FloatArray

    @classmethod
    def fit(cls, inputs: FloatArray, goal: FloatArray, root: FloatArray, least: FloatArray) -> _Regression:
        """Fit displacements (M, D) by inputs (M, F, D), robustly; `root` (M,) is the square root of time."""
        keep = np.ones(goal.shape, bool)
        for _ in range(_ROUNDS):
            weight = np.stack([_solve_axis(inputs[..., k], goal[:, k], keep[:, k]) for k in range(goal.shape[1])], 1)
            rest = np.abs(goal - np.einsum("mfd,fd->md", inputs, weight)) / root[:, None]
            scale = np.stack([_measure_scale(rest[keep[:, k], k]) for k in range(goal.shape[1])])
            scale = np.maximum(scale, least)
            keep = rest <= _OUTLIER * scale
        return cls(weight, scale)

    def predict(self, inputs: FloatArray) -> FloatArray:
        """Return displacements, (M, D)."""
        return np.asarray(np.einsum("mfd,fd->md", inputs, self.weight))


def _count_missing(graph: CellGraph) -> IntArray:
    """Return the number of frames in which the cell of a link was missed, (E,), without frames that have no point."""
    cells = graph.cells
    filled = np.concatenate([[0], np.cumsum(np.bincount(cells.frame, minlength=cells.n_frames) > 0)])
    return np.asarray(filled[cells.frame[graph.target]] - filled[cells.frame[graph.source] + 1])


def _solve_axis(inputs: FloatArray, goal: FloatArray, keep: BoolArray) -> FloatArray:
    x = inputs[keep]
    product = x.T @ x
    product[np.diag_indices_from(product)] += 1e-6 * np.trace(product) + np.finfo(float).tiny ** 0.5
    return np.asarray(np.linalg.solve(product, x.T @ goal[keep]))


def _measure_scale(rest: FloatArray) -> float:
    return float(np.quantile(rest, _ONE_SIGMA)) if len(rest) else 0.0


class _PointModel:
    """The model of one movie."""

    def __init__(self, graph: CellGraph) -> None:
        self.graph, self.field = graph, PointField(graph)
        cells = graph.cells
        self.steps = (self.field.time[graph.target] - self.field.time[graph.source]).astype(np.int32)
        self.missing = _count_missing(graph).astype(np.int32)
        self.least, self.scale = map(np.array, estimate_of_movie("points.motion", self._estimate_scale))
        volume = float(np.prod(np.multiply(cells.shape, cells.spacing)))
        self.by_chance = np.log(np.maximum(cells.feature("density").astype(np.float64), 1 / volume))
        low, high = map(np.array, estimate_of_movie("points.extent", lambda: _find_extent(cells)))
        inside = np.minimum(cells.position - low, high - cells.position).min(axis=1)
        self.at_border = inside < _NEAR_BORDER * np.linalg.norm(self.scale)
        self.starts = self.ends = np.full(len(cells), np.log(_START))
        self.missed, self.again = _MISSED, _AGAIN
        self.looks = np.zeros(len(graph))
        between = cells.feature("neighbour_distance")
        self.seen = self.field.find_seen(
            _SAME_PLACE * estimate_of_movie("points.neighbour_distance", lambda: float(np.median(between)))
        )

    def _estimate_scale(self) -> list[list[float]]:
        """Return the least scale and the scale of displacements along each axis after one time step, D numbers each."""
        graph = self.graph
        clear = np.flatnonzero((graph.gap == 1) & (graph.feature("mutual_nearest") > 0) & (self.steps > 0))
        rest = np.abs(self._measure_steps(clear) - self._carry(clear)) / np.sqrt(self.steps[clear])[:, None]
        between = graph.cells.feature("neighbour_distance")
        usual = _USUAL * float(np.median(between))
        known = np.quantile(rest, _ONE_SIGMA, axis=0) if len(rest) else np.zeros(graph.cells.ndim)
        scale = np.sqrt((_WEIGHT * usual**2 + len(rest) * known**2) / (_WEIGHT + len(rest)))
        least = np.maximum(measure_rounding(graph.cells), _THINNEST * scale.max())
        extent = np.multiply(graph.cells.shape, graph.cells.spacing)  # from 0, which may be far from the points
        spread = np.ptp(graph.cells.position, axis=0)
        least = np.maximum(least, max(1e-6 * np.linalg.norm(spread), 1e-12 * np.linalg.norm(extent)))
        return [least.tolist(), np.maximum(scale, least).tolist()]

    def _measure_steps(self, links: IntArray) -> FloatArray:
        """Return the displacements of some links, (M, D)."""
        position = self.field.position
        return np.asarray(position[self.graph.target[links]] - position[self.graph.source[links]])

    @cached_property
    def _flow(self) -> FloatArray:
        """Displacement of the points around each point to the next frame, (N, D)."""
        cells = self.graph.cells
        names = [f"shift_{axis}" for axis in "zyx"[-cells.ndim :]]
        moving = np.zeros((cells.n_frames, cells.ndim))
        moving[:-1] = np.diff(self.field.stack.place, axis=0)
        return np.stack([cells.feature(name) for name in names], axis=1) - moving[cells.frame]

    def _carry(self, links: IntArray) -> FloatArray:
        """Return the displacements of some links by the motion around their sources, (M, D)."""
        return np.asarray(self._flow[self.graph.source[links]] * np.maximum(self.steps[links], 1)[:, None])

    def score_first(self) -> FloatArray:
        """Return the log odds of all links by the motion of the neighbours, (E,)."""

        def predict(links: IntArray) -> _Prediction:
            return _Prediction(self._carry(links), self.scale * np.sqrt(self.steps[links])[:, None])

        return self._score([(np.flatnonzero(self.steps > 0), predict)])

    def score(self, tracks: PointTracks) -> FloatArray:
        """Return the log odds of all links by regressions on the tracks of a solution, (E,)."""
        return self._score(self._list_motions(tracks))

    def _list_motions(self, tracks: PointTracks) -> Iterator[tuple[IntArray, _Predictor]]:
        """Yield the links over each number of frames, and what predicts them."""
        own = tracks.measure_velocities(ahead=False), tracks.measure_velocities(ahead=True)
        for gap in range(1, int(self.graph.gap.max(initial=1)) + 1):
            links = np.flatnonzero((self.graph.gap == gap) & (self.steps > 0))
            if len(links):
                yield links, _GapMotion(self, gap, own, *tracks.find_later(gap), links).predict

    def _score(self, predictions: Iterable[tuple[IntArray, _Predictor]]) -> FloatArray:
        """Return the log odds of all links, (E,), from links and their predictions; a link to a copy needs none.

        A few links are predicted at once: the predictions of all of them are larger than the graph.
        """
        log_odds = np.full(len(self.graph), _COPY)
        for links, predict in predictions:
            for start in range(0, len(links), CHUNK):
                part = links[start : start + CHUNK]
                log_odds[part] = self._compare(part, predict(part))
        return log_odds

    def _compare(self, links: IntArray, predicted: _Prediction) -> FloatArray:
        """Return the log odds of some links that are not to a copy, (M,)."""
        graph = self.graph
        ndim, source, target = graph.cells.ndim, graph.source[links], graph.target[links]
        distance = np.sqrt((((self._measure_steps(links) - predicted.mean) / predicted.scale) ** 2).sum(axis=1))
        usual = np.log1p(-_JUMP) + log_t(distance, 1.0, _TAIL, ndim)
        same = np.logaddexp(usual, np.log(_JUMP) + log_t(distance, _WIDE, 2.0, ndim))
        same -= np.log(predicted.scale).sum(axis=1)
        log_odds = same + self.looks[links] - (self.by_chance[target] + self.starts[target]) - self.ends[source]
        lost = np.log(self.missed) + np.log1p(-self.again) + (self.missing[links] - 1) * np.log(self.again)
        log_odds += np.where(self.missing[links] > 0, lost - _SEEN * self.seen[links], np.log1p(-self.missed))
        return np.asarray(log_odds)

    def estimate_rates(self, tracks: PointTracks) -> None:
        """Estimate the rates of beginnings, ends and misses, and the evidence of radius and brightness."""
        graph, cells = self.graph, self.graph.cells
        linked = np.zeros(len(graph), bool)
        linked[tracks.future[graph.source] == graph.target] = True
        self.missed, self.again = estimate_of_movie(
            "misses", lambda: _estimate_misses(self.missing[linked].astype(np.int64))
        )
        before, after = tracks.measure_lengths()
        first, last = cells.frame == 0, cells.frame == cells.n_frames - 1
        self.starts = self._estimate_rate("starts", tracks.past < 0, after, first)
        self.ends = self._estimate_rate("ends", tracks.future < 0, before, last)
        near = linked & (graph.gap == 1) & (self.steps > 0)
        self.looks = np.zeros(len(graph))
        for name in ("size_ratio", "intensity_ratio"):
            if graph.has(name):
                self.looks += _compare_looks(name, graph.feature(name).astype(np.float64), near, graph.gap == 1)

    def _estimate_rate(self, name: str, happens: BoolArray, length: IntArray, unknown: BoolArray) -> FloatArray:
        """Return the log rate of points of tracks of the same length at the same distance from the border, (N,)."""
        group = 2 * np.digitize(length, _LENGTHS) + self.at_border
        inner, frame = find_inner(self.graph.cells.n_frames), self.graph.cells.frame
        known = ~unknown & (frame >= inner.start) & (frame < inner.stop)
        rates = estimate_of_movie(name, lambda: _count_rates(group[known], group[known & happens]))
        return np.asarray(np.log(rates)[group])


@dataclass(frozen=True)
class _Inputs:
    """Inputs of the regression for pairs of points."""

    flow: FloatArray  # (M, D) displacement of the neighbours
    before: Velocities  # of all points
    after: Velocities
    source: IntArray  # (M,)
    target: IntArray
    steps: IntArray

    def select(self, back: int, ahead: int, *, exact: bool) -> BoolArray:
        """Return which pairs have this number of own steps before and after, or at least this number, (M,)."""
        counts = (self.before.n_steps[self.source], back), (self.after.n_steps[self.target], ahead)
        checks = [count == number if exact else count >= number for count, number in counts]
        return np.asarray(checks[0] & checks[1])

    def stack(self, rows: IntArray, back: int, ahead: int) -> FloatArray:
        """Return the inputs of some pairs, (m, 1 + back + ahead, D)."""
        steps = self.steps[rows, None]
        columns = [self.flow[rows]]
        columns += [steps * values[self.source[rows]] for values in self.before.values[:back]]
        columns += [steps * values[self.target[rows]] for values in self.after.values[:ahead]]
        return np.stack(columns, axis=1)


@dataclass(frozen=True, eq=False)
class _GapMotion:
    """The motion of cells over a number of frames: regressions that are fitted to the tracks of a solution.

    Parameters
    ----------
    model : _PointModel
        Of the movie.
    gap : int
        The number of frames.
    own : (Velocities, Velocities)
        Of all points before them, and after them.
    later : (N,) int64
        Row of the later point of the same track.
    moved : (N, D) float64
        Displacement until then.
    links : (M,) int64
        The links that may be predicted.
    regressions : dict
        Those that are known by the numbers of own steps before and after a link.
    """

    model: _PointModel
    gap: int
    own: tuple[Velocities, Velocities]
    later: IntArray
    moved: FloatArray
    links: IntArray
    regressions: dict[tuple[int, int], _Regression] = field(default_factory=dict)

    def predict(self, links: IntArray) -> _Prediction:
        """Return predictions of some links."""
        source, target = self.model.graph.source[links], self.model.graph.target[links]
        use = _Inputs(self.flow[source], *self.own, source, target, self.model.steps[links].astype(np.int64))
        mean, scale = np.zeros((2, len(links), self.moved.shape[1]))
        for back in range(STEPS + 1):
            for ahead in range(STEPS + 1):
                wanted = np.flatnonzero(use.select(back, ahead, exact=True))
                if not len(wanted):
                    continue
                regression = self.find_regression(back, ahead)
                mean[wanted] = regression.predict(use.stack(wanted, back, ahead))
                scale[wanted] = regression.scale * np.sqrt(use.steps[wanted])[:, None]
        return _Prediction(mean, scale)

    @cached_property
    def flow(self) -> FloatArray:
        """Displacement of the points around each source of the links, (N, D); a source has several links."""
        found, needed = np.zeros_like(self.moved), np.zeros(len(self.later), bool)
        needed[self.model.graph.source[self.links]] = True
        rows = np.flatnonzero(needed)
        found[rows] = self.model.field.average_around(self.moved, rows)
        return found

    def find_regression(self, back: int, ahead: int) -> _Regression:
        """Return the regression on a number of own steps before and after a link."""
        if (back, ahead) not in self.regressions:
            fitted = estimate_of_movie(f"motion{self.gap}.{back}.{ahead}", partial(self.fit, back, ahead))
            self.regressions[back, ahead] = _Regression(*map(np.array, fitted))
        return self.regressions[back, ahead]

    @cached_property
    def known(self) -> IntArray:
        """Points with a later point of their track, (K,); those of every k-th frame if they are very many."""
        field = self.model.field
        known = (self.later >= 0) & (field.time[self.later] > field.time)
        every = max(int(known.sum()) // _TRAINING, 1)
        return np.flatnonzero(known & (field.graph.cells.frame % every == 0))

    @cached_property
    def inputs(self) -> _Inputs:
        """Of these points."""
        field, target = self.model.field, self.later[self.known]
        steps = np.asarray(field.time[target] - field.time[self.known])
        return _Inputs(field.average_around(self.moved, self.known), *self.own, self.known, target, steps)

    def fit(self, back: int, ahead: int) -> list[Any]:
        """Return the weights and the scale of a regression on a number of own steps, as lists."""
        goal, train = self.moved[self.known], self.inputs
        given = np.flatnonzero(train.select(back, ahead, exact=False))
        if len(given) < _FEWEST:  # the motion of the neighbours alone
            weight = np.zeros((1 + back + ahead, goal.shape[1]))
            weight[0] = 1
            return [weight.tolist(), self.model.scale.tolist()]
        root = np.sqrt(train.steps[given])
        found = _Regression.fit(train.stack(given, back, ahead), goal[given], root, self.model.least)
        return [found.weight.tolist(), found.scale.tolist()]


def _find_extent(cells: Cells) -> list[list[float]]:
    """Return the lowest and the highest position along each axis."""
    return [cells.position.min(axis=0).tolist(), cells.position.max(axis=0).tolist()]


def _estimate_misses(missing: IntArray) -> list[float]:
    """Return the rate of cells that are missed, and of missed ones that are missed again, from the missing frames."""
    gaps, frames = float((missing > 0).sum()), float(missing.sum())
    missed = (gaps + _MISSED * _PRIOR) / (len(missing) + _PRIOR)
    return [missed, (frames - gaps + _AGAIN * _PRIOR) / (frames + _PRIOR)]


def _count_rates(group: IntArray, of_events: IntArray) -> list[float]:
    """Return the rate of events in each group of points, given the groups of all points and of those with events."""
    counts = np.bincount(group, minlength=2 * len(_LENGTHS) + 2)
    events = np.bincount(of_events, minlength=len(counts))
    return list(((events + _PRIOR * _START) / (counts + _PRIOR)).tolist())


def _compare_looks(name: str, ratio: FloatArray, linked: BoolArray, near: BoolArray) -> FloatArray:
    """Return the log odds of log ratios (E,) of radii or of brightness, bounded; 0 if all cells look the same."""
    scales = estimate_of_movie(name, lambda: _measure_looks(ratio, linked, near))
    if not scales:
        return np.zeros(len(ratio))
    usual, among = scales
    log_odds = log_t(ratio, usual, 3.0) - log_normal(ratio, 0.0, among)
    return np.clip(log_odds, np.log(_ODD), _MOST)


def _measure_looks(ratio: FloatArray, linked: BoolArray, near: BoolArray) -> list[float]:
    """Return the scales of log ratios of linked cells, and of others; none if they hardly differ."""
    if linked.sum() < _FEWEST:
        return []
    usual = max(float(np.quantile(np.abs(ratio[linked]), _ONE_SIGMA)), 0.01)
    rivals = np.abs(ratio[near & ~linked])
    among = float(np.quantile(rivals, _ONE_SIGMA)) if len(rivals) >= _FEWEST else 0.0
    return [usual, among] if among >= 1.2 * usual else []
