"""Recipe of ``gnntrack train-segmenter``: from images with masks to a trained segmenter.

The network and its loss belong to the segmenter: a registered class with a classmethod ``train``, see
`TrainableSegmenter`. Everything that all of them need is here: the images, the split into training and validation, the
metrics, the learning curve.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import numpy as np

from gnntrack.errors import FrameError, GnntrackError, InputError, SegmenterError
from gnntrack.evaluate.counts import Counts, compare_labels
from gnntrack.io.images import TIFF_SUFFIXES
from gnntrack.io.tiff import holds_movie
from gnntrack.json_files import read_json
from gnntrack.plurals import count_noun
from gnntrack.segmentation import available_segmenters, segmenter_class
from gnntrack.settings import DEFAULTS_OF_A_START, Settings, TrainSegmenterSettings
from gnntrack.training.examples.search import find_examples
from gnntrack.training.examples.sparse import RelabelledImage, SparseImage, count_unlabelled
from gnntrack.training.examples.split import split_examples
from gnntrack.training.loop import LOG
from gnntrack.training.run import TrainingRun
from gnntrack.training.simulated import SimulatedExample, simulate_examples

if TYPE_CHECKING:
    from gnntrack.training.examples.example import Example
    from gnntrack.types import Image

    Images = Sequence["LabelledImage"]
    Metrics = Callable[[Sequence[tuple[Image, Image]]], Mapping[str, float]]

__all__ = ["LabelledImage", "TrainableSegmenter", "learn", "mask_metrics", "train_segmenter"]

_log = logging.getLogger(__name__)

_LOOKED_AT = 6  # images in which unlabelled cells are counted
_FEW_LABELLED = 3  # unlabelled regions for each labelled cell from which annotations may be sparse
_FEWEST_TO_SHARE = 12  # images of a training from a model, below which none is kept for validation


class LabelledImage(Protocol):
    """An image with its labels, still on disk.

    It may also have ``spacing``, the size of a voxel along z, y, x, ``simulated``, True for a simulation, and
    ``frame``, None if it is not a frame of a movie: then its cells may differ in size from those of other images. An
    image that may be RGB has methods ``has_colours`` and ``keep_colours``, as `gnntrack.training.examples.Example`.
    """

    @property
    def name(self) -> str:
        """Name for messages: file, or movie and frame."""
        ...

    @property
    def movie(self) -> str:
        """The movie, or the folder, that the image belongs to."""
        ...

    def read(self) -> tuple[Image, Image]:
        """Return the image and its labels, of one shape: 0 is background, labels below 0 are unknown.

        Networks that label every pixel ignore unknown pixels; the other ones treat them as background.
        """
        ...


@runtime_checkable
class TrainableSegmenter(Protocol):
    """A class of segmenters that can be trained: it has a classmethod ``train``.

    If its attribute ``learns_colours`` is True, it can be trained on RGB images: it asks them for their colours, see
    `gnntrack.training.examples.channels`. If it can start from a trained model, ``train`` also has the keyword
    ``start``: the folder of the model, or ``"shipped"``. It is given only if a start was asked for.
    """

    @classmethod
    def train(
        cls, examples: Images, checks: Images, run: TrainingRun, *, settings: TrainSegmenterSettings, metrics: Metrics
    ) -> dict[str, Any]:
        """Train a network; the folder of the run then holds the model, ``log.csv`` and a checkpoint.

        Parameters
        ----------
        examples, checks : sequence of LabelledImage
            Images to train on, and images to validate on.
        run : TrainingRun
            Folder, seed, device, progress, provenance; pass it to `gnntrack.training.loop.run_training`.
        settings : TrainSegmenterSettings
            Steps, patches, losses; its ``options`` are those of the new network.
        metrics : callable
            From pairs of result and ground truth to ``dice``, ``seg`` and ``f1``, see `mask_metrics`.

        Returns
        -------
        dict
            The row of the log of the best validation.

        Raises
        ------
        TrainingError
            If the images cannot be trained on, or the loss is NaN or infinite.
        SegmenterError
            If an option of the network is unknown or out of range.
        """
        ...


def train_segmenter(
    name: str,
    data: Sequence[str | Path],
    run: TrainingRun | str | Path,
    *,
    start: str | Path | None = None,
    validation: Sequence[str | Path] | None = None,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Train a segmenter on images whose masks are known.

    Parameters
    ----------
    name : str
        Name of a segmenter that can be trained.
    data : paths
        Folders of images with masks: see `gnntrack.training.examples.find_examples`.
    run : TrainingRun or path
        Folder of the model, seed, device, progress; a path is the folder of a run with the defaults.
    start : path or "shipped", optional
        Model to start from: a folder, or the one that comes with gnntrack. The network then has the layout of this
        model. A few images and a few minutes are enough; ``steps``, ``learning_rate``, ``patch`` and
        ``validate_every`` have other defaults. The setting ``kind`` chooses the model that comes with gnntrack; by
        default its choice is a guess from the images. By default, a new network. A resumed run has the start of the
        interrupted one.
    validation : paths, optional
        Images to validate on; by default a fraction of `data` (of movies the last frames), which is then not trained
        on.
    settings : Settings, optional
        ``train_segmenter`` holds those of the training.

    Returns
    -------
    dict
        Numbers of movies, images to train on and images to validate on (``checks``), step of the kept weights
        (``steps``), the best row of the log, and the model that the training started from, if any (``start``).

    Raises
    ------
    InputError
        If `data` has no images with masks.
    SegmenterError
        If the segmenter is unknown, or cannot be trained, or not from a start.
    ModelError
        If `start` is not a model, or its network has another layout than the settings or the images ask for.
    OutputError
        If the folder exists.
    TrainingError
        If the images cannot be trained on, or the loss is NaN or infinite.
    KeyboardInterrupt
        Passed on; the folder holds a model, unless the training has not begun, and the run can be resumed.

    Examples
    --------
    >>> from gnntrack.training import TrainingRun, train_segmenter
    >>> summary = train_segmenter("unet", ["images"], TrainingRun("model", seed=1))  # doctest: +SKIP
    """
    run, settings = TrainingRun.from_folder(run), settings or Settings()
    _find_trainable(name)
    run.check()
    start = _find_start(run) if start is None else start
    examples, checks = _find_examples(data, validation, settings, run.seed, started=start is not None)
    with run.replace_folder():
        return learn(name, examples, checks, run, settings=settings.train_segmenter, start=start)


