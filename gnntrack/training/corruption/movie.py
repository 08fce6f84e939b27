"""Movies made worse for training: a segmenter's faults in the masks, and changes of geometry and of the images.

A corrupted movie is a movie like any other and goes through the same ``build_graph`` as in tracking. Geometry changes
masks, images and the truth's markers alike; faults are made in the masks alone, so that the rule of the Cell Tracking
Challenge (a mask covers more than half of a marker) tells afterwards which cells are true.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, overload

import numpy as np

from gnntrack.errors import FrameError, InputError
from gnntrack.geometry import compute_radius
from gnntrack.masks.runs import decode_frame, encode_frame
from gnntrack.training.corruption.faults import FATES, consecutive, spoil, truth_keys
from gnntrack.training.corruption.warp import Warp
from gnntrack.types import Tracks

if TYPE_CHECKING:
    from gnntrack.training.corruption.faults import Copy, Labels
    from gnntrack.types import FrameStack, Image, IntArray

__all__ = ["Corruption", "corrupt_movie", "thin_tracks"]

_SAMPLED = 5  # frames looked at for the cells' size and the images' range
_RECENT = 4  # spoilt masks kept, since a mask and its image are read one soon after the other
_DRIFT, _SHUFFLE, _NOISE, _SKIP = range(100, 104)  # what a random number is for, apart from those in faults


@dataclass(frozen=True)
class Corruption:
    """What is done to a movie; by default nothing, apart from the order of the labels.

    Parameters
    ----------
    drop, merge, split, erode, dilate : float
        Probability of each fault per cell and frame; a cell has one of them at most, and a cell with a marker may have
        it for two or three frames. Only cells that have a near neighbour can merge.
    insert : float
        Spurious cells per cell and frame, as far as there is room for them.
    shown : float
        Part of the spurious cells that the image shows too, as debris; there it has another cell's grey values.
    jitter : float
        Standard deviation, in cell radii, of the displacement of single cells where there is room.
    step : int
        Every step-th frame is kept.
    skip : float
        Probability that a further frame is left out, so that the movie jumps.
    drift : float
        Standard deviation per frame, in cell radii, of a random walk of the whole field.
    quarter_turns, flip, rotation, scale
        As in `Warp`.
    gain, gamma : float
        Factor of the signal above the background; exponent of the grey values between background and brightest.
    noise : float
        Standard deviation of added noise, in that of the image.
    fading : float
        The signal fades by exp(-fading) over the movie.
    """

    drop: float = 0.0
    insert: float = 0.0
    shown: float = 0.5
    merge: float = 0.0
    split: float = 0.0
    erode: float = 0.0
    dilate: float = 0.0
    jitter: float = 0.0
    step: int = 1
    skip: float = 0.0
    drift: float = 0.0
    quarter_turns: int = 0
    flip: bool = False
    rotation: float = 0.0
    scale: float = 1.0
    gain: float = 1.0
    gamma: float = 1.0
    noise: float = 0.0
    fading: float = 0.0

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not math.isfinite(value) or (value < 0 and entry.name not in ("quarter_turns", "rotation", "fading")):
                msg = f"corruption with {entry.name} {value}; expected a number of at least 0"
                raise InputError(msg)
        if sum(getattr(self, name) for name in FATES) > 1 or self.skip >= 1:
            msg = f"corruption with {', '.join(f'{n} {getattr(self, n)}' for n in FATES)}, skip {self.skip}; expected "
            msg += "probabilities whose sum is at most 1, and skip below 1"
            raise InputError(msg)
        if self.step < 1 or self.scale <= 0 or self.gamma <= 0:
            msg = (
                f"corruption with step {self.step}, scale {self.scale}, gamma {self.gamma}; expected step of at least "
            )
            msg += "1, scale and gamma above 0"
            raise InputError(msg)

    @classmethod
    def drawn(cls, rng: np.random.Generator, strength: float = 1.0) -> Corruption:
        """Draw a corruption for training: a third of the movies nearly clean, some hard.

        Parameters
        ----------
        rng : Generator
            Where the randomness comes from.
        strength : float
            Factor of the faults' rates and of how often the rest is changed; 0 turns and mirrors only.

        Examples
        --------
        >>> Corruption.drawn(np.random.default_rng(1), strength=0).drop
        0.0
        """
        hardness = strength * float(rng.choice([0.05, 0.5, 1.0, 2.0], p=[0.35, 0.3, 0.25, 0.1]))

        def rate(mean: float) -> float:
            return float(min(rng.exponential(mean) * hardness, 0.15))

        def sometimes(probability: float, value: float, otherwise: float) -> float:
            return float(value) if rng.random() < probability * strength else otherwise

        return cls(
            drop=rate(0.03),
            insert=rate(0.02),
            shown=float(rng.random()) if hardness else cls.shown,
            merge=rate(0.04),
            split=rate(0.02),
            erode=rate(0.03),
            dilate=rate(0.03),
            jitter=sometimes(0.3, rng.exponential(0.1), 0.0),
            step=int(sometimes(0.3, rng.choice([2, 2, 2, 3]), 1)),
            skip=sometimes(0.15, rng.uniform(0, 0.1), 0.0),
            drift=sometimes(0.3, rng.exponential(0.2), 0.0),
            quarter_turns=int(rng.integers(4)),
            flip=bool(rng.random() < 0.5),
            rotation=sometimes(0.25, rng.uniform(-45, 45), 0.0),
            scale=sometimes(0.3, np.exp(rng.uniform(-0.35, 0.35)), 1.0),
            gain=sometimes(0.5, np.exp(rng.normal(0, 0.4)), 1.0),
            gamma=sometimes(0.3, np.exp(rng.normal(0, 0.25)), 1.0),
            noise=sometimes(0.3, rng.exponential(0.1), 0.0),
            fading=sometimes(0.3, rng.uniform(-0.3, 1.0), 0.0),
        )

    @property
    def spoils(self) -> bool:
        """Whether masks get faults."""
        return any(getattr(self, name) > 0 for name in (*FATES, "insert", "jitter"))


@overload
def corrupt_movie(
    masks: FrameStack, images: FrameStack | None, markers: FrameStack, corruption: Corruption, *, seed: int
) -> tuple[FrameStack, FrameStack | None, FrameStack, list[int]]: ...


@overload
def corrupt_movie(
    masks: FrameStack, images: FrameStack | None, markers: None, corruption: Corruption, *, seed: int
) -> tuple[FrameStack, FrameStack | None, None, list[int]]: ...


def corrupt_movie(
    masks: FrameStack, images: FrameStack | None, markers: FrameStack | None, corruption: Corruption, *, seed: int
) -> tuple[FrameStack, FrameStack | None, FrameStack | None, list[int]]:
    """Return a movie with faults, made frame by frame as it is read.

    Frames may be read in any order and more than once: they depend on the seed and their number alone.

    Parameters
    ----------
    masks : FrameStack
        Label images.
    images : FrameStack or None
        The images.
    markers : FrameStack or None
        The truth's label images; they tell faults which cell is the same in the next frame.
    corruption : Corruption
        What is done.
    seed : int
        Where the randomness comes from.

    Returns
    -------
    masks, images, markers : FrameStack or None
        The same movie after it: labels of the masks are drawn anew in every frame, those of the markers are kept.
        Images are float32 where their grey values or places were changed.
    frames : list of int
        Which frames of the movie were kept; see `thin_tracks`.

    Raises
    ------
    InputError
        If images or markers differ from the masks in length or shape.
    FrameError
        When a frame is read whose values are no labels.
    """
    for name, stack in (("images", images), ("markers", markers)):
        if stack is not None and (len(stack) != len(masks) or stack.shape != masks.shape):
            msg = (
                f"{len(masks)} masks of {masks.shape}, but {len(stack)} {name} of {stack.shape}; expected one per mask"
            )
            raise InputError(msg)
    frames = _kept(len(masks), corruption, seed)
    maker = _Maker(masks, images, markers, corruption, seed, frames)
    return (
        _Movie(maker.mask, masks, maker.warp, frames),
        None if images is None else _Movie(maker.image, images, maker.warp, frames),
        None if markers is None else _Movie(maker.marker, markers, maker.warp, frames),
        frames,
    )


def thin_tracks(tracks: Tracks, frames: Sequence[int]) -> Tracks:
    """Return the table of tracks of a movie of which some frames were kept.

    A track that is not seen any more hands its parent on to its children.

    Parameters
    ----------
    tracks : Tracks
        The truth's table; frames of the whole movie.
    frames : ints
        Frames that were kept, ascending.

    Examples
    --------
    >>> thinned = thin_tracks(Tracks([1, 2, 3], [0, 3, 4], [2, 3, 7], [0, 1, 2]), [0, 2, 4, 6])
    >>> thinned.id.tolist(), thinned.start.tolist(), thinned.end.tolist(), thinned.parent.tolist()
    ([1, 3], [0, 2], [1, 3], [0, 1])
    """
    kept = np.asarray(frames, np.int64)
    start, end = np.searchsorted(kept, tracks.start), np.searchsorted(kept, tracks.end, side="right") - 1
    seen = start <= end
    mother = dict(zip(tracks.id.tolist(), tracks.parent.tolist(), strict=True))
    there = set(tracks.id[seen].tolist())
    parent = []
    for track in tracks.id[seen].tolist():
        ancestor = mother[track]
        while ancestor and ancestor not in there:
            ancestor = mother[ancestor]
        parent.append(ancestor)
    return Tracks(tracks.id[seen], start[seen], end[seen], np.array(parent, np.int64))


def _kept(n_frames: int, corruption: Corruption, seed: int) -> list[int]:
    """Return the frames that are kept, two at least where there are two."""
    frames = np.arange(0, n_frames, corruption.step)
    keep = np.random.default_rng([seed & (2**63 - 1), _SKIP]).random(len(frames)) >= corruption.skip
    keep[[0, -1][: len(frames)]] = True
    return [int(frame) for frame in frames[keep]]


class _Movie:
    """Frames that are made when they are asked for (a ``FrameStack``)."""

    def __init__(self, make: Callable[[int], Image], source: FrameStack, warp: Warp, frames: list[int]) -> None:
        self.make = make
        self.frames = frames
        self.names: Sequence[str] = [source.names[frame] for frame in frames]
        self.shape = warp.shape_after
        self.spacing = warp.spacing_after
        self.unit = source.unit

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, frame: int, /) -> Image:
        number = operator.index(frame)
        number += len(self) if number < 0 else 0
        if not 0 <= number < len(self):
            msg = f"frame {frame} of a movie of {len(self)} frames"
            raise IndexError(msg)
        return self.make(self.frames[number])


class _Maker:
    """Makes any frame of a corrupted movie."""

    def __init__(
        self,
        masks: FrameStack,
        images: FrameStack | None,
        markers: FrameStack | None,
        corruption: Corruption,
        seed: int,
        frames: list[int],
    ) -> None:
        self.masks, self.images, self.markers, self.corruption, self.seed = masks, images, markers, corruption, seed
        self.spacing = tuple(float(size) for size in masks.spacing)
        sampled = (
            [frames[i] for i in np.unique(np.linspace(0, len(frames) - 1, _SAMPLED).astype(int))] if frames else []
        )
        self.radius = _typical_radius(masks, sampled)
        self.low, self.high, self.spread = (0.0, 1.0, 1.0) if images is None else _grey_range(images, masks, sampled)
        self.warp = Warp(
            masks.shape,
            self.spacing,
            quarter_turns=corruption.quarter_turns,
            flip=corruption.flip,
            rotation=corruption.rotation,
            scale=corruption.scale,
        )
        walk = self._random(_DRIFT).normal(0, corruption.drift * self.radius, (len(masks), len(masks.shape)))
        walk = np.cumsum(walk, axis=0) * (corruption.scale / np.array(self.warp.spacing_after))
        # the middle of the walk is the middle of the field, so that fewest cells are lost
        self.walk: IntArray = np.rint(walk - walk.mean(axis=0)).astype(np.int64) if len(walk) else walk.astype(np.int64)
        self.spoil = partial(spoil, corruption=corruption, spacing=self.spacing, radius=self.radius, seed=seed)
        self._recent: dict[int, tuple[Labels, list[Copy]]] = {}

    def mask(self, frame: int) -> Image:
        """Return the mask of a frame of the original movie."""
        labels, _ = self._spoilt(frame)
        start, length, label = encode_frame(self.warp.labels(labels, self._shift(frame)))
        before, place = np.unique(label, return_inverse=True)
        order = self._random(_SHUFFLE, frame).permutation(len(before)) + 1
        dtype = np.uint16 if len(order) < 1 << 16 else np.int32
        return decode_frame(self.warp.shape_after, start, length, order[place], dtype)

    def marker(self, frame: int) -> Image:
        """Return the truth's markers of a frame of the original movie."""
        if self.markers is None:
            msg = "the movie has no markers"
            raise FrameError(msg, frame=frame)
        return self.warp.labels(np.asarray(self.markers[frame]), self._shift(frame))

    def image(self, frame: int) -> Image:
        """Return the image of a frame of the original movie."""
        if self.images is None:
            msg = "the movie has no images"
            raise FrameError(msg, frame=frame)
        image = np.asarray(self.images[frame])
        copies = self._spoilt(frame)[1] if self.corruption.insert and self.corruption.shown else []
        if copies:
            original, image = image, image.copy()
            for place, source in copies:
                image[place] = original[source]
        return self.warp.image(self._shaded(image, frame), self._shift(frame), self.low)

    def _spoilt(self, frame: int) -> tuple[Labels, list[Copy]]:
        """Return the mask with its faults, and the grey values that go with them; the last few are kept."""
        made = self._recent.get(frame)
        if made is None:
            labels, before = consecutive(np.asarray(self.masks[frame]), name=self.masks.names[frame])
            made = labels, []
            if self.corruption.spoils:
                markers = None if self.markers is None else np.asarray(self.markers[frame])
                keys, known = truth_keys(labels, len(before), markers, frame=frame)
                made = self.spoil(labels, keys, known, frame=frame)
            # frames may be read by several threads: the table is replaced, never changed
            self._recent = {**dict(list(self._recent.items())[-_RECENT:]), frame: made}
        return made

    def _shaded(self, image: Image, frame: int) -> Image:
        c = self.corruption
        if (c.gain, c.gamma, c.noise, c.fading) == (1, 1, 0, 0):
            return image
        signal = (image.astype(np.float32) - self.low) / (self.high - self.low)
        if c.gamma != 1:
            signal = np.sign(signal) * np.abs(signal) ** np.float32(c.gamma)
        faded = math.exp(-c.fading * frame / max(len(self.masks) - 1, 1))
        out = np.float32(self.low) + signal * np.float32(c.gain * faded * (self.high - self.low))
        if c.noise:
            out += np.float32(c.noise * self.spread) * self._random(_NOISE, frame).standard_normal(
                out.shape, np.float32
            )
        shaded: Image = out
        return shaded

    def _shift(self, frame: int) -> tuple[int, ...]:
        return tuple(self.walk[frame].tolist())

    def _random(self, *purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed & (2**63 - 1), *purpose])


def _typical_radius(masks: FrameStack, frames: list[int]) -> float:
    """Return the median radius of the cells, in the unit of the spacing; 1 pixel at least."""
    sizes = [np.bincount(consecutive(np.asarray(masks[t]), name=masks.names[t])[0].ravel())[1:] for t in frames]
    pixels = float(np.median(np.concatenate(sizes))) if sum(map(len, sizes)) else 1.0
    ndim = len(masks.shape)
    radius = compute_radius(pixels * math.prod(masks.spacing), ndim)
    return float(max(radius, *masks.spacing[-1:]))


def _grey_range(images: FrameStack, masks: FrameStack, frames: list[int]) -> tuple[float, float, float]:
    """Return the level of the background, the brightest grey value, and the images' standard deviation."""
    if not frames:
        return 0.0, 1.0, 1.0
    stride = max(math.prod(images.shape) // 20000, 1)
    seen = np.concatenate([np.asarray(images[t]).ravel()[::stride] for t in frames]).astype(float)
    free = np.concatenate([np.asarray(masks[t]).ravel()[::stride] for t in frames]) == 0
    low = float(np.median(seen[free] if free.any() else seen))
    high = float(np.quantile(seen, 0.999))
    return low, high if high > low else low + 1.0, float(seen.std())
