"""The ways in which a position can be tracked: as asked, faster, and the first frames only.

A batch with a time budget goes from one to the next when a movie takes too long or fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from gnntrack.batch.positions import Position

__all__ = ["Way", "list_ways", "select_choices", "uses_points"]

_FAST = {"method": "hungarian", "segmenter": "threshold", "detector": "dog"}
"""Kind of choice -> the fast one."""
_AS_FAST = {"method": ("greedy", "iou"), "segmenter": (None,), "detector": (None,)}
"""Choices that are not replaced, since nothing is faster."""
_BELONGING = {
    "method": ("solver",),
    "segmenter": ("segmenter_options",),
    "detector": ("detector_options",),
}
"""Choices that belong to another one, and go with it."""
_TABLES = (".csv", ".parquet")


@dataclass(frozen=True)
class Way:
    """One way to track a position.

    Parameters
    ----------
    choices : mapping
        Keywords of `gnntrack.track`.
    replaced : strings
        Its differences from the way that was asked for, such as ``"hungarian in place of gnn"``.
    few : bool
        Whether it tracks only the first frames.
    """

    choices: Mapping[str, Any] = field(default_factory=dict)
    replaced: tuple[str, ...] = ()
    few: bool = False

    def describe(self, frames: int | None = None) -> str:
        """Return its differences from the way that was asked for, "" for this one.

        >>> Way(replaced=("dog in place of heatmap",), few=True).describe(7)
        'dog in place of heatmap, first 7 frames only'
        """
        first = [f"first {count_noun(frames, 'frame')} only"] if frames is not None else []
        return ", ".join([*self.replaced, *first])


def select_choices(choices: Mapping[str, Any], position: Position) -> dict[str, Any]:
    """Return the keywords of `gnntrack.track` for a position.

    One with masks needs no segmenter or detector, one with points no segmenter, and a detector only if that is asked
    for and there are images. Only a table of points has a unit of positions.
    """
    unused = ["segmenter"] if position.mask_place or position.points else []
    unused += ["detector"] if position.mask_place or not position.images else []
    has_detector = "detector" not in unused and choices.get("detector")
    unused += ["points_unit"] if position.points is None or has_detector else []
    return {name: value for name, value in choices.items() if not name.startswith(tuple(unused))}


def uses_points(choices: Mapping[str, Any], position: Position) -> bool:
    """Return whether the table of points of a position is tracked: if it has one, and no detector is chosen."""
    return position.points is not None and not select_choices(choices, position).get("detector")


def _replace(choices: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return choices with the fast one of a kind; of its options only the size of a cell is kept."""
    kept = {name: value for name, value in choices.items() if name not in _BELONGING[kind]} | {kind: _FAST[kind]}
    for name in _BELONGING[kind]:
        options = choices.get(name)
        if isinstance(options, Mapping) and "diameter" in options:
            kept[name] = {"diameter": options["diameter"]}
    return kept


def list_ways(choices: Mapping[str, Any], position: Position) -> list[Way]:
    """Return the ways to track a position, the best first.

    Parameters
    ----------
    choices : mapping
        Keywords of `gnntrack.track`, as asked.
    position : Position
        The movie. Only one without masks can be cut to its first frames.

    Examples
    --------
    >>> from pathlib import Path
    >>> from gnntrack.batch import Position
    >>> ways = list_ways({"method": "gnn", "detector": "heatmap"}, Position("a", images=Path("a.zarr")))
    >>> [way.few for way in ways], ways[0].describe(), ways[2].describe(9)
    ([False, False, True], '', 'hungarian in place of gnn, dog in place of heatmap, first 9 frames only')
    >>> [way.few for way in list_ways({"method": "hungarian"}, Position("a", masks=Path("a_masks.tif")))]
    [False]
    """
    asked = select_choices(choices, position)
    fast, replaced = dict(asked), []
    for kind, quick in _FAST.items():
        chosen = asked.get(kind)
        if kind in asked and chosen not in (quick, *_AS_FAST[kind]):
            fast = _replace(fast, kind)
            replaced.append(f"{quick} in place of {chosen if isinstance(chosen, str) else type(chosen).__name__}")
    ways = [Way(asked)]
    if replaced:
        ways.append(Way(fast, tuple(replaced)))
    if position.mask_place is None and (position.points is None or position.points.suffix.lower() in _TABLES):
        ways.append(Way(fast, tuple(replaced), few=True))
    return ways
