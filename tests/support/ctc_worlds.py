"""Small movies with a known lineage, for the tests of CTC results and their validation and evaluation.

Every track has a lane of its own; its cells are 3 pixels high and 3 wide, and move a pixel a frame::

    frame 0      frame 1
    .111......   ..111.....
    .111......   ..111.....
    .111......   ..111.....
"""

from __future__ import annotations

import numpy as np
import tifffile
from hypothesis import strategies as st

from gnntrack.masks.runs import encode_frame, join_frames
from gnntrack.types import Cells, Lineage, Tracks

DIVIDES = {1: (0, 3, 0), 2: (4, 7, 1), 3: (4, 7, 1), 4: (0, 7, 0)}
"""Track 1 divides into 2 and 3 between frames 3 and 4; track 4 stays: id -> (start, end, parent)."""


def get_square(shape, lane, frame):
    """Return the indices of a cell's pixels."""
    y, x = 4 * lane, 1 + frame
    return (..., slice(y, y + 3), slice(x, x + 3)) if len(shape) == 3 else (slice(y, y + 3), slice(x, x + 3))


def build(table, *, n_frames=None, gaps=(), ndim=2, seed=0, lanes=1):
    """Return (lineage, runs) of a table {id: (start, end, parent)}, without the cells in gaps: {(id, frame)}.

    The frames have room for at least `lanes` lanes. Labels are shuffled from frame to frame, so that they are
    unrelated to the tracks.
    """
    n_frames = n_frames if n_frames is not None else max((end for _, end, _ in table.values()), default=0) + 1
    shape = (2,) * (ndim == 3) + (4 * max(len(table), lanes), n_frames + 5)
    rng = np.random.default_rng(seed)
    lane_of = {track: lane for lane, track in enumerate(sorted(table))}
    frame_of, label_of, track_of, position, parts = [], [], [], [], []
    for t in range(n_frames):
        here = [k for k, (start, end, _) in sorted(table.items()) if start <= t <= end and (k, t) not in gaps]
        labels = np.sort(rng.choice(1000, len(here), replace=False)) + 1
        here = [int(track) for track in rng.permutation(here)]
        mask = np.zeros(shape, np.uint16)
        for label, track in zip(labels, here, strict=True):
            mask[get_square(shape, lane_of[track], t)] = label
            position.append([0.5] * (ndim == 3) + [4 * lane_of[track] + 1, t + 2])
        start, length, label = encode_frame(mask)
        parts.append((start, length, np.searchsorted(labels, label) + len(frame_of)))
        frame_of += [t] * len(here)
        label_of += labels.tolist()
        track_of += here
    features = np.zeros((len(frame_of), 0))
    cells = Cells(
        frame_of, label_of, np.reshape(position, (-1, ndim)), features, (), (), (1.0,) * ndim, n_frames, shape
    )
    source, target = build_links(frame_of, track_of, table)
    lineage = Lineage(cells, track_of, make_tracks(table), source, target, np.ones(len(source)))
    return lineage, join_frames(parts, shape)


def make_tracks(table):
    """Return the table {id: (start, end, parent)} as `Tracks`."""
    ids = sorted(table)
    return Tracks(ids, *([table[k][c] for k in ids] for c in range(3)))


def build_links(frame_of, track_of, table):
    """Return rows of the links within tracks, gaps bridged, and from parents to daughters."""
    rows = {}
    for row, (frame, track) in enumerate(zip(frame_of, track_of, strict=True)):
        rows.setdefault(track, []).append((frame, row))
    pairs = [
        (a[1], b[1]) for cells in rows.values() for a, b in zip(sorted(cells)[:-1], sorted(cells)[1:], strict=True)
    ]
    pairs += [(max(rows[parent])[1], min(rows[child])[1]) for child, (_, _, parent) in table.items() if parent]
    pairs.sort()
    return [a for a, _ in pairs], [b for _, b in pairs]


def make_fills(lineage, where):
    """Return fills with the masks of tracks in frames, where = {(id, frame)}, in their lanes."""
    shape, n_frames = lineage.cells.shape, lineage.cells.n_frames
    lanes = {int(track): lane for lane, track in enumerate(lineage.tracks.id)}
    parts = []
    for t in range(n_frames):
        mask = np.zeros(shape, np.int64)
        for track, frame in where:
            if frame == t:
                mask[get_square(shape, lanes[track], t)] = track
        parts.append(encode_frame(mask))
    return join_frames(parts, shape)


def as_table(tracks):
    """Return {id: (start, end, parent)}."""
    columns = (tracks.id, tracks.start, tracks.end, tracks.parent)
    return {k: (s, e, p) for k, s, e, p in zip(*(c.tolist() for c in columns), strict=True)}


def read_masks(folder):
    """Return the masks of a folder by name."""
    return {file.name: tifffile.imread(file) for file in sorted(folder.glob("*.tif"))}


def write_truth(lineage, runs, folder):
    """Write a lineage as ground truth, folder/TRA and folder/SEG."""
    from gnntrack.io.ctc import write_ctc

    written = folder.parent / f"{folder.name}_as_result"
    write_ctc(written, lineage, runs)
    (folder / "TRA").mkdir(parents=True)
    (folder / "SEG").mkdir()
    for name, mask in read_masks(written).items():
        tifffile.imwrite(folder / "TRA" / name.replace("mask", "man_track"), mask)
        tifffile.imwrite(folder / "SEG" / name.replace("mask", "man_seg"), mask)
    (folder / "TRA" / "man_track.txt").write_text((written / "res_track.txt").read_text())
    return folder


@st.composite
def draw_tables(draw, *, max_frames=7, max_tracks=6, min_tracks=0):
    """Draw (table, n_frames): a forest of tracks, with divisions, lone children and late daughters."""
    n_frames = draw(st.integers(1, max_frames))
    table = {}
    for track in range(1, draw(st.integers(min_tracks, max_tracks)) + 1):
        parents = [k for k, (_, end, _) in table.items() if end < n_frames - 1]
        parent = draw(st.sampled_from([0, *parents]))
        start = draw(st.integers(table[parent][1] + 1 if parent else 0, n_frames - 1))
        table[track] = (start, draw(st.integers(start, n_frames - 1)), parent)
    return table, n_frames


@st.composite
def draw_gaps(draw, table):
    """Draw cells that are missing inside their tracks: {(id, frame)}."""
    inside = sorted((k, t) for k, (start, end, _) in table.items() for t in range(start + 1, end))
    return draw(st.sets(st.sampled_from(inside))) if inside else set()


def write_columns(folder, frames, rows):
    """Write a result, or a ground truth if the folder is TRA; per frame the labels at the columns 2, 8, 14, ....

    Each cell is a square of 4 pixels; of two labels (a, b), the second has the last of its columns.
    """
    folder.mkdir(parents=True)
    name = "man_track" if folder.name == "TRA" else "mask"
    for t, labels in enumerate(frames):
        mask = np.zeros((8, 6 * len(labels) + 4), np.uint16)
        for k, label in enumerate(labels):
            whole, piece = label if isinstance(label, tuple) else (label, label)
            mask[2:6, 6 * k + 2 : 6 * k + 5], mask[2:6, 6 * k + 5] = whole, piece
        tifffile.imwrite(folder / f"{name}{t:03d}.tif", mask)
    table = folder / ("man_track.txt" if folder.name == "TRA" else "res_track.txt")
    table.write_text("".join(f"{' '.join(map(str, row))}\n" for row in rows))
    return folder
