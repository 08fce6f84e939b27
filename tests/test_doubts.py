"""Doubtful places of a result, and signs of poor masks."""

from __future__ import annotations

import json
import logging
import warnings

import numpy as np
import pandas as pd
import pytest
import tifffile
from click.testing import CliRunner
from support.movies import dividing_masks, images_of

import gnntrack
from gnntrack.cli import cli
from gnntrack.io.ctc import link_tracks
from gnntrack.lineage.doubts import list_doubts
from gnntrack.lineage.steadiness import describe_poor_masks, measure_steadiness
from gnntrack.settings import Settings
from gnntrack.types import Cells, Lineage, Tracks

SETTINGS = Settings().replace(output__pictures=False)


def make_cells(n_frames=12, n=16, size=9, spacing=64):
    """Cells that move a little, far from each other, at places without a pattern."""
    side = int(np.sqrt(n))
    place = np.random.default_rng(7).integers(8, spacing - 24, (n, 2))
    masks = np.zeros((n_frames, side * spacing, side * spacing), np.uint16)
    for t in range(n_frames):
        for k in range(n):
            y, x = place[k] + spacing * np.array(divmod(k, side)) + np.array([(t + k) % 3, t % 2])
            masks[t, y : y + size, x : x + size] = k + 1
    return masks


def appears_inside():
    masks = make_cells()
    masks[:5][masks[:5] == 6] = 0
    return masks, "start", 5, 6


def vanishes_inside():
    masks = make_cells()
    masks[6:][masks[6:] == 6] = 0
    return masks, "end", 5, 6


def two_frames_only():
    masks = make_cells()
    masks[:5][masks[:5] == 6] = 0
    masks[7:][masks[7:] == 6] = 0
    return masks, "short track", 5, 6


def grows_for_a_frame():
    masks = make_cells()
    y, x = np.argwhere(masks[4] == 6).min(0)
    masks[4, y - 3 : y + 12, x - 3 : x + 12] = 6
    return masks, "size", 4, 6


def missing_for_a_frame():
    masks = make_cells()
    masks[4][masks[4] == 6] = 0
    return masks, "filled mask", 4, 6


def in_two_pieces():
    masks = make_cells()
    y, x = np.argwhere(masks[4] == 6).min(0)
    masks[4, y + 4, x : x + 9] = 0
    return masks, "pieces", 4, 6


def empty_frame():
    masks = make_cells()
    masks[-1] = 0
    return masks, "empty frame", 11, None


CASES = [
    appears_inside,
    vanishes_inside,
    two_frames_only,
    grows_for_a_frame,
    missing_for_a_frame,
    in_two_pieces,
    empty_frame,
]


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_each_kind_is_found_in_the_result(make, tmp_path):
    masks, kind, frame, label = make()
    out = tmp_path / "out"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gnntrack.GnntrackWarning)
        gnntrack.track(masks=masks, out=out, settings=SETTINGS)
    review = pd.read_csv(out / "gnntrack" / "review.csv")
    assert review["rank"].tolist() == list(range(1, len(review) + 1))
    assert review["gain"].is_monotonic_decreasing
    found = review[(review["kind"] == kind) & (review["frame"] == frame)]
    assert len(found) >= 1, review
    assert found["why"].str.len().min() > 10
    if label is None:
        return
    cells = pd.read_csv(out / "gnntrack" / "cells.csv")
    written = tifffile.imread(out / f"mask{frame:03d}.tif")
    middles = [np.argwhere(written == row.label).mean(0) for row in found.itertuples()]
    at = [(row.y_pixel, row.x_pixel) for row in found.itertuples()]
    np.testing.assert_allclose(at, middles, atol=0.06)
    given = cells.merge(found[["frame", "label"]])["input_label"].tolist()
    assert label in given or kind == "filled mask"


def make_lineage(tracks, n_frames=12, confidence=0.99):
    """Lineage from tracks: number -> (first frame, places along x, parent); no sizes are known.

    A cell that is there all the time is added, so that no frame is empty.
    """
    tracks = tracks | {9: (0, [150 + 2 * (t % 2) for t in range(n_frames)], 0)}
    rows = sorted((start + k, name, x) for name, (start, places, _) in tracks.items() for k, x in enumerate(places))
    frame, label, x = (np.array(column) for column in zip(*rows, strict=True))
    position = np.stack([np.full(len(x), 100.0), x], axis=1)
    cells = Cells(frame, label, position, np.zeros((len(x), 0)), (), (), (1, 1), n_frames, (200, 200))
    table = Tracks.from_cells(label, frame, lambda ids: np.array([tracks[name][2] for name in ids.tolist()]))
    source, target = link_tracks(cells, table)
    return Lineage(cells, label, table, source, target, np.full(len(source), confidence))


