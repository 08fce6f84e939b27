"""Recipes that write the video, the lineage tree and the kymograph of a result."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from gnntrack.errors import InputError, OutputError
from gnntrack.io.output import OWN_VIDEO, fresh_output, try_output
from gnntrack.io.stack import get_interval
from gnntrack.loading import load
from gnntrack.progress_bars import open_progress
from gnntrack.report.cell_colours import choose_cell_colours, select_tracks
from gnntrack.report.movie_frames import MovieFrames, choose_scale
from gnntrack.report.movie_scene import MovieScene, Window, find_window
from gnntrack.report.saving import check_figure_path
from gnntrack.report.styles import (
    KymographChoices,
    KymographStyle,
    MontageChoices,
    MontageStyle,
    Style,
    TreeChoices,
    TreeStyle,
    VideoChoices,
    VideoStyle,
    resolve_range,
)
from gnntrack.report.video import check_video_path, make_palette, write_gif, write_mp4
from gnntrack.settings import Settings
from gnntrack.shown_results import find_images, read_cells, read_summary
from gnntrack.types import Lineage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

    from gnntrack.types import BoolArray, FrameStack, Image, Progress, Runs

__all__ = ["check_figures", "write_kymograph", "write_montage", "write_tree", "write_video"]

_USUAL = {".mp4": 1080, ".gif": 400}  # pixels of the longest side
_SAMPLED = 6  # frames that the palette of a GIF is chosen by
_INCH = 2.54  # centimetres

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Sources:
    """A result with everything that a figure shows of it."""

    lineage: Lineage
    runs: Runs | None
    images: FrameStack | None
    note: str
    pixel: float | None
    interval: float | None

    def find_cells(self, style: Style) -> BoolArray:
        """Return which cells are shown, (N,) bool."""
        rows = select_tracks(self.lineage, tracks=style.tracks, families=style.families)
        return np.asarray(rows[np.searchsorted(self.lineage.tracks.id, self.lineage.track)])


def check_figures(
    *,
    video: Path | None = None,
    montage: Path | None = None,
    tree: Path | None = None,
    kymograph: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Raise before the long work if one of some figures cannot be written.

    Raises
    ------
    OutputError
        If a suffix is unknown, a file exists or cannot be written, or two figures have the same path.
    MissingDependencyError
        If a video is wanted and PyAV is not installed.
    """
    given = [path.expanduser().resolve() for path in (video, montage, tree, kymograph) if path is not None]
    same = next((path for path in given if given.count(path) > 1), None)
    if same is not None:
        msg = f"{same}: two figures have this path, and one would replace the other; give each a path of its own"
        raise OutputError(msg)
    if video is not None:
        check_video_path(video)
        try_output(video, overwrite=overwrite)
    for path in (montage, tree, kymograph):
        if path is not None:
            check_figure_path(path)
            try_output(path, overwrite=overwrite)


