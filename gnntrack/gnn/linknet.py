"""The network of gnntrack: each candidate link attends to its competitors and to the links before and after it.

Candidate graphs are not homophilous: a cell is similar to at most one of its candidates, itself in another frame. So
features are not smoothed over cells. Messages go from links to the cells that they share, separately for the past and
the future of a cell (Braso and Leal-Taixe, Learning a Neural Solver for Multiple Object Tracking, CVPR 2020), and back
to the links, so that a link receives information on its competitors and its neighbours in time. Time and memory are
O(links).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from gnntrack.gnn.batch import Outputs
from gnntrack.gnn.inputs import CELL_INPUTS, COLUMN_GROUPS, LINK_INPUTS, PAIR_INPUTS, Inputs, pick_columns
from gnntrack.gnn.loss import lineage_loss
from gnntrack.gnn.network import Network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gnntrack.gnn.batch import Batch, Targets
    from gnntrack.settings import TrainSettings
    from gnntrack.types import CellGraph, FeatureArray, LinkScores

__all__ = ["Attention", "LinkNet", "Standardization"]

_BOUND = 10.0  # of the logarithm of attention, so that its exponential cannot overflow
_SAMPLED = 20_000  # rows of each movie from which the statistics of the columns are computed


class Standardization(nn.Module):
    """Standardise columns: (x - mean) / deviation; NaN, a column that the movie does not have, becomes 0.

    The statistics are those of the training data, and are stored with the weights.

    Shapes: (R, C) -> (R, C).
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(columns))
        self.register_buffer("deviation", torch.ones(columns))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return torch.nan_to_num((x - self.mean) / self.deviation).clamp(-8, 8)


