"""The images of a movie as compressed grey pictures of 8 bits, for the page."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image as Picture
from PIL import features

from gnntrack.report.contrast import find_contrast, project_image

if TYPE_CHECKING:
    from gnntrack.types import FrameStack, Image, Progress

__all__ = ["MoviePictures", "encode_movie"]

_BUDGET = 16_000_000  # bytes of all pictures: with base64 about 21 MB of the page
_LARGEST = 2048  # pixels along a side
_QUALITIES = (80, 65, 50, 35)
_SAMPLED = 5  # frames that quality and range of grey values are chosen by


class MoviePictures(NamedTuple):
    """Compressed frames of a movie."""

    frames: list[bytes]
    kind: str
    """MIME type, such as ``image/webp``."""
    scale: float
    """Pixels of a picture per pixel of the movie, at most 1."""
    quality: int
    """Of the compression, 1 to 100."""


def encode_movie(images: FrameStack, *, budget: int = _BUDGET, progress: Progress | None = None) -> MoviePictures:
    """Return the frames of a movie as compressed pictures; stacks are projected (brightest plane).

    Parameters
    ----------
    images : FrameStack
        The movie. Grey values are stretched between their 0.3 and 99.8 percentiles in a few frames, and dark movies
        are brightened.
    budget : int
        Bytes that all pictures may have; quality and size are lowered until a few frames fit, default 16 MB.
    progress : Progress, optional
        Called after each frame.
    """
    n = len(images)
    sampled = np.unique(np.linspace(0, n - 1, min(n, _SAMPLED)).astype(int)).tolist()
    some = [project_image(images[t]) for t in sampled]
    stretch = find_contrast(some)
    scale, quality = _choose_size([stretch.apply(each) for each in some], budget / n)
    frames = []
    for t in range(n):
        frames.append(_compress(stretch.apply(project_image(images[t])), scale, quality))
        if progress is not None:
            progress("encoding images", t + 1, n)
    return MoviePictures(frames, f"image/{_choose_kind().lower()}", scale, quality)


def _choose_size(images: list[Image], each: float) -> tuple[float, int]:
    """Return the scale and the quality at which the images have at most so many bytes in the mean."""
    largest = min(1.0, _LARGEST / max(images[0].shape))
    scales = [largest * 0.75**k for k in range(8)]
    for scale in scales:
        for quality in _QUALITIES:
            if np.mean([len(_compress(image, scale, quality)) for image in images]) <= each:
                return scale, quality
    return scales[-1], _QUALITIES[-1]


def _compress(image: Image, scale: float, quality: int) -> bytes:
    picture = Picture.fromarray(image)
    if scale < 1:
        size = [max(1, round(side * scale)) for side in reversed(image.shape)]
        picture = picture.resize((size[0], size[1]), Picture.Resampling.BOX)
    out = io.BytesIO()
    kind = _choose_kind()
    picture.save(out, kind, quality=quality, **({"method": 2} if kind == "WEBP" else {}))
    return out.getvalue()


def _choose_kind() -> str:
    return "WEBP" if features.check("webp") else "JPEG"
