"""The list of the errors of a tracking result, with frame, place and tracks, and the table of their kinds.

::

    OUT/errors.csv    a row per error, see `ErrorReport`
    OUT/errors.json   the metrics, and for each kind of error its number, its corrections, and its shares
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from gnntrack.errors import InputError, OutputError
from gnntrack.evaluate.differences import compare_graphs
from gnntrack.evaluate.error_kinds import ERROR_KINDS, find_owners
from gnntrack.evaluate.error_list import list_columns
from gnntrack.evaluate.error_shares import SHARED, compute_shares
from gnntrack.evaluate.graphs import compares_graphs
from gnntrack.evaluate.lineages import find_folder
from gnntrack.evaluate.matching import match_graphs
from gnntrack.evaluate.tracking import match_sequence, score_matches
from gnntrack.io.output import fresh_output
from gnntrack.io.tables import write_csv

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from gnntrack.evaluate.error_shares import KindShare
    from gnntrack.evaluate.graphs import Source

__all__ = ["ErrorReport", "check_error_place", "find_errors"]

_OTHER_FILES = (".json", ".txt", ".tsv", ".parquet", ".xlsx", ".html", ".md", ".xml", ".geff", ".zarr")


@dataclass(frozen=True)
class ErrorReport:
    """The errors of a tracking result.

    Parameters
    ----------
    columns : dict of arrays
        A row per error, by kind and frame: ``kind`` (of `ERROR_KINDS`); ``frame`` and ``last_frame``, the first and the
        last in which the result differs; ``result_tracks`` and ``truth_tracks``, the labels of the tracks that take
        part; the place in ``frame`` as ``[z], y, x`` in pixels; the number of each of `CORRECTIONS`.
    kinds : dict of KindShare
        What each kind that occurs costs.
    scores : dict
        The metrics, as of `gnntrack.evaluate`.
    """

    columns: dict[str, npt.NDArray[Any]]
    kinds: dict[str, KindShare]
    scores: dict[str, float | None]

    def __len__(self) -> int:
        return len(self.columns["kind"])

    def to_pandas(self) -> pd.DataFrame:
        """Return the list as a table."""
        import pandas as pd

        return pd.DataFrame(self.columns)

    def summarise(self) -> dict[str, Any]:
        """Return the metrics and what each kind of error costs, plain values for JSON."""
        return {
            "errors": len(self),
            "metrics": {metric: self.scores[metric] for metric in SHARED},
            "kinds": {name: {"definition": ERROR_KINDS[name], **share._asdict()} for name, share in self.kinds.items()},
        }

    def write(self, out: str | Path, *, overwrite: bool = False) -> None:
        """Write the list and the table of kinds to a folder, or only the list to a file ``NAME.csv``.

        Raises
        ------
        OutputError
            If `out` exists, cannot be written, or has the suffix of another kind of file.
        """
        check_error_place(out)
        with fresh_output(out, overwrite=overwrite) as place:
            if Path(out).suffix.lower() == ".csv":
                write_csv(self.columns, place)
                return
            place.mkdir()
            write_csv(self.columns, place / "errors.csv")
            (place / "errors.json").write_text(json.dumps(self.summarise(), indent=2) + "\n", encoding="utf-8")


def check_error_place(out: str | Path) -> None:
    """Raise if a list of errors cannot be written under a name.

    Raises
    ------
    OutputError
        If the suffix is that of another kind of file.

    Examples
    --------
    >>> check_error_place("errors.csv")
    >>> check_error_place("errors.json")
    Traceback (most recent call last):
    gnntrack.errors.OutputError: errors.json: errors are written to a folder, as errors.csv and errors.json, or to ...
    """
    if Path(out).suffix.lower() in _OTHER_FILES:
        msg = (
            f"{out}: errors are written to a folder, as errors.csv and errors.json, or to a file NAME.csv; "
            "choose another name"
        )
        raise OutputError(msg)


def find_errors(result: Source, truth: Source) -> ErrorReport:
    """Return every error of a tracking result, and what each kind of error costs.

    Parameters
    ----------
    result, truth : path or Lineage
        Folder of masks with ``res_track.txt``; folder ``01_GT`` of the Cell Tracking Challenge, or a second result; or
        a lineage that holds its masks.

    Raises
    ------
    InputError
        If one of them is points, or as in `gnntrack.evaluate`.

    Examples
    --------
    One of two tracks is in two halves:

    >>> import numpy as np
    >>> import gnntrack
    >>> truth = np.zeros((4, 20, 30), np.uint8)
    >>> truth[:, 5:11, 5:11], truth[:, 5:11, 20:26] = 1, 2
    >>> result = truth.copy()
    >>> result[2:][result[2:] == 2] = 3
    >>> report = find_errors(gnntrack.import_tracks(result), gnntrack.import_tracks(truth))
    >>> table = report.to_pandas()
    >>> print(table[["kind", "frame", "result_tracks", "truth_tracks", "y", "x"]].to_string(index=False))
           kind  frame result_tracks truth_tracks   y    x
    missed link      2           2 3            2 7.5 22.5
    >>> report.kinds["missed link"].lost["LNK"]
    0.16666666666666666
    """
    if compares_graphs(result, truth):
        msg = "errors are listed for masks with tracks (01_RES and 01_GT); points and graphs are scored without a list"
        raise InputError(msg)
    with TemporaryDirectory() as folder:
        paths = [find_folder(each, Path(folder, name)) for name, each in (("RES", result), ("GT", truth))]
        matched = match_sequence(*paths)
        known = compare_graphs(match_graphs(matched.rows, matched.truth_rows, matched.matches))
        owners, scores = find_owners(known), score_matches(matched)
        shares = compute_shares(matched, known, owners, scores)
        return ErrorReport(list_columns(matched, known, owners), shares, scores)