def write_video(
    result: str | Path | Lineage,
    out: str | Path,
    *,
    images: object = None,
    masks: object = None,
    settings: Settings | None = None,
    overwrite: bool = False,
    progress: Any = None,
    **style: Unpack[VideoChoices],
) -> Path:
    """Write a result as a video: the images with coloured outlines, recent paths, time stamp and scale bar.

    Cells without masks are dots; without images the background is black; stacks are projected along z (brightest
    plane, upper cell). Frames are made and written one by one.

    Parameters
    ----------
    result : path or Lineage
        Folder of a result or of a ground truth, or a GEFF, as for `gnntrack.load`; or a lineage.
    out : path
        ``.mp4`` (H.264, which browsers, PowerPoint and QuickTime play) or ``.gif``.
    images : path, array (T, [Z], Y, X) or FrameStack, optional
        Images of the microscope; by default those that the result was made from, if they are still there.
    masks : path, array or FrameStack, optional
        The masks of a GEFF that has none beside it.
    settings : Settings, optional
        The section ``frames`` is used to read the images; its size of a voxel and interval are those of the scale bar
        and the time stamp. By default those of the result.
    overwrite, progress
        As in `gnntrack.track`.
    **style
        Keywords of `gnntrack.report.styles.VideoStyle`: ``frames``, ``tracks``, ``families``, ``colour_by``, ``fps``,
        ``size``, ``tails``, ``ids`` and ``crop``.

    Returns
    -------
    Path
        The video.

    Raises
    ------
    InputError
        If the result, images or masks cannot be read or do not fit each other, or a keyword has a wrong value.
    OutputError
        If `out` has another suffix, exists, or cannot be written.
    MissingDependencyError
        If PyAV is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import gnntrack
    >>> movie = gnntrack.simulate(frames=3, cells=4, shape=(64, 64), seed=1)
    >>> lineage = gnntrack.track(movie.images, movie.masks)
    >>> write_video(lineage, Path(tempfile.mkdtemp(), "cells.gif"), images=movie.images, fps=5).name
    'cells.gif'
    """
    out = Path(out).expanduser()
    chosen = VideoStyle.from_choices(style, recipe="write_video")
    check_figures(video=out, overwrite=overwrite)
    shown = _open_shown(result, images, masks, settings)
    scene = _make_scene(shown, chosen)
    longest = max(scene.shape[0] * scene.aspect, scene.shape[1])
    scale = choose_scale(longest, chosen.size, usual=_USUAL[out.suffix.lower()])
    painted = MovieFrames(scene=scene, scale=scale, ids=chosen.ids)
    numbers = resolve_range(chosen.frames, shown.lineage.cells.n_frames)
    with open_progress(progress) as report, fresh_output(out, overwrite=overwrite) as place:
        frames = _paint(painted, numbers, report)
        if out.suffix.lower() == ".mp4":
            write_mp4(place, frames, fps=chosen.fps, comment=OWN_VIDEO)
        else:
            sampled = np.unique(np.linspace(numbers[0], numbers[-1], _SAMPLED).astype(int)).tolist()
            palette = make_palette([painted.paint(t) for t in sampled])
            write_gif(place, frames, fps=chosen.fps, palette=palette)
    return out


def write_montage(
    result: str | Path | Lineage,
    out: str | Path,
    *,
    images: object = None,
    masks: object = None,
    settings: Settings | None = None,
    overwrite: bool = False,
    **style: Unpack[MontageChoices],
) -> Path:
    """Write frames of a result side by side, with coloured outlines, recent paths, time stamps and a scale bar.

    Parameters
    ----------
    result : path or Lineage
        As for `write_video`.
    out : path
        ``.png``, ``.svg`` or ``.pdf``; in the last two, outlines are lines and text stays text.
    images, masks, settings, overwrite
        As in `write_video`.
    **style
        Keywords of `gnntrack.report.styles.MontageStyle`: ``frames``, ``panels``, ``tracks``, ``families``,
        ``colour_by``, ``tails``, ``ids``, ``crop``, ``width`` and ``dpi``.

    Returns
    -------
    Path
        The figure.

    Raises
    ------
    InputError
        If the result, images or masks cannot be read or do not fit each other, or a keyword has a wrong value.
    OutputError
        If `out` has another suffix, exists, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import gnntrack
    >>> movie = gnntrack.simulate(frames=3, cells=4, shape=(64, 64), seed=1)
    >>> lineage = gnntrack.track(movie.images, movie.masks)
    >>> write_montage(lineage, Path(tempfile.mkdtemp(), "frames.pdf"), images=movie.images, panels=3).name
    'frames.pdf'
    """
    from gnntrack.report.montage import draw_montage

    out = Path(out).expanduser()
    chosen = MontageStyle.from_choices(style, recipe="write_montage")
    check_figures(montage=out, overwrite=overwrite)
    shown = _open_shown(result, images, masks, settings)
    numbers = resolve_range(chosen.frames, shown.lineage.cells.n_frames)
    frames = np.unique(np.linspace(numbers[0], numbers[-1], chosen.panels).round().astype(int)).tolist()
    figure = draw_montage(_make_scene(shown, chosen), frames, width=chosen.width / _INCH, ids=chosen.ids)
    return _save(figure, out, dpi=chosen.dpi, overwrite=overwrite)


