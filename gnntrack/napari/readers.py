"""Reader of results, ground truths of the Cell Tracking Challenge (CTC), and GEFF folders, as layers of napari."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.errors import GnntrackError
from gnntrack.io.ctc_names import TRACK_TABLES
from gnntrack.io.result_folders import EXTRAS
from gnntrack.loading import is_geff, load
from gnntrack.napari.layers import make_layers
from gnntrack.results import find_result
from gnntrack.shown_results import find_images, read_summary
from gnntrack.user_warnings import warn_user
from gnntrack.views import find_masks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gnntrack.napari.layers import LayerData
    from gnntrack.types import FrameStack, Lineage

__all__ = ["choose_reader", "read_layers"]


def choose_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Return `read_layers` if each path is a result, a ground truth or a GEFF, else None.

    Only names are looked at, and the metadata of a GEFF.

    Examples
    --------
    >>> choose_reader("images") is None
    True
    """
    paths = _list_paths(path)
    return read_layers if paths and all(map(_is_known, paths)) else None


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Return the layers of a result, a ground truth or a GEFF; see `gnntrack.napari.layers.make_layers`.

    The images that a result was made from are opened too, if they are where they were.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    return [layer for each in _list_paths(path) for layer in _read(each)]


def _list_paths(path: str | Sequence[str]) -> list[Path]:
    return [Path(each) for each in ([path] if isinstance(path, str | PathLike) else path)]


def _is_known(path: Path) -> bool:
    if path.name in TRACK_TABLES.values():
        return path.is_file()
    tables = [path / part / name for part in ("", "TRA") for name in TRACK_TABLES.values()]
    geffs = [path, path / "lineage.geff", path / EXTRAS / "lineage.geff", *path.glob("*.geff")]
    return path.is_dir() and (any(table.is_file() for table in tables) or any(map(is_geff, geffs)))


def _read(path: Path) -> list[LayerData]:
    lineage = match_labels(load(path, points=True))
    folder = path.parent if path.name in TRACK_TABLES.values() else path
    images = _open_images(folder, lineage)
    parts = folder.absolute().parts
    name = "/".join(parts[-2:]) if folder.name == "TRA" else folder.name
    return make_layers(lineage, name=name, result=str(find_result(folder) or folder), images=images)


def match_labels(lineage: Lineage) -> Lineage:
    """Return a lineage whose masks, if it has any, show its tracks: gaps are filled as in a result that is written."""
    if not lineage.has_masks or np.array_equal(lineage.cells.label, lineage.track):
        return lineage
    kept, masks = find_masks(lineage)
    return kept.with_masks(masks)


def _open_images(folder: Path, lineage: Lineage) -> FrameStack | None:
    """Return the images that a result was made from, None if there are none, with a warning if they do not fit."""
    summary = read_summary(folder)
    if summary is None:
        return None
    try:
        return find_images(None, folder, lineage, summary, None)[1]
    except GnntrackError as error:
        warn_user(f"the images of {folder} are not shown: {error}")
        return None
