"""The peers of `scale.py`: their settings, chosen on a movie of their own, and their runs with limits."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from scale_run import measure_command
from scale_scores import score_links

Row = dict[str, Any]

PEERS = {"laptrack": "laptrack", "trackpy": "trackpy", "motile": "motile", "koft": "byotrack"}
"""Names of the peers, and of their packages."""
_GATES = (4.0, 5.0, 6.0, 8.0, 10.0)  # pixels; a nucleus moves by 1.7 along each axis, and its daughters lie 4.5 apart
_HERE = Path(__file__).resolve().parent


def list_settings(peer: str) -> list[Row]:
    """Return the settings of which the best ones are chosen; KOFT has rules of its own.

    >>> [len(list_settings(peer)) for peer in PEERS]
    [10, 10, 10, 1]
    """
    if peer == "laptrack":
        return [{"link": g, "gap": g, "split": s * g, "missing": 2} for g in _GATES for s in (0.7, 1.0)]
    if peer == "trackpy":
        return [{"range": g, "memory": 3, "predict": p} for g in _GATES for p in ("", "NearestVelocityPredict")]
    if peer == "motile":
        return [{"gate": g, "appear": 0.5, "division": d} for g in _GATES for d in (0.5, 1.0)]
    return [{}]


def choose_gate(peer: str, python: str, movie: Path, work: Path, *, most_seconds: float) -> Row:
    """Return the settings with which a peer finds the most links of a movie, missed and wrong ones counted alike."""
    options = list_settings(peer)
    if len(options) == 1:
        return options[0]
    rated = []
    for settings in options:
        row = run_peer(peer, python, movie, settings, work / "links", most_seconds=most_seconds, most_gb=8)
        rated.append((-1.0 if "failed" in row else row["links_found"] + row["links_right"], settings))
    return max(rated, key=lambda each: each[0])[1]


def run_peer(
    peer: str, python: str, movie: Path, settings: Row, out: Path, *, most_seconds: float, most_gb: float
) -> Row:
    """Return time, memory and accuracy of a peer on a movie."""
    file = out.with_suffix(".npz")
    command = [python, _HERE / "scale_linkers.py", peer, movie / "truth.npz", json.dumps(settings), file]
    used = measure_command(list(map(str, command)), most_seconds=most_seconds, most_gb=most_gb)
    if "failed" in used:
        return {"settings": settings, **used}
    with np.load(movie / "truth.npz") as arrays, np.load(file) as found:
        truth, links = dict(arrays), np.stack([found["source"], found["target"]], axis=1)
        told = str(found["version"])
    file.unlink()
    return {"settings": settings, "version": told, **used, **score_links(links, truth)}


def find_interpreters(pythons: Iterable[str]) -> dict[str, str]:
    """Return the first of some Python interpreters that has each peer."""
    code = "import importlib.util as u, json; print(json.dumps([n for n in {!r} if u.find_spec(n)]))"
    found: dict[str, str] = {}
    for python in pythons:
        told = subprocess.run([python, "-c", code.format(list(PEERS.values()))], capture_output=True, text=True)
        packages = json.loads(told.stdout) if told.returncode == 0 else []
        for peer, package in PEERS.items():
            if package in packages:
                found.setdefault(peer, python)
    return found
