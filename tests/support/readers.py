"""Readers of other programs: packages that CI must have, and the rules of programs in Java that cannot run here."""

from __future__ import annotations

import csv
import importlib
from pathlib import Path
from types import ModuleType

import pytest

from support.required import is_required


def import_reader(name: str) -> ModuleType:
    """Return a package; the test is skipped if it is not installed, except where it must be, as in CI."""
    if is_required():
        return importlib.import_module(name)
    return pytest.importorskip(name)


def read_as_trackastra_importer(path: Path) -> list[tuple[int, int, int, int, float]]:
    """Return the links that TrackMate-Trackastra reads: five fields by their order, after a line that it skips.

    Its class TrackastraImporter parses the fields with Java's parseInt and parseDouble.
    """
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [(*(parse_int(text) for text in row[:4]), float(row[4])) for row in rows]


def read_as_mastodon(path: Path, x: str, y: str, z: str, parent: str = "parent_id") -> tuple[dict, list]:
    """Return the spots and links that Mastodon's CSV importer reads: it links a spot with a parent in a line before it.

    Lines with a field that does not parse are skipped by it; here they are an error.
    """
    with path.open(newline="") as file:
        head, *rows = [[field.strip() for field in line] for line in csv.reader(file, quoting=csv.QUOTE_NONE)]
    column = {name: k for k, name in enumerate(head)}
    spots: dict[int, tuple[float, ...]] = {}
    links = []
    for row in rows:
        place = [float(row[column[name]]) for name in (x, y, z)]
        own = parse_int(row[column["id"]])
        assert own != -1  # its key for no spot
        assert own not in spots
        spots[own] = (parse_int(row[column["frame"]]), *place)
        mother = parse_int(row[column[parent]])
        if mother in spots:
            links.append((mother, own))
    return spots, links


def parse_int(text: str) -> int:
    """Return an integer as Java's parseInt does, which takes no spaces, points or exponents."""
    assert text.lstrip("+-").isdigit(), text
    value = int(text)
    assert -(2**31) <= value < 2**31
    return value
