"""The tiles of large images."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from segmenters.common.tiles import split_into_tiles


@pytest.mark.parametrize("length", [1025, 1346, 2048, 2100, 5000])
def test_tiles_are_no_longer_than_they_need_to_be(length):
    windows = list(split_into_tiles((length,), (1024,), (64,)))
    sides = {window.read[0].stop - window.read[0].start for window in windows}
    assert len(sides) == 1
    assert max(sides) <= min(1024, (length + 64 * (len(windows) - 1)) / len(windows) + 16)
    covered = np.zeros(length, int)
    for window in windows:
        covered[window.write[0]] += 1
        assert window.inner[0].start >= 0
        assert window.inner[0].stop <= window.read[0].stop - window.read[0].start
    assert (covered == 1).all()
    assert all(a.read[0].stop - b.read[0].start >= 64 for a, b in itertools.pairwise(windows))