def learn(
    name: str,
    examples: Images,
    checks: Images,
    run: TrainingRun,
    *,
    settings: TrainSegmenterSettings,
    start: str | Path | None = None,
) -> dict[str, Any]:
    """Train a segmenter on given images, and draw its learning curve.

    Parameters
    ----------
    name : str
        Name of the segmenter.
    examples, checks : sequence of LabelledImage
        Images to train on, and images to validate on.
    run : TrainingRun
        Its folder exists.
    settings : TrainSegmenterSettings
        Steps, patches, losses, options of the network.
    start : path or "shipped", optional
        Model to start from, see `train_segmenter`.

    Returns
    -------
    dict
        As of `train_segmenter`.
    """
    start = _find_start(run) if start is None else start
    segmenter, more = _find_trainable(name), {}
    if start is not None:
        _check_can_start(name, segmenter)
        settings, more = _choose_start_defaults(settings), {"start": start}
    _check_settings(name, segmenter, settings, start)
    movies = {each.movie for each in examples}
    try:
        best = segmenter.train(
            [_hide_unknown(each, settings) for each in examples],
            [_hide_unknown(each, settings) for each in checks],
            run.with_provenance(segmenter=name, data=sorted(movies)),
            settings=settings,
            metrics=mask_metrics,
            **more,
        )
    finally:
        _draw_curve(run.folder)
    more = {} if start is None else {"start": _read_start_name(run.folder) or str(start)}
    counts = {"movies": len(movies), "images": len(examples), "checks": len(checks)}
    return {**counts, "steps": best["step"], "best": best, **more}


def _draw_curve(folder: Path) -> None:
    """Draw the learning curve if there is a validation after a step; of an interrupted training as well."""
    from gnntrack.report import draw_learning_curve, save_figure

    rows = (folder / LOG).read_text(encoding="utf-8").splitlines() if (folder / LOG).is_file() else []
    if len(rows) > 1 and not rows[-1].startswith("0,"):
        save_figure(draw_learning_curve(folder / LOG), folder / "learning_curve.png")


def _find_start(run: TrainingRun) -> str | None:
    """Return the start of the training that is resumed, or None."""
    checkpoint = run.read_checkpoint()
    if checkpoint is None:
        return None
    start: str | None = checkpoint["state"].get("notes", {}).get("start", {}).get("model")
    return start


def _read_start_name(folder: Path) -> str | None:
    """Return the name of the model that the training of a model started from, such as ``shipped nuclei``."""
    try:
        about = read_json(folder / "model.json")
        return str(about["training"]["start"]["model"])
    except (OSError, ValueError, LookupError, TypeError):  # of a segmenter with other files
        return None


def _check_can_start(name: str, segmenter: type[TrainableSegmenter]) -> None:
    """Raise if a segmenter cannot start from a trained model."""
    if "start" not in inspect.signature(segmenter.train).parameters:
        msg = f"segmenter '{name}' cannot start from a trained model; omit --from to train a new network"
        raise SegmenterError(msg)


