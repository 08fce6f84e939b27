"""Writing of results: a file or folder appears as a whole or not at all."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path

from gnntrack.errors import OutputError
from gnntrack.io.output_locks import Claim, claim_output, hold_outputs, keep_claim
from gnntrack.io.output_places import (
    choose_temporary_path,
    flush_folder,
    flush_path,
    is_temporary,
    move_output,
    recover_output,
    remove_path,
)
from gnntrack.io.result_folders import find_foreign_file, write_manifest
from gnntrack.io.run_records import note_output
from gnntrack.setting_errors import check_bools

__all__ = [
    "OWN_VIDEO",
    "check_output",
    "check_writable",
    "claim_free_output",
    "clean_up",
    "explain_error",
    "fresh_output",
    "hold_outputs",
    "is_pattern",
    "refuse_source",
    "try_output",
]

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
_WRITTEN_IN_PART = re.compile(r"requested and \d+ written|writing image file")  # by NumPy and Pillow on a full disk
OWN_VIDEO = "made by gnntrack"
"""Comment of the videos that gnntrack writes."""
_HEADER = 1 << 22  # bytes at the start of a video, in which its header is
# files of images: they are read and never written
_READ_ONLY = (".tif", ".tiff", ".npy", ".npz", ".nd2", ".czi", ".lif", ".avi", ".mp4", ".mov", ".bmp")


@contextmanager
def fresh_output(path: str | Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and move the file or folder that the body writes there to `path`.

    If the body fails or is interrupted, its output is removed, and an older output at `path` stays as it is. Folders
    above `path` are made. What killed runs have left beside `path` is removed.

    Parameters
    ----------
    path : path
        Path of the result. A symbolic link is followed.
    overwrite : bool
        Replace an older output: a file by a file, an empty folder, or a folder that holds nothing but a result of
        gnntrack: a CTC result (``res_track.txt`` and ``maskTTT.tif``), a GEFF, a model of ``gnntrack train``, or a
        folder whose files are all listed in its ``.gnntrack.json``. Any other folder, a file in the place of a folder,
        and files that gnntrack only reads (``.tif``, ``.npy``, videos of other programs, ...) are refused, so that a
        mistake in the path loses no data.

    Yields
    ------
    Path
        A path in the same folder that does not exist yet, with the suffix of `path`.

    Raises
    ------
    OutputError
        Before the body runs, if `path` exists and may not be replaced, cannot be written, or is written by another
        process; afterwards, if nothing was written, or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with fresh_output(folder / "tracks.csv", overwrite=False) as place:
    ...     _ = place.write_text("track,parent")
    >>> [file.name for file in folder.iterdir()]
    ['tracks.csv']
    """
    claim = claim_free_output(path, overwrite=overwrite)
    target = claim.target
    place = choose_temporary_path(target)
    try:
        yield place
        if not os.path.lexists(place):
            msg = f"{path}: nothing was written; a writer must make a file or a folder at the path that it is given"
            raise OutputError(msg)
        if place.is_dir():
            write_manifest(place)
        # checked again, since another process may have written there while the body ran
        if check_output(path, overwrite=overwrite).is_file() and place.is_dir():
            raise OutputError(_describe_foreign_file(path))
        whole = not is_temporary(target)  # and not a part of another output
        if whole:
            flush_path(place)
            note_output(place, target)
        move_output(place, target)
        if whole:
            flush_folder(target.parent)
    except BaseException as error:
        remove_path(place)
        told = explain_error(error, place, path)
        if told is not None:
            raise OutputError(told) from error
        raise
    finally:
        claim.release()


def claim_free_output(path: str | Path, *, overwrite: bool) -> Claim:
    """Return the claim to an output, after all checks; what killed runs have left is removed.

    Raises
    ------
    OutputError
        If it may not be written, or another process writes it.
    """
    target = check_output(path, overwrite=overwrite)
    claim = claim_output(target, path)
    try:
        if claim.descriptor is not None and claim.users == 1 and recover_output(target):
            check_output(path, overwrite=overwrite)
        check_writable(target, path)
    except BaseException:
        claim.release()
        raise
    return claim


def check_output(path: str | Path, *, overwrite: bool) -> Path:
    """Return the absolute path of a result, with links resolved, after checking that it may be written there.

    Parameters
    ----------
    path : path
        Path of the result.
    overwrite : bool
        Whether an older output may be replaced, as in `fresh_output`.

    Raises
    ------
    OutputError
        If it exists and may not be replaced, lies below a file, or is not a path.
    InputError
        If `overwrite` is neither True nor False.
    """
    check_bools(overwrite=overwrite)
    if not isinstance(path, str | os.PathLike):
        msg = f"the output is {path!r:.60}, of type {type(path).__name__}; expected a path, such as 'results/01_RES'"  # type: ignore[unreachable]
        raise OutputError(msg)
    target = Path(os.path.realpath(Path(path).expanduser()))
    above = next((folder for folder in target.parents if os.path.lexists(folder)), target)
    if not above.is_dir():
        msg = f"{path}: {above} is a file, expected a folder; choose another output"
        raise OutputError(msg)
    if not _exists(target, path):
        return target
    if not overwrite:
        msg = f"{path}: it exists already; choose another output, or replace it with overwrite (--overwrite)"
        raise OutputError(msg)
    if target.is_file() and target.suffix.lower() in _READ_ONLY and not _is_own_video(target):
        raise OutputError(_describe_foreign_file(path))
    foreign = find_foreign_file(target) if target.is_dir() else None
    if foreign is not None:
        msg = (
            f"{path}: the folder is not overwritten, since it holds {foreign}, which gnntrack did not write; "
            "choose another output, or remove the folder yourself"
        )
        raise OutputError(msg)
    return target


