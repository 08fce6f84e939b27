"""Simulated cells as they look without a stain: phase contrast, differential interference contrast, and bright field.

The optical path through a cell is a dome over its mask, with granules. Phase contrast shows the path against its local
mean, which makes halos; interference contrast (DIC) its slope along one direction, which makes a relief; a slightly
defocused bright field its curvature, which makes outlines (Murphy and Davidson, Fundamentals of Light Microscopy and
Electronic Imaging, 2012, chapters 7 and 10). The masks are warped first, since unstained cells are rarely ellipses.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

import cv2
import numpy as np

from gnntrack.training.simulated import simulate_examples

if TYPE_CHECKING:
    from gnntrack.training.simulated import SimulatedExample
    from gnntrack.types import FloatArray, Image

__all__ = ["Contrast", "UnstainedExample", "render_contrast", "simulate_unstained", "warp_labels"]

Contrast = Literal["phase", "dic", "brightfield"]

_STREAM = 67  # first number of the random streams
_WARP = 0.6  # largest displacement of a pixel of a mask, as a fraction of the typical radius
_GRANULES = 0.02  # granules per pixel of a cell


def render_contrast(labels: Image, contrast: Contrast, rng: np.random.Generator) -> Image:
    """Return an image of cells without a stain.

    Parameters
    ----------
    labels : (Y, X) integer array
        The cells; 0 = background.
    contrast : {"phase", "dic", "brightfield"}
        Kind of microscopy.
    rng : Generator
        Draws direction, strength, grain and noise.

    Returns
    -------
    (Y, X) uint8 array
        Grey values around 128, which is the background.

    Examples
    --------
    >>> labels = np.zeros((40, 40), int)
    >>> labels[10:30, 10:30] = 1
    >>> image = render_contrast(labels, "dic", np.random.default_rng(0))
    >>> image.dtype.name, image.shape
    ('uint8', (40, 40))
    """
    path, radius = _make_path(labels, rng)
    match contrast:
        case "dic":
            seen = _slope(path, rng.uniform(0, 2 * np.pi), max(1.0, radius / 8))
        case "phase":
            halo = _blur(path, radius * rng.uniform(0.4, 1.0))
            seen = rng.choice([-1.0, -1.0, 1.0]) * (path - rng.uniform(0.7, 1.3) * halo)
        case _:
            near = max(1.0, radius / rng.uniform(4, 8))
            seen = rng.choice([-1.0, 1.0]) * (_blur(path, near) - _blur(path, 2 * near)) - 0.15 * path
    seen = seen / (np.percentile(np.abs(seen), 99) + 1e-6)
    shade = cv2.resize(rng.normal(size=(3, 3)), labels.shape[::-1], interpolation=cv2.INTER_CUBIC)
    grain = _blur(rng.normal(size=labels.shape), rng.uniform(0.5, 1.2))
    grain *= rng.uniform(0.02, 0.2) / (grain.std() + 1e-9)
    image = 128 + rng.uniform(30, 90) * (seen + grain + rng.uniform(0, 0.3) * shade)
    return np.asarray(np.clip(np.rint(image), 0, 255), np.uint8)


def _make_path(labels: Image, rng: np.random.Generator) -> tuple[FloatArray, float]:
    """Return the optical path (Y, X) through cells, about 1 in the middle of one, and the typical radius of a cell."""
    inside = np.zeros(labels.shape, np.float64)
    area = np.bincount(labels.ravel())[1:]
    radius = float(np.sqrt(np.median(area[area > 0]) / np.pi)) if (area > 0).any() else 8.0
    for value in np.unique(labels[labels > 0]):
        mask = (labels == value).astype(np.uint8)
        framed = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
        depth = cv2.distanceTransform(framed, cv2.DIST_L2, 3)[1:-1, 1:-1]
        dome = (depth / max(float(depth.max()), 1.0)) ** rng.uniform(0.3, 0.9)
        inside += dome * rng.uniform(0.5, 1.3)
    count = rng.poisson(_GRANULES * np.count_nonzero(labels))
    rows, columns = np.nonzero(labels)
    grains = np.zeros(labels.shape)
    if len(rows):
        which = rng.integers(0, len(rows), count)
        np.add.at(grains, (rows[which], columns[which]), rng.normal(0.3, 1.0, count))
    grains = _blur(grains, max(0.7, radius / 10))
    strength = rng.uniform(0, 0.5) / (np.abs(grains).max() + 1e-9)
    return _blur(inside + strength * grains * (labels > 0), 0.7), radius


def _slope(path: FloatArray, angle: float, reach: float) -> FloatArray:
    """Return the difference of the path between two places `reach` pixels apart."""
    half = 0.5 * reach * np.array([np.cos(angle), np.sin(angle)])
    ahead, behind = (cv2.warpAffine(path, np.array([[1, 0, sign * half[1]], [0, 1, sign * half[0]]]), path.shape[::-1],
                                    borderMode=cv2.BORDER_REFLECT) for sign in (1, -1))  # fmt: skip
    return np.asarray(ahead - behind)


def _blur(values: FloatArray, sigma: float) -> FloatArray:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REFLECT))


def warp_labels(labels: Image, rng: np.random.Generator) -> Image:
    """Return labels whose outlines are displaced smoothly and at random, by up to about half of a radius.

    Parameters
    ----------
    labels : (Y, X) integer array
        The cells; 0 = background.
    rng : Generator
        Draws the displacements.
    """
    area = np.bincount(labels.ravel())[1:]
    if not (area > 0).any():
        return labels
    radius = float(np.sqrt(np.median(area[area > 0]) / np.pi))
    cells = max(2, round(max(labels.shape) / (1.5 * radius)))
    size = labels.shape[::-1]
    grids = rng.normal(size=(2, cells, cells)).astype(np.float32)
    y, x = (cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC) for grid in grids)
    strength = rng.uniform(0, _WARP) * radius
    rows, columns = np.indices(labels.shape, np.float32)
    moved = cv2.remap(labels.astype(np.float32), columns + strength * x, rows + strength * y, cv2.INTER_NEAREST)
    return np.asarray(moved).astype(np.int32)


@dataclass(frozen=True)
class UnstainedExample:
    """A frame of a simulated movie, seen without a stain; an example for segmenters.

    Parameters
    ----------
    stained : SimulatedExample
        The frame whose cells are shown.
    contrast : {"phase", "dic", "brightfield"}
        Kind of microscopy.
    group : str, optional
        Name for the movie; all movies are equally likely in training. By default that of the simulated movie.
    """

    stained: SimulatedExample
    contrast: Contrast
    group: str | None = None
    simulated = True
    gold = True

    @cached_property
    def movie(self) -> str:
        """The name of its movie."""
        return self.group or f"{self.stained.movie}, {self.contrast}"

    @cached_property
    def name(self) -> str:
        """Movie and frame."""
        return f"{self.stained.name}, {self.contrast}"

    def read(self) -> tuple[Image, Image]:
        """Return the image and its labels."""
        rng = np.random.default_rng([self.stained.seed, self.stained.frame, _STREAM])
        labels = warp_labels(self.stained.read()[1], rng)
        return render_contrast(labels, self.contrast, rng), labels


def simulate_unstained(count: int, *, seed: int = 0) -> list[UnstainedExample]:
    """Return frames of simulated movies in 2D, in the three contrasts in turn.

    Parameters
    ----------
    count : int
        Number of movies.
    seed : int
        The same seed gives the same movies.
    """
    kinds = get_args(Contrast)
    stained = simulate_examples(count, seed=seed)
    return [UnstainedExample(each, kinds[each.seed % len(kinds)]) for each in stained]
