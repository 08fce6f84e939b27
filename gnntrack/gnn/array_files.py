"""Which models are computed without torch: those whose network and tensors are exactly the ones known here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.gnn.array_network import ArrayNetwork
from gnntrack.gnn.inputs import CELL_INPUTS, LINK_INPUTS, PAIR_INPUTS, Inputs, pick_columns
from gnntrack.gnn.point_inputs import POINT_CELL_INPUTS, POINT_LINK_INPUTS, POINT_PAIR_INPUTS, make_point_inputs

if TYPE_CHECKING:
    from gnntrack.types import CellGraph, FeatureArray, LinkScores

__all__ = ["make_array_network"]

_ATTENTION = tuple(f"{way}.{part}" for way in ("past", "future") for part in ("query", "key", "value"))
_SIZES = ("width", "rounds", "heads")


class _Kind(NamedTuple):
    """A kind of network: the columns that it reads, and the function that makes them."""

    columns: dict[str, tuple[str, ...]]
    inputs_of: Callable[[CellGraph, LinkScores], Inputs]
    of_points: bool


_KINDS = {
    "linknet": _Kind(
        {"cell": CELL_INPUTS, "link": LINK_INPUTS, "pair": PAIR_INPUTS}, Inputs.from_graph, of_points=False
    ),
    "points": _Kind(
        {"cell": POINT_CELL_INPUTS, "link": POINT_LINK_INPUTS, "pair": POINT_PAIR_INPUTS},
        make_point_inputs,
        of_points=True,
    ),
}


def make_array_network(about: Mapping[str, Any], tensors: Mapping[str, FeatureArray]) -> ArrayNetwork | None:
    """Return the network of a model without torch, or None if only torch can compute it, or refuse it.

    Parameters
    ----------
    about : dict
        Contents of ``model.json``.
    tensors : dict of arrays
        The weights.
    """
    kind = _KINDS.get(about["kind"])
    if kind is None or not _has_known_options(about["options"]):
        return None
    columns = pick_columns(kind.columns, about["columns"])
    if about["columns"] != {block: list(names) for block, names in columns.items()}:
        return None
    width, rounds, heads = (about["options"][name] for name in _SIZES)
    wanted = _list_shapes({block: len(names) for block, names in columns.items()}, width, rounds, heads)
    if {name: array.shape for name, array in tensors.items()} != wanted:
        return None
    if not all(array.dtype == np.float32 and np.isfinite(array).all() for array in tensors.values()):
        return None
    return ArrayNetwork(
        about["kind"],
        about["options"],
        columns,
        tensors,
        known=kind.columns,
        inputs_of=kind.inputs_of,
        of_points=kind.of_points,
    )


def _has_known_options(options: Mapping[str, Any]) -> bool:
    if set(options) != {*_SIZES, "dropout", "embedding"} or options["embedding"] != 0:
        return False
    width, rounds, heads = (options[name] for name in _SIZES)
    return all(type(size) is int and size > 0 for size in (width, heads, rounds + 1)) and width % heads == 0


def _list_shapes(columns: Mapping[str, int], width: int, rounds: int, heads: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors of `gnntrack.gnn.linknet.LinkNet` by name."""
    shapes: dict[str, tuple[int, ...]] = {"trust": (2,)}
    for block, count in columns.items():
        shapes |= {f"{block}_standard.{part}": (count,) for part in ("mean", "deviation")}
    layers = {  # inputs and outputs of layers with a bias
        **_join_layers("encode_cell", columns["cell"], width, width),
        **_join_layers("encode_link", columns["link"], width, width),
        **_join_layers("link_head", width, width, 1),
        **_join_layers("cell_head", width, width, 3),
        **_join_layers("pair_head", width, width, 1, first=2),
        "encode_pair": (columns["pair"], width),
    }
    plain = {f"{name}.{i}": (width, width) for name, count in (("ends", 2), ("both", 4)) for i in range(count)}
    for name in (f"rounds.{i}" for i in range(rounds)):
        plain |= dict.fromkeys((f"{name}.{part}" for part in _ATTENTION), (width, width))
        plain |= {f"{name}.at_source": (2 * width, width), f"{name}.at_target": (2 * width, width)}
        plain[f"{name}.at_share"] = 2 * heads, width
        layers |= _join_layers(f"{name}.cell", 3 * width, width, width)
        layers |= {f"{name}.at_link": (width, width), f"{name}.link.3": (width, width)}
        shapes |= {f"{name}.link.0.weight": (width,), f"{name}.link.0.bias": (width,)}
    shapes |= {f"{name}.weight": (outputs, inputs) for name, (inputs, outputs) in (plain | layers).items()}
    return shapes | {f"{name}.bias": (outputs,) for name, (_, outputs) in layers.items()}


def _join_layers(name: str, inputs: int, hidden: int, outputs: int, *, first: int = 0) -> dict[str, tuple[int, int]]:
    """Return inputs and outputs of the two layers of a perceptron; between them are GELU and dropout."""
    return {f"{name}.{first}": (inputs, hidden), f"{name}.{first + 3}": (hidden, outputs)}
