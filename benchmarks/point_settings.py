"""Settings of the other methods of `points.py`: of a grid, those with the best Jaccard index of links.

The baselines get the best settings on the very case that they are tested on, and the other packages those on the first
frames of the first case of each group: generous to them, since gnntrack gets its default settings everywhere. Lengths
are multiples of the scale of a case (`points_data.Case`), 1 um in an embryo of the competition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from points_data import Case

Settings = dict[str, Any]
Score = Callable[[Case, Sequence[Settings]], list[float]]

FEWEST = {"points": 2500, "links": 200, "frames": 10}  # on which the settings of a package are chosen
LENGTHS = ("gate", "gap", "link", "split", "range", "radius", "drift")
GATES = (4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0)
GRIDS: dict[str, dict[str, tuple[Any, ...]]] = {  # the first value of each is the start, one after another is chosen
    "plain": {"drift": (0.0,), "gate": GATES},
    "drift+gaps": {"missing": (3,), "gap": (4.0,), "gate": GATES, "drift": (15.0, 0.0)},
    "laptrack": {
        "split": (0.0,),
        "gap": (10.0,),
        "missing": (3,),
        "link": (8.0, 5.0, 12.0),
        "drift": (15.0, 0.0),
    },
    "trackpy": {"memory": (3,), "range": (8.0, 5.0, 12.0), "drift": (15.0, 0.0), "predict": ("",)},
    "btrack": {
        "radius": (15.0,),
        "missing": (3, 5),
        "scale": (3.0, 1.0, 6.0),
        "config": ("particle", "cell"),
        "drift": (15.0, 0.0),
    },
    "tracksdata": {
        "neighbours": (8,),
        "seconds": (240,),
        "skip": (0.3,),
        "missing": (3,),
        "gate": (8.0, 5.0, 12.0),
        "appear": (0.3, 0.1),
        "division": (1.0, 0.5),
        "drift": (15.0, 0.0),
    },
}
FINER: dict[str, dict[str, tuple[Any, ...]]] = {  # chosen after them
    "drift+gaps": {"gap": (3.0, 4.0, 5.0, 6.0), "gate": GATES},
    "laptrack": {"gap": (6.0, 15.0), "split": (5.0, 10.0), "link": (4.0,)},
    "tracksdata": {"skip": (0.6,)},
    "trackpy": {"predict": ("DriftPredict", "NearestVelocityPredict"), "range": (16.0,)},
}


def choose_settings(method: str, case: Case, score: Score) -> tuple[Settings, int]:
    """Return the best settings, in the unit of the case, and the number of those that were tried."""
    best: Settings = {key: values[0] for key, values in GRIDS[method].items()}
    known: dict[tuple[Any, ...], float] = {}
    for key, values in [*GRIDS[method].items(), *FINER.get(method, {}).items()]:
        options = [{**best, key: value} for value in dict.fromkeys((best[key], *values))]
        new = [each for each in options if _name(each) not in known] if len(options) > 1 else []
        scores = score(case, [scale_settings(each, case.scale) for each in new]) if new else []
        known |= {_name(each): found for each, found in zip(new, scores, strict=True)}
        best = max(options, key=lambda each: known.get(_name(each), -1.0))
    return scale_settings(best, case.scale), len(known)


def scale_settings(settings: Settings, scale: float) -> Settings:
    """Return settings with lengths in the unit of a case; what multiplies positions is divided by the scale.

    >>> scale_settings({"gate": 8.0, "scale": 3.0, "missing": 3}, 2.0)
    {'gate': 16.0, 'scale': 1.5, 'missing': 3}
    """
    lengths = {key: value * scale for key, value in settings.items() if key in LENGTHS}
    return {**settings, **lengths, **({"scale": settings["scale"] / scale} if "scale" in settings else {})}


def take_first_frames(case: Case) -> Case:
    """Return the first frames of a case that have enough points to choose settings on."""
    known = {"points": case.frame, "links": case.truth.frame[case.truth.target]}
    reached = [int(np.searchsorted(np.cumsum(np.bincount(each)), FEWEST[name])) + 1 for name, each in known.items()]
    frames = max(FEWEST["frames"], *reached)
    rows = case.frame < frames
    truth = case.truth.select(case.truth.frame < frames)
    return replace(case, points=case.points[rows], truth=truth, radius=None)


def _name(settings: Settings) -> tuple[Any, ...]:
    return tuple(sorted(settings.items()))
