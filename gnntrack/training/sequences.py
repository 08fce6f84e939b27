"""Sequences with tracking truth in the folders of the Cell Tracking Challenge: what belongs together, and where it is.

::

    DATASET/NN               images
    DATASET/NN_GT/TRA        truth: markers and man_track.txt
    DATASET/NN_ERR_SEG, ...  masks
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from gnntrack.errors import InputError

__all__ = ["TrainingSequence", "find_sequences"]

_log = logging.getLogger(__name__)

MARKERS = "GT/TRA"
# of several folders of masks the first counts that has one for every frame of the truth
MASKS = ("ERR_SEG", "ST_HYBRID", "ST_hybrid/SEG", "ST/SEG", "GT/SEG", MARKERS)


@dataclass(frozen=True)
class TrainingSequence:
    """A movie with tracking truth."""

    dataset: str
    number: str
    masks: Path
    images: Path | None
    truth: Path
    """The folder with man_track.txt and the markers."""

    @property
    def name(self) -> str:
        """Data set and number of the sequence."""
        return f"{self.dataset} {self.number}"


def find_sequences(data: str | Path) -> list[TrainingSequence]:
    """Return all sequences with truth in a folder: of data sets, of one data set, or of one sequence's truth (or TRA).

    Raises
    ------
    InputError
        If there is none, or a truth has no masks to go with it.
    """
    given, data = data, Path(data).expanduser().resolve()  # a name is wanted of "." too
    if not data.is_dir():
        msg = f"{given}: there is no such folder; give a folder of the Cell Tracking Challenge's layout"
        raise InputError(msg)
    place = "TRA/man_track.txt"
    depths = (f"*/*_GT/{place}", f"*_GT/{place}", place, "man_track.txt")
    tables = [table for depth in depths for table in sorted(data.glob(depth))]
    if not tables:
        msg = f"{given}: no truth found; expected DATASET/NN_GT/{place} with masks in DATASET/NN_ERR_SEG or NN_ST/SEG"
        raise InputError(msg)
    return [_sequence(table.parent) for table in tables]


def _sequence(truth: Path) -> TrainingSequence:
    number = truth.parent.name.removesuffix("_GT")
    home = truth.parent.parent
    frames = len(list(truth.glob("*.tif")))
    if not frames:
        msg = f"{truth}: a table of tracks but no markers; expected man_track000.tif and so on beside it"
        raise InputError(msg)
    found = {f"{number}_{kind}": len(list((home / f"{number}_{kind}").glob("*.tif"))) for kind in MASKS}
    full = [home / name for name, count in found.items() if count == frames]
    if not full:
        counts = ", ".join(f"{name} ({count})" for name, count in found.items())
        msg = f"{truth}: no masks for its {frames} frames; looked in {home} for {counts} TIFFs"
        raise InputError(msg)
    if full[0] == home / f"{number}_{MARKERS}":
        _log.warning(
            "%s: there are no masks of all %d frames but the truth's own markers, which are taken; sizes and overlaps "
            "are those of markers, not of cells",
            truth,
            frames,
        )
    return TrainingSequence(home.name, number, full[0], _images(home / number, frames), truth)


def _images(folder: Path, frames: int) -> Path | None:
    """Return the folder of images if it holds one for every frame of the truth."""
    count = len(list(folder.glob("*.tif")))
    if count and count != frames:
        _log.warning(
            "%s: %d images for the truth's %d frames; they are not used; give one for every frame",
            folder,
            count,
            frames,
        )
    return folder if count == frames else None
