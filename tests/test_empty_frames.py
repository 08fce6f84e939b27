"""Results for the evaluation of the challenge: no frame without a cell, and no file beside masks and table."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from support.movies import dividing_masks, images_of, write_folder

import gnntrack
from gnntrack.cli import cli
from gnntrack.errors import InputError
from gnntrack.io.ctc_table import read_track_table
from gnntrack.io.ctc_validate import validate_ctc
from gnntrack.settings import Settings


def find_empty(folder):
    return [problem.frame for problem in validate_ctc(folder) if problem.rule == "empty-frame"]


@pytest.mark.parametrize("empty", [[0], [0, 1], [5], [4, 5], [1, 2, 3, 4], [0, 5]], ids=str)
@pytest.mark.parametrize("margin", [0, 5])
def test_frames_without_a_cell_have_those_of_the_nearest_one(tmp_path, empty, margin):
    masks = dividing_masks()
    masks[empty] = 0
    plain, filled = tmp_path / "plain", tmp_path / "filled"
    choices = {"max_gap": 1, "pictures": False, "margin": margin}
    gnntrack.track(masks=masks, out=plain, **choices)
    lineage = gnntrack.track(masks=masks, out=filled, fill_empty_frames=True, **choices)
    assert find_empty(plain) == empty
    assert validate_ctc(filled) == [] or {p.rule for p in validate_ctc(filled)} == {"single-child"}
    assert gnntrack.load(filled).cells.frame.max() == 5
    drawn = lineage.labels()
    first = next(t for t in range(6) if t not in empty)
    for frame in empty:
        nearest = max([t for t in range(frame) if t not in empty], default=first)
        assert np.array_equal(drawn[frame], drawn[nearest])


def test_a_frame_without_light_in_the_middle_keeps_its_tracks(tmp_path):
    masks = dividing_masks()
    masks[1] = 0
    out = tmp_path / "01_RES"
    gnntrack.track(masks=masks, out=out, fill_empty_frames=True)
    assert len(read_track_table(out / "res_track.txt")) == 4
    assert find_empty(out) == []


def test_a_movie_without_a_cell_stays_empty(tmp_path):
    gnntrack.track(masks=np.zeros((3, 20, 20), np.uint8), out=tmp_path / "RES", fill_empty_frames=True)
    assert find_empty(tmp_path / "RES") == [0, 1, 2]


def test_links_into_masks_of_empty_frames_have_no_confidence_of_another_track(tmp_path):
    masks = np.zeros((3, 30, 60), np.uint8)
    masks[:2, 5:15, 5:15], masks[:2, 5:15, 40:50] = 1, 2
    gnntrack.track(masks=masks, out=tmp_path / "RES", fill_empty_frames=True)
    lineage = gnntrack.load(tmp_path / "RES")
    assert lineage.confidence[lineage.cells.frame[lineage.target] == 2].tolist() == [1.0, 1.0]


def test_without_extras_a_result_is_masks_and_table(tmp_path):
    images = write_folder(tmp_path / "01", images_of(dividing_masks()))
    masks = write_folder(tmp_path / "01_ERR_SEG", dividing_masks(), prefix="mask")
    run = CliRunner().invoke(cli, ["track", str(images), str(masks), "-o", str(tmp_path / "01_RES"), "--no-extras"])
    assert run.exit_code == 0, run.output
    names = sorted(path.name for path in (tmp_path / "01_RES").iterdir())
    assert names == [*(f"mask00{t}.tif" for t in range(6)), "res_track.txt"]
    assert "no tables" in run.output


def test_batch_needs_the_tables(tmp_path):
    from gnntrack.batch import Position, track_positions

    with pytest.raises(InputError, match="extras = false omits them"):
        track_positions([Position("a")], tmp_path / "out", settings=Settings().replace(output__extras=False))
