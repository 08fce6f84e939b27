"""Napari without a screen: viewers of a test that are closed after it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.required import is_required

_screens: list[subprocess.Popen] = []
_IMPORTED = ("napari", "napari.components", "napari.plugins", "qtpy.QtWidgets", "napari.qt", "npe2")


def skip_without_napari():
    """Import napari, or skip the module where it is not installed; in CI that is a failure."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ.setdefault("NAPARI_CONFIG", str(Path(tempfile.mkdtemp(prefix="napari-"), "settings.yaml")))
    missing = [name for name in ("napari", "PySide6") if importlib.util.find_spec(name) is None]
    if missing:
        _refuse(f"{missing[0]} is not installed; pip install 'gnntrack[napari]'", module=True)
    with warnings.catch_warnings(action="ignore"):  # of the libraries of napari among themselves
        try:
            for name in _IMPORTED:
                importlib.import_module(name)
        except ImportError as error:
            _refuse(f"Qt cannot be loaded: {error}; apt install libegl1 libgl1", module=True)
    from npe2 import PluginManager

    PluginManager.instance().discover()


def _refuse(message, *, module=False):
    if is_required():
        pytest.fail(message, pytrace=False)
    pytest.skip(message, allow_module_level=module)


@contextmanager
def open_display() -> Iterator[None]:
    """Start a virtual screen, which OpenGL needs, if there is none."""
    if os.environ.get("DISPLAY"):
        yield
        return
    if shutil.which("Xvfb") is None:
        _refuse("napari draws by OpenGL, which needs a screen: apt install xvfb")
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1280x1024x24", "-nolisten", "tcp"]
    # it ends with this process: a client whose server ends before it exits at once
    end = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    _screens.append(subprocess.Popen([*end, *command], pass_fds=[writer], stderr=subprocess.DEVNULL))
    os.close(writer)
    with os.fdopen(reader) as answer:
        os.environ["DISPLAY"] = f":{answer.readline().strip()}"
    try:
        yield
    finally:
        os.environ.pop("DISPLAY", None)
