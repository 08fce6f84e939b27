"""JSON files that people and other programs may have damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["parse_json", "read_json"]


def read_json(path: str | Path) -> Any:
    """Return the content of a JSON file.

    Parameters
    ----------
    path : path
        Text in UTF-8, with or without a mark at its begin.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not JSON; also if it is nested too deeply, which is a RecursionError of `json`.
    """
    return parse_json(Path(path).read_text(encoding="utf-8-sig"))


def parse_json(text: str | bytes) -> Any:
    """Return the content of JSON text.

    Raises
    ------
    ValueError
        If it is not JSON, or is nested too deeply.

    Examples
    --------
    >>> parse_json('{"a": [1, 2]}')
    {'a': [1, 2]}
    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
    ValueError: it is nested too deeply
    """
    try:
        return json.loads(text)
    except RecursionError:
        msg = "it is nested too deeply"
        raise ValueError(msg) from None
