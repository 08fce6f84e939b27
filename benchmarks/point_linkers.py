"""Other methods on points: two baselines, and other packages as their authors recommend; needs no gnntrack.

``point_linkers.py METHOD TABLE SETTINGS OUT [OUT ...]`` links the points of TABLE, an npz with ``frame`` (N,) and
``position`` (N, D) in physical units, ordered by frame. SETTINGS is a JSON list with the settings of each OUT, as
`point_settings.py` chooses them. OUT gets the links as rows of the table, source and target. A line of JSON is printed
for each OUT: versions, and why a method failed.

Every method but the plain one may get positions without the drift of the whole stack, although only trackpy offers to
remove it: whoever tracks embryos registers them first.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from peers import list_links, run_laptrack
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

Numbers = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Settings = dict[str, Any]


def link_hungarian(frame: Rows, position: Numbers, settings: Settings) -> Rows:
    """Link consecutive frames: the assignment with the least sum of squared distances, ``gate`` squared if unlinked."""
    frames = [np.flatnonzero(frame == each) for each in range(int(frame.max()) + 1)]
    links = [np.zeros((0, 2), np.int64)]
    for before, after in pairwise(frames):
        rows, columns = _assign(position[before], position[after], settings["gate"])
        links.append(np.stack([before[rows], after[columns]], axis=1))
    return np.concatenate(links)


def link_with_gaps(frame: Rows, position: Numbers, settings: Settings) -> Rows:
    """Link consecutive frames, then join ends with starts over 1 to ``missing`` frames without a point.

    The largest distance over g missing frames is ``gap`` sqrt(g + 1).
    """
    links = link_hungarian(frame, position, settings)
    ends = np.setdiff1d(np.arange(len(frame)), links[:, 0])
    starts = np.setdiff1d(np.arange(len(frame)), links[:, 1])
    most = settings["gap"] * np.sqrt(settings["missing"] + 1)
    near = cKDTree(position[starts]).query_ball_point(position[ends], most)
    pairs = np.array([(i, j) for i, some in enumerate(near) for j in some], np.int64).reshape(-1, 2)
    steps = frame[starts[pairs[:, 1]]] - frame[ends[pairs[:, 0]]]
    distance = np.linalg.norm(position[starts[pairs[:, 1]]] - position[ends[pairs[:, 0]]], axis=1)
    fits = (steps >= 2) & (steps <= settings["missing"] + 1) & (distance < settings["gap"] * np.sqrt(np.abs(steps)))
    pairs, cost = pairs[fits], distance[fits] ** 2 / steps[fits]
    joined = _assign_sparse(pairs, cost, settings["gap"] ** 2)
    return np.concatenate([links, np.stack([ends[joined[:, 0]], starts[joined[:, 1]]], axis=1)])


def _assign(before: Numbers, after: Numbers, gate: float) -> tuple[Rows, Rows]:
    squared = ((before[:, None] - after[None]) ** 2).sum(axis=2)
    rows, columns = linear_sum_assignment(np.minimum(squared, gate**2))
    good = squared[rows, columns] < gate**2
    return rows[good], columns[good]


def _assign_sparse(pairs: Rows, cost: Numbers, unlinked: float) -> Rows:
    """Return the assignment of least cost among some pairs, one connected group of them at a time."""
    if not len(pairs):
        return pairs
    left, i = np.unique(pairs[:, 0], return_inverse=True)
    right, j = np.unique(pairs[:, 1], return_inverse=True)
    size = len(left) + len(right)
    _, group = connected_components(coo_array((np.ones(len(pairs)), (i, j + len(left))), shape=(size, size)))
    order = np.argsort(group[i], kind="stable")
    chosen = []
    for some in np.split(order, np.flatnonzero(np.diff(group[i][order])) + 1):
        rows, a = np.unique(i[some], return_inverse=True)
        columns, b = np.unique(j[some], return_inverse=True)
        table = np.full((len(rows), len(columns)), unlinked)
        table[a, b] = cost[some]
        r, c = linear_sum_assignment(table)
        good = table[r, c] < unlinked
        chosen += zip(left[rows[r[good]]].tolist(), right[columns[c[good]]].tolist(), strict=True)
    return np.array(chosen, np.int64).reshape(-1, 2)


def find_drift(frame: Rows, position: Numbers, reach: float) -> Numbers:
    """Return the place (T, D) of the stack in each frame: sums of the steps that most pairs of points agree on.

    Pairs up to ``reach`` apart vote for their displacement; the median of the displacements near the winner counts.
    """
    return _find_drift(frame.astype(np.int64).tobytes(), position.astype(np.float64).tobytes(), reach)


@lru_cache(maxsize=4)
def _find_drift(frame_bytes: bytes, position_bytes: bytes, reach: float) -> Numbers:
    frame = np.frombuffer(frame_bytes, np.int64)
    position = np.frombuffer(position_bytes).reshape(len(frame), -1)
    frames = [position[frame == each] for each in range(int(frame.max()) + 1)]
    steps = np.zeros((len(frames), position.shape[1]))
    for time_, (before, after) in enumerate(pairwise(frames), 1):
        if not len(before) or not len(after):
            continue
        near = cKDTree(after).query_ball_point(before, reach)
        moves = np.concatenate([after[some] - each for each, some in zip(before, near, strict=True)])
        if len(moves) < 5:
            continue
        tree = cKDTree(moves)
        votes = np.array([len(some) for some in tree.query_ball_point(moves, reach / 6)])
        best = moves[votes.argmax()]
        for _ in range(5):
            best = np.median(moves[tree.query_ball_point(best, reach / 5)], axis=0)
        steps[time_] = best
    return np.cumsum(steps, axis=0)


def link_laptrack(frame: Rows, position: Numbers, settings: Settings) -> Rows:
    """Run laptrack with gaps and divisions, as on cells with masks: see `peers.run_laptrack`."""
    return run_laptrack({"frame": frame, "position": position}, settings)


def link_trackpy(frame: Rows, position: Numbers, settings: Settings) -> Rows:
    """Run trackpy with ``memory`` frames, ``range`` as the largest step, and its adaptive search.

    ``predict``: "" or the name of a predictor of trackpy.
    """
    import pandas as pd
    import trackpy

    trackpy.quiet()
    names = list("zyx"[-position.shape[1] :])
    cells = pd.DataFrame(position, columns=names).assign(frame=frame, row=np.arange(len(position)))
    words = {
        "search_range": settings["range"],
        "memory": settings["memory"],
        "pos_columns": names,
        "adaptive_stop": settings["range"] / 10,
        "adaptive_step": 0.9,
    }
    if settings.get("predict"):
        predictor = getattr(trackpy.predict, settings["predict"])()
        parts = (cells[cells["frame"] == each] for each in range(int(frame.max()) + 1))
        found = pd.concat(list(predictor.link_df_iter(parts, **words)))
    else:
        found = trackpy.link(cells, **words)
    found = found.sort_values(["particle", "frame"])
    tracks = {name: rows.tolist() for name, rows in found.groupby("particle")["row"]}
    return list_links(tracks, {})


def link_btrack(frame: Rows, position: Numbers, settings: Settings) -> Rows:
    """Run btrack with its published settings for cells or particles, in lengths scaled to the data, and optimise.

    ``scale`` multiplies the positions, since lengths of the published settings are in pixels of their authors' images;
    ``radius`` is the largest distance of a link before.
    """
    import btrack as package
    from btrack.io import objects_from_dict

    scaled = position * settings["scale"]
    scaled = np.hstack([scaled[:, ::-1], np.zeros((len(position), 3 - position.shape[1]))])  # x, y, z
    columns = {"t": frame, "x": scaled[:, 0], "y": scaled[:, 1], "z": scaled[:, 2]}
    many = int(np.bincount(frame).max()) > 1000  # above it the exact update is too slow, by its documentation
    update = package.constants.BayesianUpdates
    with package.BayesianTracker(verbose=False) as tracker:
        tracker.configure(_make_btrack_config(settings))
        tracker.update_method = update.APPROXIMATE if many else update.EXACT
        tracker.max_search_radius = settings["radius"] * settings["scale"]
        tracker.append(objects_from_dict(columns))
        tracker.volume = tuple(zip(scaled.min(axis=0) - 1, scaled.max(axis=0) + 1, strict=True))
        tracker.track(step_size=100)
        tracker.optimize(optimizer_options={"tm_lim": 120_000})
        tracks = {each.ID: [row for row in each.refs if row >= 0] for each in tracker.tracks}
        parents = {each.ID: each.parent for each in tracker.tracks if each.parent not in (each.ID, None, 0)}
    return list_links(tracks, parents)


def _make_btrack_config(settings: Settings) -> dict[str, Any]:
    """Return the values of btrack's published cell_config.json or particle_config.json."""
    step = np.eye(6)
    step[[0, 1, 2], [3, 4, 5]] = 1
    cells = settings["config"] == "cell"
    motion = {
        "measurements": 3,
        "states": 6,
        "accuracy": 7.5,
        "prob_not_assign": 0.1,
        "max_lost": settings["missing"],
        "A": step,
        "H": np.eye(3, 6),
        "P": 150 * np.diag([0.1, 0.1, 0.1, 1, 1, 1]),
        "G": 15 * np.array([0.5, 0.5, 0.5, 1, 1, 1]),
        "R": 5 * np.eye(3),
    }
    names = ["P_FP", "P_init", "P_term", "P_link", *(["P_branch", "P_dead"] if cells else [])]
    hypotheses = {
        "hypotheses": names,
        "lambda_time": 5.0,
        "lambda_dist": 3.0,
        "lambda_link": 10.0,
        "lambda_branch": 50.0,
        "eta": 1e-10,
        "theta_dist": 20.0,
        "theta_time": 5.0,
        "dist_thresh": 40,
        "time_thresh": max(2, settings["missing"] + 1),
        "apop_thresh": 5,
        "segmentation_miss_rate": 0.1,
        "apoptosis_rate": 0.001,
        "relax": True,
    }
    return {"motion_model": motion, "hypothesis_model": hypotheses}


