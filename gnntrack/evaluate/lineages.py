"""Scores of results in memory: a lineage is written to a temporary folder, and read like any other result."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from gnntrack.errors import InputError
from gnntrack.evaluate.tracking import evaluate_sequence
from gnntrack.types import Lineage

if TYPE_CHECKING:
    from gnntrack.evaluate.tracking import Scores

__all__ = ["evaluate_result"]


def evaluate_result(result: str | Path | Lineage, truth: str | Path | Lineage) -> Scores:
    """Score a result against its ground truth; each is a folder or a lineage that holds its masks.

    Raises
    ------
    InputError
        If one is neither, or as in `gnntrack.evaluate.tracking.evaluate_sequence`.
    """
    with TemporaryDirectory() as folder:
        paths = [_find_path(each, Path(folder, name)) for name, each in (("RES", result), ("GT", truth))]
        return evaluate_sequence(*paths)


def _find_path(source: object, out: Path) -> Path:
    """Return the folder of a result; a lineage is written to `out`."""
    if isinstance(source, str | Path):
        return Path(source)
    if isinstance(source, Lineage):
        source.to_ctc(out)
        return out
    msg = (
        f"evaluate() of {type(source).__name__}: expected a folder with res_track.txt, or a Lineage; masks in which "
        "each cell keeps its label are one by gnntrack.import_tracks(masks)"
    )
    raise InputError(msg)
