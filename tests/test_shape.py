"""Shapes: bodies whose surface, form and branches are known, their meshes, and the command."""

from __future__ import annotations

import math
import sys

import numpy as np
import pandas as pd
import pytest
import tifffile
from click.testing import CliRunner
from scipy import ndimage
from scipy.sparse import csgraph
from support.movies import N_CELLS, dividing_masks, write_folder

import gnntrack
from gnntrack.cli import cli
from gnntrack.errors import FormatError, FrameError, InputError, MissingDependencyError, OutputError
from gnntrack.measure.skeletons import merge_junctions, prune_skeleton, thin_mask
from gnntrack.morphometry import tabulate_shapes, write_shapes
from gnntrack.settings import Settings

trimesh = pytest.importorskip("trimesh")
pytest.importorskip("skan")


def make_grid(shape, spacing):
    """Coordinates of the voxels from the middle of a frame, in um."""
    sides = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)]
    return np.meshgrid(*sides, indexing="ij")


def make_ball(radius, spacing):
    """A ball (disc) in a frame around it; off the centre of a voxel, so that its voxels have the volume of the ball."""
    shape = [2 * math.ceil(radius / side) + 5 for side in spacing]
    off = [x - 0.2 * side for x, side in zip(make_grid(shape, spacing), spacing, strict=True)]
    return (sum(x**2 for x in off) <= radius**2).astype(np.uint8)


def make_star(arms, *, length=40, width=1.5, body=7, spacing=(1.0, 1.0)):
    """A round body with so many straight arms; 3D if the spacing has three numbers, with arms along the axes."""
    shape = [2 * math.ceil((length + 3) / side) + 1 for side in spacing]
    grid = np.stack(make_grid(shape, spacing))
    mask = (grid**2).sum(0) <= body**2
    for k in range(arms):
        if len(spacing) == 3:
            course = np.zeros(3)
            course[2 - k // 2] = 1 - 2 * (k % 2)
        else:
            angle = 0.3 + 2 * math.pi * k / arms
            course = np.array([math.cos(angle), math.sin(angle)])
        along = np.tensordot(course, grid, 1)
        mask |= (along > 0) & (along <= length) & ((grid**2).sum(0) - along**2 <= width**2)
    return mask.astype(np.uint8)


def measure(*masks, spacing=None):
    """The row of the only cell, by plain names; or the table of several frames."""
    spacing = spacing or (1.0,) * masks[0].ndim
    table = tabulate_shapes(list(masks), settings=Settings().replace(frames__spacing=spacing))
    return table.iloc[0] if len(table) == 1 else table


# ------------------------------------------------------------------ known bodies


@pytest.mark.parametrize(
    ("spacing", "tolerance"), [((1.0, 1.0, 1.0), 0.02), ((2.0, 0.5, 0.5), 0.05), ((0.5, 0.7, 1.0), 0.02)]
)
def test_a_ball_has_the_surface_and_the_volume_of_a_ball(spacing, tolerance):
    cell = measure(make_ball(10, spacing), spacing=spacing)
    assert cell["volume_um3"] == pytest.approx(4 / 3 * math.pi * 1000, rel=0.01)
    assert cell["surface_um2"] == pytest.approx(4 * math.pi * 100, rel=tolerance)
    assert 1 - tolerance < cell["sphericity"] <= 1
    assert cell["ramification"] == pytest.approx(1 / cell["sphericity"])
    assert 1 - tolerance < cell["solidity"] <= 1
    axes = cell[["longest_axis_um", "middle_axis_um", "shortest_axis_um"]].to_numpy(float)
    np.testing.assert_allclose(axes, 20, rtol=0.02)
    assert cell[["skeleton_length_um", "branches", "endpoints", "junctions", "longest_branch_um"]].eq(0).all()
    assert cell["at_border"] == 0


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 0.5)])
def test_a_disc_has_the_outline_and_the_area_of_a_disc(spacing):
    cell = measure(make_ball(10, spacing), spacing=spacing)
    assert cell["area_um2"] == pytest.approx(math.pi * 100, rel=0.01)
    assert cell["perimeter_um"] == pytest.approx(20 * math.pi, rel=0.02)
    assert 0.96 < cell["circularity"] <= 1
    assert cell["ramification"] == pytest.approx(cell["circularity"] ** -0.5)
    np.testing.assert_allclose(cell[["longest_axis_um", "shortest_axis_um"]].to_numpy(float), 20, rtol=0.02)
    assert cell["branches"] == 0


