"""Files beside the masks of a segmented movie, in the folder ``gnntrack``: ``summary.json``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnntrack import __version__
from gnntrack.io.result_folders import EXTRAS
from gnntrack.segmentation.protocol import get_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.segmentation.protocol import Segmenter
    from gnntrack.segmentation.statistics import MovieStatistics
    from gnntrack.types import FrameStack

__all__ = ["write_summary"]


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
        "movie": {"frames": len(images), "shape": list(images.shape)},
        "counts": {"cells": statistics.cells},
        "segmenter": get_name(segmenter),
        "estimates": {"diameter": statistics.estimated_diameter},
        "warnings": list(dict.fromkeys(warnings)),
    }
    extras = folder / EXTRAS
    extras.mkdir(exist_ok=True)
    (extras / "summary.json").write_text(json.dumps(content, indent=2), encoding="utf-8")
