"""Results read back from disk."""

from __future__ import annotations

import difflib
import json
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from gnntrack.errors import FormatError, InputError
from gnntrack.io.ctc import read_ctc
from gnntrack.io.ctc_names import TRACK_TABLES, find_ctc, suggest_conversion
from gnntrack.io.geff import read_lineage
from gnntrack.io.geff_store import GeffStore
from gnntrack.io.result_folders import EXTRAS
from gnntrack.io.writers import CellMasks
from gnntrack.results import load_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.types import Lineage

__all__ = ["is_geff", "load"]


def load(path: str | Path, *, spacing: Sequence[float] | None = None, points: bool = False) -> Lineage:
    """Read a result.

    Parameters
    ----------
    path : path
        The folder that `track` writes, another result or ground truth of the Cell Tracking Challenge (``01_RES``,
        ``01_GT``), or a GEFF folder (``lineage.geff``).
    spacing : D floats, optional
        Size of a voxel in um along ``[z], y, x``, for masks: they do not hold it.
    points : bool
        Read also a GEFF that holds points, without the labels of masks; they are numbered in each frame.

    Returns
    -------
    Lineage
        With masks (`gnntrack.Lineage.labels`), unless a GEFF is not beside the masks of its result. Masks of a result
        that was not changed are read when they are needed.

    Raises
    ------
    InputError
        If the folder does not exist or holds neither a CTC result nor a GEFF.

    Examples
    --------
    >>> import numpy as np, tempfile, gnntrack
    >>> masks = np.zeros((3, 20, 20), np.uint8)
    >>> masks[:, 5:11, 5:11] = 7
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = gnntrack.track(masks=masks, out=Path(folder, "01_RES"))
    ...     lineage = load(Path(folder, "01_RES"))
    ...     lineage, int(lineage.labels()[2].max())
    (<Lineage: 1 track, 0 divisions, 3 cells in 3 frames of 20 x 20 pixels, by hungarian>, 1)
    """
    if not isinstance(path, str | PathLike):
        msg = (  # type: ignore[unreachable]
            f"load() of {type(path).__name__}: expected the path of a result of 'gnntrack track' or of a GEFF"
        )
        raise InputError(msg)
    given = Path(path).expanduser()
    folder = given.parent if given.name in TRACK_TABLES.values() else given
    if not folder.is_dir():
        raise InputError(_describe_missing(given))
    lineages = [folder, folder / "lineage.geff", folder / EXTRAS / "lineage.geff", *sorted(folder.glob("*.geff"))]
    stored = next(filter(is_geff, lineages), None)
    if stored == folder / EXTRAS / "lineage.geff" and find_ctc(folder).table is not None:
        return load_result(folder, spacing=spacing)  # masks or a table that were edited prevail
    if stored is not None:
        lineage = read_lineage(stored, points=points)
        masks = _find_related_masks(stored)
        return lineage if masks is None else lineage.with_masks(masks)
    found = find_ctc(folder)
    if found.table is None:
        msg = (
            f"{given}: neither a result of 'gnntrack track' (res_track.txt, mask000.tif, ...), nor a ground truth "
            f"(man_track.txt, ...), nor a GEFF; give such a folder{suggest_conversion(given)}"
        )
        raise FormatError(msg)
    lineage, runs = read_ctc(found.path, spacing=spacing)
    return lineage.with_masks(CellMasks(runs, names=[str(mask) for mask in found.masks.values()]))


def is_geff(folder: Path) -> bool:
    """Return whether a folder is a zarr group with the metadata of GEFF (zarr 2 or 3)."""
    for name in (".zattrs", "zarr.json"):
        try:
            attributes = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(attributes, dict) and "geff" in (attributes.get("attributes") or attributes):
            return True
    return False


def _find_related_masks(geff: Path) -> Path | None:
    """Return the masks that a GEFF names, if they are where it says."""
    store = GeffStore(geff)
    related = (store.metadata.related_objects or []) if store.has_labels else []
    paths = [Path(geff, each.path).resolve() for each in related if each.type == "labels"]
    return next((path for path in paths if path.exists()), None)


def _describe_missing(path: Path) -> str:
    if path.exists():
        hint = suggest_conversion(path)
        return f"{path}: it is a file; expected a folder: a result of 'gnntrack track', or a GEFF{hint}"
    siblings = [sibling.name for sibling in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, siblings, 1)
    return f"{path}: no such folder; {f'did you mean {path.parent / near[0]}?' if near else 'check the path'}"
