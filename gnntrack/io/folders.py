"""The files of a movie in a folder: images, or the masks that other programs write beside them.

cellpose, Cell-ACDC, ilastik and others write masks into the folder of the images, as ``NAME_cp_masks.png``,
``NAME_seg.npy``, ``NAME_mask.tif`` and the like. As images, the other files of the folder are read; as masks, these.
"""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from pathlib import Path

from gnntrack.errors import FrameError
from gnntrack.io import bio, numpy_files, tiff, video
from gnntrack.io.file_names import describe_kind, is_companion, is_mask_kind, parse_file_name
from gnntrack.io.foreign import describe_format
from gnntrack.io.images import PILLOW_SUFFIXES
from gnntrack.io.numbering import order_frames
from gnntrack.io.patterns import FileSeries
from gnntrack.io.result_folders import EXTRAS
from gnntrack.plurals import count_noun

__all__ = ["FRAME_SUFFIXES", "LOSSY_SUFFIXES", "find_mask_files", "holds_masks", "list_folder"]

_log = logging.getLogger(__name__)

FRAME_SUFFIXES = (*tiff.SUFFIXES, *PILLOW_SUFFIXES, *numpy_files.SUFFIXES)
"""Suffixes of files that can be one frame of a movie."""

LOSSY_SUFFIXES = (".jpg", ".jpeg", ".webp")
"""Suffixes of files whose compression changes labels."""

_PREFERRED = (".tif", ".png", ".bmp", ".npz", ".npy")
_TABLES = ("res_track.txt", "man_track.txt")


def list_folder(folder: Path, *, role: str = "images", allow_missing: bool = False) -> FileSeries:
    """Return the files of a movie in a folder, one per frame.

    Parameters
    ----------
    folder : Path
        The folder.
    role : {"images", "masks"}
        Which files to return if the folder has both.
    allow_missing : bool
        Missing frames are empty frames, and not an error.

    Raises
    ------
    FrameError
        If there are no such files, they are of several kinds, or a frame is missing.
    """
    kinds = _list_kinds(folder)
    if folder.absolute().name == EXTRAS and (folder / "summary.json").is_file():
        msg = f"it holds the tables and pictures of a result; give the folder of the result, {folder.absolute().parent}"
        raise FrameError(msg, file=folder)
    if not kinds:
        raise FrameError(_describe_missing_frames(folder), file=folder)
    kinds = _drop_strays(_choose_role(kinds, role), folder)
    if role == "masks" and len(kinds) > 1 and all(map(is_mask_kind, kinds)):
        kinds = _choose_preferred(kinds, folder)
    files = [path for paths in kinds.values() for path in paths]
    ordered = order_frames(files, folder, allow_missing=allow_missing, role=role)
    present = set(files)
    absent = frozenset(frame for frame, path in enumerate(ordered) if path not in present)
    return FileSeries(folder, tuple((path,) for path in ordered), absent)


def find_mask_files(folder: Path) -> tuple[str, int] | None:
    """Return the kind of the files of masks in a folder that also has images, and their number, or None.

    A single file is returned by its name.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("a0.tif", "a1.tif", "a0_cp_masks.png", "a1_cp_masks.png"):
    ...         Path(folder, name).touch()
    ...     find_mask_files(Path(folder))
    ('a#_cp_masks.png', 2)
    """
    kinds = _list_kinds(folder)
    masks = {kind: len(paths) for kind, paths in kinds.items() if is_mask_kind(kind) and not is_companion(kind)}
    images = [kind for kind in kinds if kind not in masks and not is_companion(kind)]
    if not masks or not images:
        return None
    kind = max(masks, key=lambda kind: masks[kind])
    frames = max(len(kinds[image]) for image in images)
    if masks[kind] > 1:
        return kind, masks[kind]
    return (kinds[kind][0].name, 1) if frames == 1 else None  # a single mask of many images is a stray


def holds_masks(path: Path) -> bool:
    """Return whether a path is a folder with files of images and files of masks, by the usual names of masks."""
    return path.is_dir() and find_mask_files(path) is not None


def _list_kinds(folder: Path) -> dict[str, list[Path]]:
    """Return the files that can be frames, by the kind of their names."""
    with os.scandir(folder) as entries:
        files = sorted(Path(entry.path) for entry in entries if not entry.name.startswith(".") and not entry.is_dir())
    tables = any(path.name in _TABLES for path in files)
    found: dict[str, list[Path]] = {}
    for path in files:
        if path.suffix.lower() in FRAME_SUFFIXES:
            found.setdefault(parse_file_name(path.name).kind, []).append(path)
    results = {kind: paths for kind, paths in found.items() if kind in ("mask#.tif", "man_track#.tif")}
    return results if tables and results else found  # pictures and tables beside a result are not frames of it


