"""What `gnntrack track` writes beside the masks: the cells of the written masks, in every file."""

from __future__ import annotations

import json
import re
import shutil
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from click.testing import CliRunner
from ctc_metrics.scripts.validate import validate_sequence
from PIL import Image
from support.movies import dividing_masks, images_of, write_truth

import gnntrack
from gnntrack.cli import cli
from gnntrack.errors import OutputError
from gnntrack.io import read_lineage, validate_ctc
from gnntrack.io.result_folders import find_foreign_file
from gnntrack.measure.cells import measure_cells
from gnntrack.results import read_result
from gnntrack.settings import CellSettings
from gnntrack.stage_times import add_stages, record_stages, time_stage


def cell_lost_for_a_frame():
    """One mask is missing in frame 4: it is drawn."""
    masks = dividing_masks()
    masks[4][masks[4] == masks[4].max()] = 0
    return masks


def cell_lost_for_two_frames():
    """Of a movie of one cell, two frames are empty: its track is split, since gaps are one frame."""
    masks = np.zeros((7, 40, 40), np.uint16)
    for t in (0, 1, 4, 5, 6):
        masks[t, 10 : 20 + t, 10:20] = 3
    return masks


def torn_cell():
    """One cell is in two pieces in frame 2, under two labels: they are merged."""
    masks = np.zeros((6, 64, 64), np.uint16)
    masks[:, 10:40, 20:34] = 1
    masks[:, 10:24, 48:60] = 7
    masks[2, 25:40, 20:34] = 4
    return masks


def glued_cells():
    """Two cells have one mask in frame 3."""
    masks = np.zeros((7, 60, 60), np.uint16)
    for t in range(7):
        masks[t, 10:30, 8:28] = 1
        masks[t, 10:30, 28:48] = 2
    masks[3][masks[3] == 2] = 1
    return masks


def large_labels():
    """Labels need 40 bits."""
    masks = dividing_masks().astype(np.int64)
    return np.where(masks > 0, masks + 2**40, 0)


def volume():
    masks = np.repeat(dividing_masks()[:, None], 4, axis=1)
    masks[:, 0] = masks[:, -1] = 0
    masks[3, 1][masks[3, 1] == masks[3].max()] = 0
    return masks


MOVIES = [dividing_masks, cell_lost_for_a_frame, cell_lost_for_two_frames, torn_cell, glued_cells, large_labels, volume]


@pytest.fixture(params=MOVIES, ids=lambda make: make.__name__, scope="module")
def masks(request):
    return request.param()


@pytest.fixture(scope="module")
def out(masks, tmp_path_factory):
    """The result of a movie; tests do not change it."""
    folder = tmp_path_factory.mktemp("movie") / "01_RES"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gnntrack.GnntrackWarning)  # voxels of an unknown size
        gnntrack.track(images=images_of(masks > 0), masks=masks, out=folder)
    return folder


def read_masks(out):
    return np.stack([tifffile.imread(file) for file in sorted(out.glob("mask*.tif"))])


def test_tables_have_a_row_per_cell_of_the_written_masks(out):
    written = read_masks(out)
    table = pd.read_csv(out / "gnntrack" / "cells.csv")
    expected = [(t, label) for t, mask in enumerate(written) for label in np.unique(mask[mask > 0]).tolist()]
    assert list(zip(table["frame"], table["label"], strict=True)) == expected
    assert table["track"].tolist() == table["label"].tolist()
    rows = [tuple(map(int, line.split())) for line in (out / "res_track.txt").read_text().splitlines()]
    tracks = pd.read_csv(out / "gnntrack" / "tracks.csv")
    assert list(tracks[["track", "start", "end", "parent"]].itertuples(index=False, name=None)) == rows
    assert (tracks["frames"] == tracks["cells"]).all()


def test_measurements_are_those_of_the_written_masks(masks, out):
    written = read_masks(out)
    table = pd.read_csv(out / "gnntrack" / "cells.csv")
    again, _, _ = measure_cells(
        gnntrack.io.open_masks(written),
        images=gnntrack.open_frames(images_of(masks > 0)),
        settings=CellSettings(),
    )
    for name, unit in zip(again.feature_names, again.feature_units, strict=True):
        column = f"{name}_{unit.replace('1/', 'per_')}" if unit else name
        np.testing.assert_allclose(table[column], again.feature(name), rtol=2e-6, atol=1e-6, err_msg=name)
    axes = [f"{axis}_pixel" for axis in "zyx"[-again.ndim :]]
    np.testing.assert_allclose(table[axes], again.position, rtol=2e-6)


