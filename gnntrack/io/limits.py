"""Limits of the readers: sizes and counts that no file may exceed.

A file may state any size in a few bytes. Readers compare what a file states with these limits, and with the size of the
file itself, before memory is taken or another library reads it. docs/limits.md lists the limits for users.
"""

from __future__ import annotations

__all__ = [
    "FREE_BYTES",
    "MAX_CHUNKS",
    "MAX_DESCRIPTION",
    "MAX_EMPTY_FRAMES",
    "MAX_EXPANSION",
    "MAX_FRAMES",
    "MAX_INSPECTED_PIXELS",
    "MAX_MISSING_FILES",
    "MAX_PAGES",
    "MAX_TAGS",
]

MAX_PAGES = 1_000_000
"""Pages of a TIFF."""

MAX_TAGS = 4096
"""Tags of a page of a TIFF."""

FREE_BYTES = 1 << 28
"""Bytes of pixels in one page or chunk that are decoded whatever the size of the file: 256 MiB."""

MAX_EXPANSION = 1100
"""Bytes of pixels for each byte of the file, beyond ``FREE_BYTES``; zlib reaches 1032 on an empty image."""

MAX_INSPECTED_PIXELS = 1 << 29
"""Pixels of a frame whose values ``gnntrack info`` reads without ``--masks``: 1 GiB with 16 bits."""

MAX_FRAMES = 1_000_000
"""Frames of a movie, of a graph file, and of a track; channels of an image."""

MAX_EMPTY_FRAMES = 100_000
"""Frames without points; more are a mistake in the numbers of the frames."""

MAX_MISSING_FILES = 100_000
"""Files of frames that are missing in a series; with more, the numbers in the names are dates or times."""

MAX_CHUNKS = 100_000
"""Chunks of a frame of Zarr and of an array of a graph file, and arrays in an archive of numpy."""

MAX_DESCRIPTION = 1 << 26
"""Bytes of the description of a group or an array of Zarr: 64 MiB."""
