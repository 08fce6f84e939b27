"""A folder with everything that the examples of the pages name: IMAGES, MASKS, 01_RES, EXPERIMENT, and so on."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
from click.testing import CliRunner, Result
from PIL import Image

import gnntrack
from gnntrack.cli import cli
from gnntrack.io.point_graph import read_point_graph, write_point_graph
from gnntrack.types import PointGraph

OUTPUTS = {"-o", "--out", "--output-ctc", "--video", "--tree", "--kymograph", "--montage"}


def run_line(line: str) -> Result:
    """Run a line of a shell that starts with gnntrack, in this process and in the present folder."""
    program, *words = shlex.split(line, comments=True)
    assert program == "gnntrack", line
    return CliRunner().invoke(cli, words, prog_name="gnntrack")


def expect_success(line: str) -> Result:
    """Run a line that must work."""
    done = run_line(line)
    if done.exit_code and done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, f"{line}\n{done.output}"
    return done


def build_movie(folder: Path, *, shape: str = "128,128", frames: int = 5) -> Path:
    """Make a simulated movie, its result, and links to both named as in the pages."""
    movie, result = folder / "MOVIE", folder / "01_RES"
    expect_success(f"gnntrack simulate -o {movie} --frames {frames} --cells 5 --shape {shape} --seed 2")
    for name, target in {"IMAGES": "01", "MASKS": "01_GT/TRA", "01_GT": "01_GT", "TRUTH": "01_GT/SEG"}.items():
        (folder / name).symlink_to(movie / target)
    expect_success(f"gnntrack track {movie / '01'} {movie / '01_GT' / 'TRA'} -o {result}")
    return folder


def build_world(folder: Path) -> Path:
    """Make a movie in 2D and the other inputs of the pages."""
    build_movie(folder)
    movie, result = folder / "MOVIE", folder / "01_RES"
    shutil.copytree(result / "gnntrack" / "lineage.geff", folder / "lineage.geff")
    write_edits(folder, result)
    write_points(folder)
    write_point_table(folder, result)
    small = "--movies 2 --frames 3 --cells 60 --shape 12,48,48 --sparse 0.4"
    expect_success(f"gnntrack simulate --kind embryo -o {folder / 'EMBRYOS'} {small}")
    mask = tifffile.imread(result / "mask000.tif")
    Image.fromarray(mask.astype(np.uint8)).save(folder / "mask.png")
    tifffile.imwrite(folder / "truth.tif", mask)
    for name in ("BINARY", "STACKS"):
        (folder / name).mkdir()
    for file in sorted((movie / "01_GT" / "SEG").glob("*.tif")):
        tifffile.imwrite(folder / "BINARY" / file.name, (tifffile.imread(file) > 0).astype(np.uint8))
    image = tifffile.imread(movie / "01" / "t000.tif")
    for frame in range(2):
        tifffile.imwrite(folder / "STACKS" / f"t{frame}.tif", np.stack([image, image]), photometric="minisblack")
    return folder


def write_points(folder: Path) -> None:
    """Write truth.geff, and folders TRACKED and TRUTHS with the points of two movies, also as a submission."""
    points = replace(read_point_graph(folder / "lineage.geff"), total=50.0)
    write_point_graph(points, folder / "truth.geff", whole_voxels=False)
    rows = [f"{name},node,{node},{t},0,{y},{x},-1,-1" for name in "ab" for node, t, (y, x) in _list_points(points)]
    links = np.column_stack([points.source, points.target]).tolist()
    rows += [f"{name},edge,-1,-1,-1,-1,-1,{one},{other}" for name in "ab" for one, other in links]
    header = "dataset,row_type,node_id,t,z,y,x,source_id,target_id"
    (folder / "submission.csv").write_text("\n".join([header, *rows]))
    flat = replace(points, position=np.insert(points.position, 0, 0, axis=1), spacing=(1.0, *points.spacing))
    for name in ("TRACKED", "TRUTHS"):
        (folder / name).mkdir()
        for movie in "ab":
            write_point_graph(flat, folder / name / f"{movie}.geff")


def _list_points(points: PointGraph) -> list[tuple[int, int, list[float]]]:
    return list(zip(points.id.tolist(), points.frame.tolist(), points.voxels.tolist(), strict=True))


def write_point_table(folder: Path, result: Path) -> None:
    """Write points.csv: the centroids of the cells of a result in pixels."""
    cells = gnntrack.load(result).cells
    rows = np.column_stack([cells.frame, cells.position / np.array(cells.spacing)])
    np.savetxt(folder / "points.csv", rows, fmt=["%d", "%.3f", "%.3f"], delimiter=",", header="t,y,x", comments="")


def write_edits(folder: Path, result: Path) -> None:
    """Write edits.json: the first link of the first track is confirmed."""
    label, start, *_ = (int(word) for word in (result / "res_track.txt").read_text().split()[:4])
    edits = [{"kind": "confirm", "cells": [[start, label], [start + 1, label]]}]
    (folder / "edits.json").write_text(json.dumps({"version": 1, "edits": edits}))


def visit_world(world: Path, folder: Path) -> None:
    """Link everything of the world into a folder, in place of what an earlier line has written there."""
    for entry in world.iterdir():
        place = folder / entry.name
        if not place.is_symlink():
            _remove(place)
            place.symlink_to(entry)


def clear_output(words: list[str]) -> None:
    """Remove what a line will write, if an earlier line, or the world, has put it there."""
    outputs = [words[at + 1] for at, word in enumerate(words) if word in OUTPUTS]
    if words[1:2] == ["convert"]:
        outputs.append(words[3])
    for path in map(Path, outputs):
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)


def write_experiment(images: str | None, masks: str | None, world: Path) -> None:
    """Write EXPERIMENT with two positions whose files have these names; without names, folders images and masks."""
    experiment = Path("EXPERIMENT")
    _remove(experiment)
    if images is None and masks is None:
        images, masks = "{}/images", "{}/masks"
    for pattern, source in ((images, world / "IMAGES"), (masks, world / "MASKS")):
        for position in "ab" if pattern else ():
            _write_position(experiment / pattern.replace("{}", position), sorted(source.glob("*.tif")))


def _write_position(path: Path, files: list[Path]) -> None:
    """Write a movie as a file per frame if the name has {t}, as one file, or as a folder."""
    frames = [tifffile.imread(file) for file in files]
    path.parent.mkdir(parents=True, exist_ok=True)
    if "{t}" in path.name:
        for frame, pixels in enumerate(frames):
            file = path.with_name(path.name.replace("{t}", f"{frame:03d}"))
            if file.suffix == ".png":
                Image.fromarray(pixels).save(file)
            else:
                tifffile.imwrite(file, pixels)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, np.stack(frames), photometric="minisblack", metadata={"axes": "TYX"}, imagej=True)
    else:
        path.mkdir()
        for frame, pixels in enumerate(frames):
            tifffile.imwrite(path / f"t{frame:03d}.tif", pixels)
