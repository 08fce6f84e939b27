"""Many movies in one run: the positions of an experiment, found in a folder and tracked one after the other."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.earlier_runs import list_changes
from gnntrack.errors import GnntrackError, InputError, OutputError
from gnntrack.io.file_names import LETTERS, STAMP_PATTERN, is_companion, is_mask_kind, parse_file_name
from gnntrack.io.folders import FRAME_SUFFIXES, holds_masks
from gnntrack.io.numbering import find_roles, suggest_pattern
from gnntrack.io.result_folders import EXTRAS
from gnntrack.io.tables import write_csv
from gnntrack.plurals import count_noun
from gnntrack.results import expect_extras, load_result
from gnntrack.setting_errors import check_bools
from gnntrack.settings import Settings
from gnntrack.user_warnings import prefix_warnings, show_warnings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.io.file_names import FileName

__all__ = ["Outcome", "Position", "find_positions", "track_positions"]

_IMAGES = ("images", "image", "img", "imgs", "raw")
_MASKS = ("masks", "mask", "labels", "label", "seg", "segmentation")
_CTC_MASKS = ("{}_ERR_SEG", "{}_ST/SEG", "{}_ST", "{}_SEG", "{}_masks")
_MOST_CHANGES = 3  # that a message lists
_FILES = {".tif", ".tiff", ".npy", ".nd2", ".czi", ".lif", ".zarr"}
_MASK_FILE = re.compile(r"(.+?)[_-](?:cp_)?(?:masks?|labels?|seg(?:mentation)?)", re.IGNORECASE)


@dataclass(frozen=True)
class Position:
    """One movie of a batch.

    Parameters
    ----------
    name : str
        Name of the position; its result is ``OUT/NAME_RES``.
    images, masks : Path, optional
        At least one of the two.
    """

    name: str
    images: Path | None = None
    masks: Path | None = None

    @property
    def mask_place(self) -> Path | None:
        """Where its masks are: without ``masks``, the folder of images that also has masks, if it is one."""
        if self.masks is None and self.images is not None and holds_masks(self.images):
            return self.images
        return self.masks


@dataclass(frozen=True)
class Outcome:
    """One row of the table of a batch."""

    position: str
    status: str
    """``done``, ``kept`` (finished by an earlier run) or ``failed``."""
    frames: int | None = None
    cells: int | None = None
    tracks: int | None = None
    divisions: int | None = None
    seconds: float | None = None
    warnings: str = ""
    error: str = ""
    images: str = ""
    masks: str = ""
    result: str = ""


def find_positions(folder: str | Path, *, images: str | None = None, masks: str | None = None) -> list[Position]:
    """Return the movies in a folder, sorted by name.

    Parameters
    ----------
    folder : path
        The experiment. Without patterns, four layouts are recognised: a folder per position with sub-folders
        ``images`` and ``masks`` (or one of them, or images directly in it); the layout of the Cell Tracking Challenge
        (``01``, ``02``, with masks in ``01_ERR_SEG`` or ``01_ST/SEG``), also of several data sets; a file per
        position (``pos1.tif``, with masks in ``pos1_masks.tif``); and a file per frame whose name counts the positions
        (``pos1_t000.tif``, with masks in ``pos1_t000_masks.tif``).
    images, masks : str, optional
        Patterns of paths below the folder, with ``{}`` for the name of the position: ``"{}/phase"``,
        ``"{}_labels.tif"``. ``*`` stands for any characters, and ``{t}`` for the number of the frame, as in
        ``"pos{}_t{t}.tif"`` (see `gnntrack.io.patterns`). With one pattern only, the movies have only images, or
        only masks.

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
    if images is not None or masks is not None:
        return _match_patterns(folder, images, masks)
    _refuse_position(folder)
    found = [*_find_ctc(folder), *_find_folders(folder)] or list(_find_files(folder))
    if not found:
        msg = (
            f"{folder}: no position is found; expected a folder per position with sub-folders images and masks, the "
            "layout of the Cell Tracking Challenge (01, 01_ERR_SEG), or a file per position; for other layouts give "
            'patterns, such as images="{}/phase" and masks="{}/labels" (--images, --masks)'
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


def _match_patterns(folder: Path, images: str | None, masks: str | None) -> list[Position]:
    given = {kind: pattern for kind, pattern in (("images", images), ("masks", masks)) if pattern is not None}
    found: dict[str, dict[str, Path]] = {}
    for kind, pattern in given.items():
        for name, path in _match_pattern(folder, kind, pattern).items():
            found.setdefault(name, {})[kind] = path
    if not found:
        patterns = " and ".join(given.values())
        msg = f"{folder}: nothing in it fits the pattern {patterns}; {{}} stands for the name of a position"
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
    """Yield the folders with images and masks, or with one of the two."""
    plain: dict[str, Path] = {}
    for place in _list_folders(folder):
        if re.match(r"\d{2,}_", place.name) and _has_files(folder / place.name.partition("_")[0]):
            continue  # 01_ST, 01_GT and others belong to 01
        inside = {_strip_suffix(path).lower(): path for path in sorted(place.iterdir())}
        images, masks = _pick_first(inside, _IMAGES), _pick_first(inside, _MASKS)
        if images is not None or masks is not None:
            yield Position(place.name, images, masks)
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
    """Return the folders in a folder, without hidden ones and tracking results."""

    def is_input(path: Path) -> bool:
        return path.is_dir() and not path.name.startswith(".") and not (path / "res_track.txt").exists()

    return sorted(filter(is_input, folder.iterdir()))


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix.lower() in {".tif", ".tiff", ".png"} for path in folder.iterdir())


