"""The pictures of the README and of docs: results of simulated movies and stacks.

``python benchmarks/pictures.py [NAME ...]`` writes ``docs/pictures/NAME.png``: result, slices, diffusionnet, montage,
tree, kymograph, embryo, kinds; and ``tracking.gif``: tracking.
"""

from __future__ import annotations

import argparse
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from record import REPOSITORY
from segmentation import simulate_plain_stack

from gnntrack import track, write_kymograph, write_montage, write_tree, write_video
from gnntrack.pipeline import simulate
from gnntrack.report import draw_lineage_tree, draw_overlay
from gnntrack.report.palette import choose_family_colours
from gnntrack.report.saving import save_figure
from gnntrack.segmentation.registry import load_segmenter
from gnntrack.settings import EmbryoSettings
from gnntrack.simulate import simulate_embryo

SEGMENTERS: dict[str, dict[str, Any]] = {"slices": {}, "diffusionnet": {"spacing": (1.0, 0.5, 0.5)}}
KINDS = {  # seed, first frame
    "cells": (5, 20),
    "sparse": (3, 12),
    "amoeboid": (3, 12),
    "colony": (3, 25),
    "channels": (2, 20),
    "sheet": (2, 15),
    "epithelium": (6, 10),
    "cleavage": (5, 16),
}
FIGURES = ("tracking", "montage", "tree", "kymograph")


def main() -> int:
    """Draw the pictures that are named, or all."""
    names = ("result", "embryo", "kinds", *FIGURES, *SEGMENTERS)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(names)}; default: all")
    wanted = parser.parse_args().names or names
    if unknown := set(wanted) - set(names):
        parser.error(f"no picture {min(unknown)}; there are {', '.join(names)}")
    folder = REPOSITORY / "docs" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    if "result" in wanted:
        draw_result(folder / "result.png")
    if "embryo" in wanted:
        draw_embryos(folder / "embryo.png")
    if "kinds" in wanted:
        draw_kinds(folder / "kinds.png")
    if set(FIGURES) & set(wanted):
        draw_figures(folder, wanted)
    for name in (name for name in SEGMENTERS if name in wanted):
        image, truth = simulate_plain_stack(0)
        draw(image, truth, load_segmenter(name, **SEGMENTERS[name]).segment(image), name, folder / f"{name}.png")
    return 0


def draw_result(path: Path) -> None:
    """Draw the last frame of a simulated movie with its tracks, beside the lineage tree."""
    movie = simulate(seed=2, frames=40, cells=14, shape=(260, 280), clustering=0.2, speed=1.2, photons=300)
    lineage = track(movie.images, movie.masks)
    frame = lineage.cells.n_frames - 1
    pictures = [
        render(draw_overlay(movie.images[frame], lineage.labels()[frame], lineage=lineage, frame=frame, tails=12)),
        render(draw_lineage_tree(lineage)),
    ]
    height = 640
    scaled = [each.resize((round(each.width * height / each.height), height), Image.LANCZOS) for each in pictures]
    joined = Image.new("RGB", (sum(each.width for each in scaled), height), "white")
    joined.paste(scaled[0], (0, 0))
    joined.paste(scaled[1], (scaled[0].width, 0))
    joined.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def draw_embryos(path: Path) -> None:
    """Draw projections of simulated embryos along z and along y, and a division over eight frames."""
    columns = []
    for cells in (60, 250, 600):
        embryo = simulate_embryo(settings=EmbryoSettings(frames=1, cells=cells), seed=2)
        from_above, volume = embryo.images[0].max(axis=0), embryo.images[0]
        from_side = np.repeat(volume.max(axis=1), 4, axis=0)  # a voxel is four times as long along z
        columns.append(np.vstack([stretch(from_above), stretch(from_side)]))
    strip = np.kron(stretch(cut_division(seed=1008)), np.ones((2, 2), np.uint8))
    Image.fromarray(np.vstack([np.hstack(columns), strip])).save(path, optimize=True)


