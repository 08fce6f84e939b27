"""Reliability diagram: fraction of links that are right, against their predicted probability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["draw_reliability"]

_COLOURS = ("#1f6f8b", "#d1495b", "#8a6d1f")


def draw_reliability(calibration: Mapping[str, Any]) -> Figure:
    """Draw a reliability diagram (Guo et al., On Calibration of Modern Neural Networks, ICML 2017, fig. 1).

    Parameters
    ----------
    calibration : dict
        From `gnntrack.training.calibration`: per bin the mean predicted probability ``said``, the fraction ``right``
        and the number of links ``count``, and ``ece``, the expected calibration error. Or up to three of them by the
        names of what they rate, such as ``{"links": ..., "divisions": ...}``; the first is drawn below, too.

    Returns
    -------
    Figure
        The diagram above, and the number of links per bin below.

    Examples
    --------
    >>> calibration = {"said": [0.2, 0.9], "right": [0.25, 0.88], "count": [40, 200], "ece": 0.025}
    >>> len(draw_reliability(calibration).axes), len(draw_reliability({"links": calibration}).axes)
    (2, 2)
    """
    kinds = {"links": calibration} if "said" in calibration else dict(calibration)
    figure = Figure(figsize=(4.2, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    above.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
    for (name, each), colour in zip(kinds.items(), _COLOURS, strict=False):
        said, right, count = (np.asarray(each[column], float) for column in ("said", "right", "count"))
        used = count > 0
        label = f"{name}, calibration error {each['ece']:.4f}"
        above.plot(said[used], right[used], "o-", color=colour, markersize=5, label=label)
    first, each = next(iter(kinds.items()))
    if len(kinds) == 1:
        above.set_title(f"expected calibration error {each['ece']:.4f}", loc="left", fontsize=10)
    else:
        above.legend(fontsize=8, frameon=False)
    above.set_ylabel(f"{first if len(kinds) == 1 else 'fraction'} that are right")
    count = np.asarray(each["count"], float)
    below.bar((np.arange(len(count)) + 0.5) / len(count), np.maximum(count, 0.5), 0.9 / len(count), color="#888888")
    below.set_yscale("log")
    below.set_xlabel("predicted probability")
    below.set_ylabel(first)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(0, 1)
    return figure
