"""Named pipes, devices and sockets among the files of a movie: reading one may never end."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["describe_special_file"]


def describe_special_file(path: Path) -> str | None:
    """Return the message for a path that is neither a file nor a folder, nor a link to one; None for others.

    Raises
    ------
    OSError
        If there is nothing.

    Examples
    --------
    >>> from pathlib import Path
    >>> describe_special_file(Path("/dev/null"))
    'it is a device; expected a file: remove it from the movie'
    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    kind = "named pipe" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else "device"
    return f"it is a {kind}; expected a file: remove it from the movie"
