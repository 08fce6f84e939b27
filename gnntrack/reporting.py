"""The recipe that writes a result as one HTML page: `gnntrack.report.web` makes the page itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnntrack.errors import InputError
from gnntrack.evaluate.tracking import evaluate_sequence
from gnntrack.io.output import fresh_output, try_output
from gnntrack.io.result_folders import EXTRAS
from gnntrack.lineage.doubts import list_doubts
from gnntrack.lineage.families import count_divisions
from gnntrack.loading import load
from gnntrack.methods import METHODS
from gnntrack.movie import open_images
from gnntrack.plurals import count_noun
from gnntrack.progress_bars import open_progress
from gnntrack.report.pictures import encode_movie
from gnntrack.report.web import PageContent, make_page
from gnntrack.result_files import find_source, restore_settings
from gnntrack.results import find_result
from gnntrack.settings import Settings
from gnntrack.views import find_masks

if TYPE_CHECKING:
    from gnntrack.types import FrameStack, Lineage, Runs

__all__ = ["write_report"]

_SCORES = ("CHOTA", "TRA", "LNK", "DET", "SEG", "BIO(1)")
_NO_IMAGES = "The images are not shown, because none were given: write the report again with --images."
_NO_MASKS = "Cells are shown as dots, because the masks were not given: write the report again with --masks."
_FLAT = "The movie is 3D: projections along z are shown (brightest plane, upper cell); z is among the values of a cell."


def write_report(
    result: str | Path,
    out: str | Path,
    *,
    images: object = None,
    masks: object = None,
    truth: str | Path | None = None,
    settings: Settings | None = None,
    overwrite: bool = False,
    progress: Any = None,
) -> Path:
    """Write a result as one HTML page that needs no network: movie, lineage tree, plots, review list, corrections.

    Parameters
    ----------
    result : path
        Folder of a result or of a ground truth, or a GEFF, as for `gnntrack.load`.
    out : path
        The page, ``report.html``.
    images : path, array (T, [Z], Y, X) or FrameStack, optional
        Images of the microscope; by default those that the result was made from, if they are still there.
    masks : path, array or FrameStack, optional
        The masks of a GEFF that has none beside it.
    truth : path, optional
        Ground truth of the Cell Tracking Challenge; the page then shows the metrics.
    settings : Settings, optional
        The section ``frames`` is used to read the images; by default that of the run.
    overwrite, progress
        As in `gnntrack.track`.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputError
        If the result, images, masks or truth cannot be read, or do not fit each other.
    OutputError
        If `out` exists or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import gnntrack
    >>> folder = Path(tempfile.mkdtemp())
    >>> movie = gnntrack.simulate(folder / "movie", frames=3, cells=6, shape=(100, 100), seed=1)
    >>> lineage = gnntrack.track(movie.images, movie.masks, out=folder / "01_RES")
    >>> write_report(folder / "01_RES", folder / "report.html", images=movie.images).name
    'report.html'
    """
    out = Path(out).expanduser()
    try_output(out, overwrite=overwrite)
    summary = _read_summary(result)
    lineage, runs = _read_cells(load(result), masks)
    with open_progress(progress) as report:
        stack, note = _find_images(images, result, lineage, summary, settings)
        notes = [*([note] if note else []), *([_NO_MASKS] if runs is None else [])]
        if lineage.cells.ndim == 3:
            notes.append(_FLAT)
        pictures = None if stack is None else encode_movie(stack, progress=report)
        if pictures is not None and pictures.scale < 1:
            notes.append(f"The images are shown at {pictures.scale:.0%} of their size, to keep the page small.")
        content = PageContent(
            title=_choose_title(result),
            lineage=lineage,
            doubts=list_doubts(lineage),
            runs=runs,
            pictures=pictures,
            scores=_score(result, truth),
            facts=_describe(lineage),
            notes=notes,
            fingerprint=_find_fingerprint(lineage, summary),
        )
        page = make_page(content, progress=report)
    with fresh_output(out, overwrite=overwrite) as place:
        place.write_text(page, encoding="utf-8")
    return out


def _read_summary(result: str | Path) -> dict[str, Any] | None:
    """Return the record of the run of a result, None if there is none."""
    folder = find_result(Path(result).expanduser())
    try:
        summary = json.loads(Path(folder or "", EXTRAS, "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return summary if isinstance(summary, dict) and isinstance(summary.get("input"), dict) else None


def _read_cells(lineage: Lineage, masks: object) -> tuple[Lineage, Runs | None]:
    """Return the cells that are shown, and their pixels if there are masks."""
    if masks is None and not lineage.has_masks:
        return lineage, None
    kept, own = find_masks(lineage, masks)
    return kept.with_origins(lineage.origins) if kept.origins is None and kept is lineage else kept, own.runs


def _find_images(
    images: object, result: str | Path, lineage: Lineage, summary: dict[str, Any] | None, settings: Settings | None
) -> tuple[FrameStack | None, str]:
    """Return the images of a result, and a note if they are not shown."""
    chosen = images
    if chosen is None:
        recorded = None if summary is None else summary["input"].get("images")
        if recorded is None:
            return None, _NO_IMAGES
        chosen = find_source(recorded, Path(find_result(Path(result).expanduser()) or ""))
        if chosen is None:
            return None, f"The images are not shown: {recorded} is not there. Write the report again with --images."
    base = restore_settings(summary) if summary is not None and "settings" in summary else Settings()
    frames = (settings or Settings()).frames
    given = {f"frames__{name}": getattr(frames, name) for name in frames.given}
    stack = open_images(chosen, settings=base.replace(**given))
    cells = lineage.cells
    if len(stack) != cells.n_frames or tuple(stack.shape) != tuple(cells.shape):
        msg = (
            f"the images have {count_noun(len(stack), 'frame')} of {tuple(stack.shape)}, the result has "
            f"{cells.n_frames} of {tuple(cells.shape)}; give the images of this result (--images PATH)"
        )
        raise InputError(msg)
    return stack, ""


def _score(result: str | Path, truth: str | Path | None) -> dict[str, float | None]:
    if truth is None:
        return {}
    scores = evaluate_sequence(Path(result), Path(truth))
    return {name: scores[name] for name in _SCORES if isinstance(scores.get(name), float)}


def _describe(lineage: Lineage) -> list[str]:
    cells, tracks = lineage.cells, lineage.tracks
    numbers = [(cells.n_frames, "frame"), (len(cells), "cell"), (len(tracks), "track")]
    return [count_noun(n, noun) for n, noun in [*numbers, (count_divisions(tracks), "division")]]


def _choose_title(result: str | Path) -> str:
    path = Path(result).expanduser().resolve()
    return f"{path.parent.name}/{path.name}" if path.parent.name else path.name


def _find_fingerprint(lineage: Lineage, summary: dict[str, Any] | None) -> str | None:
    """Return the fingerprint of a result that can be corrected: one of `gnntrack.track` that was not changed since."""
    if summary is None or lineage.origins is None or summary.get("method") not in METHODS:
        return None
    return summary.get("fingerprint")
