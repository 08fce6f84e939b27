"""Scores of a result, by the metrics that fit it: of masks with tracks, or of points.

A lineage in memory that holds masks is written to a temporary folder, and read like any other result.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from gnntrack.errors import InputError
from gnntrack.evaluate.graphs import compares_graphs, evaluate_graphs
from gnntrack.evaluate.tracking import evaluate_sequence
from gnntrack.types import Lineage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.evaluate.graphs import Source

__all__ = ["evaluate_result", "find_folder"]


def evaluate_result(
    result: Source,
    truth: Source,
    *,
    gate: float | None = None,
    total: float | None = None,
    spacing: float | Sequence[float] | None = None,
) -> dict[str, Any]:
    """Score a result against its ground truth; each is a path, points, or a lineage.

    Results with masks are scored by the metrics of `gnntrack.evaluate.tracking`, points, and everything if a `gate` or
    a `total` is given, by those of `gnntrack.evaluate.graphs`; of several movies, ``movies`` has the scores of each.

    Raises
    ------
    InputError
        If one is neither, or as in `gnntrack.evaluate.tracking.evaluate_sequence` and
        `gnntrack.evaluate.graphs.evaluate_graphs`.
    """
    if gate is not None or total is not None or compares_graphs(result, truth):
        report = evaluate_graphs(result, truth, gate=gate, total=total, spacing=spacing)
        several = {name: counts.scores() for name, counts in report.movies.items()}
        return {**report.total.scores(), **({"movies": several} if len(several) > 1 else {})}
    with TemporaryDirectory() as folder:
        paths = [find_folder(each, Path(folder, name)) for name, each in (("RES", result), ("GT", truth))]
        return evaluate_sequence(*paths)


def find_folder(source: object, out: Path) -> Path:
    """Return the folder of a result; a lineage is written to `out`.

    Raises
    ------
    InputError
        If it is neither a path nor a lineage.
    """
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
