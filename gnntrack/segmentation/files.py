"""Files beside the masks of a segmented movie, in the folder ``gnntrack``: ``summary.json`` and ``overlay.png``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from gnntrack import __version__
from gnntrack.errors import FrameError
from gnntrack.io.result_folders import EXTRAS
from gnntrack.io.stack import get_interval
from gnntrack.report.quick import paint_overlay, save_picture
from gnntrack.segmentation.protocol import get_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.segmentation.protocol import Segmenter
    from gnntrack.segmentation.statistics import MovieStatistics
    from gnntrack.types import FrameStack

__all__ = ["draw_masks", "write_summary"]


def write_summary(
    folder: Path,
    statistics: MovieStatistics,
    *,
    images: FrameStack,
    source: object,
    segmenter: Segmenter,
    seconds: float,
    warnings: Sequence[str],
) -> None:
    """Write ``gnntrack/summary.json`` into a folder of masks.

    Parameters
    ----------
    folder : Path
        The folder of the masks.
    statistics : MovieStatistics
        Of all frames.
    images : FrameStack
        The movie that was segmented.
    source : object
        The images as they were given; a path is recorded, and of anything else its type.
    segmenter : Segmenter
        The segmenter that made the masks.
    seconds : float
        Time of the run.
    warnings : strings
        Warnings of the run.
    """
    content: dict[str, Any] = {
        "gnntrack": __version__,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "input": {"images": str(source) if isinstance(source, str | Path) else type(source).__name__},
        "movie": {
            "frames": len(images),
            "shape": list(images.shape),
            "spacing": list(images.spacing),
            "unit": images.unit,
            "interval_s": get_interval(images),
        },
        "counts": {"cells": statistics.cells},
        "segmenter": get_name(segmenter),
        "estimates": {"diameter": statistics.estimated_diameter, "model": statistics.guessed_model},
        "warnings": list(dict.fromkeys(warnings)),
    }
    extras = folder / EXTRAS
    extras.mkdir(exist_ok=True)
    (extras / "summary.json").write_text(json.dumps(content, indent=2), encoding="utf-8")


def draw_masks(folder: Path, statistics: MovieStatistics, images: FrameStack) -> None:
    """Draw ``gnntrack/overlay.png``: the cells of the frame whose number of cells is the most typical one.

    Parameters
    ----------
    folder : Path
        The folder of the masks, which holds a file per frame.
    statistics : MovieStatistics
        Of all frames.
    images : FrameStack
        The movie that was segmented.
    """
    count = {frame: each.cells for frame, each in statistics.frames.items()}
    if not count:
        return
    typical = float(np.median(list(count.values())))
    frame = min(count, key=lambda each: (abs(count[each] - typical), abs(each - len(count) / 2)))
    labels = tifffile.imread(sorted(folder.glob("mask*.tif"), key=lambda path: int(path.stem[4:]))[frame])
    image: Any
    try:
        image = np.asarray(images[frame])
    except FrameError:  # of a run that is continued: its mask is there, and its image is not any more
        image = None
    spacing = images.spacing if images.unit == "um" else None
    (folder / EXTRAS).mkdir(exist_ok=True)
    save_picture(paint_overlay(image, labels, None, frame, spacing=spacing), folder / EXTRAS / "overlay.png")
