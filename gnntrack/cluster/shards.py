"""Shards of a job: the tasks of one of several runs that share the work."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Shard", "parse_shard"]


@dataclass(frozen=True)
class Shard:
    """The tasks whose number, divided by `count`, leaves `index`."""

    index: int
    count: int


def parse_shard(text: str) -> Shard:
    """Return the shard of a text such as ``2/8``; the first of 8 is ``0/8``.

    Raises
    ------
    ValueError
        If it is not a shard.

    Examples
    --------
    >>> parse_shard("2/8")
    Shard(index=2, count=8)
    >>> parse_shard("8/8")
    Traceback (most recent call last):
    ValueError: expected I/N with I from 0 to N - 1, such as 0/8 to 7/8
    """
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
    if found is None or int(found[1]) >= int(found[2]):
        msg = "expected I/N with I from 0 to N - 1, such as 0/8 to 7/8"
        raise ValueError(msg)
    return Shard(int(found[1]), int(found[2]))
