"""Examples in the layout of the Cell Tracking Challenge (CTC): images of a sequence with gold and silver labels."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Literal

from gnntrack.errors import InputError
from gnntrack.io.ctc_names import find_ctc, list_numbered
from gnntrack.plurals import count_noun
from gnntrack.training.examples.example import Example
from gnntrack.training.examples.folders import warn_unlabelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    Kind = Literal["GT", "ST"]

__all__ = ["check_kinds", "find_labelled_sequences", "find_sequence_examples", "list_names"]

_log = logging.getLogger(__name__)

_SUFFIXES = ("tif", "tiff")


def find_labelled_sequences(folder: Path) -> dict[Path, set[Kind]]:
    """Return the sequences (DATASET/NN) with labels, and the kinds of their labels: gold (GT), silver (ST).

    Parameters
    ----------
    folder : path
        A folder of data sets, a data set, a sequence NN, or the folder of its labels (NN_GT, NN_ST or SEG in them).
    """
    truth = folder.parent if folder.name == "SEG" else folder
    if re.fullmatch(r"[0-9]+_(GT|ST)", truth.name):
        places = [truth / "SEG"]
    else:
        own = folder.parent.glob(f"{folder.name}_[GS]T/SEG") if re.fullmatch("[0-9]+", folder.name) else ()
        places = list(own) or [*folder.glob("*_[GS]T/SEG"), *folder.glob("*/*_[GS]T/SEG")]
    found: dict[Path, set[Kind]] = {}
    for place in sorted(places):
        number, _, kind = place.parent.name.rpartition("_")
        if re.fullmatch("[0-9]+", number) and list_numbered(place, "man_seg", suffixes=_SUFFIXES):
            found.setdefault(place.parent.parent / number, set()).add("GT" if kind == "GT" else "ST")
    return found


def find_sequence_examples(movie: Path, kinds: set[Kind], truth: str) -> list[Example]:
    """Return the examples of a sequence, in order of time; their names lack the name of the movie.

    Parameters
    ----------
    movie : path
        Folder of the images, DATASET/NN.
    kinds : set
        Kinds of the labels to use.
    truth : {"best", "gold", "silver"}
        As in `gnntrack.training.examples.find_examples`.
    """
    images = _list_images(movie)
    markers_folder = movie.parent / f"{movie.name}_GT" / "TRA"
    markers = find_ctc(markers_folder).masks if markers_folder.is_dir() else {}
    found: dict[Kind, list[Example]] = {"GT": [], "ST": []}
    without_image = 0
    for kind in sorted(kinds):
        labels = list_numbered(movie.parent / f"{movie.name}_{kind}" / "SEG", "man_seg", suffixes=_SUFFIXES)
        for (frame, plane), file in sorted(labels.items(), key=lambda each: (each[0][0], each[0][1] or 0)):
            if frame not in images:
                without_image += 1
                continue
            name = f"frame {frame}" if plane is None else f"frame {frame} plane {plane}"
            marker = markers.get(frame)
            found[kind].append(Example(name, "", frame, kind == "GT", images[frame], file, plane, marker))
    chosen = {"gold": found["GT"], "silver": found["ST"]}.get(truth)
    chosen = _choose_best(found["GT"], found["ST"]) if chosen is None else chosen
    shown = f"{movie.parent.name}/{movie.name}"
    if without_image:
        _log.warning("%s: %s without an image, not used", shown, count_noun(without_image, "label"))
    labelled = {each.frame for each in chosen}
    warn_unlabelled(shown, [file for frame, file in images.items() if frame not in labelled], len(images))
    return chosen


def _list_images(movie: Path) -> dict[int, Path]:
    """Return the images of a sequence by frame."""
    files = list_numbered(movie, "t", suffixes=_SUFFIXES)
    return {frame: file for (frame, plane), file in files.items() if plane is None}


def _choose_best(gold: Sequence[Example], silver: Sequence[Example]) -> list[Example]:
    """Return gold examples that are complete or without a silver one, else silver ones."""
    if any(each.plane is None for each in silver):
        gold = [each for each in gold if each.plane is None]  # networks are trained on either stacks or planes
    silver_places = {(each.frame, each.plane) for each in silver}
    kept = [each for each in gold if (each.frame, each.plane) not in silver_places or each.complete()]
    kept_places = {(each.frame, each.plane) for each in kept}
    kept += [each for each in silver if (each.frame, each.plane) not in kept_places]
    return sorted(kept, key=_get_order)


def _get_order(example: Example) -> tuple[int, int]:
    return example.frame or 0, example.plane or 0


def check_kinds(given: object, ctc: Mapping[Path, set[Kind]], truth: str) -> None:
    """Raise if a folder has no labels of the wanted kind, or no images; pairs (an empty `ctc`) count as gold.

    Raises
    ------
    InputError
        With the kind of labels to ask for.
    """
    kinds = {kind for each in ctc.values() for kind in each} if ctc else {"GT"}
    if truth not in {"best", "gold", "silver"}:
        msg = f"truth {truth!r}; expected 'best', 'gold' or 'silver'"
        raise InputError(msg)
    if truth == "gold" and "GT" not in kinds:
        msg = f"{given}: its labels are silver only (NN_ST/SEG), gold (NN_GT/SEG) is asked for; take 'silver' or 'best'"
        raise InputError(msg)
    if truth == "silver" and "ST" not in kinds:
        msg = f"{given}: its labels are gold only, silver (NN_ST/SEG) is asked for; take 'gold' or 'best'"
        raise InputError(msg)
    if ctc and not any(_list_images(movie) for movie in ctc):
        names = list_names(ctc)
        msg = f"{given}: there are labels of {names} but no images; put t000.tif and so on into these folders"
        raise InputError(msg)


def list_names(movies: Iterable[Path]) -> str:
    """Return the names of up to five movies as text."""
    names = [f"{movie.parent.name}/{movie.name}" for movie in sorted(movies)]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
