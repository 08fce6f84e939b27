"""Tiny worlds whose lineage can be read off a drawing.

The name of a cell is the letter of its lane and its frame: ``b2`` is cell b in frame 2. A lineage is a set of
tracks, each written as its cells in order, with the last cell of its parent behind ``<``: ``"b2 b3 <a1"``.

Two kinds of worlds: a `ScoredWorld` is a graph with scores, for solvers and lineages; a `DrawnWorld` is a movie of
round cells, for the stages before. Labels are in any order, and far apart, unless ``seed=0``.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gnntrack.graph.candidates import build_candidates
from gnntrack.graph.motion import estimate_motion
from gnntrack.io.frames import open_masks
from gnntrack.lineage.build import build_lineage
from gnntrack.measure.cells import measure_cells
from gnntrack.settings import CellSettings, GraphSettings, MotionSettings
from gnntrack.types import CellGraph, Cells, LinkScores

HIGHEST_LABEL = 2_000_000_000


@dataclass(frozen=True)
class ScoredWorld:
    """Candidate links with scores; ``names`` are the cells' in the order of rows."""

    graph: CellGraph
    scores: LinkScores
    names: tuple[str, ...]
    tracks: frozenset[str]

    def links(self, chosen) -> set[str]:
        """Return the chosen links by name, such as ``"a0-a1"``."""
        ends = zip(self.graph.source[chosen], self.graph.target[chosen], strict=True)
        return {f"{self.names[s]}-{self.names[t]}" for s, t in ends}


@dataclass(frozen=True)
class DrawnWorld:
    """A movie of masks; ``label`` is that of each cell by name."""

    masks: np.ndarray
    label: dict[str, int]
    tracks: frozenset[str]

    def names(self, cells: Cells) -> tuple[str, ...]:
        """Return the name of each row of the cells measured on the masks."""
        name = {(int(cell[1:]), label): cell for cell, label in self.label.items()}
        return tuple(name[key] for key in zip(cells.frame.tolist(), cells.label.tolist(), strict=True))


def list_tracks(lineage, names) -> frozenset[str]:
    """Return a lineage as it is written in the drawings."""
    cells = defaultdict(list)
    for row in np.lexsort((lineage.cells.frame, lineage.track)):
        cells[int(lineage.track[row])].append(names[row])
    parent = dict(zip(lineage.tracks.id.tolist(), lineage.tracks.parent.tolist(), strict=True))
    return frozenset(" ".join(c) + (f" <{cells[parent[k]][-1]}" if parent[k] else "") for k, c in cells.items())


def list_links(tracks) -> set[str]:
    """Return the links of tracks: ``"b2 b3 <a1"`` has ``a1-b2`` and ``b2-b3``."""
    links = set()
    for track in tracks:
        own, _, parent = track.partition(" <")
        cells = own.split()
        links |= {f"{a}-{b}" for a, b in pairwise(cells)}
        if parent:
            links.add(f"{parent}-{cells[0]}")
    return links


def _draw_labels(names, seed):
    """Return a label for each cell, one of a kind in its frame."""
    if not seed:
        return {name: i + 1 for i, name in enumerate(sorted(names))}
    random = np.random.default_rng(seed)
    high = random.choice(HIGHEST_LABEL - 1, len(names), replace=False) + 1
    return dict(zip(sorted(names), high.tolist(), strict=True))


# --------------------------------------------------------------------------- worlds of scores


def make_world(cells="", links=None, pairs=None, tracks=(), *, n_frames=None, seed=0) -> ScoredWorld:
    """Return a world of ``"a0 a1"``, ``{"a0-a1": 0.9}`` and ``{"a0-b1-c1": 0.8}``; gaps show in the names."""
    label = _draw_labels(cells.split(), seed)
    names = tuple(sorted(label, key=lambda name: (int(name[1:]), label[name])))
    row = {name: i for i, name in enumerate(names)}
    n = len(names)
    table = Cells(
        [int(name[1:]) for name in names],
        [label[name] for name in names],
        np.arange(2.0 * n).reshape(n, 2),
        np.zeros((n, 0)),
        (),
        (),
        (1.0, 1.0),
        n_frames if n_frames is not None else 1 + max((int(name[1:]) for name in names), default=0),
        (9, 9),
    )
    ends = {tuple(row[end] for end in link.split("-")): score for link, score in (links or {}).items()}
    order = sorted(ends)
    source, target = np.array(order, np.int64).reshape(-1, 2).T
    graph = CellGraph(table, source, target, np.zeros((len(order), 0)), ())
    at = {link: i for i, link in enumerate(order)}
    division = {}
    for pair, score in (pairs or {}).items():
        parent, first, second = (row[name] for name in pair.split("-"))
        division[tuple(sorted((at[parent, first], at[parent, second])))] = score
    scores = LinkScores(
        np.array([ends[link] for link in order], np.float32),
        np.array(sorted(division), np.int64).reshape(-1, 2),
        np.array([division[pair] for pair in sorted(division)], np.float32),
    )
    return ScoredWorld(graph, scores, names, frozenset(tracks))


