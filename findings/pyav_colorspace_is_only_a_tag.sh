#!/usr/bin/env bash
# PyAV: the colour space of an encoder is written into the file, and is not the one that the pixels are converted by.
#
# Versions: av 18.1.0, opencv-python-headless 5.0.0.93 (another build of FFmpeg, which decodes), Python 3.11 or later.
# Setting: frames of RGB are encoded as H.264 in an MP4 file; `encode` converts them to yuv420p by itself.
# Guess: with `codec_context.colorspace` and `color_range` set before the first frame, that conversion uses them, as it uses
#   `stream.pix_fmt`; so what a player shows is what was drawn, with these tags as without them.
# Seen: they are tags only. The conversion stays the one of BT.601, players follow the tag of BT.709, and colours are
#   off by up to 17 of 255. Without tags, this decoder happens to guess BT.601, and others guess by the size of the frame.
# Output seen:
#   no tags: tag 2, off by less than 4: True
#   tags alone: tag 1, off by less than 4: False
#   tags and reformat: tag 1, off by less than 4: True
# Remedy: `frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)` before `encode`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "av==18.1.0" "opencv-python-headless==5.0.0.93" numpy
cd "$folder"
venv/bin/python - > seen.txt <<'PY'
import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

drawn = (200, 40, 60)
pixels = np.full((720, 1280, 3), drawn, np.uint8)


def encode(path, *, tags, reformat):
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        if tags:
            stream.codec_context.colorspace = 1  # BT.709
            stream.codec_context.color_range = 1  # 16 to 235
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if reformat:
                frame = frame.reformat(
                    format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
                )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


for name, tags, reformat in (("no tags", False, False), ("tags alone", True, False), ("tags and reformat", True, True)):
    encode("movie.mp4", tags=tags, reformat=reformat)
    with av.open("movie.mp4") as container:
        tag = int(container.streams.video[0].codec_context.colorspace)
    shown = cv2.VideoCapture("movie.mp4").read()[1][300, 300, ::-1].astype(int)
    print(f"{name}: tag {tag}, off by less than 4: {abs(shown - drawn).max() < 4}")
PY
cat seen.txt
diff seen.txt - <<'EXPECTED'
no tags: tag 2, off by less than 4: True
tags alone: tag 1, off by less than 4: False
tags and reformat: tag 1, off by less than 4: True
EXPECTED
echo "the behaviour is as described"
