"""`Lineage` as users hold it: tracks, labels, files, napari, notebooks; and what `load` reads back."""

import base64
import pickle
import re

import numpy as np
import pytest
from support import worlds
from support.movies import dividing_masks, images_of

import gnntrack
from gnntrack.errors import FormatError, InputError, OutputError
from gnntrack.frame_array import FrameArray
from gnntrack.io.frames import open_frames, open_masks

MASKS = dividing_masks()


@pytest.fixture(scope="module")
def lineage():
    return gnntrack.track(images_of(MASKS), MASKS)


def gap_masks():
    """A cell that is not seen in frame 2, and another one that is."""
    masks = np.zeros((5, 30, 40), np.uint16)
    masks[:, 3:9, 3:9] = 40
    masks[[0, 1, 3, 4], 15:21, 20:26] = 7
    return masks


# ---------------------------------------------------------------- tracks


def test_a_lineage_is_a_collection_of_tracks(lineage):
    assert len(lineage) == len(list(lineage)) == len(lineage.tracks)
    assert [track.id for track in lineage] == lineage.tracks.id.tolist()
    for track in lineage:
        again = lineage[track.id]
        assert (again.start, again.end, again.parent) == (track.start, track.end, track.parent)
        assert len(track) == (lineage.track == track.id).sum()
        assert track.frames.tolist() == sorted(lineage.cells.frame[lineage.track == track.id].tolist())
        for t, label, position in zip(track.frames, track.labels, track.positions, strict=True):
            row = lineage.cells.row_of(t, label)
            assert lineage.track[row] == track.id
            np.testing.assert_array_equal(lineage.cells.position[row], position)


def test_divisions_name_parent_and_daughters(lineage):
    (division,) = lineage.divisions
    parent = lineage[division.parent]
    assert (division.frame, division.daughters) == (parent.end, parent.daughters)
    assert all(lineage[daughter].parent == division.parent for daughter in division.daughters)
    assert 0 <= lineage[division.daughters[0]].confidence <= 1
    assert 0 <= parent.division_confidence <= 1
    assert np.isnan(lineage[division.daughters[0]].division_confidence)
    assert np.isnan(lineage[division.parent].confidences[0])  # nothing leads to the first cell
    assert not np.isnan(lineage[division.daughters[0]].confidences[0])


@pytest.mark.parametrize("unknown", [0, 99, -1, "1", None, 1.5])
def test_an_unknown_track_is_a_key_error_in_words(lineage, unknown):
    assert unknown not in lineage
    with pytest.raises(KeyError, match=r"no track .*; the ids are 1 to"):
        lineage[unknown]


def test_the_representation_is_short():
    movie = gnntrack.pipeline.simulate(frames=12, cells=40, shape=(200, 200), seed=1)
    lineage = gnntrack.track(masks=movie.masks)
    assert re.fullmatch(r"<Lineage: \d+ tracks, \d+ divisions?, \d+ cells in 12 frames .*hungarian>", repr(lineage))
    assert all(len(repr(track)) < 120 for track in lineage)


def test_an_empty_lineage_is_true_and_has_no_tracks():
    lineage = gnntrack.track(masks=np.zeros((3, 20, 20), np.uint8))
    assert lineage
    assert (len(lineage), list(lineage), lineage.divisions) == (0, [], [])
    assert lineage.labels()[:].sum() == 0
    assert "0 tracks" in repr(lineage)
    assert "0 tracks" in lineage._repr_html_()
    assert len(lineage.to_napari().data) == 0


def test_the_notebook_shows_the_tree_as_a_picture(lineage):
    page = lineage._repr_html_()
    assert page.count("<img") == 1
    assert "3 tracks" in page or f"{len(lineage)} tracks" in page
    picture = base64.b64decode(re.search(r"base64,([^\"]+)", page)[1])
    from io import BytesIO

    from PIL import Image

    image = np.asarray(Image.open(BytesIO(picture)).convert("L"))
    assert min(image.shape) > 100
    assert image.min() < 128 < image.max()
    assert len(page) < 300_000


# ---------------------------------------------------------------- labels


def test_labels_are_the_written_masks(tmp_path):
    lineage = gnntrack.track(masks=gap_masks(), out=tmp_path / "01_RES")
    written = open_masks(tmp_path / "01_RES")
    labels = lineage.labels()
    assert (len(labels), labels.shape, labels.dtype, labels.ndim) == (5, (5, 30, 40), np.uint16, 3)
    for t in range(5):
        np.testing.assert_array_equal(labels[t], written[t])
    assert len(np.unique(labels[2])) == 3  # the gap is filled


def test_labels_are_drawn_one_frame_at_a_time(monkeypatch):
    lineage = gnntrack.track(masks=gap_masks())
    drawn = []
    from gnntrack import views

    usual = views._draw_frame
    monkeypatch.setattr(views, "_draw_frame", lambda *args: drawn.append(args[2]) or usual(*args))
    labels = lineage.labels()
    assert drawn == []
    labels[3], labels[-1], labels[1:3]
    assert drawn == [3, 4, 1, 2]


