"""A training run: where it is written, its seed, and how its progress is reported.

One `TrainingRun` travels from the command line to the training loop, for link networks and segmenters.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from gnntrack.errors import ModelError
from gnntrack.io.output import check_writable, claim_free_output
from gnntrack.io.output_locks import Claim, claim_output, keep_claim
from gnntrack.io.output_places import recover_output, remove_path, set_aside
from gnntrack.io.run_records import note_begin
from gnntrack.models.devices import find_device
from gnntrack.models.files import CHECKPOINT_FILE
from gnntrack.models.tensors import PARTIAL
from gnntrack.setting_errors import check_bools
from gnntrack.training.checkpoint import read_checkpoint

if TYPE_CHECKING:
    from gnntrack.types import Progress

__all__ = ["TrainingRun"]


@dataclass(frozen=True)
class TrainingRun:
    """Where and how a training runs; the same value for every network.

    Parameters
    ----------
    folder : path
        Folder of the model: weights, ``log.csv``, learning curve, checkpoint.
    seed : int
        The same seed on the same machine gives the same weights.
    resume : bool
        Continue the interrupted training in `folder`.
    overwrite : bool
        Replace `folder` if it exists.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    progress : callable, optional
        Called as ``progress(stage, done, total)`` after each step.
    report : callable, optional
        Called with each row of the log, a dict.
    provenance : dict
        Stored with the model under ``training``: data, settings, counts; plain JSON values. A run is resumed only if
        its provenance is the same.

    Examples
    --------
    >>> run = TrainingRun("model", seed=1)
    >>> run.folder.name, run.seed, run.resume
    ('model', 1, False)
    >>> run.with_provenance(data=["a"]).provenance
    {'data': ['a']}
    """

    folder: Path
    _: KW_ONLY
    seed: int = 0
    resume: bool = False
    overwrite: bool = False
    device: str = "auto"
    progress: Progress | None = None
    report: Callable[[dict[str, Any]], None] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder).expanduser())

    @classmethod
    def from_folder(cls, run: TrainingRun | str | Path) -> TrainingRun:
        """Return a run as it is, and a path as the run with this folder and the defaults."""
        return run if isinstance(run, TrainingRun) else cls(Path(run))

    def with_provenance(self, **more: Any) -> Self:
        """Return a copy with further entries of the provenance, behind the present ones."""
        return replace(self, provenance={**self.provenance, **more})

    def find_device(self) -> str:
        """Return the device to compute on: ``cpu``, ``cuda`` or ``mps``.

        Raises
        ------
        InputError
            If this machine does not have the device.
        """
        return find_device(self.device)

    def show(self, stage: str, done: int, total: int) -> None:
        """Report progress to the callable `progress`."""
        if self.progress is not None:
            self.progress(stage, done, total)

    def report_row(self, row: dict[str, Any]) -> None:
        """Report a row of the log to the callable `report`."""
        if self.report is not None:
            self.report(row)

    def check(self) -> None:
        """Raise before the long work if the run cannot start.

        Raises
        ------
        InputError
            If this machine does not have the device.
        OutputError
            If the folder exists, and is neither to be resumed nor overwritten, or cannot be written, or another process
            writes it.
        ModelError
            If the run is to be resumed and the folder has no checkpoint.
        """
        self.find_device()
        check_bools(resume=self.resume, overwrite=self.overwrite)
        if self.resume and not (self.folder / CHECKPOINT_FILE).is_file():
            instead = "with --overwrite instead of --resume" if self.folder.exists() else "without --resume"
            msg = f"{self.folder}: no checkpoint to resume from; start {instead}"
            raise ModelError(msg)
        keep_claim(self._claim_folder())

    def _claim_folder(self) -> Claim:
        """Return the claim of this process to the folder, after all checks whether it may be written."""
        if not self.resume:
            return claim_free_output(self.folder, overwrite=self.overwrite)
        claim = claim_output(Path(os.path.realpath(self.folder)), self.folder)
        if claim.users == 1 and claim.descriptor is not None:
            recover_output(claim.target)
        try:
            check_writable(claim.target, self.folder)
        except BaseException:
            claim.release()
            raise
        return claim

    @contextmanager
    def replace_folder(self) -> Iterator[None]:
        """Make an empty folder in place of an earlier result; a resumed run keeps its folder.

        Files that a killed process was writing are removed.

        If the body raises before it writes anything, for example because an option is unknown, the earlier result is
        put back.

        Raises
        ------
        OutputError
            If something has appeared at the folder since `check` that may not be overwritten.
        """
        claim = self._claim_folder()
        try:
            with self._replace_target(claim.target):
                yield
        finally:
            claim.release()

    @contextmanager
    def _replace_target(self, target: Path) -> Iterator[None]:
        if self.resume:
            for unfinished in self.folder.rglob(f"{PARTIAL}*"):
                unfinished.unlink(missing_ok=True)
            yield
            return
        earlier = set_aside(target) if target.exists() else None
        target.mkdir()
        note_begin(target)
        try:
            yield
        except BaseException:
            if not any(target.iterdir()):
                target.rmdir()
                if earlier is not None:
                    earlier.rename(target)
            raise
        finally:
            if earlier is not None:
                remove_path(earlier)

    def read_checkpoint(self) -> dict[str, Any] | None:
        """Return ``kind`` and ``options`` of the network and ``state`` from the checkpoint; None for a new run.

        Raises
        ------
        ModelError
            If the run is to be resumed and the checkpoint is missing or damaged.
        """
        return read_checkpoint(self.folder) if self.resume else None
