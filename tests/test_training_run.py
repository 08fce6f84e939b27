"""The folder of a training run."""

from __future__ import annotations

import errno
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from gnntrack.cli import cli
from gnntrack.errors import ModelError, OutputError
from gnntrack.training.run import TrainingRun

MODEL = ["model.json", "weights.safetensors"]


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in MODEL:
        (folder / name).write_text("earlier")
    return TrainingRun(folder, overwrite=True)


def list_folder(run):
    """Return the names beside and inside of the folder, without the records of outputs."""
    beside = sorted(path.name for path in run.folder.parent.iterdir() if path.name != ".gnntrack")
    return beside, sorted(path.name for path in run.folder.iterdir())


def test_a_training_replaces_an_earlier_result(run):
    with run.replace_folder():
        (run.folder / "log").write_text("new")
    assert list_folder(run) == (["model"], ["log"])


def test_a_training_that_is_refused_keeps_the_earlier_result(run):
    with pytest.raises(ValueError, match="refused"), run.replace_folder():
        raise ValueError("refused")
    assert list_folder(run) == (["model"], MODEL)


def write_and_stop(run):
    with run.replace_folder():
        (run.folder / "checkpoint").write_text("new")
        raise KeyboardInterrupt


def test_a_training_that_is_interrupted_keeps_its_checkpoint(run):
    with pytest.raises(KeyboardInterrupt):
        write_and_stop(run)
    assert list_folder(run) == (["model"], ["checkpoint"])


def test_what_a_killed_process_was_writing_is_removed_or_replaced(run):
    for name in MODEL:
        (run.folder / name).unlink()
    (run.folder / "checkpoint.safetensors").write_text("whole")
    (run.folder / ".partial-01abcdef-checkpoint.safetensors").write_text("half")
    run.check()  # it may be overwritten
    with replace(run, resume=True).replace_folder():
        pass
    assert list_folder(run) == (["model"], ["checkpoint.safetensors"])


def test_a_run_that_was_killed_before_its_first_checkpoint_names_the_way_on(tmp_path):
    with pytest.raises(ModelError, match="start without --resume"):
        TrainingRun(tmp_path / "model", resume=True).check()
    (tmp_path / "model").mkdir()
    with pytest.raises(ModelError, match="start with --overwrite instead of --resume"):
        TrainingRun(tmp_path / "model", resume=True).check()
    TrainingRun(tmp_path / "model", overwrite=True).check()


def test_a_refused_training_leaves_no_folder(tmp_path):
    run = TrainingRun(tmp_path / "new" / "model")
    with pytest.raises(ValueError, match="refused"), run.replace_folder():
        raise ValueError("refused")
    assert not run.folder.exists()


def test_an_unknown_option_of_the_network_keeps_the_earlier_model(run):
    arguments = ["train-segmenter", "unet", "-o", str(run.folder), "--simulated", "1", "--option", "unknown=1"]
    done = CliRunner().invoke(cli, [*arguments, "--overwrite"])
    assert done.exit_code == 2
    assert "unknown" in done.output
    assert list_folder(run) == (["model"], MODEL)


def test_a_folder_that_appears_while_movies_are_read_is_kept(tmp_path):
    run = TrainingRun(tmp_path / "model")
    run.check()
    run.folder.mkdir()
    (run.folder / "thesis.tex").write_text("two years")
    for each in (run, replace(run, overwrite=True)):
        with pytest.raises(OutputError, match=r"exists already|which gnntrack did not write"), each.replace_folder():
            pytest.fail("the training started")
    assert list_folder(run) == (["model"], ["thesis.tex"])


@pytest.mark.parametrize(
    "names",
    [
        [".partial-01abcdef-checkpoint.safetensors"],
        ["appearance/.partial-01abcdef-model.json"],
        ["appearance/model.json", "appearance/weights.safetensors"],
    ],
)
def test_a_training_that_was_killed_early_can_be_overwritten(tmp_path, names):
    for name in names:
        (tmp_path / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / name).write_text("half")
    run = TrainingRun(tmp_path / "model", overwrite=True)
    with run.replace_folder():
        (run.folder / "checkpoint.safetensors").write_text("new")
    assert list_folder(run) == (["model"], ["checkpoint.safetensors"])


def test_a_folder_behind_a_link_is_replaced(run, tmp_path):
    (tmp_path / "link").symlink_to(run.folder)
    with TrainingRun(tmp_path / "link", overwrite=True).replace_folder():
        (tmp_path / "link" / "checkpoint.safetensors").write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert list_folder(run) == (["link", "model"], ["checkpoint.safetensors"])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.parametrize("begun", [False, True])
def test_a_training_that_is_killed_keeps_one_of_both_models(run, begun):
    child = os.fork()
    if not child:
        with run.replace_folder():
            if begun:
                (run.folder / "checkpoint.safetensors").write_text("new")
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    run.check()
    assert list_folder(run) == (["model"], ["checkpoint.safetensors"] if begun else MODEL)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_the_second_of_two_trainings_is_refused(run):
    with run.replace_folder():
        (run.folder / "checkpoint.safetensors").write_text("new")
        child = os.fork()
        if not child:
            try:
                replace(run, overwrite=False, resume=True).check()
            except OutputError:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_that_cannot_be_written_is_named_before_movies_are_read(tmp_path, monkeypatch, resume):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "checkpoint.safetensors").touch()

    def deny(self, *args, **options):
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "mkdir", deny)
    with pytest.raises(OutputError, match=r"model: its folder cannot be (made|written) \(Read-only file system\)"):
        TrainingRun(tmp_path / "model", overwrite=not resume, resume=resume).check()
