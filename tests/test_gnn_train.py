"""Training for real, on a tiny movie: it learns, goes on after an interruption, and says what is wrong with data."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import shutil
from dataclasses import replace
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import tifffile
import torch
from safetensors.torch import load_file, save
from support.learning import TINY, make_tiny_sample, simulate_small
from support.movies import dividing_masks, images_of, write_folder, write_truth

from gnntrack.errors import InputError, ModelError, OutputError, TrainingError
from gnntrack.gnn.linknet import LinkNet
from gnntrack.gnn.networks import NETWORKS
from gnntrack.gnn.weights import FAMILY, load_model
from gnntrack.pipeline import track
from gnntrack.settings import SimulateSettings
from gnntrack.simulate import simulate_movie, write_movie
from gnntrack.training import link_task, loop
from gnntrack.training import links as training
from gnntrack.training.link_task import LinkTask, Validation, make_plan
from gnntrack.training.links import learn, train, validate
from gnntrack.training.loop import run_training
from gnntrack.training.run import TrainingRun


@pytest.fixture(scope="module")
def samples():
    return [make_tiny_sample(simulate_small(1, name="one"))]


@pytest.fixture(scope="module")
def checks():
    return [make_tiny_sample(simulate_small(2, name="two"))]


def rows_of(folder):
    with (folder / "log.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def sums_of(folder):
    """Return checksums of the best weights and of the last ones, with their averages and moments, and all texts."""
    texts = [(folder / name).read_text() for name in ("log.csv", "model.json")]
    weights = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    last = {k: v for k, v in load_file(folder / "checkpoint.safetensors").items() if not k.startswith("random")}
    return weights, hashlib.sha256(save(last)).hexdigest(), texts


RUN = ("seed", "resume", "progress", "report")


def taught(samples, checks, folder, *, steps=20, settings=TINY, plan=None, **options):
    settings = settings.replace(train__steps=steps, **(plan or {}))
    run = TrainingRun(folder, device="cpu", **{name: options.pop(name) for name in RUN if name in options})
    return learn(samples, checks, run, settings=settings, **options)


def train_on(net, samples, look, folder, settings):
    """Train a network on samples; `look` validates it."""
    run = TrainingRun(folder, device="cpu")
    task = LinkTask(samples, look, settings)
    return run_training(net, task, run, make_plan(settings), family=FAMILY, fields={"temperature": 1.0})


# --- it learns -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crowd():
    """A movie that the classical scores do not solve: fast cells, many divisions."""
    return make_tiny_sample(simulate_small(5, frames=20, cells=30, clustering=0.9, speed=3.0, cycle=8.0, images=False))


def test_learns_what_the_classical_scores_do_not_know(crowd, tmp_path):
    before = validate(LinkNet().eval(), samples=[crowd], settings=TINY)
    assert before.link_error > 0.005
    plan = {"train__width": 16, "train__validate_every": 20, "train__learning_rate": 0.01}
    taught([crowd], [crowd], tmp_path, steps=80, plan=plan)
    loss = [float(row["loss"]) for row in rows_of(tmp_path)]
    assert loss[-1] < 0.7 * loss[0]
    after = validate(load_model(tmp_path).link_network, samples=[crowd], settings=TINY)
    assert after.link_error < 0.8 * before.link_error
    assert after.score > before.score


def test_the_published_network_is_trained_by_the_same_loop(dataset, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        train([dataset], TrainingRun(tmp_path / "model", device="cpu"), network="pdn", settings=SHORT)
    assert load_model(tmp_path / "model").kind == "pdn"
    assert not caplog.records  # that it learns no divisions is not the data's fault


# --- what is written -------------------------------------------------------------------------------------------------


@pytest.mark.figures
def test_the_folder_of_a_model(samples, checks, tmp_path):
    told, reported = [], []
    summary = taught(
        samples, checks, tmp_path, steps=20, progress=lambda *each: told.append(each), report=reported.append
    )
    rows = rows_of(tmp_path)
    assert [int(row["step"]) for row in rows] == [8, 16, 20] == [row["step"] for row in reported]
    assert rows[0]["best"] == "1"
    assert max(float(row["validation_score"]) for row in rows) == pytest.approx(summary["best"]["validation_score"])
    assert float(rows[-1]["learning_rate"]) < float(rows[0]["learning_rate"])
    assert told == [("training", step + 1, 20) for step in range(20)]
    assert {file.name for file in tmp_path.iterdir()} == {
        *("weights.safetensors", "model.json", "checkpoint.safetensors"),
        *("log.csv", "learning_curve.png", "reliability.png"),
    }
    about = json.loads((tmp_path / "model.json").read_text())
    assert about["temperature"] == summary["temperature"]
    assert about["training"]["seed"] == 0
    assert about["training"]["settings"]["steps"] == 20
    assert about["training"]["best"]["step"] == summary["best"]["step"]
    assert 0 <= about["training"]["calibration"]["ece"] <= 1
    assert (summary["versions"], summary["divisions"]) == (1, int(samples[0].truth.pair.sum()))


def test_the_best_weights_are_kept_and_patience_ends(samples, tmp_path):
    errors = iter([0.3, 0.1, 0.2, 0.2, 0.2, 0.2])
    seen = []

    def look(network):
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        return Validation(next(errors), None)

    settings = TINY.replace(train__steps=100, train__validate_every=2, train__patience=3).train
    result = train_on(LinkNet(width=8, rounds=1, heads=2), samples, look, tmp_path, settings)
    assert result.best["step"] == 4
    assert [int(row["step"]) for row in rows_of(tmp_path)] == [2, 4, 6, 8, 10]
    kept, returned = load_model(tmp_path).network.state_dict(), result.network.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in seen[1].items())
    assert all(torch.equal(kept[name], value) for name, value in returned.items())
    assert not torch.equal(kept["link_head.3.weight"], seen[2]["link_head.3.weight"])


def test_without_movies_to_validate_on_the_last_weights_are_kept(samples, tmp_path):
    summary = taught(samples, [], tmp_path, steps=12, plan={"train__validate_every": 2, "train__patience": 2})
    assert summary["best"]["step"] == 12
    assert rows_of(tmp_path)[0]["validation_link_error"] == ""
    assert load_model(tmp_path).temperature == 1


# --- seeds and interruptions -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(samples, checks, tmp_path_factory):
    """Folder of a training that was not interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    taught(samples, checks, folder)
    return folder


