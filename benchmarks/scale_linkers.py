"""Other packages on the points of `scale_movies.py`, as their authors recommend; needs no gnntrack.

``scale_linkers.py METHOD TRUTH SETTINGS OUT``: TRUTH is the npz of a movie, of which frame and place are used. OUT gets
the links as rows, source and target. ``koft`` reads the folders images and masks beside TRUTH (`peers.prepare_koft`).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from point_linkers import link_laptrack, link_trackpy
from scipy.spatial import cKDTree

Numbers = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Settings = dict[str, Any]

NEIGHBOURS = 5  # of motile's candidate graph, in both directions of time


def link_motile(frame: Rows, position: Numbers, settings: Settings) -> Rows:
    """Run motile with the costs of its guide: distance, appearance, division; its solver is SCIP.

    The cost of an edge is its distance minus ``gate``. ``appear`` and ``division`` are costs in multiples of the gate.
    """
    import motile
    import networkx
    from motile.constraints import MaxChildren, MaxParents
    from motile.costs import EdgeSelectedCost, NodeAppearCost, NodeSplitCost

    graph, gate = networkx.DiGraph(), settings["gate"]
    graph.add_nodes_from((k, {"t": t}) for k, t in enumerate(frame.tolist()))
    first = np.searchsorted(frame, np.arange(int(frame.max()) + 2))
    for a, b, c in zip(first, first[1:], first[2:], strict=False):
        near, k = cKDTree(position[b:c]), min(NEIGHBOURS, c - b)
        distance, other = near.query(position[a:b], k, distance_upper_bound=gate)
        i, j = np.nonzero(np.isfinite(distance.reshape(b - a, -1)))
        found = zip(i + a, other.reshape(b - a, -1)[i, j] + b, distance.reshape(b - a, -1)[i, j], strict=True)
        graph.add_edges_from((int(s), int(t), {"distance": float(d)}) for s, t, d in found)
    solver = motile.Solver(motile.TrackGraph(graph, frame_attribute="t"))
    solver.add_cost(EdgeSelectedCost(weight=1.0, attribute="distance", constant=-gate))
    solver.add_cost(NodeAppearCost(constant=settings["appear"] * gate))
    solver.add_cost(NodeSplitCost(constant=settings["division"] * gate))
    solver.add_constraint(MaxParents(1))
    solver.add_constraint(MaxChildren(2))
    solver.solve()
    return np.array(list(solver.get_selected_subgraph().edges), np.int64).reshape(-1, 2)


def link_koft(folder: Path) -> Rows:
    """Run ByoTrack's KOFT on images and masks; detections are those of the masks with the largest overlap."""
    import tifffile
    from peers import prepare_koft

    with tempfile.TemporaryDirectory(dir=folder) as place:
        out = Path(place, "result")
        prepare_koft(folder / "images", folder / "masks", out)()
        text = np.loadtxt(out / "res_track.txt", dtype=np.int64, ndmin=2)
        parent = np.zeros(int(text[:, 0].max()) + 1, np.int64)
        parent[text[:, 0]] = text[:, 3]
        rows, tracks, first = [], [], 0
        for given, found in zip(sorted((folder / "masks").glob("*.tif")), sorted(out.glob("*.tif")), strict=True):
            label, track = tifffile.imread(given).astype(np.int64), tifffile.imread(found).astype(np.int64)
            both, count = np.unique((label << 32 | track)[label > 0], return_counts=True)
            best = np.zeros(int(label.max()) + 1, np.int64)
            order = np.argsort(count, kind="stable")
            best[both[order] >> 32] = both[order] & 0xFFFFFFFF
            seen = np.flatnonzero(best)
            rows.append(first + seen - 1)
            tracks.append(best[seen])
            first += len(best) - 1
    from scale_scores import link_tracks

    track = np.concatenate(tracks)
    return link_tracks(np.concatenate(rows), track, parent[track])


LINKERS: dict[str, Callable[[Rows, Numbers, Settings], Rows]] = {
    "laptrack": link_laptrack,
    "trackpy": link_trackpy,
    "motile": link_motile,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("method", choices=[*LINKERS, "koft"])
    parser.add_argument("truth", type=Path)
    parser.add_argument("settings", type=json.loads)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    if args.method == "koft":
        links = link_koft(args.truth.parent)
    else:
        with np.load(args.truth) as arrays:
            frame, place = arrays["frame"].astype(np.int64), arrays["place"].astype(np.float64)
        links = LINKERS[args.method](frame, place, args.settings)
    package = {"koft": "byotrack"}.get(args.method, args.method)
    np.savez(args.out, source=links[:, 0], target=links[:, 1], version=version(package))


if __name__ == "__main__":
    main()