def track_positions(
    positions: Sequence[Position],
    out: str | Path,
    *,
    settings: Settings | None = None,
    resume: bool = False,
    overwrite: bool = False,
    jobs: int = 1,
    report: Callable[[Outcome], None] | None = None,
    **choices: Any,
) -> list[Outcome]:
    """Track each position into ``OUT/NAME_RES``, and write the table ``OUT/summary.csv``.

    A position that fails does not stop the others. The table is written after each position.

    Parameters
    ----------
    positions : sequence of Position
        From `find_positions`.
    out : path
        Folder of the results.
    settings : Settings, optional
        Default ``Settings()``.
    resume : bool
        Keep the results of an earlier run with the same settings and input.
    overwrite : bool
        Replace results of an earlier run.
    jobs : int
        Positions that are tracked at the same time, each by a process of its own.
    report : callable, optional
        Called with each outcome.
    **choices
        Further keywords of `gnntrack.track`, such as ``method``.

    Returns
    -------
    list of Outcome
        In the order of the positions.

    Raises
    ------
    OutputError
        If `out` has results, and neither `resume` nor `overwrite` is given.
    InputError
        If one of these is neither True nor False, or a segmenter is given and all positions have masks.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> masks = np.zeros((3, 20, 20), np.uint8)
    >>> masks[:, 5:11, 5:11] = 1
    >>> np.save(folder / "a_masks.npy", masks)
    >>> [row.tracks for row in track_positions(find_positions(folder), folder / "out")]
    [1]
    """
    check_bools(resume=resume, overwrite=overwrite)
    expect_extras(settings or Settings(), "batch")
    if (choices.get("segmenter") or choices.get("segmenter_options")) and all(each.mask_place for each in positions):
        msg = "segmenter (--segmenter) makes masks, and all positions have masks; omit it"
        raise InputError(msg)
    out = Path(out)
    _check_out(out, positions, resume=resume, overwrite=overwrite)
    work = partial(
        _track_position,
        out=out,
        settings=settings or Settings(),
        resume=resume,
        overwrite=overwrite,
        choices=choices,
    )
    done: list[Outcome] = []
    for outcome in _run_all(work, positions, jobs):
        done.append(outcome)
        _write_table(done, out / "summary.csv")
        if report is not None:
            report(outcome)
    return done


