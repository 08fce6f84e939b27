"""Time and modules of an import."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gnntrack

HEAVY = ("torch", "torch_geometric", "numpy", "scipy", "pandas", "skimage", "numba", "cv2", "pydantic", "matplotlib")


def best_seconds(*arguments: str, tries: int = 3) -> float:
    """Return the least processor time of Python with these arguments: other tests run at the same time."""
    times = []
    for _ in range(tries):
        start = os.times()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        end = os.times()
        times.append(end.children_user + end.children_system - start.children_user - start.children_system)
    return min(times)


def loaded_by(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return set(done.stdout.splitlines()[-1].split())


def test_import_is_quick():
    assert best_seconds("-c", "import gnntrack") - best_seconds("-c", "pass") < 0.25


def test_help_is_quick():
    assert best_seconds("-m", "gnntrack", "--help") < 0.4


def test_import_loads_nothing_heavy():
    assert not loaded_by("import gnntrack").intersection(HEAVY)


def test_help_loads_nothing_heavy():
    code = "import contextlib, io\nfrom gnntrack.cli import cli\nwith contextlib.redirect_stdout(io.StringIO()):\n"
    assert not loaded_by(code + "    cli(['--help'], standalone_mode=False)").intersection(HEAVY)


def test_the_pipeline_loads_no_torch_no_segmenter_and_no_figures():
    loaded = loaded_by("import gnntrack.pipeline")
    assert not loaded.intersection(
        {"torch", "torchvision", "segmenters", "matplotlib", "napari", "dask", "ctc_metrics"}
    )


def test_track_loads_no_library_that_it_does_not_need(tmp_path):
    """Numba and SciPy would take longer to load than a small movie takes."""
    masks = np.zeros((3, 40, 40), np.uint16)
    masks[:, 5:12, 5:12], masks[:, 25:33, 20:28] = 1, 2
    np.save(tmp_path / "masks.npy", masks)
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 50, masks.shape) + 200 * (masks > 0))
    words = [f"{tmp_path}/images.npy", f"{tmp_path}/masks.npy", "-o", f"{tmp_path}/01_RES"]
    loaded = loaded_by(f"from gnntrack.cli import cli\ncli(['track', *{words}], standalone_mode=False)")
    assert (tmp_path / "01_RES" / "res_track.txt").exists()
    assert not loaded.intersection({"numba", "scipy", "torch", "skimage", "matplotlib", "pydantic", "geff"})


def test_settings_load_nothing_heavy():
    """They are read by every command, also by those that only print a help."""
    loaded = loaded_by("import gnntrack.settings\ngnntrack.settings.Settings().replace(graph__max_gap='3')")
    assert not loaded.intersection({*HEAVY, "inspect", "dataclasses", "tomllib", "tomlkit", "decimal"})


@pytest.mark.parametrize("name", [name for name in gnntrack.__all__ if name != "__version__"])
def test_every_public_name_is_there(name):
    assert getattr(gnntrack, name).__name__.removeprefix("gnntrack.") == name
    assert name in dir(gnntrack)


@pytest.mark.parametrize(
    "imported",
    [
        "gnntrack.evaluate",
        "gnntrack.evaluate.segmentation",
        pytest.param("gnntrack.evaluate.tracking", marks=pytest.mark.slow),
        "gnntrack.pipeline",
        pytest.param("os", marks=pytest.mark.slow),
    ],
)
def test_evaluate_and_simulate_are_packages_and_functions(imported):
    code = (
        f"import {imported}\nimport gnntrack\n"
        "assert callable(gnntrack.evaluate) and callable(gnntrack.evaluate.evaluate_sequence)\n"
        "assert callable(gnntrack.simulate) and callable(gnntrack.simulate.simulate_movie)\n"
        "try:\n    gnntrack.evaluate('nothing_RES', 'nothing_GT')\n"
        "except gnntrack.InputError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "nothing_" in done.stdout, done.stderr


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="attribute tracks"):
        _ = gnntrack.tracks


def test_runs_where_nothing_compiled_can_be_kept(tmp_path):
    """On some clusters and in some containers neither the package nor a cache folder can be written."""
    code = (
        "import numba.core.caching as caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "from gnntrack.compiled import compile_function\n"
        "print(compile_function(lambda n: 2 * n)(21))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout == "42\n", done.stderr


def test_the_network_loads_no_torch_geometric():
    """Its import takes seconds, more than the network takes for a movie; only ``pdn`` and conversions need it."""
    loaded = loaded_by("from gnntrack.gnn.weights import load_model\nload_model()")
    assert "torch" in loaded
    assert "torch_geometric" not in loaded


def test_the_page_about_the_architecture_names_every_module_of_the_package():
    page = Path(__file__).parents[1].joinpath("docs", "architecture.md").read_text(encoding="utf-8")
    table = page.partition("## Packages")[2].partition("## Rules")[0]
    modules = {each.stem for each in Path(gnntrack.__file__).parent.iterdir() if not each.name.startswith(("_", "py."))}
    assert modules - set(re.findall(r"`([a-z_]+)`", table)) <= {"configs"}  # of the wheel
    named = re.findall(r"`([a-z_/]+\.py)`", page)
    assert [
        name for name in named if not any(Path(gnntrack.__file__).parents[up].joinpath(name).is_file() for up in (0, 1))
    ] == []
