"""Damaged files of TrackMate, and results that were edited, are refused with a sentence or read as they are now."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

import gnntrack
from gnntrack.batch import find_positions
from gnntrack.errors import FrameError, InputError
from gnntrack.io.frames import open_frames

HEAD = "LABEL,ID,TRACK_ID,FRAME,POSITION_X,POSITION_Y,RADIUS\n"
ROWS = "a,0,0,0,20,20,4\nb,1,0,1,21,21,4\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no column ID"),
        (HEAD, "no spot"),
        (HEAD + ROWS + "c,1,0,1,40,40,4\n", "2 IDs"),
        (HEAD + ROWS + "c,2,0,1e9,40,40,4\n", "frame 1e"),
        (HEAD + ROWS + "c,2,0,-1,40,40,4\n", "frame -1"),
        (HEAD + ROWS + "c,2,0,1.5,40,40,4\n", "frame 1.5"),
        (HEAD + ROWS + "c,2,0,1,1e30,40,4\n", "position or radius"),
        (HEAD + ROWS + "c,2,0,1,30,40,-4\n", "radius below 0"),
        (HEAD + ROWS + "c,2,0,1,1e8,1e8,4\n", "needs 2 frames"),
        (HEAD + "a,0,0,0,-20,-20,4\n", "needs 1 frame"),
    ],
)
@pytest.mark.filterwarnings("ignore::gnntrack.GnntrackWarning")
def test_damaged_tables_of_spots_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "spots.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(gnntrack.InputError, match=reason):
        gnntrack.import_tracks(file)


@pytest.mark.parametrize(
    ("spots", "size", "reason"),
    [
        ('<Spot ID="1" {}/><Spot ID="1" {}/>', "60", "line 1 has a second spot with the ID 1"),
        ("<Spot {}/>", "60", "each spot needs its own"),
        ('<Spot ID="1" {}/>', "9999999", "needs 3 frames"),
        ('<Spot ID="1" {}/>', "10", "every spot is outside"),
    ],
)
def test_damaged_trackmate_files_are_refused(tmp_path: Path, spots: str, size: str, reason: str) -> None:
    place = 'FRAME="0" POSITION_X="30" POSITION_Y="30" RADIUS="4"'
    image = f'nframes="3" nslices="1" width="{size}" height="{size}" pixelwidth="1" pixelheight="1" voxeldepth="1"'
    file = tmp_path / "tracks.xml"
    file.write_text(
        f"<TrackMate><Model><AllSpots><SpotsInFrame>{spots.replace('{}', place)}</SpotsInFrame></AllSpots></Model>"
        f"<Settings><ImageData {image}/></Settings></TrackMate>",
        encoding="utf-8",
    )
    with pytest.raises(gnntrack.InputError, match=reason):
        gnntrack.import_tracks(file)


@pytest.mark.parametrize("path", [None, 3, b"folder", ["a"], np.zeros(2)])
def test_load_refuses_what_is_not_a_path(path: object) -> None:
    with pytest.raises(gnntrack.InputError, match="expected the path"):
        gnntrack.load(path)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore::gnntrack.GnntrackWarning")
def test_load_reads_masks_and_tables_that_were_edited(tmp_path: Path) -> None:
    masks = np.zeros((3, 40, 40), np.uint8)
    masks[:, 5:11, 5:11], masks[:, 25:31, 25:31] = 1, 2
    out = tmp_path / "01_RES"
    gnntrack.track(masks=masks, out=out, pictures=False)
    masks[2][masks[2] == 2] = 0
    tifffile.imwrite(out / "mask002.tif", masks[2].astype(np.uint16))
    with pytest.raises(gnntrack.InputError, match="label 2 is missing in frame 2"):
        gnntrack.load(out)
    (out / "res_track.txt").write_text("1 0 2 0\n2 0 1 0\n", encoding="utf-8")
    lineage = gnntrack.load(out)
    assert lineage.tracks.end.tolist() == [2, 1]
    assert (np.asarray(lineage.labels()[2]) == masks[2]).all()


@pytest.mark.parametrize(
    ("pattern", "message"),
    [(each, "is not relative to the folder") for each in ("", ".", "/", "/data/*.tif", "./")]
    + [(each, "cannot be read: bad character range") for each in ("[z-a].tif", "t{t}[9-0].tif", "*[b-a]*")],
)
def test_a_pattern_that_cannot_be_one_is_refused(pattern, message, tmp_path):
    (tmp_path / "t0.tif").touch()
    with pytest.raises(FrameError, match=message):
        open_frames(tmp_path, pattern=pattern)


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_an_absolute_pattern_of_positions_is_refused(kind, tmp_path):
    with pytest.raises(InputError, match=rf"of the {kind} must have one .*, and no folder above"):
        find_positions(tmp_path, **{kind: f"{tmp_path.as_posix()}/{{}}/{kind}"})
