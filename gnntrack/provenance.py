"""Provenance: how a graph or a lineage was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gnntrack.errors import FormatError

__all__ = ["Provenance"]


@dataclass(frozen=True)
class Provenance:
    """Estimates, settings and repairs behind a graph or a lineage; None if the stage has not run.

    Parameters
    ----------
    gate : float, optional
        Largest distance of a candidate link per frame, in the unit of the cells.
    gate_radii : float, optional
        The same in median cell radii.
    flow : str, optional
        Source of the motion estimate of most cells: ``"images"``, ``"cells"`` or ``"none"``.
    flow_by_images : float, optional
        Fraction of the cells whose motion is estimated from images, where the masks confirm it; None without images.
    stack : mapping
        Motion of the whole stack of points, as of `gnntrack.types.StackMotion.as_dict`: its place in each frame, frames
        that are copies of the frame before, and jumps.
    masks : mapping
        Report of `gnntrack.measure.measure_cells`, plain JSON values: number of cells, disconnected, split and dropped
        labels, pixels that are not finite.
    cell_settings : mapping
        The settings ``cells`` by which the masks were read.
    interval : float, optional
        Seconds from a frame to the next; None if it is not known.
    method, solver : str, optional
        Names of the method and of the solver.
    scored_by, scoring_reason : str, optional
        Of the methods ``gnn`` and ``auto``: ``"network"`` or ``"classical"``, the scores that were used, and why.
    optimality_gap : float, optional
        Proven bound: the total value of the links that the solver chose is below the best one by at most this fraction.
        None if it is not known: for a solver with an objective of its own, and after edits.
    time_limit_reached : bool, optional
        Whether the time limit ended the search.
    gaps_bridged : int, optional
        Chosen links that skip frames.
    masks_cut : tuple of (frame, label of the mask, label of the new cell), optional
        Cells that were cut off masks that hold several (`gnntrack.measure.merged_masks`).
    pieces_joined : tuple of (frame, label of the fragment, label of the cell), optional
        Over-segmented fragments that were joined to their cells.
    outside_field : tuple of (frame, label), optional
        Cells that were removed because they lie outside the field of interest.
    short_removed : tuple of (frame, label), optional
        Cells that were removed because their family is shorter than ``repair.min_track_length``.
    debris_dropped : tuple of (frame, label), optional
        Cells that were dropped because the masks of their family are, in the mean, below ``repair.debris_size``.
    spurious_dropped : tuple of (frame, label, percent), optional
        Cells that were dropped because they are spurious with this probability (``repair.drop_spurious``).
    removed_by_edits : tuple of (frame, label), optional
        Masks that are not cells, as an edit states (`gnntrack.apply_edits`).
    gaps_filled : int, optional
        Masks that were drawn in gaps.
    masks_split : int, optional
        Masks that were divided between two cells.
    points_interpolated : int, optional
        Points that were added in gaps.
    short_dropped : int, optional
        Families that were dropped because they are shorter than ``repair.min_length``.
    smoothed : int, optional
        Frames over which positions were smoothed.
    other : mapping
        Notes under other keys, as plain JSON values: those of other programs, or of other versions.

    Examples
    --------
    >>> provenance = Provenance(gate=12.5, gate_radii=2.5, flow="none").replace(solver="greedy")
    >>> provenance.as_dict()
    {'gate': 12.5, 'gate_radii': 2.5, 'flow': 'none', 'solver': 'greedy'}
    >>> Provenance.from_dict(provenance.as_dict()) == provenance
    True
    """

    gate: float | None = None
    gate_radii: float | None = None
    flow: str | None = None
    flow_by_images: float | None = None
    stack: Mapping[str, Any] = field(default_factory=dict)
    masks: Mapping[str, Any] = field(default_factory=dict)
    cell_settings: Mapping[str, Any] = field(default_factory=dict)
    interval: float | None = None
    method: str | None = None
    solver: str | None = None
    scored_by: str | None = None
    scoring_reason: str | None = None
    optimality_gap: float | None = None
    time_limit_reached: bool | None = None
    gaps_bridged: int | None = None
    masks_cut: tuple[tuple[int, int, int], ...] | None = None
    pieces_joined: tuple[tuple[int, int, int], ...] | None = None
    outside_field: tuple[tuple[int, int], ...] | None = None
    short_removed: tuple[tuple[int, int], ...] | None = None
    debris_dropped: tuple[tuple[int, int], ...] | None = None
    spurious_dropped: tuple[tuple[int, int, int], ...] | None = None
    removed_by_edits: tuple[tuple[int, int], ...] | None = None
    gaps_filled: int | None = None
    masks_split: int | None = None
    points_interpolated: int | None = None
    short_dropped: int | None = None
    smoothed: int | None = None
    other: Mapping[str, Any] = field(default_factory=dict)

    @property
    def repaired(self) -> bool:
        """Whether the gaps of the lineage have been filled, as far as that is possible."""
        return self.gaps_filled is not None

    @property
    def dropped_cells(self) -> int:
        """Number of cells that were dropped because they are smaller than ``cells.min_size``."""
        count: int = self.masks.get("dropped", {}).get("count", 0)
        return count

    def replace(self, **changes: Any) -> Provenance:
        """Return the same provenance with some fields changed."""
        return replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields that are known under the keys by which files store them, as plain JSON values."""
        values = {stored: getattr(self, name) for name, stored in _STORED.items()}
        values["settings"] = {"cells": dict(self.cell_settings)} if self.cell_settings else None
        values |= {name: _list_rows(getattr(self, name)) for name in _ROWS}
        values["masks"], values["stack"] = dict(self.masks) or None, dict(self.stack) or None
        # the gate of a movie without cells has no size in cell radii, but it is stored
        known = {k: v for k, v in values.items() if v is not None or (k == "gate_radii" and self.gate is not None)}
        return known | dict(self.other)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Provenance:
        """Return the provenance that a file stores; unknown keys go to `other`.

        Raises
        ------
        FormatError
            If a value is not of the kind that gnntrack stores.
        """
        for name, key in _STORED.items():
            _check_value(key, stored.get(key), str(cls.__dataclass_fields__[name].type))
        values: dict[str, Any] = {name: stored.get(key) for name, key in _STORED.items()}
        values["masks"], values["stack"] = stored.get("masks") or {}, stored.get("stack") or {}
        values["cell_settings"] = (stored.get("settings") or {}).get("cells") or {}
        for name in _ROWS:
            rows = stored.get(name)
            values[name] = None if rows is None else tuple(tuple(row) for row in rows)
        other = {key: value for key, value in stored.items() if key not in _STORED.values()}
        return cls(**values, other=other)


