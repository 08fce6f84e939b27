"""Weights and checkpoints: what is saved comes back, and what does not fit is refused with the reason."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file
from torch import nn

from gnntrack.errors import ModelError, OutputError
from gnntrack.gnn import weights
from gnntrack.gnn.appearance import Embedder
from gnntrack.gnn.linknet import LinkNet
from gnntrack.gnn.networks import STORED
from gnntrack.gnn.pdn import PdnNet
from gnntrack.gnn.weights import load_model, save_model
from gnntrack.training.checkpoint import load_checkpoint, save_checkpoint

torch.set_num_threads(1)


def small(seed: int = 0) -> LinkNet:
    torch.manual_seed(seed)
    return LinkNet(width=8, rounds=1, heads=2)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_model(tmp_path / "model", small(), training={"data": ["a"]})
    return tmp_path / "model"


def change(model: Path, **values: object) -> None:
    """Change keys of the JSON; ``None`` removes one."""
    about = json.loads((model / "model.json").read_text())
    about |= values
    (model / "model.json").write_text(json.dumps({k: v for k, v in about.items() if v is not None}))


def change_tensors(model: Path, **tensors: torch.Tensor | None) -> None:
    """Change tensors, and the checksum with them."""
    found = load_file(model / "weights.safetensors") | tensors
    save_file({k: v for k, v in found.items() if v is not None}, model / "weights.safetensors")
    change(model, sha256=hashlib.sha256((model / "weights.safetensors").read_bytes()).hexdigest())


def same(a: nn.Module, b: nn.Module) -> bool:
    one, other = a.state_dict(), b.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


# --- saved and read again --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "network",
    [
        LinkNet(width=8, rounds=2, heads=2, dropout=0.0),
        LinkNet(width=8, rounds=1, heads=2, embedding=3),
        PdnNet(hidden=8, link_hidden=8, blocks=1, head=(8, 4)),
        PdnNet(embedding=4, hidden=8, link_hidden=8, blocks=1),
        Embedder(width=2, embedding=4),
    ],
    ids=lambda network: type(network).__name__,
)
def test_a_model_comes_back_as_it_was_saved(tmp_path: Path, network: nn.Module) -> None:
    training = {"data": ["one", "two"], "scores": {"LNK": 0.99}}
    save_model(tmp_path / "m", network.train(), temperature=1.25, training=training)
    model = load_model(tmp_path / "m")
    assert type(model.network) is type(network)
    assert same(model.network, network)
    assert (model.kind, model.temperature, model.training, model.name) == (network.kind, 1.25, training, "m")
    assert model.network.options == network.options
    assert not model.network.training
    assert all(tensor.device.type == "cpu" for tensor in model.network.state_dict().values())
    assert [p.requires_grad for p in model.network.parameters()] == [p.requires_grad for p in network.parameters()]
    assert sorted(file.name for file in (tmp_path / "m").iterdir()) == ["model.json", "weights.safetensors"]


def test_loading_draws_no_random_numbers(model: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load_model(model)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("file", ["weights.safetensors", "model.json"])
def test_a_file_of_a_model_stands_for_its_folder(model: Path, file: str) -> None:
    assert same(load_model(model / file).network, load_model(str(model)).network)


def test_saving_again_replaces_the_model_and_leaves_the_rest(model: Path) -> None:
    (model / "log.csv").write_text("step")
    save_model(model, small(1), training={})
    assert same(load_model(model).network, small(1))
    assert (model / "log.csv").read_text() == "step"
    assert len(list(model.iterdir())) == 3


def test_the_shipped_model_is_looked_for_among_the_files_of_the_package(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = model.parent / "package"
    package.mkdir()
    monkeypatch.setattr(weights.resources, "files", lambda _: package)
    with pytest.raises(ModelError, match="comes with gnntrack is missing; install gnntrack again, or give a model"):
        load_model()
    model.rename(package / "weights")
    for name in (None, "shipped", "general"):
        assert load_model(name).name == "shipped"


def test_what_is_interrupted_between_two_files_leaves_both(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def interrupt(self: Path, target: Path) -> Path:
        moved = replace(self, target)
        if target.name == "weights.safetensors":
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_model(model, small(1), training={})
    assert same(load_model(model).network, small(1))
    assert len(list(model.iterdir())) == 2


def test_an_interrupted_write_leaves_the_model_that_was_there(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(descriptor: int) -> None:
        os.ftruncate(descriptor, 10)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        save_model(model, small(1), training={})
    assert same(load_model(model).network, small())
    assert len(list(model.iterdir())) == 2


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        save_model(tmp_path / "file", small(), training={})


def test_weights_that_are_not_finite_are_not_saved(model: Path) -> None:
    broken = small(1)
    with torch.no_grad():
        broken.prior_weight[0] = torch.nan
    with pytest.raises(ModelError, match="weights are NaN or infinite, in 'trust'; they are not saved"):
        save_model(model, broken, training={})
    assert same(load_model(model).network, small())


# --- refused ---------------------------------------------------------------------------------------------------------


def test_a_missing_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere: no such model; give the folder that 'gnntrack train'"):
        load_model(tmp_path / "nowhere")


@pytest.mark.parametrize("file", ["weights.safetensors", "model.json"])
def test_a_missing_file(model: Path, file: str) -> None:
    (model / file).unlink()
    with pytest.raises(ModelError, match=f"not a model, because it lacks {file}; give the folder"):
        load_model(model)


def test_a_training_without_a_model_yet(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="a training without a model yet; continue with 'gnntrack train --resume'"):
        load_model(tmp_path)


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "model.txt").write_text("hello, world")
    with pytest.raises(ModelError, match=r"model.txt: a model is a folder with model.json and weights.safetensors"):
        load_model(tmp_path / "model.txt")


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_truncated_weights(model: Path, length: int) -> None:
    content = (model / "weights.safetensors").read_bytes()[:length]
    (model / "weights.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="damaged" if length == -1 else "cut off"):
        load_model(model)
    change(model, sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(ModelError, match="no weights could be read" if length == -1 else "cut off"):
        load_model(model)


def test_a_changed_bit(model: Path) -> None:
    content = bytearray((model / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (model / "weights.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"checksum \(sha256\) is not the one in model.json"):
        load_model(model)


@pytest.mark.parametrize(
    ("version", "hint"),
    [(2, "update gnntrack"), (0, "train it again"), ("1", "train it again"), (True, "train it again")],
)
def test_another_version(model: Path, version: object, hint: str) -> None:
    change(model, version=version)
    with pytest.raises(ModelError, match=f"a model of version {version!r}, .* reads version 1; {hint}"):
        load_model(model)


@pytest.mark.parametrize("text", ["{", "", "[1]", '{"format": "other"}', "\xff", "[" * 100_000])
def test_a_broken_json(model: Path, text: str) -> None:
    (model / "model.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match=r"model.json: (it cannot be read as JSON|its format is)"):
        load_model(model)


@pytest.mark.parametrize("key", ["kind", "options", "columns", "sha256", "temperature", "training"])
@pytest.mark.parametrize("value", [None, 7j, ["x"]], ids=["missing", "true", "list"])
def test_a_key_that_is_missing_or_of_another_type(model: Path, key: str, value: object) -> None:
    change(model, **{key: True if value == 7j else value})
    with pytest.raises(ModelError, match=f"'{key}' is .*, expected a (text|table|number)"):
        load_model(model)


@pytest.mark.parametrize("temperature", [0, -1, float("nan"), float("inf")])
def test_a_temperature_out_of_range(model: Path, temperature: float) -> None:
    change(model, temperature=temperature)
    with pytest.raises(ModelError, match=r"'temperature' is .*, expected a positive number"):
        load_model(model)


def test_an_unknown_kind(model: Path) -> None:
    change(model, kind="linknets")
    with pytest.raises(ModelError, match=r"model.json: unknown network 'linknets'; did you mean 'linknet'\?"):
        load_model(model)
    with pytest.raises(ModelError, match="unknown network 'qqq'; there are: linknet, points, pdn, appearance"):
        STORED["qqq"]


def test_options_of_another_network(model: Path) -> None:
    change(model, options={"breadth": 8})
    with pytest.raises(ModelError, match=r"its options do not fit 'linknet' in this gnntrack: .*breadth"):
        load_model(model)
    change(model, options={"width": 7, "heads": 0})
    with pytest.raises(ModelError, match=r"its options do not fit 'linknet'|it does not fit the network"):
        load_model(model)


@pytest.mark.parametrize("width", [10**9, -1, "8", [10**9], float("nan"), {"a": 1}])
def test_an_option_that_would_take_the_memory(model: Path, width: object) -> None:
    change(model, options={"width": width})
    with pytest.raises(ModelError, match=r"option 'width' is .*, expected numbers from 0 to 4096"):
        load_model(model)


def test_large_options_take_no_memory(model: Path) -> None:
    change(model, options={"width": 4096, "rounds": 2, "heads": 2})  # 2 GB of weights
    with pytest.raises(ModelError, match=r"it does not fit the network: .*has shape"):
        load_model(model)


def catch_message(model: Path) -> str:
    """Return the message of the error that loading a model raises."""
    with pytest.raises(ModelError) as error:
        load_model(model)
    return str(error.value)


def test_other_columns(model: Path) -> None:
    columns = {block: list(names) for block, names in small().columns.items()}
    columns["cell"] = [*columns["cell"][1:], "roundness"]
    columns["link"] = columns["link"][1:]
    columns["pair"] = columns["pair"][::-1]
    change(model, columns=columns)
    text = catch_message(model)
    assert "it reads 'roundness' of each cell, which this gnntrack does not compute" in text
    assert "it does not read 'prior' of each link" in text  # every network does
    assert "the columns of each pair in another order" in text
    assert "size" not in text


def test_a_model_of_fewer_columns_reads_those_that_it_names(model: Path) -> None:
    columns = {"cell": ["size", "border"], "link": ["prior", "iou", "gap"], "pair": ["prior"]}
    network = LinkNet(width=8, rounds=1, heads=2, columns=columns)
    assert network.columns == {"cell": ("size", "border"), "link": ("prior", "gap", "iou"), "pair": ("prior",)}
    save_model(model, network, training={})
    again = load_model(model).network
    assert same(again, network)
    assert again.columns == network.columns
    assert len(small().columns["pair"]) > 1
    columns["pair"].append("age")  # named, but there are no weights for it
    change(model, columns={**columns, "link": ["prior", "gap", "iou"]})
    assert "'pair_standard.mean' has shape (1,), expected (2,)" in catch_message(model)


def test_columns_of_unknown_blocks_or_types(model: Path) -> None:
    change(model, columns={"cell": 3, "hyperedge": ["a", "b", "c", "d", "e", "f"]})
    text = catch_message(model)
    assert "the columns of each cell are not a list of names" in text
    assert "it reads 'a', 'b', 'c', 'd' and 2 more of each hyperedge" in text


def test_tensors_that_do_not_fit(model: Path) -> None:
    change_tensors(model, trust=torch.ones(3), extra=torch.ones(1), **{"link_head.0.bias": None})
    text = catch_message(model)
    assert "it lacks 'link_head.0.bias'" in text
    assert "it has 'extra', which the network does not" in text
    assert "'trust' has shape (3,), expected (2,)" in text


def test_tensors_of_another_type(model: Path) -> None:
    change_tensors(model, trust=torch.ones(2, dtype=torch.float64))
    with pytest.raises(ModelError, match=r"'trust' is torch.float64, expected torch.float32"):
        load_model(model)


def test_weights_that_are_not_finite(model: Path) -> None:
    change_tensors(model, trust=torch.tensor([1.0, torch.inf]))
    with pytest.raises(ModelError, match="weights are NaN or infinite, in 'trust'"):
        load_model(model)


# --- pickles ---------------------------------------------------------------------------------------------------------


class _Trap:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return Path.write_text, (self.path, "executed")  # type: ignore[return-value]


def _trap(kind: str, trace: Path) -> bytes:
    if kind == "torch":
        file = trace.with_name("made")
        torch.save({"weights": torch.ones(2)}, file)
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr("archive/other.pkl", pickle.dumps(_Trap(trace)))
        return file.read_bytes()
    return pickle.dumps(_Trap(trace), protocol=int(kind))


@pytest.mark.parametrize("kind", ["torch", "2", "3", "4", "5"])
@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.pkl", "model.zip", "weights.safetensors"])
def test_a_pickle_is_refused_and_nothing_is_executed(model: Path, kind: str, name: str) -> None:
    trace = model / "trace"
    content = _trap(kind, trace)
    (model / name).write_bytes(content)
    change(model, sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(ModelError, match=f"{name}: it is a pickle .* so it was not opened"):
        load_model(model / name)
    assert not trace.exists()


def test_a_folder_that_holds_only_a_pickle(tmp_path: Path) -> None:
    (tmp_path / "best.PTH").write_bytes(b"anything")
    with pytest.raises(ModelError, match=r"best.PTH: it is a pickle"):
        load_model(tmp_path)


def test_nothing_in_the_package_unpickles() -> None:
    package = Path(weights.__file__).parents[1]
    for file in package.rglob("*.py"):
        source = file.read_text(encoding="utf-8")
        assert not re.search(r"(?<!safetensors\.)torch\.load|pickle\.load", source), file
        if file.name == "pickled_arrays.py":
            continue  # it executes nothing, see test_inputs.py; a message names the option
        assert "import pickle" not in source, file
        assert "allow_pickle=True" not in source, file


# --- checkpoints -----------------------------------------------------------------------------------------------------


class _Training:
    """A training in small: dropout and numpy's random numbers, AdamW with two groups, a schedule and an average."""

    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.network, self.average = (
            PdnNet(hidden=4, link_hidden=4, blocks=1, head=(4, 4)),
            PdnNet(hidden=4, link_hidden=4, blocks=1, head=(4, 4)),
        )
        self.average.load_state_dict(self.network.state_dict())
        first, *others = self.network.encode_hand.parameters()
        groups = [{"params": [first], "weight_decay": 0.0}, {"params": others}]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.98))
        self.random = np.random.default_rng(seed)
        self.step = 0
        self.losses: list[float] = []

    def run(self, steps: int) -> None:
        for _ in range(steps):
            for group in self.optimizer.param_groups:
                group["lr"] = 1e-2 / (self.step + 1)
            x = torch.from_numpy(self.random.normal(size=(5, 16)).astype(np.float32))
            loss = self.network.encode_hand(x).square().mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            with torch.no_grad():
                for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
                    mean.lerp_(value, 0.1)
            self.step += 1
            self.losses.append(loss.item())

    def save(self, folder: Path) -> None:
        state = {"step": self.step, "numpy": self.random.bit_generator.state, "losses": self.losses, "best": -np.inf}
        save_checkpoint(folder, network=self.network, average=self.average, optimizer=self.optimizer, state=state)

    def load(self, folder: Path) -> None:
        state = load_checkpoint(folder, network=self.network, average=self.average, optimizer=self.optimizer)
        self.step, self.losses = state["step"], state["losses"]
        self.random.bit_generator.state = state["numpy"]
        assert state["best"] == -np.inf


