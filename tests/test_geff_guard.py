"""GEFFs whose metadata disagree with their files, or hold impossible values, are refused before they are decoded."""

from __future__ import annotations

import json
import os
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gnntrack.errors import FormatError
from gnntrack.io.geff import read_lineage, write_lineage
from gnntrack.io.point_graph import read_point_graph, write_point_graph
from gnntrack.io.zarr_checks import check_store
from gnntrack.types import Cells, Lineage, PointGraph, Tracks


@pytest.fixture
def geff(tmp_path: Path) -> Path:
    cells = Cells([0, 1], [3, 3], [[1.0, 2.0]] * 2, [[5.0]] * 2, ("size",), ("pixel2",), (1.0, 1.0), 2, (9, 9))
    lineage = Lineage(cells, cells.label, Tracks([3], [0], [1], [0]), [0], [1], [1.0])
    write_lineage(lineage, tmp_path / "a.geff")
    return tmp_path / "a.geff"


def change(file: Path, **values: Any) -> None:
    stored = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(stored | values), encoding="utf-8")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shape": [2**60, 2]}, "has 1152921504606846976 chunks; expected at most 100000"),
        ({"shape": [2**40, 2], "chunks": [2**40, 2]}, "needs 17592186044416 bytes, and its files have"),
        ({"shape": [-1, 2]}, "expected whole numbers from 0"),
        ({"chunks": [0, 2]}, "expected whole numbers from 1"),
        ({"chunks": "all"}, "expected whole numbers from 1"),
        ({"shape": [1]}, "differ in length"),
        ({"dtype": "<q9"}, "data type .* not understood"),
        ({"compressor": {"id": "blosc"}}, "its head of Blosc is damaged"),
        ({"compressor": {"id": "zstd"}}, "is not compressed by zstd"),
        ({"compressor": {"id": "lz4"}}, r"holds \d+ bytes; its description states 16"),
        ({"compressor": None}, r"holds \d+ bytes; its description states 16"),
    ],
    ids=str,
)
def test_descriptions_that_disagree_with_the_chunk_are_refused(
    geff: Path, values: dict[str, Any], message: str
) -> None:
    change(geff / "edges" / "ids" / ".zarray", **values)
    with pytest.raises(FormatError, match=message) as error:
        read_lineage(geff)
    assert f"{geff}: the GEFF is damaged or not valid (edges/ids/.zarray: " in str(error.value)


@pytest.mark.parametrize(("values", "size"), [({"data_type": "int32"}, 12), ({"data_type": "float64"}, 24)], ids=str)
def test_descriptions_of_format_3_are_compared_with_the_head_of_zstd(tmp_path: Path, values: dict, size: int) -> None:
    graph = PointGraph([1, 2, 3], [0, 1, 1], [[0.0, 0.0], [1.0, 1.0], [3.0, 3.0]], [0], [1], (1.0, 1.0))
    write_point_graph(graph, tmp_path / "a.geff", whole_voxels=False)
    place = tmp_path / "a.geff" / "nodes" / "props" / "y" / "values" / "zarr.json"
    change(place, **values)
    if size == 24:
        assert len(read_point_graph(tmp_path / "a.geff").id) == 3
    else:
        with pytest.raises(FormatError, match="holds 24 bytes; its description states 12"):
            read_point_graph(tmp_path / "a.geff")


