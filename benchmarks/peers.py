"""Other trackers, run as their authors recommend; needs their packages, not gnntrack.

``peers.py koft IMAGES MASKS OUT`` and ``peers.py laptrack|btrack TABLE SETTINGS OUT [OUT ...]`` print a line of JSON
for each OUT: seconds without imports, cells, versions. TABLE is an npz with frame, position and cell measurements;
SETTINGS is a JSON list with the settings of each OUT, as `peer_settings.py` chooses them; OUT gets the links, as rows
of the table: source and target.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Result = dict[str, Any]
Numbers = dict[str, npt.NDArray[Any]]
Links = npt.NDArray[np.int64]

MANY = 1000  # cells in a frame above which btrack's exact update is too slow, by its documentation
VISUAL = ("size", "major_axis", "minor_axis", "elongation")  # sizes and shapes, as in btrack's example with features


def prepare_koft(images: Path, masks: Path, out: Path) -> Callable[[], Result]:
    """Return a function that runs ByoTrack's KOFT, the leader of the challenge's linking benchmark.

    Published rules: gate max(3 r, distance to the nearest neighbour), standard deviations r / 2 of a detection and 3 r
    of process and flow, order 0, gaps of one frame, divisions if the number of cells grows by 30 %, discs of 3 r in
    bridged gaps. The flow in 3D is that of scikit-image, since OpenCV's is for 2D.
    """
    import byotrack
    import torch
    from byotrack.dataset import ctc
    from byotrack.implementation.linker.frame_by_frame import koft as linker

    def run() -> Result:
        video = byotrack.Video(images).normalize(compute_stats_on=50)
        cells = byotrack.GroundTruthDetector().run(byotrack.Video(masks))
        size = np.concatenate([np.asarray(each.mass) for each in cells if len(each)]).mean()
        dimensions = cells[0].dim
        radius = float(np.sqrt(size / np.pi) if dimensions == 2 else np.cbrt(size * 3 / (4 * np.pi)))
        apart = [torch.cdist(c.position, c.position).sort(dim=1).values[:, 1].median() for c in cells if len(c) > 1]
        growth = (len(cells[-1]) - len(cells[0])) / max(len(cells[0]), 1)
        settings = linker.KOFTLinkerParameters(
            association_threshold=max(3 * radius, float(np.mean([each.item() for each in apart] or [0.0]))),
            detection_std=radius / 2,
            process_std=3 * radius,
            flow_std=3 * radius,
            kalman_order=0,
            cost="euclidean",
            association_method="sparse_opt_smooth",
            n_valid=1,
            n_gap=1,
            split_factor=1.0 if growth > 0.3 and growth * len(cells[0]) > 1 else 0.0,
            track_building="smoothed",
        )
        tracks = list(linker.KOFTLinker(settings, _make_flow(radius, dimensions)).run(video, cells))
        out.mkdir(parents=True)
        ctc.save_tracks(tracks, out, detections_sequence=cells, default_radius=3 * radius, n_digit=3)
        return {"cells": sum(map(len, cells)), "tracks": len(tracks)}

    return run


def _make_flow(radius: float, dimensions: int) -> Any:
    from byotrack.implementation.optical_flow import opencv, skimage

    if dimensions == 2:
        import cv2

        return opencv.OpenCVOpticalFlow(cv2.FarnebackOpticalFlow.create(winSize=max(10, int(radius / 2))), downscale=4)
    from skimage.registration import optical_flow_ilk

    return skimage.SkimageOpticalFlow(optical_flow_ilk)


def run_laptrack(table: Numbers, settings: Result) -> Links:
    """Run laptrack on the centres of the cells, with gaps and divisions.

    Settings: ``link``, ``gap`` and ``split`` are largest distances in the unit of the positions, ``split`` 0 finds no
    divisions; ``missing`` is the largest number of frames without a mask. (laptrack's
    ``gap_closing_max_frame_count`` counts steps: 1 closes no gap, 2 closes gaps of one missing frame.)
    """
    import pandas as pd
    from laptrack import LapTrack

    position = table["position"]
    names = list("zyx"[-position.shape[1] :])
    cells = pd.DataFrame(position, columns=names).assign(frame=table["frame"], row=np.arange(len(position)))
    tracker = LapTrack(
        cutoff=settings["link"] ** 2,
        gap_closing_cutoff=settings["gap"] ** 2,
        gap_closing_max_frame_count=settings["missing"] + 1,
        splitting_cutoff=settings["split"] ** 2 or False,
    )
    found, splits, _ = tracker.predict_dataframe(
        cells, coordinate_cols=names, frame_col="frame", only_coordinate_cols=False
    )
    tracks = {name: rows.tolist() for name, rows in found.sort_values("row").groupby("track_id")["row"]}
    parents = splits[["child_track_id", "parent_track_id"]].to_numpy().tolist() if len(splits) else []
    return list_links(tracks, dict(parents))


def run_btrack(table: Numbers, settings: Result) -> Links:
    """Run btrack on the centres of the cells, with its published settings for cells.

    Settings: ``radius`` is the largest distance of a link, and ``scale`` multiplies the positions, since lengths of the
    published settings are in pixels of their authors' images; ``prob_not_assign`` as published in 2019 (.001) or later
    (.1); ``visual`` compares sizes and shapes of cells too. The state of the cells (mitotic, dead), which its authors'
    classifier predicts from images, is not given.
    """
    import btrack as package
    from btrack.io import objects_from_dict

    frame, position = table["frame"], table["position"] * settings["scale"]
    position = np.hstack([position[:, ::-1], np.zeros((len(position), 3 - position.shape[1]))])  # x, y, z
    columns = {"t": frame, "x": position[:, 0], "y": position[:, 1], "z": position[:, 2]}
    visual = [name for name in VISUAL if name in table] if settings["visual"] else []
    many = int(np.bincount(frame).max()) > MANY
    update = package.constants.BayesianUpdates
    with package.BayesianTracker(verbose=False) as tracker:
        tracker.configure(_make_cell_config(settings["prob_not_assign"]))
        tracker.update_method = update.APPROXIMATE if many else update.EXACT
        tracker.max_search_radius = settings["radius"] * settings["scale"]
        if visual:
            tracker.features = visual
            tracker.tracking_updates = ["motion", "visual"]
        tracker.append(objects_from_dict(columns | {name: table[name] for name in visual}))
        tracker.volume = tuple(zip(position.min(axis=0) - 1, position.max(axis=0) + 1, strict=True))
        tracker.track(step_size=100)
        tracker.optimize()
        tracks = {each.ID: [row for row in each.refs if row >= 0] for each in tracker.tracks}
        parents = {each.ID: each.parent for each in tracker.tracks if each.parent not in (each.ID, None, 0)}
    return list_links(tracks, parents)


def _make_cell_config(prob_not_assign: float) -> Result:
    """Return the values of btrack's published cell_config.json: constant velocity, lengths in pixels."""
    step = np.eye(6)
    step[[0, 1, 2], [3, 4, 5]] = 1
    motion = {
        "measurements": 3,
        "states": 6,
        "accuracy": 7.5,
        "prob_not_assign": prob_not_assign,
        "max_lost": 5,
        "A": step,
        "H": np.eye(3, 6),
        "P": 150 * np.diag([0.1, 0.1, 0.1, 1, 1, 1]),
        "G": 15 * np.array([0.5, 0.5, 0.5, 1, 1, 1]),
        "R": 5 * np.eye(3),
    }
    hypotheses = {
        "hypotheses": ["P_FP", "P_init", "P_term", "P_link", "P_branch", "P_dead"],
        "lambda_time": 5.0,
        "lambda_dist": 3.0,
        "lambda_link": 10.0,
        "lambda_branch": 50.0,
        "eta": 1e-10,
        "theta_dist": 20.0,
        "theta_time": 5.0,
        "dist_thresh": 40,
        "time_thresh": 2,
        "apop_thresh": 5,
        "segmentation_miss_rate": 0.1,
        "apoptosis_rate": 0.001,
        "relax": True,
    }
    return {"motion_model": motion, "hypothesis_model": hypotheses}


