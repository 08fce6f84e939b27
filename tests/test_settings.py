"""Settings: read, written, checked, and the keys of earlier versions."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from gnntrack.errors import SettingsError
from gnntrack.settings import REMOVED, FrameSettings, Settings, drop_removed


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
        for name in type(section).model_fields:
            assert section.describe(name)
            assert f"# {section.describe(name)}\n" in text
            assert f"\n{name} = " in text or f"\n# {name} =\n" in text


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
