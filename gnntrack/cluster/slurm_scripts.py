"""Scripts for SLURM: an array job of the shards of a command, and a job for what they leave."""

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
# The shards are submitted twice: the second time, they run the stages that need the results of all shards.
# The last job does what is left, also after failures, and writes the result.
set -euo pipefail
cd {folder}
first=$(sbatch --parsable shards.sh)
second=$(sbatch --parsable --dependency="afterany:${{first%%;*}}" shards.sh)
sbatch --dependency="afterany:${{second%%;*}}" join.sh
"""


def write_scripts(folder: Path, command: Sequence[str], *, shards: int, memory: int) -> None:
    """Write the scripts ``shards.sh``, ``join.sh`` and ``submit.sh``, which submits the others.

    Parameters
    ----------
    folder : Path
        Folder of the scripts and of the logs of their jobs; it exists.
    command : sequence of str
        Arguments of gnntrack, with the work folder.
    shards : int
        Number of tasks of the array job.
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
    for name, text in texts.items():
        (folder / name).write_text(head + text, encoding="utf-8")
    (folder / "submit.sh").write_text(_SUBMIT.format(folder=shlex.quote(str(folder.absolute()))), encoding="utf-8")
