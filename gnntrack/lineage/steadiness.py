"""Signs of a poor segmentation in its tracks: short tracks, numbers of cells that flicker, sizes that jump.

Cells do not appear and vanish within a few frames, and their size changes little between two frames. Masks of noise,
of parts of cells or of merged cells do. The limits lie between the values of the masks of real movies that were made
by people or corrected by them, and those of movies that the segmenter ``threshold`` is not suited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from gnntrack.types import Lineage

__all__ = ["Steadiness", "describe_poor_masks", "measure_steadiness"]

_SHORT = 3  # frames
_JUMP = 1.5  # ratio of sizes
_FEWEST_FRAMES = 8
_FEWEST_CELLS = 50
_FEWEST_TRACKS = 10


class Steadiness(NamedTuple):
    """Figures of a tracked movie; None if it is too small for them."""

    short_tracks: float | None
    """Fraction of the tracks that have at most 3 frames, though they start after the first frame, end before the last
    one, and have neither parent nor daughters."""
    cells_in_short_tracks: float | None
    """Fraction of the cells that are in these tracks. Some specks beside good masks make many tracks, but few cells."""
    count_flicker: float | None
    """Mean difference of the number of cells from its mean in the frames before and after, as a fraction of the
    cells."""
    cells_without_mask: float | None
    """Number of gaps of one or more frames that were bridged, as a fraction of the cells."""
    size_jumps: float | None
    """Fraction of the links within tracks along which the size changes by a factor of more than 1.5."""


_LIMITS = Steadiness(None, 0.06, 0.07, 0.025, 0.19)


def measure_steadiness(lineage: Lineage) -> Steadiness:
    """Return how steady numbers and sizes of the cells are.

    Parameters
    ----------
    lineage : Lineage
        A solved movie, without masks drawn in gaps: these would hide that cells were missing.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((60, 40, 40), np.uint8)
    >>> masks[:, 5:11, 5:11] = 1
    >>> measure_steadiness(gnntrack.track(masks=masks))
    Steadiness(short_tracks=None, cells_in_short_tracks=0.0, count_flicker=0.0, cells_without_mask=0.0, size_jumps=0.0)
    """
    cells, tracks = lineage.cells, lineage.tracks
    if cells.n_frames < _FEWEST_FRAMES or len(cells) < _FEWEST_CELLS:
        return Steadiness(None, None, None, None, None)
    inside = (tracks.start > 0) & (tracks.end < cells.n_frames - 1)
    alone = (tracks.parent == 0) & ~np.isin(tracks.id, tracks.parent)
    short = inside & alone & (tracks.end - tracks.start < _SHORT)
    in_short = np.isin(lineage.track, tracks.id[short])
    count = np.bincount(cells.frame, minlength=cells.n_frames).astype(np.float64)
    flicker = np.abs(count[1:-1] - (count[:-2] + count[2:]) / 2).mean() / count.mean()
    within = lineage.track[lineage.source] == lineage.track[lineage.target]
    sizes = cells.feature("size").astype(np.float64) if cells.has("size") else np.zeros(0)
    size = np.log(np.maximum(sizes, 1e-9))
    step = np.abs(size[lineage.target[within]] - size[lineage.source[within]]) if len(size) else size
    return Steadiness(
        round(float(short.mean()), 4) if len(tracks) >= _FEWEST_TRACKS else None,
        round(float(in_short.mean()), 4),
        round(float(flicker), 4),
        round(float((cells.frame[lineage.target] - cells.frame[lineage.source] > 1).sum()) / len(cells), 4),
        round(float((step > np.log(_JUMP)).mean()), 4) if len(step) else None,
    )


def describe_poor_masks(steadiness: Steadiness) -> list[str]:
    """Return a warning if the masks look like those of a failed segmentation, else nothing.

    Examples
    --------
    >>> describe_poor_masks(Steadiness(0.3, 0.03, 0.01, 0.0, 0.02))
    []
    >>> describe_poor_masks(Steadiness(0.7, 0.31, 0.01, 0.0, 0.02))[0].partition(";")[0]
    'the masks look poor: 31 % of the cells are in tracks of at most 3 frames (usual: less than 6 %)'
    """
    texts = (
        f"of the tracks have at most {_SHORT} frames",
        f"of the cells are in tracks of at most {_SHORT} frames",
        "of the cells appear or vanish from frame to frame",
        "of the cells lack a mask for a frame or more",
        f"of the cells change their size by a factor of more than {_JUMP:g} from frame to frame",
    )
    signs = [
        f"{value:.0%} {text} (usual: less than {100 * limit:g}%)".replace("%", " %")
        for value, limit, text in zip(steadiness, _LIMITS, texts, strict=True)
        if value is not None and limit is not None and value > limit
    ]
    if not signs:
        return []
    advice = (
        "the tracks cannot be better than the masks: look at overlay.png, and try another segmenter or its options "
        "('gnntrack segmenters' lists them), or remove small objects with min_size, in pixels, in the table [cells] of "
        "a settings file (--config; in Python min_size=)"
    )
    return [f"the masks look poor: {', and '.join(signs)}; {advice}"]