def draw_kinds(path: Path) -> None:
    """Draw an image of a movie of each kind, and its tracks in that frame, three frames later and ten frames later."""
    rows = []
    for kind, (seed, frame) in KINDS.items():
        shape = (240, 240) if kind != "cleavage" else (48, 240, 240)
        movie = simulate(kind=kind, seed=seed, frames=frame + 11, shape=shape)
        labels = [movie.lineage.labels()[t] for t in (frame, frame + 3, frame + 10)]
        middle = [each[len(each) // 2] if each.ndim == 3 else each for each in labels]
        image = movie.images[frame]
        grey = stretch(image[len(image) // 2] if image.ndim == 3 else image)
        colours = [(255 * draw_labels(each)).astype(np.uint8) for each in middle]
        panels = [np.repeat(grey[..., None], 3, axis=2), *colours]
        rows.append(np.hstack([np.pad(each, ((3, 3), (3, 3), (0, 0)), constant_values=255) for each in panels]))
    # two kinds side by side
    pairs = [np.hstack(rows[at : at + 2]) for at in range(0, len(rows), 2)]
    joined = Image.fromarray(np.vstack(pairs))
    joined.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def cut_division(seed: int) -> Any:
    """Return projections around a nucleus in the four frames before its division, and around its daughters after it."""
    embryo = simulate_embryo(settings=EmbryoSettings(frames=60, frozen=0, jumps=0, drift=0.3), seed=seed)
    truth = embryo.truth
    before = dict(zip(truth.target.tolist(), truth.source.tolist(), strict=True))
    voxel = np.rint(truth.voxels).astype(int)
    half = np.array([4, 24, 24])
    for row in np.flatnonzero(truth.children == 2).tolist():
        first, at = row, voxel[row]
        for _ in range(3):
            first = before.get(first, first)
        frames = range(truth.frame[row] - 3, truth.frame[row] + 5)
        inside = (at >= half).all() and (at < np.array(embryo.settings.shape) - half).all()
        if truth.frame[first] == frames[0] and frames[-1] < 60 and inside:
            box = tuple(slice(middle - reach, middle + reach) for middle, reach in zip(at, half, strict=True))
            return np.hstack([embryo.images[t][box].max(axis=0) for t in frames])
    msg = f"seed {seed}: no division far from the faces; choose another seed"
    raise ValueError(msg)


def stretch(image: Any) -> Any:
    """Return grey values as 8 bits, from the background to the brightest voxels."""
    low, high = np.percentile(image, [1, 99.8])
    return (255 * np.clip((image - low) / (high - low), 0, 1)).astype(np.uint8)


def draw_figures(folder: Path, wanted: list[str]) -> None:
    """Write the animation, the tree and the kymograph of a simulated movie of dividing cells."""
    options: dict[str, Any] = {"clustering": 0.35, "speed": 1.2, "drift": 0, "photons": 1500, "cycle": 26}
    movie = simulate(seed=5, frames=48, cells=9, shape=(240, 320), **options)
    lineage = track(movie.images, movie.masks, spacing=(0.5, 0.5), interval="15min")
    shared: dict[str, Any] = {"images": movie.images, "overwrite": True}
    if "tracking" in wanted:
        write_video(lineage, folder / "tracking.gif", size=480, fps=8, tails=12, **shared)
    if "montage" in wanted:
        write_montage(lineage, folder / "montage.png", panels=4, width=17, dpi=150, **shared)
    if "tree" in wanted:
        write_tree(lineage, folder / "tree.png", size=(17, 8), overwrite=True, dpi=150)
    if "kymograph" in wanted:
        write_kymograph(
            lineage, folder / "kymograph.png", along=(0, 120, 319, 120), width=60, size=(12, 9), dpi=150, **shared
        )


def render(figure: Figure) -> Image.Image:
    """Return a figure as a picture."""
    file = BytesIO()
    figure.savefig(file, format="png", dpi=200)
    return Image.open(file).convert("RGB")


def draw(image: Any, truth: Any, found: Any, name: str, path: Path) -> None:
    """Draw a plane and a section through z of an image, its truth, and a result."""
    middle = np.array(image.shape) // 2
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    axes = figure.subplots(2, 3, height_ratios=[image.shape[1], 2 * image.shape[0]])
    for column, (title, stack) in enumerate((("image", image), ("truth", truth), (name, found))):
        for row, section in enumerate((stack[middle[0]], np.repeat(stack[:, middle[1]], 2, axis=0))):
            ax = axes[row, column]
            ax.imshow(section, cmap="gray") if column == 0 else ax.imshow(draw_labels(section))
            ax.set_axis_off()
        axes[0, column].set_title(f"{title}, plane {middle[0]}", fontsize=9)
        axes[1, column].set_title(f"section at y = {middle[1]}", fontsize=9)
    save_figure(figure, path)


def draw_labels(labels: Any) -> Any:
    """Return labels in colours, with black background."""
    return np.where(labels[..., None] > 0, choose_family_colours(labels), 0.0)


if __name__ == "__main__":
    sys.exit(main())
