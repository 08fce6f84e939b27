"""Small valid files of every reader, mutations of them, and the call that reads each; for `fuzz.py` and its test."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gnntrack.errors import GnntrackError

Mutation = tuple[int, float, int]  # which kind, where from 0 to 1, and a choice among values
Files = dict[str, bytes]

LONGEST = 5.0  # seconds
MOST_MEMORY = 1e9  # bytes
_NUMBERS = (
    *(
        "0",
        "-1",
        "1",
        "1e999",
        "-1e999",
        "nan",
        "NaN",
        "inf",
        "65536",
        "2147483648",
        "1099511627776",
        "18446744073709551616",
    ),
    *(
        "9" * 400,
        "9" * 5000,
        "1e-320",
        "0.5",
        "1_000",
        "",
        "null",
        "true",
        "[]",
        "{}",
        '"a"',
        "[[1, 2], [3]]",
        "\u0663",
    ),
)
_INTEGERS = (0, 1, 2, 3, 7, 8, 127, 255, 256, 4096, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1)
_WORDS = (
    "",
    "a",
    "x" * 5000,
    "nan",
    "../../a",
    "/etc/hostname",
    "\0",
    "é",
    "[" * 3000,
    "<a>",
    "%s",
    "-",
    ",",
    "\t",
    "=",
)


class Target(NamedTuple):
    """A reader."""

    files: Files
    """A valid input: the content of each file, by its path in the folder of the input."""
    read: Callable[[Path], object]
    """Reads the input in a folder."""
    text: bool
    """Whether files are mutated by words and lines, too."""
    wrap: Callable[[bytes, Path], None] | None = None
    """Writes the mutated text into a file of another format."""


def mutate(files: Files, mutations: Sequence[Mutation], *, text: bool) -> Files:
    """Return files with some parts changed."""
    changed = dict(files)
    for kind, where, choice in mutations:
        names = sorted(changed)
        name = names[choice % len(names)]
        content, choice = changed[name], choice // len(names)
        words = text and not name.endswith((".tif", ".safetensors")) and kind % 8 < 6
        change = _mutate_text if words or name.endswith((".json", ".zarray", ".zattrs")) else _mutate_bytes
        changed[name] = change(content, kind, where, choice)
    return changed


def _mutate_bytes(content: bytes, kind: int, where: float, choice: int) -> bytes:
    at = int(where * len(content))
    value = _INTEGERS[choice % len(_INTEGERS)]
    wide, order = (1, 2, 4, 8)[choice // 17 % 4], ("little", "big")[choice // 68 % 2]
    number = (value & (256**wide - 1)).to_bytes(wide, order)
    at -= at % wide if choice % 3 else 0
    length = choice % 64 + 1
    return (
        content[:at] + number + content[at + wide :],
        content[:at] + number + content[at + wide :],
        content[:at],
        content[:at] + content[at + length :],
        content[:at] + number + content[at:],
        content[:at] + content[at : at + length] * 2 + content[at + length :],
        content[:at] + bytes([choice % 256]) + content[at + 1 :],
        content[:at] + content[at + length : at + 2 * length] + content[at : at + length] + content[at + 2 * length :],
    )[kind % 8]


def _mutate_text(content: bytes, kind: int, where: float, choice: int) -> bytes:
    text = content.decode("utf-8", "replace")
    if kind % 8 in (0, 1, 2):
        pattern, values = (r"-?[0-9][0-9.e+-]*", _NUMBERS) if kind % 8 < 2 else (r"[A-Za-z_]{2,}", _WORDS)
        found = list(re.finditer(pattern, text))
        if not found:
            return content
        match = found[int(where * len(found)) % len(found)]
        return (text[: match.start()] + values[choice % len(values)] + text[match.end() :]).encode("utf-8", "replace")
    lines = text.splitlines(keepends=True) if text.count("\n") > 2 else re.split(r"(?<=[,>])", text)
    at = int(where * len(lines))
    if kind % 8 == 3:
        del lines[at : at + 1 + choice % 3]
    elif kind % 8 == 4:
        lines.insert(choice % (len(lines) + 1), lines[at] if at < len(lines) else "")
    else:
        lines.insert(at, _WORDS[choice % len(_WORDS)])
    return "".join(lines).encode("utf-8", "replace")


def run_input(target: Target, mutations: Sequence[Mutation], folder: Path) -> Exception | None:
    """Read a mutated input; return the exception that is neither an error of gnntrack nor one of the system."""
    files = mutate(target.files, mutations, text=target.text)
    for name, content in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if target.wrap is None:
            place.write_bytes(content)
        else:
            target.wrap(content, place)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            target.read(folder)
        except GnntrackError:
            return None
        except OSError as error:
            return None if str(folder) in str(error) else error
        except Exception as error:  # noqa: BLE001  (any other is what is looked for)
            return error
    return None


# ---------------------------------------------------------------- inputs


def make_targets(work: Path) -> dict[str, Target]:
    """Return the readers by name; `work` is an empty folder in which their valid files are written once."""
    work.mkdir(parents=True, exist_ok=True)
    targets = {}
    for make in (_make_ctc, _make_tiffs, _make_zarrs, _make_geffs, _make_tables, _make_texts, _make_weights):
        targets |= make(work)
    return targets


def _read_files(folder: Path) -> Files:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()
    }


def _make_movie() -> np.ndarray:
    masks = np.zeros((4, 16, 20), np.uint16)
    for frame in range(4):
        masks[frame, 2:6, 2 + frame : 6 + frame] = 1
        masks[frame, 9:14, 10:15] = 2
    return masks


def _make_ctc(work: Path) -> dict[str, Target]:
    import tifffile

    from gnntrack.io.ctc import read_ctc
    from gnntrack.io.ctc_validate import validate_ctc

    folder = work / "ctc"
    folder.mkdir()
    for frame, mask in enumerate(_make_movie()):
        tifffile.imwrite(folder / f"mask{frame:03d}.tif", mask, compression="zlib")
    (folder / "res_track.txt").write_text("1 0 3 0\n2 0 3 0\n", encoding="ascii")
    files = _read_files(folder)

    def read(place: Path) -> None:
        validate_ctc(place)
        read_ctc(place)

    masks = {name: content for name, content in files.items() if name.endswith("1.tif")}
    table = {name: content for name, content in files.items() if name.endswith(".txt")}

    def read_table(place: Path) -> None:
        for name in files.keys() - {"res_track.txt"}:
            (place / name).write_bytes(files[name])
        read(place)

    def read_mask(place: Path) -> None:
        for name in files.keys() - masks.keys():
            (place / name).write_bytes(files[name])
        read(place)

    return {"ctc table": Target(table, read_table, text=True), "ctc mask": Target(masks, read_mask, text=False)}


def _read_movie(place: Path) -> None:
    from gnntrack.io.frames import open_frames

    stack = open_frames(place)
    for frame in range(min(len(stack), 4)):
        _ = stack[frame]


def _make_tiffs(work: Path) -> dict[str, Target]:
    import tifffile

    masks, targets = _make_movie(), {}
    kinds = {
        "tiff": {},
        "tiff pages": {"metadata": None, "compression": "lzw"},
        "tiff imagej": {
            "imagej": True,
            "resolution": (2, 2),
            "metadata": {"axes": "TYX", "unit": "um", "finterval": 5},
        },
        "tiff big": {"bigtiff": True, "compression": "zlib", "tile": (16, 16), "byteorder": ">"},
        "tiff ome": {"ome": True, "metadata": {"axes": "TYX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "um"}},
    }
    for name, options in kinds.items():
        file = work / f"{name}.tif"
        tifffile.imwrite(file, masks, photometric="minisblack", **options)
        targets[name] = Target({"m.tif": file.read_bytes()}, lambda place: _read_movie(place / "m.tif"), text=False)

    def wrap(content: bytes, place: Path) -> None:
        text = content.decode("utf-8", "replace").replace("\0", "?").encode("ascii", "replace")
        tifffile.imwrite(place.with_suffix(".tif"), masks, photometric="minisblack", metadata=None, description=text)

    for name, kind in (("ome xml", "tiff ome"), ("imagej text", "tiff imagej"), ("shaped text", "tiff")):
        with tifffile.TiffFile(work / f"{kind}.tif") as tif:
            text = tif.pages.first.description.encode("ascii", "replace")
        targets[name] = Target({"m.txt": text}, lambda place: _read_movie(place / "m.tif"), text=True, wrap=wrap)
    np.save(work / "m.npy", masks)
    npy = (work / "m.npy").read_bytes()
    targets["npy"] = Target({"m.npy": npy}, lambda place: _read_movie(place / "m.npy"), text=False)
    np.savez_compressed(work / "m.npz", masks=masks, images=masks)
    npz = (work / "m.npz").read_bytes()
    targets["npz"] = Target({"m.npz": npz}, lambda place: _read_movie(place / "m.npz"), text=False)
    return targets


def _make_zarrs(work: Path) -> dict[str, Target]:
    import zarr

    from gnntrack.io.frames import open_frames
    from gnntrack.io.omezarr_writer import write_omezarr

    masks = _make_movie()
    write_omezarr(open_frames(masks), work / "v3.zarr")
    array = zarr.open_array(work / "v2.zarr", mode="w", shape=masks.shape, chunks=(1, 8, 20), dtype="u2", zarr_format=2)
    array[:] = masks
    return {
        name: Target(
            {f"m.zarr/{each}": content for each, content in _read_files(work / folder).items()},
            lambda place: _read_movie(place / "m.zarr"),
            text=False,
        )
        for name, folder in (("ome-zarr", "v3.zarr"), ("zarr of format 2", "v2.zarr"))
    }


def _make_geffs(work: Path) -> dict[str, Target]:
    from gnntrack.io.geff import read_graph, read_lineage, write_lineage
    from gnntrack.io.point_graph import read_point_graph, write_point_graph
    from gnntrack.io.trackmate_file import write_trackmate
    from gnntrack.io.trackmate_xml import read_trackmate_xml
    from gnntrack.types import Cells, Lineage, PointGraph, Tracks

    position = [[4.0, 4.0], [11.0, 12.0], [4.0, 5.0], [11.0, 12.0], [9.0, 12.0]]
    cells = Cells(
        [0, 0, 1, 1, 1], [1, 2, 1, 3, 4], position, [[9.0]] * 5, ("size",), ("pixel2",), (1.0, 1.0), 2, (16, 20)
    )
    tracks = Tracks([1, 2, 3, 4], [0, 0, 1, 1], [1, 0, 1, 1], [0, 0, 2, 2])
    lineage = Lineage(cells, cells.label, tracks, [0, 1, 1], [2, 3, 4], [1.0, 0.9, 0.8])
    write_lineage(lineage, work / "a.geff")
    graph = PointGraph([7, 8, 9], [0, 1, 1], [[1.0, 2.0], [1.0, 3.0], [8.0, 3.0]], [0], [1], (0.5, 0.5), total=9)
    write_point_graph(graph, work / "b.geff")
    write_trackmate(lineage, work / "a.xml")

    def read_all(place: Path) -> None:
        for read in (read_lineage, read_graph, read_point_graph):
            try:
                read(place / "a.geff")
            except GnntrackError:
                continue

    first, second = ({f"a.geff/{k}": v for k, v in _read_files(work / name).items()} for name in ("a.geff", "b.geff"))
    about = {name: content for name, content in first.items() if name == "a.geff/.zattrs"}
    rest = {name: content for name, content in first.items() if name not in about}

    def read_about(place: Path) -> None:
        for name, content in rest.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content)
        read_all(place)

    return {
        "geff": Target(first, read_all, text=False),
        "geff metadata": Target(about, read_about, text=True),
        "geff of format 3": Target(second, read_all, text=False),
        "trackmate xml": Target(
            {"a.xml": (work / "a.xml").read_bytes()}, lambda place: read_trackmate_xml(place / "a.xml"), text=True
        ),
    }


def _make_tables(_: Path) -> dict[str, Target]:
    from gnntrack.io.points import read_points
    from gnntrack.io.submission_table import read_submission
    from gnntrack.settings import FrameSettings

    def read(place: Path) -> None:
        read_points(place / "p.csv", settings=FrameSettings())

    points = b"frame,y,x,radius,id,parent\n0,4.5,6,2,1,0\n0,9,12,2,2,0\n1,5,6.5,2,3,1\n1,9,12,2.5,4,2\n2,5,7,2,5,3\n"
    spots = b"LABEL,ID,TRACK_ID,POSITION_X,POSITION_Y,POSITION_T,FRAME,RADIUS\n,,,(um),(um),(s),,(um)\n"
    spots += b"a,1,0,4.5,6,0,0,2\nb,2,0,4.5,7,5,1,2\nc,3,1,9,12,0,0,2\n"
    sheet = (
        b"id,dataset,row_type,node_id,t,z,y,x,source_id,target_id\n0,m,node,1,0,1,2,3,-1,-1\n1,m,node,2,1,1,2,4,-1,-1\n"
    )
    sheet += b"2,m,edge,-1,-1,-1,-1,-1,1,2\n"
    return {
        "points csv": Target({"p.csv": points}, read, text=True),
        "trackmate csv": Target({"p.csv": spots}, read, text=True),
        "submission csv": Target({"s.csv": sheet}, lambda place: read_submission(place / "s.csv"), text=True),
    }


def _make_texts(_: Path) -> dict[str, Target]:
    from gnntrack.lineage.edits import read_edits
    from gnntrack.settings import Settings

    toml = b'[frames]\nspacing = [0.5, 0.25]\ninterval = "5min"\n[graph]\nmax_gap = 3\nmax_distance = 12.5\n'
    toml += b'[solver]\ntime_limit = "30s"\n[cells]\nmin_size = 20\nfragments = "keep"\n[simulate]\nframes = 3\n'
    kinds = [{"kind": "join", "cells": [[0, 1], [1, 3]]}, {"kind": "divide", "cells": [[0, 2], [1, 3], [1, 4]]}]
    edits = {"format": "gnntrack edits", "version": 1, "labels": "input", "edits": kinds}
    return {
        "toml": Target({"s.toml": toml}, lambda place: Settings.from_toml(place / "s.toml"), text=True),
        "edits json": Target(
            {"e.json": json.dumps(edits).encode()}, lambda place: read_edits(place / "e.json"), text=True
        ),
    }


def _make_weights(_: Path) -> dict[str, Target]:
    shipped = Path(__file__).resolve().parents[1] / "gnntrack" / "weights"
    files = {name: (shipped / name).read_bytes() for name in ("model.json", "weights.safetensors")}
    content = files["weights.safetensors"]
    end = 8 + int.from_bytes(content[:8], "little")

    def read(place: Path) -> None:
        from gnntrack.gnn.weights import load_model  # torch takes seconds to import, in the process of each reader

        load_model(place)

    def wrap(header: bytes, place: Path) -> None:
        """Write a model with a changed header and the checksum of that."""
        changed = len(header).to_bytes(8, "little") + header + content[end:]
        place.with_name("weights.safetensors").write_bytes(changed)
        about = {**json.loads(files["model.json"]), "sha256": hashlib.sha256(changed).hexdigest()}
        place.with_name("model.json").write_text(json.dumps(about), encoding="utf-8")

    return {
        "weights": Target(files, read, text=False),
        "model header": Target({"header.txt": content[8:end]}, read, text=True, wrap=wrap),
    }
