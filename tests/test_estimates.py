"""Estimates of processor time, memory and disk space, compared with what tracking takes in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gnntrack.estimates import Workload, count_links, estimate_memory, estimate_tracking, measure_speed
from gnntrack.inspection import inspect_movie
from gnntrack.io.frames import open_masks
from gnntrack.measure.cells import measure_cells
from gnntrack.pipeline import build_graph, simulate
from gnntrack.point_inspection import inspect_points
from gnntrack.settings import Settings

MEASURED = Path(__file__).resolve().parents[1] / "benchmarks" / "measured.py"


def track(words, out):
    """Return the seconds of the processor, and the bytes of memory and of the result, of a fresh process."""
    command = [sys.executable, str(MEASURED), sys.executable, "-m", "gnntrack", "track", *map(str, words), "-o", out]
    used = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    disk = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    return {"time": used["cpu_seconds"], "memory": used["peak_mb"] * 1e6, "disk": disk}


def expect_within_two(estimate, taken):
    ratio = {name: estimate[name] / taken[name] for name in taken}
    assert all(0.5 <= each <= 2 for each in ratio.values()), ratio


def tile(array, times):
    """Repeat frames side by side; labels of each copy are new."""
    step = int(array.max()) + 1 if array.dtype == np.int32 else 0
    rows = [np.concatenate([np.where(array > 0, array + step * k, 0) for k in range(times)], axis=-1)]
    rows += [np.where(rows[0] > 0, rows[0] + step * times * k, 0) for k in range(1, times)]
    return np.concatenate(rows, axis=-2)


@pytest.mark.skipif(sys.platform == "win32", reason="the peak memory of a process is not known on Windows")
@pytest.mark.parametrize("way", ["hungarian", "gnn with images"])
def test_tracking_takes_what_was_estimated_within_a_factor_of_two(tmp_path, way):
    times = 6 if way == "hungarian" else 2
    movie = simulate(frames=12, cells=12, shape=(170, 170), images=way != "hungarian", seed=3)
    np.save(tmp_path / "masks.npy", tile(np.asarray(movie.masks), times))
    words = ["--masks", tmp_path / "masks.npy"]
    if way != "hungarian":
        np.save(tmp_path / "images.npy", tile(np.asarray(movie.images), times))
        words += [tmp_path / "images.npy", "--method", "gnn"]
    estimate = inspect_movie(tmp_path / "masks.npy")["tracking"][way]
    expect_within_two(estimate, track(words, tmp_path / "out"))


@pytest.mark.slow
@pytest.mark.parametrize("count", [300, 8000])
def test_tracking_points_takes_what_was_estimated(tmp_path, count):
    random = np.random.default_rng(4)
    place = random.uniform(0, 8 * count ** (1 / 3), (count, 3))
    rows = [np.insert(place + random.normal(0, 0.5, place.shape), 0, t, axis=1) for t in range(12)]
    np.savetxt(tmp_path / "p.csv", np.concatenate(rows), delimiter=",", header="frame,z,y,x", comments="", fmt="%.2f")
    estimate = inspect_points(tmp_path / "p.csv", settings=Settings())["tracking"]["points"]
    expect_within_two(estimate, track(["--points", tmp_path / "p.csv"], tmp_path / "out"))


@pytest.mark.slow
def test_segmenting_and_tracking_images_takes_what_was_estimated(tmp_path):
    movie = simulate(frames=30, cells=25, shape=(300, 300), seed=6)
    np.save(tmp_path / "images.npy", np.asarray(movie.images))
    estimate = inspect_movie(tmp_path / "images.npy")["tracking"]["threshold"]
    expect_within_two(estimate, track([tmp_path / "images.npy"], tmp_path / "out"))


def test_links_of_a_long_movie_are_counted_in_some_frames(monkeypatch):
    movie, settings = simulate(frames=60, cells=8, shape=(120, 120), images=False, seed=2), Settings()
    cells = measure_cells(open_masks(np.asarray(movie.masks)), settings=settings.cells)[0]
    monkeypatch.setattr("gnntrack.estimates._SAMPLE", 200)
    assert count_links(cells, settings) == pytest.approx(len(build_graph(masks=movie.masks)), rel=0.15)
    assert count_links(cells.select(cells.frame < 0), settings) == 0


def test_more_cells_take_more_of_everything_and_a_fast_processor_less_time():
    small, large = (Workload(20, (500, 500), n, 8.0 * n, 25 * n) for n in (1_000, 300_000))
    for way in ("hungarian", "hungarian with images", "gnn with images", "points"):
        few, many = (estimate_tracking(load, way) for load in (small, large))
        assert all(each < other for each, other in zip(few, many, strict=True))
        assert estimate_tracking(large, way, speed=2.0).time == many.time / 2
        assert estimate_memory(large, way) == many.memory > estimate_memory(large, way, window=1_000) > 1e8
    assert 0.02 < measure_speed() < 50


def test_images_without_cells_have_no_estimate(tmp_path):
    np.save(tmp_path / "images.npy", np.random.default_rng(0).normal(100, 1, (3, 40, 40)))
    assert inspect_movie(tmp_path / "images.npy")["tracking"] == {}
