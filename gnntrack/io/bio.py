"""Files of microscope makers (nd2, czi, lif) through bioio, an optional package."""

from __future__ import annotations

from pathlib import Path

from gnntrack.errors import FrameError, MissingDependencyError
from gnntrack.io.stack import UNREADABLE, Stack, frames_of, spacing_in_um

__all__ = ["SUFFIXES", "open_bio"]

SUFFIXES = (".nd2", ".czi", ".lif")


def open_bio(path: Path, *, axes: str | None = None) -> Stack:
    """Open the first scene of a file that bioio reads.

    Parameters
    ----------
    path : Path
        The file.
    axes : str or None
        A letter per axis, over ``tczyx``.

    Raises
    ------
    MissingDependencyError
        If bioio or its plug-in for this kind of file is not installed.
    FrameError
        If the file cannot be read, has several scenes, or several channels.
    """
    try:
        from bioio import BioImage
    except ImportError as error:
        raise MissingDependencyError(_install(path)) from error
    try:
        image = BioImage(path)
        scenes, array = list(image.scenes), image.get_image_dask_data("TCZYX")
        size = image.physical_pixel_sizes
    except UNREADABLE as error:
        if type(error).__name__ == "UnsupportedFileFormatError":
            plugin = f"bioio-{path.suffix.lower().removeprefix('.')}"
            msg = f"{path}: no plug-in of bioio reads it: pip install {plugin}; if that is there, the file is damaged"
            raise MissingDependencyError(msg) from error
        msg = f"bioio cannot read it: {error}; is the file complete?"
        raise FrameError(msg, file=path) from error
    if len(scenes) > 1:
        msg = (
            f"it holds {len(scenes)} scenes ({', '.join(scenes[:3])}, ...); save the wanted one as OME-TIFF or OME-Zarr"
        )
        raise FrameError(msg, file=path)
    sizes = {"z": size.Z, "y": size.Y, "x": size.X}
    ndim = 3 if array.shape[2] > 1 else 2
    spacing = spacing_in_um(sizes, dict.fromkeys("zyx", "um"), ndim)  # bioio gives micrometres
    return frames_of(array, axes or "tczyx", name=str(path), spacing=spacing)


def _install(path: Path) -> str:
    return f"{path}: {path.suffix} files need bioio: pip install 'gnntrack[bioio]', or save the movie as OME-TIFF"