def list_kinds(lineage):
    return [(doubt.kind, int(lineage.track[doubt.row])) for doubt in list_doubts(lineage) if doubt.kind != "link"]


def test_a_track_that_goes_on_as_another_one_is_one_place():
    lineage = make_lineage({1: (0, [100, 101, 102, 103, 104], 0), 2: (8, [105, 106, 107, 108], 0)})
    (place,) = (doubt for doubt in list_doubts(lineage) if doubt.kind != "link")
    assert (place.kind, lineage.track[place.row], lineage.track[place.other]) == ("end", 1, 2)
    assert place.why.endswith("track 2 starts nearby in frame 8")
    later = make_lineage({1: (0, [100, 101, 102, 103], 0), 2: (9, [105, 106, 107], 0)})  # five frames between them
    assert list_kinds(later) == [("start", 2), ("end", 1)]


def test_a_track_that_ends_beside_a_daughter_stands_for_the_division():
    """Cell 4 is lost in frame 4, and the other cell divides into itself and 4."""
    whole = {1: (0, [60, 60, 60, 60, 60], 0), 2: (5, [60] * 7, 1), 3: (5, [64] * 7, 1)}
    assert list_kinds(make_lineage(whole, confidence=0.8)) == [("division", 1)]
    lineage = make_lineage(whole | {4: (0, [65, 65, 65, 65], 0)}, confidence=0.8)
    (place,) = (doubt for doubt in list_doubts(lineage) if doubt.kind != "link")
    assert (place.kind, lineage.track[place.row], lineage.track[place.other]) == ("end", 4, 3)
    assert place.why.endswith("track 3 starts by a division nearby in frame 5")


def test_a_track_of_one_frame_is_more_doubtful_than_a_long_one():
    lineage = make_lineage({1: (0, [100, 101, 102, 103, 104], 0), 2: (8, [60], 0)})
    assert list_kinds(lineage) == [("short track", 2), ("end", 1)]
    short, end = (doubt.doubt for doubt in list_doubts(lineage) if doubt.kind != "link")
    assert short > 0.8 > 0.3 > end


@pytest.mark.parametrize("spacing", [None, 0.5])
def test_positions_are_in_pixels(tmp_path, spacing):
    masks, *_ = appears_inside()
    settings = SETTINGS.replace(frames__spacing=spacing and (spacing, spacing))
    gnntrack.track(masks=masks, out=tmp_path / "out", settings=settings)
    row = pd.read_csv(tmp_path / "out" / "gnntrack" / "review.csv").iloc[0]
    assert masks[row["frame"], round(row["y_pixel"]), round(row["x_pixel"])] == 6


def test_nothing_to_review(tmp_path):
    gnntrack.track(masks=make_cells(), out=tmp_path / "out", settings=SETTINGS)
    review = pd.read_csv(tmp_path / "out" / "gnntrack" / "review.csv")
    assert list(review) == [
        "rank", "kind", "frame", "track", "label", "y_pixel", "x_pixel", "confidence", "doubt", "gain", "why"
    ]  # fmt: skip
    assert not set(review["kind"]) - {"link"}


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_python_and_the_file_list_the_same_places(make, tmp_path):
    masks, *_ = make()
    out = tmp_path / "out"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gnntrack.GnntrackWarning)
        gnntrack.track(masks=masks, out=out, settings=SETTINGS)
    doubts = gnntrack.lineage.list_doubts(gnntrack.load(out))
    review = pd.read_csv(out / "gnntrack" / "review.csv")
    assert [(doubt.kind, doubt.frame, doubt.why) for doubt in doubts] == list(
        review[["kind", "frame", "why"]].itertuples(index=False, name=None)
    )


@pytest.mark.parametrize("make", [appears_inside, vanishes_inside, empty_frame], ids=lambda make: make.__name__)
def test_solve_shows_the_places_that_track_shows(make, tmp_path, monkeypatch):
    masks, *_ = make()
    tifffile.imwrite(tmp_path / "masks.tif", masks, metadata={"axes": "TYX"})
    monkeypatch.chdir(tmp_path)
    shown = []
    for line in (
        "track --masks masks.tif -o out --no-pictures",
        "build-graph --masks masks.tif -o graph.geff",
        "solve graph.geff -o lineage.geff",
    ):
        result = CliRunner().invoke(cli, line.split())
        assert result.exit_code == 0, result.output
        shown.append([row.split()[1:] for row in result.output.splitlines() if row.split()[:1] == ["check"]])
    assert shown[0] == shown[2] != []


# ---------------------------------------------------------------- poor masks


def flicker(rng):
    """A third of the cells are missing in each frame."""
    masks = make_cells()
    for mask in masks:
        mask[np.isin(mask, rng.choice(16, 5, replace=False) + 1)] = 0
    return masks


