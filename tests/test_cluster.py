"""Jobs: tasks that write into a work folder, run serially, in processes, by shards, and after interruptions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from dask import config
from support.jobs import CountJob, make_fatal, write_masks

import gnntrack
from gnntrack.cluster import run_job, task_path
from gnntrack.cluster.dask_runner import open_dask
from gnntrack.cluster.runners import open_processes
from gnntrack.cluster.shards import Shard
from gnntrack.cluster.slurm_workers import check_jobs, open_slurm_workers
from gnntrack.cluster.workers import Worker
from gnntrack.errors import GnntrackWarning, InputError, OutputError
from gnntrack.settings import Settings
from gnntrack.windows.tracking import collect_result, plan_tracking

WARNINGS = ["block 0 has 3 cells", "block 1 has 7 cells", "block 2 has 11 cells"]


@pytest.fixture(scope="module")
def dask():
    """A runner on two workers of Dask."""
    with open_dask("local", 2) as runner:
        yield runner


@pytest.fixture
def job(tmp_path):
    return CountJob(write_masks(tmp_path / "masks"))


def read_files(work):
    """Return the content of all files of a work folder but of those that have times."""
    files = [path for path in work.rglob("*") if path.is_file() and path.name not in ("manifest.json", "times.json")]
    return {path.relative_to(work).as_posix(): path.read_bytes() for path in files}


def run(job, work, **choices):
    """Run a job, and return its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        finished = run_job(job, work, **choices)
    assert finished is True
    return [str(each.message) for each in caught if issubclass(each.category, GnntrackWarning)]


@pytest.fixture
def whole(job, tmp_path):
    """What a serial run writes."""
    run(job, tmp_path / "whole")
    return read_files(tmp_path / "whole")


def test_a_job_writes_the_results_of_its_tasks(job, tmp_path):
    steps = []
    warned = run(job, tmp_path / "work", progress=lambda *step: steps.append(step))
    assert warned == WARNINGS
    assert task_path(tmp_path / "work", "join", 0).read_text() == "[[1, 2], [3, 4], [5, 6]]"
    assert steps == [("scales", 1, 1), ("windows", 1, 3), ("windows", 2, 3), ("windows", 3, 3), ("join", 1, 1)]
    assert not [name for name in read_files(tmp_path / "work") if "/." in name or name.startswith(".")]


def test_a_work_folder_is_not_used_again_without_resume(job, whole, tmp_path):
    with pytest.raises(OutputError, match="--resume"):
        run_job(job, tmp_path / "whole")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").touch()
    with pytest.raises(OutputError, match=r"holds thesis\.txt"):
        run_job(job, tmp_path / "other", resume=True)


def test_resume_runs_only_what_is_missing_or_damaged(job, whole, tmp_path):
    work = tmp_path / "whole"
    kept = task_path(work, "windows", 0) / "counts.json"
    stamp = kept.stat().st_mtime_ns
    damaged = task_path(work, "windows", 1) / "counts.json"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    (task_path(work, "windows", 2) / "strange.txt").touch()
    (work / "windows" / ".partial-0123abcd-2").mkdir()
    (work / ".partial-0123abcd-manifest.json").touch()
    warned = run(job, work, resume=True)
    assert read_files(work) == whole
    assert kept.stat().st_mtime_ns == stamp
    assert warned == WARNINGS
    assert not list(work.rglob(".partial-*"))