def test_the_same_seed_gives_the_same_weights(samples, checks, whole, tmp_path):
    taught(samples, checks, tmp_path / "same")
    torch.manual_seed(99)
    assert sums_of(tmp_path / "same") == sums_of(whole)
    taught(samples, checks, tmp_path / "other", seed=1)
    assert sums_of(tmp_path / "other")[0] != sums_of(whole)[0]


@pytest.mark.parametrize("steps", [[1], [3, 11], [8], [20]])
def test_goes_on_as_if_it_had_never_stopped(samples, checks, whole, tmp_path, steps):
    """Step 8 is one before a validation, step 20 the last."""
    for number, step in enumerate(steps):

        def stop(_stage, done, _total, at=step):
            if done == at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            taught(samples, checks, tmp_path, resume=number > 0, progress=stop)
    torch.manual_seed(99)
    taught(samples, checks, tmp_path, resume=True)
    assert sums_of(tmp_path) == sums_of(whole)


@pytest.mark.parametrize("where", ["draw", "clip_grad_norm_", "validate", "write_model"])
def test_an_interruption_at_any_place(samples, checks, whole, tmp_path, monkeypatch, where):
    places = {"draw": link_task.Windows, "clip_grad_norm_": torch.nn.utils, "validate": training, "write_model": loop}
    place = places[where]
    real, calls = getattr(place, where), []

    def stop(*args, **options):
        calls.append(1)
        made = real(*args, **options)
        if len(calls) == (12 if where in {"draw", "clip_grad_norm_"} else 1):
            raise KeyboardInterrupt
        return made

    monkeypatch.setattr(place, where, stop)
    with pytest.raises(KeyboardInterrupt):
        taught(samples, checks, tmp_path)
    taught(samples, checks, tmp_path, resume=True)
    assert sums_of(tmp_path) == sums_of(whole)


def test_goes_on_from_the_checkpoint_where_the_log_is_ahead_of_it(samples, checks, whole, tmp_path):
    """As after a crash: rows behind the checkpoint are written anew, not twice."""

    def stop(_stage, done, _total):
        if done == 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        taught(samples, checks, tmp_path, progress=stop)
    old = (tmp_path / "checkpoint.safetensors").read_bytes()
    taught(samples, checks, tmp_path, resume=True)
    (tmp_path / "checkpoint.safetensors").write_bytes(old)
    taught(samples, checks, tmp_path, resume=True)
    assert sums_of(tmp_path) == sums_of(whole)


