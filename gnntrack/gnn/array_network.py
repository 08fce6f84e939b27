"""`LinkNet`, and its variant for points, computed by NumPy.

Importing torch takes longer than scoring most movies, and more memory. So on the CPU the networks are computed here,
from the same files; the results are those of torch up to rounding. Training, other devices and other networks use
torch.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from gnntrack.gnn.array_layers import (
    Attention,
    Perceptron,
    apply_double_gelu,
    arrange_fans,
    combine_rows,
    find_places,
    multiply,
    standardise,
    take_rows,
    transpose,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from gnntrack.gnn.array_layers import Fan, Tensors
    from gnntrack.gnn.inputs import Inputs
    from gnntrack.types import CellGraph, FeatureArray, IntArray, LinkScores

    Block = TypeVar("Block")
    Runner = Callable[[Callable[[Block], None], Sequence[Block]], None]

__all__ = ["ArrayNetwork"]

_BLOCK = 6000  # rows that are computed at once at most: their vectors fit into the cache of a core
_BLOCKS = 8  # blocks of a movie at least, unless they have less than a thousand rows; so that threads end together
_THREADS = 2  # largest number of threads
_MANY = 100_000  # links from which on threads are worth their waiting for each other if other programs run, too
_EPSILON = np.float32(1e-5)  # added to the variance, as in `torch.nn.LayerNorm`


class ArrayNetwork:
    """A trained `gnntrack.gnn.linknet.LinkNet` as arrays, with the attributes of `Network` that scoring reads.

    Parameters
    ----------
    kind : str
        As of the network.
    options : dict
        As of the network, without an embedding.
    columns : dict of tuples
        As of the network.
    known : dict of tuples
        Names of the columns that `inputs_of` returns.
    tensors : dict of arrays
        Its weights, by the names in the file.
    inputs_of : callable
        From a graph and its classical scores to `Inputs`.
    of_points : bool
        As of the network.
    """

    corrects = True
    uses_embedding = False
    frames: int | None = None
    links_factor = 8  # 330 bytes for a link with its cells, if a cell has three links

    def __init__(
        self,
        kind: str,
        options: Mapping[str, Any],
        columns: Mapping[str, tuple[str, ...]],
        tensors: Tensors,
        *,
        known: Mapping[str, tuple[str, ...]],
        inputs_of: Callable[[CellGraph, LinkScores], Inputs],
        of_points: bool,
    ) -> None:
        self.kind, self.options, self.columns, self.of_points = kind, dict(options), columns, of_points
        self.hops = options["rounds"] + 1
        self._inputs_of, self._known = inputs_of, known
        self._standard = {
            block: (tensors[f"{block}_standard.mean"], tensors[f"{block}_standard.deviation"]) for block in columns
        }
        self._encode_cell, self._encode_link, self._link_head, self._cell_head = (
            Perceptron.from_tensors(tensors, name) for name in ("encode_cell", "encode_link", "link_head", "cell_head")
        )
        self._ends = [transpose(tensors[f"ends.{i}.weight"]) for i in range(2)]
        self._rounds = [_Round.from_tensors(tensors, f"rounds.{i}", options["heads"]) for i in range(options["rounds"])]
        self._pair_head = _PairHead.from_tensors(tensors)
        self._prior_weight = tensors["trust"]

    def inputs_of(
        self,
        graph: CellGraph,
        prior: LinkScores,
        *,
        embedding: FeatureArray | None = None,  # noqa: ARG002 - as of `Network`
    ) -> Inputs:
        """Return the arrays of a graph that the network reads; an embedding is not used."""
        return self._inputs_of(graph, prior)

    def select_columns(self, inputs: Inputs) -> Inputs:
        """Return the columns that the network reads, of those that `inputs_of` returns."""
        return inputs.select_columns(self._known, self.columns)

    def compute(self, inputs: Inputs, *, threads: int | None = None) -> tuple[FeatureArray, FeatureArray, FeatureArray]:
        """Return the log odds of links, of division candidates, and that cells are spurious.

        Parameters
        ----------
        inputs : Inputs
            Of a movie or of a window.
        threads : int, optional
            Default: 2 for many links, if there are two cores. The result does not depend on it.

        Returns
        -------
        link : (E,) float32
        pair : (M,) float32
        spurious : (N,) float32
        """
        if threads is None:
            threads = min(_THREADS, os.cpu_count() or 1) if len(inputs.source) >= _MANY else 1
        with _start_threads(threads) as run:
            state = _State.from_inputs(inputs, width=self.options["width"], heads=self.options["heads"])
            self._encode(state, run)
            for each in self._rounds:
                run(lambda block, each=each: each.update_cells(state, block), state.cell_blocks)  # type: ignore[misc]
                run(lambda rows, each=each: each.update_links(state, rows), state.link_blocks)  # type: ignore[misc]
            return self._score(state, run)

    def _encode(self, state: _State, run: Runner[Any]) -> None:
        """Set the vectors of cells and links."""

        def encode_cells(block: _CellBlock) -> None:
            columns = standardise(state.inputs.cell[block.rows], *self._standard["cell"])
            state.cell[block.rows] = cell = self._encode_cell.compute(columns)
            multiply(cell, self._ends[0], out=state.of_source[block.rows])
            multiply(cell, self._ends[1], out=state.of_target[block.rows])

        def encode_links(rows: slice) -> None:
            link = self._encode_link.compute(standardise(state.inputs.link[rows], *self._standard["link"]))
            state.link[rows] = state.add_ends(link, rows)

        run(encode_cells, state.cell_blocks)
        run(encode_links, state.link_blocks)

    def _score(self, state: _State, run: Runner[Any]) -> tuple[FeatureArray, FeatureArray, FeatureArray]:
        """Return the log odds of links, division candidates and spurious cells."""
        inputs, (of_link, of_pair) = state.inputs, self._prior_weight
        prior = inputs.link[:, 0]
        birth, death, spurious = ends = np.empty((3, len(inputs.frame)), np.float32)
        link, pair = np.empty(len(inputs.source), np.float32), np.empty(len(inputs.pairs), np.float32)

        def score_cells(block: _CellBlock) -> None:
            ends[:, block.rows] = self._cell_head.compute(state.cell[block.rows]).T

        def score_links(rows: slice) -> None:
            own = self._link_head.compute(state.link[rows])[:, 0]
            own -= take_rows(birth, inputs.target[rows])
            own -= take_rows(death, inputs.source[rows])
            link[rows] = own + of_link * prior[rows]

        def score_pairs(rows: slice) -> None:
            first, second = inputs.pairs[rows].T
            of_ends = ((death, inputs.source[first]), *((birth, inputs.target[each]) for each in (first, second)))
            columns = standardise(inputs.pair[rows], *self._standard["pair"])
            own = self._pair_head.compute(state, first, second, columns)
            for of_cells, cells in of_ends:
                own -= take_rows(of_cells, cells)
            better = np.maximum(np.maximum(prior[first], prior[second]), 0)
            pair[rows] = own + of_link * better + of_pair * inputs.pair[rows, 0]

        run(score_cells, state.cell_blocks)
        run(score_links, state.link_blocks)
        run(score_pairs, _cut_rows(len(pair), _choose_block(len(pair))))
        return link, pair, spurious


# --- vectors of a movie ----------------------------------------------------------------------------------------------


class _CellBlock(NamedTuple):
    """Cells that are computed at once, with the links into them and out of them."""

    rows: slice
    past: Fan
    future: Fan


@dataclass(frozen=True)
class _State:
    """The vectors of all cells and links of a window, which the rounds change.

    Parameters
    ----------
    inputs : Inputs
        The window.
    cell : (N, W) float32
    link : (E, W) float32
    of_past, of_future : (E, heads) float32
        Attention of each link at its target, and at its source, in the order of the fans.
    past_place, future_place : (E,) int64
        The row of each link among these.
    of_source, of_target : (N, W) float32
        What each cell adds to the links out of it, and to those into it.
    cell_blocks : list of _CellBlock
    link_blocks : list of slice
    """

    inputs: Inputs
    cell: FeatureArray
    link: FeatureArray
    of_past: FeatureArray
    of_future: FeatureArray
    past_place: IntArray
    future_place: IntArray
    of_source: FeatureArray
    of_target: FeatureArray
    cell_blocks: list[_CellBlock]
    link_blocks: list[slice]

    @classmethod
    def from_inputs(cls, inputs: Inputs, *, width: int, heads: int) -> _State:
        """Return empty vectors."""
        n, e = len(inputs.frame), len(inputs.source)
        size = _choose_block(e)
        cells = _cut_rows(n, max(1, round(size * n / max(e, n, 1))))  # with about as many links as other blocks
        bounds = [0, *(rows.stop for rows in cells)]
        past, future = (arrange_fans(end, bounds) for end in (inputs.target, inputs.source))
        return cls(
            inputs,
            np.empty((n, width), np.float32),
            np.empty((e, width), np.float32),
            np.empty((e, heads), np.float32),
            np.empty((e, heads), np.float32),
            find_places(past, e),
            find_places(future, e),
            np.empty((n, width), np.float32),
            np.empty((n, width), np.float32),
            [_CellBlock(*each) for each in zip(cells, past, future, strict=True)],
            _cut_rows(e, size),
        )

    def add_ends(self, link: FeatureArray, rows: slice) -> FeatureArray:
        """Add what their cells add to some links, shape (L, W)."""
        link += take_rows(self.of_source, self.inputs.source[rows])
        link += take_rows(self.of_target, self.inputs.target[rows])
        return link


def _choose_block(n: int) -> int:
    """Return the number of rows of a block, of n rows in all.

    >>> _choose_block(100), _choose_block(32_000), _choose_block(10**6)
    (1000, 4000, 6000)
    """
    return min(_BLOCK, max(1000, -(-n // _BLOCKS)))


def _cut_rows(n: int, size: int) -> list[slice]:
    """Return n rows as blocks of at most this size.

    >>> _cut_rows(5, 3)
    [slice(0, 3, None), slice(3, 5, None)]
    """
    return [slice(first, min(first + size, n)) for first in range(0, n, size)]


@contextmanager
def _start_threads(threads: int) -> Iterator[Runner[Any]]:
    """Give a function that calls another one for each of several blocks, in threads."""

    def run_here(work: Callable[[Block], None], blocks: Iterable[Block]) -> None:
        for block in blocks:
            work(block)

    if threads == 1:
        yield run_here
        return
    with ThreadPoolExecutor(threads - 1) as pool:

        def run(work: Callable[[Block], None], blocks: Sequence[Block]) -> None:
            left = iter(blocks)  # each thread takes the next block; this one works, too, as waiting takes longer
            others = [pool.submit(run_here, work, left) for _ in range(min(threads, len(blocks)) - 1)]
            run_here(work, left)
            for other in others:
                other.result()

        yield run


# --- parts of the network --------------------------------------------------------------------------------------------


class _Round(NamedTuple):
    """One round: links to cells, separately for past and future, and back, as of `gnntrack.gnn.linknet`.

    The mean over the columns, which the normalisation of links subtracts, is subtracted from the weights instead.
    """

    past: Attention
    future: Attention
    cell: Perceptron  # its columns are in the order past, cell, future
    at_source: FeatureArray  # (2 W, W) for cell, future
    at_target: FeatureArray  # (2 W, W) for past, cell
    bias: FeatureArray  # (W,) added to the links
    at_link: FeatureArray  # (W, W)
    at_past: FeatureArray  # (heads, W)
    at_future: FeatureArray  # (heads, W)
    gain: FeatureArray  # (W,) of the normalisation
    offset: FeatureArray  # (W,)
    out: FeatureArray  # (W, W) half of the weights, because of the doubled GELU
    out_bias: FeatureArray  # (W,)

    @classmethod
    def from_tensors(cls, tensors: Tensors, name: str, heads: int) -> _Round:
        """Return the round of this name."""
        cell = Perceptron.from_tensors(tensors, f"{name}.cell")
        width = cell.second.shape[1]
        order = np.r_[width : 2 * width, :width, 2 * width : 3 * width]

        def centre(end: str) -> FeatureArray:
            weight = transpose(tensors[f"{name}.{end}.weight"])
            weight -= weight.mean(axis=1, keepdims=True)
            return weight

        bias, share = tensors[f"{name}.at_link.bias"], centre("at_share")
        return cls(
            Attention.from_tensors(tensors, f"{name}.past", heads),
            Attention.from_tensors(tensors, f"{name}.future", heads),
            cell._replace(first=cell.first[order]),
            centre("at_source"),
            centre("at_target")[np.r_[width : 2 * width, :width]],
            bias - bias.mean(),
            centre("at_link"),
            np.ascontiguousarray(share[:heads]),
            np.ascontiguousarray(share[heads:]),
            tensors[f"{name}.link.0.weight"],
            tensors[f"{name}.link.0.bias"],
            transpose(tensors[f"{name}.link.3.weight"]) * np.float32(0.5),
            tensors[f"{name}.link.3.bias"],
        )

    def update_cells(self, state: _State, block: _CellBlock) -> None:
        """Add the messages of links to a block of cells, and set what these add to their links."""
        cell = state.cell[block.rows]
        n, width = cell.shape
        joined = np.empty((n, 3 * width), np.float32)
        past, future = block.past, block.future
        joined[:, :width], state.of_past[past.among_all] = self.past.compute(cell, state.link, past)
        joined[:, 2 * width :], state.of_future[future.among_all] = self.future.compute(cell, state.link, future)
        joined[:, width : 2 * width] = cell
        cell += self.cell.compute(joined)
        joined[:, width : 2 * width] = cell
        multiply(joined[:, width:], self.at_source, out=state.of_source[block.rows])
        combine_rows(np.add, state.of_source[block.rows], self.bias)
        multiply(joined[:, : 2 * width], self.at_target, out=state.of_target[block.rows])

    def update_links(self, state: _State, rows: slice) -> None:
        """Add to some links what they get from themselves, their attention and their cells."""
        link = state.link[rows]
        own = multiply(link, self.at_link)
        own += multiply(take_rows(state.of_past, state.past_place[rows]), self.at_past)
        own += multiply(take_rows(state.of_future, state.future_place[rows]), self.at_future)
        state.add_ends(own, rows)
        variance = np.einsum("ij,ij->i", own, own) / np.float32(own.shape[1])
        own *= (1 / np.sqrt(variance + _EPSILON))[:, None]
        combine_rows(np.multiply, own, self.gain)
        combine_rows(np.add, own, self.offset)
        link += multiply(apply_double_gelu(own), self.out)
        combine_rows(np.add, link, self.out_bias)


class _PairHead(NamedTuple):
    """Log odds of divisions from their links, cells and columns, without births and deaths."""

    both: FeatureArray  # (3 W, W) for the sum of the links, the parent, and the sum of the daughters
    unequal: FeatureArray  # (W, W) for the difference of the links
    columns: FeatureArray  # (P, W)
    bias: FeatureArray  # (W,)
    out: Perceptron

    @classmethod
    def from_tensors(cls, tensors: Tensors) -> _PairHead:
        """Return the head of a network."""
        both = [transpose(tensors[f"both.{i}.weight"]) for i in range(4)]
        out = Perceptron.from_tensors(tensors, "pair_head", first=2)
        return cls(
            np.concatenate([both[0], both[2], both[3]]),
            both[1],
            transpose(tensors["encode_pair.weight"]),
            tensors["encode_pair.bias"],
            out._replace(first=out.first * np.float32(0.5)),
        )

    def compute(self, state: _State, first: Any, second: Any, columns: FeatureArray) -> FeatureArray:
        """Return the log odds of pairs of links, shape (M,)."""
        source, target = state.inputs.source, state.inputs.target
        one, other = take_rows(state.link, first), take_rows(state.link, second)
        daughters = take_rows(state.cell, target[first]) + take_rows(state.cell, target[second])
        x = multiply(np.hstack([one + other, take_rows(state.cell, source[first]), daughters]), self.both)
        x += np.abs(multiply(one - other, self.unequal))
        x += multiply(columns, self.columns)
        combine_rows(np.add, x, self.bias)
        return self.out.compute(apply_double_gelu(x))[:, 0]
