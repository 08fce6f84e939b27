"""Scores of points and links against a ground truth that may be sparse: of one movie, or of several.

======================  =====================================================================
edge_jaccard            TP / (TP + FP + FN) of links; links that touch no annotated cell are ignored
adjusted_edge_jaccard   the same, times 1 - 0.1 (N - T) / T for N points of the result and T estimated cells, at least 0
division_jaccard        TP / (TP + FP + FN) of divisions
score                   adjusted_edge_jaccard + 0.1 division_jaccard
edge_..., division_...  precision, recall and F1, and the counts ``_tp``, ``_fp``, ``_fn``
node_recall             fraction of the annotated cells with a point of the result
track_purity            fraction of the matched points that belong to the main true track of their track
complete_tracks         fraction of the true tracks of which all links are found, and no cell has a false one
LNK                     that of the Cell Tracking Challenge, from these matches
======================  =====================================================================

The first four, and the counts, are those of the embryo competition of 2026 (Biohub); the rules of matching are in
`gnntrack.evaluate.point_matching`, those of counting in `gnntrack.evaluate.graph_counts`. Counts of several movies add
up; the adjusted index is the mean of the movies, weighted by their links that count. A metric that is not defined is
None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import InputError
from gnntrack.evaluate.defaults import GATE
from gnntrack.evaluate.graph_counts import GraphCounts, count_graph
from gnntrack.evaluate.point_units import bring_to_unit, describe_doubts, explain_mismatch
from gnntrack.io.point_sources import holds_point_graphs, read_point_graphs
from gnntrack.plurals import choose_form, count_noun
from gnntrack.types import Lineage, PointGraph

if TYPE_CHECKING:
    from collections.abc import Sequence

    Source = str | Path | PointGraph | Lineage | Mapping[str, PointGraph | Lineage]

__all__ = ["GraphReport", "compares_graphs", "evaluate_graphs"]

_LISTED = 5
_SPARSE = 0.95  # annotated fraction of the estimated cells below which a ground truth is sparse


@dataclass(frozen=True)
class GraphReport:
    """Counts and scores of all movies.

    Parameters
    ----------
    movies : dict of GraphCounts
        By name.
    unit : str
        Unit of the gate.
    gate : float
        Largest distance of two points that match.
    notes : tuple of str
        Sentences about what was compared: movies without a result, and so on.
    """

    movies: dict[str, GraphCounts]
    unit: str
    gate: float
    notes: tuple[str, ...] = ()

    @cached_property
    def total(self) -> GraphCounts:
        """The counts of all movies."""
        return sum(self.movies.values(), GraphCounts())

    def as_dict(self) -> dict[str, Any]:
        """Return the scores of each movie and of all as JSON values."""
        return {
            "gate": self.gate,
            "unit": self.unit,
            "movies": {name: counts.scores() for name, counts in self.movies.items()},
            "all": self.total.scores(),
            "notes": list(self.notes),
        }


def compares_graphs(result: object, truth: object) -> bool:
    """Return whether a result and its ground truth are compared as points, since one of them has no masks."""
    return any(map(_has_no_masks, (result, truth)))


def _has_no_masks(source: object) -> bool:
    if isinstance(source, str | Path):
        return holds_point_graphs(source)
    if isinstance(source, Lineage):
        return bool(source.cells.points) and not source.has_masks
    return isinstance(source, PointGraph | Mapping)


def evaluate_graphs(
    result: Source,
    truth: Source,
    *,
    gate: float | None = None,
    total: float | None = None,
    spacing: float | Sequence[float] | None = None,
) -> GraphReport:
    """Score points and links against a ground truth, dense or sparse.

    Parameters
    ----------
    result, truth : path, PointGraph, Lineage or mapping of these by movie
        What `gnntrack.io.point_sources.read_point_graphs` reads: a GEFF, a submission, a folder ``NAME.geff`` of
        several movies. Several movies are paired by name; a movie without a result counts as one without points.
    gate : float, optional
        Largest distance of two points that match, default 7 um (7 pixels without a voxel size).
    total : float, optional
        Estimated number of cells of the movie, summed over its frames; by default that of the ground truth. Without
        it, the adjusted index is not defined.
    spacing : float or D floats, optional
        Voxel size in um along ``[z], y, x`` of positions in voxels; by default that of the other side.

    Returns
    -------
    GraphReport
        Its ``total.scores()`` are the metrics in the head of this module.

    Raises
    ------
    InputError
        If one of the two cannot be read, is empty, or the two do not fit: no common movie, other dimensions, no
        common frame, positions in voxels where um are expected, or no point near an annotated cell.

    Examples
    --------
    >>> truth = PointGraph([1, 2, 3], [0, 1, 2], [[0, 0], [0, 1], [0, 2]], [0, 1], [1, 2], (1.0, 1.0), total=3)
    >>> report = evaluate_graphs(truth, truth)
    >>> report.total.edge_jaccard, report.total.adjusted_edge_jaccard, report.total.score
    (1.0, 1.0, 1.0)
    """
    gate = GATE if gate is None else gate
    _check_numbers(gate, total)
    truths = _read_graphs(truth, "truth", spacing)
    results = _read_graphs(result, "result", spacing)
    if total is not None:
        truths = _set_total(truths, total)
    pairs, notes = _pair(results, truths, _name_source(result, "the result"), _name_source(truth, "the truth"))
    movies, faults, doubts, unit = _score_movies(pairs, gate, spacing)
    if faults and len(faults) == sum(own is not None for own, _ in pairs.values()):
        name, fault = next(iter(faults.items()))
        raise InputError(fault if len(pairs) == 1 else f"{name}: {fault}")
    notes += doubts + [f"{name}: {fault}; it is scored as it is" for name, fault in faults.items()]
    return GraphReport(movies, unit, gate, (*notes, *_describe_truth(movies, truths)))


def _score_movies(
    pairs: Mapping[str, tuple[PointGraph | None, PointGraph]], gate: float, spacing: float | Sequence[float] | None
) -> tuple[dict[str, GraphCounts], dict[str, str], list[str], str]:
    """Return the counts of each movie, the reasons why results do not fit by movie, what is unusual, and the unit."""
    movies: dict[str, GraphCounts] = {}
    faults: dict[str, str] = {}
    doubts: list[str] = []
    unit = "um"
    for name, (own, true) in pairs.items():
        if own is None:
            movies[name] = count_graph(true.select(np.zeros(len(true), bool)), true, gate=gate)
            continue
        result, truth = bring_to_unit(own, true, spacing, name)
        unit = truth.unit
        movies[name] = count_graph(result, truth, gate=gate)
        comparison = result, truth, gate, movies[name].matched
        fault = explain_mismatch(*comparison)
        if fault:
            faults[name] = fault
        doubts += [f"{name}: {doubt}" for doubt in describe_doubts(*comparison) if not fault]
    return movies, faults, doubts, unit


def _check_numbers(gate: float, total: float | None) -> None:
    for name, value in (("gate", gate), ("total", total)):
        if value is not None and not (np.isfinite(value) and value > 0):
            msg = f"{name} {value}; expected a number above 0"
            raise InputError(msg)


def _name_source(source: object, name: str) -> str:
    return str(source) if isinstance(source, str | Path) else name


def _read_graphs(source: object, role: str, spacing: float | Sequence[float] | None) -> dict[str, PointGraph]:
    """Return the graphs of a source by movie."""
    if isinstance(source, str | Path):
        sizes = None if spacing is None else np.atleast_1d(np.asarray(spacing, float)).tolist()
        return read_point_graphs(source, spacing=sizes)
    if isinstance(source, Mapping):
        return {str(name): _convert(graph, f"{role} '{name}'") for name, graph in source.items()}
    return {"movie": _convert(source, f"the {role}")}


def _convert(source: object, name: str) -> PointGraph:
    if isinstance(source, PointGraph):
        return source
    if isinstance(source, Lineage):
        return PointGraph.from_lineage(source)
    msg = f"{name} is of type {type(source).__name__}; expected a path, a PointGraph, a Lineage, or several by name"
    raise InputError(msg)


def _set_total(truths: dict[str, PointGraph], total: float) -> dict[str, PointGraph]:
    if len(truths) > 1:
        msg = f"total {total:g}: the number of cells of one movie, and the truth has {len(truths)}; give one of them"
        raise InputError(msg)
    ((name, graph),) = truths.items()
    if total < len(graph):
        msg = f"total {total:g}: the estimated number of cells, fewer than the {len(graph)} that are annotated"
        raise InputError(msg)
    return {name: replace(graph, total=total)}


def _pair(
    results: dict[str, PointGraph], truths: dict[str, PointGraph], result_name: str, truth_name: str
) -> tuple[dict[str, tuple[PointGraph | None, PointGraph]], list[str]]:
    """Return the result, None if there is none, and the ground truth of each movie, and notes on what is missing."""
    _refuse_empty(truths, truth_name, "ground truth")
    if len(results) == len(truths) == 1:
        _refuse_empty(results, result_name, "result")
        (own,), ((name, true),) = results.values(), truths.items()
        return {name: (own, true)}, []
    if not results.keys() & truths.keys():
        msg = (
            f"no movie is in both: {result_name} has {_list_names(results)}, {truth_name} has {_list_names(truths)}; "
            "they are paired by the names of the movies"
        )
        raise InputError(msg)
    given = {name: graph for name, graph in results.items() if name in truths and len(graph)}
    notes = _describe_missing([name for name in truths if name not in given])
    others = [name for name in results if name not in truths]
    if others:
        verb = choose_form(len(others), "is", "are")
        notes.append(f"{_list_names(others)} {verb} not in the truth and {verb} not scored")
    return {name: (given.get(name), true) for name, true in truths.items()}, notes


def _describe_missing(names: list[str]) -> list[str]:
    if not names:
        return []
    verbs = ("has", "counts") if len(names) == 1 else ("have", "count")
    return [f"{_list_names(names)} {verbs[0]} no result and {verbs[1]} as empty"]


def _refuse_empty(graphs: dict[str, PointGraph], source: str, role: str) -> None:
    empty = next((name for name, graph in graphs.items() if not len(graph)), None)
    if empty is not None:
        where = source if len(graphs) == 1 else f"{source}, movie {empty}"
        msg = f"{where}: the {role} has no point, so nothing can be scored"
        raise InputError(msg)


def _list_names(names: Sequence[str] | dict[str, Any]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return f"{', '.join(listed[:_LISTED])}{more}"


def _describe_truth(movies: dict[str, GraphCounts], truths: dict[str, PointGraph]) -> list[str]:
    """Return sentences on how much of the movies is annotated."""
    known = [name for name, graph in truths.items() if graph.total is not None]
    notes = []
    if known:
        annotated, cells = (
            sum(values) for values in zip(*((movies[n].annotated, movies[n].estimated) for n in known), strict=True)
        )
        if annotated < _SPARSE * cells:
            notes.append(
                f"sparse truth: {annotated} of about {cells:.0f} cells are annotated ({annotated / cells:.1%}); "
                "links that touch none of them are ignored"
            )
    if len(known) < len(truths):
        dense = sum(len(graph) for graph in truths.values())
        some = "give it (--total) for the adjusted index and the score; of a dense truth it is the number of its cells"
        if len(truths) == 1:
            notes.append(f"the truth holds no estimated number of cells: {some}, {dense}")
        else:
            without = count_noun(len(truths) - len(known), "movie")
            notes.append(f"{without} without an estimated number of cells: not in the adjusted index and the score")
    return notes
