"""One position of a batch: tracked in one of its ways, kept from an earlier run, or given an empty result."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from gnntrack.batch.outcomes import Outcome
from gnntrack.batch.positions import Position
from gnntrack.batch.ways import Way, list_ways, select_choices, uses_points
from gnntrack.earlier_runs import list_changes
from gnntrack.errors import FrameError, GnntrackError, OutputError
from gnntrack.io.manifests import describe_run
from gnntrack.io.manifests import list_changes as compare_runs
from gnntrack.io.output import clean_up
from gnntrack.io.result_folders import EXTRAS
from gnntrack.io.run_records import find_record, record_outputs
from gnntrack.json_files import read_json
from gnntrack.point_movie import Detection
from gnntrack.settings import Settings
from gnntrack.user_warnings import prefix_warnings

__all__ = ["EMPTY", "Attempt", "BatchWork"]

_MOST_CHANGES = 3  # that a message lists
_MARK = "fallback"
"""Key of summary.json of a result that was not made as asked."""
EMPTY = "empty"
"""The fall-back without cells."""


class Attempt(NamedTuple):
    """The outcome of one way to track a position."""

    outcome: Outcome
    may_repeat: bool = True
    """Whether another way may help."""
    frame: int | None = None
    """The frame that could not be read, if that is the reason of a failure."""


@dataclass(frozen=True)
class BatchWork:
    """Everything about a batch but its positions.

    Parameters
    ----------
    out : Path
        Folder of the results.
    settings : Settings
        Of the run.
    resume, overwrite : bool
        As of `gnntrack.batch.track_positions`.
    choices : mapping
        Further keywords of `gnntrack.track`.
    """

    out: Path
    settings: Settings
    resume: bool = False
    overwrite: bool = False
    choices: Mapping[str, Any] = field(default_factory=dict)

    def find_result(self, position: Position) -> Path:
        """Return the folder of the result of a position."""
        return self.out / f"{position.name}_RES"

    def list_ways(self, position: Position) -> list[Way]:
        """Return the ways to track a position, the best first.

        Where an earlier run left a fall-back, which is kept if the way that was asked for fails, there is only that.
        """
        ways = list_ways(self.choices, position)
        mark = _read_mark(self.find_result(position)) if self.resume else ""
        return ways[:1] if mark and mark != EMPTY else ways

    def keep(self, position: Position) -> Outcome | None:
        """Return the outcome of a position that an earlier run has finished, None if it is to be tracked."""
        try:
            kept = self.resume and self._is_finished(position) and _is_complete(self.find_result(position))
            if not kept:
                return None
            clean_up(self.find_result(position))
            return self._describe(position, "kept")
        except Exception as error:  # noqa: BLE001  # no fault of one position may stop the others
            return self.describe_failure(position, _explain(error))

    def track(self, position: Position, way: Way, frames: int | None = None, reason: str = "") -> Attempt:
        """Track one position; an error is part of the outcome.

        Parameters
        ----------
        position : Position
            The movie.
        way : Way
            One of `list_ways`.
        frames : int, optional
            Number of frames; by default all.
        reason : str
            Why it is not tracked as asked, for the table.
        """
        try:
            self._run(position, way, frames)
            return Attempt(self._describe(position, "done", reason))
        except Exception as error:  # noqa: BLE001  # no fault of one position may stop the others
            frame = error.frame if isinstance(error, FrameError) else None
            failed = self.describe_failure(position, _explain(error))
            return Attempt(failed, not isinstance(error, OutputError), frame)

    def find_stamp(self, position: Position) -> int | None:
        """Return when the result of a position was written (ns), None if there is none."""
        try:
            return (self.find_result(position) / EXTRAS / "summary.json").stat().st_mtime_ns
        except OSError:
            return None

    def find_written(
        self, position: Position, way: Way, frames: int | None, reason: str, stamp: int | None
    ) -> Outcome | None:
        """Return the outcome of a process that ended after it had written its result.

        Parameters
        ----------
        position, way, frames, reason
            As of `track`.
        stamp : int or None
            `find_stamp` before the process began. If it is the same now, the result is an older one.
        """
        result = self.find_result(position)
        if self.find_stamp(position) in (None, stamp) or not _is_complete(result):
            return None
        if replaced := way.describe(frames):
            _write_mark(result, replaced, self._list_paths(position))
        return self._describe(position, "done", reason)

    def give_up(self, position: Position, reason: str) -> Outcome:
        """Return the outcome of a position for which no way is left: an older fall-back, or an empty result."""
        from gnntrack.batch.empty_results import write_empty_result

        result = self.find_result(position)
        try:
            if self.resume and _read_mark(result) and _is_complete(result):
                return self._describe(position, "kept", reason)
            write_empty_result(result, position, settings=self.settings, overwrite=self._may_replace(result))
            _write_mark(result, EMPTY, self._list_paths(position))
            return self._describe(position, "empty", reason)
        except (GnntrackError, OSError) as error:
            return self.describe_failure(position, f"{reason}; {error}")

    def practise_giving_up(self, position: Position) -> float:
        """Write two results without cells elsewhere, which loads all modules; return the seconds of the second one."""
        from gnntrack.batch.empty_results import write_empty_result

        seconds = 0.0
        with TemporaryDirectory() as folder, suppress(GnntrackError, OSError):
            for name in ("first", "second"):
                started = time.monotonic()
                write_empty_result(Path(folder, name), position, settings=self.settings)
                seconds = time.monotonic() - started
        return seconds

    def describe_failure(self, position: Position, error: str) -> Outcome:
        """Return the row of a position that has no result."""
        paths: dict[str, Any] = self._list_paths(position)
        return Outcome(position.name, "failed", error=error, **paths)

    def _list_paths(self, position: Position) -> dict[str, str]:
        points = position.points if uses_points(self.choices, position) else None
        paths = {"images": position.images, "masks": position.mask_place, "points": points}
        return {kind: str(path or "") for kind, path in paths.items()}

    def _may_replace(self, result: Path) -> bool:
        """Return whether a result may be replaced; one with other settings was refused before."""
        return self.overwrite or (self.resume and (result / EXTRAS / "summary.json").is_file())

    def _is_finished(self, position: Position) -> bool:
        """Return whether an earlier run has finished a position as it is asked now.

        Raises
        ------
        OutputError
            If it did so with another or a changed input, method, segmenter, version or other settings, which
            `overwrite` replaces.
        """
        result = self.find_result(position)
        if not (result / EXTRAS / "summary.json").is_file() or _read_mark(result):
            return False
        summary, choices = _read_summary(result), select_choices(self.choices, position)
        source: dict[str, Any] = self._find_sources(position)
        if choices.get("detector"):
            source["points"] = Detection(choices["detector"], choices.get("detector_options"))
        segmented = position.mask_place is None and source["points"] is None
        changes = list(list_changes(summary, source, self.settings, choices, segmented=segmented))
        changes += self._list_changed_inputs(position)
        if changes and not self.overwrite:
            listed = "; ".join(changes[:_MOST_CHANGES])
            msg = (
                f"{result}: an earlier run made it with other settings or inputs: {listed}; replace it with overwrite "
                "(--overwrite)"
            )
            raise OutputError(msg)
        return not changes

    def _list_changed_inputs(self, position: Position) -> list[str]:
        """Return the changes of files and version since a result was made; none if that is not recorded."""
        before = find_record(self.find_result(position))
        if before is None:
            return []
        now = self._describe_run(position, known=before)
        both = now["inputs"].keys() & before["inputs"].keys()
        kept = {"version": before["version"], "inputs": {name: before["inputs"][name] for name in both}}
        return compare_runs(kept, {"version": now["version"], "inputs": {name: now["inputs"][name] for name in both}})

    def _describe_run(self, position: Position, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the description of a run on a position; its settings are in its summary."""
        options = [self.choices.get(f"{kind}_options") or {} for kind in ("segmenter", "detector")]
        models = [self.settings.gnn.model, *(each.get("model") for each in options)]
        paths = [model for model in models if isinstance(model, str | Path) and Path(model).expanduser().exists()]
        inputs = {**self._find_sources(position), "model": paths}
        return describe_run("track", inputs, {}, known=known, without=[self.out])

    def _find_sources(self, position: Position) -> dict[str, Path | None]:
        points = position.points if uses_points(self.choices, position) else None
        return {"images": position.images, "masks": position.masks, "points": points}

    def _run(self, position: Position, way: Way, frames: int | None) -> None:
        """Track a position, and mark its result if this is a fall-back."""
        from gnntrack.batch.first_frames import take_sources
        from gnntrack.pipeline import track

        result = self.find_result(position)
        sources: dict[str, Any] = self._find_sources(position)
        if frames is not None:
            sources = take_sources(sources, frames, settings=self.settings)
        given = {kind: source for kind, source in sources.items() if kind != "points" or source is not None}
        with prefix_warnings(position.name), record_outputs(self._describe_run(position)):
            track(**given, out=result, settings=self.settings, overwrite=self._may_replace(result), **way.choices)
        if replaced := way.describe(frames):
            _write_mark(result, replaced, self._list_paths(position))

    def _describe(self, position: Position, status: str, reason: str = "") -> Outcome:
        """Return the row of a position that has a result."""
        result = self.find_result(position)
        summary = _read_summary(result)
        counts, fallback = summary["counts"], str(summary.get(_MARK, ""))
        return replace(
            self.describe_failure(position, reason if fallback else ""),
            status=status,
            frames=summary["movie"]["frames"],
            cells=counts["cells"],
            tracks=counts["tracks"],
            divisions=counts["divisions"],
            seconds=summary["seconds"],
            fallback=fallback,
            warnings="; ".join(summary["warnings"]),
            result=str(result),
        )


