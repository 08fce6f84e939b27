"""The images of a movie as compressed grey pictures of 8 bits, for the page."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image as Picture
from PIL import features

from gnntrack.report.contrast import find_contrast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.report.contrast import Contrast
    from gnntrack.types import FrameStack, Image, Progress

__all__ = ["MoviePictures", "encode_movie"]

_BUDGET = 16_000_000  # bytes of all pictures: with base64 about 21 MB of the page
_LARGEST = 2048  # pixels along a side
_QUALITIES = (80, 65, 50, 35)
_MOST_WORKERS = 8  # threads
_SHARES = {"frames": 0.35, "y": 0.1, "x": 0.1, "planes": 0.45}  # of the budget, for a stack
_SAMPLED = 5  # frames that quality and range of grey values are chosen by


class MoviePictures(NamedTuple):
    """Compressed frames of a movie."""

    frames: list[bytes]
    """A picture per frame; of a stack, the brightest plane at each place."""
    scale: float
    """Pixels of a picture per pixel of the movie, at most 1."""
    quality: int
    """Of the compression, 1 to 100."""
    grey: Contrast
    """Grey values of the movie that are black and white."""
    sides: dict[str, list[bytes]]
    """Stacks seen along ``"y"`` and along ``"x"``, a picture per frame each."""
    planes: list[list[bytes]]
    """Pictures of the planes of each frame; empty for a movie in 2D."""
    plane_scale: float
    """As `scale`, of the planes."""


def encode_movie(
    images: FrameStack, *, planes: Sequence[int] = (), budget: int = _BUDGET, progress: Progress | None = None
) -> MoviePictures:
    """Return the frames of a movie as compressed pictures; stacks are projected (brightest plane).

    Parameters
    ----------
    images : FrameStack
        The movie. Grey values are stretched between their 0.3 and 99.8 percentiles in a few frames, and dark movies
        are brightened.
    planes : sequence of int
        Planes of a stack that are encoded as well; by default none.
    budget : int
        Bytes that all pictures may have; quality and size are lowered until a few frames fit, default 16 MB.
    progress : Progress, optional
        Called after each frame.
    """
    n = len(images)
    sampled = np.unique(np.linspace(0, n - 1, min(n, _SAMPLED)).astype(int)).tolist()
    grey, sizes = _choose_sizes([_show(images[t], planes) for t in sampled], budget / n)

    def encode(t: int) -> dict[str, list[bytes]]:
        shown = _show(images[t], planes).items()
        return {name: [_compress(grey.apply(image), sizes[name]) for image in some] for name, some in shown}

    encoded: dict[str, list[list[bytes]]] = {name: [] for name in sizes}
    with ThreadPoolExecutor(min(_MOST_WORKERS, os.cpu_count() or 1)) as pool:
        for t, made in enumerate(pool.map(encode, range(n))):
            for name, pictures in made.items():
                encoded[name].append(pictures)
            if progress is not None:
                progress("encoding images", t + 1, n)
    return MoviePictures(
        [each[0] for each in encoded["frames"]],
        *sizes["frames"][:2],
        grey,
        {name: [each[0] for each in encoded[name]] for name in sizes if name in "yx"},
        encoded.get("planes", []),
        sizes.get("planes", sizes["frames"])[0],
    )


def _choose_sizes(some: list[dict[str, list[Image]]], each: float) -> tuple[Contrast, dict[str, _Size]]:
    """Return the contrast, and scale and quality of each kind of picture, from some frames; `each` is bytes a frame."""
    found = {name: [image for shown in some for image in shown[name]] for name in some[0]}
    grey = find_contrast(found["frames"], found.get("planes", []))
    sizes = {}
    for name, shown in found.items():
        share = _SHARES[name] if "y" in found else 1.0
        sizes[name] = _choose_size([grey.apply(image) for image in shown], share * each / len(some[0][name]))
    return grey, sizes


def _show(image: Image, planes: Sequence[int]) -> dict[str, list[Image]]:
    """Return the pictures of a frame: itself or its projections, and planes."""
    frame = np.asarray(image)
    if frame.ndim == 2:
        return {"frames": [frame]}
    sides = {"frames": [frame.max(axis=0)], "y": [frame.max(axis=1)], "x": [frame.max(axis=2).T]}
    return sides | ({"planes": [frame[z] for z in planes]} if planes else {})


class _Size(NamedTuple):
    """Size and compression of pictures."""

    scale: float
    quality: int
    kind: str
    """Format, as Pillow names it."""


def _choose_size(images: list[Image], each: float) -> _Size:
    """Return the size and compression at which the images have at most so many bytes in the mean.

    JPEG is compressed ten times as fast as WebP, and taken where the best quality fits.
    """
    largest = min(1.0, _LARGEST / max(images[0].shape))
    scales = [largest * 0.75**k for k in range(8)]
    small = "WEBP" if features.check("webp") else "JPEG"
    sizes = [_Size(scale, quality, small) for scale in scales for quality in _QUALITIES]
    for size in (_Size(largest, _QUALITIES[0], "JPEG"), *sizes):
        if np.mean([len(_compress(image, size)) for image in images]) <= each:
            return size
    return sizes[-1]


def _compress(image: Image, size: _Size) -> bytes:
    picture = Picture.fromarray(image)
    if size.scale < 1:
        sides = [max(1, round(side * size.scale)) for side in reversed(image.shape)]
        picture = picture.resize((sides[0], sides[1]), Picture.Resampling.BOX)
    out = io.BytesIO()
    picture.save(out, size.kind, quality=size.quality, **({"method": 1} if size.kind == "WEBP" else {}))
    return out.getvalue()
