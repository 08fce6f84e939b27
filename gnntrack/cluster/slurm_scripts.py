"""Scripts for SLURM: an array job of the shards of a command, and a job for the rest."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from gnntrack.cluster.runners import ONE_THREAD

__all__ = ["write_scripts"]

_HEAD = """\
#!/bin/bash
#SBATCH --job-name=gnntrack
#SBATCH --cpus-per-task=1
#SBATCH --mem={memory}M
#SBATCH --time=04:00:00
"""
_SUBMIT = """\
#!/bin/bash
# The shards are submitted several times: each time, they run the tasks that need the results of the time before.
# The last job does the rest, also after failures, and writes the result.
set -euo pipefail
cd {folder}
job=$(sbatch --parsable shards.sh)
for _ in {passes}; do
    job=$(sbatch --parsable --dependency="afterany:${{job%%;*}}" shards.sh)
done
sbatch --dependency="afterany:${{job%%;*}}" join.sh
"""


def write_scripts(folder: Path, command: Sequence[str], *, final: Path, shards: int, passes: int, memory: int) -> None:
    """Write the scripts ``shards.sh``, ``join.sh`` and ``submit.sh``, which submits the others.

    Parameters
    ----------
    folder : Path
        Folder to make, with the scripts, and later with the logs of their jobs.
    command : sequence of str
        Arguments of gnntrack.
    final : Path
        Path that the folder has when the scripts are run.
    shards : int
        Number of tasks of the array job.
    passes : int
        Number of array jobs, one after the other: stages of the job that have many tasks.
    memory : int
        Memory of each job in MiB.
    """
    head = _HEAD.format(memory=memory)
    start = ["set -euo pipefail", *(f"export {name}={value}" for name, value in ONE_THREAD.items())]
    start.append(f"cd {shlex.quote(str(Path.cwd()))}")
    line = shlex.join([sys.executable, "-m", "gnntrack", *command])
    shard = [f"#SBATCH --array=0-{shards - 1}", "#SBATCH --output=shard_%A_%a.log", *start]
    join = ["#SBATCH --output=join_%j.log", *start]
    texts = {
        "shards.sh": "\n".join([*shard, f'{line} --shard "$SLURM_ARRAY_TASK_ID/{shards}"', ""]),
        "join.sh": "\n".join([*join, f"{line} --resume", ""]),
    }
    again = " ".join(str(number) for number in range(2, passes + 1))
    texts = {name: head + text for name, text in texts.items()}
    texts["submit.sh"] = _SUBMIT.format(folder=shlex.quote(str(final)), passes=again)
    folder.mkdir()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
