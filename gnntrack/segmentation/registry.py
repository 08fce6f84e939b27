"""Segmenters by name, found by entry point, so that any package can add one.

A segmenter is an object with ``segment(image) -> labels``. It registers a class (or any callable that
makes one) under the entry-point group ``gnntrack.segmenters``; its options are the keyword-only
arguments of that class. A segmenter is imported when it is first used: one that is broken, or
whose libraries are not installed, affects no other.
"""

from __future__ import annotations

import difflib
import inspect
from typing import TYPE_CHECKING, Any, NoReturn

from gnntrack.errors import GnntrackError, SegmenterError
from gnntrack.plugins import Registry, get_distribution
from gnntrack.segmentation.description import describe_segmenter
from gnntrack.segmentation.protocol import Segmenter

if TYPE_CHECKING:
    from collections.abc import Callable

    from gnntrack.segmentation.description import SegmenterInfo

__all__ = [
    "SEGMENTERS",
    "available_segmenters",
    "check_options",
    "expect_diameter",
    "load_segmenter",
    "make_plugin",
    "segmenter_class",
]

SEGMENTERS: Registry[Any] = Registry("segmenter", {}, error=SegmenterError)
"""Name -> class. All are entry points of the group ``gnntrack.segmenters``, those of this project too."""

_OF_NETWORK = ("model", "kind", "device")  # options that a segmenter of stacks passes on to that of the planes


def available_segmenters() -> dict[str, SegmenterInfo]:
    """Return all installed segmenters by name; none of them is imported.

    >>> available_segmenters()["threshold"].description
    'Threshold, watershed, and outlines at a fraction of the brightness of each cell.'
    """
    return {name: describe_segmenter(name, found) for name, found in sorted(SEGMENTERS.find_entries().items())}


def load_segmenter(name: str, /, **options: Any) -> Segmenter:
    """Return a segmenter by name.

    Parameters
    ----------
    name : str
        As listed by `available_segmenters`.
    **options
        Keyword arguments of its class. A segmenter that uses another one, with the options ``segmenter`` and
        ``options``, passes ``model``, ``kind`` and ``device`` on to it.

    Raises
    ------
    SegmenterError
        If no segmenter has this name or several have, if it cannot be imported or has no method ``segment``, or if an
        option is unknown, missing, or refused.
    MissingDependencyError
        If a library that it needs is not installed.
    """
    factory = segmenter_class(name)
    options = _nest_options(factory, options)
    check_options("segmenter", name, factory, options)
    segmenter = make_plugin("segmenter", name, factory, options)
    if isinstance(segmenter, type) or not isinstance(segmenter, Segmenter):
        entry = SEGMENTERS.find_entries()[name][0]
        _fail(
            f"segmenter '{name}' of {get_distribution(entry)}: {entry.value} makes a {type(segmenter).__name__}, "
            f"which has no method segment(image); its author must register a class that has one"
        )
    return segmenter


def segmenter_class(name: str) -> Callable[..., Any]:
    """Return the class, or the callable, that is registered under a name.

    Raises
    ------
    SegmenterError
        If no segmenter has this name or several have, if it cannot be imported, or is not callable.
    MissingDependencyError
        If a library that it needs is not installed.
    """
    return SEGMENTERS[name]  # type: ignore[no-any-return]


def expect_diameter(name: str) -> None:
    """Raise an error unless a segmenter has the option ``diameter``.

    Raises
    ------
    SegmenterError
        If it has none, or as `segmenter_class`.
    MissingDependencyError
        As `segmenter_class`.
    """
    parameters = _list_parameters(segmenter_class(name))
    known = [parameter.name for parameter in parameters or ()]
    if parameters is not None and "diameter" not in known:
        own = f"; its options are: {', '.join(known)}" if known else ""
        _fail(f"segmenter '{name}' does not take a diameter; omit --diameter (the option diameter in Python){own}")


def _list_parameters(factory: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """Return the parameters that can be given by name; None if any name is accepted or nothing is known."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # a compiled class may have no signature
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _nest_options(factory: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return the options; those for the network of the segmenter that it uses, if any, are in ``options``."""
    known = {parameter.name for parameter in _list_parameters(factory) or ()}
    if not known >= {"segmenter", "options"}:
        return options
    inner = {option: value for option, value in options.items() if option in _OF_NETWORK and option not in known}
    own = {option: value for option, value in options.items() if option not in inner}
    return own | ({"options": {**(own.get("options") or {}), **inner}} if inner else {})


def check_options(plugin: str, name: str, factory: Callable[..., Any], options: dict[str, Any]) -> None:
    """Raise an error about options that a plug-in does not have, or that it needs.

    Parameters
    ----------
    plugin : str
        ``"segmenter"`` or ``"detector"``, for messages.
    name : str
        Its name.
    factory : callable
        Its class.
    options : dict
        The options that are given.

    Raises
    ------
    SegmenterError
        If an option is unknown or missing.
    """
    parameters = _list_parameters(factory)
    if parameters is None:
        return
    known = [parameter.name for parameter in parameters]
    for option in options:
        if option == "kind" and option not in known:
            _fail(f"{plugin} '{name}' has no models for several kinds; choose segmenter 'unet', or omit the kind")
        if option not in known:
            near = difflib.get_close_matches(option, known, 1, 0)
            guess = f"; did you mean '{near[0]}'? There are: {', '.join(known)}" if near else "; it has no options"
            _fail(f"{plugin} '{name}' has no option '{option}'{guess}")
    wanted = [p.name for p in parameters if p.default is p.empty and p.name not in options]
    if wanted:
        _fail(f"{plugin} '{name}' needs the option{'s' * (len(wanted) > 1)} {', '.join(wanted)}; give a value")


def make_plugin(plugin: str, name: str, factory: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Return a segmenter or detector with these options.

    Raises
    ------
    SegmenterError
        If its class raises anything but an error of gnntrack.
    """
    try:
        return factory(**options)
    except GnntrackError:
        raise
    except Exception as error:  # a plug-in may raise anything
        given = ", ".join(f"{key}={value!r}" for key, value in options.items()) or "no options"
        msg = f"{plugin} '{name}' cannot be made with {given}: {type(error).__name__}: {error}"
        raise SegmenterError(msg) from error


def _fail(message: str) -> NoReturn:
    raise SegmenterError(message)
