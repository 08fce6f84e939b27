"""Frame intervals: read from the metadata of files or given, in tables, GEFF and summaries."""

from __future__ import annotations

import json
import logging
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import tifffile
import zarr
from click.testing import CliRunner
from geff.core_io import write_arrays
from geff_spec import Axis, GeffMetadata

import gnntrack
from gnntrack.cli import cli
from gnntrack.durations import convert_duration, format_duration, parse_duration
from gnntrack.errors import InputError, SettingsError
from gnntrack.io import open_frames, open_masks
from gnntrack.io.geff import read_lineage, write_lineage
from gnntrack.io.stack import Stack, set_spacing
from gnntrack.io.tables import tabulate_cells, tabulate_tracks
from gnntrack.settings import Settings
from gnntrack.types import Cells, Lineage, Provenance, Tracks

MASKS = np.zeros((4, 24, 30), np.uint16)
for _t in range(4):
    MASKS[_t, 4:10, 4 + 2 * _t : 10 + 2 * _t] = 1


class TestDurations:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            (30, 30), ("30", 30), ("30s", 30), ("30 sec", 30), ("5min", 300), ("5 m", 300), ("0.5h", 1800),
            ("1.5 hours", 5400), ("250ms", 0.25), ("2 days", 172800), ("1h30min", 5400), ("1 h 30 min", 5400),
            ("20 µs", 2e-5), (timedelta(minutes=2), 120), (0.5, 0.5), ("1e2s", 100), ("5MIN", 300),
            ("5,5s", 5.5), ("2,25 h", 8100), ("00:05:00", 300), ("1:30:10", 5410),
        ],
    )  # fmt: skip
    def test_parse(self, text, seconds):
        assert parse_duration(text) == pytest.approx(seconds)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "later",
            "0",
            "-5min",
            "5 parsec",
            "1h30",
            "min",
            True,
            float("nan"),
            float("inf"),
            None,
            "1,000s",
            "1:75:00",
        ],
    )
    def test_refused(self, text):
        with pytest.raises(ValueError, match="such as 30s, 5min"):
            parse_duration(text)

    @pytest.mark.parametrize(
        ("value", "unit", "seconds"),
        [
            (5, "min", 300), (1, "hour", 3600), ("0.5", "h", 1800), (250.0, "millisecond", 0.25), (60, "sec", 60),
            (2, "\\u00b5s", 2e-6), (5, "minutes", 300), (timedelta(hours=1), None, 3600), (5, "frame", None),
            (5, "", None), (5, None, None), (0, "s", None), (-1, "s", None), ("soon", "s", None), (None, "s", None),
            (float("nan"), "s", None),
        ],
    )  # fmt: skip
    def test_units(self, value, unit, seconds):
        assert convert_duration(value, unit) == seconds

    @pytest.mark.parametrize("seconds", [0.25, 1, 29.5, 60, 300, 1740, 3600, 5400, 90000])
    def test_words_are_read_back(self, seconds):
        assert parse_duration(format_duration(seconds)) == pytest.approx(seconds)

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (3660, "61 min"),
            (310, "310 s"),
            (100, "100 s"),
            (0.0125, "12.5 ms"),
            (1 / 3, "333.333 ms"),
            (4500, "1.25 h"),
        ],
    )
    def test_words_are_short(self, seconds, words):
        assert format_duration(seconds) == words


def write_zarr(path: Path, scale: float, unit: str | None, whole: float = 1.0) -> Path:
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    array = group.create_array("0", shape=MASKS.shape, dtype=MASKS.dtype, chunks=(1, 24, 30))
    array[...] = MASKS
    time = {"name": "t", "type": "time"} | ({"unit": unit} if unit else {})
    axes = [time, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [scale, 1.0, 1.0]}]}
    outer = [{"type": "scale", "scale": [whole, 1.0, 1.0]}]
    group.attrs["multiscales"] = [
        {"version": "0.4", "axes": axes, "datasets": [level], "coordinateTransformations": outer}
    ]
    return path