def _choose_role(kinds: dict[str, list[Path]], role: str) -> dict[str, list[Path]]:
    """Return the kinds of masks or of images; if there is none of these, all."""
    useful = {kind: paths for kind, paths in kinds.items() if not is_companion(kind)} or kinds
    masks = {kind: paths for kind, paths in useful.items() if is_mask_kind(kind)}
    images = {kind: paths for kind, paths in useful.items() if kind not in masks}
    return (masks or images) if role == "masks" else (images or masks)


def _drop_strays(kinds: dict[str, list[Path]], folder: Path) -> dict[str, list[Path]]:
    """Return the kinds without single files of another format, such as a preview, and warn of these."""
    main = max(kinds, key=lambda kind: len(kinds[kind]))
    suffix = Path(main).suffix
    strays = [kind for kind in kinds if len(kinds[kind]) == 1 and Path(kind).suffix != suffix]
    if not strays or len(kinds[main]) == 1:
        return kinds
    names = ", ".join(kinds[kind][0].name for kind in strays[:3])
    _log.warning("%s: %s is not read; the frames are %s", folder, names, describe_kind(main, len(kinds[main])))
    return {kind: paths for kind, paths in kinds.items() if kind not in strays}


def _choose_preferred(kinds: dict[str, list[Path]], folder: Path) -> dict[str, list[Path]]:
    """Return one kind if the others are the same masks in other formats, as cellpose writes them."""
    bases = {re.sub(r"_(?:cp_masks|seg)\.\w+$", "", kind) for kind in kinds}
    if len(bases) > 1 or len({len(paths) for paths in kinds.values()}) > 1:
        return kinds
    best = min(kinds, key=lambda kind: _PREFERRED.index(Path(kind).suffix) if Path(kind).suffix in _PREFERRED else 9)
    others = ", ".join(kind for kind in kinds if kind != best)
    _log.info("%s: the masks are read from %s; %s has the same ones", folder, best, others)
    return {best: kinds[best]}


def _describe_missing_frames(folder: Path) -> str:
    """Return the message for a folder without a file that can be a frame."""
    if folder.suffix.lower() in (".geff", ".ims"):
        return describe_format(folder)
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    movies = [path for path in files if path.suffix.lower() in (*bio.SUFFIXES, *video.SUFFIXES)]
    movies += sorted(folder.glob("*.zarr"))
    if movies:
        some = " or ".join(map(str, movies[:4]))
        return (
            f"it holds {count_noun(len(movies), 'movie')}, and one is tracked at a time; give {some}, or use "
            "'gnntrack batch'"
        )
    return _describe_inside(folder) or _describe_files(files)


def _describe_inside(folder: Path) -> str | None:
    """Return the message for a folder with folders of images in it, or None."""
    inside = [path for path in sorted(folder.glob("*/")) if _holds_frames(path) and not path.name.startswith(".")]
    if inside:
        return f"the folder holds no image itself; did you mean {' or '.join(str(path) for path in inside[:4])}?"
    deeper = sorted(path for path in folder.glob("*/*/") if _holds_frames(path))
    if not deeper:
        return None
    return (
        f"the folder holds {count_noun(len(list(folder.glob('*/'))), 'folder')} with movies inside, such as "
        f"{deeper[0]}; give "
        "one of these, or use 'gnntrack batch' for all positions"
    )


def _describe_files(files: list[Path]) -> str:
    """Return the message for a folder with files of other formats."""
    if not files:
        return "the folder is empty; expected a file per frame, such as t000.tif, t001.tif"
    points = [path for path in files if path.name.lower().endswith("_points.csv")]
    if points:
        movies = count_noun(len(points), "table of points", "tables of points")
        return f"the folder holds {movies}, such as {points[0]}; give one of them, or use 'gnntrack batch' for all"
    counts = Counter(path.suffix.lower() for path in files)
    listed = ", ".join(f"{count} {suffix or 'nameless'}" for suffix, count in counts.most_common(3))
    usual = next(path for path in files if path.suffix.lower() == counts.most_common(1)[0][0])
    remedy = describe_format(usual).partition("; ")[2]
    return f"the folder holds no image but {listed}; expected a file per frame, such as t000.tif or t000.png. {remedy}"


def _holds_frames(folder: Path) -> bool:
    try:
        return any(
            path.suffix.lower() in (*FRAME_SUFFIXES, *bio.SUFFIXES, *video.SUFFIXES) for path in folder.iterdir()
        )
    except OSError:
        return False
