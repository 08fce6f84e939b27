"""Training data that are points with their tracks: as points, and as masks of balls."""

from __future__ import annotations

import numpy as np
import pytest

from gnntrack.errors import InputError
from gnntrack.settings import Settings
from gnntrack.training.movies import open_training_movies
from gnntrack.training.point_folders import open_tracked_movies
from gnntrack.training.samples import make_sample

SETTINGS = Settings().replace(train__held_out=0.0)


def write_table(folder, *, radius=True, name="track", lineage="1 0 3 0\n2 4 7 1\n3 4 7 1\n4 0 7 0\n"):
    """Write eight frames of two cells, of which one divides into two after the fourth frame::

    track 1   at y 10, frames 0 to 3         track 4   at y 50, frames 0 to 7
    track 2   at y  6, frames 4 to 7
    track 3   at y 14, frames 4 to 7
    """
    truth = folder / "DATA" / "01_GT" / "TRA"
    truth.mkdir(parents=True)
    (truth / "man_track.txt").write_text(lineage)
    rows = [(t, 1, 10.0) for t in range(4)] + [(t, 4, 50.0) for t in range(8)]
    rows += [(t, track, y) for t in range(4, 8) for track, y in ((2, 6.0), (3, 14.0))]
    lines = [f"{t},{track},{20 + t % 2},{y},{30 + t}" + (",5" if radius else "") for t, track, y in rows]
    header = f"t,{name},z,y,x" + (",radius" if radius else "")
    (folder / "DATA" / "01_points.csv").write_text("\n".join([header, *lines]) + "\n")
    return folder / "DATA"


@pytest.mark.parametrize("radius", [True, False])
def test_tracked_points_are_masks_of_balls(tmp_path, radius):
    (movie,), _ = open_training_movies(
        [write_table(tmp_path, radius=radius)], None, simulated=0, seed=0, settings=SETTINGS
    )
    assert movie.name == "DATA 01"
    assert movie.n_frames == 8
    assert [np.unique(movie.markers[t]).tolist() for t in (0, 7)] == [[0, 1, 4], [0, 2, 3, 4]]
    sample = make_sample(movie)
    assert (sample.track > 0).all()
    assert int(sample.truth.pair.sum()) == 1
    assert int(sample.truth.link.sum()) == 16  # 3 + 7 + 2 x 3 within tracks; those to the daughters are a pair


def test_tracked_points_are_points(tmp_path):
    (movie,), _ = open_tracked_movies([write_table(tmp_path)], None, simulated=0, seed=0, settings=SETTINGS)
    assert (movie.n_frames, len(movie.track), movie.detected, movie.sparse) == (8, 20, False, False)
    assert movie.points.position[0].tolist() == [20, 10, 30]
    assert set(movie.points.radius) == {5.0}


def test_tables_that_do_not_fit_are_refused(tmp_path):
    folder = write_table(tmp_path / "a", lineage="1 0 3 0\n2 4 7 1\n3 4 7 1\n")
    with pytest.raises(InputError, match=r"01_points.csv: 8 points of track 4, which is not in .*man_track.txt"):
        open_training_movies([folder], None, simulated=0, seed=0, settings=SETTINGS)
    detections = write_table(tmp_path / "b", name="score")
    with pytest.raises(InputError, match=r"or the points of the tracks in .*01_points.csv"):
        open_training_movies([detections], None, simulated=0, seed=0, settings=SETTINGS)
