"""The texts of a submission: the script of a sequence, the script that makes the environment, and the README."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from string import Template

from gnntrack import __version__
from gnntrack.plurals import count_noun
from gnntrack.submission.datasets import BENCHMARKS, Benchmark, DataSet, list_inputs

__all__ = ["CONTACT", "Method", "format_install", "format_readme", "format_script"]

CONTACT = "CONTACT: replace this line by the names, affiliations and e-mail addresses of the participants."
"""Line of the README that participants replace."""

_METHODS = {
    "iou": "Cells of neighbouring frames are linked if their masks overlap.",
    "greedy": "Links are scored from motion, size and brightness of the cells, and chosen best first.",
    "hungarian": "Links are scored from motion, size and brightness of the cells, with scales that are estimated from "
    "the movie itself, and chosen together by sparse optimal assignment. Divisions are chosen as pairs of daughters.",
    "gnn": "Links are scored from motion, size and brightness of the cells, and corrected by a graph neural network, "
    "in which links attend to the links that they compete with. Links are chosen by sparse optimal assignment.",
    "auto": "Links are scored from motion, size and brightness of the cells, and corrected by a graph neural network "
    "in movies that it suits. Links are chosen by sparse optimal assignment.",
}


@dataclass(frozen=True)
class Method:
    """How a submission makes its results.

    Parameters
    ----------
    name : str
        Of the method of tracking.
    arguments : strings
        Arguments of ``gnntrack track``, the same for all sequences.
    segmenter : str, optional
        Of the tracking benchmark.
    models : mapping of str to str
        Folder of each model in the submission, and its purpose.
    """

    name: str
    arguments: Sequence[str]
    segmenter: str | None = None
    models: dict[str, str] = field(default_factory=dict)


def format_script(dataset: DataSet, sequence: str, benchmark: Benchmark, method: Method) -> str:
    r"""Return the shell script of a sequence.

    Examples
    --------
    >>> text = format_script(DataSet("PSC", ("01",)), "01", "tracking", Method("iou", ["--method", "iou"]))
    >>> print(text[text.index("exec") :])
    exec .venv/bin/python -P -m gnntrack track ../PSC/01 \
        -o ../PSC/01_RES --overwrite --config settings/PSC.toml \
        --method iou
    <BLANKLINE>
    """
    place = f"../{dataset.name}"
    inputs = [f"{place}/{name}" for name in list_inputs(sequence, benchmark)]
    result = f"{place}/{sequence}_RES"
    lines = [
        f"exec .venv/bin/python -P -m gnntrack track {shlex.join(inputs)}",
        f"-o {shlex.quote(result)} --overwrite --config {shlex.quote(f'settings/{dataset.name}.toml')}",
        shlex.join(method.arguments),
    ]
    return f"""#!/bin/sh
# {BENCHMARKS[benchmark]}: sequence {sequence} of {dataset.name}
# reads {" and ".join(inputs)}, writes {result}
set -eu
cd "$(dirname "$0")"
if [ ! -x .venv/bin/python ]; then
    echo "$0: the Python environment is missing, run ./install.sh first (README.md)" >&2
    exit 2
fi
{f" {chr(92)}{chr(10)}    ".join(lines)}
"""


def format_install(wheel: str, python: str) -> str:
    """Return the shell script that makes the environment.

    Parameters
    ----------
    wheel : str
        File name of the wheel of gnntrack.
    python : str
        Version of Python, such as ``3.11``.
    """
    wanted = ", ".join(python.split("."))
    return f"""#!/bin/sh
# Makes the Python environment of this submission in .venv, with the exact versions of requirements.txt.
# It needs Python {python}, and the network or the packages in the folder wheels (README.md).
set -eu
cd "$(dirname "$0")"
python="${{PYTHON:-python{python}}}"
if ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] != ({wanted}))'; then
    echo "$0: $python is not Python {python}; name it: PYTHON=/path/to/python{python} ./install.sh" >&2
    exit 2
fi
"$python" -m venv --clear .venv
if [ -d wheels ]; then
    set -- --no-index --find-links wheels
fi
.venv/bin/python -m pip install "$@" --requirement requirements.txt
.venv/bin/python -m pip install --no-index --no-deps {shlex.quote(wheel)}
.venv/bin/python -m gnntrack --version
"""


def format_readme(
    datasets: Sequence[DataSet],
    benchmark: Benchmark,
    method: Method,
    *,
    differences: Mapping[str, Sequence[str]],
    python: str,
) -> str:
    """Return the README of a submission, in Markdown.

    Parameters
    ----------
    datasets : sequence of DataSet
        The data sets.
    benchmark : "linking" or "tracking"
        The benchmark.
    method : Method
        How the results are made.
    differences : mapping of str to strings
        Settings of each data set that differ from the defaults.
    python : str
        Version of Python.
    """
    scripts = [f"{each.name}-{sequence}.sh" for each in datasets for sequence in each.sequences]
    rows = [
        f"| {each.name} | {', '.join(each.sequences)} | {'; '.join(differences[each.name]) or 'none'} |"
        for each in datasets
    ]
    same = len({tuple(each) for each in differences.values()}) == 1
    inputs = (f"`../DATASET/{name.replace('01', 'NN')}`" for name in list_inputs("01", benchmark))
    template = Template((resources.files("gnntrack") / "submission" / "README.template").read_text(encoding="utf-8"))
    return template.substitute(
        benchmark=BENCHMARKS[benchmark],
        version=__version__,
        contact=CONTACT,
        count=f"{count_noun(len(scripts), 'script')} for {count_noun(len(datasets), 'data set')}",
        inputs=" and ".join(inputs),
        python=python,
        scripts="\n".join(f"./{name}" for name in scripts),
        method=_describe_method(benchmark, method),
        models="".join(f"- `{place}`: {purpose}\n" for place, purpose in method.models.items()),
        arguments=shlex.join(method.arguments),
        shared="All data sets have the same settings." if same else "Data sets differ in their settings.",
        table="\n".join(rows),
    )


def _describe_method(benchmark: Benchmark, method: Method) -> str:
    """Return sentences about the method."""
    given = "The masks are those in `NN_ERR_SEG`."
    if benchmark == "tracking":
        given = f"The segmenter `{method.segmenter}` of gnntrack makes masks of the images."
    tracked = _METHODS.get(method.name, f"Cells are linked by the method `{method.name}`.")
    after = (
        "Masks that are missing in gaps of a track are drawn, and cells outside the field of interest are removed. A "
        "frame without a cell has the cells of the nearest frame."
    )
    return f"{given} {tracked} {after}"
