"""The published network: cells smoothed over gated candidate links, and a classifier of single links.

Ben-Haim and Riklin-Raviv, Graph Neural Network for Cell Tracking in Microscopy Videos, ECCV 2022, implemented from the
description in the paper. It scores links to the next frame and no divisions: links to daughters are trained as wrong
ones. It reads absolute positions and sizes, scaled to their range in the window, so that the score of a link depends on
the other cells of the window.

Two details are not in the paper. The number of the frame is scaled by the length of the windows in training, so that a
shorter movie has the same values. The columns are standardised by statistics of the training data: positions of cells
that may be linked differ by a few hundredths of the range, to which a training on the scaled columns is slow to react.
"""

from __future__ import annotations

from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cosine_similarity
from torch_geometric.nn import PDNConv
from torch_geometric.utils import scatter

from gnntrack.errors import FormatError
from gnntrack.gnn.batch import Batch, Outputs
from gnntrack.gnn.inputs import Inputs
from gnntrack.gnn.linknet import Standardization
from gnntrack.gnn.network import Network
from gnntrack.plurals import count_noun
from gnntrack.settings import TrainSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from torch import Tensor

    from gnntrack.gnn.batch import Targets
    from gnntrack.settings import Settings
    from gnntrack.types import CellGraph, FeatureArray, LinkScores

__all__ = ["PDN_CELLS", "PdnNet", "scale_columns", "scale_frames"]

PDN_CELLS = (
    *("frame", "size", "low_z", "low_y", "low_x", "high_z", "high_y", "high_x", "z", "y", "x"),
    *("major_axis", "minor_axis", "intensity_max", "intensity_mean", "intensity_min"),
)
"""The hand-made columns of the paper: frame, area, box, centroid, axes, brightness; 13 in 2D. The three along z are NaN
there, and those of brightness without images. The box is assumed to be centred on the centroid, because a table of
cells has only the size of a box."""

_FRAMES = 10  # length of a window, as in the paper's training, so that columns have the same range as there
_STEPS = 2000  # of the training, by default
_CONSTANT = 1e-4  # smallest deviation of a column that is scaled, as a fraction of its range
_BOUND = 8.0  # largest standardised value, in deviations
_FITTED_ROWS = 500  # cells and links of a window whose columns are used for the statistics
_NEVER = -12.0  # log-odds of a link over a gap, a division and a spurious cell, which this network does not score


def scale_columns(columns: Tensor, window: Tensor) -> Tensor:
    r"""Scale each column to its range in each window; constant columns and NaN become 0.

    .. math:: x'_{ic} = \frac{x_{ic} - \min_j x_{jc}}{\max_j x_{jc} - \min_j x_{jc}}, \qquad j \in \mathrm{window}(i)

    Shapes: columns (N, C), window (N,) -> (N, C).

    >>> scale_columns(torch.tensor([[1.0, 5.0], [3.0, 5.0], [2.0, float("nan")]]), torch.tensor([0, 0, 0])).tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.5, 0.0]]
    """
    if not len(columns):
        return columns
    known = columns.isfinite()
    low = scatter(torch.where(known, columns, torch.inf), window, reduce="min")[window]
    high = scatter(torch.where(known, columns, -torch.inf), window, reduce="max")[window]
    scaled = (columns - low) / (high - low)
    return torch.where(known & (high > low), scaled, 0.0)


def scale_frames(frame: Tensor, window: Tensor, length: int) -> Tensor:
    """Scale the numbers of the frames to 0 for the first of each window, and 1 for the last of a window of this length.

    Shapes: frame (N, 1), window (N,) -> (N, 1).

    >>> scale_frames(torch.tensor([[7.0], [8.0], [3.0]]), torch.tensor([0, 0, 1]), 11).tolist()
    [[0.0], [0.10000000149011612], [0.0]]
    """
    if not len(frame):
        return frame
    first: Tensor = scatter(frame, window, reduce="min")[window]
    return (frame - first) / (length - 1)


class _Standard(Standardization):
    """Standardises columns to mean 0 and deviation 1 of the training data; constant columns are only shifted.

    Shapes: (R, C) -> (R, C), bounded by -8 and 8. NaN stays NaN, since no column may be missing.
    """

    def fit(self, rows: Tensor) -> None:
        """Set mean and deviation from rows of the training data, shape (R, C)."""
        if len(rows) > 1:
            deviation = rows.std(0)
            self.mean.copy_(rows.mean(0))
            self.deviation.copy_(torch.where(deviation > _CONSTANT, deviation, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.mean) / self.deviation).clamp(-_BOUND, _BOUND)


