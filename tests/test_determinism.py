"""The same movie gives the same bytes: in another layout, listed in another order, with other labels or threads."""

import os
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from support.tiny_models import train_tiny

import gnntrack
from gnntrack.cli import cli
from gnntrack.models.determinism import DETERMINISTIC, configure_torch, use_deterministic


@pytest.fixture(scope="module")
def program():
    """Return the benchmark, whose long form tracks real movies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).resolve().parents[1] / "benchmarks")
        import determinism
        import shuffled_listings

        determinism.shuffle_listings = shuffled_listings.shuffle_listings
        yield determinism


@pytest.fixture(scope="module")
def movie():
    """Return images and masks of a simulated movie; two masks are missing."""
    made = gnntrack.simulate(frames=9, cells=12, shape=(128, 128), cycle=8, seed=4)
    masks = np.stack([np.asarray(frame) for frame in made.masks]).astype(np.uint16)
    for frame in (3, 6):
        masks[frame][masks[frame] == masks[frame].max()] = 0
    return np.stack([np.asarray(frame) for frame in made.images]), masks


@pytest.fixture(scope="module")
def track(program, movie, tmp_path_factory):
    """Return a function that tracks the movie in a layout, and returns the files of the result."""

    def run(layout):
        folder = tmp_path_factory.mktemp("layout")
        images, masks = layout.write(*movie, folder / "in")
        gnntrack.track(folder / "in" / images, folder / "in" / masks, out=folder / "01_RES", pictures=False)
        return program.read_outputs(folder / "01_RES")

    return run


@pytest.fixture(scope="module")
def expected(program, track):
    return track(program.Layout())


@pytest.mark.parametrize("name", ["LZW, 5 rows a strip", "zarr, chunks over frames", "labels of 32 bits", "one TIFF"])
def test_the_layout_of_a_movie_does_not_matter(program, track, expected, name):
    assert len(expected) > 60
    assert program.list_differences(expected, track(program.LAYOUTS[name])) == []


def test_other_labels_give_the_same_masks_and_tracks(program, track, expected):
    found = track(program.LAYOUTS["other labels"])
    assert program.list_differences(*map(program.number_by_place, (expected, found))) == []


def test_the_order_in_which_files_are_listed_does_not_matter(program, track, expected, monkeypatch):
    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, getattr(os, name))  # which are restored
    program.shuffle_listings(7)
    assert program.list_differences(expected, track(program.Layout())) == []


# --- networks --------------------------------------------------------------------------------------------------------


@pytest.fixture
def two_threads():
    """Let torch use two threads, and afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_a_training_that_is_deterministic_does_not_depend_on_threads(two_threads, tmp_path):
    for threads in (1, 2):
        torch.set_num_threads(threads)
        with use_deterministic():
            train_tiny("unet", tmp_path / str(threads), patch=96)
        assert torch.get_num_threads() == threads
    one, other = (tmp_path / str(threads) / "weights.safetensors" for threads in (1, 2))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_torch_is_set_up_and_reset(two_threads, monkeypatch, device):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with use_deterministic():
        configure_torch(device)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.benchmark
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        assert torch.get_num_threads() == (1 if device == "cpu" else 2)
    assert DETERMINISTIC not in os.environ
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == 2
    configure_torch(device)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("command", list(cli.list_commands(click.Context(cli))))
def test_every_command_that_takes_a_device_has_the_option(command):
    names = {option.name for option in cli.get_command(click.Context(cli), command).params}
    assert ("deterministic" in names) == bool(names & {"device", "gnn_device"})


def test_the_option_reaches_the_network_and_its_error_the_user(tmp_path, monkeypatch):
    def segment(*_, **__):
        assert os.environ[DETERMINISTIC]
        msg = "max_pool3d_with_indices_backward_cuda does not have a deterministic implementation, but you set ..."
        raise RuntimeError(msg)

    monkeypatch.setattr("gnntrack.pipeline.segment", segment)
    words = ["segment", str(tmp_path), "-o", str(tmp_path / "masks"), "--deterministic"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2
    assert "does not have a deterministic implementation; omit --deterministic, or give --device cpu" in done.output
    assert DETERMINISTIC not in os.environ


def test_other_errors_are_passed_on():
    with pytest.raises(RuntimeError, match="out of memory"), use_deterministic():
        raise RuntimeError("out of memory")
