"""Files that are listed in another order, as another file system would."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any


class _Entries:
    """Entries in another order, as the iterator that `os.scandir` returns."""

    def __init__(self, entries: Iterator[Any], mixed: random.Random) -> None:
        found = list(entries)
        mixed.shuffle(found)
        self._left = iter(found)

    def __iter__(self) -> _Entries:
        return self

    def __next__(self) -> Any:
        return next(self._left)

    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def shuffle_listings(seed: int) -> None:
    """Let Python list the files of every folder in an order that depends on a seed."""
    mixed, scan, list_names = random.Random(seed), os.scandir, os.listdir
    os.scandir = lambda *place: _Entries(scan(*place), mixed)  # type: ignore[assignment]
    os.listdir = lambda *place: list(_Entries(iter(list_names(*place)), mixed))  # type: ignore[assignment]
