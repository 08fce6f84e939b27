"""Fingerprints of results: whether masks and table of tracks are still those that were written."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

from gnntrack.io.ctc_names import find_ctc

__all__ = ["compute_fingerprint"]


def compute_fingerprint(folder: str | Path) -> str:
    """Return a hash of the table of tracks and of the masks of a result; the files are read, but not decoded.

    Raises
    ------
    FormatError
        If the folder does not exist.
    OSError
        If a file cannot be read.
    """
    found = find_ctc(folder)
    hashed = blake2b(digest_size=16)
    for path in [*([found.table] if found.table is not None else []), *found.masks.values()]:
        content = path.read_bytes()
        hashed.update(f"{path.name} {len(content)}\n".encode())
        hashed.update(content)
    return hashed.hexdigest()
