"""Invariance of results under changes of labels, order of axes, unit of length and unit of intensity."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom
from support import worlds

from gnntrack import movie_candidates, pipeline
from gnntrack.graph import flow
from gnntrack.graph.flow import FlowRecorder
from gnntrack.io.frames import open_frames, open_masks
from gnntrack.movie import Movie, build_with_runs
from gnntrack.settings import Settings, SimulateSettings
from gnntrack.simulate import simulate_movie


@pytest.fixture(scope="module")
def movie():
    settings = SimulateSettings(frames=14, shape=(160, 200), spacing=(0.5, 0.5), cells=14, cycle=12)
    simulated = simulate_movie(settings=settings, seed=3)
    masks = np.stack([np.asarray(simulated.masks[t]) for t in range(14)]).astype(np.int64)
    masks[6][masks[6] == masks[6].max()] = 0  # a gap
    return masks, np.stack([np.asarray(simulated.images[t]) for t in range(14)])


def links(masks, images=None, *, names=None, spacing=None, **options):
    """Return the links between cells, which are known by frame and label; ``names`` undoes a change of labels."""
    settings = Settings().replace(**options)
    lineage = pipeline.solve(pipeline.build_graph(images, masks, spacing=spacing, settings=settings), settings=settings)
    frame, label = lineage.cells.frame.tolist(), lineage.cells.label.tolist()
    cell = [(t, names[t][k] if names else k) for t, k in zip(frame, label, strict=True)]
    return {(cell[a], cell[b]) for a, b in zip(lineage.source.tolist(), lineage.target.tolist(), strict=True)}


def shuffle_labels(masks, seed=0):
    """Return masks with other labels, and the old label of each new one by frame."""
    random, out, names = np.random.default_rng(seed), np.zeros_like(masks), []
    for t, mask in enumerate(masks):
        old = np.unique(mask[mask > 0])
        new = random.permutation(9 * len(old))[: len(old)] + 1
        for a, b in zip(old, new, strict=True):
            out[t][mask == a] = b
        names.append(dict(zip(new.tolist(), old.tolist(), strict=True)))
    return out, names


@pytest.mark.parametrize("gap", [1, 2, 3])
@pytest.mark.parametrize("seen", [False, True])
def test_labels_axes_and_units_do_not_matter(movie, seen, gap):
    masks, images = movie[0], movie[1] if seen else None
    options = {"graph__max_gap": gap}
    usual = links(masks, images, **options)
    assert len(usual) > 100
    other, names = shuffle_labels(masks)
    assert links(other, images, names=names, **options) == usual
    turned = None if images is None else images.swapaxes(1, 2).copy()
    different = links(masks.swapaxes(1, 2).copy(), turned, **options) ^ usual
    assert len(different) <= (4 if seen else 0)  # optical flow passes over the rows: turned, it is not quite the same
    for size in (0.01, 0.37, 1000.0):
        assert links(masks, images, spacing=(size, size), **options) == usual


def test_a_stretched_axis_with_its_spacing_does_not_matter(movie):
    """Positions are in units and masks in pixels: each is right only if the spacing is undone where it has to be.

    Without motion, since shifts of masks are rounded to whole pixels.
    """
    still = Settings().replace(motion__flow="none", motion__drift=False)
    tall = movie[0].repeat(3, axis=1)
    stretched = pipeline.build_graph(masks=tall, spacing=(0.5, 1.5), settings=still)
    square = pipeline.build_graph(masks=tall.repeat(3, axis=2), spacing=(0.5, 0.5), settings=still)
    assert stretched.feature_names == square.feature_names
    np.testing.assert_array_equal(stretched.target, square.target)
    close = np.isclose(stretched.features, square.features, rtol=1e-3, atol=1e-3).mean(axis=0)
    assert close.min() > 0.99  # ranks of equals may change places


@pytest.mark.parametrize("factor", [1e-9, 1e-3, 1e6])
def test_the_unit_of_light_does_not_matter(factor):
    image = 3 + gaussian_filter(np.random.default_rng(0).normal(size=(2, 64, 64)), (0, 2, 2))
    image[1] = np.roll(image[0], 3, axis=1)
    np.testing.assert_allclose(flow_of(image * factor), flow_of(image), atol=0.05)
    assert np.median(flow_of(image)[:, 1]) == pytest.approx(3, abs=0.5)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda image: np.where(image > np.quantile(image, 0.99), np.nan, image),
        lambda image: np.where(image > np.quantile(image, 0.99), np.inf, image),
        lambda image: np.full_like(image, np.nan),
        lambda image: image * 1e300,
        lambda image: (image - image.mean()) * 1e38,
        lambda image: image.astype(np.float16),
        lambda image: np.full_like(image, 7),
        lambda image: -image,
    ],
    ids=["nan", "inf", "all nan", "huge", "nearly huge", "float16", "constant", "negative"],
)
def test_odd_intensities_do_no_harm(movie, spoil):
    masks, images = movie[0][:5], movie[1][:5].astype(np.float64)
    found, usual = links(masks, spoil(images)), links(masks)
    assert len(found & usual) > 0.9 * len(usual)


POSITION = np.stack(np.meshgrid(np.arange(60.0, 200, 20), np.arange(60.0, 200, 20), indexing="ij"), -1).reshape(-1, 2)


def flow_of(images, position=None, radius=3.0):
    """Return the flow from the first to the second image at positions, in pixels of the reduced images."""
    if position is None:
        position = np.stack(np.meshgrid(np.arange(16.0, 48, 6), np.arange(16.0, 48, 6)), -1).reshape(-1, 2)
    recorder = FlowRecorder(2)
    for frame, image in enumerate(images):
        recorder.add_frame(frame, image, position, np.full(len(position), radius))
    return recorder._jobs[0].result() / recorder.factor


def test_flow_is_read_where_the_cells_are():
    """In a field that grows, a flow read beside a cell is wrong by the same way wherever the cell is."""
    noise = gaussian_filter(np.random.default_rng(1).normal(size=(256, 256)), 6)
    grown = zoom(noise, 1.1, order=1)
    low = (grown.shape[0] - 256) // 2
    grown = grown[low : low + 256, low : low + 256]
    found = flow_of((noise, grown), POSITION, radius=16.0)
    mirrored = flow_of((noise[:, ::-1].copy(), grown[:, ::-1].copy()), POSITION * (1, -1) + (0, 255), radius=16.0)
    assert abs(np.mean(found[:, 1] + mirrored[:, 1])) < 0.15


def test_flow_does_not_lag_far_behind_the_images(monkeypatch):
    """A queue without an end would hold a long movie in memory."""
    gate, seen = threading.Semaphore(0), []
    monkeypatch.setattr(flow, "_WAITING", 8)
    monkeypatch.setattr(flow, "_compute_flow", lambda *_: gate.acquire() and np.zeros((1, 2)))
    recorder = FlowRecorder(2)

    def look():
        for frame in range(40):
            recorder.add_frame(frame, np.zeros((16, 16), np.uint8), np.full((1, 2), 8.0), np.full(1, 3.0))
            seen.append(frame)

    looker = threading.Thread(target=look, daemon=True)
    looker.start()
    looker.join(0.5)
    stalled = len(seen)
    gate.release(40)
    looker.join(10)
    assert stalled < 12
    assert len(seen) == 40


def test_what_waits_is_not_done_after_an_error(monkeypatch):
    """Ctrl-C would otherwise be answered after dozens of frames."""
    begun = []
    monkeypatch.setattr(flow, "_compute_flow", lambda *_: begun.append(threading.Event().wait(0.1)))
    masks = np.zeros((40, 32, 32), np.uint16)
    masks[:, 8:16, 8:16] = 1

    def stop(_stage, done, _total):
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_with_runs(Movie(masks=open_masks(masks), images=open_frames(masks)), Settings(), stop)
    before = len(begun)
    threading.Event().wait(0.4)
    assert len(begun) == before


def test_a_tracked_movie_can_be_exported_again(tmp_path, monkeypatch):
    """A fragment that was joined to its cell is not a cell of the lineage, but it is still in the masks."""
    world = worlds.split_for_a_frame()
    masks = world.masks
    monkeypatch.setattr(movie_candidates, "choose_lineage", lambda *_, **__: worlds.build_known_lineage(world)[0])
    lineage = pipeline.track(masks=masks, out=tmp_path / "first")
    assert len(lineage.provenance.pieces_joined) == 1
    again = pipeline.export(lineage, tmp_path / "second", masks=masks)
    pipeline.export(again, tmp_path / "third", masks=masks)
    for file in sorted(each for each in (tmp_path / "first").iterdir() if each.is_file()):
        assert file.read_bytes() == (tmp_path / "second" / file.name).read_bytes()
        assert file.read_bytes() == (tmp_path / "third" / file.name).read_bytes()
