"""Options of the command report for the video, the lineage tree and the kymograph."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click

__all__ = ["FIGURES", "FigureChoices", "figure_options", "parse_numbers"]

FIGURES = ("video", "montage", "tree", "kymograph")
_ALL = frozenset(FIGURES)
_PAPER = frozenset({"tree", "kymograph"})
_PRINTED = _PAPER | {"montage"}
_FRAMES = frozenset({"video", "montage"})


class FigureChoices(NamedTuple):
    """The figures that are asked for, and their styles."""

    paths: dict[str, Path]
    styles: dict[str, dict[str, Any]]


def parse_numbers(text: str, kind: type, count: int | None = None) -> tuple[Any, ...]:
    """Return numbers with commas between them.

    Raises
    ------
    ValueError
        If one is not a number, or there are not `count` of them.
    """
    numbers = tuple(kind(part) for part in text.split(","))
    if count not in (None, len(numbers)):
        raise ValueError
    return numbers


def _parse_ids(text: str) -> tuple[Any, ...]:
    return _parse(lambda: parse_numbers(text, int), text, "ids with commas between them, such as 3,17")


def _parse_frames(text: str) -> tuple[Any, ...]:
    return _parse(lambda: parse_numbers(text.replace(":", ","), int, 2), text, "the first and the last frame: 20:60")


def _parse_size(text: str) -> tuple[Any, ...]:
    return _parse(lambda: parse_numbers(text, float, 2), text, "width and height in centimetres, such as 18,12")


def _parse_along(text: str) -> Any:
    if text.strip().isalpha():
        return text.strip().lower()
    return _parse(lambda: parse_numbers(text, float, 4), text, "x, y, z, or the ends of a line x0,y0,x1,y1 in pixels")


def _parse(read: Callable[[], tuple[Any, ...]], text: str, expected: str) -> tuple[Any, ...]:
    try:
        return read()
    except ValueError:
        message = f"'{text}': expected {expected}"
        raise click.BadParameter(message) from None


class _Option(NamedTuple):
    """An option, its name in the recipes, and the figures that it is for."""

    flag: str
    name: str
    figures: frozenset[str]
    about: str
    more: dict[str, Any]


_OPTIONS = [
    _Option("--frames", "frames", _FRAMES | {"kymograph"}, "First and last frame that are shown.",
            {"type": _parse_frames, "metavar": "FIRST:LAST"}),
    _Option("--tracks", "tracks", _ALL, "Show these tracks only.", {"type": _parse_ids, "metavar": "ID,..."}),
    _Option("--families", "families", _ALL, "Show the families of these tracks only.",
            {"type": _parse_ids, "metavar": "ID,..."}),
    _Option("--colour-by", "colour_by", _ALL, "Colours of the cells.  [default: family]",
            {"type": click.Choice(["family", "track", "generation", "confidence"])}),
    _Option("--fps", "fps", frozenset({"video"}), "Frames a second of the video.  [default: 10]", {"type": float}),
    _Option("--video-size", "size", frozenset({"video"}), "Longest side of the video in pixels.", {"type": int}),
    _Option("--tails", "tails", _FRAMES, "Length of the recent paths in frames.  [default: 10]",
            {"type": int}),
    _Option("--ids", "ids", _FRAMES, "Write its track on each cell.", {"is_flag": True}),
    _Option("--crop", "crop", _FRAMES, "Show only the surroundings of the tracks that are shown.",
            {"is_flag": True}),
    _Option("--panels", "panels", frozenset({"montage"}), "Number of frames in the montage.  [default: 6]",
            {"type": int}),
    _Option("--montage-width", "width", frozenset({"montage"}), "Width of the montage in cm.  [default: 17]",
            {"type": float}),
    _Option("--along", "along", frozenset({"kymograph"}),
            "Axis of the kymograph, or the ends of a line in pixels.  [default: x]",
            {"type": _parse_along, "metavar": "x|y|z|X0,Y0,X1,Y1"}),
    _Option("--line-width", "width", frozenset({"kymograph"}), "Width of the line in pixels.  [default: 15]",
            {"type": float}),
    _Option("--projection", "projection", frozenset({"kymograph"}),
            "Intensity across the width of the line.  [default: max]", {"type": click.Choice(["max", "mean"])}),
    _Option("--most", "most", frozenset({"tree"}), "Largest number of tracks in the tree.  [default: 500]",
            {"type": int}),
    _Option("--figure-size", "size", _PAPER, "Width and height of tree and kymograph in cm.",
            {"type": _parse_size, "metavar": "W,H"}),
    _Option("--dpi", "dpi", _PRINTED, "Pixels per inch of a PNG.  [default: 300; tree 200]", {"type": float}),
]  # fmt: skip

_OUTPUTS = {
    "video": "The movie with outlines and paths, .mp4 or .gif.",
    "montage": "Frames side by side, with time and scale bar, .png, .svg or .pdf.",
    "tree": "The lineage tree, .png, .svg or .pdf.",
    "kymograph": "Intensity along an axis or a line over time, .png, .svg or .pdf.",
}


def figure_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command receives all of them as one argument, ``figures``: a `FigureChoices`."""

    @functools.wraps(command)
    def run(*args: Any, **values: Any) -> Any:
        paths = {name: path for name in FIGURES if (path := values.pop(name)) is not None}
        styles: dict[str, dict[str, Any]] = {name: {} for name in paths}
        for option in _OPTIONS:
            value = values.pop(option.flag[2:].replace("-", "_"))
            if value is None or value is False:
                continue
            meant = [name for name in paths if name in option.figures]
            if not meant:
                needed = " or ".join(f"--{name}" for name in FIGURES if name in option.figures)
                message = f"{option.flag} needs {needed}"
                raise click.UsageError(message)
            for name in meant:
                styles[name][option.name] = value
        return command(*args, figures=FigureChoices(paths, styles), **values)

    decorated: Callable[..., Any] = run
    for option in reversed(_OPTIONS):
        decorated = click.option(option.flag, help=option.about, **option.more)(decorated)
    for name in reversed(FIGURES):
        decorated = click.option(f"--{name}", type=click.Path(path_type=Path), help=_OUTPUTS[name])(decorated)
    return decorated
