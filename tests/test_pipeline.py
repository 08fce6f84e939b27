"""The recipes, from arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.movies import N_CELLS, dividing_masks, images_of, write_folder

import gnntrack
from gnntrack import pipeline
from gnntrack.errors import FormatError, FrameError, InputError, ModelError, OutputError
from gnntrack.io.frames import open_frames
from gnntrack.settings import Settings
from gnntrack.types import Provenance


@pytest.fixture(scope="module")
def masks():
    return dividing_masks()


@pytest.fixture(scope="module")
def images(masks):
    return images_of(masks)


class Counting:
    """A stack that counts how often each frame is read."""

    def __init__(self, frames) -> None:
        self._frames = open_frames(frames)
        self.spacing, self.unit = self._frames.spacing, self._frames.unit
        self.names, self.shape = self._frames.names, self._frames.shape
        self.reads = [0] * len(self._frames)

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, frame: int, /):
        self.reads[frame] += 1
        return self._frames[frame]


def families(lineage) -> list[tuple[int, int, bool]]:
    tracks = lineage.tracks
    return sorted(zip(tracks.start.tolist(), tracks.end.tolist(), (tracks.parent > 0).tolist(), strict=True))


def test_track_finds_the_lineage_of_the_drawing(masks, images):
    lineage = gnntrack.track(images, masks)
    assert families(lineage) == [(0, 2, False), (0, 5, False), (3, 5, True), (3, 5, True)]
    assert lineage.provenance.method == "hungarian"
    assert lineage.provenance.cell_settings["fragments"] == "keep"


def test_each_frame_is_read_once(masks, images, tmp_path):
    mask_stack, image_stack = Counting(masks), Counting(images)
    gnntrack.track(image_stack, mask_stack, out=tmp_path / "out", pictures=False)  # a picture reads its frame again
    assert mask_stack.reads == [1] * 6
    assert image_stack.reads == [1] * 6


def test_images_alone_are_segmented_and_read_once(images):
    stack = Counting(images)
    lineage = gnntrack.track(stack)
    assert len(lineage.cells) == N_CELLS
    middle, last = len(stack) // 2, len(stack) - 1  # they and the first frame are shown to the segmenter before
    assert [n for t, n in enumerate(stack.reads) if t not in {0, middle, last}] == [1] * (len(stack) - 3)
    assert max(stack.reads[1:]) == 2


def test_images_that_are_masks_are_refused(masks):
    for function in (gnntrack.track, gnntrack.build_graph):
        with pytest.raises(FrameError, match=r"looks like a mask.*track\(masks=\.\.\.\), or --masks MASKS"):
            function(masks)


@pytest.mark.parametrize("function", [gnntrack.track, gnntrack.build_graph])
def test_neither_images_nor_masks_is_refused(function):
    with pytest.raises(InputError, match=r"neither images nor masks are given; give track\(images, masks\)"):
        function()


def test_images_come_first_by_position_and_by_keyword(masks, images):
    by_position = gnntrack.track(images, masks)
    by_keyword = gnntrack.track(masks=masks, images=images)
    np.testing.assert_array_equal(by_position.track, by_keyword.track)
    assert by_position.cells.has("intensity_mean")
    assert gnntrack.build_graph(images, masks).cells.feature_names == by_position.cells.feature_names


def test_steps_and_track_agree(masks, images):
    at_once = gnntrack.track(images, masks)
    in_steps = gnntrack.solve(gnntrack.build_graph(images, masks))
    np.testing.assert_array_equal(at_once.track, in_steps.track)
    np.testing.assert_array_equal(at_once.source, in_steps.source)


def test_labels_do_not_matter(masks):
    other = dividing_masks(shuffled=False)
    assert families(gnntrack.track(masks=masks)) == families(gnntrack.track(masks=other))


def test_spacing_of_the_images_serves_the_masks(masks, images, tmp_path):
    graph = gnntrack.build_graph(open_frames(images, spacing=0.5), masks)
    assert graph.cells.unit == "um"
    assert graph.cells.spacing == (0.5, 0.5)
    settings = Settings().replace(frames__spacing=(0.5, 0.5))
    assert gnntrack.build_graph(masks=masks, settings=settings).cells.spacing == (0.5, 0.5)
    assert gnntrack.build_graph(masks=masks, settings=settings, spacing=(0.2, 0.2)).cells.spacing == (0.2, 0.2)


def test_scale_changes_nothing(masks):
    small, large = gnntrack.track(masks=masks, spacing=(1e-3, 1e-3)), gnntrack.track(masks=masks, spacing=(1e3, 1e3))
    np.testing.assert_array_equal(small.track, large.track)


@pytest.mark.parametrize("function", ["solve", "track"])
def test_an_unknown_method_names_the_known_ones(masks, function):
    subject = {"masks": masks} if function == "track" else {"graph": gnntrack.build_graph(masks=masks)}
    with pytest.raises(
        InputError, match=r"unknown method 'gnns'; did you mean 'gnn'\? There are: iou, greedy, hungarian"
    ):
        getattr(gnntrack, function)(**subject, method="gnns")
    with pytest.raises(InputError, match=r"unknown solver 'best'; there are: greedy"):
        getattr(gnntrack, function)(**subject, solver="best")


@pytest.mark.parametrize(
    ("changes", "reported"),
    [
        ({"gnn__model": "nonsense"}, "nonsense: no such model"),
        ({"gnn__device": "mps"}, "this machine does not have the device 'mps'"),
    ],
)
def test_a_model_or_a_device_is_refused_before_a_frame_is_read(masks, images, changes, reported, monkeypatch):
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    stack = Counting(masks)
    with pytest.raises(InputError, match=reported):
        gnntrack.track(images, stack, method="gnn", settings=Settings().replace(**changes))
    assert stack.reads == [0] * len(masks)


def test_a_model_that_needs_images_is_refused_before_a_mask_is_read(masks, tmp_path):
    from gnntrack.gnn.linknet import LinkNet
    from gnntrack.gnn.weights import save_model

    save_model(tmp_path / "looking", LinkNet(width=8, rounds=1, embedding=4), training={})
    stack, settings = Counting(masks), Settings().replace(gnn__model=str(tmp_path / "looking"), gnn__device="cpu")
    with pytest.raises(ModelError, match="the model 'looking' uses the cells' images, and a graph does not hold any"):
        gnntrack.track(masks=stack, method="gnn", settings=settings)
    assert stack.reads == [0] * len(masks)


@pytest.mark.parametrize("method", pipeline.METHODS)
@pytest.mark.parametrize("solver", [None, "greedy", "hungarian", "triplets"])
def test_any_scorer_goes_with_any_solver(masks, method, solver, tiny_model):
    settings = Settings().replace(gnn__model=str(tiny_model), gnn__device="cpu")
    lineage = gnntrack.track(masks=masks, method=method, solver=solver, settings=settings)
    assert len(lineage.track) == N_CELLS


def test_a_gap_is_bridged_and_filled(masks, tmp_path):
    holed = masks.copy()
    holed[2, 10:32] = 0  # the cell that moves right is missed once
    filled = gnntrack.track(masks=holed, out=tmp_path / "filled")
    assert (0, 5, False) in families(filled)
    assert filled.provenance.gaps_filled == filled.provenance.gaps_bridged == 1
    painted = open_frames(tmp_path / "filled")[2]
    truth = masks[2, 10:32] > 0
    assert (painted[10:32] > 0)[truth].mean() > 0.7
    split = gnntrack.track(masks=holed, out=tmp_path / "split", settings=Settings().replace(repair__fill_gaps=False))
    assert {(0, 1, False), (3, 5, True)} <= set(families(split))


def test_export_needs_masks_and_a_known_format(masks, tmp_path):
    lineage = gnntrack.solve(gnntrack.build_graph(masks=masks))
    with pytest.raises(InputError, match=r"format 'ctc' draws the masks .* give masks"):
        gnntrack.export(lineage, tmp_path / "out")
    with pytest.raises(InputError, match="unknown format 'mov'; there are: biohub, btrack, ctc, csv, edges, geff"):
        gnntrack.export(lineage, tmp_path / "out", to="mov")
    with pytest.raises(FormatError, match="not those that the lineage was made from"):
        gnntrack.export(lineage, tmp_path / "out", masks=masks[:, ::-1, :80])
    assert list(tmp_path.iterdir()) == []


def test_export_of_a_lineage_without_provenance(masks, tmp_path):
    lineage = replace(gnntrack.solve(gnntrack.build_graph(masks=masks)), provenance=Provenance())
    written = gnntrack.export(lineage, tmp_path / "out", masks=masks)
    assert len(written.tracks) == 4


def test_the_output_is_refused_first(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("", encoding="utf-8")
    with pytest.raises(OutputError):
        gnntrack.track(masks="no such masks", out=tmp_path / "out")


def test_progress_is_reported_to_the_end(masks, images, tmp_path):
    reported: dict[str, tuple[int, int]] = {}
    gnntrack.track(
        images, masks, out=tmp_path / "o", progress=lambda stage, done, n: reported.update({stage: (done, n)})
    )
    assert reported["cells"] == (6, 6)
    assert all(done == total for done, total in reported.values())


def test_evaluate_a_result_against_itself(masks, tmp_path):
    gnntrack.track(masks=masks, out=tmp_path / "01_RES")
    scores = pipeline.evaluate(tmp_path / "01_RES", tmp_path / "01_RES")
    assert scores["TRA"] == scores["LNK"] == scores["CHOTA"] == 1


def test_segment_counts_the_cells(images, tmp_path):
    assert gnntrack.segment(images, tmp_path / "masks") == N_CELLS
    with pytest.raises(OutputError):
        gnntrack.segment(images, tmp_path / "masks")


def test_simulated_movies_come_in_arrays_or_folders(tmp_path):
    settings = Settings().replace(simulate__frames=5, simulate__shape=(96, 96), simulate__cells=4)
    movie = pipeline.simulate(settings=settings, seed=2)
    again = pipeline.simulate(tmp_path / "movie", settings=settings, seed=2)
    np.testing.assert_array_equal(movie.lineage.track, again.lineage.track)
    assert (tmp_path / "movie").is_dir()


def test_folders_and_arrays_give_the_same(masks, images, tmp_path):
    write_folder(tmp_path / "masks", masks)
    write_folder(tmp_path / "images", images)
    from_files = gnntrack.track(tmp_path / "images", tmp_path / "masks")
    np.testing.assert_array_equal(from_files.track, gnntrack.track(images, masks).track)
