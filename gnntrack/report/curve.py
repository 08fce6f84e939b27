"""Learning curve: loss and validation figures of a training, step by step."""

from __future__ import annotations

import csv
import math
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gnntrack.errors import FormatError
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes

    from gnntrack.types import FloatArray

__all__ = ["draw_learning_curve"]

_COLUMNS = ("step", "loss", "learning_rate", "validation_score", "best")
_FIGURE = "validation_"  # prefix of the columns of validation figures
_WORDS = {"division_f1": "division F1", "dice": "Dice", "seg": "SEG", "f1": "F1"}
_COLOURS = ("#333333", "#b3441c", "#1f6f8b", "#6b8e23", "#7a4f9a")
_INK, _FAINT, _BEST = "#333333", "#bbbbbb", "#c99700"


def draw_learning_curve(log: str | Path, *, title: str | None = None) -> Figure:
    r"""Draw the log of a training: the loss with the learning rate, and below it the validation figures.

    The loss and each validation figure except the score have a panel of their own. A gold line in each panel marks
    the step of the best validation score, whose weights are kept; its figures are in the title.

    Parameters
    ----------
    log : path
        The ``log.csv`` of a model: a table with the columns ``step, loss, learning_rate, validation_score, best``,
        and further validation figures in columns whose names begin with ``validation_``. A cell is empty if
        the figure was not computed at that step.
    title : str, optional
        Default: number of steps, and the figures of the best step.

    Returns
    -------
    Figure
        To be shown, embedded, or written by `gnntrack.report.save_figure`.

    Raises
    ------
    FormatError
        If the log does not exist, is not such a table, or has no row.

    Examples
    --------
    >>> import tempfile
    >>> log = Path(tempfile.mkdtemp()) / "log.csv"
    >>> _ = log.write_text("step,loss,learning_rate,validation_score,best\n10,0.5,0.001,,0\n")
    >>> draw_learning_curve(log).get_suptitle()
    '10 steps'
    """
    columns = _read(Path(log))
    best = _find_best(columns)
    panels = ["loss", *_list_figures(columns)]
    figure = Figure(figsize=(7, 1.1 + 1.7 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for ax, name, colour in zip(axes, panels, cycle(_COLOURS), strict=False):
        label = name if name == "loss" else f"{_get_word(name)}\n(validation)"
        _draw_panel(ax, columns["step"], columns[name], best, label=label, colour=colour)
        if name.endswith("error"):
            ax.set_ylim(bottom=0)
        elif name != "loss":
            ax.set_ylim(top=max(1.0, ax.get_ylim()[1]) if np.isfinite(columns[name]).any() else 1.0)
    _draw_rate(axes[0], columns)
    axes[-1].set_xlabel("step", fontsize=8, color=_INK)
    axes[-1].xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
    axes[-1].set_xlim(0, columns["step"][-1] * 1.02)
    figure.align_ylabels(axes)
    figure.suptitle(_describe(columns, best) if title is None else title, fontsize=9, color=_INK)
    return figure


def _read(log: Path) -> dict[str, FloatArray]:
    """Return the columns of the log; an empty cell is NaN."""
    try:
        with log.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"{log}: the log of a training cannot be read ({error})"
        raise FormatError(msg) from error
    missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        msg = f"{log}: not the log of a training: column '{missing[0]}' is missing; give the log.csv of a model"
        raise FormatError(msg)
    if not rows:
        msg = f"{log}: it has no row yet; train for some more steps"
        raise FormatError(msg)
    names = [*_COLUMNS, *(name for name in reader.fieldnames or () if name.startswith(_FIGURE))]
    columns = {name: np.array([_number(log, i, name, row[name]) for i, row in enumerate(rows)]) for name in names}
    _check_steps(log, columns["step"])
    return columns


def _check_steps(log: Path, step: FloatArray) -> None:
    wrong = np.flatnonzero(~np.isfinite(step) | (step < 0))
    if len(wrong):
        msg = f"{log}: line {wrong[0] + 2}: 'step' is '{step[wrong[0]]:g}', expected a number from 0"
        raise FormatError(msg)


def _list_figures(columns: Iterable[str]) -> list[str]:
    """Return the columns of validation figures, without the score, which is computed from them."""
    return [name for name in columns if name.startswith(_FIGURE) and name != "validation_score"]


def _get_word(column: str) -> str:
    name = column.removeprefix(_FIGURE)
    return _WORDS.get(name, name.replace("_", " "))


def _number(log: Path, row: int, name: str, text: str | None) -> float:
    try:
        return float(text) if text and text.strip() else math.nan
    except ValueError:
        msg = f"{log}: line {row + 2}: '{name}' is '{text}', expected a number"
        raise FormatError(msg) from None


def _find_best(columns: dict[str, FloatArray]) -> int | None:
    """Return the row whose weights were kept: the last one with a new best score."""
    rows = np.flatnonzero(columns["best"] == 1)
    return int(rows[-1]) if len(rows) else None


def _draw_panel(ax: Axes, step: FloatArray, value: FloatArray, best: int | None, *, label: str, colour: str) -> None:
    known = np.isfinite(value)
    dots = "o" if known.sum() <= 60 else None
    ax.plot(step[known], value[known], color=colour, linewidth=1.2, marker=dots, markersize=2.5)
    if best is not None:
        ax.axvline(step[best], color=_BEST, linewidth=1, zorder=0)
        ax.plot(step[best], value[best], marker="o", markersize=6, color=_BEST, markeredgecolor="white", zorder=3)
    if not known.any():
        ax.text(0.5, 0.5, "not taken", transform=ax.transAxes, ha="center", va="center", fontsize=8, color=_FAINT)
        ax.set_yticks([])
    ax.set_ylabel(label, fontsize=8, color=_INK)
    ax.tick_params(labelsize=7, colors=_INK, length=2)
    ax.grid(axis="y", color=_FAINT, linewidth=0.3, alpha=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def _draw_rate(ax: Axes, columns: dict[str, FloatArray]) -> None:
    """Draw the learning rate behind the loss, with an axis of its own on the right."""
    if not np.isfinite(columns["learning_rate"]).any():
        return
    right = ax.twinx()
    right.fill_between(columns["step"], columns["learning_rate"], color=_FAINT, alpha=0.35, linewidth=0)
    right.set_ylim(bottom=0)
    right.set_ylabel("learning rate", fontsize=8, color="#888888")
    right.tick_params(labelsize=7, colors="#888888", length=2)
    right.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
    right.yaxis.get_offset_text().set(fontsize=6, color="#888888")
    right.spines[:].set_visible(False)
    ax.set_zorder(right.get_zorder() + 1)  # the loss is drawn over it
    ax.patch.set_visible(False)


def _describe(columns: dict[str, FloatArray], best: int | None) -> str:
    length = count_noun(columns["step"][-1], "step")
    if best is None:
        return length
    figures = [
        f"{_get_word(name)} {columns[name][best]:.4g}"
        for name in (*_list_figures(columns), "validation_score")
        if math.isfinite(columns[name][best])
    ]
    return f"{length}; best at step {columns['step'][best]:.0f}: {', '.join(figures)}"
