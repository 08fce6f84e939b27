"""The strength of a network's correction of the classical scores: the fraction of it that is added.

On movies of kinds that a network has not seen, its correction helps where masks are faulty and there are images. It
does harm where masks are good: the classical model lacks a description of faults of masks, and little else. The rates
of missing masks and of vanishing cells, which it fits to the movie, tell these movies apart.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["USUAL", "choose_strength"]

USUAL = 0.6
"""Strength if neither the user nor the model sets it."""

_NONE = 0.02  # a smaller strength counts as 0


def choose_strength(
    given: float | None, rule: Mapping[str, Any] | None, statistics: Mapping[str, float] | None
) -> float:
    r"""Return the strength of the correction of a movie.

    .. math:: c = c_\mathrm{highest} \prod_i \frac{1}{1 + (t_i / x_i)^{1 / w}}

    with the statistics :math:`x_i` of the movie, their thresholds :math:`t_i` and a width :math:`w`, the change of the
    logarithm over which the strength rises.

    Parameters
    ----------
    given : float or None
        Strength that the user chose, 0 to 1.
    rule : dict or None
        Of the model: ``highest``, ``width``, and ``thresholds``, from the name of a statistic to its threshold. None =
        the model has no rule.
    statistics : dict or None
        Of the movie, see `gnntrack.scores.movie_statistics`; None = not measured.

    Returns
    -------
    float
        0 to 1; 0 = the classical scores.

    Examples
    --------
    >>> rule = {"highest": 0.6, "width": 0.1, "thresholds": {"miss_rate": 0.016, "end_rate": 0.02}}
    >>> choose_strength(None, rule, {"miss_rate": 0.001, "end_rate": 0.01})
    0.0
    >>> round(choose_strength(None, rule, {"miss_rate": 0.03, "end_rate": 0.05}), 2)
    0.6
    >>> choose_strength(0.9, rule, None), choose_strength(None, None, None)
    (0.9, 0.6)
    """
    if given is not None:
        return given
    if rule is None or statistics is None:
        return USUAL
    strength = float(rule["highest"])
    for name, threshold in rule["thresholds"].items():
        ratio = statistics[name] / threshold
        strength *= 1 / (1 + math.exp(min(-math.log(ratio) / rule["width"], 100))) if ratio > 0 else 0
    return strength if strength > _NONE else 0.0
