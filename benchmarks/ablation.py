"""Ablation of our network: it is trained without one of its parts, and tested on two held-out data sets.

``python benchmarks/ablation.py --work FOLDER`` writes ``results/ablation.json`` and, next to it, the table as Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from accuracy import format_line, format_number, run_ours, score_result
from folds import (
    Fold,
    Workshop,
    add_training_arguments,
    choose_settings,
    list_sequences,
    make_left_out_fold,
    read_settings,
    start_record,
)
from perturbed import PerturbedMovie, write_perturbed
from record import (
    RESULTS,
    format_circumstances,
    format_table,
    has_row,
    hash_code,
    replace_row,
    write_record,
)
from torch import Tensor
from version_runs import describe_failure

from gnntrack.gnn.batch import Batch, Outputs
from gnntrack.gnn.linknet import LinkNet
from gnntrack.gnn.networks import NETWORKS, STORED
from gnntrack.settings import Settings

HELD_OUT = ("Fluo-N2DL-HeLa", "Fluo-N2DH-SIM+")
FULL = "full"
KEY = ("variation", "sequence", "twin")
MEANS = {"LNK error": "LNK", "division F1": "division_f1(1)", "BIO(1)": "BIO(1)", "CHOTA": "CHOTA"}
FLAT = 0.02  # relative change of the LNK error that counts as none

Row = dict[str, Any]


class WithoutDivisionHead(LinkNet):
    """LinkNet without learned divisions: its better link plus the classical log odds of dividing."""

    def forward(self, batch: Batch) -> Outputs:  # noqa: D102
        outputs: Outputs = super().forward(batch)
        alone: Tensor = outputs.link[batch.pairs].amax(1).clamp(min=0) if len(batch.pairs) else outputs.pair
        return replace(outputs, pair=alone + batch.pair[:, 0])


class WithoutPrior(LinkNet):
    """LinkNet without the classical scores, as input and as prior; they still select the links that it scores."""

    corrects = False

    def forward(self, batch: Batch) -> Outputs:  # noqa: D102
        link, pair = batch.link.clone(), batch.pair.clone()
        link[:, 0] = pair[:, 0] = 0
        return super().forward(replace(batch, link=link, pair=pair))


@dataclass(frozen=True)
class Variation:
    """Our network without a part.

    Parameters
    ----------
    settings : dict
        Settings that differ, see `Settings.replace`.
    network : str
        Name of a class of this module that replaces `LinkNet`.
    solver : str
        The solver; those of the rows that name none had `triplets`.
    retrained : bool
        Whether it is trained; else the model of the full network is used.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    network: str = ""
    solver: str = "triplets"
    retrained: bool = True


VARIATIONS = {
    FULL: Variation(),
    "without attention": Variation({"train__rounds": 0}),
    "without motion compensation": Variation({"motion__flow": "none", "motion__drift": False}),
    "without corruption": Variation({"train__corruption": 0.0}),
    "without division head": Variation(network="WithoutDivisionHead"),
    "without classical prior": Variation({"train__penalty": 0.0}, network="WithoutPrior"),
    "without penalty": Variation({"train__penalty": 0.0}),
    "with the whole correction": Variation({"gnn__correction": 1.0}, retrained=False),
    "greedy instead of triplets": Variation(solver="greedy", retrained=False),
    "hungarian instead of triplets": Variation(solver="hungarian", retrained=False),
    "with appearance": Variation({"train__appearance": True}),
}


def main() -> None:
    args = _parse_arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    settings = read_settings(args)
    record = start_record(settings, args)
    workshop = Workshop(args.work, reuse=args.reuse_models, device=args.device)
    sequences = list_sequences(args.data)
    fold = make_left_out_fold(sequences, *HELD_OUT)
    with tempfile.TemporaryDirectory(dir=args.work) as temporary:
        twins = {
            (each.name, kind): write_perturbed(each, Path(temporary) / f"{each.dataset} {kind}", kind)
            for each in sequences
            for kind in args.twins.split(",")
            if each.dataset in HELD_OUT and args.only.lower() in each.name.lower()
        }
        for name in args.variations.split(",") if args.variations else VARIATIONS:
            run_variation(name, fold, twins, settings, workshop, record)
            write_record(args.out, record, format_markdown(record))
    print(format_markdown(record))


