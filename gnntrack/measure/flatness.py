"""Slices that are farther apart than pixels, recognised by the shape of a movie and of its cells."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from gnntrack.types import Cells, FloatArray, FrameStack, Image

__all__ = ["describe_cubes", "measure_flatness", "measure_label_flatness", "warn_of_cubes"]

_log = logging.getLogger(__name__)
_FLAT = 1.5  # ratio of width to height of cells whose slices are probably farther apart than pixels
_THIN = 3  # the sides of a frame are longer than its depth by this factor


def describe_cubes(frames: FrameStack, flatness: FloatArray, *, result: str = "links") -> str | None:
    """Return the message for a 3D movie whose voxels are taken as cubes and are probably not, None for other movies.

    Parameters
    ----------
    frames : FrameStack
        Images or masks of the movie.
    flatness : (N,) array
        Ratios of width to height of cells, see `measure_flatness`; it may be empty.
    result : str
        What becomes worse, in the plural.

    Examples
    --------
    >>> from gnntrack.io import open_frames
    >>> stack = open_frames(np.zeros((2, 8, 60, 60), np.uint8), axes="tzyx")
    >>> describe_cubes(stack, np.array([2.9, 3.0, 3.3])).partition("cubes; ")[2]
    'cells are about 3 times as wide as high in voxels, so slices are probably farther apart than pixels, and links \
are worse: give --spacing Z,Y,X in um (in Python spacing=(z, y, x)); if cells are about as high as wide, \
--spacing 3,1,1 has the right proportions'
    """
    shape = tuple(frames.shape)
    if len(shape) != 3 or shape[0] < 2 or frames.unit != "pixel" or len(set(frames.spacing)) > 1:
        return None
    ratio = float(np.median(flatness)) if len(flatness) else 1.0
    guess = f"{ratio:.2g}"
    if ratio >= _FLAT:
        reason = f"cells are about {guess} times as wide as high in voxels, so slices are probably farther apart than "
        reason += f"pixels, and {result} are worse"
    elif shape[0] * _THIN < min(shape[1:]):
        reason = f"a frame is {count_noun(shape[0], 'slice')} of {shape[1]} x {shape[2]} pixels; if slices are farther "
        reason += f"apart than pixels, {result} are worse"
    else:
        return None
    message = f"the size of a voxel is not known, so voxels are taken as cubes; {reason}: give --spacing Z,Y,X in um "
    message += "(in Python spacing=(z, y, x))"
    if ratio >= _FLAT:
        message += f"; if cells are about as high as wide, --spacing {guess},1,1 has the right proportions"
    return message


def warn_of_cubes(frames: FrameStack, flatness: FloatArray, *, result: str = "links") -> None:
    """Log the message of `describe_cubes`, if there is one, as a warning that names the first file."""
    problem = describe_cubes(frames, flatness, result=result)
    if problem is not None:
        _log.warning("%s: %s", frames.names[0] if len(frames) else "the movie", problem)


def measure_flatness(cells: Cells) -> FloatArray:
    """Return the ratio of width to height, in voxels, of the cells that the first and the last slice do not cut.

    Parameters
    ----------
    cells : Cells
        Of a movie; empty in 2D. The width is the mean of the sides of the box along y and x.

    Returns
    -------
    (N,) float64
    """
    if cells.ndim < 3 or not len(cells):
        return np.zeros(0)
    sides = np.stack([cells.feature(f"box_{axis}").astype(np.float64) for axis in "zyx"], axis=1) / cells.spacing
    middle = cells.position[:, 0] / cells.spacing[0]
    whole = (middle > sides[:, 0] / 2) & (middle + sides[:, 0] / 2 < cells.shape[0] - 1)
    return _compute_ratios(sides[whole])


def measure_label_flatness(labels: Image) -> FloatArray:
    """Return the same for the cells of a label image ``([Z], Y, X)``.

    Examples
    --------
    >>> labels = np.zeros((8, 20, 20), np.uint8)
    >>> labels[2:4, 5:11, 5:11] = 3
    >>> measure_label_flatness(labels).tolist()
    [3.0]
    """
    from scipy import ndimage

    if labels.ndim < 3 or not labels.size:
        return np.zeros(0)
    if int(labels.max()) > 4 * labels.size:  # labels of another numbering
        labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
    boxes = [box for box in ndimage.find_objects(labels.astype(np.int64)) if box is not None]
    whole = [box for box in boxes if box[0].start > 0 and box[0].stop < len(labels)]
    return _compute_ratios(np.array([[side.stop - side.start for side in box] for box in whole], float).reshape(-1, 3))


def _compute_ratios(sides: FloatArray) -> FloatArray:
    ratios: FloatArray = sides[:, 1:].mean(axis=1) / sides[:, 0]
    return ratios
