"""Workers of Dask in jobs of SLURM, which the package dask-jobqueue submits."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

from gnntrack.cluster.runners import ONE_THREAD
from gnntrack.errors import InputError, OutputError

__all__ = ["KEEP_MEMORY", "check_jobs", "open_slurm_workers"]

KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "268435456", "MALLOC_MMAP_THRESHOLD_": "33554432"}
"""Variables of the environment of a worker of Dask by which it keeps the memory of arrays for the next ones. The
default of Dask returns it to the system at once, which may take as much time as the tracking."""

_DEFAULTS = {"cores": 1, "memory": "4GiB"}  # of a job, if dask-jobqueue is not configured
_CONFIGURATION = "jobqueue.slurm"
_SECONDS = 60.0  # for an answer of SLURM


@contextmanager
def open_slurm_workers(dask_jobqueue: Any, workers: int) -> Iterator[Any]:
    """Yield a cluster of Dask whose workers are jobs of SLURM, one each; they end with the context.

    Parameters
    ----------
    dask_jobqueue : module
        The package.
    workers : int
        Number of jobs.

    Raises
    ------
    InputError
        If its configuration cannot be used, or SLURM refuses the jobs.
    """
    configured = import_module("dask.config").get
    values = {name: configured(f"{_CONFIGURATION}.{name}", None) for name in ("python", *_DEFAULTS)}
    options: dict[str, Any] = {name: value for name, value in _DEFAULTS.items() if values[name] is None}
    if values["python"] is None:
        options["python"] = shlex.quote(sys.executable)  # a path with a blank is two words in the script of the job
    if configured(f"{_CONFIGURATION}.shared-temp-directory", None):  # where workers find the keys
        options["security"] = True
    own = configured(f"{_CONFIGURATION}.job-script-prologue", None) or []
    variables = [f"export {name}={value}" for name, value in {**ONE_THREAD, **KEEP_MEMORY}.items()]
    try:
        cluster = dask_jobqueue.SLURMCluster(processes=1, job_script_prologue=[*variables, *own], **options)
    except (ValueError, TypeError) as error:
        msg = f"--scheduler slurm: the configuration of dask-jobqueue cannot be used ({error}); see {_find_files()}"
        raise InputError(msg) from error
    try:
        cluster.scale(workers)
        yield cluster
    finally:
        with suppress(AssertionError):  # by dask-jobqueue, if SLURM has refused the jobs
            cluster.close()


def _find_files() -> str:
    """Return where the configuration of Dask is read from."""
    return str(import_module("dask.config").PATH)


def check_jobs(cluster: Any) -> None:
    """Raise if a cluster of `open_slurm_workers` has no worker, and no job that will be one.

    Raises
    ------
    OutputError
        If all jobs have ended.
    """
    jobs = {str(job.job_id) for job in cluster.workers.values() if getattr(job, "job_id", None)}
    try:
        command = ["squeue", "--noheader", "--me", "--format=%A"]
        listed = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):  # SLURM is busy
        return
    if jobs.isdisjoint(listed.stdout.split()):
        msg = (
            "all workers have ended: the jobs of SLURM were refused, failed, or reached their time limit; read their "
            "logs slurm-*.out, increase 'walltime' (default 30 minutes) or 'memory' of jobqueue.slurm in the "
            "configuration of Dask, and continue with --resume"
        )
        raise OutputError(msg)
