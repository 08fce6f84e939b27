"""Faults in the choices of a batch, with which every position would fail: found before the first one is tracked.

With a time budget, a position that fails gets a fall-back; a mistyped model must not become the fall-back of all.
"""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any

from gnntrack.batch.ways import select_choices, uses_points
from gnntrack.errors import GnntrackError, InputError
from gnntrack.io.points import check_reading, read_points
from gnntrack.methods import resolve_method
from gnntrack.options import list_options, resolve_options
from gnntrack.pixel_sizes import expand_spacing
from gnntrack.segmentation.detection import load_detector
from gnntrack.segmentation.diameter import parse_diameter
from gnntrack.segmentation.registry import expect_diameter, load_segmenter
from gnntrack.user_warnings import record_warnings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gnntrack.batch.positions import Position
    from gnntrack.batch.tracking import BatchWork
    from gnntrack.settings import Settings

__all__ = ["check_choices", "find_fault", "is_slow_to_check"]

_OF_MASKS = "overlap"  # scorer


def is_slow_to_check(choices: Mapping[str, Any]) -> bool:
    """Return whether a check of these choices may load a network.

    >>> is_slow_to_check({"method": "hungarian"}), is_slow_to_check({"method": "gnn"})
    (False, True)
    """
    plan = resolve_method(choices.get("method", "hungarian"), choices.get("solver"))
    return plan.reads("gnn") or bool(choices.get("segmenter") or choices.get("detector"))


def find_fault(work: BatchWork, positions: Sequence[Position]) -> GnntrackError | None:
    """Return the error of `check_choices`, None if there is none."""
    try:
        check_choices(work.choices, positions, settings=work.settings)
    except GnntrackError as error:
        return error
    return None


def check_choices(choices: Mapping[str, Any], positions: Sequence[Position], *, settings: Settings) -> None:
    """Make everything that tracking needs besides movies: the scorer with its model, the segmenter, the detector.

    Parameters
    ----------
    choices : mapping
        Keywords of `gnntrack.track`.
    positions : sequence of Position
        A segmenter or detector that none of them needs is not made.
    settings : Settings
        Of the batch.

    Raises
    ------
    GnntrackError
        If a keyword is unknown or its value refused, a model cannot be used, an option of a plug-in is refused, the
        method compares masks and there are only points, or the spacing has not the axes of any table of points.

    Examples
    --------
    >>> from gnntrack.settings import Settings
    >>> check_choices({"max_gab": 3}, [], settings=Settings())
    Traceback (most recent call last):
    gnntrack.errors.OptionError: track_positions() has no option 'max_gab'; did you mean 'max_gap'?
    """
    settings = _read_keywords(choices, settings)
    _check_method(choices, positions, settings)
    _check_spacing(choices, positions, settings)
    for kind, load in (("segmenter", load_segmenter), ("detector", load_detector)):
        name = choices.get(kind)
        if isinstance(name, str) and any(_needs(kind, choices, each) for each in positions):
            load(name, **_read_options(kind, name, choices.get(f"{kind}_options") or {}))


def _check_method(choices: Mapping[str, Any], positions: Sequence[Position], settings: Settings) -> None:
    """Make the scorer of the method; raise if it compares masks, and all positions are points."""
    masks = [each for each in positions if not (uses_points(choices, each) or _needs("detector", choices, each))]
    plan = resolve_method(choices.get("method", "hungarian"), choices.get("solver"))
    if plan.scorer == _OF_MASKS and positions and not masks:
        msg = "the method 'iou' compares masks, and all positions are points; choose another one: --method hungarian"
        raise InputError(msg)
    plan.make_scorer(settings, images=any(each.images is not None for each in masks))


def _check_spacing(choices: Mapping[str, Any], positions: Sequence[Position], settings: Settings) -> None:
    """Raise if the sizes of a voxel along y and x are given and all tables of points are 3D; no other sizes misfit."""
    given = settings.frames.spacing
    if given is None or len(given) != 2:
        return
    misfit = ""
    for position in positions:
        if not uses_points(choices, position):
            return
        ndim = _count_axes(position, settings, choices.get("points_unit"))
        if ndim == 2:
            return
        misfit = misfit or (str(position.points) if ndim == 3 else "")
    if misfit:
        expand_spacing(given, 3, misfit)


def _count_axes(position: Position, settings: Settings, unit: Any) -> int | None:
    """Return the number of axes of a table of points, None if it cannot be read, which is no fault of the others."""
    with warnings.catch_warnings(action="ignore"), record_warnings():
        try:
            points = read_points(str(position.points), settings=settings.frames.replace(spacing=None), unit=unit)
        except (GnntrackError, OSError):
            return None
    return int(points.position.shape[1])


def _read_options(kind: str, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a plug-in with the diameter as a number, whatever its unit."""
    if "diameter" not in options:
        return dict(options)
    if kind == "segmenter":
        expect_diameter(name)
    return {**options, "diameter": parse_diameter(options["diameter"])[0]}


def _read_keywords(choices: Mapping[str, Any], settings: Settings) -> Settings:
    """Return the settings with those that are given as keywords; an unknown keyword raises an error."""
    from gnntrack.pipeline import TRACKING, track

    options = list_options(TRACKING)
    own = [name for name in inspect.signature(track).parameters if name not in options]
    check_reading(choices.get("points_unit"), choices.get("radius"))
    given = {name: value for name, value in choices.items() if name not in own}
    return resolve_options(settings, given, options, recipe="track_positions", own=own)


def _needs(kind: str, choices: Mapping[str, Any], position: Position) -> bool:
    return bool(select_choices(choices, position).get(kind))
