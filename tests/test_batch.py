"""Batches: layouts of positions, failures, and runs that are continued."""

from __future__ import annotations

import errno
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image
from support.movies import dividing_masks, images_of, write_folder

import gnntrack
from gnntrack.batch import find_positions, track_positions
from gnntrack.cli import cli
from gnntrack.errors import InputError, OutputError
from gnntrack.settings import Settings
from gnntrack.user_warnings import prefix_warnings, show_warnings

MASKS = dividing_masks()
IMAGES = images_of(MASKS)
QUIET = Settings().replace(output__pictures=False)


def folders(root):
    """``pos1/images``, ``pos1/masks``."""
    for name in ("pos1", "pos2", "pos10"):
        write_folder(root / name / "images", IMAGES)
        write_folder(root / name / "masks", MASKS)
    return ["pos1", "pos2", "pos10"]


def ctc_layout(root):
    for name in ("01", "02"):
        write_folder(root / name, IMAGES)
        write_folder(root / f"{name}_GT" / "TRA", MASKS, prefix="man_track")
    write_folder(root / "01_ERR_SEG", MASKS, prefix="mask")
    write_folder(root / "02_ST" / "SEG", MASKS, prefix="man_seg")
    return ["01", "02"]


def data_sets(root):
    for name in ("A", "B"):
        write_folder(root / name / "01", IMAGES)
        write_folder(root / name / "01_ST" / "SEG", MASKS, prefix="man_seg")
    return ["A/01", "B/01"]


def stacks(root):
    for name in ("s1", "s2"):
        tifffile.imwrite(root / f"{name}.tif", IMAGES, photometric="minisblack")
        tifffile.imwrite(root / f"{name}_masks.tif", MASKS, photometric="minisblack")
    return ["s1", "s2"]


def arrays_and_labels(root):
    for name in ("x", "y"):
        np.save(root / f"{name}.npy", IMAGES)
        np.save(root / f"{name}-labels.npy", MASKS)
    return ["x", "y"]


def neighbours(root):
    """Folders beside each other: ``well_A1``, ``well_A1_masks``."""
    for name in ("well_A1", "well_B1"):
        write_folder(root / name, IMAGES)
        write_folder(root / f"{name}_masks", MASKS)
    return ["well_A1", "well_B1"]


LAYOUTS = [folders, ctc_layout, data_sets, stacks, arrays_and_labels, neighbours]


@pytest.mark.parametrize("make", LAYOUTS, ids=lambda make: make.__name__)
def test_layouts(tmp_path, make):
    root = tmp_path / "in"
    root.mkdir()
    names = make(root)
    positions = find_positions(root)
    assert [position.name for position in positions] == names
    assert all(position.images is not None and position.masks is not None for position in positions)
    outcomes = track_positions(positions[:1], tmp_path / "out", settings=QUIET)
    assert [(row.status, row.frames, row.tracks, row.divisions) for row in outcomes] == [("done", len(MASKS), 4, 1)]
    assert (tmp_path / "out" / f"{names[0]}_RES" / "res_track.txt").exists()


@pytest.mark.parametrize(
    ("images", "masks", "expected"),
    [
        ("{}/phase", "{}/lab", [("a", True, True), ("b", True, True)]),
        ("{}/phase", None, [("a", True, False), ("b", True, False)]),
        (None, "{}/lab", [("a", False, True), ("b", False, True)]),
        ("{}/ph*", "{}/l*", [("a", True, True), ("b", True, True)]),
    ],
)
def test_patterns(tmp_path, images, masks, expected):
    for name in ("a", "b"):
        write_folder(tmp_path / name / "phase", IMAGES[:1])
        write_folder(tmp_path / name / "lab", MASKS[:1])
    found = find_positions(tmp_path, images=images, masks=masks)
    assert [(p.name, p.images is not None, p.masks is not None) for p in found] == expected


