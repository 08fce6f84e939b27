"""Files of TrackMate that are damaged or hold impossible numbers are refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

import gnntrack

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
        (HEAD + ROWS + "c,2,0,1,1e8,1e8,4\n", "needs 2 frames"),
        (HEAD + "a,0,0,0,-20,-20,4\n", "needs 1 frames"),
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
        ('<Spot ID="1" {}/><Spot ID="1" {}/>', "60", "1 IDs"),
        ("<Spot {}/>", "60", "each needs its own"),
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
