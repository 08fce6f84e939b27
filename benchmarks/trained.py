"""Folders with the training of a segmenter, begun or finished with a plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gnntrack.settings import TrainSegmenterSettings
from gnntrack.training.checkpoint import read_checkpoint


def is_begun(folder: Path, plan: TrainSegmenterSettings) -> bool:
    """Return whether a folder has the checkpoint of a training with this plan."""
    if not (folder / "checkpoint.safetensors").is_file() or not (folder / "seconds.json").is_file():
        return False
    return has_plan(read_checkpoint(folder)["state"]["notes"], plan)


def has_plan(notes: dict[str, Any], plan: TrainSegmenterSettings) -> bool:
    """Return whether a training had this plan."""
    return TrainSegmenterSettings(**notes["settings"]) == plan


def is_finished(folder: Path, plan: TrainSegmenterSettings) -> bool:
    """Return whether a folder has a finished training with this plan."""
    if not (folder / "model.json").is_file():
        return False
    told = json.loads((folder / "model.json").read_text())["training"]
    return has_plan(told, plan) and bool(told["best"]["step"] == plan.steps)
