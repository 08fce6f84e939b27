"""Results read back from disk."""

from __future__ import annotations

import difflib
import logging
import re
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import find_objects

from gnntrack.errors import FormatError, GnntrackError, InputError
from gnntrack.io.ctc import read_ctc
from gnntrack.io.ctc_names import TRACK_TABLES, find_ctc, suggest_conversion
from gnntrack.io.frames import open_masks
from gnntrack.io.geff import read_lineage
from gnntrack.io.geff_store import GeffStore, is_geff
from gnntrack.io.result_folders import EXTRAS, read_units
from gnntrack.io.writers import CellMasks
from gnntrack.options import resolve_options
from gnntrack.pixel_sizes import expand_spacing
from gnntrack.plurals import count_noun
from gnntrack.results import load_result

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from gnntrack.types import Cells, Lineage

__all__ = ["is_geff", "load", "set_pixel_size"]

_log = logging.getLogger(__name__)

# measurements without a unit of length that depend on the proportions of a pixel
_OF_SHAPE = {"orientation", "elongation", "eccentricity", "ellipsoid_fill"}


def load(
    path: str | Path,
    *,
    spacing: float | Sequence[float] | None = None,
    interval: float | str | timedelta | None = None,
    points: bool = False,
    related: bool = True,
) -> Lineage:
    """Read a result.

    Parameters
    ----------
    path : path
        The folder that `track` writes, another result or ground truth of the Cell Tracking Challenge (``01_RES``,
        ``01_GT``), or a GEFF folder (``lineage.geff``).
    spacing : float or D floats, optional
        Size of a voxel in um along ``[z], y, x``; by default that in the result.
    interval : float, str or timedelta, optional
        Time between two frames: seconds, or text such as ``"10min"``; by default that in the result.
    points : bool
        Read also a GEFF whose labels are not those of masks; its cells are numbered in each frame. Points, which have
        no labels, are always read.
    related : bool
        Attach the masks that a GEFF names, if they are where it says.

    Returns
    -------
    Lineage
        With masks (`gnntrack.Lineage.labels`), unless a GEFF does not name them, or was moved away from them. Masks of
        a result that was not changed are read when they are needed.

    Raises
    ------
    InputError
        If the folder does not exist, holds neither a CTC result nor a GEFF, or holds several GEFF.

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
    homes = {"spacing": "frames", "interval": "frames"}
    frames = resolve_options(None, {"spacing": spacing, "interval": interval}, homes, recipe="load").frames
    lineage = _read(Path(path).expanduser(), frames.spacing, points=points, related=related)
    known = frames.interval or lineage.provenance.interval or read_units(path).interval
    return lineage if known == lineage.provenance.interval else lineage.with_provenance(interval=known)


def _read(given: Path, spacing: tuple[float, ...] | None, *, points: bool, related: bool) -> Lineage:
    """Return the lineage in a folder, with its masks."""
    folder = given.parent if given.name in TRACK_TABLES.values() else given
    if not folder.is_dir():
        raise InputError(_describe_missing(given))
    stored = _find_geff(folder)
    own = stored == folder / EXTRAS / "lineage.geff" and find_ctc(folder).table is not None
    if stored is not None:
        # of a result, masks or a table that were edited prevail
        lineage = load_result(folder) if own else _read_geff(stored, points=points, related=related)
        return lineage if spacing is None else set_pixel_size(lineage, spacing, str(given))
    found = find_ctc(folder)
    if found.table is None:
        msg = (
            f"{given}: neither a result of 'gnntrack track' (res_track.txt, mask000.tif, ...), nor a ground truth "
            f"(man_track.txt, ...), nor a GEFF; give such a folder{suggest_conversion(given)}"
        )
        raise FormatError(msg)
    lineage, runs = read_ctc(found.path, spacing=spacing)
    return lineage.with_masks(CellMasks(runs, names=[str(mask) for mask in found.masks.values()]))


def _find_geff(folder: Path) -> Path | None:
    """Return the GEFF that a folder is or holds, None if there is none."""
    places = (folder, folder / "lineage.geff", folder / EXTRAS / "lineage.geff")
    stored = next(filter(is_geff, places), None)
    if stored is not None:
        return stored
    others = [place for place in sorted(folder.glob("*.geff")) if is_geff(place)]
    if len(others) > 1:
        names = ", ".join(place.name for place in others[:3])
        msg = f"{folder}: it holds {count_noun(len(others), 'GEFF', 'GEFF')}, such as {names}; give one of them"
        raise InputError(msg)
    return others[0] if others else None


def _read_geff(stored: Path, *, points: bool, related: bool) -> Lineage:
    lineage = read_lineage(stored, points=points)
    return _attach_masks(lineage, stored) if related else lineage


def set_pixel_size(lineage: Lineage, spacing: float | Sequence[float], owner: str) -> Lineage:
    """Return a lineage with another size of a pixel: positions and measurements are in um.

    Positions that are in um without a size of a pixel, such as those of a GEFF of another program, stay as they are.

    Parameters
    ----------
    lineage : Lineage
        Any lineage; its masks stay with it.
    spacing : float or D floats
        Size of a pixel in um along ``[z], y, x``.
    owner : str
        The lineage in the message of an error.

    Returns
    -------
    Lineage
        Measurements that cannot be converted, those of directions or edges if the factors of the axes differ, are
        omitted.

    Raises
    ------
    InputError
        If the sizes do not fit the number of axes.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((1, 20, 20), np.uint8)
    >>> masks[:, 5:11, 5:11] = 7
    >>> cells = set_pixel_size(gnntrack.track(masks=masks), 0.5, "lineage").cells
    >>> cells.position.tolist(), float(cells.feature("size")[0]), cells.unit
    ([[3.75, 3.75]], 9.0, 'um')
    """
    cells = lineage.cells
    sizes = expand_spacing(spacing, cells.ndim, owner)
    if cells.unit == "um" and np.allclose(sizes, cells.spacing, rtol=1e-9):
        return lineage
    if cells.unit == "um" and not lineage.has_masks and cells.spacing == (1.0,) * cells.ndim:
        _log.warning("%s: its positions are in um already and stay as they are", owner)
        reach = np.ceil(np.maximum(cells.position.max(axis=0, initial=0), 0) / np.array(sizes)).astype(int) + 1
        changed = replace(cells, spacing=sizes, shape=tuple(reach.tolist()))
    else:
        changed = _scale_cells(cells, sizes)
    masks, origins = getattr(lineage, "_masks", None), lineage.origins
    return replace(lineage, cells=changed).with_masks(masks).with_origins(origins)


def _scale_cells(cells: Cells, spacing: tuple[float, ...]) -> Cells:
    """Return cells with another size of a pixel, and those measurements that can be converted."""
    factor = np.array(spacing) / cells.spacing
    columns, names, units, omitted = [], [], [], 0
    for name, unit, column in zip(cells.feature_names, cells.feature_units, cells.features.T, strict=True):
        power = _find_power(unit)
        if name == "size":
            scale = float(np.prod(factor))
        elif np.allclose(factor, factor[0], rtol=1e-9) and power is not None:
            scale = float(factor[0]) ** power
        elif power == 0 and name not in _OF_SHAPE:
            scale = 1.0
        else:
            omitted += 1
            continue
        columns.append(column * scale)
        names.append(name)
        units.append(re.sub(r"\bpixel(?=\d?$)", "um", unit))
    if omitted:
        of_cell = count_noun(omitted, "measurement")
        _log.warning("%s of each cell omitted, which depend on the proportions of a pixel", of_cell)
    return replace(
        cells,
        position=cells.position * factor,
        features=np.array(columns, np.float32).reshape(len(names), len(cells)).T,
        feature_names=tuple(names),
        feature_units=tuple(units),
        spacing=spacing,
        unit="um",
    )


def _find_power(unit: str) -> int | None:
    """Return the power of a length in a unit: 1 for ``um``, -2 for ``1/um2``, 0 for ``rad``; None if it is not known.

    >>> [_find_power(unit) for unit in ("um", "pixel2", "1/um3", "grey", "um/min")]
    [1, 2, -3, 0, None]
    """
    found = re.fullmatch(r"(1/)?(?:um|pixel)(\d?)", unit)
    if found is None:
        return None if re.search(r"um|pixel", unit) else 0
    return int(found[2] or 1) * (-1 if found[1] else 1)


def _attach_masks(lineage: Lineage, geff: Path) -> Lineage:
    """Return the lineage of a GEFF with the masks that it names, if they are where it says."""
    store = GeffStore(geff)
    related = (store.metadata.related_objects or []) if store.has_labels else []
    paths = [Path(geff, each.path).resolve() for each in related if each.type == "labels"]
    found = [path for path in paths if path.exists()]
    if not found or _are_masks_of(lineage, found[0]):
        return lineage.with_masks(found[0]) if found else lineage
    _log.warning(
        "%s: it names %s for its masks, and its cells are not in masks there, probably because it was moved; it is "
        "read without masks: give them (--masks PATH), or move it back",
        geff,
        found[0],
    )
    return lineage


def _are_masks_of(lineage: Lineage, path: Path) -> bool:
    """Return whether most cells of the first frame with cells are in masks, at their positions.

    Masks with only one value are not compared, because their cells may have been numbered when they were read.
    """
    cells = lineage.cells
    if not len(cells):
        return True
    frame = int(cells.frame[0])
    mask = _read_mask(path, frame)
    if mask is None or mask.ndim != cells.ndim:
        return False
    if mask.dtype.kind not in "iub" or len(np.unique(mask[mask > 0])) <= 1:
        return True
    boxes = {label: box for label, box in enumerate(find_objects(mask.astype(np.int64)), start=1) if box is not None}
    here = cells.frame == frame
    pixels = (cells.position[here] / np.array(cells.spacing)).tolist()
    near = [
        _is_inside(boxes.get(label), pixel) for label, pixel in zip(cells.label[here].tolist(), pixels, strict=True)
    ]
    return 2 * sum(near) >= len(near)


def _read_mask(path: Path, frame: int) -> np.ndarray | None:
    """Return the mask of a frame, None if it cannot be read."""
    try:
        masks = open_masks(path)
        return np.asarray(masks[frame]) if frame < len(masks) else None
    except GnntrackError:
        return None


def _is_inside(box: tuple[slice, ...] | None, pixel: Sequence[float]) -> bool:
    """Return whether a position is in a box, or at most 2 pixels from it."""
    return box is not None and all(side.start - 2 <= x <= side.stop + 1 for side, x in zip(box, pixel, strict=True))


def _describe_missing(path: Path) -> str:
    if path.exists():
        hint = suggest_conversion(path)
        if path.suffix.lower() in {".xml", ".csv"}:
            hint = f"; 'gnntrack convert {path} {path.with_suffix('.geff').name}' makes one of tracks"
        return f"{path}: it is a file; expected a folder: a result of 'gnntrack track', or a GEFF{hint}"
    siblings = [sibling.name for sibling in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, siblings, 1)
    return f"{path}: no such folder; {f'did you mean {path.parent / near[0]}?' if near else 'check the path'}"
