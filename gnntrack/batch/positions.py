"""The positions of an experiment: the movies that a folder holds, in one of some layouts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnntrack.errors import GnntrackError, InputError
from gnntrack.io.file_names import LETTERS, STAMP_PATTERN, is_companion, is_mask_kind, parse_file_name
from gnntrack.io.folders import FRAME_SUFFIXES, holds_masks
from gnntrack.io.numbering import find_roles, suggest_pattern

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.io.file_names import FileName

__all__ = ["Position", "find_positions"]

_IMAGES = ("images", "image", "img", "imgs", "raw")
_MASKS = ("masks", "mask", "labels", "label", "seg", "segmentation")
_CTC_MASKS = ("{}_ERR_SEG", "{}_ST/SEG", "{}_ST", "{}_SEG", "{}_masks")
_FILES = {".tif", ".tiff", ".npy", ".nd2", ".czi", ".lif", ".zarr"}
_POINT_FILE = re.compile(r"(.+?)[_-](?:points|spots|detections)\.(?:csv|parquet)", re.IGNORECASE)
_TABLES = {".csv", ".parquet"}
_MASK_FILE = re.compile(r"(.+?)[_-](?:cp_)?(?:masks?|labels?|seg(?:mentation)?)", re.IGNORECASE)


@dataclass(frozen=True)
class Position:
    """One movie of a batch.

    Parameters
    ----------
    name : str
        Name of the position; its result is ``OUT/NAME_RES``.
    images, masks, points : Path, optional
        At least one of the three.
    """

    name: str
    images: Path | None = None
    masks: Path | None = None
    points: Path | None = None

    @property
    def mask_place(self) -> Path | None:
        """Where its masks are: without ``masks``, the folder of images that also has masks, if it is one."""
        if self.masks is None and self.images is not None and holds_masks(self.images):
            return self.images
        return self.masks


def find_positions(
    folder: str | Path, *, images: str | None = None, masks: str | None = None, points: str | None = None
) -> list[Position]:
    """Return the movies in a folder, sorted by name.

    Parameters
    ----------
    folder : path
        The experiment. Without patterns, five layouts are recognised: a folder per position with sub-folders
        ``images`` and ``masks`` (or one of them, or images directly in it); the layout of the Cell Tracking Challenge
        (``01``, ``02``, with masks in ``01_ERR_SEG`` or ``01_ST/SEG``), also of several data sets; a file per
        position (``pos1.tif``, with masks in ``pos1_masks.tif``); a file per frame whose name counts the positions
        (``pos1_t000.tif``, with masks in ``pos1_t000_masks.tif``); and volumes or tables of points (``pos1.zarr``, with
        points in ``pos1_points.csv``, or one of the two). A ground truth, ``pos1.geff``, is not used.
    images, masks, points : str, optional
        Patterns of paths below the folder, with ``{}`` for the name of the position: ``"{}/phase"``,
        ``"{}_labels.tif"``. ``*`` stands for any characters, and ``{t}`` for the number of the frame, as in
        ``"pos{}_t{t}.tif"`` (see `gnntrack.io.patterns`). With one pattern only, the movies have only images,
        only masks, or only points.

    Raises
    ------
    InputError
        If the folder does not exist, a pattern lacks ``{}``, or no position is found.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("pos1/images", "pos1/masks", "pos2/images"):
    ...     (folder / name).mkdir(parents=True)
    >>> [(p.name, p.images.name, p.masks and p.masks.name) for p in find_positions(folder)]
    [('pos1', 'images', 'masks'), ('pos2', 'images', None)]
    """
    folder = Path(folder)
    if not folder.is_dir():
        msg = f"{folder}: no such folder; expected a folder of positions"
        raise InputError(msg)
    given = {"images": images, "masks": masks, "points": points}
    if any(pattern is not None for pattern in given.values()):
        return _match_patterns(folder, **given)
    _refuse_position(folder)
    found = [*_find_ctc(folder), *_find_folders(folder)] or [*_find_tables(folder)] or list(_find_files(folder))
    if not found:
        msg = (
            f"{folder}: no position is found; expected a folder per position with sub-folders images and masks, the "
            "layout of the Cell Tracking Challenge (01, 01_ERR_SEG), or a file per position, such as NAME.zarr or "
            'NAME_points.csv; for other layouts give patterns, such as images="{}/phase" and masks="{}/labels" '
            "(--images, --masks, --points)"
        )
        raise InputError(msg)
    return sorted(found, key=lambda position: _split_digits(position.name))


def _refuse_position(folder: Path) -> None:
    """Raise if a folder is one position: it has nothing but files and a folder of images and one of masks."""
    inside = {path.name.lower(): path for path in _list_folders(folder)}
    images, masks = _pick_first(inside, _IMAGES), _pick_first(inside, _MASKS)
    if images is None or masks is None or len(inside) > 2 or not (_has_files(images) and _has_files(masks)):
        return
    msg = (
        f"{folder}: it is one position, with folders {images.name} and {masks.name}, and not a folder of positions; "
        f"track it: gnntrack track {images} {masks} -o OUT"
    )
    raise InputError(msg)


def _match_patterns(folder: Path, **patterns: str | None) -> list[Position]:
    given = {kind: pattern for kind, pattern in patterns.items() if pattern is not None}
    found: dict[str, dict[str, Path]] = {}
    for kind, pattern in given.items():
        for name, path in _match_pattern(folder, kind, pattern).items():
            found.setdefault(name, {})[kind] = path
    if not found:
        listed = " and ".join(given.values())
        msg = f"{folder}: nothing in it fits the pattern {listed}; {{}} stands for the name of a position"
        raise InputError(msg)
    for name, paths in found.items():
        if len(paths) < len(given):
            lacks = next(kind for kind in given if kind not in paths)
            msg = f"{folder}: position {name} has no {lacks}; check the patterns, or give one pattern only"
            raise InputError(msg)
    return [Position(name, **found[name]) for name in sorted(found, key=_split_digits)]


def _match_pattern(folder: Path, kind: str, pattern: str) -> dict[str, Path]:
    """Return the name of each position that fits a pattern, with its path: a file, a folder, or a pattern of files."""
    if (pattern.count("{}"), Path(pattern).is_absolute()) != (1, False):
        msg = f"the pattern '{pattern}' of the {kind} must have one {{}}, for the position, and no folder above"
        raise InputError(msg)
    expression = re.compile("".join(map(_express, _PARTS.split(pattern))))
    paths = {path: path.relative_to(folder).as_posix() for path in sorted(folder.glob(_PARTS.sub("*", pattern)))}
    matches = {path: match for path, name in paths.items() if (match := expression.fullmatch(name))}
    images = [path for path in matches if not is_mask_kind(parse_file_name(paths[path]).kind)]
    mixed = kind == "images" and 0 < len(images) < len(matches)  # the pattern of the images fits masks as well
    found: dict[str, list[Path]] = {}
    for path in images if mixed else matches:
        found.setdefault(matches[path][1], []).append(path)
    return {
        name: files[0]
        if len(files) == 1
        else folder / _name_series(files, folder, pattern.replace("{}", name), mixed=mixed)
        for name, files in found.items()
    }


def _name_series(files: Sequence[Path], folder: Path, pattern: str, *, mixed: bool) -> str:
    """Return a pattern that fits these files, and not the masks that the given pattern fits as well."""
    names = [parse_file_name(path.relative_to(folder).as_posix()) for path in files]
    return suggest_pattern(names) if mixed and len({name.kind for name in names}) == 1 else pattern


_PARTS = re.compile(r"(\{\w?(?::\w+)?\}|\*)")


def _express(part: str) -> str:
    """Return the regular expression of a part of a pattern."""
    if not _PARTS.fullmatch(part):
        return re.escape(part)
    return {"{}": "(.+?)", "{t": f"(?:{STAMP_PATTERN}|\\d+)", "{z": "\\d+"}.get(part[:2], "[^/]*")


def _split_digits(name: str) -> list[Any]:
    """Return a key by which pos2 is sorted before pos10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def _find_ctc(folder: Path, prefix: str = "") -> Iterator[Position]:
    """Yield the sequences of a data set, or of each data set in a folder."""
    found = False
    for images in _list_folders(folder):
        if re.fullmatch(r"\d{2,}", images.name) and _has_files(images):
            masks = (folder / pattern.format(images.name) for pattern in _CTC_MASKS)
            yield Position(prefix + images.name, images, next((path for path in masks if _has_files(path)), None))
            found = True
    if not found and not prefix:
        for data_set in _list_folders(folder):
            yield from _find_ctc(data_set, f"{data_set.name}/")