def test_a_small_ball_is_a_ball_too():
    cell = measure(make_ball(3, (1.0, 1.0, 1.0)))
    assert cell["surface_um2"] == pytest.approx(4 * math.pi * 9, rel=0.06)
    assert cell["sphericity"] > 0.94


def test_a_cube_has_six_faces():
    cell = measure(np.pad(np.ones((30, 30, 30), np.uint8), 2))
    assert cell["volume_um3"] == 27000
    assert cell["surface_um2"] == pytest.approx(6 * 900, rel=0.05)  # its edges are rounded
    assert cell["sphericity"] == pytest.approx((math.pi / 6) ** (1 / 3), rel=0.06)
    assert cell["hull_volume_um3"] == pytest.approx(27000, rel=0.01)
    np.testing.assert_allclose(cell["longest_axis_um"], 30 * math.sqrt(20 / 12))  # a cube's variance is side^2 / 12


def test_lengths_grow_with_the_spacing_and_pure_numbers_do_not():
    mask = make_star(4, width=2)
    one, three = measure(mask), measure(mask, spacing=(3.0, 3.0))
    for name in one.index:
        factor = 9 if name.endswith("um2") else 3 if name.endswith("_um") else 1
        if name not in {"y_um", "x_um"}:
            assert three[name] == pytest.approx(factor * one[name], rel=1e-5), name


def test_a_hole_adds_to_the_outline_and_leaves_the_area():
    disc = make_ball(20, (1.0, 1.0))
    ring = disc.copy()
    ring[np.hypot(*make_grid(disc.shape, (1, 1))) <= 10] = 0
    cell = measure(ring)
    assert cell["area_um2"] == pytest.approx(math.pi * 300, rel=0.01)
    assert cell["perimeter_um"] == pytest.approx(60 * math.pi, rel=0.02)
    assert cell["solidity"] == pytest.approx(0.75, rel=0.02)
    assert cell["skeleton_length_um"] == pytest.approx(30 * math.pi, rel=0.12)
    assert (cell["branches"], cell["endpoints"], cell["junctions"]) == (1, 0, 0)


# ------------------------------------------------------------------ branches


@pytest.mark.parametrize("width", [0.71, 2, 4])
@pytest.mark.parametrize("arms", [3, 4, 5, 6])
def test_a_star_has_as_many_ends_as_arms(arms, width):
    cell = measure(make_star(arms, width=width))
    assert (cell["branches"], cell["endpoints"], cell["junctions"]) == (arms, arms, 1)
    assert cell["longest_branch_um"] == pytest.approx(40, rel=0.12)
    assert cell["skeleton_length_um"] == pytest.approx(40 * arms, rel=0.1)
    assert cell["ramification"] > 1.5
    assert cell["solidity"] < 0.7


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 0.8, 0.8)])
def test_a_star_in_space_has_as_many_ends_as_arms(spacing):
    cell = measure(make_star(6, length=20, body=5, spacing=spacing), spacing=spacing)
    assert (cell["branches"], cell["endpoints"], cell["junctions"]) == (6, 6, 1)
    assert cell["longest_branch_um"] == pytest.approx(20, rel=0.1)


@pytest.mark.parametrize("shape", [(3, 41), (41, 3), (5, 41), (3, 3, 41), (41, 5, 5)])
def test_a_rod_has_two_ends(shape):
    cell = measure(np.pad(np.ones(shape, np.uint8), 2))
    assert (cell["branches"], cell["endpoints"], cell["junctions"]) == (1, 2, 0)
    assert cell["skeleton_length_um"] == pytest.approx(41 - min(shape), abs=2.5)


def test_a_rough_outline_grows_no_branches():
    smooth = make_ball(15, (1.0, 1.0))
    edge = ndimage.binary_dilation(smooth) & ~smooth.astype(bool)
    rough = smooth | (edge & (np.random.default_rng(0).random(smooth.shape) < 0.4))
    assert measure(rough)["branches"] == 0