def test_another_training_is_not_gone_on_with(samples, checks, whole, tmp_path):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    with pytest.raises(ModelError, match="differs from this one in seed; use the same as then"):
        taught(samples, checks, tmp_path, resume=True, seed=1)
    with pytest.raises(ModelError, match="differs from this one in settings"):
        taught(samples, checks, tmp_path, resume=True, steps=30)
    with pytest.raises(ModelError, match="differs from this one in cells, divisions"):
        taught(samples[:0] + checks, checks, tmp_path, resume=True)


def test_a_training_that_is_done_is_done(samples, checks, whole, tmp_path):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    taught(samples, checks, tmp_path, resume=True)
    assert sums_of(tmp_path) == sums_of(whole)


# --- numbers that are none -------------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_stops(samples, checks, tmp_path):
    bad = replace(samples[0], name="bad", inputs=replace(samples[0].inputs, link=samples[0].inputs.link.copy()))
    bad.inputs.link[::7, 0] = np.inf
    with pytest.raises(
        TrainingError, match=r"the loss of step \d+ is not finite, in windows of .*bad frames \d+ to"
    ) as told:
        taught(
            [*samples, bad], checks, tmp_path, steps=50, seed=3, plan={"train__validate_every": 1, "train__links": 200}
        )
    kept = rows_of(tmp_path)
    assert kept
    best = [row["step"] for row in kept if row["best"] == "1"][-1]
    assert f"the weights of step {best} are kept in {tmp_path}" in str(told.value)
    assert "learning_rate" in str(told.value)
    assert load_model(tmp_path).training["best"]["step"] == int(best)


def test_a_learning_rate_that_is_too_high(samples, checks, tmp_path):
    with pytest.raises(TrainingError, match=r"the loss of step \d is not finite.*; no weights are kept"):
        taught(samples, checks, tmp_path, plan={"train__learning_rate": 1e30})
    with pytest.raises(ModelError):
        load_model(tmp_path)


class _Steep(LinkNet):
    """Its loss is finite, the slope is not."""

    @staticmethod
    def loss(outputs, batch, answers, settings):
        return LinkNet.loss(outputs, batch, answers, settings) + (0 * outputs.link.sum()).abs().sqrt()


def test_a_slope_that_is_no_number_stops_before_the_weights_are_spoilt(samples, tmp_path):
    net = _Steep(width=8, rounds=1, heads=2)
    with pytest.raises(TrainingError, match="the loss of step 1 is not finite"):
        train_on(net, samples, lambda _: Validation(None, None), tmp_path, TINY.train)
    assert all(torch.isfinite(each).all() for each in net.parameters())


# --- from weights ----------------------------------------------------------------------------------------------------


def test_fine_tuning_begins_with_the_weights(samples, checks, tiny_model, tmp_path):
    old = load_model(tiny_model).link_network
    taught(samples, checks, tmp_path, start=tiny_model, steps=1, plan={"train__learning_rate": 1e-9})
    new = load_model(tmp_path).link_network
    assert all(torch.allclose(old.state_dict()[k], v, atol=1e-6) for k, v in new.state_dict().items())
    assert torch.equal(old.cell_standard.mean, new.cell_standard.mean)


def test_weights_of_another_kind_are_refused(samples, checks, tiny_model, tmp_path):
    with pytest.raises(ModelError, match="is a model of kind 'linknet', not 'pdn'; choose --model linknet"):
        taught(samples, checks, tmp_path, start=tiny_model, network="pdn")
    with pytest.raises(ModelError, match=r"was not trained with the cells' appearance; set train.appearance to false"):
        taught(samples, checks, tmp_path, start=tiny_model, plan={"train__appearance": True})


# --- data ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A data set of one simulated sequence with divisions, long enough to hold frames out."""
    folder = tmp_path_factory.mktemp("data") / "SIMULATED"
    life = SimulateSettings(frames=20, shape=(96, 96), cells=6, cycle=10.0)
    write_movie(simulate_movie(settings=life, seed=3), folder)
    return folder


SHORT = TINY.replace(train__steps=4, train__validate_every=2)


