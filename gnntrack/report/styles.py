"""Styles of the video, tree and kymograph of a result: which cells they show, in which colours and sizes."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypedDict, TypeVar

import numpy as np

from gnntrack.errors import InputError, OptionError
from gnntrack.plurals import count_noun
from gnntrack.report.cell_colours import COLOURINGS

__all__ = [
    "KymographChoices",
    "KymographStyle",
    "MontageChoices",
    "MontageStyle",
    "Style",
    "TreeChoices",
    "TreeStyle",
    "VideoChoices",
    "VideoStyle",
    "resolve_range",
]

_S = TypeVar("_S", bound="Style")


class Choices(TypedDict, total=False):
    """Keywords of each figure; see `Style`."""

    tracks: Sequence[int] | None
    families: Sequence[int] | None
    colour_by: str


class VideoChoices(Choices, total=False):
    """Keywords of `gnntrack.write_video`; see `VideoStyle`."""

    frames: tuple[int, int] | None
    fps: float
    size: int | None
    tails: int
    ids: bool
    crop: bool


class MontageChoices(Choices, total=False):
    """Keywords of `gnntrack.write_montage`; see `MontageStyle`."""

    frames: tuple[int, int] | None
    panels: int
    tails: int
    ids: bool
    crop: bool
    width: float
    dpi: float | None


class TreeChoices(Choices, total=False):
    """Keywords of `gnntrack.write_tree`; see `TreeStyle`."""

    most: int
    size: tuple[float, float] | None
    dpi: float | None


class KymographChoices(Choices, total=False):
    """Keywords of `gnntrack.write_kymograph`; see `KymographStyle`."""

    frames: tuple[int, int] | None
    along: str | Sequence[float]
    width: float
    projection: str
    size: tuple[float, float] | None
    dpi: float | None


@dataclass(frozen=True, kw_only=True)
class Style:
    """Which cells a figure shows, and in which colours.

    Parameters
    ----------
    tracks : sequence of int, optional
        Tracks that are shown; default all.
    families : sequence of int, optional
        Tracks whose families are shown, with all ancestors and descendants.
    colour_by : {"family", "track", "generation", "confidence"}
        See `gnntrack.report.choose_cell_colours`.

    Raises
    ------
    InputError
        If a value is not one of those.
    """

    tracks: Sequence[int] | None = None
    families: Sequence[int] | None = None
    colour_by: str = "family"

    def __post_init__(self) -> None:
        if self.colour_by not in COLOURINGS:
            msg = f"colour_by={self.colour_by!r}: expected one of {', '.join(COLOURINGS)}"
            raise InputError(msg)

    @classmethod
    def from_choices(cls: type[_S], choices: Any, *, recipe: str) -> _S:
        """Return the style with some keywords of a recipe.

        Raises
        ------
        OptionError
            If a keyword is unknown.

        Examples
        --------
        >>> VideoStyle.from_choices({"fsp": 5}, recipe="write_video")
        Traceback (most recent call last):
        gnntrack.errors.OptionError: write_video() has no option 'fsp'; did you mean 'fps'?
        """
        known = [each.name for each in fields(cls)]
        for name in choices:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                advice = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
                msg = f"{recipe}() has no option {name!r}; {advice}"
                raise OptionError(msg)
        return cls(**choices)


@dataclass(frozen=True, kw_only=True)
class VideoStyle(Style):
    """Style of a video.

    Parameters
    ----------
    tracks, families, colour_by
        As in `Style`.
    frames : (int, int), optional
        First and last frame, both included; default all.
    fps : float
        Frames a second, default 10.
    size : int, optional
        Longest side in pixels; by default that of the movie, which is enlarged by a whole number if it is small.
    tails : int
        Length of the recent paths in frames; 0: none.
    ids : bool
        Write the id of its track on each cell.
    crop : bool
        Show the part of the frames with the selected tracks only.
    """

    frames: tuple[int, int] | None = None
    fps: float = 10.0
    size: int | None = None
    tails: int = 10
    ids: bool = False
    crop: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_number("fps", self.fps, 0.1, 50)
        _check_number("tails", self.tails, 0, 10**6)
        if self.size is not None:
            _check_number("size", self.size, 64, 4096)


@dataclass(frozen=True, kw_only=True)
class MontageStyle(Style):
    """Style of a montage.

    Parameters
    ----------
    tracks, families, colour_by
        As in `Style`.
    frames : (int, int), optional
        First and last frame, both included; default all.
    panels : int
        Number of frames that are drawn, at equal distances from the first to the last, default 6.
    tails, ids, crop
        As in `VideoStyle`.
    width : float
        Width of the figure in centimetres, default 17: two columns of a journal.
    dpi : float, optional
        Pixels per inch of a PNG, default 300.
    """

    frames: tuple[int, int] | None = None
    panels: int = 6
    tails: int = 10
    ids: bool = False
    crop: bool = False
    width: float = 17.0
    dpi: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_number("panels", self.panels, 1, 100)
        _check_number("tails", self.tails, 0, 10**6)
        _check_paper((self.width, self.width), self.dpi)


@dataclass(frozen=True, kw_only=True)
class TreeStyle(Style):
    """Style of a lineage tree.

    Parameters
    ----------
    tracks, families, colour_by
        As in `Style`.
    most : int
        Largest number of tracks in the rows of families, and of lines in the strip of tracks without a division,
        default 500; the largest families and the longest tracks are drawn, and a note has the number of the others.
    size : (float, float), optional
        Width and height of the figure in centimetres; by default as large as the tree needs.
    dpi : float, optional
        Pixels per inch of a PNG, default 200.
    """

    most: int = 500
    size: tuple[float, float] | None = None
    dpi: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_number("most", self.most, 1, 10**6)
        _check_paper(self.size, self.dpi)


@dataclass(frozen=True, kw_only=True)
class KymographStyle(Style):
    """Style of a kymograph.

    Parameters
    ----------
    tracks, families, colour_by
        As in `Style`.
    frames : (int, int), optional
        First and last frame, both included; default all.
    along : {"x", "y", "z"} or (x0, y0, x1, y1)
        Axis of the positions, or the ends of a line in pixels, as in Fiji; default ``"x"``.
    width : float
        Width of the line in pixels, default 15. Along an axis the whole frame is used.
    projection : {"max", "mean"}
        How the pixels across the width, and those of the planes of a stack, become one, default ``"max"``.
    size : (float, float), optional
        Width and height of the figure in centimetres; default 12 x 12.
    dpi : float, optional
        Pixels per inch of a PNG, default 300.
    """

    frames: tuple[int, int] | None = None
    along: str | Sequence[float] = "x"
    width: float = 15.0
    projection: str = "max"
    size: tuple[float, float] | None = None
    dpi: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_paper(self.size, self.dpi)
        _check_number("width", self.width, 1, 10**5)
        if self.projection not in ("max", "mean"):
            msg = f"projection={self.projection!r}: expected max or mean"
            raise InputError(msg)


def _check_paper(size: Any, dpi: float | None) -> None:
    if size is not None:
        if np.shape(size) != (2,):
            msg = f"size={size!r}: expected two numbers, width and height in centimetres"
            raise InputError(msg)
        for side in size:
            _check_number("size", side, 2, 200)
    if dpi is not None:
        _check_number("dpi", dpi, 20, 2400)


def _check_number(name: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not low <= value <= high:
        msg = f"{name}={value!r}: expected a number from {low:g} to {high:g}"
        raise InputError(msg)


def resolve_range(frames: tuple[int, int] | None, count: int) -> range:
    """Return the frames from a first to a last, both included.

    Raises
    ------
    InputError
        If the movie lacks them.

    Examples
    --------
    >>> resolve_range(None, 4), resolve_range((1, 2), 4)
    (range(0, 4), range(1, 3))
    """
    if frames is None:
        return range(count)
    whole = np.shape(frames) == (2,) and all(isinstance(each, int | np.integer) for each in frames)
    if not whole or not 0 <= frames[0] <= frames[1] < count:
        msg = f"frames={frames!r}: expected first and last of the {count_noun(count, 'frame')} 0 to {count - 1}"
        raise InputError(msg)
    return range(int(frames[0]), int(frames[1]) + 1)