@pytest.mark.parametrize(
    "key",
    [
        0, -1, np.int64(2), slice(None), slice(1, 4, 2), slice(None, None, -1), [0, 3], np.array([4, 4]), ...,
        (2, 5), (slice(1, 3), 5), (slice(None), slice(3, 9), slice(3, 9)), (..., 4), (0, ..., 4), (1, 4, 4),
        ([0, 1], slice(None), 3), (slice(None), [1, 2]), (slice(None), None), np.array([True, False] * 2 + [True]),
        (slice(2, 2),), (slice(0, 2), np.array([3, 4]), np.array([3, 5])), (None, 2),
        np.arange(6000).reshape(5, 30, 40) % 7 > 3,
    ],
)  # fmt: skip
def test_indices_mean_what_they_mean_for_numpy(key):
    frames = np.arange(5 * 30 * 40).reshape(5, 30, 40)
    movie = FrameArray(open_frames(frames), frames.dtype)
    np.testing.assert_array_equal(movie[key], frames[key])


@pytest.mark.parametrize("key", [5, -6, (0, 0, 0, 0), (0, 30)])
def test_indices_out_of_range_are_index_errors(key):
    movie = FrameArray(open_frames(np.zeros((5, 30, 40), np.uint8)), np.uint8)
    with pytest.raises(IndexError):
        movie[key]


def test_numpy_and_dask_take_labels(lineage):
    import dask.array as da

    labels = lineage.labels()
    whole = np.asarray(labels)
    assert whole.shape == labels.shape
    assert int(np.max(labels)) == whole.max()
    np.testing.assert_array_equal(labels > 1, whole > 1)
    np.testing.assert_array_equal(np.unique(labels), np.unique(whole))
    np.testing.assert_array_equal(da.from_array(labels, chunks=(1, -1, -1)).max(axis=0).compute(), whole.max(axis=0))
    assert np.asarray(labels, np.float32).dtype == np.float32
    assert labels.nbytes == whole.nbytes
    assert "read when they are needed" in repr(labels)
    assert open_frames(labels).spacing == lineage.cells.spacing


def test_a_solved_graph_takes_its_masks_for_labels(tmp_path):
    masks = gap_masks()
    solved = gnntrack.solve(gnntrack.build_graph(masks=masks))
    with pytest.raises(InputError, match=r"does not hold its masks.*lineage\.labels\(masks\)"):
        solved.labels()
    np.testing.assert_array_equal(solved.labels(masks), gnntrack.track(masks=masks).labels())
    with pytest.raises(FormatError, match="not those"):
        solved.labels(masks[:4])
    assert len(gnntrack.load(solved.to_ctc(tmp_path / "RES", masks=masks))) == 2


def test_a_lineage_can_be_pickled_with_its_masks(lineage):
    again = pickle.loads(pickle.dumps(lineage))
    np.testing.assert_array_equal(again.labels(), lineage.labels())
    np.testing.assert_array_equal(lineage.with_provenance(solver="mine").labels(), lineage.labels())


# ---------------------------------------------------------------- files


def test_ctc_and_back(lineage, tmp_path):
    folder = lineage.to_ctc(tmp_path / "01_RES")
    again = gnntrack.load(folder)
    np.testing.assert_array_equal(again.labels(), lineage.labels())
    assert again.divisions == lineage.divisions
    assert len(gnntrack.load(folder / "res_track.txt")) == len(lineage)
    with pytest.raises(OutputError):
        lineage.to_ctc(folder)
    lineage.to_ctc(folder, overwrite=True)


def test_export_uses_the_masks_of_the_lineage(lineage, tmp_path):
    gnntrack.export(lineage, tmp_path / "RES")
    np.testing.assert_array_equal(gnntrack.load(tmp_path / "RES").labels(), lineage.labels())
    assert lineage.has_masks
    solved = gnntrack.solve(gnntrack.build_graph(masks=MASKS))
    assert not solved.has_masks
    with pytest.raises(InputError, match="none are given; give masks"):
        gnntrack.export(solved, tmp_path / "other")


@pytest.mark.parametrize(("call", "told"), [
    (lambda: gnntrack.solve(MASKS), r"ndarray in place of a CellGraph; give the result of build_graph\(\)"),
    (lambda: gnntrack.export("lineage.geff", "x"), r"str in place of a Lineage; give the result of track\(\)"),
])  # fmt: skip
def test_something_else_in_place_of_a_table_is_refused(call, told):
    with pytest.raises(InputError, match=told):
        call()


def test_geff_and_back(lineage, tmp_path):
    again = gnntrack.load(lineage.to_geff(tmp_path / "lineage.geff"))
    assert again.divisions == lineage.divisions
    np.testing.assert_array_equal(again.confidence, lineage.confidence)
    np.testing.assert_array_equal(again.labels(MASKS), lineage.labels())
    with pytest.raises(InputError, match="does not hold its masks"):
        again.labels()
    assert len(gnntrack.load(tmp_path)) == len(lineage)  # a folder with one GEFF


