"""Names of the formats that ``gnntrack convert`` reads."""

from __future__ import annotations

__all__ = ["POINTS_OF_TRACKS", "SOURCES"]

POINTS_OF_TRACKS = ("csv", "napari", "laptrack", "btrack", "trackpy")
"""Tables of points whose parents are tracks."""
SOURCES = ("ctc", "geff", "trackmate", *POINTS_OF_TRACKS, "mastodon", "edges", "cells", "masks")
"""All: ``cells`` is a table of frame, label and track, ``masks`` are masks whose labels are tracks."""
