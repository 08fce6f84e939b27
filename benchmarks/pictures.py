"""The pictures of docs/segmentation.md: simulated stacks, and the results of segmenters.

``python benchmarks/pictures.py`` writes ``docs/pictures/slices.png`` and ``docs/pictures/diffusionnet.png``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from record import REPOSITORY
from segmentation import simulate_plain_stack

from gnntrack.report.palette import choose_family_colours
from gnntrack.report.saving import save_figure
from gnntrack.segmentation.registry import load_segmenter


def main() -> int:
    """Draw both pictures."""
    image, truth = simulate_plain_stack(0)
    folder = REPOSITORY / "docs" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, options in (("slices", {}), ("diffusionnet", {"spacing": (1.0, 0.5, 0.5)})):
        draw(image, truth, load_segmenter(name, **options).segment(image), name, folder / f"{name}.png")
    return 0


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
