"""Files of a result: masks and ``res_track.txt``, and beside them tables, the lineage, a review list and a summary."""

from __future__ import annotations

import json
import logging
import platform
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack import __version__
from gnntrack.frame_slabs import project_frame
from gnntrack.io.ctc import prepare_ctc
from gnntrack.io.ctc_names import choose_digits
from gnntrack.io.fingerprints import compute_fingerprint
from gnntrack.io.geff import write_lineage
from gnntrack.io.output import fresh_output
from gnntrack.io.result_folders import EXTRAS
from gnntrack.io.tables import CellTable, collect_tracks, write_csv
from gnntrack.lineage.doubts import list_doubts
from gnntrack.lineage.families import count_divisions
from gnntrack.lineage.steadiness import describe_poor_masks, measure_steadiness
from gnntrack.mask_repairs import collect_repairs
from gnntrack.masks.runs import draw_topmost
from gnntrack.results import MASK_KINDS, build_result
from gnntrack.settings import Settings
from gnntrack.stage_times import time_stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gnntrack.lineage.doubts import Doubt
    from gnntrack.lineage.edits import EditList
    from gnntrack.lineage.repair import RepairedMovie
    from gnntrack.results import Result
    from gnntrack.types import FrameStack, Lineage

__all__ = [
    "RunRecord",
    "collect_review",
    "convert_to_plain",
    "describe_run",
    "describe_time",
    "find_source",
    "restore_settings",
    "save_summary",
    "summarise_result",
    "write_result",
    "write_tables",
]

_log = logging.getLogger(__name__)
_PACKAGES = ("numpy", "scipy", "numba", "opencv-python-headless", "tifffile", "imagecodecs", "lap", "torch")


@dataclass
class RunRecord:
    """Facts about a run that its result cannot contain.

    Parameters
    ----------
    images, masks, points : object
        The input, as it was given; paths are recorded, and for anything else its type.
    settings : Settings
        Settings of the run.
    segmenter : str, optional
        Name of the segmenter that made the masks; None if masks were given.
    segmenter_options : mapping
        Options of the segmenter, as they were given.
    diameter : float, optional
        Typical diameter of a cell in pixels along x, if the segmenter estimated it.
    model : str, optional
        Model of the segmenter, if the segmenter guessed which one fits.
    channel : str, optional
        Name of the channel that was tracked; None if the images have one channel.
    started : float
        `time.perf_counter` at the start.
    names : strings
        Files of the frames. The masks of the result have as many digits, if these are named as in the challenge.
    warnings : strings
        Warnings of the run so far; see `gnntrack.user_warnings.record_warnings`.
    edits : EditList, optional
        Edits that the lineage was solved around, in the labels of the input; written as ``edits.json``.
    points : optional
        Points that were tracked, if there are no masks.
    stages : mapping
        Time and memory of the stages so far; see `gnntrack.stage_times.record_stages`.
    windows : mapping of str to int, optional
        Number of windows that the movie was tracked in, and of links that windows exclude at their seams.
    """

    images: object = None
    masks: object = None
    settings: Settings = field(default_factory=Settings)
    segmenter: str | None = None
    segmenter_options: Mapping[str, Any] = field(default_factory=dict)
    diameter: float | None = None
    model: str | None = None
    channel: str | None = None
    started: float = field(default_factory=time.perf_counter)
    names: Sequence[str] = ()
    warnings: Sequence[str] = ()
    edits: EditList | None = None
    points: object = None
    stages: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    windows: Mapping[str, int] | None = None


