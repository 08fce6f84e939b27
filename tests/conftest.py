"""What the tests share: where the real movies are."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import gnntrack.report

REPOSITORY = Path(__file__).resolve().parents[1]


gc.set_threshold(50_000, 10, 10)  # to search for cycles of objects after every 700 new ones takes a fifth of the time


def pytest_collection_finish() -> None:
    """Search for cycles of objects not among those of the libraries."""
    gc.freeze()


@pytest.fixture(scope="session")
def ctc_data() -> Path:
    """Folder of the real movies: GNNTRACK_DATA, else ../shared/ctc beside the repository."""
    folder = Path(os.environ.get("GNNTRACK_DATA") or REPOSITORY.parent / "shared" / "ctc")
    if folder.is_dir():
        return folder
    message = f"no real movies in {folder}; set GNNTRACK_DATA to the folder of the data sets"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def more_data() -> Path:
    """Folder of the further real data: GNNTRACK_MORE, else ../shared/more beside the repository."""
    folder = Path(os.environ.get("GNNTRACK_MORE") or REPOSITORY.parent / "shared" / "more")
    if not folder.is_dir():
        pytest.skip(f"no further real data in {folder}; set GNNTRACK_MORE to their folder")
    return folder


_LOGGERS = {  # as they are before the first test
    logger: (tuple(logger.handlers), logger.propagate, logger.level)
    for logger in map(logging.getLogger, ("gnntrack", "segmenters"))
}


@pytest.fixture(autouse=True)
def kept_loggers() -> Iterator[None]:
    """Undo what the command line does to the loggers, which hides their messages from the tests that follow.

    Before a test too: a fixture of the module or of the session may have run a command.
    """
    _restore_loggers()
    yield
    _restore_loggers()


def _restore_loggers() -> None:
    for logger, (handlers, propagate, level) in _LOGGERS.items():
        logger.handlers, logger.propagate = list(handlers), propagate
        logger.setLevel(level)


@pytest.fixture(autouse=True, scope="session")
def quick_writing() -> Iterator[None]:
    """Do not wait for the disk after each output, which takes longer than many tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        yield


@pytest.fixture(autouse=True)
def quick_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let recipes write an empty picture in place of each figure: rendering takes longer than a small training."""
    if request.node.get_closest_marker("figures") is None:
        # not setattr, which would import matplotlib to get the function that is replaced
        monkeypatch.setitem(vars(gnntrack.report), "save_figure", _save_empty_picture)


def _save_empty_picture(figure: object, path: Path, **_options: object) -> None:
    assert hasattr(figure, "savefig")
    if path.suffix == ".svg":
        path.write_text("<svg/>", encoding="utf-8")
    else:
        Image.new("L", (1, 1)).save(path)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small network, trained on a simulated movie for a few steps."""
    from support.learning import (
        TINY,
        make_tiny_sample,
        simulate_small,
    )  # torch takes a second, which most tests do without

    from gnntrack.training.links import learn
    from gnntrack.training.run import TrainingRun

    folder = tmp_path_factory.mktemp("model")
    settings = TINY.replace(train__steps=16)
    samples, checks = [make_tiny_sample(simulate_small(1))], [make_tiny_sample(simulate_small(2))]
    learn(samples, checks, TrainingRun(folder, device="cpu"), settings=settings)
    return folder
