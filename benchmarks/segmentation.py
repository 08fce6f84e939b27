"""Segmentation of movies or frames that the network was not trained on: Dice, IoU, SEG, F1.

``python benchmarks/segmentation.py --work FOLDER`` trains the networks and writes ``results/segmentation.json``; rows
that exist are kept unless ``--again`` names their task. Cells outside the field of interest of the challenge are not
scored, except in ``chain``. Tasks:

``folds NAME``   Fluo-N2DH-GOWT1 01 and Fluo-C2DL-MSC 01: the gold frames in five blocks of time. For each block a
                 network is trained on all other frames that are not next to a tested one. Gold truth has some cells
                 of a frame only, so results are scored on those cells (``--partial`` of evaluate-segmentation), and
                 on frames with complete truth as a whole.
``report NAME``  The same movies by the protocol of the internship report as far as it can be run: a random fifth of
                 all frames is tested, next to training frames, and the truth is computed masks of all cells
                 (``01_ST_HYBRID``: silver, else grown markers), not gold.
``glands NAME``  Warwick QU, the 22 images at half size in ``shared/more/SEG-GlaS``, in three folds: every third image
                 is tested, and the network is trained on the others, reduced to 0.6 of their size. As in the report,
                 only the foreground is learnt and scored.
``colours``      The first fold of ``glands``: the U-Net with three channels, and with the colour of best contrast.
``overfit NAME`` The middle of the four frames of GOWT1 with complete gold truth, for training and test: shows that
                 networks that are too slow to train on whole movies on two cores can be trained. Not an accuracy.
``halves``       Fluo-N2DH-SIM+ 01: trained on the first half, tested on the second.
``chain``        Fluo-N2DL-HeLa 01: each half is segmented by a network trained on the other half's silver truth. Then
                 the whole movie is tracked with ``hungarian`` and the settings file of the data set, and scored
                 against the tracking truth.
``images``       The five movies in 2D, from images to tracks without an option of the segmenter, scored against the
                 tracking truth; the settings file of the data set gives the voxel size and the field of interest.
``stacks``       Simulated 3D movies with touching cells, of seeds not used in training: with the default light of
                 ``gnntrack simulate``, and with random light, noise and blur.
``inference``    Time (two threads, the best of three) and memory of the shipped U-Net.
``cho``          Real stacks, against the masks of ``02_ERR_SEG``, which a segmenter computed: not a ground truth.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
import torch
from filled import FilledFrame, find_filled_frames, measure_errors
from kind_images import get_default_more
from record import REPOSITORY, RESULTS, describe_run, get_default_data
from time_folds import make_time_folds
from trained import is_begun, is_finished

from gnntrack import pipeline
from gnntrack.evaluate.counts import Counts, compare_labels
from gnntrack.io.images import read_mask, read_tiff
from gnntrack.segmentation.registry import load_segmenter
from gnntrack.settings import Settings, SimulateSettings, TrainSegmenterSettings
from gnntrack.simulate import simulate_movie
from gnntrack.training.examples import Example, find_examples
from gnntrack.training.examples.sparse import RelabelledImage
from gnntrack.training.run import TrainingRun
from gnntrack.training.segmenter import learn
from gnntrack.training.simulated import simulate_examples
from segmenters.common.colours import RGB

RESULT = RESULTS / "segmentation.json"
FOLDS = 5
GAP = 1
HELD_OUT_SEEDS, STACKS = 77, 12  # of the simulated stacks
_LIGHT = {"backbone": "mobilenet_v3_large", "weights": "none"}
_WHOLE = {"steps": 600, "batch": 4, "patch": 192}
PLANS: dict[str, dict[str, Any]] = {
    "unet": {"steps": 1000, "patch": 192},
    "unet, not normalised": {"steps": 2400, "patch": 192, "normalise": "none"},
    "deeplab": {**_WHOLE, "steps": 300, "head": "foreground", "options": {**_LIGHT, "enlarge": 2}},
    "fcn": {**_WHOLE, "head": "foreground", "options": {**_LIGHT, "enlarge": 2}},
    "maskrcnn": {**_WHOLE, "steps": 300, "options": {**_LIGHT, "width": 128}},
}
_OVERFIT_PLAN = {"steps": 300, "batch": 4, "patch": 192, "augment": False, "zoom": "none"}
OVERFIT: dict[str, dict[str, Any]] = {
    "deeplab": {**_OVERFIT_PLAN, "head": "foreground", "options": {**_LIGHT, "enlarge": 2}},
    "fcn": {**_OVERFIT_PLAN, "head": "foreground", "options": {**_LIGHT, "enlarge": 2}},
    "maskrcnn": {**_OVERFIT_PLAN, "options": {**_LIGHT, "width": 128}},
}
_GLANDS_PLAN: dict[str, Any] = {"steps": 400, "batch": 6, "patch": 160, "head": "foreground", "zoom": "none"}
_GLANDS_LIGHT = {**_GLANDS_PLAN, "batch": 4, "options": _LIGHT}
GLANDS: dict[str, dict[str, Any]] = {
    "unet": _GLANDS_PLAN,
    "unet, grey": {**_GLANDS_PLAN, "colours": "grey"},
    "unet, not normalised": {**_GLANDS_PLAN, "normalise": "none"},
    "deeplab": _GLANDS_LIGHT,
    "fcn": _GLANDS_LIGHT,
}
GLAND_FOLDS, GLAND_SCALE = 3, 0.6
MIDDLE = 256  # side in pixels of the frames of ``overfit``
DATASETS = ("Fluo-N2DH-GOWT1", "Fluo-C2DL-MSC")
MOVIES = ("Fluo-N2DH-SIM+", "Fluo-N2DH-GOWT1", "Fluo-N2DL-HeLa", "PhC-C2DL-PSC", "Fluo-C2DL-MSC")
Row = dict[str, Any]


def run_folds(network: str, data: Path, work: Path) -> list[Row]:
    """Return a row for each data set: five networks, each tested on a block of the gold frames."""
    rows = []
    for dataset in DATASETS:
        gold, some, whole, seconds = 0, Counts(), Counts(), 0.0
        margin = read_settings(dataset).repair.margin
        for number, (learnt, tested) in enumerate(split_folds(data / dataset)):
            model, spent = train_or_load(network, measure_errors(learnt), work / f"{network}-{dataset}-{number}")
            seconds += spent
            gold += len(tested)
            for example in tested:
                image, truth = example.read()
                found = model.segment(image)
                some += compare_labels(found, truth, partial=True, margin=margin)
                whole += compare_labels(found, truth, margin=margin) if example.complete() else Counts()
        row = {"task": f"folds {network}", "data": f"{dataset} 01", "frames": gold, "train_seconds": seconds}
        rows.append(
            row | collect_scores(some) | {f"complete_{key}": value for key, value in collect_scores(whole).items()}
        )
    return rows


def split_folds(dataset: Path) -> list[tuple[list[FilledFrame], list[Example]]]:
    """Return training frames and tested gold frames of each fold: blocks of time, without neighbours in both."""
    frames = find_filled_frames(dataset)
    parts = []
    for _, tested in make_time_folds(find_examples([dataset / "01"], truth="gold"), FOLDS, gap=GAP):
        first, last = (chosen(each.frame or 0 for each in tested) for chosen in (min, max))
        parts.append(([each for each in frames if not first - GAP <= each.frame <= last + GAP], tested))
    return parts


def run_report(network: str, data: Path, work: Path) -> list[Row]:
    """Return a row for each data set: a network, tested on a random fifth of the frames."""
    rows = []
    for dataset in DATASETS:
        frames = [
            ComputedExample(each.name, f"{dataset}/01", partial(read_computed, each))
            for each in find_filled_frames(data / dataset)
        ]
        order = np.random.default_rng(0).permutation(len(frames))
        tested = {int(each) for each in order[: len(frames) // FOLDS]}
        learnt = [each for number, each in enumerate(frames) if number not in tested]
        model, seconds = train_or_load(network, learnt, work / f"report-{network}-{dataset}")
        total = Counts()
        for number in sorted(tested):
            image, masks = frames[number].read()
            total += compare_labels(model.segment(image), masks, margin=read_settings(dataset).repair.margin)
        row = {"task": f"report {network}", "data": f"{dataset} 01", "frames": len(tested), "train_seconds": seconds}
        rows.append(row | collect_scores(total))
    return rows


@dataclass(frozen=True)
class ComputedExample:
    """An image with labels that are computed from those of a frame when it is read."""

    name: str
    movie: str
    read_both: Callable[[], tuple[np.ndarray, np.ndarray]]

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the image and its labels."""
        return self.read_both()