class TestFiles:
    @pytest.mark.parametrize(
        ("metadata", "seconds"),
        [
            ({"finterval": 300.0, "tunit": "sec"}, 300),
            ({"finterval": 300.0}, 300),
            ({"finterval": 5.0, "tunit": "min"}, 300),
            ({"finterval": 0.5, "tunit": "hr"}, 1800),
            ({"finterval": 250.0, "tunit": "ms"}, 0.25),
            ({"finterval": 0.0}, None),
            ({"fps": 7.0}, None),
            ({}, None),
        ],
    )
    def test_imagej(self, tmp_path, metadata, seconds):
        tifffile.imwrite(tmp_path / "m.tif", MASKS, imagej=True, metadata={"axes": "TYX", **metadata})
        assert open_frames(tmp_path / "m.tif").interval == seconds

    @pytest.mark.parametrize(
        ("metadata", "seconds"),
        [
            ({"TimeIncrement": 29.0, "TimeIncrementUnit": "min"}, 1740),
            ({"TimeIncrement": 60.0}, 60),
            ({"TimeIncrement": 100.0, "TimeIncrementUnit": "ms"}, 0.1),
            ({"TimeIncrement": 0.0}, None),
            ({"Plane": {"DeltaT": [0.0, 10.1, 20.0, 30.0]}}, 10),
            ({"Plane": {"DeltaT": [1.0, 6.0, 11.0, 16.0], "DeltaTUnit": ["min"] * 4}}, 300),
            ({}, None),
        ],
    )
    def test_ome_tiff(self, tmp_path, metadata, seconds):
        tifffile.imwrite(tmp_path / "m.ome.tif", MASKS, ome=True, metadata={"axes": "TYX", **metadata})
        assert open_frames(tmp_path / "m.ome.tif").interval == pytest.approx(seconds)

    def test_ome_tiff_with_times_of_several_planes_per_frame(self, tmp_path):
        movie = np.repeat(MASKS[:, None], 2, axis=1)
        times = [t * 60.0 + c * 7.0 for t in range(4) for c in range(2)]
        metadata = {"axes": "TCYX", "Plane": {"DeltaT": times}}
        tifffile.imwrite(tmp_path / "m.ome.tif", movie, ome=True, metadata=metadata)
        assert open_frames(tmp_path / "m.ome.tif", channel=1).interval == 60

    def test_frames_in_files_of_their_own(self, tmp_path):
        for t, image in enumerate(MASKS):
            metadata = {"axes": "YX", "finterval": 90.0}
            tifffile.imwrite(tmp_path / f"t{t}.tif", image, imagej=True, metadata=metadata)
        assert open_frames(tmp_path).interval == 90

    @pytest.mark.parametrize(
        ("scale", "unit", "whole", "seconds"),
        [
            (5.0, "minute", 1.0, 300),
            (1.0, "minute", 30.0, 1800),
            (0.5, "hour", 1.0, 1800),
            (20.0, "millisecond", 1.0, 0.02),
            (5.0, None, 1.0, None),
            (0.0, "second", 1.0, None),
        ],
    )
    def test_ome_zarr(self, tmp_path, scale, unit, whole, seconds):
        assert open_frames(write_zarr(tmp_path / "m.zarr", scale, unit, whole)).interval == seconds

    @pytest.mark.parametrize(
        ("value", "seconds"), [(timedelta(minutes=10), 600), (None, None), (600.0, None), (timedelta(0), None)]
    )
    def test_bioio(self, tmp_path, monkeypatch, value, seconds):
        image = SimpleNamespace(
            scenes=["first"],
            physical_pixel_sizes=SimpleNamespace(Z=None, Y=0.5, X=0.5),
            get_image_dask_data=lambda _: np.repeat(MASKS[:, None, None], 2, axis=1),
            channel_names=["DAPI", "GFP"],
            time_interval=value,
        )
        module = ModuleType("bioio")
        module.BioImage = lambda _: image
        monkeypatch.setitem(sys.modules, "bioio", module)
        (tmp_path / "m.nd2").write_bytes(b"x")
        opened = open_frames(tmp_path / "m.nd2", channel="GFP")
        assert (opened.interval, list(opened.channels)) == (seconds, ["DAPI", "GFP"])

    def test_a_given_interval_wins(self, tmp_path):
        tifffile.imwrite(tmp_path / "m.tif", MASKS, imagej=True, metadata={"axes": "TYX", "finterval": 300.0})
        assert open_masks(tmp_path / "m.tif").interval == 300
        assert open_masks(tmp_path / "m.tif", interval="1h").interval == 3600
        assert set_spacing(open_frames(MASKS, interval=5), 0.5).interval == 5
        assert open_frames(Stack(MASKS.__getitem__, ["x"] * 4, (24, 30), (1.0, 1.0)), interval="2min").interval == 120

    @pytest.mark.parametrize("interval", ["soon", 0, -3, "5 frames"])
    def test_no_interval(self, interval):
        with pytest.raises(InputError, match="expected a time > 0 with its unit, such as 30s, 5min"):
            open_frames(MASKS, interval=interval)
        with pytest.raises(SettingsError, match=r"'frames\.interval' = .*such as 30s"):
            Settings().replace(frames__interval=interval)