def _check_settings(
    name: str, segmenter: type[TrainableSegmenter], settings: TrainSegmenterSettings, start: str | Path | None
) -> None:
    """Raise if a segmenter cannot be trained with these settings."""
    if settings.sparse and not getattr(segmenter, "ignores_unknown", False):
        msg = f"segmenter '{name}' learns unlabelled pixels as background, so it cannot be trained with --sparse"
        raise SegmenterError(msg + "; train 'unet', or label all cells")
    if settings.background_label and not settings.sparse:
        msg = f"background_label is {settings.background_label}, which counts for sparse labels only; give --sparse too"
        raise SegmenterError(msg + " (in Python sparse=True), or omit --background-label")
    if settings.kind != "auto" and not str(start or "").startswith("shipped"):
        msg = f"kind is {settings.kind}, which chooses the shipped model to start from; give --from shipped too"
        raise SegmenterError(msg + " (in Python start='shipped'), or omit --kind")
    if settings.colours == "rgb" and not getattr(segmenter, "learns_colours", False):
        msg = f"segmenter '{name}' learns grey values only; omit --colours rgb, or train 'unet'"
        raise SegmenterError(msg)


def _choose_start_defaults(settings: TrainSegmenterSettings) -> TrainSegmenterSettings:
    """Return the settings with the defaults for a network that is trained already; given values stay."""
    missing = DEFAULTS_OF_A_START.keys() - settings.given
    return settings.replace(**{name: DEFAULTS_OF_A_START[name] for name in missing})


def mask_metrics(results: Sequence[tuple[Image, Image]]) -> dict[str, float]:
    """Return Dice, SEG, and F1 at IoU 0.5, over all images together.

    Parameters
    ----------
    results : sequence of (labels, truth)
        Label images of the segmenter and of the ground truth.
    """
    total = sum((compare_labels(found, truth) for found, truth in results), Counts())
    return {"dice": total.dice, "seg": total.seg or 0.0, "f1": total.f1}


@dataclass(frozen=True)
class _BorderHidden(RelabelledImage):
    """An image whose ground truth may lack cells along the border: unlabelled pixels there are unknown."""

    margin: int

    def read(self) -> tuple[Image, Image]:
        image, labels = self.example.read()
        edge = np.ones(labels.shape, bool)
        edge[..., self.margin : -self.margin, self.margin : -self.margin] = False
        return image, np.where(edge & (labels == 0), -1, labels).astype(np.int32)


def _hide_unknown(example: LabelledImage, settings: TrainSegmenterSettings) -> LabelledImage:
    """Mark unlabelled pixels as unknown, in the margin or where annotations are sparse; a simulation stays as it is."""
    if isinstance(example, SimulatedExample):
        return example
    if settings.sparse:
        return SparseImage(example, settings.background_label)
    return _BorderHidden(example, settings.margin) if settings.margin else example


