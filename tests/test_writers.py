"""One contract for all writers: built-in ones, and one that another package adds."""

from __future__ import annotations

import importlib.metadata
from importlib.metadata import EntryPoint

import numpy as np
import pytest

import gnntrack
from gnntrack.errors import InputError, OutputError
from gnntrack.io import WRITERS, fresh_output, read_lineage
from gnntrack.io.writers import describe_formats

MASKS = np.zeros((3, 12, 24), np.uint16)
for t in range(3):
    MASKS[t, 3:8, 2 + t : 7 + t] = 1
    MASKS[t, 3:8, 15 - t : 20 - t] = 2


class CountWriter:
    """A writer of another package."""

    about = "a text file with the number of tracks"
    needs_masks = False

    def write(self, lineage, out, *, masks=None, overwrite=False):
        with fresh_output(out, overwrite=overwrite) as file:
            file.write_text(str(len(lineage.tracks)))


@pytest.fixture
def lineage():
    return gnntrack.solve(gnntrack.build_graph(masks=MASKS))


@pytest.fixture(autouse=True)
def foreign(monkeypatch):
    entry = EntryPoint("count", "tests.test_writers:CountWriter", "gnntrack.writers")
    installed = importlib.metadata.entry_points

    def find(**chosen):
        return [*installed(**chosen), entry] if chosen.get("group") == "gnntrack.writers" else installed(**chosen)

    monkeypatch.setattr("importlib.metadata.entry_points", find)


@pytest.mark.parametrize("name", [*WRITERS, "count"])
def test_a_writer_describes_itself_and_writes_and_replaces_its_own(name, lineage, tmp_path):
    writer, out = WRITERS[name](), tmp_path / "deep" / "out"
    assert writer.about
    assert not writer.about.endswith(".")
    for overwrite in (False, True):
        gnntrack.export(lineage, out, to=name, masks=MASKS, overwrite=overwrite)
        assert [path.name for path in out.parent.iterdir()] == ["out"]
    with pytest.raises(OutputError, match="exists already"):
        gnntrack.export(lineage, out, to=name, masks=MASKS)


def test_another_package_adds_a_format(lineage, tmp_path):
    assert "count" in WRITERS
    assert "count: a text file with the number of tracks" in describe_formats()
    gnntrack.export(lineage, tmp_path / "count.txt", to="count")
    assert (tmp_path / "count.txt").read_text() == "2"


class BareWriter:
    """A writer without the attributes of the protocol."""


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("tests.no_such_module:Writer", "cannot be imported"),
        ("tests.test_writers:BareWriter", "lacks the attribute about, needs_masks, write"),
    ],
)
def test_a_broken_writer_affects_no_other(lineage, tmp_path, monkeypatch, target, reason):
    entry = EntryPoint("broken", target, "gnntrack.writers")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [entry])
    assert describe_formats().endswith("; broken: cannot be used")
    with pytest.raises(InputError, match=reason):
        gnntrack.export(lineage, tmp_path / "out", to="broken")
    gnntrack.export(lineage, tmp_path / "edges.csv", to="edges")


def test_geff_is_the_lineage_itself(lineage, tmp_path):
    gnntrack.export(lineage, tmp_path / "lineage.geff", to="geff")
    again = read_lineage(tmp_path / "lineage.geff")
    for name in ("track", "source", "target", "confidence"):
        np.testing.assert_array_equal(getattr(again, name), getattr(lineage, name))
