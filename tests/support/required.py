"""Whether a test may be skipped because a program or a package is missing."""

from __future__ import annotations

import os

__all__ = ["is_required"]


def is_required() -> bool:
    """Return whether everything that tests need must be there: in CI, and where GNNTRACK_NEEDS_ALL is set."""
    return os.environ.get("CI", "").lower() == "true" or bool(os.environ.get("GNNTRACK_NEEDS_ALL"))