def test_the_skeleton_has_a_loop_for_every_hole():
    """Steps of a skeleton that count as little loops would make branches of nothing."""
    random = np.random.default_rng(2)
    total = 0
    for _ in range(25):
        grey = ndimage.gaussian_filter(random.normal(size=(80, 80)), random.uniform(1.5, 4))
        mask = np.pad(grey > np.quantile(grey, random.uniform(0.4, 0.8)), 1)
        depth = ndimage.distance_transform_edt(mask)
        graph = prune_skeleton(thin_mask(mask, depth, (1.0, 1.0)), depth, (1.0, 1.0))
        loops = graph.graph.nnz // 2 - len(graph.degrees) + csgraph.connected_components(graph.graph)[0]
        holes = ndimage.label(~mask)[1] - 1
        assert loops == holes
        total += holes
    assert total > 20


def test_junctions_in_one_body_are_one():
    mask = np.pad(make_star(6, width=2), 1).astype(bool)
    depth = ndimage.distance_transform_edt(mask)
    graph = prune_skeleton(thin_mask(mask, depth, (1.0, 1.0)), depth, (1.0, 1.0))
    assert (graph.degrees > 2).sum() > 1
    within, junctions = merge_junctions(graph, depth)
    assert len(junctions) == 1
    assert graph.n_paths - within.sum() == 6


# ------------------------------------------------------------------ cells of any kind


TINY = {
    "a voxel": np.ones((1, 1, 1), bool),
    "two voxels": np.ones((1, 1, 2), bool),
    "three in a corner": np.array([[[1, 1], [1, 0]]], bool),
    "corner to corner": np.array([[[1, 0], [0, 0]], [[0, 0], [0, 1]]], bool),
    "a plane": np.ones((1, 6, 7), bool),
    "a pixel": np.ones((1, 1), bool),
    "two pixels": np.ones((2, 1), bool),
    "corner to corner in 2D": np.eye(2, dtype=bool),
    "a row": np.ones((1, 9), bool),
}


@pytest.mark.parametrize("margin", [0, 2])
@pytest.mark.parametrize("name", TINY)
def test_a_tiny_cell_has_every_value(name, margin):
    mask = np.pad(TINY[name], margin).astype(np.uint8)
    if mask.shape[0] == 1 and mask.ndim == 3:  # a movie of one plane is a 2D movie
        mask = np.concatenate([mask, np.zeros_like(mask)])
    cell = measure(mask, spacing=(3.0, 1.0, 0.5)[-mask.ndim :])
    assert np.isfinite(cell.to_numpy(float)).all()
    size = cell["area_um2" if mask.ndim == 2 else "volume_um3"]
    assert size == pytest.approx(TINY[name].sum() * math.prod((3.0, 1.0, 0.5)[-mask.ndim :]))
    roundness = cell["circularity" if mask.ndim == 2 else "sphericity"]
    assert 0 < roundness <= 1
    assert 0 < cell["solidity"] <= 1 + 1e-9
    assert cell["at_border"] == (margin == 0)
    assert cell["skeleton_length_um"] <= 9


def test_neighbours_and_their_order_change_nothing():
    mask = np.zeros((60, 200), np.uint16)
    alone = []
    shapes = [make_star(3, length=18, body=5), make_ball(8, (1.0, 1.0)), make_star(5, length=18, body=5)]
    for k, body in enumerate(shapes):
        place = (slice(0, body.shape[0]), slice(48 * k, 48 * k + body.shape[1]))
        mask[place][body > 0] = [9, 2, 40][k]
        alone.append(measure(body))
    table = measure(mask).set_index("label")
    for label, single in zip([9, 2, 40], alone, strict=True):
        for name in ("area_um2", "perimeter_um", "skeleton_length_um", "branches", "solidity"):
            assert table.loc[label, name] == pytest.approx(single[name]), name


def test_frames_without_cells_are_gone_over():
    empty = np.zeros((20, 20), np.uint8)
    mask = empty.copy()
    mask[5:9, 5:9] = 3
    table = measure(empty, mask, empty, mask)
    assert table["frame"].tolist() == [1, 3]


