"""The code of docs/python.md and of the README runs, from top to bottom, as a user would copy it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("page", ["docs/python.md", "README.md"])
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    names = {}
    for block in code:
        exec(compile(block, page, "exec"), names)
    assert code
    assert (tmp_path / "01_RES" / "res_track.txt").exists()
    shown = capsys.readouterr().out
    if page == "README.md":
        assert len(code) == 1
        assert re.fullmatch(r"\d+ tracks of \d+ cells\n", shown)
    else:
        assert "<Lineage: " in shown
        assert "no such file or folder; check the path" in shown
        assert len(names["again"]) == len(names["lineage"])
        assert names["area"][0] > 20
