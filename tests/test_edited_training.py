"""Corrected results as training data: what edits say counts more than what nobody has checked."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.learning import TINY, draw_inputs, draw_truth

import gnntrack
from gnntrack.corrections import apply_edits
from gnntrack.errors import InputError
from gnntrack.gnn.batch import Batch, Outputs, Targets
from gnntrack.gnn.loss import lineage_loss
from gnntrack.gnn.pdn import PdnNet
from gnntrack.lineage.edits import Edit, EditList
from gnntrack.results import load_result
from gnntrack.training.edited import EditedCells, find_corrected, list_edited, read_corrected
from gnntrack.training.links import train
from gnntrack.training.movies import open_corrected, open_training_movies
from gnntrack.training.samples import make_sample, make_samples
from gnntrack.training.windows import Windows

SETTINGS = TINY.replace(train__steps=2, train__variants=2)


@pytest.fixture(scope="module")
def corrected(tmp_path_factory):
    """Corrected result of a small movie, with an edit of each kind that has two cells, and a spurious cell."""
    folder = tmp_path_factory.mktemp("corrected")
    movie = gnntrack.simulate(folder / "movie", frames=14, cells=10, shape=(160, 160), seed=3)
    masks = np.stack([np.asarray(frame) for frame in movie.masks]).astype(np.uint16)
    np.save(folder / "masks.npy", masks)
    np.save(folder / "images.npy", np.stack([np.asarray(frame) for frame in movie.images]))
    gnntrack.track(folder / "images.npy", folder / "masks.npy", out=folder / "01_RES", pictures=False)
    lineage = load_result(folder / "01_RES")
    first, second, third, *_ = (track for track in lineage if len(track.frames) > 6 and track.start == 0)
    edits = [
        Edit("confirm", ((2, first.id), (3, first.id))),
        Edit("cut", ((4, second.id), (5, second.id))),
        Edit("spurious", ((3, third.id),)),
    ]
    apply_edits(folder / "01_RES", EditList(tuple(edits)), out=folder / "corrected" / "01_RES")
    return folder / "corrected" / "01_RES"


def test_the_cells_of_edits_are_found(corrected):
    before = load_result(corrected)
    edits = [Edit(each["kind"], tuple(map(tuple, each["cells"]))) for each in json.loads(
        (corrected / "gnntrack" / "edits.json").read_text()
    )["edits"]]  # fmt: skip
    edited = list_edited(before, edits)
    assert {frame for frame, _ in edited.past} == {3, 5}
    assert {frame for frame, _ in edited.future} == {2, 3, 4}
    assert (3, 0) in edited.past & edited.future  # the spurious cell
    assert edited.select(3, 5).future == {(0, 0), (1, next(name for frame, name in edited.future if frame == 4))}


def test_edited_cells_count_more_than_others(corrected):
    movie = open_corrected(corrected)
    settings = SETTINGS.replace(train__edited_weight=4.0, train__unconfirmed_weight=0.5)
    for sample in make_samples([movie], settings=settings):  # as it is, and every second frame
        past, future = sample.truth.past_weight, sample.truth.future_weight
        assert set(np.unique(past)) | set(np.unique(future)) <= {0.5, 4.0}
        assert (sample.inputs.n_frames == 14) == (int((past == 4).sum()) == 3)
    sample = make_sample(movie, settings=settings)
    frame = sample.inputs.frame
    assert sorted(frame[sample.truth.past_weight == 4].tolist()) == [3, 3, 5]
    assert sorted(frame[sample.truth.future_weight == 4].tolist()) == [2, 3, 4]
    spurious = np.flatnonzero(sample.truth.spurious & (frame == 3))
    assert len(spurious) == 1
    assert sample.truth.past_weight[spurious] == 4
    drawn = Windows([sample], length=4, links=1, division_share=1.0)
    assert set(drawn.divisions[0]) == {2, 3, 4, 5}
    batch, targets, _ = drawn.draw(np.random.default_rng(0))
    assert len(batch.cell) == len(targets.past_weight)
    assert targets.past_weight.max() == 4


@pytest.mark.parametrize("compute", ["linknet", "pdn"])
def test_a_cell_without_weight_does_not_count(compute):
    """The loss has no slope at links whose cells have weight 0, and is that of the others."""
    inputs = draw_inputs(2, pairs=compute == "linknet")
    truth = draw_truth(inputs, 2)
    half = inputs.frame < 2
    weights = np.where(half, 1, 0).astype(np.float32)
    ends = [(0, inputs.n_frames)]
    batch = Batch.from_windows([inputs])

    def measure(each):
        targets = Targets.from_windows([inputs], [each], ends)
        link = torch.zeros(len(inputs.source), requires_grad=True)
        outputs = Outputs(link, torch.zeros(len(inputs.pairs)), torch.zeros(len(inputs.frame)))
        loss = (
            lineage_loss(outputs, batch, targets, division_weight=4.0)
            if compute == "linknet"
            else PdnNet.loss(outputs, batch, targets)
        )
        loss.backward()
        return loss.item(), link.grad.numpy()

    _, slope = measure(replace(truth, past_weight=weights, future_weight=weights))
    outside = ~half[inputs.source] & ~half[inputs.target]
    assert not slope[outside].any()
    assert slope.any()
    assert measure(truth)[1][outside].any()
    one, other = (measure(each)[0] for each in (truth, replace(truth, past_weight=np.ones(len(half), np.float32))))
    assert one == pytest.approx(other)


def test_what_a_path_stands_for(corrected, tmp_path):
    assert find_corrected(corrected) == [corrected]
    assert find_corrected(corrected.parent) == [corrected]
    assert find_corrected(corrected.parents[1]) == []  # the movie in it has ground truth, which counts
    assert find_corrected(corrected.parents[1] / "movie") == []
    for name in ("one", "two"):
        (tmp_path / name / "01_RES" / "gnntrack").mkdir(parents=True)
        (tmp_path / name / "01_RES" / "gnntrack" / "edits.json").write_text("{}")
    assert find_corrected(tmp_path) == [tmp_path / "one" / "01_RES", tmp_path / "two" / "01_RES"]


def test_a_result_without_edits_is_refused(corrected, tmp_path):
    first = corrected.parents[1] / "01_RES"
    apply_edits(first, EditList(), out=tmp_path / "01_RES")
    with pytest.raises(InputError, match="no edit to learn from"):
        read_corrected(tmp_path / "01_RES")


def test_masks_that_are_gone_are_replaced_by_those_of_the_result(corrected, caplog):
    summary = corrected / "gnntrack" / "summary.json"
    before = summary.read_text()
    content = json.loads(before)
    content["input"] = {"images": None, "masks": "/nowhere/masks.npy"}
    summary.write_text(json.dumps(content))
    try:
        with caplog.at_level(logging.WARNING):
            result = read_corrected(corrected)
        assert "its own masks are used" in caplog.text
        assert len(result.movie.masks) == 14
    finally:
        summary.write_text(before)


def test_a_corrected_result_is_not_split_and_is_trained_on(corrected, tmp_path):
    (movie,), checks = open_training_movies([corrected], None, simulated=0, seed=0, settings=SETTINGS)
    assert checks == []
    assert movie.edited.past
    summary = train([corrected], tmp_path / "model", settings=SETTINGS)
    assert (summary["movies"], summary["best"]["step"]) == (1, 2)
    stored = json.loads((tmp_path / "model" / "model.json").read_text())["training"]
    assert stored["settings"]["edited_weight"] == 5.0
    assert stored["data"] == ["corrected/01_RES"]


def test_weights_of_a_movie_with_fewer_frames():
    edited = EditedCells(frozenset({(4, 1)}), frozenset({(2, 1)}))
    past, future = edited.weigh(np.array([0, 1, 2, 2]), np.array([1, 1, 1, 2]), [0, 2, 4], SETTINGS.train)
    assert past.tolist() == pytest.approx([0.2, 0.2, 5.0, 0.2])
    assert future.tolist() == pytest.approx([0.2, 5.0, 0.2, 0.2])