def test_a_folder_of_the_challenges_layout(dataset, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        summary = train([dataset], TrainingRun(tmp_path / "model", device="cpu"), settings=SHORT)
    assert (summary["movies"], summary["versions"]) == (1, 1)
    model = load_model(tmp_path / "model")
    assert [name.partition(" [")[0] for name in model.training["data"]] == ["SIMULATED 01"]
    assert not caplog.records
    with pytest.raises(OutputError, match="model"):
        train([dataset], TrainingRun(tmp_path / "model", device="cpu"), settings=SHORT)


def test_movies_to_validate_on_may_be_given(dataset, tmp_path):
    summary = train([dataset], TrainingRun(tmp_path / "model", device="cpu"), validation=[dataset], settings=SHORT)
    assert summary["cells"] > 20 * 6  # of all frames


def test_no_division_is_said_before_the_first_step(tmp_path, caplog):
    masks = np.stack([np.where(frame == 10, 10, 0) for frame in dividing_masks(shuffled=False)])
    write_folder(tmp_path / "D" / "01_ERR_SEG", masks, prefix="mask")
    write_folder(tmp_path / "D" / "01_GT" / "TRA", masks // 10, prefix="man_track")
    (tmp_path / "D" / "01_GT" / "TRA" / "man_track.txt").write_text("1 0 5 0\n", encoding="utf-8")
    said = []

    def first_step(stage, _done, _total):
        if stage == "training":
            said.extend(record.message for record in caplog.records)
            raise KeyboardInterrupt

    with caplog.at_level(logging.WARNING), pytest.raises(KeyboardInterrupt):
        train([tmp_path / "D"], TrainingRun(tmp_path / "model", device="cpu", progress=first_step), settings=SHORT)
    assert any(line.startswith("the training data have no division") for line in said)
    assert any("no frames are held out" in line for line in said)


def test_masks_of_another_movie_are_refused(tmp_path):
    write_truth(tmp_path / "D" / "01_GT")
    write_folder(tmp_path / "D" / "01_ERR_SEG", np.roll(dividing_masks(), 48, axis=2), prefix="mask")
    with pytest.raises(
        InputError,
        match=r"D 01: \d+% of the cells match a marker, expected at least 50%; masks and truth do not belong",
    ):
        train([tmp_path / "D"], TrainingRun(tmp_path / "model", device="cpu"), settings=SHORT)


@pytest.mark.parametrize("followed", [1, 2, 3])
def test_a_few_cells_followed_by_hand_are_enough(tmp_path, caplog, followed):
    rng = np.random.default_rng(followed)
    masks = np.zeros((6, 96, 96), np.uint8)
    for label in range(1, 9):
        y, x = 8 + 28 * ((label - 1) // 3), 8 + 28 * ((label - 1) % 3)
        for t in range(6):
            dy, dx = rng.integers(0, 4, 2)
            masks[t, y + dy : y + dy + 12, x + dx : x + dx + 12] = label
    write_folder(tmp_path / "D" / "01_ERR_SEG", masks, prefix="mask")
    write_folder(tmp_path / "D" / "01_GT" / "TRA", np.where(masks <= followed, masks, 0), prefix="man_track")
    rows = "".join(f"{label} 0 5 0\n" for label in range(1, followed + 1))
    (tmp_path / "D" / "01_GT" / "TRA" / "man_track.txt").write_text(rows, encoding="utf-8")

    def interrupt(stage, _done, _total):
        if stage == "training":
            raise KeyboardInterrupt

    with caplog.at_level(logging.WARNING), pytest.raises(KeyboardInterrupt):
        train([tmp_path / "D"], TrainingRun(tmp_path / "model", device="cpu", progress=interrupt), settings=SHORT)
    assert sum("of the cells are annotated" in record.message for record in caplog.records) == 1


def test_a_truth_of_another_shape_is_refused(tmp_path):
    write_truth(tmp_path / "D" / "01_GT")
    write_folder(tmp_path / "D" / "01_ERR_SEG", dividing_masks()[:, :, :80], prefix="mask")
    with pytest.raises(
        InputError, match=r"D 01: the truth in .*TRA has 6 frames of \(96, 96\), the masks have 6 of \(96, 80\)"
    ):
        train([tmp_path / "D"], TrainingRun(tmp_path / "model", device="cpu"), settings=SHORT)


def test_data_without_truth_or_cells_is_refused(tmp_path):
    write_folder(tmp_path / "D" / "01", images_of(dividing_masks()))
    with pytest.raises(InputError, match="no truth found"):
        train([tmp_path / "D"], TrainingRun(tmp_path / "model", device="cpu"), settings=SHORT)
    write_truth(tmp_path / "D" / "01_GT")
    write_folder(tmp_path / "D" / "01_ERR_SEG", 0 * dividing_masks(), prefix="mask")
    with pytest.raises(InputError, match="no candidate link to learn from"):
        train([tmp_path / "D"], TrainingRun(tmp_path / "other", device="cpu"), settings=SHORT)


def test_resuming_where_nothing_was_begun(dataset, tmp_path):
    with pytest.raises(ModelError, match="no checkpoint to resume from; start without --resume"):
        train([dataset], TrainingRun(tmp_path / "model", device="cpu", resume=True), settings=SHORT)


# --- appearance ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def looking(dataset, tmp_path_factory):
    """A model that looks at the cells' images."""
    folder = tmp_path_factory.mktemp("looking") / "model"
    settings = SHORT.replace(train__appearance=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(training.with_appearance.__kwdefaults__, "steps", 2)
        train([dataset], TrainingRun(folder, device="cpu"), settings=settings)
    return folder


def test_appearance_is_learnt_and_looked_at_in_tracking(dataset, looking, tmp_path):
    assert load_model(looking / "appearance").kind == "appearance"
    assert load_model(looking).link_network.options["embedding"] == 128
    settings = TINY.replace(gnn__model=str(looking), gnn__device="cpu")
    stages = set()
    lineage = track(
        dataset / "01",
        dataset / "01_ERR_SEG",
        method="gnn",
        settings=settings,
        progress=lambda stage, *_: stages.add(stage),
    )
    assert {"crops", "scoring"} <= stages
    assert len(lineage.track)
    with pytest.raises(ModelError, match=r"uses the cells' images.*give images and masks to 'gnntrack track'"):
        track(masks=dataset / "01_ERR_SEG", method="gnn", settings=settings)
    copy = shutil.copytree(looking, tmp_path / "copy")
    shutil.rmtree(copy / "appearance")
    with pytest.raises(ModelError, match="appearance: no such model"):
        track(dataset / "01", dataset / "01_ERR_SEG", method="gnn", settings=settings.replace(gnn__model=str(copy)))


def test_fine_tuning_keeps_the_appearance_that_the_model_knows(dataset, looking, tmp_path):
    settings = SHORT.replace(train__appearance=True)
    train([dataset], TrainingRun(tmp_path / "model", device="cpu"), start=looking, settings=settings)
    one, other = (load_model(folder / "appearance").network.state_dict() for folder in (looking, tmp_path / "model"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(ModelError, match=r"was trained with the cells' appearance; set train.appearance to true"):
        train([dataset], TrainingRun(tmp_path / "other", device="cpu"), start=looking, settings=SHORT)


def test_an_image_that_cannot_be_read_is_named(dataset, tmp_path):
    copy = shutil.copytree(dataset, tmp_path / "D")
    first = sorted((copy / "01").glob("*.tif"))[0]
    first.write_bytes(b"II")
    with pytest.raises(InputError, match=first.name):
        train([copy], TrainingRun(tmp_path / "model", device="cpu"), settings=SHORT)
    tifffile.imwrite(first, np.zeros((4, 4), np.uint16))
    with pytest.raises(InputError, match=r"shape|\(4, 4\)"):
        train([copy], TrainingRun(tmp_path / "again", device="cpu"), settings=SHORT)


# --- a network of another package ------------------------------------------------------------------------------------


class OtherNet(LinkNet):
    """A network as another package would add it."""

    kind = "other"

    @classmethod
    def settings_for(cls, settings):
        return settings.replace(train__steps=2)


def test_a_network_of_another_package_is_trained_stored_and_read(samples, checks, tmp_path, monkeypatch):
    entry = EntryPoint("other", f"{__name__}:OtherNet", "gnntrack.networks")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group="": [entry] if group == entry.group else [])
    assert list(NETWORKS) == ["linknet", "points", "pdn", "other"]
    settings = NETWORKS["other"].settings_for(TINY)
    learn(samples, checks, TrainingRun(tmp_path, device="cpu"), network="other", settings=settings)
    model = load_model(tmp_path)
    assert (model.kind, type(model.link_network)) == ("other", OtherNet)
    assert model.link_network.options["width"] == TINY.train.width
    assert model.training["best"]["step"] == 2
