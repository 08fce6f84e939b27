"""How often links are right, against how likely they are said to be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from gnntrack.report.saving import save_figure

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["draw_reliability"]


def draw_reliability(calibration: Mapping[str, Any], path: str | Path) -> None:
    """Draw a reliability diagram (Guo et al., On Calibration of Modern Neural Networks, ICML 2017, fig. 1).

    Parameters
    ----------
    calibration : dict
        ``said``, ``right`` and ``count`` per bin, and ``ece``, the expected calibration error.
    path : path
        The file to write.

    Raises
    ------
    OutputError
        If the file cannot be written, or its suffix is unknown.
    """
    said, right, count = (np.asarray(calibration[name], float) for name in ("said", "right", "count"))
    figure = Figure(figsize=(4.2, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    above.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
    there = count > 0
    above.plot(said[there], right[there], "o-", color="#1f6f8b", markersize=5)
    above.set_ylabel("links that are right")
    above.set_title(f"expected calibration error {calibration['ece']:.4f}", loc="left", fontsize=10)
    below.bar((np.arange(len(count)) + 0.5) / len(count), np.maximum(count, 0.5), 0.9 / len(count), color="#888888")
    below.set_yscale("log")
    below.set_xlabel("said to be right (probability)")
    below.set_ylabel("links")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(0, 1)
    save_figure(figure, path)
