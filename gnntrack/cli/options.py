"""Options that commands share. Options for settings have the help, type and default of the setting."""

from __future__ import annotations

import functools
import logging
import types
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import click
from click.shell_completion import CompletionItem

from gnntrack.cli.examples import describe_example
from gnntrack.cli.output_paths import OutputPath
from gnntrack.settings import EmbryoSettings, Settings, SimulateSettings
from gnntrack.settings_files import find_settings_file
from gnntrack.user_warnings import WarningHandler

__all__ = [
    "EMBRYO_SETTINGS",
    "FRAME_SETTINGS",
    "GNN_SETTINGS",
    "GRAPH_SETTINGS",
    "IMAGE_SETTINGS",
    "MASK_SETTINGS",
    "MOVIE_SETTINGS",
    "POINT_SETTINGS",
    "SIMULATE_SETTINGS",
    "detector_option",
    "diameter_option",
    "find_images",
    "json_option",
    "method_options",
    "out_option",
    "overwrite_option",
    "parse_named_values",
    "path_argument",
    "point_options",
    "points_unit_option",
    "resolve_sources",
    "segmenter_options",
    "select_segmenter",
    "settings_options",
    "source_options",
    "take_points",
    "verbose_option",
]

Function = Callable[..., Any]

_METAVARS = {"spacing": "Z,Y,X", "shape": "Z,Y,X", "axes": "LETTERS", "model": "PATH", "interval": "TIME"}
_METAVARS |= {"time_limit": "TIME"}
_METAVARS |= dict.fromkeys(("images_pattern", "masks_pattern"), "PATTERN") | {"position": "NAME"}
_METAVARS |= {"channel": "N|NAME", "masks_channel": "N|NAME", "simulated_kinds": "KIND,KIND"}
_TEXT = {"interval", "time_limit", "channel", "masks_channel", "simulated_kinds"}  # settings that take a number or text

GNN_SETTINGS = ("gnn.model", "gnn.device")
GRAPH_SETTINGS = ("graph.max_gap", "cells.max_merge", "graph.max_distance", "graph.max_neighbours")
POINT_SETTINGS = ("points.interpolate", "points.smooth", "points.min_length")
FRAME_SETTINGS = (
    "frames.spacing",
    "frames.axes",
    "frames.interval",
    "frames.allow_missing",
    "frames.position",
    "frames.trust_masks",
)
IMAGE_SETTINGS = (*FRAME_SETTINGS, "frames.channel", "frames.images_pattern")
MASK_SETTINGS = (
    *FRAME_SETTINGS,
    "frames.masks_channel",
    "frames.masks_pattern",
    "frames.background",
    "cells.fragments",
)
MOVIE_SETTINGS = (*MASK_SETTINGS, "frames.channel", "frames.images_pattern")
SIMULATE_SETTINGS = tuple(f"simulate.{name}" for name in SimulateSettings.fields)
EMBRYO_SETTINGS = tuple(f"embryo.{name}" for name in EmbryoSettings.fields if name not in SimulateSettings.fields)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


# parameters that are outputs, and files that are read as a whole before anything is written
_NO_SOURCES = {"out", "results", "edge_table", "video", "montage", "tree", "kymograph", "edits"}


def overwrite_option(command: Function) -> Function:
    """Add the option ``--overwrite``, with which an output that is a source of the command, or holds it, is refused."""

    @functools.wraps(command)
    def run(*args: Any, **values: Any) -> Any:
        if values["overwrite"] and isinstance(values.get("out"), Path):
            from gnntrack.io.output import is_pattern, refuse_source

            for name in values.keys() - _NO_SOURCES:
                several = values[name] if isinstance(values[name], tuple) else (values[name],)
                for source in several:
                    # text in a tuple is an argument such as those of train, a path or a pattern
                    is_path = isinstance(source, Path) or (isinstance(source, str) and several is values[name])
                    if is_path and (Path(source).expanduser().exists() or is_pattern(source)):
                        refuse_source(values["out"], source)
        return command(*args, **values)

    option = click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
    decorated: Function = option(run)
    return decorated


def _make_number_parser(kind: type) -> Callable[[str], tuple[Any, ...]]:
    """Return a parser of numbers with commas between them, such as ``1.0,0.2,0.2``."""

    def parse(text: str) -> tuple[Any, ...]:
        try:
            return tuple(kind(part) for part in text.split(","))
        except ValueError:
            message = f"'{text}' is not a list of numbers; write for example 1,0.2,0.2"
            raise click.BadParameter(message) from None

    return parse


