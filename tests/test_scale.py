"""Large simulated movies: accuracy, memory and time of `gnntrack track`, a short form of ``benchmarks/scale.py``."""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

import gnntrack

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """Import a program of the benchmarks by its name."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


def read_truth(folder):
    with np.load(folder / "truth.npz") as arrays:
        return dict(arrays)


def test_points_of_five_thousand_cells_are_linked_and_their_divisions_found(load, tmp_path):
    movies, scores = load("scale_movies"), load("scale_scores")
    about = movies.write_points(movies.Nuclei(5000, 50), 1000, tmp_path)
    gnntrack.track(points=tmp_path / "points.csv", out=tmp_path / "result", pictures=False)
    truth = read_truth(tmp_path)
    assert len(truth["frame"]) == about["cells"]
    found = scores.score_links(scores.read_links(tmp_path / "result", truth), truth)
    assert found["links_found"] > 0.98
    assert found["links_right"] > 0.98
    assert found["divisions"] > 10


def test_the_true_links_are_all_found_and_right(load, tmp_path):
    movies, scores = load("scale_movies"), load("scale_scores")
    movies.write_points(movies.Nuclei(2000, 40), 1000, tmp_path)
    truth = read_truth(tmp_path)
    rows = np.flatnonzero(truth["track"] >= 0)
    track = truth["track"][rows].astype(np.int64)
    links = scores.link_tracks(rows, track + 1, truth["mother"].astype(np.int64)[track] + 1)
    found = scores.score_links(links, truth)
    assert [found[name] for name in ("links_found", "links_right", "division_f1")] == [1, 1, 1]
    assert scores.score_links(links[1:], truth)["links_found"] == round(1 - 1 / len(links), 4)


def test_masks_and_images_show_the_same_cells_as_the_truth(load, tmp_path):
    movies = load("scale_movies")
    movies.write_masks(movies.Nuclei(600, 4), 1000, tmp_path, images=True)
    truth = read_truth(tmp_path)
    import tifffile

    for t in range(4):
        labels = tifffile.imread(tmp_path / "masks" / f"t{t:04d}.tif")
        assert np.array_equal(np.unique(labels)[1:], truth["label"][truth["frame"] == t])
        assert tifffile.imread(tmp_path / "images" / f"t{t:04d}.tif")[labels > 0].mean() > 60


def test_a_model_of_a_cluster_adds_up(load):
    model = load("scale_model")
    stage = {"seconds": 2.0, "cpu_seconds": 2.0, "peak_mb": 1.0}
    row = {
        "cells": 100,
        "bytes": 2000,
        "output_bytes": 5000,
        "stages": {"scales": stage, "windows": stage, "join": stage},
    }
    costs = model.collect_costs(row)
    assert costs == model.Costs(2.0, 0.02, 0.02, 20, 0, 50)


def test_a_command_over_its_limit_of_memory_is_ended_with_its_children(load):
    measure = load("scale_run").measure_command
    take = "import time; held = bytearray(300_000_000); time.sleep(20)"
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {take!r}])"
    found = measure([sys.executable, "-c", start], most_seconds=20, most_gb=0.2)
    assert found["failed"] == "memory limit"
    assert found["seconds"] < 10


@pytest.mark.slow
def test_a_hundred_thousand_points_take_little_memory_and_time(load, tmp_path):
    movies, scores, measure = load("scale_movies"), load("scale_scores"), load("scale_run").measure_command
    movies.write_points(movies.find_shape(100_000), 1000, tmp_path)
    command = [
        sys.executable,
        "-m",
        "gnntrack",
        "track",
        "--points",
        tmp_path / "points.csv",
        "-o",
        tmp_path / "result",
    ]
    unit = calibrate()
    used = measure(command, most_seconds=600, most_gb=2)
    assert "failed" not in used, used
    truth = read_truth(tmp_path)
    found = scores.score_links(scores.read_links(tmp_path / "result", truth), truth)
    assert found["links_found"] > 0.985
    assert found["links_right"] > 0.98
    assert found["division_f1"] > 0.5
    assert used["peak_mb"] < 900
    assert used["cpu_seconds"] < 25 * unit, (used, unit)
    stages = json.loads((tmp_path / "result" / "gnntrack" / "summary.json").read_text())["stages"]
    assert {"reading", "graph", "scores", "solving", "writing"} <= stages.keys()


def calibrate():
    """Return the processor time of a task of a fixed size: neighbours of 100,000 points and a sort, five times."""
    rng = np.random.default_rng(0)
    place, values = rng.random((100_000, 2)), rng.random(2_000_000)
    start = time.process_time()
    for _ in range(5):
        cKDTree(place).query(place, 10)
        np.sort(values)
    return time.process_time() - start
