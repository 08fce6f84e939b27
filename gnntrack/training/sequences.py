"""Sequences with ground truth of tracking in the layout of the Cell Tracking Challenge (CTC): their folders.

::

    DATASET/NN               images
    DATASET/NN_GT/TRA        ground truth: label images (markers) and man_track.txt
    DATASET/NN_ERR_SEG, ...  masks
    DATASET/NN_points.csv    points with their tracks, in place of masks and markers
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from gnntrack.errors import InputError
from gnntrack.io.point_tables import TRACK_COLUMNS
from gnntrack.plurals import count_noun

__all__ = ["TrainingSequence", "find_sequences"]

_log = logging.getLogger(__name__)

MARKERS = "GT/TRA"
# folders of masks; the first one with a mask for every frame of the ground truth is used
MASKS = ("ERR_SEG", "ST_HYBRID", "ST_hybrid/SEG", "ST/SEG", "GT/SEG", MARKERS)


@dataclass(frozen=True)
class TrainingSequence:
    """The folders of a movie with ground truth of tracking."""

    dataset: str
    number: str
    images: Path | None
    masks: Path
    truth: Path
    """The folder with man_track.txt and the markers."""
    points: Path | None = None
    """A table of points with their tracks; without markers, it is also `masks`, and each point is drawn as a ball."""

    @property
    def draws_balls(self) -> bool:
        """Whether there are points only, and no masks."""
        return self.masks == self.points

    @property
    def name(self) -> str:
        """Data set and number of the sequence."""
        return f"{self.dataset} {self.number}"


def find_sequences(data: str | Path) -> list[TrainingSequence]:
    """Return all sequences with ground truth in a folder.

    Parameters
    ----------
    data : path
        A folder of data sets, a data set, the folder of a ground truth (``NN_GT``) or its folder ``TRA``.

    Raises
    ------
    InputError
        If none is found, or a ground truth has no masks.
    """
    given, data = data, Path(data).expanduser().resolve()  # resolved, so that "." has a name too
    if not data.is_dir():
        fault = "it is a file" if data.exists() else "the folder does not exist"
        msg = f"{given}: {fault}; give a folder in the layout of the Cell Tracking Challenge"
        raise InputError(msg)
    place = "TRA/man_track.txt"
    depths = (f"*/*_GT/{place}", f"*_GT/{place}", place, "man_track.txt")
    tables = [table for depth in depths for table in sorted(data.glob(depth))]
    if not tables:
        msg = f"{given}: no truth found; expected DATASET/NN_GT/{place} with masks in DATASET/NN_ERR_SEG or NN_ST/SEG"
        raise InputError(msg)
    return [_find_sequence(table.parent) for table in tables]


def _find_sequence(truth: Path) -> TrainingSequence:
    number = truth.parent.name.removesuffix("_GT")
    home = truth.parent.parent
    frames, table = len(list(truth.glob("*.tif"))), home / f"{number}_points.csv"
    points = table if _has_tracks(table) else None
    if not frames and points is not None:
        return TrainingSequence(home.name, number, None, points, truth, points)
    if not frames:
        msg = f"{truth}: a table of tracks but no markers; expected man_track000.tif and so on beside it"
        msg += f", or the points of the tracks in {table}"
        raise InputError(msg)
    found = {f"{number}_{kind}": len(list((home / f"{number}_{kind}").glob("*.tif"))) for kind in MASKS}
    full = [home / name for name, count in found.items() if count == frames]
    if not full:
        counts = ", ".join(f"{name} ({count})" for name, count in found.items())
        msg = f"{truth}: no masks for its {count_noun(frames, 'frame')}; looked in {home} for {counts} TIFFs"
        raise InputError(msg)
    if full[0] == home / f"{number}_{MARKERS}":
        _log.warning(
            "%s: no folder has masks of all %d frames, so the markers of the truth are used as masks; sizes and "
            "overlaps are those of markers, not of cells",
            truth,
            frames,
        )
    return TrainingSequence(home.name, number, _find_images(home / number, frames), full[0], truth, points)


def _has_tracks(table: Path) -> bool:
    """Return whether a table exists and has a column of tracks; detections have none."""
    if not table.is_file():
        return False
    with table.open(encoding="utf-8", errors="replace") as file:
        names = re.split(r"[,;\t]", file.readline().lower())
    return any(name.strip(' "#\ufeff\n') in TRACK_COLUMNS for name in names)


def _find_images(folder: Path, frames: int) -> Path | None:
    """Return the folder of images if it holds one for every frame of the ground truth."""
    count = len(list(folder.glob("*.tif")))
    if count and count != frames:
        _log.warning(
            "%s: %s for the %s of the truth, not used; give one for every frame",
            folder,
            count_noun(count, "image"),
            count_noun(frames, "frame"),
        )
    return folder if count == frames else None
