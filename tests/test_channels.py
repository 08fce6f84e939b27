"""Images with several channels: the choice of one in every reader, measurements of all, and masks as a channel."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from click.testing import CliRunner

import gnntrack
from gnntrack.cli import cli
from gnntrack.errors import ChannelError, FrameError, InputError
from gnntrack.io import open_frames, open_masks
from gnntrack.io.channels import choose_channel, name_channels
from gnntrack.io.tables import tabulate_cells
from gnntrack.measure.channels import list_channel_columns

NAMES = ["DAPI", "GFP", "cells"]


def make_movie() -> np.ndarray:
    """Return (4, 3, 40, 48): two intensities and the labels of three moving cells."""
    noise = np.random.default_rng(0).integers(0, 20, (2, 4, 40, 48))
    labels = np.zeros((4, 40, 48), int)
    for t in range(4):
        for k, (y, x) in enumerate([(4, 4), (20, 28), (28, 6)]):
            labels[t, y + t : y + t + 7, x + t : x + t + 7] = k + 1
    return np.stack([(labels > 0) * 200 + noise[0], labels * 60 + noise[1], labels], axis=1).astype(np.uint16)


MOVIE = make_movie()


def write_imagej(where: Path, movie: np.ndarray) -> Path:
    labels = NAMES * len(movie)
    tifffile.imwrite(where / "m.tif", movie, imagej=True, metadata={"axes": "TCYX", "Labels": labels})
    return where / "m.tif"


def write_imagej_stack(where: Path, movie: np.ndarray) -> Path:
    """Write three slices; Bio-Formats puts the place of each slice in front of its name."""
    volume = np.repeat(movie[:, None], 3, axis=1)
    labels = [f"c:{c + 1}/3 z:{z + 1}/3 t:1/4 - {name}" for z in range(3) for c, name in enumerate(NAMES)]
    metadata = {"axes": "TZCYX", "Labels": labels * 4, "spacing": 2.0, "unit": "um"}
    tifffile.imwrite(where / "m.tif", volume, imagej=True, metadata=metadata, resolution=(1, 1))
    return where / "m.tif"


def write_ome(where: Path, movie: np.ndarray, axes: str = "TCYX") -> Path:
    order = ["TCYX".index(axis) for axis in axes]
    metadata = {"axes": axes, "Channel": {"Name": NAMES}}
    tifffile.imwrite(where / "m.ome.tif", movie.transpose(order), ome=True, metadata=metadata, compression="zlib")
    return where / "m.ome.tif"


def write_ome_folder(where: Path, movie: np.ndarray) -> Path:
    for t, image in enumerate(movie):
        metadata = {"axes": "CYX", "Channel": {"Name": NAMES}}
        tifffile.imwrite(where / f"t{t}.ome.tif", image, ome=True, metadata=metadata, photometric="minisblack")
    return where


def write_imagej_folder(where: Path, movie: np.ndarray) -> Path:
    for t, image in enumerate(movie):
        tifffile.imwrite(where / f"t{t}.tif", image, imagej=True, metadata={"axes": "CYX", "Labels": NAMES})
    return where


def write_zarr(where: Path, movie: np.ndarray, version: str = "0.4") -> Path:
    group = zarr.open_group(str(where / "m.zarr"), mode="w", zarr_format=2 if version == "0.4" else 3)
    array = group.create_array("0", shape=movie.shape, dtype=movie.dtype, chunks=(1, 1, 40, 48))
    array[...] = movie
    kinds = {"t": "time", "c": "channel"}
    axes = [{"name": axis, "type": kinds.get(axis, "space")} for axis in "tcyx"]
    scale = [{"type": "scale", "scale": [1.0, 1.0, 1.0, 1.0]}]
    image = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    omero = {"channels": [{"label": name, "color": "FFFFFF"} for name in NAMES]}
    if version == "0.4":
        group.attrs.update({"multiscales": [{"version": "0.4", **image}], "omero": omero})
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [image], "omero": omero}
    return where / "m.zarr"


NAMED: dict[str, Callable[[Path, np.ndarray], Path]] = {
    "ImageJ": write_imagej,
    "ImageJ stack": write_imagej_stack,
    "OME-TIFF": write_ome,
    "OME-TIFF, channels first": lambda where, movie: write_ome(where, movie, "CTYX"),
    "OME-TIFF per frame": write_ome_folder,
    "ImageJ per frame": write_imagej_folder,
    "OME-Zarr 0.4": write_zarr,
    "OME-Zarr 0.5": lambda where, movie: write_zarr(where, movie, "0.5"),
}


def flatten(image: np.ndarray) -> np.ndarray:
    return image[1] if image.ndim == 3 else image


@pytest.fixture(params=NAMED)
def path(request, tmp_path):
    return NAMED[request.param](tmp_path, MOVIE)


class TestReaders:
    def test_by_number_and_name(self, path):
        for number, name in enumerate(NAMES):
            for wanted in (number, str(number), name, name.lower()):
                opened = open_frames(path, channel=wanted)
                assert len(opened) == len(MOVIE)
                np.testing.assert_array_equal(flatten(opened[2]), MOVIE[2, number])

    def test_all_channels_by_name(self, path):
        channels = open_frames(path, channel="GFP").channels
        assert list(channels) == NAMES
        np.testing.assert_array_equal(flatten(channels["DAPI"][3]), MOVIE[3, 0])

    def test_none_chosen(self, path):
        with pytest.raises(ChannelError, match=r"0 'DAPI', 1 'GFP', 2 'cells'; .*--channel 0") as caught:
            open_frames(path)
        assert caught.value.channels == tuple(NAMES)
        assert str(path) in str(caught.value)

    def test_a_channel_that_is_not_there(self, path):
        for wanted in (3, -1, "3", "RFP"):
            with pytest.raises(FrameError, match=r"does not exist; .*its channels are 0 'DAPI', 1 'GFP', 2 'cells'"):
                open_frames(path, channel=wanted)
        with pytest.raises(FrameError, match="did you mean 'DAPI'"):
            open_frames(path, channel="DAPPI")

    def test_masks(self, path):
        np.testing.assert_array_equal(flatten(open_masks(path, channel="cells")[1]), MOVIE[1, 2])

    def test_goes_to_another_process_and_takes_a_spacing(self, path):
        opened = pickle.loads(pickle.dumps(open_frames(path, channel=1, spacing=0.5)))
        assert opened.channels["DAPI"].spacing == opened.spacing
        np.testing.assert_array_equal(flatten(opened.channels["DAPI"][0]), MOVIE[0, 0])


class TestWithoutNames:
    @pytest.mark.parametrize(
        ("array", "axes"),
        [
            (MOVIE, None),
            (MOVIE, "tcyx"),
            (np.moveaxis(MOVIE, 1, -1), None),
            (np.moveaxis(MOVIE, 1, 0), "ctyx"),
            (np.moveaxis(MOVIE, 1, -1)[:, None], "tzyxc"),
            (list(MOVIE), None),
        ],
        ids=["tcyx", "named", "last", "first", "with depth", "list"],
    )
    def test_arrays(self, array, axes):
        opened = open_frames(array, axes=axes, channel=1)
        np.testing.assert_array_equal(opened[2], MOVIE[2, 1])
        assert list(opened.channels) == ["channel0", "channel1", "channel2"]

    def test_dask(self):
        array = pytest.importorskip("dask.array").from_array(MOVIE, chunks=(1, 1, 40, 48))
        np.testing.assert_array_equal(open_frames(array, channel=2)[2], MOVIE[2, 2])

    def test_npy_and_zarr_array(self, tmp_path):
        np.save(tmp_path / "m.npy", MOVIE)
        np.testing.assert_array_equal(open_frames(tmp_path / "m.npy", channel=1)[2], MOVIE[2, 1])
        zarr.save_array(str(tmp_path / "a.zarr"), MOVIE)
        np.testing.assert_array_equal(open_frames(tmp_path / "a.zarr", channel="channel0")[2], MOVIE[2, 0])

    def test_tiffs_without_metadata(self, tmp_path):
        (tmp_path / "x").mkdir()
        for t, image in enumerate(MOVIE):
            tifffile.imwrite(tmp_path / "x" / f"t{t}.tif", image, photometric="minisblack")
        np.testing.assert_array_equal(open_frames(tmp_path / "x", channel=1)[2], MOVIE[2, 1])
        tifffile.imwrite(tmp_path / "m.tif", MOVIE, photometric="minisblack")
        np.testing.assert_array_equal(open_frames(tmp_path / "m.tif", channel=1)[2], MOVIE[2, 1])

    def test_colours_of_masks_only_by_name(self, tmp_path):
        colour = np.random.default_rng(1).integers(0, 255, (3, 40, 48, 3), dtype=np.uint8)
        (tmp_path / "x").mkdir()
        for t, image in enumerate(colour):
            tifffile.imwrite(tmp_path / "x" / f"t{t}.tif", image, photometric="rgb")
        tifffile.imwrite(tmp_path / "m.tif", colour, photometric="rgb")
        for source in (tmp_path / "x", tmp_path / "m.tif"):
            with pytest.raises(FrameError, match=r"RGB .*0 'red', 1 'green', 2 'blue'"):
                open_masks(source)
            np.testing.assert_array_equal(open_frames(source, channel="green")[1], colour[1, ..., 1])

    def test_one_channel(self):
        assert open_frames(MOVIE[:, 0], axes="tyx", channel=0).channels == {}
        for wanted in (1, "DAPI"):
            with pytest.raises(FrameError, match="one channel, 0 'channel0'; omit the channel"):
                open_frames(MOVIE[:, :1], axes="tcyx", channel=wanted)

    @pytest.mark.parametrize("axes", ["tcyx", "ctyx", "tyxc", "tczyx", "cyx"])
    def test_the_message_stays_short_with_many_channels(self, axes):
        shape = tuple({"t": 3, "c": 60, "z": 2, "y": 70, "x": 80}[axis] for axis in axes)
        with pytest.raises(ChannelError, match=r"60 channels: 0 'channel0', .*, 59 'channel59'; choose one") as caught:
            open_frames(np.zeros(shape, np.uint8), axes=axes)
        assert len(str(caught.value)) < 240

    def test_five_axes_without_names_are_refused(self):
        with pytest.raises(FrameError, match="name the axes"):
            open_frames(np.zeros((2, 3, 2, 20, 30)), channel=0)

    def test_other_channel_of_an_open_movie(self):
        opened = open_frames(open_frames(MOVIE, channel=0), channel=2)
        np.testing.assert_array_equal(opened[1], MOVIE[1, 2])


class TestNames:
    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            ((), ("channel0", "channel1")),
            (("DAPI", None), ("DAPI", "channel1")),
            (("a", "a"), ("a", "a_1")),
            (("one", "two", "three"), ("channel0", "channel1")),
            ((" GFP ", "488"), ("GFP", "488")),
        ],
    )
    def test_of_a_file(self, names, expected):
        assert name_channels(2, names) == expected

    @pytest.mark.parametrize(
        ("wanted", "number"), [("488", 1), ("1", 1), (0, 0), ("gfp", 2), ("GFP", 0), ("Gfp", None), (True, 1)]
    )
    def test_choice(self, wanted, number):
        names = ["GFP", "488", "gfp"]
        if number is None:
            with pytest.raises(FrameError, match="channel 'Gfp' does not exist"):
                choose_channel(wanted, names)
        else:
            assert choose_channel(wanted, names) == number

    def test_columns_have_names_that_files_can_have(self):
        columns = list_channel_columns(["H2B/mCherry", "a b", "a.b", "DAPI", "dapi", "???", "α-tubulin"])
        assert columns[::4] == (
            *("intensity_mean_H2B_mCherry", "intensity_mean_a_b", "intensity_mean_a.b", "intensity_mean_DAPI"),
            *("intensity_mean_dapi_4", "intensity_mean_channel5", "intensity_mean_α-tubulin"),
        )


class TestTracking:
    def test_features_are_those_of_the_channel_alone(self, tmp_path):
        path = write_imagej(tmp_path, MOVIE)
        alone = gnntrack.track(MOVIE[:, 1], MOVIE[:, 2])
        among = gnntrack.track(path, MOVIE[:, 2], channel="GFP")
        names = alone.cells.feature_names
        for name in names:
            np.testing.assert_array_equal(alone.cells.feature(name), among.cells.feature(name))
        np.testing.assert_array_equal(alone.track, among.track)
        np.testing.assert_array_equal(alone.confidence, among.confidence)
        more = set(among.cells.feature_names) - set(names)
        assert more == set(list_channel_columns(NAMES))

    def test_every_channel_is_measured(self, path):
        lineage = gnntrack.track(path, channel="DAPI", masks_channel="cells")
        table = tabulate_cells(lineage)
        assert not [name for name in table if name.endswith("_cells")]
        for name, channel in (("DAPI", 0), ("GFP", 1)):
            for row in table.itertuples():
                pixels = MOVIE[row.frame, channel][MOVIE[row.frame, 2] == row.label]
                assert getattr(row, f"intensity_mean_{name}") == pytest.approx(pixels.mean(), rel=1e-6)
                assert getattr(row, f"intensity_max_{name}") == pixels.max()
        np.testing.assert_array_equal(table["intensity_mean_grey"], table["intensity_mean_DAPI"])

    def test_masks_drawn_in_gaps_are_measured_in_every_channel(self, tmp_path):
        movie = MOVIE.copy()
        movie[1, 2][movie[1, 2] == 2] = 0
        gnntrack.track(write_imagej(tmp_path, movie), channel=0, masks_channel=2, out=tmp_path / "out")
        rows = (tmp_path / "out" / "gnntrack" / "cells.csv").read_text().splitlines()
        column = rows[0].split(",").index("intensity_mean_GFP")
        filled = [row.split(",") for row in rows if ",filled," in row]
        assert len(filled) == 1
        assert float(filled[0][column]) > 0

    def test_of_two_channels_the_other_one_is_tracked(self):
        lineage = gnntrack.track(MOVIE[:, [1, 2]], masks_channel=1)
        assert lineage.cells.has("intensity_mean_channel0")
        assert len(lineage.tracks) == 3

    def test_segmented_images(self, path):
        lineage = gnntrack.track(path, channel="DAPI", segmenter="threshold")
        assert lineage.cells.has("intensity_mean_GFP")

    def test_graph_keeps_the_columns_on_disk(self, tmp_path):
        from gnntrack.io.geff import read_graph, write_graph

        graph = gnntrack.build_graph(write_imagej(tmp_path, MOVIE), channel=0, masks_channel=2)
        write_graph(graph, tmp_path / "g.geff")
        again = read_graph(tmp_path / "g.geff")
        assert again.cells.feature_names == graph.cells.feature_names
        np.testing.assert_array_equal(again.cells.features, graph.cells.features)


def run(*args: object, code: int = 0):
    result = CliRunner().invoke(cli, [str(arg) for arg in args], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


class TestCommands:
    def test_track_a_composite(self, tmp_path):
        path = write_imagej(tmp_path, MOVIE)
        run("track", path, "--channel", "DAPI", "--masks-channel", "2", "-o", tmp_path / "a")
        run("track", path, path, "--channel", "0", "--masks-channel", "cells", "-o", tmp_path / "b")
        header = (tmp_path / "a" / "gnntrack" / "cells.csv").read_text().splitlines()[0]
        assert "intensity_mean_DAPI" in header
        assert "intensity_mean_GFP" in header
        for name in ("res_track.txt", "gnntrack/cells.csv"):
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()

    @pytest.mark.parametrize("names", ["x_t{t}_{c}.tif", "t{t}_c{c}.tif", "{c}_{t}.tif"])
    def test_a_file_per_channel(self, tmp_path, names):
        called = NAMES if "_c" not in names else ["0", "1", "2"]
        folder = tmp_path / "movie"
        folder.mkdir()
        for t in range(4):
            for c, name in enumerate(called):
                tifffile.imwrite(folder / names.format(t=t, c=name), MOVIE[t, c])
        result = run("track", folder, "--images-pattern", names, "-o", tmp_path / "a", code=2)
        assert "there are files of 3 channels" in result.output
        assert all(name in result.output for name in called)
        channels = ("--channel", called[0], "--masks-channel", called[2])
        run("track", folder, "--images-pattern", names, *channels, "-o", tmp_path / "a")
        header = (tmp_path / "a" / "gnntrack" / "cells.csv").read_text().splitlines()[0].split(",")
        assert [name for name in header if name.startswith("intensity_mean_")][2:] == [
            f"intensity_mean_{name}" for name in called[:2]
        ]

    def test_track_without_a_choice(self, tmp_path):
        result = run("track", write_ome(tmp_path, MOVIE), "-o", tmp_path / "a", code=2)
        assert "0 'DAPI', 1 'GFP', 2 'cells'" in result.output
        assert "--channel 0" in result.output

    def test_masks_and_segmenter(self, tmp_path):
        path = write_ome(tmp_path, MOVIE)
        options = ("--channel", "0", "--masks-channel", "2", "-o", tmp_path / "a")
        refused = run("track", path, *options, "--segmenter", "unet", code=2).output
        assert "make masks from images, and masks are given" in " ".join(refused.split())

    @pytest.mark.parametrize(("channel", "masks"), [(1, 1), ("GFP", 1), ("gfp", "GFP")])
    def test_one_channel_for_both(self, tmp_path, channel, masks):
        with pytest.raises(InputError, match="both channel 1 'GFP'; give different ones"):
            gnntrack.track(write_ome(tmp_path, MOVIE), channel=channel, masks_channel=masks)

    def test_other_commands(self, tmp_path):
        path = write_ome(tmp_path, MOVIE)
        run("segment", path, "--channel", "DAPI", "-o", tmp_path / "masks")
        run("build-graph", path, "--channel", "DAPI", "--masks-channel", "cells", "-o", tmp_path / "g.geff")
        run("build-graph", "--masks", path, "--masks-channel", "cells", "-o", tmp_path / "h.geff")

    def test_info_lists_the_channels(self, path):
        output = run("info", path).output
        assert "0 'DAPI', 1 'GFP', 2 'cells'" in output
        assert "kind      masks" in run("info", path, "--channel", "cells").output

    def test_settings_file(self, tmp_path):
        path = write_imagej(tmp_path, MOVIE)
        (tmp_path / "s.toml").write_text('[frames]\nchannel = "GFP"\nmasks_channel = 2\n')
        run("track", path, "--config", tmp_path / "s.toml", "-o", tmp_path / "a")