_KINDS: dict[str, tuple[str, Any]] = {
    "float": ("a number", int | float),
    "int": ("a whole number", int),
    "str": ("text", str),
    "bool": ("true or false", bool),
    "Mapping": ("an object", Mapping),
    "tuple": ("a list", list | tuple),
}  # by the type of a field

_ROWS = (
    "masks_cut",
    "pieces_joined",
    "outside_field",
    "short_removed",
    "debris_dropped",
    "spurious_dropped",
    "removed_by_edits",
)  # fields that are lists of cells
# field -> key in files
_STORED = {name: name for name in Provenance.__dataclass_fields__ if name != "other"}
_STORED |= {"cell_settings": "settings", "masks_split": "masks_parted"}


def _check_value(key: str, value: Any, annotation: str) -> None:
    """Raise if a stored value is not of the kind of its field."""
    if value is None:
        return
    kind = annotation.split("[")[0].split(" ")[0]
    expected, types = _KINDS[kind]
    fits = isinstance(value, types) and (kind == "bool" or not isinstance(value, bool))
    if fits and kind == "tuple":
        expected = "lists of whole numbers"
        fits = all(isinstance(row, list | tuple) and all(type(number) is int for number in row) for row in value)
    if not fits:
        msg = f"the note '{key}' is {str(value)[:60]}; expected {expected}"
        raise FormatError(msg)


def _list_rows(rows: tuple[tuple[int, ...], ...] | None) -> list[list[int]] | None:
    return None if rows is None else [list(row) for row in rows]
