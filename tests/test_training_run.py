"""The folder of a training run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import CliRunner

from gnntrack.cli import cli
from gnntrack.errors import ModelError
from gnntrack.training.run import TrainingRun


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_text("earlier")
    return TrainingRun(folder, overwrite=True)


def list_folder(run):
    return sorted(path.name for path in run.folder.parent.iterdir()), sorted(path.name for path in run.folder.iterdir())


def test_a_training_replaces_an_earlier_result(run):
    with run.replace_folder():
        (run.folder / "log").write_text("new")
    assert list_folder(run) == (["model"], ["log"])


def test_a_training_that_is_refused_keeps_the_earlier_result(run):
    with pytest.raises(ValueError, match="refused"), run.replace_folder():
        raise ValueError("refused")
    assert list_folder(run) == (["model"], ["weights"])


def write_and_stop(run):
    with run.replace_folder():
        (run.folder / "checkpoint").write_text("new")
        raise KeyboardInterrupt


def test_a_training_that_is_interrupted_keeps_its_checkpoint(run):
    with pytest.raises(KeyboardInterrupt):
        write_and_stop(run)
    assert list_folder(run) == (["model"], ["checkpoint"])


def test_what_a_killed_process_was_writing_is_removed_or_replaced(run):
    (run.folder / "weights").rename(run.folder / "checkpoint.safetensors")
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
    (run.folder / "weights").rename(run.folder / "model.json")
    (run.folder / "weights.safetensors").write_text("earlier")
    arguments = ["train-segmenter", "unet", "-o", str(run.folder), "--simulated", "1", "--option", "unknown=1"]
    done = CliRunner().invoke(cli, [*arguments, "--overwrite"])
    assert done.exit_code == 2
    assert "unknown" in done.output
    assert list_folder(run) == (["model"], ["model.json", "weights.safetensors"])
