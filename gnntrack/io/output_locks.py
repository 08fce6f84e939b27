"""Locks of outputs: of two runs that write the same output, the second is refused.

The lock is a file beside the output, ``.lock-NAME``, which the operating system unlocks when its process ends, also by
SIGKILL. A file that a killed process left is no obstacle, and the next run on the same output removes it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from gnntrack.errors import OutputError
from gnntrack.io.output_places import is_temporary, shorten_name

try:
    import fcntl
except ImportError:  # Windows has no such locks
    _HAS_LOCKS = False
else:
    _HAS_LOCKS = True

__all__ = ["Claim", "claim_output", "hold_outputs", "keep_claim", "lock_file", "unlock_file"]

_BUSY = (errno.EAGAIN, errno.EACCES)
_held: ContextVar[list[Claim] | None] = ContextVar("held", default=None)


@dataclass
class Claim:
    """The claim of this process to an output.

    Parameters
    ----------
    target : Path
        The output.
    made : list of Path
        Folders above it that were made for it, deepest first; those that are still empty are removed in the end.
    file : Path
        The lock.
    descriptor : int, optional
        Of the lock; None if there is none: on file systems without locks, and inside of another output.
    users : int
        Number of parts of this process that use the claim.
    """

    target: Path
    made: list[Path]
    file: Path
    descriptor: int | None = None
    users: int = 1
    process: int = 0

    def release(self) -> None:
        """Give the output free, if nothing else in this process uses it."""
        self.users -= 1
        if self.users or self.process != os.getpid():  # a forked process shares the lock of its parent
            return
        _claims.pop(self.target, None)
        unlock_file(self.file, self.descriptor)
        for folder in self.made:
            with suppress(OSError):  # it is not empty any more
                folder.rmdir()


_claims: dict[Path, Claim] = {}


def claim_output(target: Path, path: str | Path) -> Claim:
    """Claim an output for this process, and make the folders above it.

    Parameters
    ----------
    target : Path
        Absolute path of the output.
    path : path
        The same, as the user gave it, for messages.

    Raises
    ------
    OutputError
        If another process writes it, or its folder cannot be made.
    """
    known = _claims.get(target)
    if known is not None and known.process == os.getpid():
        known.users += 1
        return known
    claim = Claim(target, _make_parents(target), target.with_name(f".lock-{shorten_name(target.name)}"))
    claim.process = os.getpid()
    try:
        if not is_temporary(target):
            claim.descriptor = lock_file(claim.file)
    except BlockingIOError:
        claim.release()
        msg = f"{path}: another run of gnntrack writes it now; wait until it has ended, or choose another output"
        raise OutputError(msg) from None
    _claims[target] = claim
    return claim


def _make_parents(target: Path) -> list[Path]:
    """Make the folders above the target; return those that did not exist, deepest first."""
    try:
        missing = [folder for folder in target.parents if not folder.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{target}: its folder cannot be made ({error.strerror}); choose an output where you may write"
        raise OutputError(msg) from error
    return missing


def lock_file(file: Path, *, shared: bool = False) -> int | None:
    """Return the descriptor of a new lock, None where there are no locks or the folder cannot be written.

    Parameters
    ----------
    file : Path
        The lock; it is made.
    shared : bool
        Whether other processes may have it at the same time, if theirs is shared too.

    Raises
    ------
    BlockingIOError
        If another process has the lock.
    """
    if not _HAS_LOCKS:
        return None
    while True:
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError:  # told in its own words by the check whether the folder can be written
            return None
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), file.stat()):
                return descriptor
        except FileNotFoundError:  # the process that had it has removed it meanwhile
            pass
        except OSError as error:
            os.close(descriptor)
            if error.errno in _BUSY:
                raise BlockingIOError(error.errno, error.strerror) from error
            with suppress(OSError):
                file.unlink()
            return None
        os.close(descriptor)


def unlock_file(file: Path, descriptor: int | None) -> None:
    """Give a lock free, and remove its file if no other process shares it."""
    if descriptor is None:
        return
    with suppress(OSError):  # others share it
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.unlink()
    os.close(descriptor)


@contextmanager
def hold_outputs() -> Iterator[None]:
    """Keep the claims to outputs that are made inside until the end of the body, so that a run has its output."""
    claims: list[Claim] = []
    token = _held.set(claims)
    try:
        yield
    finally:
        _held.reset(token)
        for claim in claims:
            claim.release()


def keep_claim(claim: Claim) -> None:
    """Keep a claim until the end of `hold_outputs`; without one, release it."""
    claims = _held.get()
    if claims is None:
        claim.release()
    else:
        claims.append(claim)