def _explain(error: Exception) -> str:
    """Return the message of an error, with its kind if it is not meant for users."""
    return str(error) if isinstance(error, GnntrackError | OSError) else f"{type(error).__name__}: {error}"


def _read_summary(result: Path) -> dict[str, Any]:
    content: dict[str, Any] = read_json(result / EXTRAS / "summary.json")
    return content


def _read_mark(result: Path) -> str:
    """Return the fall-back that made a result, "" if it was made as asked or is not there."""
    try:
        return str(_read_summary(result).get(_MARK, ""))
    except (OSError, ValueError):
        return ""


def _write_mark(result: Path, replaced: str, paths: Mapping[str, str]) -> None:
    """Record in a result that it is a fall-back, and the paths of its input."""
    summary = _read_summary(result)
    summary[_MARK] = replaced
    summary["input"] |= {kind: path or None for kind, path in paths.items() if kind != "points" or path}
    file = result / EXTRAS / "summary.json"
    fresh = file.with_name("summary.json.new")
    fresh.write_text(json.dumps(summary, indent=2), encoding="utf-8")
    fresh.replace(file)


def _is_complete(result: Path) -> bool:
    """Return whether a result can be loaded, with all its frames; one of masks needs its table of tracks."""
    from gnntrack.loading import load
    from gnntrack.results import find_result

    try:
        cells = load(result).cells
        whole = cells.n_frames == int(_read_summary(result)["movie"]["frames"])
        return whole and (cells.points or find_result(result) is not None)
    except GnntrackError:
        return False
