"""Places of outputs on disk: temporary names beside them, leftovers of killed runs, and the exchange of two paths.

::

    .partial-HEX-NAME     an output that is being written, or an older one that was replaced and is being removed
    .replaced-HEX-NAME    an older output that is being replaced, on systems that cannot exchange two paths
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import sys
from contextlib import suppress
from pathlib import Path

__all__ = [
    "choose_temporary_path",
    "flush_folder",
    "flush_path",
    "is_temporary",
    "list_leftovers",
    "move_output",
    "recover_output",
    "remove_path",
    "set_aside",
    "shorten_name",
    "write_text",
]

_LONGEST = 200  # bytes of a name that is kept in temporary names; file systems take 255
_MARK = re.compile(r"\.(partial|replaced)-[0-9a-f]{8}-")
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
_THREADS = 16
_LACKING = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)


def shorten_name(name: str) -> str:
    """Return a name that is short enough to stand behind a mark; it keeps its suffix.

    >>> shorten_name("01_RES"), len(shorten_name(250 * "a" + ".csv"))
    ('01_RES', 200)
    """
    whole = os.fsencode(name)
    if len(whole) <= _LONGEST:
        return name
    tail = f"-{hashlib.sha256(whole).hexdigest()[:8]}{Path(name).suffix[:16]}"
    return whole[: _LONGEST - len(os.fsencode(tail))].decode(errors="ignore") + tail


def choose_temporary_path(target: Path) -> Path:
    """Return a path beside the target that does not exist, with its suffix."""
    return target.with_name(f".partial-{secrets.token_hex(4)}-{shorten_name(target.name)}")


def is_temporary(path: Path) -> bool:
    """Return whether a path is below one of `choose_temporary_path`.

    >>> is_temporary(Path("/data/.partial-0123abcd-01_RES/gnntrack/lineage.geff")), is_temporary(Path("/data/01_RES"))
    (True, False)
    """
    return any(_MARK.match(part) for part in path.parts)


def list_leftovers(target: Path) -> list[Path]:
    """Return what killed runs on the same output have left beside it, sorted; those before the last one first."""
    name = shorten_name(target.name)
    with os.scandir(target.parent) as entries:
        found = [Path(entry.path) for entry in entries if entry.name.endswith(f"-{name}")]
    ours = [path for path in found if (match := _MARK.match(path.name)) and path.name[match.end() :] == name]
    return sorted(ours, key=lambda path: (path.lstat().st_mtime_ns, path.name))


def recover_output(target: Path) -> bool:
    """Put back an older output whose replacement was killed between two renames, and remove other leftovers.

    Only for a target that no other process writes. Returns whether the target is there again.
    """
    try:
        leftovers = list_leftovers(target)
    except OSError:  # the folder cannot be read; whoever writes there is told
        return False
    back = False
    for path in reversed(leftovers):
        with suppress(OSError):
            if path.name.startswith(".replaced-") and not _is_there(target):
                with suppress(FileNotFoundError):
                    target.rmdir()
                path.rename(target)
                back = True
        remove_path(path)
    return back


def _is_there(path: Path) -> bool:
    """Return whether a path exists and is not an empty folder."""
    return os.path.lexists(path) and not (path.is_dir() and not path.is_symlink() and not any(path.iterdir()))


def set_aside(target: Path) -> Path:
    """Rename an output, and return its new path, from which `recover_output` puts it back."""
    aside = target.with_name(f".replaced-{secrets.token_hex(4)}-{shorten_name(target.name)}")
    target.rename(aside)
    return aside


def move_output(place: Path, target: Path) -> None:
    """Replace the old output by the new one at once; whatever happens, one of them is there.

    Where the system cannot exchange two paths, a folder is replaced by two renames; if the second fails, the old one
    is restored, and after a kill between them `recover_output` restores it.
    """
    if not target.is_dir() and not place.is_dir():
        place.replace(target)
        return
    if not os.path.lexists(target):
        place.rename(target)
        return
    if exchange_paths(place, target):
        remove_path(place)
        return
    aside = set_aside(target)
    try:
        place.rename(target)
    except BaseException:
        if os.path.lexists(aside) and not os.path.lexists(target):
            aside.rename(target)
        raise
    remove_path(aside)


def exchange_paths(one: Path, other: Path) -> bool:
    """Exchange two paths in one step; return False if the system or the file system cannot do that.

    Raises
    ------
    OSError
        If it can, but not these paths.
    """
    if sys.platform != "linux":
        return False
    import ctypes  # takes a while, and few commands overwrite a folder

    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "renameat2"):
        return False
    if library.renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _LACKING:
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))


def remove_path(path: Path) -> None:
    """Remove a file or a folder as far as possible, without an error that would hide another one."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def flush_path(path: Path) -> None:
    """Wait until a file, or all files below a folder, are on the disk, so that a power failure leaves none empty.

    Many files are flushed by several threads, which takes a tenth of the time: about 0.3 ms a file.

    Raises
    ------
    OSError
        If the disk is full or fails; some network disks report that only here.
    """
    if not path.is_dir():
        _flush(path)
        return
    from concurrent.futures import ThreadPoolExecutor  # only for folders

    found = [file for top, _, names in os.walk(path) for name in names if not (file := Path(top, name)).is_symlink()]
    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(_flush, found))
    for top, _, _ in os.walk(path):
        flush_folder(Path(top))


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _LACKING:
            raise
    finally:
        os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, as far as the system can do that."""
    with suppress(OSError):
        _flush(folder)


def write_text(path: Path, text: str) -> None:
    """Write a file of text in the place of an older one, as a whole or not at all; its folder is made.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    place = choose_temporary_path(path)
    try:
        place.write_text(text, encoding="utf-8")
        flush_path(place)
        place.replace(path)
    except BaseException:
        remove_path(place)
        raise
