"""Recipe of ``gnntrack train-detector``: from images whose cells, all or only some, are known as points to a detector.

The network and its loss belong to the detector: a registered class with a classmethod ``train``, see
`TrainableDetector`. Here are the images and points, and the split into training and validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from gnntrack.errors import InputError, SegmenterError
from gnntrack.io.frames import open_frames
from gnntrack.io.point_graph import read_point_graph
from gnntrack.plurals import choose_form, count_noun
from gnntrack.segmentation.detection import DETECTORS
from gnntrack.training.detector_settings import DetectorTraining
from gnntrack.training.run import TrainingRun
from gnntrack.training.simulated_points import simulate_point_examples
from gnntrack.types import Points

if TYPE_CHECKING:
    from gnntrack.types import FrameStack, Image, PointGraph

__all__ = ["MovieFrame", "PointImage", "TrainableDetector", "find_point_frames", "train_detector"]

_IMAGES = (".zarr", ".ome.zarr", ".tif", ".tiff", ".ome.tif", "")
_ALL = 0.95  # fraction of the estimated number of cells from which a ground truth is complete


class PointImage(Protocol):
    """An image with known points, still on disk. It may also have ``simulated``, True for a simulation."""

    @property
    def name(self) -> str:
        """Name for messages: movie and frame."""
        ...

    @property
    def movie(self) -> str:
        """The movie that the image belongs to."""
        ...

    @property
    def complete(self) -> bool:
        """Whether all cells of the image are known."""
        ...

    def read(self) -> tuple[Image, Points, tuple[float, ...]]:
        """Return the image, its known cells (radius NaN if unknown), and the size of a voxel along ``[z], y, x``."""
        ...


@runtime_checkable
class TrainableDetector(Protocol):
    """A class of detectors that can be trained: it has a classmethod ``train``."""

    @classmethod
    def train(
        cls,
        examples: Sequence[PointImage],
        checks: Sequence[PointImage],
        run: TrainingRun,
        *,
        training: DetectorTraining,
        start: str | Path | None,
    ) -> dict[str, Any]:
        """Train a network; the folder of the run then holds the model, ``log.csv`` and a checkpoint.

        Parameters
        ----------
        examples, checks : sequence of PointImage
            Images to train on, and images to validate on.
        run : TrainingRun
            Folder, seed, device, progress, provenance; pass it to `gnntrack.training.loop.run_training`.
        training : DetectorTraining
            Steps, batch and so on.
        start : path, "shipped" or None
            Model to start from; None for random weights.

        Returns
        -------
        dict
            The row of the log of the best validation.

        Raises
        ------
        TrainingError
            If the images cannot be trained on, or the loss is NaN or infinite.
        """
        ...


@dataclass(frozen=True)
class MovieFrame:
    """A frame of a movie with its annotated points.

    Parameters
    ----------
    images : FrameStack
        The movie.
    truth : PointGraph
        Its ground truth.
    movie : str
        Its name.
    frame : int
        Number of the frame.
    complete : bool
        Whether all cells of the frame are known.
    """

    images: FrameStack
    truth: PointGraph
    movie: str
    frame: int
    complete: bool

    @cached_property
    def name(self) -> str:
        """Movie and frame."""
        return f"{self.movie} frame {self.frame}"

    def read(self) -> tuple[Image, Points, tuple[float, ...]]:
        """Return the image, the annotated points, and the size of a voxel."""
        spacing = self.images.spacing if self.images.unit == "um" else self.truth.spacing
        chosen = self.truth.frame == self.frame
        position = self.truth.position[chosen] / np.asarray(self.truth.spacing)
        unknown = np.full(len(position), np.nan)
        return np.asarray(self.images[self.frame]), Points(position, unknown, unknown), tuple(spacing)


def train_detector(
    data: Sequence[str | Path],
    run: TrainingRun | str | Path,
    *,
    detector: str = "heatmap",
    start: str | Path | None = None,
    training: DetectorTraining | None = None,
    complete: bool = False,
) -> dict[str, Any]:
    """Train a detector on movies in which all cells, or only some, are annotated.

    Parameters
    ----------
    data : paths
        Movies with their ground truth, see `find_point_frames`; may be empty if there are simulated images.
    run : TrainingRun or path
        Folder of the model, seed, device, progress; a path is the folder of a run with the defaults.
    detector : str
        Name of a detector that can be trained.
    start : path or "shipped", optional
        Model to start from: a folder, or the one that comes with gnntrack. By default, a new network.
    training : DetectorTraining, optional
        Steps, batch and so on.
    complete : bool
        All cells of every frame are annotated. If False, this holds for a movie whose ground truth has nearly as many
        points as its estimated number of cells; of all others, cells without an annotation are unknown, not background.

    Returns
    -------
    dict
        Numbers of movies, images to train on and images to validate on (``checks``), points, step of the kept weights
        (``steps``), and the best row of the log.

    Raises
    ------
    InputError
        If there is nothing to learn from.
    SegmenterError
        If the detector is unknown, or cannot be trained.
    ModelError
        If `start` is not a model of this detector.
    OutputError
        If the folder exists.
    TrainingError
        If the loss is NaN or infinite.

    Examples
    --------
    >>> from gnntrack.training import train_detector
    >>> summary = train_detector(["MOVIES"], "model", start="shipped")  # doctest: +SKIP
    """
    run, training = TrainingRun.from_folder(run), training or DetectorTraining()
    factory = DETECTORS[detector]
    if not hasattr(factory, "train"):
        msg = f"detector '{detector}' cannot be trained; train 'heatmap'"
        raise SegmenterError(msg)
    run.check()
    frames = [frame for path in data for frame in find_point_frames(path, complete=complete)]
    examples, checks = _split_frames(frames, training.held_out)
    if training.simulated:
        options: dict[str, Any] = {"dimensions": training.simulated_axes}
        examples += simulate_point_examples(training.simulated, seed=run.seed + 1, **options)
        checks += simulate_point_examples(max(4, training.simulated // 6), seed=run.seed + 2, **options)[:24]
    if not examples:
        msg = "there is nothing to learn from; give movies with their ground truth, or a number of simulated images"
        raise InputError(msg)
    movies = sorted({each.movie for each in frames})
    about: dict[str, Any] = {"detector": detector, "data": movies, "images": len(examples), "seed": run.seed}
    about |= {} if start is None else {"start": {"model": str(start)}}
    with run.replace_folder():
        described = run.with_provenance(**about, settings=training.to_dict(plain=True))
        best = factory.train(examples, checks, described, training=training, start=start)
    points = sum(int((each.truth.frame == each.frame).sum()) for each in frames)
    counts = {"movies": len(movies), "images": len(examples), "checks": len(checks), "points": points}
    return {**counts, "steps": best["step"], "best": best}


def find_point_frames(path: str | Path, *, complete: bool = False) -> list[MovieFrame]:
    """Return the frames of a movie, or of all movies of a folder, that have annotated points.

    Parameters
    ----------
    path : path
        A ground truth ``NAME.geff`` with its images ``NAME.zarr`` or ``NAME.tif`` beside it, the images, or a folder of
        such pairs.
    complete : bool
        As of `train_detector`.

    Raises
    ------
    InputError
        If there is no ground truth, or it has no images.
    """
    place = Path(path).expanduser()
    if not place.exists():
        msg = f"{path}: it does not exist; give movies with their ground truth, NAME.zarr and NAME.geff"
        raise InputError(msg)
    if place.suffix == ".geff":
        truths = [place]
    elif place.suffix and place.with_suffix(".geff").exists():
        truths = [place.with_suffix(".geff")]
    else:
        truths = sorted(place.glob("*.geff"))
    if not truths:
        msg = f"{path}: no ground truth; expected NAME.geff beside the images NAME.zarr or NAME.tif"
        raise InputError(msg)
    return [frame for truth in truths for frame in _read_movie(truth, complete=complete)]


def _read_movie(truth: Path, *, complete: bool) -> list[MovieFrame]:
    found = [place for suffix in _IMAGES if (place := truth.with_name(truth.stem + suffix)).exists()]
    if not found:
        msg = f"{truth}: no images beside it; expected {truth.stem}.zarr or {truth.stem}.tif"
        raise InputError(msg)
    graph = read_point_graph(truth)
    images = open_frames(found[0])
    if graph.position.shape[1] != len(images.shape):
        axes = count_noun(graph.position.shape[1], "axis", "axes")
        msg = f"{truth}: its points have {axes}, and the images {found[0]} {len(images.shape)}"
        raise InputError(msg)
    if len(graph) and graph.frame.max() >= len(images):
        number = count_noun(len(images), "frame")
        msg = f"{truth}: a point is in frame {graph.frame.max()}, and {found[0]} has {number}; give its own images"
        raise InputError(msg)
    _check_inside(graph, images, truth, found[0])
    whole = complete or (graph.total is not None and len(graph) >= _ALL * graph.total)
    return [MovieFrame(images, graph, truth.stem, int(frame), whole) for frame in np.unique(graph.frame)]


def _check_inside(graph: PointGraph, images: FrameStack, truth: Path, source: Path) -> None:
    """Raise if points are more than a voxel outside of the images, as those of other images or in another unit are."""
    voxel = graph.position / np.asarray(graph.spacing)
    outside = ((voxel < -1) | (voxel > images.shape)).any(axis=1)
    if outside.any():
        place = ", ".join(f"{value:.6g}" for value in voxel[int(np.argmax(outside))])
        number, points = int(outside.sum()), count_noun(len(graph), "point")
        verb = choose_form(number, "is", "are")
        msg = (
            f"{truth}: {number} of {points} {verb} outside of the {tuple(images.shape)} voxels "
            f"of {source}, such as that at {place}; give its own images, or correct the scale of the GEFF"
        )
        raise InputError(msg)


def _split_frames(frames: Sequence[MovieFrame], held_out: float) -> tuple[list[Any], list[Any]]:
    """Return the frames to train on, and the last ones of each movie to validate on."""
    examples: list[Any] = []
    checks: list[Any] = []
    for movie in dict.fromkeys(each.movie for each in frames):
        own = [each for each in frames if each.movie == movie]
        kept = int(np.ceil(held_out * len(own))) if len(own) > 3 else 0
        examples += own[: len(own) - kept]
        checks += own[len(own) - kept :]
    return examples, checks