def write_result(
    out: str | Path,
    repaired: RepairedMovie,
    *,
    images: FrameStack | None = None,
    channels: Mapping[str, FrameStack] | None = None,
    run: RunRecord | None = None,
    overwrite: bool = False,
) -> Result:
    """Write the masks, ``res_track.txt``, and the folder ``gnntrack`` with everything else; all or nothing.

    Without the setting ``output.extras``, there is no folder ``gnntrack``.

    Parameters
    ----------
    out : path
        Folder of the result.
    repaired : RepairedMovie
        Lineage and masks after repair.
    images : FrameStack, optional
        The images; changed masks are measured with them, and one is drawn.
    channels : mapping of str to FrameStack, optional
        The images in each channel, if there are several.
    run : RunRecord, optional
        Recorded in ``summary.json``.
    overwrite : bool
        Replace an older result.

    Raises
    ------
    OutputError
        If `out` exists, cannot be written, or has more than 65535 tracks.
    """
    run = run or RunRecord()
    digits = choose_digits(run.names, repaired.lineage.cells.n_frames)
    write_masks = prepare_ctc(repaired.lineage, repaired.runs, fills=repaired.fills, digits=digits)
    with_extras = run.settings.output.extras
    with fresh_output(out, overwrite=overwrite) as folder:
        (folder / EXTRAS if with_extras else folder).mkdir(parents=True)
        # another thread for many small files, while tables and pictures are made
        with time_stage("writing"), ThreadPoolExecutor(1) as other:
            waiting: list[Future[Any]] = [other.submit(write_masks, folder, spare=1)]
            result = build_result(repaired, images, channels)
            if with_extras:
                geff = folder / EXTRAS / "lineage.geff"
                waiting.append(other.submit(write_lineage, result.lineage, geff, masks_path=folder))
                changes = collect_repairs(repaired, result)
                write_csv(changes, folder / EXTRAS / "repairs.csv")
                _write_extras(folder / EXTRAS, result, run, images)
            for problem in describe_poor_masks(measure_steadiness(repaired.lineage)):
                _log.warning(problem)
            for each in waiting:
                each.result()
        if with_extras:
            save_summary(folder, _summarise(result, repaired.lineage, run, repairs=len(changes["frame"])))
    return result


def write_tables(
    folder: Path, result: Result, repaired: RepairedMovie, images: FrameStack | None, run: RunRecord
) -> dict[str, Any]:
    """Write the folder ``gnntrack`` of a result whose masks are written elsewhere, without ``summary.json``.

    Parameters
    ----------
    folder : path
        Folder of the result.
    result : Result
        The written cells; pixels are needed of the frame that is drawn only.
    repaired, images, run
        As of `write_result`.

    Returns
    -------
    dict
        For `save_summary`, once the masks are written; empty without the setting ``output.extras``.
    """
    for problem in describe_poor_masks(measure_steadiness(repaired.lineage)):
        _log.warning(problem)
    if not run.settings.output.extras:
        return {}
    extras = folder / EXTRAS
    extras.mkdir(parents=True)
    write_lineage(result.lineage, extras / "lineage.geff", masks_path=folder)
    changes = collect_repairs(repaired, result)
    write_csv(changes, extras / "repairs.csv")
    _write_extras(extras, result, run, images)
    return _summarise(result, repaired.lineage, run, repairs=len(changes["frame"]))


def _write_extras(folder: Path, result: Result, run: RunRecord, images: FrameStack | None) -> None:
    """Write the tables, the edits and the pictures."""
    write_csv(collect_review(result.lineage, list_doubts(result.lineage)), folder / "review.csv")
    write_csv(CellTable(result.lineage), folder / "cells.csv")
    write_csv(collect_tracks(result.lineage), folder / "tracks.csv")
    if run.edits is not None:
        (folder / "edits.json").write_text(json.dumps(run.edits.to_dict(), indent=2), encoding="utf-8")
    if run.settings.output.pictures:
        _draw_pictures(folder, result, images)


