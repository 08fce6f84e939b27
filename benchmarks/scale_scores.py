"""Accuracy of links of a simulated movie of any size: shares of true links and of true divisions, by arrays alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Arrays = Mapping[str, npt.NDArray[Any]]


def read_links(result: Path, truth: Arrays) -> Rows:
    """Return the links (L, 2) of a result of `gnntrack track` between the detections of `truth`, as their rows.

    Points and masks that were added in gaps are no detections; the cells before and after them are linked.
    """
    import pandas as pd

    table, label = result / "gnntrack" / "points.csv", "label"
    if not table.exists():
        table, label = result / "gnntrack" / "cells.csv", "input_label"
    names = pd.read_csv(table, nrows=0).columns
    used = ["frame", label, "track", "parent", *(["interpolated"] if "interpolated" in names else [])]
    cells = pd.read_csv(table, usecols=used, dtype=np.int32)
    if "interpolated" in used:
        cells = cells[cells["interpolated"] == 0]
    cells = cells[cells[label] > 0]
    first = np.searchsorted(truth["frame"], np.arange(int(truth["frame"].max()) + 2))
    row = first[cells["frame"]] + cells[label].to_numpy() - 1  # labels count from 1 in each frame
    return link_tracks(row, cells["track"].to_numpy(), cells["parent"].to_numpy())


def link_tracks(row: Rows, track: Rows, parent: Rows) -> Rows:
    """Return the links (L, 2) of detections, given their tracks and the parents of these, 0 = none; rows go with time.

    >>> link_tracks(np.array([0, 1, 2, 3]), np.array([5, 5, 6, 7]), np.array([0, 0, 5, 5])).tolist()
    [[0, 1], [1, 2], [1, 3]]
    """
    order = np.lexsort((row, track))
    row, track, parent = row[order], track[order], parent[order]
    same = track[1:] == track[:-1]
    starts = np.append(True, ~same)
    last_of = np.full(int(track.max(initial=0)) + 2, -1)
    last_of[track] = row  # the last one stays
    before = last_of[parent]
    born = starts & (parent > 0) & (before >= 0)
    inside = np.column_stack([row[:-1][same], row[1:][same]])
    return np.concatenate([inside, np.column_stack([before[born], row[born]])])


def score_links(links: Rows, truth: Arrays) -> dict[str, Any]:
    """Return shares of links and divisions that are right.

    A true link leads from a detection of a nucleus to its next one, over any gap, or to the first ones of its
    daughters. A division is right if the right links lead from the mother to both daughters.

    >>> truth = {"track": np.array([0, 0, 1, 2, -1]), "mother": np.array([-1, 0, 0])}
    >>> found = score_links(np.array([[0, 1], [1, 2], [1, 4]]), truth)
    >>> found["links_found"], found["links_right"], found["division_f1"]
    (0.6667, 0.6667, 0.0)
    """
    rows = np.flatnonzero(truth["track"] >= 0)
    mother = truth["mother"].astype(np.int64)
    true = link_tracks(rows, truth["track"][rows] + 1, (mother + 1)[truth["track"][rows]])
    n = len(truth["track"])
    true_keys, keys = (np.sort(each[:, 0] * n + each[:, 1]) for each in (true, links))
    right = np.intersect1d(true_keys, keys, assume_unique=True)
    divisions, found, both = (_list_divisions(each, n) for each in (true_keys, keys, right))
    total = len(divisions) + len(found)
    return {
        "links": len(true_keys),
        "links_found": _divide(len(right), len(true_keys)),
        "links_right": _divide(len(right), len(keys)),
        "divisions": len(divisions),
        "division_f1": _divide(2 * len(np.intersect1d(np.intersect1d(divisions, found), both)), total),
    }


def _list_divisions(keys: Rows, n: int) -> Rows:
    """Return the sources of two links."""
    source = keys // n
    return np.unique(source[1:][source[1:] == source[:-1]])


def _divide(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
