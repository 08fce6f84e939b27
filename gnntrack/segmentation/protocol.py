"""The protocol of segmenters, and the check of the labels that they return.

Only `segment` is required. Further members are optional:

- ``dimensions``, a tuple: the numbers of axes of the images that it takes; 2 and 3 by default.
- ``channels``: 3 if it reads RGB images; it is then given frames (Y, X, 3) of movies that have colours, and grey frames
  (Y, X) of others. 1 by default.
- ``prepare(images)``: see `MovieSegmenter`.
- the option ``diameter``: the typical diameter of a cell in pixels along x; None if the segmenter must estimate it. The
  option ``--diameter`` of the commands sets it, and the recipes convert a length such as ``"12um"`` to pixels.
- ``estimated_diameter``: the diameter that the segmenter estimated, in pixels along x, after ``prepare`` (for the
  movie) or after each ``segment`` (for this frame); None if it estimated none. It is logged, and recorded in
  ``summary.json``.
- ``guessed_model``: the model that the segmenter has chosen by a guess, which the option ``--kind`` sets; None if it
  has not guessed. It is shown, and recorded in ``summary.json``.
- the option ``spacing``: the recipes set it to the voxel size of the movie if it is known and the user gave none.

A segmenter that can be trained has a classmethod ``train`` as well: see `gnntrack.training.segmenter`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from gnntrack.errors import SegmenterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.types import Image

__all__ = ["MovieSegmenter", "Segmenter", "check_labels", "get_channels", "get_name"]


@runtime_checkable
class Segmenter(Protocol):
    """Finds the cells in one frame."""

    def segment(self, image: Image, /) -> Image:
        """Return the labels of an image.

        Parameters
        ----------
        image : (Y, X) or (Z, Y, X) array of numbers
            Grey values of one frame; they are not modified. Segmenters that read RGB images take (Y, X, 3) too.

        Returns
        -------
        labels : integer array, (Y, X) or (Z, Y, X)
            0 = background, every other value one cell. The segmenters of this project return int32 labels 1, 2, ...
            without gaps, and no cells for an image of one grey value.

        Raises
        ------
        FrameError
            If the image has an unsupported number of axes, is not an array of real numbers, or has NaN or infinite
            pixels.
        """
        ...


@runtime_checkable
class MovieSegmenter(Segmenter, Protocol):
    """A segmenter that estimates some of its parameters once for the whole movie."""

    def prepare(self, images: Sequence[Image], /) -> None:
        """Estimate parameters from some frames of the movie, before any frame is segmented.

        Parameters
        ----------
        images : sequence of (Y, X) or (Z, Y, X) arrays
            The first, the middle and the last frame; fewer if the movie is short or a frame cannot be read.
        """


def check_labels(labels: Any, image: Image, name: str, frame: int | None = None) -> Image:
    """Return the labels if they are a label image that fits the image.

    Parameters
    ----------
    labels : array
        Result of the segmenter.
    image : (Y, X) or (Z, Y, X) array
        The image that was segmented.
    name : str
        Name of the segmenter, for the message.
    frame : int, optional
        Number of the frame, for the message.

    Raises
    ------
    SegmenterError
        If `labels` is not an array of integers, has another shape than the image, or has negative values.

    Examples
    --------
    >>> check_labels(np.zeros((2, 2)), np.zeros((2, 2)), "mine", 7)
    Traceback (most recent call last):
    gnntrack.errors.SegmenterError: segmenter 'mine', frame 7: it returned float64; labels are integers, 0 = background
    """
    problem = ""
    if not isinstance(labels, np.ndarray):
        problem = f"{type(labels).__name__}; expected an array of integer labels"
    elif labels.dtype.kind not in "iu":
        hint = "; number the cells of the mask first, as scipy.ndimage.label does" if labels.dtype == bool else ""
        problem = f"{labels.dtype}; labels are integers, 0 = background{hint}"
    elif labels.shape != image.shape:
        problem = f"shape {labels.shape} for an image of shape {image.shape}"
    elif labels.size and labels.min() < 0:
        problem = f"the label {labels.min()}; labels are positive, 0 = background"
    if problem:
        where = f"segmenter '{name}'" + ("" if frame is None else f", frame {frame}")
        msg = f"{where}: it returned {problem}"
        raise SegmenterError(msg)
    return labels  # type: ignore[no-any-return]


def get_name(segmenter: Segmenter) -> str:
    """Return the attribute ``name`` of a segmenter, or the name of its class."""
    name = getattr(segmenter, "name", None)
    return name if isinstance(name, str) else type(segmenter).__name__


def get_channels(segmenter: Segmenter) -> int:
    """Return the attribute ``channels`` of a segmenter: 3 if it reads RGB images, else 1."""
    return 3 if getattr(segmenter, "channels", 1) == 3 else 1