def two_cross(seed=0):
    """The link with the best score is wrong::

    a0 -.5-> a1      a0 scores higher with b1 (.95), but then
       \\ .95         b0 has no link left
        v
    b0 -.9-> b1
    """
    links = {"a0-a1": 0.5, "a0-b1": 0.95, "b0-b1": 0.96, "b0-a1": 0.1}
    return make_world("a0 b0 a1 b1", links, tracks=["a0 a1", "b0 b1"], seed=seed)


def the_best_leaves_less(seed=0):
    """The greedy solver finds one link only::

    a0 -.9-> a1
       \\ .95
        v
    b0 -.9-> b1     b0 has no other link
    """
    links = {"a0-a1": 0.9, "a0-b1": 0.95, "b0-b1": 0.9}
    return make_world("a0 b0 a1 b1", links, tracks=["a0 a1", "b0 b1"], seed=seed)


def one_divides(seed=0):
    """One cell divides::

    a0 -- a1 --+- b2 -- b3
               +- c2 -- c3
    """
    links = {"a0-a1": 0.9, "a1-b2": 0.7, "a1-c2": 0.6, "b2-b3": 0.9, "c2-c3": 0.9, "b2-c3": 0.2}
    tracks = ["a0 a1", "b2 b3 <a1", "c2 c3 <a1"]
    return make_world("a0 a1 b2 c2 b3 c3", links, {"a1-b2-c2": 0.9, "b2-b3-c3": 0.2}, tracks, seed=seed)


def divides_twice(seed=0):
    """A daughter divides at once::

    a0 --+- b1 --+- d2
         |       +- e2
         +- c1 ---- c2
    """
    links = {"a0-b1": 0.6, "a0-c1": 0.6, "b1-d2": 0.55, "b1-e2": 0.5, "c1-c2": 0.9, "c1-e2": 0.3}
    pairs = {"a0-b1-c1": 0.9, "b1-d2-e2": 0.8, "c1-c2-e2": 0.3}
    tracks = ["a0", "b1 <a0", "c1 c2 <a0", "d2 <b1", "e2 <b1"]
    return make_world("a0 b1 c1 d2 e2 c2", links, pairs, tracks, seed=seed)


def one_frame_gap(seed=0):
    """A cell that is missed in frame 1::

    a0 ------- a2
    b0 -- b1 - b2
    """
    links = {"a0-a2": 0.8, "b0-b1": 0.9, "b1-b2": 0.9, "a0-b1": 0.3, "b1-a2": 0.2, "b0-b2": 0.7}
    return make_world("a0 b0 b1 a2 b2", links, tracks=["a0 a2", "b0 b1 b2"], seed=seed)


def empty_frame(seed=0):
    """Frame 1 has no cells::

    a0 ------- a2
    b0 ------- b2
    """
    links = {"a0-a2": 0.8, "b0-b2": 0.8, "a0-b2": 0.5, "b0-a2": 0.1}
    return make_world("a0 b0 a2 b2", links, tracks=["a0 a2", "b0 b2"], seed=seed)


def first_frame_empty(seed=0):
    """::

    .     a1 -- a2
    """
    return make_world("a1 a2", {"a1-a2": 0.9}, tracks=["a1 a2"], seed=seed)


def one_cell(seed=0):
    """::

    a0      .      .
    """
    return make_world("a0", n_frames=3, tracks=["a0"], seed=seed)


def no_cell(seed=0):
    """::

    .      .      .
    """
    return make_world(n_frames=3, seed=seed)


def merge_temptation(seed=0):
    """Two cells have a link to the same cell; only one can be chosen::

    a0 -.9-+
           +- a1
    b0 -.8-+
    """
    links = {"a0-a1": 0.9, "b0-a1": 0.8}
    return make_world("a0 b0 a1", links, tracks=["a0 a1", "b0"], seed=seed)