def save_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write ``summary.json``, the last file of a result: it has the fingerprint of the others."""
    content = {**summary, "fingerprint": compute_fingerprint(folder)}
    (folder / EXTRAS / "summary.json").write_text(json.dumps(content, indent=2), encoding="utf-8")


def _summarise(result: Result, tracked: Lineage, run: RunRecord, *, repairs: int) -> dict[str, Any]:
    summary = summarise_result(result, tracked, run)
    summary["counts"]["repairs"] = repairs
    return summary


def _draw_pictures(folder: Path, result: Result, images: FrameStack | None) -> None:
    """Draw ``lineage.png``, and ``overlay.png`` of one of the fullest frames."""
    from gnntrack.report.quick import find_full_frame, paint_lineage_tree, paint_overlay, save_picture

    lineage = result.lineage
    frame = find_full_frame(lineage.cells)
    labels = draw_topmost(result.runs, frame, lineage.track)
    image = None if images is None else project_frame(images, frame)
    save_picture(paint_overlay(image, labels, lineage, frame), folder / "overlay.png")
    save_picture(paint_lineage_tree(lineage), folder / "lineage.png")


def collect_review(lineage: Lineage, doubts: Sequence[Doubt]) -> dict[str, np.ndarray]:
    """Return the columns of ``review.csv`` for doubtful places of a lineage (`gnntrack.lineage.list_doubts`)."""
    cells = lineage.cells
    row = np.array([doubt.row for doubt in doubts], np.int64)
    known = row >= 0

    def pick(values: np.ndarray) -> np.ndarray:
        column = np.full(len(row), None, object)
        column[known] = values[row[known]]
        return column

    columns: dict[str, Any] = {
        "rank": np.arange(1, len(doubts) + 1),
        "kind": [doubt.kind for doubt in doubts],
        "frame": [doubt.frame for doubt in doubts],
        "track": pick(lineage.track),
        "label": pick(cells.label),
    }
    place = cells.position / np.array(cells.spacing)
    columns |= {f"{axis}_pixel": pick(place[:, k].round(1)) for k, axis in enumerate("zyx"[-cells.ndim :])}
    columns["confidence"] = np.array([doubt.confidence for doubt in doubts], np.float64)
    columns["doubt"] = np.array([doubt.doubt for doubt in doubts], np.float64)
    columns["gain"] = np.array([doubt.gain for doubt in doubts], np.float64)
    columns["why"] = [doubt.why for doubt in doubts]
    return {name: np.asarray(values) for name, values in columns.items()}


def summarise_result(result: Result, tracked: Lineage, run: RunRecord) -> dict[str, Any]:
    """Return the content of ``summary.json``: plain JSON values.

    Parameters
    ----------
    result : Result
        The written cells.
    tracked : Lineage
        The lineage before the gaps were filled, whose provenance is that of the run.
    run : RunRecord
        Input, settings and start.
    """
    return describe_run(result.lineage, tracked, run, counts=_count_masks(result, tracked))


def describe_run(lineage: Lineage, tracked: Lineage, run: RunRecord, *, counts: Mapping[str, int]) -> dict[str, Any]:
    """Return the content of ``summary.json`` for any kind of result.

    Parameters
    ----------
    lineage : Lineage
        As it is written.
    tracked : Lineage
        As it was solved.
    run : RunRecord
        Input, settings and start.
    counts : mapping of str to int
        Numbers of cells of this kind of result.
    """
    provenance = tracked.provenance
    tracks, cells = lineage.tracks, lineage.cells
    steadiness = measure_steadiness(tracked)
    points = {} if run.points is None else {"points": _describe_source(run.points)}
    poor = [] if cells.points else describe_poor_masks(steadiness)
    return {
        "gnntrack": __version__,
        **describe_time(run),
        "input": {"images": _describe_source(run.images), "masks": _describe_source(run.masks)} | points,
        "movie": {
            "frames": cells.n_frames,
            "shape": list(cells.shape),
            "spacing": list(cells.spacing),
            "unit": cells.unit,
            "interval_s": provenance.interval,
            "channel": run.channel,
        },
        "counts": {
            "cells": len(cells),
            "tracks": len(tracks),
            "families": int((tracks.parent == 0).sum()),
            "divisions": count_divisions(tracks),
            "fusions": len(lineage.fusions),
            "gaps_bridged": provenance.gaps_bridged or 0,
            **counts,
        },
        "rates": _measure_rates(lineage) | steadiness._asdict(),
        "segmenter": run.segmenter,
        "segmenter_options": convert_to_plain(run.segmenter_options),
        "method": provenance.method,
        "solver": provenance.solver,
        "optimality_gap": provenance.optimality_gap,
        "time_limit_reached": bool(provenance.time_limit_reached),
        "scored_by": provenance.scored_by,
        "scoring_reason": provenance.scoring_reason,
        "estimates": {
            "diameter": run.diameter,
            "model": run.model,
            "gate": provenance.gate,
            "gate_radii": provenance.gate_radii,
            "flow": provenance.flow,
            "flow_by_images": provenance.flow_by_images,
        },
        "settings": json.loads(run.settings.to_json()),
        "settings_given": {name: sorted(section.given) for name, section in run.settings if section.given},
        "windows": provenance.other.get("windows") if run.windows is None else dict(run.windows),
        "versions": {"python": platform.python_version()} | _list_versions(),
        "warnings": list(dict.fromkeys([*run.warnings, *poor])),
    }


def describe_time(run: RunRecord) -> dict[str, Any]:
    """Return when a run ends, how long it took, and its stages, as in ``summary.json``."""
    return {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - run.started, 3),
        "stages": {name: dict(used) for name, used in run.stages.items()},
    }


def convert_to_plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a segmenter as plain JSON values; others become text.

    >>> convert_to_plain({"diameter": 12, "model": Path("model"), "spacing": (1, 2)})
    {'diameter': 12, 'model': 'model', 'spacing': [1, 2]}
    """
    plain: dict[str, Any] = json.loads(json.dumps(dict(options), default=str))
    return plain


