"""RGB images as grey images: the colour with the best contrast, chosen once for a movie."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import ChannelError
from gnntrack.io.axes import RGB_SIDE, average_colours
from gnntrack.io.channels import COLOURS, GREY
from gnntrack.io.stack import Stack

if TYPE_CHECKING:
    from gnntrack.types import Image

__all__ = ["are_like_frames", "choose_colour", "list_tried", "measure_contrasts", "open_best_colour", "take_colour"]

_log = logging.getLogger(__name__)

_MOST_TRIED = 6  # frames that are read until one holds more than one value
_MOST_PIXELS = 1 << 20  # of a frame that are judged: its middle
_ALIKE = 0.03  # largest difference of two colours in an image that is grey to the eye, as a fraction of their range
_ROUNDED = 0.01  # the same, as a fraction of the highest value: compressed grey images are not exactly grey
_EXTREME = 1 / 16  # of the range: a drawn line is as near as that to full or no intensity in each colour
_MOST_DRAWN = 0.1  # largest fraction of pixels in drawn lines and letters; where there are more, they are cells
_MARGIN = 3  # pixels around drawn lines, which compression blurs
_COARSE = 20  # objects are smaller than this fraction of the longer side
_PLANES = (
    "%s: the file marks its planes as the colours of an RGB image, and they are read as such; if they are frames, "
    "use --axes tyx (in Python axes='tyx'); if they are slices of one frame, --axes zyx"
)
_LEVELS = (0.001, 0.1, 0.5, 0.9, 0.999)  # quantiles by which planes are compared
_LIKE_FRAMES = 0.15  # largest difference of the quantiles of successive frames, as a fraction of their range
_OUTLIERS = (0.5, 99.5)  # percentiles to which the details of an image are limited


def open_best_colour(
    open_channel: Callable[[str | None, int | str | None], Any],
    axes: str | None,
    channel: int | str | None,
    *,
    role: str = "images",
) -> Any:
    """Open a movie; of RGB images for which no channel is chosen, open the colour with the best contrast.

    The choice is made by the first frame that holds more than one value, and holds for the whole movie. Opacity is
    never chosen. If the colours are nearly alike, as in grey images that were saved as RGB, their mean is returned, and
    the movie has one channel.

    Parameters
    ----------
    open_channel : callable
        Opens the movie for a letter per axis and a channel, each of which may be None.
    axes : str or None
        A letter per axis.
    channel : int, str or None
        Number or name of the channel; None chooses one of the colours.
    role : {"images", "masks"}
        Whether the frames are images or masks. RGB masks are refused.

    Raises
    ------
    ChannelError
        If there are several channels that are not the colours of RGB images, or the frames are RGB masks.
    """
    try:
        return open_channel(axes, channel)
    except ChannelError as error:
        if error.colours is None or channel is not None or role == "masks":
            raise
        axes = error.colours
        refusal = error
    opened = open_channel(axes, 0)
    if not isinstance(opened, Stack):
        return opened
    colours = {name: opened.channels[name] for name in COLOURS[:3]}
    if "s" in axes[:-2]:
        _check_planes(colours, refusal)
    name = choose_colour([each[frame] for each in colours.values()] for frame in list_tried(len(opened)))
    if name == GREY:
        _log.info("%s: RGB images: the colours are alike, so that their mean is used", opened.names[0])
        return replace(open_channel(axes, GREY), channels={})
    message = "%s: RGB images: the %s channel is used, it has the best contrast (--channel chooses another)"
    _log.info(message, opened.names[0], name)
    return replace(colours[name], channels=colours, chosen="it has the best contrast of the colours")


def _check_planes(colours: Mapping[str, Stack], refusal: ChannelError) -> None:
    """Raise if planes that are marked as colours are more like frames; else warn that they are read as colours."""
    planes = [each[0] for each in colours.values()]
    if min(planes[0].shape[-2:]) < RGB_SIDE or are_like_frames(planes):
        raise refusal
    _log.warning(_PLANES, next(iter(colours.values())).names[0])


def are_like_frames(planes: Sequence[Image]) -> bool:
    """Return whether planes are alike in their grey values, as frames and slices are, but not the same image.

    Some programs mark movies of three frames as the colours of an RGB image, plane by plane. The colours of an image
    differ in brightness, unless it is grey: then they are equal.

    Parameters
    ----------
    planes : sequence of ([Z], Y, X) arrays
        The planes that a file marks as colours.

    Examples
    --------
    >>> frame = np.random.default_rng(0).normal(100, 10, (32, 32))
    >>> are_like_frames([frame, frame[::-1]]), are_like_frames([frame, frame / 2]), are_like_frames([frame, frame])
    (True, False, False)
    """
    if all(np.array_equal(plane, planes[0]) for plane in planes[1:]):
        return False
    grey = np.array([np.quantile(_take_middle(plane), _LEVELS) for plane in planes])
    return bool(np.ptp(grey, axis=0).max() <= _LIKE_FRAMES * np.ptp(grey))


def choose_colour(images: Iterable[Iterable[Image]]) -> str:
    """Return the name of the colour with the best contrast, or ``"grey"`` if the colours are nearly alike.

    Parameters
    ----------
    images : iterable of (red, green, blue)
        Early images of a movie or a folder, three arrays ([Z], Y, X) each. The first one that holds more than one
        value decides; later ones are not read.

    Examples
    --------
    >>> black, cells = np.zeros((2, 64, 64)); cells[8:14, 8:14] = cells[40:46, 30:36] = 120
    >>> choose_colour([[black, black, black], [black, cells, cells / 2]]), choose_colour([[cells, cells, cells]])
    ('green', 'grey')
    """
    first: list[Image] = []
    for colours in images:
        planes = [_take_middle(image) for image in colours]
        first = first or planes
        if any(np.ptp(plane) > 0 for plane in planes if plane.size):
            first = planes
            break
    return GREY if not first or _are_alike(first) else COLOURS[int(np.argmax(measure_contrasts(first)))]


def take_colour(pixels: Image, name: str) -> Image:
    """Return a colour of an image, or the mean of its colours, in the type of the image.

    Parameters
    ----------
    pixels : ([Z], Y, X, C) array
        Red, green, blue, and perhaps opacity.
    name : {"red", "green", "blue", "grey"}
        Name of the colour; ``grey`` is the mean.
    """
    return average_colours(pixels[..., :3]) if name == GREY else pixels[..., COLOURS.index(name)]


def list_tried(n_frames: int) -> Iterator[int]:
    """Yield the numbers of a few frames near the start, of `n_frames`: videos are decoded in order."""
    yield from (frame for frame in (0, *(1 << k for k in range(_MOST_TRIED - 1))) if frame < n_frames)


def _take_middle(image: Image) -> Image:
    """Return the middle of the middle slice of a frame, as numbers of single precision."""
    plane = image[len(image) // 2] if image.ndim == 3 else image
    side = int(_MOST_PIXELS**0.5)
    start = [max(0, (length - side) // 2) for length in plane.shape]
    part = plane[tuple(slice(at, at + side) for at in start)].astype(np.float32)
    return np.nan_to_num(part, nan=0.0, posinf=0.0, neginf=0.0)


def _are_alike(images: list[Image]) -> bool:
    """Return whether the colours of nearly every pixel are the same."""
    red, green, blue = images
    if not red.size:
        return True
    highest, lowest = (function([function(image) for image in images]) for function in (np.max, np.min))
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return bool(np.quantile(spread, 0.999) <= max(_ALIKE * (highest - lowest), _ROUNDED * highest))


def measure_contrasts(images: list[Image]) -> list[float]:
    r"""Return the contrast of small objects in each colour of an image.

    It is :math:`\sigma (1 + |\gamma|)`, with the standard deviation :math:`\sigma` and the skewness :math:`\gamma` of
    the details: the image without noise (Gaussian filter of 1 pixel) and without the coarse differences of stain and
    light. Noise and textures are as often brighter as darker than their surroundings, and have no skewness; objects on
    a ground have one. Drawn lines and letters, such as a scale bar, are left out.

    Parameters
    ----------
    images : 3 arrays of (Y, X)
        Red, green and blue.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> noise = rng.normal(100, 20, (64, 64))
    >>> cells = np.full((64, 64), 50.0); cells[8:14, 8:14] = cells[40:46, 30:36] = 120
    >>> int(np.argmax(measure_contrasts([noise, cells, 0 * cells])))
    1
    """
    drawn = _find_drawn(images)
    contrasts = [_measure_contrast(image, drawn) for image in images]
    if any(contrasts) or not drawn.any():
        return contrasts
    return [_measure_contrast(image, np.zeros_like(drawn)) for image in images]  # all cells look like drawn ones


def _measure_contrast(image: Image, drawn: Image) -> float:
    from scipy.ndimage import gaussian_filter

    filled = image.astype(np.float32)
    if drawn.any():
        filled[drawn] = np.median(filled[~drawn])
    smooth = gaussian_filter(filled, 1)
    details = smooth - gaussian_filter(smooth, max(max(image.shape, default=0) / _COARSE, 2.0))
    if not details.size:
        return 0.0
    details = np.clip(details, *np.percentile(details, _OUTLIERS)).astype(np.float64)
    details -= details.mean()
    deviation = float(details.std())
    if deviation <= 1e-6 * float(np.abs(image).max()):
        return 0.0
    return deviation + abs(float((details**3).mean())) / deviation**2


def _find_drawn(images: list[Image]) -> Image:
    """Return the pixels of drawn lines and letters: each colour is at one end of the range, and one at the upper."""
    from scipy.ndimage import binary_dilation

    highest = max(float(image.max(initial=0)) for image in images)
    near = _EXTREME * highest
    full = [image >= highest - near for image in images]
    ends = [(image <= near) | each for image, each in zip(images, full, strict=True)]
    drawn = np.logical_and.reduce(ends) & np.logical_or.reduce(full)
    drawn = binary_dilation(drawn, iterations=_MARGIN) if drawn.any() else drawn
    return drawn if drawn.mean() <= _MOST_DRAWN else np.zeros_like(drawn)
