"""A small job over a movie: cells of blocks of frames are counted, and the counts are joined."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tifffile import imwrite

from gnntrack.cluster import Job, task_path
from gnntrack.io.manifests import describe_run
from gnntrack.user_warnings import warn_user

FRAMES, BLOCK = 6, 2


def write_masks(folder: Path) -> Path:
    """Write the masks of a movie: frame t has t + 1 cells of one pixel."""
    folder.mkdir(parents=True, exist_ok=True)
    for frame in range(FRAMES):
        mask = np.zeros((8, 8), np.uint16)
        mask.ravel()[: 2 * frame + 2 : 2] = np.arange(1, frame + 2)
        imwrite(folder / f"mask{frame:03d}.tif", mask)
    return folder


@dataclass(frozen=True)
class CountJob:
    """Counts the cells of blocks of frames; the task of the block ``failing`` raises an error."""

    masks: Path
    gap: int = 1
    failing: int | None = None
    stages: tuple[str, ...] = ("scales", "windows", "join")

    def describe(self) -> dict[str, Any]:
        return describe_run("count", {"masks": self.masks}, {"gap": self.gap})

    def count_tasks(self, stage: str, work: Path) -> int:
        return FRAMES // BLOCK if stage == "windows" else 1

    def run_task(self, stage: str, index: int, work: Path, out: Path) -> None:
        getattr(self, f"run_{stage}")(index, work, out)

    def run_scales(self, index: int, work: Path, out: Path) -> None:
        out.write_text(str(self.gap))

    def run_windows(self, index: int, work: Path, out: Path) -> None:
        from gnntrack.io import open_frames

        if index == self.failing:
            msg = f"block {index} fails"
            raise ZeroDivisionError(msg)
        stack = open_frames(self.masks)
        counts = [int(np.unique(stack[index * BLOCK + k]).size - 1) for k in range(BLOCK)]
        out.mkdir()
        (out / "counts.json").write_text(json.dumps(counts))
        warn_user(f"block {index} has {sum(counts)} cells")

    def run_join(self, index: int, work: Path, out: Path) -> None:
        shards = [task_path(work, "windows", k) / "counts.json" for k in range(FRAMES // BLOCK)]
        out.write_text(json.dumps([json.loads(shard.read_text()) for shard in shards]))


@dataclass(frozen=True)
class FatalJob:
    """A job one of whose tasks kills its process with SIGKILL as often as there are files in a folder."""

    inner: Job
    deaths: Path
    stage: str = "windows"

    @property
    def stages(self) -> tuple[str, ...]:
        return self.inner.stages

    def describe(self) -> dict[str, Any]:
        return self.inner.describe()

    def count_tasks(self, stage: str, work: Path) -> int:
        return self.inner.count_tasks(stage, work)

    def run_task(self, stage: str, index: int, work: Path, out: Path) -> None:
        if (stage, index) == (self.stage, 1):
            for mark in sorted(self.deaths.iterdir())[:1]:
                mark.unlink()
                (out.parent / "begun").write_text("half")
                os.kill(os.getpid(), signal.SIGKILL)
        self.inner.run_task(stage, index, work, out)


def make_fatal(job: Job, folder: Path, *, deaths: int) -> FatalJob:
    """Return a job with a number of deaths; they are counted by files in a folder, which is made."""
    folder.mkdir()
    for number in range(deaths):
        (folder / str(number)).touch()
    return FatalJob(job, folder)
