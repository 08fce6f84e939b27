"""Kinds of files that users bring: image series, numpy files, patterns, names with times, folders that hold both."""

from __future__ import annotations

import logging
import os
import pickle
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image

import gnntrack
from gnntrack.cli import cli
from gnntrack.errors import FrameError, InputError
from gnntrack.frame_array import FrameArray
from gnntrack.io import open_frames, open_masks
from gnntrack.io.foreign import describe_format
from gnntrack.io.patterns import match_pattern
from gnntrack.io.pickled_arrays import read_pickled

MASKS = np.zeros((4, 24, 32), np.uint16)
for _t in range(4):
    MASKS[_t, 4:10, 4 + _t : 12 + _t], MASKS[_t, 14:20, 16 - _t : 24 - _t] = 1 + _t, 300
IMAGES = (np.arange(4 * 24 * 32).reshape(4, 24, 32) % 251).astype(np.uint8)


def write(path: Path, pixels: np.ndarray) -> None:
    """Write one frame in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels, photometric="minisblack")
    elif path.name.endswith("_seg.npy"):
        np.save(path, {"masks": pixels, "outlines": pixels, "filename": "a.tif"}, allow_pickle=True)
    elif path.suffix == ".npy":
        np.save(path, pixels)
    elif path.suffix == ".npz":
        np.savez_compressed(path, pixels)
    else:
        Image.fromarray(pixels).save(path)


def write_all(folder: Path, name: str, movie: np.ndarray, numbers: list[object] | None = None) -> Path:
    """Write a file per frame; `name` has {} in place of the frame number."""
    for number, pixels in zip(numbers or range(len(movie)), movie, strict=False):
        write(folder / name.format(number), pixels)
    return folder


def check(opened, movie, dtype=None) -> None:
    assert len(opened) == len(movie)
    np.testing.assert_array_equal(np.stack(list(opened)), movie)
    assert dtype is None or opened[0].dtype == dtype


class TestImageSeries:
    @pytest.mark.parametrize("name", ["t{}.png", "t{}.bmp", "img_{}.pgm", "t{}.npy", "a{}b.npz", "t{}.webp", "T{}.PNG"])
    def test_images(self, tmp_path, name):
        if name.endswith("webp"):
            for t, image in enumerate(IMAGES):
                tmp_path.joinpath(name.format(t)).parent.mkdir(exist_ok=True)
                Image.fromarray(image).convert("RGB").save(tmp_path / name.format(t), lossless=True)
        else:
            write_all(tmp_path, name, IMAGES)
        check(open_frames(tmp_path), IMAGES)

    def test_jpeg_images_are_nearly_the_same(self, tmp_path):
        smooth = np.full((4, 24, 32), 100, np.uint8) + np.arange(32, dtype=np.uint8)
        for suffix in ("jpg", "JPEG"):
            write_all(tmp_path / suffix, "t{}." + suffix, smooth)
            read = np.stack(list(open_frames(tmp_path / suffix)))
            assert np.abs(read.astype(int) - smooth).max() < 4

    @pytest.mark.parametrize("name", ["t{}.png", "mask_{}.png", "t{}.npy", "t{}.npz", "t{}_seg.npy", "x{}_labels.png"])
    def test_masks(self, tmp_path, name):
        check(open_masks(write_all(tmp_path, name, MASKS)), MASKS)

    def test_masks_of_8_bits_as_bmp(self, tmp_path):
        check(open_masks(write_all(tmp_path, "m{}.bmp", MASKS.clip(0, 255).astype(np.uint8))), MASKS.clip(0, 255))

    @pytest.mark.parametrize("mode", ["1", "P", "RGB", "RGBA", "LA", "I", "F"])
    def test_modes_of_png_and_tiff_masks(self, tmp_path, mode):
        labels = (MASKS > 0).astype(np.uint8) if mode == "1" else MASKS.clip(0, 200).astype(np.uint8)
        for t, mask in enumerate(labels):
            image = Image.fromarray(mask * 255 if mode == "1" else mask)
            if mode == "P":
                image = Image.fromarray(mask, mode="L").convert("P")
                image.putpalette(np.random.default_rng(0).integers(0, 255, 768).astype(np.uint8).tobytes())
                image.putdata(mask.ravel().tolist())
            suffix = "tif" if mode in "FI" else "png"
            (image if mode == "P" else image.convert(mode)).save(tmp_path / f"m{t}.{suffix}")
        check(open_masks(tmp_path), labels)

    @pytest.mark.parametrize("suffix", ["jpg", "jpeg", "JPG", "webp"])
    def test_lossy_masks_are_refused(self, tmp_path, suffix):
        Image.fromarray(IMAGES[0]).save(tmp_path / f"m0.{suffix}")
        for source in (tmp_path, tmp_path / f"m0.{suffix}", [tmp_path / f"m0.{suffix}"], str(tmp_path / "m*")):
            with pytest.raises(FrameError, match=r"compression changes labels .*save the masks as TIFF or PNG"):
                open_masks(source)

    def test_coloured_images(self, tmp_path):
        colours = np.stack([IMAGES[0], IMAGES[1], IMAGES[2]], -1)
        Image.fromarray(colours).save(tmp_path / "t0.png")
        with pytest.raises(FrameError, match=r"RGB image .*--channel NUMBER"):
            open_masks(tmp_path)
        assert list(open_frames(tmp_path).channels) == ["red", "green", "blue"]
        np.testing.assert_array_equal(open_frames(tmp_path, channel="green")[0], IMAGES[1])

    def test_one_file_is_one_frame(self, tmp_path):
        write(tmp_path / "t.png", IMAGES[0])
        check(open_frames(tmp_path / "t.png"), IMAGES[:1])

    def test_a_damaged_file_is_named_with_its_frame(self, tmp_path):
        write_all(tmp_path, "t{}.png", IMAGES)
        (tmp_path / "t2.png").write_bytes((tmp_path / "t2.png").read_bytes()[:60])
        opened = open_frames(tmp_path)
        np.testing.assert_array_equal(opened[1], IMAGES[1])
        with pytest.raises(FrameError, match=r"t2\.png, frame 2: it cannot be read"):
            opened[2]

    def test_frames_are_read_when_they_are_needed(self, tmp_path):
        write_all(tmp_path, "t{}.png", IMAGES)
        opened = open_frames(tmp_path)
        for t in range(1, 4):
            (tmp_path / f"t{t}.png").unlink()
        np.testing.assert_array_equal(opened[0], IMAGES[0])

    def test_goes_to_another_process(self, tmp_path):
        write_all(tmp_path / "png", "t{}.png", MASKS)
        np.savez(tmp_path / "m.npz", masks=MASKS)
        for source in (tmp_path / "png", tmp_path / "m.npz"):
            check(pickle.loads(pickle.dumps(open_masks(source))), MASKS)


class TestNumpyFiles:
    @pytest.mark.parametrize("arrays", [{"a": 0}, {"masks": 0, "x": 1}, {"labels": 0, "img": 1}, {"Y": 0, "X": 1}])
    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    def test_archives(self, tmp_path, arrays, save):
        save(tmp_path / "m.npz", **{key: (MASKS, IMAGES)[which] for key, which in arrays.items()})
        check(open_masks(tmp_path / "m.npz"), MASKS)
        if len(arrays) > 1 and set(arrays) & {"img", "X"}:
            check(open_frames(tmp_path / "m.npz"), IMAGES)

    def test_an_archive_that_is_not_clear(self, tmp_path):
        np.savez(tmp_path / "m.npz", first=MASKS, second=IMAGES)
        with pytest.raises(FrameError, match=r"'first' \(4, 24, 32\), 'second' .*np\.save\('masks\.npy'.*\['first'\]"):
            open_masks(tmp_path / "m.npz")

    def test_the_shape_is_known_before_the_pixels_are_read(self, tmp_path, monkeypatch):
        np.savez_compressed(tmp_path / "a_segm.npz", MASKS)
        monkeypatch.setattr(np, "load", None)
        assert open_masks(tmp_path / "a_segm.npz").shape == (24, 32)

    @pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04"])
    def test_a_damaged_archive(self, tmp_path, content):
        (tmp_path / "m.npz").write_bytes(content)
        with pytest.raises(FrameError, match=r"m\.npz: it cannot be read as \.npz"):
            open_masks(tmp_path / "m.npz")

    def test_cellpose(self, tmp_path):
        flows = [IMAGES.astype(np.float32), [np.zeros(3), None]]
        more = {"flows": flows, "diameter": np.float32(12.5), "path": Path("/a/b.tif"), "filename": "b.tif"}
        np.save(tmp_path / "b_seg.npy", {"masks": MASKS, "outlines": MASKS, **more}, allow_pickle=True)
        check(open_masks(tmp_path / "b_seg.npy"), MASKS)
        assert read_pickled(tmp_path / "b_seg.npy")["diameter"] == 12.5

    def test_a_file_of_cellpose_that_is_cut_off_is_damaged_and_not_dangerous(self, tmp_path):
        np.save(tmp_path / "a_seg.npy", {"masks": MASKS}, allow_pickle=True)
        content = (tmp_path / "a_seg.npy").read_bytes()
        for length in (len(content) // 2, len(content) - 2):
            (tmp_path / "a_seg.npy").write_bytes(content[:length])
            with pytest.raises(FrameError, match=r"a_seg\.npy: its pickled objects cannot be read .* file is complete"):
                open_masks(tmp_path / "a_seg.npy")

    @pytest.mark.parametrize("protocol", range(6))
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_any_protocol(self, tmp_path, protocol, order):
        array = np.array({"masks": np.asarray(MASKS, ">u2", order=order)}, dtype=object)
        with (tmp_path / "a_seg.npy").open("wb") as file:
            described = {"descr": "|O", "fortran_order": False, "shape": ()}
            np.lib.format.write_array_header_1_0(file, described)
            pickle.dump(array, file, protocol=protocol)
        check(open_masks(tmp_path / "a_seg.npy"), MASKS)

    def test_a_list_of_masks(self, tmp_path):
        objects = np.empty(4, object)
        for t in range(4):
            objects[t] = MASKS[t]
        np.save(tmp_path / "m.npy", objects, allow_pickle=True)
        check(open_masks(tmp_path / "m.npy"), MASKS)

    @pytest.mark.parametrize(
        "bad",
        [
            lambda place: (os.system, (f"touch {place}",)),
            lambda place: (eval, (f"open({str(place)!r}, 'w')",)),
            lambda place: (os.mkdir, (str(place),)),
            lambda place: (getattr, (Path(place), "touch")),
            lambda place: (np.load, (str(place),)),
            lambda _: (np.random.default_rng, ()),
            lambda place: (np.ndarray.tofile, (MASKS, str(place))),
        ],
    )
    def test_code_is_never_executed(self, tmp_path, bad):
        class Trap:
            def __reduce__(self):
                return bad(tmp_path / "trap")

        for content in ({"masks": MASKS, "x": Trap()}, Trap(), [MASKS, Trap()]):
            np.save(tmp_path / "a_seg.npy", np.array(content, dtype=object), allow_pickle=True)
            with pytest.raises(FrameError, match=r"could execute code, so it is not read; .*np\.save\('a_masks\.npy'"):
                open_masks(tmp_path / "a_seg.npy")
            assert not (tmp_path / "trap").exists()

    @pytest.mark.parametrize(
        "program",
        [
            b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntb.",
            b"cnumpy\nndarray\n}S'__class__'\nS'x'\nsb.",
            b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I99\ntcnumpy\ndtype\n(S'i4'\ntRI00\nS'ab'\ntb.",
            b"c__builtin__\nexec\n(S'1'\ntR.",
            b"cbuiltins\nbytes\n(I9\ntR.",
            b"Pone\n.",
        ],
    )
    def test_programs_against_the_reader(self, tmp_path, program):
        with (tmp_path / "a_seg.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
            file.write(program)
        with pytest.raises(FrameError):
            open_masks(tmp_path / "a_seg.npy")


class TestPatterns:
    @pytest.mark.parametrize(
        "pattern",
        ["*_cp_masks.png", "img_{t}_cp_masks.png", "img_{t:03d}_cp_masks.png", "img_0??_cp_*.png", "**/*_cp_masks.png"],
    )
    def test_masks_beside_images(self, tmp_path, pattern):
        write_all(tmp_path, "img_{:03d}.tif", IMAGES)
        write_all(tmp_path, "img_{:03d}_cp_masks.png", MASKS)
        check(open_masks(tmp_path, pattern=pattern), MASKS)
        check(open_masks(tmp_path / pattern), MASKS)
        check(open_masks(f"{tmp_path}/{pattern}"), MASKS)
        check(open_frames(tmp_path, pattern="img_{t}.tif"), IMAGES)

    @pytest.mark.parametrize("name", ["t{t}_z{z}", "z{z}/t{t}", "img{t:02d}{z}", "{t}-{z}"])
    def test_a_file_per_slice(self, tmp_path, name):
        volume = np.stack([IMAGES, IMAGES + 1, IMAGES + 2], 1)
        for t in range(4):
            for z in range(3):
                file = name.replace("{t:02d}", f"{t:02d}").replace("{t}", str(t)).replace("{z}", str(z))
                write(tmp_path / f"{file}.tif", volume[t, z])
        check(open_frames(tmp_path, pattern=name + ".tif"), volume)
        check(open_frames(tmp_path, pattern=name + ".tif", axes="tzyx"), volume)

    def test_a_slice_that_is_missing(self, tmp_path):
        for t, z in ((0, 0), (0, 1), (1, 0)):
            write(tmp_path / f"t{t}z{z}.tif", IMAGES[0])
        with pytest.raises(FrameError, match=r"t1z0\.tif, frame 1: it has 1 slice, other frames have 2; add"):
            open_frames(tmp_path, pattern="t{t}z{z}.tif")

    @pytest.mark.parametrize("channels", [("DAPI", "GFP"), ("1", "2"), ("w1DAPI", "w2Cy5"), ("00", "01"), ("a b", "c")])
    def test_a_file_per_channel(self, tmp_path, channels):
        for t, image in enumerate(IMAGES):
            write(tmp_path / f"img_{channels[0]}_t{t}.tif", image)
            write(tmp_path / f"img_{channels[1]}_t{t}.tif", image + 1)
        pattern = "img_{c}_t{t}.tif"
        with pytest.raises(FrameError, match=rf"files of 2 channels: {channels[0]}, .*--channel {channels[0]}"):
            open_frames(tmp_path, pattern=pattern)
        opened = open_frames(tmp_path, pattern=pattern, channel=channels[1])
        with pytest.raises(FrameError, match="channel '9' does not exist"):
            open_frames(tmp_path, pattern=pattern, channel="9")
        check(opened, IMAGES + 1)
        check(opened.channels[channels[0]], IMAGES)
        check(open_frames(tmp_path, pattern=pattern.replace("{c}", channels[0])), IMAGES)

    @pytest.mark.parametrize(
        "positions", [("1", "2"), ("A01", "B02"), ("pos0", "pos1"), ("left", "right"), ("1", "10")]
    )
    def test_one_position_of_several(self, tmp_path, positions):
        for name, add in zip(positions, (0, 1), strict=True):
            write_all(tmp_path, f"{name}_t{{}}.tif", IMAGES + add)
        for source, options in ((tmp_path, {"pattern": "{p}_t{t}.tif"}), (tmp_path / "{p}_t{t}.tif", {})):
            with pytest.raises(FrameError, match=f"files of 2 positions: .*--position {positions[0]}"):
                open_frames(source, **options)
            check(open_frames(source, position=positions[1], **options), IMAGES + 1)
            with pytest.raises(FrameError, match="no position '7'; its positions are"):
                open_frames(source, position="7", **options)
        with pytest.raises(FrameError, match=rf"--images-pattern '{positions[0]}_t\{{t\}}\.tif'"):
            open_frames(tmp_path)
        check(open_frames(tmp_path / f"{positions[0]}_t{{t}}.tif"), IMAGES)

    def test_positions_in_folders(self, tmp_path):
        for k in range(2):
            write_all(tmp_path / f"pos{k}", "img{}.png", IMAGES + k)
        check(open_frames(tmp_path, pattern="pos1/img*.png"), IMAGES + 1)
        check(open_frames(tmp_path / "pos{p}" / "img{t}.png", position="1"), IMAGES + 1)

    @pytest.mark.parametrize(
        ("pattern", "message"),
        [
            ("nothing*.tif", r"no file fits the pattern 'nothing\*\.tif'; it holds t0\.tif, .*quotes"),
            ("t{x}.tif", r"'\{x\}' in the pattern .* is not known; expected \{t\}"),
            ("{t}.png", "no file fits"),
        ],
    )
    def test_refused(self, tmp_path, pattern, message):
        write_all(tmp_path, "t{}.tif", IMAGES)
        with pytest.raises(FrameError, match=message):
            open_frames(tmp_path, pattern=pattern)
        with pytest.raises(FrameError, match="no such folder"):
            match_pattern(tmp_path / "no", "*.tif")

    def test_a_missing_frame(self, tmp_path):
        write_all(tmp_path, "t{}.tif", IMAGES, [0, 1, 2, 4])
        with pytest.raises(FrameError, match=r"frame number 3 is missing: no t3\.tif"):
            open_frames(tmp_path, pattern="t{t}.tif")
        opened = open_frames(tmp_path, pattern="t{t}.tif", allow_missing=True)
        assert (len(opened), opened[3].max()) == (5, 0)

    def test_a_pattern_for_one_file_that_is_a_movie(self, tmp_path):
        tifffile.imwrite(tmp_path / "movie_7.tif", IMAGES, imagej=True, metadata={"axes": "TYX"})
        check(open_frames(tmp_path / "movie_*.tif"), IMAGES)

    def test_a_folder_whose_name_looks_like_a_pattern(self, tmp_path):
        check(open_frames(write_all(tmp_path / "old [1] {t}", "t{}.tif", IMAGES)), IMAGES)


STAMPS = {
    "Incucyte": ["VID1_A1_1_00d23h30m", "VID1_A1_1_01d00h00m", "VID1_A1_1_01d00h30m", "VID1_A1_1_10d00h00m"],
    "dates": ["2024-01-31_23-30-00", "2024-02-01_00-00-00", "2024-02-01_00-30-00", "2024-10-01_00-00-00"],
    "compact": ["img_20240131T233000", "img_20240201T000000", "img_20240201T003000", "img_20241001T000000"],
    "days": ["2024-01-31", "2024-02-01", "2024-02-02", "2024-02-03"],
    "hours": ["t_0h30m", "t_1h00m", "t_2h00m", "t_10h00m"],
    "clock": ["09-59-58", "09-59-59", "10-00-00", "10-00-01"],
    "IncuCyte dates": [
        "A1_2022y03m04d_10h20m",
        "A1_2022y03m04d_10h50m",
        "A1_2022y03m05d_00h20m",
        "A1_2022y12m01d_00h20m",
    ],
    "seconds since 1970": ["1700000000", "1700003600", "1700007200", "1700010800"],
}


class TestNames:
    @pytest.mark.parametrize("kind", list(STAMPS))
    def test_time_stamps_are_frames_in_the_order_of_time(self, tmp_path, kind):
        write_all(tmp_path, "{}.tif", IMAGES, STAMPS[kind])
        check(open_frames(tmp_path), IMAGES)

    @pytest.mark.parametrize("kind", ["Incucyte", "dates", "compact"])
    def test_time_stamps_of_two_positions(self, tmp_path, kind):
        for well, add in (("P1_", 0), ("P2_", 1)):
            write_all(tmp_path, well + "{}.png", IMAGES + add, STAMPS[kind])
        with pytest.raises(FrameError, match=r"position \(1, 2\), time .*--images-pattern 'P1_.*\{t\}\.png'"):
            open_frames(tmp_path)
        middle = "VID1_A1_1_" if kind == "Incucyte" else "img_" if kind == "compact" else ""
        check(open_frames(tmp_path, pattern=f"P2_{middle}{{t}}.png"), IMAGES + 1)

    def test_a_pause_is_told_and_can_be_filled(self, tmp_path, caplog):
        write_all(tmp_path, "a_{}.tif", IMAGES, ["00d00h00m", "00d00h30m", "00d01h00m", "00d02h00m"])
        with caplog.at_level(logging.WARNING, "gnntrack"):
            check(open_frames(tmp_path), IMAGES)
        assert "60 min between two files, usually 30 min" in caplog.text
        opened = open_frames(tmp_path, allow_missing=True)
        assert (len(opened), opened[3].max(), opened[4].max()) == (5, 0, IMAGES[3].max())

    @pytest.mark.parametrize(
        "numbers", [[0, 5, 10, 15], [3, 6, 9, 12], [100, 200, 300, 400], [1, 3, 5, 7], [0, 30, 60, 90]]
    )
    def test_steps_are_consecutive_frames(self, tmp_path, numbers):
        write_all(tmp_path, "t{:03d}.tif", IMAGES, numbers)
        for allow_missing in (False, True):
            check(open_frames(tmp_path, allow_missing=allow_missing), IMAGES)

    def test_a_number_missing_from_a_series_in_steps(self, tmp_path):
        write_all(tmp_path, "t{:03d}.tif", IMAGES, [0, 5, 10, 20])
        with pytest.raises(
            FrameError, match=r"frame number 15 is missing .*in steps of 5.*: no t015\.tif; .*allow_missing"
        ):
            open_frames(tmp_path)
        opened = open_frames(tmp_path, allow_missing=True)
        assert [int(image.max() > 0) for image in opened] == [1, 1, 1, 0, 1]

    @pytest.mark.parametrize(
        ("names", "pattern"),
        [
            (["t0_z0", "t0_z1", "t1_z0", "t1_z1"], r"t\{t\}_z\{z\}\.tif"),
            (["t0_ch0", "t0_ch1", "t1_ch0", "t1_ch1"], r"t\{t\}_ch0\.tif"),
            (["xy1t0", "xy1t1", "xy2t0", "xy2t1"], r"xy1t\{t\}\.tif"),
            (["s1_0", "s1_1", "s2_0", "s2_1"], r"s1_\{t\}\.tif"),
            (["f_1_0", "f_1_1", "f_2_0", "f_2_1"], r"f_1_\{t\}\.tif"),
            (["p1_c1_t0", "p1_c2_t0", "p2_c1_t0", "p2_c2_t1"], r"p1_c1_t\{t\}\.tif"),
        ],
    )
    def test_the_message_has_a_pattern_that_works(self, tmp_path, names, pattern):
        for name in names:
            write(tmp_path / f"{name}.tif", IMAGES[0])
        with pytest.raises(FrameError, match=rf"count \d things: .*--images-pattern '{pattern}'") as caught:
            open_frames(tmp_path)
        assert len(open_frames(tmp_path, pattern=str(caught.value).split("'")[1])) in (1, 2)


COUNTERS = {
    "positions": (["p{}_t{}.tif"], ["p{}_t{}.tif"]),
    "positions, other names": (["exp_s{}_t{}.tif"], ["seg_s{}_t{}.png"]),
    "wells and fields": (["B02_{}_{}.tif"], ["B02_{}_{}_mask.tif"]),
    "cellpose": (["p{}_t{}.tif"], ["p{}_t{}_cp_masks.png"]),
    "channels and positions": (["xy{}_c1_t{}.tif", "xy{}_c2_t{}.tif"], ["xy{}_t{}.tif"]),
}


@pytest.mark.parametrize("kind", COUNTERS)
@pytest.mark.parametrize("together", [False, True])
def test_images_and_masks_of_several_movies_are_chosen_by_two_patterns(tmp_path, kind, together):
    image_names, mask_names = COUNTERS[kind]
    folders = [tmp_path / "all"] * 2 if together and kind == "cellpose" else [tmp_path / "01", tmp_path / "masks"]
    for folder, names, frames in zip(folders, (image_names, mask_names), (IMAGES, MASKS), strict=True):
        for name in names:
            for position in (1, 2):
                write_all(folder, name.replace("{}", str(position), 1), frames, range(4))
    sources = folders[:1] if together and kind == "cellpose" else folders
    with pytest.raises(FrameError, match=r"--images-pattern .*; the masks need one too: --masks-pattern") as caught:
        gnntrack.track(*sources)
    patterns = re.findall(r"--(images|masks)-pattern '([^']*)'", str(caught.value))
    assert [role for role, _ in patterns] == ["images", "masks"]
    chosen = {f"{role}_pattern": pattern for role, pattern in patterns}
    assert gnntrack.track(*sources, **chosen).cells.n_frames == 4


def test_masks_of_one_movie_need_no_pattern(tmp_path):
    for position in (1, 2):
        write_all(tmp_path / "01", f"p{position}_t{{}}.tif", IMAGES)
    write_all(tmp_path / "masks", "t{}.tif", MASKS)
    for masks in (tmp_path / "masks", tmp_path / "none", MASKS):
        with pytest.raises(FrameError, match="--images-pattern") as caught:
            gnntrack.track(tmp_path / "01", masks)
        assert "--masks-pattern" not in str(caught.value)


CONVENTIONS = [
    "{}_cp_masks.png",
    "{}_cp_masks.tif",
    "{}_seg.npy",
    "{}_mask.png",
    "{}_labels.tif",
    "mask_{}.bmp",
    "{}_masks.npy",
]


class TestFoldersThatHoldBoth:
    @pytest.mark.parametrize("masks", CONVENTIONS)
    @pytest.mark.parametrize("images", ["im_{}.tif", "im_{}.png", "im_{}.jpg"])
    def test_images_and_masks(self, tmp_path, images, masks):
        labels = MASKS.clip(0, 255).astype(np.uint8) if masks.endswith("bmp") else MASKS
        write_all(tmp_path, images, IMAGES)
        write_all(tmp_path, masks.replace("{}", "im_{}"), labels)
        check(open_masks(tmp_path), labels)
        if not images.endswith("jpg"):
            check(open_frames(tmp_path), IMAGES)

    def test_all_files_of_cellpose(self, tmp_path):
        write_all(tmp_path, "im_{}.tif", IMAGES)
        write_all(tmp_path, "im_{}_cp_masks.png", MASKS)
        write_all(tmp_path, "im_{}_seg.npy", MASKS)
        write_all(tmp_path, "im_{}_cp_output.png", IMAGES)
        write_all(tmp_path, "im_{}_flows.tif", IMAGES)
        (tmp_path / "im_0_cp_outlines.txt").write_text("1,2,3\n")
        check(open_frames(tmp_path), IMAGES)
        check(open_masks(tmp_path), MASKS)

    def test_a_preview_is_not_a_frame(self, tmp_path, caplog):
        write_all(tmp_path, "t{}.tif", IMAGES)
        write(tmp_path / "overview.png", IMAGES[0])
        with caplog.at_level(logging.WARNING, "gnntrack"):
            check(open_frames(tmp_path), IMAGES)
        assert "overview.png is not read" in caplog.text

    def test_two_formats_of_the_same_number_are_not_chosen_in_silence(self, tmp_path):
        write_all(tmp_path, "t{}.tif", IMAGES)
        write_all(tmp_path, "t{}.png", MASKS)
        for role, read in (("images", open_frames), ("masks", open_masks)):
            with pytest.raises(FrameError, match=rf"2 kinds: .*--{role}-pattern 't\{{t\}}\.png' or 't"):
                read(tmp_path)

    def test_pictures_beside_a_result_are_not_frames(self, tmp_path):
        write_all(tmp_path, "mask{:03d}.tif", MASKS)
        write_all(tmp_path, "overlay{}.png", IMAGES)
        (tmp_path / "res_track.txt").write_text("1 0 3 0\n")
        check(open_masks(tmp_path), MASKS)

    @pytest.mark.parametrize("inside", ["pos0/images", "a/b", "x/y"])
    def test_a_folder_of_positions_names_them(self, tmp_path, inside):
        write_all(tmp_path / inside, "t{}.tif", IMAGES)
        with pytest.raises(FrameError, match=rf"folders? with movies inside, such as .*{inside}; give one .*batch"):
            open_frames(tmp_path)
        with pytest.raises(FrameError, match=f"did you mean .*{inside}"):
            open_frames((tmp_path / inside).parent)

    def test_a_folder_of_volumes_names_them(self, tmp_path):
        for name in "ab":
            (tmp_path / f"{name}.zarr").mkdir()
            (tmp_path / f"{name}_points.csv").write_text("t,y,x\n")
        with pytest.raises(
            FrameError, match=r"it holds 2 movies, .* give .*a\.zarr or .*b\.zarr, or use 'gnntrack batch'"
        ):
            open_frames(tmp_path)


class TestVideo:
    @pytest.mark.parametrize("form", ["avi FFV1", "avi MJPG", "mp4 mp4v", "mov mp4v", "mkv FFV1"])
    def test_frames_in_any_order(self, tmp_path, form, caplog):
        suffix, codec = form.split()
        path = tmp_path / f"m.{suffix}"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 10, (64, 48), isColor=True)
        movie = np.stack([np.full((48, 64), 20 + 10 * t, np.uint8) for t in range(12)])
        for image in movie:
            writer.write(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
        writer.release()
        with caplog.at_level(logging.WARNING, "gnntrack"):
            opened = open_frames(path)
        assert "compression of a video changes intensities" in caplog.text
        assert (len(opened), opened.shape) == (12, (48, 64))
        for t in (0, 11, 3, 2, 10):
            assert abs(float(opened[t].mean()) - movie[t].mean()) < 4
        with pytest.raises(FrameError, match="video, whose compression changes labels; save masks as TIFF or PNG"):
            open_masks(path)

    def test_no_video(self, tmp_path, capfd):
        (tmp_path / "m.avi").write_bytes(b"no video")
        with pytest.raises(FrameError, match=r"m\.avi: it cannot be opened as a video; .*ffmpeg"):
            open_frames(tmp_path / "m.avi")
        capfd.readouterr()


class TestOtherFormats:
    @pytest.mark.parametrize(
        ("name", "remedy"),
        [
            ("a.h5", "h5py"),
            ("a.ims", "Fiji"),
            ("a.mat", "scipy.io"),
            ("a.zip", "unpack"),
            ("RoiSet.zip", "label image"),
            ("a.roi", "label image"),
            ("a.ics", "Bio-Formats"),
            ("a.vsi", "Bio-Formats"),
            ("a.oib", "Bio-Formats"),
            ("a.dv", "Bio-Formats"),
            ("a.nii", "SimpleITK"),
            ("a.csv", "import"),
            ("a.xml", "import"),
            ("a.pkl", "pickle"),
            ("a.raw", "reshape"),
        ],
    )
    def test_each_has_a_remedy(self, tmp_path, name, remedy):
        (tmp_path / name).write_bytes(b"content")
        for source in (tmp_path / name, [tmp_path / name], str(tmp_path / "*.*")):
            with pytest.raises(FrameError, match=rf"cannot read '{Path(name).suffix}' files; .*{remedy}"):
                open_frames(source)
        assert "FILE" not in describe_format(Path(name)) or "bioio" in describe_format(Path(name))


@pytest.mark.parametrize("suffix", [".geff", ".GEFF"])
def test_a_geff_is_named_as_tracks(suffix):
    assert "cannot read" not in describe_format(Path(f"a{suffix}"))
    assert "is not a movie; 'gnntrack export'" in describe_format(Path(f"a{suffix}"))


class TestArrays:
    def test_lists_of_paths(self, tmp_path):
        write_all(tmp_path, "t{}.png", MASKS)
        files = sorted(tmp_path.glob("*.png"))
        check(open_masks(files), MASKS)
        check(open_masks([str(path) for path in files]), MASKS)
        check(open_masks(files[::-1]), MASKS[::-1])
        check(open_frames(tuple(files[1:3])), MASKS[1:3])
        with pytest.raises(FrameError, match=r"t9\.png: no such file; check the list"):
            open_frames([tmp_path / "t0.png", tmp_path / "t9.png"])
        with pytest.raises(FrameError, match=r"t9\.png: no such file or folder; did you mean"):
            open_frames([tmp_path / "t9.png"])

    @pytest.mark.parametrize("order", [[2, 1, 0], [1, 0, 2], [0, 2, 1], [2, 0, 1], [1, 2, 0]])
    def test_paths_that_are_not_in_order_are_told(self, tmp_path, order, caplog):
        write_all(tmp_path, "t{}.png", MASKS[:3])
        with caplog.at_level(logging.WARNING, "gnntrack"):
            check(open_masks([tmp_path / f"t{t}.png" for t in order]), MASKS[order])
        assert "not in the order of their numbers" in caplog.text

    @pytest.mark.parametrize("names", [["b.png", "a.png", "c.png"], ["x1.png", "y0.png", "x2.png"]])
    def test_paths_without_numbers_that_can_be_compared_are_in_the_order_given(self, tmp_path, names, caplog):
        for name, mask in zip(names, MASKS, strict=False):
            write_all(tmp_path, name, mask[None])
        with caplog.at_level(logging.WARNING, "gnntrack"):
            check(open_masks([tmp_path / name for name in names]), MASKS[:3])
        assert caplog.text == ""

    @pytest.mark.parametrize(
        "make",
        [
            lambda files: iter(files[::-1]),
            lambda files: files[0].parent.glob("*.png"),
            lambda files: files[0].parent.iterdir(),
            lambda files: np.array(files),
            lambda files: np.array([str(file) for file in files]),
        ],
    )
    def test_iterators_and_arrays_of_paths(self, tmp_path, make, caplog):
        write_all(tmp_path, "t{}.png", MASKS, [2, 9, 10, 11])
        files = [tmp_path / f"t{t}.png" for t in (2, 9, 10, 11)]
        with caplog.at_level(logging.WARNING, "gnntrack"):
            check(open_masks(make(files)), MASKS)
        assert caplog.text == ""

    @pytest.mark.parametrize("name", ["movie.tif", "movie.npy", "movie.npz"])
    def test_a_list_of_one_movie_is_that_movie(self, tmp_path, name):
        path = tmp_path / name
        write = {
            ".tif": partial(tifffile.imwrite, photometric="minisblack"),
            ".npy": np.save,
            ".npz": lambda path, masks: np.savez(path, masks=masks),
        }
        write[path.suffix](path, MASKS)
        check(open_masks([path]), MASKS)

    @pytest.mark.parametrize(("shape", "axes"), [((40, 40, 6), "yxt"), ((20, 30, 15), "yxt"), ((4, 40, 50, 2), "tyxz")])
    def test_a_short_last_axis_is_refused_until_it_is_named(self, shape, axes):
        movie = np.zeros(shape, np.uint16)
        with pytest.raises(FrameError, match=rf"is the last axis, .* Name the axes: --axes {axes} "):
            open_frames(movie)
        assert len(open_frames(movie, axes=axes)) == shape[axes.index("t")]
        assert open_frames(movie, axes="tyx" if len(shape) == 3 else "tzyx").shape == shape[1:]

    @pytest.mark.parametrize("shape", [(64, 64, 30), (128, 128, 17), (100, 100, 50)])
    def test_square_planes_behind_each_other_are_told(self, shape, caplog):
        with caplog.at_level(logging.WARNING, "gnntrack"):
            open_frames(np.zeros(shape, np.uint8))
        assert "if the last axis is time, use --axes yxt" in caplog.text
        caplog.clear()
        with caplog.at_level(logging.WARNING, "gnntrack"):
            open_frames(np.zeros(shape, np.uint8), axes="tyx")
            open_frames(np.zeros(shape[::-1], np.uint8))
            open_frames(np.zeros((64, 80, 30), np.uint8))
        assert caplog.text == ""

    @pytest.mark.parametrize("n", [3, 4])
    def test_frames_of_an_archive_without_names(self, tmp_path, n):
        np.savez(tmp_path / "a.npz", *MASKS[:n])
        check(open_masks(tmp_path / "a.npz"), MASKS[:n])
        np.savez(tmp_path / "b.npz", MASKS[0], MASKS[1], MASKS[2][1:])
        with pytest.raises(FrameError, match="none is named like masks"):
            open_masks(tmp_path / "b.npz")

    @pytest.mark.parametrize("name", ["max", "min", "astype", "sum", "copy"])
    def test_what_a_movie_lacks_of_an_array_is_told(self, name):
        movie = FrameArray(open_frames(MASKS), np.int64)
        with pytest.raises(AttributeError, match=rf"np\.asarray\(movie\)\.{name}"):
            getattr(movie, name)
        with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
            movie.nonsense  # noqa: B018

    def test_paths_sorted_by_letters_are_read_by_number(self, tmp_path, caplog):
        write_all(tmp_path, "t{}.png", MASKS, [2, 9, 10, 11])
        with caplog.at_level(logging.WARNING, "gnntrack"):
            check(open_masks(sorted(tmp_path.glob("*.png"))), MASKS)
        assert "t10.png before t2.png" in caplog.text

    def test_zarr(self, tmp_path):
        import zarr

        array = zarr.create_array(str(tmp_path / "a.zarr"), shape=MASKS.shape, dtype=MASKS.dtype)
        array[...] = MASKS
        check(open_masks(array), MASKS)
        named = zarr.create_array(store={}, shape=MASKS.T.shape, dtype=MASKS.dtype, dimension_names=["x", "y", "t"])
        named[...] = MASKS.T
        check(open_masks(named), MASKS)

    @pytest.mark.parametrize(
        "dims",
        [
            ("t", "y", "x"),
            ("time", "y", "x"),
            ("x", "y", "t"),
            ("T", "Y", "X"),
            ("frame", "row", "column"),
            ("y", "t", "x"),
        ],
    )
    def test_named_dimensions(self, dims):
        class DataArray:
            """A stand-in for xarray.DataArray: positions index it, dimensions have names."""

            def __init__(self, values, dims):
                self._values, self.dims, self.shape, self.dtype = values, dims, values.shape, values.dtype

            def __getitem__(self, index):
                return DataArray(self._values[index], ())

            def __array__(self, dtype=None, copy=None):
                return self._values

        order = [{"t": 0, "y": 1, "x": 2, "r": 1, "c": 2, "f": 0}[name[0].lower()] for name in dims]
        check(open_masks(DataArray(MASKS.transpose(order), dims)), MASKS)

    def test_dask_and_generators(self):
        import dask.array as da

        check(open_masks(da.from_array(MASKS, chunks=(1, 24, 32))), MASKS)
        check(open_frames(image for image in IMAGES), IMAGES)


def draw_movie(folder: Path, **names: str) -> Path:
    """Write images and masks of one movie; names have {} in place of the frame."""
    images = np.random.default_rng(0).normal(100, 10, MASKS.shape) + 400 * (MASKS > 0)
    for name, movie in (("images", images.astype(np.uint16)), ("masks", MASKS)):
        if name in names:
            write_all(folder, names[name], movie)
    return folder


class TestTracking:
    @pytest.mark.parametrize("masks", ["im_{}_cp_masks.png", "im_{}_seg.npy", "im_{}_mask.tif"])
    def test_a_folder_that_holds_both_is_given_once(self, tmp_path, masks):
        folder = draw_movie(tmp_path, images="im_{}.tif", masks=masks)
        with pytest.warns(gnntrack.GnntrackWarning, match="its masks are the 4 files im_#_"):
            graph = gnntrack.build_graph(folder)
        assert (len(graph.cells), "intensity_mean" in graph.cells.feature_names) == (8, True)

    @pytest.mark.parametrize(("images", "masks"), [("images", "masks"), ("imgs", "labels"), ("raw", "SEG"), ("x", "y")])
    def test_an_archive_that_holds_both_is_given_once(self, tmp_path, images, masks):
        light = np.random.default_rng(0).normal(100, 10, MASKS.shape) + 400 * (MASKS > 0)
        np.savez(tmp_path / "movie.npz", **{images: light.astype(np.uint16), masks: MASKS})
        with pytest.warns(gnntrack.GnntrackWarning, match=f"its masks are the array '{masks}'"):
            graph = gnntrack.build_graph(tmp_path / "movie.npz")
        assert (len(graph.cells), "intensity_mean" in graph.cells.feature_names) == (8, True)

    def test_patterns_as_keywords_and_settings(self, tmp_path):
        folder = draw_movie(tmp_path, images="a_{}.tif", masks="b_{}.tif")
        graph = gnntrack.build_graph(folder, folder, images_pattern="a_{t}.tif", masks_pattern="b_*.tif")
        assert len(graph.cells) == 8
        assert len(gnntrack.build_graph(folder, masks_pattern="b_*.tif", images_pattern="a_*.tif").cells) == 8
        with pytest.raises(FrameError, match=r"2 kinds: a_#\.tif \(4\), b_#\.tif .*--masks-pattern"):
            gnntrack.build_graph(folder, folder)

    @pytest.mark.parametrize("form", ["imagej", "ome", "one imagej, one folder", "one ome, one folder", "one npy"])
    def test_frames_saved_as_slices(self, tmp_path, form):
        draw_movie(tmp_path / "i", images="t{}.tif")
        images = np.stack([tifffile.imread(tmp_path / "i" / f"t{t}.tif") for t in range(4)])
        kind = {"imagej": True} if "imagej" in form or "npy" in form else {"ome": True}
        for name, movie in (("images", images), ("masks", MASKS)):
            tifffile.imwrite(tmp_path / f"{name}.tif", movie, metadata={"axes": "ZYX"}, **kind)
        np.save(tmp_path / "images.npy", images)
        first = tmp_path / ("i" if "folder" in form else "images.npy" if "npy" in form else "images.tif")
        if "one" in form:
            with pytest.warns(gnntrack.GnntrackWarning, match="its slices are read as the frames .* --axes tyx"):
                assert gnntrack.build_graph(first, tmp_path / "masks.tif").cells.n_frames == 4
        else:
            with pytest.raises(
                FrameError, match=r"one time point of 4 slices, .* use --axes tyx \(in Python axes='tyx'\)"
            ):
                gnntrack.build_graph(first, tmp_path / "masks.tif")
        assert gnntrack.build_graph(first, tmp_path / "masks.tif", axes="tyx").cells.n_frames == 4

    @pytest.mark.parametrize(
        "name", ["exp_cp_masks.tif", "exp_masks.tif", "exp_mask.tif", "exp_labels.tif", "exp_segm.tif"]
    )
    @pytest.mark.filterwarnings("ignore:.*others are chosen by")
    def test_slices_read_as_frames_are_told_of_their_file(self, tmp_path, name):
        images = np.random.default_rng(0).integers(50, 300, MASKS.shape).astype(np.uint16)
        tifffile.imwrite(tmp_path / "exp.tif", images, imagej=True, metadata={"axes": "TYX"})
        tifffile.imwrite(tmp_path / name, MASKS, photometric="minisblack")
        with pytest.warns(gnntrack.GnntrackWarning, match=rf"{name}: its slices are read as the frames"):
            assert gnntrack.build_graph(tmp_path).cells.n_frames == 4

    @pytest.mark.filterwarnings("ignore::gnntrack.GnntrackWarning")
    def test_one_volume_with_its_depth_is_not_refused(self, tmp_path):
        tifffile.imwrite(tmp_path / "m.tif", MASKS, imagej=True, metadata={"axes": "ZYX", "spacing": 2.0})
        assert gnntrack.build_graph(masks=tmp_path / "m.tif").cells.n_frames == 1
        assert gnntrack.build_graph(masks=MASKS[None]).cells.n_frames == 1

    @pytest.mark.parametrize("axes", ["t", "T", "tt"])
    def test_axes_of_a_folder_that_name_the_frames_alone_are_refused(self, axes, tmp_path):
        for name in ("t0.tif", "t1.tif"):
            tifffile.imwrite(tmp_path / name, IMAGES[0])
        with pytest.raises(FrameError, match=rf"t0\.tif.*axes '{axes}' name no axis of a frame; .* --axes tyx"):
            open_frames(tmp_path, axes=axes)

    def test_info_names_the_axes_and_the_masks(self, tmp_path):
        tifffile.imwrite(tmp_path / "m.tif", MASKS, imagej=True, metadata={"axes": "ZYX"})
        result = CliRunner().invoke(cli, ["info", str(tmp_path / "m.tif")])
        assert "one time point of 4 slices" in result.output
        assert "--axes tyx" in result.output
        folder = draw_movie(tmp_path / "both", images="im_{}.tif", masks="im_{}_cp_masks.png")
        for options, kind in (([], "images"), (["--masks"], "masks"), (["--masks-pattern", "*.png"], "masks")):
            assert f"kind      {kind}" in CliRunner().invoke(cli, ["info", str(folder), *options]).output

    def test_a_pattern_without_quotes(self):
        result = CliRunner().invoke(cli, ["track", "a1.tif", "a2.tif", "b1.tif", "b2.tif", "-o", "out"])
        assert result.exit_code == 2
        assert "put it in quotes" in result.output


class TestFolderWithOneMovie:
    @pytest.mark.parametrize(
        "name",
        [
            "exp_cp_masks.tif",
            "exp_seg.npy",
            "exp_masks.npy",
            "exp_mask.npz",
            "exp_labels.tif",
            "exp_segm.npz",
            "Exp1_cp_masks.tif",
            "exp_2024-05-01_seg.npy",
        ],
    )
    @pytest.mark.parametrize("axes", ["TYX", "TCYX"])
    def test_images_and_masks_of_a_movie_are_a_file_each(self, axes, name, tmp_path):
        pixels = IMAGES if axes == "TYX" else np.stack([IMAGES, IMAGES // 2], 1)
        tifffile.imwrite(tmp_path / "exp.tif", pixels, imagej=True, metadata={"axes": axes})
        write(tmp_path / name, MASKS)
        with pytest.warns(gnntrack.GnntrackWarning, match=f"its masks are {name}; "):
            lineage = gnntrack.track(tmp_path, channel=None if axes == "TYX" else 0)
        assert len(lineage.cells) == 8
        assert lineage.cells.n_frames == 4

    @pytest.mark.parametrize("metadata", [{"ome": True}, {"imagej": True}])
    def test_one_movie_in_a_folder_of_images(self, metadata, tmp_path):
        tifffile.imwrite(tmp_path / "a.ome.tif", IMAGES, metadata={"axes": "TYX"}, **metadata)
        check(open_frames(tmp_path), IMAGES)

    @pytest.mark.parametrize("suffix", [".tif", ".npy"])
    def test_axes_make_a_movie_of_the_only_file(self, suffix, tmp_path):
        write(tmp_path / f"a{suffix}", IMAGES)
        assert open_frames(tmp_path).shape == (4, 24, 32)
        check(open_frames(tmp_path, axes="tyx"), IMAGES)
        assert open_frames(tmp_path, axes="zyx").shape == (4, 24, 32)

    def test_several_movies_in_a_folder_are_refused(self, tmp_path):
        for name in ("a1.tif", "a2.tif"):
            tifffile.imwrite(tmp_path / name, IMAGES, imagej=True, metadata={"axes": "TYX"})
        with pytest.raises(FrameError, match="it holds 4 time points"):
            open_frames(tmp_path)


class TestTimesInNames:
    @pytest.mark.parametrize(
        "pattern",
        [
            "%Y%m%d%H%M.tif",
            "%Y%m%d%H%M%S.tif",
            "img_%Y%m%d%H%M%S_a.tif",
            "x-%H-%M-%S.tif",
            "%H.%M.%S.tif",
            "a%H_%M_%S.tif",
        ],
    )
    @pytest.mark.parametrize("minutes", [1, 5, 60])
    def test_a_movie_over_midnight(self, tmp_path, pattern, minutes, caplog):
        start = datetime(2024, 1, 31, 23, 59, tzinfo=UTC) - timedelta(minutes=2 * minutes - 1)
        names = [(start + timedelta(minutes=minutes * t)).strftime(pattern) for t in range(len(MASKS) + 1)]
        for name, mask in zip(names, [*MASKS, MASKS[0]], strict=True):
            write_all(tmp_path, name, mask[None])
        with caplog.at_level(logging.WARNING, "gnntrack"):
            movie = open_masks(tmp_path)
        assert [Path(name).name for name in movie.names] == names
        assert caplog.text == ""

    def test_a_pause_of_a_day_is_no_midnight(self, tmp_path):
        names = ["x00-00-00.tif", "x00-10-00.tif", "x00-20-00.tif", "x20-00-00.tif"]
        for name, mask in zip(names, MASKS, strict=True):
            write_all(tmp_path, name, mask[None])
        assert [Path(name).name for name in open_masks(tmp_path).names] == names


@pytest.mark.parametrize("position", [2, "2"])
def test_a_position_may_be_a_number(tmp_path, position):
    for p in (1, 2):
        write_all(tmp_path, f"pos{p}_t{{}}.tif", MASKS if p == 2 else MASKS[:3])
    lineage = gnntrack.track(masks=tmp_path, masks_pattern="pos{p}_t{t}.tif", position=position)
    assert lineage.cells.n_frames == len(MASKS)


@pytest.mark.parametrize("axes", ["TYX", "tyx", "Tyx"])
def test_axes_may_be_capitals(axes):
    assert gnntrack.track(masks=MASKS, axes=axes).cells.n_frames == len(MASKS)


@pytest.mark.parametrize("settings", [{"max_gap": 2}, "settings.toml", 3, Path("a.toml")])
def test_settings_of_another_type_are_refused(settings):
    with pytest.raises(InputError, match="expected Settings, such as Settings"):
        gnntrack.track(masks=MASKS, settings=settings)


@pytest.mark.parametrize(("n", "hint"), [(2, "the images have 2 channels"), (3, "the images have 3 channels")])
def test_channels_without_a_name_are_told(n, hint):
    images = np.stack([IMAGES] * n, axis=1)
    with pytest.raises(FrameError, match=rf"if {hint} .* choose one: --channel 0"):
        gnntrack.track(images, MASKS, trust_masks=True)


@pytest.mark.parametrize(
    ("spacing", "told"), [((1, 5), True), ((2, 25), True), ((0.5, 0.5), False), ((1, 1), False), ((0.2, 0.3), False)]
)
def test_a_size_of_a_pixel_with_a_decimal_comma_is_told(spacing, told, caplog):
    with caplog.at_level(logging.WARNING, "gnntrack"):
        open_frames(MASKS, spacing=spacing)
    assert ("write it with a point" in caplog.text) == told
