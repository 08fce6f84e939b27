"""Names of files and folders in the layout of the Cell Tracking Challenge (CTC).

::

    DATASET/01/t000.tif                       images
    DATASET/01_GT/TRA/man_track000.tif        ground truth of tracking: a mask per frame, and man_track.txt
    DATASET/01_GT/SEG/man_seg000.tif          ground truth of segmentation ("gold"), not for every frame;
    DATASET/01_GT/SEG/man_seg_000_012.tif     or a single plane of a 3D frame: frame 0, plane 12
    DATASET/01_ST/SEG/man_seg000.tif          the same, computed ("silver")
    DATASET/01_RES/mask000.tif                a result: a mask per frame, and res_track.txt
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath
from typing import NamedTuple

from gnntrack.errors import FormatError
from gnntrack.io.result_folders import EXTRAS

__all__ = [
    "MAX_LABEL",
    "TRACK_TABLES",
    "CtcFolder",
    "CtcName",
    "choose_digits",
    "count_digits",
    "find_ctc",
    "find_digits",
    "format_name",
    "list_numbered",
    "parse_name",
    "suggest_conversion",
]

MAX_LABEL = 65535
"""The largest label of a 16-bit mask."""

TRACK_TABLES = {"mask": "res_track.txt", "man_track": "man_track.txt"}
"""Name of the table of tracks beside the masks of a result and of a ground truth."""

_NAME = re.compile(r"(t|mask|man_track|man_seg)(?:(?<=seg)_)?([0-9]{1,9})(?:_([0-9]{1,9}))?\.(tiff?)")


class CtcName(NamedTuple):
    """The parts of a file name such as ``man_seg_007_012.tif``."""

    kind: str
    """``"t"`` (image), ``"mask"``, ``"man_track"`` or ``"man_seg"``."""
    frame: int
    """Number of the frame, from 0."""
    plane: int | None
    """Number of the plane, from 0, if the file is a single plane of a 3D frame."""


def parse_name(name: str, *, suffixes: tuple[str, ...] = ("tif",)) -> CtcName | None:
    """Return the parts of a file name, or None if it is not one of the challenge.

    Examples
    --------
    >>> parse_name("man_seg_007_012.tif")
    CtcName(kind='man_seg', frame=7, plane=12)
    >>> parse_name("mask0007.tif")
    CtcName(kind='mask', frame=7, plane=None)
    >>> parse_name("mask7.tiff") is None  # the challenge's own software reads .tif only
    True
    """
    match = _NAME.fullmatch(name)
    if match is None or match[4] not in suffixes:
        return None
    return CtcName(match[1], int(match[2]), None if match[3] is None else int(match[3]))


def format_name(kind: str, frame: int, *, digits: int = 3) -> str:
    """Return the name of a frame's file.

    >>> format_name("mask", 7)
    'mask007.tif'
    """
    return f"{kind}{frame:0{digits}d}.tif"


def count_digits(number: int) -> int:
    """Return the number of digits of frame numbers up to `number`: 3, or more beyond 999.

    >>> count_digits(92), count_digits(1000)
    (3, 4)
    """
    return max(3, len(str(number)))


def choose_digits(names: Sequence[str], n_frames: int) -> int:
    """Return the number of digits of the masks of a movie: that of its images, else that of `count_digits`.

    The evaluation software of the challenge takes one number of digits, 3 or 4, for ground truth and result.

    Parameters
    ----------
    names : strings
        Files of the frames. Names that are not those of the challenge, such as ``t00007_ch1.tif``, are not used.
    n_frames : int
        Number of frames.

    Examples
    --------
    >>> choose_digits(["01/t0000.tif", "01/t0001.tif"], 2), choose_digits(["t00.tif", "t01.tif"], 2)
    (4, 3)
    >>> choose_digits([f"t{frame:03d}.tif" for frame in range(1000)], 1000), choose_digits([], 1000)
    (3, 4)
    """
    digits = find_digits(names)
    return count_digits(n_frames) if digits is None or digits < len(str(n_frames - 1)) else digits


def find_digits(names: Sequence[str]) -> int | None:
    """Return the number of digits, 3 or 4, of files named as in the challenge; None for any other names.

    >>> find_digits(["t0000.tif", "t0001.tif"]), find_digits(["t00.tif", "t01.tif"]), find_digits(["a.tif"])
    (4, None, None)
    """
    files = [PurePath(name).name for name in names]
    parsed = [parse_name(file) for file in files]
    widths = {
        len(re.sub(r"\D", "", file)) for file, name in zip(files, parsed, strict=True) if name and name.plane is None
    }
    return widths.pop() if None not in parsed and widths in ({3}, {4}) and len(set(files)) == len(files) else None


def list_numbered(
    folder: Path, kind: str, *, suffixes: tuple[str, ...] = ("tif",)
) -> dict[tuple[int, int | None], Path]:
    """Return the files of one kind in a folder by frame and plane, sorted by name.

    If two names have the same numbers, such as ``mask01.tif`` and ``mask001.tif``, the first one in the order of
    names is returned. A folder that does not exist is empty.
    """
    found: dict[tuple[int, int | None], Path] = {}
    for file in sorted(folder.glob(f"{kind}*")):
        name = parse_name(file.name, suffixes=suffixes)
        if name is not None and name.kind == kind:
            found.setdefault((name.frame, name.plane), file)
    return found


_ZARR = (".zattrs", ".zgroup", "zarr.json")
_MASK_SUFFIXES = {".tif", ".tiff", ".png", ".npy", ".npz"}


@dataclass(frozen=True)
class CtcFolder:
    """The files of a result folder, or of the folder of a ground truth."""

    path: Path
    prefix: str
    """``"mask"`` for a result, ``"man_track"`` for a ground truth."""
    table: Path | None
    """The table of tracks, None if it is missing."""
    masks: dict[int, Path]
    """Mask of each frame, by frame."""
    strays: tuple[Path, ...]
    """TIFFs that are not the mask of a frame, or a second one of the same frame."""

    @property
    def n_frames(self) -> int:
        """One more than the last frame."""
        return max(self.masks, default=-1) + 1

    @property
    def gaps(self) -> list[range]:
        """Frames without a mask before the last one, as ranges: a name may hold any number."""
        return [range(low + 1, high) for low, high in pairwise([-1, *self.masks]) if high > low + 1]

    @property
    def table_name(self) -> str:
        """Name that the table of tracks has, or should have."""
        return TRACK_TABLES[self.prefix]


def find_ctc(folder: str | Path) -> CtcFolder:
    """List a result folder (``01_RES``) or a ground truth (``01_GT`` or ``01_GT/TRA``); no mask is opened.

    Raises
    ------
    FormatError
        If the folder does not exist.
    """
    path = _find_folder(Path(folder))
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in {".tif", ".tiff"})
    prefix = _find_prefix(path, files)
    masks: dict[int, Path] = {}
    for file in files:
        name = parse_name(file.name)
        if name is not None and (name.kind, name.plane) == (prefix, None):
            masks.setdefault(name.frame, file)
    strays = tuple(sorted(set(files) - set(masks.values())))
    table = path / TRACK_TABLES[prefix]
    return CtcFolder(path, prefix, table if table.exists() else None, dict(sorted(masks.items())), strays)


def suggest_conversion(path: Path) -> str:
    """Return how a result is made of masks or a GEFF at a path, as the end of a message; empty for other paths.

    >>> suggest_conversion(Path("masks.tif"))
    "; 'gnntrack import masks.tif -o OUT' makes a result of masks in which each cell keeps its label"
    """
    if any((folder / name).is_file() for folder in (path, path / EXTRAS / "lineage.geff") for name in _ZARR):
        masks = "" if (path / EXTRAS).is_dir() else " --masks MASKS"
        return f"; 'gnntrack export {path}{masks} -o OUT' makes a result of a GEFF"
    files = path.iterdir() if path.is_dir() else [path]
    if any(file.suffix.lower() in _MASK_SUFFIXES for file in files):
        return f"; 'gnntrack import {path} -o OUT' makes a result of masks in which each cell keeps its label"
    return ""


def _find_folder(path: Path) -> Path:
    if not path.is_dir():
        fault = "it is a file" if path.exists() else "no such folder"
        hint = suggest_conversion(path) if path.exists() else ""
        msg = f"{path}: {fault}; expected a folder with res_track.txt and mask000.tif, mask001.tif, ...{hint}"
        raise FormatError(msg)
    has_table = any((path / name).exists() for name in TRACK_TABLES.values())
    return path / "TRA" if (path / "TRA").is_dir() and not has_table else path


def _find_prefix(folder: Path, files: Sequence[Path]) -> str:
    """Return the prefix of the masks in a folder: ``"man_track"`` for a ground truth, else ``"mask"``."""
    if (folder / "res_track.txt").exists():
        return "mask"
    truth = (folder / "man_track.txt").exists() or any(file.name.startswith("man_track") for file in files)
    return "man_track" if truth else "mask"