def list_links(tracks: dict[int, list[int]], parents: dict[int, int]) -> Links:
    """Return the links of tracks, given as rows in order of time, and the links from parents to daughters."""
    inside = [pair for rows in tracks.values() for pair in pairwise(rows)]
    born = [(tracks[parent][-1], tracks[child][0]) for child, parent in parents.items() if tracks.get(parent)]
    return np.array([*inside, *born], np.int64).reshape(-1, 2)


def _run_linkers(peer: str, table: Path, settings: Sequence[Result], outs: Sequence[Path]) -> None:
    """Run a linker with each of the settings."""
    with np.load(table) as arrays:
        columns = dict(arrays)
    LINKERS[peer](_take_first_frames(columns), settings[0])  # loads and compiles code
    for each, out in zip(settings, outs, strict=True):
        start = time.perf_counter()
        links = LINKERS[peer](columns, each)
        _print_line(peer, time.perf_counter() - start, {"cells": len(columns["frame"])})
        np.savez(out, source=links[:, 0], target=links[:, 1])


def _take_first_frames(columns: Numbers, frames: int = 4) -> Numbers:
    rows = columns["frame"] < frames
    return {name: column[rows] for name, column in columns.items()}


def _print_line(peer: str, seconds: float, told: Result) -> None:
    package = {"koft": "byotrack"}.get(peer, peer)
    print(json.dumps({"seconds": round(seconds, 3), **told, "versions": {package: version(package)}}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="peer", required=True)
    for_koft = commands.add_parser("koft")
    for name in ("images", "masks", "out"):
        for_koft.add_argument(name, type=Path)
    for name in LINKERS:
        command = commands.add_parser(name)
        command.add_argument("table", type=Path)
        command.add_argument("settings", type=json.loads)
        command.add_argument("outs", type=Path, nargs="+")
    args = parser.parse_args()
    if args.peer != "koft":
        _run_linkers(args.peer, args.table, args.settings, args.outs)
        return
    run = prepare_koft(args.images, args.masks, args.out)
    start = time.perf_counter()
    told = run()
    _print_line("koft", time.perf_counter() - start, told)


LINKERS = {"laptrack": run_laptrack, "btrack": run_btrack}

if __name__ == "__main__":
    main()