def test_the_head_of_blosc_is_compared_with_the_file(geff: Path) -> None:
    array = geff / "edges" / "ids"
    change(array / ".zarray", compressor={"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1})
    for size, packed, message in ((2**31 - 1, 32, "holds 2147483647 bytes"), (16, 2**31 - 1, "is damaged")):
        (array / "0.0").write_bytes(struct.pack("<BBBBIII", 2, 1, 0x20, 8, size, 16, packed).ljust(32, b"\0"))
        with pytest.raises(FormatError, match=message):
            check_store(geff)


def test_copies_of_descriptions_agree_with_the_arrays(geff: Path) -> None:
    own = json.loads((geff / "edges" / "ids" / ".zarray").read_text(encoding="utf-8"))
    for about, fits in ((own, True), (own | {"shape": [100, 2]}, False)):
        text = json.dumps({"metadata": {"edges/ids/.zarray": about}, "zarr_consolidated_format": 1})
        (geff / ".zmetadata").write_text(text, encoding="utf-8")
        if fits:
            check_store(geff)
        else:
            with pytest.raises(FormatError, match=r"its copy of edges/ids/\.zarray differs from the file"):
                check_store(geff)


def test_descriptions_that_are_nested_deeply_are_refused(geff: Path) -> None:
    (geff / "nodes" / ".zattrs").write_text("[" * 100_000, encoding="utf-8")
    (geff / "edges" / "ids" / ".zarray").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(FormatError, match=r"\.zarray: it is not valid JSON .*nested too deeply"):
        read_lineage(geff)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"n_frames": 2**40}, "'n_frames' is 1099511627776; expected a whole number from 0 to 1000000"),
        ({"n_frames": "many"}, "'n_frames' is many"),
        ({"n_frames": 2.5}, "'n_frames' is 2.5"),
        ({"shape": [-5, 9]}, "'shape' is .-5, 9.; expected 2 or 3 whole numbers"),
        ({"shape": 7}, "'shape' is 7"),
        ({"shape": [9, None]}, "'shape' is .9, None."),
        ({"cell_features": [["size"]]}, "'cell_features' is "),
        ({"link_features": 3}, "'link_features' is 3"),
        ({"notes": [1]}, "'notes' is .1."),
        ({"notes": {"interval": "soon"}}, "the note 'interval' is soon; expected a number"),
        ({"notes": {"masks_cut": [1, 2]}}, "the note 'masks_cut' is .1, 2.; expected lists of whole numbers"),
        ({"notes": {"masks": 5}}, "the note 'masks' is 5; expected an object"),
    ],
    ids=str,
)
def test_extras_that_cannot_be_are_refused(geff: Path, extra: dict[str, Any], message: str) -> None:
    stored = json.loads((geff / ".zattrs").read_text(encoding="utf-8"))
    stored["geff"]["extra"]["gnntrack"] |= extra
    (geff / ".zattrs").write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(FormatError, match=message):
        read_lineage(geff)


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
def test_scales_of_axes_are_above_0(geff: Path, scale: float) -> None:
    stored = json.loads((geff / ".zattrs").read_text(encoding="utf-8"))
    stored["geff"]["axes"][1]["scale"] = scale
    (geff / ".zattrs").write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(FormatError):
        read_lineage(geff)


def test_stores_of_zarr_pass(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import zarr
        from numcodecs import LZ4, Blosc, GZip, Zlib, Zstd

        for number, codec in enumerate([None, Blosc(), Zstd(), LZ4(), Zlib(), GZip()]):
            group = zarr.open_group(tmp_path / f"{number}.zarr", mode="w", zarr_format=2)
            group.create_array("x", data=np.arange(10_000.0), chunks=(3000,), compressors=codec)
            check_store(tmp_path / f"{number}.zarr")
        for number, options in enumerate([{}, {"compressors": None}, {"shards": (4000,)}]):
            group = zarr.open_group(tmp_path / f"v3-{number}.zarr", mode="w", zarr_format=3)
            group.create_array("x", data=np.arange(10_000.0), chunks=(2000,), **options)
            check_store(tmp_path / f"v3-{number}.zarr")


@pytest.mark.parametrize("name", [".zattrs", ".zgroup", "nodes/.zgroup", "nodes/ids/.zarray", "nodes/zarr.json"])
@pytest.mark.parametrize("kind", ["a named pipe", "a device"])
def test_pipes_and_devices_are_not_read(geff, name, kind):
    file = geff / name
    file.unlink(missing_ok=True)
    os.mkfifo(file) if kind == "a named pipe" else file.symlink_to("/dev/zero")
    with pytest.raises(FormatError, match=rf"a\.geff: the GEFF is .*{name}: it is {kind}; expected a file"):
        read_lineage(geff)
