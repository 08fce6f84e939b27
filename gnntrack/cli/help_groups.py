"""Help of a command with its options in groups: input, method, output, settings."""

from __future__ import annotations

import click

__all__ = ["GroupedCommand", "group_options"]

_FEW = 8  # options that need no groups
_GROUPS = ("Input", "Movie", "Embryo", "Method", "Output", "Check", "Figures", "Page", "Work", "Settings", "Other")
_SECTIONS = {
    **dict.fromkeys(("frames", "cells"), "Input"),
    **dict.fromkeys(("motion", "graph", "scores", "gnn", "solver", "repair", "points", "train", "segmenter"), "Method"),
    "simulate": "Movie",
    "embryo": "Embryo",
    "output": "Output",
}
_PARAMETERS = {
    **dict.fromkeys(
        (
            "only_images",
            "only_masks",
            "images",
            "masks",
            "points",
            "points_unit",
            "radius",
            "links",
            "validation",
            "truth",
        ),
        "Input",
    ),
    **dict.fromkeys(("benchmark", "edits", "source_format"), "Input"),
    **dict.fromkeys(("port", "no_browser"), "Page"),
    **dict.fromkeys(("movies", "sparse"), "Embryo"),
    **dict.fromkeys(
        (
            "method",
            "solver",
            "segmenter",
            "segmenter_options",
            "detector",
            "detector_options",
            "threshold",
            "diameter",
            "kind",
            "model",
            "start",
            "seed",
            "deterministic",
        ),
        "Method",
    ),
    **dict.fromkeys(
        ("out", "edge_table", "overwrite", "resume", "as_json", "to", "video", "montage", "tree", "kymograph"), "Output"
    ),
    **dict.fromkeys(("frames", "tracks", "families", "colour_by", "fps", "video_size", "tails", "ids"), "Figures"),
    **dict.fromkeys(("crop", "along", "line_width", "projection", "most", "figure_size", "dpi"), "Figures"),
    **dict.fromkeys(("panels", "montage_width"), "Figures"),
    **dict.fromkeys(("workers", "scheduler", "shard", "work", "sbatch", "max_memory"), "Work"),
    **dict.fromkeys(("config",), "Settings"),
    **dict.fromkeys(("check", "data", "results", "time_limit"), "Check"),
    **dict.fromkeys(("verbose",), "Other"),
}


class GroupedCommand(click.Command):
    """Command whose help lists many options by group, and few options as click does."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, a section per group."""
        for group, records in group_options(self, ctx).items():
            with formatter.section(group or "Options"):
                formatter.write_dl(records)


def group_options(command: click.Command, ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
    """Return the options of a command with their help, by group; few options are one group without a name.

    Parameters
    ----------
    command : click.Command
        The command.
    ctx : click.Context
        Its context, from which defaults are read.
    """
    groups: dict[str, list[tuple[str, str]]] = {group: [] for group in _GROUPS}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None and isinstance(parameter, click.Option):
            shows_help = "--help" in parameter.opts
            groups["Other" if shows_help else _find_group(parameter.name or "")].append(record)
    records = [record for each in groups.values() for record in each]
    if len(records) <= _FEW or not isinstance(command, GroupedCommand):
        own = [each.get_help_record(ctx) for each in command.get_params(ctx) if isinstance(each, click.Option)]
        return {"": [record for record in own if record is not None]}
    return {group: each for group, each in groups.items() if each}


def _find_group(name: str) -> str:
    """Return the group of a parameter: by its own name, or by the section of its setting.

    >>> _find_group("frames_spacing"), _find_group("out")
    ('Input', 'Output')
    """
    return _PARAMETERS.get(name) or _SECTIONS.get(name.partition("_")[0], "Method")