def test_resume_names_what_has_changed(job, whole, tmp_path):
    with pytest.raises(InputError, match=r"gap was 1, and is now 2"):
        run_job(CountJob(job.masks, gap=2), tmp_path / "whole", resume=True)
    (job.masks / "mask005.tif").unlink()
    with pytest.raises(InputError, match=r"masks had 6 files, and has now 5"):
        run_job(job, tmp_path / "whole", resume=True)
    (tmp_path / "whole" / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest\.json: it cannot be read"):
        run_job(job, tmp_path / "whole", resume=True)


def test_a_second_run_is_refused(job, tmp_path):
    class Twice(CountJob):
        def run_join(self, index, work, out):
            run_job(job, work, resume=True)

    with pytest.raises(OutputError, match="another run of gnntrack uses"):
        run(Twice(job.masks), tmp_path / "work")


def test_a_failed_task_keeps_the_finished_ones(job, whole, tmp_path):
    with pytest.raises(ZeroDivisionError):
        run_job(CountJob(job.masks, failing=2), tmp_path / "work")
    files = read_files(tmp_path / "work")
    assert "windows/1/checks.json" in files
    assert not any("partial" in name for name in files)
    run(job, tmp_path / "work", resume=True)
    assert read_files(tmp_path / "work") == whole


def test_processes_give_the_same_bytes_although_one_dies_twice(job, whole, tmp_path):
    fatal = make_fatal(job, tmp_path / "deaths", deaths=2)
    with open_processes(2) as runner:
        warned = run(fatal, tmp_path / "work", runner=runner)
    assert read_files(tmp_path / "work") == whole
    assert warned == WARNINGS
    assert list(fatal.deaths.iterdir()) == []


def test_dask_gives_the_same_bytes_although_a_worker_is_killed(job, whole, dask, tmp_path):
    fatal = make_fatal(job, tmp_path / "deaths", deaths=1)
    warned = run(fatal, tmp_path / "work", runner=dask)
    assert read_files(tmp_path / "work") == whole
    assert warned == WARNINGS
    assert list(fatal.deaths.iterdir()) == []


def test_an_error_on_a_worker_of_dask_is_raised_here_with_its_task(job, dask, tmp_path):
    with pytest.raises(ZeroDivisionError, match="block 2 fails") as failure:
        run_job(CountJob(job.masks, failing=2), tmp_path / "failed", runner=dask)
    assert "in task 2 of stage 'windows'" in failure.value.__notes__[0]


def test_a_scheduler_that_does_not_answer_is_named():
    quick = config.set({"distributed.comm.timeouts.connect": "200ms"})
    with quick, pytest.raises(InputError, match=r"127\.0\.0\.1:1: no Dask scheduler answers"), open_dask("127.0.0.1:1"):
        pass


def test_shards_and_what_they_leave_give_the_same_bytes(job, whole, tmp_path):
    work = tmp_path / "work"
    assert run_job(job, work, shard=Shard(0, 3)) is False
    assert sorted(path.name for path in (work / "windows").iterdir()) == ["0"]
    assert run_job(job, work, shard=Shard(2, 3)) is False
    assert run(job, work, resume=True) == WARNINGS
    assert read_files(work) == whole


def test_the_last_shard_runs_the_stages_of_one_task(job, whole, tmp_path):
    assert run_job(job, tmp_path / "work", shard=Shard(1, 2)) is False
    assert run(job, tmp_path / "work", shard=Shard(0, 2)) == WARNINGS
    assert read_files(tmp_path / "work") == whole


def test_a_shard_waits_for_a_stage_of_one_task(job, tmp_path):
    class Slow(CountJob):
        def run_scales(self, index, work, out):
            started.append(index)
            time.sleep(0.3)
            super().run_scales(index, work, out)

    started, slow = [], Slow(job.masks)
    with ThreadPoolExecutor(2) as pool:
        shards = [pool.submit(run_job, slow, tmp_path / "work", shard=Shard(k, 2)) for k in range(2)]
        assert True in [shard.result() for shard in shards]
    assert started == [0]


def test_a_whole_run_does_not_begin_while_a_shard_runs(job, tmp_path):
    class Twice(CountJob):
        def run_join(self, index, work, out):
            run_job(job, work, resume=True)

    with pytest.raises(OutputError, match="another run of gnntrack uses"):
        run(Twice(job.masks), tmp_path / "work", shard=Shard(0, 1))


def test_a_process_that_dies_each_time_is_named_with_its_task(job, tmp_path):
    fatal = make_fatal(job, tmp_path / "deaths", deaths=9)
    with open_processes(1) as runner, pytest.raises(OutputError, match="task 1 of stage 'windows' ended its process 3"):
        run_job(fatal, tmp_path / "work", runner=runner)
    assert len(list(fatal.deaths.iterdir())) == 6


def test_a_killed_run_is_continued_and_gives_the_same_bytes(job, whole, tmp_path):
    fatal = make_fatal(job, tmp_path / "deaths", deaths=1)
    worker = Worker()
    worker.send(run_job, fatal, tmp_path / "work")
    with pytest.raises(EOFError):
        worker.receive()
    assert worker.find_end() == -signal.SIGKILL
    assert list(tmp_path.rglob(".partial-*/begun"))
    assert run(job, tmp_path / "work", resume=True) == WARNINGS
    assert read_files(tmp_path / "work") == whole


def test_a_process_ends_in_the_middle_of_its_task_when_the_main_one_is_killed():
    code = """
import os, time
from gnntrack.cluster.workers import Worker
worker = Worker()
worker.send(os.getpid)
worker.receive()
worker.send(time.sleep, 30)
print("begun", flush=True)
time.sleep(30)
"""
    main = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert main.stdout.readline() == b"begun\n"
    main.kill()
    assert main.communicate(timeout=20) == (b"", None)  # its standard output is closed when all processes have ended


@pytest.fixture(scope="module")
def tracking(tmp_path_factory):
    """A job that tracks a movie in several windows, and its result in one piece."""
    folder = tmp_path_factory.mktemp("tracking")
    gnntrack.simulate(folder / "movie", frames=20, cells=10, shape=(90, 90), seed=1004)
    images, masks = folder / "movie" / "01", folder / "movie" / "01_ERR_SEG"
    gnntrack.track(images, masks, out=folder / "whole", pictures=False)
    settings = Settings().replace(output__pictures=False)
    plan = {"method": "hungarian", "solver": None, "settings": settings, "options": {}}
    return plan_tracking(str(images), str(masks), **plan, most_cells=150, halo=4), read_result(folder / "whole")


def read_result(folder):
    """Return the content of the files of a result but for those that have times, or the proof of the solution."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in ("summary.json", ".zattrs")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_tracking_on_dask_with_a_killed_worker_gives_the_result_of_the_whole(tracking, dask, tmp_path):
    job, whole = tracking
    run(make_fatal(job, tmp_path / "deaths", deaths=1), tmp_path / "work", runner=dask)
    assert job.count_tasks("windows", tmp_path / "work") > 2
    collect_result(tmp_path / "work", tmp_path / "01_RES")
    assert read_result(tmp_path / "01_RES") == whole


def test_tracking_by_shards_gives_the_result_of_the_whole(tracking, tmp_path):
    job, whole = tracking
    assert run_job(job, tmp_path / "work", shard=Shard(1, 2)) is False
    assert run_job(job, tmp_path / "work", shard=Shard(0, 2)) is False
    assert run_job(job, tmp_path / "work", resume=True) is True
    collect_result(tmp_path / "work", tmp_path / "01_RES")
    assert read_result(tmp_path / "01_RES") == whole


@pytest.mark.slow
def test_tracking_in_processes_of_which_one_dies_gives_the_result_of_the_whole(tracking, tmp_path):
    job, whole = tracking
    with open_processes(2) as runner:
        run(make_fatal(job, tmp_path / "deaths", deaths=1), tmp_path / "work", runner=runner)
    collect_result(tmp_path / "work", tmp_path / "01_RES")
    assert read_result(tmp_path / "01_RES") == whole


def make_slurm(monkeypatch, tmp_path, *, queue="", error=None):
    """Return a stand-in for dask-jobqueue, with a program `squeue` that prints `queue`."""
    (tmp_path / "squeue").write_text(f"#!/bin/sh\nprintf '{queue}'\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    class Cluster(SimpleNamespace):
        def __init__(self, **options):
            if error is not None:
                raise ValueError(error)
            super().__init__(options=options, workers={0: SimpleNamespace(job_id="17")}, number=0)

        def scale(self, number):
            self.number = number

        def close(self):
            raise AssertionError  # as after jobs that SLURM refuses

    return SimpleNamespace(SLURMCluster=Cluster)


def test_jobs_of_slurm_have_what_dask_jobqueue_is_not_configured_for(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", "/my venv/python")
    with open_slurm_workers(make_slurm(monkeypatch, tmp_path, queue="16\\n17\\n"), 3) as cluster:
        check_jobs(cluster)
    assert cluster.number == 3
    assert [cluster.options[name] for name in ("cores", "memory", "python")] == [1, "4GiB", "'/my venv/python'"]
    given = config.set({"jobqueue.slurm": {"cores": 2, "memory": "1GB", "python": "python3"}})
    with given, open_slurm_workers(make_slurm(monkeypatch, tmp_path), 1) as cluster:
        pass
    assert cluster.options.keys() == {"processes", "job_script_prologue"}


def test_jobs_of_slurm_that_have_all_ended_are_an_error(monkeypatch, tmp_path):
    slurm = make_slurm(monkeypatch, tmp_path, queue="16\\n")
    with open_slurm_workers(slurm, 1) as cluster, pytest.raises(OutputError, match="all workers have ended"):
        check_jobs(cluster)


def test_a_wrong_configuration_of_dask_jobqueue_is_named(monkeypatch, tmp_path):
    slurm = make_slurm(monkeypatch, tmp_path, error="unknown memory")
    with pytest.raises(InputError, match="cannot be used"), open_slurm_workers(slurm, 1):
        pass
