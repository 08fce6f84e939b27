"""Positions tracked in child processes: how long each may take, and which way follows a failure."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from glob import escape
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from gnntrack.batch.faults import find_fault, is_slow_to_check
from gnntrack.batch.outcomes import Outcome
from gnntrack.batch.tracking import Attempt, BatchWork
from gnntrack.cluster.workers import Worker

if TYPE_CHECKING:
    from gnntrack.batch.budget import TimeBudget
    from gnntrack.batch.positions import Position
    from gnntrack.batch.ways import Way

__all__ = ["run_side_by_side"]

_FEWEST = 2  # frames that are worth a run
_FEW_FRAMES = 5  # if it is not known how many can be read in time


@dataclass
class _Task:
    """A position that is waiting or running."""

    position: Position
    ways: Sequence[Way]
    way: int = 0
    frames: int | None = None
    readable: int | None = None
    """Number of frames that can be read, or are tried, after a failure."""
    reason: str = ""
    started: float = 0.0
    limit: float | None = None
    stamp: int | None = None
    """When the result was written that is there before the task begins."""

    def find_few(self) -> int | None:
        """Return the way that takes only the first frames, if it was not tried yet."""
        return next((k for k, way in enumerate(self.ways) if way.few and k >= self.way), None)

    @property
    def overdue(self) -> bool:
        return self.limit is not None and time.monotonic() - self.started > self.limit


@dataclass
class _Schedule:
    """Positions that wait, those that are tracked now, and processes without work."""

    work: BatchWork
    budget: TimeBudget | None
    waiting: deque[_Task]
    running: dict[Any, tuple[Worker, _Task]] = field(default_factory=dict)
    idle: list[Worker] = field(default_factory=list)
    empty_seconds: float | None = None
    """Time that a result without cells takes, None before it was measured."""

    def run(self, jobs: int) -> Iterator[Outcome]:
        """Track all positions, and yield each outcome."""
        while self.waiting or self.running:
            while self.waiting and len(self.running) < jobs:
                outcome = self.start(self.waiting.popleft())
                if outcome is not None:
                    yield outcome
            if self.running:
                self._measure_empty()
                yield from self.collect()

    def check(self, positions: Sequence[Position]) -> None:
        """Raise if the choices have a fault; what loads a network is tried in a process, which then tracks."""
        if not is_slow_to_check(self.work.choices):
            fault = find_fault(self.work, positions)
        else:
            worker = Worker()
            self.idle.append(worker)
            worker.send(find_fault, self.work, positions)
            try:
                fault = worker.receive()
            except (EOFError, OSError):  # it ended, perhaps for lack of memory, as it may do with a movie
                self.idle.remove(worker)
                worker.end()
                return
        if fault is not None:
            raise fault

    def close(self) -> None:
        """End all processes."""
        workers = [*self.idle, *(worker for worker, _ in self.running.values())]
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.end()

    def _measure_empty(self) -> None:
        """Measure how long a result without cells takes, once, while other processes work."""
        if self.budget is not None and self.empty_seconds is None:
            self.empty_seconds = self.work.practise_giving_up(next(iter(self.running.values()))[1].position)

    def _give_up(self, task: _Task, reason: str) -> Outcome:
        """Return the outcome of a task for which no way is left."""
        started = time.monotonic()
        outcome = self.work.give_up(task.position, reason)
        self.empty_seconds = max(self.empty_seconds or 0, time.monotonic() - started)
        return outcome

    def start(self, task: _Task) -> Outcome | None:
        """Start a task in the best way that fits; return its outcome if there is none."""
        if self.budget is not None and not self._choose_way(task, self.budget):
            return self._give_up(task, task.reason or "no time was left for it")
        worker = self.idle.pop() if self.idle else Worker()
        task.started, task.stamp = time.monotonic(), self.work.find_stamp(task.position)
        worker.send(self.work.track, task.position, task.ways[task.way], task.frames, task.reason)
        self.running[worker.pipe] = worker, task
        return None

    def _choose_way(self, task: _Task, budget: TimeBudget) -> bool:
        """Choose the way, the number of frames and the longest time of a task; False if no way fits."""
        movies = len(self.waiting) + 1
        budget.keep((len(self.running) + movies) * (self.empty_seconds or 0))
        way = budget.choose_way(len(task.ways), movies=movies, first=task.way)
        way = task.find_few() if way is None else way
        if way is None or not budget.has_time:
            return False
        if way > task.way and not task.reason:
            share, cost = budget.find_share(movies=movies), budget.expect(task.way)
            task.reason = f"its share of the time is {share:.3g} s, and others took {cost:.3g} s"
        task.way, task.frames = way, None
        task.limit = budget.find_limit(movies=movies)
        if task.ways[way].few:
            fitting = budget.count_frames(max(way - 1, 0), movies=movies)
            task.frames = min([each for each in (fitting, task.readable) if each is not None], default=_FEW_FRAMES)
        return task.frames is None or task.frames >= _FEWEST

    def collect(self) -> Iterator[Outcome]:
        """Wait for a result, or for the end of the time of a task, and yield the finished ones."""
        ends = [task.started + task.limit for _, task in self.running.values() if task.limit is not None]
        timeout = max(0.0, min(ends) - time.monotonic()) + 0.01 if ends else None
        ready = wait(list(self.running), timeout)
        late = [pipe for pipe, (_, task) in self.running.items() if pipe not in ready and task.overdue]
        for pipe in [*ready, *late]:
            worker, task = self.running.pop(pipe)
            attempt = self._receive(worker, task) if pipe in ready else self._stop(worker, task)
            outcome = self._follow(task, attempt)
            if outcome is not None:
                yield outcome

    def _receive(self, worker: Worker, task: _Task) -> Attempt:
        """Return the result of a task; a process that ended before has failed."""
        seconds = time.monotonic() - task.started
        try:
            attempt: Attempt = worker.receive()
        except (EOFError, OSError):
            code = worker.find_end()
            self._clean(task)
            return self._fail(task, f"its process ended with exit code {code}, perhaps for lack of memory")
        self.idle.append(worker)
        if attempt.outcome.status == "failed":
            readable = _FEW_FRAMES if attempt.frame is None else attempt.frame
            task.readable = readable if task.readable is None else min(task.readable, readable)
        elif self.budget is not None:
            self.budget.record(task.way, seconds, frames=attempt.outcome.frames)
        return attempt

    def _stop(self, worker: Worker, task: _Task) -> Attempt:
        """End a task that takes too long."""
        worker.end()
        self._clean(task)
        if self.budget is not None and task.limit is not None:
            self.budget.record(task.way, task.limit)
        return self._fail(task, f"it was ended after {task.limit:.3g} s")

    def _fail(self, task: _Task, error: str) -> Attempt:
        """Return the failure of an ended process, or the result that it had just written."""
        written = self.work.find_written(task.position, task.ways[task.way], task.frames, task.reason, task.stamp)
        return Attempt(written or self.work.describe_failure(task.position, error))

    def _clean(self, task: _Task) -> None:
        """Remove the unfinished files of an ended process."""
        result = self.work.find_result(task.position)
        for path in result.parent.glob(f".partial-*-{escape(result.name)}"):
            shutil.rmtree(path, ignore_errors=True)

    def _follow(self, task: _Task, attempt: Attempt) -> Outcome | None:
        """Return the outcome of a task, or start its next way if it failed and time is limited."""
        if attempt.outcome.status != "failed" or self.budget is None or not attempt.may_repeat:
            return attempt.outcome
        task.reason = "; ".join(dict.fromkeys(filter(None, [task.reason, attempt.outcome.error])))
        task.way += 1
        if task.way >= len(task.ways):
            return self._give_up(task, task.reason)
        return self.start(task)


def run_side_by_side(
    work: BatchWork, positions: Sequence[Position], *, jobs: int, budget: TimeBudget | None = None
) -> Iterator[Outcome]:
    """Track positions in child processes, and yield their outcomes in the order in which they finish.

    Parameters
    ----------
    work : BatchWork
        The work on each.
    positions : sequence of Position
        They are started in this order.
    jobs : int
        Processes at the same time.
    budget : TimeBudget, optional
        With it, a position that takes too long or fails is tracked in the next way; see `BatchWork.list_ways`. Faults
        of the choices, with which every position would fail, are then raised before.

    Raises
    ------
    GnntrackError
        As of `gnntrack.batch.faults.check_choices`.
    """
    kept = {position.name: work.keep(position) for position in positions} if work.resume else {}
    yield from filter(None, kept.values())
    tasks = (_Task(each, work.list_ways(each)) for each in positions if kept.get(each.name) is None)
    schedule = _Schedule(work, budget, deque(tasks))
    try:
        if budget is not None and schedule.waiting:
            schedule.check([task.position for task in schedule.waiting])
        yield from schedule.run(jobs)
    finally:
        schedule.close()
