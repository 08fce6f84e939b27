"""Corrupted movies for training: faults of a segmenter in the masks, and changes of geometry and of the images.

A corrupted movie is read like any other movie and goes through the same ``build_graph`` as in tracking. Changes of
geometry apply to masks, images and markers of the ground truth. Faults apply to the masks only, so that cells and
markers can still be matched by the rule of the Cell Tracking Challenge (a mask covers more than half of a marker).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, overload

import numpy as np

from gnntrack.errors import FrameError, InputError
from gnntrack.geometry import compute_radius
from gnntrack.io.stack import resolve_frame
from gnntrack.masks.runs import decode_frame, encode_frame
from gnntrack.plurals import count_noun
from gnntrack.training.corruption.faults import CellScale, apply_faults, match_markers, renumber_labels
from gnntrack.training.corruption.warp import Warp
from gnntrack.types import Tracks

if TYPE_CHECKING:
    from gnntrack.training.corruption.faults import Copy, Labels
    from gnntrack.training.corruption.settings import Corruption
    from gnntrack.types import FrameStack, Image, IntArray

__all__ = ["corrupt_movie", "thin_tracks"]

_SAMPLED = 5  # frames used for the cells' size and the images' range
_RECENT = 4  # corrupted masks in memory, since a mask and its image are usually read together
_DRIFT, _SHUFFLE, _NOISE, _SKIP = range(100, 104)  # purposes of random numbers, distinct from those in faults


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
    """Return a corrupted movie, computed frame by frame as it is read.

    Frames may be read in any order and more than once: they depend on the seed and their number only.

    Parameters
    ----------
    masks : FrameStack
        Label images.
    images : FrameStack or None
        The images.
    markers : FrameStack or None
        Label images of the ground truth. They identify cells over time, so that a fault can last several frames.
    corruption : Corruption
        The changes.
    seed : int
        Seed of the random numbers.

    Returns
    -------
    masks, images, markers : FrameStack or None
        The corrupted movie. Labels of the masks are shuffled in every frame, those of the markers are kept.
        Images are float32 if their grey values or geometry were changed.
    frames : list of int
        Frames of the original movie that were kept; see `thin_tracks`.

    Raises
    ------
    InputError
        If images or markers differ from the masks in length or shape.
    FrameError
        When a frame is read whose values are not labels.
    """
    for name, stack in (("images", images), ("markers", markers)):
        if stack is not None and (len(stack) != len(masks) or stack.shape != masks.shape):
            msg = (
                f"{count_noun(len(masks), 'mask')} of {masks.shape}, but {len(stack)} {name} of "
                f"{stack.shape}; expected one per mask"
            )
            raise InputError(msg)
    frames = _draw_frames(len(masks), corruption, seed)
    maker = _Maker(masks, images, markers, corruption, seed, frames)
    return (
        _Movie(maker.make_mask, masks, maker.warp, frames),
        None if images is None else _Movie(maker.make_image, images, maker.warp, frames),
        None if markers is None else _Movie(maker.make_marker, markers, maker.warp, frames),
        frames,
    )


def thin_tracks(tracks: Tracks, frames: Sequence[int]) -> Tracks:
    """Return the table of tracks of a movie of which some frames were kept.

    The daughters of a track without any kept frame get its parent as theirs.

    Parameters
    ----------
    tracks : Tracks
        Table of the ground truth, in frames of the whole movie.
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
    parent_of = dict(zip(tracks.id.tolist(), tracks.parent.tolist(), strict=True))
    visible = set(tracks.id[seen].tolist())
    parent = []
    for track in tracks.id[seen].tolist():
        ancestor = parent_of[track]
        while ancestor and ancestor not in visible:
            ancestor = parent_of[ancestor]
        parent.append(ancestor)
    return Tracks(tracks.id[seen], start[seen], end[seen], np.array(parent, np.int64))


def _draw_frames(n_frames: int, corruption: Corruption, seed: int) -> list[int]:
    """Return the frames that are kept, always the first and the last."""
    frames = np.arange(0, n_frames, corruption.step)
    keep = np.random.default_rng([seed & (2**63 - 1), _SKIP]).random(len(frames)) >= corruption.skip
    keep[[0, -1][: len(frames)]] = True
    return [int(frame) for frame in frames[keep]]


class _Movie:
    """Frames that are computed when they are read (a ``FrameStack``)."""

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
        return self.make(self.frames[resolve_frame(frame, len(self))])


