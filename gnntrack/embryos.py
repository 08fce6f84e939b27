"""Recipe of simulated embryos: volumes, ground truth and detections in the layout of the embryo competition."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gnntrack.errors import InputError
from gnntrack.io.omezarr_writer import write_omezarr
from gnntrack.io.output import fresh_output, try_output
from gnntrack.io.point_graph import write_point_graph
from gnntrack.options import accept_options
from gnntrack.settings import Settings

if TYPE_CHECKING:
    from gnntrack.simulate.embryo import SimulatedEmbryo
    from gnntrack.types import Progress

__all__ = ["EmbryoCounts", "simulate_embryos", "write_embryo"]


class EmbryoCounts(NamedTuple):
    """What is in a simulated embryo."""

    name: str
    nuclei: int
    """Nuclei of the ground truth, summed over the frames."""
    links: int
    divisions: int
    points: int
    """Detections."""


@accept_options("embryo")
def simulate_embryos(
    out: str | Path,
    *,
    settings: Settings | None = None,
    seed: int = 0,
    movies: int = 1,
    sparse: float | None = None,
    overwrite: bool = False,
    progress: Any = None,
    **options: Any,  # noqa: ARG001  (they are in the settings)
) -> list[EmbryoCounts]:
    """Write simulated embryos in the layout of the embryo competition.

    ::

        out/embryo_0000.zarr            volumes, OME-Zarr 0.5
        out/embryo_0000.geff            ground truth
        out/embryo_0000_points.csv      detections: t, z, y, x in voxels, radius in um, intensity

    Parameters
    ----------
    out : path
        Folder of the movies. Each is named after its seed.
    settings : Settings, optional
        Its section ``embryo`` is used.
    seed : int
        Seed of the first movie; each further one has the next seed.
    movies : int
        Number of movies.
    sparse : float, optional
        Fraction of the nuclei that are in the ground truth, as whole lineages; if None, all of them.
    overwrite, progress
        As in `gnntrack.track`.
    **options
        Settings of the section by their names, such as ``frames=6`` or ``cells=600``.

    Returns
    -------
    list of EmbryoCounts
        What is in each movie.

    Raises
    ------
    InputError
        If `movies` is not a number from 1, or `sparse` not a fraction.
    OutputError
        If `out` exists or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from gnntrack.io import read_point_graph
    >>> folder = Path(tempfile.mkdtemp(), "embryos")
    >>> counts = simulate_embryos(folder, frames=3, shape=(16, 64, 64), cells=9, seed=5)
    >>> counts[0].name, len(read_point_graph(folder / "embryo_0005.geff")) == counts[0].nuclei
    ('embryo_0005', True)
    """
    from gnntrack.simulate.embryo import simulate_embryo

    if not isinstance(movies, int) or isinstance(movies, bool) or movies < 1:
        msg = f"movies={movies!r}: expected a number of movies from 1"
        raise InputError(msg)
    if sparse is not None and not 0 < sparse <= 1:
        msg = f"sparse={sparse}: expected a fraction of the nuclei above 0 and at most 1, such as 0.03"
        raise InputError(msg)
    try_output(out, overwrite=overwrite)
    counts = []
    with fresh_output(out, overwrite=overwrite) as folder:
        folder.mkdir()
        for number in range(seed, seed + movies):
            embryo = simulate_embryo(settings=(settings or Settings()).embryo, seed=number)
            counts.append(write_embryo(embryo, folder, f"embryo_{number:04d}", sparse=sparse, progress=progress))
    return counts


def write_embryo(
    embryo: SimulatedEmbryo,
    folder: str | Path,
    name: str,
    *,
    sparse: float | None = None,
    progress: Progress | None = None,
) -> EmbryoCounts:
    """Write volumes, ground truth and detections of an embryo; see `simulate_embryos`.

    Parameters
    ----------
    embryo : SimulatedEmbryo
        From `gnntrack.simulate.embryo.simulate_embryo`. Volumes are not written if its setting `images` is off.
    folder : path
        A folder that exists.
    name : str
        First part of the names of its files.
    sparse : float, optional
        Fraction of the nuclei that are in the ground truth.
    progress : Progress, optional
        Called after each frame.

    Returns
    -------
    EmbryoCounts
        What was written.
    """
    folder = Path(folder)
    dense = replace(embryo.truth, total=float(len(embryo.truth)) or None)
    truth = dense if sparse is None else embryo.sparse_truth(sparse)
    write_point_graph(truth, folder / f"{name}.geff", whole_voxels=embryo.settings.whole_voxels)
    embryo.points.to_csv(folder / f"{name}_points.csv", index=False, lineterminator="\n")
    if embryo.settings.images:
        write_omezarr(embryo.images.frames, folder / f"{name}.zarr", progress=progress)
    divisions = int((truth.children > 1).sum())
    return EmbryoCounts(name, len(truth), len(truth.source), divisions, len(embryo.points))
