"""Settings: read, written, checked, and the keys of earlier versions."""

from __future__ import annotations

import copy
import enum
import inspect
import json
import logging
import pickle
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from gnntrack.errors import SettingsError
from gnntrack.setting_kinds import convert_value
from gnntrack.settings import (
    REMOVED,
    CellSettings,
    FrameSettings,
    GraphSettings,
    Settings,
    SimulateSettings,
    TrainSegmenterSettings,
    drop_removed,
)


class Number(enum.IntEnum):
    """An integer that is printed in another way."""

    THREE = 3


# setting: values that are taken, with the value that they become, and values that are refused
VALUES = {
    "graph.max_gap": (
        [
            (1, 1), (3.0, 3), (2**70, 2**70), ("3", 3), (" 3\n", 3), ("+3", 3), ("3.00", 3), ("1_000", 1000),
            ("007", 7),
            (b"3", 3), (np.int8(3), 3), (np.uint64(2**64 - 1), 2**64 - 1), (np.float32(3), 3), (np.array(3), 3),
            (np.array(3.0), 3), (np.str_("3"), 3), (Decimal("3.0"), 3), (Fraction(3), 3), (Number.THREE, 3),
            (np.bool_(True), 1), (np.int64(2**53 + 1), 2**53 + 1),
        ],
        [
            0, -1, 0.5, 1.5, 1e19, float("nan"), float("inf"), None, True, "", "1.5", "1e3", "0x10", "3.", "1__0", "_1",
            "--3", "\u0663", "three", b"\xff", bytearray(b"3"), [3], (3,), {3}, {"a": 3}, np.array([3, 4]),
            np.array([]), np.timedelta64(5, "s"), 3j, Decimal("NaN"), Decimal("0.5"), Fraction(1, 2),
            timedelta(seconds=3), Path("3"), "9" * 5000, object(), int,
        ],
    ),
    "graph.max_distance": (
        [
            (None, None), (3, 3.0), (0.5, 0.5), (" .5 ", 0.5), ("1e3", 1000.0),
            ("3.", 3.0), (b"0.5", 0.5), (np.float16(0.5), 0.5), (np.int64(3), 3.0),
            (np.array(0.5), 0.5), (Decimal("0.5"), 0.5), (Fraction(1, 2), 0.5), (np.bool_(True), 1.0), (2**70, 2.0**70),
        ],
        [
            0, -0.0, -1, float("nan"), True, "", "nan", "0x10", "1,5", "\u0663", "three", [0.5], {}, 10**400, 1j,
            np.array([0.5, 1]), bytearray(b"3"), memoryview(b"3"), timedelta(seconds=3), Path("3"),
        ],
    ),
    "gnn.correction": ([(0, 0.0), (1, 1.0), ("1", 1.0), (None, None)], [-1e-300, 1.0000001, "nan", "1.5"]),
    "solver.link_threshold": ([(0.001, 0.001), (0.999, 0.999)], [0, 1, -0.0, "0"]),
    "frames.background": (
        [(None, None), (0, 0), (-(2**31) + 1, -(2**31) + 1), (2**63 - 1, 2**63 - 1)],
        [-(2**31), 2**63, 2**70, "9223372036854775808", False],
    ),
    "solver.divisions": (
        [(True, True), (np.bool_(False), False), *((each, True) for each in (1, 1.0, "1", "yes", "On", "TRUE", b"t"))]
        + [(each, False) for each in (0, 0.0, "0", "no", "OFF", "False", "n", np.int64(0))],
        [None, 2, -1, 0.5, "", "maybe", " true", "1.0", [True], float("nan"), bytearray(b"true")],
    ),
    "gnn.brightness": ([(None, None), ("no", False)], ["none", 3]),
    "gnn.device": ([("cpu", "cpu"), (np.str_("cpu"), "cpu")], ["CPU", " cpu", "gpu", "", b"cpu", None, 1, ["cpu"], {}]),
    "train_segmenter.simulated_axes": ([(2, 2), (3.0, 3), (np.int64(3), 3)], ["2", 4, None, [2]]),
    "gnn.model": (
        [(None, None), ("", ""), ("a b", "a b"), (np.str_("a"), "a"), (b"a", "a"), (bytearray(b"a"), "a")],
        [3, 0.5, True, b"\xff", ["a"], Path("a"), np.array([1, 2])],
    ),
    "frames.axes": ([(None, None), ("TZYX", "tzyx"), ("tyx", "tyx"), (b"yx", "yx")], ["", "abc", "yx\n", "t y", 3, []]),
    "frames.position": (
        [(None, None), ("3", "3"), (3, "3"), (0.5, "0.5"), (Decimal("3"), "3"), (b"3", "3")],
        [True, [3], Path("3"), 3j],
    ),
    "frames.channel": (
        [(None, None), (3, 3), (3.0, 3), (b"3", 3), (np.int8(3), 3), ("3", "3"), ("red", "red"), (b"red", "red")],
        [0.5, True, [3], {}, Path("red"), 3j],
    ),
    "frames.spacing": (
        [(None, None), (0.5, (0.5,)), ([1, 0.5], (1.0, 0.5)), (np.array([1.0, 0.5]), (1.0, 0.5)), (("1",), (1.0,))],
        [True, 0, -1, "wide", "0.5", [], [1, 2, 3, 4], [1, None], [1, float("nan")], [[1, 2]], 10**400, 1e10],
    ),
    "frames.interval": (
        [(None, None), (5, 5.0), ("5min", 300.0), ("0,5h", 1800.0), (timedelta(seconds=30), 30.0)],
        [True, 0, -1, "", "later", [5], 10**400, float("inf")],
    ),
    "simulate.shape": (
        [([64, 64], (64, 64)), (("64", 64.0, np.int8(3)), (64, 64, 3)), (np.array([64, 32]), (64, 32))],
        [None, 64, [64], [64] * 4, [64.5, 64], [0, 5], "64", b"64", {64: 1, 65: 2}, [[64, 64]], [64, None]],
    ),
    "simulate.spacing": (
        [(None, None), ([1, 0.5], (1.0, 0.5))],
        [0.5, [0.5], [1, 1, 1], [1, -1], [float("nan"), 1], ["a", 1], "11"],
    ),
    "train_segmenter.options": (
        [
            ({}, {}), ({"a": 1, "b": 0.5, "c": True, "d": "x"}, {"a": 1, "b": 0.5, "c": True, "d": "x"}),
            ({"a": "3"}, {"a": "3"}), ({b"a": np.float32(0.5)}, {"a": 0.5}), ({"a": Number.THREE}, {"a": 3}),
            ({"a": b"true", "b": b"2", "c": b"0.5", "d": b"x"}, {"a": True, "b": 2, "c": 0.5, "d": "x"}),
        ],
        [None, 3, "a", [("a", 1)], {"a": None}, {"a": [1]}, {"a": {"b": 1}}, {1: 2}, {None: 1}, {"a": Path("x")}],
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "text", [r"C:\models\new", 'a "quoted" name', "two\nlines", "tab\tand µm", "\x00\x1f", "back\\", "''' and \"\"\""]
)
def test_any_text_is_read_back(text, tmp_path):
    settings = Settings().replace(gnn__model=text, train_segmenter__options={"name": text, "width": 8, "a b": 0.5})
    (tmp_path / "s.toml").write_text(settings.to_toml(), encoding="utf-8")
    assert Settings.from_toml(tmp_path / "s.toml") == settings


def test_every_setting_is_written_with_its_meaning():
    text = Settings().to_toml()
    for _, section in Settings():
        for name in type(section).fields:
            assert section.describe(name)
            assert f"# {section.describe(name)}\n" in text
            rule = name in {"max_gap", "patch", "link_threshold"} and f"\n# {name} = {getattr(section, name)}\n" in text
            assert f"\n{name} = " in text or f"\n# {name} =\n" in text or rule


@pytest.mark.parametrize("gap", [None, 1, 2, 3, 5])
def test_a_file_of_defaults_leaves_the_rule_for_long_gaps_on(gap, tmp_path):
    settings = Settings() if gap is None else Settings().replace(graph__max_gap=gap)
    (tmp_path / "s.toml").write_text(settings.to_toml(), encoding="utf-8")
    again = Settings.from_toml(tmp_path / "s.toml")
    assert again.graph.max_gap == (gap or 2)
    assert ("max_gap" in again.graph.given) == (gap is not None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"graph": {"max_gap": 0}}, r"'graph\.max_gap' = 0: expected an integer >= 1$"),
        ({"frames": {"background": 2**70}}, r"expected an integer > -2147483648 and < 9223372036854775808$"),
        ({"frames": {"background": -(2**63)}}, r"expected an integer > -2147483648 and < 9223372036854775808$"),
        ({"graph": {"max_gap": 1.5}}, r"'graph\.max_gap' = 1\.5: expected an integer >= 1$"),
        ({"graph": {"max_gap": "a"}}, r"'graph\.max_gap' = 'a': expected an integer >= 1$"),
        ({"graph": {"max_distance": -1}}, r"'graph\.max_distance' = -1: expected a number > 0$"),
        ({"gnn": {"correction": 1.5}}, r"'gnn\.correction' = 1\.5: expected a number >= 0 and <= 1$"),
        ({"solver": {"link_threshold": 1}}, r"'solver\.link_threshold' = 1: expected a number > 0 and < 1$"),
        ({"solver": {"divisions": "maybe"}}, r"'solver\.divisions' = 'maybe': expected true or false$"),
        ({"motion": {"flow": "fast"}}, r"'motion\.flow' = 'fast': expected one of 'auto', 'cells', 'images', 'none'$"),
        ({"train": {"without": ["mood"]}}, r"expected a list of some of 'movie', 'histories', 'rivals'$"),
        ({"train": {"without": "movie"}}, r"expected a list of some of 'movie', 'histories', 'rivals'$"),
        ({"frames": {"axes": "abc"}}, r"'frames\.axes' = 'abc': expected text of the letters t, z, y, x, c$"),
        ({"frames": {"spacing": [1, -1]}}, r"'frames\.spacing' = \[1, -1\]: expected 1 to 3 sizes > 0"),
        ({"frames": {"spacing": [1, 1e-300]}}, r"expected 1 to 3 sizes > 0 in um along z, y, x \(1e-9 to 1e9\)"),
        ({"frames": {"spacing": [1, 1e300]}}, r"expected 1 to 3 sizes > 0 in um along z, y, x \(1e-9 to 1e9\)"),
        ({"frames": {"spacing": "wide"}}, r"'frames\.spacing' = 'wide': expected 1 to 3 sizes > 0"),
        ({"simulate": {"shape": [0, 5]}}, r"the shape of a frame and the size of a pixel are positive"),
        ({"simulate": {"spacing": [float("nan"), 1]}}, r"a pixel has 1e-9 to 1e9 um"),
        ({"graph": 3}, r"'graph' = 3: expected a table"),
        ({"graph": {"max_gaps": 3}}, r"unknown setting 'graph\.max_gaps'; did you mean 'graph\.max_gap'\?"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(changes, message):
    with pytest.raises(SettingsError, match=message):
        Settings.from_dict(changes)


def test_the_file_is_named(tmp_path):
    (tmp_path / "s.toml").write_text("[graph]\nmax_gap = 0\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"s\.toml: settings: 'graph\.max_gap' = 0"):
        Settings.from_toml(tmp_path / "s.toml")
    (tmp_path / "s.toml").write_text("[graph\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"s\.toml: .*TOML.*line 1"):
        Settings.from_toml(tmp_path / "s.toml")


def test_an_argument_replaces_the_setting():
    frames = FrameSettings(spacing=(2.0, 2.0), axes="tyx")
    assert frames.with_given(spacing=None, allow_missing=None) is frames
    assert frames.with_given(spacing=[1, 0.5], allow_missing=True) == FrameSettings(
        spacing=(1.0, 0.5), axes="tyx", allow_missing=True
    )
    assert frames.with_given(spacing=np.array([1.0, 0.5])).spacing == (1.0, 0.5)
    assert frames.with_given(spacing=0.5).spacing == (0.5,)
    with pytest.raises(SettingsError, match=r"'frames\.spacing' = \(0, 1\): expected 1 to 3 sizes > 0"):
        frames.with_given(spacing=(0, 1))


@pytest.mark.parametrize("key", REMOVED)
def test_a_removed_setting_is_ignored_with_a_warning(key, caplog):
    section, name = key.split(".")
    stored = {section: {name: 1}, "graph": {"max_gap": 3}}
    with caplog.at_level(logging.WARNING, "gnntrack"):
        assert Settings.from_dict(stored) == Settings().replace(graph__max_gap=3)
    assert f"the setting '{key}' has been removed and is ignored: {REMOVED[key]}" in caplog.text
    assert drop_removed(stored) == {section: {}, "graph": {"max_gap": 3}}


def name_kind(value):
    return value if isinstance(value, str) and value in VALUES else type(value).__name__


@pytest.mark.parametrize(
    ("key", "value", "result"), [(key, *pair) for key, (taken, _) in VALUES.items() for pair in taken], ids=name_kind
)
def test_a_value_in_another_spelling_is_the_same_value(key, value, result):
    section, name = key.split(".")
    made = getattr(getattr(Settings.from_dict({section: {name: value}}), section), name)
    assert repr(made) == repr(result)  # also of the same type
    assert getattr(type(getattr(Settings(), section))(**{name: value}), name) == result


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key, (_, refused) in VALUES.items() for value in refused],
    ids=name_kind,
)
def test_another_value_is_refused_in_a_sentence(key, value):
    section, name = key.split(".")
    with pytest.raises(SettingsError, match=r"expected |are positive|give one per axis") as error:
        Settings.from_dict({section: {name: value}})
    assert len(error.value.problems) == 1


def test_each_default_is_a_value_of_its_setting():
    for _, section in Settings():
        for name, field in section.fields.items():
            assert repr(convert_value(field.default, field)) == repr(getattr(section, name)) == repr(field.default)
            assert getattr(type(section), name) == field.default


def test_all_problems_are_told_together_in_the_order_of_the_settings():
    with pytest.raises(SettingsError) as error:
        Settings(graph={"max_distance": 0, "max_gap": "a"}, cells={"min_size": -1}, simulate={"shape": (0, 5)})
    assert error.value.problems == (
        "'cells.min_size' = -1: expected an integer >= 0",
        "'graph.max_gap' = 'a': expected an integer >= 1",
        "'graph.max_distance' = 0: expected a number > 0",
        "'simulate': the shape of a frame and the size of a pixel are positive; a pixel has 1e-9 to 1e9 um",
    )


@pytest.mark.parametrize("values", [{1: 2}, {None: 1}, {"graph": {1: 2}}, {"graph": {b"a": 1}}, {"graph": {(): 1}}])
def test_a_key_that_is_not_text_is_refused(values):
    with pytest.raises(SettingsError, match=r"unknown setting .*; did you mean"):
        Settings.from_dict(values)


@pytest.mark.parametrize(
    "make",
    [
        copy.copy,
        copy.deepcopy,
        lambda settings: pickle.loads(pickle.dumps(settings)),
        lambda settings: Settings(**dict(settings)),
        lambda settings: Settings.from_dict(settings.to_dict()),
        lambda settings: Settings.from_dict(json.loads(settings.to_json())),
        lambda settings: Settings.from_dict(settings.to_dict(plain=True)),
    ],
)
def test_a_copy_is_equal(make):
    settings = Settings().replace(graph__max_gap=3, frames__spacing=0.5, train_segmenter__options={"a": 1})
    assert make(settings) == settings != Settings()
    assert repr(make(settings)) == repr(settings)
    assert make(GraphSettings(max_gap=3)) == GraphSettings(max_gap=3) if make in (copy.copy, copy.deepcopy) else True
    assert hash(GraphSettings(max_gap=3)) == hash(copy.copy(GraphSettings(max_gap=3)))


def test_settings_know_which_values_were_given():
    assert Settings().graph.given == frozenset()
    assert Settings.from_dict({"graph": {"max_gap": 2}}).graph.given == {"max_gap"}
    assert copy.deepcopy(GraphSettings(max_gap=2)).given == {"max_gap"}
    assert GraphSettings(max_gap=2).replace(max_distance=3).given == {"max_gap", "max_distance"}


@pytest.mark.parametrize("changes", [{}, {"frames__spacing": 0.5}, {"output__pictures": False}, {"graph__max_gap": 2}])
def test_a_copy_knows_which_values_were_given(changes):
    before = Settings(graph={"max_distance": 9}, motion={"drift": False})
    changed = before.replace(**changes)
    for name, section in changed:
        own = {key.partition("__")[2] for key in changes if key.startswith(f"{name}__")}
        assert section.given == getattr(before, name).given | own


def test_settings_do_not_change():
    graph = GraphSettings()
    for change in (
        lambda: setattr(graph, "max_gap", 3),
        lambda: setattr(graph, "other", 3),
        lambda: delattr(graph, "max_gap"),
    ):
        with pytest.raises(SettingsError, match=r"settings do not change; make a copy .* replace\("):
            change()
    assert graph == GraphSettings()
    Settings().train_segmenter.options["a"] = 1
    TrainSegmenterSettings().options["a"] = 1
    assert Settings().train_segmenter.options == TrainSegmenterSettings().options == {}


def test_a_section_shows_its_names():
    assert repr(GraphSettings(max_gap=3)) == "GraphSettings(max_gap=3, max_neighbours=6, max_distance=None)"
    assert str(inspect.signature(CellSettings)).endswith("neighbours: int = 6, max_merge: int = 6)")
    assert GraphSettings() != CellSettings()
    assert FrameSettings(spacing=2).to_dict(include={"spacing", "axes"}, plain=True) == {"spacing": [2.0], "axes": None}
    assert "frames" not in Settings().to_dict(exclude={"frames"})
    with pytest.raises(SettingsError, match=r"give one per axis"):
        SimulateSettings().replace(spacing=(1, 1, 1))


def test_names_of_earlier_versions_warn():
    graph = GraphSettings(max_gap=3)
    for make, result in (
        (lambda: graph.model_dump(mode="json", include={"max_gap"}), {"max_gap": 3}),
        (lambda: json.loads(graph.model_dump_json()), graph.to_dict()),
        (lambda: Settings().model_copy(update={"graph": graph}), Settings(graph=graph)),
        (lambda: GraphSettings.model_validate({"max_gap": 3}), graph),
        (lambda: GraphSettings.model_validate(graph), graph),
    ):
        with pytest.warns(DeprecationWarning, match=r"model_\w+ of settings is deprecated; use "):
            assert make() == result


@pytest.mark.parametrize("values", [None, [("graph", {})], "graph", 3, {"graph"}])
def test_settings_that_are_not_a_table_are_refused(values):
    with pytest.raises(SettingsError, match="expected a table"):
        Settings.from_dict(values)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_file_of_an_editor_that_marks_its_encoding_is_read(ending, tmp_path):
    (tmp_path / "s.toml").write_bytes(f"\ufeff[graph]{ending}max_gap = 3{ending}".encode())
    assert Settings.from_toml(tmp_path / "s.toml").graph.max_gap == 3


@pytest.mark.parametrize("size", [np.float32(0.5), np.array(0.5), Decimal("0.5"), Fraction(1, 2), np.array([0.5])])
def test_one_pixel_size_of_any_library_is_for_all_axes(size):
    assert FrameSettings(spacing=size).spacing == (0.5,)


@pytest.mark.parametrize("size", [b"12", bytearray(b"12"), np.bool_(True), "12"])
def test_a_pixel_size_that_is_not_a_number_is_refused(size):
    with pytest.raises(SettingsError, match="expected 1 to 3 sizes"):
        FrameSettings(spacing=size)


@pytest.mark.parametrize("position", [3, np.int64(3), np.uint8(3), np.array(3), Decimal(3)])
def test_a_position_may_be_a_number(position):
    assert FrameSettings(position=position).position == "3"


@pytest.mark.parametrize("value", [list(range(10**5)), "9" * 10**4, {"a": "b" * 10**4}])
def test_a_message_does_not_repeat_a_long_value(value):
    for refused in ({"graph": {"max_gap": value}}, {"graph": [value]}):
        with pytest.raises(SettingsError, match=r"\.\.\.: expected") as caught:
            Settings.from_dict(refused)
        assert len(str(caught.value)) < 300
