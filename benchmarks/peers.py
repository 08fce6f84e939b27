"""Other trackers, run as their users would run them; needs their packages, not gnntrack.

``peers.py koft IMAGES MASKS OUT`` and ``peers.py laptrack TABLE CUTOFF`` (TABLE: npz with frame, position) print a line
of JSON: seconds without imports, cells, versions.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

Told = dict[str, Any]


def koft(images: Path, masks: Path, out: Path) -> Callable[[], Told]:
    """Return the run of ByoTrack's KOFT, the leader of the challenge's linking benchmark, with its published rules.

    Gate max(3 r, distance to the nearest neighbour), deviations r / 2 of a detection and 3 r of process and flow,
    order 0, gaps of one frame, divisions where the number of cells grows by 30 %, discs of 3 r in bridged gaps.
    """
    import byotrack
    import cv2
    import torch
    from byotrack.dataset import ctc
    from byotrack.implementation.linker.frame_by_frame import koft as linker
    from byotrack.implementation.optical_flow import opencv

    def run() -> Told:
        video = byotrack.Video(images).normalize(compute_stats_on=50)
        cells = byotrack.GroundTruthDetector().run(byotrack.Video(masks))
        size = np.concatenate([np.asarray(each.mass) for each in cells if len(each)]).mean()
        radius = float(np.sqrt(size / np.pi))
        apart = [torch.cdist(c.position, c.position).sort(dim=1).values[:, 1].median() for c in cells if len(c) > 1]
        growth = (len(cells[-1]) - len(cells[0])) / max(len(cells[0]), 1)
        farneback = cv2.FarnebackOpticalFlow.create(winSize=max(10, int(radius / 2)))
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
        flow = opencv.OpenCVOpticalFlow(farneback, downscale=4)
        tracks = list(linker.KOFTLinker(settings, flow).run(video, cells))
        out.mkdir(parents=True)
        ctc.save_tracks(tracks, out, detections_sequence=cells, default_radius=3 * radius, n_digit=3)
        return {"cells": sum(map(len, cells)), "tracks": len(tracks)}

    return run


def laptrack(table: Path, cutoff: float) -> Callable[[], Told]:
    """Return the run of laptrack on the cells' centres, with gaps of one frame and divisions."""
    import pandas as pd
    from laptrack import LapTrack

    with np.load(table) as arrays:
        frame, position = arrays["frame"], arrays["position"]
    names = list("zyx"[-position.shape[1] :])
    cells = pd.DataFrame(position, columns=names).assign(frame=frame)

    def run() -> Told:
        limit = cutoff**2
        tracker = LapTrack(
            cutoff=limit, gap_closing_cutoff=limit, gap_closing_max_frame_count=1, splitting_cutoff=limit
        )
        found = tracker.predict_dataframe(cells, coordinate_cols=names, frame_col="frame", only_coordinate_cols=False)[
            0
        ]
        return {"cells": len(cells), "tracks": int(found["track_id"].nunique())}

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="peer", required=True)
    for_koft = commands.add_parser("koft")
    for name in ("images", "masks", "out"):
        for_koft.add_argument(name, type=Path)
    for_laptrack = commands.add_parser("laptrack")
    for_laptrack.add_argument("table", type=Path)
    for_laptrack.add_argument("cutoff", type=float)
    args = parser.parse_args()
    run = koft(args.images, args.masks, args.out) if args.peer == "koft" else laptrack(args.table, args.cutoff)
    start = time.perf_counter()
    told = run()
    seconds = time.perf_counter() - start
    package = {"koft": "byotrack"}.get(args.peer, args.peer)
    print(json.dumps({"seconds": round(seconds, 3), **told, "versions": {package: version(package)}}))


if __name__ == "__main__":
    main()