def test_kinds_of_masks_and_labels_of_the_input(masks, out):
    written = read_masks(out)
    table = pd.read_csv(out / "gnntrack" / "cells.csv")
    for frame, label, given, kind in table[["frame", "label", "input_label", "mask"]].itertuples(index=False):
        pixels = written[frame] == label
        if kind == "filled":
            assert given == 0
        elif kind == "split" and given > masks[frame].max():
            assert masks[frame][pixels].all()  # cut off a mask: a new label
        else:
            assert given in masks[frame][pixels]
        if kind == "given":
            assert np.array_equal(pixels, masks[frame] == given)
    assert table["mask"].isin(["given", "filled", "merged", "split"]).all()


@pytest.mark.parametrize(
    ("make", "kind"),
    [(cell_lost_for_a_frame, "filled"), (torn_cell, "merged"), (glued_cells, "split")],
)
def test_each_kind_of_mask(make, kind, tmp_path):
    gnntrack.track(images=None, masks=make(), out=tmp_path / "out")
    assert kind in pd.read_csv(tmp_path / "out" / "gnntrack" / "cells.csv")["mask"].tolist()


def test_geff_refers_to_the_masks(out):
    import geff

    file = out / "gnntrack" / "lineage.geff"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph, metadata = geff.read(str(file), backend="networkx", structure_validation=True)
    (related,) = metadata.related_objects
    assert (file / related.path).resolve() == out.resolve()
    assert (related.type, related.node_prop) == ("labels", "seg_id")
    written = read_masks(out)
    for _, cell in graph.nodes(data=True):
        place = tuple(round(cell[axis]) for axis in "zyx"[-(written.ndim - 1) :])
        assert (written[cell["t"]] == cell["seg_id"]).any(), place
    lineage = read_lineage(file)
    assert (lineage.cells.frame[lineage.target] - lineage.cells.frame[lineage.source] == 1).all()


def test_the_folder_stays_clean(out, capsys):
    assert sorted(path.name for path in out.iterdir() if not path.name.startswith("mask")) == [
        "gnntrack",
        "res_track.txt",
    ]
    assert find_foreign_file(out) is None
    assert not any(path.name.endswith(".gnntrack.json") for path in out.rglob("*"))
    if all(mask.any() for mask in read_masks(out)):
        assert validate_ctc(out) == []
        assert validate_sequence(str(out), threads=1)["Valid"] == 1
    capsys.readouterr()


def test_summary_counts_the_cells_of_the_result(masks, out):
    summary = json.loads((out / "gnntrack" / "summary.json").read_text())
    counts = summary["counts"]
    assert counts["cells"] == len(pd.read_csv(out / "gnntrack" / "cells.csv"))
    assert counts["tracks"] == len((out / "res_track.txt").read_text().splitlines())
    assert counts["cells_in_input"] == sum(len(np.unique(mask)) - 1 for mask in masks)
    added = counts["masks_filled"] + counts["cells_cut_off"]
    assert counts["cells"] == counts["cells_in_input"] - counts["fragments_merged"] + added
    assert summary["settings"]["graph"]["max_gap"] == 2
    assert summary["seconds"] > 0
    stages = summary["stages"]
    assert list(stages) == ["reading", "graph", "scores", "solving", "repair", "writing"]
    assert sum(stage["seconds"] for stage in stages.values()) <= summary["seconds"]
    assert stages["writing"]["peak_mb"] >= stages["reading"]["peak_mb"] > 0


def test_a_stage_is_timed_without_the_stages_within_it():
    with record_stages() as stages:
        with time_stage("outer"):
            with time_stage("inner"):
                time.sleep(0.05)
            add_stages({"inner": {"seconds": 1.0, "cpu_seconds": 1.0, "peak_mb": None}})  # of another process
        with time_stage("outer"):
            pass
    assert list(stages) == ["outer", "inner"]
    assert 0 <= stages["outer"]["seconds"] < 0.05
    assert stages["inner"]["seconds"] >= 1.05
    assert stages["inner"]["peak_mb"] > 0