def make_lineage(interval: float | None) -> Lineage:
    """Return a cell that divides at frame 2; its daughter 2 divides at frame 6."""
    tracks = Tracks([1, 2, 3, 4, 5], [0, 2, 2, 6, 6], [1, 5, 7, 7, 7], [0, 1, 1, 2, 2])
    rows = [(t, track) for k, track in enumerate(tracks.id) for t in tracks.frames(k)]
    rows.sort()
    frame, track = np.array(rows).T
    position = np.column_stack([track * 10.0, frame * 2.0])
    cells = Cells(frame, track, position, np.zeros((len(rows), 0)), (), (), (0.5, 0.5), 8, (100, 100), "um")
    place = {row: k for k, row in enumerate(rows)}
    links = [(place[t - 1, k], place[t, k]) for t, k in rows if (t - 1, k) in place]
    links += [
        (place[1, 1], place[2, 2]),
        (place[1, 1], place[2, 3]),
        (place[5, 2], place[6, 4]),
        (place[5, 2], place[6, 5]),
    ]
    source, target = np.array(sorted(links)).T
    confidence = np.ones(len(links), np.float32)
    return Lineage(cells, track, tracks, source, target, confidence, Provenance(interval=interval))


class TestTables:
    def test_cells(self):
        table = tabulate_cells(make_lineage(300.0))
        np.testing.assert_allclose(table["time_min"], table["frame"] * 5)
        np.testing.assert_allclose(table["age_min"], table["age"] * 5)
        np.testing.assert_allclose(table["speed_um_per_min"], table["speed_um_per_frame"] / 5)
        np.testing.assert_allclose(table["speed_um_per_h"], table["speed_um_per_frame"] * 12)

    def test_tracks(self):
        table = tabulate_tracks(make_lineage(1800.0)).set_index("track")
        assert table["start_min"].tolist() == [0, 60, 60, 180, 180]
        assert table["end_min"].tolist() == [30, 150, 210, 210, 210]
        assert table["duration_min"].tolist() == [30, 90, 150, 30, 30]
        assert table["duration_h"].tolist() == [0.5, 1.5, 2.5, 0.5, 0.5]
        assert table["division_min"].dropna().to_dict() == {1: 60, 2: 180}
        assert table["cycle_h"].dropna().to_dict() == {2: 2.0}  # of track 1 the birth was not seen
        assert table.loc[3, "mean_speed_um_per_h"] == pytest.approx(4)

    def test_unknown_interval_adds_no_column(self):
        for tabulate in (tabulate_cells, tabulate_tracks):
            plain, timed = tabulate(make_lineage(None)), tabulate(make_lineage(60.0))
            assert not [name for name in plain if "min" in name or "_h" in name]
            assert set(plain) < set(timed)
            for name in plain:
                np.testing.assert_array_equal(plain[name], timed[name])


def write_foreign(path: Path, time: list[float], **axis: object) -> Path:
    nodes = {"t": time, "y": [10.0, 11, 12], "x": [50.0, 51, 52], "seg_id": [1, 1, 1]}
    axes = [Axis(name="t", type="time", **axis), Axis(name="y", type="space"), Axis(name="x", type="space")]
    props = {name: {"values": np.array(values), "missing": None} for name, values in nodes.items()}
    metadata = GeffMetadata(directed=True, axes=axes, node_props_metadata={}, edge_props_metadata={})
    write_arrays(path, np.arange(3, dtype=np.uint64), props, np.array([[0, 1], [1, 2]], np.uint64), {}, metadata)
    return path


