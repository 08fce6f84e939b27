"""Models of segmenters after a training of two steps: they can be used, but find no cells."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from gnntrack.settings import TrainSegmenterSettings
from gnntrack.training.run import TrainingRun
from gnntrack.training.segmenter import learn
from gnntrack.training.simulated import simulate_examples

NETWORKS: dict[str, dict[str, Any]] = {
    "unet": {"width": 4, "levels": 2},
    "fcn": {"backbone": "mobilenet_v3_large", "weights": "none"},
    "deeplab": {"backbone": "mobilenet_v3_large", "weights": "none"},
    "maskrcnn": {"backbone": "mobilenet_v3_large", "weights": "none", "width": 32},
    "diffusionnet": {},
}


def make_tiny_settings(name: str, **changes: Any) -> TrainSegmenterSettings:
    """Return settings of a training of two steps."""
    usual = {"steps": 2, "batch": 2, "patch": 64, "planes": 8, "augment": False, "zoom": "none", "precision": "float32"}
    return TrainSegmenterSettings(**{**usual, "options": NETWORKS[name], **changes})


@cache
def make_examples(dimensions: int = 2) -> list[Any]:
    """Return a few simulated images with labels."""
    return list(simulate_examples(1, seed=3, dimensions=dimensions)[:2])


def train_tiny(name: str, folder: Path, *, dimensions: int = 2, **changes: Any) -> Path:
    """Train a segmenter for two steps, and return the folder of its model."""
    folder.mkdir(parents=True, exist_ok=True)
    learn(
        name,
        make_examples(dimensions),
        [],
        TrainingRun(folder, device="cpu"),
        settings=make_tiny_settings(name, **changes),
    )
    return folder
