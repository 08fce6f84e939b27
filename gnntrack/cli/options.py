"""Options that commands share; those that set a setting take their help, type and default from it."""

from __future__ import annotations

import functools
import logging
import tomllib
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import click

from gnntrack.settings import Settings, SimulateSettings

__all__ = [
    "FRAME_SETTINGS",
    "GNN_SETTINGS",
    "GRAPH_SETTINGS",
    "MASK_SETTINGS",
    "SIMULATE_SETTINGS",
    "input_path",
    "json_option",
    "method_options",
    "named_values",
    "out_option",
    "overwrite_option",
    "segmenter_option",
    "settings_options",
    "verbose_option",
]

Function = Callable[..., Any]

GNN_SETTINGS = ("gnn.model", "gnn.device")
GRAPH_SETTINGS = ("graph.max_gap", "graph.max_distance", "graph.max_neighbours")
FRAME_SETTINGS = ("frames.spacing", "frames.axes", "frames.allow_missing")
MASK_SETTINGS = (*FRAME_SETTINGS, "cells.fragments")
SIMULATE_SETTINGS = tuple(f"simulate.{name}" for name in SimulateSettings.model_fields)

overwrite_option = click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _numbers(kind: type) -> Callable[[str], tuple[Any, ...]]:
    """Return a reader of numbers with commas between them, such as ``1.0,0.2,0.2``."""

    def read(text: str) -> tuple[Any, ...]:
        try:
            return tuple(kind(part) for part in text.split(","))
        except ValueError:
            message = f"'{text}' is no list of numbers; write for example 1,0.2,0.2"
            raise click.BadParameter(message) from None

    return read


class _Verbose(logging.Handler):
    """Messages of the log on stderr, wherever that is when they come: a progress bar redirects it."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "Warning: " if record.levelno >= logging.WARNING else ""
        click.echo(prefix + self.format(record), err=True)


def _set_verbosity(_ctx: click.Context, _param: click.Parameter, value: int) -> None:
    logger = logging.getLogger("gnntrack")
    logger.handlers = [_Verbose()]
    logger.propagate = False
    logger.setLevel([logging.WARNING, logging.INFO, logging.DEBUG][min(value, 2)])


verbose_option = click.option(
    "-v",
    "--verbose",
    count=True,
    expose_value=False,
    callback=_set_verbosity,
    help="Tell what is estimated and done on the way; -vv tells more.",
)


def input_path(name: str, *, required: bool = True) -> Callable[[Function], Function]:
    """Return a decorator that adds an argument for a path; whether it can be read is told by its reader."""
    return click.argument(name, type=click.Path(path_type=Path), required=required)


def out_option(about: str) -> Callable[[Function], Function]:
    """Return a decorator that adds the required option ``-o``."""
    return click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help=about)


def method_options(command: Function) -> Function:
    """Add ``--method`` and ``--solver``; the pipeline knows which there are, and says so."""
    solver = click.option("--solver", metavar="NAME", help="Another solver than the method's own.")
    method = click.option(
        "--method",
        metavar="NAME",
        default="hungarian",
        show_default=True,
        help="iou, greedy, hungarian or gnn: how links are scored and chosen.",
    )
    return method(solver(command))


def named_values(_ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """Parse ``name=value``; a value is read as TOML is (number, true, "text", [list]), else it is text."""
    named: dict[str, Any] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            message = f"expected NAME=VALUE, such as diameter=20; received '{text}'"
            raise click.BadParameter(message, param=param)
        try:
            named[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            named[name] = value
    return named


segmenter_option = click.option(
    "--option",
    "segmenter_options",
    metavar="NAME=VALUE",
    multiple=True,
    callback=named_values,
    help="An option of the segmenter, such as diameter=20; repeatable.",
)


def settings_options(*keys: str) -> Callable[[Function], Function]:
    """Return a decorator that adds ``--config`` and an option per setting.

    The command receives all of them as one argument, ``settings``: the defaults, changed by the file,
    changed by the options.
    """

    def decorate(command: Function) -> Function:
        @functools.wraps(command)
        def run(*args: Any, config: Path | None, **values: Any) -> Any:
            settings = Settings.from_toml(config) if config else Settings()
            given = {key: values.pop(_parameter(key)) for key in keys}
            changes = {key.replace(".", "__"): value for key, value in given.items() if value is not None}
            return command(*args, settings=settings.replace(**changes), **values)

        decorated: Function = run
        for key in reversed(keys):
            decorated = _setting_option(key)(decorated)
        about = "Settings file (TOML); see 'gnntrack init-config'. Options go before it."
        return click.option("--config", type=click.Path(path_type=Path), help=about)(decorated)

    return decorate


def _parameter(key: str) -> str:
    return key.replace(".", "_")


def _setting_option(key: str) -> Callable[[Function], Function]:
    section, name = key.split(".")
    table = getattr(Settings(), section)
    field = type(table).model_fields[name]
    default = getattr(table, name)
    flag = "--" + name.replace("_", "-")
    about = " ".join((field.description or "").replace("`", "").split())
    if field.annotation is bool:
        about += f"  [default: {flag if default else f'--no-{flag[2:]}'}]"
        return click.option(f"{flag}/--no-{flag[2:]}", _parameter(key), default=None, help=about)
    about += "" if default is None else f"  [default: {_shown(default)}]"
    return click.option(flag, _parameter(key), type=_click_type(field.annotation), metavar=_metavar(name), help=about)


def _shown(default: Any) -> str:
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _metavar(name: str) -> str | None:
    return {"spacing": "Z,Y,X", "shape": "Z,Y,X", "axes": "LETTERS", "model": "PATH"}.get(name)


def _click_type(annotation: Any) -> Any:
    """Return the click type of a setting's annotation, without its ``| None``."""
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is Literal:
        return click.Choice(list(get_args(annotation)))
    if get_origin(annotation) is tuple:
        return _numbers(get_args(annotation)[0])
    return annotation if annotation in (int, float, str) else str