class PdnNet(Network):
    r"""The network of Ben-Haim and Riklin-Raviv (ECCV 2022) on the links to the next frame.

    Cells are encoded from their scaled columns :math:`s_i`, :math:`x_i = [f(s_i), g(a_i)]`, with the appearance
    :math:`a_i` if the network uses it, and links from both ends (columns are standardised before they are encoded):

    .. math:: e_{ij} = h\bigl(|s_i - s_j|, \cos(s_i, s_j), x_i, x_j, |x_i - x_j|, \cos(x_i, x_j)\bigr)

    with the appearance among the columns :math:`s`. Each block gates the messages between cells by the link
    (Rozemberczki et al., Pathfinder Discovery Networks for Neural Message Passing, WWW 2021), and updates the links:

    .. math:: x_j \leftarrow \sigma\Bigl(\sum_{i \in N(j) \cup \{j\}} \omega(e_{ij}) \, W x_i\Bigr), \qquad
              e_{ij} \leftarrow h'\bigl(e_{ij}, x_i, x_j, |x_i - x_j|, \cos(x_i, x_j)\bigr)

    where :math:`\omega`, a perceptron, is normalised by the degrees. A perceptron on :math:`e_{ij}` is the classifier.

    Shapes: `Batch` with cell (N, 16 + embedding) -> `Outputs`. Links over gaps, divisions and spurious cells have
    log-odds of -12, because the network does not score them.

    Parameters
    ----------
    embedding : int
        Length of the learned appearance of a cell, behind the hand-made columns; 128 in the paper, 0 = without.
    hidden, width : int
        Sizes of the encoders of cells.
    link_hidden, link_width : int
        Sizes of the encoder of links and of their updates.
    gate : int
        Hidden size of the gate of a block.
    blocks : int
        Number of blocks, which is the number of frames before a link that it depends on.
    head : two ints
        Hidden sizes of the classifier.
    dropout, encoder_dropout : float
        Dropout in training, of links and of cells.
    """

    kind = "pdn"
    corrects = False
    hops: int | None = None  # columns are scaled to their range, so that an output depends on the whole window
    frames: int | None = _FRAMES
    columns: Mapping[str, tuple[str, ...]] = MappingProxyType({"cell": PDN_CELLS, "link": (), "pair": ()})

    def __init__(
        self,
        *,
        embedding: int = 0,
        hidden: int = 64,
        width: int = 16,
        link_hidden: int = 128,
        link_width: int = 64,
        gate: int = 16,
        blocks: int = 6,
        head: tuple[int, int] = (128, 32),
        dropout: float = 0.2,
        encoder_dropout: float = 0.4,
    ) -> None:
        super().__init__()
        self.options = {
            "embedding": embedding,
            "hidden": hidden,
            "width": width,
            "link_hidden": link_hidden,
            "link_width": link_width,
            "gate": gate,
            "blocks": blocks,
            "head": head,
            "dropout": dropout,
            "encoder_dropout": encoder_dropout,
        }
        if embedding:
            names = tuple(f"appearance_{i}" for i in range(embedding))
            self.columns = {**self.columns, "cell": (*PDN_CELLS, *names)}
        raw = len(self.columns["cell"])
        self.cell_standard, self.link_standard = _Standard(raw), _Standard(raw + 1)
        self.encode_hand = _make_mlp(len(PDN_CELLS), hidden, width, dropout=encoder_dropout)
        self.encode_look = _make_mlp(embedding, hidden, width, dropout=encoder_dropout) if embedding else None
        cell = 2 * width if embedding else width
        self.encode_link = _LinkUpdate(cell, raw + 1, link_hidden, link_width, dropout)
        self.convolutions = nn.ModuleList(PDNConv(cell, cell, link_width, gate) for _ in range(blocks))
        self.updates = nn.ModuleList(
            _LinkUpdate(cell, link_width, link_hidden, link_width, dropout) for _ in range(blocks)
        )
        self.classify = _make_mlp(link_width, *head, 1, dropout=dropout)

    def forward(self, batch: Batch) -> Outputs:  # noqa: D102
        next_frame = torch.nonzero(batch.gap == 1)[:, 0]
        links = torch.stack([batch.source[next_frame], batch.target[next_frame]])  # (2, L)
        raw = self._scale_inputs(batch)
        cell = self._encode_cells(self.cell_standard(raw))
        link = self.encode_link(cell, links, self.link_standard(_compare_ends(raw, links)))
        for convolve, update in zip(self.convolutions, self.updates, strict=True):
            cell = convolve(cell, links, link).relu()
            link = update(cell, links, link)
        log_odds = link.new_full((len(batch.gap),), _NEVER)
        log_odds = log_odds.index_copy(0, next_frame, self.classify(link)[:, 0])
        return Outputs(log_odds, link.new_full((len(batch.pairs),), _NEVER), link.new_full((len(raw),), _NEVER))

    def _scale_inputs(self, batch: Batch) -> Tensor:
        """Return the columns with the hand-made ones scaled, shape (N, 16 + embedding)."""
        expected = len(self.columns["cell"])
        if batch.cell.shape[1] != expected:
            msg = (
                f"cells have {count_noun(batch.cell.shape[1], 'column')}, the network reads {expected}: "
                f"{len(PDN_CELLS)} hand-made "
                f"ones and {expected - len(PDN_CELLS)} of the appearance"
            )
            raise FormatError(msg)
        hand, look = batch.cell[:, : len(PDN_CELLS)], batch.cell[:, len(PDN_CELLS) :]
        frame = scale_frames(hand[:, :1], batch.window, self.frames or _FRAMES)
        return torch.cat([frame, scale_columns(hand[:, 1:], batch.window), torch.nan_to_num(look)], 1)

    def fit(self, inputs: Sequence[Inputs]) -> None:
        """Set the statistics of the columns of cells and links from windows of the movies to train on."""
        cells, links = [], []
        length = self.frames or _FRAMES
        for movie in inputs:
            for start in range(0, max(movie.n_frames - length, 0) + 1, length // 2):
                batch = Batch.from_windows([movie.cut_window(start, start + length)[0]])
                raw, ends = self._scale_inputs(batch), torch.stack([batch.source, batch.target])[:, batch.gap == 1]
                cells.append(_thin(raw))
                links.append(_compare_ends(raw, _thin(ends.T).T))
        if cells:
            self.cell_standard.fit(torch.cat(cells))
            self.link_standard.fit(torch.cat(links))

    def _encode_cells(self, raw: Tensor) -> Tensor:
        hand: Tensor = self.encode_hand(raw[:, : len(PDN_CELLS)])
        if self.encode_look is None:
            return hand
        return torch.cat([hand, self.encode_look(raw[:, len(PDN_CELLS) :])], 1)

    @classmethod
    def settings_for(cls, settings: Settings) -> Settings:
        """Return the settings with the defaults of `TrainSettings` replaced by those of the publication.

        Movies as they are and at half the frame rate, all columns, and a long training to the last step. Values other
        than the defaults are kept.
        """
        usual, chosen = TrainSettings(), settings.train
        published = {
            "variants": 2,
            "steps": _STEPS,
            "dropout": 0.2,
            "feature_dropout": 0.0,
            "learning_rate": 0.001,
            "weight_decay": 1e-5,
            "patience": max(chosen.steps, _STEPS),
        }
        changes = {name: value for name, value in published.items() if getattr(chosen, name) == getattr(usual, name)}
        return settings.replace(**{f"train__{name}": value for name, value in changes.items()})

    @staticmethod
    def loss(outputs: Outputs, batch: Batch, targets: Targets, settings: TrainSettings | None = None) -> Tensor:  # noqa: ARG004
        """Return the cross-entropy of links to the next frame, with weight (wrong links / right links) on right ones.

        Links to daughters count as wrong ones, as in the paper. Links into cells whose past is unknown, or outside
        the window, do not count.

        Shapes: -> ().
        """
        # without pairs in the inputs, both links of a division are right in the ground truth
        children = scatter(targets.link.long(), batch.source, dim_size=len(batch.cell), reduce="sum")
        right = targets.link & (children[batch.source] == 1)
        counts = targets.past[batch.target] & (batch.gap == 1)
        truth = right[counts].to(outputs.link.dtype)
        if not len(truth):
            return outputs.link.sum() * 0
        weight = (len(truth) - truth.sum()) / truth.sum().clamp(min=1)
        return binary_cross_entropy_with_logits(
            outputs.link[counts],
            truth,
            weight=targets.past_weight[batch.target][counts],
            pos_weight=weight.clamp(min=1e-3),
        )

    @staticmethod
    def inputs_of(
        graph: CellGraph,
        prior: LinkScores | None = None,  # noqa: ARG004 - the same signature for all networks
        *,
        embedding: FeatureArray | None = None,
    ) -> Inputs:
        """Return the arrays that this network reads: columns of cells, none of links, and no pairs.

        Parameters
        ----------
        graph : CellGraph
            The candidates.
        prior : LinkScores, optional
            Not used.
        embedding : (N, A) float32, optional
            Learned appearance of each cell.

        Raises
        ------
        FormatError
            If the number of rows of the embedding differs from the number of cells.
        """
        cells = graph.cells
        columns = _compute_columns(graph)
        if embedding is not None:
            if len(embedding) != len(cells):
                msg = (
                    f"the embedding has {count_noun(len(embedding), 'row')} for "
                    f"{count_noun(len(cells), 'cell')}; embed the crops of this movie"
                )
                raise FormatError(msg)
            columns = np.concatenate([columns, embedding.astype(np.float32, copy=False)], axis=1)
        return Inputs(
            cells.frame,
            graph.source,
            graph.target,
            np.zeros((0, 2), np.int64),
            columns,
            np.zeros((len(graph), 0), np.float32),
            np.zeros((0, 0), np.float32),
            cells.n_frames,
            np.arange(len(graph)),
        )


class _LinkUpdate(nn.Module):
    """A perceptron on a link's own columns and its two ends: (own, x_i, x_j, |x_i - x_j|, cos(x_i, x_j)).

    The first layer acts on the cells before they are looked up at the ends: the same sums, but fewer of them.

    Shapes: cells (N, H), links (2, L), own (L, C) -> (L, outputs).
    """

    def __init__(self, cell: int, own: int, hidden: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.source, self.target = (nn.Linear(cell, hidden, bias=False) for _ in range(2))
        self.own = nn.Linear(own + cell + 1, hidden)
        self.rest = nn.Sequential(nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, outputs), nn.ReLU())

    def forward(self, cell: Tensor, links: Tensor, own: Tensor) -> Tensor:
        a, b = cell[links[0]], cell[links[1]]
        similarity = cosine_similarity(a, b)[:, None]
        x = self.own(torch.cat([own, (a - b).abs(), similarity], 1))
        rest: Tensor = self.rest(x + self.source(cell)[links[0]] + self.target(cell)[links[1]])
        return rest


def _compare_ends(raw: Tensor, links: Tensor) -> Tensor:
    """Return the columns of links: |s_i - s_j| and cos(s_i, s_j), shapes raw (N, C), links (2, L) -> (L, C + 1)."""
    a, b = raw[links[0]], raw[links[1]]
    return torch.cat([(a - b).abs(), cosine_similarity(a, b)[:, None]], 1)


def _thin(rows: Tensor) -> Tensor:
    """Return at most about `_FITTED_ROWS` of the rows, evenly spaced."""
    return rows[:: max(1, len(rows) // _FITTED_ROWS)]


def _compute_columns(graph: CellGraph) -> FeatureArray:
    """Return the columns of `PDN_CELLS`, NaN for those that the movie lacks, shape (N, 16)."""
    cells = graph.cells
    columns: dict[str, npt.NDArray[Any]] = {"frame": cells.frame}
    columns |= {name: cells.feature(name) for name in PDN_CELLS if cells.has(name)}
    for axis, centre in zip("zyx"[-cells.ndim :], cells.position.T, strict=True):
        half = cells.feature(f"box_{axis}") / 2
        columns |= {axis: centre, f"low_{axis}": centre - half, f"high_{axis}": centre + half}
    out = np.full((len(cells), len(PDN_CELLS)), np.nan, np.float32)
    for i, name in enumerate(PDN_CELLS):
        if name in columns:
            out[:, i] = columns[name]
    return out


def _make_mlp(*sizes: int, dropout: float) -> nn.Sequential:
    """Return linear layers of these sizes with ReLU and dropout between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers[:-2])
