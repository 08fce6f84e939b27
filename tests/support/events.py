"""Random movies of one event among resting or moving neighbours: merged masks, deaths, divisions, late daughters.

Cells are ellipses (ellipsoids) of different sizes. Every frame has its own labels in random order. The names of the
cells of an event are letters; those of its neighbours are numbers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Look:
    """Traits in which two movies of one event differ."""

    ndim: int = 2
    radius: float = 8.0
    spread: float = 0.08  # standard deviation of the logarithm of the neighbours' radii
    jitter: float = 1.0  # random step per frame, in pixels
    speed: float = 0.0  # common velocity of the event's cells, in pixels per frame
    neighbours: int = 10
    clear: float = 2.8  # distance from the event to the neighbours, in radii of the neighbours
    frames: int = 14
    at: int = 6  # first frame of the event
    elongation: float = 1.0

    @property
    def shape(self):
        side = int(self.radius * (25 if self.ndim == 2 else 12))
        return (side,) * self.ndim if self.ndim == 2 else (int(self.radius * 8), side, side)


def draw_look(rng, *, ndim=2, **fixed):
    """Return a random look."""
    radius = rng.uniform(5, 12) if ndim == 2 else rng.uniform(4, 6)
    values = {
        "ndim": ndim,
        "radius": radius,
        "spread": rng.uniform(0, 0.15),
        "jitter": rng.uniform(0.3, 0.18 * radius),
        "speed": rng.choice([0, rng.uniform(0, 0.4 * radius)]),
        "neighbours": int(rng.integers(4, 18)) if ndim == 2 else int(rng.integers(3, 8)),
        "clear": rng.uniform(2.2, 4),
        "at": int(rng.integers(4, 8)),
        "elongation": rng.choice([1.0, rng.uniform(1, 1.5)]),
    }
    return Look(**(values | fixed))


@dataclass(frozen=True)
class EventMovie:
    """Masks, and the label of each cell by (name, frame); cells that share a mask share its label."""

    masks: np.ndarray
    label: dict[tuple[str, int], int]
    truth: np.ndarray
    """Masks in which each cell has one number in all frames, and no mask is shared."""
    number: dict[str, int]

    def find_track(self, lineage, name, frame):
        """Return the track of a cell."""
        row = int(lineage.cells.row_of(frame, self.label[name, frame])[()])
        assert row >= 0, f"{name}{frame} was merged with another cell"
        return int(lineage.track[row])

    def draw_images(self, rng):
        """Return images of the cells: each has a brightness of its own."""
        brightness = np.append(0, rng.uniform(600, 1000, len(self.number)))
        noise = rng.normal(0, 20, self.truth.shape)
        return np.clip(100 + brightness[self.truth] + noise, 0, None).astype(np.uint16)

    def find_covering_tracks(self, drawn, name):
        """Return by frame the track whose drawn mask overlaps a cell most, and the IoU of both."""
        found = {}
        for t, (frame, true) in enumerate(zip(drawn, self.truth == self.number[name], strict=True)):
            if true.any():
                track = int(np.bincount(frame[true]).argmax())
                mask = frame == track
                found[t] = track, float((mask & true).sum() / (mask | true).sum()) if track else 0.0
        return found

    def find_parent(self, lineage, name, frame):
        """Return the track of the parent of a cell's track, 0 = none."""
        return dict(zip(lineage.tracks.id.tolist(), lineage.tracks.parent.tolist(), strict=True))[
            self.find_track(lineage, name, frame)
        ]

    def has_daughters(self, lineage, parent, daughters):
        """Return whether all daughters, and no others, have the parent; both are (name, frame)."""
        mother = self.find_track(lineage, *parent)
        own = {self.find_track(lineage, *each) for each in daughters}
        table = zip(lineage.tracks.id.tolist(), lineage.tracks.parent.tolist(), strict=True)
        return len(own) == len(daughters) and {k for k, p in table if p == mother} == own


def count_divisions(lineage):
    """Return the number of tracks with two or more daughters."""
    return sum(n > 1 for p, n in Counter(lineage.tracks.parent.tolist()).items() if p)


