"""Layers of networks as functions of NumPy arrays: small matrix products, GELU, and the attention of cells to links.

All rows are independent of one another and are computed in blocks that fit into the cache of a core. Products are cut
into pieces that the BLAS library of NumPy computes in the calling thread, so that threads do not wait for each other
and results do not depend on the number of cores.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.gnn.best_links import sort_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gnntrack.types import FeatureArray, IntArray

    Tensors = Mapping[str, FeatureArray]

__all__ = [
    "Attention",
    "Fan",
    "Perceptron",
    "apply_double_gelu",
    "arrange_fans",
    "combine_rows",
    "find_places",
    "multiply",
    "standardise",
    "take_rows",
    "transpose",
]

_BOUND = 10.0  # of the logarithm of attention, as in `gnntrack.gnn.linknet`
_PIECE = 1 << 18  # products up to this number of multiplications: OpenBLAS computes them without threads of its own
_TINY = np.float32(1e-6)
_TILE = 512  # length of the loops of NumPy that vectors are repeated for
_GELU = (  # coefficients c of atanh(erf(x / sqrt(2))) = x (c0 + c1 x^2 + ...), least absolute error of GELU
    *(0.7978842, 0.03633428, -3.312937e-5, -5.524033e-5),
    *(3.969131e-6, -1.334477e-7, 1.805645e-9),
)


def multiply(x: FeatureArray, weight: FeatureArray, out: FeatureArray | None = None) -> FeatureArray:
    """Return ``x @ weight``, computed in the calling thread.

    Parameters
    ----------
    x : (R, A) float32
        Rows.
    weight : (A, B) float32
        The matrix.
    out : (R, B) float32, optional
        Where to write the result.

    Examples
    --------
    >>> multiply(np.ones((2, 3), np.float32), np.ones((3, 1), np.float32)).tolist()
    [[3.0], [3.0]]
    """
    rows, (a, b) = len(x), weight.shape
    out = np.empty((rows, b), np.float32) if out is None else out
    piece = max(1, _PIECE // (a * b))
    whole = rows - rows % piece
    if whole:
        np.matmul(x[:whole].reshape(-1, piece, a), weight, out=out[:whole].reshape(-1, piece, b))
    if whole < rows:
        np.matmul(x[whole:], weight, out=out[whole:])
    return out


def apply_double_gelu(x: FeatureArray) -> FeatureArray:
    r"""Return :math:`2 x \Phi(x)`, twice the Gaussian error linear unit; `x` is overwritten with it.

    :math:`2 \Phi(x) = 1 + \tanh(x p(x^2))` with a polynomial :math:`p` fitted to :math:`\Phi`, the normal distribution
    (Hendrycks and Gimpel, Gaussian Error Linear Units, 2016, give one of two terms). The error of GELU is below 1e-6;
    the polynomial grows on where that is the identity or zero. The factor 2 is part of the next layer's weights, which
    saves a pass over the array.

    Examples
    --------
    >>> apply_double_gelu(np.array([-1.0, 0.0, 1.0, 9.0], np.float32)).round(4)
    array([-0.3173,  0.    ,  1.6827, 18.    ], dtype=float32)
    """
    with np.errstate(over="ignore"):
        square = x * x
        inner = square * np.float32(_GELU[-1])
        for coefficient in _GELU[-2:0:-1]:
            inner += np.float32(coefficient)
            inner *= square
        inner += np.float32(_GELU[0])
        inner *= x
    np.tanh(inner, out=inner)
    inner += np.float32(1)
    x *= inner
    return x


def standardise(x: FeatureArray, mean: FeatureArray, deviation: FeatureArray) -> FeatureArray:
    """Return columns (R, C) as `gnntrack.gnn.linknet.Standardization` does; NaN becomes 0."""
    scaled = (x - mean) / deviation
    np.copyto(scaled, 0, where=np.isnan(scaled))
    return np.clip(scaled, -8, 8, out=scaled)


def combine_rows(combine: np.ufunc, x: FeatureArray, vector: FeatureArray) -> None:
    """Add a vector (W,) to all rows (R, W), or multiply them by it, in place.

    NumPy loops over each row by itself, so several rows are taken as one, which is faster.

    >>> x = np.ones((3, 2), np.float32)
    >>> combine_rows(np.add, x, np.array([1, 2], np.float32))
    >>> x.tolist()
    [[2.0, 3.0], [2.0, 3.0], [2.0, 3.0]]
    """
    rows = max(1, _TILE // len(vector))
    whole = len(x) - len(x) % rows
    tiles = x[:whole].reshape(-1, rows * len(vector))
    combine(tiles, np.concatenate([vector] * rows), out=tiles)
    combine(x[whole:], vector, out=x[whole:])


def take_rows(x: FeatureArray, rows: IntArray) -> FeatureArray:
    """Return ``x[rows]``, several times as fast; no row may be negative or too large."""
    return np.take(x, rows, axis=0, mode="clip")


def transpose(weight: FeatureArray) -> FeatureArray:
    """Return the matrix (A, B) of a linear layer whose weights are stored as (B, A)."""
    return np.ascontiguousarray(weight.T)


class Perceptron(NamedTuple):
    """Two linear layers with GELU between them.

    Shapes: (R, A) -> (R, B).

    Parameters
    ----------
    first : (A, H) float32
    first_bias : (H,) float32
    second : (H, B) float32
        Half of the weights, because of `apply_double_gelu`.
    second_bias : (B,) float32
    """

    first: FeatureArray
    first_bias: FeatureArray
    second: FeatureArray
    second_bias: FeatureArray

    @classmethod
    def from_tensors(cls, tensors: Tensors, name: str, *, first: int = 0) -> Perceptron:
        """Return the layers of this name; `first` is the number of the first one among them."""
        one, other = f"{name}.{first}", f"{name}.{first + 3}"  # between them are GELU and dropout
        weights = transpose(tensors[f"{one}.weight"]), transpose(tensors[f"{other}.weight"]) * np.float32(0.5)
        return cls(weights[0], tensors[f"{one}.bias"], weights[1], tensors[f"{other}.bias"])

    def compute(self, x: FeatureArray) -> FeatureArray:
        """Return the outputs of rows."""
        hidden = multiply(x, self.first)
        combine_rows(np.add, hidden, self.first_bias)
        out = multiply(apply_double_gelu(hidden), self.second)
        combine_rows(np.add, out, self.second_bias)
        return out


# --- attention -------------------------------------------------------------------------------------------------------


class Fan(NamedTuple):
    """The links into a block of cells, or out of it: first the first link of each cell, then each second link, ...

    Parameters
    ----------
    rows : (L,) int64
        Rows of the links.
    counts : list of int
        Numbers of cells with a first link, a second link, ...; their sum is L.
    order : (C,) int64
        The cells of the block, counted from its first one; those with more links come first.
    place : (C,) int64
        Where each cell is in this order.
    cells : (L,) int64
        Where the cell of each link is in this order.
    among_all : slice
        Where the links are among those of all blocks.
    """

    rows: IntArray
    counts: list[int]
    order: IntArray
    place: IntArray
    cells: IntArray
    among_all: slice

    def sum_links(self, x: FeatureArray) -> FeatureArray:
        """Return the sums of the links (L, W) of each cell, in the order of `order`, shape (C, W)."""
        sums, first = np.zeros((len(self.order), x.shape[1]), np.float32), 0
        for count in self.counts:
            sums[:count] += x[first : first + count]
            first += count
        return sums


def arrange_fans(end: IntArray, bounds: list[int]) -> list[Fan]:
    """Return the links of each block of cells.

    Parameters
    ----------
    end : (E,) int64
        The cell of each link.
    bounds : list of int
        First cells of the blocks, and the number of cells.

    Examples
    --------
    >>> fan = arrange_fans(np.array([1, 0, 1]), [0, 2])[0]
    >>> fan.rows.tolist(), fan.counts, fan.order.tolist(), fan.cells.tolist()
    ([0, 1, 2], [2, 1], [1, 0], [0, 1, 0])
    """
    order = sort_rows(end)
    start = np.concatenate([[0], np.cumsum(np.bincount(end, minlength=bounds[-1]))])
    return [_arrange_fan(order, start[first : last + 1]) for first, last in pairwise(bounds)]


def _arrange_fan(order: IntArray, start: IntArray) -> Fan:
    degree = np.diff(start)
    cells = np.argsort(-degree, kind="stable")
    degree, firsts = degree[cells], start[:-1][cells]
    counts = np.searchsorted(-degree, -np.arange(degree.max(initial=0)), side="left").tolist()
    rows = [order[firsts[:count] + rank] for rank, count in enumerate(counts)]
    places = [np.arange(count) for count in counts]
    return Fan(
        np.concatenate([order[:0], *rows]),
        counts,
        cells,
        np.argsort(cells),
        np.concatenate([order[:0], *places]),
        slice(start[0], start[-1]),
    )


def find_places(fans: list[Fan], n: int) -> IntArray:
    """Return where each of n links is among the links of all blocks, shape (n,)."""
    place = np.empty(n, np.int64)
    for fan in fans:
        place[fan.rows] = np.arange(fan.among_all.start, fan.among_all.stop)
    return place


class Attention(NamedTuple):
    """The weights of `gnntrack.gnn.linknet.Attention`, which has the formula.

    Parameters
    ----------
    query : (W, W) float32
        For the cells; divided by the bound of the logarithm of attention and by the root of the length of a head.
    key, value : (W, W) float32
        For the links.
    heads : (W, heads) float32
        1 where a column belongs to a head, else 0.
    """

    query: FeatureArray
    key: FeatureArray
    value: FeatureArray
    heads: FeatureArray

    @classmethod
    def from_tensors(cls, tensors: Tensors, name: str, heads: int) -> Attention:
        """Return the layer of this name."""
        query, key, value = (transpose(tensors[f"{name}.{part}.weight"]) for part in ("query", "key", "value"))
        each = len(query) // heads
        belongs = np.repeat(np.eye(heads, dtype=np.float32), each, axis=0)
        return cls(query / np.float32(_BOUND * each**0.5), key, value, belongs)

    def compute(self, cell: FeatureArray, link: FeatureArray, fan: Fan) -> tuple[FeatureArray, FeatureArray]:
        """Return the messages of their links to the cells of a block, and the attention.

        Parameters
        ----------
        cell : (C, W) float32
            The cells of the block.
        link : (E, W) float32
            All links.
        fan : Fan
            The links of the block, L of them.

        Returns
        -------
        message : (C, W) float32
            In the order of the cells.
        share : (L, heads) float32
            The attention, in the order of ``fan.rows``.
        """
        links = take_rows(link, fan.rows)
        agreement = multiply(links, self.key)
        agreement *= take_rows(multiply(take_rows(cell, fan.order), self.query), fan.cells)
        share = multiply(agreement, self.heads)
        np.tanh(share, out=share)
        share *= np.float32(_BOUND)
        np.exp(share, out=share)
        spread = transpose(self.heads)
        weighted = multiply(share, spread, out=agreement)
        weighted *= multiply(links, self.value)
        total = np.maximum(fan.sum_links(share), _TINY)
        message = fan.sum_links(weighted)
        message /= multiply(total, spread)
        share /= take_rows(total, fan.cells)
        return take_rows(message, fan.place), share