def test_a_movie_without_cells_is_refused():
    with pytest.raises(FrameError, match=r"the masks of 2 frames contain no cells; expected labels > 0"):
        tabulate_shapes(np.zeros((2, 9, 9), np.uint8))


def test_a_spacing_of_the_wrong_length_is_refused():
    with pytest.raises(InputError, match="expected 2 positive sizes"):
        measure(make_ball(5, (1.0, 1.0)), spacing=(1.0, 1.0, 1.0))


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skan", None)
    with pytest.raises(MissingDependencyError, match=r"'skan'.*pip install 'gnntrack\[shape\]'"):
        measure(make_ball(5, (1.0, 1.0)))


def test_a_movie_of_ten_thousand_cells_takes_seconds():
    """Per cell, so that the test itself is quick: 100 cells in 2 frames."""
    import time

    mask = np.kron(np.arange(1, 101, dtype=np.uint16).reshape(10, 10), make_ball(9, (1.0, 1.0)).astype(np.uint16))
    measure(mask)  # compiles
    start = time.process_time()
    assert len(measure(mask, mask)) == 200
    assert time.process_time() - start < 200 * 0.006


# ------------------------------------------------------------------ meshes and tables


def make_two_cells():
    """A movie of two frames: a ball that the frame cuts, and another beside it."""
    grid = np.stack(make_grid((12, 40, 60), (2.0, 1.0, 1.0)))
    frame = np.zeros((12, 40, 60), np.uint16)
    frame[((grid - np.array([0, 0, -30]).reshape(3, 1, 1, 1)) ** 2).sum(0) <= 100] = 7
    frame[((grid - np.array([0, 3, 12]).reshape(3, 1, 1, 1)) ** 2).sum(0) <= 81] = 12345
    return np.stack([frame, np.roll(frame, 1, axis=1)])


SPACED = Settings().replace(frames__spacing=(2.0, 1.0, 1.0))


@pytest.mark.parametrize("kind", ["ply", "obj"])
def test_meshes_are_closed_and_hold_the_cells(tmp_path, kind):
    table = write_shapes(make_two_cells(), tmp_path / "out", meshes=kind, settings=SPACED)
    names = sorted(file.name for file in (tmp_path / "out" / "meshes").iterdir())
    assert names == [f"{frame:03}_{label}.{kind}" for frame in (0, 1) for label in ("0007", "12345")]
    for row in table.itertuples():
        mesh = trimesh.load_mesh(tmp_path / "out" / "meshes" / f"{row.frame:03}_{row.label:04}.{kind}")
        assert mesh.is_watertight
        assert mesh.is_winding_consistent
        assert mesh.volume == pytest.approx(row.volume_um3, rel=0.005)  # positive: its faces look outwards
        assert mesh.area == pytest.approx(row.surface_um2, rel=1e-4)
        assert mesh.euler_number == 2
        np.testing.assert_allclose(mesh.center_mass, [row.x_um, row.y_um, row.z_um], atol=0.15)
    assert table["at_border"].tolist() == [1, 0, 1, 0]


def test_thin_and_split_cells_have_closed_meshes():
    random = np.random.default_rng(3)
    found = []
    masks = [np.pad(random.random((5, 6, 7)) < share, 1).astype(np.uint8) for share in (0.05, 0.2, 0.5, 0.8, 0.95)]
    trusted = Settings().replace(frames__trust_masks=True)  # a cell in many pieces
    tabulate_shapes(masks, settings=trusted, each_mesh=lambda *mesh: found.append(mesh))
    assert len(found) == 5
    for (_, _, vertices, faces), mask in zip(found, masks, strict=True):
        mesh = trimesh.Trimesh(vertices, faces, process=False)
        assert mesh.is_watertight
        assert mesh.volume == pytest.approx(mask.sum(), rel=0.1)


def test_meshes_are_written_in_3d_and_not_in_2d_where_nothing_is_said(tmp_path):
    write_shapes(make_two_cells()[:1], tmp_path / "solid", settings=SPACED)
    write_shapes(dividing_masks(), tmp_path / "flat")
    write_shapes(make_two_cells()[:1], tmp_path / "none", meshes="none")
    assert sorted(f.name for f in (tmp_path / "solid" / "meshes").iterdir()) == ["000_0007.ply", "000_12345.ply"]
    assert not (tmp_path / "flat" / "meshes").exists()
    assert not (tmp_path / "none" / "meshes").exists()


