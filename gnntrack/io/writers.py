"""Writers: the formats that ``gnntrack export`` and `gnntrack.pipeline.export` write a lineage in.

A writer is a class with two attributes and one method (`Writer`). The built-in ones are below; another package adds
one by an entry point of the group ``gnntrack.writers``. This module is light: each writer loads its libraries when it
writes.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from gnntrack.errors import GnntrackError, InputError
from gnntrack.plugins import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gnntrack.types import Lineage, Runs

__all__ = [
    "WRITERS",
    "BiohubWriter",
    "BtrackWriter",
    "CellMasks",
    "CsvWriter",
    "CtcWriter",
    "EdgesWriter",
    "GeffWriter",
    "LaptrackWriter",
    "MastodonWriter",
    "NapariWriter",
    "PointsWriter",
    "TrackMateWriter",
    "Writer",
    "describe_formats",
    "uses_masks",
]

_log = logging.getLogger(__name__)


class CellMasks(NamedTuple):
    """The masks of a lineage as run lengths, for writers that draw them."""

    runs: Runs
    """Pixels of the cells; the column ``cell`` holds rows of ``lineage.cells``."""
    fills: Runs | None = None
    """Pixels of the masks drawn in bridged gaps; the column ``cell`` holds track ids."""
    names: Sequence[str] = ()
    """Files of the frames; those that are written have as many digits (`gnntrack.io.ctc_names.choose_digits`)."""


class Writer(Protocol):
    """Writes a lineage in one format; the class is called without arguments.

    A class with ``uses_masks = True`` is given masks if there are any, as they are: gaps are not filled. One with a
    method ``write_movies(lineages, out, *, overwrite=False)`` can write several movies, a mapping of names to lineages.

    Examples
    --------
    A writer of another package, registered as ``count = "my_package:CountWriter"``:

    >>> class CountWriter:
    ...     about = "a text file with the number of tracks"
    ...     needs_masks = False
    ...
    ...     def write(self, lineage, out, *, masks=None, overwrite=False):
    ...         with fresh_output(out, overwrite=overwrite) as file:
    ...             file.write_text(str(len(lineage.tracks)))
    """

    about: ClassVar[str]
    """The file or folder in a few words, no full stop, for ``gnntrack export --help``: ``"a folder with ..."``."""
    needs_masks: ClassVar[bool]
    """Whether `write` draws masks. Then gaps are filled first, and `masks` is given."""

    def write(
        self, lineage: Lineage, out: str | Path, *, masks: CellMasks | None = None, overwrite: bool = False
    ) -> None:
        """Write the lineage.

        Parameters
        ----------
        lineage : Lineage
            Any lineage.
        out : path
            The file or folder to make. Write it inside `gnntrack.io.fresh_output`, so that it appears as a whole or
            not at all; a folder with files of other names than ours is then listed in its ``.gnntrack.json``.
        masks : CellMasks, optional
            Given if `needs_masks` is True, or if ``uses_masks`` is and there are masks; else None.
        overwrite : bool
            Replace `out` if it exists.

        Raises
        ------
        OutputError
            If `out` exists, cannot be written, or the lineage does not fit the format.
        """
        ...


WRITERS: Registry[type[Writer]] = Registry(
    "format",
    {
        "biohub": "gnntrack.io.writers:BiohubWriter",
        "btrack": "gnntrack.io.writers:BtrackWriter",
        "ctc": "gnntrack.io.writers:CtcWriter",
        "csv": "gnntrack.io.writers:CsvWriter",
        "edges": "gnntrack.io.writers:EdgesWriter",
        "geff": "gnntrack.io.writers:GeffWriter",
        "laptrack": "gnntrack.io.writers:LaptrackWriter",
        "mastodon": "gnntrack.io.writers:MastodonWriter",
        "napari": "gnntrack.io.writers:NapariWriter",
        "points": "gnntrack.io.writers:PointsWriter",
        "trackmate": "gnntrack.io.writers:TrackMateWriter",
    },
    group="gnntrack.writers",
    required=("about", "needs_masks", "write"),
)
"""Formats by the name that ``gnntrack export --to`` takes."""


def uses_masks(writer: Writer) -> bool:
    """Return whether a writer takes masks without needing them."""
    return bool(getattr(writer, "uses_masks", False))


def describe_formats() -> str:
    """Return the name and a description of each format, for help texts; a writer that cannot be used is marked."""

    def describe(name: str) -> str:
        try:
            return f"{name}: {WRITERS[name].about}"
        except GnntrackError:
            return f"{name}: cannot be used"

    return "; ".join(map(describe, WRITERS))


class BiohubWriter:
    """A submission to the embryo competition of 2026."""

    about: ClassVar[str] = "a CSV file for the Biohub embryo competition, of one or several movies"
    needs_masks: ClassVar[bool] = False

    def write(
        self, lineage: Lineage, out: str | Path, *, masks: CellMasks | None = None, overwrite: bool = False
    ) -> None:
        """Write one movie, named as the file; see `gnntrack.io.biohub.write_submission`."""
        self.write_movies({Path(out).stem: lineage}, out, overwrite=overwrite)

    def write_movies(self, lineages: Mapping[str, Lineage | None], out: str | Path, *, overwrite: bool = False) -> None:
        """Write several movies; see `gnntrack.io.biohub.write_submission`."""
        from gnntrack.io.biohub import write_submission

        write_submission(lineages, out, overwrite=overwrite)


class CtcWriter:
    """A result of the Cell Tracking Challenge."""

    about: ClassVar[str] = "a folder with res_track.txt and a mask per frame"
    needs_masks: ClassVar[bool] = True

    def write(
        self, lineage: Lineage, out: str | Path, *, masks: CellMasks | None = None, overwrite: bool = False
    ) -> None:
        """Write masks and ``res_track.txt``; see `gnntrack.io.ctc.write_ctc`."""
        from gnntrack.io.ctc import write_ctc
        from gnntrack.io.ctc_names import choose_digits

        if masks is None:
            msg = "a CTC result is drawn from masks, and none are given; give the masks that the lineage was made from"
            raise InputError(msg)
        digits = choose_digits(masks.names, lineage.cells.n_frames)
        write_ctc(out, lineage, masks.runs, fills=masks.fills, digits=digits, overwrite=overwrite)


class CsvWriter:
    """Tables of cells and of tracks."""

    about: ClassVar[str] = "a folder with cells.csv and tracks.csv"
    needs_masks: ClassVar[bool] = False

    def write(
        self, lineage: Lineage, out: str | Path, *, masks: CellMasks | None = None, overwrite: bool = False
    ) -> None:
        """Write ``cells.csv`` and ``tracks.csv``; see `gnntrack.io.tables`."""
        from gnntrack.io.tables import write_tables

        write_tables(lineage, out, overwrite=overwrite)


class EdgesWriter:
    """A table of links."""

    about: ClassVar[str] = "a CSV file with a row per link, as Trackastra writes and TrackMate reads them"
    needs_masks: ClassVar[bool] = False

    def write(
        self, lineage: Lineage, out: str | Path, *, masks: CellMasks | None = None, overwrite: bool = False
    ) -> None:
        """Write one CSV file; see `gnntrack.io.tables.tabulate_links`."""
        from gnntrack.io.tables import tabulate_links, write_csv

        write_csv(tabulate_links(lineage), out, overwrite=overwrite)


class GeffWriter:
    """A lineage in the graph exchange file format of the tracking field."""

    about: ClassVar[str] = "a .geff folder with a node per cell and an edge per link"
    needs_masks: ClassVar[bool] = False

    def write(
        self, lineage: Lineage, out: str | Path, *, masks: CellMasks | None = None, overwrite: bool = False
    ) -> None:
        """Write a GEFF folder; see `gnntrack.io.geff.write_lineage`."""
        from gnntrack.io.geff import write_lineage

        write_lineage(lineage, out, overwrite=overwrite)


class TrackMateWriter:
    """A file of TrackMate, the tracker of Fiji."""

    about: ClassVar[str] = "an .xml file that TrackMate 7 and Mastodon open, with the outlines of 2D masks"
    needs_masks: ClassVar[bool] = False
    uses_masks: ClassVar[bool] = True

    def write(
        self, lineage: Lineage, out: str | Path, *, masks: CellMasks | None = None, overwrite: bool = False
    ) -> None:
        """Write an XML file; see `gnntrack.io.trackmate_file.write_trackmate`."""
        from gnntrack.io.trackmate_file import write_trackmate
        from gnntrack.plurals import count_noun

        runs = None if masks is None else masks.runs
        pieces, holes = write_trackmate(lineage, out, runs=runs, overwrite=overwrite)
        if pieces:
            _log.warning("%s: an outline is the largest piece of a mask: %s", out, count_noun(pieces, "cell"))
        if holes:
            _log.warning("%s: an outline encloses the holes of a mask: %s", out, count_noun(holes, "cell"))


class _ExchangeWriter:
    """A table of `gnntrack.io.exchange_tables`."""

    name: ClassVar[str]
    needs_masks: ClassVar[bool] = False

    def write(
        self, lineage: Lineage, out: str | Path, *, masks: CellMasks | None = None, overwrite: bool = False
    ) -> None:
        """Write one CSV file; see `gnntrack.io.exchange_tables`."""
        from gnntrack.io.exchange_tables import EXCHANGE_TABLES
        from gnntrack.io.tables import write_csv

        collect, delimiter = EXCHANGE_TABLES[self.name]
        write_csv(collect(lineage), out, delimiter=delimiter, overwrite=overwrite)


class BtrackWriter(_ExchangeWriter):
    """A table of cells with the columns of btrack."""

    about: ClassVar[str] = "a table with the columns of btrack's export"
    name: ClassVar[str] = "btrack"


class LaptrackWriter(_ExchangeWriter):
    """A table of cells with the columns of LapTrack."""

    about: ClassVar[str] = "a CSV file with the columns of LapTrack, and the parent of each track"
    name: ClassVar[str] = "laptrack"


class MastodonWriter(_ExchangeWriter):
    """A table of cells for Mastodon's CSV importer."""

    about: ClassVar[str] = "a CSV file for Mastodon's CSV importer"
    name: ClassVar[str] = "mastodon"


class NapariWriter(_ExchangeWriter):
    """A table of cells for napari's layer *Tracks*."""

    about: ClassVar[str] = "a CSV file with the columns of napari's layer Tracks, and the parent of each track"
    name: ClassVar[str] = "napari"


class PointsWriter(_ExchangeWriter):
    """A table of cells with track, parent and position."""

    about: ClassVar[str] = "a CSV file with a row per cell: frame, id, track, parent, and position in pixels"
    name: ClassVar[str] = "points"
