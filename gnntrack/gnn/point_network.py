"""The network for points: `LinkNet` on the columns of motion that `make_point_inputs` computes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import InputError
from gnntrack.gnn.linknet import LinkNet
from gnntrack.gnn.point_inputs import GROUPS, POINT_CELL_INPUTS, POINT_LINK_INPUTS, POINT_PAIR_INPUTS, make_point_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gnntrack.gnn.inputs import Inputs
    from gnntrack.settings import Settings
    from gnntrack.types import CellGraph, FeatureArray, LinkScores

__all__ = ["PointNetwork"]

_DEFAULTS: dict[str, Any] = {
    "train__width": 24,
    "train__rounds": 2,
    "train__steps": 600,
    "train__variants": 3,
    "graph__max_gap": 4,
}
"""Settings of its training that differ from those of masks."""


class PointNetwork(LinkNet):
    """Scores the links of points by their motion, and by radius and brightness where these are known.

    Shapes: `Batch` -> `Outputs`.

    Parameters
    ----------
    width, rounds, heads, dropout, embedding, columns
        As of `LinkNet`.
    """

    kind = "points"
    of_points = True
    groups = GROUPS
    cell_inputs = POINT_CELL_INPUTS
    link_inputs = POINT_LINK_INPUTS
    pair_inputs = POINT_PAIR_INPUTS

    def __init__(
        self,
        *,
        width: int = 24,
        rounds: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
        embedding: int = 0,
        columns: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(width=width, rounds=rounds, heads=heads, dropout=dropout, embedding=embedding, columns=columns)

    @staticmethod
    def inputs_of(graph: CellGraph, prior: LinkScores, *, embedding: FeatureArray | None = None) -> Inputs:
        """Return the arrays of a graph that the network reads, see `make_point_inputs`."""
        inputs = make_point_inputs(graph, prior)
        return inputs if embedding is None else replace(inputs, cell=np.hstack([inputs.cell, embedding]))

    @classmethod
    def settings_for(cls, settings: Settings) -> Settings:
        """Return the settings in which those that are not given have the defaults for points.

        Raises
        ------
        InputError
            If they ask for the appearance of cells.
        """
        if settings.train.appearance:
            msg = "train.appearance needs masks and images; set it to false, or train a network of masks"
            raise InputError(msg)
        changes = {}
        for name, value in _DEFAULTS.items():
            section, key = name.split("__")
            if key not in getattr(settings, section).given:
                changes[name] = value
        return settings.replace(**changes) if changes else settings
