"""Figures of a lineage, its tree and frames with the tracks over the image; of a training, its curve and reliability.

The first two give a family (a track and all its descendants) the same colour. The figures are made with
matplotlib's objects, never with pyplot, so that no window, backend or global figure is touched.
"""

from __future__ import annotations

from gnntrack.report.curve import draw_learning_curve
from gnntrack.report.overlay import draw_overlay
from gnntrack.report.palette import family_colours
from gnntrack.report.reliability import draw_reliability
from gnntrack.report.tree import draw_lineage_tree

__all__ = [
    "draw_learning_curve",
    "draw_lineage_tree",
    "draw_overlay",
    "draw_reliability",
    "family_colours",
]
