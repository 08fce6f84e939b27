"""Help of a command with its options in groups: input, method, output, settings."""

from __future__ import annotations

import click

__all__ = ["GroupedCommand"]

_FEW = 8  # options that need no groups
_GROUPS = ("Input", "Movie", "Method", "Output", "Figures", "Settings", "Other")
_SECTIONS = {
    **dict.fromkeys(("frames", "cells"), "Input"),
    **dict.fromkeys(("motion", "graph", "scores", "gnn", "solver", "repair", "train", "segmenter"), "Method"),
    "simulate": "Movie",
    "output": "Output",
}
_PARAMETERS = {
    **dict.fromkeys(("only_images", "only_masks", "images", "masks", "links", "validation", "truth"), "Input"),
    **dict.fromkeys(
        ("method", "solver", "segmenter", "segmenter_options", "diameter", "kind", "model", "start", "seed"), "Method"
    ),
    **dict.fromkeys(
        ("out", "edge_table", "overwrite", "resume", "as_json", "to", "video", "montage", "tree", "kymograph"), "Output"
    ),
    **dict.fromkeys(("frames", "tracks", "families", "colour_by", "fps", "video_size", "tails", "ids"), "Figures"),
    **dict.fromkeys(("crop", "along", "line_width", "projection", "most", "figure_size", "dpi"), "Figures"),
    **dict.fromkeys(("panels", "montage_width"), "Figures"),
    **dict.fromkeys(("config",), "Settings"),
    **dict.fromkeys(("verbose",), "Other"),
}


class GroupedCommand(click.Command):
    """Command whose help lists many options by group, and few options as click does."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, a section per group."""
        groups: dict[str, list[tuple[str, str]]] = {group: [] for group in _GROUPS}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                shows_help = "--help" in parameter.opts
                groups["Other" if shows_help else _find_group(parameter.name or "")].append(record)
        if sum(map(len, groups.values())) <= _FEW:
            super().format_options(ctx, formatter)
            return
        for group, records in groups.items():
            if records:
                with formatter.section(group):
                    formatter.write_dl(records)


def _find_group(name: str) -> str:
    """Return the group of a parameter: by its own name, or by the section of its setting.

    >>> _find_group("frames_spacing"), _find_group("out")
    ('Input', 'Output')
    """
    return _PARAMETERS.get(name) or _SECTIONS.get(name.partition("_")[0], "Method")
