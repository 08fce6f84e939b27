"""The learning curve of a training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gnntrack.errors import FormatError, OutputError
from gnntrack.report import draw_learning_curve, save_figure

# logs of earlier versions have the column seconds, which is not drawn
HEAD = "step,seconds,loss,learning_rate,validation_link_error,validation_division_f1,validation_score,best"


def write_log(path: Path, *rows: str) -> Path:
    path.write_text("\n".join([HEAD, *rows]) + "\n")
    return path


def long_log(path: Path) -> Path:
    """Return a log of 8000 steps, validated every 400, best at step 6400."""
    random = np.random.default_rng(0)
    rows, best = [], -1.0
    for step in range(50, 8001, 50):
        loss = 0.4 * np.exp(-step / 1500) + 0.08 + 0.02 * random.normal()
        rate = 1e-3 * min(step / 400, 0.5 + 0.5 * np.cos(np.pi * step / 8000))
        figures = ",,,0"
        if step % 400 == 0:
            error = 0.012 * np.exp(-step / 2000) + 0.004 + 0.0004 * random.normal() + max(step - 6400, 0) * 1e-6
            f1 = 0.9 - 0.4 * np.exp(-step / 2500) + 0.01 * random.normal()
            score = 0.0 if step > 6400 else step / 8000
            figures = f"{error:.6f},{f1:.4f},{1 - error + f1:.5f},{int(score > best)}"
            best = max(score, best)
        rows.append(f"{step},{step * 0.31:.1f},{loss:.5f},{rate:.3g},{figures}")
    return write_log(path, *rows)


def test_the_panels_show_what_the_log_holds(tmp_path: Path) -> None:
    figure = draw_learning_curve(long_log(tmp_path / "log.csv"))
    loss, error, f1, _rate = figure.axes
    assert [len(ax.lines[0].get_xdata()) for ax in (loss, error, f1)] == [160, 20, 20]
    assert [ax.get_ylabel() for ax in figure.axes] == [
        "loss", "link error\n(validation)", "division F1\n(validation)", "learning rate",
    ]  # fmt: skip
    assert all(ax.lines[1].get_xdata()[0] == 6400 for ax in (loss, error, f1))
    assert figure.get_suptitle().startswith("8000 steps; best at step 6400: link error 0.00")
    assert f1.get_ylim()[1] >= 1


def test_the_same_log_gives_the_same_file(tmp_path: Path) -> None:
    log = long_log(tmp_path / "log.csv")
    for name in ("a.png", "b.png"):
        save_figure(draw_learning_curve(log, title="A training"), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    ("row", "title"),
    [
        ("10,3.5,0.5,0.001,,,,0", "10 steps"),
        ("10,3.5,0.5,,,,,", "10 steps"),
        ("10,3.5,0.5,0.001,0.01,,0.99,1", "10 steps; best at step 10: link error 0.01, score 0.99"),
        ("10,,nan,0.001,0.01,nan,0.99,1", "10 steps; best at step 10: link error 0.01, score 0.99"),
    ],
    ids=["no validation", "hardly anything", "no divisions", "no loss"],
)
def test_a_log_of_one_row(tmp_path: Path, row: str, title: str) -> None:
    assert draw_learning_curve(write_log(tmp_path / "log.csv", row)).get_suptitle() == title


def test_a_file_that_is_not_a_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"log.csv: the log of a training cannot be read"):
        draw_learning_curve(tmp_path / "log.csv")
    with pytest.raises(FormatError, match="it has no row yet"):
        draw_learning_curve(write_log(tmp_path / "log.csv"))
    with pytest.raises(FormatError, match="line 3: 'loss' is 'low', expected a number"):
        draw_learning_curve(write_log(tmp_path / "log.csv", "1,,,,,,,", "2,1,low,,,,,0"))
    (tmp_path / "log.csv").write_text("step,loss\n1,2\n")
    with pytest.raises(FormatError, match="column 'learning_rate' is missing"):
        draw_learning_curve(tmp_path / "log.csv")
    (tmp_path / "log.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(FormatError, match="the log of a training cannot be read"):
        draw_learning_curve(tmp_path / "log.csv")


def test_a_line_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    figure = draw_learning_curve(write_log(tmp_path / "log.csv", "1,1,0.5,0.1,,,,0", "2,2"))
    assert list(figure.axes[0].lines[0].get_xdata()) == [1]


def test_an_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"not in '.txt'"):
        save_figure(draw_learning_curve(long_log(tmp_path / "log.csv")), tmp_path / "curve.txt")
