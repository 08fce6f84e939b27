"""Images for networks with one channel, grey values, or three: red, green and blue."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import FrameError, TrainingError
from gnntrack.training.examples.channels import has_colours, keep_colours
from segmenters.common.inputs import check_image
from segmenters.common.pixels import normalise
from segmenters.common.training import find_dimensions

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy.typing as npt

    from gnntrack.settings import TrainSegmenterSettings
    from gnntrack.training.segmenter import LabelledImage
    from segmenters.common.arrays import Heights

__all__ = [
    "RGB",
    "check_pixels",
    "choose_channels",
    "get_channels",
    "is_flat",
    "normalise_channels",
    "show_channels",
]

_log = logging.getLogger(__name__)

RGB = 3
"""Channels of a network that reads RGB images."""


def get_channels(network: Any) -> int:
    """Return the number of channels of the images that a network reads: 1 or 3."""
    return int(getattr(network, "channels", 1))


def check_pixels(
    image: npt.NDArray[Any], dimensions: Collection[int] = (2, 3), *, channels: int = 1, hint: str = ""
) -> Heights:
    """Return an image as float32 with the channels of a network, the first axis if there are three.

    Parameters
    ----------
    image : ([Z], Y, X) or (Y, X, 3) array of numbers
        Grey values, or red, green and blue, and perhaps opacity, which is ignored.
    dimensions : collection of int
        Numbers of axes of the images that the network reads, without that of the channels.
    channels : {1, 3}
        Channels of the network. For three, grey values are repeated.
    hint : str
        End of the error message for another number of axes.

    Returns
    -------
    pixels : float32 array
        ([Z], Y, X), or (3, Y, X) for three channels.

    Raises
    ------
    FrameError
        If the image has another number of axes, is not an array of real numbers, or has NaN or infinite values.

    Examples
    --------
    >>> check_pixels(np.zeros((7, 9)), [2], channels=3).shape, check_pixels(np.zeros((7, 9, 4)), [2], channels=3).shape
    ((3, 7, 9), (3, 7, 9))
    """
    if channels == 1:
        return check_image(image, dimensions, hint=hint)
    image = np.asarray(image)
    if image.ndim == 2:
        grey = check_image(image)
        return np.broadcast_to(grey, (channels, *grey.shape))
    if image.ndim != 3 or image.shape[-1] not in (RGB, RGB + 1):
        msg = (
            f"the image is {image.dtype} of shape {image.shape}; expected (Y, X, 3), since the model is for RGB images"
        )
        raise FrameError(msg)
    return check_image(np.moveaxis(image, -1, 0)[:RGB])


def is_flat(pixels: Heights, channels: int) -> bool:
    """Return whether an image has no pixels, or a single value in each of its channels.

    >>> is_flat(np.zeros((2, 2), np.float32), 1), is_flat(np.stack([np.full((2, 2), n) for n in (1, 2, 3)]), 3)
    (True, True)
    """
    if not pixels.size:
        return True
    parts = pixels if channels > 1 else [pixels]
    return all(bool(part.min() == part.max()) for part in parts)


def normalise_channels(pixels: Heights, how: Any, *, dtype: np.dtype[Any], channels: int) -> Heights:
    """Return an image, each channel of which is normalised by itself; see `segmenters.common.pixels.normalise`."""
    if channels == 1:
        return normalise(pixels, how, dtype=dtype)
    return np.stack([normalise(np.ascontiguousarray(channel), how, dtype=dtype) for channel in pixels])


def choose_channels(examples: Sequence[LabelledImage], settings: TrainSegmenterSettings) -> int:
    """Return the number of channels of a new network: 3 if it is to read RGB images, else 1.

    Parameters
    ----------
    examples : sequence of LabelledImage
        Images to train on.
    settings : TrainSegmenterSettings
        Its ``colours``: ``auto`` is three channels if all images are RGB.

    Raises
    ------
    TrainingError
        If RGB is asked for and the images are stacks.
    """
    if settings.colours == "grey":
        return 1
    planes = find_dimensions(examples) == 2
    if settings.colours == "rgb":
        if not planes:
            msg = "networks for RGB images are for images of 2 axes, and these are stacks; omit --colours rgb"
            raise TrainingError(msg)
        return RGB
    if not planes or not has_colours(examples[0]):
        return 1
    grey = next((each.name for each in examples if not has_colours(each)), None)
    if grey is None:
        _log.info("all images are RGB, so the network has three channels (--colours grey: one)")
        return RGB
    message = (
        "some images are RGB and %s is grey, so the network has one channel: the colour with the best contrast is read"
    )
    _log.warning(message + " (--colours rgb: three, and grey images have three equal ones)", grey)
    return 1


def show_channels(examples: Sequence[LabelledImage], channels: int) -> Sequence[LabelledImage]:
    """Return images as they are read for a network: in all three colours if it has three channels."""
    return examples if channels == 1 else [keep_colours(each) for each in examples]
