"""Errors of settings in words: unknown keys, and values out of range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gnntrack.errors import InputError, SettingsError
from gnntrack.setting_kinds import Field, describe_field, list_kinds

__all__ = ["check_bools", "explain_error", "refuse_bools", "refuse_changed_masks", "refuse_unknown"]

_CHANGES_OF_MASKS = {
    "cells__max_merge": "cuts merged ones",
    "repair__fill_gaps": "draws missing ones",
    "repair__debris_size": "drops some",
    "repair__drop_spurious": "drops spurious ones",
}
_NUMPY_BOOLS = {"numpy.bool", "numpy.bool_"}  # by name: NumPy takes longer to import than the settings


def refuse_unknown(section: Any, values: Any, prefix: str) -> None:
    """Raise if nested tables hold a key that the section lacks; the message proposes the nearest one.

    Raises
    ------
    SettingsError
        For an unknown key, or a value in place of a table.
    """
    if not isinstance(values, dict):
        received = f"'{prefix.rstrip('.')}' = {_shorten(values)}"
        msg = f"settings: {received}: expected a table, such as [graph] with max_gap = 2"
        raise SettingsError(msg)
    for key, value in values.items():
        if key not in section.fields:
            msg = f"unknown setting '{prefix}{key}'; {_describe_remedy(section.fields, str(key), value, prefix)}"
            raise SettingsError(msg)
        kind = _get_table(section.fields[key])
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
        if not isinstance(value, bool) and f"{type(value).__module__}.{type(value).__name__}" not in _NUMPY_BOOLS:
            msg = f"{name}={value!r:.60}: expected True or False"
            raise InputError(msg)


def refuse_bools(fields: Mapping[str, Field], values: Mapping[str, Any]) -> None:
    """Raise if a setting that is not true or false is, which would be read as 1 or 0.

    Raises
    ------
    SettingsError
        With the values that the setting takes.
    """
    problems = tuple(
        f"'{name}' = {value}: {describe_field(fields[name])}"
        for name, value in values.items()
        if isinstance(value, bool) and bool not in list_kinds(fields[name].kind)
    )
    if problems:
        raise SettingsError("; ".join(problems), problems=problems)


def refuse_changed_masks(settings: Any, changes: Mapping[str, Any]) -> None:
    """Raise if masks are to be kept, and a change in the same call or after it asks to cut or to draw some.

    A settings file holds both, since it may list every default: masks are then kept.

    Raises
    ------
    SettingsError
        If one is given that has no effect.
    """
    for key, what in _CHANGES_OF_MASKS.items():
        if settings.repair.keep_masks and changes.get(key) and (key, changes[key]) != ("repair__drop_spurious", 1):
            section, _, name = key.partition("__")
            msg = f"repair.keep_masks keeps all masks as they are, and {section}.{name} {what}; omit one of the two"
            raise SettingsError(msg)


def _describe_remedy(fields: Mapping[str, Field], key: str, value: Any, prefix: str) -> str:
    """Return advice about an unknown key."""
    import difflib

    tables = {name: table for name, field in fields.items() if (table := _get_table(field)) is not None}
    homes = [name for name, table in tables.items() if key in table.fields]
    if homes:
        usual = next((name for name in homes if not name.startswith(("train", "simulate"))), homes[0])
        shown = _shorten(value)
        return (
            f"it belongs to the table {' or '.join(homes)}: write Settings({usual}={{'{key}': {shown}}}), in a file "
            f"{key} below [{usual}], or give it to the function: track(images, masks, {key}={shown})"
        )
    near = difflib.get_close_matches(key, fields, 1, 0)
    return f"did you mean '{prefix}{near[0]}'?" if near else f"table '{prefix.rstrip('.')}' has no settings"


def _get_table(field: Field) -> Any:
    """Return the section that a setting is, or None."""
    return field.kind if hasattr(field.kind, "fields") else None


def explain_error(name: str, value: Any, field: Field, error: ValueError) -> list[str]:
    """Return a sentence for each value that is refused: its name, the value received and the values expected."""
    if isinstance(error, SettingsError):  # of a table, with the names of its settings
        return [f"'{name}.{each[1:]}" if each[0] == "'" else f"'{name}': {each}" for each in error.problems]
    own = str(error)
    return [f"'{name}' = {_shorten(value)}: {own if own.startswith('expected ') else describe_field(field)}"]


def _shorten(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # of Python, for numbers of more than 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= 120 else f"{text[:100]}..."
