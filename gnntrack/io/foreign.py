"""Formats that gnntrack does not read: for each, how to convert it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["describe_format"]

_FIJI = "open it in Fiji (File > Import > Bio-Formats), then save it by File > Save As > Tiff"
_BIOIO = "or by 'pip install bioio bioio-bioformats' and BioImage(FILE).save('movie.ome.tif')"
_ITK = "import SimpleITK as s, tifffile as t; t.imwrite('movie.tif', s.GetArrayFromImage(s.ReadImage(FILE)))"
_HDF5 = (
    "name the array in it and save it: import h5py, tifffile; f = h5py.File(FILE); print(list(f)); "
    "tifffile.imwrite('movie.tif', f['NAME'][:]). ilastik also exports TIFF: Export Settings > Format > multipage tiff"
)
_UNPACK = "unpack it first, and give the folder or file inside"
_ROIS = (
    "ImageJ outlines are not masks: in Fiji open the image and the ROI Manager with them, then make a label image "
    "(plugin 'BIOP' or 'LOCI': ROIs to label image), and save that as TIFF"
)
_LINEAGE = (
    "it is not a movie; points are given with --points, and 'gnntrack import --help' lists the tracking files that "
    "gnntrack reads"
)
_GEFF = (
    "a GEFF holds tracks or candidate links and is not a movie; 'gnntrack export', 'gnntrack import' and "
    "gnntrack.load read tracks, 'gnntrack solve' reads candidate links, and 'gnntrack track --points' tracks its points"
)
_OFFICE = "it is not a movie; give the folder of images or masks"
_MATLAB = (
    "import scipy.io as s, tifffile as t; m = s.loadmat(FILE); print(m.keys()); t.imwrite('movie.tif', m['NAME']) "
    "(version 7.3: h5py in place of scipy.io). The order of the axes may have to be changed: t, y, x is expected"
)

_REMEDIES: dict[tuple[str, ...], str] = {
    (".h5", ".hdf5", ".hdf", ".he5", ".ilp"): _HDF5,
    (".ims",): f"{_FIJI}, or export it in Imaris as TIFF series",
    (".mat",): _MATLAB,
    (".zip", ".gz", ".tgz", ".tar", ".7z", ".rar", ".bz2", ".xz"): _UNPACK,
    (".roi",): _ROIS,
    (".nrrd", ".nhdr", ".mha", ".mhd", ".nii", ".mrc", ".rec"): _ITK,
    (".csv", ".tsv", ".xml", ".json", ".parquet"): _LINEAGE,
    (".xls", ".xlsx", ".txt", ".md", ".pdf", ".doc", ".docx", ".ppt", ".pptx", ".svg", ".html", ".log"): _OFFICE,
    (".pkl", ".pickle", ".pt", ".pth", ".trk", ".joblib"): (
        "a pickle can execute code, so it is not read; where you made it, save its masks: "
        "tifffile.imwrite('masks.tif', masks)"
    ),
    (".raw", ".dat", ".bin"): (
        "raw bytes have no shape: in Fiji use File > Import > Raw, then File > Save As > Tiff, or "
        "numpy.fromfile(FILE, 'uint16').reshape(T, Y, X)"
    ),
    (".heic", ".heif", ".jp2", ".jxr", ".exr", ".dcm", ".fits", ".fit"): "save it as TIFF, for example with Fiji",
}


def describe_format(path: Path) -> str:
    """Return the message for a file that cannot be read, with the way to convert it.

    Examples
    --------
    >>> describe_format(Path("movie.ics"))
    "gnntrack cannot read '.ics' files; open it in Fiji (File > Import > Bio-Formats), then save it by \
File > Save As > Tiff, or by 'pip install bioio bioio-bioformats' and BioImage(FILE).save('movie.ome.tif')"
    """
    suffix = path.suffix.lower()
    if suffix == ".geff":
        return _GEFF
    known = next((remedy for suffixes, remedy in _REMEDIES.items() if suffix in suffixes), None)
    if suffix == ".zip" and "roi" in path.name.lower():
        known = _ROIS
    name = repr(path.name)
    remedy = (known or f"{_FIJI}, {_BIOIO}").replace("FILE", name if known else "FILE")
    return f"gnntrack cannot read '{suffix or path.name}' files; {remedy}"
