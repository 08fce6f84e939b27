"""Cases of `same_results.py`: the commands that are compared, and the inputs that they need besides the movies."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

INPUTS = 1
"""Version of the inputs: raise it with every change of them, so that no outputs of older inputs are used."""
FRAMES_PSC = 50
STEPS = 4
TRAIN = f"""[train]
width = 8
heads = 2
rounds = 2
steps = {STEPS}
validate_every = 2
variants = 2
links = 400
window = 5
simulated = 1
"""
SEGMENTER = f"""[train_segmenter]
steps = {STEPS}
validate_every = 2
batch = 2
patch = 64
planes = 8
simulated_axes = 2
"""


@dataclass(frozen=True)
class Case:
    """One command. Paths are relative to the folder of a side; outputs lie in the case's own folder."""

    group: str
    name: str
    words: tuple[str, ...]
    may_be_bad: bool = False
    """Exit code 1 is a result too (``validate``)."""

    @property
    def title(self) -> str:
        """Group and name, as printed."""
        return f"{self.group}: {self.name}"

    @property
    def folder(self) -> str:
        """The folder of the outputs below that of a side."""
        return place(self.group, self.name)


@dataclass(frozen=True)
class Movie:
    """A sequence whose masks are tracked."""

    name: str
    masks: str
    images: str | None = None
    truth: str | None = None
    stages: bool = False
    """The stages one by one, and exports, are compared too."""


# ------------------------------------------------------------------------------------------- cases


def all_cases(data: Path) -> list[Case]:
    """Return all cases, in an order in which each one comes after those whose outputs it reads."""
    cases = [case for movie in movies(data) for case in movie_cases(movie)]
    return [*cases, *option_cases(), *segmentation_cases(), *simulation_cases(), *training_cases()]


def movies(data: Path) -> Iterator[Movie]:
    """Yield the sequences; those whose files are missing are left out with a message."""
    sim, bbbc, cho, ipsc = "Fluo-N2DH-SIM+", "BBBC050-mouse-embryo-3D", "Fluo-N3DH-CHO", "iPSC-02"
    official, psc = "ctc-official-evaluation", "inputs/PSC"
    known = [
        _movie("Fluo-N2DH-GOWT1", "ST_HYBRID"),
        _movie("Fluo-C2DL-MSC", "ST_HYBRID"),
        _movie(sim, "GT/SEG"),
        Movie(f"{sim} 01 faults", "inputs/SIM+-faults/01", f"data/{sim}/01", f"data/{sim}/01_GT", stages=True),
        _movie("Fluo-N2DL-HeLa", "ERR_SEG", stages=True),
        Movie(f"PhC-C2DL-PSC 01 first {FRAMES_PSC}", f"{psc}/01_ST/SEG", f"{psc}/01", f"{psc}/01_GT"),
        *(_masks_only(ipsc, number, stages=number == "02") for number in ("01", "02", "03")),
        _movie(bbbc, "GT/SEG", stages=True),
        Movie(f"{bbbc} 01 faults", "inputs/BBBC050-faults/01", f"data/{bbbc}/01", f"data/{bbbc}/01_GT"),
        Movie(f"{cho} 02", f"data/{cho}/02_ERR_SEG", f"data/{cho}/02", f"more/{cho}/02_GT", stages=True),
        *(_masks_only(official, number) for number in ("03", "04")),
        _markers("Masks-EcoliAgarPad", "01"),
        _markers("Masks3D-Ascidian", "07"),
    ]
    for movie in known:
        if locate(movie.masks, data).is_dir() or movie.masks.startswith("inputs/"):
            yield movie
        else:
            print(f"left out, there is no {movie.masks}: {movie.name}", file=sys.stderr)


def _movie(dataset: str, masks: str, *, stages: bool = False) -> Movie:
    home = f"data/{dataset}/01"
    return Movie(f"{dataset} 01", f"{home}_{masks}", home, f"{home}_GT", stages)


def _masks_only(dataset: str, number: str, *, stages: bool = False) -> Movie:
    truth = f"data/{dataset}/{number}_GT"
    return Movie(f"{dataset} {number}", f"{truth}/SEG", None, truth, stages)


def _markers(dataset: str, number: str) -> Movie:
    """Return a sequence whose markers of the truth are full masks."""
    truth = f"more/{dataset}/{number}_GT"
    return Movie(f"{dataset} {number}", f"{truth}/TRA", None, truth)


