"""From a path, a pattern, a list or an array to a movie: which reader opens it."""

from __future__ import annotations

import difflib
import logging
import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.errors import FrameError, InputError
from gnntrack.frame_array import FrameArray
from gnntrack.io.colours import open_best_colour
from gnntrack.io.patterns import FileSeries, has_pattern, match_pattern, split_pattern
from gnntrack.io.stack import Layout, Stack, guess_axes, lay_out, open_array, open_channels, select_channel
from gnntrack.plurals import count_noun
from gnntrack.types import FrameStack

if TYPE_CHECKING:
    from gnntrack.types import Image

__all__ = ["SourceOptions", "open_source"]

_log = logging.getLogger(__name__)

_DIMENSIONS = {"time": "t", "frame": "t", "timepoint": "t", "plane": "z", "depth": "z", "slice": "z", "channel": "c"}
_DIMENSIONS |= {"row": "y", "height": "y", "col": "x", "column": "x", "width": "x", "band": "c", "ch": "c"}


class SourceOptions(NamedTuple):
    """How a source is opened; see `gnntrack.io.open_frames`."""

    axes: str | None = None
    channel: int | str | None = None
    allow_missing: bool = False
    pattern: str | None = None
    position: str | None = None
    role: str = "images"
    """``"images"`` or ``"masks"``: which files of a folder are read, and in which formats."""


def open_source(source: Any, options: SourceOptions) -> FrameStack:
    """Open a movie from any source; of RGB images, the colour with the best contrast, if no channel is chosen.

    Raises
    ------
    FrameError
        If a file does not exist or cannot be read.
    InputError
        If the source is of no known type.
    """
    source = source.frames if isinstance(source, FrameArray) else _keep_items(source)

    def open_channel(axes: str | None, channel: int | str | None) -> FrameStack:
        return _open(source, options._replace(axes=axes, channel=channel))

    opened: FrameStack = open_best_colour(open_channel, options.axes, options.channel, role=options.role)
    return opened


def _open(source: Any, options: SourceOptions) -> FrameStack:
    if isinstance(source, FrameStack):
        return source if options.channel is None else select_channel(source, options.channel)
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        try:
            return _open_path(path, options)
        except PermissionError as error:
            msg = "no permission to read it; change its permissions"
            raise FrameError(msg, file=path) from error
    _refuse_objects(source)
    listed = _list_items(source)
    if listed is not None:
        return _open_list(listed, options)
    if type(source).__module__.partition(".")[0] == "zarr":
        from gnntrack.io.omezarr import open_node

        return open_node(source, axes=options.axes, channel=options.channel)
    if not (hasattr(source, "shape") and hasattr(source, "__getitem__")):
        msg = f"frames from {type(source).__name__}: expected a path, an array (t, [z], y, x) or a FrameStack"
        raise InputError(msg)
    return _open_array(source, options)


def _refuse_objects(source: Any) -> None:
    """Raise if a source is an array-like object that would be read wrongly or not at all.

    Raises
    ------
    InputError
        For masked arrays, tables of pandas, and arrays of dask of unknown shape, with the remedy.
    """
    kind, shape = type(source).__name__, getattr(source, "shape", ())
    if any(isinstance(each, np.ma.MaskedArray) for each in (source, *(source if isinstance(source, list) else ()))):
        msg = "a masked array: its hidden pixels would be read; give array.filled(0), with another value for images"
    elif kind == "DataFrame":
        msg = "a DataFrame is not a movie; save it with to_csv(), and give that file to import_tracks()"
    elif isinstance(shape, tuple) and any(map(math.isnan, shape)):
        msg = f"an array of unknown shape {shape}; call its compute_chunk_sizes() first"
    else:
        return
    raise InputError(msg)


def _open_array(source: Any, options: SourceOptions) -> FrameStack:
    """Open an array, which may have named dimensions and coordinates."""
    axes = options.axes or _name_dimensions(source)
    if axes is None or not hasattr(source, "coords"):
        return open_array(source, axes, name="array", channel=options.channel)
    from gnntrack.io.coordinates import read_acquisition, read_spacing

    spacing, acquisition = read_spacing(source, axes), read_acquisition(source, axes)
    return open_array(source, axes, name="array", spacing=spacing, channel=options.channel, acquisition=acquisition)


def _list_items(source: Any) -> Sequence[Any] | None:
    """Return the items of a list of frames or of an array of paths; None for another source."""
    if isinstance(source, np.ndarray) and source.ndim == 1 and source.dtype.kind in "UO":
        return list(source.tolist())
    return source if isinstance(source, list | tuple) else None


def _keep_items(source: Any) -> Any:
    """Return the items of an iterator as a list, and another source as it is.

    Paths of an iterator, such as ``folder.glob("*.tif")``, come in no order, and are put in natural order.
    """
    if not isinstance(source, Iterator) or hasattr(source, "read"):  # an open file yields lines
        return source
    items = list(source)
    return _sort_paths(items) if all(isinstance(item, Path) for item in items) else items


def _sort_paths(files: list[Path]) -> list[Path]:
    from gnntrack.io.file_names import parse_file_name

    return sorted(files, key=lambda path: parse_file_name(path.name).order)


def _name_dimensions(array: Any) -> str | None:
    """Return the axes of an array with named dimensions (xarray), or None.

    >>> from types import SimpleNamespace
    >>> _name_dimensions(SimpleNamespace(dims=("time", "Y", "X")))
    'tyx'
    """
    names = [str(name).lower() for name in getattr(array, "dims", None) or ()]
    letters = [_DIMENSIONS.get(name, name) for name in names]
    return "".join(letters) if letters and all(letter in set("tzyxcs") for letter in letters) else None


