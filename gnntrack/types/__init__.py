"""The tables that travel between the stages: frozen, validated arrays, and nothing else.

``Cells`` and ``Runs`` hold the cells and their pixels, ``CellGraph`` the candidate links, ``LinkScores`` their scores,
``Tracks`` and ``Lineage`` the result, with ``Track`` and ``Division`` as views of it. ``PointGraph`` is a lineage of
points, such as a ground truth without masks. `Provenance` records how a graph or lineage was made; `FrameStack` and
`Progress` are protocols.

Axis order is ``t, [z], y, x`` everywhere. Positions and distances are in ``unit`` (micrometres once
the voxel size is known, else pixels). A cell is identified by its key (frame, label), which also identifies its pixels
in the masks; inside a table cells are rows, and links refer to rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gnntrack.protocols import FrameStack, Progress
from gnntrack.provenance import Provenance
from gnntrack.types.detections import Points
from gnntrack.types.fusions import Fusions
from gnntrack.types.lineage import Lineage, Tracks
from gnntrack.types.origins import MASK_KINDS, MaskOrigins
from gnntrack.types.point_graph import PointGraph
from gnntrack.types.points import PointSet
from gnntrack.types.stack_motion import StackMotion
from gnntrack.types.tables import CellGraph, Cells, LinkScores, Runs, invert_log_odds, log_odds
from gnntrack.types.track import Division, Track
from gnntrack.types.units import Units

if TYPE_CHECKING:
    from gnntrack.types.columns import BoolArray as BoolArray
    from gnntrack.types.columns import FeatureArray as FeatureArray
    from gnntrack.types.columns import FloatArray as FloatArray
    from gnntrack.types.columns import Image as Image
    from gnntrack.types.columns import IntArray as IntArray

__all__ = [
    "MASK_KINDS",
    "CellGraph",
    "Cells",
    "Division",
    "FrameStack",
    "Fusions",
    "Lineage",
    "LinkScores",
    "MaskOrigins",
    "PointGraph",
    "PointSet",
    "Points",
    "Progress",
    "Provenance",
    "Runs",
    "StackMotion",
    "Track",
    "Tracks",
    "Units",
    "invert_log_odds",
    "log_odds",
]