def test_one_side_only(tmp_path):
    write_folder(tmp_path / "p1" / "masks", MASKS)
    write_folder(tmp_path / "p2", IMAGES)
    positions = find_positions(tmp_path)
    assert [(p.images is None, p.masks is None) for p in positions] == [(True, False), (False, True)]


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        ("phase", None, "must have one {}"),
        ("{}/{}", None, "must have one {}"),
        ("{}/nothing", None, "nothing in it fits"),
        ("{}/images", "{}/labels", "pos1 has no masks"),
        (None, None, None),
    ],
)
def test_patterns_that_do_not_fit(tmp_path, images, masks, message):
    write_folder(tmp_path / "pos1" / "images", IMAGES[:1])
    if message is None:
        assert len(find_positions(tmp_path)) == 1
        return
    with pytest.raises(InputError, match=message):
        find_positions(tmp_path, images=images, masks=masks)


def test_no_position(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        find_positions(tmp_path / "no")
    with pytest.raises(InputError, match="no position is found"):
        find_positions(tmp_path)
    write_folder(tmp_path / "movie", IMAGES)
    with pytest.raises(InputError, match="one movie and not a folder of positions"):
        find_positions(tmp_path / "movie")


def test_a_failure_stops_no_other_position(tmp_path):
    folders(tmp_path / "in")
    (tmp_path / "in" / "pos2" / "masks" / "t003.tif").write_bytes(b"text")
    command = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--no-pictures"]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 1
    assert "pos2: failed: " in result.output
    assert "3, 1 failed" in result.output
    table = pd.read_csv(tmp_path / "out" / "summary.csv").set_index("position")
    assert table["status"].tolist() == ["done", "failed", "done"]
    assert "t003.tif" in table.loc["pos2", "error"]
    assert table.loc["pos10", "tracks"] == 4


def test_a_warning_has_the_name_of_its_position(tmp_path):
    folders(tmp_path / "in")
    for name, background in (("pos2", 200), ("pos10", 255)):
        for frame, mask in enumerate(np.where(MASKS == 0, background, MASKS).astype(MASKS.dtype)):
            tifffile.imwrite(tmp_path / "in" / name / "masks" / f"t{frame:03d}.tif", mask)
    with pytest.warns(gnntrack.GnntrackWarning) as caught:
        track_positions(find_positions(tmp_path / "in"), tmp_path / "out", settings=QUIET)
    names = {str(each.message).partition(": ")[0] for each in caught}
    assert names == {"pos2", "pos10"}
    table = pd.read_csv(tmp_path / "out" / "summary.csv", keep_default_na=False).set_index("position")
    assert table.loc["pos2", "warnings"]
    assert not table.loc["pos2", "warnings"].startswith("pos2: ")


def test_a_warning_of_another_process_is_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        show_warnings()
        with prefix_warnings("pos1"):
            warnings.warn("2 labels", gnntrack.GnntrackWarning, stacklevel=1)
    assert capsys.readouterr().err == "Warning: pos1: 2 labels\n"


def test_a_run_is_continued(tmp_path):
    folders(tmp_path / "in")
    positions, out = find_positions(tmp_path / "in"), tmp_path / "out"
    track_positions(positions[:1], out, settings=QUIET)
    with pytest.raises(OutputError, match="--resume"):
        track_positions(positions, out, settings=QUIET)
    before = (out / "pos1_RES" / "mask000.tif").stat().st_mtime_ns
    again = track_positions(positions, out, settings=QUIET, resume=True)
    assert [row.status for row in again] == ["kept", "done", "done"]
    assert (out / "pos1_RES" / "mask000.tif").stat().st_mtime_ns == before
    assert pd.read_csv(out / "summary.csv")["tracks"].tolist() == [4, 4, 4]
    other = track_positions(positions[:1], out, settings=QUIET.replace(solver__divisions=False), resume=True)
    assert "other settings" in other[0].error
    replaced = track_positions(positions[:1], out, settings=QUIET, overwrite=True)
    assert replaced[0].status == "done"


def test_a_changed_input_of_a_finished_position_is_noticed(tmp_path):
    (tmp_path / "in").mkdir()
    table = tmp_path / "in" / "a_points.csv"
    table.write_text("t,y,x\n0,5,5\n1,5,6")
    positions, out = find_positions(tmp_path / "in"), tmp_path / "out"
    track_positions(positions, out)
    table.write_text("t,y,x\n0,5,5\n1,5,7")
    (row,) = track_positions(positions, out, resume=True)
    assert row.status == "failed"
    assert "points: the content of a_points.csv has changed; replace it with overwrite" in row.error
    (row,) = track_positions(positions, out, resume=True, overwrite=True)
    assert row.status == "done"
    (row,) = track_positions(positions, out, resume=True, overwrite=True)
    assert row.status == "kept"


def test_of_two_batches_on_one_folder_the_second_is_refused(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    (tmp_path / "a_points.csv").write_text("t,y,x\n0,5,5\n1,5,6")
    with (tmp_path / ".lock-out").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match="another run of gnntrack writes it now"):
            track_positions(find_positions(tmp_path), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    track_positions(find_positions(tmp_path), tmp_path / "out")
    assert not (tmp_path / ".lock-out").exists()


@pytest.mark.parametrize("there", [True, False])
def test_a_batch_on_a_read_only_disk_advises_another_output(tmp_path, monkeypatch, there):
    (tmp_path / "a_points.csv").write_text("t,y,x\n0,5,5\n1,5,6")
    if there:
        (tmp_path / "out").mkdir()

    def refuse(self, *args, **more):
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputError, match=r"Read-only file system.*choose an output where you may write"):
        track_positions(find_positions(tmp_path), tmp_path / "out")


def test_results_in_the_folder_of_the_input_are_no_positions(tmp_path):
    folders(tmp_path)
    track_positions(find_positions(tmp_path)[:1], tmp_path, settings=QUIET)
    assert [position.name for position in find_positions(tmp_path)] == ["pos1", "pos2", "pos10"]


def test_jobs_give_the_same_results(tmp_path):
    folders(tmp_path / "in")
    positions = find_positions(tmp_path / "in")[:2]
    rows = track_positions(positions, tmp_path / "out", settings=QUIET, jobs=2)
    assert [(row.position, row.tracks) for row in rows] == [("pos1", 4), ("pos2", 4)]


def test_relative_paths(tmp_path, monkeypatch):
    folders(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    rows = track_positions(find_positions("in")[:1], "out", settings=QUIET)
    assert rows[0].result == str(Path("out/pos1_RES"))


def test_masks_in_the_folder_of_the_images_are_listed(tmp_path):
    folder = tmp_path / "experiment" / "pos1"
    folder.mkdir(parents=True)
    for frame, (image, mask) in enumerate(zip(IMAGES, MASKS, strict=True)):
        tifffile.imwrite(folder / f"t{frame}.tif", image)
        tifffile.imwrite(folder / f"t{frame}_cp_masks.tif", mask)
    arguments = ["batch", str(tmp_path / "experiment"), "-o", str(tmp_path / "out"), "--no-pictures"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0
    assert f"pos1: images {folder}, masks {folder}" in result.stderr
    assert pd.read_csv(tmp_path / "out" / "summary.csv").masks.tolist() == [str(folder)]


@pytest.mark.parametrize("lost", ["mask000.tif", "mask002.tif"])
def test_resume_tracks_a_position_again_whose_result_is_damaged(tmp_path, lost):
    folders(tmp_path / "in")
    positions = find_positions(tmp_path / "in")[:1]
    track_positions(positions, tmp_path / "out", settings=QUIET)
    file = next((tmp_path / "out").rglob(lost))
    file.unlink()
    again = track_positions(positions, tmp_path / "out", settings=QUIET, resume=True)
    assert [outcome.status for outcome in again] == ["done"]
    assert file.exists()


SERIES = {
    "pos{p}_t{t:03d}.tif": "pos{p}_t{t:03d}_cp_masks.tif",
    "t{t}_s{p}.png": "t{t}_s{p}_masks.png",
    "xy{p:02d}/f{t}.tif": "xy{p:02d}/f{t}_label.tif",
    "well{p}_{t:02d}d00h00m.tif": "well{p}_{t:02d}d00h00m_mask.tif",
    "a_fov{p}_frame{t}.tif": "seg_fov{p}_frame{t}.tif",
}


def write_series(folder, images, masks):
    """Three positions of 6, 4 and 5 frames, a file per frame, in one folder."""
    for position, frames in ((1, 6), (2, 4), (10, 5)):
        for name, movie in ((images, IMAGES), (masks, MASKS)):
            for t in range(frames if name else 0):
                path = folder / name.format(p=position, t=t)
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.asarray(movie[t], np.uint16)
                Image.fromarray(pixels).save(path) if path.suffix == ".png" else tifffile.imwrite(path, pixels)


def check_series(positions, out):
    outcomes = track_positions(positions, out, settings=QUIET)
    assert [outcome.status for outcome in outcomes] == ["done"] * 3, outcomes
    assert [outcome.frames for outcome in outcomes] == [6, 4, 5]
    assert [int(position.name.strip("xy")) for position in positions] == [1, 2, 10]


@pytest.mark.parametrize("images", [name for name in SERIES if "/" not in name])
def test_positions_in_one_folder_are_found(tmp_path, images):
    write_series(tmp_path / "in", images, SERIES[images])
    check_series(find_positions(tmp_path / "in"), tmp_path / "out")


@pytest.mark.parametrize("bracket", ["*", "{t}"])
@pytest.mark.parametrize("images", SERIES)
def test_patterns_of_several_files_are_movies(tmp_path, images, bracket):
    write_series(tmp_path / "in", images, SERIES[images])
    patterns = {
        kind: re.sub(r"\{t.*?\}(d00h00m)?", bracket, re.sub(r"(xy)?\{p.*?\}", "{}", name))
        for kind, name in (("images", images), ("masks", SERIES[images]))
    }
    check_series(find_positions(tmp_path / "in", **patterns), tmp_path / "out")
    if bracket == "*":
        check_series(find_positions(tmp_path / "in", masks=patterns["masks"]), tmp_path / "out_masks")


@pytest.mark.parametrize("names", [["t{}.tif"], ["img_{}_a.tif", "img_{}_b.tif"], ["p1_t{}.tif"]])
def test_one_movie_is_not_taken_for_positions(tmp_path, names):
    for name in names:
        for t, mask in enumerate(MASKS):
            tifffile.imwrite(tmp_path / name.format(t), mask)
    with pytest.raises(InputError, match="one movie and not a folder of positions"):
        find_positions(tmp_path)


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["--images-pattern", "exp_s{p}_t{t}.tif"], "--images 'exp_s{}_t{t}.tif', with {} for each of them"),
        (["--masks-pattern", "s{p}_masks_{t}.tif"], "--masks 's{}_masks_{t}.tif', with {}"),
        (["--position", "1"], "--images '{}/phase' --masks '{}/labels'"),
    ],
)
def test_options_that_choose_one_position_are_refused(tmp_path, words, remedy):
    folders(tmp_path / "in")
    done = CliRunner().invoke(cli, ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *words])
    assert done.exit_code == 2
    assert remedy in " ".join(done.output.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("images", "masks"),
    [("images", "masks"), ("raw", "labels"), ("Images", "Masks"), ("img", "seg"), ("image", "segmentation")],
)
def test_a_folder_that_is_one_position_is_told(tmp_path, images, masks):
    write_folder(tmp_path / images, images_of(dividing_masks()))
    write_folder(tmp_path / masks, dividing_masks())
    told = re.escape(f"gnntrack track {tmp_path / images} {tmp_path / masks} -o OUT")
    with pytest.raises(InputError, match=told):
        find_positions(tmp_path)
    (tmp_path / "pos").mkdir()
    for name in (images, masks):
        (tmp_path / name).rename(tmp_path / "pos" / name)
    assert [each.name for each in find_positions(tmp_path)] == ["pos"]


def test_what_a_killed_batch_left_beside_a_finished_result_is_removed(tmp_path):
    (tmp_path / "a_points.csv").write_text("t,y,x\n0,5,5\n1,5,6")
    track_positions(find_positions(tmp_path), tmp_path / "out")
    (tmp_path / "out" / ".lock-a_RES").touch()
    (tmp_path / "out" / ".partial-0123abcd-a_RES").mkdir()
    assert [row.status for row in track_positions(find_positions(tmp_path), tmp_path / "out", resume=True)] == ["kept"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".gnntrack", "a_RES", "summary.csv"]
