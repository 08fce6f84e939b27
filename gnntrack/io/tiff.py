"""TIFF movies: a folder with a file per frame, a multi-page file, OME-TIFF and ImageJ hyperstacks."""

from __future__ import annotations

import json
import logging
import math
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tifffile

from gnntrack.errors import ChannelError, FrameError
from gnntrack.io.image_streams import check_streams
from gnntrack.io.ome_checks import check_ome, check_other_files, list_other_files
from gnntrack.io.stack import (
    UNREADABLE,
    UNRECORDED,
    Acquisition,
    Layout,
    Stack,
    convert_spacing,
    lay_out,
    open_array,
)
from gnntrack.io.tiff_metadata import count_planes, names_depth, read_acquisition, read_voxel
from gnntrack.io.tiff_pages import CUT_SHORT, check_pages
from gnntrack.plurals import choose_form, count_noun

if TYPE_CHECKING:
    from gnntrack.types import Image

__all__ = [
    "SUFFIXES",
    "FrameFile",
    "describe_frame",
    "is_tiff",
    "lacks_depth",
    "open_tiff",
    "read_frame",
    "read_movie_frame",
    "read_movie_planes",
    "refuse_lossy",
]

SUFFIXES = (".tif", ".tiff", ".btf", ".tf8", ".lsm", ".stk")
_LOSSY = {"OJPEG", "JPEG", "ALT_JPEG", "JPEG_LOSSY"}

