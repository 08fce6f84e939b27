"""Scale bars, time stamps and axes of time: round lengths, and times in units that are easy to read."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gnntrack.report.tree_layout import choose_ticks

__all__ = ["TimeAxis", "choose_round_length", "choose_time_axis", "format_length", "format_time", "open_font"]

_UNITS = (("h", 3600.0), ("min", 60.0), ("s", 1.0))
_FEW = 3  # ticks that an axis has at least


def choose_round_length(most: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that is at most a length.

    >>> choose_round_length(73.0), choose_round_length(0.03), choose_round_length(1e4)
    (50.0, 0.02, 10000.0)
    """
    power = 10.0 ** np.floor(np.log10(most) + 1e-9)
    return float(f"{next(n for n in (5, 2, 1) if n * power <= most * (1 + 1e-9)) * power:.6g}")


def format_length(micrometres: float) -> str:
    """Return a length with its unit.

    >>> format_length(50.0), format_length(0.2), format_length(2000.0)
    ('50 µm', '200 nm', '2 mm')
    """
    if micrometres < 1:
        return f"{micrometres * 1000:g} nm"
    return f"{micrometres:g} µm" if micrometres < 1000 else f"{micrometres / 1000:g} mm"


def format_time(frame: int, interval: float | None, last: int) -> str:
    """Return the time of a frame since frame 0, in the same unit for all frames of a movie.

    Parameters
    ----------
    frame : int
        The frame.
    interval : float or None
        Seconds from a frame to the next; None if it is not known: the number of the frame is returned.
    last : int
        Last frame of the movie: its time decides the unit.

    Examples
    --------
    >>> format_time(12, None, 90), format_time(7, 300.0, 11), format_time(7, 1800.0, 91)
    ('frame 12', '35 min', '3:30 h')
    >>> format_time(7, 0.25, 91), format_time(7, 30.0, 91), format_time(7, 90.5, 91)
    ('1.75 s', '3:30 min', '0:10:34 h')
    """
    if interval is None:
        return f"frame {frame}"
    span = last * interval
    if span < 60:
        decimals = int(np.clip(np.ceil(-np.log10(interval) - 1e-9), 0, 3)) if interval < 1 else 0
        decimals = decimals + 1 if decimals and round(interval * 10**decimals, 6) % 1 else decimals
        return f"{frame * interval:.{decimals}f} s"
    hours, rest = divmod(round(frame * interval), 3600)
    minutes, seconds = divmod(rest, 60)
    if abs(interval / 60 - round(interval / 60)) < 1e-6:
        return f"{60 * hours + minutes} min" if span < 100 * 60 else f"{hours}:{minutes:02} h"
    return f"{minutes}:{seconds:02} min" if span < 3600 else f"{hours}:{minutes:02}:{seconds:02} h"


class TimeAxis(NamedTuple):
    """Name and ticks of an axis whose coordinates are frames."""

    name: str
    places: list[float]
    """Frames."""
    texts: list[str]


def choose_time_axis(first: int, last: int, interval: float | None) -> TimeAxis:
    """Return the ticks of an axis of time from one frame to another, at round times since frame 0.

    Parameters
    ----------
    first, last : int
        The frames.
    interval : float or None
        Seconds from a frame to the next; None if it is not known: ticks are then frames.

    Examples
    --------
    >>> choose_time_axis(0, 91, None)
    TimeAxis(name='frame', places=[0, 20, 40, 60, 80], texts=['0', '20', '40', '60', '80'])
    >>> choose_time_axis(12, 60, 300.0).texts, choose_time_axis(12, 60, 300.0).places[:2]
    (['1', '2', '3', '4', '5'], [12.0, 24.0])
    """
    name, scale = "frame", 1.0
    if interval is not None:
        span = (last - first) * interval
        unit, seconds = next(((u, s) for u, s in _UNITS if span >= _FEW * s), _UNITS[-1])
        name, scale = f"time ({unit})", interval / seconds
    begin, end = first * scale, last * scale
    if interval is not None and end - begin < _FEW:  # less than three seconds
        ticks = [float(f"{t:.6g}") for t in np.arange(np.ceil(begin * 10), end * 10 + 1e-9) / 10]
        ticks = ticks[:: max(1, len(ticks) // 6)]
    else:
        step = max(np.diff(choose_ticks(int(end - begin))), default=1)
        ticks = [int(t) for t in np.arange(np.ceil(begin / step) * step, end + 1e-9, step)]
    return TimeAxis(name, [t / scale if interval is not None else t for t in ticks], [f"{t:g}" for t in ticks])


@cache
def open_font(size: int) -> Any:
    """Return a font of Pillow in which Greek letters are included: the default font of matplotlib."""
    import matplotlib as mpl
    from PIL import ImageFont

    return ImageFont.truetype(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)
