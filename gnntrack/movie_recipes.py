"""Recipes that make what is tracked: ``segment`` makes masks from images, ``detect`` points, ``simulate`` a movie."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.frame_array import FrameArray
from gnntrack.io.output import fresh_output, try_output
from gnntrack.io.writers import CellMasks
from gnntrack.movie import open_images
from gnntrack.options import accept_options
from gnntrack.settings import Settings
from gnntrack.user_warnings import record_warnings

if TYPE_CHECKING:
    import pandas as pd

    from gnntrack.segmentation.detection import Detector
    from gnntrack.segmentation.protocol import Segmenter
    from gnntrack.segmentation.statistics import MovieStatistics
    from gnntrack.simulate import SimulatedMovie

__all__ = ["detect", "segment", "simulate"]

_log = logging.getLogger(__name__)


@accept_options("frames", "output")
def segment(
    images: object,
    out: str | Path,
    *,
    segmenter: str | Segmenter = "threshold",
    options: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Any = None,
    **reading: Any,  # noqa: ARG001  (it is in the settings)
) -> int:
    """Segment the images of a movie into a folder of masks, with a summary and a picture in its folder ``gnntrack``.

    Parameters
    ----------
    images, overwrite, progress, **reading
        As in `gnntrack.track`, such as ``spacing=0.5``.
    out : path
        Folder of the masks, one TIFF per frame.
    segmenter, options, settings
        A segmenter, or its name and its options, such as ``{"diameter": 30}`` or ``{"diameter": "12um"}``; of the
        settings, ``frames`` and ``output`` are used.
    resume : bool
        Keep the masks if the run is interrupted, and continue an interrupted run of the same images and segmenter.

    Returns
    -------
    int
        Number of cells in all frames.

    Raises
    ------
    InputError, SegmenterError, OutputError
        If the images cannot be read, the segmenter is unknown or fails, or `out` exists or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> movie = simulate(frames=2, cells=3, seed=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     segment(movie.images, Path(folder, "masks"))
    4
    """
    from gnntrack.measure.flatness import warn_of_cubes
    from gnntrack.segmentation.files import draw_masks, write_summary
    from gnntrack.segmentation.movie import load_for_movie, segment_movie
    from gnntrack.segmentation.quality import list_problems

    start = time.perf_counter()
    with record_warnings() as warnings:
        try_output(out, overwrite=overwrite)
        stack = open_images(images, settings=settings)
        ready = load_for_movie(segmenter, options, stack)

        def write_extras(folder: Path, statistics: MovieStatistics) -> None:
            flatness = np.array([each.flatness for each in statistics.frames.values() if each.flatness])
            warn_of_cubes(stack, flatness, result="masks and sizes")  # the first thing to try
            for problem in list_problems(statistics):
                _log.warning(problem)
            if (settings or Settings()).output.pictures:
                draw_masks(folder, statistics, stack)
            seconds = time.perf_counter() - start
            about: dict[str, Any] = {"source": images, "segmenter": ready, "seconds": seconds, "warnings": warnings}
            write_summary(folder, statistics, images=stack, **about)

        work: dict[str, Any] = {"progress": progress, "write_extras": write_extras}
        return segment_movie(stack, ready, out, overwrite=overwrite, resume=resume, source=images, **work)


@accept_options("frames")
def detect(
    images: object,
    out: str | Path | None = None,
    *,
    detector: str | Detector = "dog",
    options: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    overwrite: bool = False,
    progress: Any = None,
    **reading: Any,  # noqa: ARG001  (it is in the settings)
) -> pd.DataFrame:
    """Find the centres of the cells in the images of a movie.

    Parameters
    ----------
    images, overwrite, progress, **reading
        As in `gnntrack.track`, such as ``spacing=(1.6, 0.4, 0.4)``.
    out : path, optional
        Table of the points: a file that ends in ``.csv`` or ``.parquet``. If None, nothing is written.
    detector, options, settings
        A detector, or its name and its options, such as ``{"diameter": "8um"}``; of the settings, ``frames`` is used.

    Returns
    -------
    pandas.DataFrame
        A row per point: ``t``, ``z`` (of stacks), ``y``, ``x`` in voxels, ``radius`` in um (in pixels if the size of a
        voxel is not known), ``intensity`` in grey values, and ``score`` from 0 to 1. `gnntrack.track` takes it as
        ``points``.

    Raises
    ------
    InputError, SegmenterError, OutputError
        If the images cannot be read, the detector is unknown or fails, or `out` exists or cannot be written.

    Examples
    --------
    >>> movie = simulate(frames=2, cells=3, shape=(100, 100), seed=1)
    >>> points = detect(movie.images, detector="dog")
    >>> list(points.columns), points.t.tolist()
    (['t', 'y', 'x', 'radius', 'intensity', 'score'], [0, 0, 0, 1, 1, 1])
    """
    from gnntrack.io.detected_points import check_table_path, write_detected_points
    from gnntrack.segmentation.detection import detect_movie, prepare_detector

    if out is not None:
        check_table_path(out)
        try_output(out, overwrite=overwrite)
    stack = open_images(images, settings=settings)
    points = detect_movie(stack, prepare_detector(detector, options, stack), progress=progress)
    if out is not None:
        write_detected_points(points, out, overwrite=overwrite)
    return points


@accept_options("simulate")
def simulate(
    out: str | Path | None = None,
    *,
    kind: str = "cells",
    settings: Settings | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: Any = None,
    **options: Any,  # noqa: ARG001  (they are in the settings)
) -> SimulatedMovie:
    """Make a movie with a known lineage.

    Parameters
    ----------
    out : path, optional
        Folder for images, masks and ground truth in the CTC layout; if None, nothing is written.
    kind : str
        What is in the movie: ``"cells"``, or one of `gnntrack.simulate.kinds.KINDS`, such as ``"colony"``, of which all
        settings that are not given are drawn at random.
    settings : Settings, optional
        Its section ``simulate`` is used.
    seed : int
        The same seed gives the same movie.
    overwrite, progress
        As in `gnntrack.track`.
    **options
        Settings of the section by their names, such as ``frames=6`` or ``shape=(100, 100)``.

    Returns
    -------
    SimulatedMovie
        ``images`` and ``masks``, arrays ``(T, [Z], Y, X)`` that are computed when they are read (`FrameArray`), and the
        true ``lineage``.

    Raises
    ------
    InputError
        If the kind is unknown, or has no movies of this number of axes.
    OutputError
        If `out` exists or cannot be written.

    Examples
    --------
    >>> movie = simulate(frames=6, shape=(100, 100), seed=1)
    >>> movie.images.shape, movie.images.dtype.name, len(movie.lineage)
    ((6, 100, 100), 'uint16', 18)
    """
    from gnntrack.simulate import simulate_kind, simulate_movie, write_movie

    if out is not None:
        try_output(out, overwrite=overwrite)
    section = (settings or Settings()).simulate
    movie = (
        simulate_movie(settings=section, seed=seed)
        if kind == "cells"
        else simulate_kind(kind, settings=section, seed=seed)
    )
    if out is not None:
        with fresh_output(out, overwrite=overwrite) as folder:
            write_movie(movie, folder, progress=progress)
    images = None if movie.images is None else FrameArray(movie.images, np.uint16)
    lineage = movie.lineage.with_masks(CellMasks(movie.runs))
    return movie._replace(images=images, masks=FrameArray(movie.masks, np.int32), lineage=lineage)