def _open_path(path: Path, options: SourceOptions) -> FrameStack:
    # each reader is imported when it is first used, since its libraries are slow to import
    if options.pattern is None and not path.exists():
        if not has_pattern(str(path)):
            raise FrameError(_describe_missing(path), file=path)
        path, pattern = split_pattern(path)
        options = options._replace(pattern=pattern)
    if options.pattern is None and not path.is_dir():
        return _open_file(path, options)
    from gnntrack.io.omezarr import is_zarr, open_zarr
    from gnntrack.io.series import open_series

    if options.pattern is None and is_zarr(path):
        return open_zarr(path, axes=options.axes, channel=options.channel)
    series = _list_files(path, options)
    if len(series.files) == len(series.files[0]) == 1 and (
        options.pattern is not None or _holds_movie(series.first, options)
    ):
        return _open_file(series.first, options)
    return open_series(series, axes=options.axes, channel=options.channel, role=options.role)


def _holds_movie(path: Path, options: SourceOptions) -> bool:
    """Return whether the only file of a folder is a movie: by its metadata, or by the axes that are given."""
    from gnntrack.io import numpy_files, tiff

    if tiff.is_tiff(path):
        return tiff.holds_movie(path, options.axes)
    if path.suffix.lower() not in numpy_files.SUFFIXES or "t" not in (options.axes or "").lower():
        return False
    return len(numpy_files.NumpyFile(path, masks=options.role == "masks").shape) == len(options.axes or "")


def _list_files(path: Path, options: SourceOptions) -> FileSeries:
    if options.pattern is None:
        from gnntrack.io.folders import list_folder

        return list_folder(path, role=options.role, allow_missing=options.allow_missing)
    return match_pattern(
        path.parent if path.is_file() else path,
        options.pattern,
        position=options.position,
        allow_missing=options.allow_missing,
        role=options.role,
    )


def _open_file(path: Path, options: SourceOptions) -> FrameStack:
    from gnntrack.io import bio, numpy_files, tiff, video
    from gnntrack.io.folders import FRAME_SUFFIXES
    from gnntrack.io.foreign import describe_format
    from gnntrack.io.series import make_series, open_series

    suffix, axes, channel = path.suffix.lower(), options.axes, options.channel
    if suffix in tiff.SUFFIXES:
        if options.role == "masks":
            tiff.refuse_lossy(path)
        return tiff.open_tiff(path, axes=axes, channel=channel)
    if suffix in numpy_files.SUFFIXES:
        array = numpy_files.NumpyFile(path, masks=options.role == "masks")
        return open_array(array, axes, name=str(path), channel=channel)
    if suffix in bio.SUFFIXES:
        return bio.open_bio(path, axes=axes, channel=channel)
    if suffix in video.SUFFIXES:
        return video.open_video(path, axes=axes, channel=channel, masks=options.role == "masks")
    if suffix in FRAME_SUFFIXES:
        return open_series(make_series([path]), axes=axes, channel=channel, role=options.role)
    raise FrameError(describe_format(path), file=path)


def _describe_missing(path: Path) -> str:
    siblings = [sibling.name for sibling in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, siblings, 1)
    return f"no such file or folder; {f'did you mean {path.parent / near[0]}?' if near else 'check the path'}"


# ---------------------------------------------------------------- lists


def _open_list(items: Sequence[Any], options: SourceOptions) -> FrameStack:
    if items and all(isinstance(item, str | Path) for item in items):
        if len(items) == 1:
            return open_source(items[0], options)
        from gnntrack.io.series import make_series, open_series

        series = make_series(_put_in_order([Path(item).expanduser() for item in items]))
        return open_series(series, axes=options.axes, channel=options.channel, role=options.role)
    frames = [np.asarray(item) for item in items if not isinstance(item, str | Path)]
    if len(frames) < len(items) or min((frame.ndim for frame in frames), default=0) < 2:
        msg = f"a list of {count_noun(len(items), 'item')}: expected arrays or paths, one per frame"
        raise InputError(msg)
    shape = (1, *frames[0].shape)
    named = options.axes or guess_axes(shape, file="list", channel=options.channel)
    layout = lay_out(named, shape, file="list", channel=options.channel)
    names, spacing = ("list",) * len(frames), (1.0,) * len(layout.shape)
    return open_channels(lambda each: Stack(partial(_take, frames, each), names, each.shape, spacing), layout)


def _take(frames: Sequence[Image], layout: Layout, frame: int) -> Image:
    return layout.take(frames[frame][None], 0)


def _put_in_order(files: list[Path]) -> list[Path]:
    """Return paths in the order given, but in natural order if they are sorted by letters: t1, t10, t2."""
    from gnntrack.io.file_names import parse_file_name

    names = {path: parse_file_name(path.name) for path in files}
    natural = sorted(files, key=lambda path: names[path].order)
    if files == natural:
        return files
    at = next(k for k, pair in enumerate(zip(files, natural, strict=True)) if pair[0] != pair[1])
    first, second = files[at].name, natural[at].name
    if files == sorted(files):
        message = "the paths are sorted by letters (%s before %s); they are read in the order of their numbers"
        _log.warning(message, first, second)
        return natural
    if len({name.kind for name in names.values()}) == 1 and names[natural[0]].numbers:
        message = (
            "the paths are not in the order of their numbers (%s before %s), and are read as they are listed; "
            "if that is not meant, give the folder, which is read in the order of its numbers"
        )
        _log.warning(message, first, second)
    return files
