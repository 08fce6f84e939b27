"""Cells whose masks touch: how many, along which fraction of their outline, and how often they change."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.analysis.quantities import Quantity, average_groups, average_values
from gnntrack.analysis.surroundings import compare_neighbours
from gnntrack.types import Units

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from gnntrack.types import FloatArray, FrameStack, Image, IntArray, Lineage

    Columns = dict[str, npt.NDArray[Any]]

__all__ = ["Contacts", "describe_contacts", "find_contacts", "list_cell_contacts", "list_track_contacts"]


class Contacts(NamedTuple):
    """Masks of a frame that touch."""

    pairs: IntArray
    """(P, 2) labels, the lower one first; ascending."""
    label: IntArray
    """(n,) labels of the frame; ascending."""
    fraction: FloatArray
    """(n,) fraction of the outline of each that is shared with another one."""


def find_contacts(labels: Image, spacing: Sequence[float] | None = None, *, grow: int = 0) -> Contacts:
    r"""Return the masks that touch: those with pixels that share a side or a corner.

    Many segmenters leave a line of background between cells; masks can grow before, by pixels that share a side. The
    outline of a mask consists of the sides (in 3D, faces) of its pixels that it does not share with itself; the
    border of the image is not part of it. The fraction is
    :math:`\sum_k a_k s_k / \sum_k a_k o_k`, with :math:`o_k` sides across axis k, of which :math:`s_k` are shared with
    another mask, and :math:`a_k` the size of such a side.

    Parameters
    ----------
    labels : ([Z], Y, X) integers
        0 is background.
    spacing : D floats, optional
        Size of a pixel along each axis, by default equal.
    grow : int
        Pixels by which masks grow into the background: with 1, masks touch that have at most 2 pixels of background
        between them.

    Examples
    --------
    Two squares side by side share one of their four sides; the third mask touches the second one at a corner:

    >>> labels = np.zeros((8, 9), int)
    >>> labels[2:4, 1:3], labels[2:4, 3:5], labels[4:6, 5:7] = 1, 2, 3
    >>> contacts = find_contacts(labels)
    >>> contacts.pairs.tolist(), contacts.fraction.tolist()
    ([[1, 2], [2, 3]], [0.25, 0.25, 0.0])
    >>> find_contacts(np.array([[1, 0, 0, 2, 0, 0, 0, 3]]), grow=1).pairs.tolist()
    [[1, 2]]
    """
    for _ in range(grow):
        labels = _grow_masks(labels)
    size = np.ones(labels.ndim) if spacing is None else np.asarray(spacing, float)
    present = np.unique(labels)
    present = present[present > 0].astype(np.int64)
    found = [np.zeros((0, 2), np.int64)]
    outline, shared = np.zeros(len(present)), np.zeros(len(present))
    for offset in product((-1, 0, 1), repeat=labels.ndim):
        if offset <= (0,) * labels.ndim:
            continue  # the other half of the neighbourhood
        one, other = (labels[_shift(offset, sign)] for sign in (1, -1))
        differ = one != other
        ends = np.column_stack([one[differ], other[differ]]).astype(np.int64)
        both = (ends > 0).all(axis=1)
        found.append(np.unique(np.sort(ends[both], axis=1), axis=0))
        if sum(map(abs, offset)) == 1:
            side = size.prod() / size[np.flatnonzero(offset)[0]]
            outline += side * _count_labels(ends, present)
            shared += side * _count_labels(ends[both], present)
    fraction = np.divide(shared, outline, out=np.zeros(len(present)), where=outline > 0)
    return Contacts(np.unique(np.concatenate(found), axis=0), present, fraction)


def _grow_masks(labels: Image) -> Image:
    """Return labels with masks that cover the pixels of background beside them; where two meet, one by its side."""
    grown = labels.copy()
    for axis in range(labels.ndim):
        for sign in (1, -1):
            offset = tuple(sign * (each == axis) for each in range(labels.ndim))
            inside, outside = grown[_shift(offset, 1)], labels[_shift(offset, -1)]
            np.copyto(inside, outside, where=inside == 0)
    return grown


def _shift(offset: tuple[int, ...], sign: int) -> tuple[slice, ...]:
    """Return the part of an image that has a neighbour at an offset, or with sign -1 these neighbours."""
    steps = [sign * step for step in offset]
    return tuple(slice(max(-step, 0), -step if step > 0 else None) for step in steps)


def _count_labels(ends: IntArray, present: IntArray) -> IntArray:
    """Return how often each label occurs."""
    values = ends[ends > 0]
    return np.bincount(np.searchsorted(present, values), minlength=len(present))


def list_cell_contacts(
    lineage: Lineage, masks: FrameStack, *, spacing: Sequence[float] | None = None, grow: int = 1
) -> Columns:
    """Return the columns of the contacts of the table of cells.

    Parameters
    ----------
    lineage : Lineage
        The lineage.
    masks : (T, [Z], Y, X) frames
        Its masks, with tracks for labels: `gnntrack.Lineage.labels`.
    spacing : D floats, optional
        Size of a pixel along each axis, by default that of the lineage.
    grow : int
        As in `find_contacts`.

    Returns
    -------
    dict of (N,) float64
        ``contacts`` (number of masks that touch, see `find_contacts`), ``contact_fraction`` of the outline, and
        ``contacts_gained`` and ``contacts_lost`` since the frame before, among the tracks that have a cell in both
        frames; NaN where there is none.
    """
    cells = lineage.cells
    number, fraction = np.zeros(len(cells)), np.zeros(len(cells))
    gained, lost = np.full(len(cells), np.nan), np.full(len(cells), np.nan)
    earlier, earlier_pairs = np.zeros(0, np.int64), np.zeros((0, 2), np.int64)
    for frame in range(cells.n_frames):
        rows = cells.rows(frame)
        present = lineage.track[rows]
        contacts = find_contacts(np.asarray(masks[frame]), spacing or cells.spacing, grow=grow)
        pairs = contacts.pairs[np.isin(contacts.pairs, present).all(axis=1)]  # masks that fill a gap are not cells
        order = np.argsort(present)
        at = np.searchsorted(present[order], pairs)
        number[rows] = np.bincount(order[at].ravel(), minlength=len(present))
        known = dict(zip(contacts.label.tolist(), contacts.fraction.tolist(), strict=True))
        fraction[rows] = [known.get(track, 0.0) for track in present.tolist()]
        gained[rows], lost[rows] = compare_neighbours(earlier, earlier_pairs, present, pairs)
        earlier, earlier_pairs = present, pairs
    return {"contacts": number, "contact_fraction": fraction, "contacts_gained": gained, "contacts_lost": lost}


def list_track_contacts(lineage: Lineage, cells: Columns) -> Columns:
    """Return the columns of the contacts of the table of tracks: means over the cells of each track.

    Parameters
    ----------
    lineage : Lineage
        The lineage.
    cells : dict
        Columns of `list_cell_contacts`; if they are not there, no column is returned.

    Returns
    -------
    dict of (K,) float64
        Means, and ``contact_exchange``: half the sum of gained and lost contacts, per time.
    """
    if "contacts" not in cells:
        return {}
    units, n = Units.read(lineage), len(lineage.tracks)
    row = np.searchsorted(lineage.tracks.id, lineage.track)
    exchange = (cells["contacts_gained"] + cells["contacts_lost"]) / 2
    return {
        **{f"mean_{name}": average_groups(cells[name], row, n) for name in ("contacts", "contact_fraction")},
        f"contact_exchange_{units.rate}": average_groups(exchange, row, n) / units.hours,
    }


def describe_contacts(tracks: Columns, units: Units) -> list[Quantity]:
    """Return the quantities of the contacts of a movie: means over tracks; none without masks.

    Parameters
    ----------
    tracks : dict
        Columns of `list_track_contacts`.
    units : Units
        Units of the tables.
    """
    if "mean_contacts" not in tracks:
        return []
    named = [("mean_contacts", ""), ("mean_contact_fraction", ""), ("contact_exchange", units.rate)]
    return [average_values(name, tracks[f"{name}_{unit}" if unit else name], unit, of="tracks") for name, unit in named]
