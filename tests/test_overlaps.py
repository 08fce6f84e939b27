"""Overlaps of two label images, against a count of each pair of labels, and the rule of more than half."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gnntrack.masks.overlaps import find_overlaps, is_covered

LABELS = st.sampled_from([0, 0, 1, 2, 2**31 - 1])
IMAGES = hnp.arrays(np.int64, (2, 4, 5), elements=LABELS)


@settings(deadline=None)
@given(IMAGES)
def test_overlaps_agree_with_a_count_of_each_pair(images):
    result, truth = images
    pairs = find_overlaps(result, truth)
    inside = (truth > 0) | (result > 0)
    counted = sorted({(int(a), int(b)) for a, b in zip(truth[inside], result[inside], strict=True)})
    assert list(zip(pairs.truth.tolist(), pairs.result.tolist(), strict=True)) == counted
    for a, b, area, of_truth, of_result in zip(*pairs, strict=True):
        assert area == np.count_nonzero((truth == a) & (result == b))
        assert a == 0 or of_truth == np.count_nonzero(truth == a)
        assert b == 0 or of_result == np.count_nonzero(result == b)


@pytest.mark.parametrize(("shared", "area", "covered"), [(1, 2, False), (2, 3, True), (0, 0, False), (5, 5, True)])
def test_a_marker_is_covered_by_more_than_half(shared, area, covered):
    assert is_covered(np.array(shared), np.array(area)) == covered


def test_one_cell_at_most_covers_a_marker():
    truth, result = np.array([[5, 5, 5, 5]]), np.array([[1, 1, 2, 2]])
    assert not find_overlaps(result, truth).covers.any()
