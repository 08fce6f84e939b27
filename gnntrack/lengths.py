"""Lengths: units of length to micrometres."""

from __future__ import annotations

import unicodedata

from gnntrack.prefixes import PREFIXES

__all__ = ["MICROMETRES", "find_micrometres"]

MICROMETRES = {f"{prefix}meter": float(f"1e{power + 6}") for prefix, power in PREFIXES.items()} | {
    "m": 1e6, "dm": 1e5, "cm": 1e4, "mm": 1e3, "um": 1.0, "mum": 1.0, "micron": 1.0, "nm": 1e-3, "pm": 1e-6,
    "a": 1e-4, "angstrom": 1e-4,
    "in": 25400.0, "inch": 25400.0, "inche": 25400.0, "ft": 304800.0, "foot": 304800.0, "feet": 304800.0,
    "yd": 914400.0, "yard": 914400.0, "mile": 1609344e3, "parsec": 3.0856775814913673e22,
}  # fmt: skip
"""Micrometres in a unit, by its name in lower case and in the singular; units of OME-NGFF, GEFF, OME-XML and ImageJ."""


def find_micrometres(unit: str | None) -> float | None:
    r"""Return the number of micrometres in a unit, or None if it is not a known unit of length.

    Parameters
    ----------
    unit : str or None
        A unit in any spelling that microscopes and file formats use: ``"um"``, ``"µm"``, ``"\u00b5m"``,
        ``"Micrometres"``, ``"microns"``, ``"angstrom"``, ``"Å"``, ``"meter"``, ``"inch"``.

    Examples
    --------
    >>> [find_micrometres(unit) for unit in ("µm", "Micrometres", "nanometer", "Å", "meter", "pixel", None)]
    [1.0, 1.0, 0.001, 0.0001, 1000000.0, None, None]
    """
    text = unicodedata.normalize("NFKC", unit or "").strip().lower().rstrip(".")
    text = text.replace("\\u00b5", "u").replace("μ", "u")  # ImageJ writes the letter as an escape sequence
    text = text.replace("å", "a").replace("ö", "o").replace("metre", "meter")
    for name in (text, text.removesuffix("(s)"), text.removesuffix("s")):
        if name in MICROMETRES:
            return MICROMETRES[name]
    return None
