"""Counted words in messages: 1 frame, 2 frames."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from support.prose import ROOT

import gnntrack
from gnntrack.cli import cli
from gnntrack.errors import GnntrackError
from gnntrack.io.frames import open_frames
from gnntrack.plurals import choose_form, count_noun

NOUNS = (
    "axes|bytes|branches|cells|channels|columns|digits|divisions|errors|families|fields|folders|fragments|frames|images"
    "|labels|links|masks|meshes|movies|numbers|pieces|pixels|positions|rows|slices|spots|steps|times|tracks|values|warnings|names|units"
)
ALWAYS_MORE = {  # counts that are never 1 where they are shown
    "gnntrack/io/series.py": {"depth", "len(names)"},
    "gnntrack/io/patterns.py": {"len(values)"},
    "gnntrack/io/images.py": {"count", "pixels.shape[-1]"},
    "gnntrack/evaluate/segmentation.py": {"pixels.shape[-1]"},
    "gnntrack/simulate/movie.py": {"len(tracks)"},
    "gnntrack/io/ctc.py": {"len(row)"},
    "segmenters/common/inputs.py": {"count"},  # words
}


def list_counts(file):
    """Return the values that are followed by a noun in the plural in the f-strings of a file, with their lines."""
    found = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        parts = node.values if isinstance(node, ast.JoinedStr) else []
        for value, text in pairwise(parts):
            plural = isinstance(text, ast.Constant) and re.match(rf" (?:{NOUNS})\b", str(text.value))
            if isinstance(value, ast.FormattedValue) and plural:
                found.append((value.lineno, ast.unparse(value.value)))
    return found


def test_counts_in_messages_use_the_noun_for_one():
    """``{len(frames)} frames`` reads 1 frames."""
    wrong = []
    for package in ("gnntrack", "segmenters"):
        for file in sorted(Path(ROOT, package).rglob("*.py")):
            name = file.relative_to(ROOT).as_posix()
            known = ALWAYS_MORE.get(name, set())
            wrong += [
                f"{name}:{line}: {value}"
                for line, value in list_counts(file)
                if re.search(r"\blen\(|n_frames|\.sum\(|\bcount\b|\bnumber\b|\.shape\[|\bn\b|_cells\b", value)
                and value not in known
                and not value.startswith(("count_noun(", "' x '.join("))
            ]
    assert not wrong, "use gnntrack.plurals.count_noun:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("number", "nouns", "text"),
    [
        (0, ("frame",), "0 frames"),
        (1, ("frame",), "1 frame"),
        (2, ("frame",), "2 frames"),
        (np.int64(1), ("branch", "branches"), "1 branch"),
        (np.uint16(3), ("branch", "branches"), "3 branches"),
        (1.0, ("step",), "1 step"),
        (True, ("short track",), "1 short track"),
    ],
)
def test_nouns(number, nouns, text):
    assert count_noun(number, *nouns) == text


@pytest.mark.parametrize(("number", "verb"), [(0, "are"), (1, "is"), (2, "are"), (np.int8(1), "is")])
def test_forms(number, verb):
    assert choose_form(number, "is", "are") == verb


def make_cell(frames=1):
    """A movie of one cell with a single arm."""
    masks = np.zeros((frames, 32, 32), np.uint8)
    masks[:, 8:20, 8:20], masks[:, 13:15, 20:30] = 1, 1
    return masks


def run(*words):
    return CliRunner().invoke(cli, [str(word) for word in words])


def list_odd_plurals(text):
    return re.findall(r"(?<![\d.])\b1 (?!of)[a-z]+s\b(?<!ss|is)", text)


@pytest.mark.parametrize("command", ["track", "shape", "info", "export", "validate", "build-graph", "import"])
def test_commands_on_one_cell_in_one_frame(command, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    tifffile.imwrite(folder / "t000.tif", make_cell()[0], photometric="minisblack")
    out = tmp_path / "out"
    if command in {"export", "validate"}:
        gnntrack.track(masks=folder, out=tmp_path / "01_RES")
    words = {
        "track": ["--masks", folder, "-o", out],
        "shape": [folder, "-o", out],
        "info": [folder],
        "export": [tmp_path / "01_RES", "--to", "csv", "-o", out],
        "validate": [tmp_path / "01_RES", "--images", np.save(tmp_path / "a.npy", make_cell(2)) or tmp_path / "a.npy"],
        "build-graph": ["--masks", folder, "-o", tmp_path / "g.geff"],
        "import": [folder, "-o", out],
    }
    done = run(command, *words[command])
    assert list_odd_plurals(done.stdout + done.stderr) == []
    assert done.stdout


MESSAGES = {
    "images and masks": lambda: gnntrack.track(make_cell(1)[:, :, ::-1] * 100 + np.arange(32), make_cell(3)),
    "a list": lambda: gnntrack.track(masks=[3]),
    "axes": lambda: gnntrack.track(masks=make_cell(), axes="y"),
    "a frame that does not exist": lambda: gnntrack.track(masks=make_cell()).labels()[7],
    "a movie": lambda: open_frames(make_cell())[4],
}


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.filterwarnings("ignore::gnntrack.GnntrackWarning")
def test_messages_about_one(name):
    with pytest.raises((GnntrackError, IndexError)) as caught:
        MESSAGES[name]()
    assert list_odd_plurals(str(caught.value)) == []
    assert re.search(r"\b1 [a-z]+\b", str(caught.value))
