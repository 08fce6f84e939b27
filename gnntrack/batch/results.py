"""The results of several movies by their names: those of a batch, and others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gnntrack.errors import InputError
from gnntrack.io.result_folders import EXTRAS
from gnntrack.plurals import choose_form, count_noun
from gnntrack.user_warnings import warn_user

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["list_results"]

_ENDING = "_RES"
_TABLE = "summary.csv"


def list_results(paths: Sequence[str | Path]) -> dict[str, Path | None]:
    """Return the results at some paths by the names of their movies.

    Parameters
    ----------
    paths : paths
        Each is a result (``NAME_RES`` or ``NAME``), a lineage (``NAME.geff``), or the output of ``gnntrack batch``,
        which stands for all results in it, with None for a position that has no result; this is a warning.

    Raises
    ------
    InputError
        If a path does not exist, the table of a batch cannot be read, or two results have one name.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("b.geff", "batch/a_RES"):
    ...     (folder / name).mkdir(parents=True)
    >>> written = (folder / "batch" / "summary.csv").write_text(chr(10).join(["position", "a"]))
    >>> sorted(list_results([folder / "b.geff", folder / "batch"]))
    ['a', 'b']
    """
    found: dict[str, Path | None] = {}
    for path in map(Path, paths):
        for name, result in (_list_batch(path) if (path / _TABLE).is_file() else {_name_movie(path): path}).items():
            if found.setdefault(name, result) is not result:
                msg = f"{result}: a second result of the movie '{name}', after {found[name]}; give one of the two"
                raise InputError(msg)
    return found


def _list_batch(folder: Path) -> dict[str, Path | None]:
    """Return the results that the table of a batch lists, by the name of the position."""
    import pandas as pd

    try:
        names = pd.read_csv(folder / _TABLE, dtype=str, keep_default_na=False)["position"].tolist()
    except (ValueError, KeyError) as error:
        msg = f"{folder / _TABLE}: not the table of a batch; give the output of 'gnntrack batch', or the results in it"
        raise InputError(msg) from error
    outside = next((name for name in names if Path(name).is_absolute() or ".." in Path(name).parts), None)
    if outside is not None:
        msg = f"{folder / _TABLE}: the position '{outside}' is not in this folder; give the output of 'gnntrack batch'"
        raise InputError(msg)
    results = {name: folder / f"{name}{_ENDING}" for name in names}
    lost = [name for name, path in results.items() if not path.exists()]
    if lost:
        warn_user(
            f"{folder}: {count_noun(len(lost), 'position')} {choose_form(len(lost), 'has', 'have')} no result, such as "
            f"{lost[0]}: {choose_form(len(lost), 'it', 'they')} failed; 'gnntrack batch ... --resume' tracks "
            f"{choose_form(len(lost), 'it', 'them')} again"
        )
    return {name: None if name in lost else path for name, path in results.items()}


def _name_movie(path: Path) -> str:
    """Return the name of the movie of a result: that of its path, without endings."""
    if not path.exists():
        msg = f"{path}: no such file or folder"
        raise InputError(msg)
    place = path.resolve()
    if place.parent.name == EXTRAS:  # RESULT/gnntrack/lineage.geff
        place = place.parent.parent
    name = place.name
    for ending in (".geff", ".zarr", ".csv", ".xml", _ENDING):
        name = name.removesuffix(ending)
    return name
