"""What figures and pages show of a result: the record of its run, its cells with their pixels, its images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import InputError
from gnntrack.io.result_folders import EXTRAS
from gnntrack.json_files import read_json
from gnntrack.lineage.repair import RepairedMovie
from gnntrack.movie import open_images
from gnntrack.plurals import count_noun
from gnntrack.result_files import find_source, restore_settings
from gnntrack.results import build_result, find_point_result, find_result
from gnntrack.settings import Settings
from gnntrack.views import find_masks

if TYPE_CHECKING:
    from gnntrack.types import FrameStack, Lineage, Runs

__all__ = ["find_images", "read_cells", "read_summary"]

_NO_IMAGES = "The images are not shown, because none were given: write the report again with --images."


def read_summary(result: str | Path) -> dict[str, Any] | None:
    """Return the record of the run of a result, None if there is none."""
    folder = _find_folder(result)
    try:
        summary = read_json(Path(folder or "", EXTRAS, "summary.json"))
    except (OSError, ValueError):
        return None
    return summary if isinstance(summary, dict) and isinstance(summary.get("input"), dict) else None


def _find_folder(result: str | Path) -> Path | None:
    """Return the folder of a result, with masks or of points."""
    path = Path(result).expanduser()
    return find_result(path) or find_point_result(path)


def read_cells(lineage: Lineage, masks: object) -> tuple[Lineage, Runs | None]:
    """Return the cells that are shown, and their pixels if there are masks."""
    if masks is None and not lineage.has_masks:
        return lineage, None
    kept, own = find_masks(lineage, masks)
    if own.fills is not None:  # masks are drawn in the gaps of a GEFF, as 'export' does
        none = np.zeros((0, 2), np.int64)
        drawn = build_result(RepairedMovie(kept, own.runs, own.fills, none, none))
        return drawn.lineage, drawn.runs
    return kept.with_origins(lineage.origins) if kept.origins is None and kept is lineage else kept, own.runs


def find_images(
    images: object,
    result: str | Path,
    lineage: Lineage,
    summary: dict[str, Any] | None,
    settings: Settings | None,
    *,
    points: bool = False,
) -> tuple[Lineage, FrameStack | None, str]:
    """Return the lineage in the frames of its images, the images, and a note if they are not shown.

    Positions without masks (`points`) do not define the size of a frame: that of larger images is used.
    """
    chosen = images
    if chosen is None:
        recorded = None if summary is None else summary["input"].get("images")
        if recorded is None:
            return lineage, None, _NO_IMAGES
        chosen = find_source(recorded, _find_folder(result) or Path())
        if chosen is None:
            note = f"The images are not shown: {recorded} is not there. Write the report again with --images."
            return lineage, None, note
    base = restore_settings(summary) if summary is not None and "settings" in summary else Settings()
    frames = (settings or Settings()).frames
    given = {f"frames__{name}": getattr(frames, name) for name in frames.given}
    stack = open_images(chosen, settings=base.replace(**given))
    return _fit_frames(lineage, stack, points=points)


def _fit_frames(lineage: Lineage, stack: FrameStack, *, points: bool) -> tuple[Lineage, FrameStack, str]:
    """Return a lineage in the frames of images, if they fit it, and a note if they are larger."""
    cells, size = lineage.cells, (len(stack), *stack.shape)
    own = (cells.n_frames, *cells.shape)
    if size == own:
        return lineage, stack, ""
    if not (points and len(size) == len(own) and all(new >= old for new, old in zip(size, own, strict=True))):
        msg = (
            f"the images have {_describe_size(size)}, the result has {_describe_size(own)}; "
            "give the images of this result (--images PATH)"
        )
        raise InputError(msg)
    shown = replace(cells, n_frames=len(stack), shape=tuple(stack.shape))
    note = f"The frames are those of the images, {_describe_size(size)}; the cells fit into {_describe_size(own)}."
    return replace(lineage, cells=shown), stack, note


def _describe_size(size: tuple[int, ...]) -> str:
    return f"{count_noun(size[0], 'frame')} of {tuple(size[1:])}"