def _find_folders(folder: Path) -> Iterator[Position]:
    """Yield the folders with images, masks and points, or with some of these."""
    plain: dict[str, Path] = {}
    for place in _list_folders(folder):
        if re.match(r"\d{2,}_", place.name) and _has_files(folder / place.name.partition("_")[0]):
            continue  # 01_ST, 01_GT and others belong to 01
        inside = {_strip_suffix(path).lower(): path for path in sorted(place.iterdir())}
        images, masks = _pick_first(inside, _IMAGES), _pick_first(inside, _MASKS)
        table = inside.get("points")
        points = table if table is not None and table.suffix.lower() in _TABLES else None
        if images is not None or masks is not None or points is not None:
            yield Position(place.name, images, masks, points)
        elif _has_files(place) and not re.fullmatch(r"\d{2,}", place.name):
            plain[place.name] = place
    yield from _pair_by_name(plain)


def _pick_first(paths: dict[str, Path], names: Sequence[str]) -> Path | None:
    return next((paths[name] for name in names if name in paths), None)


def _find_files(folder: Path) -> Iterator[Position]:
    """Yield the files of which each is a movie, or the series of files in whose names a number is the position."""
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in _FILES]
    patterns = _find_series([path.name for path in sorted(folder.iterdir()) if _is_frame_file(path)])
    first = files[0] if files else next(filter(_is_frame_file, sorted(folder.iterdir())), folder)
    if patterns and _is_single_frame(first):
        yield from _match_patterns(folder, **patterns)
        return
    if files and _is_single_frame(first):
        msg = (
            f"{folder}: its files have one frame each, so that it is one movie and not a folder of positions; "
            f"track it: gnntrack track {folder} -o OUT"
        )
        raise InputError(msg)
    yield from _pair_by_name({_strip_suffix(path): path for path in files})


