"""Damaged small files give an error of gnntrack that names them, and no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gnntrack.cli.options import parse_named_values
from gnntrack.errors import FormatError, FrameError, ModelError, SettingsError
from gnntrack.inspection import inspect_movie
from gnntrack.io.frames import open_frames
from gnntrack.io.points import read_points
from gnntrack.json_files import read_json
from gnntrack.report import draw_learning_curve
from gnntrack.settings import FrameSettings, Settings
from gnntrack.training.loop import _Log, _State

DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "text",
    [
        f"a = {DEEP}",
        "[graph]\nmax_gap = " + "9" * 5000,
        "[graph]\nmax_gap = 0x" + "f" * 20_000,
        "[graph]\nmax_gapp = 0x" + "f" * 20_000,
        "max_gap = 0x" + "f" * 20_000,
        "[graph]\nmax_gap = [0x" + "f" * 20_000 + "]",
    ],
    ids=["nested", "5,000 digits", "hexadecimal", "unknown", "misplaced", "list"],
)
def test_settings_files_that_python_cannot_hold_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        Settings.from_toml(file)
    assert str(file) in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("value", [float("inf"), "inf", 1e999, -float("inf")])
def test_infinite_settings_are_refused(value: object) -> None:
    with pytest.raises(SettingsError, match="max_distance' = "):
        Settings(graph={"max_distance": value})


def test_values_of_options_that_are_no_toml_are_text() -> None:
    assert parse_named_values(None, None, (f"a={DEEP}", "b=" + "9" * 5000)) == {"a": DEEP, "b": "9" * 5000}


def test_json_that_is_nested_deeply_is_a_value_error(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(DEEP, encoding="utf-8")
    with pytest.raises(ValueError, match="it is nested too deeply"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    "dtype", ["complex128", "U1", "S1", "datetime64[s]", "timedelta64[s]", "V8", [("a", "i4")]], ids=str
)
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, dtype: object) -> None:
    np.save(tmp_path / "movie.npy", np.zeros((3, 20, 30), dtype))
    with pytest.raises(FrameError, match=r"movie\.npy, frame 0: its values are of type .*; expected numbers"):
        open_frames(tmp_path / "movie.npy")[0]
    assert "expected numbers" in inspect_movie(tmp_path / "movie.npy")["problems"][0]


@pytest.mark.parametrize("row", ["inf,1,1,,0", "nan,1,1,,0", ",1,1,,0", "-1,1,1,,0", "1e999,1,1,,0"])
def test_curves_need_finite_steps(tmp_path: Path, row: str) -> None:
    log = tmp_path / "log.csv"
    log.write_text(f"step,loss,learning_rate,validation_score,best\n{row}\n", encoding="utf-8")
    with pytest.raises(FormatError, match=r"log\.csv: line 2: 'step' is '.*', expected a number from 0"):
        draw_learning_curve(log)


@pytest.mark.parametrize("line", ["ten,1,1,1,1,0", "10,1,1,1,1,0,7,8", "\0", ""], ids=repr)
def test_a_damaged_log_is_refused_on_resume(tmp_path: Path, line: str) -> None:
    log = tmp_path / "log.csv"
    log.write_text(f"step,seconds,loss,learning_rate,score,best\n5,1,1,1,1,0\n{line}\n", encoding="utf-8")
    before = log.read_bytes()
    if not line:
        with _Log(log, ["score"], after=20):
            return
    with pytest.raises(FormatError, match=r"log\.csv: the log of the training is damaged"):
        _Log(log, ["score"], after=20)
    assert log.read_bytes() == before


@pytest.mark.parametrize("state", [None, 3, {}, {"step": "x"}, vars(_State()) | {"losses": ["a"]}], ids=str)
def test_a_damaged_state_of_a_training_is_refused(state: object) -> None:
    with pytest.raises(ModelError, match="the state of the training in its checkpoint is not valid"):
        _State.from_dict({"state": state, "best": {}}, Path("model"))


def test_a_damaged_head_of_an_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "movie.npy", np.zeros((3, 20, 30), np.uint16))
    data = (tmp_path / "movie.npy").read_bytes()
    (tmp_path / "movie.npy").write_bytes(data.replace(b"), }", b" ( {"))
    with pytest.raises(FrameError, match=r"movie\.npy"):
        open_frames(tmp_path / "movie.npy")


def test_numbers_in_tables_that_no_float_holds_are_refused(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text(f"frame,y,x\n0,1,2\n1,{'9' * 400},a\n", encoding="utf-8")
    with pytest.raises(FormatError, match=r"points\.csv"):
        read_points(tmp_path / "points.csv", settings=FrameSettings())
