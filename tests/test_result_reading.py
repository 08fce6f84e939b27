"""Results that are read again: nothing that is stored is lost, and no mask is read before it is needed."""

from __future__ import annotations

import json
import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
import tifffile
from click.testing import CliRunner
from support.movies import dividing_masks

import gnntrack
from gnntrack.batch import find_positions, track_positions
from gnntrack.cli import cli
from gnntrack.errors import FormatError
from gnntrack.io.fingerprints import compute_fingerprint
from gnntrack.io.frames import open_frames

PLAIN = {"output__pictures": False}


def make_masks():
    """Return masks with a division, a gap and a fragment."""
    masks = dividing_masks().astype(np.uint8)
    masks = np.concatenate([masks, np.zeros((len(masks), 20, masks.shape[2]), np.uint8)], axis=1)
    masks[:, -12:-4, 5:13] = 90
    masks[2, -12:-4, 5:13] = 0
    return masks


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracked") / "01_RES"
    gnntrack.track(masks=make_masks(), out=folder, **PLAIN)
    return folder


@pytest.fixture
def result(tracked, tmp_path):
    """A copy of the result, which a test may change."""
    return shutil.copytree(tracked, tmp_path / "01_RES")


def run(*words):
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert done.exit_code == 0, done.stderr
    return done


def export_result(result, folder):
    run("export", result, "--to", "csv", "-o", folder / "t")
    return pd.read_csv(folder / "t" / "cells.csv")


def export_geff(result, folder):
    run("export", result / "gnntrack" / "lineage.geff", "--to", "csv", "-o", folder / "t")
    return pd.read_csv(folder / "t" / "cells.csv")


def export_geff_of_geff(result, folder):
    run("export", result, "--to", "geff", "-o", folder / "copy.geff")
    return gnntrack.load(folder / "copy.geff").to_pandas("cells")


def load_table(result, folder):
    return gnntrack.load(result).to_pandas("cells")


def load_from_the_files(result, folder):
    (result / "gnntrack" / "summary.json").unlink()
    return gnntrack.load(result).to_pandas("cells")


@pytest.mark.parametrize(
    "read", [export_result, export_geff, export_geff_of_geff, load_table, load_from_the_files], ids=lambda f: f.__name__
)
def test_the_table_of_cells_is_that_of_track(read, result, tmp_path):
    written = pd.read_csv(result / "gnntrack" / "cells.csv")
    assert {"given", "filled"} <= set(written["mask"])
    table = read(result, tmp_path)
    assert list(table) == list(written)
    pd.testing.assert_frame_equal(table, written, check_dtype=False, rtol=1e-5)


def write_masks(folder, pattern):
    folder.mkdir()
    for t, mask in enumerate(make_masks()):
        tifffile.imwrite(folder / pattern.format(t), mask, photometric="minisblack")
    return folder


@pytest.mark.parametrize(
    "pattern", ["mask{:03d}.tif", "mask{:04d}.tif", "t{:04d}.tif", "t{:02d}.tif", "frame_{:05d}.tif"]
)
def test_export_and_track_name_masks_by_one_rule(pattern, tmp_path):
    masks = write_masks(tmp_path / "masks", pattern)
    lineage = gnntrack.track(masks=masks, out=tmp_path / "01_RES", **PLAIN)
    names = sorted(path.name for path in (tmp_path / "01_RES").glob("*.tif"))
    assert names[0] == ("mask0000.tif" if "04d" in pattern else "mask000.tif")
    run("export", tmp_path / "01_RES", "-o", tmp_path / "a_RES")
    run("build-graph", "--masks", masks, "-o", tmp_path / "g.geff")
    run("solve", tmp_path / "g.geff", "-o", tmp_path / "l.geff")
    run("export", tmp_path / "l.geff", "--masks", masks, "-o", tmp_path / "b_RES")
    lineage.to_ctc(tmp_path / "c_RES")
    gnntrack.load(tmp_path / "01_RES").to_ctc(tmp_path / "d_RES")
    gnntrack.export(gnntrack.load(tmp_path / "a_RES"), tmp_path / "e_RES")
    for name in "abcde":
        assert sorted(path.name for path in (tmp_path / f"{name}_RES").glob("*.tif")) == names, name