class _Maker:
    """Computes any frame of a corrupted movie; its methods take frames of the original movie."""

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
        self.radius = _measure_radius(masks, sampled)
        self.low, self.high, self.spread = (0.0, 1.0, 1.0) if images is None else _measure_greys(images, masks, sampled)
        self.warp = Warp(
            masks.shape,
            self.spacing,
            quarter_turns=corruption.quarter_turns,
            flip=corruption.flip,
            rotation=corruption.rotation,
            scale=corruption.scale,
        )
        self.walk = self._draw_walk()
        scale = CellScale(self.spacing, self.radius)
        self.apply_faults = partial(apply_faults, corruption=corruption, scale=scale, seed=seed)
        self._recent: dict[int, tuple[Labels, list[Copy]]] = {}

    def make_mask(self, frame: int) -> Image:
        """Return the corrupted mask of a frame, with new labels."""
        labels, _ = self._corrupt_mask(frame)
        start, length, label = encode_frame(self.warp.warp_labels(labels, self._get_shift(frame)))
        before, place = np.unique(label, return_inverse=True)
        order = self._make_rng(_SHUFFLE, frame).permutation(len(before)) + 1
        dtype = np.uint16 if len(order) < 1 << 16 else np.int32
        return decode_frame(self.warp.shape_after, start, length, order[place], dtype)

    def make_marker(self, frame: int) -> Image:
        """Return the markers of a frame, with the changes of geometry."""
        if self.markers is None:
            msg = "the movie has no markers"
            raise FrameError(msg, frame=frame)
        return self.warp.warp_labels(np.asarray(self.markers[frame]), self._get_shift(frame))

    def make_image(self, frame: int) -> Image:
        """Return the corrupted image of a frame."""
        if self.images is None:
            msg = "the movie has no images"
            raise FrameError(msg, frame=frame)
        image = np.asarray(self.images[frame])
        copies = self._corrupt_mask(frame)[1] if self.corruption.insert and self.corruption.shown else []
        if copies:
            original, image = image, image.copy()
            for place, source in copies:
                image[place] = original[source]
        return self.warp.warp_image(self._change_greys(image, frame), self._get_shift(frame), self.low)

    def _corrupt_mask(self, frame: int) -> tuple[Labels, list[Copy]]:
        """Return the mask with its faults, and the visible spurious cells; the last few results are cached."""
        made = self._recent.get(frame)
        if made is None:
            labels, before = renumber_labels(np.asarray(self.masks[frame]), name=self.masks.names[frame])
            made = labels, []
            if self.corruption.changes_masks:
                markers = None if self.markers is None else np.asarray(self.markers[frame])
                cells = match_markers(labels, len(before), markers, frame=frame)
                made = self.apply_faults(labels, cells, frame=frame)
            # frames may be read by several threads: the cache is replaced, never changed
            self._recent = {**dict(list(self._recent.items())[-_RECENT:]), frame: made}
        return made

    def _change_greys(self, image: Image, frame: int) -> Image:
        """Return the image with gamma, gain, fading and noise applied; the image itself if they are all off."""
        c = self.corruption
        if (c.gain, c.gamma, c.noise, c.fading) == (1, 1, 0, 0):
            return image
        signal = (image.astype(np.float32) - self.low) / (self.high - self.low)
        if c.gamma != 1:
            signal = np.sign(signal) * np.abs(signal) ** np.float32(c.gamma)
        faded = math.exp(-c.fading * frame / max(len(self.masks) - 1, 1))
        out = np.float32(self.low) + signal * np.float32(c.gain * faded * (self.high - self.low))
        if c.noise:
            out += np.float32(c.noise * self.spread) * self._make_rng(_NOISE, frame).standard_normal(
                out.shape, np.float32
            )
        shaded: Image = out
        return shaded

    def _draw_walk(self) -> IntArray:
        """Return the shift of each frame in pixels, (T, D): a random walk."""
        std = self.corruption.drift * self.radius
        walk = self._make_rng(_DRIFT).normal(0, std, (len(self.masks), len(self.masks.shape)))
        walk = np.cumsum(walk, axis=0) * (self.corruption.scale / np.array(self.warp.spacing_after))
        # the walk is centred on the field, so that few cells leave it
        return np.rint(walk - walk.mean(axis=0)).astype(np.int64) if len(walk) else walk.astype(np.int64)

    def _get_shift(self, frame: int) -> tuple[int, ...]:
        return tuple(self.walk[frame].tolist())

    def _make_rng(self, *purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed & (2**63 - 1), *purpose])


def _measure_radius(masks: FrameStack, frames: list[int]) -> float:
    """Return the median radius of the cells, in the unit of the spacing; at least 1 pixel."""
    sizes = [np.bincount(renumber_labels(np.asarray(masks[t]), name=masks.names[t])[0].ravel())[1:] for t in frames]
    pixels = float(np.median(np.concatenate(sizes))) if sum(map(len, sizes)) else 1.0
    ndim = len(masks.shape)
    radius = compute_radius(pixels * math.prod(masks.spacing), ndim)
    return float(max(radius, *masks.spacing[-1:]))


def _measure_greys(images: FrameStack, masks: FrameStack, frames: list[int]) -> tuple[float, float, float]:
    """Return the level of the background, the brightest grey value, and the images' standard deviation."""
    if not frames:
        return 0.0, 1.0, 1.0
    stride = max(math.prod(images.shape) // 20000, 1)
    seen = np.concatenate([np.asarray(images[t]).ravel()[::stride] for t in frames]).astype(float)
    free = np.concatenate([np.asarray(masks[t]).ravel()[::stride] for t in frames]) == 0
    low = float(np.median(seen[free] if free.any() else seen))
    high = float(np.quantile(seen, 0.999))
    return low, high if high > low else low + 1.0, float(seen.std())