def test_meshes_of_a_flat_movie_are_refused(tmp_path):
    with pytest.raises(InputError, match="cells in 2D have no surface"):
        write_shapes(dividing_masks(), tmp_path / "out", meshes="obj")
    with pytest.raises(InputError, match="expected none, ply or obj"):
        write_shapes(make_two_cells(), tmp_path / "out", meshes="stl")
    assert not (tmp_path / "out").exists()


def test_meshes_without_trimesh_name_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(MissingDependencyError, match=r"'trimesh'.*pip install 'gnntrack\[shape\]'"):
        write_shapes(make_two_cells(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ------------------------------------------------------------------ the command


def run(*arguments, code=0):
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return result.output


@pytest.fixture
def movie(tmp_path):
    write_folder(tmp_path / "masks", dividing_masks(), prefix="mask")
    return tmp_path


def test_a_result_has_its_tracks_in_the_table(movie):
    run("track", "--masks", movie / "masks", "-o", movie / "01_RES")
    shown = run("shape", movie / "01_RES", "-o", movie / "out", "--spacing", "0.5,0.5")
    table = pd.read_csv(movie / "out" / "cells.csv")
    assert len(table) == N_CELLS
    assert (table["track"] == table["label"]).all()
    assert f"cells         {N_CELLS}" in shown
    first = table.iloc[0]
    pixels = (tifffile.imread(sorted((movie / "01_RES").glob("mask*.tif"))[0]) == first["label"]).sum()
    assert first["area_um2"] == pytest.approx(pixels * 0.25)
    assert run("shape", movie / "masks", "-o", movie / "other")
    assert "track" not in pd.read_csv(movie / "other" / "cells.csv")


def test_a_result_has_its_voxel_size_in_the_table(tmp_path):
    masks = np.zeros((2, 4, 12, 12), np.uint8)
    masks[:, 1:3, 3:9, 3:9] = 1
    gnntrack.track(masks=masks, spacing=(1, 0.5, 0.5), out=tmp_path / "01_RES")
    table = tabulate_shapes(tmp_path / "01_RES")
    assert table["volume_um3"].tolist() == [18, 18]
    lineage = gnntrack.load(tmp_path / "01_RES")
    (tmp_path / "01_RES" / "mask001.tif").unlink()
    masks[1, 1, 3, 3] = 0
    tifffile.imwrite(tmp_path / "01_RES" / "mask001.tif", masks[1], photometric="minisblack")
    with pytest.warns(gnntrack.GnntrackWarning, match="have been changed"):
        edited = gnntrack.load(tmp_path / "01_RES")
    assert edited.cells.unit == lineage.cells.unit == "um"
    assert edited.cells.spacing == (1, 0.5, 0.5)
    again = tabulate_shapes(tmp_path / "01_RES", settings=Settings(frames={"spacing": (1, 1, 1)}))
    assert again["volume_um3"].tolist() == [72, 71]


def test_a_label_that_is_no_track_has_track_0(movie):
    labels = np.unique(dividing_masks()[0])
    (movie / "masks" / "man_track.txt").write_text(f"{labels[1]} 0 0 0\n")
    table = tabulate_shapes(movie / "masks")
    assert set(table["track"]) == {0, labels[1]}
    assert (table.loc[table["track"] > 0, "label"] == labels[1]).all()


def test_shapes_are_appended_to_a_table_of_cells(movie):
    run("build-graph", "--masks", movie / "masks", "-o", movie / "g.geff")
    run("solve", movie / "g.geff", "-o", movie / "l.geff")
    run("export", movie / "l.geff", "--to", "csv", "-o", movie / "tables")
    cells = pd.read_csv(movie / "tables" / "cells.csv")
    for given in (movie / "tables", movie / "tables" / "cells.csv"):
        run("shape", movie / "masks", "-o", movie / "out", "--cells", given, "--overwrite")
        table = pd.read_csv(movie / "out" / "cells.csv")
        pd.testing.assert_frame_equal(table[cells.columns], cells)
        np.testing.assert_allclose(table["area_pixel2"], cells["size_pixel2"], rtol=1e-6)
        np.testing.assert_allclose(table["longest_axis_pixel"], cells["major_axis_pixel"], rtol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_a_table_of_other_masks_is_refused(movie, seed):
    table = tabulate_shapes(movie / "masks")[["frame", "label", "y_pixel", "x_pixel"]]
    rng = np.random.default_rng(seed)
    where = rng.permutation(100)[: len(table)]  # as after relabelling: the same labels at other places
    table["y_pixel"], table["x_pixel"] = 200 + where, 300 - where
    table.to_csv(movie / "mine.csv", index=False)
    shown = run("shape", movie / "masks", "-o", movie / "out", "--cells", movie / "mine.csv", code=2)
    assert "the masks are not those of the table" in shown
    assert "the folder of the result" in shown


def test_a_cell_without_a_mask_has_empty_shapes(movie):
    table = pd.DataFrame({"label": [1, 999], "frame": [0, 0], "name": ["a", "b"]})
    table.loc[0, "label"] = np.unique(dividing_masks()[0])[1]
    table.to_csv(movie / "mine.csv", index=False)
    shown = run("shape", movie / "masks", "-o", movie / "out", "--cells", movie / "mine.csv")
    assert "without mask  1 cell of the table, with empty shapes" in shown
    written = pd.read_csv(movie / "out" / "cells.csv", dtype=str)
    assert written.columns[:5].tolist() == ["label", "frame", "name", "at_border", "area_pixel2"]
    assert written["name"].tolist() == ["a", "b"]
    assert written.loc[1].drop(["label", "frame", "name"]).isna().all()
    assert written.loc[0].notna().all()
    assert written.loc[0, "branches"].isdigit()  # counts stay whole numbers beside empty ones


BAD_TABLES = {
    "no table": ("", "cannot be read as a table"),
    "no label": ("frame,x\n0,1\n", "has no column 'label'"),
    "words": ("frame,label\n0,one\n", "not whole numbers in column 'label'"),
    "other masks": ("frame,label\n77,1\n", "its 1 cell"),
    "shapes twice": ("frame,label,solidity\n0,1,1\n", "has the column solidity already"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_table_that_does_not_fit_is_refused(tmp_path, name):
    text, message = BAD_TABLES[name]
    (tmp_path / "cells.csv").write_text(text)
    with pytest.raises(FormatError, match=message):
        write_shapes(dividing_masks(), tmp_path / "out", cell_table=tmp_path / "cells.csv")
    assert not (tmp_path / "out").exists()


def test_errors_are_sentences(movie):
    assert "no such file or folder" in run("shape", movie / "nothing", "-o", movie / "out", code=2)
    assert "expected 2 positive sizes" in run(
        "shape", movie / "masks", "-o", movie / "out", "--spacing", "1,1,1", code=2
    )
    run("shape", movie / "masks", "-o", movie / "out")
    assert "it exists already" in run("shape", movie / "masks", "-o", movie / "out", code=2)
    run("shape", movie / "masks", "-o", movie / "out", "--overwrite")


def test_a_folder_of_other_files_is_not_replaced(tmp_path):
    write_shapes(dividing_masks(), tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"notes\.txt"):
        write_shapes(dividing_masks(), tmp_path / "out", overwrite=True)


@pytest.mark.data
def test_real_nuclei_in_3d(ctc_data, tmp_path):
    masks = sorted((ctc_data / "Fluo-N3DH-CHO" / "02_ERR_SEG").glob("*.tif"))[:1]
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / masks[0].name).write_bytes(masks[0].read_bytes())
    settings = Settings().replace(frames__spacing=(1.0, 0.202, 0.202), cells__fragments="largest")
    table = write_shapes(tmp_path / "masks", tmp_path / "out", settings=settings)
    assert table["sphericity"].between(0.5, 0.9).all()  # flat: the stack cuts them
    assert table["volume_um3"].between(200, 1500).all()
    for file in (tmp_path / "out" / "meshes").iterdir():
        assert trimesh.load_mesh(file).is_watertight
