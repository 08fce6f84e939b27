"""Train the networks that recognise divisions among points, and test them on movies of kinds that were left out.

``python benchmarks/point_divisions.py`` simulates embryos and crowds with seeds from 1000 on, reduces the movies of the
Cell Tracking Challenge with ground truth to centroids, complete ones and ones with misses, clutter and noise, and
measures the possible births of each movie (`gnntrack.events`) with and without radii and intensities. It trains a
network per kind of evidence on one half of the movies, tests it on the other half, and writes
``results/point_divisions.json`` and ``.md``. Another network, for the shapes of blobs, is trained and tested on embryos
with images (seeds from 2000 on), beside the networks of positions, radii and brightness. With ``--ship`` it trains on
all movies, and writes the networks into the package.
"""

from __future__ import annotations

import argparse
import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tifffile
import torch
from crowd import simulate_crowd
from record import REPOSITORY, RESULTS, describe_run, format_circumstances, format_table, get_default_data, write_record
from scipy import ndimage

from gnntrack.events.birth_evidence import BRIGHTNESS, PLACE, SHAPE, SIZE, add_end_rate, measure_births
from gnntrack.events.births import Births, FirstSolution, reverse_time
from gnntrack.events.point_divisions import BirthOdds, compute_log_ratios, estimate_rate
from gnntrack.io.ctc_table import parse_track_table
from gnntrack.methods import resolve_method, score_graph
from gnntrack.point_movie import open_points
from gnntrack.point_recipes import build_point_graph, choose_point_settings
from gnntrack.settings import Settings
from gnntrack.simulate import draw_embryo_settings, simulate_embryo
from gnntrack.solvers import solve
from gnntrack.types import PointGraph

Networks = Mapping[str, Mapping[str, Any]]
NETWORKS = REPOSITORY / "gnntrack" / "events" / "point_divisions.json"
FIRST_SEED = 1000  # benchmarks that report results use seeds below 100
EMBRYOS, CLEAN, CROWDS = 20, 6, 16
FIRST_PICTURED, PICTURED = 2000, 26  # seeds and number of embryos with images
PICTURE = "embryos with images"
FRAMES = 30  # of simulated movies
LONGEST = 100  # frames of real movies
KINDS = {"place": (), "place+size": ("radius",), "place+brightness": ("intensity",)}
KINDS["place+size+brightness"] = ("radius", "intensity")
HIDDEN, EPOCHS, BATCH, RATE, DECAY = 16, 30, 800, 0.01, 3e-4
OTHERS = 2500  # cells of a movie that are no daughters and are trained on
BORN = 60.0  # daughters of a movie beyond which all its cells count less
USUAL, PRIOR = 1 / 500, 500.0  # as in the package
LIMIT = 4.0


class Movie(NamedTuple):
    """Points of a movie, the id of the true point of each (0 = clutter), and the true lineage."""

    family: str
    points: pd.DataFrame
    point_truth: np.ndarray
    truth: PointGraph


@dataclass(frozen=True)
class Sample:
    """Possible births of a movie: evidence, truth, cells, and the numbers of all true divisions and of cells."""

    family: str
    evidence: dict[str, np.ndarray]
    right: np.ndarray
    cells: np.ndarray  # (M, 3) rows of the parent and of both daughters
    divisions: int
    n_cells: int
    decoys: dict[str, np.ndarray]  # evidence in the reversed movie, in which nothing divides
    late_decoys: np.ndarray

    @property
    def rate(self) -> float:
        """True divisions per cell and frame, as it can be known from the movie alone."""
        found = min(self.divisions, int(self.right.sum()))
        return (found + USUAL * PRIOR) / (self.n_cells + PRIOR)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=get_default_data())
    parser.add_argument("--out", type=Path, default=RESULTS / "point_divisions.json")
    parser.add_argument("--samples", type=Path, help="a file that keeps the measured births for another run")
    parser.add_argument("--ship", action="store_true", help="train on all movies, and write the networks")
    args = parser.parse_args()
    samples = _read_samples(args)
    plain = {kind: [each for each in found if each.family != PICTURE] for kind, found in samples.items()}
    pictured = {kind: [each for each in found if each.family == PICTURE] for kind, found in samples.items()}
    rows = [row for kind, found in plain.items() for row in test_networks(kind, found)]
    networks = {kind: train_network(kind, found) for kind, found in plain.items()}
    rows += test_shapes(networks, {kind: found for kind, found in pictured.items() if found})
    record = {**describe_run(), "rows": rows}
    head = ("evidence", "movies", "divisions", "precision", "recall", "F1")
    table = format_table(head, ([str(row[name]) for name in head] for row in rows))
    write_record(args.out, record, f"# Divisions among points\n\n{format_circumstances(record)}\n\n{table}")
    print(table)
    if args.ship:
        networks["shape"] = train_network(
            "shape", [each for found in pictured.values() for each in found], base=networks
        )
        text = json.dumps({kind: _round_numbers(network) for kind, network in networks.items()})
        NETWORKS.write_text(text + "\n", encoding="utf-8")