def _exists(target: Path, path: str | Path) -> bool:
    """Return whether there is anything at a path.

    Raises
    ------
    OutputError
        If nothing can be there, such as under a name that is too long.
    """
    try:
        target.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        msg = f"{path}: it cannot be written ({error.strerror}); choose another output"
        raise OutputError(msg) from error
    return True


def _is_own_video(path: Path) -> bool:
    """Return whether a file is a video of `gnntrack.write_video`, which has a comment in its header."""
    if path.suffix.lower() != ".mp4":
        return False
    with path.open("rb") as file:
        return OWN_VIDEO.encode() in file.read(_HEADER)


def _describe_foreign_file(path: str | Path) -> str:
    return (
        f"{path}: the file is not overwritten, since gnntrack did not write it; "
        "choose another output, or remove the file yourself"
    )


def try_output(path: str | Path, *, overwrite: bool) -> None:
    """Raise before the long work, and not after it, if a result cannot be written to `path`.

    As `fresh_output` with a body that writes nothing: a folder is made beside `path` and removed again. Inside of
    `hold_outputs`, as in every command and recipe, no other process can write `path` until that ends.

    Raises
    ------
    OutputError
        If `path` exists and may not be replaced, or cannot be written.
    """
    keep_claim(claim_free_output(path, overwrite=overwrite))


def clean_up(path: str | Path) -> None:
    """Remove what killed runs have left beside an output that stays as it is, unless another process writes it."""
    target = Path(os.path.realpath(path))
    with suppress(OutputError):
        claim = claim_output(target, path)
        if claim.descriptor is not None and claim.users == 1:
            recover_output(target)
        claim.release()


def refuse_source(path: str | Path, source: object) -> None:
    """Raise if an output is its own source, or a folder that holds it: overwriting would remove the source.

    The source of a pattern is the folder above its first wildcard. What is not a path is no source.

    Raises
    ------
    OutputError
        If it is.

    Examples
    --------
    >>> refuse_source("tracks.csv", "other.csv")
    >>> refuse_source("01_RES", "01_RES/gnntrack/lineage.geff")
    Traceback (most recent call last):
    gnntrack.errors.OutputError: 01_RES: it is the source or holds it (01_RES/gnntrack/lineage.geff); choose another ...
    """
    if not isinstance(source, str | os.PathLike):
        return
    target = Path(os.path.realpath(Path(path).expanduser()))
    origin = Path(os.path.realpath(_find_fixed_part(Path(source).expanduser())))
    if target in (origin, *origin.parents):
        msg = f"{path}: it is the source or holds it ({source}); choose another output"
        raise OutputError(msg)


def check_writable(target: Path, path: str | Path) -> None:
    """Raise before hours of work, and not after it, if the folder of an output cannot be written.

    Raises
    ------
    OutputError
        If a folder cannot be made beside it.
    """
    place = choose_temporary_path(target)
    try:
        place.mkdir()
        place.rmdir()
    except OSError as error:
        msg = f"{path}: its folder cannot be written ({error.strerror}); choose an output where you may write"
        raise OutputError(msg) from error


def is_pattern(source: str | os.PathLike[str]) -> bool:
    """Return whether a path is a pattern of files.

    >>> is_pattern("01_RES/mask*.tif"), is_pattern("01_RES")
    (True, False)
    """
    return any(mark in os.fspath(source) for mark in "*?[")


def _find_fixed_part(source: Path) -> Path:
    """Return the path of a source up to its first wildcard."""
    if source.exists():
        return source
    return Path(*takewhile(lambda part: not is_pattern(part), source.parts))


def explain_error(error: BaseException, place: Path, path: str | Path) -> str | None:
    """Return the message for an error of writing, with the path that the user gave; None for any other error."""
    if isinstance(error, OutputError):  # of a part of the output
        return str(error).replace(str(place), str(path)) if str(place) in str(error) else None
    if isinstance(error, OSError) and _is_about(error, place):
        return f"{path}: it cannot be written ({error.strerror or error}); nothing was left there"
    return None


def _is_about(error: OSError, place: Path) -> bool:
    """Return whether an error is about the output, and not about another file that the body used."""
    named = [str(name) for name in (error.filename, error.filename2) if name]
    if named:
        return any(name.startswith(str(place)) for name in named)
    return error.errno in _DISK or (error.errno is None and _WRITTEN_IN_PART.search(str(error)) is not None)
