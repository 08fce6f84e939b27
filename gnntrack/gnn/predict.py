"""Inference in windows of frames: memory does not grow with the length of the movie."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.gnn.inputs import clip_log_odds
from gnntrack.types import LinkScores, invert_log_odds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gnntrack.gnn.array_network import ArrayNetwork
    from gnntrack.gnn.inputs import Inputs
    from gnntrack.gnn.network import Network
    from gnntrack.types import BoolArray, FloatArray, Progress

__all__ = ["LogOdds", "favour_links", "make_link_scores", "predict_log_odds"]

_MARGIN = 2  # frames at both ends of a window of fixed length that give context only


class LogOdds(NamedTuple):
    """Log odds of the links, the division candidates and the spurious cells of a movie, as defined in `Outputs`.

    Parameters
    ----------
    link : (E,) float64
    pair : (M,) float64
    spurious : (N,) float64, optional
    """

    link: FloatArray
    pair: FloatArray
    spurious: FloatArray | None = None


def predict_log_odds(
    network: Network | ArrayNetwork,
    inputs: Inputs,
    *,
    links_per_window: int,
    correction: float = 1.0,
    progress: Progress | None = None,
) -> LogOdds:
    """Run a network over a movie.

    The movie is read in windows. They overlap by as many frames as the network looks ahead and back, so that the
    result does not depend on the windows.

    Parameters
    ----------
    network : Network or ArrayNetwork
        With ``hops``, the number of links on either side that a result depends on, or None if a movie has to be read as
        a whole.
    inputs : Inputs
        Of the whole movie.
    links_per_window : int
        A window ends with the frame that brings it to this many links, times ``network.links_factor``; it has at least
        one frame.
    correction : float
        Weight of the network's correction, 0 (classical scores) to 1 (network), if the network corrects them.
    progress : Progress, optional
        Called after each window.

    Returns
    -------
    LogOdds
    """
    spurious = np.zeros(len(inputs.frame))
    found = LogOdds(np.zeros(len(inputs.source)), np.zeros(len(inputs.pairs)), spurious)
    links_per_window *= network.links_factor
    for start, stop, first_frame, last_frame in _split_into_windows(network, inputs, links_per_window):
        window, cells, links, pairs = inputs.cut_window(first_frame, last_frame)
        link, pair, of_cells = network.compute(window)
        # a link belongs to the window of its source, so that each is scored once
        first = window.frame[window.source]
        inner = (first >= start) & (first < stop)
        found.link[links[inner]] = link[inner]
        parent = first[window.pairs[:, 0]]
        inner = (parent >= start) & (parent < stop)
        found.pair[pairs[inner]] = pair[inner]
        inner = (window.frame >= start) & (window.frame < stop)
        spurious[cells[inner]] = of_cells[inner]
        if progress is not None:
            progress("scoring", stop, inputs.n_frames)
    return _weigh_correction(found, inputs, correction) if network.corrects else found


def _weigh_correction(found: LogOdds, inputs: Inputs, correction: float) -> LogOdds:
    """Return the log odds between those of the classical scores (0) and those of the network (1)."""
    link_prior = inputs.link[:, 0].astype(np.float64)
    pair_prior = _find_best_single(link_prior, inputs) + inputs.pair[:, 0] if len(found.pair) else found.pair
    return found._replace(
        link=link_prior + correction * (found.link - link_prior),
        pair=pair_prior + correction * (found.pair - pair_prior),
    )


def favour_links(found: LogOdds, inputs: Inputs, chosen: BoolArray, margin: float) -> LogOdds:
    """Return the log odds in favour of a solution, so that only a clear gain changes it.

    The errors of a network are alike in a movie. Where many links depend on each other, as in a row of cells that are
    all shifted by one, their sum would outweigh the classical scores.

    Parameters
    ----------
    found : LogOdds
        See `predict_log_odds`.
    inputs : Inputs
        Of the movie.
    chosen : (E,) bool
        The links of the solution, by the classical scores.
    margin : float
        Log odds that are added to each of these links.
    """
    added = margin * chosen
    return found._replace(link=found.link + added, pair=found.pair + added[inputs.pairs].sum(axis=1))


def make_link_scores(inputs: Inputs, prior: LinkScores, log_odds: LogOdds, *, temperature: float = 1.0) -> LinkScores:
    """Turn a network's log odds into scores.

    ``link``: probability of the link, against both cells staying unlinked. ``division``: probability of the pair,
    against its better link alone. ``marginal``: probability of the link among all links and divisions that compete
    for its target. ``spurious``: probability that the cell is spurious, not calibrated.

    Parameters
    ----------
    inputs : Inputs
        Of the movie.
    prior : LinkScores
        Links that the network does not score keep these scores, and divisions if it scores none.
    log_odds : LogOdds
        See `predict_log_odds`.
    temperature : float
        The log odds are divided by it (Guo et al., On Calibration of Modern Neural Networks, ICML 2017).
    """
    link, pair = log_odds.link / temperature, log_odds.pair / temperature
    everything = clip_log_odds(prior.link)
    everything[inputs.rows] = link
    single = _find_best_single(link, inputs) if len(pair) else pair
    marginal = invert_log_odds(
        everything
    )  # stays so for links that the network does not score; they are hardly ever chosen
    marginal[inputs.rows] = _compute_shares(link, pair, inputs)
    reads_pairs = bool(inputs.pair.shape[1])
    return LinkScores(
        invert_log_odds(everything).astype(np.float32),
        inputs.rows[inputs.pairs] if reads_pairs else prior.pairs,
        invert_log_odds(pair - single).astype(np.float32) if reads_pairs else prior.division,
        marginal=marginal.astype(np.float32),
        spurious=None if log_odds.spurious is None else invert_log_odds(log_odds.spurious).astype(np.float32),
    )


def _find_best_single(link: FloatArray, inputs: Inputs) -> FloatArray:
    """Return the log odds of the better link of each pair, or 0 if neither has positive log odds, shape (M,)."""
    return np.asarray(np.maximum(link[inputs.pairs].max(axis=1, initial=-np.inf), 0))


def _compute_shares(link: FloatArray, pair: FloatArray, inputs: Inputs) -> FloatArray:
    """Return the probability of each link among all pasts of its target, shape (E,).

    The pasts of a cell are the links into it, the divisions that it may be a daughter of, and none.
    """
    n = len(inputs.frame)
    first, second = inputs.pairs.T
    cell = inputs.target[np.concatenate([np.arange(len(link)), first, second])]
    value = np.concatenate([link, pair, pair])
    highest = np.zeros(n)  # the log odds of none
    np.maximum.at(highest, cell, value)
    odds = np.exp(value - highest[cell])
    total = np.exp(-highest) + np.bincount(cell, odds, n)
    share = odds / total[cell]
    of_link, of_first, of_second = np.split(share, [len(link), len(link) + len(pair)])
    np.add.at(of_link, first, of_first)
    np.add.at(of_link, second, of_second)
    return np.asarray(np.clip(of_link, 0, 1))


def _split_into_windows(
    network: Network | ArrayNetwork, inputs: Inputs, links_per_window: int
) -> Iterator[tuple[int, int, int, int]]:
    """Yield windows: the frames [start, stop) that are scored, and the frames [first, last) that are read for them."""
    n_frames = inputs.n_frames
    longest = int((inputs.frame[inputs.target] - inputs.frame[inputs.source]).max(initial=1))
    if network.frames is not None:
        length = min(max(network.frames, 2 * longest + 1), n_frames)
        yield from _split_by_length(length, n_frames, max(_MARGIN, longest))
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


def _split_by_length(length: int, n_frames: int, margin: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield overlapping windows of one length; the frames at their ends are scored only at the ends of the movie."""
    margin = min(margin, (length - 1) // 2)
    start = 0
    while start < n_frames:
        first = min(max(start - margin, 0), n_frames - length)
        last = first + length
        stop = n_frames if last >= n_frames else last - margin
        yield start, stop, first, last
        start = stop
