"""A line that works for each command, for its help and for the message of an incomplete line."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

__all__ = ["EXAMPLES", "complete_line", "describe_example"]

EXAMPLES = {
    "demo": "gnntrack demo",
    "info": "gnntrack info MOVIE.tif",
    "track": "gnntrack track IMAGES MASKS -o 01_RES",
    "join": "gnntrack join WORK",
    "batch": "gnntrack batch EXPERIMENT -o RESULTS",
    "segment": "gnntrack segment IMAGES -o MASKS",
    "segmenters": "gnntrack segmenters",
    "detect": "gnntrack detect IMAGES -o points.csv",
    "build-graph": "gnntrack build-graph IMAGES MASKS -o graph.geff",
    "solve": "gnntrack solve graph.geff -o lineage.geff",
    "report": "gnntrack report 01_RES -o report.html",
    "serve": "gnntrack serve 01_RES",
    "apply-edits": "gnntrack apply-edits 01_RES edits.json -o corrected/01_RES",
    "export": "gnntrack export 01_RES --to csv -o tables",
    "convert": "gnntrack convert 01_RES tracks.xml",
    "import": "gnntrack import tracks.xml -o 01_RES",
    "analyse": "gnntrack analyse 01_RES -o analysis --interval 10min",
    "shape": "gnntrack shape MASKS -o shapes",
    "train": "gnntrack train DATA -o MODEL",
    "train-segmenter": "gnntrack train-segmenter unet DATA -o MODEL",
    "train-detector": "gnntrack train-detector MOVIES -o MODEL --from shipped",
    "evaluate": "gnntrack evaluate 01_RES 01_GT",
    "evaluate-segmentation": "gnntrack evaluate-segmentation MASKS 01_GT",
    "validate": "gnntrack validate 01_RES",
    "submit": "gnntrack submit DATASET -o SW",
    "simulate": "gnntrack simulate -o MOVIE",
    "init-config": "gnntrack init-config -o settings.toml",
    "completion": "gnntrack completion bash",
    "man": "gnntrack man -o man1",
}
"""Command -> a line with names for what a user has: IMAGES, MASKS, DATA and so on are paths."""

_OUT = ("-o", "--out")


def describe_example(ctx: click.Context | None) -> str:
    """Return the end of a message: an example of the command that is running."""
    example = EXAMPLES.get(ctx.info_name or "") if ctx is not None else None
    return f"; type, for example: {example}" if example else ""


def complete_line(error: click.UsageError, typed: list[str]) -> str:
    """Return a line for the message that a parameter is missing: the typed one if only ``-o`` is missing from it.

    Parameters
    ----------
    error : UsageError
        Of click: a missing parameter, or an option without its value.
    typed : list of str
        Command and arguments.
    """
    example = EXAMPLES.get(typed[0] if typed else "", "")
    if isinstance(error, click.BadOptionUsage):
        if error.option_name not in _OUT:
            return ""
        typed = [word for word in typed if word not in _OUT]
        given = len(typed) > 1
    else:
        given = isinstance(error, click.MissingParameter) and _misses_only_out(error)
    if not example or not given:
        return example
    extra = _find_extra(error, typed)
    if extra:  # an output without its -o
        at = typed.index(extra)
        return f"gnntrack {shlex.join([*typed[:at], *typed[at + 1 :]])} -o {shlex.quote(extra)}"
    return f"gnntrack {shlex.join(typed)} -o {example.partition(' -o ')[2]}"


def _find_extra(error: click.UsageError, typed: list[str]) -> str:
    """Return the only argument that the command does not take, or nothing."""
    if error.ctx is None or isinstance(error, click.BadOptionUsage):
        return ""
    parser = error.ctx.command.make_parser(error.ctx)
    _, extra, _ = parser.parse_args(typed[1:])
    return extra[0] if len(extra) == 1 else ""


def _misses_only_out(error: click.MissingParameter) -> bool:
    """Return whether the input is given and the output is not."""
    if error.ctx is None or error.param is None or error.param.name != "out":
        return False
    sources = [parameter.name for parameter in error.ctx.command.params if isinstance(parameter, click.Argument)]
    values = [error.ctx.params.get(name or "") for name in (*sources, "only_images", "only_masks")]
    given = [bool(value) and isinstance(value, str | Path | tuple) for value in values]  # click has a value for "unset"
    n = len(sources)
    return any(given) if "images" in sources and "masks" in sources else all(given[:n])
