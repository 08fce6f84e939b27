"""Points that are tracked in windows: the same tracks as those of the whole movie."""

import json
from functools import partial

import numpy as np
import pytest

import gnntrack
from gnntrack.cluster import run_job
from gnntrack.movie_scales import MovieScales, use_scales
from gnntrack.settings import Settings
from gnntrack.windows import points
from gnntrack.windows.point_job import PointJob
from gnntrack.windows.point_join import join_windows


def simulate_points(frames=56, cells=12, *, seed=1001, drift=0.0):
    """Return detections (N, 3) of cells that move, divide twice and are missed, with clutter."""
    rng = np.random.default_rng(seed)
    place, step = rng.uniform(0, 150, (cells, 2)), rng.normal(0, 1, (cells, 2))
    rows = []
    for frame in range(frames):
        step = 0.7 * step + rng.normal(0, 0.7, step.shape)
        place = np.clip(place + step, 0, 150)
        if frame in (17, 34):
            place, step = np.vstack([place, place[:2] + 8]), np.vstack([step, -step[:2]])
        seen = np.vstack([place[rng.random(len(place)) > 0.05], rng.uniform(0, 150, (1, 2))])
        rows.append(np.column_stack([np.full(len(seen), frame), seen + drift * frame]))
    return np.vstack(rows)


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    path = tmp_path_factory.mktemp("points") / "points.csv"
    np.savetxt(path, simulate_points(drift=0.4), "%.3f", ",", header="t,y,x", comments="")
    return path


def test_windows_give_the_same_files_as_the_whole(movie, tmp_path, monkeypatch):
    gnntrack.track(points=movie, out=tmp_path / "whole", pictures=False)
    monkeypatch.setattr(points, "MOST_CELLS", 100)
    monkeypatch.setattr(points, "PointJob", partial(PointJob, halo=24, most_cells=650))
    lineage = gnntrack.track(points=movie, out=tmp_path / "windows", pictures=False)
    assert lineage.provenance.other["windows"]["count"] > 1
    summary = json.loads((tmp_path / "windows" / "gnntrack" / "summary.json").read_text(encoding="utf-8"))
    assert summary["windows"] == lineage.provenance.other["windows"]
    for name in ("points.csv", "cells.csv", "tracks.csv", "review.csv"):
        whole, parts = ((tmp_path / kind / "gnntrack" / name).read_bytes() for kind in ("whole", "windows"))
        assert whole == parts, name


def test_a_job_reads_its_points_and_is_continued(movie, tmp_path):
    job = PointJob(movie, Settings(), halo=8, most_cells=500, most_sampled=300)
    run_job(job, tmp_path)
    first = join_windows(job, tmp_path)
    assert len(job.list_sample(tmp_path)) == 1
    assert len(job.list_windows(tmp_path)) > 1
    run_job(job, tmp_path, resume=True)
    again = join_windows(job, tmp_path)
    assert np.array_equal(first.track, again.track)
    assert len(first.cells) >= len(simulate_points())


class Known(dict):
    """Scales that record which ones are asked for in vain."""

    def __contains__(self, name):
        if found := super().__contains__(name):
            return found
        raise AssertionError(name)


def test_all_estimates_from_a_movie_are_known_in_its_windows(movie):
    scales = MovieScales()
    with use_scales(scales):
        whole = gnntrack.track(points=movie)
    known = MovieScales({"any": 0})
    known.values = Known(json.loads(json.dumps(scales.values)))
    with use_scales(known):
        again = gnntrack.track(points=movie)
    assert np.array_equal(whole.confidence, again.confidence)
