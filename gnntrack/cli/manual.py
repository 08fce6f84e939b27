"""Manual pages (man, section 1) of the commands, made of their help."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc

import click

from gnntrack import __version__
from gnntrack.cli.help_groups import group_options

__all__ = ["format_page", "iterate_pages"]

_EXIT_CODES = (
    ("0", "done"),
    ("1", "a rule of the format or a required metric is not met"),
    ("2", "wrong input or usage"),
    ("130", "interrupted"),
)


def iterate_pages(group: click.Group) -> Iterator[tuple[str, str]]:
    """Yield the file name and the text of each manual page: that of the group, then those of its commands.

    Parameters
    ----------
    group : click.Group
        The command line.

    Examples
    --------
    >>> from gnntrack.cli import cli
    >>> next(name for name, _ in iterate_pages(cli))
    'gnntrack.1'
    """
    context = click.Context(group, info_name="gnntrack")
    names = group.list_commands(context)
    yield "gnntrack.1", format_page(context, [f"gnntrack-{name}" for name in names])
    for name in names:
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            below = click.Context(command, info_name=name, parent=context)
            yield f"gnntrack-{name}.1", format_page(below, ["gnntrack"])


def format_page(context: click.Context, related: list[str]) -> str:
    """Return the manual page of a command in the language of ``man``.

    Parameters
    ----------
    context : click.Context
        The command, with its name and that of its group.
    related : list of str
        Names of the pages that *see also* lists.
    """
    command, path = context.command, context.command_path
    title = path.replace(" ", "-")
    paragraphs = [re.sub(r"\s+", " ", each) for each in cleandoc(command.help or "").split("\n\n")]
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [
        f'.TH {_escape(title.upper())} 1 "" "gnntrack {__version__}" "gnntrack manual"',
        ".SH NAME",
        f"{_escape(title)} \\- {_escape(paragraphs[0].rstrip('.'))}",
        ".SH SYNOPSIS",
        f".B {_escape(path)}",
        _escape(usage),
        ".SH DESCRIPTION",
        *_join_paragraphs(paragraphs),
        *_list_options(context),
        *_list_commands(context),
    ]
    if command.epilog:
        lines += [".SH EXAMPLE", _escape(command.epilog.removeprefix("Example: "))]
    lines += [".SH EXIT STATUS", *(line for row in _EXIT_CODES for line in _format_item(*row))]
    lines += [".SH SEE ALSO", ", ".join(f"\\fB{_escape(name)}\\fR(1)" for name in related)]
    return "\n".join(lines) + "\n"


def _join_paragraphs(paragraphs: list[str]) -> Iterator[str]:
    for text in paragraphs:
        yield ".PP"
        yield _escape(text)


def _list_options(context: click.Context) -> Iterator[str]:
    yield ".SH OPTIONS"
    for group, records in group_options(context.command, context).items():
        if group:
            yield f".SS {group}"
        for name, about in records:
            yield from _format_item(name, about)


def _list_commands(context: click.Context) -> Iterator[str]:
    """Yield the commands of a group with the first sentence of their help."""
    if not isinstance(context.command, click.Group):
        return
    yield ".SH COMMANDS"
    for name in context.command.list_commands(context):
        command = context.command.get_command(context, name)
        if command is not None and not command.hidden:
            yield from _format_item(name, command.get_short_help_str(limit=200))


def _format_item(name: str, about: str) -> tuple[str, str, str]:
    return ".TP", f"\\fB{_escape(name)}\\fR", _escape(about)


def _escape(text: str) -> str:
    r"""Return text that ``man`` shows as it is.

    >>> print(_escape("'--spacing' in µm, C:\\data"))
    \&'\-\-spacing' in \[u00B5]m, C:\(rsdata
    """
    text = text.replace("\\", "\\(rs").replace("-", "\\-")
    text = "".join(each if ord(each) < 128 else f"\\[u{ord(each):04X}]" for each in text)
    return f"\\&{text}" if text[:1] in {".", "'"} else text