def leaves_while_another_enters(seed=0):
    """::

    a0 -- a1    .      .
    .      .    b2 -- b3     on the other side: a1-b2 is unlikely
    """
    links = {"a0-a1": 0.9, "a1-b2": 0.2, "b2-b3": 0.9}
    return make_world("a0 a1 b2 b3", links, tracks=["a0 a1", "b2 b3"], seed=seed)


SCORED = (
    two_cross,
    the_best_leaves_less,
    one_divides,
    divides_twice,
    one_frame_gap,
    empty_frame,
    first_frame_empty,
    one_cell,
    no_cell,
    merge_temptation,
    leaves_while_another_enters,
)


# --------------------------------------------------------------------------- worlds of masks


def draw_world(disks, tracks=(), *, shape=(128, 128), n_frames=6, seed=1) -> DrawnWorld:
    """Return a movie of ``{"a0": (y, x, radius)}``; cells do not overlap, those listed first lie on top.

    In 3D, disks are balls ``(z, y, x, radius)``.
    """
    label = _draw_labels(list(disks), seed)
    masks = np.zeros((n_frames, *shape), np.int64)
    grid = np.stack(np.indices(shape), axis=-1)
    for name, (*centre, radius) in disks.items():
        mask = masks[int(name[1:])]
        inside = ((grid - np.array(centre)) ** 2).sum(axis=-1) <= radius**2
        mask[inside & (mask == 0)] = label[name]
    return DrawnWorld(masks, label, frozenset(tracks))


def draw_lattice(letters="ABCDEFGH", *, n_frames=6, radius=8.0, seed=5):
    """Return disks of a calm crowd around the middle of the field, and their tracks, from which scales are estimated.

    ::

        A B C
        D   E
        F G H
    """
    random = np.random.default_rng(seed)
    places = [(y, x) for y in (22, 64, 106) for x in (22, 64, 106) if (y, x) != (64, 64)]
    disks = {}
    for letter, place in zip(letters, places, strict=False):
        walk = np.array(place) + np.cumsum(random.normal(0, 0.7, (n_frames, 2)), axis=0)
        disks |= {f"{letter}{t}": (*walk[t], radius) for t in range(n_frames)}
    return disks, [" ".join(f"{letter}{t}" for t in range(n_frames)) for letter in letters[: len(places)]]


def two_pass(seed=1):
    """Two cells pass each other, half a cell apart::

    a -->     frame 0:  a       b
              frame 5:  b       a
         <-- b
    """
    crowd, tracks = draw_lattice()
    for t in range(6):
        crowd[f"a{t}"] = (54.0, 52.0 + 5 * t, 7.5)
        crowd[f"b{t}"] = (74.0, 77.0 - 5 * t, 7.5)
    return draw_world(crowd, [*tracks, "a0 a1 a2 a3 a4 a5", "b0 b1 b2 b3 b4 b5"], seed=seed)


def parent_divides(seed=1):
    """::

    (a) (a) (a) (b)(c) (b) (c) (b)  (c)
    """
    crowd, tracks = draw_lattice()
    for t in range(3):
        crowd[f"a{t}"] = (64.0, 64.0 + t, 8.0)
    for t in range(3, 6):
        crowd[f"b{t}"] = (64.0, 60.0 - t, 5.8)
        crowd[f"c{t}"] = (64.0, 70.0 + t, 5.8)
    return draw_world(crowd, [*tracks, "a0 a1 a2", "b3 b4 b5 <a2", "c3 c4 c5 <a2"], seed=seed)


def split_for_a_frame(seed=1):
    """The mask of a cell is split into halves in frame 3 only; no division::

    (a) (a) (a) (b|c) (a) (a)
    """
    crowd, tracks = draw_lattice()
    world = draw_world(crowd | {f"a{t}": (64.0, 64.0, 8.0) for t in range(6)}, tracks, seed=seed)
    half = world.masks[3] == world.label["a3"]
    half[:, :64] = False
    label = {**world.label, "b3": 1}
    world.masks[3][half] = label["b3"]
    return DrawnWorld(world.masks, label, world.tracks | {"a0 a1 a2 a3 a4 a5", "b3"})


def mask_dropped(seed=1):
    """::

    (a) (a)  .  (a) (a) (a)
    """
    crowd, tracks = draw_lattice()
    crowd |= {f"a{t}": (60.0 + 2 * t, 64.0, 8.0) for t in range(6) if t != 2}
    return draw_world(crowd, [*tracks, "a0 a1 a3 a4 a5"], seed=seed)


