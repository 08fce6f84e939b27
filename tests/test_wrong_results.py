"""Folders and tables that are not results of tracking: what the commands say about them."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from support.movies import dividing_masks, images_of

import gnntrack
from gnntrack.cli import cli
from gnntrack.io.ctc_table import read_track_table

MASKS = np.asarray(dividing_masks()).astype(np.uint16)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Return a folder with a result, one without its table, a GEFF, masks and images."""
    folder = tmp_path_factory.mktemp("places")
    lineage = gnntrack.track(masks=MASKS, out=folder / "RES")
    lineage.to_geff(folder / "alone.geff")
    shutil.copytree(folder / "RES", folder / "untabled")
    (folder / "untabled/res_track.txt").unlink()
    np.save(folder / "masks.npy", MASKS)
    tifffile.imwrite(folder / "masks.tif", MASKS)
    for name, movie in (("masks", MASKS), ("images", images_of(MASKS))):
        (folder / name).mkdir()
        for frame, each in enumerate(np.asarray(movie)):
            tifffile.imwrite(folder / name / f"t{frame}.tif", each)
    (folder / "empty").mkdir()
    return folder


def run(*words):
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, " ".join((done.output + done.stderr).split())


@pytest.mark.parametrize("to", ["ctc", "csv", "geff", "edges"])
def test_export_reads_a_result_without_its_table(places, tmp_path, to):
    code, output = run("export", places / "untabled", "--to", to, "-o", tmp_path / "out")
    assert code == 0, output
    if to == "ctc":
        same = (tmp_path / "out/res_track.txt").read_text() == (places / "RES/res_track.txt").read_text()
        assert same, output


@pytest.mark.parametrize("name", ["images", "masks", "masks.tif", "masks.npy", "empty", "nowhere"])
@pytest.mark.parametrize("to", ["ctc", "csv"])
def test_export_says_what_it_expects(places, tmp_path, name, to):
    code, output = run("export", places / name, "--to", to, "-o", tmp_path / "out")
    assert code == 2
    assert "--masks" not in output
    assert ("gnntrack import" in output) == (name not in {"empty", "nowhere"})
    assert "GEFF" in output or "no such folder" in output


def test_export_of_a_geff_asks_for_its_masks(places, tmp_path):
    code, output = run("export", places / "alone.geff", "-o", tmp_path / "out")
    assert (code, "give --masks MASKS" in output) == (2, True)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("masks", "gnntrack import"),
        ("images", "gnntrack import"),
        ("masks.tif", "gnntrack import"),
        ("masks.npy", "gnntrack import"),
    ],
)
def test_scores_and_validation_name_the_command_that_makes_a_result(places, name, remedy):
    for words in (("evaluate", places / name, places / "RES"), ("evaluate", places / "RES", places / name)):
        code, output = run(*words)
        assert (code, remedy in output) == (2, True), output
    code, output = run("validate", places / name)
    assert code in {1, 2}
    assert remedy in output


def test_a_byte_order_mark_before_the_table_is_read(places, tmp_path):
    text = (places / "RES/res_track.txt").read_text()
    (tmp_path / "res_track.txt").write_text(text, encoding="utf-8-sig")
    assert len(read_track_table(tmp_path / "res_track.txt")) == len(text.splitlines())
    shutil.copytree(places / "RES", tmp_path / "RES")
    (tmp_path / "RES/res_track.txt").write_text(text, encoding="utf-8-sig")
    assert len(gnntrack.load(tmp_path / "RES")) == len(text.splitlines())
    code, output = run("validate", tmp_path / "RES")  # other programs do not read it
    assert (code, "begins with a byte order mark" in output) == (1, True)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("L B E P\n1 0 3 0\n", "remove line 1, a header"),
        ("label\tbegin\tend\tparent\n1 0 3 0\n", "remove line 1, a header"),
        ("# track table\n1 0 3 0\n", "remove line 1, a header"),
        ("1,0,3,0\n", "replace , by a space"),
        ("1, 0, 3, 0\n", "replace , by a space"),
        ("1;0;3;0\n", "replace ; by a space"),
        ("1.0 0 3.0 0\n", "without a decimal point"),
        ("1 0 3 x\n", "expected four: label, begin, end, parent"),
    ],
)
def test_the_message_of_a_table_has_a_remedy(tmp_path, text, remedy):
    (tmp_path / "res_track.txt").write_text(text)
    with pytest.raises(gnntrack.InputError, match=remedy):
        read_track_table(tmp_path / "res_track.txt")


@pytest.mark.parametrize("frame", [99, -99, len(MASKS), -len(MASKS) - 1, np.int64(50)])
def test_a_frame_that_does_not_exist_is_told(frame):
    labels = gnntrack.track(masks=MASKS).labels()
    with pytest.raises(IndexError, match=f"no frame {frame}; the movie has {len(MASKS)} frames, 0 to"):
        labels[frame]
    assert np.array_equal(labels[-1], labels[len(MASKS) - 1])


@pytest.mark.parametrize(
    ("part", "written"),
    [
        (slice(2, 4), "2:4"),
        (slice(3), ":3"),
        (slice(1, None), "1:"),
        (slice(None, None, 2), "::2"),
        (slice(None), ":"),
    ],
)
def test_a_slice_of_a_lineage_names_the_list(part, written):
    lineage = gnntrack.track(masks=MASKS)
    with pytest.raises(TypeError, match=rf"list\(lineage\)\[{written}\]"):
        lineage[part]