def test_no_mask_is_read_before_it_is_needed(result, monkeypatch):
    opened = []
    usual = tifffile.TiffFile.__init__
    monkeypatch.setattr(tifffile.TiffFile, "__init__", lambda *a, **k: (opened.append(a[1]), usual(*a, **k))[1])
    lineage = gnntrack.load(result)
    assert lineage.has_masks
    assert lineage.provenance.method == "hungarian"
    assert not opened
    labels = lineage.labels()
    opened.clear()
    assert set(np.unique(labels[1])) - {0} == set(lineage.cells.label[lineage.cells.frame == 1].tolist())
    assert len(opened) == 1
    np.testing.assert_array_equal(labels, [tifffile.imread(path) for path in sorted(result.glob("*.tif"))])


def test_masks_that_change_after_the_lineage_was_loaded_are_refused(result):
    labels = gnntrack.load(result).labels()
    mask = tifffile.imread(result / "mask001.tif")
    tifffile.imwrite(result / "mask001.tif", np.where(mask == mask.max(), 0, mask).astype(np.uint16))
    assert labels[0].any()
    with pytest.raises(FormatError, match=r"mask001.tif: its labels are not those of the lineage any more"):
        labels[1]


def change_pixels(result):
    mask = tifffile.imread(result / "mask001.tif")
    mask[mask == mask.max()] = 0
    mask[1, 1] = tifffile.imread(result / "mask001.tif").max()
    tifffile.imwrite(result / "mask001.tif", mask)


def store_without_compression(result):
    for path in result.glob("*.tif"):
        tifffile.imwrite(path, tifffile.imread(path))


def change_table(result):
    table = result / "res_track.txt"
    rows = [row.split() for row in table.read_text().splitlines()]
    table.write_text("".join(" ".join([*row[:3], "0"]) + "\n" for row in rows))


def remove_geff(result):
    shutil.rmtree(result / "gnntrack" / "lineage.geff")


@pytest.mark.parametrize("change", [change_pixels, store_without_compression, change_table, remove_geff])
@pytest.mark.filterwarnings("ignore::gnntrack.GnntrackWarning")
def test_files_that_were_changed_prevail(change, result):
    change(result)
    lineage = gnntrack.load(result)
    np.testing.assert_array_equal(lineage.labels(), [tifffile.imread(path) for path in sorted(result.glob("*.tif"))])
    rows = np.loadtxt(result / "res_track.txt", dtype=int, ndmin=2)
    np.testing.assert_array_equal(lineage.tracks.parent, rows[:, 3])


def test_a_copy_of_a_result_has_its_fingerprint(result, tmp_path):
    shutil.copytree(result, tmp_path / "02_RES", copy_function=shutil.copyfile)
    summary = json.loads((result / "gnntrack" / "summary.json").read_text())
    assert summary["fingerprint"] == compute_fingerprint(tmp_path / "02_RES")


@pytest.mark.parametrize("factor", [1, 7])
def test_images_measure_a_result_again(factor, result, tmp_path):
    np.save(tmp_path / "images.npy", factor * make_masks().astype(np.float32))
    run("export", result, "--images", tmp_path / "images.npy", "--to", "csv", "--trust-masks", "-o", tmp_path / "t")
    written, table = (pd.read_csv(path / "cells.csv") for path in (result / "gnntrack", tmp_path / "t"))
    assert set(written) <= set(table)
    given = table[table["mask"] == "given"]
    np.testing.assert_allclose(given.intensity_max_grey, factor * given.input_label)
    pd.testing.assert_frame_equal(table[list(written)], written, rtol=1e-4)


def break_mask(result):
    (result / "mask002.tif").write_bytes(b"II")


def remove_mask(result):
    (result / "mask002.tif").unlink()


def remove_table(result):
    (result / "res_track.txt").unlink()


def empty_table(result):
    (result / "res_track.txt").write_text("")


def remove_last_masks(result):
    for path in sorted(result.glob("*.tif"))[3:]:
        path.unlink()


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """Return the positions of a batch, its settings, and the folder of its results."""
    folder = tmp_path_factory.mktemp("in")
    for name in ("a", "b", "c"):
        np.save(folder / f"{name}_masks.npy", make_masks())
    positions, settings = find_positions(folder), gnntrack.Settings().replace(**PLAIN)
    out = tmp_path_factory.mktemp("batch") / "out"
    track_positions(positions, out, settings=settings)
    return positions, settings, out


