"""Options of the recipes as plain keywords: ``track(images, masks, max_gap=3)`` for the setting ``graph.max_gap``."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from gnntrack.errors import InputError, OptionError, SettingsError
from gnntrack.io.output_locks import hold_outputs
from gnntrack.progress_bars import open_progress
from gnntrack.setting_errors import check_bools
from gnntrack.settings import Settings

__all__ = ["accept_options", "list_options", "resolve_options"]

_P = ParamSpec("_P")
_R = TypeVar("_R")

_USERS = {
    "frames": "build_graph() and track(), which read the movie",
    "cells": "build_graph() and track(), which read the masks",
    "motion": "build_graph() and track(), which find the candidate links",
    "graph": "build_graph() and track(), which find the candidate links",
    "scores": "solve() and track()",
    "gnn": "solve() and track()",
    "solver": "solve() and track()",
    "repair": "track() and export(), which draw the masks of the result",
    "points": "solve() and track(), for points",
    "output": "track() and segment(), which write the result",
    "simulate": "simulate()",
    "embryo": "gnntrack.embryos.simulate_embryos()",
    "train": "gnntrack.training.train(), by its settings",
    "train_segmenter": "gnntrack.training.train_segmenter(), by its settings",
}


def accept_options(*sections: str, other: Iterable[str] = ()) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Return a decorator for a recipe: it takes settings as plain keywords, and ``progress=True``.

    Parameters
    ----------
    *sections : str
        Sections of `Settings` whose settings are keywords.
    other : strings
        Names of keywords that the recipe takes by ``**options``.
    """

    def decorate(recipe: Callable[_P, _R]) -> Callable[_P, _R]:
        signature = inspect.signature(recipe)
        named = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
        own = [*(each.name for each in named), *other]
        switches = [each.name for each in named if isinstance(each.default, bool)]
        options = list_options(sections)

        @wraps(recipe)
        def run(*args: Any, **keywords: Any) -> Any:
            check_bools(**{name: value for name, value in keywords.items() if name in switches})
            given = {name: keywords.pop(name) for name in list(keywords) if name not in own}
            if given or keywords.get("settings") is not None:
                name = recipe.__name__
                keywords["settings"] = resolve_options(keywords.get("settings"), given, options, recipe=name, own=own)
            with hold_outputs(), open_progress(keywords.pop("progress", None)) as report:
                return recipe(*args, **({"progress": report} if report is not None else {}), **keywords)  # type: ignore[arg-type]

        defaults = dict.fromkeys(other) | {
            name: getattr(getattr(Settings(), home), name) for name, home in options.items()
        }
        shown = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value) for name, value in defaults.items()
        ]
        run.__signature__ = signature.replace(parameters=[*named, *shown])  # type: ignore[attr-defined]
        return run

    return decorate


def list_options(sections: Iterable[str]) -> dict[str, str]:
    """Return the plain names of the settings of some sections, each with its section.

    A name that two of the sections have is not among them: it is written with its section, as in
    ``cells__neighbours``.

    >>> options = list_options(["cells", "motion", "graph"])
    >>> options["max_gap"], "neighbours" in options
    ('graph', False)
    """
    found: dict[str, list[str]] = {}
    for section in sections:
        for name in type(getattr(Settings(), section)).fields:
            found.setdefault(name, []).append(section)
    return {name: homes[0] for name, homes in found.items() if len(homes) == 1}


def resolve_options(
    settings: object,
    given: Mapping[str, Any],
    options: Mapping[str, str],
    *,
    recipe: str,
    own: Iterable[str] = (),
) -> Settings:
    """Return the settings with plain keywords in them; one that is None leaves the setting as it is.

    Parameters
    ----------
    settings : Settings, optional
        Default ``Settings()``.
    given : mapping
        Keywords and their values; also ``section__name``.
    options : mapping
        From `list_options`.
    recipe : str
        Name of the function, for messages.
    own : strings
        Other keywords of the function, for messages.

    Raises
    ------
    OptionError
        If a name is unknown; the message proposes the nearest one.
    SettingsError
        If a value is out of range.
    """
    if settings is not None and not isinstance(settings, Settings):
        msg = (
            f"settings={settings!r:.60}: expected Settings, such as Settings.from_toml(PATH); write single ones as "
            f"keywords: {recipe}(..., max_gap=3)"
        )
        raise InputError(msg)
    sections = set(options.values())
    changes: dict[str, Any] = {}
    for name, value in given.items():
        section, _, short = name.partition("__")
        if name in options:
            section, short = options[name], name
        elif not (short and section in sections and short in type(getattr(Settings(), section)).fields):
            msg = f"{recipe}() has no option '{name}'; {_describe_remedy(name, options, [*own])}"
            raise OptionError(msg)
        if value is not None:
            changes[f"{section}__{short}"] = _simplify(value)
    try:
        return (Settings() if settings is None else settings).replace(**changes)
    except SettingsError as error:
        text = str(error).removeprefix("settings: ")
        for key in changes:
            section, _, short = key.partition("__")
            text = text.replace(f"'{section}.{short}' = ", f"{short}=")
        msg = f"{recipe}(): {text}"
        raise SettingsError(msg) from None


def _simplify(value: Any) -> Any:
    """Return a path as text, and numbers and arrays of numpy as plain numbers and lists."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def _describe_remedy(name: str, options: Mapping[str, str], own: list[str]) -> str:
    """Return advice about an unknown keyword."""
    used = set(options.values())
    homes = [s for s in Settings.fields if name in type(getattr(Settings(), s)).fields]
    if several := [section for section in homes if section in used]:
        return f"it is a setting of {' and of '.join(several)}: write {' or '.join(f'{s}__{name}' for s in several)}"
    if homes:
        return f"it is an option of {_USERS[homes[0]]}"
    near = difflib.get_close_matches(name.lower(), [*own, *options], 1, 0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"there are: {', '.join([*own, *options])}"
