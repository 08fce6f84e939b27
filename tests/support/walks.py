"""Lineages of points whose motion is known."""

from __future__ import annotations

import numpy as np

from gnntrack.types import Cells, Lineage, Provenance, Tracks


def make_lineage(rows, *, parent=None, shape=(100, 100), spacing=None, unit="um", interval=60.0, size=None):
    """Return a lineage of points: rows of (track, frame, [z], y, x), in any order; `size` has one value a row."""
    rows = np.asarray(rows, float)
    order = np.lexsort((rows[:, 0], rows[:, 1]))
    rows = rows[order]
    track, frame, position = rows[:, 0].astype(int), rows[:, 1].astype(int), rows[:, 2:]
    ndim = position.shape[1]
    shape = shape if len(shape) == ndim else (10, *shape)
    features = np.zeros((len(rows), 0)) if size is None else np.asarray(size, float)[order, None]
    names, units = ((), ()) if size is None else (("size",), (f"{unit}{ndim}",))
    spacing = spacing or (1.0,) * ndim
    n_frames = int(frame.max()) + 1 if len(frame) else 1
    cells = Cells(frame, track, position, features, names, units, spacing, n_frames, shape, unit)
    ids = np.unique(track)
    parents = np.array([(parent or {}).get(int(each), 0) for each in ids])
    ends = [(frame[track == each].min(), frame[track == each].max()) for each in ids]
    tracks = Tracks(ids, [each[0] for each in ends], [each[1] for each in ends], parents)
    source, target = [], []
    for each, above in zip(ids, parents, strict=True):
        own = np.flatnonzero(track == each)
        own = own if not above else np.append(np.flatnonzero(track == above)[-1], own)
        source += own[:-1].tolist()
        target += own[1:].tolist()
    links = np.array(source, int), np.array(target, int)
    return Lineage(cells, track, tracks, *links, np.ones(len(source)), Provenance(interval=interval))


def list_rows(paths):
    """Return the rows of `make_lineage` of paths (K, T, D)."""
    tracks, frames, _ = paths.shape
    track, frame = np.repeat(np.arange(1, tracks + 1), frames), np.tile(np.arange(frames), tracks)
    return np.column_stack([track, frame, paths.reshape(tracks * frames, -1)])


def walk_freely(rng, *, tracks, frames, diffusion, noise=0.0, ndim=2):
    """Return paths (K, T, D) of free diffusion per frame, with localisation errors."""
    steps = rng.normal(0, np.sqrt(2 * diffusion), (tracks, frames, ndim))
    return steps.cumsum(1) + rng.normal(0, noise, (tracks, frames, ndim))


def walk_persistently(rng, *, tracks, frames, speed, persistence, ndim=2):
    """Return paths (K, T, D) whose velocity is an Ornstein-Uhlenbeck process: a persistent random walk."""
    fine = 20
    keep = np.exp(-1 / (fine * persistence))
    scale = speed / np.sqrt(ndim)
    velocity = rng.normal(0, scale, (tracks, ndim))
    position, path = np.zeros((tracks, ndim)), []
    for step in range((frames - 1) * fine + 1):
        if step % fine == 0:
            path.append(position)
        position = position + velocity / fine
        velocity = keep * velocity + rng.normal(0, scale * np.sqrt(1 - keep**2), velocity.shape)
    return np.stack(path, axis=1)