def read_computed(frame: FilledFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return an image and the masks that trackers are given, not the gold truth."""
    return read_tiff(frame.image_file), read_mask(frame.masks_file).astype(np.int32)


def run_glands(network: str, _: Path, work: Path) -> list[Row]:
    """Return the row of the glands: three networks, each tested on every third image."""
    folds = [run_gland_fold(network, work, number) for number in range(GLAND_FOLDS)]
    total = sum((scored for _, scored, _ in folds), Counts())
    row = {"task": f"glands {network}", "data": "Warwick QU", "frames": sum(tested for tested, *_ in folds)}
    row |= {"train_seconds": sum(seconds for *_, seconds in folds)} | collect_foreground_scores(total)
    dice, iou = ([getattr(scored, name) for _, scored, _ in folds] for name in ("dice", "iou"))
    return [row | {"fold_dice": dice, "fold_iou": iou}]


def run_colours(_: Path, work: Path) -> list[Row]:
    """Return rows of the first fold of the glands: three channels, and one."""
    rows = []
    for name, network in (("unet, RGB", "unet"), ("unet, grey", "unet, grey")):
        tested, total, seconds = run_gland_fold(network, work, 0)
        row = {"task": "colours", "data": "Warwick QU", "segmenter": name, "frames": tested, "train_seconds": seconds}
        rows.append(row | collect_foreground_scores(total))
    return rows


def run_gland_fold(network: str, work: Path, number: int) -> tuple[int, Counts, float]:
    """Return the number of tested images of a fold, their scores, and the seconds of the training."""
    images = [ReducedImage(each) for each in find_examples([get_default_more() / "SEG-GlaS"])]
    learnt = [each for place, each in enumerate(images) if place % GLAND_FOLDS != number]
    model, seconds = train_or_load(network, learnt, work / f"glands-{network}-{number}", **GLANDS[network])
    tested = [compare_labels(*each.segment(model)) for each in images[number::GLAND_FOLDS]]
    return len(tested), sum(tested, Counts()), seconds


def collect_foreground_scores(total: Counts) -> dict[str, float | None]:
    """Return the figures of a row of a network that learns the foreground, without those of single cells."""
    return {"dice": total.dice, "iou": total.iou, "seg": None, "f1": None}


@dataclass(frozen=True)
class ReducedImage(RelabelledImage):
    """An image of glands, reduced so that glands are about 45 pixels wide."""

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the reduced image and its labels."""
        image, labels = self.example.read()
        size = tuple(round(side * GLAND_SCALE) for side in labels.shape[::-1])
        small = cv2.resize(labels.astype(np.float32), size, interpolation=cv2.INTER_NEAREST_EXACT)
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA), small.astype(np.int32)

    def segment(self, model: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the foreground that a network finds, enlarged to the size of the image, and the ground truth."""
        reader = self.keep_colours() if model.channels == RGB else self
        found = (model.segment(reader.read()[0]) > 0).astype(np.float32)
        truth = self.example.read()[1] > 0
        large = cv2.resize(found, truth.shape[::-1], interpolation=cv2.INTER_LINEAR)
        return (large > 0.5).astype(np.int32), truth.astype(np.int32)


def run_overfit(network: str, data: Path, work: Path) -> list[Row]:
    """Return the row of a network that is trained and tested on the middle of four frames."""
    frames = [each for each in find_examples([data / DATASETS[0] / "01"], truth="gold") if each.complete()]
    middles = [ComputedExample(each.name, each.movie, partial(cut_middle, each)) for each in frames]
    model, seconds = train_or_load(network, middles, work / f"overfit-{network}", **OVERFIT[network])
    total = sum((compare_labels(model.segment(image), truth) for image, truth in map(read_example, middles)), Counts())
    row = {"task": f"overfit {network}", "data": f"{DATASETS[0]} 01", "frames": len(frames), "train_seconds": seconds}
    return [row | collect_scores(total)]


def cut_middle(frame: Example) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle of an image and of its labels, where the truth is complete."""
    image, labels = frame.read()
    box = tuple(slice((n - MIDDLE) // 2, (n + MIDDLE) // 2) for n in labels.shape)
    return image[box], labels[box]


def run_halves(data: Path, work: Path) -> list[Row]:
    """Return the row of the simulated movie of the challenge."""
    examples = find_examples([data / "Fluo-N2DH-SIM+" / "01"])
    middle = len(examples) // 2
    model, seconds = train_or_load("unet", examples[:middle], work / "halves", steps=500)
    total = sum(
        (compare_labels(model.segment(image), truth) for image, truth in map(read_example, examples[middle:])), Counts()
    )
    row = {"task": "halves", "data": "Fluo-N2DH-SIM+ 01", "frames": len(examples) - middle, "train_seconds": seconds}
    return [row | collect_scores(total)]


def run_chain(data: Path, work: Path) -> list[Row]:
    """Return the row of the chain from images to tracks: each half is segmented by a network trained on the other."""
    movie = data / "Fluo-N2DL-HeLa"
    examples = find_examples([movie / "01"], truth="silver")
    middle = len(examples) // 2
    total, seconds, settings = Counts(), 0.0, read_settings(movie.name)
    with tempfile.TemporaryDirectory() as scratch:
        masks = Path(scratch) / "masks"
        masks.mkdir()
        for number, (learnt, tested) in enumerate(
            [(examples[: middle - GAP], examples[middle:]), (examples[middle + GAP :], examples[:middle])]
        ):
            model, spent = train_or_load("unet", learnt, work / f"chain-{number}", steps=1500, patch=256)
            seconds += spent
            model.prepare([example.read()[0] for example in tested[::20]])
            for example in tested:
                image, truth = example.read()
                found = model.segment(image)
                total += compare_labels(found, truth)
                tifffile.imwrite(masks / f"mask{example.frame:03d}.tif", found.astype(np.uint16))
        pipeline.track(movie / "01", masks, out=Path(scratch) / "result", settings=settings)
        found = pipeline.evaluate(Path(scratch) / "result", movie / "01_GT")
    row = {"task": "chain", "data": "Fluo-N2DL-HeLa 01", "frames": len(examples), "train_seconds": seconds}
    tracked = {name: found[name] for name in ("TRA", "DET", "LNK", "SEG") if name in found}
    return [row | collect_scores(total) | {f"tracked_{key}": value for key, value in tracked.items()}]


def run_images(data: Path, _: Path) -> list[Row]:
    """Return a row for each movie and segmenter: from images to tracks, without an option of the segmenter."""
    rows = []
    for dataset in MOVIES:
        movie, settings = data / dataset, read_settings(dataset)
        for name in ("threshold", "unet"):
            with tempfile.TemporaryDirectory() as scratch:
                result = Path(scratch) / "result"
                start = time.perf_counter()
                pipeline.track(movie / "01", segmenter=name, out=result, settings=settings)
                seconds = time.perf_counter() - start
                found = pipeline.evaluate(result, movie / "01_GT")
            scores = {key: found.get(key) for key in ("DET", "SEG", "TRA", "LNK", "CHOTA")}
            rows.append({"task": "images", "data": f"{dataset} 01", "segmenter": name, "seconds": seconds, **scores})
    return rows


def run_stacks(_: Path, __: Path) -> list[Row]:
    """Return a row for each segmenter of stacks."""
    kinds = {
        "simulated 3D": [simulate_plain_stack(seed) for seed in range(STACKS)],
        "simulated 3D, hard": [
            read_example(each) for each in simulate_examples(STACKS, seed=HELD_OUT_SEEDS, dimensions=3)[3::4]
        ],
    }
    rows = []
    for data, pairs in kinds.items():
        for name in ("slices", "diffusionnet", "threshold"):
            model = load_segmenter(name, **({} if name == "slices" else {"spacing": (1.0, 0.5, 0.5)}))
            start = time.perf_counter()
            total = sum((compare_labels(model.segment(image), truth) for image, truth in pairs), Counts())
            seconds = (time.perf_counter() - start) / len(pairs)
            row = {"task": "stacks", "data": data, "segmenter": name, "frames": len(pairs)}
            rows.append(row | {"seconds_a_stack": seconds} | collect_scores(total))
    return rows


def run_cho(data: Path, _: Path) -> list[Row]:
    """Return rows of real stacks, against the masks that trackers are given: a ground truth does not exist."""
    movie = data / "Fluo-N3DH-CHO"
    spacing = (1.0, 0.202, 0.202)
    pairs = []
    for image in sorted((movie / "02").glob("t*.tif"))[::5]:
        (mask,) = (movie / "02_ERR_SEG").glob(f"*{image.stem.removeprefix('t')}.tif")
        pairs.append((read_tiff(image), read_mask(mask)))
    rows = []
    for name in ("slices", "diffusionnet", "threshold"):
        model = load_segmenter(name, **({} if name == "slices" else {"spacing": spacing}))
        total = sum((compare_labels(model.segment(image), masks) for image, masks in pairs), Counts())
        row = {"task": "cho", "data": "Fluo-N3DH-CHO 02", "segmenter": name, "frames": len(pairs)}
        rows.append(row | collect_scores(total))
    return rows


def run_inference(_: Path, __: Path) -> list[Row]:
    """Return rows of time and memory of the shipped U-Net; the memory of loaded libraries is subtracted."""
    torch.set_num_threads(2)
    rows = []
    for side, tile in ((1024, 1024), (2048, 1024), (2048, 512)):
        program = (
            "import resource, sys, time, numpy as np, torch\n"
            "from gnntrack.segmentation.registry import load_segmenter\n"
            "torch.set_num_threads(2)\n"
            f"model = load_segmenter('unet', kind='fluorescence', diameter=28.0, tile={tile})\n"
            "model.segment(np.random.default_rng(0).gamma(2, size=(64, 64)).astype(np.float32))\n"
            f"image = np.random.default_rng(0).gamma(2, size=({side}, {side})).astype(np.float32)\n"
            "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "times = []\n"
            "for _ in range(3):\n"
            "    start = time.perf_counter(); model.segment(image); times.append(time.perf_counter() - start)\n"
            "print(min(times), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)\n"
        )
        done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
        seconds, megabytes = map(float, done.stdout.split())
        row = {"task": "inference", "data": f"{side} x {side}, tiles of {tile}", "segmenter": "unet"}
        rows.append(row | {"seconds": round(seconds, 3), "megabytes": round(megabytes)})
    return rows


def simulate_plain_stack(seed: int) -> tuple[Any, Any]:
    """Return a crowded stack and its labels."""
    life = SimulateSettings(frames=8, shape=(20, 128, 128), cells=25, clustering=0.8)
    movie = simulate_movie(settings=life, seed=1000 * HELD_OUT_SEEDS + seed)
    return np.asarray(movie.images[-1]), np.asarray(movie.masks[-1])


def read_settings(dataset: str) -> Settings:
    """Return the settings of a data set of the challenge, which include its field of interest."""
    return Settings.from_toml(REPOSITORY / "configs" / f"{dataset}.toml")


def train_or_load(network: str, learnt: Sequence[Any], folder: Path, **changes: Any) -> tuple[Any, float]:
    """Return a segmenter trained on some images, with its last weights, and the seconds it took."""
    plan = TrainSegmenterSettings(**{"validate_every": 100, **PLANS.get(network, {}), **changes})
    name = network.partition(",")[0]
    if not is_finished(folder, plan):
        train(name, learnt, folder, plan)
    return load_segmenter(name, model=str(folder)), json.loads((folder / "seconds.json").read_text())


def train(name: str, learnt: Sequence[Any], folder: Path, plan: TrainSegmenterSettings) -> None:
    """Train a network, or continue an interrupted training; the seconds of the processor are added up."""
    kept = folder / "seconds.json"
    if not is_begun(folder, plan):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        kept.write_text("0")
    before, start = json.loads(kept.read_text()), time.process_time()
    try:
        run = TrainingRun(folder, resume=(folder / "checkpoint.safetensors").is_file())
        learn(name, learnt, [], run, settings=plan)
    finally:
        kept.write_text(json.dumps(before + time.process_time() - start))


def read_example(example: Any) -> tuple[Any, Any]:
    """Return the image and the labels of an example."""
    return example.read()


def collect_scores(total: Counts) -> dict[str, float | None]:
    """Return the figures of a row."""
    return {"dice": total.dice, "iou": total.iou, "seg": total.seg, "f1": total.f1, "ap50": total.ap(0.5)}


TASKS: dict[str, Callable[[Path, Path], list[Row]]] = {
    "halves": run_halves,
    "chain": run_chain,
    "colours": run_colours,
    "images": run_images,
    "stacks": run_stacks,
    "cho": run_cho,
    "inference": run_inference,
    **{f"report {name}": (lambda data, work, name=name: run_report(name, data, work)) for name in PLANS},
    **{f"glands {name}": (lambda data, work, name=name: run_glands(name, data, work)) for name in GLANDS},
    **{f"overfit {name}": (lambda data, work, name=name: run_overfit(name, data, work)) for name in OVERFIT},
    **{f"folds {name}": (lambda data, work, name=name: run_folds(name, data, work)) for name in PLANS},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tasks that have no rows yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=get_default_data())
    parser.add_argument("--work", type=Path, required=True, help="folder for the networks")
    parser.add_argument("--only", nargs="*", choices=TASKS, help="tasks")
    parser.add_argument("--again", nargs="*", default=[], choices=TASKS, help="tasks to run again")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for name in options.only or TASKS:
        record = json.loads(RESULT.read_text()) if RESULT.is_file() else {"rows": []}
        if any(row["task"] == name for row in record["rows"]) and name not in options.again:
            continue
        made = TASKS[name](options.data, options.work)
        record = json.loads(RESULT.read_text()) if RESULT.is_file() else {"rows": []}  # another run may have written
        rows = [row for row in record["rows"] if row["task"] != name] + [
            {**row, "about": describe_run()} for row in made
        ]
        RESULT.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
        print(json.dumps(made, indent=1), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
