"""Files of microscope makers (nd2, czi, lif), read by the optional package bioio."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from gnntrack.durations import convert_duration
from gnntrack.errors import FrameError, MissingDependencyError, explain_missing
from gnntrack.io.stack import UNREADABLE, Acquisition, Stack, convert_spacing, open_array

__all__ = ["SUFFIXES", "open_bio"]

SUFFIXES = (".nd2", ".czi", ".lif")


def open_bio(path: Path, *, axes: str | None = None, channel: int | str | None = None) -> Stack:
    """Open the first scene of a file that bioio reads.

    Parameters
    ----------
    path : Path
        The file.
    axes : str or None
        A letter per axis, in place of ``tczyx``.
    channel : int, str or None
        Number or name of the channel to read.

    Raises
    ------
    MissingDependencyError
        If bioio or its plug-in for this kind of file is not installed.
    FrameError
        If the file cannot be read, has several scenes, or several channels and none is chosen.
    """
    need, install = f"{path}: {path.suffix} files need", "pip install 'gnntrack[bioio]'"
    with explain_missing(need, "bioio", install, otherwise="save the movie as OME-TIFF"):
        from bioio import BioImage
    try:
        image = BioImage(path)
        scenes, array = list(image.scenes), image.get_image_dask_data("TCZYX")
        size, acquisition = image.physical_pixel_sizes, _read_acquisition(image)
    except UNREADABLE as error:
        if type(error).__name__ == "UnsupportedFileFormatError":
            plugin = f"bioio-{path.suffix.lower().removeprefix('.')}"
            msg = f"{path}: no plug-in of bioio reads it: pip install {plugin}; if it is installed, the file is damaged"
            raise MissingDependencyError(msg) from error
        msg = f"bioio cannot read it: {error}; check that the file is complete"
        raise FrameError(msg, file=path) from error
    if len(scenes) > 1:
        msg = f"it holds {len(scenes)} scenes ({', '.join(scenes[:3])}, ...); expected one: save one as OME-TIFF"
        raise FrameError(msg, file=path)
    sizes = {"z": size.Z, "y": size.Y, "x": size.X}
    ndim = 3 if array.shape[2] > 1 else 2
    spacing = convert_spacing(sizes, dict.fromkeys("zyx", "um"), ndim)  # bioio gives micrometres
    return open_array(array, axes or "tczyx", name=str(path), spacing=spacing, channel=channel, acquisition=acquisition)


def _read_acquisition(image: Any) -> Acquisition:
    """Return the names of the channels and the interval; a number is not used, since plug-ins differ in its unit."""
    names: tuple[str, ...] = ()
    interval = None
    with suppress(*UNREADABLE):
        names = tuple(map(str, image.channel_names))
    with suppress(*UNREADABLE):
        interval = convert_duration(image.time_interval, None)
    return Acquisition(names, interval)