def link_tracksdata(frame: Rows, position: Numbers, settings: Settings) -> Rows:
    """Run the integer linear programme of tracksdata on its distance edges over up to ``missing`` frames.

    The weight of an edge is its distance minus ``gate``, so that longer ones are never chosen; ``division``, ``appear``
    (also of the end of a track) and ``skip`` of each skipped frame are costs in multiples of the gate. (Without a cost
    of skipped frames, two tracks that take turns are cheaper than one.)
    """
    import polars
    import tracksdata

    keys = tracksdata.DEFAULT_ATTR_KEYS
    graph = tracksdata.graph.RustWorkXGraph()
    names = list("zyx"[-position.shape[1] :])
    for name in names:
        graph.add_node_attr_key(name, polars.Float64, 0.0)
    rows = [
        {keys.T: int(t), **dict(zip(names, each, strict=True))}
        for t, each in zip(frame.tolist(), position.tolist(), strict=True)
    ]
    ids = graph.bulk_add_nodes(rows)
    gate = settings["gate"]
    tracksdata.edges.DistanceEdges(
        distance_threshold=gate,
        n_neighbors=settings["neighbours"],
        delta_t=settings["missing"] + 1,
        output_key="distance",
        attr_keys=names,
    ).add_edges(graph)
    graph.add_edge_attr_key("weight", polars.Float64, 0.0)
    edges = graph.edge_attrs(attr_keys=["distance"])
    time_of = dict(zip(ids, frame.tolist(), strict=True))
    sources, targets = (edges[key].to_list() for key in (keys.EDGE_SOURCE, keys.EDGE_TARGET))
    skipped = np.array([time_of[b] - time_of[a] - 1 for a, b in zip(sources, targets, strict=True)])
    weight = edges["distance"].to_numpy() - gate + settings["skip"] * gate * skipped
    graph.update_edge_attrs(attrs={"weight": weight.tolist()}, edge_ids=edges[keys.EDGE_ID].to_list())
    solver = tracksdata.solvers.ILPSolver(
        edge_weight="weight",
        appearance_weight=settings["appear"] * gate,
        disappearance_weight=settings["appear"] * gate,
        division_weight=settings["division"] * gate,
        timeout=float(settings["seconds"]),
        return_solution=True,
    )
    solution = solver.solve(graph)
    found = solution.edge_attrs()
    row_of = dict(zip(ids, range(len(ids)), strict=True))
    pairs = zip(found[keys.EDGE_SOURCE].to_list(), found[keys.EDGE_TARGET].to_list(), strict=True)
    return np.array([(row_of[a], row_of[b]) for a, b in pairs], np.int64).reshape(-1, 2)