@pytest.mark.parametrize("damage", [break_mask, remove_mask, remove_table, empty_table, remove_last_masks])
def test_a_batch_keeps_what_can_be_loaded_and_tracks_again_what_cannot(damage, batch, tmp_path):
    positions, settings, out = batch
    shutil.copytree(out, tmp_path / "out")
    damage(tmp_path / "out" / "b_RES")
    store_without_compression(tmp_path / "out" / "c_RES")
    again = track_positions(positions, tmp_path / "out", settings=settings, resume=True)
    assert [outcome.status for outcome in again] == ["kept", "done", "kept"]
    assert len(list((tmp_path / "out" / "b_RES").glob("*.tif"))) == len(make_masks())


UNITS = {"spacing": (0.5, 0.25), "interval": "5min"}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A result with the size of a pixel and the frame interval."""
    folder = tmp_path_factory.mktemp("measured") / "01_RES"
    gnntrack.track(masks=make_masks(), out=folder, **UNITS, **PLAIN)
    return folder


@pytest.mark.parametrize("name", ["", "mask*.tif", "mask{t}.tif", "mask001.tif"])
def test_units_of_a_result_are_those_of_its_run(name, measured):
    found = json.loads(run("info", measured / name, "--json").stdout)
    assert (found["spacing"], found["unit"], found["interval"]) == ([0.5, 0.25], "um", 300)
    assert "0.5 x 0.25 um (y, x)" in run("info", measured / name).stdout


def test_given_units_prevail_over_those_of_the_run(measured):
    found = json.loads(run("info", measured, "--spacing", "2", "--interval", "1h", "--json").stdout)
    assert (found["spacing"], found["interval"]) == ([2, 2], 3600)


def test_a_result_that_is_tracked_again_keeps_its_units(measured):
    lineage = gnntrack.track(masks=measured)
    assert (lineage.cells.spacing, lineage.provenance.interval) == ((0.5, 0.25), 300)


@pytest.mark.parametrize("edit", ["masks", "lineage.geff", "cells.csv"])
def test_units_of_a_result_that_was_edited(edit, measured, tmp_path):
    result = shutil.copytree(measured, tmp_path / "02_RES")
    if edit == "masks":
        mask = tifffile.imread(result / "mask000.tif")
        mask[:2, :2] = mask.max()
        tifffile.imwrite(result / "mask000.tif", mask, photometric="minisblack")
    elif edit == "lineage.geff":
        shutil.rmtree(result / "gnntrack" / edit)
    else:
        (result / "gnntrack" / edit).unlink()
    with warnings.catch_warnings(action="ignore"):
        lineage = gnntrack.load(result)
    assert (lineage.cells.spacing, lineage.provenance.interval) == ((0.5, 0.25), 300)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"movie": 3}', '{"movie": {"unit": "um", "spacing": "x"}}'])
def test_a_broken_summary_has_no_units(content, measured, tmp_path):
    result = shutil.copytree(measured, tmp_path / "02_RES")
    (result / "gnntrack" / "summary.json").write_text(content)
    assert open_frames(result, role="masks").unit == "pixel"


@pytest.mark.parametrize("command", ["info", "track", "shape", "segment", "validate"])
def test_the_folder_of_tables_and_pictures_is_not_a_movie(command, measured, tmp_path):
    place = measured / "gnntrack"
    shutil.copyfile(measured / "mask000.tif", place / "overlay.png") if not (place / "overlay.png").exists() else None
    words = {
        "info": [place],
        "track": [place, "-o", tmp_path / "o"],
        "shape": [place, "-o", tmp_path / "o"],
        "segment": [place, "-o", tmp_path / "o"],
        "validate": [measured, "--images", place],
    }[command]
    done = CliRunner().invoke(cli, [command, *map(str, words)])
    assert done.exit_code == 2
    assert f"give the folder of the result, {measured}" in done.stderr


@pytest.mark.parametrize("name", ["lineage.geff", "renamed.zarr", "cells"])
def test_a_lineage_in_the_place_of_a_movie_has_its_remedy(name, measured, tmp_path):
    copy = shutil.copytree(measured / "gnntrack" / "lineage.geff", tmp_path / name)
    done = CliRunner().invoke(cli, ["info", str(copy)])
    assert done.exit_code == 0
    assert "gnntrack export" in done.stdout


def test_frames_with_as_many_cells_are_described_by_one_number(tmp_path):
    np.save(tmp_path / "m.npy", dividing_masks()[:1].repeat(3, axis=0))
    (line,) = [
        line for line in run("info", tmp_path / "m.npy", "--masks").stdout.splitlines() if line.startswith("cells")
    ]
    assert line.endswith("a frame")
    assert " to " not in line
