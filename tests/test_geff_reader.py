"""A GEFF of gnntrack is read without the library, with the same values; any other form is left to the library."""

from __future__ import annotations

import json
import shutil
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from gnntrack.errors import FormatError
from gnntrack.io.geff import read_lineage, write_lineage
from gnntrack.io.geff_reader import PlainReader, open_reader
from gnntrack.io.zarr_arrays import find_array, is_plain_group, write_array, write_group
from gnntrack.types import Cells, Lineage, Tracks


@pytest.fixture
def geff(tmp_path: Path) -> Path:
    cells = Cells([0, 1, 1], [3, 3, 4], [[1.0, 2.0]] * 3, [[5.0], [6], [7]], ("size",), ("",), (1.0, 1.0), 2, (9, 9))
    lineage = Lineage(cells, cells.label, Tracks([3, 4], [0, 1], [1, 1], [0, 0]), [0], [1], [0.5])
    write_lineage(lineage, tmp_path / "a.geff")
    return tmp_path / "a.geff"


def read_all(reader) -> dict[str, tuple]:
    about = reader.metadata.node_props_metadata, reader.metadata.edge_props_metadata
    reader.read_node_props(list(about[0]))
    reader.read_edge_props(list(about[1]))
    found = {"nodes": reader.nodes, "edges": reader.edges}
    for kind, props in (("node", reader.node_props), ("edge", reader.edge_props)):
        found |= {f"{kind} {name} {part}": each[part] for name, each in props.items() for part in ("values",)}
    arrays = {name: np.asarray(values[:]) for name, values in found.items()}
    return {name: (values.dtype, values.shape, values.tolist()) for name, values in arrays.items()}


def test_the_values_are_those_that_the_library_reads(geff):
    from geff import GeffReader

    plain, library = open_reader(geff), GeffReader(str(geff))
    assert isinstance(plain, PlainReader)
    assert read_all(plain) == read_all(library)
    assert plain.metadata == library.metadata


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def change_array(folder: Path, **values: object) -> None:
    stored = json.loads((folder / ".zarray").read_text())
    (folder / ".zarray").write_text(json.dumps(stored | values))


CHANGES = {
    "no edges": lambda geff: remove(geff / "edges"),
    "no group": lambda geff: remove(geff / "nodes" / "props" / ".zgroup"),
    "no metadata": lambda geff: remove(geff / ".zattrs"),
    "metadata of something else": lambda geff: (geff / ".zattrs").write_text('{"geff": []}'),
    "no property": lambda geff: remove(geff / "nodes" / "props" / "size"),
    "another property": lambda geff: write_group(geff / "nodes" / "props" / "other"),
    "no values": lambda geff: remove(geff / "nodes" / "props" / "size" / "values"),
    "no chunk": lambda geff: remove(geff / "nodes" / "props" / "size" / "values" / "0"),
    "other type": lambda geff: change_array(geff / "nodes" / "props" / "size" / "values", dtype="<i4"),
    "other length": lambda geff: change_array(geff / "nodes" / "props" / "size" / "values", shape=[2]),
    "no order": lambda geff: change_array(geff / "edges" / "ids", order="F"),
    "text": lambda geff: change_array(geff / "nodes" / "ids", dtype="<U4"),
    "an array of format 3 too": lambda geff: (geff / "nodes" / "zarr.json").write_text("{}"),
    "consolidated metadata": lambda geff: (geff / ".zmetadata").write_text('{"metadata": {}}'),
    "an array instead of a group": lambda geff: write_array(geff / "edges" / "props" / "x", np.zeros(3)),
    "missing values of another kind": lambda geff: write_array(
        geff / "nodes" / "props" / "size" / "missing", np.zeros(3)
    ),
    "missing values of an axis": lambda geff: write_array(
        geff / "nodes" / "props" / "y" / "missing", np.zeros(3, bool)
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_form_is_left_to_the_library_which_names_the_fault(geff, name, monkeypatch):
    CHANGES[name](geff)
    asked = []
    monkeypatch.setattr(
        "geff.GeffReader", lambda path: asked.append(path) or (_ for _ in ()).throw(ValueError("found"))
    )
    with pytest.raises(ValueError, match="found"):
        open_reader(geff)
    assert asked == [str(geff)]


def test_missing_values_are_not_numbers(geff):
    write_array(geff / "nodes" / "props" / "size" / "missing", np.array([False, True, False]))
    assert isinstance(open_reader(geff), PlainReader)
    assert read_lineage(geff).cells.features[:, 0].tolist() == pytest.approx([5, np.nan, 7], nan_ok=True)


@pytest.mark.parametrize("cut", [1, 9])
def test_a_damaged_chunk_is_named(geff, cut):
    chunk = geff / "nodes" / "props" / "size" / "values" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-cut])
    with pytest.raises(FormatError, match=r"a\.geff: the GEFF is damaged or not valid \(error: Error -5"):
        read_lineage(geff)


@pytest.mark.parametrize(
    "values", [np.zeros((0, 2), np.int64), np.array([True, False]), np.ones((2, 3))[:, 1:]], ids=str
)
def test_arrays_of_any_shape_are_read_back(tmp_path, values):
    write_array(tmp_path / "x", values)
    found = find_array(tmp_path / "x").read()
    assert (found.dtype, found.shape, found.tolist()) == (values.dtype, values.shape, values.tolist())
    assert not is_plain_group(tmp_path / "x")


def test_of_a_chunk_no_more_is_unpacked_than_the_array_holds(tmp_path):
    write_array(tmp_path / "x", np.zeros(5))
    found = find_array(tmp_path / "x")
    assert found.read().tolist() == [0] * 5
    chunk = tmp_path / "x" / "0"
    whole = chunk.read_bytes()
    for content in (zlib.compress(bytes(1 << 24)), zlib.compress(bytes(8)), whole[:-3]):
        chunk.write_bytes(content)
        tracemalloc.start()
        with pytest.raises((ValueError, zlib.error)):
            found.read()
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        tracemalloc.stop()
