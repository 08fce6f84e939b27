"""Errors of settings in words: unknown keys, and values out of range."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import numpy as np
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from gnntrack.errors import InputError, SettingsError

__all__ = ["check_bools", "explain_errors", "refuse_bools", "refuse_unknown"]


def refuse_unknown(model: type[BaseModel], values: Any, prefix: str) -> None:
    """Raise if nested tables hold a key that the model lacks; the message proposes the nearest one.

    Raises
    ------
    SettingsError
        For an unknown key, or a value in place of a table.
    """
    if not isinstance(values, dict):
        msg = f"settings: '{prefix.rstrip('.')}' = {values!r}: expected a table, such as [graph] with max_gap = 2"
        raise SettingsError(msg)
    known = model.model_fields
    for key, value in values.items():
        if key not in known:
            msg = f"unknown setting '{prefix}{key}'; {_describe_remedy(model, key, value, prefix)}"
            raise SettingsError(msg)
        kind = _get_table(known[key])
        if kind is not None and not isinstance(value, kind):
            refuse_unknown(kind, value, f"{prefix}{key}.")


def check_bools(**switches: object) -> None:
    """Raise if an argument that is True or False is another value: the text ``"no"`` would count as true.

    Raises
    ------
    InputError
        With its name and value.

    Examples
    --------
    >>> check_bools(overwrite="no")
    Traceback (most recent call last):
    gnntrack.errors.InputError: overwrite='no': expected True or False
    """
    for name, value in switches.items():
        if not isinstance(value, bool | np.bool_):
            msg = f"{name}={value!r:.60}: expected True or False"
            raise InputError(msg)


def refuse_bools(model: type[BaseModel], values: dict[str, Any]) -> None:
    """Raise if a setting that is not true or false is, which would be read as 1 or 0.

    Raises
    ------
    SettingsError
        With the values that the setting takes.
    """
    problems = tuple(
        f"'{name}' = {value}: {_describe_range(field) or 'expected another value than true or false'}"
        for name, value in values.items()
        if isinstance(value, bool)
        and (field := model.model_fields[name]).annotation is not bool
        and bool not in get_args(field.annotation)
    )
    if problems:
        raise SettingsError("; ".join(problems), problems=problems)


def _describe_remedy(model: type[BaseModel], key: str, value: Any, prefix: str) -> str:
    """Return advice about an unknown key."""
    tables = {name: table for name, field in model.model_fields.items() if (table := _get_table(field)) is not None}
    homes = [name for name, table in tables.items() if key in table.model_fields]
    if homes:
        usual = next((name for name in homes if not name.startswith(("train", "simulate"))), homes[0])
        return (
            f"it belongs to the table {' or '.join(homes)}: write Settings({usual}={{'{key}': {value!r}}}), in a file "
            f"{key} below [{usual}], or give it to the function: track(images, masks, {key}={value!r})"
        )
    near = difflib.get_close_matches(key, model.model_fields, 1, 0)
    return f"did you mean '{prefix}{near[0]}'?" if near else f"table '{prefix.rstrip('.')}' has no settings"


def _get_table(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def explain_errors(model: type[BaseModel], error: ValidationError) -> Iterator[str]:
    """Yield a sentence for each setting out of range: its name, the value received and the values expected."""
    for each in error.errors():
        name = str(each["loc"][0]) if each["loc"] else ""
        cause = each.get("ctx", {}).get("error")
        if isinstance(cause, SettingsError):  # of a table, with the names of its settings
            yield from (
                f"'{name}.{problem[1:]}" if problem[0] == "'" else f"'{name}': {problem}" for problem in cause.problems
            )
            continue
        own = each["msg"].removeprefix("Value error, ")
        field = model.model_fields.get(name)
        expected = own if field is None or each["type"] == "value_error" else _describe_range(field) or own
        yield f"'{name}' = {each['input']!r}: {expected}" if name else expected


def _describe_range(field: FieldInfo) -> str | None:
    """Return the values that a setting takes, in words; None for a kind of its own."""
    kind = field.annotation
    if get_origin(kind) is not Literal:
        kind = next((each for each in get_args(kind) if each is not type(None)), kind)
    if get_origin(kind) is Literal:
        return f"expected one of {', '.join(map(repr, get_args(kind)))}"
    if kind is str and any(hasattr(each, "pattern") for each in field.metadata):
        return "expected text of the letters t, z, y, x, c"
    words = next((words for each, words in _WORDS if kind is each), None)
    return words and f"expected {words} {' and '.join(_list_bounds(field))}".rstrip()


def _list_bounds(field: FieldInfo) -> list[str]:
    signs = (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))
    found = [(sign, getattr(each, name)) for each in field.metadata for name, sign in signs if hasattr(each, name)]
    return [f"{sign} {limit}" if isinstance(limit, int) else f"{sign} {limit:g}" for sign, limit in found]


_WORDS = ((bool, "true or false"), (int, "an integer"), (float, "a number"), (str, "text"))