def _find_tables(folder: Path) -> Iterator[Position]:
    """Yield files with the tables of points that are named after them, and both alone; none if no table is there."""
    points = {match[1]: path for path in sorted(folder.iterdir()) if (match := _POINT_FILE.fullmatch(path.name))}
    files = [path for path in sorted(folder.iterdir()) if points and path.suffix.lower() in _FILES]
    for position in _pair_by_name({_strip_suffix(path): path for path in files}):
        yield replace(position, points=points.pop(position.name, None))
    yield from (Position(name, points=path) for name, path in points.items())


def _is_frame_file(path: Path) -> bool:
    return path.suffix.lower() in FRAME_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _find_series(names: Sequence[str]) -> dict[str, str | None]:
    """Return patterns of the images and the masks of several positions in one folder, {} if names count no positions.

    >>> _find_series([f"s{s}_t{t}{end}.png" for s in (1, 2) for t in (0, 1) for end in ("", "_masks")])
    {'images': 's{}_t{t}.png', 'masks': 's{}_t{t}_masks.png'}
    >>> _find_series(["t0.png", "t1.png"])
    {}
    """
    kinds: dict[str, list[FileName]] = {}
    for name in map(parse_file_name, names):
        if not is_companion(name.kind):
            kinds.setdefault(name.kind, []).append(name)
    patterns: dict[str, str | None] = {"images": None, "masks": None}
    for kind, found in kinds.items():
        roles = find_roles(found)
        role = "masks" if is_mask_kind(kind) else "images"
        if sorted(roles.values()).count("position") != 1 or "time" not in roles.values() or patterns[role] is not None:
            return {}
        letters = LETTERS | {"position": ""}
        patterns[role] = found[0].format_pattern({place: f"{{{letters[each]}}}" for place, each in roles.items()})
    return patterns if any(patterns.values()) else {}


def _pair_by_name(paths: dict[str, Path]) -> Iterator[Position]:
    """Yield movies and the masks whose names are theirs with an ending, such as ``pos1`` and ``pos1_masks``."""
    masks = {match[1]: name for name in paths if (match := _MASK_FILE.fullmatch(name))}
    movies = [name for name in paths if name not in masks.values()]
    yield from (Position(name, paths[name], paths[masks[name]] if name in masks else None) for name in movies)
    yield from (Position(name, None, paths[masks[name]]) for name in masks if name not in movies)


def _strip_suffix(path: Path) -> str:
    return re.sub(r"(\.ome)?\.\w+$", "", path.name, flags=re.IGNORECASE)


def _is_single_frame(path: Path) -> bool:
    from gnntrack.io.frames import open_frames

    try:
        return len(open_frames(path)) == 1
    except GnntrackError:  # reported when the position is tracked
        return False


def _list_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, without hidden ones, tracking results, and those that are files of zarr."""

    def is_input(path: Path) -> bool:
        hidden = path.name.startswith(".") or path.suffix.lower() in {".zarr", ".geff"}
        return path.is_dir() and not hidden and not (path / "res_track.txt").exists()

    return sorted(filter(is_input, folder.iterdir()))


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix.lower() in {".tif", ".tiff", ".png"} for path in folder.iterdir())
