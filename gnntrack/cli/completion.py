"""The command completion."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from gnntrack.cli.options import verbose_option

__all__ = ["SHELLS", "completion"]

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@verbose_option
def completion(shell: str) -> None:
    """Print the script that completes commands, options, their values and file names in SHELL with the Tab key.

    bash 4.4 or later: add to ~/.bashrc the line eval "$(gnntrack completion bash)".

    zsh: add to ~/.zshrc, after compinit, the line eval "$(gnntrack completion zsh)".

    fish: gnntrack completion fish > ~/.config/fish/completions/gnntrack.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        msg = f"this version of click has no completion for {shell}; install click 8.1 or later"
        raise click.ClickException(msg)
    root = click.get_current_context().find_root()
    click.echo(kind(root.command, {}, "gnntrack", "_GNNTRACK_COMPLETE").source())
