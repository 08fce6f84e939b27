"""Counted words of messages: 1 frame, 2 frames."""

from __future__ import annotations

from typing import SupportsInt

__all__ = ["choose_form", "count_noun"]


def count_noun(number: SupportsInt, noun: str, plural: str | None = None) -> str:
    """Return a number with a noun in its form for that number.

    Parameters
    ----------
    number : int
        The number.
    noun : str
        The noun for one; the last word of several takes the s.
    plural : str, optional
        The noun for other numbers; if None, with an s.

    Examples
    --------
    >>> count_noun(1, "frame"), count_noun(0, "short track"), count_noun(2, "branch", "branches")
    ('1 frame', '0 short tracks', '2 branches')
    """
    return f"{int(number)} {choose_form(number, noun, plural or f'{noun}s')}"


def choose_form(number: SupportsInt, one: str, many: str) -> str:
    """Return the first form of a word for the number 1, else the second one.

    Examples
    --------
    >>> [choose_form(number, "is", "are") for number in (0, 1, 2)]
    ['are', 'is', 'are']
    """
    return one if int(number) == 1 else many
