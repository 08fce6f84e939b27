"""Frame sources: one contract for all, the voxel sizes in files, and every bad input with its message."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import tifffile
import zarr
from support.frame_sources import (
    DEEP,
    FLAT,
    SOURCES,
    describe_multiscales,
    make_ome_zarr_writer,
    make_tiff_writer,
    write_folder,
    write_ome_set,
)

from gnntrack.errors import FrameError, InputError, MissingDependencyError
from gnntrack.io import check_pair, iterate, open_frames, open_masks
from gnntrack.io.stack import Stack, convert_spacing, set_spacing
from gnntrack.types import FrameStack

NO_DEPTH = ("pages without metadata",)  # the pages of a TIFF without metadata may be slices or frames


@pytest.fixture(autouse=True)
def _silent(capfd):
    """No library prints anything about a file on the terminal."""
    yield
    out, err = capfd.readouterr()
    assert out == err == ""


FORMS = [(name, movie) for name in SOURCES for movie in (FLAT, DEEP) if not (movie is DEEP and name in NO_DEPTH)]


@pytest.fixture(params=FORMS, ids=lambda form: f"{form[0]} {form[1].ndim - 1}D")
def source(request, tmp_path):
    name, movie = request.param
    return SOURCES[name](tmp_path / "movie", movie), movie


class TestContract:
    def test_frames_are_those_written(self, source):
        opened, movie = open_frames(source[0]), source[1]
        assert isinstance(opened, FrameStack)
        assert (len(opened), opened.shape, len(opened.names)) == (len(movie), movie.shape[1:], len(movie))
        for frame, image in enumerate(movie):
            read = opened[frame]
            assert read.flags.c_contiguous
            assert read.dtype == np.uint16
            assert read.dtype.isnative
            np.testing.assert_array_equal(read, image)

    def test_masks_are_those_written(self, source):
        np.testing.assert_array_equal(np.stack(list(iterate(open_masks(source[0])))), source[1])

    def test_ends_of_the_movie(self, source):
        opened, movie = open_frames(source[0]), source[1]
        np.testing.assert_array_equal(opened[-1], movie[-1])
        for outside in (len(movie), -len(movie) - 1):
            with pytest.raises(IndexError, match="frame"):
                opened[outside]
        with pytest.raises(TypeError):
            opened[0:2]
        assert len(list(opened)) == len(movie)

    def test_spacing_of_the_caller_wins(self, source):
        ndim = source[1].ndim - 1
        opened = open_frames(source[0], spacing=[3.0, 2.0, 1.0][-ndim:])
        assert (opened.spacing, opened.unit) == ((3.0, 2.0, 1.0)[-ndim:], "um")
        with pytest.raises(InputError, match="expected"):
            open_frames(source[0], spacing=[1.0] * (5 - ndim))

    def test_goes_to_another_process(self, source):
        again = pickle.loads(pickle.dumps(open_masks(source[0])))
        np.testing.assert_array_equal(again[1], source[1][1])

    def test_a_stack_is_returned_as_it_is(self, source):
        images, masks = open_frames(source[0]), open_masks(source[0])
        assert open_frames(images) is images
        assert open_masks(masks) is masks
        check_pair(images, masks)


@pytest.mark.parametrize("form", ["contiguous TIFF", "npy"])
def test_a_frame_read_stays_when_its_file_changes(tmp_path, form):
    path = SOURCES[form](tmp_path / "movie", FLAT)
    read = open_frames(path)[2]
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(bytes(size))
    np.testing.assert_array_equal(read, FLAT[2])


def test_tifffile_says_nothing_on_the_terminal(tmp_path):
    path = write_folder(tmp_path / "x", DEEP, compression=None)
    (path / "t001.tif").write_bytes((path / "t001.tif").read_bytes()[:4000])
    code = "import sys; from gnntrack.io import open_frames\ntry: open_frames(sys.argv[1])[1]\nexcept ValueError: pass"
    ended = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


class TestIterate:
    def test_order_and_choice_of_frames(self):
        assert [int(image[0, 0]) for image in iterate(open_frames(FLAT), frames=[3, 0])] == [
            FLAT[3, 0, 0],
            FLAT[0, 0, 0],
        ]

    def test_an_error_comes_at_its_frame(self):
        masks = open_masks(np.where(np.arange(5)[:, None, None] == 3, -1, FLAT.astype(int)))
        frames = iterate(masks)
        assert len([next(frames) for _ in range(3)]) == 3
        with pytest.raises(FrameError, match="frame 3"):
            next(frames)

    def test_leaving_early_leaves_no_thread(self):
        for _ in iterate(open_frames(FLAT)):
            break
        assert not [thread for thread in threading.enumerate() if "gnntrack-frames" in thread.name]

    @pytest.mark.parametrize("ahead", [0, 1, 3])
    def test_no_more_than_asked_for_is_read_ahead(self, ahead):
        asked = []
        frames = iterate(open_frames(FLAT), frames=(asked.append(frame) or frame for frame in range(5)), ahead=ahead)
        next(frames)
        assert asked == list(range(ahead + 1))
        frames.close()


class TestSpacing:
    @pytest.mark.parametrize("version", ["0.4", "0.5"])
    def test_ome_zarr(self, tmp_path, version):
        # 0.25 um of the level x 2 of the image, 2000 nm slices
        opened = open_frames(make_ome_zarr_writer(version)(tmp_path / "x", DEEP))
        assert (opened.spacing, opened.unit) == ((2.0, 0.5, 0.5), "um")
        assert open_frames(make_ome_zarr_writer(version)(tmp_path / "y", FLAT)).spacing == (0.5, 0.5)

    def test_ome_zarr_without_units_keeps_the_ratio(self, tmp_path):
        path = make_ome_zarr_writer("0.5")(tmp_path / "x", DEEP)
        described = describe_multiscales("0.5")
        for axis in described["ome"]["multiscales"][0]["axes"]:
            axis.pop("unit", None)
        described["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"][2] = 2.0
        zarr.open_group(str(path)).attrs.update(described)
        opened = open_frames(path)
        assert (opened.spacing, opened.unit) == ((4.0, 1.0, 1.0), "pixel")

    def test_ome_tiff_units_are_converted(self, tmp_path):
        sizes = {"PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.25, "PhysicalSizeZ": 0.002}
        metadata = {"axes": "TZYX", "PhysicalSizeZUnit": "mm", "PhysicalSizeYUnit": "µm", **sizes}
        tifffile.imwrite(tmp_path / "m.ome.tif", DEEP, metadata=metadata)
        opened = open_frames(tmp_path / "m.ome.tif")
        assert (opened.spacing, opened.unit) == ((2.0, 0.25, 0.25), "um")

    def test_ome_tiff_without_the_depth_of_a_slice(self, tmp_path):
        tifffile.imwrite(
            tmp_path / "m.ome.tif", DEEP, metadata={"axes": "TZYX", "PhysicalSizeX": 1, "PhysicalSizeY": 1}
        )
        assert open_frames(tmp_path / "m.ome.tif").unit == "pixel"

    @pytest.mark.parametrize("unit", ["um", "micron", "\\u00B5m"])
    def test_imagej(self, tmp_path, unit):
        notes = {"axes": "TZYX", "spacing": 3.0, "unit": unit}
        tifffile.imwrite(tmp_path / "m.tif", DEEP, imagej=True, resolution=(4.0, 2.0), metadata=notes)
        assert open_frames(tmp_path / "m.tif").spacing == (3.0, 0.5, 0.25)

    def test_folder_takes_that_of_its_files(self, tmp_path):
        metadata = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        path = write_folder(tmp_path / "x", FLAT, name="t{}.ome.tif", ome=True, metadata=metadata)
        assert (open_frames(path).spacing, open_frames(path).unit) == ((0.5, 0.5), "um")

    def test_the_resolution_of_a_screen_is_none(self, tmp_path):
        path = write_folder(tmp_path / "x", FLAT, resolution=(72, 72), resolutionunit="INCH")
        assert (open_frames(path).spacing, open_frames(path).unit) == ((1.0, 1.0), "pixel")

    @pytest.mark.parametrize("size", [0.0, -1.0, float("nan"), float("inf"), None])
    def test_impossible_sizes_are_unknown(self, size):
        assert convert_spacing({"y": 2.0, "x": size}, {"y": "um", "x": "um"}, 2) == ()

    @pytest.mark.parametrize("unit", ["pixel", "", None, "parsec"])
    def test_unknown_units(self, unit):
        assert convert_spacing({"y": 2.0, "x": 2.0}, {"y": unit, "x": unit}, 2) == ()

    @pytest.mark.parametrize("bad", [0, -1.0, float("nan"), [1, 2, 3, 4], "wide"])
    def test_no_spacing(self, bad):
        with pytest.raises(InputError, match=r"expected 2 (positive )?sizes in um along y, x"):
            open_frames(FLAT, spacing=bad)

    def test_one_number_stands_for_all_axes(self):
        assert open_frames(DEEP, spacing=0.5).spacing == (0.5, 0.5, 0.5)
        assert set_spacing(open_frames(FLAT), 2, "pixel").unit == "pixel"


class TestAxes:
    def test_one_frame(self, tmp_path):
        assert len(open_frames(FLAT[0])) == 1
        tifffile.imwrite(tmp_path / "one.tif", FLAT[0])
        assert len(open_frames(tmp_path / "one.tif")) == 1

    def test_pages_without_metadata_are_frames(self, tmp_path):
        assert (
            len(open_frames(make_tiff_writer()(tmp_path / "x", FLAT))),
            open_frames(tmp_path / "x" / "movie.tif").shape,
        ) == (
            5,
            (20, 30),
        )

    def test_slices_are_one_frame_unless_told_otherwise(self, tmp_path):
        path = tmp_path / "m.tif"
        tifffile.imwrite(path, FLAT, imagej=True, metadata={"axes": "ZYX"})
        assert (len(open_frames(path)), open_frames(path).shape) == (1, (5, 20, 30))
        np.testing.assert_array_equal(open_frames(path, axes="tyx")[3], FLAT[3])

    def test_any_order(self):
        np.testing.assert_array_equal(open_frames(DEEP.transpose(3, 1, 0, 2), axes="xzty")[2], DEEP[2])

    def test_one_volume_in_several_ome_files(self, tmp_path):
        path = write_ome_set(tmp_path / "x", DEEP[0])
        with pytest.raises(
            FrameError, match=r"z0\.ome\.tif, frame 0: .* of 4 slices and 1 channel; .* give the path of one"
        ):
            open_frames(path)
        np.testing.assert_array_equal(open_frames(path / "z1.ome.tif")[0], DEEP[0])
        (path / "z3.ome.tif").unlink()
        with pytest.raises(FrameError, match=r"z1\.ome\.tif, frame 0: .*page 3 is missing"):
            open_frames(path / "z1.ome.tif")[0]

    def test_ome_metadata_that_name_pages_that_are_not_there(self, tmp_path):
        xml = re.sub(
            "<TiffData.*</TiffData>",
            "<TiffData/>",
            tifffile.tiffcomment(write_ome_set(tmp_path / "x", DEEP[0]) / "z0.ome.tif"),
        )
        (tmp_path / "y").mkdir()
        tifffile.imwrite(tmp_path / "y" / "t0.ome.tif", DEEP[0, 0], description=xml, metadata=None)
        for path in (tmp_path / "y", tmp_path / "y" / "t0.ome.tif"):
            with pytest.raises(FrameError, match=r"t0\.ome\.tif, frame 0: .*page.* missing"):
                open_frames(path)[0]

    def test_frames_of_a_folder_that_call_their_slices_time(self, tmp_path):
        path = write_folder(tmp_path / "x", DEEP, compression=None, imagej=True, metadata={"axes": "TYX"})
        with pytest.raises(FrameError, match=r"t000\.tif, frame 0: it holds 4 time points .*--axes tzyx"):
            open_frames(path)
        np.testing.assert_array_equal(open_frames(path, axes="tzyx")[2], DEEP[2])

    def test_ome_zarr_without_image_names_what_is_inside(self, tmp_path):
        make_ome_zarr_writer("0.5")(tmp_path / "x.zarr" / "0", FLAT)
        zarr.open_group(str(tmp_path / "x.zarr"), mode="a")
        with pytest.raises(FrameError, match=r"did you mean .*x\.zarr/0"):
            open_frames(tmp_path / "x.zarr")

    def test_the_only_label_image(self, tmp_path):
        make_ome_zarr_writer("0.5", labels=True)(tmp_path / "x.zarr", FLAT)
        zarr.open_group(str(tmp_path / "x.zarr" / "labels"), mode="a").attrs["ome"] = {"labels": ["cells"]}
        np.testing.assert_array_equal(open_masks(tmp_path / "x.zarr" / "labels")[1], FLAT[1])

    def test_plain_zarr_array(self, tmp_path):
        array = zarr.create_array(
            str(tmp_path / "a.zarr"), shape=FLAT.shape, dtype=FLAT.dtype, dimension_names=["y", "x", "t"]
        )
        array[...] = FLAT
        np.testing.assert_array_equal(open_frames(tmp_path / "a.zarr")[7], FLAT[:, :, 7])


class TestMasks:
    def test_booleans(self):
        read = open_masks(FLAT > 500)[0]
        assert (read.dtype, set(np.unique(read).tolist())) == (np.uint8, {0, 1})

    def test_whole_floats(self):
        read = open_masks(FLAT.astype(np.float32))[2]
        assert read.dtype == np.int64
        np.testing.assert_array_equal(read, FLAT[2])

    @pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "i8", "u8"])
    def test_any_integer_type(self, dtype):
        assert open_masks(np.ones((1, 2, 2), dtype))[0].dtype == dtype

    @pytest.mark.filterwarnings("error")
    @pytest.mark.parametrize("background", [-300, 0, 200, 255, 300, 70_000, 2**40, 2**63 - 1])
    @pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i4", "u8", "f2", "f4"])
    def test_any_background_of_any_type(self, dtype, background):
        """A value that the type cannot hold is absent, and 0 is a cell."""
        masks = np.array([[[0, 1, 100]]], dtype)
        read = open_masks(masks, background=background, zeros_are_cells=True)
        if background == 2**63 - 1 and dtype.startswith("f"):
            with pytest.raises(FrameError, match="number the cells from 1"):
                read[0]
            return
        expected = [background, 1, 100] if background > 0 else [-background, 1 - background, 100 - background]
        assert read[0].tolist() == [expected]
        assert read[0].dtype.kind in "iu"

    def test_large_labels(self):
        assert open_masks(np.full((1, 2, 2), 2_000_000_000))[0].max() == 2_000_000_000

    def test_no_cell_at_all(self):
        assert open_masks(np.zeros((2, 3, 3), np.uint16))[0].max() == 0

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (-3, "lowest label is -3; expected 0 for background"),
            (-3.0, r"lowest label is -3\.0"),
            (0.5, r"not whole numbers, such as 0\.5; expected labels"),
            (float("nan"), "such as nan"),
            (float("inf"), "such as inf"),
            (2**63, "number the cells from 1"),
            (1e30, "number the cells from 1"),
            (1j, "of type complex64"),
        ],
    )
    def test_refused(self, value, message):
        masks = np.zeros((3, 4, 5), np.min_scalar_type(value))  # 2**63 is uint64
        masks[1, 2, 3] = value
        opened = open_masks(masks)
        with pytest.raises(FrameError, match=f"^array, frame 1: .*{message}") as caught:
            opened[1]
        assert caught.value.frame == 1

    def test_a_stack_of_somebody_else_is_checked_too(self):
        with pytest.raises(FrameError, match="file 0, frame 0: its lowest label"):
            open_masks(Stack(lambda _: np.array([[-1]]), ["file 0"], (1, 1), (1.0, 1.0)))[0]


def rename_frames(where, *names):
    where.mkdir()
    for name in names:
        tifffile.imwrite(where / name, FLAT[0])
    return where


class TestNumbering:
    def test_a_hole(self, tmp_path):
        path = rename_frames(tmp_path / "x", "t008.tif", "t009.tif", "t011.tif", "t014.tif")
        with pytest.raises(
            FrameError, match=r"x: frame number 10 is missing \(3 .*between 8 and 14\): no t010\.tif; .*allow"
        ):
            open_masks(path)

    def test_a_hole_is_an_empty_frame_if_allowed(self, tmp_path):
        path = rename_frames(tmp_path / "x", "mask_8.tif", "mask_10.tif")
        for opened in (open_masks(path, allow_missing=True), open_frames(path, allow_missing=True)):
            assert [int(image.max()) for image in opened] == [FLAT[0].max(), 0, FLAT[0].max()]
            assert opened[1].dtype == np.uint16
            assert opened.names[1].endswith("mask_9.tif (missing)")

    def test_time_stamps_are_no_frame_numbers(self, tmp_path):
        path = rename_frames(tmp_path / "x", "1700000000.tif", "1700003600.tif", "1700007200.tif", "1900000000.tif")
        with pytest.raises(FrameError, match="number them by frame"):
            open_frames(path, allow_missing=True)

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["t1.tif", "t01.tif"], r"t0?1\.tif and t0?1\.tif have the same number"),
            (
                ["t0.tif", "t1.tif", "a0.tif"],
                r"2 kinds: t#\.tif \(2\), a#\.tif \(1\); .*--images-pattern 't\{t\}\.tif'",
            ),
            (["t0.tif", "t1.tif", "mean.tif"], r"names of 2 kinds"),
            (
                ["t0z0.tif", "t0z1.tif", "t1z0.tif", "t1z1.tif"],
                r"count 2 things: time \(0, 1\), slice \(0, 1\); join the slices .*'t\{t\}z\{z\}\.tif'",
            ),
            (
                ["s1_t0.tif", "s1_t1.tif", "s2_t0.tif", "s2_t1.tif"],
                r"choose one position .*'s1_t\{t\}\.tif'.*; 'gnntrack batch' tracks all positions",
            ),
        ],
    )
    def test_refused(self, tmp_path, names, message):
        with pytest.raises(FrameError, match=message):
            open_frames(rename_frames(tmp_path / "x", *names))

    def test_names_without_numbers_keep_their_order(self, tmp_path):
        path = rename_frames(tmp_path / "x", "c.tif", "a.tif", "b.tif")
        assert [Path(name).stem for name in open_frames(path).names] == ["a", "b", "c"]


def read_or_refusal(path):
    """Return the whole movie, or the message of the error."""
    try:
        return np.stack(list(open_frames(path))), None
    except FrameError as error:
        return None, str(error)


class TestBadFiles:
    def test_not_there(self, tmp_path):
        (tmp_path / "01_ERR_SEG").mkdir()
        with pytest.raises(FrameError, match=r"01_ERRSEG: no such file or folder; did you mean .*01_ERR_SEG\?"):
            open_frames(tmp_path / "01_ERRSEG")

    def test_a_folder_without_frames(self, tmp_path):
        with pytest.raises(FrameError, match="the folder is empty; expected a file per frame"):
            open_frames(tmp_path)
        (tmp_path / "a.ics").touch()
        with pytest.raises(FrameError, match=r"no image but 1 \.ics; .*t000\.png\. open it in Fiji"):
            open_frames(tmp_path)

    def test_the_folder_above(self, tmp_path):
        write_folder(tmp_path / "01_GT" / "TRA", FLAT)
        with pytest.raises(FrameError, match=r"did you mean .*01_GT/TRA\?"):
            open_masks(tmp_path / "01_GT")

    def test_another_kind_of_file(self, tmp_path):
        (tmp_path / "movie.vsi").touch()
        with pytest.raises(FrameError, match=r"cannot read '\.vsi' files; open it in Fiji"):
            open_frames(tmp_path / "movie.vsi")

    def test_no_source_at_all(self):
        with pytest.raises(InputError, match="frames from int: expected a path"):
            open_frames(7)
        with pytest.raises(InputError, match="a list of 0 items"):
            open_frames([])

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is empty.*Get the file again"),
            (b"\x89PNG\r\n\x1a\n", "not a TIFF: it begins with b'.x89PNG"),
            (b"II*\0", "damaged"),
        ],
    )
    def test_not_a_tiff(self, tmp_path, content, message):
        path = write_folder(tmp_path / "x", FLAT)
        (path / "t003.tif").write_bytes(content)
        opened = open_frames(path)
        assert opened[2].shape == (20, 30)
        with pytest.raises(FrameError, match=rf"t003\.tif, frame 3: .*{message}"):
            opened[3]
        with pytest.raises(FrameError, match=rf"t003\.tif: .*{message}"):
            open_frames(path / "t003.tif")

    def test_noise_instead_of_tags(self, tmp_path):
        noise = np.random.default_rng(0)
        path = tmp_path / "t0.tif"
        tifffile.imwrite(path, FLAT, compression="zlib")
        whole, messages = path.read_bytes(), []
        for _ in range(60):
            broken = bytearray(whole)
            for place in noise.integers(0, 400, 6):
                broken[place] = noise.integers(256)
            path.write_bytes(broken)
            messages.append(read_or_refusal(path)[1])
        assert sum(message is not None for message in messages) > 20
        assert all(str(path) in message for message in messages if message)

    @pytest.mark.parametrize("cut", [0.3, 0.6, 0.9, 0.995])
    @pytest.mark.parametrize(
        "options", [{}, {"compression": "zlib"}, {"imagej": True}, {"ome": True}, {"bigtiff": True}], ids=str
    )
    def test_truncated_movie(self, tmp_path, options, cut):
        path = make_tiff_writer(**options)(tmp_path / "x", FLAT)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * cut)])
        read, refusal = read_or_refusal(path)
        if cut > 0.99 and refusal is None:  # the end of some files holds only metadata
            np.testing.assert_array_equal(read, FLAT)
        else:
            assert re.search("movie.*(damaged|cannot be read).*(Get the file again|complete)", refusal)

    @pytest.mark.parametrize("cut", [0.3, 0.6, 0.9, 0.995])
    @pytest.mark.parametrize("movie", [FLAT, DEEP], ids=["2D", "3D"])
    @pytest.mark.parametrize("options", [{}, {"compression": None}, {"compression": "lzw", "predictor": True}], ids=str)
    def test_truncated_frame(self, tmp_path, movie, options, cut):
        path = write_folder(tmp_path / "x", movie, **options)
        whole = (path / "t001.tif").read_bytes()
        (path / "t001.tif").write_bytes(whole[: int(len(whole) * cut)])
        with pytest.raises(FrameError, match=r"t001\.tif, frame 1: the TIFF is damaged.*cut short.*again") as caught:
            open_frames(path)[1]
        assert (caught.value.frame, Path(caught.value.file).name) == (1, "t001.tif")

    @pytest.mark.parametrize("as_folder", [True, False])
    def test_truncated_jpeg(self, tmp_path, as_folder):
        # a decoder that fills the lost half with grey without an error
        image = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
        path = tmp_path / "t0.tif"
        with tifffile.TiffWriter(path) as writer:
            for _ in range(2):
                writer.write(image, compression="jpeg", metadata=None)
        with tifffile.TiffFile(path) as tif:
            first, second = tif.pages
            half = second.dataoffsets[0] + second.databytecounts[0] // 2
            assert second.offset < second.dataoffsets[0]
            assert first.dataoffsets[0] < half
        path.write_bytes(path.read_bytes()[:half])
        with pytest.raises(FrameError, match=r"t0\.tif, frame [01]: .*pixels up to byte"):
            list(open_frames(tmp_path if as_folder else path))

    @pytest.mark.parametrize(("odd", "told"), [(FLAT[0, 1:], r"\(19, 30\)"), (FLAT[:3], r"\(3, 20, 30\)")])
    def test_mixed_shapes(self, tmp_path, odd, told):
        path = write_folder(tmp_path / "x", FLAT)
        tifffile.imwrite(path / "t002.tif", odd, photometric="minisblack")
        with pytest.raises(
            FrameError, match=rf"t002\.tif, frame 2: its shape is {told}, the first frame's .*\(20, 30\)"
        ):
            open_frames(path)[2]

    def test_mixed_pages(self, tmp_path):
        with tifffile.TiffWriter(tmp_path / "m.tif") as writer:
            writer.write(FLAT[0], metadata=None)
            writer.write(FLAT[0, 1:], metadata=None)
        with pytest.raises(FrameError, match=r"m\.tif: it holds 2 series of images, of shapes \(20, 30\), \(19, 30\)"):
            open_frames(tmp_path / "m.tif")

    def test_rgb(self, tmp_path):
        colour = np.zeros((20, 30, 3), np.uint8)
        tifffile.imwrite(tmp_path / "t0.tif", colour, photometric="rgb")
        for opened in (tmp_path, tmp_path / "t0.tif", colour, colour[None], [colour]):
            with pytest.raises(
                FrameError, match=r"it is an RGB image of shape \(.*20, 30, 3\); expected one grey value"
            ):
                open_masks(opened)

    def test_channels(self, tmp_path):
        tifffile.imwrite(tmp_path / "m.tif", FLAT[:4].reshape(2, 2, 20, 30), imagej=True, metadata={"axes": "TCYX"})
        with pytest.raises(FrameError, match=r"2 channels: 0 'channel0', 1 .*--channel 0 .*--axes tzyx"):
            open_frames(tmp_path / "m.tif")
        with pytest.raises(FrameError, match="expected"):
            open_frames(np.zeros((2, 2, 2, 20, 30)))

    def test_no_permission(self, tmp_path, monkeypatch):
        path = write_folder(tmp_path / "x", FLAT)
        monkeypatch.setattr(tifffile, "TiffFile", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "denied")))
        with pytest.raises(FrameError, match=r"t000\.tif, frame 0: no permission to read it; change"):
            open_frames(path)

    def test_a_file_that_has_gone(self, tmp_path):
        path = write_folder(tmp_path / "x", FLAT)
        opened = open_frames(path)
        (path / "t004.tif").unlink()
        with pytest.raises(FrameError, match=r"t004\.tif, frame 4: the file was removed"):
            opened[4]

    @pytest.mark.parametrize("cut", [0, 6, 60, 2000])
    def test_truncated_npy(self, tmp_path, cut):
        np.save(tmp_path / "m.npy", FLAT)
        (tmp_path / "m.npy").write_bytes((tmp_path / "m.npy").read_bytes()[:cut])
        with pytest.raises(FrameError, match=r"m\.npy: it cannot be read as \.npy .*complete"):
            open_frames(tmp_path / "m.npy")

    def test_npy_of_objects(self, tmp_path):
        np.save(tmp_path / "m.npy", np.array([{"no": "array"}] * 3), allow_pickle=True)
        with pytest.raises(FrameError, match=r"m\.npy: it cannot be read as \.npy"):
            open_frames(tmp_path / "m.npy")

    @pytest.mark.parametrize("version", ["0.4", "0.5"])
    def test_damaged_zarr(self, tmp_path, version):
        path = make_ome_zarr_writer(version)(tmp_path / "m.zarr", FLAT)
        chunk = max(
            file for file in (path / "0").rglob("*") if file.is_file() and not file.name.startswith((".", "zarr"))
        )
        chunk.write_bytes(b"noise")
        with pytest.raises(FrameError, match=r"m\.zarr, frame 4: it cannot be read"):
            list(iterate(open_frames(path)))
        next(file for file in (path / "0").iterdir() if file.name in (".zarray", "zarr.json")).write_text("{")
        with pytest.raises(FrameError, match=r"m\.zarr: it cannot be read as zarr"):
            open_frames(path)

    def test_not_a_zarr(self, tmp_path):
        (tmp_path / "m.zarr").mkdir()
        with pytest.raises(FrameError, match=r"m\.zarr: it cannot be read as zarr"):
            open_frames(tmp_path / "m.zarr")


class TestPair:
    def test_lengths(self):
        with pytest.raises(FrameError, match="5 images and 3 masks"):
            check_pair(open_frames(FLAT), open_masks(FLAT[:3]))

    def test_shapes(self):
        with pytest.raises(FrameError, match=r"images have shape \(20, 30\), the masks \(19, 30\)"):
            check_pair(open_frames(FLAT), open_masks(FLAT[:, 1:]))

    def test_sizes_of_pixels(self):
        with pytest.raises(FrameError, match=r"pixels are .* um"):
            check_pair(open_frames(FLAT, spacing=1), open_masks(FLAT, spacing=2))
        check_pair(open_frames(FLAT, spacing=1), open_masks(FLAT))


class TestBioio:
    """The adapter against a stand-in: the package and the files of its formats are too large for the suite."""

    @pytest.fixture
    def movie(self, tmp_path):
        (tmp_path / "m.nd2").touch()
        return tmp_path / "m.nd2"

    @staticmethod
    def install(monkeypatch, array, scenes=("first",)):
        sizes = SimpleNamespace(Z=2.0, Y=0.5, X=0.5)
        image = SimpleNamespace(scenes=scenes, physical_pixel_sizes=sizes, get_image_dask_data=lambda _: array)
        module = ModuleType("bioio")
        module.BioImage = lambda _: image
        monkeypatch.setitem(sys.modules, "bioio", module)

    def test_not_installed(self, movie, monkeypatch):
        monkeypatch.setitem(sys.modules, "bioio", None)
        with pytest.raises(MissingDependencyError, match=re.escape("pip install 'gnntrack[bioio]'")):
            open_frames(movie)

    def test_volume(self, movie, monkeypatch):
        self.install(monkeypatch, DEEP[:, None])
        opened = open_frames(movie)
        assert (len(opened), opened.shape, opened.spacing, opened.unit) == (3, (4, 20, 30), (2.0, 0.5, 0.5), "um")

    def test_no_plug_in(self, movie, monkeypatch):
        class UnsupportedFileFormatError(Exception):
            pass

        self.install(monkeypatch, None)
        sys.modules["bioio"].BioImage = lambda _: (_ for _ in ()).throw(UnsupportedFileFormatError())
        with pytest.raises(MissingDependencyError, match=r"m\.nd2: .*pip install bioio-nd2; .*damaged"):
            open_frames(movie)

    def test_several_scenes(self, movie, monkeypatch):
        self.install(monkeypatch, DEEP[:, None], scenes=("a", "b"))
        with pytest.raises(FrameError, match=r"holds 2 scenes \(a, b"):
            open_frames(movie)


@pytest.mark.data
class TestRealMovies:
    @pytest.mark.parametrize(
        ("name", "n_frames", "shape"),
        [
            ("Fluo-N2DL-HeLa/01", 92, (700, 1100)),
            ("Fluo-N2DL-HeLa/01_ERR_SEG", 92, (700, 1100)),
            ("BBBC050-mouse-embryo-3D/01_GT/TRA", 75, (12, 44, 80)),
            ("Fluo-N3DH-CHO/02", 20, (5, 443, 512)),
            ("iPSC-02/01_RES", 102, (736, 768)),
        ],
    )
    def test_a_folder_of_the_challenge(self, ctc_data, name, n_frames, shape):
        opened = open_masks(ctc_data / name)
        assert (len(opened), opened.shape) == (n_frames, shape)
        np.testing.assert_array_equal(opened[7], tifffile.imread(opened.names[7]))

    def test_gold_truth_of_some_frames_is_full_of_holes(self, ctc_data):
        with pytest.raises(FrameError, match=r"frame number 6 is missing \(25"):
            open_masks(ctc_data / "Fluo-C2DL-MSC" / "01_GT" / "SEG")
