"""From images with masks to a trained segmenter: the recipe of ``gnntrack train-segmenter``.

What is learnt is the segmenter's: a class that is registered as one and has a classmethod ``train``. What all of them
need is here: the images, what is kept for validation, the figures, the learning curve.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gnntrack.errors import InputError, ModelError, SegmenterError
from gnntrack.evaluate.counts import Counts, compare_labels
from gnntrack.io.output import check_output
from gnntrack.models.devices import find_device
from gnntrack.models.files import CHECKPOINT_FILE
from gnntrack.segmentation.registry import segmenter_class
from gnntrack.settings import Settings, TrainSegmenterSettings
from gnntrack.training.examples.search import find_examples
from gnntrack.training.examples.split import split_examples
from gnntrack.training.loop import LOG
from gnntrack.training.simulated import SimulatedExample, simulate_examples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gnntrack.training.examples.example import Example
    from gnntrack.types import Image, Progress

__all__ = ["Pair", "judge", "learn", "train_segmenter"]

_log = logging.getLogger(__name__)


class Pair(Protocol):
    """An image with its labels, still on disk."""

    @property
    def name(self) -> str:
        """Where it is from."""
        ...

    @property
    def movie(self) -> str:
        """The movie, or the folder, that it is of."""
        ...

    def read(self) -> tuple[Image, Image]:
        """Return the image and its labels, of one shape; labels below 0 mean that nobody knows what is there."""
        ...


def train_segmenter(
    name: str,
    data: Sequence[str | Path],
    out: str | Path,
    *,
    validation: Sequence[str | Path] | None = None,
    settings: Settings | None = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
    report: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Train a segmenter on images whose masks are known.

    Parameters
    ----------
    name : str
        Of a segmenter that can be trained.
    data : paths
        Folders of images with masks: see `gnntrack.training.examples.find_examples`.
    out : path
        Folder of the model: weights, ``log.csv``, learning curve, checkpoint.
    validation : paths, optional
        Images to validate on. Where they are left out, a part of `data` is kept for it: of movies the last frames.
    settings : Settings, optional
        ``train_segmenter`` holds those of the training.
    seed : int
        The same seed on the same machine gives the same weights.
    resume : bool
        Go on with the interrupted training in `out`.
    overwrite : bool
        Replace `out` if it exists.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    progress, report : callable, optional
        Told after each step; told each row of the log.

    Returns
    -------
    dict
        Numbers of images and movies, steps, the best row of the log.

    Raises
    ------
    InputError
        If there are no images with masks.
    SegmenterError
        If there is no such segmenter, or it cannot be trained.
    OutputError
        If `out` exists.
    TrainingError
        If the images cannot be learnt from, or the loss is no number.
    KeyboardInterrupt
        Handed on; `out` can be resumed.
    """
    settings = settings or Settings()
    plan = settings.train_segmenter
    _trainable(name)
    folder = Path(out)
    find_device(device)
    if not resume:
        check_output(out, overwrite=overwrite)
    elif not (folder / CHECKPOINT_FILE).is_file():
        msg = f"{folder}: there is no checkpoint to go on from; start without --resume"
        raise ModelError(msg)
    learnt, checks = _examples(data, validation, settings, seed)
    if not resume:
        _clear(folder)
    return learn(
        name,
        learnt,
        checks,
        folder,
        settings=plan,
        seed=seed,
        resume=resume,
        device=device,
        progress=progress,
        report=report,
    )