def draw_movie(rng, look, cells, *, shared=()):
    """Return the movie of an event and its neighbours.

    Parameters
    ----------
    rng, look
        Random numbers, and the look.
    cells : {name: {frame: (offset (D,), radius)}}
        Cells of the event; offsets from the event's centre, in pixels.
    shared : {frame: names}
        Cells whose pixels have one label in a frame.
    """
    shape = np.array(look.shape)
    centre = shape / 2
    drift = _draw_direction(rng, look.ndim) * look.speed
    rows = {
        (name, t): (centre + drift * (t - look.at) + offset, radius, 1.0)
        for name, path in cells.items()
        for t, (offset, radius) in path.items()
    }
    rows |= _place_neighbours(rng, look, [place for place, _, _ in rows.values()])
    truth = np.zeros((look.frames, *look.shape), np.int32)
    masks, label = np.zeros_like(truth), {}
    number = {name: i for i, name in enumerate(dict.fromkeys(name for name, _ in rows), start=1)}
    for t in range(look.frames):
        names = [name for name, frame in rows if frame == t]
        new = dict(zip(names, (rng.permutation(len(names)) + 1).tolist(), strict=True))
        for group in dict(shared).get(t, ()):
            new |= dict.fromkeys(group, new[group[0]])
        angle = {name: _draw_direction(rng, look.ndim) for name in names}
        for name in names:
            place, radius, stretch = rows[name, t]
            _draw_cell(truth[t], place, radius, stretch, angle[name], number[name])
            label[name, t] = new[name]
        labels = np.zeros(len(number) + 1, np.int32)
        labels[[number[name] for name in names]] = [new[name] for name in names]
        masks[t] = labels[truth[t]]
    return EventMovie(masks.astype(np.uint16), label, truth, number)


def _draw_direction(rng, ndim):
    step = rng.normal(size=ndim)
    return step / np.linalg.norm(step)


def _place_neighbours(rng, look, event):
    """Return neighbours that move at random, away from the event and from each other."""
    event = np.array(event)
    shape, rows, starts = np.array(look.shape), {}, []
    for _ in range(400):
        if len(starts) == look.neighbours:
            break
        place = rng.uniform(look.radius * 1.5, shape - look.radius * 1.5)
        apart = all(np.linalg.norm(place - other) > 3 * look.radius for other in starts)
        if apart and np.linalg.norm(event - place, axis=1).min() > (look.clear + 1.5) * look.radius:
            starts.append(place)
    for number, place in enumerate(starts):
        radius, here = look.radius * np.exp(rng.normal(0, look.spread)), place
        for t in range(look.frames):
            rows[str(number), t] = here, radius * np.exp(rng.normal(0, 0.02)), look.elongation
            here = place + 0.8 * (here - place) + rng.normal(0, look.jitter, look.ndim)
    return rows


def _draw_cell(mask, place, radius, stretch, axis, label):
    low = np.maximum(np.floor(place - 2 * radius).astype(int), 0)
    high = np.minimum(np.ceil(place + 2 * radius).astype(int) + 1, mask.shape)
    if (high <= low).any():
        return
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    offsets = np.ix_(*(np.arange(a, b) - centre for a, b, centre in zip(low, high, place, strict=True)))
    distance = sum(offset**2 for offset in offsets)
    if stretch != 1:
        along = sum(offset * part for offset, part in zip(offsets, axis, strict=True))
        distance = distance - along**2 * (1 - stretch**-2.0)
    inside = distance <= (radius * stretch ** (-1 / len(place))) ** 2
    mask[box][inside & (mask[box] == 0)] = label


# --------------------------------------------------------------------------- events


def draw_merged_masks(rng, *, frames_merged, ndim=2, first=None, ratio=None, approach=None, look=None):
    """Return a movie of cells a and b that share a mask for some frames.

    ``first`` is the first shared frame; ``approach`` the speed at which the two come together and part again.
    """
    look = look or draw_look(rng, ndim=ndim)
    first = look.at if first is None else first
    ratio = rng.uniform(0.75, 1.0) if ratio is None else ratio
    approach = rng.choice([0, rng.uniform(0, 0.35)]) if approach is None else approach
    big = look.radius * np.exp(rng.normal(0, 0.05))
    radii, axis = (big, big * ratio), _draw_direction(rng, look.ndim)
    cells, wobble = {"a": {}, "b": {}}, np.zeros((2, look.ndim))
    last = first + frames_merged - 1
    for t in range(look.frames):
        away = max(first - t, t - last, 0)
        distance = sum(radii) * 1.03 + (away + (0.3 if away else 0)) * approach * look.radius
        wobble = 0.7 * wobble + rng.normal(0, 0.25 * look.jitter, (2, look.ndim))
        for i, name in enumerate("ab"):
            offset = axis * distance * (0.5, -0.5)[i] + wobble[0] + 0.2 * wobble[1] * (1, -1)[i]
            cells[name][t] = offset, radii[i] * np.exp(rng.normal(0, 0.015))
    shared = {t: [("a", "b")] for t in range(first, last + 1)}
    return draw_movie(rng, look, cells, shared=shared), look