def test_the_segmenter_of_images_without_masks_is_reported(tmp_path):
    masks = dividing_masks()
    np.save(tmp_path / "images.npy", images_of(masks))
    np.save(tmp_path / "masks.npy", masks)
    for number, (source, name) in enumerate({(): "threshold", (str(tmp_path / "masks.npy"),): None}.items()):
        out = tmp_path / f"{number}_RES"
        run = CliRunner().invoke(cli, ["track", str(tmp_path / "images.npy"), *source, "-o", str(out)])
        assert run.exit_code == 0, run.output
        assert json.loads((out / "gnntrack" / "summary.json").read_text())["segmenter"] == name
        assert ("the segmenter threshold made them" in run.output) is (name is not None)


def test_masks_beside_chosen_images_are_not_ignored_silently(tmp_path):
    for frame, (mask, image) in enumerate(zip(dividing_masks(), images_of(dividing_masks()), strict=True)):
        tifffile.imwrite(tmp_path / f"s1_t{frame}.tif", image)
        tifffile.imwrite(tmp_path / f"s1_t{frame}_cp_masks.tif", mask)
    with pytest.warns(gnntrack.GnntrackWarning, match="6 files s#_t#_cp_masks.tif, which are not read"):
        gnntrack.track(tmp_path, images_pattern="s1_t{t}.tif")


def test_a_result_is_replaced_but_not_with_a_stranger_in_it(tmp_path):
    out = tmp_path / "out"
    gnntrack.track(images=None, masks=dividing_masks(), out=out)
    gnntrack.track(images=None, masks=dividing_masks(), out=out, overwrite=True)
    for place in ("notes.txt", "gnntrack/notes.txt", "gnntrack/lineage.geff/notes.txt", "mine/notes.txt"):
        file = out / place
        file.parent.mkdir(exist_ok=True)
        file.write_text("two years")
        with pytest.raises(OutputError, match=r"notes\.txt"):
            gnntrack.track(images=None, masks=dividing_masks(), out=out, overwrite=True)
        file.unlink()
    with pytest.raises(OutputError, match="mine"):
        gnntrack.track(images=None, masks=dividing_masks(), out=out, overwrite=True)


