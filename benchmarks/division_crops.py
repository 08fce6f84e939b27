"""Whether images around a division candidate tell more than its columns: a small encoder of them, with and without.

``python benchmarks/division_crops.py`` cuts the images of three frames around the parent of each division candidate,
and trains small networks that tell true divisions from others: from the columns that the network for masks reads, and
from the columns and the images. Each is tested on the data set that it was not trained on. It writes
``results/division_crops.json`` and the table beside it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from crops import BRIGHT, DARK, Crops, cut_crops
from folds import list_sequences
from record import RESULTS, describe_run, format_circumstances, format_table, get_default_data, write_record
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from gnntrack.settings import Settings
from gnntrack.training.movies import open_sequence
from gnntrack.training.samples import make_sample
from gnntrack.training.sequences import TrainingSequence

TESTED = {"Fluo-N2DL-HeLa": 92, "PhC-C2DL-PSC": 120, "Fluo-N2DH-SIM+": 65}  # frames
STEPS, BATCH, RATE = 400, 128, 0.002
WAYS = {"columns": False, "columns and images": True}


class Candidates(NamedTuple):
    """Division candidates of a movie: columns (M, P), crops (M, 3, S, S), whether they are true (M,)."""

    columns: npt.NDArray[np.float32]
    crops: Crops
    true: npt.NDArray[np.bool_]


class Judge(nn.Module):
    """A network that tells divisions: (M, P) and (M, 3, S, S) -> (M,) log odds."""

    def __init__(self, columns: int, *, images: bool) -> None:
        super().__init__()
        self.encode = nn.Sequential(
            *(nn.Conv2d(3, 8, 3), nn.GELU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(8, 16, 3), nn.GELU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 16)),
        )
        self.images = images
        self.head = nn.Sequential(nn.Linear(columns + 16 * images, 32), nn.GELU(), nn.Dropout(0.2), nn.Linear(32, 1))

    def forward(self, columns: torch.Tensor, crops: torch.Tensor) -> torch.Tensor:
        """Return the log odds."""
        known = (
            torch.cat([columns, self.encode((crops.float() - DARK) / (BRIGHT - DARK))], 1) if self.images else columns
        )
        found: torch.Tensor = self.head(known)[:, 0]
        return found


def main() -> int:
    """Train and test."""
    args = _parse_arguments()
    torch.set_num_threads(1)
    movies = {each.dataset: find_candidates(each) for each in list_sequences(args.data) if each.dataset in TESTED}
    rows = []
    for dataset, tested in movies.items():
        others = [each for name, each in movies.items() if name != dataset]
        for way, images in WAYS.items():
            precision = [test(train(others, images=images, seed=seed), others, tested) for seed in range(args.seeds)]
            rows.append({"dataset": dataset, "way": way, "precision": [round(each, 4) for each in precision]})
            print(rows[-1], flush=True)
        rows[-1] |= {"candidates": len(tested.true), "divisions": int(tested.true.sum())}
    record = {**describe_run(), "steps": STEPS, "seeds": args.seeds, "rows": rows}
    write_record(args.out, record, format_markdown(record))
    return 0


def find_candidates(sequence: TrainingSequence) -> Candidates:
    """Return the division candidates of a sequence, with the images around them."""
    settings = Settings()
    movie = open_sequence(sequence, settings=settings).select(0, TESTED[sequence.dataset])
    sample = make_sample(movie, settings=settings)
    assert movie.images is not None
    parents, row = np.unique(sample.inputs.source[sample.inputs.pairs[:, 0]], return_inverse=True)
    return Candidates(sample.inputs.pair, cut_crops(sample.graph, parents, movie.images)[row], sample.truth.pair)


def train(movies: Sequence[Candidates], *, images: bool, seed: int) -> Judge:
    """Return a network that was trained on movies; half of each batch are divisions."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    judge = Judge(movies[0].columns.shape[1], images=images)
    optimizer = torch.optim.AdamW(judge.parameters(), RATE, weight_decay=0.05)
    known = [Candidates(_standardise(each.columns, movies), each.crops, each.true) for each in movies]
    for _ in range(STEPS):
        parts = [_draw(known[int(rng.integers(len(known)))], rng) for _ in range(2)]
        columns, crops, true = (torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True))
        loss = binary_cross_entropy_with_logits(judge.train()(columns, crops), true.float())
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return judge.eval()


def test(judge: Judge, learnt: Sequence[Candidates], tested: Candidates) -> float:
    """Return the average precision of a network on a movie."""
    with torch.inference_mode():
        columns = torch.from_numpy(_standardise(tested.columns, learnt))
        score = judge(columns, torch.from_numpy(tested.crops)).numpy()
    true = tested.true[np.argsort(-score, kind="stable")]
    precision = np.cumsum(true) / np.arange(1, len(true) + 1)
    return float(precision[true].mean())


def _draw(movie: Candidates, rng: np.random.Generator) -> Candidates:
    """Return some candidates, half of them divisions, with their crops turned and mirrored at random."""
    rows = np.concatenate([rng.choice(np.flatnonzero(movie.true == kind), BATCH // 4) for kind in (True, False)])
    crops = np.rot90(movie.crops[rows], int(rng.integers(4)), axes=(2, 3))
    crops = crops[..., ::-1] if rng.random() < 0.5 else crops
    return Candidates(movie.columns[rows], np.ascontiguousarray(crops), movie.true[rows])


def _standardise(columns: npt.NDArray[np.float32], learnt: Sequence[Candidates]) -> npt.NDArray[np.float32]:
    values = np.concatenate([each.columns for each in learnt])
    found = (columns - np.nanmean(values, axis=0)) / np.maximum(np.nanstd(values, axis=0), 1e-3)
    return np.nan_to_num(found).clip(-8, 8).astype(np.float32)


def format_markdown(record: Mapping[str, Any]) -> str:
    """Return the table of a record, with its circumstances."""
    rows = record["rows"]
    lines = []
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        mine = {row["way"]: row["precision"] for row in rows if row["dataset"] == dataset}
        count = next(row for row in rows if row["dataset"] == dataset and "candidates" in row)
        figures = [f"{fmean(mine[way]):.3f} ({min(mine[way]):.3f} to {max(mine[way]):.3f})" for way in WAYS]
        lines.append([dataset, str(count["candidates"]), str(count["divisions"]), *figures])
    parts = [
        "# Images around division candidates",
        format_circumstances(record),
        "Average precision of small networks that tell true divisions from other candidates, mean of "
        f"{record['seeds']} trainings (lowest to highest), on the data set that they were not trained on.",
        format_table(["data set", "candidates", "divisions", *WAYS], lines),
    ]
    return "\n\n".join(parts)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=get_default_data())
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each network")
    parser.add_argument("--out", type=Path, default=RESULTS / "division_crops.json")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
