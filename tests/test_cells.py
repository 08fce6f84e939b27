"""Cells: against a plain numpy twin, against scikit-image, and on the awkward frames."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from scipy.spatial.distance import cdist
from skimage.measure import regionprops

from gnntrack.errors import FrameError
from gnntrack.masks.fragments import clean_frame
from gnntrack.masks.runs import decode_frame, encode_frame
from gnntrack.measure.cells import list_features, measure_cells
from gnntrack.settings import CellSettings


class Movie:
    """Frames in memory; counts how often each is read."""

    def __init__(self, frames, spacing=None, unit="pixel"):
        self.frames = [np.asarray(frame) for frame in frames]
        self.shape = self.frames[0].shape if self.frames else (4, 4)
        self.spacing = spacing or (1.0,) * len(self.shape)
        self.unit = unit
        self.names = [f"frame{t}.tif" for t in range(len(self.frames))]
        self.read = []

    def __len__(self):
        return len(self.frames)

    def __getitem__(self, frame):
        self.read.append(frame)
        return self.frames[frame]


def measure(frames, images=None, *, spacing=None, **options):
    masks = Movie(frames, spacing)
    return measure_cells(
        masks, images=None if images is None else Movie(images, spacing), settings=CellSettings(**options)
    )


def draw_blobs(shape, n, seed=0):
    """Labels of n random, partly touching cells with labels in random order."""
    rng = np.random.default_rng(seed)
    seeds = rng.uniform(0, 1, (n, len(shape))) * shape
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    distance = np.linalg.norm(grid[..., None, :] - seeds, axis=-1)
    labels = rng.permutation(np.arange(1, 10 * n))[:n]
    mask = np.where(distance.min(-1) < rng.uniform(3, 9, n)[distance.argmin(-1)], labels[distance.argmin(-1)], 0)
    return mask.astype(np.int32)


def measure_plainly(mask, image, spacing, neighbours):
    """The columns of one frame as one would write them down, slowly, from their definitions."""
    spacing, ndim = np.array(spacing), mask.ndim
    labels = np.unique(mask[mask > 0])
    ball = math.pi / 4 if ndim == 2 else math.pi / 6
    rows = []
    for label in labels:
        index = np.argwhere(mask == label)
        place = index * spacing
        cov = np.cov(place.T, bias=True).reshape(ndim, ndim) + np.diag(spacing**2 / 12)
        variance = np.linalg.eigvalsh(cov)[::-1]
        axes = np.sqrt(variance * (16 if ndim == 2 else 20))
        size = len(index) * spacing.prod()
        box = index.min(0), index.max(0) + 1
        outer = contact = 0.0
        for axis in range(ndim):
            for step in (-1, 1):
                near = index + step * np.eye(ndim, dtype=int)[axis]
                inside = ((near >= 0) & (near < mask.shape)).all(1)
                other = np.zeros(len(near), mask.dtype)
                other[inside] = mask[tuple(near[inside].T)]
                face = spacing.prod() / spacing[axis]
                outer += face * (other != label).sum()
                contact += face * ((other != label) & (other != 0)).sum()
        margin = np.minimum(box[0], np.array(mask.shape) - box[1])[-2:] * spacing[-2:]
        values = image[mask == label].astype(float)
        rows.append(
            {
                "size": size,
                "diameter": (size / ball) ** (1 / ndim),
                "major_axis": axes[0],
                "minor_axis": axes[-1],
                "elongation": 1 - axes[-1] / axes[0],
                "eccentricity": math.sqrt(1 - (axes[-1] / axes[0]) ** 2),
                "orientation": 0.5 * math.atan2(2 * cov[0, 1], cov[0, 0] - cov[1, 1]) if ndim == 2 else 0,
                "ellipsoid_fill": size / (ball * axes.prod()),
                **dict(zip(["box_z", "box_y", "box_x"][-ndim:], (box[1] - box[0]) * spacing, strict=True)),
                "border_distance": margin.min(),
                "touching": contact / outer,
                "intensity_mean": values.mean(),
                "intensity_std": values.std(),
                "intensity_min": values.min(),
                "intensity_max": values.max(),
            }
        )
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    position = np.array([np.argwhere(mask == label).mean(0) * spacing for label in labels])
    distance = np.sort(cdist(position, position), axis=1)
    columns["neighbour_distance"] = distance[:, 1]
    k = min(neighbours, len(labels) - 1)
    columns["density"] = k / ((math.pi if ndim == 2 else 4 / 3 * math.pi) * distance[:, k] ** ndim)
    for name in ["size", "elongation", "ellipsoid_fill"] + [n for n in columns if n.startswith("intensity")]:
        median = np.median(columns[name])
        mad = np.median(np.abs(columns[name] - median))
        columns[f"{name}_zscore"] = np.clip((columns[name] - median) / (1.4826 * mad), -100, 100)
    return labels, position, columns


WORLDS = pytest.mark.parametrize(
    ("shape", "spacing"),
    [((60, 71), (1.0, 1.0)), ((48, 60), (0.5, 0.3)), ((9, 31, 40), (1.0, 1.0, 1.0)), ((9, 31, 40), (2.0, 0.4, 0.5))],
)


@WORLDS
def test_every_column_matches_its_definition(shape, spacing):
    mask = draw_blobs(shape, 25)
    image = np.random.default_rng(1).poisson(40, shape).astype(np.uint16)
    cells, _, _ = measure([mask], [image], spacing=spacing)
    labels, position, columns = measure_plainly(mask, image, spacing, CellSettings().neighbours)
    assert cells.label.tolist() == labels.tolist()
    np.testing.assert_allclose(cells.position, position, rtol=1e-12)
    assert set(columns) == set(cells.feature_names)
    for name, values in columns.items():
        np.testing.assert_allclose(cells.feature(name), values, rtol=2e-5, atol=1e-5, err_msg=name)


@WORLDS
def test_sizes_moments_and_intensities_agree_with_scikit_image(shape, spacing):
    mask = draw_blobs(shape, 25, seed=3)
    image = np.random.default_rng(1).poisson(40, shape).astype(np.uint8)
    cells, _, _ = measure([mask], [image], spacing=spacing)
    props = regionprops(mask, image, spacing=spacing)
    assert cells.label.tolist() == [p.label for p in props]
    for row, p in enumerate(props):
        assert cells.feature("size")[row] == pytest.approx(p.area, rel=1e-6)
        assert cells.feature("diameter")[row] == pytest.approx(p.equivalent_diameter_area, rel=1e-6)
        np.testing.assert_allclose(cells.position[row], p.centroid, rtol=1e-9)
        assert cells.feature("intensity_mean")[row] == pytest.approx(p.intensity_mean, rel=1e-6)
        assert cells.feature("intensity_max")[row] == p.intensity_max
        if len(set(spacing)) == 1:  # then the variance of a pixel, which scikit-image ignores, does not turn the axes
            own = spacing[0] ** 2 / 12
            factor = 16 if len(shape) == 2 else 20
            longest = math.sqrt(p.axis_major_length**2 + factor * own)
            assert cells.feature("major_axis")[row] == pytest.approx(longest, rel=1e-5)
            if len(shape) == 2:
                assert cells.feature("orientation")[row] == pytest.approx(p.orientation, abs=1e-4)


def test_labels_in_another_order_change_nothing_but_the_labels():
    mask = draw_blobs((60, 71), 25)
    image = np.random.default_rng(1).poisson(40, mask.shape).astype(np.float32)
    labels = np.unique(mask[mask > 0])
    other = np.random.default_rng(2).permutation(labels)
    table = np.zeros(mask.max() + 1, np.int32)
    table[labels] = other
    cells, runs, _ = measure([mask], [image])
    renamed, renamed_runs, _ = measure([table[mask]], [image])
    row = renamed.row_of(0, table[cells.label])
    np.testing.assert_array_equal(renamed.features[row], cells.features)
    np.testing.assert_array_equal(renamed.position[row], cells.position)
    np.testing.assert_array_equal(renamed_runs.start, runs.start)
    np.testing.assert_array_equal(renamed_runs.cell, row[runs.cell])


def test_runs_give_the_masks_back():
    frames = [draw_blobs((40, 50), 12, seed) for seed in range(3)]
    cells, runs, _ = measure(frames)
    for t, mask in enumerate(frames):
        part = runs.frame(t)
        again = decode_frame(runs.shape, runs.start[part], runs.length[part], cells.label[runs.cell[part]], np.int32)
        np.testing.assert_array_equal(again, mask)


def test_empty_frames_are_frames():
    one = np.zeros((5, 6), np.uint8)
    one[2, 3] = 4
    cells, runs, _ = measure([one * 0, one, one * 0, one, one * 0])
    assert cells.frame.tolist() == [1, 3]
    assert cells.n_frames == 5
    assert runs.offsets.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_movie_without_cells_has_all_columns(ndim):
    frames = [np.zeros((4, 5, 6)[-ndim:], np.uint16)] * 2
    cells, runs, notes = measure(frames, frames)
    assert len(cells) == len(runs) == 0
    assert cells.features.shape == (0, len(list_features(ndim=ndim, unit="pixel", images=True)[0]))
    assert notes["cells"] == 0


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 0.25), (3.0, 0.5, 0.25)])
def test_a_cell_of_one_pixel_is_a_little_box(spacing):
    mask = np.zeros((3, 8, 9)[-len(spacing) :], np.uint8)
    mask[..., 2, 5] = 0
    mask[(*(1,) * (len(spacing) - 2), 2, 5)] = 1
    cells, _, _ = measure([mask], [mask.astype(float)], spacing=spacing)
    assert np.isfinite(cells.features).all()
    assert cells.feature("size")[0] == pytest.approx(math.prod(spacing))
    factor = 16 if len(spacing) == 2 else 20
    assert cells.feature("major_axis")[0] == pytest.approx(math.sqrt(factor * max(spacing) ** 2 / 12))
    assert cells.feature("minor_axis")[0] == pytest.approx(math.sqrt(factor * min(spacing) ** 2 / 12))
    assert cells.feature("border_distance")[0] == pytest.approx(min(2 * spacing[-2], 3 * spacing[-1]))
    alone = [
        cells.feature(name)[0]
        for name in ("density", "size_zscore", "intensity_mean_zscore", "intensity_std", "touching")
    ]
    assert alone == [0] * 5
    diagonal = math.hypot(*np.multiply(mask.shape, spacing))
    assert cells.feature("neighbour_distance")[0] == pytest.approx(diagonal)


@pytest.mark.parametrize(
    ("dtype", "label"),
    [(np.uint32, 2_000_000_000), (np.int64, 2**62), (np.uint64, 2**63 - 1), (">u2", 65535), (bool, 1), (np.int8, 127)],
)
def test_any_label_of_any_integer_type(dtype, label):
    mask = np.zeros((4, 5), dtype)
    mask[1:3, 1:3] = label
    cells, _, _ = measure([mask])
    assert cells.label.tolist() == [label]
    assert cells.feature("size")[0] == 4


def test_a_cell_far_from_the_origin_is_measured_as_well_as_one_near_it():
    mask = np.zeros((3, 3_000_000), np.uint8)
    mask[:2, 1:4] = mask[1, 4:6] = 1
    mask[:2, -7:-4] = mask[1, -4:-2] = 2
    cells, _, _ = measure([mask])
    shape = [cells.feature_names.index(name) for name in ("major_axis", "minor_axis", "orientation", "ellipsoid_fill")]
    np.testing.assert_allclose(cells.features[1, shape], cells.features[0, shape], rtol=1e-6)


# ..11.1    frame 0: label 1 in pieces of 2 and 1 pixels (and a corner piece), label 9 whole
# .....1
# 9.....
PIECES = np.array([[0, 0, 1, 1, 0, 1], [0, 0, 0, 0, 0, 1], [9, 0, 0, 0, 0, 0]], np.int32)


def test_fragments_are_kept_and_told():
    cells, runs, notes = measure([PIECES * 0, PIECES])
    assert cells.label.tolist() == [1, 9]
    assert cells.feature("size").tolist() == [4, 1]
    assert len(runs) == 4
    assert notes["disconnected"] == {"count": 1, "listed": [[1, 1, 2]]}
    assert notes["split"]["count"] == notes["dropped"]["count"] == 0
    assert json.loads(json.dumps(notes)) == notes


def test_only_the_largest_piece_stays_and_of_equals_the_first():
    cells, runs, _ = measure([PIECES], fragments="largest")
    assert cells.label.tolist() == [1, 9]
    assert cells.feature("size").tolist() == [2, 1]
    assert runs.start.tolist() == [2, 12]


def test_the_largest_piece_stays_where_it_comes_last():
    _, runs, _ = measure([np.array([[4, 0, 4, 4]])], fragments="largest")
    assert runs.start.tolist() == [2]


def test_pieces_become_cells_above_the_highest_label():
    cells, runs, notes = measure([PIECES], fragments="split")
    assert cells.label.tolist() == [1, 9, 10]
    assert cells.label[runs.cell].tolist() == [1, 10, 10, 9]
    assert notes["split"] == {"count": 1, "listed": [[0, 10, 1]]}


def test_small_cells_are_removed_and_listed():
    cells, runs, notes = measure([PIECES], fragments="split", min_size=2)
    assert cells.label.tolist() == [1, 10]
    assert runs.cell.tolist() == [0, 1, 1]
    assert notes["dropped"] == {"count": 1, "listed": [[0, 9, 1]]}


def test_the_list_of_findings_is_capped_and_the_count_is_not():
    mask = np.arange(1, 6001, dtype=np.int32).reshape(60, 100)
    _, _, notes = measure([mask, mask], min_size=2)
    assert notes["dropped"]["count"] == 12_000
    assert len(notes["dropped"]["listed"]) == 10_000


def test_a_removed_neighbour_is_not_a_contact():
    mask = np.array([[1, 1, 2]], np.uint8)
    assert measure([mask])[0].feature("touching")[0] == pytest.approx(1 / 6)
    assert measure([mask], min_size=2)[0].feature("touching")[0] == 0


@settings(max_examples=150, deadline=None)
@given(
    hnp.arrays(np.uint8, st.sampled_from([(1, 9), (9, 1), (7, 8), (3, 4, 5), (4, 1, 5)]), elements=st.integers(0, 2))
)
def test_pieces_are_the_connected_components(mask):
    layout = (1, *mask.shape)[-3:]
    clean = clean_frame(*encode_frame(mask), layout=layout, settings=CellSettings(fragments="split"))
    ours = decode_frame(mask.shape, clean.start, clean.length, clean.label[clean.cell], np.int64)
    pieces = 0
    for label in (1, 2):
        theirs, n = ndimage.label(mask == label, np.ones((3,) * mask.ndim))
        pieces += n
        for piece in range(1, n + 1):
            assert len(np.unique(ours[theirs == piece])) == 1
    assert len(np.unique(ours[ours > 0])) == pieces == len(clean.label)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.uint8, st.sampled_from([(6, 7), (3, 4, 5)]), elements=st.integers(0, 3)), st.integers(0, 3))
def test_nothing_is_ever_nan_or_infinite(mask, kind):
    image = mask * np.array([0.0, 1e300, 1e38, 1e-300])[kind]
    image[mask == 1] = [np.nan, np.inf, -np.inf, 5][kind]
    cells, _, _ = measure([mask], [image])
    assert np.isfinite(cells.features).all()
    assert np.isfinite(cells.position).all()


def test_pixels_that_are_not_finite_are_left_out_and_counted():
    mask = np.array([[1, 1, 1, 2]], np.uint8)
    cells, _, notes = measure([mask], [np.array([[3.0, np.nan, 5.0, np.inf]])])
    assert cells.feature("intensity_mean").tolist() == [4, 0]
    assert cells.feature("intensity_std").tolist() == [1, 0]
    assert notes["pixels_not_finite"] == 2


def test_without_images_there_are_no_intensity_columns():
    names = measure([PIECES])[0].feature_names
    assert not [name for name in names if "intensity" in name]


def test_equal_cells_have_a_z_score_of_zero():
    mask = np.kron(np.arange(1, 5).reshape(2, 2), np.ones((3, 3), int))
    mask[mask == 4] = 0
    mask[4:, 4:] = 4
    cells, _, _ = measure([mask], [np.full(mask.shape, 0.1)])
    assert cells.feature("size_zscore").tolist() == [0] * 4
    assert cells.feature("intensity_mean_zscore").tolist() == [0] * 4


def test_rounding_errors_are_not_a_spread():
    mask = np.repeat(np.arange(1, 10), np.arange(1, 10) * 3)[None]
    cells, _, _ = measure([mask], [np.full(mask.shape, 0.1)])
    assert cells.feature("intensity_mean_zscore").tolist() == [0] * 9


def test_a_cell_in_the_middle_of_another_has_a_finite_density():
    mask = np.full((5, 5), 1)
    mask[2, 2] = 2
    cells, _, _ = measure([mask], spacing=(1.0, 0.5))
    assert cells.feature("neighbour_distance").tolist() == [0, 0]
    np.testing.assert_allclose(cells.feature("density"), 1 / (math.pi * 0.25**2), rtol=1e-6)
    assert cells.feature("touching")[1] == 1


def test_every_frame_is_read_once_and_handed_on_in_order():
    masks, images = Movie([PIECES] * 4), Movie([PIECES * (t + 1.0) for t in range(4)])
    seen, steps = [], []
    measure_cells(
        masks,
        images=images,
        settings=CellSettings(),
        progress=lambda *step: steps.append(step),
        each_image=lambda frame, image, centre, radius: seen.append(
            (frame, image.max(), centre[1].tolist(), radius[1])
        ),
    )
    assert masks.read == images.read == [0, 1, 2, 3]
    assert seen == [(t, 9 * (t + 1), [2, 0], pytest.approx(math.sqrt(1 / math.pi))) for t in range(4)]
    assert steps[-1] == ("cells", 4, 4)


def test_units_follow_the_movie():
    names, units = list_features(ndim=3, unit="um", images=True)
    unit = dict(zip(names, units, strict=True))
    assert unit["size"] == "um3"
    assert unit["box_z"] == "um"
    assert unit["size_zscore"] == ""
    assert unit["intensity_mean"] == "grey"


@pytest.mark.parametrize(
    ("frames", "images", "message"),
    [
        ([], None, "has no frames"),
        ([PIECES, PIECES], [PIECES], "images have 1 frame"),
        ([PIECES], [PIECES.T], r"images have 1 frame of \(6, 3\), masks 1 of \(3, 6\)"),
        ([PIECES, -PIECES], None, r"frame1.tif, frame 1: label -9"),
        ([PIECES, PIECES.T], None, r"frame1.tif, frame 1: mask of shape \(6, 3\)"),
        ([PIECES * 1.5], None, "type float64, expected integer labels"),
        ([PIECES], [PIECES * 1j], "frame0.tif, frame 0: image of .* type complex128"),
    ],
)
def test_invalid_movies_are_refused_by_name(frames, images, message):
    with pytest.raises(FrameError, match=message):
        measure(frames, images)


@pytest.mark.data
@pytest.mark.parametrize(
    ("masks", "images"),
    [("Fluo-N2DL-HeLa/01_ST/SEG", "Fluo-N2DL-HeLa/01"), ("Fluo-N3DH-CHO/02_ERR_SEG", "Fluo-N3DH-CHO/02")],
)
def test_real_cells_agree_with_scikit_image(ctc_data, masks, images):
    frames = [
        [tifffile.imread(path) for path in sorted((ctc_data / folder).glob("*.tif"))[3:5]] for folder in (masks, images)
    ]
    cells, _, _ = measure(*frames)
    assert np.isfinite(cells.features).all()
    props = [p for mask, image in zip(*frames, strict=True) for p in regionprops(mask, image)]
    assert cells.label.tolist() == [p.label for p in props]
    np.testing.assert_allclose(cells.position, [p.centroid for p in props], rtol=1e-9)
    np.testing.assert_allclose(cells.feature("size"), [p.area for p in props])
    np.testing.assert_allclose(cells.feature("intensity_mean"), [p.intensity_mean for p in props], rtol=1e-6)
    np.testing.assert_allclose(cells.feature("intensity_std"), [p.intensity_std for p in props], rtol=1e-5)
    np.testing.assert_allclose(cells.feature("intensity_min"), [p.intensity_min for p in props])
