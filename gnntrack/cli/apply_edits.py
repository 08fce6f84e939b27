"""The command apply-edits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnntrack.cli import options
from gnntrack.cli.display import Stopwatch, show_progress, show_rows
from gnntrack.cli.help_groups import GroupedCommand
from gnntrack.cli.resume import resume_option
from gnntrack.cli.track import show_result

if TYPE_CHECKING:
    from gnntrack.corrections import CorrectedLineage

__all__ = ["apply_edits"]

_SHOWN = 10  # changes, and refused edits


@click.command("apply-edits", cls=GroupedCommand)
@options.path_argument("result")
@options.path_argument("edits")
@options.out_option("Folder of the new result.")
@click.option("--images", type=click.Path(path_type=Path), help="The images of RESULT, if they have been moved.")
@click.option("--masks", type=click.Path(path_type=Path), help="The masks that RESULT was made from, if moved.")
@click.option("--method", metavar="NAME", help="Track the masks with this method instead of that of RESULT.")
@options.overwrite_option
@resume_option()
@options.verbose_option
def apply_edits(
    result: Path,
    edits: Path,
    out: Path,
    **choices: Any,
) -> None:
    """Solve a movie again around corrections: RESULT of 'gnntrack track', EDITS of the page of 'gnntrack report'.

    Every edit is kept, and the solver of RESULT decides the rest with the same settings. An edit that contradicts an
    earlier one is refused, with the reason. If RESULT is of 'gnntrack import' or of another program, its links have no
    scores: the edits change what they name and nothing else, unless --method is given.
    """
    from gnntrack import corrections

    watch = Stopwatch()
    with show_progress() as progress:
        corrected = corrections.apply_edits(result, edits, out=out, progress=progress, **choices)
    show_rows(_describe_edits(corrected))
    show_result(out, watch)


def _describe_edits(corrected: CorrectedLineage) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [("edits", f"{len(corrected.applied)} kept, {len(corrected.refused)} refused")]
    if not corrected.solved:
        text = "no; the links have no scores, so that only what the edits name was changed (--method NAME solves)"
        rows.append(("solved again", text))
    rows += [("refused", f"{edit}: {reason}") for edit, reason in corrected.refused[:_SHOWN]]
    if len(corrected.refused) > _SHOWN:
        rows.append(("", f"{len(corrected.refused) - _SHOWN} more edits refused"))
    changes = corrected.changes
    if not changes:
        return [*rows, ("changed", "no other link")]
    rows += [("changed", str(change)) for change in changes[:_SHOWN]]
    more = len(changes) - _SHOWN
    return [*rows, ("", f"{more} more links changed")] if more > 0 else rows