def test_nothing_is_written_if_the_last_file_fails(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("gnntrack.result_files.summarise_result", fail)
    with pytest.raises(KeyboardInterrupt):
        gnntrack.track(images=None, masks=dividing_masks(), out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- results as input


@pytest.mark.parametrize("name", ["", "gnntrack/lineage.geff"])
def test_a_result_is_exported(out, tmp_path, name):
    assert_exported(out, name, tmp_path)


def test_a_result_is_exported_from_the_folder_of_tables(tmp_path):
    gnntrack.track(masks=dividing_masks(), out=tmp_path / "01_RES")
    assert_exported(tmp_path / "01_RES", "gnntrack", tmp_path)


def assert_exported(out, name, folder):
    run = CliRunner().invoke(cli, ["export", str(out / name), "--to", "csv", "-o", str(folder / "tables")])
    assert run.exit_code == 0, run.output
    given = pd.read_csv(out / "gnntrack" / "cells.csv")
    pd.testing.assert_frame_equal(pd.read_csv(folder / "tables" / "cells.csv"), given)


@pytest.mark.parametrize("to", ["ctc", "geff", "edges", "csv"])
def test_every_format_from_every_kind_of_folder(tmp_path, to):
    gnntrack.track(masks=torn_cell(), out=tmp_path / "01_RES")
    write_truth(tmp_path / "01_GT")
    foreign = tmp_path / "02_RES"
    gnntrack.track(masks=dividing_masks(), out=foreign)
    shutil.rmtree(foreign / "gnntrack")
    for k, source in enumerate([tmp_path / "01_RES", tmp_path / "01_GT", tmp_path / "01_GT" / "TRA", foreign]):
        run = CliRunner().invoke(cli, ["export", str(source), "--to", to, "-o", str(tmp_path / f"out{k}.x")])
        assert run.exit_code == 0, run.output
        if to == "ctc" and source.name.endswith("RES"):
            np.testing.assert_array_equal(read_masks(tmp_path / f"out{k}.x"), read_masks(source))


def test_a_result_that_was_edited_is_read_from_its_masks(tmp_path):
    out = tmp_path / "01_RES"
    gnntrack.track(masks=dividing_masks(), out=out)
    table = (out / "res_track.txt").read_text().splitlines()
    (out / "res_track.txt").write_text("\n".join([*table[:-1], table[-1][:-1] + "0", ""]))
    with pytest.warns(gnntrack.GnntrackWarning, match="have been changed"):
        lineage, _ = read_result(out)
    assert (lineage.confidence == 1).all()
    assert (lineage.tracks.parent > 0).sum() == 1


def test_masks_that_do_not_exist_or_do_not_fit_are_refused_in_every_format(tmp_path):
    run = partial(CliRunner().invoke, cli)
    np.save(tmp_path / "m.npy", dividing_masks())
    np.save(tmp_path / "other.npy", torn_cell())
    for command in (["build-graph", "--masks", "m.npy", "-o", "g.geff"], ["solve", "g.geff", "-o", "l.geff"]):
        assert run([str(tmp_path / a) if "." in a else a for a in command]).exit_code == 0
    for to in ("csv", "geff", "edges", "ctc"):
        for masks, reason in (
            ("nowhere.npy", "no such file"),
            ("other.npy", "not those that the lineage was made from"),
        ):
            result = run(
                [
                    "export",
                    str(tmp_path / "l.geff"),
                    "--to",
                    to,
                    "--masks",
                    str(tmp_path / masks),
                    "-o",
                    str(tmp_path / "x"),
                ]
            )
            assert result.exit_code == 2
            assert reason in result.output
            assert not (tmp_path / "x").exists()


def test_the_summary_of_the_command_says_why_numbers_differ(tmp_path):
    np.save(tmp_path / "m.npy", torn_cell())
    out = tmp_path / "01_RES"
    result = CliRunner().invoke(cli, ["track", "--masks", str(tmp_path / "m.npy"), "-o", str(out)])
    cells = sum(len(np.unique(mask)) - 1 for mask in torn_cell())
    assert f"{cells - 1} = {cells} in the masks - 1 fragment merged with its cell" in result.output
    assert f"view       gnntrack report {out} -o report.html" in result.output
    assert f"or drop {out} on napari (plugin gnntrack;" in result.output
    assert f"{out / 'gnntrack'}" in result.output


# ---------------------------------------------------------------- pictures


def test_pictures_of_every_movie(out, masks):
    with Image.open(out / "gnntrack" / "overlay.png") as file:
        overlay = file.convert("RGB")
    with Image.open(out / "gnntrack" / "lineage.png") as file:
        tree = file.convert("RGB")
    height, width = masks.shape[-2:]
    assert overlay.height * width == overlay.width * height
    assert min(len(picture.getcolors(maxcolors=2**24)) for picture in (overlay, tree)) > 3


@pytest.mark.parametrize("n_frames", [1, 3])
def test_pictures_of_empty_masks(tmp_path, n_frames):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gnntrack.GnntrackWarning)
        gnntrack.track(masks=np.zeros((n_frames, 20, 30), np.uint8), out=tmp_path / "out")
    assert (tmp_path / "out" / "gnntrack" / "overlay.png").exists()
    assert len((tmp_path / "out" / "gnntrack" / "cells.csv").read_text().splitlines()) == 1


def test_no_pictures(tmp_path):
    gnntrack.track(masks=dividing_masks(), out=tmp_path / "out", pictures=False)
    assert not list((tmp_path / "out").rglob("*.png"))


# ---------------------------------------------------------------- the page of the columns


def test_every_column_is_described(tmp_path):
    masks = volume()
    images = images_of(masks > 0)
    gnntrack.track(images, masks, out=tmp_path / "a", interval=300, spacing=(2, 0.5, 0.5), pictures=False)
    gnntrack.track(images[:, 1], masks[:, 1], out=tmp_path / "b", pictures=False)
    page = (Path(__file__).parents[1] / "docs" / "columns.md").read_text(encoding="utf-8")
    described = set(re.findall(r"`([a-z_A-Z0-9]+)`", page))
    for name in ("cells", "tracks", "review"):
        for folder in ("a", "b"):
            columns = pd.read_csv(tmp_path / folder / "gnntrack" / f"{name}.csv", nrows=0).columns
            bare = {re.sub(r"_(um|pixel)(?=\d?(_|$))", "_UNIT", column) for column in columns}
            assert bare <= described, bare - described