def _run_all(work: Callable[[Position], Outcome], positions: Sequence[Position], jobs: int) -> Iterator[Outcome]:
    if jobs <= 1 or len(positions) <= 1:
        yield from map(work, positions)
        return
    with ProcessPoolExecutor(min(jobs, len(positions)), get_context("spawn"), show_warnings) as pool:
        yield from pool.map(work, positions)


def _check_out(out: Path, positions: Sequence[Position], *, resume: bool, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        msg = f"{out}: it is a file, expected a folder for the results; choose another output"
        raise OutputError(msg)
    there = [position.name for position in positions if _get_result_path(out, position).exists()]
    if there and not (resume or overwrite):
        msg = (
            f"{out}: it has results of {count_noun(len(there), 'position')}, such as {there[0]}; keep them with "
            "resume (--resume), replace them with overwrite (--overwrite), or choose another output"
        )
        raise OutputError(msg)


def _get_result_path(out: Path, position: Position) -> Path:
    return out / f"{position.name}_RES"


def _track_position(
    position: Position, *, out: Path, settings: Settings, resume: bool, overwrite: bool, choices: dict[str, Any]
) -> Outcome:
    """Track one position; an error is part of the outcome."""
    from gnntrack.pipeline import track

    result = _get_result_path(out, position)
    paths: dict[str, Any] = {"images": str(position.images or ""), "masks": str(position.mask_place or "")}
    try:
        chosen = _select_choices(choices, position)
        finished = resume and _is_finished(result, position, settings, chosen, overwrite=overwrite)
        kept = finished and _is_complete(result)
        if not kept:
            chosen = dict(chosen) | {"overwrite": overwrite or finished}
            with prefix_warnings(position.name):
                track(position.images, position.masks, out=result, settings=settings, **chosen)
        summary = _read_summary(result)
    except Exception as error:  # noqa: BLE001  # no fault of one position may stop the others
        name = "" if isinstance(error, GnntrackError | OSError) else f"{type(error).__name__}: "
        return Outcome(position.name, "failed", error=f"{name}{error}", **paths)
    counts = {name: summary["counts"][name] for name in ("cells", "tracks", "divisions")}
    return Outcome(
        position.name,
        "kept" if kept else "done",
        frames=summary["movie"]["frames"],
        seconds=summary["seconds"],
        warnings="; ".join(summary["warnings"]),
        result=str(result),
        **counts,
        **paths,
    )


def _select_choices(choices: dict[str, Any], position: Position) -> dict[str, Any]:
    """Return the keywords of `track` for a position; one with masks needs no segmenter."""
    if position.mask_place is None:
        return choices
    return {name: value for name, value in choices.items() if not name.startswith("segmenter")}


def _read_summary(result: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((result / EXTRAS / "summary.json").read_text(encoding="utf-8"))
    return content


def _is_complete(result: Path) -> bool:
    """Return whether a result can be loaded, with all its frames."""
    try:
        return load_result(result).cells.n_frames == int(_read_summary(result)["movie"]["frames"])
    except GnntrackError:
        return False


def _is_finished(result: Path, position: Position, settings: Settings, choices: Any, *, overwrite: bool) -> bool:
    """Return whether an earlier run has finished a position.

    Raises
    ------
    OutputError
        If it did so with another input, method, segmenter or other settings, which `overwrite` replaces.
    """
    if not (result / EXTRAS / "summary.json").is_file():
        return False
    source, segmented = {"images": position.images, "masks": position.masks}, position.mask_place is None
    changes = list(list_changes(_read_summary(result), source, settings, choices, segmented=segmented))
    if changes and not overwrite:
        listed = "; ".join(changes[:_MOST_CHANGES])
        msg = f"{result}: an earlier run made it with other settings: {listed}; replace it with overwrite (--overwrite)"
        raise OutputError(msg)
    return not changes


def _write_table(outcomes: Sequence[Outcome], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {each.name: np.array([getattr(row, each.name) for row in outcomes], object) for each in fields(Outcome)}
    write_csv(columns, path, overwrite=True)