def _count_masks(result: Result, tracked: Lineage) -> dict[str, int]:
    """Return how the cells of the result follow from the labels of the masks that were tracked."""
    provenance = tracked.provenance
    kinds = np.bincount(result.mask_kind, minlength=len(MASK_KINDS)).tolist()
    drawn = 0 if tracked.origins is None else int((tracked.origins.input_label == 0).sum())
    lists = provenance.pieces_joined, provenance.outside_field, provenance.removed_by_edits, provenance.masks_cut
    joined, outside, removed, cut = (rows or () for rows in lists)
    short, debris = provenance.short_removed or (), provenance.debris_dropped or ()
    spurious = provenance.spurious_dropped or ()
    return {
        "cells_in_input": len(tracked.cells)
        + len(short)
        + len(debris)
        + len(spurious)
        - drawn
        - len(cut)
        + len(joined)
        + len(outside)
        + len(removed)
        + provenance.dropped_cells,
        "cells_too_small": provenance.dropped_cells,
        "cells_in_margin": len(outside),
        "cells_in_short_tracks": len(short),
        "cells_in_debris": len(debris),
        "cells_spurious": len(spurious),
        "cells_removed": len(removed),
        "cells_cut_off": len(cut),
        "fragments_merged": len(joined),
        "masks_filled": kinds[MASK_KINDS.index("filled")],
        "masks_split": (provenance.masks_split or 0) + len({row[:2] for row in cut}),
    }


def _measure_rates(lineage: Lineage) -> dict[str, float | None]:
    tracks, cells = lineage.tracks, lineage.cells
    length = tracks.end - tracks.start + 1
    appear = (tracks.start > 0) & (tracks.parent == 0)
    disappear = (tracks.end < cells.n_frames - 1) & ~np.isin(tracks.id, tracks.parent)
    steps = max(len(lineage.source), 1)
    known = lineage.confidence[np.isfinite(lineage.confidence)]
    return {
        "cells_per_frame": len(cells) / max(cells.n_frames, 1),
        "median_track_frames": float(np.median(length)) if len(length) else None,
        "divisions_per_cell_and_frame": count_divisions(tracks) / steps,
        "appearances_per_cell_and_frame": int(appear.sum()) / steps,
        "disappearances_per_cell_and_frame": int(disappear.sum()) / steps,
        "mean_confidence": float(known.mean()) if len(known) else None,
    }


def _describe_source(source: object) -> str | None:
    if source is None:
        return None
    return str(source) if isinstance(source, str | Path) else type(source).__name__


def _list_versions() -> dict[str, str]:
    """Return the versions of installed packages that a result can depend on, whether this process has used them or not.

    So they are the same whatever was done by other processes, or by an earlier run that is continued.
    """
    from importlib.metadata import PackageNotFoundError, version  # slow to import

    versions = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def restore_settings(summary: Mapping[str, Any]) -> Settings:
    """Return the settings of a run from its ``summary.json``; those that were not given then are defaults.

    >>> summary = {"settings": {"graph": {"max_gap": 2, "max_distance": 9}}, "settings_given": {"graph": ["max_gap"]}}
    >>> restore_settings(summary).graph.max_gap, restore_settings(summary).graph.max_distance
    (2, None)
    """
    plain, given = Settings(), summary.get("settings_given")
    changes = {}
    for section, values in summary["settings"].items():
        own = json.loads(getattr(plain, section).to_json()) if section in Settings.fields else {}
        for name, value in values.items():
            # results of earlier versions do not record which settings were given
            known = value != own.get(name) if given is None else name in given.get(section, ())
            if known and name in own:
                changes[f"{section}__{name}"] = value
    return plain.replace(**changes)


def find_source(recorded: str, folder: Path) -> str | None:
    """Return the path of the images or masks that a summary records, None if nothing is there.

    A relative path is that of the folder in which the command ran. If nothing is there now, the folders above the
    result are tried in its place.

    Parameters
    ----------
    recorded : str
        In ``input`` of the summary: a path, or a pattern of files, which is returned as it is.
    folder : Path
        Of the result.
    """
    if any(letter in recorded for letter in "*?["):
        return recorded
    path = Path(recorded).expanduser()
    tried = [path, *(parent / path for parent in folder.absolute().parents)]
    return next((str(each) for each in tried if each.exists()), None)
