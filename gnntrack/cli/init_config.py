"""Command init-config."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gnntrack.cli.options import overwrite_option, settings_options, verbose_option
from gnntrack.cli.resume import resume_option

if TYPE_CHECKING:
    from gnntrack.settings import Settings

__all__ = ["init_config"]


@click.command("init-config")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The settings file; printed if not given.")
@settings_options()
@overwrite_option
@resume_option()
@verbose_option
def init_config(out: Path | None, settings: Settings, *, overwrite: bool) -> None:
    """Write a settings file (TOML) with every setting, its default and its meaning."""
    from gnntrack.io.output import fresh_output

    if out is None:
        click.echo(settings.to_toml(), nl=False)
        return
    with fresh_output(out, overwrite=overwrite) as path:
        path.write_text(settings.to_toml(), encoding="utf-8")
    click.echo(f"written  {out}")
