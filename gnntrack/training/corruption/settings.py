"""Settings of a corruption: rates of the faults in the masks, changes of geometry, grey values and frame rate."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from gnntrack.errors import InputError

__all__ = ["FAULTS", "Corruption"]

FAULTS = ("drop", "merge", "split", "erode", "dilate")  # a cell has at most one of them in a frame


@dataclass(frozen=True)
class Corruption:
    """Changes of a movie for training; by default only the labels are shuffled.

    Parameters
    ----------
    drop, merge, split, erode, dilate : float
        Probability of each fault per cell and frame. A cell has at most one of them. A fault of a cell with a marker
        lasts one, two or three frames. Only cells that have a near neighbour can merge.
    insert : float
        Spurious cells per cell and frame, if there is room for them.
    shown : float
        Fraction of the spurious cells that are visible in the image too, as debris with another cell's grey values.
    jitter : float
        Standard deviation, in cell radii, of the displacement of single cells where there is room.
    step : int
        Every step-th frame is kept.
    skip : float
        Probability that a frame of those is removed, so that the movie jumps.
    drift : float
        Standard deviation per frame, in cell radii, of a random walk of the whole field.
    quarter_turns, flip, rotation, scale
        As in `Warp`.
    gain, gamma : float
        Factor of the signal above the background; exponent of the grey values between background and brightest.
    noise : float
        Standard deviation of added noise, in units of that of the image.
    fading : float
        The signal fades by exp(-fading) over the movie.

    Raises
    ------
    InputError
        If a value is outside its range.
    """

    drop: float = 0.0
    insert: float = 0.0
    shown: float = 0.5
    merge: float = 0.0
    split: float = 0.0
    erode: float = 0.0
    dilate: float = 0.0
    jitter: float = 0.0
    step: int = 1
    skip: float = 0.0
    drift: float = 0.0
    quarter_turns: int = 0
    flip: bool = False
    rotation: float = 0.0
    scale: float = 1.0
    gain: float = 1.0
    gamma: float = 1.0
    noise: float = 0.0
    fading: float = 0.0

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not math.isfinite(value) or (value < 0 and entry.name not in ("quarter_turns", "rotation", "fading")):
                msg = f"corruption with {entry.name} {value}; expected a number of at least 0"
                raise InputError(msg)
        if sum(getattr(self, name) for name in FAULTS) > 1 or self.skip >= 1:
            msg = f"corruption with {', '.join(f'{n} {getattr(self, n)}' for n in FAULTS)}, skip {self.skip}; expected "
            msg += "probabilities whose sum is at most 1, and skip below 1"
            raise InputError(msg)
        if self.step < 1 or self.scale <= 0 or self.gamma <= 0:
            msg = (
                f"corruption with step {self.step}, scale {self.scale}, gamma {self.gamma}; expected step of at least "
            )
            msg += "1, scale and gamma above 0"
            raise InputError(msg)

    @classmethod
    def random(cls, rng: np.random.Generator, strength: float = 1.0) -> Corruption:
        """Draw a corruption for training: a third of the movies nearly clean, some hard.

        Parameters
        ----------
        rng : Generator
            Source of the random numbers.
        strength : float
            Factor of the rates of the faults and of the probability of each other change; 0 only turns and mirrors.

        Examples
        --------
        >>> Corruption.random(np.random.default_rng(1), strength=0).drop
        0.0
        """
        hardness = strength * float(rng.choice([0.05, 0.5, 1.0, 2.0], p=[0.35, 0.3, 0.25, 0.1]))

        def draw_rate(mean: float) -> float:
            return float(min(rng.exponential(mean) * hardness, 0.15))

        def choose(probability: float, value: float, otherwise: float) -> float:
            return float(value) if rng.random() < probability * strength else otherwise

        return cls(
            drop=draw_rate(0.03),
            insert=draw_rate(0.02),
            shown=float(rng.random()) if hardness else cls.shown,
            merge=draw_rate(0.04),
            split=draw_rate(0.02),
            erode=draw_rate(0.03),
            dilate=draw_rate(0.03),
            jitter=choose(0.3, rng.exponential(0.1), 0.0),
            step=int(choose(0.3, rng.choice([2, 2, 2, 3]), 1)),
            skip=choose(0.15, rng.uniform(0, 0.1), 0.0),
            drift=choose(0.3, rng.exponential(0.2), 0.0),
            quarter_turns=int(rng.integers(4)),
            flip=bool(rng.random() < 0.5),
            rotation=choose(0.25, rng.uniform(-45, 45), 0.0),
            scale=choose(0.3, np.exp(rng.uniform(-0.35, 0.35)), 1.0),
            gain=choose(0.5, np.exp(rng.normal(0, 0.4)), 1.0),
            gamma=choose(0.3, np.exp(rng.normal(0, 0.25)), 1.0),
            noise=choose(0.3, rng.exponential(0.1), 0.0),
            fading=choose(0.3, rng.uniform(-0.3, 1.0), 0.0),
        )

    @property
    def changes_masks(self) -> bool:
        """Whether the masks get faults."""
        return any(getattr(self, name) > 0 for name in (*FAULTS, "insert", "jitter"))
