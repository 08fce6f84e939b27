"""One movie in every format that gnntrack reads, for the contract tests of frame sources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
import zarr

FLAT = (np.arange(5 * 20 * 30).reshape(5, 20, 30) % 997).astype(np.uint16)
DEEP = (np.arange(3 * 4 * 20 * 30).reshape(3, 4, 20, 30) % 997).astype(np.uint16)


def write_folder(
    where: Path, movie: np.ndarray, *, name: str = "t{:03d}.tif", first: int = 0, **options: object
) -> Path:
    """Write a file per frame, as in a CTC folder."""
    where.mkdir(parents=True, exist_ok=True)
    for frame, image in enumerate(movie):
        path = where / name.format(frame + first)
        tifffile.imwrite(path, image, photometric="minisblack", **{"compression": "zlib", **options})
    return where


def write_unpadded_folder(where: Path, movie: np.ndarray) -> Path:
    """Write names whose alphabetical order is wrong (t8, t9, t10), next to files that are not frames."""
    write_folder(where, movie, name="t{}.TIFF", first=8)
    (where / "man_track.txt").write_text("1 0 4 0\n")
    (where / "._t8.tif").write_bytes(b"left behind by another system")
    return where


def make_tiff_writer(**options: object) -> Callable[[Path, np.ndarray], Path]:
    """Return a function that writes one file by tifffile with these options."""

    def write(where: Path, movie: np.ndarray) -> Path:
        path = where / ("movie.ome.tif" if options.get("ome") else "movie.tif")
        where.mkdir()
        named = {"axes": "TYX" if movie.ndim == 3 else "TZYX"} if options.get("ome") or options.get("imagej") else {}
        tifffile.imwrite(path, movie, photometric="minisblack", metadata=named, **options)
        return path

    return write


def write_page_by_page(where: Path, movie: np.ndarray) -> Path:
    """Write pages that are not contiguous, with a shape but without axes."""
    where.mkdir()
    with tifffile.TiffWriter(where / "movie.tif") as writer:
        planes, options = iter(movie.reshape(-1, *movie.shape[-2:])), {"shape": movie.shape, "dtype": movie.dtype}
        writer.write(planes, compression="lzw", photometric="minisblack", **options)
    return where / "movie.tif"


def write_pages(where: Path, movie: np.ndarray) -> Path:
    """Write pages without metadata."""
    where.mkdir()
    with tifffile.TiffWriter(where / "movie.tif") as writer:
        for image in movie:
            writer.write(image, metadata=None, contiguous=False)
    return where / "movie.tif"


def write_ome_folder(where: Path, movie: np.ndarray) -> Path:
    """Write an OME-TIFF per frame."""
    return write_folder(where, movie, name="t{:02d}.ome.tif", ome=True, metadata={"axes": "ZYX"[-movie.ndim + 1 :]})


def write_ome_set(where: Path, volume: np.ndarray) -> Path:
    """Write one OME-TIFF in several files, a slice each, whose metadata name each other."""
    where.mkdir()
    files = [f"z{n}.ome.tif" for n in range(len(volume))]
    parts = "".join(
        f'<TiffData FirstC="0" FirstT="0" FirstZ="{n}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{file}">urn:uuid:{n}</UUID></TiffData>'
        for n, file in enumerate(files)
    )
    z, y, x = volume.shape
    sizes = f'DimensionOrder="XYZCT" Type="uint16" SizeX="{x}" SizeY="{y}" SizeZ="{z}" SizeC="1" SizeT="1"'
    for n, file in enumerate(files):
        xml = (
            f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{n}">'
            f'<Image ID="Image:0"><Pixels ID="Pixels:0" {sizes}><Channel ID="Channel:0" SamplesPerPixel="1"/>{parts}'
            "</Pixels></Image></OME>"
        )
        tifffile.imwrite(where / file, volume[n], description=xml, metadata=None)
    return where


def write_ome_channels(where: Path, movie: np.ndarray) -> Path:
    """Write an OME-TIFF in the order of axes that microscopes use: one channel, slices within it."""
    where.mkdir()
    five = movie[:, None, None] if movie.ndim == 3 else movie[:, None]
    tifffile.imwrite(where / "movie.ome.tif", five, ome=True, metadata={"axes": "TCZYX"}, compression="zlib")
    return where / "movie.ome.tif"


def write_npy(where: Path, movie: np.ndarray) -> Path:
    where.mkdir()
    np.save(where / "movie.npy", movie)
    return where / "movie.npy"


def write_npy_fortran(where: Path, movie: np.ndarray) -> Path:
    where.mkdir()
    np.save(where / "movie.npy", np.asfortranarray(movie.astype(">u2")))
    return where / "movie.npy"


def make_ome_zarr_writer(version: str, *, labels: bool = False) -> Callable[[Path, np.ndarray], Path]:
    """Return a function that writes OME-Zarr 0.4 (zarr v2) or 0.5 (zarr v3).

    It has two levels, one channel, pixels of 0.5 um and slices of 2000 nm.
    """

    def write(where: Path, movie: np.ndarray) -> Path:
        inside = where / "labels" / "cells" if labels else where
        five = movie[:, None] if movie.ndim == 4 else movie[:, None, None]
        group = zarr.open_group(str(inside), mode="w", zarr_format=2 if version == "0.4" else 3)
        for level, step in (("0", 1), ("1", 2)):
            part = five[..., ::step, ::step]
            array = group.create_array(level, shape=part.shape, chunks=(1, 1, 1, 16, 16), dtype=part.dtype)
            array[...] = part
        group.attrs.update(describe_multiscales(version))
        return inside

    return write


def describe_multiscales(version: str) -> dict[str, object]:
    """Return the metadata of `make_ome_zarr_writer`."""
    units = {"t": "minute", "z": "nanometer", "y": "micrometer", "x": "micrometer"}
    kinds = {"t": "time", "c": "channel"}
    axes = [{"name": a, "type": kinds.get(a, "space"), **({"unit": units[a]} if a in units else {})} for a in "tczyx"]
    levels = [
        {
            "path": str(n),
            "coordinateTransformations": [{"type": "scale", "scale": [1.0, 1.0, 2000.0, 0.25 * k, 0.25 * k]}],
        }
        for n, k in enumerate((1, 2))
    ]
    whole = [{"type": "scale", "scale": [30.0, 1.0, 1.0, 2.0, 2.0]}]
    image = {"axes": axes, "datasets": levels, "coordinateTransformations": whole}
    if version == "0.4":
        return {"multiscales": [{"version": "0.4", **image}]}
    return {"ome": {"version": "0.5", "multiscales": [image]}}


def make_dask_array(where: Path, movie: np.ndarray) -> object:
    import dask.array as da

    return da.from_array(movie, chunks=(1, *movie.shape[1:]))


SOURCES: dict[str, Callable[[Path, np.ndarray], object]] = {
    "CTC folder": write_folder,
    "unpadded folder": write_unpadded_folder,
    "uncompressed folder": lambda where, movie: write_folder(where, movie, compression=None),
    "big-endian folder": lambda where, movie: write_folder(
        where, movie, byteorder=">", compression=None, metadata=None
    ),
    "OME folder": write_ome_folder,
    "timestamps": lambda where, movie: write_folder(where, movie, name="20240131_0{0}3015_t{0}.tif"),
    "contiguous TIFF": make_tiff_writer(),
    "pages without metadata": write_pages,
    "compressed TIFF": write_page_by_page,
    "big-endian TIFF": make_tiff_writer(byteorder=">", imagej=True),
    "ImageJ TIFF": make_tiff_writer(imagej=True),
    "compressed ImageJ TIFF": make_tiff_writer(imagej=True, compression="zlib"),
    "OME-TIFF": make_tiff_writer(ome=True),
    "compressed OME-TIFF": make_tiff_writer(ome=True, compression="zlib", tile=(16, 16)),
    "OME-TIFF with a channel axis": write_ome_channels,
    "npy": write_npy,
    "npy in Fortran order": write_npy_fortran,
    "OME-Zarr 0.4": make_ome_zarr_writer("0.4"),
    "OME-Zarr 0.5": make_ome_zarr_writer("0.5"),
    "OME-Zarr labels": make_ome_zarr_writer("0.5", labels=True),
    "numpy": lambda _, movie: movie,
    "other byte order": lambda _, movie: movie.astype(">u2"),
    "one channel": lambda _, movie: movie[:, None] if movie.ndim == 4 else movie[..., None],
    "dask": make_dask_array,
    "list": lambda _, movie: list(movie),
}
"""Name of each source and how to make it in a folder that is not there yet."""