def _check_contrast(examples: Sequence[Example]) -> None:
    """Raise if some of the images are all of a single grey value."""
    some = examples[:: -(-len(examples) // _LOOKED_AT) or 1]
    images = (example.read()[0] for example in some)
    if some and all(not image.size or image.min() == image.max() for image in images):
        msg = (
            f"{some[0].name}: the images have a single grey value each, so that nothing can be learnt from them; check "
            "that they are images, and not masks or an empty channel"
        )
        raise InputError(msg)


def _warn_of_movies(examples: Sequence[Example]) -> None:
    """Warn if the first image that is a TIFF on its own has time points, which are read as the slices of a stack."""
    file = next((each.image_file for each in examples if each.frame is None), None)
    with suppress(FrameError):  # damaged files are reported when they are read
        if file is not None and file.suffix.lower() in TIFF_SUFFIXES and holds_movie(file):
            _log.warning(
                "%s: by its metadata it is a movie, and its frames are learnt as the slices of a stack (z); for images "
                "in 2D, save each frame and its labels in files of their own",
                file,
            )


def _warn_of_seen(examples: Sequence[Example], checks: Sequence[Example]) -> None:
    """Warn if images to validate on are trained on, too."""
    trained = {(each.image_file.resolve(), each.plane) for each in examples}
    seen = [each.name for each in checks if (each.image_file.resolve(), each.plane) in trained]
    if seen:
        _log.warning(
            "%d of %s to validate on are trained on, too, such as %s: their scores are too high, and the best weights "
            "may not be the best for other images; give other images with --validation",
            len(seen),
            count_noun(len(checks), "image"),
            seen[0],
        )


def _have_cells(examples: Images) -> bool:
    """Return whether an image has a cell; all are read only if none has."""
    return any((example.read()[1] > 0).any() for example in examples)


def _warn_if_sparse(examples: Images) -> None:
    """Warn if far more regions look like cells than are labelled, in most of some images."""
    few = []
    some = [each for each in examples if not isinstance(each, SimulatedExample)]
    some = some[:: -(-len(some) // _LOOKED_AT) or 1]
    for example in some:
        cells, more = count_unlabelled(*example.read())
        if more > max(_FEW_LABELLED * cells, _FEW_LABELLED):
            few.append(f"{example.name}: {count_noun(cells, 'cell')} labelled, about {more} more look like them")
    if 2 * len(few) > len(some):
        _log.warning("%s; cells without a label are learnt as background: if they are cells, give --sparse", few[0])


def _find_trainable(name: str) -> type[TrainableSegmenter]:
    """Return the class of a segmenter that can be trained."""
    found = segmenter_class(name)
    if not _is_trainable(found):
        msg = f"segmenter '{name}' cannot be trained; there are: {', '.join(_list_trainable())}"
        raise SegmenterError(msg)
    return cast("type[TrainableSegmenter]", found)


def _is_trainable(segmenter: object) -> bool:
    return isinstance(segmenter, TrainableSegmenter)


def _list_trainable() -> list[str]:
    """Return the names of the installed segmenters that can be trained; all of them are imported."""
    names = []
    for name in available_segmenters():
        with suppress(GnntrackError):  # a segmenter whose libraries are not installed
            if _is_trainable(segmenter_class(name)):
                names.append(name)
    return names


def _find_examples(
    data: Sequence[str | Path],
    validation: Sequence[str | Path] | None,
    settings: Settings,
    seed: int,
    *,
    started: bool,
) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """Return the images to train on, and those to validate on."""
    chosen = settings.train_segmenter
    found = find_examples(data, truth=chosen.truth) if data else []
    _check_contrast(found)
    _warn_of_movies(found)
    if not chosen.sparse:
        found = _skip_incomplete(found)
        _warn_if_sparse(found)
    made = simulate_examples(chosen.simulated, seed=seed, dimensions=chosen.simulated_axes)
    if not found and not made:
        msg = "there is nothing to learn from; give folders of images with masks, or --simulated N"
        raise InputError(msg)
    few = _learns_from_all(found, validation, chosen, started=started)
    checks: list[LabelledImage] = []
    examples: list[LabelledImage] = [*found]
    if validation:
        checks = [*_read_checks(validation, found, chosen)]
    elif found:
        first, last = split_examples(found, held_out=0.0 if few else chosen.held_out)
        examples, checks = ([*first], [*last]) if _have_cells(last) else ([*found], [])
    elif chosen.held_out:
        count = max(1, round(chosen.held_out * chosen.simulated))
        checks = [*simulate_examples(count, seed=seed + 1, dimensions=chosen.simulated_axes)]
    if not checks and not few:
        _log.warning("no images are kept for validation: the last weights are kept, not the best ones")
    return [*examples, *made], checks


def _learns_from_all(
    found: Sequence[Example], validation: Sequence[str | Path] | None, chosen: TrainSegmenterSettings, *, started: bool
) -> bool:
    """Return whether none of the images is kept for validation: few images of a training from a model."""
    if not started or validation or "held_out" in chosen.given or not 0 < len(found) < _FEWEST_TO_SHARE:
        return False
    images = count_noun(len(found), "image")
    _log.info("%s, fewer than %d: all are trained on, none is kept for validation", images, _FEWEST_TO_SHARE)
    return True


def _read_checks(
    validation: Sequence[str | Path], found: Sequence[Example], chosen: TrainSegmenterSettings
) -> list[Example]:
    """Return the images of folders to validate on."""
    known = find_examples(validation, truth=chosen.truth)
    checks = known if chosen.sparse else _skip_incomplete(known)
    if not _have_cells(checks):
        msg = f"{checks[0].name}: none of the validation images has a cell; give images whose masks are not empty"
        raise InputError(msg)
    _warn_of_seen(found, known)
    return checks


def _skip_incomplete(examples: list[Example]) -> list[Example]:
    """Skip images whose gold truth lacks some cells, which the network would learn to be background."""
    whole = [each for each in examples if not each.gold or each.complete()]
    if len(whole) == len(examples):
        return examples
    if not whole:
        _log.warning(
            "the gold truth of all %d images lacks cells that the tracking truth has; they are learnt as "
            "background, so expect cells to be missed; give silver truth (NN_ST/SEG) too",
            len(examples),
        )
        return examples
    _log.warning(
        "%d of %s skipped: the gold truth lacks cells that the tracking truth has",
        len(examples) - len(whole),
        count_noun(len(examples), "image"),
    )
    return whole
