"""Results that are there as a whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gnntrack.errors import OutputError

__all__ = ["MANIFEST", "check_output", "fresh_output", "try_output"]

MANIFEST = ".gnntrack.json"
"""Lists the files of a result folder that is not known by their names, so that `--overwrite` removes only those."""
_CTC_RESULT = re.compile(r"res_track\.txt|mask\d+\.tif")
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
_MODEL = re.compile(
    r"(appearance/)?(weights\.safetensors|model\.json)|checkpoint\.safetensors|log\.csv|(learning_curve|reliability)\.png"
)
_GEFF_TOP = {"zarr.json", ".zgroup", ".zattrs", ".zmetadata", "nodes", "edges"}


@contextmanager
def fresh_output(path: str | Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a place beside `path` to write to, and move what was written to `path` at the end.

    The body makes a file or a folder at the place it is given. Where the body fails or is interrupted, what it
    wrote is removed, and what stood at `path` before stays untouched. Folders above `path` are made.

    Parameters
    ----------
    path : path
        Where the result shall be. A link is followed.
    overwrite : bool
        Replace what is there: a file, an empty folder, or a folder that holds nothing but a result of gnntrack.
        Such are a CTC result (``res_track.txt`` and ``maskTTT.tif``), a GEFF store, a model of ``gnntrack train``,
        and a folder whose every file is listed in its ``.gnntrack.json``. Any other folder is refused, so that no data
        are lost to a slip.

    Yields
    ------
    Path
        A path in the same folder that does not exist yet, with the suffix of `path`.

    Raises
    ------
    OutputError
        Before the body runs, if `path` exists and may not be replaced, or cannot be written; afterwards, if
        nothing was written, or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with fresh_output(folder / "tracks.csv", overwrite=False) as place:
    ...     _ = place.write_text("track,parent")
    >>> [file.name for file in folder.iterdir()]
    ['tracks.csv']
    """
    target = check_output(path, overwrite=overwrite)
    made = _make_parents(target)
    place = _place_beside(target)
    try:
        _try_writing(place, path)
        yield place
        if not os.path.lexists(place):
            msg = f"{path}: nothing was written"
            raise OutputError(msg)
        _list_files(place)
        # asked again, for something may have been put there while the body ran
        check_output(path, overwrite=overwrite)
        _move(place, target)
    except BaseException as error:
        _remove(place)
        _remove_empty(made)
        if isinstance(error, OSError) and _is_about(error, place):
            msg = f"{path}: it cannot be written ({error.strerror or error}); nothing was left there"
            raise OutputError(msg) from error
        raise


def check_output(path: str | Path, *, overwrite: bool) -> Path:
    """Return where `path` really is, after making sure that a result may be put there.

    Parameters
    ----------
    path : path
        Where the result shall be.
    overwrite : bool
        Whether what is there may be replaced, as in `fresh_output`.

    Raises
    ------
    OutputError
        If it exists and may not be replaced, or lies below a file.
    """
    target = Path(os.path.realpath(Path(path).expanduser()))
    above = next((folder for folder in target.parents if os.path.lexists(folder)), target)
    if not above.is_dir():
        msg = f"{path}: {above} is a file, so that nothing can be written below it; choose another output"
        raise OutputError(msg)
    if not os.path.lexists(target):
        return target
    if not overwrite:
        msg = f"{path}: it exists already; choose another output, or replace it with overwrite (--overwrite)"
        raise OutputError(msg)
    stranger = _stranger(target) if target.is_dir() else None
    if stranger is not None:
        msg = (
            f"{path}: the folder is not overwritten, for it holds {stranger}, which gnntrack did not write; "
            "choose another output, or remove the folder yourself"
        )
        raise OutputError(msg)
    return target


def try_output(path: str | Path, *, overwrite: bool) -> None:
    """Raise before the long work, and not after it, if a result cannot be written to `path`.

    As `fresh_output` with a body that writes nothing: a folder is made beside `path` and removed again.

    Raises
    ------
    OutputError
        If `path` exists and may not be replaced, or cannot be written.
    """
    target = check_output(path, overwrite=overwrite)
    made = _make_parents(target)
    try:
        _try_writing(_place_beside(target), path)
    finally:
        _remove_empty(made)


def _stranger(folder: Path) -> str | None:
    """Return the first thing in a folder that is no part of a result, or None where it may go as a whole."""
    entries = sorted(entry.name for entry in folder.iterdir())
    if MANIFEST in entries:
        try:
            listed = {MANIFEST, *json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]}
        except (OSError, ValueError, LookupError, TypeError):
            return f"an unreadable {MANIFEST}"
        return next((name for name in _files(folder) if name not in listed), None)
    if {"weights.safetensors", "model.json"} <= set(entries) or "checkpoint.safetensors" in entries:
        return next((name for name in _files(folder) if not _MODEL.fullmatch(name)), None)
    if _is_geff(folder):
        return next((name for name in entries if name not in _GEFF_TOP), None)
    if "res_track.txt" in entries:
        return next((n for n in entries if not _CTC_RESULT.fullmatch(n) or (folder / n).is_dir()), None)
    return next(iter(entries), None)


def _is_geff(folder: Path) -> bool:
    try:
        if (folder / "zarr.json").is_file():
            return "geff" in json.loads((folder / "zarr.json").read_text(encoding="utf-8")).get("attributes", {})
        return "geff" in json.loads((folder / ".zattrs").read_text(encoding="utf-8"))
    except (OSError, ValueError, AttributeError, TypeError):
        return False


def _files(folder: Path) -> list[str]:
    """Return everything below a folder that is not a folder, as paths from there."""
    found = []
    for top, _, names in os.walk(folder):
        found += [(Path(top) / name).relative_to(folder).as_posix() for name in names]
    return sorted(found)


def _list_files(place: Path) -> None:
    if place.is_dir() and _stranger(place) is not None:
        (place / MANIFEST).write_text(json.dumps({"files": _files(place)}, indent=0), encoding="utf-8")


def _make_parents(target: Path) -> list[Path]:
    """Make the folders above the target; return those that were not there, deepest first."""
    missing = [folder for folder in target.parents if not folder.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{target}: its folder cannot be made ({error.strerror}); choose an output where you may write"
        raise OutputError(msg) from error
    return missing


def _place_beside(target: Path) -> Path:
    return target.with_name(f".partial-{secrets.token_hex(4)}-{target.name}")


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # another process has written there meanwhile
            folder.rmdir()


def _try_writing(place: Path, path: str | Path) -> None:
    """Find out before hours of work whether the folder can be written."""
    try:
        place.mkdir()
        place.rmdir()
    except OSError as error:
        msg = f"{path}: its folder cannot be written ({error.strerror}); choose an output where you may write"
        raise OutputError(msg) from error


def _move(place: Path, target: Path) -> None:
    """Put the new in the place of the old, which is back there if that fails."""
    if not target.is_dir() and not place.is_dir():
        place.replace(target)
        return
    if not os.path.lexists(target):
        place.rename(target)
        return
    aside = target.with_name(f".replaced-{secrets.token_hex(4)}-{target.name}")
    try:
        target.rename(aside)
        place.rename(target)
    except BaseException:
        if os.path.lexists(aside) and not os.path.lexists(target):
            aside.rename(target)
        raise
    _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_about(error: OSError, place: Path) -> bool:
    """Tell an error of writing the output from one that the body met elsewhere."""
    named = [str(name) for name in (error.filename, error.filename2) if name]
    return any(name.startswith(str(place)) for name in named) if named else error.errno in _DISK
