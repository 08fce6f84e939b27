"""Settings of the training of a detector."""
# without `from __future__ import annotations`: the annotations are the kinds of the settings

from typing import Literal

from gnntrack.setting_sections import Section, limit

__all__ = ["DetectorTraining"]


class DetectorTraining(Section):
    """Settings of `gnntrack.training.train_detector`.

    Examples
    --------
    >>> DetectorTraining(steps=100).steps, DetectorTraining().batch
    (100, 6)
    >>> DetectorTraining(simulated_axes=4)
    Traceback (most recent call last):
    gnntrack.errors.SettingsError: 'simulated_axes' = 4: expected one of 2, 3
    """

    steps: int = limit(400, ge=1)
    """Steps of the optimiser."""
    batch: int = limit(6, ge=1)
    """Patches in a step."""
    learning_rate: float = limit(0.002, gt=0)
    """Highest learning rate."""
    validate_every: int = limit(50, ge=1)
    """Steps between validations."""
    patience: int = limit(8, ge=1)
    """Validations without a better score after which training stops."""
    held_out: float = limit(0.15, ge=0, lt=1)
    """Fraction of the annotated frames of each movie, the last ones, that is kept for validation."""
    simulated: int = limit(0, ge=0)
    """Number of simulated images to train on as well; a sixth as many, with other seeds, for validation."""
    simulated_axes: Literal[2, 3] = 3
    """Axes of the simulated images."""
    diameter: float | None = limit(None, gt=0)
    """Typical diameter of a cell in pixels along x; None if it is estimated for each movie."""
