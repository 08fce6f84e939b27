"""Recipes of submissions to the Cell Tracking Challenge: the folder that is sent, and its check.

::

    SW/DATASET-01.sh, DATASET-02.sh, ...   a script per sequence, run in this folder
    SW/settings/DATASET.toml               the settings of a data set
    SW/models/                             trained networks, if the method has some
    SW/install.sh, requirements.txt        the Python environment, with exact versions
    SW/gnntrack-VERSION-py3-none-any.whl   gnntrack itself
    SW/README.md, LICENSE, submission.json
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gnntrack import __version__
from gnntrack.errors import InputError
from gnntrack.io.output import fresh_output
from gnntrack.settings import Settings
from gnntrack.settings_files import find_settings_file, list_settings_files
from gnntrack.submission.checking import RECORD, SequenceReport, SubmissionReport, check_submission
from gnntrack.submission.datasets import (
    BENCHMARKS,
    SEQUENCES,
    Benchmark,
    DataSet,
    find_dataset,
    parse_script_name,
)
from gnntrack.submission.packaging import list_requirements, read_licence, write_wheel
from gnntrack.submission.texts import Method, format_install, format_readme, format_script
from gnntrack.submission.tracker import Tracker

__all__ = [
    "SequenceReport",
    "SubmissionReport",
    "Tracker",
    "check_submission",
    "find_datasets",
    "list_differences",
    "write_submission",
]

_log = logging.getLogger(__name__)

_NOT_DATASETS = {"default", "internship-report"}
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def find_datasets(places: Iterable[str | Path], benchmark: Benchmark) -> list[DataSet]:
    """Return the data sets of a submission.

    Parameters
    ----------
    places : iterable of path or str
        Their folders, or names of data sets of the challenge.
    benchmark : "linking" or "tracking"
        Which benchmark.

    Raises
    ------
    InputError
        If there is none, one is not found or lacks input, or two have one name.

    Examples
    --------
    >>> find_datasets(["PhC-C2DL-PSC"], "linking")
    [DataSet(name='PhC-C2DL-PSC', sequences=('01', '02'))]
    """
    known = list_settings_files().keys() - _NOT_DATASETS
    found = [find_dataset(place, benchmark, known=sorted(known)) for place in places]
    names = [each.name for each in found]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None or not found:
        msg = (
            f"the data set {double} is given twice; give each once" if double else "no data set is given; give folders"
        )
        raise InputError(msg)
    for each in found:
        missing = [sequence for sequence in SEQUENCES if sequence not in each.sequences]
        if missing:
            _log.warning("%s: no sequence %s, which a submission has; its script is not written", each.name, missing[0])
    return found


def write_submission(
    places: Iterable[str | Path],
    out: str | Path,
    *,
    benchmark: Benchmark = "linking",
    tracker: Tracker | None = None,
    config: str | Path | None = None,
    overwrite: bool = False,
) -> list[str]:
    """Write the folder of a submission, ``SW``, and return the names of its scripts.

    Parameters
    ----------
    places : iterable of path or str
        Folders of data sets, or names of data sets of the challenge, which then have sequences 01 and 02.
    out : path
        The folder.
    benchmark : "linking" or "tracking"
        The linking benchmark links masks that are given (``01_ERR_SEG``), the tracking benchmark starts from images.
    tracker : Tracker, optional
        How the results are made; default: the method ``hungarian``.
    config : path, optional
        Settings: a file for all data sets, or a folder with a file ``DATASET.toml`` for each. They replace the
        settings that come with gnntrack for a data set of the challenge, such as its margin, one by one.
    overwrite : bool
        Replace an older submission.

    Raises
    ------
    InputError
        If a data set, the method, the segmenter or a model cannot be used.
    OutputError
        If `out` exists, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_submission(["PhC-C2DL-PSC"], Path(folder, "SW"))
    ['PhC-C2DL-PSC-01.sh', 'PhC-C2DL-PSC-02.sh']
    """
    if benchmark not in BENCHMARKS:
        msg = f"unknown benchmark '{benchmark}'; there are: {', '.join(BENCHMARKS)}"
        raise InputError(msg)
    datasets = find_datasets(places, benchmark)
    tracker = tracker or Tracker()
    tracker.check(benchmark)
    settings = {each.name: _read_settings(each.name, config) for each in datasets}
    requirements = list_requirements(["gnntrack", *tracker.list_roots(benchmark)])
    with fresh_output(out, overwrite=overwrite) as folder:
        (folder / "settings").mkdir(parents=True)
        wheel = write_wheel(folder)
        method, changes = tracker.write_models(folder, settings.values(), benchmark)
        settings = {name: _change_settings(each, changes) for name, each in settings.items()}
        texts = _make_texts(datasets, settings, benchmark, method)
        texts["install.sh"] = format_install(wheel.name, _PYTHON)
        texts["requirements.txt"] = "".join(f"{line}\n" for line in requirements)
        _write_texts(folder, texts)
        record = _make_record(benchmark, datasets, texts)
        (folder / RECORD).write_text(json.dumps(record, indent=2), encoding="utf-8")
    return [name for name in texts if parse_script_name(name) is not None]


def _make_texts(
    datasets: Sequence[DataSet], settings: Mapping[str, Settings], benchmark: Benchmark, method: Method
) -> dict[str, str]:
    """Return the text of each file that depends on the data sets."""
    differences = {name: list_differences(each) for name, each in settings.items()}
    return {
        **{f"settings/{name}.toml": each.to_toml() for name, each in settings.items()},
        **{
            f"{each.name}-{sequence}.sh": format_script(each, sequence, benchmark, method)
            for each in datasets
            for sequence in each.sequences
        },
        "README.md": format_readme(datasets, benchmark, method, differences=differences, python=_PYTHON),
        "LICENSE": read_licence(),
    }


def _read_settings(name: str, config: str | Path | None) -> Settings:
    """Return the settings of a data set: those that come with gnntrack, replaced by those of a file."""
    shipped = list_settings_files()
    own = Settings.from_toml(shipped[name]) if name in shipped else Settings()
    if config is None:
        return own
    path = Path(config).expanduser()
    is_folder = path.is_dir() and str(path) not in shipped  # a folder of data may have the name of its settings
    chosen = Settings.from_toml(path / f"{name}.toml" if is_folder else find_settings_file(path))
    given = {f"{section}__{key}": getattr(values, key) for section, values in chosen for key in values.given}
    return own.replace(**given)


def _change_settings(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Return settings with those that a submission needs; whether brightness is read stays if it is chosen."""
    chosen = settings.gnn.brightness is not None
    return settings.replace(**{key: value for key, value in changes.items() if not (chosen and "brightness" in key)})


def list_differences(settings: Settings) -> list[str]:
    """Return the settings of tracking that differ from their defaults.

    >>> list_differences(Settings().replace(repair__margin=25))
    ['repair.margin = 25']
    """
    plain = Settings()
    return [
        f"{section}.{key} = {value}"
        for section, values in settings
        for key, value in values
        if not section.startswith(("train", "simulate", "output")) and value != getattr(getattr(plain, section), key)
    ]


def _write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
        if name.endswith(".sh"):
            (folder / name).chmod(0o755)


def _make_record(benchmark: Benchmark, datasets: Sequence[DataSet], texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of ``submission.json``, by which the check finds files that were edited."""
    return {
        "gnntrack": __version__,
        "python": _PYTHON,
        "benchmark": benchmark,
        "data_sets": {each.name: list(each.sequences) for each in datasets},
        "sha256": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()},
    }
