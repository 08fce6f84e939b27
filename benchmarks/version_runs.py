"""Runs of methods on versions of movies: their rows, each of which is written as soon as it is complete."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accuracy import format_line
from perturbed import PerturbedMovie, write_frames, write_perturbed
from record import has_row, hash_code, replace_row, write_record

from gnntrack.training.sequences import TrainingSequence

KEY = ("protocol", "sequence", "twin", "method")

Row = dict[str, Any]


@dataclass(frozen=True)
class VersionRuns:
    """The record of the runs of methods on versions of movies.

    Parameters
    ----------
    record : dict
        What is written; its ``rows`` grow.
    out : path
        File of the record; the tables are beside it.
    work : path
        Folder for the versions of the movies.
    versions : strings
        Names of the versions, see `perturbed.py`.
    format_markdown : callable
        Record -> tables.
    """

    record: dict[str, Any]
    out: Path
    work: Path
    versions: tuple[str, ...]
    format_markdown: Callable[[dict[str, Any]], str]

    def run_movie(
        self,
        protocol: str,
        name: str,
        sequence: TrainingSequence,
        methods: Sequence[str],
        run: Callable[[str, PerturbedMovie, Path], Row],
        *,
        frames: range | None = None,
    ) -> None:
        """Run methods on all versions of some frames of a movie, unless this code has made their rows.

        ``run`` has a method, a version and the folder of the result, and returns the columns of the row. A method that
        fails has a row too.
        """
        with tempfile.TemporaryDirectory(dir=self.work) as temporary:
            home = Path(temporary)
            tested = write_frames(sequence, home / "start", frames) if frames else sequence
            for version in self.versions:
                keys = {method: (protocol, name, version, method) for method in methods}
                missing = [method for method, key in keys.items() if not has_row(self.record["rows"], KEY, key)]
                twin = write_perturbed(tested, home / version, version) if missing else None
                for method in missing if twin else ():
                    out = home / f"{version} {method}" / f"{sequence.number}_RES"
                    row = {**dict(zip(KEY, keys[method], strict=True)), "code": hash_code()}
                    try:
                        row |= run(method, twin, out)
                    except Exception as error:  # noqa: BLE001
                        row |= describe_failure(error, home)
                    self._add_row(row)

    def _add_row(self, row: Row) -> None:
        self.record["rows"] = replace_row(self.record["rows"], KEY, row)
        print(f"{row['protocol']:8s} {format_line(row)}", flush=True)
        write_record(self.out, self.record, self.format_markdown(self.record))


def describe_failure(error: Exception, work: Path) -> dict[str, str]:
    """Return the columns of a method that failed: the first line of the error."""
    first = str(error).partition("\n")[0].rstrip(":")
    return {"failed": f"{type(error).__name__}: {first}".replace(str(work), "WORK")}
