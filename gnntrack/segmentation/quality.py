"""Signs in the masks of a segmenter that its result is poor: each is a sentence with the numbers and a remedy.

The limits lie between the masks of real movies that a segmenter is suited for, and those that it is not suited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.plurals import choose_form, count_noun
from gnntrack.segmentation.statistics import get_border_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.segmentation.statistics import MovieStatistics

__all__ = ["list_problems"]

_TINY, _MANY = 6.0, 20  # pixels, cells in a frame
_SIZE_RATIO = 2.0  # of the sizes found and estimated
_LARGE = 0.4  # fraction of a frame
_SATURATED = 0.03  # fraction of the pixels
_FEWEST_FRAMES, _FEWEST_CELLS = 4, 50  # for flicker
_FLICKER, _FLICKER_OF_FEW = 0.07, 0.15  # in 8 or more frames, and in fewer
_STRIP, _STRIP_RATIO, _STRIP_CELLS = 0.35, 3.0, 20  # fraction of the cells, ratio to that of the area, cells


def list_problems(statistics: MovieStatistics, *, steadiness: bool = True) -> list[str]:
    """Return warnings about masks that a segmenter has made.

    Parameters
    ----------
    statistics : MovieStatistics
        Of the frames of a movie.
    steadiness : bool
        Whether numbers of cells that flicker are reported, too; the tracks of a movie show them better.

    Examples
    --------
    >>> from gnntrack.segmentation.statistics import MovieStatistics
    >>> class Segmenter:
    ...     name = "threshold"
    >>> statistics = MovieStatistics(Segmenter())
    >>> statistics.add_frame(0, np.zeros((40, 40), np.int32))
    >>> list_problems(statistics)[0].partition(";")[0]
    'no cells are found in the only frame'
    """
    checks = [_check_images, _check_saturation, _check_empty, _check_tiny, _check_estimate, _check_large, _check_border]
    if steadiness:
        checks.append(_check_flicker)
    return [problem for check in checks if (problem := check(statistics))]


def _advise(statistics: MovieStatistics, *, dark: bool = False, diameter: float = 30) -> str:
    """Return the options to try."""
    other = {"unet": "threshold", "slices": "threshold"}.get(statistics.segmenter, "unet")
    if len(statistics.shape) == 3 and other == "unet":
        other = "slices"  # the shipped model is for images
    options, python = [f"--segmenter {other}"], [f"segmenter='{other}'"]
    if statistics.takes_diameter:
        options.insert(0, f"--diameter {diameter:.0f} (the true size in pixels)")
        python.insert(0, f"the segmenter's option diameter={diameter:.0f}")
    if statistics.guessed_model is not None:
        options.insert(0, f"--kind (the model for {statistics.guessed_model} is a guess)")
        python.insert(0, "the segmenter's option kind")
    if dark and statistics.segmenter == "threshold":
        options.append("--option foreground=dark for dark cells")
    start = f"{', '.join(options[:-1])} or " if len(options) > 1 else ""
    return f"try {start}{options[-1]} (in Python {', '.join(python)})"


def _find_frames(statistics: MovieStatistics, wanted: Sequence[int]) -> str:
    """Return some frames in words: ``in 2 of 9 frames (3, 4)``."""
    total = len(statistics.frames)
    if len(wanted) == total:
        return "in the only frame" if total == 1 else f"in any of {total} frames"
    shown = ", ".join(map(str, wanted[:3])) + (", ..." if len(wanted) > 3 else "")
    return f"in {len(wanted)} of {count_noun(total, 'frame')} ({shown})"


def _check_images(statistics: MovieStatistics) -> str:
    flat = [frame for frame, each in sorted(statistics.frames.items()) if each.constant]
    if not flat:
        return ""
    verb = choose_form(len(flat), "has", "have")
    total = len(statistics.frames)
    shown = ", ".join(map(str, flat[:3])) + (", ..." if len(flat) > 3 else "")
    return (
        f"{len(flat)} of {count_noun(total, 'frame')} ({shown}) {verb} a single grey value and no cells; check the "
        "channel (--channel, in Python channel=), or remove these frames"
    )


def _check_saturation(statistics: MovieStatistics) -> str:
    frames = [each.saturated for each in statistics.frames.values() if each.saturated > _SATURATED]
    if not frames or len(frames) < len(statistics.frames) / 10:
        return ""
    return (
        f"{np.median(frames):.0%} of the pixels are saturated in {len(frames)} of "
        f"{count_noun(len(statistics.frames), 'frame')}: they have the largest value of the camera".replace("%", " %")
        + ", so that touching bright cells have no seam; record or convert the images with less gain"
    )


def _check_empty(statistics: MovieStatistics) -> str:
    empty = [frame for frame, each in sorted(statistics.frames.items()) if not each.cells and not each.constant]
    if not empty:
        return ""
    estimate = ""
    if statistics.estimated_diameter is not None:
        estimate = f", with cells of {statistics.estimated_diameter:.0f} pixels as estimated"
    where = _find_frames(statistics, empty)
    return f"no cells are found {where}{estimate}; {_advise(statistics, dark=len(empty) == len(statistics.frames))}"


def _check_tiny(statistics: MovieStatistics) -> str:
    diameter, count = _take_median(statistics, "diameter"), _take_median(statistics, "cells")
    if not 0 < diameter <= _TINY or count < _MANY:
        return ""
    return (
        f"{count_noun(statistics.cells, 'cell')} are found, {count:.0f} in a frame, with a median diameter of only "
        f"{diameter:.1f} pixels: if your cells are larger, these are noise; {_advise(statistics)}"
    )


def _check_estimate(statistics: MovieStatistics) -> str:
    found, estimate = _take_median(statistics, "weighted_diameter"), statistics.estimated_diameter
    if not found or estimate is None or 1 / _SIZE_RATIO < found / estimate < _SIZE_RATIO:
        return ""
    return (
        f"the cells found have a diameter of {found:.0f} pixels, but {estimate:.0f} pixels were estimated: one of the "
        f"two is wrong; {_advise(statistics, diameter=found)}"
    )


def _check_large(statistics: MovieStatistics) -> str:
    largest, count = _take_median(statistics, "largest"), _take_median(statistics, "cells")
    if largest <= _LARGE:
        return ""
    return (
        f"the largest cell covers {largest:.0%} of the frame, of {count_noun(round(count), 'cell')}: it is probably "
        "the background".replace("%", " %")
        + f"; {_advise(statistics, dark=True)}"
    )


def _check_border(statistics: MovieStatistics) -> str:
    if not statistics.cells or len(statistics.shape) < 2:
        return ""
    width, (height, breadth) = get_border_width(statistics.shape), statistics.shape[-2:]
    area = 1 - max(height - 2 * width, 0) * max(breadth - 2 * width, 0) / (height * breadth)
    in_strip = sum(each.at_border for each in statistics.frames.values())
    fraction = in_strip / statistics.cells
    if in_strip < _STRIP_CELLS or fraction < max(_STRIP, _STRIP_RATIO * area):
        return ""
    return (
        f"{fraction:.0%} of the cells lie in a strip of {width} pixels along the border, which is {area:.0%} of the "
        "frame".replace("%", " %")
        + f": crop the images, track with --margin {width} (in Python margin={width}), or "
        f"{_advise(statistics)}"
    )


def _check_flicker(statistics: MovieStatistics) -> str:
    count = np.array([each.cells for _, each in sorted(statistics.frames.items())], np.float64)
    if len(count) < _FEWEST_FRAMES or count.sum() < _FEWEST_CELLS:
        return ""
    flicker = float(np.abs(count[1:-1] - (count[:-2] + count[2:]) / 2).mean() / count.mean())
    if flicker <= (_FLICKER if len(count) >= 2 * _FEWEST_FRAMES else _FLICKER_OF_FEW):
        return ""
    return (
        f"the number of cells flickers between {count.min():.0f} and {count.max():.0f}: {flicker:.0%} of them appear "
        f"or vanish from frame to frame (usual: less than {_FLICKER:.0%})".replace("%", " %")
        + f"; {_advise(statistics)}"
    )


def _take_median(statistics: MovieStatistics, name: str) -> float:
    """Return the median of a figure over the frames with cells, 0 without such frames."""
    values = [getattr(each, name) for each in statistics.frames.values() if each.cells]
    return float(np.median(values)) if values else 0.0
