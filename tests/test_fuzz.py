"""Mutations of small valid files: each is read, or refused by an error that gnntrack raises on purpose, in time."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MUTATIONS = st.lists(
    st.tuples(st.integers(0, 7), st.floats(0, 1, exclude_max=True, width=32), st.integers(0, 2**20 - 1)),
    min_size=1,
    max_size=6,
)
EXAMPLES = {
    **dict.fromkeys(("tiff", "tiff pages", "tiff imagej", "tiff big", "tiff ome"), 100),
    **dict.fromkeys(("ome xml", "imagej text", "shaped text", "npy", "npz"), 100),
    **dict.fromkeys(("toml", "edits json", "trackmate xml"), 200),
    "ctc table": 80,
    "ctc mask": 60,
    "points csv": 60,
    "trackmate csv": 60,
    "submission csv": 100,
    "geff": 20,
    "geff metadata": 15,
    "geff of format 3": 20,
    "ome-zarr": 12,
    "zarr of format 2": 12,
    "weights": 10,
    "model header": 10,
}  # 2,059 in all; readers that take longer have fewer


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).resolve().parents[1] / "benchmarks")
        return importlib.import_module("fuzz_inputs")


@pytest.fixture(scope="module")
def targets(fuzz: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict:
    return fuzz.make_targets(tmp_path_factory.mktemp("fuzz") / "valid")


@pytest.mark.parametrize("name", EXAMPLES)
def test_damaged_inputs_are_read_or_refused(name: str, fuzz: ModuleType, targets: dict, tmp_path: Path) -> None:
    target = targets[name]
    assert fuzz.run_input(target, [], tmp_path / "valid") is None
    number = iter(range(10**9))

    @settings(
        max_examples=EXAMPLES[name],
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(MUTATIONS)
    def check(mutations: list) -> None:
        start = time.perf_counter()
        error = fuzz.run_input(target, mutations, tmp_path / str(next(number)))
        assert error is None, repr(error)
        assert time.perf_counter() - start < fuzz.LONGEST

    check()
    assert sorted(EXAMPLES) == sorted(targets)
