"""Runs: decoding inverts encoding, against a plain implementation; pixels and movies of runs."""

from __future__ import annotations

import itertools
from itertools import groupby
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from support import worlds

from gnntrack import components
from gnntrack.compiled import _FirstCompilation
from gnntrack.components import label_components
from gnntrack.masks.runs import (
    decode_frame,
    draw_labels,
    encode_frame,
    expand_runs,
    find_touching_runs,
    join_frames,
    split_runs,
)

SHAPES = hnp.array_shapes(min_dims=2, max_dims=3, max_side=6)
DTYPES = st.sampled_from([np.uint8, np.uint16, np.int32, np.uint32, np.int64])


@st.composite
def masks(draw):
    """Draw masks with few labels, so that runs are longer than a pixel, of which one is as high as may be."""
    dtype = draw(DTYPES)
    labels = st.sampled_from([0, 1, 2, min(np.iinfo(dtype).max, worlds.HIGHEST_LABEL)])
    return draw(hnp.arrays(dtype, draw(SHAPES), elements=labels))


def encode_plainly(mask):
    """Return the runs, with itertools."""
    runs, at = [], 0
    for row in mask.reshape(-1, mask.shape[-1]).tolist():
        for label, pixels in groupby(row):
            length = len(list(pixels))
            runs += [[at, length, label]] if label else []
            at += length
    return runs


@settings(deadline=None)
@given(masks())
def test_runs_are_those_of_the_twin(mask):
    assert np.stack(encode_frame(mask), axis=1).tolist() == encode_plainly(mask)


@settings(deadline=None)
@given(masks())
def test_decoding_the_runs_gives_the_mask_back(mask):
    start, length, label = encode_frame(mask)
    assert all(column.dtype == np.int64 for column in (start, length, label))
    decoded = decode_frame(mask.shape, start, length, label, mask.dtype)
    assert decoded.dtype == mask.dtype
    np.testing.assert_array_equal(decoded, mask)


def test_how_a_mask_lies_in_memory_changes_nothing():
    mask = worlds.draw_blobs((20, 30), 8, frames=1)[0].astype(np.int32)
    runs = encode_frame(mask)
    frozen = mask.copy()
    frozen.flags.writeable = False
    for other in (np.asfortranarray(mask), np.repeat(mask, 2, axis=1)[:, ::2], frozen):
        for column, same in zip(encode_frame(other), runs, strict=True):
            np.testing.assert_array_equal(column, same)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (3, 0, 4), (2, 3)])
def test_no_pixel_no_run(shape):
    assert [len(column) for column in encode_frame(np.zeros(shape, np.uint16))] == [0, 0, 0]


def test_the_later_of_two_runs_lies_on_top():
    frame = decode_frame((1, 5), np.array([0, 2]), np.array([4, 2]), [1, 2], np.uint8)
    assert frame.tolist() == [[1, 1, 2, 2, 0]]
    assert decode_frame((2, 2), np.zeros(0, np.int64), np.zeros(0, np.int64), []).tolist() == [[0, 0], [0, 0]]


@settings(deadline=None)
@given(masks())
def test_expanded_runs_are_the_pixels_of_the_cells(mask):
    start, length, label = encode_frame(mask)
    pixels = expand_runs(start, length)
    np.testing.assert_array_equal(pixels, np.flatnonzero(mask))
    np.testing.assert_array_equal(np.repeat(label, length), mask.ravel()[pixels])


def test_joined_frames_are_drawn_as_they_were():
    frames = [mask % 1000 for mask in (*worlds.draw_blobs((20, 30), 8, frames=2), np.zeros((20, 30), int))]
    encoded = [encode_frame(mask) for mask in frames]
    runs = join_frames(encoded, (20, 30))  # each label is the row of its cell
    for t, mask in enumerate(frames):
        np.testing.assert_array_equal(draw_labels(runs, t, np.arange(1000)), mask)
    assert runs.offsets.tolist() == [0, *np.cumsum([len(start) for start, _, _ in encoded])]


def test_the_first_compilation_is_reported_and_no_other(capsys):
    listener = _FirstCompilation()
    for function in (np.roll, encode_frame, decode_frame):
        listener.on_start(SimpleNamespace(data={"dispatcher": SimpleNamespace(py_func=function)}))
        listener.on_end(None)
    assert capsys.readouterr().err.count("compiling functions") == 1


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int32, np.uint64])
@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (1, 7), (6, 9), (3, 4, 5)])
def test_runs_of_every_type_and_shape(dtype, shape):
    mask = np.random.default_rng(len(shape)).integers(0, 3, shape).astype(dtype)
    start, length, label = encode_frame(mask)
    assert ((start % shape[-1]) + length <= shape[-1]).all()
    np.testing.assert_array_equal(decode_frame(shape, start, length, label, dtype), mask)


def test_slices_of_runs_are_small_and_complete():
    length = np.random.default_rng(0).integers(1, 50, 300)
    parts = list(split_runs(length, 100))
    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(300))
    assert max(length[part].sum() for part in parts) <= 100
    assert list(split_runs(length[:0])) == []


@pytest.mark.parametrize("layout", [(1, 6, 7), (3, 5, 4), (4, 1, 5), (2, 6, 1)])
@pytest.mark.parametrize("step", [(0, 1), (1, 1), (1, 0), (1, -1)])
@pytest.mark.parametrize("margin", [0, 1])
def test_touching_runs_are_those_of_neighbouring_rows(layout, step, margin):
    start, length, _ = encode_frame(np.random.default_rng(1).integers(0, 3, layout))
    width = layout[2]
    expected = []
    for i, j in itertools.product(range(len(start)), repeat=2):
        (z, y, x), (other_z, other_y, other_x) = (np.unravel_index(start[run], layout) for run in (i, j))
        low, high = max(0, x - margin, other_x), min(width, x + length[i] + margin, other_x + length[j])
        if (z - other_z, y - other_y) == step and low < high:
            expected.append((i, j, high - low))
    found = find_touching_runs(start, length, layout, step, margin=margin)
    assert list(zip(*map(np.ndarray.tolist, found), strict=True)) == expected


def test_components_are_those_of_scipy():
    rng = np.random.default_rng(2)
    for n in (1, 2, 10, 300):
        one, other = rng.integers(0, n, (2, n // 2))
        label = connected_components(coo_array((np.ones(len(one)), (one, other)), shape=(n, n)), directed=False)[1]
        first = np.unique(label, return_index=True)[1]
        component, count = label_components(n, one, other)
        np.testing.assert_array_equal(np.argsort(np.argsort(first))[label], component)
        assert count == len(first)
    path = rng.permutation(1000)
    assert label_components(1000, path[1:], path[:-1])[1] == 1


@pytest.mark.parametrize("seed", range(4))
def test_components_of_many_nodes_are_those_of_few(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    other = np.flatnonzero(rng.random(300) < 0.9)[1:]
    one = np.maximum(other - rng.integers(1, 9, len(other)), 0)  # links of a lineage: one into each node
    more = (np.append(one, 5), np.append(other, 290)) if seed % 2 else (one, other)
    component, count = label_components(300, *more)
    monkeypatch.setattr(components, "_FEW", 0)
    found, number = label_components(300, *more)
    assert number == count
    np.testing.assert_array_equal(found, component)