def test_a_training_goes_on_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    whole = _Training()
    whole.run(14)
    first = _Training()
    first.run(7)
    first.save(tmp_path)
    torch.manual_seed(99)
    second = _Training(seed=5)
    second.run(2)
    second.load(tmp_path)
    second.run(7)
    assert second.step == 14
    assert second.losses == whole.losses
    assert same(second.network, whole.network)
    assert same(second.average, whole.average)
    one, other = second.optimizer.state_dict(), whole.optimizer.state_dict()
    assert one["param_groups"] == other["param_groups"]
    assert all(torch.equal(one["state"][i][k], v) for i, values in other["state"].items() for k, v in values.items())
    assert torch.equal(torch.rand(3), _after(whole, 14))


def _after(training: _Training, steps: int) -> torch.Tensor:
    again = _Training()
    again.run(steps)
    return torch.rand(3)


def test_a_checkpoint_before_the_first_step(tmp_path: Path) -> None:
    _Training().save(tmp_path)
    training = _Training(seed=1)
    training.load(tmp_path)
    training.run(3)
    whole = _Training()
    whole.run(3)
    assert training.losses == whole.losses


def test_a_checkpoint_is_one_file_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = _Training()
    training.run(1)
    training.save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.safetensors"]
    training.run(1)

    def interrupt(descriptor: int) -> None:
        os.ftruncate(descriptor, 100)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            training.save(tmp_path)
    other = _Training(seed=1)
    other.load(tmp_path / "checkpoint.safetensors")
    assert other.step == 1
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def test_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no checkpoint to resume from; start without resuming"):
        _Training().load(tmp_path)