def noise(rng):
    """Specks that are somewhere else in each frame, and few cells."""
    masks = make_cells(n=4, spacing=200)
    for mask in masks:
        for k in range(12):
            y, x = rng.integers(0, 390, 2)
            if not mask[y : y + 3, x : x + 3].any():
                mask[y : y + 3, x : x + 3] = 50 + k
    return masks


def jumping_sizes(rng):
    masks = make_cells(size=1)
    out = np.zeros_like(masks)
    for t, mask in enumerate(masks):
        for y, x in np.argwhere(mask):
            r = rng.integers(3, 9)
            out[t, y : y + r, x : x + r] = mask[y, x]
    return out


def half_of_the_frames(rng):
    """In every second frame the segmentation finds half of the cells."""
    masks = make_cells()
    for mask in masks[1::2]:
        mask[np.isin(mask, rng.choice(16, 8, replace=False) + 1)] = 0
    return masks


def dust(rng):
    """Objects of two frames."""
    masks = make_cells(n=4, spacing=200)
    for t in range(1, 10, 2):
        for k in range(8):
            y, x = rng.integers(0, 390, 2)
            for mask in masks[t : t + 2]:
                mask[y : y + 5, x : x + 5][mask[y : y + 5, x : x + 5] == 0] = 60 + 10 * t + k
    return masks


@pytest.mark.parametrize(
    "make", [flicker, noise, jumping_sizes, half_of_the_frames, dust], ids=lambda make: make.__name__
)
def test_poor_masks_are_noticed(make, tmp_path, caplog):
    masks = make(np.random.default_rng(1))
    out = tmp_path / "out"
    with caplog.at_level(logging.WARNING), pytest.warns(gnntrack.GnntrackWarning, match="the masks look poor"):
        gnntrack.track(masks=masks, out=out, settings=SETTINGS)
    (warning,) = json.loads((out / "gnntrack" / "summary.json").read_text())["warnings"]
    assert "the masks look poor" in warning
    assert "%" in warning
    assert "another segmenter" in warning
    assert any(warning in record.getMessage() for record in caplog.records)


def specks(size, lifetime, number):
    """Good masks of many cells, and specks: more than a fifth of the tracks, and few of the cells."""

    def make():
        rng = np.random.default_rng(2)
        masks = make_cells(n=25, n_frames=30, spacing=70)
        for k in range(number):
            t, (y, x) = int(rng.integers(1, 27)), rng.integers(0, 300, 2)
            for mask in masks[t : t + lifetime]:
                mask[y : y + size, x : x + size][mask[y : y + size, x : x + size] == 0] = 100 + k
        return masks

    make.__name__ = f"{number}_specks_of_{size}_pixels_in_{lifetime}_frames"
    return make


SPECKS = [specks(3, 1, 20), specks(4, 1, 30), specks(2, 2, 15), specks(5, 3, 10), specks(6, 1, 20)]


@pytest.mark.parametrize("make", [make_cells, dividing_masks, *SPECKS], ids=lambda make: make.__name__)
def test_good_masks_are_not_warned_of(make, tmp_path):
    out = tmp_path / "out"
    gnntrack.track(images_of(make()), make(), out=out, settings=SETTINGS)
    assert json.loads((out / "gnntrack" / "summary.json").read_text())["warnings"] == []


@pytest.mark.parametrize(
    ("missing", "poor"), [(0.005, False), (0.015, False), (0.02, False), (0.032, True), (0.05, True)]
)
def test_missing_masks_are_noticed_by_their_number(missing, poor):
    masks = make_cells(n_frames=40, n=25)
    cells = [(t, label) for t in range(2, 38, 3) for label in range(1, 26)]
    chosen = np.random.default_rng(3).permutation(len(cells))[: round(missing * 25 * 40)]
    for t, label in (cells[k] for k in chosen):
        masks[t][masks[t] == label] = 0
    steadiness = measure_steadiness(gnntrack.track(masks=masks))
    assert steadiness.cells_without_mask == pytest.approx(missing, rel=0.1)
    assert bool(describe_poor_masks(steadiness)) == poor


@pytest.mark.data
def test_a_decent_result_is_not_warned_of(ctc_data):
    lineage = gnntrack.track(masks=ctc_data / "iPSC-02" / "02_RES", debris_size=0)  # DET .937
    steadiness = measure_steadiness(lineage)
    assert steadiness.short_tracks > 0.25
    assert describe_poor_masks(steadiness) == []


def test_a_movie_that_is_too_small_has_no_figures():
    steadiness = measure_steadiness(gnntrack.track(masks=make_cells(n_frames=5)))
    assert set(steadiness) == {None}
    assert describe_poor_masks(steadiness) == []
