"""Networks without torch: the same scores as with torch, and torch is not imported."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from support import worlds
from support.learning import draw_inputs, make_random_network, simulate_small, with_links
from test_strength import write_model

import gnntrack
from gnntrack.errors import InputError, ModelError
from gnntrack.gnn import array_network
from gnntrack.gnn.array_files import make_array_network
from gnntrack.gnn.array_layers import apply_double_gelu, combine_rows
from gnntrack.gnn.array_network import ArrayNetwork
from gnntrack.gnn.inputs import LINK_INPUTS
from gnntrack.gnn.linknet import LinkNet
from gnntrack.gnn.pdn import PdnNet
from gnntrack.gnn.point_inputs import POINT_CELL_INPUTS, POINT_LINK_INPUTS, POINT_PAIR_INPUTS
from gnntrack.gnn.point_network import PointNetwork
from gnntrack.gnn.predict import predict_log_odds
from gnntrack.gnn.weights import load_for_scoring, load_model, save_model
from gnntrack.graph.divisions import DivisionCandidates
from gnntrack.io.frames import open_masks
from gnntrack.scores import score_links
from gnntrack.scores.learned import NetworkScorer
from gnntrack.settings import Settings

SETTINGS = Settings()


def draw_point_inputs(seed=0, **options):
    inputs = draw_inputs(seed, **options)
    random = np.random.default_rng(seed)
    columns = {"cell": POINT_CELL_INPUTS, "link": POINT_LINK_INPUTS, "pair": POINT_PAIR_INPUTS}
    drawn = {
        name: random.normal(0, 1.5, (len(getattr(inputs, name)), len(names))).astype(np.float32)
        for name, names in columns.items()
    }
    return replace(inputs, **drawn)


def without_torch(network) -> ArrayNetwork:
    """Return the network as arrays."""
    about = {"kind": network.kind, "options": network.options, "columns": network.columns}
    about["columns"] = {block: list(names) for block, names in network.columns.items()}
    found = make_array_network(about, {name: each.numpy() for name, each in network.state_dict().items()})
    assert found is not None
    return found


def make_random_point_network() -> PointNetwork:
    torch.manual_seed(0)
    network = PointNetwork(width=24, rounds=2).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.15 * torch.randn_like(parameter))
    return network


def assert_same(network, inputs):
    for one, other in zip(network.compute(inputs), without_torch(network).compute(inputs), strict=True):
        assert one.dtype == other.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=1e-5, rtol=2e-6)


# --- one network and the same without torch --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"rounds": 0}, {"width": 32, "rounds": 3}, {"width": 6, "heads": 1}, {"heads": 16}]
)
def test_random_networks_score_as_with_torch(options):
    network = make_random_network(**options)
    for name in ("cell", "link", "pair"):
        standard = getattr(network, f"{name}_standard")
        standard.mean += 0.3 * torch.randn_like(standard.mean)
        standard.deviation *= 1 + torch.rand_like(standard.deviation)
    inputs = draw_inputs(frames=20, cells=12)
    inputs.cell[::3, 4], inputs.link[::2, 1], inputs.pair[:, 2] = np.nan, np.nan, np.nan
    assert_same(network, inputs)


def test_networks_of_points_score_as_with_torch():
    assert_same(make_random_point_network(), draw_point_inputs(frames=10))


def test_networks_of_fewer_columns_select_theirs():
    """Models of earlier versions read fewer columns than there are now, and their scores stay the same."""
    named = {"cell": ["size", "border"], "link": ["prior", "gap", "iou"], "pair": ["prior", "spread"]}
    network = make_random_network(columns=named)
    inputs = draw_inputs(frames=10)
    arrays, some = without_torch(network), network.select_columns(inputs)
    assert [getattr(some, block).shape[1] for block in named] == [2, 3, 2]
    np.testing.assert_array_equal(some.link[:, 2], inputs.link[:, LINK_INPUTS.index("iou")])
    assert_same(network, some)
    other = replace(inputs, cell=inputs.cell.copy())
    other.cell[:, 1] += 1  # a column that it does not read
    for one, two in zip(arrays.compute(some), arrays.compute(arrays.select_columns(other)), strict=True):
        np.testing.assert_array_equal(one, two)
    whole = make_random_network()
    assert whole.select_columns(inputs) is inputs
    seen = replace(inputs, cell=np.hstack([inputs.cell, np.ones((len(inputs.cell), 3), np.float32)]))
    looks = make_random_network(columns=named, embedding=3).select_columns(seen).cell
    np.testing.assert_array_equal(looks[:, 2:], 1)


@pytest.mark.parametrize("links", [0, 1, 7])
def test_movies_with_few_links_or_none(links):
    assert_same(make_random_network(), with_links(draw_inputs(), np.arange(links)))
    nothing = draw_inputs(cells=0)
    assert [len(each) for each in without_torch(make_random_network()).compute(nothing)] == [0, 0, 0]


def test_neither_threads_nor_blocks_show(monkeypatch):
    inputs, network = draw_inputs(frames=30, cells=10), without_torch(make_random_network())
    whole = network.compute(inputs, threads=1)
    monkeypatch.setattr(array_network, "_BLOCK", 50)
    blocks = [network.compute(inputs, threads=threads) for threads in (1, 2)]
    for each, one, two in zip(whole, *blocks, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_allclose(each, one, atol=1e-5)


def test_an_error_in_either_thread_is_raised(monkeypatch):
    def fail(*_args):
        raise MemoryError

    network = without_torch(make_random_network())
    monkeypatch.setattr(array_network._Round, "update_links", fail)
    with pytest.raises(MemoryError):
        network.compute(draw_inputs(frames=30, cells=10), threads=2)


def test_windows_do_not_show():
    inputs, network = draw_inputs(frames=60, cells=10), without_torch(make_random_network(rounds=1))
    whole, parts = (predict_log_odds(network, inputs, links_per_window=size) for size in (10**9, 10))
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_gelu_is_that_of_torch():
    x = np.linspace(-12, 12, 100_001, dtype=np.float32)
    expected = torch.nn.functional.gelu(torch.from_numpy(x).double()).numpy()
    np.testing.assert_allclose(apply_double_gelu(x.copy()) / 2, expected, atol=1e-6)
    far = np.array([-1e30, -1e4, -20, 20, 1e4, 1e30], np.float32)  # where the polynomial overflows, and nothing warns
    np.testing.assert_array_equal(apply_double_gelu(far.copy()), np.maximum(2 * far, 0))


def test_vectors_are_added_to_all_rows():
    for n in (0, 1, 170, 171, 500):
        x = np.zeros((n, 3), np.float32)
        combine_rows(np.add, x, np.arange(3, dtype=np.float32))
        assert (x == np.arange(3)).all()


# --- real models and movies ------------------------------------------------------------------------------------------


def compare_shipped(graph):
    """Return the largest difference between the scores of the shipped network with torch and without."""
    prior = score_links(graph, settings=SETTINGS.scores)
    models = load_for_scoring(points=graph.cells.points), load_model(points=graph.cells.points)
    assert isinstance(models[0].network, ArrayNetwork)
    assert isinstance(models[1].network, LinkNet)
    settings = SETTINGS.replace(gnn__correction=1)
    score = NetworkScorer(settings, images=True)._correct
    one, other = (score(model, graph, prior, strength=1.0, embedding=None, progress=None) for model in models)
    pairs = ((getattr(one, name), getattr(other, name)) for name in ("link", "division", "marginal"))
    return max(float(np.abs(a - b).max(initial=0)) for a, b in pairs)


@pytest.mark.parametrize("world", worlds.DRAWN)
def test_the_shipped_network_on_drawn_worlds(world):
    assert compare_shipped(gnntrack.build_graph(masks=world().masks)) <= 1e-5


def test_the_shipped_networks_on_a_movie_with_images():
    movie = simulate_small()
    graph = gnntrack.build_graph(movie.images, movie.masks)
    assert compare_shipped(graph) <= 1e-5
    points = np.column_stack([graph.cells.frame, graph.cells.position])
    assert compare_shipped(gnntrack.build_graph(points=points)) <= 1e-5


@pytest.mark.slow
def test_the_shipped_networks_on_all_real_movies(ctc_data):
    compared = 0
    for folder in sorted(ctc_data.glob("*/*_GT/TRA")):
        masks = open_masks(folder)
        graph = gnntrack.build_graph(masks=np.stack([masks[t] for t in range(min(len(masks), 60))]))
        assert compare_shipped(graph) <= 1e-5, folder
        points = np.column_stack([graph.cells.frame, graph.cells.position])
        assert compare_shipped(gnntrack.build_graph(points=points)) <= 1e-5, folder
        compared += 1
    assert compared > 5


# --- which networks, and which device --------------------------------------------------------------------------------


def test_other_networks_are_left_to_torch(tmp_path):
    for network in (LinkNet(width=8, heads=2, embedding=3), PdnNet(hidden=8, link_hidden=8, blocks=1, head=(8, 4))):
        save_model(tmp_path / "m", network, training={})
        assert type(load_for_scoring(tmp_path / "m").network) is type(network)
    save_model(tmp_path / "m", make_random_network(), training={})
    model = load_for_scoring(tmp_path / "m")
    assert isinstance(model.network, ArrayNetwork)
    with pytest.raises(ModelError, match="of kind 'linknet', which does not score links"):
        _ = model.link_network


@pytest.mark.parametrize(
    "change",
    [
        lambda about, _: about.update(kind="other"),
        lambda about, _: about["options"].update(rounds=1),
        lambda about, _: about["options"].update(rounds=2.0),
        lambda about, _: about["options"].update(heads=3),
        lambda about, _: about["options"].update(more=1),
        lambda about, _: about["columns"]["link"].reverse(),
        lambda _, tensors: tensors.pop("trust"),
        lambda _, tensors: tensors.update(more=np.zeros(2, np.float32)),
        lambda _, tensors: tensors.update(trust=np.zeros(2)),
        lambda _, tensors: tensors.update(trust=np.array([1, np.nan], np.float32)),
    ],
)
def test_what_is_not_exactly_known_is_left_to_torch(tmp_path, change):
    save_model(tmp_path, make_random_network(), training={})
    about, tensors = json.loads((tmp_path / "model.json").read_text()), load_file(tmp_path / "weights.safetensors")
    assert make_array_network(about, tensors) is not None
    change(about, tensors)
    assert make_array_network(about, tensors) is None


def test_a_damaged_model_is_refused_as_with_torch(tmp_path):
    save_model(tmp_path, make_random_network(), training={})
    content = bytearray((tmp_path / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "weights.safetensors").write_bytes(content)
    for load in (load_for_scoring, load_model):
        with pytest.raises(ModelError, match=r"its checksum .* copy both files again"):
            load(tmp_path)


def test_the_device_decides_about_torch(monkeypatch):
    for device in ("auto", "cpu"):
        assert isinstance(NetworkScorer(SETTINGS.replace(gnn__device=device)).model.network, ArrayNetwork)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    with pytest.raises(InputError, match="this machine does not have the device 'mps'"):
        NetworkScorer(SETTINGS.replace(gnn__device="mps"))
    monkeypatch.setattr("gnntrack.models.devices.find_device", lambda _: "cpu")
    assert isinstance(NetworkScorer(SETTINGS.replace(gnn__device="cuda")).model.network, LinkNet)


# --- what is not done ------------------------------------------------------------------------------------------------


def test_division_candidates_are_found_once(monkeypatch):
    found, find = [], DivisionCandidates.find.__func__
    monkeypatch.setattr(DivisionCandidates, "find", classmethod(lambda cls, graph: found.append(1) or find(cls, graph)))
    movie = simulate_small()
    gnntrack.track(movie.images, movie.masks, method="gnn")
    assert len(found) == 1


def test_neither_torch_nor_scipy_nor_numba_is_imported(tmp_path):
    """Their imports take longer than the network takes for a movie, and much memory."""
    movie = simulate_small()
    graph = gnntrack.build_graph(movie.images, movie.masks)
    np.save(tmp_path / "masks.npy", np.stack([movie.masks[t] for t in range(len(movie.masks))]))
    np.save(tmp_path / "images.npy", np.stack([movie.images[t] for t in range(len(movie.images))]))
    rows = np.column_stack([graph.cells.frame, graph.cells.position])
    np.savetxt(tmp_path / "points.csv", rows, "%.3f", ",", header="t,y,x", comments="")
    bold = write_model(tmp_path / "bold", correction=None, movies=None)  # corrects every movie
    movie = [f"{tmp_path}/images.npy", f"{tmp_path}/masks.npy"]
    for name, words in (
        ("masks", [*movie, "--method", "gnn"]),
        ("auto", [*movie, "--method", "auto", "--model", bold]),
        ("points", ["--points", f"{tmp_path}/points.csv", "--method", "gnn"]),
    ):
        words = ["track", *words, "-o", f"{tmp_path}/{name}"]
        code = f"import sys\nfrom gnntrack.cli import cli\ncli({words}, standalone_mode=False)\nprint(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        loaded = {module.partition(".")[0] for module in done.stdout.splitlines()[-1].split()}
        heavy = {"torch", "torch_geometric", "numba", "scipy"} if name != "points" else {"torch", "torch_geometric"}
        assert not loaded & heavy
        assert (tmp_path / name).is_dir()
