"""The recipe that makes a result live: its movie is read again, and earlier edits are resumed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gnntrack.correction_session import RecordedRun
from gnntrack.errors import OutputError
from gnntrack.io.fingerprints import compute_fingerprint
from gnntrack.io.output import try_output
from gnntrack.lineage.edits import EditList
from gnntrack.reporting import add_interval, choose_title, collect_content
from gnntrack.serving.live import LiveResult, read_kept_edits
from gnntrack.structural_session import StructuralSession, choose_session

if TYPE_CHECKING:
    from gnntrack.types import Progress

__all__ = ["open_live_result"]

_STRUCTURAL = "The links have no scores: only what an edit names changes ('gnntrack serve --method NAME' solves again)."


def open_live_result(
    result: str | Path,
    *,
    out: str | Path | None = None,
    edits: str | Path | None = None,
    images: object = None,
    masks: object = None,
    method: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> tuple[LiveResult, list[str]]:
    """Read a result and its movie, so that edits can be applied one by one.

    Parameters
    ----------
    result : path
        Folder that `gnntrack.track`, `gnntrack.import_tracks` or another program has written.
    out : path, optional
        Folder in which the corrected result is saved; by default ``corrected/NAME`` beside the result.
    edits : path, optional
        File that holds the edits after each change. If it exists, its edits are resumed. By default ``NAME-edits.json``
        beside the result.
    images, masks, method, progress
        As in `gnntrack.apply_edits`.
    overwrite : bool
        Replace `out` if it exists. A result that was saved by an earlier session with these edits is replaced anyway.

    Returns
    -------
    live : LiveResult
        The result.
    refused : list of str
        Resumed edits that are refused, with the reason of each.

    Raises
    ------
    InputError
        As of `gnntrack.apply_edits`; or if the file of edits cannot be read, or holds edits of another result.
    OutputError
        If `out` exists or cannot be written, or the edits cannot be kept.

    Examples
    --------
    >>> import gnntrack, numpy as np, tempfile
    >>> masks = np.zeros((4, 40, 40), np.uint8)
    >>> masks[:, 5:11, 5:11] = 1
    >>> folder = Path(tempfile.mkdtemp())
    >>> np.save(folder / "masks.npy", masks)
    >>> lineage = gnntrack.track(masks=folder / "masks.npy", out=folder / "01_RES")
    >>> live, refused = open_live_result(folder / "01_RES")
    >>> cut = {"kind": "cut", "cells": [[1, 1], [2, 1]]}
    >>> changed = live.edit({"revision": 1, "add": cut})
    >>> changed["data"]["facts"], [file.name for file in sorted(folder.glob("*.json"))]
    (['4 frames', '4 cells', '2 tracks', '0 divisions'], ['01_RES-edits.json'])
    """
    before = RecordedRun.read(result)
    folder = before.folder.absolute()
    out = folder.parent / "corrected" / folder.name if out is None else Path(out).expanduser()
    file = folder.parent / f"{folder.name}-edits.json" if edits is None else Path(edits).expanduser()
    if folder.resolve() in (out.resolve(), *out.resolve().parents):
        msg = f"{out}: it is the result that is corrected, or in it; choose another folder (-o OUT)"
        raise OutputError(msg)
    fingerprint = before.summary.get("fingerprint") or compute_fingerprint(folder)
    kept, saved = read_kept_edits(file, out=out, fingerprint=fingerprint)
    try_output(out, overwrite=overwrite or saved)
    _try_edits_file(file)
    session = choose_session(before, images=images, masks=masks, method=method, progress=progress)
    solved = session.build(session.solve(session.plan(EditList())))
    lineage = add_interval(solved.lineage, folder)
    content = collect_content(lineage, solved.runs, session.movie.images, title=choose_title(folder), progress=progress)
    notes = [*content.notes, *([_STRUCTURAL] if isinstance(session, StructuralSession) else [])]
    content = replace(content, fingerprint=fingerprint, notes=notes)
    live = LiveResult(session, content, out, file, overwrite=overwrite or saved)
    return live, live.resume(kept)


def _try_edits_file(file: Path) -> None:
    """Raise if the edits cannot be kept."""
    try:
        with file.open("a"):
            pass
        if not file.stat().st_size:
            file.unlink()
    except OSError as error:
        msg = f"{file}: the edits cannot be kept there ({error.strerror}); choose another file (--edits FILE)"
        raise OutputError(msg) from error
