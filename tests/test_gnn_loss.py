"""The loss, against a slow one that is written cell by cell."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from support.learning import compute_outputs, draw_inputs, make_batch, make_random_network, with_links

from gnntrack.gnn.batch import Outputs
from gnntrack.gnn.linknet import LinkNet
from gnntrack.gnn.loss import lineage_loss
from gnntrack.settings import TrainSettings


def slow_loss(outputs, batch, answers, weight):
    """Return the mean surprise of the known pasts and futures, and that of spurious cells at a tenth."""
    link, pair = outputs.link.tolist(), outputs.pair.tolist()
    ends = list(zip(batch.source.tolist(), batch.target.tolist(), strict=True))
    surprises, weights, spurious = [], [], []
    for cell in range(len(batch.cell)):
        past = [(link[i], bool(answers.link[i]), False) for i, (_, b) in enumerate(ends) if b == cell]
        future = [(link[i], bool(answers.link[i]), False) for i, (a, _) in enumerate(ends) if a == cell]
        for i, (one, other) in enumerate(batch.pairs.tolist()):
            option = pair[i], bool(answers.pair[i]), True
            past += [option] * (cell in (ends[one][1], ends[other][1]))
            future += [option] * (cell == ends[one][0])
        for options, known in ((past, answers.past[cell]), (future, answers.future[cell])):
            if not known:
                continue
            total = 1 + sum(math.exp(gain) for gain, _, _ in options)
            right = sum(math.exp(gain) for gain, good, _ in options if good) or 1.0
            divides = any(good and division for _, good, division in options)
            weights.append(weight if divides else 1.0)
            surprises.append(weights[-1] * -math.log(right / total))
        if answers.past[cell] or answers.future[cell]:
            chance = 1 / (1 + math.exp(-outputs.spurious[cell].item()))
            spurious.append(-math.log(chance if answers.spurious[cell] else 1 - chance))
    of_links = sum(surprises) / max(sum(weights), 1)
    return of_links + 0.1 * (sum(spurious) / len(spurious) if spurious else 0)


def random_outputs(batch, seed=0, spread=2.0):
    random = torch.Generator().manual_seed(seed)
    sizes = len(batch.link), len(batch.pair), len(batch.cell)
    return Outputs(*(spread * torch.randn(n, generator=random) for n in sizes))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_agrees_with_the_slow_one(seed, weight):
    batch, answers = make_batch(draw_inputs(seed, cells=3 + seed), draw_inputs(seed + 9, frames=3), seed=seed)
    assert answers.pair.any()
    outputs = random_outputs(batch, seed)
    loss = lineage_loss(outputs, batch, answers, division_weight=weight)
    assert loss.item() == pytest.approx(slow_loss(outputs, batch, answers, weight), rel=1e-5)


def test_without_pairs_or_links():
    inputs = draw_inputs()
    for rows in (range(9), ()):
        batch, answers = make_batch(with_links(inputs, list(rows)))
        outputs = random_outputs(batch)
        loss = lineage_loss(outputs, batch, answers, division_weight=2)
        assert loss.item() == pytest.approx(slow_loss(outputs, batch, answers, 2), rel=1e-5)


def test_cells_that_are_not_known_do_not_count():
    batch, answers = make_batch(draw_inputs(3))
    unknown = torch.zeros_like(answers.past)
    outputs = random_outputs(batch)
    assert lineage_loss(outputs, batch, replace(answers, past=unknown, future=unknown), division_weight=2) == 0
    # the truth of links into cells without a known past, and out of cells without a known future, is not looked at
    answers = replace(answers, past=unknown, future=unknown.clone())
    answers.past[batch.target[0]] = True
    before = lineage_loss(outputs, batch, answers, division_weight=2)
    elsewhere = (batch.target != batch.target[0]).nonzero()[:, 0]
    changed = replace(outputs, link=outputs.link.index_fill(0, elsewhere, 5.0))
    assert lineage_loss(changed, batch, answers, division_weight=2) == before
    changed = replace(outputs, link=outputs.link.index_fill(0, torch.tensor([0]), 5.0))
    assert lineage_loss(changed, batch, answers, division_weight=2) != before


def test_high_log_odds_do_not_overflow():
    batch, answers = make_batch(draw_inputs())
    outputs = random_outputs(batch)
    link = (outputs.link + 200).requires_grad_()
    loss = lineage_loss(replace(outputs, link=link), batch, answers, division_weight=2)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(link.grad).all()


def test_what_is_right_is_raised_and_what_is_wrong_is_lowered():
    batch, answers = make_batch(draw_inputs(cells=5), seed=4)
    answers = replace(answers, past=torch.ones_like(answers.past), future=torch.ones_like(answers.future))
    outputs = replace(
        random_outputs(batch),
        link=torch.zeros(len(batch.link), requires_grad=True),
        pair=torch.zeros(len(batch.pair), requires_grad=True),
    )
    lineage_loss(outputs, batch, answers, division_weight=2).backward()
    assert torch.equal(outputs.link.grad < 0, answers.link)
    assert torch.equal(outputs.pair.grad < 0, answers.pair)
    assert (outputs.link.grad != 0).all()


def test_every_part_of_the_network_is_trained():
    inputs = draw_inputs()
    inputs = replace(
        inputs, cell=torch.cat([torch.from_numpy(inputs.cell), torch.randn(len(inputs.cell), 4)], 1).numpy()
    )
    batch, answers = make_batch(inputs)
    net = make_random_network(embedding=4).train()
    net.loss(net(batch), batch, answers, TrainSettings()).backward()
    assert [name for name, each in net.named_parameters() if each.grad is None or not each.grad.any()] == []


def test_steps_away_from_the_classical_scores_cost():
    batch, answers = make_batch(draw_inputs())
    fresh, net = LinkNet(width=16).eval(), make_random_network()
    free, dear = (TrainSettings(penalty=penalty) for penalty in (0.0, 0.5))
    at_first = compute_outputs(fresh, batch)
    assert fresh.loss(at_first, batch, answers, dear) == fresh.loss(at_first, batch, answers, free)
    later = compute_outputs(net, batch)
    away = (later.link - at_first.link).square().mean() + (later.pair - at_first.pair).square().mean()
    cost = net.loss(later, batch, answers, dear) - net.loss(later, batch, answers, free)
    assert cost.item() == pytest.approx(0.5 * away.item(), rel=1e-4)