def learn(
    name: str,
    learnt: Sequence[Pair],
    checks: Sequence[Pair],
    folder: Path,
    *,
    settings: TrainSegmenterSettings,
    seed: int = 0,
    resume: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
    report: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Train a segmenter on images that stand, and draw its learning curve.

    Parameters
    ----------
    name : str
        Of the segmenter.
    learnt, checks : Pairs
        Images with labels to learn from, and to validate on.
    folder : path
        Where the model goes; it is there already.
    settings, seed, resume, device, progress, report
        As in `train_segmenter`.

    Returns
    -------
    dict
        As of `train_segmenter`.
    """
    best = _trainable(name).train(
        [_Framed.of(each, settings.margin) for each in learnt],
        folder,
        checks=[_Framed.of(each, settings.margin) for each in checks],
        judge=judge,
        settings=settings,
        notes={"segmenter": name, "data": sorted({each.movie for each in learnt})},
        seed=seed,
        resume=resume,
        device=device,
        progress=progress,
        report=report,
    )
    from gnntrack.report import draw_learning_curve, save_figure

    save_figure(draw_learning_curve(folder / LOG), folder / "learning_curve.png")
    return {"movies": len({each.movie for each in learnt}), "images": len(learnt), "steps": best["step"], "best": best}


@dataclass(frozen=True)
class _Framed:
    """An image whose truth may lack cells along the border: what is not labelled there is unknown."""

    pair: Pair
    margin: int

    @classmethod
    def of(cls, pair: Pair, margin: int) -> Pair:
        """Return the pair itself where there is no margin, or the truth is a simulation's."""
        return cls(pair, margin) if margin and not isinstance(pair, SimulatedExample) else pair

    @property
    def name(self) -> str:
        return self.pair.name

    @property
    def movie(self) -> str:
        return self.pair.movie

    def read(self) -> tuple[Image, Image]:
        image, labels = self.pair.read()
        edge = np.ones(labels.shape, bool)
        edge[..., self.margin : -self.margin, self.margin : -self.margin] = False
        return image, np.where(edge & (labels == 0), -1, labels).astype(np.int32)


def judge(results: Sequence[tuple[Image, Image]]) -> dict[str, float]:
    """Return Dice, SEG, and F1 at IoU .5, over all images together.

    Parameters
    ----------
    results : sequence of (labels, truth)
        What was found, and what is there.
    """
    total = sum((compare_labels(found, truth) for found, truth in results), Counts())
    return {"dice": total.dice, "seg": total.seg or 0.0, "f1": total.f1}


def _trainable(name: str) -> Any:
    """Return the class of a segmenter that can be trained."""
    found = segmenter_class(name)
    if not hasattr(found, "train"):
        msg = f"segmenter '{name}' has nothing to learn; there are: fcn, deeplab, diffusionnet, maskrcnn, unet"
        raise SegmenterError(msg)
    return found


def _examples(
    data: Sequence[str | Path], validation: Sequence[str | Path] | None, settings: Settings, seed: int
) -> tuple[list[Pair], list[Pair]]:
    """Return the images to learn from, and those to validate on."""
    plan = settings.train_segmenter
    found = _complete(find_examples(data, truth=plan.truth)) if data else []
    made = simulate_examples(plan.simulated, seed=seed, dimensions=plan.simulated_axes)
    if not found and not made:
        msg = "there is nothing to learn from; give folders of images with masks, or --simulated N"
        raise InputError(msg)
    checks: list[Pair] = []
    learnt: list[Pair] = [*found]
    if validation:
        checks = [*_complete(find_examples(validation, truth=plan.truth))]
    elif found:
        learning, held_out = split_examples(found, held_out=plan.held_out)
        learnt, checks = [*learning], [*held_out]
    elif plan.held_out:
        count = max(1, round(plan.held_out * plan.simulated))
        checks = [*simulate_examples(count, seed=seed + 1, dimensions=plan.simulated_axes)]
    if not checks:
        _log.warning("no images are kept for validation: the last weights are kept, not the best ones")
    return [*learnt, *made], checks


def _complete(examples: list[Example]) -> list[Example]:
    """Leave out gold truth of some cells only: the network would learn that the other cells are background."""
    whole = [each for each in examples if not each.gold or each.complete()]
    if len(whole) == len(examples):
        return examples
    if not whole:
        _log.warning(
            "the gold truth of all %d images leaves out cells that the tracking truth knows of; they are learnt as "
            "background, so expect cells to be missed; give silver truth (NN_ST/SEG) too",
            len(examples),
        )
        return examples
    _log.warning(
        "%d of %d images are left out: their gold truth lacks cells that the tracking truth knows of",
        len(examples) - len(whole),
        len(examples),
    )
    return whole


def _clear(out: Path) -> None:
    """Make the folder of a training, in place of the one that may be there."""
    if out.is_dir():
        shutil.rmtree(out)
    out.unlink(missing_ok=True)
    out.mkdir(parents=True)
