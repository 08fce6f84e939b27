"""Whether the network for masks gains from images around division candidates: with and without, on kinds left out.

``python benchmarks/network_crops.py --config configs/shipped-network.toml --work FOLDER`` trains the network for masks
for each group of kinds (``kind_groups.py``) on the movies of the others, with and without a small encoder of the
images around the parent of each likely division candidate, and tests it on the movies of the group. It writes
``results/network_crops.json`` and the table beside it. All movies are for development: simulated ones with seeds from
1000 on, and real ones with faults or fewer frames.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar

import numpy as np
import torch
from crops import BRIGHT, DARK, SIDE, Crops, cut_crops
from folds import WORK, list_sequences, read_settings
from kind_groups import GROUPS, KINDS, list_training_data
from kind_images import get_default_more
from record import RESULTS, describe_run, format_circumstances, format_table, get_default_data, write_record
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from gnntrack.gnn.batch import Batch, Outputs, Targets
from gnntrack.gnn.inputs import PAIR_INPUTS
from gnntrack.gnn.linknet import LinkNet
from gnntrack.gnn.weights import FAMILY
from gnntrack.plurals import count_noun
from gnntrack.settings import Settings, TrainSettings
from gnntrack.training.corruption.movie import corrupt_movie
from gnntrack.training.corruption.settings import Corruption
from gnntrack.training.link_task import LinkTask, Validation, make_plan
from gnntrack.training.links import validate
from gnntrack.training.loop import run_training
from gnntrack.training.movies import TrainingMovie, open_sequence, simulate_training_movie
from gnntrack.training.run import TrainingRun
from gnntrack.training.samples import Sample, make_sample
from gnntrack.training.sequences import find_sequences

FRAMES = {  # of long movies, others than those of the other tables where that is possible
    "Fluo-N2DL-HeLa": (40, 92),
    "PhC-C2DL-PSC": (230, 300),
    "iPSC-02": (0, 50),
    "Masks3D-Ascidian": (0, 60),
}
SIMULATED, SEED = 4, 1000  # movies of each simulated kind, and the seed of the first one
VARIANTS, BLIND = 6, 4  # versions of each movie; number of the one without images
LIKELY = -4.0  # log odds of the prior of a candidate whose parent has a crop
AUXILIARY = 0.3  # weight of the loss of the encoder by itself
LEAST = 5  # divisions of a version at least, if its F1 counts
WAYS = ("classical", "without", "with")
Row = dict[str, Any]


# --- network ---------------------------------------------------------------------------------------------------------


class PairEncoder(nn.Module):
    """Vectors of pairs from their columns, and from the crops in `rows` of a table: (M, P) -> (M, W)."""

    def __init__(self, columns: int, width: int) -> None:
        super().__init__()
        self.of_columns = nn.Linear(columns, width)
        self.of_crops = nn.Sequential(
            *(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2), nn.GELU()),
            *(nn.Conv2d(8, 16, 3), nn.GELU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, width)),
        )
        self.judge = nn.Sequential(nn.GELU(), nn.Linear(width, 1))
        self.rows, self.crops, self.judged = torch.zeros(0), torch.zeros(0), torch.zeros(0)

    def forward(self, columns: Tensor) -> Tensor:
        """Return the vectors; crops are turned and mirrored at random in training."""
        out: Tensor = self.of_columns(columns)
        known = torch.isfinite(self.rows)
        self.judged, self.crops = out.new_zeros(0), torch.zeros(0, dtype=torch.int64)
        if known.any():
            unique, which = torch.unique(self.rows[known].long(), return_inverse=True)
            crops = (CropNetwork.table[unique].float() - DARK) / (BRIGHT - DARK)
            seen = self.of_crops(_turn(crops) if self.training else crops)
            self.judged, self.crops = self.judge(seen)[:, 0], which
            out = out.index_add(0, torch.nonzero(known)[:, 0], seen[which])
        return out


class CropNetwork(LinkNet):
    """The network for masks, which also reads crops: the last column of a pair is the row of its crop, or NaN."""

    pair_inputs = (*PAIR_INPUTS, "crop")
    table: ClassVar[Tensor] = torch.zeros(0, 3, SIDE, SIDE, dtype=torch.uint8)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.encode_pair: Any = PairEncoder(len(self.columns["pair"]), self.options["width"])

    def forward(self, batch: Batch) -> Outputs:
        """Return the log odds; the column of the crop itself counts as unknown."""
        self.encode_pair.rows = batch.pair[:, -1]
        pair = batch.pair.clone()
        pair[:, -1] = torch.nan
        return super().forward(replace(batch, pair=pair))

    def loss(self, outputs: Outputs, batch: Batch, targets: Targets, settings: TrainSettings) -> Tensor:  # type: ignore[override]
        """Return the loss of the network, and that of the encoder by itself, with divisions as half of all crops."""
        total = LinkNet.loss(outputs, batch, targets, settings)
        encoder = self.encode_pair
        of_pair = targets.pair[torch.isfinite(encoder.rows)].float()
        true = torch.zeros(len(encoder.judged)).index_add(0, encoder.crops, of_pair) > 0
        if not true.any() or true.all():
            return total
        weight = torch.where(true, 0.5 / true.sum(), 0.5 / (~true).sum())
        alone = binary_cross_entropy_with_logits(encoder.judged, true.float(), weight=weight, reduction="sum")
        return total + AUXILIARY * alone


def _turn(crops: Tensor) -> Tensor:
    """Return crops turned and mirrored at random, each in one of eight ways."""
    way, out = torch.randint(8, (len(crops),)), torch.empty_like(crops)
    for number in range(8):
        turned = torch.rot90(crops[way == number], number % 4, (2, 3))
        out[way == number] = turned.flip(3) if number >= 4 else turned
    return out


# --- movies ----------------------------------------------------------------------------------------------------------


def main() -> int:
    """Train and test."""
    args = _parse_arguments()
    torch.set_num_threads(1)
    settings = read_settings(args)
    movies = load_movies(args, settings)
    record: Row = {**describe_run(), "settings": settings.to_dict(plain=True), "seeds": args.seeds, "rows": []}
    for seed in range(args.seeds):
        for group in GROUPS:
            learnt = [sample for of, _, samples in movies if of != group for sample in samples]
            tested = [(kind, _select_tested(kind, samples)) for of, kind, samples in movies if of == group]
            for way in WAYS if seed == 0 else WAYS[1:]:
                record["rows"] += test(way, seed, learnt, tested, settings)
                print(group, way, seed, flush=True)
        write_record(args.out, {**record, "seeds": seed + 1}, format_markdown({**record, "seeds": seed + 1}))
    return 0


def load_movies(args: argparse.Namespace, settings: Settings) -> list[tuple[int, str, list[Sample]]]:
    """Return group, kind and versions of all movies; the crops are in the table of the network."""
    found, crops, first = [], [], 0
    for name, kind, open_movie in list_movies(args, settings):
        file = args.work / "network_crops" / f"{name}.pickle"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(pickle.dumps(make_versions(open_movie(), zlib.crc32(name.encode()), settings)))
            print(name, flush=True)
        samples = []
        for sample, own in pickle.loads(file.read_bytes()):
            pair = sample.inputs.pair.copy()
            pair[:, -1] += first
            samples.append(replace(sample, inputs=replace(sample.inputs, pair=pair)))
            crops.append(own)
            first += len(own)
        group = next(each.group for each in KINDS if kind in (each.name, each.dataset))
        found.append((group, kind, samples))
    CropNetwork.table = torch.from_numpy(np.concatenate(crops))
    return found


def list_movies(args: argparse.Namespace, settings: Settings) -> Iterator[tuple[str, str, Any]]:
    """Yield name and kind of each movie, and a function that opens it."""
    more = [folder for folder in list_training_data(-1, args.data, args.more) if args.more in folder.parents]
    for each in [*list_sequences(args.data), *(each for folder in more for each in find_sequences(folder))]:
        frames = FRAMES.get(each.dataset, (0, 10**6))
        yield each.name, each.dataset, lambda s=each, f=frames: open_sequence(s, settings=settings).select(*f)
    for kind in (each.name for each in KINDS if not each.truth):
        for seed in range(SEED, SEED + SIMULATED):
            yield f"{kind} {seed}", kind, lambda n=seed, k=kind: simulate_training_movie(n, k)


def make_versions(movie: TrainingMovie, seed: int, settings: Settings) -> list[tuple[Sample, Crops]]:
    """Return the versions of a movie with their crops; the last column of pairs is the row of the crop."""
    made = []
    for variant in range(VARIANTS):
        corruption = _choose_corruption(movie, variant, np.random.default_rng([seed, variant]), settings)
        sample = make_sample(
            movie, corruption=corruption, seed=variant, images=variant != BLIND, network="linknet", settings=settings
        )
        if not len(sample.inputs.source):
            continue
        inputs = sample.inputs
        rows, crops = np.full(len(inputs.pairs), np.nan), np.zeros((0, 3, SIDE, SIDE), np.uint8)
        if movie.images is not None and variant != BLIND:
            images = corrupt_movie(movie.masks, movie.images, movie.markers, corruption, seed=variant)[1]
            assert images is not None
            likely = inputs.pair[:, 0] > LIKELY
            parents, rows[likely] = np.unique(inputs.source[inputs.pairs[likely, 0]], return_inverse=True)
            crops = cut_crops(sample.graph, parents, images)
        pair = np.hstack([inputs.pair, rows[:, None]]).astype(np.float32)
        made.append((replace(sample, name=f"{movie.name} {variant}", inputs=replace(inputs, pair=pair)), crops))
    return made


def _choose_corruption(movie: TrainingMovie, variant: int, rng: np.random.Generator, settings: Settings) -> Corruption:
    """Return that of a version: none, every second or fourth frame, or random faults."""
    if variant == 0:
        return Corruption()
    if variant in (1, 2) and movie.n_frames >= 12 * variant:
        return Corruption(step=2 * variant, quarter_turns=variant)
    return Corruption.random(rng, settings.train.corruption)


def _select_tested(kind: str, samples: Sequence[Sample]) -> list[Sample]:
    """Return the versions for the test: those with images, of real movies without the unchanged one."""
    real = any(kind == each.dataset for each in KINDS)
    unused = {str(BLIND)} | ({"0"} if real else set())
    return [_hide_brightness(each) for each in samples if each.name.rpartition(" ")[2] not in unused]


def _hide_brightness(sample: Sample) -> Sample:
    """Return the sample without the brightness of single cells, as in tracking with a network for any kind."""
    cell = sample.inputs.cell.copy()
    cell[:, [name.startswith("intensity") for name in LinkNet.cell_inputs]] = np.nan
    return replace(sample, inputs=replace(sample.inputs, cell=cell))


# --- training and test -----------------------------------------------------------------------------------------------


def test(
    way: str, seed: int, learnt: Sequence[Sample], tested: Sequence[tuple[str, list[Sample]]], settings: Settings
) -> list[Row]:
    """Return the errors of a network on each movie that was left out."""
    network = (
        LinkNet() if way == "classical" else train(way, seed, [_fit_columns(each, way) for each in learnt], settings)
    )
    if way == "classical":
        settings = settings.replace(gnn__correction=0.0)
    rows = []
    for kind, samples in tested:
        for sample in samples:
            found = validate(network.eval(), samples=[_fit_columns(sample, way)], settings=settings)
            row = {
                "kind": kind,
                "movie": sample.name,
                "way": way,
                "seed": seed,
                "divisions": int(sample.truth.pair.sum()),
            }
            rows.append({**row, "link_error": found.link_error, "division_f1": found.division_f1})
    return rows


def train(way: str, seed: int, samples: Sequence[Sample], settings: Settings) -> LinkNet:
    """Return a network, trained by the settings, without validation."""
    torch.manual_seed(seed)
    options = LinkNet.options_for(settings.train)
    network = LinkNet(**options) if way == "without" else CropNetwork(**{**options, "columns": None})
    network.fit([each.inputs for each in samples])
    task = LinkTask(samples, lambda _: Validation(None, None), settings.train, "cpu")
    with tempfile.TemporaryDirectory() as folder:
        run = TrainingRun(Path(folder), seed=seed)
        trained = run_training(
            network, task, run, make_plan(settings.train), family=FAMILY, fields={"temperature": 1.0}
        )
    return trained.network


def _fit_columns(sample: Sample, way: str) -> Sample:
    """Return the sample with the columns that a way reads: without crops, pairs lack the last one."""
    if way == "with":
        return sample
    pair = np.ascontiguousarray(sample.inputs.pair[:, :-1])
    return replace(sample, inputs=replace(sample.inputs, pair=pair))


# --- table -----------------------------------------------------------------------------------------------------------


def format_markdown(record: Mapping[str, Any]) -> str:
    """Return the tables of a record, with its circumstances."""
    kinds = list(dict.fromkeys(row["kind"] for row in record["rows"]))
    lines = []
    for kind in kinds:
        errors, scores = ([_average(record, measure, way, kind) for way in WAYS] for measure in MEASURES)
        lines.append(
            [kind, *(f"{each:.4f}" for each in errors), *("" if each is None else f"{each:.3f}" for each in scores)]
        )
    head = ["kind", *(f"LNK error, {way}" for way in WAYS), *(f"division F1, {way}" for way in WAYS)]
    parts = [
        "# Images around division candidates as inputs of the network for masks",
        format_circumstances(record),
        "Networks that have learnt from no kind of the group, with the encoder of images and without; means over the "
        f"versions of the movies of a kind, of {count_noun(record['seeds'], 'training')}. *classical*: scores without "
        "a network. "
        f"Division F1 of versions with at least {LEAST} divisions.",
        format_table(head, lines),
        "Means over the kinds:",
        format_table(["", "without", "with", "lowest difference of a kind", "highest"], _summarise(record, kinds)),
    ]
    return "\n\n".join(parts)


MEASURES = ("link_error", "division_f1")


def _summarise(record: Mapping[str, Any], kinds: Sequence[str]) -> list[list[str]]:
    """Return a line for each measure: its means, and the kinds on which the images change it most."""
    lines = []
    for measure, name in zip(MEASURES, ("LNK error", "division F1"), strict=True):
        pairs = {kind: [_average(record, measure, way, kind) for way in WAYS[1:]] for kind in kinds}
        known = {kind: (one, other) for kind, (one, other) in pairs.items() if one is not None and other is not None}
        change = {kind: other - one for kind, (one, other) in known.items()}
        ends = [
            f"{change[kind]:+.4f} ({kind})"
            for kind in (min(change, key=change.__getitem__), max(change, key=change.__getitem__))
        ]
        lines.append([name, *(f"{fmean(each):.4f}" for each in zip(*known.values(), strict=True)), *ends])
        for seed in range(record["seeds"]):
            means = [fmean(_average(record, measure, way, kind, seed) or 0 for kind in known) for way in WAYS[1:]]
            lines.append([f"{name}, training {seed + 1}", *(f"{each:.4f}" for each in means), "", ""])
    return lines


def _average(record: Mapping[str, Any], measure: str, way: str, kind: str, seed: int | None = None) -> float | None:
    """Return the mean of a measure over versions and trainings; None if no version has it."""
    known = [
        row[measure]
        for row in record["rows"]
        if (row["way"], row["kind"]) == (way, kind) and seed in (None, row["seed"])
        if row[measure] is not None and (measure == "link_error" or row["divisions"] >= LEAST)
    ]
    return fmean(known) if known else None


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=get_default_data())
    parser.add_argument("--more", type=Path, default=get_default_more())
    parser.add_argument("--work", type=Path, default=WORK, help="folder for the versions of the movies")
    parser.add_argument("--config", type=Path, help="settings of the training as TOML; default: the default settings")
    parser.add_argument("--steps", type=int, help="train.steps, to try the program")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each network")
    parser.add_argument("--out", type=Path, default=RESULTS / "network_crops.json")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