@pytest.mark.parametrize("length", [0, 7, 200, -1])
def test_a_truncated_checkpoint(tmp_path: Path, length: int) -> None:
    _Training().save(tmp_path)
    file = tmp_path / "checkpoint.safetensors"
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(ModelError, match="no checkpoint could be read"):
        _Training().load(tmp_path)


def test_a_pickle_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(_trap("4", tmp_path / "trace"))
    with pytest.raises(ModelError, match="it is a pickle"):
        _Training().load(tmp_path)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "no checkpoint could be read"),
        ({"checkpoint": "{"}, "no checkpoint could be read"),
        ({"checkpoint": "[]"}, "not a checkpoint of gnntrack"),
        ({"checkpoint": '{"format": "gnntrack checkpoint", "version": 9}'}, "version 9, .* reads version 1; update"),
        ({"checkpoint": '{"format": "gnntrack checkpoint", "version": 1}'}, "it lacks the state of the training"),
    ],
)
def test_a_file_that_is_no_checkpoint(tmp_path: Path, metadata: dict[str, str] | None, message: str) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(save({"a": torch.ones(1)}, metadata=metadata))
    with pytest.raises(ModelError, match=message):
        _Training().load(tmp_path)


def test_a_checkpoint_of_another_network_changes_nothing(tmp_path: Path) -> None:
    training = _Training()
    training.save(tmp_path)
    network, average = small(), small()
    optimizer = torch.optim.AdamW(network.parameters())
    with pytest.raises(ModelError, match="a training with other kind: 'pdn', now 'linknet'; resume with"):
        load_checkpoint(tmp_path, network=network, average=average, optimizer=optimizer)
    wider = PdnNet(hidden=5, link_hidden=4, blocks=1, head=(4, 4))
    with pytest.raises(ModelError, match="a training with other options"):
        load_checkpoint(tmp_path, network=wider, average=wider, optimizer=optimizer)
    before = {name: value.clone() for name, value in training.network.state_dict().items()}
    other = torch.optim.AdamW(training.network.parameters())  # one group, not two
    with pytest.raises(ModelError, match="a training with another optimizer"):
        load_checkpoint(tmp_path, network=training.network, average=training.average, optimizer=other)
    assert all(torch.equal(before[name], value) for name, value in training.network.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer.first.step": torch.ones(1)}, "the optimizer's state cannot be read"),
        ({"random.cpu": None}, "it lacks the state of the random numbers"),
        ({"network.extra": torch.ones(1)}, "it has 'extra', which the network does not"),
        ({"average.encode_hand.0.bias": torch.ones(3)}, r"'encode_hand.0.bias' has shape \(3,\), expected \(4,\)"),
    ],
)
def test_a_checkpoint_of_other_tensors(tmp_path: Path, change: dict[str, torch.Tensor | None], message: str) -> None:
    training = _Training()
    training.run(1)
    training.save(tmp_path)
    file = tmp_path / "checkpoint.safetensors"
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    tensors = load_file(file) | change
    save_file({name: value for name, value in tensors.items() if value is not None}, file, metadata=metadata)
    with pytest.raises(ModelError, match=message):
        _Training().load(tmp_path)