class Attention(nn.Module):
    r"""Message to a cell from its links in one direction of time.

    .. math:: m_v = \sum_{e \in L(v)} \alpha_e \, V h_e, \qquad
              \alpha_e = \mathrm{softmax}_{e \in L(v)} \; c \tanh \frac{q_v \cdot K h_e}{c \sqrt{d}}

    for each head, where :math:`L(v)` are the links into the cell, or those out of it (Velickovic et al., Graph
    Attention Networks, ICLR 2018; the query is the cell's, keys and values are the links'; bounded as in Gemma 2, so
    that sums and their weights take one pass over the links).

    Shapes: cells (N, H), links (E, H), ends (E,) -> (N, H), and the attention (E, heads).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)

    def forward(self, cell: Tensor, link: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        n, width = cell.shape
        each = width // self.heads
        agreement = (self.query(cell)[end] * self.key(link)).view(-1, self.heads, each).sum(-1)
        weight = torch.exp(_BOUND * torch.tanh(agreement / (_BOUND * each**0.5)))  # (E, heads)
        weighted = self.value(link).view(-1, self.heads, each) * weight[..., None]
        # MessagePassing of torch-geometric does the same; its import takes longer than all links of a movie
        sums = link.new_zeros(n, width + self.heads).index_add_(0, end, torch.cat([weighted.flatten(1), weight], 1))
        total = sums[:, width:]
        fraction = weight / total[end]
        message = sums[:, :width].view(n, self.heads, each) / total.clamp(min=1e-6)[..., None]
        return message.view(n, width), fraction


class _Round(nn.Module):
    """One round: links to cells, separately for past and future, and back.

    Shapes: cells (N, H), links (E, H) -> the same.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.past, self.future = Attention(width, heads), Attention(width, heads)
        self.cell = _make_mlp(3 * width, width, width, dropout)
        self.at_source, self.at_target = (nn.Linear(2 * width, width, bias=False) for _ in range(2))
        self.at_link = nn.Linear(width, width)
        self.at_share = nn.Linear(2 * heads, width, bias=False)
        self.link = nn.Sequential(nn.LayerNorm(width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width))

    def forward(self, cell: Tensor, link: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        past, of_target = self.past(cell, link, batch.target)
        future, of_source = self.future(cell, link, batch.source)
        cell = cell + self.cell(torch.cat([cell, past, future], 1))
        # the cell has the messages of both directions; its links in one direction compete
        source = self.at_source(torch.cat([cell, future], 1))[batch.source]
        target = self.at_target(torch.cat([cell, past], 1))[batch.target]
        own = self.at_link(link) + self.at_share(torch.cat([of_target, of_source], 1))
        return cell, link + self.link(own + source + target)


class LinkNet(Network):
    r"""Encoders, rounds of attention, and heads for links, divisions, starts, ends and spurious cells.

    .. math:: w_e = s_e + a \, \mathrm{prior}_e - b_{t(e)} - d_{s(e)}, \qquad
              w_p = s_p + a' \, \mathrm{prior}_p - b_{d_1} - b_{d_2} - d_m

    with the birth :math:`b` of a cell and the death :math:`d`, all as log-odds. Before training it returns the
    classical scores.

    Shapes: `Batch` -> `Outputs`.

    Parameters
    ----------
    width : int
        Length of the vectors of cells and links, a multiple of ``heads``.
    rounds : int
        Rounds of attention: number of links before and after a link that it depends on.
    heads : int
        Heads of the attention.
    dropout : float
        Dropout in training.
    embedding : int
        Length of the learned appearance of a cell (`gnntrack.gnn.appearance`); 0 = without.
    columns : dict of lists, optional
        Names of the columns of ``cell``, ``link`` and ``pair`` that it reads, by default all; names that are not known
        are left out. Models of earlier versions read fewer.
    """

    kind = "linknet"
    corrects = True
    cell_inputs: ClassVar[tuple[str, ...]] = CELL_INPUTS
    link_inputs: ClassVar[tuple[str, ...]] = LINK_INPUTS
    pair_inputs: ClassVar[tuple[str, ...]] = PAIR_INPUTS

    def __init__(
        self,
        *,
        width: int = 32,
        rounds: int = 3,
        heads: int = 4,
        dropout: float = 0.1,
        embedding: int = 0,
        columns: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        own = self._known_columns() if columns is None else pick_columns(self._known_columns(), columns)
        appearance = tuple(f"appearance_{i}" for i in range(embedding))
        self.columns = own | {"cell": own["cell"] + appearance}
        self.options = {"width": width, "rounds": rounds, "heads": heads, "dropout": dropout, "embedding": embedding}
        self.cell_standard, self.link_standard, self.pair_standard = (
            Standardization(len(own[block])) for block in ("cell", "link", "pair")
        )
        self.encode_cell = _make_mlp(len(own["cell"]), width, width, dropout)
        self.encode_link = _make_mlp(len(own["link"]), width, width, dropout)
        self.encode_look = nn.Linear(embedding, width, bias=False) if embedding else None
        self.encode_likeness = nn.Linear(1, width, bias=False) if embedding else None
        self.ends = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(2))
        self.rounds = nn.ModuleList(_Round(width, heads, dropout) for _ in range(rounds))
        self.link_head = _make_mlp(width, width, 1, dropout)
        self.cell_head = _make_mlp(width, width, 3, dropout)  # birth, death, spurious
        self.both = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(4))
        self.encode_pair = nn.Linear(len(own["pair"]), width)
        self.pair_head = nn.Sequential(nn.GELU(), nn.Dropout(dropout), *_make_mlp(width, width, 1, dropout))
        for head in (self.link_head, self.cell_head, self.pair_head):
            _zero_last_layer(head)
        self.register_parameter("trust", nn.Parameter(torch.ones(2)))  # the name in stored models
        self.hops = rounds + 1  # links in each direction of time that an output depends on

    @property
    def prior_weight(self) -> nn.Parameter:
        """Weights of the classical scores of links and of divisions, shape (2,)."""
        return self.get_parameter("trust")

    def forward(self, batch: Batch) -> Outputs:  # noqa: D102
        known = len(self.cell_standard.mean)
        cell = self.encode_cell(self.cell_standard(batch.cell[:, :known]))
        link = self.encode_link(self.link_standard(batch.link))
        if self.encode_look is not None and self.encode_likeness is not None:
            look = torch.nan_to_num(batch.cell[:, known:])
            cell = cell + self.encode_look(look)
            likeness = (look[batch.source] * look[batch.target]).sum(1, keepdim=True)
            link = link + self.encode_likeness(likeness)
        link = link + self.ends[0](cell)[batch.source] + self.ends[1](cell)[batch.target]
        for each in self.rounds:
            cell, link = each(cell, link, batch)
        birth, death, spurious = self.cell_head(cell).unbind(1)
        prior = batch.link[:, 0]
        own = self.link_head(link)[:, 0] - birth[batch.target] - death[batch.source]
        return Outputs(own + self.prior_weight[0] * prior, self._score_pairs(batch, cell, link, birth, death), spurious)

    @staticmethod
    def inputs_of(graph: CellGraph, prior: LinkScores, *, embedding: FeatureArray | None = None) -> Inputs:
        """Return the arrays of a graph that the network reads, see `Inputs.from_graph`."""
        return Inputs.from_graph(graph, prior, embedding=embedding)

    @classmethod
    def _known_columns(cls) -> dict[str, tuple[str, ...]]:
        return {"cell": cls.cell_inputs, "link": cls.link_inputs, "pair": cls.pair_inputs}

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any], options: Mapping[str, Any]) -> Self:
        """Return a network for stored weights, which may read fewer columns than there are now."""
        return cls(**options, columns=columns)

    def select_columns(self, inputs: Inputs) -> Inputs:
        """Return the columns that the network reads."""
        return inputs.select_columns(self._known_columns(), self.columns)

    @classmethod
    def options_for(cls, settings: TrainSettings) -> dict[str, Any]:
        """Return the constructor's keywords from the settings."""
        shape = {"width": settings.width, "rounds": settings.rounds, "heads": settings.heads}
        omitted = {name for group in settings.without for name in COLUMN_GROUPS[group]}
        columns = {
            block: [name for name in names if name not in omitted] for block, names in cls._known_columns().items()
        }
        return {**super().options_for(settings), **shape, "columns": columns}

    def fit(self, inputs: Sequence[Inputs]) -> None:
        """Set the means and standard deviations of the columns from the movies to train on; NaN are skipped."""
        for block in ("cell", "link", "pair"):
            standard = getattr(self, f"{block}_standard")
            columns = [getattr(each, block) for each in inputs]
            values = np.concatenate([column[:: max(1, len(column) // _SAMPLED)] for column in columns])
            for i in range(len(standard.mean)):  # the columns of appearance after those have length 1 already
                known = values[np.isfinite(values[:, i]), i]
                if len(known) > 1:
                    standard.mean[i] = float(known.mean())
                    standard.deviation[i] = torch.tensor(max(float(known.std()), 1e-3))

    @staticmethod
    def loss(outputs: Outputs, batch: Batch, targets: Targets, settings: TrainSettings) -> Tensor:
        r"""Return the loss of a batch: `lineage_loss`, and :math:`\lambda (w - \mathrm{prior})^2`.

        The penalty is a Gaussian prior around the classical scores, which are kept for rare inputs.
        """
        link, pair = outputs.link - batch.link[:, 0], outputs.pair - _compute_pair_prior(batch)
        away = link.square().mean() + (pair.square().mean() if len(pair) else 0.0)
        return lineage_loss(outputs, batch, targets, division_weight=settings.division_weight) + settings.penalty * away

    def _score_pairs(self, batch: Batch, cell: Tensor, link: Tensor, birth: Tensor, death: Tensor) -> Tensor:
        first, second = batch.pairs.T
        parent, one, other = batch.source[first], batch.target[first], batch.target[second]
        a, b = self.both[0](link), self.both[1](link)
        x = a[first] + a[second] + (b[first] - b[second]).abs() + self.both[2](cell)[parent]
        daughters = self.both[3](cell)
        x = x + daughters[one] + daughters[other] + self.encode_pair(self.pair_standard(batch.pair))
        own: Tensor = self.pair_head(x)[:, 0] - birth[one] - birth[other] - death[parent]
        # the prior of a division is relative to its better link alone, so that is added
        return own + self.prior_weight[0] * _find_better_link(batch) + self.prior_weight[1] * batch.pair[:, 0]


def _make_mlp(inputs: int, hidden: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, outputs))


def _zero_last_layer(head: nn.Sequential) -> None:
    """Zero a head's last layer, so that an untrained network returns the classical scores."""
    for parameter in head[-1].parameters():
        nn.init.zeros_(parameter)


def _find_better_link(batch: Batch) -> Tensor:
    """Return the classical log-odds of the better link of each pair, at least 0, shape (M,)."""
    better: Tensor = batch.link[:, 0][batch.pairs].amax(1)
    return better.clamp(min=0)


def _compute_pair_prior(batch: Batch) -> Tensor:
    """Return the classical log-odds of each pair: of its better link, plus those of the division against it."""
    return _find_better_link(batch) + batch.pair[:, 0]
