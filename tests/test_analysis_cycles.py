"""Cell cycles, growth and sisters: a textbook example, analytic cases, censored cells."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import CensoredData, ecdf, ttest_1samp
from support.walks import make_lineage

import gnntrack
from gnntrack.analysis import correlate_pairs, estimate_survival, find_cycles, fit_growth
from gnntrack.types import Tracks


def grow(lines):
    """Return a lineage of cells at rest, from (track, first frame, last frame, parent); each has a row of its own."""
    rows = [(track, t, 5 * track, 0) for track, start, end, _ in lines for t in range(start, end + 1)]
    return make_lineage(rows, parent={track: parent for track, *_, parent in lines if parent}, interval=3600.0)


def test_survival_is_that_of_a_textbook():
    """Remission times of 21 patients with 6-MP (Freireich et al. 1963); values of Stata 'sts list'."""
    time = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    event = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    survival = estimate_survival(np.array(time, float), np.array(event, bool))
    expected = {
        6: (21, 0.8571, 0.0764, 0.6197, 0.9516),
        7: (17, 0.8067, 0.0869, 0.5631, 0.9228),
        10: (15, 0.7529, 0.0963, 0.5032, 0.8894),
        13: (12, 0.6902, 0.1068, 0.4316, 0.8491),
        16: (11, 0.6275, 0.1141, 0.3675, 0.8049),
        22: (7, 0.5378, 0.1282, 0.2678, 0.7468),
        23: (6, 0.4482, 0.1346, 0.1881, 0.6801),
    }
    for time, (at_risk, *values) in expected.items():
        (k,) = np.flatnonzero(survival.time == time)
        assert survival.at_risk[k] == at_risk
        found = [survival.fraction[k], survival.error[k], survival.low[k], survival.high[k]]
        assert np.allclose(found, values, atol=1e-4)
    assert survival.median == 23
    assert survival.median_low == 13
    assert math.isnan(survival.median_high)


def test_survival_without_censoring_is_the_fraction_that_is_left():
    survival = estimate_survival(np.array([1.0, 2, 3, 4, 4]), np.ones(5, bool))
    assert np.allclose(survival.fraction, [0.8, 0.6, 0.4, 0])
    assert survival.median == 3
    assert np.allclose(survival.error[:3], np.sqrt(survival.fraction * (1 - survival.fraction) / 5)[:3])


def test_survival_of_nothing():
    survival = estimate_survival(np.zeros(0), np.zeros(0, bool))
    assert len(survival.time) == 0
    assert math.isnan(survival.median)


def test_the_median_cycle_is_not_biased_by_the_end_of_the_movie():
    rng = np.random.default_rng(0)
    cycle, birth = rng.gamma(40, 0.5, 4000), rng.uniform(0, 30, 4000)  # about 20 h, in a movie of 30 h
    seen = np.minimum(cycle, 30 - birth)
    survival = estimate_survival(seen, cycle <= 30 - birth)
    assert survival.median_low < np.median(cycle) < survival.median_high
    complete = seen[cycle <= 30 - birth]
    assert complete.mean() < 0.96 * cycle.mean()  # the short ones


def test_cycles_are_complete_or_censored():
    # 1 divides in frame 3 (its beginning is not seen), 2 divides in frame 9, 3 ends with the movie, 4 and 5 are young
    lineage = grow([(1, 0, 2, 0), (2, 3, 8, 1), (3, 3, 11, 1), (4, 9, 11, 2), (5, 9, 9, 2), (6, 4, 11, 0)])
    analysis = gnntrack.analyse(lineage)
    tracks = analysis.tracks.set_index("track")
    assert tracks["begins"].tolist() == ["first frame", "division", "division", "division", "division", "appears"]
    assert tracks["ends"].tolist() == ["division", "division", "last frame", "last frame", "disappears", "last frame"]
    assert tracks["cycle_h"].dropna().to_dict() == {2: 6.0}
    assert tracks["seen_h"].dropna().to_dict() == {2: 6.0, 3: 8.0, 4: 2.0, 5: 0.0}
    counts = [analysis[f"cycles_{name}"] for name in ("complete", "right_censored", "left_censored")]
    assert counts == [1, 3, 2]
    survival = analysis.survival
    assert survival["age_h"].tolist() == [0, 2, 6, 8]
    assert survival["at_risk"].tolist() == [4, 3, 2, 1]
    assert survival["undivided"].tolist() == [1, 1, 0.5, 0.5]
    assert analysis["cycle_median"] == 6
    assert any("1 of 4 cells that begin with a division divides before" in note for note in analysis.notes)
    assert analysis.frames["divisions"].to_numpy().nonzero()[0].tolist() == [3, 9]


def test_a_track_that_continues_another_is_the_same_cell():
    lineage = grow([(1, 0, 1, 0), (2, 2, 4, 1), (3, 2, 9, 1), (4, 7, 9, 2), (5, 10, 12, 4), (6, 10, 12, 4)])
    cycles = find_cycles(lineage.tracks)
    assert cycles.frames[cycles.complete].tolist() == [8]
    tracks = gnntrack.analyse(lineage).tracks.set_index("track")
    assert tracks["begins"].to_dict()[4] == "continues"
    assert tracks["ends"].to_dict()[2] == "continues"
    assert tracks["cycle_h"].dropna().to_dict() == {2: 8.0}


def test_a_movie_without_divisions_has_a_note_and_no_cycle():
    analysis = gnntrack.analyse(grow([(1, 0, 5, 0), (2, 0, 5, 0)]))
    assert math.isnan(analysis["cycle_median"])
    assert analysis["division_rate"] == 0
    assert math.isnan(analysis["doubling_time"])
    assert analysis.survival.empty
    assert "no cell begins with a division: there are no cell cycles to measure" in analysis.notes


def make_population(rng, *, rate, frames, start=40):
    """Return tracks of cells that divide at a rate per frame (a number, or one for each frame)."""
    rate = np.broadcast_to(rate, frames)
    alive, lines, following = [(k + 1, 0, 0) for k in range(start)], [], start + 1
    for t in range(1, frames):
        divides = rng.random(len(alive)) < rate[t - 1]
        kept = [cell for cell, now in zip(alive, divides, strict=True) if not now]
        for (track, first, parent), now in zip(alive, divides, strict=True):
            if now:
                lines.append((track, first, t - 1, parent))
                kept += [(following, t, track), (following + 1, t, track)]
                following += 2
        alive = kept
    lines += [(track, first, frames - 1, parent) for track, first, parent in alive]
    track, first, last, parent = np.array(sorted(lines)).T
    return Tracks(track, first, last, parent)


def lineage_of(tracks):
    return grow(list(zip(tracks.id, tracks.start, tracks.end, tracks.parent, strict=True)))


def test_the_division_rate_of_a_population_and_its_interval():
    found = []
    for seed in range(8):
        analysis = gnntrack.analyse(lineage_of(make_population(np.random.default_rng(seed), rate=0.03, frames=30)))
        row = analysis.movie.set_index("quantity").loc["division_rate"]
        found.append(row["value"])
        assert row["low"] < row["value"] < row["high"]
        assert analysis["doubling_time"] == pytest.approx(math.log(2) / row["value"])
        assert analysis["division_dispersion_p"] > 0.001
    assert ttest_1samp(found, 0.03).pvalue > 0.01
    assert 0.3 < np.std(found) / ((row["high"] - row["low"]) / 3.92) < 2


def test_waves_of_divisions_are_dispersed():
    waves = np.where(np.arange(40) % 10 < 2, 0.15, 0.0)
    analysis = gnntrack.analyse(lineage_of(make_population(np.random.default_rng(0), rate=waves, frames=40)))
    assert analysis["division_dispersion"] > 3
    assert analysis["division_dispersion_p"] < 1e-6


def test_exponential_growth_is_recovered():
    time = np.arange(20.0)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        rate, error, r2 = fit_growth(time, 3 * np.exp(0.05 * time + rng.normal(0, 0.1, 20)), np.zeros(20, int), 1)
        found.append((rate[0] - 0.05) / error[0])
        assert 0 <= r2[0] <= 1
    assert np.std(found) == pytest.approx(1, abs=0.2)
    assert abs(np.mean(found)) < 0.3
    rows = [(track, t, 0, 9 * track) for track in (1, 2) for t in range(10)]
    size = [5 * np.exp(k * t) for k in (0.1, -0.2) for t in range(10)]
    analysis = gnntrack.analyse(make_lineage(rows, size=size, interval=1800.0))
    assert np.allclose(analysis.tracks["growth_rate_per_h"], [0.2, -0.4], atol=1e-5)
    assert np.allclose(analysis.tracks["growth_r2"], 1, atol=1e-5)
    assert np.allclose(analysis.tracks["first_size_um2"], 5)
    assert np.allclose(analysis.tracks["last_size_um2"], 5 * np.exp([0.9, -1.8]))


def test_growth_of_few_or_equal_sizes_is_not_known():
    rate, _, r2 = fit_growth(np.arange(6.0), np.ones(6), np.zeros(6, int), 2)
    assert rate[0] == 0
    assert math.isnan(r2[0])
    assert math.isnan(rate[1])
    assert math.isnan(fit_growth(np.arange(5.0), np.array([1.0, 2, 0, 3, 4]), np.zeros(5, int), 1)[0][0])


def test_points_have_no_sizes_and_a_note():
    analysis = gnntrack.analyse(make_lineage([(1, t, 0, t) for t in range(8)]))
    assert not [name for name in (*analysis.cells, *analysis.tracks) if "size" in name or "growth" in name]
    assert "growth_rate" not in set(analysis.movie["quantity"])
    assert any("points without sizes" in note for note in analysis.notes)


def test_sisters_with_equal_cycles_are_correlated():
    lines, following = [(1, 0, 0, 0)], 100
    rng = np.random.default_rng(0)
    lines = []
    for parent in range(1, 40):
        lines.append((parent, 0, 1, 0))
        common = int(rng.integers(4, 12))
        for _ in range(2):
            end = 1 + common + int(rng.integers(0, 3))
            lines += [(following, 2, end, parent)]
            lines += [(following + k, end + 1, 20, following) for k in (1, 2)]
            following += 3
    analysis = gnntrack.analyse(grow(lines))
    row = analysis.movie.set_index("quantity").loc["sister_correlation_cycle"]
    assert row["n"] == 39
    assert 0.75 < row["value"] < 0.97
    assert row["low"] < row["value"] < row["high"]


def test_the_intraclass_correlation_has_the_interval_of_its_theory():
    rng, inside, values = np.random.default_rng(0), 0, []
    for _ in range(400):
        common = rng.normal(size=30) * np.sqrt(0.6)
        one, other = (common + rng.normal(size=30) * np.sqrt(0.4) for _ in range(2))
        value, low, high = correlate_pairs(one, other)
        assert correlate_pairs(other, one)[0] == pytest.approx(value)
        inside += low < 0.6 < high
        values.append(value)
    assert 0.91 < inside / 400 < 0.98
    assert np.mean(values) == pytest.approx(0.6, abs=0.04)
    assert math.isnan(correlate_pairs(np.ones(3), np.ones(3))[0])
    assert math.isnan(correlate_pairs(np.ones(5), np.ones(5))[0])


@pytest.mark.filterwarnings("ignore:The confidence interval is undefined:RuntimeWarning")  # where nothing is left
@pytest.mark.parametrize("seed", range(3))
def test_survival_is_that_of_scipy(seed):
    rng = np.random.default_rng(seed)
    life, seen = rng.gamma(9, 1, 60).round(1), rng.uniform(2, 20, 60).round(1)  # with ties
    duration, has_event = np.minimum(life, seen), life <= seen
    ours = estimate_survival(duration, has_event)
    scipy = ecdf(CensoredData(uncensored=duration[has_event], right=duration[~has_event])).sf
    np.testing.assert_allclose(scipy.evaluate(ours.time), ours.fraction, atol=1e-12)
    interval = scipy.confidence_interval(method="log-log")
    inside = (ours.fraction > 0) & (ours.fraction < 1)
    np.testing.assert_allclose(interval.low.evaluate(ours.time)[inside], ours.low[inside], atol=1e-6)
    np.testing.assert_allclose(interval.high.evaluate(ours.time)[inside], ours.high[inside], atol=1e-6)
