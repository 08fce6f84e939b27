"""Kinds of movies that are left out together, so that few networks are needed to test all kinds.

A kind is a data set or a family of simulated movies. The network that is tested on a kind has learnt from none of its
group, and related kinds are in one group: rods, tissues that touch everywhere, embryos, crawling cells.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from gnntrack import simulate
from gnntrack.training.sequences import TrainingSequence, find_sequences

SEED = 200  # of the simulated movies for tests; development uses seeds from 1000 on


class Kind(NamedTuple):
    """A kind of movies, and the movie that it is tested on.

    Parameters
    ----------
    name : str
        Name in the tables; of a simulated kind, that of `gnntrack.simulation_settings.MOVIE_KINDS`.
    group : int
        Kinds of one group are left out together.
    truth : str
        Folder of the ground truth, in the folder of movies or in that of more movies; empty for a simulated kind.
    first, last : int
        The frames that are used, without the last one; long movies are cut, so that every peer can track them.
    """

    name: str
    group: int
    truth: str = ""
    first: int = 0
    last: int = 100

    @property
    def dataset(self) -> str:
        """The data set; empty for a simulated kind."""
        return self.truth.partition("/")[0]


KINDS = (
    Kind("HeLa", 0, "Fluo-N2DL-HeLa/01_GT", last=60),
    Kind("E. coli", 0, "Masks-EcoliAgarPad/01_GT"),
    Kind("BBBC050", 0, "BBBC050-mouse-embryo-3D/01_GT"),
    Kind("colony", 0),
    Kind("channels", 0),
    Kind("PSC", 1, "PhC-C2DL-PSC/01_GT", 150, 200),
    Kind("CHO", 1, "Fluo-N3DH-CHO/02_GT"),
    Kind("sheet", 1),
    Kind("epithelium", 1),
    Kind("SIM+", 2, "Fluo-N2DH-SIM+/01_GT"),
    Kind("GOWT1", 2, "Fluo-N2DH-GOWT1/01_GT"),
    Kind("ascidian", 2, "Masks3D-Ascidian/07_GT", last=60),
    Kind("cleavage", 2),
    Kind("MSC", 3, "Fluo-C2DL-MSC/01_GT"),
    Kind("iPSC", 3, "iPSC-02/02_GT"),
    Kind("cells", 3),
    Kind("sparse", 3),
    Kind("amoeboid", 3),
)
GROUPS = tuple(sorted({kind.group for kind in KINDS}))


def name_model(group: int) -> str:
    """Return the name of the folder of the network that has learnt from no kind of a group.

    >>> name_model(2)
    'without-2'
    """
    return f"without-{group}"


def list_training_data(group: int, data: Path, more: Path) -> list[Path]:
    """Return the folders of the data sets to train on when a group is left out."""
    datasets = dict.fromkeys(kind.dataset for kind in KINDS if kind.dataset and kind.group != group)
    return [_find_truth(f"{name}/*_GT", data, more).parent for name in datasets]


def list_simulated_kinds(group: int) -> list[str]:
    """Return the families of simulated movies to train on when a group is left out.

    >>> list_simulated_kinds(3)
    ['colony', 'channels', 'sheet', 'epithelium', 'cleavage']
    """
    return [kind.name for kind in KINDS if not kind.truth and kind.group != group]


def find_movie(kind: Kind, data: Path, more: Path, work: Path) -> TrainingSequence:
    """Return the whole movie of a kind; a simulated one is written to a folder of ``work`` if it is not there."""
    if not kind.truth:
        folder = work / f"{kind.name}-{SEED}"
        if not folder.exists():
            simulate(folder, kind=kind.name, seed=SEED)
        return find_sequences(folder)[0]
    sequence = find_sequences(_find_truth(kind.truth, data, more))[0]
    images = data / sequence.dataset / sequence.number  # of CHO, the images are not beside the truth
    return replace(sequence, images=images) if sequence.images is None and images.is_dir() else sequence


def _find_truth(place: str, *homes: Path) -> Path:
    found = [truth for home in homes for truth in sorted(home.glob(place))]
    if not found:
        msg = f"{place}: not in {' or '.join(map(str, homes))}"
        raise FileNotFoundError(msg)
    return found[0]