# tifffile logs damage as well as raising it; without any handler Python would print that on the terminal
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def is_tiff(path: Path) -> bool:
    """Return whether a file has the name of a TIFF."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def refuse_lossy(path: Path) -> None:
    """Raise if a TIFF of masks has a compression that changes labels.

    Raises
    ------
    FrameError
        With the remedy; also if it is not a TIFF.
    """
    with _open(path, single=True) as tif:
        page = next(iter(tif.pages), None)
        name = "" if page is None else getattr(page.compression, "name", "")
        lossless = page is not None and page.bitspersample > 8  # JPEG of 16 bits is exact
    if name in _LOSSY and not lossless:
        msg = (
            f"masks with {name} compression are not exact: it changes labels at the borders of cells; save the masks "
            "as a TIFF without compression, or with LZW or zlib"
        )
        raise FrameError(msg, file=path)


class FrameFile(NamedTuple):
    """Properties of the first file of a movie with a file per frame, which hold for all frames."""

    layout: Layout
    spacing: tuple[float, ...]
    """Size of a voxel in um, () if it is not known."""
    dtype: Any
    interval: float | None
    """Seconds between frames."""


def describe_frame(path: Path, axes: str | None, channel: int | str | None) -> FrameFile:
    """Describe a TIFF that is one frame of a movie.

    Raises
    ------
    FrameError
        If it cannot be read, or is only a part of a frame.
    """
    with _open(path, frame=0, single=True) as tif:
        series, acquisition = _join_series(tif), read_acquisition(tif)
        layout = _lay_out_frame(series, axes, channel, acquisition)
        _check_alone(tif, layout)
        spacing = convert_spacing(*read_voxel(tif), len(layout.shape))
        return FrameFile(layout, spacing, series.dtype.newbyteorder("="), acquisition.interval)


def read_movie_frame(path: Path, axes: str | None, channel: int | str | None, frame: int) -> Image:
    """Read a TIFF that is one frame of a movie; a file with several pages is one 3D frame.

    Raises
    ------
    FrameError
        If it cannot be read, or holds several frames.
    """
    with _open(path, frame=frame, single=True) as tif:
        series = _join_series(tif)
        if "s" in (axes or "") and "S" not in series.axes:  # a grey frame of a coloured movie has three equal colours
            axes, channel = (axes or "").replace("s", ""), None
        layout = _lay_out_frame(series, axes, channel)
        return layout.take(series.read(), 0)


def read_movie_planes(path: Path, axes: str | None, frame: int, planes: slice) -> Image:
    """Read some planes of a TIFF that is one 3D frame of a movie, without the others.

    Raises
    ------
    FrameError
        As `read_movie_frame`.
    """
    with _open(path, frame=frame, single=True) as tif:
        series = _join_series(tif)
        layout = _lay_out_frame(series, axes)
        return layout.take(_TiffArray(path, tif), 0, planes)


def read_frame(path: Path, *, frame: int | None = None) -> tuple[Image, str]:
    """Read a TIFF as one frame, whatever it holds.

    Pages are joined also if they were written one by one, and other files of an OME-TIFF that this one names are not
    read.

    Returns
    -------
    pixels : array
        Axes of length 1 are removed, except z, y and x.
    axes : str
        A letter per axis: y, x, s (colour), and others for pages.

    Raises
    ------
    FrameError
        If the file is not a TIFF or is damaged.
    """
    with _open(path, frame=frame, single=True) as tif:
        series = _join_series(tif)
        pixels, axes = series.read(), _name_axes(series.axes, "zt")
    kept = [k for k, axis in enumerate(axes) if axis in "zyx" or pixels.shape[k] > 1]
    return pixels.reshape([pixels.shape[k] for k in kept]), "".join(axes[k] for k in kept)


def _check_alone(tif: Any, layout: Layout) -> None:
    """Raise if a file holds only a slice or a channel of an OME-TIFF in several files."""
    planes = layout.shape[0] if len(layout.shape) == 3 else 1
    slices, channels = count_planes(tif)
    if slices * channels > planes * max(len(layout.channels), 1):
        msg = (
            f"it is one of several files of an OME-TIFF of {count_noun(slices, 'slice')} and "
            f"{count_noun(channels, 'channel')}; in a folder each "
            "file is one whole frame: give the path of one of these files to open them all as one movie"
        )
        raise FrameError(msg)


def _lay_out_frame(
    series: Any, axes: str | None, channel: int | str | None = None, acquisition: Acquisition = UNRECORDED
) -> Layout:
    """Lay out a file that is one frame: an unnamed axis is depth or channels, and a time axis is refused."""
    named = axes or _name_axes(series.axes, "zt" if channel is None else "cz")
    if "t" in named and series.shape[named.index("t")] > 1:
        msg = (
            f"it holds {series.shape[named.index('t')]} time points (axes '{series.axes}', shape {series.shape}); in a "
            "folder each file is one frame: give the file itself, or, if these are slices, --axes tzyx (axes='tzyx')"
        )
        raise FrameError(msg)
    return lay_out(named, series.shape, unnamed="zt", channel=channel, names=acquisition.channels)


def open_tiff(path: Path, *, axes: str | None = None, channel: int | str | None = None) -> Stack:
    """Open one TIFF as a movie.

    The axes are those of OME or ImageJ metadata. Without these, pages are frames, and two unnamed axes are time and
    depth. A file with the axes ``ZYX`` is one 3D frame; with ``axes="tyx"`` it is a 2D movie.

    Parameters
    ----------
    path : Path
        The file.
    axes : str or None
        A letter per axis, in place of the axes that the file names.
    channel : int, str or None
        Number or name of the channel to read.

    Raises
    ------
    FrameError
        If the file is not a TIFF, is damaged, or holds anything but one movie of grey values.
    """
    array = _TiffArray(path)
    several = channel is not None and sum(axis in "QI" for axis in array.axes) > 1
    named = axes or _name_axes(array.axes, "tcz" if several else "tz")
    ndim = len(lay_out(named, array.shape, file=path, channel=channel, names=array.acquisition.channels).shape)
    spacing = convert_spacing(*array.voxel, ndim)
    return open_array(array, named, name=str(path), spacing=spacing, channel=channel, acquisition=array.acquisition)


def names_other_files(path: Path) -> bool:
    """Return whether a TIFF is one of several files of an OME-TIFF, which other readers open all at once.

    Raises
    ------
    FrameError
        If it is not a TIFF.
    """
    with _open(path, single=True) as tif:
        return len(list_other_files(tif)) > 1


def holds_movie(path: Path, axes: str | None = None) -> bool:
    """Return whether a TIFF holds several time points, by its metadata or by a letter per axis.

    Raises
    ------
    FrameError
        If it is not a TIFF.
    """
    with _open(path) as tif:
        series = _join_series(tif)
        named = _name_axes(series.axes, "zt") if axes is None else axes.lower()
        return len(named) == len(series.shape) and dict(zip(named, series.shape, strict=True)).get("t", 1) > 1


def lacks_depth(path: Path) -> bool:
    """Return whether a TIFF has slices, by its metadata, and neither time points nor the distance between the slices.

    Raises
    ------
    FrameError
        If it is not a TIFF.
    """
    with _open(path) as tif:
        return not names_depth(tif) and set(_join_series(tif).axes) <= set("ZCYX")


class _TiffArray:
    """The image series of a TIFF as an array whose parts are read when they are indexed.

    The file is parsed once, at the first use, and open only while it is read.
    """

    def __init__(self, path: Path, opened: Any = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        with _open(path) if opened is None else nullcontext(opened) as tif:
            series = _join_series(tif)
            self._blocks = series.blocks
            self._raw_dtype = np.dtype(tif.byteorder + series.dtype.char)
            self._pages = [[] if block.dataoffset is not None else list(block) for block in series.blocks]
            self.voxel = read_voxel(tif)
            self.acquisition = read_acquisition(tif)
        self.axes: str = series.axes
        self.shape = series.shape

    def __reduce__(self) -> tuple[type[_TiffArray], tuple[Path]]:
        return type(self), (self._path,)

    def __getitem__(self, index: tuple[int | slice, ...]) -> Image:
        if len(self._blocks) == 1:
            return self._read_block(0, index)
        number, inner = index[0], index[1:]
        if isinstance(number, slice):
            return np.stack([self._read_block(each, inner) for each in range(len(self._blocks))[number]])
        return self._read_block(number, inner)

    def _read_block(self, number: int, index: tuple[int | slice, ...]) -> Image:
        block = self._blocks[number]
        if block.dataoffset is not None:
            mapped = np.memmap(self._path, self._raw_dtype, "r", block.dataoffset, block.shape)
            return np.array(mapped[index])
        inner = block.keyframe.shape
        outer = len(block.shape) - len(inner)
        wanted = np.arange(len(self._pages[number])).reshape(block.shape[:outer])[index[:outer]]
        with self._lock:
            pages = [self._read_page(number, int(page))[index[outer:]] for page in wanted.ravel()]
        joined = np.stack(pages) if len(pages) > 1 else pages[0]  # of a large page there is no copy
        return joined.reshape(*wanted.shape, *pages[0].shape)

    def _read_page(self, block: int, number: int) -> Image:
        page = self._pages[block][number]
        if page is None:
            msg = f"page {number} is missing from the file or from the set of files it names"
            raise ValueError(msg)
        handle = page.parent.filehandle
        handle.open()
        try:
            _check_extent(page)
            return np.asarray(page.asarray()).reshape(self._blocks[block].keyframe.shape)
        finally:
            handle.close()


class _Series(NamedTuple):
    """The image series of a file as one array; writers that append page by page make a series of each page."""

    blocks: list[Any]
    """The series, all of one shape and type, in the order of the file."""
    axes: str
    shape: tuple[int, ...]
    dtype: Any

    def read(self) -> Image:
        """Return all pixels.

        Raises
        ------
        FrameError, ValueError
            If a page is missing, or pixels lie beyond the end of the file.
        """
        for block in self.blocks:
            _check_complete(block)
        parts = [np.asarray(block.asarray(maxworkers=1)) for block in self.blocks]
        return parts[0] if len(parts) == 1 else np.stack(parts)


@contextmanager
def _open(path: Path, *, frame: int | None = None, single: bool = False) -> Iterator[Any]:
    """Open a TIFF; any error while it is open becomes a FrameError that names the file."""
    try:
        check_pages(path)
        # several OME files may name each other as one movie; in a folder each is still read by itself
        with tifffile.TiffFile(path, _multifile=False if single else None) as tif:
            check_ome(tif)
            if not single:
                check_other_files(tif, path)
            yield tif
    except ChannelError as error:
        raise ChannelError(str(error), file=path, frame=frame, channels=error.channels, colours=error.colours) from None
    except FrameError as error:
        raise FrameError(str(error), file=path, frame=frame) from None
    except PermissionError as error:
        msg = "no permission to read it; change its permissions"
        raise FrameError(msg, file=path, frame=frame) from error
    except FileNotFoundError as error:
        msg = "the file was removed after the movie was opened; open the movie again"
        raise FrameError(msg, file=path, frame=frame) from error
    except UNREADABLE as error:
        raise FrameError(_describe_damage(path, error), file=path, frame=frame) from error


def _describe_damage(path: Path, error: BaseException) -> str:
    size = path.stat().st_size if path.is_file() else -1
    if size == 0:
        return f"the file is empty (0 bytes); {CUT_SHORT}"
    if size > 0 and "not a TIFF" in str(error):
        with path.open("rb") as file:
            start = file.read(8)
        return (
            f"it is not a TIFF: it begins with {start!r}; expected a TIFF image: convert it or remove it from the movie"
        )
    return f"the TIFF is damaged ({str(error).strip() or type(error).__name__}); {CUT_SHORT}"


def _join_series(tif: Any) -> _Series:
    """Return the image series of a file as one, after checking that no page is missing."""
    # a small copy of the pictures, which a confocal microscope (LSM) adds, is not a movie of its own
    series = [each for each in tif.series if each.name != "LSMreduced"]
    if not series:
        msg = "the TIFF holds no image; expected one frame or one movie"
        raise FrameError(msg)
    _check_number(tif)
    if len(series) == 1:
        return _Series(series, series[0].axes, tuple(series[0].shape), series[0].dtype)
    series = _check_alike(_list_pages(tif) if all(each.kind == "generic" for each in series) else series)
    axes, shape = f"Q{series[0].axes}", (len(series), *series[0].shape)
    return _Series(series, axes, shape, series[0].dtype)


def _list_pages(tif: Any) -> list[Any]:
    """Return a series of each page: pages of other compressions are in other series, in which their order is lost."""
    return [
        tifffile.TiffPageSeries([page], page.shape, page.dtype, page.axes, kind="generic")
        for page in tif.pages
        if page.shape
    ]


def _check_alike(series: list[Any]) -> list[Any]:
    """Return series that are parts of one movie, written one after the other; raise if they differ."""
    alike = len({(each.shape, each.dtype, each.axes) for each in series}) == 1
    if alike and all(each.kind in {"shaped", "generic", "uniform"} for each in series):
        return series
    odd = _describe_odd_page(series)
    if odd is not None:
        raise FrameError(odd)
    shapes = ", ".join(str(each.shape) for each in series[:3])
    msg = (
        f"it holds {len(series)} series of images, of shapes {shapes}; expected one movie of one shape: "
        "save each series as a file of its own (in Fiji: open one series, then File > Save As > Tiff)"
    )
    raise FrameError(msg)


def _describe_odd_page(series: list[Any]) -> str | None:
    """Return which pages differ from most others, if each series is a page and most are alike; else None."""
    kinds = [(each.shape, str(each.dtype), each.axes) for each in series]
    usual, count = Counter(kinds).most_common(1)[0]
    if count < 2 or any(each.kind not in {"shaped", "generic", "uniform"} or len(each) != 1 for each in series):
        return None
    odd = next(number for number, kind in enumerate(kinds) if kind != usual)
    more = f", and so do {len(series) - count - 1} more" if len(series) - count > 1 else ""
    return (
        f"page {odd} (from 0) of {len(series)} has shape {kinds[odd][0]} and type {kinds[odd][1]}, but most pages have "
        f"{usual[0]} and {usual[1]}{more}; expected pages of one shape and type: save them alike, or remove that page"
    )


def _check_number(tif: Any) -> None:
    """Raise if fewer pages are present than tifffile's own metadata state: it logs that, and returns the first page."""
    page = tif.pages.first
    text = getattr(page, "shaped_description", None) or page.is_shaped  # is_shaped was the text in earlier versions
    notes = json.loads(text) if isinstance(text, str) and text.startswith("{") else {}
    stated = () if notes.get("truncated") else tuple(notes.get("shape", ()))  # truncated: one page states all pixels
    expected = math.prod(stated) // max(page.size, 1)
    if stated[-page.ndim :] == page.shape and expected > len(tif.pages):
        present = f"{count_noun(len(tif.pages), 'page')} {choose_form(len(tif.pages), 'is', 'are')} present"
        msg = f"the TIFF is damaged: its metadata state {count_noun(expected, 'page')}, {present}; {CUT_SHORT}"
        raise FrameError(msg)