def _read_samples(args: argparse.Namespace) -> dict[str, list[Sample]]:
    """Return the samples by kind of evidence, as an earlier run stored them or measured now."""
    if args.samples is not None and args.samples.exists():
        with args.samples.open("rb") as file:
            stored: dict[str, list[Sample]] = pickle.load(file)
        return stored
    samples: dict[str, list[Sample]] = {kind: [] for kind in KINDS}
    for movie in list_movies(args.data):
        for kind, sample in measure_movie(movie).items():
            samples[kind].append(sample)
        print(movie.family, len(movie.points), samples["place"][-1].divisions, flush=True)
    for seed in range(FIRST_PICTURED, FIRST_PICTURED + PICTURED):
        for kind, sample in measure_pictured(seed).items():
            samples[kind].append(sample)
        print(PICTURE, seed, samples["place+brightness"][-1].divisions, flush=True)
    if args.samples is not None:
        with args.samples.open("wb") as file:
            pickle.dump(samples, file)
    return samples


def list_movies(data: Path) -> Iterator[Movie]:
    """Yield all movies."""
    for seed in range(FIRST_SEED, FIRST_SEED + EMBRYOS):
        yield _simulate("embryos", seed)
    for seed in range(FIRST_SEED + 100, FIRST_SEED + 100 + CLEAN):
        rng = np.random.default_rng(seed)
        yield _simulate(
            "complete embryos",
            seed,
            misses=float(rng.choice([0.0, 0.002])),
            clutter=float(rng.choice([0.0, 0.003])),
            noise=float(rng.uniform(0, 0.2)),
            frozen=0.0,
            jumps=0.0,
            cells=int(rng.integers(40, 400)),
        )
    for seed in range(FIRST_SEED, FIRST_SEED + CROWDS):
        crowd = simulate_crowd(seed)
        yield Movie("crowds", crowd.points, crowd.point_truth, crowd.truth)
    for tra in sorted(data.glob("*/*_GT/TRA")):
        if (tra / "man_track.txt").exists() and "official" not in tra.parts[-3]:
            movie = read_centroids(tra)
            yield movie
            yield spoil_points(movie, seed=FIRST_SEED)


def _simulate(family: str, seed: int, **changes: Any) -> Movie:
    embryo = simulate_embryo(settings=draw_embryo_settings(seed, frames=FRAMES, **changes), seed=seed)
    return Movie(family, embryo.points, embryo.point_truth, embryo.truth)


def read_centroids(tra: Path) -> Movie:
    """Return the centroids of the markers of a ground truth, with radii where there are masks of the cells."""
    name = tra.parts[-3]
    rows, size = [], []
    for frame, path in enumerate(sorted(tra.glob("man_track*.tif"))[:LONGEST]):
        markers = tifffile.imread(path)
        labels = np.unique(markers[markers > 0])
        centres = np.array(ndimage.center_of_mass(markers > 0, markers, labels)).reshape(len(labels), -1)
        rows += [(frame, int(label), *centre) for label, centre in zip(labels.tolist(), centres.tolist(), strict=True)]
        size.append(_measure_masks(tra, frame, centres))
    frame, label, *place = np.array(rows).T
    axes = "zyx"[-len(place) :]
    table = pd.DataFrame({"t": frame.astype(int), **dict(zip(axes, place, strict=True))})
    radius = np.concatenate(size)
    if np.isfinite(radius).mean() > 0.5:
        table["radius"] = np.where(np.isfinite(radius), radius, np.nanmedian(radius))
    parent = {row[0]: row[3] for row in parse_track_table(tra / "man_track.txt").rows.tolist()}
    last: dict[int, int] = {}
    links = []
    for row, key in enumerate(label.astype(int).tolist()):
        before = last.get(key, last.get(parent.get(key, 0), -1) if key not in last else -1)
        links += [(before, row)] if before >= 0 else []
        last[key] = row
    source, target = np.array(links).T
    ids = np.arange(1, len(table) + 1)
    truth = PointGraph(ids, table.t.to_numpy(), np.array(place).T, source, target, (1.0,) * len(axes), "pixel")
    return Movie(f"{name} {tra.parts[-2][:2]}", table, ids, truth)


