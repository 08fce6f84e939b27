"""The command man."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from gnntrack.cli.manual import iterate_pages
from gnntrack.cli.options import overwrite_option, verbose_option
from gnntrack.plurals import count_noun

__all__ = ["man"]


@click.command()
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder of the pages.")
@overwrite_option
@verbose_option
def man(out: Path, *, overwrite: bool) -> None:
    """Write the manual pages of all commands, for the program man.

    With -o ~/.local/share/man/man1, 'man gnntrack-track' finds them.
    """
    from gnntrack.io.output import fresh_output

    group = cast("click.Group", click.get_current_context().find_root().command)
    pages = dict(iterate_pages(group))
    taken = [out / name for name in pages if (out / name).exists()]
    if taken and not overwrite:
        msg = f"{taken[0]} exists; give another folder, or --overwrite"
        raise click.UsageError(msg)
    out.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        with fresh_output(out / name, overwrite=overwrite) as path:
            path.write_text(text, encoding="utf-8")
    click.echo(f"written  {count_noun(len(pages), 'page')}; man -l {out / 'gnntrack.1'} shows the first")
