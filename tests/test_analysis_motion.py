"""Motion of lineages: analytic cases, odd tracks, drift, units."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support.walks import list_rows, make_lineage, walk_freely, walk_persistently

import gnntrack
from gnntrack import analysing
from gnntrack.analysis import arrange_timelines, estimate_drift, measure_displacements
from gnntrack.cli import cli
from gnntrack.errors import InputError, OutputError, SettingsError


def quantity(analysis, name):
    return analysis.movie.set_index("quantity").loc[name]


def straight(tracks=3, frames=20, speed=2.0, ndim=2):
    directions = np.random.default_rng(0).normal(size=(tracks, ndim))
    directions *= speed / np.linalg.norm(directions, axis=1)[:, None]
    return directions[:, None] * np.arange(frames)[None, :, None]


def test_straight_lines_are_straight():
    analysis = gnntrack.analyse(make_lineage(list_rows(straight()), interval=300.0))
    tracks = analysis.tracks
    assert np.allclose(tracks["directionality"], 1)
    assert np.allclose(tracks["mean_speed_um_per_min"], 2 / 5)
    assert np.allclose(tracks["msd_exponent"], 2)
    assert np.allclose(tracks["turning_cosine"], 1)
    assert analysis["msd_exponent"] == pytest.approx(2, abs=0.01)
    assert math.isnan(analysis["persistence"])  # longer than the lags


def test_a_turn_has_its_angle():
    corner = np.array([[[0, 0], [0, 3], [4, 3], [0, 3]]])
    analysis = gnntrack.analyse(make_lineage(list_rows(corner)))
    turning = analysis.cells["turning_rad"].to_numpy()
    assert np.allclose(turning, [np.nan, np.pi / 2, np.pi, np.nan], equal_nan=True)
    assert analysis.tracks["path_um"].tolist() == [11]
    assert analysis.tracks["net_displacement_um"].tolist() == [3]
    assert analysis.tracks["reach_um"].tolist() == [5]
    assert analysis.tracks["directionality"].tolist() == [pytest.approx(3 / 11)]


@pytest.mark.parametrize("ndim", [2, 3])
def test_free_diffusion_is_recovered_within_its_error(ndim):
    misses = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        paths = walk_freely(rng, tracks=60, frames=60, diffusion=0.7, noise=0.5, ndim=ndim)
        analysis = gnntrack.analyse(make_lineage(list_rows(paths), interval=120.0))
        for name, value in (("diffusion", 0.35), ("localisation_error", 0.5), ("msd_exponent", 1.0)):
            row = quantity(analysis, name)
            assert row["value"] == pytest.approx(value, rel=0.3)
            misses.append((row["value"] - value) / ((row["high"] - row["low"]) / 2 / 1.96))
    assert 0.5 < np.std(misses) < 1.6  # the errors have the right size
    assert np.abs(misses).max() < 4


def test_diffusion_of_single_tracks_is_not_biased_by_noise():
    paths = walk_freely(np.random.default_rng(1), tracks=400, frames=50, diffusion=1.0, noise=0.5)
    tracks = gnntrack.analyse(make_lineage(list_rows(paths))).tracks
    deviation = tracks["diffusion_um2_per_min"] - 1
    assert abs(deviation.mean()) < 4 * deviation.std() / 20
    assert (deviation / tracks["diffusion_error_um2_per_min"]).std() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_persistent_random_walk_has_its_persistence_and_speed(ndim):
    paths = walk_persistently(np.random.default_rng(2), tracks=100, frames=80, speed=2.0, persistence=4.0, ndim=ndim)
    analysis = gnntrack.analyse(make_lineage(list_rows(paths), interval=600.0))
    persistence, speed = quantity(analysis, "persistence"), quantity(analysis, "persistent_speed")
    assert persistence["low"] < 40 < persistence["high"]
    assert persistence["high"] - persistence["low"] < 15
    assert speed["low"] < 0.2 < speed["high"]
    assert analysis["persistent_diffusion"] == pytest.approx(0.2**2 * 40 / ndim, rel=0.2)
    assert 1.2 < analysis["msd_exponent"] < 1.9


def test_the_msd_is_that_of_the_definition():
    rng = np.random.default_rng(3)
    lengths = [5, 9, 14]
    rows = [
        (track, frame, *point)
        for track, n in enumerate(lengths, 1)
        for frame, point in enumerate(rng.normal(size=(n, 2)))
        if (track, frame) not in {(2, 3), (3, 7), (3, 8)}
    ]
    curve = measure_displacements(arrange_timelines(make_lineage(rows)), longest=20)
    place = {(int(t), int(f)): np.array(p) for t, f, *p in rows}
    assert curve.lag.tolist() == list(range(1, 14))
    for k, lag in enumerate(curve.lag.tolist()):
        squared = [((place[t, f + lag] - p) ** 2).sum() for (t, f), p in place.items() if (t, f + lag) in place]
        assert curve.pairs[k] == len(squared)
        assert curve.msd[k] == pytest.approx(np.mean(squared))
        begun = [((place[t, lag] - place[t, 0]) ** 2).sum() for t in (1, 2, 3) if (t, lag) in place]
        assert curve.starts[k] == len(begun)
        assert curve.from_start[k] == pytest.approx(np.mean(begun) if begun else np.nan, nan_ok=True)


def test_a_gap_is_crossed_at_the_right_speed():
    rows = [(1, 0, 0, 0), (1, 1, 0, 2), (1, 4, 0, 8), (1, 5, 0, 10)]
    analysis = gnntrack.analyse(make_lineage(rows))
    assert analysis.tracks["missing"].tolist() == [2]
    assert np.allclose(analysis.cells["speed_um_per_min"].to_numpy()[1:], 2)
    assert analysis.cells["turning_rad"].isna().all()  # no cell has both neighbours in time
    assert analysis.tracks["mean_speed_um_per_min"].tolist() == [2]


def test_tracks_of_one_and_two_frames_have_no_values_that_do_not_exist():
    rows = [(1, 0, 5, 5), (2, 0, 1, 1), (2, 1, 1, 2), (3, 1, 7, 7)]
    analysis = gnntrack.analyse(make_lineage(rows))
    tracks = analysis.tracks.set_index("track")
    assert tracks.loc[1, "path_um"] == 0
    assert math.isnan(tracks.loc[1, "mean_speed_um_per_min"])
    assert math.isnan(tracks.loc[2, "directionality"])  # would be 1 whatever the cell does
    assert tracks.loc[2, "mean_speed_um_per_min"] == 1
    assert math.isnan(analysis["diffusion"])
    assert math.isnan(analysis["persistence"])


def test_cells_at_rest():
    analysis = gnntrack.analyse(make_lineage(list_rows(np.zeros((3, 30, 2)))))
    assert analysis["mean_speed"] == 0
    assert analysis.tracks["directionality"].isna().all()
    assert math.isnan(analysis["msd_exponent"])


def test_a_single_cell_is_analysed():
    analysis = gnntrack.analyse(make_lineage([(1, 0, 5, 5)]))
    assert len(analysis.cells) == len(analysis.tracks) == len(analysis.families) == 1


def test_drift_is_measured_and_removed():
    rng = np.random.default_rng(4)
    drift = np.cumsum(np.tile([0.5, -0.25], (40, 1)), axis=0) - [0.5, -0.25]
    paths = walk_freely(rng, tracks=200, frames=40, diffusion=0.05) + drift
    lineage = make_lineage(list_rows(paths))
    assert np.allclose(estimate_drift(lineage), drift, atol=0.6)
    with_it, without = gnntrack.analyse(lineage), gnntrack.analyse(lineage, without_drift=True)
    assert with_it["msd_exponent"] > 1.7
    assert without["msd_exponent"] == pytest.approx(1, abs=0.1)
    assert without["diffusion"] == pytest.approx(0.05, rel=0.15)
    assert without["drift_speed"] == pytest.approx(np.hypot(0.5, 0.25), rel=0.05)  # of the movie, as it was
    assert np.allclose(without.frames["drift_y_um"], with_it.frames["drift_y_um"])


def test_drift_of_too_few_cells_is_not_removed():
    with pytest.raises(InputError, match="at least 3 tracks in a frame; this lineage has 2 tracks"):
        gnntrack.analyse(make_lineage(list_rows(straight(tracks=2))), without_drift=True)


def test_anisotropic_voxels_count_in_micrometres():
    rows = [(1, 0, 0, 0, 0), (1, 1, 3, 4, 0), (1, 2, 6, 8, 0)]
    lineage = make_lineage(rows, unit="pixel", interval=None, size=[10, 10, 10])
    plain = gnntrack.analyse(lineage)
    assert plain.tracks["path_pixel"].tolist() == [10]
    scaled = gnntrack.analyse(lineage, spacing=(2, 0.5, 0.5), interval="2min")
    assert np.allclose(scaled.tracks["path_um"], 2 * np.hypot(6, 2))
    assert np.allclose(scaled.tracks["mean_speed_um_per_min"], np.hypot(6, 2) / 2)
    assert scaled.lineage.cells.feature("size").tolist() == [5, 5, 5]


def test_frames_are_the_time_without_an_interval():
    analysis = gnntrack.analyse(make_lineage(list_rows(straight()), interval=None, unit="pixel"))
    assert "mean_speed_pixel_per_frame" in analysis.tracks
    assert "time_min" not in analysis.cells
    assert not [name for name in analysis.tracks if name.endswith(("_min", "_um"))]


def test_families_sum_up_their_tracks():
    rows = [(1, 0, 0, 0), (1, 1, 0, 1), (2, 2, 0, 2), (2, 3, 0, 3), (3, 2, 0, 0), (4, 0, 9, 9)]
    families = gnntrack.analyse(make_lineage(rows, parent={2: 1, 3: 1})).families.set_index("root")
    assert families.loc[1, ["tracks", "divisions", "generations", "cells", "start", "end"]].tolist() == [
        3,
        1,
        1,
        5,
        0,
        3,
    ]
    assert families.loc[4, ["tracks", "divisions", "cells_at_end"]].tolist() == [1, 0, 1]


def test_order_of_tracks_changes_nothing():
    rng = np.random.default_rng(5)
    paths = walk_freely(rng, tracks=12, frames=30, diffusion=1.0)
    one = gnntrack.analyse(make_lineage(list_rows(paths)))
    other = gnntrack.analyse(make_lineage(rng.permutation(list_rows(paths))))
    assert one.movie.equals(other.movie)


def test_the_files_are_the_tables(tmp_path):
    analysis = gnntrack.analyse(make_lineage(list_rows(straight())), out=tmp_path / "analysis")
    for name in analysing.TABLES:
        with (tmp_path / "analysis" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        table = getattr(analysis, name)
        assert len(rows) == len(table)
        assert not rows or list(rows[0]) == list(table)
    with pytest.raises(OutputError, match="exists already"):
        gnntrack.analyse(make_lineage(list_rows(straight())), out=tmp_path / "analysis")
    gnntrack.analyse(make_lineage(list_rows(straight())), out=tmp_path / "analysis", overwrite=True)


def test_bad_input_is_a_sentence(tmp_path):
    lineage = make_lineage(list_rows(straight()))
    with pytest.raises(InputError, match="the lineage has 2 axes; expected 2 positive sizes in um along y, x"):
        gnntrack.analyse(lineage, spacing=(1, 1, 1))
    with pytest.raises(SettingsError, match="interval"):
        gnntrack.analyse(lineage, interval="soon")
    with pytest.raises(InputError, match="analyse\\(\\) of int: expected the path"):
        gnntrack.analyse(3)
    with pytest.raises(InputError, match="no such folder"):
        gnntrack.analyse(tmp_path / "missing")
    with pytest.raises(InputError, match="contains no cells"):
        gnntrack.analyse(make_lineage(np.zeros((0, 4))))
    with pytest.raises(KeyError, match="no quantity 'sped'"):
        gnntrack.analyse(lineage)["sped"]


def test_the_command_writes_the_tables_of_a_result(tmp_path):
    masks = np.zeros((5, 30, 60), np.uint8)
    for frame in range(5):
        masks[frame, 8:16, 5 + 6 * frame : 13 + 6 * frame] = 4
    gnntrack.track(masks=masks, out=tmp_path / "01_RES", spacing=(0.5, 0.5))
    line = ["analyse", tmp_path / "01_RES", "-o", tmp_path / "tables", "--interval", "2min"]
    shown = CliRunner().invoke(cli, [str(word) for word in line])
    assert shown.exit_code == 0, shown.output
    assert "mean_speed" in shown.output
    assert "1.5 um/min, 1 track\n" in shown.output
    assert (tmp_path / "tables" / "movie.csv").is_file()
    refused = CliRunner().invoke(cli, [str(word) for word in [*line, "--spacing", "1,1,1"]])
    assert refused.exit_code == 2
    again = CliRunner().invoke(cli, ["analyse", str(tmp_path / "01_RES"), "--spacing", "1,1", "--interval", "1min"])
    assert "6 um/min, 1 track\n" in again.output


def test_the_code_of_the_page_runs(capsys):
    page = (Path(__file__).parents[1] / "docs" / "analysis.md").read_text(encoding="utf-8")
    found = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    names: dict[str, object] = {}
    for code in found:
        exec(compile(code, "docs/analysis.md", "exec"), names)
    printed = capsys.readouterr().out
    assert len(found) == 2
    assert len(printed.splitlines()[0].split()) == 2
    assert "\ngrowth_rate per_frame " in printed


def test_every_column_and_quantity_is_on_the_page():
    page = (Path(__file__).parents[1] / "docs" / "analysis.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`([A-Za-z0-9_]+)`", page))
    rng = np.random.default_rng(0)
    rows = list_rows(walk_freely(rng, tracks=5, frames=6, diffusion=1.0))
    masks = np.zeros((3, 20, 30), np.uint8)
    masks[:, 5:11, 5:11], masks[:, 5:11, 11:16] = 1, 2
    for interval, unit in ((60.0, "um"), (None, "pixel"), (None, "masks")):
        if unit == "masks":
            lineage, unit = gnntrack.track(masks=masks), "pixel"
        else:
            lineage = make_lineage(rows, interval=interval, unit=unit, size=np.ones(len(rows)))
        analysis = gnntrack.analyse(lineage)
        for name in analysing.TABLES:
            for column in getattr(analysis, name):
                general = re.sub(f"(^|_){unit}(?=[23]|_|$)", r"\1UNIT", column)
                times = (("_(min|frame)$", "_TIME"), ("_(h|frame)$", "_LONG"))
                kinds = {column, general, *(re.sub(pattern, word, general) for pattern, word in times)}
                assert kinds & documented, f"{name}: {column}"
        assert set(analysis.movie["quantity"]) <= documented
