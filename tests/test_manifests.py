"""Descriptions of inputs: what counts as a change, and what is read for it."""

import json
import os
import shutil
import time

import pytest

from gnntrack.io import manifests
from gnntrack.io.manifests import describe_path, describe_run, list_changes, read_manifest, write_manifest


def write_frames(folder, n=3):
    folder.mkdir()
    for k in range(n):
        (folder / f"t{k}.tif").write_bytes(bytes([k]) * 100)
    return folder


def find_changes(before, path, **more):
    return list_changes(before, describe_run("track", {"images": path}, {}, known=before, **more))


def make_old(folder):
    """Set the times of files back, so that they can be believed."""
    past = time.time() - 100
    for path in folder.iterdir():
        os.utime(path, (past, past))


def test_a_changed_a_new_and_a_renamed_file_are_changes_and_a_copy_is_none(tmp_path):
    folder = write_frames(tmp_path / "01")
    before = describe_run("track", {"images": folder}, {})
    assert find_changes(before, folder) == []
    shutil.copytree(folder, tmp_path / "copy" / "01")
    make_old(tmp_path / "copy" / "01")
    assert find_changes(before, tmp_path / "copy" / "01") == []
    (folder / "t1.tif").write_bytes(bytes([9]) * 100)  # the same size
    assert find_changes(before, folder) == ["images: the content of 01 has changed; its newest file is t1.tif"]
    (folder / "t3.tif").write_bytes(b"")
    assert find_changes(before, folder) == ["images: 01 had 3 files, and has now 4"]
    (folder / "t3.tif").unlink()
    (folder / "t1.tif").write_bytes(bytes([1]) * 100)
    assert find_changes(before, folder) == []
    (folder / "t1.tif").rename(folder / "t7.tif")
    assert len(find_changes(before, folder)) == 1


def test_unchanged_files_are_not_read_again_unless_they_are_too_young(tmp_path, monkeypatch):
    folder, read = write_frames(tmp_path / "01"), []
    real = manifests.file_digest
    monkeypatch.setattr(manifests, "file_digest", lambda file, kind: read.append(file.name) or real(file, kind))
    young = describe_run("track", {"images": folder}, {})
    assert find_changes(young, folder) == []
    assert len(read) == 6  # a change within a tick of the clock would not be seen
    make_old(folder)
    old = describe_run("track", {"images": folder}, {})
    del read[:]
    assert find_changes(old, folder) == []
    assert not read


def test_the_times_of_large_inputs_decide(tmp_path, monkeypatch):
    monkeypatch.setattr(manifests, "_HASHED", 100)
    folder = write_frames(tmp_path / "01")
    make_old(folder)
    before = describe_run("track", {"images": folder}, {})
    assert before["inputs"]["images"][0]["content"] is None
    assert find_changes(before, folder) == []
    os.utime(folder / "t2.tif")
    told = "images: names, sizes or times of the files of 01 have changed; its newest file is t2.tif"
    assert find_changes(before, folder) == [told]


def test_outputs_and_hidden_files_in_the_folder_of_an_input_do_not_belong_to_it(tmp_path):
    folder = write_frames(tmp_path / "01")
    result = tmp_path / "01_RES"
    result.mkdir()
    (result / "res_track.txt").write_text("1 0 0 0\n")
    experiment = tmp_path / "experiment"
    experiment.mkdir()
    (experiment / "points.csv").write_text("t,y,x\n")
    before = {path: describe_path(path, without=[experiment / "out"])["looks"] for path in (folder, result, experiment)}
    (folder / "masks").mkdir()
    for path in (folder / "masks" / "mask000.tif", folder / "report.html", folder / ".DS_Store", result / "notes.txt"):
        path.write_text("made later")
    (experiment / "out").mkdir()
    (experiment / "out" / "a.csv").write_text("made later")
    (experiment / ".lock-out").touch()
    for path, looks in before.items():
        assert describe_path(path, without=[experiment / "out"])["looks"] == looks


@pytest.mark.parametrize("pattern", ["01/t*.tif", "01/t{t}.tif", "*/t?.tif"])
def test_the_files_of_a_pattern_count(tmp_path, pattern):
    folder = write_frames(tmp_path / "01")
    before = describe_run("track", {"images": tmp_path / pattern}, {})
    assert before["inputs"]["images"][0]["files"] == 3
    (folder / "other.txt").touch()
    assert find_changes(before, tmp_path / pattern) == []
    (folder / "t2.tif").unlink()
    assert len(find_changes(before, tmp_path / pattern)) == 1


def test_a_damaged_manifest_is_none(tmp_path):
    assert read_manifest(tmp_path / "none.json") is None
    write_manifest(tmp_path / "below" / "a.json", {"version": "1"})
    assert json.loads((tmp_path / "below" / "a.json").read_text()) == read_manifest(tmp_path / "below" / "a.json")
    assert [path.name for path in (tmp_path / "below").iterdir()] == ["a.json"]
    (tmp_path / "below" / "a.json").write_text('{"version": ')
    assert read_manifest(tmp_path / "below" / "a.json") is None