def _measure_masks(tra: Path, frame: int, centres: np.ndarray) -> np.ndarray:
    """Return the radii of the cells at some centres, NaN without masks of the cells."""
    number = tra.parts[-2][:2]
    folders = [tra.parents[1] / f"{number}_{each}" for each in ("ST/SEG", "ST_HYBRID", "ST_HYBRID/SEG", "GT/SEG")]
    found = [path for folder in folders for path in folder.glob(f"*{frame:03d}.tif")]
    if not found:
        return np.full(len(centres), np.nan)
    masks = tifffile.imread(found[0])
    size = np.bincount(masks.ravel())
    label = masks[tuple(np.rint(centres).astype(int).T)]
    return np.where(label > 0, np.sqrt(size[label] / np.pi), np.nan)


def spoil_points(movie: Movie, *, seed: int) -> Movie:
    """Return a movie as of a detector: misses, clutter of some frames, and imprecise positions and radii."""
    rng = np.random.default_rng(seed)
    axes = [axis for axis in "zyx" if axis in movie.points]
    between = _measure_distance(movie.points[axes].to_numpy(), movie.points.t.to_numpy())
    keep = rng.uniform(size=len(movie.points)) >= 0.05
    points = movie.points[keep].copy()
    points[axes] += rng.normal(0, 0.04 * between, (len(points), len(axes)))
    rows = []
    low, high = points[axes].min().to_numpy(), points[axes].max().to_numpy()
    for _ in range(rng.poisson(0.05 * len(points) / 3)):
        place, start = rng.uniform(low, high), int(rng.integers(0, points.t.max() + 1))
        for t in range(start, min(start + int(rng.geometric(1 / 3)), int(points.t.max()) + 1)):
            place = place + rng.normal(0, 0.08 * between, len(axes))
            rows.append({"t": t, **dict(zip(axes, place, strict=True))})
    clutter = pd.DataFrame(rows, columns=["t", *axes]).astype({"t": int})
    if "radius" in points:
        points["radius"] *= np.exp(rng.normal(0, 0.05, len(points)))
        clutter["radius"] = points.radius.median() * rng.uniform(0.5, 0.9, len(clutter))
    truth = np.concatenate([movie.point_truth[keep], np.zeros(len(clutter), np.int64)])
    joined = pd.concat([points, clutter], ignore_index=True)
    joined[axes] = joined[axes].clip(lower=0)
    order = np.argsort(joined.t.to_numpy(), kind="stable")
    return movie._replace(points=joined.iloc[order].reset_index(drop=True), point_truth=truth[order])


def _measure_distance(place: np.ndarray, frame: np.ndarray) -> float:
    """Return the median distance to the nearest point of the frame."""
    from scipy.spatial import cKDTree

    parts = [place[frame == t] for t in np.unique(frame)]
    return float(np.median(np.concatenate([cKDTree(p).query(p, 2)[0][:, 1] for p in parts if len(p) > 1])))


def measure_pictured(seed: int) -> dict[str, Sample]:
    """Return the possible births of an embryo with images, in which brightness and shapes are measured."""
    rng = np.random.default_rng([seed, 1])
    settings = draw_embryo_settings(
        seed,
        frames=16,
        shape=(32, 128, 128),
        cells=int(rng.integers(40, 160)),
        division_rate=float(rng.uniform(0.004, 0.03)),
    )
    embryo = simulate_embryo(settings=settings, seed=seed)
    movie = Movie(PICTURE, embryo.points, embryo.point_truth, embryo.truth)
    return {
        "+".join(["place", *size, "brightness"]): measure_births_of(movie, columns, images=embryo.images)
        for size, columns in (((), []), (("size",), ["radius"]))
    }