def test_what_track_writes_is_loaded_with_its_masks(lineage, tmp_path):
    written = gnntrack.track(images_of(MASKS), MASKS, out=tmp_path / "01_RES")
    again = gnntrack.load(tmp_path / "01_RES")
    np.testing.assert_array_equal(again.labels(), written.labels())
    assert again.divisions == written.divisions


def test_a_ground_truth_is_loaded(tmp_path):
    gnntrack.pipeline.simulate(tmp_path / "movie", frames=4, cells=5, shape=(80, 80), seed=3)
    for folder in ("01_GT", "01_GT/TRA", "01_GT/TRA/man_track.txt"):
        truth = gnntrack.load(tmp_path / "movie" / folder)
        assert truth.labels().shape == (4, 80, 80)
        assert set(np.unique(truth.labels())) == {0, *truth.tracks.id.tolist()}


def make_file(folder):
    (folder / "cells.csv").write_text("frame,label")
    return "cells.csv"


def make_images(folder):
    (folder / "images").mkdir()
    return "images"


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda _: "nowhere", "no such folder; check the path"),
        (lambda folder: make_images(folder)[:-1], "did you mean .*images"),
        (make_file, "it is a file; expected"),
        (make_images, "neither a result of 'gnntrack track'"),
        (lambda _: ".", "neither a result of 'gnntrack track'"),
    ],
)
def test_what_cannot_be_loaded_is_refused_with_a_reason(tmp_path, make, problem):
    with pytest.raises(InputError, match=problem):
        gnntrack.load(tmp_path / make(tmp_path))


@pytest.mark.parametrize(("table", "rows"), [("cells", "cells"), ("tracks", "tracks"), ("links", "source")])
def test_tables(lineage, table, rows):
    assert len(lineage.to_pandas(table)) == len(getattr(lineage, rows))
    with pytest.raises(InputError, match="no table 'cell'; expected one of 'cells', 'tracks', 'links'"):
        lineage.to_pandas("cell")


# ---------------------------------------------------------------- napari


def test_napari_gets_what_its_layer_accepts(lineage):
    data, properties, graph = lineage.to_napari()
    assert data.shape == (len(lineage.cells), 4)
    assert (data[:, 0] == np.rint(data[:, 0])).all()
    assert (np.lexsort((data[:, 1], data[:, 0])) == np.arange(len(data))).all()
    assert all(len(column) == len(data) and column.dtype.kind in "iuf" for column in properties.values())
    assert all(np.isfinite(column).all() for column in properties.values())
    assert graph == {d: [division.parent] for division in lineage.divisions for d in division.daughters}
    assert set(graph) <= set(data[:, 0].astype(int))
    labels = lineage.labels()
    for track, frame, *position in data:  # positions are pixels: they fall on the labels
        assert labels[int(frame)][tuple(np.rint(position).astype(int))] == track


def test_napari_gets_pixels_also_of_a_movie_in_micrometres():
    masks = np.zeros((2, 4, 20, 20), np.uint8)
    masks[:, 1:3, 5:11, 5:11] = 3
    data = gnntrack.track(masks=masks, spacing=(2, 0.5, 0.5)).to_napari().data
    np.testing.assert_allclose(data, [[1, 0, 1.5, 7.5, 7.5], [1, 1, 1.5, 7.5, 7.5]])


def test_a_world_with_a_gap_has_all_its_views():
    lineage = gnntrack.track(masks=worlds.parent_divides().masks)
    assert lineage.to_networkx().number_of_nodes() == len(lineage.cells)
    assert lineage.labels().shape[0] == lineage.cells.n_frames


def test_lineages_are_evaluated(tmp_path):
    lineage = gnntrack.track(masks=dividing_masks())
    lineage.to_ctc(tmp_path / "01_GT")
    path = tmp_path / "01_GT"
    for result, truth in ((lineage, lineage), (lineage, path), (path, lineage), (path, str(path))):
        assert gnntrack.evaluate(result, truth)["TRA"] == 1
    other = gnntrack.track(masks=dividing_masks()[:, ::-1], divisions=False)
    assert gnntrack.evaluate(other, lineage)["LNK"] < 1


@pytest.mark.parametrize("source", [np.zeros((2, 5, 5), int), None, 3, [1], {1}])
def test_what_cannot_be_evaluated_is_refused(source, tmp_path):
    with pytest.raises(gnntrack.InputError, match=r"expected a folder with res_track\.txt, or a Lineage"):
        gnntrack.evaluate(source, tmp_path)
    with pytest.raises(gnntrack.InputError, match=r"expected a folder with res_track\.txt, or a Lineage"):
        gnntrack.evaluate(tmp_path, source)
