"""The tables of the benchmark of imperfect masks."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def imperfect(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("imperfect")


def make_row(movie, method, chota, masks="", goal=""):
    figures = dict.fromkeys(("LNK", "TRA", "BIO(1)", "division_f1(1)"), 0.5) | {"CHOTA": chota}
    if method == "koft":
        figures["division_f1(1)"] = None
    return {"movie": movie, "version": "hard", "method": method, "masks": masks, "goal": goal, "figures": figures}


def read_lines(table):
    return {cells[0]: cells[1:] for cells in (line.strip("| ").split(" | ") for line in table.splitlines()[2:])}


def test_means_and_differences_are_those_of_the_movies_that_were_measured(imperfect):
    first, second, _ = list(imperfect.MOVIES)[:3]
    rows = [
        make_row(first, "koft", 0.8),
        make_row(second, "koft", 0.6),
        {"movie": second, "version": "hard", "method": "laptrack", "masks": "", "goal": "", "failed": "Error"},
        *(make_row(first, "gnn", chota, "repaired", goal) for goal, chota in (("ctc", 0.9), ("identity", 0.95))),
        make_row(first, "gnn", 0.7, "kept", "ctc"),
    ]
    means = read_lines(imperfect.format_means(rows))
    assert means["hard, KOFT"] == ["0.5000", "0.5000", "0.7000", "0.5000", "-"]
    assert means["hard, `gnn` (1 movie of 2)"][2] == "0.9000 / 0.9500"
    assert means["hard, `gnn`, masks kept (1 movie of 2)"][2] == "0.7000"
    assert means["hard, laptrack (1 movie of 2)"][2] == "-"
    assert read_lines(imperfect.format_differences(rows)) == {
        "hard, `gnn` - KOFT (1 movie)": ["+0.0000", "+0.0000", "+0.1000", "+0.0000", "-"]
    }


def test_rows_of_other_programs_are_those_of_the_same_masks(imperfect):
    rows = list(imperfect.read_peers())
    assert {(row["method"], row["version"]) for row in rows} == {
        (method, version) for method in imperfect.PEERS for version in ("clean", "hard")
    }
    assert all(set(imperfect.METRICS) <= row["figures"].keys() for row in rows)
