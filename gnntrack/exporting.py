"""The recipe that writes the lineages of several movies as one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gnntrack.errors import InputError
from gnntrack.io.writers import WRITERS
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from gnntrack.types import Lineage

__all__ = ["export_movies"]


def export_movies(
    lineages: Mapping[str, Lineage | None], out: str | Path, *, to: str = "biohub", overwrite: bool = False
) -> None:
    """Write the lineages of several movies as one file.

    Parameters
    ----------
    lineages : mapping of str to Lineage
        Name of each movie, and its lineage; None for a movie that could not be tracked.
    out : path
        The file to make.
    to : str
        Name of a format that holds several movies: ``biohub``, the submission of the embryo competition.
    overwrite : bool
        Replace `out` if it exists.

    Raises
    ------
    InputError
        If the format is unknown, or holds one movie only.
    OutputError
        If `out` exists, cannot be written, or does not fit the format.

    Examples
    --------
    >>> import tempfile
    >>> import gnntrack
    >>> lineage = gnntrack.track(points=[[0, 2, 5, 5], [1, 3, 5, 6]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_movies({"one": lineage, "two": lineage}, Path(folder, "submission.csv"))
    ...     len(Path(folder, "submission.csv").read_text().splitlines())
    7
    """
    writer = WRITERS[to]()
    write: Callable[..., None] | None = getattr(writer, "write_movies", None)
    if write is None:
        msg = (
            f"format '{to}' holds one movie, and {count_noun(len(lineages), 'lineage')} are given; export each of them"
        )
        raise InputError(msg)
    write(lineages, out, overwrite=overwrite)
