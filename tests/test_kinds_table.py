"""Networks on kinds that they have not seen: which data they learn from, and what the tables say."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from gnntrack.settings import Settings

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """Return a module of the benchmarks."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


def make_row(kind, version, method, lnk, *, f1=None, chota=0.9):
    figures = {"LNK": lnk, "division_f1(1)": f1, "BIO(1)": 0.5, "CHOTA": chota, "divisions": 0 if f1 is None else 9}
    return {"protocol": "kinds", "sequence": kind, "twin": version, "method": method, "figures": figures}


def find_cells(parts, title):
    """Return the cells of the first line of the tables that starts with a title."""
    lines = [line for part in parts for line in part.splitlines()]
    return next(line for line in lines if line.startswith(f"| {title} |")).strip("| ").split(" | ")


ROWS = [
    *(make_row("A", "plain", method, lnk, f1=f1) for method, lnk, f1 in [("gnn", 0.98, 0.8), ("hungarian", 0.96, 0.7)]),
    *(make_row("B", "plain", method, lnk, f1=f1) for method, lnk, f1 in [("gnn", 0.99, 0.5), ("hungarian", 1.0, 0.6)]),
    make_row("B", "hard", "gnn", 0.9, chota=0.7),
    make_row("B", "hard", "hungarian", 0.9, chota=0.7),
    make_row("B", "hard", "koft", 0.8, chota=0.6),
    {"protocol": "kinds", "sequence": "A", "twin": "hard", "method": "koft", "failed": "no images"},
]


def test_a_mean_gain_does_not_hide_the_versions_that_are_worse(load):
    parts = list(load("kinds_table").format_kinds(ROWS))
    cells = find_cells(parts, "`gnn`")
    assert cells[:2] == ["`gnn`", "3"]
    assert cells[6:8] == ["1", "+0.0100 (B, plain)"]
    assert cells[9:] == ["1", "-0.100 (B, plain)"]
    assert find_cells(parts, "versions with LNK lower by > 0.0005")[3] == "**no**"


def test_the_ratio_counts_versions_without_any_error(load):
    parts = list(load("kinds_table").format_kinds(ROWS))
    ratios = [0.021 / 0.041, 0.011 / 0.001, 1.0]
    assert find_cells(parts, "LNK error, mean of the fractions")[1] == f"{np.mean(ratios):.2f}"


def test_equal_means_of_two_methods_are_both_shown(load):
    cells = find_cells(load("kinds_table").format_kinds(ROWS), "`koft`")
    assert "koft" in cells[0]
    parts = list(load("kinds_table").format_kinds(ROWS))
    means = next(part for part in parts if part.startswith("| method | versions | LNK error | division F1 |"))
    assert "| `koft` | 1 | .2000 / .1000 / .1000 |" in means


def test_a_network_learns_from_no_kind_of_its_group(load, monkeypatch, tmp_path):
    groups, folds = load("kind_groups"), load("folds")
    for kind in groups.KINDS:
        if kind.truth:
            (tmp_path / kind.truth).mkdir(parents=True)
    monkeypatch.setattr(folds, "find_sequences", lambda folder: [folder.name])
    left_out = {kind.dataset or kind.name for kind in groups.KINDS if kind.group == 1}
    fold = folds.make_kind_fold(1, tmp_path, tmp_path / "more")
    made = []
    monkeypatch.setattr(folds, "_load_or_make", lambda name, *_: made.append(name) or [])
    settings = Settings().replace(train__simulated=16, train__simulated_kinds=["all"])
    folds.load_samples(replace(fold, parts=()), network="linknet", settings=settings, work=tmp_path)
    learnt = {name for name, _ in fold.parts} | {name.split()[1] for name in made}
    assert len(left_out) == 4
    assert not learnt & left_out
    assert len(learnt | left_out) == len(groups.KINDS)
    assert len(made) == 12  # two movies of each of the other kinds


def test_frames_from_the_middle_of_a_movie_are_a_movie(load, tmp_path):
    perturbed, sequences = load("perturbed"), load("gnntrack.training.sequences")
    truth = tmp_path / "data" / "01_GT" / "TRA"
    truth.mkdir(parents=True)
    for t in range(6):
        tifffile.imwrite(truth / f"man_track{t:03d}.tif", np.full((4, 4), 1 if t < 3 else 2, np.uint16))
    (truth / "man_track.txt").write_text("1 0 2 0\n2 3 5 1\n")
    [sequence] = sequences.find_sequences(tmp_path / "data")
    part = perturbed.write_frames(sequence, tmp_path / "part", range(2, 5))
    assert sorted(file.name for file in part.masks.iterdir()) == [f"mask{t:03d}.tif" for t in range(3)]
    assert (part.truth / "man_track.txt").read_text() == "1 0 0 0\n2 1 2 1\n"
    assert tifffile.imread(part.truth / "man_track001.tif").max() == 2


def test_methods_have_one_order_in_all_tables(load):
    names = {f"gnn without {i}" for i in range(9)}
    assert load("record").sort_methods(names) == sorted(names)