def frame_dropped(seed=1):
    """No masks at all in frame 2: each cell has a gap there."""
    crowd, tracks = draw_lattice()
    crowd = {name: disk for name, disk in crowd.items() if name[1:] != "2"}
    return draw_world(crowd, [track.replace(track[:1] + "2 ", "") for track in tracks], seed=seed)


def starts_late(seed=1):
    """No masks in frame 0."""
    crowd, tracks = draw_lattice()
    crowd = {name: disk for name, disk in crowd.items() if name[1:] != "0"}
    return draw_world(crowd, [track[3:] for track in tracks], seed=seed)


def one_leaves_one_enters(seed=1):
    """Cell a leaves on the left while b enters on the right::

    |(a)      |a)      |      (b|     (b)|
    """
    crowd, tracks = draw_lattice("AB")
    crowd |= {f"a{t}": (64.0, 10.0 - 6 * t, 8.0) for t in range(3)}
    crowd |= {f"b{t}": (64.0, 130.0 - 5 * (t - 2), 8.0) for t in range(3, 6)}
    return draw_world(crowd, [*tracks, "a0 a1 a2", "b3 b4 b5"], seed=seed)


def lone_cell(seed=1):
    """One cell, in three frames."""
    return draw_world({f"a{t}": (20.0, 20.0 + 3 * t, 8.0) for t in range(3)}, ["a0 a1 a2"], n_frames=3, seed=seed)


def empty_masks(seed=1):
    """No cell at all."""
    return draw_world({}, n_frames=3, seed=seed)


DRAWN = (
    two_pass,
    parent_divides,
    mask_dropped,
    frame_dropped,
    starts_late,
    one_leaves_one_enters,
    lone_cell,
    empty_masks,
)


# --------------------------------------------------------------------------- stages, with their defaults


def measure_masks(masks, spacing=None):
    """Return (cells, runs) of masks."""
    return measure_cells(open_masks(masks, spacing=spacing), settings=CellSettings())[:2]


def find_candidates(masks, spacing=None, *, flow="auto", drift=True, runs=True, **settings) -> CellGraph:
    """Return the candidate links between the cells of masks."""
    cells, pixels = measure_masks(masks, spacing)
    motion = estimate_motion(cells, settings=MotionSettings(flow=flow, drift=drift))
    return build_candidates(cells, pixels if runs else None, motion, settings=GraphSettings(**settings))


def build_known_lineage(world: DrawnWorld, spacing=None):
    """Return the (lineage, runs) of the drawing, without a solver."""
    cells, runs = measure_masks(world.masks, spacing)
    row = {name: i for i, name in enumerate(world.names(cells))}
    links = sorted(tuple(row[end] for end in link.split("-")) for link in list_links(world.tracks))
    source, target = np.array(links, np.int64).reshape(-1, 2).T
    graph = CellGraph(cells, source, target, np.zeros((len(links), 0)), ())
    return build_lineage(graph, np.ones(len(links), bool), LinkScores(np.ones(len(links), np.float32))), runs


def draw_blobs(shape, n, *, frames=3, seed=0, step=2.0):
    """Return masks of n crowded, partly touching cells that wander, with labels in random order."""
    random = np.random.default_rng(seed)
    place = random.uniform(0, 1, (n, len(shape))) * shape
    radius = random.uniform(3, 7, n)
    grid = np.stack(np.indices(shape), axis=-1).astype(float)
    masks = np.zeros((frames, *shape), np.int64)
    for mask in masks:
        place = place + random.normal(0, step, place.shape)
        distance = np.linalg.norm(grid[..., None, :] - place, axis=-1)
        label = random.choice(HIGHEST_LABEL, n, replace=False) + 1
        nearest = distance.argmin(axis=-1)
        mask[:] = np.where(distance.min(axis=-1) < radius[nearest], label[nearest], 0)
    return masks


def relabel_masks(masks, seed=0):
    """Return the same masks with other labels, in another order, in every frame."""
    random = np.random.default_rng(seed)
    out = np.zeros(masks.shape, np.int64)
    for frame, mask in zip(out, masks, strict=True):
        labels = np.unique(mask[mask > 0])
        fresh = random.choice(HIGHEST_LABEL, len(labels), replace=False) + 1
        frame[mask > 0] = fresh[np.searchsorted(labels, mask[mask > 0])]
    return out
