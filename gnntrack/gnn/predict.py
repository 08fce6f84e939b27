"""A network as a scorer: a graph in, scores out, in windows of frames, so that memory does not grow with the movie."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import expit

from gnntrack.gnn.batch import Batch, Outputs
from gnntrack.gnn.inputs import log_odds
from gnntrack.types import LinkScores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gnntrack.gnn.inputs import Inputs
    from gnntrack.gnn.network import Network
    from gnntrack.types import FeatureArray, FloatArray, IntArray, Progress

__all__ = ["gains", "link_scores"]

_MARGIN = 2  # frames at the ends of windows of a fixed length that are read and not answered


def gains(
    network: Network,
    inputs: Inputs,
    *,
    links_per_window: int,
    correction: float = 1.0,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return what links and pairs gain, and the log odds of spurious cells; shapes (E,), (M,), (N,).

    The movie is read in windows that overlap by as many frames as the network sees, so that the windows do not show
    in the scores.

    Parameters
    ----------
    network : Module
        `Batch` -> `Outputs`, with ``hops``, the number of links on either side that an answer depends on, or None
        where a movie has to be read as a whole.
    inputs : Inputs
        Of the whole movie.
    links_per_window : int
        A window is closed once it has this many links; at least one frame each.
    correction : float
        Part of the network's step away from the classical scores that is believed, where it starts from them.
    device : device
        Where to compute.
    progress : Progress, optional
        Told after each window.
    """
    network.eval()
    link, pair = np.zeros(len(inputs.source)), np.zeros(len(inputs.pairs))
    spurious = np.zeros(len(inputs.frame))
    with torch.inference_mode(), _one_thread(device):
        for start, stop, first_frame, last_frame in _windows(network, inputs, links_per_window):
            window, cells, links, pairs = inputs.window(first_frame, last_frame)
            outputs: Outputs = network(Batch.of([window]).to(device)).to("cpu")
            # a link belongs to the window of its source, so that each is answered once
            first = window.frame[window.source]
            inner = (first >= start) & (first < stop)
            link[links[inner]] = outputs.link.numpy()[inner]
            mother = first[window.pairs[:, 0]]
            inner = (mother >= start) & (mother < stop)
            pair[pairs[inner]] = outputs.pair.numpy()[inner]
            inner = (window.frame >= start) & (window.frame < stop)
            spurious[cells[inner]] = outputs.spurious.numpy()[inner]
            if progress is not None:
                progress("scoring", stop, inputs.n_frames)
    if network.corrects:
        prior = inputs.link[:, 0].astype(np.float64)
        link = prior + correction * (link - prior)
        prior = (
            np.maximum(prior[inputs.pairs].max(axis=1, initial=-np.inf), 0) + inputs.pair[:, 0] if len(pair) else pair
        )
        pair = prior + correction * (pair - prior)
    return link, pair, spurious


def link_scores(
    inputs: Inputs,
    prior: LinkScores,
    gained: tuple[FloatArray, FloatArray, FloatArray],
    *,
    temperature: float = 1.0,
) -> LinkScores:
    """Return a network's gains as scores.

    ``link`` and ``division`` are against the alternatives that the solvers set them against: a link against neither of
    its cells having one, a division against the better of its links alone. ``marginal`` is what a link's odds are
    among all that compete with it.

    Parameters
    ----------
    inputs : Inputs
        Of the movie.
    prior : LinkScores
        Links that are no contenders keep their score.
    gained : (E,), (M,), (N,) float64
        See `gains`.
    temperature : float
        By which the gains are divided (Guo et al., On Calibration of Modern Neural Networks, ICML 2017).
    """
    link, pair, spurious = (each / temperature for each in gained)
    everything = log_odds(prior.link)
    everything[inputs.rows] = link
    alone = np.maximum(link[inputs.pairs].max(axis=1, initial=-np.inf), 0) if len(pair) else pair
    past, birth = _shares(link, pair, inputs, inputs.target, daughters=True)
    _, death = _shares(link, pair, inputs, inputs.source, daughters=False)
    marginal = expit(everything)  # of those that are no contenders; they are hardly ever chosen
    marginal[inputs.rows] = past
    return LinkScores(
        _single(expit(everything)),
        inputs.rows[inputs.pairs],
        _single(expit(pair - alone)),
        birth=_single(birth),
        death=_single(death),
        spurious=_single(expit(spurious)),
        marginal=_single(marginal),
    )


def _single(values: FloatArray) -> FeatureArray:
    return values.astype(np.float32)


def _shares(
    link: FloatArray, pair: FloatArray, inputs: Inputs, node: IntArray, *, daughters: bool
) -> tuple[FloatArray, FloatArray]:
    """Return the probability of each link among the options of its cell, divisions with it; and that of none."""
    n = len(inputs.frame)
    columns = [inputs.pairs[:, side] for side in ((0, 1) if daughters else (0,))]
    cell = np.concatenate([node, *(node[column] for column in columns)])
    gain = np.concatenate([link, *([pair] * len(columns))])
    highest = np.zeros(n)
    np.maximum.at(highest, cell, gain)
    odds = np.exp(gain - highest[cell])
    none = np.exp(-highest)
    total = none + np.bincount(cell, odds, n)
    share = odds / total[cell]
    of_link = share[: len(link)].copy()
    for i, column in enumerate(columns):
        part = share[len(link) + i * len(pair) :][: len(pair)]
        np.add.at(of_link, column, part)
        if not daughters:
            np.add.at(of_link, inputs.pairs[:, 1], part)
    return np.clip(of_link, 0, 1), none / total


@contextmanager
def _one_thread(device: torch.device | str) -> Iterator[None]:
    """Compute on one core: it is enough (200 000 links a second), always gives the same bits, and bears company.

    With more threads than free cores, torch waits for its threads in turns, and took twenty times as long.
    """
    before = torch.get_num_threads()
    if str(device) == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _windows(network: Network, inputs: Inputs, links_per_window: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield windows: the frames [start, stop) that are answered, and those [first, last) that are read for it."""
    n_frames = inputs.n_frames
    longest = int((inputs.frame[inputs.target] - inputs.frame[inputs.source]).max(initial=1))
    if network.frames is not None:
        yield from _windows_of(min(max(network.frames, 2 * longest + 1), n_frames), n_frames, max(_MARGIN, longest))
        return
    if network.hops is None:
        yield 0, n_frames, 0, n_frames
        return
    reach = network.hops * longest
    per_frame = np.bincount(inputs.frame[inputs.source], minlength=n_frames)
    start, count = 0, 0
    for frame in range(n_frames):
        count += int(per_frame[frame])
        if count >= links_per_window or frame == n_frames - 1:
            yield start, frame + 1, start - reach, frame + 1 + reach
            start, count = frame + 1, 0


def _windows_of(length: int, n_frames: int, margin: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield windows of one length that overlap; the frames at their ends are answered where the movie ends only."""
    margin = min(margin, (length - 1) // 2)
    start = 0
    while start < n_frames:
        first = min(max(start - margin, 0), n_frames - length)
        last = first + length
        stop = n_frames if last >= n_frames else last - margin
        yield start, stop, first, last
        start = stop
