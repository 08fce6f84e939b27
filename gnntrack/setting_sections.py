"""A section of the settings: values that are checked when it is made, and do not change afterwards."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self, dataclass_transform

from gnntrack.errors import SettingsError
from gnntrack.setting_errors import explain_error, refuse_bools, refuse_unknown
from gnntrack.setting_kinds import Field, convert_value

__all__ = ["Section", "copy_default", "limit"]


def limit(
    default: Any,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    lengths: tuple[int, ...] | None = None,
    letters: str | None = None,
    read: Callable[[Any], Any] | None = None,
) -> Any:
    """Return a setting of a section with limits.

    Parameters
    ----------
    default : value
        Used as it is.
    ge, gt, le, lt : float, optional
        Bounds of a number: >=, >, <= and <.
    lengths : tuple of int, optional
        Lengths that a tuple may have.
    letters : str, optional
        The only letters that a text may have; at least one.
    read : function, optional
        Called with the value first; it returns another value, or raises ValueError with a sentence that starts with
        "expected".
    """
    return Field(default, None, ge, gt, le, lt, lengths, letters, read)


class _Signature:
    """The signature of a section, for help and completion: the names of its settings, with their defaults."""

    def __get__(self, _made: Section | None, section: type[Section]) -> object:
        from inspect import Parameter, Signature

        names = section.fields.items()
        return Signature(
            [
                Parameter(name, Parameter.KEYWORD_ONLY, default=each.default, annotation=each.kind)
                for name, each in names
            ]
        )


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Section:
    """Base of the sections: an annotation with a default is a setting, and the text below it is its meaning.

    Attributes
    ----------
    fields : mapping of str to `Field`
        Of the class.
    given : frozenset of str
        Names of the values that were given, and are not defaults.
    """

    __slots__ = ("given",)
    __signature__ = _Signature()
    fields: ClassVar[Mapping[str, Field]] = {}
    given: frozenset[str]

    def __init_subclass__(cls) -> None:
        own = {}
        for name, kind in cls.__annotations__.items():
            default = cls.__dict__[name]
            field = default if isinstance(default, Field) else Field(default)
            own[name] = field._replace(kind=kind)
            setattr(cls, name, field.default)
        cls.fields = own

    def __init__(self, **values: Any) -> None:
        refuse_unknown(type(self), values, "")
        refuse_bools(self.fields, values)
        problems: list[str] = []
        kept: dict[str, Any] = {}
        for name, field in self.fields.items():
            try:
                kept[name] = _convert(values[name], field) if name in values else copy_default(field.default)
            except ValueError as error:
                problems += explain_error(name, values[name], field, error)
        if problems:
            raise SettingsError("; ".join(problems), problems=tuple(problems))
        self._set(kept, values)
        self._check_together()

    def _set(self, values: Mapping[str, Any], given: Iterable[str]) -> None:
        vars(self).update(values)
        object.__setattr__(self, "given", frozenset(given))

    def _check_together(self) -> None:
        """Raise SettingsError if values do not fit each other."""

    @classmethod
    def describe(cls, name: str) -> str:
        """Return the meaning of a setting of this section: the text below it in its file."""
        from gnntrack.setting_descriptions import read_descriptions  # its parser is needed for help only

        return read_descriptions(Path(str(sys.modules[cls.__module__].__file__)))[cls.__name__].get(name, "")

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some values changed.

        Raises
        ------
        SettingsError
            If a name is unknown, or a value is out of range.
        """
        made = type(self)(**(vars(self) | changes))
        made._set({}, self.given | changes.keys())
        return made

    def to_dict(
        self, *, include: Iterable[str] | None = None, exclude: Iterable[str] = (), plain: bool = False
    ) -> dict[str, Any]:
        """Return the values by their names; a section in a section is a dict, too.

        Parameters
        ----------
        include, exclude : strings, optional
            Names that are in the result, default all, and names that are not.
        plain : bool
            Whether tuples are lists, as in JSON.
        """
        left_out = {*exclude}
        names = [name for name in self.fields if name not in left_out and (include is None or name in include)]
        return {name: _unpack(getattr(self, name), plain=plain) for name in names}

    def to_json(self, *, include: Iterable[str] | None = None, exclude: Iterable[str] = ()) -> str:
        """Return the values as JSON; a number that is not finite is null."""
        import json

        values = _replace_infinite(self.to_dict(include=include, exclude=exclude))
        return json.dumps(values, ensure_ascii=False, separators=(",", ":"))

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(vars(self).items())

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if type(self) is type(other) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self)})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        msg = f"'{name}' cannot be set: settings do not change; make a copy with another value: replace({name}=...)"
        raise SettingsError(msg)

    def __delattr__(self, name: str) -> NoReturn:
        self.__setattr__(name, None)

    def __reduce__(self) -> tuple[Callable[..., Section], tuple[Any, ...]]:
        return _restore, (type(self), dict(self), self.given)

    # names of these methods in earlier versions

    def model_dump(self, *, mode: str = "python", **chosen: Any) -> dict[str, Any]:
        """Return `to_dict`; this name is deprecated."""
        _warn_of_name("model_dump", "to_dict")
        return self.to_dict(plain=mode == "json", **chosen)

    def model_dump_json(self, **chosen: Any) -> str:
        """Return `to_json`; this name is deprecated."""
        _warn_of_name("model_dump_json", "to_json")
        return self.to_json(**chosen)

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Self:
        """Return a copy with other values; this name is deprecated."""
        _warn_of_name("model_copy", "replace")
        return Section.replace(self, **(update or {}))

    @classmethod
    def model_validate(cls, values: Any) -> Self:
        """Return a section with these values; this name is deprecated."""
        _warn_of_name("model_validate", f"{cls.__name__}(**values)")
        if isinstance(values, cls):
            return values
        refuse_unknown(cls, values, "")
        return cls(**values)


def _warn_of_name(old: str, new: str) -> None:
    warnings.warn(f"{old} of settings is deprecated; use {new}", DeprecationWarning, stacklevel=3)


def _restore(section: type[Section], values: Mapping[str, Any], given: Iterable[str]) -> Section:
    made = object.__new__(section)
    made._set(values, given)
    return made


def _convert(value: Any, field: Field) -> Any:
    if isinstance(field.default, Section):
        return value if isinstance(value, field.kind) else field.kind(**value)
    return convert_value(value, field)


def copy_default(default: Any) -> Any:
    """Return a value or a section; a copy if it is or has a table, which a user could change."""
    try:
        hash(default)
    except TypeError:
        return deepcopy(default)
    return default


def _unpack(value: Any, *, plain: bool) -> Any:
    if isinstance(value, Section):
        return value.to_dict(plain=plain)
    if isinstance(value, dict):
        return dict(value)
    return list(value) if plain and isinstance(value, tuple) else value


def _replace_infinite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _replace_infinite(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return [_replace_infinite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
