"""Graphs of points for tests: drawn ones, and random lineages with the mistakes of a tracker."""

from __future__ import annotations

import numpy as np

from gnntrack.types import PointGraph

VOXEL = (1.625, 0.40625, 0.40625)


def draw_points(nodes, links="", *, total=None):
    """Return points on a line: ``"a0:3 b1:4"`` are a in frame 0 at x = 3 and b in frame 1; ``"ab"`` is a link."""
    names, frames, places = [], [], []
    for text in nodes.split():
        name, at = text.split(":")
        names.append(name[0])
        frames.append(int(name[1:]))
        places.append([0.0, float(at)])
    ends = np.array([[names.index(one), names.index(other)] for one, other in links.split()], int).reshape(-1, 2)
    position = np.array(places).reshape(-1, 2)
    return PointGraph(np.arange(len(names)), frames, position, *ends.T, (1.0, 1.0), total=total)


def make_lineages(rng, *, cells, frames, box):
    """Return random lineages in voxels: positions (N, 3), frames (N,) and links (E, 2)."""
    place, frame, links = [rng.uniform(0, box, 3) for _ in range(cells)], [0] * cells, []
    alive = list(range(cells))
    for t in range(1, frames):
        born = []
        for cell in alive:
            fate = rng.random()
            for _ in range(0 if fate < 0.03 else 2 if fate < 0.11 else 1):
                born.append(len(place))
                links.append((cell, len(place)))
                place.append(place[cell] + rng.normal(0, 2.5, 3))
                frame.append(t)
        alive = born
    return np.array(place) / VOXEL, np.array(frame), np.array(links, int).reshape(-1, 2)


def make_mistakes(rng, place, frame, links, *, box, level, duplicates):
    """Return the lineages with noise, misses, clutter, lost and false links, in another order."""
    keep = rng.random(len(place)) > level * 0.1
    row = np.cumsum(keep) - 1
    links = row[links[keep[links].all(axis=1)]]
    place, frame = (place + rng.normal(0, level, place.shape) / VOXEL)[keep], frame[keep]
    clutter = rng.integers(0, max(2, int(len(place) * rng.choice([0.1, 0.5, 2]))))
    place = np.vstack([place, rng.uniform(0, box, (clutter, 3)) / VOXEL])
    frame = np.append(frame, rng.integers(0, frame.max(initial=0) + 2, clutter))
    if duplicates and len(place):
        again = rng.integers(0, len(place), 3)
        place, frame = np.vstack([place, place[again]]), np.append(frame, frame[again])
    links = links[rng.random(len(links)) > level * 0.08]
    false = rng.integers(0, max(1, len(place)), (4 * len(links), 2))
    gap = frame[false[:, 1]] - frame[false[:, 0]] if len(place) else np.zeros(0)
    false = false[((gap == 1) | (gap == 2)) & (rng.random(len(false)) < 0.5 * level)]
    links = np.vstack([links, false, links[: 3 * duplicates]])
    order = rng.permutation(len(place))
    back = np.empty(len(place), int)
    back[order] = np.arange(len(place))
    return place[order], frame[order], back[links]


def make_pair(seed, *, whole=False, duplicates=False):
    """Return a result and its ground truth, of which a part of the cells is missing."""
    rng = np.random.default_rng(seed)
    box = rng.choice([15.0, 30.0, 60.0])
    cells, frames = rng.integers(1, 12), rng.integers(2, 9)
    place, frame, links = make_lineages(rng, cells=cells, frames=frames, box=box)
    level = rng.choice([0.3, 1.0, 2.0])
    own = make_mistakes(rng, place, frame, links, box=box, level=level, duplicates=duplicates)
    keep = rng.random(len(place)) < rng.choice([0.7, 2.0])
    keep[0] = True
    row = np.cumsum(keep) - 1
    true = place[keep], frame[keep], row[links[keep[links].all(axis=1)]]
    graphs = []
    for at, t, ends in (own, true):
        voxels = np.rint(at) if whole else at
        graphs.append(PointGraph(np.arange(len(at)) + 10**11, t, voxels * VOXEL, *ends.T, VOXEL, total=50.0))
    return graphs[0], graphs[1]
