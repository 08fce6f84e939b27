"""Files of figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from gnntrack.errors import OutputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["check_figure_path", "save_figure"]

_DPI = 200
_SUFFIXES = (".png", ".svg", ".pdf")
# text stays text, which can be searched and edited: 42 is TrueType; a fixed salt makes ids reproducible
_VECTOR: Any = {"svg.fonttype": "none", "svg.hashsalt": "gnntrack", "pdf.fonttype": 42}


def save_figure(figure: Figure, path: str | Path, *, dpi: float | None = None) -> None:
    """Write a figure in the format of the file's suffix; the same figure gives the same bytes.

    Parameters
    ----------
    figure : Figure
        From any ``draw_*`` function.
    path : path
        Ends in ``.png``, ``.svg`` or ``.pdf``.
    dpi : float, optional
        Pixels per inch, for images in the figure too; default 200, or that of the figure if it is higher.

    Raises
    ------
    OutputError
        If the suffix is neither ``.png``, ``.svg`` nor ``.pdf``, or the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from matplotlib.figure import Figure
    >>> folder = Path(tempfile.mkdtemp())
    >>> save_figure(Figure(), folder / "empty.png")
    >>> [file.name for file in folder.iterdir()]
    ['empty.png']
    """
    path = Path(path)
    check_figure_path(path)
    kind = path.suffix.lower().lstrip(".")
    undated: dict[str, Any] = {} if kind == "png" else {"Date" if kind == "svg" else "CreationDate": None}
    try:
        with mpl.rc_context(_VECTOR):
            figure.savefig(path, format=kind, dpi=dpi or max(figure.dpi, _DPI), metadata=undated)
    except OSError as error:
        msg = f"{path}: the figure cannot be written: {error.strerror or error}"
        raise OutputError(msg) from error


def check_figure_path(path: Path) -> None:
    """Raise unless a figure can be written in the format of the file's suffix.

    Raises
    ------
    OutputError
        If the suffix is neither ``.png``, ``.svg`` nor ``.pdf``.
    """
    if path.suffix.lower() not in _SUFFIXES:
        msg = f"{path}: figures end in {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]}, not in '{path.suffix}'"
        raise OutputError(msg)
