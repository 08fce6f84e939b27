"""Figures to files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from gnntrack.errors import OutputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["save_figure"]

_DPI = 200
# Text stays text that can be searched and edited, and the same figure gives the same file.
_SVG: Any = {"svg.fonttype": "none", "svg.hashsalt": "gnntrack"}


def save_figure(figure: Figure, path: str | Path, *, dpi: int = _DPI) -> None:
    """Write a figure in the format that the suffix names.

    Raises
    ------
    OutputError
        If the suffix is neither ``.png``, ``.svg`` nor ``.pdf``, or the file cannot be written.
    """
    path = Path(path)
    kind = path.suffix.lower().lstrip(".")
    if kind not in {"png", "svg", "pdf"}:
        msg = f"{path}: figures end in .png, .svg or .pdf, not in '{path.suffix}'"
        raise OutputError(msg)
    undated: dict[str, Any] = {} if kind == "png" else {"Date" if kind == "svg" else "CreationDate": None}
    try:
        with mpl.rc_context(_SVG):
            figure.savefig(path, format=kind, dpi=dpi, metadata=undated)
    except OSError as error:
        msg = f"{path}: the figure cannot be written: {error.strerror or error}"
        raise OutputError(msg) from error
