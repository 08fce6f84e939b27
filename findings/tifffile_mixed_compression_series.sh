#!/usr/bin/env bash
# tifffile: frames written page by page, some compressed and some not, come back in another order and in parts.
#
# Versions: tifffile 2026.3.3, numpy 2.4.6, Python 3.11 or later.
# Setting: an acquisition program writes a movie page by page into one TIFF and compresses only some pages (here every
#   second one, `metadata=None`). All pages have the same size and type.
# Guess: one series of 6 pages in the order of the file, since size and type agree; compression is a matter of storage.
#   And `imread` with a `key` decodes each of the pages by its own tags.
# Seen: two series. The first has pages 0, 2, 4 (not compressed), the second 1, 3, 5; `imread` returns 3 of 6 frames
#   without a message. `imread(key=range(6))` raises ValueError. Each page read by itself is right.
# Output seen:
#   series [(3, 9, 9), (3, 9, 9)]
#   pages of series [[0, 2, 4], [1, 3, 5]]
#   imread 3 frames: [0, 2, 4]
#   by key ValueError
#   one by one 6 frames: [0, 1, 2, 3, 4, 5]
# Remedy: read such movies page by page (`imread(key=n)` for each n), unless OME or ImageJ metadata describe the series.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "tifffile==2026.3.3" "numpy==2.4.6"
cd "$folder"
venv/bin/python - > seen.txt <<'PY'
import numpy as np
import tifffile

with tifffile.TiffWriter("movie.tif") as writer:
    for frame in range(6):
        page = np.full((9, 9), frame, np.uint16)
        writer.write(page, compression="zlib" if frame % 2 else None, metadata=None)
with tifffile.TiffFile("movie.tif") as file:
    print("series", [series.shape for series in file.series])
    print("pages of series", [[page.index for page in series.pages] for series in file.series])
def show(name, frames):
    print(name, f"{len(frames)} frames:", [int(frame[0, 0]) for frame in frames])


show("imread", tifffile.imread("movie.tif"))
try:
    show("by key", tifffile.imread("movie.tif", key=range(6)))
except ValueError as error:
    print("by key", type(error).__name__)
show("one by one", [tifffile.imread("movie.tif", key=n) for n in range(6)])
PY
cat seen.txt
diff seen.txt - <<'EXPECTED'
series [(3, 9, 9), (3, 9, 9)]
pages of series [[0, 2, 4], [1, 3, 5]]
imread 3 frames: [0, 2, 4]
by key ValueError
one by one 6 frames: [0, 1, 2, 3, 4, 5]
EXPECTED
echo "the behaviour is as described"