def measure_movie(movie: Movie) -> dict[str, Sample]:
    """Return the possible births of a movie by kind of evidence: from positions, and from all columns that it has."""
    given = [name for name in ("radius", "intensity") if name in movie.points]
    samples = {"place": measure_births_of(movie, [])}
    if given:
        full = measure_births_of(movie, given)
        for kind, columns in KINDS.items():
            if columns and set(columns) <= set(given):
                unused = {*(() if "radius" in columns else SIZE), *(() if "intensity" in columns else BRIGHTNESS)}
                kept, decoys = (
                    {name: value for name, value in evidence.items() if name not in unused}
                    for evidence in (full.evidence, full.decoys)
                )
                samples[kind] = replace(full, evidence=kept, decoys=decoys)
    return samples


def measure_births_of(movie: Movie, columns: Sequence[str], *, images: Any = None) -> Sample:
    """Return the possible births of a movie, measured with some of the columns, and in images."""
    points = movie.points[[name for name in movie.points if name in ("t", *"zyx", *columns)]]
    spacing = movie.truth.spacing if movie.truth.unit == "um" else None
    settings = choose_point_settings(Settings().replace(frames__spacing=spacing))
    scorer = resolve_method("hungarian").make_scorer(settings, images=False)
    opened = open_points(points, images=images, settings=settings)
    graph = build_point_graph(opened, settings=settings)
    scores = score_graph(scorer, graph)
    chosen = solve("hungarian", graph, scores, settings=settings.replace(solver__divisions=False).solver)
    ends = graph.source[chosen], graph.target[chosen]
    first = FirstSolution.from_links(graph, scores, *ends, moments=opened.measure_shapes())
    births = Births.find(first)
    family, divisions = _number_families(movie.truth)
    branch = np.full(len(points), -1)
    known = movie.point_truth > 0
    branch[known] = family[np.searchsorted(movie.truth.id, movie.point_truth[known])]  # cells are in the order of rows
    trio = np.stack([branch[rows] for rows in (births.parent, births.sister, births.late)], axis=1)
    trio[:, 1:].sort(axis=1)
    right = np.array([tuple(each) in divisions for each in trio.tolist()], bool)
    # a daughter who was detected before goes on: taking her from her own track is wrong
    right &= births.late == _find_first_cells(branch, graph.cells.frame)[births.late]
    cells = np.stack([births.parent, births.twin, births.late], axis=1)
    backwards = reverse_time(first)
    wrong = Births.find(backwards)
    evidence, decoys = measure_births(first, births), measure_births(backwards, wrong)
    add_end_rate(evidence, decoys, late=wrong.late, n_cells=len(points))
    evidence, decoys = ({k: v.astype(np.float32) for k, v in each.items()} for each in (evidence, decoys))
    return Sample(movie.family, evidence, right, cells, len(divisions), len(points), decoys, wrong.late)


def _number_families(truth: PointGraph) -> tuple[np.ndarray, set[tuple[int, int, int]]]:
    """Return the branch of each true point, and the divisions as branches of parent and daughters."""
    children = np.bincount(truth.source, minlength=len(truth.id))
    before = np.full(len(truth.id), -1)
    before[truth.target] = truth.source
    branch = np.arange(len(truth.id))
    for row in np.argsort(truth.frame, kind="stable").tolist():
        if before[row] >= 0 and children[before[row]] == 1:
            branch[row] = branch[before[row]]
    daughters: dict[int, list[int]] = {}
    for source, target in zip(truth.source.tolist(), truth.target.tolist(), strict=True):
        if children[source] == 2:
            daughters.setdefault(source, []).append(int(branch[target]))
    return branch, {(int(branch[parent]), *sorted(pair)) for parent, pair in daughters.items()}


