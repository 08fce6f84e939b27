"""Frames that are read before they are asked for: the same frames, once each, and the same errors."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tifffile

import gnntrack
from gnntrack.errors import FrameError
from gnntrack.io import first_frames
from gnntrack.io.stack import Stack
from gnntrack.movie import open_movie


@pytest.mark.parametrize("n", [1, 5, 40])
@pytest.mark.parametrize("order", [1, -1])
def test_each_frame_is_the_one_that_was_asked_for(n, order):
    seen = Counter()

    def read(frame):
        seen[frame] += 1
        return np.full((3, 4), frame)

    movie = first_frames.start_reading(Stack(read, [str(k) for k in range(n)], (3, 4), (1.0, 1.0)))
    assert [int(movie[frame].max()) for frame in range(n)[::order]] == list(range(n))[::order]
    assert seen == dict.fromkeys(range(n), 1)
    assert int(movie[0].max()) == 0  # and once more


def test_an_error_is_raised_where_the_frame_is_used():
    def read(frame):
        if frame == 2:
            raise FrameError("broken")
        return np.zeros((3, 4))

    movie = first_frames.start_reading(Stack(read, ["a", "b", "c", "d"], (3, 4), (1.0, 1.0)))
    assert movie[1].shape == movie[3].shape == (3, 4)
    with pytest.raises(FrameError, match="broken"):
        movie[2]


def test_frames_that_would_fill_the_memory_are_not_read(monkeypatch):
    monkeypatch.setattr(first_frames, "_BYTES", 3 * 8 * 12)
    seen = []
    movie = first_frames.start_reading(
        Stack(lambda frame: seen.append(frame) or np.zeros((3, 4)), list("abcdefgh"), (3, 4), (1.0, 1.0))
    )
    movie[2]
    assert seen == [0, 1, 2]


def test_images_of_a_folder_are_read_once(tmp_path, monkeypatch):
    movie = gnntrack.simulate(frames=30, cells=4, shape=(60, 60), seed=2)
    for frame, (image, mask) in enumerate(zip(movie.images, movie.masks, strict=True)):
        for name, pixels in (("images", image), ("masks", mask)):
            (tmp_path / name).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / name / f"t{frame:03}.tif", pixels)
    seen, usual = Counter(), tifffile.TiffFile.__init__

    def count(self, file, *args, **kwargs):
        seen[Path(file).parent.name, Path(file).name] += 1
        usual(self, file, *args, **kwargs)

    monkeypatch.setattr(tifffile.TiffFile, "__init__", count)
    opened = open_movie(tmp_path / "images", tmp_path / "masks")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and sum(name == "images" for name, _ in seen) < 24:
        time.sleep(0.01)
    assert sum(name == "images" for name, _ in seen) >= 24  # read without being asked for
    before = seen.copy()
    for frame, image in enumerate(movie.images):
        np.testing.assert_array_equal(opened.images[frame], image)
    assert max((seen - before).values()) == 1


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError, RecursionError])
def test_no_error_of_a_decoder_stops_the_program(kind):
    def read(frame):
        raise kind

    movie = first_frames.start_reading(Stack(read, ["a", "b"], (3, 4), (1.0, 1.0)))
    for frame in range(2):
        with pytest.raises(kind):
            movie[frame]