def movie_cases(movie: Movie) -> Iterator[Case]:
    """Yield the cases of a sequence: all methods, scores, and the stages one by one."""
    masks, images, group = movie.masks, movie.images, movie.name
    both = (images, masks) if images else ("--masks", masks)
    for method in ("iou", "greedy", "hungarian", "gnn", "triplets"):
        words = ("hungarian", "--solver", "triplets") if method == "triplets" else (method,)
        yield _case(group, f"track {method}", "track", *both, "--method", *words, out="01_RES")
    result = f"{place(group, 'track hungarian')}/01_RES"
    yield Case(group, "validate", ("validate", result, "--json"), may_be_bad=True)
    if movie.truth:
        yield Case(group, "evaluate", ("evaluate", result, movie.truth, "--json"))
    if movie.stages:
        yield from stage_cases(movie)


def stage_cases(movie: Movie) -> Iterator[Case]:
    """Yield the stages one by one: graph, lineage, exports."""
    masks, group = movie.masks, movie.name
    images = ("--images", movie.images) if movie.images else ()
    yield _case(group, "build-graph", "build-graph", masks, *images, out="graph.geff")
    graph, lineage = f"{place(group, 'build-graph')}/graph.geff", f"{place(group, 'solve')}/lineage.geff"
    yield _case(group, "solve", "solve", graph, out="lineage.geff")
    yield _case(group, "export csv", "export", lineage, "--to", "csv", out="tables")
    yield _case(group, "export edges", "export", lineage, "--to", "edges", out="edges.csv")
    yield _case(group, "export ctc", "export", lineage, "--masks", masks, out="01_RES")


def option_cases() -> Iterator[Case]:
    """Yield commands with other options than the default ones."""
    group = "options"
    hela, gowt, ipsc = "data/Fluo-N2DL-HeLa", "data/Fluo-N2DH-GOWT1", "data/iPSC-02"
    config = ("--config", "tree/configs/Fluo-N2DL-HeLa.toml")
    bbbc = place("BBBC050-mouse-embryo-3D 01", "build-graph")
    yield _case(group, "track margin", "track", f"{hela}/01", f"{hela}/01_ERR_SEG", *config, out="01_RES")
    faults = ("--max-gap", "3", "--no-fill-gaps", "--fragments", "split")
    yield _case(group, "track gaps", "track", "--masks", "inputs/SIM+-faults/01", *faults, out="01_RES")
    yield _case(group, "track no divisions", "track", "--masks", f"{ipsc}/02_GT/SEG", "--no-divisions", out="01_RES")
    yield _case(group, "track images alone", "track", "inputs/SIM+-images/01", out="01_RES")
    yield _case(group, "solve gnn", "solve", f"{bbbc}/graph.geff", "--method", "gnn", out="lineage.geff")
    yield Case(group, "init-config", ("init-config", "-o", f"{place(group, 'init-config')}/settings.toml"))
    yield Case(group, "info masks", ("info", f"{ipsc}/02_GT/SEG", "--masks", "--json"))
    official = "data/ctc-official-evaluation"
    for name, home in (("iPSC 02", f"{ipsc}/02"), ("official 03", f"{official}/03"), ("official 04", f"{official}/04")):
        yield Case(group, f"validate {name}", ("validate", f"{home}_RES", "--json"), may_be_bad=True)
        yield Case(group, f"evaluate {name}", ("evaluate", f"{home}_RES", f"{home}_GT", "--json"))
    for name, result, truth, *rest in (
        ("HeLa", f"{hela}/01_ERR_SEG", f"{hela}/01_ST"),
        ("GOWT1 partial", f"{gowt}/01_ST_HYBRID", f"{gowt}/01_GT", "--partial"),
        ("CHO", "data/Fluo-N3DH-CHO/02_ERR_SEG", "more/Fluo-N3DH-CHO/02_ST_hybrid/SEG"),
    ):
        yield Case(group, f"evaluate-segmentation {name}", ("evaluate-segmentation", result, truth, *rest, "--json"))


def segmentation_cases() -> Iterator[Case]:
    """Yield the segmenters that need no training, and shapes, on a few frames."""
    planes, stacks = "inputs/GOWT1-images/01", "inputs/CHO-images/02"
    for group, images, names in (
        ("segment 2D", planes, ("threshold", "unet")),
        ("segment 3D", stacks, ("threshold", "slices", "diffusionnet")),
    ):
        for name in names:
            option = ("--option", "segmenter=unet") if name == "slices" else ()
            yield _case(group, name, "segment", images, "--segmenter", name, *option, out="masks")
    yield _case("segment 2D", "postprocess", "segment", "inputs/foreground", "--segmenter", "postprocess", out="masks")
    yield _case("shape", "2D", "shape", "inputs/SIM+-masks/01", out="shapes")
    yield _case("shape", "3D", "shape", "inputs/BBBC050-masks/01", out="shapes")
    yield _case("shape", "3D obj", "shape", "inputs/BBBC050-masks/01", "--meshes", "obj", out="shapes")


