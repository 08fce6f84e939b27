"""The recipe that writes a result as one HTML page: `gnntrack.report.web` makes the page itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnntrack.errors import OutputError
from gnntrack.io.fingerprints import compute_fingerprint
from gnntrack.io.output import fresh_output, try_output
from gnntrack.io.result_folders import EXTRAS, read_units
from gnntrack.lineage.doubts import list_doubts
from gnntrack.lineage.families import count_divisions
from gnntrack.loading import load
from gnntrack.methods import METHODS
from gnntrack.plurals import count_noun
from gnntrack.progress_bars import open_progress
from gnntrack.report.page_views import choose_planes
from gnntrack.report.pictures import encode_movie
from gnntrack.report.web import PageContent, make_page
from gnntrack.report_measures import compare_with_truth, measure_lineage
from gnntrack.results import find_result
from gnntrack.shown_results import find_images, read_cells, read_summary

if TYPE_CHECKING:
    from gnntrack.report.pictures import MoviePictures
    from gnntrack.settings import Settings
    from gnntrack.types import FrameStack, Lineage, Progress, Runs

__all__ = ["add_interval", "choose_title", "collect_content", "update_content", "write_report"]

_SCORES = ("CHOTA", "TRA", "LNK", "DET", "SEG", "BIO(1)")
_NO_MASKS = "Cells are shown as dots, because the masks were not given: write the report again with --masks."


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
        Ground truth of the Cell Tracking Challenge; the page then shows the metrics and every mistake.
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
        If `out` exists, cannot be written, or has another suffix than ``.html``.

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
    if out.suffix.lower() not in (".html", ".htm"):
        msg = f"{out}: the page is HTML; give a name that ends in .html; --tree, --video and others write figures"
        raise OutputError(msg)
    try_output(out, overwrite=overwrite)
    summary = read_summary(result)
    lineage, runs = read_cells(load(result, points=True, related=masks is None), masks)
    lineage = add_interval(lineage, result)
    with open_progress(progress) as report:
        lineage, stack, note = find_images(images, result, lineage, summary, settings, points=runs is None)
        title, notes = choose_title(result), [note] if note else []
        content = collect_content(lineage, runs, stack, title=title, notes=notes, progress=report)
        scores, mistakes, missing = compare_with_truth(result, lineage, runs, truth)
        content = replace(
            content,
            mistakes=mistakes,
            scores={name: scores[name] for name in _SCORES if isinstance(scores.get(name), float)},
            notes=[*content.notes, *missing],
            fingerprint=_find_fingerprint(result, lineage, summary),
        )
        page = make_page(content, progress=report)
    with fresh_output(out, overwrite=overwrite) as place:
        place.write_text(page, encoding="utf-8")
    return out


def collect_content(
    lineage: Lineage,
    runs: Runs | None,
    images: FrameStack | None,
    *,
    title: str,
    notes: Sequence[str] = (),
    progress: Progress | None = None,
) -> PageContent:
    """Return the content of the page of a lineage.

    Parameters
    ----------
    lineage : Lineage
        The lineage.
    runs : Runs, optional
        Pixels of its cells.
    images : FrameStack, optional
        Images of the microscope.
    title : str
        Name of the result.
    notes : sequence of str
        What the page lacks.
    progress : Progress, optional
        As in `gnntrack.track`.
    """
    notes = [*notes, *([_NO_MASKS] if runs is None and not lineage.cells.points else [])]
    planes = choose_planes(lineage, runs)
    pictures = None if images is None else encode_movie(images, planes=planes, progress=progress)
    if runs is not None or pictures is not None:
        notes += _describe_pictures(lineage, planes, pictures)
    planes = [] if runs is None and pictures is None else planes
    content = PageContent(title, lineage, (), runs=runs, pictures=pictures, planes=planes, notes=notes)
    return update_content(content, lineage)


def update_content(content: PageContent, lineage: Lineage) -> PageContent:
    """Return the content of the page with another lineage of the same movie."""
    interval = content.lineage.provenance.interval
    if lineage.provenance.interval is None and interval is not None:
        lineage = lineage.with_provenance(interval=interval)
    measures = measure_lineage(lineage)
    return replace(content, lineage=lineage, doubts=list_doubts(lineage), measures=measures, facts=_describe(lineage))


def add_interval(lineage: Lineage, result: str | Path) -> Lineage:
    """Return a lineage with the time between two frames that its folder of results has, if it has none itself."""
    if lineage.provenance.interval is not None:
        return lineage
    return lineage.with_provenance(interval=read_units(Path(result).expanduser()).interval)


def _describe_pictures(lineage: Lineage, planes: list[int], pictures: MoviePictures | None) -> list[str]:
    """Return notes about smaller pictures and planes that are not shown."""
    notes = []
    if pictures is not None and pictures.scale < 1:
        notes.append(f"The images are shown at {pictures.scale:.0%} of their size, to keep the page small.")
    if lineage.cells.ndim == 3:
        depth = lineage.cells.shape[0]
        if len(planes) < depth:
            notes.append(f"{len(planes)} of {count_noun(depth, 'plane')} are shown, to keep the page small.")
        if pictures is not None and pictures.plane_scale < min(1, pictures.scale):
            notes.append(f"Planes are shown at {pictures.plane_scale:.0%} of their size, projections are sharper.")
    return notes


def _describe(lineage: Lineage) -> list[str]:
    cells, tracks = lineage.cells, lineage.tracks
    numbers = [(cells.n_frames, "frame"), (len(cells), "cell"), (len(tracks), "track")]
    numbers += [(count_divisions(tracks), "division")]
    numbers += [(len(lineage.fusions), "fusion")] if len(lineage.fusions) else []
    return [count_noun(n, noun) for n, noun in numbers]


def choose_title(result: str | Path) -> str:
    """Return the name of a result for the page, with that of its folder."""
    path = Path(result).expanduser().resolve()
    return f"{path.parent.name}/{path.name}" if path.parent.name else path.name


def _find_fingerprint(result: str | Path, lineage: Lineage, summary: dict[str, Any] | None) -> str | None:
    """Return the fingerprint of a result that can be corrected, None if it cannot: a GEFF, or a changed result."""
    folder = find_result(Path(result).expanduser())
    if folder is None:
        return None
    if summary is None:  # of another program
        return None if (folder / EXTRAS).exists() else compute_fingerprint(folder)
    if lineage.origins is None and summary.get("method") in METHODS:
        return None
    return summary.get("fingerprint")