def run_variation(
    name: str,
    fold: Fold,
    twins: Mapping[tuple[str, str], PerturbedMovie],
    settings: Settings,
    workshop: Workshop,
    record: dict[str, Any],
) -> None:
    """Train a variation, and track all versions of the movies with it."""
    keys = [(name, *twin) for twin in twins]
    if all(has_row(record["rows"], KEY, key) for key in keys):
        return
    variation = VARIATIONS[name]
    settings = choose_settings("linknet", settings).replace(**variation.settings)
    with _replace_network(variation), tempfile.TemporaryDirectory(dir=workshop.work) as temporary:
        trained = name if variation.retrained else FULL
        folder, told = workshop.get_model(fold, "linknet", settings, name=trained)
        settings = settings.replace(gnn__model=str(folder), gnn__brightness=False)
        for (sequence, kind), twin in twins.items():
            out = Path(temporary) / f"{sequence} {kind}" / "01_RES"
            method = f"gnn+{variation.solver}"
            row = {"variation": name, "sequence": sequence, "twin": kind, "code": hash_code(), "model": told}
            try:
                row |= {**run_ours(twin, out, method, settings), **score_result(out, twin)}
            except Exception as error:  # noqa: BLE001
                row |= describe_failure(error, workshop.work)
            record["rows"] = replace_row(record["rows"], KEY, row)
            print(f"{name:30s} {format_line({**row, 'method': ''})}", flush=True)


@contextmanager
def _replace_network(variation: Variation) -> Iterator[None]:
    """Replace the class of the network in training and tracking; the names of its weights are the same."""
    usual = NETWORKS.built_in["linknet"]
    for registry in (NETWORKS, STORED):
        registry.built_in["linknet"] = f"{__name__}:{variation.network}" if variation.network else usual
    try:
        yield
    finally:
        for registry in (NETWORKS, STORED):
            registry.built_in["linknet"] = usual


def format_markdown(record: dict[str, Any]) -> str:
    """Return the tables of a record."""
    rows = [row for row in record["rows"] if "figures" in row]
    means = compute_means(rows)
    tested = ", ".join(dict.fromkeys(f"{row['sequence']} {row['twin']}" for row in rows))
    failed = [f"{' '.join(row[each] for each in KEY)}: {row['failed']}" for row in record["rows"] if "failed" in row]
    parts = [
        "# Ablations",
        format_circumstances(record),
        f"Each network was trained on everything but {' and '.join(HELD_OUT)}, and tested on: {tested}. Means over "
        "them; LNK error is 1 - LNK. One training each: differences of a few per cent may be chance.",
        format_means(means),
        format_sentences(means),
        f"Failed: {'; '.join(failed)}." if failed else "",
    ]
    return "\n\n".join(part for part in parts if part)


def compute_means(rows: list[Row]) -> dict[str, dict[str, float | None]]:
    """Return the mean figures of each variation."""
    rows = [row for row in rows if "figures" in row]
    names = [name for name in VARIATIONS if any(row["variation"] == name for row in rows)]
    return {name: _average_rows([row for row in rows if row["variation"] == name]) for name in names}


def format_means(means: Mapping[str, dict[str, float | None]]) -> str:
    """Return the means as a Markdown table."""
    return format_table(
        ["", *MEANS], [[name, *(format_number(each) for each in mine.values())] for name, mine in means.items()]
    )


def format_sentences(means: Mapping[str, dict[str, float | None]]) -> str:
    """Return a list with the effect of each variation in words."""
    return "\n".join(f"- {_format_sentence(name, means)}" for name in means if name != FULL and FULL in means)


def _average_rows(rows: list[Row]) -> dict[str, float | None]:
    """Return the means of the figures over the movies that have them."""
    means = {}
    for title, name in MEANS.items():
        values = [row["figures"][name] for row in rows if row["figures"][name] is not None]
        mean = fmean(values) if values else None
        means[title] = 1 - mean if mean is not None and title == "LNK error" else mean
    return means


def _format_sentence(name: str, means: Mapping[str, dict[str, float | None]]) -> str:
    """Return the effect of a variation in words."""
    mine, full = means[name], means[FULL]
    error, usual = mine["LNK error"], full["LNK error"]
    if error is None or not usual:
        return f"{name[0].upper()}{name[1:]}: no figures."
    change = error / usual - 1
    links = (
        "about as many link errors" if abs(change) < FLAT else f"{abs(change):.0%} {_choose_word(change)} link errors"
    )
    f1, before = mine["division F1"], full["division F1"]
    divisions = f", division F1 {format_number(f1, 3)} instead of {format_number(before, 3)}" if f1 is not None else ""
    return f"{name[0].upper()}{name[1:]}: {links}{divisions}."


def _choose_word(change: float) -> str:
    return "more" if change > 0 else "fewer"


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_training_arguments(parser)
    parser.add_argument("--variations", default="", help=f"of {', '.join(VARIATIONS)}; default: all")
    parser.add_argument("--out", type=Path, default=RESULTS / "ablation.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
