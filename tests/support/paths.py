"""Paths of cells for `support.events.draw_movie`: {frame: (offset from the centre of the event, radius)}."""

from __future__ import annotations

import numpy as np
import pytest


def stay(rng, place, radius, frames, *, velocity=0.0, at=0):
    """Return the path of a cell that rests, or that moves at a velocity and is at its place in frame ``at``."""
    place, velocity = np.asarray(place, float), np.asarray(velocity, float)
    return {
        t: (place + velocity * (t - at) + rng.normal(0, 0.3, len(place)), radius * np.exp(rng.normal(0, 0.01)))
        for t in frames
    }


def divide(rng, names, place, radius, frames, at, *, missing=(0, 0, 0), parts=(0.5, 0.5), velocity=0.0):
    """Return the paths of a parent and two daughters, by name; they part along the last axis at frame ``at``.

    Parameters
    ----------
    missing : (int, int, int)
        Last frames in which the parent lacks a mask, and first frames in which each of the daughters does.
    parts : (float, float)
        Sizes of the daughters, as fractions of the parent's.
    """
    place = np.asarray(place, float)
    paths = {names[0]: stay(rng, place, radius, range(frames.start, at - missing[0]), velocity=velocity, at=at)}
    for name, part, late, way in zip(names[1:], parts, missing[1:], (1, -1), strict=True):
        own = radius * part ** (1 / len(place))
        path = stay(rng, place, own, range(at + late, frames.stop), velocity=velocity, at=at)
        axis = way * np.eye(len(place))[-1]
        paths[name] = {t: (spot + axis * (own + min(t - at, 3)), size) for t, (spot, size) in path.items()}
    return paths


def break_up(rng, name, place, radii, frames, *, distance, speed=1.0):
    """Return the paths of the pieces of a cell, which lie around its place and move away from it."""
    paths, turn, place = {}, rng.uniform(0, 2 * np.pi), np.asarray(place, float)
    for i, radius in enumerate(radii):
        angle = turn + 2 * np.pi * i / len(radii)
        way = np.zeros(len(place))
        way[-2:] = np.sin(angle), np.cos(angle)
        paths[f"{name}{i}"] = {t: (place + way * (distance + speed * (t - frames.start)), radius) for t in frames}
    return paths


def list_cases(values, *, fast):
    """Return parameters of tests: those for which `fast` of the values is false are slow."""
    return [pytest.param(*each, marks=[] if fast(*each) else pytest.mark.slow) for each in values]
