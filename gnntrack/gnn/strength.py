"""The strength of a network's correction of the classical scores: the fraction of it that is added.

On movies of kinds that a network has not seen, its correction helps where most cells have a clear link. It does harm
where many have several likely links, such as cells that move farther than their distance: there all links depend on
each other, and the network shifts whole rows of cells by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.gnn.training_range import DESCRIPTIONS, is_number
from gnntrack.types import invert_log_odds

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["USUAL", "choose_strength", "describe_weakness", "find_margin", "is_rule", "make_rule"]

USUAL = 0.6
"""Strength if neither the user nor the model sets it."""

_WORDS = {**DESCRIPTIONS, "images": "images, 1 = yes"}  # what the statistics of a rule are
_NONE = 0.02  # a smaller strength counts as 0
_LEAST = 1e-9  # smaller statistics count as this one
_WIDTH = 0.1  # of new rules
_MARGIN = 0.5  # of new rules, as log odds


def make_rule(*, unclear: float) -> dict[str, Any] | None:
    """Return the rule of a network for movies of any kind; None for `unclear` 1, a network for its kind of movies.

    Parameters
    ----------
    unclear : float
        Fraction of the cells of a movie without a clear link at which half of the correction is added.
    """
    return (
        None if unclear >= 1 else {"highest": 1.0, "width": _WIDTH, "limits": {"unclear": unclear}, "margin": _MARGIN}
    )


def is_rule(given: Any) -> bool:
    """Return whether a value from a file is a rule that `choose_strength` can apply.

    >>> is_rule(make_rule(unclear=0.1)), is_rule({"highest": 1.0}), is_rule({"highest": 1.0, "width": 0.1})
    (True, False, True)
    """
    if not isinstance(given, dict) or set(given) - {"highest", "width", "thresholds", "limits", "margin"}:
        return False
    statistics = [given.get(names, {}) for names in ("thresholds", "limits")]
    return (
        is_number(given.get("highest"), least=0, most=1)
        and is_number(given.get("width"), least=_LEAST)
        and is_number(given.get("margin", 0), least=0)
        and all(isinstance(each, dict) and set(each) <= set(_WORDS) for each in statistics)
        and all(is_number(limit, least=_LEAST) for each in statistics for limit in each.values())
    )


def choose_strength(
    given: float | None, rule: Mapping[str, Any] | None, statistics: Mapping[str, float] | None
) -> float:
    r"""Return the strength of the correction of a movie.

    .. math:: c = c_\mathrm{highest} \prod_i \frac{1}{1 + (t_i / x_i)^{1 / w}}
                  \prod_j \frac{1}{1 + (x_j / l_j)^{1 / w}}

    with the statistics :math:`x` of the movie, their thresholds :math:`t_i` and limits :math:`l_j`, and a width
    :math:`w`, the change of the logarithm over which the strength rises or falls.

    Parameters
    ----------
    given : float or None
        Strength that the user chose, 0 to 1.
    rule : dict or None
        Of the model: ``highest``, ``width``, and ``thresholds`` and ``limits``, from the name of a statistic to its
        threshold, or limit; either may be missing. None = the model has no rule. Its ``margin`` is that of
        `gnntrack.gnn.predict.favour_links`.
    statistics : dict or None
        Of the movie, see `gnntrack.scores.movie_statistics`; None = not measured.

    Returns
    -------
    float
        0 to 1; 0 = the classical scores.

    Examples
    --------
    >>> rule = make_rule(unclear=0.1)
    >>> round(choose_strength(None, rule, {"unclear": 0.02}), 2), choose_strength(None, rule, {"unclear": 0.3})
    (1.0, 0.0)
    >>> choose_strength(0.9, rule, None), choose_strength(None, None, None)
    (0.9, 0.6)
    """
    if given is not None:
        return given
    if rule is None or statistics is None:
        return USUAL
    strength = float(rule["highest"])
    for names, sign in (("thresholds", 1), ("limits", -1)):
        for name, threshold in rule.get(names, {}).items():
            above = np.log(max(statistics[name], _LEAST) / threshold)
            strength *= float(invert_log_odds(sign * above / rule["width"]))
    return strength if strength > _NONE else 0.0  # also without a statistic, NaN


def find_margin(given: float | None, rule: Mapping[str, Any] | None) -> float:
    """Return the margin of a rule, see `gnntrack.gnn.predict.favour_links`; 0 if the user chose the strength.

    >>> find_margin(None, make_rule(unclear=0.1)), find_margin(0.6, make_rule(unclear=0.1)), find_margin(None, None)
    (0.5, 0.0, 0.0)
    """
    return float((rule or {}).get("margin", 0.0)) if given is None else 0.0


def describe_weakness(rule: Mapping[str, Any], statistics: Mapping[str, float]) -> str:
    """Return which statistics of a movie make the strength small, in words.

    Examples
    --------
    >>> describe_weakness(make_rule(unclear=0.1), {"unclear": 0.31})
    'fraction of the cells without a clear link 0.31, at most 0.1'
    """
    small = []
    for names, sign, word in (("thresholds", 1, "at least"), ("limits", -1, "at most")):
        for name, threshold in rule.get(names, {}).items():
            value = statistics.get(name, np.nan)
            if not sign * value > sign * threshold:
                small.append(f"{_WORDS[name]} {value:.2g}, {word} {threshold:.2g}")
    return "; ".join(small)
