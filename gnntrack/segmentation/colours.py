"""Movies for segmenters that read RGB images: the frames of a movie in all three colours."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.io.channels import COLOURS
from gnntrack.segmentation.protocol import get_channels, get_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gnntrack.io.stack import Stack
    from gnntrack.segmentation.protocol import Segmenter
    from gnntrack.types import FrameStack, Image

__all__ = ["ColouredFrames", "check_colours", "show_colours"]

_log = logging.getLogger(__name__)


class ColouredFrames:
    """The frames of a movie of RGB images, (Y, X, 3).

    Parameters
    ----------
    images : FrameStack
        The movie as it is tracked, in one colour.
    colours : Mapping of str to Stack
        The movie in red, green and blue.
    """

    def __init__(self, images: FrameStack, colours: Mapping[str, Stack]) -> None:
        self._colours = [colours[name] for name in COLOURS[:3]]
        self.spacing, self.unit, self.names, self.shape = images.spacing, images.unit, images.names, images.shape

    def __len__(self) -> int:
        return len(self._colours[0])

    def __getitem__(self, frame: int, /) -> Image:
        return np.stack([colour[frame] for colour in self._colours], axis=-1)


def show_colours(images: FrameStack, segmenter: Segmenter) -> FrameStack:
    """Return a movie as a segmenter reads it: in all three colours if it reads RGB images and the movie has colours.

    Parameters
    ----------
    images : FrameStack
        The movie; `gnntrack.io.open_frames` returns RGB images in the colour with the best contrast, or in the channel
        that was chosen, and all of their colours in ``channels``.
    segmenter : Segmenter
        Reads RGB images if its attribute ``channels`` is 3.

    Returns
    -------
    FrameStack
        With frames (Y, X, 3), or `images`.
    """
    channels: Mapping[str, Stack] = getattr(images, "channels", {})
    if get_channels(segmenter) == 1 or not set(COLOURS[:3]) <= set(channels):
        return images
    return ColouredFrames(images, channels)


def check_colours(images: FrameStack, segmenter: Segmenter) -> None:
    """Warn if a segmenter reads RGB images and the movie is grey; else log that it reads all colours."""
    if get_channels(segmenter) == 1:
        return
    if show_colours(images, segmenter) is not images:
        _log.info(
            "segmenter '%s' reads all three colours, as the images that its model was trained on", get_name(segmenter)
        )
    else:
        _log.warning(
            "%s: the model of segmenter '%s' is for RGB images, and these are grey, so more cells may be missed or "
            "wrong; give a model that was trained on grey images with --model",
            images.names[0] if len(images) else "the movie",
            get_name(segmenter),
        )