def write_tree(
    result: str | Path | Lineage,
    out: str | Path,
    *,
    settings: Settings | None = None,
    overwrite: bool = False,
    **style: Unpack[TreeChoices],
) -> Path:
    """Write the lineage tree of a result as a figure, with an axis in hours if the frame interval is known.

    Parameters
    ----------
    result : path or Lineage
        As for `write_video`.
    out : path
        ``.png``, ``.svg`` or ``.pdf``; in the last two, text stays text, which other programs can edit.
    settings : Settings, optional
        ``settings.frames.interval`` replaces the interval of the result.
    overwrite : bool
        Replace an older file.
    **style
        Keywords of `gnntrack.report.styles.TreeStyle`: ``tracks``, ``families``, ``colour_by``, ``most``, ``size`` and
        ``dpi``.

    Returns
    -------
    Path
        The figure.

    Raises
    ------
    InputError
        If the result cannot be read, or a keyword has a wrong value.
    OutputError
        If `out` has another suffix, exists, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import gnntrack
    >>> lineage = gnntrack.track(masks=gnntrack.simulate(frames=3, cells=4, shape=(64, 64), seed=1).masks)
    >>> write_tree(lineage, Path(tempfile.mkdtemp(), "tree.pdf")).name
    'tree.pdf'
    """
    from gnntrack.report import draw_lineage_tree

    out = Path(out).expanduser()
    chosen = TreeStyle.from_choices(style, recipe="write_tree")
    check_figures(tree=out, overwrite=overwrite)
    lineage = _load(result)
    figure = draw_lineage_tree(
        lineage,
        most=chosen.most,
        shown=select_tracks(lineage, tracks=chosen.tracks, families=chosen.families),
        colour_by=chosen.colour_by,
        interval=_find_interval(lineage, settings, None),
    )
    _resize(figure, chosen.size)
    return _save(figure, out, dpi=chosen.dpi, overwrite=overwrite)


def write_kymograph(
    result: str | Path | Lineage,
    out: str | Path,
    *,
    images: object = None,
    settings: Settings | None = None,
    overwrite: bool = False,
    progress: Any = None,
    **style: Unpack[KymographChoices],
) -> Path:
    """Write a kymograph: the intensity along a line or an axis (to the right) over time (down), with the tracks on it.

    Parameters
    ----------
    result : path or Lineage
        As for `write_video`.
    out : path
        ``.png``, ``.svg`` or ``.pdf``.
    images, settings, overwrite, progress
        As in `write_video`.
    **style
        Keywords of `gnntrack.report.styles.KymographStyle`: ``along``, ``width``, ``projection``, ``frames``,
        ``tracks``, ``families``, ``colour_by``, ``size`` and ``dpi``.

    Returns
    -------
    Path
        The figure.

    Raises
    ------
    InputError
        If there are no images, they do not fit the result, or a keyword has a wrong value.
    OutputError
        If `out` has another suffix, exists, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import gnntrack
    >>> movie = gnntrack.simulate(frames=3, cells=4, shape=(64, 64), seed=1)
    >>> lineage = gnntrack.track(movie.images, movie.masks)
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_kymograph(lineage, folder / "line.svg", images=movie.images, along=(10, 5, 50, 60)).name
    'line.svg'
    """
    from gnntrack.report.kymograph import draw_kymograph, resolve_path, sample_kymograph

    out = Path(out).expanduser()
    chosen = KymographStyle.from_choices(style, recipe="write_kymograph")
    check_figures(kymograph=out, overwrite=overwrite)
    shown = _open_shown(result, images, None, settings)
    if shown.images is None:
        msg = f"{out}: a kymograph shows the intensity of the images; give them (--images PATH, in Python images=)"
        raise InputError(msg)
    path = resolve_path(chosen, shown.lineage.cells)
    numbers = resolve_range(chosen.frames, shown.lineage.cells.n_frames)
    with open_progress(progress) as report:
        values = sample_kymograph(shown.images, path, numbers, progress=report)
    figure = draw_kymograph(
        values,
        path,
        lineage=shown.lineage,
        frames=numbers,
        shown=shown.find_cells(chosen),
        colours=choose_cell_colours(shown.lineage, chosen.colour_by),
        pixel=shown.pixel,
        interval=shown.interval,
    )
    _resize(figure, chosen.size)
    return _save(figure, out, dpi=chosen.dpi, overwrite=overwrite)


