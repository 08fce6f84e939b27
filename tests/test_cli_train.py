"""gnntrack train: what reaches the training, what a person sees, and how it stops."""

from __future__ import annotations

import signal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gnntrack.cli import cli
from gnntrack.errors import FormatError
from gnntrack.training.run import TrainingRun

ROW = {
    "step": 400, "seconds": 9.5, "loss": 0.2514, "learning_rate": 1e-3,
    "validation_link_error": 0.004123, "validation_division_f1": 0.875, "validation_score": 0.93, "best": 1,
}  # fmt: skip
SUMMARY = {"movies": 3, "cells": 12_000, "links": 11_500, "divisions": 80, "best": ROW}


def run(*arguments: object, code: int = 0) -> Result:
    runner = CliRunner(**({"mix_stderr": False} if version("click").startswith("8.1.") else {}))
    result = runner.invoke(cli, ["train", *map(str, arguments)])
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return result


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stand in for the training; return what it was called with."""
    received: list[dict[str, Any]] = []

    def train(data: Any, run: TrainingRun, **options: Any) -> dict[str, Any]:
        out, progress, report = run.folder, run.progress, run.report
        chosen = {name: getattr(run, name) for name in ("seed", "device", "resume", "overwrite")}
        received.append({"data": data, "out": out, **chosen, **options})
        assert progress is not None
        assert report is not None
        progress("reading", 1, 1)
        for step in (1, 2, 400):
            progress("training", step, 400)
        report({"step": 200, "loss": 0.3, "learning_rate": 1e-3, "validation_link_error": None, "best": 0})
        report(ROW)
        out.mkdir()
        for name in ("weights.safetensors", "model.json", "log.csv", "learning_curve.png", "checkpoint.safetensors"):
            (out / name).write_bytes(b"")
        return SUMMARY

    monkeypatch.setattr("gnntrack.training.links.train", train)
    return received


def test_the_defaults_are_left_to_the_training(calls: list[dict[str, Any]], tmp_path: Path) -> None:
    result = run("a/01", "b", "-o", tmp_path / "m")
    (call,) = calls
    settings = call.pop("settings")
    assert call == {
        "data": ("a/01", "b"), "out": tmp_path / "m", "network": "linknet", "start": None, "validation": None,
        "seed": 0, "device": "auto", "resume": False, "overwrite": False,
    }  # fmt: skip
    assert settings == type(settings)()
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["movies", "3"]
    assert lines[3].split() == ["divisions", "80"]
    assert lines[4].split(maxsplit=1) == [
        "best", "step 400: loss 0.2514, link error 0.00412, division F1 0.875, score 0.9300",
    ]  # fmt: skip
    assert sum(str(tmp_path / "m") in line for line in lines) == 6
    assert lines[-1].split(maxsplit=1)[1] == f"gnntrack track IMAGES MASKS --method gnn --model {tmp_path / 'm'} -o OUT"
    assert result.stderr.splitlines() == [
        "step 400: loss 0.2514, link error 0.00412, division F1 0.875, score 0.9300, the best so far"
    ]


def test_options_reach_the_training(calls: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("[graph]\nmax_gap = 3\n[train]\nsteps = 7\n")
    run(
        *("a", "-o", tmp_path / "m", "--model", "pdn", "--from", "general", "--simulated", 5),
        *("--validation", "v", "--validation", "w", "--seed", 3, "--overwrite", "--device", "cpu"),
        *("--config", tmp_path / "s.toml", "--steps", 9),
    )
    (call,) = calls
    settings = call.pop("settings")
    assert (settings.graph.max_gap, settings.train.steps, settings.train.simulated) == (3, 9, 5)
    assert call == {
        "data": ("a",), "out": tmp_path / "m", "network": "pdn",  "start": "general",
        "validation": ["v", "w"], "seed": 3, "device": "cpu", "resume": False, "overwrite": True,
    }  # fmt: skip


def test_simulated_movies_alone_will_do(calls: list[dict[str, Any]], tmp_path: Path) -> None:
    run("--simulated", 2, "-o", tmp_path / "m")
    assert calls[0]["data"] == ()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "nothing to learn from; give DATA, or --simulated N"),
        (["--simulated", "0"], "nothing to learn from"),
        (["a", "--simulated", "-1"], "-1"),
        (["a", "--resume", "--overwrite"], "give one of them"),
        (["a", "--model", "transformer"], "linknet"),
        (["a", "--device", "tpu"], "cuda"),
        (["a", "--steps", "0"], "train.steps"),
        (["a", "--config", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_wrong_usage(calls: list[dict[str, Any]], tmp_path: Path, arguments: list[str], told: str) -> None:
    assert told in run(*arguments, "-o", tmp_path / "m", code=2).stderr
    assert not calls


def test_a_training_that_is_interrupted_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupt(_data: Any, run: Any, **_: Any) -> None:
        run.progress("training", 120, 400)
        raise KeyboardInterrupt

    monkeypatch.setattr("gnntrack.training.links.train", interrupt)
    result = run("a", "-o", tmp_path / "m", code=130)
    assert result.stderr == "stopped at step 120; continue with --resume\n"
    assert result.stdout == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("asked", "last"),
    [("step 3", "step 3"), ("step 10", "step 10"), ("validation 10", "validation 10"), ("step 20", "step 20")],
)
def test_a_training_is_stopped_between_two_steps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, asked: str, last: str
) -> None:
    done: list[str] = []

    def work(what: str) -> None:
        if what == asked:
            signal.raise_signal(number)
        done.append(what)

    def training(_data: Any, run: Any, **_: Any) -> None:
        for step in range(1, 21):
            work(f"step {step}")
            run.progress("training", step, 20)
            if step % 10 == 0:
                work(f"validation {step}")
                run.report(ROW | {"step": step})

    monkeypatch.setattr("gnntrack.training.links.train", training)
    before = signal.getsignal(number)
    result = run("a", "-o", tmp_path / "m", code=130)
    lines = result.stderr.splitlines()
    assert "stopping after this step; Ctrl-C again stops at once" in lines
    assert lines[-1] == f"stopped at step {last.split()[1]}; continue with --resume"
    assert done[-1] == last
    assert signal.getsignal(number) == before


def test_a_second_interrupt_stops_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def twice(_data: Any, run: Any, **_: Any) -> None:
        run.progress("training", 1, 20)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("it did not stop")

    monkeypatch.setattr("gnntrack.training.links.train", twice)
    assert "stopped at step 1" in run("a", "-o", tmp_path / "m", code=130).stderr


def test_an_interrupt_before_the_first_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupt(_data: Any, run: Any, **_: Any) -> None:
        run.progress("reading", 1, 3)
        raise KeyboardInterrupt

    monkeypatch.setattr("gnntrack.training.links.train", interrupt)
    assert run("a", "-o", tmp_path / "m", code=130).stderr == "Interrupted; no incomplete output is left.\n"
    begun = run("a", "-o", tmp_path / "m", "--resume", code=130).stderr
    assert "nothing to continue; the training starts from its beginning\nInterrupted; no incomplete" in begun
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "checkpoint.safetensors").write_bytes(b"")
    resumed = run("a", "-o", tmp_path / "m", "--resume", code=130)
    assert resumed.stderr == "stopped before the first step; continue with --resume\n"


def test_the_same_line_continues_a_training_and_other_data_do_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def begin(_data: Any, run: TrainingRun, **_: Any) -> None:
        with run.replace_folder():
            (run.folder / "checkpoint.safetensors").write_bytes(b"")
            raise KeyboardInterrupt

    monkeypatch.setattr("gnntrack.training.links.train", begin)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "points.csv").write_text("t,y,x")
    line = [tmp_path / "a", "-o", tmp_path / "m", "--from", "shipped"]
    told = "stopped before the first step; continue with --resume\n"
    assert run(*line, code=130).stderr == told
    assert run(*line, "--resume", code=130).stderr == told
    assert run(*line[:3], "--resume", code=130).stderr == told  # the start is in the checkpoint
    assert "start was shipped, and is now" in run(*line[:3], "--from", "x", "--resume", code=2).stderr
    (tmp_path / "a" / "points.csv").write_text("t,z,y,x")
    assert "the content of a has changed; start again with --overwrite" in run(*line, "--resume", code=2).stderr


def test_a_training_of_an_earlier_version_is_not_continued_from_other_weights(
    calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "checkpoint.safetensors").write_bytes(b"")
    assert "give one of them" in run("a", "-o", tmp_path / "m", "--resume", "--from", "shipped", code=2).stderr


def test_an_interrupt_before_the_first_step_names_a_checkpoint_that_was_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(_data: Any, run: Any, **_: Any) -> None:
        run.folder.mkdir()
        (run.folder / "checkpoint.safetensors").write_bytes(b"")
        raise KeyboardInterrupt

    monkeypatch.setattr("gnntrack.training.links.train", interrupted)
    stopped = run("a", "-o", tmp_path / "m", code=130)
    assert stopped.stderr == "stopped before the first step; continue with --resume\n"


def test_what_the_training_refuses_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        msg = "a: no truth"
        raise FormatError(msg)

    monkeypatch.setattr("gnntrack.training.links.train", refuse)
    assert run("a", "-o", tmp_path / "m", code=2).stderr == "Error: a: no truth\n"


@pytest.mark.slow
@pytest.mark.figures
def test_a_movie_is_learnt_interrupted_resumed_and_tracked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gnntrack.cli import train as training

    def command(*arguments: object, code: int = 0) -> Result:
        result = CliRunner().invoke(cli, [*map(str, arguments)])
        assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
        return result

    movie, config = tmp_path / "movie", tmp_path / "s.toml"
    command("simulate", "-o", movie, "--frames", 24, "--shape", "96,96", "--cells", 6, "--cycle", 12)
    config.write_text("[train]\nvalidate_every = 4\nvariants = 2\nsteps = 8\nwidth = 8\nrounds = 1\n")
    run(movie, "-o", tmp_path / "whole", "--config", config)
    progress = training.Stop.progress

    def interrupt(self: training.Stop, stage: str, done: int, total: int, /) -> None:
        if (stage, done) == ("training", 6):
            signal.raise_signal(signal.SIGINT)
        progress(self, stage, done, total)

    with monkeypatch.context() as patched:
        patched.setattr(training.Stop, "progress", interrupt)
        stopped = run(movie, "-o", tmp_path / "m", "--config", config, code=130)
        assert "stopped at step 6; " in stopped.stderr
        assert "; continue with --resume" in stopped.stderr
    run(movie, "-o", tmp_path / "m", "--config", config, "--resume")
    whole, resumed = (tmp_path / name / "weights.safetensors" for name in ("whole", "m"))
    assert whole.read_bytes() == resumed.read_bytes()
    track = ["track", movie / "01", movie / "01_ERR_SEG", "--method", "gnn", "--model", tmp_path / "m", "-o"]
    command(*track, tmp_path / "res")
    command("evaluate", tmp_path / "res", movie / "01_GT", "--require", "LNK=0.9")
    run(movie, "-o", tmp_path / "m", "--config", config, code=2)
    run(movie, "-o", tmp_path / "m", "--config", config, "--from", tmp_path / "whole", "--overwrite")
