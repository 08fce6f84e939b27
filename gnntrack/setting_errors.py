"""Errors of settings in words: unknown keys, and values out of range."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from gnntrack.errors import SettingsError

__all__ = ["explain_errors", "refuse_unknown"]


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
            near = difflib.get_close_matches(key, known, 1, 0)
            hint = f"did you mean '{prefix}{near[0]}'?" if near else f"table '{prefix.rstrip('.')}' has no settings"
            msg = f"unknown setting '{prefix}{key}'; {hint}"
            raise SettingsError(msg)
        kind = known[key].annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            refuse_unknown(kind, value, f"{prefix}{key}.")


def explain_errors(model: type[BaseModel], error: ValidationError) -> Iterator[str]:
    """Yield a sentence for each setting out of range: its name, the value received and the values expected."""
    for each in error.errors():
        section, name = (*each["loc"], "", "")[:2]
        table = model.model_fields[str(section)].annotation
        field = table.model_fields.get(str(name)) if isinstance(table, type) and issubclass(table, BaseModel) else None
        own = each["msg"].removeprefix("Value error, ")
        expected = own if field is None or each["type"] == "value_error" else _describe_range(field) or own
        where, value = (f"{section}.{name}", each["input"]) if name else (section, each["input"])
        yield f"'{where}' = {value!r}: {expected}" if name else f"'{where}': {expected}"


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
    return [f"{sign} {getattr(each, name):g}" for each in field.metadata for name, sign in signs if hasattr(each, name)]


_WORDS = ((bool, "true or false"), (int, "an integer"), (float, "a number"), (str, "text"))