def _load(result: str | Path | Lineage, masks: object = None) -> Lineage:
    return result if isinstance(result, Lineage) else load(result, points=True, related=masks is None)


def _open_shown(result: str | Path | Lineage, images: object, masks: object, settings: Settings | None) -> _Sources:
    own = isinstance(result, Lineage)
    summary = None if own else read_summary(str(result))
    lineage, runs = read_cells(_load(result, masks), masks)
    source = "" if own else str(result)
    lineage, stack, note = find_images(images, source, lineage, summary, settings, points=runs is None)
    return _Sources(
        lineage=lineage,
        runs=runs,
        images=stack,
        note=note,
        pixel=_find_pixel(lineage, settings, stack),
        interval=_find_interval(lineage, settings, stack),
    )


def _find_pixel(lineage: Lineage, settings: Settings | None, images: FrameStack | None) -> float | None:
    """Return the size of a pixel along x in um: that of the settings, of the result, or of the images."""
    given = None if settings is None else settings.frames.spacing
    if given is not None:
        return float(np.ravel(given)[-1])
    sources: list[Any] = [lineage.cells, *([] if images is None else [images])]
    return next((float(each.spacing[-1]) for each in sources if each.unit == "um"), None)


def _find_interval(lineage: Lineage, settings: Settings | None, images: FrameStack | None) -> float | None:
    """Return the seconds between frames: those of the settings, of the result, or of the images."""
    given: Any = None if settings is None else settings.frames.interval
    return given or lineage.provenance.interval or get_interval(images)


def _make_scene(shown: _Sources, style: VideoStyle | MontageStyle) -> MovieScene:
    """Return the movie and its cells in a style; a warning is given if the images are missing or larger."""
    if shown.note:
        _log.warning("%s", shown.note)
    cells, lineage = shown.find_cells(style), shown.lineage
    height, width = lineage.cells.shape[-2:]
    numbers = resolve_range(style.frames, lineage.cells.n_frames)
    inside = (lineage.cells.frame >= numbers.start) & (lineage.cells.frame < numbers.stop)
    colours = choose_cell_colours(lineage, style.colour_by)
    used = set(map(tuple, colours.cells[cells & inside].tolist()))
    return MovieScene(
        lineage=lineage,
        runs=shown.runs,
        images=shown.images,
        colours=colours._replace(key=[(text, colour) for text, colour in colours.key if colour in used]),
        shown=cells,
        window=find_window(lineage, cells & inside) if style.crop else Window(0, 0, height, width),
        pixel=shown.pixel,
        interval=shown.interval,
        tails=style.tails,
    )


def _paint(painted: MovieFrames, numbers: range, progress: Progress | None) -> Iterator[Image]:
    for done, frame in enumerate(numbers, start=1):
        yield painted.paint(frame)
        if progress is not None:
            progress("drawing frames", done, len(numbers))


def _resize(figure: Figure, size: tuple[float, float] | None) -> None:
    """Give a figure a width and height in centimetres, unless they are None."""
    if size is not None:
        figure.set_size_inches(size[0] / _INCH, size[1] / _INCH)


def _save(figure: Figure, out: Path, *, dpi: float | None, overwrite: bool) -> Path:
    from gnntrack.report import save_figure

    with fresh_output(out, overwrite=overwrite) as place:
        try:
            save_figure(figure, place, dpi=dpi)
        except OutputError as error:  # it names the temporary file
            raise OutputError(str(error).replace(str(place), str(out))) from error
    return out
