"""What each part of our network is worth: it is trained and tested without it, on two data sets that are left out.

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

from accuracy import line, ours, scored, text
from folds import WORK, Fold, Workshop, left_out, plan_of, sequences_of
from record import RESULTS, about, circumstances, code, default_data, placed, rows_before, stands, table, write
from torch import Tensor
from twins import Twin, write_twin

from gnntrack.gnn.batch import Batch, Outputs
from gnntrack.gnn.linknet import LinkNet
from gnntrack.gnn.networks import NETWORKS, STORED
from gnntrack.settings import Settings

LEFT_OUT = ("Fluo-N2DL-HeLa", "Fluo-N2DH-SIM+")
FULL = "full"
KEY = ("variation", "sequence", "twin")
MEANS = {"LNK error": "LNK", "division F1": "division_f1(1)", "BIO(1)": "BIO(1)", "CHOTA": "CHOTA"}
FLAT = 0.02  # part of the LNK error that is no difference

Row = dict[str, Any]


class WithoutDivisionHead(LinkNet):
    """A division is worth the better of its links, which are learned, and the classical odds of it against that."""

    def forward(self, batch: Batch) -> Outputs:  # noqa: D102
        outputs: Outputs = super().forward(batch)
        alone: Tensor = outputs.link[batch.pairs].amax(1).clamp(min=0) if len(batch.pairs) else outputs.pair
        return replace(outputs, pair=alone + batch.pair[:, 0])


class WithoutPrior(LinkNet):
    """It neither reads nor corrects the classical scores; which links contend is still theirs to say."""

    corrects = False

    def forward(self, batch: Batch) -> Outputs:  # noqa: D102
        link, pair = batch.link.clone(), batch.pair.clone()
        link[:, 0] = pair[:, 0] = 0
        return super().forward(replace(batch, link=link, pair=pair))


@dataclass(frozen=True)
class Variation:
    """Our network less a part.

    Parameters
    ----------
    settings : dict
        Settings that differ, see `Settings.replace`.
    network : str
        A class of this module that takes the place of `LinkNet`.
    solver : str
        Another solver.
    retrained : bool
        It needs a training of its own; else the model is the full one.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    network: str = ""
    solver: str = ""
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
    args = _arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    settings = Settings.from_toml(args.config) if args.config else Settings()
    settings = settings.replace(train__steps=args.steps) if args.steps else settings
    rows = rows_before(args.out) if args.resume else []
    record = {**about(), "code": code(), "settings": settings.model_dump(mode="json"), "rows": rows}
    workshop = Workshop(args.work, reuse=args.reuse_models, device=args.device)
    sequences = sequences_of(args.data)
    fold = left_out(sequences, *LEFT_OUT)
    with tempfile.TemporaryDirectory(dir=args.work) as temporary:
        twins = {
            (each.name, kind): write_twin(each, Path(temporary) / f"{each.dataset} {kind}", kind)
            for each in sequences
            for kind in args.twins.split(",")
            if each.dataset in LEFT_OUT and args.only.lower() in each.name.lower()
        }
        for name in args.variations.split(",") if args.variations else VARIATIONS:
            run_variation(name, fold, twins, settings, workshop, record)
            write(args.out, record, markdown(record))
    print(markdown(record))


def run_variation(
    name: str,
    fold: Fold,
    twins: Mapping[tuple[str, str], Twin],
    settings: Settings,
    workshop: Workshop,
    record: dict[str, Any],
) -> None:
    """Train a variation, and track all twins with it."""
    keys = [(name, *twin) for twin in twins]
    if all(stands(record["rows"], KEY, key) for key in keys):
        return
    variation = VARIATIONS[name]
    settings = plan_of("linknet", settings).replace(**variation.settings)
    with _network(variation), tempfile.TemporaryDirectory(dir=workshop.work) as temporary:
        trained = name if variation.retrained else FULL
        folder, told = workshop.model(fold, "linknet", settings, name=trained)
        settings = settings.replace(gnn__model=str(folder))
        for (sequence, kind), twin in twins.items():
            out = Path(temporary) / f"{sequence} {kind}" / "01_RES"
            method = f"gnn+{variation.solver}" if variation.solver else "gnn"
            row = {"variation": name, "sequence": sequence, "twin": kind, "code": code(), "model": told}
            try:
                row |= {**ours(twin, out, method, settings), **scored(out, twin)}
            except Exception as error:  # noqa: BLE001
                row |= {"failed": f"{type(error).__name__}: {error}".replace(str(workshop.work), "WORK")}
            record["rows"] = placed(record["rows"], KEY, row)
            print(f"{name:30s} {line({**row, 'method': ''})}", flush=True)