LINKERS: dict[str, Callable[[Rows, Numbers, Settings], Rows]] = {
    "plain": link_hungarian,
    "drift+gaps": link_with_gaps,
    "laptrack": link_laptrack,
    "trackpy": link_trackpy,
    "btrack": link_btrack,
    "tracksdata": link_tracksdata,
}
BASELINES = ("plain", "drift+gaps")


def run(method: str, frame: Rows, position: Numbers, settings: Settings) -> Rows:
    """Return the links (L, 2) of a method, as rows of the points; ``drift`` > 0 removes the drift of the stack."""
    if settings["drift"]:
        position = position - find_drift(frame, position, settings["drift"])[frame]
    return LINKERS[method](frame, position, settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("method", choices=LINKERS)
    parser.add_argument("table", type=Path)
    parser.add_argument("settings", type=json.loads)
    parser.add_argument("outs", type=Path, nargs="+")
    args = parser.parse_args()
    with np.load(args.table) as arrays:
        frame, position = arrays["frame"], arrays["position"]
    for settings, out in zip(args.settings, args.outs, strict=True):
        print(json.dumps(write_links(args.method, frame, position, settings, out)), flush=True)


def write_links(method: str, frame: Rows, position: Numbers, settings: Settings, out: Path) -> dict[str, Any]:
    """Write the links of a method, if it succeeds; return its version, or the reason why it failed."""
    package = "scipy" if method in BASELINES else method
    told: dict[str, Any] = {"versions": {package: version(package)}}
    try:
        links = run(method, frame, position, settings)
    except Exception as error:  # noqa: BLE001
        # the other settings are still tried
        return {**told, "failed": f"{type(error).__name__}: {error}"}
    np.savez(out, source=links[:, 0], target=links[:, 1])
    return told


if __name__ == "__main__":
    main()
