"""Examples found in folders of any of the layouts, with unique names."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gnntrack.errors import InputError
from gnntrack.training.examples.colours import FolderColours
from gnntrack.training.examples.ctc_layout import (
    check_kinds,
    find_labelled_sequences,
    find_sequence_examples,
    list_names,
)
from gnntrack.training.examples.folders import get_natural_key, list_folders
from gnntrack.training.examples.pairs import find_annotated_images

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gnntrack.training.examples.ctc_layout import Kind
    from gnntrack.training.examples.example import Example

__all__ = ["find_examples"]

_EXPECTED = (
    "expected a CTC data set (NN/t000.tif with NN_GT/SEG or NN_ST/SEG/man_seg000.tif), a folder of such, a sequence NN "
    "or a truth NN_GT or NN_ST; or images with labels beside them (a.bmp and a_anno.bmp; _mask, _label, _seg, _gt, "
    "cellpose's _seg.npy or _cp_masks.png, or Labels.tif of a single image) or "
    "in folders images and masks (or labels) under the same names, where the folder that holds "
    "both is given; or ID/images/ID.png with a mask per cell in ID/masks"
)


def find_examples(
    data: str | Path | Sequence[str | Path], *, truth: Literal["best", "gold", "silver"] = "best"
) -> list[Example]:
    """Return the images with labels in folders of any layout of `gnntrack.training.examples`, in natural order.

    Images without labels are not returned, and their number is logged. Folders of pairs count as gold. A folder may
    hold folders with any one of the layouts.

    Parameters
    ----------
    data : paths
        Folders; a sequence or image that is in several of them is returned once.
    truth : {"best", "gold", "silver"}
        Labels of the CTC to use. ``"best"`` is gold if it is there, else silver. A gold frame that lacks cells (see
        `Example.complete`), and gold of single planes, are replaced by silver if there is silver. If there is none
        they are returned, so a caller may want to check `Example.complete`.

    Raises
    ------
    InputError
        If a folder does not exist, has no image with labels, has no labels of the wanted kind, or it is not clear
        which labels belong to an image.
    """
    sequences: dict[Path, set[Kind]] = {}
    pairs: dict[Path, dict[Path, Example]] = {}
    for given in [data] if isinstance(data, str | Path) else data:
        ctc, annotated = _search_folder(given, truth)
        for movie, kinds in ctc.items():
            sequences.setdefault(movie, set()).update(kinds)
        for home, examples in annotated.items():
            pairs.setdefault(home, {}).update({each.labels_file: each for each in examples})
    found = {movie: find_sequence_examples(movie, kinds, truth) for movie, kinds in sequences.items()}
    found |= {home: list(by_file.values()) for home, by_file in pairs.items()}
    if found and not any(found.values()):
        msg = f"no image of {list_names(found)} has labels of the kind asked for; expected t012.tif for man_seg012.tif"
        raise InputError(msg)
    return _name_examples(found)


def _search_folder(given: str | Path, truth: str) -> tuple[dict[Path, set[Kind]], dict[Path, list[Example]]]:
    """Return the sequences of the CTC in a folder, or else the images with labels."""
    folder = Path(given).expanduser().resolve()  # resolved, so that "." has a name too
    if not folder.is_dir():
        msg = f"{given}: {'it is a file' if folder.exists() else 'the folder does not exist'}; {_EXPECTED}"
        raise InputError(msg)
    ctc = find_labelled_sequences(folder)
    annotated = {} if ctc else find_annotated_images(folder)
    if not ctc and not annotated:
        raise InputError(_describe_folder(given, folder))
    check_kinds(given, ctc, truth)
    return ctc, annotated


def _describe_folder(given: object, folder: Path) -> str:
    """Return a message with the contents of a folder that has no examples, and the layouts to use."""
    files = Counter(file.suffix or "nameless" for file in folder.iterdir() if file.is_file())
    contents = [f"{count} {suffix} files" for suffix, count in files.most_common(3)]
    contents += [f"folder {each.name}" for each in list(list_folders(folder).values())[:5]]
    return f"{given}: no images with labels found; it has {', '.join(contents) or 'nothing in it'}; {_EXPECTED}"


def _name_examples(found: Mapping[Path, list[Example]]) -> list[Example]:
    """Return all examples, named by the shortest unique end of the path of their movie: DATASET/NN, or a folder."""
    names = _shorten_paths({home: 1 if each and each[0].frame is None else 2 for home, each in found.items()})
    files: dict[Path, list[Path]] = {}
    for each in chain(*found.values()):
        files.setdefault(each.image_file.parent, []).append(each.image_file)
    colours = {folder: FolderColours(images) for folder, images in files.items()}
    return [
        replace(each, movie=names[home], name=f"{names[home]} {name}", colours=colours[each.image_file.parent])
        for home in sorted(found, key=lambda home: get_natural_key(names[home]))
        for name, each in _name_images(home, found[home])
    ]


def _name_images(home: Path, examples: Sequence[Example]) -> Iterator[tuple[str, Example]]:
    """Yield the examples of a folder with their names: a path below the folder if others have the same name."""
    uses = Counter(each.name for each in examples)
    for each in examples:
        clash = each.frame is None and uses[each.name] > 1 and each.image_file.is_relative_to(home)
        yield each.image_file.relative_to(home).with_suffix("").as_posix() if clash else each.name, each


def _shorten_paths(length: dict[Path, int]) -> dict[Path, str]:
    """Return the last parts of each path, as many as given, and more of them until all names differ."""
    while True:
        names = {path: "/".join(path.parts[-length[path] :]) for path in length}
        uses = Counter(names.values())
        clashing = [path for path in length if uses[names[path]] > 1 and length[path] < len(path.parts)]
        if not clashing:
            return names
        length = {path: n + (path in clashing) for path, n in length.items()}
