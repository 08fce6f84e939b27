"""Kinds of settings: what a value of a kind is, and the conversion of other values to it.

A file, the command line and a notebook write the same value in several ways: ``3``, ``3.0``, ``"3"``, a number of
NumPy. All of these are the integer 3; ``3.5`` and ``"three"`` are not.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

__all__ = [
    "Field",
    "convert_value",
    "describe_field",
    "is_number",
    "is_one_number",
    "is_pixel_size",
    "list_kinds",
    "read_sizes",
]

_WHOLE = re.compile(r"[+-]?[0-9]+(_[0-9]+)*(\.0+)?")
_BOOLS = dict.fromkeys(("1", "on", "t", "true", "y", "yes"), True)
_BOOLS |= dict.fromkeys(("0", "off", "f", "false", "n", "no"), False)
_WORDS = {bool: "true or false", int: "an integer", float: "a number", str: "text"}
_BOUNDS = (("gt", operator.gt, ">"), ("ge", operator.ge, ">="), ("lt", operator.lt, "<"), ("le", operator.le, "<="))
_PLURALS = {int: "integers", float: "numbers"}


class Field(NamedTuple):
    """A setting: its default, its kind (the annotation in the source), and its limits."""

    default: Any
    kind: Any = None
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    lengths: tuple[int, ...] | None = None
    letters: str | None = None
    read: Callable[[Any], Any] | None = None


def list_kinds(kind: Any) -> tuple[Any, ...]:
    """Return the kinds of a union without None, or the kind itself.

    >>> list_kinds(int | str | None), list_kinds(int)
    ((<class 'int'>, <class 'str'>), (<class 'int'>,))
    """
    parts = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return tuple(part for part in parts if part is not NoneType)


def convert_value(value: Any, field: Field) -> Any:
    """Return a value as one of the kind of a setting.

    Raises
    ------
    ValueError
        If it is not of this kind, or out of its limits; only an error of `Field.read` has a message in words.

    Examples
    --------
    >>> field = Field(2, kind=int | None, ge=1)
    >>> [convert_value(value, field) for value in (3, 3.0, " 3 ", None)]
    [3, 3, 3, None]
    """
    if field.read is not None:
        value = field.read(value)
    if value is None and field.kind is not None and NoneType in get_args(field.kind):
        return None
    result = _convert(value, list_kinds(field.kind))
    if not _is_within(result, field):
        raise ValueError
    return result


def _convert(value: Any, kinds: tuple[Any, ...]) -> Any:
    """Return a value as the first of the kinds that it is, else as the first to which it can be converted."""
    if len(kinds) > 1:
        exact = next((kind for kind in kinds if isinstance(value, kind)), None)
        if exact is None and float in kinds and is_number(value):
            exact = float
        kinds = kinds if exact is None else (exact,)
    for kind in kinds:
        try:
            return _convert_to_one(value, kind)
        except (KeyError, TypeError, OverflowError, ValueError):
            continue
    raise ValueError


def _convert_to_one(value: Any, kind: Any) -> Any:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {choice: choice for choice in parts}[value]
    if origin is tuple:
        return tuple(_convert(each, parts[:1]) for each in _list_items(value))
    if origin is dict:
        return {_convert(k, parts[:1]): _convert(v, list_kinds(parts[1])) for k, v in _list_pairs(value)}
    return _READERS[kind](value)


def _is_within(value: Any, field: Field) -> bool:
    limits = ((compare, getattr(field, name)) for name, compare, _ in _BOUNDS)
    return (
        all(limit is None or compare(value, limit) for compare, limit in limits)
        and (field.lengths is None or len(value) in field.lengths)
        and (field.letters is None or (bool(value) and set(value) <= set(field.letters)))
    )


def _decode(value: bytes | bytearray | str) -> str:
    return value.decode() if isinstance(value, bytes | bytearray) else str.__str__(value)


def is_number(value: Any) -> bool:
    """Return whether a value is a number, also one of another library."""
    return not isinstance(value, str) and (hasattr(value, "__float__") or hasattr(value, "__index__"))


def _read_bool(value: Any) -> bool:
    if isinstance(value, str | bytes):
        return _BOOLS[_decode(value).lower()]
    return {1.0: True, 0.0: False}[_read_float(value)]


def _read_int(value: Any) -> int:
    """Return an integer; text may end in ``.0``, and a number of another kind has to be whole.

    >>> [_read_int(value) for value in (3, 3.0, " 3.00", "1_000")]
    [3, 3, 3, 1000]
    """
    if isinstance(value, str | bytes):
        text = _decode(value).strip()
        if not _WHOLE.fullmatch(text):
            raise ValueError
        return int(text.partition(".")[0])
    if isinstance(value, Enum) and isinstance(value.value, int):
        value = value.value
    if isinstance(value, int):
        float(value)  # of 10^308 and more, which are not used, this is an OverflowError
        return int(value)
    _read_float(value)  # not every object that can be rounded is a number: a difference of times is not
    with suppress(TypeError):
        return operator.index(value)
    whole = int(value)
    if whole != value or (isinstance(value, float) and abs(whole) >= 2**63):
        raise ValueError
    return whole


def _read_float(value: Any) -> float:
    if isinstance(value, str | bytes):
        text = _decode(value)
        if not text.strip().isascii():
            raise ValueError
        value = text
    elif not is_number(value):
        raise TypeError
    number = float(value)
    if math.isinf(number):
        raise ValueError
    return number


def _read_str(value: Any) -> str:
    if isinstance(value, Enum) and not isinstance(value, str):
        return str(value.value)
    if not isinstance(value, str | bytes | bytearray):
        raise TypeError
    return _decode(value)


_READERS: dict[type, Callable[[Any], Any]] = {bool: _read_bool, int: _read_int, float: _read_float, str: _read_str}


def _list_items(value: Any) -> list[Any]:
    if isinstance(value, str | bytes | bytearray | Mapping):
        raise TypeError
    return list(value)


def _list_pairs(value: Any) -> list[tuple[Any, Any]]:
    if not isinstance(value, Mapping):
        raise TypeError
    return list(value.items())


def describe_field(field: Field) -> str:
    """Return the values that a setting takes, in words.

    >>> describe_field(Field(2, kind=int, ge=1)), describe_field(Field(None, kind=int | str | None))
    ('expected an integer >= 1', 'expected an integer or text')
    >>> describe_field(Field("a", kind=Literal["a", "b"])), describe_field(Field((), tuple[int, ...], lengths=(2, 3)))
    ("expected one of 'a', 'b'", 'expected 2 or 3 integers')
    """
    kinds = list_kinds(field.kind)
    origin = get_origin(kinds[0])
    if origin is Literal:
        return f"expected one of {', '.join(map(repr, get_args(kinds[0])))}"
    if origin is dict:
        return "expected a table, with values of true or false, numbers or text"
    if origin is tuple:
        lengths = field.lengths or ()
        span = f"{lengths[0]} {'or' if len(lengths) == 2 else 'to'} {lengths[-1]}" if lengths else "several"
        number = str(lengths[0]) if len(lengths) == 1 else span
        item = get_args(kinds[0])[0]
        if get_origin(item) is Literal:
            return f"expected a list of some of {', '.join(map(repr, get_args(item)))}"
        return f"expected {number} {_PLURALS[item]}"
    if field.letters is not None:
        return f"expected text of the letters {', '.join(field.letters)}"
    return f"expected {' or '.join(_WORDS[kind] for kind in kinds)} {' and '.join(_list_bounds(field))}".rstrip()


def _list_bounds(field: Field) -> list[str]:
    found = [(sign, getattr(field, name)) for name, _, sign in _BOUNDS]
    return [
        f"{sign} {limit}" if isinstance(limit, int) else f"{sign} {limit:g}"
        for sign, limit in found
        if limit is not None
    ]


def is_pixel_size(size: float) -> bool:
    """Return whether a size in um is within 1e-9 and 1e9, for which areas and moments of cells are finite numbers.

    >>> is_pixel_size(0.25), is_pixel_size(0), is_pixel_size(1e-300)
    (True, False, False)
    """
    return 1e-9 <= size <= 1e9


def is_one_number(value: Any) -> bool:
    """Return whether a value is a number of any library: neither an array of several nor true or false."""
    return is_number(value) and not getattr(value, "shape", ()) and not type(value).__name__.startswith("bool")


def read_sizes(value: Any) -> tuple[float, ...] | None:
    """Return the sizes of a pixel, given as one number or several; None if the value is None.

    Raises
    ------
    ValueError
        If they are not 1 to 3 sizes in um.

    Examples
    --------
    >>> read_sizes(0.5), read_sizes([2, 0.5, 0.5])
    ((0.5,), (2.0, 0.5, 0.5))
    """
    if value is None:
        return None
    try:
        sizes = tuple(float(size) for size in ([value] if is_one_number(value) else value))
    except (TypeError, ValueError, OverflowError):
        sizes = ()
    if isinstance(value, str | bytes | bytearray) or len(sizes) not in (1, 2, 3) or not all(map(is_pixel_size, sizes)):
        msg = "expected 1 to 3 sizes > 0 in um along z, y, x (1e-9 to 1e9), such as 0.5; one number is for all axes"
        raise ValueError(msg)
    return sizes
