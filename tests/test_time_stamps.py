"""Time stamps in file names: the order of the frames, and the interval between them."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

import gnntrack
from gnntrack.cli import cli
from gnntrack.errors import FrameError
from gnntrack.io.frames import open_frames
from gnntrack.io.stack import get_interval
from gnntrack.io.time_stamps import find_timing


def write(folder, names, **options):
    """Write a frame with one cell, whose brightness is its number from 1, for each name."""
    folder.mkdir(exist_ok=True, parents=True)
    for number, name in enumerate(names, start=1):
        image = np.zeros((24, 24), np.uint16)
        image[4:12, 4:12], image[14:20, 14:20] = number, 50 + number
        tifffile.imwrite(folder / name, image, photometric="minisblack", **options)
    return folder


def read_order(stack):
    return [int(stack[frame][5, 5]) for frame in range(len(stack))]


REGULAR = {
    "Incucyte": (["VID1_A1_1_00d00h00m.tif", "VID1_A1_1_00d00h45m.tif", "VID1_A1_1_00d01h30m.tif"], 2700),
    "over a day": (["img_00d23h30m.tif", "img_01d00h00m.tif", "img_01d00h30m.tif"], 1800),
    "dates": (["2024-05-01_12-30-00.tif", "2024-05-01_12-35-00.tif", "2024-05-01_12-40-00.tif"], 300),
    "ISO": (["a_2024-02-28T23-59-30Z.tif", "a_2024-02-28T23-59-50Z.tif", "a_2024-02-29T00-00-10Z.tif"], 20),
    "date and minutes": (["x_2024-05-01_12h30.tif", "x_2024-05-01_13h00.tif", "x_2024-05-01_13h30.tif"], 1800),
    "compact": (["202401311030.tif", "202401311040.tif", "202401311050.tif"], 600),
    "days": (["plate_20240531.tif", "plate_20240601.tif", "plate_20240602.tif"], 86400),
    "clock over midnight": (["23-35-00.tif", "23-45-00.tif", "23-55-00.tif", "00-05-00.tif"], 600),
    "hours and minutes": (["c_0h50m.tif", "c_1h00m.tif", "c_1h10m.tif"], 600),
    "minutes": (["t000min.tif", "t010min.tif", "t020min.tif"], 600),
    "seconds": (["t0s.tif", "t30s.tif", "t60s.tif"], 30),
    "hours": (["w1_0h.tif", "w1_1h.tif", "w1_2h.tif", "w1_10h.tif"][:3], 3600),
    "decimal hours": (["t=0.5h.tif", "t=1.0h.tif", "t=1.5h.tif"], 1800),
    "whole and decimal hours": (["a_0h_x.tif", "a_0.25h_x.tif", "a_0.5h_x.tif", "a_0.75h_x.tif", "a_1h_x.tif"], 900),
    "decimal comma": (["t0,5min.tif", "t1,0min.tif", "t1,5min.tif"], 30),
    "beside the frame number": (["f1_00d00h00m.tif", "f2_00d00h20m.tif", "f3_00d00h40m.tif"], 1200),
    "jitter of a second": (["2024-05-01 10-00-00.tif", "2024-05-01 10-10-01.tif", "2024-05-01 10-20-00.tif"], 600),
    "rounded to minutes": ([f"i_00d00h{int(7.5 * k):02d}m.tif" for k in range(7)], 450),
}


@pytest.mark.parametrize("kind", REGULAR)
def test_regular_stamps_give_the_interval(kind, tmp_path):
    names, interval = REGULAR[kind]
    stack = open_frames(write(tmp_path / "m", names))
    assert read_order(stack) == list(range(1, len(names) + 1))
    assert get_interval(stack) == interval
    found = json.loads(run("info", tmp_path / "m", "--masks", "--json").stdout)
    assert (found["interval"], found["interval_from_names"]) == (interval, True)


def run(*words):
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert done.exit_code == 0, done.stderr
    return done


def test_the_interval_of_names_is_told(tmp_path, caplog):
    folder = write(tmp_path / "m", REGULAR["Incucyte"][0])
    with caplog.at_level(logging.INFO, "gnntrack"):
        assert gnntrack.track(masks=folder).provenance.interval == 2700
    assert "the frame interval is 45 min, that of the time stamps in the file names" in caplog.text
    assert "45 min, from the time stamps in the file names" in run("info", folder).stdout


@pytest.mark.parametrize("pattern", ["t={t}h_z{z}.tif", "t={t}h_z{z:01d}.tif", "*{t}h_z{z}.tif"])
def test_decimal_hours_in_a_pattern(pattern, tmp_path):
    times = ["0", "0.5", "1", "1.5", "10"][:4]
    write(tmp_path / "m", [f"t={time}h_z{z}.tif" for time in times for z in range(2)])
    stack = open_frames(tmp_path / "m", pattern=pattern)
    assert (len(stack), stack.shape, get_interval(stack)) == (4, (2, 24, 24), 1800)
    assert [int(stack[frame][0, 5, 5]) for frame in range(4)] == [1, 3, 5, 7]


NO_TIMES = {
    "versions": ["seg_v1.5_t1.tif", "seg_v1.5_t2.tif", "seg_v1.5_t3.tif"],
    "versions in hours": ["v0.5h_t1.tif", "v0.5h_t2.tif", "v0.5h_t3.tif"],
    "magnification": ["10.5x_t1.tif", "10.5x_t2.tif", "10.5x_t3.tif"],
    "exposure": ["exp0.5s_1.tif", "exp0.5s_2.tif", "exp0.5s_3.tif"],
    "a constant time": ["24h_t1.tif", "24h_t2.tif", "24h_t3.tif"],
    "a constant decimal time": ["1.5h_t1.tif", "1.5h_t2.tif", "1.5h_t3.tif"],
    "a constant date": ["2024-05-01_t1.tif", "2024-05-01_t2.tif", "2024-05-01_t3.tif"],
    "minimum projections": ["t1_min.tif", "t2_min.tif", "t3_min.tif"],
    "histones": ["h2b_1_h2b.tif", "h2b_2_h2b.tif", "h2b_3_h2b.tif"],
    "series": ["img1s.tif", "img2s.tif", "img3s.tif"],
    "row, column and field": ["x_01_02_01.tif", "x_01_02_02.tif", "x_01_02_03.tif"],
    "numbers": ["1700000000.tif", "1700003600.tif", "1700007200.tif"],
    "CellVoyager": [f"W1F001T{t:04d}Z01C1.tif" for t in (1, 2, 3)],
}


@pytest.mark.parametrize("kind", NO_TIMES)
def test_names_without_times_have_no_interval(kind, tmp_path):
    stack = open_frames(write(tmp_path / "m", NO_TIMES[kind]))
    assert read_order(stack) == [1, 2, 3]
    assert get_interval(stack) is None
    assert find_timing(stack.names) is None


@pytest.mark.parametrize(
    "name", ["s{}_1.{}x.tif", "seg_v1.{}_{}.tif", "a{}_1.{}M.tif", "v{}.{}h.tif", "{}_1.2.{}h.tif"]
)
def test_other_decimals_stay_refused(name, tmp_path):
    write(tmp_path / "m", [name.format(a, b) for a in (1, 2) for b in (1, 2)])
    with pytest.raises(FrameError, match="the names of its files count 2 things"):
        open_frames(tmp_path / "m")


IRREGULAR = {
    "Incucyte": (["a_00d00h00m.tif", "a_00d00h17m.tif", "a_00d01h10m.tif", "a_00d01h20m.tif"], "10 min to 53 min"),
    "dates": (["2024-05-01_10-00-00.tif", "2024-05-01_10-05-10.tif", "2024-05-01_10-06-00.tif"], "50 s to 310 s"),
    "days": (["d20240501.tif", "d20240502.tif", "d20240506.tif", "d20240509.tif"][1:], "3 days"),
    "hours": (["t0.5h.tif", "t0.75h.tif", "t2.1h.tif"], "15 min to 1.35 h"),
    "clock": (["10-00-00.tif", "10-01-30.tif", "10-05-20.tif"], "1.5 min to 230 s"),
    "coarse": (["a_0h01m.tif", "a_0h02m.tif", "a_0h04m.tif", "a_0h05m.tif"], ""),
}


@pytest.mark.parametrize("kind", ["Incucyte", "dates", "hours", "clock"])
def test_irregular_stamps_are_told_once(kind, tmp_path):
    names, steps = IRREGULAR[kind]
    images, masks = write(tmp_path / "01", names), write(tmp_path / "masks", names)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lineage = gnntrack.track(images, masks, trust_masks=True)
    told = [str(each.message) for each in caught if "time stamps" in str(each.message)]
    assert lineage.provenance.interval is None
    assert len(told) == 1
    assert f"with steps of {steps}" in told[0]
    assert "--interval" in told[0]
    assert "time stamps" in run("info", images, "--masks").stdout


@pytest.mark.parametrize("names", [IRREGULAR["Incucyte"][0], IRREGULAR["coarse"][0], IRREGULAR["dates"][0]])
def test_a_given_interval_silences_the_warning(names, tmp_path):
    folder = write(tmp_path / "m", names)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lineage = gnntrack.track(masks=folder, interval="10min")
    assert lineage.provenance.interval == 600
    assert not [each for each in caught if "not regular" in str(each.message)]


@pytest.mark.parametrize(
    "names",
    [
        ["a_00d00h00m.tif", "a_00d00h30m.tif", "a_00d01h00m.tif", "a_00d02h30m.tif"],
        ["2024-05-01_10-00-00.tif", "2024-05-01_10-30-00.tif", "2024-05-01_12-00-00.tif", "2024-05-01_12-30-00.tif"],
    ],
)
def test_a_pause_is_one_warning_and_fills_give_the_interval(names, tmp_path):
    folder = write(tmp_path / "m", names)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert gnntrack.track(masks=folder).provenance.interval is None
    (told,) = [
        str(each.message)
        for each in caught
        if "time stamps" in str(each.message)
        or "pause" in str(each.message)
        or "between two files" in str(each.message)
    ]
    assert "90 min between two files, usually 30 min" in told
    assert "--interval 30min" in told
    assert gnntrack.track(masks=folder, allow_missing=True).provenance.interval == 1800


def test_the_interval_in_files_prevails(tmp_path):
    folder = write(tmp_path / "m", REGULAR["Incucyte"][0], imagej=True, metadata={"axes": "YX", "finterval": 60.0})
    stack = open_frames(folder)
    assert (get_interval(stack), stack.from_names) == (60, False)


def test_a_list_of_paths(tmp_path):
    folder = write(tmp_path / "m", REGULAR["dates"][0])
    assert get_interval(open_frames(sorted(Path(folder).iterdir()))) == 300


@pytest.mark.parametrize(
    "name",
    ["t{}s1.tif", "t{:03d}s02c1.tif", "img_T{}S3.tif", "A{}h2.tif", "cell{}min1.tif", "frame{}sec2.tif", "{}h1_c0.png"],
)
def test_letters_between_two_numbers_are_not_a_unit_of_time(name):
    assert find_timing([name.format(number) for number in range(4)]) is None


@pytest.mark.parametrize("name", ["{}min.tif", "t{}s.tif", "img_{}h.tif", "x_{}hours_c1.tif", "t={}sec_a.tif"])
def test_numbers_that_would_be_times_of_many_years_are_not_times(name):
    assert find_timing([name.format(number * 10**15) for number in range(4)]) is None
    assert find_timing([name.format(number * 5) for number in range(4)]) is not None
