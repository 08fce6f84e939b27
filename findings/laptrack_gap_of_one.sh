#!/usr/bin/env bash
# laptrack: a gap of one missing detection is closed from `gap_closing_max_frame_count=2` on; 1 closes none.
#
# Versions: laptrack 0.17.0, Python 3.11 or later.
# Setting: a cell that is seen in frames 0 to 7 but not in frame 4, and a resting one 40 pixels away that is always seen.
# Guess: as in trackpy (`memory`) and in most trackers, a gap of n counts the frames without a detection, so that 1 is
#   enough to join the two pieces, and 0 closes no gap.
# Seen: it is the difference of the frames on both sides. With 1, gap closing is switched on and joins pieces of
#   consecutive frames only, without a word; one missing detection needs 2, which is the default.
# Output seen: tracks for 0, 1, 2: 3 3 2
# Remedy: give one more than the number of frames that may be missing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "laptrack==0.17.0"
cd "$folder"
venv/bin/python -W ignore - > seen.txt <<'PY'
import pandas as pd
from laptrack import LapTrack

seen = [(frame, 10.0, 10.0 + 0.1 * frame) for frame in range(8) if frame != 4]
seen += [(frame, 50.0, 50.0) for frame in range(8)]
table = pd.DataFrame(seen, columns=["frame", "y", "x"])
numbers = []
for most in (0, 1, 2):
    linker = LapTrack(cutoff=25, gap_closing_cutoff=25, gap_closing_max_frame_count=most)
    tracks, _, _ = linker.predict_dataframe(table, ["y", "x"], frame_col="frame", only_coordinate_cols=False)
    numbers.append(str(tracks.track_id.nunique()))
print("tracks for 0, 1, 2:", *numbers)
PY
cat seen.txt
diff seen.txt - <<'EXPECTED'
tracks for 0, 1, 2: 3 3 2
EXPECTED
echo "the behaviour is as described"