def _find_first_cells(branch: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Return the row of the first detected cell of the branch of each cell; of the cell itself without a branch."""
    first = np.arange(len(branch))
    rows = np.flatnonzero(branch >= 0)
    rows = rows[np.argsort(frame[rows], kind="stable")]
    _, start, inverse = np.unique(branch[rows], return_index=True, return_inverse=True)
    first[rows] = rows[start[inverse]]
    return first


class Choices(NamedTuple):
    """Births to train on, sorted by the late daughter; at most one birth of a daughter is right."""

    value: np.ndarray  # (M, F)
    right: np.ndarray  # (M,)
    offset: np.ndarray  # (M,) logarithm of the rate of the movie
    start: np.ndarray  # (G + 1,) births start[g]:start[g + 1] are those of daughter g
    weight: np.ndarray  # (G,)


def train_network(
    kind: str, samples: Sequence[Sample], *, base: Networks | None = None, seed: int = 0
) -> dict[str, Any]:
    """Return a network, trained with the true rates of the movies as offsets, and with the log odds of other networks.

    The births of a daughter and "none of them" are the classes of a softmax.
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    names = [*PLACE, *(SIZE if "size" in kind else ()), *(BRIGHTNESS if "brightness" in kind else ())]
    names = list(SHAPE) if kind == "shape" else names
    births = _join_choices([_draw_choices(sample, names, rng, base) for sample in samples if len(sample.right)])
    mean, spread = np.nanmean(births.value, axis=0), np.maximum(np.nanstd(births.value, axis=0), 0.02)
    place = np.nan_to_num(np.clip((births.value - mean) / spread, -LIMIT, LIMIT))
    x, y, o, w = (
        torch.tensor(each, dtype=torch.float32) for each in (place, births.right, births.offset, births.weight)
    )
    width, count = len(names), len(births.weight)
    shapes = {"hidden": (width, HIDDEN), "hidden_bias": (HIDDEN,), "output": (HIDDEN,), "linear": (width,), "bias": ()}
    network = {name: torch.nn.Parameter(torch.zeros(shape)) for name, shape in shapes.items()}
    torch.nn.init.normal_(network["hidden"], std=0.6 / width**0.5)
    optimizer = torch.optim.Adam(network.values(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * -(-count // BATCH))
    length = np.diff(births.start)
    for _ in range(EPOCHS):
        order = rng.permutation(count)
        for daughters in np.split(order, range(BATCH, count, BATCH)):
            rows = np.concatenate([np.arange(births.start[g], births.start[g + 1]) for g in daughters])
            group = torch.tensor(np.repeat(np.arange(len(daughters)), length[daughters]))
            given = x[rows] * (torch.rand(len(rows), width) > 0.03)  # single pieces of evidence may be missing
            hidden = torch.tanh(given @ network["hidden"] + network["hidden_bias"])
            log_odds = hidden @ network["output"] + given @ network["linear"] + network["bias"] + o[rows]
            odds, none = torch.exp(log_odds.clamp(max=30)), torch.zeros(len(daughters))
            right, every = none.index_add(0, group, odds * y[rows]), none.index_add(0, group, odds)
            born = none.index_add(0, group, y[rows]) > 0
            log_likelihood = torch.where(born, torch.log(right + 1e-20), none) - torch.log1p(every)
            loss = -3 * (w[daughters] * log_likelihood).sum() / w.mean() / BATCH
            loss = loss + DECAY * sum((network[name] ** 2).sum() for name in ("hidden", "output", "linear"))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    weights = {name: value.detach().numpy().astype(np.float64) for name, value in network.items()}
    return {"evidence": names, "mean": mean, "spread": spread, **weights}


def _draw_choices(sample: Sample, names: Sequence[str], rng: np.random.Generator, base: Networks | None) -> Choices:
    """Return the births of all daughters, and of some of the other cells."""
    order = np.argsort(sample.cells[:, 2], kind="stable")
    late, start = np.unique(sample.cells[order, 2], return_index=True)
    right = sample.right[order]
    born = np.logical_or.reduceat(right, start)
    kept = min(1.0, OTHERS / max(int((~born).sum()), 1))
    use = born | (rng.uniform(size=len(late)) < kept)
    length = np.diff(np.append(start, len(order)))
    rows = np.repeat(use, length)
    value = np.stack([sample.evidence[name] for name in names], axis=1)[order][rows]
    weight = np.where(born, 1.0, 1 / kept) * min(1.0, BORN / max(int(born.sum()), 1))
    offset = np.full(len(value), np.log(sample.rate))
    if base is not None:
        offset += compute_log_ratios(_drop_shapes(sample.evidence), networks=base)[order][rows]
    return Choices(value, right[rows], offset, np.append(0, np.cumsum(length[use])), weight[use])


def _drop_shapes(evidence: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: value for name, value in evidence.items() if name not in SHAPE}


def _join_choices(parts: Sequence[Choices]) -> Choices:
    length = np.concatenate([np.diff(part.start) for part in parts])
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ("value", "right", "offset")}
    return Choices(
        **joined, start=np.append(0, np.cumsum(length)), weight=np.concatenate([part.weight for part in parts])
    )


def test_networks(kind: str, samples: Sequence[Sample]) -> Iterator[dict[str, Any]]:
    """Yield a row per family of movies, from networks that were trained without half of the families or seeds."""
    families = sorted({sample.family.split()[0] for sample in samples})
    simulated = {"embryos", "complete", "crowds"}
    fold = [
        (k if sample.family.split()[0] in simulated else families.index(sample.family.split()[0])) % 2
        for k, sample in enumerate(samples)
    ]
    counts: dict[str, np.ndarray] = {}
    for side in (0, 1):
        network = train_network(kind, [sample for k, sample in zip(fold, samples, strict=True) if k != side])
        for sample in (sample for k, sample in zip(fold, samples, strict=True) if k == side):
            family = sample.family.split()[0] if sample.family.split()[0] not in simulated else sample.family
            counts[family] = counts.get(family, np.zeros(3, int)) + count_divisions({kind: network}, sample)
    for family, count in sorted(counts.items()):
        yield _describe_counts(kind, family, count)


def test_shapes(networks: Networks, samples: dict[str, list[Sample]]) -> Iterator[dict[str, Any]]:
    """Yield rows without and with shapes, from networks of shapes that were trained on every other embryo."""
    for kind, found in samples.items():
        without, with_shapes = np.zeros(3, int), np.zeros(3, int)
        for side in (0, 1):
            learnt = [sample for each in samples.values() for k, sample in enumerate(each) if k % 2 != side]
            both = {**networks, "shape": train_network("shape", learnt, base=networks)}
            for sample in found[side::2]:
                without = without + count_divisions(networks, sample)
                with_shapes = with_shapes + count_divisions(both, sample)
        yield _describe_counts(kind, PICTURE, without)
        yield _describe_counts(f"{kind}+shape", PICTURE, with_shapes)


def _describe_counts(kind: str, family: str, count: np.ndarray) -> dict[str, Any]:
    right, wrong, missed = count.tolist()
    return {
        "evidence": kind,
        "movies": family,
        "divisions": right + missed,
        "precision": round(right / max(right + wrong, 1), 3),
        "recall": round(right / max(right + missed, 1), 3),
        "F1": round(2 * right / max(2 * right + wrong + missed, 1), 3),
    }


def count_divisions(networks: Networks, sample: Sample) -> np.ndarray:
    """Return the numbers of right, wrong and missed divisions; no cell takes part in two as the same."""
    if not len(sample.right):
        return np.array([0, 0, sample.divisions])
    births = BirthOdds.from_evidence(sample.evidence, sample.cells[:, 2], networks=networks)
    decoys = BirthOdds.from_evidence(sample.decoys, sample.late_decoys, networks=networks)
    probability = births.compute_probabilities(estimate_rate(births, decoys, sample.n_cells))
    probability = np.maximum(probability, births.explain_lone_starts(decoys))
    used: set[tuple[str, int]] = set()
    right = wrong = 0
    for row in np.argsort(-probability)[: int((probability > 0.5).sum())].tolist():
        parent, twin, late = sample.cells[row].tolist()
        if used.isdisjoint({("parent", parent), ("daughter", late)}):
            used |= {("parent", parent), ("daughter", twin), ("daughter", late)}
            right, wrong = right + int(sample.right[row]), wrong + int(not sample.right[row])
    return np.array([right, wrong, max(sample.divisions - right, 0)])


def _round_numbers(network: dict[str, Any]) -> dict[str, Any]:
    return {name: value if name == "evidence" else np.round(value, 4).tolist() for name, value in network.items()}


if __name__ == "__main__":
    main()