class TestGeff:
    def test_scale_of_the_time_axis(self, tmp_path):
        lineage = make_lineage(300.0)
        write_lineage(lineage, tmp_path / "x.geff")
        axis = GeffMetadata.read(str(tmp_path / "x.geff")).axes[0]
        assert (axis.unit, axis.scale, axis.scaled_unit) == ("frame", 300.0, "second")
        again = read_lineage(tmp_path / "x.geff")
        assert again.provenance.interval == 300.0
        np.testing.assert_array_equal(again.cells.frame, lineage.cells.frame)

    def test_unknown_interval(self, tmp_path):
        write_lineage(make_lineage(None), tmp_path / "x.geff")
        assert GeffMetadata.read(str(tmp_path / "x.geff")).axes[0].scale is None
        assert read_lineage(tmp_path / "x.geff").provenance.interval is None

    @pytest.mark.parametrize(
        ("time", "axis", "seconds"),
        [
            ([0, 1, 2], {"unit": "frame", "scale": 5.0, "scaled_unit": "minute"}, 300),
            ([0, 1, 2], {"scale": 30.0, "scaled_unit": "second"}, 30),
            ([0.0, 300.0, 600.0], {"unit": "second"}, 300),
            ([0.0, 0.5, 1.0], {"unit": "hour"}, 1800),
            ([0, 1, 2], {"unit": "frame"}, None),
            ([0, 1, 2], {}, None),
        ],
    )
    def test_files_of_other_tools(self, tmp_path, time, axis, seconds):
        lineage = read_lineage(write_foreign(tmp_path / "x.geff", time, **axis))
        assert lineage.provenance.interval == seconds
        assert lineage.cells.frame.tolist() == [0, 1, 2]


def run(*args: object):
    result = CliRunner().invoke(cli, [str(arg) for arg in args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


class TestTracking:
    @pytest.mark.parametrize("interval", ["30s", "5min", "0.5h", 90, "1h30min"])
    def test_of_the_caller(self, interval):
        assert gnntrack.track(masks=MASKS, interval=interval).provenance.interval == parse_duration(interval)

    def test_of_images_or_masks(self, tmp_path):
        tifffile.imwrite(tmp_path / "m.tif", MASKS * 50, imagej=True, metadata={"axes": "TYX", "finterval": 300.0})
        assert gnntrack.track(tmp_path / "m.tif", MASKS).provenance.interval == 300
        tifffile.imwrite(tmp_path / "l.tif", MASKS, imagej=True, metadata={"axes": "TYX", "finterval": 60.0})
        assert gnntrack.track(masks=tmp_path / "l.tif").provenance.interval == 60
        assert gnntrack.track(masks=MASKS).provenance.interval is None

    def test_commands(self, tmp_path):
        np.save(tmp_path / "m.npy", MASKS)
        out = tmp_path / "out"
        shown = run("track", "--masks", tmp_path / "m.npy", "--interval", "5min", "--spacing", "0.5", "-o", out)
        assert "5 min" in shown
        assert "0.5 x 0.5 um (y, x)" in shown
        assert "speed_um_per_min" in (out / "gnntrack" / "cells.csv").read_text().splitlines()[0]
        assert json.loads((out / "gnntrack" / "summary.json").read_text())["movie"]["interval_s"] == 300
        shown = run("track", "--masks", tmp_path / "m.npy", "-o", out, "--overwrite")
        assert "unknown; give --interval, such as 5min" in shown
        assert "unknown; give --spacing Y,X" in shown
        assert "unknown; give --interval" in run("info", tmp_path / "m.npy")
        assert "30 s" in run("info", tmp_path / "m.npy", "--interval", "30")

    def test_through_a_graph_on_disk(self, tmp_path):
        np.save(tmp_path / "m.npy", MASKS)
        run("build-graph", "--masks", tmp_path / "m.npy", "--interval", "2min", "-o", tmp_path / "g.geff")
        run("solve", tmp_path / "g.geff", "-o", tmp_path / "l.geff")
        run("export", tmp_path / "l.geff", "--to", "csv", "-o", tmp_path / "csv")
        assert "duration_h" in (tmp_path / "csv" / "tracks.csv").read_text().splitlines()[0]

    @pytest.mark.parametrize(
        ("shape", "spacing", "warned"),
        [
            ((2, 4, 20, 30), None, True),
            ((2, 4, 20, 30), (2.0, 0.5, 0.5), False),
            ((2, 4, 20, 30), 0.5, False),
            ((2, 20, 30), None, False),
            ((2, 1, 20, 30), None, False),
        ],
    )
    def test_volumes_without_spacing_are_a_warning(self, caplog, shape, spacing, warned):
        masks = np.zeros(shape, np.uint16)
        masks[..., 4:12, 4:12] = 1
        with caplog.at_level(logging.WARNING, "gnntrack"):
            gnntrack.track(masks=masks, spacing=spacing)
        assert ("voxels are taken as cubes" in caplog.text) == warned