class _StderrHandler(logging.Handler):
    """Writes log messages to the present stderr, which a progress bar may have redirected, except warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING:
            click.echo(self.format(record), err=True)


def _set_verbosity(_ctx: click.Context, _param: click.Parameter, value: int) -> None:
    for name in ("gnntrack", "segmenters"):
        logger = logging.getLogger(name)
        logger.handlers = [_StderrHandler(), WarningHandler()]
        logger.propagate = False
        logger.setLevel([logging.WARNING, logging.INFO, logging.DEBUG][min(value, 2)])


verbose_option = click.option(
    "-v",
    "--verbose",
    count=True,
    expose_value=False,
    callback=_set_verbosity,
    help="Print estimates and steps while working; -vv prints more.",
)


def path_argument(name: str, *, required: bool = True) -> Callable[[Function], Function]:
    """Return a decorator that adds an argument for a path; the function that reads the path checks it."""
    return click.argument(name, type=click.Path(path_type=Path), required=required)


def source_options(command: Function) -> Function:
    """Add the arguments IMAGES and MASKS and the options ``--images`` and ``--masks``; see `resolve_sources`."""
    masks = click.option("--masks", "only_masks", type=click.Path(path_type=Path), help="Masks, as MASKS.")
    images = click.option(
        "--images", "--imgs", "only_images", type=click.Path(path_type=Path), help="Images; the same as IMAGES."
    )
    return path_argument("images", required=False)(path_argument("masks", required=False)(images(masks(command))))


def resolve_sources(
    *, images: Path | None, masks: Path | None, only_images: Path | None, only_masks: Path | None
) -> tuple[Path | None, Path | None]:
    """Return the paths of images and masks, given as arguments or as options.

    Raises
    ------
    UsageError
        If one is given twice, or neither is given.
    """
    problem = ""
    if images is not None and only_images is not None:
        problem = "images are given twice; give IMAGES MASKS, or --images IMAGES --masks MASKS"
    elif masks is not None and only_masks is not None:
        problem = "masks are given twice; give IMAGES MASKS, or --masks MASKS"
    elif images is None and only_images is None and masks is None and only_masks is None:
        example = describe_example(click.get_current_context(silent=True))
        problem = f"give IMAGES MASKS, or IMAGES, or --masks MASKS{example}"
    if problem:
        raise click.UsageError(problem)
    return images or only_images, masks or only_masks


def points_unit_option(command: Function) -> Function:
    """Add ``--points-unit``."""
    unit = click.option(
        "--points-unit",
        type=click.Choice(["um", "pixel"]),
        help="Unit of the positions of points, if the names of their columns do not have it; default: voxels.",
    )
    return unit(command)


def point_options(command: Function) -> Function:
    """Add ``--points``, ``--points-unit`` and ``--radius``; see `take_points`."""
    points = click.option(
        "--points",
        type=click.Path(path_type=Path),
        help="Points in place of masks: a table (CSV, parquet) with the columns frame (or t), z, y, x, or a .geff, a "
        "TrackMate .xml or .npy; docs/points.md has more.",
    )
    radius = click.option(
        "--radius",
        type=float,
        metavar="LENGTH",
        help="Radius of all points, in um with a voxel size, else in pixels; default: the column radius, if any.",
    )
    return points(points_unit_option(radius(command)))


def take_points(choices: dict[str, Any]) -> dict[str, Any]:
    """Take the options of points out of those of a command; empty without ``--points``.

    Raises
    ------
    UsageError
        If the others are given without points.
    """
    found = {name: choices.pop(name) for name in ("points", "points_unit", "radius")}
    if found["points"] is not None:
        return found
    for name in ("points_unit", "radius"):
        if found[name] is not None:
            message = f"--{name.replace('_', '-')} belongs to points; give --points PATH"
            raise click.UsageError(message)
    return {}


def find_images(
    *, images: Path | None, masks: Path | None, only_images: Path | None, only_masks: Path | None
) -> tuple[Path | None, None]:
    """Return the images of points, given as an argument or as an option, and no masks.

    Raises
    ------
    UsageError
        If masks are given, or images twice.
    """
    if masks is not None or only_masks is not None:
        message = "--points are tracked without masks, and masks are given too; omit one of the two"
        raise click.UsageError(message)
    if images is not None and only_images is not None:
        message = "images are given twice; give IMAGES, or --images IMAGES"
        raise click.UsageError(message)
    return images or only_images, None


def out_option(about: str, *names: str, other: str | None = None) -> Callable[[Function], Function]:
    """Return a decorator that adds ``-o``, which may have more names; needed unless the option `other` is given."""

    def check(context: click.Context, option: click.Parameter, value: Path | None) -> Path | None:
        if value is None and (other is None or context.params.get(other) is None):  # what is given was read before
            raise click.MissingParameter(ctx=context, param=option)
        return value

    return click.option(
        "-o", "--out", *names, "out", type=OutputPath(), required=other is None, callback=check, help=about
    )


class PluginOption(click.Option):
    """Option for the name of a plug-in. ``{names}`` in its help stands for all names at the time the help is shown.

    Parameters
    ----------
    registry : str
        ``"module:attribute"`` of the registry.
    """

    def __init__(self, *args: Any, registry: str, **options: Any) -> None:
        self.registry = registry
        super().__init__(*args, **options)

    def list_names(self) -> list[str]:
        """Return the names of the plug-ins."""
        module, _, attribute = self.registry.partition(":")
        return list(getattr(import_module(module), attribute))

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option with the names of the plug-ins."""
        if "{names}" in (self.help or ""):
            self.help = (self.help or "").replace("{names}", ", ".join(self.list_names()))
        return super().get_help_record(ctx)

    def shell_complete(self, _ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the names that start with the typed letters, for the Tab key."""
        return [CompletionItem(name) for name in self.list_names() if name.startswith(incomplete)]


def method_options(command: Function) -> Function:
    """Add ``--method`` and ``--solver``; `gnntrack.methods.resolve_method` checks the names."""
    solver = click.option(
        "--solver",
        cls=PluginOption,
        registry="gnntrack.solvers.registry:SOLVERS",
        metavar="NAME",
        help="How links are chosen from their scores, if not as in the method: {names}.",
    )
    method = click.option(
        "--method",
        cls=PluginOption,
        registry="gnntrack.methods:METHODS",
        metavar="NAME",
        default="hungarian",
        show_default=True,
        help="How cells are linked: {names}. gnn, a neural network, is for imperfect masks with images; "
        "auto uses it for movies of masks that it suits.",
    )
    return method(solver(command))


def parse_named_values(_ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """Parse ``name=value``; a value is TOML (number, true, "text", [list]) or, if it is not valid TOML, text."""
    import tomllib

    named: dict[str, Any] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            message = f"expected NAME=VALUE, such as diameter=20; received '{text}'"
            raise click.BadParameter(message, param=param)
        try:
            named[name] = tomllib.loads(f"value = {value}")["value"]
        except (ValueError, RecursionError):  # of long numbers, and of deep nesting
            named[name] = value
    return named


def segmenter_options(command: Function) -> Function:
    """Add ``--segmenter``, None if it is not given, ``--option``, ``--diameter`` and ``--kind``.

    The command receives the values of the last three as one argument, ``segmenter_options``.
    """

    @functools.wraps(command)
    def run(
        *args: Any, diameter: str | None, kind: str | None, segmenter_options: dict[str, Any], **values: Any
    ) -> Any:
        more = {name: value for name, value in (("diameter", diameter), ("kind", kind)) if value is not None}
        for name in more.keys() & segmenter_options.keys():
            message = (
                f"the {name} is given twice: --{name} {more[name]} and --option {name}={segmenter_options[name]}; omit "
                "one of the two"
            )
            raise click.UsageError(message)
        return command(*args, segmenter_options=segmenter_options | more, **values)

    choice = click.option(
        "--segmenter",
        cls=PluginOption,
        registry="gnntrack.segmentation.registry:SEGMENTERS",
        metavar="NAME",
        help="Segmenter of images without masks; 'gnntrack segmenters' lists them.  [default: threshold]",
    )
    option = click.option(
        "--option",
        "segmenter_options",
        metavar="NAME=VALUE",
        multiple=True,
        callback=parse_named_values,
        help="An option of the segmenter, such as diameter=20; repeatable.",
    )
    size = diameter_option("segmenter")
    kind = click.option(
        "--kind",
        type=click.Choice(["auto", "fluorescence", "stained", "phase", "brightfield"]),
        help="Kind of microscopy, which chooses the shipped model of unet; auto is a guess.",
    )
    return choice(kind(size(option(run))))


def diameter_option(who: str) -> Callable[[Function], Function]:
    """Return a decorator that adds ``--diameter``, the size of a cell for a segmenter or detector."""
    return click.option(
        "--diameter",
        metavar="SIZE",
        callback=_check_diameter,
        help=f"Typical diameter of a cell: 30 (pixels), 30px, or 12um; by default the {who} estimates it.",
    )


def detector_option(default: str | None = None) -> Callable[[Function], Function]:
    """Return a decorator that adds ``--detector``, the name of a detector."""
    return click.option(
        "--detector",
        cls=PluginOption,
        registry="gnntrack.segmentation.detection:DETECTORS",
        metavar="NAME",
        default=default,
        show_default=default is not None,
        help="How the centres of cells are found: {names}.",
    )


def _check_diameter(_ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Return the text of a diameter if it is one."""
    from gnntrack.errors import SegmenterError
    from gnntrack.segmentation.diameter import parse_diameter

    try:
        if value is not None:
            parse_diameter(value)
    except SegmenterError as error:
        raise click.BadParameter(str(error), param=param) from error
    return value


def select_segmenter(segmenter: str | None, more: dict[str, Any]) -> dict[str, Any]:
    """Return the values of these options as keywords of the recipes, whose default segmenter stays if none is given."""
    return {"segmenter_options": more} | ({} if segmenter is None else {"segmenter": segmenter})


def settings_options(
    *keys: str, sort: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]] | None = None
) -> Callable[[Function], Function]:
    """Return a decorator that adds ``--config`` and an option per setting.

    The command receives all of them as one argument, ``settings``: the defaults, replaced by the values of the
    file, replaced by the values of the options. `sort` may return other settings for the values that were given, after
    a look at the other options of the command.
    """

    def decorate(command: Function) -> Function:
        @functools.wraps(command)
        def run(*args: Any, config: Path | None, **values: Any) -> Any:
            settings = Settings.from_toml(find_settings_file(config)) if config else Settings()
            options = {key: values.pop(key.replace(".", "_")) for key in keys}
            given = {key: value for key, value in options.items() if value is not None}
            given = sort(given, values) if sort is not None else given
            changes = {key.replace(".", "__"): value for key, value in given.items()}
            return command(*args, settings=settings.replace(**changes), **values)

        decorated: Function = run
        for key in reversed(keys):
            decorated = _make_option(key)(decorated)
        about = "Settings file (TOML); options override it."
        return click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help=about)(decorated)

    return decorate


