"""A lineage as one HTML page without network access: movie, tree, plots, review list and corrections.

The page is ``page/page.html`` with the styles, the scripts and the data in it. A Content-Security-Policy allows exactly
these scripts and styles, by their hashes, and no connection. Data are JSON, in which ``<`` is escaped; the scripts
write texts as text, never as HTML.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from gnntrack.report.page_data import collect_data

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gnntrack.lineage.doubts import Doubt
    from gnntrack.report.page_data import Measures, Place
    from gnntrack.report.pictures import MoviePictures
    from gnntrack.types import Lineage, Progress, Runs

__all__ = ["PageContent", "make_page", "render_page"]

_LIVE_POLICY = "connect-src 'self'; "
_SCRIPTS = (
    *("data.js", "colours.js", "views.js", "movie.js", "marks.js", "tree.js", "plots.js", "curves.js", "series.js"),
    *("checker.js", "edits.js", "live.js", "side.js", "places.js", "keys.js", "main.js"),
)


@dataclass(frozen=True)
class PageContent:
    """Everything that the page shows.

    Parameters
    ----------
    title : str
        Name of the result.
    lineage : Lineage
        The lineage.
    doubts : sequence of Doubt
        Places to check, those with most errors to be expected first.
    runs : Runs, optional
        Pixels of the cells; None: cells are dots.
    pictures : MoviePictures, optional
        The images.
    planes : sequence of int
        Planes of a stack that the page shows (`gnntrack.report.page_views.choose_planes`).
    measures : Measures, optional
        Speeds, growth rates and cell cycles.
    mistakes : sequence of Place, optional
        Mistakes, if the ground truth is known.
    scores : mapping
        Metrics by name, if the ground truth is known.
    facts : sequence of str
        What the result has, such as ``"92 frames"``.
    notes : sequence of str
        What the page lacks, in words.
    fingerprint : str, optional
        That of the result, which the edits name; None: the result cannot be corrected.
    """

    title: str
    lineage: Lineage
    doubts: Sequence[Doubt]
    runs: Runs | None = None
    pictures: MoviePictures | None = None
    planes: Sequence[int] = ()
    measures: Measures | None = None
    mistakes: Sequence[Place] | None = None
    scores: Mapping[str, float | None] = field(default_factory=dict)
    facts: Sequence[str] = ()
    notes: Sequence[str] = ()
    fingerprint: str | None = None


def make_page(content: PageContent, *, progress: Progress | None = None) -> str:
    """Return the page as HTML.

    Examples
    --------
    >>> import numpy as np
    >>> import gnntrack
    >>> masks = np.zeros((3, 40, 40), np.uint8)
    >>> masks[:, 5:11, 5:11] = 1
    >>> page = make_page(PageContent("<b>mine</b>", gnntrack.track(masks=masks), []))
    >>> "<title>&lt;b&gt;mine&lt;/b&gt;" in page, "<b>mine" in page, "http://" in page or "https://" in page
    (True, False, False)
    """
    return render_page(collect_data(content, progress))


def render_page(data: Mapping[str, Any], *, live: bool = False) -> str:
    """Return the page of some data as HTML.

    Parameters
    ----------
    data : mapping
        From `gnntrack.report.page_data.collect_data`.
    live : bool
        Whether the page may send edits to the server that it came from.
    """
    folder = files("gnntrack.report").joinpath("page")
    style = folder.joinpath("page.css").read_text(encoding="utf-8")
    script = "\n".join(folder.joinpath(name).read_text(encoding="utf-8") for name in _SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}\n}})();'
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data: blob:; "
        f"{_LIVE_POLICY if live else ''}style-src 'sha256-{_hash(style)}'; script-src 'sha256-{_hash(script)}'"
    )
    parts = {
        "TITLE": html.escape(data["title"]),
        "POLICY": policy,
        "STYLE": style,
        "DATA": json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
        "SCRIPT": script,
    }
    page = folder.joinpath("page.html").read_text(encoding="utf-8")
    head, *rest = page.split("{{")
    made = [head]
    for each in rest:  # in one pass, so that data cannot contain a name that is replaced
        name, _, text = each.partition("}}")
        made += [parts[name], text]
    return "".join(made)


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