def simulation_cases() -> Iterator[Case]:
    """Yield small simulated movies."""
    flat = ("--frames", "12", "--shape", "160,160", "--cells", "10", "--cycle", "10")
    stacks = ("--frames", "6", "--shape", "16,96,96", "--cells", "8", "--cycle", "6")
    yield _case("simulate", "2D", "simulate", "--seed", "3", *flat, out="movie")
    yield _case("simulate", "3D", "simulate", "--seed", "4", *stacks, out="movie")


def training_cases() -> Iterator[Case]:
    """Yield a few steps of each training, and the use of its model."""
    planes, stacks = (f"{place('simulate', name)}/movie" for name in ("2D", "3D"))
    real = "data/BBBC050-mouse-embryo-3D"
    group, config = "train", ("--config", "inputs/train.toml")
    for name, movie, masks, *rest in (
        ("linknet", real, "01_GT/SEG"),
        ("pdn", planes, "01_ERR_SEG", "--model", "pdn"),
        ("shipped", planes, "01_ERR_SEG", "--from", "shipped"),
    ):
        yield _case(group, name, "train", movie, *config, *rest, out="model")
        model = ("--method", "gnn", "--model", f"{place(group, name)}/model")
        yield _case(group, f"track {name}", "track", f"{movie}/01", f"{movie}/{masks}", *model, out="01_RES")
    yield _case(group, "appearance", "train", planes, "--config", "inputs/appearance.toml", out="model")
    group = "train-segmenter"
    plain, deep = ("--config", "inputs/segmenter-2D.toml"), ("--config", "inputs/segmenter-3D.toml")
    light = ("--option", "backbone=mobilenet_v3_large", "--option", "weights=none")
    for name, label, words, images in (
        ("unet", "unet", (*plain, "--simulated", "1"), planes),
        ("unet", "unet 3D", (stacks, *deep, "--option", "width=8"), stacks),
        ("diffusionnet", "diffusionnet", (stacks, *deep), stacks),
        ("fcn", "fcn", (planes, *plain, *light), planes),
        ("deeplab", "deeplab", (planes, *plain, *light), planes),
        ("maskrcnn", "maskrcnn", (planes, *plain, *light), planes),
    ):
        yield _case(group, label, "train-segmenter", name, *words, out="model")
        model = ("--segmenter", name, "--model", f"{place(group, label)}/model")
        yield _case(group, f"segment {label}", "segment", f"{images}/01", *model, out="masks")


def _case(group: str, name: str, *words: str, out: str) -> Case:
    return Case(group, name, (*words, "-o", f"{place(group, name)}/{out}"))


def place(group: str, name: str) -> str:
    """Return the folder of a case: its title without characters that file systems or shells treat specially."""
    return "/".join("".join(c if c.isalnum() or c in "+-." else "-" for c in text) for text in (group, name))


def choose_cases(cases: Sequence[Case], only: str) -> list[Case]:
    """Return the cases whose titles contain a text, and those whose outputs they read."""
    wanted = {case.title for case in cases if only.lower() in case.title.lower()}
    for case in reversed(cases):
        if case.title in wanted:
            wanted |= {other.title for other in cases if other is not case and _reads(case, other)}
    if not wanted:
        sys.exit(f"no case is named like '{only}'; there are: {', '.join(case.title for case in cases)}")
    return [case for case in cases if case.title in wanted]


def split_chains(cases: Sequence[Case]) -> list[list[Case]]:
    """Return the cases in lists that can run side by side: a case follows those whose outputs it reads."""
    chain: dict[str, str] = {}
    chains: dict[str, list[Case]] = {}
    for case in cases:
        before = [chain[other.title] for other in cases if other.title in chain and _reads(case, other)]
        chain[case.title] = before[-1] if before else case.group
        chains.setdefault(chain[case.title], []).append(case)
    return list(chains.values())


def _reads(case: Case, other: Case) -> bool:
    return any(word.startswith(f"{other.folder}/") for word in case.words)


# ------------------------------------------------------------------------------------------ inputs