class _SettingOption(click.Option):
    """An option whose help is read from the settings only when it is shown."""

    def __init__(self, *names: Any, describe: Callable[[], str], **more: Any) -> None:
        super().__init__(*names, **more)
        self._describe = describe

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option and its help."""
        self.help = self._describe()
        return super().get_help_record(ctx)


def _make_option(key: str) -> Callable[[Function], Function]:
    section, name = key.split(".")
    table = getattr(Settings(), section)
    field = type(table).fields[name]
    default = getattr(table, name)
    flag, parameter = "--" + name.replace("_", "-"), key.replace(".", "_")
    more: dict[str, Any]
    if field.kind is bool:
        flags, told, more = f"{flag}/--no-{flag[2:]}", flag if default else f"--no-{flag[2:]}", {"default": None}
    else:
        told = "" if default is None else _format_default(default)
        if section == "simulate" and name in EmbryoSettings.fields:
            other = _format_default(getattr(Settings().embryo, name))
            told = f"{told or 'as the movie'}; of an embryo {other}" if other != told else told
        kind = str if name in _TEXT else _find_type(field.kind)
        flags, more = flag, {"type": kind, "metavar": _METAVARS.get(name)}

    def describe() -> str:
        about = " ".join(table.describe(name).replace("`", "").split())
        return f"{about}  [default: {told}]" if told else about

    return click.option(flags, parameter, cls=_SettingOption, describe=describe, **more)


def _format_default(default: Any) -> str:
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _find_type(annotation: Any) -> Any:
    """Return the click type for the annotation of a setting; ``| None`` is ignored."""
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is Literal:
        return click.Choice(list(get_args(annotation)))
    if get_origin(annotation) is tuple:
        return _make_number_parser(get_args(annotation)[0])
    return annotation if annotation in (int, float, str) else str
