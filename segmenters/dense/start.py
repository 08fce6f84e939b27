"""The trained model that a training of a dense network starts from."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import ModelError
from gnntrack.models.files import model_folder, read_model
from gnntrack.plurals import count_noun
from gnntrack.training.examples.channels import has_colours
from segmenters.common.colours import RGB, choose_channels, get_channels
from segmenters.common.kinds import MODELS, KindGuess, find_majority, guess_kind
from segmenters.common.models import FAMILY, WEIGHTS, list_shipped, load_network
from segmenters.dense.inference import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gnntrack.settings import TrainSegmenterSettings
    from gnntrack.training.segmenter import Images
    from gnntrack.types import Image

__all__ = ["StartModel", "read_start"]

_log = logging.getLogger(__name__)

_GUESSED = 5  # images whose kind of microscopy is guessed
_REMEDY = "omit this to use the model's, or omit --from to train a new network"


@dataclass(frozen=True)
class StartModel:
    """A trained network, and how images are prepared for it.

    Parameters
    ----------
    name : str
        ``shipped``, or the folder of the model.
    network : nn.Module
        With its weights.
    inputs : Preprocessing
        Normalisation, diameter of the cells and depth of the model.
    sha256 : str
        Checksum of its weights.
    """

    name: str
    network: Any
    inputs: Preprocessing
    sha256: str

    def describe(self) -> dict[str, str]:
        """Return the entry of the provenance."""
        return {"model": self.name, "sha256": self.sha256}

    def adapt(self, settings: TrainSegmenterSettings) -> TrainSegmenterSettings:
        """Return the settings with the head, the normalisation and the layout of the model.

        Raises
        ------
        ModelError
            If the settings ask for something else.
        """
        options = self.network.options
        differing = list(self._compare(settings))
        if differing:
            msg = f"{self.name}: its network has {'; '.join(differing)}; {_REMEDY}"
            raise ModelError(msg)
        head = "instances" if self.network.outputs == 3 else "foreground"
        flat = options.get("flat", settings.flat)
        return settings.replace(head=head, normalise=self.inputs.normalise, flat=flat)

    def _compare(self, settings: TrainSegmenterSettings) -> Iterator[str]:
        """Yield a text for each given setting that differs from the model."""
        options = self.network.options
        for name, wanted in settings.options.items():
            if name not in options:
                yield f"no option '{name}' that could be changed (--option {name}={wanted})"
            elif options[name] != wanted:
                yield f"{name} {options[name]}, but --option {name}={wanted} was given"
        has = {
            "head": "instances" if self.network.outputs == 3 else "foreground",
            "normalise": self.inputs.normalise,
            "flat": options.get("flat"),
        }
        for name, value in has.items():
            wanted = getattr(settings, name)
            if name in settings.given and wanted != value and value is not None:
                yield f"{name} {value}, but train_segmenter.{name} is {wanted}"

    def check_dimensions(self, dimensions: int) -> None:
        """Raise if the images have another number of axes than those of the model.

        Raises
        ------
        ModelError
            With the numbers of axes.
        """
        own = self.network.dimensions
        if own != dimensions:
            msg = (
                f"{self.name}: its network is for images of {own} axes, and the images to train on have {dimensions}; "
                f"start from a model in {dimensions}D, or omit --from to train a new network"
            )
            raise ModelError(msg)

    def check_channels(self, examples: Images, settings: TrainSegmenterSettings) -> int:
        """Return the number of channels of the network: 1, or 3 for RGB images.

        Raises
        ------
        ModelError
            If the settings ask for another number, or if it is 3 and the images are grey.
        """
        own = get_channels(self.network)
        needed = {"grey": 1, "rgb": RGB}.get(settings.colours)
        if needed is None and own == RGB:
            needed = choose_channels(examples, settings)
        if needed not in (None, own):
            reads, given = ("RGB images", "grey") if own == RGB else ("grey values", "RGB images")
            asked = (
                f"--colours {settings.colours} was given" if settings.colours != "auto" else f"these images are {given}"
            )
            msg = (
                f"{self.name}: its network reads {reads} ({count_noun(own, 'channel')}), and {asked}; start from "
                "a model for such images, or omit --from to train a new network"
            )
            raise ModelError(msg)
        if own == 1 and settings.colours == "auto" and has_colours(examples[0]):
            _log.warning(
                "the images are RGB, and the network of %s reads grey values: the colour with the best contrast is "
                "used; omit --from to train a network that reads all three colours",
                self.name,
            )
        return own


def read_start(segmenter: str, start: str | Path, examples: Images, *, kind: str = "auto") -> StartModel:
    """Return a model to start from.

    Parameters
    ----------
    segmenter : str
        Name of the segmenter to train.
    start : path or "shipped"
        Folder of a model, or the model that comes with gnntrack; ``"shipped NAME"``, as `StartModel.describe` records
        it, is a certain one.
    examples : sequence of LabelledImage
        Images to train on; the shipped model is the one for their kind of microscopy.
    kind : {"auto", "fluorescence", "stained", "phase", "brightfield"}
        Kind of microscopy, which chooses the shipped model; ``auto`` guesses it from the images.

    Raises
    ------
    ModelError
        If the model is missing, damaged, or of another segmenter.
    """
    if str(start) in ("shipped", *(f"shipped {name}" for name in list_shipped(segmenter))):
        model = str(start).removeprefix("shipped").strip() or _choose_shipped(segmenter, examples, kind)
        network, about = _load_shipped(segmenter, model)
        return StartModel(f"shipped {model}", network, Preprocessing(**about["inputs"]), about["sha256"])
    if not Path(start).expanduser().exists():
        msg = f"{start}: no such model; give the folder that 'gnntrack train-segmenter' wrote, or 'shipped'"
        raise ModelError(msg)
    place = model_folder(start, FAMILY)
    network, about = read_model(place, FAMILY)
    if about["kind"] != segmenter:
        msg = (
            f"{place}: a model of '{about['kind']}', not of '{segmenter}'; train '{about['kind']}', "
            f"or start from a model of '{segmenter}'"
        )
        raise ModelError(msg)
    return StartModel(str(place.resolve()), network, Preprocessing(**about["inputs"]), about["sha256"])


def _choose_shipped(segmenter: str, examples: Images, kind: str) -> str:
    """Return the name of the shipped model for a kind of microscopy, or of the only one."""
    shipped = list_shipped(segmenter)
    if len(shipped) == 1:
        return shipped[0]
    if kind != "auto":
        return MODELS[kind]
    guesses = _guess_kinds(examples)
    found = find_majority(guesses)
    model = MODELS[found or "phase"]
    why = f"kind of microscopy '{found}'" if found else "not nuclei on a dark or a bright background"
    reasons = "; ".join(sorted({guess.explain() for guess in guesses}))
    _log.info("%s: the training starts from the model for %s: %s, since %s", segmenter, model, why, reasons)
    return model


def _guess_kinds(examples: Images) -> list[KindGuess]:
    """Return the guesses of the kind of microscopy of some images: of those with cells, if there are any."""
    some = _read_with_cells(examples[:: -(-len(examples) // _GUESSED) or 1]) or _read_with_cells(examples)
    return [guess_kind(np.asarray(image, np.float32)) for image in some if image.ndim in (2, 3)]


def _read_with_cells(examples: Images) -> list[Image]:
    """Return the first images that have a cell; the others do not show the kind of microscopy."""
    pairs = (example.read() for example in examples)
    return list(islice((image for image, labels in pairs if (labels > 0).any()), _GUESSED))


def _load_shipped(segmenter: str, model: str) -> tuple[Any, dict[str, Any]]:
    try:
        return load_network(segmenter, None, shipped=WEIGHTS / f"{segmenter}_{model}")
    except ModelError as error:
        msg = (
            f"gnntrack comes without a model for segmenter '{segmenter}' to start from; give the folder of a model of "
            f"'{segmenter}', or omit --from to train a new network"
        )
        raise ModelError(msg) from error
