"""The command serve."""

from __future__ import annotations

import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from gnntrack.cli import options
from gnntrack.cli.display import show_progress, show_rows
from gnntrack.cli.help_groups import GroupedCommand

__all__ = ["serve"]


@click.command(cls=GroupedCommand)
@options.path_argument("result")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="Folder that 'Save' in the page writes; default: corrected/NAME beside RESULT.",
)
@click.option(
    "--edits",
    type=click.Path(path_type=Path),
    help="File that holds the edits, and from which they are resumed; default: NAME-edits.json beside RESULT.",
)
@click.option("--images", type=click.Path(path_type=Path), help="The images of RESULT, if they have been moved.")
@click.option("--masks", type=click.Path(path_type=Path), help="The masks that RESULT was made from, if moved.")
@click.option("--method", metavar="NAME", help="Track the masks with this method instead of that of RESULT.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the page; default: a free one.")
@click.option("--no-browser", is_flag=True, help="Print the address of the page, and open no browser.")
@options.overwrite_option
@options.verbose_option
def serve(
    result: Path,
    *,
    port: int,
    no_browser: bool,
    **choices: Any,
) -> None:
    """Correct RESULT in the browser: each edit is solved again at once, and 'Save' writes the corrected result.

    The page is that of 'gnntrack report'. It can be opened only on this computer and only with the address that is
    printed. Edits are kept in a file after each change; the same command resumes them. Ctrl-C ends the command. The
    links of 'gnntrack import' and of other programs have no scores: then only what an edit names changes, unless
    --method is given.
    """
    from gnntrack.serving.opening import open_live_result
    from gnntrack.serving.server import make_server

    with show_progress() as progress:
        live, refused = open_live_result(result, progress=progress, **choices)
    with make_server(live, port) as server:
        resumed = [("resumed", f"{len(live.edits)} from {live.edits_file}")] if live.edits else []
        show_rows([*resumed, *(("refused", text) for text in refused), ("page", server.url), ("end", "Ctrl-C")])
        if not no_browser:
            webbrowser.open(server.url)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
        click.echo(live.describe_end())