@contextmanager
def _network(variation: Variation) -> Iterator[None]:
    """Let another class be the network meanwhile, in training as in tracking; its weights are the same."""
    usual = NETWORKS.built_in["linknet"]
    for registry in (NETWORKS, STORED):
        registry.built_in["linknet"] = f"{__name__}:{variation.network}" if variation.network else usual
    try:
        yield
    finally:
        for registry in (NETWORKS, STORED):
            registry.built_in["linknet"] = usual


def markdown(record: dict[str, Any]) -> str:
    """Return the tables of a record."""
    rows = [row for row in record["rows"] if "figures" in row]
    means = means_of(rows)
    tested = ", ".join(dict.fromkeys(f"{row['sequence']} {row['twin']}" for row in rows))
    failed = [f"{' '.join(row[each] for each in KEY)}: {row['failed']}" for row in record["rows"] if "failed" in row]
    parts = [
        "# Ablations",
        circumstances(record),
        f"Each network was trained on everything but {' and '.join(LEFT_OUT)}, and tested on: {tested}. Means over "
        "them; LNK error is 1 - LNK. One training each: differences of a few per cent may be chance.",
        table_of(means),
        sentences_of(means),
        f"Failed: {'; '.join(failed)}." if failed else "",
    ]
    return "\n\n".join(part for part in parts if part)


def means_of(rows: list[Row]) -> dict[str, dict[str, float | None]]:
    """Return the mean figures of each variation."""
    rows = [row for row in rows if "figures" in row]
    names = [name for name in VARIATIONS if any(row["variation"] == name for row in rows)]
    return {name: _means([row for row in rows if row["variation"] == name]) for name in names}


def table_of(means: Mapping[str, dict[str, float | None]]) -> str:
    """Return the means as a table."""
    return table(["", *MEANS], [[name, *(text(each) for each in mine.values())] for name, mine in means.items()])


def sentences_of(means: Mapping[str, dict[str, float | None]]) -> str:
    """Return what each variation changes, in words."""
    return "\n".join(f"- {_sentence(name, means)}" for name in means if name != FULL and FULL in means)


def _means(rows: list[Row]) -> dict[str, float | None]:
    """Return the means of the figures over the twins that have them."""
    means = {}
    for title, name in MEANS.items():
        values = [row["figures"][name] for row in rows if row["figures"][name] is not None]
        mean = fmean(values) if values else None
        means[title] = 1 - mean if mean is not None and title == "LNK error" else mean
    return means


def _sentence(name: str, means: Mapping[str, dict[str, float | None]]) -> str:
    """Return what a variation changes, in words."""
    mine, full = means[name], means[FULL]
    error, usual = mine["LNK error"], full["LNK error"]
    if error is None or not usual:
        return f"{name[0].upper()}{name[1:]}: no figures."
    change = error / usual - 1
    links = "about as many link errors" if abs(change) < FLAT else f"{abs(change):.0%} {_more(change)} link errors"
    f1, before = mine["division F1"], full["division F1"]
    divisions = f", division F1 {text(f1, 3)} instead of {text(before, 3)}" if f1 is not None else ""
    return f"{name[0].upper()}{name[1:]}: {links}{divisions}."


def _more(change: float) -> str:
    return "more" if change > 0 else "fewer"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=default_data(), help="folder of DATASET/NN, NN_GT and masks")
    parser.add_argument("--work", type=Path, default=WORK, help="folder for what is learnt from and models")
    parser.add_argument("--variations", default="", help=f"of {', '.join(VARIATIONS)}; all where it is left out")
    parser.add_argument("--twins", default="plain,hard,skip2")
    parser.add_argument("--only", default="", help="tested sequences whose name holds this")
    parser.add_argument("--config", type=Path, help="settings as TOML; the defaults where it is left out")
    parser.add_argument("--steps", type=int, help="train.steps, to try the program")
    parser.add_argument("--device", default="auto", help="where the networks are trained")
    parser.add_argument("--resume", action="store_true", help="keep the rows of the output that this code has made")
    parser.add_argument(
        "--reuse-models", action="store_true", help="keep the models, and go on with the interrupted one"
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "ablation.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