def _check_complete(series: Any) -> None:
    """Raise if pixels lie beyond the end of the file: tifffile returns zeros for some of them."""
    if series.dataoffset is not None:
        return  # read in one piece, and a short read is an error there
    for page in series:
        if page is None:
            msg = (
                "pages that its metadata name are missing; if they are in other files of an OME-TIFF, give one of those"
            )
            raise FrameError(msg)
        _check_extent(page)


def _check_extent(page: Any) -> None:
    """Raise if pixels lie beyond the end of the open file of a page, or a compressed image is larger than the page."""
    size = page.parent.filehandle.size
    end = max((at + length for at, length in zip(page.dataoffsets, page.databytecounts, strict=False)), default=0)
    if end > size:
        msg = f"pixels up to byte {end} are expected, the file has {size}"
        raise ValueError(msg)
    check_streams(page, page.parent.filehandle)


def _name_axes(axes: str, unnamed: str) -> str:
    """Name the axes that tifffile calls Q or I (unknown) by the free letters of `unnamed`, in the order of the axes.

    >>> _name_axes("QYX", "tz"), _name_axes("QQYX", "tz"), _name_axes("TQYX", "tz"), _name_axes("QYX", "zt")
    ('tyx', 'tzyx', 'tzyx', 'zyx')
    """
    unknown = sum(axis in "QI" for axis in axes)
    free = [letter for letter in unnamed if letter.upper() not in axes][:unknown]
    free.sort(key="tzc".index)
    free += ["q"] * (unknown - len(free))
    return "".join(free.pop(0) if axis in "QI" else axis.lower() for axis in axes)
