"""The typical diameter of a cell as a user gives it: pixels, or text with a unit such as ``"12um"``."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gnntrack.errors import SegmenterError
from gnntrack.lengths import find_micrometres

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.types import FrameStack

__all__ = ["check_diameter", "convert_diameters", "parse_diameter"]

_log = logging.getLogger(__name__)

_SIZE = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(\D*)", re.IGNORECASE)
_PIXELS = {"", "px", "pix", "pixel", "pixels"}
_EXPECTED = "expected a number above 0: pixels along x, such as 30 or 30px, or a length such as 12um"


def parse_diameter(value: object) -> tuple[float, float | None]:
    """Return a diameter as a number, and the micrometres in its unit; None for pixels.

    Parameters
    ----------
    value : float or str
        Pixels along x, such as ``30`` or ``"30px"``, or a length such as ``"12um"`` or ``"0.012 mm"``.

    Raises
    ------
    SegmenterError
        If it is not a number above 0, or its unit is not known.

    Examples
    --------
    >>> parse_diameter(30), parse_diameter("30px"), parse_diameter("12 µm")
    ((30.0, None), (30.0, None), (12.0, 1.0))
    >>> parse_diameter("large")
    Traceback (most recent call last):
    gnntrack.errors.SegmenterError: the diameter is 'large'; expected a number above 0: pixels along x, such as 30 or \
30px, or a length such as 12um
    """
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    number, unit = (match[1], match[2].strip()) if match else (value, "")
    scale = None if unit.lower() in _PIXELS else find_micrometres(unit)
    try:
        size = math.nan if isinstance(number, bool) else float(number)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        size = math.nan
    if not 0 < size < math.inf or (scale is None and unit.lower() not in _PIXELS):
        msg = f"the diameter is {value!r:.60}; {_EXPECTED}"
        raise SegmenterError(msg)
    return size, scale


def convert_diameters(options: Mapping[str, Any], spacing: Sequence[float], unit: str) -> dict[str, Any]:
    """Return the options of a segmenter with ``diameter`` in pixels along x, also within options that are mappings.

    Parameters
    ----------
    options : mapping
        Options of a segmenter.
    spacing : sequence of float
        Size of a voxel along ``[z], y, x``.
    unit : str
        Unit of `spacing`: ``"um"``, or ``"pixel"`` if the size is not known.

    Raises
    ------
    SegmenterError
        If a diameter is not a number above 0, or is a length and the size of a pixel is not known.

    Examples
    --------
    >>> convert_diameters({"diameter": "12um", "neck": 0.5}, (0.4, 0.4), "um")
    {'diameter': 30.0, 'neck': 0.5}
    """
    converted = dict(options)
    for name, value in options.items():
        if isinstance(value, Mapping):
            converted[name] = convert_diameters(value, spacing, unit)
        elif name == "diameter" and value is not None:
            size, micrometres = parse_diameter(value)
            if micrometres is not None:
                _expect_um(value, unit, axes=len(spacing))
                size = round(size * micrometres / float(spacing[-1]), 6)
            converted[name] = size
    return converted


def _expect_um(value: object, unit: str, *, axes: int) -> None:
    """Raise if the size of a pixel is not known in um."""
    if unit != "um":
        letters = "zyx"[-axes:]
        msg = (
            f"the diameter {value} needs the size of a pixel, which is not known: give --spacing "
            f"{','.join(letters.upper())} in um (in Python spacing=({', '.join(letters)})), or the diameter in pixels"
        )
        raise SegmenterError(msg)


def check_diameter(diameter: float | None, images: FrameStack) -> None:
    """Raise if a cell is smaller than a pixel, and warn if it is larger than a frame.

    Parameters
    ----------
    diameter : float or None
        In pixels along x; None if it was not given.
    images : FrameStack
        The movie.

    Raises
    ------
    SegmenterError
        With the remedy.
    """
    pixel = f", with pixels of {images.spacing[-1]:g} um" if images.unit == "um" else ""
    remedy = "check its unit, and the size of a pixel (--diameter, --spacing; in Python diameter, spacing)"
    if diameter is not None and diameter < 1:
        msg = f"the diameter is {diameter:g} pixels, less than one{pixel}; {remedy}"
        raise SegmenterError(msg)
    if diameter is not None and diameter > max(images.shape[-2:]):
        size = " x ".join(map(str, images.shape[-2:]))
        _log.warning("the diameter is %g pixels%s, and a frame is only %s pixels; %s", diameter, pixel, size, remedy)