def make_inputs(folder: Path, data: Path) -> None:
    """Write what the cases need besides the movies: first frames, masks with faults, settings files."""
    done = folder / "done"
    if done.is_file() and done.read_text(encoding="utf-8") == str(INPUTS):
        return
    shutil.rmtree(folder, ignore_errors=True)
    gowt, psc = data / "Fluo-N2DH-GOWT1", data / "PhC-C2DL-PSC"
    sim, bbbc = data / "Fluo-N2DH-SIM+", data / "BBBC050-mouse-embryo-3D"
    first_frames(gowt / "01", folder / "GOWT1-images" / "01", 2)
    first_frames(data / "Fluo-N3DH-CHO" / "02", folder / "CHO-images" / "02", 2)
    first_frames(sim / "01", folder / "SIM+-images" / "01", 8)
    first_frames(sim / "01_GT" / "SEG", folder / "SIM+-masks" / "01", 4)
    first_frames(bbbc / "01_GT" / "SEG", folder / "BBBC050-masks" / "01", 4)
    for each in ("01", "01_ST/SEG", "01_GT/TRA"):
        first_frames(psc / each, folder / "PSC" / each, FRAMES_PSC)
    cut_table(psc / "01_GT" / "TRA" / "man_track.txt", folder / "PSC" / "01_GT" / "TRA" / "man_track.txt", FRAMES_PSC)
    for source, name in ((sim, "SIM+"), (bbbc, "BBBC050")):
        add_faults(source / "01_GT" / "SEG", folder / f"{name}-faults" / "01")
    (folder / "foreground").mkdir(parents=True)
    for path in sorted((gowt / "01_ST_HYBRID").glob("*.tif"))[:2]:
        tifffile.imwrite(folder / "foreground" / path.name, (tifffile.imread(path) > 0).astype(np.uint8))
    texts = {
        "train": TRAIN,
        "appearance": TRAIN + "appearance = true\n",
        "segmenter-2D": SEGMENTER,
        "segmenter-3D": SEGMENTER.replace("simulated_axes = 2", "simulated_axes = 3"),
    }
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    done.write_text(str(INPUTS), encoding="utf-8")


def first_frames(source: Path, target: Path, count: int) -> None:
    """Link the first frames of a folder of TIFFs into a new folder."""
    target.mkdir(parents=True)
    for path in sorted(source.glob("*.tif"))[:count]:
        (target / path.name).symlink_to(path.resolve())


def cut_table(source: Path, target: Path, frames: int) -> None:
    """Write a table of tracks without what comes after the first frames."""
    rows = [list(map(int, line.split())) for line in source.read_text(encoding="utf-8").splitlines() if line.strip()]
    kept = [(label, begin, min(end, frames - 1), parent) for label, begin, end, parent in rows if begin < frames]
    target.write_text("".join(f"{' '.join(map(str, row))}\n" for row in kept), encoding="utf-8")


def add_faults(source: Path, target: Path) -> None:
    """Write masks with missing, merged and split cells, so that gaps are filled and masks repaired."""
    random = np.random.default_rng(5)
    target.mkdir(parents=True)
    for path in sorted(source.glob("*.tif")):
        mask = tifffile.imread(path)
        labels = np.unique(mask)[1:]
        fate = random.random(len(labels))
        for label, chance in zip(labels, fate, strict=True):
            if chance < 0.03:
                mask[mask == label] = 0
            elif chance < 0.06:
                _merge(mask, label)
            elif chance < 0.09:
                _split(mask, label, int(mask.max()) + 1)
        tifffile.imwrite(target / path.name, mask, compression="zlib")


def _merge(mask: npt.NDArray[Any], label: int) -> None:
    """Give the cell the label of the cell whose centre is nearest."""
    others = [other for other in np.unique(mask)[1:] if other != label]
    if not others or not (mask == label).any():
        return
    centre = np.argwhere(mask == label).mean(0)
    distances = [np.linalg.norm(np.argwhere(mask == other).mean(0) - centre) for other in others]
    mask[mask == label] = others[int(np.argmin(distances))]


def _split(mask: npt.NDArray[Any], label: int, new: int) -> None:
    """Give the upper half of the cell along its longest axis a new label."""
    voxels = np.argwhere(mask == label)
    if len(voxels) < 10:
        return
    axis = int(np.argmax(np.ptp(voxels, axis=0)))
    upper = voxels[voxels[:, axis] > np.median(voxels[:, axis])]
    mask[tuple(upper.T)] = new


def locate(path: str, data: Path) -> Path:
    """Return where a path of a case lies: ``data`` is the folder of movies, ``more`` the folder beside it."""
    top, _, rest = path.partition("/")
    return {"data": data, "more": data.parent / "more"}.get(top, Path(top)) / rest
