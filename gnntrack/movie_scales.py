"""Scales of a movie: values that are estimated from all of its cells, and then used for each of them.

A large movie is tracked in windows of frames (`gnntrack.windows`). What is estimated from a whole movie, such as the
typical radius of a cell or the rate of divisions, must be the same in each window. So each such estimate has a name:
`estimate_of_movie` records it while a sample of the movie is tracked, and gives it back in the windows.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "MovieScales",
    "are_scales_known",
    "are_scales_used",
    "estimate_of_movie",
    "find_inner",
    "name_scales",
    "use_scales",
]

_Value = TypeVar("_Value")


class MovieScales:
    """The scales of one movie by name.

    Parameters
    ----------
    known : mapping of str to a plain JSON value, optional
        Scales that were recorded before. If None, they are recorded.
    inner : slice, optional
        Frames of a block of a sample that are far from its ends, at which tracks are cut; see `find_inner`.
    """

    def __init__(self, known: Mapping[str, Any] | None = None, *, inner: slice | None = None) -> None:
        self.values: dict[str, Any] = dict(known or {})
        self.known = known is not None
        self.inner = inner


_CURRENT: ContextVar[MovieScales | None] = ContextVar("scales", default=None)
_PREFIX: ContextVar[str] = ContextVar("prefix", default="")


@contextmanager
def use_scales(scales: MovieScales) -> Iterator[MovieScales]:
    """Record estimates in `scales`, or take them from there.

    Examples
    --------
    >>> with use_scales(MovieScales()) as scales:
    ...     radius = estimate_of_movie("radius", lambda: 4.5)
    >>> with use_scales(MovieScales(scales.values)):
    ...     estimate_of_movie("radius", lambda: 7.0), estimate_of_movie("gate", lambda: 7.0)
    (4.5, 7.0)
    """
    token = _CURRENT.set(scales)
    try:
        yield scales
    finally:
        _CURRENT.reset(token)


@contextmanager
def name_scales(prefix: str) -> Iterator[None]:
    """Put a prefix before the names of estimates, where the same ones are made twice for a movie."""
    token = _PREFIX.set(f"{_PREFIX.get()}{prefix}.")
    try:
        yield
    finally:
        _PREFIX.reset(token)


def estimate_of_movie(name: str, compute: Callable[[], _Value]) -> _Value:
    """Return an estimate from all cells of a movie, which is computed if it is not known.

    Parameters
    ----------
    name : str
        Name of the estimate. If it is made several times, the last one counts.
    compute : callable
        Returns the estimate from the cells at hand: a plain JSON value.
    """
    scales, key = _CURRENT.get(), _PREFIX.get() + name
    if scales is None:
        return compute()
    if not scales.known:
        scales.values[key] = compute()
    elif key not in scales.values:
        return compute()
    value: _Value = scales.values[key]
    return value


def are_scales_known() -> bool:
    """Return whether the scales of the movie were recorded before."""
    scales = _CURRENT.get()
    return scales is not None and scales.known


def are_scales_used() -> bool:
    """Return whether the scales of the movie are recorded, or known."""
    return _CURRENT.get() is not None


def find_inner(n_frames: int) -> slice:
    """Return the frames from which rates are estimated that depend on the lengths of tracks.

    All frames of a movie count. In a block of frames of a large movie, tracks are cut at the ends of the block.

    Examples
    --------
    >>> find_inner(40)
    slice(0, 40, None)
    >>> with use_scales(MovieScales(inner=slice(8, 32))):
    ...     find_inner(40)
    slice(8, 32, None)
    """
    scales = _CURRENT.get()
    return slice(0, n_frames) if scales is None or scales.inner is None else scales.inner