def draw_division(rng, *, late=0, ndim=2, unequal=None, pace=None, look=None, daughters=2, rounded=1.0):
    """Return a movie of cell p that divides into b, c (and d) at frame ``look.at``; c is seen ``late`` frames later.

    In the frame before, the radius of p is ``rounded`` times the usual one, and p has gone 0.6 of the way to b.
    """
    look = look or draw_look(rng, ndim=ndim)
    unequal = rng.uniform(0.4, 0.6) if unequal is None else unequal
    pace = rng.uniform(0, 0.25) if pace is None else pace
    axis, side = _draw_direction(rng, look.ndim), _draw_direction(rng, look.ndim)
    mother = look.radius * np.exp(rng.normal(0.08, 0.05))
    parts = [unequal, 1 - unequal] if daughters == 2 else rng.dirichlet([60.0] * daughters)
    radii = [mother * part ** (1 / look.ndim) for part in parts]
    side = side - axis * (side @ axis)
    side /= np.linalg.norm(side)
    turn = [2 * np.pi * i / daughters for i in range(daughters)]
    ways = [np.cos(a) * axis + np.sin(a) * side for a in turn]
    start = rng.uniform(0.95, 1.15) * (1 if daughters == 2 else 1.2)
    names = "bcd"[:daughters]
    cells = {name: {} for name in ("p", *names)}
    wobble = np.zeros((daughters + 1, look.ndim))
    for t in range(look.frames):
        wobble = 0.7 * wobble + rng.normal(0, 0.25 * look.jitter, wobble.shape)
        if t < look.at:
            size, place = mother, wobble[-1] * 1.0
            if rounded < 1 and t == look.at - 1:
                size, place = mother * rounded, place + 0.3 * (radii[0] + radii[1]) * start * ways[0]
            cells["p"][t] = place, size * np.exp(rng.normal(0, 0.015))
            continue
        age = t - look.at
        for i, name in enumerate(names):
            if name == names[-1] and age < late:
                continue
            distance = (radii[0] + radii[1]) / 2 * start + pace * look.radius * min(age, 4)
            cells[name][t] = ways[i] * distance + wobble[i], radii[i] * np.exp(rng.normal(0, 0.02) + 0.01 * age)
    return draw_movie(rng, look, cells), look


def draw_pieces(rng, *, pieces, lasting=2, ndim=2, shrink=None, look=None):
    """Return a movie of cell p that falls into pieces at frame ``look.at``, which vanish after ``lasting`` frames."""
    look = look or draw_look(rng, ndim=ndim)
    shrink = rng.choice([1.0, rng.uniform(0.6, 1)]) if shrink is None else shrink
    radius = look.radius * np.exp(rng.normal(0, 0.05))
    part = rng.dirichlet([rng.uniform(4, 40)] * pieces) * rng.uniform(0.35, 1.0)
    turn = 2 * np.pi * (np.arange(pieces) / pieces + rng.uniform())
    cells = {"p": {}} | {f"q{i}": {} for i in range(pieces)}
    for t in range(look.at):
        before = look.at - 1 - t
        size = radius * (shrink + (1 - shrink) * min(before, 3) / 3)
        cells["p"][t] = rng.normal(0, 0.2 * look.jitter, look.ndim), size
    for age in range(lasting):
        for i in range(pieces):
            way = np.zeros(look.ndim)
            way[-2:] = np.sin(turn[i]), np.cos(turn[i])
            bit = max(radius * shrink * part[i] ** (1 / look.ndim) * 0.9**age, 1.3)
            distance = radius * shrink * rng.uniform(0.6, 0.9) + age * 0.1 * radius
            cells[f"q{i}"][look.at + age] = way * distance, bit
    return draw_movie(rng, look, cells), look
